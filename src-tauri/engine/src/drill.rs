//! A downtime drill: this workstation cuts itself off from the server on purpose for a while, says so on every screen, and
//! measures what it could do alone.
//!
//! Lives here: beginning and ending, the cut that every connection obeys, the report. Never here: connections (`link`, `live`,
//! `images`), the status screen's own parts (`reliance`), practice with made-up patients (that is training).
//! Called by the facade; `break_glass` tells it that an emergency has begun.
//!
//! Rules: it begins only where nothing is missing, no critical result waits and no emergency was lately. Whoever stands there ends it,
//! signed in or not; so do its time, the breaking of the glass, and the end of the program. What is recorded meanwhile is real and is
//! sent afterwards.

mod report;

pub(crate) use report::view;

use crate::error::store_words;
use crate::outbox::refused;
use crate::session::Person;
use crate::station::Station;
use crate::{EngineError, critical, entropy, link, selftest};
use report::{Cards, Report};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use vitrine_access::action::RunDrill;
use vitrine_access::policy::decide;
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Kind, Purpose};
use vitrine_clinical::{UtcMs, WardId, format, say};
use vitrine_wire::view::DataAge;

/// How long one may last, minutes, the usual first.
const MINUTES: [u32; 4] = [15, 5, 30, 60];
/// Never longer: what others change is not seen meanwhile.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// So long after an emergency none begins: whoever has the card on the screen wants what is new.
const CALM: Duration = Duration::from_secs(15 * 60);
/// Longest wait until the server has heard that this is a drill and no failure.
const ANNOUNCED: Duration = Duration::from_secs(2);

/// A drill that runs, or none.
pub(crate) struct Drill {
    running: Mutex<Option<Running>>,
    /// No connection is made or kept while it is true.
    cut: watch::Sender<bool>,
    /// When somebody broke the glass last, ms since the engine began; 0 = nobody has.
    glass: AtomicU64,
}

impl Default for Drill {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            cut: watch::channel(false).0,
            glass: AtomicU64::new(0),
        }
    }
}

struct Running {
    /// Time since the engine began at which it was asked for.
    asked: Duration,
    by: String,
    began: UtcMs,
    /// Time since the engine began at which it is over.
    over: Duration,
    until: UtcMs,
    /// Entries that waited when it began.
    queued: u64,
    cards: Option<Cards>,
    emergency_ms: Option<f64>,
}

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Somebody ended it.
    Person,
    /// Its time was over.
    Time,
    /// Somebody broke the glass: an emergency is no drill.
    Emergency,
    /// The program ended.
    Program,
}

impl How {
    const fn code(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Time => "time",
            Self::Emergency => "emergency",
            Self::Program => "program",
        }
    }
}

/// Ends when a connection has to end: at the beginning of a drill.
pub(crate) async fn cut_off(mut cut: watch::Receiver<bool>) {
    if cut.wait_for(|c| *c).await.is_err() {
        // The workstation is being closed; a connection says goodbye by itself.
        std::future::pending::<()>().await;
    }
}

impl Drill {
    /// True while no connection may be made or kept.
    pub(crate) fn cuts(&self) -> watch::Receiver<bool> {
        self.cut.subscribe()
    }

    /// Before anything goes to the server.
    ///
    /// # Errors
    /// [`EngineError::Offline`] during a drill.
    pub(crate) fn not_cut(&self) -> Result<(), EngineError> {
        if self.runs() {
            return Err(EngineError::Offline(say!(
                "a downtime drill, this workstation is cut off on purpose",
                "Ausfallübung, dieser Arbeitsplatz ist absichtlich getrennt"
            )));
        }
        Ok(())
    }

    /// Somebody broke the glass; `now` is the time since the engine began. Nothing here waits for anything; what is to be written
    /// follows ([`end_over`]).
    pub(crate) fn emergency(&self, now: Duration) {
        let ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.glass.store(ms.max(1), Ordering::SeqCst);
        self.cut.send_if_modified(std::mem::take);
    }

    /// Whether somebody broke the glass since then.
    fn broken_since(&self, then: Duration) -> bool {
        let at = self.glass.load(Ordering::SeqCst);
        at != 0 && u128::from(at) >= then.as_millis()
    }

    /// Cuts, unless there was an emergency since it was asked for: that may have come while the server was told.
    fn cut_since(&self, asked: Duration) {
        self.cut.send_replace(true);
        if self.broken_since(asked) {
            self.cut.send_replace(false);
        }
    }

    /// Whether one is to be ended now.
    pub(crate) fn over(&self, station: &Station) -> bool {
        let times = self.running().as_ref().map(|r| (r.asked, r.over));
        times.is_some_and(|(asked, over)| self.broken_since(asked) || station.clock.elapsed() >= over)
    }

    fn runs(&self) -> bool {
        *self.cut.borrow()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the strip: "cut off from the server on purpose by A. NURSE until 04:35".
pub(crate) fn text(station: &Station) -> Option<String> {
    let running = station.drill.running();
    running.as_ref().map(|r| {
        say!(
            "cut off from the server on purpose by {by} until {until}",
            "absichtlich vom Server getrennt durch {by} bis {until}",
            by = r.by,
            until = format::time_in(r.until, &|at| station.clock.zone_minutes(at))
        )
    })
}

fn runs_already() -> String {
    say!("A drill runs already.", "Es läuft bereits eine Übung.")
}

/// For IT.
pub(crate) fn json(station: &Station) -> serde_json::Value {
    let running = station.drill.running();
    running.as_ref().map_or(serde_json::Value::Null, |r| {
        serde_json::json!({"by": r.by, "began_ms": r.began, "until_ms": r.until, "measured": r.cards.is_some()})
    })
}

/// Why none can be begun here now, whoever asks.
fn hindrance(station: &Station, age: DataAge) -> Option<String> {
    if station.drill.running().is_some() {
        return Some(runs_already());
    }
    if !station.synchronises() {
        return Some(say!(
            "This program does not synchronise this workstation, another one does: begin the drill there.",
            "Dieses Programm synchronisiert diesen Arbeitsplatz nicht, ein anderes tut es: die Übung dort beginnen."
        ));
    }
    if age != DataAge::Live {
        return Some(say!(
            "This workstation is not up to date. A drill begins only where nothing is missing: this may be the real thing.",
            "Dieser Arbeitsplatz ist nicht aktuell. Eine Übung beginnt nur, wo nichts fehlt: dies kann ein echter Ausfall sein."
        ));
    }
    let now = station.clock.elapsed();
    if station.drill.broken_since(now.saturating_sub(CALM)) {
        return Some(say!(
            "Emergency access was used here in the last 15 minutes: what is new has to arrive.",
            "Hier gab es in den letzten 15 Minuten einen Notfallzugriff: Neues muss ankommen."
        ));
    }
    // Counted critical, or not countable.
    let waiting = critical::status(station).text?;
    Some(say!(
        "{waiting}. Take that up first: nothing new arrives here during a drill.",
        "{waiting}. Zuerst darum kümmern: während einer Übung kommt hier nichts Neues an."
    ))
}

fn permitted(station: &Station, person: &Person) -> Result<AuditEntry, EngineError> {
    let ward = station.device().ward.clone();
    let ward = WardId::new(ward).map_err(|_| EngineError::Internal("the workstation's ward"))?;
    let request = station.request(person.subject(), None, Some(ward), None)?;
    let permit = decide::<RunDrill>(request).map_err(|d| refused(&station.outbox, &d))?;
    Ok(permit.entry(Disclosure::default()))
}

/// Begins one.
///
/// # Errors
/// See [`crate::Workstation::start_drill`].
pub(crate) async fn start(station: &Arc<Station>, length: Duration) -> Result<(), EngineError> {
    let inside = Arc::clone(station);
    let asked = station.clock.elapsed();
    let by = blocking(move || announce(&inside, length)).await?;
    // The server is to know that this is no failure; without its answer it begins all the same.
    let heard = async {
        while station.outbox.tally().is_ok_and(|t| t.audit > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(ANNOUNCED, heard).await;
    let inside = Arc::clone(station);
    blocking(move || cut(&inside, by, asked, length)).await?;
    let inside = Arc::clone(station);
    tokio::task::spawn_blocking(move || measure(&inside));
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| EngineError::Internal("beginning a drill"))?
}

/// Asks the policy and writes the row.
fn announce(station: &Station, length: Duration) -> Result<String, EngineError> {
    let person = station.person()?;
    if length > LONGEST || length < Duration::from_secs(1) {
        return Err(EngineError::Usage(say!(
            "A drill lasts at least a second and at most 60 minutes.",
            "Eine Übung dauert mindestens eine Sekunde und höchstens 60 Minuten."
        )));
    }
    let mut row = permitted(station, &person)?;
    if let Some(why) = hindrance(
        station,
        station.fresh.feed(station.stored_as_of(), &station.clock).0,
    ) {
        return Err(EngineError::Usage(why));
    }
    row.notes
        .insert("seconds".to_owned(), length.as_secs().to_string());
    station
        .outbox
        .append(&[row], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?;
    station.command(link::Command::OutboxChanged);
    Ok(person.display)
}

fn cut(station: &Station, by: String, asked: Duration, length: Duration) -> Result<(), EngineError> {
    let queued = station.outbox.entry_tally()?.queued;
    {
        let mut running = station.drill.running();
        if running.is_some() {
            return Err(EngineError::Usage(runs_already()));
        }
        let began = station.clock.now();
        let ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        *running = Some(Running {
            asked,
            by,
            began,
            over: station.clock.elapsed().saturating_add(length),
            until: began.plus_ms(ms),
            queued,
            cards: None,
            emergency_ms: None,
        });
        station.drill.cut_since(asked);
    }
    tracing::warn!("a downtime drill begins: this workstation is cut off on purpose");
    station.tell_status();
    Ok(())
}

/// Reads every card, and carries out the self-test, while there is no server.
fn measure(station: &Station) {
    let began = station.drill.running().as_ref().map(|r| r.began);
    let emergency = selftest::run(station);
    let cards = Cards::measured(station);
    // Not of one that was begun meanwhile.
    let mut running = station.drill.running();
    if let Some(running) = running.as_mut().filter(|r| Some(r.began) == began) {
        running.cards = cards;
        running.emergency_ms = emergency.ok.then_some(emergency.emergency_ms);
    }
}

/// Ends one whose time is over, or that an emergency ended.
pub(crate) fn end_over(station: &Station) {
    let asked = station.drill.running().as_ref().map(|r| r.asked);
    let how = match asked.is_some_and(|asked| station.drill.broken_since(asked)) {
        true => How::Emergency,
        false => How::Time,
    };
    end(station, how);
}

/// Ends one, if one runs. That is never refused: a row that cannot be written is in the log of the program.
pub(crate) fn end(station: &Station, how: How) {
    let Some(ran) = station.drill.running().take() else {
        return;
    };
    station.drill.cut.send_replace(false);
    station.command(link::Command::Now);
    tracing::warn!(how = how.code(), "the downtime drill has ended");
    let session = station
        .session()
        .as_ref()
        .map(|s| (s.person.user.clone(), s.person.display.clone()));
    // Its time and an emergency end it by themselves, whoever is signed in.
    let person = session.filter(|_| how == How::Person);
    let queued = station.outbox.entry_tally().map(|t| t.queued);
    let report = Report {
        began_ms: ran.began.0,
        ended_ms: station.clock.now().0,
        by: ran.by,
        how: how.code().to_owned(),
        ended_by: person.as_ref().map(|(_, display)| display.clone()),
        cards: ran.cards,
        emergency_ms: ran.emergency_ms,
        recorded: queued.ok().map(|now| now.saturating_sub(ran.queued)),
    };
    if let Err(e) = append(station, person.map(|(user, _)| Actor::User(user)), &report) {
        tracing::error!(error = %e, "the audit row of the end of a drill could not be written");
    }
    report.keep(station);
    station.command(link::Command::OutboxChanged);
    station.tell_status();
}

fn append(station: &Station, actor: Option<Actor>, report: &Report) -> Result<(), EngineError> {
    let at = station.clock.now();
    let row = AuditEntry {
        access_id: entropy::access_id(at)?,
        at,
        actor: actor.unwrap_or_else(|| Actor::Device(station.device_id.clone())),
        device: Some(station.device_id.clone()),
        action: Kind::EndDrill.name().to_owned(),
        purpose: Purpose::Operations,
        decision: Decision::Permit,
        rule: "anybody-ends-a-drill".to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::from([("report".to_owned(), report.json())]),
    };
    station
        .outbox
        .append(&[row], None)
        .map(drop)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_while_it_is_being_begun_leaves_nothing_cut_off() {
        let (asked, later) = (Duration::from_secs(100), Duration::from_secs(101));
        let d = Drill::default();
        d.emergency(Duration::from_secs(99));
        d.cut_since(asked);
        assert!(d.runs() && !d.broken_since(asked), "one before is another matter");
        d.emergency(later);
        assert!(!d.runs() && d.broken_since(asked));
        let d = Drill::default();
        d.emergency(later);
        d.cut_since(asked);
        assert!(!d.runs() && d.broken_since(asked));
        assert!(d.not_cut().is_ok());
    }

    #[test]
    fn nobody_has_broken_the_glass_at_the_beginning() {
        assert!(!Drill::default().broken_since(Duration::ZERO));
    }
}
