//! The bytes of a file, forwards only, never more at once than a window.
//!
//! Lives here: the source as it is, and the source inflated, behind one trait. Nothing here asks for memory that the
//! file merely declares. Never here: what the bytes mean. Called by [`super::meta`] and [`super::walk`].

use super::ScanError;
use dicom_core::Tag;
use flate2::read::DeflateDecoder;
use std::io::{Read, Seek, SeekFrom};

/// Bytes looked at together. An element's header has at most 12, a preamble 132.
const WINDOW: usize = 8 << 10;
/// Inflated bytes that are free: below, a high ratio is no bomb.
const RATIO_FREE: u64 = 4 << 20;
/// Deflate cannot do better than 1032:1; honest images stay far below this.
const RATIO: u64 = 1_000;
/// Nothing larger is inflated.
const INFLATED_MOST: u64 = 4 << 30;

/// A position in bytes that only grows.
pub trait Input {
    /// Where the next byte is.
    fn at(&self) -> u64;
    /// Where the last byte ends, if that is known.
    fn end(&self) -> Option<u64>;
    /// The next bytes, up to `n` (at most 256), without taking them; fewer only at the end.
    fn peek(&mut self, n: usize) -> Result<&[u8], ScanError>;
    /// Takes `n` bytes. `false` when there are not that many.
    fn skip(&mut self, n: u64) -> Result<bool, ScanError>;
    /// Takes `n` bytes into memory, as they come: a length that is not there costs nothing. Fewer only at the end.
    fn read(&mut self, n: u64) -> Result<Vec<u8>, ScanError> {
        let mut out = Vec::new();
        let mut left = n;
        while left > 0 {
            let step = usize::try_from(left.min(256)).unwrap_or(256);
            let got = self.peek(step)?.to_vec();
            if got.is_empty() {
                break;
            }
            self.skip(got.len() as u64)?;
            left -= got.len() as u64;
            out.extend_from_slice(&got);
        }
        Ok(out)
    }
    /// From here on the bytes are no longer kept (they are only where the source cannot be read a second time).
    fn forget(&mut self) {}
}

/// The file as it is.
pub struct Plain<R> {
    source: R,
    end: u64,
    at: u64,
    window: Vec<u8>,
    /// What of the window is taken.
    taken: usize,
    /// Where the source stands; `None` when it must be told.
    stands: Option<u64>,
}

impl<R: Read + Seek> Plain<R> {
    pub fn new(source: R, at: u64, end: u64) -> Self {
        Self {
            source,
            end,
            at,
            window: Vec::with_capacity(WINDOW),
            taken: 0,
            stands: None,
        }
    }
    fn rest(&self) -> usize {
        self.window.len().saturating_sub(self.taken)
    }
    fn fill(&mut self) -> Result<(), ScanError> {
        self.window.drain(..self.taken);
        self.taken = 0;
        let from = self.at + self.window.len() as u64;
        let offset = from;
        if self.stands != Some(from) {
            self.source
                .seek(SeekFrom::Start(from))
                .map_err(|source| ScanError::Read { offset, source })?;
        }
        let room = (WINDOW - self.window.len()) as u64;
        let want = room.min(self.end.saturating_sub(from));
        let got = self
            .source
            .by_ref()
            .take(want)
            .read_to_end(&mut self.window)
            .map_err(|source| ScanError::Read { offset, source })?;
        self.stands = Some(from + got as u64);
        Ok(())
    }
}

impl<R: Read + Seek> Input for Plain<R> {
    fn at(&self) -> u64 {
        self.at
    }
    fn end(&self) -> Option<u64> {
        Some(self.end)
    }
    fn peek(&mut self, n: usize) -> Result<&[u8], ScanError> {
        if self.rest() < n && self.at + (self.rest() as u64) < self.end {
            self.fill()?;
        }
        let rest = self.window.get(self.taken..).unwrap_or_default();
        Ok(rest.get(..n).unwrap_or(rest))
    }
    fn skip(&mut self, n: u64) -> Result<bool, ScanError> {
        if n > self.end.saturating_sub(self.at) {
            self.at = self.end;
            self.window.clear();
            self.taken = 0;
            return Ok(false);
        }
        match usize::try_from(n) {
            Ok(n) if n <= self.rest() => self.taken += n,
            _ => {
                self.window.clear();
                self.taken = 0;
            }
        }
        self.at += n;
        Ok(true)
    }
}

/// The file inflated (RFC 1951, PS3.5 §A.5). What was taken is kept until [`Input::forget`]: it is the header, and
/// nobody can seek back to it.
pub struct Inflated<R> {
    source: DeflateDecoder<R>,
    at: u64,
    window: Vec<u8>,
    taken: usize,
    over: bool,
    kept: Vec<u8>,
    keeping: bool,
    most: u64,
}

impl<R: Read> Inflated<R> {
    /// `most` bytes are kept at most.
    pub fn new(source: R, most: u64) -> Self {
        Self {
            source: DeflateDecoder::new(source),
            at: 0,
            window: Vec::with_capacity(WINDOW),
            taken: 0,
            over: false,
            kept: Vec::new(),
            keeping: true,
            most,
        }
    }
    /// What was kept.
    pub fn into_kept(self) -> Vec<u8> {
        self.kept
    }
    fn rest(&self) -> usize {
        self.window.len().saturating_sub(self.taken)
    }
    fn fill(&mut self) -> Result<(), ScanError> {
        self.window.drain(..self.taken);
        self.taken = 0;
        let offset = self.at + self.window.len() as u64;
        let room = (WINDOW - self.window.len()) as u64;
        let before = self.window.len();
        self.source
            .by_ref()
            .take(room)
            .read_to_end(&mut self.window)
            .map_err(|source| ScanError::Inflate { offset, source })?;
        self.over = ((self.window.len() - before) as u64) < room;
        let (out, consumed) = (self.source.total_out(), self.source.total_in());
        if out > INFLATED_MOST {
            return Err(ScanError::Bomb {
                offset,
                most: "4 GiB",
            });
        }
        if out > RATIO_FREE && out / RATIO > consumed {
            return Err(ScanError::Bomb {
                offset,
                most: "1000:1",
            });
        }
        Ok(())
    }
}

impl<R: Read> Input for Inflated<R> {
    fn at(&self) -> u64 {
        self.at
    }
    fn end(&self) -> Option<u64> {
        self.over.then(|| self.at + self.rest() as u64)
    }
    fn peek(&mut self, n: usize) -> Result<&[u8], ScanError> {
        if self.rest() < n && !self.over {
            self.fill()?;
        }
        let rest = self.window.get(self.taken..).unwrap_or_default();
        Ok(rest.get(..n).unwrap_or(rest))
    }
    fn skip(&mut self, n: u64) -> Result<bool, ScanError> {
        let mut left = n;
        while left > 0 {
            if self.rest() == 0 {
                if self.over {
                    return Ok(false);
                }
                self.fill()?;
                continue;
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.rest());
            if self.keeping {
                if self.kept.len() as u64 + step as u64 > self.most {
                    return Err(ScanError::HeaderTooLarge {
                        offset: self.at,
                        tag: Tag(0, 0),
                        most: self.most,
                    });
                }
                let bytes = self.window.get(self.taken..self.taken + step).unwrap_or_default();
                self.kept.extend_from_slice(bytes);
            }
            self.taken += step;
            self.at += step as u64;
            left -= step as u64;
        }
        Ok(true)
    }
    fn forget(&mut self) {
        self.keeping = false;
    }
}
