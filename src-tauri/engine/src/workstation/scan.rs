//! A scanned band: what the code is, who is found by it, and whether that is enough to open a chart.
//!
//! Never here: reading a code and the rule (`clinical::scan`), keys and their speed (the screens).
//! Called by the acts, with a session and for an emergency without one.

use super::search::{look, row};
use crate::EngineError;
use crate::cache::{gsrn_term, number_term};
use crate::chart::blocks::number_label;
use crate::chart::rows;
use crate::session::{self, Person};
use crate::station::Station;
use std::sync::Arc;
use vitrine_clinical::scan::{Scanned, Sure, Why, read, sure, twins};
use vitrine_clinical::{say, word};
use vitrine_store_sqlcipher::workstation::FindTerm;
use vitrine_wire::scan_view::{ScanKind, ScanView};

fn compare() -> &'static str {
    word!(
        "Compare name and birth date with the person before you open the chart.",
        "Vor dem Öffnen der Akte Name und Geburtsdatum mit der Person vergleichen."
    )
}

fn told(kind: ScanKind, text: impl Into<String>) -> ScanView {
    ScanView {
        kind,
        text: text.into(),
        rows: Vec::new(),
    }
}

pub(super) fn scan(
    station: &Arc<Station>,
    person: &Person,
    text: &str,
    emergency: bool,
) -> Result<ScanView, EngineError> {
    let (number, checked) = match read(text) {
        Err(unread) => return Ok(told(ScanKind::Unread, unread.text())),
        Ok(Scanned::Patient { gsrn, .. }) => (gsrn, true),
        // Whoever's badge it is, it is nobody's record number.
        Ok(Scanned::Plain(_)) if session::is_somebodys(station, text) => {
            let badge = Scanned::Staff { gsrn: String::new() };
            return Ok(told(ScanKind::NotAPatient, not_a_patient(&badge)));
        }
        Ok(Scanned::Plain(number)) => (number, false),
        Ok(other) => return Ok(told(ScanKind::NotAPatient, not_a_patient(&other))),
    };
    let term = |text: String| FindTerm { text, prefix: false };
    let near = if checked { twins(&number) } else { Vec::new() };
    let mut group = vec![term(if checked {
        gsrn_term(&number)
    } else {
        number_term(&number)
    })];
    group.extend(near.iter().map(|twin| term(gsrn_term(twin))));
    let how = if checked { "band" } else { "text" };
    let found = look(station, person, ("scan", how), &number, &[group], emergency)?;
    let (mut exact, mut others, mut damaged) = (Vec::new(), 0, found.damaged);
    for found in &found.rows {
        let read = row(station, person, found);
        let Some((card, mut view)) = read.filter(|(card, _)| card.identity.is_some()) else {
            damaged = true;
            continue;
        };
        let Some(identity) = &card.identity else { continue };
        let is_it = match checked {
            true => identity.gsrns.contains(&number),
            false => identity
                .mrn
                .as_deref()
                .is_some_and(|m| m.trim().eq_ignore_ascii_case(&number)),
        };
        if is_it {
            let matched = if checked {
                super::search::band()
            } else {
                number_label()
            };
            view.match_text = Some(matched.to_owned());
            exact.push((rows::name_key(card.identity.as_ref()), view));
        } else if identity.gsrns.iter().any(|g| near.contains(g)) {
            others += 1;
        }
    }
    let keys: Vec<_> = exact.iter().map(|(key, _)| key.clone()).collect();
    let mut views: Vec<_> = exact.into_iter().map(|(_, view)| view).collect();
    rows::mark_similar(&mut views, &keys);
    // Who could not be read might be another one with this number, or its twin.
    let many = views.len() + usize::from(damaged && !views.is_empty());
    let (kind, text) = match sure(many, others, checked) {
        Sure::Open => (
            ScanKind::Patient,
            say!("The band of one patient.", "Das Armband eines Patienten."),
        ),
        Sure::Ask(why) => (
            ScanKind::Compare,
            format!("{} {}", because(why, views.len(), damaged), compare()),
        ),
        Sure::Nobody => (ScanKind::NotHere, nobody(station, checked, found.of, damaged)),
    };
    Ok(ScanView {
        kind,
        text,
        rows: views,
    })
}

fn not_a_patient(scanned: &Scanned) -> &'static str {
    match scanned {
        Scanned::Article => word!(
            "This is a medicine or another article, not a patient. Scan the band.",
            "Das ist ein Medikament oder ein anderer Artikel, kein Patient. Das Patientenarmband scannen."
        ),
        Scanned::Staff { .. } => word!(
            "This is the badge of somebody of the staff, not a patient. Scan the band.",
            "Das ist der Ausweis einer Person vom Personal, kein Patient. Das Patientenarmband scannen."
        ),
        Scanned::Place => word!(
            "This is the label of a place, not a patient. Scan the band.",
            "Das ist das Etikett eines Ortes, kein Patient. Das Patientenarmband scannen."
        ),
        _ => word!(
            "This code names no patient. Scan the band.",
            "Dieser Code benennt keinen Patienten. Das Patientenarmband scannen."
        ),
    }
}

fn because(why: Why, many: usize, damaged: bool) -> String {
    match why {
        Why::Several if damaged => say!(
            "Some patients could not be read from this workstation.",
            "Einige Patienten sind an diesem Arbeitsplatz nicht lesbar."
        ),
        Why::Several => say!(
            "{many} patients have this number.",
            "{many} Patienten haben diese Nummer."
        ),
        Why::Twin => say!(
            "The band of another patient has the same digits, two of them changed about.",
            "Das Armband eines anderen Patienten hat dieselben Ziffern, zwei davon vertauscht."
        ),
        Why::Unchecked => say!(
            "This code has no check digit: a lost or wrong digit would not show.",
            "Dieser Code hat keine Prüfziffer: Eine fehlende oder falsche Ziffer würde nicht auffallen."
        ),
    }
}

fn nobody(station: &Station, checked: bool, of: u64, damaged: bool) -> String {
    let what = if checked {
        super::search::band()
    } else {
        word!("code", "Code")
    };
    let of = vitrine_clinical::format::group_thousands(&of.to_string());
    let asked = super::search::not_asked(station);
    let damaged = if damaged {
        word!(
            " Some patients could not be read.",
            " Einige Patienten sind nicht lesbar."
        )
    } else {
        ""
    };
    say!(
        "No patient with this {what} among {of} on this workstation{asked}.{damaged} Find the patient by name or birth date.",
        "Kein Patient mit diesem {what} unter {of} an diesem Arbeitsplatz{asked}.{damaged} Den Patienten über Name oder Geburtsdatum suchen."
    )
}
