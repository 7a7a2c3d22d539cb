//! `archive …`: legal hold, destruction and tiers; the work is in `ops::archive` and `ops::tiers`.

use super::acts::Act;
use super::users::secrets_from_stdin;
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::archive::{Asked, Proven};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// How often a recall is looked at.
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

/// A record and why.
#[derive(Debug, Args)]
pub(super) struct Why {
    #[command(flatten)]
    data: Data,
    /// Patient id.
    #[arg(long, value_name = "ID")]
    patient: String,
    /// Why, in a sentence.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Who acts.
#[derive(Debug, Args)]
pub(super) struct Who {
    /// Sign-in name of whoever acts; the password is the first line of stdin.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Read the password from the first line of stdin (the only way).
    #[arg(long)]
    secret_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ArchiveCommand {
    /// Put a record under legal hold: nothing of it is destroyed until it is released.
    Hold(Why),
    /// Release a record from legal hold.
    Release(Why),
    /// List holds, and requests to destroy and how they stand.
    List(Data),
    /// Say what lies in which tier: hot in the database, warm in packs beside it, archive in packs elsewhere.
    Tiers(Data),
    /// Run the rules of the tiers once; with `archive.run` the server does it by itself.
    Move {
        #[command(flatten)]
        data: Data,
        /// Say what would move, and move nothing.
        #[arg(long)]
        dry_run: bool,
        /// As at this moment, e.g. 2033-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Bring packs back from the archive.
    Recall {
        #[command(flatten)]
        data: Data,
        /// Patient id.
        #[arg(
            long,
            value_name = "ID",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        patient: Option<String>,
        /// Every record.
        #[arg(long)]
        all: bool,
        /// Put the bodies back into the database too.
        #[arg(long)]
        hot: bool,
        /// Ask and do not wait.
        #[arg(long)]
        no_wait: bool,
    },
    /// List recalls under way with what is expected when, and check the packs' files.
    Status {
        #[command(flatten)]
        data: Data,
        /// Patient id.
        #[arg(long, value_name = "ID")]
        patient: Option<String>,
        /// Read every pack to its last byte.
        #[arg(long)]
        check: bool,
    },
    /// Destroy a record, with the approval of two people.
    #[command(subcommand)]
    Destroy(DestroyCommand),
    /// Print the certificate of a destruction and check its signature.
    Certificate {
        /// Id of the request.
        #[arg(required_unless_present = "check", conflicts_with = "check")]
        id: Option<String>,
        #[command(flatten)]
        data: Data,
        /// Check a certificate that was printed before.
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
}

/// A request.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Id of the request.
    id: String,
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, Subcommand)]
pub(super) enum DestroyCommand {
    /// Ask for the destruction of a record.
    Request {
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        who: Who,
    },
    /// Approve what somebody else asked for.
    Approve {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        who: Who,
    },
    /// Take a request back.
    Withdraw {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        who: Who,
    },
    /// Destroy the record and print the certificate.
    CarryOut(Which),
}

pub(super) fn proven(who: Who) -> Result<Proven, Fault> {
    let (password, _) = secrets_from_stdin()?;
    Ok(Proven {
        user: who.by,
        password: password.unwrap_or_default(),
    })
}

/// Asks, and shows how it goes until everything asked for is here.
async fn recall(
    context: &Context,
    data: &Data,
    patient: Option<String>,
    hot: bool,
    no_wait: bool,
) -> Result<Outcome, Fault> {
    let asked = Asked::Recall {
        patient: patient.clone(),
        hot,
    };
    let mut outcome = admin::act(context, data, Act::Archive(asked)).await?;
    let mut waits = !no_wait && outcome.json["done"] == false;
    let mut said = None;
    while waits {
        tokio::time::sleep(POLL).await;
        let progress = Asked::Progress {
            patient: patient.clone(),
        };
        let now = admin::act(context, data, Act::Archive(progress)).await?.json;
        waits = now["packs"].as_u64() > Some(0);
        let what = (
            now["packs"].clone(),
            now["left_bytes"].clone(),
            now["waits_for"].clone(),
        );
        if waits && said.as_ref() != Some(&what) {
            eprintln!(
                "{} packs, {} bytes to come, expected in {} s",
                now["packs"], now["left_bytes"], now["eta_s"]
            );
            if let Some(why) = now["waits_for"].as_str() {
                eprintln!(
                    "it waits: {why}; it is tried again every half minute, also when this command is ended"
                );
            }
        }
        said = Some(what);
    }
    if said.is_some()
        && let Some(o) = outcome.json.as_object_mut()
    {
        o.insert("done".to_owned(), true.into());
        o.insert("eta_s".to_owned(), 0.into());
        outcome.words = super::show::words(super::show::Kind::Lines, &outcome.json);
    }
    Ok(outcome)
}

pub(super) async fn archive(context: &Context, command: ArchiveCommand) -> Result<Outcome, Fault> {
    let why = |w: Why| (w.data, w.patient, w.reason);
    let (data, asked) = match command {
        ArchiveCommand::Hold(w) => {
            let (data, patient, reason) = why(w);
            (data, Asked::Hold { patient, reason })
        }
        ArchiveCommand::Release(w) => {
            let (data, patient, reason) = why(w);
            (data, Asked::Release { patient, reason })
        }
        ArchiveCommand::List(data) => (data, Asked::List),
        ArchiveCommand::Tiers(data) => (data, Asked::Tiers),
        ArchiveCommand::Move { data, dry_run, at } => (data, Asked::Move { dry_run, at }),
        ArchiveCommand::Recall {
            data,
            patient,
            hot,
            no_wait,
            ..
        } => return recall(context, &data, patient, hot, no_wait).await,
        ArchiveCommand::Status { data, patient, check } => (data, Asked::Status { patient, check }),
        ArchiveCommand::Destroy(DestroyCommand::Request { why: w, who }) => {
            let ((data, patient, reason), by) = (why(w), proven(who)?);
            (data, Asked::Request { patient, reason, by })
        }
        ArchiveCommand::Destroy(DestroyCommand::Approve { which, who }) => {
            let (id, by) = (which.id, proven(who)?);
            (which.data, Asked::Approve { id, by })
        }
        ArchiveCommand::Destroy(DestroyCommand::Withdraw { which, who }) => {
            let (id, by) = (which.id, proven(who)?);
            (which.data, Asked::Withdraw { id, by })
        }
        ArchiveCommand::Destroy(DestroyCommand::CarryOut(which)) => {
            (which.data, Asked::CarryOut { id: which.id })
        }
        ArchiveCommand::Certificate { id, data, check } => match (id, check) {
            (_, Some(file)) => {
                let file = std::path::absolute(&file).map_err(|e| Fault::io("cannot use", &file, &e))?;
                (data, Asked::Check { file })
            }
            (Some(id), None) => (data, Asked::Certificate { id }),
            (None, None) => return Err(Fault::usage("name the request, or --check FILE")),
        },
    };
    admin::act(context, &data, Act::Archive(asked)).await
}
