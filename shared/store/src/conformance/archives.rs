//! Cases about legal hold and destruction.

use super::hospital::{Hospital, key, note, pat, person, place, put};
use crate::archive::{ArchiveAct, Certify, Counted, Destruction};
use crate::{Account, AccountChange, Page, SearchQuery, StoreError};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use uuid::Uuid;
use vitrine_access::action::{ManageUsers, WriteClinical};
use vitrine_clinical::UserId;

/// A certificate that says what it was given.
struct Stamp;
impl Certify for Stamp {
    fn certify(&self, d: &Destruction) -> Result<String, StoreError> {
        let done = d.destroyed.as_ref().expect("it says what was destroyed");
        Ok(format!("{} {}", d.id, done.sha256))
    }
}

/// One that cannot be written.
struct Broken;
impl Certify for Broken {
    fn certify(&self, _: &Destruction) -> Result<String, StoreError> {
        Err(StoreError::Backend {
            doing: "writing the certificate",
            cause: "no key".to_owned(),
        })
    }
}

fn is_refused<T: std::fmt::Debug>(r: Result<T, StoreError>, words: &str) {
    match r {
        Err(StoreError::Refused(text)) => assert!(text.contains(words), "{text:?} does not say {words:?}"),
        other => panic!("{other:?} is no refusal that says {words:?}"),
    }
}

impl Hospital {
    pub(super) async fn staff(&self, disabled: &[&str]) {
        for user in ["ann", "bob", "cyd"] {
            let account = Account {
                user: UserId::new(user).expect("a user"),
                display: user.to_owned(),
                role: "privacy-officer".parse().expect("a role"),
                wards: Vec::new(),
                password_phc: String::new(),
                pin_phc: None,
                disabled: disabled.contains(&user),
                badges: Vec::new(),
                version: 0,
            };
            let permit = self.operator::<ManageUsers>();
            let change = AccountChange::Put(account);
            self.store.change_account(&permit, change).await.expect("kept");
        }
    }

    async fn hold(&self, p: &str) -> Result<(), StoreError> {
        let act = ArchiveAct::Hold(&self.operator_of(p), "a claim".to_owned());
        self.store.archive(act).await.map(|_| ())
    }

    async fn release(&self, p: &str) -> Result<(), StoreError> {
        let act = ArchiveAct::Release(&self.operator_of(p));
        self.store.archive(act).await.map(|_| ())
    }

    pub(super) async fn ask(&self, p: &str, by: &str) -> Result<Uuid, StoreError> {
        let id = Uuid::from_u128(u128::from(self.number()) | (9 << 100));
        let act = ArchiveAct::Request(&self.keeper(by, p), id, "its time is over".to_owned());
        self.store.archive(act).await.map(|_| id)
    }

    pub(super) async fn approve(&self, p: &str, id: Uuid, by: &str) -> Result<Destruction, StoreError> {
        let act = ArchiveAct::Approve(&self.keeper(by, p), id);
        let (done, _) = self.store.archive(act).await?;
        Ok(done.destruction.expect("the request"))
    }

    pub(super) async fn carry_out(&self, p: &str, id: Uuid) -> Result<Destruction, StoreError> {
        let act = ArchiveAct::CarryOut(&self.operator_of(p), id, Arc::new(Stamp));
        let (done, _) = self.store.archive(act).await?;
        Ok(done.destruction.expect("the request"))
    }

    /// Two patients: the first with versions, a deleted resource, identifiers, a stay.
    pub(super) async fn two(&self) {
        self.apply(vec![
            person("p1", "ada marin", "1950-01-02", "M1"),
            person("p2", "ben marin", "1960-01-02", "M2"),
            place("p1", Some("ED"), &["ICU"]),
            place("p2", Some("ED"), &[]),
            put("Observation/o1", &note("p1", "labs", "first")),
            put("Observation/o2", &note("p1", "labs", "gone")),
        ])
        .await;
        self.apply(vec![put("Observation/o1", &note("p1", "labs", "second"))])
            .await;
        self.apply(vec![super::hospital::delete("Observation/o2")]).await;
    }
}

pub(super) async fn a_hold_blocks_destruction(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    is_refused(h.hold("p9").await, "there is no patient p9");
    is_refused(h.ask("p9", "ann").await, "there is no patient p9");
    is_refused(h.release("p1").await, "not under legal hold");
    h.hold("p1").await.expect("held");
    is_refused(h.hold("p1").await, "under legal hold already");
    is_refused(h.ask("p1", "ann").await, "is under legal hold");
    let other = h.ask("p2", "ann").await.expect("another record is not held");
    h.release("p1").await.expect("released");
    let id = h.ask("p1", "ann").await.expect("asked");
    is_refused(h.ask("p1", "bob").await, "asked for already");
    h.hold("p1").await.expect("held");
    is_refused(h.approve("p1", id, "bob").await, "is under legal hold");
    h.release("p1").await.expect("released");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    h.hold("p1").await.expect("held");
    is_refused(h.carry_out("p1", id).await, "is under legal hold");
    let all = h.store.archived().await.expect("listed");
    assert_eq!(all.holds.len(), 1);
    assert_eq!(
        (&all.holds[0].patient, &*all.holds[0].reason),
        (&pat("p1"), "a claim")
    );
    let states: Vec<(Uuid, &str)> = all.destructions.iter().map(|d| (d.id, d.state())).collect();
    assert_eq!(states, [(other, "requested"), (id, "approved")]);
    assert!(h.card("p1").await.is_some(), "nothing was destroyed");
}

pub(super) async fn destruction_needs_two_other_people(h: Hospital) {
    h.staff(&["cyd"]).await;
    h.two().await;
    is_refused(h.ask("p1", "cyd").await, "no account");
    let id = h.ask("p1", "ann").await.expect("asked");
    is_refused(h.approve("p1", id, "ann").await, "somebody else must approve");
    is_refused(h.approve("p1", id, "cyd").await, "no account");
    is_refused(h.approve("p2", id, "bob").await, "there is no request");
    is_refused(h.carry_out("p1", id).await, "0 of the 2 approvals");
    h.approve("p1", id, "bob").await.expect("approved");
    is_refused(h.approve("p1", id, "bob").await, "has approved it already");
    is_refused(h.carry_out("p1", id).await, "1 of the 2 approvals");
    h.staff(&[]).await;
    h.approve("p1", id, "cyd").await.expect("approved");
    h.staff(&["bob"]).await;
    is_refused(h.carry_out("p1", id).await, "bob has no account");
    h.staff(&[]).await;
    let broken = ArchiveAct::CarryOut(&h.operator_of("p1"), id, Arc::new(Broken));
    assert!(h.store.archive(broken).await.is_err());
    assert!(
        h.card("p1").await.is_some(),
        "without a certificate nothing is destroyed"
    );
    let act = ArchiveAct::Withdraw(&h.keeper("bob", "p1"), id);
    let (done, _) = h.store.archive(act).await.expect("withdrawn");
    assert_eq!(done.destruction.expect("the request").state(), "withdrawn");
    is_refused(h.approve("p1", id, "bob").await, "is withdrawn");
    is_refused(h.carry_out("p1", id).await, "is withdrawn");
    h.ask("p1", "bob").await.expect("it may be asked for again");
}

pub(super) async fn destroys_a_record_once(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    let before = h.store.counts().await.expect("counts");
    let pos = *h.store.watch().borrow();
    let rev = h.store.revision(&pat("p1")).await.expect("a revision");
    let d = h.carry_out("p1", id).await.expect("destroyed");

    let done = d.destroyed.clone().expect("what was destroyed");
    let counted = |kind: &str| done.types.get(kind).copied().unwrap_or_default();
    let of = |resources, versions| Counted { resources, versions };
    assert_eq!(counted("Patient"), of(1, 1));
    assert_eq!(counted("Encounter"), of(1, 1));
    assert_eq!(
        counted("Observation"),
        of(2, 4),
        "two versions each, one of them a deletion"
    );
    let hash = |bytes: &[u8]| {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        digest.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"))
    };
    let body = |op: crate::ChangeOp| match op.kind {
        crate::ChangeKind::Put(bytes) => bytes.to_vec(),
        crate::ChangeKind::Delete => Vec::new(),
    };
    let lines = [
        ("Encounter p1-stay 1", body(place("p1", Some("ED"), &["ICU"]))),
        ("Observation o1 1", note("p1", "labs", "first").bytes().to_vec()),
        ("Observation o1 2", note("p1", "labs", "second").bytes().to_vec()),
        ("Observation o2 1", note("p1", "labs", "gone").bytes().to_vec()),
        ("Observation o2 2", Vec::new()),
        (
            "Patient p1 1",
            body(person("p1", "ada marin", "1950-01-02", "M1")),
        ),
    ];
    let list: String = lines
        .iter()
        .map(|(what, bytes)| format!("{what} {}\n", hash(bytes)))
        .collect();
    assert_eq!(done.sha256, hash(list.as_bytes()), "over {list}");
    assert_eq!(d.certificate, Some(format!("{id} {}", done.sha256)));

    // Nothing of it can be read, found or listed.
    for at in [
        "Patient/p1",
        "Observation/o1",
        "Observation/o2",
        "Encounter/p1-stay",
    ] {
        let permit = h.client(Some("p1"));
        let found = h.store.read(&permit, &key(at)).await.expect("read");
        let r = h.open(&permit, found).await.expect("it is known as deleted");
        assert!(r.deleted && r.body.is_empty(), "{at}: {r:?}");
        for version in 1..r.version {
            let permit = h.client(Some("p1"));
            let found = h.store.vread(&permit, &key(at), version).await.expect("read");
            assert_eq!(h.open(&permit, found).await, None, "{at} version {version}");
        }
    }
    assert_eq!(h.card("p1").await, None);
    let permit = h.client(Some("p1"));
    let page = Page {
        after: None,
        limit: 100,
    };
    let chart = h.store.everything(&permit, page).await.expect("read");
    assert_eq!(h.open(&permit, chart).await.total, 0);
    for text in ["ada", "M1", "1950-01-02"] {
        let permit = h.client(None);
        let query = SearchQuery {
            text: text.to_owned(),
            by: crate::SearchBy::Words,
            limit: 10,
        };
        let hits = h.store.search(&permit, &query).await.expect("searched");
        let hits = h.open(&permit, hits).await;
        assert_eq!((hits.hits.len(), hits.of), (0, 1), "{text}");
    }
    let ident = h.store.by_identifier("Patient", Some("mrn"), "M1").await;
    assert!(ident.expect("asked").is_empty());
    let after = h.store.counts().await.expect("counts");
    assert_eq!(after.patients, before.patients - 1);
    assert_eq!(after.resources.get("Observation").copied().unwrap_or(0), 0);
    assert_eq!(after.resources.get("Patient").copied(), Some(1));

    // The feed takes it out of every scope, and each is as the feed says.
    let told = h.store.changes_since(pos, None, 100).await.expect("told").rows;
    for (scope, item) in [
        ("ess:site", "p1"),
        ("ess:ED", "p1"),
        ("ess:ICU", "p1"),
        ("board:ED", "p1"),
        ("pat:p1", "Patient/p1"),
        ("pat:p1", "Observation/o1"),
        ("pat:p1", "Encounter/p1-stay"),
    ] {
        let row = told.iter().find(|r| r.scope == scope && r.key == item);
        assert!(row.is_some_and(|r| r.tomb), "{scope} {item}: {told:?}");
        let (refs, _) = h.store.scope_refs(scope).await.expect("refs");
        assert!(refs.iter().all(|r| r.key != item), "{scope} {item}");
    }
    assert!(told.iter().all(|r| r.tomb), "{told:?}");
    let of_record: Vec<_> = told.iter().filter(|r| r.scope == "pat:p1").collect();
    assert_eq!(of_record.first().map(|r| r.prev), Some(rev));
    let now = h.store.revision(&pat("p1")).await.expect("a revision");
    assert_eq!(of_record.last().map(|r| r.ver), Some(now));

    // Again, nothing happens and the same is said; of the other patient everything is there.
    let pos = *h.store.watch().borrow();
    assert_eq!(h.carry_out("p1", id).await.expect("again"), d);
    assert_eq!(*h.store.watch().borrow(), pos);
    assert!(h.card("p2").await.is_some());
}

pub(super) async fn a_destroyed_record_stays_destroyed(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    for p in ["p1", "p2"] {
        let n = note(p, "doc", "quagga seen");
        h.apply(vec![put(&format!("DocumentReference/{p}-d"), &n)]).await;
        assert_eq!(h.documents(p, "quagga", 9).await.total, 1);
    }
    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    h.carry_out("p1", id).await.expect("destroyed");
    let notes = h.documents("p1", "quagga", 9).await;
    assert_eq!((notes.total, notes.of), (0, 0));
    assert_eq!(h.documents("p2", "quagga", 9).await.total, 1);
    let gone = |r: Result<crate::Applied, StoreError>, at: usize| match r {
        Err(StoreError::Destroyed { index, patient }) => assert_eq!((index, patient), (at, pat("p1"))),
        other => panic!("{other:?}"),
    };
    gone(
        h.try_apply(vec![person("p1", "ada marin", "1950-01-02", "M1")])
            .await,
        0,
    );
    let batch = vec![
        put("Observation/new2", &note("p2", "labs", "other")),
        put("Observation/new1", &note("p1", "labs", "late")),
    ];
    gone(h.try_apply(batch).await, 1);
    gone(
        h.try_apply(vec![put("Observation/o1", &note("p2", "labs", "taken over"))])
            .await,
        0,
    );
    let permit = h.client::<WriteClinical>(None);
    let again = h.store.apply(&permit, h.batch(Vec::new())).await;
    assert!(again.is_ok(), "others write: {again:?}");
    h.apply(vec![put("Observation/new2", &note("p2", "labs", "other"))])
        .await;
    assert_eq!(
        h.store.owner(&key("Observation/new1")).await.expect("asked"),
        None
    );
    let refused =
        |r: Result<(), StoreError>| assert!(matches!(r, Err(StoreError::Destroyed { .. })), "{r:?}");
    refused(h.hold("p1").await);
    refused(h.ask("p1", "ann").await.map(|_| ()));
    let rows = h.store.heads().await.expect("heads");
    assert!(rows.iter().any(|(_, head)| head.seq > 0), "audit rows stay");
}
