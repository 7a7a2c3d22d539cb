//! From a patient's kept facts to card, board row and ward, within the writer's transaction.

use super::body;
use super::sql::{During, all, int, one, run, uint};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs, WardId};
use vitrine_store::{FactRow, Projection, Projector, StoreError, batch};

const DOING: &str = "deriving the emergency card";

/// Derives what follows from a patient's facts and stores what changed. `index`: the operation that made it necessary.
pub(super) fn project(
    conn: &Connection,
    projector: &dyn Projector,
    id: &PatientId,
    pid: i64,
    live: bool,
    at: UtcMs,
    index: usize,
) -> Result<(), StoreError> {
    let made = if live {
        let facts = kept_facts(conn, pid)?;
        let made = projector
            .project(id, &facts)
            .map_err(|e| StoreError::unprojectable_card(id, index, e))?;
        Some(made)
    } else {
        None
    };
    let mut wanted = BTreeSet::new();
    for w in made.iter().flat_map(|m| m.ward.iter().chain(&m.also_wards)) {
        wanted.insert(ward_no(conn, w)?);
    }
    let has: BTreeSet<i64> = all(conn, "SELECT ward FROM ess_member WHERE pid = ?1", [pid], |r| {
        r.get(0)
    })
    .during(DOING)?
    .into_iter()
    .collect();
    // The order makes the feed right: out of old wards with the old version, then the card, then into new wards.
    for ward in has.difference(&wanted) {
        run(
            conn,
            "DELETE FROM ess_member WHERE ward = ?1 AND id = ?2",
            params![ward, id.as_str()],
        )
        .during(DOING)?;
    }
    let ward = match made.as_ref().and_then(|m| m.ward.as_ref()) {
        Some(w) => Some(ward_no(conn, w)?),
        None => None,
    };
    store_card(conn, pid, ward, made.as_ref(), at)?;
    for ward in wanted.difference(&has) {
        run(
            conn,
            "INSERT INTO ess_member (ward, id, pid) VALUES (?1, ?2, ?3)",
            params![ward, id.as_str(), pid],
        )
        .during(DOING)?;
    }
    store_board(conn, pid, ward, made.as_ref().and_then(|m| m.board.as_deref()))
}

/// The newest facts of each slot, as many as the newest of the slot says. Costs by slots, not by facts: the slots are
/// found by jumping through the index from one to the next.
fn kept_facts(conn: &Connection, pid: i64) -> Result<Vec<FactRow>, StoreError> {
    let next_slot = "SELECT slot, keep FROM fact WHERE pid = ?1 AND slot > ?2
                      ORDER BY slot, order_ms DESC, rid DESC LIMIT 1";
    let of_slot = "SELECT r.kind, r.id, f.version, f.body FROM
                     (SELECT rid, version, body, order_ms FROM fact WHERE pid = ?1 AND slot = ?2
                       ORDER BY order_ms DESC, rid DESC LIMIT ?3) f
                     CROSS JOIN resource r ON r.rid = f.rid
                    ORDER BY f.order_ms DESC, f.rid DESC";
    let mut slot = String::new();
    let mut out = Vec::new();
    loop {
        let next = one(conn, next_slot, params![pid, slot], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))
        });
        let Some((name, keep)) = next.during(DOING)? else {
            return Ok(out);
        };
        let facts = all(conn, of_slot, params![pid, name, keep], |r| {
            Ok((
                r.get::<_, String>(0)?,
                r.get::<_, String>(1)?,
                uint(r.get(2)?),
                r.get::<_, Vec<u8>>(3)?,
            ))
        });
        for (kind, id, version, body) in facts.during(DOING)? {
            let key = ResourceKey::new(&kind, &id).map_err(|e| StoreError::Backend {
                doing: DOING,
                cause: e.to_string(),
            })?;
            out.push(FactRow { key, version, body });
        }
        slot = name;
    }
}

/// The number of a ward, given when it is first seen.
pub(super) fn ward_no(conn: &Connection, ward: &WardId) -> Result<i64, StoreError> {
    if let Some(no) = one(conn, "SELECT no FROM ward WHERE id = ?1", [ward.as_str()], |r| {
        r.get(0)
    })
    .during(DOING)?
    {
        return Ok(no);
    }
    run(conn, "INSERT INTO ward (id) VALUES (?1)", [ward.as_str()]).during(DOING)?;
    Ok(conn.last_insert_rowid())
}

fn store_card(
    conn: &Connection,
    pid: i64,
    ward: Option<i64>,
    made: Option<&Projection>,
    at: UtcMs,
) -> Result<(), StoreError> {
    let held = one(
        conn,
        "SELECT ver, live, hash, ward FROM card WHERE pid = ?1",
        [pid],
        |r| {
            Ok((
                uint(r.get(0)?),
                r.get::<_, bool>(1)?,
                r.get::<_, Option<[u8; 16]>>(2)?,
                r.get::<_, Option<i64>>(3)?,
            ))
        },
    );
    let held = held.during(DOING)?;
    let Some(made) = made else {
        if matches!(held, Some((_, true, _, _))) {
            let sql =
                "UPDATE card SET ver = ver + 1, live = 0, updated = ?2, ward = NULL, hash = NULL, body = NULL
                        WHERE pid = ?1";
            run(conn, sql, params![pid, at.0]).during(DOING)?;
        }
        return Ok(());
    };
    let hash = batch::body_hash(&made.card);
    match held {
        None => {
            let sql = "INSERT INTO card (pid, ver, live, updated, ward, hash, body) VALUES (?1, 1, 1, ?2, ?3, ?4, ?5)";
            run(
                conn,
                sql,
                params![pid, at.0, ward, &hash[..], body::pack(&made.card)?],
            )
            .during(DOING)?;
        }
        Some((_, true, Some(h), w)) if h == hash => {
            if w != ward {
                run(
                    conn,
                    "UPDATE card SET ward = ?2 WHERE pid = ?1",
                    params![pid, ward],
                )
                .during(DOING)?;
            }
        }
        Some((ver, ..)) => {
            let sql = "UPDATE card SET ver = ?2, live = 1, updated = ?3, ward = ?4, hash = ?5, body = ?6 WHERE pid = ?1";
            let row = params![pid, int(ver + 1), at.0, ward, &hash[..], body::pack(&made.card)?];
            run(conn, sql, row).during(DOING)?;
        }
    }
    Ok(())
}

fn store_board(
    conn: &Connection,
    pid: i64,
    ward: Option<i64>,
    board: Option<&[u8]>,
) -> Result<(), StoreError> {
    let (ward, board) = match (ward, board) {
        (Some(w), Some(b)) => (Some(w), Some(b)),
        _ => (None, None),
    };
    let hash = board.map(batch::body_hash);
    let held = one(
        conn,
        "SELECT ward, ver, hash FROM board WHERE pid = ?1",
        [pid],
        |r| {
            Ok((
                r.get::<_, Option<i64>>(0)?,
                uint(r.get(1)?),
                r.get::<_, Option<[u8; 16]>>(2)?,
            ))
        },
    );
    let packed = board.map(body::pack).transpose()?;
    let hash_bytes = hash.as_ref().map(|h| &h[..]);
    match held.during(DOING)? {
        None if ward.is_none() => Ok(()),
        None => {
            let sql = "INSERT INTO board (pid, ward, ver, hash, body) VALUES (?1, ?2, 1, ?3, ?4)";
            run(conn, sql, params![pid, ward, hash_bytes, packed])
                .during(DOING)
                .map(|_| ())
        }
        Some((w, _, h)) if w == ward && (ward.is_none() || h == hash) => Ok(()),
        Some((_, ver, _)) => {
            let sql = "UPDATE board SET ward = ?2, ver = ?3, hash = ?4, body = ?5 WHERE pid = ?1";
            run(conn, sql, params![pid, ward, int(ver + 1), hash_bytes, packed])
                .during(DOING)
                .map(|_| ())
        }
    }
}
