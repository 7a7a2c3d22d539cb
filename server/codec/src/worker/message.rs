//! Messages over a pipe: a mark, two lengths, a head (postcard) and a body. Lives here: their bounds, checked before
//! anything is allocated. Called by both sides.

use crate::{PLAIN_MOST, Refused};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use vitrine_pixels::layers::{Coded, Coding, Unlayered};
use vitrine_pixels::{Colour, Shape};

const MARK: [u8; 4] = *b"VCD1";
/// Most bytes of a head.
const HEAD_MOST: u32 = 64 << 10;
/// Most bytes of a body: a frame as it came, or its segments.
pub const BODY_MOST: u64 = PLAIN_MOST + (64 << 20);
/// What is read at once: no more is allocated than has come.
const STEP: u64 = 1 << 20;

/// What comes back.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// A frame, its segments in the body.
    Done(Head),
    /// None.
    Refused(Refused),
}

/// A coded frame without its segments.
#[derive(Serialize, Deserialize)]
pub struct Head {
    pub shape: Shape,
    pub colour: Colour,
    pub lossy: bool,
    pub coding: Coding,
    pub unlayered: u8,
    pub pixels: [u8; 32],
    pub low: i32,
    pub high: i32,
    pub segments: Vec<u32>,
}

const UNLAYERED: [Option<Unlayered>; 7] = [
    None,
    Some(Unlayered::Bits),
    Some(Unlayered::Large),
    Some(Unlayered::Narrow),
    Some(Unlayered::Palette),
    Some(Unlayered::Encoder),
    Some(Unlayered::Mismatch),
];

impl Head {
    pub fn new(coded: &Coded, colour: Colour, lossy: bool) -> Self {
        let unlayered = UNLAYERED.iter().position(|u| *u == coded.unlayered);
        Self {
            shape: coded.shape,
            colour,
            lossy,
            coding: coded.coding,
            unlayered: unlayered.and_then(|u| u8::try_from(u).ok()).unwrap_or(u8::MAX),
            pixels: coded.pixels,
            low: coded.low,
            high: coded.high,
            segments: coded
                .segments
                .iter()
                .map(|s| u32::try_from(s.len()).unwrap_or(u32::MAX))
                .collect(),
        }
    }

    /// With its segments; `None` where the parts do not fit together.
    pub fn coded(self, mut body: &[u8]) -> Option<Coded> {
        let shape = self.shape.checked().ok()?;
        if self.segments.len() != self.coding.segments(&shape) {
            return None;
        }
        let mut segments = Vec::new();
        for len in self.segments {
            let (segment, rest) = body.split_at_checked(usize::try_from(len).ok()?)?;
            segments.push(segment.to_vec());
            body = rest;
        }
        let unlayered = *UNLAYERED.get(usize::from(self.unlayered))?;
        body.is_empty().then_some(Coded {
            shape,
            coding: self.coding,
            segments,
            unlayered,
            pixels: self.pixels,
            low: self.low,
            high: self.high,
        })
    }
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Writes a message whose body comes in parts.
pub fn write<'a>(
    out: &mut impl Write,
    head: &impl Serialize,
    body: impl Iterator<Item = &'a [u8]> + Clone,
) -> io::Result<()> {
    let head = postcard::to_stdvec(head).map_err(|e| broken(&e.to_string()))?;
    let head_len = u32::try_from(head.len()).map_err(|_| broken("a head too large"))?;
    let body_len: u64 = body.clone().map(|b| b.len() as u64).sum();
    if head_len > HEAD_MOST || body_len > BODY_MOST {
        return Err(broken("a message too large"));
    }
    out.write_all(&MARK)?;
    out.write_all(&head_len.to_le_bytes())?;
    out.write_all(&body_len.to_le_bytes())?;
    out.write_all(&head)?;
    for part in body {
        out.write_all(part)?;
    }
    out.flush()
}

/// Reads a message; `None` where there are no more.
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut mark = [0u8; 4];
    let (first, rest) = mark.split_at_mut(1);
    loop {
        match input.read(first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    input.read_exact(rest)?;
    let (mut head_len, mut body_len) = ([0u8; 4], [0u8; 8]);
    input.read_exact(&mut head_len)?;
    input.read_exact(&mut body_len)?;
    let (head_len, body_len) = (u32::from_le_bytes(head_len), u64::from_le_bytes(body_len));
    if mark != MARK || head_len > HEAD_MOST || body_len > BODY_MOST {
        return Err(broken("not a message"));
    }
    let head = bytes(input, head_len.into())?;
    let head = postcard::from_bytes(&head).map_err(|e| broken(&e.to_string()))?;
    Ok(Some((head, bytes(input, body_len)?)))
}

fn bytes(input: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    while (out.len() as u64) < len {
        let step = (len - out.len() as u64).min(STEP.max(out.len() as u64));
        out.try_reserve_exact(usize::try_from(step).unwrap_or(usize::MAX))?;
        if input.by_ref().take(step).read_to_end(&mut out)? as u64 != step {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(out)
}
