//! Phantoms written, scanned and indexed: what comes out is what was put in, and the frames are the pixels written.

use std::io::{Cursor, Seek, SeekFrom};
use vitrine_dicom::index::SpacingSource;
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_dicom::scan::{Odd, PixelData, Preamble};
use vitrine_dicom::{Instance, Scan, ScanError, index, scan, syntax};

const KINDS: [Kind; 11] = [
    Kind::Ct,
    Kind::CtSigned,
    Kind::Cr,
    Kind::CrInverse,
    Kind::Mr,
    Kind::MrSigned,
    Kind::UsCine,
    Kind::UsColor,
    Kind::EnhancedCt,
    Kind::Rgb,
    Kind::Palette,
];

fn small(kind: Kind) -> Phantom {
    Phantom {
        rows: 37,
        columns: 41,
        count: 5,
        subject: Subject {
            id: "MRN-0815".to_owned(),
            issuer: Some("SYNTH".to_owned()),
            name: "Müller^Änne=山田^太郎".to_owned(),
            birth_date: Some("19700301".to_owned()),
            sex: Some("F".to_owned()),
            accession: Some("A-4711".to_owned()),
            study_date: "20260228".to_owned(),
            study_time: "103059".to_owned(),
            study_description: Some("Thorax".to_owned()),
            referring: Some("Noemi^Ärztin".to_owned()),
        },
        ..Phantom::new(kind, 7)
    }
}

fn read(bytes: &[u8]) -> (Scan, Instance) {
    let mut source = Cursor::new(bytes);
    let found = scan(&mut source, bytes.len() as u64).unwrap();
    let header = found.read_header(&mut source).unwrap();
    let instance = index(&found, &header).unwrap();
    (found, instance)
}

fn cut(bytes: &[u8], found: &Scan, frame: u32) -> Vec<u8> {
    let frame = found.frame(frame).unwrap();
    frame
        .ranges
        .iter()
        .flat_map(|r| bytes[r.start as usize..r.end as usize].to_vec())
        .collect()
}

#[test]
fn headers_come_out_as_they_were_put_in() {
    for kind in KINDS {
        for transfer_syntax in [syntax::EXPLICIT_LE, syntax::IMPLICIT_LE, syntax::EXPLICIT_BE] {
            let phantom = Phantom {
                transfer_syntax,
                ..small(kind)
            };
            let file = phantom.files() - 1;
            let mut bytes = Vec::new();
            phantom.write(file, &mut bytes).unwrap();
            let (found, instance) = read(&bytes);
            let what = format!("{kind:?} {transfer_syntax}");
            assert_eq!(found.oddities, [], "{what}");
            assert_eq!(found.preamble, Preamble::Zero);
            assert_eq!(instance.flaws, [], "{what}");
            assert_eq!(instance.transfer_syntax, transfer_syntax, "{what}");
            assert_eq!(instance.study_uid.as_str(), phantom.study_uid());
            assert_eq!(instance.series_uid.as_str(), phantom.series_uid());
            assert_eq!(instance.sop_uid.as_str(), phantom.sop_uid(file));
            assert_eq!(instance.sop_class.as_ref().unwrap().as_str(), phantom.sop_class());
            assert!(vitrine_dicom::class::is_image(phantom.sop_class()));
            let patient = &instance.patient;
            assert_eq!(patient.id.as_deref(), Some("MRN-0815"));
            assert_eq!(patient.issuer.as_deref(), Some("SYNTH"));
            let name = patient.name.as_ref().unwrap();
            assert_eq!(
                (name.alphabetic.as_str(), name.ideographic.as_str()),
                ("Müller^Änne", "山田^太郎")
            );
            assert_eq!(patient.birth_date.as_deref(), Some("19700301"));
            assert_eq!(instance.accession.as_deref(), Some("A-4711"));
            assert_eq!(instance.study_date.as_deref(), Some("20260228"));
            assert_eq!(instance.instance_number, Some(i64::from(file) + 1));
            let image = instance.image.as_ref().unwrap();
            assert_eq!((image.rows, image.columns), (37, 41), "{what}");
            assert_eq!(image.frames, phantom.frames(), "{what}");
            assert_eq!(image.lossy, Some(false));
            assert_eq!(instance.json["00280010"]["Value"][0], 37, "{what}");
            assert_eq!(instance.json["00100010"]["Value"][0]["Alphabetic"], "Müller^Änne");
            assert_eq!(instance.json.get("7FE00010"), None);
        }
    }
}

#[test]
fn images_say_how_they_are_shown() {
    let read = |kind| {
        let mut bytes = Vec::new();
        small(kind).write(0, &mut bytes).unwrap();
        read(&bytes).1.image.unwrap()
    };
    let ct = read(Kind::Ct);
    assert_eq!(ct.rescale, Some((1.0, -1024.0)));
    let windows: Vec<_> = ct.windows.iter().map(|w| (w.center, w.width)).collect();
    assert_eq!(windows, [(40.0, 400.0), (-500.0, 1500.0)]);
    assert_eq!(ct.windows[1].explanation.as_deref(), Some("LUNG"));
    assert_eq!(ct.spacing.unwrap().source, SpacingSource::Patient);
    assert_eq!(ct.position.unwrap()[2], -2.5);
    assert!(read(Kind::CtSigned).signed);
    let cr = read(Kind::CrInverse);
    assert_eq!(cr.photometric, "MONOCHROME1");
    assert_eq!(cr.spacing.unwrap().source, SpacingSource::Detector(Some(1.1)));
    let enhanced = read(Kind::EnhancedCt);
    assert_eq!(enhanced.rescale, Some((1.0, -1024.0)));
    assert_eq!(enhanced.places.len(), 5);
    let z: Vec<_> = enhanced.places.iter().map(|p| p.position.unwrap()[2]).collect();
    assert_eq!(z, [-2.5, -1.25, 0.0, 1.25, 2.5]);
    assert_eq!(enhanced.places[4].index, [1, 5]);
    assert_eq!(read(Kind::UsCine).frame_time_ms, Some(33.3));
}

#[test]
fn frames_are_exactly_the_pixels_written() {
    for kind in KINDS {
        let phantom = small(kind);
        for file in 0..phantom.files() {
            let mut bytes = Vec::new();
            phantom.write(file, &mut bytes).unwrap();
            let (found, _) = read(&bytes);
            for frame in 0..phantom.frames() {
                assert!(
                    cut(&bytes, &found, frame) == phantom.frame(file, frame),
                    "{kind:?} {file} {frame}"
                );
            }
            let beyond = found.frame(phantom.frames());
            assert!(matches!(beyond, Err(ScanError::NoSuchFrame { .. })));
        }
    }
}

#[test]
fn fragments_are_found_by_the_table() {
    let phantom = small(Kind::UsCine);
    // Two fragments for a frame, of different lengths: the first even, or its padding would lie in the frame.
    let encode = |pixels: &[u8]| {
        let at = 100 + usize::from(pixels[700]) * 2;
        vec![pixels[..at].to_vec(), pixels[at..].to_vec()]
    };
    let mut bytes = Vec::new();
    phantom
        .write_encapsulated(0, "1.2.840.10008.1.2.1.98", encode, &mut bytes)
        .unwrap();
    let (found, instance) = read(&bytes);
    assert_eq!(instance.transfer_syntax, "1.2.840.10008.1.2.1.98");
    let Some(PixelData::Encapsulated { basic, fragments, .. }) = &found.pixel else {
        panic!("{found:?}")
    };
    assert_eq!((basic.len(), fragments.len()), (5, 10));
    for n in 0..5 {
        let mut pixels = phantom.frame(0, n);
        let odd = pixels.len() % 2;
        pixels.extend(std::iter::repeat_n(0, odd));
        assert!(cut(&bytes, &found, n) == pixels, "frame {n}");
    }
    // Without the table nobody can tell which fragments are which frame's; with one fragment for each, anybody can.
    let mut blind = found.clone();
    let Some(PixelData::Encapsulated { basic, fragments, .. }) = &mut blind.pixel else {
        unreachable!()
    };
    basic.clear();
    let all = fragments.clone();
    assert!(matches!(blind.frame(0), Err(ScanError::FramesUnclear { .. })));
    let Some(PixelData::Encapsulated { fragments, .. }) = &mut blind.pixel else {
        unreachable!()
    };
    fragments.truncate(5);
    assert_eq!(blind.frame(4).unwrap().ranges[0].start, all[4].0);
    let Some(PixelData::Encapsulated {
        extended, fragments, ..
    }) = &mut blind.pixel
    else {
        unreachable!()
    };
    let first = fragments[0].0;
    *extended = Some((fragments.iter().map(|f| f.0 - first).collect(), vec![7; 5]));
    let frame = blind.frame(2).unwrap();
    assert_eq!(frame.ranges.len(), 1);
    assert_eq!(frame.ranges[0], all[2].0..all[2].0 + 7);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let write = |seed| {
        let mut bytes = Vec::new();
        Phantom {
            seed,
            study: seed,
            ..small(Kind::Ct)
        }
        .write(2, &mut bytes)
        .unwrap();
        bytes
    };
    assert!(write(7) == write(7));
    assert!(write(7) != write(8));
    let ct = small(Kind::Ct);
    let uids: std::collections::BTreeSet<_> = (0..1000).map(|n| ct.sop_uid(n)).collect();
    assert_eq!(uids.len(), 1000);
    assert!(uids.iter().all(|u| u.starts_with("2.25.") && u.len() <= 64));
}

/// Two files of other seeds, in the same study.
#[test]
fn series_of_one_study_share_its_uid() {
    let one = Phantom {
        study: 99,
        ..small(Kind::Ct)
    };
    let two = Phantom {
        study: 99,
        seed: 8,
        ..small(Kind::Cr)
    };
    assert_eq!(one.study_uid(), two.study_uid());
    assert_ne!(one.series_uid(), two.series_uid());
}

/// What a slice looks like does not change unseen: a checksum for each kind (FNV-1a over the middle frame).
#[test]
fn pixels_are_pinned() {
    let sums: Vec<_> = KINDS
        .iter()
        .map(|k| {
            let pixels = small(*k).frame(2, 2);
            let sum = pixels.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01B3)
            });
            format!("{k:?} {sum:016x}")
        })
        .collect();
    assert_eq!(sums, PINNED);
}

const PINNED: [&str; 11] = [
    "Ct 6e46e283c454bf51",
    "CtSigned bab2bc34a512580d",
    "Cr 77b7af1845850ed6",
    "CrInverse 6b55576da4bfb2f8",
    "Mr 89f3ce6b1296f7d6",
    "MrSigned 9bfc964c2988f813",
    "UsCine 06bfc4f2150f7799",
    "UsColor 75d26294a7604808",
    "EnhancedCt 6e46e283c454bf51",
    "Rgb 244613f571d47a9e",
    "Palette 7d3358b60f09deeb",
];

/// A data set without group 0002 is read all the same, and that is told.
#[test]
fn files_without_a_start_are_guessed_and_told() {
    for (transfer_syntax, name) in [
        (syntax::EXPLICIT_LE, "explicit"),
        (syntax::IMPLICIT_LE, "implicit"),
        (syntax::EXPLICIT_BE, "big"),
    ] {
        let phantom = Phantom {
            transfer_syntax,
            ..small(Kind::Mr)
        };
        let mut bytes = Vec::new();
        phantom.write(0, &mut bytes).unwrap();
        let (whole, _) = read(&bytes);
        let bare = bytes.split_off(whole.header.start as usize);
        let (found, instance) = read(&bare);
        assert!(
            found.is_odd(Odd::NoFileMeta) && found.is_odd(Odd::NoTransferSyntax),
            "{name}"
        );
        assert_eq!(instance.transfer_syntax, transfer_syntax, "{name}");
        assert!(cut(&bare, &found, 0).len() == 37 * 41 * 2);
        // Group 0002 that names another one than the data set is written in.
        let other = if transfer_syntax == syntax::EXPLICIT_LE {
            syntax::IMPLICIT_LE
        } else {
            syntax::EXPLICIT_LE
        };
        let mut lying = Vec::new();
        vitrine_dicom::write::file(
            &mut lying,
            other,
            phantom.sop_class(),
            &phantom.sop_uid(0),
            &vitrine_dicom::write::DataSet::new(),
        )
        .unwrap();
        lying.extend_from_slice(&bare);
        let (found, instance) = read(&lying);
        assert!(found.is_odd(Odd::OtherTransferSyntax), "{name}");
        assert_eq!(instance.transfer_syntax, transfer_syntax, "{name}");
    }
}

/// 4,000 slices are written one after the other into nothing: there is never more than a frame in memory.
#[test]
fn slices_are_streamed() {
    struct Nowhere(u64, usize);
    impl std::io::Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            self.1 = self.1.max(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let phantom = Phantom {
        rows: 64,
        columns: 64,
        count: 4_000,
        ..Phantom::new(Kind::EnhancedCt, 1)
    };
    let mut out = Nowhere(0, 0);
    phantom.write(0, &mut out).unwrap();
    assert!(out.0 > 4_000 * 64 * 64 * 2);
    // Its functional groups, not its pixels, are the largest piece.
    assert!(out.1 < 2 << 20, "{}", out.1);
}

/// The bytes behind the scanned file are nobody's.
#[test]
fn a_source_that_is_shorter_than_it_was_said_is_cut_off() {
    let mut bytes = Vec::new();
    small(Kind::Ct).write(0, &mut bytes).unwrap();
    let mut source = Cursor::new(&bytes);
    source.seek(SeekFrom::Start(17)).unwrap();
    assert!(
        scan(&mut source, bytes.len() as u64).is_ok(),
        "the scan goes to the start itself"
    );
    let longer = scan(&mut source, bytes.len() as u64 + 100);
    assert!(matches!(longer, Err(ScanError::Truncated { .. })), "{longer:?}");
}
