//! The quarantine as it is worked off.
//!
//! Never here: putting into it (`charts`). Called by the server's imaging through `vitrine_store::held`.

use super::sql::{During, all, int, one, run, uint};
use super::{SqlcipherStore, body};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Row, params};
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::UtcMs;
use vitrine_store::held::{Held, HeldChange, HeldItem, HeldPage};
use vitrine_store::{QuarantineRow, StoreError};

const READING: &str = "reading the quarantine";
const CHANGING: &str = "changing the quarantine";
const ITEM: &str = "SELECT id, at, location, kind, reason, expression, bytes, body FROM quarantine";

type Read = (QuarantineRow, Option<Vec<u8>>);

fn read(r: &Row<'_>) -> rusqlite::Result<Read> {
    let row = QuarantineRow {
        id: uint(r.get(0)?),
        at: UtcMs(r.get(1)?),
        location: r.get(2)?,
        kind: r.get(3)?,
        reason: r.get(4)?,
        expression: r.get(5)?,
        bytes: uint(r.get(6)?),
    };
    Ok((row, r.get(7)?))
}

fn item((row, packed): Read) -> Result<HeldItem, StoreError> {
    let body = packed.map(|p| body::unpack(&p)).transpose()?;
    Ok(HeldItem {
        row,
        body: body.map(Bytes::from).unwrap_or_default(),
    })
}

#[async_trait]
impl Held for SqlcipherStore {
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError> {
        let kind = kind.to_owned();
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_job(move |conn| {
            let sql = "SELECT count(*), max(id) FROM (SELECT id FROM quarantine WHERE id > ?1 ORDER BY id LIMIT ?2)";
            let looked = one(conn, sql, [int(after), most], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, Option<i64>>(1)?))
            });
            let Some((count, Some(last))) = looked.during(READING)? else {
                return Ok(HeldPage {
                    last: after,
                    ..HeldPage::default()
                });
            };
            let sql = format!("{ITEM} WHERE id > ?1 AND id <= ?2 AND kind = ?3 ORDER BY id");
            let found = all(conn, &sql, params![int(after), last, kind], read).during(READING)?;
            Ok(HeldPage {
                items: found.into_iter().map(item).collect::<Result<_, _>>()?,
                last: uint(last),
                more: count == most,
            })
        })
        .await
    }

    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError> {
        self.read_job(move |conn| {
            let found = one(conn, &format!("{ITEM} WHERE id = ?1"), [int(id)], read).during(READING)?;
            found.map(item).transpose()
        })
        .await
    }

    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(1, move |conn, group| {
            let done = match &change {
                HeldChange::Stays { reason, body } => {
                    let sql = "UPDATE quarantine SET reason = ?2, bytes = ?3, body = ?4 WHERE id = ?1";
                    let bytes = int(body.len() as u64);
                    run(conn, sql, params![int(id), reason, bytes, body::pack(body)?])
                }
                HeldChange::Leaves => run(conn, "DELETE FROM quarantine WHERE id = ?1", [int(id)]),
            };
            if done.during(CHANGING)? == 0 {
                return Ok(false);
            }
            group.record(conn, &entry)?;
            Ok(true)
        })
        .await
    }
}
