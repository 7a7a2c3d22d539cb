//! What lies where, and what the rule wants: reading alone.

use crate::sql::{Fault, all, col, one, parsed, uint};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::tiers::{
    Due, PackRow, PacksOf, Recall, Tier, TierReport, TierRule, day_of, recall_of, unknown_pack,
};

const LOOKING: &str = "looking through the tiers";

/// A body that may move and is no reference yet.
pub(super) const CURRENT: &str =
    "b.pid = $1 AND NOT b.deleted AND b.pid IS NOT NULL AND b.rank = 1 AND b.meaning & 2 = 0
    AND b.body IS NOT NULL AND substring(b.body FROM 1 FOR 1) <> '\\x02'
    AND NOT EXISTS (SELECT 1 FROM dependency d WHERE d.on_kind = b.kind AND d.on_id = b.id)";
pub(super) const EARLIER: &str =
    "r.pid = $1 AND NOT b.deleted AND b.body IS NOT NULL AND substring(b.body FROM 1 FOR 1) <> '\\x02'";
/// A patient on a ward: in its essentials or on its board.
pub(super) const ON_WARD: &str = "(EXISTS (SELECT 1 FROM ess_member m WHERE m.pid = p.pid)
    OR EXISTS (SELECT 1 FROM board w WHERE w.pid = p.pid AND w.ward IS NOT NULL))";
/// Patients on a ward, the few that they are.
const WARD: &str = "SELECT pid FROM ess_member UNION SELECT pid FROM board WHERE ward IS NOT NULL";
pub(super) const PACK: &str =
    "SELECT k.id, p.id, k.tier, k.bodies, k.bytes, k.sha256, k.newest, k.made, k.moved, k.requested,
    k.recalled FROM pack k JOIN patient p USING (pid)";
pub(super) fn pack_row(r: &Row) -> Result<PackRow, Fault> {
    let ms = |n| Ok::<_, Fault>(col::<Option<i64>>(r, n, LOOKING)?.map(UtcMs));
    let sha256: &[u8] = col(r, 5, LOOKING)?;
    Ok(PackRow {
        id: col(r, 0, LOOKING)?,
        patient: parsed(PatientId::new(col::<String>(r, 1, LOOKING)?), LOOKING)?,
        tier: Tier::of(col(r, 2, LOOKING)?),
        bodies: uint(col(r, 3, LOOKING)?),
        bytes: uint(col(r, 4, LOOKING)?),
        sha256: parsed(sha256.try_into(), LOOKING)?,
        newest: UtcMs(col(r, 6, LOOKING)?),
        made: UtcMs(col(r, 7, LOOKING)?),
        moved: UtcMs(col(r, 8, LOOKING)?),
        requested: ms(9)?,
        recalled: ms(10)?,
    })
}

pub(crate) async fn packs<C: GenericClient>(c: &C, of: PacksOf<'_>) -> Result<Vec<PackRow>, Fault> {
    let which = match of {
        PacksOf::All => "$1::text IS NULL",
        PacksOf::Patient(_) => "p.id = $1::text",
        PacksOf::Asked => "$1::text IS NULL AND k.requested IS NOT NULL AND k.tier = 2",
    };
    let sql = format!("{PACK} WHERE {which} ORDER BY k.made, k.id");
    let rows = all(c, LOOKING, &sql, &[&of.patient()]).await?;
    rows.iter().map(pack_row).collect()
}

/// A patient's packs, and those asked back.
pub(super) async fn recall<C: GenericClient>(c: &C, patient: &PatientId) -> Result<Recall, Fault> {
    let mut all = packs(c, PacksOf::Patient(patient)).await?;
    let others = packs(c, PacksOf::Asked).await?;
    all.extend(others.into_iter().filter(|p| p.patient != *patient));
    Ok(recall_of(&all, patient))
}

pub(super) async fn pack<C: GenericClient>(c: &C, id: Uuid) -> Result<PackRow, Fault> {
    let row = one(c, LOOKING, &format!("{PACK} WHERE k.id = $1"), &[&id]).await?;
    row.map_or_else(|| Err(Fault::Failed(unknown_pack(id))), |r| pack_row(&r))
}

/// The patient's number, while nobody uses the record.
pub(super) async fn idle<C: GenericClient>(
    c: &C,
    rule: &TierRule,
    patient: &PatientId,
) -> Result<Option<i64>, Fault> {
    let sql = format!(
        "SELECT p.pid FROM patient p LEFT JOIN tier t USING (pid)
          WHERE p.id = $1 AND NOT p.destroyed AND coalesce(t.used, 0) <= $2 AND NOT {ON_WARD}"
    );
    let row = one(c, LOOKING, &sql, &[&patient.as_str(), &rule.idle_day()]).await?;
    row.map(|r| col(&r, 0, LOOKING)).transpose()
}

pub(super) async fn report<C: GenericClient>(c: &C) -> Result<TierReport, Fault> {
    let mut out = TierReport::default();
    let sql =
        "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint, count(DISTINCT pid) FROM resource
                WHERE NOT deleted AND body IS NOT NULL AND substring(body FROM 1 FOR 1) <> '\\x02'
               UNION ALL
               SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint, 0 FROM resource_version
                WHERE NOT deleted AND body IS NOT NULL AND substring(body FROM 1 FOR 1) <> '\\x02'";
    for row in all(c, LOOKING, sql, &[]).await? {
        out.hot.bodies += uint(col(&row, 0, LOOKING)?);
        out.hot.bytes += uint(col(&row, 1, LOOKING)?);
        out.hot.records += uint(col(&row, 2, LOOKING)?);
    }
    out.add_all(&packs(c, PacksOf::All).await?);
    let row = one(c, LOOKING, "SELECT count(*) FROM tier WHERE due = 0", &[]).await?;
    out.unseen = uint(row.map_or(Ok(0), |r| col(&r, 0, LOOKING))?);
    Ok(out)
}

pub(super) async fn due<C: GenericClient>(c: &C, rule: &TierRule, limit: usize) -> Result<Due, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (today, idle) = (day_of(rule.at), rule.idle_day());
    let patients = |rows: &[Row]| -> Result<Vec<PatientId>, Fault> {
        let one = |r| parsed(PatientId::new(col::<String>(r, 0, LOOKING)?), LOOKING);
        rows.iter().map(one).collect()
    };
    let ids = |rows: &[Row]| {
        rows.iter()
            .map(|r| col(r, 0, LOOKING))
            .collect::<Result<Vec<Uuid>, Fault>>()
    };
    let down = format!(
        "SELECT p.id FROM tier t JOIN patient p USING (pid)
          WHERE t.due <= $1 AND t.used <= $2 AND NOT p.destroyed AND NOT {ON_WARD} ORDER BY t.due, p.pid LIMIT $3"
    );
    let away = format!(
        "SELECT k.id FROM pack k JOIN patient p USING (pid) LEFT JOIN tier t USING (pid)
          WHERE k.tier = 1 AND k.newest < $1 AND coalesce(t.used, 0) <= $2 AND NOT {ON_WARD}
            AND coalesce(k.recalled, 0) / 86400000 <= $2 ORDER BY k.made, k.id LIMIT $3"
    );
    let home = format!(
        "SELECT k.id FROM ({WARD}) w JOIN pack k USING (pid) WHERE k.tier = 1 ORDER BY k.made LIMIT $1"
    );
    let wanted = format!(
        "SELECT DISTINCT p.id FROM ({WARD}) w JOIN pack k USING (pid) JOIN patient p USING (pid)
          WHERE k.tier = 2 AND k.requested IS NULL ORDER BY 1 LIMIT $1"
    );
    let mut out = Due {
        down: patients(&all(c, LOOKING, &down, &[&today, &idle, &limit]).await?)?,
        home: ids(&all(c, LOOKING, &home, &[&limit]).await?)?,
        wanted: patients(&all(c, LOOKING, &wanted, &[&limit]).await?)?,
        away: Vec::new(),
    };
    if rule.archive {
        out.away = ids(&all(c, LOOKING, &away, &[&rule.archive_before(), &idle, &limit]).await?)?;
    }
    Ok(out)
}
