//! Workstations without a disk: the real protocol machine over real TLS and WebSockets with a cache of references in
//! memory, so that thousands fit beside the server they load.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use crate::server::{Server, run_json, text};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use vitrine_sync::client::{CacheView, Client, Config, Effect, Event, Held, Staged, Timing};
use vitrine_sync::proof;
use vitrine_wire::digest::{ScopeDigest, body_hash, bucket_of};
use vitrine_wire::message::{Change, Ref};

type Items = BTreeMap<String, (u64, [u8; 16])>;

/// What a thin workstation holds: versions and hashes, no bodies.
#[derive(Default)]
pub struct Cache {
    scopes: BTreeMap<String, (Held, Items)>,
    staged: BTreeMap<String, (Staged, Items)>,
}

impl Cache {
    /// Version of an item that is held.
    #[must_use]
    pub fn item(&self, scope: &str, key: &str) -> Option<u64> {
        self.version(scope, key)
    }
}

impl CacheView for Cache {
    fn scopes(&self) -> Vec<String> {
        let mut all: Vec<String> = self.scopes.keys().chain(self.staged.keys()).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
    fn held(&self, scope: &str) -> Option<Held> {
        self.scopes.get(scope).map(|s| s.0.clone())
    }
    fn staged(&self, scope: &str) -> Option<Staged> {
        self.staged.get(scope).map(|s| s.0.clone())
    }
    fn version(&self, scope: &str, key: &str) -> Option<u64> {
        self.scopes.get(scope)?.1.get(key).map(|i| i.0)
    }
    fn digest(&self, scope: &str) -> ScopeDigest {
        let mut d = ScopeDigest::default();
        for (k, (ver, hash)) in self.scopes.get(scope).into_iter().flat_map(|s| &s.1) {
            d.add(k, *ver, hash);
        }
        d
    }
    fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<Ref> {
        let items = self.scopes.get(scope).into_iter().flat_map(|s| &s.1);
        items
            .filter(|(k, _)| buckets.contains(&bucket_of(k)))
            .map(|(k, (ver, hash))| Ref {
                key: k.clone(),
                ver: *ver,
                hash: hex(hash),
            })
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn put(items: &mut Items, changes: &[Change]) {
    for c in changes {
        match &c.body {
            Some(b) => items.insert(c.key.clone(), (c.ver, body_hash(b.get().as_bytes()))),
            None => items.remove(&c.key),
        };
    }
}

impl Cache {
    /// Carries a store effect out; the patients it changed, when it is one.
    fn carry_out(&mut self, effect: Effect) -> Vec<String> {
        match effect {
            Effect::ApplyDelta {
                scope,
                changes,
                pos,
                rev,
            } => {
                if let Some(s) = self.scopes.get_mut(&scope) {
                    put(&mut s.1, &changes);
                    (s.0.pos, s.0.rev) = (pos, rev);
                }
                return changes.into_iter().map(|c| c.key).collect();
            }
            Effect::BeginSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => {
                let staged = Staged {
                    epoch,
                    pos,
                    rev,
                    after: None,
                    items: 0,
                };
                self.staged.insert(scope, (staged, Items::new()));
            }
            Effect::StageChunk { scope, items } => {
                if let Some(s) = self.staged.get_mut(&scope) {
                    put(&mut s.1, &items);
                    s.0.items += items.len() as u64;
                    s.0.after = items.last().map(|c| c.key.clone()).or(s.0.after.take());
                }
            }
            Effect::CommitSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => {
                if let Some((_, items)) = self.staged.remove(&scope) {
                    let held = Held {
                        epoch,
                        pos,
                        rev,
                        as_of_ms: None,
                    };
                    self.scopes.insert(scope, (held, items));
                }
            }
            Effect::DropScope { scope } => {
                self.scopes.remove(&scope);
                self.staged.remove(&scope);
            }
            Effect::MarkAge { as_of_ms, scopes } => {
                for (scope, pos) in scopes {
                    if let Some(s) = self.scopes.get_mut(&scope) {
                        s.0.pos = s.0.pos.max(pos);
                        s.0.as_of_ms = s.0.as_of_ms.max(Some(as_of_ms));
                    }
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

/// An enrolled device. Several thin workstations may speak as the same one.
pub struct Device {
    id: String,
    ward: String,
    key: Ed25519KeyPair,
}

impl Device {
    /// Enrols one by the product's own code and route.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn enrol(server: &Server, http: &reqwest::Client, ward: &str) -> Result<Self> {
        let args = ["enrol", "--data", &text(&server.data), "--ward", ward, "--json"];
        let code = run_json("vitrine-server", &args, None)?;
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).ok().context("a key")?;
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).ok().context("a key")?;
        let asked = serde_json::json!({
            "code": code["code"], "name": "thin", "public_key": hex(key.public_key().as_ref()),
        });
        let answer = http
            .post(format!("{}/enrol", server.url()))
            .json(&asked)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "enrolling: {}", answer.status());
        let said: serde_json::Value = answer.json().await?;
        Ok(Self {
            id: said["device"].as_str().context("device")?.to_owned(),
            ward: ward.to_owned(),
            key,
        })
    }
}

impl Device {
    /// Signs a person in here; gives the session's token.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_in(
        &self,
        server: &Server,
        http: &reqwest::Client,
        user: &str,
        secret: &str,
    ) -> Result<String> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let at_ms = i64::try_from(now.as_millis())?;
        let words: [&[u8]; 5] = [
            b"vitrine-login",
            user.as_bytes(),
            &[0],
            self.id.as_bytes(),
            &at_ms.to_be_bytes(),
        ];
        let asked = serde_json::json!({
            "user": user, "secret": secret, "device": self.id, "at_ms": at_ms,
            "signature": hex(self.key.sign(&words.concat()).as_ref()),
        });
        let answer = http
            .post(format!("{}/auth/login", server.url()))
            .json(&asked)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "signing in: {}", answer.status());
        let said: serde_json::Value = answer.json().await?;
        Ok(said["token"].as_str().context("token")?.to_owned())
    }
}

impl Device {
    /// Signs a person in here by what came back from the identity provider: its id, time and signature are put in. Gives
    /// status and answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn redeem(
        &self,
        server: &Server,
        http: &reqwest::Client,
        mut request: vitrine_wire::http::OidcLoginRequest,
    ) -> Result<(u16, serde_json::Value)> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        request.device.clone_from(&self.id);
        request.at_ms = i64::try_from(now.as_millis())?;
        request.signature = hex(self.key.sign(&request.message()).as_ref());
        let url = format!("{}/auth/oidc", server.url());
        let answer = http.post(url).json(&request).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await?))
    }
}

/// TLS that trusts this server's CA and nothing else.
///
/// # Errors
/// When the CA cannot be read.
pub fn trusting(server: &Server) -> Result<Arc<rustls::ClientConfig>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(
        CertificateDer::from_pem_file(server.data.join("ca.pem"))
            .ok()
            .context("ca.pem")?,
    )?;
    Ok(Arc::new(
        rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    ))
}

/// What a thin workstation tells of itself.
pub enum Told {
    /// Every scope is current.
    Current(Instant),
    /// These patients changed.
    Changed(Vec<String>, Instant),
}

/// A workstation without a disk.
pub struct Thin {
    /// Its device.
    pub device: Arc<Device>,
    /// What it holds; kept over connections.
    pub cache: Cache,
    /// Makes its backoff its own.
    pub seed: u64,
}

impl Thin {
    /// Holds one connection until `told` has no listener any more or the line ends; gives itself back.
    ///
    /// # Errors
    /// When the connection fails, or the server ends it.
    pub async fn connect(
        mut self,
        addr: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
        mut stop: tokio::sync::watch::Receiver<bool>,
        told: impl Fn(Told),
    ) -> Result<Self> {
        let begun = Instant::now();
        let tcp = TcpStream::connect(addr).await.context("TCP")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(addr.ip().into());
        let stream = tokio_rustls::TlsConnector::from(tls)
            .connect(name, tcp)
            .await
            .context("TLS")?;
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_write_buffer_size(1 << 20);
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(
            format!("wss://{addr}/ws/sync"),
            stream,
            Some(config),
        )
        .await
        .context("WebSocket")?;

        let config = Config {
            device: self.device.id.clone(),
            app: env!("CARGO_PKG_VERSION").to_owned(),
            ward: self.device.ward.clone(),
            known_epoch: None,
            // Every hospital measured or tested here is synthetic.
            training: true,
            seed: self.seed,
            timing: Timing::default(),
        };
        let mut machine = Client::new(config, &self.cache);
        let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut events = std::collections::VecDeque::from([Event::WantConnect]);
        let mut was_current = false;
        loop {
            while let Some(event) = events.pop_front() {
                let effects = machine.step(now(), event, &self.cache);
                for effect in effects {
                    match effect {
                        Effect::Connect { conn, .. } => events.push_back(Event::Connected { conn }),
                        Effect::Close { code, .. } => anyhow::bail!("closed by the machine: {code}"),
                        Effect::Send { bytes, .. } => socket.send(Message::Binary(bytes)).await?,
                        Effect::SignNonce { nonce } => {
                            let message = proof::device_auth(&nonce, &self.device.id);
                            events.push_back(Event::Signed {
                                signature: hex(self.device.key.sign(&message).as_ref()),
                                report: "{}".to_owned(),
                            });
                        }
                        Effect::ReadOutbox { .. } => events.push_back(Event::OutboxHas {
                            rows: Vec::new(),
                            head: 0,
                            oldest: 0,
                            grants: Vec::new(),
                            entries: Vec::new(),
                        }),
                        Effect::Alarm(alarm) => anyhow::bail!("{alarm:?}"),
                        store => {
                            let changed = self.cache.carry_out(store);
                            if !changed.is_empty() {
                                told(Told::Changed(changed, Instant::now()));
                            }
                        }
                    }
                }
            }
            if machine.is_current() && !was_current {
                was_current = true;
                told(Told::Current(Instant::now()));
            }
            let wait = machine.wake_at().map_or(3_600_000, |at| at.saturating_sub(now()));
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => events.push_back(Event::Received { conn: CONN, bytes }),
                    Some(Ok(Message::Close(why))) => anyhow::bail!("the server closed: {why:?}"),
                    Some(Ok(_)) => events.push_back(Event::Received { conn: CONN, bytes: Bytes::new() }),
                    Some(Err(e)) => return Err(e).context("the line"),
                    None => anyhow::bail!("the line ended"),
                },
                () = tokio::time::sleep(Duration::from_millis(wait)) => events.push_back(Event::Tick),
                _ = stop.wait_for(|s| *s) => return Ok(self),
            }
        }
    }
}

/// Number the machine gives its first connection.
const CONN: u64 = 1;
