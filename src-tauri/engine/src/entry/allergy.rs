//! Changes of allergies: what was on the screen, what two changes contradict each other in, an unsent change on the strip.
//!
//! Rules: only what this person has on the screen is changed, and what it said there goes with the change; a disputed allergy can only be
//! decided; an unsent change takes nothing away, and one by which a refuted allergy stands again makes it one (screens.md 11, S2, S16).

use super::Pending;
use crate::chart::blocks::Words;
use std::collections::BTreeMap;
use vitrine_clinical::card::dispute::{GONE, Recorded};
use vitrine_clinical::card::{AllergyBlock, AllergyChange, NegativeStatement, is_lethal, shown as read_as};
use vitrine_clinical::entry::{AsRead, Choice, Fault, Severity, Standing, What};
use vitrine_clinical::{say, word};
use vitrine_wire::view::{AllergyStripView, AllergyView, DisputeSideView, DisputeView, RefutedView};

/// What is shown of an allergy that two changes contradict each other in.
pub(crate) fn disputed() -> &'static str {
    word!(
        "DISPUTED: two changes contradict each other. Treat as allergic until somebody has decided",
        "STRITTIG: Zwei Änderungen widersprechen einander. Als allergisch behandeln, bis jemand entschieden hat"
    )
}

/// An allergy as it was put on the screen, in the English words of the card: a change repeats them, and the server compares them.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    read: AsRead,
    /// What contradicts it, by Task; where there is any it can only be decided.
    disputes: BTreeMap<String, Wanted>,
}

/// What a change that waits wants.
#[derive(Debug, Clone)]
struct Wanted {
    standing: Option<Standing>,
    reaction: Option<String>,
    severity: Option<Severity>,
}

/// What can be changed of a card, by allergy.
pub(crate) fn shown(block: &AllergyBlock) -> BTreeMap<String, Shown> {
    let plain = block.items.iter().filter(|i| !i.disputed).map(|i| {
        let read = AsRead {
            agent: i.agent.clone(),
            stood: i.stands(),
            reacted: i.reacted(),
            said: i.said(),
        };
        let disputes = BTreeMap::new();
        (i.source.to_string(), Shown { read, disputes })
    });
    let refuted = block.negatives.iter().filter_map(|n| {
        let read = of_record(&n.refuted.as_ref()?.record);
        let disputes = BTreeMap::new();
        Some((n.source.to_string(), Shown { read, disputes }))
    });
    let mut out: BTreeMap<String, Shown> = refuted.chain(plain).collect();
    for c in open(block) {
        let entry = out.entry(c.about.to_string()).or_insert_with(|| Shown {
            read: as_read(c),
            disputes: BTreeMap::new(),
        });
        let wanted = Wanted {
            standing: c.standing,
            reaction: c.reaction.clone(),
            severity: c.severity,
        };
        entry.disputes.insert(c.source.to_string(), wanted);
    }
    out
}

fn open(block: &AllergyBlock) -> impl Iterator<Item = &AllergyChange> {
    block.changes.iter().flatten().filter(|c| c.open)
}

/// What the record says of a disputed allergy.
fn as_read(c: &AllergyChange) -> AsRead {
    match &c.record {
        Some(r) => of_record(r),
        None => AsRead {
            agent: c.agent.clone(),
            stood: GONE.to_owned(),
            reacted: String::new(),
            said: GONE.to_owned(),
        },
    }
}

fn of_record(r: &Recorded) -> AsRead {
    AsRead {
        agent: r.agent.clone(),
        stood: r.stands.clone(),
        reacted: r.reacted.clone(),
        said: r.said.clone(),
    }
}

/// What was typed: allergy, code of how it stands, reaction, code of its severity, reason, what it decides.
pub(super) struct Typed<'a> {
    pub(super) allergy: &'a str,
    pub(super) standing: &'a str,
    pub(super) reaction: &'a str,
    pub(super) severity: &'a str,
    pub(super) reason: &'a str,
    pub(super) settles: &'a str,
}

/// The change, as far as it can be read.
pub(super) fn read(t: &Typed<'_>, shown: Option<&Shown>, faults: &mut Vec<Fault>) -> What {
    let mut fault = |field: &'static str, text: &str| {
        faults.push(Fault {
            field,
            text: text.to_owned(),
        });
    };
    let settles = Some(t.settles).filter(|t| !t.is_empty());
    let wanted = shown.and_then(|s| s.disputes.get(settles?));
    match (shown, settles) {
        (None, _) => fault(
            "",
            word!(
                "The allergy is not on the screen: open the chart again",
                "Die Allergie ist nicht auf dem Bildschirm: Akte noch einmal öffnen"
            ),
        ),
        (Some(_), Some(_)) if wanted.is_none() => {
            fault(
                "",
                word!(
                    "Somebody has decided it: look at the chart again",
                    "Jemand hat es bereits entschieden: Akte noch einmal ansehen"
                ),
            );
        }
        (Some(s), None) if !s.disputes.is_empty() => {
            fault(
                "",
                word!(
                    "Two changes of it contradict each other: decide that first",
                    "Zwei Änderungen dieser Allergie widersprechen einander: zuerst das entscheiden"
                ),
            );
        }
        _ => {}
    }
    let standing = Standing::of_code(t.standing).unwrap_or_else(|| {
        fault(
            "standing",
            word!("Choose how it stands", "Wählen, wie sie einzustufen ist"),
        );
        Standing::Unconfirmed
    });
    let chosen = Severity::of_code(t.severity);
    if chosen.is_none() && !t.severity.is_empty() {
        fault(
            "severity",
            word!("Choose one of the severities", "Einen der Schweregrade wählen"),
        );
    }
    let typed = Some(t.reaction.trim().to_owned()).filter(|r| !r.is_empty());
    // Who takes the other change takes the reaction that it reports.
    let (reaction, severity) = match wanted {
        Some(w) if typed.is_none() && standing.stands() && w.standing == Some(standing) => {
            (w.reaction.clone(), w.severity)
        }
        _ => (typed, chosen),
    };
    What::AllergyChange {
        allergy: t.allergy.to_owned(),
        read: shown.map_or_else(
            || AsRead {
                agent: "?".to_owned(),
                stood: String::new(),
                reacted: String::new(),
                said: "?".to_owned(),
            },
            |s| s.read.clone(),
        ),
        standing,
        reaction,
        severity,
        reason: t.reason.trim().to_owned(),
        settles: settles.map(str::to_owned),
    }
}

/// The code to begin with, of how something stands in the words of a card.
pub(crate) fn code(stands: &str) -> String {
    match stands {
        "confirmed" | "unconfirmed" | "refuted" | "resolved" => stands,
        "entered in error" => Standing::EnteredInError.code(),
        "inactive" | GONE => Standing::Resolved.code(),
        _ => "",
    }
    .to_owned()
}

/// Where nobody is named for a statement.
pub(crate) fn nobody() -> &'static str {
    word!("who and when not recorded", "wer und wann: nicht dokumentiert")
}

/// The allergies of a card that were refuted.
pub(crate) fn refuted(w: &Words<'_>, block: &AllergyBlock) -> Vec<RefutedView> {
    let view = |n: &NegativeStatement| {
        let agent = n.refuted_agent()?;
        let disputed = open(block).any(|c| c.about == n.source);
        let of = n.refuted.as_deref();
        let place = of.and_then(|r| r.record.place.as_deref());
        let because = of.and_then(|r| r.record.reason.as_ref());
        let notes = of.map(|r| r.notes.join("; ")).filter(|n| !n.is_empty());
        Some(RefutedView {
            agent: read_as::line(agent).into_owned(),
            detail_text: of.map_or_else(String::new, |r| read_as::reacted(&r.record.reacted).into_owned()),
            by_text: match by(w, n.by.as_deref(), n.at, place) {
                None => nobody().to_owned(),
                Some(who) if of.is_some_and(|r| r.changed) => who,
                // Who wrote the entry need not be who refuted it.
                Some(who) => say!("recorded: {who}", "dokumentiert: {who}"),
            },
            why_text: because
                .map(|r| say!("because: {r}", "Grund: {r}"))
                .or_else(|| notes.map(|n| say!("note: {n}", "Notiz: {n}"))),
            unsent_text: None,
            // A card that was derived before does not say what a change would rest on.
            source: of.filter(|_| !disputed).map(|_| n.source.to_string()),
            standing: Standing::Refuted.code().to_owned(),
        })
    };
    block.negatives.iter().filter_map(view).collect()
}

/// The contradictions of a card.
pub(crate) fn disputes(w: &Words<'_>, block: &AllergyBlock) -> Vec<DisputeView> {
    open(block).map(|c| dispute(w, c)).collect()
}

fn dispute(w: &Words<'_>, c: &AllergyChange) -> DisputeView {
    let unknown = "not recorded";
    let stood = c.stood.as_deref().unwrap_or(unknown);
    let reacted = match c.reacted.as_deref() {
        Some(words) => read_as::reacted(words).into_owned(),
        None => read_as::stands(unknown).to_owned(),
    };
    DisputeView {
        dispute: c.source.to_string(),
        allergy: c.about.to_string(),
        agent: read_as::line(&c.agent).into_owned(),
        base: DisputeSideView {
            standing: code(stood),
            standing_text: read_as::stands(stood).to_owned(),
            reaction_text: reacted.clone(),
            by_text: None,
            reason_text: None,
        },
        record: record(w, c.record.as_ref()),
        change: DisputeSideView {
            standing: c.standing.map_or_else(String::new, |s| s.code().to_owned()),
            standing_text: c
                .standing
                .map_or_else(
                    || {
                        word!(
                            "in a way that this program does not know",
                            "auf eine Weise, die dieses Programm nicht kennt"
                        )
                    },
                    Standing::words,
                )
                .to_owned(),
            reaction_text: with_added(&reacted, c.reaction.as_ref(), c.severity),
            by_text: by(w, c.by.as_deref(), c.at, c.place.as_deref()),
            reason_text: c.reason.clone(),
        },
    }
}

fn record(w: &Words<'_>, r: Option<&Recorded>) -> DisputeSideView {
    let Some(r) = r else {
        return DisputeSideView {
            standing_text: read_as::stands(GONE).to_owned(),
            standing: code(GONE),
            reaction_text: String::new(),
            by_text: None,
            reason_text: None,
        };
    };
    DisputeSideView {
        standing_text: read_as::stands(&r.stands).to_owned(),
        standing: code(&r.stands),
        reaction_text: read_as::reacted(&r.reacted).into_owned(),
        by_text: by(w, r.by.as_deref(), r.at, r.place.as_deref()),
        reason_text: r.reason.clone(),
    }
}

/// "RN BROWN (Nurse), 27-Nov-2026 04:13, at ed-07".
fn by(
    w: &Words<'_>,
    who: Option<&str>,
    at: Option<vitrine_clinical::UtcMs>,
    place: Option<&str>,
) -> Option<String> {
    let parts = [
        who.map(str::to_owned),
        at.map(|at| w.date_time(at)),
        place.map(|p| say!("at {p}", "an {p}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Marks an allergy that was changed here, and takes a contradiction that was decided here from those that wait. A refuted one that stands
/// again is an allergy from then on.
pub(super) fn onto_strip(strip: &mut AllergyStripView, p: &Pending, w: &Words<'_>) {
    let Some(e) = &p.entry else { return };
    let What::AllergyChange {
        allergy,
        read,
        standing,
        reaction,
        severity,
        settles,
        ..
    } = &e.what
    else {
        return;
    };
    let agent = read_as::line(&read.agent);
    let what = if settles.is_some() {
        word!("decided", "entschieden")
    } else {
        word!("changed", "geändert")
    };
    let mark = say!(
        "{what} here to {stands} {at} by {who}, {state}",
        "hier {what}: jetzt {stands}, {at} von {who}, {state}",
        stands = standing.words(),
        at = w.date_time(e.at),
        who = e.name,
        state = p.short_state()
    );
    let is = |source: Option<&str>, of: &str| match source {
        Some(source) => source == allergy,
        None => of == agent,
    };
    let of_record = strip.items.iter().any(|i| i.source.as_deref() == Some(allergy));
    if !of_record && was_refuted(&e.what) {
        if let Some(one) = strip
            .refuted
            .iter_mut()
            .find(|r| is(r.source.as_deref(), &r.agent))
        {
            one.source = None;
            one.unsent_text = (!standing.stands()).then(|| mark.clone());
        }
        if standing.stands() {
            let added = (reaction.as_ref(), *severity);
            super::add(strip, stands_again(read, *standing, added, mark));
        }
    } else if let Some(item) = strip.items.iter_mut().find(|i| is(i.source.as_deref(), &i.agent)) {
        item.unsent_text = Some(mark);
        // A second change would rest on what is about to change.
        item.source = None;
    }
    if p.state != vitrine_wire::entry_view::EntryState::Rejected {
        strip.disputes.retain(|d| Some(&d.dispute) != settles.as_ref());
    }
}

/// Whether it changes an allergy that was refuted, and decides no contradiction: a disputed one is an allergy already.
fn was_refuted(what: &What) -> bool {
    matches!(what, What::AllergyChange { read, settles: None, .. } if read.stood == Standing::Refuted.code())
}

/// Whether it makes an allergy of what was none.
pub(super) fn makes_one(what: &What) -> bool {
    matches!(what, What::AllergyChange { standing, .. } if standing.stands()) && was_refuted(what)
}

/// A refuted allergy that stands again, until the record says so itself. What the record holds to be none is checked by nothing.
fn stands_again(
    read: &AsRead,
    standing: Standing,
    (reaction, severity): (Option<&String>, Option<Severity>),
    mark: String,
) -> AllergyView {
    let words = format!("{} {}", read.said, reaction.map_or("", String::as_str));
    AllergyView {
        agent: read_as::line(&read.agent).into_owned(),
        detail_text: with_added(&read_as::reacted(&read.reacted), reaction, severity),
        coded: false,
        dangerous: is_lethal(&words)
            || words.contains("life-threatening")
            || matches!(severity, Some(Severity::Severe | Severity::LifeThreatening)),
        verification_text: (standing == Standing::Unconfirmed)
            .then(|| read_as::stands("unconfirmed").to_owned()),
        unsent_text: Some(mark),
        disputed_text: None,
        source: None,
        standing: String::new(),
    }
}

/// "hives; also happened: wheeze, severe".
fn with_added(reacted: &str, reaction: Option<&String>, severity: Option<Severity>) -> String {
    let Some(r) = reaction else {
        return reacted.to_owned();
    };
    let added = match severity {
        Some(s) => format!("{r}, {}", s.words()),
        None => r.clone(),
    };
    say!(
        "{reacted}; also happened: {added}",
        "{reacted}; außerdem aufgetreten: {added}"
    )
}

#[cfg(test)]
mod tests;
