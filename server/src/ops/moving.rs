//! `migrate --from-embedded`: a department's embedded store moves into PostgreSQL.
//!
//! Lives here: the order of the steps, so that a crash between any two of them leaves one record in use, and what is
//! said of it. Never here: rows (`vitrine_store::transfer`), SQL (the stores). Called by `cli`.
//!
//! 1. The folder is locked: no server runs in it. Its audit chains are whole.
//! 2. The database is marked as unfinished, filled, and every row is read back and compared. Until here nothing in the
//!    folder has changed, and the folder stays in use whatever goes wrong.
//! 3. The mark says `proven`; the file `store` in the folder says that the record lies in PostgreSQL; `vitrine.db` becomes
//!    `vitrine.db.moved`; the mark goes. Whoever finds `store` beside the mark `proven` ends these steps.

use crate::cli::acts::{operator, operator_request};
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::error::Fault;
use crate::ingest::project::FhirProjector;
use crate::keys::Keys;
use crate::ops::backup::open_store;
use crate::ops::log;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use vitrine_access::{Disclosure, action, policy};
use vitrine_store::StoreError;
use vitrine_store::transfer::{Difference, Gives, Proof, Table, fill, prove};
use vitrine_store_postgres::{Intake, Progress};
use vitrine_store_sqlcipher::{EmbeddedGiver, Key, redo};
use zeroize::Zeroizing;

/// Rows moved and proven in a second, for the estimate: two cores, database on the same machine.
const ROWS_PER_S: f64 = 8_000.0;

/// What a move did.
pub struct Moved {
    /// Every table is equal, and the folder is put away.
    pub equal: bool,
    /// For `--json`.
    pub json: Value,
    /// The last line for people.
    pub words: String,
}

fn moved_file(dir: &DataDir) -> PathBuf {
    dir.root().join("vitrine.db.moved")
}

/// Until rows are taken, every failure is a refusal: nothing was changed.
fn refused(e: StoreError) -> Fault {
    Fault::unsafe_to(e.to_string())
}

fn root(keys: &Keys) -> Zeroizing<[u8; 32]> {
    keys.database.clone()
}

/// Moves the embedded store of a folder into an empty database. `say` is given lines about how it goes.
///
/// # Errors
/// [`Fault`]: exit 2 while somebody works in the folder, 3 for a database that cannot be used, 1 when the move itself
/// failed. The folder is then in use as before.
pub async fn move_embedded(
    dir: &DataDir,
    config: &Config,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Moved, Fault> {
    let url = config.database.url.as_str();
    let _lock = dir.lock().map_err(|f| Fault {
        text: format!(
            "{}: a record moves while no server runs in its folder; 'vitrine-server drain' lets it end what it has begun",
            f.text
        ),
        ..f
    })?;
    let keys = Keys::open(dir, &config.tls, None)?;
    if dir.is_in_postgres() {
        let at = Intake::open(url, root(&keys)).await.map_err(refused)?;
        if at.progress().await? != Progress::Proven {
            return Err(Fault::unsafe_to(format!(
                "the record of {} lies in PostgreSQL already: serve it with --database-url; nothing was changed",
                dir.root().display()
            )));
        }
        return end(dir, &keys, config, at, None).await;
    }
    if !dir.database().exists() {
        return Err(Fault::usage(format!(
            "--from-embedded: {} holds no embedded store",
            dir.root().display()
        )));
    }
    if moved_file(dir).exists() {
        return Err(Fault::usage(format!(
            "{} is left from an earlier move: put it somewhere else first",
            moved_file(dir).display()
        )));
    }
    let giver = open_giver(dir, &keys).await?;
    giver.verify_audit().await.map_err(|e| {
        Fault::failed(format!(
            "{e}: a record whose audit is not whole does not move; 'vitrine-server audit verify' names every fault"
        ))
    })?;
    let mut counts = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        counts.push((*table, giver.count(*table).await?));
    }
    let rows: u64 = counts.iter().map(|(_, n)| n).sum();
    say(&estimate(rows));
    let standing = giver.standing().await?;
    let mut at = Intake::open(url, root(&keys)).await.map_err(refused)?;
    at.begin([standing.oldest_version, standing.oldest_audit])
        .await
        .map_err(refused)?;
    let unfinished = |e: StoreError| {
        Fault::failed(format!(
            "{e}; the record is still in {}: start the move again, it begins anew",
            dir.root().display()
        ))
    };
    let began = clock::steady();
    let tables = take(&giver, &at, &counts, standing.newest, say)
        .await
        .map_err(unfinished)?;
    let head = at.head().await.map_err(unfinished)?;
    let mut difference = tables.iter().find_map(Taken::difference);
    if head != standing.head {
        difference.get_or_insert_with(|| {
            format!(
                "audit_head: stands at row {}, not {}",
                head.seq, standing.head.seq
            )
        });
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut json = json!({
        "moved": difference.is_none(), "rows": rows, "seconds": round(seconds),
        "rows_per_s": per_second(rows, seconds), "difference": difference,
        "tables": tables.iter().map(Taken::json).collect::<Vec<_>>(),
    });
    if let Some(difference) = difference {
        let words = format!(
            "not equal: {difference}; the record is still in {}, and the database is not served",
            dir.root().display()
        );
        return Ok(Moved {
            equal: false,
            json,
            words,
        });
    }
    at.proven().await.map_err(unfinished)?;
    let ended = end(dir, &keys, config, at, Some(giver)).await?;
    if let (Some(to), Some(more)) = (json.as_object_mut(), ended.json.as_object()) {
        to.extend(more.clone());
    }
    let words = format!(
        "{rows} rows moved and found equal in {seconds:.1} s ({} rows/s)\n{}",
        per_second(rows, seconds),
        ended.words
    );
    Ok(Moved {
        equal: true,
        json,
        words,
    })
}

async fn open_giver(dir: &DataDir, keys: &Keys) -> Result<EmbeddedGiver, Fault> {
    let (path, key) = (dir.database(), Key::new(keys.database.clone()));
    let opened =
        tokio::task::spawn_blocking(move || EmbeddedGiver::open(&path, key, Arc::new(FhirProjector)));
    Ok(opened
        .await
        .map_err(|e| Fault::failed(format!("opening the embedded store: {e}")))??)
}

/// The steps after the proof. `giver`: still open on the file, unless this ends what an earlier process began.
async fn end(
    dir: &DataDir,
    keys: &Keys,
    config: &Config,
    at: Intake,
    giver: Option<EmbeddedGiver>,
) -> Result<Moved, Fault> {
    dir.mark_in_postgres()?;
    let giver = match giver {
        None if dir.database().exists() => Some(open_giver(dir, keys).await?),
        other => other,
    };
    let log = log::folder(dir, &config.redo);
    if log.exists() {
        redo::end_newest(
            &log,
            &Key::new(keys.database.clone()),
            "the record moved to PostgreSQL",
        )?;
    }
    if let Some(giver) = giver {
        let to = moved_file(dir);
        let done = tokio::task::spawn_blocking(move || giver.put_away(&to));
        done.await
            .map_err(|e| Fault::failed(format!("putting the moved database away: {e}")))??;
    }
    at.finish().await?;
    // As a server will open it; its first row says who moved the record.
    let mut serving = config.clone();
    serving.redo.keep = false;
    let (store, _) = open_store(dir, keys, &serving).await?;
    let permit = policy::decide::<action::OperateServer>(operator_request(&operator()))
        .map_err(|d| Fault::failed(d.text))?
        .noted("use", "move");
    store.append(permit.entry(Disclosure::default())).await?;
    let kept = moved_file(dir).display().to_string();
    Ok(Moved {
        equal: true,
        words: format!("the record lies in PostgreSQL: serve it with --database-url; the old file is {kept}"),
        json: json!({"moved": true, "epoch": store.epoch().await?, "old_file": kept}),
    })
}

/// A table that was moved and read back.
struct Taken {
    table: Table,
    /// As the embedded store counted them beforehand.
    counted: u64,
    proof: Proof,
    fill_s: f64,
    prove_s: f64,
}

impl Taken {
    fn difference(&self) -> Option<String> {
        if let Some(d) = &self.proof.difference {
            return Some(Difference::to_string(d));
        }
        if self.counted != self.proof.given.rows {
            return Some(format!(
                "{}: {} rows were counted, {} were read",
                self.table, self.counted, self.proof.given.rows
            ));
        }
        (!self.proof.equal()).then(|| format!("{}: the digests differ", self.table))
    }

    fn json(&self) -> Value {
        let (given, held) = (self.proof.given, self.proof.held);
        let seconds = self.fill_s + self.prove_s;
        json!({
            "table": self.table.name(), "rows": given.rows, "held": held.rows,
            "equal": self.difference().is_none(), "digest": given.digest.to_hex().as_str(),
            "held_digest": held.digest.to_hex().as_str(), "fill_seconds": round(self.fill_s),
            "prove_seconds": round(self.prove_s), "seconds": round(seconds),
            "rows_per_s": per_second(given.rows, seconds),
        })
    }
}

async fn take(
    giver: &EmbeddedGiver,
    at: &Intake,
    counts: &[(Table, u64)],
    newest: u64,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Taken>, StoreError> {
    let mut fills = Vec::with_capacity(counts.len());
    for (table, _) in counts {
        let began = clock::steady();
        let rows = fill(giver, at, *table, &|_| {}).await?;
        let seconds = began.elapsed().as_secs_f64();
        if rows > 0 {
            say(&format!("moved {table}: {rows} rows in {seconds:.1} s"));
        }
        fills.push(seconds);
    }
    at.settle(newest).await?;
    let mut taken = Vec::with_capacity(counts.len());
    for ((table, counted), fill_s) in counts.iter().zip(fills) {
        let began = clock::steady();
        let proof = prove(giver, at, *table).await?;
        let prove_s = began.elapsed().as_secs_f64();
        if proof.given.rows > 0 {
            say(&format!(
                "compared {table}: {} rows in {prove_s:.1} s",
                proof.given.rows
            ));
        }
        taken.push(Taken {
            table: *table,
            counted: *counted,
            proof,
            fill_s,
            prove_s,
        });
    }
    Ok(taken)
}

fn estimate(rows: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = rows as f64 / ROWS_PER_S;
    let time = if seconds < 60.0 {
        "less than a minute".to_owned()
    } else {
        format!("about {:.0} minutes", (seconds / 60.0).ceil())
    };
    format!("{rows} rows to move and to compare: {time}; the department has no server meanwhile")
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn per_second(rows: u64, seconds: f64) -> u64 {
    (rows as f64 / seconds.max(0.001)).round() as u64
}
