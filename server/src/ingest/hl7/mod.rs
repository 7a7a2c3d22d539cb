//! HL7 v2 messages: kept, understood, applied or held, and answered.
//!
//! Lives here: the walk of one message ([`Intake::take`]): whose feed, kept as it came, read, mapped ([`vitrine_hl7v2`]), met with
//! what is recorded ([`plan`]), applied in one transaction, settled; and working off what is held. Never here: sockets
//! (`ingest::mllp`), what a segment means. Called by `ingest::mllp`, `import` and the `message` command.
//!
//! A message is kept before anything else is done with it, and answered when what became of it is on disk. The operation id of its
//! changes follows from the message: however often it is sent, or begun again after a stop, it is applied once.

pub mod files;
mod plan;
pub mod text;

use crate::clock;
use crate::config::{FeedRules, NewPatients};
use crate::ingest::apply;
use crate::ingest::import::{Counts, Permits};
use crate::ingest::project::FhirProjector;
use bytes::Bytes;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::sync::Arc;
use vitrine_access::Permit;
use vitrine_access::action::ImportData;
use vitrine_clinical::PatientId;
use vitrine_hl7v2::ack::{Answer, acknowledge};
use vitrine_hl7v2::{Code, Fault, Feed, Header, Message, Place};
use vitrine_store::{Keeping, KeptMessage, MessageOutcome, MessageState, NewMessage, Store, StoreError};

/// Tries to apply a message whose record changes under its hands.
const TRIES: usize = 8;
/// Held by messages that met somebody else's change: tried beside each other they would meet again.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Notes kept with a message at most.
const NOTES: usize = 50;

/// A feed with what follows from its settings.
pub struct Known {
    /// As configured.
    pub rules: FeedRules,
    zone: TimeZone,
}

impl Known {
    /// One of the configuration.
    #[must_use]
    pub fn new(rules: FeedRules) -> Self {
        let zone = match rules.zone.as_str() {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
        };
        Self { rules, zone }
    }

    /// The feed of files that are imported without naming one: it may bring what the operator lets it, whoever sent it.
    #[must_use]
    pub fn of_files() -> Self {
        Self::new(FeedRules {
            name: "import".to_owned(),
            processing: ["P", "T", "D", ""].map(str::to_owned).to_vec(),
            new_patients: NewPatients::All,
            ..FeedRules::default()
        })
    }

    /// A message as text, a line for each segment, and what is made of it: the resources it would become with where each comes
    /// from, and what was not understood; or why nothing is made of it.
    #[must_use]
    pub fn understood(&self, bytes: &[u8]) -> (String, serde_json::Value) {
        let (text, _) = self.text_of(bytes);
        let zone = |y, m, d, h, min| self.offset(y, m, d, h, min);
        let mapped = Message::read(bytes, self.rules.default_charset())
            .and_then(|m| vitrine_hl7v2::map(&m, &self.view(&zone)));
        let understood = match mapped {
            Err(fault) => {
                serde_json::json!({"fault": {"code": fault.code.number(), "words": fault.code.words(),
                "place": fault.place.map(|p| p.to_string()), "text": fault.text}})
            }
            Ok(mapped) => {
                let drafts: Vec<serde_json::Value> = mapped
                    .drafts
                    .iter()
                    .map(|d| {
                        let body: Option<Box<serde_json::value::RawValue>> =
                            serde_json::from_str(&d.body.to_compact()).ok();
                        serde_json::json!({"from": d.place.to_string(), "kind": d.kind, "resource": body})
                    })
                    .collect();
                let notes: Vec<String> = mapped
                    .notes
                    .iter()
                    .map(|n| format!("{}: {}", n.place, n.text))
                    .collect();
                serde_json::json!({"resources": drafts, "not_understood": notes})
            }
        };
        (text, understood)
    }

    fn view<'a>(&'a self, zone: &'a vitrine_hl7v2::time::Zone<'a>) -> Feed<'a> {
        Feed {
            name: &self.rules.name,
            zone,
            charset: self.rules.default_charset(),
            systems: Some(&self.rules.systems),
            code_systems: Some(&self.rules.codes),
            wards: Some(&self.rules.wards),
        }
    }

    /// Minutes east of UTC of its clocks.
    fn offset(&self, year: i64, month: u32, day: u32, hour: u32, minute: u32) -> i32 {
        let small = |n: u32| i8::try_from(n).unwrap_or(0);
        let at = i16::try_from(year).ok().and_then(|year| {
            DateTime::new(year, small(month), small(day), small(hour), small(minute), 0, 0).ok()
        });
        let offset = at.and_then(|at| self.zone.to_ambiguous_zoned(at).compatible().ok());
        offset.map_or(0, |at| at.offset().seconds() / 60)
    }
}

/// What has become of a message, as its sender is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Its number among those kept.
    pub id: u64,
    /// What it says of itself.
    pub header: Header,
    /// What is answered.
    pub answer: Answer,
    /// Why it was not applied.
    pub fault: Option<Fault>,
    /// As kept.
    pub outcome: MessageOutcome,
    /// It had been taken before.
    pub again: bool,
}

impl Taken {
    /// The acknowledgements that it asks for.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<Vec<u8>> {
        let at = vitrine_clinical::format::civil::Civil::at(clock::now(), 0);
        let at = format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}+0000",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        );
        let faults: Vec<Fault> = self.fault.iter().cloned().collect();
        acknowledge(&self.header, self.answer, &faults, &at, &format!("V{}", self.id))
    }
}

/// The way in for messages.
pub struct Intake {
    store: Arc<dyn Store>,
    permits: Arc<dyn Permits>,
}

impl Intake {
    /// Into a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, permits: Arc<dyn Permits>) -> Self {
        Self { store, permits }
    }

    /// Takes one message of a feed.
    ///
    /// # Errors
    /// [`StoreError`] when the store itself fails: the sender is told nothing, and sends it again.
    pub async fn take(&self, feed: &Known, bytes: Bytes) -> Result<Taken, StoreError> {
        self.taken(feed, bytes, None).await
    }

    async fn taken(&self, feed: &Known, bytes: Bytes, of: Option<u64>) -> Result<Taken, StoreError> {
        let read = tokio::task::block_in_place(|| Message::read(&bytes, feed.rules.default_charset()));
        let header = match &read {
            Ok(message) => message.header(),
            Err(_) => header_of(&bytes),
        };
        let kept = self.store.keep_message(kept_as(feed, &header, bytes, of)).await?;
        let (id, fault) = match kept {
            Keeping::New(id) => (id, None),
            // A stop came between keeping and settling: it is gone on with.
            Keeping::Again { id, outcome, .. } if outcome.state == MessageState::Received => (id, None),
            Keeping::Again { id, outcome, .. } => return Ok(known_already(id, header, outcome)),
            Keeping::Other { id, first } => (id, Some(other_content(first))),
        };
        let decided = match (fault, &read) {
            (Some(fault), _) => Err(fault),
            (None, Err(fault)) => Err(fault.clone()),
            (None, Ok(message)) => self.decide(feed, message, id).await?,
        };
        let (outcome, fault) = settled(decided);
        self.store
            .settle_message(id, clock::now(), outcome.clone())
            .await?;
        Ok(Taken {
            id,
            answer: answer_to(&outcome, fault.as_ref()),
            header,
            fault,
            outcome,
            again: false,
        })
    }

    /// Takes every message of a file. A message belongs to the configured feed whose senders name its own, else to that of
    /// files ([`Known::of_files`]).
    ///
    /// # Errors
    /// [`StoreError`]; what was taken before stays.
    pub async fn file(&self, feeds: &[FeedRules], bytes: &[u8]) -> Result<Counts, StoreError> {
        let named: Vec<Known> = feeds
            .iter()
            .filter(|f| !f.sender.is_empty())
            .map(|f| Known::new(f.clone()))
            .collect();
        let files = Known::of_files();
        let mut counts = Counts::default();
        for message in files::messages(bytes) {
            let header = header_of(&message);
            let feed = named
                .iter()
                .find(|k| k.rules.is_sender(&header.application, &header.facility))
                .unwrap_or(&files);
            let taken = self.take(feed, Bytes::from(message)).await?;
            let held = taken.outcome.state == MessageState::Held;
            let applied = !taken.again && taken.outcome.state == MessageState::Applied;
            counts.add(Counts {
                accepted: u64::from(applied),
                duplicate: u64::from(!held && !applied),
                quarantined: u64::from(held),
                seen: 1,
                by_type: applied
                    .then(|| ("HL7v2Message".to_owned(), 1))
                    .into_iter()
                    .collect(),
                ..Counts::default()
            });
        }
        Ok(counts)
    }

    /// Decides a kept message anew, by what is recorded and configured now. `by` is who asked for it, where somebody did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn again(
        &self,
        feed: &Known,
        kept: &KeptMessage,
        by: Option<&str>,
    ) -> Result<MessageOutcome, StoreError> {
        let Some(outcome) = self.anew(feed, kept, by).await? else {
            return Ok(kept.row.outcome.clone());
        };
        self.store
            .settle_message(kept.row.id, clock::now(), outcome.clone())
            .await?;
        Ok(outcome)
    }

    /// The same, because a person asked for it: what becomes of it is written together with the permit's audit row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn again_by(
        &self,
        feed: &Known,
        kept: &KeptMessage,
        permit: &Permit<ImportData>,
        by: &str,
    ) -> Result<MessageOutcome, StoreError> {
        let Some(outcome) = self.anew(feed, kept, Some(by)).await? else {
            return Ok(kept.row.outcome.clone());
        };
        self.store
            .decide_message(permit, kept.row.id, clock::now(), outcome.clone())
            .await?;
        Ok(outcome)
    }

    /// `None` where the bytes are gone.
    async fn anew(
        &self,
        feed: &Known,
        kept: &KeptMessage,
        by: Option<&str>,
    ) -> Result<Option<MessageOutcome>, StoreError> {
        let Some(body) = &kept.body else {
            return Ok(None);
        };
        let decided = match Message::read(body, feed.rules.default_charset()) {
            Ok(message) => self.decide(feed, &message, kept.row.id).await?,
            Err(fault) => Err(fault),
        };
        let (outcome, _) = settled(decided);
        Ok(Some(MessageOutcome {
            by: by.map(str::to_owned),
            ..outcome
        }))
    }

    /// Takes a corrected copy of a held message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn corrected(&self, feed: &Known, bytes: Bytes, of: u64) -> Result<Taken, StoreError> {
        self.taken(feed, bytes, Some(of)).await
    }

    /// Whether a message is taken, and what it changed.
    async fn decide(
        &self,
        feed: &Known,
        message: &Message,
        id: u64,
    ) -> Result<Result<MessageOutcome, Fault>, StoreError> {
        let header = message.header();
        if let Err(fault) = allowed(&feed.rules, &header) {
            return Ok(Err(fault));
        }
        let zone = |y, m, d, h, min| feed.offset(y, m, d, h, min);
        let rules = &feed.rules;
        let view = feed.view(&zone);
        let mapped = match tokio::task::block_in_place(|| vitrine_hl7v2::map(message, &view)) {
            Ok(mapped) => mapped,
            Err(fault) => return Ok(Err(fault)),
        };
        let may_make = match rules.new_patients {
            NewPatients::All => true,
            NewPatients::Adt => header.kind == "ADT",
            NewPatients::None => false,
        };
        let source = plan::Source {
            feed: &rules.name,
            control: &header.control,
            at: vitrine_hl7v2::map::happened(message, &view),
            may_make,
        };
        let op = apply::content_op(b"hl7v2", format!("{}#{id}", rules.name).as_bytes());
        let notes: Vec<String> = mapped
            .notes
            .iter()
            .take(NOTES)
            .map(|n| format!("{}: {}", n.place, n.text))
            .collect();
        let mut turn = None;
        for _ in 0..TRIES {
            let planned = match plan::plan(&*self.store, &mapped, &source).await? {
                Ok(planned) => planned,
                Err(fault) => return Ok(Err(fault)),
            };
            match self.write(op, &rules.name, &planned).await {
                Ok(wrote) => return Ok(Ok(outcome_of(wrote, planned.patient, notes))),
                // Somebody else wrote the same record in between: what is recorded is read anew, and those that met go one
                // after the other.
                Err(StoreError::VersionConflict { .. }) if turn.is_none() => turn = Some(TURN.lock().await),
                Err(StoreError::VersionConflict { .. }) => {}
                // This very message was applied before a stop.
                Err(StoreError::OpReused(_)) => {
                    let wrote = u32::try_from(planned.ops.len()).unwrap_or(u32::MAX);
                    return Ok(Ok(outcome_of(wrote, planned.patient, notes)));
                }
                Err(e) => match content_fault(&e, &planned) {
                    Some(fault) => return Ok(Err(fault)),
                    None => return Err(e),
                },
            }
        }
        // It is kept and not settled: whoever sends it again finds it where it was left.
        Err(StoreError::Backend {
            doing: "applying a message",
            cause: "others keep changing what it is about".to_owned(),
        })
    }

    async fn write(&self, op: uuid::Uuid, feed: &str, planned: &plan::Planned) -> Result<u32, StoreError> {
        if planned.ops.is_empty() {
            return Ok(0);
        }
        let (at, mut ops) = (clock::now(), planned.ops.clone());
        apply::complete(&*self.store, &FhirProjector, &mut ops, at).await?;
        let permit = self.permits.permit().await?;
        let batch = apply::batch(op, at, ops, &format!("feed {feed}"));
        let (applied, _) = self.store.import(&permit, batch).await?;
        let wrote = applied.changes.iter().filter(|c| !c.unchanged).count();
        Ok(u32::try_from(wrote).unwrap_or(u32::MAX))
    }
}

fn kept_as(feed: &Known, header: &Header, body: Bytes, of: Option<u64>) -> NewMessage {
    let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    NewMessage {
        at: clock::now(),
        feed: feed.rules.name.clone(),
        sender: short(&format!("{}|{}", header.application, header.facility), 200),
        control: short(&header.control, 200),
        dated: short(&header.dated, 40),
        kind: short(&format!("{}^{}", header.kind, header.event), 20),
        of,
        body,
    }
}

/// Whether the feed may send this at all.
fn allowed(rules: &FeedRules, header: &Header) -> Result<(), Fault> {
    if header.control.is_empty() {
        return Err(Fault::at(
            Code::RequiredField,
            Place::field("MSH", 10),
            "the message has no control id: without one it cannot be told from another",
        ));
    }
    if !rules.is_sender(&header.application, &header.facility) {
        return Err(Fault::at(
            Code::UnknownKey,
            Place::field("MSH", 3),
            "this application and facility are not among the feed's senders",
        ));
    }
    if !rules.takes_processing(&header.processing) {
        return Err(Fault::at(
            Code::UnsupportedProcessing,
            Place::field("MSH", 11),
            "messages of this processing id are not taken from this feed",
        ));
    }
    if !rules.may_send(&header.kind, &header.event) {
        return Err(Fault::at(
            Code::UnsupportedType,
            Place::field("MSH", 9),
            "messages of this type are not taken from this feed",
        ));
    }
    let version = header.version.as_str();
    if !version.is_empty() && !version.starts_with("2.") && version != "2" {
        return Err(Fault::at(
            Code::UnsupportedVersion,
            Place::field("MSH", 12),
            "this version is not read: HL7 v2 alone",
        ));
    }
    Ok(())
}

/// What a message says of itself, whether it can be read or not, so that it can be answered and found again.
pub(super) fn header_of(bytes: &[u8]) -> Header {
    let end = bytes.iter().position(|b| *b == b'\r' || *b == b'\n');
    let line = bytes
        .get(..end.unwrap_or(bytes.len()).min(2000))
        .unwrap_or_default();
    // Only the first line, as ASCII: enough for the control id where there is one.
    let line: Vec<u8> = line
        .iter()
        .map(|b| if b.is_ascii() { *b } else { b'?' })
        .collect();
    Message::read(&line, vitrine_hl7v2::charset::Charset::Ascii)
        .or_else(|_| {
            // A character set that is not read is no reason not to answer.
            let fields: Vec<&[u8]> = line.split(|b| *b == b'|').take(17).collect();
            Message::read(&fields.join(&b'|'), vitrine_hl7v2::charset::Charset::Ascii)
        })
        .map_or_else(|_| header_of_fields(&line), |m| m.header())
}

/// The fields of MSH by its field separator alone, where the other delimiters cannot be told.
fn header_of_fields(line: &[u8]) -> Header {
    let (true, Some(separator)) = (line.starts_with(b"MSH"), line.get(3)) else {
        return Header::default();
    };
    let fields: Vec<String> = line
        .split(|b| b == separator)
        .map(|f| String::from_utf8_lossy(f).trim().to_owned())
        .collect();
    let field = |n: usize| fields.get(n - 1).cloned().unwrap_or_default();
    Header {
        application: field(3),
        facility: field(4),
        dated: field(7),
        control: field(10),
        ..Header::default()
    }
}

fn other_content(first: u64) -> Fault {
    Fault::at(
        Code::DuplicateKey,
        Place::field("MSH", 10),
        format!("message {first} came with this control id and time and with other content"),
    )
}

fn known_already(id: u64, header: Header, outcome: MessageOutcome) -> Taken {
    let fault = (outcome.state == MessageState::Held).then(|| fault_of(&outcome));
    Taken {
        id,
        answer: answer_to(&outcome, fault.as_ref()),
        header,
        fault,
        outcome,
        again: true,
    }
}

/// The fault of a message that is held, as it was kept.
fn fault_of(outcome: &MessageOutcome) -> Fault {
    let code = Code::ALL.into_iter().find(|c| c.number() == outcome.code);
    let place = outcome.place.as_deref().and_then(place_of);
    Fault {
        code: code.unwrap_or(Code::Internal),
        place,
        text: outcome.reason.clone().unwrap_or_default(),
    }
}

fn place_of(text: &str) -> Option<Place> {
    let mut parts = text.split('^');
    let mut place = Place::of_segment(parts.next()?, 0);
    let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    place.nth = number();
    place.field = number();
    place.rep = number();
    place.comp = number();
    Some(place)
}

fn outcome_of(wrote: u32, patient: Option<PatientId>, notes: Vec<String>) -> MessageOutcome {
    MessageOutcome {
        state: if wrote == 0 {
            MessageState::Known
        } else {
            MessageState::Applied
        },
        patient,
        wrote,
        notes,
        ..MessageOutcome::default()
    }
}

fn settled(decided: Result<MessageOutcome, Fault>) -> (MessageOutcome, Option<Fault>) {
    match decided {
        Ok(outcome) => (outcome, None),
        Err(fault) => (
            MessageOutcome {
                state: MessageState::Held,
                code: fault.code.number(),
                place: fault.place.map(|p| p.to_string()),
                reason: Some(fault.text.clone()),
                ..MessageOutcome::default()
            },
            Some(fault),
        ),
    }
}

fn answer_to(outcome: &MessageOutcome, fault: Option<&Fault>) -> Answer {
    match (outcome.state, fault) {
        (MessageState::Held, Some(f)) if f.code.rejects() => Answer::Reject,
        (MessageState::Held, _) => Answer::Error,
        _ => Answer::Accept,
    }
}

/// A failure that lies in what the message says.
fn content_fault(e: &StoreError, planned: &plan::Planned) -> Option<Fault> {
    let place = |index: usize| planned.places.get(index).copied();
    match e {
        StoreError::Unprojectable { index, .. } => Some(Fault {
            code: Code::DataType,
            place: place(*index),
            text: "what it says cannot be shown: nothing of the message was taken".to_owned(),
        }),
        StoreError::Destroyed { index, .. } => Some(Fault {
            code: Code::UnknownKey,
            place: place(*index),
            text: "the patient's record was destroyed: nothing is stored under its id again".to_owned(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_a_feed_know_summer_time() {
        let feed = Known::new(FeedRules {
            zone: "Europe/London".into(),
            ..FeedRules::default()
        });
        assert_eq!(feed.offset(2026, 1, 1, 12, 0), 0);
        assert_eq!(feed.offset(2026, 7, 1, 12, 0), 60);
        // 01:30 comes twice on 25 October: the first is meant.
        assert_eq!(feed.offset(2026, 10, 25, 1, 30), 60);
        assert_eq!(feed.offset(99_999, 1, 1, 0, 0), 0);
    }

    #[test]
    fn what_cannot_be_read_can_still_be_answered() {
        let header = header_of(b"MSH|^~\\&|LAB|N|||2026||ORU^R01|C7|P|2.5||||||EBCDIC\rPID|\xff");
        assert_eq!((header.control.as_str(), header.kind.as_str()), ("C7", "ORU"));
        let header = header_of(b"MSH|^~\\&|L\xe9|N|||2026||ORU^R01|C7|P|2.5\rno segment");
        assert_eq!(header.control, "C7");
        let header = header_of(b"MSH||LAB|N|||2026||ORU^R01|C7|P|2.5\rPID|1");
        assert_eq!(header.control, "C7");
        assert_eq!(header_of(b"nothing"), Header::default());
    }

    #[test]
    fn what_is_held_is_told_again_as_it_was() {
        let fault = Fault::at(Code::UnknownKey, Place::field("PID", 3), "nobody has this number");
        let (outcome, _) = settled(Err(fault.clone()));
        assert_eq!(fault_of(&outcome), fault);
    }
}
