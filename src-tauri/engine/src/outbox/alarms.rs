//! Sticky alarms: what a person must know of until it is resolved. No PHI.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use vitrine_clinical::word;

/// An alarm, most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// Emergency accesses are in memory alone.
    AuditInMemory,
    /// Emergency accesses are written to the reserve.
    AuditInReserve,
    /// The outbox cannot be opened or written.
    OutboxUnwritable,
    /// The device was revoked.
    Revoked,
    /// The audit chain here and at the server differ.
    AuditFork,
    /// One of server and workstation is for training and the other is not.
    TrainingMixed,
    /// The server refuses this device or program.
    ServerRefuses,
    /// An order to wipe was not signed by the server.
    ForgedWipe,
    /// What was recorded here cannot be read.
    EntriesUnreadable,
    /// Essentials were damaged.
    EssentialsDamaged,
    /// Essentials were damaged where the server's changes are to be written.
    EssentialsStuck,
    /// The essentials could not be opened for writing.
    EssentialsReadOnly,
    /// The server broke the protocol.
    ProtocolBroken,
}

impl Alarm {
    /// The words on the screen.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::AuditInMemory => word!(
                "EMERGENCY ACCESS IS RECORDED IN MEMORY ONLY — the disk is full. Do not switch this workstation off. Call IT now.",
                "NOTFALLZUGRIFFE WERDEN NUR IM ARBEITSSPEICHER PROTOKOLLIERT — der Datenträger ist voll. Diesen Arbeitsplatz nicht ausschalten. Sofort Klinik-IT anrufen."
            ),
            Self::AuditInReserve => word!(
                "The disk is full: emergency access is recorded in the reserve. Ordinary charts cannot be opened. Call IT now.",
                "Der Datenträger ist voll: Notfallzugriffe werden in der Reserve protokolliert. Reguläre Akten lassen sich nicht öffnen. Sofort Klinik-IT anrufen."
            ),
            Self::OutboxUnwritable => word!(
                "The audit log cannot be written: ordinary charts cannot be opened. Emergency access works. Call IT.",
                "Das Zugriffsprotokoll kann nicht geschrieben werden: reguläre Akten lassen sich nicht öffnen. Der Notfallzugriff funktioniert. Klinik-IT anrufen."
            ),
            Self::Revoked => word!(
                "This workstation is no longer enrolled — its data were removed.",
                "Dieser Arbeitsplatz ist nicht mehr registriert — seine Daten wurden entfernt."
            ),
            Self::AuditFork => word!(
                "The audit log of this workstation differs from the server's: the disk was rolled back or copied. Call IT.",
                "Das Zugriffsprotokoll dieses Arbeitsplatzes weicht von dem des Servers ab: der Datenträger wurde zurückgesetzt oder kopiert. Klinik-IT anrufen."
            ),
            Self::TrainingMixed => word!(
                "Either this workstation or its server is for training, and the other is not: nothing is sent and nothing is taken. Call IT: enrol this workstation anew in a folder of its own.",
                "Nur eines von beiden, dieser Arbeitsplatz oder sein Server, ist für die Schulung: nichts wird gesendet, nichts wird übernommen. Klinik-IT anrufen: diesen Arbeitsplatz in einem eigenen Ordner neu registrieren."
            ),
            Self::ServerRefuses => word!(
                "The server refuses this workstation or this version of the program. Call IT.",
                "Der Server weist diesen Arbeitsplatz oder diese Version des Programms ab. Klinik-IT anrufen."
            ),
            Self::ForgedWipe => word!(
                "An order to erase this workstation came that the server did not sign. It was not obeyed. Call IT.",
                "Ein Befehl, diesen Arbeitsplatz zu löschen, kam ohne Signatur des Servers an. Er wurde nicht ausgeführt. Klinik-IT anrufen."
            ),
            Self::EntriesUnreadable => word!(
                "What was recorded at this workstation and not yet sent cannot be read: it is missing on every screen here. Call IT.",
                "Was an diesem Arbeitsplatz eingetragen und noch nicht gesendet wurde, ist nicht lesbar: es fehlt hier auf jedem Bildschirm. Klinik-IT anrufen."
            ),
            Self::EssentialsDamaged => word!(
                "Some stored data are damaged: those patients show as unavailable until they are fetched again.",
                "Ein Teil der gespeicherten Daten ist beschädigt: die betroffenen Patienten sind als nicht verfügbar markiert, bis sie neu geladen sind."
            ),
            Self::EssentialsStuck => word!(
                "Stored data are damaged and cannot be renewed in place: others' changes do not arrive here. Call IT: vitrine-cli cache renew.",
                "Gespeicherte Daten sind beschädigt und lassen sich nicht an Ort und Stelle erneuern: Änderungen anderer kommen hier nicht an. Klinik-IT anrufen: vitrine-cli cache renew."
            ),
            Self::EssentialsReadOnly => word!(
                "The disk is full: data are readable here and are not being updated. Call IT.",
                "Der Datenträger ist voll: Daten sind hier lesbar und werden nicht aktualisiert. Klinik-IT anrufen."
            ),
            Self::ProtocolBroken => word!(
                "The server sent something that cannot be right; the connection was closed. Call IT.",
                "Der Server hat etwas gesendet, das nicht stimmen kann; die Verbindung wurde getrennt. Klinik-IT anrufen."
            ),
        }
    }
}

/// The alarms that are raised.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeSet<Alarm>>);

impl Alarms {
    /// Raises; true when it was not raised before.
    pub fn raise(&self, alarm: Alarm) -> bool {
        let new = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(alarm);
        if new {
            tracing::error!(alarm = ?alarm, "alarm");
        }
        new
    }
    /// Takes back; true when it was raised.
    pub fn clear(&self, alarm: Alarm) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&alarm)
    }
    /// Whether it is raised.
    #[must_use]
    pub fn raised(&self, alarm: Alarm) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&alarm)
    }
    /// Those that are raised, most serious first.
    #[must_use]
    pub fn all(&self) -> Vec<Alarm> {
        let raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.iter().copied().collect()
    }
    /// The words, most serious first.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.all().into_iter().map(|a| a.text().to_owned()).collect()
    }
}
