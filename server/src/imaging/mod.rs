//! Images: taking them in, keeping their bytes, knowing what there is.
//!
//! Lives here: [`blobs`] (files), [`filing`] (from bytes to the index), [`study`] (the ImagingStudy resource),
//! [`packing`] (pixels made ready to be streamed) and [`packs`] (reading them). Never here:
//! HTTP and DIMSE (they call `filing`), the index itself (the store), reading DICOM (`vitrine_dicom`).

pub mod blobs;
pub mod filing;
pub mod packing;
pub mod packs;
pub mod study;
