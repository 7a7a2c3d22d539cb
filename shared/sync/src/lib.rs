//! The sync protocol as pure state machines, both ends.
//!
//! Lives here: the workstation's end ([`client`]), the server's end of one connection ([`server`]), its bounded
//! lanes ([`lanes`]), the building of frames that many connections share ([`fanout`]), the rules of the upload queue ([`outbox`]), waiting before a new attempt ([`backoff`]), credit for snapshots ([`credit`]), scope names
//! ([`scope`]) and the texts that are signed ([`proof`]).
//! Never here: sockets, files, threads, a clock or a source of randomness. Time and random numbers are arguments;
//! what has to be done comes out as effects.
//! Called by `engine/link` and `server/ws`, which carry the effects out, and by the simulator in `tests/`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod backoff;
pub mod client;
pub mod credit;
pub mod fanout;
pub mod lanes;
pub mod outbox;
pub mod proof;
pub mod scope;
pub mod server;
