//! The connection to an audit repository: syslog over TLS, RFC 5425.
//!
//! Lives here: the frame, the certificates, one delivery. Never here: which rows (`super`).
//!
//! A delivery is one connection. RFC 5425 has no receipts; a receiver that has read everything up to our end closes, and one
//! that has not is reset by its system. So rows count as delivered when the other side closed in order after our end.

use crate::config;
use crate::error::Fault;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One delivery takes so long at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection is made within this.
const CONNECT: Duration = Duration::from_secs(10);

/// Appends a message with its length (RFC 5425 4.3: octet counting).
pub fn frame(out: &mut Vec<u8>, message: &str) {
    out.extend_from_slice(message.len().to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(message.as_bytes());
}

/// How the repository is reached.
pub struct Line {
    to: String,
    name: ServerName<'static>,
    tls: TlsConnector,
}

/// The host of `host:port`.
fn host(to: &str) -> &str {
    let host = to.rsplit_once(':').map_or(to, |(h, _)| h);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Line {
    /// Reads the certificates.
    ///
    /// # Errors
    /// [`Fault`] naming what cannot be used.
    pub fn open(said: &config::Repository) -> Result<Self, Fault> {
        let bad = |key: &str, path: &str, why: &dyn std::fmt::Display| {
            Fault::usage(format!("audit.repository.{key} '{path}': {why}"))
        };
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_file_iter(&said.ca).map_err(|e| bad("ca", &said.ca, &e))? {
            let one = one.map_err(|e| bad("ca", &said.ca, &e))?;
            roots.add(one).map_err(|e| bad("ca", &said.ca, &e))?;
        }
        if roots.is_empty() {
            return Err(bad("ca", &said.ca, &"holds no certificate"));
        }
        let name = if said.name.is_empty() {
            host(&said.to)
        } else {
            &said.name
        };
        let server = ServerName::try_from(name.to_owned()).map_err(|e| bad("name", name, &e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Fault::failed(format!("TLS: {e}")))?
            .with_root_certificates(roots);
        let tls = if said.certificate.is_empty() {
            builder.with_no_client_auth()
        } else {
            let chain = CertificateDer::pem_file_iter(&said.certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| bad("certificate", &said.certificate, &e))?;
            kept_apart(Path::new(&said.key)).map_err(|why| bad("key", &said.key, &why))?;
            let key = PrivateKeyDer::from_pem_file(&said.key).map_err(|e| bad("key", &said.key, &e))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| bad("certificate", &said.certificate, &e))?
        };
        Ok(Self {
            to: said.to.clone(),
            name: server,
            tls: TlsConnector::from(Arc::new(tls)),
        })
    }

    /// Brings frames there.
    ///
    /// # Errors
    /// Why they may not be there.
    pub async fn deliver(&self, frames: &[u8]) -> Result<(), String> {
        let all = async {
            let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(&self.to)).await;
            let stream = connecting
                .map_err(|_| format!("no connection within {} s", CONNECT.as_secs()))?
                .map_err(|e| format!("connecting: {e}"))?;
            let mut tls = self
                .tls
                .connect(self.name.clone(), stream)
                .await
                .map_err(|e| format!("TLS: {e}"))?;
            let sent = async {
                tls.write_all(frames).await?;
                tls.flush().await?;
                tls.shutdown().await
            };
            sent.await.map_err(|e| format!("sending: {e}"))?;
            let mut rest = [0; 512];
            loop {
                match tls.read(&mut rest).await {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    // Closed in order, without the goodbye of TLS, as some receivers do.
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(e) => return Err(format!("it did not read to the end: {e}")),
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| {
            Err(format!(
                "it did not take everything within {} s",
                PATIENCE.as_secs()
            ))
        })
    }
}

/// A private key that others can read is none.
#[cfg(unix)]
fn kept_apart(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path)
        .map_err(|e| e.to_string())?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(format!("others can read it: chmod 600 {}", path.display()))
    }
}
#[cfg(not(unix))]
fn kept_apart(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_bytes_and_not_characters() {
        let mut out = Vec::new();
        frame(&mut out, "<85>1 \u{FEFF}x");
        frame(&mut out, "y");
        assert_eq!(out, "10 <85>1 \u{FEFF}x1 y".as_bytes());
    }

    #[test]
    fn the_name_is_that_of_the_host() {
        for (to, name) in [
            ("arr.example:6514", "arr.example"),
            ("[::1]:6514", "::1"),
            ("10.0.0.1:1", "10.0.0.1"),
        ] {
            assert_eq!(host(to), name);
        }
    }
}
