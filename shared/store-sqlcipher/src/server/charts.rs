//! The record: writing it, reading charts, cards, single resources, searching.

use super::apply::apply;
use super::prepare::{current, prepare};
use super::sql::{During, all, int, one, parsed, run, uint};
use super::{ServerGroup, SqlcipherStore, audit_find, body, persons};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use std::collections::HashSet;
use vitrine_access::action::{ImportData, ReadCard, ReadChart, ReadResource, SearchPatients, WriteClinical};
use vitrine_access::{Action, Disclosure, Permit, Receipt, Sealed};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs, WardId};
use vitrine_store::notes::{NoteHits, NoteQuery};
use vitrine_store::pack::Packs;
use vitrine_store::scope::ChartToken;
use vitrine_store::{
    Applied, ArchivedResource, ChangeBatch, ChartStore, Counts, HistoryPage, Page, PatientHit,
    QuarantineItem, QuarantineRow, SearchBy, SearchHits, SearchQuery, StoreError, StoredCard, StoredResource,
    seal, search,
};

/// Audit rows that are taken into their index in the time of one person.
const ROWS_FOR_ONE: usize = 20;
pub(super) const READING: &str = "reading the record";

impl SqlcipherStore {
    async fn apply_as<A: Action>(
        &self,
        permit: &Permit<A>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        let weight = batch.ops.len();
        let (projector, packs) = (self.projector.clone(), self.packs_here());
        let prepared = self
            .preparers
            .run(move |conn| prepare(batch, &*projector, conn, &packs))
            .await?;
        let projector = self.projector.clone();
        let (owner, entry) = (permit.patient().cloned(), permit.entry(Disclosure::default()));
        let job = move |conn: &Connection, group: &mut ServerGroup| {
            apply(conn, group, &*projector, owner.as_ref(), entry, &prepared)
        };
        self.write(weight, job).await
    }
}

pub(super) struct Stored {
    resource: StoredResource,
    packed: Option<Vec<u8>>,
}

pub(super) fn stored(key: &ResourceKey, patient: Option<PatientId>, r: &Row<'_>) -> rusqlite::Result<Stored> {
    let resource = StoredResource {
        key: key.clone(),
        version: uint(r.get(0)?),
        updated: UtcMs(r.get(1)?),
        patient,
        body: Bytes::new(),
        deleted: r.get(2)?,
    };
    Ok(Stored {
        resource,
        packed: r.get(3)?,
    })
}

impl Stored {
    /// Key, version and when that was made.
    pub(super) fn is(&self) -> (ResourceKey, u64, UtcMs) {
        let r = &self.resource;
        (r.key.clone(), r.version, r.updated)
    }

    pub(super) fn unpacked(self, packs: &Packs) -> Result<StoredResource, StoreError> {
        let body = match self.packed {
            Some(packed) => Bytes::from(body::open(Some(packs), &packed)?),
            None => Bytes::new(),
        };
        Ok(StoredResource {
            body,
            ..self.resource
        })
    }
}

/// Where a resource is and whose: `(rid, version, patient)`.
fn place(conn: &Connection, key: &ResourceKey) -> Result<Option<(i64, u64, Option<PatientId>)>, StoreError> {
    let sql = "SELECT r.rid, r.version, p.id FROM resource r LEFT JOIN patient p USING (pid)
                WHERE r.kind = ?1 AND r.id = ?2";
    one(conn, sql, [key.kind.as_str(), key.id.as_str()], |r| {
        let id: Option<String> = r.get(2)?;
        Ok((
            r.get(0)?,
            uint(r.get(1)?),
            id.map(|id| parsed(2, PatientId::new(id))).transpose()?,
        ))
    })
    .during(READING)
}

/// `version`: `None` = the current one. `owner`: the permit's patient, who may see what is theirs and what is nobody's.
fn resource(
    conn: &Connection,
    packs: &Packs,
    key: &ResourceKey,
    version: Option<u64>,
    owner: Option<&PatientId>,
) -> Result<Option<StoredResource>, StoreError> {
    let Some((rid, newest, patient)) = place(conn, key)? else {
        return Ok(None);
    };
    if patient.is_some() && patient.as_ref() != owner {
        return Err(StoreError::WrongPatient(key.to_string()));
    }
    let version = version.unwrap_or(newest);
    let sql = if version == newest {
        "SELECT version, updated, deleted, body FROM resource WHERE rid = ?1 AND version = ?2"
    } else {
        "SELECT version, updated, deleted, body FROM resource_version WHERE rid = ?1 AND version = ?2"
    };
    let found = one(conn, sql, [rid, int(version)], |r| stored(key, patient, r)).during(READING)?;
    found.map(|f| f.unpacked(packs)).transpose()
}

fn chart_page(
    conn: &Connection,
    packs: &Packs,
    patient: &PatientId,
    after: Option<ChartToken>,
    limit: usize,
) -> Result<HistoryPage, StoreError> {
    let found = one(
        conn,
        "SELECT pid, live FROM patient WHERE id = ?1",
        [patient.as_str()],
        |r| Ok((r.get::<_, i64>(0)?, uint(r.get(1)?))),
    );
    let Some((pid, total)) = found.during(READING)? else {
        return Ok(HistoryPage {
            resources: Vec::new(),
            next: None,
            archived: Vec::new(),
            total: 0,
            withheld: 0,
        });
    };
    let sql = "SELECT version, updated, deleted, body, kind, id, rid FROM resource
                WHERE pid = ?1 AND rank = ?2 AND rid < ?3 AND deleted = 0 AND pid IS NOT NULL
                ORDER BY rid DESC LIMIT ?4";
    let mut resources = Vec::new();
    let mut archived = Vec::new();
    let mut last = None;
    let mut more = false;
    for rank in after.map_or(0, |a| a.rank)..=1 {
        let below = after
            .filter(|a| a.rank == rank)
            .map_or(i64::MAX, |a| int(a.number));
        let left = limit.max(1) - resources.len() - archived.len();
        let ask = i64::try_from(left + 1).unwrap_or(i64::MAX);
        let rows = all(conn, sql, params![pid, rank, below, ask], |r| {
            let kind: String = r.get(4)?;
            let id: String = r.get(5)?;
            let key = parsed(5, ResourceKey::new(&kind, &id))?;
            Ok((stored(&key, Some(patient.clone()), r)?, uint(r.get(6)?)))
        });
        for (n, (row, number)) in rows.during(READING)?.into_iter().enumerate() {
            if n == left {
                more = true;
                break;
            }
            let (key, version, updated) = row.is();
            match row.unpacked(packs) {
                Ok(found) => resources.push(found),
                Err(StoreError::Archived { pack, .. }) => archived.push(ArchivedResource {
                    key,
                    version,
                    updated,
                    pack,
                }),
                Err(e) => return Err(e),
            }
            last = Some(ChartToken { rank, number });
        }
        if more {
            break;
        }
    }
    Ok(HistoryPage {
        resources,
        next: last.filter(|_| more).map(|t| t.to_string()),
        archived,
        total,
        withheld: 0,
    })
}

pub(super) fn card(conn: &Connection, patient: &PatientId) -> Result<Option<StoredCard>, StoreError> {
    let sql = "SELECT c.ver, c.updated, w.id, c.body FROM patient p JOIN card c USING (pid)
                 LEFT JOIN ward w ON w.no = c.ward
                WHERE p.id = ?1 AND c.live";
    let found = one(conn, sql, [patient.as_str()], |r| {
        let ward: Option<String> = r.get(2)?;
        let card = StoredCard {
            patient: patient.clone(),
            version: uint(r.get(0)?),
            updated: UtcMs(r.get(1)?),
            ward: ward.map(|w| parsed(2, WardId::new(w))).transpose()?,
            body: Bytes::new(),
        };
        Ok((card, r.get::<_, Vec<u8>>(3)?))
    });
    let Some((card, packed)) = found.during("reading an emergency card")? else {
        return Ok(None);
    };
    Ok(Some(StoredCard {
        body: Bytes::from(body::unpack(&packed)?),
        ..card
    }))
}

/// How the terms are looked for.
#[derive(Clone, Copy)]
enum Pass {
    /// Whole name words, numbers, birth dates.
    Whole,
    /// Beginnings of name words, numbers, birth dates.
    Beginnings,
    /// Whole name words.
    Names,
    /// What sounds like a name word.
    Sounds,
}

/// The full-text query of some terms. Terms are letters and digits alone, so quoting them is enough.
fn match_text(terms: &[search::Term], pass: Pass) -> String {
    let words: Vec<String> = terms
        .iter()
        .map(|t| match pass {
            Pass::Names | Pass::Sounds => format!("(names : \"{}\")", t.name),
            Pass::Whole => format!("(names : \"{}\" OR whole : \"{}\")", t.name, t.whole),
            Pass::Beginnings => format!("(names : \"{}\" * OR whole : \"{}\")", t.name, t.whole),
        })
        .collect();
    words.join(" AND ")
}

/// Those who have one of the codes of every term: `?2` is the limit, the codes follow.
fn sound_sql(terms: &[search::Term], codes: &mut Vec<String>) -> String {
    let mut sets = Vec::new();
    for t in terms {
        let first = codes.len() + 2;
        codes.extend(search::sounds(&t.name));
        let marks: Vec<String> = (first..codes.len() + 2).map(|n| format!("?{n}")).collect();
        sets.push(format!(
            "SELECT DISTINCT pid FROM sound WHERE code IN ({})",
            marks.join(", ")
        ));
    }
    format!(
        "SELECT p.id, c.ver, c.body FROM ({}) f CROSS JOIN card c ON c.pid = f.pid AND c.live
           CROSS JOIN patient p ON p.pid = f.pid LIMIT ?1",
        sets.join(" INTERSECT ")
    )
}

fn find(
    conn: &Connection,
    terms: &[search::Term],
    pass: Pass,
    limit: usize,
) -> Result<Vec<PatientHit>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut with = Vec::new();
    let sql = if matches!(pass, Pass::Sounds) {
        sound_sql(terms, &mut with)
    } else {
        with.push(match_text(terms, pass));
        "SELECT p.id, c.ver, c.body FROM person f CROSS JOIN card c ON c.pid = f.rowid AND c.live
           CROSS JOIN patient p ON p.pid = f.rowid
          WHERE f.person MATCH ?2 LIMIT ?1"
            .to_owned()
    };
    let params = std::iter::once(Value::from(limit)).chain(with.into_iter().map(Value::from));
    let found = all(conn, &sql, params_from_iter(params), |r| {
        Ok((
            parsed(0, PatientId::new(r.get::<_, String>(0)?))?,
            uint(r.get(1)?),
            r.get::<_, Vec<u8>>(2)?,
        ))
    });
    let hits = found
        .during("searching patients")?
        .into_iter()
        .map(|(patient, version, packed)| {
            Ok(PatientHit {
                patient,
                version,
                card: Bytes::from(body::unpack(&packed)?),
            })
        });
    hits.collect()
}

/// Whole names first, then names that begin so, or sound so.
fn search_hits(conn: &Connection, query: &SearchQuery) -> Result<SearchHits, StoreError> {
    let terms = search::terms(&query.text);
    let of = one(conn, "SELECT n FROM tally WHERE name = 'persons'", [], |r| {
        r.get(0)
    })
    .during(READING)?;
    let of = uint(of.unwrap_or(0));
    if terms.is_empty() {
        return Ok(SearchHits {
            hits: Vec::new(),
            more: false,
            of,
        });
    }
    let (first, all) = match query.by {
        SearchBy::Words => (Pass::Whole, Pass::Beginnings),
        SearchBy::Sound => (Pass::Names, Pass::Sounds),
    };
    if query.by == SearchBy::Sound {
        let left = persons::due(conn)?;
        if left > 0 {
            return Err(StoreError::NotIndexed { left });
        }
    }
    let ask = query.limit.saturating_add(1);
    let mut hits = find(conn, &terms, first, ask)?;
    if hits.len() < ask {
        let known: HashSet<PatientId> = hits.iter().map(|h| h.patient.clone()).collect();
        let wider = find(conn, &terms, all, ask.saturating_add(hits.len()))?;
        hits.extend(wider.into_iter().filter(|h| !known.contains(&h.patient)));
    }
    let more = hits.len() > query.limit;
    hits.truncate(query.limit);
    Ok(SearchHits { hits, more, of })
}

fn counts(conn: &Connection) -> Result<Counts, StoreError> {
    let number = |sql: &str| {
        one(conn, sql, [], |r| r.get::<_, i64>(0))
            .map(|n| uint(n.unwrap_or(0)))
            .during(READING)
    };
    let kinds = all(
        conn,
        "SELECT substr(name, 6), n FROM tally WHERE name LIKE 'kind:%' AND n > 0",
        [],
        |r| Ok((r.get::<_, String>(0)?, uint(r.get(1)?))),
    );
    Ok(Counts {
        resources: kinds.during(READING)?.into_iter().collect(),
        patients: number("SELECT n FROM tally WHERE name = 'cards'")?,
        quarantined: number("SELECT count(*) FROM quarantine")?,
        audit_rows: number("SELECT coalesce(max(seq), 0) FROM audit")?,
        devices: number("SELECT count(*) FROM device")?,
    })
}

#[async_trait]
impl ChartStore for SqlcipherStore {
    async fn apply(
        &self,
        permit: &Permit<WriteClinical>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        self.apply_as(permit, batch).await
    }

    async fn import(
        &self,
        permit: &Permit<ImportData>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        self.apply_as(permit, batch).await
    }

    async fn quarantine(
        &self,
        permit: &Permit<ImportData>,
        at: UtcMs,
        items: Vec<QuarantineItem>,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(items.len(), move |conn, group| {
            let sql = "INSERT INTO quarantine (at, location, kind, reason, expression, bytes, body)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            for i in &items {
                let bytes = int(i.body.len() as u64);
                let row = params![
                    at.0,
                    i.location,
                    i.kind,
                    i.reason,
                    i.expression,
                    bytes,
                    body::pack(&i.body)?
                ];
                run(conn, sql, row).during("keeping what was not taken")?;
            }
            group.record(conn, &entry)
        })
        .await
    }

    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_job(move |conn| {
            let sql = "SELECT id, at, location, kind, reason, expression, bytes FROM quarantine
                        ORDER BY id DESC LIMIT ?1";
            all(conn, sql, [limit], |r| {
                Ok(QuarantineRow {
                    id: uint(r.get(0)?),
                    at: UtcMs(r.get(1)?),
                    location: r.get(2)?,
                    kind: r.get(3)?,
                    reason: r.get(4)?,
                    expression: r.get(5)?,
                    bytes: uint(r.get(6)?),
                })
            })
            .during("listing the quarantine")
        })
        .await
    }

    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let (key, owner, packs) = (key.clone(), permit.patient().cloned(), self.packs_here());
        let found = self
            .read_job(move |conn| resource(conn, &packs, &key, None, owner.as_ref()))
            .await?;
        seal::resource(permit, found)
    }

    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let (key, owner, packs) = (key.clone(), permit.patient().cloned(), self.packs_here());
        let found = self
            .read_job(move |conn| resource(conn, &packs, &key, Some(version), owner.as_ref()))
            .await?;
        seal::resource(permit, found)
    }

    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let (after, packs) = (seal::chart_token(&page)?, self.packs_here());
        let found = self
            .read_job(move |conn| chart_page(conn, &packs, &patient, after, page.limit))
            .await?;
        Ok(seal::chart(permit, found))
    }

    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let asked = patient.clone();
        let found = self.reserved.run_near(move |conn| card(conn, &asked)).await?;
        seal::card(permit, found)
    }

    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let query = query.clone();
        let found = self.read_job(move |conn| search_hits(conn, &query)).await?;
        seal::hits(permit, found)
    }

    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let patients = patients.to_vec();
        let found = self
            .read_job(move |conn| {
                let cards = patients.iter().filter_map(|p| card(conn, p).transpose());
                cards.collect::<Result<Vec<StoredCard>, StoreError>>()
            })
            .await?;
        seal::identities(permit, found)
    }

    async fn notes(
        &self,
        permit: &Permit<ReadChart>,
        query: &NoteQuery,
    ) -> Result<Sealed<NoteHits>, StoreError> {
        let patient = seal::patient_of(permit)?;
        Ok(seal::notes(
            permit,
            self.find_notes(&patient, query, permit.clearance()).await?,
        ))
    }

    async fn whereabouts(&self, patient: &PatientId) -> Result<Option<Option<WardId>>, StoreError> {
        let patient = patient.to_string();
        self.read_job(move |conn| {
            let sql = "SELECT w.id FROM patient p JOIN card c USING (pid) LEFT JOIN ward w ON w.no = c.ward
                        WHERE p.id = ?1 AND c.live";
            let found = one(conn, sql, [patient], |r| {
                let ward: Option<String> = r.get(0)?;
                ward.map(|w| parsed(0, WardId::new(w))).transpose()
            });
            found.during(READING)
        })
        .await
    }

    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError> {
        let key = key.clone();
        self.read_job(move |conn| Ok(place(conn, &key)?.map(|(_, _, patient)| patient)))
            .await
    }

    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let (kind, system, value) = (kind.to_owned(), system.map(str::to_owned), value.to_owned());
        self.read_job(move |conn| {
            let read = |r: &Row<'_>| {
                let (kind, id): (String, String) = (r.get(0)?, r.get(1)?);
                parsed(1, ResourceKey::new(&kind, &id))
            };
            match system {
                Some(system) => {
                    let sql = "SELECT DISTINCT r.kind, r.id FROM ident i JOIN resource r USING (rid)
                                WHERE i.value = ?1 AND i.system = ?2 AND i.kind = ?3 LIMIT 2";
                    all(conn, sql, [value, system, kind], read).during(READING)
                }
                None => {
                    let sql = "SELECT DISTINCT r.kind, r.id FROM ident i JOIN resource r USING (rid)
                                WHERE i.value = ?1 AND i.kind = ?2 LIMIT 2";
                    all(conn, sql, [value, kind], read).during(READING)
                }
            }
        })
        .await
    }

    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, Bytes)>, StoreError> {
        let (key, packs) = (key.clone(), self.packs_here());
        self.read_job(move |conn| Ok(current(conn, Some(&packs), &key)?.map(|(v, b)| (v, Bytes::from(b)))))
            .await
    }

    async fn catch_up(&self, most: usize) -> Result<u64, StoreError> {
        let (projector, packs) = (self.projector.clone(), self.packs_here());
        let due = |conn: &Connection| Ok((persons::due(conn)?, audit_find::due(conn)?));
        let (people, rows) = self.read_job(due).await?;
        let mut left = 0;
        if people > 0 {
            left += self
                .write(most, move |conn, _| {
                    persons::catch_up(conn, &packs, &*projector, most)
                })
                .await?;
        }
        if rows > 0 {
            let most = most.saturating_mul(ROWS_FOR_ONE);
            left += self
                .write(most, move |conn, _| audit_find::catch_up(conn, most))
                .await?;
        }
        Ok(left)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read_job(counts).await
    }
}
