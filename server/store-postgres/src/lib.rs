//! PostgreSQL as the server's store: the same traits, the same suite, the same behaviour as the embedded one.
//!
//! Lives here: opening a database ([`PostgresStore::open`]), reading and writing the record, the feed, the audit
//! chains and the accounts in it. This crate and `store-sqlcipher` are the only ones with SQL. Never here: FHIR (a
//! `Projector` is given), policy (permits are given), where the root key comes from.
//! Called by the server; `docs/adr/` says why the feed has no horizon and the names no plain text.
//!
//! The walk of a write: [`prepare`] (extract, compress, hash; many at once) → the [`lane`] (one connection, what is
//! queued together in one transaction): lock and load, [`apply`], [`project`], [`flush`], COMMIT → answers.

mod accounts;
mod acts;
mod apply;
mod archive;
mod audit;
mod audit_find;
mod charts;
mod connect;
mod copies;
mod dictionary;
mod feed;
mod flush;
mod group;
mod held;
mod identities;
mod imaging;
mod intake;
mod kinds;
mod lane;
mod messages;
mod migrate;
mod notes;
mod pixels;
mod prepare;
mod project;
mod reviews;
mod rotate;
mod sql;
mod state;
mod tiers;
mod totp;
mod upkeep;
mod vault;

use acts::{Act, Acted};
use connect::Target;
use deadpool_postgres::{Object, Pool};
use lane::{Done, Job, Lane, LaneOptions};
use sql::{During, Fault, col, one, run};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use upkeep::Told;
use vault::Vault;
use vitrine_access::AuditEntry;
use vitrine_clinical::WardId;
use vitrine_store::pack::PackFolders;
use vitrine_store::tiers::PacksOf;
use vitrine_store::{AuditLog, Projector, StoreError};
use zeroize::Zeroizing;

pub use audit::AuditReport;
pub use audit_find::FIND_SQL;
pub use charts::{CARD_SQL, CHART_SQL, DUE_SQL, search_sql};
pub use feed::feed_sql;
pub use intake::{Intake, Progress};
pub use kinds::{KIND_SQL, NOBODY_SQL};
pub use messages::{SETTLE_SQL, UNSETTLED_SQL, messages_sql};
pub use migrate::SCHEMA;
pub use notes::NOTES_SQL;

const REPLICA: &str = "connecting to the replica";
const OPENING: &str = "opening the PostgreSQL store";

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections for charts, search and the feed.
    pub readers: usize,
    /// Connections that serve emergency cards alone.
    pub emergency_readers: usize,
    /// Name of this server's audit chain. Servers of one hospital need different ones to write at the same time.
    pub chain: String,
    /// How long a write is tried again while no primary can be reached.
    pub patience: Duration,
    /// A replica for reads that may be old, and for all of them while there is no primary.
    pub replica: Option<Replica>,
    /// Where packs lie: folders that every server on this database sees. Without them nothing is packed.
    pub packs: Option<PackFolders>,
}

/// Where reads go when they need not, or cannot, go to the primary.
#[derive(Clone)]
pub struct Replica {
    /// Its URL.
    pub url: String,
    /// Holds audit rows while no primary does: a store beside the server, durable by itself.
    pub spool: Arc<dyn AuditLog>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replica")
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            readers: 8,
            emergency_readers: 2,
            chain: "server".to_owned(),
            patience: Duration::from_secs(25),
            replica: None,
            packs: None,
        }
    }
}

/// The server's store in a PostgreSQL database.
pub struct PostgresStore {
    vault: Arc<Vault>,
    projector: Arc<dyn Projector>,
    readers: Pool,
    reserved: Pool,
    keeping: Pool,
    turns: Pool,
    replica: Option<(Pool, Arc<dyn AuditLog>)>,
    chain: String,
    patience: Duration,
    lane: Lane,
    told: Arc<Told>,
    from_replica: std::sync::atomic::AtomicU64,
    beside: Vec<JoinHandle<()>>,
}

impl PostgresStore {
    /// Opens the database, prepares its schema and checks that `root` opens what is in it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a URL or a database that cannot be used, [`StoreError::NewerSchema`],
    /// [`StoreError::WrongKey`], [`StoreError::Unfinished`] while a move into it is not finished, [`StoreError::Backend`]
    /// when it cannot be reached. Nothing is written then.
    #[allow(clippy::disallowed_methods, reason = "the tasks are ended with the store")]
    pub async fn open(
        url: &str,
        root: Zeroizing<[u8; 32]>,
        projector: Arc<dyn Projector>,
        options: PostgresOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let target = Target::read(url)?;
        let vault = Arc::new(Vault::new(&root)?.with_packs(&root, options.packs.clone())?);
        let keeping = target.pool(2, "-c statement_timeout=60s")?;
        {
            let mut client = keeping.get().await.during(OPENING)?;
            migrate::migrate(&mut client, target.name()).await?;
            intake::refuse_unfinished(&client, target.name()).await?;
            settle(&client, &vault).await?;
            first_look(&client).await?;
            if let Ok(packs) = vault.packs() {
                packs.know(&tiers::packs(&client, PacksOf::All).await?);
            }
        }
        upkeep::partitions(&keeping).await?;
        let client = keeping.get().await.during(OPENING)?;
        let told = Arc::new(Told {
            pos: watch::Sender::new(charts::newest(&client).await?),
            epoch: watch::Sender::new(upkeep::epoch(&client).await?),
            stalls: watch::Sender::new(Vec::new()),
            primary: watch::Sender::new(true),
            gone: std::sync::Mutex::new(None),
        });
        drop(client);
        let quick = "-c statement_timeout=10s -c default_transaction_read_only=on";
        let readers = target.pool(options.readers.max(2), quick)?;
        let reserved = target.pool(options.emergency_readers.max(1), quick)?;
        let replica = match &options.replica {
            Some(r) => Some((
                Target::read(&r.url)?.pool(options.readers.max(2), quick)?,
                r.spool.clone(),
            )),
            None => None,
        };
        // One connection at a time: the lane is one transaction after the other.
        // One has the turn, one waits.
        let turns = target.pool(2, "-c statement_timeout=60s -c lock_timeout=30s")?;
        let writing = target.pool(1, "-c statement_timeout=60s -c lock_timeout=15s")?;
        let lane = Lane::start(
            writing,
            vault.clone(),
            projector.clone(),
            LaneOptions {
                chain: options.chain.clone(),
                patience: options.patience,
            },
            told.pos.clone(),
        )?;
        let beside = vec![
            tokio::spawn(upkeep::link(
                target,
                told.clone(),
                [readers.clone(), reserved.clone()],
            )),
            tokio::spawn(upkeep::guard(keeping.clone(), told.clone())),
        ];
        Ok(Arc::new(Self {
            vault,
            projector,
            readers,
            reserved,
            keeping,
            turns,
            replica,
            chain: options.chain,
            patience: options.patience,
            lane,
            told,
            from_replica: std::sync::atomic::AtomicU64::new(0),
            beside,
        }))
    }

    /// Wards that have ever had a patient, by name.
    ///
    /// # Errors
    /// As every read.
    pub async fn wards(&self) -> Result<Vec<WardId>, StoreError> {
        Ok(feed::wards(&self.reader().await?).await?)
    }

    /// What is wrong with the schema; empty when nothing is: triggers that were dropped, indexes that are not valid.
    ///
    /// # Errors
    /// As every read.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        migrate::check(&self.reader().await?).await
    }

    /// Transactions that have been writing for too long, as last looked at.
    #[must_use]
    pub fn watch_stalls(&self) -> watch::Receiver<Vec<vitrine_store::Stall>> {
        self.told.stalls.subscribe()
    }

    /// Begins a new epoch: the last step of a restore. Workstations then compare what they hold.
    ///
    /// # Errors
    /// As every write.
    pub async fn rotate_epoch(&self) -> Result<String, StoreError> {
        let client = self.keeping.get().await.during(OPENING)?;
        new_generation(&client).await?;
        let epoch = upkeep::epoch(&client).await?;
        self.told.epoch.send_replace(epoch.clone());
        Ok(epoch)
    }

    /// Makes a new data key: what is written from now on is sealed with it. Old bodies stay under their keys until
    /// [`Self::reseal`] has gone over them.
    ///
    /// # Errors
    /// As every write.
    pub async fn rotate_data_key(&self) -> Result<i32, StoreError> {
        let client = self.keeping.get().await.during(OPENING)?;
        let no = self.vault.newest().unwrap_or(0) + 1;
        add_data_key(&client, &self.vault, no).await?;
        settle(&client, &self.vault).await?;
        Ok(no)
    }

    fn lane(&self) -> &Lane {
        &self.lane
    }
    fn vault(&self) -> &Vault {
        &self.vault
    }
    fn projector(&self) -> &dyn Projector {
        &*self.projector
    }
    fn positions(&self) -> watch::Receiver<u64> {
        self.told.pos.subscribe()
    }
    fn is_gone(&self) -> bool {
        let since = *self
            .told
            .gone
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.replica.is_none() && since.is_some_and(|at| at.elapsed() > self.patience)
    }
    fn present_epoch(&self) -> String {
        self.told.epoch.borrow().clone()
    }

    /// A connection for reading what a decision rests on: to the primary, while there is one.
    async fn reader(&self) -> Result<Object, StoreError> {
        let pool = if vitrine_store::is_urgent() {
            &self.reserved
        } else {
            &self.readers
        };
        self.connected(pool).await
    }

    /// A connection that nothing but emergencies uses.
    async fn emergency_reader(&self) -> Result<Object, StoreError> {
        self.connected(&self.reserved).await
    }

    async fn connected(&self, pool: &Pool) -> Result<Object, StoreError> {
        let primary = *self.told.primary.borrow();
        match (&self.replica, primary) {
            (Some((replica, _)), false) => Ok(replica.get().await.during(REPLICA)?),
            _ => Ok(pool.get().await.during("connecting to PostgreSQL")?),
        }
    }

    /// A connection for reading what may be a moment old (search, reports, old versions): to the replica, when it has
    /// everything that this server has acknowledged.
    async fn reader_of_old(&self) -> Result<Object, StoreError> {
        let Some((replica, _)) = &self.replica else {
            return self.reader().await;
        };
        let known = *self.told.pos.borrow();
        if let Ok(client) = replica.get().await
            && charts::newest(&client).await.is_ok_and(|held| held >= known)
        {
            self.from_replica
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Ok(client);
        }
        self.reader().await
    }

    /// Reads that the replica answered because it was not behind.
    #[must_use]
    pub fn replica_reads(&self) -> u64 {
        self.from_replica.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Where audit rows go just now: `None` = to the database.
    fn spool(&self) -> Option<&Arc<dyn AuditLog>> {
        let (_, spool) = self.replica.as_ref()?;
        (!*self.told.primary.borrow()).then_some(spool)
    }

    /// Whether a primary answers; changes with it.
    #[must_use]
    pub fn primary(&self) -> watch::Receiver<bool> {
        self.told.primary.subscribe()
    }

    /// Takes what the spool held while there was no primary into a chain of its own, `<node>.standby`. What is there
    /// already is left; gives how many rows were new.
    ///
    /// # Errors
    /// As every write.
    pub async fn take_spooled(&self, rows: Vec<vitrine_access::chain::Row>) -> Result<u64, StoreError> {
        let chain = format!("{}.standby", self.chain);
        let acted = self.act(Act::SpooledRows(chain, rows), None).await?;
        Ok(acted.seq)
    }

    async fn act(&self, act: Act, entry: Option<AuditEntry>) -> Result<Acted, StoreError> {
        match self
            .lane
            .run(Job::Act(Box::new(act), entry.map(Box::new)))
            .await?
        {
            Done::Acted(acted) => Ok(acted),
            _ => Err(StoreError::Closed),
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.beside.iter().for_each(JoinHandle::abort);
    }
}

/// Makes the first data key and the first generation, and opens every data key there is.
async fn settle(client: &Object, vault: &Vault) -> Result<(), StoreError> {
    let keys = "SELECT no, wrapped FROM data_key ORDER BY no";
    let mut found = sql::all(client, OPENING, keys, &[]).await?;
    if found.is_empty() {
        add_data_key(client, vault, 1).await?;
        found = sql::all(client, OPENING, keys, &[]).await?;
    }
    for row in &found {
        vault.take_data_key(col(row, 0, OPENING)?, col(row, 1, OPENING)?)?;
    }
    let has = "SELECT 1 FROM meta WHERE key = 'generation'";
    if one(client, OPENING, has, &[]).await?.is_none() {
        new_generation(client).await?;
    }
    Ok(())
}

async fn add_data_key(client: &Object, vault: &Vault, no: i32) -> Result<(), StoreError> {
    let wrapped = vault.new_data_key(no)?;
    let sql = "INSERT INTO data_key (no, made, wrapped)
               VALUES ($1, (extract(epoch FROM now()) * 1000)::bigint, $2) ON CONFLICT DO NOTHING";
    run(client, OPENING, sql, &[&no, &wrapped]).await?;
    Ok(())
}

async fn new_generation(client: &Object) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (key, value) VALUES ('generation', gen_random_uuid()::text)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    run(client, OPENING, sql, &[]).await?;
    Ok(())
}

/// A record that was moved here from another store is looked at by the tiers like any other; nobody knows when it was
/// used, so it counts as used today.
async fn first_look(client: &Object) -> Result<(), Fault> {
    let sql = "INSERT INTO tier SELECT pid, floor(extract(epoch FROM now()) / 86400)::bigint, 0 FROM patient
                WHERE NOT EXISTS (SELECT 1 FROM tier) ON CONFLICT DO NOTHING";
    run(client, OPENING, sql, &[]).await.map(|_| ())
}
