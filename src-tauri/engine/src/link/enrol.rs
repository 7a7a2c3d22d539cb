//! Enrolment: from a one-time code to a profile.
//!
//! The server first proves that it knows the code (HMAC over our nonce and its CA) or has the fingerprint IT gave;
//! only then, over a connection verified by that CA, the code is sent.

use super::{http, tls};
use crate::keys::{self, Chosen, DeviceKey, Sealer, SealerChoice, SealerKind, Slots};
use crate::profile::{DeviceFile, PROFILE_VERSION, Profile, write_private};
use crate::{EngineError, entropy};
use ring::{digest, hmac};
use std::path::Path;
use vitrine_wire::http::{EnrolHelloRequest, EnrolHelloResponse, EnrolRequest, EnrolResponse};

/// What is needed to enrol.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// `https://host:port`.
    pub server: String,
    /// The one-time code.
    pub code: String,
    /// SHA-256 of the server's certificate or CA, hex, when IT gave one.
    pub fingerprint: Option<String>,
    /// Name of this workstation as shown.
    pub name: String,
    /// What is to keep the device's keys.
    pub sealer: SealerChoice,
    /// Where the TPM is: a TCTI string, see [`keys::tpm_here`].
    pub tpm: String,
}

/// A machine that was enrolled.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Who it is.
    pub device: DeviceFile,
    /// What keeps its keys.
    pub keys: SealerKind,
    /// Why no TPM does, where one was not to be had and nobody asked for a file.
    pub why_not_tpm: Option<String>,
}

/// Enrols this machine and makes the profile.
///
/// # Errors
/// [`EngineError::Usage`] when a value is malformed or the profile is in use already; [`EngineError::Protocol`] when
/// the server cannot prove itself: the code was not sent then; [`EngineError::NoTpm`] when the TPM was insisted on: nor then;
/// [`EngineError::Refused`] with the server's words.
pub async fn enrol(dir: &Path, asked: &Enrolment) -> Result<Enrolled, EngineError> {
    let server = server_url(&asked.server)?;
    let profile = Profile::at(dir)?;
    if profile.read_device()?.is_some_and(|d| !d.revoked) {
        return Err(EngineError::Usage(
            "this profile is enrolled already: use another --profile folder, or remove this one first"
                .to_owned(),
        ));
    }
    let ca_pem = hello(&server, asked).await?;
    let Chosen { sealer, why_not_tpm } = keys::choose(&profile, asked.sealer, &asked.tpm)?;
    let answer = match send_code(&profile, sealer.as_ref(), &server, asked, &ca_pem).await {
        Ok(answer) => answer,
        Err(e) => {
            // Nothing half enrolled stays behind.
            let _ = sealer.destroy();
            let _ = profile.destroy();
            return Err(e);
        }
    };
    let device = DeviceFile {
        version: PROFILE_VERSION,
        server,
        device: answer.device,
        name: asked.name.clone(),
        ward: answer.ward,
        site: answer.site,
        server_key: answer.server_key,
        demo: answer.demo,
        revoked: false,
    };
    let key = DeviceKey::open(&profile.device_key(), sealer.as_ref())?;
    Slots::create(&profile.slots(), &device.device, key.dk())?;
    write_private(&profile.ca(), ca_pem.as_bytes())?;
    profile.write_device(&device)?;
    Ok(Enrolled {
        device,
        keys: sealer.kind(),
        why_not_tpm,
    })
}

/// `https://host:port` without path.
fn server_url(text: &str) -> Result<String, EngineError> {
    let wrong = || EngineError::Usage(format!("'{text}' is no server address: use https://HOST:PORT"));
    let url = reqwest::Url::parse(text.trim()).map_err(|_| wrong())?;
    let bare =
        url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || !bare || url.host_str().is_none() {
        return Err(wrong());
    }
    Ok(url.origin().ascii_serialization())
}

/// The code as it is hashed: upper case, without blanks and dashes.
fn plain_code(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_uppercase)
        .collect()
}

async fn hello(server: &str, asked: &Enrolment) -> Result<String, EngineError> {
    let pin = asked.fingerprint.as_deref().map(clean_fingerprint).transpose()?;
    let (config, met) = tls::meeting()?;
    let client = http::client(config)?;
    let code_hash = digest::digest(&digest::SHA256, plain_code(&asked.code).as_bytes());
    let nonce = entropy::hex(&entropy::bytes::<16>()?);
    let hint = entropy::hex(code_hash.as_ref()).chars().take(8).collect();
    let request = EnrolHelloRequest {
        nonce: nonce.clone(),
        code_hint: hint,
    };
    let answer: EnrolHelloResponse = http::post(&client, &format!("{server}/enrol/hello"), &request).await?;

    let key = hmac::Key::new(hmac::HMAC_SHA256, code_hash.as_ref());
    let message = [
        b"vitrine-enrol-server".as_slice(),
        nonce.as_bytes(),
        answer.ca_pem.as_bytes(),
    ]
    .concat();
    let proof = entropy::unhex(&answer.proof).unwrap_or_default();
    if hmac::verify(&key, &message, &proof).is_err() {
        return Err(EngineError::Protocol(
            "the server could not prove that it made this code: check the address and the code. The code was not sent.".to_owned(),
        ));
    }
    if let Some(pin) = pin {
        let met = met.leaf().map(|l| tls::fingerprint(&l));
        let known = tls::certificates(answer.ca_pem.as_bytes())
            .iter()
            .map(|c| tls::fingerprint(c))
            .chain(met)
            .any(|f| f == pin);
        if !known {
            return Err(EngineError::Protocol(
                "the server's fingerprint is not the one given: somebody may stand between. The code was not sent.".to_owned(),
            ));
        }
    }
    Ok(answer.ca_pem)
}

fn clean_fingerprint(text: &str) -> Result<String, EngineError> {
    let hex: String = text
        .chars()
        .filter(|c| !matches!(c, ':' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    let hex = hex
        .strip_prefix("sha256")
        .map_or(hex.as_str(), |h| h.trim_start_matches(['-', '=']))
        .to_owned();
    match entropy::unhex(&hex) {
        Some(b) if b.len() == 32 => Ok(hex),
        _ => Err(EngineError::Usage(
            "--fingerprint takes a SHA-256 in hex (64 digits, colons allowed)".to_owned(),
        )),
    }
}

async fn send_code(
    profile: &Profile,
    sealer: &dyn Sealer,
    server: &str,
    asked: &Enrolment,
    ca_pem: &str,
) -> Result<EnrolResponse, EngineError> {
    let client = http::client(tls::trusting(ca_pem.as_bytes())?)?;
    let key = DeviceKey::create(&profile.device_key(), sealer)?;
    let request = EnrolRequest {
        code: asked.code.trim().to_owned(),
        name: asked.name.clone(),
        public_key: entropy::hex(&key.public_key()),
    };
    http::post(&client, &format!("{server}/enrol"), &request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_fingerprints() {
        assert_eq!(
            server_url("https://ward.example:8443/").unwrap(),
            "https://ward.example:8443"
        );
        for bad in [
            "http://x:1",
            "ward:8443",
            "https://",
            "https://x/path",
            "https://u:p@x",
            "",
        ] {
            assert!(matches!(server_url(bad), Err(EngineError::Usage(_))), "{bad}");
        }
        let f = "AB".repeat(32);
        assert_eq!(clean_fingerprint(&f).unwrap(), "ab".repeat(32));
        assert_eq!(clean_fingerprint(&["AB"; 32].join(":")).unwrap(), "ab".repeat(32));
        assert!(clean_fingerprint("ab").is_err());
    }
}
