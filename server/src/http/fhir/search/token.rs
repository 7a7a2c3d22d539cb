//! Where a page ends: stable while resources come, change and go.
//!
//! A page goes on after a place, not after a number of rows: what comes meanwhile neither hides nor repeats what was there.

use std::cmp::Ordering;
use vitrine_fhir::search::SortKey;

/// Where a resource is in the order of the store: whose (by the order of the records asked for), then the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the records.
    pub(super) of: usize,
    /// Number of creation.
    pub(super) number: u64,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.of, std::cmp::Reverse(self.number)).cmp(&(other.of, std::cmp::Reverse(other.number)))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The end of a page: `of.number`, and the key of its order behind a dot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) place: Place,
    sort: Option<SortKey>,
}

impl Token {
    /// After a resource.
    pub(super) fn after(sort: Option<&SortKey>, place: Place) -> Self {
        Self {
            place,
            sort: sort.cloned(),
        }
    }

    /// Whether a resource comes behind it.
    pub(super) fn is_before(&self, sort: Option<&SortKey>, place: Place) -> bool {
        (&self.sort.as_ref(), self.place) < (&sort, place)
    }

    /// Reads one; `None` when it is not ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let of = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let sort = match parts.next() {
            None => None,
            Some(key) => Some(SortKey::parse(key)?),
        };
        Some(Self {
            place: Place { of, number },
            sort,
        })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.place.of, self.place.number)?;
        match &self.sort {
            None => Ok(()),
            Some(key) => write!(f, ".{}", key.to_text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_its_last_resource() {
        let token = Token::parse("1.50").unwrap();
        assert_eq!(token.to_string(), "1.50");
        for (of, number, behind) in [
            (0, 90, false),
            (1, 50, false),
            (1, 51, false),
            (1, 49, true),
            (2, 99, true),
        ] {
            assert_eq!(
                token.is_before(None, Place { of, number }),
                behind,
                "{of} {number}"
            );
        }
        for text in ["", "1", "x.1", "1.x", "-1.2", "1.2.\u{1}"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
