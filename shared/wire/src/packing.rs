//! Packing and unpacking by zstd with contexts that are kept, and rinsed of what went through them.
//!
//! Making a context costs more than most bodies, so each thread keeps one. In it stand the literals of the last bodies, which no
//! allocator of ours ever frees: the C library has them. [`Packer::rinse`] and [`Unpacker::rinse`] put a text of no meaning through, long enough to
//! overwrite them. A buffer that the library would let go of to take a larger or a smaller one would keep them, so that it is
//! given its largest from the first, and reminded of that.
//! Never here: what is packed. Called by `frame` and by the workstation's store.

use std::io;
use std::sync::OnceLock;
use zstd::bulk::{Compressor, Decompressor};

/// Longest block of zstd (`ZSTD_BLOCKSIZE_MAX`): no more literals than this stand in a context.
const BLOCK: usize = 128 * 1024;
/// Shorter texts hold nothing worth a name.
const SHORTEST: usize = 16;
/// From this size on zstd takes its largest buffers for a level.
const LARGEST: usize = 1024 * 1024;
/// After 128 uses far below its size zstd takes smaller buffers (`ZSTD_WORKSPACETOOLARGE_MAXDURATION`): reminded before.
const REMIND_AFTER: u8 = 100;

/// One block that is all literals for the one that packs, up to the last byte of its buffer: in random bytes nothing repeats. And the packed
/// form of one for the one that unpacks: of six random bits in each byte, so that its literals are coded and not only copied.
struct Filler {
    plain: Vec<u8>,
    packed: Vec<u8>,
}

fn filler() -> &'static Filler {
    static FILLER: OnceLock<Filler> = OnceLock::new();
    FILLER.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let plain = std::iter::repeat_with(|| random().to_be_bytes()[0])
            .take(BLOCK)
            .collect();
        let coded: Vec<u8> = std::iter::repeat_with(|| b' ' + random().to_be_bytes()[0] / 4)
            .take(BLOCK)
            .collect();
        Filler {
            plain,
            packed: zstd::bulk::compress(&coded, 1).unwrap_or_default(),
        }
    })
}

/// A context that packs.
pub struct Packer {
    inner: Compressor<'static>,
    since: u8,
    /// The longest that went through since it was rinsed, at most a block; 0 for nothing.
    longest: usize,
}

impl Packer {
    /// One of this level.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut packer = Self {
            inner: Compressor::new(level)?,
            since: 0,
            longest: 0,
        };
        packer.remind()?;
        Ok(packer)
    }

    /// The packed form, with the size in its head.
    ///
    /// # Errors
    /// As zstd gives them.
    pub fn pack(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        self.since += 1;
        if self.since >= REMIND_AFTER {
            self.remind()?;
        }
        self.longest = self.longest.max(plain.len().min(BLOCK));
        self.inner.compress(plain)
    }

    fn remind(&mut self) -> io::Result<()> {
        static NOTHING: [u8; LARGEST] = [0; LARGEST];
        self.since = 0;
        self.inner.compress(&NOTHING).map(drop)
    }

    /// Overwrites what stands in it of the bodies so far. Nothing to do where nothing went through since the last time.
    ///
    /// Where the literals of a text of n bytes stand depends on n: between 2n and 3n from the end of the buffers, below room for n/4
    /// sequences of 8 bytes (`ZSTD_resetCCtx_internal`; n/3 where matches of three bytes count). So texts of each size up to more than the longest
    /// go through, each by a third longer than the one before: they overlap.
    pub fn rinse(&mut self) {
        let longest = std::mem::take(&mut self.longest);
        if longest == 0 {
            return;
        }
        let mut size = SHORTEST;
        loop {
            self.since = self.since.saturating_add(1);
            let done = self
                .inner
                .compress(filler().plain.get(..size).unwrap_or_default());
            debug_assert!(done.is_ok(), "{done:?}");
            if size > longest + longest / 2 || size == BLOCK {
                break;
            }
            size = (size + size / 3).min(BLOCK);
        }
    }
}

/// A context that unpacks.
pub struct Unpacker {
    inner: Decompressor<'static>,
    used: bool,
}

impl Unpacker {
    /// A new one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inner: Decompressor::new()?,
            used: false,
        })
    }

    /// The plain form, of at most `size` bytes.
    ///
    /// # Errors
    /// As zstd gives them: damaged, or longer.
    pub fn unpack(&mut self, packed: &[u8], size: usize) -> io::Result<Vec<u8>> {
        self.used = true;
        self.inner.decompress(packed, size)
    }

    /// Overwrites what stands in it of the bodies so far. Nothing to do where nothing went through since the last time.
    pub fn rinse(&mut self) {
        if std::mem::take(&mut self.used) {
            let done = self.inner.decompress(&filler().packed, BLOCK);
            debug_assert!(done.is_ok(), "{done:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_whatever_was_rinsed_between() {
        let (mut packer, mut unpacker) = (Packer::new(1).unwrap(), Unpacker::new().unwrap());
        let text: Vec<u8> = (0..LARGEST).map(|i| u8::try_from(i * i % 251).unwrap()).collect();
        for n in 0..400_usize {
            let plain = &text[..(n * n * 7) % LARGEST];
            let packed = packer.pack(plain).unwrap();
            assert_eq!(unpacker.unpack(&packed, plain.len()).unwrap(), plain, "{n}");
            if n.is_multiple_of(3) {
                packer.rinse();
                unpacker.rinse();
                assert_eq!((packer.longest, unpacker.used), (0, false));
            }
        }
        assert!(unpacker.unpack(b"nothing", 10).is_err());
    }

    /// All of the literals of one that unpacks are coded, and nothing repeats in what overwrites those of one that packs.
    #[test]
    fn the_filler_fills() {
        let Filler { plain, packed } = filler();
        assert_eq!((plain.len(), plain.len().max(packed.len())), (BLOCK, BLOCK));
        assert!(zstd::bulk::compress(plain, 1).unwrap().len() >= BLOCK);
        assert!(
            packed.len() > BLOCK * 3 / 4 && packed.len() < BLOCK * 4 / 5,
            "{}",
            packed.len()
        );
    }
}
