//! `[oidc]`: the hospital's identity provider.
//!
//! Lives here: its keys and what can be checked of them without asking anybody. Never here: the provider
//! (`identity::oidc`), secrets (they are files).

use reqwest::Url;
use serde::Deserialize;
use std::path::Path;

/// `[oidc]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oidc {
    /// The issuer's identifier, exactly as in its tokens, `https://…`; empty = nobody signs in by a provider.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// File with the client's secret; empty = a public client (PKCE protects the code either way).
    pub client_secret_file: String,
    /// PEM file of the authorities that the provider's certificate may come from; empty = the system's.
    pub ca_file: String,
    /// Claim of the ID token that is the account's sign-in name.
    pub account_claim: String,
    /// Authentication classes (`acr`) of which a token must name one; empty = any.
    pub acr: Vec<String>,
    /// Authentication methods (`amr`) of which a token must name one; empty = any.
    pub amr: Vec<String>,
    /// Seconds within which the person must have proven themselves at the provider; 0 = an older sign-in there counts.
    pub fresh_seconds: u32,
    /// As people call it, on the button of the lock screen; empty = its host.
    pub name: String,
    /// It is the way in at workstations: while it answers, password and PIN only unlock what it opened.
    pub require: bool,
    /// For how many hours after a sign-in by it a person may unlock with badge and PIN, or PIN, where `require` is set.
    pub unlock_hours: u32,
}

impl Oidc {
    /// As people call the provider.
    #[must_use]
    pub fn shown(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let url = Url::parse(&self.issuer).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or_default().to_owned()
    }
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: String::new(),
            ca_file: String::new(),
            account_claim: "preferred_username".to_owned(),
            acr: Vec::new(),
            amr: Vec::new(),
            fresh_seconds: 300,
            name: String::new(),
            require: false,
            unlock_hours: 12,
        }
    }
}

/// Whether an address may be spoken to: https, or plain http to this machine alone, by its loopback address.
pub(crate) fn may_be_asked(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    plain && url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && here)
}

/// The first thing wrong: the key, and what to do about it.
pub(super) fn fault(o: &Oidc) -> Option<(&'static str, String)> {
    let some = |key, text: &str| Some((key, text.to_owned()));
    if o.issuer.is_empty() {
        let set = [&o.client_id, &o.client_secret_file, &o.ca_file];
        return (o.require || set.iter().any(|v| !v.is_empty())).then(|| {
            (
                "oidc.issuer",
                "must be set when another key of [oidc] is".to_owned(),
            )
        });
    }
    let url = Url::parse(&o.issuer).ok().filter(may_be_asked);
    if url.is_none_or(|u| u.query().is_some()) {
        return some(
            "oidc.issuer",
            "must be the issuer's https:// address without query, e.g. \"https://idp.hospital.example/realms/staff\"",
        );
    }
    if o.client_id.is_empty() || o.client_id.len() > 256 {
        return some("oidc.client_id", "must be what the provider calls this server");
    }
    for (key, file) in [
        ("oidc.client_secret_file", &o.client_secret_file),
        ("oidc.ca_file", &o.ca_file),
    ] {
        if !file.is_empty() && !Path::new(file).is_absolute() {
            return some(key, "must be the absolute path of a file");
        }
    }
    if o.account_claim.is_empty() || o.account_claim.len() > 64 {
        return some(
            "oidc.account_claim",
            "must name a claim, e.g. \"preferred_username\"",
        );
    }
    for (key, all) in [("oidc.acr", &o.acr), ("oidc.amr", &o.amr)] {
        let fits = |v: &String| !v.is_empty() && !v.contains(char::is_whitespace);
        if !all.iter().all(fits) {
            return some(key, "must hold values without blanks");
        }
    }
    if o.fresh_seconds > 86_400 {
        return some("oidc.fresh_seconds", "must lie between 0 and 86400");
    }
    if o.name.chars().count() > 40 || o.name.chars().any(char::is_control) {
        return some(
            "oidc.name",
            "must be at most 40 characters, as people call the provider",
        );
    }
    if !(1..=24).contains(&o.unlock_hours) {
        return some("oidc.unlock_hours", "must lie between 1 and 24");
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_wrong_is_named() {
        let of = |text: &str| Config::parse(&format!("[oidc]\n{text}"), "c.toml").map_err(|f| f.text);
        let good = "issuer = \"https://idp.example\"\nclient_id = \"vitrine\"\n";
        assert_eq!(of(good).unwrap().oidc.account_claim, "preferred_username");
        assert_eq!(of(good).unwrap().oidc.shown(), "idp.example");
        let named = of(&format!("{good}name = \"Hospital ID\"")).unwrap();
        assert_eq!(named.oidc.shown(), "Hospital ID");
        assert!(
            of("issuer = \"http://127.0.0.1:9\"\nclient_id = \"v\"").is_ok(),
            "this machine"
        );
        for (text, words) in [
            ("client_id = \"v\"", "oidc.issuer must be set"),
            (
                "issuer = \"http://idp.example\"\nclient_id = \"v\"",
                "oidc.issuer must be the",
            ),
            (
                "issuer = \"http://localhost\"\nclient_id = \"v\"",
                "oidc.issuer must be the",
            ),
            (
                "issuer = \"http://127.0.0.1.evil.example\"\nclient_id = \"v\"",
                "oidc.issuer must be",
            ),
            (
                "issuer = \"https://u:p@idp.example\"\nclient_id = \"v\"",
                "oidc.issuer must be",
            ),
            (
                "issuer = \"https://idp.example/?a=b\"\nclient_id = \"v\"",
                "oidc.issuer must be",
            ),
            (
                "issuer = \"https://idp.example/#a\"\nclient_id = \"v\"",
                "oidc.issuer must be",
            ),
            (
                "issuer = \"idp.example\"\nclient_id = \"v\"",
                "oidc.issuer must be",
            ),
            ("issuer = \"https://idp.example\"", "oidc.client_id must be"),
            (
                &format!("{good}ca_file = \"ca.pem\""),
                "oidc.ca_file must be the absolute",
            ),
            (&format!("{good}amr = [\"\"]"), "oidc.amr must hold"),
            (&format!("{good}acr = [\"a b\"]"), "oidc.acr must hold"),
            (
                &format!("{good}account_claim = \"\""),
                "oidc.account_claim must name",
            ),
            ("require = true", "oidc.issuer must be set"),
            (&format!("{good}unlock_hours = 0"), "oidc.unlock_hours must lie"),
            (&format!("{good}unlock_hours = 25"), "oidc.unlock_hours must lie"),
            (
                &format!("{good}name = \"{}\"", "n".repeat(41)),
                "oidc.name must be",
            ),
            (
                &format!("{good}fresh_seconds = 90000"),
                "oidc.fresh_seconds must lie",
            ),
        ] {
            let fault = of(text).unwrap_err();
            assert!(fault.contains(words), "{text:?} gave {fault:?}");
        }
    }
}
