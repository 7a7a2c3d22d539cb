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
        sentence: format!(
            "Do not rely on this workstation: {}. Use another one.",
            e.to_string().trim_end_matches('.')
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

fn counted(n: u64, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
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
            format!(
                "Do not rely on this workstation. {} Use another one.",
                why.join(" ")
            ),
        );
    }
    let titles = |state: fn(Reliance) -> bool| {
        let titles: Vec<String> = bedside
            .iter()
            .filter(|p| state(p.state))
            .map(|p| p.title.to_lowercase())
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
                "You can rely on this workstation: everything it is to have is here, and newer changes arrive.".to_owned(),
            )
        } else {
            (
                Reliance::Works,
                format!(
                    "You can rely on this workstation. {} for IT below.",
                    counted(others, "remark", "remarks")
                ),
            )
        };
    }
    let mut sentence = String::new();
    let works = titles(|s| s == Reliance::Works);
    if !works.is_empty() {
        sentence.push_str(&format!("You can rely on: {works}. "));
    }
    if !limits.is_empty() {
        sentence.push_str(&format!("With limits: {limits}. "));
    }
    if !fails.is_empty() {
        sentence.push_str(&format!("You cannot rely on: {fails}. "));
    }
    if status.age == DataAge::Live {
        sentence.truncate(sentence.trim_end().len());
    } else {
        sentence.push_str("What is shown is as old as its own mark says.");
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
                    text: "cannot be read".to_owned(),
                    complete: false,
                    as_of_ms: None,
                }
            } else {
                self.age(&scope)
            },
            loading_text: loading.map(|(done, of)| format!("{done} of {of} fetched")),
            scope,
        }
    }
}

fn stream_name(scope: &str) -> String {
    match Scope::parse(scope) {
        Some(Scope::Dir) => "Staff list".to_owned(),
        Some(Scope::Ess(ward)) => format!("Emergency cards of {ward}"),
        Some(Scope::Board(ward)) => format!("Board of {ward}"),
        Some(Scope::EssSite) => "Emergency cards of the whole site".to_owned(),
        Some(Scope::Pat(_)) | None => scope.to_owned(),
    }
}
