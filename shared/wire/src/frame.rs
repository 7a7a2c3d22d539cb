//! The frame: a 12-byte header and a body.
//!
//! ```text
//! 0 version (1)  1 kind  2 lane  3 flags (bit 0: body is zstd)  4..6 dictionary id, big endian (0 = none)
//! 6..8 zero      8..12 body length, big endian                  12.. body: JSON, compressed as a whole
//! ```
//! A body is compressed once and the same bytes go to every subscriber.

use bytes::Bytes;

/// Version of this frame layout and of the messages.
pub const PROTOCOL: u8 = 1;
/// Longest frame in bytes, header included (sync.md).
pub const MAX_FRAME: usize = 256 * 1024;
/// Longest body after decompression, in bytes: a snapshot chunk holds at most [`CHUNK`] plus one item.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// Aim of a snapshot chunk in uncompressed bytes.
pub const CHUNK: usize = 64 * 1024;
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

impl Frame {
    /// The bytes to send; the body is compressed when that pays.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when even compressed it exceeds [`MAX_FRAME`].
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        let packed = if self.body.len() >= COMPRESS_FROM {
            let z =
                zstd::bulk::compress(&self.body, LEVEL).map_err(|_| FrameError::Compression("compressed"))?;
            if z.len() < self.body.len() { Some(z) } else { None }
        } else {
            None
        };
        let (flags, body): (u8, &[u8]) = match &packed {
            Some(z) => (1, z),
            None => (0, &self.body),
        };
        let total = HEADER + body.len();
        if total > MAX_FRAME {
            return Err(FrameError::TooLarge {
                what: "frame",
                bytes: total,
                max: MAX_FRAME,
            });
        }
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&[PROTOCOL, self.kind, self.lane as u8, flags, 0, 0, 0, 0]);
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(body);
        Ok(Bytes::from(out))
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is then closed, nothing is guessed.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
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
        if flags & !1 != 0 || r0 != 0 || r1 != 0 {
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
        let body = if flags & 1 == 1 {
            Bytes::from(unpack(body)?)
        } else {
            Bytes::copy_from_slice(body)
        };
        Ok(Self { kind, lane, body })
    }
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
    zstd::bulk::decompress(body, size).map_err(|_| FrameError::Compression("decompressed"))
}
