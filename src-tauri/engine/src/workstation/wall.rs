//! The wall of live vital signs: the permit for the ward, who lies there.
//!
//! Never here: the values and their ages (`crate::live`).
//! Called by the acts.

use super::board;
use crate::EngineError;
use crate::live::{self, Bed, Board};
use crate::station::Station;
use std::sync::Arc;
use vitrine_clinical::say;
use vitrine_wire::wall_view::{WallTrendsView, WallView};

fn read(station: &Arc<Station>, ward: Option<&str>) -> Result<Board, EngineError> {
    let read = board::ward(station, ward, Some("live-vital-signs"))?;
    let beds = read.rows.into_iter();
    Ok(Board {
        ward: read.ward,
        name: read.name,
        beds: beds
            .map(|(row, item)| Bed::of(row, &item, &station.clock))
            .collect(),
        unreadable: read.unreadable,
        age: read.age,
    })
}

fn none_open() -> EngineError {
    EngineError::Usage(say!(
        "no wall of live vital signs is open",
        "keine Vitalwand ist geöffnet"
    ))
}

fn signed_in(station: &Station) -> Result<(), EngineError> {
    station.idle_check();
    let there = station.session().is_some();
    there.then_some(()).ok_or(EngineError::NotSignedIn)
}

pub(super) fn open(
    station: &Arc<Station>,
    runtime: &tokio::runtime::Handle,
    ward: Option<&str>,
) -> Result<WallView, EngineError> {
    let board = read(station, ward)?;
    live::open(station, runtime, board);
    // The session may have ended while the board was read: nothing of a wall outlives it.
    if let Err(e) = signed_in(station) {
        station.live.close();
        return Err(e);
    }
    live::wall(station).ok_or_else(none_open)
}

pub(super) fn wall(station: &Arc<Station>) -> Result<WallView, EngineError> {
    signed_in(station)?;
    if let Some((ward, true)) = station.live.ward() {
        station.live.renew(read(station, Some(ward.as_str()))?);
    }
    live::wall(station).ok_or_else(none_open)
}

pub(super) fn trends(station: &Arc<Station>) -> Result<WallTrendsView, EngineError> {
    signed_in(station)?;
    live::trends(station).ok_or_else(none_open)
}
