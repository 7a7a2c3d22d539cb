//! What the parser reads from: the header in memory, element by element, values as bytes.
//!
//! Lives here: the bridge to `dicom-object`. It asks the scan's own reader for every header, so that both see the same
//! elements, and hands out values unread, so that no length, no number and no text is interpreted twice. Values are
//! turned to little endian on the way. Never here: what values mean. Called by [`super::index`].

use crate::scan::element::{Coding, HeadFault, head, implied, looked_up};
use dicom_core::dictionary::VirtualVr;
use dicom_core::header::{DataElementHeader, HasLength as _, Length, SequenceItemHeader};
use dicom_core::{PrimitiveValue, VR};
use dicom_encoding::decode::{Decode as _, explicit_le::ExplicitVRLittleEndianDecoder};
use dicom_parser::StatefulDecode;
use dicom_parser::stateful::decode::{Error, Result};
use std::io::{Cursor, Seek, Write};
use std::ops::Range;

/// Values longer than this do not become memory: what text or number needs so many bytes?
pub const VALUE_MOST: usize = 16 << 20;

pub struct HeaderSource<'a> {
    bytes: Cursor<&'a [u8]>,
    /// Where the bytes begin in what was scanned.
    base: u64,
    coding: Coding,
    /// Where the coding is Implicit VR Little Endian.
    implicit: &'a [Range<u64>],
    signed: bool,
    swap: bool,
}

impl<'a> HeaderSource<'a> {
    pub fn new(bytes: &'a [u8], base: u64, coding: Coding, implicit: &'a [Range<u64>], signed: bool) -> Self {
        Self {
            bytes: Cursor::new(bytes),
            base,
            coding,
            implicit,
            signed,
            swap: false,
        }
    }

    fn rest(&self) -> &'a [u8] {
        let at = usize::try_from(self.bytes.position()).unwrap_or(usize::MAX);
        self.bytes.get_ref().get(at..).unwrap_or_default()
    }

    fn coding(&self) -> Coding {
        let at = self.position();
        // They follow each other: a search, not a walk, for a file may have very many.
        let next = self.implicit.partition_point(|r| r.end <= at);
        if self.implicit.get(next).is_some_and(|r| r.contains(&at)) {
            Coding::IMPLICIT_LE
        } else {
            self.coding
        }
    }

    /// The parser's own words for "the bytes are over", which it takes for the end of the data set between elements.
    fn over<T>(&self, bytes: &[u8]) -> Result<T> {
        let position = self.position();
        let mut cut = bytes.get(..3).unwrap_or(bytes);
        match ExplicitVRLittleEndianDecoder::default().decode_header(&mut cut) {
            Err(source) => Err(Error::DecodeElementHeader { position, source }),
            // Three bytes are no header; nothing is even less of one.
            Ok(_) => self.over(&[]),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.rest().get(..n) {
            Some(taken) => {
                self.bytes.set_position(self.bytes.position() + n as u64);
                Ok(taken)
            }
            None => self.over(&[]),
        }
    }

    /// Whether everything was read.
    pub fn is_over(&self) -> bool {
        let rest = self.rest();
        rest.len() < 8 && rest.iter().all(|b| *b == 0)
    }

    fn value(&mut self, header: &DataElementHeader) -> Result<PrimitiveValue> {
        let len = header.length().get().map_or(usize::MAX, |l| l as usize);
        let swap = self.swap;
        let bytes = self.take(len)?;
        if bytes.is_empty() {
            return Ok(PrimitiveValue::Empty);
        }
        // Cut, not refused: the rest is listed as bulk, by its length.
        let kept = bytes.get(..VALUE_MOST).unwrap_or(bytes);
        let mut value = kept.to_vec();
        if swap {
            swap_bytes(&mut value, header.vr);
        }
        Ok(PrimitiveValue::U8(value.into()))
    }
}

fn swap_bytes(value: &mut [u8], vr: VR) {
    let width = match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::OD | VR::SV | VR::UV | VR::OV => 8,
        _ => return,
    };
    for number in value.chunks_exact_mut(width) {
        number.reverse();
    }
}

impl<'a> StatefulDecode for HeaderSource<'a> {
    type Reader = Cursor<&'a [u8]>;

    fn decode_header(&mut self) -> Result<DataElementHeader> {
        let coding = self.coding();
        let rest = self.rest();
        let head = match head(rest, coding) {
            Ok(head) => head,
            Err(HeadFault::Short(_) | HeadFault::Vr(..)) => return self.over(rest),
        };
        self.take(head.size.into())?;
        self.swap = coding.big_endian && head.vr != VR::UN;
        let mut vr = head.vr;
        if vr == VR::UN && coding.explicit && head.len.is_some() {
            // Somebody did not know it; we may (PS3.5 §6.2.2). A sequence stays as it is.
            vr = Some(implied(head.tag)).filter(|vr| *vr != VR::SQ).unwrap_or(vr);
        }
        if !coding.explicit && self.signed && looked_up(head.tag) == Some(VirtualVr::Xs) {
            vr = VR::SS;
        }
        let len = head.len.map_or(Length::UNDEFINED, Length);
        Ok(DataElementHeader::new(head.tag, vr, len))
    }

    fn decode_item_header(&mut self) -> Result<SequenceItemHeader> {
        let coding = self.coding();
        let rest = self.rest();
        let position = self.position();
        let Ok(head) = head(rest, coding) else {
            return self.over(rest);
        };
        let len = head.len.map_or(Length::UNDEFINED, Length);
        match SequenceItemHeader::new(head.tag, len) {
            Ok(item) => {
                self.take(8)?;
                Ok(item)
            }
            Err(_) => {
                let mut bytes = rest;
                match ExplicitVRLittleEndianDecoder::default().decode_item_header(&mut bytes) {
                    Err(source) => Err(Error::DecodeItemHeader { position, source }),
                    Ok(_) => self.over(&[]),
                }
            }
        }
    }

    fn read_value(&mut self, header: &DataElementHeader) -> Result<PrimitiveValue> {
        self.value(header)
    }

    fn read_value_preserved(&mut self, header: &DataElementHeader) -> Result<PrimitiveValue> {
        self.value(header)
    }

    fn read_value_bytes(&mut self, header: &DataElementHeader) -> Result<PrimitiveValue> {
        self.value(header)
    }

    fn read_to_vec(&mut self, length: u32, vec: &mut Vec<u8>) -> Result<()> {
        let bytes = self.take(length as usize)?;
        vec.extend_from_slice(bytes);
        Ok(())
    }

    fn read_u32_to_vec(&mut self, length: u32, vec: &mut Vec<u32>) -> Result<()> {
        let coding = self.coding();
        let (numbers, _) = self.take(length as usize)?.as_chunks::<4>();
        vec.extend(numbers.iter().map(|n| coding.u32(*n)));
        Ok(())
    }

    fn read_to<W: Write>(&mut self, length: u32, mut out: W) -> Result<()> {
        let bytes = self.take(length as usize)?;
        if out.write_all(bytes).is_err() {
            return self.over(&[]);
        }
        Ok(())
    }

    fn skip_bytes(&mut self, length: u32) -> Result<()> {
        self.take(length as usize)?;
        Ok(())
    }

    fn seek(&mut self, position: u64) -> Result<()>
    where
        Self::Reader: Seek,
    {
        self.bytes.set_position(position.saturating_sub(self.base));
        Ok(())
    }

    fn position(&self) -> u64 {
        self.base + self.bytes.position()
    }
}
