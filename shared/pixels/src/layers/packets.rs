//! Walks over the packets of a codestream of ours: where each resolution ends, and where each subband's blocks lie
//! (ITU-T T.800 B.10, T.814 Annex B). Packet headers only: no block is decoded here. Called by [`super`] alone.

use super::Fault;
use super::header::Main;
use super::tags::{BitReader, BitWriter, Tags};

/// A code-block of a packet: nothing when all its samples are zero.
pub(super) type Block = Option<Part>;

/// What a packet header says of a block that has bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Bit-planes without a one, from the top.
    zeros: u32,
    /// Bytes in the packet's body.
    len: usize,
}

/// One subband of a packet.
#[derive(Debug)]
pub(super) struct Band<'a> {
    /// Its size in samples.
    pub width: u32,
    /// Its size in samples.
    pub height: u32,
    /// Its place among the exponents of the main header.
    pub exponent: usize,
    /// Blocks in a row of blocks.
    wide: usize,
    /// Rows of blocks.
    high: usize,
    /// The blocks, row by row.
    blocks: Vec<Block>,
    /// The blocks' bytes, one behind the other.
    body: &'a [u8],
}

impl Band<'_> {
    /// The band as the only packet of an image of its own, appended to `out`.
    pub fn repack(&self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(0);
            return;
        }
        let mut bits = BitWriter::new(out);
        bits.bit(true);
        let leaves = |value: fn(&Block) -> u32| self.blocks.iter().map(value).collect();
        let mut included = Tags::of(self.wide, self.high, leaves(|b| u32::from(b.is_none())));
        let mut zeros = Tags::of(self.wide, self.high, leaves(|b| b.map_or(u32::MAX, |b| b.zeros)));
        let places = (0..self.high).flat_map(|y| (0..self.wide).map(move |x| (x, y)));
        for ((x, y), block) in places.zip(&self.blocks) {
            included.write(x, y, 1, &mut bits);
            let Some(part) = block else { continue };
            zeros.write(x, y, part.zeros + 1, &mut bits);
            bits.bit(false);
            let width = (usize::BITS - part.len.leading_zeros()).max(3);
            (3..width).for_each(|_| bits.bit(true));
            bits.bit(false);
            (0..width).rev().for_each(|n| bits.bit(part.len >> n & 1 != 0));
        }
        bits.end();
        out.extend_from_slice(self.body);
    }

    /// Whether no block has bytes: all samples are zero.
    pub fn is_zero(&self) -> bool {
        self.blocks.iter().all(Option::is_none)
    }

    /// Most bytes that [`Band::repack`] writes.
    pub fn most(&self) -> usize {
        self.body.len() + 16 * self.blocks.len() + 16
    }
}

/// Sizes and exponents of the subbands of a resolution: LL, or HL, LH, HH.
fn sizes(main: &Main, resolution: u8) -> Vec<(u32, u32, usize)> {
    let (w, h) = main.size_at(resolution);
    if resolution == 0 {
        return vec![(w, h, 0)];
    }
    let first = 3 * usize::from(resolution) - 2;
    vec![
        (w / 2, h.div_ceil(2), first),
        (w.div_ceil(2), h / 2, first + 1),
        (w / 2, h / 2, first + 2),
    ]
}

/// The packet at the start of `data`: its subbands and its length.
fn packet<'a>(main: &Main, resolution: u8, data: &'a [u8]) -> Result<(Vec<Band<'a>>, usize), Fault> {
    let mut bits = BitReader::new(data);
    let some = bits.bit()?;
    let mut bands = Vec::with_capacity(3);
    for (width, height, exponent) in sizes(main, resolution) {
        let wide = width.div_ceil(1 << main.block.0) as usize;
        let high = height.div_ceil(1 << main.block.1) as usize;
        let blocks = if some {
            blocks(main.planes(exponent), wide, high, &mut bits)?
        } else {
            vec![None; wide * high]
        };
        bands.push(Band {
            width,
            height,
            exponent,
            wide,
            high,
            blocks,
            body: &[],
        });
    }
    let mut at = bits.end();
    for band in &mut bands {
        let len = band.blocks.iter().flatten().map(|b| b.len).sum::<usize>();
        let end = at.checked_add(len).ok_or(Fault::Truncated)?;
        band.body = data.get(at..end).ok_or(Fault::Truncated)?;
        at = end;
    }
    Ok((bands, at))
}

fn blocks(planes: u32, wide: usize, high: usize, bits: &mut BitReader<'_>) -> Result<Vec<Block>, Fault> {
    let mut out = Vec::with_capacity(wide * high);
    if wide * high == 0 {
        return Ok(out);
    }
    let mut included = Tags::unknown(wide, high);
    let mut zeros = Tags::unknown(wide, high);
    for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
        if included.read(x, y, 1, bits)? != 0 {
            out.push(None);
            continue;
        }
        let zeros = zeros.read(x, y, planes, bits)?;
        if zeros >= planes {
            return Err(Fault::Packet("zero planes"));
        }
        // one coding pass, the cleanup pass of T.814: the coder of ours writes no other
        if bits.bit()? {
            return Err(Fault::Packet("coding passes"));
        }
        let mut width = 3;
        while bits.bit()? {
            width += 1;
            if width > 20 {
                return Err(Fault::Packet("block length"));
            }
        }
        let len = (0..width).try_fold(0usize, |v, _| Ok::<_, Fault>(v << 1 | usize::from(bits.bit()?)))?;
        // MEL and VLC of a cleanup pass take two bytes at least (T.814 7.1)
        if len < 2 {
            return Err(Fault::Packet("block length"));
        }
        out.push(Some(Part { zeros, len }));
    }
    Ok(out)
}

/// Calls `take` with every packet's resolution, component and subbands up to the resolution `last`; gives the offsets at
/// which the resolutions end.
///
/// # Errors
/// [`Fault::Truncated`] when the bytes end before, [`Fault::Packet`] when they are no packets of ours, and what `take`
/// says.
pub(super) fn walk<'a>(
    main: &Main,
    packets: &'a [u8],
    last: u8,
    mut take: impl FnMut(u8, u8, Vec<Band<'a>>) -> Result<(), Fault>,
) -> Result<Vec<usize>, Fault> {
    let mut at = 0usize;
    let mut out = Vec::with_capacity(usize::from(last) + 1);
    for resolution in 0..=last {
        for component in 0..main.samples {
            let (bands, len) = packet(main, resolution, packets.get(at..).ok_or(Fault::Truncated)?)?;
            take(resolution, component, bands)?;
            at += len;
        }
        out.push(at);
    }
    Ok(out)
}

/// Offsets into `packets` at which the resolutions `0..=last` end.
///
/// # Errors
/// As [`walk`].
pub(super) fn ends(main: &Main, packets: &[u8], last: u8) -> Result<Vec<usize>, Fault> {
    walk(main, packets, last, |_, _, _| Ok(()))
}
