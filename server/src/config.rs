//! The one TOML configuration file.
//!
//! Lives here: every key, its default, its check. Never here: secrets (they are key files in the data folder).
//! Called by `cli` once per start. Every key is described in `docs/CONFIG.md`; a test compares the two.

mod audit;
mod copies;
mod mllp;
mod notice;
mod oidc;

pub use audit::{Anomalies, Audit, Repository, Witness};
pub use copies::{CopyTarget, Place};
pub use mllp::{FeedRules, Mllp, NewPatients};
pub use notice::{Notice, WardNotice};
pub use oidc::Oidc;
pub(crate) use oidc::may_be_asked;

use crate::error::Fault;
use crate::ingest::peers::Peer;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use vitrine_access::policy::Role;
use vitrine_wire::layout::{Layout, Layouts};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server listens.
    pub listen: Listen,
    /// Names and life of the certificate.
    pub tls: Tls,
    /// Upper limits.
    pub limits: Limits,
    /// Lanes.
    pub lanes: Lanes,
    /// Sessions of people and clients.
    pub sessions: Sessions,
    /// The change feed.
    pub feed: Feed,
    /// PostgreSQL in place of the embedded store.
    pub database: Database,
    /// The redo log.
    pub redo: Redo,
    /// Where the bodies of old records lie.
    pub archive: Archive,
    /// Where the bytes of images lie.
    pub images: Images,
    /// Modalities.
    pub dimse: Dimse,
    /// Feeds of HL7 v2.
    pub mllp: Mllp,
    /// Witnesses of the audit log, and when accesses are unusual.
    pub audit: Audit,
    /// Who is told of broken glass by mail.
    pub notice: Notice,
    /// The hospital's identity provider.
    pub oidc: Oidc,
    /// Log output.
    pub log: Log,
    /// Role layouts, `[[layout]]`; the first that fits counts.
    pub layout: Vec<Layout>,
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// HTTPS and WebSocket address.
    pub address: String,
    /// Prometheus address, or "off".
    pub metrics: String,
    /// Address that answers a load balancer's agent-check, or "off".
    pub agent: String,
    /// Seconds between `/readyz` saying 503 and the end of accepting.
    pub drain_seconds: u64,
    /// Address at which others reach this server, `https://…`, for addresses in its answers; empty = as it was called.
    pub public_url: String,
    /// Web origins that may open `/ws/sync`; workstations send none.
    pub origins: Vec<String>,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Names and addresses in the certificate beside the listening address.
    pub names: Vec<String>,
    /// Days a server certificate is valid; a new one is made 30 days before its end.
    pub days: u32,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest FHIR body in MiB.
    pub body_mib: usize,
    /// Connections at once.
    pub connections: usize,
    /// TLS handshakes at once.
    pub handshakes: usize,
    /// Requests inside the server, working or waiting, beside emergencies; more are answered 503.
    pub requests: usize,
    /// Seconds one request may take.
    pub request_seconds: u64,
    /// Argon2id computations at once.
    pub sign_ins: usize,
}

/// `[lanes]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lanes {
    /// Places of the emergency lane, kept for it alone.
    pub emergency: usize,
    /// Places of the wards' lane, for what is read.
    pub clinical: usize,
    /// Places for what is written.
    pub write: usize,
    /// Places for Bundles and whole records of programs, and imports.
    pub bulk: usize,
    /// Places for sign-ins.
    pub sign_in: usize,
    /// Places for enrolment and administration.
    pub admin: usize,
    /// Requests that may wait for a place of a lane.
    pub waiting: usize,
    /// Longest wait for a place, ms.
    pub wait_ms: u64,
    /// Delay at which the server begins to turn work away, ms.
    pub shed_ms: u64,
    /// Longest time of one read of the store, ms; the three below have their own.
    pub read_ms: u64,
    /// Longest time of a search for patients, ms.
    pub search_ms: u64,
    /// Longest time of reading an old version, ms.
    pub history_ms: u64,
    /// Longest time of one read for the workstations' feed and snapshots, ms.
    pub feed_ms: u64,
    /// Wards whose workstations read emergency cards in the emergency lane.
    pub critical_wards: Vec<String>,
}

/// `[sessions]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Minutes without use after which a person's session ends.
    pub idle_minutes: u32,
    /// Hours after which it ends in any case.
    pub longest_hours: u32,
    /// Minutes a client's token lives.
    pub client_minutes: u32,
    /// Days without contact after which a workstation signs nobody in by what it holds.
    pub offline_days: u32,
    /// The second factor of local accounts.
    pub totp: TotpUse,
}

/// Who has a second factor (TOTP) for signing in with a password at the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TotpUse {
    /// Nobody enrols one. Who has one is still asked for it.
    Off,
    /// Who wants to.
    #[default]
    Offered,
    /// Who wants to; and whoever may do more at the console than look at their own is not let in without.
    RequiredForConsole,
}

/// `[feed]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Change-feed rows kept for workstations that were away; older ones get a snapshot.
    pub keep_rows: u64,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://…`, or "" for the embedded store. `--database-url` and `VITRINE_DATABASE_URL` go before it.
    pub url: String,
    /// Name of this server among those that share the database: its audit chain.
    pub node: String,
    /// Connections for charts, search and the feed.
    pub connections: usize,
    /// Connections that serve emergency cards alone.
    pub emergency_connections: usize,
    /// Seconds a write is tried again while no primary can be reached.
    pub patience_seconds: u64,
    /// `postgres://…` of a replica, or "": reads that may be old go there, and all of them while there is no primary.
    pub replica_url: String,
}

/// `[redo]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redo {
    /// Keep a redo log: a restore can then stop at any moment.
    pub keep: bool,
    /// Its folder; empty = `redo` in the data folder.
    pub folder: String,
    /// Hours between the backups it rests on.
    pub base_hours: u32,
    /// Check each of them as soon as it is made.
    pub verify: bool,
    /// Days back to which a restore must be possible.
    pub keep_days: u32,
}

/// `[archive]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// Move bodies by these rules, day by day; without it everything stays where it is.
    pub run: bool,
    /// Years after which a body is warm.
    pub hot_years: u32,
    /// Years after which it belongs in the archive.
    pub warm_years: u32,
    /// A record used within so many days stays where it is.
    pub access_days: u32,
    /// Folder of the warm packs; empty = `packs/warm` in the data folder.
    pub warm: String,
    /// Folder of the archive; empty = there is none.
    pub cold: String,
    /// Hours between two runs of the rules.
    pub every_hours: u32,
    /// Days for which the file of a pack stays whose bodies were put back.
    pub keep_days: u32,
    /// MiB per second that come back from the archive, until it was measured.
    pub recall_mb_s: u32,
    /// Seconds until the first byte comes back.
    pub recall_first_s: u32,
}

/// `[images]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// Folder of their files; empty = `images` in the data folder.
    pub folder: String,
    /// Processes that make their pixels ready to be streamed; 0 = another server does.
    pub workers: usize,
    /// The program of these processes; empty = `vitrine-codec` beside the server's.
    pub worker: String,
    /// MiB that stay free on the disk of images: below it no pixels are made ready; 0 = no reserve.
    pub reserve_mib: u64,
    /// Images decoded at once for frames and pictures; 0 = as many as there are processors.
    pub decodes: usize,
    /// Where further copies of the originals go.
    pub copies: Vec<CopyTarget>,
    /// Days within which every original and copy is read again; 0 = never.
    pub scrub_days: u32,
    /// MiB per second that reading again may take.
    pub scrub_mb_s: u32,
    /// Days without being read after which an original that two targets have may leave this machine; 0 = never.
    pub local_days: u32,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            folder: String::new(),
            workers: 1,
            worker: String::new(),
            reserve_mib: 2048,
            decodes: 0,
            copies: Vec::new(),
            scrub_days: 30,
            scrub_mb_s: 20,
            local_days: 0,
        }
    }
}

/// `[dimse]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dimse {
    /// Address at which modalities send images, or "off".
    pub address: String,
    /// The AE title they call.
    pub title: String,
    /// Who may send: `TITLE` or `TITLE@ADDRESS`.
    pub peers: Vec<String>,
    /// Who may search all studies by C-FIND, and send: `TITLE@ADDRESS`.
    pub query: Vec<String>,
    /// TLS, with the server's certificate.
    pub tls: bool,
    /// Associations at once.
    pub associations: usize,
}

impl Default for Dimse {
    fn default() -> Self {
        Self {
            address: "off".to_owned(),
            title: "VITRINE".to_owned(),
            peers: Vec::new(),
            query: Vec::new(),
            tls: false,
            associations: 32,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8443".to_owned(),
            metrics: "127.0.0.1:9464".to_owned(),
            agent: "off".to_owned(),
            drain_seconds: 0,
            public_url: String::new(),
            origins: Vec::new(),
        }
    }
}
impl Default for Tls {
    fn default() -> Self {
        Self {
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
            days: 397,
        }
    }
}
impl Default for Limits {
    fn default() -> Self {
        Self {
            body_mib: 64,
            connections: 12_000,
            handshakes: 64,
            requests: 256,
            request_seconds: 120,
            sign_ins: 2,
        }
    }
}
impl Default for Lanes {
    fn default() -> Self {
        Self {
            emergency: 16,
            clinical: 16,
            write: 64,
            bulk: 2,
            sign_in: 8,
            admin: 4,
            waiting: 128,
            wait_ms: 2000,
            shed_ms: 200,
            read_ms: 5000,
            search_ms: 5000,
            history_ms: 5000,
            feed_ms: 10_000,
            critical_wards: Vec::new(),
        }
    }
}
impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle_minutes: 15,
            longest_hours: 12,
            client_minutes: 60,
            offline_days: 14,
            totp: TotpUse::default(),
        }
    }
}
impl Default for Feed {
    fn default() -> Self {
        Self { keep_rows: 1_000_000 }
    }
}
impl Default for Database {
    fn default() -> Self {
        Self {
            url: String::new(),
            node: "server".to_owned(),
            connections: 8,
            emergency_connections: 2,
            patience_seconds: 25,
            replica_url: String::new(),
        }
    }
}
impl Default for Redo {
    fn default() -> Self {
        Self {
            keep: false,
            folder: String::new(),
            base_hours: 24,
            verify: true,
            keep_days: 7,
        }
    }
}
impl Default for Archive {
    fn default() -> Self {
        Self {
            run: false,
            hot_years: 2,
            warm_years: 7,
            access_days: 90,
            warm: String::new(),
            cold: String::new(),
            every_hours: 24,
            keep_days: 30,
            recall_mb_s: 50,
            recall_first_s: 60,
        }
    }
}
impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "text".to_owned(),
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Fault`] that names the file, the key and the fix.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Fault::usage(format!(
                "the configuration file {} cannot be read ({e}): name another with --config",
                path.display()
            ))
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text; `name` is for the message.
    ///
    /// # Errors
    /// [`Fault`] that names the file, the key and the fix.
    pub fn parse(text: &str, name: &str) -> Result<Self, Fault> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let line = e
                .span()
                .map_or(0, |s| 1 + text[..s.start.min(text.len())].matches('\n').count());
            let cause = e.message().replace('\n', " ");
            Fault::usage(format!(
                "{name}, line {line}: {cause}; every key is described in docs/CONFIG.md"
            ))
        })?;
        config.check(name)?;
        Ok(config)
    }

    fn check(&self, name: &str) -> Result<(), Fault> {
        let small = |ms: u64| usize::try_from(ms).unwrap_or(usize::MAX);
        let wrong = |key: &str, fix: &str| Err(Fault::usage(format!("{name}: {key} {fix}")));
        if self.listen.address.parse::<SocketAddr>().is_err() {
            return wrong(
                "listen.address",
                "must be an address with port, e.g. \"127.0.0.1:8443\"",
            );
        }
        if self.listen.metrics != "off" && self.listen.metrics.parse::<SocketAddr>().is_err() {
            return wrong("listen.metrics", "must be an address with port or \"off\"");
        }
        if self.listen.agent != "off" && self.listen.agent.parse::<SocketAddr>().is_err() {
            return wrong("listen.agent", "must be an address with port or \"off\"");
        }
        let public = &self.listen.public_url;
        if !public.is_empty()
            && public
                .parse::<axum::http::Uri>()
                .ok()
                .is_none_or(|u| u.scheme_str() != Some("https") || u.host().is_none() || u.query().is_some())
        {
            return wrong(
                "listen.public_url",
                "must begin with https:// and name a host, e.g. \"https://vitrine.hospital.example\"",
            );
        }
        if let Some((key, fix)) = self.mllp.fault() {
            return wrong(key, &fix);
        }
        if self.dimse.address != "off" && self.dimse.address.parse::<SocketAddr>().is_err() {
            return wrong("dimse.address", "must be an address with port or \"off\"");
        }
        if Peer::parse(&self.dimse.title).is_none() || self.dimse.title.contains('@') {
            return wrong("dimse.title", "must be an AE title of 1 to 16 characters");
        }
        if let Some(peer) = self.dimse.peers.iter().find(|p| Peer::parse(p).is_none()) {
            return wrong(
                "dimse.peers",
                &format!("holds {peer:?}: write an AE title of 1 to 16 characters, or TITLE@ADDRESS"),
            );
        }
        let asks = |p: &String| Peer::parse(p).is_some_and(|p| p.has_address());
        if let Some(peer) = self.dimse.query.iter().find(|p| !asks(p)) {
            return wrong(
                "dimse.query",
                &format!("holds {peer:?}: write TITLE@ADDRESS; a title alone would let anybody search"),
            );
        }
        for (key, value, low, high) in [
            ("images.workers", self.images.workers, 0, 64),
            ("images.decodes", self.images.decodes, 0, 1024),
            (
                "images.reserve_mib",
                usize::try_from(self.images.reserve_mib).unwrap_or(usize::MAX),
                0,
                1 << 30,
            ),
            ("images.scrub_days", self.images.scrub_days as usize, 0, 3660),
            ("images.scrub_mb_s", self.images.scrub_mb_s as usize, 1, 10_000),
            ("images.local_days", self.images.local_days as usize, 0, 36_600),
            ("dimse.associations", self.dimse.associations, 1, 1024),
            ("limits.body_mib", self.limits.body_mib, 1, 1024),
            ("limits.connections", self.limits.connections, 1, 1_000_000),
            ("limits.handshakes", self.limits.handshakes, 1, 4096),
            ("limits.requests", self.limits.requests, 1, 65_536),
            ("limits.sign_ins", self.limits.sign_ins, 1, 64),
            ("database.connections", self.database.connections, 2, 512),
            (
                "database.emergency_connections",
                self.database.emergency_connections,
                1,
                64,
            ),
            (
                "database.patience_seconds",
                usize::try_from(self.database.patience_seconds).unwrap_or(usize::MAX),
                1,
                120,
            ),
            (
                "limits.request_seconds",
                usize::try_from(self.limits.request_seconds).unwrap_or(0),
                1,
                3600,
            ),
            ("lanes.emergency", self.lanes.emergency, 1, 1024),
            ("lanes.clinical", self.lanes.clinical, 1, 1024),
            ("lanes.write", self.lanes.write, 1, 1024),
            ("lanes.bulk", self.lanes.bulk, 1, 1024),
            ("lanes.sign_in", self.lanes.sign_in, 1, 1024),
            ("lanes.admin", self.lanes.admin, 1, 1024),
            ("lanes.waiting", self.lanes.waiting, 0, 65_536),
            ("lanes.wait_ms", small(self.lanes.wait_ms), 1, 60_000),
            ("lanes.shed_ms", small(self.lanes.shed_ms), 20, 10_000),
            ("lanes.read_ms", small(self.lanes.read_ms), 100, 120_000),
            ("lanes.search_ms", small(self.lanes.search_ms), 100, 120_000),
            ("lanes.history_ms", small(self.lanes.history_ms), 100, 120_000),
            ("lanes.feed_ms", small(self.lanes.feed_ms), 100, 120_000),
            (
                "listen.drain_seconds",
                usize::try_from(self.listen.drain_seconds).unwrap_or(usize::MAX),
                0,
                3600,
            ),
            (
                "sessions.idle_minutes",
                self.sessions.idle_minutes as usize,
                1,
                24 * 60,
            ),
            (
                "sessions.longest_hours",
                self.sessions.longest_hours as usize,
                1,
                24,
            ),
            (
                "sessions.client_minutes",
                self.sessions.client_minutes as usize,
                1,
                24 * 60,
            ),
            (
                "sessions.offline_days",
                self.sessions.offline_days as usize,
                1,
                90,
            ),
            ("redo.base_hours", self.redo.base_hours as usize, 1, 24 * 31),
            ("redo.keep_days", self.redo.keep_days as usize, 1, 3660),
            ("archive.hot_years", self.archive.hot_years as usize, 1, 200),
            ("archive.warm_years", self.archive.warm_years as usize, 1, 200),
            ("archive.access_days", self.archive.access_days as usize, 1, 3660),
            (
                "archive.every_hours",
                self.archive.every_hours as usize,
                1,
                24 * 31,
            ),
            ("archive.keep_days", self.archive.keep_days as usize, 1, 3660),
            (
                "archive.recall_mb_s",
                self.archive.recall_mb_s as usize,
                1,
                100_000,
            ),
            (
                "archive.recall_first_s",
                self.archive.recall_first_s as usize,
                0,
                7 * 86_400,
            ),
            (
                "audit.anomalies.burst_minutes",
                self.audit.anomalies.burst_minutes as usize,
                1,
                24 * 60,
            ),
            (
                "audit.anomalies.odd_hour_percent",
                self.audit.anomalies.odd_hour_percent as usize,
                1,
                50,
            ),
            (
                "audit.anomalies.history_days",
                self.audit.anomalies.history_days as usize,
                0,
                3660,
            ),
            (
                "audit.anomalies.most_rows",
                self.audit.anomalies.most_rows,
                1000,
                100_000_000,
            ),
            ("tls.days", self.tls.days as usize, 31, 825),
            (
                "feed.keep_rows",
                usize::try_from(self.feed.keep_rows).unwrap_or(usize::MAX),
                1000,
                1_000_000_000,
            ),
        ] {
            if value < low || value > high {
                return wrong(key, &format!("must lie between {low} and {high}"));
            }
        }
        if let Some(w) = self
            .lanes
            .critical_wards
            .iter()
            .find(|w| vitrine_clinical::WardId::new(w.as_str()).is_err())
        {
            return wrong(
                "lanes.critical_wards",
                &format!("names '{w}', which is no ward's id"),
            );
        }
        if self.archive.warm_years < self.archive.hot_years {
            return wrong("archive.warm_years", "must not be less than archive.hot_years");
        }
        if !self.archive.cold.is_empty() && self.archive.cold == self.archive.warm {
            return wrong("archive.cold", "must be another folder than archive.warm");
        }
        if let Some(fault) = copies::fault(&self.images.copies) {
            return wrong("images.copies", &fault);
        }
        if self.images.local_days > 0 && self.images.copies.len() < 2 {
            return wrong("images.local_days", "needs two targets in images.copies");
        }
        if let Some((key, fault)) = self.notice.fault() {
            return wrong(key, &fault);
        }
        if let Some(fault) = audit::fault(&self.audit.witness) {
            return wrong("audit.witness", &fault);
        }
        if let Some((key, fault)) = self.audit.repository.fault() {
            return wrong(key, fault);
        }
        if let Some((key, fix)) = oidc::fault(&self.oidc) {
            return wrong(key, &fix);
        }
        let rules = Layouts {
            layouts: self.layout.clone(),
        };
        let faults = rules.faults(&|role| role.parse::<Role>().is_ok());
        if let Some(fault) = faults.first() {
            return Err(Fault::usage(format!("{name}: {fault}")));
        }
        if !["error", "warn", "info", "debug"].contains(&self.log.level.as_str()) {
            return wrong("log.level", "must be error, warn, info or debug");
        }
        if !["text", "json"].contains(&self.log.format.as_str()) {
            return wrong("log.format", "must be text or json");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
