//! Every question that the FHIR and DICOMweb interfaces answer, and an answer as it is compared.

use super::world::{Dice, World};
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tower::ServiceExt as _;

/// One question: who asks, method, path, body.
pub(super) type Question = (&'static str, &'static str, String, Option<String>);

fn general(out: &mut Vec<Question>) {
    let mut get = |who, path: String| out.push((who, "GET", path, None));
    for who in ["nurse", "other", "client"] {
        // What another ward's nurse and a program may see of the patients in between is no secret to them.
        let patients: &[&str] = match who {
            "nurse" => &["pat-ed", "pat-v", "pat-icu", "ghost"],
            "other" => &["pat-ed", "pat-v", "ghost"],
            _ => &["pat-ed", "pat-v", "ghost"],
        };
        for p in patients {
            get(who, format!("/fhir/Patient/{p}"));
            get(who, format!("/fhir/Patient/{p}/_history/1"));
            for count in ["", "?_count=3", "?_count=1"] {
                get(who, format!("/fhir/Patient/{p}/$everything{count}"));
            }
            for kind in ["DocumentReference", "DiagnosticReport"] {
                for word in ["pneumonia", "overdose", "note seen"] {
                    get(
                        who,
                        format!("/fhir/{kind}?patient={p}&_content={}", word.replace(' ', "+")),
                    );
                }
                get(
                    who,
                    format!("/fhir/{kind}?patient={p}&_content=overdose&_count=1"),
                );
            }
            get(who, format!("/emergency/{p}"));
            get(who, format!("/dicomweb/studies?PatientID=mrn-{p}"));
        }
        get(who, "/fhir/Patient?phonetic=Testperson".to_owned());
        get(who, "/fhir/Patient?phonetic=Testperson&_count=1".to_owned());
        get(who, "/fhir/AuditEvent?date=ge2020-01-01".to_owned());
        get(who, "/fhir/Observation?patient=pat-ed".to_owned());
    }
    get("client", "/dicomweb/studies".to_owned());
    get("client", "/dicomweb/studies?limit=1".to_owned());
    get("client", "/dicomweb/studies?limit=1&offset=1".to_owned());
}

pub(super) fn questions(keys: &[String], dice: &mut Dice) -> Vec<Question> {
    let mut out: Vec<Question> = Vec::new();
    general(&mut out);
    // What was just written is always asked for; of the rest every third question, another one each time.
    out.retain(|_| dice.roll(3) == 0);
    let mut get = |who, path: String| out.push((who, "GET", path, None));
    for key in keys {
        let open_to_client = key.contains("/i-");
        for who in ["nurse", "other", "client"] {
            if (who == "client" || who == "other") && open_to_client {
                continue;
            }
            get(who, format!("/fhir/{key}"));
            get(who, format!("/fhir/{key}/_history/1"));
        }
    }
    for who in ["nurse", "client"] {
        let asked = keys.iter().filter(|k| who == "nurse" || !k.contains("/i-"));
        let entries: Vec<Value> = asked
            .map(|k| json!({"request": {"method": "GET", "url": k}}))
            .collect();
        for kind in ["batch", "transaction"] {
            let body = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            out.push((who, "POST", "/fhir".to_owned(), Some(body.to_string())));
        }
    }
    out
}

/// What follows `begin` up to the next of `ends` becomes blanks of one length.
pub(super) fn blanked(text: &str, begin: &str, ends: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        out.push_str(before);
        out.push_str(begin);
        out.push('-');
        rest = after.find(ends).map_or("", |i| &after[i..]);
    }
    out.push_str(rest);
    out
}

/// An answer as it is compared, and where it goes on.
pub(super) async fn ask(w: &World, (who, method, path, body): &Question) -> (String, Option<String>) {
    let token = match *who {
        "nurse" => &w.nurse,
        "other" => &w.other,
        _ => &w.client,
    };
    let request = Request::builder()
        .method(*method)
        .uri(path.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::HOST, "vitrine.test")
        .header(header::CONTENT_TYPE, "application/fhir+json")
        .body(Body::from(body.clone().unwrap_or_default()))
        .unwrap();
    let answer = w.router.clone().oneshot(request).await.unwrap();
    let mut text = format!("{}\n", answer.status());
    for (name, value) in answer.headers() {
        if *name != header::DATE && *name != header::CONTENT_LENGTH {
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap());
        }
    }
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let next = body
        .split("\"url\":\"")
        .find(|u| u.contains("_page="))
        .and_then(|u| u.split('"').next());
    let next = next
        .and_then(|u| u.strip_prefix("https://vitrine.test"))
        .map(str::to_owned);
    text.push_str(&body);
    for (begin, ends) in [
        ("\"timestamp\":\"", &['"'][..]),
        ("\"access_id\":\"", &['"']),
        ("\"updated\":\"", &['"']),
        ("_page=", &['"', '&']),
    ] {
        text = blanked(&text, begin, ends);
    }
    (text, next)
}
