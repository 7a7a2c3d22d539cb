//! Working messages off: decided again, corrected, dropped, by whoever may.
//!
//! Lives here: what both ends do alike, the operator's commands and the console. Never here: who asks and how it is said to them (the
//! callers), what becomes of a message (`ingest::hl7`).

use crate::clock;
use crate::config::FeedRules;
use crate::ingest::hl7::{Intake, Known, files};
use crate::ingest::import::Permits;
use crate::ingest::permits::Noted;
use bytes::Bytes;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_clinical::UtcMs;
use vitrine_store::{KeptMessage, MessageOutcome, MessageState, Store, StoreError};

const DAY_MS: i64 = 86_400_000;

/// Why a message cannot be worked off.
#[derive(Debug, thiserror::Error)]
pub enum Cannot {
    /// No message has this number.
    #[error("there is no message {0}")]
    Unknown(u64),
    /// It is settled: number, how, and what was asked for.
    #[error("message {0} is {word}: only what is held can be {2}", word = .1.as_str())]
    Settled(u64, MessageState, &'static str),
    /// Its feed is configured no more.
    #[error("the feed {0} is no longer in mllp.feed: its messages cannot be read without its settings")]
    NoFeed(String),
    /// A correction that is not one message.
    #[error("it has to be exactly one HL7 v2 message, beginning with MSH")]
    NotOne,
    /// Its bytes are gone.
    #[error("the bytes of message {0} are no longer kept: it cannot be decided again")]
    Forgotten(u64),
    /// The store failed, or the policy refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a corrected copy came to.
#[derive(Debug)]
pub struct Corrected {
    /// Its number.
    pub id: u64,
    /// What became of it.
    pub outcome: MessageOutcome,
}

/// Somebody who works messages off.
pub struct Work<'a> {
    /// Where they are.
    pub store: Arc<dyn Store>,
    /// The feeds of the configuration.
    pub feeds: &'a [FeedRules],
    /// Leave for it.
    pub permits: Arc<dyn Permits>,
    /// Who it is, as the message keeps it.
    pub by: &'a str,
}

impl Work<'_> {
    fn noted(&self, act: &str, id: u64, reason: Option<&str>) -> Arc<Noted> {
        let mut notes = vec![("act", act.to_owned()), ("message", id.to_string())];
        notes.extend(reason.map(|r| ("reason", r.to_owned())));
        Arc::new(Noted::new(self.permits.clone(), notes))
    }

    /// Decides one again, by what is recorded and configured now.
    ///
    /// # Errors
    /// [`Cannot`].
    pub async fn replay(&self, message: &KeptMessage) -> Result<MessageOutcome, Cannot> {
        let feed = with_bytes(self.feeds, message)?;
        let permits = self.noted("message-replay", message.row.id, None);
        let intake = Intake::new(self.store.clone(), permits.clone());
        let permit = permits.permit().await?;
        Ok(intake.again_by(&feed, message, &permit, self.by).await?)
    }

    /// Takes a corrected copy: kept beside the first, which is dropped when the copy is applied.
    ///
    /// # Errors
    /// [`Cannot`].
    pub async fn fix(&self, first: KeptMessage, text: &[u8], reason: &str) -> Result<Corrected, Cannot> {
        let id = first.row.id;
        let feed = feed_of(self.feeds, &first.row.feed)?;
        let mut copies = files::messages(text);
        let copy = match (copies.pop(), copies.is_empty()) {
            (Some(copy), true) if copy.starts_with(b"MSH") => copy,
            _ => return Err(Cannot::NotOne),
        };
        let permits = self.noted("message-fix", id, Some(reason));
        let intake = Intake::new(self.store.clone(), permits.clone());
        let taken = intake.corrected(&feed, Bytes::from(copy), id).await?;
        let permit = permits.permit().await?.noted("copy", taken.id.to_string());
        if stays(&taken.outcome) {
            // The copy is kept: who made it is in the audit log, whatever became of it.
            self.store.append(permit.entry(Disclosure::default())).await?;
        } else {
            let outcome = MessageOutcome {
                reason: Some(format!("corrected by message {}: {reason}", taken.id)),
                ..self.dropped(first.row.outcome)
            };
            self.store
                .decide_message(&permit, id, clock::now(), outcome)
                .await?;
        }
        Ok(Corrected {
            id: taken.id,
            outcome: taken.outcome,
        })
    }

    /// Decides that one is not to be applied; it is kept.
    ///
    /// # Errors
    /// [`Cannot`].
    pub async fn drop_one(&self, first: KeptMessage, reason: &str) -> Result<(), Cannot> {
        let id = first.row.id;
        let permit = self.noted("message-drop", id, Some(reason)).permit().await?;
        let outcome = MessageOutcome {
            reason: Some(reason.to_owned()),
            ..self.dropped(first.row.outcome)
        };
        let there = self
            .store
            .decide_message(&permit, id, clock::now(), outcome)
            .await?;
        if there { Ok(()) } else { Err(Cannot::Unknown(id)) }
    }

    fn dropped(&self, outcome: MessageOutcome) -> MessageOutcome {
        MessageOutcome {
            state: MessageState::Dropped,
            by: Some(self.by.to_owned()),
            ..outcome
        }
    }
}

/// Whether it still waits for somebody.
#[must_use]
pub const fn stays(outcome: &MessageOutcome) -> bool {
    matches!(outcome.state, MessageState::Held | MessageState::Received)
}

/// A message with its bytes.
///
/// # Errors
/// [`Cannot::Unknown`]; the store's.
pub async fn kept(store: &dyn Store, id: u64) -> Result<KeptMessage, Cannot> {
    store.message(id).await?.ok_or(Cannot::Unknown(id))
}

/// One that may be decided by hand: what was applied or dropped stays so. `what` says in a word what it was to be.
///
/// # Errors
/// [`Cannot`].
pub async fn waiting(store: &dyn Store, id: u64, what: &'static str) -> Result<KeptMessage, Cannot> {
    let found = kept(store, id).await?;
    if stays(&found.row.outcome) {
        Ok(found)
    } else {
        Err(Cannot::Settled(id, found.row.outcome.state, what))
    }
}

/// The feed of a message by its present settings.
///
/// # Errors
/// [`Cannot::NoFeed`].
pub fn feed_of(feeds: &[FeedRules], name: &str) -> Result<Known, Cannot> {
    let files = Known::of_files();
    if name == files.rules.name {
        return Ok(files);
    }
    let rules = feeds.iter().find(|f| f.name == name);
    let rules = rules.ok_or_else(|| Cannot::NoFeed(name.to_owned()))?;
    Ok(Known::new(rules.clone()))
}

/// The feed of a message that is to be read again.
///
/// # Errors
/// [`Cannot::NoFeed`], [`Cannot::Forgotten`].
pub fn with_bytes(feeds: &[FeedRules], message: &KeptMessage) -> Result<Known, Cannot> {
    if message.body.is_none() {
        return Err(Cannot::Forgotten(message.row.id));
    }
    feed_of(feeds, &message.row.feed)
}

/// When the first of the last so many days began, today being one of them (UTC, as the counts are).
#[must_use]
pub fn since(now: UtcMs, days: u32) -> UtcMs {
    UtcMs((now.0.div_euclid(DAY_MS) - i64::from(days.saturating_sub(1))) * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_counts() {
        let at = |text: i64| UtcMs(text * DAY_MS + 5);
        for (days, day) in [(0, 20_000), (1, 20_000), (7, 19_994)] {
            let from = since(at(20_000), days);
            assert_eq!(
                i64::from(vitrine_store::messages::message_day(from)),
                day,
                "{days}"
            );
            assert_eq!(from.0 % DAY_MS, 0);
        }
    }

    #[test]
    fn a_feed_is_one_of_the_configuration_or_that_of_files() {
        let lab = FeedRules {
            name: "lab".to_owned(),
            ..FeedRules::default()
        };
        let feeds = [lab];
        assert_eq!(feed_of(&feeds, "lab").unwrap().rules.name, "lab");
        assert_eq!(feed_of(&[], "import").unwrap().rules.name, "import");
        let gone = feed_of(&feeds, "old").map(|_| ()).unwrap_err();
        assert_eq!(
            gone.to_string(),
            "the feed old is no longer in mllp.feed: its messages cannot be read without its settings"
        );
    }
}
