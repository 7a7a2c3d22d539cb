//! The pixels of images: which instances were looked at, where their frames lie.
//!
//! Never here: pixels. Called by the server's imaging through `vitrine_store::pixels`, and by `acts` for what is written.

use crate::PostgresStore;
use crate::acts::Act;
use crate::group::Group;
use crate::imaging::{INSTANCE, opened, unpacked_row};
use crate::sql::{Fault, all, col, hash32, int, one, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};
use vitrine_store::imaging::{Blob, InstanceBody, SeriesBody, StudyBody};
use vitrine_store::pixels::{
    PackBody, PixelPack, Pixels, PixelsDone, SeriesPixels, Unpacked, WITHOUT_MOST, seal_pixels,
};
use vitrine_store::{StoreError, seal};

const LOOKING: &str = "looking for images without a pack";
const NOTING: &str = "noting a pack of images";
const READING: &str = "reading the packs of images";

/// What is written about pixels.
pub(crate) enum PixelAct {
    Done(PixelsDone),
    Again(String),
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct PixelsActed {
    pub noted: bool,
    pub packs: Vec<Blob>,
}

async fn packs<C: GenericClient>(
    c: &C,
    vault: &Vault,
    series: &[i64],
) -> Result<Vec<(i64, PixelPack)>, Fault> {
    let sql =
        "SELECT no, series, sha256, bytes, frames, body FROM imaging_pack WHERE series = ANY($1) ORDER BY no";
    let mut out = Vec::new();
    for r in &all(c, READING, sql, &[&series]).await? {
        let body: PackBody = opened(vault, Place::Pack(col(r, 0, READING)?), col(r, 5, READING)?)?;
        let blob = Blob {
            sha256: hash32(col(r, 2, READING)?),
            bytes: uint(col(r, 3, READING)?),
            key: body.key(),
        };
        let frames = u32::try_from(col::<i64>(r, 4, READING)?).unwrap_or(0);
        out.push((col(r, 1, READING)?, PixelPack { blob, frames }));
    }
    Ok(out)
}

impl Group<'_> {
    /// Carries an act out; what does not fit is found before anything is written.
    pub(crate) async fn pixels(&mut self, act: &PixelAct) -> Result<PixelsActed, Fault> {
        let series = match act {
            PixelAct::Done(done) => &done.series,
            PixelAct::Again(series) => series,
        };
        let token = self.vault.uid_token(series);
        let sql = "SELECT no FROM imaging_series WHERE uid = $1";
        let Some(row) = one(self.tx, NOTING, sql, &[&&token[..]]).await? else {
            return Ok(PixelsActed::default());
        };
        let series: i64 = col(&row, 0, NOTING)?;
        match act {
            PixelAct::Done(done) => Ok(PixelsActed {
                noted: self.pixels_done(series, done).await?,
                packs: Vec::new(),
            }),
            PixelAct::Again(_) => {
                let sql = "SELECT no FROM imaging_instance WHERE series = $1 ORDER BY no FOR UPDATE";
                all(self.tx, NOTING, sql, &[&series]).await?;
                let packs = packs(self.tx, self.vault, &[series]).await?;
                run(
                    self.tx,
                    NOTING,
                    "DELETE FROM imaging_pack WHERE series = $1",
                    &[&series],
                )
                .await?;
                let sql = "UPDATE imaging_instance SET frames = NULL, why = NULL WHERE series = $1";
                run(self.tx, NOTING, sql, &[&series]).await?;
                Ok(PixelsActed {
                    noted: true,
                    packs: packs.into_iter().map(|(_, p)| p.blob).collect(),
                })
            }
        }
    }

    async fn pixels_done(&self, series: i64, done: &PixelsDone) -> Result<bool, Fault> {
        let mut tokens = Vec::with_capacity(done.instances.len());
        let mut frames = Vec::with_capacity(done.instances.len());
        let mut whys = Vec::with_capacity(done.instances.len());
        for i in &done.instances {
            tokens.push(self.vault.uid_token(&i.uid).to_vec());
            frames.push(i64::from(i.frames));
            whys.push(i.why.clone());
        }
        // Locked: another server may be noting the same instances.
        let sql = "SELECT no FROM imaging_instance WHERE uid = ANY($1) AND series = $2 AND frames IS NULL FOR UPDATE";
        let open = all(self.tx, NOTING, sql, &[&tokens, &series]).await?;
        if open.len() != done.instances.len() {
            // The answer of an earlier try may have been lost: then this very pack is there, under this very key.
            let there = packs(self.tx, self.vault, &[series]).await?;
            return Ok(there.iter().any(|(_, p)| Some(p) == done.pack.as_ref()));
        }
        if let Some(pack) = &done.pack {
            let row = one(self.tx, NOTING, "SELECT nextval('imaging_no')", &[]).await?;
            let row = row.ok_or(Fault::Failed(StoreError::Closed))?;
            let no: i64 = col(&row, 0, NOTING)?;
            let body = self
                .vault
                .put(Place::Pack(no), &PackBody::of(&pack.blob).write()?)?;
            let sql = "INSERT INTO imaging_pack (no, series, sha256, bytes, frames, at, body)
                       VALUES ($1, $2, $3, $4, $5, $6, $7)";
            let (sha256, bytes) = (&pack.blob.sha256[..], int(pack.blob.bytes));
            let count = i64::from(pack.frames);
            run(
                self.tx,
                NOTING,
                sql,
                &[&no, &series, &sha256, &bytes, &count, &done.at.0, &body],
            )
            .await?;
        }
        let sql = "UPDATE imaging_instance i SET frames = u.frames, why = u.why
                     FROM unnest($1::bytea[], $2::bigint[], $3::text[]) u(uid, frames, why) WHERE i.uid = u.uid";
        run(self.tx, NOTING, sql, &[&tokens, &frames, &whys]).await?;
        Ok(true)
    }
}

impl PostgresStore {
    async fn pixel_act(&self, act: PixelAct) -> Result<PixelsActed, StoreError> {
        let acted = self.act(Act::Pixels(Box::new(act)), None).await?;
        acted.pixels.ok_or(StoreError::Closed)
    }
}

#[async_trait]
impl Pixels for PostgresStore {
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let client = self.reader().await?;
        let rows = match series {
            Some(series) => {
                let token = self.vault().uid_token(series);
                let sql = format!(
                    "{INSTANCE} WHERE i.series = (SELECT no FROM imaging_series WHERE uid = $1) AND i.frames IS NULL
                      ORDER BY i.position, i.no LIMIT $2"
                );
                all(&client, LOOKING, &sql, &[&&token[..], &limit]).await?
            }
            None => {
                let sql = format!("{INSTANCE} WHERE i.frames IS NULL ORDER BY i.no DESC LIMIT $1");
                all(&client, LOOKING, &sql, &[&limit]).await?
            }
        };
        let found = rows.iter().map(|r| unpacked_row(self.vault(), r));
        Ok(found.collect::<Result<_, Fault>>()?)
    }

    async fn pixels_done(&self, done: PixelsDone) -> Result<bool, StoreError> {
        Ok(self.pixel_act(PixelAct::Done(done)).await?.noted)
    }

    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let client = self.reader().await?;
        let vault = self.vault();
        let token = study.map(|s| vault.uid_token(s).to_vec());
        let sql = "SELECT e.no, s.no, s.body, e.body,
                (SELECT count(*) FROM imaging_instance i WHERE i.series = e.no AND i.frames > 0),
                (SELECT count(*) FROM imaging_instance i WHERE i.series = e.no AND i.frames IS NULL)
           FROM imaging_study s JOIN imaging_series e ON e.study = s.no
          WHERE s.pid = (SELECT pid FROM patient WHERE id = $1) AND ($2::bytea IS NULL OR s.uid = $2)
          ORDER BY s.day DESC NULLS LAST, s.no DESC, e.no";
        let (mut numbers, mut out) = (Vec::new(), Vec::new());
        for r in &all(&client, READING, sql, &[&patient.as_str(), &token]).await? {
            let (no, study): (i64, i64) = (col(r, 0, READING)?, col(r, 1, READING)?);
            let study: StudyBody = opened(vault, Place::Study(study), col(r, 2, READING)?)?;
            let series: SeriesBody = opened(vault, Place::Series(no), col(r, 3, READING)?)?;
            numbers.push(no);
            out.push(SeriesPixels {
                study: study.uid,
                series: series.uid,
                ready: uint(col(r, 4, READING)?),
                preparing: uint(col(r, 5, READING)?),
                ..SeriesPixels::default()
            });
        }
        let at = |no: i64| numbers.iter().position(|n| *n == no);
        for (series, pack) in packs(&client, vault, &numbers).await? {
            if let Some(of) = at(series).and_then(|at| out.get_mut(at)) {
                of.packs.push(pack);
            }
        }
        let sql = "SELECT series, no, body, coalesce(why, '') FROM imaging_instance WHERE series = ANY($1) AND frames = 0
                    ORDER BY series, position, no";
        for r in &all(&client, READING, sql, &[&numbers]).await? {
            let of = at(col(r, 0, READING)?).and_then(|at| out.get_mut(at));
            if let Some(of) = of.filter(|of| of.without.len() < WITHOUT_MOST) {
                let body: InstanceBody =
                    opened(vault, Place::Instance(col(r, 1, READING)?), col(r, 2, READING)?)?;
                of.without.push((body.uid, col(r, 3, READING)?));
            }
        }
        seal_pixels(permit, out)
    }

    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError> {
        Ok(self.pixel_act(PixelAct::Again(series.to_owned())).await?.packs)
    }

    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let client = self.reader().await?;
        let sql = "SELECT no, body FROM imaging_series WHERE no > $1 ORDER BY no LIMIT $2";
        let mut out = Vec::new();
        for r in &all(&client, READING, sql, &[&int(after), &limit]).await? {
            let no: i64 = col(r, 0, READING)?;
            let body: SeriesBody = opened(self.vault(), Place::Series(no), col(r, 1, READING)?)?;
            out.push((uint(no), body.uid));
        }
        Ok(out)
    }
}
