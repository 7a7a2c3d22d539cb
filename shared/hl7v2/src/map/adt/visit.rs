//! PV1, PV2: the visit.

use super::Adt;
use super::trigger::Trigger;
use crate::draft::{Draft, How, Key, draft_reference};
use crate::fault::{Code, Fault, Place};
use crate::json::{Json, array, coding, concept, filled, object, text};
use crate::message::{Rep, Seg};
use crate::time::Stamp;
use crate::types::{self, HL7};
use vitrine_clinical::label::{ACT_CODE, Confidentiality, Label};

/// The draft of the visit, for what refers to it.
pub(super) struct Visit {
    pub(super) index: usize,
    pub(super) key: Key,
}

impl Adt<'_> {
    /// The visit; none where the message is about none.
    pub(super) fn visit(&mut self) -> Result<Option<Visit>, Fault> {
        let needs = self.trigger.needs_visit();
        let Some(pv1) = self.message.first("PV1") else {
            return if needs {
                Err(Fault::at(
                    Code::SegmentSequence,
                    Place::of_segment("PV1", 1),
                    "the segment PV1 is missing: this event is about a visit",
                ))
            } else {
                Ok(None)
            };
        };
        let Some(key) = self.visit_key(&pv1) else {
            if needs {
                return Err(Fault::at(
                    Code::RequiredField,
                    pv1.place_of(19),
                    "the visit has no number: PV1-19, PID-18 or the time of admission in PV1-44 has to name it",
                ));
            }
            if !pv1.is_empty(3) || !pv1.is_empty(44) {
                self.out.note(
                    pv1.place_of(19),
                    "a visit without number and time of admission: not taken",
                );
            }
            return Ok(None);
        };
        let class = self.class(&pv1);
        let code = class.as_ref().and_then(|c| c.get("code")).and_then(Json::as_str);
        let ambulatory = matches!(code, Some("EMER" | "AMB" | "R"));
        let status = self.trigger.status(ambulatory);
        let place = if self.trigger.says_where() {
            self.place(&pv1, 3)
        } else {
            self.out.note(
                pv1.place_of(3),
                "this event does not move the patient yet: the location is not taken",
            );
            None
        };
        let begun = self.time(&pv1, 44);
        let location = place.map(|place| {
            let from = match self.trigger {
                Trigger::Admit | Trigger::Register => begun.as_ref().or(self.dated.as_ref()),
                Trigger::Move | Trigger::Reopen => self.dated.as_ref(),
                _ => None,
            };
            let period = from.map(|at| object([("start", Some(at.date_time()))]));
            array([object([("location", Some(place)), ("period", period)])])
        });
        let mut identifiers = vec![numbered("VN", &key)];
        let alternate = pv1.rep(50);
        identifiers.extend(types::identifier(&alternate, self.feed));
        let pv2 = self.message.first("PV2");
        let body = object([
            ("resourceType", text("Encounter")),
            ("identifier", array(identifiers)),
            ("status", status.and_then(text)),
            ("class", class),
            (
                "type",
                types::concept_in(&pv1.rep(4), &format!("{HL7}v2-0007"), self.feed).and_then(|c| array([c])),
            ),
            (
                "serviceType",
                types::concept_in(&pv1.rep(10), &format!("{HL7}v2-0069"), self.feed),
            ),
            ("subject", Some(draft_reference(0))),
            ("participant", self.participants(&pv1)),
            ("period", self.period(&pv1, begun.as_ref())),
            (
                "reasonCode",
                pv2.and_then(|s| types::codeable_concept(&s.rep(3), self.feed))
                    .and_then(|c| array([c])),
            ),
            ("hospitalization", self.hospitalization(&pv1)),
            ("location", location.flatten()),
        ]);
        if let Some(pv2) = pv2.filter(|s| !s.is_empty(25)) {
            self.out.note(
                pv2.place_of(25),
                "an administrative priority: not taken, it is no triage category",
            );
        }
        let label = self.visit_label();
        let made_with = self.made_with(begun.as_ref());
        let index = self.out.push(Draft {
            kind: "Encounter",
            keys: vec![key.clone()],
            how: How::Update,
            dated: self.dated.clone(),
            body,
            made_with,
            label,
            place: pv1.place(),
        });
        Ok(Some(Visit { index, key }))
    }

    /// PV1-19; else the account (PID-18); else the patient and the time of admission.
    fn visit_key(&self, pv1: &Seg<'_>) -> Option<Key> {
        let own = |rep: &Rep<'_>, purpose: &str| {
            let key = types::cx_key(rep, self.feed)?;
            let system = types::authority(rep, 4, self.feed).unwrap_or_else(|| self.feed.own(purpose, ""));
            Some(Key::new(system, key.value))
        };
        if let Some(key) = own(&pv1.rep(19), "visit") {
            return Some(key);
        }
        let account = self.message.first("PID").map(|pid| pid.rep(18));
        if let Some(key) = account.and_then(|rep| own(&rep, "account")) {
            return Some(key);
        }
        let begun = self.feed.time(&pv1.text(44)).filter(Stamp::has_clock)?;
        Some(Key::new(
            self.feed.own("admission", ""),
            format!("{}|{}|{}", self.patient.system, self.patient.value, begun.at_ms()),
        ))
    }

    /// A time of a field; one that is none is said.
    fn time(&mut self, seg: &Seg<'_>, field: usize) -> Option<Stamp> {
        let sent = seg.text(field);
        let read = self.feed.time(&sent);
        if read.is_none() && !sent.is_empty() {
            self.out.note(seg.place_of(field), "not a time: not taken");
        }
        read
    }

    /// PV1-2, HL7 table 0004, as v3 ActCode where there is one, else as it is.
    fn class(&mut self, pv1: &Seg<'_>) -> Option<Json> {
        let rep = pv1.rep(2);
        let sent = rep.text(1);
        if let Some(known) = types::act_class(&sent) {
            return Some(known);
        }
        match sent.as_str() {
            "" => None,
            "R" | "B" | "C" | "N" | "U" => Some(coding(&format!("{HL7}v2-0004"), &sent, &rep.text(2))),
            _ => {
                self.out.note(
                    pv1.place_of(2),
                    "a patient class that is not in table 0004: kept as sent",
                );
                let system = types::code_system(&rep.text(3), self.feed)
                    .unwrap_or_else(|| self.feed.own("codes", "class"));
                Some(coding(&system, &sent, &rep.text(2)))
            }
        }
    }

    /// When the visit began and ended. What an open visit is said to end at is not taken; a discharge ends it.
    fn period(&mut self, pv1: &Seg<'_>, begun: Option<&Stamp>) -> Option<Json> {
        let ended = self.time(pv1, 45);
        let end = match self.trigger {
            Trigger::Discharge => ended.or_else(|| self.dated.clone()).map(|s| s.date_time()),
            Trigger::Reopen => Some(Json::Null),
            Trigger::Tell | Trigger::Renumber => ended.map(|s| s.date_time()),
            _ => {
                if ended.is_some() {
                    self.out.note(
                        pv1.place_of(45),
                        "a time of discharge in an event that discharges nobody: not taken",
                    );
                }
                None
            }
        };
        filled(object([("start", begun.map(Stamp::date_time)), ("end", end)]))
    }

    /// What a visit begins with that nothing is recorded of: the time of an admission is that of its message, a class is
    /// required, and the status stays unknown until an event tells it.
    fn made_with(&self, begun: Option<&Stamp>) -> Json {
        let admits = matches!(self.trigger, Trigger::Admit | Trigger::Register);
        let start = if admits && begun.is_none() {
            self.dated.as_ref().map(Stamp::date_time)
        } else {
            None
        };
        object([
            ("status", text("unknown")),
            (
                "class",
                Some(coding(&format!("{HL7}v3-NullFlavor"), "UNK", "unknown")),
            ),
            ("period", filled(object([("start", start)]))),
        ])
    }

    /// PV1-7, 8, 9, 17 by v3 ParticipationType.
    fn participants(&self, pv1: &Seg<'_>) -> Option<Json> {
        let mut out = Vec::new();
        let kinds = [
            (7, "ATND", "attender"),
            (8, "REF", "referrer"),
            (9, "CON", "consultant"),
            (17, "ADM", "admitter"),
        ];
        for (field, code, words) in kinds {
            for person in pv1.reps(field).filter_map(|r| types::practitioner(&r, self.feed)) {
                out.push(object([
                    (
                        "type",
                        array([concept(&format!("{HL7}v3-ParticipationType"), code, words)]),
                    ),
                    ("individual", Some(person)),
                ]));
            }
        }
        array(out)
    }

    /// PV1-13, 14, 16, 36, 37.
    fn hospitalization(&self, pv1: &Seg<'_>) -> Option<Json> {
        let one = |field: usize, table: &str| {
            types::concept_in(&pv1.rep(field), &format!("{HL7}v2-{table}"), self.feed)
        };
        let to = pv1.rep(37);
        let destination = [to.text(1), to.text(2)].into_iter().find_map(text);
        filled(object([
            ("admitSource", one(14, "0023")),
            ("reAdmission", one(13, "0092")),
            ("specialCourtesy", one(16, "0099").and_then(|c| array([c]))),
            (
                "destination",
                destination.map(|name| object([("display", Some(name))])),
            ),
            ("dischargeDisposition", one(36, "0112")),
        ]))
    }

    /// VIP where PV1-16 has a value that is no denial (table 0099 is the site's own); restricted where PV2-22 asks for it.
    pub(super) fn visit_label(&self) -> Label {
        let sent = self.message.first("PV1").map(|s| s.text(16)).unwrap_or_default();
        let denied = ["", "N", "NO", "0", "F", "FALSE", "NONE"];
        let mut label = Label::NONE;
        if !denied.contains(&sent.to_ascii_uppercase().as_str()) {
            label = label.with(Some(ACT_CODE), "VIP");
        }
        if self.message.first("PV2").is_some_and(|s| s.text(22) == "Y") {
            label = label.and(Label::of(Confidentiality::Restricted));
        }
        label
    }
}

fn numbered(kind: &str, key: &Key) -> Json {
    object([
        ("type", Some(concept(&format!("{HL7}v2-0203"), kind, ""))),
        ("system", text(key.system.clone())),
        ("value", text(key.value.clone())),
    ])
}
