//! Other people's decoders see the same pixels: OpenJPEG (`opj_decompress`, from 2.5) and OpenJPH (`ojph_expand`) read the
//! whole codestream and every prefix. Both programs must be there: Debian's libopenjp2-tools and openjph-tools.

mod common;

use common::{Content, frame, parts, real_frames, shape};
use std::path::Path;
use std::process::Command;
use vitrine_pixels::Shape;
use vitrine_pixels::layers::{Coding, decode, encode, standalone};

/// Raw planes of little-endian samples as plain pixels; OpenJPEG leaves the bits above the sign zero.
fn interleaved(shape: &Shape, raw: &[u8]) -> Vec<u8> {
    let (samples, width) = (usize::from(shape.samples), shape.width());
    let plane = raw.len() / samples;
    let mut out = Vec::with_capacity(raw.len());
    for pixel in 0..plane / width {
        for sample in 0..samples {
            let mut bytes = [0u8; 2];
            bytes[..width].copy_from_slice(&raw[sample * plane + pixel * width..][..width]);
            let shift = 16 - u32::from(shape.bits);
            let value = u16::from_le_bytes(bytes) << shift;
            let value = if shape.signed {
                (value as i16 >> shift) as u16
            } else {
                value >> shift
            };
            out.extend_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    out
}

fn opened(dir: &Path, stream: &[u8], shape: &Shape) -> Vec<u8> {
    let (input, output) = (dir.join("a.j2c"), dir.join("a.rawl"));
    let _ = std::fs::remove_file(&output);
    std::fs::write(&input, stream).unwrap();
    let run = Command::new("opj_decompress")
        .args([Path::new("-i"), &input, Path::new("-o"), &output])
        .output()
        .unwrap_or_else(|e| panic!("opj_decompress (package libopenjp2-tools): {e}"));
    let raw = std::fs::read(&output)
        .unwrap_or_else(|_| panic!("{shape:?}: {}", String::from_utf8_lossy(&run.stdout)));
    interleaved(shape, &raw)
}

/// Pixels of a binary PGM or PPM, 16-bit ones turned to little endian.
fn netpbm(bytes: &[u8], shape: &Shape) -> Vec<u8> {
    let mut body = bytes[bytes.len() - shape.len() as usize..].to_vec();
    if shape.width() == 2 {
        body.as_chunks_mut::<2>().0.iter_mut().for_each(|p| p.reverse());
    }
    body
}

fn expanded(dir: &Path, stream: &[u8], shape: &Shape) -> Vec<u8> {
    let suffix = if shape.samples == 3 { "a.ppm" } else { "a.pgm" };
    let (input, output) = (dir.join("a.j2c"), dir.join(suffix));
    let _ = std::fs::remove_file(&output);
    std::fs::write(&input, stream).unwrap();
    let run = Command::new("ojph_expand")
        .args([Path::new("-i"), &input, Path::new("-o"), &output])
        .output()
        .unwrap_or_else(|e| panic!("ojph_expand (package openjph-tools): {e}"));
    let file = std::fs::read(&output).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&run.stderr)));
    netpbm(&file, shape)
}

/// Holds every prefix of a layered frame against another decoder; gives how many images it compared.
fn same(other: fn(&Path, &[u8], &Shape) -> Vec<u8>, dir: &Path, shape: Shape, plain: &[u8]) -> usize {
    let coded = encode(shape, plain).unwrap();
    if coded.coding != Coding::HtJ2k {
        return 0;
    }
    let all = parts(&coded.segments);
    for k in 1..=all.len() {
        let ours = decode(shape, coded.coding, &all[..k]).unwrap();
        let small = Shape {
            columns: ours.columns,
            rows: ours.rows,
            ..shape
        };
        let theirs = other(dir, &standalone(shape, &all[..k]).unwrap(), &small);
        assert!(ours.plain == theirs, "{shape:?}: {k} segments");
    }
    all.len()
}

fn compare(other: fn(&Path, &[u8], &Shape) -> Vec<u8>, signs: &[bool]) {
    let dir = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for bits in [1u8, 4, 8, 10, 12, 14, 16] {
        for &signed in signs {
            for samples in [1u8, 3] {
                let contents = [Content::Body, Content::Sparse, Content::Noise, Content::Checker];
                for (i, content) in contents.into_iter().enumerate() {
                    let (columns, rows) =
                        [(301, 190), (64, 65), (129, 128), (515, 77)][(i + usize::from(bits)) % 4];
                    let shape = shape(columns, rows, samples, bits, signed);
                    compared += same(other, dir.path(), shape, &frame(&shape, content, u64::from(bits)));
                }
            }
        }
    }
    println!("{compared} images compared");
    assert!(compared > 80);
}

#[test]
fn openjpeg_sees_real_frames_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let images: usize = real_frames()
        .iter()
        .map(|(_, shape, plain)| same(opened, dir.path(), *shape, plain))
        .sum();
    println!("{images} images of real frames compared");
}

#[test]
fn openjpeg_sees_the_same() {
    compare(opened, &[false, true]);
}

#[test]
fn openjph_sees_the_same() {
    compare(expanded, &[false]);
}
