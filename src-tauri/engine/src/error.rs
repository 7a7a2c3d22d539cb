//! What can go wrong in the workstation, said by what was being done and what to do about it.
//!
//! Lives here: the one error of the facade, its code for the screen and its exit code for the command line.
//! Never here: PHI (an error names ids at most), a decision about what to try next.
//! Called by every module of the engine, by the desktop shell and by `vitrine-cli`.

use vitrine_clinical::{say, word};
use vitrine_store::StoreError;
use vitrine_wire::ErrorCode;
use vitrine_wire::view::ErrorView;

/// Why an emergency account does not open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// It opens emergency access alone: nobody signs in with it.
    SignsNobodyIn,
    /// The server answers, and the provider where one is the way in: whoever works here can be given an account.
    Answered,
    /// It was used here under another name.
    OfSomebodyElse,
    /// The shift for which it was opened is over.
    Over,
}

impl Envelope {
    fn text(self) -> &'static str {
        match self {
            Self::SignsNobodyIn => word!(
                "An emergency account signs nobody in: press Ctrl+F12 for emergency access.",
                "Mit einem Notfallkonto meldet man sich nicht an: Strg+F12 für den Notfallzugriff drücken."
            ),
            Self::Answered => word!(
                "An emergency account is for when the server does not answer, and it answers: sign in as yourself, have a colleague break the glass, or ask IT for an account.",
                "Ein Notfallkonto ist für den Fall, dass der Server nicht antwortet, und er antwortet: unter eigenem Namen anmelden, den Notfallzugriff durch Kollegen öffnen lassen oder die Klinik-IT um ein Konto bitten."
            ),
            Self::OfSomebodyElse => word!(
                "This emergency account was used under another name: it is one person's. Ask the shift lead for another envelope.",
                "Dieses Notfallkonto wurde unter einem anderen Namen benutzt: es gehört einer Person. Die Schichtleitung um einen anderen Umschlag bitten."
            ),
            Self::Over => word!(
                "This emergency account was opened more than 12 hours ago: ask the shift lead for another envelope.",
                "Dieses Notfallkonto wurde vor mehr als 12 Stunden geöffnet: die Schichtleitung um einen anderen Umschlag bitten."
            ),
        }
    }
}

/// A failure of the workstation.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The profile has no device yet.
    NotEnrolled,
    /// The server has revoked the device; its data are gone.
    Revoked,
    /// The keys cannot be opened.
    KeysMissing(String),
    /// The machine's TPM was asked for and cannot keep the keys.
    NoTpm(String),
    /// Nobody is signed in.
    NotSignedIn,
    /// The secret was given more than five minutes ago.
    PinNeeded,
    /// The server has not confirmed the staff list for longer than the offline horizon.
    HorizonPassed {
        /// Its length, days.
        days: u32,
    },
    /// Wrong PIN or password.
    WrongSecret {
        /// Seconds until another try is taken, when more than none.
        retry_after_s: u32,
    },
    /// Too many wrong secrets.
    Throttled {
        /// Seconds to wait.
        retry_after_s: u32,
    },
    /// The hospital's identity provider answers: it is the way in here.
    UseProvider {
        /// As people call it.
        name: String,
    },
    /// An emergency account is nobody's: whoever opens its envelope says who they are.
    NameNeeded,
    /// An emergency account does not open anything here now.
    Envelope(Envelope),
    /// The badge is nobody's here.
    UnknownBadge,
    /// What was held to the reader is no badge, or was too long ago.
    NoBadge(String),
    /// The slot of the user was removed after ten wrong secrets.
    SlotRemoved,
    /// The account is disabled.
    Disabled,
    /// The user is not in the staff list of this workstation.
    UnknownUser(String),
    /// Policy denies it.
    Denied {
        /// What is missing.
        text: String,
        /// Rule that denied.
        rule: &'static str,
        /// Breaking the glass would allow it.
        break_glass_offered: bool,
    },
    /// This workstation does not hold it.
    NotOnThisWorkstation {
        /// What, by id.
        what: String,
        /// When it last knew the server's state: "Last synchronised 21-Nov-2026 04:31." or "Never synchronised."
        synced: String,
    },
    /// The server cannot be reached.
    Offline(String),
    /// The server refused.
    Refused {
        /// The server's code.
        code: ErrorCode,
        /// Its sentence.
        text: String,
        /// Seconds to wait.
        retry_after_s: Option<u32>,
    },
    /// The server is not the one this workstation trusts, or does not speak its protocol.
    Protocol(String),
    /// Data are damaged.
    Damaged {
        /// What.
        what: String,
    },
    /// The audit row could not be written, so nothing is shown.
    AuditFailed(String),
    /// What was recorded could not be kept.
    NotKept(String),
    /// Pages for a printer could not be made.
    Paper(String),
    /// The printing system did not take them.
    Printer(String),
    /// Wrong usage.
    Usage(String),
    /// Refused for safety: the file is left untouched.
    Unsafe(String),
    /// The storage failed.
    Store(StoreError),
    /// Reading or writing a file of the profile failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's words.
        cause: std::io::Error,
    },
    /// A fault of ours.
    Internal(&'static str),
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&match self {
            Self::NotEnrolled => say!(
                "This workstation is not enrolled: run `vitrine-cli enrol --server URL --code CODE` with a code from IT.",
                "Dieser Arbeitsplatz ist nicht registriert: `vitrine-cli enrol --server URL --code CODE` mit einem Code der Klinik-IT ausführen."
            ),
            Self::Revoked => say!(
                "This workstation is no longer enrolled — its data were removed. Ask IT for a new enrolment code.",
                "Dieser Arbeitsplatz ist nicht mehr registriert — seine Daten wurden entfernt. Bei der Klinik-IT einen neuen Registrierungscode anfordern."
            ),
            Self::KeysMissing(why) => say!(
                "Stored data cannot be opened: {why}",
                "Gespeicherte Daten lassen sich nicht öffnen: {why}"
            ),
            Self::NoTpm(why) => say!(
                "The keys cannot be kept by this machine's TPM: {why}. Or leave them to a file, labelled weak: `--sealer file`.",
                "Das TPM dieses Rechners kann die Schlüssel nicht bewahren: {why}. Oder sie einer Datei überlassen, als schwach gekennzeichnet: `--sealer file`."
            ),
            Self::NotSignedIn => say!("Sign in first.", "Zuerst anmelden."),
            Self::PinNeeded => say!(
                "Your last PIN is more than 5 minutes ago: give it again.",
                "Ihre letzte PIN-Eingabe ist mehr als 5 Minuten her: PIN erneut eingeben."
            ),
            Self::HorizonPassed { days } => crate::horizon::past(*days),
            Self::WrongSecret { retry_after_s } => say!(
                "The name or the secret is wrong.{wait}",
                "Name oder PIN/Kennwort ist falsch.{wait}",
                wait = wait_words(*retry_after_s)
            ),
            Self::Throttled { retry_after_s } => say!(
                "Too many wrong tries for this user: wait {span} before the next.",
                "Zu viele falsche Versuche für diesen Benutzer: {span} bis zum nächsten Versuch warten.",
                span = span(*retry_after_s)
            ),
            Self::UseProvider { name } => say!(
                "Sign in with {name}: it answers, and is the way in here. After that a PIN is enough, with or without a badge.",
                "Mit {name} anmelden: Der Anbieter ist erreichbar und hier der vorgesehene Weg. Danach genügt die PIN, mit oder ohne Ausweis."
            ),
            Self::NameNeeded => say!(
                "This is an emergency account, of no person: type your name and where you are from.",
                "Dies ist ein Notfallkonto, es gehört niemandem: Ihren Namen und Ihre Herkunft (Klinik, Agentur) eingeben."
            ),
            Self::Envelope(why) => return f.write_str(why.text()),
            Self::UnknownBadge => say!(
                "This badge is not known here: sign in by name, and have IT enrol the badge.",
                "Dieser Ausweis ist hier nicht bekannt: mit Namen anmelden und den Ausweis von der Klinik-IT eintragen lassen."
            ),
            Self::SlotRemoved => say!(
                "Too many wrong tries: this user's key on this workstation was removed. Sign in while the server can be reached.",
                "Zu viele falsche Versuche: der Schlüssel dieses Benutzers an diesem Arbeitsplatz wurde entfernt. Anmelden, wenn der Server erreichbar ist."
            ),
            Self::Disabled => say!(
                "This account is disabled: ask IT.",
                "Dieses Benutzerkonto ist deaktiviert: an die Klinik-IT wenden."
            ),
            Self::UnknownUser(name) => say!(
                "'{name}' is not known at this workstation: check the name, or sign in while the server can be reached. In an emergency a colleague breaks the glass, or the shift lead hands out an emergency account.",
                "„{name}“ ist an diesem Arbeitsplatz nicht bekannt: Namen prüfen oder anmelden, wenn der Server erreichbar ist. Im Notfall öffnen Kollegen den Notfallzugriff, oder die Schichtleitung gibt ein Notfallkonto aus."
            ),
            Self::Denied {
                text,
                break_glass_offered: true,
                ..
            } => say!(
                "{text} Emergency access would allow it.",
                "{text} Mit Notfallzugriff wäre es möglich."
            ),
            Self::NotOnThisWorkstation { what, synced } => say!(
                "{what} is not on this workstation. {synced} This does not mean that nothing is recorded.",
                "Nicht an diesem Arbeitsplatz: {what}. {synced} Das heißt nicht, dass nichts dokumentiert ist."
            ),
            Self::Offline(why) => say!(
                "The server cannot be reached: {why}. Data on this workstation stay readable.",
                "Der Server ist nicht erreichbar: {why}. Daten an diesem Arbeitsplatz bleiben lesbar."
            ),
            Self::Damaged { what } => say!(
                "{what} cannot be read — treat as unknown. Other patients can still be opened; it is fetched again when the server can be reached.",
                "Nicht lesbar: {what} — als unbekannt behandeln. Andere Patienten lassen sich weiterhin öffnen; es wird neu geladen, sobald der Server erreichbar ist."
            ),
            Self::AuditFailed(why) => say!(
                "The access could not be written down ({why}), so nothing is shown. Emergency access still works.",
                "Der Zugriff konnte nicht protokolliert werden ({why}), daher wird nichts angezeigt. Der Notfallzugriff funktioniert weiterhin."
            ),
            Self::NotKept(why) => say!(
                "It could not be kept on this workstation ({why}): nothing was recorded. Write it on paper, and tell IT.",
                "Es konnte an diesem Arbeitsplatz nicht gespeichert werden ({why}): nichts wurde eingetragen. Auf Papier dokumentieren und die Klinik-IT benachrichtigen."
            ),
            Self::Paper(why) => say!("Nothing was printed: {why}.", "Nichts wurde gedruckt: {why}."),
            Self::Printer(why) => say!(
                "Nothing was printed: {why} Choose another printer, or ask IT.",
                "Nichts wurde gedruckt: {why} Einen anderen Drucker wählen oder an die Klinik-IT wenden."
            ),
            Self::Denied { text, .. }
            | Self::Refused { text, .. }
            | Self::Protocol(text)
            | Self::NoBadge(text)
            | Self::Usage(text)
            | Self::Unsafe(text) => return f.write_str(text),
            Self::Store(e) => store_words(e),
            Self::Io { doing, cause } => say!("while {doing}: {cause}", "Fehler ({doing}): {cause}"),
            Self::Internal(doing) => say!(
                "internal fault while {doing}: please report it",
                "interner Fehler ({doing}): bitte melden"
            ),
        })
    }
}

fn span(seconds: u32) -> String {
    if seconds >= 120 {
        format!("{} {}", seconds.div_ceil(60), word!("min", "Min"))
    } else {
        format!("{seconds} s")
    }
}

fn wait_words(seconds: u32) -> String {
    if seconds == 0 {
        String::new()
    } else {
        say!(
            " The next try is taken in {span}.",
            " Der nächste Versuch ist in {span} möglich.",
            span = span(seconds)
        )
    }
}

/// What a store says went wrong, for a person; what it was doing, and the database's own words, are technical and English.
pub(crate) fn store_words(e: &StoreError) -> String {
    match e {
        StoreError::NewerSchema { found, known } => say!(
            "the database has schema {found}, this program knows up to {known}: install the newer program",
            "die Datenbank hat das Schema {found}, dieses Programm kennt bis {known}: das neuere Programm installieren"
        ),
        StoreError::Unencrypted(what) => say!(
            "{what} is not encrypted: it is refused and left untouched",
            "{what} ist nicht verschlüsselt: die Datei wird abgewiesen und bleibt unverändert"
        ),
        StoreError::WrongKey(what) => say!(
            "{what} cannot be opened with this key: it is left untouched",
            "{what} lässt sich mit diesem Schlüssel nicht öffnen: die Datei bleibt unverändert"
        ),
        StoreError::Damaged(what) => say!(
            "{what} is damaged: restore it or fetch it again",
            "{what} ist beschädigt: wiederherstellen oder neu laden"
        ),
        StoreError::Chain(fault) => say!(
            "the audit chain is broken: {fault}",
            "die Protokollkette ist nicht lückenlos: {fault}"
        ),
        StoreError::Full(doing) => say!("no space left while {doing}", "kein Speicherplatz mehr ({doing})"),
        StoreError::Backend { doing, cause } => {
            say!("while {doing}: {cause}", "Fehler ({doing}): {cause}")
        }
        StoreError::Closed => word!("the store is closed", "der Speicher ist geschlossen").to_owned(),
        other => other.to_string(),
    }
}

impl From<StoreError> for EngineError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Damaged(what) => Self::Damaged { what },
            StoreError::Unencrypted(_) | StoreError::WrongKey(_) | StoreError::NewerSchema { .. } => {
                Self::Unsafe(store_words(&e))
            }
            other => Self::Store(other),
        }
    }
}

impl EngineError {
    /// For `map_err` on file operations.
    pub fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |cause| Self::Io { doing, cause }
    }

    /// The code a program switches on.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotEnrolled => ErrorCode::NotEnrolled,
            Self::Revoked => ErrorCode::DeviceRevoked,
            Self::KeysMissing(_) | Self::Damaged { .. } | Self::Unsafe(_) => ErrorCode::Damaged,
            Self::NotSignedIn | Self::PinNeeded => ErrorCode::NotSignedIn,
            Self::WrongSecret { .. } | Self::UnknownUser(_) => ErrorCode::WrongSecret,
            Self::Throttled { .. } => ErrorCode::Throttled,
            Self::UseProvider { .. } => ErrorCode::UseProvider,
            Self::NameNeeded => ErrorCode::NameNeeded,
            Self::Envelope(Envelope::Answered) => ErrorCode::UseProvider,
            Self::Envelope(_) => ErrorCode::Disabled,
            Self::UnknownBadge => ErrorCode::UnknownBadge,
            Self::SlotRemoved | Self::Disabled => ErrorCode::Disabled,
            Self::Denied { .. } => ErrorCode::Denied,
            Self::NotOnThisWorkstation { .. } => ErrorCode::NotOnThisWorkstation,
            Self::Offline(_) | Self::HorizonPassed { .. } => ErrorCode::Offline,
            Self::Refused { code, .. } => *code,
            Self::Protocol(_) => ErrorCode::ProtocolMismatch,
            Self::AuditFailed(_) | Self::NotKept(_) => ErrorCode::AuditFailed,
            Self::Usage(_) | Self::NoBadge(_) | Self::NoTpm(_) => ErrorCode::BadRequest,
            Self::Store(_) | Self::Io { .. } | Self::Internal(_) | Self::Paper(_) | Self::Printer(_) => {
                ErrorCode::Internal
            }
        }
    }

    /// The error as the screen gets it.
    #[must_use]
    pub fn view(&self) -> ErrorView {
        ErrorView {
            code: self.code(),
            text: self.to_string(),
            retry_after_s: match self {
                Self::WrongSecret { retry_after_s } if *retry_after_s > 0 => Some(*retry_after_s),
                Self::Throttled { retry_after_s } => Some(*retry_after_s),
                Self::Refused { retry_after_s, .. } => *retry_after_s,
                _ => None,
            },
            break_glass_offered: matches!(
                self,
                Self::Denied {
                    break_glass_offered: true,
                    ..
                }
            ),
        }
    }

    /// The exit code of `vitrine-cli` (interfaces.md): 1 refused or failed, 2 usage or configuration, 3 refused for
    /// safety, 4 not on this workstation, 5 denied, 6 locked or revoked.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotEnrolled
            | Self::Usage(_)
            | Self::NoBadge(_)
            | Self::NameNeeded
            | Self::NoTpm(_)
            | Self::UnknownUser(_) => 2,
            Self::Unsafe(_) | Self::KeysMissing(_) => 3,
            Self::NotOnThisWorkstation { .. } => 4,
            Self::Denied { .. } => 5,
            Self::Revoked
            | Self::NotSignedIn
            | Self::PinNeeded
            | Self::HorizonPassed { .. }
            | Self::WrongSecret { .. }
            | Self::Throttled { .. }
            | Self::UseProvider { .. }
            | Self::UnknownBadge
            | Self::Envelope(_)
            | Self::SlotRemoved
            | Self::Disabled => 6,
            Self::Refused { code, .. } => match code {
                ErrorCode::Denied => 5,
                ErrorCode::NotSignedIn
                | ErrorCode::WrongSecret
                | ErrorCode::Throttled
                | ErrorCode::UseProvider
                | ErrorCode::UnknownBadge
                | ErrorCode::Disabled
                | ErrorCode::DeviceRevoked => 6,
                ErrorCode::BadRequest | ErrorCode::NotEnrolled => 2,
                _ => 1,
            },
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    #[test]
    fn what_a_store_says_is_said_in_its_own_words_in_english_and_in_german_too() {
        for e in [
            StoreError::NewerSchema { found: 9, known: 8 },
            StoreError::Unencrypted("a.db".to_owned()),
            StoreError::WrongKey("a.db".to_owned()),
            StoreError::Damaged("a.db".to_owned()),
            StoreError::Full("writing"),
            StoreError::Backend {
                doing: "writing",
                cause: "disk I/O error".to_owned(),
            },
            StoreError::Closed,
        ] {
            assert_eq!(store_words(&e), e.to_string());
            let german = speaking(Language::German, || store_words(&e));
            assert_ne!(german, e.to_string());
        }
    }

    #[test]
    fn an_error_is_said_in_the_language_of_whoever_reads_it() {
        let denied = |break_glass_offered| EngineError::Denied {
            text: "T.".to_owned(),
            rule: "r",
            break_glass_offered,
        };
        let german = |e: EngineError| speaking(Language::German, || e.to_string());
        assert_eq!(denied(false).to_string(), "T.");
        assert_eq!(denied(true).to_string(), "T. Emergency access would allow it.");
        assert_eq!(german(denied(true)), "T. Mit Notfallzugriff wäre es möglich.");
        let wrong = |retry_after_s| EngineError::WrongSecret { retry_after_s };
        assert_eq!(wrong(0).to_string(), "The name or the secret is wrong.");
        assert_eq!(
            german(wrong(130)),
            "Name oder PIN/Kennwort ist falsch. Der nächste Versuch ist in 3 Min möglich."
        );
    }
}
