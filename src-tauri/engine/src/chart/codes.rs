//! Codes of the record (FHIR R4) as they are read: in English the code itself, in German a word for it.
//!
//! A code that is none of these stays as it is. Never here: words that people wrote into the record.

use vitrine_clinical::card::shown;
use vitrine_clinical::word;

/// The status of a medicine, a result, a report, a document or an encounter.
pub(super) fn status(code: &str) -> &str {
    match code {
        "active" => word!("active", "aktiv"),
        "on-hold" => word!("on-hold", "pausiert"),
        "stopped" => word!("stopped", "abgesetzt"),
        "completed" => word!("completed", "abgeschlossen"),
        "cancelled" => word!("cancelled", "storniert"),
        "draft" => word!("draft", "Entwurf"),
        "intended" => word!("intended", "geplant"),
        "not-taken" => word!("not-taken", "wird nicht eingenommen"),
        "registered" => word!("registered", "registriert"),
        "partial" => word!("partial", "unvollständig"),
        "preliminary" => word!("preliminary", "vorläufig"),
        "final" => word!("final", "endgültig"),
        "amended" => word!("amended", "geändert"),
        "corrected" => word!("corrected", "korrigiert"),
        "appended" => word!("appended", "ergänzt"),
        "current" => word!("current", "aktuell"),
        "superseded" => word!("superseded", "ersetzt"),
        "entered-in-error" => word!("entered-in-error", "irrtümlich eingetragen"),
        "planned" => word!("planned", "geplant"),
        "arrived" => word!("arrived", "eingetroffen"),
        "triaged" => word!("triaged", "triagiert"),
        "in-progress" => word!("in-progress", "laufend"),
        "onleave" => word!("onleave", "beurlaubt"),
        "finished" => word!("finished", "beendet"),
        "unknown" => word!("unknown", "Status unbekannt"),
        other => other,
    }
}

/// How a problem stands.
pub(super) fn problem(code: &str) -> &str {
    match code {
        "recurrence" => word!("recurrence", "Rezidiv"),
        "relapse" => word!("relapse", "Rückfall"),
        "remission" => word!("remission", "in Remission"),
        other => shown::stands(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    #[test]
    fn a_code_is_itself_in_english_and_one_that_is_not_known_in_every_language() {
        for code in [
            "active",
            "entered-in-error",
            "in-progress",
            "unknown",
            "registered",
        ] {
            assert_eq!(status(code), code);
            speaking(Language::German, || assert_ne!(status(code), code));
        }
        assert_eq!(problem("relapse"), "relapse");
        speaking(Language::German, || {
            assert_eq!(status("parked"), "parked");
            assert_eq!(problem("relapse"), "Rückfall");
        });
    }
}
