//! What people record at this workstation: from the form to an entry, and how an entry is shown until the record has it.
//!
//! Lives here: reading a form, the views of entries, an unsent allergy on the strip. Never here: what is wrong with an entry
//! (`clinical::entry`), keeping one (`workstation::entries`), the network: an emergency shows what is unsent too.
//!
//! Rules: an unsent allergy is an allergy on every screen of this workstation, marked; an unsent "no known allergies" takes nothing
//! away; measurements count in no score before the server has them (screens.md S16).

pub(crate) mod allergy;
mod form;
pub(crate) mod vitals;

pub(crate) use form::{OnScreen, form, preview, read};

use crate::chart::blocks::{Words, allergies_unavailable, known_allergies};
use crate::outbox::Alarm;
use crate::station::Station;
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::{Action, Permit};
use vitrine_clinical::card::{EmergencyCard, shown};
use vitrine_clinical::entry::{Certainty, Entry, Severity, What};
use vitrine_clinical::{PatientId, UtcMs, say, word};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{EntryMark, KeptEntry};
use vitrine_wire::entry_view::{EntryState, EntryView};
use vitrine_wire::view::{AllergyStripState, AllergyStripView, AllergyView};

/// A copy that is complete up to so long after the server took an entry has it, however the clocks stood, ms. Where the copy itself shows
/// it, that is known sooner.
const SURELY_MS: i64 = 10 * 60_000;

/// An entry and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) patient: String,
    /// `None` for one that this program cannot read: it is shown as such and stays where it is.
    pub(crate) entry: Option<Entry>,
    pub(crate) state: EntryState,
    answered: UtcMs,
    answer: String,
}

/// What is recorded here about a patient, or about all, and not settled; for who shows it to say so when it cannot be read.
///
/// # Errors
/// What the database says; the alarm is raised.
pub(crate) fn pending(station: &Station, patient: Option<&PatientId>) -> Result<Vec<Pending>, StoreError> {
    let kept = told(station, station.outbox.entries(patient))?;
    let sent = station.sent();
    Ok(kept.into_iter().map(|k| one(k, &sent)).collect())
}

/// The patients with an allergy recorded here that a copy, complete up to `as_of`, may not have, or a refuted one that stands again by
/// what was recorded here; true where the server has not accepted it.
///
/// # Errors
/// As [`pending`].
pub(crate) fn allergic(station: &Station, as_of: Option<i64>) -> Result<BTreeMap<String, bool>, StoreError> {
    let kept = told(station, station.outbox.recorded("allergy"))?;
    let changed = told(station, station.outbox.recorded("allergy-change"))?;
    let none = BTreeSet::new();
    let mut out = BTreeMap::new();
    let changed = changed.into_iter().map(|k| one(k, &none));
    // What cannot be read may make one.
    let again = changed.filter(|p| p.entry.as_ref().is_none_or(|e| allergy::makes_one(&e.what)));
    for p in kept.into_iter().map(|k| one(k, &none)).chain(again) {
        if !p.is_in(as_of, &|_| false) {
            *out.entry(p.patient).or_default() |= p.state != EntryState::Accepted;
        }
    }
    Ok(out)
}

/// What was done here about critical results, of all patients, and is not settled.
///
/// # Errors
/// As [`pending`].
pub(crate) fn acknowledged(station: &Station) -> Result<Vec<Pending>, StoreError> {
    let kept = told(station, station.outbox.recorded("acknowledge"))?;
    let none = BTreeSet::new();
    Ok(kept.into_iter().map(|k| one(k, &none)).collect())
}

/// Raises the alarm for what cannot be read, and takes it back.
fn told<T>(station: &Station, read: Result<T, StoreError>) -> Result<T, StoreError> {
    let changed = match &read {
        Ok(_) => station.alarms.clear(Alarm::EntriesUnreadable),
        Err(e) => {
            tracing::error!(error = %e, "what was recorded here cannot be read");
            station.alarms.raise(Alarm::EntriesUnreadable)
        }
    };
    if changed {
        station.tell_status();
    }
    read
}

/// The access's permit, noting which entries it shows.
pub(crate) fn noted<A: Action>(permit: Permit<A>, pending: Option<&[Pending]>) -> Permit<A> {
    let Some(pending) = pending else {
        return permit.noted("entries", "unreadable");
    };
    if pending.is_empty() {
        return permit;
    }
    let ids: Vec<&str> = pending.iter().map(|p| p.id.as_str()).collect();
    permit.noted("entries", ids.join(" "))
}

/// An entry that was kept a moment ago.
pub(crate) fn queued(entry: Entry) -> Pending {
    Pending {
        id: entry.id.to_string(),
        patient: entry.patient.to_string(),
        entry: Some(entry),
        state: EntryState::Queued,
        answered: UtcMs(0),
        answer: String::new(),
    }
}

/// Whether an emergency card shows a resource: among its vital signs or its allergies, as one that was refuted, or as what was done
/// about a critical result.
pub(crate) fn on_card(card: Option<&EmergencyCard>, key: &str) -> bool {
    card.is_some_and(|c| {
        let items = c.allergies.items.iter().map(|i| &i.source);
        let said = c.allergies.negatives.iter().map(|n| &n.source);
        // What was changed was there, also where it is no allergy any more.
        let changes = c.allergies.changes.iter().flatten();
        let changed = changes.flat_map(|c| [&c.source, &c.about]);
        let measured = c.vitals.items.iter().map(|i| &i.source);
        let results = c
            .critical
            .iter()
            .flatten()
            .flat_map(|r| &r.taken)
            .map(|t| &t.source);
        items
            .chain(said)
            .chain(changed)
            .chain(measured)
            .chain(results)
            .any(|source| source.to_string() == key)
    })
}

/// One kept entry and where it is.
pub(crate) fn one(k: KeptEntry, sent: &BTreeSet<String>) -> Pending {
    let state = match k.mark {
        EntryMark::Accepted | EntryMark::Settled => EntryState::Accepted,
        EntryMark::Rejected => EntryState::Rejected,
        EntryMark::Queued if sent.contains(&k.id) => EntryState::Sent,
        EntryMark::Queued => EntryState::Queued,
    };
    Pending {
        state,
        entry: serde_json::from_str(&k.body).ok(),
        id: k.id,
        patient: k.patient,
        answered: UtcMs(k.answered),
        answer: k.answer,
    }
}

impl Pending {
    /// Whether a copy of the record has it: one that holds any of the resources it became, or is complete up to long after that.
    pub(crate) fn is_in(&self, as_of: Option<i64>, holds: &dyn Fn(&str) -> bool) -> bool {
        self.state == EntryState::Accepted
            && (self.answer.lines().any(holds)
                || as_of.is_some_and(|at| UtcMs(at).since(self.answered) > SURELY_MS))
    }

    fn state_text(&self) -> &'static str {
        match self.state {
            EntryState::Queued => word!(
                "NOT SENT — on this workstation alone",
                "NICHT GESENDET — nur an diesem Arbeitsplatz"
            ),
            EntryState::Sent => word!(
                "SENT — the server has not answered yet",
                "GESENDET — der Server hat noch nicht geantwortet"
            ),
            EntryState::Accepted => word!(
                "ACCEPTED by the server — not yet in this copy of the record",
                "Vom Server ANGENOMMEN — noch nicht in dieser Kopie der Akte"
            ),
            EntryState::Rejected => word!(
                "REJECTED by the server — not in the record",
                "Vom Server ABGELEHNT — nicht in der Akte"
            ),
        }
    }

    fn short_state(&self) -> &'static str {
        match self.state {
            EntryState::Queued => word!("NOT SENT", "NICHT GESENDET"),
            EntryState::Sent => word!("SENT, NOT YET ACCEPTED", "GESENDET, NOCH NICHT ANGENOMMEN"),
            EntryState::Accepted => word!("ACCEPTED", "ANGENOMMEN"),
            EntryState::Rejected => word!("REJECTED BY THE SERVER", "VOM SERVER ABGELEHNT"),
        }
    }

    /// As shown. `name`: the patient's, outside a chart; `settles`: this person may take it off the list.
    pub(crate) fn view(&self, w: &Words<'_>, name: Option<String>, settles: bool) -> EntryView {
        let reason = (self.state == EntryState::Rejected).then(|| self.answer.clone());
        let Some(e) = &self.entry else {
            return EntryView {
                id: self.id.clone(),
                patient: self.patient.clone(),
                name_text: name,
                section: "notes".to_owned(),
                state: self.state,
                state_text: self.state_text().to_owned(),
                title: say!(
                    "Recorded by another version of this program",
                    "Von einer anderen Version dieses Programms eingetragen"
                ),
                lines: vec![say!(
                    "It cannot be shown here. It is kept, and sent as it is.",
                    "Der Eintrag lässt sich hier nicht anzeigen. Er ist gespeichert und wird unverändert gesendet."
                )],
                at_text: String::new(),
                by_text: String::new(),
                reason_text: reason,
                may_settle: settles && self.state == EntryState::Rejected,
            };
        };
        EntryView {
            id: self.id.clone(),
            patient: self.patient.clone(),
            name_text: name,
            section: e.what.section().to_owned(),
            state: self.state,
            state_text: self.state_text().to_owned(),
            title: e.what.title().to_owned(),
            lines: e.what.lines(),
            at_text: at_text(w, e.at, &e.what),
            by_text: say!(
                "recorded {at} by {who}",
                "eingetragen {at} von {who}",
                at = w.date_time(e.at),
                who = e.name
            ),
            reason_text: reason,
            may_settle: settles && self.state == EntryState::Rejected,
        }
    }
}

/// "measured 27-Nov-2026 04:12"; for what has no time of its own that of recording.
pub(crate) fn at_text(w: &Words<'_>, recorded: UtcMs, what: &What) -> String {
    match what {
        What::Vitals { at, .. } | What::VitalsError { at, .. } => {
            say!("measured {at}", "gemessen {at}", at = w.date_time(*at))
        }
        _ => w.date_time(recorded),
    }
}

/// Says on the strip that what was recorded here cannot be read: whatever it states, there may be one more.
pub(crate) fn unread_onto_strip(strip: &mut AllergyStripView) {
    if matches!(
        strip.state,
        AllergyStripState::NoneKnown | AllergyStripState::NotRecorded
    ) {
        strip.state = AllergyStripState::Unavailable;
        strip.label = allergies_unavailable().to_owned();
    }
    let unread = word!(
        "What was recorded at this workstation cannot be read: there may be more allergies.",
        "Was an diesem Arbeitsplatz eingetragen wurde, ist nicht lesbar: Es kann weitere Allergien geben."
    );
    strip.conflict_text = Some(match strip.conflict_text.take() {
        Some(text) => format!("{text} {unread}"),
        None => unread.to_owned(),
    });
}

/// Shows unsent allergies on the strip: as allergies, marked; and unsent changes at what they change.
pub(crate) fn onto_strip(strip: &mut AllergyStripView, pending: &[Pending], w: &Words<'_>) {
    for p in pending {
        allergy::onto_strip(strip, p, w);
        let Some(e) = &p.entry else { continue };
        let What::Allergy {
            agent,
            reaction,
            severity,
            certainty,
        } = &e.what
        else {
            continue;
        };
        let agent = agent.trim();
        let dangerous = *severity == Some(Severity::LifeThreatening)
            || reaction.as_deref().is_some_and(vitrine_clinical::card::is_lethal);
        let item = AllergyView {
            agent: agent.to_owned(),
            detail_text: e.what.reaction_text(),
            coded: false,
            dangerous,
            verification_text: (*certainty == Certainty::Unconfirmed)
                .then(|| shown::stands("unconfirmed").to_owned()),
            unsent_text: Some(say!(
                "recorded here {at} by {who}, {state}",
                "hier eingetragen {at} von {who}, {state}",
                at = w.date_time(e.at),
                who = e.name,
                state = p.short_state()
            )),
            disputed_text: None,
            source: None,
            standing: String::new(),
        };
        add(strip, item);
    }
}

/// One more allergy, whatever the record says.
fn add(strip: &mut AllergyStripView, item: AllergyView) {
    let place = if item.dangerous {
        strip.items.iter().take_while(|i| i.dangerous).count()
    } else {
        strip.items.len()
    };
    strip.items.insert(place, item);
    match strip.state {
        AllergyStripState::NoneKnown => {
            strip.conflict_text = Some(say!(
                "Conflict: the record states that there are no known allergies. Treat as allergic.",
                "Widerspruch: In der Akte steht, dass keine Allergien bekannt sind. Als allergisch behandeln."
            ));
            known_label(strip);
        }
        AllergyStripState::NotRecorded => known_label(strip),
        AllergyStripState::Known | AllergyStripState::Unavailable => {}
    }
}

fn known_label(strip: &mut AllergyStripView) {
    strip.state = AllergyStripState::Known;
    strip.label = known_allergies().to_owned();
}
