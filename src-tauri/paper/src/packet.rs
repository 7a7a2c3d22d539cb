//! The downtime packet of a ward: who lies where, then the emergency card of each patient on pages of their own.
//!
//! Never here: setting text (`setter`), filling pages (`flow`).

use crate::flow::{Flow, Foot, Page, WIDTH, written};
use crate::setter::{Setter, Span, outside, own, strong};
use crate::{PaperError, Printed};
use vitrine_wire::entry_view::EntryView;
use vitrine_wire::view::{
    AllergyStripState, BlockView, BlockViewState, EmergencyCardView, LineView, MeasuredView, MedicationView,
    News2View, PatientRowView,
};
use vitrine_wire::{say, word};

/// A patient whose card is printed.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The row of the board.
    pub row: PatientRowView,
    /// What is known.
    pub card: EmergencyCardView,
}

/// A patient of the ward whose card is not printed.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// The row of the board.
    pub row: PatientRowView,
    /// Why, in words.
    pub why: String,
}

/// What is printed.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The ward's name.
    pub ward: String,
    /// "Printed 27-Nov-2026 04:31 by Dr LEE (Physician) at ED-07".
    pub made: String,
    /// How old the board is: "Data as of 27-Nov-2026 04:19 (12 min)".
    pub age: String,
    /// The patients are synthetic: each page says so.
    pub training: bool,
    /// The board may not be whole; in words.
    pub incomplete: Option<String>,
    /// In the order of the board.
    pub sheets: Vec<Sheet>,
    /// In the order of the board.
    pub left_out: Vec<LeftOut>,
}

const SMALL: f32 = 9.0;
const TEXT: f32 = 10.5;
const NAME: f32 = 17.0;

impl Packet {
    /// The pages.
    ///
    /// # Errors
    /// [`PaperError`].
    pub fn print(&self) -> Result<Printed, PaperError> {
        let mut setter = Setter::new()?;
        let of = self.sheets.len();
        let sheets: Vec<Vec<Page>> = self
            .sheets
            .iter()
            .enumerate()
            .map(|(i, sheet)| {
                let part = say!("patient {n} of {of}, ", "Patient {n} von {of}, ", n = i + 1);
                sheet_pages(&mut setter, sheet, &part)
            })
            .collect();
        // Where each begins follows from how many pages the list itself takes: that is known when it was set once.
        let lengths: Vec<usize> = sheets.iter().map(Vec::len).collect();
        let mut ahead = 1;
        let list = loop {
            let list = self.list(&mut setter, &begins(ahead, &lengths));
            if list.len() <= ahead {
                break list;
            }
            ahead = list.len();
        };
        // A list that became shorter by its own numbers keeps the place that was counted for it.
        let blank = (list.len()..ahead).map(|_| Page::default());
        let pages: Vec<Page> = list
            .into_iter()
            .chain(blank)
            .chain(sheets.into_iter().flatten())
            .collect();
        let foot = Foot {
            age: &self.age,
            made: &self.made,
            training: self.training,
        };
        let pdf = written(&mut setter, &pages, &foot)?;
        Ok(Printed {
            pdf,
            pages: pages.len(),
            without_font: setter.without_font,
        })
    }

    /// Who lies where. `begins`: the page on which each sheet begins.
    fn list(&self, setter: &mut Setter, begins: &[usize]) -> Vec<Page> {
        let columns: [(&str, f32); 6] = [
            (word!("Bed", "Bett"), 44.0),
            (word!("Patient", "Patient"), 150.0),
            (word!("Born, gender", "Geb., Geschlecht"), 92.0),
            (word!("MRN", "Pat.-Nr."), 74.0),
            (word!("Allergies, flags", "Allergien, Hinweise"), 113.28),
            (word!("Page", "Seite"), 50.0),
        ];
        let mut flow = Flow::new(setter, String::new());
        flow.text(
            &[
                strong(word!("Downtime packet: ", "Ausfallmappe: ")),
                outside(&self.ward, true),
            ],
            NAME,
            0.0,
        );
        let all = self.sheets.len() + self.left_out.len();
        flow.text(
            &[strong(self.age.as_str()), own(". "), own(self.made.as_str())],
            TEXT,
            0.0,
        );
        flow.text(
            &[own(say!(
                "{n} of {all} patients of the ward are printed on pages of their own.",
                "{n} von {all} Patienten der Station sind auf eigenen Seiten gedruckt.",
                n = self.sheets.len()
            ))],
            TEXT,
            0.0,
        );
        if let Some(words) = &self.incomplete {
            flow.text(&[strong(words.as_str())], TEXT, 0.0);
        }
        flow.gap(8.0);
        let heads = columns.map(|(head, width)| (width, vec![own(head)]));
        flow.row(&heads, 8.0);
        flow.head_ends();
        let printed = self
            .sheets
            .iter()
            .zip(begins)
            .map(|(s, page)| (&s.row, page.to_string()));
        let not = self.left_out.iter().map(|l| {
            (
                &l.row,
                say!("not printed: {why}", "nicht gedruckt: {why}", why = l.why),
            )
        });
        for (row, page) in printed.chain(not) {
            let cells: [Vec<Span>; 6] = [
                vec![outside(&row.bed, true)],
                named(row),
                vec![
                    own(row.born_text.as_str()),
                    own(", "),
                    own(row.gender_text.as_str()),
                ],
                vec![outside(&row.number_text, false)],
                flags(row),
                vec![own(page)],
            ];
            let cells: Vec<(f32, Vec<Span>)> = columns.iter().map(|(_, w)| *w).zip(cells).collect();
            flow.row(&cells, SMALL);
        }
        if all == 0 {
            flow.text(
                &[own(word!(
                    "No patient of this ward is on this workstation.",
                    "Kein Patient dieser Station ist an diesem Arbeitsplatz."
                ))],
                TEXT,
                0.0,
            );
        }
        flow.ends()
    }
}

/// On which page each sheet begins, after so many pages.
fn begins(ahead: usize, lengths: &[usize]) -> Vec<usize> {
    let mut next = ahead + 1;
    let mut out = Vec::with_capacity(lengths.len());
    for length in lengths {
        out.push(next);
        next += length;
    }
    out
}

fn named(row: &PatientRowView) -> Vec<Span> {
    let mut out = vec![outside(&row.name, true)];
    if row.similar_name {
        out.push(own(word!(
            " (similar name on this ward)",
            " (ähnlicher Name auf dieser Station)"
        )));
    }
    out.extend(row.deceased_text.iter().map(|t| own(format!(" ({t})"))));
    out
}

fn flags(row: &PatientRowView) -> Vec<Span> {
    // "NOT RECORDED" alone could be about anything.
    let what = if row.allergy_text.contains("ALLERG") {
        ""
    } else {
        word!("ALLERGIES ", "ALLERGIEN ")
    };
    let mut out = vec![strong(format!("{what}{}", row.allergy_text))];
    for flag in &row.flags {
        out.push(own(", "));
        out.push(outside(flag, false));
    }
    out
}

fn sheet_pages(setter: &mut Setter, sheet: &Sheet, part: &str) -> Vec<Page> {
    let card = &sheet.card;
    let b = &card.banner;
    let mut flow = Flow::new(setter, part.to_owned());
    let mut name = vec![outside(&b.name, true)];
    if sheet.row.similar_name || b.similar_name {
        name.push(own(word!(
            "   ▲ similar name on this ward",
            "   ▲ ähnlicher Name auf dieser Station"
        )));
    }
    flow.text(&name, NAME, 0.0);
    let mut who = vec![
        own(word!("Born ", "Geb. ")),
        strong(b.born_text.as_str()),
        own(word!("    Gender ", "    Geschlecht ")),
        strong(b.gender_text.as_str()),
        own(format!("    {} ", b.number_label)),
        outside(&b.number_text, true),
    ];
    if let Some(weight) = &b.weight_text {
        who.extend([own(word!("    Weight ", "    Gewicht ")), strong(weight.as_str())]);
    }
    if let Some(died) = &b.deceased_text {
        who.push(strong(format!("    {died}")));
    }
    flow.text(&who, 12.0, 0.0);
    flow.text(
        &[
            outside(&b.place_text, false),
            own("    "),
            strong(card.age.text.as_str()),
        ],
        TEXT,
        0.0,
    );
    // Every page says at least who it is; the allergies too, where they leave room for something else.
    flow.head_ends();
    flow.gap(3.0);
    flow.framed(2.0, |flow| allergies(flow, card));
    flow.gap(4.0);
    flow.head_ends();
    if let Some(withheld) = &card.withheld_text {
        flow.text(&[strong(withheld.as_str())], TEXT, 0.0);
    }
    entries(&mut flow, &card.entries);
    medicines(
        &mut flow,
        word!("ACTIVE MEDICINES", "AKTUELLE MEDIKAMENTE"),
        &card.medications,
    );
    if !card.recently_stopped.is_empty() {
        heading(
            &mut flow,
            word!("RECENTLY STOPPED (7 d)", "KÜRZLICH ABGESETZT (7 T)"),
            None,
        );
        for m in &card.recently_stopped {
            medicine(&mut flow, m);
        }
    }
    lines(
        &mut flow,
        word!("CODE STATUS", "REANIMATIONSSTATUS"),
        &card.code_status,
    );
    lines(&mut flow, word!("PROBLEMS", "DIAGNOSEN"), &card.conditions);
    lines(&mut flow, word!("DEVICES", "IMPLANTATE, GERÄTE"), &card.devices);
    measures(
        &mut flow,
        word!("VITAL SIGNS", "VITALWERTE"),
        &card.vitals,
        &card.news2.items,
    );
    measures(
        &mut flow,
        word!("KEY LABS", "WICHTIGE LABORWERTE"),
        &card.labs,
        &[],
    );
    lines(&mut flow, word!("BLOOD GROUP", "BLUTGRUPPE"), &card.blood_group);
    lines(&mut flow, word!("ISOLATION", "ISOLIERUNG"), &card.isolation);
    lines(&mut flow, word!("FLAGS", "HINWEISE"), &card.flags);
    lines(&mut flow, word!("CONTACTS", "KONTAKTE"), &card.contacts);
    by_hand(&mut flow);
    flow.ends()
}

fn heading(flow: &mut Flow<'_>, title: &str, as_of: Option<&str>) {
    flow.gap(5.0);
    flow.keep(34.0);
    let mut spans = vec![strong(title)];
    spans.extend(as_of.map(|t| own(format!("    {t}"))));
    flow.rule(0.4);
    flow.text(&spans, 8.5, 0.0);
}

/// Puts down the head of a block, and what stands where there are no entries (S1).
fn block<T>(flow: &mut Flow<'_>, title: &str, block: &BlockView<T>) -> bool {
    heading(flow, title, block.as_of_text.as_deref());
    match block.state {
        BlockViewState::Recorded => return true,
        BlockViewState::NotRecorded => flow.text(&[own(block.empty_text.as_str())], TEXT, 0.0),
        BlockViewState::Unavailable => flow.text(&[strong(unknown(&block.empty_text))], TEXT, 0.0),
    }
    false
}

fn unknown(words: &str) -> &str {
    if words.is_empty() {
        word!(
            "Could not be read: treat as unknown",
            "Nicht lesbar: als unbekannt behandeln"
        )
    } else {
        words
    }
}

fn allergies(flow: &mut Flow<'_>, card: &EmergencyCardView) {
    let a = &card.allergies;
    let indent = 6.0;
    let mut head = vec![strong(a.label.to_uppercase())];
    head.extend(a.updated_text.iter().map(|t| own(format!("    {t}"))));
    flow.text(&head, 12.0, indent);
    for item in &a.items {
        let mut spans = vec![outside(&item.agent, true)];
        if !item.detail_text.is_empty() {
            spans.extend([own(" — "), outside(&item.detail_text, item.dangerous)]);
        }
        if !item.coded {
            spans.push(own(word!(
                " (NOT CHECKED: free text)",
                " (NICHT GEPRÜFT: Freitext)"
            )));
        }
        spans.extend(item.verification_text.iter().map(|t| own(format!(" ({t})"))));
        for mark in [&item.disputed_text, &item.unsent_text].into_iter().flatten() {
            spans.extend([own(" ["), outside(mark, true), own("]")]);
        }
        flow.text(&spans, 12.0, indent);
    }
    for one in &a.refuted {
        let mut spans = vec![own(word!("Refuted: ", "Widerlegt: ")), outside(&one.agent, false)];
        for more in [Some(&one.by_text), one.why_text.as_ref()].into_iter().flatten() {
            spans.extend([own(" — "), outside(more, false)]);
        }
        if let Some(mark) = &one.unsent_text {
            spans.extend([own(" ["), outside(mark, true), own("]")]);
        }
        flow.text(&spans, TEXT, indent);
    }
    for said in &a.negatives {
        flow.text(&[outside(said, false)], TEXT, indent);
    }
    if let Some(conflict) = &a.conflict_text {
        flow.text(&[strong(conflict.as_str())], TEXT, indent);
    }
    if a.items.is_empty() && a.state == AllergyStripState::Unavailable {
        flow.text(
            &[strong(word!("Treat as unknown", "Als unbekannt behandeln"))],
            TEXT,
            indent,
        );
    }
}

fn medicines(flow: &mut Flow<'_>, title: &str, list: &BlockView<MedicationView>) {
    let title = match list.state {
        BlockViewState::Recorded => format!("{title}: {}", list.items.len()),
        _ => title.to_owned(),
    };
    if block(flow, &title, list) {
        for m in &list.items {
            medicine(flow, m);
        }
    }
}

/// What was recorded at this workstation and is not in the record: it counts in nothing above.
fn entries(flow: &mut Flow<'_>, all: &[EntryView]) {
    if all.is_empty() {
        return;
    }
    heading(
        flow,
        &say!(
            "RECORDED AT THIS WORKSTATION, NOT IN THE RECORD: {n}",
            "AN DIESEM ARBEITSPLATZ EINGETRAGEN, NICHT IN DER AKTE: {n}",
            n = all.len()
        ),
        None,
    );
    for e in all {
        let mut spans = vec![strong(e.title.as_str()), own(": ")];
        for (i, line) in e.lines.iter().enumerate() {
            if i > 0 {
                spans.push(own("; "));
            }
            spans.push(outside(line, false));
        }
        spans.extend([
            own(format!("    {}, ", e.at_text)),
            outside(&e.by_text, false),
            own("    "),
            strong(e.state_text.as_str()),
        ]);
        flow.text(&spans, TEXT, 0.0);
    }
}

/// What the views say of a medicine that is simply taken.
const ACTIVE: [&str; 3] = ["active", "aktiv", "aktuell"];

/// A medicine line (CUI MEDi-051): name, dose, the rest with dashes between.
fn medicine(flow: &mut Flow<'_>, m: &MedicationView) {
    let mut spans = Vec::new();
    if m.high_risk_text.is_some() {
        spans.push(strong("▲ "));
    }
    spans.push(outside(&m.name, true));
    if let Some(dose) = &m.dose {
        spans.extend([own(word!(" — DOSE ", " — DOSIS ")), outside(dose, true)]);
    }
    for detail in &m.details {
        spans.extend([own(" — "), outside(detail, false)]);
    }
    let mut more: Vec<String> = m.high_risk_text.iter().cloned().collect();
    // As the views say it, in whichever language.
    if m.suspended || !ACTIVE.contains(&m.status_text.as_str()) {
        more.push(m.status_text.clone());
    }
    more.extend(m.start_text.iter().cloned());
    if m.reported {
        let reported = word!("reported, not ordered here", "angegeben, nicht hier verordnet");
        more.push(reported.to_owned());
    }
    if !more.is_empty() {
        spans.push(outside(&format!("    {}", more.join(", ")), m.suspended));
    }
    flow.text(&spans, TEXT, 0.0);
    flow.gap(2.0);
}

fn lines(flow: &mut Flow<'_>, title: &str, list: &BlockView<LineView>) {
    if block(flow, title, list) {
        for line in &list.items {
            let mut spans = vec![outside(&line.text, true)];
            spans.extend(line.detail_text.iter().map(|t| outside(&format!("  {t}"), false)));
            flow.text(&spans, TEXT, 0.0);
        }
    }
}

fn measures(flow: &mut Flow<'_>, title: &str, list: &BlockView<MeasuredView>, scores: &[News2View]) {
    if !block(flow, title, list) {
        return;
    }
    for s in scores {
        let mut spans = vec![strong(format!("NEWS2 {}", s.score_text))];
        let words = [
            s.not_for_text.is_none().then(|| s.level_text.clone()),
            s.not_for_text.clone(),
            s.lacking_text.clone(),
            s.scale_text.clone(),
            s.since_text.clone(),
        ];
        for word in words.into_iter().flatten() {
            spans.push(own(format!(", {word}")));
        }
        flow.text(&spans, TEXT, 0.0);
    }
    let mut spans = Vec::new();
    for m in &list.items {
        if !spans.is_empty() {
            spans.push(own("  ·  "));
        }
        spans.extend([own(format!("{} ", m.label)), outside(&m.value, true)]);
        spans.push(own(format!(" {}", m.unit).trim_end().to_owned()));
        if !m.flag.is_empty() {
            spans.push(strong(format!(" {}{}", m.flag_shape, m.flag)));
        } else if let Some(points) = &m.points_text {
            // The record's own flag says more; where it has none, as of a monitor, the points do.
            spans.push(strong(format!(" {points}")));
        }
        spans.extend(m.status_text.iter().map(|t| strong(format!(" ({t})"))));
        spans.push(own(format!(" ({})", m.at_text)));
    }
    flow.text(&spans, TEXT, 0.0);
}

/// Room to write on while there is no computer; entered afterwards.
fn by_hand(flow: &mut Flow<'_>) {
    const ROW: f32 = 22.0;
    // No column is called "RR" in German: a blood pressure would be written into it.
    let heads: [(&str, f32); 10] = [
        (word!("Date, time", "Datum, Zeit"), 74.0),
        (word!("HR", "HF"), 38.0),
        (word!("BP", "Blutdruck"), 54.0),
        (word!("RR", "AF"), 36.0),
        (word!("SpO2", "SpO2"), 40.0),
        (word!("O2", "O2"), 44.0),
        (word!("Temp", "Temp"), 42.0),
        (word!("AVPU", "AVPU"), 40.0),
        (
            word!("Given, done, seen", "Gegeben, getan, gesehen"),
            WIDTH - 74.0 - 38.0 - 54.0 - 36.0 - 40.0 - 44.0 - 42.0 - 40.0 - 54.0,
        ),
        (word!("Initials", "Kürzel"), 54.0),
    ];
    flow.gap(8.0);
    flow.keep(12.0 + 14.0 + 4.0 * ROW);
    flow.text(
        &[strong(word!(
            "BY HAND DURING THE DOWNTIME (to be entered afterwards)",
            "VON HAND WÄHREND DES AUSFALLS (danach nachtragen)"
        ))],
        8.5,
        0.0,
    );
    // As many as there is room for: what is written here stands with who it is about.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rows = ((flow.room() - 16.0) / ROW).floor().clamp(1.0, 14.0) as usize;
    flow.form(&heads, rows, ROW);
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_wire::language::{Language, speaking};
    use vitrine_wire::view::{
        AllergyStripView, AllergyView, BannerView, DataAge, News2Level, RefutedView, SectionAge,
    };

    fn some() -> Option<String> {
        Some("7".to_owned())
    }

    fn block<T>(items: Vec<T>) -> BlockView<T> {
        let state = match items.len() {
            0 => BlockViewState::Unavailable,
            _ => BlockViewState::Recorded,
        };
        BlockView {
            patient: "7".to_owned(),
            state,
            empty_text: String::new(),
            items,
            as_of_text: some(),
        }
    }

    fn medicine_of(status: &str) -> MedicationView {
        MedicationView {
            name: "7".to_owned(),
            dose: some(),
            details: vec!["7".to_owned()],
            status_text: status.to_owned(),
            start_text: some(),
            high_risk_text: some(),
            suspended: false,
            reported: true,
            at_ms: None,
            at_year: None,
        }
    }

    /// Everything that a page can say, with digits for what is not our own words.
    fn sheet(status: &str) -> Sheet {
        let text = || "7".to_owned();
        let line = || {
            block(vec![LineView {
                text: text(),
                detail_text: some(),
                at_ms: None,
                at_year: None,
            }])
        };
        let measured = MeasuredView {
            label: text(),
            value: text(),
            unit: text(),
            flag: text(),
            flag_shape: text(),
            points_text: some(),
            points: Some(3),
            range_text: some(),
            at_text: text(),
            status_text: some(),
            earlier: Vec::new(),
        };
        let age = SectionAge {
            age: DataAge::Live,
            text: text(),
            complete: true,
            as_of_ms: None,
        };
        let allergy = AllergyView {
            agent: text(),
            detail_text: text(),
            coded: false,
            dangerous: true,
            verification_text: some(),
            unsent_text: some(),
            disputed_text: some(),
            source: None,
            standing: String::new(),
        };
        let news2 = News2View {
            score_text: text(),
            spoken_text: text(),
            level: News2Level::Low,
            level_text: text(),
            scale_text: some(),
            lacking_text: some(),
            not_for_text: None,
            since_text: some(),
            good_for_s: None,
            parts: Vec::new(),
            trend: Vec::new(),
        };
        Sheet {
            row: PatientRowView {
                patient: text(),
                name: text(),
                born_text: text(),
                gender_text: text(),
                number_text: text(),
                place_text: text(),
                bed: text(),
                reason_text: some(),
                stay_text: some(),
                news2: None,
                acuity: some(),
                match_text: some(),
                similar_name: true,
                allergy_text: text(),
                flags: vec![text()],
                critical_text: some(),
                restricted: false,
                deceased_text: some(),
            },
            card: EmergencyCardView {
                access_id: text(),
                frame_text: text(),
                broken: None,
                age,
                elapsed_ms: 0.0,
                banner: BannerView {
                    patient: text(),
                    name: text(),
                    born_text: text(),
                    gender_text: text(),
                    number_label: text(),
                    number_text: text(),
                    place_text: text(),
                    weight_text: some(),
                    deceased_text: some(),
                    age_text: some(),
                    similar_name: true,
                },
                allergies: AllergyStripView {
                    patient: text(),
                    state: AllergyStripState::Known,
                    label: text(),
                    items: vec![allergy],
                    refuted: vec![RefutedView {
                        agent: text(),
                        detail_text: text(),
                        by_text: text(),
                        why_text: some(),
                        unsent_text: some(),
                        source: None,
                        standing: String::new(),
                    }],
                    negatives: vec![text()],
                    conflict_text: some(),
                    updated_text: some(),
                    disputes: Vec::new(),
                },
                medications: block(vec![medicine_of(status)]),
                recently_stopped: vec![medicine_of(status)],
                conditions: line(),
                code_status: line(),
                devices: line(),
                vitals: block(vec![measured.clone()]),
                news2: block(vec![news2]),
                labs: block(vec![measured]),
                blood_group: line(),
                isolation: line(),
                flags: line(),
                contacts: block(Vec::new()),
                entries: vec![EntryView {
                    id: text(),
                    patient: text(),
                    name_text: None,
                    section: text(),
                    state: vitrine_wire::entry_view::EntryState::Queued,
                    state_text: text(),
                    title: text(),
                    lines: vec![text()],
                    at_text: text(),
                    by_text: text(),
                    reason_text: None,
                    may_settle: false,
                }],
                full_chart_available: false,
                withheld_text: None,
            },
        }
    }

    fn words(packet: &Packet) -> String {
        let mut setter = Setter::new().unwrap();
        let mut pages = packet.list(&mut setter, &[2]);
        for each in &packet.sheets {
            pages.extend(sheet_pages(
                &mut setter,
                each,
                &say!("patient {n}", "Patient {n}", n = 1),
            ));
        }
        pages.iter().flat_map(Page::words).collect::<Vec<_>>().join("\n")
    }

    fn packet(sheets: Vec<Sheet>) -> Packet {
        let left_out = sheets.iter().map(|s| LeftOut {
            row: s.row.clone(),
            why: "7".to_owned(),
        });
        Packet {
            ward: "7".to_owned(),
            made: "7".to_owned(),
            age: "7".to_owned(),
            training: true,
            incomplete: some(),
            left_out: left_out.collect(),
            sheets,
        }
    }

    /// The marks of the pseudo-locale, and what is without them.
    fn untranslated(words: &str) -> String {
        let mut depth = 0_usize;
        let outside = |c: &char| {
            match c {
                '⟦' => depth += 1,
                '⟧' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        };
        words
            .chars()
            .filter(outside)
            .filter(|c| c.is_alphabetic())
            .collect()
    }

    #[test]
    fn every_word_of_a_packet_is_in_the_language_that_is_spoken() {
        speaking(Language::Pseudo, || {
            for all in [packet(vec![sheet("7")]), packet(Vec::new())] {
                let words = words(&all);
                // The score is called so everywhere.
                let words = words.replace("NEWS2 7", "");
                assert_eq!(untranslated(&words), "", "{words}");
            }
        });
    }

    #[test]
    fn s10_a_vital_sign_without_a_flag_of_its_own_is_marked_by_its_points() {
        for (flag, shape, said) in [("", "", "NEWS2 3"), ("H", "▲", "▲H")] {
            let mut sheet = sheet("active");
            sheet.card.vitals.items[0].flag = flag.to_owned();
            sheet.card.vitals.items[0].flag_shape = shape.to_owned();
            sheet.card.vitals.items[0].points_text = Some("NEWS2 3".to_owned());
            let words = words(&packet(vec![sheet]));
            for each in ["NEWS2 3", "▲H"] {
                assert_eq!(words.contains(each), each == said, "{flag}: {words}");
            }
        }
    }

    #[test]
    fn a_german_packet_needs_no_font_of_the_machine_and_has_no_column_rr() {
        speaking(Language::German, || {
            let all = packet(vec![sheet("aktiv")]);
            assert_eq!(all.print().unwrap().without_font, 0);
            let words = words(&all);
            assert!(words.contains("1 von 2 Patienten der Station"), "{words}");
            assert!(words.contains("AKTUELLE MEDIKAMENTE: 1"), "{words}");
            assert!(!words.contains("aktiv"), "what is simply taken needs no word");
            assert!(!words.split_whitespace().any(|w| w == "RR"), "{words}");
        });
        let english = words(&packet(vec![sheet("active")]));
        assert!(english.contains("ACTIVE MEDICINES: 1"), "{english}");
        assert!(!english.contains("active"), "{english}");
    }
}
