//! The index of images.
//!
//! Never here: by what rule an instance is filed (`vitrine_store::imaging`). Called by `apply`, and by `flush` when a
//! record is destroyed.

use crate::PostgresStore;
use crate::group::Group;
use crate::prepare::Prepared;
use crate::sql::{Fault, Params, all, col, hash32, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::imaging::{
    self, Blob, Imaging, InstanceAfter, InstanceBody, InstancePage, InstanceRow, NewInstance, Placed,
    SeriesBody, SeriesRow, Standing, StudyBody, StudyHits, StudyQuery, StudyRow, given, place,
    seal_instances, seal_studies,
};
use vitrine_store::pixels::Unpacked;
use vitrine_store::{StoreError, seal};

const FILING: &str = "filing an image";
const READING: &str = "reading the index of images";

/// An instance with what is kept of it.
pub(crate) struct Ready {
    pub new: NewInstance,
    bodies: [Vec<u8>; 3],
}

impl Ready {
    pub fn of(new: NewInstance) -> Result<Self, StoreError> {
        Ok(Self {
            bodies: new.bodies()?,
            new,
        })
    }
}

pub(crate) fn opened<T: DeserializeOwned>(
    vault: &Vault,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<T, StoreError> {
    imaging::body(&vault.get(place, sealed)?)
}

/// The numbers of what the three UIDs name, and what is there.
struct Found {
    standing: Standing,
    study: Option<i64>,
    series: Option<i64>,
}

async fn look<C: GenericClient>(
    c: &C,
    vault: &Vault,
    study: &str,
    series: &str,
    instance: &str,
) -> Result<Found, Fault> {
    let whose = "SELECT s.no, p.id FROM imaging_study s JOIN patient p USING (pid) WHERE s.uid = $1";
    let of = "SELECT s.no, t.no, t.body FROM imaging_series s JOIN imaging_study t ON t.no = s.study WHERE s.uid = $1";
    let there =
        "SELECT s.no, s.body, i.sha256 FROM imaging_instance i JOIN imaging_series s ON s.no = i.series
                  WHERE i.uid = $1";
    let (a, b, d) = (
        vault.uid_token(study),
        vault.uid_token(series),
        vault.uid_token(instance),
    );
    let (a, b, d) = (&a[..], &b[..], &d[..]);
    let (a, b, d): (Params<'_>, Params<'_>, Params<'_>) = (&[&a], &[&b], &[&d]);
    let (study, series, instance) = tokio::try_join!(
        one(c, READING, whose, a),
        one(c, READING, of, b),
        one(c, READING, there, d),
    )?;
    let mut found = Found {
        standing: Standing::default(),
        study: None,
        series: None,
    };
    if let Some(r) = study {
        found.study = Some(col(&r, 0, READING)?);
        found.standing.study = Some(parsed(PatientId::new(col::<String>(&r, 1, READING)?), READING)?);
    }
    if let Some(r) = series {
        found.series = Some(col(&r, 0, READING)?);
        let body: StudyBody = opened(vault, Place::Study(col(&r, 1, READING)?), col(&r, 2, READING)?)?;
        found.standing.series = Some(body.uid);
    }
    if let Some(r) = instance {
        let body: SeriesBody = opened(vault, Place::Series(col(&r, 0, READING)?), col(&r, 1, READING)?)?;
        found.standing.instance = Some((body.uid, hash32(col(&r, 2, READING)?)));
    }
    Ok(found)
}

/// What earlier images of the same batch will have put there.
#[derive(Default)]
struct Ahead<'b> {
    studies: HashMap<&'b str, (i64, &'b PatientId)>,
    series: HashMap<&'b str, (i64, &'b str)>,
    instances: HashMap<&'b str, (&'b str, [u8; 32])>,
}

/// An image and the numbers of its rows; a study or series that is there already gets none.
struct Row3<'b> {
    ready: &'b Ready,
    study: i64,
    series: i64,
    instance: i64,
    new_study: bool,
    new_series: bool,
}

impl Group<'_> {
    /// Files the images of a batch. What contradicts the index is found before anything is written, so that an error of
    /// the batch's own leaves nothing; `at`: the batch's time.
    pub(crate) async fn file_images(&mut self, batch: &Prepared) -> Result<(), Fault> {
        if batch.images.is_empty() {
            return Ok(());
        }
        let numbers = "SELECT nextval('imaging_no') FROM generate_series(1, $1::bigint)";
        let count = i64::try_from(batch.images.len() * 3).unwrap_or(i64::MAX);
        let mut numbers = all(self.tx, FILING, numbers, &[&count])
            .await?
            .iter()
            .map(|r| col::<i64>(r, 0, FILING))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let mut number = || numbers.next().ok_or(Fault::Failed(StoreError::Closed));
        let mut ahead = Ahead::default();
        let mut rows = Vec::with_capacity(batch.images.len());
        for (index, ready) in batch.images.iter().enumerate() {
            let new = &ready.new;
            if batch.owner.as_ref().is_some_and(|o| *o != new.patient) {
                return Err(StoreError::WrongPatient(format!("image {index}")).into());
            }
            self.need_patients(std::slice::from_ref(&new.patient)).await?;
            if self.state.patients.get(&new.patient).is_some_and(|p| p.destroyed) {
                let patient = new.patient.clone();
                return Err(StoreError::Destroyed { index, patient }.into());
            }
            let mut found = look(self.tx, self.vault, &new.study, &new.series, &new.uid).await?;
            if let Some((no, patient)) = ahead.studies.get(&*new.study) {
                found.study = Some(*no);
                found.standing.study = Some((*patient).clone());
            }
            if let Some((no, study)) = ahead.series.get(&*new.series) {
                found.series = Some(*no);
                found.standing.series = Some((*study).to_owned());
            }
            if let Some((series, sha256)) = ahead.instances.get(&*new.uid) {
                found.standing.instance = Some(((*series).to_owned(), *sha256));
            }
            if place(index, new, &found.standing)? == Placed::Same {
                continue;
            }
            let [study, series, instance] = [number()?, number()?, number()?];
            let row = Row3 {
                ready,
                study: found.study.unwrap_or(study),
                series: found.series.unwrap_or(series),
                instance,
                new_study: found.study.is_none(),
                new_series: found.series.is_none(),
            };
            ahead.studies.insert(&new.study, (row.study, &new.patient));
            ahead.series.insert(&new.series, (row.series, &new.study));
            ahead.instances.insert(&new.uid, (&new.series, new.blob.sha256));
            rows.push(row);
        }
        for row in &rows {
            self.write_image(row, batch.at).await?;
        }
        Ok(())
    }

    async fn write_image(&self, row: &Row3<'_>, at: i64) -> Result<(), Fault> {
        let (new, vault) = (&row.ready.new, self.vault);
        let [study, series, instance] = &row.ready.bodies;
        if row.new_study {
            let pid = self.state.patients.get(&new.patient).map(|p| p.pid);
            let pid = pid.ok_or(Fault::Failed(StoreError::Closed))?;
            let uid = vault.uid_token(&new.study);
            let accession = new.accession.as_deref().map(|a| vault.accession_token(a));
            let body = vault.put(Place::Study(row.study), study)?;
            let sql = "INSERT INTO imaging_study (no, uid, pid, day, accession, body) VALUES ($1, $2, $3, $4, $5, $6)";
            let day = new.day.map(i64::from);
            run(
                self.tx,
                FILING,
                sql,
                &[&row.study, &&uid[..], &pid, &day, &accession, &body],
            )
            .await?;
        }
        if row.new_series {
            let uid = vault.uid_token(&new.series);
            let body = vault.put(Place::Series(row.series), series)?;
            let sql = "INSERT INTO imaging_series (no, uid, study, body) VALUES ($1, $2, $3, $4)";
            run(self.tx, FILING, sql, &[&row.series, &&uid[..], &row.study, &body]).await?;
        }
        let uid = vault.uid_token(&new.uid);
        let body = vault.put(Place::Instance(row.instance), instance)?;
        let sql = "INSERT INTO imaging_instance (no, uid, series, position, at, sha256, bytes, body)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let with: &[&(dyn ToSql + Sync)] = &[
            &row.instance,
            &&uid[..],
            &row.series,
            &new.position,
            &at,
            &&new.blob.sha256[..],
            &int(new.blob.bytes),
            &body,
        ];
        run(self.tx, FILING, sql, with).await?;
        Ok(())
    }
}

/// Every instance of a patient, with the SHA-256 of its bytes.
pub(crate) async fn of<C: GenericClient>(
    c: &C,
    vault: &Vault,
    pid: i64,
) -> Result<Vec<(String, [u8; 32])>, Fault> {
    let sql = "SELECT i.no, i.body, i.sha256 FROM imaging_study t JOIN imaging_series s ON s.study = t.no
                 JOIN imaging_instance i ON i.series = s.no WHERE t.pid = $1";
    let mut out = Vec::new();
    for r in &all(c, "destroying a record", sql, &[&pid]).await? {
        let body: InstanceBody = opened(vault, Place::Instance(col(r, 0, READING)?), col(r, 1, READING)?)?;
        out.push((body.uid, hash32(col(r, 2, READING)?)));
    }
    Ok(out)
}

/// The images of records that are destroyed go with them, and the keys of their files.
pub(crate) async fn forget<C: GenericClient>(c: &C, pids: &[i64]) -> Result<(), Fault> {
    let studies = "SELECT no FROM imaging_study WHERE pid = ANY($1)";
    let series = format!("SELECT no FROM imaging_series WHERE study IN ({studies})");
    // Waits for whoever lists them for copies or notes a pack of them.
    let sql = format!("SELECT no FROM imaging_instance WHERE series IN ({series}) ORDER BY no FOR UPDATE");
    let mut instances = Vec::new();
    for r in &all(c, "destroying a record", &sql, &[&pids]).await? {
        instances.push(col::<i64>(r, 0, READING)?);
    }
    crate::copies::forget(c, &instances).await?;
    for sql in [
        // Waits for whoever notes a pack of them, and then sees it: no key of a pack is left.
        format!("DELETE FROM imaging_instance WHERE series IN ({series})"),
        format!("DELETE FROM imaging_pack WHERE series IN ({series})"),
        format!("DELETE FROM imaging_series WHERE study IN ({studies})"),
        "DELETE FROM imaging_study WHERE pid = ANY($1)".to_owned(),
    ] {
        run(c, "destroying a record", &sql, &[&pids]).await?;
    }
    Ok(())
}

const STUDY: &str = "SELECT s.no, p.id, s.day, s.body FROM imaging_study s JOIN patient p USING (pid)";
const ORDER: &str = "ORDER BY s.day DESC NULLS LAST, s.no DESC";

/// The studies of some rows of [`STUDY`], with their series.
async fn studies<C: GenericClient>(c: &C, vault: &Vault, rows: &[Row]) -> Result<Vec<StudyRow>, Fault> {
    let mut numbers = Vec::with_capacity(rows.len());
    let mut out = Vec::with_capacity(rows.len());
    for r in rows {
        let no: i64 = col(r, 0, READING)?;
        let body: StudyBody = opened(vault, Place::Study(no), col(r, 3, READING)?)?;
        let day: Option<i64> = col(r, 2, READING)?;
        numbers.push(no);
        out.push(StudyRow {
            uid: body.uid,
            patient: parsed(PatientId::new(col::<String>(r, 1, READING)?), READING)?,
            day: day.and_then(|d| i32::try_from(d).ok()),
            header: given(body.header),
            series: Vec::new(),
        });
    }
    let sql = "SELECT s.study, s.no, s.body, (SELECT count(*) FROM imaging_instance i WHERE i.series = s.no)
                 FROM imaging_series s WHERE s.study = ANY($1) ORDER BY s.no";
    for r in &all(c, READING, sql, &[&numbers]).await? {
        let (study, no): (i64, i64) = (col(r, 0, READING)?, col(r, 1, READING)?);
        let body: SeriesBody = opened(vault, Place::Series(no), col(r, 2, READING)?)?;
        let at = numbers.iter().position(|n| *n == study);
        if let Some(of) = at.and_then(|at| out.get_mut(at)) {
            of.series.push(SeriesRow {
                uid: body.uid,
                header: given(body.header),
                instances: uint(col(r, 3, READING)?),
            });
        }
    }
    Ok(out)
}

pub(crate) const INSTANCE: &str =
    "SELECT t.no, t.body, s.no, s.body, i.no, i.body, i.position, i.at, i.sha256, i.bytes, p.id
  FROM imaging_instance i JOIN imaging_series s ON s.no = i.series JOIN imaging_study t ON t.no = s.study
  JOIN patient p ON p.pid = t.pid";

fn instance(vault: &Vault, r: &Row, patient: &PatientId) -> Result<(InstanceRow, u64), Fault> {
    if col::<&str>(r, 10, READING)? != patient.as_str() {
        return Err(StoreError::WrongPatient("a series of images".to_owned()).into());
    }
    unpacked(vault, r)
}

/// The same of whoever it is.
pub(crate) fn unpacked_row(vault: &Vault, r: &Row) -> Result<Unpacked, Fault> {
    Ok(Unpacked {
        patient: parsed(PatientId::new(col::<String>(r, 10, READING)?), READING)?,
        instance: unpacked(vault, r)?.0,
    })
}

fn unpacked(vault: &Vault, r: &Row) -> Result<(InstanceRow, u64), Fault> {
    let no: i64 = col(r, 4, READING)?;
    let study: StudyBody = opened(vault, Place::Study(col(r, 0, READING)?), col(r, 1, READING)?)?;
    let series: SeriesBody = opened(vault, Place::Series(col(r, 2, READING)?), col(r, 3, READING)?)?;
    let body: InstanceBody = opened(vault, Place::Instance(no), col(r, 5, READING)?)?;
    let row = InstanceRow {
        study: study.uid,
        series: series.uid,
        position: col(r, 6, READING)?,
        at: UtcMs(col(r, 7, READING)?),
        blob: Blob {
            sha256: hash32(col(r, 8, READING)?),
            bytes: uint(col(r, 9, READING)?),
            key: body.key(),
        },
        uid: body.uid,
        header: given(body.header),
    };
    Ok((row, uint(no)))
}

#[async_trait]
impl Imaging for PostgresStore {
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError> {
        self.standing(study, "", "").await.map(|s| s.study)
    }

    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError> {
        let token = self.vault().uid_token(study);
        let client = self.reader().await?;
        let rows = all(
            &client,
            READING,
            &format!("{STUDY} WHERE s.uid = $1"),
            &[&&token[..]],
        )
        .await?;
        Ok(studies(&client, self.vault(), &rows).await?.pop())
    }

    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
        let found = look(&self.reader().await?, self.vault(), study, series, instance).await?;
        Ok(found.standing)
    }

    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError> {
        let token = self.vault().uid_token(instance);
        let client = self.reader().await?;
        let sql = format!("{INSTANCE} WHERE i.uid = $1");
        let row = one(&client, READING, &sql, &[&&token[..]]).await?;
        let found = row.map(|r| unpacked(self.vault(), &r)).transpose()?;
        Ok(found.map(|(row, _)| row.blob))
    }

    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let client = self.reader().await?;
        let token = study.map(|s| self.vault().uid_token(s).to_vec());
        let sql = format!(
            "{STUDY} WHERE s.pid = (SELECT pid FROM patient WHERE id = $1) AND ($2::bytea IS NULL OR s.uid = $2) {ORDER}"
        );
        let rows = all(&client, READING, &sql, &[&patient.as_str(), &token]).await?;
        seal_studies(permit, studies(&client, self.vault(), &rows).await?, |f| f)
    }

    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError> {
        let vault = self.vault();
        let mut sql = format!("{STUDY} WHERE true");
        let mut with: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
        let mut also = |condition: &str, value: Option<Box<dyn ToSql + Sync + Send>>| {
            if let Some(value) = value {
                with.push(value);
                sql.push_str(&condition.replace('?', &format!("${}", with.len())));
            }
        };
        let boxed = |v: i64| -> Box<dyn ToSql + Sync + Send> { Box::new(v) };
        let patient = query.patient.as_ref().map(|p| p.as_str().to_owned());
        also(
            " AND s.pid = (SELECT pid FROM patient WHERE id = ?)",
            patient.map(|p| Box::new(p) as Box<dyn ToSql + Sync + Send>),
        );
        let uid = query.uid.as_ref().map(|u| vault.uid_token(u).to_vec());
        also(
            " AND s.uid = ?",
            uid.map(|u| Box::new(u) as Box<dyn ToSql + Sync + Send>),
        );
        let accession = query.accession.as_ref().map(|a| vault.accession_token(a));
        also(" AND s.accession = ?", accession.map(boxed));
        also(" AND s.day >= ?", query.from.map(|d| boxed(d.into())));
        also(" AND s.day <= ?", query.to.map(|d| boxed(d.into())));
        let most = i64::try_from(query.limit.saturating_add(1)).unwrap_or(i64::MAX);
        let skip = i64::try_from(query.offset).unwrap_or(i64::MAX);
        sql.push_str(&format!(" {ORDER} LIMIT {most} OFFSET {skip}"));
        let with: Vec<&(dyn ToSql + Sync)> = with.iter().map(|v| &**v as &(dyn ToSql + Sync)).collect();
        let client = self.reader_of_old().await?;
        let rows = all(&client, READING, &sql, &with).await?;
        let mut studies = studies(&client, vault, &rows).await?;
        let more = studies.len() > query.limit;
        studies.truncate(query.limit);
        seal_studies(permit, StudyHits { studies, more }, |f| &f.studies)
    }

    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let sql = format!(
            "{INSTANCE} WHERE i.series = (SELECT no FROM imaging_series WHERE uid = $1) AND (i.position, i.no) > ($2, $3)
              ORDER BY i.position, i.no LIMIT $4"
        );
        let uid = self.vault().uid_token(series);
        let (position, no) = after.map_or((i64::MIN, -1), |(p, n)| (p, int(n)));
        let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let client = self.reader().await?;
        let rows = all(&client, READING, &sql, &[&&uid[..], &position, &no, &most]).await?;
        let found = rows.iter().map(|r| instance(self.vault(), r, &patient));
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(i, no)| (i.position, *no));
        let instances = found.into_iter().map(|(i, _)| i).collect();
        seal_instances(permit, InstancePage { instances, next }, |p| &p.instances)
    }

    async fn instance(
        &self,
        permit: &Permit<ReadChart>,
        uid: &str,
    ) -> Result<Sealed<Option<InstanceRow>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let token = self.vault().uid_token(uid);
        let client = self.reader().await?;
        let row = one(
            &client,
            READING,
            &format!("{INSTANCE} WHERE i.uid = $1"),
            &[&&token[..]],
        )
        .await?;
        let found = row.map(|r| instance(self.vault(), &r, &patient)).transpose()?;
        seal_instances(permit, found.map(|(i, _)| i), |f| f.as_slice())
    }
}
