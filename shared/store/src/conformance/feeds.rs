//! Cases about the change feed, scopes, and restarts.

use super::Backend;
use super::hospital::{Hospital, Note, NoteProjector, delete, key, note, pat, person, place, put};
use crate::{Account, AccountChange, FeedRow, ScopePage, StoreError, batch};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::action::SyncScope;
use vitrine_clinical::{UserId, WardId};

async fn rows(h: &Hospital, scope: Option<&str>) -> Vec<FeedRow> {
    h.store.changes_since(0, scope, 100_000).await.expect("feed").rows
}

async fn page(h: &Hospital, scope: &str, after: Option<&str>, max_bytes: usize) -> ScopePage {
    let permit = h.device::<SyncScope>();
    let sealed = h
        .store
        .scope_page(&permit, scope, after, max_bytes)
        .await
        .expect("page");
    h.open(&permit, sealed).await
}

/// `prev` and `ver` of every row must continue what is held, and the end must be what the store says the scope is.
pub(super) async fn replay(h: &Hospital, scope: &str) {
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut rev = 0;
    for r in rows(h, Some(scope)).await {
        assert_eq!(r.scope, scope);
        if scope.starts_with("pat:") {
            assert_eq!(
                (r.prev, r.ver),
                (rev, rev + 1),
                "a patient's revisions have no gap: {r:?}"
            );
            rev = r.ver;
        } else {
            assert_eq!(
                held.get(&r.key).copied().unwrap_or(0),
                r.prev,
                "an item's versions chain: {r:?}"
            );
            assert!(r.ver > r.prev);
        }
        if r.tomb {
            held.remove(&r.key);
        } else {
            held.insert(r.key, r.ver);
        }
    }
    let refs = h.store.scope_refs(scope).await.expect("refs").0;
    let now: BTreeMap<String, u64> = refs.into_iter().map(|r| (r.key, r.ver)).collect();
    assert_eq!(
        held, now,
        "who follows the feed of {scope} has what the store has"
    );
}

pub(super) async fn has_no_gap_under_concurrent_writers(h: Hospital) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let h = Arc::new(h);
    let tasks: Vec<_> = (0..WRITERS)
        .map(|w| {
            let h = h.clone();
            async move {
                for n in 0..EACH {
                    let p = format!("p{}", (w + n) % 3);
                    let ward = ["ED", "ICU"][usize::try_from(n % 2).expect("small")];
                    let mut ops = vec![put(
                        &format!("Flag/{w}-{}", n % 5),
                        &note(&p, "flag", &format!("{w} {n}")),
                    )];
                    if n % 4 == 0 {
                        ops.push(place(&p, Some(ward), &[]));
                    }
                    h.apply(ops).await;
                }
            }
        })
        .collect();
    // Polled in one task but interleaved at every wait; real threads come from the backend.
    let mut watch = h.store.watch();
    let reader = {
        let h = h.clone();
        async move {
            let mut pos = 0;
            let mut seen: Vec<FeedRow> = Vec::new();
            let mut quiet = 0;
            while quiet < 2 {
                let b = h.store.changes_since(pos, None, 7).await.expect("feed");
                if b.rows.is_empty() {
                    let wait =
                        tokio::time::timeout(std::time::Duration::from_millis(300), watch.changed()).await;
                    quiet = if wait.is_ok() { 0 } else { quiet + 1 };
                }
                pos = b.pos;
                seen.extend(b.rows);
            }
            seen
        }
    };
    let ((), seen) = tokio::join!(join_all(tasks), reader);
    let numbers: Vec<u64> = seen.iter().map(|r| r.pos).collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(
        numbers, expected,
        "a reader that follows sees every position once, in order"
    );
    assert_eq!(*h.store.watch().borrow(), numbers.len() as u64);
    for scope in [
        "pat:p0",
        "pat:p1",
        "pat:p2",
        "ess:site",
        "ess:ED",
        "ess:ICU",
        "board:ED",
        "board:ICU",
    ] {
        replay(&h, scope).await;
    }
}

async fn join_all(tasks: Vec<impl Future<Output = ()> + Send + 'static>) {
    let handles: Vec<_> = tasks.into_iter().map(spawn).collect();
    for handle in handles {
        handle.await.expect("no writer failed");
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the suite awaits every handle, so no panic is lost"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}

pub(super) async fn chains_revisions(h: Hospital) {
    h.apply(vec![
        put("Flag/z", &note("p1", "flag", "z")),
        put("Flag/a", &note("p1", "flag", "a")),
    ])
    .await;
    h.apply(vec![put("Flag/a", &note("p1", "flag", "b")), delete("Flag/z")])
        .await;
    let seen: Vec<_> = rows(&h, Some("pat:p1"))
        .await
        .into_iter()
        .map(|r| (r.key, r.prev, r.ver, r.tomb))
        .collect();
    let expected = [
        ("Flag/z", 0, 1, false),
        ("Flag/a", 1, 2, false),
        ("Flag/a", 2, 3, false),
        ("Flag/z", 3, 4, true),
    ];
    assert_eq!(seen, expected.map(|(k, p, v, t)| (k.to_owned(), p, v, t)));
    assert_eq!(h.store.revision(&pat("p1")).await.expect("revision"), 4);
    assert_eq!(h.store.revision(&pat("nobody")).await.expect("revision"), 0);
    let items = h
        .store
        .items("pat:p1", &["Flag/a".to_owned(), "Flag/z".to_owned()])
        .await
        .expect("items");
    assert_eq!(items.len(), 1, "what is gone has no body");
    assert_eq!(
        (items[0].ver, &items[0].body),
        (3, &note("p1", "flag", "b").bytes()),
        "its ver is the revision"
    );
    assert_eq!(items[0].hash, batch::body_hash(&items[0].body));
    replay(&h, "pat:p1").await;
}

pub(super) async fn tells_moves_between_wards(h: Hospital) {
    let scopes = ["ess:site", "ess:ED", "ess:ICU", "ess:OR", "board:ED", "board:ICU"];
    h.apply(vec![
        person("p1", "ann", "1980", "1"),
        person("p2", "bob", "1980", "2"),
    ])
    .await;
    h.apply(vec![
        place("p1", Some("ED"), &["ICU"]),
        place("p2", Some("ED"), &[]),
    ])
    .await;
    for s in scopes {
        replay(&h, s).await;
    }
    let keys = async |scope: &str| -> Vec<String> {
        h.store
            .scope_refs(scope)
            .await
            .expect("refs")
            .0
            .into_iter()
            .map(|r| r.key)
            .collect()
    };
    assert_eq!(
        (keys("ess:ED").await, keys("ess:ICU").await),
        (vec!["p1".into(), "p2".into()], vec!["p1".to_owned()])
    );
    assert_eq!(
        (keys("board:ED").await.len(), keys("board:ICU").await.len()),
        (2, 0),
        "expected is not there yet"
    );
    let before = h.store.watch().borrow().to_owned();
    // The board's bytes say the ward; the card's bytes here do not, so only membership changes.
    h.apply(vec![place("p1", Some("ICU"), &["OR"])]).await;
    for s in scopes {
        replay(&h, s).await;
    }
    assert_eq!(
        (keys("ess:ED").await, keys("board:ED").await),
        (vec!["p2".to_owned()], vec!["p2".to_owned()])
    );
    assert_eq!(
        (
            keys("ess:ICU").await.len(),
            keys("ess:OR").await.len(),
            keys("board:ICU").await.len()
        ),
        (1, 1, 1)
    );
    let new = h.store.changes_since(before, None, 100).await.expect("feed").rows;
    let of = |scope: &str| {
        new.iter()
            .filter(|r| r.scope == scope)
            .map(|r| (r.tomb, r.prev > 0))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("ess:ED"), [(true, true)]);
    assert_eq!(of("board:ED"), [(true, true)]);
    assert_eq!(
        of("board:ICU"),
        [(false, false)],
        "in the new ward it was not there before"
    );
    assert_eq!(of("ess:OR"), [(false, false)]);
    // A change of the card reaches every ward that holds it, once.
    let before = h.store.watch().borrow().to_owned();
    h.apply(vec![put("AllergyIntolerance/a", &note("p1", "allergy", "latex"))])
        .await;
    let new = h.store.changes_since(before, None, 100).await.expect("feed").rows;
    let mut told: Vec<&str> = new.iter().map(|r| r.scope.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["ess:ICU", "ess:OR", "ess:site", "pat:p1"]);
    h.apply(vec![place("p1", None, &[])]).await;
    h.apply(vec![place("p1", Some("ED"), &[])]).await;
    for s in scopes {
        replay(&h, s).await;
    }
}

pub(super) async fn gives_scopes_in_key_order(h: Hospital) {
    let mut ops = Vec::new();
    for n in 0..20 {
        ops.push(person(&format!("p{n:02}"), "ann", "1980", &n.to_string()));
        ops.push(place(&format!("p{n:02}"), Some("ED"), &[]));
    }
    for (n, kind) in ["Medication", "MedicationRequest", "Observation", "Condition"]
        .iter()
        .enumerate()
    {
        for m in 0..6 {
            ops.push(put(
                &format!("{kind}/x-{m}.{n}"),
                &Note {
                    slot: None,
                    ..note("p00", "", "x")
                },
            ));
        }
    }
    h.apply(ops).await;
    // Written twice: its own version is 2, and the record's revision the newest.
    let again = Note {
        slot: None,
        ..note("p00", "", "y")
    };
    h.apply(vec![put("Condition/x-0.3", &again)]).await;
    for (scope, count) in [
        ("ess:site", 20),
        ("ess:ED", 20),
        ("board:ED", 20),
        ("pat:p00", 26),
        ("ess:none", 0),
    ] {
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let p = page(&h, scope, after.as_deref(), 300).await;
            assert_eq!(p.total, count, "{scope}");
            assert_eq!(p.rev, if scope == "pat:p00" { 27 } else { 0 });
            assert_eq!(p.pos, *h.store.watch().borrow());
            assert!(p.items.len() <= 1 || p.items.iter().map(|i| i.body.len()).sum::<usize>() <= 300);
            assert!(p.items.iter().all(|i| i.hash == batch::body_hash(&i.body)));
            for i in &p.items {
                let written = if i.key == "Condition/x-0.3" { 2 } else { 1 };
                let own = scope.starts_with("pat:").then_some(written);
                assert_eq!(i.version, own, "{scope} {}", i.key);
            }
            seen.extend(p.items);
            after = p.next_after;
            if after.is_none() {
                break;
            }
        }
        let keys: Vec<&String> = seen.iter().map(|i| &i.key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(keys.len() as u64, count, "{scope} is complete");
        let (refs, _) = h.store.scope_refs(scope).await.expect("refs");
        let same = refs
            .iter()
            .zip(&seen)
            .all(|(r, i)| (&r.key, r.ver, r.hash) == (&i.key, i.ver, i.hash));
        assert!(
            same && refs.len() == seen.len(),
            "references are those of the items"
        );
        let asked: Vec<String> = keys.into_iter().cloned().collect();
        let mut items = h.store.items(scope, &asked).await.expect("items");
        items.sort_by(|a, b| a.key.cmp(&b.key));
        assert_eq!(items, seen);
    }
    // A key that has gone since still says where to go on.
    let p = page(&h, "ess:site", Some("p05x"), 1).await;
    assert_eq!(p.items[0].key, "p06");
    let p = page(&h, "pat:p00", Some("MedicationRequest/x"), 1).await;
    assert_eq!(p.items[0].key, "MedicationRequest/x-0.1");
    let refused = h.store.scope_refs("everything").await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let sealed = h
        .store
        .scope_page(&h.device::<SyncScope>(), "ess:ED", None, 100_000)
        .await
        .expect("page");
    assert_eq!(
        sealed.disclosure().patients.len(),
        20,
        "a page names the patients it discloses"
    );
}

pub(super) async fn prunes(h: Hospital) {
    for n in 0..5 {
        h.apply(vec![put("Flag/a", &note("p1", "flag", &n.to_string()))])
            .await;
    }
    let all = rows(&h, None).await;
    let newest = all.last().expect("rows").pos;
    h.store.prune(4).await.expect("pruned");
    let b = h.store.changes_since(4, None, 100).await.expect("feed");
    assert_eq!((b.rows, b.oldest, b.pos), (all[4..].to_vec(), 4, newest));
    h.store.prune(newest + 100).await.expect("pruned");
    let b = h.store.changes_since(0, None, 100).await.expect("feed");
    assert_eq!(
        (b.rows.len(), b.oldest, b.pos),
        (0, newest, newest),
        "who is behind the oldest must start anew"
    );
    h.apply(vec![put("Flag/a", &note("p1", "flag", "after"))]).await;
    let b = h.store.changes_since(newest, None, 100).await.expect("feed");
    assert_eq!(
        b.rows.first().expect("a row").pos,
        newest + 1,
        "positions are never given twice"
    );
}

pub(super) async fn tells_the_directory(h: Hospital) {
    let account = |user: &str, pin: &str| Account {
        user: UserId::new(user).expect("a user"),
        display: "Ann A.".to_owned(),
        role: "nurse".parse().expect("a role"),
        wards: vec![WardId::new("ED").expect("a ward")],
        password_phc: "$secret".to_owned(),
        pin_phc: Some(pin.to_owned()),
        disabled: false,
        badges: Vec::new(),
        version: 0,
    };
    for (user, pin) in [("bob_1", "$b"), ("ann", "$a"), ("ann", "$c")] {
        let put = AccountChange::Put(account(user, pin));
        h.store.change_account(&h.operator(), put).await.expect("changed");
    }
    let disable = AccountChange::Disable(UserId::new("bob_1").expect("a user"));
    h.store
        .change_account(&h.operator(), disable)
        .await
        .expect("disabled");
    let nobody = AccountChange::Disable(UserId::new("nobody").expect("a user"));
    let refused = h.store.change_account(&h.operator(), nobody).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    replay(&h, "dir").await;
    let p = page(&h, "dir", None, 10_000).await;
    let bodies: Vec<serde_json::Value> = p
        .items
        .iter()
        .map(|i| serde_json::from_slice(&i.body).expect("JSON"))
        .collect();
    assert_eq!(
        (p.items[0].key.as_str(), p.items[1].key.as_str(), p.total),
        ("user/ann", "user/bob_1", 2)
    );
    assert_eq!(
        (bodies[0]["pin_phc"].as_str(), bodies[1]["disabled"].as_bool()),
        (Some("$c"), Some(true))
    );
    assert_eq!(
        (bodies[0]["role"].as_str(), bodies[0]["wards"][0].as_str()),
        (Some("nurse"), Some("ED"))
    );
    assert!(
        p.items
            .iter()
            .all(|i| !String::from_utf8_lossy(&i.body).contains("$secret")),
        "no password hash leaves"
    );
    let rest = page(&h, "dir", Some("user/ann"), 10_000).await;
    assert_eq!((rest.items.len(), rest.items[0].key.as_str()), (1, "user/bob_1"));
}

/// Everything acknowledged is there after a restart, and goes on from there.
pub(super) async fn restart(backend: &dyn Backend, h: Hospital) {
    let op = h.batch(vec![
        person("p1", "Li Wei", "1949-05-03", "MRN-1"),
        place("p1", Some("ED"), &[]),
    ]);
    let (applied, receipt) = h.store.apply(&h.client(None), op.clone()).await.expect("applied");
    let state = async |h: &Hospital| {
        let mut scopes = Vec::new();
        for s in ["pat:p1", "ess:site", "ess:ED", "board:ED"] {
            scopes.push(h.store.scope_refs(s).await.expect("refs"));
        }
        (
            rows(h, None).await,
            scopes,
            h.store.heads().await.expect("heads"),
            h.store.epoch().await.expect("epoch"),
        )
    };
    let before = state(&h).await;
    let first = h.number() + 1_000;
    let Hospital { store, .. } = h;
    let Some(store) = backend.reopen(store, Arc::new(NoteProjector)).await else {
        return;
    };
    let h = Hospital::new(store, first);
    assert_eq!(state(&h).await, before, "a restart changes nothing");
    assert_eq!(*h.store.watch().borrow(), applied.pos);
    let (again, later) = h.store.apply(&h.client(None), op).await.expect("answered");
    assert!(again.duplicate && again.changes == applied.changes);
    assert_eq!(later.seq(), receipt.seq() + 1, "the audit chain goes on");
    let done = h.apply(vec![put("Flag/new", &note("p1", "flag", "new"))]).await;
    assert!(done.pos > applied.pos);
    assert_eq!(
        h.store.owner(&key("Flag/new")).await.expect("owner"),
        Some(Some(pat("p1")))
    );
    for s in ["pat:p1", "ess:site", "ess:ED", "board:ED"] {
        replay(&h, s).await;
    }
}
