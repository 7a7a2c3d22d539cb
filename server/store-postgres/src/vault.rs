//! What the database may never read: bodies are compressed and sealed here, words become keyed tokens.
//!
//! Lives here: envelope keys (a data key sealed under a key that stays outside the database), AES-256-GCM over a
//! compressed body bound to its place, blind-index tokens. Never here: SQL, when to rotate.
//! Called by everything in this crate that writes or reads a body.
//!
//! A sealed body: 1 | number of the data key (4 bytes) | nonce (12) | ciphertext and tag. Inside, one byte says how it
//! is packed: 0 = as it is, 1 = one zstd frame, 2 = one zstd frame with the dictionary of [`crate::dictionary`], 128 = an audit row.
//! A body that lies in a pack has a reference in its place, which holds nothing secret: 2 | pack, entry, hash.
//! The place (table and row) is authenticated: a body that was copied to another row does not open.

use crate::dictionary;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hkdf, hmac};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use vitrine_store::StoreError;
use vitrine_store::audit_find::{self, Term};
use vitrine_store::audit_pack::{self, Listed};
use vitrine_store::pack::{PackFolders, PackRef, Packs};
use vitrine_store::search::PersonWords;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
/// The byte before a reference into a pack.
const PACKED: u8 = 2;
const HEAD: usize = 1 + 4 + 12;
/// Below this many bytes zstd's frame costs more than it saves.
const SHORT: usize = 64;

/// Where a body lies; part of what its seal authenticates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    Resource(i64),
    Fact(i64),
    Card(i64),
    Board(i64),
    Study(i64),
    Series(i64),
    Instance(i64),
    /// A pack of frames.
    Pack(i64),
    Audit(&'p str, u64),
    Grant(&'p [u8]),
    /// A hold by its patient, a request by its id.
    Archive(&'p [u8]),
    Quarantine,
    /// What the row of a message says: of its header, of what became of it; its bytes.
    Message(i64),
    MessageSaid(i64),
    MessageBody(i64),
    DataKey(i32),
}

impl Place<'_> {
    fn bytes(self) -> Vec<u8> {
        let numbered = |tag: u8, n: i64| [&[tag][..], &n.to_be_bytes()].concat();
        match self {
            Self::Resource(rid) => numbered(b'r', rid),
            Self::Fact(rid) => numbered(b'f', rid),
            Self::Card(pid) => numbered(b'c', pid),
            Self::Board(pid) => numbered(b'b', pid),
            Self::Study(no) => numbered(b's', no),
            Self::Series(no) => numbered(b'e', no),
            Self::Instance(no) => numbered(b'i', no),
            Self::Pack(no) => numbered(b'p', no),
            Self::Audit(chain, seq) => [&[b'a'][..], &seq.to_be_bytes(), chain.as_bytes()].concat(),
            Self::Grant(id) => [&[b'g'][..], id].concat(),
            Self::Archive(id) => [&[b'h'][..], id].concat(),
            Self::Quarantine => vec![b'q'],
            Self::Message(id) => numbered(b'm', id),
            Self::MessageSaid(id) => numbered(b'o', id),
            Self::MessageBody(id) => numbered(b'y', id),
            Self::DataKey(no) => numbered(b'k', i64::from(no)),
        }
    }
}

#[derive(Default)]
struct Ring {
    keys: BTreeMap<i32, LessSafeKey>,
}

/// The keys, opened.
pub(crate) struct Vault {
    /// Wraps data keys; never leaves this process.
    wrapping: LessSafeKey,
    index: hmac::Key,
    ring: RwLock<Ring>,
    random: SystemRandom,
    packs: Option<Packs>,
}

fn failed(doing: &'static str) -> StoreError {
    StoreError::Backend {
        doing,
        cause: "the cipher refused".to_owned(),
    }
}

fn derive(root: &[u8; 32], label: &[u8]) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"vitrine")
        .extract(root)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out[..]))
        .map_err(|_| failed("deriving a key"))?;
    Ok(out)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, StoreError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| failed("opening a key"))?;
    Ok(LessSafeKey::new(key))
}

impl Vault {
    /// A vault without data keys.
    pub fn new(root: &[u8; 32]) -> Result<Self, StoreError> {
        Ok(Self {
            wrapping: cipher(&*derive(root, b"postgres wrapping 1")?)?,
            index: hmac::Key::new(hmac::HMAC_SHA256, &*derive(root, b"postgres index 1")?),
            ring: RwLock::default(),
            random: SystemRandom::new(),
            packs: None,
        })
    }

    /// Opens packs too: bodies that lie there are read as if they lay in the database.
    pub fn with_packs(mut self, root: &[u8; 32], folders: Option<PackFolders>) -> Result<Self, StoreError> {
        let key = derive(root, b"postgres packs 1")?;
        self.packs = folders.map(|f| Packs::new(f, &key));
        Ok(self)
    }

    /// The packs.
    pub fn packs(&self) -> Result<&Packs, StoreError> {
        self.packs.as_ref().ok_or_else(crate::tiers::without)
    }

    fn close(
        &self,
        key: &LessSafeKey,
        no: i32,
        place: Place<'_>,
        plain: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; 12];
        self.random
            .fill(&mut nonce)
            .map_err(|_| failed("drawing a nonce"))?;
        let mut out = Vec::with_capacity(HEAD + plain.len() + 16);
        out.push(VERSION);
        out.extend_from_slice(&no.to_be_bytes());
        out.extend_from_slice(&nonce);
        let mut body = plain;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place.bytes()),
            &mut body,
        )
        .map_err(|_| failed("sealing a body"))?;
        out.append(&mut body);
        Ok(out)
    }

    /// A new data key, wrapped: what the database keeps of it.
    pub fn new_data_key(&self, no: i32) -> Result<Vec<u8>, StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        self.random
            .fill(&mut key[..])
            .map_err(|_| failed("drawing a key"))?;
        self.close(&self.wrapping, 0, Place::DataKey(no), key.to_vec())
    }

    /// Takes a wrapped data key; the greatest number seals from now on.
    pub fn take_data_key(&self, no: i32, wrapped: &[u8]) -> Result<(), StoreError> {
        let wrong = || StoreError::WrongKey("the PostgreSQL store".to_owned());
        let (_, nonce, body) = split(wrapped).ok_or_else(wrong)?;
        let mut body = Zeroizing::new(body.to_vec());
        let key = self
            .wrapping
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(Place::DataKey(no).bytes()),
                &mut body,
            )
            .map_err(|_| wrong())?;
        let key = Zeroizing::new(<[u8; 32]>::try_from(&*key).map_err(|_| wrong())?);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.keys.insert(no, cipher(&key)?);
        Ok(())
    }

    /// Number of the data key that seals now; `None` before the first.
    pub fn newest(&self) -> Option<i32> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.keys.last_key_value().map(|(no, _)| *no)
    }

    /// Seals a packed body.
    pub fn seal(&self, place: Place<'_>, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let (no, key) = ring
            .keys
            .last_key_value()
            .ok_or_else(|| failed("sealing without a data key"))?;
        self.close(key, *no, place, packed.to_vec())
    }

    /// Opens a sealed body and gives it packed.
    pub fn unseal(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = || StoreError::Damaged("a sealed body in the database".to_owned());
        if let (Place::Resource(_), Some(r)) = (place, referenced(sealed)) {
            return Ok(tagged(0, &self.packs()?.read(r)?));
        }
        let (no, nonce, body) = split(sealed).ok_or_else(damaged)?;
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let key = ring.keys.get(&no).ok_or_else(|| StoreError::Backend {
            doing: "opening a sealed body",
            cause: format!("data key {no} is not there: restart the server"),
        })?;
        let mut body = body.to_vec();
        let plain = key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.bytes()),
                &mut body,
            )
            .map_err(|_| damaged())?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// Packs and seals.
    pub fn put(&self, place: Place<'_>, body: &[u8]) -> Result<Vec<u8>, StoreError> {
        let row = match place {
            Place::Audit(..) => packed_row(body)?,
            _ => None,
        };
        self.seal(place, &row.map_or_else(|| pack(body), Ok)?)
    }

    /// Opens and unpacks.
    pub fn get(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        unpack(&self.unseal(place, sealed)?)
    }

    /// Token of a DICOM UID: long enough to be unique among all there will ever be.
    pub fn uid_token(&self, uid: &str) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(b"u");
        context.update(uid.as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&context.sign().as_ref()[..16]);
        first
    }

    /// Token of a message's digest: of what it is the same as another by, or of its bytes.
    pub fn message_token(&self, digest: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(b"m");
        context.update(digest);
        let mut first = [0; 16];
        first.copy_from_slice(&context.sign().as_ref()[..16]);
        first
    }

    /// Token of an accession number.
    pub fn accession_token(&self, number: &str) -> i64 {
        self.token(b'x', &[number])
    }

    fn token(&self, tag: u8, parts: &[&str]) -> i64 {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(&[tag]);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&context.sign().as_ref()[..8]);
        i64::from_be_bytes(first)
    }

    /// Token of what an audit row is found by, cut to four bytes: what is found is read, so two may share one.
    pub fn audit_token(&self, term: Term<'_>) -> i32 {
        let (kind, text) = term.parts();
        let token = self.token(b'a', &[char::from(kind).encode_utf8(&mut [0; 4]), text]);
        #[allow(clippy::cast_possible_truncation)]
        let short = token as i32;
        short
    }

    /// Token of an identifier's value.
    pub fn value_token(&self, value: &str) -> i64 {
        self.token(b'v', &[value])
    }
    /// Token of an identifier's system and value.
    pub fn both_token(&self, system: &str, value: &str) -> i64 {
        self.token(b'b', &[system, value])
    }
    /// Token of a whole name word.
    pub fn name_token(&self, word: &str) -> i64 {
        self.token(b'n', &[word])
    }
    /// Token of a name word's beginning.
    pub fn beginning_token(&self, part: &str) -> i64 {
        self.token(b'p', &[part])
    }
    /// Token of a number or a form of a birth date.
    pub fn whole_token(&self, word: &str) -> i64 {
        self.token(b'w', &[word])
    }

    /// Token of how a name word sounds.
    pub fn sound_token(&self, code: &str) -> i64 {
        self.token(b's', &[code])
    }

    /// Token of a word in the notes of one patient.
    pub fn word_token(&self, pid: i64, word: &str) -> i64 {
        self.token(b't', &[&pid.to_string(), word])
    }

    /// All tokens under which a person is found.
    pub fn person_tokens(&self, words: &PersonWords) -> Vec<i64> {
        let mut out = Vec::new();
        for word in &words.names {
            out.push(self.name_token(word));
            for (at, c) in word.char_indices() {
                out.push(self.beginning_token(&word[..at + c.len_utf8()]));
            }
        }
        out.extend(words.whole.iter().map(|w| self.whole_token(w)));
        out.extend(words.sounds.iter().map(|c| self.sound_token(c)));
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// What stands in place of a body that lies in a pack.
pub(crate) fn reference(r: &PackRef) -> Vec<u8> {
    tagged(PACKED, &r.bytes())
}

/// The reference, when it is one.
pub(crate) fn referenced(body: &[u8]) -> Option<PackRef> {
    body.strip_prefix(&[PACKED]).and_then(PackRef::read)
}

/// Number of the data key a sealed body was sealed with.
pub(crate) fn key_of(sealed: &[u8]) -> Option<i32> {
    split(sealed).map(|(no, ..)| no)
}

fn split(sealed: &[u8]) -> Option<(i32, [u8; 12], &[u8])> {
    let (head, body) = sealed.split_at_checked(HEAD)?;
    let (version, rest) = head.split_first()?;
    let (no, nonce) = rest.split_at_checked(4)?;
    let no = i32::from_be_bytes(no.try_into().ok()?);
    (*version == VERSION).then_some((no, nonce.try_into().ok()?, body))
}

/// Compresses a body, with the dictionary where that is shorter.
pub(crate) fn pack(body: &[u8]) -> Result<Vec<u8>, StoreError> {
    if body.len() >= SHORT
        && let Some(frame) = dictionary::compress(body).map_err(|e| StoreError::Backend {
            doing: "packing a body",
            cause: e.to_string(),
        })?
        && frame.bytes.len() < body.len()
    {
        return Ok(tagged(frame.tag, &frame.bytes));
    }
    Ok(tagged(0, body))
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

/// Inside a sealed body: an audit row in the layout of `vitrine_store::audit_pack`, every name in it.
const ROW: u8 = 128;

/// Shorter rows are shorter than their text compressed.
const LONG_ROW: usize = 512;

/// Packs an audit row; `None` when it is none of ours, or as a body would be shorter (many resources, which compress).
fn packed_row(text: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let (Some(entry), _) = audit_find::read(text) else {
        return Ok(None);
    };
    let Some(row) = audit_pack::pack(&entry, text, &mut Listed)? else {
        return Ok(None);
    };
    if row.len() > LONG_ROW && pack(text)?.len() <= row.len() {
        return Ok(None);
    }
    Ok(Some(tagged(ROW, &row)))
}

/// Undoes [`pack`] and [`packed_row`].
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::Damaged("a body in the database".to_owned());
    match packed.split_first() {
        None => Ok(Vec::new()),
        Some((0, bytes)) => Ok(bytes.to_vec()),
        Some((&ROW, row)) => audit_pack::unpack(row, &mut Listed)?.ok_or_else(damaged),
        Some((tag, frame)) => dictionary::decompress(*tag, frame).ok_or_else(damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        let vault = Vault::new(&[7; 32]).unwrap();
        let key = vault.new_data_key(1).unwrap();
        vault.take_data_key(1, &key).unwrap();
        vault
    }

    #[test]
    fn every_body_comes_back_and_says_nothing() {
        let vault = vault();
        for n in [0_usize, 1, 63, 64, 5_000, 300_000] {
            let body: Vec<u8> = (0..n).map(|i| b'a' + (i % 7) as u8).collect();
            let sealed = vault.put(Place::Resource(3), &body).unwrap();
            assert_eq!(vault.get(Place::Resource(3), &sealed).unwrap(), body);
            assert!(body.len() < 8 || !sealed.windows(8).any(|w| w == &body[..8]));
        }
    }

    #[test]
    fn a_body_opens_at_its_place_with_its_key_and_whole_alone() {
        let vault = vault();
        let sealed = vault.put(Place::Card(1), b"known allergy: penicillin").unwrap();
        for place in [Place::Card(2), Place::Board(1), Place::Fact(1)] {
            assert!(vault.get(place, &sealed).is_err(), "{place:?}");
        }
        for n in 0..sealed.len() {
            let mut other = sealed.clone();
            other[n] ^= 1;
            assert!(vault.get(Place::Card(1), &other).is_err(), "byte {n}");
        }
        let other = Vault::new(&[8; 32]).unwrap();
        let key = vault.new_data_key(2).unwrap();
        assert!(matches!(
            other.take_data_key(2, &key),
            Err(StoreError::WrongKey(_))
        ));
        assert!(
            vault.take_data_key(3, &key).is_err(),
            "a key is bound to its number"
        );
    }

    #[test]
    fn what_was_sealed_before_a_rotation_still_opens() {
        let vault = vault();
        let old = vault.put(Place::Fact(1), b"before").unwrap();
        let key = vault.new_data_key(2).unwrap();
        vault.take_data_key(2, &key).unwrap();
        let new = vault.put(Place::Fact(1), b"after").unwrap();
        assert_eq!((key_of(&old), key_of(&new)), (Some(1), Some(2)));
        assert_eq!(vault.get(Place::Fact(1), &old).unwrap(), b"before");
        assert_eq!(vault.get(Place::Fact(1), &new).unwrap(), b"after");
    }

    #[test]
    fn tokens_depend_on_the_key_and_on_where_a_word_ends() {
        let (a, b) = (vault(), Vault::new(&[9; 32]).unwrap());
        assert_ne!(a.name_token("ann"), b.name_token("ann"));
        assert_ne!(a.name_token("ann"), a.beginning_token("ann"));
        assert_ne!(a.both_token("ab", "c"), a.both_token("a", "bc"));
    }
}
