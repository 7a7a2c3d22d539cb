//! What this workstation has to tell the server, and what it has written down.
//!
//! Lives here: the walk from permit to opened data ([`disclose`]), the reserve for a full disk, the signed head of
//! the audit chain, the alarms. Never here: SQL, the network.
//! Called by every act of the facade; `link` reads and acknowledges.

mod alarms;
mod head;
mod reserve;

pub use alarms::{Alarm, Alarms};
pub(crate) use head::not_ours;
pub use head::{read_head, write_head};
pub use reserve::Ballast;

use crate::EngineError;
use crate::error::store_words;
use vitrine_access::policy::Denied;
use vitrine_access::{Action, Permit, Sealed};
use vitrine_clinical::language::{Language, spoken};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{Kept, Outbox};

/// Reads, writes the audit row, and only then opens: the one way by which data leave the stores outside an emergency.
///
/// # Errors
/// The read's error; [`EngineError::AuditFailed`] when the row is not durable: nothing is shown then.
pub fn disclose<A: Action, T>(
    outbox: &Outbox,
    permit: &Permit<A>,
    read: impl FnOnce(&Permit<A>) -> Result<Sealed<T>, StoreError>,
) -> Result<T, EngineError> {
    let sealed = read(permit)?;
    let entry = permit.entry(sealed.disclosure().clone());
    let receipts = outbox
        .append(&[entry], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?;
    let receipt = receipts
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    sealed
        .open(&receipt)
        .map_err(|_| EngineError::Internal("opening with the receipt"))
}

/// The same for an emergency: the row goes to the reserve, or to memory, when the chain cannot be written.
///
/// # Errors
/// The read's error.
pub fn disclose_emergency<A: Action, T>(
    outbox: &Outbox,
    reserve: &Ballast,
    permit: &Permit<A>,
    read: impl FnOnce(&Permit<A>) -> Result<Sealed<T>, StoreError>,
) -> Result<(T, Kept), EngineError> {
    let sealed = read(permit)?;
    let entry = permit.entry(sealed.disclosure().clone());
    let written = outbox.append_emergency(&entry, None, reserve)?;
    let value = sealed
        .open(&written.receipt)
        .map_err(|_| EngineError::Internal("opening with the receipt"))?;
    Ok((value, written.kept))
}

/// What the policy says is missing, in the language that is spoken. The policy itself says English: the server has it too.
pub(crate) fn denied_text(rule: &str, english: &str) -> String {
    let german = match rule {
        "no-patient" => "Den Patienten angeben.",
        "not-a-clinician" => "Nur klinisches Personal kann eine Akte im Notfall öffnen.",
        "other-ward-board" => "Diese Übersicht gehört zu einer Station, der Sie nicht zugeordnet sind.",
        "other-ward-drill" => "Dieser Arbeitsplatz gehört zu einer Station, der Sie nicht zugeordnet sind.",
        "emergency-account-needs-a-grant" => {
            "Ein Notfallkonto liest eine Notfallkarte nur durch den Notfallzugriff."
        }
        "emergency-account-opens-cards-alone" => "Ein Notfallkonto öffnet Notfallkarten und sonst nichts.",
        "role-has-no-such-act" => "Ihre Rolle umfasst dies nicht.",
        "grant-is-read-only" => {
            "Der Notfallzugriff ist nur zum Lesen; das Team des Patienten um den Eintrag bitten."
        }
        "no-relationship" => "Sie sind der Station dieses Patienten nicht zugeordnet.",
        "very-restricted" => "Dies ist streng vertraulich: Ihre Rolle öffnet es nur im Notfall.",
        "withheld-by-label" => "Dies ist vertraulich: Ihr Zugriff umfasst es nicht.",
        "purpose-does-not-fit" => "Für den angegebenen Zweck ist dies nicht vorgesehen.",
        "purpose-needs-a-grant" => "Lesen zur Notfallbehandlung beginnt mit dem Notfallzugriff.",
        "labelled-images" => "Bilder einer vertraulichen Akte werden nicht im Voraus geladen.",
        "other-ward-scope" => "Dieser Arbeitsplatz ist für diesen Bereich nicht registriert.",
        "other-ward-images" => {
            "Dieser Arbeitsplatz lädt Bilder nur für die Patienten seiner Station im Voraus."
        }
        "device-only-syncs" => "Zuerst anmelden.",
        _ => english,
    };
    match spoken() {
        Language::English => english.to_owned(),
        Language::German => german.to_owned(),
        Language::Pseudo => format!("⟦{english}⟧"),
    }
}

/// Writes the row of a refusal and gives the error for the person. A refusal stands even when its row cannot be
/// written.
pub fn refused(outbox: &Outbox, denied: &Denied) -> EngineError {
    if let Err(e) = outbox.append(&[denied.entry()], None) {
        tracing::error!(error = %e, "the audit row of a refusal could not be written");
    }
    EngineError::Denied {
        text: denied_text(denied.rule, denied.text),
        rule: denied.rule,
        break_glass_offered: denied.break_glass_offered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_access::action;
    use vitrine_access::policy::{PatientFacts, Request, Role, Subject, verdict};
    use vitrine_clinical::label::Label;
    use vitrine_clinical::language::speaking;
    use vitrine_clinical::{DeviceId, PatientId, UserId, UtcMs, WardId};

    #[test]
    fn whatever_the_policy_says_to_a_person_is_said_in_german() {
        let ward = |name: &str| WardId::new(name).unwrap();
        let mut subjects = vec![Subject::Device {
            ward: ward("ED"),
            site: false,
        }];
        subjects.extend(Role::all().map(|role| Subject::User {
            user: UserId::new("lee").unwrap(),
            role,
            wards: vec![ward("ED")],
        }));
        let facts = |w: &str| PatientFacts {
            patient: PatientId::new("p").unwrap(),
            ward: Some(ward(w)),
            label: Label::NONE,
        };
        let mut rules = std::collections::BTreeSet::new();
        for subject in subjects {
            for act in action::NAMES {
                for (patient, kind) in [
                    (None, None),
                    (Some(facts("ED")), None),
                    (Some(facts("ICU")), Some("ImagingStudy".to_owned())),
                ] {
                    let at = UtcMs(1_800_000_000_000);
                    let asked = Request {
                        access_id: crate::entropy::access_id(at).unwrap(),
                        at,
                        subject: subject.clone(),
                        device: Some(DeviceId::new("d").unwrap()),
                        patient,
                        ward: Some(ward("ICU")),
                        kind,
                        grant: None,
                        purpose: None,
                    };
                    let v = verdict(act, &asked);
                    if v.allow {
                        continue;
                    }
                    rules.insert(v.rule);
                    assert_eq!(denied_text(v.rule, v.text), v.text);
                    let german = speaking(Language::German, || denied_text(v.rule, v.text));
                    assert_ne!(german, v.text, "{}", v.rule);
                }
            }
        }
        assert!(rules.len() >= 9, "{rules:?}");
    }
}
