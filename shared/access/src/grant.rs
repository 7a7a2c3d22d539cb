//! Break-glass grants: immutable, one patient, one user, one workstation, for a limited time.

use crate::AccessId;
use serde::{Deserialize, Serialize};
use vitrine_clinical::{DeviceId, PatientId, UserId, UtcMs};

/// A grant's id; the access id of the act that broke the glass.
pub type GrantId = AccessId;

/// Default life of a grant, four hours in ms (product.md).
pub const GRANT_MS: i64 = 4 * 3_600_000;

/// Life of a grant of an emergency account, 30 minutes in ms (capabilities.md E7).
pub const DECLARED_GRANT_MS: i64 = 30 * 60_000;

/// An emergency account is one person's for so long after its envelope was opened, in ms (a shift, 12 h).
pub const ENVELOPE_MS: i64 = 12 * 3_600_000;

/// Fewest and most characters of a declared name.
pub const DECLARED_NAME: std::ops::RangeInclusive<usize> = 5..=120;

/// Review is due this long after the event, in ms (24 h; product.md).
pub const REVIEW_DUE_MS: i64 = 24 * 3_600_000;

/// Why the glass was broken. The digit is the key that chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// 1 Life-threatening emergency.
    LifeThreatening,
    /// 2 Unconscious or cannot consent.
    CannotConsent,
    /// 3 Covering for the team.
    Covering,
    /// 4 Mass casualty or downtime.
    MassCasualty,
    /// 5 Other, in words.
    Other,
}

impl Reason {
    /// All reasons in the order of their digits 1 to 5.
    pub const ALL: [Self; 5] = [
        Self::LifeThreatening,
        Self::CannotConsent,
        Self::Covering,
        Self::MassCasualty,
        Self::Other,
    ];

    /// The code, e.g. `life-threatening`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::LifeThreatening => "life-threatening",
            Self::CannotConsent => "cannot-consent",
            Self::Covering => "covering",
            Self::MassCasualty => "mass-casualty",
            Self::Other => "other",
        }
    }
    /// The words on the screen.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::LifeThreatening => "Life-threatening emergency",
            Self::CannotConsent => "Unconscious / cannot consent",
            Self::Covering => "Covering for team",
            Self::MassCasualty => "Mass casualty / downtime",
            Self::Other => "Other (words)",
        }
    }
    /// Reads a code or a digit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .enumerate()
            .find(|(i, r)| r.code() == text || (i + 1).to_string() == text)
            .map(|(_, r)| r)
    }
}

/// What ended a grant before its time (ADR 36).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// Its user, by the key for it.
    User,
    /// Its user locked the workstation, which signs out.
    Lock,
    /// Somebody else signed in at the workstation.
    Switch,
    /// The server took its user's session back: the account is disabled, the secret changed, the session over.
    TakenBack,
    /// The program was closed.
    Closed,
    /// It could be written to the reserve alone (full disk): it served the card for which it was made.
    Reserve,
    /// A reviewer took it back at the server (ADR 46).
    Revoked,
    /// In a way that this program does not know.
    #[serde(other)]
    Other,
}

impl EndedBy {
    /// The code, e.g. `lock`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Lock => "lock",
            Self::Switch => "switch",
            Self::TakenBack => "taken-back",
            Self::Closed => "closed",
            Self::Reserve => "reserve",
            Self::Revoked => "revoked",
            Self::Other => "other",
        }
    }
    /// What ended it, in the middle of a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::User => "its user ended it",
            Self::Lock => "its user locked the workstation",
            Self::Switch => "somebody else signed in at the workstation",
            Self::TakenBack => "the session of its user was taken back",
            Self::Closed => "the program was closed",
            Self::Reserve => "it served one card while the disk was full",
            Self::Revoked => "a reviewer took it back",
            Self::Other => "in a way that this server does not know",
        }
    }
    /// Reads a code; one that is not known here is [`Self::Other`].
    #[must_use]
    pub fn parse(code: &str) -> Self {
        let known = [
            Self::User,
            Self::Lock,
            Self::Switch,
            Self::TakenBack,
            Self::Closed,
            Self::Reserve,
            Self::Revoked,
        ];
        let found = known.into_iter().find(|by| by.code() == code);
        found.unwrap_or(Self::Other)
    }
}

/// The end of a grant before its time. A grant that ended covers nothing any more, whatever a clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended {
    /// When, by the clock of the workstation, or of the server where a reviewer took it back.
    pub at: UtcMs,
    /// What ended it.
    pub by: EndedBy,
}

/// Words that who broke the glass added afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LaterWords {
    /// When they were written, by the clock of the workstation.
    pub at: UtcMs,
    /// The words; 1 to [`crate::review::LONGEST_TEXT`] characters.
    pub text: String,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The access that broke the glass.
    pub id: GrantId,
    /// For whom.
    pub user: UserId,
    /// At which workstation only; `None` for a grant made at the server's own API.
    pub device: Option<DeviceId>,
    /// For which patient only.
    pub patient: PatientId,
    /// Why.
    pub reason: Reason,
    /// Words, where given.
    pub words: Option<String>,
    /// From.
    pub at: UtcMs,
    /// Until.
    pub until: UtcMs,
    /// Made without the server.
    pub offline: bool,
    /// Who somebody said they were who used an emergency account (ADR 49): nobody has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

impl Grant {
    /// Whether it covers this user, workstation and patient at that time. A clock set back before the grant's
    /// beginning does not prolong it.
    #[must_use]
    pub fn covers(&self, user: &UserId, device: Option<&DeviceId>, patient: &PatientId, at: UtcMs) -> bool {
        self.user == *user
            && self.device.as_ref() == device
            && self.patient == *patient
            && at >= self.at
            && at < self.until
    }
}
