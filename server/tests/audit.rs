//! Audit: as many rows as accesses, with the ids and versions shown, and no row lost when one is touched.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Resources with their versions.
type Shown = Option<Vec<(String, u64)>>;

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_accesses_are_a_thousand_rows() {
    let (_t, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let narrow = s.client_token("system/Observation.rs").await;
    for (p, w) in [("p1", "ED"), ("p2", "ICU"), ("p3", "ED")] {
        assert_eq!(s.fhir(&client, "/fhir", placed(p, w).to_string()).await.0, 200);
    }
    let acts = ["read-resource", "read-chart", "write-clinical"];
    let rows = |s: &Server| {
        s.audit()
            .into_iter()
            .filter(|r| acts.contains(&r["action"].as_str().unwrap()))
            .collect::<Vec<Value>>()
    };
    let before = rows(&s).len();
    let mut dice = Dice(20_261_121);
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    // (act, decision, resources shown or written with their versions; None = only their number is known)
    let mut want: Vec<(&str, &str, Shown)> = Vec::new();
    for n in 0..1000 {
        let p = format!("p{}", 1 + dice.roll(3));
        match dice.roll(6) {
            0 => {
                let answer = s
                    .get(&format!("/fhir/Patient/{p}"))
                    .bearer_auth(&client)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                want.push(("read-resource", "permit", Some(vec![(format!("Patient/{p}"), 1)])));
            }
            1 => {
                let answer = s
                    .get(&format!("/fhir/Patient/{p}"))
                    .bearer_auth(&narrow)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 403);
                want.push(("read-resource", "deny", Some(vec![])));
            }
            2 => {
                let id = format!("obs-{}", dice.roll(40));
                let owner = if dice.roll(2) == 0 { "p1" } else { "p2" };
                let version = versions.entry(id.clone()).or_default();
                *version += 1;
                let body = observation(Some(&id), owner, &format!("{n}.5"));
                let answer = s
                    .put(&format!("/fhir/Observation/{id}"))
                    .bearer_auth(&client)
                    .header("content-type", "application/fhir+json")
                    .body(body)
                    .send()
                    .await
                    .unwrap();
                assert!(answer.status().is_success(), "{}", answer.status());
                want.push((
                    "write-clinical",
                    "permit",
                    Some(vec![(format!("Observation/{id}"), *version)]),
                ));
            }
            3 => {
                let id = format!("obs-{}", dice.roll(40));
                let answer = s
                    .get(&format!("/fhir/Observation/{id}"))
                    .bearer_auth(&narrow)
                    .send()
                    .await
                    .unwrap();
                let shown = versions
                    .get(&id)
                    .map(|v| vec![(format!("Observation/{id}"), *v)])
                    .unwrap_or_default();
                assert_eq!(answer.status() == 200, !shown.is_empty());
                want.push(("read-resource", "permit", Some(shown)));
            }
            4 => {
                let id = format!("obs-{}", dice.roll(40));
                let Some(newest) = versions.get(&id) else {
                    want.push(("read-resource", "permit", Some(vec![])));
                    s.get(&format!("/fhir/Observation/{id}/_history/1"))
                        .bearer_auth(&client)
                        .send()
                        .await
                        .unwrap();
                    continue;
                };
                let v = 1 + dice.roll(*newest);
                let answer = s
                    .get(&format!("/fhir/Observation/{id}/_history/{v}"))
                    .bearer_auth(&client)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                want.push((
                    "read-resource",
                    "permit",
                    Some(vec![(format!("Observation/{id}"), v)]),
                ));
            }
            _ => {
                let answer = s
                    .get(&format!("/fhir/Patient/{p}/$everything?_count=1000"))
                    .bearer_auth(&client)
                    .send()
                    .await
                    .unwrap();
                let page = json_of(answer).await;
                let mut shown: Vec<(String, u64)> = page["entry"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|e| {
                        let r = &e["resource"];
                        (
                            format!(
                                "{}/{}",
                                r["resourceType"].as_str().unwrap(),
                                r["id"].as_str().unwrap()
                            ),
                            r["meta"]["versionId"].as_str().unwrap().parse().unwrap(),
                        )
                    })
                    .collect();
                shown.sort();
                want.push(("read-chart", "permit", Some(shown)));
            }
        }
    }
    let got = rows(&s);
    assert_eq!(got.len() - before, 1000);
    for (i, (row, (act, decision, shown))) in got[before..].iter().zip(&want).enumerate() {
        assert_eq!(
            (row["action"].as_str().unwrap(), row["decision"].as_str().unwrap()),
            (*act, *decision),
            "access {i}: {row}"
        );
        let mut listed: Vec<(String, u64)> = row["disclosure"]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| {
                let key = &d["key"];
                (
                    format!(
                        "{}/{}",
                        key["kind"].as_str().unwrap(),
                        key["id"].as_str().unwrap()
                    ),
                    d["version"].as_u64().unwrap(),
                )
            })
            .collect();
        // What a corrected result said is kept in the same write, and stands in its row.
        let written = listed.len();
        listed.retain(|(key, version)| {
            *act != "write-clinical" || *version > 1 || !key.starts_with("Provenance/")
        });
        assert!(written - listed.len() <= 1, "access {i}: {row}");
        listed.sort();
        assert_eq!(Some(&listed), shown.as_ref(), "access {i}: {row}");
    }
    let verified = done(&["audit", "verify", "--data", s.dir()]);
    assert_eq!(verified["whole"], true, "{verified}");
    let ids: std::collections::BTreeSet<&str> =
        got.iter().map(|r| r["access_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), got.len(), "an access id comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_one_row_and_a_refused_one_none() {
    let (_t, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await;
    let mut bad = placed("p2", "ED");
    bad["entry"][3]["resource"]["status"] = json!("nonsense");
    assert_eq!(s.fhir(&client, "/fhir", bad.to_string()).await.0, 422);
    let writes: Vec<Value> = s
        .audit()
        .into_iter()
        .filter(|r| r["action"] == "write-clinical")
        .collect();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0]["disclosure"]["resources"].as_array().unwrap().len(), 4);
    assert_eq!(writes[0]["disclosure"]["patients"], json!(["p1"]));
}
