//! `audit verify` and `audit export`.
//!
//! Lives here: walking the chains, each against its own hashes and against the log over all of them. Never here: what a
//! chain is (`vitrine_access::chain`), the log (`audit_tree`). Called by `cli::acts` and `http::console`.

use super::audit_tree::Tree;
use super::audit_tree::check::{self as tree, Whole};
use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::error::{Exit, Fault};
use crate::ops::backup::Files;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use vitrine_access::chain::{ChainFault, Head, Verifier};
use vitrine_access::tree::book::{Book, Compare};
use vitrine_access::{Disclosure, Permit, action};
use vitrine_store::{Store, StoreError};

/// Rows read at a time.
const STEP: usize = 2000;

/// What is wrong with the chains, and how far they reach.
#[derive(Default)]
pub struct Checked {
    /// One object per chain.
    pub chains: Vec<Value>,
    /// Rows in all.
    pub rows: u64,
    /// Chains with a fault, and the log if it has one.
    pub faults: usize,
    /// What there is to say of the log over the chains.
    pub tree: Value,
    /// The log, for further comparisons.
    log: Option<Whole>,
}

impl Checked {
    /// What it says, without the log.
    #[must_use]
    pub fn said(&self) -> Self {
        Self {
            chains: self.chains.clone(),
            tree: self.tree.clone(),
            log: None,
            ..*self
        }
    }
}

/// Checks every chain against its rows and, with `files`, against the head that is kept outside the database.
///
/// # Errors
/// [`StoreError`] when the rows cannot be read.
pub async fn check(
    store: &dyn Store,
    files: Option<&dyn Files>,
    log: &Tree,
    permit: Permit<action::ReadAudit>,
) -> Result<Checked, StoreError> {
    let mut out = Checked::default();
    let permit = permit.noted("use", "verify");
    store.append(permit.entry(Disclosure::default())).await?;
    let (log, stopped) = tree::whole(log, store).await;
    let empty = Book::new();
    let book = log.as_ref().map_or(&empty, |w| &w.book);
    let mut heads = store.heads().await?;
    for chain in book.names() {
        if !heads.iter().any(|(c, _)| c == chain) {
            heads.push((chain.clone(), Head::EMPTY));
        }
    }
    for (chain, head) in heads {
        let (mut compare, mut unlike) = (Compare::new(book, &chain), None);
        let mut verifier = Verifier::new(Some(head).filter(|h| h.seq > 0));
        let (mut after, mut rows, mut fault) = (0, 0_u64, None);
        'chain: loop {
            let some = match store.rows(&permit, &chain, after, STEP).await {
                Ok(some) => some,
                Err(StoreError::Chain(f)) => {
                    fault = Some(f);
                    break;
                }
                Err(e) => return Err(e),
            };
            if some.is_empty() {
                break;
            }
            for r in some {
                after = r.row.seq.max(after + 1);
                rows += 1;
                if unlike.is_none() {
                    unlike = compare.push(r.row.seq, &r.row.hash).err();
                }
                if let Err(f) = verifier.push(&r.row) {
                    fault = Some(f);
                    break 'chain;
                }
            }
        }
        let end = match fault {
            Some(f) => Err(f),
            None => verifier.finish(),
        };
        let unlike = unlike.or_else(|| end.as_ref().ok().and_then(|_| compare.finish().err()));
        out.rows += rows;
        let mut said = chain_json(&chain, rows, &end);
        // The log knows the row that was changed; the chain may name a later one, or none.
        if let Some((seq, why)) =
            unlike.filter(|(seq, _)| end.as_ref().err().is_none_or(|f| *seq <= f.first_bad()))
        {
            said["whole"] = false.into();
            said["first_bad"] = seq.into();
            said["fault"] = format!("row {seq} {why}: the log over all chains has another").into();
        }
        out.faults += usize::from(said["whole"] == false);
        out.chains.push(said);
    }
    if out.faults == 0
        && let Some(files) = files
    {
        against_seal(files, &mut out).await?;
    }
    out.tree = tree::log_json(log.as_ref(), stopped.as_ref());
    out.faults += usize::from(stopped.is_some());
    out.log = log;
    Ok(out)
}

/// The same for whoever runs a command on this machine.
///
/// # Errors
/// [`Fault`].
pub async fn check_all(ground: &Ground) -> Result<Checked, Fault> {
    Ok(check(
        &*ground.store,
        Some(&*ground.files),
        &ground.tree,
        ground.permit()?,
    )
    .await?)
}

/// Rows gone from the end show only against the head that is sealed outside the database.
async fn against_seal(files: &dyn Files, out: &mut Checked) -> Result<(), StoreError> {
    let fault = match files.verify_audit().await {
        Ok(()) => return Ok(()),
        Err(StoreError::Chain(f)) => (Some(f.first_bad()), f.to_string()),
        Err(StoreError::Refused(text)) => (None, text),
        Err(e) => return Err(e),
    };
    out.faults += 1;
    for chain in out.chains.iter_mut().filter(|c| c["chain"] == "server") {
        chain["whole"] = false.into();
        chain["first_bad"] = fault.0.into();
        chain["fault"] = fault.1.clone().into();
    }
    Ok(())
}

fn chain_json(chain: &str, rows: u64, end: &Result<Head, ChainFault>) -> Value {
    match end {
        Ok(head) => {
            json!({"chain": chain, "rows": rows, "whole": true, "head": crate::keys::hex(&head.hash)})
        }
        Err(f) => {
            json!({"chain": chain, "rows": rows, "whole": false, "first_bad": f.first_bad(), "fault": f.to_string()})
        }
    }
}

/// `audit verify`. `witness`: a file that a witness wrote. `code`: of a checkpoint on paper.
///
/// # Errors
/// [`Fault`].
pub async fn verify(ground: &Ground, witness: Option<&Path>, code: Option<&str>) -> Result<Given, Fault> {
    let began = clock::steady();
    let mut checked = check_all(ground).await?;
    let unread = || {
        Fault::failed(
            "the audit log cannot be read, so nothing can be compared with it: 'audit verify' says why",
        )
    };
    let (mut seen, mut paper) = (Value::Null, Value::Null);
    if let Some(file) = witness {
        seen = tree::witness(ground, checked.log.as_ref().ok_or_else(unread)?, file)?;
        checked.faults += usize::from(seen["whole"] == false);
    }
    if let Some(code) = code {
        paper = tree::paper(checked.log.as_ref().ok_or_else(unread)?, code)?;
        checked.faults += usize::from(paper["whole"] == false);
    }
    let exit = if checked.faults == 0 {
        Exit::Done
    } else {
        Exit::Some
    };
    let first_bad = checked.chains.iter().find(|c| c["whole"] == false);
    Ok(given(
        exit,
        json!({
            "whole": checked.faults == 0, "rows": checked.rows, "chains": checked.chains,
            "first_bad": first_bad.map_or_else(|| seen["first_bad"].clone(), |c| json!({"chain": c["chain"], "row": c["first_bad"]})),
            "tree": checked.tree, "witness": seen, "code": paper,
            "seconds": began.elapsed().as_secs_f64(),
        }),
    ))
}

/// Rows taken into the index at a time.
const TAKEN: usize = 200;

/// `audit reindex`: empties the index and makes it anew.
///
/// # Errors
/// [`Fault`].
pub async fn reindex(ground: &Ground) -> Result<Given, Fault> {
    let permit = ground
        .permit::<action::OperateServer>()?
        .noted("use", "audit-reindex");
    ground.store.append(permit.entry(Disclosure::default())).await?;
    ground.files.forget_audit_index().await?;
    while ground.store.catch_up(TAKEN).await? > 0 {}
    let rows: u64 = ground.store.heads().await?.iter().map(|(_, head)| head.seq).sum();
    Ok(given(Exit::Done, json!({"rows": rows, "indexed": true})))
}

/// `audit export`: the rows of a chain as NDJSON, each with its chain values.
///
/// # Errors
/// [`Fault`].
pub async fn export(ground: &Ground, chain: &str, to: &Path) -> Result<Given, Fault> {
    let heads = ground.store.heads().await?;
    if chain != "server" && !heads.iter().any(|(c, _)| c == chain) {
        let names: Vec<&str> = heads.iter().map(|(c, _)| c.as_str()).collect();
        return Err(Fault::usage(format!(
            "--chain '{chain}' does not exist: choose one of server, {}",
            names.join(", ")
        )));
    }
    let permit = ground
        .permit::<action::ReadAudit>()?
        .noted("use", "export")
        .noted("chain", chain);
    ground.store.append(permit.entry(Disclosure::default())).await?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(to)
        .map_err(|e| Fault::io("--to: cannot make", to, &e))?;
    let mut out = std::io::BufWriter::new(file);
    let failed = |e: std::io::Error| Fault::io("writing", to, &e);
    let (mut after, mut rows) = (0, 0_u64);
    loop {
        let some = ground.store.rows(&permit, chain, after, STEP).await?;
        let Some(last) = some.last() else { break };
        after = last.row.seq;
        for r in some {
            let body: &serde_json::value::RawValue = serde_json::from_str(&r.row.body).map_err(|_| {
                Fault::failed(format!(
                    "row {} is not JSON: run 'vitrine-server audit verify'",
                    r.row.seq
                ))
            })?;
            let line = json!({"seq": r.row.seq, "prev": crate::keys::hex(&r.row.prev), "hash": crate::keys::hex(&r.row.hash)});
            let line = line.to_string();
            let head = line.strip_suffix('}').unwrap_or(&line);
            writeln!(out, "{head},\"entry\":{}}}", body.get()).map_err(failed)?;
            rows += 1;
        }
    }
    out.flush().map_err(failed)?;
    Ok(given(
        Exit::Done,
        json!({"chain": chain, "rows": rows, "file": to.display().to_string()}),
    ))
}
