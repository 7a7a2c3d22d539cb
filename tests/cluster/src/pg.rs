//! Connections to PostgreSQL over TLS that is checked.

use crate::layout::Layout;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How to reach the cluster.
#[derive(Clone)]
pub struct Door {
    config: Config,
    tls: rustls::ClientConfig,
}

/// TLS that trusts the cluster's authority alone.
///
/// # Errors
/// When its certificate cannot be read.
pub fn tls(layout: &Layout) -> Result<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(layout.ca())
        .map_err(|e| anyhow::anyhow!("{}: {e}", layout.ca().display()))?
    {
        roots.add(cert.map_err(|e| anyhow::anyhow!("{}: {e}", layout.ca().display()))?)?;
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl Door {
    /// As the application, at an address and port.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn new(layout: &Layout, address: &str, port: u16) -> Result<Self> {
        let mut config = Config::new();
        config
            .host(address)
            .port(port)
            .user("vitrine")
            .password(&layout.secrets.application)
            .dbname("vitrine")
            .application_name("vitrine-cluster")
            .ssl_mode(tokio_postgres::config::SslMode::Require)
            .connect_timeout(Duration::from_secs(3))
            .tcp_user_timeout(Duration::from_secs(5));
        Ok(Self {
            config,
            tls: tls(layout)?,
        })
    }

    /// A connection, or an error within four seconds.
    ///
    /// # Errors
    /// When there is nobody, or only somebody who does not answer.
    pub async fn open(&self) -> Result<Link> {
        let tls = MakeRustlsConnect::new(self.tls.clone());
        let (client, mut connection) = tokio::time::timeout(Duration::from_secs(4), self.config.connect(tls))
            .await
            .context("no answer within 4 s")??;
        let doubtful = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&doubtful);
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                // WARNING 01000 before a COMMIT that is then reported as done
                if let AsyncMessage::Notice(n) = message
                    && n.message().contains("canceling wait for synchronous replication")
                {
                    flag.store(true, Ordering::SeqCst);
                }
            }
        });
        Ok(Link {
            client,
            doubtful,
            task,
        })
    }
}

/// One connection. It is gone at once when dropped, whatever its server still owes.
pub struct Link {
    /// To ask with.
    pub client: Client,
    /// PostgreSQL has said that a commit may be on one machine alone: what it then calls done is not acknowledged.
    doubtful: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Link {
    /// Whether a commit of this connection may be on one machine alone.
    #[must_use]
    pub fn doubtful(&self) -> bool {
        self.doubtful.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
