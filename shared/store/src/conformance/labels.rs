//! Cases about security labels: what a permit does not let see is in no answer, and is counted.

use super::hospital::{Hospital, Note, key, note, person, put};
use crate::notes::NoteQuery;
use crate::{ChangeKind, ChangeOp, Page, StoreError};
use std::collections::BTreeSet;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{Decision, Permit};

const KIND: &str = "DocumentReference";

/// The same change with a label.
fn labelled(op: ChangeOp, code: &str) -> ChangeOp {
    let ChangeKind::Put(bytes) = &op.kind else {
        panic!("a change that puts something");
    };
    let mut body: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
    body["meta"] = serde_json::json!({"security": [{
        "system": vitrine_clinical::label::CONFIDENTIALITY, "code": code}]});
    ChangeOp {
        kind: ChangeKind::Put(body.to_string().into()),
        ..op
    }
}

impl Hospital {
    async fn all_of(&self, permit: &Permit<ReadChart>) -> (BTreeSet<String>, u64) {
        let (mut keys, mut withheld, mut after) = (BTreeSet::new(), 0, None);
        loop {
            let page = Page { after, limit: 2 };
            let sealed = self.store.everything(permit, page).await.expect("read");
            let said = sealed.disclosure().resources.len();
            let found = self.open(permit, sealed).await;
            assert_eq!(
                said,
                found.resources.len(),
                "the row names what is shown and nothing else"
            );
            keys.extend(found.resources.iter().map(|r| r.key.to_string()));
            withheld += found.withheld;
            after = found.next;
            if after.is_none() {
                return (keys, withheld);
            }
        }
    }
}

pub(super) async fn withholds_what_a_permit_does_not_let_see(h: Hospital) {
    let text = |t: &str| Note {
        slot: None,
        ..note("p1", "", t)
    };
    let at = |id: &str| format!("{KIND}/{id}");
    h.apply(vec![
        person("p1", "Anna Meyer", "1950", "M1"),
        put(&at("n"), &text("pneumonia")),
        labelled(put(&at("r"), &text("pneumonia")), "R"),
        labelled(put(&at("v"), &text("pneumonia")), "V"),
        labelled(put(&at("w"), &text("other")), "V"),
        put(&at("was"), &text("pneumonia")),
    ])
    .await;
    // One that bears its label from its second version on.
    h.apply(vec![labelled(put(&at("was"), &text("pneumonia")), "V")])
        .await;

    for (scope, seen, hidden) in [
        ("system/*.cruds", &["n"][..], 4),
        ("system/*.cruds?_security=R", &["n", "r"], 3),
        ("system/*.cruds?_security=V", &["n", "r", "v", "w", "was"], 0),
    ] {
        let chart = h.client_with::<ReadChart>(scope, Some("p1"));
        let expected: BTreeSet<String> = seen
            .iter()
            .map(|id| at(id))
            .chain(["Patient/p1".to_owned()])
            .collect();
        assert_eq!(h.all_of(&chart).await, (expected, hidden), "{scope}");

        for id in ["n", "r", "v", "w", "was"] {
            let permit = h.client_with::<ReadResource>(scope, Some("p1"));
            let read = h.store.read(&permit, &key(&at(id))).await;
            if seen.contains(&id) {
                let found = h.open(&permit, read.expect("read")).await.expect("it is there");
                assert!(!found.body.is_empty());
                continue;
            }
            let Err(StoreError::Withheld(denied)) = read else {
                panic!("{scope} reads {id}");
            };
            assert_eq!(denied.entry().decision, Decision::Deny);
            assert!(denied.entry().disclosure.resources.is_empty());
            let version = if id == "was" { 2 } else { 1 };
            let old = h.store.vread(&permit, &key(&at(id)), version).await;
            assert!(
                matches!(old, Err(StoreError::Withheld(_))),
                "{scope} reads {id}'s version"
            );
        }

        // The first round reads the notes, the second what was kept of them.
        for round in ["read", "kept"] {
            let query = NoteQuery {
                kind: KIND.to_owned(),
                text: "pneumonia".to_owned(),
                limit: 10,
            };
            let sealed = h.store.notes(&chart, &query).await.expect("searched");
            let found = h.open(&chart, sealed).await;
            let keys: BTreeSet<&str> = found.resources.iter().map(|r| r.key.id.as_str()).collect();
            let expected: BTreeSet<&str> = seen.iter().copied().filter(|id| *id != "w").collect();
            assert_eq!(keys, expected, "{scope}, {round}");
            assert_eq!(found.total, expected.len() as u64, "{scope}, {round}");
            assert_eq!(
                (found.of, found.withheld),
                (seen.len() as u64, hidden),
                "{scope}, {round}"
            );
        }
    }
}
