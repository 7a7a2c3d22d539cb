//! Recording from the command line: for drills and tests, with the same forms, checks and permits as the window.

use crate::acts::{DONE, signed_in, to_json};
use crate::args::{Recorded, Who};
use crate::print;
use std::path::Path;
use vitrine_engine::EngineError;
use vitrine_wire::entry_view::{EntriesView, EntryInput, EntryView, ReadingInput};

fn input(what: Recorded) -> Result<(String, Who, EntryInput), EngineError> {
    Ok(match what {
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
    })
}

/// Records.
pub async fn record(profile: &Path, what: Recorded, json: bool) -> Result<u8, EngineError> {
    let (patient, who, input) = input(what)?;
    let ws = signed_in(profile, &who, false).await?;
    let patient = ws.patient_id(&patient).await?;
    let read = ws.entry_preview(&patient, &input).await?;
    let v = ws.entry_record(&patient, &input, &read.seen).await?;
    if json {
        print::json(&to_json(&v)?);
    } else {
        entry(&v);
    }
    Ok(DONE)
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
