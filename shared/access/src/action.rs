//! The acts that policy knows, as types: a permit for one never serves another. And [`Kind`]: every act a row of the audit
//! log can name, also those that come before the policy.

mod sealed {
    pub trait Listed {}
}

/// An act that policy decides. Only the types of this module are acts.
pub trait Action: sealed::Listed + Send + Sync + 'static {
    /// The name in the policy, the golden matrix and the audit row.
    const NAME: &'static str;
    /// The same as a value.
    const KIND: Kind;
    /// True when the act concerns one patient, so that a request without a patient is refused.
    const OF_PATIENT: bool;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, patient: $p:literal;)*
     @early $($(#[$early_doc:meta])* $early:ident = $early_text:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl sealed::Listed for $name {}
            impl Action for $name {
                const NAME: &'static str = $text;
                const KIND: Kind = Kind::$name;
                const OF_PATIENT: bool = $p;
            }
        )*
        /// The names of all acts, in the order of the golden matrix.
        pub const NAMES: &[&str] = &[$($text),*];
        /// What a row of the audit log can be about. Whoever shows rows in another form answers for every one of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            $($(#[$early_doc])* $early,)*
        }
        impl Kind {
            /// All of them: first those of the policy in the order of the golden matrix.
            pub const ALL: &[Self] = &[$(Self::$name,)* $(Self::$early,)*];
            /// The name in the audit row.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* $(Self::$early => $early_text,)* }
            }
            /// The kind of that name; `None` for an act that this program does not know.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* $($early_text => Some(Self::$early),)* _ => None }
            }
        }
        /// Whether the act of that name concerns one patient; `None` for a name that is no act.
        #[must_use]
        pub fn of_patient(name: &str) -> Option<bool> {
            match name { $($text => Some($p),)* _ => None }
        }
    };
}

actions! {
    /// Read the emergency card of one patient.
    ReadCard = "read-card", patient: true;
    /// Read the whole record of one patient.
    ReadChart = "read-chart", patient: true;
    /// Read single resources of one patient, or of none (Location, Practitioner).
    ReadResource = "read-resource", patient: false;
    /// Find patients: minimal demographics of many.
    SearchPatients = "search-patients", patient: false;
    /// See the board of a ward.
    ViewBoard = "view-board", patient: false;
    /// Create, change or delete clinical resources.
    WriteClinical = "write-clinical", patient: false;
    /// Break the glass on one patient.
    BreakGlass = "break-glass", patient: true;
    /// Hand a device the items of a scope (a workstation's own synchronisation).
    SyncScope = "sync-scope", patient: false;
    /// Send what bedside monitors say now, for the walls of the wards: nothing of it becomes part of a record.
    SendLive = "send-live", patient: false;
    /// Cut a workstation off from the server on purpose, for a downtime drill.
    RunDrill = "run-drill", patient: false;
    /// Bring in files on the server.
    ImportData = "import-data", patient: false;
    /// Manage users.
    ManageUsers = "manage-users", patient: false;
    /// Enrol, list and revoke devices.
    ManageDevices = "manage-devices", patient: false;
    /// Read and verify the audit log.
    ReadAudit = "read-audit", patient: false;
    /// Review break-glass accesses.
    ReviewBreakGlass = "review-break-glass", patient: false;
    /// Back up, restore, migrate, check.
    OperateServer = "operate-server", patient: false;
    /// Put a record under legal hold, or release it.
    HoldRecord = "hold-record", patient: true;
    /// Ask for the destruction of a record, or take such a request back.
    RequestDestruction = "request-destruction", patient: true;
    /// Approve the destruction that somebody else asked for.
    ApproveDestruction = "approve-destruction", patient: true;
    /// Carry out an approved destruction.
    DestroyRecord = "destroy-record", patient: true;
    @early
    /// Somebody signs in, or is not let in.
    SignIn = "sign-in";
    /// A session ends.
    SignOut = "sign-out";
    /// Somebody says who they are to break the glass, and is not believed.
    Identify = "identify";
    /// A workstation is enrolled with a one-time code.
    Enrol = "enrol";
    /// A workstation says that it has wiped itself.
    Wiped = "wiped";
    /// A workstation's chain of rows is not what it should be.
    Alarm = "alarm";
    /// A workstation tests itself.
    SelfTest = "self-test";
    /// A downtime drill ends.
    EndDrill = "end-drill";
    /// A grant comes in that was made without the server.
    ReceiveGrant = "receive-grant";
    /// A break-glass access ends before its time.
    EndBreakGlass = "end-break-glass";
    /// Words are added to a break-glass access by who made it.
    ExplainBreakGlass = "explain-break-glass";
    /// A request claims the lane of emergencies without being entitled to it.
    ClaimLane = "claim-lane";
    /// A program asks what a token of its own is good for.
    IntrospectToken = "introspect-token";
    /// A person lets a program in, or does not; or starts it on a patient.
    AuthorizeApp = "authorize-app";
    /// Somebody makes, or confirms, a second factor of their own.
    SecondFactor = "second-factor";
    /// Somebody gives themselves a new password or PIN.
    ChangeSecret = "change-secret";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_named() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(*kind));
        }
        assert_eq!(Kind::ALL.len(), NAMES.len() + 16);
        assert!(Kind::ALL.iter().zip(NAMES).all(|(k, n)| k.name() == *n));
        assert_eq!(Kind::parse("other"), None);
        assert_eq!(<ReadCard as Action>::KIND, Kind::ReadCard);
    }
}
