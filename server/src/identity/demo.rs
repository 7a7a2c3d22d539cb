//! The public credentials of the demonstration, and where they do not work.
//!
//! Lives here: knowing a credential of the synthetic hospital when it is used. Never here: making the hospital
//! (`cli::demo`). Called by `http::auth`: outside a folder marked as demonstration such a credential is a wrong one,
//! also when its account came there by a copied database.

use vitrine_synthetic::Hospital;

/// Seed of the one hospital of the demonstration.
pub const SEED: u64 = 20_261_101;

/// Whether `secret` is the published password or PIN of `user` in the demonstration.
#[must_use]
pub fn is_published(user: &str, secret: &str) -> bool {
    let staff = Hospital::new(SEED, 0).staff();
    staff
        .iter()
        .any(|s| s.user == user && (s.password == secret || s.pin == secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_secrets_are_known_whenever_the_hospital_was_seeded() {
        for s in Hospital::new(SEED, 1_795_246_502_007).staff() {
            assert!(
                is_published(&s.user, &s.password) && is_published(&s.user, &s.pin),
                "{}",
                s.user
            );
            assert!(!is_published(&s.user, "another secret"));
        }
    }
}
