//! Images at the workstation against a server of the test's own: order, exactness, damage, kills, offline, lock.

#[path = "support/image_server.rs"]
mod image_server;
mod support;

use image_server::{SERIES, STUDY, Server, mary, pack, plain, serve};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::{Profiled, people, pin, plant};
use vitrine_engine::clock::Stopwatch;
use vitrine_engine::profile::Profile;
use vitrine_engine::{EngineError, Pixels, Workstation};
use vitrine_pixels::Shape;
use vitrine_wire::image_view::{HeldView, OpenSeriesView, SeriesState};
use vitrine_wire::view::{DataAge, EngineEvent};

const SHAPE: Shape = Shape {
    columns: 300,
    rows: 200,
    samples: 1,
    bits: 12,
    signed: false,
};
/// No whole run may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Time since then.
struct Since(Stopwatch);

impl Since {
    fn now() -> Self {
        Self(Stopwatch::start())
    }
    fn elapsed(&self) -> Duration {
        Duration::from_secs_f64(self.0.ms() / 1_000.0)
    }
}

struct Site {
    _dir: tempfile::TempDir,
    p: Profiled,
    server: Server,
    pack: Arc<image_server::Pack>,
}

fn site(frames: u32) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let pack = Arc::new(pack(SHAPE, 1..frames + 1, &mary()));
    let server = serve(&p, vec![Arc::clone(&pack)]);
    Site {
        _dir: dir,
        p,
        server,
        pack,
    }
}

fn run<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(f)
}

async fn signed_in(p: &Profiled) -> Workstation {
    let ws = Workstation::open(&p.dir, support::options()).unwrap();
    ws.sign_in("lee", pin("lee")).await.unwrap();
    ws.settled(Duration::from_secs(5)).await;
    ws
}

async fn whole(ws: &Workstation, view: u32) -> HeldView {
    let since = Since::now();
    loop {
        let (held, _) = ws.image_held(view).unwrap();
        if held.frames.bytes().all(|b| matches!(b, b'5' | b'x')) || held.stopped_text.is_some() {
            return held;
        }
        assert!(since.elapsed() < LIMIT, "{}", held.frames);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The pixels of a frame to the end, and the layers that were seen.
async fn exact(ws: &Workstation, v: &OpenSeriesView, frame: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut above, mut seen) = (None, Vec::new());
    loop {
        match ws.image_pixels(&v.token, frame, above).await {
            Pixels::Ready(bytes) => {
                assert_eq!(&bytes[..4], b"VTP1");
                assert!(above.is_none_or(|a| bytes[15] > a), "no better than {above:?}");
                above = Some(bytes[15]);
                seen.push(bytes[15]);
                if bytes[16] == 1 {
                    return (bytes[32..].to_vec(), seen);
                }
            }
            other => panic!("frame {frame}: {other:?} after {seen:?}"),
        }
    }
}

#[test]
fn a_series_comes_whole_and_exact_what_is_looked_at_first() {
    let s = site(24);
    run(async {
        let ws = signed_in(&s.p).await;
        let list = ws.images("p1").await.unwrap();
        assert_eq!(list.age.age, DataAge::Live);
        assert_eq!(list.studies[0].when_text, "12-Oct-2026 08:14");
        assert_eq!(list.studies[0].series[0].state, SeriesState::Ready);
        assert_eq!(list.studies[0].report_text, "report not known here");
        let thumb = list.studies[0].series[0].thumbnail.clone().unwrap();
        let png = ws
            .image_thumbnail(thumb.split('/').nth(1).unwrap(), SERIES)
            .await
            .unwrap();
        assert_eq!(&png[1..4], b"PNG");
        let mut events = ws.events();
        // Slow enough that the order shows.
        s.server.with(|st| st.pace = Duration::from_millis(2));
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        assert_eq!((v.frames.len(), v.growing, v.gaps.len()), (24, false, 0));
        assert!(v.mismatch_text.is_none(), "{:?}", v.mismatch_text);
        assert!(
            v.header_text.starts_with("JONES, MARY, born 04-Feb-1958"),
            "{}",
            v.header_text
        );
        assert_eq!(v.frames[11].place_text, "12 of 24 · 18.0 mm");
        ws.image_center(v.view, 12, 0.0, 512).unwrap();
        let (first, _) = exact(&ws, &v, 12).await;
        assert_eq!(first, plain(SHAPE, 13));
        let held = whole(&ws, v.view).await;
        assert_eq!(held.frames, "5".repeat(24));
        assert_eq!(held.text, "exact");
        for n in [0, 7, 23] {
            assert_eq!(exact(&ws, &v, n).await.0, plain(SHAPE, n + 1));
        }
        // Each segment once; layer 0 of all before the rest of those far away.
        let wanted = s.server.wanted();
        let mut each = wanted.clone();
        each.sort_unstable();
        each.dedup();
        let forgotten = s.server.with(|st| {
            st.asked
                .iter()
                .any(|a| matches!(a, vitrine_wire::images::Ask::Forget { .. }))
        });
        assert!(forgotten || each.len() == wanted.len(), "asked twice");
        let at = |f: u32, l: u8| wanted.iter().rposition(|w| (w.2, w.3) == (f, l)).unwrap();
        assert!(at(12, 3) < at(6, 3) && at(12, 3) < at(23, 3));
        assert!(
            (1..24).all(|f| at(f, 0) < at(6, 3)),
            "all can be scrolled before one far away is whole"
        );
        let told = std::iter::from_fn(|| events.try_recv().ok())
            .filter(|e| matches!(e, EngineEvent::Images(h) if h.view == v.view))
            .count();
        assert!((1..200).contains(&told), "{told} events");
        // The row names study and series.
        let rows = ws.audit_list(0, 100).await.unwrap();
        assert!(
            rows.iter()
                .any(|r| r.body.contains(SERIES) && r.body.contains("read-chart"))
        );
    });
}

#[test]
fn what_is_here_opens_without_a_server_and_a_lock_empties_it() {
    let s = site(6);
    run(async {
        let ws = signed_in(&s.p).await;
        assert!(matches!(
            ws.image_open("p1", STUDY, "1.2.3", 64)
                .await
                .map(|v| v.frames.len()),
            Ok(0)
        ));
        ws.images("p1").await.unwrap();
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        whole(&ws, v.view).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        ws.lock();
        assert_eq!(ws.image_pixels(&v.token, 0, None).await, Pixels::Ended);
        assert!(ws.image_held(v.view).is_none());
        assert!(matches!(
            ws.image_open("p1", STUDY, SERIES, 512).await,
            Err(EngineError::NotSignedIn)
        ));
        s.server.with(|st| st.closed = true);
        tokio::time::sleep(Duration::from_millis(100)).await;

        ws.sign_in("lee", pin("lee")).await.unwrap();
        let list = ws.images("p1").await.unwrap();
        assert_eq!(list.age.age, DataAge::Offline);
        let e = &list.studies[0].series[0];
        assert_eq!(
            (e.state, e.held_text.as_deref()),
            (SeriesState::Ready, Some("whole here"))
        );
        let thumb = e.thumbnail.clone().unwrap();
        let token = thumb.split('/').nth(1).unwrap();
        let png = ws.image_thumbnail(token, SERIES).await.unwrap();
        assert_eq!(&png[1..4], b"PNG");
        assert!(ws.image_thumbnail("0", SERIES).await.is_none());
        let since = Since::now();
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(1));
        assert_eq!(v.frames.len(), 6);
        for n in 0..6 {
            assert_eq!(exact(&ws, &v, n).await.0, plain(SHAPE, n + 1));
        }
        // What was never here says so.
        assert!(matches!(
            ws.image_open("p1", STUDY, "1.2.9", 64).await,
            Err(EngineError::NotOnThisWorkstation { .. })
        ));
        assert!(matches!(
            ws.images("p5").await,
            Err(EngineError::NotOnThisWorkstation { .. })
        ));
    });
}

/// A list that was asked for by somebody who has left is for nobody: not for who sits there now, and no row says that it was seen.
#[test]
fn a_list_that_comes_after_its_reader_left_is_not_shown() {
    let Site { _dir, p, server, .. } = site(4);
    let rows = || {
        let rows = support::outbox(&p).rows(0, 1_000).unwrap().rows;
        rows.iter().filter(|r| r.body.contains("\"images\"")).count()
    };
    run(async {
        let ws = signed_in(&p).await;
        ws.images("p1").await.unwrap();
        assert_eq!(rows(), 1);
        server.with(|st| {
            st.silent = true;
            st.asked.clear();
        });
        let next = async {
            let since = Since::now();
            while !server.with(|st| {
                st.asked
                    .iter()
                    .any(|a| matches!(a, vitrine_wire::images::Ask::List { .. }))
            }) {
                assert!(since.elapsed() < LIMIT);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ws.lock();
            ws.sign_in("rao", pin("rao")).await.unwrap();
        };
        let (list, ()) = tokio::join!(ws.images("p1"), next);
        assert!(matches!(list, Err(EngineError::NotSignedIn)), "{list:?}");
        assert_eq!(rows(), 1);
    });
}

#[test]
fn a_flipped_bit_on_the_wire_or_on_the_disk_is_caught_and_fetched_again() {
    let s = site(8);
    s.server.with(|st| st.flip = Some(5));
    run(async {
        let ws = signed_in(&s.p).await;
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        assert_eq!(whole(&ws, v.view).await.frames, "5".repeat(8));
        tokio::time::sleep(Duration::from_millis(600)).await;
        ws.lock();
        s.server.with(|st| (st.flip, st.sent) = (None, 0));
        // The study's file: every 5,000th byte.
        let file = std::fs::read_dir(s.p.dir.join("images"))
            .unwrap()
            .flatten()
            .next()
            .unwrap()
            .path();
        let mut bytes = std::fs::read(&file).unwrap();
        for b in bytes.iter_mut().step_by(5_000) {
            *b ^= 1;
        }
        std::fs::write(&file, bytes).unwrap();
        ws.sign_in("lee", pin("lee")).await.unwrap();
        ws.settled(Duration::from_secs(5)).await;
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        for n in 0..8 {
            assert_eq!(exact(&ws, &v, n).await.0, plain(SHAPE, n + 1));
        }
        assert!(
            s.server.with(|st| st.sent) > 0,
            "what was damaged was fetched again"
        );
    });
}

#[test]
fn a_damaged_database_of_images_is_begun_anew() {
    let s = site(3);
    run(async {
        let ws = signed_in(&s.p).await;
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        whole(&ws, v.view).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    for damage in [0_usize, 1] {
        let db = s.p.dir.join("images.db");
        let mut bytes = std::fs::read(&db).unwrap();
        let page = if damage == 0 { 20..4096 } else { 4096..bytes.len() };
        for b in &mut bytes[page] {
            *b ^= 0x55;
        }
        std::fs::write(&db, bytes).unwrap();
        let _ = std::fs::remove_file(s.p.dir.join("images.db-wal"));
        let _ = std::fs::remove_file(s.p.dir.join("images.db-shm"));
        run(async {
            let ws = signed_in(&s.p).await;
            let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
            assert_eq!(exact(&ws, &v, 1).await.0, plain(SHAPE, 2));
            whole(&ws, v.view).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
    }
}

#[test]
fn two_views_of_a_series_share_what_comes_and_the_wrong_person_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let mut who = mary();
    who.birth_date = Some("19790101".into());
    let pack = Arc::new(pack(SHAPE, 1..11, &who));
    let server = serve(&p, vec![pack]);
    run(async {
        let ws = signed_in(&p).await;
        server.with(|st| st.pace = Duration::from_millis(2));
        let a = ws.image_open("p1", STUDY, SERIES, 256).await.unwrap();
        let b = ws.image_open("44710932", STUDY, SERIES, 512).await.unwrap();
        assert_ne!((a.view, &a.token), (b.view, &b.token));
        assert!(b.mismatch_text.unwrap().contains("birth date"), "said in words");
        ws.image_center(a.view, 9, 0.0, 256).unwrap();
        whole(&ws, a.view).await;
        whole(&ws, b.view).await;
        let mut wanted: Vec<_> = server.wanted().iter().map(|w| (w.1, w.2, w.3)).collect();
        let n = wanted.len();
        wanted.sort_unstable();
        wanted.dedup();
        let forgotten = server.with(|st| {
            st.asked
                .iter()
                .any(|a| matches!(a, vitrine_wire::images::Ask::Forget { .. }))
        });
        assert!(forgotten || wanted.len() == n, "asked twice");
        ws.image_close(a.view);
        assert_eq!(ws.image_pixels(&a.token, 0, None).await, Pixels::Ended);
        assert!(matches!(
            ws.image_pixels(&b.token, 3, None).await,
            Pixels::Ready(_)
        ));
    });
}

fn pull(p: &Profiled) -> std::process::Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vitrine-cli"))
        .args(["--json", "--profile"])
        .arg(&p.dir)
        .args(["image-pull", "p1", SERIES, "--user", "lee", "--secret-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    use std::io::Write as _;
    writeln!(child.stdin.take().unwrap(), "{}", pin("lee")).unwrap();
    child
}

#[test]
fn a_download_killed_at_sixty_percent_goes_on_where_it_was() {
    let s = site(40);
    let all = s
        .pack
        .index
        .frames
        .iter()
        .flat_map(|f| &f.segments)
        .map(|g| u64::from(g.len))
        .sum::<u64>();
    s.server.with(|st| st.hold_at = Some(all * 60 / 100));
    let mut child = pull(&s.p);
    let since = Since::now();
    while s.server.with(|st| st.sent) < all * 60 / 100 {
        assert!(since.elapsed() < LIMIT && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    // A batch is written within 250 ms and what its sync takes.
    std::thread::sleep(Duration::from_millis(800));
    child.kill().unwrap();
    child.wait().unwrap();
    s.server.with(|st| (st.hold_at, st.sent) = (None, 0));
    let done = pull(&s.p).wait_with_output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(done.status.success(), "{said}");
    assert_eq!(
        (&said["exact"], &said["whole"], &said["bytes"]),
        (&40.into(), &true.into(), &all.into()),
        "{said}"
    );
    let again = s.server.with(|st| st.sent);
    assert!(again <= all * 45 / 100, "{again} of {all} bytes were sent again");
}

#[test]
fn nothing_of_an_image_is_readable_on_the_disk() {
    let s = site(5);
    let ws = run(async {
        let ws = signed_in(&s.p).await;
        ws.images("p1").await.unwrap();
        let v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        whole(&ws, v.view).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        ws
    });
    let mut planted: Vec<Vec<u8>> = [
        SERIES, STUDY, "JONES", "VTRPACK", "CT chest", "19580204", &s.pack.id,
    ]
    .iter()
    .map(|w| w.as_bytes().to_vec())
    .collect();
    for f in 0..5 {
        for l in 0..4 {
            planted.extend(
                s.pack
                    .segment(f, l)
                    .map(|b| b[b.len() / 2..][..24.min(b.len() / 2)].to_vec()),
            );
        }
        planted.push(plain(SHAPE, f + 1)[..24].to_vec());
    }
    let mut scanned = 0;
    let mut folders = vec![s.p.dir.clone()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            if file.path().is_dir() {
                folders.push(file.path());
                continue;
            }
            let bytes = std::fs::read(file.path()).unwrap();
            scanned += bytes.len();
            assert!(
                !file.file_name().to_string_lossy().contains("1.2.826"),
                "a UID in a name"
            );
            for w in &planted {
                assert!(
                    !bytes.windows(w.len()).any(|b| b == w),
                    "{:?} is readable in {:?}",
                    w,
                    file.file_name()
                );
            }
        }
    }
    assert!(scanned > s.pack.bytes.len(), "the images are there");
    drop(ws);
    // What a revoked workstation does.
    Profile::at(&s.p.dir).unwrap().destroy().unwrap();
    assert!(!s.p.dir.join("images").exists() && !s.p.dir.join("images.db").exists());
}

#[test]
fn a_series_of_four_thousand_frames_opens_fast_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let mut pack = pack(SHAPE, 1..2, &mary());
    let one = pack.index.frames[0].clone();
    for n in 2..=4_000_u32 {
        let mut f = one.clone();
        f.sop = format!("1.2.826.0.1.77.1.{n}");
        f.display = image_server::beside(n, &mary());
        pack.index.frames.push(f);
    }
    let server = serve(&p, vec![Arc::new(pack)]);
    server.with(|st| st.hold_at = Some(1 << 20));
    run(async {
        let ws = signed_in(&p).await;
        let since = Since::now();
        let first = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
        let first_ms = since.elapsed();
        let mut v = first.clone();
        while v.growing {
            while !ws.image_held(v.view).unwrap().0.grown {
                assert!(since.elapsed() < LIMIT);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let old = v.view;
            v = ws.image_open("p1", STUDY, SERIES, 512).await.unwrap();
            ws.image_close(old);
        }
        let all_ms = since.elapsed();
        assert_eq!(v.frames.len(), 4_000);
        let since = Since::now();
        for n in 0..100 {
            ws.image_center(v.view, n * 40, 30.0, 512).unwrap();
        }
        let center = since.elapsed() / 100;
        let json = serde_json::to_vec(&v).unwrap().len();
        println!(
            "first {first_ms:?} ({} frames), all {all_ms:?}, center {center:?}, view {json} bytes",
            first.frames.len()
        );
        assert!(center < Duration::from_millis(50));
    });
}
