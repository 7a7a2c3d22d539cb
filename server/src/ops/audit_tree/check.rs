//! `audit verify`'s part about the log, `audit checkpoint`, `audit prove`.
//!
//! Lives here: comparing the log with what a witness or a piece of paper says; proofs. Never here: walking the chains
//! (`ops::audit`). Called by `ops::audit` and `cli::acts`. None of it shows what is in a row.

use super::{Tree, TreeFault};
use crate::cli::acts::{Given, Ground, given};
use crate::error::{Exit, Fault};
use crate::keys::{self, hex};
use serde_json::{Value, json};
use std::path::Path;
use vitrine_access::tree::book::{Book, Line, Seen, WitnessFault};
use vitrine_access::tree::note::{Checkpoint, verifier_key};
use vitrine_access::tree::{book, code, inclusion, root};
use vitrine_store::Store;

/// The log as it is after everything was taken in.
pub struct Whole {
    /// Its leaves.
    pub book: Book,
    /// Its name.
    pub origin: String,
    /// The newest signed note; `None` while it is empty.
    pub note: Option<String>,
}

/// Takes in what is new and gives the log.
///
/// # Errors
/// [`TreeFault`] when it is stopped; it is given all the same where it can be read.
pub async fn whole(tree: &Tree, store: &dyn Store) -> (Option<Whole>, Option<TreeFault>) {
    let fault = tree.turn(store).await;
    let read = tree.with(|disk, _| {
        Ok(Whole {
            book: disk.book()?,
            origin: disk.origin().to_owned(),
            note: disk.newest().map(str::to_owned),
        })
    });
    match read.await {
        Ok(whole) => (Some(whole), fault),
        Err(e) => (None, Some(fault.unwrap_or(e))),
    }
}

/// What there is to say of the log itself.
#[must_use]
pub fn log_json(whole: Option<&Whole>, fault: Option<&TreeFault>) -> Value {
    json!({
        "whole": fault.is_none(), "fault": fault.map(ToString::to_string),
        "size": whole.map(|w| w.book.hashes().len()),
        "origin": whole.map(|w| w.origin.clone()),
    })
}

/// Compares what a witness wrote down.
///
/// # Errors
/// [`Fault`] when its file cannot be read.
pub fn witness(ground: &Ground, whole: &Whole, file: &Path) -> Result<Value, Fault> {
    let text = std::fs::read(file).map_err(|e| Fault::io("--witness: cannot read", file, &e))?;
    let text = String::from_utf8_lossy(&text);
    let public = ground.keys.public();
    let (mut lines, mut bad) = (Vec::<(usize, Seen)>::new(), None);
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let opened = Line::parse(line).and_then(|l| l.open(&public, |m, s| keys::verifies(&public, m, s)));
        match opened {
            Ok(seen) => lines.push((i + 1, seen)),
            Err(why) => {
                bad.get_or_insert(WitnessFault::Line { line: i + 1, why });
            }
        }
    }
    if lines.is_empty() && bad.is_none() {
        return Err(Fault::usage(format!(
            "--witness {}: it holds no checkpoint: name the file that a witness of this server wrote",
            file.display()
        )));
    }
    // A row that is another goes before a line that cannot be read.
    let (borne, fault) = match book::check(&whole.book, &whole.origin, &lines) {
        Ok(borne) => (borne, bad),
        Err(row @ WitnessFault::Row { .. }) => (book::Borne::default(), Some(row)),
        Err(other) => (book::Borne::default(), Some(bad.unwrap_or(other))),
    };
    let first_bad = match &fault {
        Some(WitnessFault::Row {
            chain, seq, by, why, ..
        }) => Some(json!({"chain": chain, "row": seq, "by": by, "why": why})),
        _ => None,
    };
    Ok(json!({
        "whole": fault.is_none(), "fault": fault.map(|f| f.to_string()), "first_bad": first_bad,
        "lines": borne.lines, "size": borne.size, "earlier": borne.earlier,
    }))
}

/// Compares a code on paper.
///
/// # Errors
/// [`Fault`] for what is no code.
pub fn paper(whole: &Whole, said: &str) -> Result<Value, Fault> {
    let said: String = said
        .trim()
        .to_uppercase()
        .replace(['O'], "0")
        .replace(['I', 'L'], "1");
    let size = said.split('-').next().and_then(|s| s.parse::<usize>().ok());
    let size = size.ok_or_else(|| {
        Fault::usage(format!(
            "--code '{said}' is none: it is printed by 'vitrine-server audit checkpoint'"
        ))
    })?;
    let fault = match whole.book.hashes().get(..size) {
        None => Some(format!(
            "the code is of {size} rows, the log has {}: rows are gone",
            whole.book.hashes().len()
        )),
        Some(then) if code(size as u64, &root(then)) != said => Some(format!(
            "the first {size} rows are not those that the code was printed of"
        )),
        Some(_) => None,
    };
    Ok(json!({"whole": fault.is_none(), "fault": fault, "size": size}))
}

async fn sound(ground: &Ground) -> Result<(Whole, String, Checkpoint), Fault> {
    let (whole, fault) = whole(&ground.tree, &*ground.store).await;
    if let Some(fault) = fault {
        return Err(Fault::failed(format!("the audit log is stopped: {fault}")));
    }
    let public = ground.keys.public();
    let whole = whole.ok_or_else(|| Fault::failed("the audit log cannot be read"))?;
    let note = whole
        .note
        .clone()
        .ok_or_else(|| Fault::failed("the audit log has no row yet"))?;
    let checkpoint = Checkpoint::open(&note, &public, |m, s| keys::verifies(&public, m, s))
        .map_err(|e| Fault::failed(format!("the newest checkpoint: {e}")))?;
    Ok((whole, note, checkpoint))
}

/// `audit checkpoint`.
///
/// # Errors
/// [`Fault`] when the log is stopped.
pub async fn checkpoint(ground: &Ground) -> Result<Given, Fault> {
    let (_, note, c) = sound(ground).await?;
    let json = json!({
        "origin": c.origin, "size": c.size, "root": hex(&c.root), "code": code(c.size, &c.root), "note": note,
        "key": verifier_key(&c.origin, &ground.keys.public()),
    });
    Ok(given(Exit::Done, json))
}

/// `audit prove`.
///
/// # Errors
/// [`Fault`] when the log is stopped, or has no such row.
pub async fn prove(ground: &Ground, chain: &str, seq: u64) -> Result<Given, Fault> {
    let (whole, note, c) = sound(ground).await?;
    let index = whole.book.index(chain, seq).ok_or_else(|| {
        let rows = whole.book.rows(chain);
        Fault::usage(format!(
            "--chain {chain} --seq {seq}: there is no such row; that chain has {rows}, the chains are {}",
            whole.book.names().join(", ")
        ))
    })?;
    let leaf = whole.book.leaves()[index];
    let path = inclusion(whole.book.hashes(), index).unwrap_or_default();
    let json = json!({
        "chain": chain, "seq": seq, "row_hash": hex(&leaf.row), "salt": hex(&leaf.salt),
        "leaf": hex(&whole.book.hashes()[index]), "index": index, "size": c.size, "root": hex(&c.root),
        "path": path.iter().map(|h| hex(h)).collect::<Vec<_>>(),
        "note": note, "key": verifier_key(&c.origin, &ground.keys.public()),
    });
    Ok(given(Exit::Done, json))
}
