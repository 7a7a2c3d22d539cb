//! Opening a chart: the permit, card and record under one audit row, the patient kept live while it is open.
//!
//! Never here: what the chart looks like (`crate::chart`), breaking the glass (that is `break_glass`).
//! Called by the acts; search and board ask it which patients may be opened.

use crate::EngineError;
use crate::break_glass;
use crate::chart::blocks::{Words, unavailable};
use crate::chart::card_view::withheld_text;
use crate::chart::record::{Frame, chart_view};
use crate::critical;
use crate::entry;
use crate::error::store_words;
use crate::link;
use crate::outbox::refused;
use crate::session::Person;
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::{PatientFacts, decide, verdict};
use vitrine_access::{Disclosure, Grant};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, WardId, say, word};
use vitrine_wire::view::{ChartView, DataAge, SectionAge};

/// Whether the person may open this patient's chart, for marking the rows of a list.
pub(super) fn may_open(
    station: &Station,
    person: &Person,
    patient: &PatientId,
    ward: Option<WardId>,
) -> bool {
    // What cannot be read is marked as what may not be opened; opening it says why.
    let standing = station.essentials.standing(patient, false).ok().flatten();
    let facts = PatientFacts {
        patient: patient.clone(),
        ward,
        label: standing.map_or(Label::NONE, |(_, label)| label),
    };
    let allowed = |grant: Option<Grant>| {
        station
            .request(person.subject(), Some(facts.clone()), None, grant)
            .is_ok_and(|r| verdict("read-chart", &r).allow)
    };
    // A grant is looked up only for those who would be refused without one.
    allowed(None)
        || station
            .outbox
            .grant(
                &person.user,
                Some(&station.device_id),
                patient,
                station.clock.now(),
            )
            .is_ok_and(|g| g.is_some() && allowed(g))
}

pub(super) fn chart(station: &Arc<Station>, text: &str) -> Result<ChartView, EngineError> {
    let person = station.person()?;
    let patient = station.resolve(text)?;
    let request = station.request_about(&person, &patient)?;
    let grant = request.grant.clone();
    let may_record = super::entries::may_record(&request);
    let permit = decide::<ReadChart>(request).map_err(|d| refused(&station.outbox, &d))?;
    let pending = entry::pending(station, Some(&patient)).ok();
    let permit = entry::noted(permit, pending.as_deref());

    let records = station.records();
    let card = station.essentials.card(&permit);
    if let Err(e) = &card {
        station.damaged(e);
    }
    let card = card.ok();
    let record = match &records {
        Some(r) => r.record(&permit).ok(),
        None => None,
    };
    let disclosure = joined(
        card.as_ref().map(|c| c.disclosure()),
        record.as_ref().map(|r| r.disclosure()),
    );
    let entry = permit.entry(disclosure);
    let receipt = station
        .outbox
        .append(&[entry], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?;
    let receipt = receipt
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    let wrong = |_| EngineError::Internal("opening with the receipt");
    let unreadable = card.is_none();
    let card = card
        .map(|c| c.open(&receipt))
        .transpose()
        .map_err(wrong)?
        .flatten();
    let record = record
        .map(|r| r.open(&receipt))
        .transpose()
        .map_err(wrong)?
        .flatten();
    station.command(link::Command::OutboxChanged);
    if card.is_none() && record.is_none() && !unreadable {
        return Err(station.not_here(word!("This patient", "dieser Patient")));
    }
    keep_open(station, &patient, record.is_some());

    let parsed = card
        .as_ref()
        .and_then(|c| serde_json::from_slice::<EmergencyCard>(&c.body).ok());
    let scope = format!("pat:{patient}");
    let essentials_age = match &card {
        Some(c) => station
            .fresh
            .section(&c.scope, Some((true, c.as_of)), &station.clock),
        None => SectionAge {
            age: DataAge::Unavailable,
            text: unavailable().to_owned(),
            complete: false,
            as_of_ms: None,
        },
    };
    let record_age = station.fresh.section(
        &scope,
        record.as_ref().map(|r| (true, r.state.as_of)),
        &station.clock,
    );
    let loading_text = station
        .fresh
        .scope(&scope)
        .and_then(|f| f.loading)
        .map(|(done, of)| {
            say!(
                "Still loading — {done} of {of}",
                "Wird noch geladen — {done} von {of}"
            )
        });
    let by_grant = permit.grant().is_some();
    let words = Words {
        patient: &patient,
        clock: &station.clock,
    };
    let taken_up = critical::taken_up_here(station, essentials_age.as_of_ms);
    let grant = grant.filter(|_| by_grant);
    let broken = grant.as_ref().map(|g| {
        let made = station.outbox.made_grant(&g.id.to_string()).ok().flatten();
        let owes = made.map_or(g.words.is_none(), |m| m.owes_words());
        break_glass::after::broken_view(station, g.id, g.at, owes)
    });
    let frame = Frame {
        access_id: permit.access_id().to_string(),
        break_glass_text: grant.map(|g| break_glass::frame_text(station, &person.display, &g)),
        broken,
        essentials_age,
        record_age,
        loading_text,
        taken_up,
        ward: station.device().ward.clone(),
        pending,
        drafts: super::entries::drafts(station, &person.user, &words),
        may_record,
    };
    let mut chart = chart_view(&words, parsed.as_ref(), record.as_ref(), frame);
    let n = record.as_ref().map(|r| r.withheld);
    let on_card = parsed.as_ref().is_some_and(|c| c.withheld);
    chart.view.withheld_text = withheld_text(n, on_card, permit.breaking_helps());
    if let Some(session) = station
        .session_mut()
        .as_mut()
        .filter(|s| s.person.user == person.user)
    {
        session.vitals.insert(patient.clone(), chart.vitals);
        session.allergies.retain(|(of, _), _| *of != patient);
        let own = parsed.as_ref().filter(|c| c.patient == patient);
        let shown = own
            .map(|c| entry::allergy::shown(&c.allergies))
            .unwrap_or_default();
        session
            .allergies
            .extend(shown.into_iter().map(|(key, s)| ((patient.clone(), key), s)));
    }
    Ok(chart.view)
}

/// One row for one access that reads two databases.
fn joined(card: Option<&Disclosure>, record: Option<&Disclosure>) -> Disclosure {
    let mut out = record.cloned().unwrap_or_default();
    if let Some(c) = card {
        for p in &c.patients {
            if !out.patients.contains(p) {
                out.patients.push(p.clone());
            }
        }
        out.resources.extend(c.resources.iter().cloned());
        out.total += c.total;
    }
    out
}

/// Keeps the patient live while the chart is open, and the least recently used records few.
fn keep_open(station: &Arc<Station>, patient: &PatientId, held: bool) {
    station.command(link::Command::OpenPatient(patient.to_string()));
    if let Some(records) = station.records().filter(|_| held) {
        let scope = format!("pat:{patient}");
        let kept = records
            .used(&scope, station.clock.now().0)
            .and_then(|()| records.evict(station.options.records_kept));
        if let Err(e) = kept {
            tracing::debug!(error = %e, "the use of a record could not be noted");
        }
    }
}
