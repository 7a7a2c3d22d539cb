//! Recording at this workstation: the permit, the commit, the list of what the server does not have, drafts of it.
//!
//! Never here: what an entry says (`crate::entry`), sending one (`link`).
//! Called by the acts.

use super::chart::may_open;
use crate::EngineError;
use crate::chart::blocks::Words;
use crate::chart::rows;
use crate::entropy;
use crate::entry::{self, OnScreen, Pending};
use crate::error::store_words;
use crate::link;
use crate::outbox::{denied_text, disclose, refused};
use crate::session::Person;
use crate::station::Station;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vitrine_access::action::{SearchPatients, WriteClinical};
use vitrine_access::policy::{Request, decide, verdict};
use vitrine_access::{Disclosure, Permit, Sealed};
use vitrine_clinical::entry::{AHEAD_MS, Entry, NOTE_MOST, What};
use vitrine_clinical::language::{Language, speaking};
use vitrine_clinical::{FhirId, PatientId, UserId, UtcMs, say};
use vitrine_store_sqlcipher::workstation::{Draft, NewEntry};
use vitrine_wire::entry_view::{
    DraftHintView, DraftKind, EntriesView, EntryDraftView, EntryInput, EntryPreviewView, EntrySeen,
    EntryState, EntryView,
};
use vitrine_wire::view::EngineEvent;

/// Most characters of what was done about a rejected entry.
const WORDS_MAX: usize = 500;
/// Most fields of a draft.
const DRAFT_FIELDS: usize = 60;
/// Most characters of a draft besides the text of a note.
const DRAFT_BESIDE: usize = 5_000;
const MINUTE_MS: i64 = 60_000;
/// What was read longer ago than this is read again before it is signed, ms.
const SEEN_MS: i64 = 15 * 60_000;

/// Whether this person may record for a patient; the sentence where not.
pub(super) fn may_record(request: &Request) -> (bool, Option<String>) {
    let v = verdict("write-clinical", request);
    (v.allow, (!v.allow).then(|| denied_text(v.rule, v.text)))
}

pub(super) fn preview(
    station: &Arc<Station>,
    patient: &str,
    input: &EntryInput,
) -> Result<EntryPreviewView, EngineError> {
    station.person()?;
    let patient = station.exactly(patient)?;
    let words = Words {
        patient: &patient,
        clock: &station.clock,
    };
    let now = station.clock.now();
    let id = entropy::access_id(now)?.to_string();
    let shown = on_screen(station, &patient, input);
    let seen = EntrySeen { id, at_ms: now.0 };
    Ok(entry::preview(&words, input, seen, &shown))
}

/// What an input is about, as this person has it on the screen.
fn on_screen(station: &Station, patient: &PatientId, input: &EntryInput) -> OnScreen {
    let session = station.session();
    let Some(session) = session.as_ref() else {
        return OnScreen::default();
    };
    let of = |key: &String| (patient.clone(), key.clone());
    match input {
        EntryInput::Acknowledge { result, .. } => OnScreen {
            result: session.results.get(&of(result)).cloned(),
            ..OnScreen::default()
        },
        EntryInput::AllergyChange { allergy, .. } => OnScreen {
            allergy: session.allergies.get(&of(allergy)).cloned(),
            ..OnScreen::default()
        },
        EntryInput::VitalsError { values, .. } => {
            let all = session.vitals.get(patient);
            let sources = values.iter().flat_map(|v| v.split(' '));
            let found = sources.filter_map(|key| Some((key.to_owned(), all?.get(key)?.clone())));
            OnScreen {
                vitals: found.collect(),
                ..OnScreen::default()
            }
        }
        _ => OnScreen::default(),
    }
}

/// The newest time that is known here, however the clock stands: that of the data, and of the audit chain.
fn newest_known(station: &Station) -> i64 {
    let data = station.stored_as_of().unwrap_or(0);
    let chain = station.outbox.newest_row().ok().flatten().unwrap_or(0);
    data.max(chain)
}

pub(super) fn record(
    station: &Arc<Station>,
    patient: &str,
    input: &EntryInput,
    seen: &EntrySeen,
) -> Result<EntryView, EngineError> {
    let person = station.person()?;
    let patient = station.exactly(patient)?;
    let now = station.clock.now();
    let words = Words {
        patient: &patient,
        clock: &station.clock,
    };
    let id = FhirId::new(seen.id.as_str()).map_err(|e| EngineError::Usage(e.to_string()))?;
    // Signed again, because the first answer was not heard: it is the same entry.
    if let Some(kept) = station.outbox.entry(id.as_str())? {
        let kept = entry::one(kept, &station.sent());
        let same = kept
            .entry
            .as_ref()
            .is_some_and(|e| e.user == person.user && e.patient == patient);
        return if same {
            Ok(kept.view(&words, None, false))
        } else {
            Err(EngineError::Usage(say!(
                "Read it again before signing.",
                "Vor dem Unterschreiben noch einmal lesen."
            )))
        };
    }
    if newest_known(station).saturating_sub(now.0) > AHEAD_MS {
        return Err(EngineError::Usage(say!(
            "The clock of this workstation stands before what it already holds: nothing can be recorded with a time. Write it on paper, and \
             call IT.",
            "Die Uhr dieses Arbeitsplatzes steht vor dem, was hier bereits gespeichert ist: Nichts lässt sich mit einer Zeit eintragen. Auf \
             Papier dokumentieren und die Klinik-IT anrufen."
        )));
    }
    let shown = UtcMs(seen.at_ms);
    if !(0..=SEEN_MS).contains(&now.since(shown)) {
        return Err(EngineError::Usage(say!(
            "Some time has passed since this was read: read it again before signing.",
            "Seit dem Lesen ist einige Zeit vergangen: vor dem Unterschreiben noch einmal lesen."
        )));
    }
    let about = on_screen(station, &patient, input);
    let (what, faults) = entry::read(input, shown, &about);
    if let Some(first) = faults.first() {
        return Err(EngineError::Usage(first.text.clone()));
    }
    let request = station.request_about(&person, &patient)?;
    let permit = decide::<WriteClinical>(request).map_err(|d| refused(&station.outbox, &d))?;
    let entry = Entry {
        id,
        patient: patient.clone(),
        user: person.user.clone(),
        // Signed, sent and kept: the same whatever is spoken here.
        name: speaking(Language::English, || {
            format!("{} ({})", person.display, person.role.words())
        }),
        device: station.device_id.clone(),
        at: now,
        zone_minutes: station.clock.zone_minutes(now),
        what,
    };
    // All that the server will look at.
    if let Some(first) = entry.faults(now).into_iter().next() {
        return Err(EngineError::Usage(first.text));
    }
    let body = serde_json::to_string(&entry).map_err(|_| EngineError::Internal("wording the entry"))?;
    let row = permit
        .noted("entry", entry.id.as_str())
        .noted("recorded", entry.what.section())
        .noted("entry_blake3", blake3::hash(body.as_bytes()).to_hex().to_string())
        .entry(Disclosure::default());
    let new = NewEntry {
        id: entry.id.as_str(),
        user: &entry.user,
        patient: &patient,
        at: now,
        body: &body,
    };
    station
        .outbox
        .record(&row, &new)
        .map_err(|e| EngineError::NotKept(store_words(&e)))?;
    // It is kept: nothing from here on may say otherwise.
    if let Some(kind) = drafted(&entry.what)
        && let Err(e) = station
            .outbox
            .set_draft(&entry.user, &patient, word_of(kind), &empty(now))
    {
        tracing::warn!(error = %e, "the draft of what was signed is still there");
    }
    station.command(link::Command::OutboxChanged);
    station.tell(EngineEvent::PatientsChanged(vec![patient.to_string()]));
    station.tell_status();
    Ok(entry::queued(entry).view(&words, None, false))
}

/// All that the server has not accepted: of the patients this person may open, and of those this person recorded for.
pub(super) fn list(station: &Arc<Station>) -> Result<EntriesView, EngineError> {
    let person = station.person()?;
    let all: Vec<Pending> = entry::pending(station, None)?
        .into_iter()
        .filter(|p| p.state != EntryState::Accepted)
        .collect();
    let (mine, theirs): (Vec<Pending>, Vec<Pending>) =
        all.into_iter().partition(|p| concerns(station, &person, p));
    let request = station.request(person.subject(), None, None, None)?;
    let permit = decide::<SearchPatients>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("list", "entries not sent");
    let permit = entry::noted(permit, Some(&mine));
    let patients: BTreeSet<PatientId> = mine
        .iter()
        .filter_map(|p| PatientId::new(p.patient.as_str()).ok())
        .collect();
    let names = disclose(&station.outbox, &permit, |p| names(station, p, &patients))?;
    station.command(link::Command::OutboxChanged);
    let mut entries: Vec<(bool, EntryView)> = mine
        .iter()
        .map(|p| {
            let patient = PatientId::new(p.patient.as_str())
                .map_err(|_| EngineError::Internal("reading whose an entry is"))?;
            let words = Words {
                patient: &patient,
                clock: &station.clock,
            };
            let name = names.get(&patient).cloned().unwrap_or_else(|| {
                say!(
                    "{patient} (name not on this workstation)",
                    "{patient} (Name nicht an diesem Arbeitsplatz)"
                )
            });
            let settles = may_settle(station, &person, p);
            Ok((
                p.state != EntryState::Rejected,
                p.view(&words, Some(name), settles),
            ))
        })
        .collect::<Result<_, EngineError>>()?;
    entries.sort_by_key(|(later, _)| *later);
    Ok(EntriesView {
        entries: entries.into_iter().map(|(_, v)| v).collect(),
        withheld: u32::try_from(theirs.len()).unwrap_or(u32::MAX),
        looked_text: say!(
            "Looked at: everything recorded at {device} that the server has not accepted.",
            "Durchgesehen: alles, was an {device} eingetragen und vom Server nicht angenommen wurde.",
            device = station.device().name
        ),
    })
}

/// Whether an entry is this person's affair.
fn concerns(station: &Station, person: &Person, p: &Pending) -> bool {
    if p.entry.as_ref().is_some_and(|e| e.user == person.user) {
        return true;
    }
    let Ok(patient) = PatientId::new(p.patient.as_str()) else {
        return false;
    };
    let ward = station
        .essentials
        .whereabouts(&patient, false)
        .ok()
        .flatten()
        .flatten();
    may_open(station, person, &patient, ward)
}

/// Whether this person may take an entry off the list: who recorded it, or who may write for the patient. To see it is not enough.
fn may_settle(station: &Station, person: &Person, p: &Pending) -> bool {
    if p.entry.as_ref().is_some_and(|e| e.user == person.user) {
        return true;
    }
    PatientId::new(p.patient.as_str())
        .ok()
        .and_then(|patient| station.request_about(person, &patient).ok())
        .is_some_and(|r| may_record(&r).0)
}

/// The names of these patients, as far as they are here.
pub(super) fn names(
    station: &Station,
    permit: &Permit<SearchPatients>,
    patients: &BTreeSet<PatientId>,
) -> Result<Sealed<BTreeMap<PatientId, String>>, vitrine_store::StoreError> {
    let sealed = station.essentials.named(permit, patients)?;
    Ok(sealed.map(|bodies| {
        bodies
            .into_iter()
            .filter_map(|body| {
                let card = serde_json::from_slice::<rows::ListCard>(&body).ok()?;
                let name = rows::name_text(card.identity.as_ref());
                Some((card.patient, name))
            })
            .collect()
    }))
}

/// Takes a rejected entry off the list, with what was done about it.
pub(super) fn settle(station: &Arc<Station>, id: &str, words: &str) -> Result<(), EngineError> {
    let person = station.person()?;
    let words = words.trim();
    if words.is_empty() {
        return Err(EngineError::Usage(say!(
            "Say what was done about it.",
            "Angeben, was unternommen wurde."
        )));
    }
    let gone = || {
        EngineError::Usage(say!(
            "That entry is no longer on the list: read it again.",
            "Dieser Eintrag steht nicht mehr auf der Liste: die Liste neu lesen."
        ))
    };
    let kept = station.outbox.entry(id)?.ok_or_else(gone)?;
    let pending = entry::one(kept, &BTreeSet::new());
    if !may_settle(station, &person, &pending) {
        return Err(EngineError::Usage(say!(
            "Somebody who looks after this patient, or who recorded it, settles it.",
            "Erledigen kann das nur, wer diesen Patienten betreut oder es eingetragen hat."
        )));
    }
    let request = station.request(person.subject(), None, None, None)?;
    let permit = decide::<SearchPatients>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("settled", id)
        .noted("words", words.chars().take(WORDS_MAX).collect::<String>());
    let mut row = permit.entry(Disclosure::default());
    row.patient = PatientId::new(pending.patient.as_str()).ok();
    if !station.outbox.settle_entry(id, &row)? {
        return Err(gone());
    }
    station.command(link::Command::OutboxChanged);
    station.tell(EngineEvent::PatientsChanged(vec![pending.patient]));
    station.tell_status();
    Ok(())
}

/// What this is signed from; a change and an acknowledgement are about something that may have changed since: of them
/// nothing is kept.
const fn drafted(what: &What) -> Option<DraftKind> {
    match what {
        What::Vitals { .. } => Some(DraftKind::Vitals),
        What::Allergy { .. } | What::NoKnownAllergies => Some(DraftKind::Allergy),
        What::Note { .. } => Some(DraftKind::Note),
        _ => None,
    }
}

/// As it is kept.
const fn word_of(kind: DraftKind) -> &'static str {
    match kind {
        DraftKind::Vitals => "vitals",
        DraftKind::Allergy => "allergy",
        DraftKind::Note => "note",
    }
}

fn empty(now: UtcMs) -> Draft {
    Draft {
        at: now,
        fields: BTreeMap::new(),
    }
}

/// This person's draft about a patient.
pub(super) fn draft(
    station: &Arc<Station>,
    patient: &str,
    kind: DraftKind,
) -> Result<Option<EntryDraftView>, EngineError> {
    let person = station.person()?;
    let patient = station.exactly(patient)?;
    let draft = station.outbox.draft(&person.user, &patient, word_of(kind))?;
    let now = station.clock.now();
    Ok(draft.map(|d| {
        let minutes = u32::try_from(now.0.saturating_sub(d.at.0).div_euclid(MINUTE_MS));
        let mut fields = d.fields;
        // The clock was set back: how long ago it was measured cannot be told, and is asked for again.
        if minutes.is_err() {
            fields.remove("minutes_ago");
        }
        EntryDraftView {
            minutes: minutes.unwrap_or(0),
            fields,
        }
    }))
}

/// Which drafts this person has about a patient; none where that cannot be read: the form says so when it is opened.
pub(super) fn drafts(station: &Arc<Station>, user: &UserId, w: &Words<'_>) -> Vec<DraftHintView> {
    let kept = station.outbox.drafts(user, w.patient).unwrap_or_default();
    let all = [DraftKind::Vitals, DraftKind::Allergy, DraftKind::Note];
    let of = |kind: DraftKind| {
        kept.iter()
            .find(|(k, _)| k == word_of(kind))
            .map(|(_, at)| (kind, at))
    };
    let hint = |(kind, at): (DraftKind, &UtcMs)| DraftHintView {
        kind,
        kept_text: w.date_time(*at),
    };
    all.into_iter().filter_map(of).map(hint).collect()
}

/// Keeps it; without fields it is removed.
pub(super) fn set_draft(
    station: &Arc<Station>,
    patient: &str,
    kind: DraftKind,
    fields: BTreeMap<String, String>,
) -> Result<(), EngineError> {
    let person = station.person()?;
    let patient = station.exactly(patient)?;
    let count = |text: &String| text.chars().count();
    if fields.values().any(|v| count(v) > NOTE_MOST) {
        return Err(EngineError::Usage(say!(
            "A note has at most {NOTE_MOST} characters: sign it in parts.",
            "Eine Notiz hat höchstens {NOTE_MOST} Zeichen: in Teilen unterschreiben."
        )));
    }
    let long: usize = fields.iter().map(|(k, v)| count(k) + count(v)).sum();
    if fields.len() > DRAFT_FIELDS || long > NOTE_MOST + DRAFT_BESIDE {
        return Err(EngineError::Usage(say!(
            "A draft has at most {DRAFT_FIELDS} fields.",
            "Ein Entwurf hat höchstens {DRAFT_FIELDS} Felder."
        )));
    }
    let draft = Draft {
        at: station.clock.now(),
        fields,
    };
    station
        .outbox
        .set_draft(&person.user, &patient, word_of(kind), &draft)
        .map_err(|e| EngineError::NotKept(store_words(&e)))
}
