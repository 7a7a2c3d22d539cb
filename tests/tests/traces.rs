//! What a full run leaves on disk: no planted name, in no file.

use anyhow::{Context, Result, ensure};
use vitrine_tests::scan::scan;
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person, showcase};

#[test]
fn no_planted_name_is_readable_on_either_disk() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let temp = dir.path().join("tmp");
    std::fs::create_dir(&temp)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let http = server.http()?;
    let token = runtime.block_on(server.token(&http))?;
    // words that occur nowhere else, in a name, an allergy, a note and a phone number
    let planted = ["Quxlorembax", "Zyvantholine", "Brindlewhistle", "5550199887"];
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[
        {{"request":{{"method":"PUT","url":"Patient/planted-1"}},"resource":{{"resourceType":"Patient","id":"planted-1","name":[{{"family":"{}"}}],"telecom":[{{"system":"phone","value":"{}"}}]}}}},
        {{"request":{{"method":"PUT","url":"AllergyIntolerance/planted-2"}},"resource":{{"resourceType":"AllergyIntolerance","id":"planted-2","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}}]}},"code":{{"text":"{}"}},"patient":{{"reference":"Patient/planted-1"}},"note":[{{"text":"{}"}}]}}}}]}}"#,
        planted[0], planted[3], planted[1], planted[2]
    );
    let _entered = runtime.enter();
    let answer = runtime.block_on(
        http.post(format!("{}/fhir", server.url()))
            .bearer_auth(&token)
            .header("content-type", "application/fhir+json")
            .body(bundle)
            .send(),
    )?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    // refused input is quarantined or answered, and must not be logged either
    let bad = format!(r#"{{"resourceType":"Patient","name":"{}"}}"#, planted[0]);
    let refused = runtime.block_on(
        http.post(format!("{}/fhir/Patient", server.url()))
            .bearer_auth(&token)
            .header("content-type", "application/fhir+json")
            .body(bad)
            .send(),
    )?;
    ensure!(refused.status().is_client_error(), "{}", refused.status());
    ensure!(
        !runtime.block_on(refused.text())?.contains(planted[0]),
        "a refusal repeats what was sent"
    );

    let station = Station::enrol(&server, &server.url(), &dir.path().join("station"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    let card = station.emergency("planted-1", &nurse)?.to_string();
    ensure!(
        card.contains(planted[0]) || card.contains(planted[1]),
        "the planted patient is on the workstation: {card}"
    );
    station.emergency(showcase(&seed, "anaphyla")?["id"].as_str().context("id")?, &nurse)?;
    server.kill();
    station.emergency("planted-1", &nurse)?;

    let (hits, bytes) = scan(&[dir.path()], &planted)?;
    ensure!(bytes > 1_000_000, "only {bytes} bytes were looked at");
    ensure!(hits.is_empty(), "{hits:?}");
    // the secrets of the person are nowhere either, but in the line of the demo that gives them away on purpose
    let (secrets, _) = scan(&[&station.profile, &server.data], &[&nurse.password])?;
    ensure!(secrets.is_empty(), "{secrets:?}");
    Ok(())
}
