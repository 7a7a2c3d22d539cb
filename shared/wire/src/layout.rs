//! Role layouts: what a person's screens begin with, and the order of the summary, by the site's configuration (H3).
//!
//! Lives here: the rules as the server signs and sends them, and which one is a person's. Never here: what may be seen. No rule can
//! take anything away: the banner, the allergies, the status line and every part of the summary stand on each screen, and no key
//! changes what it does. Called by the server's configuration and by the engine.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The screen after signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum FirstScreen {
    /// Search for a patient.
    #[default]
    Search,
    /// The board of the workstation's ward.
    Board,
    /// The results inbox.
    Results,
}

/// The section a chart opens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum FirstSection {
    /// The summary.
    #[default]
    Summary,
    /// Medicines.
    Medicines,
    /// Laboratory results.
    Labs,
    /// Vital signs.
    Vitals,
    /// Notes.
    Notes,
    /// The timeline.
    Encounters,
    /// Images.
    Images,
}

/// A part of the summary. The banner and the allergies are none: they have one place, above everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum SummaryPart {
    /// Current medicines.
    Medicines,
    /// Active problems.
    Conditions,
    /// NEWS2.
    News2,
    /// Newest vital signs.
    Vitals,
    /// Newest laboratory results.
    Labs,
    /// Newest notes.
    Notes,
    /// Stays.
    Encounters,
}

/// All parts, in the order they have where no rule says another.
pub const SUMMARY: [SummaryPart; 7] = [
    SummaryPart::Medicines,
    SummaryPart::Conditions,
    SummaryPart::News2,
    SummaryPart::Vitals,
    SummaryPart::Labs,
    SummaryPart::Notes,
    SummaryPart::Encounters,
];

/// Windows of the flowsheet, hours.
pub const WINDOWS: [u8; 5] = [1, 4, 8, 12, 24];

/// One rule: `[[layout]]` of the server's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// Name for those who maintain it, e.g. "ICU nurses".
    pub name: String,
    /// Roles by their names; empty = every role.
    pub roles: Vec<String>,
    /// Wards of workstations by their ids; empty = every ward.
    pub wards: Vec<String>,
    /// The screen after signing in.
    pub first: FirstScreen,
    /// The section a chart opens with.
    pub section: FirstSection,
    /// Parts of the summary, the most important first; those not named follow in their usual order.
    pub summary: Vec<SummaryPart>,
    /// Hours of the flowsheet's window; 0 = the usual one.
    pub hours: u8,
}

/// All rules, as they are signed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layouts {
    /// The first that fits counts.
    pub layouts: Vec<Layout>,
}

/// What counts for a person at a workstation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct LayoutView {
    /// The screen after signing in.
    pub first: FirstScreen,
    /// The section a chart opens with.
    pub section: FirstSection,
    /// All parts of the summary, each once.
    pub summary: Vec<SummaryPart>,
    /// Hours of the flowsheet's window; absent = the usual one.
    pub hours: Option<u8>,
}

impl Default for LayoutView {
    fn default() -> Self {
        Self::of(&Layout::default())
    }
}

impl LayoutView {
    /// By one rule. Nothing is left out, whatever the rule says.
    #[must_use]
    pub fn of(rule: &Layout) -> Self {
        let mut summary: Vec<SummaryPart> = Vec::with_capacity(SUMMARY.len());
        for part in rule.summary.iter().chain(&SUMMARY) {
            if !summary.contains(part) {
                summary.push(*part);
            }
        }
        Self {
            first: rule.first,
            section: rule.section,
            summary,
            hours: WINDOWS.contains(&rule.hours).then_some(rule.hours),
        }
    }
}

impl Layouts {
    /// What counts for a role at a workstation of a ward: the first rule that fits, else what is usual.
    #[must_use]
    pub fn view(&self, role: &str, ward: &str) -> LayoutView {
        let fits = |named: &[String], is: &str| named.is_empty() || named.iter().any(|n| n == is);
        self.layouts
            .iter()
            .find(|l| fits(&l.roles, role) && fits(&l.wards, ward))
            .map_or_else(LayoutView::default, LayoutView::of)
    }

    /// What is wrong with the rules, each with the number of its rule (from 1) and its name. `is_role`: whether a role is known.
    #[must_use]
    pub fn faults(&self, is_role: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut out = Vec::new();
        if self.layouts.len() > MOST {
            out.push(format!("{} layouts: at most {MOST}", self.layouts.len()));
        }
        for (i, l) in self.layouts.iter().enumerate() {
            let mut fault = |text: String| out.push(format!("layout {} \"{}\": {text}", i + 1, l.name));
            if l.name.trim().is_empty() || l.name.chars().count() > NAME {
                fault(format!("name must have 1 to {NAME} characters"));
            }
            for role in l.roles.iter().filter(|r| !is_role(r)) {
                fault(format!("roles: there is no role \"{role}\""));
            }
            for ward in l
                .wards
                .iter()
                .filter(|w| vitrine_clinical::WardId::new(w.as_str()).is_err())
            {
                fault(format!("wards: \"{ward}\" is no ward id"));
            }
            for (n, part) in l.summary.iter().enumerate() {
                if l.summary.iter().take(n).any(|before| before == part) {
                    fault(format!("summary names {part:?} twice"));
                }
            }
            if l.hours != 0 && !WINDOWS.contains(&l.hours) {
                fault(format!("hours must be one of {WINDOWS:?}"));
            }
            let hidden = self.layouts.iter().take(i).find(|before| {
                let all = |a: &[String], b: &[String]| {
                    a.is_empty() || (!b.is_empty() && b.iter().all(|x| a.contains(x)))
                };
                all(&before.roles, &l.roles) && all(&before.wards, &l.wards)
            });
            if let Some(before) = hidden {
                fault(format!(
                    "never counts: \"{}\" stands before it and fits all the same people",
                    before.name
                ));
            }
        }
        out
    }
}

/// Rules at most.
const MOST: usize = 100;
/// Characters of a name at most.
const NAME: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, roles: &[&str], wards: &[&str]) -> Layout {
        let own = |l: &[&str]| l.iter().map(|t| (*t).to_owned()).collect();
        Layout {
            name: name.to_owned(),
            roles: own(roles),
            wards: own(wards),
            ..Layout::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_without_one_what_is_usual() {
        let all = Layouts {
            layouts: vec![
                Layout {
                    first: FirstScreen::Results,
                    ..rule("ICU nurses", &["nurse"], &["ICU"])
                },
                Layout {
                    first: FirstScreen::Board,
                    ..rule("nurses", &["nurse"], &[])
                },
            ],
        };
        for (role, ward, first) in [
            ("nurse", "ICU", FirstScreen::Results),
            ("nurse", "ED", FirstScreen::Board),
            ("physician", "ICU", FirstScreen::Search),
        ] {
            assert_eq!(all.view(role, ward).first, first, "{role} {ward}");
        }
    }

    #[test]
    fn nothing_of_the_summary_can_be_left_out_or_come_twice() {
        use SummaryPart::{Labs, Medicines, Vitals};
        for named in [
            vec![],
            vec![Vitals, Labs],
            vec![Labs, Labs, Medicines],
            SUMMARY.to_vec(),
        ] {
            let view = LayoutView::of(&Layout {
                summary: named.clone(),
                ..Layout::default()
            });
            let mut all = view.summary.clone();
            all.sort_by_key(|p| SUMMARY.iter().position(|s| s == p));
            assert_eq!(all, SUMMARY, "{named:?}");
            assert_eq!(view.summary.first(), named.first().or(Some(&Medicines)));
        }
        // The allergies, the banner and the status line are no parts that a rule could place.
        for part in ["allergies", "banner", "status", "strip"] {
            assert!(
                serde_json::from_str::<SummaryPart>(&format!("\"{part}\"")).is_err(),
                "{part}"
            );
        }
        assert!(serde_json::from_str::<FirstSection>("\"allergies\"").is_err());
        assert!(serde_json::from_str::<Layout>(r#"{"hide":["vitals"]}"#).is_err());
    }

    #[test]
    fn faults_name_what_to_mend() {
        let fault = |l: Layout| Layouts { layouts: vec![l] }.faults(&|r| r == "nurse");
        assert_eq!(fault(rule("n", &["nurse"], &["ICU"])), Vec::<String>::new());
        for (layout, words) in [
            (rule(" ", &[], &[]), "name must have"),
            (rule("n", &["nursse"], &[]), "there is no role \"nursse\""),
            (rule("n", &[], &["I C U/"]), "no ward id"),
            (
                Layout {
                    hours: 3,
                    ..rule("n", &[], &[])
                },
                "hours must be one of",
            ),
            (
                Layout {
                    summary: vec![SummaryPart::Labs, SummaryPart::Labs],
                    ..rule("n", &[], &[])
                },
                "twice",
            ),
        ] {
            let said = fault(layout);
            assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
        }
        let shadowed = Layouts {
            layouts: vec![rule("all", &[], &[]), rule("ICU", &["nurse"], &["ICU"])],
        };
        let said = shadowed.faults(&|_| true);
        assert!(said.len() == 1 && said[0].contains("never counts"), "{said:?}");
    }
}
