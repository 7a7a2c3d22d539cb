//! The cards of several patients for one list: whose this person may read, one row of the audit log for each.
//!
//! Never here: what a list shows of them (`packet`, `results`).

use crate::EngineError;
use crate::chart::blocks::unavailable;
use crate::entry::{self, Pending};
use crate::error::store_words;
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::action::ReadCard;
use vitrine_access::policy::{decide, verdict};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::{PatientId, word};
use vitrine_store::StoreError;
use vitrine_wire::view::{DataAge, PatientRowView, SectionAge};

/// A card that was read.
pub(super) struct Opened {
    pub(super) patient: PatientId,
    pub(super) access_id: String,
    /// `None` for one that cannot be understood: it has its place all the same.
    pub(super) card: Option<EmergencyCard>,
    pub(super) age: SectionAge,
    /// What was recorded here; `None` where that cannot be read.
    pub(super) pending: Option<Vec<Pending>>,
}

/// A row, and its card or why there is none.
pub(super) type Read = (PatientRowView, Result<Opened, Without>);

/// Why there is no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// This person may not read it.
    Restricted,
    /// It is not here.
    NotHere,
    /// It cannot be read.
    Unreadable,
}

impl Without {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Restricted => word!(
                "restricted: emergency access only",
                "gesperrt: nur mit Notfallzugriff"
            ),
            Self::NotHere => word!("not on this workstation", "nicht an diesem Arbeitsplatz"),
            Self::Unreadable => word!("its data cannot be read", "Daten nicht lesbar"),
        }
    }
}

/// The cards of these patients. All rows of the audit log are durable before the first is opened; they say what for.
pub(super) fn cards(
    station: &Arc<Station>,
    rows: Vec<PatientRowView>,
    purpose: &'static str,
) -> Result<Vec<Read>, EngineError> {
    let person = station.person()?;
    let mut out: Vec<Read> = Vec::with_capacity(rows.len());
    let mut sealed = Vec::new();
    for row in rows {
        let patient = PatientId::new(row.patient.as_str()).map_err(|e| EngineError::Usage(e.to_string()))?;
        let request = station.request_about(&person, &patient)?;
        // Asked first: to leave somebody out is no refusal to be written down.
        if !verdict("read-card", &request).allow {
            out.push((row, Err(Without::Restricted)));
            continue;
        }
        let Ok(permit) = decide::<ReadCard>(request) else {
            out.push((row, Err(Without::Restricted)));
            continue;
        };
        let pending = entry::pending(station, Some(&patient)).ok();
        let permit = entry::noted(permit.noted("use", purpose), pending.as_deref());
        match station.essentials.card(&permit) {
            Ok(card) => {
                sealed.push((out.len(), patient, permit, card, pending));
                out.push((row, Err(Without::NotHere)));
            }
            Err(e @ StoreError::Damaged(_)) => {
                station.damaged(&e);
                out.push((row, Err(Without::Unreadable)));
            }
            Err(e) => return Err(e.into()),
        }
    }
    let entries: Vec<_> = sealed
        .iter()
        .map(|(_, _, permit, card, _)| permit.entry(card.disclosure().clone()))
        .collect();
    let receipts = station
        .outbox
        .append(&entries, None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?;
    if receipts.len() != sealed.len() {
        return Err(EngineError::Internal("writing the audit rows"));
    }
    for ((at, patient, permit, card, pending), receipt) in sealed.into_iter().zip(receipts) {
        let stored = card
            .open(&receipt)
            .map_err(|_| EngineError::Internal("opening with the receipt"))?;
        let Some(stored) = stored else { continue };
        let card = serde_json::from_slice::<EmergencyCard>(&stored.body).ok();
        let age = match &card {
            Some(_) => station
                .fresh
                .section(&stored.scope, Some((true, stored.as_of)), &station.clock),
            None => SectionAge {
                age: DataAge::Unavailable,
                text: unavailable().to_owned(),
                complete: false,
                as_of_ms: None,
            },
        };
        if let Some((_, read)) = out.get_mut(at) {
            *read = Ok(Opened {
                access_id: permit.access_id().to_string(),
                patient,
                card,
                age,
                pending,
            });
        }
    }
    Ok(out)
}
