//! Every message between the ends and to the screen, once.
//!
//! Lives here: frames and their bodies ([`frame`], [`message`]), view models for the screen ([`view`]), the one
//! [`ErrorCode`]. Never here: I/O, a clock, policy, storage.
//! Called by `sync`, the server, the engine and the desktop; TypeScript is generated from it.

mod error_code;
pub mod view;
pub use error_code::ErrorCode;
