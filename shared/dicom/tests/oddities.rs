//! What is odd is let through and told, and read as it was meant; what two readers would read differently is refused.

use std::io::Cursor;
use vitrine_dicom::index::{Flaw, SpacingSource};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_dicom::scan::{Coding, Odd, Preamble};
use vitrine_dicom::write::{self, DataSet};
use vitrine_dicom::{Instance, Scan, ScanError, Tag, VR, class, index, scan, syntax};

fn phantom() -> Phantom {
    Phantom {
        rows: 8,
        columns: 8,
        count: 1,
        subject: Subject {
            id: "1".to_owned(),
            name: "A^B".to_owned(),
            study_date: "20260101".to_owned(),
            study_time: "0101".to_owned(),
            ..Subject::default()
        },
        ..Phantom::new(Kind::Ct, 5)
    }
}

/// A file in this syntax, with raw elements between the header (changed) and the pixels.
fn file(transfer_syntax: &str, change: impl FnOnce(&mut DataSet), raw: &[u8]) -> Vec<u8> {
    let phantom = phantom();
    let mut data = phantom.header(0);
    change(&mut data);
    let mut out = Vec::new();
    let coding = write::file(&mut out, transfer_syntax, class::CT, &phantom.sop_uid(0), &data).unwrap();
    out.extend_from_slice(raw);
    write::native(&mut out, coding, VR::OW, phantom.frame_len()).unwrap();
    out.extend_from_slice(&phantom.frame(0, 0));
    out
}

fn plain(change: impl FnOnce(&mut DataSet)) -> Vec<u8> {
    file(syntax::EXPLICIT_LE, change, &[])
}

fn read(bytes: &[u8]) -> (Scan, Instance) {
    let mut source = Cursor::new(bytes);
    let found = scan(&mut source, bytes.len() as u64).unwrap();
    let header = found.read_header(&mut source).unwrap();
    let instance = index(&found, &header).unwrap();
    (found, instance)
}

fn refused(bytes: &[u8]) -> ScanError {
    scan(&mut Cursor::new(bytes), bytes.len() as u64).unwrap_err()
}

fn odd(found: &Scan) -> Vec<Odd> {
    found.oddities.iter().map(|o| o.what).collect()
}

#[test]
fn a_preamble_that_could_be_another_file_is_told() {
    for start in [
        b"MZ\x90\0".as_slice(),
        b"\x7fELF",
        b"%PDF-1.7",
        b"<html>",
        b"II*\0",
    ] {
        let mut bytes = plain(|_| {});
        bytes[..start.len()].copy_from_slice(start);
        assert_eq!(read(&bytes).0.preamble, Preamble::NonZero);
    }
    assert_eq!(read(&plain(|_| {})).0.preamble, Preamble::Zero);
}

#[test]
fn odd_lengths_wrong_meta_lengths_and_loose_ends_are_told() {
    let mut raw = Vec::new();
    write::header(&mut raw, Coding::EXPLICIT_LE, Tag(0x7FDF, 0x10), VR::LO, Some(3)).unwrap();
    raw.extend_from_slice(b"odd");
    let (found, instance) = read(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert_eq!(odd(&found), [Odd::OddLength]);
    assert_eq!(instance.json["7FDF0010"]["Value"][0], "odd");

    let mut bytes = plain(|_| {});
    bytes[140] += 2;
    assert_eq!(odd(&read(&bytes).0), [Odd::MetaLength]);

    let mut bytes = plain(|_| {});
    bytes.extend_from_slice(&[0; 5]);
    assert_eq!(odd(&read(&bytes).0), [Odd::TrailingBytes]);
    bytes.push(1);
    refused(&bytes);

    let mut longer = plain(|d| {
        d.us(Tag(0x28, 0x10), &[7]);
    });
    assert_eq!(odd(&read(&longer).0), [Odd::PixelsTooLong]);
    longer.truncate(longer.len() - 1);
    assert!(matches!(refused(&longer), ScanError::Truncated { .. }));
}

#[test]
fn order_is_told_and_repetition_refused() {
    let mut raw = Vec::new();
    write::header(
        &mut raw,
        Coding::EXPLICIT_LE,
        Tag(0x0008, 0x0101),
        VR::LO,
        Some(2),
    )
    .unwrap();
    raw.extend_from_slice(b"ab");
    assert_eq!(
        odd(&read(&file(syntax::EXPLICIT_LE, |_| {}, &raw)).0),
        [Odd::OutOfOrder]
    );
    // A second patient: which of the two is meant?
    let mut raw = Vec::new();
    write::header(
        &mut raw,
        Coding::EXPLICIT_LE,
        Tag(0x0010, 0x0020),
        VR::LO,
        Some(2),
    )
    .unwrap();
    raw.extend_from_slice(b"2 ");
    let two = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert!(
        matches!(
            two,
            ScanError::Repeated {
                tag: Tag(0x10, 0x20),
                ..
            }
        ),
        "{two}"
    );
    // Rows behind the pixels.
    let mut bytes = plain(|d| {
        d.remove(Tag(0x28, 0x10));
    });
    write::header(&mut bytes, Coding::EXPLICIT_LE, Tag(0x28, 0x10), VR::US, Some(2)).unwrap();
    bytes.extend_from_slice(&[8, 0]);
    assert!(matches!(refused(&bytes), ScanError::AttributeValue { .. }));
}

/// `UN` of undefined length is a sequence in Implicit VR Little Endian, whatever the file is written in (PS3.5 §6.2.2).
#[test]
fn unknown_sequences_are_read_implicitly() {
    let mut item = DataSet::new();
    item.text(Tag(0x10, 0x20), VR::LO, "inner")
        .us(Tag(0x28, 0x10), &[0x0102])
        .items(Tag(0x0008, 0x1115), vec![DataSet::new()]);
    let inner = item.encode(Coding::IMPLICIT_LE).unwrap();
    for (transfer_syntax, coding) in [
        (syntax::EXPLICIT_LE, Coding::EXPLICIT_LE),
        (syntax::EXPLICIT_BE, Coding::EXPLICIT_BE),
    ] {
        let mut raw = Vec::new();
        write::header(&mut raw, coding, Tag(0x7FDF, 0x1001), VR::UN, None).unwrap();
        write::item_header(&mut raw, Coding::IMPLICIT_LE, u32::try_from(inner.len()).unwrap()).unwrap();
        raw.extend_from_slice(&inner);
        write::fragments_end(&mut raw).unwrap();
        write::header(&mut raw, coding, Tag(0x7FDF, 0x1002), VR::US, Some(2)).unwrap();
        raw.extend_from_slice(&if coding.big_endian { [0, 9] } else { [9, 0] });
        let (found, instance) = read(&file(transfer_syntax, |_| {}, &raw));
        assert_eq!(odd(&found), [Odd::UnknownSequence], "{transfer_syntax}");
        let item = &instance.json["7FDF1001"]["Value"][0];
        assert_eq!(item["00100020"]["Value"][0], "inner", "{transfer_syntax}");
        assert_eq!(item["00280010"]["Value"][0], 0x0102, "{transfer_syntax}");
        assert_eq!(item["00081115"]["vr"], "SQ");
        assert_eq!(instance.json["7FDF1002"]["Value"][0], 9, "{transfer_syntax}");
    }
}

/// A known element that somebody in between did not know is read as what it is.
#[test]
fn unknown_representations_of_known_elements_are_looked_up() {
    let bytes = plain(|d| {
        d.bytes(Tag(0x10, 0x20), VR::UN, b"PID-9".to_vec())
            .bytes(Tag(0x08, 0x50), VR::UN, b"ACC1".to_vec());
    });
    let (_, instance) = read(&bytes);
    assert_eq!(instance.patient.id.as_deref(), Some("PID-9"));
    assert_eq!(instance.accession.as_deref(), Some("ACC1"));
}

#[test]
fn delimiters_that_end_nothing_are_refused() {
    for tag in [Tag(0xFFFE, 0xE00D), Tag(0xFFFE, 0xE0DD), Tag(0xFFFE, 0xE000)] {
        let mut raw = Vec::new();
        write::header(&mut raw, Coding::IMPLICIT_LE, tag, VR::UN, Some(0)).unwrap();
        let stray = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
        assert!(matches!(stray, ScanError::StrayDelimiter { .. }), "{stray}");
    }
    // Another element where an item must be; and an undefined length that may not be.
    let mut raw = Vec::new();
    write::header(&mut raw, Coding::EXPLICIT_LE, Tag(0x7FDF, 0x1001), VR::SQ, None).unwrap();
    write::header(
        &mut raw,
        Coding::EXPLICIT_LE,
        Tag(0x7FDF, 0x1002),
        VR::US,
        Some(0),
    )
    .unwrap();
    let element = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert!(matches!(element, ScanError::NotAnItem { .. }), "{element}");
    let mut raw = Vec::new();
    write::header(&mut raw, Coding::EXPLICIT_LE, Tag(0x7FDF, 0x1001), VR::UT, None).unwrap();
    let endless = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert!(matches!(endless, ScanError::UndefinedLength { .. }), "{endless}");
    // An item that reaches beyond its sequence.
    let mut raw = Vec::new();
    write::header(
        &mut raw,
        Coding::EXPLICIT_LE,
        Tag(0x7FDF, 0x1001),
        VR::SQ,
        Some(8),
    )
    .unwrap();
    write::item_header(&mut raw, Coding::EXPLICIT_LE, 4).unwrap();
    let beyond = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert!(matches!(beyond, ScanError::Overruns { .. }), "{beyond}");
    // Something that is no representation.
    let mut raw = Vec::new();
    write::header(
        &mut raw,
        Coding::EXPLICIT_LE,
        Tag(0x7FDF, 0x1001),
        VR::LO,
        Some(2),
    )
    .unwrap();
    raw[4] = b'?';
    let unknown = refused(&file(syntax::EXPLICIT_LE, |_| {}, &raw));
    assert!(matches!(unknown, ScanError::UnknownVr { .. }), "{unknown}");
}

#[test]
fn fields_say_what_is_wrong_with_them() {
    let (_, instance) = read(&plain(|d| {
        d.text(Tag(0x10, 0x30), VR::DA, "19701301")
            .text(Tag(0x20, 0x13), VR::IS, "one")
            .text(Tag(0x28, 0x30), VR::DS, "0\\0")
            .text(Tag(0x08, 0x05), VR::CS, "ISO_IR 999")
            .text(Tag(0x08, 0x18), VR::UI, "1.2.3");
    }));
    let bad = |tag| Flaw::BadValue(tag);
    for flaw in [
        bad(Tag(0x10, 0x30)),
        bad(Tag(0x20, 0x13)),
        bad(Tag(0x28, 0x30)),
        Flaw::UnknownCharset,
        Flaw::MetaDiffers(Tag(0x08, 0x18)),
    ] {
        assert!(instance.flaws.contains(&flaw), "{flaw:?}: {:?}", instance.flaws);
    }
    assert_eq!(instance.patient.birth_date, None);
    assert_eq!(
        instance.json["00100030"]["Value"][0], "19701301",
        "kept as it came"
    );
    let undeclared = read(&plain(|d| {
        d.text(Tag(0x08, 0x05), VR::CS, "")
            .text(Tag(0x10, 0x10), VR::PN, "Ä");
    }));
    assert_eq!(undeclared.1.flaws, [Flaw::UndeclaredText(Tag(0x10, 0x10))]);
}

/// Which spacing a measurement may use (PS3.3 §10.7.1.3).
#[test]
fn spacings_say_where_they_were_measured() {
    let of = |change: fn(&mut DataSet)| {
        let spacing = read(&plain(|d| {
            d.remove(Tag(0x28, 0x30));
            change(d);
        }));
        spacing.1.image.unwrap().spacing.map(|s| (s.row_mm, s.source))
    };
    const PATIENT: Tag = Tag(0x28, 0x30);
    const DETECTOR: Tag = Tag(0x18, 0x1164);
    const CALIBRATION: Tag = Tag(0x28, 0x0A02);
    assert_eq!(of(|_| {}), None);
    let patient = of(|d| {
        d.ds(PATIENT, &[0.5, 0.5]);
    });
    assert_eq!(patient, Some((0.5, SpacingSource::Patient)));
    let equal = of(|d| {
        d.ds(PATIENT, &[0.5, 0.5]).ds(DETECTOR, &[0.5, 0.5]);
    });
    assert_eq!(equal, Some((0.5, SpacingSource::Detector(None))));
    let calibrated = of(|d| {
        d.ds(PATIENT, &[0.4, 0.4]).ds(DETECTOR, &[0.5, 0.5]);
    });
    assert_eq!(calibrated, Some((0.4, SpacingSource::Calibrated(None))));
    let fiducial = of(|d| {
        d.ds(PATIENT, &[0.5, 0.5])
            .ds(DETECTOR, &[0.5, 0.5])
            .text(CALIBRATION, VR::CS, "FIDUCIAL");
    });
    assert_eq!(
        fiducial,
        Some((0.5, SpacingSource::Calibrated(Some("FIDUCIAL".to_owned()))))
    );
    let film = of(|d| {
        d.ds(Tag(0x18, 0x2010), &[0.2, 0.2]);
    });
    assert_eq!(film, Some((0.2, SpacingSource::Scanned)));
}
