//! The server's keys: made at the first start, sealed at rest, read at every start.
//!
//! Lives here: the database key, the CA, the TLS certificate, the key that signs orders to workstations, and the
//! sealer that wraps them. Never here: workstations' keys.
//! Called by `app` and `ops`. The sealer is a key file beside the sealed ones ("file (weak)"): it keeps keys out of
//! copies of single files, not from somebody who reads the whole folder.

use crate::clock;
use crate::config::Tls;
use crate::data_dir::{self, DataDir};
use crate::error::Fault;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// What protects the keys at rest, as printed by `doctor`.
pub const SEALER_KIND: &str = "file (weak)";
const MAGIC: &[u8; 4] = b"VTK1";
/// A certificate is replaced when fewer days than this remain.
const RENEW_DAYS: i64 = 30;

/// The server's keys, opened.
pub struct Keys {
    /// Raw 256-bit key of the database.
    pub database: Zeroizing<[u8; 32]>,
    /// CA certificate, PEM.
    pub ca_pem: String,
    /// SHA-256 of the CA certificate (DER), hex: what a workstation checks at enrolment.
    pub ca_fingerprint: String,
    /// SHA-256 of the server certificate (DER), hex.
    pub certificate_fingerprint: String,
    /// The certificate chain shown in TLS.
    pub chain: Vec<CertificateDer<'static>>,
    /// Private key of the server certificate.
    pub tls_key: PrivateKeyDer<'static>,
    signing: Ed25519KeyPair,
}

impl Keys {
    /// Opens the keys, making what is not there yet.
    ///
    /// # Errors
    /// [`Fault`] for a key that is missing while the data are there, does not open, or may be read by others.
    pub fn open(dir: &DataDir, tls: &Tls, listen: Option<SocketAddr>) -> Result<Self, Fault> {
        let folder = dir.keys();
        if !folder.exists() {
            data_dir::make_private_folder(&folder)?;
        }
        let missing = !folder.join("db.key").exists();
        if missing && dir.database().exists() {
            return Err(Fault::unsafe_to(format!(
                "{} is there but its key {} is not: put the key file back (it is in every backup); nothing was changed",
                dir.database().display(),
                folder.join("db.key").display()
            )));
        }
        let sealer = Sealer::open(&folder)?;
        let database: Zeroizing<[u8; 32]> = {
            let raw = sealer.secret(&folder, "db.key", || Ok(clock::random::<32>().to_vec()))?;
            Zeroizing::new(<[u8; 32]>::try_from(raw.as_slice()).map_err(|_| damaged(&folder.join("db.key")))?)
        };
        let signing = {
            let rng = ring::rand::SystemRandom::new();
            let raw = sealer.secret(&folder, "server.key", || {
                Ed25519KeyPair::generate_pkcs8(&rng)
                    .map(|d| d.as_ref().to_vec())
                    .map_err(|_| Fault::failed("the server's signing key could not be made"))
            })?;
            Ed25519KeyPair::from_pkcs8(&raw).map_err(|_| damaged(&folder.join("server.key")))?
        };
        let ca_key = sealer.secret(&folder, "ca.key", || Ok(new_key()?.serialize_der()))?;
        let ca_key = rcgen_key(&ca_key, &folder.join("ca.key"))?;
        if !dir.ca_pem().exists() {
            data_dir::write_durably(&dir.ca_pem(), make_ca(&ca_key)?.as_bytes(), 0o644)?;
        }
        let ca_pem =
            std::fs::read_to_string(dir.ca_pem()).map_err(|e| Fault::io("cannot read", &dir.ca_pem(), &e))?;
        let ca_der = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_| damaged(&dir.ca_pem()))?;
        let tls_key = sealer.secret(&folder, "tls.key", || Ok(new_key()?.serialize_der()))?;
        if certificate_days_left(&dir.tls_pem()).is_none_or(|d| d < RENEW_DAYS) {
            let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_key).map_err(|_| damaged(&dir.ca_pem()))?;
            let key = rcgen_key(&tls_key, &folder.join("tls.key"))?;
            let pem = make_certificate(&issuer, &key, tls, listen)?;
            data_dir::write_durably(&dir.tls_pem(), pem.as_bytes(), 0o644)?;
        }
        let leaf = CertificateDer::from_pem_file(dir.tls_pem()).map_err(|_| damaged(&dir.tls_pem()))?;
        Ok(Self {
            database,
            ca_fingerprint: fingerprint(&ca_der),
            certificate_fingerprint: fingerprint(&leaf),
            chain: vec![leaf, ca_der],
            ca_pem,
            tls_key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(tls_key.to_vec())),
            signing,
        })
    }

    /// The key under which badges are kept (`vitrine_wire::digest::badge`).
    #[must_use]
    pub fn badge_key(&self) -> Zeroizing<[u8; 32]> {
        self.derived(b"badges 1\x01")
    }

    /// The key under which secrets of second factors are sealed.
    #[must_use]
    pub fn totp_key(&self) -> Zeroizing<[u8; 32]> {
        self.derived(b"totp secrets 1\x01")
    }

    /// The key under which recovery codes are kept as hashes.
    #[must_use]
    pub fn recovery_key(&self) -> Zeroizing<[u8; 32]> {
        self.derived(b"totp recovery codes 1\x01")
    }

    /// The key that says for five minutes whose password was right.
    #[must_use]
    pub fn proof_key(&self) -> Zeroizing<[u8; 32]> {
        self.derived(b"password proofs 1\x01")
    }

    /// A key that follows from the key of the database: it is the same on every server of a cluster, after a restore and after a
    /// move into PostgreSQL. `label` ends with the number of the block, 1.
    fn derived(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        use ring::hmac::{HMAC_SHA256, Key, sign};
        // HKDF-SHA256 of one block (RFC 5869): extract, then expand. Written out because it cannot fail so: a key of zeros would open
        // everything.
        let extracted = sign(&Key::new(HMAC_SHA256, b"vitrine"), &*self.database);
        let expanded = sign(&Key::new(HMAC_SHA256, extracted.as_ref()), label);
        let mut out = Zeroizing::new([0; 32]);
        out.copy_from_slice(expanded.as_ref());
        out
    }

    /// Public half of the key that signs orders to workstations, hex.
    #[must_use]
    pub fn server_key_hex(&self) -> String {
        hex(self.signing.public_key().as_ref())
    }

    /// Public half of the key that signs orders to workstations.
    ///
    /// # Panics
    /// Never: an Ed25519 key has 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.signing.public_key().as_ref());
        out
    }

    /// Ed25519 over `message`: 64 bytes.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.signing.sign(message).as_ref().to_vec()
    }

    /// Ed25519 over `message`, hex.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        hex(self.signing.sign(message).as_ref())
    }
}

/// Whether an Ed25519 signature is this key's over this message.
#[must_use]
pub fn verifies(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}

/// Checks what [`Keys::sign`] made, against the key that must have made it; keys and signature in hex.
///
/// # Errors
/// What is wrong with it.
pub fn check_signed(
    message: &[u8],
    key: &str,
    signature: &str,
    server_key: &str,
) -> Result<(), &'static str> {
    if key != server_key {
        return Err("it was signed by another server");
    }
    let (Some(key), Some(signature)) = (unhex(key), unhex(signature)) else {
        return Err("its signature cannot be read");
    };
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message, &signature)
        .map_err(|_| "it was changed after it was signed")
}

/// Days until the certificate in a PEM file ends; `None` when it is not there or cannot be read.
#[must_use]
pub fn certificate_days_left(path: &Path) -> Option<i64> {
    let der = CertificateDer::from_pem_file(path).ok()?;
    let (_, cert) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some((cert.validity().not_after.timestamp() - clock::now().0 / 1000) / 86_400)
}

fn damaged(path: &Path) -> Fault {
    Fault::unsafe_to(format!(
        "{} is damaged: put it back from a backup; nothing was changed",
        path.display()
    ))
}

fn rcgen_key(der: &[u8], path: &Path) -> Result<KeyPair, Fault> {
    KeyPair::try_from(der).map_err(|_| damaged(path))
}

fn new_key() -> Result<KeyPair, Fault> {
    KeyPair::generate().map_err(|e| Fault::failed(format!("a TLS key could not be made: {e}")))
}

fn validity(params: &mut CertificateParams, days: i64) {
    let day = |offset: i64| {
        let at = jiff::Timestamp::from_millisecond(clock::now().0 + offset * 86_400_000).unwrap_or_default();
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month()).unwrap_or(1),
            u8::try_from(date.day()).unwrap_or(1),
        )
    };
    params.not_before = day(-1);
    params.not_after = day(days);
}

fn make_ca(key: &KeyPair) -> Result<String, Fault> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Vitrine site CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, 3650);
    Ok(params
        .self_signed(key)
        .map_err(|e| Fault::failed(format!("the CA could not be made: {e}")))?
        .pem())
}

fn make_certificate(
    issuer: &Issuer<'_, KeyPair>,
    key: &KeyPair,
    tls: &Tls,
    listen: Option<SocketAddr>,
) -> Result<String, Fault> {
    let mut names = tls.names.clone();
    if let Some(address) = listen.map(|l| l.ip()).filter(|ip| !ip.is_unspecified()) {
        names.push(address.to_string());
    }
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names.clone()).map_err(|_| {
        Fault::usage(format!(
            "tls.names: one of {names:?} is neither a host name nor an address"
        ))
    })?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Vitrine server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, i64::from(tls.days));
    let cert = params.signed_by(key, issuer);
    Ok(cert
        .map_err(|e| Fault::failed(format!("the server certificate could not be made: {e}")))?
        .pem())
}

/// SHA-256 of a certificate, hex.
fn fingerprint(der: &CertificateDer<'_>) -> String {
    hex(&Sha256::digest(der.as_ref()))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
            let _ = write!(s, "{b:02x}");
            s
        })
}

/// Reads hex; `None` when it is not.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}

/// Wraps the other keys.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    /// Opens the sealer of a key folder, made when it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let path = folder.join("sealer.key");
        if !path.exists() {
            if folder.join("db.key").exists() {
                return Err(Fault::unsafe_to(format!(
                    "{} is gone, the other keys cannot be opened: put it back; nothing was changed",
                    path.display()
                )));
            }
            data_dir::write_durably(&path, &clock::random::<32>(), 0o600)?;
        }
        let raw = Zeroizing::new(data_dir::read_private(&path)?);
        Self::of_key(&raw).ok_or_else(|| damaged(&path))
    }

    /// A sealer of a 32-byte key.
    pub(crate) fn of_key(raw: &[u8]) -> Option<Self> {
        Some(Self {
            cipher: XChaCha20Poly1305::new_from_slice(raw).ok()?,
        })
    }

    /// Reads a sealed secret, made by `make` when it is not there.
    fn secret(
        &self,
        folder: &Path,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let path = folder.join(name);
        if path.exists() {
            let sealed = data_dir::read_private(&path)?;
            return self.unseal(name, &sealed).ok_or_else(|| {
                Fault::unsafe_to(format!(
                    "{} does not open with {}: it belongs to another folder or is damaged; nothing was changed",
                    path.display(),
                    folder.join("sealer.key").display()
                ))
            });
        }
        let secret = Zeroizing::new(make()?);
        let sealed = self
            .seal(name, &secret)
            .ok_or_else(|| Fault::failed(format!("{name} could not be sealed")))?;
        data_dir::write_durably(&path, &sealed, 0o600)?;
        Ok(secret)
    }

    /// Seals bytes under a name that must be given again to open them.
    pub(crate) fn seal(&self, name: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let nonce = clock::random::<24>();
        let sealed = self
            .cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: name.as_bytes(),
                },
            )
            .ok()?;
        Some([MAGIC.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens sealed bytes.
    pub(crate) fn unseal(&self, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let rest = sealed.strip_prefix(MAGIC.as_slice())?;
        let (nonce, body) = rest.split_at_checked(24)?;
        let nonce: [u8; 24] = nonce.try_into().ok()?;
        self.cipher
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: body,
                    aad: name.as_bytes(),
                },
            )
            .ok()
            .map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    fn dir() -> (tempfile::TempDir, DataDir) {
        let t = tempfile::tempdir().unwrap();
        let d = DataDir::open(&t.path().join("d"), true).unwrap();
        (t, d)
    }

    #[test]
    fn keys_are_made_once_and_stay() {
        let (_t, d) = dir();
        let a = Keys::open(&d, &Tls::default(), None).unwrap();
        let b = Keys::open(&d, &Tls::default(), None).unwrap();
        assert_eq!(*a.database, *b.database);
        assert_eq!(a.ca_fingerprint, b.ca_fingerprint);
        assert_eq!(a.certificate_fingerprint, b.certificate_fingerprint);
        assert_eq!(a.server_key_hex(), b.server_key_hex());
        assert!(certificate_days_left(&d.tls_pem()).unwrap() > 390);
        for name in ["sealer.key", "db.key", "ca.key", "tls.key", "server.key"] {
            data_dir::read_private(&d.keys().join(name)).unwrap();
        }
        let raw = std::fs::read(d.keys().join("db.key")).unwrap();
        assert!(
            !raw.windows(32).any(|w| w == a.database.as_slice()),
            "the key lies in the open"
        );
    }

    #[test]
    fn a_lost_or_foreign_key_is_refused_and_nothing_is_made_anew() {
        let (_t, d) = dir();
        Keys::open(&d, &Tls::default(), None).unwrap();
        std::fs::write(d.database(), b"data").unwrap();
        let kept = std::fs::read(d.keys().join("db.key")).unwrap();
        std::fs::remove_file(d.keys().join("db.key")).unwrap();
        let Err(f) = Keys::open(&d, &Tls::default(), None) else {
            panic!("opened without its key")
        };
        assert_eq!(f.exit, Exit::Unsafe);
        assert!(!d.keys().join("db.key").exists());
        data_dir::write_durably(&d.keys().join("db.key"), &kept, 0o600).unwrap();
        data_dir::write_durably(&d.keys().join("sealer.key"), &[7; 32], 0o600).unwrap();
        let Err(f) = Keys::open(&d, &Tls::default(), None) else {
            panic!("opened with a foreign sealer")
        };
        assert_eq!(f.exit, Exit::Unsafe);
        assert!(f.text.contains("does not open with"));
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 255, 16])).unwrap(), [0, 255, 16]);
        assert!(unhex("zz").is_none() && unhex("abc").is_none() && unhex("é1").is_none());
    }
}
