//! Files broken in every way we can think of: each is let through or refused, none makes us panic, read more than a
//! window at a time, or hold more than the file has.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;
use std::io::{Cursor, Read, Seek, SeekFrom, Write as _};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_dicom::scan::{Coding, PixelData};
use vitrine_dicom::write::{self, DataSet};
use vitrine_dicom::{IndexError, Instance, Scan, ScanError, Tag, VR, class, index, scan, syntax};

/// Gives what it has, and fails the test when it is asked for more than a window at once.
struct Watched<'a>(Cursor<&'a [u8]>);

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        assert!(out.len() <= 64 << 10, "asked for {} bytes at once", out.len());
        self.0.read(out)
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            assert!(at <= self.0.get_ref().len() as u64, "sought to {at}");
        }
        self.0.seek(to)
    }
}

/// Scans, indexes, and asks for every frame.
fn whole(bytes: &[u8]) -> Result<(Scan, Option<Instance>), ScanError> {
    let mut source = Watched(Cursor::new(bytes));
    let found = scan(&mut source, bytes.len() as u64)?;
    assert!(found.inflated.is_some() || found.header.end <= bytes.len() as u64);
    for n in [0, 1, found.frames().saturating_sub(1), found.frames()] {
        if let Ok(frame) = found.frame(n) {
            assert!(
                frame
                    .ranges
                    .iter()
                    .all(|r| r.start <= r.end && r.end <= bytes.len() as u64)
            );
        }
    }
    let header = found.read_header(&mut Cursor::new(bytes))?;
    let instance = index(&found, &header);
    // What the scan has let through, the parser sees in the same way.
    assert!(!matches!(instance, Err(IndexError::Parse { .. })), "{instance:?}");
    let instance = instance.ok();
    if let Some(instance) = &instance {
        assert!(!format!("{instance:?}").contains("Mustermann"));
    }
    Ok((found, instance))
}

/// Bytes that this process had in memory at most so far.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

fn file(kind: Kind, transfer_syntax: &'static str) -> Vec<u8> {
    let phantom = Phantom {
        rows: 24,
        columns: 32,
        count: 4,
        transfer_syntax,
        subject: Subject {
            id: "1".to_owned(),
            name: "Mustermann^Max".to_owned(),
            study_date: "20260101".to_owned(),
            study_time: "0101".to_owned(),
            ..Subject::default()
        },
        ..Phantom::new(kind, 3)
    };
    let mut bytes = Vec::new();
    phantom.write(0, &mut bytes).unwrap();
    bytes
}

fn fragments() -> Vec<u8> {
    let phantom = Phantom {
        rows: 24,
        columns: 32,
        count: 4,
        ..Phantom::new(Kind::UsCine, 3)
    };
    let mut bytes = Vec::new();
    let encode = |pixels: &[u8]| pixels.chunks(300).map(<[u8]>::to_vec).collect();
    phantom
        .write_encapsulated(0, syntax::RLE, encode, &mut bytes)
        .unwrap();
    bytes
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::file(&mut out, syntax::DEFLATED_LE, class::CT, "1.2.3", &DataSet::new()).unwrap();
    let mut deflate = DeflateEncoder::new(&mut out, Compression::best());
    deflate.write_all(data).unwrap();
    deflate.finish().unwrap();
    out
}

fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(make)
}

fn make() -> Vec<Vec<u8>> {
    let plain = file(Kind::Ct, syntax::EXPLICIT_LE);
    let start = scan(&mut Cursor::new(&plain), plain.len() as u64)
        .unwrap()
        .header
        .start;
    vec![
        file(Kind::EnhancedCt, syntax::EXPLICIT_LE),
        file(Kind::EnhancedCt, syntax::IMPLICIT_LE),
        file(Kind::Ct, syntax::EXPLICIT_BE),
        deflated(&plain[start as usize..]),
        fragments(),
        plain,
    ]
}

/// A file with these elements before the pixels of a small image, and its header's end.
fn with(change: impl FnOnce(&mut DataSet)) -> Vec<u8> {
    let phantom = Phantom {
        rows: 24,
        columns: 32,
        ..Phantom::new(Kind::Ct, 3)
    };
    let mut data = phantom.header(0);
    change(&mut data);
    let mut out = Vec::new();
    let coding = write::file(
        &mut out,
        syntax::EXPLICIT_LE,
        class::CT,
        &phantom.sop_uid(0),
        &data,
    )
    .unwrap();
    write::native(&mut out, coding, VR::OW, phantom.frame_len()).unwrap();
    out.extend_from_slice(&phantom.frame(0, 0));
    out
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for (n, bytes) in samples().iter().enumerate() {
        let body = scan(&mut Cursor::new(bytes), bytes.len() as u64).unwrap();
        let pixels = body.pixel.as_ref().unwrap().element().1;
        for len in 0..bytes.len() {
            let found = whole(&bytes[..len]);
            // A header that ends between two elements is a whole header; there are no pixels then.
            match found {
                Ok((found, _)) => assert!(
                    found.pixel.is_none() && len as u64 <= pixels.max(2_000),
                    "{n} at {len}"
                ),
                Err(e) => assert!(!e.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn a_length_of_four_gigabytes_in_a_small_file_costs_nothing() {
    let before = peak_bytes();
    for vr in [VR::OB, VR::OW, VR::UN, VR::UT, VR::SQ, VR::UC] {
        let mut bytes = with(|_| {});
        let start = scan(&mut Cursor::new(&bytes), bytes.len() as u64)
            .unwrap()
            .header
            .start as usize;
        let mut lie = Vec::new();
        write::header(&mut lie, Coding::EXPLICIT_LE, Tag(8, 1), vr, Some(0xFFFF_FFFE)).unwrap();
        bytes.splice(start..start, lie);
        let refused = whole(&bytes);
        assert!(
            matches!(refused, Err(ScanError::Truncated { wanted, .. } ) if wanted > 4_000_000_000),
            "{vr:?} {refused:?}"
        );
    }
    assert!(
        peak_bytes() - before < 64 << 20,
        "{} bytes",
        peak_bytes() - before
    );
}

#[test]
fn ten_thousand_sequences_in_each_other_are_refused() {
    for undefined in [true, false] {
        let mut bytes = Vec::new();
        write::file(&mut bytes, syntax::EXPLICIT_LE, class::CT, "1.2", &DataSet::new()).unwrap();
        for level in 0..10_000u32 {
            let left = (10_000 - level) * 20;
            let (outer, inner) = if undefined {
                (None, u32::MAX)
            } else {
                (Some(left - 12), left - 20)
            };
            write::header(&mut bytes, Coding::EXPLICIT_LE, Tag(8, 0x1115), VR::SQ, outer).unwrap();
            write::item_header(&mut bytes, Coding::EXPLICIT_LE, inner).unwrap();
        }
        assert!(matches!(whole(&bytes), Err(ScanError::TooDeep { most: 16, .. })));
    }
}

#[test]
fn sixteen_levels_are_read() {
    let mut inner = DataSet::new();
    inner.text(Tag(0x10, 0x10), VR::PN, "Deep");
    for _ in 0..16 {
        let mut outer = DataSet::new();
        outer.items(Tag(8, 0x1115), vec![inner]);
        inner = outer;
    }
    let bytes = with(|d| {
        let mut first = DataSet::new();
        first.items(Tag(8, 0x1115), vec![]);
        *d = {
            let mut d2 = d.clone();
            d2.items(Tag(8, 0x1115), vec![]);
            d2
        };
        let _ = first;
    });
    assert!(whole(&bytes).is_ok());
    let mut deep = Vec::new();
    write::file(&mut deep, syntax::EXPLICIT_LE, class::CT, "1.2", &inner).unwrap();
    let (found, _) = whole(&deep).unwrap();
    assert_eq!(found.elements, 33);
}

#[test]
fn a_bomb_is_refused_before_it_is_large() {
    let before = peak_bytes();
    // One private value of 512 MB of zeros.
    let mut data = Vec::new();
    write::header(
        &mut data,
        Coding::EXPLICIT_LE,
        Tag(9, 0x1010),
        VR::OB,
        Some(512 << 20),
    )
    .unwrap();
    let mut out = Vec::new();
    write::file(&mut out, syntax::DEFLATED_LE, class::CT, "1.2.3", &DataSet::new()).unwrap();
    let mut deflate = DeflateEncoder::new(&mut out, Compression::best());
    deflate.write_all(&data).unwrap();
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..512 {
        deflate.write_all(&zeros).unwrap();
    }
    deflate.finish().unwrap();
    assert!(out.len() < 1 << 20, "{}", out.len());
    let refused = whole(&out);
    assert!(matches!(refused, Err(ScanError::Bomb { .. })), "{refused:?}");
    // Less dense, and so large that only the bound of the header holds.
    let mut data = Vec::new();
    write::header(
        &mut data,
        Coding::EXPLICIT_LE,
        Tag(9, 0x1010),
        VR::OB,
        Some(100 << 20),
    )
    .unwrap();
    data.extend((0..100u32 << 20).map(|n| if n % 2048 == 0 { (n >> 11) as u8 } else { 0 }));
    let refused = whole(&deflated(&data));
    assert!(
        matches!(refused, Err(ScanError::HeaderTooLarge { .. })),
        "{refused:?}"
    );
    drop(data);
    assert!(
        peak_bytes() - before < 400 << 20,
        "{} bytes",
        peak_bytes() - before
    );
}

#[test]
fn pixels_of_a_deflated_file_are_told_apart_from_addressable_ones() {
    let plain = file(Kind::Ct, syntax::EXPLICIT_LE);
    let start = scan(&mut Cursor::new(&plain), plain.len() as u64)
        .unwrap()
        .header
        .start;
    let (found, instance) = whole(&deflated(&plain[start as usize..])).unwrap();
    assert!(matches!(found.pixel, Some(PixelData::Deflated { len: 1536, .. })));
    assert!(matches!(found.frame(0), Err(ScanError::NotAddressable { .. })));
    assert_eq!(instance.unwrap().image.unwrap().rows, 24);
}

#[test]
fn attributes_that_cannot_be_are_refused() {
    let value = |e: &ScanError| matches!(e, ScanError::AttributeValue { .. });
    let kind = |e: &ScanError| matches!(e, ScanError::AttributeType { .. });
    let short = |e: &ScanError| matches!(e, ScanError::PixelsTooShort { .. });
    let missing = |e: &ScanError| matches!(e, ScanError::AttributeMissing { .. });
    type Case = (&'static str, fn(&mut DataSet), fn(&ScanError) -> bool);
    let cases: [Case; 17] = [
        (
            "rows as UL",
            |d| {
                d.ul(Tag(0x28, 0x10), &[24]);
            },
            kind,
        ),
        (
            "two rows",
            |d| {
                d.us(Tag(0x28, 0x10), &[24, 24]);
            },
            kind,
        ),
        (
            "rows as text",
            |d| {
                d.text(Tag(0x28, 0x10), VR::IS, "24");
            },
            kind,
        ),
        (
            "no rows",
            |d| {
                d.remove(Tag(0x28, 0x10));
            },
            missing,
        ),
        (
            "rows empty",
            |d| {
                d.us(Tag(0x28, 0x10), &[]);
            },
            missing,
        ),
        (
            "0 rows",
            |d| {
                d.us(Tag(0x28, 0x10), &[0]);
            },
            value,
        ),
        (
            "0 columns",
            |d| {
                d.us(Tag(0x28, 0x11), &[0]);
            },
            value,
        ),
        (
            "65535²",
            |d| {
                d.us(Tag(0x28, 0x10), &[65_535]).us(Tag(0x28, 0x11), &[65_535]);
            },
            short,
        ),
        (
            "255 samples",
            |d| {
                d.us(Tag(0x28, 2), &[255]);
            },
            value,
        ),
        (
            "12 of 8 bits",
            |d| {
                d.us(Tag(0x28, 0x100), &[8]);
            },
            value,
        ),
        (
            "12 bits allocated",
            |d| {
                d.us(Tag(0x28, 0x100), &[12]);
            },
            value,
        ),
        (
            "0 bits stored",
            |d| {
                d.us(Tag(0x28, 0x101), &[0]);
            },
            value,
        ),
        (
            "high bit beyond",
            |d| {
                d.us(Tag(0x28, 0x102), &[16]);
            },
            value,
        ),
        (
            "sign 2",
            |d| {
                d.us(Tag(0x28, 0x103), &[2]);
            },
            value,
        ),
        (
            "2 frames, one there",
            |d| {
                d.is(Tag(0x28, 8), 2);
            },
            short,
        ),
        (
            "-1 frames",
            |d| {
                d.is(Tag(0x28, 8), -1);
            },
            value,
        ),
        (
            "4294967295 frames",
            |d| {
                d.text(Tag(0x28, 8), VR::IS, "4294967295");
            },
            value,
        ),
    ];
    for (name, change, expected) in cases {
        let refused = whole(&with(change)).map(|_| ()).unwrap_err();
        assert!(expected(&refused), "{name}: {refused}");
        assert!(refused.to_string().contains("at byte"), "{refused}");
    }
    assert!(whole(&with(|_| {})).is_ok());
}

#[test]
fn frames_that_no_decoder_should_be_asked_for_are_refused() {
    let phantom = Phantom {
        rows: 40_000,
        columns: 40_000,
        count: 1,
        ..Phantom::new(Kind::UsCine, 1)
    };
    let mut out = Vec::new();
    write::file(
        &mut out,
        syntax::RLE,
        class::US_MULTI_FRAME,
        "1.2",
        &phantom.header(0),
    )
    .unwrap();
    write::encapsulated(&mut out, None).unwrap();
    write::fragment(&mut out, &[0; 64]).unwrap();
    write::fragments_end(&mut out).unwrap();
    assert!(matches!(
        whole(&out),
        Err(ScanError::FrameTooLarge {
            pixels: 1_600_000_000,
            ..
        })
    ));
}

#[test]
fn many_elements_and_long_ones_in_group_two_are_refused() {
    let mut bytes = Vec::new();
    write::file(&mut bytes, syntax::EXPLICIT_LE, class::CT, "1.2", &DataSet::new()).unwrap();
    write::header(&mut bytes, Coding::EXPLICIT_LE, Tag(8, 0x1115), VR::SQ, None).unwrap();
    for _ in 0..200_001 {
        write::item_header(&mut bytes, Coding::EXPLICIT_LE, 0).unwrap();
    }
    assert!(matches!(
        whole(&bytes),
        Err(ScanError::TooMany { most: 200_000, .. })
    ));
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM");
    write::header(&mut bytes, Coding::EXPLICIT_LE, Tag(2, 0x102), VR::OB, Some(4097)).unwrap();
    bytes.resize(10_000, 0);
    assert!(matches!(
        whole(&bytes),
        Err(ScanError::MetaTooLong { length: 4097, .. })
    ));
}

#[test]
fn uids_that_are_paths_are_refused_by_the_index() {
    for uid in ["../../etc/passwd", "1.2/3", "1..2", "1.2.3.", "x"] {
        let bytes = with(|d| {
            d.text(Tag(0x20, 0xD), VR::UI, uid);
        });
        let (_, instance) = whole(&bytes).unwrap();
        assert!(instance.is_none(), "{uid}");
    }
    let zero = with(|d| {
        d.text(Tag(0x20, 0xD), VR::UI, "1.02.3");
    });
    let (_, instance) = whole(&zero).unwrap();
    assert_eq!(instance.unwrap().flaws.len(), 1);
}

/// What the JSON points to instead of holding it.
#[test]
fn bulk_is_left_out_and_listed() {
    let bytes = with(|d| {
        d.bytes(Tag(9, 0x10), VR::LO, b"VITRINE".to_vec())
            .bytes(Tag(9, 0x1001), VR::OB, vec![7; 1024])
            .bytes(Tag(9, 0x1002), VR::OB, vec![7; 1026]);
    });
    let instance = whole(&bytes).unwrap().1.unwrap();
    assert!(instance.json["00091001"]["InlineBinary"].is_string());
    assert_eq!(
        instance.json["00091002"],
        serde_json::json!({"vr": "OB", "BulkDataURI": "bulkdata/00091002"})
    );
    let bulk: Vec<_> = instance.bulk.iter().map(|b| (b.path.as_str(), b.len)).collect();
    assert_eq!(bulk, [("00091002", 1026)]);
}

fn cases(local: u32) -> ProptestConfig {
    let many = std::env::var_os("CI").is_some();
    ProptestConfig::with_cases(if many { local * 8 } else { local })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn flipped_bytes_never_panic(
        which in 0usize..6,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
    ) {
        let mut bytes = samples()[which].clone();
        for (at, value) in flips {
            // Most of them where the header is.
            let at = at.index(bytes.len().min(2_500));
            bytes[at] = value;
        }
        let _ = whole(&bytes);
    }

    #[test]
    fn absurd_lengths_never_panic(
        which in 0usize..6,
        at in any::<prop::sample::Index>(),
        length in prop_oneof![Just(u32::MAX), Just(u32::MAX - 1), Just(0x8000_0000), Just(0u32), any::<u32>()],
    ) {
        let mut bytes = samples()[which].clone();
        let at = at.index(bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let _ = whole(&bytes);
    }

    #[test]
    fn pieces_left_out_or_doubled_never_panic(
        which in 0usize..6,
        from in any::<prop::sample::Index>(),
        len in 0usize..300,
        double in any::<bool>(),
    ) {
        let mut bytes = samples()[which].clone();
        let from = from.index(bytes.len());
        let to = (from + len).min(bytes.len());
        let piece = bytes[from..to].to_vec();
        bytes.splice(from..if double { from } else { to }, if double { piece } else { Vec::new() });
        let _ = whole(&bytes);
    }

    #[test]
    fn noise_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000), start in 0u8..4) {
        let prefix: &[u8] = match start {
            0 => b"",
            1 => b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100",
            2 => b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100",
            _ => b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100",
        };
        bytes.splice(0..0, prefix.iter().copied());
        let _ = whole(&bytes);
    }
}
