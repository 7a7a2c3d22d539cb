//! Every resource is taken, or stands in a list with the reason; what is taken stays as it came.

use crate::files::{Sample, data, json_below};
use std::collections::BTreeMap;
use vitrine_clinical::chart::{Resource, Value};
use vitrine_fhir::bundle::{Answers, Bundle, BundleType, plan};
use vitrine_fhir::{IssueCode, edit, read, validate, without_bom};

/// What was refused: name, and the first issue's code and place.
type Refused = BTreeMap<String, String>;

/// The resource itself and those in a Bundle, each with its name (`path` or `path#entry`).
fn resources(s: &Sample) -> Vec<(String, Vec<u8>)> {
    let bytes = without_bom(&s.bytes);
    let mut out = vec![(s.path.clone(), bytes.to_vec())];
    if let Ok(bundle) = Bundle::parse(bytes) {
        let entries = bundle
            .entries
            .iter()
            .filter_map(|e| Some((format!("{}#{}", s.path, e.index), e.resource?.to_vec())));
        out.extend(entries);
    }
    out
}

fn check(folder: &str, of_bundles: bool) -> Option<(usize, Refused)> {
    let root = data()?;
    let mut refused = Refused::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for sample in json_below(&root, folder) {
        for (name, bytes) in resources(&sample) {
            if of_bundles != name.contains('#') {
                continue;
            }
            match validate(&bytes) {
                Ok(envelope) => {
                    *taken.entry(envelope.kind.to_string()).or_default() += 1;
                    stays_as_it_came(&name, envelope.kind.as_str(), &bytes);
                }
                Err(issues) => {
                    let first = &issues[0];
                    let name = name.strip_prefix("fhir/").unwrap_or(&name).to_owned();
                    refused.insert(name, format!("{} {}", first.code.as_str(), first.expression));
                }
            }
        }
    }
    let total = taken.values().sum();
    println!(
        "{folder} (inside Bundles: {of_bundles}): {total} taken {taken:?}; {} refused",
        refused.len()
    );
    Some((total, refused))
}

/// Edits that change nothing give the same bytes, the view reads, and every decimal in it is the source's digits.
fn stays_as_it_came(name: &str, kind: &str, bytes: &[u8]) {
    assert!(
        edit::rewrite_references(bytes, &mut |_| None).unwrap() == bytes,
        "{name} changed"
    );
    if let Some(id) = edit::member(bytes, "id").unwrap() {
        let id: String = serde_json::from_slice(id).unwrap();
        assert!(
            edit::with_id(bytes, &id.parse().unwrap()).unwrap() == bytes,
            "{name} changed by its own id"
        );
    }
    let view = read(kind, bytes, &mut |_| None).unwrap();
    if let Resource::Observation(o) = &view {
        let source: SourceObservation = serde_json::from_slice(bytes).unwrap();
        let in_source = source.value.and_then(|q| q.value).map(|v| v.get().to_owned());
        let in_view = match &o.value {
            Some(Value::Quantity(q)) => q.value.as_ref().map(|d| d.as_str().to_owned()),
            _ => None,
        };
        assert_eq!(in_view, in_source, "{name}");
    }
    // Facts are stored as JSON: what is written must be what is read.
    let stored = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<Resource>(&stored).unwrap(), view, "{name}");
}

#[derive(serde::Deserialize)]
struct SourceObservation<'a> {
    #[serde(borrow, rename = "valueQuantity")]
    value: Option<SourceQuantity<'a>>,
}

#[derive(serde::Deserialize)]
struct SourceQuantity<'a> {
    #[serde(borrow)]
    value: Option<&'a serde_json::value::RawValue>,
}

fn expect(folder: &str, of_bundles: bool, at_least: usize, reasons: &[(&str, &str)]) {
    let Some((taken, refused)) = check(folder, of_bundles) else {
        return;
    };
    let want: Refused = reasons
        .iter()
        .map(|(n, r)| ((*n).to_owned(), (*r).to_owned()))
        .collect();
    assert_eq!(refused, want, "{folder}");
    assert!(taken >= at_least, "{folder}: only {taken} taken");
}

#[test]
fn au_core_is_taken_whole() {
    expect("fhir/au-core", false, 1533, &[]);
    expect("fhir/au-core", true, 183, &[]);
}

#[test]
fn us_core_is_taken_but_for_an_empty_narrative() {
    // `text` has a status and no `div`, which R4 requires (Narrative.div 1..1).
    let cbc = (
        "us-core-9/examples/diagnosticreport-cbc.json",
        "required DiagnosticReport.text.div",
    );
    expect("fhir/us-core-9", false, 254, &[cbc]);
    expect("fhir/us-core-9", true, 11, &[]);
}

#[test]
fn the_official_examples_are_taken_but_for_one_questionnaire() {
    // Items without `linkId`, which R4 requires (Questionnaire.item.linkId 1..1).
    let qs1 = (
        "r4-official-examples/Questionnaire-qs1.json",
        "required Questionnaire.item[0].item[0].linkId",
    );
    expect("fhir/r4-official-examples", false, 679, &[qs1]);
    expect("fhir/r4-official-examples", true, 424, &[]);
}

#[test]
fn synthea_is_taken_whole() {
    expect("fhir/synthea-2019/plain", true, 3_984, &[]);
}

/// What the Microsoft server's test files hold that is not R4 as we take it.
#[rustfmt::skip]
const MICROSOFT: &[(&str, &str)] = &[
    // STU3 shape.
    ("microsoft-fhir-server/Normative/CompositeCustomReferenceTokenSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenDateTimeSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenNumberNumberSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenOverflowTokenSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenQuantitySearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenStringSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/CompositeCustomTokenTokenOverflowSearchParameterStu3.json", "value SearchParameter.component[0].definition"),
    ("microsoft-fhir-server/Normative/Includes-TestResources.json", "structure Bundle.entry[30].resource.result"),
    ("microsoft-fhir-server/Normative/Observation-For-Patient-f001.json", "structure Observation.interpretation"),
    ("microsoft-fhir-server/Normative/ObservationWithBloodPressure.json", "structure Observation.interpretation"),
    ("microsoft-fhir-server/Normative/ObservationWithTemperature.json", "structure Observation.interpretation"),
    ("microsoft-fhir-server/Normative/SearchDataBatch.json", "structure Bundle.entry[1].resource.generalPractitioner"),
    ("microsoft-fhir-server/rest-data/BulkUpdateSampleData.json", "structure Bundle.entry[20].resource.generalPractitioner"),
    ("microsoft-fhir-server/rest-data/SearchDataBatch.json", "structure Bundle.entry[2].resource.generalPractitioner"),
    // A data type, not a resource.
    ("microsoft-fhir-server/Normative/MoneyWithWrongDecimal.json", "not-supported resourceType"),
    // A text for a boolean.
    ("microsoft-fhir-server/rest-data/ExportDataBatch.json", "value Bundle.entry[2].resource.actual"),
    // An empty identifier system.
    ("microsoft-fhir-server/Normative/Bundle-BatchWithConditionalUpdateByIdentifier.json", "structure Bundle.entry[0].resource.identifier[0].system"),
    ("microsoft-fhir-server/Normative/Bundle-TransactionWithConditionalCreateAndReference.json", "structure Bundle.entry[0].resource.identifier[0].system"),
    ("microsoft-fhir-server/Normative/Bundle-TransactionWithConditionalUpdateAndReference.json", "structure Bundle.entry[0].resource.identifier[0].system"),
    // Fields that R4 does not have.
    ("microsoft-fhir-server/Normative/TokenOverflowChargeItem.json", "value ChargeItem.overrideReason"),
    // Items without linkId.
    ("microsoft-fhir-server/R4/medicinalproductcontraindication-questionnaire.json", "required Questionnaire.item[0].item[0].linkId"),
    ("microsoft-fhir-server/R4/practitionerrole-questionnaire.json", "required Questionnaire.item[0].item[0].linkId"),
    ("microsoft-fhir-server/R4/specimendefinition-questionnaire.json", "required Questionnaire.item[0].item[0].linkId"),
    // LastUpdated is no instant.
    ("microsoft-fhir-server/Normative/Patient.json", "value Patient.meta.lastUpdated"),
    // Made to be wrong.
    ("microsoft-fhir-server/Normative/Bundle-BatchWithInvalidEleEnums.json", "structure Bundle.entry[0].resource.gender1"),
    ("microsoft-fhir-server/Normative/Bundle-InvalidBundleType.json", "code-invalid Bundle.type"),
    ("microsoft-fhir-server/Normative/Bundle-TypeMissing.json", "required Bundle.type"),
    ("microsoft-fhir-server/Normative/InvalidObservation.json", "structure Observation.text"),
    ("microsoft-fhir-server/Normative/ObservationWithInvalidStatus.json", "required Observation.code"),
    ("microsoft-fhir-server/Normative/ObservationWithNoCode.json", "required Observation.code"),
    ("microsoft-fhir-server/Normative/PatientMissingResourceType.json", "not-supported resourceType"),
    ("microsoft-fhir-server/Normative/PatientWithUnknownElements.json", "structure Patient.name1"),
    // Meant for a header, without a target.
    ("microsoft-fhir-server/Normative/ProvenanceHeader.json", "required Provenance.target"),
    // Narrative without div.
    ("microsoft-fhir-server/Normative/WeightInGrams.json", "required Observation.text.div"),
    // Not JSON.
    ("microsoft-fhir-server/Normative/Bundle-TransactionWithInvalidBundleEntry.json", "structure Resource.entry[0].resource.status"),
    // Not a resource.
    ("microsoft-fhir-server/Normative/LegacyRawReindexJobRecord.json", "required resourceType"),
    ("microsoft-fhir-server/R4/ResourceWrapperNoVersion.json", "required resourceType"),
    // Participants without status.
    ("microsoft-fhir-server/R4/SmartPatientA.json", "required Bundle.entry[10].resource.participant[0].status"),
    ("microsoft-fhir-server/rest-data/SmartCompartmentResources.json", "required Bundle.entry[32].resource.participant[0].status"),
];

#[test]
fn microsofts_files_are_taken_or_refused_for_a_reason() {
    expect("fhir/microsoft-fhir-server", false, 245, MICROSOFT);
}

/// Each batch or transaction of the Microsoft server's own tests, planned against an empty store.
#[test]
fn microsofts_bad_transactions_are_refused_whole() {
    let Some(root) = data() else { return };
    let refused: &[(&str, &str, IssueCode)] = &[
        (
            "Bundle-Transaction",
            "a POST to an operation",
            IssueCode::NotSupported,
        ),
        (
            "Bundle-TransactionForRollBackWithDelete",
            "id and URL differ",
            IssueCode::Invalid,
        ),
        (
            "Bundle-TransactionWithConditionalReferenceInResourceBody",
            "the patient is not there",
            IssueCode::NotFound,
        ),
        (
            "Bundle-TransactionWithConditionalReferenceReferringToSameResource",
            "one condition twice",
            IssueCode::Duplicate,
        ),
        (
            "Bundle-TransactionWithForeignReferenceInResourceBody",
            "a urn of nobody",
            IssueCode::NotFound,
        ),
        (
            "Bundle-TransactionWithInvalidProcessingRecord",
            "a resource put under another id",
            IssueCode::Invalid,
        ),
        (
            "Bundle-TransactionWithInvalidProcessingRoutes",
            "a POST to an operation",
            IssueCode::NotSupported,
        ),
        (
            "Bundle-TransactionWithInvalidResourceType",
            "a reference to no FHIR type",
            IssueCode::NotSupported,
        ),
        (
            "Bundle-TransactionWithMultipleEntriesModifyingSameResource",
            "PUT without id",
            IssueCode::Invalid,
        ),
        (
            "Bundle-TransactionWithMultipleResourcesWithSameFullUrl",
            "a POST to an operation",
            IssueCode::NotSupported,
        ),
        (
            "Bundle-TransactionWithReferenceInResourceBody",
            "the patient is not there",
            IssueCode::NotFound,
        ),
        ("SmartPatientD", "nine devices put twice", IssueCode::Duplicate),
    ];
    let mut seen = 0;
    for sample in json_below(&root, "fhir/microsoft-fhir-server") {
        let Ok(bundle) = Bundle::parse(&sample.bytes) else {
            continue;
        };
        if bundle.kind != BundleType::Transaction {
            continue;
        }
        let stem = sample.path.rsplit('/').next().unwrap().trim_end_matches(".json");
        let mut n = 0;
        let planned = plan(&bundle, &Answers::new(), &mut |_| {
            n += 1;
            format!("n{n}").parse().unwrap()
        });
        match (planned, refused.iter().find(|(name, ..)| *name == stem)) {
            (Err(issues), Some((_, why, code))) => {
                let found = issues.iter().map(|i| i.issue.code).collect::<Vec<_>>();
                assert!(found.contains(code), "{stem}: {why}, {found:?}");
                seen += 1;
            }
            (Ok(_), None) => {}
            (Err(issues), None) => panic!("{stem} refused: {issues:?}"),
            (Ok(_), Some((_, why, _))) => panic!("{stem} planned in spite of {why}"),
        }
    }
    assert_eq!(seen, refused.len());
}

#[test]
fn every_synthea_transaction_is_planned_with_all_references_resolved() {
    let Some(root) = data() else { return };
    let mut steps = 0;
    for sample in json_below(&root, "fhir/synthea-2019/plain") {
        let bundle = Bundle::parse(&sample.bytes).unwrap();
        let planned = plan(&bundle, &Answers::new(), &mut |e| {
            e.full_url
                .as_deref()
                .unwrap()
                .trim_start_matches("urn:uuid:")
                .parse()
                .unwrap()
        })
        .unwrap_or_else(|i| panic!("{}: {:?}", sample.path, &i[0]));
        assert_eq!(planned.steps.len(), bundle.entries.len());
        for step in &planned.steps {
            let body = step.body.as_ref().unwrap();
            assert!(
                !edit::references(body)
                    .unwrap()
                    .iter()
                    .any(|r| r.starts_with("urn:"))
            );
            assert!(validate(body).is_ok(), "{}#{}", sample.path, step.entry);
            steps += 1;
        }
    }
    println!("{steps} steps");
    assert_eq!(steps, 3_984);
}
