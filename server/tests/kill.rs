//! SIGKILL of the server at random moments while clients write: nothing acknowledged is lost, nothing is applied twice.
//!
//! `VITRINE_KILLS` sets how many (default 60; CI runs 1,000). Every write carries an Idempotency-Key; one that got no
//! answer is sent again with the same key and the same bytes after the restart, as a workstation or interface would.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A write: its key, and whether it was acknowledged with this place.
struct Write {
    key: String,
    body: String,
    place: Option<String>,
}

async fn send(http: &reqwest::Client, url: &str, token: &str, w: &Write) -> Option<String> {
    let answer = http
        .post(format!("{url}/fhir"))
        .bearer_auth(token)
        .header("idempotency-key", &w.key)
        .header("content-type", "application/fhir+json")
        .body(w.body.clone())
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    let status = answer.status();
    let text = answer.bytes().await.ok()?;
    assert_eq!(status.as_u16(), 200, "{}", String::from_utf8_lossy(&text));
    let json: Value = serde_json::from_slice(&text).unwrap();
    Some(
        json["entry"][0]["response"]["location"]
            .as_str()
            .unwrap()
            .to_owned(),
    )
}

/// A transaction of two: an observation and a flag that must come and stay together.
fn body(n: u64) -> String {
    let obs: Value = serde_json::from_str(&observation(None, "p1", &format!("{n}.0"))).unwrap();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": obs, "request": {"method": "POST", "url": "Observation"}},
        {"resource": {"resourceType": "Flag", "status": "active", "code": {"text": format!("n{n}")},
            "subject": {"reference": "Patient/p1"}}, "request": {"method": "POST", "url": "Flag"}},
    ]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged_and_doubles_nothing() {
    let kills: u64 = std::env::var("VITRINE_KILLS")
        .ok()
        .and_then(|k| k.parse().ok())
        .unwrap_or(60);
    let (_t, data) = folder();
    let mut server = Server::start(&data);
    let token = server.client_token("system/*.cruds").await;
    assert_eq!(
        server
            .fhir(&token, "/fhir", placed("p1", "ED").to_string())
            .await
            .0,
        200
    );
    let mut writes: Vec<Write> = Vec::new();
    let mut open: Vec<Write> = Vec::new();
    let (mut starts_ms, mut resent, mut n) = (Vec::new(), 0, 0);
    let mut dice = 88_172_645_463_325_252_u64;
    let began = vitrine_server::clock::steady();
    for _ in 0..kills {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let wait = Duration::from_micros(2_000 + dice % 90_000);
        // First what was left without an answer, then new writes, three at a time, until the kill.
        let http = client(&data);
        let url = server.url("");
        let stop = Arc::new(AtomicBool::new(false));
        let mut lanes: Vec<Vec<Write>> = vec![Vec::new(), Vec::new(), Vec::new()];
        resent += open.len();
        for (i, w) in open.drain(..).enumerate() {
            lanes[i % 3].push(w);
        }
        let mut running = Vec::new();
        for (lane, first) in lanes.into_iter().enumerate() {
            let (http, url, token, stop) = (http.clone(), url.clone(), token.clone(), stop.clone());
            let from = n + 1000 * lane as u64;
            running.push(tokio::spawn(async move {
                let mut done = Vec::new();
                let mut waiting: std::collections::VecDeque<Write> = first.into();
                let mut k = from;
                while !stop.load(Ordering::SeqCst) {
                    let mut w = waiting.pop_front().unwrap_or_else(|| {
                        k += 1;
                        Write {
                            key: vitrine_server::clock::new_uuid().to_string(),
                            body: body(k),
                            place: None,
                        }
                    });
                    w.place = send(&http, &url, &token, &w).await;
                    let dead = w.place.is_none();
                    done.push(w);
                    if dead {
                        break;
                    }
                }
                done.extend(waiting);
                done
            }));
        }
        n += 3000;
        tokio::time::sleep(wait).await;
        server.kill();
        stop.store(true, Ordering::SeqCst);
        for r in running {
            for w in r.await.unwrap() {
                if w.place.is_some() {
                    writes.push(w)
                } else {
                    open.push(w)
                }
            }
        }
        let start = vitrine_server::clock::steady();
        server = Server::start(&data);
        starts_ms.push(start.elapsed().as_millis());
    }
    for mut w in open.drain(..) {
        w.place = send(server.http(), &server.url(""), &token, &w).await;
        assert!(w.place.is_some());
        writes.push(w);
    }
    let mut places: Vec<&str> = writes.iter().map(|w| w.place.as_deref().unwrap()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), writes.len(), "two writes under one id");
    let counts = done(&["doctor", "--data", server.dir()]);
    assert_eq!(counts["healthy"], true, "{counts}");
    let of = |t: &str| counts["counts"]["resources"][t].as_u64().unwrap_or(0);
    assert_eq!(
        (of("Observation"), of("Flag")),
        (writes.len() as u64, writes.len() as u64),
        "lost or doubled"
    );
    for w in writes.iter().step_by(1 + writes.len() / 200) {
        let path = w.place.as_deref().unwrap().split("/_history").next().unwrap();
        assert!(
            w.place.as_deref().unwrap().ends_with("/_history/1"),
            "applied twice"
        );
        assert_eq!(
            server
                .get(&format!("/fhir/{path}"))
                .bearer_auth(&token)
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    starts_ms.sort_unstable();
    eprintln!(
        "{kills} kills in {:.1} s: {} writes acknowledged, {resent} sent again, 0 lost, 0 doubled; start p50 {} ms, max {} ms",
        began.elapsed().as_secs_f64(),
        writes.len(),
        starts_ms[starts_ms.len() / 2],
        starts_ms[starts_ms.len() - 1]
    );
}
