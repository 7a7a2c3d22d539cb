//! The product's own images: synthetic, of any size, the same for the same seed.
//!
//! Lives here: series of CT and MR slices, a chest radiograph, an ultrasound loop, an enhanced CT and colour captures,
//! with headers that are complete enough to be indexed, hung and measured. UIDs follow from the seed (under 2.25).
//! Frames are made one at a time and streamed. Never here: real anatomy, a patient of its own: who it is of is an
//! argument. Called by the synthetic hospital, benchmarks and tests.

mod header;
mod paint;

use crate::class;
use crate::scan::Coding;
use crate::syntax;
use crate::write;
use dicom_core::VR;
use std::io::{self, Write};

/// What kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A series of CT slices, 12 bits of 16 unsigned with a rescale of −1024.
    Ct,
    /// The same, 16 bits signed, already in Hounsfield units.
    CtSigned,
    /// A chest radiograph, 14 bits of 16, white is high (MONOCHROME2).
    Cr,
    /// The same with white low (MONOCHROME1).
    CrInverse,
    /// A series of MR slices, 12 bits of 16.
    Mr,
    /// The same, 16 bits signed, with values below zero.
    MrSigned,
    /// An ultrasound loop: one file of many frames, 8 bits.
    UsCine,
    /// The same in RGB, with flow in red and blue.
    UsColor,
    /// One enhanced CT of many frames, with functional groups.
    EnhancedCt,
    /// A capture in RGB.
    Rgb,
    /// A capture with a palette.
    Palette,
}

/// Whose image it is, and of which order. All as DICOM writes it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// `(0010,0020)`.
    pub id: String,
    /// `(0010,0021)`.
    pub issuer: Option<String>,
    /// `(0010,0010)`, UTF-8, groups with `=` between.
    pub name: String,
    /// `(0010,0030)`, `YYYYMMDD`.
    pub birth_date: Option<String>,
    /// `(0010,0040)`.
    pub sex: Option<String>,
    /// `(0008,0050)`.
    pub accession: Option<String>,
    /// `(0008,0020)` and the dates that follow from it, `YYYYMMDD`.
    pub study_date: String,
    /// `(0008,0030)`, `HHMMSS`.
    pub study_time: String,
    /// `(0008,1030)`.
    pub study_description: Option<String>,
    /// `(0008,0090)`.
    pub referring: Option<String>,
}

/// A series of images.
#[derive(Clone)]
pub struct Phantom {
    /// What kind.
    pub kind: Kind,
    /// The same seed, the same bytes. Phantoms of one study share `study`.
    pub seed: u64,
    /// From which the study's UID follows; another seed's series of the same study has the same.
    pub study: u64,
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
    /// Slices of a series, or frames of a file.
    pub count: u32,
    /// Whose.
    pub subject: Subject,
    /// How the files are written: [`syntax::EXPLICIT_LE`], [`syntax::IMPLICIT_LE`] or [`syntax::EXPLICIT_BE`].
    pub transfer_syntax: &'static str,
}

impl Phantom {
    /// The usual size of its kind, in Explicit VR Little Endian, of nobody.
    #[must_use]
    pub fn new(kind: Kind, seed: u64) -> Self {
        let (rows, columns, count) = match kind {
            Kind::Ct | Kind::CtSigned => (512, 512, 120),
            Kind::Cr | Kind::CrInverse => (3048, 2500, 1),
            Kind::Mr | Kind::MrSigned => (256, 256, 30),
            Kind::UsCine | Kind::UsColor => (480, 640, 60),
            Kind::EnhancedCt => (512, 512, 200),
            Kind::Rgb | Kind::Palette => (480, 640, 1),
        };
        Self {
            kind,
            seed,
            study: seed,
            rows,
            columns,
            count,
            subject: Subject::default(),
            transfer_syntax: syntax::EXPLICIT_LE,
        }
    }

    /// Whether all frames are in one file.
    #[must_use]
    pub fn is_multi_frame(&self) -> bool {
        matches!(self.kind, Kind::UsCine | Kind::UsColor | Kind::EnhancedCt)
    }
    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> u32 {
        if self.is_multi_frame() { 1 } else { self.count }
    }
    /// How many frames each file has.
    #[must_use]
    pub fn frames(&self) -> u32 {
        if self.is_multi_frame() { self.count } else { 1 }
    }
    /// The SOP class.
    #[must_use]
    pub fn sop_class(&self) -> &'static str {
        match self.kind {
            Kind::Ct | Kind::CtSigned => class::CT,
            Kind::Cr | Kind::CrInverse => class::CR,
            Kind::Mr | Kind::MrSigned => class::MR,
            Kind::UsCine | Kind::UsColor => class::US_MULTI_FRAME,
            Kind::EnhancedCt => class::ENHANCED_CT,
            Kind::Rgb | Kind::Palette => class::SECONDARY_CAPTURE,
        }
    }
    /// The study's UID.
    #[must_use]
    pub fn study_uid(&self) -> String {
        uid(self.study, 1, 0)
    }
    /// The series' UID.
    #[must_use]
    pub fn series_uid(&self) -> String {
        uid(self.seed, 2, 0)
    }
    /// The UID of the frame of reference.
    #[must_use]
    pub fn frame_of_reference_uid(&self) -> String {
        uid(self.seed, 4, 0)
    }
    /// A file's UID.
    #[must_use]
    pub fn sop_uid(&self, file: u32) -> String {
        uid(self.seed, 3, file)
    }
    /// Bytes of one frame.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        let bytes = match self.kind {
            Kind::UsCine | Kind::Palette => 1,
            Kind::Rgb | Kind::UsColor => 3,
            _ => 2,
        };
        u64::from(self.rows) * u64::from(self.columns) * bytes
    }
    /// The pixels of a frame as they stand in a little endian file.
    #[must_use]
    pub fn frame(&self, file: u32, frame: u32) -> Vec<u8> {
        let slice = if self.is_multi_frame() { frame } else { file };
        paint::frame(self, slice)
    }
    /// The header of a file, without its pixels.
    #[must_use]
    pub fn header(&self, file: u32) -> write::DataSet {
        header::header(self, file)
    }

    /// Writes a file, frame after frame.
    pub fn write(&self, file: u32, out: &mut impl Write) -> io::Result<()> {
        let coding = write::file(
            out,
            self.transfer_syntax,
            self.sop_class(),
            &self.sop_uid(file),
            &self.header(file),
        )?;
        let words = !matches!(
            self.kind,
            Kind::UsCine | Kind::UsColor | Kind::Rgb | Kind::Palette
        );
        let vr = if words || !coding.explicit { VR::OW } else { VR::OB };
        let len = self.frame_len() * u64::from(self.frames());
        write::native(out, coding, vr, len)?;
        for frame in 0..self.frames() {
            let mut pixels = self.frame(file, frame);
            if coding.big_endian && words {
                pixels.chunks_exact_mut(2).for_each(<[u8]>::reverse);
            }
            out.write_all(&pixels)?;
        }
        if len % 2 == 1 {
            out.write_all(&[0])?;
        }
        Ok(())
    }

    /// Writes a file whose frames are in fragments: `encode` makes them from the pixels of a frame, and is called for
    /// each frame twice, because the offset table comes first.
    pub fn write_encapsulated(
        &self,
        file: u32,
        transfer_syntax: &str,
        mut encode: impl FnMut(&[u8]) -> Vec<Vec<u8>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut lengths = Vec::new();
        for frame in 0..self.frames() {
            let fragments = encode(&self.frame(file, frame));
            let even = |f: &Vec<u8>| u32::try_from(f.len() + f.len() % 2);
            let even: Result<Vec<u32>, _> = fragments.iter().map(even).collect();
            lengths.push(even.map_err(io::Error::other)?);
        }
        let coding = write::file(
            out,
            transfer_syntax,
            self.sop_class(),
            &self.sop_uid(file),
            &self.header(file),
        )?;
        if coding != Coding::EXPLICIT_LE {
            return Err(io::Error::other("fragments are for Explicit VR Little Endian"));
        }
        write::encapsulated(out, Some(&lengths))?;
        for frame in 0..self.frames() {
            for fragment in encode(&self.frame(file, frame)) {
                write::fragment(out, &fragment)?;
            }
        }
        write::fragments_end(out)
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood, 2014): a number that looks random from one that does not.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A UID under 2.25 (PS3.5 §B.2): a UUID of version 8 whose bits follow from the seed.
fn uid(seed: u64, kind: u64, number: u32) -> String {
    let high = mix(mix(seed) ^ kind);
    let low = mix(high ^ u64::from(number) ^ (kind << 40));
    let bits = (u128::from(high) << 64) | u128::from(low);
    let bits = (bits & !(0xF << 76)) | (0x8 << 76);
    let bits = (bits & !(0x3 << 62)) | (0x2 << 62);
    format!("2.25.{bits}")
}
