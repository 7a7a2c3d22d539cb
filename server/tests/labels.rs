//! What bears a label, asked of every route by who may not see it, in their own ward: the answer is that for what is not
//! there, or says how many are withheld, and no word of it is in body or headers. A route without a case, or a reason why
//! none is possible, fails the build.

#![allow(clippy::disallowed_methods)] // a test waits by the clock

mod harness;

#[path = "labels/cases.rs"]
mod cases;
#[path = "labels/connections.rs"]
mod connections;
#[path = "labels/hospital.rs"]
mod hospital;

use cases::{Asked, Holds, cases};
use futures_util::FutureExt as _;
use harness::browser::COOKIE;
use hospital::{CANARIES, Hospital, hospital};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use vitrine_server::http::ROUTES;

/// Status, headers and body, without what is of the moment.
async fn answer(h: &Hospital, method: &str, ask: &Asked) -> (u16, String) {
    let url = h.server.url(&ask.path);
    let mut request = h.server.http().request(method.parse().unwrap(), url);
    request = match ask.who {
        "nurse" => request.bearer_auth(&h.nurse),
        "program" => request.bearer_auth(&h.program),
        _ => request
            .header("cookie", format!("{COOKIE}={}", h.console.cookie))
            .header("origin", &h.console.base)
            .header("x-vitrine-csrf", &h.console.csrf),
    };
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    if let Some(body) = &ask.body {
        let media = if ask.path.ends_with("/_search") || ask.path.ends_with("/$lastn") {
            "application/x-www-form-urlencoded"
        } else if method == "PATCH" {
            "application/json-patch+json"
        } else if ask.path.starts_with("/fhir") {
            "application/fhir+json"
        } else {
            "application/json"
        };
        request = request.header("content-type", media).body(body.clone());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let mut text = format!("{status}\n");
    for (name, value) in answer.headers() {
        // The lane goes by what the caller asked before, and by the load.
        if name != "date" && name != "x-vitrine-lane" {
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap());
        }
    }
    text.push_str(&String::from_utf8_lossy(&answer.bytes().await.unwrap()));
    for begin in ["\"timestamp\":\"", "\"access_id\":\"", "\"lastUpdated\":\""] {
        text = blanked(&text, begin);
    }
    (status, text)
}

/// What follows `begin` up to the next quote becomes a blank.
fn blanked(text: &str, begin: &str) -> String {
    let mut parts = text.split(begin);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(begin);
        out.push_str(&part[part.find('"').unwrap_or(0)..]);
    }
    out
}

fn bare(text: &str, but: &str, of: &str) {
    for canary in CANARIES.iter().filter(|c| !but.contains(*c)) {
        assert!(!text.contains(canary), "{of}: '{canary}' in {text}");
    }
}

/// Asks one case.
async fn hold(h: &Hospital, method: &str, route: &str, holds: &Holds) {
    match holds {
        Holds::None(why) => assert!(!why.is_empty()),
        Holds::Connection("sync") => connections::sync(h).await,
        Holds::Connection("images") => connections::images_of(h).await,
        Holds::Connection("ahead") => connections::ahead(h).await,
        Holds::Connection(_) => connections::live(h).await,
        Holds::Bare(ask, want) | Holds::Says(ask, want, _) => {
            let mut ask = ask.clone();
            if ask.path.contains("{review}") {
                let (_, all) = h.console.get("/console/api/reviews").await;
                let id = all["rows"][0]["id"].as_str().unwrap_or_else(|| panic!("{all}"));
                ask.path = ask.path.replace("{review}", id);
            }
            let name = format!("{method} {route} {} by {}", ask.path, ask.who);
            let (status, text) = answer(h, method, &ask).await;
            assert_eq!(status, *want, "{name}: {text}");
            bare(&text, &ask.path, &name);
            if let Holds::Says(_, _, words) = holds {
                assert!(text.contains(words), "{name}: {text}");
            }
        }
        Holds::Same(there, name, instead) => {
            let mut absent = there.clone();
            absent.path = there.path.replace(name, instead);
            absent.body = there.body.as_ref().map(|b| b.replace(name, instead));
            assert!(
                absent.path != there.path || absent.body != there.body,
                "{route}: nothing else is asked"
            );
            let (status, text) = answer(h, method, there).await;
            let (_, other) = answer(h, method, &absent).await;
            assert_eq!(
                text.replace(name, instead),
                other,
                "{method} {route} {} by {}",
                there.path,
                there.who
            );
            bare(&text, name, &there.path);
            assert!(status < 500, "{route}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_a_label_is_to_whom_it_is_not_for_as_if_it_were_not_there() {
    let h = hospital().await;
    let mut failed = Vec::new();
    for (method, route, holds) in cases() {
        let held = AssertUnwindSafe(hold(&h, method, route, &holds)).catch_unwind();
        if held.await.is_err() {
            failed.push(format!("{method} {route}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    // The canaries are real: who may see it all finds each of them.
    let all = h.server.client_token("system/*.rs?_security=V").await;
    let read = async |path: &str| {
        let asked = h.server.get(path).bearer_auth(&all).header("accept", "*/*");
        asked.send().await.unwrap().text().await.unwrap()
    };
    let mut text = read("/fhir/Patient/pat-ed/$everything").await;
    text += &read("/dicomweb/studies?PatientID=mrn-pat-v").await;
    for canary in CANARIES {
        assert!(text.contains(canary), "{canary} is nowhere");
    }
}

#[test]
fn no_route_is_without_a_labelled_case() {
    let all = cases();
    let mut of: BTreeMap<(&str, &str), BTreeSet<bool>> = BTreeMap::new();
    for (method, route, holds) in &all {
        of.entry((method, route))
            .or_default()
            .insert(matches!(holds, Holds::None(_)));
    }
    for route in ROUTES {
        let has = of.remove(&(route.method, route.path));
        let has = has.unwrap_or_else(|| {
            panic!(
                "{} {} is not asked of what bears a label",
                route.method, route.path
            )
        });
        assert_eq!(
            has.len(),
            1,
            "{} {} has a case, and a reason for none",
            route.method,
            route.path
        );
    }
    assert!(of.is_empty(), "no such routes: {of:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_about_records_leave_on_the_beat_also_in_a_batch() {
    const BEAT: Duration = Duration::from_millis(10);
    let h = hospital().await;
    let at_least = async |ask: reqwest::RequestBuilder, beats: u32| {
        let from = Instant::now();
        let answer = ask.bearer_auth(&h.nurse).send().await.unwrap();
        // What it took more is load; less would be the time of what was looked up.
        assert!(from.elapsed() >= BEAT * beats, "{}", answer.status());
        answer
    };
    for path in [
        "/fhir/Patient/pat-v",
        "/fhir/Patient/pat-none",
        "/emergency/pat-v",
    ] {
        let answer = at_least(h.server.get(path), 1).await;
        assert_eq!(answer.status(), 403, "{path}");
    }
    let read = |n| serde_json::json!({"request": {"method": "GET", "url": format!("Observation/none-{n}")}});
    let entries: Vec<serde_json::Value> = (0..7).map(read).collect();
    let batch = serde_json::json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let ask = h
        .server
        .post("/fhir")
        .header("content-type", "application/fhir+json");
    let answer = at_least(ask.body(batch.to_string()), 7).await;
    let said = answer.text().await.unwrap();
    assert_eq!(said.matches("\"status\":\"403").count(), 7, "{said}");
}
