//! `/ws/images`: the stream of images (`vitrine_wire::images`).
//!
//! Lives here: one connection, what is sent next. Never here: priorities (the workstation pulls), packs (`imaging::packs`).
//! Called by the router. A connection runs on the threads of images: decrypting and reading never keep the threads
//! waiting that serve the record.
//!
//! What was asked for is sent in the order of asking, views in turn. A workstation that asks for more than
//! [`OUTSTANDING_MOST`] ahead is cut off. Whether the person may still see what is open is asked again every few seconds.

use super::ahead;
use super::session::{Io, begin_send, io};
use crate::app::App;
use crate::clock;
use crate::http::bearer::Signed;
use crate::http::dicomweb;
use crate::http::refusal::Refused;
use crate::identity::sessions::{self, Caller};
use crate::imaging::packs::Pack;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vitrine_clinical::PatientId;
use vitrine_wire::ErrorCode;
use vitrine_wire::images::{
    Ask, INDEX_FRAMES, OUTSTANDING_MOST, PackRef, Piece, Told, WANT_MOST, Wanted, Without,
};

/// Longest message taken: [`WANT_MOST`] segments as JSON, or the ids of every pack of a very large series.
const ASK_MOST: usize = 256 << 10;
/// How often it is asked whether the person may still see what is open.
const AGAIN: Duration = Duration::from_secs(5);
/// After so many checks it is looked whether another server has made more of a series ready.
const OTHERS: u32 = 6;
/// Answers that wait for a peer that does not read; it is not listened to before it does.
const TOLD_MOST: usize = 32;
/// A peer that takes nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(60);
/// Views open at once on a connection.
const VIEWS_MOST: usize = 16;
/// Frames of the first piece of an index, so that the first frame is not behind thousands of others.
const FIRST_FRAMES: usize = 8;
/// Label of the time from the question to the first segment.
const FIRST: &str = "stage=\"first\"";
/// Closed because the person may not see images here any more, or is signed out.
const SIGNED_OUT: u16 = 4401;
/// Asked for too much.
const TOO_MUCH: u16 = 1008;
/// The server goes; another, or this one again, will be there.
const GOING: u16 = 1012;

/// Opens the connection.
///
/// # Errors
/// [`Refused`].
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|_| {
        let text = "This address takes WebSocket connections.";
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text)
    })?;
    let threads = app.image_threads.handle();
    Ok(upgrade
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 30)
        .max_message_size(ASK_MOST)
        .max_frame_size(ASK_MOST)
        .on_upgrade(move |socket| async move {
            let _ = threads.spawn(drive(app, caller, socket)).await;
        }))
}

/// What is to be sent of a view.
enum Item {
    Told(Told),
    /// So many frames of the index of a pack, from one on.
    Index(u16, usize, usize),
    Segment(Wanted, u64),
}

struct View {
    patient: PatientId,
    study: String,
    series: String,
    packs: Vec<Arc<Pack>>,
    queue: VecDeque<Item>,
    preparing: bool,
    /// When it was asked for, until the first segment of it is sent.
    asked: Option<Instant>,
}

impl View {
    /// Segments and their bytes that are still to be sent.
    fn outstanding(&self) -> (usize, u64) {
        let lens = self.queue.iter().filter_map(|i| match i {
            Item::Segment(_, len) => Some(*len),
            _ => None,
        });
        lens.fold((0, 0), |(n, sum), len| (n + 1, sum + len))
    }

    /// A segment's item; `None` when there is no such segment.
    fn item(&self, wanted: Wanted) -> Option<Item> {
        let (pack, frame, segment) = wanted;
        let pack = self.packs.get(usize::from(pack))?;
        let frame = pack.index.frames.get(usize::try_from(frame).ok()?)?;
        let len = frame.segments.get(usize::from(segment))?.len;
        Some(Item::Segment(wanted, len.into()))
    }

    fn is_small(&self, (pack, frame, segment): Wanted) -> bool {
        let pack = self.packs.get(usize::from(pack));
        let frame = pack.and_then(|p| p.index.frames.get(usize::try_from(frame).ok()?));
        frame.is_some_and(|f| ahead::is_small(f, segment))
    }
}

struct Connection {
    app: Arc<App>,
    caller: Caller,
    views: BTreeMap<u32, View>,
    /// The view that was served last.
    last: u32,
    told: VecDeque<Told>,
    checks: u32,
    close: Option<(u16, &'static str)>,
}

pub(super) async fn drive(app: Arc<App>, caller: Caller, mut socket: WebSocket) {
    let mut packed = app.packed.subscribe();
    let mut ended = app.ended.subscribe();
    let mut draining = app.draining.subscribe();
    let mut again = tokio::time::interval(AGAIN);
    let mut connection = Connection {
        app: app.clone(),
        caller,
        views: BTreeMap::new(),
        last: 0,
        told: VecDeque::new(),
        checks: 0,
        close: None,
    };
    let mut flushing = false;
    let mut since = clock::steady();
    loop {
        if !flushing {
            if let Some(message) = connection.next() {
                if !begin_send(&mut socket, message).await {
                    return;
                }
                flushing = true;
                since = clock::steady();
            } else if let Some((code, reason)) = connection.close {
                let frame = CloseFrame {
                    code,
                    reason: reason.into(),
                };
                let _ = begin_send(&mut socket, Message::Close(Some(frame))).await;
                return;
            }
        }
        tokio::select! {
            io = io(&mut socket, flushing, connection.listens()) => match io {
                Io::Room(true) => flushing = false,
                Io::Room(false) | Io::Message(None) => return,
                Io::Message(Some(Message::Text(text))) => connection.hear(text.as_str()).await,
                Io::Message(Some(Message::Ping(_) | Message::Pong(_))) => {}
                Io::Message(Some(Message::Close(_) | Message::Binary(_))) => return,
            },
            said = ended.recv() => {
                if super::concerns(said, &connection.caller.session) {
                    connection.check().await;
                }
            }
            Ok(series) = packed.recv() => connection.grown(Some(&series)),
            _ = again.tick() => {
                if flushing && since.elapsed() > SILENT {
                    return;
                }
                connection.check().await;
            }
            Ok(()) = draining.changed(), if connection.close.is_none() => {
                connection.close = Some((GOING, "the server is stopping"));
            }
        }
    }
}

impl Connection {
    fn listens(&self) -> bool {
        self.close.is_none() && self.told.len() < TOLD_MOST
    }

    fn fail(&mut self, view: Option<u32>, refused: &Refused) {
        self.told.push_back(Told::Failed {
            view,
            code: refused.refusal.code,
            text: refused.refusal.text.clone(),
        });
    }

    async fn hear(&mut self, text: &str) {
        let ask = match serde_json::from_str(text) {
            Ok(ask) => ask,
            Err(e) => {
                tracing::debug!(error = %e, "an ask for images that cannot be read");
                self.close = Some((TOO_MUCH, "an ask that cannot be read"));
                return;
            }
        };
        match ask {
            Ask::Prove { .. } => self.close = Some((TOO_MUCH, "a proof that was not asked for")),
            Ask::List { patient } => {
                let listed = super::image_list::list(&self.app, &self.caller, &patient).await;
                match listed {
                    Ok(studies) => self.told.push_back(Told::List { patient, studies }),
                    Err(e) => self.fail(None, &e),
                }
            }
            Ask::Open {
                view,
                patient,
                study,
                series,
                px,
                held,
            } => {
                if !self.views.contains_key(&view) && self.views.len() >= VIEWS_MOST {
                    self.close = Some((TOO_MUCH, "too many views at once"));
                    return;
                }
                let opened = self.open(view, &patient, (&study, &series), px, &held).await;
                if let Err(e) = opened {
                    self.app.metrics.took("vitrine_image_seconds", FIRST, None);
                    self.views.remove(&view);
                    self.fail(Some(view), &e);
                }
            }
            Ask::Want { view, segments } => self.want(view, &segments),
            Ask::Forget { view } => {
                if let Some(view) = self.views.get_mut(&view) {
                    view.queue.retain(|i| !matches!(i, Item::Segment(..)));
                }
            }
            Ask::Close { view } => {
                self.views.remove(&view);
            }
        }
    }

    fn want(&mut self, number: u32, segments: &[Wanted]) {
        // A view may have been refused or ended while the ask was on its way.
        let Some(view) = self.views.get_mut(&number) else {
            return;
        };
        if segments.len() > WANT_MOST {
            self.close = Some((TOO_MUCH, "too many segments in one ask"));
            return;
        }
        let whole = !ahead::is_device(&self.caller);
        for wanted in segments {
            let Some(item) = view.item(*wanted).filter(|_| whole || view.is_small(*wanted)) else {
                self.close = Some((TOO_MUCH, "a segment that is not there"));
                return;
            };
            view.queue.push_back(item);
        }
        // One segment may be larger than all that may be outstanding: it is asked for alone.
        let (mut count, mut bytes) = (0_usize, 0);
        for (n, len) in self.views.values().map(View::outstanding) {
            count += n;
            bytes += len;
        }
        if count > 1 && bytes > OUTSTANDING_MOST {
            self.close = Some((TOO_MUCH, "more asked for than may be outstanding"));
        }
    }

    async fn open(
        &mut self,
        number: u32,
        asked: &str,
        (study, series): (&str, &str),
        px: u32,
        held: &[String],
    ) -> Result<(), Refused> {
        let began = clock::steady();
        let (permit, patient) = dicomweb::permit(&self.app, &self.caller, study).await?;
        if patient.as_str() != asked {
            // The study was moved since the workstation heard of it: what it shows under its banner would be another's.
            return Err(dicomweb::not_found());
        }
        let sealed = self.app.store.pixels(&permit, Some(study)).await?;
        let found = self.app.open(&permit, sealed).await?;
        let found = found
            .into_iter()
            .find(|s| s.series == series)
            .ok_or_else(dicomweb::not_found)?;
        let packs = tokio::task::block_in_place(|| self.app.packs.of(&self.app, series, &found.packs));
        let (packs, again) = packs?;
        let preparing = found.preparing + u64::from(again);
        let refs = packs.iter().map(|p| PackRef {
            id: p.id.clone(),
            frames: u32::try_from(p.index.frames.len()).unwrap_or(u32::MAX),
            bytes: p.bytes,
        });
        let mut queue = VecDeque::new();
        queue.push_back(Item::Told(Told::Opened {
            view: number,
            packs: refs.collect(),
            without: found
                .without
                .into_iter()
                .map(|(sop, why)| Without { sop, why })
                .collect(),
            preparing: u32::try_from(preparing).unwrap_or(u32::MAX),
        }));
        let mut view = View {
            patient,
            study: study.to_owned(),
            series: series.to_owned(),
            packs,
            queue: VecDeque::new(),
            preparing: preparing > 0,
            asked: Some(began),
        };
        let whole = !ahead::is_device(&self.caller);
        let new: Vec<u16> = (0..view.packs.len())
            .filter(|n| view.packs.get(*n).is_some_and(|p| !held.contains(&p.id)))
            .filter_map(|n| u16::try_from(n).ok())
            .collect();
        // The first frame goes with the first piece, and is whole only behind the indexes.
        let first = (new.first() == Some(&0)).then(|| view.packs.first()).flatten();
        let last = first.map_or(0, |p| {
            let frame = p.index.frames.first();
            frame.map_or(0, |f| f.segments.len())
        });
        let soon = if last == 1 {
            1
        } else {
            last.min(vitrine_dicom::stages::need(px).into())
        };
        for pack in new {
            let frames = view
                .packs
                .get(usize::from(pack))
                .map_or(0, |p| p.index.frames.len());
            let mut from = 0;
            while from < frames {
                let most = if pack == 0 && from == 0 {
                    FIRST_FRAMES
                } else {
                    INDEX_FRAMES
                };
                let count = view
                    .packs
                    .get(usize::from(pack))
                    .map_or(1, |p| p.piece(from, most));
                queue.push_back(Item::Index(pack, from, count));
                if pack == 0 && from == 0 {
                    let first = (0..=soon).filter_map(|s| u8::try_from(s).ok()).map(|s| (0, 0, s));
                    let first = first.filter(|w| whole || view.is_small(*w));
                    queue.extend(first.filter_map(|w| view.item(w)));
                }
                from += count;
            }
        }
        // What was asked for before is still wanted, as long as its pack has the same number.
        if let Some(before) = self.views.remove(&number)
            && before.series == view.series
            && before.packs.iter().zip(&view.packs).all(|(a, b)| a.id == b.id)
            && before.packs.len() <= view.packs.len()
        {
            let wanted = before
                .queue
                .into_iter()
                .filter(|i| matches!(i, Item::Segment(..)));
            queue.extend(wanted);
        }
        let last = if whole { last } else { 0 };
        let rest = (soon + 1..last).filter_map(|s| view.item((0, 0, u8::try_from(s).ok()?)));
        queue.extend(rest);
        view.queue = queue;
        self.views.insert(number, view);
        Ok(())
    }

    /// The next message: what concerns the connection, then the views in turn.
    fn next(&mut self) -> Option<Message> {
        if let Some(told) = self.told.pop_front() {
            return text(&told);
        }
        let after = self
            .views
            .range((Bound::Excluded(self.last), Bound::Unbounded))
            .chain(self.views.range(..=self.last));
        let number = after
            .filter(|(_, v)| !v.queue.is_empty())
            .map(|(n, _)| *n)
            .next()?;
        self.last = number;
        let view = self.views.get_mut(&number)?;
        let item = view.queue.pop_front()?;
        let piece = match item {
            Item::Told(told) => return text(&told),
            Item::Index(pack, from, count) => {
                let frames = view
                    .packs
                    .get(usize::from(pack))?
                    .index
                    .frames
                    .get(from..from + count)?;
                let body = vitrine_pixels::pack::write_piece(frames);
                Piece::Index {
                    view: number,
                    pack,
                    first: u32::try_from(from).ok()?,
                    body: Bytes::from(body.unwrap_or_default()),
                }
            }
            Item::Segment((pack, frame, segment), _) => {
                let of = view.packs.get(usize::from(pack))?;
                let read = tokio::task::block_in_place(|| of.segment(frame, segment));
                match read {
                    Ok(body) => {
                        if let Some(asked) = view.asked.take() {
                            let took = asked.elapsed();
                            self.app.metrics.took("vitrine_image_seconds", FIRST, Some(took));
                        }
                        self.app
                            .metrics
                            .count("vitrine_image_bytes_total", "", body.len() as u64);
                        Piece::Segment {
                            view: number,
                            pack,
                            frame,
                            segment,
                            body: Bytes::from(body),
                        }
                    }
                    Err(e) => {
                        tracing::error!(error = %e, "a pack of images is damaged: its series is made ready again");
                        self.app.packs.damaged(&self.app, of, &view.series);
                        Piece::Lost {
                            view: number,
                            pack,
                            frame,
                            segment,
                        }
                    }
                }
            }
        };
        Some(Message::Binary(piece.write()))
    }

    /// Tells the views of a series that there is more of it; without a series, those whose server may be another.
    fn grown(&mut self, series: Option<&str>) {
        for (number, view) in &self.views {
            if series.map_or(view.preparing, |s| s == view.series) {
                self.told.push_back(Told::Grown { view: *number });
            }
        }
    }

    /// Asks again whether the person may see what is open.
    async fn check(&mut self) {
        let caller = if ahead::is_device(&self.caller) {
            ahead::again(&self.app, &self.caller).await
        } else {
            sessions::caller_of(&self.app, self.caller.session, false).await
        };
        match caller {
            Ok(Some(caller)) => self.caller = caller,
            Ok(None) => {
                self.views.clear();
                self.close = Some((SIGNED_OUT, "signed out"));
                return;
            }
            // The store cannot be asked: what is open stays open until it can.
            Err(_) => return,
        }
        let open: Vec<(u32, String, PatientId)> = self
            .views
            .iter()
            .map(|(n, v)| (*n, v.study.clone(), v.patient.clone()))
            .collect();
        for (number, study, patient) in open {
            let may = dicomweb::permit(&self.app, &self.caller, &study).await;
            let refused = match may {
                Ok((_, owner)) if owner == patient => continue,
                Ok(_) => dicomweb::not_found(),
                Err(e) if e.refusal.code == ErrorCode::Overloaded => continue,
                Err(e) => e,
            };
            self.views.remove(&number);
            self.fail(Some(number), &refused);
        }
        self.checks = self.checks.wrapping_add(1);
        if self.checks.is_multiple_of(OTHERS) {
            self.grown(None);
        }
    }
}

fn text(told: &Told) -> Option<Message> {
    serde_json::to_string(told).ok().map(|t| Message::Text(t.into()))
}
