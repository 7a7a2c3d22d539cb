//! Sticky alarms: what a person must know of until it is resolved. No PHI.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

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
    pub const fn text(self) -> &'static str {
        match self {
            Self::AuditInMemory => {
                "EMERGENCY ACCESS IS RECORDED IN MEMORY ONLY — the disk is full. Do not switch this workstation off. Call IT now."
            }
            Self::AuditInReserve => {
                "The disk is full: emergency access is recorded in the reserve. Ordinary charts cannot be opened. Call IT now."
            }
            Self::OutboxUnwritable => {
                "The audit log cannot be written: ordinary charts cannot be opened. Emergency access works. Call IT."
            }
            Self::Revoked => "This workstation is no longer enrolled — its data were removed.",
            Self::AuditFork => {
                "The audit log of this workstation differs from the server's: the disk was rolled back or copied. Call IT."
            }
            Self::TrainingMixed => {
                "Either this workstation or its server is for training, and the other is not: nothing is sent and nothing is taken. Call IT: enrol this workstation anew in a folder of its own."
            }
            Self::ServerRefuses => {
                "The server refuses this workstation or this version of the program. Call IT."
            }
            Self::ForgedWipe => {
                "An order to erase this workstation came that the server did not sign. It was not obeyed. Call IT."
            }
            Self::EntriesUnreadable => {
                "What was recorded at this workstation and not yet sent cannot be read: it is missing on every screen here. Call IT."
            }
            Self::EssentialsDamaged => {
                "Some stored data are damaged: those patients show as unavailable until they are fetched again."
            }
            Self::EssentialsStuck => {
                "Stored data are damaged and cannot be renewed in place: others' changes do not arrive here. Call IT: vitrine-cli cache renew."
            }
            Self::EssentialsReadOnly => {
                "The disk is full: data are readable here and are not being updated. Call IT."
            }
            Self::ProtocolBroken => {
                "The server sent something that cannot be right; the connection was closed. Call IT."
            }
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
    /// The words, most serious first.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|a| a.text().to_owned())
            .collect()
    }
}
