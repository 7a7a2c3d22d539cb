//! Taking the whole record of another backend (`vitrine_store::transfer`) into an empty database.
//!
//! Lives here: [`Intake`] with its mark in the database, what has to stand beside the rows afterwards. Never here: where
//! the rows come from. Called by the server's `migrate`; how rows lie in the tables is in `columns`.
//!
//! `meta.moving` marks a database whose move is not finished: no server serves it ([`refuse_unfinished`]), and a move
//! that begins again empties it first, because the record may have changed since. The mark says `proven` from the
//! moment at which every row was found equal.

mod columns;

use crate::connect::Target;
use crate::sql::{self, During, Fault, col, int, one, run, uint};
use crate::vault::Vault;
use crate::{migrate, settle, upkeep};
use async_trait::async_trait;
use columns::{Out, bare, copied, given_back, kept, query};
use deadpool_postgres::{GenericClient, Object, Pool};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;
use vitrine_access::chain::Head;
use vitrine_store::StoreError;
use vitrine_store::transfer::{Key, Row, Table, Takes};
use zeroize::Zeroizing;

const BEGINNING: &str = "beginning the move";
const TAKING: &str = "taking rows";
const PROVING: &str = "reading rows back";
const ENDING: &str = "ending the move";
/// A process that was killed may still have a session at work: so often it is looked whether it has gone.
const TRIES: u32 = 75;
const PAUSE: Duration = Duration::from_millis(200);

/// Every table that holds something of a record.
const TABLES: &str = "patient, note, note_word, resource, resource_version, fact, ident, dependency, person, ward, card, ess_member, board,
    op, quarantine, message, message_body, audit, audit_head, audit_find, audit_action, device, device_audit, enrol_code, account, session, identity, used_once, totp, totp_code, client, break_glass_grant, legal_hold,
    destruction, imaging_study, imaging_series, imaging_instance, imaging_pack, imaging_copy, imaging_target,
    change_log, tally";

/// How far a move into a database has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// None was begun, or it is finished.
    None,
    /// Rows were or are being taken.
    Filling,
    /// Every row was found equal; the folder may have been put away.
    Proven,
}

/// A database that takes a record.
pub struct Intake {
    name: String,
    vault: Arc<Vault>,
    pool: Pool,
    /// The session whose lock says that a move is at work.
    held: Object,
}

async fn progress<C: GenericClient>(c: &C) -> Result<Progress, Fault> {
    let row = one(c, BEGINNING, "SELECT value FROM meta WHERE key = 'moving'", &[]).await?;
    let Some(row) = row else { return Ok(Progress::None) };
    Ok(match col::<&str>(&row, 0, BEGINNING)? {
        "proven" => Progress::Proven,
        _ => Progress::Filling,
    })
}

/// Refuses a database whose move is not finished: it may lack rows.
pub(crate) async fn refuse_unfinished<C: GenericClient>(c: &C, name: &str) -> Result<(), StoreError> {
    if progress(c).await? == Progress::None {
        return Ok(());
    }
    Err(StoreError::Unfinished(format!(
        "a move into the database {name} is not finished: run 'vitrine-server migrate --from-embedded' again; until then the record is in the folder"
    )))
}

impl Intake {
    /// Opens a database for a move, prepares its schema and keeps every other move away from it.
    ///
    /// # Errors
    /// As [`crate::PostgresStore::open`]; [`StoreError::Refused`] while another move or a server has it.
    pub async fn open(url: &str, root: Zeroizing<[u8; 32]>) -> Result<Self, StoreError> {
        let target = Target::read(url)?;
        let vault = Arc::new(Vault::new(&root)?);
        let pool = target.pool(4, "-c statement_timeout=0 -c lock_timeout=0")?;
        let mut held = pool.get().await.during(BEGINNING)?;
        migrate::migrate(&mut held, target.name()).await?;
        alone(&held, target.name()).await?;
        settle(&held, &vault).await?;
        Ok(Self {
            name: target.name().to_owned(),
            vault,
            pool,
            held,
        })
    }

    /// How far a move into this database has come.
    ///
    /// # Errors
    /// As every read.
    pub async fn progress(&self) -> Result<Progress, StoreError> {
        Ok(progress(&self.held).await?)
    }

    /// Marks the database and empties it of what an interrupted move left. `oldest`: the earliest times of old versions
    /// and of audit rows, for which months are made.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a database that holds a record.
    pub async fn begin(&mut self, oldest: [Option<i64>; 2]) -> Result<(), StoreError> {
        let name = self.name.clone();
        let tx = self.held.transaction().await.during(BEGINNING)?;
        // A server that opens the database holds this while it prepares the schema, and looks for the mark afterwards.
        sql::all(&tx, BEGINNING, "SELECT pg_advisory_xact_lock(7370)", &[]).await?;
        others(&tx, &name).await?;
        if progress(&tx).await? == Progress::None {
            empty(&tx, &name).await?;
        } else {
            tx.batch_execute(&format!("TRUNCATE {TABLES}"))
                .await
                .during(BEGINNING)?;
        }
        let mark = "INSERT INTO meta (key, value) VALUES ('moving', 'filling')
                    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        run(&tx, BEGINNING, mark, &[]).await?;
        tx.commit().await.during(BEGINNING)?;
        upkeep::partitions(&self.pool).await?;
        for (table, oldest) in ["resource_version", "audit"].into_iter().zip(oldest) {
            if let Some(oldest) = oldest {
                upkeep::months_since(&self.pool, table, oldest).await?;
            }
        }
        Ok(())
    }

    /// What stands beside the rows: numbers go on after the greatest, the feed after `newest`, the audit chain after its
    /// last row.
    ///
    /// # Errors
    /// As every write.
    pub async fn settle(&self, newest: u64) -> Result<(), StoreError> {
        let mut client = self.pool.get().await.during(ENDING)?;
        let tx = client.transaction().await.during(ENDING)?;
        for (sequence, table, column) in [
            ("'resource_rid'", "resource", "rid"),
            ("pg_get_serial_sequence('patient', 'pid')", "patient", "pid"),
            ("pg_get_serial_sequence('ward', 'no')", "ward", "no"),
            ("pg_get_serial_sequence('account', 'no')", "account", "no"),
            ("pg_get_serial_sequence('quarantine', 'id')", "quarantine", "id"),
            ("pg_get_serial_sequence('message', 'id')", "message", "id"),
        ] {
            let sql = format!(
                "SELECT setval({sequence}, coalesce(max({column}), 1), max({column}) IS NOT NULL) FROM {table}"
            );
            sql::all(&tx, ENDING, &sql, &[]).await?;
        }
        let images = "SELECT setval('imaging_no', coalesce(max(no), 1), max(no) IS NOT NULL) FROM
                      (SELECT no FROM imaging_study UNION ALL SELECT no FROM imaging_series
                       UNION ALL SELECT no FROM imaging_instance) n";
        sql::all(&tx, ENDING, images, &[]).await?;
        let feed = "UPDATE meta SET value = $1::bigint::text WHERE key IN ('feed_oldest', 'feed_newest')";
        run(&tx, ENDING, feed, &[&int(newest)]).await?;
        let head = "INSERT INTO audit_head (chain, seq, hash)
                    SELECT chain, seq, hash FROM audit WHERE chain = 'server' ORDER BY seq DESC LIMIT 1";
        run(&tx, ENDING, head, &[]).await?;
        tx.commit().await.during(ENDING)?;
        client
            .batch_execute(&format!("ANALYZE {TABLES}"))
            .await
            .during(ENDING)?;
        Ok(())
    }

    /// The head of the server's audit chain here.
    ///
    /// # Errors
    /// As every read.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT seq, hash FROM audit_head WHERE chain = 'server'";
        let Some(row) = one(&self.held, PROVING, sql, &[]).await? else {
            return Ok(Head::EMPTY);
        };
        Ok(Head {
            seq: uint(col(&row, 0, PROVING)?),
            hash: sql::hash32(col(&row, 1, PROVING)?),
        })
    }

    /// Notes that every row was found equal. Durable on return, and with it every row taken before.
    ///
    /// # Errors
    /// As every write.
    pub async fn proven(&self) -> Result<(), StoreError> {
        let sql = "UPDATE meta SET value = 'proven' WHERE key = 'moving'";
        run(&self.held, ENDING, sql, &[]).await?;
        Ok(())
    }

    /// Removes the mark: from now on the database is served.
    ///
    /// # Errors
    /// As every write.
    pub async fn finish(self) -> Result<(), StoreError> {
        run(&self.held, ENDING, "DELETE FROM meta WHERE key = 'moving'", &[]).await?;
        // The session's lock goes with its connection.
        let _ = Object::take(self.held);
        self.pool.close();
        Ok(())
    }
}

/// Takes the lock of moves for this session.
async fn alone(client: &Object, name: &str) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let row = one(client, BEGINNING, "SELECT pg_try_advisory_lock(7372)", &[]).await?;
        if row.map_or(Ok(false), |r| col(&r, 0, BEGINNING))? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(StoreError::Refused(format!(
        "another move into the database {name} is at work: wait for it to end"
    )))
}

/// Refuses while a server has the database open.
async fn others<C: GenericClient>(c: &C, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'vitrine-server' AND pid <> pg_backend_pid()";
    for _ in 0..TRIES {
        let row = one(c, BEGINNING, sql, &[]).await?;
        if row.map_or(Ok(0), |r| col::<i64>(&r, 0, BEGINNING))? == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(StoreError::Refused(format!(
        "a server has the database {name} open: stop it first; nothing was changed"
    )))
}

/// Refuses a database that holds anything of a record.
async fn empty<C: GenericClient>(c: &C, name: &str) -> Result<(), StoreError> {
    for table in TABLES.split(',').map(str::trim) {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        let row = one(c, BEGINNING, &sql, &[]).await?;
        if row.map_or(Ok(true), |r| col::<bool>(&r, 0, BEGINNING))? {
            return Err(StoreError::Refused(format!(
                "the database {name} holds a record already (table {table}): name an empty one; nothing was changed"
            )));
        }
    }
    Ok(())
}

async fn copy(pool: &Pool, table: Table, rows: Vec<Vec<Out>>) -> Result<(), Fault> {
    let mut client = pool.get().await.during(TAKING)?;
    let tx = client.transaction().await.during(TAKING)?;
    // The store's own writing, of which the feed tells nobody. What is lost in a crash is moved again: the commit that
    // says `proven` waits for the disk, and with it everything before.
    let own =
        "SELECT set_config('vitrine.writer', 'store', true), set_config('synchronous_commit', 'off', true)";
    sql::all(&tx, TAKING, own, &[]).await?;
    let (into, types) = copied(table);
    let sink = tx
        .copy_in(&format!("COPY {into} FROM STDIN BINARY"))
        .await
        .during(TAKING)?;
    let writer = BinaryCopyInWriter::new(sink, &types);
    tokio::pin!(writer);
    for row in &rows {
        let cells: Vec<&(dyn ToSql + Sync)> = row.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
        writer.as_mut().write(&cells).await.during(TAKING)?;
    }
    writer.finish().await.during(TAKING)?;
    tx.commit().await.during(TAKING)
}

fn broken(doing: &'static str) -> impl Fn(tokio::task::JoinError) -> StoreError {
    move |e| StoreError::Backend {
        doing,
        cause: e.to_string(),
    }
}

#[async_trait]
impl Takes for Intake {
    fn kept(&self, table: Table, rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        kept(&self.vault, table, rows)
    }

    async fn put(&self, table: Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let vault = self.vault.clone();
        let seal = tokio::task::spawn_blocking(move || -> Result<Vec<Vec<Out>>, StoreError> {
            let mut out = Vec::with_capacity(rows.len());
            for row in rows {
                bare(&vault, table, row, &mut out)?;
            }
            Ok(out)
        });
        let rows = seal.await.map_err(broken(TAKING))??;
        Ok(copy(&self.pool, table, rows).await?)
    }

    async fn held(
        &self,
        table: Table,
        after: Option<&Key>,
        up_to: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.pool.get().await.during(PROVING)?;
        let sql = query(table, after.is_some(), up_to.is_some());
        let bounds: Vec<Out> = after
            .into_iter()
            .chain(up_to)
            .flatten()
            .cloned()
            .map(Out::Cell)
            .collect();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut with: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        with.extend(bounds.iter().map(|b| b as &(dyn ToSql + Sync)));
        let found = sql::all(&client, PROVING, &sql, &with).await?;
        let vault = self.vault.clone();
        let open = tokio::task::spawn_blocking(move || given_back(&vault, table, &found, PROVING));
        Ok(open.await.map_err(broken(PROVING))??)
    }
}
