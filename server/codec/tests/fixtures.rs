//! Codestreams of images that a formula gives, where the corpus has none: JPEG XL, signed JPEG 2000 (`fixtures/make.py`).

use vitrine_codec::{Job, Plain, Refused, decode};
use vitrine_pixels::Colour;

const COLUMNS: u32 = 40;
const ROWS: u32 = 30;

fn value(x: u32, y: u32, s: u32, most: u32) -> u32 {
    (x * 37 + y * 91 + s * 50 + (x * y) % 23 * 11) % (most + 1)
}

fn all(samples: u32, most: u32) -> Vec<u32> {
    let mut out = Vec::new();
    for y in 0..ROWS {
        for x in 0..COLUMNS {
            out.extend((0..samples).map(|s| value(x, y, s, most)));
        }
    }
    out
}

fn job(syntax: &str, samples: u16, bits: u16, bytes: &[u8]) -> Job {
    Job {
        syntax: format!("1.2.840.10008.1.2.4.{syntax}"),
        columns: COLUMNS,
        rows: ROWS,
        samples,
        bits_allocated: if bits > 8 { 16 } else { 8 },
        bits_stored: bits,
        high_bit: bits - 1,
        photometric: if samples == 3 { "RGB" } else { "MONOCHROME2" }.to_owned(),
        bytes: bytes.to_vec(),
        ..Job::default()
    }
}

fn words(plain: &Plain) -> Vec<u32> {
    if plain.shape.bits <= 8 {
        return plain.bytes.iter().map(|b| (*b).into()).collect();
    }
    let pairs = plain.bytes.chunks_exact(2);
    pairs.map(|c| u16::from_le_bytes([c[0], c[1]]).into()).collect()
}

#[test]
fn jpeg_xl_without_loss_is_exact() {
    let files: [(&[u8], u16, u16); 4] = [
        (include_bytes!("fixtures/gray8.jxl"), 1, 8),
        (include_bytes!("fixtures/gray12.jxl"), 1, 12),
        (include_bytes!("fixtures/gray16.jxl"), 1, 16),
        (include_bytes!("fixtures/rgb8.jxl"), 3, 8),
    ];
    for (bytes, samples, bits) in files {
        let plain = decode(&job("110", samples, bits, bytes)).unwrap();
        assert_eq!(
            words(&plain),
            all(samples.into(), (1 << bits) - 1),
            "{samples} of {bits}"
        );
        assert!(!plain.lossy);
        assert_eq!(
            plain.colour,
            if samples == 3 {
                Colour::Rgb
            } else {
                Colour::Monochrome2
            }
        );
    }
}

#[test]
fn jpeg_xl_with_loss_says_so_and_is_near() {
    let plain = decode(&job("112", 1, 8, include_bytes!("fixtures/lossy8.jxl"))).unwrap();
    assert!(plain.lossy);
    let off: u32 = words(&plain)
        .iter()
        .zip(all(1, 255))
        .map(|(a, b)| a.abs_diff(b))
        .sum();
    assert!(off / (COLUMNS * ROWS) < 8, "{off}");
}

#[test]
fn jpeg_2000_keeps_signs() {
    signed("90", include_bytes!("fixtures/signed12.j2k"));
    signed("202", include_bytes!("fixtures/signed12.jph"));
}

#[test]
fn high_throughput_gives_colours_back() {
    let plain = decode(&job("201", 3, 8, include_bytes!("fixtures/rgb8.jph"))).unwrap();
    assert_eq!(words(&plain), all(3, 255));
}

fn signed(syntax: &str, bytes: &[u8]) {
    let signed = Job {
        signed: true,
        ..job(syntax, 1, 12, bytes)
    };
    let plain = decode(&signed).unwrap();
    let found: Vec<i32> = words(&plain)
        .iter()
        .map(|v| (*v as u16).cast_signed().into())
        .collect();
    let wanted: Vec<i32> = all(1, 4095).iter().map(|v| v.cast_signed() - 2048).collect();
    assert_eq!(found, wanted);
}

#[test]
fn header_and_codestream_must_agree() {
    let bytes: &[u8] = include_bytes!("fixtures/gray8.jxl");
    for (job, what) in [
        (
            Job {
                columns: 41,
                ..job("110", 1, 8, bytes)
            },
            "columns",
        ),
        (
            Job {
                rows: 29,
                ..job("110", 1, 8, bytes)
            },
            "rows",
        ),
        (job("110", 3, 8, bytes), "samples"),
        (
            Job {
                rows: 29,
                ..job("90", 1, 12, include_bytes!("fixtures/signed12.j2k"))
            },
            "rows",
        ),
    ] {
        match decode(&job) {
            Err(Refused::Disagrees { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
    let cut = job("110", 1, 8, &bytes[..bytes.len() / 2]);
    assert!(matches!(decode(&cut), Err(Refused::Damaged { .. })));
    let cut: &[u8] = include_bytes!("fixtures/signed12.j2k");
    let cut = job("90", 1, 12, &cut[..cut.len() / 2]);
    assert!(matches!(decode(&cut), Err(Refused::Damaged { .. })));
}

#[test]
fn what_has_no_decoder_or_is_no_image_is_said() {
    for syntax in ["100", "102", "107", "94"] {
        assert!(matches!(
            decode(&job(syntax, 1, 8, &[])),
            Err(Refused::NoDecoder(_))
        ));
    }
    let private = Job {
        syntax: "1.2.3".to_owned(),
        ..job("90", 1, 8, &[])
    };
    assert!(matches!(decode(&private), Err(Refused::NoDecoder(_))));
    let four = Job {
        samples: 4,
        photometric: "CMYK".to_owned(),
        ..job("90", 1, 8, &[])
    };
    assert!(matches!(decode(&four), Err(Refused::Unsuitable(_))));
    let huge = Job {
        columns: 65_535,
        rows: 65_535,
        ..job("90", 1, 8, &[])
    };
    assert!(matches!(decode(&huge), Err(Refused::TooLarge { .. })));
}
