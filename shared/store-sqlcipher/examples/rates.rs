//! Measures the server's store with the suite's projector: writing, single writes to a huge patient, cards, search.
//!
//! `cargo run --release --example rates -p vitrine-store-sqlcipher -- [PATIENTS] [RESOURCES_PER_PATIENT] [HUGE]
//! [PATIENTS_PER_BATCH]` prints one JSON object. A tool for whoever changes the store; the product's benchmarks are in `bench/`.
#![allow(
    clippy::disallowed_methods,
    reason = "measuring needs a clock, and the tasks are awaited"
)]

use std::sync::Arc;
use std::time::Instant;
use vitrine_access::action::{ReadCard, ReadChart, SearchPatients};
use vitrine_store::conformance::hospital::{Hospital, Note, NoteProjector, note, person, place, put};
use vitrine_store::{Page, SearchQuery, Store};
use vitrine_store_sqlcipher::{Key, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

const FAMILIES: [&str; 16] = [
    "Li", "Ng", "Lindgren", "Okafor", "Moreau", "Haddad", "Novak", "Silva", "Tanaka", "Weber", "Kowalska",
    "Ibrahim", "Petrov", "Larsen", "Mbeki", "Quispe",
];

fn percentile(sorted: &[f64], p: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

async fn timed(n: usize, mut run: impl AsyncFnMut(usize)) -> serde_json::Value {
    let mut ms = Vec::with_capacity(n);
    for i in 0..n {
        let at = Instant::now();
        run(i).await;
        ms.push(at.elapsed().as_secs_f64() * 1000.0);
    }
    ms.sort_by(f64::total_cmp);
    serde_json::json!({ "n": n, "p50_ms": percentile(&ms, 0.5), "p99_ms": percentile(&ms, 0.99), "max_ms": ms[n - 1] })
}

fn observation(patient: &str, n: usize) -> Note {
    let filler = format!(
        "http://loinc.org {n} Body temperature|{}|2026-01-01T00:00:00Z|encounter {}|final|laboratory|{}",
        n * 7919,
        n / 9,
        "category code system display value unit reference range interpretation ".repeat(8)
    );
    Note {
        slot: n.is_multiple_of(4).then(|| format!("lab:{}", n % 40)),
        order: i64::try_from(n).unwrap_or(0),
        keep: 1,
        ..note(patient, "", &filler)
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|a| a.parse::<usize>().expect("a number"));
    let mut next = |default| args.next().unwrap_or(default);
    let (patients, each, huge, together) = (next(400), next(100), next(20_000), next(1));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vitrine.db");
    let key = Key::new(Zeroizing::new([7; 32]));
    let store =
        SqlcipherStore::open(&path, key, Arc::new(NoteProjector), StoreOptions::default()).expect("opened");
    let h = Arc::new(Hospital::new(store.clone() as Arc<dyn Store>, 0));

    let at = Instant::now();
    let mut tasks = Vec::new();
    for lane in 0..4 {
        let h = h.clone();
        tasks.push(tokio::spawn(async move {
            let mut batch = Vec::new();
            for p in (lane..patients).step_by(4) {
                let id = format!("{:08x}-{p}", (p as u64).wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
                let names = format!("{} Name{} Given{}", FAMILIES[p % 16], p % 977, p / 16 % 313);
                let mut ops = vec![
                    person(
                        &id,
                        &names,
                        &format!("19{:02}-{:02}-{:02}", p % 90, p % 12 + 1, p % 28 + 1),
                        &format!("MRN-{p:07}"),
                    ),
                    place(&id, Some(["ED", "ICU", "W1"][p % 3]), &[]),
                ];
                ops.extend((0..each).map(|n| put(&format!("Observation/{id}-{n}"), &observation(&id, n))));
                batch.extend(ops);
                if batch.len() >= together * (each + 2) || p + 4 >= patients {
                    h.apply(std::mem::take(&mut batch)).await;
                }
            }
        }));
    }
    for t in tasks {
        t.await.expect("a lane");
    }
    let seconds = at.elapsed().as_secs_f64();
    let written = patients * (each + 2);
    let size = std::fs::metadata(&path).map_or(0, |m| m.len());
    eprintln!("{written} resources in {seconds:.1} s");

    let at = Instant::now();
    for part in 0..huge / 500 {
        let ops = (0..500).map(|n| {
            put(
                &format!("Observation/huge-{}", part * 500 + n),
                &observation("huge", part * 500 + n),
            )
        });
        h.apply(ops.collect()).await;
    }
    let huge_seconds = at.elapsed().as_secs_f64();
    let single_huge = timed(200, async |i| {
        h.apply(vec![put(
            &format!("Observation/one-{i}"),
            &observation("huge", huge + i * 4),
        )])
        .await;
    })
    .await;
    let single = timed(200, async |i| {
        h.apply(vec![put(
            &format!("Observation/two-{i}"),
            &observation("small", i * 4),
        )])
        .await;
    })
    .await;
    let at = Instant::now();
    let storm: Vec<_> = (0..64)
        .map(|lane| {
            let h = h.clone();
            tokio::spawn(async move {
                for i in 0..50 {
                    h.apply(vec![put(
                        &format!("Observation/storm-{lane}-{i}"),
                        &observation("storm", i * 4 + 1),
                    )])
                    .await;
                }
            })
        })
        .collect();
    for t in storm {
        t.await.expect("a lane");
    }
    let storm_per_s = 3200.0 / at.elapsed().as_secs_f64();
    let card = timed(1000, async |_| {
        let permit = h.client::<ReadCard>(Some("huge"));
        let sealed = h.store.card(&permit).await.expect("card");
        h.open(&permit, sealed).await;
    })
    .await;
    let chart = timed(20, async |_| {
        let permit = h.client::<ReadChart>(Some("huge"));
        let page = Page {
            after: None,
            limit: 500,
        };
        let sealed = h.store.everything(&permit, page).await.expect("page");
        drop(sealed);
    })
    .await;
    let mut search = serde_json::Map::new();
    for text in [
        "li",
        "l",
        "lindgren name12",
        "mrn-0000042",
        "1949",
        "name1 given1",
        "gi",
    ] {
        let took = timed(50, async |_| {
            let permit = h.client::<SearchPatients>(None);
            let query = SearchQuery {
                text: text.to_owned(),
                by: vitrine_store::SearchBy::Words,
                limit: 50,
            };
            drop(h.store.search(&permit, &query).await.expect("search"));
        });
        search.insert(text.to_owned(), took.await);
    }
    let at = Instant::now();
    let report = store.verify_audit().await.expect("the chain is whole");
    let verify_per_s = report.rows as f64 / at.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "resources": written, "resources_per_s": written as f64 / seconds,
            "bytes_per_resource": size as f64 / written as f64,
            "huge": { "resources": huge, "per_s": huge as f64 / huge_seconds },
            "single_write_huge": single_huge, "single_write_small": single,
            "single_writes_64_lanes_per_s": storm_per_s,
            "card_with_audit": card, "chart_page_500": chart, "search": search, "audit_rows_verified_per_s": verify_per_s,
        })
    );
}
