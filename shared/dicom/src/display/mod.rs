//! What a viewer needs of one frame, out of a header in DICOM JSON.
//!
//! Lives here: how stored values become grey or colour (`levels`, `palette`), what a distance means (`measure`), in which
//! order a stack is scrolled (`order`), whose image it is. What is not finite, contradicts itself or lacks a
//! part is left out and noted, never guessed; no window is made up. Never here: pixels, their geometry, the renderer's
//! defaults. Called by the server, which sends it with each frame, and by the workstation for what it reads itself.

mod beside;
mod levels;
mod measure;
mod order;
mod palette;
mod read;

pub use beside::{Beside, beside};
pub use levels::{Lut, Padding, Rescale, Voi, Window};
pub use measure::{Region, Spacing, SpacingSource};
pub use order::{By, Gap, Group, Ordered, Place, order, place};
pub use palette::Palette;

use dicom_dictionary_std::tags as t;
use read::Look;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Of images of many frames: how fast they follow each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cine {
    /// Milliseconds from frame to frame `(0018,1063)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_time_ms: Option<f64>,
    /// Milliseconds from the frame before to this one: its entry of the vector `(0018,1065)`, 0 for the first. All
    /// frames' together are the vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_last_ms: Option<f64>,
    /// Frames a second `(0018,0040)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Frames a second at which to show it `(0008,2144)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommended: Option<f64>,
}

/// What was lost before the image came here `(0028,2110)`. The transfer syntax is not in the header: who knows that it is
/// lossy says so, whatever this says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lossy {
    /// Whether anything was.
    pub lossy: bool,
    /// How many times smaller each loss made it `(0028,2112)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<f64>,
    /// By what `(0028,2114)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

/// How one frame is shown and measured. What the header does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Display {
    /// Photometric interpretation `(0028,0004)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photometric: Option<String>,
    /// Whether the lowest value of grey is white: MONOCHROME1, which is what a Presentation LUT Shape of INVERSE says too.
    #[serde(default)]
    pub inverse: bool,
    /// From stored values to values of a unit. Absent where a modality table takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescale: Option<Rescale>,
    /// The same by a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality_lut: Option<Lut>,
    /// The windows to choose from, the first is the default. Without any the renderer finds its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How they are applied.
    #[serde(default)]
    pub voi: Voi,
    /// An alternative to the windows, the first that the header has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voi_lut: Option<Lut>,
    /// Of PALETTE COLOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub palette: Option<Palette>,
    /// Stored values that are no image: background, and no part of a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// Absent: nothing can be measured in millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<Spacing>,
    /// How many times higher than wide a pixel is; absent: as high as wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect: Option<f64>,
    /// Of the first pixel's centre in millimetres: left, back and head are positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<[f64; 3]>,
    /// Direction cosines of a row and a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<[f64; 6]>,
    /// Where the edges of the image are in the patient `(0020,0020)`: towards the right and the bottom, such as `L`, `F`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_orientation: Option<[String; 2]>,
    /// Positions compare only within it `(0020,0052)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_of_reference: Option<String>,
    /// Of the slice, in millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thickness: Option<f64>,
    /// From slice to slice in millimetres `(0018,0088)`: as stated; [`order()`] measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing_between: Option<f64>,
    /// `(0020,0013)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// When the frame was acquired, as DICOM writes it: `HHMMSS.F` (TM), or with a date before it (DT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired: Option<String>,
    /// `L`, `R`, `B` or `U`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laterality: Option<String>,
    /// Such as `PA` `(0018,5101)`, or what the view's code means `(0054,0220)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// `(0008,0008)`, of an enhanced image the frame's own `(0008,9007)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_type: Vec<String>,
    /// Absent: the header does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossy: Option<Lossy>,
    /// Whether names may be drawn into the pixels `(0028,0301)`. Absent: the header does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burned_in: Option<bool>,
    /// Of more than one frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cine: Option<Cine>,
    /// Of ultrasound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// What was there and was ignored, for people. No value of the header is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whose image it says it is, for the corner of the viewer.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Family name, a comma, the other parts; of the first group of `(0010,0010)` that is there: alphabet, ideographs, sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `(0010,0020)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `(0010,0021)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `(0010,0030)` as `YYYYMMDD`; absent where it is no date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// `(0010,0040)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
}

impl fmt::Debug for Who {
    /// Never who.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Who(…)")
    }
}

/// No bulk values at hand.
fn nothing(_: &str) -> Option<Vec<u8>> {
    None
}

/// How frame `frame` (from 1) of a header in DICOM JSON is shown. Tables that the header only points to are left out and
/// noted; [`display_with`] reads them.
#[must_use]
pub fn display(header: &Value, frame: u32) -> Display {
    display_with(header, frame, &nothing)
}

/// The same; `bulk` has the bytes of a value that the header points to, by its path ([`crate::index::Bulk::path`]), little
/// endian.
#[must_use]
pub fn display_with(header: &Value, frame: u32, bulk: &dyn Fn(&str) -> Option<Vec<u8>>) -> Display {
    let look = Look::new(header, frame, bulk);
    let photometric = look.root.text(t::PHOTOMETRIC_INTERPRETATION);
    let modality_lut = levels::modality_lut(&look);
    let voi = levels::voi(&look);
    let regions = measure::regions(&look);
    let spacing = measure::spacing(&look, &regions);
    let orientation = measure::orientation(&look);
    let measured = |tag| {
        let mut levels = look.levels(t::PIXEL_MEASURES_SEQUENCE);
        levels.find_map(|l| look.positive(l, tag))
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut display = Display {
        photometric: owned(photometric),
        inverse: inverse(&look, photometric),
        rescale: levels::rescale(&look).filter(|_| modality_lut.is_none()),
        windows: levels::windows(&look, voi),
        voi,
        voi_lut: levels::voi_lut(&look),
        palette: palette::palette(&look),
        padding: levels::padding(&look),
        aspect: measure::aspect(&look, spacing.as_ref()),
        position: measure::position(&look, orientation.as_ref()),
        patient_orientation: patient_orientation(&look),
        frame_of_reference: owned(look.root.text(t::FRAME_OF_REFERENCE_UID)),
        thickness: measured(t::SLICE_THICKNESS),
        spacing_between: measured(t::SPACING_BETWEEN_SLICES),
        number: look.root.whole(t::INSTANCE_NUMBER),
        acquired: acquired(&look),
        laterality: laterality(&look),
        view: view(&look),
        image_type: image_type(&look),
        lossy: lossy(&look),
        burned_in: burned_in(&look),
        cine: cine(&look),
        modality_lut,
        spacing,
        orientation,
        regions,
        notes: Vec::new(),
    };
    display.notes = look.notes();
    display
}

fn inverse(look: &Look<'_>, photometric: Option<&str>) -> bool {
    let inverse = photometric == Some("MONOCHROME1");
    let is_grey = inverse || photometric == Some("MONOCHROME2");
    match look.root.text(t::PRESENTATION_LUT_SHAPE) {
        Some("INVERSE") if is_grey && !inverse => {
            look.note("Presentation LUT Shape ignored: not as the pixels")
        }
        Some("IDENTITY") if inverse => look.note("Presentation LUT Shape ignored: not as the pixels"),
        _ => {}
    }
    inverse
}

fn patient_orientation(look: &Look<'_>) -> Option<[String; 2]> {
    let texts = look.root.texts(t::PATIENT_ORIENTATION);
    let ok = texts.len() == 2
        && texts
            .iter()
            .all(|t| (1..=3).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_uppercase()));
    let both: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    both.try_into().ok().filter(|_| ok)
}

fn acquired(look: &Look<'_>) -> Option<String> {
    let own = look
        .group(t::FRAME_CONTENT_SEQUENCE)
        .and_then(|c| c.text(t::FRAME_ACQUISITION_DATE_TIME));
    let top = || {
        look.root
            .text(t::ACQUISITION_TIME)
            .or_else(|| look.root.text(t::ACQUISITION_DATE_TIME))
    };
    let text = own.or_else(top)?;
    let ok = text.len() >= 2
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':' | b'+' | b'-'));
    if !ok {
        look.note("acquisition time ignored: not a time");
    }
    Some(text.to_owned()).filter(|_| ok)
}

fn laterality(look: &Look<'_>) -> Option<String> {
    let own = look
        .group(t::FRAME_ANATOMY_SEQUENCE)
        .and_then(|a| a.text(t::FRAME_LATERALITY));
    let found = own
        .or_else(|| look.root.text(t::IMAGE_LATERALITY))
        .or_else(|| look.root.text(t::LATERALITY))?;
    if !matches!(found, "L" | "R" | "B" | "U") {
        look.note("laterality ignored: none that is known");
        return None;
    }
    Some(found.to_owned())
}

fn view(look: &Look<'_>) -> Option<String> {
    let code = || {
        look.root
            .items(t::VIEW_CODE_SEQUENCE)
            .next()?
            .text(t::CODE_MEANING)
    };
    look.root.text(t::VIEW_POSITION).or_else(code).map(str::to_owned)
}

fn image_type(look: &Look<'_>) -> Vec<String> {
    let own = [
        t::CT_IMAGE_FRAME_TYPE_SEQUENCE,
        t::MR_IMAGE_FRAME_TYPE_SEQUENCE,
        t::XAXRF_FRAME_CHARACTERISTICS_SEQUENCE,
        t::PET_FRAME_TYPE_SEQUENCE,
    ];
    let own = own
        .into_iter()
        .filter_map(|s| look.group(s))
        .map(|g| g.texts(t::FRAME_TYPE))
        .find(|texts| !texts.is_empty());
    let texts = own.unwrap_or_else(|| look.root.texts(t::IMAGE_TYPE));
    texts.into_iter().map(str::to_owned).collect()
}

fn lossy(look: &Look<'_>) -> Option<Lossy> {
    let lossy = match look.root.text(t::LOSSY_IMAGE_COMPRESSION)? {
        "01" => true,
        "00" => false,
        _ => {
            look.note("lossy compression ignored: neither 00 nor 01");
            return None;
        }
    };
    let ratios = look
        .numbers(look.root, t::LOSSY_IMAGE_COMPRESSION_RATIO)
        .unwrap_or_default();
    let methods = look.root.texts(t::LOSSY_IMAGE_COMPRESSION_METHOD);
    Some(Lossy {
        lossy,
        ratios: ratios.into_iter().filter(|r| *r > 0.0).collect(),
        methods: methods.into_iter().map(str::to_owned).collect(),
    })
}

fn burned_in(look: &Look<'_>) -> Option<bool> {
    match look.root.text(t::BURNED_IN_ANNOTATION)? {
        "YES" => Some(true),
        "NO" => Some(false),
        _ => None,
    }
}

fn cine(look: &Look<'_>) -> Option<Cine> {
    if look.frames < 2 {
        return None;
    }
    let vector = look.numbers(look.root, t::FRAME_TIME_VECTOR);
    let since_last_ms = vector.and_then(|v| {
        if v.len() != look.frames as usize || v.iter().skip(1).any(|t| *t < 0.0) {
            look.note("frame time vector ignored: not a time for each frame");
            return None;
        }
        if look.frame == 1 {
            return Some(0.0);
        }
        v.get(look.frame.checked_sub(1)? as usize).copied()
    });
    let cine = Cine {
        frame_time_ms: look.positive(look.root, t::FRAME_TIME),
        since_last_ms,
        rate: look.positive(look.root, t::CINE_RATE),
        recommended: look.positive(look.root, t::RECOMMENDED_DISPLAY_FRAME_RATE),
    };
    (cine != Cine::default()).then_some(cine)
}

/// Whose image a header in DICOM JSON says it is.
#[must_use]
pub fn who(header: &Value) -> Who {
    let look = Look::new(header, 1, &nothing);
    let text = |tag| look.root.text(tag).map(str::to_owned);
    let name = look.root.values(t::PATIENT_NAME).first();
    let group = |group: &str| {
        let text = name?.get(group)?.as_str()?;
        Some(spoken(text)).filter(|n| !n.is_empty())
    };
    let is_date = |d: &String| d.len() == 8 && d.bytes().all(|b| b.is_ascii_digit());
    Who {
        name: group("Alphabetic")
            .or_else(|| group("Ideographic"))
            .or_else(|| group("Phonetic")),
        id: text(t::PATIENT_ID),
        issuer: text(t::ISSUER_OF_PATIENT_ID),
        birth_date: text(t::PATIENT_BIRTH_DATE).filter(is_date),
        sex: text(t::PATIENT_SEX),
    }
}

/// `family^given^middle^prefix^suffix` as it is read (PS3.5 §6.2.1.1).
fn spoken(group: &str) -> String {
    let mut parts = group.split('^').map(str::trim);
    let family = parts.next().unwrap_or_default().to_owned();
    let [given, middle, prefix, suffix] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let others: Vec<&str> = [prefix, given, middle, suffix]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    match (family.is_empty(), others.is_empty()) {
        (_, true) => family,
        (true, false) => others.join(" "),
        (false, false) => format!("{family}, {}", others.join(" ")),
    }
}
