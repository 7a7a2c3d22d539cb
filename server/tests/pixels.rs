//! Pixels: made ready by the worker, streamed to a workstation exactly, given to everybody else as frames and pictures.

mod harness;
use harness::command::{add_user, password};
use harness::images::walk;
use harness::stream::{Heard, Images, phantom, ward};
use std::collections::BTreeMap;
use std::time::Duration;
use vitrine_dicom::phantom::{Kind, Phantom};
use vitrine_pixels::digest;
use vitrine_pixels::layers::decode;
use vitrine_pixels::pack::verify;
use vitrine_wire::ErrorCode;
use vitrine_wire::images::{Ask, Piece, Told};

#[tokio::test(flavor = "multi_thread")]
async fn a_series_is_streamed_in_layers_and_every_frame_is_exact() {
    let w = ward().await;
    let ct = phantom(Kind::CtSigned, 1, (300, 200), 12);
    let us = phantom(Kind::UsColor, 2, (90, 120), 5);
    w.store(&ct).await;
    w.store(&us).await;
    let mut line = Images::open(&w.server, &w.nurse).await;
    let studies = line.ready("pat-ed").await;
    assert_eq!(studies.len(), 1, "{studies:?}");
    assert_eq!(studies[0].accession.as_deref(), Some("ACC-99"));
    let shown: Vec<_> = studies[0]
        .series
        .iter()
        .map(|s| (s.instances, s.ready, s.frames))
        .collect();
    assert_eq!(shown, [(12, 12, 12), (1, 1, 5)]);

    for (view, p) in [(1, &ct), (2, &us)] {
        let (opened, frames, pushed) = line.series(view, &p.study_uid(), &p.series_uid(), 128).await;
        let Told::Opened {
            without, preparing, ..
        } = opened
        else {
            panic!()
        };
        assert_eq!((without.len(), preparing), (0, 0));
        // Without a question the first frame comes, least layer first.
        assert!(pushed.iter().all(|(pack, frame, ..)| (*pack, *frame) == (0, 0)));
        let order: Vec<u8> = pushed.iter().map(|(_, _, layer, _)| *layer).collect();
        assert!(order.windows(2).all(|w| w[0] < w[1]), "{order:?}");

        let mut held: BTreeMap<(u16, u32), Vec<Vec<u8>>> = BTreeMap::new();
        for (pack, frame, _, body) in pushed {
            held.entry((pack, frame)).or_default().push(body);
        }
        let rest: Vec<_> = frames
            .iter()
            .filter(|(at, _)| !held.contains_key(at))
            .flat_map(|((pack, frame), f)| {
                (0..f.segments.len()).map(|s| (*pack, *frame, u8::try_from(s).unwrap()))
            })
            .collect();
        line.ask(Ask::Want {
            view,
            segments: rest.clone(),
        })
        .await;
        for wanted in rest {
            let Heard::Piece(Piece::Segment {
                pack,
                frame,
                segment,
                body,
                ..
            }) = line.hear().await
            else {
                panic!("no segment")
            };
            assert_eq!((pack, frame, segment), wanted, "in the order of asking");
            verify(&body, &frames[&(pack, frame)].segments[usize::from(segment)]).unwrap();
            held.entry((pack, frame)).or_default().push(body.to_vec());
        }
        let mut seen = BTreeMap::new();
        for (at, f) in &frames {
            let segments: Vec<&[u8]> = held[at].iter().map(Vec::as_slice).collect();
            let image = decode(f.shape, f.coding, &segments).unwrap();
            assert!(image.exact && digest(&image.plain) == f.pixels);
            let file = (0..p.files())
                .find(|n| p.sop_uid(*n) == f.sop)
                .expect("one of ours");
            assert_eq!(
                image.plain,
                p.frame(file, f.number - 1),
                "frame {} of file {file}",
                f.number
            );
            *seen.entry((file, f.number)).or_insert(0) += 1;
            let preview = decode(f.shape, f.coding, &segments[..1]).unwrap();
            assert!(
                preview.columns.max(preview.rows) <= 64,
                "{}×{}",
                preview.columns,
                preview.rows
            );
        }
        assert_eq!(seen.len(), p.count as usize, "every frame once: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_patient_gets_no_pixel_and_who_asks_too_much_is_cut_off() {
    let w = ward().await;
    let ct = phantom(Kind::Ct, 1, (200, 200), 3);
    w.store(&ct).await;
    let mut line = Images::open(&w.server, &w.nurse).await;
    line.ready("pat-ed").await;
    line.ask(Ask::List {
        patient: "pat-icu".into(),
    })
    .await;
    let told = line.told().await;
    assert!(
        matches!(
            told,
            Told::Failed {
                view: None,
                code: ErrorCode::Denied,
                ..
            }
        ),
        "{told:?}"
    );
    let open = |view, study: String, series: String| Ask::Open {
        view,
        patient: "pat-ed".to_owned(),
        study,
        series,
        px: 512,
        held: Vec::new(),
    };
    line.ask(open(1, "1.2.3.4".into(), "1.2.3.4.5".into())).await;
    let told = line.told().await;
    assert!(
        matches!(
            told,
            Told::Failed {
                view: Some(1),
                code: ErrorCode::NotFound,
                ..
            }
        ),
        "{told:?}"
    );

    // Under another patient's banner it is not there.
    line.ask(Ask::Open {
        view: 1,
        patient: "pat-icu".to_owned(),
        study: ct.study_uid(),
        series: ct.series_uid(),
        px: 512,
        held: Vec::new(),
    })
    .await;
    let told = line.told().await;
    assert!(
        matches!(
            told,
            Told::Failed {
                view: Some(1),
                code: ErrorCode::NotFound,
                ..
            }
        ),
        "{told:?}"
    );

    // Whoever guards the records need not see them.
    add_user(w.server.data.to_str().unwrap(), "petra", "privacy-officer");
    let device = w.server.enrol("ICU", &[]).await;
    let (_, answer) = w.server.login(&device, "petra", password("petra").trim()).await;
    let mut other = Images::open(&w.server, answer["token"].as_str().unwrap()).await;
    other.ask(open(1, ct.study_uid(), ct.series_uid())).await;
    let told = other.told().await;
    assert!(
        matches!(
            told,
            Told::Failed {
                view: Some(1),
                code: ErrorCode::Denied,
                ..
            }
        ),
        "{told:?}"
    );

    // Whoever asks for what is not there is cut off; so is whoever signs out, and what was open ends.
    let (_, frames, _) = line.series(2, &ct.study_uid(), &ct.series_uid(), 64).await;
    line.ask(Ask::Want {
        view: 2,
        segments: vec![(0, u32::try_from(frames.len()).unwrap(), 0)],
    })
    .await;
    assert!(matches!(line.hear().await, Heard::Closed(Some(1008))));
    let mut line = Images::open(&w.server, &w.nurse).await;
    line.series(2, &ct.study_uid(), &ct.series_uid(), 64).await;
    let out = w
        .server
        .post("/auth/logout")
        .bearer_auth(&w.nurse)
        .send()
        .await
        .unwrap();
    assert!(out.status().is_success());
    let ended = tokio::time::timeout(Duration::from_secs(9), async {
        loop {
            match line.hear().await {
                Heard::Closed(code) => break code,
                Heard::Told(_) | Heard::Piece(_) => {}
            }
        }
    });
    assert_eq!(ended.await.expect("cut off"), Some(4401));
    let named = serde_json::json!({"kind": "DicomStudy", "id": ct.study_uid()});
    let says = |row: &serde_json::Value| {
        let all = row["disclosure"]["resources"].as_array();
        row["action"] == "read-chart" && all.is_some_and(|all| all.iter().any(|r| r["key"] == named))
    };
    assert!(w.server.audit().iter().any(says), "who saw what is written down");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_and_pictures_for_everybody_else() {
    let w = ward().await;
    let ct = phantom(Kind::Ct, 1, (300, 200), 1);
    let us = phantom(Kind::UsCine, 2, (90, 120), 5);
    w.store(&ct).await;
    w.store(&us).await;
    let mut line = Images::open(&w.server, &w.nurse).await;
    line.ready("pat-ed").await;
    let of = |p: &Phantom| {
        format!(
            "/dicomweb/studies/{}/series/{}/instances/{}",
            p.study_uid(),
            p.series_uid(),
            p.sop_uid(0)
        )
    };
    let plain = [("accept", "application/octet-stream")];
    let (status, headers, body) = w.get(&format!("{}/frames/1", of(&ct)), &plain).await;
    assert_eq!((status, body), (200, ct.frame(0, 0)));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let (status, _, body) = w
        .get(
            &format!("{}/frames/1", of(&ct)),
            &[plain[0], ("if-none-match", &tag)],
        )
        .await;
    assert_eq!((status, body.len()), (304, 0));
    let (status, headers, body) = w
        .get(
            &format!("{}/frames/1", of(&ct)),
            &[plain[0], ("range", "bytes=1000-1999")],
        )
        .await;
    assert_eq!((status, &body[..]), (206, &ct.frame(0, 0)[1000..2000]));
    assert_eq!(headers["content-range"], "bytes 1000-1999/120000");
    let (status, ..) = w
        .get(
            &format!("{}/frames/1", of(&ct)),
            &[plain[0], ("range", "bytes=120000-")],
        )
        .await;
    assert_eq!(status, 416);

    // Several, as stored; out of the middle of a file of many.
    let stored = [(
        "accept",
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
    )];
    let (status, headers, body) = w.get(&format!("{}/frames/2,4", of(&us)), &stored).await;
    let media = headers["content-type"].to_str().unwrap().to_owned();
    assert_eq!(status, 200);
    let parts = harness::images::parts(&media, &body);
    assert_eq!(parts, [us.frame(0, 1), us.frame(0, 3)]);

    let (status, headers, body) = w
        .get(&format!("{}/frames/1", of(&ct)), &[("accept", "image/jphc")])
        .await;
    assert_eq!(
        (status, &body[..4]),
        (200, &[0xFF, 0x4F, 0xFF, 0x51][..]),
        "a codestream (T.800 A.4.1)"
    );
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202")
    );

    for (path, expected) in [
        ("frames/6", 404),
        ("frames/0", 400),
        ("frames/x", 400),
        ("rendered?viewport=9", 400),
        ("rendered?window=1,0", 400),
        ("frames/9/rendered", 404),
    ] {
        let (status, ..) = w.get(&format!("{}/{path}", of(&us)), &[]).await;
        assert_eq!(status, expected, "{path}");
    }
    let (status, ..) = w
        .get(&format!("{}/rendered", of(&us)), &[("accept", "image/gif")])
        .await;
    assert_eq!(status, 406);

    // Pictures: the size asked for, never larger than the image.
    for (path, accept, size) in [
        (format!("{}/rendered", of(&ct)), "image/png", (200, 300)),
        (
            format!("{}/rendered?viewport=100,100&window=40,400,linear", of(&ct)),
            "image/jpeg",
            (67, 100),
        ),
        (format!("{}/thumbnail", of(&ct)), "image/jpeg", (85, 128)),
        (format!("{}/frames/3/rendered", of(&us)), "image/png", (120, 90)),
        (format!("{}/frames/3/thumbnail", of(&us)), "image/png", (120, 90)),
        (
            format!(
                "/dicomweb/studies/{}/series/{}/thumbnail",
                us.study_uid(),
                us.series_uid()
            ),
            "image/png",
            (120, 90),
        ),
        (
            format!("/dicomweb/studies/{}/thumbnail", us.study_uid()),
            "image/png",
            (85, 128),
        ),
    ] {
        let (status, headers, body) = w.get(&path, &[("accept", accept)]).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (200, accept),
            "{path}"
        );
        let image = image::load_from_memory(&body).unwrap();
        assert_eq!((image.width(), image.height()), size, "{path}");
    }
    // A cine of 8 bits without a window: what is drawn is what is stored, spread over what there is.
    let (_, _, body) = w
        .get(
            &format!("{}/frames/3/rendered?window=128,256,linear-exact", of(&us)),
            &[("accept", "image/png")],
        )
        .await;
    let drawn = image::load_from_memory(&body).unwrap().to_luma8().into_raw();
    let worst = drawn.iter().zip(us.frame(0, 2)).map(|(a, b)| a.abs_diff(b)).max();
    assert!(worst <= Some(1), "{worst:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_noticed_and_made_again_from_the_original() {
    let w = ward().await;
    let ct = phantom(Kind::Ct, 1, (300, 200), 4);
    w.store(&ct).await;
    let mut line = Images::open(&w.server, &w.nurse).await;
    line.ready("pat-ed").await;
    let files = || walk(&w.server.data.join("images"));
    assert_eq!(files().len(), 5, "four objects and a pack");
    // The pack is the file written last; a bit in its middle turns.
    let pack = files()
        .into_iter()
        .max_by_key(|f| f.metadata().unwrap().modified().unwrap())
        .unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 4;
    std::fs::write(&pack, bytes).unwrap();
    line.ask(Ask::Open {
        view: 1,
        patient: "pat-ed".to_owned(),
        study: ct.study_uid(),
        series: ct.series_uid(),
        px: 512,
        held: Vec::new(),
    })
    .await;
    let Told::Opened { packs, .. } = line.told().await else {
        panic!("not opened")
    };
    let mut lost = 0;
    let segments: Vec<_> = (0..packs[0].frames)
        .flat_map(|f| (0..4).map(move |s| (0, f, s)))
        .collect();
    line.ask(Ask::Want { view: 1, segments }).await;
    let grown = loop {
        match line.hear().await {
            Heard::Piece(Piece::Lost { .. }) => lost += 1,
            Heard::Piece(_) => {}
            Heard::Told(Told::Grown { view }) => break view,
            Heard::Told(t) => panic!("{t:?}"),
            Heard::Closed(c) => panic!("closed {c:?}"),
        }
    };
    assert!(
        grown == 1 && lost > 0,
        "a segment that does not open is never given"
    );
    line.ready("pat-ed").await;
    let (_, frames, _) = line.series(2, &ct.study_uid(), &ct.series_uid(), 512).await;
    assert_eq!(frames.len(), 4);
    assert!(!pack.exists() && files().len() == 5, "the damaged one is gone");
}
