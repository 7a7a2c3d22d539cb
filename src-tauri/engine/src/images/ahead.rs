//! Small pictures fetched ahead: the lists of images of the ward's patients and the layers of 64 pixels of their latest
//! studies, so that they can be looked at when the network is gone.
//!
//! Lives here: a connection of the workstation's own ([`AHEAD`]), proven by its key, one series at a time, only while nobody
//! looks at images, no emergency runs and the record is current, and never more than a share of what the link does. Never
//! here: anybody's session. Each patient's fetch has an audit row here and at the server, in the workstation's name.

use super::Shared;
use super::writer::Write;
use crate::drill;
use crate::link::{self, Socket};
use crate::outbox::refused;
use crate::station::Station;
use crate::{EngineError, clock::Stopwatch, entropy};
use futures_util::{SinkExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::decide;
use vitrine_clinical::PatientId;
use vitrine_pixels::Colour;
use vitrine_pixels::pack::{self, Frame, read_piece};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{Images, OpenPatient, OpenSeries};
use vitrine_sync::proof;
use vitrine_wire::images::{AHEAD, Ask, ListedStudy, PROTOCOL, PackRef, Piece, Told, WANT_MOST, Wanted};

/// After the start, and between rounds.
const ROUND: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(20));
/// After a round that failed.
const LATER: Duration = Duration::from_secs(60);
/// A patient is asked about again after so long, ms; after the second when the server was still preparing images.
const AGAIN_MS: (i64, i64) = (2 * 3_600_000, 60_000);
/// How often it is looked for patients who left, ms.
const RETIRE_MS: i64 = 3_600_000;
/// Patients who left the ward keep their small pictures so long, ms.
const KEPT_MS: i64 = 7 * 86_400_000;
/// The latest studies of a patient.
const STUDIES: usize = 3;
/// Frames of a series.
const FRAMES: usize = 2_000;
/// Bytes asked for at once.
const BATCH: u64 = 256 << 10;
/// Share of the time in which something is fetched, per cent: the rest of the link is for those who wait.
const SHARE: u32 = 30;
/// Nothing was heard for so long.
const SILENT: Duration = Duration::from_secs(15);
/// Connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked whether it may go on.
const LOOK: Duration = Duration::from_millis(500);
/// Longest message taken, bytes.
const LONGEST: usize = 1 << 26;
/// A patient whose images could not be fetched is asked about again after so long, ms: nobody behind waits for that.
const FAILED_MS: i64 = 600_000;
/// Longest wait for the link to be idle with a connection open.
const PARKED: Duration = Duration::from_secs(60);

/// What is known since this program began.
#[derive(Default)]
struct State {
    seen: BTreeMap<String, Seen>,
    /// When patients who left were last looked for.
    retired: i64,
}

/// What was told of a patient.
struct Seen {
    at: i64,
    list: Vec<ListedStudy>,
    again_ms: i64,
}

/// Fetches ahead until the workstation closes. `current`: the record is.
pub(crate) async fn run(station: Weak<Station>, current: watch::Receiver<bool>) {
    let mut state = State::default();
    let mut wait = ROUND.0;
    loop {
        let Some(mut closing) = station.upgrade().map(|s| s.closing.subscribe()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = closing.wait_for(|c| *c) => return,
        }
        wait = ROUND.1;
        if !*current.borrow() {
            continue;
        }
        let Some(station) = station.upgrade() else { return };
        let round = tokio::select! {
            done = round(&station, &mut state) => done,
            _ = closing.wait_for(|c| *c) => return,
        };
        if let Err(why) = round {
            tracing::debug!(why, "images were not fetched ahead");
            wait = LATER;
        }
    }
}

/// Whether nobody waits for the link or the disk.
fn idle(shared: &Shared) -> bool {
    let quiet = {
        let core = shared.core();
        core.views.is_empty() && core.told.is_empty()
    };
    quiet && !shared.in_emergency()
}

async fn round(station: &Arc<Station>, state: &mut State) -> Result<(), &'static str> {
    let shared = &station.imaging.shared;
    let (now, ward) = (station.clock.now().0, station.device().ward.clone());
    let inside = Arc::clone(station);
    let board = tokio::task::spawn_blocking(move || {
        let scope = format!("board:{ward}");
        let told = inside.essentials.scope(&scope)?.is_some_and(|s| s.complete);
        Ok::<_, StoreError>((told, inside.essentials.refs(&scope)?))
    });
    let (told, board) = board
        .await
        .map_err(|_| "the board")?
        .map_err(|_| "the board cannot be read")?;
    let here: BTreeSet<String> = board.into_iter().map(|r| r.key).collect();
    if told && now.saturating_sub(state.retired) > RETIRE_MS {
        state.retired = now;
        retire(shared, here.clone(), now - KEPT_MS).await;
    }
    let seen = &mut state.seen;
    seen.retain(|p, _| here.contains(p));
    let due: Vec<&String> = here
        .iter()
        .filter(|p| seen.get(*p).is_none_or(|s| now.saturating_sub(s.at) > s.again_ms))
        .collect();
    if due.is_empty() || !idle(shared) {
        return Ok(());
    }
    let mut line = Line::open(station).await?;
    for patient in due {
        wait_idle(shared).await?;
        let asked = one_patient(station, &mut line, patient, seen.get(patient).map(|s| &s.list)).await;
        let (list, again_ms) = match asked {
            Ok(told) => told,
            // The next connection begins with the next patient.
            Err(why) => {
                tracing::debug!(why, "images of a patient were not fetched ahead");
                (Vec::new(), FAILED_MS)
            }
        };
        let at = station.clock.now().0;
        seen.insert(patient.clone(), Seen { at, list, again_ms });
        if line.broken {
            return Err("the connection ended");
        }
    }
    Ok(())
}

/// Asks for a patient's list and fetches what is new. Gives the list to be compared with the next one, empty when not all of
/// it could be had, and when it is asked for again.
async fn one_patient(
    station: &Arc<Station>,
    line: &mut Line,
    patient: &str,
    before: Option<&Vec<ListedStudy>>,
) -> Result<(Vec<ListedStudy>, i64), &'static str> {
    line.ask(&Ask::List {
        patient: patient.to_owned(),
    })
    .await?;
    let studies = loop {
        match line.hear().await? {
            Heard::Told(Told::List { patient: of, studies }) if of == *patient => break studies,
            // Moved to another ward since the board was told.
            Heard::Told(Told::Failed { view: None, .. }) => return Err("refused"),
            _ => {}
        }
    };
    let waits = studies.iter().flat_map(|s| &s.series).any(|s| s.preparing > 0);
    let again_ms = if waits { AGAIN_MS.1 } else { AGAIN_MS.0 };
    if before == Some(&studies) || fetch(station, line, patient, &studies).await? {
        Ok((studies, again_ms))
    } else {
        Ok((Vec::new(), FAILED_MS))
    }
}

/// Removes what is here of patients who left long ago.
async fn retire(shared: &Shared, here: BTreeSet<String>, before: i64) {
    let store = shared.store();
    let retired = tokio::task::spawn_blocking(move || store.map(|s| s.retire(&here, before)));
    match retired.await {
        Ok(Some(Err(e))) => tracing::warn!(error = %e, "images of patients who left could not be removed"),
        Ok(Some(Ok(n))) if n > 0 => tracing::info!(patients = n, "images of patients who left were removed"),
        _ => {}
    }
}

/// Waits a while; a connection that nothing is asked on is not kept for hours.
async fn wait_idle(shared: &Shared) -> Result<(), &'static str> {
    let waited = Stopwatch::start();
    while !idle(shared) {
        if waited.ms() > PARKED.as_secs_f64() * 1_000.0 {
            return Err("somebody looks at images");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Leave to keep these studies of a patient, with its audit row.
fn allow(station: &Station, patient: &str, studies: &[&str]) -> Result<OpenPatient, EngineError> {
    let patient = PatientId::new(patient).map_err(|_| EngineError::Internal("the board's patient"))?;
    let request = station.request_of_device(&patient, "ImagingStudy")?;
    let permit = decide::<ReadChart>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("section", "images fetched ahead");
    let store = station.imaging.shared.store();
    let leave = store
        .ok_or(EngineError::Internal("reading stored images"))?
        .patient(&permit)?;
    let receipt = station
        .outbox
        .append(&[permit.entry(Images::naming(&permit, studies))], None)
        .map_err(|e| EngineError::AuditFailed(e.to_string()))?
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    let leave = leave.open(&receipt);
    station.command(link::Command::OutboxChanged);
    leave.map_err(|_| EngineError::Internal("opening with the receipt"))
}

/// The list, and what is missing of the small layers. False when not all of it could be had.
async fn fetch(
    station: &Arc<Station>,
    line: &mut Line,
    patient: &str,
    studies: &[ListedStudy],
) -> Result<bool, &'static str> {
    let shared = &station.imaging.shared;
    let (inside, of, now) = (Arc::clone(station), patient.to_owned(), station.clock.now().0);
    let body = serde_json::to_vec(studies).map_err(|_| "a list")?;
    let uids: Vec<String> = studies.iter().map(|s| s.uid.clone()).collect();
    let leave = tokio::task::spawn_blocking(move || {
        let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        let leave = allow(&inside, &of, &uids)?;
        let store = inside.imaging.shared.store();
        store
            .ok_or(EngineError::Internal("reading stored images"))?
            .put_list(leave.patient(), &body, &uids, now)?;
        Ok::<_, EngineError>(leave)
    });
    let leave = leave.await.map_err(|_| "the disk")?.map_err(|e| {
        tracing::debug!(error = %e, "a list of images is not kept ahead");
        "a list cannot be kept"
    })?;
    station.imaging.begin();
    let mut whole = true;
    for study in studies.iter().take(STUDIES) {
        for series in study.series.iter().filter(|s| s.ready > 0) {
            wait_idle(shared).await?;
            // A number of its own: what still comes of an earlier one is not this one's.
            line.view = line.view.wrapping_add(1);
            let done = one(shared, line, leave.series(&study.uid, &series.uid)).await;
            line.ask(&Ask::Close { view: line.view }).await?;
            whole &= done?;
        }
    }
    Ok(whole)
}

/// A pack as far as its index is known.
struct Known {
    hash: Vec<u8>,
    frames: BTreeMap<u32, Frame>,
    count: u32,
    /// Frames whose small layer is here.
    here: BTreeSet<u32>,
}

impl Known {
    fn whole(&self) -> bool {
        self.frames.len() >= self.count as usize
    }
}

/// What is on the disk of a series' packs, by id.
fn stored(leave: &OpenSeries) -> BTreeMap<String, Known> {
    let held = leave.held().ok().flatten();
    let packs = held.into_iter().flat_map(|h| h.packs).map(|p| {
        let mut frames = BTreeMap::new();
        for (first, _, body) in &p.pieces {
            frames.extend((*first..).zip(read_piece(body).unwrap_or_default()));
        }
        let here = (0..).zip(&p.layers).filter(|(_, bits)| **bits & 1 == 1);
        let known = Known {
            frames,
            count: p.frames,
            here: here.map(|(n, _)| n).collect(),
            hash: p.hash,
        };
        (entropy::hex(&known.hash), known)
    });
    packs.collect()
}

/// One series. False when the server could not give all of it.
async fn one(shared: &Shared, line: &mut Line, leave: OpenSeries) -> Result<bool, &'static str> {
    let (of, number) = (leave.clone(), line.view);
    let mut stored = tokio::task::spawn_blocking(move || stored(&of))
        .await
        .map_err(|_| "the disk")?;
    line.ask(&Ask::Open {
        view: number,
        patient: leave.patient().to_string(),
        study: leave.study().to_owned(),
        series: leave.series().to_owned(),
        px: 64,
        held: stored
            .iter()
            .filter(|(_, k)| k.whole())
            .map(|(id, _)| id.clone())
            .collect(),
    })
    .await?;
    let mut packs: Option<Vec<Known>> = None;
    let mut asked: BTreeSet<(u16, u32)> = BTreeSet::new();
    let mut wanted: Option<Vec<(Wanted, u64)>> = None;
    let (mut since, mut whole) = (Stopwatch::start(), true);
    loop {
        if let Some(all) = packs.as_ref().filter(|all| all.iter().all(Known::whole)) {
            let left = wanted.get_or_insert_with(|| missing(all));
            if asked.is_empty() {
                if left.is_empty() {
                    break;
                }
                rest(since.ms()).await;
                wait_idle(shared).await?;
                let (mut bytes, mut batch) = (0, Vec::new());
                while let Some((w, len)) = left.pop() {
                    bytes += len;
                    asked.insert((w.0, w.1));
                    batch.push(w);
                    if bytes >= BATCH || batch.len() >= WANT_MOST {
                        break;
                    }
                }
                since = Stopwatch::start();
                line.ask(&Ask::Want {
                    view: number,
                    segments: batch,
                })
                .await?;
            }
        }
        match line.hear().await? {
            Heard::Told(Told::Opened {
                view,
                packs: told,
                without,
                preparing,
            }) if view == number => {
                packs = Some(
                    told.iter()
                        .map(|p| known(&mut stored, p))
                        .collect::<Option<_>>()
                        .ok_or("an odd pack")?,
                );
                shared.write(Write::Series {
                    leave: leave.clone(),
                    packs: told,
                    without,
                    preparing,
                });
            }
            // It may have been moved or removed meanwhile: the next list says so.
            Heard::Told(Told::Failed { view: Some(view), .. }) if view == number => return Ok(false),
            Heard::Piece(Piece::Index {
                view,
                pack,
                first,
                body,
            }) if view == number => {
                let frames = read_piece(&body).map_err(|_| "an index that cannot be read")?;
                let of = packs
                    .as_mut()
                    .and_then(|p| p.get_mut(usize::from(pack)))
                    .ok_or("an odd index")?;
                shared.write(Write::Index {
                    leave: leave.clone(),
                    pack: of.hash.clone(),
                    first,
                    frames: u32::try_from(frames.len()).unwrap_or(u32::MAX),
                    body,
                });
                of.frames.extend((first..).zip(frames));
            }
            Heard::Piece(Piece::Segment {
                view,
                pack,
                frame,
                segment,
                body,
            }) if view == number => {
                asked.remove(&(pack, frame));
                let of = packs
                    .as_mut()
                    .and_then(|p| p.get_mut(usize::from(pack)))
                    .ok_or("an odd segment")?;
                let f = of.frames.get(&frame).ok_or("an odd segment")?;
                let s = f.segments.get(usize::from(segment)).ok_or("an odd segment")?;
                // What is not what the index says is not kept; a later round asks again.
                let small = f.coding.layer(&f.shape, usize::from(segment)) == 0;
                if !small || pack::verify(&body, s).is_err() {
                    whole = false;
                } else if of.here.insert(frame) {
                    shared.write(Write::Segment {
                        leave: leave.clone(),
                        slot: u32::MAX,
                        pack: of.hash.clone(),
                        frame,
                        layer: 0,
                        body,
                    });
                }
            }
            Heard::Piece(Piece::Lost {
                view, pack, frame, ..
            }) if view == number => {
                asked.remove(&(pack, frame));
                whole = false;
            }
            _ => {}
        }
    }
    Ok(whole)
}

/// What is known of a pack that the server names.
fn known(stored: &mut BTreeMap<String, Known>, p: &PackRef) -> Option<Known> {
    let fresh = || {
        Some(Known {
            hash: entropy::unhex(&p.id)?,
            frames: BTreeMap::new(),
            count: p.frames,
            here: BTreeSet::new(),
        })
    };
    stored.remove(&p.id).filter(Known::whole).or_else(fresh)
}

/// Small layers that are not here, the last first: they are taken from the end.
fn missing(packs: &[Known]) -> Vec<(Wanted, u64)> {
    let mut all: Vec<(Wanted, u64)> = Vec::new();
    for (n, p) in (0_u16..).zip(packs) {
        for (frame, f) in &p.frames {
            // A smaller image of indices into a palette is none.
            let small = f.coding.layer(&f.shape, 0) == 0 && f.colour != Colour::Palette;
            if let Some(s) = f.segments.first().filter(|_| small && !p.here.contains(frame)) {
                all.push(((n, *frame, 0), s.len.into()));
            }
        }
    }
    all.truncate(FRAMES);
    all.reverse();
    all
}

/// Leaves the link to others for a while, after something was fetched for `ms`.
async fn rest(ms: f64) {
    let factor = f64::from(100 - SHARE) / f64::from(SHARE);
    let pause = Duration::from_secs_f64((ms * factor / 1_000.0).clamp(0.0, 30.0));
    tokio::time::sleep(pause).await;
}

enum Heard {
    Told(Told),
    Piece(Piece),
}

struct Line {
    socket: Socket,
    /// The view opened last.
    view: u32,
    /// It ended, or nothing comes over it.
    broken: bool,
    /// A drill ends it.
    cut: watch::Receiver<bool>,
}

impl Line {
    async fn open(station: &Arc<Station>) -> Result<Self, &'static str> {
        let path = format!("{AHEAD}?v={PROTOCOL}");
        let cut = station.drill.cuts();
        let dialled = tokio::time::timeout(CONNECT, link::dial(station, &path, None, LONGEST)).await;
        let socket = dialled.map_err(|_| "no connection in time")?;
        let mut line = Self {
            socket: socket.map_err(|_| "no connection")?,
            view: 0,
            broken: false,
            cut,
        };
        let Heard::Told(Told::Prove { nonce }) = line.hear().await? else {
            return Err("the server did not ask for a proof");
        };
        let device = station.device_id.as_str().to_owned();
        let signature = entropy::hex(&station.key.sign(&proof::device_images(&nonce, &device)));
        line.ask(&Ask::Prove { device, signature }).await?;
        Ok(line)
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), &'static str> {
        let text = serde_json::to_string(ask).map_err(|_| "an ask")?;
        let sent = self.socket.send(Message::Text(text.into())).await;
        self.broken |= sent.is_err();
        sent.map_err(|_| "the connection ended")
    }

    async fn hear(&mut self) -> Result<Heard, &'static str> {
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(SILENT, self.socket.next()) => next,
                () = drill::cut_off(self.cut.clone()) => {
                    self.broken = true;
                    return Err("a drill");
                }
            };
            let Ok(next) = next else {
                self.broken = true;
                return Err("nothing is heard");
            };
            match next {
                Some(Ok(Message::Text(text))) => {
                    let told = serde_json::from_str(text.as_str());
                    return told.map(Heard::Told).map_err(|_| "an odd message");
                }
                Some(Ok(Message::Binary(bytes))) => {
                    return Piece::read(bytes).map(Heard::Piece).map_err(|_| "an odd message");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.broken = true;
                    return Err("the connection ended");
                }
            }
        }
    }
}
