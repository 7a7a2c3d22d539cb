//! What is kept of notes: under which keys, and when it goes.

mod support;

use std::sync::Arc;
use support::{hospital, name, open};
use vitrine_access::action::{ManageUsers, ReadChart, SearchPatients};
use vitrine_clinical::UserId;
use vitrine_store::archive::{ArchiveAct, Certify, Destruction};
use vitrine_store::conformance::hospital::{Hospital, note, person, put};
use vitrine_store::notes::NoteQuery;
use vitrine_store::{Account, AccountChange, Accounts as _, Archive as _, ChartStore as _};
use vitrine_store::{SearchBy, SearchQuery, StoreError};
use vitrine_testpg::TestPg;

struct Stamp;
impl Certify for Stamp {
    fn certify(&self, d: &Destruction) -> Result<String, StoreError> {
        Ok(d.id.to_string())
    }
}

async fn found(h: &Hospital, patient: &str, text: &str) -> u64 {
    let permit = h.client::<ReadChart>(Some(patient));
    let query = NoteQuery {
        kind: "DocumentReference".to_owned(),
        text: text.to_owned(),
        limit: 9,
    };
    let sealed = h.store.notes(&permit, &query).await.expect("searched");
    h.open(&permit, sealed).await.total
}

fn count(pg: &TestPg, url: &str, sql: &str) -> u64 {
    let said = pg.psql(name(url), sql).expect("psql");
    said.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_of_one_patient_outlive_keys_and_go_with_the_record() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    h.apply(vec![
        person("p1", "Anna Meyer", "1950", "M1"),
        person("p2", "Eva Schulze", "1950", "M2"),
        put("DocumentReference/a", &note("p2", "doc", "quagga")),
        put("DocumentReference/b", &note("p1", "doc", "quagga")),
    ])
    .await;
    assert_eq!(found(&h, "p2", "quagga").await, 1);
    assert_eq!(found(&h, "p1", "quagga").await, 1);
    let shared = "SELECT count(*) - count(DISTINCT word) FROM note_word";
    assert_eq!(count(&pg, &url, "SELECT count(*) FROM note_word"), 2);
    assert_eq!(
        count(&pg, &url, shared),
        0,
        "the same word of two patients is two tokens"
    );
    // A note that becomes another patient's leaves nothing that outlives either record.
    h.apply(vec![put(
        "DocumentReference/a",
        &note("p1", "doc", "quagga, moved"),
    )])
    .await;
    store.rotate_data_key().await.expect("rotated");
    store.reseal().await.expect("sealed again");
    assert_eq!(found(&h, "p1", "quagga moved").await, 1);
    assert_eq!(found(&h, "p1", "quagga").await, 2);
    let permit = h.client::<SearchPatients>(None);
    let query = SearchQuery {
        text: "Maier".to_owned(),
        by: SearchBy::Sound,
        limit: 9,
    };
    let sealed = store.search(&permit, &query).await.expect("searched");
    assert_eq!(h.open(&permit, sealed).await.hits.len(), 1);

    for user in ["ann", "bob", "cyd"] {
        let account = Account {
            user: UserId::new(user).expect("a user"),
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
        let put = AccountChange::Put(account);
        store.change_account(&permit, put).await.expect("an account");
    }
    let id = uuid::Uuid::from_u128(9_000_000);
    let request = ArchiveAct::Request(&h.keeper("ann", "p1"), id, "over".to_owned());
    store.archive(request).await.expect("asked");
    for user in ["bob", "cyd"] {
        let approve = ArchiveAct::Approve(&h.keeper(user, "p1"), id);
        store.archive(approve).await.expect("approved");
    }
    let carry_out = ArchiveAct::CarryOut(&h.operator_of("p1"), id, Arc::new(Stamp));
    store.archive(carry_out).await.expect("destroyed");
    assert_eq!(count(&pg, &url, "SELECT count(*) FROM note_word"), 0);
    assert_eq!(count(&pg, &url, "SELECT count(*) FROM note"), 0);
    assert_eq!(
        count(
            &pg,
            &url,
            "SELECT count(*) FROM person f JOIN patient p USING (pid) WHERE p.id = 'p1'"
        ),
        0
    );
    assert_eq!(found(&h, "p1", "quagga").await, 0);
}
