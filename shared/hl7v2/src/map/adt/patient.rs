//! PID, PD1, NK1, ARV: the patient.

use super::Adt;
use super::trigger::Trigger;
use crate::draft::{Draft, How, Key};
use crate::fault::{Code, Fault};
use crate::json::{Json, array, filled, object, set, text};
use crate::map::{Feed, required};
use crate::message::{Message, Rep, Seg};
use crate::types::{self, HL7};
use vitrine_clinical::label::{Confidentiality, Label};

const SSN: &str = "http://hl7.org/fhir/sid/us-ssn";
const BIRTH_TIME: &str = "http://hl7.org/fhir/StructureDefinition/patient-birthTime";

/// What the patient is known by.
pub(super) struct Keys {
    /// The record number where one is called so (`MR`), else the first.
    pub(super) best: Key,
    all: Vec<Key>,
    identifiers: Vec<Json>,
}

/// PID-3, and the fields of older versions PID-2 and PID-4; PID-18 (account) and PID-19 (social security) are identifiers, but
/// nobody is looked up by them. In an A47 MRG-1 too, as old ones.
pub(super) fn keys(message: &Message, feed: &Feed<'_>, trigger: Trigger) -> Result<Keys, Fault> {
    let pid = required(message, "PID")?;
    let mut all: Vec<Key> = Vec::new();
    let mut identifiers: Vec<Json> = Vec::new();
    let mut best = None;
    for rep in [3, 2, 4].into_iter().flat_map(|field| pid.reps(field)) {
        let (Some(key), Some(identifier)) = (types::cx_key(&rep, feed), types::identifier(&rep, feed)) else {
            continue;
        };
        if all.contains(&key) {
            continue;
        }
        if best.is_none() && rep.text(5) == "MR" {
            best = Some(all.len());
        }
        all.push(key);
        identifiers.push(identifier);
    }
    if let Some(at) = best {
        let key = all.remove(at);
        all.insert(0, key);
    }
    let Some(best) = all.first().cloned() else {
        return Err(Fault::at(
            Code::RequiredField,
            pid.place_of(3),
            "PID-3 holds no identifier of the patient",
        ));
    };
    identifiers.extend(account(&pid.rep(18), feed));
    let ssn = pid.text(19);
    if ssn.bytes().filter(u8::is_ascii_digit).count() == 9 {
        let digits: String = ssn.chars().filter(char::is_ascii_digit).collect();
        identifiers.push(typed("SS", &Key::new(SSN, digits)));
    }
    if trigger == Trigger::Renumber {
        let mrg = required(message, "MRG")?;
        let old: Vec<Key> = mrg
            .reps(1)
            .filter_map(|r| types::cx_key(&r, feed))
            .filter(|k| !all.contains(k))
            .collect();
        for key in old {
            let mut identifier = types::identifier_of(&key);
            set(&mut identifier, "use", Json::String("old".into()));
            identifiers.push(identifier);
            all.push(key);
        }
    }
    Ok(Keys {
        best,
        all,
        identifiers,
    })
}

/// PID-18 as an identifier of kind `AN`.
fn account(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    let key = types::cx_key(rep, feed)?;
    let system = types::authority(rep, 4, feed).unwrap_or_else(|| feed.own("account", ""));
    Some(typed("AN", &Key::new(system, key.value)))
}

fn typed(kind: &str, key: &Key) -> Json {
    let mut out = types::identifier_of(key);
    set(
        &mut out,
        "type",
        crate::json::concept(&format!("{HL7}v2-0203"), kind, ""),
    );
    out
}

impl Adt<'_> {
    /// The draft of the patient: always the first.
    pub(super) fn patient(&mut self, pid: &Seg<'_>, keys: Keys) -> Result<(), Fault> {
        let feed = self.feed;
        let mut body = object([
            ("resourceType", text("Patient")),
            ("identifier", array(keys.identifiers)),
        ]);
        let mut put = |key: &str, value: Option<Json>| {
            if let (Json::Object(members), Some(value)) = (&mut body, value) {
                members.push((key.to_owned(), value));
            }
        };
        put("name", types::every(pid, 5, |r| types::human_name(r, feed)));
        let homes = pid
            .reps(13)
            .filter_map(|r| types::contact_point(&r, false))
            .chain(pid.reps(14).filter_map(|r| types::contact_point(&r, true)));
        let telecom = array(homes).or_else(|| (pid.is_null(13) && pid.is_null(14)).then_some(Json::Null));
        put("telecom", telecom);
        let sex = pid.text(8);
        put("gender", types::gender(&sex).and_then(text));
        if let Some(born) = self.moment(pid, 7)? {
            put("birthDate", Some(born.date()));
            let time = born.instant().map(|_| {
                let time = object([
                    ("url", text(BIRTH_TIME)),
                    ("valueDateTime", Some(born.date_time())),
                ]);
                object([("extension", array([time]))])
            });
            put("_birthDate", time);
        }
        let (dead, died) = (pid.text(30), self.moment(pid, 29)?);
        match (died, dead.as_str()) {
            (Some(at), _) => put("deceasedDateTime", Some(at.date_time())),
            (None, "Y" | "N") => put("deceasedBoolean", Some(Json::Bool(dead == "Y"))),
            (None, _) if pid.is_null(29) => put("deceasedDateTime", Some(Json::Null)),
            _ => {}
        }
        put(
            "address",
            types::every(pid, 11, types::address).or_else(|| null(pid, 11)),
        );
        let marital = pid.rep(16);
        put(
            "maritalStatus",
            types::concept_in(&marital, &format!("{HL7}v2-0002"), feed).or_else(|| null(pid, 16)),
        );
        let order = super::count(&pid.text(25)).map(|n| Json::Number(n.to_string()));
        match (order, pid.text(24).as_str()) {
            (Some(order), _) => put("multipleBirthInteger", Some(order)),
            (None, several @ ("Y" | "N")) => put("multipleBirthBoolean", Some(Json::Bool(several == "Y"))),
            _ => {}
        }
        put("contact", self.contacts());
        put("communication", language(&pid.rep(15), feed));
        put("generalPractitioner", self.practice());
        if !sex.is_empty() && types::gender(&sex).is_none() {
            self.out.note(
                pid.place_of(8),
                "an administrative sex that is not in table 0001: not taken",
            );
        }
        for field in [7, 8] {
            if pid.is_null(field) {
                self.out.note(
                    pid.place_of(field),
                    "what identifies the patient is not removed by a message",
                );
            }
        }
        let label = self.patient_label();
        self.out.drafts.insert(
            0,
            Draft {
                kind: "Patient",
                keys: keys.all,
                how: How::Update,
                dated: self.dated.clone(),
                body,
                made_with: Json::Null,
                label,
                place: pid.place(),
            },
        );
        self.out.patient = Some(0);
        Ok(())
    }

    /// A date whose wrong reading would be dangerous.
    fn moment(&self, seg: &Seg<'_>, field: usize) -> Result<Option<crate::time::Stamp>, Fault> {
        let sent = seg.text(field);
        if sent.is_empty() {
            return Ok(None);
        }
        let fault = || Fault::at(Code::DataType, seg.place_of(field), "not a date");
        self.feed.time(&sent).map(Some).ok_or_else(fault)
    }

    /// NK1 as the patient's contacts.
    fn contacts(&mut self) -> Option<Json> {
        let mut out = Vec::new();
        for nk1 in self.message.all("NK1") {
            let feed = self.feed;
            let telecom = nk1
                .reps(5)
                .filter_map(|r| types::contact_point(&r, false))
                .chain(nk1.reps(6).filter_map(|r| types::contact_point(&r, true)));
            let name = types::human_name(&nk1.rep(2), feed);
            let organization = text(nk1.text(13)).map(|name| object([("display", Some(name))]));
            let reached = [
                ("name", name),
                ("telecom", array(telecom)),
                ("address", types::address(&nk1.rep(4))),
                ("organization", organization),
            ];
            if reached.iter().all(|(_, v)| v.is_none()) {
                self.out.note(
                    nk1.place(),
                    "a contact without name, number or address: not taken",
                );
                continue;
            }
            let relationship = [(3, "0063"), (7, "0131")]
                .map(|(field, table)| types::concept_in(&nk1.rep(field), &format!("{HL7}v2-{table}"), feed));
            let mut contact = object([("relationship", array(relationship.into_iter().flatten()))]);
            if let Json::Object(members) = &mut contact {
                members.extend(
                    reached
                        .into_iter()
                        .filter_map(|(k, v)| v.map(|v| (k.to_owned(), v))),
                );
                members.extend(
                    types::gender(&nk1.text(15))
                        .and_then(text)
                        .map(|g| ("gender".into(), g)),
                );
                let date = |field: usize| feed.time(&nk1.text(field)).map(|s| s.date_time());
                let period = filled(object([("start", date(8)), ("end", date(9))]));
                members.extend(period.map(|p| ("period".into(), p)));
            }
            out.push(contact);
        }
        array(out)
    }

    /// PD1-3 and PD1-4: where and by whom the patient is cared for otherwise.
    fn practice(&self) -> Option<Json> {
        let pd1 = self.message.first("PD1")?;
        let people = pd1.reps(4).filter_map(|r| types::practitioner(&r, self.feed));
        let places = pd1.reps(3).filter_map(|r| {
            let name = text(r.text(1))?;
            Some(object([("type", text("Organization")), ("display", Some(name))]))
        });
        array(people.chain(places))
    }

    /// What the patient's whole record is labelled with: VIP (PV1-16), restricted (PD1-12, ARV).
    fn patient_label(&mut self) -> Label {
        let mut label = self.visit_label();
        if self.message.first("PD1").is_some_and(|s| s.text(12) == "Y") {
            label = label.and(Label::of(Confidentiality::Restricted));
        }
        for arv in self.message.all("ARV") {
            if arv.text(2) == "D" {
                self.out.note(
                    arv.place(),
                    "a restriction is to end: a label is taken away by a person",
                );
            } else {
                label = label.and(Label::of(Confidentiality::Restricted));
                self.out.note(
                    arv.place(),
                    "a restriction of access: taken as the label \"restricted\", without its exceptions",
                );
            }
        }
        label
    }
}

fn null(seg: &Seg<'_>, field: usize) -> Option<Json> {
    seg.is_null(field).then_some(Json::Null)
}

/// PID-15. A code of two letters is of ISO 639-1, which BCP 47 takes as it is.
fn language(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    let code = rep.text(1).to_ascii_lowercase();
    let two = code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase());
    let system = rep.text(3).to_ascii_uppercase();
    let standard = system.is_empty() || system.starts_with("ISO") || system == "HL70296";
    let language = if two && standard {
        crate::json::concept("urn:ietf:bcp:47", &code, &rep.text(2))
    } else {
        types::concept_in(rep, &format!("{HL7}v2-0296"), feed)?
    };
    let one = object([
        ("language", Some(language)),
        ("preferred", Some(Json::Bool(true))),
    ]);
    array([one])
}
