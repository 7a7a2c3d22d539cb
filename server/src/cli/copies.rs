//! `backup`, `restore`, `verify-backup`, `migrate`: options and words; the work is in `ops::backup` and `ops::moving`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin, show};
use crate::data_dir::DataDir;
use crate::error::{Exit, Fault};
use crate::ops::backup as copies;
use crate::ops::moving;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
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
    /// Backup file.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Recovery key file, when the folder does not hold the keys.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Point in time: comes with a later version.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
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

fn must_be_file(path: &Path) -> Result<(), Fault> {
    if path.is_file() {
        Ok(())
    } else {
        Err(Fault::usage(format!("--from: {} is not a file", path.display())))
    }
}

pub(super) async fn restore(_: &Context, args: RestoreArgs) -> Result<Outcome, Fault> {
    if args.at.is_some() {
        return Err(Fault::usage(
            "--at comes with a later version: restore the backup whole",
        ));
    }
    must_be_file(&args.from)?;
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
    let json = copies::restore(&dir, &args.from, &key, args.force).await?;
    Ok(Outcome::done(json.clone(), show::words(show::Kind::Lines, &json)))
}

pub(super) async fn verify(_: &Context, args: VerifyArgs) -> Result<Outcome, Fault> {
    must_be_file(&args.from)?;
    let key = key(args.data.as_ref(), args.recovery_key.as_ref())?;
    let from = whole(&args.from, "--from")?;
    let json = copies::verify(&from, &key).await?;
    let exit = if json["whole"] == true {
        Exit::Done
    } else {
        Exit::Some
    };
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
