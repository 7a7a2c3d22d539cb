//! Cases about broken glass and its review.

use super::hospital::{Hospital, pat, person};
use crate::reviews::ReviewOrder;
use crate::{GrantRow, StoreError};
use uuid::Uuid;
use vitrine_access::action::{OperateServer, ReviewBreakGlass};
use vitrine_access::grant::{Ended, EndedBy, GRANT_MS, GrantId, LaterWords, Reason};
use vitrine_access::review::{Did, State};
use vitrine_access::{AccessId, Actor, AuditEntry, Disclosure, Grant};
use vitrine_clinical::{UserId, UtcMs};

const HOUR: i64 = 3_600_000;

fn id(n: u128) -> GrantId {
    AccessId(Uuid::from_u128(n))
}

fn row(n: u128, at: i64, received: i64) -> GrantRow {
    let grant = Grant {
        id: id(n),
        user: UserId::new("ann").expect("a user"),
        device: None,
        patient: pat("p1"),
        reason: Reason::LifeThreatening,
        words: None,
        at: UtcMs(at),
        until: UtcMs(at + GRANT_MS),
        offline: true,
        declared: None,
    };
    GrantRow::new(grant, UtcMs(received))
}

impl Hospital {
    /// The row of an act on a review, by the clock or by a person.
    fn row_of(&self, at: i64, user: Option<&str>) -> AuditEntry {
        let mut entry = self.operator::<OperateServer>().entry(Disclosure::default());
        entry.at = UtcMs(at);
        if let Some(user) = user {
            entry.actor = Actor::User(UserId::new(user).expect("a user"));
        }
        entry
    }

    async fn keep(&self, row: GrantRow) -> (GrantRow, bool) {
        let entry = self.row_of(row.received.0, Some("ann"));
        let (kept, receipt) = self.store.keep_grant(row, entry).await.expect("kept");
        (kept, receipt.is_some())
    }

    async fn reviewed(&self, user: &str, n: u128, did: Did) -> Result<GrantRow, StoreError> {
        let permit = self.keeper::<ReviewBreakGlass>(user, "p1");
        let order = ReviewOrder::reviewing(&permit, id(n), did);
        let (row, receipt) = self.store.review(order).await?;
        assert!(receipt.is_some(), "an act has a row");
        Ok(row)
    }

    async fn looks(&self, n: u128, at: i64) -> (GrantRow, bool) {
        let order = ReviewOrder::clock(self.row_of(at, None), id(n));
        let (row, receipt) = self.store.review(order).await.expect("looked");
        (row, receipt.is_some())
    }

    async fn told(&self, order: ReviewOrder) -> Result<(GrantRow, bool), StoreError> {
        let (row, receipt) = self.store.review(order).await?;
        Ok((row, receipt.is_some()))
    }

    async fn to_look_at(&self, at: i64) -> Vec<GrantId> {
        self.store.reviews_due(UtcMs(at), 9).await.expect("listed")
    }

    async fn last_row(&self) -> u64 {
        self.store
            .heads()
            .await
            .expect("heads")
            .iter()
            .map(|(_, h)| h.seq)
            .max()
            .unwrap_or(0)
    }
}

fn said(text: &str) -> String {
    text.to_owned()
}

pub(super) async fn keeps_grants_once(h: Hospital) {
    for (n, at) in [(1, 10), (2, 30), (3, 20)] {
        assert_eq!(h.keep(row(n, at, at + 1)).await, (row(n, at, at + 1), true));
    }
    let rows = h.last_row().await;
    let mut longer = row(1, 10, 99);
    longer.grant.until = UtcMs(10 + 2 * GRANT_MS);
    assert_eq!(
        h.keep(longer).await,
        (row(1, 10, 11), false),
        "sent again with another end, what was kept stands"
    );
    assert_eq!(h.last_row().await, rows, "and no row is written");
    let kept = h.store.grants(10).await.expect("grants");
    assert_eq!(
        kept,
        [row(2, 30, 31), row(3, 20, 21), row(1, 10, 11)],
        "newest first, and never re-dated"
    );
    assert_eq!(h.store.grants(1).await.expect("grants").len(), 1);
    assert_eq!(h.store.grant(id(3)).await.expect("grant"), Some(row(3, 20, 21)));
    assert_eq!(h.store.grant(id(9)).await.expect("grant"), None);
    let open = h.store.open_reviews(2).await.expect("open");
    assert_eq!(open, [row(1, 10, 11), row(3, 20, 21)], "oldest first");
    let waiting = h.store.reviews_waiting(UtcMs(30)).await.expect("counted");
    assert_eq!(waiting, (3, 2), "of before the moment, not at it");
}

pub(super) async fn names_whose_glass_was_broken(h: Hospital) {
    h.apply(vec![person("p1", "Doe Jane", "1970-01-01", "77")]).await;
    h.keep(row(1, 0, 1)).await;
    let mut stranger = row(2, 0, 1);
    stranger.grant.patient = pat("p2");
    h.keep(stranger).await;
    for (n, patient, known) in [(1, Some("p1"), true), (2, Some("p2"), false), (9, None, false)] {
        let permit = h.keeper::<ReviewBreakGlass>("bea", "p1");
        let sealed = h.store.reviewed_patient(&permit, id(n)).await.expect("read");
        let said = sealed.disclosure().clone();
        assert_eq!(said.patients, patient.map(pat).into_iter().collect::<Vec<_>>());
        let named: Vec<String> = said.resources.iter().map(|r| r.key.to_string()).collect();
        assert_eq!(
            named,
            if known {
                vec!["Patient/p1".to_owned()]
            } else {
                vec![]
            }
        );
        let hit = h.open(&permit, sealed).await;
        let found = hit.map(|hit| (hit.patient, hit.version > 0 && !hit.card.is_empty()));
        assert_eq!(found, known.then(|| (pat("p1"), true)));
    }
}

pub(super) async fn a_review_is_decided_by_others(h: Hospital) {
    for n in [1, 2] {
        h.keep(row(n, 0, 1)).await;
    }
    let rows = h.last_row().await;
    let refused =
        |r: Result<GrantRow, StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))), "{r:?}");
    refused(h.reviewed("ann", 1, Did::Appropriate(said("mine"))).await);
    refused(h.reviewed("bea", 9, Did::Appropriate(said("whose?"))).await);
    refused(h.reviewed("bea", 1, Did::Confirmed(said("what?"))).await);
    assert_eq!(h.last_row().await, rows, "what is refused leaves no trace");
    assert_eq!(h.store.grant(id(1)).await.expect("grant"), Some(row(1, 0, 1)));

    let asked = h
        .reviewed("bea", 1, Did::Asked(said("Why?")))
        .await
        .expect("asked");
    assert_eq!(asked.review().state(), State::Asked);
    let order = ReviewOrder::explaining(h.row_of(5, Some("ann")), id(1), said("Resuscitation."));
    let (told, receipt) = h.store.review(order).await.expect("explained");
    assert!(receipt.is_some() && told.review().state() == State::Open);
    let done = h
        .reviewed("bea", 1, Did::Appropriate(said("On duty.")))
        .await
        .expect("decided");
    assert_eq!(done.review().state(), State::Appropriate);
    assert_eq!(done.review_due, row(1, 0, 1).review_due);
    refused(h.reviewed("cid", 1, Did::Suspected(said("late"))).await);

    h.reviewed("bea", 2, Did::Suspected(said("A neighbour.")))
        .await
        .expect("suspected");
    refused(h.reviewed("bea", 2, Did::Confirmed(said("sure"))).await);
    let open = h.store.open_reviews(9).await.expect("open");
    assert_eq!(open.len(), 1, "one waits for a second reviewer");
    let done = h
        .reviewed("cid", 2, Did::Confirmed(said("Agreed.")))
        .await
        .expect("confirmed");
    assert_eq!(done.review().state(), State::Misuse);
    assert!(h.store.open_reviews(9).await.expect("open").is_empty());
    assert_eq!(
        h.store.reviews_waiting(UtcMs(i64::MAX)).await.expect("counted"),
        (0, 0)
    );
    assert!(
        h.to_look_at(i64::MAX).await.is_empty(),
        "what is closed is looked at no more"
    );
    let kept = h.store.grant(id(2)).await.expect("grant").expect("there");
    assert_eq!(kept, done, "with all that was said");
    assert_eq!(h.store.grants(9).await.expect("grants").len(), 2);
}

pub(super) async fn a_grant_ends_once_and_its_words_come_later(h: Hospital) {
    let refused =
        |r: Result<(GrantRow, bool), StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))), "{r:?}");
    let end = |at| Ended {
        at: UtcMs(at),
        by: EndedBy::Lock,
    };
    let words = |text: &str| LaterWords {
        at: UtcMs(60),
        text: said(text),
    };
    refused(h.told(ReviewOrder::ended(h.row_of(9, None), id(1), end(9))).await);
    h.keep(row(1, 10, 11)).await;
    h.keep(row(2, 10, 11)).await;
    assert!(
        h.store
            .grant(id(1))
            .await
            .expect("grant")
            .expect("there")
            .in_force(UtcMs(20))
    );

    let rows = h.last_row().await;
    let (ended, new) = h
        .told(ReviewOrder::ended(h.row_of(90, None), id(1), end(50)))
        .await
        .expect("ended");
    assert!(new && !ended.in_force(UtcMs(20)) && ended.until() == UtcMs(50));
    assert_eq!(
        (ended.review_due, ended.grant.until, ended.next_look()),
        (
            row(1, 10, 11).review_due,
            UtcMs(10 + GRANT_MS),
            row(1, 10, 11).next_look()
        ),
        "the grant stays as it was made, and its review is never re-dated"
    );
    assert_eq!(h.last_row().await, rows + 1);
    let again = ReviewOrder::ended(h.row_of(95, None), id(1), end(70));
    assert_eq!(
        h.told(again).await.expect("again"),
        (ended.clone(), false),
        "the first end that was told stands"
    );
    let kept = h.keep(row(1, 10, 99)).await;
    assert_eq!(kept, (ended, false), "sent up once more, it stays ended");

    let by =
        |user: Option<&str>, n, text: &str| ReviewOrder::later_words(h.row_of(80, user), id(n), words(text));
    refused(h.told(by(Some("bea"), 1, "hers")).await);
    refused(h.told(by(Some("ann"), 1, " ")).await);
    assert_eq!(h.last_row().await, rows + 1, "neither leaves a row");
    let (told, new) = h.told(by(Some("ann"), 1, "No pulse.")).await.expect("told");
    assert!(new && told.words == Some(words("No pulse.")));
    assert!(!told.review().owes_words(false, UtcMs(9 * HOUR)));
    assert_eq!(
        h.told(by(Some("ann"), 1, "Otherwise.")).await.expect("again"),
        (told.clone(), false),
        "the first that were told stand"
    );
    assert_eq!(h.last_row().await, rows + 2);

    // One that is decided takes them too, and stays as it was decided.
    let closed = h
        .reviewed("bea", 2, Did::Appropriate(said("On duty.")))
        .await
        .expect("decided");
    let (told, new) = h.told(by(Some("ann"), 2, "A fall.")).await.expect("told");
    assert!(new && told.words == Some(words("A fall.")));
    assert_eq!(
        (told.review().closed_at(), &told.history),
        (closed.review().closed_at(), &closed.history)
    );
    let kept = h.store.grants(9).await.expect("grants");
    assert_eq!(kept.iter().filter(|g| g.words.is_some()).count(), 2);
    assert_eq!(kept.iter().filter(|g| g.ended.is_some()).count(), 1);
}

pub(super) async fn a_grant_is_taken_back_while_it_is_in_force(h: Hospital) {
    let refused =
        |r: Result<GrantRow, StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))), "{r:?}");
    let back = |text: &str| Did::Revoked(said(text));
    // The permits of this hospital are of this time.
    const NOW: i64 = 1_750_000_000_000;
    let made = |n| row(n, NOW, NOW + 1);
    for n in 1..=3 {
        h.keep(made(n)).await;
    }
    h.keep(row(4, 10, 11)).await;
    let rows = h.last_row().await;
    refused(h.reviewed("ann", 1, back("mine")).await);
    refused(h.reviewed("bea", 1, back(" ")).await);
    refused(h.reviewed("bea", 9, back("whose?")).await);
    refused(h.reviewed("bea", 4, back("over for years")).await);
    assert_eq!(h.last_row().await, rows, "what is refused leaves no trace");

    let taken = h
        .reviewed("bea", 1, back("Not on duty."))
        .await
        .expect("taken back");
    let ended = taken.ended.expect("it ended");
    assert_eq!(
        (ended.by, taken.review().state()),
        (EndedBy::Revoked, State::Open)
    );
    assert!(!taken.in_force(UtcMs(NOW + 20)) && taken.next_look() == made(1).next_look());
    assert_eq!(h.store.grant(id(1)).await.expect("grant"), Some(taken.clone()));
    assert_eq!(h.last_row().await, rows + 1);
    refused(h.reviewed("cid", 1, back("again")).await);
    let late = Ended {
        at: UtcMs(12),
        by: EndedBy::Lock,
    };
    let told = h.told(ReviewOrder::ended(h.row_of(90, None), id(1), late)).await;
    assert_eq!(told.expect("told"), (taken, false), "the first end stands");

    // One that is decided is taken back too, and stays decided as it was; one that ended by itself has nothing to take back.
    let closed = h
        .reviewed("bea", 2, Did::Appropriate(said("On duty.")))
        .await
        .expect("decided");
    let taken = h
        .reviewed("cid", 2, back("Left at noon."))
        .await
        .expect("taken back");
    assert_eq!(
        (
            taken.review().state(),
            taken.review().closed_at(),
            taken.next_look()
        ),
        (State::Appropriate, closed.review().closed_at(), None)
    );
    h.told(ReviewOrder::ended(h.row_of(95, None), id(3), late))
        .await
        .expect("ended");
    refused(h.reviewed("bea", 3, back("over")).await);
}

pub(super) async fn a_review_is_escalated_once_for_each_level(h: Hospital) {
    h.keep(row(1, 0, 1)).await;
    h.keep(row(2, 0, 30 * HOUR)).await;
    assert!(h.to_look_at(12 * HOUR - 1).await.is_empty());
    assert_eq!(h.to_look_at(12 * HOUR).await, [id(1)]);
    for (at, level) in [(12, 1), (20, 2), (24, 3)] {
        let rows = h.last_row().await;
        let (now, said) = h.looks(1, at * HOUR).await;
        assert_eq!((now.review().level(), said), (level, true));
        assert_eq!(h.last_row().await, rows + 1);
        let (again, said) = h.looks(1, at * HOUR + 1).await;
        assert_eq!((again, said), (now, false), "said once");
        assert_eq!(h.last_row().await, rows + 1);
        assert!(h.to_look_at(at * HOUR + 1).await.is_empty());
    }
    assert_eq!(
        h.to_look_at(33 * HOUR).await,
        [],
        "what came in late is given four hours"
    );
    assert_eq!(h.to_look_at(34 * HOUR).await, [id(2)]);
    let (late, _) = h.looks(2, 34 * HOUR).await;
    assert_eq!(
        (late.late, late.review().level(), late.review_due),
        (true, 3, UtcMs(24 * HOUR))
    );
    assert_eq!(
        h.store.open_reviews(9).await.expect("open").len(),
        2,
        "they stay open"
    );
}
