//! The index of images.
//!
//! Never here: by what rule an instance is filed (`vitrine_store::imaging`). Called by `apply`, and by `archive` when a
//! record is destroyed.

use super::sql::{During, all, int, one, parsed, run, uint};
use super::{SqlcipherStore, body, copies};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::de::DeserializeOwned;
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
use zeroize::Zeroizing;

const FILING: &str = "filing an image";
const READING: &str = "reading the index of images";

/// An instance with what is kept of it packed.
pub(super) struct Ready {
    pub new: NewInstance,
    study: Vec<u8>,
    series: Vec<u8>,
    instance: Vec<u8>,
}

impl Ready {
    pub fn of(new: NewInstance) -> Result<Self, StoreError> {
        let [study, series, instance] = new.bodies()?;
        Ok(Self {
            study: body::pack(&study)?,
            series: body::pack(&series)?,
            instance: body::pack(&instance)?,
            new,
        })
    }
}

fn standing(conn: &Connection, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
    let whose = "SELECT p.id FROM imaging_study s JOIN patient p USING (pid) WHERE s.uid = ?1";
    let of = "SELECT t.uid FROM imaging_series s JOIN imaging_study t ON t.no = s.study WHERE s.uid = ?1";
    let there = "SELECT s.uid, i.sha256 FROM imaging_instance i JOIN imaging_series s ON s.no = i.series WHERE i.uid = ?1";
    Ok(Standing {
        study: one(conn, whose, [study], |r| {
            parsed(0, PatientId::new(r.get::<_, String>(0)?))
        })
        .during(READING)?,
        series: one(conn, of, [series], |r| r.get(0)).during(READING)?,
        instance: one(conn, there, [instance], |r| Ok((r.get(0)?, r.get(1)?))).during(READING)?,
    })
}

fn number(conn: &Connection, sql: &str, uid: &str) -> Result<Option<i64>, StoreError> {
    one(conn, sql, [uid], |r| r.get(0)).during(FILING)
}

/// Files an instance of the patient with this number.
pub(super) fn file(
    conn: &Connection,
    index: usize,
    pid: i64,
    ready: &Ready,
    at: UtcMs,
) -> Result<(), StoreError> {
    let new = &ready.new;
    let there = standing(conn, &new.study, &new.series, &new.uid)?;
    if place(index, new, &there)? == Placed::Same {
        return Ok(());
    }
    let study = match number(conn, "SELECT no FROM imaging_study WHERE uid = ?1", &new.study)? {
        Some(no) => no,
        None => {
            let sql =
                "INSERT INTO imaging_study (uid, pid, day, accession, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            run(
                conn,
                sql,
                params![new.study, pid, new.day, new.accession, ready.study],
            )
            .during(FILING)?;
            conn.last_insert_rowid()
        }
    };
    let series = match number(conn, "SELECT no FROM imaging_series WHERE uid = ?1", &new.series)? {
        Some(no) => no,
        None => {
            let sql = "INSERT INTO imaging_series (uid, study, body) VALUES (?1, ?2, ?3)";
            run(conn, sql, params![new.series, study, ready.series]).during(FILING)?;
            conn.last_insert_rowid()
        }
    };
    let sql = "INSERT INTO imaging_instance (uid, series, position, at, sha256, bytes, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let row = params![
        new.uid,
        series,
        new.position,
        at.0,
        &new.blob.sha256[..],
        int(new.blob.bytes),
        ready.instance
    ];
    run(conn, sql, row).during(FILING).map(|_| ())
}

/// Every instance of a patient, with the SHA-256 of its bytes.
pub(super) fn of(conn: &Connection, pid: i64) -> Result<Vec<(String, [u8; 32])>, StoreError> {
    let sql = "SELECT i.uid, i.sha256 FROM imaging_study t JOIN imaging_series s ON s.study = t.no
                 JOIN imaging_instance i ON i.series = s.no WHERE t.pid = ?1";
    all(conn, sql, [pid], |r| Ok((r.get(0)?, r.get(1)?))).during("destroying a record")
}

/// The images of a record that is destroyed go with it, and the keys of their files.
pub(super) fn forget(conn: &Connection, pid: i64) -> Result<(), StoreError> {
    let studies = "SELECT no FROM imaging_study WHERE pid = ?1";
    let series = format!("SELECT no FROM imaging_series WHERE study IN ({studies})");
    copies::forget(conn, pid)?;
    for sql in [
        format!("DELETE FROM imaging_pack WHERE series IN ({series})"),
        format!("DELETE FROM imaging_instance WHERE series IN ({series})"),
        format!("DELETE FROM imaging_series WHERE study IN ({studies})"),
        "DELETE FROM imaging_study WHERE pid = ?1".to_owned(),
    ] {
        run(conn, &sql, [pid]).during("destroying a record")?;
    }
    Ok(())
}

pub(super) fn opened<T: DeserializeOwned>(packed: &[u8]) -> Result<T, StoreError> {
    imaging::body(&body::unpack(packed)?)
}

/// The studies that a condition finds, with their series.
fn studies(conn: &Connection, which: &str, with: Vec<Value>) -> Result<Vec<StudyRow>, StoreError> {
    let sql = format!(
        "SELECT s.no, s.uid, p.id, s.day, s.body FROM imaging_study s JOIN patient p USING (pid)
          WHERE {which} "
    );
    let found = all(conn, &sql, params_from_iter(with), |r| {
        Ok((
            r.get::<_, i64>(0)?,
            r.get::<_, String>(1)?,
            parsed(2, PatientId::new(r.get::<_, String>(2)?))?,
            r.get::<_, Option<i32>>(3)?,
            r.get::<_, Vec<u8>>(4)?,
        ))
    });
    let mut out = Vec::new();
    for (no, uid, patient, day, packed) in found.during(READING)? {
        let sql = "SELECT s.uid, s.body, (SELECT count(*) FROM imaging_instance i WHERE i.series = s.no)
                     FROM imaging_series s WHERE s.study = ?1 ORDER BY s.no";
        let rows = all(conn, sql, [no], |r| {
            Ok((
                r.get::<_, String>(0)?,
                r.get::<_, Vec<u8>>(1)?,
                r.get::<_, i64>(2)?,
            ))
        });
        let series = rows.during(READING)?.into_iter().map(|(uid, packed, n)| {
            Ok(SeriesRow {
                uid,
                header: given(opened::<SeriesBody>(&packed)?.header),
                instances: uint(n),
            })
        });
        out.push(StudyRow {
            uid,
            patient,
            day,
            header: given(opened::<StudyBody>(&packed)?.header),
            series: series.collect::<Result<_, StoreError>>()?,
        });
    }
    Ok(out)
}

const ORDER: &str = "ORDER BY s.day IS NULL, s.day DESC, s.no DESC";

fn find(conn: &Connection, query: &StudyQuery) -> Result<StudyHits, StoreError> {
    let mut which = vec!["1".to_owned()];
    let mut with = Vec::new();
    let mut also = |sql: &str, value: Option<Value>| {
        if let Some(value) = value {
            with.push(value);
            which.push(sql.replace('?', &format!("?{}", with.len())));
        }
    };
    also(
        "p.id = ?",
        query.patient.as_ref().map(|p| Value::from(p.as_str().to_owned())),
    );
    also("s.uid = ?", query.uid.clone().map(Value::from));
    also("s.accession = ?", query.accession.clone().map(Value::from));
    also("s.day >= ?", query.from.map(Value::from));
    also("s.day <= ?", query.to.map(Value::from));
    let rows = i64::try_from(query.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let skip = i64::try_from(query.offset).unwrap_or(i64::MAX);
    let which = format!("{} {ORDER} LIMIT {rows} OFFSET {skip}", which.join(" AND "));
    let mut studies = studies(conn, &which, with)?;
    let more = studies.len() > query.limit;
    studies.truncate(query.limit);
    Ok(StudyHits { studies, more })
}

/// An instance before what is kept of it is unpacked, with its filing number.
pub(super) type Packed = (InstanceRow, u64, Vec<u8>);

pub(super) const INSTANCE: &str =
    "SELECT t.uid, s.uid, i.uid, i.position, i.at, i.sha256, i.bytes, i.body, i.no, p.id
  FROM imaging_instance i JOIN imaging_series s ON s.no = i.series JOIN imaging_study t ON t.no = s.study
  JOIN patient p ON p.pid = t.pid";

pub(super) fn packed(r: &Row<'_>) -> rusqlite::Result<(Packed, String)> {
    let row = InstanceRow {
        study: r.get(0)?,
        series: r.get(1)?,
        uid: r.get(2)?,
        position: r.get(3)?,
        at: UtcMs(r.get(4)?),
        header: Bytes::new(),
        blob: Blob {
            sha256: r.get(5)?,
            bytes: uint(r.get(6)?),
            key: Zeroizing::default(),
        },
    };
    Ok(((row, uint(r.get(8)?), r.get(7)?), r.get(9)?))
}

fn unpacked((mut row, no, packed): Packed) -> Result<(InstanceRow, u64), StoreError> {
    let body: InstanceBody = opened(&packed)?;
    row.blob.key = body.key();
    row.header = given(body.header);
    Ok((row, no))
}

fn of_patient(
    (packed, whose): (Packed, String),
    patient: &PatientId,
) -> Result<(InstanceRow, u64), StoreError> {
    if whose != patient.as_str() {
        return Err(StoreError::WrongPatient("a series of images".to_owned()));
    }
    unpacked(packed)
}

/// The same of whoever it is.
pub(super) fn unpacked_row((packed, whose): (Packed, String)) -> Result<Unpacked, StoreError> {
    Ok(Unpacked {
        patient: PatientId::new(whose).map_err(|_| StoreError::Damaged("the id of a patient".to_owned()))?,
        instance: unpacked(packed)?.0,
    })
}

impl SqlcipherStore {
    async fn instances_of(
        &self,
        patient: PatientId,
        sql: String,
        with: Vec<Value>,
    ) -> Result<Vec<(InstanceRow, u64)>, StoreError> {
        self.read_job(move |conn| {
            let found = all(conn, &sql, params_from_iter(with), packed).during(READING)?;
            found.into_iter().map(|f| of_patient(f, &patient)).collect()
        })
        .await
    }
}

#[async_trait]
impl Imaging for SqlcipherStore {
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError> {
        self.standing(study, "", "").await.map(|s| s.study)
    }

    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError> {
        let uid = Value::from(study.to_owned());
        self.read_job(move |conn| Ok(studies(conn, "s.uid = ?1", vec![uid])?.pop()))
            .await
    }

    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
        let (study, series, instance) = (study.to_owned(), series.to_owned(), instance.to_owned());
        self.read_job(move |conn| standing(conn, &study, &series, &instance))
            .await
    }

    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError> {
        let uid = instance.to_owned();
        self.read_job(move |conn| {
            let sql = format!("{INSTANCE} WHERE i.uid = ?1");
            let found = one(conn, &sql, [&uid], packed).during(READING)?;
            Ok(found
                .map(|(p, _)| unpacked(p))
                .transpose()?
                .map(|(row, _)| row.blob))
        })
        .await
    }

    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError> {
        let patient = Value::from(seal::patient_of(permit)?.as_str().to_owned());
        let study = Value::from(study.map(str::to_owned));
        let found = self
            .read_job(move |conn| {
                let which = format!(
                    "s.pid = (SELECT pid FROM patient WHERE id = ?1) AND (?2 IS NULL OR s.uid = ?2) {ORDER}"
                );
                studies(conn, &which, vec![patient, study])
            })
            .await?;
        seal_studies(permit, found, |f| f)
    }

    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError> {
        let query = query.clone();
        let found = self.read_job(move |conn| find(conn, &query)).await?;
        seal_studies(permit, found, |f| &f.studies)
    }

    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError> {
        let sql = format!(
            "{INSTANCE} WHERE i.series = (SELECT no FROM imaging_series WHERE uid = ?1) AND (i.position, i.no) > (?2, ?3)
              ORDER BY i.position, i.no LIMIT ?4"
        );
        let (position, no) = after.map_or((i64::MIN, -1), |(p, n)| (p, int(n)));
        let rows = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let with = vec![
            Value::from(series.to_owned()),
            Value::from(position),
            Value::from(no),
            Value::from(rows),
        ];
        let mut found = self.instances_of(seal::patient_of(permit)?, sql, with).await?;
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
        let (sql, with) = (
            format!("{INSTANCE} WHERE i.uid = ?1"),
            vec![Value::from(uid.to_owned())],
        );
        let found = self.instances_of(seal::patient_of(permit)?, sql, with).await?;
        let found = found.into_iter().next().map(|(i, _)| i);
        seal_instances(permit, found, |f| f.as_slice())
    }
}
