//! Where a page ends: stable while resources come, change and go.
//!
//! A page goes on behind a place, not after a number of rows: what comes meanwhile neither hides nor repeats what was there.

use super::walk::Leave;
use std::cmp::{Ordering, Reverse};
use vitrine_clinical::PatientId;
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
        (self.of, Reverse(self.number)).cmp(&(other.of, Reverse(other.number)))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The end of a page, as its link says it: `patient~number`, and `~key` of an order. The patient is empty for what is nobody's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    whose: Option<PatientId>,
    number: u64,
    sort: Option<SortKey>,
}

impl Token {
    /// After a resource.
    pub(super) fn after(whose: Option<&PatientId>, number: u64, sort: Option<&SortKey>) -> Self {
        Self {
            whose: whose.cloned(),
            number,
            sort: sort.cloned(),
        }
    }

    /// The end of the page among the records of a search; `None` where the token is of another one.
    pub(super) fn among(&self, of: &[Leave]) -> Option<End> {
        let place = Place {
            of: of.iter().position(|l| l.patient() == self.whose.as_ref())?,
            number: self.number,
        };
        Some(End {
            place,
            sort: self.sort.clone(),
        })
    }

    /// Reads one; `None` when it is not ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '~');
        let whose = match parts.next()? {
            "" => None,
            id => Some(PatientId::new(id).ok()?),
        };
        let number = parts.next()?.parse().ok()?;
        let sort = match parts.next() {
            None => None,
            Some(key) => Some(SortKey::parse(key)?),
        };
        Some(Self { whose, number, sort })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = self.whose.as_ref().map_or("", PatientId::as_str);
        write!(f, "{whose}~{}", self.number)?;
        match &self.sort {
            None => Ok(()),
            Some(key) => write!(f, "~{}", key.to_text()),
        }
    }
}

/// The end of a page, behind which the next begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) place: Place,
    sort: Option<SortKey>,
}

impl End {
    /// Whether a resource comes behind it.
    pub(super) fn is_before(&self, sort: Option<&SortKey>, place: Place) -> bool {
        (&self.sort.as_ref(), self.place) < (&sort, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_its_last_resource() {
        let end = End {
            place: Place { of: 1, number: 50 },
            sort: None,
        };
        for (of, number, behind) in [
            (0, 90, false),
            (1, 50, false),
            (1, 51, false),
            (1, 49, true),
            (2, 99, true),
        ] {
            assert_eq!(end.is_before(None, Place { of, number }), behind, "{of} {number}");
        }
    }

    #[test]
    fn tokens_are_read_as_they_are_written() {
        for text in [
            "p.1~50",
            "~7",
            r#"p~3~[["u","t","5"]]"#,
            r#"p~3~[["d","s","a~b"]]"#,
        ] {
            assert_eq!(Token::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "1", "p~x", "p~-2", "p p~1", "p~1~x"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
        // Of another search: it has no record of this patient.
        assert_eq!(Token::parse("p~1").unwrap().among(&[]), None);
    }
}
