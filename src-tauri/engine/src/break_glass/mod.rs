//! Breaking the glass: the emergency card of a patient to whom the person has no relationship, with or without a
//! server, on record before it is seen.
//!
//! ```text
//! identity (session ≤ 5 min, or PIN against the staff list) → decide(BreakGlass) → grant + audit row, one synced commit
//!   → decide(ReadCard) with the grant → card over the reserved connection → audit row, synced → opened → view
//! ```
//! Never here: the network in any form, a key derivation beyond the PIN, a lock that a search or a snapshot holds.
//! When the disk is full the rows go to the reserve and the card still opens, with an alarm that stays.
//! An emergency account (ADR 49) comes with a token alone: `session::declared` has asked who stands here.
//! Called by the facade, on the emergency thread. How a grant ends, and its words, are in [`after`].

pub(crate) mod after;

use crate::EngineError;
use crate::chart::blocks::Words;
use crate::chart::card_view::{Frame, card_view};
use crate::clock::Stopwatch;
use crate::entry::{self, Pending};
use crate::horizon;
use crate::keys::verify_pin;
use crate::outbox::{disclose_emergency, refused};
use crate::session::{Assurance, FRESH_SECRET, Person, declared, dir_user, rows};
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::Mutex;
use vitrine_access::action::{BreakGlass as BreakGlassAct, ReadCard};
use vitrine_access::grant::{DECLARED_GRANT_MS, GRANT_MS, Reason};
use vitrine_access::policy::{PatientFacts, decide};
use vitrine_access::{Disclosure, Grant, Kind};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, UserId, WardId, format, say, word};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{Attempt, CachedCard, ThrottleRule};
use vitrine_wire::view::{EmergencyCardView, ReasonView, SectionAge};
use zeroize::Zeroizing;

/// Wrong PINs in an emergency: the same five are free, then 30 s each. Never longer and never the end of a slot, so
/// that a stranger who types wrong PINs under a name cannot keep its owner out; at 30 s a try, six digits last a year.
const RULE: ThrottleRule = ThrottleRule {
    path: "emergency",
    free: 5,
    first_wait_ms: 30_000,
    longest_wait_ms: 30_000,
};

/// Longest words of a reason, characters.
const WORDS_MAX: usize = vitrine_access::review::LONGEST_TEXT;

/// Who asks, and how that is known.
#[derive(Clone)]
pub enum Identity {
    /// The person signed in, whose secret was given within five minutes.
    Session,
    /// Proven a moment ago by [`crate::Workstation::identify`].
    Token(String),
    /// A PIN given now.
    UserSecret {
        /// Sign-in name.
        user: String,
        /// PIN.
        secret: Zeroizing<String>,
        /// The token of the badge that picked them, where one did.
        badge: Option<String>,
    },
}

/// A request to break the glass.
#[derive(Clone)]
pub struct BreakGlass {
    /// FHIR id or MRN.
    pub patient: String,
    /// Code or digit of the reason.
    pub reason: String,
    /// Words; needed for "other".
    pub words: Option<String>,
    /// Who asks.
    pub identity: Identity,
}

/// The reasons, in the order of their digits.
#[must_use]
pub fn reasons() -> Vec<ReasonView> {
    (1..)
        .zip(Reason::ALL)
        .map(|(digit, r)| ReasonView {
            digit,
            code: r.code().to_owned(),
            text: reason_text(r).to_owned(),
            needs_words: r == Reason::Other,
        })
        .collect()
}

/// A reason in words. What is recorded of it is its code.
fn reason_text(r: Reason) -> &'static str {
    match r {
        Reason::LifeThreatening => word!("Life-threatening emergency", "Lebensbedrohlicher Notfall"),
        Reason::CannotConsent => word!(
            "Unconscious / cannot consent",
            "Bewusstlos / nicht einwilligungsfähig"
        ),
        Reason::Covering => word!("Covering for team", "Vertretung im Team"),
        Reason::MassCasualty => word!("Mass casualty / downtime", "Massenanfall (MANV) / Ausfall"),
        Reason::Other => word!("Other (words)", "Anderer Grund (in Worten)"),
    }
}

/// Wrong PINs counted while the outbox cannot be written.
static COUNTED_IN_MEMORY: Mutex<BTreeMap<String, (u32, i64)>> = Mutex::new(BTreeMap::new());

/// Proves who somebody is by the PIN of the staff list. Slowed down for each user by itself.
///
/// `badge`: the token of a badge held to the reader. One that does not pick this person, or not any more, hinders nobody: it is an
/// emergency, and the PIN has opened; it is not named then.
pub(crate) fn identify(
    station: &Station,
    user: &str,
    secret: &str,
    badge: Option<&str>,
) -> Result<(Person, Assurance), EngineError> {
    let user = UserId::new(user.trim()).map_err(|e| EngineError::Usage(e.to_string()))?;
    let dir = dir_user(station, user.as_str())?.ok_or_else(|| EngineError::UnknownUser(user.to_string()))?;
    if dir.disabled {
        rows::not_let_in(station, &user, Kind::Identify, "account-disabled");
        return Err(EngineError::Disabled);
    }
    let phc = dir
        .pin_phc
        .as_deref()
        .ok_or_else(|| EngineError::UnknownUser(user.to_string()))?;
    let wait_ms = count_try(station, user.as_str())?;
    let right = verify_pin(secret, phc).map_err(|e| EngineError::KeysMissing(e.to_string()))?;
    if !right {
        rows::not_let_in(station, &user, Kind::Identify, "wrong-secret");
        return Err(EngineError::WrongSecret {
            retry_after_s: u32::try_from(wait_ms / 1_000).unwrap_or(0),
        });
    }
    station.waits.end(RULE.path, user.as_str());
    let _ = station.outbox.right_secret(user.as_str(), RULE.path);
    COUNTED_IN_MEMORY
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .remove(user.as_str());
    let held = badge.and_then(|token| station.badges.find(token, station.clock.elapsed()).ok());
    let theirs = held.is_some_and(|p| p.user == user && dir.badges.contains(&p.badge));
    let how = if theirs {
        Assurance::BadgePin
    } else {
        Assurance::Pin
    };
    Ok((Person::of_dir(&dir)?, how))
}

fn count_try(station: &Station, user: &str) -> Result<i64, EngineError> {
    let now = station.clock.now();
    let throttled = |ms: i64| EngineError::Throttled {
        retry_after_s: u32::try_from((ms + 999) / 1_000).unwrap_or(1),
    };
    let run = station.clock.elapsed();
    if let Some(ms) = station.waits.left(RULE.path, user, run) {
        return Err(throttled(ms));
    }
    match station.outbox.attempt(user, &RULE, now) {
        Ok(Attempt::Go { wait_ms, .. }) => {
            station.waits.begin(RULE.path, user, run, wait_ms);
            Ok(wait_ms)
        }
        Ok(Attempt::Wait { wait_ms }) => Err(throttled(wait_ms)),
        Err(_) => {
            let mut counted = COUNTED_IN_MEMORY
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let (fails, until) = counted.entry(user.to_owned()).or_default();
            if *until > now.0 {
                return Err(throttled(*until - now.0));
            }
            *fails = fails.saturating_add(1);
            let wait_ms = if *fails >= RULE.free {
                RULE.first_wait_ms
            } else {
                0
            };
            *until = now.0.saturating_add(wait_ms);
            Ok(wait_ms)
        }
    }
}

/// Whether somebody is signed in who proved who they are within the last minutes.
pub(crate) fn fresh(station: &Station) -> bool {
    station.session().as_ref().is_some_and(|s| {
        !s.proven.is_zero() && station.clock.elapsed().saturating_sub(s.proven) < FRESH_SECRET
    })
}

fn who(station: &Station, identity: &Identity) -> Result<(Person, Assurance), EngineError> {
    match identity {
        Identity::Session => {
            let person = station.person()?;
            if fresh(station) {
                Ok((person, Assurance::Session))
            } else {
                Err(EngineError::PinNeeded)
            }
        }
        Identity::Token(token) => station.proofs.find(token, station.clock.elapsed()),
        // Before the code is tried: what it says nothing of comes first.
        Identity::UserSecret { user, .. } if declared::is_one(station, user) => Err(EngineError::NameNeeded),
        Identity::UserSecret { user, secret, badge } => identify(station, user, secret, badge.as_deref()),
    }
}

/// What the breaking of the glass gave, for the screen and for the command line.
pub(crate) struct Opened {
    pub(crate) view: EmergencyCardView,
    pub(crate) card: Option<EmergencyCard>,
    pub(crate) age: SectionAge,
}

/// Breaks the glass.
pub(crate) fn open(station: &Station, request: &BreakGlass, since: Stopwatch) -> Result<Opened, EngineError> {
    let reason = Reason::parse(request.reason.trim()).ok_or_else(|| {
        let codes = Reason::ALL.map(Reason::code).join(", ");
        EngineError::Usage(say!(
            "'{typed}' is no reason: use {codes} or a digit 1 to 5",
            "„{typed}“ ist kein Grund: {codes} oder eine Ziffer 1 bis 5 verwenden",
            typed = request.reason.trim()
        ))
    })?;
    let words = request.words.as_deref().map(str::trim).filter(|w| !w.is_empty());
    if reason == Reason::Other && words.is_none() {
        return Err(EngineError::Usage(say!(
            "Reason 5 needs words: say why.",
            "Grund 5 braucht Worte: angeben, warum."
        )));
    }
    let words = words.map(|w| w.chars().take(WORDS_MAX).collect::<String>());
    // Images that nobody looks at give way; it only notes until when.
    station.imaging.emergency();
    let (person, assurance) = who(station, &request.identity)?;
    let patient = station.resolve(&request.patient)?;
    let ward = match station.essentials.whereabouts(&patient, true) {
        Ok(Some(ward)) => ward,
        Ok(None) => return Err(station.not_here(word!("This patient", "dieser Patient"))),
        // The card is here and cannot be read: say so on the card, not instead of it.
        Err(StoreError::Damaged(_)) => None,
        Err(e) => return Err(e.into()),
    };
    let grant = record_grant(
        station,
        &person,
        assurance,
        &patient,
        ward.as_ref(),
        reason,
        words,
    )?;
    station.drill.emergency(station.clock.elapsed());
    let mut opened = read_card(station, &person, &patient, ward, &grant)?;
    opened.view.elapsed_ms = since.ms();
    Ok(opened)
}

/// Decides, and writes grant and audit row in one synced commit.
fn record_grant(
    station: &Station,
    person: &Person,
    assurance: Assurance,
    patient: &PatientId,
    ward: Option<&WardId>,
    reason: Reason,
    words: Option<String>,
) -> Result<Grant, EngineError> {
    let facts = PatientFacts {
        patient: patient.clone(),
        ward: ward.cloned(),
        label: Label::NONE,
    };
    let request = station.request(person.subject(), Some(facts), None, None)?;
    let mut permit = decide::<BreakGlassAct>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("reason", reason.code())
        .noted("assurance", assurance.code());
    if horizon::over(station) {
        permit = permit.noted("staff-list", "past-the-offline-horizon");
    }
    if let Some(words) = &words {
        permit = permit.noted("words", words.clone());
    }
    let longest = match &person.declared {
        Some(name) => {
            permit = permit.noted("declared", name.clone());
            DECLARED_GRANT_MS
        }
        None => GRANT_MS,
    };
    let lasts = i64::try_from(station.options.emergency_access.as_millis()).unwrap_or(longest);
    let grant = Grant {
        id: permit.access_id(),
        user: person.user.clone(),
        device: Some(station.device_id.clone()),
        patient: patient.clone(),
        reason,
        words,
        at: permit.at(),
        until: permit.at().plus_ms(lasts.min(longest)),
        offline: station.fresh.feed(None, &station.clock).0 != vitrine_wire::view::DataAge::Live,
        declared: person.declared.clone(),
    };
    let entry = permit.entry(Disclosure::default());
    let written = station
        .outbox
        .append_emergency(&entry, Some(&grant), &station.ballast)?;
    station.kept(written.kept);
    after::runs(station, &grant);
    Ok(grant)
}

fn read_card(
    station: &Station,
    person: &Person,
    patient: &PatientId,
    ward: Option<WardId>,
    grant: &Grant,
) -> Result<Opened, EngineError> {
    let facts = PatientFacts {
        patient: patient.clone(),
        ward,
        label: Label::NONE,
    };
    let request = station.request(person.subject(), Some(facts), None, Some(grant.clone()))?;
    let permit = decide::<ReadCard>(request).map_err(|d| refused(&station.outbox, &d))?;
    let pending = entry::pending(station, Some(patient)).ok();
    let permit = entry::noted(permit, pending.as_deref());
    let read = disclose_emergency(&station.outbox, &station.ballast, &permit, |p| {
        station.essentials.card_reserved(p)
    });
    let stored = match read {
        Ok((card, kept)) => {
            station.kept(kept);
            Some(card.ok_or_else(|| station.not_here(word!("This patient", "dieser Patient")))?)
        }
        Err(EngineError::Damaged { what }) => {
            station.damaged(&StoreError::Damaged(what));
            let entry = permit.noted("unreadable", "yes").entry(Disclosure::default());
            let written = station.outbox.append_emergency(&entry, None, &station.ballast)?;
            station.kept(written.kept);
            return Ok(shown(
                station,
                person,
                patient,
                grant,
                entry.access_id.to_string(),
                None,
                pending,
            ));
        }
        Err(other) => return Err(other),
    };
    Ok(shown(
        station,
        person,
        patient,
        grant,
        permit.access_id().to_string(),
        stored.as_ref(),
        pending,
    ))
}

fn shown(
    station: &Station,
    person: &Person,
    patient: &PatientId,
    grant: &Grant,
    access_id: String,
    stored: Option<&CachedCard>,
    pending: Option<Vec<Pending>>,
) -> Opened {
    let card = stored.and_then(|c| serde_json::from_slice::<EmergencyCard>(&c.body).ok());
    let age = match stored {
        Some(c) if card.is_some() => station
            .fresh
            .section(&c.scope, Some((true, c.as_of)), &station.clock),
        _ => SectionAge {
            age: vitrine_wire::view::DataAge::Unavailable,
            text: crate::chart::blocks::unavailable().to_owned(),
            complete: false,
            as_of_ms: None,
        },
    };
    let frame = Frame {
        access_id,
        text: frame_text(station, &person.display, grant),
        broken: Some(after::broken_view(
            station,
            grant.id,
            grant.at,
            // Whoever used an emergency account cannot sign in to add any.
            grant.words.is_none() && grant.declared.is_none(),
        )),
        age: age.clone(),
        full_chart: station.records().is_some(),
        pending,
    };
    let words = Words {
        patient,
        clock: &station.clock,
    };
    Opened {
        view: card_view(&words, card.as_ref(), frame),
        card,
        age,
    }
}

/// "BREAK-GLASS · Dr LEE · Life-threatening emergency · ends 08:31".
pub(crate) fn frame_text(station: &Station, display: &str, grant: &Grant) -> String {
    say!(
        "BREAK-GLASS · {display} · {reason} · ends {until}",
        "NOTFALLZUGRIFF · {display} · {reason} · endet {until}",
        reason = reason_text(grant.reason),
        until = format::time_in(grant.until, &|at| station.clock.zone_minutes(at))
    )
}
