//! Who may call over DIMSE.
//!
//! Lives here: AE titles with their addresses, the decision about one connection. Never here: associations. Called by
//! `dimse`, and by `config` for its check.

use dicom_ul::association::server::AccessControl;
use dicom_ul::pdu::{AssociationRJServiceUserReason as Reason, UserIdentity};
use std::net::IpAddr;

/// Whoever may call: an AE title, and its address where that is given too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    title: String,
    address: Option<IpAddr>,
}

impl Peer {
    /// Reads `TITLE` or `TITLE@ADDRESS`. AE titles have 1 to 16 characters, without control characters and backslash
    /// (PS3.5 §6.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (title, address) = match text.split_once('@') {
            Some((title, address)) => (title, Some(address.trim().parse().ok()?)),
            None => (text, None),
        };
        let title = title.trim();
        let is = !title.is_empty()
            && title.len() <= 16
            && title.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'\\');
        is.then(|| Self {
            title: title.to_owned(),
            address,
        })
    }

    /// Whether it has an address: a title alone proves nothing.
    #[must_use]
    pub const fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// Whether it has another address than this one.
    pub(super) fn is_elsewhere(&self, from: IpAddr) -> bool {
        self.address.is_some_and(|a| a != from)
    }

    /// Whether it calls itself so from there.
    pub(super) fn is(&self, title: &str, from: IpAddr) -> bool {
        self.title == title && self.address.is_none_or(|a| a == from)
    }
}

/// The decision about one connection.
pub(super) struct Allowed<'a> {
    /// The AE title that is to be called.
    pub title: &'a str,
    /// Who may call.
    pub peers: &'a [Peer],
    /// Where the connection comes from.
    pub from: IpAddr,
}

impl AccessControl for Allowed<'_> {
    fn check_access(
        &self,
        _: &str,
        calling: &str,
        called: &str,
        _: Option<&UserIdentity>,
    ) -> Result<(), Reason> {
        if called.trim() != self.title {
            return Err(Reason::CalledAETitleNotRecognized);
        }
        if self.peers.iter().any(|p| p.is(calling.trim(), self.from)) {
            Ok(())
        } else {
            Err(Reason::CallingAETitleNotRecognized)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_or_refused() {
        let read = |t: &str| Peer::parse(t).map(|p| (p.title, p.address.map(|a| a.to_string())));
        assert_eq!(read("CT1"), Some(("CT1".into(), None)));
        assert_eq!(
            read(" CT 1 @10.0.0.5"),
            Some(("CT 1".into(), Some("10.0.0.5".into())))
        );
        for wrong in [
            "",
            "@10.0.0.5",
            "CT1@somewhere",
            "A TITLE THAT IS TOO LONG",
            "A\\B",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_is_not_known_is_not_let_in() {
        let peers = [Peer::parse("CT1@10.0.0.5").unwrap(), Peer::parse("MR1").unwrap()];
        let from = |ip: &str| Allowed {
            title: "VITRINE",
            peers: &peers,
            from: ip.parse().unwrap(),
        };
        let ask = |ip: &str, calling: &str, called: &str| from(ip).check_access("", calling, called, None);
        assert!(ask("10.0.0.5", "CT1 ", "VITRINE").is_ok());
        assert!(ask("10.0.0.6", "MR1", "VITRINE ").is_ok());
        assert_eq!(
            ask("10.0.0.6", "CT1", "VITRINE"),
            Err(Reason::CallingAETitleNotRecognized)
        );
        assert_eq!(
            ask("10.0.0.5", "XX", "VITRINE"),
            Err(Reason::CallingAETitleNotRecognized)
        );
        assert_eq!(
            ask("10.0.0.5", "CT1", "OTHER"),
            Err(Reason::CalledAETitleNotRecognized)
        );
    }
}
