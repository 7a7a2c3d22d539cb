//! Millimetres: what a distance on the screen means, and what it does not.
//!
//! Lives here: the spacing of pixels and at what it was measured (PS3.3 §10.7), regions of ultrasound (§C.8.5.5), the
//! shape of a pixel (§C.7.6.3.1.7), where the plane lies (§C.7.6.2). A spacing whose plane nobody knows is never said to
//! be the patient's. Never here: a measurement. Called by [`super`].

use super::read::{Look, Set};
use dicom_core::Tag;
use dicom_dictionary_std::tags as t;
use serde::{Deserialize, Serialize};

/// What a spacing was measured at. In JSON a phrase, which the viewer shows beside every length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum SpacingSource {
    /// `pixel spacing`: in the patient, of a tomographic plane.
    Patient,
    /// `calibrated: …`: of a projection, corrected for a depth in the patient; `GEOMETRY`, `FIDUCIAL`, or `not said how`.
    Calibrated(String),
    /// `imager`: at the detector. Things in the patient are smaller, by a magnification that mostly nobody knows.
    Imager,
    /// `nominal`: of a scanned film.
    Nominal,
    /// `ultrasound region`: in the patient, within the regions only.
    UltrasoundRegion,
    /// `plane unknown`: of a projection or a capture that does not say whether it was corrected.
    Unknown,
}

impl From<SpacingSource> for String {
    fn from(source: SpacingSource) -> Self {
        match source {
            SpacingSource::Patient => "pixel spacing".to_owned(),
            SpacingSource::Calibrated(how) => format!("calibrated: {how}"),
            SpacingSource::Imager => "imager".to_owned(),
            SpacingSource::Nominal => "nominal".to_owned(),
            SpacingSource::UltrasoundRegion => "ultrasound region".to_owned(),
            SpacingSource::Unknown => "plane unknown".to_owned(),
        }
    }
}

impl From<String> for SpacingSource {
    /// What is not known is the least trusted.
    fn from(text: String) -> Self {
        match text.as_str() {
            "pixel spacing" => Self::Patient,
            "imager" => Self::Imager,
            "nominal" => Self::Nominal,
            "ultrasound region" => Self::UltrasoundRegion,
            other => match other.strip_prefix("calibrated: ") {
                Some(how) => Self::Calibrated(how.to_owned()),
                None => Self::Unknown,
            },
        }
    }
}

/// Millimetres from the centre of a pixel to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spacing {
    /// From row to row.
    pub row_mm: f64,
    /// From column to column.
    pub column_mm: f64,
    /// What it was measured at.
    pub source: SpacingSource,
    /// Of `imager`: the estimated magnification `(0018,1114)`, by which lengths are to be divided. The spacing is as it
    /// stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub magnification: Option<f64>,
}

/// A region of an ultrasound image (PS3.3 §C.8.5.5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Left, top, right, bottom, in pixels from 0, all within the region.
    pub bounds: [u32; 4],
    /// `2d`, `m-mode`, `spectral`, `waveform`, `graphics` or `other`.
    pub kind: String,
    /// Of a step to the right: `mm`, `s`, `hz`, `mm/s`, … or absent where the standard's code has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_x: Option<String>,
    /// Of a step down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_y: Option<String>,
    /// What a step to the right is, in its unit; may be negative.
    pub step_x: f64,
    /// What a step down is.
    pub step_y: f64,
    /// Where zero lies, in pixels from the left and top of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero: Option<[i64; 2]>,
}

/// Modalities of projections: their pixels have no one depth.
const PROJECTIONS: &[&str] = &["CR", "DX", "MG", "IO", "PX", "XA", "RF", "RG"];

fn pair(look: &Look<'_>, set: Set<'_>, tag: Tag) -> Option<(f64, f64)> {
    let [row, column] = look.exactly::<2>(set, tag)?;
    if row > 0.0 && column > 0.0 {
        return Some((row, column));
    }
    look.note(format!("{tag} ignored: not above 0"));
    None
}

/// Equal but for rounding: a part in a thousand changes no measurement.
fn same(a: (f64, f64), b: (f64, f64)) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b;
    near(a.0, b.0) && near(a.1, b.1)
}

pub fn spacing(look: &Look<'_>, regions: &[Region]) -> Option<Spacing> {
    if let Some((row_mm, column_mm)) = of_regions(look, regions) {
        return Some(Spacing {
            row_mm,
            column_mm,
            source: SpacingSource::UltrasoundRegion,
            magnification: None,
        });
    }
    let root = look.root;
    let mut measures = look.levels(t::PIXEL_MEASURES_SEQUENCE);
    let pixel = measures.find_map(|l| pair(look, l, t::PIXEL_SPACING));
    let imager = pair(look, root, t::IMAGER_PIXEL_SPACING);
    let nominal = pair(look, root, t::NOMINAL_SCANNED_PIXEL_SPACING);
    let how = root.text(t::PIXEL_SPACING_CALIBRATION_TYPE);
    let uncorrected = match (imager, nominal) {
        (Some(i), _) => Some((i, SpacingSource::Imager)),
        (None, Some(n)) => Some((n, SpacingSource::Nominal)),
        (None, None) => None,
    };
    let ((row_mm, column_mm), source) = match (pixel, uncorrected) {
        (Some(p), _) if how.is_some() => (p, SpacingSource::Calibrated(how.unwrap_or_default().to_owned())),
        (Some(p), Some((u, source))) if same(p, u) => (u, source),
        (Some(p), Some(_)) => (p, SpacingSource::Calibrated("not said how".to_owned())),
        (Some(p), None) if is_plane(look) => (p, SpacingSource::Patient),
        (Some(p), None) => (p, SpacingSource::Unknown),
        (None, Some(found)) => found,
        (None, None) => return None,
    };
    let magnification = (source == SpacingSource::Imager)
        .then(|| look.positive(root, t::ESTIMATED_RADIOGRAPHIC_MAGNIFICATION_FACTOR))
        .flatten();
    Some(Spacing {
        row_mm,
        column_mm,
        source,
        magnification,
    })
}

/// Whether Pixel Spacing is a distance in the patient: of a plane, not of a projection, a capture or an ultrasound image.
fn is_plane(look: &Look<'_>) -> bool {
    let modality = look.root.text(t::MODALITY).unwrap_or_default();
    let class = look.root.text(t::SOP_CLASS_UID).unwrap_or_default();
    let capture = "1.2.840.10008.5.1.4.1.1.7";
    let is_capture = class
        .strip_prefix(capture)
        .is_some_and(|r| r.is_empty() || r.starts_with('.'));
    let is_placed = look
        .levels(t::PLANE_ORIENTATION_SEQUENCE)
        .any(|l| !l.values(t::IMAGE_ORIENTATION_PATIENT).is_empty());
    !PROJECTIONS.contains(&modality) && (is_placed || !(is_capture || matches!(modality, "US" | "OT" | "")))
}

/// Of the regions in two dimensions, if all have one spacing; they rule in ultrasound (PS3.3 §C.8.5.5.1.15).
fn of_regions(look: &Look<'_>, regions: &[Region]) -> Option<(f64, f64)> {
    let mm = Some("mm");
    let mut planes = regions
        .iter()
        .filter(|r| r.kind == "2d" && r.unit_x.as_deref() == mm && r.unit_y.as_deref() == mm)
        .map(|r| (r.step_y.abs(), r.step_x.abs()));
    let first = planes.next()?;
    if planes.all(|p| same(p, first)) {
        return Some(first);
    }
    look.note("regions differ in spacing: each has its own");
    None
}

pub fn regions(look: &Look<'_>) -> Vec<Region> {
    let all = look.root.items(t::SEQUENCE_OF_ULTRASOUND_REGIONS).take(64);
    all.filter_map(|r| {
        let found = region(look, r);
        if found.is_none() {
            look.note("an ultrasound region was ignored: bounds or steps are missing or wrong");
        }
        found
    })
    .collect()
}

fn region(look: &Look<'_>, item: Set<'_>) -> Option<Region> {
    let at = |tag| u32::try_from(item.whole(tag)?).ok();
    let [left, top, right, bottom] = [
        at(t::REGION_LOCATION_MIN_X0)?,
        at(t::REGION_LOCATION_MIN_Y0)?,
        at(t::REGION_LOCATION_MAX_X1)?,
        at(t::REGION_LOCATION_MAX_Y1)?,
    ];
    let step = |tag| look.number(item, tag).filter(|n| *n != 0.0);
    let (step_x, step_y) = (step(t::PHYSICAL_DELTA_X)?, step(t::PHYSICAL_DELTA_Y)?);
    if left > right || top > bottom {
        return None;
    }
    let (unit_x, factor_x) = physical(item.whole(t::PHYSICAL_UNITS_X_DIRECTION));
    let (unit_y, factor_y) = physical(item.whole(t::PHYSICAL_UNITS_Y_DIRECTION));
    let kind = match item.whole(t::REGION_SPATIAL_FORMAT) {
        Some(1) => "2d",
        Some(2) => "m-mode",
        Some(3) => "spectral",
        Some(4) => "waveform",
        Some(5) => "graphics",
        _ => "other",
    };
    let zero = item
        .whole(t::REFERENCE_PIXEL_X0)
        .zip(item.whole(t::REFERENCE_PIXEL_Y0));
    Some(Region {
        bounds: [left, top, right, bottom],
        kind: kind.to_owned(),
        unit_x: unit_x.map(str::to_owned),
        unit_y: unit_y.map(str::to_owned),
        step_x: step_x * factor_x,
        step_y: step_y * factor_y,
        zero: zero.map(|(x, y)| [x, y]),
    })
}

/// Codes of PS3.3 §C.8.5.5.1.15; centimetres become millimetres.
fn physical(code: Option<i64>) -> (Option<&'static str>, f64) {
    match code {
        Some(1) => (Some("%"), 1.0),
        Some(2) => (Some("dB"), 1.0),
        Some(3) => (Some("mm"), 10.0),
        Some(4) => (Some("s"), 1.0),
        Some(5) => (Some("Hz"), 1.0),
        Some(6) => (Some("dB/s"), 1.0),
        Some(7) => (Some("mm/s"), 10.0),
        Some(8) => (Some("mm²"), 100.0),
        Some(9) => (Some("mm²/s"), 100.0),
        Some(10) => (Some("mm³"), 1000.0),
        Some(11) => (Some("mm³/s"), 1000.0),
        Some(12) => (Some("°"), 1.0),
        _ => (None, 1.0),
    }
}

/// How many times higher than wide a pixel is.
pub fn aspect(look: &Look<'_>, spacing: Option<&Spacing>) -> Option<f64> {
    let by_spacing = spacing.map(|s| s.row_mm / s.column_mm);
    let stated = look
        .exactly::<2>(look.root, t::PIXEL_ASPECT_RATIO)
        .and_then(|[vertical, horizontal]| {
            let ok = vertical > 0.0 && horizontal > 0.0;
            if !ok {
                look.note("pixel aspect ratio ignored: not above 0");
            }
            ok.then(|| vertical / horizontal)
        });
    // The steps of ultrasound regions are for measuring; the header's own word on the shape goes first there.
    let is_region = spacing.is_some_and(|s| s.source == SpacingSource::UltrasoundRegion);
    let found = if is_region {
        stated.or(by_spacing)
    } else {
        by_spacing.or(stated)
    };
    found.filter(|a| a.is_finite() && *a > 0.0)
}

/// Where the first pixel's centre lies, in millimetres. What stands at the top of a file of many frames is the first
/// frame's alone, unless a dose grid says how far the others are (PS3.3 §C.8.8.3.2).
pub fn position(look: &Look<'_>, orientation: Option<&[f64; 6]>) -> Option<[f64; 3]> {
    let of = |set| look.exactly::<3>(set, t::IMAGE_POSITION_PATIENT);
    if let Some(own) = look.group(t::PLANE_POSITION_SEQUENCE).and_then(of) {
        return Some(own);
    }
    let top = of(look.root)?;
    if look.frames == 1 {
        return Some(top);
    }
    let offsets = look.numbers(look.root, t::GRID_FRAME_OFFSET_VECTOR);
    let Some(offsets) = offsets else {
        return (look.frame == 1).then_some(top);
    };
    // Relative ones begin with 0; others are places along the axis.
    if offsets.len() != look.frames as usize || offsets.first() != Some(&0.0) {
        look.note("grid frame offsets ignored: not one for each frame, or not relative");
        return (look.frame == 1).then_some(top);
    }
    let far = *offsets.get(look.frame.checked_sub(1)? as usize)?;
    let [nx, ny, nz] = normal(orientation?);
    let [x, y, z] = top;
    Some([x + far * nx, y + far * ny, z + far * nz])
}

/// Direction cosines of a row and a column, if they are two unit vectors at a right angle.
pub fn orientation(look: &Look<'_>) -> Option<[f64; 6]> {
    let mut levels = look.levels(t::PLANE_ORIENTATION_SEQUENCE);
    let found = levels.find_map(|l| look.exactly::<6>(l, t::IMAGE_ORIENTATION_PATIENT))?;
    if is_orientation(&found) {
        return Some(found);
    }
    look.note("orientation ignored: not two unit vectors at a right angle");
    None
}

/// To a hundredth, as decimals are rounded.
pub fn is_orientation(cosines: &[f64; 6]) -> bool {
    let [a, b, c, d, e, f] = cosines;
    let row = a * a + b * b + c * c;
    let column = d * d + e * e + f * f;
    let between = a * d + b * e + c * f;
    (row - 1.0).abs() < 0.02 && (column - 1.0).abs() < 0.02 && between.abs() < 0.01
}

/// The direction in which slices follow each other.
pub fn normal(cosines: &[f64; 6]) -> [f64; 3] {
    let [a, b, c, d, e, f] = cosines;
    [b * f - c * e, c * d - a * f, a * e - b * d]
}
