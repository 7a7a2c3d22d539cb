//! The server's backend: one encrypted file.
//!
//! Lives here: [`SqlcipherStore`], which implements the traits of `vitrine_store`. Never here: FHIR, policy.
//! Called by the server and by `tests`.
//!
//! The walk of a write: [`prepare`](prepare) (a reader thread: extract, compress, hash) → the writer thread: [`apply`]
//! (resources, facts), [`project`] (card, board), the audit row → COMMIT with whatever else was queued → answer.
//! Feed rows are written by the triggers of the schema, so that an UPDATE from elsewhere is in the feed too.

mod accounts;
mod apply;
mod archive;
mod audit;
mod audit_find;
mod audit_rows;
mod body;
mod charts;
mod check;
mod checkpoint;
mod copies;
mod feed;
mod giving;
mod head_file;
mod held;
mod identities;
mod imaging;
mod kinds;
mod meaning;
mod messages;
mod notes;
mod operate;
mod persons;
mod pixels;
mod prepare;
mod project;
mod reviews;
mod sql;
mod tiers;
mod totp;

use crate::cipher::{self, Key, Migration, OpenOptions};
use crate::readers::{OpenReader, Readers};
use crate::redo::{Keeper, RedoOptions};
use crate::writer::{OpenConnection, Writer};
use audit::ServerGroup;
use checkpoint::Checkpoints;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use sql::During as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;
use vitrine_store::pack::{PackFolders, Packs};
use vitrine_store::tiers::PacksOf;
use vitrine_store::{Projector, StoreError};
use zeroize::Zeroizing;

pub use audit::{AuditReport, SealState};
pub use giving::{EmbeddedGiver, Standing};

/// "Vits": tells the server's file from the workstation's.
const APPLICATION_ID: i32 = 0x5669_7473;
const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "record",
        sql: include_str!("../../migrations/server/0001_record.sql"),
    },
    Migration {
        number: 2,
        name: "archive",
        sql: include_str!("../../migrations/server/0002_archive.sql"),
    },
    Migration {
        number: 3,
        name: "tiers",
        sql: include_str!("../../migrations/server/0003_tiers.sql"),
    },
    Migration {
        number: 4,
        name: "sound",
        sql: include_str!("../../migrations/server/0004_sound.sql"),
    },
    Migration {
        number: 5,
        name: "notes",
        sql: include_str!("../../migrations/server/0005_notes.sql"),
    },
    Migration {
        number: 6,
        name: "imaging",
        sql: include_str!("../../migrations/server/0006_imaging.sql"),
    },
    Migration {
        number: 7,
        name: "pixels",
        sql: include_str!("../../migrations/server/0007_pixels.sql"),
    },
    Migration {
        number: 8,
        name: "copies",
        sql: include_str!("../../migrations/server/0008_copies.sql"),
    },
    Migration {
        number: 9,
        name: "reviews",
        sql: include_str!("../../migrations/server/0009_reviews.sql"),
    },
    Migration {
        number: 10,
        name: "audit_find",
        sql: include_str!("../../migrations/server/0010_audit_find.sql"),
    },
    Migration {
        number: 11,
        name: "identities",
        sql: include_str!("../../migrations/server/0011_identities.sql"),
    },
    Migration {
        number: 12,
        name: "audit_pack",
        sql: include_str!("../../migrations/server/0012_audit_pack.sql"),
    },
    Migration {
        number: 13,
        name: "badges",
        sql: include_str!("../../migrations/server/0013_badges.sql"),
    },
    Migration {
        number: 14,
        name: "clients",
        sql: include_str!("../../migrations/server/0014_clients.sql"),
    },
    Migration {
        number: 15,
        name: "totp",
        sql: include_str!("../../migrations/server/0015_totp.sql"),
    },
    Migration {
        number: 16,
        name: "messages",
        sql: include_str!("../../migrations/server/0016_messages.sql"),
    },
];

/// How the server's store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Of the file; `create` makes a new store.
    pub open: OpenOptions,
    /// Reader threads for charts, search and the feed.
    pub readers: usize,
    /// Reader threads kept for emergencies, and as many connections for reads on an emergency's own thread; nothing
    /// else ever runs on them.
    pub reserved: usize,
    /// Threads that extract and compress what is to be written.
    pub preparers: usize,
    /// Page cache of the writing connection in KiB.
    pub writer_cache_kib: u32,
    /// Called first on every thread that does not serve emergencies, so that it can give way to those that do.
    pub on_common_thread: fn(),
    /// Called first on every thread that an emergency waits for: its readers, and the writer, whom all wait for.
    pub on_urgent_thread: fn(),
    /// Keep a redo log, so that a restore can stop at any moment. Not on a test's VFS.
    pub redo: Option<RedoOptions>,
    /// Where packs lie; without it `packs/warm` beside the file, and no archive.
    pub packs: Option<PackFolders>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            open: OpenOptions {
                create: true,
                ..OpenOptions::default()
            },
            readers: 4,
            reserved: 2,
            preparers: 2,
            writer_cache_kib: 128 * 1024,
            on_common_thread: || {},
            on_urgent_thread: || {},
            redo: None,
            packs: None,
        }
    }
}

/// The server's store in one SQLCipher file.
///
/// Beside the file lie `audit.head` (the sealed head of the audit chain) and `epoch`. Dropping the store finishes what
/// is queued and closes the file.
pub struct SqlcipherStore {
    path: PathBuf,
    key: Key,
    options: StoreOptions,
    projector: Arc<dyn Projector>,
    pos: watch::Sender<u64>,
    epoch: watch::Sender<String>,
    seal: SealState,
    packs: Arc<Packs>,
    // Declared in the order in which they are dropped: the writer last, because a connection that only reads cannot
    // move the WAL into the file when it is the last to close.
    preparers: Readers,
    readers: Readers,
    /// Threads that serve emergency cards and urgent work alone.
    reserved: Readers,
    writer: Writer<ServerGroup>,
}

impl SqlcipherStore {
    /// Opens (or with `options.open.create` makes) the store, migrates it, and checks it against its sealed head and
    /// its epoch file: a file that was rolled back gets a new epoch, so that no workstation takes its positions for
    /// those it knows.
    ///
    /// # Errors
    /// As [`cipher::open`] and [`cipher::migrate`].
    pub fn open(
        path: &Path,
        key: Key,
        projector: Arc<dyn Projector>,
        mut options: StoreOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let mut redo = match &options.redo {
            Some(redo) if options.open.vfs.is_none() => {
                let pages = options.open.checkpoint_pages;
                // Nobody but the writer may move the WAL into the file: it asks the log first.
                options.open.checkpoint_pages = 0;
                Some(Keeper::start(redo, path, &key, pages)?)
            }
            _ => None,
        };
        let mut first = cipher::open(
            path,
            &key,
            &OpenOptions {
                read_only: false,
                ..options.open.clone()
            },
        )?;
        cipher::migrate(&mut first, path, APPLICATION_ID, MIGRATIONS, &options.open)?;
        let beside = options.open.vfs.is_none().then_some(path);
        let (head_file, seal) = match beside {
            Some(path) => {
                let (file, seal) = audit::open_head_file(path, &key, &first)?;
                (Some(file), seal)
            }
            None => (None, SealState::None),
        };
        let epoch = operate::settle_epoch(&first, beside, seal == SealState::RolledBack)?;
        let folders = options.packs.clone().unwrap_or_else(|| PackFolders {
            warm: path.with_file_name("packs").join("warm"),
            archive: None,
        });
        let packs = Arc::new(Packs::new(folders, &pack_key(&first)?));
        packs.know(&tiers::packs(&first, PacksOf::All)?);
        let pos = watch::Sender::new(feed::newest(&first)?);
        let again = OpenOptions {
            create: false,
            ..options.open.clone()
        };
        let read_options = OpenOptions {
            read_only: true,
            ..again.clone()
        };
        let (reader_path, reader_key) = (path.to_owned(), key.clone());
        let reader: OpenReader = Arc::new(move || cipher::open(&reader_path, &reader_key, &read_options));
        let (common, urgent) = (options.on_common_thread, options.on_urgent_thread);
        let kept = options.reserved.max(1);
        let reserved = Readers::start_with("emergency-reader", kept, &reader, urgent)?.with_here(kept)?;
        let readers = Readers::start_with("reader", options.readers.max(1), &reader, common)?;
        let preparers = Readers::start_with("preparer", options.preparers.max(1), &reader, common)?;
        let write_options = OpenOptions {
            cache_kib: options.writer_cache_kib,
            ..again
        };
        let (writer_path, writer_key) = (path.to_owned(), key.clone());
        let checkpoints = match (&redo, beside, options.open.checkpoint_pages) {
            (None, Some(_), limit @ 1..) => {
                let (path, key) = (path.to_owned(), key.clone());
                let moving = OpenOptions {
                    checkpoint_pages: 0,
                    ..write_options.clone()
                };
                let open: OpenReader = Arc::new(move || cipher::open(&path, &key, &moving));
                Some(Checkpoints::start(open, limit, common)?)
            }
            _ => None,
        };
        let hook = redo
            .as_ref()
            .map(Keeper::hook)
            .or_else(|| checkpoints.as_ref().map(Checkpoints::hook));
        let open: OpenConnection = Box::new(move || {
            let mut conn = cipher::open(&writer_path, &writer_key, &write_options)?;
            if let Some(hook) = hook.clone() {
                conn.wal_hook(Some(wal_length(hook))).during("watching the WAL")?;
            }
            Ok(conn)
        });
        if let Some(redo) = &mut redo {
            redo.take_in()?;
        }
        let writer = Writer::start(
            "server",
            open,
            ServerGroup::new(head_file, redo, checkpoints, pos.clone(), packs.clone()),
            urgent,
        )?;
        drop(first);
        let epoch = watch::Sender::new(epoch);
        Ok(Arc::new(Self {
            path: path.to_owned(),
            key,
            options,
            projector,
            pos,
            epoch,
            seal,
            packs,
            preparers,
            readers,
            reserved,
            writer,
        }))
    }

    /// Packs, for a job that reads bodies.
    fn packs_here(&self) -> Arc<Packs> {
        self.packs.clone()
    }

    /// Runs a job on the writer.
    async fn write<T, F>(&self, weight: usize, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut ServerGroup) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(weight, job).await
    }

    /// Runs a job on a reader: on a reserved one when it is urgent.
    async fn read_job<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if vitrine_store::is_urgent() {
            self.reserved.run_near(job).await
        } else {
            self.readers.run(job).await
        }
    }
}

/// Says after each commit how many pages the WAL has. In the place of SQLite's own, which would move it there and then.
fn wal_length(
    pages: Arc<AtomicU32>,
) -> impl FnMut(&mut Wal, std::ffi::c_int) -> rusqlite::Result<()> + Send + 'static {
    move |_, now| {
        pages.store(u32::try_from(now).unwrap_or(0), Ordering::Release);
        Ok(())
    }
}

/// The key of the packs, made when there is none. It lies in the encrypted file, so that a copy of the file opens the
/// packs it knows under whatever key it is kept.
fn pack_key(conn: &Connection) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    const DOING: &str = "opening the packs' key";
    let mut fresh = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(&mut fresh[..])
        .map_err(|_| StoreError::Backend {
            doing: DOING,
            cause: "no random numbers".to_owned(),
        })?;
    let hex = Zeroizing::new(fresh.iter().fold(String::new(), |s, b| s + &format!("{b:02x}")));
    let sql = "INSERT INTO meta (key, value) VALUES ('pack_key', ?1) ON CONFLICT (key) DO NOTHING";
    let known = "SELECT value FROM meta WHERE key = 'pack_key'";
    let read = |conn: &Connection| sql::one(conn, known, [], |r| r.get::<_, String>(0)).during(DOING);
    let mut text = read(conn)?;
    if text.is_none() {
        sql::run(conn, sql, [hex.as_str()]).during(DOING)?;
        text = read(conn)?;
    }
    let text = Zeroizing::new(text.unwrap_or_default());
    let mut key = Zeroizing::new([0; 32]);
    for (n, byte) in key.iter_mut().enumerate() {
        let pair = text
            .get(2 * n..2 * n + 2)
            .and_then(|p| u8::from_str_radix(p, 16).ok());
        *byte =
            pair.ok_or_else(|| StoreError::Damaged("the packs' key in the server's database".to_owned()))?;
    }
    Ok(key)
}
