//! Emergency accounts: who somebody says they are, with the code of an envelope, while nobody answers who could say it (ADR 49).
//!
//! Lives here: when such an account opens something, whose it is once it was opened, and its row. Never here: the code (it is checked as
//! every PIN of an emergency, `break_glass`), what the account may do (the policy). Called by the facade.
//!
//! A name that nobody has checked is the weakest identity there is: it opens emergency cards for half an hour each, under the one name
//! that it was opened with, for one shift, and every row says so.

use super::{Assurance, Person, dir_user, rows, ways};
use crate::EngineError;
use crate::break_glass;
use crate::error::Envelope;
use crate::station::Station;
use vitrine_access::Grant;
use vitrine_access::grant::{DECLARED_NAME, ENVELOPE_MS};
use vitrine_access::ways::Because;
use vitrine_clinical::{UserId, UtcMs, say};

/// Whether a name is that of an emergency account.
pub(crate) fn is_one(station: &Station, user: &str) -> bool {
    let dir = dir_user(station, user.trim()).ok().flatten();
    let person = dir.and_then(|d| Person::of_dir(&d).ok());
    person.is_some_and(|p| p.role.declares_a_name())
}

/// Whether emergency accounts open anything now. Asks the server for up to a second; without an answer they do.
///
/// # Errors
/// [`EngineError::Envelope`], with its row: the server answers, and its provider where that is the way in.
pub(crate) async fn open(station: &Station, user: &str) -> Result<Because, EngineError> {
    let user = UserId::new(user.trim()).map_err(|e| EngineError::Usage(e.to_string()))?;
    ways::declared(station, &user).await
}

/// Proves that somebody holds the code of an emergency account, under the name that they say is theirs.
///
/// # Errors
/// As [`break_glass::identify`]; [`EngineError::NameNeeded`] without a name, after the code was right; [`EngineError::Usage`] for a name
/// that is none; [`EngineError::Envelope`].
pub(crate) fn identify(
    station: &Station,
    user: &str,
    code: &str,
    declared: Option<&str>,
    because: Because,
) -> Result<(Person, Assurance), EngineError> {
    let (mut person, _) = break_glass::identify(station, user, code, None)?;
    let name = match declared.map(str::trim).filter(|n| !n.is_empty()) {
        None => return Err(EngineError::NameNeeded),
        Some(name) => a_name(name)?,
    };
    if let Err(why) = still_theirs(&uses(station, &person.user), &name, station.clock.now()) {
        let rule = match why {
            Envelope::Over => "emergency-account-over",
            _ => "emergency-account-of-somebody-else",
        };
        rows::not_let_in(station, &person.user, vitrine_access::Kind::Identify, rule);
        return Err(EngineError::Envelope(why));
    }
    rows::declared(station, &person.user, &name, because);
    person.display = say!(
        "{name} — declared, not verified",
        "{name} — eigene Angabe, nicht geprüft"
    );
    person.declared = Some(name);
    Ok((person, Assurance::Declared))
}

/// A name with where its bearer is from, as typed: letters enough to be one, no more than a line.
fn a_name(text: &str) -> Result<String, EngineError> {
    let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    let (least, most) = (*DECLARED_NAME.start(), *DECLARED_NAME.end());
    if letters < least || name.chars().count() > most || name.chars().any(char::is_control) {
        return Err(EngineError::Usage(say!(
            "Type your name and where you are from: at least {least} letters, at most {most} characters.",
            "Ihren Namen und Ihre Herkunft eingeben: mindestens {least} Buchstaben, höchstens {most} Zeichen."
        )));
    }
    Ok(name)
}

/// The glass that was broken here with an account. What cannot be read hinders nobody: it is an emergency.
fn uses(station: &Station, user: &UserId) -> Vec<Grant> {
    let kept = station.outbox.grants(true).unwrap_or_else(|e| {
        tracing::error!(error = %e, "the earlier uses of an emergency account could not be read");
        Vec::new()
    });
    let grants = kept
        .iter()
        .filter_map(|g| serde_json::from_str::<Grant>(&g.body).ok());
    grants.filter(|g| g.user == *user).collect()
}

/// Whether an account with these uses is still that of whoever says to be `name`.
fn still_theirs(uses: &[Grant], name: &str, now: UtcMs) -> Result<(), Envelope> {
    let same = |g: &Grant| {
        g.declared
            .as_deref()
            .is_some_and(|d| d.to_lowercase() == name.to_lowercase())
    };
    if !uses.iter().all(same) {
        return Err(Envelope::OfSomebodyElse);
    }
    let opened = uses.iter().map(|g| g.at.0).min();
    // A clock that was set back does not open it anew, and does not close it.
    match opened {
        Some(at) if now.0.saturating_sub(at) >= ENVELOPE_MS => Err(Envelope::Over),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_access::AccessId;
    use vitrine_access::grant::{DECLARED_GRANT_MS, Reason};
    use vitrine_clinical::PatientId;

    fn used(name: &str, at: i64) -> Grant {
        Grant {
            id: AccessId(uuid::Uuid::nil()),
            user: UserId::new("emergency-001").unwrap(),
            device: None,
            patient: PatientId::new("p1").unwrap(),
            reason: Reason::LifeThreatening,
            words: None,
            at: UtcMs(at),
            until: UtcMs(at + DECLARED_GRANT_MS),
            offline: true,
            declared: Some(name.to_owned()),
        }
    }

    #[test]
    fn an_envelope_is_one_persons_for_one_shift() {
        let mine = [used("Jo Smith, agency", 0), used("jo smith, AGENCY", 3_600_000)];
        let at = |uses: &[Grant], name, ms| still_theirs(uses, name, UtcMs(ms));
        assert_eq!(at(&[], "Jo Smith, agency", 0), Ok(()));
        assert_eq!(at(&mine, "JO SMITH, agency", ENVELOPE_MS - 1), Ok(()));
        assert_eq!(at(&mine, "Jo Smith, agency", ENVELOPE_MS), Err(Envelope::Over));
        assert_eq!(at(&mine, "Al Brown, agency", 1), Err(Envelope::OfSomebodyElse));
        assert_eq!(at(&mine, "Jo Smith, agency", -86_400_000), Ok(()));
        let nameless = Grant {
            declared: None,
            ..used("", 0)
        };
        assert_eq!(
            at(&[nameless], "Jo Smith, agency", 1),
            Err(Envelope::OfSomebodyElse)
        );
    }

    #[test]
    fn a_name_is_letters_on_one_line() {
        for (typed, kept) in [
            ("Jo Smith, agency", Some("Jo Smith, agency")),
            ("  Jo\t Smith \n agency ", Some("Jo Smith agency")),
            ("李小龍大夫", Some("李小龍大夫")),
            ("x", None),
            ("12345678", None),
            ("Jo S", None),
        ] {
            assert_eq!(a_name(typed).ok().as_deref(), kept, "{typed:?}");
        }
        assert!(a_name(&"a".repeat(120)).is_ok() && a_name(&"a".repeat(121)).is_err());
    }
}
