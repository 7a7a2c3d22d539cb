//! The digest of a scope: equal on both ends when both hold the same items.
//!
//! An item's digest is the first 16 bytes of BLAKE3(`key ‖ 0 ‖ version (8 bytes, big endian) ‖ body hash (16)`).
//! A bucket (first byte of BLAKE3(key)) is the sum of its items' digests modulo 2^128, so that a change updates it
//! without reading the others; the scope digest is BLAKE3 over the 256 buckets. It guards against divergence, not
//! against an adversary: TLS and the device key do that.

/// 16 bytes of BLAKE3 over a body, without white space around it: a body travels as a JSON value, and white space
/// around a value is not part of it.
#[must_use]
pub fn body_hash(body: &[u8]) -> [u8; 16] {
    first16(blake3::hash(body.trim_ascii()))
}

/// What is kept of a badge's number (`clinical::scan::badge`): the first 16 bytes of BLAKE3 under the server's key for badges, hex. Who
/// has the database and not the key cannot try numbers.
#[must_use]
pub fn badge(key: &[u8; 32], number: &str) -> String {
    use std::fmt::Write as _;
    let hash = first16(blake3::keyed_hash(key, number.as_bytes()));
    hash.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn first16(h: blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    for (o, b) in out.iter_mut().zip(h.as_bytes()) {
        *o = *b;
    }
    out
}

/// The bucket of a key.
#[must_use]
pub fn bucket_of(key: &str) -> u8 {
    blake3::hash(key.as_bytes())
        .as_bytes()
        .first()
        .copied()
        .unwrap_or(0)
}

fn item_digest(key: &str, ver: u64, hash: &[u8; 16]) -> u128 {
    let mut h = blake3::Hasher::new();
    h.update(key.as_bytes())
        .update(&[0])
        .update(&ver.to_be_bytes())
        .update(hash);
    u128::from_be_bytes(first16(h.finalize()))
}

/// The 256 buckets of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeDigest {
    buckets: Vec<u128>,
}

impl Default for ScopeDigest {
    fn default() -> Self {
        Self {
            buckets: vec![0; 256],
        }
    }
}

impl ScopeDigest {
    /// Adds an item.
    pub fn add(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
        if let Some(b) = self.buckets.get_mut(usize::from(bucket_of(key))) {
            *b = b.wrapping_add(item_digest(key, ver, hash));
        }
    }
    /// Takes an item out.
    pub fn remove(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
        if let Some(b) = self.buckets.get_mut(usize::from(bucket_of(key))) {
            *b = b.wrapping_sub(item_digest(key, ver, hash));
        }
    }
    /// The scope's digest, hex.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut h = blake3::Hasher::new();
        for b in &self.buckets {
            h.update(&b.to_be_bytes());
        }
        h.finalize().to_hex().to_string()
    }
    /// The buckets, hex, for [`crate::message::DigestDiff`].
    #[must_use]
    pub fn buckets_hex(&self) -> Vec<String> {
        self.buckets.iter().map(|b| format!("{b:032x}")).collect()
    }
    /// The numbers of the buckets that differ from `other` (hex as by [`Self::buckets_hex`]); all when malformed.
    #[must_use]
    pub fn differing(&self, other: &[String]) -> Vec<u8> {
        let mine = self.buckets_hex();
        (0..=255_u8)
            .filter(|i| mine.get(usize::from(*i)) != other.get(usize::from(*i)))
            .collect()
    }
    /// The buckets as stored bytes (256 × 16).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.buckets.iter().flat_map(|b| b.to_be_bytes()).collect()
    }
    /// Reads stored bytes; `None` when they are not 4,096 long.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<16>();
        (chunks.len() == 256 && rest.is_empty()).then(|| Self {
            buckets: chunks.iter().map(|c| u128::from_be_bytes(*c)).collect(),
        })
    }
}
