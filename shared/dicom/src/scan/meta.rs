//! The start of a file: preamble, prefix, group 0002, and in which coding the data set goes on.
//!
//! Lives here: PS3.10 §7.1, and the second, tolerant way for files without it. Never here: the data set. Called by
//! [`super::scan`].

use super::element::{Coding, Head, HeadFault, head, plausible};
use super::input::Input;
use super::walk::Walked;
use super::{FileMeta, META_MOST, Odd, Oddity, Preamble, Scan, ScanError, tell};
use crate::syntax::TransferSyntax;
use dicom_core::Tag;

const PREAMBLE: usize = 128;

/// The start of a file.
pub struct Start {
    pub meta: FileMeta,
    preamble: Preamble,
}

impl Start {
    pub fn into_scan(
        self,
        coding: Coding,
        syntax: Option<&'static TransferSyntax>,
        found: Walked,
        inflated: Option<Vec<u8>>,
        oddities: Vec<Oddity>,
    ) -> Scan {
        Scan {
            meta: self.meta,
            preamble: self.preamble,
            coding,
            syntax,
            header: found.header,
            inflated,
            geometry: found.geometry,
            pixel: found.pixel,
            elements: found.elements,
            oddities,
            unknown_sequences: found.unknown_sequences,
        }
    }
}

/// Reads up to the first byte of the data set.
pub fn read(input: &mut impl Input, oddities: &mut Vec<Oddity>) -> Result<Start, ScanError> {
    let first = input.peek(PREAMBLE + 4)?;
    let prefixed = first.get(PREAMBLE..) == Some(b"DICM".as_slice());
    let zero = first.get(..PREAMBLE).is_some_and(|p| p.iter().all(|b| *b == 0));
    let preamble = match (prefixed, zero) {
        (true, true) => Preamble::Zero,
        (true, false) => Preamble::NonZero,
        (false, _) => Preamble::Absent,
    };
    if prefixed {
        input.skip(PREAMBLE as u64 + 4)?;
    } else {
        tell(oddities, Odd::NoPrefix, 0, Tag(0, 0));
    }
    let meta = group_two(input, oddities)?;
    Ok(Start { meta, preamble })
}

fn group_two(input: &mut impl Input, oddities: &mut Vec<Oddity>) -> Result<FileMeta, ScanError> {
    let mut meta = FileMeta::default();
    let mut stated = None;
    let mut seen = false;
    loop {
        let offset = input.at();
        let bytes = input.peek(12)?;
        // Always Explicit VR Little Endian, whatever follows.
        if bytes.get(..2) != Some([2, 0].as_slice()) {
            break;
        }
        let left = bytes.len() as u64;
        let Head { tag, len, size, .. } =
            head(bytes, Coding::EXPLICIT_LE).map_err(|fault| refused(fault, offset, left))?;
        seen = true;
        let Some(len) = len.map(u64::from) else {
            return Err(ScanError::UndefinedLength { offset, tag });
        };
        if len > META_MOST {
            return Err(ScanError::MetaTooLong {
                offset,
                tag,
                length: len,
                most: META_MOST,
            });
        }
        input.skip(size.into())?;
        let value = input.read(len)?;
        let left = value.len() as u64;
        if left < len {
            return Err(ScanError::Truncated {
                offset,
                tag,
                wanted: len,
                left,
            });
        }
        let slot = match tag.1 {
            0x0000 => {
                let end = <[u8; 4]>::try_from(value.as_slice())
                    .ok()
                    .map(|n| input.at() + u64::from(u32::from_le_bytes(n)));
                stated = Some((offset, end));
                continue;
            }
            0x0002 => &mut meta.sop_class,
            0x0003 => &mut meta.sop_instance,
            0x0010 => &mut meta.transfer_syntax,
            0x0012 => &mut meta.implementation_class,
            0x0013 => &mut meta.implementation_version,
            0x0016 => &mut meta.source_ae,
            _ => continue,
        };
        if slot.is_some() {
            return Err(ScanError::Repeated { offset, tag });
        }
        *slot = text(&value);
    }
    if !seen {
        tell(oddities, Odd::NoFileMeta, input.at(), Tag(0, 0));
    }
    if let Some((offset, end)) = stated
        && end != Some(input.at())
    {
        tell(oddities, Odd::MetaLength, offset, Tag(2, 0));
    }
    Ok(meta)
}

/// ASCII without its padding; `None` when nothing is left.
fn text(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_matches(['\0', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The error for a header that cannot be read.
pub fn refused(fault: HeadFault, offset: u64, left: u64) -> ScanError {
    match fault {
        HeadFault::Short(tag) => ScanError::Truncated {
            offset,
            tag,
            wanted: if left < 8 { 8 } else { 12 },
            left,
        },
        HeadFault::Vr(tag, vr) => ScanError::UnknownVr { offset, tag, vr },
    }
}

/// In which coding the data set goes on. `known`: `None` when group 0002 names no transfer syntax, `Some(None)` when
/// it names an unknown one.
pub fn coding(
    input: &mut impl Input,
    known: Option<Option<&'static TransferSyntax>>,
    oddities: &mut Vec<Oddity>,
) -> Result<Coding, ScanError> {
    let offset = input.at();
    let left = input.end().map_or(u64::MAX, |end| end.saturating_sub(offset));
    let first = input.peek(12)?;
    let tag = head(first, Coding::IMPLICIT_LE).map_or(Tag(0, 0), |h| h.tag);
    let named = known.flatten().map(|s| Coding {
        explicit: s.explicit,
        big_endian: s.big_endian,
    });
    // Nothing follows group 0002: that is for whoever wants an instance to refuse.
    if first.is_empty() && offset > 0 {
        return Ok(named.unwrap_or(Coding::EXPLICIT_LE));
    }
    if let Some(named) = named
        && plausible(first, named, left)
    {
        return Ok(named);
    }
    let guessed = [Coding::EXPLICIT_LE, Coding::IMPLICIT_LE, Coding::EXPLICIT_BE]
        .into_iter()
        .find(|c| plausible(first, *c, left));
    match (named, guessed, known) {
        (Some(_), Some(guessed), _) => {
            tell(oddities, Odd::OtherTransferSyntax, offset, tag);
            Ok(guessed)
        }
        // Perhaps it only begins with a tag that the dictionary does not know.
        (Some(named), None, _) => Ok(named),
        (None, Some(guessed), Some(_)) => {
            tell(oddities, Odd::UnknownTransferSyntax, offset, tag);
            Ok(guessed)
        }
        (None, Some(guessed), None) => {
            tell(oddities, Odd::NoTransferSyntax, offset, tag);
            Ok(guessed)
        }
        (None, None, _) => Err(ScanError::NotDicom { offset }),
    }
}
