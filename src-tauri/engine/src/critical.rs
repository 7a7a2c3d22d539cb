//! Critical results: which wait, for how long, what is due, how they are shown.
//!
//! Lives here: the steps, counting, the views, the words of the status line and of the line in a chart. Never here: which result is
//! critical and who has acknowledged it (`clinical::card::critical`), permits (`workstation::results`).
//!
//! The times are the design's (screens.md 8: 10, 20, 30 minutes; a place sets its own within NPSG.02.03.01 of the Joint Commission).
//! This program calls nobody: it says who has to be told.

use crate::chart::blocks::Words;
use crate::entry::{self, Pending};
use crate::station::Station;
use std::collections::BTreeMap;
use vitrine_clinical::card::critical::one_line;
use vitrine_clinical::card::{CriticalItem, CriticalMark, EmergencyCard, Taken};
use vitrine_clinical::entry::{Answer, What};
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_store_sqlcipher::workstation::WardMarks;
use vitrine_wire::entry_view::{EntryState, EntryView};
use vitrine_wire::results_view::{ChartCriticalView, CriticalView, StepView, TakenView, WaitingView};
use vitrine_wire::view::PatientRowView;

/// What is due after how many seconds.
fn due_after() -> [(u32, &'static str); 3] {
    [
        (
            10 * 60,
            word!(
                "Tell the nurse in charge",
                "Pflegerische Schichtleitung informieren"
            ),
        ),
        (20 * 60, word!("Call the doctor on call", "Dienstarzt anrufen")),
        (
            30 * 60,
            word!("Call the senior doctor on call", "Oberarzt vom Dienst anrufen"),
        ),
    ]
}
/// Results from before are in the charts, and are counted, ms.
pub(crate) const DAYS_MS: i64 = 3 * 86_400_000;
/// What was acknowledged is shown for so long, ms.
pub(crate) const DONE_MS: i64 = 12 * 3_600_000;

/// The steps.
pub(crate) fn steps() -> Vec<StepView> {
    due_after()
        .into_iter()
        .map(|(after_s, text)| StepView {
            after_s,
            text: text.to_owned(),
        })
        .collect()
}

/// A result as it was put on the screen: what an acknowledgement repeats.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) version: u64,
    pub(crate) label: String,
    pub(crate) read: String,
    pub(crate) value: String,
}

impl Shown {
    pub(crate) fn of(c: &CriticalItem) -> Self {
        Self {
            version: c.version,
            label: one_line(&c.item.label),
            read: c.said(),
            value: one_line(&c.item.value),
        }
    }
}

/// Results that somebody took up at this workstation, with the version that was read, until the copy has it; a rejected one counts as
/// none. Where what was recorded here cannot be read nothing counts as taken up.
pub(crate) fn taken_up_here(station: &Station, as_of: Option<i64>) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for p in entry::acknowledged(station).unwrap_or_default() {
        if p.state == EntryState::Rejected || p.is_in(as_of, &|_| false) {
            continue;
        }
        if let Some(What::Acknowledge {
            result,
            version,
            answer,
            ..
        }) = p.entry.map(|e| e.what)
            && answer.settles()
        {
            let kept = out.entry(result).or_insert(version);
            *kept = version.max(*kept);
        }
    }
    out
}

/// Whether it is looked at: of the last days, or nobody knows since when.
pub(crate) fn is_recent(available: Option<UtcMs>, now: UtcMs) -> bool {
    available.is_none_or(|at| now.since(at) <= DAYS_MS)
}

/// Those that wait for somebody.
pub(crate) fn waiting<'a>(
    marks: &'a [CriticalMark],
    taken_up: &BTreeMap<String, u64>,
    now: UtcMs,
) -> Vec<&'a CriticalMark> {
    marks.iter().filter(|m| waits(m, taken_up, now)).collect()
}

fn waits(m: &CriticalMark, taken_up: &BTreeMap<String, u64>, now: UtcMs) -> bool {
    let here = || {
        taken_up
            .get(&m.source.to_string())
            .is_some_and(|v| *v >= m.version)
    };
    !m.acknowledged && is_recent(m.available, now) && !here()
}

/// "2 critical results not acknowledged".
pub(crate) fn counted(n: usize) -> Option<String> {
    match n {
        0 => None,
        1 => Some(say!(
            "1 critical result not acknowledged",
            "1 kritischer Befund nicht quittiert"
        )),
        n => Some(say!(
            "{n} critical results not acknowledged",
            "{n} kritische Befunde nicht quittiert"
        )),
    }
}

/// What the status line says of this ward: nothing clinical, nobody named.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// How many wait.
    pub(crate) waiting: u32,
    /// In words.
    pub(crate) text: Option<String>,
    /// What is due by now for the one that has waited longest; of a wait that nobody knows the last step.
    pub(crate) due: Option<String>,
}

/// Counts them.
pub(crate) fn status(station: &Station) -> Status {
    let ward = station.device().ward.clone();
    let WardMarks { marks, as_of } = match station.essentials.critical_marks(&ward) {
        Ok(Some(known)) => known,
        // A board that is not here is said by the state of the data.
        Ok(None) => return Status::default(),
        Err(e) => {
            station.damaged(&e);
            return Status {
                text: Some(say!(
                    "Critical results cannot be read here: ask the laboratory",
                    "Kritische Befunde sind hier nicht lesbar: im Labor nachfragen"
                )),
                ..Status::default()
            };
        }
    };
    let now = station.clock.now();
    let waiting = waiting(&marks, &taken_up_here(station, as_of), now);
    let Some(counted) = counted(waiting.len()) else {
        return Status::default();
    };
    let waits: Option<Vec<i64>> = waiting
        .iter()
        .map(|m| m.available.map(|at| now.since(at).max(0)))
        .collect();
    let longest = waits.map(|w| w.into_iter().max().unwrap_or(0));
    let is_due = |after_s: u32| longest.is_none_or(|ms| ms >= i64::from(after_s) * 1_000);
    let oldest = if waiting.len() == 1 {
        word!("for", "seit")
    } else {
        word!("the oldest for", "der älteste seit")
    };
    Status {
        waiting: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
        text: Some(match longest {
            Some(ms) => format!("{counted}, {oldest} {}", format::data_age(ms)),
            None => say!(
                "{counted}; not known since when",
                "{counted}; seit wann, ist nicht bekannt"
            ),
        }),
        due: due_after()
            .into_iter()
            .rev()
            .find(|(after_s, _)| is_due(*after_s))
            .map(|(_, text)| text.to_owned()),
    }
}

/// `said`: what the result says now.
fn taken_view(w: &Words<'_>, t: &Taken, said: &str) -> TakenView {
    let what = t.answer.map_or_else(
        || {
            word!(
                "Taken up in a way that is not known here",
                "Auf eine hier nicht bekannte Weise bearbeitet"
            )
        },
        Answer::words,
    );
    let at = t.at.map_or_else(
        || say!("time not recorded", "Zeit nicht dokumentiert"),
        |at| w.date_time(at),
    );
    let mut text = match &t.words {
        Some(words) => format!("{what}: {words}"),
        None => what.to_owned(),
    };
    let of_this = t.read.as_deref() == Some(said);
    if !of_this {
        let then = t
            .read
            .as_deref()
            .unwrap_or_else(|| word!("a value that is not recorded", "ein nicht dokumentierter Wert"));
        text.push_str(&say!(" (it said {then} then)", " (damals stand da: {then})"));
    }
    TakenView {
        text,
        by_text: format!(
            "{}, {at}",
            t.by.as_deref()
                .unwrap_or_else(|| word!("not recorded by whom", "von wem, nicht dokumentiert"))
        ),
        read_back_text: t
            .read_back
            .as_ref()
            .map(|b| say!("read back: {b}", "rückbestätigt: {b}")),
        settles: of_this && t.answer.is_some_and(Answer::settles),
    }
}

/// For how long, s; `None` = nobody knows since when.
fn waited_s(available: Option<UtcMs>, now: UtcMs) -> Option<u32> {
    available.map(|at| u32::try_from(now.since(at).max(0) / 1_000).unwrap_or(u32::MAX))
}

/// What of one patient waits, by the rule that the inbox's count and the board's row have. Without a card that says which results are
/// critical nothing is known. `ward`: the one whose inbox opens here.
pub(crate) fn of_chart(
    w: &Words<'_>,
    card: Option<&EmergencyCard>,
    taken_up: &BTreeMap<String, u64>,
    ward: &str,
) -> ChartCriticalView {
    let known = card.and_then(|c| Some((c, c.critical.as_ref()?)));
    let Some((card, all)) = known else {
        return ChartCriticalView {
            patient: w.patient.to_string(),
            text: None,
            waiting: Vec::new(),
            elsewhere_text: None,
            unread_text: Some(say!(
                "Not known here whether a critical result waits: ask the laboratory",
                "Hier nicht bekannt, ob ein kritischer Befund wartet: im Labor nachfragen"
            )),
        };
    };
    let now = w.clock.now();
    let mut waiting: Vec<&CriticalItem> = all.iter().filter(|c| waits(&c.mark(), taken_up, now)).collect();
    // Nobody knows since when: first, as in the inbox.
    waiting.sort_by_key(|c| (c.available, c.item.source.to_string()));
    let place = card.place.as_ref();
    let of_this_ward = place
        .and_then(|p| p.ward.as_ref())
        .is_some_and(|of| of.as_str() == ward);
    let elsewhere = (!of_this_ward && !waiting.is_empty()).then(|| {
        let named = place.and_then(|p| {
            p.ward_name
                .clone()
                .or_else(|| p.ward.as_ref().map(ToString::to_string))
        });
        named.map_or_else(
            || {
                say!(
                    "in no ward's results inbox: no ward is recorded",
                    "in keinem Befundeingang: keine Station dokumentiert"
                )
            },
            |name| {
                say!(
                    "in the results inbox of {name}, not in that of this ward",
                    "im Befundeingang von {name}, nicht in dem dieser Station"
                )
            },
        )
    });
    ChartCriticalView {
        patient: w.patient.to_string(),
        text: match waiting.len() {
            0 => None,
            1 => Some(say!(
                "1 critical result waits for acknowledgement",
                "1 kritischer Befund wartet auf Quittierung"
            )),
            n => Some(say!(
                "{n} critical results wait for acknowledgement",
                "{n} kritische Befunde warten auf Quittierung"
            )),
        },
        waiting: waiting
            .into_iter()
            .map(|c| WaitingView {
                result: c.item.source.to_string(),
                measured: w.measured(&c.item),
                waits_s: waited_s(c.available, now),
            })
            .collect(),
        elsewhere_text: elsewhere,
        unread_text: None,
    }
}

/// As shown. `pending`: what was recorded here and is not in the copy yet.
pub(crate) fn view(
    w: &Words<'_>,
    row: &PatientRowView,
    c: &CriticalItem,
    pending: &[Pending],
    not_for_you: Option<String>,
) -> CriticalView {
    let measured = w.measured(&c.item);
    let before = c.before.as_ref().map(|b| {
        let m = w.measured(b);
        let parts = [m.value.as_str(), m.unit.as_str(), m.flag.as_str()];
        let words: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        say!(
            "before: {value}, {at}",
            "vorher: {value}, {at}",
            value = words.join(" "),
            at = m.at_text
        )
    });
    let entries: Vec<EntryView> = pending
        .iter()
        .filter(|p| about(p, &c.item.source.to_string()))
        .map(|p| p.view(w, None, false))
        .collect();
    let now = w.clock.now();
    let said = c.said();
    CriticalView {
        patient: row.patient.clone(),
        name_text: row.name.clone(),
        born_text: row.born_text.clone(),
        gender_text: row.gender_text.clone(),
        number_text: row.number_text.clone(),
        place_text: row.place_text.clone(),
        deceased_text: row.deceased_text.clone(),
        similar_name: row.similar_name,
        result: c.item.source.to_string(),
        version: u32::try_from(c.version).unwrap_or(u32::MAX),
        measured,
        test_text: c.test.clone(),
        available_text: c.available.map_or_else(
            || {
                say!(
                    "it is not recorded since when",
                    "seit wann verfügbar, ist nicht dokumentiert"
                )
            },
            |at| say!("available {at}", "verfügbar seit {at}", at = w.date_time(at)),
        ),
        waits_s: waited_s(c.available, now),
        before_text: before,
        taken: c.taken.iter().map(|t| taken_view(w, t, &said)).collect(),
        entries,
        not_for_you_text: not_for_you,
    }
}

/// Whether an entry is about a result.
fn about(p: &Pending, key: &str) -> bool {
    p.entry
        .as_ref()
        .is_some_and(|e| matches!(&e.what, What::Acknowledge { result, .. } if result == key))
}
