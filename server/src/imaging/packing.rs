//! Packs: the pixels of a series, made ready to be streamed, by a worker in a process of its own.
//!
//! Lives here: which instances are looked at when, one pack from objects to its row. Never here: decoding (that is
//! `vitrine_codec`, behind pipes), the format of packs (`vitrine_pixels`). Called by `jobs`.
//!
//! Whatever is filed is looked at by itself, whoever filed it: the store says what nobody has looked at. A pack whose row
//! is not written is nobody's and is removed; the row is written last, when the file is on disk.

use super::blobs::{Blobs, Incoming, Reading, Received};
use super::copies::Absent;
use super::study::kept;
use crate::app::App;
use crate::clock;
use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use vitrine_codec::{Done, Failed, Job, Worker};
use vitrine_dicom::display::{Beside, Display, beside};
use vitrine_dicom::index::value;
use vitrine_dicom::syntax::EXPLICIT_LE;
use vitrine_dicom::{Scan, class, scan};
use vitrine_pixels::pack::{Entry, MOST_DISPLAY, WriteError, Writer};
use vitrine_store::StoreError;
use vitrine_store::pixels::{Looked, PixelPack, PixelsDone, Unpacked};

/// Frames after which a pack is closed: few enough that the first of a large series can be seen while the rest is made.
const FRAMES: usize = 256;
/// Frames of one instance: packs do not divide instances yet.
const FRAMES_MOST: u32 = 16_384;
/// Bytes of what stands beside the frames of a pack.
const TEXT_MOST: usize = 64 << 20;
/// Bytes of one frame as it is stored.
const FRAME_MOST: u64 = 256 << 20;
/// Frames of an instance that fail before the rest of it is left alone.
const ENDS_MOST: u32 = 8;
/// Instances looked ahead for a series to begin with.
const AHEAD: usize = 64;
/// Instances of a series looked at in one turn.
const INSTANCES: usize = 256;
/// A series that still grows is left alone for so long, so that its packs are not many.
const QUIET: Duration = Duration::from_millis(700);
/// But no longer than this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Nobody says when an instance was filed through another server.
const LOOK: Duration = Duration::from_secs(2);
/// After a failure of the store or of a disk.
const LATER: Duration = Duration::from_secs(30);

/// What a turn came to.
enum Turn {
    /// A pack of this series was made, or its instances were found to have no pixels.
    Made(String),
    /// Nothing to do, or not yet.
    Rest(Duration),
}

/// Begins to make packs, on the threads of images. They hold the server for no longer than a turn: whoever stops it waits
/// until the store is closed.
pub fn start(app: &Arc<App>) {
    for number in 0..app.config.images.workers {
        let filed = app.images.filed();
        let decoder = match program(app) {
            Ok(program) => Decoder {
                worker: Worker::new(&program, ["worker"; 0]),
                sound: false,
            },
            Err(e) => {
                tracing::error!(error = %e, "the program that decodes images is not there: none will be shown");
                return;
            }
        };
        let (threads, app) = (app.image_threads.handle(), Arc::downgrade(app));
        threads.spawn(run(app, number, filed, decoder));
    }
}

fn program(app: &App) -> io::Result<PathBuf> {
    match app.config.images.worker.as_str() {
        "" => installed(&std::env::current_exe()?),
        path => {
            let path = app.dir.root().join(path);
            let missing = || io::Error::new(io::ErrorKind::NotFound, "images.worker names no file");
            path.is_file().then_some(path).ok_or_else(missing)
        }
    }
}

/// The worker that is installed with this program; a test's lies a folder higher.
fn installed(program: &Path) -> io::Result<PathBuf> {
    let name = format!("vitrine-codec{}", std::env::consts::EXE_SUFFIX);
    let folders = program.ancestors().skip(1).take(2);
    let found = folders.map(|f| f.join(&name)).find(|p| p.is_file());
    found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "vitrine-codec does not lie beside this program",
        )
    })
}

async fn run(app: Weak<App>, number: usize, mut filed: watch::Receiver<u64>, mut decoder: Decoder) {
    // Several workers, here or on another server, are rarely at the same series: each begins elsewhere.
    let mut skip = BTreeSet::new();
    loop {
        let done = {
            let Some(app) = app.upgrade() else { return };
            let draining = *app.draining.borrow();
            let done = if draining {
                Ok(Turn::Rest(LOOK))
            } else {
                turn(&app, &mut decoder, number, &mut skip).await
            };
            if let Ok(Turn::Made(series)) = &done {
                let _ = app.packed.send(series.clone());
            }
            done
        };
        match done {
            Ok(Turn::Made(_)) => {}
            Ok(Turn::Rest(wait)) => {
                // An error: the server is gone.
                if let Ok(Err(_)) = tokio::time::timeout(wait, filed.changed()).await {
                    return;
                }
                if wait <= QUIET {
                    tokio::time::sleep(wait).await;
                }
            }
            Err(e) => {
                tracing::error!(error = %e, "images are not made ready");
                tokio::time::sleep(LATER).await;
            }
        }
    }
}

/// Looks at some instances of the series that came last: it is waited for, and what an upgrade left behind is not.
async fn turn(
    app: &App,
    decoder: &mut Decoder,
    number: usize,
    taken: &mut BTreeSet<String>,
) -> Result<Turn, StoreError> {
    if !tokio::task::block_in_place(|| app.room.has(app.images.blobs())) {
        return Ok(Turn::Rest(LATER));
    }
    // Series that failed lie in front of what came before them.
    let ahead = app.store.unpacked(None, AHEAD + taken.len() * INSTANCES).await?;
    let mut waiting: Vec<String> = Vec::new();
    for u in ahead {
        let series = u.instance.series;
        if !waiting.contains(&series) && !taken.contains(&series) {
            waiting.push(series);
        }
    }
    if waiting.is_empty() {
        taken.clear();
        return Ok(Turn::Rest(LOOK));
    }
    let begin = number % waiting.len();
    waiting.rotate_left(begin);
    let mut next = None;
    for series in waiting {
        let rows = app.store.unpacked(Some(&series), INSTANCES).await?;
        if grown(&rows) {
            next = Some((series, rows));
            break;
        }
    }
    // All that came last still grows.
    let Some((series, rows)) = next else {
        return Ok(Turn::Rest(QUIET));
    };
    let blobs = app.images.blobs().clone();
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full("making a pack of images")
        }
        _ => StoreError::Backend {
            doing: "making a pack of images",
            cause: e.to_string(),
        },
    };
    let instances: Vec<_> = rows.iter().map(|r| r.instance.clone()).collect();
    match app.copies.home(&instances).await {
        Ok(()) => {}
        Err(Absent::Store(e)) => return Err(e),
        Err(Absent::NotHome(e)) => {
            taken.insert(series);
            return Err(failed(io::Error::other(e.to_string())));
        }
    }
    drop(instances);
    let mut made = tokio::task::block_in_place(|| {
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| make(&blobs, decoder, &rows)));
        made.unwrap_or_else(|_| Err(io::Error::other("a fault of the program")))
    })
    // Nothing of an object leads here: it would lead here for ever.
    .map_err(failed)
    .inspect_err(|_| {
        taken.insert(series.clone());
    })?;
    // One that could be mended is looked at again.
    for uid in &made.damaged {
        if app.copies.look_now(uid).await? {
            made.looked.retain(|l| l.uid != *uid);
        }
    }
    let pack = match made.pack {
        Some((received, frames)) => {
            let kept = tokio::task::block_in_place(|| received.keep(&blobs));
            let blob = kept.map_err(failed)?;
            Some(PixelPack { blob, frames })
        }
        None => None,
    };
    let file = pack.as_ref().map(|p| p.blob.clone());
    let done = PixelsDone {
        series: series.clone(),
        at: clock::now(),
        pack,
        instances: made.looked,
    };
    app.metrics.count("vitrine_image_frames_total", "", made.frames);
    app.metrics
        .count("vitrine_image_frames_failed_total", "", made.failed);
    let noted = app.store.pixels_done(done).await;
    // After an error the row may be there all the same: the file stays, and is noise if it is not.
    if !noted? {
        if let Some(blob) = file {
            tokio::task::block_in_place(|| blobs.remove(&blob));
        }
        taken.insert(series.clone());
    }
    Ok(Turn::Made(series))
}

/// Whether a series is to be looked at now: nothing has come for a while, or much, or it has waited long enough.
fn grown(rows: &[Unpacked]) -> bool {
    let at = |pick: fn(i64, i64) -> i64| rows.iter().map(|r| r.instance.at.0).reduce(pick);
    let (Some(oldest), Some(newest)) = (at(i64::min), at(i64::max)) else {
        return false;
    };
    let since = |t: i64| Duration::from_millis(u64::try_from(clock::now().0 - t).unwrap_or(u64::MAX));
    since(newest) >= QUIET || since(oldest) >= PATIENCE || rows.len() >= INSTANCES
}

struct Made {
    pack: Option<(Received, u32)>,
    looked: Vec<Looked>,
    /// Those of them whose file is damaged or gone.
    damaged: Vec<String>,
    frames: u64,
    failed: u64,
}

/// The worker, and whether it has ever answered.
struct Decoder {
    worker: Worker,
    sound: bool,
}

/// Why a frame is not there.
enum Unmade {
    /// The image is the reason; as shown.
    Image(String),
    /// Its file is damaged or gone.
    File,
    /// We are: it is tried again later.
    Ours(io::Error),
}

impl From<String> for Unmade {
    fn from(why: String) -> Self {
        Self::Image(why)
    }
}

/// Faults of a file that are the file's; others pass.
fn of_the_file(e: io::Error) -> Unmade {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match e.kind() {
        NotFound | InvalidData | UnexpectedEof => {
            tracing::error!(error = %e, "the file of an image is damaged or gone");
            Unmade::File
        }
        _ => Unmade::Ours(e),
    }
}

/// Whatever is wrong with an object is said of the object; only a fault of ours (the pack's own file, a worker that cannot
/// be started) ends the pack.
fn make(blobs: &Blobs, decoder: &mut Decoder, rows: &[Unpacked]) -> io::Result<Made> {
    let mut pack = Packing {
        writer: Writer::new(blobs.receive()?).map_err(written)?,
        text: 0,
        decoder,
    };
    let mut made = Made {
        pack: None,
        looked: Vec::new(),
        damaged: Vec::new(),
        frames: 0,
        failed: 0,
    };
    for row in rows {
        let uid = row.instance.uid.clone();
        match pack.instance(blobs, row) {
            Ok(None) => break,
            Ok(Some((frames, failed, why))) => {
                made.frames += u64::from(frames);
                made.failed += u64::from(failed);
                made.looked.push(Looked { uid, frames, why });
            }
            Err(Unmade::File) => {
                made.damaged.push(uid.clone());
                made.looked.push(Looked {
                    uid,
                    frames: 0,
                    why: Some("the file of this image is damaged or gone: tell IT".to_owned()),
                });
            }
            Err(Unmade::Image(why)) => made.looked.push(Looked {
                uid,
                frames: 0,
                why: Some(why),
            }),
            Err(Unmade::Ours(e)) => return Err(e),
        }
    }
    let writer = pack.writer;
    if writer.frames() > 0 {
        let frames = u32::try_from(writer.frames()).map_err(invalid)?;
        let (incoming, ..) = writer.finish().map_err(written)?;
        made.pack = Some((incoming.finish()?, frames));
    }
    Ok(made)
}

fn written(e: WriteError) -> io::Error {
    match e {
        WriteError::Io(e) => e,
        other => invalid(other),
    }
}

/// A pack that is being made.
struct Packing<'d> {
    writer: Writer<Incoming>,
    /// Bytes of what stands beside its frames: they are in memory until it is finished.
    text: usize,
    decoder: &'d mut Decoder,
}

impl Packing<'_> {
    /// Takes an instance: its frames in the pack, those that failed, and why. `None` = it does not fit any more.
    fn instance(
        &mut self,
        blobs: &Blobs,
        row: &Unpacked,
    ) -> Result<Option<(u32, u32, Option<String>)>, Unmade> {
        let instance = &row.instance;
        let mut reading = blobs.read(&instance.blob).map_err(of_the_file)?;
        let len = reading.len();
        let scanned = scan(&mut reading, len).map_err(|e| format!("cannot be read: {e}"))?;
        let mut header = kept(&instance.header);
        let class = header
            .get("class")
            .and_then(|c| c.as_str())
            .unwrap_or_default()
            .to_owned();
        let header = header.remove("json").unwrap_or_default();
        if scanned.pixel.is_none() {
            let what = class::name(&class).unwrap_or("an object of another kind");
            return Err(Unmade::Image(format!("no pixels: {what}")));
        }
        let frames = scanned.frames();
        if frames > FRAMES_MOST {
            let why =
                format!("it has more frames than are shown here ({FRAMES_MOST}): download the original");
            return Err(Unmade::Image(why));
        }
        let begun = self.writer.frames();
        if begun > 0 && (begun + frames as usize > FRAMES || self.text > TEXT_MOST / 2) {
            return Ok(None);
        }
        // Tables that are not in the index lie in the object.
        let has_bulk = memmem(&instance.header, b"BulkDataURI");
        let raw = has_bulk.then(|| scanned.read_header(&mut reading).ok()).flatten();
        let bulk = |path: &str| Some(value(&scanned, raw.as_deref()?, path).ok()??.1);
        let (mut whole, mut why, mut ends) = (0, None, 0);
        for number in 1..=frames {
            if ends >= ENDS_MOST {
                break;
            }
            let done = match self.decoder.frame(&mut reading, &scanned, number) {
                Ok(done) => done,
                Err(Unmade::Image(e)) => {
                    ends += 1;
                    why.get_or_insert(e);
                    continue;
                }
                Err(other) => return Err(other),
            };
            let mut shown = beside(&header, number, &bulk);
            let text = beside_text(&mut shown);
            if self.text + text.len() > TEXT_MOST {
                why.get_or_insert("its tables are too large".to_owned());
                break;
            }
            let entry = Entry {
                sop: instance.uid.clone(),
                number,
                colour: done.colour,
                lossy: done.lossy || shown.display.lossy.as_ref().is_some_and(|l| l.lossy),
                display: text,
            };
            let bytes = entry.display.len();
            match self.writer.push(entry, done.coded) {
                Ok(()) => {
                    whole += 1;
                    self.text += bytes;
                }
                Err(WriteError::Io(e)) => return Err(Unmade::Ours(e)),
                Err(e) => {
                    why.get_or_insert(e.to_string());
                }
            }
        }
        let failed = frames - whole;
        let why = why.map(|e| match whole {
            0 => e,
            _ => format!("{failed} of {frames} frames cannot be shown: {e}"),
        });
        Ok(Some((whole, failed, why)))
    }
}

/// What stands beside a frame, as JSON that a pack takes. Without its table a window would be of other values: both go.
fn beside_text(shown: &mut Beside) -> Vec<u8> {
    let mut text = serde_json::to_vec(shown).unwrap_or_default();
    if text.len() > MOST_DISPLAY {
        let display = &mut shown.display;
        display.palette = None;
        display.voi_lut = None;
        display.modality_lut = None;
        display.windows.clear();
        display.regions.clear();
        display.notes = vec!["its tables are too large to be shown".to_owned()];
        text = serde_json::to_vec(shown).unwrap_or_default();
    }
    if text.len() > MOST_DISPLAY {
        shown.display = Display::default();
        text = serde_json::to_vec(shown).unwrap_or_default();
    }
    text
}

fn memmem(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

fn invalid(e: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

impl Decoder {
    /// One frame, counted from 1.
    fn frame(&mut self, reading: &mut Reading, scanned: &Scan, number: u32) -> Result<Done, Unmade> {
        let at = scanned
            .frame(number - 1)
            .map_err(|e| format!("cannot be read: {e}"))?;
        if at.len() > FRAME_MOST {
            return Err(Unmade::Image(
                "a frame too large to be shown: download the original".to_owned(),
            ));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(at.len()).unwrap_or(0));
        for range in &at.ranges {
            let mut read = || {
                reading.seek(SeekFrom::Start(range.start))?;
                reading
                    .by_ref()
                    .take(range.end - range.start)
                    .read_to_end(&mut bytes)
            };
            read().map_err(of_the_file)?;
        }
        let job = vitrine_codec::job(scanned, &at, bytes).map_err(|e| e.to_string())?;
        let within = vitrine_codec::deadline(&job);
        // A process that ends may have ended for another reason than this frame: once more, in a new one.
        for last in [false, true] {
            match self.worker.run(job.clone(), within) {
                Ok(done) => {
                    self.sound = true;
                    return Ok(done);
                }
                Err(Failed::Refused(refused)) => {
                    self.sound = true;
                    return Err(Unmade::Image(refused.to_string()));
                }
                Err(Failed::NotStarted(e)) => return Err(Unmade::Ours(e)),
                Err(Failed::TimedOut(_)) if last => {
                    let why = "decoding it took too long: download the original";
                    return Err(Unmade::Image(why.to_owned()));
                }
                Err(e) => {
                    tracing::warn!(error = %e, "the worker that decodes images ended");
                    self.works()?;
                }
            }
        }
        Err(Unmade::Image(
            "it could not be decoded: download the original".to_owned(),
        ))
    }

    /// Whether a worker decodes at all: one that has never answered may not be able to give up what it must.
    fn works(&mut self) -> Result<(), Unmade> {
        if self.sound {
            return Ok(());
        }
        let job = Job {
            syntax: EXPLICIT_LE.to_owned(),
            columns: 1,
            rows: 1,
            samples: 1,
            bits_allocated: 8,
            bits_stored: 8,
            high_bit: 7,
            photometric: "MONOCHROME2".to_owned(),
            bytes: vec![7],
            ..Job::default()
        };
        let within = vitrine_codec::deadline(&job);
        match self.worker.run(job, within) {
            Ok(_) => {
                self.sound = true;
                Ok(())
            }
            Err(e) => Err(Unmade::Ours(io::Error::other(format!(
                "the worker decodes nothing: {e}"
            )))),
        }
    }
}
