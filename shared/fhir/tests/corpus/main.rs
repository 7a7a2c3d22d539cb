//! Other people's FHIR R4 data, read by our doors. The files live beside the repository (`../shared/data`, see its
//! MANIFEST); in CI their absence is a failure, elsewhere the tests say that they were skipped.

mod allergies;
mod cards;
mod files;
mod validation;
