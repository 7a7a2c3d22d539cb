//! `message …`: HL7 v2 messages that came in; the work is in `ops::messages`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::messages::Asked;
use clap::Subcommand;
use std::path::PathBuf;
use vitrine_store::MessageState;

#[derive(Debug, Subcommand)]
pub(super) enum MessageCommand {
    /// List messages with what became of them, newest first.
    List {
        #[command(flatten)]
        data: Data,
        /// Of this feed alone.
        #[arg(long)]
        feed: Option<String>,
        /// In this state alone: received, applied, known, held or dropped.
        #[arg(long, value_parser = state)]
        state: Option<MessageState>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show a message and beside it what is made of it now; written into the audit log.
    Show {
        /// Its number.
        id: u64,
        #[command(flatten)]
        data: Data,
    },
    /// Decide held messages again, by what is recorded and configured now.
    Replay {
        /// Their numbers.
        #[arg(value_name = "ID", required_unless_present = "held", conflicts_with = "held")]
        ids: Vec<u64>,
        #[command(flatten)]
        data: Data,
        /// Every held message, in the order they came.
        #[arg(long)]
        held: bool,
        /// With --held: of this feed alone.
        #[arg(long, requires = "held")]
        feed: Option<String>,
    },
    /// Put a corrected copy in place of a held message; both are kept.
    Fix {
        /// Its number.
        id: u64,
        #[command(flatten)]
        data: Data,
        /// File with the corrected message.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Why; kept in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Decide that a held message is not to be applied; it is kept.
    Drop {
        /// Its number.
        id: u64,
        #[command(flatten)]
        data: Data,
        /// Why; kept in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Count messages by feed, day and type: how good each feed is.
    Counts {
        #[command(flatten)]
        data: Data,
        /// Of the last so many days.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
}

fn state(word: &str) -> Result<MessageState, String> {
    MessageState::parse(word).ok_or_else(|| "is received, applied, known, held or dropped".to_owned())
}

pub(super) async fn message(context: &Context, command: MessageCommand) -> Result<Outcome, Fault> {
    let (data, asked) = match command {
        MessageCommand::List {
            data,
            feed,
            state,
            limit,
        } => (data, Asked::List { feed, state, limit }),
        MessageCommand::Show { id, data } => (data, Asked::Show { id }),
        MessageCommand::Replay {
            data,
            held: true,
            feed,
            ..
        } => (data, Asked::ReplayHeld { feed }),
        MessageCommand::Replay { ids, data, .. } => (data, Asked::Replay { ids }),
        MessageCommand::Fix {
            id,
            data,
            file,
            reason,
        } => {
            let text = std::fs::read(&file).map_err(|e| Fault::io("--file: cannot read", &file, &e))?;
            (data, Asked::Fix { id, text, reason })
        }
        MessageCommand::Drop { id, data, reason } => (data, Asked::Drop { id, reason }),
        MessageCommand::Counts { data, days } => (data, Asked::Counts { days }),
    };
    admin::act(context, &data, Act::Message(asked)).await
}
