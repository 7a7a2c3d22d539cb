//! Cases about second factors.

use super::hospital::Hospital;
use crate::totp::{Totp, TotpChange};
use crate::{Account, AccountChange, StoreError};
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::ManageUsers;
use vitrine_clinical::{UserId, UtcMs, WardId};

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user")
}

fn begin(name: &str, n: u8) -> TotpChange {
    TotpChange::Begin {
        user: user(name),
        sealed: vec![n; 60],
        at: UtcMs(i64::from(n)),
    }
}

fn confirm(name: &str, n: u8, step: u64, codes: &[u8]) -> TotpChange {
    TotpChange::Confirm {
        user: user(name),
        sealed: vec![n; 60],
        at: UtcMs(100),
        step,
        codes: codes.iter().map(|c| [*c; 32]).collect(),
    }
}

async fn person(h: &Hospital, name: &str) {
    let account = Account {
        user: user(name),
        display: name.to_owned(),
        role: "nurse".parse().expect("a role"),
        wards: vec![WardId::new("ED").expect("a ward")],
        password_phc: "p".to_owned(),
        pin_phc: None,
        disabled: false,
        badges: Vec::new(),
        version: 0,
    };
    let change = AccountChange::Put(account);
    h.store.change_account(&h.operator(), change).await.expect("kept");
}

async fn change(h: &Hospital, change: TotpChange) -> Result<(), StoreError> {
    let entry = h.operator::<ManageUsers>().entry(Disclosure::default());
    h.store.change_totp(entry, change).await.map(|_| ())
}

async fn version(h: &Hospital, name: &str) -> u64 {
    let account = h.store.account(&user(name)).await.expect("account");
    account.expect("there").version
}

pub(super) async fn a_second_factor_is_confirmed_once_and_goes_whole(h: Hospital) {
    person(&h, "ann").await;
    person(&h, "bob").await;
    let refused = |r: Result<(), StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))), "{r:?}");
    let kept = async |name: &str| h.store.totp(&user(name)).await.expect("read");
    refused(change(&h, begin("cyd", 1)).await);
    refused(change(&h, confirm("ann", 1, 5, &[])).await);
    refused(change(&h, TotpChange::Remove(user("ann"))).await);
    let rows = async || h.store.counts().await.expect("counts").audit_rows;
    let before = rows().await;
    change(&h, begin("ann", 1)).await.expect("begun");
    assert_eq!(rows().await, before + 1, "with its row; refusals have none");
    assert!(
        !h.store.use_totp(&user("ann"), 7).await.expect("asked"),
        "nothing counts before"
    );
    change(&h, begin("ann", 2)).await.expect("begun anew");
    refused(change(&h, confirm("ann", 1, 5, &[])).await);
    assert_eq!(version(&h, "ann").await, 1, "nothing rests on it yet");
    change(&h, confirm("ann", 2, 5, &[3, 1, 2]))
        .await
        .expect("confirmed");
    let want = Totp {
        user: user("ann"),
        sealed: vec![2; 60],
        made: UtcMs(2),
        confirmed: Some(UtcMs(100)),
        step: 5,
        codes: vec![[1; 32], [2; 32], [3; 32]],
    };
    let mut found = kept("ann").await.expect("there");
    found.codes.sort_unstable();
    assert_eq!(found, want);
    assert_eq!(version(&h, "ann").await, 2, "sessions end");
    refused(change(&h, begin("ann", 3)).await);
    refused(change(&h, confirm("ann", 2, 9, &[])).await);
    change(&h, begin("bob", 4)).await.expect("another's");
    let all = h.store.totps().await.expect("all");
    assert_eq!(
        all.iter().map(|t| t.user.as_str()).collect::<Vec<_>>(),
        ["ann", "bob"]
    );
    change(&h, TotpChange::Remove(user("ann"))).await.expect("gone");
    assert_eq!((kept("ann").await, version(&h, "ann").await), (None, 3));
    assert!(!h.store.use_totp(&user("ann"), 50).await.expect("asked"));
    let gone = h.store.use_recovery(&user("ann"), [1; 32]).await.expect("asked");
    assert_eq!(gone, None, "its recovery codes went with it");
    assert!(kept("bob").await.is_some());
    super::feeds::replay(&h, "dir").await;
}

pub(super) async fn a_code_counts_once(h: Hospital) {
    person(&h, "ann").await;
    person(&h, "bob").await;
    for name in ["ann", "bob"] {
        change(&h, begin(name, 1)).await.expect("begun");
        change(&h, confirm(name, 1, 10, &[1, 2]))
            .await
            .expect("confirmed");
    }
    let step = async |name: &str, n: u64| h.store.use_totp(&user(name), n).await.expect("used");
    assert!(!step("ann", 10).await, "the code of the enrolment");
    assert!(step("ann", 11).await);
    assert!(!step("ann", 11).await, "in its own step");
    assert!(!step("ann", 10).await, "an earlier one after a later one");
    assert!(step("bob", 11).await, "each for themselves");
    assert!(step("ann", 13).await);
    let left = async |n: u8| h.store.use_recovery(&user("ann"), [n; 32]).await.expect("used");
    assert_eq!(left(9).await, None);
    assert_eq!(left(2).await, Some(1));
    assert_eq!(left(2).await, None, "once");
    assert_eq!(left(1).await, Some(0));
    let theirs = h.store.use_recovery(&user("bob"), [2; 32]).await.expect("used");
    assert_eq!(theirs, Some(1), "another's code of the same text is theirs");
    // Many at the same moment: one counts.
    for round in 20_u64..24 {
        let tries = (0..8).map(|_| {
            let store = Arc::clone(&h.store);
            tokio::spawn(async move { store.use_totp(&user("ann"), round).await })
        });
        let mut counted = 0;
        for each in tries.collect::<Vec<_>>() {
            counted += usize::from(each.await.expect("ran").expect("used"));
        }
        assert_eq!(counted, 1, "step {round}");
    }
}
