//! Bits of packet headers and tag trees (ITU-T T.800 B.10.1 and B.10.2), read and written. Called by the walk over
//! packets alone.

use super::Fault;

/// Reads bits: a byte behind 0xff gives seven.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    byte: u8,
    left: u8,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            byte: 0,
            left: 0,
        }
    }

    pub fn bit(&mut self) -> Result<bool, Fault> {
        if self.left == 0 {
            let stuffed = self.byte == 0xff;
            self.byte = *self.data.get(self.at).ok_or(Fault::Truncated)?;
            self.at += 1;
            self.left = 8 - u8::from(stuffed);
            if stuffed && self.byte & 0x80 != 0 {
                return Err(Fault::Packet("no stuffed bit"));
            }
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1 != 0)
    }

    /// Bytes that the header took, with the stuffed byte behind a last 0xff.
    pub fn end(self) -> usize {
        self.at + usize::from(self.byte == 0xff)
    }
}

/// Writes bits behind what a buffer holds.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    byte: u8,
    left: u8,
}

impl<'a> BitWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            byte: 0,
            left: 8,
        }
    }

    pub fn bit(&mut self, bit: bool) {
        self.left -= 1;
        self.byte |= u8::from(bit) << self.left;
        if self.left == 0 {
            self.out.push(self.byte);
            self.left = if self.byte == 0xff { 7 } else { 8 };
            self.byte = 0;
        }
    }

    /// Fills the last byte with zeros; one more follows a last 0xff.
    pub fn end(self) {
        if self.left < 8 {
            self.out.push(self.byte);
        }
    }
}

/// A tag tree, its levels from the leaves to the root.
pub(super) struct Tags {
    levels: Vec<(usize, Vec<Node>)>,
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// Written: the least leaf under the node. Read: what is known of it so far.
    value: u32,
    /// Written: how far it has been told.
    told: u32,
    known: bool,
}

impl Tags {
    /// A tree to be read.
    pub fn unknown(width: usize, height: usize) -> Self {
        let (mut w, mut h) = (width, height);
        let mut levels = vec![(w, vec![Node::default(); w * h])];
        while w > 1 || h > 1 {
            (w, h) = (w.div_ceil(2), h.div_ceil(2));
            levels.push((w, vec![Node::default(); w * h]));
        }
        Self { levels }
    }

    /// A tree to be written, from its leaves row by row.
    pub fn of(width: usize, height: usize, leaves: Vec<u32>) -> Self {
        let mut tree = Self::unknown(width, height);
        let mut below: (usize, Vec<u32>) = (width, leaves);
        let levels = tree.levels.len();
        for (n, (w, nodes)) in tree.levels.iter_mut().enumerate() {
            nodes
                .iter_mut()
                .zip(&below.1)
                .for_each(|(node, v)| node.value = *v);
            if n + 1 < levels {
                let wide = w.div_ceil(2);
                let high = below.1.len().div_ceil(*w).div_ceil(2);
                let mut least = vec![u32::MAX; wide * high];
                for (i, v) in below.1.iter().enumerate() {
                    if let Some(l) = least.get_mut(i / below.0 / 2 * wide + i % below.0 / 2) {
                        *l = (*l).min(*v);
                    }
                }
                below = (wide, least);
            }
        }
        tree
    }

    /// The leaf's value if it is less than `most`, else `most`.
    pub fn read(&mut self, x: usize, y: usize, most: u32, bits: &mut BitReader<'_>) -> Result<u32, Fault> {
        let mut least = 0;
        for (level, (width, nodes)) in self.levels.iter_mut().enumerate().rev() {
            let node = nodes
                .get_mut((y >> level) * *width + (x >> level))
                .ok_or(Fault::Packet("tag tree"))?;
            node.value = node.value.max(least);
            while !node.known && node.value < most {
                if bits.bit()? {
                    node.known = true;
                } else {
                    node.value += 1;
                }
            }
            least = node.value;
        }
        Ok(least)
    }

    /// Tells whether the leaf's value is less than `most`, and if so, which.
    pub fn write(&mut self, x: usize, y: usize, most: u32, bits: &mut BitWriter<'_>) {
        let mut least = 0;
        for (level, (width, nodes)) in self.levels.iter_mut().enumerate().rev() {
            let Some(node) = nodes.get_mut((y >> level) * *width + (x >> level)) else {
                return;
            };
            node.told = node.told.max(least);
            while !node.known && node.told < most {
                node.known = node.told >= node.value;
                bits.bit(node.known);
                if !node.known {
                    node.told += 1;
                }
            }
            least = node.told;
        }
    }
}
