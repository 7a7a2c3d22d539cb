//! An open series: its frames in the order of scrolling, what of them is here, and its words for the screen.
//!
//! Called by the rest of `images`, with the lock held.

use super::header::{self, Beside};
use super::packs::{At, Packs, Slot};
use super::words;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use vitrine_clinical::card::Identity;
use vitrine_clinical::{say, word};
use vitrine_dicom::display::{By, order};
use vitrine_store_sqlcipher::workstation::OpenSeries;
use vitrine_wire::image_view::{FrameView, HeldView, OpenSeriesView};
use vitrine_wire::images::Without;

/// An open series.
pub(super) struct View {
    pub(super) number: u32,
    pub(super) token: String,
    pub(super) leave: OpenSeries,
    /// Longest side of its place on the screen, pixels.
    pub(super) px: u32,
    /// In the order of scrolling; a frame's number under the image protocol is its place here.
    pub(super) frames: Vec<At>,
    pub(super) places: BTreeMap<At, u32>,
    /// Its packs: of the cache, of the server.
    pub(super) packs: Vec<Slot>,
    /// The server's numbers of packs on this connection.
    pub(super) numbered: Vec<Slot>,
    /// The server has opened it on this connection.
    pub(super) answered: bool,
    pub(super) without: Vec<Without>,
    pub(super) preparing: u32,
    /// Why the server does not give it.
    pub(super) refused: Option<String>,
    pub(super) refused_code: Option<vitrine_wire::ErrorCode>,
    pub(super) center: u32,
    pub(super) velocity: f32,
    /// The screen has been given its frames.
    pub(super) shown: bool,
    pub(super) grown: bool,
    pub(super) dirty: bool,
    /// Grows with every change that somebody may wait for.
    pub(super) changed: watch::Sender<u64>,
}

impl View {
    pub(super) fn new(number: u32, token: String, leave: OpenSeries, px: u32) -> Self {
        Self {
            number,
            token,
            leave,
            px,
            frames: Vec::new(),
            places: BTreeMap::new(),
            packs: Vec::new(),
            numbered: Vec::new(),
            answered: false,
            without: Vec::new(),
            preparing: 0,
            refused: None,
            refused_code: None,
            center: 0,
            velocity: 0.0,
            shown: false,
            grown: false,
            dirty: false,
            changed: watch::channel(0).0,
        }
    }

    pub(super) fn change(&mut self) {
        self.dirty = true;
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The packs that the series consists of: the server's when it has told them.
    fn current(&self) -> &[Slot] {
        if self.answered {
            &self.numbered
        } else {
            &self.packs
        }
    }

    /// Frames whose index is here, and of how many.
    pub(super) fn indexed(&self, packs: &Packs) -> (u32, u32) {
        self.current()
            .iter()
            .filter_map(|s| packs.get(*s))
            .fold((0, 0), |(a, b), p| {
                (
                    a.saturating_add(p.indexed),
                    b.saturating_add(u32::try_from(p.frames.len()).unwrap_or(u32::MAX)),
                )
            })
    }

    /// Whether there is more than the screen was given, all of it indexed.
    pub(super) fn look_for_more(&mut self, packs: &Packs) {
        if !self.shown || self.grown {
            return;
        }
        let (have, of) = self.indexed(packs);
        // A pack that was made anew has as many frames as before, and another number.
        let shown: BTreeSet<Slot> = self.frames.iter().map(|at| at.0).collect();
        let full = |s: &Slot| packs.get(*s).is_some_and(|p| !p.frames.is_empty());
        let same = self
            .current()
            .iter()
            .filter(|s| full(s))
            .all(|s| shown.contains(s))
            && usize::try_from(of).ok() == Some(self.frames.len());
        if have == of && !same {
            self.grown = true;
            self.change();
        }
    }

    /// Puts the frames in order and gives the screen's view of them.
    pub(super) fn show(
        &mut self,
        packs: &Packs,
        record: Option<&Identity>,
        record_text: &str,
    ) -> OpenSeriesView {
        let mut all: Vec<At> = Vec::new();
        for slot in self.current() {
            let Some(p) = packs.get(*slot) else { continue };
            let known = p.frames.iter().enumerate().filter(|(_, f)| f.index.is_some());
            all.extend(known.filter_map(|(n, _)| Some((*slot, u32::try_from(n).ok()?))));
        }
        let mut beside = Vec::with_capacity(all.len());
        let mut frames = Vec::with_capacity(all.len());
        for at in &all {
            let Some(f) = packs.frame(*at) else { continue };
            beside.push(Beside::read(&f.display, f.number));
            frames.push((*at, f));
        }
        let places: Vec<_> = beside.iter().map(|b| b.place.clone()).collect();
        let ordered = order(&places);
        let (mut by_place, mut seats, mut gaps) =
            (vec![false; frames.len()], vec![0; frames.len()], Vec::new());
        let mut n = 0;
        for g in &ordered.groups {
            for i in &g.frames {
                if let (Some(seat), Some(by)) = (seats.get_mut(*i), by_place.get_mut(*i)) {
                    (*seat, *by) = (n, g.by == By::Place);
                    n += 1;
                }
            }
            if g.uneven {
                gaps.push(say!(
                    "uneven spacing: whether images are missing cannot be told",
                    "ungleiche Abstände: Ob Bilder fehlen, lässt sich nicht sagen"
                ));
            }
        }
        for gap in ordered.groups.iter().flat_map(|g| &g.gaps) {
            if let (Some(a), Some(b)) = (seats.get(gap.after), seats.get(gap.before)) {
                gaps.push(words::gap_text(gap.missing, a + 1, b + 1));
            }
        }
        let of = frames.len();
        let (mut shown, mut displays, mut known) = (Vec::with_capacity(of), Vec::new(), BTreeMap::new());
        let mut who = None;
        let mut wrong: Vec<&'static str> = Vec::new();
        let mut wrong_who = None;
        self.frames.clear();
        for i in ordered.frames() {
            let (Some((at, f)), Some(b)) = (frames.get(i), beside.get(i)) else {
                continue;
            };
            let id = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
            let display = *known.entry(b.display.as_str()).or_insert_with(|| {
                displays.push(serde_json::from_str(&b.display).unwrap_or(serde_json::Value::Null));
                u32::try_from(displays.len() - 1).unwrap_or(0)
            });
            if let Some(w) = &b.who {
                if let Some(record) = record.filter(|_| wrong_who.is_none()) {
                    let found = header::contradictions(w, record);
                    if !found.is_empty() {
                        (wrong, wrong_who) = (found, Some(w));
                    }
                }
                who = who.or(Some(w));
            }
            let mm = if by_place.get(i) == Some(&true) {
                header::along(&b.place)
            } else {
                None
            };
            let lossy = f.lossy || b.lossy.as_ref().is_some_and(|l| l.lossy);
            let ratios = b.lossy.as_ref().map(|l| l.ratios.as_slice()).unwrap_or_default();
            shown.push(FrameView {
                id,
                sop: f.sop.clone(),
                frame: f.number,
                place_text: words::place_text(self.frames.len() + 1, of, mm),
                columns: f.shape.columns,
                rows: f.shape.rows,
                samples: f.shape.samples,
                bits: f.shape.bits,
                signed: f.shape.signed,
                colour: words::colour(f.colour).to_owned(),
                low: f.low,
                high: f.high,
                lossy_text: lossy.then(|| words::lossy_text(ratios)),
                display,
            });
            self.frames.push(*at);
        }
        self.places = (0..).zip(&self.frames).map(|(n, at)| (*at, n)).collect();
        self.shown = true;
        self.grown = false;
        self.center = 0;
        let (have, expected) = self.indexed(packs);
        OpenSeriesView {
            view: self.number,
            token: self.token.clone(),
            study: self.leave.study().to_owned(),
            series: self.leave.series().to_owned(),
            frames: shown,
            displays,
            gaps,
            without: self.without.iter().map(|w| words::without_text(&w.why)).collect(),
            growing: have < expected || self.preparing > 0,
            header_text: match record {
                Some(_) => header::header_text(who),
                None => say!(
                    "{header} Not compared: the record's own name is not here.",
                    "{header} Nicht verglichen: Der Name aus der Akte ist nicht hier.",
                    header = header::header_text(who)
                ),
            },
            mismatch_text: wrong_who.map(|w| {
                say!(
                    "Other {what} in the images — header: {header} — record: {record_text}",
                    "Abweichung in den Bildern: {what} — Kopfdaten: {header} — Akte: {record_text}",
                    what = wrong.join(word!(" and ", " und ")),
                    header = header::header_text(Some(w))
                )
            }),
        }
    }

    /// Whether the server says that the person may not see it, or that it is not this patient's.
    pub(super) fn withdrawn(&self) -> bool {
        use vitrine_wire::ErrorCode::{Denied, NotFound, NotSignedIn};
        matches!(self.refused_code, Some(Denied | NotFound | NotSignedIn))
    }

    /// The marks of its frames.
    pub(super) fn marks(&self, packs: &Packs) -> String {
        self.frames
            .iter()
            .map(|at| packs.one(*at).map_or('0', super::packs::One::mark))
            .collect()
    }

    /// What is here of it, for the screen.
    pub(super) fn held(&self, packs: &Packs, down: Option<&str>) -> HeldView {
        let frames = self.marks(packs);
        let scale = self.frames.get(self.center as usize).and_then(|at| {
            let one = packs.one(*at)?;
            let px = match one.mark() {
                '1' => 64,
                '2' => 128,
                '3' => 256,
                _ => return None,
            };
            let longest = one.index.as_ref()?.shape.longest();
            Some(longest.div_ceil(px).next_power_of_two())
        });
        let whole = frames.bytes().all(|b| matches!(b, b'4' | b'5' | b'x'));
        let refused = self.refused.as_deref().filter(|_| self.withdrawn() || !whole);
        let why = refused.or(down.filter(|_| !whole));
        HeldView {
            view: self.number,
            text: words::held_text(&frames, scale),
            stopped_text: why.map(|why| words::stopped_text(why, &frames)),
            frames,
            grown: self.grown,
        }
    }
}
