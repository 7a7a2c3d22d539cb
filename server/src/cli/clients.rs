//! `client …`: programs that may use the API; the work is in `ops::clients`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::identity::clients::SET_MOST;
use crate::ops::clients::Asked;
use clap::Subcommand;
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Add a client; prints its client_id, and its client_secret once where it has no keys of its own.
    Add {
        /// Name, part of the client id.
        name: String,
        #[command(flatten)]
        data: Data,
        /// SMART scope, e.g. 'system/*.cruds', 'patient/*.rs', 'launch/patient'; give it again for further ones.
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// Its public keys, a JWK Set: it proves itself by them (private_key_jwt) and gets no secret.
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
        /// It runs where a secret cannot be kept (a desktop, a phone) and has none; people let it in.
        #[arg(long, conflicts_with = "jwks", requires = "redirect")]
        public: bool,
        /// Where people are sent back to when they let it in, letter by letter; give it again for further ones.
        #[arg(long, value_name = "URI")]
        redirect: Vec<String>,
    },
    /// List clients, with the names of their keys.
    List(Data),
    /// Replace a client's keys; its tokens end. To change without a gap, first a set with old and new, later the new alone.
    Keys {
        /// Client id.
        id: String,
        #[command(flatten)]
        data: Data,
        /// Its public keys, a JWK Set.
        #[arg(long, value_name = "FILE")]
        jwks: PathBuf,
    },
    /// Give a client another secret, printed once; the old one is void and its tokens end.
    Secret {
        /// Client id.
        id: String,
        #[command(flatten)]
        data: Data,
    },
    /// Remove a client; its tokens end.
    Remove {
        /// Client id.
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

/// The text of a key set. It goes to the running server as text: the file need not be readable there.
fn read(path: &Path) -> Result<String, Fault> {
    let shown = path.display();
    let fault = |e: std::io::Error| Fault::usage(format!("--jwks {shown}: it cannot be read ({e})"));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(SET_MOST as u64 + 1)
        .read_to_string(&mut text)
        .map_err(fault)?;
    Ok(text)
}

pub(super) async fn client(context: &Context, command: ClientCommand) -> Result<Outcome, Fault> {
    let (data, asked) = match command {
        ClientCommand::Add {
            name,
            data,
            scope,
            jwks,
            public,
            redirect,
        } => {
            let asked = Asked::Add {
                name,
                scopes: scope,
                keys: jwks.as_deref().map(read).transpose()?,
                public,
                redirects: redirect,
            };
            (data, asked)
        }
        ClientCommand::List(data) => (data, Asked::List),
        ClientCommand::Keys { id, data, jwks } => {
            let keys = read(&jwks)?;
            (data, Asked::Keys { id, keys })
        }
        ClientCommand::Secret { id, data } => (data, Asked::Secret { id }),
        ClientCommand::Remove { id, data } => (data, Asked::Remove { id }),
    };
    admin::act(context, &data, Act::Client(asked)).await
}
