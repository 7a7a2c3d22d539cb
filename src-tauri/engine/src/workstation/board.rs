//! The board of a ward: the permit, the rows sorted, which of them this person may open.
//!
//! Never here: the look of a row (`chart::rows`), SQL.
//! Called by the acts.

use super::chart::may_open;
use crate::EngineError;
use crate::chart::rows;
use crate::critical;
use crate::entry;
use crate::link;
use crate::outbox::{disclose, refused};
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::action::ViewBoard;
use vitrine_access::policy::decide;
use vitrine_clinical::card::AllergyState;
use vitrine_clinical::{WardId, say, word};
use vitrine_store::StoreError;
use vitrine_wire::http::BoardItem;
use vitrine_wire::view::{BoardView, PatientRowView, SectionAge};

/// The board of a ward as this person may see it.
pub(super) struct Ward {
    pub(super) ward: WardId,
    pub(super) name: String,
    /// Each row, and what it was made of.
    pub(super) rows: Vec<(PatientRowView, BoardItem)>,
    pub(super) unreadable: usize,
    pub(super) age: SectionAge,
}

/// Reads it. `list`: what else it is read for, for the audit row.
pub(super) fn ward(
    station: &Arc<Station>,
    ward: Option<&str>,
    list: Option<&'static str>,
) -> Result<Ward, EngineError> {
    let person = station.person()?;
    let ward = ward.map_or_else(|| station.device().ward.clone(), str::to_owned);
    let ward = WardId::new(ward).map_err(|e| EngineError::Usage(e.to_string()))?;
    let request = station.request(person.subject(), None, Some(ward.clone()), None)?;
    let mut permit = decide::<ViewBoard>(request).map_err(|d| refused(&station.outbox, &d))?;
    if let Some(list) = list {
        permit = permit.noted("list", list);
    }
    let read = disclose(&station.outbox, &permit, |p| station.essentials.board(p, &ward));
    let list = match read {
        Ok(list) => {
            list.ok_or_else(|| station.not_here(&say!("The board of {ward}", "Übersicht von {ward}")))?
        }
        Err(e) => {
            if let EngineError::Damaged { what } = &e {
                station.damaged(&StoreError::Damaged(what.clone()));
            }
            return Err(e);
        }
    };
    station.command(link::Command::OutboxChanged);
    let age = station
        .fresh
        .section(&format!("board:{ward}"), Some((true, list.as_of)), &station.clock);
    let mut items = Vec::with_capacity(list.rows.len());
    let mut unreadable = 0_usize;
    for (patient, _, body) in list.rows {
        match serde_json::from_slice::<BoardItem>(&body) {
            Ok(item) => items.push((patient, item)),
            Err(_) => unreadable += 1,
        }
    }
    items.sort_by_key(|(p, i)| {
        (
            i.place.acuity.clone().unwrap_or_else(|| "9".to_owned()),
            i.place.since,
            p.clone(),
        )
    });
    let keys: Vec<_> = items
        .iter()
        .map(|(_, i)| rows::name_key(i.identity.as_ref()))
        .collect();
    let mut views: Vec<_> = items
        .iter()
        .map(|(p, i)| rows::board_row(p, i, &station.clock))
        .collect();
    rows::mark_similar(&mut views, &keys);
    let unsent = entry::allergic(station, age.as_of_ms).ok();
    let taken_up = critical::taken_up_here(station, age.as_of_ms);
    for (v, (id, item)) in views.iter_mut().zip(&items) {
        let known = item.allergies == AllergyState::Known;
        match unsent.as_ref().map(|u| u.get(&v.patient)) {
            // What is accepted only until the board says so itself.
            Some(Some(unsent)) if *unsent || !known => {
                rows::allergy().clone_into(&mut v.allergy_text);
                v.flags.push(say!(
                    "allergy recorded here, not in the record",
                    "Allergie hier eingetragen, nicht in der Akte"
                ));
            }
            Some(_) => {}
            // Whether one was recorded here cannot be read: nobody counts as having none.
            None if !known => rows::unread().clone_into(&mut v.allergy_text),
            None => {}
        }
        v.critical_text = item.critical.as_deref().and_then(|marks| {
            let waiting = critical::waiting(marks, &taken_up, station.clock.now());
            critical::counted(waiting.len())
        });
        v.restricted = !may_open(station, &person, id, Some(ward.clone()));
    }
    let name = items
        .iter()
        .find_map(|(_, i)| i.place.ward_name.clone())
        .unwrap_or_else(|| ward.to_string());
    Ok(Ward {
        ward,
        name,
        rows: views.into_iter().zip(items.into_iter().map(|(_, i)| i)).collect(),
        unreadable,
        age,
    })
}

pub(super) fn board(station: &Arc<Station>, asked: Option<&str>) -> Result<BoardView, EngineError> {
    let read = ward(station, asked, None)?;
    let n = read.rows.len();
    let patients = if n == 1 {
        word!("patients", "Patient")
    } else {
        word!("patients", "Patienten")
    };
    let mut summary_text = say!(
        "{n} {patients} · sort: acuity, wait",
        "{n} {patients} · Sortierung: Dringlichkeit, Wartezeit"
    );
    if read.unreadable > 0 {
        summary_text.push_str(&say!(
            " · {unread} could not be read",
            " · {unread} nicht lesbar",
            unread = read.unreadable
        ));
    }
    Ok(BoardView {
        ward: read.ward.to_string(),
        ward_name: read.name,
        rows: read.rows.into_iter().map(|(row, _)| row).collect(),
        summary_text,
        age: read.age,
    })
}
