//! `[mllp]` and `[[mllp.feed]]`: where HL7 v2 comes in, from whom, and how it is read.
//!
//! Lives here: the keys and their check. Never here: listening (`ingest::mllp`), meaning (`vitrine_hl7v2`).

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use vitrine_hl7v2::charset::Charset;

/// `[mllp]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mllp {
    /// Address of the listener, or "off".
    pub address: String,
    /// `on`: TLS with the server's certificate; `mutual`: and who sends shows one of `client_ca`; `off`: in the clear.
    pub tls: String,
    /// PEM file of the authority that signed the senders' certificates, for `mutual`.
    pub client_ca: String,
    /// `tls = "off"` beyond this machine.
    pub plain_network: bool,
    /// Connections at once.
    pub connections: usize,
    /// Largest message in MiB.
    pub message_mib: usize,
    /// Days for which the bytes of messages that were applied are kept.
    pub keep_days: u64,
    /// The feeds, `[[mllp.feed]]`; a message belongs to the first that fits.
    pub feed: Vec<FeedRules>,
}

impl Default for Mllp {
    fn default() -> Self {
        Self {
            address: "off".to_owned(),
            tls: "on".to_owned(),
            client_ca: String::new(),
            plain_network: false,
            connections: 64,
            message_mib: 16,
            keep_days: 90,
            feed: Vec::new(),
        }
    }
}

/// Who may become a patient by a feed's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPatients {
    /// Those of ADT messages.
    #[default]
    Adt,
    /// Those of every message.
    All,
    /// Nobody: a message about somebody unknown is held.
    None,
}

/// `[[mllp.feed]]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedRules {
    /// What commands, audit log and record call it: the same for ever.
    pub name: String,
    /// Addresses it comes from.
    pub from: Vec<String>,
    /// What MSH-3 and MSH-4 say, `APPLICATION^FACILITY`, either of them `*`; empty = whatever they say.
    pub sender: Vec<String>,
    /// SHA-256 of the certificate it shows, 64 hexadecimal digits; empty = whichever `client_ca` signed.
    pub certificate: String,
    /// What it may send: `ADT`, `ORU^R01`; empty = everything that is taken.
    pub messages: Vec<String>,
    /// Processing ids (MSH-11) that are taken; empty = `P` alone.
    pub processing: Vec<String>,
    /// Time zone of its clocks, e.g. `Europe/London`; empty = UTC.
    pub zone: String,
    /// Character set of messages that declare none; empty = UTF-8.
    pub charset: String,
    /// Who may become a patient by it.
    pub new_patients: NewPatients,
    /// Messages a second at most; 0 = as many as come.
    pub rate: u32,
    /// URIs of who gives identifiers, by the name that the sender uses.
    pub systems: BTreeMap<String, String>,
    /// URIs of code systems, by the name that the sender uses.
    pub codes: BTreeMap<String, String>,
    /// Our wards, by the sender's point of care.
    pub wards: BTreeMap<String, String>,
}

/// The longest name of a feed.
const NAME_MOST: usize = 32;

impl FeedRules {
    /// The addresses; those that are none are found by [`Mllp::fault`].
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.from.iter().filter_map(|a| a.parse().ok())
    }
    /// Whether it may be the sender of a message.
    #[must_use]
    pub fn is_sender(&self, application: &str, facility: &str) -> bool {
        let fits = |rule: &str, is: &str| rule == "*" || rule == is;
        self.sender.is_empty()
            || self.sender.iter().any(|s| {
                let (a, f) = s.split_once('^').unwrap_or((s, "*"));
                // The name alone: an OID behind it is the same application.
                fits(a, application.split('^').next().unwrap_or_default())
                    && fits(f, facility.split('^').next().unwrap_or_default())
            })
    }
    /// Whether it may send messages of this type.
    #[must_use]
    pub fn may_send(&self, kind: &str, event: &str) -> bool {
        self.messages.is_empty()
            || self.messages.iter().any(|m| match m.split_once('^') {
                Some((k, e)) => k == kind && e == event,
                None => m == kind,
            })
    }
    /// Whether a processing id is taken.
    #[must_use]
    pub fn takes_processing(&self, id: &str) -> bool {
        if self.processing.is_empty() {
            return id == "P";
        }
        self.processing.iter().any(|p| p == id)
    }
    /// The character set of messages that declare none.
    #[must_use]
    pub fn default_charset(&self) -> Charset {
        Charset::named(&self.charset).unwrap_or(Charset::UTF_8)
    }

    fn fault(&self) -> Option<String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_MOST || !name.chars().all(fits) {
            return Some(format!(
                "names a feed {name:?}: 1 to {NAME_MOST} of a-z, 0-9 and -"
            ));
        }
        if self.from.is_empty() {
            return Some(format!(
                "{name:?} has no from: name the addresses that it comes from, e.g. from = [\"10.0.0.5\"]"
            ));
        }
        if let Some(wrong) = self.from.iter().find(|a| a.parse::<IpAddr>().is_err()) {
            return Some(format!("{name:?}: from holds {wrong:?}, which is no IP address"));
        }
        if !self.certificate.is_empty()
            && (self.certificate.len() != 64 || !self.certificate.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Some(format!(
                "{name:?}: certificate is not the SHA-256 of a certificate in 64 hexadecimal digits"
            ));
        }
        if !self.zone.is_empty() && jiff::tz::TimeZone::get(&self.zone).is_err() {
            return Some(format!(
                "{name:?}: the time zone {:?} is not known: write it as in \"Europe/London\"",
                self.zone
            ));
        }
        if !self.charset.is_empty() && Charset::named(&self.charset).is_none() {
            return Some(format!(
                "{name:?}: the character set {:?} is not read",
                self.charset
            ));
        }
        let uri = |u: &&String| !u.contains(':') || u.contains(char::is_whitespace);
        if let Some(wrong) = self.systems.values().chain(self.codes.values()).find(uri) {
            return Some(format!("{name:?}: {wrong:?} is no URI"));
        }
        None
    }
}

impl Mllp {
    /// What is wrong with it: the key, and what to mend.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let address = match self.address.as_str() {
            "off" => None,
            text => match text.parse::<SocketAddr>() {
                Ok(address) => Some(address),
                Err(_) => {
                    return Some((
                        "mllp.address",
                        "must be an address with port or \"off\"".to_owned(),
                    ));
                }
            },
        };
        if !["on", "mutual", "off"].contains(&self.tls.as_str()) {
            return Some(("mllp.tls", "must be \"on\", \"mutual\" or \"off\"".to_owned()));
        }
        let beyond = address.is_some_and(|a| !a.ip().is_loopback());
        if self.tls == "off" && beyond && !self.plain_network {
            return Some((
                "mllp.tls",
                "is \"off\" for an address beyond this machine, and names would travel in the clear: use TLS, or say mllp.plain_network = true for a network of its own".to_owned(),
            ));
        }
        if self.tls == "mutual" && self.client_ca.is_empty() {
            return Some((
                "mllp.client_ca",
                "is missing: mllp.tls = \"mutual\" needs the authority of the senders' certificates"
                    .to_owned(),
            ));
        }
        for (key, value, low, high) in [
            ("mllp.connections", self.connections, 1, 1024),
            ("mllp.message_mib", self.message_mib, 1, 64),
        ] {
            if !(low..=high).contains(&value) {
                return Some((key, format!("must be {low} to {high}")));
            }
        }
        if !(1..=3650).contains(&self.keep_days) {
            return Some(("mllp.keep_days", "must be 1 to 3650".to_owned()));
        }
        for (n, feed) in self.feed.iter().enumerate() {
            if let Some(fault) = feed.fault() {
                return Some(("mllp.feed", fault));
            }
            if !feed.certificate.is_empty() && self.tls != "mutual" {
                return Some((
                    "mllp.feed",
                    format!(
                        "{:?} names a certificate, which only mllp.tls = \"mutual\" asks for",
                        feed.name
                    ),
                ));
            }
            if self.feed.iter().take(n).any(|f| f.name == feed.name) {
                return Some(("mllp.feed", format!("names {:?} twice", feed.name)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Mllp {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let lab = "[[feed]]\nname = \"lab\"\nfrom = [\"10.0.0.5\"]\n";
        let cases = [
            ("", ""),
            ("address = \"127.0.0.1:2575\"\ntls = \"off\"", ""),
            (
                "address = \"0.0.0.0:2575\"\ntls = \"off\"",
                "names would travel in the clear",
            ),
            (
                "address = \"0.0.0.0:2575\"\ntls = \"off\"\nplain_network = true",
                "",
            ),
            ("address = \"2575\"", "address with port"),
            ("tls = \"yes\"", "must be \"on\""),
            ("tls = \"mutual\"", "is missing"),
            ("message_mib = 0", "must be 1 to 64"),
            (lab, ""),
            (&format!("{lab}{lab}"), "twice"),
            (&format!("{lab}certificate = \"00\""), "64 hexadecimal"),
            (&format!("{lab}zone = \"Nowhere/Town\""), "not known"),
            (&format!("{lab}charset = \"EBCDIC\""), "not read"),
            (&format!("{lab}systems = {{ MRN = \"mrn\" }}"), "no URI"),
            ("[[feed]]\nname = \"lab\"", "has no from"),
            (
                "[[feed]]\nname = \"Lab 1\"\nfrom = [\"10.0.0.5\"]",
                "names a feed",
            ),
            (
                "[[feed]]\nname = \"lab\"\nfrom = [\"lab.example\"]",
                "no IP address",
            ),
        ];
        for (text, says) in cases {
            let fault = read(text).fault().map(|f| f.1).unwrap_or_default();
            assert!(
                fault.contains(says) && fault.is_empty() == says.is_empty(),
                "{text}: {fault}"
            );
        }
    }

    #[test]
    fn a_message_belongs_to_who_may_send_it() {
        let feed = read("[[feed]]\nname = \"lab\"\nfrom = [\"10.0.0.5\"]\nsender = [\"LAB^NORTH\", \"*^SOUTH\"]\nmessages = [\"ADT\", \"ORU^R01\"]")
            .feed
            .remove(0);
        assert!(feed.is_sender("LAB^1.2.3^ISO", "NORTH") && feed.is_sender("X", "SOUTH^1.2^ISO"));
        assert!(!feed.is_sender("X", "NORTH"));
        assert!(feed.may_send("ADT", "A08") && feed.may_send("ORU", "R01") && !feed.may_send("ORU", "R30"));
        assert!(feed.takes_processing("P") && !feed.takes_processing("T") && !feed.takes_processing(""));
    }
}
