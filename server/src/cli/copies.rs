//! `backup`, `restore`, `verify-backup`, `migrate`: options and words; the work is in `ops::backup` and `ops::moving`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin, show};
use crate::data_dir::DataDir;
use crate::error::{Exit, Fault};
use crate::ops::{backup as copies, log, moving, tiers, verify as checking};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use vitrine_clinical::UtcMs;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    data: Data,
    /// File to make.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Also write the key that opens backups of this folder on another machine; keep it apart from them.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    data: Data,
    /// Backup file; with --at the newest one from before that moment is found by itself.
    #[arg(long, value_name = "FILE", required_unless_present = "at")]
    from: Option<PathBuf>,
    /// Recovery key file, when the folder does not hold the keys.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Stop at this moment, e.g. 2026-11-26T14:03:07Z: exactly what was committed by then.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Folder of the redo log (default: the one of the configuration).
    #[arg(long, value_name = "FOLDER", requires = "at")]
    redo: Option<PathBuf>,
    /// Move what is in the folder aside.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Backup file.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Data folder whose keys open it.
    #[arg(long, value_name = "DIR", required_unless_present = "recovery_key")]
    data: Option<PathBuf>,
    /// Recovery key file.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Folder of the redo log that goes on from this backup (default: the data folder's).
    #[arg(long, value_name = "FOLDER")]
    redo: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Data folder.
    #[arg(long, value_name = "DIR", required_unless_present = "from_embedded")]
    data: Option<PathBuf>,
    /// Data folder whose embedded store moves into the empty database of --database-url; no server may run in it.
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    from_embedded: Option<PathBuf>,
}

fn whole(path: &Path, option: &str) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|e| Fault::io(option, path, &e))
}

pub(super) async fn backup(context: &Context, args: BackupArgs) -> Result<Outcome, Fault> {
    let to = whole(&args.to, "--to")?;
    let recovery_key = args
        .recovery_key
        .as_ref()
        .map(|p| whole(p, "--recovery-key"))
        .transpose()?;
    admin::act(context, &args.data, Act::Backup { to, recovery_key }).await
}

fn key(dir: Option<&PathBuf>, recovery_key: Option<&PathBuf>) -> Result<Zeroizing<[u8; 32]>, Fault> {
    match (recovery_key, dir) {
        (Some(path), _) => copies::read_recovery_key(path),
        (None, Some(path)) => {
            let dir = DataDir::open(path, false)?;
            dir.must_be_set_up().map_err(|_| {
                Fault::usage(format!(
                    "{} holds no keys: give --recovery-key FILE",
                    path.display()
                ))
            })?;
            copies::folder_key(&dir)
        }
        (None, None) => Err(Fault::usage("name --data DIR or --recovery-key FILE")),
    }
}

/// The moment with its log. A log outside the folder may belong to a server that runs.
fn until(context: &Context, dir: &DataDir, at: UtcMs, redo: Option<&Path>) -> Result<copies::Until, Fault> {
    let folder = match redo {
        Some(path) => whole(path, "--redo")?,
        None => log::folder(dir, &context.config(dir)?.redo),
    };
    if !folder.is_dir() {
        return Err(Fault::usage(format!(
            "--at: there is no redo log in {}: switch redo.keep on before it is needed, or name its folder with --redo",
            folder.display()
        )));
    }
    let live = !folder.starts_with(dir.root());
    Ok(copies::Until { at, folder, live })
}

fn must_be_file(path: &Path) -> Result<(), Fault> {
    if path.is_file() {
        Ok(())
    } else {
        Err(Fault::usage(format!("--from: {} is not a file", path.display())))
    }
}

pub(super) async fn restore(context: &Context, args: RestoreArgs) -> Result<Outcome, Fault> {
    let at = args.at.as_deref().map(log::moment).transpose()?;
    if let Some(from) = &args.from {
        must_be_file(from)?;
    }
    let made_here = !args.data.data.exists();
    let key = key(
        Some(&args.data.data).filter(|_| !made_here),
        args.recovery_key.as_ref(),
    )
    .map_err(|f| {
        if made_here {
            Fault::usage("the folder is new and holds no keys: give --recovery-key FILE")
        } else {
            f
        }
    })?;
    let dir = DataDir::open(&args.data.data, true)?;
    let until = match at {
        Some(at) => Some(until(context, &dir, at, args.redo.as_deref())?),
        None => None,
    };
    let from = match (args.from, &until) {
        (Some(from), _) => from,
        (None, Some(until)) => log::base_for(&until.folder, until.at)?.path,
        (None, None) => return Err(Fault::usage("--from: name the backup")),
    };
    let json = copies::restore(&dir, &from, &key, args.force, until.as_ref()).await?;
    Ok(Outcome::done(json.clone(), show::words(show::Kind::Lines, &json)))
}

pub(super) async fn verify(context: &Context, args: VerifyArgs) -> Result<Outcome, Fault> {
    if args.from.is_dir() {
        must_be_file(&args.from)?;
    }
    let key = key(args.data.as_ref(), args.recovery_key.as_ref())?;
    let from = whole(&args.from, "--from")?;
    let dir = match &args.data {
        Some(data) => Some(DataDir::open(data, false)?),
        None => None,
    };
    let redo = match (&args.redo, &dir) {
        (Some(path), _) => Some(whole(path, "--redo")?),
        (None, Some(dir)) => {
            let config = context.config(dir)?.redo;
            Some(log::folder(dir, &config)).filter(|f| config.keep || f.exists())
        }
        (None, None) => None,
    };
    let mut live = args.redo.is_some();
    if let (Some(data), Some(dir)) = (&args.data, &dir)
        && redo.is_some()
        && dir.try_lock()?.is_none()
    {
        live = true;
        admin::act(context, &Data { data: data.clone() }, Act::SettleLog).await?;
    }
    let log = redo.map(|folder| checking::Log { folder, live });
    let packs = match &dir {
        Some(dir) => Some(tiers::folders(dir, &context.config(dir)?.archive)),
        None => None,
    };
    let found = checking::verify(&from, &key, dir.as_ref(), log, packs).await?;
    if let Some(data) = args.data {
        let act = Act::BackupVerified {
            file: found.file.clone(),
            sha256: found.sha256.clone(),
            whole: found.whole,
            faults: found.faults.len(),
        };
        admin::act(context, &Data { data }, act).await?;
    }
    if let Some(first) = found.faults.first() {
        // Loud also where only stderr is looked at.
        eprintln!("vitrine-server: the backup is NOT whole: {first}");
    }
    let exit = if found.whole { Exit::Done } else { Exit::Unsafe };
    let mut json =
        serde_json::to_value(&found).map_err(|e| Fault::failed(format!("writing the result: {e}")))?;
    json["result"] = checking::result_beside(&from).display().to_string().into();
    Ok(Outcome {
        exit,
        words: show::words(show::Kind::Lines, &json),
        json,
    })
}

/// Opening the store brings it to this program's schema; a newer one is refused.
pub(super) async fn migrate(context: &Context, args: MigrateArgs) -> Result<Outcome, Fault> {
    let data = match (args.from_embedded, args.data) {
        (Some(from), _) => return move_embedded(context, &from).await,
        (None, Some(data)) => data,
        (None, None) => return Err(Fault::usage("name --data DIR or --from-embedded DIR")),
    };
    let dir = DataDir::open(&data, false)?;
    dir.must_be_set_up()?;
    let lock = dir.lock()?;
    let ground = admin::open(context, dir, &lock).await?;
    let json = json!({"schema": copies::SCHEMA, "backend": ground.files.kind(), "migrated": true});
    Ok(Outcome::done(json.clone(), show::words(show::Kind::Lines, &json)))
}

async fn move_embedded(context: &Context, from: &Path) -> Result<Outcome, Fault> {
    let dir = DataDir::open(from, false)?;
    dir.must_be_set_up()?;
    let config = context.config(&dir)?;
    if config.database.url.is_empty() {
        return Err(Fault::usage(
            "--from-embedded: name the empty database with --database-url URL",
        ));
    }
    let moved = moving::move_embedded(&dir, &config, &|line| eprintln!("{line}")).await?;
    let columns = &["table", "rows", "held", "equal", "seconds", "rows_per_s"];
    let table = show::words(show::Kind::Table("tables", columns), &moved.json);
    Ok(Outcome {
        exit: if moved.equal { Exit::Done } else { Exit::Some },
        words: format!("{table}{}", moved.words),
        json: moved.json,
    })
}
