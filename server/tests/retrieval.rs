//! Ways to images for programs: values of a header by their address, studies by a name, the Endpoint that says where.

mod harness;
use harness::command::{add_user, password};
use harness::images::{Made, RELATED, element, parts, related};
use harness::*;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

struct Place {
    folder: tempfile::TempDir,
    server: Server,
    token: String,
}

impl Place {
    async fn new(config: &str) -> Self {
        let (folder, data) = folder();
        let file = folder.path().join("vitrine.toml");
        std::fs::write(&file, config).unwrap();
        let server = Server::start_with(&data, &["--config", file.to_str().unwrap()]);
        let token = server.client_token("system/*.cruds").await;
        for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
            let (status, answer) = server.fhir(&token, "/fhir", placed(p, w).to_string()).await;
            assert_eq!(status, 200, "{answer}");
        }
        Self {
            folder,
            server,
            token,
        }
    }

    async fn store(&self, file: Vec<u8>) {
        let sent = self.server.post("/dicomweb/studies").bearer_auth(&self.token);
        let sent = sent.header("content-type", RELATED).body(related(&[file]));
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
    }

    async fn get(&self, token: &str, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
        let mut asked = self.server.get(path).bearer_auth(token);
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let answer = asked.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap().to_vec())
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.get(&self.token, path, &[]).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// A CT slice with private values too long for an index: one at the top, one in an item.
fn with_bulk(made: &Made, top: &[u8], inner: &[u8]) -> Vec<u8> {
    let plain = made.bytes();
    let name = [0x10, 0, 0x10, 0, b'P', b'N'];
    let at = plain.windows(6).position(|w| w == name).unwrap();
    let mut item = Vec::new();
    element(&mut item, (9, 0x10), "LO", b"TEST");
    element(&mut item, (9, 0x1003), "OW", inner);
    let mut items = vec![0xFE, 0xFF, 0x00, 0xE0];
    items.extend_from_slice(&u32::try_from(item.len()).unwrap().to_le_bytes());
    items.extend_from_slice(&item);
    let mut added = Vec::new();
    element(&mut added, (9, 0x10), "LO", b"TEST");
    element(&mut added, (9, 0x1001), "OB", top);
    element(&mut added, (9, 0x1002), "SQ", &items);
    [&plain[..at], &added, &plain[at..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_metadata_only_point_to_are_given_by_their_address() {
    let p = Place::new("").await;
    let top: Vec<u8> = (0..5_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let inner: Vec<u8> = (0..3_000_u32).map(|i| (i * 11 % 253) as u8).collect();
    let made = Made::default();
    p.store(with_bulk(&made, &top, &inner)).await;
    let at = format!(
        "/dicomweb/studies/{}/series/{}/instances/{}",
        made.study,
        made.series_uid(),
        made.uid()
    );
    let (status, header) = p.json(&format!("{at}/metadata")).await;
    assert_eq!(status, 200);
    let uri = |element: &Value| {
        let uri = element["BulkDataURI"]
            .as_str()
            .unwrap_or_else(|| panic!("{element}"));
        uri[uri.find("/dicomweb").unwrap()..].to_owned()
    };
    let one = uri(&header[0]["00091001"]);
    let two = uri(&header[0]["00091002"]["Value"][0]["00091003"]);
    let octets = ("accept", "application/octet-stream");
    for (uri, bytes) in [(&one, &top), (&two, &inner)] {
        let (status, headers, body) = p.get(&p.token, uri, &[octets]).await;
        assert_eq!((status, &body), (200, bytes), "{uri}");
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let (status, headers, body) = p.get(&p.token, uri, &[]).await;
        assert_eq!(status, 200);
        let media = headers["content-type"].to_str().unwrap();
        assert_eq!(parts(media, &body), std::slice::from_ref(bytes), "as a part");
    }
    let (_, headers, _) = p.get(&p.token, &one, &[octets]).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let (status, headers, body) = p
        .get(&p.token, &one, &[octets, ("range", "bytes=1000-1999")])
        .await;
    assert_eq!((status, &body[..]), (206, &top[1000..2000]));
    assert_eq!(headers["content-range"], "bytes 1000-1999/5000");
    let (status, _, body) = p.get(&p.token, &one, &[octets, ("if-none-match", &tag)]).await;
    assert_eq!((status, body.len()), (304, 0));
    for (path, accept, status) in [
        ("00091001", "image/jpeg", 406),
        ("00091009", "*/*", 404),
        ("00091002", "*/*", 404),
        ("00091002/1/00091003", "*/*", 404),
        ("7FE00010", "*/*", 406),
        ("nonsense", "*/*", 400),
        ("00091002/0", "*/*", 400),
    ] {
        let (got, _, body) = p
            .get(&p.token, &format!("{at}/bulkdata/{path}"), &[("accept", accept)])
            .await;
        let said = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(got, status, "{path} {accept}: {said}");
    }
    // Under another study it is not there.
    let elsewhere = one.replace(made.study, "1.2.3");
    assert_eq!(p.get(&p.token, &elsewhere, &[]).await.0, 404);

    // Who may not open the chart gets no value of it; who may leaves a row.
    add_user(p.server.dir(), "nina", "nurse");
    let device = p.server.enrol("ED", &[]).await;
    let (_, said) = p.server.login(&device, "nina", password("nina").trim()).await;
    let nurse = said["token"].as_str().unwrap().to_owned();
    let icu = Made {
        patient: "mrn-pat-icu",
        study: "1.2.826.0.1.3680043.8.498.9",
        ..Made::default()
    };
    p.store(with_bulk(&icu, &top, &inner)).await;
    let far = one
        .replace(&made.uid(), &icu.uid())
        .replace(&made.series_uid(), &icu.series_uid())
        .replace(made.study, icu.study);
    assert_eq!(p.get(&nurse, &far, &[]).await.0, 403);
    assert_eq!(p.get(&nurse, &one, &[octets]).await.2, top);
    let row = p.server.audit().into_iter().rev().find(|r| {
        r["actor"].to_string().contains("nina")
            && r["disclosure"]["resources"].to_string().contains(&made.uid())
    });
    assert!(row.is_some(), "who looked is written down");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_find_studies_by_a_name() {
    let p = Place::new("").await;
    let person = |id: &str, family: &str, given: &str| {
        json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:test:mrn", "value": format!("mrn-{id}")}],
            "name": [{"family": family, "given": [given]}], "birthDate": "1970-03-01"})
    };
    for (id, family, given) in [
        ("m1", "Meyer", "Zo\u{eb}"),
        ("m2", "Meyer", "Anna"),
        ("m3", "Meyers", "Zack"),
        ("m4", "M\u{fc}ller-Stra\u{df}e", "Eva"),
    ] {
        let body = person(id, family, given).to_string();
        let sent = p.server.put(&format!("/fhir/Patient/{id}")).bearer_auth(&p.token);
        let sent = sent.header("content-type", "application/fhir+json").body(body);
        assert_eq!(sent.send().await.unwrap().status(), 201, "{id}");
    }
    for (n, patient, name) in [
        (11, "mrn-m1", "MEYER^ZOE"),
        (12, "mrn-m2", "Meyer^Anna"),
        (13, "mrn-m3", "Meyers^Zack"),
        (14, "mrn-m4", "Muller-Strasse^Eva"),
        (15, "mrn-pat-ed", "Testperson^Una"),
    ] {
        p.store(
            Made {
                patient,
                name,
                study: Box::leak(format!("1.2.826.0.1.3680043.8.498.{n}").into_boxed_str()),
                ..Made::default()
            }
            .bytes(),
        )
        .await;
    }
    let found = |query: String| {
        let p = &p;
        async move {
            let (status, list) = p.json(&format!("/dicomweb/studies?{query}")).await;
            let mut uids: Vec<String> = list
                .as_array()
                .into_iter()
                .flatten()
                .map(|s| {
                    s["0020000D"]["Value"][0]
                        .as_str()
                        .unwrap()
                        .rsplit('.')
                        .next()
                        .unwrap()
                        .to_owned()
                })
                .collect();
            uids.sort();
            (status, uids.join(" "))
        }
    };
    for (query, uids) in [
        ("PatientName=Meyer%5EZoe", "11"),
        ("PatientName=meyer%5E*", "11 12"),
        ("PatientName=MEYER*", "11 12 13"),
        ("00100010=Mey*%5EZ*&fuzzymatching=false", "11 13"),
        ("00100010=Mey*%5EZ*&fuzzymatching=true&AccessionNumber=", "11 13"),
        ("PatientName=M?yer%5EAnna", "12"),
        ("PatientName=*yer%5EZo*", "11"),
        ("PatientName=Meyer", ""),
        ("PatientName=M%C3%BCller*", "14"),
        ("PatientName=Meyer*&PatientID=mrn-m2", "12"),
        ("PatientName=Meyer*&ModalitiesInStudy=MR", ""),
        ("PatientName=Meyer*&StudyDate=20260131", "11 12 13"),
        ("PatientName=Meyer*&limit=1&offset=3", ""),
        ("PatientName=", "11 12 13 14 15"),
        ("PatientName=*", "11 12 13 14 15"),
    ] {
        let (status, got) = found(query.to_owned()).await;
        let expected = if uids.is_empty() { 204 } else { 200 };
        assert_eq!((status, got.as_str()), (expected, uids), "{query}");
    }
    let (_, first) = p.json("/dicomweb/studies?PatientName=Meyer*&limit=2").await;
    assert_eq!(first.as_array().unwrap().len(), 2);
    for wrong in [
        "PatientName=*yer",
        "PatientName=A%5CB",
        "ReferringPhysicianName=Meyer",
    ] {
        assert_eq!(found(wrong.to_owned()).await.0, 400, "{wrong}");
    }
    // More people than can be looked at: the answer would be half of one.
    let entries: Vec<Value> = (0..51)
        .map(|n| json!({"resource": person(&format!("x{n}"), "Xander", "Many"), "request": {"method": "PUT", "url": format!("Patient/x{n}")}}))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    assert_eq!(p.server.fhir(&p.token, "/fhir", bundle.to_string()).await.0, 200);
    assert_eq!(found("PatientName=X*".to_owned()).await.0, 400);
    // A person searches nobody by name: the chart of one patient, narrowed.
    add_user(p.server.dir(), "nina", "nurse");
    let device = p.server.enrol("ED", &[]).await;
    let (_, said) = p.server.login(&device, "nina", password("nina").trim()).await;
    let nurse = said["token"].as_str().unwrap().to_owned();
    for (query, status) in [
        ("PatientName=Test*", 400),
        ("PatientName=Test*&PatientID=mrn-pat-ed", 200),
        ("PatientName=Other*&PatientID=mrn-pat-ed", 204),
    ] {
        let (got, ..) = p.get(&nurse, &format!("/dicomweb/studies?{query}"), &[]).await;
        assert_eq!(got, status, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imaging_study_says_where_its_images_are() {
    let p = Place::new("[listen]\npublic_url = \"https://images.hospital.example\"\n").await;
    assert!(p.folder.path().exists());
    let made = Made::default();
    p.store(made.bytes()).await;
    let (_, list) = p.json("/fhir/Patient/pat-ed/$everything").await;
    let study = list["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["resource"]["resourceType"] == "ImagingStudy")
        .expect("a study");
    let reference = study["resource"]["endpoint"][0]["reference"]
        .as_str()
        .unwrap()
        .to_owned();
    let (status, endpoint) = p.json(&format!("/fhir/{reference}")).await;
    assert_eq!(status, 200, "{endpoint}");
    assert_eq!(endpoint["connectionType"]["code"], "dicom-wado-rs");
    assert_eq!(endpoint["address"], "https://images.hospital.example/dicomweb");
    let (_, studies) = p.json("/dicomweb/studies?PatientID=mrn-pat-ed").await;
    let url = studies[0]["00081190"]["Value"][0].as_str().unwrap();
    assert!(
        url.starts_with("https://images.hospital.example/dicomweb/studies/"),
        "{url}"
    );

    let (status, found) = p.json("/fhir/Endpoint?connection-type=dicom-wado-rs").await;
    assert_eq!((status, &found["total"]), (200, &json!(1)), "{found}");
    assert_eq!(found["entry"][0]["resource"], endpoint);
    assert_eq!(p.json("/fhir/Endpoint?_id=other").await.1["total"], 0);
    assert_eq!(p.json("/fhir/Endpoint?name=x").await.0, 400);
    let (_, says) = p.json("/fhir/metadata").await;
    let types = says["rest"][0]["resource"].as_array().unwrap();
    let of = types.iter().find(|t| t["type"] == "Endpoint").unwrap();
    assert!(of["searchParam"].to_string().contains("connection-type"));

    // Nobody writes under its id; another Endpoint is one like any resource.
    let put = |id: &str| {
        let mut own = endpoint.clone();
        own["id"] = json!(id);
        own["address"] = json!("https://elsewhere.example");
        let sent = p
            .server
            .put(&format!("/fhir/Endpoint/{id}"))
            .bearer_auth(&p.token);
        sent.header("content-type", "application/fhir+json")
            .body(own.to_string())
    };
    let refused = put("dicom-wado-rs").send().await.unwrap();
    assert!(refused.status().is_client_error(), "{}", refused.status());
    assert!(refused.text().await.unwrap().contains("configuration"));
    assert_eq!(put("other").send().await.unwrap().status(), 201);
    assert_eq!(
        p.json("/fhir/Endpoint/other").await.1["address"],
        "https://elsewhere.example"
    );
    assert_eq!(
        p.json("/fhir/Endpoint/dicom-wado-rs").await.1["address"],
        "https://images.hospital.example/dicomweb"
    );
    let rows = p.server.audit();
    assert!(
        rows.iter()
            .any(|r| r["notes"]["asked"] == "Endpoint/dicom-wado-rs"),
        "its read has a row"
    );
}
