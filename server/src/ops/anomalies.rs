//! What is unusual among accesses: rules as pure functions of rows, accounts and Patient resources.
//!
//! Lives here: the rules and what they say. Never here: reading rows, a clock, a verdict (a person gives that, in a
//! review). Called by [`super::look`].
//!
//! A finding is a reason to look, never proof. Rules exist only for what is known here: docs/RUNBOOK.md says which are
//! missing.

use crate::config::Anomalies;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::{Actor, Decision, Purpose};
use vitrine_clinical::UtcMs;
use vitrine_store::audit_find::FoundRow;
use vitrine_store::search::{fold, name_words};

/// The rules, in the order in which they are tried.
pub const RULES: [&str; 7] = [
    "own-record",
    "same-family-name",
    "vip",
    "burst",
    "refused",
    "no-relationship",
    "odd-hour",
];

const HOUR_MS: i64 = 3_600_000;
/// Rows that one finding names at most.
const NAMED: usize = 50;

/// One access of a person to records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Chain of its row.
    pub chain: String,
    /// Number of its row.
    pub seq: u64,
    /// When.
    pub at: UtcMs,
    /// Sign-in name.
    pub user: String,
    /// Whose records.
    pub patients: Vec<String>,
    /// It rested on broken glass.
    pub emergency: bool,
    /// It was allowed.
    pub permitted: bool,
    /// The rule of the policy that decided.
    pub rule: String,
}

impl Access {
    /// The access of a row; `None` when no person acted, or on nobody's record.
    #[must_use]
    pub fn of(row: &FoundRow) -> Option<Self> {
        let e = row.entry.as_ref()?;
        let Actor::User(user) = &e.actor else { return None };
        let patients: BTreeSet<&str> = e
            .patient
            .iter()
            .chain(&e.disclosure.patients)
            .map(vitrine_clinical::PatientId::as_str)
            .collect();
        (!patients.is_empty()).then(|| Self {
            chain: row.chain.clone(),
            seq: row.seq,
            at: e.at,
            user: user.to_string(),
            patients: patients.into_iter().map(str::to_owned).collect(),
            emergency: e.purpose == Purpose::BreakGlass,
            permitted: e.decision == Decision::Permit,
            rule: e.rule.clone(),
        })
    }
}

/// A person of the staff, as far as the account says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Words of the name.
    words: BTreeSet<String>,
    /// The last of them.
    family: Option<String>,
}

/// What stands in a display name and is no name.
const TITLES: [&str; 12] = [
    "dr",
    "prof",
    "professor",
    "mr",
    "mrs",
    "ms",
    "md",
    "rn",
    "phd",
    "nurse",
    "med",
    "sr",
];

impl Person {
    /// From the name as it is shown: "Dr. Anna Weber", or "Weber, Anna".
    #[must_use]
    pub fn named(display: &str) -> Self {
        let words = |text: &str| -> Vec<String> {
            fold(text)
                .split(|c: char| c.is_whitespace() || c == '.' || c == '(' || c == ')')
                .filter(|w| !w.is_empty() && !TITLES.contains(w))
                .map(str::to_owned)
                .collect()
        };
        let (family, all) = match display.split_once(',') {
            Some((family, given)) => {
                let all = words(&format!("{family} {given}"));
                (words(family).pop(), all)
            }
            None => {
                let all = words(display);
                (all.last().cloned(), all)
            }
        };
        Self {
            family: family.filter(|_| all.len() > 1),
            words: all.into_iter().collect(),
        }
    }
}

/// A patient, as far as the Patient resource says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whose {
    /// Words of each name.
    names: Vec<BTreeSet<String>>,
    /// Family names, whole.
    families: BTreeSet<String>,
    /// Labelled as VIP (`meta.security` or `meta.tag`, HL7 v3 ActCode `VIP`).
    vip: bool,
}

impl Whose {
    /// From a Patient resource. What it does not say is not known.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut out = Self::default();
        for name in json["name"].as_array().into_iter().flatten() {
            let mut words = BTreeSet::new();
            let texts = name["given"]
                .as_array()
                .into_iter()
                .flatten()
                .chain([&name["family"], &name["text"]]);
            for text in texts.filter_map(Value::as_str) {
                words.extend(fold(text).split_whitespace().map(str::to_owned));
                words.extend(name_words(text));
            }
            out.families
                .extend(name["family"].as_str().map(fold).filter(|f| !f.is_empty()));
            out.names.push(words);
        }
        let labels = ["security", "tag"].map(|m| json["meta"][m].as_array().into_iter().flatten());
        out.vip = labels.into_iter().flatten().any(|l| l["code"] == "VIP");
        out
    }
}

/// A row that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its chain.
    pub chain: String,
    /// Its number there.
    pub seq: u64,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which of [`RULES`].
    pub rule: &'static str,
    /// Whose accesses.
    pub user: String,
    /// To whose records.
    pub patients: Vec<String>,
    /// The first of the accesses, ms since 1970 UTC.
    pub at_ms: i64,
    /// How many accesses.
    pub count: usize,
    /// Their rows, the first fifty.
    pub rows: Vec<Row>,
    /// In a sentence.
    pub text: String,
}

fn finding(rule: &'static str, of: &[&Access], patients: BTreeSet<&str>, text: String) -> Finding {
    Finding {
        rule,
        user: of.first().map(|a| a.user.clone()).unwrap_or_default(),
        patients: patients.into_iter().map(str::to_owned).collect(),
        at_ms: of.first().map_or(0, |a| a.at.0),
        count: of.len(),
        rows: of
            .iter()
            .take(NAMED)
            .map(|a| Row {
                chain: a.chain.clone(),
                seq: a.seq,
            })
            .collect(),
        text,
    }
}

/// What is unusual since `from`. `seen`: accesses in the order of time, those before `from` being what is usual;
/// `people` by sign-in name, `patients` by id.
#[must_use]
pub fn find(
    seen: &[Access],
    from: UtcMs,
    people: &BTreeMap<String, Person>,
    patients: &BTreeMap<String, Whose>,
    limits: &Anomalies,
) -> Vec<Finding> {
    let mut by_user: BTreeMap<&str, Vec<&Access>> = BTreeMap::new();
    for a in seen {
        by_user.entry(&a.user).or_default().push(a);
    }
    let mut out = Vec::new();
    for (user, all) in by_user {
        let now: Vec<&Access> = all.iter().copied().filter(|a| a.at >= from).collect();
        if let Some(person) = people.get(user) {
            namesakes(&now, person, patients, &mut out);
        }
        labelled(&now, patients, &mut out);
        out.extend(burst(&now, true, limits.burst_patients, limits.burst_minutes));
        out.extend(burst(&now, false, limits.refused_patients, limits.burst_minutes));
        strangers(&all, from, &mut out);
        odd_hours(&all, from, limits, &mut out);
    }
    let order = |rule: &str| RULES.iter().position(|r| *r == rule);
    out.sort_by(|a, b| (order(a.rule), a.at_ms, &a.user).cmp(&(order(b.rule), b.at_ms, &b.user)));
    out
}

/// Allowed accesses by patient.
fn by_patient<'a>(of: &[&'a Access]) -> BTreeMap<&'a str, Vec<&'a Access>> {
    let mut out: BTreeMap<&str, Vec<&Access>> = BTreeMap::new();
    for a in of.iter().filter(|a| a.permitted) {
        for p in &a.patients {
            out.entry(p).or_default().push(a);
        }
    }
    out
}

fn namesakes(now: &[&Access], person: &Person, patients: &BTreeMap<String, Whose>, out: &mut Vec<Finding>) {
    for (id, of) in by_patient(now) {
        let Some(whose) = patients.get(id) else { continue };
        let whole = person.words.len() > 1 && whose.names.iter().any(|n| person.words.is_subset(n));
        let family = person.family.as_ref().is_some_and(|f| whose.families.contains(f));
        let user = &of[0].user;
        if whole {
            let text = format!("{user} opened the record of a patient of the same name.");
            out.push(finding("own-record", &of, [id].into(), text));
        } else if family {
            let text = format!("{user} opened the record of a patient of the same family name.");
            out.push(finding("same-family-name", &of, [id].into(), text));
        }
    }
}

fn labelled(now: &[&Access], patients: &BTreeMap<String, Whose>, out: &mut Vec<Finding>) {
    for (id, of) in by_patient(now) {
        if patients.get(id).is_some_and(|w| w.vip) {
            let text = format!("{} opened a record that is labelled VIP.", of[0].user);
            out.push(finding("vip", &of, [id].into(), text));
        }
    }
}

/// More than so many patients within so many minutes; one finding for each run of such times.
fn burst(now: &[&Access], permitted: bool, most: u32, minutes: u32) -> Vec<Finding> {
    let window = i64::from(minutes) * 60_000;
    let of: Vec<&Access> = now
        .iter()
        .copied()
        .filter(|a| a.permitted == permitted && (permitted || a.rule == "no-relationship"))
        .collect();
    let mut out = Vec::new();
    if most == 0 {
        return out;
    }
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut first, mut run): (usize, Option<(usize, usize)>) = (0, None);
    let mut tell = |(a, b): (usize, usize)| {
        let of = &of[a..=b];
        let patients: BTreeSet<&str> = of
            .iter()
            .flat_map(|x| x.patients.iter().map(String::as_str))
            .collect();
        let (user, n) = (&of[0].user, patients.len());
        out.push(if permitted {
            let text = format!("{user} opened {n} records; more than {most} within {minutes} minutes.");
            finding("burst", of, patients, text)
        } else {
            let text = format!(
                "{user} was refused the records of {n} patients of other wards; more than {most} within {minutes} minutes."
            );
            finding("refused", of, patients, text)
        });
    };
    for (n, a) in of.iter().enumerate() {
        for p in &a.patients {
            *count.entry(p).or_default() += 1;
        }
        while of[first].at.0 <= a.at.0.saturating_sub(window) {
            for p in &of[first].patients {
                if let Some(c) = count.get_mut(p.as_str()) {
                    *c -= 1;
                    if *c == 0 {
                        count.remove(p.as_str());
                    }
                }
            }
            first += 1;
        }
        if count.len() > most as usize {
            run = match run {
                Some((begin, end)) if first <= end => Some((begin, n)),
                other => {
                    other.into_iter().for_each(&mut tell);
                    Some((first, n))
                }
            };
        }
    }
    run.into_iter().for_each(&mut tell);
    out
}

/// Emergency accesses to somebody who was never on a ward of this person, as far as the rows go.
fn strangers(all: &[&Access], from: UtcMs, out: &mut Vec<Finding>) {
    let all_of = by_patient(all);
    for (id, of) in all_of {
        let now: Vec<&Access> = of
            .iter()
            .copied()
            .filter(|a| a.emergency && a.at >= from)
            .collect();
        if let Some(first) = now.first()
            && !of.iter().any(|a| a.rule == "own-ward-patient")
        {
            let text = format!(
                "{} opened this record as an emergency and has no other access to it: the patient was not seen on a ward of theirs.",
                first.user
            );
            out.push(finding("no-relationship", &now, [id].into(), text));
        }
    }
}

fn hour(at: UtcMs) -> usize {
    usize::try_from(at.0.div_euclid(HOUR_MS).rem_euclid(24)).unwrap_or(0)
}

/// Accesses at an hour of the day at which this person hardly ever works.
fn odd_hours(all: &[&Access], from: UtcMs, limits: &Anomalies, out: &mut Vec<Finding>) {
    let usual: Vec<&&Access> = all.iter().filter(|a| a.at < from).collect();
    if limits.odd_hour_rows == 0 || usual.len() < limits.odd_hour_rows as usize {
        return;
    }
    let mut hours = [0_usize; 24];
    for a in &usual {
        hours[hour(a.at)] += 1;
    }
    // The hours beside it count too: a shift does not begin on the minute.
    let near = |h: usize| hours[(h + 23) % 24] + hours[h] + hours[(h + 1) % 24];
    let odd =
        |a: &&&Access| a.permitted && near(hour(a.at)) * 100 < usual.len() * limits.odd_hour_percent as usize;
    let mut days: BTreeMap<i64, Vec<&Access>> = BTreeMap::new();
    for a in all.iter().filter(|a| a.at >= from).filter(odd) {
        days.entry(a.at.0.div_euclid(24 * HOUR_MS)).or_default().push(a);
    }
    for of in days.values() {
        let patients: BTreeSet<&str> = of
            .iter()
            .flat_map(|a| a.patients.iter().map(String::as_str))
            .collect();
        let text = format!(
            "{} opened records at {:02}:00 UTC; of {} accesses before, {} were within an hour of that time of day.",
            of[0].user,
            hour(of[0].at),
            usual.len(),
            near(hour(of[0].at))
        );
        out.push(finding("odd-hour", of, patients, text));
    }
}

#[cfg(test)]
mod tests;
