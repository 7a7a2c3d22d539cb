//! The synthetic hospital: a seeded generator of FHIR R4 data with no real names
