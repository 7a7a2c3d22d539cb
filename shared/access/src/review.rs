//! The review of a broken glass: due 24 hours after the event, decided by somebody else than who broke it.
//!
//! Lives here: how a review stands and what may be done to it next, as pure functions of its history. Never here:
//! a clock, roles (the policy), storage. Every backend steps within the transaction that holds the audit row.
//!
//! The walk (design/security.md §2, capabilities E6, ADR 32):
//!
//! ```text
//! Open ─asked→ Asked ─explained→ Open          by the reviewer, by who broke the glass
//! Open, Asked ─appropriate→ Appropriate         one reviewer
//! Open, Asked ─suspected→ Suspected             one reviewer
//! Suspected ─confirmed→ Misuse                  a second reviewer
//! Suspected ─dismissed→ Open                    a second reviewer
//! any open one ─escalated→ the same             the clock, once for each level
//! any open one ─notified→ the same              the server, once for the broken glass and once for each level
//! any one ─revoked→ the same                    one reviewer, while the access is in force: it ends (ADR 46)
//! ```

use crate::grant::REVIEW_DUE_MS;
use serde::{Deserialize, Serialize};
use vitrine_clinical::{UserId, UtcMs};

const HOUR_MS: i64 = 3_600_000;

/// So long after the event an open review is escalated: levels 1, 2 and 3, in ms (12, 20 and 24 h; capabilities E6).
pub const LEVELS_MS: [i64; 3] = [12 * HOUR_MS, 20 * HOUR_MS, REVIEW_DUE_MS];
/// A grant that arrives after its review was due is not escalated before so much time has passed, in ms (4 h; ADR 32).
pub const LATE_GRACE_MS: i64 = 4 * HOUR_MS;
/// Who broke the glass owes words for it within this time of the event, in ms (60 min; security.md §2).
pub const WORDS_MS: i64 = HOUR_MS;
/// Longest text of a reviewer or of who answers, in characters.
pub const LONGEST_TEXT: usize = 2_000;

/// What was done to a review.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "did", content = "what")]
pub enum Did {
    /// Who broke the glass said why.
    Explained(String),
    /// A reviewer asked who broke the glass.
    Asked(String),
    /// A reviewer found it appropriate.
    Appropriate(String),
    /// A reviewer suspects misuse; a second one decides.
    Suspected(String),
    /// The second reviewer agrees: misuse.
    Confirmed(String),
    /// The second reviewer does not agree: it is open again.
    Dismissed(String),
    /// A reviewer took the access back before its time. Whether it was misuse is decided as of any other.
    Revoked(String),
    /// Nobody decided in time: level 1, 2 or 3.
    Escalated(u8),
    /// Somebody was told of it.
    Notified {
        /// Of which level; 0 of the broken glass itself.
        level: u8,
        /// The addresses that a mail server took it for.
        to: Vec<String>,
    },
}

impl Did {
    /// The word in audit rows and on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Explained(_) => "explained",
            Self::Asked(_) => "asked",
            Self::Appropriate(_) => "appropriate",
            Self::Suspected(_) => "suspected",
            Self::Confirmed(_) => "confirmed",
            Self::Dismissed(_) => "dismissed",
            Self::Revoked(_) => "revoked",
            Self::Escalated(_) => "escalated",
            Self::Notified { .. } => "notified",
        }
    }
    /// Whether it leaves the state of a review as it is.
    #[must_use]
    pub const fn beside(&self) -> bool {
        matches!(
            self,
            Self::Escalated(_) | Self::Notified { .. } | Self::Revoked(_)
        )
    }
    /// The words that were given with it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Explained(t)
            | Self::Asked(t)
            | Self::Appropriate(t)
            | Self::Suspected(t)
            | Self::Confirmed(t)
            | Self::Dismissed(t)
            | Self::Revoked(t) => Some(t),
            Self::Escalated(_) | Self::Notified { .. } => None,
        }
    }
}

/// One entry of a review's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// When, by the server's clock.
    pub at: UtcMs,
    /// By whom; `None` for the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// How a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has decided.
    Open,
    /// Who broke the glass was asked and has not answered.
    Asked,
    /// One reviewer suspects misuse; a second one has to decide.
    Suspected,
    /// Closed: appropriate.
    Appropriate,
    /// Closed: misuse, by two reviewers.
    Misuse,
}

impl State {
    /// The word of listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asked => "asked",
            Self::Suspected => "suspected",
            Self::Appropriate => "appropriate",
            Self::Misuse => "misuse",
        }
    }
    /// Whether nothing more can be done to it.
    #[must_use]
    pub const fn closed(self) -> bool {
        matches!(self, Self::Appropriate | Self::Misuse)
    }
}

/// Why something cannot be done to a review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Who broke the glass would decide on it.
    #[error("{0} broke the glass: somebody else must review it")]
    OwnAccess(UserId),
    /// Somebody else would explain it.
    #[error("only {0}, who broke the glass, can explain it")]
    NotTheirs(UserId),
    /// The first reviewer would be the second too.
    #[error("{0} suspects misuse already: a second reviewer has to decide")]
    SecondIsFirst(UserId),
    /// It is decided.
    #[error("the review is closed: {0}")]
    Closed(&'static str),
    /// A second decision without a first.
    #[error("nobody suspects misuse: there is nothing to confirm or dismiss")]
    NotSuspected,
    /// A first decision where the second is due.
    #[error("a reviewer suspects misuse: confirm or dismiss that")]
    Suspected,
    /// No words.
    #[error("say why, in 1 to {LONGEST_TEXT} characters")]
    Text,
    /// Nothing is to be escalated now.
    #[error("nothing is to be escalated now")]
    NotYet,
    /// Somebody was told of that already.
    #[error("somebody was told of that already")]
    Told,
    /// Only the clock escalates, and it does nothing else.
    #[error("a review is escalated by the clock, and decided by a person")]
    NotByThem,
}

/// The review of one grant. Its state follows from its history alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review<'h> {
    /// Who broke the glass.
    pub actor: &'h UserId,
    /// When the glass was broken, never after [`Self::received`].
    pub event: UtcMs,
    /// When the server learned of it.
    pub received: UtcMs,
    /// What was done, oldest first.
    pub history: &'h [Event],
}

impl Review<'_> {
    /// When it is due: 24 hours after the event, however late it was received.
    #[must_use]
    pub const fn due(&self) -> UtcMs {
        UtcMs(self.event.0.saturating_add(REVIEW_DUE_MS))
    }

    /// Whether the grant came in after its review was due.
    #[must_use]
    pub fn late(&self) -> bool {
        self.received > self.due()
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.history
            .iter()
            .fold(State::Open, |state, event| match &event.did {
                Did::Explained(_) if state == State::Asked => State::Open,
                Did::Explained(_) | Did::Escalated(_) | Did::Notified { .. } | Did::Revoked(_) => state,
                Did::Asked(_) => State::Asked,
                Did::Suspected(_) => State::Suspected,
                Did::Dismissed(_) => State::Open,
                Did::Appropriate(_) => State::Appropriate,
                Did::Confirmed(_) => State::Misuse,
            })
    }

    /// When it was closed.
    #[must_use]
    pub fn closed_at(&self) -> Option<UtcMs> {
        let last = self.history.iter().rev().find(|e| !e.did.beside())?;
        self.state().closed().then_some(last.at)
    }

    /// The highest level it was escalated to; 0 for none.
    #[must_use]
    pub fn level(&self) -> u8 {
        let levels = self.history.iter().filter_map(|e| match e.did {
            Did::Escalated(level) => Some(level),
            _ => None,
        });
        levels.max().unwrap_or(0)
    }

    /// The level of which nobody was told yet, 0 of the broken glass itself; `None` where nothing is to be told.
    #[must_use]
    pub fn untold(&self) -> Option<u8> {
        if self.state().closed() {
            return None;
        }
        let told = self.history.iter().filter_map(|e| match e.did {
            Did::Notified { level, .. } => Some(level),
            _ => None,
        });
        let level = self.level();
        told.max().is_none_or(|t| t < level).then_some(level)
    }

    /// Whether who broke the glass still owes words at this moment, asked or not. `at_once` says whether words were given
    /// when the glass was broken.
    #[must_use]
    pub fn owes_words(&self, at_once: bool, now: UtcMs) -> bool {
        let explained = self.history.iter().any(|e| matches!(e.did, Did::Explained(_)));
        let state = self.state();
        state == State::Asked
            || (!state.closed() && !explained && !at_once && now.0 >= self.event.0.saturating_add(WORDS_MS))
    }

    fn escalates(&self, level: u8) -> Option<UtcMs> {
        let after = LEVELS_MS.get(usize::from(level).checked_sub(1)?)?;
        let at = self.event.0.saturating_add(*after);
        let grace = self.received.0.saturating_add(LATE_GRACE_MS);
        Some(UtcMs(if self.late() { at.max(grace) } else { at }))
    }

    /// The next moment at which the clock has something to do: `None` for a closed one and one at the highest level.
    #[must_use]
    pub fn next(&self) -> Option<UtcMs> {
        if self.state().closed() {
            return None;
        }
        self.escalates(self.level().saturating_add(1))
    }

    /// The level that is reached at this moment and was not said yet.
    #[must_use]
    pub fn escalation(&self, now: UtcMs) -> Option<u8> {
        if self.state().closed() {
            return None;
        }
        let above = self.level().saturating_add(1)..=3;
        above
            .rev()
            .find(|level| self.escalates(*level).is_some_and(|at| at <= now))
    }

    /// What is to be added to the history.
    ///
    /// # Errors
    /// [`Refusal`], with the sentence for whoever tried.
    pub fn step(&self, did: Did, by: Option<&UserId>, now: UtcMs) -> Result<Event, Refusal> {
        let state = self.state();
        // What is decided may be in force for hours yet.
        if state.closed() && !matches!(did, Did::Revoked(_)) {
            return Err(Refusal::Closed(state.name()));
        }
        if let Some(text) = did.text()
            && (text.trim().is_empty() || text.chars().count() > LONGEST_TEXT)
        {
            return Err(Refusal::Text);
        }
        match (&did, by) {
            (Did::Escalated(level), None) if self.escalation(now) == Some(*level) => {}
            (Did::Escalated(_), None) => return Err(Refusal::NotYet),
            (Did::Notified { level, .. }, None) if self.untold() == Some(*level) => {}
            (Did::Notified { .. }, None) => return Err(Refusal::Told),
            (Did::Escalated(_) | Did::Notified { .. }, Some(_)) | (_, None) => {
                return Err(Refusal::NotByThem);
            }
            (Did::Explained(_), Some(by)) if by != self.actor => {
                return Err(Refusal::NotTheirs(self.actor.clone()));
            }
            (Did::Explained(_), Some(_)) => {}
            (_, Some(by)) if by == self.actor => return Err(Refusal::OwnAccess(by.clone())),
            (Did::Asked(_) | Did::Appropriate(_) | Did::Suspected(_), Some(_))
                if state == State::Suspected =>
            {
                return Err(Refusal::Suspected);
            }
            (Did::Asked(_) | Did::Appropriate(_) | Did::Suspected(_) | Did::Revoked(_), Some(_)) => {}
            (Did::Confirmed(_) | Did::Dismissed(_), Some(_)) if state != State::Suspected => {
                return Err(Refusal::NotSuspected);
            }
            (Did::Confirmed(_) | Did::Dismissed(_), Some(by)) => {
                let first = self
                    .history
                    .iter()
                    .rev()
                    .find(|e| matches!(e.did, Did::Suspected(_)));
                if first.and_then(|e| e.by.as_ref()) == Some(by) {
                    return Err(Refusal::SecondIsFirst(by.clone()));
                }
            }
        }
        Ok(Event {
            at: now,
            by: by.cloned(),
            did,
        })
    }
}
