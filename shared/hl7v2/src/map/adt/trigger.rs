//! What each event does to the visit.

use crate::fault::{Code, Fault, Place};

/// What an event means for the visit; several events of ADT mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A01: admitted.
    Admit,
    /// A04: registered; the patient is here and is waited on (outpatients, emergency).
    Register,
    /// A02, A10, A12, and A06, A07 with another class: the patient is where PV1-3 says, from now on.
    Move,
    /// A03: gone.
    Discharge,
    /// A05, A14: expected.
    Expect,
    /// A08, A28, A31, A60 and the pending ones: what is said, without touching status.
    Tell,
    /// A09, A15, A26: what is said, without the location: PV1-3 is not where the patient is from now on.
    TellNotWhere,
    /// A11, A27: it does not take place.
    Cancel,
    /// A13: discharged by mistake, here again.
    Reopen,
    /// A23: it was never there.
    Mistake,
    /// A47: as [`Trigger::Tell`], and the identifiers of MRG-1 are old ones.
    Renumber,
}

impl Trigger {
    /// Of an event.
    pub(super) fn of(event: &str) -> Result<Self, Fault> {
        let not = |text: &str| {
            Err(Fault::at(
                Code::UnsupportedEvent,
                Place {
                    rep: 1,
                    comp: 2,
                    ..Place::field("MSH", 9)
                },
                text,
            ))
        };
        match event {
            "A01" => Ok(Self::Admit),
            "A02" | "A06" | "A07" | "A10" | "A12" => Ok(Self::Move),
            "A03" => Ok(Self::Discharge),
            "A04" => Ok(Self::Register),
            "A05" | "A14" => Ok(Self::Expect),
            "A08" | "A16" | "A25" | "A28" | "A31" | "A60" => Ok(Self::Tell),
            "A09" | "A15" | "A26" => Ok(Self::TellNotWhere),
            "A11" | "A27" => Ok(Self::Cancel),
            "A13" => Ok(Self::Reopen),
            "A23" => Ok(Self::Mistake),
            "A47" => Ok(Self::Renumber),
            "A17" => not("two patients change beds: send an A02 for each, or change the beds by hand"),
            "A18" | "A34" | "A40" => not(
                "two records of one patient are merged: a person has to compare them; nothing is merged by a message",
            ),
            "A41" => {
                not("accounts are merged: a person has to see whether a visit recorded here is concerned")
            }
            "A45" => {
                not("a visit is moved to another patient: a person has to correct the visit in both records")
            }
            "A29" => not(
                "a person's record is to be deleted: nothing is deleted by a message; a person has to decide",
            ),
            "" => Err(Fault::at(
                Code::RequiredField,
                Place::field("MSH", 9),
                "the event of an ADT message is missing",
            )),
            _ => not("this event of ADT is not taken: see docs/HL7.md for those that are"),
        }
    }

    /// Whether the event is about a visit, so that without one it says nothing.
    pub(super) const fn needs_visit(self) -> bool {
        !matches!(self, Self::Tell | Self::Renumber)
    }

    /// Whether the patient is where PV1-3 says.
    pub(super) const fn says_where(self) -> bool {
        !matches!(self, Self::TellNotWhere)
    }

    /// The status of the visit after it; none where it leaves it as it is. `ambulatory`: the visit is an outpatient's or of the
    /// emergency department.
    pub(super) const fn status(self, ambulatory: bool) -> Option<&'static str> {
        match self {
            Self::Register if ambulatory => Some("arrived"),
            Self::Admit | Self::Register | Self::Move | Self::Reopen => Some("in-progress"),
            Self::Discharge => Some("finished"),
            Self::Expect => Some("planned"),
            Self::Cancel => Some("cancelled"),
            Self::Mistake => Some("entered-in-error"),
            Self::Tell | Self::TellNotWhere | Self::Renumber => None,
        }
    }
}
