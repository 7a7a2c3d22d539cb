//! Why a TPM does not keep or give a key, and what to do about it.

use super::Kept;
use crate::EngineError;
use vitrine_clinical::say;

/// What the TPM, or the way to it, does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmFault {
    /// Nothing answers there.
    Absent {
        /// TCTI string.
        at: String,
    },
    /// This account may not use it.
    NoPermission {
        /// Path of the device.
        at: String,
    },
    /// The address is none.
    Address {
        /// As it was given.
        at: String,
    },
    /// The key is sealed by the TPM of another machine.
    OtherMachine,
    /// The TPM is the one that sealed the key, and was cleared since.
    Cleared,
    /// It is not the TPM that sealed the key, or it was cleared: this one does not let itself be told apart.
    OtherOrCleared,
    /// The key's part in the TPM was destroyed.
    Destroyed,
    /// The profile has no file of the sealed key.
    Missing,
    /// The file of the sealed key is not as it was written.
    Damaged,
    /// Its owner hierarchy has a password.
    OwnerPassword,
    /// Its owner hierarchy is switched off.
    Disabled,
    /// It has no room for another key.
    Full,
    /// This program has no way to a TPM on this system.
    Unsupported,
    /// Anything else it answered.
    Answered {
        /// What was asked of it.
        doing: &'static str,
        /// Its words.
        answer: String,
    },
    /// A fault of the workstation itself while its file was read or written.
    Own(String),
}

impl std::fmt::Display for TpmFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&match self {
            Self::Absent { at } => say!(
                "no TPM answers at {at}: switch the TPM on in the firmware, and see that libtss2-tcti-device is installed",
                "unter {at} antwortet kein TPM: das TPM in der Firmware einschalten und prüfen, ob libtss2-tcti-device installiert ist"
            ),
            Self::NoPermission { at } => say!(
                "this account may not use the TPM at {at}: add it to the group tss (`usermod -aG tss ACCOUNT`) and begin a new session",
                "dieses Benutzerkonto darf das TPM unter {at} nicht benutzen: es in die Gruppe tss aufnehmen (`usermod -aG tss KONTO`) und die Sitzung neu beginnen"
            ),
            Self::Address { at } => say!(
                "'{at}' is no way to a TPM: set VITRINE_TPM to a TCTI string such as device:/dev/tpmrm0",
                "„{at}“ ist kein Weg zu einem TPM: VITRINE_TPM auf eine TCTI-Angabe wie device:/dev/tpmrm0 setzen"
            ),
            Self::OtherMachine => say!(
                "its keys are sealed by the TPM of another machine, and open there alone: enrol this machine with a code of its own",
                "seine Schlüssel hat das TPM eines anderen Rechners versiegelt, nur dort lassen sie sich öffnen: diesen Rechner mit einem eigenen Code registrieren"
            ),
            Self::Cleared => say!(
                "this machine's TPM was cleared since the keys were sealed, and they are gone: remove the profile and enrol again; the data are fetched anew",
                "das TPM dieses Rechners wurde seit dem Versiegeln gelöscht, die Schlüssel sind verloren: das Profil entfernen und neu registrieren; die Daten werden neu geladen"
            ),
            Self::OtherOrCleared => say!(
                "its keys are sealed by another TPM, or this one was cleared since: open it on its own machine, or remove the profile and enrol again",
                "seine Schlüssel hat ein anderes TPM versiegelt, oder dieses wurde seitdem gelöscht: am eigenen Rechner öffnen oder das Profil entfernen und neu registrieren"
            ),
            Self::Destroyed => say!(
                "the part of the keys that lay in the TPM was destroyed: remove the profile and enrol again",
                "der Teil der Schlüssel, der im TPM lag, wurde vernichtet: das Profil entfernen und neu registrieren"
            ),
            Self::Missing => say!(
                "{file} is missing: enrol this workstation again",
                "{file} fehlt: diesen Arbeitsplatz neu registrieren",
                file = Kept::FILE
            ),
            Self::Damaged => say!(
                "{file} is not as it was written: enrol this workstation again",
                "{file} ist nicht mehr, wie es geschrieben wurde: diesen Arbeitsplatz neu registrieren",
                file = Kept::FILE
            ),
            Self::OwnerPassword => say!(
                "the TPM's owner hierarchy has a password: remove it (`tpm2_changeauth -c owner -p PASSWORD`)",
                "die Eigentümer-Hierarchie des TPM hat ein Kennwort: es entfernen (`tpm2_changeauth -c owner -p KENNWORT`)"
            ),
            Self::Disabled => say!(
                "the TPM's owner hierarchy is switched off: switch it on in the firmware",
                "die Eigentümer-Hierarchie des TPM ist abgeschaltet: sie in der Firmware einschalten"
            ),
            Self::Full => say!(
                "the TPM has no room for another key: list its indices with `tpm2_nvreadpublic` and remove those of profiles that are gone with `tpm2_nvundefine`",
                "das TPM hat keinen Platz für einen weiteren Schlüssel: seine Indizes mit `tpm2_nvreadpublic` auflisten und die entfernter Profile mit `tpm2_nvundefine` löschen"
            ),
            Self::Unsupported => say!(
                "this program has no way to a TPM on this system: use the file sealer",
                "dieses Programm hat auf diesem System keinen Zugang zu einem TPM: den Datei-Versiegler verwenden"
            ),
            Self::Answered { doing, answer } => say!(
                "the TPM answered, {doing}: {answer}. Start the machine anew; if it goes on, ask IT",
                "das TPM antwortete ({doing}): {answer}. Den Rechner neu starten; wenn es bleibt, an die Klinik-IT wenden"
            ),
            Self::Own(why) => why.clone(),
        })
    }
}

impl std::error::Error for TpmFault {}

impl From<TpmFault> for EngineError {
    fn from(fault: TpmFault) -> Self {
        Self::KeysMissing(fault.to_string())
    }
}

impl From<EngineError> for TpmFault {
    fn from(e: EngineError) -> Self {
        Self::Own(e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    #[test]
    fn each_fault_has_words_of_its_own_in_both_languages() {
        let at = || "device:/dev/tpmrm0".to_owned();
        let all = [
            TpmFault::Absent { at: at() },
            TpmFault::NoPermission { at: at() },
            TpmFault::Address { at: at() },
            TpmFault::OtherMachine,
            TpmFault::Cleared,
            TpmFault::OtherOrCleared,
            TpmFault::Destroyed,
            TpmFault::Missing,
            TpmFault::Damaged,
            TpmFault::OwnerPassword,
            TpmFault::Disabled,
            TpmFault::Full,
            TpmFault::Unsupported,
            TpmFault::Answered {
                doing: "reading",
                answer: "0x1".to_owned(),
            },
        ];
        let said: std::collections::BTreeSet<String> = all
            .iter()
            .flat_map(|f| [Language::English, Language::German].map(|l| speaking(l, || f.to_string())))
            .collect();
        assert_eq!(said.len(), 2 * all.len());
        assert!(
            all.iter().all(|f| f.to_string().contains([':', '.'])),
            "what to do"
        );
    }
}
