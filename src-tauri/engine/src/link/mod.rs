//! The line to the server: enrolment, sign-in, synchronisation, upload, the order to wipe.
//!
//! Lives here: sockets and TLS with the server's own CA and no other ([`tls`]), requests over HTTPS ([`http`]), the
//! driver around `vitrine_sync::client` ([`driver`]). Never here: the rules of the protocol (that is `vitrine-sync`),
//! SQL, and nothing that an act on this workstation would wait for.
//! Called by the facade. `break_glass` never calls it.

mod cacheview;
mod connection;
mod driver;
mod enrol;
mod http;
mod store_effects;
mod tls;

pub(crate) use connection::{Socket, dial};
pub(crate) use driver::{Command, Started, start};
pub use enrol::{Enrolled, Enrolment, enrol};
pub(crate) use http::{Redeemed, change_secret, login, login_by_provider, provider, way};
pub(crate) use tls::ends;
