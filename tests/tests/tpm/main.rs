//! The device's keys in a TPM 2.0 (ADR 47), on real ones in software: a new state folder is another TPM.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods)] // a harness reads the clock

mod move_keys;
mod sealer;
mod stolen;
mod workstation;
