//! HL7 v2 bytes to FHIR drafts.
//!
//! Lives here: the blocks of MLLP ([`frame`]), the character set of a message ([`charset`]), reading it ([`Message`]), answering it
//! ([`ack`]), and what its segments mean in FHIR R4 ([`map`]): drafts of resources, each with what it is known by and how it
//! meets what is recorded.
//! Never here: sockets, a clock, ids made up, what is recorded already, whose message is let in: that is the server's `ingest`.
//! Reading is by `hl7kit`; text is decoded here, because only here the character set is known.
//! An error never repeats a value of the message: it names the place ([`Place`]) and table 0357's code ([`Code`]).

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

pub mod ack;
pub mod charset;
mod draft;
mod fault;
pub mod frame;
pub mod json;
pub mod map;
pub mod merge;
mod message;
pub mod time;
pub mod types;

pub use draft::{Draft, How, Key, Mapped, Note, draft_reference, referred};
pub use fault::{Code, Fault, Place};
pub use map::{Feed, map};
pub use message::{Header, Message, Part, Rep, Seg};
