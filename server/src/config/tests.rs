//! Tests of the configuration file: what is refused, what is taken, that every key is described.

use super::*;

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("", "c.toml").unwrap(), Config::default());
}

#[test]
fn a_wrong_key_is_named_with_its_file_and_line() {
    for (text, words) in [
        ("[listen]\nadress = \"x\"", "adress"),
        ("[limits]\nbody_mib = \"many\"", "c.toml, line 2"),
        (
            "[limits]\nbody_mib = 0",
            "limits.body_mib must lie between 1 and 1024",
        ),
        ("nonsense", "c.toml, line 1"),
        (
            "[listen]\naddress = \"here\"",
            "listen.address must be an address with port",
        ),
        ("[dimse]\nquery = [\"PACS\"]", "write TITLE@ADDRESS"),
        (
            "[listen]\npublic_url = \"http://plain.example\"",
            "listen.public_url must begin with https://",
        ),
        ("[log]\nlevel = \"loud\"", "log.level must be"),
        ("[sessions]\ntotp = \"required\"", "`required-for-console`"),
        (
            "[[layout]]\nname = \"ICU\"\nsummary = [\"banner\"]",
            "unknown variant `banner`",
        ),
        (
            "[[layout]]\nname = \"ICU\"\nhide = [\"vitals\"]",
            "c.toml, line 3",
        ),
        (
            "[[layout]]\nname = \"ICU\"\nroles = [\"nursse\"]",
            "layout 1 \"ICU\": roles: there is no role \"nursse\"",
        ),
        ("[store]\n", "store"),
    ] {
        let fault = Config::parse(text, "c.toml").unwrap_err();
        assert_eq!(fault.exit, crate::error::Exit::Usage);
        assert!(fault.text.contains(words), "{text:?} gave {:?}", fault.text);
    }
}

#[test]
fn every_key_is_described_in_the_document() {
    let doc = include_str!("../../../docs/CONFIG.md");
    for key in KEYS {
        assert!(doc.contains(&format!("`{key}`")), "docs/CONFIG.md lacks {key}");
    }
    let all: String = KEYS
        .iter()
        .map(|k| {
            let (table, key) = k.rsplit_once('.').unwrap();
            let value = if [
                "origins",
                "names",
                "critical_wards",
                "peers",
                "query",
                "copies",
                "witness",
                "ward",
                "feed",
                "acr",
                "amr",
            ]
            .contains(&key)
            {
                "[]"
            } else if let Some(value) = match *k {
                "notice.server" => Some("\"mail.example:465\""),
                "notice.tls" => Some("\"starttls\""),
                "notice.ca" | "notice.credentials" => Some("\"\""),
                "notice.from" => Some("\"v@example.org\""),
                "notice.to" => Some("[\"p@example.org\"]"),
                "notice.language" => Some("\"de\""),
                "mllp.tls" => Some("\"on\""),
                "mllp.client_ca" => Some("\"\""),
                "mllp.plain_network" => Some("true"),
                "sessions.totp" => Some("\"required-for-console\""),
                _ => None,
            } {
                value
            } else if *k == "redo.keep"
                || *k == "redo.verify"
                || *k == "archive.run"
                || *k == "dimse.tls"
                || *k == "oidc.require"
            {
                "true"
            } else if ["url", "node", "replica_url"].contains(&key) {
                "\"postgres://v@127.0.0.1/v\""
            } else if [
                "redo.folder",
                "archive.warm",
                "archive.cold",
                "images.folder",
                "images.worker",
            ]
            .contains(k)
            {
                if *k == "archive.cold" {
                    "\"/mnt/archive\""
                } else {
                    "\"/srv/redo\""
                }
            } else if key == "issuer" {
                "\"https://idp.example\""
            } else if ["client_id", "account_claim"].contains(&key) || *k == "oidc.name" {
                "\"vitrine\""
            } else if ["client_secret_file", "ca_file"].contains(&key) {
                "\"/etc/vitrine/file\""
            } else if ["address", "metrics", "agent"].contains(&key) {
                "\"127.0.0.1:1\""
            } else if table == "audit.repository" {
                match key {
                    "to" | "name" => "\"arr.example:6514\"",
                    _ => "\"/srv/arr.pem\"",
                }
            } else if key == "public_url" {
                "\"https://vitrine.example\""
            } else if key == "title" {
                "\"VITRINE\""
            } else if key == "level" {
                "\"info\""
            } else if key == "format" {
                "\"json\""
            } else if ["read_ms", "search_ms", "history_ms", "feed_ms"].contains(&key) {
                "1000"
            } else if *k == "images.local_days" {
                "0"
            } else if key == "keep_rows" {
                "5000"
            } else if ["longest_hours", "unlock_hours"].contains(&key) {
                "9"
            } else {
                "60"
            };
            format!("{table}.{key} = {value}\n")
        })
        .collect();
    Config::parse(&all, "all").unwrap();
}

const KEYS: [&str; 105] = [
    "listen.address",
    "listen.metrics",
    "listen.agent",
    "listen.drain_seconds",
    "listen.public_url",
    "listen.origins",
    "tls.names",
    "tls.days",
    "limits.body_mib",
    "limits.connections",
    "limits.handshakes",
    "limits.requests",
    "limits.request_seconds",
    "limits.sign_ins",
    "lanes.emergency",
    "lanes.clinical",
    "lanes.write",
    "lanes.bulk",
    "lanes.sign_in",
    "lanes.admin",
    "lanes.waiting",
    "lanes.wait_ms",
    "lanes.shed_ms",
    "lanes.read_ms",
    "lanes.search_ms",
    "lanes.history_ms",
    "lanes.feed_ms",
    "lanes.critical_wards",
    "sessions.idle_minutes",
    "sessions.longest_hours",
    "sessions.client_minutes",
    "sessions.offline_days",
    "sessions.totp",
    "feed.keep_rows",
    "redo.keep",
    "redo.folder",
    "redo.base_hours",
    "redo.verify",
    "redo.keep_days",
    "archive.run",
    "archive.hot_years",
    "archive.warm_years",
    "archive.access_days",
    "archive.warm",
    "archive.cold",
    "archive.every_hours",
    "archive.keep_days",
    "archive.recall_mb_s",
    "archive.recall_first_s",
    "images.folder",
    "images.workers",
    "images.worker",
    "images.reserve_mib",
    "images.decodes",
    "images.copies",
    "images.scrub_days",
    "images.scrub_mb_s",
    "images.local_days",
    "mllp.address",
    "mllp.tls",
    "mllp.client_ca",
    "mllp.plain_network",
    "mllp.connections",
    "mllp.message_mib",
    "mllp.keep_days",
    "mllp.feed",
    "dimse.address",
    "dimse.title",
    "dimse.peers",
    "dimse.query",
    "dimse.tls",
    "dimse.associations",
    "audit.witness",
    "notice.server",
    "notice.tls",
    "notice.ca",
    "notice.credentials",
    "notice.from",
    "notice.to",
    "notice.ward",
    "notice.language",
    "audit.repository.to",
    "audit.repository.ca",
    "audit.repository.name",
    "audit.repository.certificate",
    "audit.repository.key",
    "oidc.issuer",
    "oidc.client_id",
    "oidc.client_secret_file",
    "oidc.ca_file",
    "oidc.account_claim",
    "oidc.acr",
    "oidc.amr",
    "oidc.fresh_seconds",
    "oidc.name",
    "oidc.require",
    "oidc.unlock_hours",
    "log.level",
    "log.format",
    "database.url",
    "database.node",
    "database.connections",
    "database.emergency_connections",
    "database.patience_seconds",
    "database.replica_url",
];
