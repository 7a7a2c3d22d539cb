//! How headers are shown, rule by rule, on headers made for it and on the product's phantoms.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Cursor;
use vitrine_dicom::display::{By, Place, SpacingSource, Voi, display, order, place, who};
use vitrine_dicom::phantom::{Kind, Phantom};
use vitrine_dicom::{index, scan};

/// A header of attributes, each its tag, VR and values.
fn header(attributes: &[(&str, &str, Value)]) -> Value {
    let each = attributes
        .iter()
        .map(|(tag, vr, values)| ((*tag).to_owned(), json!({"vr": vr, "Value": values})));
    Value::Object(each.collect())
}

#[test]
fn what_contradicts_itself_is_left_out_and_noted() {
    let d = display(
        &header(&[
            ("00281050", "DS", json!([40, 50])),
            ("00281051", "DS", json!([400])),
            ("00281053", "DS", json!([0])),
            ("00281052", "DS", json!([-1024])),
            ("00280030", "DS", json!([0, 0.5])),
            ("00200037", "DS", json!([1, 0, 0, 1, 0, 0])),
            ("00200032", "DS", json!([1, "NaN", 3])),
            ("00180050", "DS", json!([-1])),
        ]),
        1,
    );
    assert!(d.windows.is_empty() && d.rescale.is_none() && d.spacing.is_none());
    assert!(d.orientation.is_none() && d.position.is_none() && d.thickness.is_none());
    assert_eq!(d.notes.len(), 6, "{:?}", d.notes);
}

#[test]
fn spacing_says_at_what_it_was_measured() {
    let source = |modality: &str, more: &[(&str, &str, Value)]| {
        let mut all = vec![("00080060", "CS", json!([modality]))];
        all.extend_from_slice(more);
        display(&header(&all), 1).spacing.map(|s| s.source)
    };
    let pixel = |mm: f64| ("00280030", "DS", json!([mm, mm]));
    let imager = |mm: f64| ("00181164", "DS", json!([mm, mm]));
    let how = ("00280A02", "CS", json!(["FIDUCIAL"]));
    let film = |mm: f64| ("00182010", "DS", json!([mm, mm]));
    use SpacingSource::{Calibrated, Imager, Nominal, Patient, Unknown};
    for (modality, more, expected) in [
        ("CT", vec![pixel(0.5)], Some(Patient)),
        ("CR", vec![pixel(0.5)], Some(Unknown)),
        ("OT", vec![pixel(0.5)], Some(Unknown)),
        ("DX", vec![imager(0.2)], Some(Imager)),
        ("DX", vec![imager(0.2), pixel(0.2)], Some(Imager)),
        (
            "DX",
            vec![imager(0.2), pixel(0.18)],
            Some(Calibrated("not said how".into())),
        ),
        (
            "DX",
            vec![imager(0.2), pixel(0.2), how.clone()],
            Some(Calibrated("FIDUCIAL".into())),
        ),
        (
            "CR",
            vec![pixel(0.18), how.clone()],
            Some(Calibrated("FIDUCIAL".into())),
        ),
        ("OT", vec![film(0.1)], Some(Nominal)),
        ("OT", vec![film(0.1), pixel(0.1)], Some(Nominal)),
        ("CR", vec![how], None),
    ] {
        assert_eq!(source(modality, &more), expected, "{modality} {more:?}");
    }
}

#[test]
fn windows_of_each_function() {
    let of = |function: &str, width: f64| {
        let h = [
            ("00281050", "DS", json!([1])),
            ("00281051", "DS", json!([width])),
            ("00281056", "CS", json!([function])),
        ];
        let d = display(&header(&h), 1);
        (d.voi, d.windows.len())
    };
    assert_eq!(of("LINEAR", 1.0), (Voi::Linear, 1));
    assert_eq!(of("LINEAR", 0.5), (Voi::Linear, 0));
    assert_eq!(of("LINEAR_EXACT", 0.5), (Voi::LinearExact, 1));
    assert_eq!(of("SIGMOID", 0.0), (Voi::Sigmoid, 0));
}

#[test]
fn signs_of_padding_follow_the_pixels() {
    let of = |vr: &str, signed: u8| {
        let h = [
            ("00280103", "US", json!([signed])),
            ("00280120", vr, json!([63_536])),
        ];
        display(&header(&h), 1).padding.unwrap().low
    };
    assert_eq!((of("US", 1), of("US", 0)), (-2000, 63_536));
}

#[test]
fn names_are_read_and_never_printed() {
    let h = header(&[
        (
            "00100010",
            "PN",
            json!([{"Alphabetic": "Doe^Jane^Q^Dr", "Ideographic": "山田"}]),
        ),
        ("00100020", "LO", json!(["7"])),
        ("00100030", "DA", json!(["ANON"])),
    ]);
    let who = who(&h);
    assert_eq!(who.name.as_deref(), Some("Doe, Dr Jane Q"));
    assert_eq!((who.id.as_deref(), who.birth_date.as_deref()), (Some("7"), None));
    assert_eq!(format!("{who:?}"), "Who(…)");
}

fn phantom(kind: Kind, file: u32) -> Value {
    let phantom = Phantom {
        rows: 32,
        columns: 32,
        count: 6,
        ..Phantom::new(kind, 5)
    };
    let mut bytes = Vec::new();
    phantom.write(file, &mut bytes).unwrap();
    let found = scan(&mut Cursor::new(&bytes), bytes.len() as u64).unwrap();
    let header = found.read_header(&mut Cursor::new(&bytes)).unwrap();
    index(&found, &header).unwrap().json
}

#[test]
fn phantoms_are_shown() {
    let ct = display(&phantom(Kind::Ct, 2), 1);
    let rescale = ct.rescale.unwrap();
    assert_eq!((rescale.slope, rescale.intercept), (1.0, -1024.0));
    assert_eq!(ct.windows[1].name.as_deref(), Some("LUNG"));
    assert_eq!(ct.spacing.unwrap().source, SpacingSource::Patient);
    let enhanced = phantom(Kind::EnhancedCt, 0);
    let last = display(&enhanced, 6);
    assert_eq!(last.position.unwrap()[2], 3.125);
    assert_eq!(
        (last.windows.len(), last.thickness, last.notes.len()),
        (1, Some(1.25), 0)
    );
    assert_eq!(last.rescale.unwrap().unit.as_deref(), Some("HU"));
    assert_eq!(display(&enhanced, 7).notes, ["there is no such frame"]);
    let cr = display(&phantom(Kind::CrInverse, 0), 1);
    assert!(cr.inverse);
    let spacing = cr.spacing.unwrap();
    assert_eq!(
        (spacing.source, spacing.magnification),
        (SpacingSource::Imager, Some(1.1))
    );
    let us = display(&phantom(Kind::UsColor, 0), 3);
    assert_eq!(us.spacing.unwrap().row_mm, 5.0);
    assert_eq!(
        (us.cine.unwrap().frame_time_ms, us.regions.len()),
        (Some(33.3), 1)
    );
    let palette = display(&phantom(Kind::Palette, 0), 1).palette.unwrap();
    assert_eq!(
        (palette.first, &palette.rgb[300..303], palette.rgb.len()),
        (0, &[255u8, 45, 0][..], 768)
    );
    assert_eq!(display(&phantom(Kind::MrSigned, 0), 1).windows[0].center, 300.0);
}

/// Axial slices at these heights, numbered from 1.
fn stack(heights: &[f64]) -> Vec<Place> {
    (1..)
        .zip(heights)
        .map(|(n, z)| Place {
            position: Some([5.0, -3.0, *z]),
            orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            number: Some(n),
            frame: 1,
            ..Place::default()
        })
        .collect()
}

#[test]
fn stacks_are_scrolled_by_place() {
    let frames: Vec<Place> = (1..=6).map(|n| place(&phantom(Kind::EnhancedCt, 0), n)).collect();
    let o = order(&frames);
    assert_eq!((o.groups[0].by, o.groups[0].step_mm), (By::Place, Some(1.25)));
    assert!(o.frames().eq(0..6));
    // Numbered against the direction.
    let o = order(&stack(&[3.0, 2.0, 1.0, 0.0]));
    assert!(o.frames().eq([3, 2, 1, 0]));
    assert_eq!((o.missing(), o.groups[0].uneven), (0, false));
}

#[test]
fn gaps_are_claimed_only_where_they_can_be_told() {
    let mut lost = stack(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    lost.drain(3..5);
    let o = order(&lost);
    assert_eq!(
        (o.groups[0].gaps[0].after, o.groups[0].gaps[0].before, o.missing()),
        (2, 3, 2)
    );
    // The same distances, but the numbers go on: another slab, not a loss.
    let o = order(&stack(&[0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0]));
    assert_eq!((o.missing(), o.groups[0].uneven), (0, true));
    let o = order(&stack(&[0.0, 1.0, 2.3, 3.0, 4.4, 5.0]));
    assert_eq!((o.missing(), o.groups[0].uneven), (0, true));
    assert!(order(&[]).groups.is_empty());
}

#[test]
fn series_of_several_times_fall_into_groups() {
    let mut frames = stack(&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    let o = order(&frames);
    assert_eq!(o.groups.len(), 2, "by rounds of the numbers");
    assert!(o.frames().eq([0, 1, 2, 3, 4, 5]));
    for (n, frame) in frames.iter_mut().enumerate() {
        frame.time = Some(2 - n as i64 / 3);
    }
    assert!(order(&frames).frames().eq([3, 4, 5, 0, 1, 2]));
    // One slice was taken twice: no groups, by number.
    let o = order(&stack(&[0.0, 1.0, 1.0, 2.0]));
    assert_eq!((o.groups.len(), o.groups[0].by), (1, By::Number));
    // Without a place: by number, with what is missing of it.
    let mut bare = stack(&[0.0; 9]);
    bare.iter_mut().for_each(|p| p.position = None);
    bare.remove(4);
    assert_eq!(order(&bare).missing(), 1);
}

proptest! {
    /// Whatever it is given, each frame is in the order once.
    #[test]
    fn orders_are_permutations(heights in prop::collection::vec((0u8..12, 0u8..3, prop::option::of(0i64..9)), 0..40)) {
        let mut frames = stack(&heights.iter().map(|h| f64::from(h.0)).collect::<Vec<_>>());
        for (place, (_, kind, number)) in frames.iter_mut().zip(&heights) {
            place.number = *number;
            match kind {
                0 => place.time = *number,
                1 if number.is_none() => place.position = None,
                _ => {}
            }
        }
        let mut all: Vec<usize> = order(&frames).frames().collect();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..frames.len()));
    }

    /// Nothing that stands in a header breaks it.
    #[test]
    fn odd_values_do_no_harm(at in 0usize..24, value in prop_oneof![
        Just(json!(null)), Just(json!([])), Just(json!([null])), Just(json!(["x"])), Just(json!([{}])),
        Just(json!([-1, 1e308, 70_000])), Just(json!([0, 0, 16])), Just(json!("text")),
    ], frame in any::<u32>()) {
        const TAGS: [&str; 24] = ["00280008", "52009229", "52009230", "00283010", "00283000", "00281101", "00281201",
            "00281221", "00280120", "00280121", "00280030", "00181164", "00186011", "00200032", "00200037", "3004000C",
            "00181063", "00181065", "00282112", "00100010", "00281050", "00281056", "00280034", "00280103"];
        let mut h = phantom_header();
        h[TAGS[at]] = json!({"vr": "US", "Value": value});
        let shown = display(&h, frame);
        let _ = (place(&h, frame), who(&h), serde_json::to_string(&shown).unwrap());
    }
}

fn phantom_header() -> Value {
    static ONE: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    ONE.get_or_init(|| phantom(Kind::Palette, 0)).clone()
}
