//! Why a file is refused.
//!
//! Lives here: the one error of the scan, with the byte and the tag at fault and what to do. Never here: a value out of
//! the file: what it says may be a patient's name. Called by everything in [`mod@crate::scan`].

use dicom_core::Tag;
use thiserror::Error;

/// Why a file was refused, or why a frame of it cannot be found. Offsets count bytes from the start of the file; in a
/// deflated data set (PS3.5 §A.5) from the start of what was inflated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The source failed.
    #[error("reading at byte {offset}: {source}; try again, and look at the disk or the sender")]
    Read {
        /// Where.
        offset: u64,
        /// What the source said.
        source: std::io::Error,
    },
    /// Neither `DICM` nor a data set at the start.
    #[error("no DICOM data set begins at byte {offset}; send a DICOM Part 10 file")]
    NotDicom {
        /// Where one was looked for.
        offset: u64,
    },
    /// Something needs more bytes than there are.
    #[error(
        "{tag} at byte {offset} needs {wanted} bytes, {left} are left: the file is cut off; send it again"
    )]
    Truncated {
        /// Where the element or item begins.
        offset: u64,
        /// Its tag; (0000,0000) when the tag itself is cut off.
        tag: Tag,
        /// Bytes that it needs.
        wanted: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// A value reaches beyond the item or sequence that it lies in.
    #[error(
        "{tag} at byte {offset} ends beyond its sequence or item, which ends at byte {end}; have the sender mend it"
    )]
    Overruns {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Where the enclosing item or sequence ends.
        end: u64,
    },
    /// Two bytes that are no value representation of PS3.5 §6.2.
    #[error(
        "{tag} at byte {offset} states the unknown value representation {vr:02X?}; have the sender mend it"
    )]
    UnknownVr {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// The two bytes.
        vr: [u8; 2],
    },
    /// An element of group 0002 longer than any that PS3.10 §7.1 knows.
    #[error(
        "{tag} at byte {offset} of the file meta information has {length} bytes, at most {most} are read; have the sender mend it"
    )]
    MetaTooLong {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Bytes it states.
        length: u64,
        /// Bytes allowed.
        most: u64,
    },
    /// An undefined length where PS3.5 §7.1.3 allows none.
    #[error(
        "{tag} at byte {offset} has an undefined length, which it may not have (PS3.5 §7.1); have the sender mend it"
    )]
    UndefinedLength {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
    },
    /// Something else where an item or the end of a sequence must be (PS3.5 §7.5).
    #[error(
        "{found} at byte {offset} where an item of the sequence {tag} must begin; have the sender mend it"
    )]
    NotAnItem {
        /// Where.
        offset: u64,
        /// The sequence.
        tag: Tag,
        /// What is there.
        found: Tag,
    },
    /// A delimiter where nothing is open that it could end.
    #[error("the delimiter {tag} at byte {offset} ends nothing; have the sender mend it")]
    StrayDelimiter {
        /// Where.
        offset: u64,
        /// Its tag.
        tag: Tag,
    },
    /// Sequences in sequences.
    #[error(
        "the sequence {tag} at byte {offset} is nested deeper than {most} levels; have the sender mend it"
    )]
    TooDeep {
        /// Where.
        offset: u64,
        /// The sequence.
        tag: Tag,
        /// Levels allowed.
        most: usize,
    },
    /// More elements and items, or more fragments, than any honest file has.
    #[error(
        "more than {most} elements, items or fragments before {tag} at byte {offset}; have the sender split the file"
    )]
    TooMany {
        /// Where the first too many is.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// How many are allowed.
        most: usize,
    },
    /// The header before the pixels is larger than is ever held in memory.
    #[error(
        "the header reaches beyond {most} bytes at byte {offset} with {tag}; have the sender split the file"
    )]
    HeaderTooLarge {
        /// Where the element begins that reaches too far.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Bytes allowed.
        most: u64,
    },
    /// An attribute of the pixels has another type than PS3.6 says.
    #[error("{tag} at byte {offset} must be {wanted}; have the sender mend it")]
    AttributeType {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Its type.
        wanted: &'static str,
    },
    /// An attribute of the pixels has a value that cannot be.
    #[error("{tag} at byte {offset}: {rule}; have the sender mend it")]
    AttributeValue {
        /// Where the element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// What must hold.
        rule: &'static str,
    },
    /// Pixels without an attribute that says how they lie.
    #[error("the pixels at byte {offset} need {tag}, which is missing before them; have the sender mend it")]
    AttributeMissing {
        /// Where the pixels' element begins.
        offset: u64,
        /// What is missing.
        tag: Tag,
    },
    /// An element that decides how pixels are read stands twice: two readers would take two different ones.
    #[error("{tag} at byte {offset} stands there a second time; have the sender mend it")]
    Repeated {
        /// Where the second is.
        offset: u64,
        /// Its tag.
        tag: Tag,
    },
    /// Rows, columns, samples, bits and frames need more bytes than the pixels have.
    #[error(
        "{tag} at byte {offset} has {found} bytes, its attributes ask for {wanted}: the image is incomplete; send it again"
    )]
    PixelsTooShort {
        /// Where the pixels' element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Bytes that the attributes ask for.
        wanted: u128,
        /// Bytes there.
        found: u64,
    },
    /// A frame that no decoder should be asked for.
    #[error(
        "{tag} at byte {offset}: a frame of {pixels} pixels, at most {most} are read; have the sender mend it"
    )]
    FrameTooLarge {
        /// Where the pixels' element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Pixels of one frame.
        pixels: u64,
        /// Pixels allowed.
        most: u64,
    },
    /// Fragments in a transfer syntax without, or none in one with (PS3.5 §8.2, §A.4).
    #[error(
        "{tag} at byte {offset} {how}, which its transfer syntax does not allow; have the sender mend it"
    )]
    WrongEncapsulation {
        /// Where the pixels' element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// How it is.
        how: &'static str,
    },
    /// The offset table of the fragments cannot be.
    #[error("the offset table of {tag} at byte {offset}: {rule}; have the sender mend it")]
    OffsetTable {
        /// Where the table begins.
        offset: u64,
        /// The element it belongs to.
        tag: Tag,
        /// What must hold.
        rule: &'static str,
    },
    /// The deflated part is damaged.
    #[error("the deflated data set does not inflate, after {offset} bytes: {source}; send the file again")]
    Inflate {
        /// Bytes that were inflated before.
        offset: u64,
        /// What the inflater said.
        source: std::io::Error,
    },
    /// The deflated part grows beyond all measure.
    #[error("the deflated data set grows beyond {most} at byte {offset}: refused as a bomb")]
    Bomb {
        /// Bytes inflated.
        offset: u64,
        /// Which bound was met.
        most: &'static str,
    },
    /// A frame beyond the last.
    #[error("there is no frame {frame} (counted from 0), the image has {frames}")]
    NoSuchFrame {
        /// Asked for, from 0.
        frame: u32,
        /// How many there are.
        frames: u32,
    },
    /// Neither a table nor the number of fragments tells where a frame begins.
    #[error(
        "cannot tell {frames} frames apart in {fragments} fragments of {tag} at byte {offset}; decode the file as a whole, or have the sender write an offset table"
    )]
    FramesUnclear {
        /// Where the pixels' element begins.
        offset: u64,
        /// Its tag.
        tag: Tag,
        /// Frames stated.
        frames: u32,
        /// Fragments there.
        fragments: usize,
    },
    /// The pixels have no place in the file: they are deflated with the header.
    #[error(
        "{tag} at byte {offset} lies in a deflated data set and has no place of its own; inflate the file first"
    )]
    NotAddressable {
        /// Where the pixels' element begins, inflated.
        offset: u64,
        /// Its tag.
        tag: Tag,
    },
    /// The file has no pixels.
    #[error("the file has no pixels")]
    NoPixels,
}
