//! The worker as a process of its own: this test starts itself again as one. What the sandbox forbids is tried inside it, and
//! once more without it, so that a sandbox which forbids nothing fails here.

use std::io::{stdin, stdout};
use std::path::PathBuf;
use std::time::Duration;
use vitrine_codec::{Failed, Job, Limits, Refused, Worker, confine, decode, serve, serve_with};

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("--as-worker") => worker(&args.next().unwrap()),
        Some("--as-probe") => probe(args.next().unwrap() == "confined"),
        // what a test runner asks first
        Some("--list") => {}
        _ => tests(),
    }
}

/// A worker, good or bad.
fn worker(kind: &str) {
    let limits = Limits {
        memory: 600 << 20,
        ..Limits::default()
    };
    if kind != "loose" {
        confine(&limits).unwrap();
    }
    let bad = |job: &Job| {
        match job.photometric.as_str() {
            "abort" => std::process::abort(),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "eat" => {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(vec![1; 16 << 20]);
                }
            }
            "babble" => {
                use std::io::Write;
                stdout().write_all(&[7; 4096]).unwrap();
            }
            "panic" => {
                let caught = std::panic::catch_unwind(|| panic!("name of a patient"));
                return Err(Refused::Fault(format!("panic caught: {}", caught.is_err())));
            }
            "die" => panic!("name of a patient"),
            "open" => {
                let opened =
                    std::fs::read("/etc/hostname").is_ok() || std::fs::read("/proc/self/status").is_ok();
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").is_ok();
                return Err(Refused::Fault(format!("open {opened} socket {socket}")));
            }
            _ => {}
        }
        decode(job)
    };
    serve_with(stdin().lock(), stdout().lock(), bad).unwrap();
}

/// Tries what must not work, and says what did.
fn probe(confined: bool) {
    // made before: what a compromised process would like to reach
    let own = std::env::current_exe().unwrap();
    if confined {
        confine(&Limits::default()).unwrap();
    }
    let mut did = Vec::new();
    let mut tried = |what: &str, worked: bool| did.push(format!("{what}={worked}"));
    tried("read", std::fs::read("/proc/self/cmdline").is_ok());
    tried("list", std::fs::read_dir("/").is_ok());
    let written = std::env::temp_dir().join(format!("vitrine-codec-probe-{}", std::process::id()));
    tried("write", std::fs::write(&written, "x").is_ok());
    let _ = std::fs::remove_file(&written);
    tried("udp", std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    tried("tcp", std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    #[cfg(unix)]
    tried("unix", std::os::unix::net::UnixStream::pair().is_ok());
    tried(
        "exec",
        std::process::Command::new(own).arg("--list").status().is_ok(),
    );
    tried("thread", std::thread::Builder::new().spawn(|| ()).is_ok());
    println!("{}", did.join(" "));
}

fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn job(photometric: &str) -> Job {
    Job {
        syntax: "1.2.840.10008.1.2.1".to_owned(),
        columns: 100,
        rows: 80,
        samples: 1,
        bits_allocated: 16,
        bits_stored: 12,
        high_bit: 11,
        photometric: photometric.to_owned(),
        bytes: (0..8000u16).flat_map(|v| (v % 4096).to_le_bytes()).collect(),
        ..Job::default()
    }
}

const LONG: Duration = Duration::from_secs(20);

fn tests() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: only Linux confines a process");
        return;
    }
    for (name, test) in [
        ("the sandbox forbids", the_sandbox_forbids as fn()),
        ("the sandbox holds in the worker", the_sandbox_holds_in_the_worker),
        ("a frame comes back exact", a_frame_comes_back_exact),
        ("ends are contained", ends_are_contained),
        (
            "what is refused keeps the worker",
            what_is_refused_keeps_the_worker,
        ),
    ] {
        test();
        eprintln!("test {name} ... ok");
    }
}

fn probed(how: &str) -> String {
    let out = std::process::Command::new(own())
        .args(["--as-probe", how])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn the_sandbox_forbids() {
    let confined = probed("confined");
    assert!(!confined.contains("true"), "the sandbox lets through: {confined}");
    // The same without it: each of these works, or the test above would prove nothing.
    let free = probed("free");
    assert!(!free.contains("false"), "does not work outside either: {free}");
    assert_eq!(confined.matches("false").count(), free.matches("true").count());
}

fn the_sandbox_holds_in_the_worker() {
    let asked = |kind| match Worker::new(&own(), ["--as-worker", kind]).run(job("open"), LONG) {
        Err(Failed::Refused(Refused::Fault(text))) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked("tight"), "open false socket false");
    assert_eq!(asked("loose"), "open true socket true");
}

fn a_frame_comes_back_exact() {
    let mut worker = Worker::new(&own(), ["--as-worker", "tight"]);
    let plain = decode(&job("MONOCHROME2")).unwrap();
    let done = worker.run(job("MONOCHROME2"), LONG).unwrap();
    assert_eq!(done.coded.pixels, vitrine_pixels::digest(&plain.bytes));
    assert_eq!((done.coded.low, done.coded.high), (0, 4095));
    assert_eq!((done.colour, done.lossy), (plain.colour, false));
    let segments: Vec<&[u8]> = done.coded.segments.iter().map(Vec::as_slice).collect();
    let back = vitrine_pixels::layers::decode(done.coded.shape, done.coded.coding, &segments).unwrap();
    assert!(back.exact && back.plain == plain.bytes);
    // a frame of many megabytes goes through pipes of 64 kB
    let large = Job {
        columns: 3000,
        rows: 2500,
        bytes: vec![3; 15_000_000],
        ..job("MONOCHROME1")
    };
    let id = worker.id();
    assert_eq!(worker.run(large, LONG).unwrap().coded.low, 0x303);
    assert_eq!(worker.id(), id);
}

fn ends_are_contained() {
    let mut worker = Worker::new(&own(), ["--as-worker", "tight"]);
    for (what, timed_out) in [
        ("abort", false),
        ("die", false),
        ("eat", false),
        ("babble", false),
        ("spin", true),
    ] {
        assert!(worker.run(job("MONOCHROME2"), LONG).is_ok(), "before {what}");
        let id = worker.id().unwrap();
        let limit = if timed_out {
            Duration::from_millis(300)
        } else {
            LONG
        };
        match worker.run(job(what), limit) {
            Err(Failed::TimedOut(_)) if timed_out => {}
            Err(Failed::Died(text)) if !timed_out => {
                assert!(!text.contains("patient"), "{text}");
                eprintln!("  {what}: {text}");
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(worker.id(), None);
        assert!(
            !PathBuf::from(format!("/proc/{id}/exe")).exists(),
            "{what}: it still runs"
        );
    }
    assert!(worker.run(job("MONOCHROME2"), LONG).is_ok());
    let mut none = Worker::new(&own().with_extension("absent"), [""; 0]);
    assert!(matches!(
        none.run(job("MONOCHROME2"), LONG),
        Err(Failed::NotStarted(_))
    ));
    // a program that is no worker
    let mut other = Worker::new(std::path::Path::new("/bin/cat"), [""; 0]);
    assert!(matches!(
        other.run(job("MONOCHROME2"), LONG),
        Err(Failed::Died(_))
    ));
}

fn what_is_refused_keeps_the_worker() {
    let mut worker = Worker::new(&own(), ["--as-worker", "tight"]);
    assert!(worker.run(job("MONOCHROME2"), LONG).is_ok());
    let id = worker.id();
    let video = Job {
        syntax: "1.2.840.10008.1.2.4.102".to_owned(),
        ..job("MONOCHROME2")
    };
    assert!(matches!(
        worker.run(video, LONG),
        Err(Failed::Refused(Refused::NoDecoder(_)))
    ));
    let short = Job {
        bytes: vec![0; 10],
        ..job("MONOCHROME2")
    };
    assert!(matches!(
        worker.run(short, LONG),
        Err(Failed::Refused(Refused::Disagrees { .. }))
    ));
    match worker.run(job("panic"), LONG) {
        Err(Failed::Refused(Refused::Fault(text))) => assert_eq!(text, "panic caught: true"),
        other => panic!("{other:?}"),
    }
    assert_eq!(worker.id(), id);
    assert!(serve(std::io::empty(), std::io::sink()).is_ok());
}
