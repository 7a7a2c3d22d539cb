//! Writes a pack front to back; holds back the two least layers only. Called by the server's packing worker.

use super::{FOOTER, Frame, Index, MAGIC, MOST_DISPLAY, MOST_FRAMES, MOST_INDEX, Segment};
use crate::Colour;
use crate::layers::Coded;
use std::io::Write;

/// Bytes of held-back segments at which a run is written before the end.
const MOST_HELD: usize = 64 << 20;
const LEVEL: i32 = 9;

/// Why a pack could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file did not take the bytes.
    #[error("writing a pack: {0}")]
    Io(#[from] std::io::Error),
    /// A frame that no reader would accept: its number is 0, its colour has other samples, its segments are not those of
    /// its coding, or its display text or one of its segments is too long.
    #[error("frame {number} of {sop}: {what}")]
    Frame {
        /// SOP Instance UID.
        sop: String,
        /// Frame number.
        number: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// More frames than a pack takes, or an index larger than a reader takes.
    #[error("too many frames for one pack")]
    Full,
}

/// What the writer cannot know from the coded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// SOP Instance UID.
    pub sop: String,
    /// Frame number in the instance, from 1.
    pub number: u32,
    /// What the samples mean.
    pub colour: Colour,
    /// Whether the source itself was coded with loss.
    pub lossy: bool,
    /// JSON for the display of this frame.
    pub display: Vec<u8>,
}

/// A segment that waits for its run: which frame's, which segment of it, the bytes.
type Held = (usize, usize, Vec<u8>);

/// Writes one pack. Holds at most about 64 MiB of segments, and the index.
///
/// A pack is nothing until [`Writer::finish`] gave its sink back; the caller then flushes it to disk and renames it.
#[derive(Debug)]
pub struct Writer<W: Write> {
    sink: W,
    at: u64,
    index: Index,
    held: [Vec<Held>; 2],
    held_bytes: usize,
}

impl<W: Write> Writer<W> {
    /// Begins a pack at the start of `sink`.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn new(mut sink: W) -> Result<Self, WriteError> {
        sink.write_all(&MAGIC)?;
        Ok(Self {
            sink,
            at: MAGIC.len() as u64,
            index: Index::default(),
            held: [Vec::new(), Vec::new()],
            held_bytes: 0,
        })
    }

    /// Frames taken so far.
    pub fn frames(&self) -> usize {
        self.index.frames.len()
    }

    /// Takes a frame: its larger segments are written at once, layers 0 and 1 with their run.
    ///
    /// # Errors
    /// [`WriteError`]; after one the pack is of no use.
    pub fn push(&mut self, entry: Entry, coded: Coded) -> Result<(), WriteError> {
        if let Some(what) = refusal(&entry, &coded) {
            return Err(WriteError::Frame {
                sop: entry.sop,
                number: entry.number,
                what,
            });
        }
        let frame = self.index.frames.len();
        if frame >= MOST_FRAMES {
            return Err(WriteError::Full);
        }
        let mut segments = Vec::with_capacity(coded.segments.len());
        for (n, bytes) in coded.segments.into_iter().enumerate() {
            let mut segment = Segment {
                offset: 0,
                len: bytes.len() as u32,
                blake3: blake3::hash(&bytes).into(),
            };
            let layer = usize::from(coded.coding.layer(&coded.shape, n));
            if let Some(run) = self.held.get_mut(layer) {
                self.held_bytes += bytes.len();
                run.push((frame, n, bytes));
            } else {
                segment.offset = self.at;
                self.sink.write_all(&bytes)?;
                self.at += bytes.len() as u64;
            }
            segments.push(segment);
        }
        self.index.frames.push(Frame {
            sop: entry.sop,
            number: entry.number,
            shape: coded.shape,
            coding: coded.coding,
            colour: entry.colour,
            lossy: entry.lossy,
            pixels: coded.pixels,
            low: coded.low,
            high: coded.high,
            segments,
            display: entry.display,
        });
        if self.held_bytes >= MOST_HELD {
            self.run()?;
        }
        Ok(())
    }

    /// Writes what is held back: layer 1 of all frames, then layer 0.
    fn run(&mut self) -> Result<(), WriteError> {
        for held in self.held.iter_mut().rev() {
            for (frame, n, bytes) in held.drain(..) {
                self.sink.write_all(&bytes)?;
                let frame = self.index.frames.get_mut(frame);
                if let Some(segment) = frame.and_then(|f| f.segments.get_mut(n)) {
                    segment.offset = self.at;
                }
                self.at += bytes.len() as u64;
            }
        }
        self.held_bytes = 0;
        Ok(())
    }

    /// Writes the last run, the index and the footer; gives the sink, the index and the length of the pack.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<(W, Index, u64), WriteError> {
        self.run()?;
        let plain = postcard::to_stdvec(&self.index).map_err(std::io::Error::other)?;
        if plain.len() as u64 > MOST_INDEX {
            return Err(WriteError::Full);
        }
        let stored = zstd::bulk::compress(&plain, LEVEL)?;
        self.sink.write_all(&stored)?;
        let mut footer = Vec::with_capacity(FOOTER as usize);
        for v in [self.at, stored.len() as u64, plain.len() as u64] {
            footer.extend_from_slice(&v.to_le_bytes());
        }
        footer.extend_from_slice(blake3::hash(&stored).as_bytes());
        footer.extend_from_slice(&MAGIC);
        self.sink.write_all(&footer)?;
        self.sink.flush()?;
        let len = self.at + stored.len() as u64 + FOOTER;
        Ok((self.sink, self.index, len))
    }
}

fn refusal(entry: &Entry, coded: &Coded) -> Option<&'static str> {
    let too_long = |s: &Vec<u8>| s.is_empty() || u32::try_from(s.len()).is_err();
    if coded.shape.checked().is_err() {
        Some("shape")
    } else if entry.number == 0 || entry.sop.is_empty() || entry.sop.len() > 64 {
        Some("number or UID")
    } else if entry.colour.samples() != coded.shape.samples {
        Some("colour")
    } else if entry.display.len() > MOST_DISPLAY {
        Some("display text")
    } else if coded.segments.len() != coded.coding.segments(&coded.shape)
        || coded.segments.iter().any(too_long)
    {
        Some("segments")
    } else {
        None
    }
}
