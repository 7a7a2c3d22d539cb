//! What lies where, and what the rule wants: reading alone.

use crate::server::sql::{During, all, one, parsed, uint};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::tiers::{
    Due, PackRow, PacksOf, Recall, Tier, TierCount, TierReport, TierRule, day_of, recall_of, unknown_pack,
};

const LOOKING: &str = "looking through the tiers";

/// A body in the file that may move, by table: `b` is not yet a reference.
pub(super) const CURRENT: &str =
    "b.pid = ?1 AND b.deleted = 0 AND b.pid IS NOT NULL AND b.rank = 1 AND b.meaning & 2 = 0
    AND b.body IS NOT NULL AND substr(b.body, 1, 1) <> x'02'
    AND NOT EXISTS (SELECT 1 FROM dependency d WHERE d.on_kind = b.kind AND d.on_id = b.id)";
pub(super) const EARLIER: &str =
    "r.pid = ?1 AND b.deleted = 0 AND b.body IS NOT NULL AND substr(b.body, 1, 1) <> x'02'";
/// A patient on a ward: in its essentials or on its board.
pub(super) const ON_WARD: &str = "(EXISTS (SELECT 1 FROM ess_member m WHERE m.pid = p.pid)
    OR EXISTS (SELECT 1 FROM board w WHERE w.pid = p.pid AND w.ward IS NOT NULL))";
/// Patients on a ward, the few that they are.
const WARD: &str = "SELECT pid FROM ess_member UNION SELECT pid FROM board WHERE ward IS NOT NULL";
pub(super) const PACK: &str =
    "SELECT k.id, p.id, k.tier, k.bodies, k.bytes, k.sha256, k.newest, k.made, k.moved, k.requested,
    k.recalled FROM pack k JOIN patient p USING (pid)";
pub(super) fn pack_row(r: &Row<'_>) -> rusqlite::Result<PackRow> {
    Ok(PackRow {
        id: Uuid::from_bytes(r.get(0)?),
        patient: parsed(1, PatientId::new(r.get::<_, String>(1)?))?,
        tier: Tier::of(r.get(2)?),
        bodies: uint(r.get(3)?),
        bytes: uint(r.get(4)?),
        sha256: r.get(5)?,
        newest: UtcMs(r.get(6)?),
        made: UtcMs(r.get(7)?),
        moved: UtcMs(r.get(8)?),
        requested: r.get::<_, Option<i64>>(9)?.map(UtcMs),
        recalled: r.get::<_, Option<i64>>(10)?.map(UtcMs),
    })
}

pub(crate) fn packs(conn: &Connection, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
    let which = match of {
        PacksOf::All => "?1 IS NULL",
        PacksOf::Patient(_) => "p.id = ?1",
        PacksOf::Asked => "?1 IS NULL AND k.requested IS NOT NULL AND k.tier = 2",
    };
    let sql = format!("{PACK} WHERE {which} ORDER BY k.made, k.id");
    all(conn, &sql, [of.patient()], pack_row).during(LOOKING)
}

/// A patient's packs, and those asked back.
pub(super) fn recall(conn: &Connection, patient: &PatientId) -> Result<Recall, StoreError> {
    let mut all = packs(conn, PacksOf::Patient(patient))?;
    let others = packs(conn, PacksOf::Asked)?;
    all.extend(others.into_iter().filter(|p| p.patient != *patient));
    Ok(recall_of(&all, patient))
}

pub(super) fn pack(conn: &Connection, id: Uuid) -> Result<PackRow, StoreError> {
    let found = one(
        conn,
        &format!("{PACK} WHERE k.id = ?1"),
        [&id.as_bytes()[..]],
        pack_row,
    );
    found.during(LOOKING)?.ok_or_else(|| unknown_pack(id))
}

/// The patient's number, while nobody uses the record.
pub(super) fn idle(
    conn: &Connection,
    rule: &TierRule,
    patient: &PatientId,
) -> Result<Option<i64>, StoreError> {
    let sql = format!(
        "SELECT p.pid FROM patient p LEFT JOIN tier t USING (pid)
          WHERE p.id = ?1 AND p.destroyed = 0 AND coalesce(t.used, 0) <= ?2 AND NOT {ON_WARD}"
    );
    one(conn, &sql, params![patient.as_str(), rule.idle_day()], |r| {
        r.get(0)
    })
    .during(LOOKING)
}

pub(super) fn report(conn: &Connection) -> Result<TierReport, StoreError> {
    let mut out = TierReport::default();
    let sql = "SELECT count(*), coalesce(sum(length(body)), 0), count(DISTINCT pid) FROM resource
                WHERE deleted = 0 AND body IS NOT NULL AND substr(body, 1, 1) <> x'02'";
    let read = |r: &Row<'_>| Ok((uint(r.get(0)?), uint(r.get(1)?), uint(r.get(2)?)));
    let current = one(conn, sql, [], read).during(LOOKING)?.unwrap_or_default();
    let sql = "SELECT count(*), coalesce(sum(length(body)), 0), 0 FROM resource_version
                WHERE deleted = 0 AND body IS NOT NULL AND substr(body, 1, 1) <> x'02'";
    let earlier = one(conn, sql, [], read).during(LOOKING)?.unwrap_or_default();
    out.hot = TierCount {
        records: current.2,
        bodies: current.0 + earlier.0,
        bytes: current.1 + earlier.1,
        packs: 0,
    };
    out.add_all(&packs(conn, PacksOf::All)?);
    let sql = "SELECT count(*) FROM tier WHERE due = 0";
    out.unseen = uint(one(conn, sql, [], |r| r.get(0)).during(LOOKING)?.unwrap_or(0));
    Ok(out)
}

pub(super) fn due(conn: &Connection, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let patient = |r: &Row<'_>| parsed(0, PatientId::new(r.get::<_, String>(0)?));
    let id = |r: &Row<'_>| Ok(Uuid::from_bytes(r.get(0)?));
    let down = format!(
        "SELECT p.id FROM tier t JOIN patient p USING (pid)
          WHERE t.due <= ?1 AND t.used <= ?2 AND p.destroyed = 0 AND NOT {ON_WARD} ORDER BY t.due, p.pid LIMIT ?3"
    );
    let away = format!(
        "SELECT k.id FROM pack k JOIN patient p USING (pid) LEFT JOIN tier t USING (pid)
          WHERE k.tier = 1 AND k.newest < ?1 AND coalesce(t.used, 0) <= ?2 AND NOT {ON_WARD}
            AND coalesce(k.recalled, 0) / 86400000 <= ?2 ORDER BY k.made, k.id LIMIT ?3"
    );
    let home = format!(
        "SELECT k.id FROM ({WARD}) w JOIN pack k USING (pid) WHERE k.tier = 1 ORDER BY k.made LIMIT ?1"
    );
    let wanted = format!(
        "SELECT DISTINCT p.id FROM ({WARD}) w JOIN pack k USING (pid) JOIN patient p USING (pid)
          WHERE k.tier = 2 AND k.requested IS NULL ORDER BY 1 LIMIT ?1"
    );
    let (today, idle) = (day_of(rule.at), rule.idle_day());
    let away = match rule.archive {
        true => all(conn, &away, params![rule.archive_before(), idle, limit], id).during(LOOKING)?,
        false => Vec::new(),
    };
    Ok(Due {
        down: all(conn, &down, [today, idle, limit], patient).during(LOOKING)?,
        away,
        home: all(conn, &home, [limit], id).during(LOOKING)?,
        wanted: all(conn, &wanted, [limit], patient).during(LOOKING)?,
    })
}

pub(super) fn would(conn: &Connection, rule: &TierRule) -> Result<TierCount, StoreError> {
    let mut out = TierCount::default();
    let sql = format!(
        "SELECT count(*), coalesce(sum(n), 0) FROM (
           SELECT length(b.body) AS n FROM resource b WHERE {CURRENT} AND b.updated < ?2
           UNION ALL SELECT length(b.body) FROM resource r JOIN resource_version b USING (rid)
            WHERE {EARLIER} AND b.updated < ?2)"
    );
    for patient in due(conn, rule, usize::MAX)?.down {
        let Some(pid) = idle(conn, rule, &patient)? else {
            continue;
        };
        let read = |r: &Row<'_>| Ok((uint(r.get(0)?), uint(r.get(1)?)));
        let found = one(conn, &sql, params![pid, rule.warm_before()], read);
        let (bodies, bytes) = found.during(LOOKING)?.unwrap_or_default();
        out.records += u64::from(bodies > 0);
        out.bodies += bodies;
        out.bytes += bytes;
    }
    Ok(out)
}
