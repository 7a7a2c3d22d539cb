//! What this workstation can be relied on for right now, in plain sentences (screens.md 9).
//!
//! Lives here: the verdict made of the parts, the streams; each part is judged in [`bedside`] or in [`machine`]. Never here: PHI, measuring (that is whoever owns the
//! part), the check of the stored data (`integrity`).
//! Called by the facade. It reads counters and states, no body of any record.
//!
//! Nothing is called good that was not looked at: what cannot be read is said to be unknown or to fail.

mod bedside;
mod machine;

use crate::EngineError;
use crate::drill;
use crate::integrity;
use crate::station::Station;
use crate::status;
use vitrine_clinical::language::{self, Language};
use vitrine_clinical::{say, word};
use vitrine_store_sqlcipher::workstation::ScopeState;
use vitrine_sync::scope::{Scope, is_patient};
use vitrine_wire::sync_view::{DrillView, Reliance, RelianceView, StreamView, SyncView};
use vitrine_wire::view::{DataAge, SectionAge, StatusView};

/// The parts a person at the bedside asks for; the others are for IT and limit nothing by themselves.
const BEDSIDE: [&str; 6] = ["emergency", "glass", "changes", "recording", "charts", "images"];

/// What was looked at to judge.
struct Looked<'a> {
    station: &'a Station,
    status: StatusView,
    /// Of the device's scopes; `None` when they cannot be read.
    states: Option<Vec<ScopeState>>,
    ward: String,
    site: bool,
}

/// The whole screen.
pub(crate) fn view(station: &Station) -> SyncView {
    let device = station.device().clone();
    let states = station.essentials.scopes();
    if let Err(e) = &states {
        station.damaged(e);
    }
    let looked = Looked {
        station,
        status: status::status_view(station),
        states: states.ok(),
        ward: device.ward.clone(),
        site: device.site,
    };
    let found = integrity::last(station);
    let parts = vec![
        looked.emergency(),
        looked.glass(),
        looked.changes(),
        looked.recording(),
        looked.charts(),
        looked.images(),
        looked.clock(),
        looked.audit(),
        looked.stored(&found),
        looked.disk(),
        looked.certificate(),
    ];
    let (verdict, sentence) = verdict(&parts, &looked.status);
    SyncView {
        verdict,
        sentence,
        parts,
        streams: looked.streams(),
        checked: found.ok().flatten().map(|f| f.view(station)),
        checking_text: station.integrity.text(),
        drill: drill::view(station, &looked.status),
        workstation: device.name,
        ward: device.ward,
        server: device.server,
        program: format!("Vitrine {}", env!("CARGO_PKG_VERSION")),
        keys_text: station.sealer.kind().text().to_owned(),
    }
}

/// The screen of a workstation that cannot be used.
pub(crate) fn closed(e: &EngineError) -> SyncView {
    SyncView {
        verdict: Reliance::Fails,
        sentence: say!(
            "Do not rely on this workstation: {why}. Use another one.",
            "Nicht auf diesen Arbeitsplatz verlassen: {why}. Einen anderen benutzen.",
            why = e.to_string().trim_end_matches('.')
        ),
        parts: Vec::new(),
        streams: Vec::new(),
        checked: None,
        checking_text: None,
        drill: DrillView::default(),
        workstation: String::new(),
        ward: String::new(),
        server: String::new(),
        program: format!("Vitrine {}", env!("CARGO_PKG_VERSION")),
        keys_text: String::new(),
    }
}

fn part(id: &str, state: Reliance, title: &str, text: String, todo: Option<&str>) -> RelianceView {
    RelianceView {
        id: id.to_owned(),
        state,
        title: title.to_owned(),
        text,
        todo: todo.map(str::to_owned),
    }
}

/// "1 patient", "24 patients": `words` are those of one and of many.
fn counted(n: u64, words: (&str, &str)) -> String {
    format!("{n} {}", if n == 1 { words.0 } else { words.1 })
}

fn call_it() -> &'static str {
    word!("Call IT.", "Klinik-IT anrufen.")
}

fn call_it_now() -> &'static str {
    word!("Call IT now.", "Sofort Klinik-IT anrufen.")
}

/// A title among others in a sentence. A German noun keeps its capital.
fn inside(title: &str) -> String {
    match language::spoken() {
        Language::German => title.to_owned(),
        _ => title.to_lowercase(),
    }
}

/// Without cards or without staff nobody can be helped here; everything else is a limit that is named.
fn verdict(parts: &[RelianceView], status: &StatusView) -> (Reliance, String) {
    let is = |p: &&RelianceView, state: Reliance| p.state == state;
    let bedside: Vec<&RelianceView> = parts
        .iter()
        .filter(|p| BEDSIDE.contains(&p.id.as_str()))
        .collect();
    let lost: Vec<&&RelianceView> = bedside
        .iter()
        .filter(|p| matches!(p.id.as_str(), "emergency" | "glass") && p.state == Reliance::Fails)
        .collect();
    if !lost.is_empty() {
        let why: Vec<&str> = lost.iter().map(|p| p.text.as_str()).collect();
        return (
            Reliance::Fails,
            say!(
                "Do not rely on this workstation. {why} Use another one.",
                "Nicht auf diesen Arbeitsplatz verlassen. {why} Einen anderen benutzen.",
                why = why.join(" ")
            ),
        );
    }
    let titles = |state: fn(Reliance) -> bool| {
        let titles: Vec<String> = bedside
            .iter()
            .filter(|p| state(p.state))
            .map(|p| inside(&p.title))
            .collect();
        titles.join(", ")
    };
    let limits = titles(|s| s == Reliance::Limited || s == Reliance::Unknown);
    let fails = titles(|s| s == Reliance::Fails);
    if limits.is_empty() && fails.is_empty() {
        let others = parts.iter().filter(|p| !is(p, Reliance::Works)).count() as u64;
        return if others == 0 {
            (
                Reliance::Works,
                say!(
                    "You can rely on this workstation: everything it is to have is here, and newer changes arrive.",
                    "Dieser Arbeitsplatz ist verlässlich: alles, was er haben soll, ist hier, und neuere Änderungen kommen an."
                ),
            )
        } else {
            (
                Reliance::Works,
                say!(
                    "You can rely on this workstation. {remarks} for IT below.",
                    "Dieser Arbeitsplatz ist verlässlich. {remarks} für die Klinik-IT unten.",
                    remarks = counted(others, (word!("remark", "Hinweis"), word!("remarks", "Hinweise")))
                ),
            )
        };
    }
    let mut sentence = String::new();
    let works = titles(|s| s == Reliance::Works);
    if !works.is_empty() {
        sentence.push_str(&say!("You can rely on: {works}. ", "Verlässlich: {works}. "));
    }
    if !limits.is_empty() {
        sentence.push_str(&say!("With limits: {limits}. ", "Eingeschränkt: {limits}. "));
    }
    if !fails.is_empty() {
        sentence.push_str(&say!(
            "You cannot rely on: {fails}. ",
            "Nicht verlässlich: {fails}. "
        ));
    }
    if status.age == DataAge::Live {
        sentence.truncate(sentence.trim_end().len());
    } else {
        sentence.push_str(word!(
            "What is shown is as old as its own mark says.",
            "Was angezeigt wird, ist so alt, wie dort steht."
        ));
    }
    (Reliance::Limited, sentence)
}

impl Looked<'_> {
    fn state(&self, scope: &str) -> Option<&ScopeState> {
        self.states.as_ref()?.iter().find(|s| s.name == scope)
    }

    fn age(&self, scope: &str) -> SectionAge {
        let stored = self.state(scope).map(|s| (s.complete, s.as_of));
        self.station.fresh.section(scope, stored, &self.station.clock)
    }

    /// Whether the server can be asked for what is not here.
    const fn connected(&self) -> bool {
        matches!(
            self.status.age,
            DataAge::Live | DataAge::Delayed | DataAge::Partial | DataAge::Stale
        )
    }

    /// Those this workstation is to have, whether or not anything of them is here, then the others.
    fn streams(&self) -> Vec<StreamView> {
        let mut names = vec![
            "dir".to_owned(),
            format!("ess:{}", self.ward),
            format!("board:{}", self.ward),
        ];
        if self.site {
            names.push("ess:site".to_owned());
        }
        for s in self.states.iter().flatten() {
            if !names.contains(&s.name) && !is_patient(&s.name) {
                names.push(s.name.clone());
            }
        }
        names.into_iter().map(|scope| self.stream(scope)).collect()
    }

    fn stream(&self, scope: String) -> StreamView {
        let state = self.state(&scope);
        let held = state.filter(|s| s.complete);
        let loading = self.station.fresh.scope(&scope).and_then(|f| f.loading);
        StreamView {
            name: stream_name(&scope),
            items_text: held.map(|s| s.items.to_string()),
            position_text: held.map(|s| s.pos.to_string()),
            age: if self.states.is_none() {
                SectionAge {
                    age: DataAge::Unavailable,
                    text: say!("cannot be read", "nicht lesbar"),
                    complete: false,
                    as_of_ms: None,
                }
            } else {
                self.age(&scope)
            },
            loading_text: loading.map(|(done, of)| say!("{done} of {of} fetched", "{done} von {of} geladen")),
            scope,
        }
    }
}

fn stream_name(scope: &str) -> String {
    match Scope::parse(scope) {
        Some(Scope::Dir) => say!("Staff list", "Personalliste"),
        Some(Scope::Ess(ward)) => say!("Emergency cards of {ward}", "Notfallkarten von {ward}"),
        Some(Scope::Board(ward)) => say!("Board of {ward}", "Übersicht von {ward}"),
        Some(Scope::EssSite) => say!(
            "Emergency cards of the whole site",
            "Notfallkarten des ganzen Hauses"
        ),
        Some(Scope::Pat(_)) | None => scope.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use language::speaking;

    #[test]
    fn a_title_inside_a_sentence_keeps_its_capital_in_german() {
        assert_eq!(inside("Emergency cards"), "emergency cards");
        speaking(Language::German, || {
            assert_eq!(inside("Vollständige Akten"), "Vollständige Akten");
            assert_eq!(counted(1, ("Hinweis", "Hinweise")), "1 Hinweis");
            assert_eq!(counted(0, ("Hinweis", "Hinweise")), "0 Hinweise");
            assert_eq!(stream_name("ess:ED"), "Notfallkarten von ED");
        });
    }
}
