//! The process that decodes, and the side that keeps it.
//!
//! Lives here: messages over two pipes, one frame each ([`message`]), the loop in the process ([`serve`]) and the handle on
//! it ([`Worker`]). Never here: a codec; trust in what the process answers beyond what its sandbox leaves it.

mod message;
mod parent;
mod serve;

pub use parent::{Done, Failed, Worker, deadline};
pub use serve::{serve, serve_with};
