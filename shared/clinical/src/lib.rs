//! Pure clinical domain: ids, time, typed views of FHIR resources, the emergency card
