//! The headers of phantoms.
//!
//! Lives here: the modules of each IOD (PS3.3 Annex A) as far as readers need them. Never here: pixels. Called by
//! [`super`].

use super::{Kind, Phantom};
use crate::write::DataSet;
use dicom_core::VR;
use dicom_dictionary_std::tags as t;

/// Millimetres from slice to slice.
const STEP_MM: f64 = 1.25;

pub fn header(phantom: &Phantom, file: u32) -> DataSet {
    let mut d = DataSet::new();
    who(phantom, file, &mut d);
    pixels(phantom, &mut d);
    match phantom.kind {
        Kind::Ct | Kind::CtSigned | Kind::Mr | Kind::MrSigned => slice(phantom, file, &mut d),
        Kind::Cr | Kind::CrInverse => radiograph(&mut d),
        Kind::UsCine | Kind::UsColor => cine(phantom, &mut d),
        Kind::EnhancedCt => enhanced(phantom, &mut d),
        Kind::Rgb => {
            d.text(t::CONVERSION_TYPE, VR::CS, "WSD");
        }
        Kind::Palette => palette(&mut d),
    }
    d
}

fn who(phantom: &Phantom, file: u32, d: &mut DataSet) {
    let s = &phantom.subject;
    let (modality, description) = match phantom.kind {
        Kind::Ct | Kind::CtSigned | Kind::EnhancedCt => ("CT", "Trunk, phantom"),
        Kind::Cr | Kind::CrInverse => ("CR", "Chest PA, phantom"),
        Kind::Mr | Kind::MrSigned => ("MR", "Head, phantom"),
        Kind::UsCine | Kind::UsColor => ("US", "Echo, phantom"),
        Kind::Rgb | Kind::Palette => ("OT", "Capture, phantom"),
    };
    d.text(t::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
        .text(t::SOP_CLASS_UID, VR::UI, phantom.sop_class())
        .text(t::SOP_INSTANCE_UID, VR::UI, &phantom.sop_uid(file))
        .text(t::STUDY_DATE, VR::DA, &s.study_date)
        .text(t::SERIES_DATE, VR::DA, &s.study_date)
        .text(t::CONTENT_DATE, VR::DA, &s.study_date)
        .text(t::STUDY_TIME, VR::TM, &s.study_time)
        .text(t::SERIES_TIME, VR::TM, &s.study_time)
        .text(t::CONTENT_TIME, VR::TM, &s.study_time)
        .text_or_empty(t::ACCESSION_NUMBER, VR::SH, s.accession.as_deref())
        .text(t::MODALITY, VR::CS, modality)
        .text(t::MANUFACTURER, VR::LO, "Vitrine phantom")
        .text_or_empty(t::REFERRING_PHYSICIAN_NAME, VR::PN, s.referring.as_deref())
        .text_or_empty(t::STUDY_DESCRIPTION, VR::LO, s.study_description.as_deref())
        .text(t::SERIES_DESCRIPTION, VR::LO, description)
        .text(t::PATIENT_NAME, VR::PN, &s.name)
        .text(t::PATIENT_ID, VR::LO, &s.id)
        .text_or_empty(t::PATIENT_BIRTH_DATE, VR::DA, s.birth_date.as_deref())
        .text_or_empty(t::PATIENT_SEX, VR::CS, s.sex.as_deref())
        .text(t::STUDY_INSTANCE_UID, VR::UI, &phantom.study_uid())
        .text(t::SERIES_INSTANCE_UID, VR::UI, &phantom.series_uid())
        .text(t::STUDY_ID, VR::SH, "1")
        .is(t::SERIES_NUMBER, 1)
        .is(t::INSTANCE_NUMBER, i64::from(file) + 1);
    if let Some(issuer) = &s.issuer {
        d.text(t::ISSUER_OF_PATIENT_ID, VR::LO, issuer);
    }
}

fn pixels(phantom: &Phantom, d: &mut DataSet) {
    let (photometric, samples, allocated, stored, signed) = match phantom.kind {
        Kind::Ct | Kind::Mr | Kind::EnhancedCt => ("MONOCHROME2", 1, 16, 12, 0),
        Kind::CtSigned | Kind::MrSigned => ("MONOCHROME2", 1, 16, 16, 1),
        Kind::Cr => ("MONOCHROME2", 1, 16, 14, 0),
        Kind::CrInverse => ("MONOCHROME1", 1, 16, 14, 0),
        Kind::UsCine => ("MONOCHROME2", 1, 8, 8, 0),
        Kind::Rgb | Kind::UsColor => ("RGB", 3, 8, 8, 0),
        Kind::Palette => ("PALETTE COLOR", 1, 8, 8, 0),
    };
    d.us(t::SAMPLES_PER_PIXEL, &[samples])
        .text(t::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric)
        .us(t::ROWS, &[phantom.rows])
        .us(t::COLUMNS, &[phantom.columns])
        .us(t::BITS_ALLOCATED, &[allocated])
        .us(t::BITS_STORED, &[stored])
        .us(t::HIGH_BIT, &[stored - 1])
        .us(t::PIXEL_REPRESENTATION, &[signed])
        .text(t::BURNED_IN_ANNOTATION, VR::CS, "NO")
        .text(t::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    if samples == 3 {
        d.us(t::PLANAR_CONFIGURATION, &[0]);
    }
    if phantom.is_multi_frame() {
        d.is(t::NUMBER_OF_FRAMES, i64::from(phantom.count));
    }
}

/// Where a slice lies: the middle of the phantom is the middle of the room, the first slice is at the feet.
fn position(phantom: &Phantom, slice: u32, spacing: f64) -> [f64; 3] {
    let x = -(f64::from(phantom.columns) - 1.0) / 2.0 * spacing;
    let y = -(f64::from(phantom.rows) - 1.0) / 2.0 * spacing;
    let z = (f64::from(slice) - (f64::from(phantom.count) - 1.0) / 2.0) * STEP_MM;
    [x, y, z]
}

const AXIAL: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

fn spacing(phantom: &Phantom) -> f64 {
    // As wide as a trunk or a head, in steps that a decimal holds.
    let width_um = if matches!(phantom.kind, Kind::Mr | Kind::MrSigned) {
        230_400.0
    } else {
        360_448.0
    };
    (width_um / f64::from(phantom.columns.max(1))).round() / 1000.0
}

fn slice(phantom: &Phantom, file: u32, d: &mut DataSet) {
    let spacing = spacing(phantom);
    let at = position(phantom, file, spacing);
    d.text(t::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .text(
            t::FRAME_OF_REFERENCE_UID,
            VR::UI,
            &phantom.frame_of_reference_uid(),
        )
        .text(t::POSITION_REFERENCE_INDICATOR, VR::LO, "")
        .text(t::PATIENT_POSITION, VR::CS, "HFS")
        .is(t::ACQUISITION_NUMBER, 1)
        .ds(t::SLICE_THICKNESS, &[STEP_MM])
        .ds(t::IMAGE_POSITION_PATIENT, &at)
        .ds(t::IMAGE_ORIENTATION_PATIENT, &AXIAL)
        .ds(t::SLICE_LOCATION, &[at[2]])
        .ds(t::PIXEL_SPACING, &[spacing, spacing]);
    if matches!(phantom.kind, Kind::Mr | Kind::MrSigned) {
        let center = if phantom.kind == Kind::Mr { 500.0 } else { 300.0 };
        d.text(t::BODY_PART_EXAMINED, VR::CS, "HEAD")
            .text(t::SCANNING_SEQUENCE, VR::CS, "GR")
            .text(t::SEQUENCE_VARIANT, VR::CS, "SP")
            .text(t::SCAN_OPTIONS, VR::CS, "")
            .text(t::MR_ACQUISITION_TYPE, VR::CS, "3D")
            .ds(t::ECHO_TIME, &[2.4])
            .ds(t::REPETITION_TIME, &[8.1])
            .ds(t::WINDOW_CENTER, &[center])
            .ds(t::WINDOW_WIDTH, &[900.0]);
        return;
    }
    let intercept = if phantom.kind == Kind::CtSigned {
        0.0
    } else {
        -1024.0
    };
    d.text(t::BODY_PART_EXAMINED, VR::CS, "CHEST")
        .ds(t::KVP, &[120.0])
        .ds(t::RESCALE_INTERCEPT, &[intercept])
        .ds(t::RESCALE_SLOPE, &[1.0])
        .text(t::RESCALE_TYPE, VR::LO, "HU")
        .ds(t::WINDOW_CENTER, &[40.0, -500.0])
        .ds(t::WINDOW_WIDTH, &[400.0, 1500.0])
        .text(t::WINDOW_CENTER_WIDTH_EXPLANATION, VR::LO, "SOFT\\LUNG");
}

fn radiograph(d: &mut DataSet) {
    d.text(t::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY")
        .text(t::BODY_PART_EXAMINED, VR::CS, "CHEST")
        .text(t::VIEW_POSITION, VR::CS, "PA")
        .text(t::PATIENT_ORIENTATION, VR::CS, "L\\F")
        .ds(t::IMAGER_PIXEL_SPACING, &[0.144, 0.144])
        .ds(t::ESTIMATED_RADIOGRAPHIC_MAGNIFICATION_FACTOR, &[1.1])
        .ds(t::WINDOW_CENTER, &[8000.0])
        .ds(t::WINDOW_WIDTH, &[14000.0]);
}

fn cine(phantom: &Phantom, d: &mut DataSet) {
    // A depth of 16 cm over the rows. 3 is centimetre (PS3.3 §C.8.5.5.1.15).
    let step_cm = 16.0 / f64::from(phantom.rows.max(1));
    let mut region = DataSet::new();
    region
        .us(t::REGION_SPATIAL_FORMAT, &[1])
        .us(t::REGION_DATA_TYPE, &[1])
        .ul(t::REGION_FLAGS, &[0])
        .ul(t::REGION_LOCATION_MIN_X0, &[0])
        .ul(t::REGION_LOCATION_MIN_Y0, &[0])
        .ul(
            t::REGION_LOCATION_MAX_X1,
            &[u32::from(phantom.columns).saturating_sub(1)],
        )
        .ul(
            t::REGION_LOCATION_MAX_Y1,
            &[u32::from(phantom.rows).saturating_sub(1)],
        )
        .us(t::PHYSICAL_UNITS_X_DIRECTION, &[3])
        .us(t::PHYSICAL_UNITS_Y_DIRECTION, &[3])
        .fd(t::PHYSICAL_DELTA_X, &[step_cm])
        .fd(t::PHYSICAL_DELTA_Y, &[step_cm]);
    d.text(t::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY")
        .text(t::PATIENT_ORIENTATION, VR::CS, "")
        .items(t::SEQUENCE_OF_ULTRASOUND_REGIONS, vec![region])
        .ds(t::FRAME_TIME, &[33.3])
        .bytes(t::FRAME_INCREMENT_POINTER, VR::AT, vec![0x18, 0, 0x63, 0x10]);
}

fn item(fill: impl FnOnce(&mut DataSet)) -> Vec<DataSet> {
    let mut d = DataSet::new();
    fill(&mut d);
    vec![d]
}

fn enhanced(phantom: &Phantom, d: &mut DataSet) {
    let spacing = spacing(phantom);
    let shared = item(|s| {
        s.items(
            t::PIXEL_MEASURES_SEQUENCE,
            item(|m| {
                m.ds(t::SLICE_THICKNESS, &[STEP_MM])
                    .ds(t::PIXEL_SPACING, &[spacing, spacing]);
            }),
        )
        .items(
            t::PLANE_ORIENTATION_SEQUENCE,
            item(|o| {
                o.ds(t::IMAGE_ORIENTATION_PATIENT, &AXIAL);
            }),
        )
        .items(
            t::FRAME_VOILUT_SEQUENCE,
            item(|v| {
                v.ds(t::WINDOW_CENTER, &[40.0]).ds(t::WINDOW_WIDTH, &[400.0]);
            }),
        )
        .items(
            t::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
            item(|p| {
                p.ds(t::RESCALE_INTERCEPT, &[-1024.0])
                    .ds(t::RESCALE_SLOPE, &[1.0])
                    .text(t::RESCALE_TYPE, VR::LO, "HU");
            }),
        );
    });
    let per_frame = (0..phantom.count).map(|n| {
        let mut f = DataSet::new();
        f.items(
            t::FRAME_CONTENT_SEQUENCE,
            item(|c| {
                c.ul(t::DIMENSION_INDEX_VALUES, &[1, n + 1]);
            }),
        )
        .items(
            t::PLANE_POSITION_SEQUENCE,
            item(|p| {
                p.ds(t::IMAGE_POSITION_PATIENT, &position(phantom, n, spacing));
            }),
        );
        f
    });
    d.text(t::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\VOLUME\\NONE")
        .text(t::BODY_PART_EXAMINED, VR::CS, "CHEST")
        .text(
            t::FRAME_OF_REFERENCE_UID,
            VR::UI,
            &phantom.frame_of_reference_uid(),
        )
        .items(t::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, shared)
        .items(t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, per_frame.collect());
}

/// From black over red and yellow to white.
fn palette(d: &mut DataSet) {
    let ramp = |from: u16| -> Vec<u8> {
        (0..256u16)
            .map(|n| n.saturating_sub(from).saturating_mul(3).min(255) * 257)
            .flat_map(u16::to_le_bytes)
            .collect()
    };
    d.text(t::CONVERSION_TYPE, VR::CS, "WSD")
        .us(t::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, &[256, 0, 16])
        .us(t::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, &[256, 0, 16])
        .us(t::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, &[256, 0, 16])
        .bytes(t::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, VR::OW, ramp(0))
        .bytes(t::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, VR::OW, ramp(85))
        .bytes(t::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, VR::OW, ramp(170));
}
