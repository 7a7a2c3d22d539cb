//! What comes after the breaking of the glass: the end of the grant, and the words that were not given at once (ADR 36).
//!
//! Lives here: when a grant ends before its time, and what its user may add to it. Each is written in the commit of its audit row.
//! Never here: the network (`link` sends what is written), the review (the server).
//! Called by the facade, by the lock (`station`) and by signing in (`session`).

use super::WORDS_MAX;
use crate::EngineError;
use crate::entropy;
use crate::error::store_words;
use crate::outbox::Alarm;
use crate::session;
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use vitrine_access::grant::{Ended, EndedBy, GrantId, LaterWords};
use vitrine_access::review::WORDS_MS;
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Grant, Kind, Purpose};
use vitrine_clinical::{UserId, UtcMs, format, say};
use vitrine_wire::message::GrantEnd;
use vitrine_wire::view::{BrokenGlassView, EmergencyEndedView, EngineEvent};

/// What the end of a session means for the grants of its user. Nobody being there for a while ends none: the same person has to
/// unlock to use it, and an emergency goes on. Whoever locks by hand, signs out or is signed out has left.
const fn ends_by(how: session::Ended) -> Option<EndedBy> {
    match how {
        session::Ended::Person => Some(EndedBy::Lock),
        session::Ended::Server => Some(EndedBy::TakenBack),
        session::Ended::Closing => Some(EndedBy::Closed),
        session::Ended::Idle | session::Ended::Horizon | session::Ended::Wiped => None,
    }
}

/// A session is over. The lock stands also where this cannot be written: it is written before anybody signs in again.
pub(crate) fn session_over(station: &Station, user: &UserId, how: session::Ended) {
    let Some(by) = ends_by(how) else { return };
    // A session of the command line that was kept for its next run goes on.
    if how == session::Ended::Closing && station.profile.session().exists() {
        return;
    }
    if let Err(e) = end(station, user, by, |g| g.user == *user) {
        tracing::error!(error = %e, "the end of an emergency access could not be written yet");
        unended(station).push((user.clone(), by));
    }
}

/// Somebody signs in: what others opened here in an emergency ends.
///
/// # Errors
/// [`EngineError::AuditFailed`]: it could not be written, nobody is let in.
pub(crate) fn switched(station: &Station, user: &UserId) -> Result<(), EngineError> {
    loop {
        let Some((of, by)) = unended(station).pop() else {
            break;
        };
        if let Err(e) = end(station, &of, by, |g| g.user == of) {
            unended(station).push((of, by));
            return Err(e);
        }
    }
    end(station, user, EndedBy::Switch, |g| g.user != *user)
}

fn unended(station: &Station) -> std::sync::MutexGuard<'_, Vec<(UserId, EndedBy)>> {
    station.unended.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(
    station: &Station,
    actor: &UserId,
    by: EndedBy,
    which: impl Fn(&Grant) -> bool,
) -> Result<(), EngineError> {
    let ended = Ended {
        at: station.clock.now(),
        by,
    };
    let written = || {
        let grants = station.outbox.grants_in_force(ended.at)?;
        let ends: Vec<(Ended, AuditEntry)> = grants
            .iter()
            .filter(|g| which(g))
            .map(|g| {
                Ok((
                    ended,
                    row(
                        station,
                        Actor::User(actor.clone()),
                        g,
                        Kind::EndBreakGlass,
                        by.code(),
                    )?,
                ))
            })
            .collect::<Result<_, EngineError>>()?;
        if !ends.is_empty() {
            station.outbox.end_grants(&ends)?;
        }
        Ok(())
    };
    written().map_err(|e: EngineError| unwritten(station, e))
}

fn unwritten(station: &Station, e: EngineError) -> EngineError {
    if station.alarms.raise(Alarm::OutboxUnwritable) {
        station.tell_status();
    }
    match e {
        EngineError::Store(e) => EngineError::AuditFailed(store_words(&e)),
        other => other,
    }
}

fn row(
    station: &Station,
    actor: Actor,
    grant: &Grant,
    action: Kind,
    rule: &str,
) -> Result<AuditEntry, EngineError> {
    let at = station.clock.now();
    Ok(AuditEntry {
        access_id: entropy::access_id(at)?,
        at,
        actor,
        device: Some(station.device_id.clone()),
        action: action.name().to_owned(),
        purpose: Purpose::BreakGlass,
        decision: Decision::Permit,
        rule: rule.to_owned(),
        grant: Some(grant.id),
        patient: Some(grant.patient.clone()),
        disclosure: Disclosure::default(),
        notes: BTreeMap::from([("of".to_owned(), grant.user.to_string())]),
    })
}

/// Its user ends a grant. With nobody signed in, whoever stands before the card that was opened by it may, too: it only takes away.
/// One that has ended, or that stands in the reserve of a full disk alone, covers nothing as it is.
///
/// # Errors
/// [`EngineError::Usage`] for that of somebody else, [`EngineError::AuditFailed`]: it has not ended.
pub(crate) fn end_own(station: &Station, id: &str) -> Result<(), EngineError> {
    let Some(made) = station.outbox.made_grant(id.trim())? else {
        return Ok(());
    };
    let signed_in = station.session().as_ref().map(|s| s.person.user.clone());
    if signed_in.is_some_and(|user| user != made.grant.user) {
        return Err(not_yours());
    }
    end(station, &made.grant.user, EndedBy::User, |g| {
        g.id == made.grant.id
    })
}

/// Notes until when a grant lasts, so that its end is said.
pub(crate) fn runs(station: &Station, grant: &Grant) {
    let mut running = station.running.lock().unwrap_or_else(PoisonError::into_inner);
    running.push((grant.id, grant.until));
}

/// Says of each grant whose time is over that it is: what is open under it closes. The policy needs nobody to say it.
pub(crate) fn tell_over(station: &Station) {
    let now = station.clock.now();
    let over: Vec<(GrantId, UtcMs)> = {
        let mut running = station.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.extract_if(.., |(_, until)| *until <= now).collect()
    };
    for (id, until) in over {
        let time = format::time_in(until, &|at| station.clock.zone_minutes(at));
        station.tell(EngineEvent::EmergencyEnded(EmergencyEndedView {
            grant: id.to_string(),
            text: say!(
                "This emergency access ended at {time}. In an emergency, break the glass anew.",
                "Dieser Notfallzugriff endete um {time}. Im Notfall erneut zugreifen."
            ),
        }));
    }
}

/// A reviewer took a grant back at the server. It ends here for good, with its audit row, and what is open under it is closed; true when
/// that is news. Where it cannot be written the screen closes all the same, and the server says it again on the next connection.
pub(crate) fn revoked(station: &Station, id: &str, end: &GrantEnd) -> bool {
    let made = match station.outbox.made_grant(id) {
        Ok(Some(made)) if made.ended.is_none() => made,
        Ok(_) => return false,
        Err(e) => {
            tracing::error!(error = %e, "a grant that was taken back could not be read");
            return false;
        }
    };
    let ended = Ended {
        at: UtcMs(end.at_ms),
        by: EndedBy::parse(&end.by),
    };
    let actor = Actor::Device(station.device_id.clone());
    let written = row(station, actor, &made.grant, Kind::EndBreakGlass, ended.by.code())
        .and_then(|row| Ok(station.outbox.end_grants(&[(ended, row)])?));
    if let Err(e) = &written {
        tracing::error!(error = %e, "the end of an emergency access that was taken back could not be written");
        if station.alarms.raise(Alarm::OutboxUnwritable) {
            station.tell_status();
        }
    }
    let time = format::time_in(ended.at, &|at| station.clock.zone_minutes(at));
    station.tell(EngineEvent::EmergencyEnded(EmergencyEndedView {
        grant: id.to_owned(),
        text: say!(
            "A reviewer took this emergency access back at {time}. In an emergency, break the glass anew.",
            "Dieser Notfallzugriff wurde um {time} bei der Überprüfung entzogen. Im Notfall erneut zugreifen."
        ),
    }));
    written.is_ok()
}

fn not_yours() -> EngineError {
    EngineError::Usage(say!(
        "There is no such emergency access of yours at this workstation.",
        "An diesem Arbeitsplatz gibt es keinen solchen Notfallzugriff von Ihnen."
    ))
}

/// Adds words to a grant that has none.
///
/// # Errors
/// [`EngineError::NotSignedIn`]; [`EngineError::Usage`] for none, too many, a grant of somebody else or one with words;
/// [`EngineError::AuditFailed`]: nothing was written.
pub(crate) fn add_words(station: &Station, id: &str, text: &str) -> Result<(), EngineError> {
    let person = station.person()?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > WORDS_MAX {
        return Err(EngineError::Usage(say!(
            "Say why, in 1 to {WORDS_MAX} characters.",
            "Den Grund angeben, in 1 bis {WORDS_MAX} Zeichen."
        )));
    }
    let made = station.outbox.made_grant(id.trim())?;
    let made = made
        .filter(|m| m.grant.user == person.user)
        .ok_or_else(not_yours)?;
    let given = || {
        EngineError::Usage(say!(
            "This emergency access has its words already.",
            "Dieser Notfallzugriff ist bereits begründet."
        ))
    };
    if !made.owes_words() {
        return Err(given());
    }
    let mut entry = row(
        station,
        Actor::User(person.user.clone()),
        &made.grant,
        Kind::ExplainBreakGlass,
        "own-words",
    )?;
    entry.notes.insert("words".to_owned(), text.to_owned());
    let words = LaterWords {
        at: entry.at,
        text: text.to_owned(),
    };
    match station.outbox.add_words(&words, &entry) {
        Ok(true) => Ok(()),
        Ok(false) => Err(given()),
        Err(e) => Err(unwritten(station, EngineError::Store(e))),
    }
}

/// Until when words for a grant of that moment are due.
pub(crate) const fn due(at: UtcMs) -> UtcMs {
    UtcMs(at.0.saturating_add(WORDS_MS))
}

/// The grant as a screen needs it; `owes` = it has no words yet.
pub(crate) fn broken_view(station: &Station, id: GrantId, at: UtcMs, owes: bool) -> BrokenGlassView {
    let due = due(at);
    let time = format::time_in(due, &|at| station.clock.zone_minutes(at));
    let owed_text = owes.then(|| {
        if station.clock.now() < due {
            say!(
                "No words yet: due by {time}",
                "Noch keine Begründung: fällig bis {time}"
            )
        } else {
            say!(
                "No words yet: they were due by {time}",
                "Noch keine Begründung: fällig war sie bis {time}"
            )
        }
    });
    BrokenGlassView {
        grant: id.to_string(),
        owed_text,
    }
}
