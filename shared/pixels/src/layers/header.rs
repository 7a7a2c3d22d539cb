//! The main header of the codestreams of [`super`]: one tile, one quality layer, one precinct a resolution, reversible
//! 5/3 wavelet, HT blocks (ITU-T T.800 Annex A, T.814 Annex A). Read strictly, written anew; nothing else passes.
//! Called by the coder and the cutter of this module alone.

use super::Fault;
use crate::Shape;

const SOC: u16 = 0xff4f;
const CAP: u16 = 0xff50;
const SIZ: u16 = 0xff51;
const COD: u16 = 0xff52;
const TLM: u16 = 0xff55;
const QCD: u16 = 0xff5c;
const SOT: u16 = 0xff90;
const SOD: u16 = 0xff93;
/// End of codestream.
pub(super) const EOC: [u8; 2] = [0xff, 0xd9];
/// Most wavelet levels of T.800.
const MOST_LEVELS: u8 = 32;

/// What a main header of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Main {
    pub columns: u32,
    pub rows: u32,
    pub samples: u8,
    pub bits: u8,
    pub signed: bool,
    /// Wavelet levels; resolutions are one more.
    pub levels: u8,
    /// Exponents of the width and height of a code-block.
    pub block: (u8, u8),
    /// Whether the reversible colour transform is on.
    pub transform: bool,
    /// Guard bits.
    pub guard: u8,
    /// Exponent of each subband, from the lowest resolution up: LL, then HL, LH, HH of each.
    pub exponents: Vec<u8>,
    /// The HT capability word Ccap15.
    pub capability: u16,
}

struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_be_bytes(self.array()?))
    }
    fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.array()?))
    }
}

fn must(yes: bool, what: &'static str) -> Result<(), Fault> {
    if yes { Ok(()) } else { Err(Fault::Header(what)) }
}

impl Main {
    /// Reads the header from SOC up to and including SOD.
    ///
    /// Gives the header, the bytes it took, and the length of the packets that the tile-part declares (0: up to EOC).
    pub fn read(bytes: &[u8]) -> Result<(Self, usize, usize), Fault> {
        let mut at = Bytes { rest: bytes };
        must(at.u16()? == SOC, "SOC")?;
        let (mut siz, mut cap, mut cod, mut qcd) = (None, None, None, None);
        loop {
            let marker = at.u16()?;
            let len = usize::from(at.u16()?)
                .checked_sub(2)
                .ok_or(Fault::Header("length"))?;
            let mut body = Bytes { rest: at.take(len)? };
            match marker {
                SIZ if siz.is_none() => siz = Some(read_siz(&mut body)?),
                CAP if cap.is_none() => cap = Some(read_cap(&mut body)?),
                COD if cod.is_none() => cod = Some(read_cod(&mut body)?),
                QCD if qcd.is_none() => qcd = Some(read_qcd(&mut body)?),
                TLM => body.rest = &[],
                SOT => {
                    must(body.u16()? == 0, "SOT tile")?;
                    let psot = body.u32()? as usize;
                    must(body.u8()? == 0 && body.u8()? == 1, "SOT part")?;
                    must(body.rest.is_empty(), "SOT length")?;
                    must(at.u16()? == SOD, "SOD")?;
                    let packets = if psot == 0 {
                        0
                    } else {
                        psot.checked_sub(14).ok_or(Fault::Header("SOT length"))?
                    };
                    let (columns, rows, samples, bits, signed) = siz.ok_or(Fault::Header("no SIZ"))?;
                    let (levels, block, transform) = cod.ok_or(Fault::Header("no COD"))?;
                    let (guard, exponents): (u8, Vec<u8>) = qcd.ok_or(Fault::Header("no QCD"))?;
                    must(exponents.len() == 1 + 3 * usize::from(levels), "QCD length")?;
                    must(!transform || samples == 3, "colour transform")?;
                    let main = Self {
                        columns,
                        rows,
                        samples,
                        bits,
                        signed,
                        levels,
                        block,
                        transform,
                        guard,
                        exponents,
                        capability: cap.ok_or(Fault::Header("no CAP"))?,
                    };
                    return Ok((main, bytes.len() - at.rest.len(), packets));
                }
                _ => return Err(Fault::Header("marker")),
            }
            must(body.rest.is_empty(), "segment length")?;
        }
    }

    /// Whether the header is one of a frame of this shape.
    pub fn is_of(&self, shape: &Shape) -> bool {
        self.columns == shape.columns
            && self.rows == shape.rows
            && self.samples == shape.samples
            && self.bits == shape.bits
            && self.signed == shape.signed
    }

    /// Bit-planes that the blocks of a subband have at most (T.800 E.1.1).
    pub fn planes(&self, subband: usize) -> u32 {
        let exponent = self.exponents.get(subband).copied().unwrap_or(0);
        (u32::from(self.guard) + u32::from(exponent)).saturating_sub(1)
    }

    /// Columns and rows of a resolution (0 the least).
    pub fn size_at(&self, resolution: u8) -> (u32, u32) {
        let s = u32::from(self.levels.saturating_sub(resolution)).min(31);
        (self.columns.div_ceil(1 << s), self.rows.div_ceil(1 << s))
    }

    /// The header of the same frame cut down to a resolution.
    pub fn at(&self, resolution: u8) -> Self {
        let (columns, rows) = self.size_at(resolution);
        let kept = 1 + 3 * usize::from(resolution);
        Self {
            columns,
            rows,
            levels: resolution.min(self.levels),
            exponents: self.exponents.iter().copied().take(kept).collect(),
            ..self.clone()
        }
    }

    /// Writes the header, SOC to SOD, for `packets` bytes of packets: progression RPCL, one tile-part, its length in TLM.
    pub fn write(&self, packets: usize) -> Result<Vec<u8>, Fault> {
        let part = u32::try_from(packets)
            .ok()
            .and_then(|p| p.checked_add(14))
            .ok_or(Fault::TooLarge)?;
        let mut out = Vec::with_capacity(160 + packets);
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&SOC.to_be_bytes());

        put(&SIZ.to_be_bytes());
        put(&(38 + 3 * u16::from(self.samples)).to_be_bytes());
        // Rsiz: bit 14 says that CAP follows
        put(&0x4000u16.to_be_bytes());
        for v in [self.columns, self.rows, 0, 0, self.columns, self.rows, 0, 0] {
            put(&v.to_be_bytes());
        }
        put(&u16::from(self.samples).to_be_bytes());
        for _ in 0..self.samples {
            put(&[self.bits.wrapping_sub(1) | u8::from(self.signed) << 7, 1, 1]);
        }

        put(&CAP.to_be_bytes());
        put(&8u16.to_be_bytes());
        put(&0x0002_0000u32.to_be_bytes());
        put(&self.capability.to_be_bytes());

        put(&COD.to_be_bytes());
        put(&12u16.to_be_bytes());
        // no precincts, SOP or EPH; RPCL; one layer
        put(&[0, 2, 0, 1, u8::from(self.transform), self.levels]);
        put(&[self.block.0 - 2, self.block.1 - 2, 0x40, 1]);

        put(&QCD.to_be_bytes());
        put(&(3 + self.exponents.len() as u16).to_be_bytes());
        put(&[self.guard << 5]);
        for e in &self.exponents {
            put(&[e << 3]);
        }

        put(&TLM.to_be_bytes());
        put(&8u16.to_be_bytes());
        // Ztlm 0; no tile index (one tile-part a tile), lengths of 32 bits
        put(&[0, 0x40]);
        put(&part.to_be_bytes());

        put(&SOT.to_be_bytes());
        put(&10u16.to_be_bytes());
        put(&0u16.to_be_bytes());
        put(&part.to_be_bytes());
        put(&[0, 1]);
        put(&SOD.to_be_bytes());
        Ok(out)
    }
}

type Siz = (u32, u32, u8, u8, bool);

fn read_siz(body: &mut Bytes<'_>) -> Result<Siz, Fault> {
    let _capabilities = body.u16()?;
    let (columns, rows) = (body.u32()?, body.u32()?);
    must(body.u32()? == 0 && body.u32()? == 0, "image offset")?;
    must(body.u32()? == columns && body.u32()? == rows, "tiles")?;
    must(body.u32()? == 0 && body.u32()? == 0, "tile offset")?;
    let samples = u8::try_from(body.u16()?).map_err(|_| Fault::Header("components"))?;
    must(matches!(samples, 1 | 3), "components")?;
    let depth = body.u8()?;
    must(body.u8()? == 1 && body.u8()? == 1, "subsampling")?;
    for _ in 1..samples {
        must(body.array()? == [depth, 1, 1], "unlike components")?;
    }
    Ok((columns, rows, samples, (depth & 0x7f) + 1, depth & 0x80 != 0))
}

fn read_cap(body: &mut Bytes<'_>) -> Result<u16, Fault> {
    must(body.u32()? == 0x0002_0000, "capabilities")?;
    body.u16()
}

type Cod = (u8, (u8, u8), bool);

fn read_cod(body: &mut Bytes<'_>) -> Result<Cod, Fault> {
    must(body.u8()? == 0, "coding style")?;
    // with one layer and one precinct a resolution LRCP, RLCP and RPCL are the same order of packets
    must(body.u8()? <= 2, "progression")?;
    must(body.u16()? == 1, "quality layers")?;
    let transform = match body.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Fault::Header("colour transform")),
    };
    let levels = body.u8()?;
    must(levels <= MOST_LEVELS, "levels")?;
    let block = (body.u8()?.wrapping_add(2), body.u8()?.wrapping_add(2));
    // no smaller ones than the coder is asked for: their number bounds a decoder's memory
    let fit = (2..=10).contains(&block.0)
        && (2..=10).contains(&block.1)
        && (10..=12).contains(&(block.0 + block.1));
    must(fit, "code-blocks")?;
    must(body.u8()? == 0x40, "block style")?;
    must(body.u8()? == 1, "wavelet")?;
    Ok((levels, block, transform))
}

fn read_qcd(body: &mut Bytes<'_>) -> Result<(u8, Vec<u8>), Fault> {
    let style = body.u8()?;
    must(style & 0x1f == 0, "quantisation")?;
    must(body.rest.len() <= 1 + 3 * usize::from(MOST_LEVELS), "QCD length")?;
    let all = body.take(body.rest.len())?;
    must(all.iter().all(|e| e & 7 == 0), "exponents")?;
    Ok((style >> 5, all.iter().map(|e| e >> 3).collect()))
}
