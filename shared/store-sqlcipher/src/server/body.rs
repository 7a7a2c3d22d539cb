//! How bodies lie in the file: one byte that says how they are packed, then the bytes.
//!
//! 0 = as they are (short ones), 1 = one zstd frame, 2 = a reference into a pack, where the body lies now. Compressed before encryption: the file is read whole by its
//! owner alone, and no attacker's text shares a frame with a patient's.

use std::cell::RefCell;
use vitrine_store::StoreError;
use vitrine_store::pack::{PackRef, Packs};

/// Below this many bytes zstd's frame costs more than it saves.
const SHORT: usize = 128;
/// Fast: the writer's budget is tens of microseconds per resource.
const LEVEL: i32 = 1;
/// No body is larger; a frame that claims more is damaged.
const MAX: usize = 256 << 20;

thread_local! {
    static PACK: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACK: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs a body.
pub(super) fn pack(body: &[u8]) -> Result<Vec<u8>, StoreError> {
    if body.len() >= SHORT {
        let frame = PACK.with_borrow_mut(|slot| -> std::io::Result<Vec<u8>> {
            if slot.is_none() {
                *slot = Some(zstd::bulk::Compressor::new(LEVEL)?);
            }
            match slot {
                Some(c) => c.compress(body),
                None => Ok(Vec::new()),
            }
        });
        let frame = frame.map_err(|e| StoreError::Backend {
            doing: "packing a body",
            cause: e.to_string(),
        })?;
        if !frame.is_empty() && frame.len() < body.len() {
            return Ok(tagged(1, &frame));
        }
    }
    Ok(tagged(0, body))
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

/// The byte before a reference into a pack.
pub(super) const PACKED: u8 = 2;

/// What stands in place of a body that lies in a pack.
pub(super) fn reference(r: &PackRef) -> Vec<u8> {
    tagged(PACKED, &r.bytes())
}

/// The reference, when it is one.
pub(super) fn referenced(packed: &[u8]) -> Option<PackRef> {
    packed.strip_prefix(&[PACKED]).and_then(PackRef::read)
}

/// Unpacks a resource's body, from its pack where it lies in one.
pub(super) fn open(packs: Option<&Packs>, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    match (packs, referenced(packed)) {
        (Some(packs), Some(r)) => packs.read(r),
        _ => unpack(packed),
    }
}

/// Unpacks a body that is never packed: a card, a board row, an audit row. A reference is none of these.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::Damaged("a body in the server's database".to_owned());
    match packed.split_first() {
        None => Ok(Vec::new()),
        Some((0, bytes)) => Ok(bytes.to_vec()),
        Some((1, frame)) => {
            let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
            let size = size
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n <= MAX)
                .ok_or_else(damaged)?;
            UNPACK.with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = zstd::bulk::Decompressor::new().ok();
                }
                slot.as_mut()
                    .and_then(|d| d.decompress(frame, size).ok())
                    .ok_or_else(damaged)
            })
        }
        Some(_) => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_comes_back() {
        for n in [0_usize, 1, 127, 128, 129, 5_000, 300_000] {
            let body: Vec<u8> = (0..n).map(|i| (i % 7 + i / 1000) as u8).collect();
            assert_eq!(unpack(&pack(&body).unwrap()).unwrap(), body);
        }
        let mut packed = pack(&[b'a'; 4000]).unwrap();
        assert!(packed.len() < 100);
        packed.truncate(packed.len() - 3);
        assert!(unpack(&packed).is_err());
        assert!(unpack(&[9, 1]).is_err());
    }
}
