//! The results inbox of a ward: whose critical results this person may read, one audit row for each patient.
//!
//! Never here: which wait and what is due (`crate::critical`), acknowledging one (`entries`).
//! Called by the acts.

use super::board;
use super::cards::{Without, cards};
use super::entries::may_record;
use crate::EngineError;
use crate::chart::blocks::Words;
use crate::critical::{self, DAYS_MS, DONE_MS, Shown};
use crate::entry;
use crate::link;
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_clinical::card::CriticalMark;
use vitrine_clinical::{UtcMs, say};
use vitrine_wire::results_view::ResultsView;

/// Whether a result is on the list at all.
fn is_listed(m: &CriticalMark, now: UtcMs) -> bool {
    if m.acknowledged {
        m.taken.is_some_and(|at| now.since(at) <= DONE_MS)
    } else {
        critical::is_recent(m.available, now)
    }
}

pub(super) fn results(station: &Arc<Station>, asked: Option<&str>) -> Result<ResultsView, EngineError> {
    let ward = board::ward(station, asked, Some("critical-results"))?;
    let now = station.clock.now();
    let patients = ward.rows.len();
    let (mut older, mut withheld, mut unread) = (0_usize, 0_usize, ward.unreadable);
    let mut waiting_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut asked_for = Vec::new();
    for (row, item) in ward.rows {
        let Some(marks) = &item.critical else {
            unread += 1;
            continue;
        };
        let open = |m: &&CriticalMark| !m.acknowledged;
        older += marks.iter().filter(open).filter(|m| !is_listed(m, now)).count();
        if marks.iter().any(|m| is_listed(m, now)) {
            let waits = marks.iter().filter(open).filter(|m| is_listed(m, now));
            waiting_of.insert(row.patient.clone(), waits.map(|m| m.source.to_string()).collect());
            asked_for.push(row);
        }
    }
    let person = station.person()?;
    let (mut waiting, mut done) = (Vec::new(), Vec::new());
    let mut shown = BTreeMap::new();
    for (row, read) in cards(station, asked_for, "critical-results")? {
        let read = match read {
            Ok(read) => read,
            Err(Without::Restricted) => {
                withheld += waiting_of.get(&row.patient).map_or(0, Vec::len);
                continue;
            }
            Err(Without::NotHere | Without::Unreadable) => {
                unread += 1;
                continue;
            }
        };
        let Some(items) = read.card.as_ref().and_then(|c| c.critical.as_ref()) else {
            unread += 1;
            continue;
        };
        // Board and card come one after the other: what the one names and the other has not yet is not "none".
        let on_card = |key: &String| items.iter().any(|c| c.item.source.to_string() == *key);
        if waiting_of
            .get(&row.patient)
            .is_some_and(|keys| !keys.iter().all(on_card))
        {
            unread += 1;
        }
        let words = Words {
            patient: &read.patient,
            clock: &station.clock,
        };
        let as_of = read.age.as_of_ms;
        let holds = |key: &str| entry::on_card(read.card.as_ref(), key);
        let pending: Vec<_> = read
            .pending
            .unwrap_or_default()
            .into_iter()
            .filter(|p| !p.is_in(as_of, &holds))
            .collect();
        let request = station.request_about(&person, &read.patient)?;
        let (_, why_not) = may_record(&request);
        for c in items.iter().filter(|c| is_listed(&c.mark(), now)) {
            let view = critical::view(&words, &row, c, &pending, why_not.clone());
            shown.insert((read.patient.clone(), view.result.clone()), Shown::of(c));
            match c.acknowledged() {
                None => waiting.push((c.available, view)),
                Some(t) => done.push((std::cmp::Reverse(t.at), view)),
            }
        }
    }
    station.command(link::Command::OutboxChanged);
    if let Some(session) = station
        .session_mut()
        .as_mut()
        .filter(|s| s.person.user == person.user)
    {
        session.results = shown;
    }
    // Nobody knows since when: first.
    waiting.sort_by_key(|(at, v)| (*at, v.result.clone()));
    done.sort_by_key(|(at, v)| (*at, v.result.clone()));
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let since = now.plus_ms(-DAYS_MS);
    Ok(ResultsView {
        looked_text: say!(
            "Looked at: results that the laboratory marks critical, since {since}, of {patients} patients of {ward}.",
            "Durchgesehen: Befunde, die das Labor als kritisch markiert, seit {since}, bei {patients} Patienten von {ward}.",
            since = vitrine_clinical::format::date_time(since, station.clock.zone_minutes(since)),
            ward = ward.name
        ),
        ward: ward.ward.to_string(),
        ward_name: ward.name,
        waiting: waiting.into_iter().map(|(_, v)| v).collect(),
        done: done.into_iter().map(|(_, v)| v).collect(),
        withheld: number(withheld),
        older: number(older),
        unread: number(unread),
        steps: critical::steps(),
        age: ward.age,
    })
}
