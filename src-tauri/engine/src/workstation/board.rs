//! The board of a ward: the permit, the rows sorted, which of them this person may open.
//!
//! Never here: the look of a row (`chart::rows`), SQL.
//! Called by the acts.

use super::chart::may_open;
use crate::EngineError;
use crate::chart::rows::{self, ALLERGY, UNREAD};
use crate::entry;
use crate::link;
use crate::outbox::{disclose, refused};
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::action::ViewBoard;
use vitrine_access::policy::decide;
use vitrine_clinical::{PatientId, WardId};
use vitrine_store::StoreError;
use vitrine_wire::http::BoardItem;
use vitrine_wire::view::BoardView;

pub(super) fn board(station: &Arc<Station>, ward: Option<&str>) -> Result<BoardView, EngineError> {
    let person = station.person()?;
    let ward = ward.map_or_else(|| station.device().ward.clone(), str::to_owned);
    let ward = WardId::new(ward).map_err(|e| EngineError::Usage(e.to_string()))?;
    let request = station.request(person.subject(), None, Some(ward.clone()), None)?;
    let permit = decide::<ViewBoard>(request).map_err(|d| refused(&station.outbox, &d))?;
    let read = disclose(&station.outbox, &permit, |p| station.essentials.board(p, &ward));
    let list = match read {
        Ok(list) => list.ok_or_else(|| station.not_here(&format!("The board of {ward}")))?,
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
    for (patient, _, body) in &list.rows {
        match serde_json::from_slice::<BoardItem>(body) {
            Ok(item) => items.push((patient, item)),
            Err(_) => unreadable += 1,
        }
    }
    items.sort_by_key(|(p, i)| {
        (
            i.place.acuity.clone().unwrap_or_else(|| "9".to_owned()),
            i.place.since,
            (*p).clone(),
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
    for v in &mut views {
        match unsent.as_ref().map(|u| u.get(&v.patient)) {
            // What is accepted only until the board says so itself.
            Some(Some(unsent)) if *unsent || v.allergy_text != ALLERGY => {
                ALLERGY.clone_into(&mut v.allergy_text);
                v.flags
                    .push("allergy recorded here, not in the record".to_owned());
            }
            Some(_) => {}
            // Whether one was recorded here cannot be read: nobody counts as having none.
            None if v.allergy_text != ALLERGY => UNREAD.clone_into(&mut v.allergy_text),
            None => {}
        }
        let id = PatientId::new(v.patient.as_str()).map_err(|e| EngineError::Usage(e.to_string()))?;
        v.restricted = !may_open(station, &person, &id, Some(ward.clone()));
    }
    let ward_name = items
        .iter()
        .find_map(|(_, i)| i.place.ward_name.clone())
        .unwrap_or_else(|| ward.to_string());
    let mut summary_text = format!("{} patients · sort: acuity, wait", views.len());
    if unreadable > 0 {
        summary_text.push_str(&format!(" · {unreadable} could not be read"));
    }
    Ok(BoardView {
        ward: ward.to_string(),
        ward_name,
        rows: views,
        summary_text,
        age,
    })
}
