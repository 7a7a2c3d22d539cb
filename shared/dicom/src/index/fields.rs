//! The fields of an instance, out of its header.
//!
//! Lives here: which element a field comes from, and from where else in an enhanced multi-frame image, whose functional
//! groups (PS3.3 §C.7.6.16) hold what single frames have at the top. Never here: text decoding. Called by
//! [`super::index`].

use super::codes::Uid;
use super::tree::{Tree, add};
use super::{Flaw, ImageHeader, IndexError, Instance, PatientHeader};
use crate::scan::{Geometry, Scan};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// How far a spacing can be trusted (PS3.3 §10.7).
#[derive(Debug, Clone, PartialEq)]
pub enum SpacingSource {
    /// `(0028,0030)` in the patient: of a tomographic image.
    Patient,
    /// `(0028,0030)` of a projection, calibrated: `FIDUCIAL`, `GEOMETRY`, or not said how.
    Calibrated(Option<String>),
    /// `(0018,1164)` at the detector: things in the patient are smaller. With the estimated magnification
    /// `(0018,1114)`, by which it is to be divided, where the header has it.
    Detector(Option<f64>),
    /// `(0018,2010)`, of a scanned film.
    Scanned,
}

/// Millimetres from the centre of a pixel to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Spacing {
    /// From row to row.
    pub row_mm: f64,
    /// From column to column.
    pub column_mm: f64,
    /// What it is measured at.
    pub source: SpacingSource,
}

/// A window (PS3.3 §C.11.2.1.2), in the units behind the rescale.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its centre.
    pub center: f64,
    /// Its width, greater than 0.
    pub width: f64,
    /// `(0028,1055)`.
    pub explanation: Option<String>,
}

/// Where a frame of an enhanced image lies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FramePlace {
    /// Millimetres, the centre of the first pixel.
    pub position: Option<[f64; 3]>,
    /// Direction cosines of a row and a column.
    pub orientation: Option<[f64; 6]>,
    /// `(0020,9157)`: the frame's place in each dimension.
    pub index: Vec<u32>,
}

fn need(tree: &Tree<'_>, tag: Tag, flaws: &mut Vec<Flaw>) -> Result<Uid, IndexError> {
    let text = tree.text(tag).ok_or(IndexError::MissingUid { tag })?;
    let uid = Uid::new(&text).ok_or(IndexError::BadUid { tag })?;
    if uid.has_leading_zero() {
        add(flaws, Flaw::LeadingZero(tag));
    }
    Ok(uid)
}

fn patient(tree: &Tree<'_>, flaws: &mut Vec<Flaw>) -> PatientHeader {
    let mut other_ids: Vec<(String, Option<String>)> = tree
        .items(tags::OTHER_PATIENT_I_DS_SEQUENCE)
        .filter_map(|i| Some((i.text(tags::PATIENT_ID)?, i.text(tags::ISSUER_OF_PATIENT_ID))))
        .collect();
    let retired = tree.texts(Tag(0x0010, 0x1000)).into_iter();
    other_ids.extend(retired.filter(|t| !t.is_empty()).map(|t| (t, None)));
    PatientHeader {
        id: tree.text(tags::PATIENT_ID),
        issuer: tree.text(tags::ISSUER_OF_PATIENT_ID),
        name: tree.name(tags::PATIENT_NAME),
        birth_date: tree.date(tags::PATIENT_BIRTH_DATE, flaws),
        sex: tree.text(tags::PATIENT_SEX),
        other_ids,
    }
}

/// Everything but the JSON.
pub fn instance(scan: &Scan, tree: &Tree<'_>, mut flaws: Vec<Flaw>) -> Result<Instance, IndexError> {
    let f = &mut flaws;
    let sop_uid = need(tree, tags::SOP_INSTANCE_UID, f)?;
    let study_uid = need(tree, tags::STUDY_INSTANCE_UID, f)?;
    let series_uid = need(tree, tags::SERIES_INSTANCE_UID, f)?;
    let sop_class = match need(tree, tags::SOP_CLASS_UID, f) {
        Ok(uid) => Some(uid),
        Err(IndexError::MissingUid { .. }) => scan.meta.sop_class.as_deref().and_then(Uid::new),
        Err(bad) => return Err(bad),
    };
    let differs = |meta: &Option<String>, own: Option<&Uid>| {
        meta.as_deref()
            .is_some_and(|m| own.is_some_and(|o| o.as_str() != m))
    };
    if differs(&scan.meta.sop_instance, Some(&sop_uid)) {
        add(f, Flaw::MetaDiffers(tags::SOP_INSTANCE_UID));
    }
    if differs(&scan.meta.sop_class, sop_class.as_ref()) {
        add(f, Flaw::MetaDiffers(tags::SOP_CLASS_UID));
    }
    let frame_of_reference = need(tree, tags::FRAME_OF_REFERENCE_UID, f);
    if matches!(frame_of_reference, Err(IndexError::BadUid { .. })) {
        add(f, Flaw::BadValue(tags::FRAME_OF_REFERENCE_UID));
    }
    let moment = tree.text(tags::ACQUISITION_DATE_TIME);
    let of_moment = |from: usize, to: usize| moment.as_deref().and_then(|m| m.get(from..to.min(m.len())));
    let acquisition_date = tree
        .date(tags::ACQUISITION_DATE, f)
        .or_else(|| of_moment(0, 8).and_then(super::codes::date));
    let acquisition_time = tree.time(tags::ACQUISITION_TIME, f).or_else(|| {
        let time = of_moment(8, usize::MAX)?.split(['+', '-', '&']).next()?;
        super::codes::time(time)
    });
    let image = scan.geometry.as_ref().map(|g| image(tree, g, f));
    Ok(Instance {
        study_uid,
        series_uid,
        sop_uid,
        sop_class,
        transfer_syntax: scan.transfer_syntax().to_owned(),
        patient: patient(tree, f),
        accession: tree.text(tags::ACCESSION_NUMBER),
        study_date: tree.date(tags::STUDY_DATE, f),
        study_time: tree.time(tags::STUDY_TIME, f),
        study_description: tree.text(tags::STUDY_DESCRIPTION),
        study_id: tree.text(tags::STUDY_ID),
        referring: tree.name(tags::REFERRING_PHYSICIAN_NAME),
        modality: tree.text(tags::MODALITY),
        series_number: tree.integer(tags::SERIES_NUMBER, f),
        series_description: tree.text(tags::SERIES_DESCRIPTION),
        series_date: tree.date(tags::SERIES_DATE, f),
        series_time: tree.time(tags::SERIES_TIME, f),
        body_part: tree.text(tags::BODY_PART_EXAMINED),
        laterality: tree
            .text(tags::LATERALITY)
            .or_else(|| tree.text(tags::IMAGE_LATERALITY)),
        view: tree.text(tags::VIEW_POSITION),
        frame_of_reference: frame_of_reference.ok(),
        instance_number: tree.integer(tags::INSTANCE_NUMBER, f),
        acquisition_number: tree.integer(tags::ACQUISITION_NUMBER, f),
        acquisition_date,
        acquisition_time,
        content_date: tree.date(tags::CONTENT_DATE, f),
        content_time: tree.time(tags::CONTENT_TIME, f),
        manufacturer: tree.text(tags::MANUFACTURER),
        station: tree.text(tags::STATION_NAME),
        image,
        json: serde_json::Value::Null,
        bulk: Vec::new(),
        flaws,
    })
}

/// The groups where an attribute may be in an enhanced image: the top, what is shared, what the first frame has.
struct Places<'a, 't> {
    top: &'t Tree<'a>,
    groups: Vec<Tree<'a>>,
}

impl<'a> Places<'a, '_> {
    /// Reads from the top, or else from this sequence of the functional groups.
    fn find<T>(&self, sequence: Tag, read: impl Fn(&Tree<'a>) -> Option<T>) -> Option<T> {
        read(self.top).or_else(|| {
            let mut inner = self.groups.iter().flat_map(|g| g.items(sequence));
            inner.find_map(|i| read(&i))
        })
    }
}

fn image(tree: &Tree<'_>, geometry: &Geometry, flaws: &mut Vec<Flaw>) -> ImageHeader {
    let shared = tree.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).next();
    let per_frame = tree.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).next();
    let places = Places {
        top: tree,
        groups: shared.into_iter().chain(per_frame).collect(),
    };
    // One list of flaws for closures that each read something else.
    let own = std::cell::RefCell::new(std::mem::take(flaws));
    let decimal = |t: &Tree<'_>, tag| t.decimal(tag, &mut own.borrow_mut());
    let slope = |t: &Tree<'_>| {
        Some((
            decimal(t, tags::RESCALE_SLOPE)?,
            decimal(t, tags::RESCALE_INTERCEPT)?,
        ))
    };
    let transformation = tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE;
    let voi = tags::FRAME_VOILUT_SEQUENCE;
    let measures = tags::PIXEL_MEASURES_SEQUENCE;
    let position = |t: &Tree<'_>| t.exactly(tags::IMAGE_POSITION_PATIENT, &mut own.borrow_mut());
    let orientation = |t: &Tree<'_>| t.exactly(tags::IMAGE_ORIENTATION_PATIENT, &mut own.borrow_mut());
    let frames: Vec<FramePlace> = tree
        .items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
        .map(|g| FramePlace {
            position: g.items(tags::PLANE_POSITION_SEQUENCE).find_map(|i| position(&i)),
            orientation: g
                .items(tags::PLANE_ORIENTATION_SEQUENCE)
                .find_map(|i| orientation(&i)),
            index: g
                .items(tags::FRAME_CONTENT_SEQUENCE)
                .next()
                .map(|i| i.longs(tags::DIMENSION_INDEX_VALUES))
                .unwrap_or_default(),
        })
        .collect();
    if !frames.is_empty() && frames.len() != geometry.frames as usize {
        add(&mut own.borrow_mut(), Flaw::FramePlaces);
    }
    let yes_no = |tag, yes: &str, no: &str| match tree.text(tag) {
        Some(t) if t == yes => Some(true),
        Some(t) if t == no => Some(false),
        _ => None,
    };
    let image = ImageHeader {
        frames: geometry.frames,
        rows: geometry.rows,
        columns: geometry.columns,
        samples: geometry.samples,
        photometric: geometry.photometric.clone(),
        planar: geometry.planar,
        bits_allocated: geometry.bits_allocated,
        bits_stored: geometry.bits_stored,
        high_bit: geometry.high_bit,
        signed: geometry.signed,
        spacing: places.find(measures, |t| spacing(t, &mut own.borrow_mut())),
        rescale: places.find(transformation, slope),
        rescale_type: places.find(transformation, |t| t.text(tags::RESCALE_TYPE)),
        modality_lut: tree.items(tags::MODALITY_LUT_SEQUENCE).next().is_some(),
        windows: places
            .find(voi, |t| windows(t, &mut own.borrow_mut()))
            .unwrap_or_default(),
        voi_function: places.find(voi, |t| t.text(tags::VOILUT_FUNCTION)),
        voi_lut: places
            .find(voi, |t| t.items(tags::VOILUT_SEQUENCE).next().map(|_| ()))
            .is_some(),
        padding: tree.short(tags::PIXEL_PADDING_VALUE),
        position: places.find(tags::PLANE_POSITION_SEQUENCE, position),
        orientation: places.find(tags::PLANE_ORIENTATION_SEQUENCE, orientation),
        slice_location: decimal(tree, tags::SLICE_LOCATION),
        slice_thickness: places.find(measures, |t| decimal(t, tags::SLICE_THICKNESS)),
        frame_time_ms: decimal(tree, tags::FRAME_TIME),
        lossy: yes_no(tags::LOSSY_IMAGE_COMPRESSION, "01", "00"),
        lossy_ratios: tree.decimals(tags::LOSSY_IMAGE_COMPRESSION_RATIO, &mut own.borrow_mut()),
        image_type: tree.texts(tags::IMAGE_TYPE),
        burned_in: yes_no(tags::BURNED_IN_ANNOTATION, "YES", "NO"),
        places: frames,
    };
    *flaws = own.into_inner();
    image
}

/// The spacing, and at what it was measured (PS3.3 §10.7.1.3): of a projection whose two spacings are equal, and which
/// names no calibration, it is the detector's.
fn spacing(tree: &Tree<'_>, flaws: &mut Vec<Flaw>) -> Option<Spacing> {
    let mut pair = |tag| {
        let [row_mm, column_mm] = tree.exactly::<2>(tag, flaws)?;
        if row_mm > 0.0 && column_mm > 0.0 {
            return Some((row_mm, column_mm));
        }
        add(flaws, Flaw::BadValue(tag));
        None
    };
    let patient = pair(tags::PIXEL_SPACING);
    let detector = pair(tags::IMAGER_PIXEL_SPACING);
    let scanned = pair(tags::NOMINAL_SCANNED_PIXEL_SPACING);
    let calibration = tree.text(tags::PIXEL_SPACING_CALIBRATION_TYPE);
    let magnification = tree
        .decimal(tags::ESTIMATED_RADIOGRAPHIC_MAGNIFICATION_FACTOR, flaws)
        .filter(|m| *m > 0.0);
    let ((row_mm, column_mm), source) = match (patient, detector, scanned) {
        (Some(p), d, _) if calibration.is_some() || d.is_some_and(|d| d != p) => {
            (p, SpacingSource::Calibrated(calibration))
        }
        (_, Some(d), _) => (d, SpacingSource::Detector(magnification)),
        (Some(p), None, _) => (p, SpacingSource::Patient),
        (None, None, Some(s)) => (s, SpacingSource::Scanned),
        (None, None, None) => return None,
    };
    Some(Spacing {
        row_mm,
        column_mm,
        source,
    })
}

/// Pairs of centre and width; `None` without any.
fn windows(tree: &Tree<'_>, flaws: &mut Vec<Flaw>) -> Option<Vec<Window>> {
    let centers = tree.decimals(tags::WINDOW_CENTER, flaws);
    let widths = tree.decimals(tags::WINDOW_WIDTH, flaws);
    if centers.len() != widths.len() || widths.iter().any(|w| *w <= 0.0) {
        add(flaws, Flaw::BadValue(tags::WINDOW_WIDTH));
    }
    let mut explanations = tree.texts(tags::WINDOW_CENTER_WIDTH_EXPLANATION).into_iter();
    let pairs: Vec<Window> = centers
        .into_iter()
        .zip(widths)
        .map(|(center, width)| Window {
            center,
            width,
            explanation: explanations.next().filter(|e| !e.is_empty()),
        })
        .filter(|w| w.width > 0.0)
        .collect();
    (!pairs.is_empty()).then_some(pairs)
}
