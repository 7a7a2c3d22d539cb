//! `review …`: reviews of broken glass; the work is in `ops::reviews`.

use super::acts::Act;
use super::archive::{Who, proven};
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::reviews::{Asked, How};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum ReviewCommand {
    /// List what waits for a decision, the oldest first.
    List {
        #[command(flatten)]
        data: Data,
        /// Those that are decided too, the newest first.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Show one with its history, and what speaks for or against it.
    Show {
        /// Id of the broken glass.
        id: String,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        who: Who,
    },
    /// Decide it, ask about it, or explain it.
    Decide {
        /// Id of the broken glass.
        id: String,
        /// What to do.
        how: How,
        /// Why, in a sentence.
        #[arg(long, value_name = "TEXT")]
        text: String,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        who: Who,
    },
    /// What came of them: open, overdue, closed in time.
    Stats {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        who: Who,
    },
}

pub(super) async fn review(context: &Context, command: ReviewCommand) -> Result<Outcome, Fault> {
    let (data, asked) = match command {
        ReviewCommand::List { data, all, who } => (
            data,
            Asked::List {
                all,
                by: proven(who)?,
            },
        ),
        ReviewCommand::Show { id, data, who } => (data, Asked::Show { id, by: proven(who)? }),
        ReviewCommand::Decide {
            id,
            how,
            text,
            data,
            who,
        } => {
            let by = proven(who)?;
            (data, Asked::Do { id, how, text, by })
        }
        ReviewCommand::Stats { data, who } => (data, Asked::Stats { by: proven(who)? }),
    };
    admin::act(context, &data, Act::Review(asked)).await
}
