//! SMART scopes (SMART App Launch 2.2, scopes for requesting FHIR resources): `patient|user|system/Type.cruds?_security=R`.
//!
//! Lives here: what a scope covers, up to which level it lets see, and whether one lies within another. Never here: who holds
//! it, and what else it takes (`policy`).

use vitrine_clinical::label::Confidentiality;

/// Whether a SMART v2 scope (`system/Type.cruds`) covers a type and any of `letters` (SMART App Launch 2.2,
/// scopes: `.cruds` letters in that order; v1 `.read` = `rs`, `.write` = `cud`, `.*` = all).
pub(crate) fn covers(scope: &str, kind: Option<&str>, letters: &str) -> bool {
    let Some((type_part, granted, search)) = parts(scope) else {
        return false;
    };
    if search.is_some_and(|s| !s.starts_with(SECURITY)) {
        return false;
    }
    if type_part != "*" && kind != Some(type_part) {
        return false;
    }
    letters_of(granted).is_some_and(|granted| letters.chars().any(|l| granted.contains(l)))
}

/// The letters of a scope; those of SMART v1 in the words of v2. Letters out of their order, twice or unknown are none
/// (SMART App Launch 2.2, scopes for requesting FHIR resources).
fn letters_of(granted: &str) -> Option<&str> {
    match granted {
        "" => None,
        "read" => Some("rs"),
        "write" => Some("cud"),
        "*" => Some("cruds"),
        other => {
            let mut rest = "cruds".chars();
            other.chars().all(|l| rest.any(|r| r == l)).then_some(other)
        }
    }
}

/// Whether a scope lies within another: its context (`patient`, `user`, `system`), its type, every one of its letters, and no
/// higher a level.
#[must_use]
pub fn within(asked: &str, registered: &str) -> bool {
    if asked.split('/').next() != registered.split('/').next() {
        return false;
    }
    let (Some((kind, letters, narrowed)), Some((k, l, _))) = (parts(asked), parts(registered)) else {
        return false;
    };
    let (Some(letters), Some(l)) = (letters_of(letters), letters_of(l)) else {
        return false;
    };
    (k == "*" || k == kind)
        && letters.chars().all(|c| l.contains(c))
        && narrowed.is_none_or(|n| n.starts_with(SECURITY))
        && sees(asked) <= sees(registered)
}

/// The search parameter that names a level.
const SECURITY: &str = "_security=";

/// How the scopes begin that a program has by itself.
pub(crate) const SYSTEM: &str = "system/";
/// How those begin that reach one patient.
pub(crate) const PATIENT: &str = "patient/";
/// How those begin that reach what the person may.
const USER: &str = "user/";

/// Type, letters and search parameters of a scope.
fn parts(scope: &str) -> Option<(&str, &str, Option<&str>)> {
    let rest = [SYSTEM, PATIENT, USER]
        .iter()
        .find_map(|c| scope.strip_prefix(c))?;
    let (rest, search) = match rest.split_once('?') {
        Some((rest, search)) => (rest, Some(search)),
        None => (rest, None),
    };
    let (kind, letters) = rest.split_once('.')?;
    Some((kind, letters, search))
}

/// Up to which level a scope lets see: `system/*.rs?_security=R` names it (SMART App Launch 2.2, finer-grained resource
/// constraints using search parameters; the system of the code may stand before it, `system|R`). A scope with any other
/// search parameter covers nothing: what it narrows to is not known here.
pub(crate) fn sees(scope: &str) -> Confidentiality {
    let named = parts(scope).and_then(|(_, _, search)| search?.strip_prefix(SECURITY));
    match named.map(|n| n.rsplit('|').next().unwrap_or(n)) {
        Some("V") => Confidentiality::VeryRestricted,
        Some("R") => Confidentiality::Restricted,
        _ => Confidentiality::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_names_the_level_it_lets_see_and_no_wider_one_is_given() {
        let v = "system/*.rs?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V";
        assert_eq!(sees("system/*.rs"), Confidentiality::Normal);
        assert_eq!(sees("system/*.rs?_security=R"), Confidentiality::Restricted);
        assert_eq!(sees(v), Confidentiality::VeryRestricted);
        assert!(covers(v, Some("Observation"), "r") && !covers(v, None, "c"));
        assert!(!covers("system/*.dus", Some("Observation"), "u"));
        assert!(!covers(
            "system/*.rs?category=laboratory",
            Some("Observation"),
            "r"
        ));
        for (asked, registered, fine) in [
            ("system/*.rs", "system/*.cruds", true),
            ("system/Patient.r", "system/*.read", true),
            ("system/*.rs", "system/Patient.rs", false),
            (v, "system/*.cruds", false),
            ("system/*.rs?_security=R", v, true),
            (v, "system/*.rs?_security=R", false),
            ("system/*.rs?category=x", "system/*.cruds", false),
            ("system/*.", "system/*.cruds", false),
            ("system/*.dus", "system/*.cruds", false),
            ("patient/*.rs", "system/*.cruds", false),
            ("patient/*.rs", "user/*.rs", false),
            ("user/*.rs", "patient/*.rs", false),
            ("patient/Observation.rs", "patient/*.rs", true),
            ("patient/*.read", "patient/*.rs", true),
            ("system/*.rr", "system/*.cruds", false),
            ("system/*.rsx", "system/*.cruds", false),
            ("system/*.r", "system/*.sr", false),
        ] {
            assert_eq!(within(asked, registered), fine, "{asked} in {registered}");
        }
    }
}
