//! Packs: what goes in comes out, the small layers lie together, and no damaged byte is believed.

mod common;

use common::{Content, Seed, frame, parts, shape};
use std::io::Cursor;
use vitrine_pixels::layers::{Coding, decode, encode};
use vitrine_pixels::pack::{Entry, Index, MOST_DISPLAY, PackError, WriteError, Writer, read_index, verify};
use vitrine_pixels::{Colour, Shape, digest};

fn entry(number: u32, colour: Colour) -> Entry {
    Entry {
        sop: "1.2.826.0.1.3680043.10.1".into(),
        number,
        colour,
        lossy: number.is_multiple_of(2),
        display: format!(r#"{{"n":{number}}}"#).into_bytes(),
    }
}

fn frames() -> Vec<(Shape, Vec<u8>, Colour)> {
    [
        (shape(300, 280, 1, 12, false), Content::Body, Colour::Monochrome2),
        (shape(300, 280, 1, 12, true), Content::Body, Colour::Monochrome1),
        (shape(90, 120, 3, 8, false), Content::Gradient, Colour::Rgb),
        (shape(20, 30, 1, 8, false), Content::Noise, Colour::Palette),
        (shape(20, 30, 1, 32, true), Content::Noise, Colour::Monochrome2),
        (shape(257, 30, 1, 20, false), Content::Body, Colour::Monochrome2),
        (
            shape(300, 280, 1, 12, false),
            Content::Checker,
            Colour::Monochrome2,
        ),
    ]
    .into_iter()
    .enumerate()
    .map(|(i, (shape, content, colour))| (shape, frame(&shape, content, i as u64), colour))
    .collect()
}

fn written() -> (Vec<u8>, Index) {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (i, (shape, plain, colour)) in frames().into_iter().enumerate() {
        writer
            .push(entry(i as u32 + 1, colour), encode(shape, &plain).unwrap())
            .unwrap();
    }
    assert_eq!(writer.frames(), frames().len());
    let (file, index, len) = writer.finish().unwrap();
    assert_eq!(file.len() as u64, len);
    (file, index)
}

fn read(file: &[u8]) -> Result<Index, PackError> {
    read_index(&mut Cursor::new(file), file.len() as u64)
}

#[test]
fn frames_come_back_and_small_layers_lie_together() {
    let (file, index) = written();
    assert_eq!(read(&file).unwrap(), index);
    let mut ends = [(u64::MAX, 0u64, 0u64); 4];
    for (n, (shape, plain, colour)) in frames().into_iter().enumerate() {
        let f = &index.frames[n];
        assert_eq!((f.number, f.colour, f.shape), (n as u32 + 1, colour, shape));
        assert_eq!((f.lossy, f.pixels), ((n + 1).is_multiple_of(2), digest(&plain)));
        let mut bytes = Vec::new();
        for (k, s) in f.segments.iter().enumerate() {
            let part = &file[s.offset as usize..][..s.len as usize];
            verify(part, s).unwrap();
            assert!(verify(&part[1..], s).is_err());
            bytes.push(part.to_vec());
            let layer = usize::from(f.coding.layer(&shape, k));
            let (first, last, sum) = &mut ends[layer];
            *first = (*first).min(s.offset);
            *last = (*last).max(s.offset + u64::from(s.len));
            *sum += u64::from(s.len);
        }
        let image = decode(shape, f.coding, &parts(&bytes)).unwrap();
        assert!(image.exact && image.plain == plain);
    }
    assert_eq!(index.frames[5].coding, Coding::Zstd);
    // layers 0 and 1 are one run each, 1 before 0, both behind the rest
    for layer in [0, 1] {
        assert_eq!(ends[layer].1 - ends[layer].0, ends[layer].2);
    }
    assert_eq!(ends[1].1, ends[0].0);
    assert!(ends[3].1 <= ends[1].0 && ends[2].1 <= ends[1].0);
}

#[test]
fn an_empty_pack_is_a_pack() {
    let (file, _, _) = Writer::new(Vec::new()).unwrap().finish().unwrap();
    assert_eq!(read(&file).unwrap(), Index::default());
}

#[test]
fn every_truncation_is_refused() {
    let (file, _) = written();
    for len in (0..file.len())
        .rev()
        .step_by(97)
        .chain(file.len() - 80..file.len())
        .chain(0..80)
    {
        assert!(read(&file[..len]).is_err(), "{len}");
        // a length that is not the file's
        assert!(read_index(&mut Cursor::new(&file), len as u64).is_err(), "{len}");
        assert!(
            read_index(&mut Cursor::new(&file[..len]), file.len() as u64).is_err(),
            "{len}"
        );
    }
}

#[test]
fn damage_is_found_in_index_and_segments() {
    let (file, index) = written();
    let mut seed = Seed(7);
    for _ in 0..20_000 {
        let mut bad = file.clone();
        let at = seed.below(file.len() as u64) as usize;
        bad[at] ^= 1 << seed.below(8);
        let hit = index
            .frames
            .iter()
            .flat_map(|f| &f.segments)
            .find(|s| (s.offset..s.offset + u64::from(s.len)).contains(&(at as u64)));
        match hit {
            Some(s) => {
                assert!(verify(&bad[s.offset as usize..][..s.len as usize], s).is_err());
            }
            None => assert!(read(&bad).is_err(), "byte {at}"),
        }
    }
}

/// A file with this index instead of its own, every hash and length of the footer right.
fn with_index(file: &[u8], index: &Index) -> Vec<u8> {
    let footer = &file[file.len() - 64..];
    let at = u64::from_le_bytes(footer[..8].try_into().unwrap()) as usize;
    let plain = postcard::to_stdvec(index).unwrap();
    let stored = zstd::bulk::compress(&plain, 1).unwrap();
    let mut out = file[..at].to_vec();
    out.extend_from_slice(&stored);
    for v in [at, stored.len(), plain.len()] {
        out.extend_from_slice(&(v as u64).to_le_bytes());
    }
    out.extend_from_slice(blake3::hash(&stored).as_bytes());
    out.extend_from_slice(&footer[56..]);
    out
}

#[test]
fn an_index_that_contradicts_the_file_is_refused() {
    let (file, index) = written();
    assert_eq!(read(&with_index(&file, &index)).unwrap(), index);
    let lies: [fn(&mut Index); 14] = [
        |i| i.frames[0].segments[3].offset = u64::MAX,
        |i| i.frames[0].segments[3].offset = 0,
        |i| i.frames[0].segments[0].len = u32::MAX,
        |i| i.frames[0].segments[0].len = 0,
        |i| i.frames[0].segments[0].len -= 1,
        |i| {
            i.frames[0].segments.pop();
        },
        |i| i.frames[0].coding = Coding::Zstd,
        |i| i.frames[0].shape.columns = 0,
        |i| i.frames[0].shape.bits = 33,
        |i| i.frames[0].shape.samples = 3,
        |i| i.frames[0].number = 0,
        |i| i.frames[0].sop = "1".repeat(65),
        |i| i.frames[0].high = 4096,
        |i| {
            i.frames.pop();
        },
    ];
    for (n, lie) in lies.iter().enumerate() {
        let mut bad = index.clone();
        lie(&mut bad);
        assert!(read(&with_index(&file, &bad)).is_err(), "lie {n}");
    }
}

#[test]
fn frames_that_no_reader_would_take_are_refused() {
    let shape = shape(20, 30, 1, 8, false);
    let coded = encode(shape, &frame(&shape, Content::Body, 1)).unwrap();
    let entries: [fn(&mut Entry); 5] = [
        |e| e.number = 0,
        |e| e.sop.clear(),
        |e| e.sop = "1".repeat(65),
        |e| e.colour = Colour::Rgb,
        |e| e.display = vec![b' '; MOST_DISPLAY + 1],
    ];
    for change in entries {
        let mut bad = entry(1, Colour::Monochrome2);
        change(&mut bad);
        let refused = Writer::new(Vec::new()).unwrap().push(bad, coded.clone());
        assert!(matches!(refused, Err(WriteError::Frame { .. })));
    }
}

#[test]
fn a_large_pack_holds_back_no_more_than_its_limit() {
    let shape = shape(120, 120, 1, 16, false);
    let coded = encode(shape, &frame(&shape, Content::Noise, 3)).unwrap();
    let mut writer = Writer::new(Vec::new()).unwrap();
    let many = 2600u32;
    for n in 1..=many {
        writer.push(entry(n, Colour::Monochrome2), coded.clone()).unwrap();
    }
    let (file, index, _) = writer.finish().unwrap();
    assert!(file.len() > 70 << 20, "{}", file.len());
    assert_eq!(read(&file).unwrap(), index);
    // the first run was written before the end: its least layer lies before the last frame's larger one
    let last = index.frames.last().unwrap();
    assert!(index.frames[0].segments[0].offset < last.segments[1].offset);
}
