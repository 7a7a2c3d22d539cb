//! Tiers: what moves when, what is read meanwhile, what never moves. The clock is the rule's own.

use super::hospital::{Hospital, key, note, pat, person, place, put};
use crate::archive::{ArchiveAct, Certify, Destruction};
use crate::tiers::{Due, Moved, PacksOf, Tier, TierRule};
use crate::{Account, AccountChange, HistoryPage, Page, StoreError};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;
use vitrine_access::action::{ManageUsers, OperateServer, SyncScope};
use vitrine_access::{AuditEntry, Disclosure};
use vitrine_clinical::UtcMs;

const YEAR: i64 = 366 * 86_400_000;

impl Hospital {
    fn rule(&self, years: i64) -> TierRule {
        TierRule::new(UtcMs(self.now().0 + years * YEAR), 2, 7, 90, true)
    }

    fn moving(&self) -> AuditEntry {
        self.operator::<OperateServer>().entry(Disclosure::default())
    }

    fn pack_ids(&self) -> [Uuid; 2] {
        [1, 2].map(|n: u128| Uuid::from_u128(u128::from(self.number()) | (n << 96) | (5 << 120)))
    }

    async fn down(&self, p: &str, rule: &TierRule) -> Moved {
        let ids = self.pack_ids();
        self.store
            .pack_down(self.moving(), rule, &pat(p), ids)
            .await
            .expect("looked at")
    }

    async fn due(&self, rule: &TierRule) -> Due {
        self.store.tiers_due(rule, 100).await.expect("asked")
    }

    /// Packs of a record that are due for the archive go there.
    async fn send_away(&self, rule: &TierRule) -> usize {
        let due = self.due(rule).await.away;
        for id in &due {
            assert!(self.store.pack_away(self.moving(), *id).await.expect("moved"));
        }
        due.len()
    }

    async fn body(&self, p: &str, at: &str, version: Option<u64>) -> Result<Bytes, StoreError> {
        let permit = self.client(Some(p));
        let found = match version {
            None => self.store.read(&permit, &key(at)).await?,
            Some(v) => self.store.vread(&permit, &key(at), v).await?,
        };
        Ok(self.open(&permit, found).await.expect("it is there").body)
    }

    async fn chart(&self, p: &str, limit: usize) -> HistoryPage {
        let permit = self.client(Some(p));
        let page = Page { after: None, limit };
        let sealed = self.store.everything(&permit, page).await.expect("read");
        self.open(&permit, sealed).await
    }

    /// A record of one who went home: essentials, a stay that ended, a report of two versions.
    async fn gone_home(&self, p: &str) {
        self.apply(vec![
            person(p, &format!("{p} marin"), "1950-01-02", p),
            put(
                &format!("AllergyIntolerance/{p}-a"),
                &note(p, "allergy", "penicillin"),
            ),
            put(&format!("DocumentReference/{p}-d"), &note(p, "doc", "first")),
        ])
        .await;
        self.apply(vec![put(
            &format!("DocumentReference/{p}-d"),
            &note(p, "doc", "second"),
        )])
        .await;
    }
}

fn archived<T: std::fmt::Debug>(r: Result<T, StoreError>) -> Uuid {
    match r {
        Err(StoreError::Archived { pack, bytes }) => {
            assert!(bytes > 0);
            pack
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn bodies_move_by_age_and_come_back(h: Hospital) {
    h.gone_home("p1").await;
    let doc = "DocumentReference/p1-d";
    let first = note("p1", "doc", "first").bytes();
    let second = note("p1", "doc", "second").bytes();
    let before = h.store.scope_refs("pat:p1").await.expect("refs").0;
    let counts = h.store.counts().await.expect("counts");

    let early = h.rule(1);
    assert_eq!(
        h.down("p1", &early).await,
        Moved::default(),
        "it is not old enough"
    );
    let rule = h.rule(3);
    let would = h.store.tiers_would(&rule).await.expect("asked");
    assert_eq!((would.records, would.bodies), (1, 2));
    assert_eq!(h.due(&rule).await.down, [pat("p1")]);
    let moved = h.down("p1", &rule).await;
    assert_eq!(
        (moved.packs, moved.bodies, moved.more),
        (1, 2, false),
        "{moved:?}"
    );
    assert!(h.due(&rule).await.down.is_empty(), "nothing is left to look at");
    assert_eq!(h.down("p1", &rule).await, Moved::default());
    let report = h.store.tiers().await.expect("what lies where");
    assert_eq!(
        (report.warm.records, report.warm.bodies, report.warm.packs),
        (1, 2, 1)
    );
    assert_eq!((report.hot.bodies, report.archive.bodies), (2, 0));

    // Warm: read as ever, and nothing else of it changed.
    assert_eq!(h.body("p1", doc, None).await.expect("read"), second);
    assert_eq!(h.body("p1", doc, Some(1)).await.expect("read"), first);
    assert_eq!(h.store.scope_refs("pat:p1").await.expect("refs").0, before);
    assert_eq!(
        h.store.counts().await.expect("counts").resources,
        counts.resources
    );
    let (items, archive) = (h.chart("p1", 10).await, h.rule(8));
    assert_eq!(
        (items.resources.len(), items.archived.len(), items.total),
        (3, 0, 3)
    );

    // Away: told of, never left out, never empty.
    assert_eq!(h.send_away(&h.rule(5)).await, 0, "it is not old enough");
    assert_eq!(h.send_away(&archive).await, 1);
    let pack = archived(h.body("p1", doc, None).await);
    assert_eq!(archived(h.body("p1", doc, Some(1)).await), pack);
    archived(h.store.lookup(&key(doc)).await);
    for limit in [1, 2, 3, 10] {
        let chart = h.chart("p1", limit).await;
        assert_eq!(chart.resources.len() + chart.archived.len(), limit.min(3));
    }
    let chart = h.chart("p1", 10).await;
    assert_eq!((chart.resources.len(), chart.total), (2, 3));
    assert_eq!(
        (&chart.archived[0].key, chart.archived[0].pack),
        (&key(doc), pack)
    );
    assert_eq!(
        h.card("p1").await.expect("a card").len(),
        3,
        "the card never moves"
    );

    // Asked back, once, and back.
    let asked = h.store.ask_recall(h.moving(), &pat("p1")).await.expect("asked");
    assert!(asked.new && asked.packs.len() == 1 && asked.bytes() > 0 && asked.before == 0);
    let again = h.store.ask_recall(h.moving(), &pat("p1")).await.expect("asked");
    assert!(!again.new && again.packs.len() == 1 && again.packs[0].requested.is_some());
    let waiting = h.store.packs(PacksOf::Asked).await.expect("packs");
    assert_eq!((waiting.len(), waiting[0].id), (1, pack));
    let told = AtomicU64::new(0);
    let tell = |n| {
        told.fetch_add(n, Ordering::Relaxed);
    };
    h.store.recall(pack, archive.at, &tell).await.expect("recalled");
    assert_eq!(told.load(Ordering::Relaxed), asked.bytes());
    assert_eq!(h.body("p1", doc, None).await.expect("read"), second);
    assert_eq!(h.body("p1", doc, Some(1)).await.expect("read"), first);
    let packs = h.store.packs(PacksOf::Patient(&pat("p1"))).await.expect("packs");
    assert_eq!((packs[0].tier, packs[0].requested), (Tier::Warm, None));
    assert_eq!(packs[0].recalled, Some(archive.at));

    // It stays for the time of use, then goes again; home again, it is as if it had never left.
    assert_eq!(h.send_away(&archive).await, 0, "it was asked back for a reason");
    assert_eq!(h.send_away(&h.rule(9)).await, 1);
    h.store
        .recall(pack, h.rule(9).at, &|_| ())
        .await
        .expect("recalled");
    assert_eq!(h.store.pack_home(h.moving(), pack).await.expect("home"), 2);
    assert_eq!(h.store.pack_home(h.moving(), pack).await.expect("home"), 0);
    assert_eq!(h.store.tiers().await.expect("what lies where").hot.bodies, 4);
    assert_eq!(h.body("p1", doc, None).await.expect("read"), second);
    assert_eq!(h.store.scope_refs("pat:p1").await.expect("refs").0, before);
    assert_eq!(h.store.tidy_packs(UtcMs(0)).await.expect("tidied"), 0);
    h.store.tidy_packs(UtcMs(i64::MAX)).await.expect("tidied");
    assert!(h.store.packs(PacksOf::All).await.expect("packs").is_empty());
    assert_eq!(h.body("p1", doc, Some(1)).await.expect("read"), first);
    assert!(h.store.check_packs(true).await.expect("checked").is_empty());
    assert!(matches!(
        h.store.pack_home(h.moving(), pack).await,
        Err(StoreError::Refused(_))
    ));
}

pub(super) async fn words_of_notes_stay_when_bodies_move(h: Hospital) {
    let doc = "DocumentReference/p1-d";
    h.gone_home("p1").await;
    h.apply(vec![put(doc, &note("p1", "doc", "hydronephrosis, left"))])
        .await;
    // Nobody searched: the words are kept because the body moves.
    assert_eq!(h.down("p1", &h.rule(3)).await.packs, 1);
    assert_eq!(
        h.documents("p1", "hydronephrosis", 9).await.resources.len(),
        1,
        "warm"
    );
    assert_eq!(h.send_away(&h.rule(8)).await, 1);
    let found = h.documents("p1", "LEFT hydronephrosis", 9).await;
    assert_eq!((found.resources.len(), found.total, found.of), (0, 1, 1));
    assert_eq!(found.archived.len(), 1, "it matches and lies in the archive");
    assert_eq!(found.archived[0].key, key(doc));
    let found = h.documents("p1", "hydronephrosis right", 9).await;
    assert_eq!(
        (found.total, found.archived.len(), found.unsearched.len()),
        (0, 0, 0),
        "known not to match"
    );
}

pub(super) async fn essentials_and_used_records_stay(h: Hospital) {
    for p in ["p1", "p2"] {
        h.gone_home(p).await;
    }
    h.apply(vec![place("p2", Some("ED"), &["ICU"])]).await;
    let rule = h.rule(8);
    assert_eq!(h.due(&rule).await.down, [pat("p1")], "p2 is on a ward");
    assert_eq!(h.down("p2", &rule).await, Moved::default());

    // Opened or written to lately: not moved, however old it is.
    let mut entry = h
        .client::<vitrine_access::action::ReadChart>(Some("p1"))
        .entry(Disclosure::default());
    entry.at = UtcMs(rule.at.0 - 10 * 86_400_000);
    h.append(entry.clone()).await;
    assert_eq!(
        h.down("p1", &rule).await,
        Moved::default(),
        "somebody opened it ten days before"
    );
    assert!(h.due(&rule).await.down.is_empty());
    let later = h.rule(9);
    let moved = h.down("p1", &later).await;
    assert_eq!(
        (moved.packs, moved.bodies),
        (1, 2),
        "the two versions of the document, nothing essential"
    );
    entry.at = later.at;
    h.append(entry).await;
    assert_eq!(h.send_away(&later).await, 0, "it is used: it stays at hand");
    assert_eq!(h.send_away(&h.rule(10)).await, 1);

    // Whoever comes back to a ward: what is archived is wanted, what is warm goes home, and no essential was away.
    h.apply(vec![place("p1", Some("ED"), &[])]).await;
    assert_eq!(
        h.body("p1", "AllergyIntolerance/p1-a", None).await.expect("read"),
        note("p1", "allergy", "penicillin").bytes()
    );
    let due = h.due(&h.rule(10)).await;
    assert_eq!((due.wanted.as_slice(), due.home.len()), (&[pat("p1")][..], 0));
    let asked = h.store.ask_recall(h.moving(), &pat("p1")).await.expect("asked");
    h.store
        .recall(asked.packs[0].id, h.now(), &|_| ())
        .await
        .expect("recalled");
    let due = h.due(&h.rule(10)).await;
    assert_eq!(
        (due.wanted.len(), due.home.as_slice()),
        (0, &[asked.packs[0].id][..])
    );
    h.store
        .pack_home(h.moving(), asked.packs[0].id)
        .await
        .expect("home");
    assert_eq!(h.store.tiers().await.expect("what lies where").warm.packs, 0);
}

pub(super) async fn an_archived_record_is_written_and_told_of(h: Hospital) {
    h.gone_home("p1").await;
    h.apply(vec![put("DocumentReference/p1-e", &note("p1", "doc", "other"))])
        .await;
    h.down("p1", &h.rule(8)).await;
    assert_eq!(h.send_away(&h.rule(8)).await, 1);
    let pos = *h.store.watch().borrow();

    // Written to without the recall; the version before stays in its pack.
    let third = note("p1", "doc", "third");
    let applied = h.apply(vec![put("DocumentReference/p1-d", &third)]).await;
    assert_eq!(applied.changes[0].version, 3);
    assert_eq!(
        h.body("p1", "DocumentReference/p1-d", None).await.expect("read"),
        third.bytes()
    );
    let pack = archived(h.body("p1", "DocumentReference/p1-d", Some(2)).await);
    let told = h
        .store
        .changes_since(pos, Some("pat:p1"), 10)
        .await
        .expect("told")
        .rows;
    assert_eq!(told.len(), 1, "moving told nobody anything, writing did");
    let items = h
        .store
        .items("pat:p1", &["DocumentReference/p1-d".to_owned()])
        .await
        .expect("items");
    assert_eq!(items[0].body, third.bytes());

    // The scope of the chart is refused in words, not cut short; the essentials' are as ever.
    archived(
        h.store
            .items("pat:p1", &["DocumentReference/p1-e".to_owned()])
            .await,
    );
    let permit = h.device::<SyncScope>();
    let page = h
        .store
        .scope_page(&permit, "pat:p1", None, 1 << 20)
        .await
        .map(|_| ());
    assert_eq!(archived(page), pack);
    let site = h
        .store
        .scope_page(&permit, "ess:site", None, 1 << 20)
        .await
        .expect("read");
    assert_eq!(h.open(&permit, site).await.items.len(), 1);

    // Another patient's from now on: what is packed as this one's must come back first.
    let other = vec![put("DocumentReference/p1-e", &note("p2", "doc", "other"))];
    archived(h.try_apply(other.clone()).await);
    h.store.recall(pack, h.now(), &|_| ()).await.expect("recalled");
    h.apply(other).await;
    assert_eq!(
        h.body("p2", "DocumentReference/p1-e", Some(1))
            .await
            .expect("read"),
        note("p1", "doc", "other").bytes()
    );
    let left = h.store.pack_home(h.moving(), pack).await.expect("home");
    assert_eq!(left, 2, "what is the other patient's now had left the pack");
    assert_eq!(
        h.body("p1", "DocumentReference/p1-d", Some(2))
            .await
            .expect("read"),
        note("p1", "doc", "second").bytes()
    );
}

struct Stamp;
impl Certify for Stamp {
    fn certify(&self, d: &Destruction) -> Result<String, StoreError> {
        Ok(d.id.to_string())
    }
}

pub(super) async fn held_records_move_and_destroyed_ones_leave_no_pack(h: Hospital) {
    for user in ["ann", "bob", "cyd"] {
        let account = Account {
            user: vitrine_clinical::UserId::new(user).expect("a user"),
            display: user.to_owned(),
            role: "privacy-officer".parse().expect("a role"),
            wards: Vec::new(),
            password_phc: String::new(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        let permit = h.operator::<ManageUsers>();
        h.store
            .change_account(&permit, AccountChange::Put(account))
            .await
            .expect("kept");
    }
    h.gone_home("p1").await;
    h.gone_home("p2").await;
    let held = ArchiveAct::Hold(&h.operator_of("p1"), "a claim".to_owned());
    h.store.archive(held).await.expect("held");
    for p in ["p1", "p2"] {
        assert_eq!(h.down(p, &h.rule(8)).await.bodies, 2, "moving is not destroying");
    }
    assert_eq!(h.send_away(&h.rule(8)).await, 2);
    h.store
        .archive(ArchiveAct::Release(&h.operator_of("p1")))
        .await
        .expect("released");

    let id = Uuid::from_u128(77);
    let ask = ArchiveAct::Request(&h.keeper("ann", "p1"), id, "its time is over".to_owned());
    h.store.archive(ask).await.expect("asked");
    for by in ["bob", "cyd"] {
        h.store
            .archive(ArchiveAct::Approve(&h.keeper(by, "p1"), id))
            .await
            .expect("approved");
    }
    let act = h.operator_of("p1");
    let away = h
        .store
        .archive(ArchiveAct::CarryOut(&act, id, Arc::new(Stamp)))
        .await
        .map(|_| ());
    let pack = archived(away);
    assert!(h.card("p1").await.is_some(), "nothing was destroyed");
    h.store.recall(pack, h.now(), &|_| ()).await.expect("recalled");
    let act = h.operator_of("p1");
    let (done, _) = h
        .store
        .archive(ArchiveAct::CarryOut(&act, id, Arc::new(Stamp)))
        .await
        .expect("destroyed");
    let types = done
        .destruction
        .and_then(|d| d.destroyed)
        .expect("what was destroyed")
        .types;
    assert_eq!(types["DocumentReference"].versions, 2);
    assert!(
        h.store
            .packs(PacksOf::Patient(&pat("p1")))
            .await
            .expect("packs")
            .is_empty()
    );
    assert_eq!(h.store.packs(PacksOf::All).await.expect("packs").len(), 1);
    assert_eq!(
        h.store.tidy_packs(UtcMs(0)).await.expect("tidied"),
        0,
        "its files went with it"
    );
    assert!(h.store.check_packs(true).await.expect("checked").is_empty());
}
