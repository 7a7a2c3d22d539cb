//! Cases about the index of images: filing, what contradicts it, finding.

use super::hospital::{Hospital, note, person, put};
use crate::imaging::{Blob, InstanceRow, Misfiled, NewInstance, Standing, StudyHits, StudyQuery, StudyRow};
use crate::pixels::{Looked, PixelPack, PixelsDone, SeriesPixels};
use crate::{Applied, ChangeBatch, ChangeOp, StoreError};
use bytes::Bytes;
use std::collections::BTreeSet;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_clinical::{PatientId, UtcMs};
use zeroize::Zeroizing;

/// An instance of patient `p`: study `1.2.<study>`, series `1.2.<study>.<series>`, and so on.
pub(super) fn image(p: &str, study: u32, series: u32, n: i64) -> NewInstance {
    let (study, series) = (format!("1.2.{study}"), format!("1.2.{study}.{series}"));
    let uid = format!("{series}.{n}");
    let mark = u8::try_from(n % 250).unwrap_or(0);
    NewInstance {
        patient: PatientId::new(p).expect("a patient"),
        day: Some(20_260_101),
        accession: Some(format!("A-{study}")),
        study_header: Bytes::from(format!(r#"{{"study": "{study}",  "odd":   1.10}}"#)),
        series_header: Bytes::from(format!(r#"{{"series":"{series}"}}"#)),
        position: n,
        header: Bytes::from(format!(r#"{{"n":{n}}}"#)),
        blob: Blob {
            sha256: blake3::hash(uid.as_bytes()).into(),
            bytes: 1_000 + u64::from(mark),
            key: Zeroizing::new([mark; 32]),
        },
        study,
        series,
        uid,
    }
}

impl Hospital {
    fn with_images(&self, ops: Vec<ChangeOp>, images: Vec<NewInstance>) -> ChangeBatch {
        ChangeBatch {
            images,
            ..self.batch(ops)
        }
    }

    pub(super) async fn file(&self, images: Vec<NewInstance>) -> Result<Applied, StoreError> {
        let batch = self.with_images(Vec::new(), images);
        self.store.apply(&self.client(None), batch).await.map(|(a, _)| a)
    }

    async fn studies(&self, p: &str) -> Vec<StudyRow> {
        let permit = self.client::<ReadChart>(Some(p));
        let sealed = self.store.studies(&permit, None).await.expect("read");
        let shown: BTreeSet<String> = sealed
            .disclosure()
            .resources
            .iter()
            .map(|r| r.key.to_string())
            .collect();
        let found = self.open(&permit, sealed).await;
        let given: BTreeSet<String> = found.iter().map(|s| format!("DicomStudy/{}", s.uid)).collect();
        assert_eq!(shown, given, "the row names every study shown");
        found
    }

    async fn find(&self, query: StudyQuery) -> StudyHits {
        let permit = self.client::<SearchPatients>(None);
        let sealed = self.store.find_studies(&permit, &query).await.expect("found");
        let patients: BTreeSet<String> = sealed
            .disclosure()
            .patients
            .iter()
            .map(ToString::to_string)
            .collect();
        let found = self.open(&permit, sealed).await;
        let whose: BTreeSet<String> = found.studies.iter().map(|s| s.patient.to_string()).collect();
        assert_eq!(patients, whose, "the row names everybody shown");
        found
    }

    /// A series, read in pages.
    async fn series(&self, p: &str, series: &str, page: usize) -> Vec<InstanceRow> {
        let (mut out, mut after) = (Vec::new(), None);
        loop {
            let permit = self.client::<ReadChart>(Some(p));
            let sealed = self
                .store
                .instances(&permit, series, after, page)
                .await
                .expect("read");
            let said = sealed.disclosure().total;
            let found = self.open(&permit, sealed).await;
            assert_eq!(said, found.instances.len() as u64, "the row counts what is shown");
            assert!(found.instances.len() <= page);
            out.extend(found.instances);
            after = found.next;
            if after.is_none() {
                return out;
            }
        }
    }
}

fn uids(rows: &[InstanceRow]) -> Vec<&str> {
    rows.iter().map(|r| r.uid.as_str()).collect()
}

pub(super) async fn files_images(h: Hospital) {
    h.apply(vec![person("p1", "Anna Meyer", "1950", "M1")]).await;
    assert!(h.studies("p1").await.is_empty());
    let op = put("ImagingStudy/s1", &note("p1", "imaging", "CT"));
    let batch = h.with_images(
        vec![op],
        vec![image("p1", 1, 1, 3), image("p1", 1, 1, 1), image("p1", 1, 2, 7)],
    );
    let permit = h.client(None);
    let (first, _) = h.store.apply(&permit, batch.clone()).await.expect("filed");
    assert_eq!(first.changes.len(), 1);
    // The same operation again, and the same images in another one: nothing doubles. Their files have other keys.
    let (again, _) = h.store.apply(&h.client(None), batch).await.expect("known");
    assert!(again.duplicate);
    let mut twice = image("p1", 1, 1, 3);
    twice.blob.key = Zeroizing::new([99; 32]);
    h.file(vec![twice, image("p1", 1, 1, 2), image("p1", 1, 1, 2)])
        .await
        .expect("filed");

    let studies = h.studies("p1").await;
    let [study] = &studies[..] else {
        panic!("{studies:?}")
    };
    assert_eq!(
        (study.uid.as_str(), study.day, study.instances()),
        ("1.2.1", Some(20_260_101), 4)
    );
    assert_eq!(
        study.header,
        image("p1", 1, 1, 1).study_header,
        "kept byte for byte"
    );
    let series: Vec<_> = study
        .series
        .iter()
        .map(|s| (s.uid.as_str(), s.instances))
        .collect();
    assert_eq!(series, [("1.2.1.1", 3), ("1.2.1.2", 1)]);
    for page in [1, 2, 3, 100] {
        let rows = h.series("p1", "1.2.1.1", page).await;
        assert_eq!(
            uids(&rows),
            ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"],
            "by place, in pages of {page}"
        );
        let (row, sent) = (&rows[2], image("p1", 1, 1, 3));
        assert_eq!((row.study.as_str(), row.series.as_str()), ("1.2.1", "1.2.1.1"));
        assert_eq!(
            (&row.blob, &row.header),
            (&sent.blob, &sent.header),
            "the first file's key is the one that opens"
        );
    }
    assert!(
        h.series("p1", "1.2.9", 10).await.is_empty(),
        "a series that is not there"
    );
    let permit = h.client::<ReadChart>(Some("p1"));
    let sealed = h.store.instance(&permit, "1.2.1.2.7").await.expect("read");
    let one = h.open(&permit, sealed).await.expect("there");
    assert_eq!((one.position, one.blob.bytes), (7, 1_007));
    let permit = h.client::<ReadChart>(Some("p1"));
    let sealed = h.store.instance(&permit, "1.2.1.2.8").await.expect("read");
    assert!(h.open(&permit, sealed).await.is_none());

    for (uid, n) in [("1.2.1", 1), ("1.2.2", 0)] {
        let permit = h.client::<ReadChart>(Some("p1"));
        let sealed = h.store.studies(&permit, Some(uid)).await.expect("read");
        assert_eq!(h.open(&permit, sealed).await.len(), n, "{uid}");
    }

    // Another patient's permit opens nothing of it.
    h.apply(vec![person("p2", "Ben Marin", "1960", "M2")]).await;
    let other = h.client::<ReadChart>(Some("p2"));
    let wrong = |r: Result<(), StoreError>| matches!(r, Err(StoreError::WrongPatient(_)));
    assert!(wrong(h.store.instance(&other, "1.2.1.2.7").await.map(|_| ())));
    assert!(wrong(
        h.store.instances(&other, "1.2.1.1", None, 5).await.map(|_| ())
    ));
    assert_eq!(
        h.store
            .study_owner("1.2.1")
            .await
            .expect("read")
            .map(|p| p.to_string()),
        Some("p1".to_owned())
    );
    assert_eq!(h.store.study_owner("1.2.2").await.expect("read"), None);
    assert_eq!(h.store.study("1.2.1").await.expect("read").as_ref(), Some(study));
    assert_eq!(h.store.study("1.2.2").await.expect("read"), None);
}

pub(super) async fn refuses_images_that_contradict_what_is_there(h: Hospital) {
    h.apply(vec![
        person("p1", "Anna Meyer", "1950", "M1"),
        person("p2", "Ben Marin", "1960", "M2"),
    ])
    .await;
    h.file(vec![image("p1", 1, 1, 1), image("p2", 2, 1, 1)])
        .await
        .expect("filed");
    let fresh = || image("p1", 1, 1, 2);
    let cases = [
        (
            NewInstance {
                patient: PatientId::new("p2").expect("a patient"),
                ..fresh()
            },
            Misfiled::OtherPatient,
        ),
        (
            NewInstance {
                study: "1.2.7".to_owned(),
                ..fresh()
            },
            Misfiled::OtherStudy,
        ),
        (
            NewInstance {
                series: "1.2.1.5".to_owned(),
                ..image("p1", 1, 1, 1)
            },
            Misfiled::OtherSeries,
        ),
        (
            NewInstance {
                blob: fresh().blob,
                ..image("p1", 1, 1, 1)
            },
            Misfiled::OtherBytes,
        ),
    ];
    for (wrong, is) in cases {
        let op = put("ImagingStudy/bad", &note("p1", "imaging", "CT"));
        // A good one before it, which must not stay.
        let batch = h.with_images(vec![op], vec![image("p1", 1, 3, 1), wrong]);
        let refused = h.store.apply(&h.client(None), batch).await.map(|_| ());
        assert_eq!(refused, Err(StoreError::Misfiled { index: 1, is }));
    }
    // The same contradiction within one batch.
    let within = vec![
        image("p1", 5, 1, 1),
        NewInstance {
            blob: fresh().blob,
            ..image("p1", 5, 1, 1)
        },
    ];
    let refused = h.file(within).await.map(|_| ());
    assert_eq!(
        refused,
        Err(StoreError::Misfiled {
            index: 1,
            is: Misfiled::OtherBytes
        })
    );
    for bad in ["", "1.2/../3", "1.2 3"] {
        let refused = h
            .file(vec![NewInstance {
                uid: bad.to_owned(),
                ..fresh()
            }])
            .await
            .map(|_| ());
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{bad:?}: {refused:?}"
        );
    }
    let permit = h.client::<vitrine_access::action::WriteClinical>(Some("p2"));
    let refused = h
        .store
        .apply(&permit, h.with_images(Vec::new(), vec![fresh()]))
        .await
        .map(|_| ());
    assert!(matches!(refused, Err(StoreError::WrongPatient(_))), "{refused:?}");
    let studies = h.studies("p1").await;
    assert_eq!(studies.len(), 1);
    assert_eq!(studies[0].instances(), 1, "nothing of a refused batch is left");
    let permit = h.client(Some("p1"));
    let sealed = h
        .store
        .everything(
            &permit,
            crate::Page {
                after: None,
                limit: 50,
            },
        )
        .await
        .expect("read");
    let chart = h.open(&permit, sealed).await;
    assert!(
        chart
            .resources
            .iter()
            .all(|r| r.key.kind.as_str() != "ImagingStudy")
    );
}

pub(super) async fn finds_studies(h: Hospital) {
    h.apply(vec![
        person("p1", "Anna Meyer", "1950", "M1"),
        person("p2", "Ben Marin", "1960", "M2"),
    ])
    .await;
    let of = |p: &str, study: u32, day: Option<i32>| NewInstance {
        day,
        ..image(p, study, 1, 1)
    };
    h.file(vec![
        of("p1", 1, Some(20_240_229)),
        of("p1", 2, None),
        of("p2", 3, Some(20_260_301)),
        of("p2", 4, Some(20_240_229)),
        of("p1", 5, None),
    ])
    .await
    .expect("filed");
    let all = || StudyQuery {
        limit: 10,
        ..StudyQuery::default()
    };
    let uid = |n: u32| format!("1.2.{n}");
    let patient = |p: &str| Some(PatientId::new(p).expect("a patient"));
    let cases: Vec<(StudyQuery, &[u32], bool)> = vec![
        (all(), &[3, 4, 1, 5, 2], false),
        (StudyQuery { limit: 2, ..all() }, &[3, 4], true),
        (
            StudyQuery {
                limit: 2,
                offset: 2,
                ..all()
            },
            &[1, 5],
            true,
        ),
        (
            StudyQuery {
                limit: 2,
                offset: 4,
                ..all()
            },
            &[2],
            false,
        ),
        (
            StudyQuery {
                patient: patient("p1"),
                ..all()
            },
            &[1, 5, 2],
            false,
        ),
        (
            StudyQuery {
                patient: patient("p9"),
                ..all()
            },
            &[],
            false,
        ),
        (
            StudyQuery {
                uid: Some(uid(4)),
                ..all()
            },
            &[4],
            false,
        ),
        (
            StudyQuery {
                uid: Some("1.2".to_owned()),
                ..all()
            },
            &[],
            false,
        ),
        (
            StudyQuery {
                accession: Some("A-1.2.2".to_owned()),
                ..all()
            },
            &[2],
            false,
        ),
        (
            StudyQuery {
                from: Some(20_240_301),
                ..all()
            },
            &[3],
            false,
        ),
        (
            StudyQuery {
                to: Some(20_240_301),
                ..all()
            },
            &[4, 1],
            false,
        ),
        (
            StudyQuery {
                from: Some(20_240_229),
                to: Some(20_240_229),
                patient: patient("p2"),
                ..all()
            },
            &[4],
            false,
        ),
    ];
    for (query, expected, more) in cases {
        let found = h.find(query.clone()).await;
        let uids: Vec<&str> = found.studies.iter().map(|s| s.uid.as_str()).collect();
        let expected: Vec<String> = expected.iter().map(|n| uid(*n)).collect();
        assert_eq!(
            (uids, found.more),
            (expected.iter().map(String::as_str).collect(), more),
            "{query:?}"
        );
    }
}

pub(super) async fn destroyed_images_leave_nothing(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    h.file(vec![
        image("p1", 1, 1, 1),
        image("p1", 1, 1, 2),
        image("p2", 2, 1, 1),
    ])
    .await
    .expect("filed");
    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    let d = h.carry_out("p1", id).await.expect("destroyed");
    let types = d.destroyed.expect("what was destroyed").types;
    let images = types.get("DicomInstance").map(|c| (c.resources, c.versions));
    assert_eq!(images, Some((2, 2)), "the certificate counts them: {types:?}");
    assert!(h.studies("p1").await.is_empty());
    assert_eq!(h.studies("p2").await.len(), 1);
    let left = h
        .store
        .standing("1.2.1", "1.2.1.1", "1.2.1.1.1")
        .await
        .expect("read");
    assert_eq!(left, Standing::default(), "no row is left, and no key of a file");
    assert_eq!(h.store.original("1.2.1.1.1").await.expect("read"), None);
    let other = h.store.original("1.2.2.1.1").await.expect("read");
    assert_eq!(other, Some(image("p2", 2, 1, 1).blob), "its file, with the key");
    let left = h
        .store
        .standing("1.2.2", "1.2.2.1", "1.2.2.1.1")
        .await
        .expect("read");
    assert!(left.study.is_some() && left.series.is_some() && left.instance.is_some());
    let refused = h.file(vec![image("p1", 3, 1, 1)]).await.map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Destroyed { index: 0, .. })),
        "{refused:?}"
    );
}

fn looked(uid: &str, frames: u32) -> Looked {
    Looked {
        uid: uid.to_owned(),
        frames,
        why: (frames == 0).then(|| "no pixels".to_owned()),
    }
}

fn pack(mark: u8, frames: u32) -> PixelPack {
    PixelPack {
        blob: Blob {
            sha256: [mark; 32],
            bytes: 1_000 + u64::from(mark),
            key: Zeroizing::new([mark + 1; 32]),
        },
        frames,
    }
}

impl Hospital {
    async fn pixels(&self, p: &str, study: Option<&str>) -> Vec<SeriesPixels> {
        let permit = self.client::<ReadChart>(Some(p));
        let sealed = self.store.pixels(&permit, study).await.expect("read");
        let shown: BTreeSet<String> = sealed
            .disclosure()
            .resources
            .iter()
            .map(|r| r.key.to_string())
            .collect();
        let found = self.open(&permit, sealed).await;
        let given: BTreeSet<String> = found.iter().map(|s| format!("DicomStudy/{}", s.study)).collect();
        assert_eq!(shown, given, "the row names every study shown");
        found
    }

    async fn done(&self, series: &str, pack: Option<PixelPack>, of: &[(&str, u32)]) -> bool {
        let done = PixelsDone {
            series: series.to_owned(),
            at: UtcMs(1_000),
            pack,
            instances: of.iter().map(|(uid, frames)| looked(uid, *frames)).collect(),
        };
        self.store.pixels_done(done).await.expect("noted")
    }

    async fn waiting(&self, series: Option<&str>, limit: usize) -> Vec<String> {
        let found = self.store.unpacked(series, limit).await.expect("read");
        found.into_iter().map(|u| u.instance.uid).collect()
    }
}

pub(super) async fn notes_what_became_of_pixels(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    h.file(vec![
        image("p1", 1, 1, 3),
        image("p1", 1, 1, 1),
        image("p1", 1, 1, 2),
        image("p1", 1, 2, 1),
        image("p2", 2, 1, 1),
    ])
    .await
    .expect("filed");
    let (a, b) = ("1.2.1.1", "1.2.1.2");
    assert_eq!(
        h.waiting(None, 10).await,
        ["1.2.2.1.1", "1.2.1.2.1", "1.2.1.1.2", "1.2.1.1.1", "1.2.1.1.3"],
        "the last filed first"
    );
    let series = h.store.all_series(0, 2).await.expect("read");
    assert_eq!(
        series.iter().map(|(_, uid)| uid.as_str()).collect::<Vec<_>>(),
        ["1.2.1.1", "1.2.1.2"]
    );
    let rest = h.store.all_series(series[1].0, 9).await.expect("read");
    assert_eq!(rest.len(), 1, "where the page before ended");
    assert_eq!(rest[0].1, "1.2.2.1");
    assert_eq!(
        h.waiting(Some(a), 2).await,
        ["1.2.1.1.1", "1.2.1.1.2"],
        "by place"
    );
    let first = h.store.unpacked(Some(a), 1).await.expect("read");
    assert_eq!(first[0].patient.as_str(), "p1");
    assert_eq!(
        first[0].instance.blob,
        image("p1", 1, 1, 1).blob,
        "with the key of its file"
    );
    assert_eq!(first[0].instance.header, image("p1", 1, 1, 1).header);

    assert!(
        h.done(a, Some(pack(1, 21)), &[("1.2.1.1.1", 20), ("1.2.1.1.2", 1)])
            .await
    );
    assert!(
        h.done(a, Some(pack(1, 21)), &[("1.2.1.1.1", 20), ("1.2.1.1.2", 1)])
            .await,
        "just this was noted before: its answer was lost"
    );
    // Somebody else was first with one of them; one is of another series; one is not there: nothing is noted.
    for of in [
        [("1.2.1.1.2", 1), ("1.2.1.1.3", 1)],
        [("1.2.1.1.3", 1), ("1.2.1.2.1", 1)],
        [("1.2.1.1.3", 1), ("1.2.1.1.9", 1)],
    ] {
        assert!(!h.done(a, Some(pack(9, 2)), &of).await, "{of:?}");
    }
    assert!(!h.done("1.2.9", None, &[]).await, "no such series");
    assert!(h.done(a, Some(pack(2, 5)), &[("1.2.1.1.3", 5)]).await);
    assert!(h.done(b, None, &[("1.2.1.2.1", 0)]).await);
    assert_eq!(h.waiting(None, 10).await, ["1.2.2.1.1"]);

    let found = h.pixels("p1", Some("1.2.1")).await;
    let [x, y] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (x.series.as_str(), x.ready, x.preparing, x.frames()),
        (a, 3, 0, 26)
    );
    assert_eq!(
        x.packs,
        [pack(1, 21), pack(2, 5)],
        "in the order in which they were made"
    );
    assert_eq!((y.series.as_str(), y.ready, y.preparing), (b, 0, 0));
    assert_eq!(y.without, [("1.2.1.2.1".to_owned(), "no pixels".to_owned())]);
    assert!(
        h.pixels("p1", Some("1.2.2")).await.is_empty(),
        "another patient's"
    );
    let two = h.pixels("p2", None).await;
    assert_eq!((two.len(), two[0].preparing, two[0].packs.len()), (1, 1, 0));

    let gone = h.store.look_again(a).await.expect("forgotten");
    assert_eq!(gone, [pack(1, 21).blob, pack(2, 5).blob]);
    assert!(h.store.look_again("1.2.9").await.expect("nothing").is_empty());
    assert_eq!(
        h.waiting(Some(a), 9).await,
        ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
    );
    assert!(h.done(a, Some(pack(3, 1)), &[("1.2.1.1.1", 1)]).await);

    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    h.carry_out("p1", id).await.expect("destroyed");
    assert!(h.pixels("p1", None).await.is_empty(), "no key of a pack is left");
    assert_eq!(h.waiting(None, 10).await, ["1.2.2.1.1"]);
    assert!(
        !h.done(a, Some(pack(4, 1)), &[("1.2.1.1.2", 1)]).await,
        "made too late"
    );
    assert_eq!(h.pixels("p2", None).await.len(), 1);
}
