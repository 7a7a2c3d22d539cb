//! `doctor`: is everything as it must be?
//!
//! Lives here: the checks and the report. Never here: repairs. Called by `cli::acts`.
//! The digests per scope are those that `vitrine-cli status` prints on a workstation that is current.

use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::error::{Exit, Fault};
use crate::keys;
use serde_json::{Map, Value, json};
use std::path::Path;
use vitrine_wire::digest::ScopeDigest;

/// So long may rows be missing at the audit repository before it is a fault: as long as the alert waits.
const REPOSITORY_LATE_S: f64 = 900.0;

/// The report.
///
/// # Errors
/// [`Fault`] when the store cannot be asked at all.
pub async fn doctor(ground: &Ground) -> Result<Given, Fault> {
    let began = clock::steady();
    let mut faults: Vec<String> = Vec::new();
    let counts = ground.store.counts().await?;
    let integrity = ground.files.integrity().await?;
    faults.extend(integrity.iter().map(|f| format!("database: {f}")));
    let audit = super::audit::check_all(ground).await?;
    if audit.faults > 0 {
        faults.push("audit: a chain is broken or the log over the chains is stopped; 'vitrine-server audit verify' names the row".to_owned());
    }
    let witnesses: Vec<Value> = ground
        .tree
        .witnesses()
        .iter()
        .map(|w| json!({"name": w.config.name, "behind_seconds": w.behind_s(), "error": w.stand().error}))
        .collect();
    for w in ground.tree.witnesses() {
        if let Some(why) = w.stand().error {
            faults.push(format!(
                "audit: the witness {} does not get checkpoints: {why}",
                w.config.name
            ));
        }
    }
    let mail = match &ground.mailer {
        None => Value::Null,
        Some(mailer) => {
            let error = mailer.reach().await.err();
            if let Some(why) = &error {
                faults.push(format!(
                    "mail: {} cannot be used, nobody is told of broken glass: {why}",
                    mailer.server
                ));
            }
            json!({"server": mailer.server, "error": error})
        }
    };
    if let Some((behind, error)) = &ground.repository
        && *behind > REPOSITORY_LATE_S
    {
        faults.push(format!(
            "audit: the audit repository has been missing rows for {behind:.0} s: {}",
            error.as_deref().unwrap_or("it is being brought up")
        ));
    }
    let days = keys::certificate_days_left(&ground.dir.tls_pem());
    match days {
        None => faults.push(format!(
            "certificate: {} cannot be read",
            ground.dir.tls_pem().display()
        )),
        Some(d) if d < 30 => faults.push(format!(
            "certificate: ends in {d} days; it is renewed at the next start"
        )),
        Some(_) => {}
    }
    let redo = redo(ground, &mut faults).await?;
    let packs = ground.store.packs(vitrine_store::tiers::PacksOf::All).await?;
    faults.extend(ground.store.check_packs(false).await?);
    let copies = ground.store.copies_report().await?;
    if copies.lost > 0 {
        faults.push(format!(
            "images: {} originals are damaged or gone and no target has a verified copy; 'vitrine-server images copies' names them",
            copies.lost
        ));
    }
    let verified = last_verified(ground, &mut faults);
    let rights = rights(ground);
    faults.extend(rights.iter().cloned());
    let free = free_bytes(ground.dir.root());
    if free.is_some_and(|f| f < 1 << 30) {
        faults.push("disk: less than 1 GiB is free".to_owned());
    }
    let epoch = ground.store.epoch().await?;
    let feed = ground.store.changes_since(u64::MAX >> 1, None, 1).await;
    let oldest = match &feed {
        Ok(b) => b.oldest,
        Err(_) => 0,
    };
    let json = json!({
        "healthy": faults.is_empty(),
        "faults": faults,
        "version": env!("CARGO_PKG_VERSION"),
        "backend": ground.files.kind(),
        "schema": super::backup::SCHEMA,
        "epoch": epoch,
        "feed": {"pos": *ground.store.watch().borrow(), "oldest": oldest},
        "counts": counts,
        "digests": digests(ground).await?,
        "audit": {"whole": audit.faults == 0, "rows": audit.rows, "chains": audit.chains, "tree": audit.tree, "witnesses": witnesses,
            "repository": ground.repository.as_ref().map(|(s, why)| json!({"behind_seconds": s, "error": why}))},
        "mail": mail,
        "certificate": {"days_left": days, "fingerprint": ground.certificate_fingerprint, "ca_fingerprint": ground.ca_fingerprint},
        "keys": {"sealed_by": keys::SEALER_KIND},
        "backup": {"verified": verified},
        "redo": redo,
        "packs": super::tiers::relied_on(&packs),
        "images": {"lost": copies.lost},
        "disk": {"free_bytes": free, "database_bytes": size(&ground.dir.database())},
        "rights": {"wrong": rights},
        "demo": ground.dir.is_demo(),
        "seconds": began.elapsed().as_secs_f64(),
    });
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Some };
    Ok(given(exit, json))
}

/// The digest of the directory, of every ward's essentials and board, and of the site's essentials. Patients' scopes
/// are as many as there are patients; they are compared when a workstation holds them.
async fn digests(ground: &Ground) -> Result<Value, Fault> {
    let mut scopes = vec!["dir".to_owned(), "ess:site".to_owned()];
    let mut wards = ground.files.wards().await?;
    wards.extend(ground.store.devices().await?.into_iter().map(|d| d.ward));
    wards.sort();
    wards.dedup();
    for ward in wards {
        scopes.push(format!("ess:{ward}"));
        scopes.push(format!("board:{ward}"));
    }
    let mut out = Map::new();
    for scope in scopes {
        let (refs, pos) = ground.store.scope_refs(&scope).await?;
        let mut digest = ScopeDigest::default();
        for r in &refs {
            digest.add(&r.key, r.ver, &r.hash);
        }
        out.insert(
            scope,
            json!({"digest": digest.hex(), "items": refs.len(), "pos": pos}),
        );
    }
    Ok(Value::Object(out))
}

/// Whether the redo log is kept as asked, and since when a restore can stop at any moment.
async fn redo(ground: &Ground, faults: &mut Vec<String>) -> Result<Value, Fault> {
    if !ground.redo.keep {
        return Ok(json!({"keep": false}));
    }
    let fault = ground.files.settle_log().await?;
    if let Some(f) = &fault {
        faults.push(format!(
            "redo log: it is not kept any more ({f}): mend that, and the running server begins a new one within a minute"
        ));
    }
    let bases = super::log::bases(&super::log::folder(&ground.dir, &ground.redo))?;
    let from = bases.first().map(|b| clock::instant(b.at));
    Ok(json!({"keep": true, "restorable_from": from, "backups": bases.len(), "fault": fault}))
}

/// What `verify-backup` last said of a backup of this folder; `null` when it never ran.
fn last_verified(ground: &Ground, faults: &mut Vec<String>) -> Value {
    let path = super::verify::last_result(&ground.dir);
    if !path.exists() {
        return Value::Null;
    }
    match super::verify::read_result(&path, &ground.server_key) {
        Ok(v) => {
            if !v.whole {
                faults.push(format!(
                    "backup: {} was checked at {} and is not whole: make another and check it",
                    v.file, v.at
                ));
            }
            json!({"file": v.file, "at": v.at, "made": v.made, "whole": v.whole})
        }
        Err(e) => {
            faults.push(format!("backup: {e}"));
            Value::Null
        }
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

/// Files others may read that they must not.
fn rights(ground: &Ground) -> Vec<String> {
    let mut wrong = Vec::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut secret = vec![
            ground.dir.keys(),
            ground.dir.database(),
            ground.dir.root().to_owned(),
        ];
        if let Ok(inside) = std::fs::read_dir(ground.dir.keys()) {
            secret.extend(inside.filter_map(|e| e.ok().map(|e| e.path())));
        }
        for path in secret {
            let Ok(meta) = std::fs::metadata(&path) else {
                continue;
            };
            let mode = meta.permissions().mode() & 0o777;
            let fix = if meta.is_dir() { "700" } else { "600" };
            if mode & 0o077 != 0 {
                wrong.push(format!(
                    "rights: {} can be read by others ({mode:o}): chmod {fix} {}",
                    path.display(),
                    path.display()
                ));
            }
        }
    }
    wrong
}

/// Bytes free on the folder's disk, as `df` says.
fn free_bytes(path: &Path) -> Option<u64> {
    let out = std::process::Command::new("df")
        .arg("-Pk")
        .arg(path)
        .output()
        .ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let kib: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib * 1024)
}
