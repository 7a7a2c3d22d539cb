//! The walk over the elements of a data set.
//!
//! Lives here: sequences, items, delimiters, lengths and counts (PS3.5 §7). Without recursion: nesting costs an entry in
//! a list that has a bound. Never here: what the pixels' attributes say ([`super::pixels`]). Called by [`super::scan`].

use super::element::{Coding, Head, HeadFault, ITEM, ITEM_END, SEQUENCE_END, head};
use super::input::Input;
use super::meta::refused;
use super::pixels::{Facts, Geometry, PIXEL_DATA, is_pixels};
use super::{
    DEPTH_MOST, ELEMENTS_MOST, FRAGMENTS_MOST, HEADER_MOST, Odd, Oddity, PixelData, ScanError, tell,
};
use crate::syntax::{Pixels, TransferSyntax};
use dicom_core::{Tag, VR};
use std::collections::BTreeSet;
use std::ops::Range;

/// What the walk found.
pub struct Walked {
    pub header: Range<u64>,
    pub geometry: Option<Geometry>,
    pub pixel: Option<PixelData>,
    pub elements: usize,
    pub unknown_sequences: Vec<Range<u64>>,
}

/// A sequence or an item that is open.
struct Level {
    tag: Tag,
    item: bool,
    /// Where it ends, if it says so.
    end: Option<u64>,
    /// Where the innermost that says so ends.
    limit: Option<u64>,
    /// What holds again behind it.
    outer: Coding,
    /// Where its value begins.
    from: u64,
}

struct Walk<'a, I> {
    input: &'a mut I,
    coding: Coding,
    syntax: Option<&'static TransferSyntax>,
    oddities: &'a mut Vec<Oddity>,
    open: Vec<Level>,
    elements: usize,
    seen: BTreeSet<Tag>,
    facts: Facts,
    start: u64,
    pixel: Option<PixelData>,
    unknown_sequences: Vec<Range<u64>>,
}

/// Walks to the end.
pub fn walk<I: Input>(
    input: &mut I,
    coding: Coding,
    syntax: Option<&'static TransferSyntax>,
    oddities: &mut Vec<Oddity>,
) -> Result<Walked, ScanError> {
    let start = input.at();
    let mut walk = Walk {
        input,
        coding,
        syntax,
        oddities,
        open: Vec::new(),
        elements: 0,
        seen: BTreeSet::new(),
        facts: Facts::default(),
        start,
        pixel: None,
        unknown_sequences: Vec::new(),
    };
    while walk.step()? {}
    let end = walk.input.at();
    let mut geometry = None;
    let mut pixel = walk.pixel;
    let mut header_end = end;
    if let Some(pixel) = &mut pixel {
        header_end = pixel.element().1;
        let (checked, too_long) = walk.facts.check(pixel, syntax)?;
        if checked.zero_frames {
            tell(walk.oddities, Odd::ZeroFrames, header_end, Tag(0x0028, 0x0008));
        }
        if too_long {
            tell(walk.oddities, Odd::PixelsTooLong, header_end, pixel.element().0);
        }
        if let PixelData::Encapsulated { extended, .. } = pixel {
            *extended = walk.facts.extended.take();
        }
        geometry = Some(checked);
    }
    Ok(Walked {
        header: start..header_end,
        geometry,
        pixel,
        elements: walk.elements,
        unknown_sequences: walk.unknown_sequences,
    })
}

impl<I: Input> Walk<'_, I> {
    /// One element, item or delimiter; `false` at the end of the data set.
    fn step(&mut self) -> Result<bool, ScanError> {
        let at = self.input.at();
        while let Some(level) = self.open.pop_if(|l| l.end == Some(at)) {
            self.leave(&level, at);
        }
        let (within, in_sequence, limit) = match self.open.last() {
            Some(l) => (Some(l.tag), !l.item, l.limit),
            None => (None, false, None),
        };
        let bytes = self.input.peek(12)?;
        let left = bytes.len() as u64;
        if bytes.is_empty() {
            return match within {
                None => Ok(false),
                Some(tag) => Err(ScanError::Truncated {
                    offset: at,
                    tag,
                    wanted: 8,
                    left: 0,
                }),
            };
        }
        if within.is_none() && left < 8 && bytes.iter().all(|b| *b == 0) {
            tell(self.oddities, Odd::TrailingBytes, at, Tag(0, 0));
            self.input.skip(left)?;
            return Ok(false);
        }
        let head = head(bytes, self.coding).map_err(|fault| refused(fault, at, left))?;
        let ends = at + u64::from(head.size) + u64::from(head.len.unwrap_or(0));
        if let Some(end) = limit
            && ends > end
        {
            return Err(ScanError::Overruns {
                offset: at,
                tag: head.tag,
                end,
            });
        }
        self.input.skip(head.size.into())?;
        if in_sequence {
            self.item(at, &head, within.unwrap_or(Tag(0, 0)))?;
        } else {
            self.element(at, &head)?;
        }
        if self.pixel.is_none() && self.input.at() - self.start > HEADER_MOST {
            return Err(ScanError::HeaderTooLarge {
                offset: at,
                tag: head.tag,
                most: HEADER_MOST,
            });
        }
        Ok(true)
    }

    fn leave(&mut self, level: &Level, at: u64) {
        if self.coding != level.outer {
            self.coding = level.outer;
            self.unknown_sequences.push(level.from..at);
        }
    }

    fn count(&mut self, offset: u64, tag: Tag) -> Result<(), ScanError> {
        self.elements += 1;
        if self.elements > ELEMENTS_MOST {
            return Err(ScanError::TooMany {
                offset,
                tag,
                most: ELEMENTS_MOST,
            });
        }
        Ok(())
    }

    fn enter(
        &mut self,
        offset: u64,
        tag: Tag,
        item: bool,
        len: Option<u32>,
        inner: Coding,
    ) -> Result<(), ScanError> {
        let from = self.input.at();
        let end = len.map(|len| from + u64::from(len));
        if let (Some(end), Some(last)) = (end, self.input.end())
            && end > last
        {
            return Err(ScanError::Truncated {
                offset,
                tag,
                wanted: end - from,
                left: last - from,
            });
        }
        let limit = end.or_else(|| self.open.last().and_then(|l| l.limit));
        self.open.push(Level {
            tag,
            item,
            end,
            limit,
            outer: self.coding,
            from,
        });
        self.coding = inner;
        Ok(())
    }

    /// In a sequence: an item, or the sequence's end.
    fn item(&mut self, at: u64, head: &Head, sequence: Tag) -> Result<(), ScanError> {
        match head.tag {
            ITEM => {
                self.count(at, head.tag)?;
                self.enter(at, sequence, true, head.len, self.coding)
            }
            SEQUENCE_END => match self.open.pop_if(|l| l.end.is_none()) {
                Some(level) => {
                    // The range that the index reads implicitly has the delimiter in it.
                    let behind = self.input.at();
                    self.leave(&level, behind);
                    self.no_value(at, head)
                }
                None => Err(ScanError::StrayDelimiter {
                    offset: at,
                    tag: head.tag,
                }),
            },
            found => Err(ScanError::NotAnItem {
                offset: at,
                tag: sequence,
                found,
            }),
        }
    }

    fn no_value(&mut self, offset: u64, head: &Head) -> Result<(), ScanError> {
        if head.len == Some(0) {
            return Ok(());
        }
        Err(ScanError::StrayDelimiter {
            offset,
            tag: head.tag,
        })
    }

    /// In an item or at the top: an element, or the item's end.
    fn element(&mut self, at: u64, head: &Head) -> Result<(), ScanError> {
        let tag = head.tag;
        if tag == ITEM_END && self.open.pop_if(|l| l.end.is_none()).is_some() {
            return self.no_value(at, head);
        }
        if tag.0 == ITEM.0 {
            return Err(ScanError::StrayDelimiter { offset: at, tag });
        }
        self.count(at, tag)?;
        let top = self.open.is_empty();
        if top {
            if self.seen.last().is_some_and(|last| *last > tag) {
                tell(self.oddities, Odd::OutOfOrder, at, tag);
            }
            if !self.seen.insert(tag) || (is_pixels(tag) && self.pixel.is_some()) {
                return Err(ScanError::Repeated { offset: at, tag });
            }
        }
        let Some(len) = head.len else {
            return self.undefined(at, head, top);
        };
        if len % 2 == 1 {
            tell(self.oddities, Odd::OddLength, at, tag);
        }
        if head.vr == VR::SQ {
            return self.sequence(at, head, self.coding);
        }
        let from = self.input.at();
        if top && is_pixels(tag) {
            self.input.forget();
            self.pixel = Some(PixelData::Native {
                tag,
                vr: head.vr,
                element: at,
                offset: from,
                len: len.into(),
            });
        } else if top && self.facts.wants(tag, self.pixel.is_some(), at)? {
            let most = self.facts.check_head(at, head)?;
            let value = self.input.read(u64::from(len).min(most))?;
            if value.len() as u64 == u64::from(len) {
                self.facts.note(at, head, &value, self.coding)?;
            }
            return self.behind(at, head, from);
        }
        self.input.skip(len.into())?;
        self.behind(at, head, from)
    }

    /// Whether the value was there to its end.
    fn behind(&self, offset: u64, head: &Head, from: u64) -> Result<(), ScanError> {
        let (wanted, left) = (u64::from(head.len.unwrap_or(0)), self.input.at() - from);
        if left == wanted {
            return Ok(());
        }
        Err(ScanError::Truncated {
            offset,
            tag: head.tag,
            wanted,
            left,
        })
    }

    fn sequence(&mut self, offset: u64, head: &Head, inner: Coding) -> Result<(), ScanError> {
        if self.open.iter().filter(|l| !l.item).count() >= DEPTH_MOST {
            return Err(ScanError::TooDeep {
                offset,
                tag: head.tag,
                most: DEPTH_MOST,
            });
        }
        self.enter(offset, head.tag, false, head.len, inner)
    }

    fn undefined(&mut self, at: u64, head: &Head, top: bool) -> Result<(), ScanError> {
        match head.vr {
            VR::SQ => self.sequence(at, head, self.coding),
            VR::UN => {
                if self.coding != Coding::IMPLICIT_LE {
                    tell(self.oddities, Odd::UnknownSequence, at, head.tag);
                }
                self.sequence(at, head, Coding::IMPLICIT_LE)
            }
            VR::OB | VR::OW if head.tag == PIXEL_DATA => {
                if self.syntax.is_some_and(|s| s.pixels == Pixels::Native) {
                    return Err(ScanError::WrongEncapsulation {
                        offset: at,
                        tag: head.tag,
                        how: "is in fragments",
                    });
                }
                if top {
                    self.input.forget();
                }
                let pixel = self.fragments(at, top)?;
                if top {
                    self.pixel = Some(pixel);
                }
                Ok(())
            }
            _ => Err(ScanError::UndefinedLength {
                offset: at,
                tag: head.tag,
            }),
        }
    }

    /// The offset table and the fragments (PS3.5 §A.4), to their delimiter. They are kept for the image itself; an
    /// icon's are only walked over.
    fn fragments(&mut self, element: u64, keep: bool) -> Result<PixelData, ScanError> {
        let mut table = None;
        let mut fragments = Vec::new();
        let mut starts = Vec::new();
        let mut count = 0usize;
        let limit = self.open.last().and_then(|l| l.limit);
        loop {
            let at = self.input.at();
            let bytes = self.input.peek(12)?;
            let left = bytes.len() as u64;
            let is_start = matches!(
                bytes.get(8..),
                Some([0xFF, 0xD8, 0xFF, _] | [0xFF, 0x4F, 0xFF, 0x51])
            );
            let head = head(bytes, self.coding).map_err(|fault| match fault {
                HeadFault::Short(tag) => ScanError::Truncated {
                    offset: at,
                    tag,
                    wanted: 8,
                    left,
                },
                HeadFault::Vr(found, _) => ScanError::NotAnItem {
                    offset: at,
                    tag: PIXEL_DATA,
                    found,
                },
            })?;
            let len = match (head.tag, head.len) {
                (SEQUENCE_END, Some(0)) => {
                    self.input.skip(8)?;
                    break;
                }
                (ITEM, Some(len)) => len,
                (ITEM, None) => {
                    return Err(ScanError::UndefinedLength {
                        offset: at,
                        tag: ITEM,
                    });
                }
                (found, _) => {
                    return Err(ScanError::NotAnItem {
                        offset: at,
                        tag: PIXEL_DATA,
                        found,
                    });
                }
            };
            if let Some(end) = limit
                && at + 8 + u64::from(len) > end
            {
                return Err(ScanError::Overruns {
                    offset: at,
                    tag: PIXEL_DATA,
                    end,
                });
            }
            self.input.skip(8)?;
            let from = self.input.at();
            if table.is_none() {
                table = Some(self.offset_table(at, len)?);
            } else {
                self.input.skip(len.into())?;
                if keep {
                    if is_start && table.as_ref().is_some_and(Vec::is_empty) {
                        starts.push(u32::try_from(fragments.len()).unwrap_or(u32::MAX));
                    }
                    fragments.push((from, len));
                }
            }
            count += 1;
            if count > FRAGMENTS_MOST {
                return Err(ScanError::TooMany {
                    offset: at,
                    tag: PIXEL_DATA,
                    most: FRAGMENTS_MOST,
                });
            }
            self.behind(at, &head, from)?;
        }
        match table {
            Some(basic) => Ok(PixelData::Encapsulated {
                element,
                basic,
                extended: None,
                fragments,
                starts,
            }),
            None => Err(ScanError::OffsetTable {
                offset: element,
                tag: PIXEL_DATA,
                rule: "the first item must be one, though it may be empty",
            }),
        }
    }

    fn offset_table(&mut self, offset: u64, len: u32) -> Result<Vec<u32>, ScanError> {
        let rule = if !len.is_multiple_of(4) {
            "four bytes for each frame"
        } else if len as usize / 4 > FRAGMENTS_MOST {
            "more entries than fragments are allowed"
        } else {
            let bytes = self.input.read(len.into())?;
            let (entries, _) = bytes.as_chunks::<4>();
            return Ok(entries.iter().map(|e| self.coding.u32(*e)).collect());
        };
        Err(ScanError::OffsetTable {
            offset,
            tag: PIXEL_DATA,
            rule,
        })
    }
}
