//! The pixels of images: which instances were looked at, where their frames lie.
//!
//! Never here: pixels. Called by the server's imaging through `vitrine_store::pixels`.

use super::imaging::{INSTANCE, opened, packed, unpacked_row};
use super::sql::{During, all, int, one, run, uint};
use super::{SqlcipherStore, body};
use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};
use vitrine_store::imaging::Blob;
use vitrine_store::pixels::{
    PackBody, PixelPack, Pixels, PixelsDone, SeriesPixels, Unpacked, WITHOUT_MOST, seal_pixels,
};
use vitrine_store::{StoreError, seal};

const LOOKING: &str = "looking for images without a pack";
const NOTING: &str = "noting a pack of images";
const READING: &str = "reading the packs of images";

fn packs(conn: &Connection, series: i64) -> Result<Vec<PixelPack>, StoreError> {
    let sql = "SELECT sha256, bytes, frames, body FROM imaging_pack WHERE series = ?1 ORDER BY no";
    let found = all(conn, sql, [series], |r| {
        Ok((
            r.get::<_, [u8; 32]>(0)?,
            r.get::<_, i64>(1)?,
            r.get::<_, u32>(2)?,
            r.get::<_, Vec<u8>>(3)?,
        ))
    });
    let rows = found.during(READING)?.into_iter();
    rows.map(|(sha256, bytes, frames, packed)| {
        let body: PackBody = opened(&packed)?;
        let blob = Blob {
            sha256,
            bytes: uint(bytes),
            key: body.key(),
        };
        Ok(PixelPack { blob, frames })
    })
    .collect()
}

fn shown(conn: &Connection, which: &str, with: Vec<Value>) -> Result<Vec<SeriesPixels>, StoreError> {
    let sql = format!(
        "SELECT e.no, s.uid, e.uid,
                (SELECT count(*) FROM imaging_instance i WHERE i.series = e.no AND i.frames > 0),
                (SELECT count(*) FROM imaging_instance i WHERE i.series = e.no AND i.frames IS NULL)
           FROM imaging_study s JOIN imaging_series e ON e.study = s.no WHERE {which}
          ORDER BY s.day IS NULL, s.day DESC, s.no DESC, e.no"
    );
    let found = all(conn, &sql, params_from_iter(with), |r| {
        let shown = SeriesPixels {
            study: r.get(1)?,
            series: r.get(2)?,
            ready: uint(r.get(3)?),
            preparing: uint(r.get(4)?),
            ..SeriesPixels::default()
        };
        Ok((r.get::<_, i64>(0)?, shown))
    });
    let mut out = Vec::new();
    for (no, mut shown) in found.during(READING)? {
        shown.packs = packs(conn, no)?;
        let sql = "SELECT uid, coalesce(why, '') FROM imaging_instance WHERE series = ?1 AND frames = 0
                    ORDER BY position, no LIMIT ?2";
        let most = i64::try_from(WITHOUT_MOST).unwrap_or(i64::MAX);
        shown.without = all(conn, sql, [no, most], |r| Ok((r.get(0)?, r.get(1)?))).during(READING)?;
        out.push(shown);
    }
    Ok(out)
}

fn done(conn: &Connection, done: &PixelsDone) -> Result<bool, StoreError> {
    let sql = "SELECT no FROM imaging_series WHERE uid = ?1";
    let Some(series) = one(conn, sql, [&done.series], |r| r.get::<_, i64>(0)).during(NOTING)? else {
        return Ok(false);
    };
    // All are looked at before anything is written.
    for i in &done.instances {
        let sql = "SELECT 1 FROM imaging_instance WHERE uid = ?1 AND series = ?2 AND frames IS NULL";
        if one(conn, sql, params![i.uid, series], |_| Ok(()))
            .during(NOTING)?
            .is_none()
        {
            // The answer of an earlier try may have been lost: then this very pack is there, under this very key.
            return Ok(packs(conn, series)?.iter().any(|p| Some(p) == done.pack.as_ref()));
        }
    }
    if let Some(pack) = &done.pack {
        let sql = "INSERT INTO imaging_pack (series, sha256, bytes, frames, at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let row = params![
            series,
            &pack.blob.sha256[..],
            int(pack.blob.bytes),
            pack.frames,
            done.at.0,
            body::pack(&PackBody::of(&pack.blob).write()?)?
        ];
        run(conn, sql, row).during(NOTING)?;
    }
    for i in &done.instances {
        let sql = "UPDATE imaging_instance SET frames = ?2, why = ?3 WHERE uid = ?1";
        run(conn, sql, params![i.uid, i.frames, i.why]).during(NOTING)?;
    }
    Ok(true)
}

#[async_trait]
impl Pixels for SqlcipherStore {
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (which, with) = match series {
            Some(series) => (
                "i.series = (SELECT no FROM imaging_series WHERE uid = ?2) AND i.frames IS NULL ORDER BY i.position, i.no",
                vec![Value::from(limit), Value::from(series.to_owned())],
            ),
            None => ("i.frames IS NULL ORDER BY i.no DESC", vec![Value::from(limit)]),
        };
        let sql = format!("{INSTANCE} WHERE {which} LIMIT ?1");
        self.read_job(move |conn| {
            let found = all(conn, &sql, params_from_iter(with), packed).during(LOOKING)?;
            found.into_iter().map(unpacked_row).collect()
        })
        .await
    }

    async fn pixels_done(&self, what: PixelsDone) -> Result<bool, StoreError> {
        self.write(1 + what.instances.len(), move |conn, _| done(conn, &what))
            .await
    }

    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
        let patient = Value::from(seal::patient_of(permit)?.as_str().to_owned());
        let study = Value::from(study.map(str::to_owned));
        let which = "s.pid = (SELECT pid FROM patient WHERE id = ?1) AND (?2 IS NULL OR s.uid = ?2)";
        let found = self
            .read_job(move |conn| shown(conn, which, vec![patient, study]))
            .await?;
        seal_pixels(permit, found)
    }

    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError> {
        let series = series.to_owned();
        self.write(1, move |conn, _| {
            let sql = "SELECT no FROM imaging_series WHERE uid = ?1";
            let Some(no) = one(conn, sql, [&series], |r| r.get::<_, i64>(0)).during(NOTING)? else {
                return Ok(Vec::new());
            };
            let packs = packs(conn, no)?;
            run(conn, "DELETE FROM imaging_pack WHERE series = ?1", [no]).during(NOTING)?;
            let sql = "UPDATE imaging_instance SET frames = NULL, why = NULL WHERE series = ?1";
            run(conn, sql, [no]).during(NOTING)?;
            Ok(packs.into_iter().map(|p| p.blob).collect())
        })
        .await
    }

    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_job(move |conn| {
            let sql = "SELECT no, uid FROM imaging_series WHERE no > ?1 ORDER BY no LIMIT ?2";
            all(conn, sql, [int(after), limit], |r| {
                Ok((uint(r.get(0)?), r.get(1)?))
            })
            .during(READING)
        })
        .await
    }
}
