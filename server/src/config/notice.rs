//! `[notice]`: who is told of broken glass by mail, and through which mail server.
//!
//! Lives here: its keys and their check. Never here: what a mail says (`ops::notice`), when it is sent (`jobs::notices`).

use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;
use vitrine_clinical::WardId;

/// `[notice]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notice {
    /// `host:port` of the mail server; empty = nobody is told by mail.
    pub server: String,
    /// `implicit` (SMTPS) or `starttls`; there is no plain.
    pub tls: String,
    /// PEM file of the authority that signed its certificate; empty = the system's.
    pub ca: String,
    /// File with the user on its first line and the password on its second; empty = none is needed.
    pub credentials: String,
    /// Sender.
    pub from: String,
    /// Who is told of every broken glass and of every escalation: the privacy officers.
    pub to: Vec<String>,
    /// Who is told beside them when the patient lies in a ward.
    pub ward: Vec<WardNotice>,
    /// `en` or `de`.
    pub language: String,
}

/// One of `notice.ward`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WardNotice {
    /// Its ward.
    pub ward: String,
    /// Whoever is responsible for its patients: the attending on duty.
    pub to: Vec<String>,
}

impl Default for Notice {
    fn default() -> Self {
        Self {
            server: String::new(),
            tls: "implicit".to_owned(),
            ca: String::new(),
            credentials: String::new(),
            from: String::new(),
            to: Vec::new(),
            ward: Vec::new(),
            language: "en".to_owned(),
        }
    }
}

impl Notice {
    /// Whether anybody is told.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.server.is_empty()
    }

    /// Host and port of the mail server.
    #[must_use]
    pub fn host_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.server.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    }

    /// Who is told of broken glass of a patient of this ward, each once, in the order of the file.
    #[must_use]
    pub fn recipients(&self, ward: Option<&WardId>) -> Vec<&str> {
        let of_ward = self
            .ward
            .iter()
            .filter(|w| ward.is_some_and(|ward| ward.as_str() == w.ward))
            .flat_map(|w| &w.to);
        let mut out: Vec<&str> = Vec::new();
        for address in self.to.iter().chain(of_ward) {
            if !out.contains(&address.as_str()) {
                out.push(address);
            }
        }
        out
    }

    /// The first key that is wrong, and how to mend it.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if !self.is_on() {
            return (!self.to.is_empty() || !self.ward.is_empty()).then(|| {
                (
                    "notice.server",
                    "is empty, so that nobody would be told: name the mail server, host:port".to_owned(),
                )
            });
        }
        if self.host_port().is_none() {
            return Some((
                "notice.server",
                "must be host:port, e.g. \"mail.hospital.example:465\"".to_owned(),
            ));
        }
        if !matches!(self.tls.as_str(), "implicit" | "starttls") {
            return Some(("notice.tls", "must be \"implicit\" or \"starttls\"".to_owned()));
        }
        if !matches!(self.language.as_str(), "en" | "de") {
            return Some(("notice.language", "must be \"en\" or \"de\"".to_owned()));
        }
        if self.from.parse::<Mailbox>().is_err() {
            return Some((
                "notice.from",
                format!(
                    "is {:?}: write an address, e.g. \"Vitrine <vitrine@hospital.example>\"",
                    self.from
                ),
            ));
        }
        if self.to.is_empty() {
            return Some((
                "notice.to",
                "is empty: name at least one privacy officer's address".to_owned(),
            ));
        }
        for (key, all) in
            std::iter::once(("notice.to", &self.to)).chain(self.ward.iter().map(|w| ("notice.ward", &w.to)))
        {
            if let Some(bad) = all.iter().find(|a| a.parse::<Address>().is_err()) {
                return Some((key, format!("holds {bad:?}, which is no address")));
            }
        }
        for (i, w) in self.ward.iter().enumerate() {
            if WardId::new(w.ward.clone()).is_err() || w.to.is_empty() {
                return Some((
                    "notice.ward",
                    format!("{:?} must name a ward and at least one address", w.ward),
                ));
            }
            if self.ward[..i].iter().any(|other| other.ward == w.ward) {
                return Some(("notice.ward", format!("has the ward {:?} twice", w.ward)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use vitrine_clinical::WardId;

    const GOOD: &str = "[notice]\nserver = \"mail.hospital.example:465\"\nfrom = \"Vitrine <vitrine@hospital.example>\"\n\
        to = [\"privacy@hospital.example\"]\n[[notice.ward]]\nward = \"ED\"\n\
        to = [\"ed@hospital.example\", \"privacy@hospital.example\"]\n";

    #[test]
    fn a_ward_s_own_are_told_beside_the_privacy_officers_each_once() {
        let notice = Config::parse(GOOD, "c.toml").unwrap().notice;
        let ward = |name: &str| WardId::new(name.to_owned()).unwrap();
        assert_eq!(
            notice.recipients(Some(&ward("ED"))),
            ["privacy@hospital.example", "ed@hospital.example"]
        );
        assert_eq!(
            notice.recipients(Some(&ward("ICU"))),
            ["privacy@hospital.example"]
        );
        assert_eq!(notice.recipients(None), ["privacy@hospital.example"]);
        assert_eq!(notice.host_port(), Some(("mail.hospital.example", 465)));
        assert!(!Config::parse("", "c.toml").unwrap().notice.is_on());
    }

    #[test]
    fn a_wrong_key_is_named() {
        for (was, is, words) in [
            ("mail.hospital.example:465", "", "nobody would be told"),
            (
                "mail.hospital.example:465",
                "mail.hospital.example",
                "notice.server must be host:port",
            ),
            ("from = ", "tls = \"none\"\nfrom = ", "notice.tls must be"),
            ("from = ", "language = \"fr\"\nfrom = ", "notice.language must be"),
            (
                "Vitrine <vitrine@hospital.example>",
                "vitrine",
                "notice.from is \"vitrine\"",
            ),
            (
                "to = [\"privacy@hospital.example\"]",
                "to = []",
                "notice.to is empty",
            ),
            (
                "\"privacy@hospital.example\"]\n[[",
                "\"privacy\"]\n[[",
                "notice.to holds \"privacy\"",
            ),
            ("\"ed@hospital.example\"", "\"ed\"", "notice.ward holds \"ed\""),
            ("ward = \"ED\"", "ward = \"\"", "must name a ward"),
        ] {
            assert!(GOOD.contains(was), "{was}");
            let fault = Config::parse(&GOOD.replacen(was, is, 1), "c.toml")
                .unwrap_err()
                .text;
            assert!(fault.contains(words), "{fault}");
        }
        let twice = format!("{GOOD}[[notice.ward]]\nward = \"ED\"\nto = [\"a@b.example\"]\n");
        assert!(
            Config::parse(&twice, "c.toml")
                .unwrap_err()
                .text
                .contains("twice")
        );
    }
}
