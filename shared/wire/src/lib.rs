//! Every message between the ends and to the screen, once.
//!
//! Lives here: frames and their bodies ([`frame`], [`message`]), their compression ([`packing`]), the digest of a scope ([`digest`]), HTTP bodies ([`http`]), the stream of
//! images ([`images`]) and of live vital signs ([`live`]), view models for the screen ([`view`], [`image_view`], [`entry_view`], [`results_view`], [`sync_view`],
//! [`wall_view`]), bodies of the web console ([`console`]), role layouts ([`layout`]), the one [`ErrorCode`]. Never here: I/O, a clock, policy, storage.
//! Called by `sync`, the server, the engine and the desktop; TypeScript is generated from it.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod console;
pub mod digest;
pub mod entry_view;
mod error_code;
pub mod frame;
pub mod http;
pub mod image_view;
pub mod images;
pub mod layout;
pub mod live;
pub mod message;
pub mod packing;
pub mod results_view;
pub mod scan_view;
pub mod series_view;
pub mod sync_view;
pub mod view;
pub mod wall_view;
pub use error_code::ErrorCode;
/// For those who make words and have no other way to the domain.
pub use vitrine_clinical::{language, say, word};
