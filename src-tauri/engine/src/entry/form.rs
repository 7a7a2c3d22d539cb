//! The forms, and what was typed into them.

use super::{allergy, at_text, vitals};
use crate::chart::blocks::Words;
use crate::critical::Shown;
use vitrine_clinical::entry::{
    AGO_MOST, AWARENESS, Answer, Certainty, Choice, Fault, NOTE_MOST, NoteKind, Reading, SIGNS, Severity,
    Sign, Standing, TEXT_MOST, What, Wrongly, awareness_text, typed_number,
};
use vitrine_clinical::{UtcMs, say, word};
use vitrine_wire::entry_view::{
    AnswerView, ChoiceView, EntryFormView, EntryInput, EntryPreviewView, EntrySeen, FaultView, ReadingInput,
    SignView, StandingView,
};

/// How long ago, to be chosen with one key, minutes.
const AGO: [u32; 6] = [0, 5, 10, 15, 30, 60];

fn choices<T: Choice>() -> Vec<ChoiceView> {
    T::ALL
        .iter()
        .map(|(choice, code)| ChoiceView {
            code: (*code).to_owned(),
            text: choice.text().to_owned(),
        })
        .collect()
}

/// The forms.
pub(crate) fn form() -> EntryFormView {
    let sign = |f: &vitrine_clinical::entry::SignFacts| SignView {
        sign: f.code.to_owned(),
        label: f.label().to_owned(),
        words: f.words().to_owned(),
        unit: f.unit.to_owned(),
        hint_text: f.hint(),
        choices: if f.sign == Sign::Awareness {
            AWARENESS
                .iter()
                .map(|(code, ..)| ChoiceView {
                    code: (*code).to_owned(),
                    text: awareness_text(code).to_owned(),
                })
                .collect()
        } else {
            Vec::new()
        },
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    EntryFormView {
        signs: SIGNS.iter().map(sign).collect(),
        severities: choices::<Severity>(),
        certainties: choices::<Certainty>(),
        standings: Standing::ALL
            .iter()
            .map(|(standing, code)| StandingView {
                code: (*code).to_owned(),
                text: standing.text().to_owned(),
                stands: standing.stands(),
            })
            .collect(),
        note_kinds: choices::<NoteKind>(),
        wrongs: choices::<Wrongly>(),
        answers: Answer::ALL
            .iter()
            .map(|(answer, code)| AnswerView {
                code: (*code).to_owned(),
                text: answer.text().to_owned(),
                asks: answer.asks().0.to_owned(),
                optional: answer.asks().1,
            })
            .collect(),
        ago_minutes: AGO.to_vec(),
        ago_most: AGO_MOST,
        none_known_question: word!(
            "Was the patient, or somebody who speaks for them, asked about allergies to medicines, food, latex, contrast \
             and anything else, and is none known?",
            "Wurde der Patient oder jemand, der für ihn spricht, nach Allergien gegen Medikamente, Nahrungsmittel, Latex, \
             Kontrastmittel und anderes gefragt, und ist keine bekannt?"
        )
        .to_owned(),
        note_most: count(NOTE_MOST),
        text_most: count(TEXT_MOST),
    }
}

fn fault(field: &'static str, text: &str) -> Fault {
    Fault {
        field,
        text: text.to_owned(),
    }
}

/// What an input is about, as it is on this person's screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnScreen {
    /// The critical result.
    pub(crate) result: Option<Shown>,
    /// The allergy.
    pub(crate) allergy: Option<allergy::Shown>,
    /// The vital signs.
    pub(crate) vitals: vitals::Shown,
}

/// What was typed, as far as it can be read, and what has to be mended. `now` is when it is read before signing: "5 min ago" counts from
/// there. `shown`: what it is about.
pub(crate) fn read(input: &EntryInput, now: UtcMs, shown: &OnScreen) -> (What, Vec<Fault>) {
    let mut faults = Vec::new();
    let what = match input {
        EntryInput::Vitals {
            minutes_ago,
            readings,
        } => What::Vitals {
            at: now.plus_ms(-i64::from(*minutes_ago) * 60_000),
            readings: typed(readings, &mut faults),
        },
        EntryInput::VitalsError {
            at_ms,
            values,
            why,
            words,
        } => vitals::read((*at_ms, values), (why, words), &shown.vitals, &mut faults),
        EntryInput::Allergy {
            agent,
            reaction,
            severity,
            certainty,
        } => {
            let chosen = Severity::of_code(severity);
            if chosen.is_none() && !severity.is_empty() {
                faults.push(fault(
                    "severity",
                    word!("Choose one of the severities", "Einen der Schweregrade wählen"),
                ));
            }
            let certainty = Certainty::of_code(certainty).unwrap_or_else(|| {
                faults.push(fault(
                    "certainty",
                    word!("Choose how sure it is", "Wählen, wie sicher es ist"),
                ));
                Certainty::Unconfirmed
            });
            What::Allergy {
                agent: agent.trim().to_owned(),
                reaction: Some(reaction.trim().to_owned()).filter(|r| !r.is_empty()),
                severity: chosen,
                certainty,
            }
        }
        EntryInput::AllergyChange {
            allergy,
            standing,
            reaction,
            severity,
            reason,
            settles,
        } => {
            let typed = allergy::Typed {
                allergy,
                standing,
                reaction,
                severity,
                reason,
                settles,
            };
            allergy::read(&typed, shown.allergy.as_ref(), &mut faults)
        }
        EntryInput::NoKnownAllergies { asked } => {
            if !asked {
                faults.push(fault(
                    "asked",
                    word!(
                        "Ask first, and answer the question with yes",
                        "Zuerst fragen, dann die Frage mit Ja beantworten"
                    ),
                ));
            }
            What::NoKnownAllergies
        }
        EntryInput::Note { note_kind, text } => What::Note {
            note: NoteKind::of_code(note_kind).unwrap_or_else(|| {
                faults.push(fault(
                    "note_kind",
                    word!("Choose the kind of note", "Art der Notiz wählen"),
                ));
                NoteKind::Progress
            }),
            text: text.replace("\r\n", "\n").trim().to_owned(),
        },
        EntryInput::Acknowledge {
            result,
            version,
            answer,
            read_back,
            words,
        } => {
            let shown = shown.result.as_ref().filter(|s| s.version == u64::from(*version));
            if shown.is_none() {
                faults.push(fault(
                    "",
                    word!(
                        "The result has changed since: look at it again",
                        "Der Befund hat sich inzwischen geändert: noch einmal ansehen"
                    ),
                ));
            }
            let said = |t: &str| Some(t.trim().to_owned()).filter(|t| !t.is_empty());
            What::Acknowledge {
                result: result.clone(),
                version: u64::from(*version),
                label: shown.map_or_else(String::new, |s| s.label.clone()),
                read: shown.map_or_else(String::new, |s| s.read.clone()),
                value: shown.map_or_else(String::new, |s| s.value.clone()),
                answer: Answer::of_code(answer).unwrap_or_else(|| {
                    faults.push(fault(
                        "answer",
                        word!("Choose what you do about it", "Wählen, was unternommen wird"),
                    ));
                    Answer::Acting
                }),
                read_back: said(read_back),
                words: said(words),
            }
        }
    };
    for f in what.faults(now) {
        // A field that could not be read has said so already.
        if !faults.iter().any(|g| g.field == f.field && !f.field.is_empty()) {
            faults.push(f);
        }
    }
    // Nothing typed but what is at fault is not "nothing typed".
    if faults.iter().any(|f| !f.field.is_empty()) && matches!(what, What::Vitals { .. }) {
        faults.retain(|f| !f.field.is_empty());
    }
    (what, faults)
}

fn typed(inputs: &[ReadingInput], faults: &mut Vec<Fault>) -> Vec<Reading> {
    let mut out: Vec<Reading> = Vec::new();
    for input in inputs.iter().filter(|i| !i.value.trim().is_empty()) {
        let Some(sign) = Sign::of_code(&input.sign) else {
            faults.push(fault(
                "",
                word!(
                    "A vital sign of this form is not known to this program",
                    "Ein Vitalwert dieses Formulars ist diesem Programm nicht bekannt"
                ),
            ));
            continue;
        };
        let facts = sign.facts();
        let value = if sign == Sign::Awareness {
            input.value.trim().to_owned()
        } else {
            match typed_number(facts, &input.value) {
                Ok(d) => d.as_str().to_owned(),
                Err(text) => {
                    faults.push(Fault {
                        field: facts.code,
                        text,
                    });
                    continue;
                }
            }
        };
        out.push(Reading { sign, value });
    }
    out.sort_by_key(|r| SIGNS.iter().position(|f| f.sign == r.sign));
    out
}

fn views(faults: Vec<Fault>) -> Vec<FaultView> {
    faults
        .into_iter()
        .map(|f| FaultView {
            field: f.field.to_owned(),
            text: f.text,
        })
        .collect()
}

/// What would be recorded.
pub(crate) fn preview(
    w: &Words<'_>,
    input: &EntryInput,
    seen: EntrySeen,
    shown: &OnScreen,
) -> EntryPreviewView {
    let now = UtcMs(seen.at_ms);
    let (what, faults) = read(input, now, shown);
    let mut at = at_text(w, now, &what);
    if let EntryInput::Vitals { minutes_ago, .. } = input {
        at.push_str(&match minutes_ago {
            0 => say!(" (now)", " (jetzt)"),
            n => say!(
                " ({ago} ago)",
                " (vor {ago})",
                ago = vitrine_clinical::format::data_age(i64::from(*n) * 60_000)
            ),
        });
    }
    EntryPreviewView {
        patient: w.patient.to_string(),
        seen,
        title: what.title().to_owned(),
        lines: what.lines(),
        at_text: at,
        warnings: views(what.warnings()),
        faults: views(faults),
    }
}
