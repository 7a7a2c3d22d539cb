//! The site's role layouts as the server signed them: checked when they come and each time they are read.
//!
//! Never here: which rule is whose (that is `vitrine_wire::layout`). Called by `link` and by whoever shows a session. What cannot be
//! trusted or read changes nothing: the rules before it stay, without any the screens are as usual.

use crate::entropy::unhex;
use crate::session::Person;
use crate::station::Station;
use std::sync::{PoisonError, RwLock};
use vitrine_sync::proof;
use vitrine_wire::layout::{LayoutView, Layouts};

/// Where they are kept, beside the essentials.
const NOTE: &str = "layouts";
/// Longest text taken.
const MOST: usize = 256 << 10;

/// What is in force, and why what came last is not.
#[derive(Debug, Default)]
pub(crate) struct Held(RwLock<(Layouts, Option<String>)>);

impl Held {
    /// Rules in force, and the fault of what came last.
    pub(crate) fn state(&self) -> (usize, Option<String>) {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (held.0.layouts.len(), held.1.clone())
    }

    fn set(&self, rules: Layouts) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (rules, None);
    }

    fn refuse(&self, why: String) {
        tracing::warn!(why, "role layouts are not taken over");
        self.0.write().unwrap_or_else(PoisonError::into_inner).1 = Some(why);
    }
}

/// What a person's screens begin with at this workstation.
pub(crate) fn view(station: &Station, person: &Person) -> LayoutView {
    let ward = station.device().ward.clone();
    let held = station.layouts.0.read().unwrap_or_else(PoisonError::into_inner);
    held.0.view(person.role.name(), &ward)
}

/// Takes over what the server sent; in force from the next sign-in on.
pub(crate) fn take(station: &Station, text: &str, signature: &str) {
    let key = station.device().server_key.clone();
    match checked(&key, text, signature) {
        Ok(rules) => {
            station.layouts.set(rules);
            let kept = format!("{signature} {text}");
            if station.essentials.note(NOTE).ok().flatten().as_deref() != Some(kept.as_str())
                && let Err(e) = station.essentials.set_note(NOTE, &kept)
            {
                tracing::debug!(error = %e, "role layouts could not be kept for the next start");
            }
        }
        Err(why) => station.layouts.refuse(why),
    }
}

/// Those of the last time the server was there.
pub(crate) fn recall(station: &Station) {
    let kept = station.essentials.note(NOTE).ok().flatten();
    let Some((signature, text)) = kept.as_deref().and_then(|k| k.split_once(' ')) else {
        return;
    };
    let key = station.device().server_key.clone();
    match checked(&key, text, signature) {
        Ok(rules) => station.layouts.set(rules),
        Err(why) => station.layouts.refuse(why),
    }
}

fn checked(server_key: &str, text: &str, signature: &str) -> Result<Layouts, String> {
    if text.len() > MOST {
        return Err(format!("longer than {MOST} bytes"));
    }
    let key = unhex(server_key).unwrap_or_default();
    let signature = unhex(signature).unwrap_or_default();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key)
        .verify(&proof::layouts(text), &signature)
        .map_err(|_| "not signed by this workstation's server".to_owned())?;
    serde_json::from_str(text).map_err(|e| format!("cannot be read by this version (column {})", e.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::hex;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn keys(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }
    fn signed(by: &Ed25519KeyPair, text: &str) -> String {
        hex(by.sign(&proof::layouts(text)).as_ref())
    }

    #[test]
    fn only_what_this_server_signed_and_this_version_reads_is_taken() {
        let (ours, another) = (keys(1), keys(2));
        let pinned = hex(ours.public_key().as_ref());
        let text = r#"{"layouts":[{"name":"ICU","section":"vitals"}]}"#;
        let rules = checked(&pinned, text, &signed(&ours, text)).unwrap();
        assert_eq!(rules.layouts.len(), 1);
        let later = r#"{"layouts":[{"name":"ICU","hide":["vitals"]}]}"#;
        let long = format!(r#"{{"layouts":[{{"name":"{}"}}]}}"#, "x".repeat(MOST));
        for (text, signature, why) in [
            (text, signed(&another, text), "not signed"),
            (text, signed(&ours, "{}"), "not signed"),
            (text, String::new(), "not signed"),
            (text, "zz".to_owned(), "not signed"),
            (later, signed(&ours, later), "cannot be read by this version"),
            (&*long, signed(&ours, &long), "longer than"),
        ] {
            let said = checked(&pinned, text, &signature).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        // What another purpose was signed for is no layout.
        let order = hex(ours.sign(text.as_bytes()).as_ref());
        assert!(checked(&pinned, text, &order).is_err());
    }
}
