//! TLS to our server: its CA is the only root; no public one is ever trusted.

use crate::EngineError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, Mutex, PoisonError};
use vitrine_clinical::say;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A client that trusts this CA alone.
pub(super) fn trusting(ca_pem: &[u8]) -> Result<ClientConfig, EngineError> {
    let bad = |why: String| {
        EngineError::Protocol(say!(
            "the server's CA certificate cannot be used: {why}",
            "das CA-Zertifikat des Servers ist nicht verwendbar: {why}"
        ))
    };
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem) {
        roots
            .add(cert.map_err(|e| bad(e.to_string()))?)
            .map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad(say!("it holds no certificate", "es enthält kein Zertifikat")));
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A client that trusts nobody and remembers whom it met: for the one question before the CA is known, whose answer
/// carries its own proof. Nothing secret is ever sent over it.
pub(super) fn meeting() -> Result<(ClientConfig, Arc<Met>), EngineError> {
    let met = Arc::new(Met {
        provider: provider(),
        leaf: Mutex::new(None),
    });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|_| EngineError::Internal("preparing TLS"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&met) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    Ok((config, met))
}

/// Remembers the certificate met.
#[derive(Debug)]
pub(super) struct Met {
    provider: Arc<CryptoProvider>,
    leaf: Mutex<Option<Vec<u8>>>,
}

impl Met {
    /// The certificate met, DER.
    pub(super) fn leaf(&self) -> Option<Vec<u8>> {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Met {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf.to_vec());
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// SHA-256 of a certificate, lower-case hex.
pub(super) fn fingerprint(der: &[u8]) -> String {
    crate::entropy::hex(ring::digest::digest(&ring::digest::SHA256, der).as_ref())
}

/// The certificates of a PEM text, DER.
pub(super) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem)
        .flatten()
        .map(|c| c.to_vec())
        .collect()
}

/// When a certificate (DER) ends, ms since 1970.
pub(super) fn ends_der(der: &[u8]) -> Option<i64> {
    use x509_parser::prelude::FromDer;
    let (_, cert) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(cert.validity().not_after.timestamp().saturating_mul(1_000))
}

/// When the first of the certificates of a PEM text ends, ms since 1970.
pub(crate) fn ends(pem: &[u8]) -> Option<i64> {
    certificates(pem).iter().filter_map(|der| ends_der(der)).min()
}
