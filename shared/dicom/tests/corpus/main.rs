//! Other people's DICOM files, scanned and indexed by our doors. The files live beside the repository (`../shared/data`,
//! see its MANIFEST); in CI their absence is a failure, elsewhere the tests say that they were skipped.

mod charsets;
mod display;
mod files;
mod headers;
mod mutations;
