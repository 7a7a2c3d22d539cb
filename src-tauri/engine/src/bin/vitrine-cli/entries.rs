//! Recording from the command line: for drills and tests, with the same forms, checks and permits as the window.

use crate::acts::{DONE, signed_in, to_json};
use crate::args::{Recorded, Who};
use crate::print;
use std::path::Path;
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::entry_view::{EntriesView, EntryInput, EntryView, ReadingInput};
use vitrine_wire::results_view::{CriticalView, ResultsView};

/// What is typed about a patient. A result says itself whose it is: `None`.
fn input(what: Recorded) -> Result<(Option<String>, Who, EntryInput), EngineError> {
    let (patient, who, input) = match what {
        Recorded::Result {
            result,
            answer,
            words,
            read_back,
            who,
        } => {
            let input = EntryInput::Acknowledge {
                result,
                version: 0,
                answer,
                read_back,
                words,
            };
            return Ok((None, who, input));
        }
        Recorded::Vitals {
            patient,
            readings,
            minutes_ago,
            who,
        } => {
            let read = |r: &String| {
                let (sign, value) = r.split_once('=').ok_or_else(|| {
                    EngineError::Usage(format!("'{r}' is no reading: give SIGN=VALUE, e.g. pulse=88"))
                })?;
                Ok(ReadingInput {
                    sign: sign.trim().to_owned(),
                    value: value.trim().to_owned(),
                })
            };
            let readings = readings.iter().map(read).collect::<Result<_, EngineError>>()?;
            (
                patient,
                who,
                EntryInput::Vitals {
                    minutes_ago,
                    readings,
                },
            )
        }
        Recorded::Allergy {
            patient,
            agent,
            reaction,
            severity,
            confirmed,
            who,
        } => (
            patient,
            who,
            EntryInput::Allergy {
                agent,
                reaction: reaction.unwrap_or_default(),
                severity: severity.unwrap_or_default(),
                certainty: if confirmed { "confirmed" } else { "unconfirmed" }.to_owned(),
            },
        ),
        Recorded::VitalsError {
            patient,
            values,
            why,
            words,
            who,
        } => (
            patient,
            who,
            EntryInput::VitalsError {
                at_ms: 0,
                values,
                why,
                words,
            },
        ),
        Recorded::AllergyChange {
            patient,
            allergy,
            standing,
            because,
            reaction,
            severity,
            settles,
            who,
        } => (
            patient,
            who,
            EntryInput::AllergyChange {
                allergy,
                standing,
                reaction,
                severity,
                reason: because,
                settles,
            },
        ),
        Recorded::NoneKnown { patient, asked, who } => (patient, who, EntryInput::NoKnownAllergies { asked }),
        Recorded::Note {
            patient,
            text,
            kind,
            who,
        } => (
            patient,
            who,
            EntryInput::Note {
                note_kind: kind,
                text,
            },
        ),
    };
    Ok((Some(patient), who, input))
}

/// Reads the inbox, as one must before a result can be taken up, and gives the patient and the input about what stands there.
async fn about_result(ws: &Workstation, input: EntryInput) -> Result<(String, EntryInput), EngineError> {
    let EntryInput::Acknowledge {
        result,
        answer,
        read_back,
        words,
        ..
    } = input
    else {
        return Err(EngineError::Usage("Say about which patient.".to_owned()));
    };
    let all = ws.results(None).await?;
    let found = all.waiting.iter().chain(&all.done).find(|c| c.result == result);
    let found = found.ok_or_else(|| {
        EngineError::Usage(format!(
            "'{result}' is no critical result that you may see in this ward."
        ))
    })?;
    let input = EntryInput::Acknowledge {
        result,
        version: found.version,
        answer,
        read_back,
        words,
    };
    Ok((found.patient.clone(), input))
}

/// Records.
pub async fn record(profile: &Path, what: Recorded, json: bool) -> Result<u8, EngineError> {
    let (patient, who, input) = input(what)?;
    let ws = signed_in(profile, &who, false).await?;
    let (patient, mut input) = match patient {
        Some(patient) => (ws.patient_id(&patient).await?, input),
        None => about_result(&ws, input).await?,
    };
    // Only what is on the screen can be changed or marked.
    match &mut input {
        EntryInput::AllergyChange { .. } => drop(ws.chart(&patient).await?),
        EntryInput::VitalsError { at_ms, values, .. } => {
            let series = ws.chart(&patient).await?.flowsheet.series.items;
            let mut points = series.iter().flat_map(|s| &s.points);
            let named = points.find(|p| p.source.as_ref() == values.first());
            *at_ms = named.and_then(|p| p.at_ms).unwrap_or_default();
        }
        _ => {}
    }
    let read = ws.entry_preview(&patient, &input).await?;
    let v = ws.entry_record(&patient, &input, &read.seen).await?;
    if json {
        print::json(&to_json(&v)?);
    } else {
        entry(&v);
    }
    Ok(DONE)
}

/// Lists the critical results of a ward.
pub async fn results(profile: &Path, ward: Option<&str>, who: &Who, json: bool) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, false).await?;
    let v = ws.results(ward).await?;
    if json {
        print::json(&to_json(&v)?);
    } else {
        inbox(&v);
    }
    Ok(DONE)
}

fn inbox(v: &ResultsView) {
    say!("{} — {} — {}", v.ward_name, v.looked_text, v.age.text);
    say!("CRITICAL — {} not acknowledged", v.waiting.len());
    v.waiting.iter().for_each(critical);
    for (n, what) in [
        (v.withheld, "of patients whom you may not open"),
        (v.older, "from before these days: look into the charts"),
    ] {
        if n > 0 {
            say!("  {n} more {what}");
        }
    }
    if v.unread > 0 {
        say!(
            "  {} patients whose results cannot be read here: ask the laboratory",
            v.unread
        );
    }
    say!("Acknowledged in the last 12 hours: {}", v.done.len());
    v.done.iter().for_each(critical);
}

fn critical(c: &CriticalView) {
    let m = &c.measured;
    say!(
        "  {} {} {} {}  {}",
        m.label,
        m.value,
        m.unit,
        m.flag,
        c.available_text
    );
    say!(
        "    {}, {}, {}, {}",
        c.name_text,
        c.born_text,
        c.number_text,
        c.place_text
    );
    for t in &c.taken {
        say!("    {} — {}", t.text, t.by_text);
    }
    for e in &c.entries {
        say!("    {}: {}", e.state_text, e.lines.join("; "));
    }
    say!("    [{}]", c.result);
}

/// Lists what the server has not accepted.
pub async fn list(profile: &Path, who: &Who, json: bool) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, false).await?;
    let v = ws.entries().await?;
    if json {
        print::json(&to_json(&v)?);
    } else {
        all(&v);
    }
    Ok(DONE)
}

/// Takes a rejected entry off the list.
pub async fn settle(profile: &Path, id: &str, words: &str, who: &Who, json: bool) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, false).await?;
    ws.entry_settle(id, words).await?;
    if json {
        print::json(&serde_json::json!({"settled": id}));
    } else {
        say!("Settled: it is off the list, and what was done about it is in the audit log.");
    }
    Ok(DONE)
}

fn entry(v: &EntryView) {
    say!("{}: {}", v.title, v.lines.join("; "));
    say!(
        "  {}{}",
        v.name_text
            .as_ref()
            .map_or_else(String::new, |n| format!("{n}, ")),
        v.at_text
    );
    say!("  {}", v.by_text);
    say!("  {} [{}]", v.state_text, v.id);
    if let Some(reason) = &v.reason_text {
        say!("  {reason}");
    }
}

fn all(v: &EntriesView) {
    if v.entries.is_empty() {
        say!("Nothing waits. {}", v.looked_text);
    }
    for e in &v.entries {
        entry(e);
    }
    if v.withheld > 0 {
        say!("{} more are about patients you may not open.", v.withheld);
    }
}
