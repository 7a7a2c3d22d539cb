//! Break-glass grants as they are kept and reviewed.
//!
//! Lives here: what crosses the store ([`ReviewOrder`], [`Reviewed`]), the one function that decides what is written
//! ([`ReviewOrder::step`]) and what a backend must answer ([`Reviews`]). Never here: a database, the policy; the rules of a
//! review are [`vitrine_access::review`]. Called by every backend and by the server.

use crate::{GrantRow, PatientHit, StoreError};
use async_trait::async_trait;
use vitrine_access::action::ReviewBreakGlass;
use vitrine_access::grant::{Ended, EndedBy, Grant, GrantId, LaterWords, REVIEW_DUE_MS};
use vitrine_access::review::{Did, Refusal, Review};
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Permit, Receipt, Sealed};
use vitrine_clinical::{UserId, UtcMs};

impl GrantRow {
    /// A grant as the server learns of it at `received`: its review is due 24 hours after the event, however late it comes
    /// in. An event "from the future" (a workstation's clock runs ahead) is due 24 hours after it became known.
    #[must_use]
    pub fn new(grant: Grant, received: UtcMs) -> Self {
        let review_due = grant.at.min(received).plus_ms(REVIEW_DUE_MS);
        Self {
            late: received > review_due,
            grant,
            received,
            review_due,
            refused: None,
            ended: None,
            words: None,
            history: Vec::new(),
        }
    }

    /// Whether requests may rest on it at this moment or later.
    #[must_use]
    pub fn in_force(&self, now: UtcMs) -> bool {
        self.refused.is_none() && self.ended.is_none() && self.grant.until > now
    }

    /// When it was over, or will be: at its time, or at its end before that.
    #[must_use]
    pub fn until(&self) -> UtcMs {
        self.ended
            .map_or(self.grant.until, |e| e.at.min(self.grant.until))
    }

    /// Its review.
    #[must_use]
    pub fn review(&self) -> Review<'_> {
        Review {
            actor: &self.grant.user,
            event: self.grant.at.min(self.received),
            received: self.received,
            history: &self.history,
        }
    }

    /// When the clock has to look at its review, as backends keep it: `None` for a closed one, the end of time for one at
    /// the highest level.
    #[must_use]
    pub fn next_look(&self) -> Option<i64> {
        let review = self.review();
        (!review.state().closed()).then(|| review.next().map_or(i64::MAX, |at| at.0))
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// Something a person does.
    Did(Did),
    /// That it ended before its time.
    Ended(Ended),
    /// That its user added words at the workstation.
    Words(LaterWords),
    /// That the clock looks.
    Clock,
}

/// An act on one review, with its audit row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewOrder {
    id: GrantId,
    asked: Asked,
    entry: AuditEntry,
}

/// How a review stands after an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The grant with its review.
    pub row: GrantRow,
    /// The row to be written; `None` when nothing was done.
    pub entry: Option<AuditEntry>,
}

impl ReviewOrder {
    /// What a reviewer does.
    #[must_use]
    pub fn reviewing(permit: &Permit<ReviewBreakGlass>, id: GrantId, did: Did) -> Self {
        Self {
            id,
            asked: Asked::Did(did),
            entry: permit.entry(Disclosure::default()),
        }
    }

    /// The words of who broke the glass, who is the actor of `entry`.
    #[must_use]
    pub const fn explaining(entry: AuditEntry, id: GrantId, words: String) -> Self {
        Self {
            id,
            asked: Asked::Did(Did::Explained(words)),
            entry,
        }
    }

    /// Its end before its time, as a workstation tells. The first end that was told stands.
    #[must_use]
    pub const fn ended(entry: AuditEntry, id: GrantId, ended: Ended) -> Self {
        Self {
            id,
            asked: Asked::Ended(ended),
            entry,
        }
    }

    /// Words that its user, who is the actor of `entry`, added at the workstation. The first that were told stand; they explain the
    /// grant where its review is not closed.
    #[must_use]
    pub const fn later_words(entry: AuditEntry, id: GrantId, words: LaterWords) -> Self {
        Self {
            id,
            asked: Asked::Words(words),
            entry,
        }
    }

    /// Somebody was told of it, outside this server.
    #[must_use]
    pub const fn notified(entry: AuditEntry, id: GrantId, level: u8, to: Vec<String>) -> Self {
        Self {
            id,
            asked: Asked::Did(Did::Notified { level, to }),
            entry,
        }
    }

    /// The clock looks: at `entry.at` by its moment.
    #[must_use]
    pub const fn clock(entry: AuditEntry, id: GrantId) -> Self {
        Self {
            id,
            asked: Asked::Clock,
            entry,
        }
    }

    /// Of which grant.
    #[must_use]
    pub const fn id(&self) -> GrantId {
        self.id
    }

    /// The audit row of an act that is not carried out.
    #[must_use]
    pub fn refused(&self, row: &GrantRow) -> AuditEntry {
        let mut entry = self.entry.clone();
        entry.decision = Decision::Deny;
        "review-refused".clone_into(&mut entry.rule);
        entry.grant = Some(self.id);
        entry.patient = Some(row.grant.patient.clone());
        if let Asked::Did(did) = &self.asked {
            entry.notes.insert("tried".to_owned(), did.name().to_owned());
        }
        entry
    }

    fn by(&self) -> Option<&UserId> {
        match &self.entry.actor {
            Actor::User(user) => Some(user),
            _ => None,
        }
    }

    /// Decides what follows, on what the backend has now.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the sentence that says what is in the way.
    pub fn step(&self, held: Option<GrantRow>) -> Result<Reviewed, StoreError> {
        let refused = |text: String| StoreError::Refused(text);
        let mut row = held.ok_or_else(|| refused(format!("there is no broken glass {}", self.id)))?;
        let at = self.entry.at;
        let (did, by) = match &self.asked {
            Asked::Did(did) => (did.clone(), self.by()),
            Asked::Clock => match row.review().escalation(at) {
                Some(level) => (Did::Escalated(level), None),
                None => return Ok(Reviewed { row, entry: None }),
            },
            Asked::Ended(ended) => return Ok(self.ends(row, *ended)),
            Asked::Words(words) => return self.takes_words(row, words),
        };
        if matches!(did, Did::Revoked(_)) && !row.in_force(at) {
            return Err(refused(
                "the emergency access is not in force: there is nothing to take back".to_owned(),
            ));
        }
        let event = row
            .review()
            .step(did, by, at)
            .map_err(|e| refused(e.to_string()))?;
        let mut entry = self.entry.clone();
        entry.grant = Some(self.id);
        entry.patient = Some(row.grant.patient.clone());
        let mut note = |key: &str, value: String| entry.notes.insert(key.to_owned(), value);
        note("review", event.did.name().to_owned());
        note("of", row.grant.user.to_string());
        if let Some(text) = event.did.text() {
            note("words", text.to_owned());
        }
        match &event.did {
            Did::Escalated(level) => {
                note("level", level.to_string());
            }
            Did::Notified { level, to } => {
                note("level", level.to_string());
                note("to", to.join(" "));
            }
            Did::Revoked(_) => {
                let ended = Ended {
                    at,
                    by: EndedBy::Revoked,
                };
                note("ended_ms", ended.at.0.to_string());
                row.ended = Some(ended);
            }
            _ => {}
        }
        row.history.push(event);
        note("state", row.review().state().name().to_owned());
        Ok(Reviewed {
            row,
            entry: Some(entry),
        })
    }

    fn about(&self, row: &GrantRow) -> AuditEntry {
        let mut entry = self.entry.clone();
        entry.grant = Some(self.id);
        entry.patient = Some(row.grant.patient.clone());
        entry.notes.insert("of".to_owned(), row.grant.user.to_string());
        entry
    }

    fn ends(&self, mut row: GrantRow, ended: Ended) -> Reviewed {
        if row.ended.is_some() {
            return Reviewed { row, entry: None };
        }
        row.ended = Some(ended);
        let mut entry = self.about(&row);
        entry.notes.insert("by".to_owned(), ended.by.code().to_owned());
        entry.notes.insert("ended_ms".to_owned(), ended.at.0.to_string());
        Reviewed {
            row,
            entry: Some(entry),
        }
    }

    fn takes_words(&self, mut row: GrantRow, words: &LaterWords) -> Result<Reviewed, StoreError> {
        if row.words.is_some() {
            return Ok(Reviewed { row, entry: None });
        }
        let did = Did::Explained(words.text.clone());
        let step = row.review().step(did, self.by(), self.entry.at);
        let said = match step {
            Ok(event) => {
                row.history.push(event);
                "explained"
            }
            // Decided already: the words are kept beside it and change nothing.
            Err(Refusal::Closed(_)) => "after it was closed",
            Err(e) => return Err(StoreError::Refused(e.to_string())),
        };
        row.words = Some(words.clone());
        let mut entry = self.about(&row);
        let mut note = |key: &str, value: String| entry.notes.insert(key.to_owned(), value);
        note("review", said.to_owned());
        note("words", words.text.clone());
        note("written_ms", words.at.0.to_string());
        note("state", row.review().state().name().to_owned());
        Ok(Reviewed {
            row,
            entry: Some(entry),
        })
    }
}

/// Break-glass grants and their reviews. Nothing of this removes one.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// Keeps a grant (uploaded or made online) with its audit row, in one transaction, once by its id: gives what is kept.
    /// Where it was kept before, that is given, nothing is written and there is no receipt.
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError>;
    /// Carries an act out on a review, in one transaction with its audit row. No receipt: the clock had nothing to say, or what a
    /// workstation tells was told before, and nothing but the time of its next look is written.
    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError>;
    /// One grant.
    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError>;
    /// Whose glass was broken, for the identity alone: `None` for a grant that is not there and a patient without a card. Of a
    /// grant that is there the disclosure names the patient in any case.
    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError>;
    /// Grants, newest first.
    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError>;
    /// Those whose review is not closed, oldest first.
    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError>;
    /// How many are not closed, and how many of them are of before a moment.
    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError>;
    /// Those at whose review the clock has to look, by this moment.
    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError>;
}
