//! `images`: the quarantine of images, series looked at again, how the copies of originals stand and reading all of them
//! again.

use super::acts::Act;
use super::{Context, Data, Outcome, admin, show};
use crate::error::{Exit, Fault};
use crate::ops::copies;
use crate::ops::images::{Asked, Named};
use clap::Subcommand;

/// How often a scrub is looked at.
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum ImagesCommand {
    /// Work off the images that could not be filed.
    #[command(subcommand)]
    Quarantine(HeldCommand),
    /// Say how the originals and their copies stand at each target, and name those that are not in order.
    Copies(Data),
    /// Read every original and every copy again and compare it, now; mends what it can.
    Scrub(Data),
    /// Have series looked at again: their pixels are decoded anew, from the originals.
    LookAgain {
        #[command(flatten)]
        data: Data,
        /// Study Instance UID.
        #[arg(
            long,
            value_name = "UID",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        study: Option<String>,
        /// Every study: nothing can be shown until its turn has come.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HeldCommand {
    /// List images with code, place and reason, newest first.
    List {
        #[command(flatten)]
        data: Data,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Show what an image says of itself, and what would become of it now; written into the audit log.
    Show {
        /// Its number.
        id: u64,
        #[command(flatten)]
        data: Data,
    },
    /// File images again, as if they came anew.
    Refile {
        /// Their numbers.
        #[arg(
            value_name = "ID",
            required_unless_present = "all_of",
            conflicts_with = "all_of"
        )]
        ids: Vec<u64>,
        #[command(flatten)]
        data: Data,
        /// Every image with this code: C000, C001 or C002.
        #[arg(long, value_name = "CODE")]
        all_of: Option<String>,
        /// File them under this patient, whatever their headers say: an id, or an identifier such as the MRN.
        #[arg(long, value_name = "MRN", requires = "reason", conflicts_with = "all_of")]
        patient: Option<String>,
        /// Why they are this patient's; kept in the audit log.
        #[arg(long, value_name = "TEXT", requires = "patient")]
        reason: Option<String>,
    },
    /// Remove an image for good; the audit log keeps what it was.
    Discard {
        /// Its number.
        id: u64,
        #[command(flatten)]
        data: Data,
        /// Why; kept in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Begins it, and shows how it goes until everything was read.
async fn scrub(context: &Context, data: &Data) -> Result<Outcome, Fault> {
    let begun = admin::act(context, data, Act::Copies(copies::Asked::Scrub))
        .await?
        .json;
    let since_ms = begun["since_ms"].as_i64().unwrap_or(0);
    let mut said = None;
    loop {
        let asked = Act::Copies(copies::Asked::Progress { since_ms });
        let mut json = admin::act(context, data, asked).await?.json;
        let left = json["left"].as_u64().unwrap_or(0);
        if left > 0 && said != Some(left) {
            eprintln!("{left} of {} still to be read", begun["rows"]);
        }
        said = Some(left);
        let faulty = ["missing", "damaged", "failed", "lost"];
        let whole = faulty.iter().all(|k| json[k].as_u64() == Some(0));
        let away = json["away"].as_array().is_some_and(|a| !a.is_empty());
        if left == 0 {
            if let Some(o) = json.as_object_mut() {
                o.insert("rows".to_owned(), begun["rows"].clone());
            }
            let words = show::words(show::Kind::Lines, &json);
            let exit = if whole && !away { Exit::Done } else { Exit::Some };
            return Ok(Outcome { exit, json, words });
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn images(context: &Context, command: ImagesCommand) -> Result<Outcome, Fault> {
    let (data, asked) = match command {
        ImagesCommand::Copies(data) => {
            return admin::act(context, &data, Act::Copies(copies::Asked::Copies)).await;
        }
        ImagesCommand::Scrub(data) => return scrub(context, &data).await,
        ImagesCommand::LookAgain { data, study, .. } => (data, Asked::LookAgain { study }),
        ImagesCommand::Quarantine(command) => match command {
            HeldCommand::List { data, limit } => (data, Asked::List { limit }),
            HeldCommand::Show { id, data } => (data, Asked::Show { id }),
            HeldCommand::Discard { id, data, reason } => (data, Asked::Discard { id, reason }),
            HeldCommand::Refile {
                data,
                all_of: Some(code),
                ..
            } => (data, Asked::RefileAll { code }),
            HeldCommand::Refile {
                ids,
                data,
                patient,
                reason,
                ..
            } => {
                let named = patient.zip(reason);
                let named = named.map(|(patient, reason)| Named { patient, reason });
                (data, Asked::Refile { ids, named })
            }
        },
    };
    admin::act(context, &data, Act::Images(asked)).await
}
