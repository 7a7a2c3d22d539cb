//! Who asks: secrets, throttling, sessions, workstations.
//!
//! Lives here: proving who somebody is. Never here: what they may do (that is `vitrine_access::policy`).
//! Called by `http` and `ws`.

pub mod apps;
pub mod clients;
pub mod demo;
pub mod devices;
pub mod known;
pub mod oidc;
pub mod second_factor;
pub mod secrets;
pub mod sessions;
pub mod throttle;
pub mod totp;
