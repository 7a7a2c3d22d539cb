//! Compression with a versioned dictionary: FHIR resources are short and alike, so most of each is in it already.
//!
//! Lives here: the dictionaries by number, of which the newest packs and every one unpacks. Never here: sealing.
//! Called by `vault`. A dictionary is trained on the synthetic hospital alone: it ships with the program and must hold
//! nothing of anybody. A new one is added under the next number; none is ever changed or removed.

use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// Fast: the writer's budget is tens of microseconds per resource.
const LEVEL: i32 = 3;
/// No body is larger; a frame that claims more is damaged.
const MAX: usize = 256 << 20;
const PLAIN: u8 = 1;
const FIRST: u8 = 2;
/// Longer bodies gain nothing from the dictionary.
const LONG: usize = 64 * 1024;

static DICTIONARY_1: &[u8] = include_bytes!("../dictionaries/1.zdict");
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

thread_local! {
    static PACK: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static PACK_LONG: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static UNPACK_LONG: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A compressed body and the byte that says how to undo it.
pub(crate) struct Frame {
    pub tag: u8,
    pub bytes: Vec<u8>,
}

/// Compresses.
pub(crate) fn compress(body: &[u8]) -> std::io::Result<Option<Frame>> {
    let (cell, tag) = if body.len() < LONG {
        (&PACK, FIRST)
    } else {
        (&PACK_LONG, PLAIN)
    };
    cell.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(if tag == FIRST {
                Compressor::with_prepared_dictionary(&ENCODER)?
            } else {
                Compressor::new(LEVEL)?
            });
        }
        match slot {
            Some(c) => Ok(Some(Frame {
                tag,
                bytes: c.compress(body)?,
            })),
            None => Ok(None),
        }
    })
}

/// Undoes [`compress`]; `None` for what is damaged or from a later program.
pub(crate) fn decompress(tag: u8, frame: &[u8]) -> Option<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten()?;
    let size = usize::try_from(size).ok().filter(|n| *n <= MAX)?;
    let cell = match tag {
        PLAIN => &UNPACK_LONG,
        FIRST => &UNPACK,
        _ => return None,
    };
    cell.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = if tag == FIRST {
                Decompressor::with_prepared_dictionary(&DECODER).ok()
            } else {
                Decompressor::new().ok()
            };
        }
        slot.as_mut()?.decompress(frame, size).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_resource_shrinks_to_a_fraction_and_comes_back() {
        let body = br#"{"resourceType":"Observation","id":"8a1f","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}]},"subject":{"reference":"Patient/p-1"},"valueQuantity":{"value":88,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}"#;
        let frame = compress(body).unwrap().unwrap();
        assert_eq!(frame.tag, FIRST);
        assert!(
            frame.bytes.len() * 3 < body.len(),
            "{} of {}",
            frame.bytes.len(),
            body.len()
        );
        assert_eq!(decompress(frame.tag, &frame.bytes).unwrap(), body);
        assert!(decompress(frame.tag, &frame.bytes[..frame.bytes.len() - 2]).is_none());
        assert!(decompress(9, &frame.bytes).is_none());
    }
}
