//! The layered coding over a matrix of made-up frames and over real ones: exact, or whole; prefixes are smaller images.

mod common;

use common::{CONTENTS, Content, frame, parts, real_frames, shape};
use vitrine_pixels::layers::{Coding, Fault, Unlayered, decode, encode, standalone};
use vitrine_pixels::{Shape, digest};

/// Codes a frame and holds it against everything that must be true of it; says whether it came out in layers.
fn exact(shape: Shape, plain: &[u8], what: &str) -> bool {
    let coded = encode(shape, plain).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(coded.pixels, digest(plain), "{what}");
    let all = parts(&coded.segments);
    assert_eq!(all.len(), coded.coding.segments(&shape), "{what}");
    for k in 1..=all.len() {
        let image =
            decode(shape, coded.coding, &all[..k]).unwrap_or_else(|e| panic!("{what}, {k} segments: {e}"));
        assert_eq!(image.exact, k == all.len(), "{what}");
        let layer = u32::from(coded.coding.layer(&shape, k - 1));
        if layer < 3 {
            assert!(image.columns.max(image.rows) <= 64 << layer, "{what}: {image:?}");
        }
        let small = Shape {
            columns: image.columns,
            rows: image.rows,
            ..shape
        };
        vitrine_pixels::range(small, &image.plain).unwrap_or_else(|e| panic!("{what}: {e}"));
        if image.exact {
            assert!(image.plain == plain, "{what}: other pixels");
        }
    }
    if coded.coding == Coding::HtJ2k {
        // one behind the other they are the codestream itself
        assert_eq!(
            coded.segments.concat(),
            standalone(shape, &all).unwrap(),
            "{what}"
        );
        assert_eq!(coded.unlayered, None);
    } else {
        assert!(coded.unlayered.is_some());
    }
    coded.coding == Coding::HtJ2k
}

#[test]
fn every_depth_sign_and_content_comes_back() {
    let (mut layered, mut whole) = (0, Vec::new());
    let sizes = [
        (1, 1),
        (2, 3),
        (64, 64),
        (65, 65),
        (127, 33),
        (129, 200),
        (301, 257),
    ];
    for bits in 1..=16u8 {
        for signed in [false, true] {
            for samples in [1u8, 3] {
                for (i, content) in CONTENTS.into_iter().enumerate() {
                    let (columns, rows) = sizes[(usize::from(bits) + i + usize::from(samples)) % sizes.len()];
                    let shape = shape(columns, rows, samples, bits, signed);
                    let plain = frame(&shape, content, u64::from(bits) * 31 + i as u64);
                    let what = format!("{shape:?} {content:?}");
                    if exact(shape, &plain, &what) {
                        layered += 1;
                    } else {
                        whole.push(what);
                    }
                }
            }
        }
    }
    println!("{layered} in layers, {} whole", whole.len());
    for what in &whole {
        println!("whole: {what}");
    }
    assert!(layered > 20 * whole.len(), "{layered} {}", whole.len());
}

#[test]
fn every_small_size_comes_back() {
    for columns in [1u32, 2, 3, 5, 31, 63, 64, 65, 66, 128, 129, 255, 256, 257, 600] {
        for rows in [1u32, 2, 3, 7, 63, 64, 65, 127, 128, 129, 256, 257, 400] {
            let shape = shape(columns, rows, 1, 12, false);
            let plain = frame(&shape, Content::Body, u64::from(columns * rows));
            exact(shape, &plain, &format!("{shape:?}"));
        }
    }
}

#[test]
fn what_htj2k_cannot_take_is_whole() {
    for (shape, why) in [
        (shape(20, 10, 1, 17, false), Unlayered::Bits),
        (shape(20, 10, 3, 32, true), Unlayered::Bits),
        (shape(700, 1, 1, 8, false), Unlayered::Narrow),
        (shape(40_000, 700, 1, 1, false), Unlayered::Large),
    ] {
        let plain = frame(&shape, Content::Noise, 5);
        let coded = encode(shape, &plain).unwrap();
        assert_eq!((coded.coding, coded.unlayered), (Coding::Zstd, Some(why)));
        assert_eq!(coded.coding.layer(&shape, 0), shape.last_layer());
        let image = decode(shape, coded.coding, &parts(&coded.segments)).unwrap();
        assert!(image.plain == plain && image.exact);
    }
}

#[test]
fn bytes_that_are_not_canonical_are_refused() {
    let twelve = shape(2, 1, 1, 12, true);
    assert!(encode(twelve, &[0xff, 0x07, 0x00, 0xf8]).is_ok());
    assert!(matches!(
        encode(twelve, &[0xff, 0x0f, 0, 0]),
        Err(Fault::Shape(_))
    ));
    assert!(matches!(encode(twelve, &[0xff, 0x07]), Err(Fault::Shape(_))));
    assert!(matches!(
        encode(shape(0, 1, 1, 12, true), &[]),
        Err(Fault::Shape(_))
    ));
    assert!(matches!(
        encode(shape(1, 1, 2, 8, true), &[0, 0]),
        Err(Fault::Shape(_))
    ));
    assert!(matches!(
        encode(shape(1, 1, 1, 0, true), &[0]),
        Err(Fault::Shape(_))
    ));
    assert!(matches!(
        encode(shape(1 << 20, 1 << 20, 1, 8, true), &[0]),
        Err(Fault::Shape(_))
    ));
}

#[test]
fn real_frames_come_back() {
    let (mut layered, mut all) = (0, 0);
    for (name, shape, plain) in real_frames() {
        all += 1;
        if exact(shape, &plain, &name) {
            layered += 1;
        } else {
            println!(
                "whole: {name} {shape:?} {:?}",
                encode(shape, &plain).unwrap().unlayered
            );
        }
    }
    println!("{layered} of {all} real frames in layers");
    assert!(all == 0 || layered * 10 > all * 9);
}

/// A scanner's series is what a workstation scrolls: a slice that is not in layers has no preview until all of it is there.
/// `VITRINE_SLICES` looks at more of them.
#[test]
fn every_slice_of_a_noisy_series_comes_out_in_layers() {
    use vitrine_dicom::phantom::{Kind, Phantom};
    let slices = std::env::var("VITRINE_SLICES").map_or(56, |n| n.parse().unwrap());
    let mut whole = Vec::new();
    for (kind, bits, signed, seed) in [
        (Kind::Ct, 12, false, 1),
        (Kind::Ct, 12, false, 2),
        (Kind::CtSigned, 16, true, 3),
        (Kind::Mr, 12, false, 100),
    ] {
        let mut phantom = Phantom::new(kind, seed);
        phantom.count = slices;
        let of = shape(phantom.columns.into(), phantom.rows.into(), 1, bits, signed);
        for file in 0..slices {
            let coded = encode(of, &phantom.frame(file, 0)).unwrap();
            if coded.coding != Coding::HtJ2k {
                whole.push((seed, file, coded.unlayered));
            }
        }
    }
    assert_eq!(whole, [], "of {slices} of each");
}
