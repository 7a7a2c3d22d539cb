//! Database keys, and the proof that a key fits a file without SQLite touching the file.
//!
//! Lives here: [`Key`] and the check of SQLCipher's page MACs. Never here: where a key comes from, or how it is kept
//! (that is the engine's and the server's key store). Called by [`crate::cipher`].

use ring::{hmac, pbkdf2};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU32;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a page, header included.
pub(crate) const PAGE: usize = 4096;
/// Bytes of the salt that stands in the clear at the beginning of the file.
const SALT: usize = 16;
/// Bytes at the end of a page: IV 16, HMAC-SHA512 64.
const RESERVE: usize = 80;
const MAC: usize = 64;
/// SQLCipher 4: the MAC key is PBKDF2-HMAC-SHA512(key, salt xor 0x3a, 2 rounds).
const SALT_MASK: u8 = 0x3a;
const MAC_ROUNDS: u32 = 2;
/// WAL: 32 bytes of header, then frames of 24 bytes of header and a page.
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;
/// How many further pages are tried before a file counts as written with another key.
const PAGES_TRIED: u32 = 64;

/// A raw 256-bit database key. Not printable, wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Takes the 32 bytes of a key.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// SQLCipher's raw form, `x'…'`: the key, and the salt for a file that is to be made with it.
    pub(crate) fn raw_form(&self, salt: Option<[u8; SALT]>) -> Zeroizing<String> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = Zeroizing::new(String::with_capacity(99));
        text.push_str("x'");
        for b in self.0.iter().chain(salt.iter().flatten()) {
            text.push(char::from(HEX[usize::from(b >> 4)]));
            text.push(char::from(HEX[usize::from(b & 15)]));
        }
        text.push('\'');
        text
    }

    /// A key for another use, bound to its label: HMAC-SHA256(key, label).
    pub(crate) fn derive(&self, label: &str) -> hmac::Key {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0[..]), label.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, mac.as_ref())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([sensitive])")
    }
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// There is no such file.
    Missing,
    /// It has no byte yet.
    Empty,
    /// A plain SQLite database.
    Plain,
    /// The key opens its first page (or a newer copy of it in the WAL).
    Fits,
    /// The key is right, the first page is damaged.
    Damaged,
    /// No page tried was written with this key.
    WrongKey,
}

/// Reads the file (never writes, takes no lock) and tells whether the key fits.
pub(crate) fn fit(path: &Path, key: &Key) -> io::Result<Fit> {
    let mut file = match File::open(path) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Fit::Missing),
        Err(e) => return Err(e),
    };
    let mut page = vec![0; PAGE];
    let got = read_up_to(&mut file, &mut page)?;
    if got == 0 {
        return Ok(Fit::Empty);
    }
    if page.starts_with(b"SQLite format 3\0") {
        return Ok(Fit::Plain);
    }
    if got < PAGE {
        return Ok(Fit::WrongKey);
    }
    let mac_key = mac_key(key, &page[..SALT]);
    if page_is_whole(&mac_key, 1, &page[SALT..]) || wal_fits(path, &mac_key)? {
        return Ok(Fit::Fits);
    }
    for number in 2..2 + PAGES_TRIED {
        if read_up_to(&mut file, &mut page)? < PAGE {
            break;
        }
        if page_is_whole(&mac_key, number, &page) {
            return Ok(Fit::Damaged);
        }
    }
    Ok(Fit::WrongKey)
}

fn mac_key(key: &Key, salt: &[u8]) -> hmac::Key {
    let masked: Vec<u8> = salt.iter().map(|b| b ^ SALT_MASK).collect();
    let mut out = Zeroizing::new([0; 32]);
    let rounds = NonZeroU32::new(MAC_ROUNDS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        rounds,
        &masked,
        &key.0[..],
        &mut out[..],
    );
    hmac::Key::new(hmac::HMAC_SHA512, &out[..])
}

/// `bytes`: a page, or the first page without its salt.
fn page_is_whole(key: &hmac::Key, number: u32, bytes: &[u8]) -> bool {
    let Some(content) = bytes.len().checked_sub(RESERVE) else {
        return false;
    };
    let (signed, rest) = bytes.split_at(content + RESERVE - MAC);
    let mut ctx = hmac::Context::with_key(key);
    ctx.update(signed);
    ctx.update(&number.to_le_bytes());
    ctx.sign().as_ref() == rest
}

/// A cut during a checkpoint can leave page 1 torn while the WAL still has it whole.
fn wal_fits(path: &Path, key: &hmac::Key) -> io::Result<bool> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let Ok(mut wal) = File::open(name) else {
        return Ok(false);
    };
    wal.seek(SeekFrom::Start(WAL_HEADER))?;
    let mut frame = vec![0; FRAME_HEADER + PAGE];
    for _ in 0..PAGES_TRIED {
        if read_up_to(&mut wal, &mut frame)? < frame.len() {
            break;
        }
        let (header, page) = frame.split_at(FRAME_HEADER);
        let number = header.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b));
        let page = if number == 1 { &page[SALT..] } else { page };
        if page_is_whole(key, number, page) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
