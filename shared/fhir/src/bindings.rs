//! Required code bindings of FHIR R4 that the typed views stand on. fhirkit reads strictly but does not look at them
//! (it takes an Observation with the status "finalx"); a status nobody knows must not reach the card.
//!
//! Source: hl7.org/fhir/R4, the value sets bound with strength "required". A code given as a primitive must be one of
//! the list; a coded concept must carry at least one code of the list from the system named, and none of that system
//! from outside it. An element that only says why it is absent is left alone.

use crate::issue::{Issue, IssueCode};
use crate::json::Node;
use fhirkit::Json;

/// The concrete resource types of FHIR R4 (4.0.1), sorted.
pub const RESOURCE_TYPES: [&str; 146] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

/// A binding: resource type, path below it, allowed codes, and the code system where the element is a concept.
struct Binding {
    kind: &'static str,
    path: &'static str,
    system: Option<&'static str>,
    codes: &'static [&'static str],
}

const fn code(kind: &'static str, path: &'static str, codes: &'static [&'static str]) -> Binding {
    Binding {
        kind,
        path,
        system: None,
        codes,
    }
}

const fn concept(
    kind: &'static str,
    path: &'static str,
    system: &'static str,
    codes: &'static [&'static str],
) -> Binding {
    Binding {
        kind,
        path,
        system: Some(system),
        codes,
    }
}

const GENDER: &[&str] = &["male", "female", "other", "unknown"];
const NAME_USE: &[&str] = &[
    "usual",
    "official",
    "temp",
    "nickname",
    "anonymous",
    "old",
    "maiden",
];
const IDENTIFIER_USE: &[&str] = &["usual", "official", "temp", "secondary", "old"];
const CONTACT_SYSTEM: &[&str] = &["phone", "fax", "email", "pager", "url", "sms", "other"];
const REQUEST_STATUS: &[&str] = &[
    "draft",
    "active",
    "on-hold",
    "revoked",
    "completed",
    "entered-in-error",
    "unknown",
];
const REQUEST_INTENT: &[&str] = &[
    "proposal",
    "plan",
    "directive",
    "order",
    "original-order",
    "reflex-order",
    "filler-order",
    "instance-order",
    "option",
];
const PRIORITY: &[&str] = &["routine", "urgent", "asap", "stat"];
const OBSERVATION_STATUS: &[&str] = &[
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
    "unknown",
];
const EVENT_STATUS: &[&str] = &[
    "preparation",
    "in-progress",
    "not-done",
    "on-hold",
    "stopped",
    "completed",
    "entered-in-error",
    "unknown",
];
const ENCOUNTER_STATUS: &[&str] = &[
    "planned",
    "arrived",
    "triaged",
    "in-progress",
    "onleave",
    "finished",
    "cancelled",
    "entered-in-error",
    "unknown",
];
const COMPARATOR: &[&str] = &["<", "<=", ">=", ">"];
const ALLERGY_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
const ALLERGY_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
const CONDITION_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const CONDITION_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";

const BINDINGS: &[Binding] = &[
    concept(
        "AllergyIntolerance",
        "clinicalStatus",
        ALLERGY_CLINICAL,
        &["active", "inactive", "resolved"],
    ),
    concept(
        "AllergyIntolerance",
        "verificationStatus",
        ALLERGY_VERIFICATION,
        &[
            "unconfirmed",
            "confirmed",
            "refuted",
            "entered-in-error",
            "presumed",
        ],
    ),
    code("AllergyIntolerance", "type", &["allergy", "intolerance"]),
    code(
        "AllergyIntolerance",
        "category",
        &["food", "medication", "environment", "biologic"],
    ),
    code(
        "AllergyIntolerance",
        "criticality",
        &["low", "high", "unable-to-assess"],
    ),
    code(
        "AllergyIntolerance",
        "reaction.severity",
        &["mild", "moderate", "severe"],
    ),
    concept(
        "Condition",
        "clinicalStatus",
        CONDITION_CLINICAL,
        &[
            "active",
            "recurrence",
            "relapse",
            "inactive",
            "remission",
            "resolved",
        ],
    ),
    concept(
        "Condition",
        "verificationStatus",
        CONDITION_VERIFICATION,
        &[
            "unconfirmed",
            "provisional",
            "differential",
            "confirmed",
            "refuted",
            "entered-in-error",
        ],
    ),
    code(
        "Medication",
        "status",
        &["active", "inactive", "entered-in-error"],
    ),
    code(
        "MedicationRequest",
        "status",
        &[
            "active",
            "on-hold",
            "cancelled",
            "completed",
            "entered-in-error",
            "stopped",
            "draft",
            "unknown",
        ],
    ),
    code(
        "MedicationRequest",
        "intent",
        &[
            "proposal",
            "plan",
            "order",
            "original-order",
            "reflex-order",
            "filler-order",
            "instance-order",
            "option",
        ],
    ),
    code("MedicationRequest", "priority", PRIORITY),
    code(
        "MedicationStatement",
        "status",
        &[
            "active",
            "completed",
            "entered-in-error",
            "intended",
            "stopped",
            "on-hold",
            "unknown",
            "not-taken",
        ],
    ),
    code(
        "MedicationAdministration",
        "status",
        &[
            "in-progress",
            "not-done",
            "on-hold",
            "completed",
            "entered-in-error",
            "stopped",
            "unknown",
        ],
    ),
    code(
        "MedicationDispense",
        "status",
        &[
            "preparation",
            "in-progress",
            "cancelled",
            "on-hold",
            "completed",
            "entered-in-error",
            "stopped",
            "declined",
            "unknown",
        ],
    ),
    code("Observation", "status", OBSERVATION_STATUS),
    code("Observation", "valueQuantity.comparator", COMPARATOR),
    code("Observation", "component.valueQuantity.comparator", COMPARATOR),
    code(
        "DiagnosticReport",
        "status",
        &[
            "registered",
            "partial",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "appended",
            "cancelled",
            "entered-in-error",
            "unknown",
        ],
    ),
    code(
        "DocumentReference",
        "status",
        &["current", "superseded", "entered-in-error"],
    ),
    code(
        "DocumentReference",
        "docStatus",
        &["preliminary", "final", "amended", "entered-in-error"],
    ),
    code("Encounter", "status", ENCOUNTER_STATUS),
    code(
        "Encounter",
        "location.status",
        &["planned", "active", "reserved", "completed"],
    ),
    code("Flag", "status", &["active", "inactive", "entered-in-error"]),
    code("Procedure", "status", EVENT_STATUS),
    code(
        "Immunization",
        "status",
        &["completed", "entered-in-error", "not-done"],
    ),
    code(
        "Device",
        "status",
        &["active", "inactive", "entered-in-error", "unknown"],
    ),
    code(
        "DeviceUseStatement",
        "status",
        &[
            "active",
            "completed",
            "entered-in-error",
            "intended",
            "stopped",
            "on-hold",
        ],
    ),
    code(
        "Consent",
        "status",
        &[
            "draft",
            "proposed",
            "active",
            "rejected",
            "inactive",
            "entered-in-error",
        ],
    ),
    code("Consent", "provision.type", &["deny", "permit"]),
    code("ServiceRequest", "status", REQUEST_STATUS),
    code("ServiceRequest", "intent", REQUEST_INTENT),
    code("ServiceRequest", "priority", PRIORITY),
    code("Patient", "gender", GENDER),
    code("Patient", "name.use", NAME_USE),
    code("Patient", "identifier.use", IDENTIFIER_USE),
    code("Patient", "telecom.system", CONTACT_SYSTEM),
    code("Patient", "contact.gender", GENDER),
    code("Patient", "contact.name.use", NAME_USE),
    code(
        "Patient",
        "link.type",
        &["replaced-by", "replaces", "refer", "seealso"],
    ),
    code("RelatedPerson", "gender", GENDER),
    code("RelatedPerson", "name.use", NAME_USE),
    code("Practitioner", "gender", GENDER),
    code("Practitioner", "name.use", NAME_USE),
    code("Location", "status", &["active", "suspended", "inactive"]),
    code("Location", "mode", &["instance", "kind"]),
    code(
        "Bundle",
        "type",
        &[
            "document",
            "message",
            "transaction",
            "transaction-response",
            "batch",
            "batch-response",
            "history",
            "searchset",
            "collection",
        ],
    ),
];

/// Adds an issue for every code outside its value set.
pub(crate) fn check(kind: &str, root: &Json, issues: &mut Vec<Issue>) {
    for binding in BINDINGS.iter().filter(|b| b.kind == kind) {
        let mut nodes = vec![root];
        for part in binding.path.split('.') {
            nodes = nodes.iter().flat_map(|n| n.items(part)).collect();
        }
        if nodes.iter().any(|n| !fits(binding, n)) {
            let text = format!("the code is not one of: {}", binding.codes.join(", "));
            issues.push(Issue::new(
                IssueCode::CodeInvalid,
                format!("{kind}.{}", binding.path),
                text,
            ));
        }
    }
}

fn fits(binding: &Binding, node: &Json) -> bool {
    let Some(system) = binding.system else {
        return node.as_str().is_none_or(|c| binding.codes.contains(&c));
    };
    let codings = node.items("coding");
    if codings.is_empty() && node.text("text").is_none() {
        return true;
    }
    let of_system: Vec<_> = codings
        .iter()
        .filter(|c| c.text("system") == Some(system))
        .collect();
    let allowed = |c: &&Json| c.text("code").is_some_and(|code| binding.codes.contains(&code));
    !of_system.is_empty() && of_system.iter().all(allowed)
}
