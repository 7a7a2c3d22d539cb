//! `[audit.anomalies]`: when accesses are unusual enough to be told.

use serde::Deserialize;

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Thresholds of `audit anomalies`.
    pub anomalies: Anomalies,
}

/// `[audit.anomalies]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anomalies {
    /// More patients than this opened by one person within `burst_minutes`; 0 = the rule is off.
    pub burst_patients: u32,
    /// The time for `burst_patients` and `refused_patients`, in minutes.
    pub burst_minutes: u32,
    /// More patients of other wards than this refused to one person within that time; 0 = the rule is off.
    pub refused_patients: u32,
    /// Earlier accesses of a person without which no hour of theirs is called odd; 0 = the rule is off.
    pub odd_hour_rows: u32,
    /// An hour is odd with less than this share of the earlier accesses within an hour of it, in percent.
    pub odd_hour_percent: u32,
    /// Days before the time asked for in which is looked what is usual.
    pub history_days: u32,
    /// Accesses looked at, at most; more are refused.
    pub most_rows: usize,
}

impl Default for Anomalies {
    fn default() -> Self {
        Self {
            burst_patients: 40,
            burst_minutes: 60,
            refused_patients: 3,
            odd_hour_rows: 100,
            odd_hour_percent: 1,
            history_days: 60,
            most_rows: 1_000_000,
        }
    }
}
