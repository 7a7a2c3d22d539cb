//! DICOM Part 10 bytes: what a file is, where its pixels lie, what its header says. Bytes in, bytes out.
//!
//! Lives here: the strict walk over a file before any parser sees it ([`mod@scan`]), the header index of one instance
//! ([`mod@index`]), facts about transfer syntaxes ([`syntax`]) and SOP classes ([`class`]), a small deterministic writer
//! ([`mod@write`]) and the product's own synthetic images ([`phantom`]).
//! Never here: files, a network, a clock, random numbers, a decision about access, a pixel on a screen. What a file
//! declares is believed only after it was compared with what the file has.
//! Called by the server (ingest, DICOMweb) and the workstation engine (reading what it is given offline).

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

pub mod class;
pub mod display;
pub mod index;
pub mod phantom;
pub mod scan;
pub mod stages;
pub mod syntax;
pub mod write;

pub use dicom_core::{Tag, VR};
pub use index::{IndexError, Instance, index};
pub use scan::{Scan, ScanError, scan};
