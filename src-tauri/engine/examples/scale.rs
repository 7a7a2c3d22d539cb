//! How the essentials of very many patients behave on a workstation: applying the snapshot, the emergency card, the
//! search. `cargo run --release -p vitrine-engine --example scale -- 1000000`; prints one JSON object.
//!
//! The cards are of the shape and size the synthetic hospital gives, with made-up names; no server is needed.

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::{Planted, block, options, pin, plant};
use vitrine_engine::clock::Stopwatch;
use vitrine_engine::{BreakGlass, Identity, Workstation, cache};
use vitrine_store_sqlcipher::workstation::{Incoming, Prepared};

const FAMILIES: [&str; 40] = [
    "Vorandale",
    "Marlow",
    "Marlowe",
    "Nakamura",
    "Linavequist",
    "Daliwen",
    "Doveloglu",
    "Jorinberg",
    "Horváth",
    "Holisova",
    "Eskaveson",
    "Ng",
    "Li",
    "Abara",
    "O'Marrow",
    "Järvinen",
    "Łęcka",
    "Đặng",
    "Søndergaard",
    "Yilmaz",
    "Nevundo",
    "Yarinian",
    "Meleloglu",
    "Nevisford",
    "Lee",
    "Dalaova",
    "Okelwala",
    "Castelano",
    "Lindoku",
    "Ostrava",
    "Yarelson",
    "Fontamura",
    "Esketham",
    "Melobrand",
    "Tovikar",
    "Brevandez",
    "Hollowene",
    "Sulinoglu",
    "Gariquist",
    "Wenabara",
];
const GIVEN: [&str; 24] = [
    "Mirembe", "Joan", "Joanne", "Ada", "Dmytro", "Saoirse", "Ed", "Aïcha", "Zoë", "Tomás", "Noor",
    "Thandiwe", "Stellan", "Minh", "Bronwyn", "Xavi", "Zoltán", "Amara", "Rory", "Øystein", "Wei", "Mary",
    "John", "Ruben",
];

fn percentiles(mut ms: Vec<f64>) -> Value {
    ms.sort_by(f64::total_cmp);
    let at = |p: f64| ms[((ms.len() - 1) as f64 * p) as usize];
    json!({"n": ms.len(), "p50": at(0.5), "p99": at(0.99), "max": at(1.0)})
}

fn number(n: u64) -> u64 {
    // A bijection over ten million: record numbers in no order.
    (n * 7_368_787 + 1_234_567) % 10_000_000
}

/// One card with everything a sick patient's has, in which only the person is exchanged.
fn template() -> String {
    let mut card = Planted::new(
        "PATIENT",
        "FAMILY",
        "GIVEN",
        "NUMBER",
        "BORNBORNXX",
        Some("WARD9"),
    )
    .card();
    let labs = card.labs.items.clone();
    for label in ["Na", "Cr", "Hb", "INR", "Lactate", "Glucose", "WBC", "CRP"] {
        for lab in labs.iter().take(1) {
            let mut lab = lab.clone();
            label.clone_into(&mut lab.label);
            card.labs.items.push(lab);
        }
    }
    let medicines = card.medications.items.clone();
    for name in [
        "insulin glargine",
        "amiodarone",
        "amlodipine",
        "bisoprolol",
        "simvastatin",
    ] {
        for m in &medicines {
            let mut m = m.clone();
            name.clone_into(&mut m.name);
            card.medications.items.push(m);
        }
    }
    serde_json::to_string(&card).expect("a card is JSON")
}

/// One patient with very many results, opened from the cache.
fn record(n: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let p = plant(dir.path(), &support::people());
    let codes = [
        ("2823-3", "Potassium", "mmol/L"),
        ("2160-0", "Creatinine", "umol/L"),
        ("718-7", "Haemoglobin", "g/L"),
        ("8867-4", "Heart rate", "/min"),
        ("2708-6", "Oxygen saturation", "%"),
    ];
    let body = |i: usize| {
        let (code, name, unit) = codes[i % codes.len()];
        let (d, h, m) = (1 + i / 1_440 % 28, i / 60 % 24, i % 60);
        let month = 1 + i / (1_440 * 28) % 12;
        format!(
            r#"{{"resourceType":"Observation","id":"h{i:06}","meta":{{"versionId":"1","lastUpdated":"2026-11-20T08:00:00Z"}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{name}"}}],"text":"{name}"}},"subject":{{"reference":"Patient/p1"}},"encounter":{{"reference":"Encounter/e1"}},"effectiveDateTime":"2025-{month:02}-{d:02}T{h:02}:{m:02}:00Z","issued":"2025-{month:02}-{d:02}T{h:02}:{m:02}:30Z","valueQuantity":{{"value":{}.{},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"referenceRange":[{{"low":{{"value":3.5,"unit":"{unit}"}},"high":{{"value":5.1,"unit":"{unit}"}}}}]}}"#,
            3 + i % 4,
            i % 10
        )
    };
    let resources: Vec<(String, String)> = (0..n)
        .map(|i| (format!("Observation/h{i:06}"), body(i)))
        .collect();
    support::give_resources(&p, "lee", pin("lee"), "p1", &resources);
    let ws = Workstation::open(&p.dir, options()).expect("open");
    block(ws.sign_in("lee", pin("lee"))).expect("sign in");
    let ms = (0..5)
        .map(|_| {
            let w = Stopwatch::start();
            let v = block(ws.chart("p1")).expect("chart");
            assert_eq!(v.resources as usize, n);
            w.ms()
        })
        .collect();
    println!("{:#}", json!({"resources": n, "chart_ms": percentiles(ms)}));
}

fn main() {
    if let Some(n) = std::env::args()
        .nth(2)
        .filter(|_| std::env::args().nth(1).as_deref() == Some("record"))
    {
        return record(n.parse().expect("a number"));
    }
    let n: u64 = std::env::args()
        .nth(1)
        .and_then(|a| a.parse().ok())
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("a folder");
    let p = plant(dir.path(), &support::people());
    let template = template();
    let e = support::essentials(&p);
    let now = vitrine_engine::clock::Clock::new().wall().0;
    let watch = Stopwatch::start();
    e.begin("ess:site", "epoch-1", 9, 0).expect("begin");
    let mut longest = 0.0_f64;
    for from in (0..n).step_by(2_000) {
        let bodies: Vec<(String, String)> = (from..(from + 2_000).min(n))
            .map(|i| {
                let id = format!("s{i:07}");
                let family = FAMILIES[(i % 40) as usize];
                let body = template
                    .replace("PATIENT", &id)
                    .replace(
                        "FAMILY",
                        &if i % 3 == 0 {
                            family.to_owned()
                        } else {
                            format!("{family}{}", number(i) % 5_000)
                        },
                    )
                    .replace("GIVEN", GIVEN[(number(i) % 24) as usize])
                    .replace("NUMBER", &format!("{:08}", number(i) + 10_000_000))
                    .replace(
                        "BORNBORNXX",
                        &format!("{}-{:02}-{:02}", 1930 + i % 90, 1 + i % 12, 1 + i % 28),
                    );
                (id, body)
            })
            .collect();
        let part = Stopwatch::start();
        let half = bodies.len() / 2;
        let ready = |b: &[(String, String)]| -> Vec<Prepared> {
            b.iter()
                .map(|(key, body)| {
                    let terms = cache::card_words(body.as_bytes());
                    Prepared::new(&Incoming {
                        key,
                        ver: 1,
                        version: None,
                        body: Some(body.as_bytes()),
                        terms: &terms,
                    })
                })
                .collect()
        };
        let items = std::thread::scope(|s| {
            let rest = s.spawn(|| ready(&bodies[half..]));
            let mut all = ready(&bodies[..half]);
            all.extend(rest.join().expect("preparing"));
            all
        });
        e.stage("ess:site", &items).expect("stage");
        longest = longest.max(part.ms());
    }
    let swap = Stopwatch::start();
    e.finish("ess:site", "epoch-1", 9, 0).expect("finish");
    let swap_ms = swap.ms();
    let apply_s = watch.ms() / 1_000.0;
    e.seen(&[("ess:site".to_owned(), 9)], now).expect("seen");
    drop(e);
    let bytes: u64 = ["essentials.db", "essentials.db-wal"]
        .iter()
        .filter_map(|f| std::fs::metadata(p.dir.join(f)).ok())
        .map(|m| m.len())
        .sum();

    let opened = Stopwatch::start();
    let ws = Workstation::open(
        &p.dir,
        vitrine_engine::Options {
            idle_lock: Duration::from_secs(3_600),
            ..options()
        },
    )
    .expect("open");
    let cold = opened.ms();
    let token = block(ws.identify("lee", pin("lee"))).expect("identify");
    let glass = |patient: String| BreakGlass {
        patient,
        reason: "1".into(),
        words: None,
        identity: Identity::Token(token.as_str().into()),
    };
    let first = Stopwatch::start();
    block(ws.break_glass(glass(format!("s{:07}", n / 2)))).expect("card");
    let first_ms = first.ms();
    let cards = (0..2_000_u64)
        .map(|i| {
            let asked = glass(format!("s{:07}", number(i * 31) % n));
            let w = Stopwatch::start();
            block(ws.break_glass(asked)).expect("card");
            w.ms()
        })
        .collect();
    let mut searches = serde_json::Map::new();
    for (name, query) in [
        ("two letters", "Li"),
        ("prefix", "mar"),
        ("family and given", "marlow joan"),
        ("rare", "vorandale4321"),
        ("mrn", "12345678"),
        ("mrn prefix", "1234"),
        ("birth date", "12mar64"),
        ("year", "1964"),
        ("one letter", "s"),
        ("nothing", "zzzz"),
        ("common pair", "ng jo"),
    ] {
        let mut rows = 0;
        let ms = (0..100)
            .map(|_| {
                let w = Stopwatch::start();
                rows = block(ws.emergency_search(&token, query))
                    .expect("search")
                    .rows
                    .len();
                w.ms()
            })
            .collect();
        let mut v = percentiles(ms);
        v["rows"] = rows.into();
        searches.insert(name.to_owned(), v);
    }
    let out = json!({
        "patients": n, "card_json_bytes": template.len(),
        "snapshot": {"seconds": apply_s, "items_per_s": n as f64 / apply_s, "longest_part_ms": longest, "swap_ms": swap_ms},
        "mib": bytes as f64 / 1_048_576.0, "mib_per_1k": bytes as f64 / 1_048_576.0 / (n as f64 / 1_000.0),
        "open_ms": cold, "card_first_ms": first_ms, "card_ms": percentiles(cards), "search_ms": searches,
    });
    println!("{out:#}");
}
