//! Frames of originals, from any transfer syntax to plain pixels, and from there to verified layers: in a process of its
//! own that has given up everything but its two pipes.
//!
//! Lives here: the decoders ([`decode`]), the worker's side ([`serve`]) and the side that keeps one ([`Worker`]).
//! Never here: files, a network, a database, who may see an image; a decoder called in the server's own process. What a
//! frame claims of itself is believed only where the header says the same.
//! Called by the server's pack jobs alone.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]
#![deny(missing_docs)]

mod cells;
mod confine;
mod decode;
mod j2k;
mod jls;
mod job;
mod jpeg;
mod jxl;
mod native;
mod rle;
mod worker;

pub use confine::{Limits, Unconfined, confine};
pub use decode::decode;
pub use job::{Job, PLAIN_MOST, Plain, Refused, job};
pub use worker::{Done, Failed, Worker, deadline, serve, serve_with};

use vitrine_pixels::{Colour, Shape};
