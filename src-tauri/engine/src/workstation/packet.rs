//! The downtime packet of a ward: the pages, the printer.
//!
//! Never here: whose cards this person may read (`cards`), what stands on a page (`vitrine_paper`), the look of a card
//! (`chart::card_view`).
//! Called by the acts.

use super::board::board;
use super::cards::cards;
use crate::EngineError;
use crate::chart::blocks::Words;
use crate::chart::card_view::{Frame, card_view};
use crate::link;
use crate::session::role_text;
use crate::station::Station;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use vitrine_clinical::{PatientId, say, word};
use vitrine_paper::{LeftOut, Sheet};
use vitrine_wire::view::{DataAge, PacketView};

/// The system's own way to a printer: CUPS, POSIX `lp`.
const LP: &str = "lp";

/// A packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The pages as PDF.
    pub pdf: Vec<u8>,
    /// What is in it.
    pub view: PacketView,
}

pub(super) fn packet(station: &Arc<Station>, ward: Option<&str>) -> Result<Packet, EngineError> {
    let board = board(station, ward)?;
    let person = station.person()?;
    let (mut sheets, mut left_out) = (Vec::new(), Vec::new());
    for (row, read) in cards(station, board.rows, "downtime-packet")? {
        match read {
            // One that cannot be understood has its page all the same: every block says so.
            Ok(read) => {
                let words = Words {
                    patient: &read.patient,
                    clock: &station.clock,
                };
                let frame = Frame {
                    access_id: read.access_id,
                    text: String::new(),
                    broken: None,
                    age: read.age,
                    full_chart: false,
                    pending: read.pending,
                };
                let card = card_view(&words, read.card.as_ref(), frame);
                sheets.push(Sheet { row, card });
            }
            Err(why) => left_out.push(LeftOut {
                row,
                why: why.words().to_owned(),
            }),
        }
    }
    station.command(link::Command::OutboxChanged);
    let now = station.clock.now();
    let words = Words {
        patient: &PatientId::new("packet").map_err(|_| EngineError::Internal("naming the packet"))?,
        clock: &station.clock,
    };
    let incomplete = match board.age.age {
        _ if !board.age.complete => Some(word!(
            "The list of this ward is not complete: there may be more patients.",
            "Die Liste dieser Station ist nicht vollständig: Es kann weitere Patienten geben."
        )),
        DataAge::Old | DataAge::Stale => Some(word!(
            "These data are old: what changed since is not in here.",
            "Diese Daten sind alt: Was sich seither geändert hat, steht hier nicht."
        )),
        _ => None,
    };
    let content = vitrine_paper::Packet {
        ward: board.ward_name,
        made: say!(
            "Printed {at} by {who} ({role}) at {device}",
            "Gedruckt {at} von {who} ({role}) an {device}",
            at = words.date_time(now),
            who = person.display,
            role = role_text(person.role),
            device = station.device().name
        ),
        age: say!("Data {age}", "Daten: {age}", age = board.age.text),
        training: station.device().demo,
        incomplete: incomplete.map(str::to_owned),
        sheets,
        left_out,
    };
    let printed = content.print().map_err(|e| EngineError::Paper(e.to_string()))?;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let view = PacketView {
        pages: number(printed.pages),
        patients: number(content.sheets.len()),
        left_out: number(content.left_out.len()),
        text: told(&content, printed.pages),
        warning_text: (printed.without_font > 0).then(|| {
            say!(
                "{n} characters were printed as boxes: this workstation has no font for them.",
                "{n} Zeichen als Kästchen gedruckt: Dieser Arbeitsplatz hat dafür keine Schrift.",
                n = printed.without_font
            )
        }),
    };
    Ok(Packet {
        pdf: printed.pdf,
        view,
    })
}

/// "38 patients on 41 pages; 2 not printed: SMITH, Mary (Ms) (restricted)".
fn told(content: &vitrine_paper::Packet, pages: usize) -> String {
    let n = content.sheets.len();
    let patients = if n == 1 {
        word!("patients", "Patient")
    } else {
        word!("patients", "Patienten")
    };
    let sheets = if pages == 1 {
        word!("pages", "Seite")
    } else {
        word!("pages", "Seiten")
    };
    let mut text = say!(
        "{n} {patients} on {pages} {sheets}",
        "{n} {patients} auf {pages} {sheets}"
    );
    if !content.left_out.is_empty() {
        let named = |l: &LeftOut| format!("{} ({})", l.row.name, l.why);
        let all: Vec<String> = content.left_out.iter().map(named).collect();
        text.push_str(&say!(
            "; {n} not printed: {who}",
            "; {n} nicht gedruckt: {who}",
            n = all.len(),
            who = all.join(", ")
        ));
    }
    text
}

/// Hands a PDF to the printing system: through a pipe, so that nothing of it comes to lie on a disk of ours.
pub(super) fn send(pdf: &[u8], printer: Option<&str>) -> Result<(), EngineError> {
    let mut command = Command::new(LP);
    let title = word!("Downtime packet", "Ausfallmappe");
    command.args(["-t", title, "-o", "media=A4"]);
    if let Some(printer) = printer {
        if printer.starts_with('-') {
            return Err(EngineError::Usage(say!(
                "'{printer}' is no printer",
                "„{printer}“ ist kein Drucker"
            )));
        }
        command.args(["-d", printer]);
    }
    let failed = |e: std::io::Error| {
        EngineError::Printer(say!(
            "the printing system answers: {e}.",
            "Das Drucksystem antwortet: {e}."
        ))
    };
    let mut lp = command
        .args(["--", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| match e.kind() {
            ErrorKind::NotFound => EngineError::Printer(say!(
                "this workstation has no printing system (the program lp of CUPS).",
                "Dieser Arbeitsplatz hat kein Drucksystem (das Programm lp von CUPS)."
            )),
            _ => failed(e),
        })?;
    let mut into = lp
        .stdin
        .take()
        .ok_or(EngineError::Internal("writing to the printing system"))?;
    let written = into.write_all(pdf);
    drop(into);
    let ended = lp.wait_with_output().map_err(failed)?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said: Vec<&str> = said.split_whitespace().collect();
        return Err(EngineError::Printer(match &said[..] {
            [] => say!(
                "the printing system ended with {status}.",
                "Das Drucksystem endete mit {status}.",
                status = ended.status
            ),
            words => say!(
                "the printing system says: {said}.",
                "Das Drucksystem meldet: {said}.",
                said = words.join(" ").trim_end_matches('.')
            ),
        }));
    }
    written.map_err(failed)
}
