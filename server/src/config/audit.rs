//! `[audit]`: who outside this machine keeps the checkpoints of the audit log, and when accesses are unusual enough to be told.
//!
//! Lives here: its keys and the check of witnesses. Never here: reaching one (`ops::audit_tree::witness`).

use serde::Deserialize;
use std::path::Path;

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Who keeps copies of the checkpoints.
    pub witness: Vec<Witness>,
    /// Who gets every row.
    pub repository: Repository,
    /// Thresholds of `audit anomalies`.
    pub anomalies: Anomalies,
}

/// `[audit.repository]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repository {
    /// `host:port` of its syslog over TLS; empty = none.
    pub to: String,
    /// File with the certificates (PEM) that it is believed by.
    pub ca: String,
    /// Name in its certificate; empty = the host of `to`.
    pub name: String,
    /// File with our certificate for it (PEM); empty = none.
    pub certificate: String,
    /// File with that one's private key (PEM), mode 0600.
    pub key: String,
}

impl Repository {
    /// The first thing wrong: the key of the configuration, and what.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.to.is_empty() {
            return None;
        }
        let address = self.to.rsplit_once(':');
        if !address.is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok_and(|p| p > 0)) {
            return Some(("audit.repository.to", "must be host:port"));
        }
        if !Path::new(&self.ca).is_absolute() {
            return Some(("audit.repository.ca", "must be the absolute path of a PEM file"));
        }
        let both = [
            ("audit.repository.certificate", &self.certificate),
            ("audit.repository.key", &self.key),
        ];
        if self.certificate.is_empty() && self.key.is_empty() {
            return None;
        }
        both.into_iter()
            .find(|(_, path)| !Path::new(path).is_absolute())
            .map(|(key, _)| {
                (
                    key,
                    "must be the absolute path of a PEM file: give certificate and key, or neither",
                )
            })
    }
}

/// `[audit.anomalies]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anomalies {
    /// More patients than this opened by one person within `burst_minutes`; 0 = the rule is off.
    pub burst_patients: u32,
    /// The time for `burst_patients` and `refused_patients`, in minutes.
    pub burst_minutes: u32,
    /// More patients of other wards than this refused to one person within that time; 0 = the rule is off.
    pub refused_patients: u32,
    /// Earlier accesses of a person without which no hour of theirs is called odd; 0 = the rule is off.
    pub odd_hour_rows: u32,
    /// An hour is odd with less than this share of the earlier accesses within an hour of it, in percent.
    pub odd_hour_percent: u32,
    /// Days before the time asked for in which is looked what is usual.
    pub history_days: u32,
    /// Accesses looked at, at most; more are refused.
    pub most_rows: usize,
}

impl Default for Anomalies {
    fn default() -> Self {
        Self {
            burst_patients: 40,
            burst_minutes: 60,
            refused_patients: 3,
            odd_hour_rows: 100,
            odd_hour_percent: 1,
            history_days: 60,
            most_rows: 1_000_000,
        }
    }
}

/// One of `audit.witness`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Witness {
    /// What metrics and `doctor` call it.
    pub name: String,
    /// `file` or `syslog`.
    pub kind: String,
    /// Where: the absolute path of a file, or `udp://host:port` or `unix:///path` of a collector.
    pub to: String,
}

/// The longest name of a witness.
const NAME_MOST: usize = 32;

/// The first thing wrong with the list.
pub(super) fn fault(all: &[Witness]) -> Option<String> {
    for (i, w) in all.iter().enumerate() {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if w.name.is_empty() || w.name.len() > NAME_MOST || !w.name.chars().all(fits) {
            return Some(format!(
                "holds the name {:?}: write 1 to {NAME_MOST} of a-z, 0-9 and -",
                w.name
            ));
        }
        if all[..i].iter().any(|other| other.name == w.name) {
            return Some(format!("has two of the name {:?}", w.name));
        }
        let fits = match w.kind.as_str() {
            "file" => Path::new(&w.to).is_absolute(),
            "syslog" => {
                w.to.strip_prefix("udp://").is_some_and(|a| {
                    a.rsplit_once(':')
                        .is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok())
                }) || w
                    .to
                    .strip_prefix("unix://")
                    .is_some_and(|p| Path::new(p).is_absolute())
            }
            _ => return Some(format!("{}: kind must be \"file\" or \"syslog\"", w.name)),
        };
        if !fits {
            return Some(format!(
                "{}: to must be the absolute path of a file, or udp://host:port or unix:///path for syslog",
                w.name
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_repository_is_there_whole_or_not_at_all() {
        let of =
            |text: &str| Config::parse(&format!("[audit.repository]\n{text}"), "c.toml").map_err(|f| f.text);
        let good = "to = \"arr:6514\"\nca = \"/ca.pem\"\n";
        assert_eq!(of(good).unwrap().audit.repository.to, "arr:6514");
        for (more, key) in [
            ("to = \"arr\"\nca = \"/ca.pem\"", "repository.to"),
            ("to = \"arr:0\"\nca = \"/ca.pem\"", "repository.to"),
            ("to = \"arr:6514\"\nca = \"ca.pem\"", "repository.ca"),
            ("to = \"arr:6514\"", "repository.ca"),
            (
                "to = \"arr:6514\"\nca = \"/c\"\ncertificate = \"/c\"",
                "repository.key",
            ),
            (
                "to = \"arr:6514\"\nca = \"/c\"\nkey = \"/c\"",
                "repository.certificate",
            ),
        ] {
            assert!(of(more).unwrap_err().contains(key), "{more}");
        }
    }

    #[test]
    fn a_wrong_witness_is_named() {
        let of = |text: &str| Config::parse(text, "c.toml").map_err(|f| f.text);
        let good = "[[audit.witness]]\nname = \"hub\"\nkind = \"file\"\nto = \"/mnt/hub/vitrine\"\n\
            [[audit.witness]]\nname = \"log\"\nkind = \"syslog\"\nto = \"udp://10.0.0.9:514\"\n\
            [[audit.witness]]\nname = \"local\"\nkind = \"syslog\"\nto = \"unix:///dev/log\"\n";
        assert_eq!(of(good).unwrap().audit.witness.len(), 3);
        for (name, kind, to, words) in [
            ("Hub", "file", "/a", "holds the name \"Hub\""),
            ("hub", "tape", "/a", "kind must be"),
            ("hub", "file", "a/b", "absolute path"),
            ("hub", "syslog", "/dev/log", "udp://host:port"),
            ("hub", "syslog", "udp://x", "udp://host:port"),
        ] {
            let text = format!("[[audit.witness]]\nname = {name:?}\nkind = {kind:?}\nto = {to:?}\n");
            let fault = of(&text).unwrap_err();
            assert!(
                fault.contains("audit.witness") && fault.contains(words),
                "{fault}"
            );
        }
        let twice = "[[audit.witness]]\nname = \"a\"\nkind = \"file\"\nto = \"/a\"\n".repeat(2);
        assert!(of(&twice).unwrap_err().contains("two of the name"));
    }
}
