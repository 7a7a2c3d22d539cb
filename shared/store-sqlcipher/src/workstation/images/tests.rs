//! What a workstation keeps of images: what goes in comes out, a key that is gone is gone, damage counts as not held.

use super::{Images, IndexPiece, NewPack, NewSegment, OpenSeries, PROVEN};
use crate::Key;
use std::collections::BTreeSet;
use vitrine_access::{AccessId, Permit, Receipt, action::ReadChart, policy};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, UserId, UtcMs, WardId};
use zeroize::Zeroizing;

fn permit(patient: &str) -> Permit<ReadChart> {
    let ward = WardId::new("ED").unwrap();
    policy::decide(policy::Request {
        access_id: AccessId(uuid::Uuid::from_u128(1)),
        at: UtcMs(1),
        subject: policy::Subject::User {
            user: UserId::new("a").unwrap(),
            role: "physician".parse().unwrap(),
            wards: vec![ward.clone()],
        },
        device: None,
        patient: Some(policy::PatientFacts {
            patient: PatientId::new(patient).unwrap(),
            ward: Some(ward),
            label: Label::NONE,
        }),
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    })
    .expect("own ward")
}

fn leave(images: &Images, patient: &str, study: &str, series: &str) -> OpenSeries {
    let permit = permit(patient);
    let sealed = images.series(&permit, study, series).unwrap();
    assert_eq!(sealed.disclosure().resources.len(), 1, "the study is named");
    sealed
        .open(&Receipt::of_committed_row(permit.access_id(), 1))
        .ok()
        .unwrap()
}

fn open(dir: &std::path::Path, key: u8) -> Result<Images, vitrine_store::StoreError> {
    let key = Key::new(Zeroizing::new([key; 32]));
    Images::open(&dir.join("images.db"), &dir.join("images"), &key)
}

const PACK: [u8; 32] = [7; 32];

fn body(frame: u32, layer: u8) -> Vec<u8> {
    let n = 1_000 * (1 + usize::from(layer));
    (0..n)
        .map(|i| (i as u32 * 31 + frame * 7 + u32::from(layer)) as u8)
        .collect()
}

fn fill(images: &Images, of: &OpenSeries, frames: u32, now: i64) {
    let pack = NewPack {
        hash: &PACK,
        frames,
        bytes: 1,
    };
    images.put_series(of, &[pack], b"kept", now).unwrap();
    let piece = IndexPiece {
        pack: &PACK,
        first: 0,
        frames,
        body: b"index",
    };
    images.put_index(of, &[piece]).unwrap();
    let bodies: Vec<_> = (0..frames)
        .flat_map(|f| (0..4).map(move |l| (f, l, body(f, l))))
        .collect();
    for part in bodies.chunks(5) {
        let part: Vec<_> = part
            .iter()
            .map(|(frame, layer, body)| NewSegment {
                pack: &PACK,
                frame: *frame,
                layer: *layer,
                body,
            })
            .collect();
        images.put_segments(of, &part).unwrap();
    }
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir.join("images"))
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect()
}

#[test]
fn what_goes_in_comes_out_for_its_own_patient_alone() {
    let dir = tempfile::tempdir().unwrap();
    let images = open(dir.path(), 1).unwrap();
    let of = leave(&images, "p1", "1.2", "1.2.1");
    assert!(of.held().unwrap().is_none());
    fill(&images, &of, 3, 10);
    images.put_proofs(&of, &[(PACK.to_vec(), 2)]).unwrap();
    drop((images, of));
    let images = open(dir.path(), 1).unwrap();
    let of = leave(&images, "p1", "1.2", "1.2.1");
    let held = of.held().unwrap().unwrap();
    assert_eq!((held.body.as_slice(), held.as_of), (b"kept".as_slice(), 10));
    assert_eq!(held.packs[0].layers, [15, 15, 15 | PROVEN]);
    assert_eq!(held.packs[0].pieces, [(0, 3, b"index".to_vec())]);
    for f in 0..3 {
        let all = of.segments(&PACK, f).unwrap();
        assert_eq!(
            all.into_values().collect::<Vec<_>>(),
            (0..4).map(|l| body(f, l)).collect::<Vec<_>>()
        );
    }
    assert!(of.segments(&PACK, 3).unwrap().is_empty());
    assert!(leave(&images, "p2", "1.2", "1.2.1").held().unwrap().is_none());
    assert!(
        leave(&images, "p2", "1.2", "1.2.1")
            .segments(&PACK, 0)
            .unwrap()
            .is_empty()
    );
    images.drop_segments(&of, &[(&PACK, 1, 0)]).unwrap();
    assert_eq!(of.held().unwrap().unwrap().packs[0].layers, [15, 0, 15 | PROVEN]);
    // From a layer on: those before it are sound.
    images.drop_segments(&of, &[(&PACK, 2, 2)]).unwrap();
    assert_eq!(of.held().unwrap().unwrap().packs[0].layers, [15, 0, 3]);
    assert_eq!(of.segments(&PACK, 2).unwrap().len(), 2);
    // A series that consists of other packs now.
    images.put_series(&of, &[], b"", 11).unwrap();
    assert!(of.held().unwrap().unwrap().packs.is_empty());
    assert!(open(dir.path(), 2).is_err(), "another key");
}

#[test]
fn the_study_not_used_for_longest_goes_and_its_previews_stay() {
    let dir = tempfile::tempdir().unwrap();
    let images = open(dir.path(), 1).unwrap();
    let studies: Vec<_> = (0..3)
        .map(|n| leave(&images, "p1", &format!("1.{n}"), "9"))
        .collect();
    for (n, of) in (0..).zip(&studies) {
        fill(&images, of, 4, 100 + n);
    }
    images.used(&studies[0], 1_000).unwrap();
    let each = images.bytes().unwrap() / 3;
    assert!(each > 4 * 9_000);
    assert_eq!(files(dir.path()).len(), 3);
    // The second is the oldest, and open; the third goes.
    assert_eq!(images.evict(each * 2, &studies[1..2]).unwrap(), 1);
    assert_eq!(images.bytes().unwrap(), each * 2);
    assert_eq!(files(dir.path()).len(), 2);
    let layers = |of: &OpenSeries| of.held().unwrap().unwrap().packs[0].layers.clone();
    assert_eq!(layers(&studies[2]), [1; 4], "previews and index stay");
    assert_eq!(studies[2].segments(&PACK, 0).unwrap().len(), 1);
    assert_eq!(layers(&studies[0]), [15; 4]);
    // It can be fetched again, under a new key.
    fill(&images, &studies[2], 4, 2_000);
    assert_eq!(studies[2].segments(&PACK, 3).unwrap().len(), 4);
    // A study that the list does not name any more goes whole.
    let patient = PatientId::new("p1").unwrap();
    images.put_list(&patient, b"list", &["1.0"], 3_000).unwrap();
    assert!(studies[1].held().unwrap().is_none());
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_torn_tail_is_written_over_and_a_flipped_bit_ends_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let images = open(dir.path(), 1).unwrap();
    let of = leave(&images, "p1", "1.2", "1.2.1");
    fill(&images, &of, 2, 10);
    let file = files(dir.path()).remove(0);
    let whole = std::fs::read(&file).unwrap();
    // A kill between the file and the rows leaves bytes that nothing names.
    std::fs::write(&file, [whole.as_slice(), &[9; 5_000]].concat()).unwrap();
    let more = body(7, 3);
    let segment = NewSegment {
        pack: &PACK,
        frame: 1,
        layer: 3,
        body: &more,
    };
    images.put_segments(&of, &[segment]).unwrap();
    assert_eq!(of.segments(&PACK, 1).unwrap()[&3], more);
    // Every byte of the file counts.
    let bytes = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        for f in 0..2 {
            for (l, b) in of.segments(&PACK, f).unwrap() {
                let right = if (f, l) == (1, 3) {
                    more.clone()
                } else {
                    body(f, l)
                };
                assert!(b == right, "byte {at}: frame {f} layer {l}");
            }
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        of.segments(&PACK, 0).unwrap().len(),
        1,
        "the preview is in the database"
    );
    // What no study names is removed when it is opened.
    let stray = dir.path().join("images/0123456789abcdef01234567");
    std::fs::write(&stray, b"x").unwrap();
    drop((images, of));
    open(dir.path(), 1).unwrap();
    assert!(!stray.exists());
}

#[test]
fn patients_who_left_long_ago_go_whole_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let images = open(dir.path(), 1).unwrap();
    let all: Vec<OpenSeries> = [("p1", "1.0"), ("p2", "2.0"), ("p3", "3.0")]
        .into_iter()
        .map(|(p, s)| {
            let of = leave(&images, p, s, &format!("{s}.1"));
            fill(&images, &of, 2, 100);
            images
                .put_list(&PatientId::new(p).unwrap(), b"list", &[s], 100)
                .unwrap();
            of
        })
        .collect();
    // p2 was looked at since; p3 lies in the ward.
    images.used(&all[1], 500).unwrap();
    let here = BTreeSet::from(["p3".to_owned()]);
    assert_eq!(images.tally().unwrap(), (3, 6));
    assert_eq!(images.retire(&here, 400).unwrap(), 1);
    assert_eq!(images.tally().unwrap(), (2, 4));
    assert!(all[0].held().unwrap().is_none());
    assert!(all[1].held().unwrap().is_some() && all[2].held().unwrap().is_some());
    assert_eq!(files(dir.path()).len(), 2);
    assert_eq!(images.retire(&BTreeSet::new(), 501).unwrap(), 2);
    assert_eq!(images.tally().unwrap(), (0, 0));
}
