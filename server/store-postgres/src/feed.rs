//! The change feed and the state of scopes.

use crate::acts::{Act, all_accounts, one_account};
use crate::charts::newest;
use crate::sql::{self, During, Fault, all, col, hash16, int, one, parsed, uint};
use crate::vault::{Place, Vault};
use crate::{PostgresStore, sql::Params};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::{IsolationLevel, Row};
use vitrine_access::action::SyncScope;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, WardId};
use vitrine_store::scope::Scope;
use vitrine_store::{Feed, FeedBatch, FeedRow, ItemRef, ScopeItem, ScopePage, StoreError, batch, seal};

const READING: &str = "reading the change feed";
const SCOPE: &str = "reading a scope";
/// Items of a scope read at a time.
const STRETCH: i64 = 500;

/// The newest position, also when retention has removed every row.
pub(crate) const NEWEST: &str = "SELECT greatest((SELECT max(pos) FROM change_log),
    (SELECT value::bigint FROM meta WHERE key = 'feed_newest'))";

async fn number_of<C: GenericClient>(c: &C, sql: &str, id: &str) -> Result<Option<i64>, Fault> {
    let row = one(c, SCOPE, sql, &[&id]).await?;
    row.map(|r| col(&r, 0, SCOPE)).transpose()
}

async fn ward<C: GenericClient>(c: &C, id: &WardId) -> Result<Option<i64>, Fault> {
    number_of(c, "SELECT no FROM ward WHERE id = $1", id.as_str()).await
}

async fn pid<C: GenericClient>(c: &C, id: &PatientId) -> Result<Option<i64>, Fault> {
    number_of(c, "SELECT pid FROM patient WHERE id = $1", id.as_str()).await
}

/// The number of a scope in the feed (see the schema); `None` when nothing was ever in it.
async fn number<C: GenericClient>(c: &C, scope: &Scope) -> Result<Option<i64>, Fault> {
    Ok(match scope {
        Scope::Dir => Some(1),
        Scope::Site => Some(2),
        Scope::Ess(w) => ward(c, w).await?.map(|no| 10 + 2 * no),
        Scope::Board(w) => ward(c, w).await?.map(|no| 11 + 2 * no),
        Scope::Patient(p) => pid(c, p).await?.map(|pid| -pid),
    })
}

const FEED_SELECT: &str = "SELECT c.pos, c.scope, c.prev, c.ver, c.tomb, p.id, r.kind, r.id, w.id, a.name
  FROM change_log c
  LEFT JOIN resource r ON c.scope < 0 AND r.rid = c.ref
  LEFT JOIN patient p ON p.pid = CASE WHEN c.scope < 0 THEN -c.scope WHEN c.scope > 1 THEN c.ref END
  LEFT JOIN ward w ON w.no = CASE WHEN c.scope >= 10 THEN (c.scope - 10) / 2 END
  LEFT JOIN account a ON c.scope = 1 AND a.no = c.ref";

/// The feed of every scope after a position.
#[must_use]
pub fn feed_sql() -> String {
    format!("{FEED_SELECT} WHERE c.pos > $1 ORDER BY c.pos LIMIT $2")
}

fn feed_row(r: &Row) -> Result<FeedRow, Fault> {
    let text = |index: usize| -> Result<String, Fault> {
        Ok(col::<Option<String>>(r, index, READING)?.unwrap_or_default())
    };
    let scope: i64 = col(r, 1, READING)?;
    let (scope, key) = match scope {
        1 => ("dir".to_owned(), batch::dir_key(&text(9)?)),
        2 => ("ess:site".to_owned(), text(5)?),
        n if n < 0 => (format!("pat:{}", text(5)?), format!("{}/{}", text(6)?, text(7)?)),
        n => {
            let name = if n % 2 == 0 { "ess" } else { "board" };
            (format!("{name}:{}", text(8)?), text(5)?)
        }
    };
    Ok(FeedRow {
        pos: uint(col(r, 0, READING)?),
        scope,
        key,
        prev: uint(col(r, 2, READING)?),
        ver: uint(col(r, 3, READING)?),
        tomb: col(r, 4, READING)?,
    })
}

async fn changes<C: GenericClient>(
    c: &C,
    pos: u64,
    scope: Option<&Scope>,
    limit: usize,
) -> Result<FeedBatch, Fault> {
    let limit = limit.max(1);
    let ask = i64::try_from(limit).unwrap_or(i64::MAX);
    let oldest = one(
        c,
        READING,
        "SELECT value::bigint FROM meta WHERE key = 'feed_oldest'",
        &[],
    )
    .await?;
    let oldest = oldest.map_or(Ok(0), |r| col(&r, 0, READING)).map(uint)?;
    // Asked first: positions are in commit order, so whatever is at or before it is seen by what is asked next.
    let newest = newest(c).await?;
    let rows = match scope {
        None => all(c, READING, &feed_sql(), &[&int(pos), &ask]).await?,
        Some(scope) => match number(c, scope).await? {
            Some(n) => {
                let sql = format!("{FEED_SELECT} WHERE c.scope = $3 AND c.pos > $1 ORDER BY c.pos LIMIT $2");
                all(c, READING, &sql, &[&int(pos), &ask, &n]).await?
            }
            None => Vec::new(),
        },
    };
    let rows: Vec<FeedRow> = rows.iter().map(feed_row).collect::<Result<_, _>>()?;
    let last = rows.last().map(|r| r.pos);
    let reached = match last.filter(|_| rows.len() >= limit) {
        Some(last) => last,
        None => newest.max(pos).max(last.unwrap_or(0)),
    };
    Ok(FeedBatch {
        rows,
        pos: reached,
        oldest,
    })
}

/// An item before its body is opened.
struct Raw {
    key: String,
    ver: u64,
    version: Option<u64>,
    hash: Option<[u8; 16]>,
    body: Vec<u8>,
}

impl Raw {
    fn item(self) -> ScopeItem {
        let hash = self.hash.unwrap_or_else(|| batch::body_hash(&self.body));
        ScopeItem {
            key: self.key,
            ver: self.ver,
            version: self.version,
            hash,
            body: Bytes::from(self.body),
        }
    }
}

#[derive(Clone, Copy)]
enum Kept {
    Card,
    Board,
    Resource,
}

impl Kept {
    fn place(self, number: i64) -> Place<'static> {
        match self {
            Self::Card => Place::Card(number),
            Self::Board => Place::Board(number),
            Self::Resource => Place::Resource(number),
        }
    }
}

/// `key, ver, hash, number, body`, and of a resource its own version.
fn raw(vault: &Vault, kept: Kept, r: &Row) -> Result<Raw, Fault> {
    let sealed: Option<&[u8]> = col(r, 4, SCOPE)?;
    let body = match sealed {
        Some(s) => vault.get(kept.place(col(r, 3, SCOPE)?), s)?,
        None => Vec::new(),
    };
    Ok(Raw {
        key: col(r, 0, SCOPE)?,
        ver: uint(col(r, 1, SCOPE)?),
        version: match kept {
            Kept::Resource => Some(uint(col(r, 5, SCOPE)?)),
            Kept::Card | Kept::Board => None,
        },
        hash: hash16(col(r, 2, SCOPE)?),
        body,
    })
}

/// The items of a scope after a key, in key order.
pub(crate) async fn stretch<C: GenericClient>(
    c: &C,
    vault: &Vault,
    scope: &Scope,
    after: &str,
    limit: i64,
) -> Result<Vec<ScopeItem>, Fault> {
    let (rows, kept) = match scope {
        Scope::Site => {
            let sql = "SELECT p.id, c.ver, c.hash, c.pid, c.body FROM patient p JOIN card c ON c.pid = p.pid AND c.live
                        WHERE p.id > $1 ORDER BY p.id LIMIT $2";
            (all(c, SCOPE, sql, &[&after, &limit]).await?, Kept::Card)
        }
        Scope::Ess(w) => {
            let Some(no) = ward(c, w).await? else {
                return Ok(Vec::new());
            };
            let sql =
                "SELECT m.id, c.ver, c.hash, c.pid, c.body FROM ess_member m JOIN card c ON c.pid = m.pid
                        WHERE m.ward = $3 AND m.id > $1 ORDER BY m.id LIMIT $2";
            (all(c, SCOPE, sql, &[&after, &limit, &no]).await?, Kept::Card)
        }
        Scope::Board(w) => {
            let Some(no) = ward(c, w).await? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT p.id, b.ver, b.hash, b.pid, b.body FROM board b JOIN patient p ON p.pid = b.pid
                        WHERE b.ward = $3 AND p.id > $1 ORDER BY p.id LIMIT $2";
            (all(c, SCOPE, sql, &[&after, &limit, &no]).await?, Kept::Board)
        }
        Scope::Patient(p) => {
            let Some(pid) = pid(c, p).await? else {
                return Ok(Vec::new());
            };
            let (kind, id) = after.split_once('/').unwrap_or(("", ""));
            let sql = "SELECT kind || '/' || id, rev, hash, rid, body, version FROM resource
                        WHERE pid = $4 AND NOT deleted AND pid IS NOT NULL AND (kind, id) > ($1, $3)
                        ORDER BY kind, id LIMIT $2";
            let with: Params<'_> = &[&kind, &limit, &id, &pid];
            (all(c, SCOPE, sql, with).await?, Kept::Resource)
        }
        Scope::Dir => {
            let after = after.strip_prefix("user/").unwrap_or(after);
            let accounts = all_accounts(c).await?.into_iter();
            return Ok(accounts
                .filter(|a| a.user.as_str() > after)
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .map(|a| directory(&a))
                .collect());
        }
    };
    let items = rows.iter().map(|r| Ok(raw(vault, kept, r)?.item()));
    items.collect()
}

fn directory(a: &vitrine_store::Account) -> ScopeItem {
    let body = batch::dir_body(a);
    ScopeItem {
        key: batch::dir_key(a.user.as_str()),
        ver: a.version,
        version: None,
        hash: batch::body_hash(&body),
        body: Bytes::from(body),
    }
}

async fn some_items<C: GenericClient>(
    c: &C,
    vault: &Vault,
    scope: &Scope,
    keys: &[String],
) -> Result<Vec<ScopeItem>, Fault> {
    let (rows, kept) = match scope {
        Scope::Site => {
            let sql = "SELECT p.id, c.ver, c.hash, c.pid, c.body FROM patient p JOIN card c USING (pid)
                        WHERE p.id = ANY($1) AND c.live";
            (all(c, SCOPE, sql, &[&keys]).await?, Kept::Card)
        }
        Scope::Ess(w) => {
            let sql = "SELECT m.id, c.ver, c.hash, c.pid, c.body FROM ess_member m JOIN card c USING (pid)
                        WHERE m.ward = (SELECT no FROM ward WHERE id = $2) AND m.id = ANY($1)";
            (all(c, SCOPE, sql, &[&keys, &w.as_str()]).await?, Kept::Card)
        }
        Scope::Board(w) => {
            let sql = "SELECT p.id, b.ver, b.hash, b.pid, b.body FROM patient p JOIN board b USING (pid)
                        WHERE p.id = ANY($1) AND b.ward = (SELECT no FROM ward WHERE id = $2)";
            (all(c, SCOPE, sql, &[&keys, &w.as_str()]).await?, Kept::Board)
        }
        Scope::Patient(p) => {
            let split: Vec<(&str, &str)> = keys.iter().filter_map(|k| k.split_once('/')).collect();
            let (kinds, ids): (Vec<&str>, Vec<&str>) = split.into_iter().unzip();
            let sql = "SELECT r.kind || '/' || r.id, r.rev, r.hash, r.rid, r.body, r.version
                         FROM unnest($1::text[], $2::text[]) k(kind, id) JOIN resource r USING (kind, id)
                         JOIN patient p USING (pid) WHERE p.id = $3 AND NOT r.deleted";
            let with: Params<'_> = &[&kinds, &ids, &p.as_str()];
            (all(c, SCOPE, sql, with).await?, Kept::Resource)
        }
        Scope::Dir => {
            let mut out = Vec::new();
            for key in keys {
                let user = key.strip_prefix("user/").unwrap_or("");
                out.extend(one_account(c, user).await?.as_ref().map(directory));
            }
            return Ok(out);
        }
    };
    let mut found = std::collections::HashMap::new();
    for r in &rows {
        let item = raw(vault, kept, r)?.item();
        found.insert(item.key.clone(), item);
    }
    Ok(keys.iter().filter_map(|k| found.remove(k)).collect())
}

async fn total<C: GenericClient>(c: &C, scope: &Scope) -> Result<u64, Fault> {
    let (sql, id) = match scope {
        Scope::Site => (
            "SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE name = 'cards' AND $1 = ''",
            "",
        ),
        Scope::Ess(w) => (
            "SELECT count(*) FROM ess_member WHERE ward = (SELECT no FROM ward WHERE id = $1)",
            w.as_str(),
        ),
        Scope::Board(w) => (
            "SELECT count(*) FROM board WHERE ward = (SELECT no FROM ward WHERE id = $1)",
            w.as_str(),
        ),
        Scope::Patient(p) => ("SELECT live FROM patient WHERE id = $1", p.as_str()),
        Scope::Dir => ("SELECT count(*) FROM account WHERE $1 = ''", ""),
    };
    Ok(number_of(c, sql, id).await?.map_or(0, uint))
}

async fn revision<C: GenericClient>(c: &C, patient: &PatientId) -> Result<u64, Fault> {
    let rev = number_of(c, "SELECT rev FROM patient WHERE id = $1", patient.as_str()).await?;
    Ok(rev.map_or(0, uint))
}

async fn page(
    tx: &Transaction<'_>,
    vault: &Vault,
    scope: &Scope,
    after: Option<&str>,
    max_bytes: usize,
) -> Result<ScopePage, Fault> {
    let mut items: Vec<ScopeItem> = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    let mut from = after.unwrap_or("").to_owned();
    // Most pages are short: a first look asks for few.
    let mut ask = 64;
    'all: loop {
        let found = stretch(tx, vault, scope, &from, ask).await?;
        let full = i64::try_from(found.len()).unwrap_or(0) >= ask;
        for item in found {
            bytes += item.body.len();
            if bytes > max_bytes && !items.is_empty() {
                more = true;
                break 'all;
            }
            from.clone_from(&item.key);
            items.push(item);
        }
        if !full {
            break;
        }
        ask = STRETCH;
    }
    let next_after = items.last().filter(|_| more).map(|i| i.key.clone());
    let rev = match scope {
        Scope::Patient(p) => revision(tx, p).await?,
        _ => 0,
    };
    Ok(ScopePage {
        items,
        next_after,
        pos: newest(tx).await?,
        rev,
        total: total(tx, scope).await?,
    })
}

/// One moment of the database: pages and their position belong together.
async fn moment(client: &mut deadpool_postgres::Client) -> Result<Transaction<'_>, Fault> {
    client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .during(SCOPE)
}

#[async_trait]
impl Feed for PostgresStore {
    /// Known while nothing can be read; but a store that has had neither primary nor replica for longer than writes wait
    /// does not answer, and `/readyz` says so.
    async fn epoch(&self) -> Result<String, StoreError> {
        if self.is_gone() {
            return Err(StoreError::Backend {
                doing: "asking PostgreSQL for its epoch",
                cause: "no primary has answered for some time, and there is no replica".to_owned(),
            });
        }
        Ok(self.present_epoch())
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.positions()
    }

    async fn changes_since(
        &self,
        pos: u64,
        scope: Option<&str>,
        limit: usize,
    ) -> Result<FeedBatch, StoreError> {
        let scope = scope.map(|s| seal::scope_of(s, None)).transpose()?;
        Ok(changes(&self.reader().await?, pos, scope.as_ref(), limit).await?)
    }

    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError> {
        let scope = seal::scope_of(scope, None)?;
        Ok(some_items(&self.reader().await?, self.vault(), &scope, keys).await?)
    }

    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError> {
        let scope = seal::scope_of(scope, Some(permit))?;
        let mut client = self.reader().await?;
        let tx = moment(&mut client).await?;
        let found = page(&tx, self.vault(), &scope, after, max_bytes).await?;
        seal::page(permit, &scope, found)
    }

    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError> {
        let scope = seal::scope_of(scope, None)?;
        let mut client = self.reader().await?;
        let tx = moment(&mut client).await?;
        let refs = refs(&tx, self.vault(), &scope).await?;
        Ok((refs, newest(&tx).await?))
    }

    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError> {
        Ok(revision(&self.reader().await?, patient).await?)
    }

    async fn prune(&self, up_to: u64) -> Result<(), StoreError> {
        self.act(Act::Prune(up_to), None).await.map(|_| ())
    }
}

/// Items without bodies. A hash that a statement of somebody else's left empty is computed from the body.
async fn refs(tx: &Transaction<'_>, vault: &Vault, scope: &Scope) -> Result<Vec<ItemRef>, Fault> {
    let rows = match scope {
        Scope::Site => {
            let sql = "SELECT p.id, c.ver, c.hash FROM patient p JOIN card c ON c.pid = p.pid AND c.live ORDER BY p.id";
            all(tx, SCOPE, sql, &[]).await?
        }
        Scope::Ess(w) => {
            let Some(no) = ward(tx, w).await? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT m.id, c.ver, c.hash FROM ess_member m JOIN card c ON c.pid = m.pid
                        WHERE m.ward = $1 ORDER BY m.id";
            all(tx, SCOPE, sql, &[&no]).await?
        }
        Scope::Board(w) => {
            let Some(no) = ward(tx, w).await? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT p.id, b.ver, b.hash FROM board b JOIN patient p ON p.pid = b.pid
                        WHERE b.ward = $1 ORDER BY p.id";
            all(tx, SCOPE, sql, &[&no]).await?
        }
        Scope::Patient(p) => {
            let Some(pid) = pid(tx, p).await? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT kind || '/' || id, rev, hash FROM resource
                        WHERE pid = $1 AND NOT deleted AND pid IS NOT NULL ORDER BY kind, id";
            all(tx, SCOPE, sql, &[&pid]).await?
        }
        Scope::Dir => {
            let accounts = all_accounts(tx).await?;
            return Ok(accounts.iter().map(|a| reference(directory(a))).collect());
        }
    };
    let mut out = Vec::with_capacity(rows.len());
    let mut bare = Vec::new();
    for r in &rows {
        let key: String = col(r, 0, SCOPE)?;
        let hash = hash16(col(r, 2, SCOPE)?);
        if hash.is_none() {
            bare.push(key.clone());
        }
        out.push(ItemRef {
            key,
            ver: uint(col(r, 1, SCOPE)?),
            hash: hash.unwrap_or_default(),
        });
    }
    if !bare.is_empty() {
        let mut hashes: std::collections::HashMap<String, [u8; 16]> = some_items(tx, vault, scope, &bare)
            .await?
            .into_iter()
            .map(|i| (i.key, i.hash))
            .collect();
        for r in &mut out {
            if let Some(hash) = hashes.remove(&r.key) {
                r.hash = hash;
            }
        }
    }
    Ok(out)
}

fn reference(item: ScopeItem) -> ItemRef {
    ItemRef {
        key: item.key,
        ver: item.ver,
        hash: item.hash,
    }
}

/// Wards that have ever had a patient, by name.
pub(crate) async fn wards<C: GenericClient>(c: &C) -> Result<Vec<WardId>, Fault> {
    let rows = sql::all(c, SCOPE, "SELECT id FROM ward ORDER BY id", &[]).await?;
    rows.iter()
        .map(|r| parsed(WardId::new(col::<String>(r, 0, SCOPE)?), SCOPE))
        .collect()
}
