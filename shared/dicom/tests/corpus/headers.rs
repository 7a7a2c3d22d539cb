//! Every file of the corpus: scanned, indexed, compared with what an independent reader saw. What is refused stands in
//! [`REFUSED`] with its reason, so that a change is seen.

use crate::files::{Line, catalogue, data};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use vitrine_dicom::scan::{PixelData, Preamble};
use vitrine_dicom::{Instance, Scan, index, scan};

/// Path, and the first word of the error.
const REFUSED: &[(&str, &str)] = &[
    ("pydicom-data/HTJ2KLossless_08_RGB.dcm", "MissingUid"),
    ("pydicom-data/HTJ2K_08_RGB.dcm", "MissingUid"),
    ("pydicom-data/JLSL_08_07_0_1F.dcm", "MissingUid"),
    ("pydicom-data/JLSL_16_15_1_1F.dcm", "MissingUid"),
    ("pydicom-data/JLSL_RGB_ILV0.dcm", "MissingUid"),
    ("pydicom-data/JLSL_RGB_ILV1.dcm", "MissingUid"),
    ("pydicom-data/JLSL_RGB_ILV2.dcm", "MissingUid"),
    ("pydicom-data/JLSN_RGB_ILV0.dcm", "MissingUid"),
    ("pydicom-data/bad_sequence.dcm", "BadUid"),
    ("pydicom/charset_files/chrSQEncoding.dcm", "MissingUid"),
    ("pydicom/charset_files/chrSQEncoding1.dcm", "MissingUid"),
    ("pydicom/test_files/JPEGLSNearLossless_08.dcm", "MissingUid"),
    ("pydicom/test_files/JPEGLSNearLossless_16.dcm", "MissingUid"),
    ("pydicom/test_files/MR_truncated.dcm", "Truncated"),
    ("pydicom/test_files/SC_rgb_jls_lossy_line.dcm", "MissingUid"),
    ("pydicom/test_files/SC_rgb_jls_lossy_sample.dcm", "MissingUid"),
    ("pydicom/test_files/UN_sequence.dcm", "MissingUid"),
    ("pydicom/test_files/badVR.dcm", "AttributeValue"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR", "Directory"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-bigEnd", "Directory"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-empty.dcm", "Directory"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-implicit", "Directory"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-nooffset", "Overruns"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-nopatient", "Directory"),
    ("pydicom/test_files/dicomdirtests/DICOMDIR-reordered", "Directory"),
    (
        "pydicom/test_files/dicomdirtests/TINY_ALPHA/DICOMDIR",
        "Directory",
    ),
    ("pydicom/test_files/empty_charset_LEI.dcm", "MissingUid"),
    ("pydicom/test_files/meta_missing_tsyntax.dcm", "NotDicom"),
    ("pydicom/test_files/nested_priv_SQ.dcm", "AttributeMissing"),
    ("pydicom/test_files/no_meta.dcm", "NotDicom"),
    ("pydicom/test_files/no_meta_group_length.dcm", "MissingUid"),
    ("pydicom/test_files/priv_SQ.dcm", "MissingUid"),
    ("pydicom/test_files/rtplan_truncated.dcm", "Truncated"),
    ("wado/wadors/metadata", "NotDicom"),
];

fn word(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

fn read(path: &Path) -> Result<(Scan, Instance), String> {
    let mut file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let found = scan(&mut file, len).map_err(|e| {
        eprintln!("{}: {e}", path.display());
        word(&e)
    })?;
    let header = found.read_header(&mut file).unwrap();
    let instance = index(&found, &header).map_err(|e| {
        eprintln!("{}: {e}", path.display());
        word(&e)
    })?;
    Ok((found, instance))
}

fn compare(line: &Line, found: &Scan, instance: &Instance, differ: &mut Vec<String>) {
    let file = &line["file"];
    let mut same = |column: &str, ours: String| {
        let theirs = &line[column];
        if *theirs != ours {
            differ.push(format!("{file}: {column} is {ours}, pydicom says {theirs}"));
        }
    };
    if !line["transfer_syntax"].is_empty() {
        same("transfer_syntax", instance.transfer_syntax.clone());
    }
    same("Modality", instance.modality.clone().unwrap_or_default());
    let class = instance.sop_class.as_ref().map(|c| c.to_string());
    same("SOPClassUID", class.unwrap_or_default());
    let Some(image) = &instance.image else { return };
    same("Rows", image.rows.to_string());
    same("Columns", image.columns.to_string());
    same("BitsAllocated", image.bits_allocated.to_string());
    if !line["BitsStored"].is_empty() {
        same("BitsStored", image.bits_stored.to_string());
    }
    same("SamplesPerPixel", image.samples.to_string());
    same("PhotometricInterpretation", image.photometric.clone());
    if !line["NumberOfFrames"].is_empty() {
        same("NumberOfFrames", image.frames.to_string());
    }
    assert_eq!(found.frames(), image.frames, "{file}");
}

/// Each frame lies in the file, behind the header, and no two share a byte.
fn frames_are_apart(file: &str, found: &Scan, size: u64) -> bool {
    let mut last = 0;
    for n in 0..found.frames() {
        let Ok(frame) = found.frame(n) else { return false };
        for range in &frame.ranges {
            assert!(range.start <= range.end && range.end <= size, "{file} frame {n}");
            let shared = u64::from(frame.first_bit > 0);
            assert!(range.start + shared >= last, "{file} frame {n}");
            last = range.end;
        }
        assert!(!frame.is_empty(), "{file} frame {n}");
    }
    true
}

#[test]
fn every_file_is_indexed_or_refused_for_a_known_reason() {
    let Some(data) = data() else { return };
    let mut refused = BTreeMap::new();
    let mut differ = Vec::new();
    let mut unclear = Vec::new();
    let mut indexed = 0;
    for line in catalogue(&data) {
        let file = line["file"].clone();
        match read(&data.join(&file)) {
            Ok((found, instance)) => {
                indexed += 1;
                compare(&line, &found, &instance, &mut differ);
                let size: u64 = line["size"].parse().unwrap();
                if !frames_are_apart(&file, &found, size) {
                    unclear.push(file);
                }
            }
            Err(word) => {
                refused.insert(file, word);
            }
        }
    }
    let table: String = refused
        .iter()
        .map(|(f, w)| format!("    (\"{f}\", \"{w}\"),\n"))
        .collect();
    let known: BTreeMap<String, String> = REFUSED
        .iter()
        .map(|(f, w)| ((*f).to_owned(), (*w).to_owned()))
        .collect();
    println!("{indexed} indexed, {} refused:\n{table}", refused.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(refused, known, "the table of refusals is now:\n{table}");
    assert_eq!(unclear, UNCLEAR);
}

/// Files whose frames have no place in the file, or cannot be told apart.
const UNCLEAR: &[&str] = &[
    "pydicom/test_files/image_dfl.dcm",
    "wado/CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm",
];

/// The real series: 80 slices that belong together.
#[test]
fn a_real_series_hangs_together() {
    let Some(data) = data() else { return };
    let folder = data.join("series-mr-t1w");
    let mut instances = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "dcm") || path.extension().is_none() {
            let (found, instance) = read(&path).unwrap();
            assert!(matches!(
                found.pixel,
                Some(PixelData::Native { len: 210_432, .. })
            ));
            assert_ne!(found.preamble, Preamble::Absent);
            instances.push(instance);
        }
    }
    assert_eq!(instances.len(), 80);
    let first = &instances[0];
    assert!(instances.iter().all(|i| i.series_uid == first.series_uid));
    let mut numbers: Vec<_> = instances.iter().map(|i| i.instance_number.unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 80);
    let image = first.image.as_ref().unwrap();
    assert!(image.position.is_some() && image.orientation.is_some() && image.spacing.is_some());
}
