//! Lines of text: code status, implants and devices, isolation, other flags, whom to call.
//!
//! Where a fact goes is decided by written words and few codes, because sites name these things in their own words:
//! * code status: a Flag, Observation, ServiceRequest or Consent that speaks of resuscitation, of the code status or
//!   of an advance directive (LOINC 100822-6 "Cardiopulmonary resuscitation orders"; SNOMED 304252001 and 304253006
//!   "(not) for resuscitation"; consent category `dnr`, `acd`, `polst`; flag category `advance-directive`);
//! * isolation: an active Flag or Condition that speaks of isolation, precautions or a resistant organism; "social
//!   isolation" is none;
//! * devices: a patient's active Device, an active DeviceUseStatement, and completed procedures that put something in.

use super::{CardFact, ContactItem, StatementItem, condition};
use crate::UtcMs;
use crate::chart::{
    Concept, Consent, ContactPoint, Device, Flag, LOINC, Observation, Procedure, RelatedPerson, Resource,
    SNOMED, ServiceRequest, Value, preferred_name,
};
use crate::format::{NOT_RECORDED, spoken_name};

const RESUSCITATION_WORDS: [&str; 12] = [
    "resuscitat",
    "code status",
    "cpr status",
    "full code",
    "allow natural death",
    "advance directive",
    "advance care directive",
    "advance decision",
    "treatment escalation",
    "ceiling of care",
    "goals of care",
    "do not intubate",
];
const RESUSCITATION_TOKENS: [&str; 7] = ["dnr", "dnar", "dnacpr", "dni", "polst", "molst", "nfr"];

const ISOLATION_WORDS: [&str; 12] = [
    "isolation",
    "contact precaution",
    "droplet precaution",
    "airborne precaution",
    "barrier nursing",
    "infection control",
    "infection risk",
    "clostridioides difficile",
    "clostridium difficile",
    "resistant staphylococcus",
    "vancomycin resistant",
    "carbapenemase",
];
const ISOLATION_TOKENS: [&str; 8] = ["mrsa", "vre", "esbl", "cpe", "cre", "kpc", "mdro", "mrgn"];

const IMPLANT_WORDS: [&str; 15] = [
    "implant",
    "pacemaker",
    "defibrillator",
    "stent",
    "prosthe",
    "valve replacement",
    "replacement of valve",
    "arthroplasty",
    "hip replacement",
    "knee replacement",
    "replacement of hip",
    "replacement of knee",
    "ventriculoperitoneal shunt",
    "vagus nerve stimulator",
    "aneurysm clip",
];
const REMOVAL_WORDS: [&str; 5] = ["remov", "explant", "extract", "check", "follow"];

/// Whether words hold a phrase, or one of the tokens as a whole word.
fn speaks_of(words: &str, phrases: &[&str], tokens: &[&str]) -> bool {
    let plain = words.replace('-', " ");
    phrases.iter().any(|p| plain.contains(p))
        || plain
            .split(|c: char| !c.is_alphanumeric())
            .any(|t| tokens.contains(&t))
}

fn on_resuscitation(c: &Concept) -> bool {
    c.has(SNOMED, "304252001")
        || c.has(SNOMED, "304253006")
        || c.has(LOINC, "100822-6")
        || speaks_of(&c.words(), &RESUSCITATION_WORDS, &RESUSCITATION_TOKENS)
}

fn on_isolation(c: &Concept) -> bool {
    let words = c.words();
    !words.contains("social isolation") && speaks_of(&words, &ISOLATION_WORDS, &ISOLATION_TOKENS)
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Resuscitation and advance directives.
    CodeStatus,
    /// Infection control.
    Isolation,
    /// An implant or device in use.
    Device,
    /// Any other active flag.
    Flag,
}

/// What the resource says on the card as a line of text, if it does.
pub(crate) fn about(resource: &Resource) -> Option<About> {
    match resource {
        Resource::Flag(f) => flag_about(f),
        Resource::Observation(o) => code_status_observation(o).map(|_| About::CodeStatus),
        Resource::ServiceRequest(r) => code_status_order(r).map(|_| About::CodeStatus),
        Resource::Consent(c) => directive(c).map(|_| About::CodeStatus),
        Resource::Device(d) => device(d).map(|_| About::Device),
        Resource::DeviceUseStatement(d) => {
            let in_use = matches!(d.status.as_deref(), Some("active") | None);
            (in_use && !d.device.is_empty()).then_some(About::Device)
        }
        Resource::Procedure(p) => implant(p).map(|_| About::Device),
        _ => None,
    }
}

fn flag_about(f: &Flag) -> Option<About> {
    if !matches!(f.status.as_deref(), Some("active") | None) {
        return None;
    }
    f.code.as_ref()?.display()?;
    let all = || f.code.iter().chain(&f.categories);
    let directive = all().any(|c| {
        c.codings
            .iter()
            .any(|c| c.code.as_deref() == Some("advance-directive"))
    });
    Some(if directive || all().any(on_resuscitation) {
        About::CodeStatus
    } else if all().any(on_isolation) {
        About::Isolation
    } else {
        About::Flag
    })
}

fn code_status_observation(o: &Observation) -> Option<String> {
    if !super::measured::is_usable(o) {
        return None;
    }
    let code = o.code.as_ref()?;
    let by_value = matches!(&o.value, Some(Value::Concept(c)) if c.has(SNOMED, "304252001") || c.has(SNOMED, "304253006"));
    if !on_resuscitation(code) && !by_value {
        return None;
    }
    let value = o.value.as_ref().and_then(Value::text)?;
    let name = code.display().unwrap_or("Code status");
    Some(match o.value {
        Some(Value::Concept(_) | Value::Text(_)) => value,
        _ => format!("{name}: {value}"),
    })
}

fn code_status_order(r: &ServiceRequest) -> Option<String> {
    let in_force = matches!(r.status.as_deref(), Some("active" | "on-hold" | "unknown") | None);
    let meant = !matches!(r.intent.as_deref(), Some("proposal" | "option"));
    let code = r
        .code
        .as_ref()
        .filter(|c| on_resuscitation(c) || r.categories.iter().any(on_resuscitation))?;
    let words = code.display()?;
    (in_force && meant).then(|| {
        if r.do_not_perform {
            format!("Do NOT perform: {words}")
        } else {
            words.to_owned()
        }
    })
}

fn directive(c: &Consent) -> Option<String> {
    if c.status.as_deref() != Some("active") {
        return None;
    }
    let category = |codes: &[&str]| {
        c.categories.iter().find(|k| {
            k.codings
                .iter()
                .any(|k| k.code.as_deref().is_some_and(|k| codes.contains(&k)))
        })
    };
    let is_directive_scope = c
        .scope
        .as_ref()
        .is_some_and(|s| s.codings.iter().any(|k| k.code.as_deref() == Some("adr")));
    let named =
        category(&["dnr", "acd", "polst"]).or_else(|| c.categories.iter().find(|k| on_resuscitation(k)));
    if named.is_none() && !is_directive_scope {
        return None;
    }
    let words = named
        .or(c.categories.first())
        .and_then(Concept::display)
        .unwrap_or("Advance directive");
    let what: Vec<&str> = c.provision_codes.iter().filter_map(Concept::display).collect();
    Some(match (c.provision.as_deref(), what.is_empty()) {
        (Some(kind), false) => format!("{words} ({kind}: {})", what.join(", ")),
        _ => words.to_owned(),
    })
}

fn device(d: &Device) -> Option<String> {
    let in_use = matches!(d.status.as_deref(), Some("active" | "unknown") | None) && d.of_patient;
    let kind = d.kind.as_ref().and_then(Concept::display);
    let name = d.name.as_deref().or(kind).or(d.model.as_deref())?;
    let also = kind.filter(|k| !name.eq_ignore_ascii_case(k)).into_iter();
    let model = d.model.as_deref().filter(|m| !name.contains(m)).into_iter();
    let more: Vec<&str> = also.chain(d.manufacturer.as_deref()).chain(model).collect();
    let text = if more.is_empty() {
        name.to_owned()
    } else {
        format!("{name} ({})", more.join(", "))
    };
    in_use.then_some(text)
}

fn implant(p: &Procedure) -> Option<String> {
    if !matches!(
        p.status.as_deref(),
        Some("completed" | "in-progress" | "unknown") | None
    ) {
        return None;
    }
    let code = p.code.as_ref()?;
    let words = code.words();
    let put_in = |c: &Concept| {
        let words = c.words();
        c.codings.iter().any(|c| c.code.as_deref() == Some("implanted"))
            || (words.contains("implant") && !words.contains("explant"))
    };
    let device = p.devices.iter().find(|d| d.action.as_ref().is_some_and(put_in));
    let by_words =
        IMPLANT_WORDS.iter().any(|w| words.contains(w)) && !REMOVAL_WORDS.iter().any(|w| words.contains(w));
    if device.is_none() && !by_words {
        return None;
    }
    let what = code.display()?;
    Some(match device.and_then(|d| d.device.display.as_deref()) {
        Some(name) if !what.contains(name) => format!("{name} ({what})"),
        _ => what.to_owned(),
    })
}

/// The words and the author of a line.
fn line(resource: &Resource) -> Option<(String, Option<String>)> {
    let name = |r: Option<&crate::chart::Ref>| r.and_then(|r| r.display.clone());
    match resource {
        Resource::Flag(f) => Some((f.code.as_ref()?.display()?.to_owned(), name(f.author.as_ref()))),
        Resource::Observation(o) => Some((code_status_observation(o)?, name(o.performers.first()))),
        Resource::ServiceRequest(r) => Some((code_status_order(r)?, name(r.requester.as_ref()))),
        Resource::Consent(c) => Some((directive(c)?, name(c.performers.first()))),
        Resource::Device(d) => Some((device(d)?, None)),
        Resource::DeviceUseStatement(d) => {
            let site = d
                .body_site
                .as_ref()
                .and_then(Concept::display)
                .map(|s| format!(", {s}"))
                .unwrap_or_default();
            let what = d
                .device
                .display
                .clone()
                .unwrap_or_else(|| "Device not named".to_owned());
            Some((format!("{what}{site}"), name(d.source.as_ref())))
        }
        Resource::Procedure(p) => {
            let year = p
                .performed
                .start
                .as_ref()
                .and_then(|d| d.as_str().get(..4))
                .map(|y| format!(" ({y})"));
            Some((
                format!("{}{}", implant(p)?, year.unwrap_or_default()),
                name(p.performers.first()),
            ))
        }
        _ => None,
    }
}

fn statement(fact: &CardFact) -> Option<StatementItem> {
    let (text, by) = line(&fact.resource)?;
    Some(StatementItem {
        source: fact.key.clone(),
        text,
        at: fact.resource.stated_ms().map(UtcMs),
        by,
    })
}

/// The facts that are lines, each with what it is about: their words are read once for all lines of the card.
pub(crate) fn told<'f>(facts: &[&'f CardFact]) -> Vec<(About, &'f CardFact)> {
    let of = |f: &&'f CardFact| about(&f.resource).map(|a| (a, *f));
    facts.iter().filter_map(of).collect()
}

/// The lines about one thing, newest first; the same words twice are shown once. `told`: of the same facts.
pub(crate) fn lines(facts: &[&CardFact], told: &[(About, &CardFact)], wanted: About) -> Vec<StatementItem> {
    let mut out: Vec<StatementItem> = told
        .iter()
        .filter(|(about, _)| *about == wanted)
        .filter_map(|(_, f)| statement(f))
        .collect();
    if wanted == About::Isolation {
        let infectious = condition::active(facts)
            .into_iter()
            .filter(|(_, c)| c.code.as_ref().is_some_and(on_isolation));
        out.extend(infectious.map(|(f, c)| {
            let by = c
                .asserter
                .as_ref()
                .or(c.recorder.as_ref())
                .and_then(|r| r.display.clone());
            StatementItem {
                source: f.key.clone(),
                text: condition::item(f, c).text,
                at: f.resource.stated_ms().map(UtcMs),
                by,
            }
        }));
    }
    out.sort_by_cached_key(|s| (std::cmp::Reverse(s.at), s.source.clone()));
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|s| seen.insert(s.text.to_lowercase()));
    out
}

/// A number to call, mobile before others, fax and old ones never.
fn phone(telecom: &[ContactPoint]) -> Option<String> {
    let callable = |t: &&ContactPoint| {
        matches!(t.system.as_deref(), Some("phone" | "sms") | None) && t.usage.as_deref() != Some("old")
    };
    let numbers = telecom.iter().filter(callable).filter(|t| t.value.is_some());
    numbers
        .min_by_key(|t| t.usage.as_deref() != Some("mobile"))
        .and_then(|t| t.value.clone())
}

fn relationship(list: &[Concept]) -> Option<String> {
    let words: Vec<&str> = list.iter().filter_map(Concept::display).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Whom to call: the Patient's contacts, then related persons.
pub(crate) fn contacts(facts: &[&CardFact]) -> (Vec<ContactItem>, Option<i64>) {
    let mut out: Vec<ContactItem> = Vec::new();
    let mut as_of = None;
    let mut add = |name: Option<String>, relationship, phone: Option<String>, at: Option<i64>| {
        if name.is_none() && phone.is_none() {
            return;
        }
        let item = ContactItem {
            name: name.unwrap_or_else(|| NOT_RECORDED.to_owned()),
            relationship,
            phone,
        };
        if !out.contains(&item) {
            out.push(item);
            as_of = as_of.max(at);
        }
    };
    for f in facts {
        if let Resource::Patient(p) = &f.resource {
            for c in &p.contacts {
                let name = c.name.as_ref().and_then(spoken_name);
                add(
                    name,
                    relationship(&c.relationships),
                    phone(&c.telecom),
                    f.resource.stated_ms(),
                );
            }
        }
    }
    for f in facts {
        if let Resource::RelatedPerson(p) = &f.resource
            && is_contact(p)
        {
            let name = preferred_name(&p.names).and_then(spoken_name);
            add(
                name,
                relationship(&p.relationships),
                phone(&p.telecom),
                f.resource.stated_ms(),
            );
        }
    }
    (out, as_of)
}

/// Whether a related person may still be called.
pub(crate) fn is_contact(p: &RelatedPerson) -> bool {
    p.active != Some(false) && p.period.end.is_none()
}
