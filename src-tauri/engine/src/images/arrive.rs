//! What the server tells and sends: into the state, to the disk, to whoever waits.

use super::packs::Arrived;
use super::writer::Write;
use super::{Core, Shared, socket};
use bytes::Bytes;
use std::sync::Arc;
use vitrine_pixels::pack::Frame;
use vitrine_wire::images::{Ask, Piece, Told};
use vitrine_wire::view::EngineEvent;

/// Nothing came for so long though something was asked for: the connection is made anew, µs.
const SILENT_US: u64 = 15_000_000;
/// How often the screen hears of a view.
const BEAT: std::time::Duration = std::time::Duration::from_millis(100);

impl Core {
    /// There is a connection: everything that is open is opened on it.
    pub(super) fn came_up(&mut self, shared: &Shared) {
        let patients: Vec<String> = self.told.keys().cloned().collect();
        for patient in patients {
            self.line.ask(Ask::List { patient });
        }
        let views: Vec<u32> = self.views.keys().copied().collect();
        for v in views {
            self.ask_open(v);
        }
        self.pump(shared);
    }

    /// The connection ended.
    pub(super) fn went_down(&mut self) {
        self.asks.down();
        for v in self.views.values_mut() {
            // What the server told stands until it is told anew.
            if v.answered {
                v.answered = false;
                v.numbered.clear();
            }
            v.refused = None;
            v.change();
        }
        // Whoever waits for a list is answered by what is here.
        self.told.clear();
        self.replan();
    }

    /// Opens a view at the server.
    pub(super) fn ask_open(&self, number: u32) {
        let Some(v) = self.views.get(&number) else { return };
        let held = v.packs.iter().filter_map(|s| self.packs.get(*s));
        let held = held
            .filter(|p| p.indexed as usize == p.frames.len())
            .map(|p| p.id.clone());
        self.line.ask(Ask::Open {
            view: number,
            patient: v.leave.patient().to_string(),
            study: v.leave.study().to_owned(),
            series: v.leave.series().to_owned(),
            px: v.px,
            held: held.collect(),
        });
    }

    /// A control message.
    pub(super) fn heard(shared: &Arc<Shared>, session: u64, text: &str) {
        let Ok(told) = serde_json::from_str::<Told>(text) else {
            tracing::warn!("a message of the image stream cannot be read");
            return;
        };
        let mut core = shared.core();
        if core.session != session {
            return;
        }
        match told {
            // Asked on the line of the workstation's own alone.
            Told::Prove { .. } => {}
            Told::List { patient, studies } => {
                for waits in core.told.remove(&patient).unwrap_or_default() {
                    let _ = waits.send(Ok(studies.clone()));
                }
            }
            Told::Opened {
                view,
                packs,
                without,
                preparing,
            } => core.opened(shared, view, &packs, without, preparing),
            Told::Grown { view } => core.ask_open(view),
            Told::Failed {
                view: None,
                code,
                text,
            } => {
                for waits in std::mem::take(&mut core.told).into_values().flatten() {
                    let _ = waits.send(Err((code, text.clone())));
                }
            }
            Told::Failed {
                view: Some(view),
                code,
                text,
            } => {
                tracing::info!(code = ?code, "the server does not give a series");
                if let Some(v) = core.views.get_mut(&view) {
                    v.refused = Some(text);
                    v.refused_code = Some(code);
                    v.change();
                }
                core.replan();
            }
        }
    }

    fn opened(
        &mut self,
        shared: &Shared,
        number: u32,
        packs: &[vitrine_wire::images::PackRef],
        without: Vec<vitrine_wire::images::Without>,
        preparing: u32,
    ) {
        let Some(leave) = self.views.get(&number).map(|v| v.leave.clone()) else {
            return;
        };
        let mut slots = Vec::with_capacity(packs.len());
        for p in packs {
            // A pack that is not well formed keeps its number and shows nothing.
            slots.push(
                self.packs
                    .take(&leave, &p.id, p.frames, p.bytes)
                    .unwrap_or(u32::MAX),
            );
        }
        shared.write(Write::Series {
            leave,
            packs: packs.to_vec(),
            without: without.clone(),
            preparing,
        });
        let Some(v) = self.views.get_mut(&number) else {
            return;
        };
        // The view holds each pack once: those it had are let go after the new ones are held.
        let mut old = Vec::new();
        for s in &slots {
            if v.packs.contains(s) {
                old.push(*s);
            } else {
                v.packs.push(*s);
            }
        }
        for s in &slots {
            self.packs.hope(*s);
        }
        v.numbered = slots;
        v.answered = true;
        v.refused = None;
        (v.without, v.preparing) = (without, preparing);
        v.look_for_more(&self.packs);
        v.change();
        for s in old {
            self.packs.leave(s);
        }
        self.replan();
        self.pump(shared);
    }

    /// A binary message.
    pub(super) fn piece(shared: &Arc<Shared>, session: u64, bytes: Bytes) {
        let Ok(piece) = Piece::read(bytes) else {
            tracing::warn!("a binary message of the image stream cannot be read");
            return;
        };
        // Inflated before the lock is taken.
        let frames = match &piece {
            Piece::Index { body, .. } => vitrine_pixels::pack::read_piece(body).ok(),
            _ => None,
        };
        let mut core = shared.core();
        if core.session != session {
            return;
        }
        match piece {
            Piece::Index {
                view,
                pack,
                first,
                body,
            } => core.indexed(shared, view, pack, first, frames, &body),
            Piece::Segment {
                view,
                pack,
                frame,
                segment,
                body,
            } => core.segment(shared, view, pack, frame, segment, &body),
            Piece::Lost {
                view,
                pack,
                frame,
                segment,
            } => {
                let Some(slot) = core.slot(view, pack) else { return };
                let Some(layer) = core.packs.layer((slot, frame), segment) else {
                    return;
                };
                core.asks.landed((slot, frame, layer), 0, shared.now_us());
                if let Some(one) = core.packs.one_mut((slot, frame)) {
                    one.lost |= 1 << layer;
                }
                core.changed((slot, frame));
                core.pump(shared);
            }
        }
    }

    fn slot(&self, view: u32, pack: u16) -> Option<u32> {
        self.views.get(&view)?.numbered.get(usize::from(pack)).copied()
    }

    fn indexed(
        &mut self,
        shared: &Shared,
        view: u32,
        pack: u16,
        first: u32,
        frames: Option<Vec<Frame>>,
        body: &Bytes,
    ) {
        let Some(slot) = self.slot(view, pack) else { return };
        let Some(frames) = frames.and_then(|f| self.packs.index(slot, first, f)) else {
            tracing::warn!("a piece of an index cannot be read");
            return;
        };
        if let Some(p) = self.packs.get(slot) {
            shared.write(Write::Index {
                leave: p.leave.clone(),
                pack: p.hash.clone(),
                first,
                frames,
                body: socket::own(body),
            });
        }
        if pack == 0 && first == 0 {
            self.pushed((slot, 0), shared.now_us());
        }
        for v in self.views.values_mut().filter(|v| v.packs.contains(&slot)) {
            v.look_for_more(&self.packs);
            v.change();
        }
    }

    fn segment(&mut self, shared: &Arc<Shared>, view: u32, pack: u16, frame: u32, segment: u8, body: &Bytes) {
        let Some(slot) = self.slot(view, pack) else { return };
        let Some(layer) = self.packs.layer((slot, frame), segment) else {
            return;
        };
        let at = (slot, frame);
        self.asks
            .landed((slot, frame, layer), body.len() as u64, shared.now_us());
        let body = socket::own(body);
        match self.packs.arrived(at, layer, &body) {
            Arrived::New => {
                self.skip(at, layer);
                if let Some(p) = self.packs.get(slot) {
                    shared.write(Write::Segment {
                        leave: p.leave.clone(),
                        slot,
                        pack: p.hash.clone(),
                        frame,
                        layer,
                        body,
                    });
                }
                let whole = self.packs.one(at).is_some_and(|o| o.here() == o.layers().len());
                if whole {
                    self.jobs.whole(at);
                    shared.work.notify_one();
                }
                self.changed(at);
            }
            Arrived::Wrong => {
                self.again(at, layer);
            }
            Arrived::GivenUp => {
                tracing::error!(layer, "a segment comes damaged again and again");
                self.changed(at);
            }
            Arrived::Nothing => {}
        }
        self.pump(shared);
    }

    /// Something about a frame changed. A view that is not on the screen yet waits for any frame of its packs.
    pub(super) fn changed(&mut self, at: super::packs::At) {
        let concerns =
            |v: &super::view::View| v.places.contains_key(&at) || !v.shown && v.packs.contains(&at.0);
        for v in self.views.values_mut().filter(|v| concerns(v)) {
            v.change();
        }
    }

    /// Begins to tell the screen what is here, as long as views are open.
    pub(super) fn beat(shared: &Arc<Shared>, core: &mut Self) {
        if core.beating {
            return;
        }
        core.beating = true;
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(BEAT);
            loop {
                tick.tick().await;
                let mut told = Vec::new();
                {
                    let mut core = shared.core();
                    if core.views.is_empty() || shared.stopped() {
                        core.beating = false;
                        return;
                    }
                    if core.asks.silent_us(shared.now_us()) > SILENT_US {
                        tracing::warn!("the image stream is silent: it is connected anew");
                        core.line.drop_line();
                    }
                    core.pump(&shared);
                    let Core {
                        views, packs, line, ..
                    } = &mut *core;
                    for v in views.values_mut().filter(|v| v.dirty && v.shown) {
                        v.dirty = false;
                        told.push(v.held(packs, line.down()));
                    }
                }
                for held in told {
                    shared.tell(EngineEvent::Images(held));
                }
            }
        });
    }
}
