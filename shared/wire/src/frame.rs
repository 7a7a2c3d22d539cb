//! The frame: a 12-byte header and a body.
//!
//! ```text
//! 0 version (1)  1 kind  2 lane  3 flags               4..6 dictionary id, big endian (0 = none)
//! 6..8 zero      8..12 body length, big endian         12.. body: JSON, compressed as a whole
//! flags: bit 0 the body is zstd, bit 1 the body goes on in the next frame of this lane
//! ```
//! A large body (an attachment within a resource) is cut over several frames of one lane; frames of other lanes may
//! come in between, so that an alert never waits for it.
//! A body is compressed once and the same bytes go to every subscriber.

use crate::packing::{Packer, Unpacker};
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::RefCell;

/// Version of this frame layout and of the messages.
pub const PROTOCOL: u8 = 1;
/// Longest frame in bytes, header included (sync.md).
pub const MAX_FRAME: usize = 256 * 1024;
/// Longest body after decompression, in bytes: a snapshot chunk holds at most [`CHUNK`] plus one item.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// Aim of a snapshot chunk in uncompressed bytes.
pub const CHUNK: usize = 64 * 1024;
/// Larger packed bodies are cut into parts of this size, so that on a slow line something arrives every few seconds
/// and other lanes get their turn.
pub const PART: usize = 32 * 1024;
/// Header length.
pub const HEADER: usize = 12;
/// Bodies shorter than this are sent as they are.
const COMPRESS_FROM: usize = 256;
/// zstd level of a body.
const LEVEL: i32 = 3;

/// Strict priority, lowest number first (sync.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Control, break-glass, alerts.
    Control = 0,
    /// Essentials and boards.
    Essentials = 1,
    /// Open patients.
    Patient = 2,
    /// Snapshots and back-fill, pulled with credit.
    Bulk = 3,
}

/// A frame that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header, or than the header says.
    #[error("frame of {got} bytes, {want} expected")]
    Short {
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
    /// Another protocol version.
    #[error("frame version {0}; this end speaks version 1")]
    Version(u8),
    /// No such lane.
    #[error("lane {0} does not exist")]
    Lane(u8),
    /// Larger than allowed.
    #[error("{what} of {bytes} bytes is larger than the {max} allowed")]
    TooLarge {
        /// Frame or body.
        what: &'static str,
        /// Size.
        bytes: usize,
        /// Limit.
        max: usize,
    },
    /// A dictionary this end does not have.
    #[error("dictionary {0} is not known to this end")]
    Dictionary(u16),
    /// Reserved bits are set.
    #[error("reserved bits are set")]
    Reserved,
    /// A body was cut and this is only a part of it.
    #[error("a body cut over several frames is not whole here")]
    Part,
    /// Compression failed.
    #[error("body cannot be {0}")]
    Compression(&'static str),
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Kind of the body (see `message`).
    pub kind: u8,
    /// Lane.
    pub lane: Lane,
    /// Body, uncompressed.
    pub body: Bytes,
}

const FLAG_ZSTD: u8 = 1;
const FLAG_MORE: u8 = 2;

impl Frame {
    /// The bytes to send, one frame; the body is compressed when that pays.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when even compressed it exceeds [`MAX_FRAME`]: [`Self::encode_parts`] cuts it.
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        let (flags, body) = self.packed()?;
        let total = HEADER.saturating_add(body.len());
        if total > MAX_FRAME {
            return Err(FrameError::TooLarge {
                what: "frame",
                bytes: total,
                max: MAX_FRAME,
            });
        }
        Ok(self.write(flags, &body))
    }

    /// The frames to send, in order, nearly always one.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when the body exceeds [`MAX_BODY`].
    pub fn encode_parts(&self) -> Result<Vec<Bytes>, FrameError> {
        let (flags, body) = self.packed()?;
        let cuts = body.chunks(PART).count().max(1);
        let mut out = Vec::with_capacity(cuts);
        for (i, part) in body.chunks(PART).enumerate() {
            let more = if i + 1 < cuts { FLAG_MORE } else { 0 };
            out.push(self.write(flags | more, part));
        }
        if out.is_empty() {
            out.push(self.write(flags, &[]));
        }
        Ok(out)
    }

    fn packed(&self) -> Result<(u8, Cow<'_, [u8]>), FrameError> {
        if self.body.len() > MAX_BODY {
            return Err(FrameError::TooLarge {
                what: "body",
                bytes: self.body.len(),
                max: MAX_BODY,
            });
        }
        if self.body.len() >= COMPRESS_FROM {
            let z = pack(&self.body)?;
            if z.len() < self.body.len() {
                return Ok((FLAG_ZSTD, Cow::Owned(z)));
            }
        }
        Ok((0, Cow::Borrowed(&self.body)))
    }

    fn write(&self, flags: u8, body: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(HEADER.saturating_add(body.len()));
        out.extend_from_slice(&[PROTOCOL, self.kind, self.lane as u8, flags, 0, 0, 0, 0]);
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(body);
        Bytes::from(out)
    }

    /// Reads a frame that holds a whole body.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is then closed, nothing is guessed.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let part = Part::read(bytes)?;
        if part.more {
            return Err(FrameError::Part);
        }
        part.whole(part.body)
    }
}

/// One frame as received, its body possibly a part.
struct Part<'a> {
    kind: u8,
    lane: Lane,
    packed: bool,
    more: bool,
    body: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > MAX_FRAME {
            return Err(FrameError::TooLarge {
                what: "frame",
                bytes: bytes.len(),
                max: MAX_FRAME,
            });
        }
        let &[
            version,
            kind,
            lane,
            flags,
            d0,
            d1,
            r0,
            r1,
            l0,
            l1,
            l2,
            l3,
            ref body @ ..,
        ] = bytes
        else {
            return Err(FrameError::Short {
                got: bytes.len(),
                want: HEADER,
            });
        };
        if version != PROTOCOL {
            return Err(FrameError::Version(version));
        }
        let lane = match lane {
            0 => Lane::Control,
            1 => Lane::Essentials,
            2 => Lane::Patient,
            3 => Lane::Bulk,
            other => return Err(FrameError::Lane(other)),
        };
        if flags & !(FLAG_ZSTD | FLAG_MORE) != 0 || r0 != 0 || r1 != 0 {
            return Err(FrameError::Reserved);
        }
        let dict = u16::from_be_bytes([d0, d1]);
        if dict != 0 {
            return Err(FrameError::Dictionary(dict));
        }
        let want = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if want != body.len() {
            return Err(FrameError::Short {
                got: body.len(),
                want,
            });
        }
        Ok(Self {
            kind,
            lane,
            packed: flags & FLAG_ZSTD != 0,
            more: flags & FLAG_MORE != 0,
            body,
        })
    }

    fn whole(&self, body: &[u8]) -> Result<Frame, FrameError> {
        let body = if self.packed {
            Bytes::from(unpack(body)?)
        } else {
            Bytes::copy_from_slice(body)
        };
        Ok(Frame {
            kind: self.kind,
            lane: self.lane,
            body,
        })
    }
}

/// Puts bodies together that were cut over several frames; one per connection and direction. Holds at most
/// [`MAX_BODY`] bytes per lane and nothing while no body is cut.
#[derive(Debug, Default, Clone)]
pub struct Assembler {
    open: Vec<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    lane: Lane,
    kind: u8,
    packed: bool,
    body: Vec<u8>,
}

impl Assembler {
    /// Takes a frame in; gives the whole one when this was its last or only part.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is then closed.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        let part = Part::read(bytes)?;
        let found = self.open.iter().position(|o| o.lane == part.lane);
        let Some(mut open) = found.map(|i| self.open.swap_remove(i)) else {
            if !part.more {
                return part.whole(part.body).map(Some);
            }
            let body = part.body.to_vec();
            self.open.push(Open {
                lane: part.lane,
                kind: part.kind,
                packed: part.packed,
                body,
            });
            return Ok(None);
        };
        if open.kind != part.kind || open.packed != part.packed {
            return Err(FrameError::Part);
        }
        let total = open.body.len().saturating_add(part.body.len());
        if total > MAX_BODY {
            return Err(FrameError::TooLarge {
                what: "body",
                bytes: total,
                max: MAX_BODY,
            });
        }
        open.body.extend_from_slice(part.body);
        if part.more {
            self.open.push(open);
            return Ok(None);
        }
        part.whole(&open.body).map(Some)
    }
}

thread_local! {
    /// Making a context costs more than most bodies; one per thread is kept.
    static PACKER: RefCell<Option<Packer>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Unpacker>> = const { RefCell::new(None) };
}

/// Overwrites what this thread keeps of the last bodies for packing and unpacking.
pub fn forget() {
    PACKER.with_borrow_mut(|kept| kept.as_mut().map(Packer::rinse));
    UNPACKER.with_borrow_mut(|kept| kept.as_mut().map(Unpacker::rinse));
}

fn pack(body: &[u8]) -> Result<Vec<u8>, FrameError> {
    let fault = |_| FrameError::Compression("compressed");
    PACKER.with_borrow_mut(|slot| {
        let packer = match slot {
            Some(p) => p,
            None => slot.insert(Packer::new(LEVEL).map_err(fault)?),
        };
        packer.pack(body).map_err(fault)
    })
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, FrameError> {
    let size = zstd::zstd_safe::get_frame_content_size(body)
        .ok()
        .flatten()
        .ok_or(FrameError::Compression("read: it does not say its size"))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_BODY {
        return Err(FrameError::TooLarge {
            what: "body",
            bytes: size,
            max: MAX_BODY,
        });
    }
    let fault = |_| FrameError::Compression("decompressed");
    UNPACKER.with_borrow_mut(|slot| {
        let unpacker = match slot {
            Some(u) => u,
            None => slot.insert(Unpacker::new().map_err(fault)?),
        };
        unpacker.unpack(body, size).map_err(fault)
    })
}
