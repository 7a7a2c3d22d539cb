//! The ledger: writers that know each row's id beforehand, write one row at a time through HAProxy, and write the same
//! row again until it is acknowledged. Each row raises its writer's counter in the same transaction.

use crate::check::{Row, Verdict, Written, check, id_of, payload_of};
use crate::layout::Layout;
use crate::load::{Load, Pulse};
use crate::pg::{Door, Link};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A writer gives an attempt up after this, and tries the same row on a new connection.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two rows of one writer.
const PAUSE: Duration = Duration::from_millis(40);
const AFTER_FAILURE: Duration = Duration::from_millis(100);

const MAKE: &str = "
    CREATE TABLE ledger (id bigint PRIMARY KEY, writer int NOT NULL, seq bigint NOT NULL, payload text NOT NULL);
    CREATE TABLE tally (writer int PRIMARY KEY, n bigint NOT NULL);
    INSERT INTO tally SELECT w, 0 FROM generate_series(1, 1000) w;";

// The counter is written whether or not the row was there already. So the second attempt at a row writes too, and its
// acknowledgement waits for the standby as the first one did: a row that was committed on one machine alone is never
// acknowledged by the mere look at it.
const WRITE: &str = "
    WITH fresh AS (INSERT INTO ledger (id, writer, seq, payload) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (id) DO NOTHING RETURNING 1)
    UPDATE tally SET n = n + (SELECT count(*) FROM fresh) WHERE writer = $2";

type Shared = Arc<Mutex<Written>>;

/// The load.
pub struct Ledger {
    write: Door,
    read: Door,
    nodes: Vec<(String, Door)>,
    pulse: Arc<Pulse>,
    writers: BTreeMap<i32, Shared>,
    running: Vec<JoinHandle<Result<()>>>,
    stop: watch::Sender<bool>,
}

impl Ledger {
    /// A ledger with so many writers.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn new(layout: &Layout, writers: i32) -> Result<Self> {
        let nodes = layout
            .nodes
            .iter()
            .map(|n| Ok((n.name.clone(), Door::new(layout, &n.address, n.pg)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            write: Door::new(layout, "127.0.0.1", layout.write)?,
            read: Door::new(layout, "127.0.0.1", layout.read)?,
            nodes,
            pulse: Arc::default(),
            writers: (1..=writers).map(|w| (w, Shared::default())).collect(),
            running: Vec::new(),
            stop: watch::channel(false).0,
        })
    }
}

fn lock(w: &Shared) -> std::sync::MutexGuard<'_, Written> {
    w.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One attempt: true when it was acknowledged.
async fn attempt(link: &Link, writer: i32, seq: i64) -> Result<bool> {
    let id = id_of(writer, seq);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&id, &writer, &seq, &payload_of(id)];
    let done = tokio::time::timeout(PATIENCE, link.client.execute(WRITE, &parameters)).await;
    Ok(match done {
        Ok(Ok(counters)) => {
            ensure!(
                counters == 1,
                "writer {writer} has {counters} counters in the table tally"
            );
            !link.doubtful()
        }
        Ok(Err(_)) | Err(_) => false,
    })
}

async fn writer(
    door: Door,
    number: i32,
    known: Shared,
    pulse: Arc<Pulse>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut link: Option<Link> = None;
    while !*stop.borrow() {
        let seq = {
            let mut k = lock(&known);
            // a row that was not acknowledged is tried again under its own id
            if k.tried == 0 || k.acked.contains(&k.tried) {
                k.tried += 1;
            }
            k.tried
        };
        let here = match link.take() {
            Some(l) => l,
            None => match door.open().await {
                Ok(l) => l,
                Err(_) => {
                    pulse.failed();
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            },
        };
        if attempt(&here, number, seq).await? {
            lock(&known).acked.insert(seq);
            pulse.wrote();
            link = Some(here);
            tokio::time::sleep(PAUSE).await;
        } else {
            pulse.failed();
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
    Ok(())
}

/// Reads what may be old, on the port of the standbys.
async fn reader(door: Door, pulse: Arc<Pulse>, stop: watch::Receiver<bool>) -> Result<()> {
    let mut link: Option<Link> = None;
    while !*stop.borrow() {
        let here = match link.take() {
            Some(l) => Some(l),
            None => door.open().await.ok(),
        };
        if let Some(here) = here {
            let asked = here.client.query_one("SELECT sum(n)::bigint FROM tally", &[]);
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), asked).await {
                pulse.read();
                link = Some(here);
            }
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
    Ok(())
}

/// How many rows a node has, and the sum of their hashes.
async fn sum(link: &Link) -> Result<(i64, String)> {
    let row = link
        .client
        .query_one(
            "SELECT count(*), coalesce(sum(hashtextextended(id || payload, 0)), 0)::text FROM ledger",
            &[],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Every row of the ledger, and every counter, read without the index that is to keep rows apart.
pub(crate) async fn everything(link: &Link) -> Result<(Vec<Row>, BTreeMap<i32, i64>)> {
    link.client
        .batch_execute(
            "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;",
        )
        .await?;
    let rows = link
        .client
        .query("SELECT id, writer, seq, payload FROM ledger", &[])
        .await?
        .iter()
        .map(|r| Row {
            id: r.get(0),
            writer: r.get(1),
            seq: r.get(2),
            payload: r.get(3),
        })
        .collect();
    let effects = link
        .client
        .query("SELECT writer, n FROM tally WHERE n > 0", &[])
        .await?
        .iter()
        .map(|r| (r.get(0), r.get(1)))
        .collect();
    Ok((rows, effects))
}

#[async_trait::async_trait]
impl Load for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    async fn prepare(&mut self) -> Result<()> {
        let link = self.write.open().await.context("through HAProxy's write port")?;
        link.client
            .batch_execute(MAKE)
            .await
            .context("making the ledger")?;
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        self.stop = watch::channel(false).0;
        for (number, known) in &self.writers {
            self.running.push(tokio::spawn(writer(
                self.write.clone(),
                *number,
                Arc::clone(known),
                Arc::clone(&self.pulse),
                self.stop.subscribe(),
            )));
        }
        self.running.push(tokio::spawn(reader(
            self.read.clone(),
            Arc::clone(&self.pulse),
            self.stop.subscribe(),
        )));
        Ok(())
    }

    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    async fn stop(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        for task in self.running.drain(..) {
            task.await??;
        }
        Ok(())
    }

    async fn verify(&mut self) -> Result<Verdict> {
        let link = self.write.open().await.context("reading the ledger")?;
        let (rows, effects) = everything(&link).await?;
        let written = self.writers.iter().map(|(n, w)| (*n, lock(w).clone())).collect();
        let verdict = check(&written, &rows, &effects);
        let here = sum(&link).await?;
        let until = Instant::now() + Duration::from_secs(30);
        for (name, door) in &self.nodes {
            let node = door.open().await.with_context(|| format!("asking {name}"))?;
            // a standby may be a moment behind; nothing is written meanwhile
            loop {
                let there = sum(&node).await?;
                if there == here {
                    break;
                }
                ensure!(
                    Instant::now() < until,
                    "{name} has other rows than the primary after 30 s: {there:?}, not {here:?}"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(verdict)
    }
}
