//! HL7 v2 over MLLP: a real server, real sockets, TLS on; what is acknowledged is on disk, what is not taken is held.
#![allow(clippy::disallowed_methods)] // a test says how long it took

mod corpus;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod kill;
mod line;
mod strangers;
mod work;

use line::{Line, Ward, admit, result};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_answered_when_it_is_in_the_record() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    assert_eq!(line.send(&admit("A1", "70001", "Lantern", "ED")).await.code, "AA");
    let answer = line
        .send(&result("A2", "70001", "F", "4.1", "20260301100000"))
        .await;
    assert_eq!((answer.code.as_str(), answer.control.as_str()), ("AA", "A2"));
    let patient = w.patient("70001").await;
    let id = patient["id"].as_str().unwrap().to_owned();
    assert_eq!(patient["name"][0]["family"], "Lantern");
    let seen = w.everything(&id).await;
    let of = |kind: &str| {
        seen.iter()
            .filter(|r| r["resourceType"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("Observation")[0]["valueQuantity"]["value"].to_string(), "4.1");
    assert_eq!(of("Encounter")[0]["status"], "in-progress");
    assert!(
        of("Observation")[0]["meta"]["source"]
            .as_str()
            .unwrap()
            .starts_with("urn:vitrine:feed:lab#A2"),
        "{}",
        of("Observation")[0]
    );
    // The ward of the message is the ward of the board.
    let ward = w.get("/fhir/Location/ED").await;
    assert_eq!(ward.0, 200, "{}", ward.1);
    // Sent again, ten times: taken, and nothing more than before.
    let before = seen.len();
    for _ in 0..10 {
        let again = line
            .send(&result("A2", "70001", "F", "4.1", "20260301100000"))
            .await;
        assert_eq!(again.code, "AA");
    }
    assert_eq!(w.everything(&id).await.len(), before);
    let listed = w.messages(&[]);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["times"], 11);
    assert_eq!(listed[0]["state"], "applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_takes_the_place_of_what_it_corrects_and_nothing_goes_back() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    line.send(&admit("A1", "70002", "Quince", "ED")).await;
    let steps = [
        ("B1", "P", "5.0", "20260301100000", "preliminary", "5.0"),
        ("B2", "F", "5.1", "20260301101000", "final", "5.1"),
        // An older preliminary that comes late.
        ("B3", "P", "5.0", "20260301100500", "final", "5.1"),
        ("B4", "C", "6.9", "20260301103000", "corrected", "6.9"),
        ("B5", "F", "5.1", "20260301101500", "corrected", "6.9"),
        ("B6", "X", "", "20260301110000", "cancelled", ""),
    ];
    let id = w.patient("70002").await["id"].as_str().unwrap().to_owned();
    for (control, status, value, at, is, shown) in steps {
        let answer = line.send(&result(control, "70002", status, value, at)).await;
        assert_eq!(answer.code, "AA", "{control}: {answer:?}");
        let all = w.everything(&id).await;
        let one: Vec<&Value> = all
            .iter()
            .filter(|r| r["resourceType"] == "Observation")
            .collect();
        assert_eq!(one.len(), 1, "{control}");
        assert_eq!(one[0]["status"], is, "{control}");
        let value = one[0]["valueQuantity"]["value"]
            .as_f64()
            .map_or(String::new(), |v| format!("{v:.1}"));
        assert_eq!(value, shown, "{control}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lines_write_one_record_and_neither_is_lost() {
    let w = Ward::start("").await;
    w.line().await.send(&admit("A1", "70003", "Saffron", "ED")).await;
    let mut tasks = Vec::new();
    for n in 0..4 {
        let mut line = w.line().await;
        tasks.push(tokio::spawn(async move {
            for k in 0..15 {
                // Each changes the patient too, so that they meet there.
                let phone = format!("19600203|F|||||555 01{n}{k:02}");
                let text = admit(&format!("R{n}-{k}"), "70003", "Saffron", "ED")
                    .replace("ADT^A01", "ADT^A08")
                    .replace("19600203|F", &phone)
                    .replace("PV1|1", &format!("AL1|1|DA|^Allergen {n}-{k}|MO\rPV1|1"));
                let answer = line.send(&text).await;
                assert_eq!(answer.code, "AA", "{answer:?}");
            }
        }));
    }
    for t in tasks {
        t.await.unwrap();
    }
    let id = w.patient("70003").await["id"].as_str().unwrap().to_owned();
    let all = w.everything(&id).await;
    let allergies = all
        .iter()
        .filter(|r| r["resourceType"] == "AllergyIntolerance")
        .count();
    assert_eq!(allergies, 60);
    assert!(w.messages(&["--state", "held"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_enhanced_acknowledgements_gets_them() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    let text = admit("E1", "70004", "Ferry", "ED").replacen("|P|2.5.1", "|P|2.5.1|||AL|NE", 1);
    assert_eq!(line.send(&text).await.code, "CA");
    let text = text.replace("E1", "E2").replacen("|AL|NE", "|NE|NE", 1);
    line.write(&text).await;
    // It hears nothing; what follows is answered.
    let next = line.send(&admit("E3", "70004", "Ferry", "ED")).await;
    assert_eq!((next.code.as_str(), next.control.as_str()), ("AA", "E3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_senders_are_let_in() {
    let mut w = Ward::start("").await;
    let port = w.port();
    // In the clear where TLS is asked for: no answer.
    let plain = Line::plain(port)
        .await
        .unwrap()
        .try_send(&admit("P1", "1", "X", "ED"))
        .await;
    assert!(plain.is_none());
    // With a certificate of the authority, and of the one that the feed names.
    w.server.ask_to_stop();
    w.server.wait();
    let pki = line::Pki::new(&w.data());
    let feed = |print: &str| {
        format!(
            "[mllp]\naddress = \"127.0.0.1:0\"\ntls = \"mutual\"\nclient_ca = \"senders.pem\"\n[[mllp.feed]]\nname = \"lab\"\nfrom = [\"127.0.0.1\"]\ncertificate = \"{print}\"\n"
        )
    };
    let w = w.again(&feed(&pki.good_print)).await;
    let text = admit("P2", "70005", "Mill", "ED");
    assert!(
        Line::tls(&w.data(), w.port(), None)
            .await
            .try_send(&text)
            .await
            .is_none()
    );
    assert!(w.line_as(&pki.other).await.try_send(&text).await.is_none());
    assert!(w.line_as(&pki.stranger).await.try_send(&text).await.is_none());
    let answer = w
        .line_as(&pki.good)
        .await
        .try_send(&text)
        .await
        .expect("an answer");
    assert_eq!(answer.code, "AA");
    // From an address that no feed has.
    let mut w = w;
    w.server.ask_to_stop();
    w.server.wait();
    let w = w
        .again("[mllp]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\n[[mllp.feed]]\nname = \"lab\"\nfrom = [\"10.1.2.3\"]\n")
        .await;
    let mut line = Line::plain(w.port()).await.unwrap();
    assert!(line.try_send(&text).await.is_none());
    assert!(w.messages(&["--state", "held"]).is_empty());
}
