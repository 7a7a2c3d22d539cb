//! The header of one element: tag, value representation, length.
//!
//! Lives here: the one place of this crate that reads it (PS3.5 §7.1), so that the scan and the index cannot read it
//! differently. Never here: values. Called by [`super::meta`], [`super::walk`] and [`mod@crate::index`].

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// Each element states its value representation.
    pub explicit: bool,
    /// Numbers have their first byte first.
    pub big_endian: bool,
}

impl Coding {
    /// Implicit VR Little Endian.
    pub const IMPLICIT_LE: Self = Self {
        explicit: false,
        big_endian: false,
    };
    /// Explicit VR Little Endian.
    pub const EXPLICIT_LE: Self = Self {
        explicit: true,
        big_endian: false,
    };
    /// Explicit VR Big Endian.
    pub const EXPLICIT_BE: Self = Self {
        explicit: true,
        big_endian: true,
    };
    /// Two bytes as a number.
    #[must_use]
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }
    /// Four bytes as a number.
    #[must_use]
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

/// An item.
pub const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// The end of an item of undefined length.
pub const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
/// The end of a sequence of undefined length.
pub const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// The header of an element, an item or a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its tag.
    pub tag: Tag,
    /// What its value is: stated, or looked up. Items and delimiters have `UN`.
    pub vr: VR,
    /// Bytes of the value; `None` when undefined.
    pub len: Option<u32>,
    /// Bytes of the header itself: 8 or 12.
    pub size: u8,
}

/// Why no header could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// There are fewer bytes than it has.
    Short(Tag),
    /// Two bytes that are no value representation.
    Vr(Tag, [u8; 2]),
}

fn cut<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Reads a header from the first bytes of `bytes` (12 suffice).
pub fn head(bytes: &[u8], coding: Coding) -> Result<Head, HeadFault> {
    let short = HeadFault::Short(Tag(0, 0));
    let group = coding.u16(cut(bytes, 0).ok_or(short)?);
    let element = coding.u16(cut(bytes, 2).ok_or(short)?);
    let tag = Tag(group, element);
    let short = HeadFault::Short(tag);
    let long = |at| -> Result<u32, HeadFault> { Ok(coding.u32(cut(bytes, at).ok_or(short)?)) };
    let (vr, len, size) = if group == ITEM.0 {
        // Items and delimiters never state one (PS3.5 §7.5).
        (VR::UN, long(4)?, 8)
    } else if coding.explicit {
        let stated: [u8; 2] = cut(bytes, 4).ok_or(short)?;
        let vr = VR::from_binary(stated).ok_or(HeadFault::Vr(tag, stated))?;
        if has_long_length(vr) {
            (vr, long(8)?, 12)
        } else {
            (vr, u32::from(coding.u16(cut(bytes, 6).ok_or(short)?)), 8)
        }
    } else {
        (implied(tag), long(4)?, 8)
    };
    let len = if len == UNDEFINED && (size == 12 || !coding.explicit || group == ITEM.0) {
        None
    } else {
        Some(len)
    };
    Ok(Head { tag, vr, len, size })
}

/// Whether a stated representation has two reserved bytes and a length of four (PS3.5 Table 7.1-1).
#[must_use]
pub fn has_long_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}

/// The representation of an element that states none: the dictionary's, `UN` for what it does not know.
#[must_use]
pub fn implied(tag: Tag) -> VR {
    looked_up(tag).map_or(VR::UN, VirtualVr::relaxed)
}

/// What the dictionary (PS3.6) says; group lengths and private creators included.
#[must_use]
pub fn looked_up(tag: Tag) -> Option<VirtualVr> {
    // Odd groups are private: their elements mean what their creator says, and only the creators' own representation is
    // known (PS3.5 §7.8.1). The dictionary's ranges of repeating groups would match some of them.
    if tag.group() % 2 == 1 {
        return match tag.element() {
            0x0000 => Some(VirtualVr::Exact(VR::UL)),
            0x0010..=0x00FF => Some(VirtualVr::Exact(VR::LO)),
            _ => None,
        };
    }
    StandardDataDictionary.by_tag(tag).map(|e| e.vr())
}

/// How likely it is that a data set in this coding begins with these bytes: the tag is in the dictionary, a stated
/// representation is the dictionary's or at least one, and the value fits.
pub fn plausible(bytes: &[u8], coding: Coding, left: u64) -> bool {
    let Ok(head) = head(bytes, coding) else {
        return false;
    };
    let fits = head
        .len
        .is_none_or(|len| u64::from(len) + u64::from(head.size) <= left);
    if head.tag.0 < 0x0004 || head.tag.0 > 0x7FE0 || !fits {
        return false;
    }
    match looked_up(head.tag) {
        None => false,
        // A length whose low half spells the dictionary's own representation is no length.
        Some(known) if !coding.explicit => {
            let stated = cut(bytes, 4).and_then(VR::from_binary);
            stated != Some(known.relaxed())
        }
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_all_codings() {
        let le = head(b"\x08\x00\x05\x00CS\x0a\x00", Coding::EXPLICIT_LE).unwrap();
        assert_eq!(
            le,
            Head {
                tag: Tag(8, 5),
                vr: VR::CS,
                len: Some(10),
                size: 8
            }
        );
        assert_eq!(head(b"\x00\x08\x00\x05CS\x00\x0a", Coding::EXPLICIT_BE), Ok(le));
        assert_eq!(
            head(b"\x08\x00\x05\x00\x0a\x00\x00\x00", Coding::IMPLICIT_LE),
            Ok(le)
        );
        let sq = head(b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff", Coding::EXPLICIT_LE).unwrap();
        assert_eq!((sq.len, sq.size), (None, 12));
        for (tag, vr) in [
            (Tag(0x7FDD, 0x0010), VR::LO),
            (Tag(0x7FDD, 0x1010), VR::UN),
            (Tag(0x5001, 0x0030), VR::LO),
            (Tag(0x0009, 0x0000), VR::UL),
            (Tag(0x6000, 0x0010), VR::US),
        ] {
            assert_eq!(implied(tag), vr, "{tag}");
        }
        // 65535 bytes in a length of two bytes is a length.
        let us = head(b"\x08\x00\x05\x00CS\xff\xff", Coding::EXPLICIT_LE).unwrap();
        assert_eq!(us.len, Some(65_535));
        assert_eq!(
            head(b"\x08\x00\x05\x00??\x0a\x00", Coding::EXPLICIT_LE),
            Err(HeadFault::Vr(Tag(8, 5), *b"??"))
        );
        assert_eq!(
            head(b"\x08\x00\x05", Coding::EXPLICIT_LE),
            Err(HeadFault::Short(Tag(0, 0)))
        );
    }

    #[test]
    fn an_explicit_start_is_not_taken_for_an_implicit_one() {
        let bytes = b"\x08\x00\x05\x00CS\x0a\x00ISO_";
        assert!(plausible(bytes, Coding::EXPLICIT_LE, 4 << 30));
        assert!(!plausible(bytes, Coding::IMPLICIT_LE, 4 << 30));
        assert!(!plausible(b"{\"00080005\":", Coding::IMPLICIT_LE, 4 << 30));
    }
}
