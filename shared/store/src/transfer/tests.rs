//! Filling and proving between two ends in memory, one of which is then tampered with.

use super::*;
use bytes::Bytes;
use std::sync::Mutex;

struct Given(Vec<Row>);

#[async_trait]
impl Gives for Given {
    async fn count(&self, _: Table) -> Result<u64, StoreError> {
        Ok(self.0.len() as u64)
    }
    async fn rows(&self, table: Table, after: Option<&Key>) -> Result<Vec<Row>, StoreError> {
        let after = self.0.iter().filter(|r| after.is_none_or(|a| table.key(r) > *a));
        Ok(after.take(3).cloned().collect())
    }
}

#[derive(Default)]
struct Held(Mutex<Vec<Row>>);

#[async_trait]
impl Takes for Held {
    fn kept(&self, _: Table, rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        Ok(rows)
    }
    async fn put(&self, _: Table, rows: Vec<Row>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(rows);
        Ok(())
    }
    async fn held(
        &self,
        table: Table,
        after: Option<&Key>,
        up_to: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let held = self.0.lock().unwrap();
        let within = held.iter().filter(|r| {
            let key = table.key(r);
            after.is_none_or(|a| key > *a) && up_to.is_none_or(|u| key <= *u)
        });
        Ok(within.take(limit).cloned().collect())
    }
}

const TABLE: Table = Table::DeviceAudit;

fn row(device: &str, seq: i64, body: &'static str) -> Row {
    vec![
        Cell::Text(device.to_owned()),
        Cell::Number(seq),
        Cell::Bytes(Bytes::from_static(&[7; 32])),
        Cell::Bytes(Bytes::from_static(body.as_bytes())),
    ]
}

fn rows() -> Vec<Row> {
    let devices = ["a", "b", "ba", "é"];
    devices
        .iter()
        .flat_map(|d| (1..=5).map(move |seq| row(d, seq, "body")))
        .collect()
}

async fn moved() -> (Given, Held) {
    let (from, to) = (Given(rows()), Held::default());
    let told = Mutex::new(0);
    let count = fill(&from, &to, TABLE, &|n| *told.lock().unwrap() += n)
        .await
        .unwrap();
    assert_eq!((count, *told.lock().unwrap()), (20, 20));
    (from, to)
}

async fn found(change: impl FnOnce(&mut Vec<Row>)) -> String {
    let (from, to) = moved().await;
    change(&mut to.0.lock().unwrap());
    let proof = prove(&from, &to, TABLE).await.unwrap();
    assert!(!proof.equal(), "{proof:?}");
    proof.difference.unwrap().to_string()
}

#[tokio::test]
async fn what_was_moved_is_equal() {
    let (from, to) = moved().await;
    let proof = prove(&from, &to, TABLE).await.unwrap();
    assert!(proof.equal(), "{proof:?}");
    assert_eq!((proof.given.rows, proof.held.rows), (20, 20));
    let none = prove(&Given(Vec::new()), &Held::default(), TABLE).await.unwrap();
    assert!(none.equal() && none.given.digest != proof.given.digest);
}

#[tokio::test]
async fn every_kind_of_difference_is_found_and_named() {
    let missing = found(|rows| drop(rows.remove(6))).await;
    assert_eq!(missing, "device_audit, device b, seq 2: is missing");
    let last = found(|rows| drop(rows.pop())).await;
    assert_eq!(last, "device_audit, device é, seq 5: is missing");
    let more = found(|rows| rows.insert(5, row("a", 6, "body"))).await;
    assert_eq!(more, "device_audit, device a, seq 6: is too many");
    let beyond = found(|rows| rows.push(row("é", 6, "body"))).await;
    assert_eq!(beyond, "device_audit, device é, seq 6: is too many");
    let changed = found(|rows| rows[11] = row("ba", 2, "bodz")).await;
    assert_eq!(changed, "device_audit, device ba, seq 2: differs in body");
    let shut = found(|rows| rows[0][3] = Cell::Unreadable).await;
    assert_eq!(shut, "device_audit, device a, seq 1: does not open");
    let first = found(|rows| {
        rows[3] = row("a", 4, "one");
        rows[15] = row("é", 1, "two");
    });
    assert_eq!(first.await, "device_audit, device a, seq 4: differs in body");
}

#[test]
fn a_digest_tells_rows_apart_that_only_look_alike() {
    let digest = |rows: &[Row]| {
        let mut h = blake3::Hasher::new();
        rows.iter().for_each(|r| feed(r, &mut h));
        h.finalize()
    };
    let text = |t: &str| Cell::Text(t.to_owned());
    let alike = [
        vec![vec![text("ab"), text("c")]],
        vec![vec![text("a"), text("bc")]],
        vec![vec![text("ab")], vec![text("c")]],
        vec![vec![Cell::Bytes(Bytes::from_static(b"ab")), text("c")]],
        vec![vec![text("ab"), Cell::Null, text("c")]],
        vec![vec![text("ab"), Cell::Unreadable, text("c")]],
    ];
    let digests: std::collections::HashSet<_> = alike.iter().map(|r| digest(r)).collect();
    assert_eq!(digests.len(), alike.len());
}
