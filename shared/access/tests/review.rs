//! The review of a broken glass: what may follow what, and when the clock speaks.

use proptest::prelude::*;
use vitrine_access::grant::REVIEW_DUE_MS;
use vitrine_access::review::{Did, Event, LATE_GRACE_MS, LEVELS_MS, Refusal, Review, State};
use vitrine_clinical::{UserId, UtcMs};

const HOUR: i64 = 3_600_000;

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user")
}

struct Case {
    actor: UserId,
    event: UtcMs,
    received: UtcMs,
    history: Vec<Event>,
}

impl Case {
    fn new(event: i64, received: i64) -> Self {
        Self {
            actor: user("ann"),
            event: UtcMs(event),
            received: UtcMs(received),
            history: Vec::new(),
        }
    }
    fn review(&self) -> Review<'_> {
        Review {
            actor: &self.actor,
            event: self.event,
            received: self.received,
            history: &self.history,
        }
    }
    fn step(&mut self, did: Did, by: Option<&str>, now: i64) -> Result<State, Refusal> {
        let by = by.map(user);
        let event = self.review().step(did, by.as_ref(), UtcMs(now))?;
        self.history.push(event);
        Ok(self.review().state())
    }
}

fn said(text: &str) -> String {
    text.to_owned()
}

#[test]
fn who_broke_the_glass_does_not_decide_and_nobody_else_explains() {
    let mut c = Case::new(0, 0);
    for did in [
        Did::Asked(said("why?")),
        Did::Appropriate(said("it was me")),
        Did::Suspected(said("me")),
        Did::Confirmed(said("me")),
        Did::Dismissed(said("me")),
    ] {
        assert_eq!(c.step(did, Some("ann"), 1), Err(Refusal::OwnAccess(user("ann"))));
    }
    assert_eq!(
        c.step(Did::Explained(said("for her")), Some("bea"), 1),
        Err(Refusal::NotTheirs(user("ann")))
    );
    assert_eq!(
        c.step(Did::Appropriate(said("seen")), None, 1),
        Err(Refusal::NotByThem)
    );
    assert_eq!(
        c.step(Did::Escalated(1), Some("bea"), 12 * HOUR),
        Err(Refusal::NotByThem)
    );
    assert!(c.history.is_empty());
}

#[test]
fn it_is_asked_explained_and_found_appropriate() {
    let mut c = Case::new(0, 0);
    assert!(!c.review().owes_words(true, UtcMs(2 * HOUR)));
    assert!(!c.review().owes_words(false, UtcMs(HOUR - 1)));
    assert!(c.review().owes_words(false, UtcMs(HOUR)));
    assert_eq!(
        c.step(
            Did::Asked(said("Which patient did you look for?")),
            Some("bea"),
            10
        ),
        Ok(State::Asked)
    );
    assert!(
        c.review().owes_words(true, UtcMs(11)),
        "what was asked is owed an answer"
    );
    assert_eq!(
        c.step(Did::Explained(said("Resuscitation in bay 2.")), Some("ann"), 20),
        Ok(State::Open)
    );
    assert!(!c.review().owes_words(false, UtcMs(2 * HOUR)));
    assert_eq!(
        c.step(Did::Appropriate(said("On duty there.")), Some("bea"), 30),
        Ok(State::Appropriate)
    );
    assert_eq!(c.review().closed_at(), Some(UtcMs(30)));
    assert_eq!(
        (c.review().next(), c.review().escalation(UtcMs(i64::MAX))),
        (None, None)
    );
    for did in [Did::Explained(said("more")), Did::Asked(said("more"))] {
        let by = if did.name() == "explained" { "ann" } else { "bea" };
        assert_eq!(c.step(did, Some(by), 40), Err(Refusal::Closed("appropriate")));
    }
}

#[test]
fn misuse_takes_two_reviewers() {
    let mut c = Case::new(0, 0);
    assert_eq!(
        c.step(Did::Confirmed(said("x")), Some("bea"), 1),
        Err(Refusal::NotSuspected)
    );
    assert_eq!(
        c.step(Did::Suspected(said("A neighbour.")), Some("bea"), 1),
        Ok(State::Suspected)
    );
    assert_eq!(
        c.step(Did::Appropriate(said("x")), Some("cid"), 2),
        Err(Refusal::Suspected)
    );
    for did in [Did::Confirmed(said("x")), Did::Dismissed(said("x"))] {
        assert_eq!(
            c.step(did, Some("bea"), 2),
            Err(Refusal::SecondIsFirst(user("bea")))
        );
    }
    assert_eq!(
        c.step(Did::Dismissed(said("Same ward.")), Some("cid"), 3),
        Ok(State::Open)
    );
    assert_eq!(
        c.step(Did::Suspected(said("Not on duty.")), Some("cid"), 4),
        Ok(State::Suspected)
    );
    assert_eq!(
        c.step(Did::Confirmed(said("x")), Some("cid"), 5),
        Err(Refusal::SecondIsFirst(user("cid"))),
        "the first reviewer is the one who suspects now"
    );
    assert_eq!(
        c.step(Did::Confirmed(said("Agreed.")), Some("bea"), 6),
        Ok(State::Misuse)
    );
    assert_eq!(c.review().closed_at(), Some(UtcMs(6)));
}

#[test]
fn words_are_demanded() {
    let mut c = Case::new(0, 0);
    for text in [String::new(), said(" \n"), "x".repeat(2_001)] {
        assert_eq!(c.step(Did::Appropriate(text), Some("bea"), 1), Err(Refusal::Text));
    }
    assert_eq!(
        c.step(Did::Appropriate("x".repeat(2_000)), Some("bea"), 1),
        Ok(State::Appropriate)
    );
}

#[test]
fn the_clock_speaks_once_for_each_level() {
    let mut c = Case::new(1_000, 5_000);
    assert_eq!(c.review().due(), UtcMs(1_000 + REVIEW_DUE_MS));
    for (level, after) in (1_u8..).zip(LEVELS_MS) {
        let at = 1_000 + after;
        assert_eq!(c.review().next(), Some(UtcMs(at)));
        assert_eq!(c.review().escalation(UtcMs(at - 1)), None);
        assert_eq!(c.step(Did::Escalated(level), None, at - 1), Err(Refusal::NotYet));
        assert_eq!(c.step(Did::Escalated(level), None, at), Ok(State::Open));
        assert_eq!(
            c.step(Did::Escalated(level), None, at),
            Err(Refusal::NotYet),
            "once"
        );
    }
    assert_eq!((c.review().level(), c.review().next()), (3, None));
    // A server that was down says only where things stand now.
    let c = Case::new(0, 0);
    assert_eq!(c.review().escalation(UtcMs(21 * HOUR)), Some(2));
    assert_eq!(c.review().escalation(UtcMs(99 * HOUR)), Some(3));
}

#[test]
fn what_comes_in_late_is_overdue_at_once_and_escalated_four_hours_later() {
    let received = 30 * HOUR;
    let c = Case::new(0, received);
    assert!(c.review().late());
    assert_eq!(c.review().due(), UtcMs(24 * HOUR), "never re-dated");
    assert_eq!(c.review().next(), Some(UtcMs(received + LATE_GRACE_MS)));
    assert_eq!(c.review().escalation(UtcMs(received + LATE_GRACE_MS - 1)), None);
    assert_eq!(c.review().escalation(UtcMs(received + LATE_GRACE_MS)), Some(3));
    // One that arrives within its 24 hours is escalated as any other.
    let c = Case::new(0, 13 * HOUR);
    assert!(!c.review().late());
    assert_eq!(c.review().escalation(UtcMs(13 * HOUR)), Some(1));
}

#[test]
fn somebody_is_told_once_of_each_level_and_that_changes_nothing_else() {
    let told = |level| Did::Notified {
        level,
        to: vec![said("privacy@hospital.example")],
    };
    let mut c = Case::new(0, 0);
    assert_eq!(c.review().untold(), Some(0));
    assert_eq!(
        c.step(told(1), None, 1),
        Err(Refusal::Told),
        "not a level that is reached"
    );
    assert_eq!(c.step(told(0), Some("bea"), 1), Err(Refusal::NotByThem));
    assert_eq!(c.step(told(0), None, 1), Ok(State::Open));
    assert_eq!(c.review().untold(), None);
    assert_eq!(c.step(told(0), None, 2), Err(Refusal::Told));
    c.step(Did::Escalated(1), None, 12 * HOUR).expect("level 1");
    c.step(Did::Escalated(2), None, 20 * HOUR).expect("level 2");
    assert_eq!(c.review().untold(), Some(2), "the highest alone");
    c.step(told(2), None, 20 * HOUR).expect("told");
    assert_eq!((c.review().untold(), c.review().level()), (None, 2));
    c.step(Did::Suspected(said("why")), Some("bea"), 21 * HOUR)
        .expect("suspected");
    c.step(Did::Escalated(3), None, 24 * HOUR).expect("level 3");
    assert_eq!(c.step(told(3), None, 24 * HOUR), Ok(State::Suspected));
    c.step(Did::Confirmed(said("yes")), Some("cid"), 25 * HOUR)
        .expect("confirmed");
    assert_eq!(c.review().closed_at(), Some(UtcMs(25 * HOUR)));
    let mut c = Case::new(0, 0);
    c.step(Did::Appropriate(said("on duty")), Some("bea"), 1)
        .expect("closed");
    assert_eq!(c.review().untold(), None, "whoever decided knows");
}

#[test]
fn a_history_is_kept_as_it_was_said() {
    let mut c = Case::new(0, 0);
    c.step(Did::Escalated(1), None, 12 * HOUR).expect("escalated");
    c.step(Did::Suspected(said("“Why?”")), Some("bea"), 13 * HOUR)
        .expect("suspected");
    let json = serde_json::to_string(&c.history).expect("json");
    assert_eq!(
        json,
        r#"[{"at":43200000,"did":"escalated","what":1},{"at":46800000,"by":"bea","did":"suspected","what":"“Why?”"}]"#
    );
    assert_eq!(
        serde_json::from_str::<Vec<Event>>(&json).expect("read"),
        c.history
    );
}

fn did() -> impl Strategy<Value = Did> {
    let text = || Just(said("words"));
    prop_oneof![
        text().prop_map(Did::Explained),
        text().prop_map(Did::Asked),
        text().prop_map(Did::Appropriate),
        text().prop_map(Did::Suspected),
        text().prop_map(Did::Confirmed),
        text().prop_map(Did::Dismissed),
        text().prop_map(Did::Revoked),
        (0_u8..5).prop_map(Did::Escalated),
        (0_u8..5).prop_map(|level| Did::Notified {
            level,
            to: vec![said("a@b.example")]
        }),
    ]
}

proptest! {
    /// Whatever is tried by whomever, in whatever order: the due time stays, who broke the glass decides nothing, misuse is
    /// the word of two others, a level is said once and not before its time, and what is closed stays as it is.
    #[test]
    fn no_order_of_acts_breaks_the_rules(
        late in 0_i64..40,
        acts in proptest::collection::vec((did(), proptest::option::of(prop_oneof![Just("ann"), Just("bea"), Just("cid")]), 0_i64..3 * HOUR), 0..40),
    ) {
        let mut c = Case::new(0, late * HOUR);
        let due = c.review().due();
        let mut now = late * HOUR;
        for (did, by, later) in acts {
            now += later;
            let before = c.review().state();
            let level = c.review().level();
            let is = c.step(did.clone(), by, now);
            prop_assert_eq!(c.review().due(), due);
            if before.closed() || matches!(did, Did::Revoked(_)) {
                prop_assert_eq!(c.review().state(), before);
                prop_assert!(is.is_err() || matches!(did, Did::Revoked(_)));
            }
            if is.is_err() {
                prop_assert_eq!(c.review().state(), before);
                continue;
            }
            match &did {
                Did::Explained(_) => prop_assert_eq!(by, Some("ann")),
                Did::Escalated(to) => {
                    prop_assert!(by.is_none() && *to > level && *to <= 3);
                    prop_assert!(now >= LEVELS_MS[usize::from(*to) - 1]);
                    prop_assert!(late * HOUR <= REVIEW_DUE_MS || now >= late * HOUR + LATE_GRACE_MS);
                }
                Did::Notified { level: of, .. } => prop_assert!(by.is_none() && *of == level),
                _ => prop_assert!(by.is_some() && by != Some("ann")),
            }
        }
        if c.review().state() == State::Misuse {
            let by = |name: &str| c.history.iter().rev().find(|e| e.did.name() == name).and_then(|e| e.by.clone());
            prop_assert!(by("confirmed").is_some() && by("confirmed") != by("suspected"));
        }
        prop_assert_eq!(c.review().closed_at().is_some(), c.review().state().closed());
    }
}
