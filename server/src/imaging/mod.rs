//! Images: taking them in, keeping their bytes, knowing what there is.
//!
//! Lives here: [`blobs`] (files), [`filing`] (from bytes to the index), [`held`] (what could not be filed), [`study`] (the
//! ImagingStudy resource), [`packing`] (pixels made ready to be streamed), [`packs`] (reading them), [`room`] (on their
//! disk) and [`copies`] (of the originals, elsewhere). Never here:
//! HTTP and DIMSE (they call `filing`), the index itself (the store), reading DICOM (`vitrine_dicom`).

pub mod blobs;
pub mod copies;
pub mod filing;
pub mod held;
pub mod packing;
pub mod packs;
pub mod room;
mod same;
pub mod study;
