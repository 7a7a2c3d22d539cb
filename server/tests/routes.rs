//! Every route: what it does, and who may not come through. A route without a case fails the build.

mod harness;
use harness::browser::Browser;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vitrine_server::http::{Door, ROUTES};

/// A hospital of two wards with staff.
struct Hospital {
    _folder: tempfile::TempDir,
    server: Server,
    client: String,
    reader: String,
    ed: Device,
    nurse: String,
    privacy: String,
    console: Browser,
}

async fn hospital() -> Hospital {
    let (folder, data) = folder();
    let server = Server::start(&data);
    for (name, role, ward) in [("nina", "nurse", Some("ED")), ("petra", "privacy-officer", None)] {
        let mut args = vec![
            "user",
            "add",
            name,
            "--role",
            role,
            "--data",
            server.dir(),
            "--secret-stdin",
        ];
        if let Some(w) = ward {
            args.extend(["--ward", w]);
        }
        let mut child = std::process::Command::new(PROGRAM)
            .args(&args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(
            child.stdin.as_mut().unwrap(),
            format!("{name}-long-password\n193746\n").as_bytes(),
        )
        .unwrap();
        assert!(child.wait().unwrap().success());
    }
    let client = server.client_token("system/*.cruds").await;
    let reader = server.client_token("system/Observation.rs").await;
    for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
        let (status, answer) = server.fhir(&client, "/fhir", placed(p, w).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = server
            .fhir(&client, "/fhir/Observation", observation(None, p, "4.10"))
            .await;
        assert_eq!(status, 201, "{answer}");
    }
    let (status, answer) = server
        .fhir(
            &client,
            "/fhir/Practitioner",
            json!({"resourceType": "Practitioner", "active": true}).to_string(),
        )
        .await;
    assert_eq!(status, 201, "{answer}");
    let ed = server.enrol("ED", &[]).await;
    let (status, nurse) = server.login(&ed, "nina", "193746").await;
    assert_eq!(status, 200, "{nurse}");
    let (status, privacy) = server.login(&ed, "petra", "petra-long-password").await;
    assert_eq!(status, 200, "{privacy}");
    let mut console = Browser::new(harness::client(&data), &server.url(""));
    console.sign_in("petra", "petra-long-password").await;
    let token = |v: Value| v["token"].as_str().unwrap().to_owned();
    Hospital {
        _folder: folder,
        server,
        client,
        reader,
        ed,
        nurse: token(nurse),
        privacy: token(privacy),
        console,
    }
}

/// Method, path of the table, path asked, body, caller, status.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Option<String>,
    &'static str,
    u16,
);

fn cases() -> Vec<Case> {
    let obs = || Some(observation(None, "pat-ed", "5.0"));
    let obs_icu = || Some(observation(None, "pat-icu", "5.0"));
    let put_obs = || Some(observation(Some("o1"), "pat-ed", "5.0"));
    let empty = || Some(json!({"resourceType": "Bundle", "type": "batch", "entry": []}).to_string());
    let tx = || {
        Some(
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": serde_json::from_str::<Value>(&observation(None, "pat-icu", "1.0")).unwrap(),
             "request": {"method": "POST", "url": "Observation"}}]})
            .to_string(),
        )
    };
    // Whether the program was built with the console's page.
    let page = || {
        if vitrine_server::http::console::page::built() {
            200
        } else {
            503
        }
    };
    let secret = |password: &str| Some(json!({"password": password, "new_pin": "802461"}).to_string());
    let matching = |name: Value| {
        let who = json!({"resourceType": "Patient", "name": [name], "birthDate": "1970-03-01"});
        let resource = json!({"name": "resource", "resource": who});
        Some(json!({"resourceType": "Parameters", "parameter": [resource]}).to_string())
    };
    let testperson = || matching(json!({"family": "Testperson", "given": ["Una"]}));
    let glass = |p: &str| Some(json!({"patient": p, "reason": "covering"}).to_string());
    vec![
        ("GET", "/healthz", "/healthz", None, "nobody", 200),
        ("GET", "/readyz", "/readyz", None, "nobody", 200),
        ("GET", "/fhir/metadata", "/fhir/metadata", None, "nobody", 200),
        ("GET", "/fhir/openapi.json", "/fhir/openapi.json", None, "nobody", 200),
        // A bundle
        ("POST", "/fhir", "/fhir", empty(), "nobody", 401),
        ("POST", "/fhir", "/fhir", empty(), "liar", 401),
        ("POST", "/fhir", "/fhir", tx(), "nurse", 403),
        ("POST", "/fhir", "/fhir", tx(), "privacy", 403),
        ("POST", "/fhir", "/fhir", tx(), "reader", 403),
        ("POST", "/fhir", "/fhir", tx(), "client", 200),
        ("POST", "/fhir/", "/fhir/", tx(), "nobody", 401),
        ("POST", "/fhir/", "/fhir/", tx(), "client", 200),
        // Create
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs(), "nobody", 401),
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs(), "reader", 403),
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs(), "privacy", 403),
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs(), "nurse", 201),
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs_icu(), "nurse", 403),
        ("POST", "/fhir/{kind}", "/fhir/Practitioner", Some(json!({"resourceType": "Practitioner"}).to_string()), "nurse", 403),
        ("POST", "/fhir/{kind}", "/fhir/Observation", obs(), "client", 201),
        // Search
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "nobody", 401),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "liar", 401),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "privacy", 403),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "reader", 403),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "nurse", 200),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=Testpersson", None, "client", 200),
        ("GET", "/fhir/{kind}", "/fhir/Patient", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Patient?name=Testpersson", None, "nobody", 401),
        ("GET", "/fhir/{kind}", "/fhir/Patient?name=Testpersson", None, "privacy", 403),
        ("GET", "/fhir/{kind}", "/fhir/Patient?name=Testpersson", None, "reader", 403),
        ("GET", "/fhir/{kind}", "/fhir/Patient?name=Testpersson", None, "nurse", 200),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=pat-ed", None, "nobody", 401),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=pat-ed", None, "privacy", 403),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=pat-ed", None, "nurse", 200),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=pat-icu", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=pat-ed,pat-icu", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/Observation?patient=nobody-knows", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/Observation?_id=nobody-knows", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/Practitioner?name=a", None, "nobody", 401),
        ("GET", "/fhir/{kind}", "/fhir/Practitioner?name=a", None, "nurse", 200),
        ("GET", "/fhir/{kind}", "/fhir/Practitioner?name=a", None, "client", 200),
        ("POST", "/fhir/{kind}/_search", "/fhir/Observation/_search", Some("patient=pat-ed&code=x".into()), "nurse", 200),
        ("POST", "/fhir/{kind}/_search", "/fhir/Observation/_search", Some("patient=pat-icu".into()), "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=-", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=a,b", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic:exact=a", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=a&birthdate=1950", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Patient?phonetic=a&_count=0", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Practitioner?phonetic=a", None, "client", 400),
        ("GET", "/fhir/{kind}", "/fhir/Nothing?phonetic=a", None, "client", 404),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=pat-ed&_content=pneumonia", None, "nobody", 401),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=pat-ed&_content=pneumonia", None, "nurse", 200),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=pat-icu&_content=pneumonia", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=nobody-knows&_content=pneumonia", None, "nurse", 403),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=pat-ed&_content=pneumonia", None, "privacy", 403),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=pat-ed&_content=pneumonia", None, "reader", 403),
        ("GET", "/fhir/{kind}", "/fhir/DocumentReference?patient=nobody-knows&_content=pneumonia", None, "client", 404),
        ("POST", "/fhir/{kind}/_search", "/fhir/Patient/_search", Some("phonetic=Testpersson".into()), "nobody", 401),
        ("POST", "/fhir/{kind}/_search", "/fhir/Patient/_search", Some("phonetic=Testpersson".into()), "privacy", 403),
        ("POST", "/fhir/{kind}/_search", "/fhir/Patient/_search", Some("phonetic=Testpersson".into()), "reader", 403),
        ("POST", "/fhir/{kind}/_search", "/fhir/Patient/_search", Some("phonetic=Testpersson".into()), "nurse", 200),
        ("POST", "/fhir/{kind}/_search", "/fhir/Patient/_search", Some("phonetic=".into()), "client", 400),
        // The last of each code
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=pat-ed&code=2823-3", None, "nobody", 401),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=pat-ed&code=2823-3", None, "privacy", 403),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=pat-ed&code=2823-3", None, "nurse", 200),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=pat-icu&code=2823-3", None, "nurse", 403),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=nobody-knows&code=2823-3", None, "nurse", 403),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?patient=pat-icu&code=2823-3", None, "reader", 200),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn?code=2823-3", None, "nurse", 400),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Condition/$lastn?patient=pat-ed&code=2823-3", None, "client", 400),
        ("GET", "/fhir/{kind}/$lastn", "/fhir/Nothing/$lastn?patient=pat-ed&code=2823-3", None, "client", 404),
        ("POST", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn", Some("patient=pat-ed&code=2823-3".into()), "nobody", 401),
        ("POST", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn", Some("patient=pat-ed&code=2823-3".into()), "nurse", 200),
        ("POST", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn", Some("patient=pat-icu&code=2823-3".into()), "nurse", 403),
        ("POST", "/fhir/{kind}/$lastn", "/fhir/Observation/$lastn", Some("max=0".into()), "client", 400),
        // Who is meant
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "nobody", 401),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "liar", 401),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "privacy", 403),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "reader", 403),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "nurse", 200),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", testperson(), "client", 200),
        ("POST", "/fhir/{kind}/$match", "/fhir/Patient/$match", matching(json!({"family": 7})), "client", 422),
        ("POST", "/fhir/{kind}/$match", "/fhir/Observation/$match", testperson(), "client", 400),
        // Update
        ("PUT", "/fhir/{kind}/{id}", "/fhir/Observation/o1", put_obs(), "nobody", 401),
        ("PUT", "/fhir/{kind}/{id}", "/fhir/Observation/o1", put_obs(), "reader", 403),
        ("PUT", "/fhir/{kind}/{id}", "/fhir/Observation/o1", put_obs(), "privacy", 403),
        ("PUT", "/fhir/{kind}/{id}", "/fhir/Observation/o1", put_obs(), "nurse", 201),
        ("PUT", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some(observation(Some("o1"), "pat-icu", "5.0")), "nurse", 403),
        ("PUT", "/fhir/{kind}", "/fhir/Observation?identifier=urn:test:lab%7C1", obs(), "nobody", 401),
        ("PUT", "/fhir/{kind}", "/fhir/Observation?identifier=urn:test:lab%7C1", obs(), "reader", 403),
        ("PUT", "/fhir/{kind}", "/fhir/Observation?identifier=urn:test:lab%7C1", obs(), "privacy", 403),
        ("PUT", "/fhir/{kind}", "/fhir/Observation?identifier=urn:test:lab%7C1", obs_icu(), "nurse", 403),
        ("PUT", "/fhir/{kind}", "/fhir/Observation?identifier=urn:test:lab%7C1", obs(), "nurse", 201),
        ("PUT", "/fhir/{kind}", "/fhir/Observation", obs(), "client", 400),
        // Patch
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some("[]".into()), "nobody", 401),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some("[]".into()), "liar", 401),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some("[]".into()), "reader", 403),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some("[]".into()), "privacy", 403),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/o1", Some("[]".into()), "nurse", 200),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Encounter/pat-icu-enc", Some("[]".into()), "nurse", 403),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/none", Some("[]".into()), "nurse", 403),
        ("PATCH", "/fhir/{kind}/{id}", "/fhir/Observation/none", Some("[]".into()), "client", 404),
        // Delete
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "nobody", 401),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "liar", 401),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "reader", 403),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "privacy", 403),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Encounter/pat-icu-enc", None, "nurse", 403),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/none", None, "nurse", 403),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Location/ED", None, "nurse", 403),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/none", None, "client", 404),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Patient/pat-icu", None, "client", 409),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "nurse", 204),
        ("DELETE", "/fhir/{kind}/{id}", "/fhir/Observation/o1", None, "nurse", 204),
        ("DELETE", "/fhir/{kind}", "/fhir/Observation?identifier=a%7Cb", None, "nobody", 401),
        ("DELETE", "/fhir/{kind}", "/fhir/Observation?identifier=a%7Cb", None, "client", 400),
        // Checks
        ("POST", "/fhir/{kind}/$validate", "/fhir/Observation/$validate", obs(), "nobody", 401),
        ("POST", "/fhir/{kind}/$validate", "/fhir/Observation/$validate", obs(), "liar", 401),
        ("POST", "/fhir/{kind}/$validate", "/fhir/Observation/$validate", obs(), "nurse", 200),
        ("POST", "/fhir/{kind}/$validate", "/fhir/Nothing/$validate", obs(), "client", 404),
        ("POST", "/fhir/{kind}/{id}/$validate", "/fhir/Observation/o1/$validate", put_obs(), "nobody", 401),
        ("POST", "/fhir/{kind}/{id}/$validate", "/fhir/Observation/o1/$validate", put_obs(), "nurse", 200),
        // History
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-ed/_history", None, "nobody", 401),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-ed/_history", None, "privacy", 403),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-ed/_history", None, "reader", 403),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-ed/_history", None, "nurse", 200),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-icu/_history", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/nobody-knows/_history", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/nobody-knows/_history", None, "client", 404),
        ("GET", "/fhir/{kind}/{id}/_history", "/fhir/Patient/pat-ed/_history?_count=0", None, "client", 400),
        // Read
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/pat-ed", None, "nobody", 401),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/pat-ed", None, "nurse", 200),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/pat-icu", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/nobody-knows", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Encounter/pat-icu-enc", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/pat-ed", None, "privacy", 403),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/pat-ed", None, "reader", 403),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Patient/nobody-knows", None, "client", 404),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Location/ED", None, "nurse", 200),
        ("GET", "/fhir/{kind}/{id}", "/fhir/Nothing/x", None, "client", 404),
        ("GET", "/fhir/{kind}/{id}/_history/{vid}", "/fhir/Patient/pat-ed/_history/1", None, "nobody", 401),
        ("GET", "/fhir/{kind}/{id}/_history/{vid}", "/fhir/Patient/pat-ed/_history/1", None, "nurse", 200),
        ("GET", "/fhir/{kind}/{id}/_history/{vid}", "/fhir/Patient/pat-icu/_history/1", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}/_history/{vid}", "/fhir/Patient/pat-ed/_history/9", None, "client", 404),
        ("GET", "/fhir/{kind}/{id}/_history/{vid}", "/fhir/Patient/pat-ed/_history/1", None, "reader", 403),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/pat-ed/$everything", None, "nobody", 401),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/pat-ed/$everything", None, "nurse", 200),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/pat-icu/$everything", None, "nurse", 403),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/pat-ed/$everything", None, "privacy", 403),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/nobody-knows/$everything", None, "client", 404),
        ("GET", "/fhir/{kind}/{id}/$everything", "/fhir/Patient/pat-ed/$everything?_since=2020", None, "client", 400),
        // Sessions
        ("POST", "/auth/token", "/auth/token", Some("grant_type=client_credentials&client_id=x&client_secret=y".into()), "nobody", 401),
        ("POST", "/auth/token", "/auth/token", Some("grant_type=password".into()), "nobody", 400),
        ("POST", "/auth/introspect", "/auth/introspect", Some("token=x".into()), "nobody", 401),
        ("POST", "/auth/introspect", "/auth/introspect", Some("token=x".into()), "client", 401),
        ("POST", "/auth/introspect", "/auth/introspect", Some("token=x".into()), "nurse", 401),
        ("POST", "/auth/revoke", "/auth/revoke", Some("token=x".into()), "nobody", 401),
        ("POST", "/auth/revoke", "/auth/revoke", Some("token=x".into()), "client", 401),
        ("POST", "/auth/revoke", "/auth/revoke", Some("token=x".into()), "nurse", 401),
        ("GET", "/auth/authorize", "/auth/authorize?client_id=x", None, "nobody", 400),
        ("POST", "/auth/authorize", "/auth/authorize", Some("client_id=x".into()), "nobody", 400),
        ("GET", "/auth/authorize/ask", "/auth/authorize/ask?client_id=x", None, "nobody", 400),
        ("GET", "/auth/authorize/ask", "/auth/authorize/ask?client_id=x", None, "nurse", 400),
        ("POST", "/auth/authorize/sign-in", "/auth/authorize/sign-in", Some("user=nina&secret=193746".into()), "nobody", 403),
        ("POST", "/auth/authorize/sign-in", "/auth/authorize/sign-in", Some("user=nina&secret=193746".into()), "web page", 403),
        ("POST", "/auth/authorize/code", "/auth/authorize/code", Some("code=123456".into()), "nobody", 403),
        ("POST", "/auth/authorize/code", "/auth/authorize/code", Some("code=123456".into()), "web page", 403),
        ("POST", "/auth/authorize/find", "/auth/authorize/find", Some("name=Test".into()), "nobody", 403),
        ("POST", "/auth/authorize/find", "/auth/authorize/find", Some("name=Test".into()), "client", 403),
        ("POST", "/auth/authorize/find", "/auth/authorize/find", Some("name=Test".into()), "console", 403),
        ("POST", "/auth/authorize/answer", "/auth/authorize/answer", Some("answer=allow".into()), "nobody", 403),
        ("POST", "/auth/authorize/answer", "/auth/authorize/answer", Some("answer=allow".into()), "console", 403),
        ("POST", "/auth/launch", "/auth/launch", Some(json!({"patient": "pat-ed"}).to_string()), "nobody", 401),
        ("POST", "/auth/launch", "/auth/launch", Some(json!({"patient": "pat-ed"}).to_string()), "client", 403),
        ("POST", "/auth/launch", "/auth/launch", Some(json!({"patient": "pat-icu"}).to_string()), "nurse", 403),
        ("POST", "/auth/launch", "/auth/launch", Some(json!({"patient": "pat-ed"}).to_string()), "privacy", 403),
        ("POST", "/auth/launch", "/auth/launch", Some(json!({"patient": "pat-ed"}).to_string()), "nurse", 200),
        ("GET", "/.well-known/smart-configuration", "/.well-known/smart-configuration", None, "nobody", 200),
        ("GET", "/fhir/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration", None, "nobody", 200),
        ("POST", "/auth/login", "/auth/login", Some("{}".into()), "nobody", 400),
        ("POST", "/auth/login", "/auth/login", Some(json!({"user": "nina", "secret": "193746", "device": "nobody", "at_ms": 0, "signature": "00"}).to_string()), "nobody", 401),
        ("POST", "/auth/way", "/auth/way", Some("{}".into()), "nobody", 400),
        ("POST", "/auth/way", "/auth/way", Some(json!({"user": "nina", "device": "nobody", "at_ms": 0, "signature": "00"}).to_string()), "nobody", 401),
        ("POST", "/auth/secret", "/auth/secret", secret("a wrong password"), "nobody", 401),
        ("POST", "/auth/secret", "/auth/secret", secret("a wrong password"), "client", 403),
        ("POST", "/auth/secret", "/auth/secret", secret("a wrong password"), "nurse", 401),
        ("POST", "/auth/secret", "/auth/secret", Some("{\"password\":\"x\"}".into()), "nurse", 400),
        ("POST", "/auth/logout", "/auth/logout", None, "nobody", 401),
        // Without a provider in the configuration; with one: oidc_attacks.rs
        ("GET", "/auth/oidc", "/auth/oidc", None, "nobody", 404),
        ("POST", "/auth/oidc", "/auth/oidc", Some("{}".into()), "nobody", 404),
        ("POST", "/auth/oidc/backchannel-logout", "/auth/oidc/backchannel-logout", Some("logout_token=x".into()), "nobody", 404),
        ("GET", "/console/api/ways", "/console/api/ways", None, "nobody", 200),
        ("GET", "/console/api/oidc/start", "/console/api/oidc/start", None, "nobody", 404),
        ("GET", "/console/oidc/callback", "/console/oidc/callback?code=a&state=b", None, "nobody", 404),
        ("POST", "/auth/break-glass", "/auth/break-glass", glass("pat-icu"), "nobody", 401),
        ("POST", "/auth/break-glass", "/auth/break-glass", glass("pat-icu"), "client", 403),
        ("POST", "/auth/break-glass", "/auth/break-glass", glass("pat-icu"), "privacy", 403),
        ("POST", "/auth/break-glass", "/auth/break-glass", Some("{\"patient\":\"pat-icu\",\"reason\":\"curious\"}".into()), "nurse", 400),
        // Emergency card
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "nobody", 401),
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "liar", 401),
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "nurse", 200),
        ("GET", "/emergency/{patient}", "/emergency/pat-icu", None, "nurse", 403),
        ("GET", "/emergency/{patient}", "/emergency/nobody-knows", None, "nurse", 403),
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "privacy", 403),
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "reader", 403),
        ("GET", "/emergency/{patient}", "/emergency/pat-ed", None, "client", 200),
        ("GET", "/emergency/{patient}", "/emergency/nobody-knows", None, "client", 404),
        // Enrolment
        ("POST", "/enrol/hello", "/enrol/hello", Some(json!({"nonce": "00".repeat(16), "code_hint": "00000000"}).to_string()), "nobody", 404),
        ("POST", "/enrol", "/enrol", Some(json!({"code": "WRONG", "name": "x", "public_key": "00".repeat(32)}).to_string()), "nobody", 404),
        // Import
        ("POST", "/import", "/import", obs(), "nobody", 401),
        ("POST", "/import", "/import", obs(), "nurse", 403),
        ("POST", "/import", "/import", obs(), "privacy", 403),
        ("POST", "/import", "/import", obs(), "client", 200),
        // Images
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "nobody", 401),
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "liar", 401),
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "nurse", 403),
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "privacy", 403),
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "reader", 403),
        ("POST", "/dicomweb/studies", "/dicomweb/studies", Some("x".into()), "client", 415),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "nobody", 401),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "liar", 401),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "nurse", 403),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "privacy", 403),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "reader", 403),
        ("POST", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", Some("x".into()), "client", 415),
        ("GET", "/dicomweb/studies", "/dicomweb/studies", None, "nobody", 401),
        ("GET", "/dicomweb/studies", "/dicomweb/studies", None, "privacy", 403),
        ("GET", "/dicomweb/studies", "/dicomweb/studies", None, "reader", 403),
        ("GET", "/dicomweb/studies", "/dicomweb/studies", None, "nurse", 400),
        ("GET", "/dicomweb/studies", "/dicomweb/studies?PatientID=mrn-pat-ed", None, "nurse", 204),
        ("GET", "/dicomweb/studies", "/dicomweb/studies?PatientID=mrn-pat-icu", None, "nurse", 403),
        ("GET", "/dicomweb/studies", "/dicomweb/studies?StudyInstanceUID=1.2.3", None, "nurse", 204),
        ("GET", "/dicomweb/studies", "/dicomweb/studies", None, "client", 204),
        ("GET", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}", "/dicomweb/studies/1.2.3", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/metadata", "/dicomweb/studies/1.2.3/metadata", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/metadata", "/dicomweb/studies/1.2.3/metadata", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/metadata", "/dicomweb/studies/1.2.3/metadata", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series", "/dicomweb/studies/1.2.3/series", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series", "/dicomweb/studies/1.2.3/series", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series", "/dicomweb/studies/1.2.3/series", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/instances", "/dicomweb/studies/1.2.3/instances", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/instances", "/dicomweb/studies/1.2.3/instances", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/instances", "/dicomweb/studies/1.2.3/instances", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}", "/dicomweb/studies/1.2.3/series/1.2.3.4", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}", "/dicomweb/studies/1.2.3/series/1.2.3.4", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}", "/dicomweb/studies/1.2.3/series/1.2.3.4", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/metadata", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/metadata", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/metadata", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/metadata", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/metadata", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/metadata", None, "client", 404),
        // Synchronisation: without a WebSocket handshake, and from a web page
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{*path}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/bulkdata/00420011", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{*path}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/bulkdata/00420011", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{*path}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/bulkdata/00420011", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/thumbnail", "/dicomweb/studies/1.2.3/thumbnail", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/thumbnail", "/dicomweb/studies/1.2.3/thumbnail", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/thumbnail", "/dicomweb/studies/1.2.3/thumbnail", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/thumbnail", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/thumbnail", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/thumbnail", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/thumbnail", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/thumbnail", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/thumbnail", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/rendered", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/rendered", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/rendered", None, "client", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/thumbnail", None, "nobody", 401),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/thumbnail", None, "nurse", 404),
        ("GET", "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail", "/dicomweb/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/frames/1/thumbnail", None, "client", 404),
        ("GET", "/ws/sync", "/ws/sync", None, "nobody", 400),
        ("GET", "/ws/sync", "/ws/sync", None, "web page", 403),
        ("GET", "/ws/images", "/ws/images", None, "nobody", 401),
        ("GET", "/ws/images", "/ws/images", None, "liar", 401),
        ("GET", "/ws/images", "/ws/images", None, "nurse", 400),
        ("POST", "/live/vitals", "/live/vitals", Some("{}".to_owned()), "nobody", 401),
        ("POST", "/live/vitals", "/live/vitals", Some("{}".to_owned()), "liar", 401),
        ("POST", "/live/vitals", "/live/vitals", Some("{}".to_owned()), "nurse", 403),
        ("POST", "/live/vitals", "/live/vitals", Some("{}".to_owned()), "client", 422),
        ("GET", "/ws/live", "/ws/live?ward=ED", None, "nobody", 401),
        ("GET", "/ws/live", "/ws/live?ward=ED", None, "liar", 401),
        ("GET", "/ws/live", "/ws/live", None, "nurse", 400),
        ("GET", "/ws/live", "/ws/live?ward=ED", None, "nurse", 400),
        ("GET", "/ws/images/ahead", "/ws/images/ahead", None, "nobody", 400),
        ("GET", "/ws/images/ahead", "/ws/images/ahead", None, "web page", 403),
        // The console
        ("GET", "/console", "/console", None, "nobody", page()),
        ("GET", "/console/", "/console/", None, "nobody", page()),
        ("GET", "/console/{*file}", "/console/index.html", None, "nobody", page()),
        ("POST", "/console/api/sign-in", "/console/api/sign-in", Some("{}".to_owned()), "nobody", 403),
        ("POST", "/console/api/sign-in", "/console/api/sign-in", Some("{}".to_owned()), "web page", 403),
        ("POST", "/console/api/sign-in", "/console/api/sign-in", Some("{}".to_owned()), "console", 400),
        ("POST", "/console/api/sign-in/code", "/console/api/sign-in/code", Some(json!({"code": "123456"}).to_string()), "nobody", 403),
        ("POST", "/console/api/sign-in/code", "/console/api/sign-in/code", Some(json!({"code": "123456"}).to_string()), "web page", 403),
        ("POST", "/console/api/sign-in/code", "/console/api/sign-in/code", Some(json!({"code": "123456"}).to_string()), "console", 401),
        ("POST", "/console/api/totp", "/console/api/totp", Some(json!({"secret": "wrong"}).to_string()), "nobody", 401),
        ("POST", "/console/api/totp", "/console/api/totp", Some(json!({"secret": "wrong"}).to_string()), "liar", 401),
        ("POST", "/console/api/totp", "/console/api/totp", Some(json!({"secret": "wrong"}).to_string()), "privacy", 401),
        ("POST", "/console/api/totp", "/console/api/totp", Some(json!({"secret": "wrong"}).to_string()), "console", 401),
        ("POST", "/console/api/totp/confirm", "/console/api/totp/confirm", Some(json!({"code": "123456"}).to_string()), "nobody", 401),
        ("POST", "/console/api/totp/confirm", "/console/api/totp/confirm", Some(json!({"code": "123456"}).to_string()), "liar", 401),
        ("POST", "/console/api/totp/confirm", "/console/api/totp/confirm", Some(json!({"code": "123456"}).to_string()), "privacy", 401),
        ("POST", "/console/api/totp/confirm", "/console/api/totp/confirm", Some(json!({"code": "123456"}).to_string()), "console", 409),
        ("GET", "/console/api/session", "/console/api/session", None, "nobody", 401),
        ("GET", "/console/api/session", "/console/api/session", None, "liar", 401),
        ("GET", "/console/api/session", "/console/api/session", None, "privacy", 401),
        ("GET", "/console/api/session", "/console/api/session", None, "console", 200),
        ("GET", "/console/api/reviews", "/console/api/reviews", None, "nobody", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews", None, "liar", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews", None, "privacy", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews", None, "console", 200),
        ("GET", "/console/api/reviews", "/console/api/reviews?which=some", None, "nobody", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews?which=some", None, "liar", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews?which=some", None, "privacy", 401),
        ("GET", "/console/api/reviews", "/console/api/reviews?which=some", None, "console", 400),
        ("GET", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", None, "nobody", 401),
        ("GET", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", None, "liar", 401),
        ("GET", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", None, "privacy", 401),
        ("GET", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", None, "console", 404),
        ("POST", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", Some(json!({"how": "ask", "text": "why"}).to_string()), "nobody", 401),
        ("POST", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", Some(json!({"how": "ask", "text": "why"}).to_string()), "liar", 401),
        ("POST", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", Some(json!({"how": "ask", "text": "why"}).to_string()), "privacy", 401),
        ("POST", "/console/api/reviews/{id}", "/console/api/reviews/018f0000-0000-7000-8000-000000000000", Some(json!({"how": "ask", "text": "why"}).to_string()), "console", 404),
        ("GET", "/console/api/review-stats", "/console/api/review-stats", None, "nobody", 401),
        ("GET", "/console/api/review-stats", "/console/api/review-stats", None, "liar", 401),
        ("GET", "/console/api/review-stats", "/console/api/review-stats", None, "privacy", 401),
        ("GET", "/console/api/review-stats", "/console/api/review-stats", None, "console", 200),
        ("GET", "/console/api/audit", "/console/api/audit", None, "nobody", 401),
        ("GET", "/console/api/audit", "/console/api/audit", None, "liar", 401),
        ("GET", "/console/api/audit", "/console/api/audit", None, "privacy", 401),
        ("GET", "/console/api/audit", "/console/api/audit", None, "console", 200),
        ("GET", "/console/api/audit", "/console/api/audit?patient=p-1&user=petra&before=0.1.server", None, "console", 200),
        ("GET", "/console/api/audit", "/console/api/audit?before=x", None, "console", 400),
        ("GET", "/console/api/audit", "/console/api/audit?patient=a%2Fb", None, "console", 400),
        ("GET", "/console/api/audit", "/console/api/audit?from=x", None, "console", 400),
        ("GET", "/console/api/chains", "/console/api/chains", None, "nobody", 401),
        ("GET", "/console/api/chains", "/console/api/chains", None, "liar", 401),
        ("GET", "/console/api/chains", "/console/api/chains", None, "privacy", 401),
        ("GET", "/console/api/chains", "/console/api/chains", None, "console", 200),
        ("POST", "/console/api/chains", "/console/api/chains", Some("{}".to_owned()), "nobody", 401),
        ("POST", "/console/api/chains", "/console/api/chains", Some("{}".to_owned()), "liar", 401),
        ("POST", "/console/api/chains", "/console/api/chains", Some("{}".to_owned()), "privacy", 401),
        ("POST", "/console/api/chains", "/console/api/chains", Some("{}".to_owned()), "console", 200),
        ("GET", "/console/api/devices", "/console/api/devices", None, "nobody", 401),
        ("GET", "/console/api/devices", "/console/api/devices", None, "liar", 401),
        ("GET", "/console/api/devices", "/console/api/devices", None, "privacy", 401),
        ("GET", "/console/api/devices", "/console/api/devices", None, "console", 403),
        ("POST", "/console/api/devices/{id}/revoke", "/console/api/devices/d/revoke", Some(json!({"reason": "lost"}).to_string()), "nobody", 401),
        ("POST", "/console/api/devices/{id}/revoke", "/console/api/devices/d/revoke", Some(json!({"reason": "lost"}).to_string()), "liar", 401),
        ("POST", "/console/api/devices/{id}/revoke", "/console/api/devices/d/revoke", Some(json!({"reason": "lost"}).to_string()), "privacy", 401),
        ("POST", "/console/api/devices/{id}/revoke", "/console/api/devices/d/revoke", Some(json!({"reason": "lost"}).to_string()), "console", 403),
        ("GET", "/console/api/people", "/console/api/people", None, "nobody", 401),
        ("GET", "/console/api/people", "/console/api/people", None, "liar", 401),
        ("GET", "/console/api/people", "/console/api/people", None, "privacy", 401),
        ("GET", "/console/api/people", "/console/api/people", None, "console", 403),
        ("GET", "/console/api/policy", "/console/api/policy", None, "nobody", 401),
        ("GET", "/console/api/policy", "/console/api/policy", None, "liar", 401),
        ("GET", "/console/api/policy", "/console/api/policy", None, "privacy", 401),
        ("GET", "/console/api/policy", "/console/api/policy", None, "console", 200),
        ("GET", "/console/api/policy", "/console/api/policy?level=x", None, "console", 400),
        ("POST", "/console/api/policy/why", "/console/api/policy/why", Some(json!({"user": "nina", "patient": "pat-ed", "purpose": ""}).to_string()), "nobody", 401),
        ("POST", "/console/api/policy/why", "/console/api/policy/why", Some(json!({"user": "nina", "patient": "pat-ed", "purpose": ""}).to_string()), "liar", 401),
        ("POST", "/console/api/policy/why", "/console/api/policy/why", Some(json!({"user": "nina", "patient": "pat-ed", "purpose": ""}).to_string()), "privacy", 401),
        ("POST", "/console/api/policy/why", "/console/api/policy/why", Some(json!({"user": "nobody-here", "patient": "pat-ed", "purpose": ""}).to_string()), "console", 404),
        ("GET", "/console/api/messages", "/console/api/messages", None, "nobody", 401),
        ("GET", "/console/api/messages", "/console/api/messages", None, "liar", 401),
        ("GET", "/console/api/messages", "/console/api/messages", None, "privacy", 401),
        ("GET", "/console/api/messages", "/console/api/messages", None, "console", 403),
        ("GET", "/console/api/messages/{id}", "/console/api/messages/1", None, "nobody", 401),
        ("GET", "/console/api/messages/{id}", "/console/api/messages/1", None, "liar", 401),
        ("GET", "/console/api/messages/{id}", "/console/api/messages/1", None, "privacy", 401),
        ("GET", "/console/api/messages/{id}", "/console/api/messages/1", None, "console", 403),
        ("POST", "/console/api/messages/{id}/replay", "/console/api/messages/1/replay", Some("{}".to_owned()), "nobody", 401),
        ("POST", "/console/api/messages/{id}/replay", "/console/api/messages/1/replay", Some("{}".to_owned()), "liar", 401),
        ("POST", "/console/api/messages/{id}/replay", "/console/api/messages/1/replay", Some("{}".to_owned()), "privacy", 401),
        ("POST", "/console/api/messages/{id}/replay", "/console/api/messages/1/replay", Some("{}".to_owned()), "console", 403),
        ("POST", "/console/api/messages/{id}/fix", "/console/api/messages/1/fix", Some(json!({"text": "MSH", "reason": "a"}).to_string()), "nobody", 401),
        ("POST", "/console/api/messages/{id}/fix", "/console/api/messages/1/fix", Some(json!({"text": "MSH", "reason": "a"}).to_string()), "liar", 401),
        ("POST", "/console/api/messages/{id}/fix", "/console/api/messages/1/fix", Some(json!({"text": "MSH", "reason": "a"}).to_string()), "privacy", 401),
        ("POST", "/console/api/messages/{id}/fix", "/console/api/messages/1/fix", Some(json!({"text": "MSH", "reason": "a"}).to_string()), "console", 403),
        ("POST", "/console/api/messages/{id}/drop", "/console/api/messages/1/drop", Some(json!({"reason": "a test"}).to_string()), "nobody", 401),
        ("POST", "/console/api/messages/{id}/drop", "/console/api/messages/1/drop", Some(json!({"reason": "a test"}).to_string()), "liar", 401),
        ("POST", "/console/api/messages/{id}/drop", "/console/api/messages/1/drop", Some(json!({"reason": "a test"}).to_string()), "privacy", 401),
        ("POST", "/console/api/messages/{id}/drop", "/console/api/messages/1/drop", Some(json!({"reason": "a test"}).to_string()), "console", 403),
        ("POST", "/console/api/sign-out", "/console/api/sign-out", Some("{}".to_owned()), "nobody", 401),
        ("POST", "/console/api/sign-out", "/console/api/sign-out", Some("{}".to_owned()), "liar", 401),
        ("POST", "/console/api/sign-out", "/console/api/sign-out", Some("{}".to_owned()), "privacy", 401),
        ("POST", "/console/api/sign-out", "/console/api/sign-out", Some("{}".to_owned()), "console", 204),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let h = hospital().await;
    for (method, _, path, body, caller, want) in cases() {
        let mut request = h
            .server
            .http()
            .request(method.parse().unwrap(), h.server.url(path));
        request = match caller {
            "client" => request.bearer_auth(&h.client),
            "reader" => request.bearer_auth(&h.reader),
            "nurse" => request.bearer_auth(&h.nurse),
            "privacy" => request.bearer_auth(&h.privacy),
            "liar" => request.bearer_auth("0".repeat(64)),
            "console" => request
                .header(
                    "cookie",
                    format!("{}={}", harness::browser::COOKIE, h.console.cookie),
                )
                .header("origin", &h.console.base)
                .header("x-vitrine-csrf", &h.console.csrf),
            "web page" => request.header("origin", "https://evil.example"),
            _ => request,
        };
        if let Some(body) = body {
            let form = path == "/auth/token" || path.ends_with("/_search") || path.ends_with("/$lastn");
            let kind = if form {
                "application/x-www-form-urlencoded"
            } else if method == "PATCH" {
                "application/json-patch+json"
            } else {
                "application/json"
            };
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer
            .headers()
            .get("content-type")
            .map(|t| t.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let text = answer.text().await.unwrap();
        assert_eq!(status, want, "{method} {path} by {caller}: {text}");
        if path.starts_with("/fhir") && want >= 400 {
            let outcome: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(outcome["resourceType"], "OperationOutcome", "{text}");
            assert!(kind.starts_with("application/fhir+json"), "{kind}");
        }
        assert!(
            !text.contains("Testperson") || want < 300,
            "a refusal shows a name: {text}"
        );
    }
}

#[test]
fn no_route_is_without_a_case() {
    let asked: BTreeSet<(&str, &str)> = cases().iter().map(|c| (c.0, c.1)).collect();
    for route in ROUTES {
        assert!(
            asked.contains(&(route.method, route.path)),
            "{} {} has no authorisation case",
            route.method,
            route.path
        );
        if matches!(route.door, Door::Bearer | Door::Console) {
            let by: BTreeSet<&str> = cases()
                .iter()
                .filter(|c| c.0 == route.method && c.1 == route.path)
                .map(|c| c.4)
                .collect();
            assert!(
                by.contains("nobody"),
                "{} {} is not asked without a token",
                route.method,
                route.path
            );
        }
    }
    assert_eq!(
        asked.len(),
        ROUTES.len(),
        "a case asks for a route that is not in the table"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn breaking_the_glass_opens_one_record_and_the_refusal_offers_it() {
    let h = hospital().await;
    let s = &h.server;
    let (status, refused) = {
        let a = s
            .get("/fhir/Patient/pat-icu")
            .bearer_auth(&h.nurse)
            .send()
            .await
            .unwrap();
        (a.status().as_u16(), json_of(a).await)
    };
    assert_eq!(
        (status, &refused["issue"][0]["code"]),
        (403, &json!("suppressed"))
    );
    assert_eq!(refused["issue"][0]["details"]["coding"][0]["code"], "ETREAT");
    let body = json!({"patient": "pat-icu", "reason": "life-threatening", "words": "collapsed"});
    let answer = s
        .post("/auth/break-glass")
        .bearer_auth(&h.nurse)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let grant = json_of(answer).await["grant"].as_str().unwrap().to_owned();
    let answer = s
        .get("/fhir/Patient/pat-icu")
        .bearer_auth(&h.nurse)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // Reading only, and only this patient.
    let (status, _) = s
        .fhir(&h.nurse, "/fhir/Observation", observation(None, "pat-icu", "1.0"))
        .await;
    assert_eq!(status, 403);
    let rows = s.audit();
    let of = |action: &str| rows.iter().filter(|r| r["action"] == action).collect::<Vec<_>>();
    assert_eq!(of("break-glass").len(), 1);
    assert_eq!(of("break-glass")[0]["purpose"], "BTG");
    let read = of("read-resource")
        .into_iter()
        .rfind(|r| r["decision"] == "permit")
        .unwrap();
    assert_eq!((&read["grant"], &read["purpose"]), (&json!(grant), &json!("BTG")));
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_is_throttled_and_ends_where_it_must() {
    let h = hospital().await;
    let s = &h.server;
    let wrong_device = Device {
        id: h.ed.id.clone(),
        ..s.enrol("ICU", &[]).await
    };
    assert_eq!(
        s.login(&wrong_device, "nina", "193746").await.0,
        401,
        "signed by another key"
    );
    for _ in 0..4 {
        assert_eq!(s.login(&h.ed, "nina", "000111").await.1["code"], "wrong-secret");
    }
    let (status, answer) = s.login(&h.ed, "nina", "000111").await;
    assert_eq!(
        (status, &answer["code"], &answer["retry_after_s"]),
        (429, &json!("throttled"), &json!(30))
    );
    assert_eq!(
        s.login(&h.ed, "nina", "193746").await.0,
        429,
        "the right secret waits too"
    );
    let icu = s.enrol("ICU", &[]).await;
    assert_eq!(
        s.login(&icu, "nina", "193746").await.0,
        200,
        "another workstation is not affected"
    );
    assert_eq!(s.login(&icu, "nobody", "193746").await.1["code"], "wrong-secret");

    let read = || async {
        s.get("/fhir/Patient/pat-ed")
            .bearer_auth(&h.nurse)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(read().await, 200);
    done(&["user", "disable", "nina", "--data", s.dir()]);
    assert_eq!(read().await, 401, "a disabled account's session ends");
    assert_eq!(s.login(&icu, "nina", "193746").await.1["code"], "disabled");
    done(&["device", "revoke", &h.ed.id, "--data", s.dir()]);
    let answer = s
        .post("/auth/logout")
        .bearer_auth(&h.privacy)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401, "a session at a revoked workstation ends");
    assert_eq!(
        s.login(&h.ed, "petra", "petra-long-password").await.1["code"],
        "device-revoked"
    );
    let (_, session) = s.login(&icu, "petra", "petra-long-password").await;
    let token = session["token"].as_str().unwrap();
    assert_eq!(
        s.post("/auth/logout")
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        s.post("/auth/logout")
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_all_or_nothing_and_names_inside_resolve() {
    let h = hospital().await;
    let s = &h.server;
    let obs: Value = serde_json::from_str(&observation(None, "pat-ed", "7.0")).unwrap();
    let mut entries: Vec<Value> = (0..500)
        .map(|_| json!({"resource": obs, "request": {"method": "POST", "url": "Observation"}}))
        .collect();
    entries[499]["resource"]["status"] = json!("finalx");
    let before = done(&["doctor", "--data", s.dir()])["counts"]["resources"].clone();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let (status, outcome) = s.fhir(&h.client, "/fhir", bundle.to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(
        outcome["issue"][0]["expression"][0],
        "Bundle.entry[499].resource.status"
    );
    assert_eq!(
        done(&["doctor", "--data", s.dir()])["counts"]["resources"],
        before,
        "nothing was applied"
    );

    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": {"resourceType": "Observation", "status": "finalx"}, "request": {"method": "POST", "url": "Observation"}},
        {"resource": obs, "request": {"method": "POST", "url": "Observation"}},
        {"request": {"method": "GET", "url": "Patient/pat-ed"}},
        {"request": {"method": "GET", "url": "Patient?name=una"}},
        {"request": {"method": "GET", "url": "Patient/missing"}},
        {"request": {"method": "DELETE", "url": "Observation/none"}},
    ]});
    let (status, answer) = s.fhir(&h.client, "/fhir", batch.to_string()).await;
    assert_eq!(status, 200);
    let statuses: Vec<&str> = (0..6)
        .map(|i| answer["entry"][i]["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses.iter().map(|s| &s[..3]).collect::<Vec<_>>(),
        ["422", "201", "200", "200", "404", "204"],
        "{answer}"
    );
    assert_eq!(answer["entry"][2]["resource"]["id"], "pat-ed");
    assert_eq!(answer["entry"][3]["resource"]["type"], "searchset");

    let names = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9", "resource": {"resourceType": "Patient",
            "identifier": [{"system": "urn:test:mrn", "value": "new-one"}]},
         "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:test:mrn|new-one"}},
        {"resource": {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"},
            "performer": [{"reference": "Patient?identifier=urn:test:mrn|mrn-pat-ed"}]},
         "request": {"method": "POST", "url": "Observation"}},
    ]});
    let (status, first) = s.fhir(&h.client, "/fhir", names.to_string()).await;
    assert_eq!(status, 200, "{first}");
    let place = |v: &Value, i: usize| v["entry"][i]["response"]["location"].as_str().unwrap().to_owned();
    let path = place(&first, 1);
    let stored = json_of(
        s.get(&format!("/fhir/{}", path.split("/_history").next().unwrap()))
            .bearer_auth(&h.client)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        format!("{}/_history/1", stored["subject"]["reference"].as_str().unwrap()),
        place(&first, 0)
    );
    assert_eq!(stored["performer"][0]["reference"], "Patient/pat-ed");
    let (_, second) = s.fhir(&h.client, "/fhir", names.to_string()).await;
    assert_eq!(
        second["entry"][0]["response"]["status"], "200 OK",
        "the patient is there already"
    );
    assert_eq!(place(&second, 0), place(&first, 0));
    for (reference, code) in [
        ("urn:uuid:00000000-0000-4000-8000-000000000000", "not-found"),
        ("Patient?identifier=urn:test:mrn|none", "not-found"),
    ] {
        let mut bad = names.clone();
        bad["entry"][1]["resource"]["subject"]["reference"] = json!(reference);
        let (status, outcome) = s.fhir(&h.client, "/fhir", bad.to_string()).await;
        assert_eq!(
            (status, &outcome["issue"][0]["code"]),
            (422, &json!(code)),
            "{outcome}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_tags_preferences_and_keys_do_as_they_say() {
    let h = hospital().await;
    let s = &h.server;
    let put = |value: &str| {
        s.put("/fhir/Observation/v1")
            .bearer_auth(&h.client)
            .header("content-type", "application/fhir+json")
            .body(observation(Some("v1"), "pat-ed", value))
    };
    let first = put("72.50").send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), first.headers()["etag"].to_str().unwrap()),
        (201, "W/\"1\"")
    );
    let place = first.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        place.ends_with("/fhir/Observation/v1/_history/1") && place.starts_with(&s.url("")),
        "{place}"
    );
    assert_eq!(
        put("72.5")
            .header("if-match", "W/\"1\"")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let stale = put("72.6").header("if-match", "W/\"1\"").send().await.unwrap();
    assert_eq!(stale.status(), 412);
    let now = s
        .get("/fhir/Observation/v1")
        .bearer_auth(&h.client)
        .send()
        .await
        .unwrap();
    let (tag, date) = (
        now.headers()["etag"].clone(),
        now.headers()["last-modified"].clone(),
    );
    assert_eq!(tag, "W/\"2\"");
    let text = now.text().await.unwrap();
    assert!(
        text.contains("\"value\":72.5,") && text.contains("\"versionId\":\"2\""),
        "{text}"
    );
    let old = s
        .get("/fhir/Observation/v1/_history/1")
        .bearer_auth(&h.client)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        old.contains("\"value\":72.50,"),
        "decimals are kept digit by digit: {old}"
    );
    for (name, value) in [("if-none-match", &tag), ("if-modified-since", &date)] {
        let same = s
            .get("/fhir/Observation/v1")
            .bearer_auth(&h.client)
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(same.status(), 304, "{name}");
    }
    for (accept, want) in [
        ("application/fhir+xml", 406),
        ("application/fhir+json", 200),
        ("text/html, */*;q=0.1", 200),
    ] {
        assert_eq!(
            s.get("/fhir/Observation/v1")
                .bearer_auth(&h.client)
                .header("accept", accept)
                .send()
                .await
                .unwrap()
                .status(),
            want
        );
    }
    assert_eq!(
        s.get("/fhir/Observation/v1?_format=xml")
            .bearer_auth(&h.client)
            .send()
            .await
            .unwrap()
            .status(),
        406
    );
    let xml = s
        .post("/fhir/Observation")
        .bearer_auth(&h.client)
        .header("content-type", "application/fhir+xml")
        .body("<a/>")
        .send()
        .await
        .unwrap();
    assert_eq!(xml.status(), 415);

    let key = vitrine_server::clock::new_uuid().to_string();
    let post = |body: String| {
        s.post("/fhir/Observation")
            .bearer_auth(&h.client)
            .header("idempotency-key", &key)
            .header("content-type", "application/fhir+json")
            .body(body)
    };
    let a = post(observation(None, "pat-ed", "1.0")).send().await.unwrap();
    let b = post(observation(None, "pat-ed", "1.0")).send().await.unwrap();
    assert_eq!(
        (a.status(), b.status()),
        (201.try_into().unwrap(), 201.try_into().unwrap())
    );
    assert_eq!(a.headers()["location"], b.headers()["location"]);
    assert_eq!(
        post(observation(None, "pat-ed", "2.0"))
            .send()
            .await
            .unwrap()
            .status(),
        422,
        "another content under the same key"
    );
    let bad = s
        .post("/fhir/Observation")
        .bearer_auth(&h.client)
        .header("idempotency-key", "x")
        .body(observation(None, "pat-ed", "1.0"))
        .send()
        .await
        .unwrap();
    assert_eq!(bad.status(), 400);

    let wish = |w: &str| {
        s.post("/fhir/Observation")
            .bearer_auth(&h.client)
            .header("prefer", w)
            .header("content-type", "application/fhir+json")
            .body(observation(None, "pat-ed", "1.0"))
    };
    assert!(
        wish("return=minimal")
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        json_of(wish("return=OperationOutcome").send().await.unwrap()).await["resourceType"],
        "OperationOutcome"
    );
    let twice = |_: ()| {
        s.post("/fhir/Patient").bearer_auth(&h.client).header("if-none-exist", "identifier=urn:test:mrn|race").header("content-type", "application/fhir+json").body(json!({"resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": "race"}]}).to_string()).send()
    };
    let race = futures_util::future::join_all((0..16).map(|_| twice(()))).await;
    let made = race
        .iter()
        .filter(|r| r.as_ref().unwrap().status() == 201)
        .count();
    let there = race
        .iter()
        .filter(|r| r.as_ref().unwrap().status() == 200)
        .count();
    assert_eq!(
        (made, there),
        (1, 15),
        "sixteen conditional creates at once make one resource"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_paged_to_the_end() {
    let h = hospital().await;
    let s = &h.server;
    for n in 0..7 {
        s.fhir(
            &h.client,
            "/fhir/Observation",
            observation(None, "pat-ed", &format!("{n}.0")),
        )
        .await;
    }
    let mut next = Some(s.url("/fhir/Patient/pat-ed/$everything?_count=3"));
    let (mut ids, mut pages) = (BTreeSet::new(), 0);
    let mut total = 0;
    while let Some(url) = next {
        let page = json_of(s.http().get(&url).bearer_auth(&h.nurse).send().await.unwrap()).await;
        total = page["total"].as_u64().unwrap();
        for e in page["entry"].as_array().unwrap() {
            assert!(
                ids.insert(e["fullUrl"].as_str().unwrap().to_owned()),
                "twice: {}",
                e["fullUrl"]
            );
        }
        pages += 1;
        next = page["link"]
            .as_array()
            .unwrap()
            .iter()
            .find(|l| l["relation"] == "next")
            .map(|l| l["url"].as_str().unwrap().to_owned());
    }
    assert_eq!((ids.len() as u64, total, pages), (10, 10, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_without_echo() {
    let h = hospital().await;
    let s = &h.server;
    let deep = format!(
        "{{\"resourceType\":\"Patient\",\"extension\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let cases: Vec<(Vec<u8>, &[u16])> = vec![
        (b"".to_vec(), &[400, 422]),
        (b"secretname".to_vec(), &[400]),
        (b"[]".to_vec(), &[400, 422]),
        (b"{\"resourceType\":\"Observation\"}".to_vec(), &[422]),
        (
            b"\xef\xbb\xbf\xef\xbb\xbf{\"resourceType\":\"Patient\"}".to_vec(),
            &[400, 422],
        ),
        (
            b"{\"resourceType\":\"Patient\",\"active\":true,\"active\":false}".to_vec(),
            &[422],
        ),
        (
            b"{\"resourceType\":\"Patient\",\"id\":\"../secretname\"}".to_vec(),
            &[422],
        ),
        (
            b"{\"resourceType\":\"Patient\",\"nothing\":\"secretname\"}".to_vec(),
            &[422],
        ),
        (
            b"{\"resourceType\":\"Patient\",\"birthDate\":\"secretname\"}".to_vec(),
            &[422],
        ),
        (
            b"{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\\ud800\"}]}".to_vec(),
            &[400, 422],
        ),
        (deep.into_bytes(), &[422]),
        (vec![b' '; 65 * 1024 * 1024], &[413]),
    ];
    for (i, (body, want)) in cases.into_iter().enumerate() {
        let answer = s
            .post("/fhir/Patient")
            .bearer_auth(&h.client)
            .header("content-type", "application/fhir+json")
            .body(body)
            .send()
            .await;
        // A body far too large may be cut off while it is still being sent.
        let Ok(answer) = answer else {
            assert_eq!(want, &[413]);
            continue;
        };
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(want.contains(&status), "case {i}: {status} {text}");
        assert!(text.contains("OperationOutcome"), "case {i}: {text}");
        assert!(!text.contains("secretname"), "case {i} echoes: {text}");
    }
    assert_eq!(s.get("/healthz").send().await.unwrap().status(), 200);
    let log = std::fs::read_to_string(&s.log).unwrap();
    assert!(
        !log.contains("secretname") && !log.contains("Testperson"),
        "the log names somebody"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_capability_statement_tells_the_truth() {
    let h = hospital().await;
    let stated = json_of(h.server.get("/fhir/metadata").send().await.unwrap()).await;
    assert!(
        vitrine_fhir::validate(stated.to_string().as_bytes()).is_ok(),
        "{:?}",
        vitrine_fhir::validate(stated.to_string().as_bytes())
    );
    let patient = stated["rest"][0]["resource"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["type"] == "Patient")
        .unwrap();
    let codes: BTreeSet<&str> = patient["interaction"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        BTreeSet::from([
            "create",
            "delete",
            "history-instance",
            "patch",
            "read",
            "search-type",
            "update",
            "vread"
        ])
    );
    for (method, path, stated) in [
        ("GET", "/fhir/Basic?code=x", false),
        ("DELETE", "/fhir/Patient?identifier=a%7Cb", false),
        ("PATCH", "/fhir/Patient?identifier=a%7Cb", false),
        ("GET", "/fhir/Patient/_history", false),
        ("GET", "/fhir/_history", false),
    ] {
        let method: reqwest::Method = method.parse().unwrap();
        let answer = h
            .server
            .http()
            .request(method, h.server.url(path))
            .bearer_auth(&h.client)
            .send()
            .await
            .unwrap();
        assert!(
            !stated && [400, 404, 405].contains(&answer.status().as_u16()),
            "{path}: {}",
            answer.status()
        );
        assert_eq!(json_of(answer).await["resourceType"], "OperationOutcome");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_demonstration_work_there_alone() {
    let (_t, data) = folder();
    let seeded = done(&["demo", "--data", data.to_str().unwrap(), "--patients", "1"]);
    let nurse = seeded["staff"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["role"] == "nurse")
        .unwrap()
        .clone();
    let (user, password, pin) = (
        nurse["user"].as_str().unwrap(),
        nurse["password"].as_str().unwrap(),
        nurse["pin"].as_str().unwrap(),
    );
    let mut s = Server::start(&data);
    let d = s.enrol("ED", &[]).await;
    for secret in [password, pin] {
        assert_eq!(s.login(&d, user, secret).await.0, 200);
    }
    s.kill();
    std::fs::remove_file(data.join("DEMO")).unwrap();
    let s = Server::start(&data);
    for secret in [password, pin] {
        let (status, answer) = s.login(&d, user, secret).await;
        assert_eq!((status, &answer["code"]), (401, &json!("wrong-secret")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hello_proves_the_code_and_the_code_works_once() {
    use ring::{digest, hmac};
    let (_t, data) = folder();
    let s = Server::start(&data);
    let code = done(&["enrol", "--ward", "ED", "--site", "--data", s.dir()]);
    let code = code["code"].as_str().unwrap();
    let hash = digest::digest(&digest::SHA256, code.replace('-', "").as_bytes());
    let nonce = "0123456789abcdef0123456789abcdef";
    let hello = json!({"nonce": nonce, "code_hint": &hex(hash.as_ref())[..8]});
    let answer = json_of(s.post("/enrol/hello").json(&hello).send().await.unwrap()).await;
    let ca = answer["ca_pem"].as_str().unwrap();
    assert_eq!(ca, std::fs::read_to_string(data.join("ca.pem")).unwrap());
    let key = hmac::Key::new(hmac::HMAC_SHA256, hash.as_ref());
    let message = [b"vitrine-enrol-server", nonce.as_bytes(), ca.as_bytes()].concat();
    hmac::verify(&key, &message, &unhex(answer["proof"].as_str().unwrap()))
        .expect("the server knows the code");
    let body = json!({"code": code.to_lowercase(), "name": "one", "public_key": "11".repeat(32)});
    let first = s.post("/enrol").json(&body).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(json_of(first).await["site"], true);
    assert_eq!(
        s.post("/enrol").json(&body).send().await.unwrap().status(),
        404,
        "a code works once"
    );
    assert_eq!(
        s.post("/enrol/hello").json(&hello).send().await.unwrap().status(),
        404,
        "and is forgotten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_silent_senders_are_cut_and_disturb_nobody() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    let (_t, data) = folder();
    let s = Server::start(&data);
    let addr = s.ready["listen"].as_str().unwrap().to_owned();
    // More silent connections than handshakes at once, and one that sends a byte now and then.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    let began = vitrine_server::clock::steady();
    let healthy = s.get("/healthz").send().await.unwrap();
    assert_eq!(healthy.status(), 200);
    assert!(began.elapsed().as_secs() < 2, "silent connections hold others up");
    let cut = tokio::task::spawn_blocking(move || {
        let mut last = silent.into_iter().next_back().unwrap();
        last.set_read_timeout(Some(std::time::Duration::from_secs(9)))
            .unwrap();
        let _ = last.write_all(&[22]);
        let ended = matches!(last.read(&mut [0; 16]), Ok(0))
            || last
                .read(&mut [0; 16])
                .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
        (ended, began.elapsed())
    });
    let (ended, took) = cut.await.unwrap();
    assert!(
        ended && took.as_secs() < 8,
        "a handshake may take five seconds: {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_their_own_listener_and_plain_http_is_for_tests() {
    let (_t, data) = folder();
    let s = Server::start_with(&data, &["--insecure-loopback"]);
    assert!(s.ready["url"].as_str().unwrap().starts_with("http://127.0.0.1"));
    assert_eq!(s.get("/healthz").send().await.unwrap().status(), 200);
    drop(s);
    let config = data.with_extension("toml");
    std::fs::write(&config, "[listen]\nmetrics = \"127.0.0.1:0\"\n").unwrap();
    let mut child = std::process::Command::new(PROGRAM)
        .args([
            "serve",
            "--data",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--config",
            config.to_str().unwrap(),
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let text = reqwest::get(format!("http://{}/metrics", ready["metrics"].as_str().unwrap())).await;
    let text = text.unwrap().text().await.unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        text.contains("vitrine_feed_position") && text.contains("# TYPE vitrine_http_seconds histogram"),
        "{text}"
    );
}
