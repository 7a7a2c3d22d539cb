//! Archive tiers: running the rules, asking back, bringing back, saying what lies where.
//!
//! Lives here: the run, the queue of recalls with its progress and its estimate, the audit rows of moves. Never here:
//! which body is old enough (`vitrine_store::tiers`), the files. Called by `cli::acts`, `jobs::tiers` and, when somebody
//! opens what lies in the archive, by `http` and `ws`.

use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::config;
use crate::data_dir::DataDir;
use crate::error::{Exit, Fault};
use crate::ops::container::Packed;
use crate::ops::log::any_moment;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;
use vitrine_access::{AuditEntry, Disclosure, action};
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::pack::PackFolders;
use vitrine_store::tiers::{PackRow, PacksOf, Recall, RecallSpeed, Tier, TierCount, TierRule};
use vitrine_store::{Store, StoreError};

/// Records or packs taken up at a time.
const STRETCH: usize = 1_000;
/// A recall must have moved so much before its speed is believed.
const MEASURED: u64 = 8 << 20;

/// Where the packs of a folder lie.
#[must_use]
pub fn folders(dir: &DataDir, config: &config::Archive) -> PackFolders {
    let warm = match config.warm.as_str() {
        "" => dir.root().join("packs").join("warm"),
        path => dir.root().join(path),
    };
    PackFolders {
        warm,
        archive: Some(config.cold.as_str())
            .filter(|c| !c.is_empty())
            .map(|c| dir.root().join(c)),
    }
}

/// The rule of a configuration at a moment.
#[must_use]
pub fn rule(config: &config::Archive, at: UtcMs) -> TierRule {
    TierRule::new(
        at,
        config.hot_years,
        config.warm_years,
        config.access_days,
        !config.cold.is_empty(),
    )
}

/// A recall that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Under {
    pack: Uuid,
    bytes: u64,
    moved: u64,
}

/// What the tiers of one process are at.
#[derive(Debug, Default)]
pub struct Work {
    /// One run at a time.
    pub moving: tokio::sync::Mutex<()>,
    /// One recall at a time, in the order in which they were asked for.
    recalling: tokio::sync::Mutex<()>,
    /// Somebody asked for a recall.
    pub asked: tokio::sync::Notify,
    under: Mutex<Option<Under>>,
    /// Why the last recall that was tried did not come.
    fault: Mutex<Option<String>>,
    /// Bytes per second of the last recall that was long enough; 0 = none was.
    speed: AtomicU64,
}

impl Work {
    fn under(&self) -> Option<Under> {
        *self.under.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn came(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
    fn set(&self, under: Option<Under>) {
        *self.under.lock().unwrap_or_else(PoisonError::into_inner) = under;
    }
    /// How fast packs come back: as measured, else as configured.
    #[must_use]
    pub fn speed(&self, config: &config::Archive) -> RecallSpeed {
        let configured = u64::from(config.recall_mb_s) << 20;
        let measured = self.speed.load(Ordering::Relaxed);
        RecallSpeed {
            bytes_s: if measured > 0 { measured } else { configured },
            first_s: u64::from(config.recall_first_s),
        }
    }
    /// Seconds until a recall is done.
    #[must_use]
    pub fn eta_s(&self, config: &config::Archive, recall: &Recall) -> u64 {
        let moved = self.under().map_or(0, |u| u.moved);
        let left = (recall.before + recall.bytes()).saturating_sub(moved);
        self.speed(config).eta_s(0, left)
    }
}

/// What a backup says of the packs it relies on; `None` when there are none.
#[must_use]
pub fn relied_on(packs: &[PackRow]) -> Option<Packed> {
    let mut lines: Vec<String> = packs
        .iter()
        .filter(|p| p.tier != Tier::Hot)
        .map(|p| format!("{} {}\n", p.id, crate::keys::hex(&p.sha256)))
        .collect();
    if lines.is_empty() {
        return None;
    }
    lines.sort();
    let digest: [u8; 32] = Sha256::digest(lines.concat().as_bytes()).into();
    Some(Packed {
        packs: lines.len() as u64,
        bytes: packs
            .iter()
            .filter(|p| p.tier != Tier::Hot)
            .map(|p| p.bytes)
            .sum(),
        sha256: crate::keys::hex(&digest),
    })
}

/// The audit row of a move by whoever runs commands, or by the server itself.
fn entry(ground: &Ground, what: &str) -> Result<AuditEntry, Fault> {
    let permit = ground.permit::<action::OperateServer>()?.noted("use", what);
    Ok(permit.entry(Disclosure::default()))
}

fn of(mut entry: AuditEntry, patient: &PatientId) -> AuditEntry {
    entry.patient = Some(patient.clone());
    entry
}

fn counts(c: &TierCount) -> Value {
    json!({"records": c.records, "bodies": c.bodies, "bytes": c.bytes, "packs": c.packs})
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ran {
    /// Records looked at.
    pub looked: u64,
    /// Packs made.
    pub packed: u64,
    /// Bodies in them.
    pub bodies: u64,
    /// Bytes they took in the database.
    pub from_bytes: u64,
    /// Bytes of the packs.
    pub bytes: u64,
    /// Packs that went to the archive.
    pub away: u64,
    /// Packs whose bodies went back into the database.
    pub home: u64,
    /// Records on a ward whose packs were asked back.
    pub asked: u64,
    /// Files removed that were nobody's any more.
    pub tidied: u64,
    /// Records and packs left as they were because something failed; the log says what.
    pub failed: u64,
}

impl Ran {
    fn json(&self) -> Value {
        json!({"looked": self.looked, "packed": self.packed, "bodies": self.bodies,
            "from_bytes": self.from_bytes, "bytes": self.bytes, "away": self.away, "home": self.home,
            "asked": self.asked, "tidied": self.tidied, "failed": self.failed})
    }
}

/// What came of one move. What fails for one record or pack is logged and leaves that one where it is; what would fail
/// for all ends the run.
fn left<T>(
    went: Result<T, StoreError>,
    failed: &mut BTreeSet<String>,
    of: &impl std::fmt::Display,
) -> Result<Option<T>, Fault> {
    match went {
        Ok(done) => Ok(Some(done)),
        Err(e @ (StoreError::Full(_) | StoreError::Closed | StoreError::Backend { .. })) => Err(e.into()),
        Err(e) => {
            tracing::warn!(error = %e, "a record or a pack stays where it is");
            failed.insert(of.to_string());
            Ok(None)
        }
    }
}

/// Runs the rules once, as at a moment.
///
/// # Errors
/// [`Fault`] when the store cannot be asked, or the disk is full. What fails for one record is logged and counted.
pub async fn run(ground: &Ground, at: UtcMs) -> Result<Ran, Fault> {
    let _alone = ground.tiers.moving.lock().await;
    let rule = rule(&ground.archive, at);
    let store = &ground.store;
    let mut ran = Ran::default();
    let (mut failed, mut passed) = (BTreeSet::new(), BTreeSet::new());
    // A restore to a moment before needs the packs of then.
    let redo_days = if ground.redo.keep {
        ground.redo.keep_days + 2
    } else {
        0
    };
    let keep = i64::from(ground.archive.keep_days.max(redo_days)) * 86_400_000;
    // First: nothing that a killed run left behind is in the way.
    ran.tidied = store.tidy_packs(clock::now().plus_ms(-keep)).await?;
    loop {
        let due = store.tiers_due(&rule, STRETCH).await?;
        let mut done = 0;
        for patient in due.wanted.iter().filter(|p| !failed.contains(&p.to_string())) {
            let recall = store
                .ask_recall(of(entry(ground, "recall")?, patient), patient)
                .await?;
            ran.asked += u64::from(recall.new);
            done += u64::from(recall.new);
            ground.tiers.asked.notify_one();
        }
        for pack in &due.home {
            if failed.contains(&pack.to_string()) {
                continue;
            }
            let went = store.pack_home(entry(ground, "to hot")?, *pack).await;
            if left(went, &mut failed, pack)?.is_some() {
                (ran.home, done) = (ran.home + 1, done + 1);
            }
        }
        for patient in &due.down {
            if failed.contains(&patient.to_string()) {
                continue;
            }
            let ids = [clock::new_uuid(), clock::new_uuid()];
            let entry = of(entry(ground, "to warm")?, patient);
            let went = store.pack_down(entry, &rule, patient, ids).await;
            if let Some(m) = left(went, &mut failed, patient)? {
                (ran.looked, done) = (ran.looked + 1, done + 1);
                ran.packed += m.packs;
                ran.bodies += m.bodies;
                ran.from_bytes += m.from_bytes;
                ran.bytes += m.bytes;
            }
        }
        for pack in &due.away {
            if failed.contains(&pack.to_string()) || passed.contains(pack) {
                continue;
            }
            let went = store.pack_away(entry(ground, "to archive")?, *pack).await;
            match left(went, &mut failed, pack)? {
                Some(true) => (ran.away, done) = (ran.away + 1, done + 1),
                // Somebody used the record meanwhile: not again in this run.
                Some(false) => drop(passed.insert(*pack)),
                None => {}
            }
        }
        ran.failed = failed.len() as u64;
        if done == 0 {
            return Ok(ran);
        }
    }
}

/// Brings back what was asked for, first asked first. Gives how many packs came.
///
/// # Errors
/// [`StoreError`] of the first that cannot come; those after it are tried all the same.
pub async fn recall_asked(
    store: &dyn Store,
    work: &Work,
    config: &config::Archive,
) -> Result<u64, StoreError> {
    let _alone = work.recalling.lock().await;
    let (mut came, mut first, mut tried) = (0, None, BTreeSet::new());
    loop {
        let mut asked: Vec<PackRow> = store.packs(PacksOf::Asked).await?;
        asked.retain(|p| p.tier == Tier::Archive && p.requested.is_some() && !tried.contains(&p.id));
        asked.sort_by_key(|p| (p.requested, p.made, p.id));
        let Some(pack) = asked.first() else {
            return first.map_or(Ok(came), Err);
        };
        tried.insert(pack.id);
        work.set(Some(Under {
            pack: pack.id,
            bytes: pack.bytes,
            moved: 0,
        }));
        let began = clock::steady();
        let moved = |n| {
            let mut under = work.under.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(u) = under.as_mut() {
                u.moved += n;
            }
        };
        let done = store.recall(pack.id, clock::now(), &moved).await;
        work.set(None);
        match done {
            Ok(()) => {
                came += 1;
                work.came(None);
                let took_ms = u64::try_from(began.elapsed().as_millis())
                    .unwrap_or(u64::MAX)
                    .max(1);
                if pack.bytes >= MEASURED {
                    let speed = pack.bytes.saturating_mul(1000) / took_ms;
                    work.speed.store(speed.max(1), Ordering::Relaxed);
                }
                tracing::info!(pack = %pack.id, bytes = pack.bytes, took_ms, "a pack came back from the archive");
            }
            Err(e) => {
                tracing::error!(pack = %pack.id, error = %e, of = config.cold.as_str(), "a pack does not come back");
                work.came(Some(e.to_string()));
                first.get_or_insert(e);
            }
        }
    }
}

/// A recall as it is answered: what is asked for, and when it is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Packs that must come.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds until they are here.
    pub eta_s: u64,
    /// When that is.
    pub at: UtcMs,
    /// When it was asked for.
    pub requested: UtcMs,
    /// This access asked for it.
    pub new: bool,
}

/// Asks for a record's packs in the archive; the entry is the audit row of the access that met one.
///
/// # Errors
/// [`StoreError`].
pub async fn ask(
    store: &dyn Store,
    work: &Work,
    config: &config::Archive,
    mut entry: AuditEntry,
    patient: &PatientId,
) -> Result<Expected, StoreError> {
    entry.notes.insert("recall".to_owned(), "requested".to_owned());
    let now = clock::now();
    let recall = store.ask_recall(entry, patient).await?;
    if !recall.packs.is_empty() {
        work.asked.notify_one();
    }
    let eta_s = match recall.packs.is_empty() {
        true => 0,
        false => work.eta_s(config, &recall),
    };
    Ok(Expected {
        packs: recall.packs.len() as u64,
        bytes: recall.bytes(),
        eta_s,
        at: now.plus_ms(i64::try_from(eta_s.saturating_mul(1000)).unwrap_or(i64::MAX / 4)),
        requested: recall
            .packs
            .iter()
            .filter_map(|p| p.requested)
            .min()
            .unwrap_or(now),
        new: recall.new,
    })
}

/// `archive tiers`.
///
/// # Errors
/// [`Fault`].
pub async fn report(ground: &Ground) -> Result<Given, Fault> {
    let r = ground.store.tiers().await?;
    let rule = rule(&ground.archive, clock::now());
    let would = ground.store.tiers_would(&rule).await?;
    let c = &ground.archive;
    let folders = folders(&ground.dir, c);
    let tiers = json!([
        {"tier": "hot", "records": r.hot.records, "bodies": r.hot.bodies, "bytes": r.hot.bytes, "packs": 0,
            "place": "database"},
        {"tier": "warm", "records": r.warm.records, "bodies": r.warm.bodies, "bytes": r.warm.bytes,
            "packs": r.warm.packs, "place": folders.warm.display().to_string()},
        {"tier": "archive", "records": r.archive.records, "bodies": r.archive.bodies, "bytes": r.archive.bytes,
            "packs": r.archive.packs,
            "place": folders.archive.map_or_else(|| "none is configured".to_owned(), |f| f.display().to_string())},
    ]);
    Ok(given(
        Exit::Done,
        json!({"tiers": tiers, "requested": counts(&r.requested), "due": counts(&would), "unseen": r.unseen,
            "looked_at": "every body in the database, every pack's row",
            "rules": {"run": c.run, "hot_years": c.hot_years, "warm_years": c.warm_years, "access_days": c.access_days}}),
    ))
}

/// `archive move`.
///
/// # Errors
/// [`Fault`].
pub async fn moved(ground: &Ground, dry_run: bool, at: Option<&str>) -> Result<Given, Fault> {
    let at = at.map(any_moment).transpose()?.unwrap_or_else(clock::now);
    if dry_run {
        let rule = rule(&ground.archive, at);
        let would = ground.store.tiers_would(&rule).await?;
        let due = ground.store.tiers_due(&rule, usize::MAX).await?;
        let json = json!({"dry_run": true, "at": clock::instant(at), "would_pack": counts(&would),
            "would_go_away": due.away.len(), "would_go_home": due.home.len(), "would_be_asked": due.wanted.len()});
        return Ok(given(Exit::Done, json));
    }
    let ran = run(ground, at).await?;
    let mut json = ran.json();
    if let Some(o) = json.as_object_mut() {
        o.insert("at".into(), clock::instant(at).into());
    }
    Ok(given(if ran.failed > 0 { Exit::Some } else { Exit::Done }, json))
}

/// `archive recall`: asks; without a server it also brings back.
///
/// # Errors
/// [`Fault`].
pub async fn recall(ground: &Ground, patient: Option<&str>, hot: bool) -> Result<Given, Fault> {
    let packs = ground.store.packs(PacksOf::All).await?;
    let patients: Vec<PatientId> = match patient {
        Some(id) => {
            let unknown = || Fault::usage(format!("--patient: there is no patient {id}"));
            let patient = PatientId::new(id).map_err(|_| unknown())?;
            if ground.store.revision(&patient).await? == 0 {
                return Err(unknown());
            }
            vec![patient]
        }
        None => {
            let away = packs
                .iter()
                .filter(|p| p.tier == Tier::Archive || (hot && p.tier == Tier::Warm));
            let all: BTreeSet<PatientId> = away.map(|p| p.patient.clone()).collect();
            all.into_iter().collect()
        }
    };
    let (mut asked, mut bytes, mut eta_s) = (0, 0, 0);
    for patient in &patients {
        let entry = of(entry(ground, "recall")?, patient);
        let e = ask(&*ground.store, &ground.tiers, &ground.archive, entry, patient).await?;
        asked += e.packs;
        bytes += e.bytes;
        eta_s = eta_s.max(e.eta_s);
    }
    let mut home = 0;
    if (!ground.served || hot) && asked > 0 {
        recall_asked(&*ground.store, &ground.tiers, &ground.archive).await?;
        eta_s = 0;
    }
    if hot {
        let _alone = ground.tiers.moving.lock().await;
        for p in ground.store.packs(PacksOf::All).await? {
            if p.tier == Tier::Warm && patients.contains(&p.patient) {
                ground
                    .store
                    .pack_home(of(entry(ground, "to hot")?, &p.patient), p.id)
                    .await?;
                home += 1;
            }
        }
    }
    let now = clock::now();
    let at = now.plus_ms(i64::try_from(eta_s.saturating_mul(1000)).unwrap_or(0));
    Ok(given(
        Exit::Done,
        json!({"records": patients.len(), "packs": asked, "bytes": bytes, "eta_s": eta_s,
            "expected": clock::instant(at), "done": asked == 0 || !ground.served || hot, "home": home}),
    ))
}

/// A recall in the queue.
struct Queued {
    pack: PackRow,
    moved: u64,
    eta_s: u64,
}

impl Queued {
    const fn left(&self) -> u64 {
        self.pack.bytes - self.moved
    }
}

/// The recalls that are asked for, of one patient or of all, with what each waits for.
async fn queue(ground: &Ground, patient: Option<&str>) -> Result<Vec<Queued>, Fault> {
    let mut asked: Vec<PackRow> = ground.store.packs(PacksOf::Asked).await?;
    asked.retain(|p| p.tier == Tier::Archive && p.requested.is_some());
    asked.sort_by_key(|p| (p.requested, p.made, p.id));
    let (under, speed) = (ground.tiers.under(), ground.tiers.speed(&ground.archive));
    let mut before = 0;
    let mut out = Vec::new();
    for pack in asked {
        let moved = under
            .filter(|u| u.pack == pack.id)
            .map_or(0, |u| u.moved.min(pack.bytes));
        let queued = Queued {
            eta_s: speed.eta_s(before, pack.bytes - moved),
            moved,
            pack,
        };
        before += queued.left();
        if patient.is_none_or(|id| queued.pack.patient.as_str() == id) {
            out.push(queued);
        }
    }
    Ok(out)
}

/// `archive status`: the queue of recalls, and with `check` every pack read to its last byte. Whose they are is shown,
/// and in the audit log.
///
/// # Errors
/// [`Fault`].
pub async fn status(ground: &Ground, patient: Option<&str>, check: bool) -> Result<Given, Fault> {
    let queue = queue(ground, patient).await?;
    let rows: Vec<Value> = queue
        .iter()
        .map(|q| {
            let p = &q.pack;
            json!({"patient": p.patient, "pack": p.id, "bytes": p.bytes, "moved": q.moved,
                "requested": p.requested.map(clock::instant), "eta_s": q.eta_s})
        })
        .collect();
    if !queue.is_empty() {
        let shown = queue.iter().map(|q| q.pack.patient.clone()).collect();
        ground.shown("archive status", shown).await?;
    }
    let faults = ground.store.check_packs(check).await?;
    let speed = ground.tiers.speed(&ground.archive);
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Some };
    Ok(given(
        exit,
        json!({"recalls": rows, "bytes_per_s": speed.bytes_s, "first_s": speed.first_s, "waits_for": ground.tiers.fault(),
            "faults": faults, "read_whole": check}),
    ))
}

/// How far recalls are: how many packs, bytes and seconds are left, and what keeps them. Says of nobody whose they are.
///
/// # Errors
/// [`Fault`].
pub async fn progress(ground: &Ground, patient: Option<&str>) -> Result<Given, Fault> {
    let queue = queue(ground, patient).await?;
    let fault = ground.tiers.fault().filter(|_| !queue.is_empty());
    Ok(given(
        Exit::Done,
        json!({"packs": queue.len(), "left_bytes": queue.iter().map(Queued::left).sum::<u64>(),
            "eta_s": queue.iter().map(|q| q.eta_s).max().unwrap_or(0), "waits_for": fault}),
    ))
}
