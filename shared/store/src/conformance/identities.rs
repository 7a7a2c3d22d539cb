//! Cases about identities at the provider.

use super::hospital::Hospital;
use crate::identities::{Bound, ProviderEnd, ProviderSession};
use crate::{SessionRow, StoreError};
use vitrine_clinical::{UserId, UtcMs};

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user")
}

fn session(n: u8, holder: &str, of: Option<(&str, Option<&str>)>) -> SessionRow {
    SessionRow {
        hash: [n; 32],
        holder: holder.to_owned(),
        client: false,
        device: None,
        scopes: Vec::new(),
        provider: of.map(|(subject, sid)| ProviderSession {
            issuer: "https://idp".to_owned(),
            subject: subject.to_owned(),
            sid: sid.map(str::to_owned),
        }),
        at: UtcMs(1),
        until: UtcMs(2),
    }
}

pub(super) async fn binds_one_identity_to_one_account(h: Hospital) {
    let bind = async |issuer: &str, subject: &str, name: &str| {
        h.store
            .bind_identity(issuer, subject, &user(name), UtcMs(5))
            .await
            .expect("bound")
    };
    assert_eq!(bind("https://idp", "s1", "ann").await, Bound::New);
    assert_eq!(bind("https://idp", "s1", "ann").await, Bound::Known);
    assert_eq!(bind("https://idp", "s2", "ann").await, Bound::OtherSubject);
    assert_eq!(bind("https://idp", "s1", "bob").await, Bound::OtherAccount);
    assert_eq!(bind("https://idp", "s2", "bob").await, Bound::New);
    assert_eq!(bind("https://idp", "s1", "bob").await, Bound::OtherAccount);
    assert_eq!(
        bind("https://other", "s1", "bob").await,
        Bound::New,
        "another issuer"
    );
    assert_eq!(bind("https://idp", "S1", "cyd").await, Bound::New, "another text");

    h.store
        .put_session(session(1, "ann", Some(("s1", None))))
        .await
        .expect("kept");
    h.store.put_session(session(2, "ann", None)).await.expect("kept");
    h.store
        .put_session(session(3, "bob", Some(("s2", None))))
        .await
        .expect("kept");
    h.store
        .forget_identity(&h.operator(), &user("ann"))
        .await
        .expect("forgotten");
    let there = async |n: u8| h.store.session(&[n; 32]).await.expect("session").is_some();
    assert_eq!(
        [there(1).await, there(2).await, there(3).await],
        [false, true, true]
    );
    assert!(matches!(
        h.store.forget_identity(&h.operator(), &user("ann")).await,
        Err(StoreError::Refused(_))
    ));
    assert_eq!(bind("https://idp", "s9", "ann").await, Bound::New, "bound anew");
    assert_eq!(bind("https://idp", "s2", "bob").await, Bound::Known);
}

pub(super) async fn ends_the_sessions_of_an_identity(h: Hospital) {
    let all = [
        session(1, "ann", Some(("s1", Some("a")))),
        session(2, "ann", Some(("s1", Some("b")))),
        session(3, "ann", Some(("s1", None))),
        session(4, "bob", Some(("s2", Some("c")))),
        session(5, "ann", None),
    ];
    for s in &all {
        h.store.put_session(s.clone()).await.expect("kept");
        assert_eq!(
            h.store.session(&s.hash).await.expect("session").as_ref(),
            Some(s),
            "it says what it rests on"
        );
    }
    let end = async |subject: Option<&str>, sid: Option<&str>| {
        let of = ProviderEnd {
            issuer: "https://idp".to_owned(),
            subject: subject.map(str::to_owned),
            sid: sid.map(str::to_owned),
        };
        let ended = h.store.end_provider_sessions(&of).await.expect("ended");
        let mut of: Vec<u8> = ended.iter().map(|s| s.hash[0]).collect();
        of.sort_unstable();
        of
    };
    assert!(end(None, None).await.is_empty(), "nobody is named");
    assert!(
        end(Some("s1"), Some("c")).await.contains(&3),
        "a row without a session"
    );
    assert_eq!(end(None, Some("a")).await, [1]);
    assert!(end(None, Some("a")).await.is_empty(), "once");
    assert_eq!(end(Some("s1"), None).await, [2]);
    assert_eq!(end(Some("s2"), Some("c")).await, [4]);
    assert!(h.store.session(&[5; 32]).await.expect("session").is_some());
    h.store.prolong_session(&[1; 32], UtcMs(99)).await.expect("fine");
    assert!(
        h.store.session(&[1; 32]).await.expect("session").is_none(),
        "an ended session stays ended"
    );
}

pub(super) async fn what_counts_once_counts_once(h: Hospital) {
    let once = async |n: u8, at: i64, until: i64| {
        h.store
            .once([n; 32], UtcMs(at), UtcMs(until))
            .await
            .expect("noted")
    };
    assert!(once(1, 10, 20).await);
    assert!(!once(1, 11, 20).await);
    assert!(once(2, 11, 30).await);
    assert!(!once(1, 20, 40).await, "to the last moment");
    assert!(!once(2, 21, 30).await);
    assert!(once(2, 31, 50).await, "forgotten after its time");
}
