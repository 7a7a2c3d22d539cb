//! A department for the move: what happens in it beside admissions, and all that its store's doors show.

use crate::harness::*;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vitrine_access::Disclosure;
use vitrine_access::action::ManageUsers;
use vitrine_access::chain::{Head, Row};
use vitrine_access::grant::{Grant, Reason};
use vitrine_clinical::{DeviceId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::archive::{ArchiveAct, ArchiveList};
use vitrine_store::conformance::hospital::{Hospital, delete, key, pat};
use vitrine_store::identities::{Bound, ProviderSession};
use vitrine_store::imaging::{Blob, InstanceRow, NewInstance, StudyQuery, StudyRow};
use vitrine_store::totp::TotpChange;
use vitrine_store::{
    Account, AccountChange, ChangeBatch, ChangeKind, ChangeOp, ClientRow, EnrolCode, GrantRow, Keeping,
    KeptMessage, MessageCount, MessageOutcome, MessageQuery, MessageState, NewDevice, NewMessage, Page,
    Precondition, QuarantineItem, SearchBy, SearchQuery, SessionRow, StoredResource,
};

pub fn put(body: &Value) -> ChangeOp {
    let at = format!(
        "{}/{}",
        body["resourceType"].as_str().unwrap(),
        body["id"].as_str().unwrap()
    );
    ChangeOp {
        key: key(&at),
        kind: ChangeKind::Put(Bytes::from(body.to_string())),
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

pub fn lab(id: &str, patient: &str, value: &str) -> Value {
    serde_json::from_str(&observation(Some(id), patient, value)).unwrap()
}

/// An instance of an image of a patient.
pub fn image(patient: &str, series: u32, n: u8) -> NewInstance {
    NewInstance {
        patient: pat(patient),
        study: "1.2.826.77".into(),
        day: Some(20_260_131),
        accession: Some("ACC-77".into()),
        study_header: Bytes::from_static(br#"{"00081030":{"vr":"LO","Value":["CT Thorax"]}}"#),
        series: format!("1.2.826.77.{series}"),
        series_header: Bytes::from_static(br#"{"00080060":{"vr":"CS","Value":["CT"]}}"#),
        uid: format!("1.2.826.77.{series}.{n}"),
        position: n.into(),
        header: Bytes::from(format!(
            r#"{{"syntax":"1.2.840.10008.1.2.1","json":{{"n":{n}}}}}"#
        )),
        blob: Blob {
            sha256: [n; 32],
            bytes: 1_000,
            key: zeroize::Zeroizing::new([n + 1; 32]),
        },
    }
}

/// What a department does beside its admissions. Gives the last batch, to be sent again.
pub async fn live(h: &Hospital) -> ChangeBatch {
    let moved = |id: &str| {
        json!({"resourceType": "Patient", "id": id, "active": false,
        "name": [{"family": "Müller-Straße", "given": ["Zoë"]}], "birthDate": "1949-05-03",
        "identifier": [{"system": "urn:test:mrn", "value": "MV-1"}, {"value": "zz 9"}]})
    };
    h.apply(vec![put(&moved("mv1")), put(&moved("mv2"))]).await;
    for value in ["4.10", "4.20", "4.30"] {
        h.apply(vec![put(&lab("mv-obs", "mv1", value))]).await;
    }
    // It was the other patient's; then it is gone, and comes again.
    h.apply(vec![put(&lab("mv-obs", "mv2", "4.30"))]).await;
    h.apply(vec![put(&lab("mv-gone", "mv1", "1.0"))]).await;
    h.apply(vec![delete("Observation/mv-gone")]).await;
    h.apply(vec![put(&lab("mv-back", "mv1", "1.0"))]).await;
    h.apply(vec![delete("Observation/mv-back")]).await;
    h.apply(vec![put(&lab("mv-back", "mv1", "2.0"))]).await;
    let mut long = lab("mv-long", "mv1", "1.0");
    long["note"] = json!([{"text": "steady ".repeat(13_000)}]);
    h.apply(vec![put(&long)]).await;

    for (series, n) in [(1, 1), (1, 2), (2, 1)] {
        let batch = ChangeBatch {
            images: vec![image("mv1", series, n)],
            ..h.batch(Vec::new())
        };
        let permit = h.client::<vitrine_access::action::WriteClinical>(None);
        h.store.apply(&permit, batch).await.unwrap();
    }

    let (store, at) = (&h.store, UtcMs(now_ms()));
    let code = EnrolCode {
        hash: [5; 32],
        ward: WardId::new("ED").unwrap(),
        site: true,
        until: UtcMs(at.0 + 1_000_000),
    };
    store.put_enrol_code(&h.operator(), code.clone()).await.unwrap();
    let device = DeviceId::new("station-1").unwrap();
    let new = NewDevice {
        id: device.clone(),
        name: "Ä station".to_owned(),
        public_key: vec![1; 32],
    };
    store.enrol(code.hash, new, at).await.unwrap();
    store.put_enrol_code(&h.operator(), code).await.unwrap();
    store
        .device_seen(&device, at, Some("{\"lag\":1}".to_owned()))
        .await
        .unwrap();
    let mut head = Head::EMPTY;
    for n in 0..7 {
        let body = json!({"at": at.0 + n, "action": "read-card", "n": n}).to_string();
        let after = head.after(body.as_bytes());
        let row = Row {
            seq: after.seq,
            prev: head.hash,
            hash: after.hash,
            body,
        };
        store.accept_device_rows(&device, vec![row]).await.unwrap();
        head = after;
    }
    for n in 0..3 {
        let grant = Grant {
            id: vitrine_server::clock::new_access(),
            user: UserId::new("a.nurse").unwrap(),
            device: Some(device.clone()),
            patient: pat("mv1"),
            reason: Reason::CannotConsent,
            words: Some("no pulse".to_owned()),
            at: UtcMs(at.0 + n),
            until: UtcMs(at.0 + 1000),
            offline: true,
            declared: None,
        };
        let entry = received(&grant, at);
        store.keep_grant(GrantRow::new(grant, at), entry).await.unwrap();
    }
    let bad = |n: usize, kind: Option<&str>| QuarantineItem {
        location: format!("admissions.json#{n}"),
        kind: kind.map(str::to_owned),
        reason: "not a resource".to_owned(),
        expression: kind.map(|k| format!("{k}.id")),
        body: Bytes::from(vec![b'{'; n * 400]),
    };
    let items = vec![bad(0, None), bad(1, Some("Patient"))];
    store.quarantine(&h.operator(), at, items).await.unwrap();
    messages(h, at).await;
    store.put_session(session()).await.unwrap();
    let nurse = UserId::new("a.nurse").unwrap();
    store
        .bind_identity("https://idp.example", "s-1", &nurse, at)
        .await
        .unwrap();
    let later = UtcMs(at.0 + 1_000_000);
    assert!(store.once([4; 32], at, later).await.unwrap());
    for (id, secret, keys) in [
        ("ris", Some([8; 32]), None),
        ("pacs", None, Some("{\"keys\":[]}")),
    ] {
        let client = ClientRow {
            id: id.to_owned(),
            secret,
            keys: keys.map(str::to_owned),
            scopes: vec!["system/*.r".to_owned()],
            redirects: Vec::new(),
        };
        store.put_client(&h.operator(), client).await.unwrap();
    }
    let hold = ArchiveAct::Hold(&h.operator_of("mv1"), "a claim".to_owned());
    store.archive(hold).await.unwrap();
    let person = Account {
        user: UserId::new("p.keeper").unwrap(),
        display: "P. Keeper".to_owned(),
        role: "privacy-officer".parse().unwrap(),
        wards: Vec::new(),
        password_phc: "x".to_owned(),
        pin_phc: None,
        disabled: false,
        badges: Vec::new(),
        version: 0,
    };
    let change = AccountChange::Put(person);
    store.change_account(&h.operator(), change).await.unwrap();
    let keeper = UserId::new("p.keeper").unwrap();
    let begun = TotpChange::Begin {
        user: keeper.clone(),
        sealed: vec![9; 60],
        at,
    };
    let confirmed = TotpChange::Confirm {
        user: keeper.clone(),
        sealed: vec![9; 60],
        at,
        step: 59_000_000,
        codes: vec![[1; 32], [2; 32]],
    };
    for change in [begun, confirmed] {
        let permit = h.operator::<ManageUsers>().noted("user", keeper.as_str());
        let entry = permit.entry(Disclosure::default());
        store.change_totp(entry, change).await.unwrap();
    }
    let id = vitrine_server::clock::new_uuid();
    let permit = h.keeper("p.keeper", "mv2");
    let request = ArchiveAct::Request(&permit, id, "its time is over".to_owned());
    store.archive(request).await.unwrap();
    let last = h.batch(vec![
        put(&lab("mv-obs", "mv2", "4.40")),
        delete("Observation/mv-none"),
    ]);
    store.apply(&h.client(None), last.clone()).await.unwrap();
    last
}

fn session() -> SessionRow {
    SessionRow {
        hash: [6; 32],
        holder: "a.nurse".to_owned(),
        client: false,
        device: Some(DeviceId::new("station-1").unwrap()),
        scopes: vec!["x".to_owned()],
        provider: Some(ProviderSession {
            issuer: "https://idp.example".to_owned(),
            subject: "s-1".to_owned(),
            sid: None,
        }),
        at: UtcMs(1),
        until: UtcMs(9_000_000_000_000),
    }
}

/// All that the store's doors show, in comparable form.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub charts: BTreeMap<String, Vec<StoredResource>>,
    versions: Vec<Option<StoredResource>>,
    cards: Vec<Option<vitrine_store::StoredCard>>,
    searches: Vec<(Vec<String>, bool, u64)>,
    scopes: BTreeMap<String, Vec<vitrine_store::ItemRef>>,
    revisions: Vec<u64>,
    owners: Vec<Vec<ResourceKey>>,
    people: String,
    counts: vitrine_store::Counts,
    archived: ArchiveList,
    messages: Vec<KeptMessage>,
    known: Vec<Keeping>,
    message_counts: Vec<MessageCount>,
    studies: Vec<StudyRow>,
    images: Vec<InstanceRow>,
}

/// Two that call themselves the same.
fn message(body: &str) -> NewMessage {
    NewMessage {
        at: UtcMs(1_795_000_000_000),
        feed: "adt".to_owned(),
        sender: "KIS^Ä".to_owned(),
        control: "4711".to_owned(),
        dated: "20261201".to_owned(),
        kind: "ADT^A08".to_owned(),
        of: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// Messages of other systems: waiting, sent twice, held with all there is to say, done with and their bytes forgotten, corrected.
async fn messages(h: &Hospital, at: UtcMs) {
    let (store, long) = (&h.store, "MSH|^~\\&|KIS".repeat(300));
    let first = store.keep_message(message(&long)).await.unwrap();
    let Keeping::New(first) = first else {
        panic!("{first:?}")
    };
    let other = store.keep_message(message("other")).await.unwrap();
    let Keeping::Other { id: other, .. } = other else {
        panic!("{other:?}")
    };
    store.keep_message(message("other")).await.unwrap();
    let copy = NewMessage {
        of: Some(other),
        ..message("corrected")
    };
    let copy = store.keep_message(copy).await.unwrap();
    let Keeping::New(copy) = copy else {
        panic!("{copy:?}")
    };
    let outcome = |state| MessageOutcome {
        state,
        patient: Some(pat("mv1")),
        wrote: 3,
        ..MessageOutcome::default()
    };
    let held = MessageOutcome {
        code: 204,
        place: Some("PID^1^3".to_owned()),
        reason: Some("whose it is cannot be told".to_owned()),
        notes: vec!["ZPI".to_owned()],
        ..MessageOutcome::default()
    };
    let held = MessageOutcome {
        state: MessageState::Held,
        ..held
    };
    assert!(store.settle_message(other, at, held).await.unwrap());
    let applied = outcome(MessageState::Applied);
    assert!(store.settle_message(copy, UtcMs(1), applied).await.unwrap());
    assert_eq!(store.forget_messages(UtcMs(2), 10).await.unwrap(), 1);
    assert!(first < other && other < copy);
}

/// Every message with its bytes, and what is found when they are sent again.
async fn kept_messages(h: &Hospital) -> (Vec<KeptMessage>, Vec<Keeping>) {
    let query = MessageQuery {
        limit: 100,
        ..MessageQuery::default()
    };
    let (mut kept, mut known) = (Vec::new(), Vec::new());
    for row in h.store.messages(&query).await.unwrap() {
        let mut found = h.store.message(row.id).await.unwrap().unwrap();
        assert_eq!(found.row, row);
        // It counts up as it is looked at here.
        found.row.times = 0;
        if row.of.is_none() {
            let body = found.body.clone().unwrap();
            let again = NewMessage { body, ..message("") };
            known.push(h.store.keep_message(again).await.unwrap());
        }
        kept.push(found);
    }
    assert_eq!(kept.iter().filter(|m| m.body.is_none()).count(), 1);
    assert!(
        known.len() == 2 && known.iter().all(|k| matches!(k, Keeping::Again { .. })),
        "{known:?}"
    );
    (kept, known)
}

/// The studies that a search by accession number finds, and every instance of theirs.
async fn pictures(h: &Hospital) -> (Vec<StudyRow>, Vec<InstanceRow>) {
    let permit = h.client(None);
    let query = StudyQuery {
        accession: Some("ACC-77".into()),
        limit: 10,
        ..StudyQuery::default()
    };
    let found = h.store.find_studies(&permit, &query).await.unwrap();
    let studies = h.open(&permit, found).await.studies;
    let mut images = Vec::new();
    for series in studies.iter().flat_map(|s| &s.series) {
        let permit = h.client(Some("mv1"));
        let page = h.store.instances(&permit, &series.uid, None, 10).await.unwrap();
        images.extend(h.open(&permit, page).await.instances);
    }
    assert_eq!((studies.len(), images.len()), (1, 3));
    (studies, images)
}

pub async fn see(h: &Hospital) -> Seen {
    let s = &h.store;
    let (refs, _) = s.scope_refs("ess:site").await.unwrap();
    let patients: Vec<String> = refs.into_iter().map(|r| r.key).collect();
    assert!(patients.iter().any(|p| p == "mv1"));
    let (mut charts, mut versions, mut cards, mut revisions) = (BTreeMap::new(), vec![], vec![], vec![]);
    let mut scopes = BTreeMap::new();
    for p in &patients {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let permit = h.client(Some(p));
            let page = s.everything(&permit, Page { after, limit: 700 }).await.unwrap();
            let page = h.open(&permit, page).await;
            all.extend(page.resources);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        charts.insert(p.clone(), all);
        let permit = h.client(Some(p));
        let card = s.card(&permit).await.unwrap();
        cards.push(h.open(&permit, card).await);
        revisions.push(s.revision(&pat(p)).await.unwrap());
        let scope = format!("pat:{p}");
        scopes.insert(scope.clone(), s.scope_refs(&scope).await.unwrap().0);
    }
    for (id, newest) in [
        ("mv-obs", 5),
        ("mv-gone", 2),
        ("mv-back", 3),
        ("mv-long", 1),
        ("mv-none", 1),
    ] {
        let at = key(&format!("Observation/{id}"));
        let owner = s.owner(&at).await.unwrap().flatten();
        for version in 1..=newest {
            let permit = h.client(owner.as_ref().map(|p| p.as_str()));
            let found = s.vread(&permit, &at, version).await.unwrap();
            versions.push(h.open(&permit, found).await);
        }
    }
    assert!(
        versions.iter().filter(|v| v.is_some()).count() >= 11,
        "{versions:?}"
    );
    let mut searches = Vec::new();
    let asked = [
        "muller",
        "MULLERSTRASSE",
        "zo str 1949",
        "3.5.1949",
        "mv1",
        "zz9",
        "a",
        "19",
        "nobody",
    ];
    let sounds = ["mueller", "Mylar", "a"];
    let both = asked.iter().map(|text| (*text, SearchBy::Words));
    for (text, by) in both.chain(sounds.iter().map(|text| (*text, SearchBy::Sound))) {
        let permit = h.client(None);
        let query = SearchQuery {
            text: text.to_owned(),
            by,
            limit: 1000,
        };
        let found = s.search(&permit, &query).await.unwrap();
        let found = h.open(&permit, found).await;
        let mut hits: Vec<String> = found
            .hits
            .iter()
            .map(|hit| format!("{}@{} {:?}", hit.patient, hit.version, hit.card))
            .collect();
        hits.sort();
        searches.push((hits, found.more, found.of));
    }
    assert_eq!((searches[0].0.len(), searches[4].0.len()), (2, 2), "{searches:?}");
    assert_eq!(searches[asked.len()].0.len(), 2, "by sound: {searches:?}");
    for scope in ["ess:site", "ess:ED", "board:ED", "ess:ICU", "board:ICU", "dir"] {
        scopes.insert(scope.to_owned(), s.scope_refs(scope).await.unwrap().0);
    }
    let (studies, images) = pictures(h).await;
    let (kept, known) = kept_messages(h).await;
    let mut owners = Vec::new();
    for (system, value) in [
        (Some("urn:test:mrn"), "MV-1"),
        (None, "zz 9"),
        (Some("urn:x"), "MV-1"),
    ] {
        let mut found = s.by_identifier("Patient", system, value).await.unwrap();
        found.sort();
        owners.push(found);
    }
    let mut counts = s.counts().await.unwrap();
    counts.audit_rows = 0;
    let people = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        s.accounts().await.unwrap(),
        s.devices().await.unwrap(),
        s.grants(10).await.unwrap(),
        s.quarantined(10).await.unwrap(),
        s.session(&session().hash).await.unwrap(),
        s.clients().await.unwrap(),
        s.enrol_codes(UtcMs(0)).await.unwrap(),
        s.totps().await.unwrap(),
    );
    let nurse = UserId::new("a.nurse").unwrap();
    let bound = s.bind_identity("https://idp.example", "s-1", &nurse, UtcMs(1));
    assert_eq!(bound.await.unwrap(), Bound::Known);
    let other = s.bind_identity("https://idp.example", "s-2", &nurse, UtcMs(1));
    assert_eq!(other.await.unwrap(), Bound::OtherSubject);
    assert!(!s.once([4; 32], UtcMs(1), UtcMs(2)).await.unwrap(), "used before");
    Seen {
        charts,
        versions,
        cards,
        searches,
        scopes,
        revisions,
        owners,
        people,
        counts,
        archived: s.archived().await.unwrap(),
        messages: kept,
        known,
        message_counts: s.message_counts(UtcMs(0)).await.unwrap(),
        studies,
        images,
    }
}
