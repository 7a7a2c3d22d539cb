//! The server's own folder: originals found whole, mended, let go and brought back.
//!
//! Never here: speaking with a target (`target`), copying to one (`remote`). Called by the jobs and by whoever reads an
//! original.

use super::super::blobs::{Blobs, Reading, Temporary, length};
use super::target::{Fault, Target};
use super::{
    Absent, Copier, DAY_MS, Halt, LIST, NotHome, Pace, ROW_MOST, ROWS, SAID_AWAY, Turn, after, named, wait,
};
use crate::cli::acts::operator_request;
use crate::clock;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::SystemTime;
use vitrine_access::{Disclosure, Permit, action, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store::copies::{CopyDone, CopyFile, CopyOf, CopyRow, CopyState, LOCAL, NEVER, Sum, Which};
use vitrine_store::imaging::Blob;

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// What a look at a file found.
enum Look {
    Whole(Sum),
    Missing,
    Damaged(String),
    /// It could not be looked at; that says nothing of it.
    Unseen(String),
}

/// Whether an error of a disk says that the file is not what it was: a sector that cannot be read does (EIO).
fn look_of(e: &io::Error) -> Look {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    const EIO: i32 = 5;
    match e.kind() {
        NotFound => Look::Missing,
        InvalidData | UnexpectedEof => Look::Damaged(e.to_string()),
        _ if e.raw_os_error() == Some(EIO) => Look::Damaged(e.to_string()),
        _ => Look::Unseen(e.to_string()),
    }
}

/// Length and digest of a file as it lies there. `between` is called between pieces.
fn sum(path: &Path, mut between: impl FnMut(usize)) -> io::Result<Sum> {
    let mut file = File::open(path)?;
    let (mut sha256, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        sha256.update(piece.get(..n).unwrap_or_default());
        bytes += n as u64;
        between(n);
    }
    Ok(Sum {
        bytes,
        sha256: sha256.finalize().into(),
    })
}

/// Whether a file opens with its key and holds the object, whole.
fn opens(path: &Path, blob: &Blob) -> io::Result<()> {
    let mut reading = Reading::open(path, blob)?;
    let (mut sha256, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let n = reading.read(&mut piece)?;
        if n == 0 {
            break;
        }
        sha256.update(piece.get(..n).unwrap_or_default());
    }
    if <[u8; 32]>::from(sha256.finalize()) == blob.sha256 {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the object in the file of an image is another",
        ))
    }
}

/// Looks at a file. `must`: what it was when it was found whole; without, it is opened with its key.
async fn look(path: PathBuf, blob: Blob, must: Option<Sum>, pace: Option<&Pace>) -> Look {
    let threads = tokio::runtime::Handle::current();
    let work = || {
        let found = sum(&path, |n| {
            if let Some(pace) = pace {
                threads.block_on(pace.took(n));
            }
        })?;
        match must {
            Some(must) if must == found => {}
            Some(_) => {
                let what = "the file of an image is not what it was";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            None => opens(&path, &blob)?,
        }
        Ok(found)
    };
    match tokio::task::block_in_place(work) {
        Ok(found) => Look::Whole(found),
        Err(e) => look_of(&e),
    }
}

/// A try to get an original from elsewhere.
enum Got {
    /// From this target.
    Here(String, Sum),
    /// Nobody has it; what each said.
    Nobody(String),
    /// A target that should have it does not answer.
    Away(NotHome),
}

/// Whether an original left; also one that somebody began to bring back and went away meanwhile.
fn left(row: &CopyRow) -> bool {
    row.state == CopyState::Away || row.state == CopyState::Pending && row.sum.is_some()
}

/// When an original was read last, as far as it was noted: its time of modification, which nothing else moves. That of
/// access is set by reading it again too.
fn last_read(path: &Path) -> Option<UtcMs> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UtcMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

fn time(at: UtcMs) -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

impl Copier {
    /// Lists what is new, then looks at what is due in the server's own folder.
    pub(super) async fn turn_here(&self) -> Result<Turn, Halt> {
        let now = clock::now();
        let mut rows = self.store.copies_due(LOCAL, Which::Work, now, ROWS).await?;
        let mut listed = 0;
        if rows.is_empty() {
            // What is listed and not looked at yet is walked over at every question for what a target is due: after an upgrade
            // it is listed no faster than it is looked at.
            listed = self.store.copies_list(LIST, now).await?;
            rows = self.store.copies_due(LOCAL, Which::Work, now, ROWS).await?;
        }
        if rows.is_empty() {
            rows = self.store.copies_due(LOCAL, Which::Scrub, now, ROWS).await?;
        }
        if rows.is_empty() {
            return Ok(if listed > 0 { Turn::Did } else { Turn::Rest });
        }
        for row in &rows {
            if self.stops() {
                break;
            }
            self.here(row).await?;
        }
        Ok(Turn::Did)
    }

    /// Looks after one original here; `true` when it is whole then.
    pub(super) async fn here(&self, row: &CopyRow) -> Result<bool, StoreError> {
        let Some(of) = &row.of else {
            self.forget(row).await?;
            return Ok(false);
        };
        let path = self.blobs.file(&row.file);
        let pace = (row.state == CopyState::Verified).then_some(&self.pace);
        match look(path.clone(), of.blob.clone(), row.original, pace).await {
            Look::Whole(sum) => {
                self.whole(row, of, &path, sum).await?;
                Ok(true)
            }
            // It is where it was let go to; or it was to be brought back, and whoever asked went away meanwhile.
            Look::Missing if left(row) => {
                self.note(row, CopyState::Away, 0, None, None).await?;
                Ok(false)
            }
            Look::Missing => self.mend(row, of, CopyState::Missing, "its file is gone").await,
            Look::Damaged(why) => self.mend(row, of, CopyState::Damaged, &why).await,
            Look::Unseen(why) => {
                let tries = row.tries + 1;
                tracing::warn!(file = named(&row.file), why, "an original cannot be looked at");
                self.note(row, CopyState::Failed, tries, None, Some(why)).await?;
                Ok(false)
            }
        }
    }

    /// Notes what became of a row; what is not in order is due again after its wait.
    pub(super) async fn note(
        &self,
        row: &CopyRow,
        state: CopyState,
        tries: u32,
        sum: Option<Sum>,
        why: Option<String>,
    ) -> Result<bool, StoreError> {
        let now = clock::now();
        let due = match state {
            CopyState::Verified => self.again(now),
            CopyState::Away => NEVER,
            _ => after(now, wait(tries, ROW_MOST)),
        };
        self.note_until(row, state, tries, sum, why, due).await
    }

    async fn note_until(
        &self,
        row: &CopyRow,
        state: CopyState,
        tries: u32,
        sum: Option<Sum>,
        why: Option<String>,
        due: UtcMs,
    ) -> Result<bool, StoreError> {
        let done = CopyDone {
            no: row.no,
            file: row.file,
            was: row.state,
            state,
            at: clock::now(),
            due,
            tries,
            sum,
            why,
        };
        self.store.copies_done(done).await
    }

    /// An original is whole: so it is noted, unless it may leave.
    async fn whole(&self, row: &CopyRow, of: &CopyOf, path: &Path, sum: Sum) -> Result<(), StoreError> {
        let idle = self.leaves(path).is_some_and(|leaves| leaves <= clock::now());
        if idle && self.copied(row, of, sum).await? && self.let_go(row, of, path).await? {
            return Ok(());
        }
        self.stays(row, path, sum).await?;
        if row.state != CopyState::Verified {
            self.rouse();
        }
        Ok(())
    }

    /// When an original may leave the server's own folder; `None` = never.
    fn leaves(&self, path: &Path) -> Option<UtcMs> {
        let days = i64::from(self.rules.local_days);
        (days > 0).then(|| last_read(path).unwrap_or_else(clock::now).plus_ms(days * DAY_MS))
    }

    /// Notes an original as whole and here, and when it is looked at next: to be read again, or to leave.
    async fn stays(&self, row: &CopyRow, path: &Path, sum: Sum) -> Result<bool, StoreError> {
        let now = clock::now();
        let mut due = self.again(now);
        if let Some(leaves) = self.leaves(path) {
            // Not before the targets have had some time to take it.
            due = due.min(leaves.max(now.plus_ms(DAY_MS / 24)));
        }
        self.note_until(row, CopyState::Verified, 0, Some(sum), None, due)
            .await
    }

    /// Whether two targets have it: they are the ones they were, and give every byte of it now. What was verified once may
    /// have been emptied or have rotted since.
    async fn copied(&self, row: &CopyRow, of: &CopyOf, sum: Sum) -> Result<bool, StoreError> {
        let rows = self.store.copies_of(&of.uid).await?;
        let noted = rows
            .iter()
            .filter(|r| r.target != LOCAL && r.state == CopyState::Verified && r.sum == Some(sum));
        let targets: Vec<&Target> = noted.filter_map(|r| self.target(&r.target)).collect();
        if targets.len() < 2 {
            return Ok(false);
        }
        let mut have = 0;
        for target in targets {
            if self.stops() {
                return Ok(false);
            }
            let read = match self.ready(target).await {
                Ok(()) => target.sum(&row.file, Some(&self.pace)).await,
                Err(fault) => Err(fault),
            };
            match read {
                Ok(found) if found == sum => have += 1,
                Ok(_) => tracing::warn!(
                    file = named(&row.file),
                    target_name = target.name,
                    "a copy is not what it was"
                ),
                Err(fault) => tracing::info!(
                    target_name = target.name,
                    why = fault.text(),
                    "an original stays here"
                ),
            }
        }
        Ok(have >= 2)
    }

    /// Lets an original go that nobody read while its copies were read through; `false` when somebody did.
    ///
    /// The file first: a server that dies between finds it missing and brings it back.
    async fn let_go(&self, row: &CopyRow, of: &CopyOf, path: &Path) -> Result<bool, StoreError> {
        let turn = self.turn_to_bring(&of.uid);
        let _turn = turn.lock().await;
        if self.leaves(path).is_none_or(|leaves| leaves > clock::now()) {
            return Ok(false);
        }
        match tokio::fs::remove_file(path).await {
            Ok(()) => {
                self.note(row, CopyState::Away, 0, None, None).await?;
                self.metrics.count("vitrine_image_let_go_total", "", 1);
            }
            Err(e) => {
                self.note(row, CopyState::Failed, row.tries + 1, None, Some(e.to_string()))
                    .await?;
            }
        }
        Ok(true)
    }

    /// Whether the record of a row was destroyed since it was read.
    pub(super) async fn destroyed(&self, row: &CopyRow, of: &CopyOf) -> Result<bool, StoreError> {
        let rows = self.store.copies_of(&of.uid).await?;
        Ok(!rows.iter().any(|r| (r.no, r.file) == (row.no, row.file)))
    }

    /// An original came back into the server's own folder. That of a record destroyed meanwhile goes again: nothing else knows of it.
    async fn came(&self, row: &CopyRow, of: &CopyOf, sum: Sum) -> Result<(), StoreError> {
        let path = self.blobs.file(&row.file);
        if self.stays(row, &path, sum).await? || !self.destroyed(row, of).await? {
            return Ok(());
        }
        match tokio::fs::remove_file(&path).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(error = %e, file = named(&row.file), "the image of a destroyed record stays as noise");
            }
            _ => {}
        }
        Ok(())
    }

    /// The record was destroyed: the file goes.
    async fn forget(&self, row: &CopyRow) -> Result<(), StoreError> {
        match tokio::fs::remove_file(self.blobs.file(&row.file)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let why = Some(e.to_string());
                self.note(row, CopyState::Leaving, row.tries + 1, None, why)
                    .await
                    .map(|_| ())
            }
            _ => self.store.copies_left(row.no, row.file).await,
        }
    }

    /// Mends an original that is damaged or gone; `true` when it is whole then.
    async fn mend(
        &self,
        row: &CopyRow,
        of: &CopyOf,
        state: CopyState,
        why: &str,
    ) -> Result<bool, StoreError> {
        match self.get(row, of).await? {
            Got::Here(from, sum) => {
                self.mended(&row.file, &from, LOCAL).await?;
                self.came(row, of, sum).await?;
                self.rouse();
                Ok(true)
            }
            Got::Nobody(said) | Got::Away(NotHome { why: said, .. }) => {
                self.lost(row, state, why, &said).await?;
                Ok(false)
            }
        }
    }

    /// An original is damaged or gone, and nobody gave another.
    async fn lost(&self, row: &CopyRow, state: CopyState, why: &str, said: &str) -> Result<(), StoreError> {
        if row.tries == 0 {
            self.metrics.alarm();
            tracing::error!(
                file = named(&row.file),
                why,
                said,
                "an original is damaged or gone, and no copy of it is at hand"
            );
        }
        let why = Some(format!("{why}; {said}"));
        self.note(row, state, row.tries + 1, None, why).await.map(|_| ())
    }

    /// Gets an original from whichever target has it, compared before it is put in its place.
    async fn get(&self, row: &CopyRow, of: &CopyOf) -> Result<Got, StoreError> {
        let mut rows = self.store.copies_of(&of.uid).await?;
        rows.retain(|r| r.target != LOCAL);
        // Whoever is silent is asked last: its silence takes long.
        rows.sort_by_key(|r| (r.state != CopyState::Verified, self.standing(&r.target).tries > 0));
        let (mut said, mut away) = (Vec::new(), Vec::new());
        for copy in &rows {
            let Some(target) = self.target(&copy.target) else {
                continue;
            };
            match self.fetch(target, &row.file, of, row.original).await {
                Ok(got) => match put_in_place(&self.blobs, got.0, &row.file) {
                    Ok(()) => return Ok(Got::Here(target.name.clone(), got.1)),
                    Err(e) => said.push(format!("{}: {e}", target.name)),
                },
                Err(fault) => {
                    said.push(format!("{}: {}", target.name, fault.text()));
                    if matches!(fault, Fault::Away(_)) && copy.state != CopyState::Pending {
                        away.push(target.name.clone());
                    }
                }
            }
        }
        let said = if said.is_empty() {
            "there is no other copy".to_owned()
        } else {
            said.join("; ")
        };
        Ok(if away.is_empty() {
            Got::Nobody(said)
        } else {
            Got::Away(NotHome {
                targets: away,
                why: said,
            })
        })
    }

    /// Fetches a file beside the originals and compares it.
    pub(super) async fn fetch(
        &self,
        target: &Target,
        file: &CopyFile,
        of: &CopyOf,
        must: Option<Sum>,
    ) -> Result<(Temporary, Sum), Fault> {
        let here = |e: io::Error| Fault::Source(format!("what came back could not be written here: {e}"));
        // A disk that is full, or a folder that is not ours any more, is no fault of the target.
        let to = self.blobs.temporary().map_err(here)?;
        let path = to.path().map_err(here)?.to_owned();
        self.ready(target).await?;
        let most = length(of.blob.bytes);
        match target.len(file).await? {
            None => return Err(Fault::NotThere),
            Some(bytes) if bytes != most => {
                let what = format!("what lies there has {bytes} bytes instead of {most}");
                return Err(Fault::Source(what));
            }
            Some(_) => {}
        }
        let sum = target.fetch(file, &path, most).await?;
        match must {
            Some(must) if must == sum => Ok((to, sum)),
            Some(_) => Err(Fault::Source(
                "what came back is not what it should be".to_owned(),
            )),
            None => match tokio::task::block_in_place(|| opens(&path, &of.blob)) {
                Ok(()) => Ok((to, sum)),
                Err(e) => Err(Fault::Source(format!("what came back: {e}"))),
            },
        }
    }

    /// A mended file is written down: in the audit log, the log and the metrics.
    pub(super) async fn mended(&self, file: &CopyFile, from: &str, to: &str) -> Result<(), StoreError> {
        let of = if to == LOCAL {
            "of=\"original\""
        } else {
            "of=\"copy\""
        };
        self.metrics.count("vitrine_image_repairs_total", of, 1);
        tracing::warn!(
            file = named(file),
            from,
            to,
            "a damaged or missing file of an image was mended"
        );
        let permit: Permit<action::OperateServer> = policy::decide(operator_request("vitrine-server"))
            .map_err(|d| StoreError::Refused(d.text.to_owned()))?;
        let permit = permit
            .noted("use", "mend-image")
            .noted("file", named(file))
            .noted("from", from)
            .noted("to", to);
        self.store
            .append(permit.entry(Disclosure::default()))
            .await
            .map(|_| ())
    }

    /// Looks at an original now, because it did not give what it should; `true` when it is whole then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_now(&self, uid: &str) -> Result<bool, StoreError> {
        let rows = self.store.copies_of(uid).await?;
        match rows.iter().find(|r| r.target == LOCAL) {
            Some(row) => self.here(row).await,
            None => Ok(false),
        }
    }

    /// Brings an original back whose file is not here.
    ///
    /// Who asks for the same one meanwhile waits for the first, and finds it here; so many are fetched at once and no more.
    pub(super) async fn bring(&self, uid: &str) -> Result<(), Absent> {
        let turn = self.turn_to_bring(uid);
        let _turn = turn.lock().await;
        let rows = self.store.copies_of(uid).await?;
        let Some(mut row) = rows.iter().find(|r| r.target == LOCAL).cloned() else {
            return Ok(());
        };
        let Some(of) = row.of.clone() else { return Ok(()) };
        if self.is_here(&of.blob).await {
            return Ok(());
        }
        if let Some(not_home) = self.all_away(&rows) {
            return Err(Absent::NotHome(not_home));
        }
        // Never closed.
        let _one_of_few = self.bringing.acquire().await;
        let left = left(&row);
        if left {
            // Its file comes before its row says so: who is killed between is to find it again.
            let due = after(clock::now(), ROW_MOST);
            self.note_until(&row, CopyState::Pending, 0, None, None, due)
                .await?;
            row.state = CopyState::Pending;
        }
        match self.get(&row, &of).await? {
            Got::Here(from, sum) => {
                if left {
                    self.metrics.count("vitrine_image_recalls_total", "", 1);
                    tracing::info!(file = named(&row.file), from, "an original was brought back");
                } else {
                    self.mended(&row.file, &from, LOCAL).await?;
                }
                self.came(&row, &of, sum).await?;
                Ok(())
            }
            Got::Away(not_home) => {
                if left {
                    self.note(&row, CopyState::Away, 0, None, None).await?;
                }
                Err(Absent::NotHome(not_home))
            }
            Got::Nobody(said) => {
                self.lost(&row, CopyState::Missing, "its file is gone", &said)
                    .await?;
                Ok(())
            }
        }
    }

    /// Where every target that has a verified copy is known to be away, nobody waits for its silence.
    fn all_away(&self, rows: &[CopyRow]) -> Option<NotHome> {
        let have = |r: &&CopyRow| r.target != LOCAL && r.state == CopyState::Verified;
        let mut targets = Vec::new();
        let mut said = Vec::new();
        for row in rows.iter().filter(have) {
            if self.target(&row.target).is_none() {
                continue;
            }
            let standing = self.standing(&row.target);
            if standing.tries < SAID_AWAY {
                return None;
            }
            said.push(format!("{}: {}", row.target, standing.why.unwrap_or_default()));
            targets.push(row.target.clone());
        }
        (!targets.is_empty()).then(|| NotHome {
            targets,
            why: said.join("; "),
        })
    }

    /// Whether the file of an original is here, as long as it must be.
    pub(super) async fn is_here(&self, blob: &Blob) -> bool {
        let there = tokio::fs::metadata(self.blobs.path(blob)).await;
        there.is_ok_and(|m| m.len() == length(blob.bytes))
    }

    /// The turn of those who ask for the same original.
    fn turn_to_bring(&self, uid: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(uid).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(uid.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Notes that an original is read, once a day: by its own time, which needs no row.
    pub(super) async fn used(&self, path: &Path) {
        if self.rules.local_days == 0 {
            return;
        }
        let (now, path) = (clock::now(), path.to_owned());
        let noting = move || {
            if last_read(&path).is_some_and(|read| now.0 - read.0 < DAY_MS) {
                return;
            }
            let times = std::fs::FileTimes::new().set_modified(time(now));
            let set = File::open(&path).and_then(|f| f.set_times(times));
            if let Err(e) = set {
                tracing::debug!(error = %e, "when an original was read is not noted");
            }
        };
        let _ = tokio::task::spawn_blocking(noting).await;
    }
}

fn put_in_place(blobs: &Blobs, mut from: Temporary, file: &CopyFile) -> io::Result<()> {
    tokio::task::block_in_place(|| blobs.place(&mut from, file))
}
