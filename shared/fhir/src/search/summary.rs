//! The elements that `_summary=true` leaves of each type that is searched, and those that every part of it has.
//!
//! Source: the definitions of FHIR R4 (profiles-resources.json): the elements of a type that are `isSummary`, `isModifier` (without it
//! the rest would mean something else) or have to be there (so that what is left is a resource). A kept element is kept whole. What every
//! resource has is not here: `id`, `meta`, `implicitRules`, `modifierExtension`. `tests/tests/fhir_strangers.rs` compares it with them.

/// Type and elements, both in order; `!` behind a modifier and what has to be there.
#[rustfmt::skip]
static ELEMENTS: &[(&str, &str)] = &[
    ("AllergyIntolerance", "asserter category clinicalStatus! code criticality identifier patient! type verificationStatus!"),
    ("Appointment", "appointmentType cancelationReason end identifier participant! reasonCode serviceCategory serviceType specialty start status!"),
    ("CarePlan", "addresses author basedOn category created description encounter identifier instantiatesCanonical instantiatesUri intent! partOf period replaces status! subject! title"),
    ("CareTeam", "category encounter identifier managingOrganization name period status! subject"),
    ("Communication", "basedOn encounter identifier instantiatesCanonical instantiatesUri partOf priority reasonCode reasonReference status! statusReason subject"),
    ("Composition", "author! category confidentiality custodian date! encounter event identifier status! subject title! type!"),
    ("Condition", "asserter bodySite clinicalStatus! code encounter identifier onsetAge onsetDateTime onsetPeriod onsetRange onsetString recordedDate recorder subject! verificationStatus!"),
    ("Consent", "category! dateTime identifier organization patient performer policyRule provision scope! sourceAttachment sourceReference status! verification"),
    ("Coverage", "beneficiary! dependent identifier network order payor! period policyHolder status! subscriber subscriberId type"),
    ("Device", "safety status! udiCarrier"),
    ("DiagnosticReport", "category code! effectiveDateTime effectivePeriod encounter identifier issued media performer resultsInterpreter status! subject"),
    ("DocumentReference", "author category content! context date description docStatus identifier masterIdentifier relatesTo securityLabel status! subject type"),
    ("Encounter", "appointment class! diagnosis episodeOfCare identifier participant reasonCode reasonReference serviceType status! subject type"),
    ("Flag", "author category code! encounter identifier period status! subject!"),
    ("Goal", "achievementStatus category description! expressedBy lifecycleStatus! priority startCodeableConcept startDate statusDate subject!"),
    ("ImagingStudy", "basedOn description encounter endpoint identifier interpreter location modality note numberOfInstances numberOfSeries procedureCode procedureReference reasonCode reasonReference referrer series started status! subject!"),
    ("Immunization", "isSubpotent! note occurrenceDateTime! occurrenceString! patient! performer primarySource status! vaccineCode!"),
    ("List", "code date mode! source status! subject title"),
    ("Location", "description identifier managingOrganization mode name operationalStatus physicalType status! type"),
    ("Media", "basedOn bodySite content! createdDateTime createdPeriod device deviceName duration encounter frames height identifier issued modality operator partOf reasonCode status! subject type view width"),
    ("Medication", "amount code identifier manufacturer status!"),
    ("MedicationAdministration", "effectiveDateTime! effectivePeriod! instantiates medicationCodeableConcept! medicationReference! partOf performer status! subject!"),
    ("MedicationDispense", "medicationCodeableConcept! medicationReference! status! subject whenPrepared"),
    ("MedicationRequest", "authoredOn basedOn doNotPerform! groupIdentifier instantiatesCanonical instantiatesUri intent! medicationCodeableConcept! medicationReference! performerType priority reportedBoolean reportedReference requester status! subject!"),
    ("MedicationStatement", "basedOn category context dateAsserted effectiveDateTime effectivePeriod identifier medicationCodeableConcept! medicationReference! partOf status! subject!"),
    ("Observation", "basedOn code! component derivedFrom effectiveDateTime effectiveInstant effectivePeriod effectiveTiming encounter focus hasMember identifier issued partOf performer status! subject valueBoolean valueCodeableConcept valueDateTime valueInteger valuePeriod valueQuantity valueRange valueRatio valueSampledData valueString valueTime"),
    ("Organization", "active! identifier name partOf type"),
    ("Patient", "active! address birthDate deceasedBoolean! deceasedDateTime! gender identifier link! managingOrganization name telecom"),
    ("Practitioner", "active address birthDate gender identifier name telecom"),
    ("PractitionerRole", "active code identifier location organization period practitioner specialty telecom"),
    ("Procedure", "asserter basedOn bodySite category code encounter identifier instantiatesCanonical instantiatesUri location outcome partOf performedAge performedDateTime performedPeriod performedRange performedString performer reasonCode reasonReference recorder status! statusReason subject!"),
    ("Provenance", "agent! recorded! target!"),
    ("QuestionnaireResponse", "author authored basedOn encounter identifier partOf questionnaire source status! subject"),
    ("RelatedPerson", "active! address birthDate gender identifier name patient! relationship telecom"),
    ("RiskAssessment", "code condition encounter identifier method occurrenceDateTime occurrencePeriod performer status! subject!"),
    ("ServiceRequest", "asNeededBoolean asNeededCodeableConcept authoredOn basedOn bodySite category code doNotPerform! encounter identifier instantiatesCanonical instantiatesUri intent! locationCode locationReference occurrenceDateTime occurrencePeriod occurrenceTiming orderDetail patientInstruction performer performerType priority quantityQuantity quantityRange quantityRatio reasonCode reasonReference replaces requester requisition specimen status! subject!"),
    ("Specimen", "accessionIdentifier condition identifier receivedTime status! subject type"),
    ("Task", "basedOn businessStatus code description encounter executionPeriod focus for groupIdentifier instantiatesCanonical instantiatesUri intent! lastModified location owner partOf requester status! statusReason"),
];

/// Names of the elements, and whether every part of a resource has to have it (a modifier, or a minimum of 1); `None` of a type that is not
/// searched.
#[must_use]
pub fn summary_elements(kind: &str) -> Option<impl Iterator<Item = (&'static str, bool)>> {
    let at = ELEMENTS.binary_search_by_key(&kind, |(name, _)| *name).ok()?;
    let names = ELEMENTS.get(at).map(|(_, names)| names.split(' '))?;
    Some(names.map(|name| name.strip_suffix('!').map_or((name, false), |name| (name, true))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::parameters;

    #[test]
    fn every_type_that_is_searched_has_its_elements_in_order() {
        for kind in crate::RESOURCE_TYPES {
            assert_eq!(
                summary_elements(kind).is_some(),
                !parameters(kind).is_empty(),
                "{kind}"
            );
            let names: Vec<(&str, bool)> = summary_elements(kind).into_iter().flatten().collect();
            assert!(names.is_sorted_by(|a, b| a.0 < b.0), "{kind}: {names:?}");
        }
        assert!(ELEMENTS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
