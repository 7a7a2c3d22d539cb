//! The audit log against whoever owns its database: each of many random changes is found, and the row is named.
//!
//! `VITRINE_MUTATIONS`: how many (600 unless it says otherwise). Changes are of what lies on disk: any byte of a packed row
//! or of a hash, rows deleted, put in another order, cut off, forked, what the numbers in rows stand for, the index
//! alone, and the whole file put back. `VITRINE_MUTATION_SEED`: where the dice begin.
//!
//! What is the first bad row is not asked of what is tested: it is where the rows as they read now differ from those that
//! were written. An owner who computes every hash anew is found by the log over all chains, as `audit verify` does.

mod day;

use day::{Dice, device, record, row};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use vitrine_access::chain::{Head, Row, Verifier};
use vitrine_access::tree::book::{Book, Compare};
use vitrine_store::audit_pack::Reader;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector};
use vitrine_store::{AuditLog as _, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SealState, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const PATIENTS: u64 = 30;
const SERVER_ROWS: u64 = 90;
/// Rows of each workstation that uploaded.
const DEVICE_ROWS: u64 = 25;
/// Entries of the index: chain · 2^40 + row.
const SEQ_BITS: u32 = 40;

fn key() -> Key {
    Key::new(Zeroizing::new([7; 32]))
}

fn open(path: &Path) -> Arc<SqlcipherStore> {
    SqlcipherStore::open(path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap()
}

type Chains = BTreeMap<String, Vec<Row>>;

/// All rows as they read now.
async fn everything(h: &Hospital, names: &[String]) -> Chains {
    let mut out = Chains::new();
    for name in names {
        let rows = h.store.rows(&h.operator(), name, 0, usize::MAX).await.unwrap();
        out.insert(name.clone(), rows.into_iter().map(|r| r.row).collect());
    }
    out
}

/// Where they differ first from what was written, the server's chain before those of workstations.
fn first_difference(was: &Chains, is: &Chains, names: &[String]) -> Option<(String, u64)> {
    names.iter().find_map(|name| {
        let (was, is) = (&was[name], &is[name]);
        let same = was.iter().zip(is).take_while(|(a, b)| a == b).count();
        (was.len().max(is.len()) > same).then(|| (name.clone(), same as u64 + 1))
    })
}

/// What `verify_audit` names: chain and row.
fn named(found: &StoreError) -> Option<(String, u64)> {
    let text = found.to_string();
    let number = |after: &str| {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    match found {
        StoreError::Chain(fault) => Some(("server".to_owned(), fault.first_bad())),
        StoreError::Refused(_) => {
            let row = number(text.split_once("row ")?.1)?;
            let chain = match text.strip_prefix("audit of device ") {
                Some(rest) => rest.split_once(':')?.0,
                None => text.split_once("of chain ")?.1.split_once(':')?.0,
            };
            // A row of no chain that there is.
            let chain = if chain == "that is not there" { "" } else { chain };
            Some((chain.to_owned(), row))
        }
        _ => None,
    }
}

/// What an owner does who leaves nothing that the database could tell: found by the log over all chains alone.
fn by_the_log(book: &Book, is: &Chains, names: &[String]) -> Option<(String, u64)> {
    names.iter().find_map(|name| {
        let (mut verifier, mut compare) = (Verifier::new(None), Compare::new(book, name));
        for row in &is[name] {
            let bad = compare.push(row.seq, &row.hash).err().map(|(seq, _)| seq);
            let torn = verifier.push(row).err().map(|f| f.first_bad());
            if let Some(seq) = bad.into_iter().chain(torn).min() {
                return Some((name.clone(), seq));
            }
        }
        compare.finish().err().map(|(seq, _)| (name.clone(), seq))
    })
}

const KEPT: [&str; 6] = [
    "audit",
    "device_audit",
    "audit_word",
    "audit_find",
    "audit_action",
    "device",
];

/// The file in the hands of its owner: no trigger, and a copy of each table to put it back.
fn owned(path: &Path) -> Connection {
    let conn = cipher::open(path, &key(), &OpenOptions::default()).unwrap();
    let triggers: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        conn.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    for table in KEPT {
        conn.execute_batch(&format!("CREATE TABLE keep_{table} AS SELECT * FROM {table}"))
            .unwrap();
    }
    conn.execute_batch(
        "CREATE TABLE keep_patient AS SELECT pid, id FROM patient; CREATE TABLE keep_resource AS SELECT rid, kind, id FROM resource;
         PRAGMA synchronous = OFF;",
    )
    .unwrap();
    conn
}

fn put_back(conn: &Connection) {
    let mut sql = "BEGIN IMMEDIATE;".to_owned();
    for table in KEPT {
        sql += &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM keep_{table};");
    }
    sql += "UPDATE patient SET id = 'away-' || pid; UPDATE patient SET id = (SELECT k.id FROM keep_patient k WHERE k.pid = patient.pid);
            UPDATE resource SET id = 'away-' || rid WHERE id <> (SELECT k.id FROM keep_resource k WHERE k.rid = resource.rid);
            UPDATE resource SET (kind, id) = (SELECT k.kind, k.id FROM keep_resource k WHERE k.rid = resource.rid)
              WHERE id LIKE 'away-%';
            COMMIT;";
    conn.execute_batch(&sql).unwrap();
}

/// Which rows a change is to be found at.
enum Found {
    /// By verifying: where the rows differ first.
    Row,
    /// By verifying, in the index: at one of these rows.
    Index(BTreeSet<(String, u64)>),
    /// By the log over all chains: where the rows differ first.
    Log,
    /// Nothing was changed after all.
    Nothing,
}

struct Owner<'c> {
    conn: &'c Connection,
    was: &'c Chains,
    names: &'c [String],
    /// The name of each chain by its number in the index.
    chains: BTreeMap<i64, String>,
}

impl Owner<'_> {
    fn number(&self, sql: &str) -> i64 {
        self.conn.query_row(sql, [], |r| r.get(0)).unwrap()
    }

    /// A chain by its table and the condition for its rows.
    fn chain(&self, dice: &mut Dice) -> (String, &'static str, String) {
        let name = &self.names[dice.roll(self.names.len() as u64) as usize];
        if name == "server" {
            return (name.clone(), "audit", "1".to_owned());
        }
        let sql = format!("SELECT no FROM keep_audit_word WHERE text = '{name}'");
        (
            name.clone(),
            "device_audit",
            format!("device = {}", self.number(&sql)),
        )
    }

    fn flip(&self, table: &str, column: &str, condition: &str, dice: &mut Dice) -> bool {
        let sql = format!("SELECT {column} FROM {table} WHERE {condition}");
        let mut bytes: Vec<u8> = self
            .conn
            .query_row(&sql, [], |r| r.get::<_, Option<Vec<u8>>>(0))
            .unwrap()
            .unwrap_or_default();
        if bytes.is_empty() {
            return false;
        }
        let at = dice.roll(bytes.len() as u64) as usize;
        bytes[at] ^= 1 + dice.roll(255) as u8;
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {condition}");
        assert_eq!(self.conn.execute(&sql, [bytes]).unwrap(), 1);
        true
    }

    /// Writes a chain anew with every hash and the head beside it.
    fn rewrite(&self, table: &str, condition: &str, name: &str, texts: &[String]) {
        let mut head = Head::EMPTY;
        self.conn
            .execute(&format!("DELETE FROM {table} WHERE {condition}"), [])
            .unwrap();
        for text in texts {
            head = head.after(text.as_bytes());
            let body = [&[0_u8][..], text.as_bytes()].concat();
            let seq = i64::try_from(head.seq).unwrap();
            if name == "server" {
                let sql = "INSERT INTO audit (seq, hash, body) VALUES (?1, ?2, ?3)";
                self.conn
                    .execute(sql, params![seq, &head.hash[..], body])
                    .unwrap();
            } else {
                let sql = "INSERT INTO device_audit (device, seq, hash, body)
                           VALUES ((SELECT no FROM audit_word WHERE text = ?1), ?2, ?3, ?4)";
                self.conn
                    .execute(sql, params![name, seq, &head.hash[..], body])
                    .unwrap();
                let sql = "UPDATE device SET audit_seq = ?2, audit_hash = ?3 WHERE id = ?1";
                self.conn
                    .execute(sql, params![name, seq, &head.hash[..]])
                    .unwrap();
            }
        }
    }

    /// Rows of a block of the index.
    fn rows_of(&self, at: i64, place: i64, more: &[u8]) -> BTreeSet<(String, u64)> {
        let (mut places, mut r, mut last) = (vec![place], Reader(more), (at, place));
        while !r.0.is_empty() {
            let Some(head) = r.number() else { break };
            let next = if head & 1 == 0 {
                r.signed().map(|step| last.1.wrapping_add(step))
            } else {
                r.number()
                    .zip(r.number())
                    .map(|(chain, seq)| (chain << SEQ_BITS | seq).cast_signed())
            };
            let Some(next) = next else { break };
            last = (last.0 + i64::try_from(head >> 1).unwrap(), next);
            places.push(next);
        }
        let row = |p: i64| {
            let name = self.chains.get(&(p >> SEQ_BITS)).cloned();
            (
                name.unwrap_or_default(),
                (p & ((1 << SEQ_BITS) - 1)).cast_unsigned(),
            )
        };
        places.into_iter().map(row).collect()
    }

    /// One change; says what it was and how it is to be found.
    fn change(&self, dice: &mut Dice) -> (&'static str, Found) {
        let (name, table, whose) = self.chain(dice);
        let rows = self.was[&name].len() as u64;
        let seq = 1 + dice.roll(rows);
        let at = format!("{whose} AND seq = {seq}");
        let texts = || self.was[&name].iter().map(|r| r.body.clone()).collect::<Vec<_>>();
        let run = |sql: String| self.conn.execute_batch(&sql).unwrap();
        match dice.roll(20) {
            0..=4 => {
                self.flip(table, "body", &at, dice);
                ("a byte of a row", Found::Row)
            }
            5 => {
                self.flip(table, "hash", &at, dice);
                ("a byte of a hash", Found::Row)
            }
            6 => {
                run(format!("DELETE FROM {table} WHERE {at}"));
                ("a row deleted", Found::Row)
            }
            7 => {
                let other = 1 + (seq - 1 + 1 + dice.roll(rows - 1)) % rows;
                run(format!(
                    "UPDATE {table} SET seq = -1 WHERE {at}; UPDATE {table} SET seq = {seq} WHERE {whose} AND seq = {other};
                     UPDATE {table} SET seq = {other} WHERE {whose} AND seq = -1;"
                ));
                ("two rows in each other's place", Found::Row)
            }
            8 => {
                run(format!("DELETE FROM {table} WHERE {whose} AND seq >= {seq}"));
                ("the end cut off", Found::Row)
            }
            9 => {
                let of = self.number("SELECT count(*) FROM audit_word");
                let (a, b) = (1 + dice.roll(of as u64), 1 + dice.roll(of as u64));
                run(format!(
                    "UPDATE audit_word SET text = 'away' WHERE no = {a};
                     UPDATE audit_word SET text = (SELECT text FROM keep_audit_word WHERE no = {a}) WHERE no = {b};
                     UPDATE audit_word SET text = (SELECT text FROM keep_audit_word WHERE no = {b}) WHERE no = {a};"
                ));
                ("two words in each other's place", Found::Row)
            }
            10 => {
                let of = self.number("SELECT count(*) FROM audit_word");
                let no = 1 + dice.roll(of as u64);
                match dice.roll(3) {
                    0 => run(format!("DELETE FROM audit_word WHERE no = {no}")),
                    1 => run(format!(
                        "UPDATE audit_word SET text = text || 'x' WHERE no = {no}"
                    )),
                    _ => run(format!("UPDATE audit_word SET text = x'ff00' WHERE no = {no}")),
                }
                ("a word changed", Found::Row)
            }
            11 => {
                let (a, b) = (1 + dice.roll(PATIENTS), 1 + dice.roll(PATIENTS));
                run(format!(
                    "UPDATE patient SET id = 'away' WHERE pid = {a};
                     UPDATE patient SET id = (SELECT id FROM keep_patient WHERE pid = {a}) WHERE pid = {b};
                     UPDATE patient SET id = (SELECT id FROM keep_patient WHERE pid = {b}) WHERE pid = {a};"
                ));
                ("two patients in each other's place", Found::Row)
            }
            12 => {
                let of = self.number("SELECT count(*) FROM resource");
                let rid = 1 + dice.roll(of as u64);
                run(format!("UPDATE resource SET id = 'away-x' WHERE rid = {rid}"));
                ("the name of a resource", Found::Row)
            }
            13 | 14 => {
                let from = self.number("SELECT count(*) FROM audit_find");
                let n = dice.roll(from as u64);
                let sql = format!("SELECT term, at, place, more FROM audit_find LIMIT 1 OFFSET {n}");
                let (term, time, place, more) = self
                    .conn
                    .query_row(&sql, [], |r| {
                        let more: Option<Vec<u8>> = r.get(3)?;
                        Ok((
                            r.get::<_, i64>(0)?,
                            r.get::<_, i64>(1)?,
                            r.get::<_, i64>(2)?,
                            more,
                        ))
                    })
                    .unwrap();
                let more = more.unwrap_or_default();
                let block = format!("term = {term} AND at = {time} AND place = {place}");
                let mut rows = self.rows_of(time, place, &more);
                match dice.roll(5) {
                    0 => run(format!("DELETE FROM audit_find WHERE {block}")),
                    1 => run(format!("UPDATE audit_find SET at = at - 1 WHERE {block}")),
                    2 => {
                        run(format!("UPDATE audit_find SET place = place + 1 WHERE {block}"));
                        rows.extend(self.rows_of(time, place + 1, &more));
                    }
                    3 => {
                        let no = dice.roll(u64::from(u32::MAX)) as i32;
                        run(format!("UPDATE audit_find SET term = {no} WHERE {block}"));
                    }
                    _ if self.flip("audit_find", "more", &block, dice) => {
                        let sql = format!("SELECT more FROM audit_find WHERE {block}");
                        let now: Vec<u8> = self.conn.query_row(&sql, [], |r| r.get(0)).unwrap();
                        rows.extend(self.rows_of(time, place, &now));
                    }
                    _ => run(format!("DELETE FROM audit_find WHERE {block}")),
                }
                ("the index alone", Found::Index(rows))
            }
            15 => {
                let mut texts = texts();
                let n = seq as usize - 1;
                texts[n] = texts[n].replacen("\"at\":1", "\"at\":2", 1);
                self.rewrite(table, &whose, &name, &texts);
                ("a row edited by the owner", Found::Log)
            }
            16 => {
                let mut texts = texts();
                texts.remove(seq as usize - 1);
                self.rewrite(table, &whose, &name, &texts);
                ("a row deleted by the owner", Found::Log)
            }
            17 => {
                let mut texts = texts();
                let n = (seq as usize - 1).min(texts.len() - 2);
                texts.swap(n, n + 1);
                self.rewrite(table, &whose, &name, &texts);
                ("two rows swapped by the owner", Found::Log)
            }
            18 => {
                let mut texts = texts();
                texts.truncate(seq as usize - 1);
                self.rewrite(table, &whose, &name, &texts);
                ("the end cut off by the owner", Found::Log)
            }
            _ => {
                let mut texts = texts();
                for (n, text) in texts.iter_mut().enumerate().skip(seq as usize - 1) {
                    *text = format!("{{\"fork\":{n}}}");
                }
                texts.push("{\"fork\":1}".to_owned());
                self.rewrite(table, &whose, &name, &texts);
                ("a fork by the owner", Found::Log)
            }
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("a number"))
}

async fn filled(path: &Path) -> Vec<String> {
    let store = open(path);
    let h = Hospital::new(store.clone(), 0);
    record(&h, PATIENTS).await;
    let (mut dice, mut names) = (Dice(11), vec!["server".to_owned()]);
    for n in 0..SERVER_ROWS {
        store.append(row(n, PATIENTS, &mut dice)).await.unwrap();
    }
    for d in 0..2 {
        let mut head = Head::EMPTY;
        for n in 0..DEVICE_ROWS {
            let mut entry = row(1_000 + n, PATIENTS, &mut dice);
            entry.device = Some(device(d));
            let body = serde_json::to_string(&entry).unwrap();
            let prev = head.hash;
            head = head.after(body.as_bytes());
            let (seq, hash) = (head.seq, head.hash);
            let rows = vec![Row {
                seq,
                prev,
                hash,
                body,
            }];
            store.accept_device_rows(&device(d), rows).await.unwrap();
        }
        names.push(device(d).to_string());
    }
    names[1..].sort();
    names
}

#[tokio::test]
async fn every_mutation_is_found_and_named() {
    let (count, seed) = (
        setting("VITRINE_MUTATIONS", 600),
        setting("VITRINE_MUTATION_SEED", 1),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let names = filled(&path).await;
    let conn = owned(&path);
    let store = open(&path);
    let h = Hospital::new(store.clone(), 1_000_000);
    let was = everything(&h, &names).await;
    let mut book = Book::new();
    for (name, rows) in &was {
        for row in rows {
            assert!(book.push(name, row.seq, row.hash, [5; 16]));
        }
    }
    let chains = conn
        .prepare("SELECT no, name FROM audit_chain")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let owner = Owner {
        conn: &conn,
        was: &was,
        names: &names,
        chains,
    };
    let mut dice = Dice(seed);
    let (mut done, mut tried) = (BTreeMap::<&str, u64>::new(), 0);
    while done.values().sum::<u64>() < count {
        tried += 1;
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (what, mut how) = owner.change(&mut dice);
        conn.execute_batch("COMMIT").unwrap();
        let is = everything(&h, &names).await;
        let first = first_difference(&was, &is, &names);
        // Numbers that no row has may stand for anything: nothing the log says was changed.
        if first.is_none() && matches!(how, Found::Row) {
            how = Found::Nothing;
        }
        let verified = store.verify_audit().await;
        let said = verified.as_ref().err().and_then(named);
        match how {
            Found::Row => assert_eq!(said, first, "{what} ({tried}): {verified:?}"),
            Found::Index(rows) => {
                assert_eq!(first, None, "{what}");
                assert!(
                    said.as_ref().is_some_and(|s| rows.contains(s)),
                    "{what} ({tried}): {verified:?} is none of {rows:?}"
                );
            }
            Found::Log => {
                assert!(first.is_some(), "{what}");
                assert_eq!(by_the_log(&book, &is, &names), first, "{what} ({tried})");
            }
            Found::Nothing => assert!(verified.is_ok(), "{what} ({tried}): {verified:?}"),
        }
        if first.is_some() || said.is_some() {
            *done.entry(what).or_default() += 1;
        }
        put_back(&conn);
        if tried % 50 == 0 {
            let report = store.verify_audit().await.unwrap();
            assert!(report.indexed, "what was put back is whole");
        }
    }
    println!(
        "{} changes found and named of {tried} tried: {done:?}",
        done.values().sum::<u64>()
    );
    assert!(count < 500 || done.len() == 15, "{done:?}");
}

#[tokio::test]
async fn the_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let names = filled(&path).await;
    let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
    conn.execute(
        "DELETE FROM audit_find WHERE term IN (SELECT term FROM audit_find ORDER BY at DESC LIMIT 3)",
        [],
    )
    .unwrap();
    drop(conn);
    let store = open(&path);
    let h = Hospital::new(store.clone(), 1_000_000);
    let before = everything(&h, &names).await;
    let found = store.verify_audit().await.unwrap_err();
    assert!(
        named(&found).is_some() && found.to_string().contains("the index"),
        "{found}"
    );
    store.forget_audit_index().await.unwrap();
    let all = vitrine_store::audit_find::AuditQuery {
        limit: 1_000,
        ..Default::default()
    };
    assert!(
        matches!(
            store.find(&h.operator(), all.clone()).await,
            Err(StoreError::NotFoundYet { .. })
        ),
        "nothing is found rather than some"
    );
    assert!(!store.verify_audit().await.unwrap().indexed);
    while h.store.catch_up(7).await.unwrap() > 0 {}
    let report = store.verify_audit().await.unwrap();
    assert!(report.indexed);
    let rows = store.find(&h.operator(), all).await.unwrap().rows.len() as u64;
    assert_eq!(rows, report.rows + 2 * DEVICE_ROWS);
    assert_eq!(
        everything(&h, &names).await,
        before,
        "the rows are what they were"
    );
}

/// `VITRINE_ROLLBACKS`: how many (6 unless it says otherwise).
#[tokio::test]
async fn an_older_copy_of_the_file_is_found_and_named() {
    let count = setting("VITRINE_ROLLBACKS", 6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    filled(&path).await;
    let mut dice = Dice(setting("VITRINE_MUTATION_SEED", 1));
    for turn in 0..count {
        let head = folder.path().join("audit.head");
        let (old, old_head) = (std::fs::read(&path).unwrap(), std::fs::read(&head).unwrap());
        let store = open(&path);
        let before = store.verify_audit().await.unwrap().rows;
        for n in 0..1 + dice.roll(4) {
            store.append(row(n, PATIENTS, &mut dice)).await.unwrap();
        }
        drop(store);
        let (new, new_head) = (std::fs::read(&path).unwrap(), std::fs::read(&head).unwrap());
        assert_ne!(new_head, old_head);
        std::fs::write(&path, old).unwrap();
        let store = open(&path);
        assert_eq!(store.seal_state(), SealState::RolledBack, "turn {turn}");
        let found = store.verify_audit().await.unwrap_err();
        assert_eq!(
            named(&found),
            Some(("server".to_owned(), before + 1)),
            "turn {turn}: {found}"
        );
        drop(store);
        // As it was before the crime.
        for beside in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if beside.file_name().to_string_lossy().starts_with("audit.head") {
                std::fs::remove_file(beside.path()).unwrap();
            }
        }
        std::fs::write(&path, new).unwrap();
        std::fs::write(&head, new_head).unwrap();
        assert!(open(&path).verify_audit().await.is_ok(), "turn {turn}");
    }
}
