//! The pixels of one frame, as both ends must agree on them: bytes in, bytes out.
//!
//! Lives here: the canonical form of a frame's pixels ([`Shape`], [`digest`]), its progressive lossless coding
//! ([`layers`]), the file that holds many coded frames ([`pack`]) and samples made visible ([`samples`]).
//! Never here: DICOM headers, files, a network, a clock, random numbers, a decision about access.
//! Called by the server (packs, rendered images) and the workstation engine (decoding what it shows).
//!
//! # Plain pixels
//! Rows top to bottom, columns left to right, samples of one pixel side by side. A sample takes 1 byte when
//! [`Shape::bits`] is at most 8, 2 bytes (little endian) up to 16, 4 bytes up to 32; a signed value is sign-extended and
//! an unsigned one zero-extended to that width. Overlay bits and padding bits are gone. [`digest`] is over these bytes.

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

pub mod layers;
pub mod pack;
pub mod samples;
mod shape;

pub use shape::{Colour, Shape, ShapeError, digest, range};
