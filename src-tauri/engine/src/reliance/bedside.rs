//! What a person at the bedside asks for: cards, breaking the glass, what others change, recording, charts, images.

use super::{Looked, call_it, call_it_now, counted, part};
use crate::cache::words;
use crate::horizon;
use crate::outbox::Alarm;
use vitrine_clinical::{say, word};
use vitrine_sync::scope::is_patient;
use vitrine_wire::sync_view::{Reliance, RelianceView};
use vitrine_wire::view::DataAge;

impl Looked<'_> {
    pub(super) fn emergency(&self) -> RelianceView {
        let title = word!("Emergency cards", "Notfallkarten");
        let scope = format!("ess:{}", self.ward);
        if self.states.is_none() {
            let text = say!(
                "The emergency cards on this workstation cannot be read.",
                "Die Notfallkarten an diesem Arbeitsplatz sind nicht lesbar."
            );
            return part("emergency", Reliance::Fails, title, text, Some(call_it()));
        }
        let age = self.age(&scope);
        let held = self.state(&scope).filter(|s| s.complete);
        let Some(held) = held else {
            let text = match &self.status.loading_text {
                Some(loading) => say!(
                    "The emergency cards of {ward} are not all here. {loading}.",
                    "Die Notfallkarten von {ward} sind nicht alle hier. {loading}.",
                    ward = self.ward
                ),
                None => say!(
                    "The emergency cards of {ward} are not on this workstation.",
                    "Die Notfallkarten von {ward} sind nicht an diesem Arbeitsplatz.",
                    ward = self.ward
                ),
            };
            return part(
                "emergency",
                Reliance::Fails,
                title,
                text,
                Some(word!(
                    "Connect it to the server until they are here.",
                    "Mit dem Server verbinden, bis sie hier sind."
                )),
            );
        };
        let patients = if held.items == 0 {
            say!("No patient", "Kein Patient")
        } else {
            patients_text(held.items)
        };
        let mut text = say!(
            "{patients} of {ward}, {age}, network or not.",
            "{patients} von {ward}, {age}, mit oder ohne Netz.",
            ward = self.ward,
            age = age.text
        );
        let mut state = Reliance::Works;
        let mut todo = None;
        if self.site {
            match self.state("ess:site").filter(|s| s.complete) {
                Some(s) => text.push_str(&say!(
                    " All {patients} of the site, {age}.",
                    " Das ganze Haus: {patients}, {age}.",
                    patients = patients_text(s.items),
                    age = self.age("ess:site").text
                )),
                None => {
                    state = Reliance::Limited;
                    text.push_str(word!(
                        " Patients of other wards are not all here yet.",
                        " Patienten anderer Stationen sind noch nicht alle hier."
                    ));
                }
            }
        } else {
            text.push_str(word!(
                " Patients of other wards are not kept here.",
                " Patienten anderer Stationen werden hier nicht gespeichert."
            ));
        }
        if self.station.alarms.raised(Alarm::EssentialsStuck) {
            state = Reliance::Limited;
            text.push_str(word!(
                " They are damaged and cannot be renewed in place.",
                " Sie sind beschädigt und lassen sich nicht an Ort und Stelle erneuern."
            ));
            todo = Some(word!(
                "Call IT: they are to be made anew. For what is missing: another workstation.",
                "Klinik-IT anrufen: sie müssen neu erstellt werden. Für das Fehlende: ein anderer Arbeitsplatz."
            ));
        } else if self.station.alarms.raised(Alarm::EssentialsDamaged) {
            state = Reliance::Limited;
            text.push_str(word!(
                " Some are damaged and show as unavailable.",
                " Einige sind beschädigt und als nicht verfügbar markiert."
            ));
            todo = Some(word!(
                "They are fetched anew by themselves. Without the server: use another workstation for those.",
                "Sie werden von selbst neu geladen. Ohne Server: dafür einen anderen Arbeitsplatz benutzen."
            ));
        } else if age.age == DataAge::Old {
            state = Reliance::Limited;
            todo = Some(word!(
                "Ask who was treated since; look at another workstation.",
                "Nachfragen, wer seitdem behandelt wurde; an einem anderen Arbeitsplatz nachsehen."
            ));
        }
        part("emergency", state, title, text, todo)
    }

    pub(super) fn glass(&self) -> RelianceView {
        let title = word!("Breaking the glass", "Notfallzugriff");
        let alarms = &self.station.alarms;
        if self.states.is_none() {
            let text = say!(
                "The staff list on this workstation cannot be read.",
                "Die Personalliste an diesem Arbeitsplatz ist nicht lesbar."
            );
            return part("glass", Reliance::Fails, title, text, Some(call_it()));
        }
        let staff = self.state("dir").filter(|s| s.complete && s.items > 0);
        let Some(staff) = staff else {
            let text = say!(
                "The staff list is not on this workstation: nobody could break the glass.",
                "Die Personalliste ist nicht an diesem Arbeitsplatz: ein Notfallzugriff wäre niemandem möglich."
            );
            return part(
                "glass",
                Reliance::Fails,
                title,
                text,
                Some(word!(
                    "Connect it to the server once.",
                    "Einmal mit dem Server verbinden."
                )),
            );
        };
        let people = counted(
            staff.items,
            (
                word!("person is", "Person ist"),
                word!("people are", "Personen sind"),
            ),
        );
        if alarms.raised(Alarm::AuditInMemory) {
            let text = say!(
                "{people} on the staff list here. Each access is recorded in memory alone: the disk is full.",
                "{people} hier auf der Personalliste. Zugriffe werden nur im Arbeitsspeicher protokolliert: der Datenträger ist voll."
            );
            return part(
                "glass",
                Reliance::Limited,
                title,
                text,
                Some(word!(
                    "Do not switch it off. Call IT now.",
                    "Nicht ausschalten. Sofort Klinik-IT anrufen."
                )),
            );
        }
        if alarms.raised(Alarm::AuditInReserve) || alarms.raised(Alarm::OutboxUnwritable) {
            let text = say!(
                "{people} on the staff list here. The access log cannot be written: each access goes to the reserve.",
                "{people} hier auf der Personalliste. Das Zugriffsprotokoll kann nicht geschrieben werden: Zugriffe kommen in die Reserve."
            );
            return part("glass", Reliance::Limited, title, text, Some(call_it_now()));
        }
        let text = say!(
            "{people} on the staff list here, network or not; each access is recorded before it shows anything.",
            "{people} hier auf der Personalliste, mit oder ohne Netz; jeder Zugriff wird protokolliert, bevor er etwas zeigt."
        );
        part("glass", Reliance::Works, title, text, None)
    }

    pub(super) fn changes(&self) -> RelianceView {
        let title = word!("What others change", "Änderungen anderer");
        let since = || {
            let (age, as_of) = self
                .station
                .fresh
                .feed(self.station.stored_as_of(), &self.station.clock);
            words(age, as_of, &self.station.clock)
        };
        if !self.station.synchronises() {
            let text = say!(
                "Not known: this program does not synchronise, another one of this workstation may. Stored {since}.",
                "Nicht bekannt: dieses Programm synchronisiert nicht, vielleicht ein anderes an diesem Arbeitsplatz. Gespeichert: {since}.",
                since = since()
            );
            return part("changes", Reliance::Unknown, title, text, None);
        }
        let (state, text, todo) = match self.status.age {
            _ if self.status.drill_text.is_some() => (
                Reliance::Fails,
                say!(
                    "Does not arrive: a downtime drill, {since}.",
                    "Kommen nicht an: Ausfallübung, {since}.",
                    since = since()
                ),
                Some(word!(
                    "For what is new: another workstation, or end the drill.",
                    "Für Neues: ein anderer Arbeitsplatz, oder die Übung beenden."
                )),
            ),
            DataAge::Live => (
                Reliance::Works,
                say!("Arrives here within seconds.", "Kommen hier binnen Sekunden an."),
                None,
            ),
            DataAge::Delayed => (
                Reliance::Limited,
                say!(
                    "Arrives late: {since}.",
                    "Kommen verspätet an: {since}.",
                    since = since()
                ),
                None,
            ),
            DataAge::Partial => (
                Reliance::Limited,
                say!(
                    "Not everything is here yet: treat what is missing as unknown.",
                    "Noch nicht alles ist hier: was fehlt, als unbekannt behandeln."
                ),
                None,
            ),
            DataAge::Stale => (
                Reliance::Fails,
                say!(
                    "The server answers and sends nothing new: {since}. Newer changes may be missing.",
                    "Der Server antwortet und sendet nichts Neues: {since}. Neuere Änderungen können fehlen.",
                    since = since()
                ),
                Some(word!(
                    "Call IT. Ask by telephone for results and orders.",
                    "Klinik-IT anrufen. Befunde und Anordnungen telefonisch erfragen."
                )),
            ),
            _ => (
                Reliance::Fails,
                say!(
                    "Does not arrive: the server is not reached, {since}.",
                    "Kommen nicht an: der Server ist nicht erreichbar, {since}.",
                    since = since()
                ),
                Some(word!(
                    "Ask by telephone for results and orders. Print the downtime packet if it lasts.",
                    "Befunde und Anordnungen telefonisch erfragen. Wenn es andauert, die Ausfallmappe drucken."
                )),
            ),
        };
        part("changes", state, title, text, todo)
    }

    pub(super) fn recording(&self) -> RelianceView {
        let title = word!("What is recorded here", "Hier erfasste Einträge");
        let alarms = &self.station.alarms;
        if let Some(past) = horizon::left(self.station).filter(|l| l.over()) {
            let text = horizon::past(past.days);
            return part("recording", Reliance::Fails, title, text, Some(call_it()));
        }
        if alarms.raised(Alarm::EntriesUnreadable) {
            let text = say!(
                "What was recorded here and not yet sent cannot be read: it is missing on every screen.",
                "Was hier eingetragen und noch nicht gesendet wurde, ist nicht lesbar: es fehlt auf jedem Bildschirm."
            );
            return part(
                "recording",
                Reliance::Fails,
                title,
                text,
                Some(word!(
                    "Call IT. Ask who recorded something here.",
                    "Klinik-IT anrufen. Nachfragen, wer hier etwas eingetragen hat."
                )),
            );
        }
        if alarms.raised(Alarm::OutboxUnwritable)
            || alarms.raised(Alarm::AuditInReserve)
            || alarms.raised(Alarm::AuditInMemory)
        {
            let text = say!(
                "Nothing can be recorded: the disk is full or its log cannot be written.",
                "Nichts kann eingetragen werden: der Datenträger ist voll oder das Protokoll kann nicht geschrieben werden."
            );
            return part(
                "recording",
                Reliance::Fails,
                title,
                text,
                Some(word!(
                    "Record on another workstation, or on paper. Call IT.",
                    "An einem anderen Arbeitsplatz oder auf Papier dokumentieren. Klinik-IT anrufen."
                )),
            );
        }
        let (unsent, rejected) = (u64::from(self.status.unsent), u64::from(self.status.rejected));
        if rejected > 0 {
            let text = if rejected == 1 {
                say!(
                    "1 entry was refused by the server, and {unsent} not sent.",
                    "1 Eintrag wurde vom Server abgelehnt, {unsent} nicht gesendet."
                )
            } else {
                say!(
                    "{rejected} entries were refused by the server, and {unsent} not sent.",
                    "{rejected} Einträge wurden vom Server abgelehnt, {unsent} nicht gesendet."
                )
            };
            return part(
                "recording",
                Reliance::Limited,
                title,
                text,
                Some(word!(
                    "Sign in and look at them: Ctrl+Shift+O.",
                    "Anmelden und ansehen: Strg+Umschalt+O."
                )),
            );
        }
        if unsent > 0 {
            let text = if unsent == 1 {
                say!(
                    "1 entry is kept on this workstation and not sent: nobody else sees it yet.",
                    "1 Eintrag ist nur an diesem Arbeitsplatz, nicht gesendet: niemand sonst sieht ihn bisher."
                )
            } else {
                say!(
                    "{unsent} entries are kept on this workstation and not sent: nobody else sees them yet.",
                    "{unsent} Einträge sind nur an diesem Arbeitsplatz, nicht gesendet: niemand sonst sieht sie bisher."
                )
            };
            return part(
                "recording",
                Reliance::Limited,
                title,
                text,
                (!self.connected()).then(|| {
                    word!(
                        "Tell those who have to know.",
                        "Informieren, wer davon wissen muss."
                    )
                }),
            );
        }
        if self.connected() {
            let text = say!(
                "Kept here first, then sent at once; nothing waits.",
                "Zuerst hier gespeichert, dann sofort gesendet; nichts wartet."
            );
            return part("recording", Reliance::Works, title, text, None);
        }
        let text = say!(
            "Kept here and sent when the server answers again; until then nobody else sees it. Nothing waits now.",
            "Hier gespeichert und gesendet, sobald der Server wieder antwortet; bis dahin sieht sie sonst niemand. Jetzt wartet nichts."
        );
        part("recording", Reliance::Limited, title, text, None)
    }

    pub(super) fn charts(&self) -> RelianceView {
        let title = word!("Full charts", "Vollständige Akten");
        if let Some(past) = horizon::left(self.station).filter(|l| l.over()) {
            let text = horizon::past(past.days);
            return part("charts", Reliance::Fails, title, text, Some(call_it()));
        }
        let session = self.station.session().as_ref().map(|s| s.person.display.clone());
        let kept = session.as_ref().map(|who| {
            let n = self.station.records().map_or(Ok(0), |r| {
                r.scopes()
                    .map(|s| s.iter().filter(|s| s.complete && is_patient(&s.name)).count() as u64)
            });
            match n {
                Ok(n) => say!(
                    "{charts} kept here for {who}.",
                    "{charts} hier für {who} gespeichert.",
                    charts = counted(
                        n,
                        (word!("chart is", "Akte ist"), word!("charts are", "Akten sind"))
                    )
                ),
                Err(_) => say!(
                    "The charts kept here for {who} cannot be read.",
                    "Die hier für {who} gespeicherten Akten sind nicht lesbar."
                ),
            }
        });
        if self.connected() {
            let mut text = say!(
                "Every chart a person may open is fetched when it is opened.",
                "Jede Akte, die jemand öffnen darf, wird beim Öffnen geladen."
            );
            if let Some(kept) = kept {
                text.push_str(&format!(" {kept}"));
            }
            return part("charts", Reliance::Works, title, text, None);
        }
        let text = match kept {
            Some(kept) => say!(
                "Only those that were opened here before. {kept}",
                "Nur solche, die hier schon geöffnet wurden. {kept}"
            ),
            None => say!(
                "Only those that were opened here before by whoever signs in.",
                "Nur solche, die der Angemeldete hier schon geöffnet hat."
            ),
        };
        part("charts", Reliance::Limited, title, text, None)
    }

    pub(super) fn images(&self) -> RelianceView {
        let title = word!("Images", "Bilder");
        let tally = self.station.imaging.shared.store().and_then(|s| s.tally().ok());
        let Some((patients, previews)) = tally else {
            let text = say!(
                "Stored images cannot be read.",
                "Gespeicherte Bilder sind nicht lesbar."
            );
            return part(
                "images",
                Reliance::Fails,
                title,
                text,
                Some(word!(
                    "With the server they are fetched again. Call IT.",
                    "Mit dem Server werden sie neu geladen. Klinik-IT anrufen."
                )),
            );
        };
        let kept = say!(
            "{previews} of {patients} kept here",
            "{previews} von {patients} hier gespeichert",
            previews = counted(
                previews,
                (word!("preview", "Vorschau"), word!("previews", "Vorschauen"))
            ),
            patients = counted(
                patients,
                // In German it stands in the dative here.
                (word!("patient", "Patienten"), word!("patients", "Patienten"))
            )
        );
        if self.connected() {
            return part(
                "images",
                Reliance::Works,
                title,
                say!(
                    "Fetched when they are opened; {kept}.",
                    "Werden beim Öffnen geladen; {kept}."
                ),
                None,
            );
        }
        let text = say!(
            "{kept}, and whole studies that were opened here before. Nothing else.",
            "{kept}, und ganze Untersuchungen, die hier schon geöffnet wurden. Sonst nichts."
        );
        part("images", Reliance::Limited, title, text, None)
    }
}

fn patients_text(n: u64) -> String {
    counted(n, (word!("patient", "Patient"), word!("patients", "Patienten")))
}
