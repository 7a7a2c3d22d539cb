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
            .map(|(i, sheet)| sheet_pages(&mut setter, sheet, &format!("patient {} of {of}, ", i + 1)))
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
        const COLUMNS: [(&str, f32); 6] = [
            ("Bed", 44.0),
            ("Patient", 150.0),
            ("Born, gender", 92.0),
            ("MRN", 74.0),
            ("Allergies, flags", 113.28),
            ("Page", 50.0),
        ];
        let mut flow = Flow::new(setter, String::new());
        flow.text(
            &[strong("Downtime packet: "), outside(&self.ward, true)],
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
            &[own(format!(
                "{} of {all} patients of the ward are printed on pages of their own.",
                self.sheets.len()
            ))],
            TEXT,
            0.0,
        );
        if let Some(words) = &self.incomplete {
            flow.text(&[strong(words.as_str())], TEXT, 0.0);
        }
        flow.gap(8.0);
        let heads = COLUMNS.map(|(head, width)| (width, vec![own(head)]));
        flow.row(&heads, 8.0);
        flow.head_ends();
        let printed = self
            .sheets
            .iter()
            .zip(begins)
            .map(|(s, page)| (&s.row, page.to_string()));
        let not = self
            .left_out
            .iter()
            .map(|l| (&l.row, format!("not printed: {}", l.why)));
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
            let cells: Vec<(f32, Vec<Span>)> = COLUMNS.iter().map(|(_, w)| *w).zip(cells).collect();
            flow.row(&cells, SMALL);
        }
        if all == 0 {
            flow.text(
                &[own("No patient of this ward is on this workstation.")],
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
        out.push(own(" (similar name on this ward)"));
    }
    out.extend(row.deceased_text.iter().map(|t| own(format!(" ({t})"))));
    out
}

fn flags(row: &PatientRowView) -> Vec<Span> {
    // "NOT RECORDED" alone could be about anything.
    let what = if row.allergy_text.contains("ALLERG") {
        ""
    } else {
        "ALLERGIES "
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
        name.push(own("   ▲ similar name on this ward"));
    }
    flow.text(&name, NAME, 0.0);
    let mut who = vec![
        own("Born "),
        strong(b.born_text.as_str()),
        own("    Gender "),
        strong(b.gender_text.as_str()),
        own(format!("    {} ", b.number_label)),
        outside(&b.number_text, true),
    ];
    if let Some(weight) = &b.weight_text {
        who.extend([own("    Weight "), strong(weight.as_str())]);
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
    entries(&mut flow, &card.entries);
    medicines(&mut flow, "ACTIVE MEDICINES", &card.medications);
    if !card.recently_stopped.is_empty() {
        heading(&mut flow, "RECENTLY STOPPED (7 d)", None);
        for m in &card.recently_stopped {
            medicine(&mut flow, m);
        }
    }
    lines(&mut flow, "CODE STATUS", &card.code_status);
    lines(&mut flow, "PROBLEMS", &card.conditions);
    lines(&mut flow, "DEVICES", &card.devices);
    measures(&mut flow, "VITAL SIGNS", &card.vitals, &card.news2.items);
    measures(&mut flow, "KEY LABS", &card.labs, &[]);
    lines(&mut flow, "BLOOD GROUP", &card.blood_group);
    lines(&mut flow, "ISOLATION", &card.isolation);
    lines(&mut flow, "FLAGS", &card.flags);
    lines(&mut flow, "CONTACTS", &card.contacts);
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
        "Could not be read: treat as unknown"
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
            spans.push(own(" (NOT CHECKED: free text)"));
        }
        spans.extend(item.verification_text.iter().map(|t| own(format!(" ({t})"))));
        for mark in [&item.disputed_text, &item.unsent_text].into_iter().flatten() {
            spans.extend([own(" ["), outside(mark, true), own("]")]);
        }
        flow.text(&spans, 12.0, indent);
    }
    for said in &a.negatives {
        flow.text(&[outside(said, false)], TEXT, indent);
    }
    if let Some(conflict) = &a.conflict_text {
        flow.text(&[strong(conflict.as_str())], TEXT, indent);
    }
    if a.items.is_empty() && a.state == AllergyStripState::Unavailable {
        flow.text(&[strong("Treat as unknown")], TEXT, indent);
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
        &format!("RECORDED AT THIS WORKSTATION, NOT IN THE RECORD: {}", all.len()),
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

/// A medicine line (CUI MEDi-051): name, dose, the rest with dashes between.
fn medicine(flow: &mut Flow<'_>, m: &MedicationView) {
    let mut spans = Vec::new();
    if m.high_risk_text.is_some() {
        spans.push(strong("▲ "));
    }
    spans.push(outside(&m.name, true));
    if let Some(dose) = &m.dose {
        spans.extend([own(" — DOSE "), outside(dose, true)]);
    }
    for detail in &m.details {
        spans.extend([own(" — "), outside(detail, false)]);
    }
    let mut more: Vec<String> = m.high_risk_text.iter().cloned().collect();
    if m.suspended || m.status_text != "active" {
        more.push(m.status_text.clone());
    }
    more.extend(m.start_text.iter().cloned());
    if m.reported {
        more.push("reported, not ordered here".to_owned());
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
        }
        spans.extend(m.status_text.iter().map(|t| strong(format!(" ({t})"))));
        spans.push(own(format!(" ({})", m.at_text)));
    }
    flow.text(&spans, TEXT, 0.0);
}

/// Room to write on while there is no computer; entered afterwards.
fn by_hand(flow: &mut Flow<'_>) {
    const HEADS: [(&str, f32); 10] = [
        ("Date, time", 74.0),
        ("HR", 38.0),
        ("BP", 54.0),
        ("RR", 36.0),
        ("SpO2", 40.0),
        ("O2", 44.0),
        ("Temp", 42.0),
        ("AVPU", 40.0),
        (
            "Given, done, seen",
            WIDTH - 74.0 - 38.0 - 54.0 - 36.0 - 40.0 - 44.0 - 42.0 - 40.0 - 54.0,
        ),
        ("Initials", 54.0),
    ];
    const ROW: f32 = 22.0;
    flow.gap(8.0);
    flow.keep(12.0 + 14.0 + 4.0 * ROW);
    flow.text(
        &[strong("BY HAND DURING THE DOWNTIME (to be entered afterwards)")],
        8.5,
        0.0,
    );
    // As many as there is room for: what is written here stands with who it is about.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rows = ((flow.room() - 16.0) / ROW).floor().clamp(1.0, 14.0) as usize;
    flow.form(&HEADS, rows, ROW);
}
