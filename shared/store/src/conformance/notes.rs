//! Cases about finding notes by their words: read on the spot or kept, the answer is the same.

use super::hospital::{Hospital, Note, delete, note, person, put};
use crate::notes::{NoteHits, NoteQuery};
use std::collections::BTreeSet;
use vitrine_access::action::ReadChart;

impl Hospital {
    /// Searches a patient's documents.
    pub(super) async fn documents(&self, p: &str, text: &str, limit: usize) -> NoteHits {
        self.notes_of(p, "DocumentReference", text, limit).await
    }

    pub(super) async fn notes_of(&self, p: &str, kind: &str, text: &str, limit: usize) -> NoteHits {
        let permit = self.client::<ReadChart>(Some(p));
        let query = NoteQuery {
            kind: kind.to_owned(),
            text: text.to_owned(),
            limit,
        };
        let sealed = self.store.notes(&permit, &query).await.expect("searched");
        let shown: BTreeSet<String> = sealed
            .disclosure()
            .resources
            .iter()
            .map(|r| r.key.to_string())
            .collect();
        let patients = sealed.disclosure().patients.clone();
        let found = self.open(&permit, sealed).await;
        let given: BTreeSet<String> = found.resources.iter().map(|r| r.key.to_string()).collect();
        assert_eq!(shown, given, "the row names every note shown");
        assert_eq!(patients.iter().map(ToString::to_string).collect::<Vec<_>>(), [p]);
        found
    }
}

/// The ids found, in order.
pub(super) fn ids(found: &NoteHits) -> Vec<&str> {
    found.resources.iter().map(|r| r.key.id.as_str()).collect()
}

fn text(patient: &str, text: &str) -> Note {
    Note {
        slot: None,
        ..note(patient, "", text)
    }
}

pub(super) async fn finds_notes_by_their_words(h: Hospital) {
    h.apply(vec![
        person("p1", "Anna Meyer", "1950", "M1"),
        put(
            "DocumentReference/d1",
            &text("p1", "Pneumonie rechts, CRP 112 mg/l"),
        ),
        put("DocumentReference/d2", &text("p1", "Keine Pneumonie links; Ödem")),
        put("DocumentReference/d3", &text("p2", "Pneumonie")),
        put("DiagnosticReport/r1", &text("p1", "Pneumonie im CT")),
        put("Observation/o1", &text("p1", "Pneumonie")),
    ])
    .await;
    h.apply(vec![put(
        "DocumentReference/d4",
        &text("p1", "[scan] Pneumonie, Befund"),
    )])
    .await;
    // The first round reads the notes, the second what was kept of them.
    for round in ["read", "kept"] {
        for (asked, expected) in [
            ("pneumonie", &["d4", "d2", "d1"][..]),
            ("PNEUMONIE Rechts", &["d1"]),
            ("odem", &["d2"]),
            ("112", &["d1"]),
            ("crp, 112", &["d1"]),
            ("pneumo", &[]),
            ("pneumonie nirgends", &[]),
            ("\" OR word:*", &[]),
            ("\u{27}; --", &[]),
            ("", &[]),
            ("a", &[]),
        ] {
            let found = h.documents("p1", asked, 10).await;
            assert_eq!(ids(&found), expected, "{round}: {asked:?}");
            assert_eq!(
                (found.total, found.of, found.partial),
                (expected.len() as u64, 3, 1),
                "{round}: {asked:?}"
            );
            assert!(found.archived.is_empty() && found.unsearched.is_empty());
        }
    }
    let found = h.documents("p1", "pneumonie", 2).await;
    assert_eq!((ids(&found), found.total), (vec!["d4", "d2"], 3), "the newest");
    assert_eq!(
        found.resources[0].body,
        text("p1", "[scan] Pneumonie, Befund").bytes()
    );
    assert_eq!(ids(&h.notes_of("p1", "DiagnosticReport", "ct", 9).await), ["r1"]);
    assert_eq!(ids(&h.documents("p2", "pneumonie", 9).await), ["d3"]);
    assert_eq!(h.documents("nobody", "pneumonie", 9).await, NoteHits::default());
    // What is kept is of the version it was made of, and of no other.
    h.apply(vec![
        put("DocumentReference/d1", &text("p1", "Bronchitis")),
        delete("DocumentReference/d2"),
        put("DocumentReference/d4", &text("p2", "Pneumonie, war von p2")),
    ])
    .await;
    for round in ["read", "kept"] {
        let found = h.documents("p1", "pneumonie", 9).await;
        assert_eq!((ids(&found), found.of, found.partial), (vec![], 1, 0), "{round}");
        assert_eq!(ids(&h.documents("p1", "bronchitis", 9).await), ["d1"], "{round}");
        let found = h.documents("p2", "pneumonie", 9).await;
        assert_eq!(ids(&found), ["d4", "d3"], "{round}");
    }
    h.apply(vec![put("DocumentReference/d1", &text("p1", "Pneumonie"))])
        .await;
    assert_eq!(ids(&h.documents("p1", "pneumonie", 9).await), ["d1"]);
    assert_eq!(ids(&h.documents("p1", "bronchitis", 9).await), Vec::<&str>::new());
}

pub(super) async fn looks_at_every_note_of_many(h: Hospital) {
    let word = |n: usize| ["hydra", "lyra"][n % 2];
    for stretch in 0..4 {
        let ops = (0..40).map(|n| {
            let n = stretch * 40 + n;
            put(
                &format!("DocumentReference/n{n:03}"),
                &text("p1", &format!("note {n} {}", word(n))),
            )
        });
        h.apply(ops.collect()).await;
    }
    for _ in 0..2 {
        let found = h.documents("p1", "Lyra", 5).await;
        assert_eq!((found.total, found.of), (80, 160));
        let newest: BTreeSet<&str> = ids(&found).into_iter().collect();
        assert!(newest.iter().all(|id| *id >= "n120"), "{newest:?}");
        assert_eq!(h.documents("p1", "lyra 077", 5).await.total, 0);
        assert_eq!(ids(&h.documents("p1", "lyra 77", 5).await), ["n077"]);
    }
}
