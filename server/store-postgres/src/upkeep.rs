//! What runs beside: hearing of others' commits, telling them of ours, stretches of tables ahead of time, guards.
//!
//! Lives here: the link (one connection that listens, tells and looks), partitions ahead and behind, the report of transactions that
//! stall. Never here: reading the record. Started by `PostgresStore::open`, ends with the store.

use crate::connect::Target;
use crate::feed::NEWEST;
use crate::sql::{During, Fault, col, one, run, uint};
use deadpool_postgres::{GenericClient, Pool};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use vitrine_store::{Stall, StoreError};

const LINK: &str = "following the feed";
const KEEPING: &str = "keeping the tables in order";
/// Without a notification the feed is looked at so often: a notification may be lost with its connection.
const LOOK: Duration = Duration::from_millis(200);
/// Peers are told so often at most.
const TELL: Duration = Duration::from_millis(20);
/// So long may anything on the link take, a connection included.
const DEAF: Duration = Duration::from_secs(2);
const GUARD: Duration = Duration::from_secs(1);
/// A transaction that has written for longer holds back what the whole cluster may forget.
const STALL_S: f64 = 2.0;
/// Positions in one stretch of the feed.
const FEED_STRETCH: i64 = 5_000_000;

/// What the link tells the store.
pub(crate) struct Told {
    pub pos: watch::Sender<u64>,
    pub epoch: watch::Sender<String>,
    pub stalls: watch::Sender<Vec<Stall>>,
    /// Whether a primary answers.
    pub primary: watch::Sender<bool>,
    /// Since when none does.
    pub gone: Mutex<Option<Instant>>,
}

impl Told {
    fn since(&self, gone: Option<Instant>) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = gone;
    }
}

/// A standby has no WAL position to write at, so this fails there: the link never takes one for the primary.
const EPOCH: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), (SELECT value FROM meta WHERE key = 'generation')";

/// Who this database is: cluster, timeline and generation. A restore and a failover change it.
pub(crate) async fn epoch<C: GenericClient>(c: &C) -> Result<String, Fault> {
    let Some(row) = one(c, "settling the epoch", EPOCH, &[]).await? else {
        return Err(Fault::Failed(StoreError::Closed));
    };
    let part =
        |i: usize| -> Result<String, Fault> { Ok(col::<Option<String>>(&row, i, LINK)?.unwrap_or_default()) };
    let text = format!("{}/{}/{}", part(0)?, part(1)?, part(2)?);
    Ok(blake3::hash(text.as_bytes()).to_hex()[..32].to_owned())
}

/// Follows the feed until the store is dropped. `pools`: those that read from the primary. Whenever the link was lost
/// their connections are given up, for they may lead to a primary that no longer is one.
pub(crate) async fn link(target: Target, told: Arc<Told>, pools: [Pool; 2]) {
    loop {
        if let Err(e) = follow(&target, &told).await
            && told.primary.send_replace(false)
        {
            tracing::warn!(error = %e, "no primary answers; connecting again");
            told.since(Some(Instant::now()));
            pools.iter().for_each(|p| {
                p.retain(|_, _| false);
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn deaf() -> StoreError {
    StoreError::Backend {
        doing: LINK,
        cause: "no answer".to_owned(),
    }
}

/// A connection into nowhere gives no error: what does not answer in time is gone.
async fn in_time<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(DEAF, asked).await.map_err(|_| deaf())?;
    answer.map_err(|e| failed(&e))
}

fn failed(e: &tokio_postgres::Error) -> StoreError {
    StoreError::Backend {
        doing: LINK,
        cause: e.to_string(),
    }
}

async fn follow(target: &Target, told: &Told) -> Result<(), StoreError> {
    let heard = Arc::new(Notify::new());
    let client = in_time(target.listen(heard.clone())).await?;
    let run = async |sql: &str| in_time(client.batch_execute(sql)).await;
    run("LISTEN vitrine_feed").await?;
    let newest = in_time(client.prepare(NEWEST)).await?;
    let mut ours = told.pos.subscribe();
    let mut looked = told_epoch(&client, told).await?;
    told.since(None);
    if !told.primary.send_replace(true) {
        tracing::info!("a primary answers");
    }
    loop {
        let mut tell = false;
        tokio::select! {
            () = heard.notified() => {}
            changed = ours.changed() => {
                changed.map_err(|_| StoreError::Closed)?;
                tell = *ours.borrow_and_update() > looked;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        if tell {
            run("NOTIFY vitrine_feed").await?;
            tokio::time::sleep(TELL).await;
        }
        let row = in_time(client.query_one(&newest, &[])).await?;
        let pos = uint(row.try_get(0).map_err(|e| failed(&e))?);
        looked = pos;
        told.pos.send_if_modified(|known| {
            let newer = pos > *known;
            *known = pos.max(*known);
            newer
        });
    }
}

/// After every connection: a failover may have lain between this and the one before.
async fn told_epoch(client: &tokio_postgres::Client, told: &Told) -> Result<u64, StoreError> {
    let row = in_time(client.query_one(EPOCH, &[])).await?;
    let part = |i: usize| {
        row.try_get::<_, Option<String>>(i)
            .ok()
            .flatten()
            .unwrap_or_default()
    };
    let text = format!("{}/{}/{}", part(0), part(1), part(2));
    let epoch = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    told.epoch.send_if_modified(|known| {
        let other = *known != epoch;
        *known = epoch;
        other
    });
    Ok(*told.pos.borrow())
}

/// Watches for transactions that stall, and makes stretches ahead, until the store is dropped.
pub(crate) async fn guard(pool: Pool, told: Arc<Told>) {
    let mut rounds: u32 = 0;
    loop {
        match look(&pool).await {
            Ok(stalls) => {
                for s in &stalls {
                    tracing::warn!(
                        pid = s.pid,
                        database = %s.database,
                        application = %s.application,
                        age_s = s.age_s,
                        "a transaction in PostgreSQL has been writing for too long"
                    );
                }
                told.stalls.send_replace(stalls);
            }
            Err(e) => tracing::debug!(error = %StoreError::from(e), "the guard could not look"),
        }
        if rounds.is_multiple_of(3600)
            && let Err(e) = partitions(&pool).await
        {
            tracing::warn!(error = %StoreError::from(e), "stretches of tables could not be made ahead");
        }
        rounds = rounds.wrapping_add(1);
        tokio::time::sleep(GUARD).await;
    }
}

async fn look(pool: &Pool) -> Result<Vec<Stall>, Fault> {
    let client = pool.get().await.during(KEEPING)?;
    let sql = "SELECT pid, coalesce(datname, ''), coalesce(application_name, ''),
                      extract(epoch FROM clock_timestamp() - xact_start)::float8
                 FROM pg_stat_activity
                WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
                  AND xact_start < clock_timestamp() - make_interval(secs => $1) ORDER BY xact_start";
    let rows = crate::sql::all(&client, KEEPING, sql, &[&STALL_S]).await?;
    let stall = |r: &tokio_postgres::Row| -> Result<Stall, Fault> {
        Ok(Stall {
            pid: col(r, 0, KEEPING)?,
            database: col(r, 1, KEEPING)?,
            application: col(r, 2, KEEPING)?,
            age_s: col(r, 3, KEEPING)?,
        })
    };
    rows.iter().map(stall).collect()
}

/// Makes the months and stretches that will be needed, and drops the stretches that are not any more. A month whose rows lie in the rest already stays there.
pub(crate) async fn partitions(pool: &Pool) -> Result<(), Fault> {
    let client = pool.get().await.during(KEEPING)?;
    for table in ["audit", "resource_version"] {
        for ahead in 0..3_i32 {
            let sql = "SELECT to_char(m, 'YYYYMM'), (extract(epoch FROM m) * 1000)::bigint,
                              (extract(epoch FROM m + interval '1 month') * 1000)::bigint
                         FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => $1) AS m) x";
            let Some(row) = one(&client, KEEPING, sql, &[&ahead]).await? else {
                continue;
            };
            let month: String = col(&row, 0, KEEPING)?;
            let (from, to): (i64, i64) = (col(&row, 1, KEEPING)?, col(&row, 2, KEEPING)?);
            make(&client, table, &format!("{table}_{month}"), from, to).await?;
        }
    }
    let row = one(&client, KEEPING, NEWEST, &[]).await?;
    let newest: i64 = row.map_or(Ok(0), |r| col(&r, 0, KEEPING))?;
    for n in 1..3 {
        let stretch = newest / FEED_STRETCH + n;
        let (from, to) = (stretch * FEED_STRETCH, (stretch + 1) * FEED_STRETCH);
        make(&client, "change_log", &format!("change_log_{stretch}"), from, to).await?;
    }
    behind(&client).await
}

/// Detaches and drops the stretches of the feed that retention has emptied: deleted rows leave their pages behind, and
/// every search of the feed by position looks into each stretch there is. Months are never detached: the audit chains
/// and the old versions in them are the record.
async fn behind<C: GenericClient>(c: &C) -> Result<(), Fault> {
    let sql = "SELECT i.inhrelid::regclass::text FROM pg_inherits i
                WHERE i.inhparent = 'change_log'::regclass AND i.inhrelid <> 'change_log_rest'::regclass
                  AND (regexp_match(i.inhrelid::regclass::text, '([0-9]+)$'))[1]::bigint
                      < (SELECT value::bigint FROM meta WHERE key = 'feed_oldest') / $1 ORDER BY 1";
    for row in crate::sql::all(c, KEEPING, sql, &[&FEED_STRETCH]).await? {
        let name: String = col(&row, 0, KEEPING)?;
        // One statement is one transaction. It waits for a reader for a second at most, and for whoever waits behind
        // it no longer: an hour later is another turn. A stretch that has a row is left alone.
        let drop = format!(
            "DO $$ BEGIN
               PERFORM set_config('lock_timeout', '1s', true);
               LOCK TABLE change_log IN ACCESS EXCLUSIVE MODE;
               IF NOT EXISTS (SELECT FROM {name}) THEN
                 ALTER TABLE change_log DETACH PARTITION {name};
                 DROP TABLE {name};
               END IF;
             END $$"
        );
        match c.batch_execute(&drop).await {
            Ok(()) => tracing::info!(stretch = %name, "a stretch of the feed that retention emptied is gone"),
            Err(e) if e.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tracing::info!(stretch = %name, "a stretch of the feed is in use and stays for another hour");
            }
            Err(e) => return Err(e).during(KEEPING),
        }
    }
    Ok(())
}

/// Makes the months from an earlier one up to the present: what comes with a move is as old as the record. Older than
/// the limit stays in the rest.
pub(crate) async fn months_since(pool: &Pool, table: &str, oldest_ms: i64) -> Result<(), Fault> {
    const MONTHS: i32 = 240;
    let client = pool.get().await.during(KEEPING)?;
    let sql = "SELECT to_char(m, 'YYYYMM'), (extract(epoch FROM m) * 1000)::bigint,
                      (extract(epoch FROM m + interval '1 month') * 1000)::bigint
                 FROM generate_series(
                   greatest(date_trunc('month', to_timestamp($1::bigint / 1000.0) AT TIME ZONE 'UTC'),
                            date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $2)),
                   date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month', interval '1 month') m";
    for row in crate::sql::all(&client, KEEPING, sql, &[&oldest_ms, &MONTHS]).await? {
        let month: String = col(&row, 0, KEEPING)?;
        let (from, to): (i64, i64) = (col(&row, 1, KEEPING)?, col(&row, 2, KEEPING)?);
        make(&client, table, &format!("{table}_{month}"), from, to).await?;
    }
    Ok(())
}

async fn make<C: GenericClient>(c: &C, table: &str, name: &str, from: i64, to: i64) -> Result<(), Fault> {
    let there = one(c, KEEPING, "SELECT to_regclass($1) IS NOT NULL", &[&name]).await?;
    if there.map_or(Ok(false), |r| col::<bool>(&r, 0, KEEPING))? {
        return Ok(());
    }
    let column = if table == "audit" {
        "at"
    } else if table == "change_log" {
        "pos"
    } else {
        "updated"
    };
    let taken = format!("SELECT EXISTS (SELECT 1 FROM {table}_rest WHERE {column} >= $1 AND {column} < $2)");
    let taken = one(c, KEEPING, &taken, &[&from, &to]).await?;
    if taken.map_or(Ok(false), |r| col::<bool>(&r, 0, KEEPING))? {
        return Ok(());
    }
    let sql =
        format!("CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})");
    run(c, KEEPING, &sql, &[]).await?;
    Ok(())
}
