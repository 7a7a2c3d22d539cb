//! Transfer syntaxes: facts about how the bytes of a data set and of its pixels are laid out.
//!
//! Lives here: one table after PS3.5 §10 and Annex A, PS3.6 Table A-1. Never here: whether the product can decode one
//! (that is the codecs' to say). Called by [`mod@crate::scan`], and by who negotiates or answers DICOMweb.

/// How the pixels lie in `(7FE0,0010)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// As plain values of a known length (PS3.5 §8.1).
    Native,
    /// In fragments of an undefined length (PS3.5 §A.4).
    Encapsulated,
    /// Elsewhere, at a URL (JPIP) or in another stream (SMPTE ST 2110).
    Elsewhere,
}

/// Whether what was photographed is what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Never loses anything.
    Never,
    /// May be used either way: the header's `(0028,2110)` and the codestream say.
    Possible,
    /// Always loses.
    Always,
}

/// The family of the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// None: plain values.
    Plain,
    /// Plain values, each frame in fragments.
    PlainFragments,
    /// RLE (PS3.5 Annex G).
    Rle,
    /// JPEG, discrete cosine transform (ITU-T T.81).
    Jpeg,
    /// JPEG lossless, processes 14, 15, 28 and 29 (ITU-T T.81).
    JpegLossless,
    /// JPEG-LS (ITU-T T.87).
    JpegLs,
    /// JPEG 2000 Part 1 (ITU-T T.800).
    Jpeg2000,
    /// JPEG 2000 Part 2, multi-component (ITU-T T.801).
    Jpeg2000Mc,
    /// High-throughput JPEG 2000 (ITU-T T.814).
    HtJ2k,
    /// JPEG XL (ISO/IEC 18181).
    JpegXl,
    /// Each frame by RFC 1951.
    DeflatedFrame,
    /// MPEG-2 video.
    Mpeg2,
    /// MPEG-4 AVC / H.264 video.
    Mpeg4,
    /// HEVC / H.265 video.
    Hevc,
    /// Referenced by JPIP.
    Jpip,
    /// SMPTE ST 2110 streams.
    Smpte,
}

/// One transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferSyntax {
    /// Its UID.
    pub uid: &'static str,
    /// Its name in PS3.6 Table A-1, shortened.
    pub name: &'static str,
    /// Whether each element states its value representation.
    pub explicit: bool,
    /// Whether numbers have their first byte first.
    pub big_endian: bool,
    /// Whether the whole data set after group 0002 is deflated (PS3.5 §A.5).
    pub deflated: bool,
    /// How the pixels lie.
    pub pixels: Pixels,
    /// Their codec.
    pub codec: Codec,
    /// Whether it loses.
    pub loss: Loss,
    /// Whether PS3.5 has withdrawn it.
    pub retired: bool,
}

/// Implicit VR Little Endian, the default (PS3.5 §A.1).
pub const IMPLICIT_LE: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian (PS3.5 §A.2).
pub const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian (PS3.5 §A.5).
pub const DEFLATED_LE: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian, retired (PS3.5-2016b §A.3).
pub const EXPLICIT_BE: &str = "1.2.840.10008.1.2.2";
/// RLE Lossless.
pub const RLE: &str = "1.2.840.10008.1.2.5";

const fn plain(
    uid: &'static str,
    name: &'static str,
    explicit: bool,
    big_endian: bool,
    retired: bool,
) -> TransferSyntax {
    TransferSyntax {
        uid,
        name,
        explicit,
        big_endian,
        deflated: false,
        pixels: Pixels::Native,
        codec: Codec::Plain,
        loss: Loss::Never,
        retired,
    }
}

const fn coded(uid: &'static str, name: &'static str, codec: Codec, loss: Loss) -> TransferSyntax {
    TransferSyntax {
        uid,
        name,
        explicit: true,
        big_endian: false,
        deflated: false,
        pixels: Pixels::Encapsulated,
        codec,
        loss,
        retired: false,
    }
}

const fn retired(uid: &'static str, name: &'static str, codec: Codec, loss: Loss) -> TransferSyntax {
    TransferSyntax {
        retired: true,
        ..coded(uid, name, codec, loss)
    }
}

const fn elsewhere(uid: &'static str, name: &'static str, codec: Codec, deflated: bool) -> TransferSyntax {
    TransferSyntax {
        deflated,
        pixels: Pixels::Elsewhere,
        ..coded(uid, name, codec, Loss::Possible)
    }
}

/// Every transfer syntax of PS3.6 Table A-1 (2026) whose files can hold images.
pub const ALL: &[TransferSyntax] = &[
    plain(IMPLICIT_LE, "Implicit VR Little Endian", false, false, false),
    plain(EXPLICIT_LE, "Explicit VR Little Endian", true, false, false),
    TransferSyntax {
        deflated: true,
        ..plain(
            DEFLATED_LE,
            "Deflated Explicit VR Little Endian",
            true,
            false,
            false,
        )
    },
    plain(EXPLICIT_BE, "Explicit VR Big Endian", true, true, true),
    plain(
        "1.2.840.10008.1.20",
        "Papyrus 3 Implicit VR Little Endian",
        false,
        false,
        true,
    ),
    coded(
        "1.2.840.10008.1.2.1.98",
        "Encapsulated Uncompressed Explicit VR Little Endian",
        Codec::PlainFragments,
        Loss::Never,
    ),
    coded(RLE, "RLE Lossless", Codec::Rle, Loss::Never),
    coded(
        "1.2.840.10008.1.2.8.1",
        "Deflated Image Frame Compression",
        Codec::DeflatedFrame,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.50",
        "JPEG Baseline (Process 1)",
        Codec::Jpeg,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.51",
        "JPEG Extended (Processes 2 and 4)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.52",
        "JPEG Extended (Processes 3 and 5)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.53",
        "JPEG Spectral Selection (Processes 6 and 8)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.54",
        "JPEG Spectral Selection (Processes 7 and 9)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.55",
        "JPEG Full Progression (Processes 10 and 12)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.56",
        "JPEG Full Progression (Processes 11 and 13)",
        Codec::Jpeg,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.57",
        "JPEG Lossless (Process 14)",
        Codec::JpegLossless,
        Loss::Never,
    ),
    retired(
        "1.2.840.10008.1.2.4.58",
        "JPEG Lossless (Process 15)",
        Codec::JpegLossless,
        Loss::Never,
    ),
    retired(
        "1.2.840.10008.1.2.4.59",
        "JPEG Extended, Hierarchical (Processes 16 and 18)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.60",
        "JPEG Extended, Hierarchical (Processes 17 and 19)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.61",
        "JPEG Spectral Selection, Hierarchical (20 and 22)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.62",
        "JPEG Spectral Selection, Hierarchical (21 and 23)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.63",
        "JPEG Full Progression, Hierarchical (24 and 26)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.64",
        "JPEG Full Progression, Hierarchical (25 and 27)",
        Codec::Jpeg,
        Loss::Always,
    ),
    retired(
        "1.2.840.10008.1.2.4.65",
        "JPEG Lossless, Hierarchical (Process 28)",
        Codec::JpegLossless,
        Loss::Never,
    ),
    retired(
        "1.2.840.10008.1.2.4.66",
        "JPEG Lossless, Hierarchical (Process 29)",
        Codec::JpegLossless,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless (Process 14, Selection Value 1)",
        Codec::JpegLossless,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.80",
        "JPEG-LS Lossless",
        Codec::JpegLs,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.81",
        "JPEG-LS Near-Lossless",
        Codec::JpegLs,
        Loss::Possible,
    ),
    coded(
        "1.2.840.10008.1.2.4.90",
        "JPEG 2000 (Lossless Only)",
        Codec::Jpeg2000,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.91",
        "JPEG 2000",
        Codec::Jpeg2000,
        Loss::Possible,
    ),
    coded(
        "1.2.840.10008.1.2.4.92",
        "JPEG 2000 Part 2 (Lossless Only)",
        Codec::Jpeg2000Mc,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.93",
        "JPEG 2000 Part 2",
        Codec::Jpeg2000Mc,
        Loss::Possible,
    ),
    elsewhere("1.2.840.10008.1.2.4.94", "JPIP Referenced", Codec::Jpip, false),
    elsewhere(
        "1.2.840.10008.1.2.4.95",
        "JPIP Referenced Deflate",
        Codec::Jpip,
        true,
    ),
    coded(
        "1.2.840.10008.1.2.4.100",
        "MPEG2 Main Profile / Main Level",
        Codec::Mpeg2,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.100.1",
        "Fragmentable MPEG2 Main Profile / Main Level",
        Codec::Mpeg2,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.101",
        "MPEG2 Main Profile / High Level",
        Codec::Mpeg2,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.101.1",
        "Fragmentable MPEG2 Main Profile / High Level",
        Codec::Mpeg2,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.102",
        "MPEG-4 AVC High Profile / Level 4.1",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.102.1",
        "Fragmentable MPEG-4 AVC High Profile / Level 4.1",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.103",
        "MPEG-4 AVC BD-compatible / Level 4.1",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.103.1",
        "Fragmentable MPEG-4 AVC BD-compatible / Level 4.1",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.104",
        "MPEG-4 AVC High Profile / Level 4.2, 2D",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.104.1",
        "Fragmentable MPEG-4 AVC Level 4.2, 2D",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.105",
        "MPEG-4 AVC High Profile / Level 4.2, 3D",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.105.1",
        "Fragmentable MPEG-4 AVC Level 4.2, 3D",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.106",
        "MPEG-4 AVC Stereo High Profile / Level 4.2",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.106.1",
        "Fragmentable MPEG-4 AVC Stereo / Level 4.2",
        Codec::Mpeg4,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.107",
        "HEVC/H.265 Main Profile / Level 5.1",
        Codec::Hevc,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.108",
        "HEVC/H.265 Main 10 Profile / Level 5.1",
        Codec::Hevc,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.110",
        "JPEG XL Lossless",
        Codec::JpegXl,
        Loss::Never,
    ),
    // Lossless towards the JPEG it came from, which has lost already.
    coded(
        "1.2.840.10008.1.2.4.111",
        "JPEG XL JPEG Recompression",
        Codec::JpegXl,
        Loss::Always,
    ),
    coded(
        "1.2.840.10008.1.2.4.112",
        "JPEG XL",
        Codec::JpegXl,
        Loss::Possible,
    ),
    coded(
        "1.2.840.10008.1.2.4.201",
        "High-Throughput JPEG 2000 (Lossless Only)",
        Codec::HtJ2k,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000, RPCL (Lossless Only)",
        Codec::HtJ2k,
        Loss::Never,
    ),
    coded(
        "1.2.840.10008.1.2.4.203",
        "High-Throughput JPEG 2000",
        Codec::HtJ2k,
        Loss::Possible,
    ),
    elsewhere(
        "1.2.840.10008.1.2.4.204",
        "JPIP HTJ2K Referenced",
        Codec::Jpip,
        false,
    ),
    elsewhere(
        "1.2.840.10008.1.2.4.205",
        "JPIP HTJ2K Referenced Deflate",
        Codec::Jpip,
        true,
    ),
    elsewhere(
        "1.2.840.10008.1.2.7.1",
        "SMPTE ST 2110-20 Progressive Video",
        Codec::Smpte,
        false,
    ),
    elsewhere(
        "1.2.840.10008.1.2.7.2",
        "SMPTE ST 2110-20 Interlaced Video",
        Codec::Smpte,
        false,
    ),
    elsewhere(
        "1.2.840.10008.1.2.7.3",
        "SMPTE ST 2110-30 PCM Digital Audio",
        Codec::Smpte,
        false,
    ),
];

/// The facts about a transfer syntax; `None` for one that is not in PS3.6 (a private one).
#[must_use]
pub fn of(uid: &str) -> Option<&'static TransferSyntax> {
    ALL.iter().find(|s| s.uid == uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_uid_stands_once_and_the_exceptions_are_right() {
        let mut uids: Vec<_> = ALL.iter().map(|s| s.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), ALL.len());
        let not_explicit: Vec<_> = ALL.iter().filter(|s| !s.explicit).map(|s| s.uid).collect();
        assert_eq!(not_explicit, [IMPLICIT_LE, "1.2.840.10008.1.20"]);
        let big: Vec<_> = ALL.iter().filter(|s| s.big_endian).map(|s| s.uid).collect();
        assert_eq!(big, [EXPLICIT_BE]);
        assert!(of(DEFLATED_LE).unwrap().deflated);
        assert_eq!(of("1.2.840.10008.1.2.4.50").unwrap().loss, Loss::Always);
        assert!(of("1.2.3").is_none());
    }
}
