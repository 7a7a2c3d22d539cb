//! How other people's files are shown, against what an independent reader (pydicom 3.0.2) has of them: `display.txt` has
//! path, frame, rescale, windows, spacing with its source, and position, by rules that were written apart from ours.

use crate::files::{catalogue, data};
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use vitrine_dicom::display::{Display, Place, display, display_with, order, place, who};
use vitrine_dicom::{Instance, index, scan};

fn read(path: &Path) -> Option<Instance> {
    let mut file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let found = scan(&mut file, len).ok()?;
    let header = found.read_header(&mut file).unwrap();
    index(&found, &header).ok()
}

fn line(path: &str, frame: u32, d: &Display) -> String {
    let rescale = d.rescale.as_ref().map(|r| {
        let unit = r.unit.as_ref().map(|u| format!(" {u}")).unwrap_or_default();
        format!("{}*x+{}{unit}", r.slope, r.intercept)
    });
    let windows: Vec<String> = d
        .windows
        .iter()
        .map(|w| format!("{}/{}", w.center, w.width))
        .collect();
    let spacing = d.spacing.as_ref().map(|s| {
        format!(
            "{:.6} {:.6} {}",
            s.row_mm,
            s.column_mm,
            String::from(s.source.clone())
        )
    });
    let position = d.position.map(|p| p.map(|v| format!("{:.4}", v + 0.0)).join(" "));
    let [rescale, spacing, position] = [rescale, spacing, position].map(Option::unwrap_or_default);
    format!(
        "{path}|{frame}|{rescale}|{}|{spacing}|{position}",
        windows.join(" ")
    )
}

#[test]
fn as_pydicom_reads_them() {
    let Some(data) = data() else { return };
    let (mut differ, mut count) = (Vec::new(), 0);
    for golden in include_str!("display.txt").lines() {
        let mut parts = golden.split('|');
        let path = parts.next().unwrap();
        let frame = parts.next().unwrap().parse().unwrap();
        let instance = read(&data.join(path)).unwrap_or_else(|| panic!("{path}"));
        let ours = line(path, frame, &display(&instance.json, frame));
        // 6.1e-05 there is 0.000061 here.
        if ours != golden.replace("6.1e-05", "0.000061") {
            differ.push(format!("ours   {ours}\ntheirs {golden}"));
        }
        count += 1;
    }
    assert!(count > 40);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// All of them, all the same: nothing breaks, what is sent comes back, and what was ignored is pinned.
#[test]
fn every_file_has_a_display() {
    let Some(data) = data() else { return };
    let mut notes = std::collections::BTreeMap::<String, u32>::new();
    for file in catalogue(&data) {
        let Some(instance) = read(&data.join(&file["file"])) else {
            continue;
        };
        let frames = instance.image.as_ref().map_or(1, |i| i.frames);
        for frame in [1, frames, 0, frames + 1] {
            let shown = display(&instance.json, frame);
            let sent = serde_json::to_value(&shown).unwrap();
            let text = sent.to_string();
            let back: Display = serde_json::from_str(&text).unwrap();
            let back = serde_json::to_value(back).unwrap();
            assert!(near(&sent, &back), "{}: {sent} {back}", file["file"]);
            if frame == 1 {
                for note in shown.notes {
                    *notes.entry(note).or_default() += 1;
                }
            }
        }
        let _ = who(&instance.json);
    }
    let table: Vec<String> = notes.iter().map(|(n, c)| format!("{c} {n}")).collect();
    println!("{}", table.join("\n"));
    assert!(notes.len() < 20, "{}", table.join("\n"));
}

#[test]
fn tables_of_real_files() {
    let Some(data) = data() else { return };
    let shown = |path: &str| {
        let instance = read(&data.join(path)).unwrap();
        // What is too long for the JSON is cut from the file's header, which is little endian but for one of them.
        let d = display_with(&instance.json, 1, &|bulk| bytes(&data.join(path), bulk));
        println!(
            "{path}: {:?} {:?}",
            d.notes,
            d.palette.as_ref().map(|p| (p.first, p.rgb.len()))
        );
        d
    };
    // In segments, 16 bits, little and big endian: the same.
    let little = shown("pydicom-data/gdcm-US-ALOKA-16.dcm").palette.unwrap();
    let big = shown("pydicom-data/gdcm-US-ALOKA-16_big.dcm").palette.unwrap();
    assert_eq!(little, big);
    assert_eq!((little.first, little.rgb.len()), (0, 3 * 65_536));
    let red = [0, 1, 100, 255, 1000, 30_000, 65_535].map(|n| little.rgb[n * 3]);
    assert_eq!(red, [0, 112, 0, 32, 0, 79, 32]);
    let blue = [0, 1, 100, 255, 1000, 30_000, 65_535].map(|n| little.rgb[n * 3 + 2]);
    assert_eq!(blue, [0, 0, 228, 144, 248, 255, 144]);
    let mlut = shown("pydicom-data/mlut_18.dcm");
    let table = mlut.modality_lut.unwrap();
    assert_eq!((table.first, table.bits, table.entries.len()), (-2048, 16, 4096));
    assert_eq!(table.entries[..4], [0, 16, 32, 48]);
    let vlut = shown("pydicom-data/vlut_04.dcm").voi_lut.unwrap();
    assert_eq!((vlut.first, vlut.entries.len()), (0, 256));
    assert_eq!(vlut.entries[253..], [65_021, 65_278, 65_535]);
}

#[test]
fn a_real_series_is_in_order_and_its_gaps_are_seen() {
    let Some(data) = data() else { return };
    let mut names: Vec<_> = std::fs::read_dir(data.join("series-mr-t1w"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "dcm"))
        .collect();
    names.sort();
    let places: Vec<Place> = names.iter().map(|p| place(&read(p).unwrap().json, 1)).collect();
    let whole = order(&places);
    assert_eq!(
        (whole.groups.len(), whole.missing(), whole.groups[0].uneven),
        (1, 0, false)
    );
    let sorted: Vec<usize> = whole.frames().collect();
    let numbers: Vec<i64> = sorted.iter().map(|n| places[*n].number.unwrap()).collect();
    assert!(
        numbers.is_sorted() || numbers.iter().rev().is_sorted(),
        "{numbers:?}"
    );
    // Without three in the middle.
    let without = [sorted[40], sorted[41], sorted[60]];
    let rest: Vec<Place> = (0..places.len())
        .filter(|n| !without.contains(n))
        .map(|n| places[n].clone())
        .collect();
    let cut = order(&rest);
    let gaps: Vec<u32> = cut.groups[0].gaps.iter().map(|g| g.missing).collect();
    assert_eq!((gaps, cut.missing()), (vec![2, 1], 3));
}

/// The bytes of a value that the JSON only points to: found behind its element's head in the file.
fn bytes(path: &Path, bulk: &str) -> Option<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let instance = read(path).unwrap();
    let len = instance.bulk.iter().find(|b| b.path == bulk)?.len as usize;
    let tag = bulk.rsplit('/').next()?;
    let [group, element] = [&tag[..4], &tag[4..]].map(|h| u16::from_str_radix(h, 16).unwrap());
    let big = instance.transfer_syntax == "1.2.840.10008.1.2.2";
    let two = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let head = [two(group), two(element)].concat();
    let implicit = instance.transfer_syntax == "1.2.840.10008.1.2";
    let behind = if implicit { 8 } else { 12 };
    let at = file.windows(4).position(|w| w == head)? + behind;
    let mut value = file[at..at + len].to_vec();
    if big {
        value.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    }
    Some(value)
}

/// Equal but for the last bit of a number, which the reader of JSON does not keep.
fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| near(v, w)))
        }
        _ => a == b,
    }
}
