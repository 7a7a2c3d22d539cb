//! The emergency card as shown.

use super::blocks::Words;
use super::news2::Marks;
use crate::entry::{self, Pending};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::{say, word};
use vitrine_wire::view::{BrokenGlassView, EmergencyCardView, SectionAge};

/// What is looked through for a card.
pub(super) fn essentials() -> &'static str {
    word!(
        "essentials on this workstation",
        "Notfalldaten an diesem Arbeitsplatz"
    )
}

/// Says that entries are left out, so that nobody takes a part for the whole: how many, where the whole record was looked
/// through. `None` when none are.
pub(crate) fn withheld_text(n: Option<u64>, on_card: bool, breaking_helps: bool) -> Option<String> {
    let said = match n {
        Some(1) => word!(
            "1 entry is withheld by confidentiality.",
            "1 Eintrag wird wegen Vertraulichkeit nicht gezeigt."
        )
        .to_owned(),
        Some(n) if n > 0 => say!(
            "{n} entries are withheld by confidentiality.",
            "{n} Einträge werden wegen Vertraulichkeit nicht gezeigt."
        ),
        _ if on_card => word!(
            "Entries are withheld by confidentiality.",
            "Einträge werden wegen Vertraulichkeit nicht gezeigt."
        )
        .to_owned(),
        _ => return None,
    };
    let opens = word!(
        "Emergency access (Ctrl+F12) shows them.",
        "Der Notfallzugriff (Strg+F12) zeigt sie."
    );
    Some(if breaking_helps {
        format!("{said} {opens}")
    } else {
        said
    })
}

/// What stands around the card.
pub(crate) struct Frame {
    pub(crate) access_id: String,
    pub(crate) text: String,
    pub(crate) broken: Option<BrokenGlassView>,
    pub(crate) age: SectionAge,
    pub(crate) full_chart: bool,
    /// Recorded here about this patient; `None` = that cannot be read.
    pub(crate) pending: Option<Vec<Pending>>,
}

/// The view of a card; `None` = it is here and cannot be read: every block says so.
pub(crate) fn card_view(w: &Words<'_>, card: Option<&EmergencyCard>, mut frame: Frame) -> EmergencyCardView {
    let as_of = frame.age.as_of_ms;
    let pending = frame.pending.take();
    let mut view = recorded(w, card, frame);
    let Some(pending) = pending else {
        entry::unread_onto_strip(&mut view.allergies);
        return view;
    };
    let pending: Vec<Pending> = pending
        .into_iter()
        .filter(|p| !p.is_in(as_of, &|key| entry::on_card(card, key)))
        .collect();
    entry::onto_strip(&mut view.allergies, &pending, w);
    view.entries = pending.iter().map(|p| p.view(w, None, false)).collect();
    view
}

fn recorded(w: &Words<'_>, card: Option<&EmergencyCard>, frame: Frame) -> EmergencyCardView {
    let Some(c) = card.filter(|c| c.patient == *w.patient) else {
        return unreadable(w, frame);
    };
    let looked_at = essentials();
    let marks = Marks::new(Some(c), None, w.clock);
    EmergencyCardView {
        access_id: frame.access_id,
        frame_text: frame.text,
        broken: frame.broken,
        age: frame.age,
        elapsed_ms: 0.0,
        banner: w.banner(c),
        allergies: w.allergies(&c.allergies),
        medications: w.of_block(&c.medications, looked_at, |m| w.medication(m)),
        recently_stopped: c.recently_stopped.iter().map(|m| w.medication(m)).collect(),
        conditions: w.of_block(&c.conditions, looked_at, |m| w.condition(m)),
        code_status: w.of_block(&c.code_status, looked_at, |m| w.statement(m)),
        devices: w.of_block(&c.devices, looked_at, |m| w.statement(m)),
        vitals: w.of_block(&c.vitals, looked_at, |m| marks.on(w.measured(m), m)),
        news2: w.news2(c, None, looked_at),
        labs: w.of_block(&c.labs, looked_at, |m| w.measured(m)),
        blood_group: w.of_block(&c.blood_group, looked_at, |m| w.statement(m)),
        isolation: w.of_block(&c.isolation, looked_at, |m| w.statement(m)),
        flags: w.of_block(&c.flags, looked_at, |m| w.statement(m)),
        contacts: w.of_block(&c.contacts, looked_at, |m| w.contact(m)),
        entries: Vec::new(),
        full_chart_available: frame.full_chart,
        withheld_text: withheld_text(None, c.withheld, true),
    }
}

fn unreadable(w: &Words<'_>, frame: Frame) -> EmergencyCardView {
    EmergencyCardView {
        access_id: frame.access_id,
        frame_text: frame.text,
        broken: frame.broken,
        age: frame.age,
        elapsed_ms: 0.0,
        banner: w.bare_banner(),
        allergies: w.allergies_unavailable(),
        medications: w.unavailable(),
        recently_stopped: Vec::new(),
        conditions: w.unavailable(),
        code_status: w.unavailable(),
        devices: w.unavailable(),
        vitals: w.unavailable(),
        news2: w.unavailable(),
        labs: w.unavailable(),
        blood_group: w.unavailable(),
        isolation: w.unavailable(),
        flags: w.unavailable(),
        contacts: w.unavailable(),
        entries: Vec::new(),
        full_chart_available: frame.full_chart,
        withheld_text: None,
    }
}
