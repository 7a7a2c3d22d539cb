//! The synthetic hospital: a seeded generator of FHIR R4 (4.0.1) data in which no person is real.
//!
//! One seed and one instant give one hospital, byte for byte: a building, its staff, and as many patients as asked
//! for, each independent of every other, so that patient 900,000 costs what patient 0 costs. It feeds the
//! demonstration, the tests and the benchmarks. Pure: no clock, no files, no network, no randomness but the seed's.
//!
//! What never comes here: anything read from a real record, secrets of a real installation, and clinical rules; the
//! drug, interaction and limit tables make plausible screens and decide nothing. Called by the server's `demo`, by
//! `tests` and by `bench`.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]
#![deny(missing_docs)]

mod calendar;
mod draw;
mod facility;
mod fhir;
mod formulary;
mod heavy;
mod json;
mod measures;
mod names;
mod problems;
mod rng;
mod showcase;
mod story;
mod write;

pub use facility::{Bed, Staff, StaffRole, Ward};
pub use heavy::HEAVY_PATIENT;
pub use showcase::Showcase;

/// The seed of the demonstration: with it, `0..DEMO_PATIENTS` hold every kind and state the tests name.
pub const DEMO_SEED: u64 = 1;

/// How many patients a demonstration holds: everybody in a bed and a few who went home.
pub const DEMO_PATIENTS: u64 = 160;

/// A hospital. Two with the same seed and instant are the same hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hospital {
    /// What everything is drawn from.
    pub seed: u64,
    /// The instant at which the record ends, in UTC milliseconds; all times are relative to it.
    pub now_ms: i64,
}

/// FHIR id of patient `n`, e.g. `p000123`.
#[must_use]
pub fn patient_id(n: u64) -> String {
    format!("p{n:06}")
}

impl Hospital {
    /// The hospital of `seed` as it stands at `now_ms` (UTC milliseconds).
    #[must_use]
    pub const fn new(seed: u64, now_ms: i64) -> Self {
        Self { seed, now_ms }
    }

    /// The building, the staff and the medicines referred to, as one transaction Bundle (JSON). Import it first.
    #[must_use]
    pub fn foundation(&self) -> String {
        facility::foundation()
    }

    /// Everybody who works here, with the secrets of the demonstration (they depend on the seed).
    #[must_use]
    pub fn staff(&self) -> Vec<Staff> {
        facility::staff(*self)
    }

    /// The wards and their beds, empty ones included.
    #[must_use]
    pub fn wards(&self) -> Vec<Ward> {
        facility::wards()
    }

    /// How many patients are in a bed now: patients `0..in_house()`; the others are at home.
    #[must_use]
    pub fn in_house(&self) -> u64 {
        facility::in_house()
    }

    /// Medical record number of patient `n`: eight digits.
    #[must_use]
    pub fn mrn(&self, n: u64) -> String {
        draw::mrn(n)
    }

    /// Number on the band of patient `n` (GS1 AI 8018): eighteen digits.
    #[must_use]
    pub fn gsrn(&self, n: u64) -> String {
        draw::gsrn(n)
    }

    /// Everything recorded of patient `n`, as one transaction Bundle (JSON). References lead into it or into the
    /// foundation.
    #[must_use]
    pub fn patient(&self, n: u64) -> String {
        write::everything(&showcase::story(*self, n))
    }

    /// What an emergency needs of patient `n`, as one transaction Bundle (JSON): person, allergies, medicines,
    /// conditions, code status and a few observations. The same bytes, per resource, as in [`Hospital::patient`].
    #[must_use]
    pub fn essentials_only(&self, n: u64) -> String {
        write::essentials(&showcase::story(*self, n))
    }

    /// One patient ([`HEAVY_PATIENT`]) with exactly `resources` resources of fifteen years, as consecutive
    /// transaction Bundles of at most 500 entries. A reference leads into the same or an earlier bundle, or into the
    /// foundation.
    pub fn heavy_patient(&self, resources: usize) -> impl Iterator<Item = String> + use<> {
        heavy::Bundles::new(*self, resources)
    }

    /// The `k`-th laboratory result for `patient_id`, measured at `at_ms`: one Observation (JSON, with an id), now
    /// and then a critical one. For tests of the feed.
    #[must_use]
    pub fn live_lab(&self, patient_id: &str, k: u64, at_ms: i64) -> String {
        write::live_lab(*self, patient_id, k, at_ms)
    }

    /// A few patients worth opening, with what each shows.
    #[must_use]
    pub fn showcases(&self) -> Vec<Showcase> {
        showcase::list(*self)
    }
}
