//! Rows of `images.db`, and what they are outside it.

use super::super::scopes::u;
use super::OpenSeries;
use super::files::StudyKey;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use vitrine_clinical::PatientId;

/// The studies of a patient as last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedList {
    /// What the caller kept.
    pub body: Vec<u8>,
    /// Server time at which it was told, ms.
    pub as_of: i64,
    /// What is here of its series.
    pub held: Vec<SeriesHeld>,
}

/// How much of a series is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesHeld {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// Frames of its packs.
    pub frames: u64,
    /// Frames whose index is here.
    pub indexed: u64,
    /// Frames with layer 0.
    pub previews: u64,
    /// Segments above layer 0.
    pub segments: u64,
}

/// A series as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedSeries {
    /// What the caller kept.
    pub body: Vec<u8>,
    /// When it was told, ms.
    pub as_of: i64,
    /// Its packs, in order.
    pub packs: Vec<HeldPack>,
}

/// A pack as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPack {
    /// Its id.
    pub hash: Vec<u8>,
    /// Frames in it.
    pub frames: u32,
    /// Its length, bytes.
    pub bytes: u64,
    /// Pieces of its index: number of the first frame, frames, body.
    pub pieces: Vec<(u32, u32, Vec<u8>)>,
    /// For each frame a bit for each layer that is here, and [`PROVEN`].
    pub layers: Vec<u8>,
}

/// A pack to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewPack<'a> {
    /// Its id.
    pub hash: &'a [u8],
    /// Frames in it.
    pub frames: u32,
    /// Its length, bytes.
    pub bytes: u64,
}

/// A piece of an index to be kept.
#[derive(Debug, Clone, Copy)]
pub struct IndexPiece<'a> {
    /// Pack id.
    pub pack: &'a [u8],
    /// Number of the first frame.
    pub first: u32,
    /// Frames.
    pub frames: u32,
    /// As it came.
    pub body: &'a [u8],
}

/// A segment to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewSegment<'a> {
    /// Pack id.
    pub pack: &'a [u8],
    /// Frame in the pack.
    pub frame: u32,
    /// Layer.
    pub layer: u8,
    /// As it came.
    pub body: &'a [u8],
}

/// A study with a file, for eviction.
pub(super) struct StudyUse {
    pub(super) id: i64,
    pub(super) patient: String,
    pub(super) uid: String,
    pub(super) file: String,
    pub(super) bytes: u64,
}

/// The bit of a frame whose whole pixels had their digest when they were decoded.
pub const PROVEN: u8 = 1 << 7;

/// Most frames of a pack that are believed.
const MOST_FRAMES: u32 = 1 << 22;

pub(super) fn studies_of(
    c: &Connection,
    patient: &PatientId,
) -> rusqlite::Result<Vec<(i64, String, Option<String>)>> {
    c.prepare_cached(
        "SELECT s.id, s.uid, k.file FROM study s LEFT JOIN study_key k ON k.study = s.id WHERE s.patient = ?1",
    )?
    .query_map([patient.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
    .collect()
}

/// Patients of whom nothing was told or looked at since, ms.
pub(super) fn patients_before(c: &Connection, before: i64) -> rusqlite::Result<Vec<String>> {
    c.prepare_cached(
        "SELECT patient FROM (SELECT patient, as_of AS at FROM list UNION ALL SELECT patient, used FROM study)
         GROUP BY patient HAVING max(at) < ?1",
    )?
    .query_map([before], |r| r.get(0))?
    .collect()
}

pub(super) fn files_of(c: &Connection, patient: &str) -> rusqlite::Result<Vec<String>> {
    c.prepare_cached("SELECT k.file FROM study s JOIN study_key k ON k.study = s.id WHERE s.patient = ?1")?
        .query_map([patient], |r| r.get(0))?
        .collect()
}

pub(super) fn studies_by_use(c: &Connection) -> rusqlite::Result<Vec<StudyUse>> {
    c.prepare_cached(
        "SELECT s.id, s.patient, s.uid, k.file, k.bytes FROM study s JOIN study_key k ON k.study = s.id
         ORDER BY s.used, s.id",
    )?
    .query_map([], |r| {
        Ok(StudyUse {
            id: r.get(0)?,
            patient: r.get(1)?,
            uid: r.get(2)?,
            file: r.get(3)?,
            bytes: u(r.get(4)?),
        })
    })?
    .collect()
}

pub(super) fn study_key(c: &Connection, of: &OpenSeries) -> rusqlite::Result<Option<StudyKey>> {
    let found = c
        .prepare_cached(
            "SELECT k.study, k.file, k.size, k.key FROM study s JOIN study_key k ON k.study = s.id
             WHERE s.patient = ?1 AND s.uid = ?2",
        )?
        .query_row(params![of.patient.as_str(), of.study], |r| {
            let key: Vec<u8> = r.get(3)?;
            Ok(StudyKey::new(
                r.get(0)?,
                r.get(1)?,
                u(r.get(2)?),
                &zeroize::Zeroizing::new(key),
            ))
        })
        .optional()?;
    Ok(found.flatten())
}

fn series_id(c: &Connection, of: &OpenSeries) -> rusqlite::Result<Option<i64>> {
    c.prepare_cached(
        "SELECT e.id FROM study s JOIN series e ON e.study = s.id WHERE s.patient = ?1 AND s.uid = ?2 AND e.uid = ?3",
    )?
    .query_row(params![of.patient.as_str(), of.study, of.series], |r| r.get(0))
    .optional()
}

/// The packs of a series by their id.
pub(super) fn pack_ids(c: &Connection, of: &OpenSeries) -> rusqlite::Result<BTreeMap<Vec<u8>, i64>> {
    let Some(series) = series_id(c, of)? else {
        return Ok(BTreeMap::new());
    };
    c.prepare_cached("SELECT hash, id FROM pack WHERE series = ?1")?
        .query_map([series], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}

pub(super) fn pack_id(c: &Connection, of: &OpenSeries, hash: &[u8]) -> rusqlite::Result<Option<i64>> {
    c.prepare_cached(
        "SELECT p.id FROM study s JOIN series e ON e.study = s.id JOIN pack p ON p.series = e.id
         WHERE s.patient = ?1 AND s.uid = ?2 AND e.uid = ?3 AND p.hash = ?4",
    )?
    .query_row(params![of.patient.as_str(), of.study, of.series, hash], |r| {
        r.get(0)
    })
    .optional()
}

pub(super) fn put_series(
    t: &Transaction<'_>,
    study: i64,
    uid: &str,
    packs: &[NewPack<'_>],
    body: &[u8],
    now: i64,
) -> rusqlite::Result<()> {
    t.execute(
        "INSERT INTO series (study, uid, body, as_of) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (study, uid) DO UPDATE SET body = ?3, as_of = ?4",
        params![study, uid, body, now],
    )?;
    let series: i64 = t.query_row(
        "SELECT id FROM series WHERE study = ?1 AND uid = ?2",
        params![study, uid],
        |r| r.get(0),
    )?;
    let known: Vec<(i64, Vec<u8>)> = t
        .prepare_cached("SELECT id, hash FROM pack WHERE series = ?1")?
        .query_map([series], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, hash) in known {
        if !packs.iter().any(|p| p.hash == hash) {
            t.execute("DELETE FROM pack WHERE id = ?1", [id])?;
        }
    }
    for (place, p) in (0_i64..).zip(packs) {
        t.prepare_cached(
            "INSERT INTO pack (series, hash, place, frames, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (series, hash) DO UPDATE SET place = ?3",
        )?
        .execute(params![series, p.hash, place, p.frames, super::i(p.bytes)])?;
    }
    Ok(())
}

pub(super) fn series(c: &Connection, of: &OpenSeries) -> rusqlite::Result<Option<CachedSeries>> {
    let Some(id) = series_id(c, of)? else {
        return Ok(None);
    };
    let (body, as_of) = c
        .prepare_cached("SELECT body, as_of FROM series WHERE id = ?1")?
        .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let listed: Vec<(i64, Vec<u8>, u32, i64)> = c
        .prepare_cached("SELECT id, hash, frames, bytes FROM pack WHERE series = ?1 ORDER BY place")?
        .query_map([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut packs = Vec::with_capacity(listed.len());
    for (pack, hash, frames, bytes) in listed {
        let pieces = c
            .prepare_cached("SELECT first, frames, body FROM piece WHERE pack = ?1 ORDER BY first")?
            .query_map([pack], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut layers = vec![0_u8; usize::try_from(frames.min(MOST_FRAMES)).unwrap_or(0)];
        let mut mark = |frame: i64, layer: i64| {
            let (frame, layer) = (usize::try_from(frame), u32::try_from(layer));
            if let (Ok(frame), Ok(layer @ 0..8)) = (frame, layer)
                && let Some(bits) = layers.get_mut(frame)
            {
                *bits |= 1 << layer;
            }
        };
        let mut previews = c.prepare_cached("SELECT frame FROM preview WHERE pack = ?1")?;
        let mut found = previews.query([pack])?;
        while let Some(r) = found.next()? {
            mark(r.get(0)?, 0);
        }
        let mut segments = c.prepare_cached("SELECT frame, layer FROM segment WHERE pack = ?1")?;
        let mut found = segments.query([pack])?;
        while let Some(r) = found.next()? {
            mark(r.get(0)?, r.get(1)?);
        }
        let mut proofs = c.prepare_cached("SELECT frame FROM proof WHERE pack = ?1")?;
        let mut found = proofs.query([pack])?;
        while let Some(r) = found.next()? {
            mark(r.get(0)?, 7);
        }
        packs.push(HeldPack {
            hash,
            frames,
            bytes: u(bytes),
            pieces,
            layers,
        });
    }
    Ok(Some(CachedSeries { body, as_of, packs }))
}

/// What is here of a patient's series.
pub(super) fn held(c: &Connection, patient: &PatientId) -> rusqlite::Result<Vec<SeriesHeld>> {
    c.prepare_cached(
        "SELECT s.uid, e.uid, coalesce(sum(p.frames), 0),
                coalesce(sum((SELECT sum(i.frames) FROM piece i WHERE i.pack = p.id)), 0),
                coalesce(sum((SELECT count(*) FROM preview v WHERE v.pack = p.id)), 0),
                coalesce(sum((SELECT count(*) FROM segment g WHERE g.pack = p.id)), 0)
         FROM study s JOIN series e ON e.study = s.id LEFT JOIN pack p ON p.series = e.id
         WHERE s.patient = ?1 GROUP BY e.id ORDER BY s.uid, e.uid",
    )?
    .query_map([patient.as_str()], |r| {
        Ok(SeriesHeld {
            study: r.get(0)?,
            series: r.get(1)?,
            frames: u(r.get(2)?),
            indexed: u(r.get(3)?),
            previews: u(r.get(4)?),
            segments: u(r.get(5)?),
        })
    })?
    .collect()
}
