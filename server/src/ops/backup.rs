//! `backup`, `restore`, and opening the store's file.
//!
//! Lives here: what a backup holds and how it is put back. Never here: the container's bytes (`container`), checking a
//! backup (`verify`), SQL.
//! Called by `cli`.
//!
//! A backup holds a consistent copy of the database and every key file, encrypted under a key that follows from the
//! database key. In the same folder nothing more is needed to open it; on another machine the recovery key is, which
//! `backup --recovery-key` writes once and which belongs in a safe, apart from the backups.

use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::error::{Exit, Fault};
use crate::ingest::project::FhirProjector;
use crate::keys::{Keys, unhex};
use crate::lanes::workers::Rank;
use crate::ops::container::{self, Entry, Manifest, Packed};
use crate::ops::{log, tiers};
use async_trait::async_trait;
use ring::hkdf;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::{Disclosure, action};
use vitrine_clinical::{UtcMs, WardId};
use vitrine_store::pack::PackFolders;
use vitrine_store::tiers::PacksOf;
use vitrine_store::{Contents, Store, StoreError, Tiers as _};
use vitrine_store_postgres::{PostgresOptions, PostgresStore, Replica};
use vitrine_store_sqlcipher::redo::{self, Position, Rolled};
use vitrine_store_sqlcipher::{Key, RedoOptions, SealState, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

/// Schema of the database this program writes: the same number in every store.
pub const SCHEMA: u32 = vitrine_store_postgres::SCHEMA;
/// Every key file.
const KEY_FILES: [&str; 5] = ["sealer.key", "db.key", "server.key", "ca.key", "tls.key"];

/// What only the backend's own file can do.
#[async_trait]
pub trait Files: Send + Sync {
    /// Name of the backend.
    fn kind(&self) -> &'static str;
    /// What is wrong with the file; empty when nothing is.
    async fn integrity(&self) -> Result<Vec<String>, StoreError>;
    /// Checks the audit chains against what is kept outside the database.
    async fn verify_audit(&self) -> Result<(), StoreError>;
    /// Empties the index by which rows of the audit log are found; the store's `catch_up` makes it anew.
    async fn forget_audit_index(&self) -> Result<(), StoreError>;
    /// The wards that have had patients.
    async fn wards(&self) -> Result<Vec<WardId>, StoreError>;
    /// Copies the database as of now into a new file, under the same key, and tells what the copy holds.
    async fn snapshot(&self, to: &Path) -> Result<Contents, StoreError>;
    /// Waits until everything committed so far is in the backend's own log of commits. Gives why that log is not kept
    /// any more; `None` also when none is to be kept.
    async fn settle_log(&self) -> Result<Option<String>, StoreError>;
    /// Begins that log anew after it could not be kept.
    async fn restart_log(&self) -> Result<(), StoreError>;
}

#[async_trait]
impl Files for SqlcipherStore {
    fn kind(&self) -> &'static str {
        "sqlcipher"
    }
    async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        self.integrity_check().await
    }
    async fn verify_audit(&self) -> Result<(), StoreError> {
        let report = SqlcipherStore::verify_audit(self).await?;
        match report.seal {
            SealState::RolledBack => Err(StoreError::Refused(
                "the database has fewer audit rows than the sealed head knows: it was rolled back".to_owned(),
            )),
            SealState::Missing => Err(StoreError::Refused(
                "the sealed head of the audit chain is gone".to_owned(),
            )),
            SealState::Whole | SealState::None => Ok(()),
        }
    }
    async fn forget_audit_index(&self) -> Result<(), StoreError> {
        SqlcipherStore::forget_audit_index(self).await
    }
    async fn wards(&self) -> Result<Vec<WardId>, StoreError> {
        SqlcipherStore::wards(self).await
    }
    async fn snapshot(&self, to: &Path) -> Result<Contents, StoreError> {
        self.backup_to(to, None).await
    }
    async fn settle_log(&self) -> Result<Option<String>, StoreError> {
        Ok(self.settle_redo().await?.map(|e| e.to_string()))
    }
    async fn restart_log(&self) -> Result<(), StoreError> {
        self.restart_redo().await
    }
}

#[async_trait]
impl Files for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }
    async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        self.check().await
    }
    async fn verify_audit(&self) -> Result<(), StoreError> {
        PostgresStore::verify_audit(self).await.map(|_| ())
    }
    async fn forget_audit_index(&self) -> Result<(), StoreError> {
        Err(StoreError::Refused(
            "the index of the audit log in PostgreSQL is not made anew while servers run: see docs/RUNBOOK.md".to_owned(),
        ))
    }
    async fn wards(&self) -> Result<Vec<WardId>, StoreError> {
        PostgresStore::wards(self).await
    }
    async fn settle_log(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    async fn restart_log(&self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn snapshot(&self, _: &Path) -> Result<Contents, StoreError> {
        Err(StoreError::Refused(
            "the record lies in PostgreSQL, whose backups pgBackRest makes: see docs/CLUSTER.md; copy the folder's keys as well"
                .to_owned(),
        ))
    }
}

/// A store and what only its file can do.
pub type Opened = (Arc<dyn Store>, Arc<dyn Files>);

/// Opens the store of a folder: the embedded one, or the PostgreSQL that the configuration names.
///
/// # Errors
/// [`Fault`] with exit 3 for a newer schema, a plain database, a wrong key, a PostgreSQL that cannot be used, or a folder
/// whose record lies in the other store.
pub async fn open_store(dir: &DataDir, keys: &Keys, config: &Config) -> Result<Opened, Fault> {
    let redo = &config.redo;
    if !config.database.url.is_empty() {
        if redo.keep {
            return Err(Fault::usage(
                "redo.keep belongs to the embedded store: PostgreSQL's WAL is archived by pgBackRest (docs/CLUSTER.md); leave it out",
            ));
        }
        return open_postgres(dir, keys, config).await;
    }
    if dir.is_in_postgres() {
        return Err(Fault::unsafe_to(format!(
            "the record of {} lies in PostgreSQL: give --database-url, or database.url in the configuration; nothing was changed",
            dir.root().display()
        )));
    }
    let folder = log::folder(dir, redo);
    let options = StoreOptions {
        redo: redo.keep.then(|| RedoOptions {
            folder: folder.clone(),
            clock: clock::now,
        }),
        on_common_thread: || Rank::Rest.take(),
        on_urgent_thread: || Rank::First.take(),
        packs: Some(tiers::folders(dir, &config.archive)),
        ..StoreOptions::default()
    };
    if !redo.keep && folder.exists() {
        redo::end_newest(&folder, &Key::new(keys.database.clone()), "it was switched off")?;
    }
    let store = open_with(dir.database(), keys.database.clone(), options).await?;
    data_dir::set_mode(&dir.database(), 0o600)?;
    Ok((store.clone(), store))
}

async fn open_postgres(dir: &DataDir, keys: &Keys, config: &Config) -> Result<Opened, Fault> {
    let database = &config.database;
    if dir.database().exists() {
        return Err(Fault::unsafe_to(format!(
            "{} holds an embedded store: move it over with 'vitrine-server migrate --from-embedded {} --database-url URL'; nothing was changed",
            dir.root().display(),
            dir.root().display()
        )));
    }
    let spool = if database.replica_url.is_empty() {
        None
    } else {
        Some(open_file(dir.root().join("spool.db"), keys.database.clone()).await?)
    };
    let options = PostgresOptions {
        readers: database.connections,
        emergency_readers: database.emergency_connections,
        chain: database.node.clone(),
        patience: Duration::from_secs(database.patience_seconds),
        replica: spool.as_ref().map(|spool| Replica {
            url: database.replica_url.clone(),
            spool: spool.clone(),
        }),
        packs: Some(tiers::folders(dir, &config.archive)),
    };
    let opened = PostgresStore::open(
        &database.url,
        keys.database.clone(),
        Arc::new(FhirProjector),
        options,
    );
    // Whatever keeps the store from opening is nothing to go on with.
    let store = opened.await.map_err(|e| Fault::unsafe_to(e.to_string()))?;
    if !dir.is_in_postgres() {
        dir.mark_in_postgres()?;
    }
    if let Some(spool) = spool {
        crate::jobs::spool::start(&store, spool);
    }
    Ok((store.clone(), store))
}

/// Opens a database file that is nobody's: a scratch copy.
pub(super) async fn open_file(path: PathBuf, key: Zeroizing<[u8; 32]>) -> Result<Arc<SqlcipherStore>, Fault> {
    open_with(path, key, StoreOptions::default()).await
}

/// The same, with packs that lie elsewhere.
pub(super) async fn open_copy(
    path: PathBuf,
    key: Zeroizing<[u8; 32]>,
    packs: Option<PackFolders>,
) -> Result<Arc<SqlcipherStore>, Fault> {
    let options = StoreOptions {
        packs,
        ..StoreOptions::default()
    };
    open_with(path, key, options).await
}

async fn open_with(
    path: PathBuf,
    key: Zeroizing<[u8; 32]>,
    options: StoreOptions,
) -> Result<Arc<SqlcipherStore>, Fault> {
    let failed = |e: &dyn std::fmt::Display| Fault::failed(format!("opening the store: {e}"));
    let (tell, opened) = tokio::sync::oneshot::channel();
    // Not on a thread of the runtime: those may have given way, and the store's threads would inherit it.
    std::thread::Builder::new()
        .name("opener".to_owned())
        .spawn(move || {
            let _ = tell.send(SqlcipherStore::open(
                &path,
                Key::new(key),
                Arc::new(FhirProjector),
                options,
            ));
        })
        .map_err(|e| failed(&e))?;
    Ok(opened.await.map_err(|e| failed(&e))??)
}

/// The key of a folder's backups.
#[must_use]
pub fn recovery_key(database: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vitrine");
    let key = salt.extract(database);
    if let Ok(okm) = key.expand(&[b"backup 1"], hkdf::HKDF_SHA256) {
        // 32 bytes are what HKDF-SHA256 gives in its first block.
        let _ = okm.fill(&mut out[..]);
    }
    out
}

/// Reads a recovery key file.
///
/// # Errors
/// [`Fault`].
pub fn read_recovery_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let text = Zeroizing::new(data_dir::read_private(path)?);
    let text = std::str::from_utf8(&text).unwrap_or_default().trim().to_owned();
    unhex(&text)
        .and_then(|b| <[u8; 32]>::try_from(b).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| {
            Fault::usage(format!(
                "--recovery-key: {} does not hold 64 hex digits",
                path.display()
            ))
        })
}

/// The recovery key of a folder.
///
/// # Errors
/// [`Fault`] when its keys do not open.
pub fn folder_key(dir: &DataDir) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let keys = Keys::open(dir, &crate::config::Tls::default(), None)?;
    Ok(recovery_key(&keys.database))
}

/// Makes a backup while the server runs or not.
///
/// # Errors
/// [`Fault`].
pub async fn backup(ground: &Ground, to: &Path, recovery_to: Option<&Path>) -> Result<Given, Fault> {
    if to.exists() {
        return Err(Fault::usage(format!(
            "--to: {} exists: name a new file",
            to.display()
        )));
    }
    let began = clock::steady();
    let key = folder_key(&ground.dir)?;
    let work = Scratch::beside(to)?;
    let copy = work.path().join("vitrine.db");
    let permit = ground.permit::<action::OperateServer>()?.noted("use", "backup");
    ground.store.append(permit.entry(Disclosure::default())).await?;
    let contents = ground.files.snapshot(&copy).await?;
    let packs = tiers::relied_on(&ground.store.packs(PacksOf::All).await?);
    let (manifest, bytes) = {
        let (dir, to, key) = (ground.dir.clone(), to.to_owned(), key.clone());
        let done = tokio::task::spawn_blocking(move || pack(&dir, &copy, &to, &key, contents, packs));
        done.await.map_err(|e| Fault::failed(e.to_string()))??
    };
    drop(work);
    if let Some(path) = recovery_to {
        data_dir::write_durably(path, crate::keys::hex(&key[..]).as_bytes(), 0o600)?;
    }
    Ok(given(
        Exit::Done,
        json!({
            "file": to.display().to_string(), "bytes": bytes, "manifest": manifest,
            "recovery_key": recovery_to.map(|p| p.display().to_string()),
            "seconds": began.elapsed().as_secs_f64(),
        }),
    ))
}

fn pack(
    dir: &DataDir,
    copy: &Path,
    to: &Path,
    key: &[u8; 32],
    contents: Contents,
    packs: Option<Packed>,
) -> Result<(Manifest, u64), Fault> {
    let mut paths = vec![copy.to_owned()];
    let mut files = vec![container::describe(copy, "vitrine.db")?];
    let mut add = |path: PathBuf, name: String| -> Result<(), Fault> {
        if path.exists() {
            files.push(container::describe(&path, &name)?);
            paths.push(path);
        }
        Ok(())
    };
    for name in KEY_FILES {
        add(dir.keys().join(name), format!("keys/{name}"))?;
    }
    for name in ["ca.pem", "tls.pem", "vitrine.toml", "DEMO", "demo.time"] {
        add(dir.root().join(name), name.to_owned())?;
    }
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created: clock::instant(clock::now()),
        schema: SCHEMA,
        key_id: container::key_id(key),
        contents: Some(contents),
        packs,
        files,
    };
    let bytes = container::write(to, key, &manifest, &paths)?;
    Ok((manifest, bytes))
}

/// How the names of scratch folders begin.
pub(super) const SCRATCH: &str = ".vitrine-";

/// A private folder beside a file, for what must not lie in a shared temporary folder. It goes with this value.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn beside(path: &Path) -> Result<Self, Fault> {
        let parent = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let work = parent.join(format!("{SCRATCH}{}", clock::new_uuid().simple()));
        std::fs::create_dir(&work).map_err(|e| Fault::io("cannot make a folder beside", path, &e))?;
        let scratch = Self(work);
        data_dir::set_mode(scratch.path(), 0o700)?;
        Ok(scratch)
    }
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What restoring asks of a backup before it touches anything.
async fn check(
    from: &Path,
    key: &[u8; 32],
    work: &Path,
    until: Option<&Until>,
) -> Result<(Manifest, Vec<String>, Option<Rolled>), Fault> {
    let manifest = unpack(from, key, work).await?;
    let dir = DataDir::open(work, false)?;
    let keys = Keys::open(&dir, &crate::config::Tls::default(), None)?;
    let rolled = match until {
        Some(until) => {
            let key = Key::new(keys.database.clone());
            Some(roll(&manifest, key, until, dir.database()).await?)
        }
        None => None,
    };
    let store = open_file(dir.database(), keys.database.clone()).await?;
    let mut faults = store.integrity_check().await?;
    // A backup has no sealed head beside it: what is left to check is the chain itself.
    if let Err(e) = SqlcipherStore::verify_audit(&store).await {
        faults.push(e.to_string());
    }
    Ok((manifest, faults, rolled))
}

/// A moment to stop at, and the log that leads there.
#[derive(Debug, Clone)]
pub struct Until {
    /// The moment.
    pub at: UtcMs,
    /// Folder of the log.
    pub folder: PathBuf,
    /// A server may be writing to the log.
    pub live: bool,
}

/// Rolls a fresh copy of the database forward.
async fn roll(manifest: &Manifest, key: Key, until: &Until, database: PathBuf) -> Result<Rolled, Fault> {
    let log = manifest.contents.as_ref().and_then(|c| c.log.clone());
    let log = log.ok_or_else(|| {
        Fault::usage("this backup was made while no redo log was kept (redo.keep): restore it without --at")
    })?;
    if until.at < log.at {
        return Err(Fault::usage(format!(
            "--at: this backup already holds what was committed until {}: use an earlier one",
            clock::instant(log.at)
        )));
    }
    let from: Position = log.position.parse()?;
    let until = until.clone();
    let done = tokio::task::spawn_blocking(move || roll_blocking(&from, log.at, &key, &until, &database));
    done.await.map_err(|e| Fault::failed(e.to_string()))?
}

fn roll_blocking(
    from: &Position,
    base_at: UtcMs,
    key: &Key,
    until: &Until,
    database: &Path,
) -> Result<Rolled, Fault> {
    let folder = &until.folder;
    let of_base = redo::streams(folder, key)?
        .into_iter()
        .find(|s| s.id == from.stream);
    if let Some(ended) = of_base.and_then(|s| s.ended).filter(|e| e.at < until.at) {
        return Err(Fault::usage(format!(
            "--at: the redo log of this backup ends at {} ({}): choose a moment up to then, or a later backup",
            clock::instant(ended.at),
            ended.why
        )));
    }
    redo::roll_forward(folder, key, from, Some(until.at), until.live, Some(database)).map_err(|e| match e {
        StoreError::Refused(text) => Fault::usage(format!("--at: {text}")),
        StoreError::Damaged(what) => Fault::unsafe_to(format!(
            "the redo log is damaged: {what}; the last moment before it that can be restored is {}; nothing was changed",
            clock::instant(redo::reach(folder, key, from).unwrap_or(base_at))
        )),
        other => other.into(),
    })
}

/// Opens every chunk and puts the files into a folder.
pub(super) async fn unpack(from: &Path, key: &[u8; 32], to: &Path) -> Result<Manifest, Fault> {
    let (path, key, folder) = (from.to_owned(), Zeroizing::new(*key), to.to_owned());
    let done = tokio::task::spawn_blocking(move || container::unpack(&path, &key, &folder));
    let manifest = done.await.map_err(|e| Fault::failed(e.to_string()))??;
    if manifest.schema > SCHEMA {
        return Err(Fault::unsafe_to(format!(
            "{} was made by a newer program (schema {}, this one knows {SCHEMA}): install that program; nothing was changed",
            from.display(),
            manifest.schema
        )));
    }
    let has = |name: &str| manifest.files.iter().any(|f: &Entry| f.name == name);
    if !has("vitrine.db") || !KEY_FILES.iter().all(|k| has(&format!("keys/{k}"))) {
        return Err(Fault::unsafe_to(format!(
            "{} lacks the database or a key: use another backup",
            from.display()
        )));
    }
    Ok(manifest)
}

/// Puts a backup into a folder. What was there is moved aside, never deleted; the epoch changes, so that workstations
/// fetch everything anew.
///
/// # Errors
/// [`Fault`].
pub async fn restore(
    dir: &DataDir,
    from: &Path,
    key: &[u8; 32],
    force: bool,
    until: Option<&Until>,
) -> Result<Value, Fault> {
    let _lock = dir.lock()?;
    let occupied = dir.database().exists() || dir.keys().exists();
    if occupied && !force {
        return Err(Fault::unsafe_to(format!(
            "{} holds data: give --force to move them aside and restore; nothing was changed",
            dir.root().display()
        )));
    }
    let began = clock::steady();
    if let Some(until) = until.filter(|u| u.folder.starts_with(dir.root())) {
        catch_up(dir, until);
    }
    let work = dir.root().join("restoring");
    let _ = std::fs::remove_dir_all(&work);
    data_dir::make_private_folder(&work)?;
    let checked = check(from, key, &work, until).await;
    if checked.is_err() {
        let _ = std::fs::remove_dir_all(&work);
    }
    let (manifest, faults, rolled) = checked?;
    if let Some(fault) = faults.first() {
        let _ = std::fs::remove_dir_all(&work);
        return Err(Fault::unsafe_to(format!(
            "{} is not whole ({fault}): nothing was changed",
            from.display()
        )));
    }
    let aside = if occupied { Some(move_aside(dir)?) } else { None };
    let inside = std::fs::read_dir(&work).map_err(|e| Fault::io("cannot list", &work, &e))?;
    for entry in inside.filter_map(Result::ok) {
        // What the check itself left beside the database is made anew at the next opening.
        let name = entry.file_name();
        let known = manifest
            .files
            .iter()
            .any(|f| f.name.split('/').next() == name.to_str());
        if known {
            let to = dir.root().join(&name);
            std::fs::rename(entry.path(), &to).map_err(|e| Fault::io("cannot put in place", &to, &e))?;
        }
    }
    let _ = std::fs::remove_dir_all(&work);
    let keys = Keys::open(dir, &crate::config::Tls::default(), None)?;
    let config = match dir.config().exists() {
        true => Config::read(&dir.config())?,
        false => Config::default(),
    };
    let packs = Some(tiers::folders(dir, &config.archive));
    let store = open_copy(dir.database(), keys.database.clone(), packs).await?;
    let epoch = store.rotate_epoch().await?;
    let relied = tiers::relied_on(&store.packs(PacksOf::All).await?);
    let missing = store.check_packs(false).await?;
    let request = crate::cli::acts::operator_request(&crate::cli::acts::operator());
    if let Ok(permit) = vitrine_access::policy::decide::<action::OperateServer>(request) {
        let mut permit = permit
            .noted("use", "restore")
            .noted("made", manifest.created.clone());
        if let Some(until) = until {
            permit = permit.noted("at", clock::instant(until.at));
        }
        vitrine_store::AuditLog::append(&*store, permit.entry(Disclosure::default())).await?;
    }
    Ok(json!({
        "restored": true, "made": manifest.created, "epoch": epoch,
        "at": until.map(|u| clock::instant(u.at)),
        "commits": rolled.as_ref().map(|r| r.commits),
        "last_commit": rolled.and_then(|r| r.last).map(clock::instant),
        "packs": relied.map(|p| p.packs), "packs_missing": missing.len(), "first_missing": missing.first(),
        "aside": aside.map(|a| a.display().to_string()), "seconds": began.elapsed().as_secs_f64(),
    }))
}

/// What a killed server left in its WAL belongs to the log too.
fn catch_up(dir: &DataDir, until: &Until) {
    if dir.must_be_set_up().is_err() || !dir.database().exists() {
        return;
    }
    let done = Keys::open(dir, &crate::config::Tls::default(), None).and_then(|keys| {
        let key = Key::new(keys.database.clone());
        redo::catch_up(&until.folder, clock::now(), &dir.database(), &key).map_err(Fault::from)
    });
    if let Err(e) = done {
        tracing::warn!(error = %e, "the log goes as far as it was copied");
    }
}

fn move_aside(dir: &DataDir) -> Result<PathBuf, Fault> {
    let aside = dir.root().join(format!("before-restore-{}", clock::now().0));
    data_dir::make_private_folder(&aside)?;
    let names = [
        "vitrine.db",
        "vitrine.db-wal",
        "vitrine.db-shm",
        "keys",
        "ca.pem",
        "tls.pem",
        "epoch",
        "audit.head",
        "audit.head.evidence",
        "audit-tree",
        "DEMO",
        "demo.time",
        "backup.verified.json",
    ];
    for name in names {
        let from = dir.root().join(name);
        if from.exists() {
            std::fs::rename(&from, aside.join(name))
                .map_err(|e| Fault::io("cannot move aside", &from, &e))?;
        }
    }
    Ok(aside)
}
