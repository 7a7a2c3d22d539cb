//! The audit log against its owner, who has every key: rows, hashes, heads, salts and the log itself are made anew after
//! each change. Without a witness nothing shows; with one every change is found with its chain and first bad row.

use sha2::{Digest, Sha256};
use vitrine_access::chain::{Head, Row, Verifier};
use vitrine_access::tree::book::{
    Book, Compare, Line, Moved, Salt, Seen, WitnessFault, check, leaf_of, moved_line,
};
use vitrine_access::tree::note::{Checkpoint, b64};
use vitrine_access::tree::root;

const KEY: [u8; 32] = [5; 32];
const ORIGIN: &str = "vitrine-audit/server/1";
const CASES: u64 = 4_000;

/// The owner's: whoever has it signs whatever they like.
fn sign(text: &[u8]) -> Vec<u8> {
    let half = Sha256::digest([b"secret", text].concat());
    [half, half].concat()
}
fn verifies(text: &[u8], signature: &[u8]) -> bool {
    sign(text) == signature
}

/// xorshift64*
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// A batch of the log: chain and how far it goes.
type Batch = Vec<(usize, u64)>;

#[derive(Clone)]
struct World {
    /// Bodies by chain.
    chains: Vec<(String, Vec<String>)>,
    batches: Vec<Batch>,
    fresh: u8,
}

fn salt(chain: &str, seq: u64, fresh: u8) -> Salt {
    let h = Sha256::digest(format!("{fresh} {chain} {seq}"));
    h[..16].try_into().unwrap()
}

impl World {
    fn honest(dice: &mut Dice) -> Self {
        let n = 1 + usize::try_from(dice.roll(3)).unwrap();
        let mut w = Self {
            chains: (0..n).map(|c| (format!("chain-{c}"), Vec::new())).collect(),
            batches: Vec::new(),
            fresh: 0,
        };
        for _ in 0..1 + dice.roll(5) {
            w.grow(dice);
        }
        w
    }
    /// Rows come, and a checkpoint is made.
    fn grow(&mut self, dice: &mut Dice) {
        for (_, rows) in &mut self.chains {
            for _ in 0..1 + dice.roll(6) {
                rows.push(format!("{{\"n\":{}}}", dice.roll(1 << 30)));
            }
        }
        self.batches.push(
            self.chains
                .iter()
                .enumerate()
                .map(|(c, (_, rows))| (c, rows.len() as u64))
                .collect(),
        );
    }
    /// Every hash as it must be for these bodies.
    fn rows(&self, chain: usize) -> Vec<Row> {
        let mut head = Head::EMPTY;
        self.chains[chain]
            .1
            .iter()
            .map(|body| {
                let prev = head.hash;
                head = head.after(body.as_bytes());
                Row {
                    seq: head.seq,
                    prev,
                    hash: head.hash,
                    body: body.clone(),
                }
            })
            .collect()
    }
    /// The log for these rows, with a checkpoint after each batch.
    fn log(&self) -> (Book, Vec<Line>) {
        let (mut book, mut lines) = (Book::new(), Vec::new());
        let rows: Vec<Vec<Row>> = (0..self.chains.len()).map(|c| self.rows(c)).collect();
        for batch in &self.batches {
            let (mut moved, from) = (Vec::new(), book.hashes().len());
            for (c, last) in batch {
                let name = &self.chains[*c].0;
                let (first, last) = (book.rows(name) + 1, (*last).min(rows[*c].len() as u64));
                if last < first {
                    continue;
                }
                for row in &rows[*c][usize::try_from(first - 1).unwrap()..usize::try_from(last).unwrap()] {
                    assert!(book.push(name, row.seq, row.hash, salt(name, row.seq, self.fresh)));
                }
                let hash = b64(&rows[*c][usize::try_from(last - 1).unwrap()].hash);
                moved.push(Moved {
                    chain: name.clone(),
                    first,
                    last,
                    hash,
                });
            }
            let c = Checkpoint {
                origin: ORIGIN.into(),
                size: book.hashes().len() as u64,
                root: root(book.hashes()),
                more: vec![moved_line(&moved)],
            };
            lines.push(Line {
                note: c.sealed(&KEY, &sign(c.text().as_bytes())),
                at: "2026-11-21T07:35:02.007Z".into(),
                moved,
                leaves: Some(b64(&book.hashes()[from..].concat())),
            });
        }
        (book, lines)
    }
    /// What the server itself checks: each chain in itself and against its head, and the log against the rows.
    fn whole_by_itself(&self) -> bool {
        let (book, lines) = self.log();
        let chains_hold = (0..self.chains.len()).all(|c| {
            let rows = self.rows(c);
            let head = rows.last().map(|r| Head {
                seq: r.seq,
                hash: r.hash,
            });
            let (mut v, mut with_log) = (Verifier::new(head), Compare::new(&book, &self.chains[c].0));
            rows.iter()
                .all(|r| v.push(r).is_ok() && with_log.push(r.seq, &r.hash).is_ok())
                && v.finish().is_ok()
                && with_log.finish().is_ok()
        });
        let newest = lines.last().unwrap().open(&KEY, verifies).unwrap();
        chains_hold && newest.checkpoint.root == root(book.hashes())
    }
}

fn seen(lines: &[Line]) -> Vec<(usize, Seen)> {
    lines
        .iter()
        .enumerate()
        .map(|(i, l)| {
            let text = serde_json::to_string(l).unwrap();
            (i + 1, Line::parse(&text).unwrap().open(&KEY, verifies).unwrap())
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crime {
    Edit,
    Delete,
    Insert,
    Reorder,
    Truncate,
    /// The rows after a point are others, some fewer or more.
    Fork,
    /// An older copy of everything, on which work went on.
    RollBack,
}
const CRIMES: [Crime; 7] = [
    Crime::Edit,
    Crime::Delete,
    Crime::Insert,
    Crime::Reorder,
    Crime::Truncate,
    Crime::Fork,
    Crime::RollBack,
];

/// Commits it and gives the chain and the first bad row of each chain that is touched.
fn commit(w: &mut World, crime: Crime, dice: &mut Dice) -> Vec<(String, u64)> {
    let c = usize::try_from(dice.roll(w.chains.len() as u64)).unwrap();
    let before = w.clone();
    let rows = &mut w.chains[c].1;
    let at = usize::try_from(dice.roll(rows.len() as u64)).unwrap();
    match crime {
        Crime::Edit => rows[at] = "{\"n\":\"edited\"}".into(),
        Crime::Delete => {
            rows.remove(at);
        }
        Crime::Insert => rows.insert(at, "{\"n\":\"never was\"}".into()),
        Crime::Reorder => {
            let other = usize::try_from(dice.roll(rows.len() as u64)).unwrap();
            rows.swap(at, other);
        }
        Crime::Truncate => rows.truncate(at),
        Crime::Fork => {
            rows.truncate(at);
            for n in 0..dice.roll(8) {
                rows.push(format!("{{\"fork\":{n}}}"));
            }
        }
        Crime::RollBack => {
            let keep = usize::try_from(dice.roll(w.batches.len() as u64)).unwrap();
            let to = w.batches[..keep].last().cloned().unwrap_or_default();
            w.batches.truncate(keep);
            for (c, (_, rows)) in w.chains.iter_mut().enumerate() {
                let upto = to.iter().find(|(n, _)| *n == c).map_or(0, |(_, last)| *last);
                rows.truncate(usize::try_from(upto).unwrap());
            }
            for _ in 0..dice.roll(3) {
                w.grow(dice);
            }
            if w.batches.is_empty() {
                w.grow(dice);
            }
        }
    }
    let mut bad = Vec::new();
    for ((name, was), (_, is)) in before.chains.iter().zip(&w.chains) {
        if let Some(n) = (0..was.len()).find(|n| is.get(*n) != was.get(*n)) {
            bad.push((name.clone(), n as u64 + 1));
        }
    }
    bad
}

#[test]
fn whatever_the_owner_does_a_witness_names_the_first_bad_row_and_nobody_else_can() {
    let (mut found, mut by_server) = (0, 0);
    for n in 0..CASES {
        let dice = &mut Dice(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut w = World::honest(dice);
        let (book, lines) = w.log();
        let witness = seen(&lines);
        let borne = check(&book, ORIGIN, &witness).expect("an honest log");
        assert_eq!(
            (borne.lines, borne.size),
            (lines.len(), book.hashes().len() as u64)
        );
        let crime = CRIMES[usize::try_from(n).unwrap() % CRIMES.len()];
        let bad = commit(&mut w, crime, dice);
        if bad.is_empty() {
            // Two rows swapped with themselves, a fork at the end.
            assert!(
                matches!(crime, Crime::Reorder | Crime::Fork),
                "case {n}: {crime:?}"
            );
            continue;
        }
        if w.chains.iter().all(|(_, rows)| rows.is_empty()) {
            w.grow(dice);
        }
        // The witness's check off: chains, heads, log and signature agree with one another.
        by_server += u64::from(!w.whole_by_itself());
        let (book, _) = w.log();
        match check(&book, ORIGIN, &witness) {
            Err(WitnessFault::Row { chain, seq, by, .. }) => {
                assert!(
                    bad.contains(&(chain.clone(), seq)),
                    "case {n} {crime:?}: named {chain} {seq}, it is {bad:?}"
                );
                assert_eq!(seq, by, "case {n} {crime:?}");
            }
            other => panic!("case {n} {crime:?}: {other:?}, it is {bad:?}"),
        }
        found += 1;
        // New salts for everything: found all the same, not later than the checkpoint after the row.
        w.fresh = 1;
        match check(&w.log().0, ORIGIN, &witness) {
            Err(WitnessFault::Row { chain, seq, by, .. }) => {
                let (_, first) = bad.iter().find(|(c, _)| *c == chain).expect("the chain is named");
                assert!(seq <= *first, "case {n} {crime:?}: {seq} {by} {first}");
            }
            other => panic!("case {n} {crime:?} with new salts: {other:?}"),
        }
    }
    assert!(found > CASES * 8 / 10, "{found} crimes");
    assert_eq!(
        by_server, 0,
        "the server alone is not to find what its owner made whole again"
    );
}

#[test]
fn a_log_made_anew_around_the_same_rows_and_a_damaged_line_are_told_apart() {
    let dice = &mut Dice(77);
    let mut w = World::honest(dice);
    w.grow(dice);
    let (book, lines) = w.log();
    let witness = seen(&lines);
    w.fresh = 1;
    assert_eq!(
        check(&w.log().0, ORIGIN, &witness),
        Err(WitnessFault::Rewritten { line: 1 })
    );
    assert!(
        matches!(
            check(&book, ORIGIN, &witness[1..]),
            Err(WitnessFault::Line { line: 2, .. })
        ),
        "a line that is not there shows"
    );
    // Sent twice, in part again: no fault.
    let again: Vec<_> = witness
        .iter()
        .chain(&witness[..1])
        .chain(&witness[witness.len() - 1..])
        .cloned()
        .collect();
    check(&book, ORIGIN, &again).unwrap();
    // The log's name is another now: its rows are compared all the same.
    let borne = check(&book, "vitrine-audit/server/2", &witness).unwrap();
    assert_eq!(
        (borne.lines, borne.earlier[ORIGIN]),
        (0, book.hashes().len() as u64)
    );
    w.chains[0].1[0] = "{}".into();
    let fault = check(&w.log().0, "vitrine-audit/server/2", &witness).unwrap_err();
    assert!(
        matches!(&fault, WitnessFault::Row { line: 1, chain, seq: 1, .. } if chain == "chain-0"),
        "{fault:?}"
    );
}

#[test]
fn lines_without_leaves_are_enough_to_find_and_to_name_within_a_checkpoint() {
    let dice = &mut Dice(5);
    for _ in 0..200 {
        let mut w = World::honest(dice);
        let lines = w.log().1;
        let strip = |moved: bool| {
            let mut l = lines.clone();
            for line in &mut l {
                line.leaves = None;
                if !moved {
                    line.moved.clear();
                }
            }
            seen(&l)
        };
        check(&w.log().0, ORIGIN, &strip(true)).unwrap();
        check(&w.log().0, ORIGIN, &strip(false)).unwrap();
        w.chains[0].1[0] = "{}".into();
        let book = w.log().0;
        let Err(WitnessFault::Row { chain, seq, by, .. }) = check(&book, ORIGIN, &strip(true)) else {
            panic!("not found")
        };
        assert_eq!((chain.as_str(), seq, by), ("chain-0", 1, lines[0].moved[0].last));
        let Err(WitnessFault::Row { chain, seq, .. }) = check(&book, ORIGIN, &strip(false)) else {
            panic!("not found by the tree's hash alone")
        };
        assert_eq!((chain.as_str(), seq), ("chain-0", 1));
    }
}

#[test]
fn a_line_that_was_changed_does_not_open() {
    let dice = &mut Dice(9);
    let line = World::honest(dice).log().1.remove(0);
    line.open(&KEY, verifies).unwrap();
    let changed = |change: fn(&mut Line)| {
        let mut other = line.clone();
        change(&mut other);
        other.open(&KEY, verifies).unwrap_err()
    };
    assert!(changed(|l| l.moved[0].last += 1).contains("not those that were signed"));
    assert!(changed(|l| l.note = l.note.replacen("server", "sErver", 1)).contains("signed"));
    assert!(changed(|l| l.leaves = Some(String::new())).contains("as many leaves"));
    assert!(
        line.open(&[6; 32], verifies)
            .unwrap_err()
            .contains("this server's key")
    );
    assert!(Line::parse("<109>1 2026 host vitrine - - no object").is_err());
    assert_eq!(
        leaf_of("a", 1, &[0; 32], &[0; 16]),
        leaf_of("a", 1, &[0; 32], &[0; 16])
    );
    assert_ne!(
        leaf_of("a", 1, &[0; 32], &[0; 16]),
        leaf_of("a", 1, &[0; 32], &[1; 16])
    );
}
