//! What this workstation can be relied on for right now, in plain sentences (screens.md 9).
//!
//! Lives here: judging each part, the verdict made of them, the streams. Never here: PHI, measuring (that is whoever owns the
//! part), the check of the stored data (`integrity`).
//! Called by the facade. It reads counters and states, no body of any record.
//!
//! Nothing is called good that was not looked at: what cannot be read is said to be unknown or to fail.

use crate::EngineError;
use crate::cache::words;
use crate::integrity;
use crate::outbox::Alarm;
use crate::station::Station;
use crate::status;
use vitrine_clinical::{UtcMs, format};
use vitrine_store_sqlcipher::workstation::ScopeState;
use vitrine_sync::scope::{Scope, is_patient};
use vitrine_wire::sync_view::{Reliance, RelianceView, StreamView, SyncView};
use vitrine_wire::view::{DataAge, SectionAge, StatusView};

/// Less room than this is said, bytes: a day of records and previews of a ward.
const LITTLE_ROOM: u64 = 1 << 30;
/// Less than this and nothing can be counted on to be kept, bytes.
const NO_ROOM: u64 = 64 << 20;
/// A certificate that ends sooner is said, ms.
const SOON_MS: i64 = 30 * 86_400_000;
/// A check of the stored data that is older is said, ms.
const CHECKED_MS: i64 = 7 * 86_400_000;

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
        sentence: format!("Do not rely on this workstation: {e} Use another one."),
        parts: Vec::new(),
        streams: Vec::new(),
        checked: None,
        checking_text: None,
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

    fn emergency(&self) -> RelianceView {
        let title = "Emergency cards";
        let scope = format!("ess:{}", self.ward);
        if self.states.is_none() {
            let text = "The emergency cards on this workstation cannot be read.".to_owned();
            return part("emergency", Reliance::Fails, title, text, Some("Call IT."));
        }
        let age = self.age(&scope);
        let held = self.state(&scope).filter(|s| s.complete);
        let Some(held) = held else {
            let text = match &self.status.loading_text {
                Some(loading) => format!(
                    "The emergency cards of {} are not all here. {loading}.",
                    self.ward
                ),
                None => format!(
                    "The emergency cards of {} are not on this workstation.",
                    self.ward
                ),
            };
            return part(
                "emergency",
                Reliance::Fails,
                title,
                text,
                Some("Connect it to the server until they are here."),
            );
        };
        let mut text = format!(
            "{} of {}, {}, network or not.",
            counted(held.items, "patient", "patients"),
            self.ward,
            age.text
        );
        let mut state = Reliance::Works;
        let mut todo = None;
        if self.site {
            match self.state("ess:site").filter(|s| s.complete) {
                Some(s) => text.push_str(&format!(
                    " All {} of the site, {}.",
                    counted(s.items, "patient", "patients"),
                    self.age("ess:site").text
                )),
                None => {
                    state = Reliance::Limited;
                    text.push_str(" Patients of other wards are not all here yet.");
                }
            }
        } else {
            text.push_str(" Patients of other wards are not kept here.");
        }
        if self.status.patients == 0 {
            text = format!(
                "No patient of {} is on this workstation, {}.",
                self.ward, age.text
            );
        }
        if self.station.alarms.raised(Alarm::EssentialsStuck) {
            state = Reliance::Limited;
            text.push_str(" They are damaged and cannot be renewed in place.");
            todo = Some("Call IT: they are to be made anew. For what is missing: another workstation.");
        } else if self.station.alarms.raised(Alarm::EssentialsDamaged) {
            state = Reliance::Limited;
            text.push_str(" Some are damaged and show as unavailable.");
            todo = Some(
                "They are fetched anew by themselves. Without the server: use another workstation for those.",
            );
        } else if age.age == DataAge::Old {
            state = Reliance::Limited;
            todo = Some("Ask who was treated since; look at another workstation.");
        }
        part("emergency", state, title, text, todo)
    }

    fn glass(&self) -> RelianceView {
        let title = "Breaking the glass";
        let alarms = &self.station.alarms;
        let staff = self.state("dir").filter(|s| s.complete && s.items > 0);
        let Some(staff) = staff else {
            let text = "The staff list is not on this workstation: nobody could break the glass.".to_owned();
            return part(
                "glass",
                Reliance::Fails,
                title,
                text,
                Some("Connect it to the server once."),
            );
        };
        let people = counted(staff.items, "person", "people");
        if alarms.raised(Alarm::AuditInMemory) {
            let text = format!(
                "{people} can identify themselves. Each access is recorded in memory alone: the disk is full."
            );
            return part(
                "glass",
                Reliance::Limited,
                title,
                text,
                Some("Do not switch it off. Call IT now."),
            );
        }
        if alarms.raised(Alarm::AuditInReserve) || alarms.raised(Alarm::OutboxUnwritable) {
            let text = format!(
                "{people} can identify themselves. The access log cannot be written: each access goes to the reserve."
            );
            return part("glass", Reliance::Limited, title, text, Some("Call IT now."));
        }
        let text = format!(
            "{people} can identify themselves here, network or not; each access is recorded before it shows anything."
        );
        part("glass", Reliance::Works, title, text, None)
    }

    fn changes(&self) -> RelianceView {
        let title = "What others change";
        let since = || {
            let (age, as_of) = self
                .station
                .fresh
                .feed(self.station.stored_as_of(), &self.station.clock);
            words(age, as_of, &self.station.clock)
        };
        let (state, text, todo) = match self.status.age {
            DataAge::Live => (Reliance::Works, "Arrives here within seconds.".to_owned(), None),
            DataAge::Delayed => (Reliance::Limited, format!("Arrives late: {}.", since()), None),
            DataAge::Partial => (
                Reliance::Limited,
                "Not everything is here yet: treat what is missing as unknown.".to_owned(),
                None,
            ),
            DataAge::Stale => (
                Reliance::Fails,
                format!(
                    "The server answers and sends nothing new: {}. Newer changes may be missing.",
                    since()
                ),
                Some("Call IT. Ask by telephone for results and orders."),
            ),
            _ => (
                Reliance::Fails,
                format!("Does not arrive: the server is not reached, {}.", since()),
                Some("Ask by telephone for results and orders. Print the downtime packet if it lasts."),
            ),
        };
        part("changes", state, title, text, todo)
    }

    fn recording(&self) -> RelianceView {
        let title = "What is recorded here";
        let alarms = &self.station.alarms;
        if alarms.raised(Alarm::EntriesUnreadable) {
            let text =
                "What was recorded here and not yet sent cannot be read: it is missing on every screen."
                    .to_owned();
            return part(
                "recording",
                Reliance::Fails,
                title,
                text,
                Some("Call IT. Ask who recorded something here."),
            );
        }
        if alarms.raised(Alarm::OutboxUnwritable)
            || alarms.raised(Alarm::AuditInReserve)
            || alarms.raised(Alarm::AuditInMemory)
        {
            let text = "Nothing can be recorded: the disk is full or its log cannot be written.".to_owned();
            return part(
                "recording",
                Reliance::Fails,
                title,
                text,
                Some("Record on another workstation, or on paper. Call IT."),
            );
        }
        let (unsent, rejected) = (u64::from(self.status.unsent), u64::from(self.status.rejected));
        if rejected > 0 {
            let text = format!(
                "{} refused by the server, and {} not sent.",
                if rejected == 1 {
                    "1 entry was".to_owned()
                } else {
                    format!("{rejected} entries were")
                },
                unsent
            );
            return part(
                "recording",
                Reliance::Limited,
                title,
                text,
                Some("Sign in and look at them: Ctrl+Shift+O."),
            );
        }
        if unsent > 0 {
            let text = format!(
                "{} kept on this workstation and not sent: nobody else sees {} yet.",
                if unsent == 1 {
                    "1 entry is".to_owned()
                } else {
                    format!("{unsent} entries are")
                },
                if unsent == 1 { "it" } else { "them" },
            );
            return part(
                "recording",
                Reliance::Limited,
                title,
                text,
                (!self.connected()).then_some("Tell those who have to know."),
            );
        }
        if self.connected() {
            let text = "Kept here first, then sent at once; nothing waits.".to_owned();
            return part("recording", Reliance::Works, title, text, None);
        }
        let text = "Kept here and sent when the server answers again; until then nobody else sees it. Nothing waits now.".to_owned();
        part("recording", Reliance::Limited, title, text, None)
    }

    fn charts(&self) -> RelianceView {
        let title = "Full charts";
        let session = self.station.session().as_ref().map(|s| s.person.display.clone());
        let kept = session.as_ref().map(|who| {
            let n = self.station.records().map_or(Ok(0), |r| {
                r.scopes()
                    .map(|s| s.iter().filter(|s| s.complete && is_patient(&s.name)).count() as u64)
            });
            match n {
                Ok(n) => format!("{} kept here for {who}.", counted(n, "chart is", "charts are")),
                Err(_) => format!("The charts kept here for {who} cannot be read."),
            }
        });
        if self.connected() {
            let mut text = "Every chart a person may open is fetched when it is opened.".to_owned();
            if let Some(kept) = kept {
                text.push_str(&format!(" {kept}"));
            }
            return part("charts", Reliance::Works, title, text, None);
        }
        let text = match kept {
            Some(kept) => format!("Only those that were opened here before. {kept}"),
            None => "Only those that were opened here before by whoever signs in.".to_owned(),
        };
        part("charts", Reliance::Limited, title, text, None)
    }

    fn images(&self) -> RelianceView {
        let title = "Images";
        let tally = self.station.imaging.shared.store().and_then(|s| s.tally().ok());
        let Some((patients, previews)) = tally else {
            let text = "Stored images cannot be read.".to_owned();
            return part(
                "images",
                Reliance::Fails,
                title,
                text,
                Some("With the server they are fetched again. Call IT."),
            );
        };
        let kept = format!(
            "{} of {} kept here",
            counted(previews, "preview", "previews"),
            counted(patients, "patient", "patients"),
        );
        if self.connected() {
            return part(
                "images",
                Reliance::Works,
                title,
                format!("Fetched when they are opened; {kept}."),
                None,
            );
        }
        let text = format!("{kept}, and whole studies that were opened here before. Nothing else.");
        part("images", Reliance::Limited, title, text, None)
    }

    fn clock(&self) -> RelianceView {
        let clock = &self.station.clock;
        let title = "Clock";
        let apart = |ms: i64| {
            let way = if ms > 0 { "behind" } else { "ahead of" };
            format!("{} {way} the server's", format::data_age(ms.saturating_abs()))
        };
        match (clock.offset_ms(), clock.verified()) {
            (Some(ms), true) if ms.saturating_abs() < 1_000 => part(
                "clock",
                Reliance::Works,
                title,
                "Agrees with the server's.".to_owned(),
                None,
            ),
            (Some(ms), true) => part(
                "clock",
                Reliance::Works,
                title,
                format!("{}.", capital(&apart(ms))),
                None,
            ),
            (Some(ms), false) => part(
                "clock",
                Reliance::Limited,
                title,
                format!("Not verified: {}. Ages on the screen may be wrong.", apart(ms)),
                Some("Compare with another clock. Call IT."),
            ),
            (None, _) => part(
                "clock",
                Reliance::Unknown,
                title,
                "Not verified: the server was never heard. Ages on the screen may be wrong.".to_owned(),
                None,
            ),
        }
    }

    fn audit(&self) -> RelianceView {
        let title = "Access log";
        let alarms = &self.station.alarms;
        if alarms.raised(Alarm::AuditFork) {
            let text = "It differs from the server's: the disk was rolled back or copied.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT."));
        }
        if alarms.raised(Alarm::OutboxUnwritable)
            || alarms.raised(Alarm::AuditInReserve)
            || alarms.raised(Alarm::AuditInMemory)
        {
            let text = "It cannot be written as it should be: ordinary charts cannot be opened.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT now."));
        }
        let Ok(tally) = self.station.outbox.tally() else {
            let text = "It cannot be read.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT."));
        };
        let waiting = tally.audit.saturating_add(tally.grants);
        if waiting == 0 {
            let text = format!("Up to row {} at the server.", tally.last);
            return part("audit", Reliance::Works, title, text, None);
        }
        let oldest = tally.oldest.map_or_else(String::new, |at| {
            let age = self.station.clock.now().since(UtcMs(at)).max(0);
            format!(", the oldest for {}", format::data_age(age))
        });
        let text = format!(
            "Up to row {} on this disk; {} for the server{oldest}.",
            tally.last,
            counted(waiting, "row waits", "rows wait"),
        );
        part("audit", Reliance::Works, title, text, None)
    }

    fn stored(&self, found: &Result<Option<integrity::Found>, EngineError>) -> RelianceView {
        let title = "Stored data";
        match found {
            Err(_) => part(
                "stored",
                Reliance::Unknown,
                title,
                "When they were checked last cannot be read.".to_owned(),
                Some("Check them now."),
            ),
            Ok(None) => part(
                "stored",
                Reliance::Unknown,
                title,
                "Not checked yet.".to_owned(),
                Some("Check them now."),
            ),
            Ok(Some(f)) => {
                let v = f.view(self.station);
                let old = self.station.clock.now().since(UtcMs(f.at_ms)) > CHECKED_MS;
                match (f.ok(), old) {
                    (false, _) => part(
                        "stored",
                        Reliance::Limited,
                        title,
                        format!("The check of {} found faults.", v.at_text),
                        Some("See below, and check them again."),
                    ),
                    (true, true) => part(
                        "stored",
                        Reliance::Unknown,
                        title,
                        format!("Were whole on {}.", v.at_text),
                        Some("Check them now."),
                    ),
                    (true, false) => part(
                        "stored",
                        Reliance::Works,
                        title,
                        format!("Whole, checked {}.", v.at_text),
                        None,
                    ),
                }
            }
        }
    }

    fn disk(&self) -> RelianceView {
        let title = "Disk";
        let reserve = self.station.ballast.kept();
        let Some(free) = room(self.station) else {
            return part(
                "disk",
                Reliance::Unknown,
                title,
                "How much room is left cannot be told.".to_owned(),
                None,
            );
        };
        let room = gigabytes(free);
        if free < NO_ROOM {
            return part(
                "disk",
                Reliance::Fails,
                title,
                format!("Full: {room} are left."),
                Some("Call IT now."),
            );
        }
        if free < LITTLE_ROOM || !reserve {
            let text = if reserve {
                format!("{room} are left.")
            } else {
                format!("{room} are left, and there is no reserve for emergencies on a full disk.")
            };
            return part("disk", Reliance::Limited, title, text, Some("Call IT."));
        }
        part(
            "disk",
            Reliance::Works,
            title,
            format!("{room} are left; the reserve for emergencies is there."),
            None,
        )
    }

    fn certificate(&self) -> RelianceView {
        let title = "Server's certificate";
        let ends = self.station.certificate_ends();
        let Some(at) = ends else {
            return part(
                "certificate",
                Reliance::Unknown,
                title,
                "Not seen yet.".to_owned(),
                None,
            );
        };
        let left = at.saturating_sub(self.station.clock.now().0);
        let on = format::date_time_in(UtcMs(at), &|at| self.station.clock.zone_minutes(at));
        if left <= 0 {
            return part(
                "certificate",
                Reliance::Fails,
                title,
                format!("Ended on {on}: no connection can be made."),
                Some("Call IT."),
            );
        }
        let text = format!("Ends on {on}, in {}.", format::data_age(left));
        if left < SOON_MS {
            return part(
                "certificate",
                Reliance::Limited,
                title,
                text,
                Some("Call IT: it is to be renewed before."),
            );
        }
        part("certificate", Reliance::Works, title, text, None)
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

/// Bytes free on the disk of the profile for this program.
#[cfg(unix)]
fn room(station: &Station) -> Option<u64> {
    let of = rustix::fs::statvfs(station.profile.dir()).ok()?;
    Some(of.f_bavail.saturating_mul(of.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &Station) -> Option<u64> {
    None
}

fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / (100 << 20);
    if tenths >= 10 {
        format!("{}.{} GB", tenths / 10, tenths % 10)
    } else {
        format!("{} MB", bytes >> 20)
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
