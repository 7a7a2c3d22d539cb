//! Holds and destructions, within the writer's transaction.

use super::apply::apply;
use super::prepare::prepare;
use super::sql::{During, all, one, run, uint};
use super::{ServerGroup, SqlcipherStore, accounts, body, imaging, messages, notes, tiers};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;
use vitrine_access::Receipt;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::archive::{
    ArchiveAct, ArchiveList, ArchiveOrder, Archived, Case, Destruction, Manifest, Step,
};
use vitrine_store::{Archive, Projector, StoreError};

const KEEPING: &str = "keeping holds and destructions";
const DESTROYING: &str = "destroying a record";

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|_| StoreError::Damaged("the table of holds or destructions".to_owned()))
}

fn rows<T: DeserializeOwned>(
    conn: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
) -> Result<Vec<T>, StoreError> {
    let text = |r: &Row<'_>| r.get::<_, String>(0);
    let found = all(conn, sql, with, text).during(KEEPING)?;
    found.iter().map(|t| read(t)).collect()
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend {
        doing: KEEPING,
        cause: e.to_string(),
    })
}

fn case(conn: &Connection, id: &PatientId) -> Result<(Case, Option<i64>), StoreError> {
    let sql = "SELECT pid, destroyed FROM patient WHERE id = ?1";
    let found = one(conn, sql, [id.as_str()], |r| {
        Ok((r.get::<_, i64>(0)?, r.get::<_, bool>(1)?))
    });
    let found = found.during(KEEPING)?;
    let of = [id.as_str()];
    let mut holds = rows(conn, "SELECT body FROM legal_hold WHERE patient = ?1", of)?;
    let case = Case {
        known: found.is_some(),
        destroyed: found.is_some_and(|f| f.1),
        hold: holds.pop(),
        destructions: rows(conn, "SELECT body FROM destruction WHERE patient = ?1", of)?,
        accounts: accounts::all_accounts(conn)?,
    };
    Ok((case, found.map(|f| f.0)))
}

fn put(conn: &Connection, d: &Destruction) -> Result<(), StoreError> {
    let sql = "INSERT INTO destruction (id, patient, body) VALUES (?1, ?2, ?3)
               ON CONFLICT (id) DO UPDATE SET body = excluded.body";
    let row = params![&d.id.as_bytes()[..], d.patient.as_str(), json(d)?];
    run(conn, sql, row).during(KEEPING).map(|_| ())
}

/// Carries an act out.
fn act(
    conn: &Connection,
    group: &mut ServerGroup,
    projector: &dyn Projector,
    order: &ArchiveOrder,
) -> Result<(Archived, Receipt), StoreError> {
    let (case, pid) = case(conn, &order.patient)?;
    let step = order.step(&case)?;
    match (&step, pid) {
        (Step::Hold(Some(h)), _) => {
            let sql = "INSERT INTO legal_hold (patient, body) VALUES (?1, ?2)";
            run(conn, sql, params![h.patient.as_str(), json(h)?]).during(KEEPING)?;
        }
        (Step::Hold(None), _) => {
            let sql = "DELETE FROM legal_hold WHERE patient = ?1";
            run(conn, sql, [order.patient.as_str()]).during(KEEPING)?;
        }
        (Step::Put(d), _) => put(conn, d)?,
        (Step::Destroy(d), Some(pid)) => {
            // What is deleted is to be written over, not only let go of.
            let secure = |how| conn.pragma_update(None, "secure_delete", how).during(DESTROYING);
            secure("ON")?;
            let done = destroy(conn, group, projector, order, pid, d.clone());
            secure("FAST")?;
            return done;
        }
        (Step::Destroy(_), None) | (Step::Already(_), _) => {}
    }
    let receipt = group.record(conn, &order.entry)?;
    Ok((step.into(), receipt))
}

/// Every resource of a patient: its number, its key, whether it is live.
fn resources(conn: &Connection, pid: i64) -> Result<Vec<(i64, ResourceKey, bool)>, StoreError> {
    let of = |deleted: u8| {
        format!(
            "SELECT rid, kind, id, deleted FROM resource WHERE pid = ?1 AND deleted = {deleted} AND pid IS NOT NULL"
        )
    };
    let sql = format!("{} UNION ALL {}", of(0), of(1));
    let found = all(conn, &sql, [pid], |r| {
        Ok((
            r.get(0)?,
            r.get::<_, String>(1)?,
            r.get::<_, String>(2)?,
            r.get::<_, bool>(3)?,
        ))
    });
    let key = |(rid, kind, id, deleted): (i64, String, String, bool)| {
        let key = ResourceKey::new(&kind, &id).map_err(|e| StoreError::Backend {
            doing: DESTROYING,
            cause: e.to_string(),
        })?;
        Ok((rid, key, !deleted))
    };
    found.during(DESTROYING)?.into_iter().map(key).collect()
}

fn destroy(
    conn: &Connection,
    group: &mut ServerGroup,
    projector: &dyn Projector,
    order: &ArchiveOrder,
    pid: i64,
    d: Destruction,
) -> Result<(Archived, Receipt), StoreError> {
    let resources = resources(conn, pid)?;
    let mut manifest = Manifest::default();
    for (rid, key, _) in &resources {
        let sql = "SELECT version, body FROM resource WHERE rid = ?1
                   UNION ALL SELECT version, body FROM resource_version WHERE rid = ?1";
        let versions = all(conn, sql, [rid], |r| {
            Ok((uint(r.get(0)?), r.get::<_, Option<Vec<u8>>>(1)?))
        });
        for (version, packed) in versions.during(DESTROYING)? {
            let raw = body::open(Some(&group.packs), &packed.unwrap_or_default())?;
            manifest.add(key, version, &raw);
        }
    }
    for (uid, sha256) in imaging::of(conn, pid)? {
        manifest.image(&uid, sha256)?;
    }
    for (id, bytes) in messages::of(conn, &order.patient)? {
        manifest.message(id, &bytes)?;
    }
    let d = order.destroyed(d, manifest)?;
    let live = resources.iter().filter(|r| r.2).map(|r| r.1.clone());
    let packs = group.packs.clone();
    let batch = prepare(order.deletion(d.id, live.collect()), projector, conn, &packs)?;
    let owner = Some(&order.patient);
    let (_, receipt) = apply(conn, group, projector, owner, order.entry.clone(), &batch)?;
    put(conn, &d)?;
    for (rid, ..) in &resources {
        run(conn, "DELETE FROM resource_version WHERE rid = ?1", [rid]).during(DESTROYING)?;
    }
    run(conn, "UPDATE patient SET destroyed = 1 WHERE pid = ?1", [pid]).during(DESTROYING)?;
    notes::forget(conn, pid)?;
    imaging::forget(conn, pid)?;
    messages::forget(conn, &order.patient)?;
    group.destroyed_packs.extend(tiers::forget(conn, pid)?);
    group.purge_persons();
    Ok((Step::Destroy(d).into(), receipt))
}

#[async_trait]
impl Archive for SqlcipherStore {
    async fn archive(&self, asked: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError> {
        let order = ArchiveOrder::of(asked)?;
        let projector = self.projector.clone();
        self.write(1, move |conn, group| act(conn, group, &*projector, &order))
            .await
    }

    async fn archived(&self) -> Result<ArchiveList, StoreError> {
        self.read_job(|conn| {
            let all = ArchiveList {
                holds: rows(conn, "SELECT body FROM legal_hold", [])?,
                destructions: rows(conn, "SELECT body FROM destruction", [])?,
            };
            Ok(all.sorted())
        })
        .await
    }
}
