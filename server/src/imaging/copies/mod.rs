//! Copies of the originals of images at other places, and reading everything again before it is needed.
//!
//! Lives here: [`Copier`], its jobs, an original that has to come back before it is read. [`target`] speaks with a place,
//! `local` looks after the server's own folder, `remote` after a target, [`report`] says how it all stands. Never here:
//! rows (the store), the files' format (`blobs`). Called by `cli::serve`, the commands, and whoever reads originals.
//!
//! Every place has a job of its own, which asks the store what is due there: a target that is away keeps no other from
//! anything. First the original is read whole and opened with its key; what its encrypted file was then is what every copy
//! must be, byte for byte, read back from where it lies. Nothing is believed because somebody said so, and nothing is
//! written over by what was not compared first.

mod local;
mod remote;
pub mod report;
pub mod target;

use super::blobs::Blobs;
use crate::app::App;
use crate::clock;
use crate::config;
use crate::data_dir::DataDir;
use crate::error::Fault as Unusable;
use crate::ops::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use target::Target;
use tokio::sync::{Semaphore, watch};
use vitrine_clinical::UtcMs;
use vitrine_store::copies::{Again, CopyFile, CopyReport, CopyState, LOCAL, NEVER};
use vitrine_store::imaging::InstanceRow;
use vitrine_store::{Store, StoreError};

/// Rows worked on in a turn: between two the server may stop.
const ROWS: usize = 16;
/// Originals listed at once.
const LIST: usize = 500;
/// Nobody says when something falls due, or was filed through another server.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure of the store.
const LATER: Duration = Duration::from_secs(30);
/// The longest wait of a target that is away: it is asked once in this time.
const AWAY_MOST: Duration = Duration::from_secs(60);
/// The longest wait of a row that fails.
const ROW_MOST: Duration = Duration::from_secs(600);
/// Tries in vain, over about 15 s, after which a target is said to be away.
const SAID_AWAY: u32 = 4;
/// Originals brought back at once.
const BRINGING: usize = 4;
/// Rows made due at once: between two others may write.
const AGAIN: u64 = 5_000;
/// What is ahead of the pace by less than this does not wait: a sleep takes a millisecond at least.
const AHEAD: Duration = Duration::from_millis(20);
/// How often the rows are counted at most.
const COUNT: Duration = Duration::from_secs(15);
/// Counting takes no more than this part of the time.
const COUNT_PART: u32 = 20;
const DAY_MS: i64 = 86_400_000;

/// How fast files are read again.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many MiB a second.
    #[must_use]
    pub fn new(mib_per_s: u32) -> Self {
        Self {
            bytes_per_s: u64::from(mib_per_s.max(1)) << 20,
            next: Mutex::new(None),
        }
    }

    /// So many bytes were read: waits until the next may be.
    pub async fn took(&self, bytes: usize) {
        let now = clock::steady();
        let takes = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_s);
        let until = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let until = next.map_or(now, |n| n.max(now)) + takes;
            *next = Some(until);
            until
        };
        let ahead = until.saturating_duration_since(now);
        if ahead >= AHEAD {
            tokio::time::sleep(ahead).await;
        }
    }
}

/// How a target answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Tries in vain since it answered.
    pub tries: u32,
    /// Since when; `None` = it answers.
    pub since: Option<UtcMs>,
    /// What it said last.
    pub why: Option<String>,
    /// When it answered last.
    answered: Option<UtcMs>,
}

/// Why a turn ended before its time.
#[derive(Debug)]
enum Halt {
    /// The target is away, and it is said why.
    Away(String),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Did,
    Rest,
}

/// An original is not here and cannot come back now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHome {
    /// The targets that should have it.
    pub targets: Vec<String>,
    /// What they said.
    pub why: String,
}

impl std::fmt::Display for NotHome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets = self.targets.join(", ");
        write!(f, "it lies at {targets} and cannot be fetched now: {}", self.why)
    }
}

/// Looks after the copies of originals.
pub struct Copier {
    store: Arc<dyn Store>,
    blobs: Arc<Blobs>,
    targets: Vec<Target>,
    rules: config::Images,
    pace: Pace,
    metrics: Arc<Metrics>,
    /// True while the server stops.
    stop: watch::Receiver<bool>,
    /// Counts what may have made something due.
    wake: watch::Sender<u64>,
    standing: Mutex<BTreeMap<String, Standing>>,
    /// Originals that are being brought back, by SOP Instance UID.
    turns: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
    bringing: Semaphore,
    counted: Mutex<Option<CopyReport>>,
}

/// The wait after so many tries in vain: doubles, up to a bound.
fn wait(tries: u32, most: Duration) -> Duration {
    Duration::from_secs(1 << tries.min(20)).min(most)
}

fn after(now: UtcMs, wait: Duration) -> UtcMs {
    now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

impl Copier {
    /// For the originals of a folder. `stop`: true when no new work is to be begun.
    ///
    /// # Errors
    /// [`Unusable`] naming what to fix in the configuration of a target.
    pub fn open(
        store: Arc<dyn Store>,
        blobs: Arc<Blobs>,
        dir: &DataDir,
        rules: &config::Images,
        metrics: Arc<Metrics>,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, Unusable> {
        let open = |t| Target::open(t, dir, blobs.root());
        let targets = rules.copies.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            store,
            targets,
            rules: rules.clone(),
            pace: Pace::new(rules.scrub_mb_s),
            metrics,
            stop,
            wake: watch::channel(0).0,
            standing: Mutex::default(),
            turns: Mutex::default(),
            bringing: Semaphore::new(BRINGING),
            counted: Mutex::default(),
            blobs,
        }))
    }

    /// Whether there is anything to look after.
    fn works(&self) -> bool {
        !self.targets.is_empty() || self.rules.scrub_days > 0
    }

    fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|t| t.name == name)
    }

    fn stops(&self) -> bool {
        *self.stop.borrow()
    }

    fn rouse(&self) {
        self.wake.send_modify(|n| *n += 1);
    }

    /// When something that is verified now is to be read again: not all that came together on the same day.
    fn again(&self, now: UtcMs) -> UtcMs {
        if self.rules.scrub_days == 0 {
            return NEVER;
        }
        let whole = i64::from(self.rules.scrub_days) * DAY_MS;
        // Between a half and nine tenths of the time: the rest is for the reading itself.
        let part = i64::from(u16::from_be_bytes(clock::random::<2>()));
        now.plus_ms(whole / 2 + whole * 2 / 5 * part / i64::from(u16::MAX))
    }

    /// How a target answers.
    #[must_use]
    pub fn standing(&self, target: &str) -> Standing {
        let all = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(target).cloned().unwrap_or_default()
    }

    fn answers(&self, target: &str, now: UtcMs) {
        let mut all = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let s = all.entry(target.to_owned()).or_default();
        if s.tries >= SAID_AWAY {
            tracing::info!(target_name = target, "a target of copies answers again");
        }
        *s = Standing {
            answered: Some(now),
            ..Standing::default()
        };
    }

    fn answered_lately(&self, target: &str, now: UtcMs) -> bool {
        let s = self.standing(target);
        let lately = |at: UtcMs| now.0 - at.0 < i64::try_from(AWAY_MOST.as_millis()).unwrap_or(i64::MAX);
        s.tries == 0 && s.answered.is_some_and(lately)
    }

    fn fails(&self, target: &str, why: &str) -> u32 {
        let mut all = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let s = all.entry(target.to_owned()).or_default();
        s.tries += 1;
        s.since.get_or_insert_with(clock::now);
        s.why = Some(why.to_owned());
        if s.tries == SAID_AWAY {
            self.metrics.alarm();
            tracing::error!(target_name = target, why, "a target of copies is away");
        }
        s.tries
    }

    /// What the rows came to when they were counted last.
    #[must_use]
    pub fn counted(&self) -> Option<CopyReport> {
        self.counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn count(&self) -> Result<CopyReport, StoreError> {
        let report = self.store.copies_report().await?;
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        Ok(report)
    }

    async fn turn(&self, place: &str) -> Result<Turn, Halt> {
        match self.target(place) {
            Some(target) => self.turn_of(target).await,
            None => self.turn_here().await,
        }
    }

    /// Makes originals readable that are not in the server's own folder: they are fetched from where they are. One that
    /// nobody has stays as it is, for its reader to say.
    ///
    /// # Errors
    /// [`NotHome`] when a place that should have one does not answer.
    pub async fn home(&self, rows: &[InstanceRow]) -> Result<(), Absent> {
        for row in rows {
            if self.is_here(&row.blob).await {
                self.used(&self.blobs.path(&row.blob)).await;
                continue;
            }
            self.bring(&row.uid).await?;
        }
        Ok(())
    }

    /// The file of an original did not give what it should: it is looked at now.
    pub fn suspect(self: &Arc<Self>, uid: &str) {
        let (copier, uid) = (self.clone(), uid.to_owned());
        tokio::spawn(async move {
            match copier
                .store
                .copies_again(Again::Original(uid), clock::now())
                .await
            {
                Ok(_) => copier.rouse(),
                Err(e) => tracing::error!(error = %e, "a damaged original waits until it is read again"),
            }
        });
    }

    /// Whether an original that is filed is somewhere, though its file is not here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn elsewhere(store: &dyn Store, uid: &str) -> Result<bool, StoreError> {
        let rows = store.copies_of(uid).await?;
        Ok(rows
            .iter()
            .any(|r| r.target != LOCAL && r.state == CopyState::Verified))
    }

    /// Begins everything that is verified to be read again, due at `now`; gives how many rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scrub_now(&self, now: UtcMs) -> Result<u64, StoreError> {
        let last = self.store.copies_last().await?;
        let (mut n, mut from) = (0, 0);
        while from < last {
            let until = last.min(from + AGAIN);
            n += self.store.copies_again(Again::Verified(from, until), now).await?;
            from = until;
        }
        for place in self.places() {
            let failed = Again::Failed(place.to_owned());
            self.store.copies_again(failed, now).await?;
        }
        self.rouse();
        Ok(n)
    }

    /// Does what is due at every place, without a running server, until nothing is or a target is away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn work_off(&self) -> Result<(), StoreError> {
        self.register().await?;
        // The server's own folder again after the targets: they may have found it damaged.
        for place in self.places().chain([LOCAL]) {
            loop {
                match self.turn(place).await {
                    Ok(Turn::Did) => {}
                    Ok(Turn::Rest) => break,
                    Err(Halt::Away(why)) => {
                        self.fails(place, &why);
                        break;
                    }
                    Err(Halt::Store(e)) => return Err(e),
                }
            }
        }
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = &str> {
        [LOCAL]
            .into_iter()
            .chain(self.targets.iter().map(|t| t.name.as_str()))
    }

    async fn register(&self) -> Result<(), StoreError> {
        if self.targets.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.targets.iter().map(|t| t.name.clone()).collect();
        self.store.copy_targets(&names).await
    }
}

/// Why an original could not be brought back.
#[derive(Debug)]
pub enum Absent {
    /// A place that should have it does not answer.
    NotHome(NotHome),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Absent {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// Starts the jobs, on the threads of images: they give way to everything of the record.
pub fn start(app: &Arc<App>) {
    if !app.copies.works() {
        return;
    }
    let threads = app.image_threads.handle();
    let (weak, copier) = (Arc::downgrade(app), app.copies.clone());
    let wake = copier.wake.subscribe();
    // The jobs hold the copier's own parts for no longer than a turn: whoever stops the server waits for the store.
    let places: Vec<String> = copier.places().map(str::to_owned).collect();
    let filed = app.images.filed();
    drop(copier);
    let inner = threads.clone();
    threads.spawn(async move {
        loop {
            let Some(app) = weak.upgrade() else { return };
            match app.copies.register().await {
                Ok(()) => break,
                Err(e) => tracing::error!(error = %e, "the targets of copies are not in the record yet"),
            }
            drop(app);
            tokio::time::sleep(LATER).await;
        }
        for place in places {
            inner.spawn(run(weak.clone(), place, filed.clone(), wake.clone()));
        }
        count(weak).await;
    });
}

/// The job of a place.
async fn run(app: Weak<App>, place: String, mut filed: watch::Receiver<u64>, mut wake: watch::Receiver<u64>) {
    loop {
        let done = {
            let Some(app) = app.upgrade() else { return };
            if app.copies.stops() {
                Ok(Turn::Rest)
            } else {
                app.copies.turn(&place).await.map_err(|halt| match halt {
                    Halt::Away(why) => wait(app.copies.fails(&place, &why).saturating_sub(1), AWAY_MOST),
                    Halt::Store(e) => {
                        tracing::error!(error = %e, place, "copies are not looked after");
                        LATER
                    }
                })
            }
        };
        match done {
            Ok(Turn::Did) => {}
            // An error: the server is gone.
            Ok(Turn::Rest) => {
                let told = async {
                    tokio::select! {
                        told = filed.changed(), if place == LOCAL => told,
                        told = wake.changed() => told,
                    }
                };
                if let Ok(Err(_)) = tokio::time::timeout(LOOK, told).await {
                    return;
                }
            }
            Err(pause) => tokio::time::sleep(pause).await,
        }
    }
}

async fn count(app: Weak<App>) {
    loop {
        let took = {
            let Some(app) = app.upgrade() else { return };
            let began = clock::steady();
            if let Err(e) = app.copies.count().await {
                tracing::warn!(error = %e, "the copies of images are not counted");
            }
            began.elapsed()
        };
        tokio::time::sleep(COUNT.max(took * COUNT_PART)).await;
    }
}

/// The name of an original's file, for a log or an audit row.
fn named(file: &CopyFile) -> String {
    file.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let all: Vec<u64> = (0..9).map(|n| wait(n, AWAY_MOST).as_secs()).collect();
        assert_eq!(all, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait(u32::MAX, ROW_MOST), ROW_MOST);
    }

    #[tokio::test]
    async fn reading_again_keeps_its_pace() {
        let pace = Pace::new(10);
        let began = clock::steady();
        for _ in 0..4 {
            pace.took(1 << 20).await;
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(390), "{took:?}");
    }
}
