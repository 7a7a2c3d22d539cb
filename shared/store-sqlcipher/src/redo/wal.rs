//! SQLite's WAL file as it lies there: header, frames, running checksum (<https://www.sqlite.org/fileformat2.html>,
//! section 4). The pages inside are encrypted by SQLCipher; nothing here can read them, nor has to.

use crate::key::PAGE;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes before the first frame.
pub(super) const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Bytes of a frame.
pub(super) const FRAME: usize = FRAME_HEADER + PAGE;
/// The magic number; its last bit says in which byte order checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// The running checksum.
pub(super) type Sum = (u32, u32);

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// The header of one run of the WAL: between two restarts from its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub bytes: [u8; HEADER],
}

impl Header {
    /// Reads a header; `None` when it is none, or not whole.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            bytes: bytes.get(..HEADER)?.try_into().ok()?,
        };
        let fits = word(bytes, 0) & !1 == MAGIC && word(bytes, 8) as usize == PAGE;
        let sum = (word(bytes, 24), word(bytes, 28));
        (fits && header.add((0, 0), &bytes[..24]) == sum).then_some(header)
    }
    /// The header of the WAL at a path; `None` when there is no WAL or it is empty.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER];
        match File::open(path) {
            Ok(mut f) => Ok(f.read_exact(&mut bytes).ok().and_then(|()| Self::of(&bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
    /// What tells this run from any other.
    pub fn salts(&self) -> [u8; 8] {
        self.bytes[16..24].try_into().unwrap_or_default()
    }
    /// Whether this run began where another ended: the first salt grows by one. (The checkpoint's number beside it is
    /// each connection's own count.)
    pub fn follows(&self, before: &Self) -> bool {
        word(&self.bytes, 16) == word(&before.bytes, 16).wrapping_add(1)
    }
    /// The checksum before the first frame.
    pub fn first_sum(&self) -> Sum {
        (word(&self.bytes, 24), word(&self.bytes, 28))
    }
    fn add(&self, mut sum: Sum, bytes: &[u8]) -> Sum {
        let big = word(&self.bytes, 0) & 1 == 1;
        let (pairs, _) = bytes.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in pairs {
            let (x, y) = ([*a, *b, *c, *d], [*e, *f, *g, *h]);
            let (x, y) = if big {
                (u32::from_be_bytes(x), u32::from_be_bytes(y))
            } else {
                (u32::from_le_bytes(x), u32::from_le_bytes(y))
            };
            sum.0 = sum.0.wrapping_add(x).wrapping_add(sum.1);
            sum.1 = sum.1.wrapping_add(y).wrapping_add(sum.0);
        }
        sum
    }
}

/// One frame, checked.
pub(super) struct Frame<'f> {
    /// From 1.
    pub number: u32,
    /// Header and page.
    pub bytes: &'f [u8],
}

impl Frame<'_> {
    /// Which page of the database.
    pub fn page(&self) -> u32 {
        word(self.bytes, 0)
    }
    /// Pages of the database after the commit that this frame ends; 0 within a transaction.
    pub fn commit_pages(&self) -> u32 {
        word(self.bytes, 4)
    }
    /// The page's bytes.
    pub fn content(&self) -> &[u8] {
        &self.bytes[FRAME_HEADER..]
    }
}

/// Frames in order, each checked against the running checksum.
pub(super) struct Frames<R> {
    input: R,
    header: Header,
    /// Frames read.
    pub count: u32,
    /// Checksum after them.
    pub sum: Sum,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> Frames<R> {
    /// From the first frame.
    pub fn new(input: R, header: Header) -> io::Result<Self> {
        Self::after(input, header, 0, header.first_sum())
    }
    /// After so many frames, the checksum being known.
    pub fn after(mut input: R, header: Header, count: u32, sum: Sum) -> io::Result<Self> {
        input.seek(SeekFrom::Start(offset(count)))?;
        Ok(Self {
            input,
            header,
            count,
            sum,
            buffer: vec![0; FRAME],
        })
    }
    /// The next frame; `None` at the end of the file, or where the frames of this run end.
    pub fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let mut got = 0;
        while got < FRAME {
            match self.input.read(&mut self.buffer[got..])? {
                0 => return Ok(None),
                n => got += n,
            }
        }
        let sum = self.header.add(self.sum, &self.buffer[..8]);
        let sum = self.header.add(sum, &self.buffer[FRAME_HEADER..]);
        let whole = self.buffer[8..16] == self.header.salts()
            && sum == (word(&self.buffer, 16), word(&self.buffer, 20));
        if !whole {
            return Ok(None);
        }
        self.sum = sum;
        self.count += 1;
        Ok(Some(Frame {
            number: self.count,
            bytes: &self.buffer,
        }))
    }
}

/// Where the frame after so many begins.
pub(super) const fn offset(frames: u32) -> u64 {
    HEADER as u64 + frames as u64 * FRAME as u64
}

/// The number of the last frame that ends a transaction, reading on after `count` frames.
pub(super) fn last_commit(file: File, header: Header, count: u32, sum: Sum) -> io::Result<u32> {
    let mut frames = Frames::after(io::BufReader::with_capacity(1 << 18, file), header, count, sum)?;
    let mut last = count;
    while let Some(frame) = frames.next()? {
        if frame.commit_pages() > 0 {
            last = frame.number;
        }
    }
    Ok(last)
}
