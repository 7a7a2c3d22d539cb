//! OperationOutcome, the way FHIR says what went wrong.

use crate::issue::Issue;
use serde_json::{Map, Value, json};

fn issue_json(severity: &str, issue: &Issue) -> Value {
    let mut out = Map::new();
    out.insert("severity".to_owned(), json!(severity));
    out.insert("code".to_owned(), json!(issue.code.as_str()));
    out.insert("diagnostics".to_owned(), json!(issue.text));
    if !issue.expression.is_empty() {
        out.insert("expression".to_owned(), json!([issue.expression]));
    }
    Value::Object(out)
}

/// An OperationOutcome of errors, as JSON bytes. Without an issue it says that all is well.
#[must_use]
pub fn errors(issues: &[Issue]) -> Vec<u8> {
    let list: Vec<Value> = if issues.is_empty() {
        vec![json!({"severity": "information", "code": "informational", "diagnostics": "All OK"})]
    } else {
        issues.iter().map(|i| issue_json("error", i)).collect()
    };
    json!({"resourceType": "OperationOutcome", "issue": list})
        .to_string()
        .into_bytes()
}

/// An OperationOutcome of one error.
#[must_use]
pub fn error(issue: &Issue) -> Vec<u8> {
    errors(std::slice::from_ref(issue))
}

/// An OperationOutcome that informs.
#[must_use]
pub fn information(text: &str) -> Vec<u8> {
    json!({"resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational", "diagnostics": text}]})
    .to_string()
    .into_bytes()
}
