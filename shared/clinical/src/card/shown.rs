//! What this program itself wrote into a card, in the language that is spoken.
//!
//! A card is made by the server and kept, and what is read of it goes back with a change: its words are English, and are compared in
//! English. Here they are said as a person reads them. Only whole phrases of our own are known; the words of a record stay as they are.
//! Called by whatever shows a card or a chart.

use super::MeasuredItem;
use super::allergy::REFUTED;
use super::dispute::GONE;
use super::measured::{LABS, VITALS, WEIGHTS};
use crate::summary::MeasuredSeries;
use crate::{say, word};
use std::borrow::Cow;

/// The label of a vital sign or a laboratory value of the tables here. Never of a record's own: what a German site calls "RR" is a blood
/// pressure, and the label "RR" here is a respiratory rate. For that reason German has no "RR" at all.
#[must_use]
pub fn label(label: &str) -> &str {
    match label {
        "HR" => word!("HR", "HF"),
        "Pulse" => word!("Pulse", "Puls"),
        "BP" => word!("BP", "BD"),
        "SBP" => word!("SBP", "BD syst."),
        "DBP" => word!("DBP", "BD diast."),
        "RR" => word!("RR", "AF"),
        "CVP" => word!("CVP", "ZVD"),
        "Pain" => word!("Pain", "Schmerz"),
        "Weight" => word!("Weight", "Gewicht"),
        "Weight (estimated)" => word!("Weight (estimated)", "Gewicht (geschätzt)"),
        "Weight (stated)" => word!("Weight (stated)", "Gewicht (angegeben)"),
        "Creatinine" => word!("Creatinine", "Kreatinin"),
        "Platelets" => word!("Platelets", "Thrombozyten"),
        "WBC" => word!("WBC", "Leukozyten"),
        "Lactate" => word!("Lactate", "Laktat"),
        "Glucose" => word!("Glucose", "Glukose"),
        other => other,
    }
}

impl MeasuredItem {
    /// Its label as it is read.
    #[must_use]
    pub fn name(&self) -> &str {
        let ours = match self.code.as_deref() {
            Some(code) => [VITALS, WEIGHTS, LABS]
                .into_iter()
                .flatten()
                .any(|(label, codes)| *label == self.label && codes.contains(&code)),
            // A blood pressure that was put together.
            None => self.label == "BP" && self.value.contains('/'),
        };
        match self.label.as_str() {
            "Result without a name" => word!("Result without a name", "Befund ohne Namen"),
            of_a_table if ours => label(of_a_table),
            of_the_record => of_the_record,
        }
    }
}

impl MeasuredSeries {
    /// Its label as it is read.
    #[must_use]
    pub fn name(&self) -> &str {
        // Only the series of the tables have their label for a key.
        if self.key == self.label {
            label(&self.label)
        } else {
            &self.label
        }
    }
}

/// A line of a card: an agent, a medicine, a problem, a statement, whom to call.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    let whole = match text {
        "Agent not recorded" => word!("Agent not recorded", "Allergen nicht dokumentiert"),
        "Agent withheld in the record" => {
            word!(
                "Agent withheld in the record",
                "Allergen in der Akte nicht offengelegt"
            )
        }
        "Medicine not recorded" => word!("Medicine not recorded", "Medikament nicht dokumentiert"),
        "Problem not named" => word!("Problem not named", "Diagnose nicht benannt"),
        "Advance directive" => word!("Advance directive", "Patientenverfügung"),
        "Device not named" => word!("Device not named", "Gerät nicht benannt"),
        "No known allergy" => word!("No known allergy", "Keine bekannten Allergien"),
        "Not recorded" => crate::format::not_recorded(),
        _ => "",
    };
    if !whole.is_empty() {
        return Cow::Borrowed(whole);
    }
    if let Some(what) = text.strip_suffix(REFUTED) {
        let what = line(what);
        return Cow::Owned(say!("{what}: refuted", "{what}: widerlegt"));
    }
    if let Some(what) = text.strip_suffix(": not taken") {
        let what = line(what);
        return Cow::Owned(say!("{what}: not taken", "{what}: wird nicht eingenommen"));
    }
    if let Some(what) = text.strip_prefix("Do NOT perform: ") {
        return Cow::Owned(say!("Do NOT perform: {what}", "NICHT durchführen: {what}"));
    }
    if let Some(what) = text.strip_prefix("Code status: ") {
        return Cow::Owned(say!("Code status: {what}", "Reanimationsstatus: {what}"));
    }
    if let Some(site) = text.strip_prefix("Device not named, ") {
        return Cow::Owned(say!("Device not named, {site}", "Gerät nicht benannt, {site}"));
    }
    // What a directive says of something.
    if let Some((named, what)) = text.split_once(" (deny: ") {
        let named = line(named);
        return Cow::Owned(say!("{named} (deny: {what}", "{named} (abgelehnt: {what}"));
    }
    if let Some((named, what)) = text.split_once(" (permit: ") {
        let named = line(named);
        return Cow::Owned(say!("{named} (permit: {what}", "{named} (gestattet: {what}"));
    }
    Cow::Borrowed(text)
}

/// How an allergy stands ([`super::dispute::stands`], [`super::AllergyItem::stands`]), or how sure a problem is.
#[must_use]
pub fn stands(words: &str) -> &str {
    match words {
        "confirmed" => word!("confirmed", "bestätigt"),
        "unconfirmed" => word!("unconfirmed", "unbestätigt"),
        "presumed" => word!("presumed", "vermutet"),
        "provisional" => word!("provisional", "vorläufig"),
        "differential" => word!("differential", "Differenzialdiagnose"),
        "refuted" => word!("refuted", "widerlegt"),
        "entered in error" => word!("entered in error", "irrtümlich eingetragen"),
        "inactive" => word!("inactive", "nicht mehr aktiv"),
        "resolved" => word!("resolved", "besteht nicht mehr"),
        "certainty not recorded" => word!("certainty not recorded", "Gewissheit nicht dokumentiert"),
        "not recorded" => word!("not recorded", "nicht dokumentiert"),
        GONE => word!("no longer in the record", "nicht mehr in der Akte"),
        other => other,
    }
}

/// How bad a reaction was, or how dangerous another one would be, by its code.
#[must_use]
pub fn severity(code: &str) -> &str {
    match code {
        "mild" => word!("mild", "leicht"),
        "moderate" => word!("moderate", "mittelschwer"),
        "severe" => word!("severe", "schwer"),
        "life-threatening" => word!("life-threatening", "lebensbedrohlich"),
        // A criticality.
        "high" => word!("high", "Kritikalität hoch"),
        "low" => word!("low", "Kritikalität niedrig"),
        other => other,
    }
}

/// Reactions with their severity ([`super::AllergyItem::reacted`]): "hives + wheeze, severe".
#[must_use]
pub fn reacted(words: &str) -> Cow<'_, str> {
    let (what, bad) = match words.rsplit_once(", ") {
        Some((what, code)) if severity(code) != code => (what, Some(severity(code))),
        _ => (words, None),
    };
    let none = what == "reaction not recorded";
    match (none, bad) {
        (false, None) => Cow::Borrowed(words),
        (true, None) => Cow::Borrowed(reaction_not_recorded()),
        (true, Some(bad)) => Cow::Owned(format!("{}, {bad}", reaction_not_recorded())),
        (false, Some(bad)) => Cow::Owned(format!("{what}, {bad}")),
    }
}

/// Said where nothing is known of what happened.
#[must_use]
pub fn reaction_not_recorded() -> &'static str {
    word!("reaction not recorded", "Reaktion nicht dokumentiert")
}

#[cfg(test)]
mod tests {
    use super::super::{allergy, condition, medication};
    use super::*;
    use crate::ResourceKey;
    use crate::language::{Language, speaking};

    fn german<T>(says: impl FnOnce() -> T) -> T {
        speaking(Language::German, says)
    }

    #[test]
    fn what_a_card_says_in_our_words_is_known() {
        for ours in [
            allergy::AGENT_NOT_RECORDED,
            allergy::AGENT_WITHHELD,
            medication::NAME_NOT_RECORDED,
            condition::NOT_NAMED,
            crate::format::NOT_RECORDED,
        ] {
            assert_ne!(german(|| line(ours).into_owned()), ours);
            assert_eq!(line(ours), ours);
        }
        for (english, said) in [
            ("Penicillin: refuted", "Penicillin: widerlegt"),
            (
                "Medicine not recorded: not taken",
                "Medikament nicht dokumentiert: wird nicht eingenommen",
            ),
            (
                "Advance directive (deny: CPR)",
                "Patientenverfügung (abgelehnt: CPR)",
            ),
            ("Do NOT perform: CPR", "NICHT durchführen: CPR"),
            ("Penicillin", "Penicillin"),
        ] {
            assert_eq!(german(|| line(english).into_owned()), said);
            assert_eq!(line(english), english);
        }
    }

    #[test]
    fn reactions_keep_the_words_of_the_record() {
        for (english, said) in [
            ("hives + wheeze, severe", "hives + wheeze, schwer"),
            (
                "reaction not recorded, high",
                "Reaktion nicht dokumentiert, Kritikalität hoch",
            ),
            ("reaction not recorded", "Reaktion nicht dokumentiert"),
            ("rash, itching", "rash, itching"),
        ] {
            assert_eq!(german(|| reacted(english).into_owned()), said);
            assert_eq!(reacted(english), english);
        }
    }

    /// In German "RR" is a blood pressure: what a site calls so is never turned into a respiratory rate, and no label of ours reads "RR".
    #[test]
    fn only_labels_of_the_tables_are_said_otherwise() {
        let item = |code: Option<&str>, value: &str| MeasuredItem {
            source: ResourceKey::new("Observation", "o").unwrap(),
            label: "RR".to_owned(),
            code: code.map(str::to_owned),
            value: value.to_owned(),
            unit: None,
            interpretation: None,
            range: None,
            at: None,
            status: "final".to_owned(),
        };
        assert_eq!(german(|| item(Some("9279-1"), "18").name().to_owned()), "AF");
        assert_eq!(german(|| item(None, "120/80").name().to_owned()), "RR");
        assert_eq!(german(|| item(Some("x"), "120/80").name().to_owned()), "RR");
        assert_eq!(item(Some("9279-1"), "18").name(), "RR");
        let series = |key: &str| MeasuredSeries {
            key: key.to_owned(),
            label: "RR".to_owned(),
            unit: None,
            values: Vec::new(),
            earlier: Vec::new(),
        };
        assert_eq!(german(|| series("RR").name().to_owned()), "AF");
        assert_eq!(german(|| series("urn:local|RR").name().to_owned()), "RR");
        let tables = [VITALS, WEIGHTS, LABS].into_iter().flatten().map(|(l, _)| *l);
        let signals = crate::monitor::SIGNALS.iter().map(|s| s.label);
        for each in tables.chain(signals) {
            assert_ne!(german(|| label(each).to_owned()), "RR");
            assert_eq!(label(each), each);
        }
    }
}
