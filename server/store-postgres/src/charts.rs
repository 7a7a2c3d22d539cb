//! The record: writing it, reading charts, cards, single resources, searching.

use crate::acts::Act;
use crate::lane::{Done, Job};
use crate::prepare::{current, prepare};
use crate::sql::{During, Fault, all, col, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use crate::{PostgresStore, feed};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{GenericClient, Object};
use std::collections::HashSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use vitrine_access::action::{ImportData, ReadCard, ReadChart, ReadResource, SearchPatients, WriteClinical};
use vitrine_access::{Action, Disclosure, Permit, Receipt, Sealed};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs, WardId};
use vitrine_store::notes::{NoteHits, NoteQuery};
use vitrine_store::scope::ChartToken;
use vitrine_store::{
    Applied, ArchivedResource, ChangeBatch, ChartStore, Counts, HistoryPage, Page, PatientHit, Projector,
    QuarantineItem, QuarantineRow, SearchBy, SearchHits, SearchQuery, Stall, StoreError, StoreMode,
    StoredCard, StoredResource, Turn, seal, search,
};

/// Audit rows that are taken into their index in the time of one person.
const ROWS_FOR_ONE: usize = 20;
pub(crate) const READING: &str = "reading the record";
const CARD: &str = "reading an emergency card";
const SEARCHING: &str = "searching patients";

impl PostgresStore {
    async fn apply_as<A: Action>(
        &self,
        permit: &Permit<A>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        let (owner, entry) = (permit.patient().cloned(), permit.entry(Disclosure::default()));
        let prepared = {
            let client = self.reader().await?;
            prepare(batch, self.projector(), &client, self.vault(), owner, entry).await?
        };
        match self.lane().run(Job::Apply(Box::new(prepared))).await? {
            Done::Applied(applied, receipt) => Ok((applied, receipt)),
            _ => Err(StoreError::Closed),
        }
    }
}

pub(crate) fn bytes(vault: &Vault, place: Place<'_>, sealed: Option<&[u8]>) -> Result<Bytes, StoreError> {
    Ok(match sealed {
        Some(sealed) => Bytes::from(vault.get(place, sealed)?),
        None => Bytes::new(),
    })
}

/// `version: None` = the current one. `owner`: the permit's patient, who may see what is theirs and what is nobody's.
async fn resource<C: GenericClient>(
    c: &C,
    vault: &Vault,
    key: &ResourceKey,
    version: Option<u64>,
    owner: Option<&PatientId>,
) -> Result<Option<StoredResource>, StoreError> {
    let sql = "SELECT r.rid, r.version, p.id, r.updated, r.deleted, r.body FROM resource r LEFT JOIN patient p USING (pid)
                WHERE r.kind = $1 AND r.id = $2";
    let Some(mut row) = one(c, READING, sql, &[&key.kind.as_str(), &key.id.as_str()]).await? else {
        return Ok(None);
    };
    let rid: i64 = col(&row, 0, READING)?;
    let newest = uint(col(&row, 1, READING)?);
    let patient: Option<String> = col(&row, 2, READING)?;
    let patient = patient.map(|p| parsed(PatientId::new(p), READING)).transpose()?;
    if patient.is_some() && patient.as_ref() != owner {
        return Err(StoreError::WrongPatient(key.to_string()));
    }
    let version = version.unwrap_or(newest);
    if version != newest {
        let sql = "SELECT rid, version, NULL::text, updated, deleted, body FROM resource_version
                    WHERE rid = $1 AND version = $2";
        match one(c, READING, sql, &[&rid, &int(version)]).await? {
            Some(old) => row = old,
            None => return Ok(None),
        }
    }
    let deleted: bool = col(&row, 4, READING)?;
    let sealed: Option<&[u8]> = col(&row, 5, READING)?;
    Ok(Some(StoredResource {
        key: key.clone(),
        version,
        updated: UtcMs(col(&row, 3, READING)?),
        patient,
        body: bytes(vault, Place::Resource(rid), sealed.filter(|_| !deleted))?,
        deleted,
    }))
}

/// One rank of a chart: a range of the index `resource_chart`.
pub const CHART_SQL: &str = "SELECT version, updated, kind, id, rid, body FROM resource
    WHERE pid = $1 AND rank = $2 AND rid < $3 AND NOT deleted AND pid IS NOT NULL ORDER BY rid DESC LIMIT $4";

async fn chart_page<C: GenericClient>(
    c: &C,
    vault: &Vault,
    patient: &PatientId,
    after: Option<ChartToken>,
    limit: usize,
) -> Result<HistoryPage, StoreError> {
    let sql = "SELECT pid, live FROM patient WHERE id = $1";
    let Some(row) = one(c, READING, sql, &[&patient.as_str()]).await? else {
        return Ok(HistoryPage {
            resources: Vec::new(),
            next: None,
            archived: Vec::new(),
            total: 0,
            withheld: 0,
        });
    };
    let (pid, total): (i64, u64) = (col(&row, 0, READING)?, uint(col(&row, 1, READING)?));
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
        let rows = all(c, READING, CHART_SQL, &[&pid, &i16::from(rank), &below, &ask]).await?;
        for (n, row) in rows.iter().enumerate() {
            if n == left {
                more = true;
                break;
            }
            let rid: i64 = col(row, 4, READING)?;
            let (kind, id): (&str, &str) = (col(row, 2, READING)?, col(row, 3, READING)?);
            let key = parsed(ResourceKey::new(kind, id), READING)?;
            let (version, updated) = (uint(col(row, 0, READING)?), UtcMs(col(row, 1, READING)?));
            match bytes(vault, Place::Resource(rid), col(row, 5, READING)?) {
                Ok(body) => resources.push(StoredResource {
                    key,
                    version,
                    updated,
                    patient: Some(patient.clone()),
                    body,
                    deleted: false,
                }),
                Err(StoreError::Archived { pack, .. }) => archived.push(ArchivedResource {
                    key,
                    version,
                    updated,
                    pack,
                }),
                Err(e) => return Err(e),
            }
            last = Some(ChartToken {
                rank,
                number: uint(rid),
            });
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

/// An emergency card, by the patient's id.
pub const CARD_SQL: &str =
    "SELECT c.ver, c.updated, w.id, p.pid, c.body FROM patient p JOIN card c USING (pid)
    LEFT JOIN ward w ON w.no = c.ward WHERE p.id = $1 AND c.live";

pub(crate) async fn card<C: GenericClient>(
    c: &C,
    vault: &Vault,
    patient: &PatientId,
) -> Result<Option<StoredCard>, StoreError> {
    let Some(row) = one(c, CARD, CARD_SQL, &[&patient.as_str()]).await? else {
        return Ok(None);
    };
    let ward: Option<String> = col(&row, 2, CARD)?;
    Ok(Some(StoredCard {
        patient: patient.clone(),
        version: uint(col(&row, 0, CARD)?),
        updated: UtcMs(col(&row, 1, CARD)?),
        ward: ward.map(|w| parsed(WardId::new(w), CARD)).transpose()?,
        body: bytes(vault, Place::Card(col(&row, 3, CARD)?), col(&row, 4, CARD)?)?,
    }))
}

/// The search for patients by so many terms: `$1` is the limit, each further parameter the tokens of one term.
#[must_use]
pub fn search_sql(terms: usize) -> String {
    let mut sql = "SELECT p.id, c.ver, c.pid, c.body FROM person f JOIN card c ON c.pid = f.pid AND c.live
                     JOIN patient p ON p.pid = f.pid WHERE true"
        .to_owned();
    for n in 0..terms {
        sql.push_str(&format!(" AND f.tokens && ${}::bigint[]", n + 2));
    }
    sql.push_str(" LIMIT $1");
    sql
}

/// The tokens of a term, one of which a person must have.
type TokensOf = fn(&Vault, &search::Term) -> Vec<i64>;

fn whole(vault: &Vault, t: &search::Term) -> Vec<i64> {
    vec![vault.name_token(&t.name), vault.whole_token(&t.whole)]
}
fn beginnings(vault: &Vault, t: &search::Term) -> Vec<i64> {
    vec![vault.beginning_token(&t.name), vault.whole_token(&t.whole)]
}
fn names(vault: &Vault, t: &search::Term) -> Vec<i64> {
    vec![vault.name_token(&t.name)]
}
fn sounds(vault: &Vault, t: &search::Term) -> Vec<i64> {
    search::sounds(&t.name)
        .iter()
        .map(|c| vault.sound_token(c))
        .collect()
}

/// How many people have no tokens of sounds yet.
pub const DUE_SQL: &str = "SELECT count(*) FROM person WHERE form = 0";

async fn due<C: GenericClient>(c: &C) -> Result<u64, Fault> {
    let row = one(c, SEARCHING, DUE_SQL, &[]).await?;
    row.map_or(Ok(0), |r| Ok(uint(col(&r, 0, SEARCHING)?)))
}

async fn find<C: GenericClient>(
    c: &C,
    vault: &Vault,
    terms: &[search::Term],
    of: TokensOf,
    limit: usize,
) -> Result<Vec<PatientHit>, StoreError> {
    let tokens: Vec<Vec<i64>> = terms.iter().map(|t| of(vault, t)).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&limit];
    params.extend(tokens.iter().map(|t| t as &(dyn ToSql + Sync)));
    let rows = all(c, SEARCHING, &search_sql(terms.len()), &params).await?;
    let hit = |row: &Row| -> Result<PatientHit, StoreError> {
        let pid: i64 = col(row, 2, SEARCHING)?;
        Ok(PatientHit {
            patient: parsed(PatientId::new(col::<String>(row, 0, SEARCHING)?), SEARCHING)?,
            version: uint(col(row, 1, SEARCHING)?),
            card: bytes(vault, Place::Card(pid), col(row, 3, SEARCHING)?)?,
        })
    };
    rows.iter().map(hit).collect()
}

async fn tally<C: GenericClient>(c: &C, name: &str) -> Result<u64, Fault> {
    let sql = "SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE name = $1";
    let row = one(c, READING, sql, &[&name]).await?;
    row.map_or(Ok(0), |r| Ok(uint(col(&r, 0, READING)?)))
}

/// Whole names first, then names that begin so, or sound so.
async fn search_hits<C: GenericClient>(
    c: &C,
    vault: &Vault,
    query: &SearchQuery,
) -> Result<SearchHits, StoreError> {
    let terms = search::terms(&query.text);
    let of = tally(c, "persons").await?;
    if terms.is_empty() {
        return Ok(SearchHits {
            hits: Vec::new(),
            more: false,
            of,
        });
    }
    let (first, all): (TokensOf, TokensOf) = match query.by {
        SearchBy::Words => (whole, beginnings),
        SearchBy::Sound => (names, sounds),
    };
    if query.by == SearchBy::Sound {
        let left = due(c).await?;
        if left > 0 {
            return Err(StoreError::NotIndexed { left });
        }
    }
    let ask = query.limit.saturating_add(1);
    let mut hits = find(c, vault, &terms, first, ask).await?;
    if hits.len() < ask {
        let known: HashSet<PatientId> = hits.iter().map(|h| h.patient.clone()).collect();
        let wider = find(c, vault, &terms, all, ask.saturating_add(hits.len())).await?;
        hits.extend(wider.into_iter().filter(|h| !known.contains(&h.patient)));
    }
    let more = hits.len() > query.limit;
    hits.truncate(query.limit);
    Ok(SearchHits { hits, more, of })
}

const TURN: &str = "waiting for the turn of a condition";
const CATCHING_UP: &str = "taking people into the search index";

/// A Patient is current where it is read and its person's row is held: whoever writes it meanwhile waits, and then
/// writes the whole row itself.
async fn catch_up(
    client: &mut Object,
    vault: &Vault,
    projector: &dyn Projector,
    most: usize,
) -> Result<u64, StoreError> {
    let tx = client.transaction().await.during(CATCHING_UP)?;
    let sql = "SELECT f.pid, p.id, r.rid, r.body FROM person f JOIN patient p USING (pid)
                 LEFT JOIN resource r ON r.kind = 'Patient' AND r.id = p.id AND r.pid = p.pid AND NOT r.deleted
                WHERE f.form = 0 ORDER BY f.pid LIMIT $1 FOR UPDATE OF f";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    for row in all(&tx, CATCHING_UP, sql, &[&most]).await? {
        let (pid, id): (i64, String) = (col(&row, 0, CATCHING_UP)?, col(&row, 1, CATCHING_UP)?);
        let damaged = || StoreError::Damaged(format!("the Patient resource of pid {pid} in PostgreSQL"));
        let mut tokens = None;
        if let (Some(rid), Some(sealed)) = (
            col::<Option<i64>>(&row, 2, CATCHING_UP)?,
            col::<Option<&[u8]>>(&row, 3, CATCHING_UP)?,
        ) {
            let body = vault.get(Place::Resource(rid), sealed)?;
            let key = parsed(ResourceKey::new("Patient", &id), CATCHING_UP)?;
            // A person's names rest on no other resource.
            let extract = projector
                .extract(&key, &body, &mut |_| None)
                .map_err(|_| damaged())?;
            tokens = extract
                .person
                .map(|p| vault.person_tokens(&search::PersonWords::of(&p)));
        }
        let sql = "UPDATE person SET form = 1, tokens = coalesce($2::bigint[], tokens) WHERE pid = $1";
        run(&tx, CATCHING_UP, sql, &[&pid, &tokens]).await?;
    }
    tx.commit().await.during(CATCHING_UP)?;
    Ok(due(&*client).await?)
}

async fn counts<C: GenericClient>(c: &C) -> Result<Counts, Fault> {
    let kinds = "SELECT substr(name, 6), sum(n)::bigint FROM tally WHERE name LIKE 'kind:%' GROUP BY 1 HAVING sum(n) > 0";
    let mut out = Counts::default();
    for row in all(c, READING, kinds, &[]).await? {
        out.resources
            .insert(col(&row, 0, READING)?, uint(col(&row, 1, READING)?));
    }
    let rest =
        "SELECT (SELECT count(*) FROM quarantine), (SELECT coalesce(sum(seq), 0)::bigint FROM audit_head),
                       (SELECT count(*) FROM device)";
    if let Some(row) = one(c, READING, rest, &[]).await? {
        out.quarantined = uint(col(&row, 0, READING)?);
        out.audit_rows = uint(col(&row, 1, READING)?);
        out.devices = uint(col(&row, 2, READING)?);
    }
    out.patients = tally(c, "cards").await?;
    Ok(out)
}

/// A connection whose session has the lock of turns, or waits for it. Dropped at any moment it gives the lock back, behind the
/// question that may still be on its way; a connection that cannot is closed, and the lock goes with it.
struct Taken(Option<Object>);

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(client) = self.0.take() else { return };
        let Ok(here) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(client));
            return;
        };
        here.spawn(async move {
            if all(&client, TURN, "SELECT pg_advisory_unlock(7373)", &[])
                .await
                .is_err()
            {
                drop(Object::take(client));
            }
        });
    }
}

#[async_trait]
impl ChartStore for PostgresStore {
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
        let acted = self.act(Act::Quarantine(at, items), Some(entry)).await?;
        acted.receipt.ok_or(StoreError::Closed)
    }

    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        let doing = "listing the quarantine";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT id, at, bytes, about FROM quarantine ORDER BY id DESC LIMIT $1";
        let rows = all(&self.reader().await?, doing, sql, &[&limit]).await?;
        rows.iter()
            .map(|row| crate::held::listed(self.vault(), row, doing))
            .collect()
    }

    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let found = resource(&self.reader().await?, self.vault(), key, None, permit.patient()).await?;
        seal::resource(permit, found)
    }

    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let client = self.reader_of_old().await?;
        let found = resource(&client, self.vault(), key, Some(version), permit.patient()).await?;
        seal::resource(permit, found)
    }

    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let after = seal::chart_token(&page)?;
        let client = self.reader().await?;
        let found = chart_page(&client, self.vault(), &patient, after, page.limit).await?;
        Ok(seal::chart(permit, found))
    }

    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let found = card(&self.emergency_reader().await?, self.vault(), &patient).await?;
        seal::card(permit, found)
    }

    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let found = search_hits(&self.reader_of_old().await?, self.vault(), query).await?;
        seal::hits(permit, found)
    }

    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let reader = self.reader_of_old().await?;
        let mut found = Vec::with_capacity(patients.len());
        for patient in patients {
            found.extend(card(&reader, self.vault(), patient).await?);
        }
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
        let sql = "SELECT w.id FROM patient p JOIN card c USING (pid) LEFT JOIN ward w ON w.no = c.ward
                    WHERE p.id = $1 AND c.live";
        let Some(row) = one(&self.reader().await?, READING, sql, &[&patient.as_str()]).await? else {
            return Ok(None);
        };
        let ward: Option<String> = col(&row, 0, READING)?;
        Ok(Some(ward.map(|w| parsed(WardId::new(w), READING)).transpose()?))
    }

    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError> {
        let sql =
            "SELECT p.id FROM resource r LEFT JOIN patient p USING (pid) WHERE r.kind = $1 AND r.id = $2";
        let with: crate::sql::Params<'_> = &[&key.kind.as_str(), &key.id.as_str()];
        let Some(row) = one(&self.reader().await?, READING, sql, with).await? else {
            return Ok(None);
        };
        let id: Option<String> = col(&row, 0, READING)?;
        Ok(Some(
            id.map(|id| parsed(PatientId::new(id), READING)).transpose()?,
        ))
    }

    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let (column, token) = match system {
            Some(system) => ("pair", self.vault().both_token(system, value)),
            None => ("value", self.vault().value_token(value)),
        };
        let sql = format!(
            "SELECT DISTINCT r.kind, r.id FROM ident i JOIN resource r USING (rid)
              WHERE i.{column} = $1 AND i.kind = $2 LIMIT 2"
        );
        let rows = all(&self.reader().await?, READING, &sql, &[&token, &kind]).await?;
        let key = |row: &Row| -> Result<ResourceKey, StoreError> {
            let (kind, id): (&str, &str) = (col(row, 0, READING)?, col(row, 1, READING)?);
            Ok(parsed(ResourceKey::new(kind, id), READING)?)
        };
        rows.iter().map(key).collect()
    }

    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, Bytes)>, StoreError> {
        let mut found = current(
            &self.reader().await?,
            self.vault(),
            std::slice::from_ref(key),
            &HashSet::new(),
        )
        .await?;
        Ok(found
            .remove(key)
            .and_then(|c| Some((c.version, Bytes::from(c.body?)))))
    }

    async fn turn(&self) -> Result<Turn, StoreError> {
        let held = Taken(Some(self.turns.get().await.during(TURN)?));
        if let Some(client) = &held.0 {
            all(client, TURN, "SELECT pg_advisory_lock(7373)", &[]).await?;
        }
        Ok(Turn::of(held))
    }

    async fn catch_up(&self, most: usize) -> Result<u64, StoreError> {
        let mut client = self.keeping.get().await.during(CATCHING_UP)?;
        let people = catch_up(&mut client, self.vault(), self.projector(), most).await?;
        let rows = most.saturating_mul(ROWS_FOR_ONE);
        Ok(people + crate::audit_find::catch_up(&mut client, self.vault(), rows).await?)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(counts(&self.reader_of_old().await?).await?)
    }

    fn mode(&self) -> StoreMode {
        if *self.primary().borrow() {
            StoreMode::ReadWrite
        } else {
            StoreMode::ReadOnly
        }
    }

    fn writable(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        Some(self.primary())
    }

    fn stalls(&self) -> Vec<Stall> {
        self.watch_stalls().borrow().clone()
    }
}

/// Where the feed stands, for those who read it beside the record.
pub(crate) async fn newest<C: GenericClient>(c: &C) -> Result<u64, Fault> {
    let row = one(c, READING, feed::NEWEST, &[]).await?;
    row.map_or(Ok(0), |r| Ok(uint(col(&r, 0, READING)?)))
}
