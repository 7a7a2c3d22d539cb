//! The header index of one instance, from the header bytes alone.
//!
//! Lives here: whose image it is, where it belongs, how its pixels are to be shown, and the header as DICOM JSON. The
//! parser (`dicom-object`) sees only bytes that the scan has let through, never pixels.
//! Never here: a guess about identity: what is missing is `None`, what is wrong is a [`Flaw`], and without the three
//! UIDs there is no instance. Called by ingest, and by whoever rebuilds an index from the kept bytes.

mod codes;
mod fields;
mod json;
mod source;
mod text;
mod tree;

pub use codes::Uid;
pub use fields::{FramePlace, Spacing, SpacingSource, Window};
pub use json::Bulk;

use crate::scan::{Odd, Scan};
use dicom_core::{Tag, VR};
use dicom_object::InMemDicomObject;
use source::HeaderSource;
use std::fmt;
use thiserror::Error;
use tree::Tree;

/// Why there is no instance. No value of the header is in the text.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The bytes are not those that were scanned.
    #[error("the header has {found} bytes, the scan found {wanted}; scan and index the same file")]
    OtherBytes {
        /// Bytes given.
        found: u64,
        /// Bytes scanned.
        wanted: u64,
    },
    /// The parser does not see what the scan saw.
    #[error(
        "the header was not understood beyond byte {offset}; keep the file, it shows a fault in this reader"
    )]
    Parse {
        /// Where the parser stopped.
        offset: u64,
    },
    /// A UID without which an instance cannot be kept (PS3.3 §C.7, Type 1).
    #[error("{tag} is missing or empty; have the sender mend it")]
    MissingUid {
        /// Which.
        tag: Tag,
    },
    /// A UID that is none (PS3.5 §9.1): longer than 64, or with anything but digits and single dots.
    #[error("{tag} is no UID; have the sender mend it")]
    BadUid {
        /// Which.
        tag: Tag,
    },
    /// Something other than one instance, such as a DICOMDIR.
    #[error("the file is a directory of media (DICOMDIR), not an instance; send the files that it lists")]
    Directory,
}

/// What is wrong with the header and was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// A component of a UID begins with 0 (PS3.5 §9.1).
    LeadingZero(Tag),
    /// A character set is not known; its text was read as ISO 8859-1.
    UnknownCharset,
    /// Text beyond ASCII without a character set that allows it.
    UndeclaredText(Tag),
    /// A value that is not what its representation says; it is left out of the fields, and kept in the JSON.
    BadValue(Tag),
    /// Group 0002 and the data set differ.
    MetaDiffers(Tag),
    /// There are more places of frames than frames, or fewer.
    FramePlaces,
}

/// A person's name (PS3.5 §6.2.1): up to three groups, each `family^given^middle^prefix^suffix`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PersonName {
    /// In the alphabet; empty where there is none.
    pub alphabetic: String,
    /// In ideographs.
    pub ideographic: String,
    /// As it sounds.
    pub phonetic: String,
}

impl fmt::Debug for PersonName {
    /// Never the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(…)")
    }
}

/// Whose the image says it is.
#[derive(Clone, Default, PartialEq)]
pub struct PatientHeader {
    /// `(0010,0020)`.
    pub id: Option<String>,
    /// `(0010,0021)`.
    pub issuer: Option<String>,
    /// `(0010,0010)`.
    pub name: Option<PersonName>,
    /// `(0010,0030)` as `YYYYMMDD`.
    pub birth_date: Option<String>,
    /// `(0010,0040)`.
    pub sex: Option<String>,
    /// `(0010,1002)` and the retired `(0010,1000)`: ids and who issued them.
    pub other_ids: Vec<(String, Option<String>)>,
}

impl fmt::Debug for PatientHeader {
    /// Never whose.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatientHeader(…)")
    }
}

/// How the pixels are to be read and shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageHeader {
    /// Frames; 1 where the header does not say.
    pub frames: u32,
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
    /// Samples of a pixel.
    pub samples: u16,
    /// Photometric interpretation.
    pub photometric: String,
    /// Samples plane after plane.
    pub planar: bool,
    /// Bits that a sample takes.
    pub bits_allocated: u16,
    /// Bits of it that count.
    pub bits_stored: u16,
    /// The highest that counts.
    pub high_bit: u16,
    /// Two's complement.
    pub signed: bool,
    /// Millimetres between pixels, and how far they can be trusted.
    pub spacing: Option<Spacing>,
    /// Slope and intercept `(0028,1053)`, `(0028,1052)`.
    pub rescale: Option<(f64, f64)>,
    /// `(0028,1054)`, such as `HU`.
    pub rescale_type: Option<String>,
    /// Whether a Modality LUT `(0028,3000)` takes the place of slope and intercept.
    pub modality_lut: bool,
    /// The windows to show, the first is the default.
    pub windows: Vec<Window>,
    /// `(0028,1056)`: `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.
    pub voi_function: Option<String>,
    /// Whether VOI LUTs `(0028,3010)` are there.
    pub voi_lut: bool,
    /// `(0028,0120)`, the value that is no image.
    pub padding: Option<i32>,
    /// Millimetres, the centre of the first pixel (PS3.3 §C.7.6.2).
    pub position: Option<[f64; 3]>,
    /// Direction cosines of a row and a column.
    pub orientation: Option<[f64; 6]>,
    /// `(0020,1041)` in millimetres.
    pub slice_location: Option<f64>,
    /// `(0018,0050)` in millimetres.
    pub slice_thickness: Option<f64>,
    /// `(0018,1063)`, milliseconds from frame to frame.
    pub frame_time_ms: Option<f64>,
    /// Whether something was lost `(0028,2110)`; `None` where the header does not say.
    pub lossy: Option<bool>,
    /// How many times smaller each loss made it `(0028,2112)`.
    pub lossy_ratios: Vec<f64>,
    /// `(0008,0008)`.
    pub image_type: Vec<String>,
    /// Whether names may be drawn into the pixels `(0028,0301)`; `None` where the header does not say.
    pub burned_in: Option<bool>,
    /// Of an enhanced multi-frame image: where each frame lies `(5200,9230)`. Empty otherwise.
    pub places: Vec<FramePlace>,
}

/// What the header of one instance says.
#[derive(Clone, PartialEq)]
pub struct Instance {
    /// `(0020,000D)`.
    pub study_uid: Uid,
    /// `(0020,000E)`.
    pub series_uid: Uid,
    /// `(0008,0018)`.
    pub sop_uid: Uid,
    /// `(0008,0016)`, or else of group 0002.
    pub sop_class: Option<Uid>,
    /// What the data set is written in: as found, not only as stated.
    pub transfer_syntax: String,
    /// Whose it says it is.
    pub patient: PatientHeader,
    /// `(0008,0050)`.
    pub accession: Option<String>,
    /// `(0008,0020)` as `YYYYMMDD`.
    pub study_date: Option<String>,
    /// `(0008,0030)` as `HHMMSS` with up to six digits behind a point.
    pub study_time: Option<String>,
    /// `(0008,1030)`.
    pub study_description: Option<String>,
    /// `(0020,0010)`.
    pub study_id: Option<String>,
    /// `(0008,0090)`.
    pub referring: Option<PersonName>,
    /// `(0008,0060)`.
    pub modality: Option<String>,
    /// `(0020,0011)`.
    pub series_number: Option<i64>,
    /// `(0008,103E)`.
    pub series_description: Option<String>,
    /// `(0008,0021)`.
    pub series_date: Option<String>,
    /// `(0008,0031)`.
    pub series_time: Option<String>,
    /// `(0018,0015)`.
    pub body_part: Option<String>,
    /// `(0020,0060)`, or else `(0020,0062)` of the image.
    pub laterality: Option<String>,
    /// `(0018,5101)`.
    pub view: Option<String>,
    /// `(0020,0052)`.
    pub frame_of_reference: Option<Uid>,
    /// `(0020,0013)`.
    pub instance_number: Option<i64>,
    /// `(0020,0012)`.
    pub acquisition_number: Option<i64>,
    /// `(0008,0022)`, or else the date of `(0008,002A)`.
    pub acquisition_date: Option<String>,
    /// `(0008,0032)`, or else the time of `(0008,002A)`.
    pub acquisition_time: Option<String>,
    /// `(0008,0023)`.
    pub content_date: Option<String>,
    /// `(0008,0033)`.
    pub content_time: Option<String>,
    /// `(0008,0070)`.
    pub manufacturer: Option<String>,
    /// `(0008,1010)`.
    pub station: Option<String>,
    /// The pixels; `None` where there are none.
    pub image: Option<ImageHeader>,
    /// The header in the DICOM JSON model (PS3.18 Annex F), without bulk.
    pub json: serde_json::Value,
    /// What was left out of the JSON.
    pub bulk: Vec<Bulk>,
    /// What is wrong with it.
    pub flaws: Vec<Flaw>,
}

impl fmt::Debug for Instance {
    /// What identifies the instance, never whose it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("sop_uid", &self.sop_uid)
            .field("sop_class", &self.sop_class)
            .field("transfer_syntax", &self.transfer_syntax)
            .field("image", &self.image.is_some())
            .field("flaws", &self.flaws)
            .finish_non_exhaustive()
    }
}

/// The header in the DICOM JSON model, and what was left out of it: also of what is no instance, because a UID is missing.
pub fn header_json(scan: &Scan, header: &[u8]) -> Result<(serde_json::Value, Vec<Bulk>), IndexError> {
    let object = parse(scan, header)?;
    Ok(json::model(&Tree::top(&object, &mut Vec::new())))
}

/// A value that [`header_json`] left out, by its [`Bulk::path`], as it stands in the header; `None` where there is none.
///
/// # Errors
/// As [`header_json`].
pub fn value(scan: &Scan, header: &[u8], path: &str) -> Result<Option<(VR, Vec<u8>)>, IndexError> {
    let object = parse(scan, header)?;
    let mut within = Some(&object);
    let mut parts = path.split('/');
    while let (Some(object), Some(tag)) = (within, parts.next()) {
        let element = json::tag(tag).and_then(|tag| object.element_opt(tag).ok().flatten());
        let Some(element) = element else { break };
        match parts.next() {
            Some(item) => {
                let item = item.parse::<usize>().ok();
                within = item.and_then(|n| element.items()?.get(n));
            }
            None => return Ok(tree::bytes(element).map(|b| (element.vr(), b.to_vec()))),
        }
    }
    Ok(None)
}

/// Reads the header of an instance: `header` are the bytes of [`Scan::header`], as [`Scan::read_header`] gives them.
pub fn index(scan: &Scan, header: &[u8]) -> Result<Instance, IndexError> {
    if scan.meta.sop_class.as_deref() == Some(codes::DIRECTORY) {
        return Err(IndexError::Directory);
    }
    let object = parse(scan, header)?;
    let mut flaws = Vec::new();
    let top = Tree::top(&object, &mut flaws);
    let mut instance = fields::instance(scan, &top, flaws)?;
    let (json, bulk) = json::model(&top);
    instance.json = json;
    instance.bulk = bulk;
    Ok(instance)
}

fn parse(scan: &Scan, header: &[u8]) -> Result<InMemDicomObject, IndexError> {
    let wanted = scan.header.end - scan.header.start;
    let found = header.len() as u64;
    if found != wanted {
        return Err(IndexError::OtherBytes { found, wanted });
    }
    let signed = scan.geometry.as_ref().is_some_and(|g| g.signed);
    let mut source = HeaderSource::new(
        header,
        scan.header.start,
        scan.coding,
        &scan.unknown_sequences,
        signed,
    );
    let object = InMemDicomObject::read_dataset(&mut source);
    let offset = dicom_parser::StatefulDecode::position(&source);
    match object {
        Ok(object) if source.is_over() || scan.is_odd(Odd::TrailingBytes) => Ok(object),
        _ => Err(IndexError::Parse { offset }),
    }
}
