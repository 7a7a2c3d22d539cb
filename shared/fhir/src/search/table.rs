//! The search parameters of FHIR R4 that are answered, as a table of our own: name, type, where in a resource it looks.
//!
//! Source: the search parameters of each type at hl7.org/fhir/R4, and those that US Core 6.1.0 adds. A path is a list of member names;
//! arrays are walked; `[system=phone]` keeps what has that member; what a path leads to is read by its shape (a Coding, a
//! CodeableConcept, an Identifier, a Period …). Left out: what needs more of the resource than this (`Observation.code` of
//! members, `near`, `relationship` of DocumentReference).

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ParamKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in R4.
    pub name: &'static str,
    /// Its type.
    pub kind: ParamKind,
    /// For a reference: the types it may lead to; empty = any.
    pub targets: &'static [&'static str],
    /// Where it looks; for a composite: the elements that its parts are of (`""` = the resource).
    pub paths: &'static [&'static str],
    /// The parts of a composite.
    pub parts: &'static [Part],
}

/// A part of a composite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its type.
    pub kind: ParamKind,
    /// Where it looks, from the composite's element.
    pub paths: &'static [&'static str],
}

type P = Parameter;
type Paths = &'static [&'static str];

const fn plain(name: &'static str, kind: ParamKind, paths: Paths) -> P {
    P {
        name,
        kind,
        targets: &[],
        paths,
        parts: &[],
    }
}
const fn t(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::Token, paths)
}
const fn s(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::String, paths)
}
const fn d(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::Date, paths)
}
const fn u(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::Uri, paths)
}
const fn q(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::Quantity, paths)
}
const fn n(name: &'static str, paths: Paths) -> P {
    plain(name, ParamKind::Number, paths)
}
const fn r(name: &'static str, paths: Paths, targets: &'static [&'static str]) -> P {
    P {
        name,
        kind: ParamKind::Reference,
        targets,
        paths,
        parts: &[],
    }
}
const fn c(name: &'static str, paths: Paths, parts: &'static [Part]) -> P {
    P {
        name,
        kind: ParamKind::Composite,
        targets: &[],
        paths,
        parts,
    }
}
const fn part(kind: ParamKind, paths: Paths) -> Part {
    Part { kind, paths }
}

const PATIENT: &[&str] = &["Patient"];
const ANY: &[&str] = &[];

/// Of every type. `_id` and `_lastUpdated` are of the server's own id and date.
pub static GENERAL: &[P] = &[
    t("_id", &["id"]),
    d("_lastUpdated", &["meta.lastUpdated"]),
    t("_tag", &["meta.tag"]),
    u("_profile", &["meta.profile"]),
    t("_security", &["meta.security"]),
    u("_source", &["meta.source"]),
];

const ADDRESS: [P; 6] = [
    s("address", &["address"]),
    s("address-city", &["address.city"]),
    s("address-country", &["address.country"]),
    s("address-postalcode", &["address.postalCode"]),
    s("address-state", &["address.state"]),
    t("address-use", &["address.use"]),
];

const CODE_VALUE: &[Part] = &[
    part(ParamKind::Token, &["code"]),
    part(ParamKind::Quantity, &["valueQuantity", "valueSampledData"]),
];
const CODE_DATE: &[Part] = &[
    part(ParamKind::Token, &["code"]),
    part(ParamKind::Date, &["valueDateTime", "valuePeriod"]),
];
const CODE_STRING: &[Part] = &[
    part(ParamKind::Token, &["code"]),
    part(ParamKind::String, &["valueString"]),
];
const CODE_CONCEPT: &[Part] = &[
    part(ParamKind::Token, &["code"]),
    part(ParamKind::Token, &["valueCodeableConcept"]),
];

static ALLERGY: &[P] = &[
    r("patient", &["patient"], PATIENT),
    t("clinical-status", &["clinicalStatus"]),
    t("verification-status", &["verificationStatus"]),
    t("code", &["code", "reaction.substance"]),
    t("category", &["category"]),
    t("criticality", &["criticality"]),
    t("type", &["type"]),
    d("date", &["recordedDate"]),
    d("last-date", &["lastOccurrence"]),
    d("onset", &["reaction.onset"]),
    t("manifestation", &["reaction.manifestation"]),
    t("route", &["reaction.exposureRoute"]),
    t("severity", &["reaction.severity"]),
    r("asserter", &["asserter"], ANY),
    r("recorder", &["recorder"], ANY),
    t("identifier", &["identifier"]),
];
static APPOINTMENT: &[P] = &[
    r("patient", &["participant.actor"], PATIENT),
    r("actor", &["participant.actor"], ANY),
    r("practitioner", &["participant.actor"], &["Practitioner"]),
    r("location", &["participant.actor"], &["Location"]),
    t("part-status", &["participant.status"]),
    d("date", &["start"]),
    t("status", &["status"]),
    t("appointment-type", &["appointmentType"]),
    t("service-category", &["serviceCategory"]),
    t("service-type", &["serviceType"]),
    t("specialty", &["specialty"]),
    t("reason-code", &["reasonCode"]),
    r("reason-reference", &["reasonReference"], ANY),
    r("based-on", &["basedOn"], ANY),
    r("slot", &["slot"], ANY),
    r("supporting-info", &["supportingInformation"], ANY),
    t("identifier", &["identifier"]),
];
static CARE_PLAN: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("status", &["status"]),
    t("intent", &["intent"]),
    d("date", &["period"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("condition", &["addresses"], &["Condition"]),
    r("goal", &["goal"], &["Goal"]),
    r("care-team", &["careTeam"], &["CareTeam"]),
    r("based-on", &["basedOn"], ANY),
    r("part-of", &["partOf"], ANY),
    r("replaces", &["replaces"], ANY),
    r("activity-reference", &["activity.reference"], ANY),
    t("activity-code", &["activity.detail.code"]),
    d(
        "activity-date",
        &[
            "activity.detail.scheduledTiming",
            "activity.detail.scheduledPeriod",
        ],
    ),
    r("performer", &["activity.detail.performer"], ANY),
    u("instantiates-uri", &["instantiatesUri"]),
    r("instantiates-canonical", &["instantiatesCanonical"], ANY),
    t("identifier", &["identifier"]),
];
static CARE_TEAM: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("status", &["status"]),
    t("role", &["participant.role"]),
    t("category", &["category"]),
    d("date", &["period"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("participant", &["participant.member"], ANY),
    t("identifier", &["identifier"]),
];
static COMMUNICATION: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("status", &["status"]),
    t("medium", &["medium"]),
    d("sent", &["sent"]),
    d("received", &["received"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("recipient", &["recipient"], ANY),
    r("sender", &["sender"], ANY),
    r("based-on", &["basedOn"], ANY),
    r("part-of", &["partOf"], ANY),
    u("instantiates-uri", &["instantiatesUri"]),
    r("instantiates-canonical", &["instantiatesCanonical"], ANY),
    t("identifier", &["identifier"]),
];
static COMPOSITION: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("type", &["type"]),
    t("category", &["category"]),
    t("status", &["status"]),
    t("confidentiality", &["confidentiality"]),
    t("section", &["section.code"]),
    s("title", &["title"]),
    d("date", &["date"]),
    d("period", &["event.period"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("author", &["author"], ANY),
    r("attester", &["attester.party"], ANY),
    r("entry", &["section.entry"], ANY),
    t("context", &["event.code"]),
    t("related-id", &["relatesTo.targetIdentifier"]),
    r("related-ref", &["relatesTo.targetReference"], &["Composition"]),
    t("identifier", &["identifier"]),
];
static CONDITION: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("clinical-status", &["clinicalStatus"]),
    t("verification-status", &["verificationStatus"]),
    t("code", &["code"]),
    t("severity", &["severity"]),
    t("stage", &["stage.summary"]),
    t("body-site", &["bodySite"]),
    t("evidence", &["evidence.code"]),
    r("evidence-detail", &["evidence.detail"], ANY),
    d("onset-date", &["onsetDateTime", "onsetPeriod"]),
    s("onset-info", &["onsetString"]),
    q("onset-age", &["onsetAge", "onsetRange"]),
    d("abatement-date", &["abatementDateTime", "abatementPeriod"]),
    s("abatement-string", &["abatementString"]),
    q("abatement-age", &["abatementAge", "abatementRange"]),
    d("recorded-date", &["recordedDate"]),
    d(
        "asserted-date",
        &["extension[url=http://hl7.org/fhir/StructureDefinition/condition-assertedDate].valueDateTime"],
    ),
    r("encounter", &["encounter"], &["Encounter"]),
    r("asserter", &["asserter"], ANY),
    t("identifier", &["identifier"]),
];
static CONSENT: &[P] = &[
    r("patient", &["patient"], PATIENT),
    t("status", &["status"]),
    t("scope", &["scope"]),
    t("category", &["category"]),
    d("date", &["dateTime"]),
    d("period", &["provision.period"]),
    t("action", &["provision.action"]),
    t("purpose", &["provision.purpose"]),
    t("security-label", &["provision.securityLabel"]),
    r("actor", &["provision.actor.reference"], ANY),
    r("data", &["provision.data.reference"], ANY),
    r("consentor", &["performer"], ANY),
    r("organization", &["organization"], &["Organization"]),
    r("source-reference", &["sourceReference"], ANY),
    t("identifier", &["identifier"]),
];
static COVERAGE: &[P] = &[
    r("patient", &["beneficiary"], PATIENT),
    r("beneficiary", &["beneficiary"], PATIENT),
    t("status", &["status"]),
    t("type", &["type"]),
    s("dependent", &["dependent"]),
    t("class-type", &["class.type"]),
    s("class-value", &["class.value"]),
    r("payor", &["payor"], ANY),
    r("policy-holder", &["policyHolder"], ANY),
    r("subscriber", &["subscriber"], ANY),
    t("identifier", &["identifier"]),
];
static DEVICE: &[P] = &[
    r("patient", &["patient"], PATIENT),
    t("type", &["type"]),
    t("status", &["status"]),
    s("manufacturer", &["manufacturer"]),
    s("model", &["modelNumber"]),
    s(
        "device-name",
        &["deviceName.name", "type.text", "type.coding.display"],
    ),
    s("udi-carrier", &["udiCarrier.carrierHRF"]),
    s("udi-di", &["udiCarrier.deviceIdentifier"]),
    u("url", &["url"]),
    r("location", &["location"], &["Location"]),
    r("organization", &["owner"], &["Organization"]),
    t("identifier", &["identifier"]),
];
static DIAGNOSTIC_REPORT: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("code", &["code"]),
    t("status", &["status"]),
    t("conclusion", &["conclusionCode"]),
    d("date", &["effectiveDateTime", "effectivePeriod"]),
    d("issued", &["issued"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("result", &["result"], &["Observation"]),
    r("performer", &["performer"], ANY),
    r("results-interpreter", &["resultsInterpreter"], ANY),
    r("specimen", &["specimen"], &["Specimen"]),
    r("based-on", &["basedOn"], ANY),
    r("media", &["media.link"], &["Media"]),
    t("identifier", &["identifier"]),
];
static DOCUMENT_REFERENCE: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("type", &["type"]),
    t("status", &["status"]),
    d("date", &["date"]),
    d("period", &["context.period"]),
    s("description", &["description"]),
    t("contenttype", &["content.attachment.contentType"]),
    t("format", &["content.format"]),
    t("language", &["content.attachment.language"]),
    u("location", &["content.attachment.url"]),
    t("event", &["context.event"]),
    t("facility", &["context.facilityType"]),
    t("setting", &["context.practiceSetting"]),
    t("security-label", &["securityLabel"]),
    r("encounter", &["context.encounter"], ANY),
    r("related", &["context.related"], ANY),
    r("author", &["author"], ANY),
    r("authenticator", &["authenticator"], ANY),
    r("custodian", &["custodian"], &["Organization"]),
    r("relatesto", &["relatesTo.target"], &["DocumentReference"]),
    t("relation", &["relatesTo.code"]),
    t("identifier", &["identifier", "masterIdentifier"]),
];
static ENCOUNTER: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("status", &["status"]),
    t("class", &["class"]),
    t("type", &["type"]),
    d("date", &["period"]),
    q("length", &["length"]),
    t("reason-code", &["reasonCode"]),
    r("reason-reference", &["reasonReference"], ANY),
    t("special-arrangement", &["hospitalization.specialArrangement"]),
    t("discharge-disposition", &["hospitalization.dischargeDisposition"]),
    r("location", &["location.location"], &["Location"]),
    d("location-period", &["location.period"]),
    r("participant", &["participant.individual"], ANY),
    r("practitioner", &["participant.individual"], &["Practitioner"]),
    t("participant-type", &["participant.type"]),
    r("service-provider", &["serviceProvider"], &["Organization"]),
    r("diagnosis", &["diagnosis.condition"], ANY),
    r("episode-of-care", &["episodeOfCare"], &["EpisodeOfCare"]),
    r("appointment", &["appointment"], &["Appointment"]),
    r("based-on", &["basedOn"], ANY),
    r("account", &["account"], &["Account"]),
    r("part-of", &["partOf"], &["Encounter"]),
    t("identifier", &["identifier"]),
];
static FLAG: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    d("date", &["period"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("author", &["author"], ANY),
    t("identifier", &["identifier"]),
];
static GOAL: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("lifecycle-status", &["lifecycleStatus"]),
    t("achievement-status", &["achievementStatus"]),
    t("category", &["category"]),
    t("description", &["description"]),
    d("start-date", &["startDate"]),
    d("target-date", &["target.dueDate"]),
    t("identifier", &["identifier"]),
];
static IMAGING_STUDY: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    d("started", &["started"]),
    t("status", &["status"]),
    t("modality", &["series.modality"]),
    t("bodysite", &["series.bodySite"]),
    t("series", &["series.uid"]),
    t("instance", &["series.instance.uid"]),
    t("dicom-class", &["series.instance.sopClass"]),
    t("reason", &["reasonCode"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("basedon", &["basedOn"], ANY),
    r("endpoint", &["endpoint", "series.endpoint"], &["Endpoint"]),
    r("interpreter", &["interpreter"], ANY),
    r("performer", &["series.performer.actor"], ANY),
    r("referrer", &["referrer"], ANY),
    t("identifier", &["identifier"]),
];
static IMMUNIZATION: &[P] = &[
    r("patient", &["patient"], PATIENT),
    d("date", &["occurrenceDateTime"]),
    t("status", &["status"]),
    t("status-reason", &["statusReason"]),
    t("vaccine-code", &["vaccineCode"]),
    t("reason-code", &["reasonCode"]),
    r("reason-reference", &["reasonReference"], ANY),
    s("lot-number", &["lotNumber"]),
    s("series", &["protocolApplied.series"]),
    t("target-disease", &["protocolApplied.targetDisease"]),
    d("reaction-date", &["reaction.date"]),
    r("reaction", &["reaction.detail"], &["Observation"]),
    r("performer", &["performer.actor"], ANY),
    r("location", &["location"], &["Location"]),
    r("manufacturer", &["manufacturer"], &["Organization"]),
    t("identifier", &["identifier"]),
];
static LIST: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("code", &["code"]),
    t("status", &["status"]),
    t("empty-reason", &["emptyReason"]),
    s("title", &["title"]),
    d("date", &["date"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("item", &["entry.item"], ANY),
    r("source", &["source"], ANY),
    s("notes", &["note.text"]),
    t("identifier", &["identifier"]),
];
static LOCATION: &[P] = &[
    s("name", &["name", "alias"]),
    ADDRESS[0],
    ADDRESS[1],
    ADDRESS[2],
    ADDRESS[3],
    ADDRESS[4],
    ADDRESS[5],
    t("status", &["status"]),
    t("operational-status", &["operationalStatus"]),
    t("type", &["type"]),
    r("organization", &["managingOrganization"], &["Organization"]),
    r("partof", &["partOf"], &["Location"]),
    r("endpoint", &["endpoint"], &["Endpoint"]),
    t("identifier", &["identifier"]),
];
static MEDIA: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("type", &["type"]),
    t("modality", &["modality"]),
    t("view", &["view"]),
    t("site", &["bodySite"]),
    t("status", &["status"]),
    d("created", &["createdDateTime", "createdPeriod"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("device", &["device"], ANY),
    r("operator", &["operator"], ANY),
    r("based-on", &["basedOn"], ANY),
    t("identifier", &["identifier"]),
];
static MEDICATION: &[P] = &[
    t("code", &["code"]),
    t("form", &["form"]),
    t("status", &["status"]),
    t("lot-number", &["batch.lotNumber"]),
    d("expiration-date", &["batch.expirationDate"]),
    r("manufacturer", &["manufacturer"], &["Organization"]),
    r("ingredient", &["ingredient.itemReference"], ANY),
    t("ingredient-code", &["ingredient.itemCodeableConcept"]),
    t("identifier", &["identifier"]),
];
static MEDICATION_ADMINISTRATION: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    d("effective-time", &["effectiveDateTime", "effectivePeriod"]),
    t("status", &["status"]),
    t("code", &["medicationCodeableConcept"]),
    r("medication", &["medicationReference"], &["Medication"]),
    r("request", &["request"], &["MedicationRequest"]),
    r("context", &["context"], ANY),
    r("performer", &["performer.actor"], ANY),
    r("device", &["device"], &["Device"]),
    t("reason-given", &["reasonCode"]),
    t("reason-not-given", &["statusReason"]),
    t("identifier", &["identifier"]),
];
static MEDICATION_DISPENSE: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("status", &["status"]),
    t("type", &["type"]),
    t("code", &["medicationCodeableConcept"]),
    r("medication", &["medicationReference"], &["Medication"]),
    r(
        "prescription",
        &["authorizingPrescription"],
        &["MedicationRequest"],
    ),
    d("whenprepared", &["whenPrepared"]),
    d("whenhandedover", &["whenHandedOver"]),
    r("context", &["context"], ANY),
    r("performer", &["performer.actor"], ANY),
    r("receiver", &["receiver"], ANY),
    r("destination", &["destination"], &["Location"]),
    r("responsibleparty", &["substitution.responsibleParty"], ANY),
    t("identifier", &["identifier"]),
];
static MEDICATION_REQUEST: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("status", &["status"]),
    t("intent", &["intent"]),
    t("category", &["category"]),
    t("priority", &["priority"]),
    t("code", &["medicationCodeableConcept"]),
    r("medication", &["medicationReference"], &["Medication"]),
    d("authoredon", &["authoredOn"]),
    d("date", &["dosageInstruction.timing.event"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("requester", &["requester"], ANY),
    r(
        "intended-dispenser",
        &["dispenseRequest.performer"],
        &["Organization"],
    ),
    r("intended-performer", &["performer"], ANY),
    t("intended-performertype", &["performerType"]),
    t("identifier", &["identifier"]),
];
static MEDICATION_STATEMENT: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("status", &["status"]),
    t("category", &["category"]),
    t("code", &["medicationCodeableConcept"]),
    r("medication", &["medicationReference"], &["Medication"]),
    d("effective", &["effectiveDateTime", "effectivePeriod"]),
    r("context", &["context"], ANY),
    r("part-of", &["partOf"], ANY),
    r("source", &["informationSource"], ANY),
    t("identifier", &["identifier"]),
];
static OBSERVATION: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("code", &["code"]),
    d(
        "date",
        &[
            "effectiveDateTime",
            "effectivePeriod",
            "effectiveTiming",
            "effectiveInstant",
        ],
    ),
    t("status", &["status"]),
    q("value-quantity", &["valueQuantity", "valueSampledData"]),
    t("value-concept", &["valueCodeableConcept"]),
    s("value-string", &["valueString", "valueCodeableConcept.text"]),
    d("value-date", &["valueDateTime", "valuePeriod"]),
    t("data-absent-reason", &["dataAbsentReason"]),
    t("component-code", &["component.code"]),
    q(
        "component-value-quantity",
        &["component.valueQuantity", "component.valueSampledData"],
    ),
    t("component-value-concept", &["component.valueCodeableConcept"]),
    t("component-data-absent-reason", &["component.dataAbsentReason"]),
    t("combo-code", &["code", "component.code"]),
    q(
        "combo-value-quantity",
        &[
            "valueQuantity",
            "valueSampledData",
            "component.valueQuantity",
            "component.valueSampledData",
        ],
    ),
    t(
        "combo-value-concept",
        &["valueCodeableConcept", "component.valueCodeableConcept"],
    ),
    t(
        "combo-data-absent-reason",
        &["dataAbsentReason", "component.dataAbsentReason"],
    ),
    c("code-value-quantity", &[""], CODE_VALUE),
    c("code-value-concept", &[""], CODE_CONCEPT),
    c("code-value-string", &[""], CODE_STRING),
    c("code-value-date", &[""], CODE_DATE),
    c("component-code-value-quantity", &["component"], CODE_VALUE),
    c("component-code-value-concept", &["component"], CODE_CONCEPT),
    c("combo-code-value-quantity", &["", "component"], CODE_VALUE),
    c("combo-code-value-concept", &["", "component"], CODE_CONCEPT),
    t("method", &["method"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("performer", &["performer"], ANY),
    r("specimen", &["specimen"], &["Specimen"]),
    r("device", &["device"], ANY),
    r("based-on", &["basedOn"], ANY),
    r("derived-from", &["derivedFrom"], ANY),
    r("focus", &["focus"], ANY),
    r("has-member", &["hasMember"], ANY),
    r("part-of", &["partOf"], ANY),
    t("identifier", &["identifier"]),
];
static ORGANIZATION: &[P] = &[
    s("name", &["name", "alias"]),
    ADDRESS[0],
    ADDRESS[1],
    ADDRESS[2],
    ADDRESS[3],
    ADDRESS[4],
    ADDRESS[5],
    t("active", &["active"]),
    t("type", &["type"]),
    r("partof", &["partOf"], &["Organization"]),
    r("endpoint", &["endpoint"], &["Endpoint"]),
    t("identifier", &["identifier"]),
];
static PATIENT_TABLE: &[P] = &[
    // Patients are found by an index of these parts: titles are no part of it.
    s("name", &["name.family", "name.given", "name.text"]),
    s("family", &["name.family"]),
    s("given", &["name.given"]),
    t("identifier", &["identifier"]),
    d("birthdate", &["birthDate"]),
    t("gender", &["gender"]),
    t("active", &["active"]),
    t("deceased", &["deceasedBoolean", "deceasedDateTime"]),
    d("death-date", &["deceasedDateTime"]),
    ADDRESS[0],
    ADDRESS[1],
    ADDRESS[2],
    ADDRESS[3],
    ADDRESS[4],
    ADDRESS[5],
    t("telecom", &["telecom"]),
    t("phone", &["telecom[system=phone]"]),
    t("email", &["telecom[system=email]"]),
    t("language", &["communication.language"]),
    r("general-practitioner", &["generalPractitioner"], ANY),
    r("organization", &["managingOrganization"], &["Organization"]),
    r("link", &["link.other"], ANY),
];
static PRACTITIONER: &[P] = &[
    s("name", &["name"]),
    s("family", &["name.family"]),
    s("given", &["name.given"]),
    t("identifier", &["identifier"]),
    t("active", &["active"]),
    t("gender", &["gender"]),
    ADDRESS[0],
    ADDRESS[1],
    ADDRESS[2],
    ADDRESS[3],
    ADDRESS[4],
    ADDRESS[5],
    t("telecom", &["telecom"]),
    t("phone", &["telecom[system=phone]"]),
    t("email", &["telecom[system=email]"]),
    t("communication", &["communication"]),
];
static PRACTITIONER_ROLE: &[P] = &[
    t("specialty", &["specialty"]),
    r("practitioner", &["practitioner"], &["Practitioner"]),
    r("organization", &["organization"], &["Organization"]),
    r("location", &["location"], &["Location"]),
    r("service", &["healthcareService"], &["HealthcareService"]),
    r("endpoint", &["endpoint"], &["Endpoint"]),
    t("role", &["code"]),
    t("active", &["active"]),
    d("date", &["period"]),
    t("telecom", &["telecom"]),
    t("phone", &["telecom[system=phone]"]),
    t("email", &["telecom[system=email]"]),
    t("identifier", &["identifier"]),
];
static PROCEDURE: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    d("date", &["performedDateTime", "performedPeriod"]),
    t("status", &["status"]),
    t("code", &["code"]),
    t("category", &["category"]),
    t("reason-code", &["reasonCode"]),
    r("reason-reference", &["reasonReference"], ANY),
    r("encounter", &["encounter"], &["Encounter"]),
    r("performer", &["performer.actor"], ANY),
    r("location", &["location"], &["Location"]),
    r("based-on", &["basedOn"], ANY),
    r("part-of", &["partOf"], ANY),
    u("instantiates-uri", &["instantiatesUri"]),
    r("instantiates-canonical", &["instantiatesCanonical"], ANY),
    t("identifier", &["identifier"]),
];
static PROVENANCE: &[P] = &[
    r("target", &["target"], ANY),
    r("patient", &["target"], PATIENT),
    d("recorded", &["recorded"]),
    d("when", &["occurredDateTime"]),
    r("agent", &["agent.who"], ANY),
    t("agent-role", &["agent.role"]),
    t("agent-type", &["agent.type"]),
    r("entity", &["entity.what"], ANY),
    r("location", &["location"], &["Location"]),
    t("signature-type", &["signature.type"]),
];
static QUESTIONNAIRE_RESPONSE: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    d("authored", &["authored"]),
    t("status", &["status"]),
    r("questionnaire", &["questionnaire"], ANY),
    r("author", &["author"], ANY),
    r("source", &["source"], ANY),
    r("encounter", &["encounter"], &["Encounter"]),
    r("based-on", &["basedOn"], ANY),
    r("part-of", &["partOf"], ANY),
    t("identifier", &["identifier"]),
];
static RELATED_PERSON: &[P] = &[
    r("patient", &["patient"], PATIENT),
    s("name", &["name"]),
    d("birthdate", &["birthDate"]),
    t("gender", &["gender"]),
    t("active", &["active"]),
    t("relationship", &["relationship"]),
    ADDRESS[0],
    ADDRESS[1],
    ADDRESS[2],
    ADDRESS[3],
    ADDRESS[4],
    ADDRESS[5],
    t("telecom", &["telecom"]),
    t("phone", &["telecom[system=phone]"]),
    t("email", &["telecom[system=email]"]),
    t("identifier", &["identifier"]),
];
static SERVICE_REQUEST: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("category", &["category"]),
    t("code", &["code"]),
    t("status", &["status"]),
    t("intent", &["intent"]),
    t("priority", &["priority"]),
    d("authored", &["authoredOn"]),
    d(
        "occurrence",
        &["occurrenceDateTime", "occurrencePeriod", "occurrenceTiming"],
    ),
    t("body-site", &["bodySite"]),
    t("requisition", &["requisition"]),
    r("encounter", &["encounter"], &["Encounter"]),
    r("requester", &["requester"], ANY),
    r("performer", &["performer"], ANY),
    t("performer-type", &["performerType"]),
    r("specimen", &["specimen"], &["Specimen"]),
    r("based-on", &["basedOn"], ANY),
    r("replaces", &["replaces"], &["ServiceRequest"]),
    t("order-detail", &["orderDetail"]),
    u("instantiates-uri", &["instantiatesUri"]),
    r("instantiates-canonical", &["instantiatesCanonical"], ANY),
    t("identifier", &["identifier"]),
];
static SPECIMEN: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    t("accession", &["accessionIdentifier"]),
    t("bodysite", &["collection.bodySite"]),
    d(
        "collected",
        &["collection.collectedDateTime", "collection.collectedPeriod"],
    ),
    r("collector", &["collection.collector"], ANY),
    t("container", &["container.type"]),
    t("container-id", &["container.identifier"]),
    r("parent", &["parent"], &["Specimen"]),
    t("status", &["status"]),
    t("type", &["type"]),
    t("identifier", &["identifier"]),
];
static TASK: &[P] = &[
    r("patient", &["for"], PATIENT),
    r("subject", &["for"], ANY),
    r("owner", &["owner"], ANY),
    t("status", &["status"]),
    t("business-status", &["businessStatus"]),
    t("code", &["code"]),
    t("intent", &["intent"]),
    t("priority", &["priority"]),
    t("performer", &["performerType"]),
    d("authored-on", &["authoredOn"]),
    d("modified", &["lastModified"]),
    d("period", &["executionPeriod"]),
    r("focus", &["focus"], ANY),
    r("encounter", &["encounter"], &["Encounter"]),
    r("requester", &["requester"], ANY),
    r("based-on", &["basedOn"], ANY),
    r("part-of", &["partOf"], &["Task"]),
    t("group-identifier", &["groupIdentifier"]),
    t("identifier", &["identifier"]),
];
static RISK_ASSESSMENT: &[P] = &[
    r("patient", &["subject"], PATIENT),
    r("subject", &["subject"], ANY),
    r("condition", &["condition"], &["Condition"]),
    d("date", &["occurrenceDateTime", "occurrencePeriod"]),
    r("encounter", &["encounter"], &["Encounter"]),
    t("method", &["method"]),
    r("performer", &["performer"], ANY),
    n(
        "probability",
        &["prediction.probabilityDecimal", "prediction.probabilityRange"],
    ),
    t("risk", &["prediction.qualitativeRisk"]),
    t("identifier", &["identifier"]),
];

/// The parameters of a type's own; empty for a type that is not searched.
#[must_use]
pub fn parameters(kind: &str) -> &'static [Parameter] {
    match kind {
        "AllergyIntolerance" => ALLERGY,
        "Appointment" => APPOINTMENT,
        "CarePlan" => CARE_PLAN,
        "CareTeam" => CARE_TEAM,
        "Communication" => COMMUNICATION,
        "Composition" => COMPOSITION,
        "Condition" => CONDITION,
        "Consent" => CONSENT,
        "Coverage" => COVERAGE,
        "Device" => DEVICE,
        "DiagnosticReport" => DIAGNOSTIC_REPORT,
        "DocumentReference" => DOCUMENT_REFERENCE,
        "Encounter" => ENCOUNTER,
        "Flag" => FLAG,
        "Goal" => GOAL,
        "ImagingStudy" => IMAGING_STUDY,
        "Immunization" => IMMUNIZATION,
        "List" => LIST,
        "Location" => LOCATION,
        "Media" => MEDIA,
        "Medication" => MEDICATION,
        "MedicationAdministration" => MEDICATION_ADMINISTRATION,
        "MedicationDispense" => MEDICATION_DISPENSE,
        "MedicationRequest" => MEDICATION_REQUEST,
        "MedicationStatement" => MEDICATION_STATEMENT,
        "Observation" => OBSERVATION,
        "Organization" => ORGANIZATION,
        "Patient" => PATIENT_TABLE,
        "Practitioner" => PRACTITIONER,
        "PractitionerRole" => PRACTITIONER_ROLE,
        "Procedure" => PROCEDURE,
        "Provenance" => PROVENANCE,
        "QuestionnaireResponse" => QUESTIONNAIRE_RESPONSE,
        "RelatedPerson" => RELATED_PERSON,
        "RiskAssessment" => RISK_ASSESSMENT,
        "ServiceRequest" => SERVICE_REQUEST,
        "Specimen" => SPECIMEN,
        "Task" => TASK,
        _ => &[],
    }
}

/// A parameter of a type, or a general one.
#[must_use]
pub fn parameter(kind: &str, name: &str) -> Option<&'static Parameter> {
    parameters(kind).iter().chain(GENERAL).find(|p| p.name == name)
}
