//! Images for tests, written byte by byte: no code of the product says what a file looks like.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

/// One element in Explicit VR Little Endian.
pub fn element(out: &mut Vec<u8>, tag: (u16, u16), vr: &str, value: &[u8]) {
    out.extend_from_slice(&tag.0.to_le_bytes());
    out.extend_from_slice(&tag.1.to_le_bytes());
    out.extend_from_slice(vr.as_bytes());
    let mut value = value.to_vec();
    if !value.len().is_multiple_of(2) {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    if ["OW", "OB", "SQ", "UN"].contains(&vr) {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    out.extend_from_slice(&value);
}

/// A CT slice of 64 × 64 to be written.
#[derive(Clone)]
pub struct Made {
    pub patient: &'static str,
    pub name: &'static str,
    pub birth: &'static str,
    pub study: &'static str,
    pub series: u32,
    pub number: u32,
    pub fill: u8,
    pub preamble: &'static [u8],
    /// Implementation Class UID (0002,0012): who wrote the file.
    pub writer: &'static str,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            patient: "mrn-pat-ed",
            name: "Testperson^Una",
            birth: "19700301",
            study: "1.2.826.0.1.3680043.8.498.1",
            series: 1,
            number: 1,
            fill: 7,
            preamble: b"",
            writer: "1.2.826.0.1.3680043.8.498",
        }
    }
}

impl Made {
    pub fn series_uid(&self) -> String {
        format!("{}.{}", self.study, self.series)
    }
    pub fn uid(&self) -> String {
        format!("{}.{}", self.series_uid(), self.number)
    }

    /// A CT slice of 64 × 64.
    pub fn bytes(&self) -> Vec<u8> {
        let ct = b"1.2.840.10008.5.1.4.1.1.2";
        let mut meta = Vec::new();
        element(&mut meta, (2, 1), "OB", &[0, 1]);
        element(&mut meta, (2, 2), "UI", ct);
        element(&mut meta, (2, 3), "UI", self.uid().as_bytes());
        element(&mut meta, (2, 0x10), "UI", b"1.2.840.10008.1.2.1");
        element(&mut meta, (2, 0x12), "UI", self.writer.as_bytes());
        let mut out = self.preamble.to_vec();
        out.resize(128, 0);
        out.extend_from_slice(b"DICM");
        element(
            &mut out,
            (2, 0),
            "UL",
            &u32::try_from(meta.len()).unwrap().to_le_bytes(),
        );
        out.extend_from_slice(&meta);
        element(&mut out, (8, 5), "CS", b"ISO_IR 192");
        element(&mut out, (8, 0x16), "UI", ct);
        element(&mut out, (8, 0x18), "UI", self.uid().as_bytes());
        element(&mut out, (8, 0x20), "DA", b"20260131");
        element(&mut out, (8, 0x30), "TM", b"101500");
        element(&mut out, (8, 0x50), "SH", b"ACC-17");
        element(&mut out, (8, 0x60), "CS", b"CT");
        element(&mut out, (8, 0x1030), "LO", b"CT Thorax");
        element(&mut out, (0x10, 0x10), "PN", self.name.as_bytes());
        element(&mut out, (0x10, 0x20), "LO", self.patient.as_bytes());
        element(&mut out, (0x10, 0x30), "DA", self.birth.as_bytes());
        element(&mut out, (0x20, 0xD), "UI", self.study.as_bytes());
        element(&mut out, (0x20, 0xE), "UI", self.series_uid().as_bytes());
        element(&mut out, (0x20, 0x11), "IS", self.series.to_string().as_bytes());
        element(&mut out, (0x20, 0x13), "IS", self.number.to_string().as_bytes());
        element(&mut out, (0x28, 2), "US", &1_u16.to_le_bytes());
        element(&mut out, (0x28, 4), "CS", b"MONOCHROME2");
        element(&mut out, (0x28, 0x10), "US", &64_u16.to_le_bytes());
        element(&mut out, (0x28, 0x11), "US", &64_u16.to_le_bytes());
        element(&mut out, (0x28, 0x100), "US", &16_u16.to_le_bytes());
        element(&mut out, (0x28, 0x101), "US", &12_u16.to_le_bytes());
        element(&mut out, (0x28, 0x102), "US", &11_u16.to_le_bytes());
        element(&mut out, (0x28, 0x103), "US", &0_u16.to_le_bytes());
        let pixels: Vec<u8> = (0..64 * 64 * 2)
            .map(|i| if i % 2 == 0 { self.fill } else { 3 })
            .collect();
        element(&mut out, (0x7FE0, 0x10), "OW", &pixels);
        out
    }
}

/// The body of a STOW request.
pub fn related(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(b"--b-17\r\nContent-Type: application/dicom\r\n\r\n");
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"--b-17--\r\n");
    out
}

/// Its Content-Type.
pub const RELATED: &str = "multipart/related; type=\"application/dicom\"; boundary=b-17";

/// The objects of a multipart answer.
pub fn parts(media: &str, body: &[u8]) -> Vec<Vec<u8>> {
    let boundary = media
        .split("boundary=")
        .nth(1)
        .expect("a boundary")
        .trim_matches('"');
    let mark = format!("--{boundary}");
    let find = |from: usize, what: &[u8]| {
        body[from..]
            .windows(what.len())
            .position(|w| w == what)
            .map(|n| from + n)
    };
    let (mut out, mut at) = (Vec::new(), 0);
    loop {
        let start = find(at, mark.as_bytes()).expect("a part") + mark.len();
        if body[start..].starts_with(b"--") {
            return out;
        }
        let from = find(start, b"\r\n\r\n").unwrap() + 4;
        let to = find(from, format!("\r\n{mark}").as_bytes()).unwrap();
        out.push(body[from..to].to_vec());
        at = to;
    }
}

/// Every file under a folder.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(walk(&path));
        } else {
            out.push(path);
        }
    }
    out
}
