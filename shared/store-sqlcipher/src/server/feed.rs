//! The change feed and the state of scopes.

use super::sql::{During, all, int, one, parsed, run, uint};
use super::{SqlcipherStore, accounts, body};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use vitrine_access::action::SyncScope;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, WardId};
use vitrine_store::pack::Packs;
use vitrine_store::scope::Scope;
use vitrine_store::{Feed, FeedBatch, FeedRow, ItemRef, ScopeItem, ScopePage, StoreError, batch, seal};

const READING: &str = "reading the change feed";
const SCOPE: &str = "reading a scope";

/// The newest position. AUTOINCREMENT keeps it also when retention has removed every row.
pub(super) fn newest(conn: &Connection) -> Result<u64, StoreError> {
    let seq = one(
        conn,
        "SELECT seq FROM sqlite_sequence WHERE name = 'change_log'",
        [],
        |r| r.get(0),
    );
    Ok(uint(seq.during(READING)?.unwrap_or(0)))
}

/// The number of a scope in the feed (see the schema); `None` when nothing was ever in it.
fn number(conn: &Connection, scope: &Scope) -> Result<Option<i64>, StoreError> {
    Ok(match scope {
        Scope::Dir => Some(1),
        Scope::Site => Some(2),
        Scope::Ess(w) => ward(conn, w)?.map(|no| 10 + 2 * no),
        Scope::Board(w) => ward(conn, w)?.map(|no| 11 + 2 * no),
        Scope::Patient(p) => pid(conn, p)?.map(|pid| -pid),
    })
}

fn ward(conn: &Connection, id: &WardId) -> Result<Option<i64>, StoreError> {
    one(conn, "SELECT no FROM ward WHERE id = ?1", [id.as_str()], |r| {
        r.get(0)
    })
    .during(SCOPE)
}

fn pid(conn: &Connection, id: &PatientId) -> Result<Option<i64>, StoreError> {
    one(
        conn,
        "SELECT pid FROM patient WHERE id = ?1",
        [id.as_str()],
        |r| r.get(0),
    )
    .during(SCOPE)
}

const FEED_SELECT: &str = "SELECT c.seq, c.scope, c.prev, c.ver, c.tomb, p.id, r.kind, r.id, w.id, a.user
  FROM change_log c
  LEFT JOIN resource r ON c.scope < 0 AND r.rid = c.ref
  LEFT JOIN patient p ON p.pid = CASE WHEN c.scope < 0 THEN -c.scope WHEN c.scope > 1 THEN c.ref END
  LEFT JOIN ward w ON w.no = CASE WHEN c.scope >= 10 THEN (c.scope - 10) / 2 END
  LEFT JOIN account a ON c.scope = 1 AND a.no = c.ref";

fn feed_row(r: &Row<'_>) -> rusqlite::Result<FeedRow> {
    let scope: i64 = r.get(1)?;
    let (scope, key) = match scope {
        1 => ("dir".to_owned(), batch::dir_key(r.get_ref(9)?.as_str()?)),
        2 => ("ess:site".to_owned(), r.get(5)?),
        n if n < 0 => {
            let (kind, id) = (r.get_ref(6)?.as_str()?, r.get_ref(7)?.as_str()?);
            (format!("pat:{}", r.get_ref(5)?.as_str()?), format!("{kind}/{id}"))
        }
        n => {
            let name = if n % 2 == 0 { "ess" } else { "board" };
            (format!("{name}:{}", r.get_ref(8)?.as_str()?), r.get(5)?)
        }
    };
    Ok(FeedRow {
        pos: uint(r.get(0)?),
        scope,
        key,
        prev: uint(r.get(2)?),
        ver: uint(r.get(3)?),
        tomb: r.get(4)?,
    })
}

fn changes(
    conn: &Connection,
    pos: u64,
    scope: Option<&Scope>,
    limit: usize,
) -> Result<FeedBatch, StoreError> {
    let limit = limit.max(1);
    let ask = i64::try_from(limit).unwrap_or(i64::MAX);
    let oldest = one(
        conn,
        "SELECT value FROM meta WHERE key = 'feed_oldest'",
        [],
        |r| r.get::<_, String>(0),
    );
    let oldest = oldest.during(READING)?.and_then(|v| v.parse().ok()).unwrap_or(0);
    let rows = match scope {
        None => {
            let sql = format!("{FEED_SELECT} WHERE c.seq > ?1 ORDER BY c.seq LIMIT ?2");
            all(conn, &sql, [int(pos), ask], feed_row).during(READING)?
        }
        Some(scope) => match number(conn, scope)? {
            Some(n) => {
                let sql = format!("{FEED_SELECT} WHERE c.scope = ?3 AND c.seq > ?1 ORDER BY c.seq LIMIT ?2");
                all(conn, &sql, [int(pos), ask, n], feed_row).during(READING)?
            }
            None => Vec::new(),
        },
    };
    let full = rows.len() >= limit;
    let reached = match rows.last().filter(|_| full) {
        Some(last) => last.pos,
        None => newest(conn)?.max(pos),
    };
    Ok(FeedBatch {
        rows,
        pos: reached,
        oldest,
    })
}

/// An item before its body is unpacked: `key, ver, hash, body` in the first four columns.
struct Raw {
    key: String,
    ver: u64,
    version: Option<u64>,
    hash: Option<[u8; 16]>,
    packed: Vec<u8>,
}

fn raw(key: String, r: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        key,
        ver: uint(r.get(1)?),
        version: None,
        hash: r.get(2)?,
        packed: bytes_of(r.get_ref(3)?),
    })
}

/// A resource: its own version stands in the fifth column.
fn resource(key: String, r: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        version: Some(uint(r.get(4)?)),
        ..raw(key, r)?
    })
}

fn bytes_of(value: ValueRef<'_>) -> Vec<u8> {
    value
        .as_bytes_or_null()
        .ok()
        .flatten()
        .unwrap_or_default()
        .to_vec()
}

impl Raw {
    fn item(self, packs: &Packs) -> Result<ScopeItem, StoreError> {
        let body = body::open(Some(packs), &self.packed)?;
        let hash = self.hash.unwrap_or_else(|| batch::body_hash(&body));
        Ok(ScopeItem {
            key: self.key,
            ver: self.ver,
            version: self.version,
            hash,
            body: Bytes::from(body),
        })
    }
}

/// Walks a scope's items in key order after a key until `each` says stop (`false`).
fn walk(
    conn: &Connection,
    scope: &Scope,
    after: Option<&str>,
    each: &mut dyn FnMut(Raw) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let after = after.unwrap_or("");
    let plain = |r: &Row<'_>| raw(r.get(0)?, r);
    match scope {
        Scope::Site => {
            let sql = "SELECT p.id, c.ver, c.hash, c.body FROM patient p CROSS JOIN card c ON c.pid = p.pid AND c.live
                        WHERE p.id > ?1 ORDER BY p.id";
            rows(conn, sql, params![after], plain, each)
        }
        Scope::Ess(w) => {
            let Some(no) = ward(conn, w)? else { return Ok(()) };
            let sql =
                "SELECT m.id, c.ver, c.hash, c.body FROM ess_member m CROSS JOIN card c ON c.pid = m.pid
                        WHERE m.ward = ?2 AND m.id > ?1 ORDER BY m.id";
            rows(conn, sql, params![after, no], plain, each)
        }
        Scope::Board(w) => {
            let Some(no) = ward(conn, w)? else { return Ok(()) };
            let sql = "SELECT p.id, b.ver, b.hash, b.body FROM board b JOIN patient p ON p.pid = b.pid
                        WHERE b.ward = ?2 AND p.id > ?1 ORDER BY p.id";
            rows(conn, sql, params![after, no], plain, each)
        }
        Scope::Patient(p) => {
            let Some(pid) = pid(conn, p)? else { return Ok(()) };
            let (kind, id) = after.split_once('/').unwrap_or(("", ""));
            let sql = "SELECT id, rev, hash, body, version, kind FROM resource
                        WHERE pid = ?1 AND deleted = 0 AND pid IS NOT NULL AND (kind, id) > (?2, ?3)
                        ORDER BY kind, id";
            let read = |r: &Row<'_>| {
                resource(
                    format!("{}/{}", r.get_ref(5)?.as_str()?, r.get_ref(0)?.as_str()?),
                    r,
                )
            };
            rows(conn, sql, params![pid, kind, id], read, each)
        }
        Scope::Dir => {
            let after = after.strip_prefix("user/").unwrap_or(after);
            for a in accounts::all_accounts(conn)?
                .into_iter()
                .filter(|a| a.user.as_str() > after)
            {
                let packed = body::pack(&batch::dir_body(&a))?;
                let item = Raw {
                    key: batch::dir_key(a.user.as_str()),
                    ver: a.version,
                    version: None,
                    hash: None,
                    packed,
                };
                if !each(item)? {
                    break;
                }
            }
            Ok(())
        }
    }
}

fn rows(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Raw>,
    each: &mut dyn FnMut(Raw) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(sql).during(SCOPE)?;
    let mut rows = statement.query(params).during(SCOPE)?;
    while let Some(r) = rows.next().during(SCOPE)? {
        if !each(read(r).during(SCOPE)?)? {
            break;
        }
    }
    Ok(())
}

fn one_item(
    conn: &Connection,
    packs: &Packs,
    scope: &Scope,
    key: &str,
) -> Result<Option<ScopeItem>, StoreError> {
    let plain = |r: &Row<'_>| raw(r.get(0)?, r);
    let found = match scope {
        Scope::Site => {
            let sql = "SELECT p.id, c.ver, c.hash, c.body FROM patient p JOIN card c USING (pid)
                        WHERE p.id = ?1 AND c.live";
            one(conn, sql, [key], plain)
        }
        Scope::Ess(w) => {
            let sql = "SELECT m.id, c.ver, c.hash, c.body FROM ess_member m JOIN card c USING (pid)
                        WHERE m.ward = (SELECT no FROM ward WHERE id = ?2) AND m.id = ?1";
            one(conn, sql, [key, w.as_str()], plain)
        }
        Scope::Board(w) => {
            let sql = "SELECT p.id, b.ver, b.hash, b.body FROM patient p JOIN board b USING (pid)
                        WHERE p.id = ?1 AND b.ward = (SELECT no FROM ward WHERE id = ?2)";
            one(conn, sql, [key, w.as_str()], plain)
        }
        Scope::Patient(p) => {
            let (kind, id) = key.split_once('/').unwrap_or(("", ""));
            let sql =
                "SELECT r.id, r.rev, r.hash, r.body, r.version FROM resource r JOIN patient p USING (pid)
                        WHERE r.kind = ?1 AND r.id = ?2 AND p.id = ?3 AND r.deleted = 0";
            one(conn, sql, [kind, id, p.as_str()], |r| resource(key.to_owned(), r))
        }
        Scope::Dir => {
            let user = key.strip_prefix("user/").unwrap_or("");
            let account = accounts::one_account(conn, user)?;
            return Ok(account.map(|a| {
                let body = batch::dir_body(&a);
                ScopeItem {
                    key: key.to_owned(),
                    ver: a.version,
                    version: None,
                    hash: batch::body_hash(&body),
                    body: Bytes::from(body),
                }
            }));
        }
    };
    found.during(SCOPE)?.map(|raw| raw.item(packs)).transpose()
}

fn total(conn: &Connection, scope: &Scope) -> Result<u64, StoreError> {
    let n = match scope {
        Scope::Site => one(conn, "SELECT n FROM tally WHERE name = 'cards'", [], |r| r.get(0)),
        Scope::Ess(w) => {
            let sql = "SELECT count(*) FROM ess_member WHERE ward = (SELECT no FROM ward WHERE id = ?1)";
            one(conn, sql, [w.as_str()], |r| r.get(0))
        }
        Scope::Board(w) => {
            let sql = "SELECT count(*) FROM board WHERE ward = (SELECT no FROM ward WHERE id = ?1)";
            one(conn, sql, [w.as_str()], |r| r.get(0))
        }
        Scope::Patient(p) => one(
            conn,
            "SELECT live FROM patient WHERE id = ?1",
            [p.as_str()],
            |r| r.get(0),
        ),
        Scope::Dir => one(conn, "SELECT count(*) FROM account", [], |r| r.get(0)),
    };
    Ok(uint(n.during(SCOPE)?.unwrap_or(0)))
}

fn revision(conn: &Connection, patient: &PatientId) -> Result<u64, StoreError> {
    let rev = one(
        conn,
        "SELECT rev FROM patient WHERE id = ?1",
        [patient.as_str()],
        |r| r.get(0),
    );
    Ok(uint(rev.during(SCOPE)?.unwrap_or(0)))
}

fn page(
    conn: &Connection,
    packs: &Packs,
    scope: &Scope,
    after: Option<&str>,
    max_bytes: usize,
) -> Result<ScopePage, StoreError> {
    let mut items: Vec<ScopeItem> = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    walk(conn, scope, after, &mut |raw| {
        let item = raw.item(packs)?;
        bytes += item.body.len();
        if bytes > max_bytes && !items.is_empty() {
            more = true;
            return Ok(false);
        }
        items.push(item);
        Ok(true)
    })?;
    let next_after = items.last().filter(|_| more).map(|i| i.key.clone());
    let rev = match scope {
        Scope::Patient(p) => revision(conn, p)?,
        _ => 0,
    };
    Ok(ScopePage {
        items,
        next_after,
        pos: newest(conn)?,
        rev,
        total: total(conn, scope)?,
    })
}

#[async_trait]
impl Feed for SqlcipherStore {
    async fn epoch(&self) -> Result<String, StoreError> {
        Ok(self.epoch.borrow().clone())
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.pos.subscribe()
    }

    async fn changes_since(
        &self,
        pos: u64,
        scope: Option<&str>,
        limit: usize,
    ) -> Result<FeedBatch, StoreError> {
        let scope = scope.map(|s| seal::scope_of(s, None)).transpose()?;
        self.read_job(move |conn| changes(conn, pos, scope.as_ref(), limit))
            .await
    }

    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError> {
        let (scope, keys, packs) = (seal::scope_of(scope, None)?, keys.to_vec(), self.packs_here());
        self.read_job(move |conn| {
            let found = keys.iter().map(|key| one_item(conn, &packs, &scope, key));
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError> {
        let scope = seal::scope_of(scope, Some(permit))?;
        let (asked, after, packs) = (scope.clone(), after.map(str::to_owned), self.packs_here());
        let found = self
            .read_job(move |conn| page(conn, &packs, &asked, after.as_deref(), max_bytes))
            .await?;
        seal::page(permit, &scope, found)
    }

    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError> {
        let (scope, packs) = (seal::scope_of(scope, None)?, self.packs_here());
        self.read_job(move |conn| {
            let mut refs = Vec::new();
            walk(conn, &scope, None, &mut |raw| {
                refs.push(match raw.hash {
                    Some(hash) => ItemRef {
                        key: raw.key,
                        ver: raw.ver,
                        hash,
                    },
                    None => {
                        let item = raw.item(&packs)?;
                        ItemRef {
                            key: item.key,
                            ver: item.ver,
                            hash: item.hash,
                        }
                    }
                });
                Ok(true)
            })?;
            Ok((refs, newest(conn)?))
        })
        .await
    }

    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError> {
        let patient = patient.clone();
        self.read_job(move |conn| revision(conn, &patient)).await
    }

    async fn prune(&self, up_to: u64) -> Result<(), StoreError> {
        self.write(1, move |conn, _| {
            let up_to = int(up_to.min(newest(conn)?));
            run(conn, "DELETE FROM change_log WHERE seq <= ?1", [up_to]).during("pruning the feed")?;
            let sql = "UPDATE meta SET value = max(CAST(value AS INTEGER), ?1) WHERE key = 'feed_oldest'";
            run(conn, sql, [up_to]).during("pruning the feed").map(|_| ())
        })
        .await
    }
}

/// Wards that have a board or essentials, by name: for reports.
pub(super) fn wards(conn: &Connection) -> Result<Vec<WardId>, StoreError> {
    all(conn, "SELECT id FROM ward ORDER BY id", [], |r| {
        parsed(0, WardId::new(r.get::<_, String>(0)?))
    })
    .during(SCOPE)
}
