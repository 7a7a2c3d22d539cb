//! A row as FHIR R4 AuditEvents after the profiles of IHE Basic Audit Log Patterns 1.1.4.
//!
//! Lives here: the resource, its id, the way back from the id to the row. Never here: which event an act is (`super`), who may
//! read it. Called by `ops::look` and `http::fhir::audit_event`.
//!
//! BALP wants one event for each patient, so a row about several gives several. What is listed in a row without its patient is
//! listed in the first of them, and the others say so. An access that was refused has the form of its profile and does not
//! claim it: the profiles are of success.

use super::{APPLICATION, DESTINATION, REST, System, outcome};
use super::{Code, Known, Node, Pattern, SOURCE, Told, Who, clean};
use serde_json::{Map, Value, json};
use vitrine_access::tree::note::b64;
use vitrine_access::{Decision, Disclosed, Purpose};
use vitrine_clinical::PatientId;
use vitrine_store::audit_find::FoundRow;

/// Where the profiles are.
const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
/// Longest logical id (FHIR R4, datatype `id`).
const ID_MOST: usize = 64;

/// What the ids of these AuditEvents begin with; nobody else's may.
pub const OURS: &str = "row.";

/// The place an id names: chain, number, which of the row's events (from 0).
#[must_use]
pub fn place(id: &str) -> Option<(String, u64, usize)> {
    let mut parts = id.strip_prefix(OURS)?.splitn(3, '.');
    let (seq, nth, chain) = (parts.next()?, parts.next()?, parts.next()?);
    let (seq, nth) = (seq.parse().ok()?, nth.parse().ok()?);
    (seq > 0 && !chain.is_empty()).then(|| (chain.to_owned(), seq, nth))
}

fn id_of(row: &FoundRow, nth: usize) -> Option<String> {
    let id = format!("{OURS}{}.{nth}.{}", row.seq, row.chain);
    (id.len() <= ID_MOST && vitrine_clinical::FhirId::new(id.as_str()).is_ok()).then_some(id)
}

/// Every event of a row, at least one.
#[must_use]
pub fn events(row: &FoundRow, known: &Known) -> Vec<Value> {
    let told = Told::of(row, known);
    let patients = told.patients();
    if told.shape.pattern == Pattern::Plain || patients.len() < 2 {
        return vec![event(&told, &patients, 0, true)];
    }
    (0..patients.len())
        .filter_map(|n| Some(event(&told, patients.get(n..=n)?, n, false)))
        .collect()
}

/// One event about `patients`. `all`: whatever the row lists belongs to it.
fn event(told: &Told<'_>, patients: &[&PatientId], nth: usize, all: bool) -> Value {
    let mut out = Map::new();
    out.insert("resourceType".into(), "AuditEvent".into());
    if let Some(id) = id_of(told.row, nth) {
        out.insert("id".into(), id.into());
    }
    let denied = told.read.is_some_and(|(e, _)| e.decision == Decision::Deny);
    if let Some(profile) = profile(told.shape.pattern, !patients.is_empty()).filter(|_| !denied) {
        out.insert(
            "meta".into(),
            json!({"profile": [format!("{PROFILES}{profile}")]}),
        );
    }
    let kind = match told.shape.pattern {
        Pattern::Plain | Pattern::Disclose => told.shape.event,
        _ => REST,
    };
    out.insert("type".into(), coding(kind));
    out.insert("subtype".into(), subtypes(told).into());
    out.insert("action".into(), told.shape.action.into());
    out.insert("recorded".into(), crate::clock::instant(told.row.at).into());
    out.insert(
        "outcome".into(),
        told.read.map_or("0", |(e, _)| outcome(e)).into(),
    );
    if let Some((e, _)) = told.read {
        if let Some(rule) = clean(&e.rule).filter(|_| denied) {
            out.insert("outcomeDesc".into(), format!("refused: {rule}").into());
        }
        let reasons: Vec<Value> = purposes(e.purpose)
            .iter()
            .map(|(code, words)| json!({"coding": [{"system": ACT_REASON, "code": code, "display": words}]}))
            .collect();
        out.insert("purposeOfEvent".into(), reasons.into());
    }
    out.insert("agent".into(), agents(told).into());
    out.insert("source".into(), source(told));
    out.insert("entity".into(), entities(told, patients, nth, all).into());
    out.into()
}

const fn profile(pattern: Pattern, patient: bool) -> Option<&'static str> {
    Some(match (pattern, patient) {
        (Pattern::Read, false) => "Read",
        (Pattern::Read, true) => "PatientRead",
        (Pattern::Query, false) => "Query",
        (Pattern::Query, true) => "PatientQuery",
        (Pattern::Create, false) => "Create",
        (Pattern::Create, true) => "PatientCreate",
        (Pattern::Update, false) => "Update",
        (Pattern::Update, true) => "PatientUpdate",
        (Pattern::Delete, false) => "Delete",
        (Pattern::Delete, true) => "PatientDelete",
        // It has a patient, or is none.
        (Pattern::Disclose, true) => "PrivacyDisclosure.Source",
        (Pattern::Disclose, false) | (Pattern::Plain, _) => return None,
    })
}

fn coding(code: Code) -> Value {
    json!({"system": code.0.uri(), "code": code.1, "display": code.2})
}

fn subtypes(told: &Told<'_>) -> Vec<Value> {
    let interaction = |code: &str| json!({"system": INTERACTION, "code": code, "display": code});
    let mut out = match told.shape.pattern {
        Pattern::Read => vec![interaction("read")],
        Pattern::Query => vec![interaction("search-type")],
        Pattern::Create => vec![interaction("create")],
        Pattern::Update => vec![interaction("update")],
        Pattern::Delete => vec![interaction("delete")],
        Pattern::Disclose => vec![json!({
            "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
            "code": "disclose", "display": "Disclose Record Lifecycle Event",
        })],
        Pattern::Plain => Vec::new(),
    };
    out.extend(told.shape.types.iter().map(|c| coding(*c)));
    let act = told.read.map_or("unread-row", |(_, k)| k.name());
    out.push(json!({"system": System::Act.uri(), "code": act}));
    out
}

/// Codes of v3-ActReason. Breaking the glass is both: the override, and the treatment it is for.
const fn purposes(purpose: Purpose) -> &'static [(&'static str, &'static str)] {
    match purpose {
        Purpose::Treatment => &[("TREAT", "treatment")],
        Purpose::BreakGlass => &[("BTG", "break the glass"), ("ETREAT", "Emergency Treatment")],
        Purpose::Operations => &[("HSYSADMIN", "health system administration")],
        Purpose::Compliance => &[("HCOMPL", "health compliance")],
        Purpose::Payment => &[("HPAYMT", "healthcare payment")],
        Purpose::HealthcareOperations => &[("HOPERAT", "healthcare operations")],
        Purpose::Research => &[("HRESCH", "healthcare research")],
        Purpose::PatientRequest => &[("PATRQT", "patient requested")],
    }
}

fn who(node: Node<'_>, known: &Known) -> Value {
    let mut out = json!({"display": clean(node.name(known))});
    if let Some((system, value)) = node.identifier(known) {
        out["identifier"] = json!({"system": system, "value": value});
    }
    out
}

/// An address that no row has is marked as unknown (FHIR R4, extension data-absent-reason).
fn network(node: Node<'_>, known: &Known) -> Value {
    match node.address(known) {
        Some((address, kind)) => json!({"address": clean(address), "type": kind}),
        None => json!({"_address": {"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown",
        }]}}),
    }
}

fn agents(told: &Told<'_>) -> Vec<Value> {
    let known = told.known;
    let custodian = json!({
        "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        "code": "custodian", "display": "Custodian",
    });
    // Queries and writes flow from who asks, answers to a read flow back: BALP keeps to that.
    let (client, server) = match told.shape.pattern {
        Pattern::Read => (coding(DESTINATION), coding(SOURCE)),
        Pattern::Query | Pattern::Create | Pattern::Update => (coding(SOURCE), coding(DESTINATION)),
        Pattern::Delete => (coding(APPLICATION), custodian),
        Pattern::Disclose => (coding(DESTINATION), coding(SOURCE)),
        Pattern::Plain => (coding(APPLICATION), coding(APPLICATION)),
    };
    let person = told.person();
    let node = |kind: &Value, node: Node<'_>, asks: bool| json!({"type": {"coding": [kind]}, "who": who(node, known), "requestor": asks, "network": network(node, known)});
    let mut out = vec![node(&client, told.client(), person.is_none())];
    if told.shape.pattern == Pattern::Disclose {
        // On paper it is with whoever had it printed; paper has no address.
        if let (Some(agent), Some(person)) = (out.first_mut(), person) {
            agent["who"] = named(person);
            agent["network"] = network(Node::Unknown, known);
        }
        if person.is_some() && told.client() != told.server() {
            out.push(node(&coding(APPLICATION), told.client(), false));
        }
    }
    if told.shape.pattern != Pattern::Plain || told.server() != told.client() {
        out.push(node(&server, told.server(), false));
    }
    if let Some(person) = person {
        out.push(user(told, person));
    }
    out
}

fn named(person: Who<'_>) -> Value {
    json!({
        "identifier": {"system": person.system, "value": person.account},
        "display": person.name.unwrap_or(person.account),
    })
}

fn user(told: &Told<'_>, person: Who<'_>) -> Value {
    let (code, words) = match told.shape.action {
        "R" | "E" => ("IRCP", "information recipient"),
        _ => ("AUT", "author (originator)"),
    };
    let mut out = json!({
        "type": {"coding": [{"system": PARTICIPATION, "code": code, "display": words}]},
        "who": named(person), "altId": person.account, "requestor": true,
    });
    if let Some(name) = person.name.and_then(clean) {
        out["name"] = name.into();
    }
    if let Some((role, words)) = person.role {
        out["role"] = json!([{"coding": [{"system": "urn:vitrine:role", "code": role, "display": words}], "text": words}]);
    }
    if let Some(rule) = told.read.and_then(|(e, _)| uri_part(&e.rule)) {
        out["policy"] = json!([format!("urn:vitrine:rule:{rule}")]);
    }
    out
}

fn uri_part(text: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (!text.is_empty() && text.bytes().all(fits)).then_some(text)
}

fn source(told: &Told<'_>) -> Value {
    let (code, words) = if told.at_device() {
        ("1", "User Device")
    } else {
        ("4", "Application Server")
    };
    json!({
        "site": clean(&told.known.server),
        "observer": who(told.server(), told.known),
        "type": [{
            "system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": code, "display": words,
        }],
    })
}

fn entity_type(code: &str, words: &str) -> Value {
    json!({"system": ENTITY_TYPE, "code": code, "display": words})
}

fn role(code: &str, words: &str) -> Value {
    json!({"system": OBJECT_ROLE, "code": code, "display": words})
}

/// A reference to what a row names: to the version where it is a resource, by an identifier where it is what the server
/// made of them (a card, a picture).
fn what(r: &Disclosed) -> Value {
    if vitrine_fhir::is_resource_type(r.key.kind.as_str()) {
        let version = (r.version > 0).then(|| format!("/_history/{}", r.version));
        json!({"reference": format!("{}{}", r.key, version.unwrap_or_default())})
    } else {
        json!({"identifier": {
            "system": format!("urn:vitrine:{}", r.key.kind), "value": format!("{}/{}", r.key.id, r.version),
        }, "display": format!("{} version {}", r.key, r.version)})
    }
}

fn listed(r: &Disclosed) -> Value {
    let kind = r.key.kind.as_str();
    let system = if vitrine_fhir::is_resource_type(kind) {
        "http://hl7.org/fhir/resource-types"
    } else {
        "urn:vitrine:kind"
    };
    json!({"what": what(r), "type": {"system": system, "code": kind}, "role": role("4", "Domain Resource")})
}

fn entities(told: &Told<'_>, patients: &[&PatientId], nth: usize, all: bool) -> Vec<Value> {
    let mut out: Vec<Value> = patients
        .iter()
        .map(|p| {
            json!({"what": {"reference": format!("Patient/{p}")}, "type": entity_type("1", "Person"),
                "role": role("1", "Patient")})
        })
        .collect();
    let resources = told
        .read
        .map_or(&[][..], |(e, _)| e.disclosure.resources.as_slice());
    let own = |r: &&Disclosed| patients.iter().any(|p| p.as_str() == r.key.id.as_str());
    let everybody = told.patients();
    let of_others = |r: &&Disclosed| everybody.iter().any(|p| p.as_str() == r.key.id.as_str());
    let mine: Vec<&Disclosed> = resources
        .iter()
        .filter(|r| all || own(r) || (nth == 0 && !of_others(r)))
        .collect();
    let mut rest = mine.as_slice();
    match told.shape.pattern {
        Pattern::Query => out.push(json!({
            "type": entity_type("2", "System Object"), "role": role("24", "Query"),
            "description": clean(&told.query()), "query": b64(told.query().as_bytes()),
        })),
        Pattern::Plain => {}
        _ => {
            let main = match mine.as_slice() {
                [one] => {
                    rest = &[];
                    what(one)
                }
                _ => main(told, patients),
            };
            out.push(json!({"what": main, "type": entity_type("2", "System Object"),
                "role": role("4", "Domain Resource")}));
        }
    }
    out.extend(rest.iter().map(|r| listed(r)));
    out.push(about_row(told, nth, all));
    out
}

/// What a request was about that showed nothing, or more than one thing.
fn main(told: &Told<'_>, patients: &[&PatientId]) -> Value {
    let asked = told.read.and_then(|(e, _)| e.notes.get("asked"));
    let named = |text: &&String| {
        let kind = text.split('/').next().unwrap_or_default();
        vitrine_fhir::is_resource_type(kind) && !text.contains(char::is_whitespace)
    };
    match (asked.filter(named), patients.first()) {
        (Some(asked), _) => json!({"reference": asked}),
        (None, Some(p)) => json!({"reference": format!("Patient/{p}")}),
        (None, None) => json!({"display": told.read.map_or("row", |(_, k)| k.name())}),
    }
}

/// The row itself, with whatever else it says.
fn about_row(told: &Told<'_>, nth: usize, all: bool) -> Value {
    let mut detail: Vec<Value> = told
        .further()
        .iter()
        .filter_map(|(name, value)| Some(json!({"type": clean(name)?, "valueString": clean(value)?})))
        .collect();
    if !all && nth > 0 {
        let first = id_of(told.row, 0).unwrap_or_else(|| told.place());
        detail.push(json!({"type": "what the row lists without its patient is in", "valueString": first}));
    }
    json!({
        "what": {"identifier": {"system": "urn:vitrine:audit-row", "value": told.place()}},
        "type": entity_type("4", "Other"), "role": role("13", "Security Resource"), "detail": detail,
    })
}
