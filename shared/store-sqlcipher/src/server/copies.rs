//! Copies of the originals of images: which there are, how they stand, what is due.
//!
//! Never here: files, targets. Called by the server's imaging through `vitrine_store::copies`, and by `imaging` when a
//! record is destroyed.

use super::SqlcipherStore;
use super::imaging::opened;
use super::sql::{During, all, int, one, run, uint};
use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::copies::{
    Again, Copies, CopyCount, CopyDone, CopyFile, CopyOf, CopyReport, CopyRow, CopyState, LOCAL, Sum, Which,
};
use vitrine_store::imaging::{Blob, InstanceBody};

const LISTING: &str = "listing images to be copied";
const READING: &str = "reading the copies of images";
const NOTING: &str = "noting a copy of an image";

/// Up to which target an instance must be listed to have all its rows.
const NEWEST: &str = "(SELECT coalesce(max(since), 1) FROM imaging_target)";

const COPY: &str =
    "SELECT c.no, c.target, c.sha256, c.mark, c.state, c.at, c.due, c.tries, c.bytes, c.digest, c.why,
       i.uid, i.bytes, i.body, p.id, l.bytes, l.digest
  FROM imaging_copy c LEFT JOIN imaging_instance i ON i.no = c.instance
  LEFT JOIN imaging_series s ON s.no = i.series LEFT JOIN imaging_study t ON t.no = s.study
  LEFT JOIN patient p ON p.pid = t.pid
  LEFT JOIN imaging_copy l ON l.instance = c.instance AND l.target = 'local'";

/// A row, the number of its state, and whose it is: UID, bytes, packed body, patient.
type Raw = (CopyRow, i64, Option<(String, i64, Vec<u8>, String)>);

fn sum(bytes: Option<i64>, digest: Option<[u8; 32]>) -> Option<Sum> {
    Some(Sum {
        bytes: uint(bytes?),
        sha256: digest?,
    })
}

fn raw(r: &Row<'_>) -> rusqlite::Result<Raw> {
    let row = CopyRow {
        no: uint(r.get(0)?),
        target: r.get(1)?,
        file: CopyFile {
            sha256: r.get(2)?,
            mark: r.get(3)?,
        },
        state: CopyState::Pending,
        at: r.get::<_, Option<i64>>(5)?.map(UtcMs),
        due: UtcMs(r.get(6)?),
        tries: r.get(7)?,
        sum: sum(r.get(8)?, r.get(9)?),
        why: r.get(10)?,
        of: None,
        original: sum(r.get(15)?, r.get(16)?),
    };
    let of = match (r.get(11)?, r.get(12)?, r.get(13)?, r.get(14)?) {
        (Some(uid), Some(bytes), Some(body), Some(patient)) => Some((uid, bytes, body, patient)),
        _ => None,
    };
    Ok((row, r.get(4)?, of))
}

fn whole((mut row, state, of): Raw) -> Result<CopyRow, StoreError> {
    row.state = CopyState::of(state)?;
    if let Some((uid, bytes, packed, patient)) = of {
        let body: InstanceBody = opened(&packed)?;
        row.of = Some(CopyOf {
            patient: PatientId::new(patient)
                .map_err(|_| StoreError::Damaged("the id of a patient".to_owned()))?,
            uid,
            blob: Blob {
                sha256: row.file.sha256,
                bytes: uint(bytes),
                key: body.key(),
            },
        });
    }
    Ok(row)
}

fn rows(conn: &Connection, which: &str, with: Vec<Value>) -> Result<Vec<CopyRow>, StoreError> {
    let found = all(
        conn,
        &format!("{COPY} WHERE {which}"),
        params_from_iter(with),
        raw,
    )
    .during(READING)?;
    found.into_iter().map(whole).collect()
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The copies of a record that is destroyed are to go. Before its instances are deleted.
pub(super) fn forget(conn: &Connection, pid: i64) -> Result<(), StoreError> {
    let sql = "UPDATE imaging_copy SET instance = NULL, state = 5, due = 0, tries = 0, why = NULL
                WHERE instance IN (SELECT i.no FROM imaging_study t JOIN imaging_series s ON s.study = t.no
                                     JOIN imaging_instance i ON i.series = s.no WHERE t.pid = ?1)";
    run(conn, sql, [pid]).during("destroying a record").map(|_| ())
}

fn targets(conn: &Connection, names: &[String]) -> Result<(), StoreError> {
    let sql = "SELECT name, retired FROM imaging_target";
    let there = all(conn, sql, [], |r| {
        Ok((r.get::<_, String>(0)?, r.get::<_, bool>(1)?))
    })
    .during(LISTING)?;
    for (name, retired) in &there {
        if !retired && !names.contains(name) {
            let sql = "UPDATE imaging_target SET retired = 1 WHERE name = ?1";
            run(conn, sql, [name]).during(LISTING)?;
        }
    }
    for name in names {
        if there.iter().any(|(n, retired)| n == name && !retired) {
            continue;
        }
        let sql = format!(
            "INSERT INTO imaging_target (name, since) VALUES (?1, {NEWEST} + 1)
             ON CONFLICT (name) DO UPDATE SET since = {NEWEST} + 1, retired = 0"
        );
        run(conn, &sql, [name]).during(LISTING)?;
    }
    Ok(())
}

fn list(conn: &Connection, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
    let newest: i64 = one(conn, &format!("SELECT {NEWEST}"), [], |r| r.get(0))
        .during(LISTING)?
        .unwrap_or(1);
    let sql =
        "SELECT no, sha256, bytes, body FROM imaging_instance WHERE copies < ?1 ORDER BY copies, no LIMIT ?2";
    let found = all(conn, sql, [newest, most(limit)], |r| {
        Ok((
            r.get::<_, i64>(0)?,
            r.get::<_, [u8; 32]>(1)?,
            r.get::<_, i64>(2)?,
            r.get::<_, Vec<u8>>(3)?,
        ))
    });
    let found = found.during(LISTING)?;
    let sql = "SELECT name FROM imaging_target WHERE retired = 0";
    let mut places: Vec<String> = all(conn, sql, [], |r| r.get(0)).during(LISTING)?;
    places.push(LOCAL.to_owned());
    for (no, sha256, bytes, packed) in &found {
        let body: InstanceBody = opened(packed)?;
        let blob = Blob {
            sha256: *sha256,
            bytes: uint(*bytes),
            key: body.key(),
        };
        for target in &places {
            let sql = "INSERT INTO imaging_copy (instance, target, sha256, mark, state, due)
                       VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT DO NOTHING";
            let row = params![no, target, &sha256[..], &blob.mark()[..], at.0];
            run(conn, sql, row).during(LISTING)?;
        }
        let sql = "UPDATE imaging_instance SET copies = ?2 WHERE no = ?1";
        run(conn, sql, [*no, newest]).during(LISTING)?;
    }
    Ok(found.len())
}

fn done(conn: &Connection, d: &CopyDone) -> Result<bool, StoreError> {
    let sql =
        "UPDATE imaging_copy SET state = ?2, at = ?3, due = ?4, tries = ?5, bytes = coalesce(?6, bytes),
                      digest = coalesce(?7, digest), why = ?8
                WHERE no = ?1 AND (instance IS NULL) = (?2 = 5) AND sha256 = ?9 AND mark = ?10 AND state = ?11";
    let row = params![
        int(d.no),
        d.state.number(),
        d.at.0,
        d.due.0,
        d.tries,
        d.sum.map(|s| int(s.bytes)),
        d.sum.map(|s| s.sha256.to_vec()),
        d.why,
        &d.file.sha256[..],
        &d.file.mark[..],
        d.was.number()
    ];
    Ok(run(conn, sql, row).during(NOTING)? > 0)
}

fn report(conn: &Connection) -> Result<CopyReport, StoreError> {
    let sql =
        "SELECT target, state, count(*) FROM imaging_copy GROUP BY target, state ORDER BY target, state";
    let found = all(conn, sql, [], |r| {
        Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
    });
    let counts = found.during(READING)?.into_iter().map(|(target, state, rows)| {
        Ok(CopyCount {
            target,
            state: CopyState::of(state)?,
            rows: uint(rows),
        })
    });
    let number =
        |sql: &str| Ok::<_, StoreError>(one(conn, sql, [], |r| r.get(0)).during(READING)?.map_or(0, uint));
    Ok(CopyReport {
        counts: counts.collect::<Result<_, StoreError>>()?,
        lost: number(
            "SELECT count(*) FROM imaging_copy l WHERE l.target = 'local' AND l.state <> 1 AND l.state IN (2, 3, 6)
                AND NOT EXISTS (SELECT 1 FROM imaging_copy c WHERE c.instance = l.instance AND c.state = 1
                                   AND EXISTS (SELECT 1 FROM imaging_target t WHERE t.name = c.target AND t.retired = 0))",
        )?,
        unlisted: number(&format!(
            "SELECT count(*) FROM imaging_instance WHERE copies < {NEWEST}"
        ))?,
    })
}

fn again(conn: &Connection, which: &Again, now: UtcMs) -> Result<u64, StoreError> {
    let (fits, with) = match which {
        Again::Verified(after, until) => {
            let sql =
                "UPDATE imaging_copy SET due = ?1 WHERE no > ?2 AND no <= ?3 AND due > ?1 AND state = 1";
            let n = run(conn, sql, [now.0, int(*after), int(*until)]).during(NOTING)?;
            return Ok(n as u64);
        }
        Again::Original(uid) => (
            "target = 'local' AND instance = (SELECT no FROM imaging_instance WHERE uid = ?2)",
            uid.as_str(),
        ),
        Again::Failed(target) => (
            "target = ?2 AND state <> 1 AND state <> 6 AND tries > 0",
            target.as_str(),
        ),
    };
    let sql = format!("UPDATE imaging_copy SET due = ?1 WHERE due > ?1 AND {fits}");
    let n = run(conn, &sql, params![now.0, with]).during(NOTING)?;
    Ok(n as u64)
}

#[async_trait]
impl Copies for SqlcipherStore {
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(1, move |conn, _| targets(conn, &names)).await
    }

    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        let read = |conn: &Connection, name: &str| {
            let sql = "SELECT mark FROM imaging_target WHERE name = ?1";
            Ok(one(conn, sql, [name], |r| r.get(0)).during(READING)?.flatten())
        };
        let Some(mark) = mark.map(str::to_owned) else {
            return self.read_job(move |conn| read(conn, &name)).await;
        };
        self.write(1, move |conn, _| {
            let sql = "UPDATE imaging_target SET mark = ?2 WHERE name = ?1 AND mark IS NULL";
            run(conn, sql, [&name, &mark]).during(NOTING)?;
            read(conn, &name)
        })
        .await
    }

    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
        // Mostly there are none: that takes no transaction.
        let open = self
            .read_job(|conn| {
                let sql = format!("SELECT 1 FROM imaging_instance WHERE copies < {NEWEST} LIMIT 1");
                one(conn, &sql, [], |_| Ok(())).during(LISTING)
            })
            .await?;
        if open.is_none() {
            return Ok(0);
        }
        self.write(limit, move |conn, _| list(conn, limit, at)).await
    }

    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError> {
        let fits = match which {
            Which::Scrub => "c.state = 1",
            Which::Work if target == LOCAL => "c.state <> 1",
            Which::Work => "c.state <> 1 AND (c.instance IS NULL OR l.digest IS NOT NULL)",
        };
        let which = format!("{fits} AND c.target = ?1 AND c.due <= ?2 ORDER BY c.due, c.no LIMIT ?3");
        let with = vec![
            Value::from(target.to_owned()),
            Value::from(now.0),
            Value::from(most(limit)),
        ];
        self.read_job(move |conn| rows(conn, &which, with)).await
    }

    async fn copies_done(&self, what: CopyDone) -> Result<bool, StoreError> {
        self.write(1, move |conn, _| done(conn, &what)).await
    }

    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError> {
        self.write(1, move |conn, _| {
            let sql =
                "DELETE FROM imaging_copy WHERE no = ?1 AND instance IS NULL AND sha256 = ?2 AND mark = ?3";
            run(conn, sql, params![int(no), &file.sha256[..], &file.mark[..]])
                .during(NOTING)
                .map(|_| ())
        })
        .await
    }

    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError> {
        let with = vec![Value::from(uid.to_owned())];
        let which = "c.instance = (SELECT no FROM imaging_instance WHERE uid = ?1) ORDER BY c.no";
        self.read_job(move |conn| rows(conn, which, with)).await
    }

    async fn copies_report(&self) -> Result<CopyReport, StoreError> {
        self.read_job(report).await
    }

    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError> {
        let with = vec![Value::from(most(limit))];
        let which = "c.state <> 1 AND (c.state IN (2, 3, 4) OR (c.state IN (0, 5) AND c.tries > 0))
                     ORDER BY c.no LIMIT ?1";
        self.read_job(move |conn| rows(conn, which, with)).await
    }

    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError> {
        self.write(1, move |conn, _| again(conn, &which, now)).await
    }

    async fn copies_last(&self) -> Result<u64, StoreError> {
        self.read_job(|conn| {
            let sql = "SELECT coalesce(max(no), 0) FROM imaging_copy";
            Ok(one(conn, sql, [], |r| r.get(0)).during(READING)?.map_or(0, uint))
        })
        .await
    }

    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError> {
        let target = target.to_owned();
        self.read_job(move |conn| {
            let sql = "SELECT count(*) FROM imaging_copy WHERE state = 1 AND target = ?1 AND due <= ?2";
            Ok(one(conn, sql, params![target, by.0], |r| r.get(0))
                .during(READING)?
                .map_or(0, uint))
        })
        .await
    }
}
