//! The acts that policy knows, as types: a permit for one never serves another.

mod sealed {
    pub trait Listed {}
}

/// An act that policy decides. Only the types of this module are acts.
pub trait Action: sealed::Listed + Send + Sync + 'static {
    /// The name in the policy, the golden matrix and the audit row.
    const NAME: &'static str;
    /// True when the act concerns one patient, so that a request without a patient is refused.
    const OF_PATIENT: bool;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, patient: $p:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl sealed::Listed for $name {}
            impl Action for $name {
                const NAME: &'static str = $text;
                const OF_PATIENT: bool = $p;
            }
        )*
        /// The names of all acts, in the order of the golden matrix.
        pub const NAMES: &[&str] = &[$($text),*];
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
}
