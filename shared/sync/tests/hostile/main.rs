//! Ends that break the protocol: a client believes nothing, a server closes and goes on.

mod any;
mod client;
mod server;
mod support;
