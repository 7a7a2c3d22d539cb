//! Own emergency accesses without words: what is said of them after signing in.
//!
//! Never here: adding the words (`break_glass::after`). Called by the acts.

use super::entries::names;
use crate::EngineError;
use crate::break_glass::after::due;
use crate::link;
use crate::outbox::{disclose, refused};
use crate::station::Station;
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_access::action::SearchPatients;
use vitrine_access::grant::REVIEW_DUE_MS;
use vitrine_access::policy::decide;
use vitrine_clinical::{PatientId, format, say};
use vitrine_wire::view::{OwedView, OwedWordsView};

/// Those of the last 24 hours, in which they are reviewed. It names patients, so it has its audit row; where none is owed nothing is
/// named and no row is written.
pub(super) fn owed(station: &Arc<Station>) -> Result<OwedWordsView, EngineError> {
    let person = station.person()?;
    let now = station.clock.now();
    let made = station
        .outbox
        .grants_of(&person.user, now.plus_ms(-REVIEW_DUE_MS))?;
    let made: Vec<_> = made.into_iter().filter(|m| m.owes_words()).collect();
    if made.is_empty() {
        return Ok(OwedWordsView { owed: Vec::new() });
    }
    let request = station.request(person.subject(), None, None, None)?;
    let permit = decide::<SearchPatients>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("list", "own emergency accesses without words");
    let patients: BTreeSet<PatientId> = made.iter().map(|m| m.grant.patient.clone()).collect();
    let names = disclose(&station.outbox, &permit, |p| names(station, p, &patients))?;
    station.command(link::Command::OutboxChanged);
    let owed = made.iter().map(|m| {
        let patient = &m.grant.patient;
        let name = names.get(patient).cloned().unwrap_or_else(|| {
            say!(
                "{patient} (name not on this workstation)",
                "{patient} (Name nicht an diesem Arbeitsplatz)"
            )
        });
        let at = format::time_in(m.grant.at, &|at| station.clock.zone_minutes(at));
        OwedView {
            grant: m.grant.id.to_string(),
            text: say!(
                "Emergency access to {name} at {at} has no words yet",
                "Der Notfallzugriff auf {name} um {at} hat noch keine Begründung"
            ),
            late: now >= due(m.grant.at),
        }
    });
    Ok(OwedWordsView { owed: owed.collect() })
}
