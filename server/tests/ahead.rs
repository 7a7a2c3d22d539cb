//! The images that a workstation fetches ahead on its own behalf: small ones, of the patients of its ward, by its key.

mod harness;
use harness::stream::{Heard, Images, phantom, ward};
use harness::{Device, Server, done};
use std::collections::BTreeSet;
use vitrine_dicom::phantom::Kind;
use vitrine_sync::proof;
use vitrine_wire::ErrorCode;
use vitrine_wire::images::{AHEAD, Ask, Piece, Told};

/// A connection whose question is answered with this device's signature over another text, or the right one.
async fn line(s: &Server, device: &Device, right: bool) -> Images {
    let mut line = Images::at(s, AHEAD, None).await;
    let Told::Prove { nonce } = line.told().await else {
        panic!("no question")
    };
    let message = if right {
        proof::device_images(&nonce, &device.id)
    } else {
        proof::device_auth(&nonce, &device.id)
    };
    line.ask(Ask::Prove {
        device: device.id.clone(),
        signature: device.sign(&message),
    })
    .await;
    line
}

async fn closed(line: &mut Images, code: u16) {
    loop {
        match line.hear().await {
            Heard::Closed(c) => return assert_eq!(c, Some(code)),
            Heard::Told(_) | Heard::Piece(_) => {}
        }
    }
}

async fn refused(line: &mut Images, ask: Ask) -> ErrorCode {
    line.ask(ask).await;
    match line.told().await {
        Told::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workstation_is_given_small_pictures_of_its_ward_and_nothing_else() {
    let w = ward().await;
    let ct = phantom(Kind::Ct, 1, (300, 200), 4);
    w.store(&ct).await;
    let here = w.server.enrol("ED", &[]).await;
    let elsewhere = w.server.enrol("ICU", &[]).await;

    // Who it is: by its key, over this question.
    closed(&mut line(&w.server, &here, false).await, 4401).await;
    let mut silent = Images::at(&w.server, AHEAD, None).await;
    silent.told().await;
    silent
        .ask(Ask::List {
            patient: "pat-ed".into(),
        })
        .await;
    closed(&mut silent, 4401).await;

    let mut own = line(&w.server, &here, true).await;
    let studies = own.ready("pat-ed").await;
    assert_eq!(studies[0].series[0].frames, 4);
    let (study, series) = (ct.study_uid(), ct.series_uid());
    let open = |patient: &str, view| Ask::Open {
        view,
        patient: patient.to_owned(),
        study: study.clone(),
        series: series.clone(),
        px: 2_048,
        held: Vec::new(),
    };
    let other = Ask::List {
        patient: "pat-icu".into(),
    };
    assert_eq!(refused(&mut own, other).await, ErrorCode::Denied);
    own.ask(open("pat-ed", 1)).await;
    assert!(matches!(own.told().await, Told::Opened { view: 1, .. }));
    own.ask(Ask::Want {
        view: 1,
        segments: (0..4).map(|frame| (0, frame, 0)).collect(),
    })
    .await;
    let (mut seen, mut layers) = (Vec::new(), BTreeSet::new());
    // The first of them comes twice: unasked, and asked for.
    while seen.len() < 5 {
        match own.hear().await {
            Heard::Piece(Piece::Segment { frame, segment, .. }) => {
                seen.push(frame);
                layers.insert(segment);
            }
            Heard::Piece(Piece::Index { .. }) => {}
            _ => panic!("something else"),
        }
    }
    seen.sort_unstable();
    assert_eq!((seen, layers), (vec![0, 0, 1, 2, 3], BTreeSet::from([0])));
    own.ask(Ask::Want {
        view: 1,
        segments: vec![(0, 1, 1)],
    })
    .await;
    closed(&mut own, 1008).await;

    // The ward decides, by where the patient lies now.
    let mut away = line(&w.server, &elsewhere, true).await;
    let list = || Ask::List {
        patient: "pat-ed".into(),
    };
    assert_eq!(refused(&mut away, list()).await, ErrorCode::Denied);
    assert_eq!(refused(&mut away, open("pat-ed", 1)).await, ErrorCode::Denied);

    // Every access names the workstation, and no person.
    let rows = w.server.audit();
    let ours: Vec<_> = rows
        .iter()
        .filter(|r| r["device"] == here.id.as_str() && r["rule"] == "own-ward-images")
        .collect();
    assert!(ours.len() >= 3, "{rows:?}");
    for r in &ours {
        assert_eq!(r["actor"]["Device"], here.id.as_str(), "{r}");
        assert_eq!(r["patient"], "pat-ed", "{r}");
    }
    assert!(rows.iter().any(|r| r["rule"] == "other-ward-images"), "{rows:?}");

    // A revoked one is nobody, at once or within the next look.
    let mut later = line(&w.server, &here, true).await;
    later.ready("pat-ed").await;
    done(&["device", "revoke", &here.id, "--data", w.server.dir()]);
    closed(&mut line(&w.server, &here, true).await, 4401).await;
    closed(&mut later, 4401).await;
}
