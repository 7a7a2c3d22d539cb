//! What one audit row says.

use crate::{AccessId, grant::GrantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A person signed in by name.
    User(UserId),
    /// A workstation on its own behalf (synchronisation, self-test).
    Device(DeviceId),
    /// An integrating program (a SMART backend client).
    Client(String),
    /// Whoever runs a command on the server's own machine, by operating-system account.
    Operator(String),
}

/// Why (HL7 v3 ActReason codes where one exists).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Treatment.
    #[serde(rename = "TREAT")]
    Treatment,
    /// Emergency treatment: the glass was broken.
    #[serde(rename = "BTG")]
    BreakGlass,
    /// Running the system: synchronisation, import, backup.
    #[serde(rename = "HSYSADMIN")]
    Operations,
    /// Reviewing accesses.
    #[serde(rename = "HCOMPL")]
    Compliance,
    /// Paying for care; stated by a caller.
    #[serde(rename = "HPAYMT")]
    Payment,
    /// Running the hospital; stated by a caller.
    #[serde(rename = "HOPERAT")]
    HealthcareOperations,
    /// Research; stated by a caller.
    #[serde(rename = "HRESCH")]
    Research,
    /// The patient asked for it; stated by a caller.
    #[serde(rename = "PATRQT")]
    PatientRequest,
}

impl Purpose {
    /// All of them, in the order of the golden matrix.
    pub const ALL: [Self; 8] = [
        Self::Treatment,
        Self::BreakGlass,
        Self::Payment,
        Self::HealthcareOperations,
        Self::Research,
        Self::PatientRequest,
        Self::Operations,
        Self::Compliance,
    ];

    /// The code of HL7 v3 ActReason, e.g. `TREAT`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::BreakGlass => "BTG",
            Self::Operations => "HSYSADMIN",
            Self::Compliance => "HCOMPL",
            Self::Payment => "HPAYMT",
            Self::HealthcareOperations => "HOPERAT",
            Self::Research => "HRESCH",
            Self::PatientRequest => "PATRQT",
        }
    }

    /// The purpose of a code that a caller states. `ETREAT` (emergency treatment) asks for what `BTG` asks for: a grant.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let code = if code == "ETREAT" { "BTG" } else { code };
        Self::ALL.into_iter().find(|p| p.code() == code)
    }
}

/// Whether policy allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Allowed.
    Permit,
    /// Denied: no data were disclosed.
    Deny,
}

/// One resource (or derived object) that was shown or written, with its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Disclosed {
    /// `Type/id`; the card is `EmergencyCard/<patient>`, a search row is `Patient/<id>`.
    pub key: ResourceKey,
    /// Our version.
    pub version: u64,
}

/// What a sealed value would disclose, known without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disclosure {
    /// The patients concerned, sorted, each once.
    pub patients: Vec<PatientId>,
    /// The resources concerned.
    pub resources: Vec<Disclosed>,
    /// How many resources in all, when `resources` names only the first of very many (a chart of 131,000): then
    /// `digest` covers the rest.
    pub total: u64,
    /// BLAKE3 over all `Type/id@version` lines when not every one is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One audit row before it is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The access this row proves.
    pub access_id: AccessId,
    /// Wall clock of the machine that writes the row.
    pub at: UtcMs,
    /// Who.
    pub actor: Actor,
    /// At which workstation, if at one.
    pub device: Option<DeviceId>,
    /// Which act ([`crate::action::NAMES`]).
    pub action: String,
    /// Why.
    pub purpose: Purpose,
    /// Whether it was allowed.
    pub decision: Decision,
    /// Id of the policy rule that decided.
    pub rule: String,
    /// The break-glass grant it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Patient the request was about, also when nothing was disclosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// What was disclosed or written.
    pub disclosure: Disclosure,
    /// Further facts: the query of a search, the file of an import, the reason of a break-glass.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}
