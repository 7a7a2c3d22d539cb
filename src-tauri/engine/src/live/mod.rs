//! The wall of live vital signs of a ward, while a person has it open (capabilities S9).
//!
//! Lives here: [`Live`], the open wall. Its parts: `heard` (values and ages), `socket` (the stream), `view` (words). Never here:
//! the permit for the ward and its rows (`workstation::wall`), anything durable. All of it ends with the session.

mod heard;
mod socket;
mod view;

use crate::chart::rows;
use crate::station::Station;
use heard::Heard;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use vitrine_clinical::{WardId, say};
use vitrine_wire::view::{PatientRowView, SectionAge};
use vitrine_wire::wall_view::{WallLine, WallTrendsView, WallView};

/// A bed of the ward with a patient.
pub(crate) struct Bed {
    pub(crate) row: PatientRowView,
    /// "68y Female".
    pub(crate) person_text: String,
}

impl Bed {
    pub(crate) fn of(
        row: PatientRowView,
        item: &vitrine_wire::http::BoardItem,
        clock: &crate::clock::Clock,
    ) -> Self {
        let age = rows::age_text(item.identity.as_ref(), clock);
        let parts = [age, Some(row.gender_text.clone())];
        let person_text = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self { row, person_text }
    }
}

/// Who lies in the ward.
pub(crate) struct Board {
    pub(crate) ward: WardId,
    pub(crate) name: String,
    pub(crate) beds: Vec<Bed>,
    pub(crate) unreadable: usize,
    pub(crate) age: SectionAge,
}

struct Open {
    /// Of this opening; whatever comes for another one is dropped.
    id: u64,
    board: Board,
    /// The board changed since it was read.
    stale: bool,
    line: WallLine,
    line_text: Option<String>,
    heard: Heard,
    /// Ends the stream when dropped.
    _stop: watch::Sender<()>,
}

#[derive(Default)]
struct Core {
    opened: u64,
    open: Option<Open>,
}

/// The wall.
#[derive(Default)]
pub(crate) struct Live {
    core: Mutex<Core>,
}

impl Live {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall is closed, or the session ended.
    pub(crate) fn close(&self) {
        self.core().open = None;
    }

    /// A board changed.
    pub(crate) fn board_changed(&self, ward: &str) {
        if let Some(open) = &mut self.core().open
            && open.board.ward.as_str() == ward
        {
            open.stale = true;
        }
    }

    /// The ward of the open wall, and whether its board is to be read again.
    pub(crate) fn ward(&self) -> Option<(WardId, bool)> {
        let core = self.core();
        core.open.as_ref().map(|o| (o.board.ward.clone(), o.stale))
    }

    /// The board was read again.
    pub(crate) fn renew(&self, board: Board) {
        if let Some(open) = &mut self.core().open
            && open.board.ward == board.ward
        {
            (open.board, open.stale) = (board, false);
        }
    }

    fn with<R>(&self, id: u64, f: impl FnOnce(&mut Open) -> R) -> Option<R> {
        self.core().open.as_mut().filter(|o| o.id == id).map(f)
    }
}

fn mono(station: &Station) -> i64 {
    i64::try_from(station.clock.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Opens the wall of a ward; the one that was open is closed. On the same ward the stream goes on.
pub(crate) fn open(station: &Arc<Station>, runtime: &tokio::runtime::Handle, board: Board) {
    let mut core = station.live.core();
    if let Some(open) = &mut core.open
        && open.board.ward == board.ward
        && open.line != WallLine::Refused
    {
        (open.board, open.stale) = (board, false);
        return;
    }
    core.opened += 1;
    let id = core.opened;
    let (stop, stopped) = watch::channel(());
    let ward = board.ward.clone();
    core.open = Some(Open {
        id,
        board,
        stale: false,
        line: WallLine::Connecting,
        line_text: Some(say!(
            "Asking the server for live values…",
            "Live-Werte werden beim Server angefragt…"
        )),
        heard: Heard::default(),
        _stop: stop,
    });
    drop(core);
    runtime.spawn(socket::run(Arc::downgrade(station), id, ward, stopped));
}

/// The wall as it stands now; `None` while none is open.
pub(crate) fn wall(station: &Station) -> Option<WallView> {
    let core = station.live.core();
    core.open
        .as_ref()
        .map(|open| view::wall(open, &station.clock, mono(station)))
}

/// Its trends; `None` while none is open.
pub(crate) fn trends(station: &Station) -> Option<WallTrendsView> {
    let core = station.live.core();
    core.open.as_ref().map(|open| view::trends(open, mono(station)))
}
