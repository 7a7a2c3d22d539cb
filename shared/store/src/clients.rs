//! Programs that may use the API, as they are registered.
//!
//! Lives here: what crosses the store. Never here: how a program proves itself (the server's `identity::clients`), what its
//! scopes mean (the policy). Names: OAuth 2.0 (RFC 6749, RFC 7591), SMART App Launch 2.2.

use crate::StoreError;

/// A registered program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRow {
    /// `client_id`.
    pub id: String,
    /// SHA-256 of its secret, where it has one.
    pub secret: Option<[u8; 32]>,
    /// Its public keys, a JWK Set (RFC 7517) as JSON, where it proves itself by one.
    pub keys: Option<String>,
    /// Scopes it may be granted.
    pub scopes: Vec<String>,
    /// Where people are sent back to (`redirect_uris`), each letter by letter.
    pub redirects: Vec<String>,
}

/// The answer to whoever changes or removes a program that is not registered.
#[must_use]
pub fn none_registered(id: &str) -> StoreError {
    StoreError::Refused(format!(
        "there is no client {id}: 'vitrine-server client list' shows all"
    ))
}
