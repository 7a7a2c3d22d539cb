//! `archive …`: legal hold and destruction; the work is in `ops::archive`.

use super::acts::{Act, secrets_from_stdin};
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::archive::{Asked, Proven};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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

fn proven(who: Who) -> Result<Proven, Fault> {
    let (password, _) = secrets_from_stdin()?;
    Ok(Proven {
        user: who.by,
        password: password.unwrap_or_default(),
    })
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
