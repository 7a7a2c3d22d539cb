//! Blocks of a card or a chart as the screen shows them: ready words, one formatter for every screen.
//!
//! Every block carries the patient it was read for (screens.md S8). A block that cannot be read says so; it is never
//! an empty list.

use super::{codes, when};
use crate::clock::Clock;
use crate::entry::allergy;
use vitrine_clinical::card::{
    AllergyBlock, AllergyItem, AllergyState, Block, BlockState, ConditionItem, ContactItem, EmergencyCard,
    HighRisk, MeasuredItem, MedicationItem, NegativeStatement, StatementItem, shown,
};
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::format::{self, ResultFlag};
use vitrine_clinical::summary::Earlier;
use vitrine_clinical::{PatientId, UtcMs, say, word};
use vitrine_wire::view::{
    AllergyStripState, AllergyStripView, AllergyView, BannerView, BlockView, BlockViewState, EarlierView,
    LineView, MeasuredView, MedicationView,
};

/// What stands on the strip where allergies could not be read.
pub(crate) fn allergies_unavailable() -> &'static str {
    word!(
        "ALLERGIES UNAVAILABLE — treat as unknown",
        "ALLERGIEN NICHT VERFÜGBAR — als unbekannt behandeln"
    )
}

/// What is said where something could not be read. Begins with the word of that age, as the screen has it.
pub(crate) fn unavailable() -> &'static str {
    word!(
        "Unavailable — treat as unknown",
        "Nicht verfügbar — als unbekannt behandeln"
    )
}

/// What a patient's number is called.
pub(crate) fn number_label() -> &'static str {
    word!("MRN", "Pat.-Nr.")
}

/// What the strip says of what speaks against it.
fn conflict(a: &AllergyBlock) -> Option<String> {
    let none_known = word!(
        "Conflict: the record also states that there are no known allergies. Treat as allergic.",
        "Widerspruch: In der Akte steht auch, dass keine Allergien bekannt sind. Als allergisch behandeln."
    );
    let unread = word!(
        "Changes of allergies cannot be read here: they may contradict each other.",
        "Änderungen von Allergien sind hier nicht lesbar: Sie können einander widersprechen."
    );
    let parts: Vec<&str> = [(a.conflict, none_known), (a.changes.is_none(), unread)]
        .into_iter()
        .filter_map(|(so, text)| so.then_some(text))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Makes views for one patient.
pub(crate) struct Words<'a> {
    pub(crate) patient: &'a PatientId,
    pub(crate) clock: &'a Clock,
}

impl Words<'_> {
    fn zone(&self, at: UtcMs) -> i32 {
        self.clock.zone_minutes(at)
    }
    pub(crate) fn date(&self, at: UtcMs) -> String {
        format::date(at, self.zone(at))
    }
    pub(crate) fn date_time(&self, at: UtcMs) -> String {
        format::date_time_in(at, &|at| self.zone(at))
    }
    pub(crate) fn partial(&self, text: &str) -> String {
        format::partial_date_in(text, &|at| self.zone(at))
    }

    /// A block of entries. `looked_at` says what was looked through when there are none.
    pub(crate) fn block<T>(&self, items: Vec<T>, as_of: Option<UtcMs>, looked_at: &str) -> BlockView<T> {
        let state = if items.is_empty() {
            BlockViewState::NotRecorded
        } else {
            BlockViewState::Recorded
        };
        BlockView {
            patient: self.patient.to_string(),
            state,
            empty_text: if items.is_empty() {
                format!("{} ({looked_at})", format::not_recorded())
            } else {
                String::new()
            },
            items,
            as_of_text: as_of.map(|at| say!("as of {at}", "Stand {at}", at = self.date_time(at))),
        }
    }

    /// A block that could not be read.
    pub(crate) fn unavailable<T>(&self) -> BlockView<T> {
        BlockView {
            patient: self.patient.to_string(),
            state: BlockViewState::Unavailable,
            empty_text: unavailable().to_owned(),
            items: Vec::new(),
            as_of_text: None,
        }
    }

    pub(crate) fn of_block<T, U>(
        &self,
        block: &Block<T>,
        looked_at: &str,
        show: impl Fn(&T) -> U,
    ) -> BlockView<U> {
        if block.state == BlockState::Unavailable {
            return self.unavailable();
        }
        self.block(block.items.iter().map(show).collect(), block.as_of, looked_at)
    }

    pub(crate) fn banner(&self, card: &EmergencyCard) -> BannerView {
        use super::rows;
        let id = card.identity.as_ref();
        let now = self.clock.now();
        let birth = id.and_then(|i| i.birth_date.as_deref()).map(PartialDate::new);
        BannerView {
            patient: self.patient.to_string(),
            name: rows::name_text(id),
            born_text: rows::born_text(id, self.clock),
            gender_text: format::gender(id.and_then(|i| i.sex.as_deref())),
            number_label: number_label().to_owned(),
            number_text: rows::number_text(id),
            place_text: rows::place_text(card.place.as_ref()),
            weight_text: card.weight.items.first().map(|w| self.dated_value(w)),
            deceased_text: rows::deceased_text(id, self.clock),
            age_text: birth.as_ref().and_then(|b| format::age(b, now, self.zone(now))),
            similar_name: false,
        }
    }

    /// The banner of a patient whose card cannot be read: nothing is guessed.
    pub(crate) fn bare_banner(&self) -> BannerView {
        let unknown = word!("Unavailable", "Nicht verfügbar").to_owned();
        BannerView {
            patient: self.patient.to_string(),
            name: word!("Name unavailable", "Name nicht verfügbar").to_owned(),
            born_text: unknown.clone(),
            gender_text: unknown.clone(),
            number_label: number_label().to_owned(),
            number_text: unknown.clone(),
            place_text: unknown,
            weight_text: None,
            deceased_text: None,
            age_text: None,
            similar_name: false,
        }
    }

    fn dated_value(&self, m: &MeasuredItem) -> String {
        let value = format::Measured::new(m.value.as_str(), m.unit.as_deref()).to_string();
        match m.at {
            Some(at) => format!("{} ({})", value.trim(), self.date(at)),
            None => value.trim().to_owned(),
        }
    }

    pub(crate) fn allergies(&self, a: &AllergyBlock) -> AllergyStripView {
        let (state, label) = match a.state {
            AllergyState::Known => (AllergyStripState::Known, known_allergies()),
            AllergyState::NoneKnown => (AllergyStripState::NoneKnown, no_known_allergies()),
            AllergyState::NotRecorded => (
                AllergyStripState::NotRecorded,
                word!("ALLERGIES NOT RECORDED", "ALLERGIEN NICHT DOKUMENTIERT"),
            ),
            AllergyState::Unavailable => return self.allergies_unavailable(),
        };
        AllergyStripView {
            patient: self.patient.to_string(),
            state,
            label: label.to_owned(),
            items: a.items.iter().map(|i| self.allergy(i)).collect(),
            refuted: allergy::refuted(self, a),
            negatives: a
                .negatives
                .iter()
                .filter(|n| n.refuted_agent().is_none())
                .map(|n| self.negative(n))
                .collect(),
            conflict_text: conflict(a),
            updated_text: a
                .as_of
                .map(|at| say!("updated {at}", "aktualisiert {at}", at = self.date(at))),
            disputes: allergy::disputes(self, a),
        }
    }

    pub(crate) fn allergies_unavailable(&self) -> AllergyStripView {
        AllergyStripView {
            patient: self.patient.to_string(),
            state: AllergyStripState::Unavailable,
            label: allergies_unavailable().to_owned(),
            items: Vec::new(),
            refuted: Vec::new(),
            negatives: Vec::new(),
            conflict_text: None,
            updated_text: None,
            disputes: Vec::new(),
        }
    }

    fn allergy(&self, a: &AllergyItem) -> AllergyView {
        let mut detail = if a.reactions.is_empty() {
            shown::reaction_not_recorded().to_owned()
        } else {
            a.reactions.join(" + ")
        };
        if let Some(severity) = &a.severity {
            detail.push_str(&format!(", {}", shown::severity(severity)));
        }
        if let Some(since) = &a.since {
            detail.push_str(&format!(" ({})", self.partial(since)));
        }
        AllergyView {
            agent: shown::line(&a.agent).into_owned(),
            detail_text: detail,
            coded: a.coded,
            dangerous: a.dangerous,
            verification_text: a
                .verification
                .as_deref()
                .filter(|v| *v != "confirmed")
                .map(|v| shown::stands(v).to_owned()),
            unsent_text: None,
            disputed_text: a.disputed.then(|| allergy::disputed().to_owned()),
            source: (!a.disputed).then(|| a.source.to_string()),
            standing: allergy::code(&a.stands()),
        }
    }

    fn negative(&self, n: &NegativeStatement) -> String {
        let who = [n.by.clone(), n.at.map(|at| self.date_time(at))]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        let who = if who.is_empty() {
            allergy::nobody().to_owned()
        } else {
            who.join(", ")
        };
        format!("{} — {who}", shown::line(&n.text))
    }

    pub(crate) fn medication(&self, m: &MedicationItem) -> MedicationView {
        MedicationView {
            name: shown::line(&m.name).into_owned(),
            dose: m.dose.clone(),
            details: m.route.iter().chain(&m.frequency).cloned().collect(),
            status_text: match (m.status.as_str(), m.stopped) {
                // The screen knows it by these words: `views/chart/Medicines.svelte`.
                ("on-hold", _) => word!("on hold", "pausiert").to_owned(),
                (ended @ ("stopped" | "completed"), Some(at)) => {
                    format!("{} {}", codes::status(ended), self.date(at))
                }
                (status, _) => codes::status(status).to_owned(),
            },
            start_text: m
                .start
                .as_deref()
                .map(|s| say!("started {at}", "begonnen {at}", at = self.partial(s))),
            high_risk_text: m.high_risk.map(|h| high_risk(h).to_owned()),
            suspended: m.status == "on-hold",
            reported: m.reported,
            at_ms: m.stopped.map(|at| at.0),
            at_year: m.stopped.map(|at| when::year(at, self.clock)),
        }
    }

    pub(crate) fn condition(&self, c: &ConditionItem) -> LineView {
        let notes = [
            c.clinical_status
                .as_deref()
                .filter(|s| *s != "active")
                .map(|s| codes::problem(s).to_owned()),
            c.verification
                .as_deref()
                .filter(|v| *v != "confirmed")
                .map(|v| codes::problem(v).to_owned()),
            c.since
                .as_deref()
                .map(|s| say!("since {at}", "seit {at}", at = self.partial(s))),
        ];
        LineView {
            text: shown::line(&c.text).into_owned(),
            detail_text: joined(notes),
            at_ms: None,
            at_year: None,
        }
    }

    pub(crate) fn statement(&self, s: &StatementItem) -> LineView {
        LineView {
            text: shown::line(&s.text).into_owned(),
            detail_text: joined([s.at.map(|at| self.date(at)), s.by.clone(), None]),
            at_ms: None,
            at_year: None,
        }
    }

    pub(crate) fn contact(&self, c: &ContactItem) -> LineView {
        LineView {
            text: shown::line(&c.name).into_owned(),
            detail_text: joined([c.relationship.clone(), c.phone.clone(), None]),
            at_ms: None,
            at_year: None,
        }
    }

    pub(crate) fn measured(&self, m: &MeasuredItem) -> MeasuredView {
        let flag = ResultFlag::of(m.interpretation.as_deref());
        MeasuredView {
            label: m.name().to_owned(),
            value: m.value.clone(),
            unit: format::Measured::new(m.value.as_str(), m.unit.as_deref())
                .unit()
                .unwrap_or_default(),
            flag: flag.text().to_owned(),
            flag_shape: flag.shape().to_owned(),
            points_text: None,
            points: None,
            range_text: m.range.clone(),
            at_text: m.at.map_or_else(
                || word!("time not recorded", "Zeit nicht dokumentiert").to_owned(),
                |at| self.date_time(at),
            ),
            status_text: Some(m.status.as_str())
                .filter(|s| *s != "final")
                .map(|s| codes::status(s).to_owned()),
            earlier: Vec::new(),
        }
    }

    /// What a result said before. `at`: when the value that stands there now was measured.
    pub(crate) fn earlier(&self, e: &Earlier, at: Option<UtcMs>) -> EarlierView {
        let was = self.measured(&e.item);
        let measured = (e.item.at != at).then(|| say!("measured {at}", "gemessen {at}", at = was.at_text));
        let until = e.replaced.map_or_else(
            || word!("shown before", "früher angezeigt").to_owned(),
            |at| say!("shown until {at}", "angezeigt bis {at}", at = self.date_time(at)),
        );
        EarlierView {
            value: was.value,
            unit: was.unit,
            flag: was.flag,
            until_text: joined([measured, was.status_text, Some(until)]).unwrap_or_default(),
            reason_text: e.reason.as_ref().map_or_else(
                || word!("no reason given", "kein Grund angegeben").to_owned(),
                |r| say!("reason: {r}", "Grund: {r}"),
            ),
        }
    }
}

fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let all = parts.into_iter().flatten().collect::<Vec<_>>();
    (!all.is_empty()).then(|| all.join(", "))
}

fn high_risk(h: HighRisk) -> &'static str {
    match h {
        HighRisk::Anticoagulant => word!("anticoagulant", "Antikoagulans"),
        HighRisk::Insulin => word!("insulin", "Insulin"),
        HighRisk::Opioid => word!("opioid", "Opioid"),
        HighRisk::Antiarrhythmic => word!("antiarrhythmic", "Antiarrhythmikum"),
        HighRisk::Immunosuppressant => word!("immunosuppressant", "Immunsuppressivum"),
    }
}

/// The strip's words where there are allergies.
pub(crate) fn known_allergies() -> &'static str {
    word!("KNOWN ALLERGIES", "BEKANNTE ALLERGIEN")
}

/// Where somebody said that there are none. The screen knows a board's row by these words: `shared/PatientTable.svelte`.
pub(crate) fn no_known_allergies() -> &'static str {
    word!("NO KNOWN ALLERGIES", "KEINE BEKANNTEN ALLERGIEN")
}
