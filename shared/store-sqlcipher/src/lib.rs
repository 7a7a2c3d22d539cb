//! SQLCipher: the server's embedded default and the workstation's cache.
//!
//! Lives here: opening an encrypted file ([`cipher`]), the writer and reader threads that both ends use
//! ([`writer`], [`readers`]), the server's backend ([`SqlcipherStore`]) and its redo log ([`redo`]). This is the only crate with rusqlite and
//! the only one with SQL. Never here: FHIR (a `Projector` is given), policy (permits are given), where keys come from.
//! Called by the server and by the workstation's engine.

pub mod cipher;
mod key;
pub mod readers;
pub mod redo;
mod server;
pub mod workstation;
pub mod writer;

pub use cipher::{Key, OpenOptions, Synchronous};
pub use readers::Readers;
pub use redo::RedoOptions;
pub use server::{AuditReport, EmbeddedGiver, SealState, SqlcipherStore, Standing, StoreOptions};
pub use writer::{Group, Writer};
