//! A checkpoint of the tree as text: C2SP tlog-checkpoint in a signed note, Ed25519.
//!
//! Lives here: writing and strict reading. Never here: keys; whoever calls signs and verifies. Called by [`super::book`]
//! and by the server.
//!
//! ```text
//! vitrine-audit/server/5f2c91aa          the log's name
//! 1234                                   its size, decimal
//! 7Nm5…=                                 its hash, base64
//! moved Qk1…=                            further lines
//!
//! — vitrine-audit/server/5f2c91aa kZ3…=  key id (4 bytes) and signature, base64
//! ```

use super::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The longest note that is read, bytes.
const MOST: usize = 64 * 1024;
/// Ed25519, in a key id.
const ED25519: u8 = 0x01;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, the same for ever.
    pub origin: String,
    /// Number of its leaves.
    pub size: u64,
    /// Its tree hash.
    pub root: Hash,
    /// Further lines, none empty.
    pub more: Vec<String>,
}

/// A text that is no checkpoint, or not one of this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// It is not of the form.
    #[error("it is no checkpoint: {0}")]
    Form(&'static str),
    /// It has no signature of the key.
    #[error("it is not signed with this server's key")]
    Unsigned,
    /// The signature is of another text.
    #[error("it was changed after it was signed")]
    Forged,
}

/// Base64 with padding.
#[must_use]
pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64, strictly; `None` when it is not.
#[must_use]
pub fn unb64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Whether a log or key may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '+')
}

/// The first four bytes of `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)`.
#[must_use]
pub fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let mut h = Sha256::new();
    h.update(name.as_bytes());
    h.update([0x0A, ED25519]);
    h.update(public);
    let h = h.finalize();
    [h[0], h[1], h[2], h[3]]
}

/// The key as tools for signed notes take it: `name+id+base64`.
#[must_use]
pub fn verifier_key(name: &str, public: &[u8; 32]) -> String {
    let id = u32::from_be_bytes(key_id(name, public));
    let key: Vec<u8> = [ED25519].iter().chain(public).copied().collect();
    format!("{name}+{id:08x}+{}", b64(&key))
}

impl Checkpoint {
    /// The text that is signed; it ends with a newline.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}\n{}\n{}\n", self.origin, self.size, b64(&self.root));
        for line in &self.more {
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    /// The note: the text with its signature (64 bytes over [`Checkpoint::text`]).
    #[must_use]
    pub fn sealed(&self, public: &[u8; 32], signature: &[u8]) -> String {
        let id = key_id(&self.origin, public);
        let both: Vec<u8> = id.iter().chain(signature).copied().collect();
        format!("{}\n\u{2014} {} {}\n", self.text(), self.origin, b64(&both))
    }

    fn parse(text: &str) -> Result<Self, NoteFault> {
        let form = NoteFault::Form;
        let body = text
            .strip_suffix('\n')
            .ok_or(form("its text does not end with a line"))?;
        let mut lines = body.split('\n');
        let origin = lines
            .next()
            .filter(|l| is_name(l))
            .ok_or(form("its first line is no name"))?;
        let digits = lines.next().unwrap_or_default();
        let size: u64 = digits.parse().map_err(|_| form("its size is no number"))?;
        if size.to_string() != digits {
            return Err(form("its size is not written plainly"));
        }
        let root = lines.next().and_then(unb64).and_then(|r| r.try_into().ok());
        let root = root.ok_or(form("its hash is not 32 bytes in base64"))?;
        let more: Vec<String> = lines.map(str::to_owned).collect();
        if more.iter().any(String::is_empty) {
            return Err(form("it has an empty line"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            more,
        })
    }

    /// Reads a note that the log itself signed. `verifies(message, signature)` checks with the same public key.
    ///
    /// # Errors
    /// [`NoteFault`].
    pub fn open(
        note: &str,
        public: &[u8; 32],
        verifies: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Self, NoteFault> {
        let form = NoteFault::Form;
        if note.len() > MOST || note.chars().any(|c| c != '\n' && c.is_control()) {
            return Err(form("it is too long or holds control characters"));
        }
        let at = note.rfind("\n\n").ok_or(form("it has no signature"))?;
        let (text, signatures) = (&note[..=at], &note[at + 2..]);
        let checkpoint = Self::parse(text)?;
        let signatures = signatures
            .strip_suffix('\n')
            .ok_or(form("its signature does not end with a line"))?;
        let id = key_id(&checkpoint.origin, public);
        let mut good = false;
        for line in signatures.split('\n') {
            let parts = line
                .strip_prefix("\u{2014} ")
                .and_then(|rest| rest.split_once(' '))
                .and_then(|(name, s)| Some((name, unb64(s)?)))
                .filter(|(name, s)| is_name(name) && s.len() > 4);
            let (name, bytes) = parts.ok_or(form("a signature line is not of the form"))?;
            let (said, signature) = bytes.split_at(4);
            // Signatures of others, a witness's for example, are left alone.
            if name != checkpoint.origin || said != id {
                continue;
            }
            if signature.len() != 64 || !verifies(text.as_bytes(), signature) {
                return Err(NoteFault::Forged);
            }
            good = true;
        }
        if good {
            Ok(checkpoint)
        } else {
            Err(NoteFault::Unsigned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [9; 32];
    /// Stands for a signature: what is signed is what counts here.
    fn sign(text: &[u8]) -> Vec<u8> {
        let once = Sha256::digest(text);
        [once, once].concat()
    }
    fn verifies(text: &[u8], signature: &[u8]) -> bool {
        sign(text) == signature
    }
    fn one() -> Checkpoint {
        Checkpoint {
            origin: "vitrine-audit/server/1".into(),
            size: 42,
            root: [7; 32],
            more: vec!["moved x".into()],
        }
    }
    fn sealed(c: &Checkpoint) -> String {
        c.sealed(&KEY, &sign(c.text().as_bytes()))
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_no_other_is() {
        let note = sealed(&one());
        assert!(
            note.starts_with("vitrine-audit/server/1\n42\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nmoved x\n\n\u{2014} vitrine-audit/server/1 "),
            "{note}"
        );
        assert_eq!(Checkpoint::open(&note, &KEY, verifies).unwrap(), one());
        let with_a_witness = format!("{note}\u{2014} witness.example AAAAAAAA\n");
        assert_eq!(Checkpoint::open(&with_a_witness, &KEY, verifies).unwrap(), one());
        assert_eq!(
            Checkpoint::open(&note, &[8; 32], verifies),
            Err(NoteFault::Unsigned)
        );
        for (was, is) in [
            ("\n42\n", "\n042\n"),
            ("\n42\n", "\n+42\n"),
            ("\n42\n", "\n43\n"),
            ("Bwc=\n", "Bwc\n"),
            ("Bwc=\n", "Bwd=\n"),
            ("moved x\n\n", "moved x\n\n\n"),
            ("moved x\n", "moved x\r\n"),
            ("moved x\n", ""),
            ("\u{2014} ", "- "),
            ("vitrine-audit/server/1\n42", "vitrine audit\n42"),
        ] {
            assert!(note.contains(was), "{was:?}");
            let other = note.replacen(was, is, 1);
            assert!(Checkpoint::open(&other, &KEY, verifies).is_err(), "{other:?}");
        }
        assert!(Checkpoint::open(note.trim_end(), &KEY, verifies).is_err());
    }

    #[test]
    fn a_key_is_named_as_the_specification_says() {
        // The example of C2SP signed-note.
        let bytes = unb64("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let public: [u8; 32] = bytes[1..].try_into().unwrap();
        assert_eq!(
            verifier_key("PeterNeumann", &public),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_never_taken(at in 0_usize..400, with in 0x20_u8..0x7f) {
            let note = sealed(&one());
            let mut bytes = note.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(text) = String::from_utf8(bytes) && text != note {
                prop_assert!(Checkpoint::open(&text, &KEY, verifies).is_err(), "{}", text);
            }
        }
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Checkpoint::open(&text, &KEY, verifies);
            let _ = Checkpoint::open(&format!("{text}\n\n\u{2014} a b\n"), &KEY, verifies);
        }
    }
}
