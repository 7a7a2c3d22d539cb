//! `POST /fhir/Patient/$match`: who of the recorded patients may be the one described (FHIR R4, operation Patient-match).
//!
//! Lives here: reading the parameters, finding whom to compare, the Bundle. Never here: how two people are compared
//! (`vitrine_clinical::matching`), how a Patient becomes what is compared (`vitrine_fhir::demographics`), who may search (the policy).
//! Called by the router.
//!
//! Whom to compare is found by the words that the stores index anyway. What a search would disclose tells their ids; nothing
//! of them is opened but the identity of those who are shown, and the audit row names these. Somebody whose Patient
//! the caller may not read is compared by what a search of names shows and by nothing else: otherwise an address or a number could
//! be tried until it agrees.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::search::sound::subset;
use super::{Query, Wanted, answer, must_be_json, path_kind, told};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use vitrine_access::Permit;
use vitrine_access::action::SearchPatients;
use vitrine_access::policy;
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::matching::{Grade, Level, Normalised, Pass, Person, Score, is_particle, keys};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::IssueCode;
use vitrine_store::search::{name_words, number_word};
use vitrine_store::{SearchBy, SearchHits, SearchQuery, StoreError};

/// Most patients of an answer, and as many when `count` says nothing.
const MOST: usize = 50;
/// Patients that one query gives at most.
const BOUND: usize = 100;
/// Queries of one question at most.
const QUERIES: usize = 32;
/// Words of the family names, and of the given names, that are asked for.
const WORDS: usize = 4;
/// Patients that are compared at most.
const COMPARED: usize = 400;
/// Characters of the names that the audit row keeps.
const KEPT: usize = 200;

/// Extension of an entry's `search`: its grade.
const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
/// Extension of an entry's `search`: what its score is made of.
const EXPLANATION: &str = "urn:vitrine:match-explanation";

fn bad(code: IssueCode, text: impl Into<String>) -> FhirRefusal {
    FhirRefusal::new(StatusCode::BAD_REQUEST, code, "", text)
}

/// Finds who of the recorded patients may be the one described.
///
/// # Errors
/// [`FhirRefusal`]: 400 for parameters that are not offered, 422 for what is no Patient or too little to match on.
pub async fn matching(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    if kind != "Patient" {
        return Err(bad(IssueCode::NotSupported, "$match is an operation of Patient"));
    }
    must_be_json(&headers)?;
    let asked = Asked::read(&body, &wanted.query)?;
    let request = app.request(&caller, Some("Patient"), None).await?;
    let permit = app
        .decide::<SearchPatients>(request)
        .await?
        .noted("query", asked.names().chars().take(KEPT).collect::<String>())
        .noted("by", "match");
    let candidates = candidates(&app, &permit, &asked.person).await?;
    let (mut found, unread) = compared(&app, &caller, &asked.person, candidates.patients).await?;
    found.sort_by(|a, b| {
        (b.score.total, a.score.grade, &a.patient).cmp(&(a.score.total, b.score.grade, &b.patient))
    });
    let mut beside = Vec::new();
    if candidates.more {
        beside.push(told(
            "incomplete",
            "more patients share a name, a birth date or a number with this one than are compared: give more of what is known",
        ));
    }
    if unread > 0 {
        let text = format!("{unread} records could not be read and were not compared");
        beside.push(told("incomplete", &text));
    }
    if asked.only_certain {
        found.retain(|f| f.score.grade == Grade::Certain);
        if found.len() > 1 {
            found.clear();
            beside.push(told(
                "multiple-matches",
                "more than one patient matches with certainty: ask without onlyCertainMatches, and have somebody look at them",
            ));
        }
    }
    let total = found.len();
    if total > asked.count {
        found.truncate(asked.count);
        beside.push(told(
            "incomplete",
            &format!(
                "{} patients that match less well are not shown",
                total - asked.count
            ),
        ));
    }
    let shown: Vec<PatientId> = found.iter().map(|f| f.patient.clone()).collect();
    let sealed = app.store.identities(&permit, &shown).await?;
    let hits = app.open(&permit, sealed).await?;
    let bundle = bundle(&found, &hits, beside, total, &wanted.base)?;
    Ok(answer(StatusCode::OK, None, bundle.to_string().into_bytes()))
}

/// What is asked.
struct Asked {
    person: Person,
    only_certain: bool,
    count: usize,
}

impl Asked {
    /// Reads Parameters; or a Patient by itself, with the other parameters in the address (FHIR R4, operations, "Executing
    /// an Operation Synchronously").
    fn read(body: &[u8], query: &Query) -> Result<Self, FhirRefusal> {
        let body = vitrine_fhir::without_bom(body);
        let envelope = vitrine_fhir::validate(body).map_err(|issues| FhirRefusal::content(&issues))?;
        let root: Value = serde_json::from_slice(body)
            .map_err(|e| bad(IssueCode::Structure, format!("no JSON at line {}", e.line())))?;
        let in_address = |n: &str| !["_format", "_pretty"].contains(&n);
        let mut given: Vec<(String, Value)> = Vec::new();
        for (name, value) in query.0.iter().filter(|(n, _)| in_address(n)) {
            let value = serde_json::from_str(value).unwrap_or(Value::Null);
            given.push((name.clone(), value));
        }
        let patient = match envelope.kind.as_str() {
            "Patient" => root,
            "Parameters" if given.is_empty() => {
                let mut patient = None;
                for part in root["parameter"].as_array().into_iter().flatten() {
                    let name = part["name"].as_str().unwrap_or_default();
                    if name == "resource"
                        && patient.is_none()
                        && part["resource"]["resourceType"] == "Patient"
                    {
                        patient = Some(part["resource"].clone());
                        continue;
                    }
                    let value = ["valueBoolean", "valueInteger", "valuePositiveInt"]
                        .iter()
                        .find_map(|k| part.get(*k));
                    given.push((name.to_owned(), value.cloned().unwrap_or(Value::Null)));
                }
                patient.ok_or_else(|| {
                    let text = "give the parameter resource, once, with a Patient";
                    FhirRefusal::new(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        IssueCode::Required,
                        "Parameters",
                        text,
                    )
                })?
            }
            "Parameters" => {
                return Err(bad(
                    IssueCode::Value,
                    "give every parameter in the body, or the Patient by itself",
                ));
            }
            _ => return Err(bad(IssueCode::Value, "send Parameters, or a Patient by itself")),
        };
        let (mut only_certain, mut count) = (None, None);
        for (name, value) in given {
            match (name.as_str(), &value) {
                ("onlyCertainMatches", Value::Bool(only)) if only_certain.is_none() => {
                    only_certain = Some(*only)
                }
                ("count", Value::Number(n)) if count.is_none() && n.as_u64().is_some_and(|n| n > 0) => {
                    count = n.as_u64().and_then(|n| usize::try_from(n).ok());
                }
                _ => {
                    return Err(bad(
                        IssueCode::Value,
                        "the parameters are resource (a Patient), onlyCertainMatches (true or false) and count (from 1), each once",
                    ));
                }
            }
        }
        let person = vitrine_fhir::demographics(patient.to_string().as_bytes())
            .map_err(|e| FhirRefusal::content(&[e.0]))?;
        if queries(&person).0.is_empty() {
            return Err(FhirRefusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueCode::Required,
                "Patient",
                "too little to match on: give a family and a given name, or one of them with a year of birth or a postcode, or a \
                 whole birth date, or an identifier with its system; what stands for \"not known\" does not count",
            ));
        }
        Ok(Self {
            person,
            only_certain: only_certain.unwrap_or(false),
            count: count.unwrap_or(MOST).min(MOST),
        })
    }

    /// The names, as the audit row of a search of names keeps them.
    fn names(&self) -> String {
        let p = &self.person;
        let all: Vec<&str> = p.family.iter().chain(&p.given).map(String::as_str).collect();
        all.join(" ")
    }
}

/// The words of names that say something: no placeholder, no particle, no first letter by itself.
fn words<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let says = |word: &str| {
        let person = Person {
            family: Some(word.to_owned()),
            birth_date: Some(PartialDate::new("1950")),
            ..Person::default()
        };
        word.len() > 1 && !keys(&person).is_empty()
    };
    let mut out: Vec<String> = Vec::new();
    for name in names {
        let every = name_words(name);
        // Where a name is nothing but a particle it is the name.
        let only = every.iter().all(|w| is_particle(w));
        for word in every.into_iter().filter(|w| says(w) && (only || !is_particle(w))) {
            if !out.contains(&word) {
                out.push(word);
            }
        }
    }
    out
}

/// The queries by which a person is looked for, and whether there would have been more of them. They follow the keys of the matcher as
/// far as the stores have an index: identifiers; the birth date, day and month in either order; each family name with each
/// given name by their sound; a name as written with the year of birth; and where that year is not known, a family name by its
/// sound. None of a person who has no key of these.
fn queries(person: &Person) -> (Vec<SearchQuery>, bool) {
    let keys = keys(person);
    let has = |pass: Pass| keys.iter().any(|k| k.pass == pass);
    let (family, given) = (
        words(person.family.iter().chain(&person.former)),
        words(person.given.iter()),
    );
    let mut cut = family.len() > WORDS || given.len() > WORDS;
    let family = family.get(..WORDS).unwrap_or(&family);
    let given = given.get(..WORDS).unwrap_or(&given);
    let mut out: Vec<SearchQuery> = Vec::new();
    let mut add = |by: SearchBy, text: String| {
        let query = SearchQuery {
            text,
            by,
            limit: BOUND + 1,
        };
        if !out.contains(&query) {
            out.push(query);
        }
    };
    for key in keys.iter().filter(|k| k.pass == Pass::Identifier) {
        if let Some((_, value)) = key.value.rsplit_once('|') {
            add(SearchBy::Words, number_word(value));
        }
    }
    let born = person.birth_date.as_ref().map_or("", PartialDate::as_str);
    let parts: Vec<&str> = born.split('-').collect();
    if has(Pass::BirthDate)
        && let [y, m, d] = parts.as_slice()
    {
        add(SearchBy::Words, format!("{y}{m}{d}"));
        add(SearchBy::Words, format!("{y}{d}{m}"));
    }
    if has(Pass::Names) {
        for f in family {
            for g in given {
                add(SearchBy::Sound, format!("{f} {g}"));
            }
        }
    }
    if has(Pass::NameYear)
        && let Some(year) = parts.first()
    {
        for word in family.iter().chain(given) {
            add(SearchBy::Words, format!("{word} {year}"));
        }
    } else if has(Pass::Names) || has(Pass::NamePostcode) {
        let names = if family.is_empty() { given } else { family };
        for word in names {
            add(SearchBy::Sound, word.clone());
        }
    }
    cut |= out.len() > QUERIES;
    out.truncate(QUERIES);
    (out, cut)
}

/// Whom to compare.
struct Candidates {
    patients: Vec<PatientId>,
    /// A bound was reached: there are more.
    more: bool,
}

async fn candidates(
    app: &App,
    permit: &Permit<SearchPatients>,
    person: &Person,
) -> Result<Candidates, StoreError> {
    let (queries, mut more) = queries(person);
    let (mut patients, mut known) = (Vec::new(), HashSet::new());
    for query in &queries {
        let sealed = app.store.search(permit, query).await?;
        let found = &sealed.disclosure().patients;
        more |= found.len() > BOUND;
        for patient in found.iter().take(BOUND) {
            if !known.insert(patient.clone()) {
                continue;
            }
            if patients.len() == COMPARED {
                more = true;
                break;
            }
            patients.push(patient.clone());
        }
    }
    Ok(Candidates { patients, more })
}

/// A patient that may be meant.
struct Found {
    patient: PatientId,
    score: Score,
    /// Compared by everything that is recorded, not by what a search shows alone.
    whole: bool,
}

/// Those worth a person's look, and how many records could not be read. Whether the caller may read a record is decided for
/// everybody who is compared, so that the time of an answer does not tell for whom it made a difference; a grant of a broken glass does
/// not count here.
async fn compared(
    app: &App,
    caller: &Caller,
    person: &Person,
    patients: Vec<PatientId>,
) -> Result<(Vec<Found>, usize), StoreError> {
    let asked = Normalised::of(person);
    let (mut out, mut unread) = (Vec::new(), 0);
    for patient in patients {
        let mut request = app.request(caller, Some("Patient"), Some(&patient)).await?;
        request.grant = None;
        let whole = policy::verdict("read-resource", &request).allow;
        let recorded = match recorded(app, &patient).await {
            Ok(Some(recorded)) if whole => recorded,
            Ok(Some(recorded)) => as_searched(recorded),
            Ok(None) => continue,
            Err(StoreError::Archived { .. } | StoreError::Damaged(_)) => {
                unread += 1;
                continue;
            }
            Err(e) => return Err(e),
        };
        let score = asked.score(&Normalised::of(&recorded));
        if score.grade != Grade::CertainlyNot {
            out.push(Found {
                patient,
                score,
                whole,
            });
        }
    }
    Ok((out, unread))
}

/// A patient as recorded; `None` for one who is gone since they were found.
async fn recorded(app: &App, patient: &PatientId) -> Result<Option<Person>, StoreError> {
    let damaged = |e: String| StoreError::Damaged(format!("Patient/{patient}: {e}"));
    let key = ResourceKey::new("Patient", patient.as_str()).map_err(|e| damaged(e.to_string()))?;
    let Some((_, body)) = app.store.lookup(&key).await? else {
        return Ok(None);
    };
    let person = vitrine_fhir::demographics(&body).map_err(|e| damaged(e.to_string()))?;
    Ok(Some(person))
}

/// What a search of names shows of somebody, or finds them by.
fn as_searched(p: Person) -> Person {
    Person {
        family: p.family,
        former: p.former,
        given: p.given,
        birth_date: p.birth_date,
        gender: p.gender,
        deceased: p.deceased,
        ..Person::default()
    }
}

/// A probability with six digits, never rounded up to 1.
fn digits(probability: f64) -> f64 {
    (probability * 1e6).floor() / 1e6
}

/// Grade and explanation of an entry: each field that both have, with its level and what it adds; each doubt; by what it was
/// compared; the sum in bits.
fn extensions(found: &Found) -> Value {
    let bits = |hundredths: i32| json!(f64::from(hundredths) / 100.0);
    let explained = |parts: Value| json!({"url": EXPLANATION, "extension": parts});
    let mut out = vec![json!({"url": GRADE, "valueCode": found.score.grade.code()})];
    let compared = if found.whole { "record" } else { "identity" };
    out.push(explained(json!([
        {"url": "compared", "valueCode": compared},
        {"url": "total", "valueDecimal": bits(found.score.total.0)},
    ])));
    for f in found.score.fields.iter().filter(|f| f.level != Level::Unknown) {
        out.push(explained(json!([
            {"url": "field", "valueCode": f.field.code()},
            {"url": "level", "valueCode": f.level.code()},
            {"url": "weight", "valueDecimal": bits(f.weight.0)},
        ])));
    }
    let doubts = found.score.doubts.iter();
    out.extend(doubts.map(|d| explained(json!([{"url": "doubt", "valueCode": d.code()}]))));
    out.into()
}

fn bundle(
    found: &[Found],
    hits: &SearchHits,
    beside: Vec<Value>,
    total: usize,
    base: &str,
) -> Result<Value, FhirRefusal> {
    let mut entries = Vec::with_capacity(found.len() + beside.len());
    for one in found {
        // Gone since it was found: it is not shown, and the row does not name it.
        let Some(hit) = hits.hits.iter().find(|h| h.patient == one.patient) else {
            continue;
        };
        entries.push(json!({
            "fullUrl": format!("{base}/Patient/{}", hit.patient),
            "resource": subset(hit)?,
            "search": {
                "extension": extensions(one),
                "mode": "match",
                "score": digits(one.score.probability()),
            },
        }));
    }
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": clock::instant(clock::now()),
        "total": total,
    });
    entries.extend(beside);
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(family: &str, given: &str, born: &str) -> Vec<String> {
        let person = Person {
            family: Some(family.to_owned()),
            given: vec![given.to_owned()],
            birth_date: Some(PartialDate::new(born)),
            ..Person::default()
        };
        queries(&person).0.into_iter().map(|q| q.text).collect()
    }

    #[test]
    fn a_person_is_looked_for_by_what_says_something() {
        assert_eq!(
            asked("van Dam", "Jo", "1950-03-02"),
            ["19500302", "19500203", "dam jo", "dam 1950", "jo 1950"]
        );
        assert_eq!(asked("Le", "Jo", "1950"), ["le jo", "le 1950", "jo 1950"]);
        assert_eq!(asked("Dam", "J", "1950"), ["dam 1950"]);
        assert_eq!(asked("Dam", "Jo", "1900-01-01"), ["dam jo", "dam"]);
        for (family, given, born) in [("", "", ""), ("UNKNOWN", "", "1900-01-01"), ("Dam", "", "")] {
            assert!(asked(family, given, born).is_empty(), "{family} {given} {born}");
        }
    }

    #[test]
    fn queries_are_bounded_and_that_is_said() {
        let person = Person {
            family: Some("Aa Bb Cc Dd Ee".to_owned()),
            given: vec!["Ff Gg Hh Ii".to_owned()],
            birth_date: Some(PartialDate::new("1950-03-02")),
            ..Person::default()
        };
        let (all, cut) = queries(&person);
        assert!(all.len() <= QUERIES && cut, "{}", all.len());
    }

    #[test]
    fn a_score_is_a_probability_and_never_one() {
        assert!(digits(1.0 / (1.0 + 1e-12)) < 1.0);
        assert!((digits(0.999_000_9) - 0.999).abs() < 1e-9);
    }
}
