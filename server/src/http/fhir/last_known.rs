//! The last version that was shown, for when the store cannot be read in time.
//!
//! Lives here: which types may be shown old, what is kept of them, how an answer says that it is old. Never here: any
//! type a decision rests on. Called by `read` and by the hub, which tells what has changed.
//!
//! Rules: an old version is shown only of the types listed here, only when the policy has allowed this access and its
//! audit row is written, and only while the feed has told of no newer one. The answer names its age. Allergies,
//! medicines, conditions, results and everything else that is not listed fail visibly instead. Only the read itself may
//! be missed: without whereabouts there is no permit, without an audit row there is no look.

use crate::clock;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vitrine_clinical::{ResourceKey, UtcMs};
use vitrine_store::{FeedRow, StoreError, StoredResource};

/// Types of which an old version may be shown, labelled.
const MAY_BE_OLD: [&str; 8] = [
    "Appointment",
    "CareTeam",
    "Coverage",
    "DocumentReference",
    "Encounter",
    "ImagingStudy",
    "Media",
    "Procedure",
];
/// Bytes kept in all.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Larger resources are not kept.
const LARGE: usize = 256 * 1024;

/// `last-known` on an answer that is old.
pub const X_VITRINE_SOURCE: HeaderName = HeaderName::from_static("x-vitrine-source");
/// As of when it is, FHIR instant.
pub const X_VITRINE_AS_OF: HeaderName = HeaderName::from_static("x-vitrine-as-of");

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<ResourceKey, (StoredResource, UtcMs)>,
    order: VecDeque<ResourceKey>,
    bytes: usize,
    /// Grows with every change told: a read that one of them overtook is not kept.
    told: u64,
}

/// What was shown last.
#[derive(Debug, Default)]
pub struct LastKnown {
    kept: Mutex<Kept>,
}

/// Whether an old version of this type may be shown.
#[must_use]
pub fn may_be_old(kind: &str) -> bool {
    MAY_BE_OLD.contains(&kind)
}

/// Whether a read failed in a way that lets the last version be shown: the store did not answer, or not in time.
#[must_use]
pub fn not_answered(e: &StoreError) -> bool {
    matches!(e, StoreError::Backend { .. })
}

impl LastKnown {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes were told: asked before a read, given with what it found.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.kept().told
    }

    /// It was read just now, by a read that began when so many changes had been told.
    pub fn note(&self, found: &StoredResource, told: u64, now: UtcMs) {
        // Of what belongs to no patient the feed does not tell.
        if !may_be_old(found.key.kind.as_str()) || found.patient.is_none() {
            return;
        }
        let mut kept = self.kept();
        if kept.told != told {
            return;
        }
        kept.forget(&found.key);
        if found.deleted || found.body.len() > LARGE {
            return;
        }
        kept.bytes += found.body.len();
        kept.order.push_back(found.key.clone());
        kept.by_key.insert(found.key.clone(), (found.clone(), now));
        while kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.order.front().cloned() else {
                break;
            };
            kept.forget(&oldest);
        }
    }

    /// The last version shown, and as of when.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<(StoredResource, UtcMs)> {
        self.kept().by_key.get(key).cloned()
    }

    /// The feed told of changes: what is kept of these patients is not the last any more.
    pub fn changed(&self, rows: &[FeedRow]) {
        let patients: HashSet<&str> = rows.iter().filter_map(|r| r.scope.strip_prefix("pat:")).collect();
        if patients.is_empty() {
            return;
        }
        let mut kept = self.kept();
        kept.told += 1;
        let gone: Vec<ResourceKey> = kept
            .by_key
            .values()
            .filter(|(r, _)| r.patient.as_ref().is_some_and(|p| patients.contains(p.as_str())))
            .map(|(r, _)| r.key.clone())
            .collect();
        gone.iter().for_each(|key| kept.forget(key));
    }
}

impl Kept {
    fn forget(&mut self, key: &ResourceKey) {
        if let Some((old, _)) = self.by_key.remove(key) {
            self.bytes -= old.body.len();
            self.order.retain(|k| k != key);
        }
    }
}

/// Says in an answer's head that it is old, and how old (RFC 9111 §5.1; the warning of RFC 7234 §5.5.1 for clients that
/// know it).
pub fn put_age(headers: &mut HeaderMap, as_of: UtcMs, now: UtcMs) {
    let seconds = u64::try_from(now.since(as_of) / 1000).unwrap_or(0);
    headers.insert(header::AGE, HeaderValue::from(seconds));
    headers.insert(
        header::WARNING,
        HeaderValue::from_static("110 vitrine \"Response is Stale\""),
    );
    headers.insert(X_VITRINE_SOURCE, HeaderValue::from_static("last-known"));
    if let Ok(at) = HeaderValue::from_str(&clock::instant(as_of)) {
        headers.insert(X_VITRINE_AS_OF, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use vitrine_clinical::PatientId;

    fn resource(kind: &str, id: &str, patient: Option<&str>, bytes: usize) -> StoredResource {
        StoredResource {
            key: ResourceKey::new(kind, id).unwrap(),
            version: 1,
            updated: UtcMs(0),
            patient: patient.map(|p| PatientId::new(p).unwrap()),
            body: Bytes::from(vec![b' '; bytes]),
            deleted: false,
        }
    }
    fn row(scope: &str) -> FeedRow {
        FeedRow {
            pos: 1,
            scope: scope.into(),
            key: "x".into(),
            prev: 0,
            ver: 1,
            tomb: false,
        }
    }

    #[test]
    fn nothing_a_decision_rests_on_is_ever_kept() {
        let kept = LastKnown::default();
        for kind in [
            "AllergyIntolerance",
            "MedicationRequest",
            "MedicationStatement",
            "MedicationAdministration",
            "Condition",
            "Observation",
            "DiagnosticReport",
            "Flag",
            "Consent",
            "Immunization",
            "ServiceRequest",
            "CarePlan",
            "Goal",
            "DeviceUseStatement",
            "FamilyMemberHistory",
            "Patient",
        ] {
            let r = resource(kind, "1", Some("p"), 10);
            kept.note(&r, 0, UtcMs(0));
            assert!(kept.get(&r.key).is_none(), "{kind}");
        }
    }

    #[test]
    fn what_the_feed_has_told_of_is_not_shown_any_more() {
        let kept = LastKnown::default();
        let (a, b) = (
            resource("Encounter", "a", Some("p1"), 10),
            resource("Encounter", "b", Some("p2"), 10),
        );
        kept.note(&a, 0, UtcMs(5));
        kept.note(&b, 0, UtcMs(5));
        kept.changed(&[row("ess:ED"), row("pat:p1")]);
        assert!(kept.get(&a.key).is_none());
        assert_eq!(kept.get(&b.key).unwrap().1, UtcMs(5));
        kept.note(
            &StoredResource {
                deleted: true,
                ..b.clone()
            },
            kept.told(),
            UtcMs(6),
        );
        assert!(kept.get(&b.key).is_none(), "deleted is the last known state");
        kept.note(&a, 0, UtcMs(7));
        assert!(kept.get(&a.key).is_none(), "a change overtook this read");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let kept = LastKnown::default();
        let n = MOST_BYTES / LARGE + 3;
        for i in 0..n {
            kept.note(
                &resource("Media", &format!("m{i}"), Some("p"), LARGE),
                0,
                UtcMs(0),
            );
        }
        let there = |i: usize| {
            kept.get(&ResourceKey::new("Media", format!("m{i}").as_str()).unwrap())
                .is_some()
        };
        assert!(!there(0) && !there(2) && there(3) && there(n - 1));
        let large = resource("Media", "large", Some("p"), LARGE + 1);
        kept.note(&large, 0, UtcMs(0));
        assert!(kept.get(&large.key).is_none());
        assert!(kept.kept().bytes <= MOST_BYTES);
    }
}
