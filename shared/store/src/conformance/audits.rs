//! Cases about the audit log.

use super::hospital::{Hospital, note, person, put};
use crate::{AuditChainRow, EnrolCode, NewDevice, Page, SearchQuery, StoreError};
use std::collections::BTreeSet;
use vitrine_access::AuditEntry;
use vitrine_access::action::{ReadAudit, ReadCard, ReadChart, SearchPatients};
use vitrine_access::chain::{ChainFault, Head, Row, Verifier};
use vitrine_clinical::{DeviceId, UtcMs, WardId};

async fn chain(h: &Hospital, name: &str) -> Vec<AuditChainRow> {
    let mut out = Vec::new();
    loop {
        let after = out.last().map_or(0, |r: &AuditChainRow| r.row.seq);
        let rows = h
            .store
            .rows(&h.operator::<ReadAudit>(), name, after, 9)
            .await
            .expect("rows");
        if rows.is_empty() {
            return out;
        }
        out.extend(rows);
    }
}

fn verify(rows: &[Row], sealed: Head) -> Result<Head, ChainFault> {
    let mut v = Verifier::new(Some(sealed));
    rows.iter().try_for_each(|r| v.push(r))?;
    v.finish()
}

pub(super) async fn writes_one_row_per_access(h: Hospital) {
    let mut ids = BTreeSet::new();
    let mut versions = Vec::new();
    for n in 0..10 {
        let permit = h.client(None);
        ids.insert(permit.access_id());
        let ops = vec![
            person("p1", &format!("ann {n}"), "1980", "1"),
            put("Flag/f", &note("p1", "flag", "same")),
        ];
        let (applied, receipt) = h.store.apply(&permit, h.batch(ops)).await.expect("applied");
        assert_eq!(receipt.access_id(), permit.access_id());
        versions.push(
            applied
                .changes
                .iter()
                .map(|c| (c.key.to_string(), c.version))
                .collect::<Vec<_>>(),
        );
        let permit = h.client::<ReadCard>(Some("p1"));
        ids.insert(permit.access_id());
        let card = h.store.card(&permit).await.expect("card");
        versions.push(vec![(
            "EmergencyCard/p1".to_owned(),
            card.disclosure().resources[0].version,
        )]);
        h.open(&permit, card).await.expect("a card");
        let permit = h.client::<SearchPatients>(None).noted("query", "ann");
        ids.insert(permit.access_id());
        let query = SearchQuery {
            text: "ann".to_owned(),
            by: crate::SearchBy::Words,
            limit: 5,
        };
        let hits = h.store.search(&permit, &query).await.expect("search");
        versions.push(
            hits.disclosure()
                .resources
                .iter()
                .map(|d| (d.key.to_string(), d.version))
                .collect(),
        );
        h.open(&permit, hits).await;
        let permit = h.client::<ReadChart>(Some("p1"));
        ids.insert(permit.access_id());
        let chart = h
            .store
            .everything(
                &permit,
                Page {
                    after: None,
                    limit: 10,
                },
            )
            .await
            .expect("chart");
        versions.push(
            chart
                .disclosure()
                .resources
                .iter()
                .map(|d| (d.key.to_string(), d.version))
                .collect(),
        );
        h.open(&permit, chart).await;
    }
    // Refused by the store: nothing happened, nothing was disclosed, no row.
    let permit = h.client::<ReadChart>(Some("p1"));
    let refused = h
        .store
        .everything(
            &permit,
            Page {
                after: Some("?".to_owned()),
                limit: 1,
            },
        )
        .await;
    assert!(refused.is_err());
    let rows = chain(&h, "server").await;
    let entries: Vec<AuditEntry> = rows
        .iter()
        .map(|r| serde_json::from_str(&r.row.body).expect("an entry"))
        .collect();
    assert_eq!(entries.len(), 40, "rows equal accesses");
    assert_eq!(entries.iter().map(|e| e.access_id).collect::<BTreeSet<_>>(), ids);
    let shown: Vec<Vec<(String, u64)>> = entries
        .iter()
        .map(|e| {
            e.disclosure
                .resources
                .iter()
                .map(|d| (d.key.to_string(), d.version))
                .collect()
        })
        .collect();
    assert_eq!(shown, versions, "with the ids and versions shown");
    assert!(entries.iter().all(|e| e.disclosure.patients.len() == 1));
    assert_eq!(h.store.counts().await.expect("counts").audit_rows, 40);
}

pub(super) async fn finds_every_mutation(h: Hospital) {
    for n in 0..25 {
        h.apply(vec![put("Flag/f", &note("p1", "flag", &n.to_string()))])
            .await;
    }
    let rows: Vec<Row> = chain(&h, "server").await.into_iter().map(|r| r.row).collect();
    let (name, sealed) = h.store.heads().await.expect("heads").remove(0);
    assert_eq!((name.as_str(), sealed.seq), ("server", 25));
    assert_eq!(verify(&rows, sealed), Ok(sealed));
    let found = |rows: &[Row]| verify(rows, sealed).expect_err("a mutation is found").first_bad();
    for n in 0..rows.len() {
        let seq = n as u64 + 1;
        let change = |f: &dyn Fn(&mut Row)| {
            let mut r = rows.clone();
            f(&mut r[n]);
            found(&r)
        };
        assert_eq!(
            change(&|r| r.body = r.body.replacen("\"at\":1", "\"at\":2", 1)),
            seq
        );
        assert_eq!(change(&|r| r.hash[3] ^= 1), seq);
        assert_eq!(change(&|r| r.prev[3] ^= 1), seq);
        assert_eq!(change(&|r| r.seq += 1), seq);
        let mut gone = rows.clone();
        gone.remove(n);
        assert_eq!(found(&gone), seq, "a deleted row");
        assert_eq!(found(&rows[..n]), seq, "rows cut off at the end");
        if n > 0 {
            let mut swapped = rows.clone();
            swapped.swap(n - 1, n);
            assert_eq!(found(&swapped), seq - 1, "two rows in the wrong order");
        }
    }
}

pub(super) async fn accepts_device_rows_once(h: Hospital) {
    let device = DeviceId::new("dev-9").expect("a device");
    let enrol = |n: u8, id: &DeviceId| {
        let code = EnrolCode {
            hash: [n; 32],
            ward: WardId::new("ED").expect("a ward"),
            site: false,
            until: UtcMs(i64::MAX),
        };
        let new = NewDevice {
            id: id.clone(),
            name: "desk".to_owned(),
            public_key: vec![n; 32],
        };
        (code, new)
    };
    let row = |head: Head, body: &str| {
        let next = head.after(body.as_bytes());
        (
            next,
            Row {
                seq: next.seq,
                prev: head.hash,
                hash: next.hash,
                body: body.to_owned(),
            },
        )
    };
    let mut rows = Vec::new();
    let mut head = Head::EMPTY;
    for n in 0..6 {
        let (next, r) = row(head, &format!("{{\"n\":{n}}}"));
        rows.push(r);
        head = next;
    }
    let send = |rows: &[Row]| h.store.accept_device_rows(&device, rows.to_vec());
    assert!(
        matches!(send(&rows[..1]).await, Err(StoreError::Refused(_))),
        "an unknown device has no chain"
    );
    let (code, new) = enrol(1, &device);
    h.store.put_enrol_code(&h.operator(), code).await.expect("code");
    h.store.enrol([1; 32], new, h.now()).await.expect("enrolled");
    assert_eq!(send(&rows[..2]).await, Ok(2));
    assert_eq!(send(&rows[1..4]).await, Ok(4), "a row that came before is fine");
    assert_eq!(send(&rows[..2]).await, Ok(4), "an answer that was lost");
    assert_eq!(send(&[]).await, Ok(4));
    assert_eq!(
        send(&rows[5..]).await,
        Err(StoreError::AuditGap { expected: 5, got: 6 })
    );
    let (_, fork) = row(
        Head {
            seq: 2,
            hash: rows[1].hash,
        },
        "{\"n\":\"other\"}",
    );
    assert_eq!(
        send(std::slice::from_ref(&fork)).await,
        Err(StoreError::AuditFork { seq: 3 })
    );
    let (_, after_fork) = row(
        Head {
            seq: 4,
            hash: fork.hash,
        },
        "{}",
    );
    assert_eq!(send(&[after_fork]).await, Err(StoreError::AuditFork { seq: 4 }));
    let torn = Row {
        body: "{\"n\":\"changed\"}".to_owned(),
        ..rows[4].clone()
    };
    assert!(matches!(
        send(&[torn]).await,
        Err(StoreError::Chain(ChainFault::Content { seq: 5 }))
    ));
    let mixed = [rows[4].clone(), fork];
    assert!(send(&mixed).await.is_err(), "refused whole");
    assert_eq!(send(&[]).await, Ok(4));
    assert_eq!(send(&rows).await, Ok(6));
    let held: Vec<Row> = chain(&h, "dev-9").await.into_iter().map(|r| r.row).collect();
    assert_eq!(held, rows);
    assert_eq!(
        h.store
            .device(&device)
            .await
            .expect("device")
            .expect("enrolled")
            .audit_seq,
        6
    );
    let heads = h.store.heads().await.expect("heads");
    assert!(heads.contains(&("dev-9".to_owned(), head)), "{heads:?}");
}
