//! FHIR R4 bytes to clinical views and back, byte for byte
