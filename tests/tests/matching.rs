//! Other people's pairs: FEBRL, the synthetic people of the Australian National University with duplicates by known
//! errors, compared by `vitrine_clinical::matching`. The files live beside the repository (`../shared/data`, see its
//! MANIFEST.md) and are never part of it.
//!
//! The weights were fitted on people with an even number of sets 2 and 3 (`docs/matching_fit.py`). Sets 1 and 4 and the
//! people with an odd number were not looked at for it; they are counted apart.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::matching::{
    AUTO_LINK, Field, FieldScore, Grade, Identifier, IdentifierKind, Level, Normalised, Person, REVIEW,
    Score, score,
};

/// The folder of the sets; `None` (after saying so) where it is absent outside CI.
fn folder() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data/linkage/febrl"))
        .find(|dir| dir.join("dataset1.csv").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data beside the repository");
    }
    found
}

struct Record {
    /// Whose record it is: two with one number are of one person.
    who: u32,
    seen: Normalised,
}

/// The people of a set, with whose record each is. No field of FEBRL has a quote or a comma in it.
fn people(folder: &Path, files: &[&str]) -> Vec<(u32, Person)> {
    let mut out = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for line in text.lines().skip(1).filter(|l| !l.trim().is_empty()) {
            let parts: Vec<&str> = line.split(',').map(str::trim).collect();
            let [
                id,
                given,
                family,
                number,
                street,
                _,
                city,
                postcode,
                _,
                born,
                social,
            ] = parts.as_slice()
            else {
                panic!("{file}: {line}");
            };
            let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
            let person = Person {
                family: some(family),
                given: some(given).into_iter().collect(),
                birth_date: (born.len() == 8)
                    .then(|| PartialDate::new(format!("{}-{}-{}", &born[..4], &born[4..6], &born[6..]))),
                postcode: some(postcode),
                city: some(city),
                street: some(format!("{number} {street}").trim()),
                identifiers: vec![Identifier {
                    kind: IdentifierKind::National,
                    system: "soc_sec_id".to_owned(),
                    value: (*social).to_owned(),
                }],
                ..Person::default()
            };
            out.push((id.split('-').nth(1).unwrap().parse().unwrap(), person));
        }
    }
    out
}

fn records(folder: &Path, files: &[&str]) -> Vec<Record> {
    people(folder, files)
        .iter()
        .map(|(who, person)| Record {
            who: *who,
            seen: Normalised::of(person),
        })
        .collect()
}

/// Pairs that share a key, each once.
fn candidates(records: &[Record]) -> HashSet<(usize, usize)> {
    let mut blocks: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, r) in records.iter().enumerate() {
        for key in r.seen.keys() {
            blocks.entry(key.to_string()).or_default().push(i);
        }
    }
    let mut out = HashSet::new();
    for block in blocks.values() {
        for (n, a) in block.iter().enumerate() {
            out.extend(block[n + 1..].iter().map(|b| (*a, *b)));
        }
    }
    out
}

/// All pairs of one person.
fn truth(records: &[Record], of: impl Fn(u32) -> bool) -> HashSet<(usize, usize)> {
    let mut people: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, r) in records.iter().enumerate().filter(|(_, r)| of(r.who)) {
        people.entry(r.who).or_default().push(i);
    }
    let pairs = |all: &Vec<usize>| {
        let all = all.clone();
        (0..all.len()).flat_map(move |n| {
            let all = all.clone();
            (n + 1..all.len()).map(move |m| (all[n], all[m]))
        })
    };
    people.values().flat_map(pairs).collect()
}

const SETS: &[(&str, &[&str])] = &[
    ("1", &["dataset1.csv"]),
    ("2", &["dataset2.csv"]),
    ("3", &["dataset3.csv"]),
    ("4", &["dataset4a.csv", "dataset4b.csv"]),
];

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

#[test]
fn links_are_right_and_few_pairs_are_missed() {
    let Some(folder) = folder() else { return };
    for (set, files) in SETS {
        let records = records(&folder, files);
        let found = candidates(&records);
        let start = Instant::now();
        let scored: Vec<_> = found
            .iter()
            .map(|&(a, b)| ((a, b), records[a].seen.score(&records[b].seen)))
            .collect();
        let took = start.elapsed();
        let unseen = |who: u32| !who.is_multiple_of(2);
        let parts: &[(&str, &dyn Fn(u32) -> bool)] = match *set {
            "2" | "3" => &[("all", &|_| true), ("not fitted on", &unseen)],
            _ => &[("all, not fitted on", &|_| true)],
        };
        for (what, of) in parts {
            let pairs = truth(&records, of);
            let scored: Vec<_> = scored
                .iter()
                .filter(|((a, b), _)| of(records[*a].who) && of(records[*b].who))
                .collect();
            let count = |keep: &dyn Fn(&Score) -> bool| {
                let kept: Vec<_> = scored.iter().filter(|(_, s)| keep(s)).collect();
                let right = kept.iter().filter(|(pair, _)| pairs.contains(pair)).count();
                (share(right, kept.len()), share(right, pairs.len()), kept.len())
            };
            println!(
                "set {set}, {what}: {} records, {} pairs of one person, {} compared",
                records.len(),
                pairs.len(),
                scored.len()
            );
            println!("  threshold  precision  recall   pairs");
            for bits in (0..=50).step_by(5).chain([12]) {
                let (p, r, n) = count(&|s| s.total.0 >= bits * 100);
                let mark = if bits * 100 == AUTO_LINK.0 {
                    " (AUTO_LINK)"
                } else if bits * 100 == REVIEW.0 {
                    " (REVIEW)"
                } else {
                    ""
                };
                println!("  {bits:9}  {p:9.4}  {r:6.4}  {n:6}{mark}");
            }
            let (precision, linked, n) = count(&|s| s.grade == Grade::Certain);
            println!("  certain: precision {precision:.4}, recall {linked:.4}, {n} pairs");
            let (right, recall, n) = count(&|s| s.grade != Grade::CertainlyNot);
            println!("  certain and for review: precision {right:.4}, recall {recall:.4}, {n} pairs");
            let met = share(pairs.intersection(&found).count(), pairs.len());
            println!("  share a key: {met:.4}");
            assert!(precision >= 0.995, "set {set}, {what}: precision {precision}");
            assert!(recall >= 0.95, "set {set}, {what}: recall {recall}");
            assert!(met >= 0.98, "set {set}, {what}: keys {met}");
            // A link without a person is worth having only where it is made often.
            assert!(linked >= 0.5, "set {set}, {what}: {linked} linked");
        }
        println!(
            "  {:.0} comparisons a second",
            scored.len() as f64 / took.as_secs_f64()
        );
    }
}

/// The weights are of this code: levels are seen as often as the script that fitted them, which shares no code with it,
/// saw them.
#[test]
fn levels_are_seen_as_often_as_when_they_were_fitted() {
    let Some(folder) = folder() else { return };
    let mut seen: HashMap<(Field, Level), usize> = HashMap::new();
    for (_, files) in SETS.iter().filter(|(set, _)| matches!(*set, "2" | "3")) {
        let records = records(&folder, files);
        for (a, b) in truth(&records, |who| who.is_multiple_of(2)) {
            for f in records[a].seen.score(&records[b].seen).fields {
                *seen.entry((f.field, f.level)).or_default() += 1;
            }
        }
    }
    // What `docs/matching_fit.py` printed.
    for (field, level, fitted) in [
        (Field::National, Level::Exact, 3530),
        (Field::National, Level::Near, 363),
        (Field::National, Level::Differs, 290),
        (Field::Birth, Level::Exact, 3588),
        (Field::Birth, Level::Near, 65),
        (Field::Birth, Level::Swapped, 0),
        (Field::Birth, Level::Differs, 250),
        (Field::Family, Level::Exact, 2351),
        (Field::Family, Level::Near, 868),
        (Field::Family, Level::Swapped, 326),
        (Field::Family, Level::Sounds, 11),
        (Field::Family, Level::Differs, 515),
        (Field::Given, Level::Exact, 2405),
        (Field::Given, Level::Near, 613),
        (Field::Given, Level::Swapped, 326),
        (Field::Given, Level::Sounds, 11),
        (Field::Given, Level::Differs, 638),
        (Field::Street, Level::Exact, 2028),
        (Field::Street, Level::Near, 682),
        (Field::Street, Level::Part, 850),
        (Field::Street, Level::Differs, 400),
        (Field::Postcode, Level::Exact, 3190),
        (Field::Postcode, Level::Near, 872),
        (Field::Postcode, Level::Differs, 121),
        (Field::City, Level::Exact, 2786),
        (Field::City, Level::Near, 958),
        (Field::City, Level::Sounds, 7),
        (Field::City, Level::Differs, 307),
    ] {
        let found = seen.get(&(field, level)).copied().unwrap_or(0);
        println!("{field:?} {level:?}: {fitted} fitted, {found} here");
        // Nicknames, initials and double names are levels of their own here.
        let most = 12;
        assert!(
            found.abs_diff(fitted) <= most,
            "{field:?} {level:?}: {fitted} fitted, {found} here"
        );
    }
}

/// FEBRL has no twins, no father and son of one name, nobody who shares name and birth date by chance: they are made of
/// its people here, each alike in everything else and without a number. None is linked without a person, and all are
/// put before one.
#[test]
fn whoever_is_only_alike_is_never_linked() {
    let Some(folder) = folder() else { return };
    let mut people = people(&folder, &["dataset4a.csv"]);
    people.retain(|(_, p)| p.family.is_some() && !p.given.is_empty() && p.birth_date.is_some());
    let mut grades: BTreeMap<(&str, Grade), usize> = BTreeMap::new();
    for (at, (_, one)) in people.iter().enumerate() {
        let mut one = one.clone();
        one.identifiers.clear();
        let (_, other) = &people[(at + 1) % people.len()];
        let elsewhere = |p: &Person| Person {
            street: None,
            postcode: None,
            city: None,
            ..p.clone()
        };
        let mut alike = Vec::new();
        if one.given != other.given {
            alike.push((
                "twins",
                one.clone(),
                Person {
                    given: other.given.clone(),
                    ..one.clone()
                },
            ));
        }
        if one.birth_date != other.birth_date {
            alike.push((
                "father and son",
                one.clone(),
                Person {
                    birth_date: other.birth_date.clone(),
                    ..one.clone()
                },
            ));
        }
        alike.push((
            "one name and birth date, no address",
            one.clone(),
            elsewhere(&one),
        ));
        let nobody = Person {
            birth_date: Some(PartialDate::new("1900-01-01")),
            ..one.clone()
        };
        alike.push(("one name, default dates", nobody.clone(), nobody));
        for (what, a, b) in alike {
            let found = score(&a, &b);
            // Nobody calls twins John and Jack.
            let nickname = |f: &FieldScore| (f.field, f.level) == (Field::Given, Level::Nickname);
            if what == "twins" && found.fields.iter().any(nickname) {
                println!("not counted as twins: {:?}, {:?}", a.given, b.given);
                continue;
            }
            let grade = found.grade;
            *grades.entry((what, grade)).or_default() += 1;
        }
    }
    for ((what, grade), n) in &grades {
        println!("{what}: {n} {}", grade.code());
        assert!(
            matches!(grade, Grade::Probable | Grade::Possible),
            "{what}: {n} {}",
            grade.code()
        );
    }
    assert!(grades.values().sum::<usize>() > 15_000);
}
