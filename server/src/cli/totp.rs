//! `totp …`: second factors of local accounts; the work is in `ops::totp`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::totp::Asked;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum TotpCommand {
    /// Make a second factor for a person who is there with their authenticator; prints its key and address once.
    Enrol {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Confirm it by the code that the authenticator shows; prints recovery codes once, and their sessions end.
    Confirm {
        /// Sign-in name.
        name: String,
        /// Six digits; a code counts once.
        code: String,
        #[command(flatten)]
        data: Data,
    },
    /// Take a person's second factor away, with their recovery codes: it is lost. Their sessions at the console end.
    Reset {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// List who has one.
    List(Data),
}

pub(super) async fn totp(context: &Context, command: TotpCommand) -> Result<Outcome, Fault> {
    let (data, asked) = match command {
        TotpCommand::Enrol { name, data } => (data, Asked::Enrol { name }),
        TotpCommand::Confirm { name, code, data } => (data, Asked::Confirm { name, code }),
        TotpCommand::Reset { name, data } => (data, Asked::Reset { name }),
        TotpCommand::List(data) => (data, Asked::List),
    };
    admin::act(context, &data, Act::Totp(asked)).await
}
