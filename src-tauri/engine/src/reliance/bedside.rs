//! What a person at the bedside asks for: cards, breaking the glass, what others change, recording, charts, images.

use super::{Looked, counted, part};
use crate::cache::words;
use crate::outbox::Alarm;
use vitrine_sync::scope::is_patient;
use vitrine_wire::sync_view::{Reliance, RelianceView};
use vitrine_wire::view::DataAge;

impl Looked<'_> {
    pub(super) fn emergency(&self) -> RelianceView {
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
        let patients = if held.items == 0 {
            "No patient".to_owned()
        } else {
            counted(held.items, "patient", "patients")
        };
        let mut text = format!("{patients} of {}, {}, network or not.", self.ward, age.text);
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

    pub(super) fn glass(&self) -> RelianceView {
        let title = "Breaking the glass";
        let alarms = &self.station.alarms;
        if self.states.is_none() {
            let text = "The staff list on this workstation cannot be read.".to_owned();
            return part("glass", Reliance::Fails, title, text, Some("Call IT."));
        }
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
        let people = counted(staff.items, "person is", "people are");
        if alarms.raised(Alarm::AuditInMemory) {
            let text = format!(
                "{people} on the staff list here. Each access is recorded in memory alone: the disk is full."
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
                "{people} on the staff list here. The access log cannot be written: each access goes to the reserve."
            );
            return part("glass", Reliance::Limited, title, text, Some("Call IT now."));
        }
        let text = format!(
            "{people} on the staff list here, network or not; each access is recorded before it shows anything."
        );
        part("glass", Reliance::Works, title, text, None)
    }

    pub(super) fn changes(&self) -> RelianceView {
        let title = "What others change";
        let since = || {
            let (age, as_of) = self
                .station
                .fresh
                .feed(self.station.stored_as_of(), &self.station.clock);
            words(age, as_of, &self.station.clock)
        };
        if !self.station.synchronises() {
            let text = format!(
                "Not known: this program does not synchronise, another one of this workstation may. Stored {}.",
                since()
            );
            return part("changes", Reliance::Unknown, title, text, None);
        }
        let (state, text, todo) = match self.status.age {
            _ if self.status.drill_text.is_some() => (
                Reliance::Fails,
                format!("Does not arrive: a downtime drill, {}.", since()),
                Some("For what is new: another workstation, or end the drill."),
            ),
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

    pub(super) fn recording(&self) -> RelianceView {
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

    pub(super) fn charts(&self) -> RelianceView {
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

    pub(super) fn images(&self) -> RelianceView {
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
}
