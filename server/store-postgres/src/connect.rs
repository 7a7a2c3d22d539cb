//! From a URL to connections: TLS, the two pools, what each may take.
//!
//! Lives here: reading the URL and refusing what is not safe, building pools. Never here: SQL beyond session settings.

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use vitrine_store::StoreError;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a PostgreSQL is and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

fn refused(text: String) -> StoreError {
    StoreError::Refused(format!("--database-url: {text}"))
}

/// `sslrootcert` is libpq's name, which tokio-postgres does not know.
fn split_root(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let mut root = None;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|p| match p.strip_prefix("sslrootcert=") {
            Some(path) => {
                root = Some(path.replace("%2F", "/"));
                false
            }
            None => true,
        })
        .collect();
    if kept.is_empty() {
        (base.to_owned(), root)
    } else {
        (format!("{base}?{}", kept.join("&")), root)
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

impl Target {
    /// Reads a URL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require&sslrootcert=FILE`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] that says what is wrong with it. The password never appears in it.
    pub fn read(url: &str) -> Result<Self, StoreError> {
        let (url, root) = split_root(url);
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(refused(
                "it must begin with postgres://, as in postgres://vitrine@db.hospital:5432/vitrine"
                    .to_owned(),
            ));
        }
        let mut config: Config = url
            .parse()
            .map_err(|e: tokio_postgres::Error| refused(format!("it cannot be read ({e})")))?;
        if config.get_hosts().is_empty() {
            return Err(refused("it names no host".to_owned()));
        }
        if config.get_dbname().is_none() {
            return Err(refused(
                "it names no database: add /vitrine after the host".to_owned(),
            ));
        }
        let local = config.get_hosts().iter().all(is_local);
        let tls = match (config.get_ssl_mode(), root) {
            (SslMode::Disable, _) if local => None,
            (SslMode::Disable, _) => {
                return Err(refused(
                    "sslmode=disable is for this machine alone: use sslmode=require and sslrootcert=FILE"
                        .to_owned(),
                ));
            }
            (_, Some(root)) => {
                config.ssl_mode(SslMode::Require);
                Some(tls(&root)?)
            }
            (SslMode::Prefer, None) if local => {
                config.ssl_mode(SslMode::Disable);
                None
            }
            (_, None) => {
                return Err(refused(
                    "it names no CA: add sslrootcert=FILE with the certificate that signed the database's"
                        .to_owned(),
                ));
            }
        };
        config.connect_timeout(CONNECT);
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3);
        // What was sent and is not even received by then is lost: a cable, not a slow database.
        config.tcp_user_timeout(Duration::from_secs(10));
        config.application_name("vitrine-server");
        Ok(Self { config, tls })
    }

    /// The name of the database, for messages.
    pub fn name(&self) -> &str {
        self.config.get_dbname().unwrap_or("")
    }

    /// A pool of at most `size` connections with these session settings.
    pub fn pool(&self, size: usize, settings: &str) -> Result<Pool, StoreError> {
        let mut config = self.config.clone();
        config.options(format!("-c search_path=public -c timezone=UTC {settings}"));
        let recycle = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(config, tls.clone(), recycle),
            None => Manager::from_config(config, NoTls, recycle),
        };
        Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| StoreError::Backend {
                doing: "building the pool",
                cause: e.to_string(),
            })
    }

    /// A connection that also hears notifications: `heard` is woken by each.
    #[allow(clippy::disallowed_methods, reason = "the task ends with its connection")]
    pub async fn listen(
        &self,
        heard: Arc<tokio::sync::Notify>,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = self.config.clone();
        config.options("-c search_path=public -c statement_timeout=5s");
        match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(hear(connection, heard));
                Ok(client)
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(hear(connection, heard));
                Ok(client)
            }
        }
    }
}

async fn hear<S, T>(mut connection: tokio_postgres::Connection<S, T>, heard: Arc<tokio::sync::Notify>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        if matches!(message, tokio_postgres::AsyncMessage::Notification(_)) {
            heard.notify_one();
        }
    }
    heard.notify_one();
}

fn tls(root: &str) -> Result<MakeRustlsConnect, StoreError> {
    let wrong = |what: &str| refused(format!("sslrootcert: {root} {what}"));
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(root).map_err(|_| wrong("cannot be read"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|_| wrong("is no PEM file of certificates"))?;
        roots
            .add(certificate)
            .map_err(|_| wrong("holds a certificate that cannot be used"))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| wrong("and this TLS library do not go together"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_refused_with_what_to_do() {
        for good in [
            "postgres://v:p@127.0.0.1:5432/vitrine",
            "postgresql://v:p@localhost/vitrine?sslmode=disable",
            "postgres://v@[::1]:5432/vitrine",
        ] {
            assert!(Target::read(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("mysql://v@h/db", "must begin with postgres://"),
            ("postgres://v:secret@127.0.0.1:notaport/db", "cannot be read"),
            ("postgres://v:secret@127.0.0.1", "names no database"),
            ("postgres://v:secret@db.hospital/vitrine", "names no CA"),
            (
                "postgres://v:secret@db.hospital/vitrine?sslmode=disable",
                "this machine alone",
            ),
            (
                "postgres://v:secret@db.hospital/vitrine?sslrootcert=/nowhere.pem",
                "cannot be read",
            ),
        ] {
            let said = Target::read(bad).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(said.contains(says), "{bad}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
