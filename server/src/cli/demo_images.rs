//! `demo --images`: the product's own phantoms as images of some patients of the synthetic hospital.

use super::acts::{Ground, OfOperator};
use crate::error::Fault;
use crate::imaging::blobs::Incoming;
use crate::imaging::filing::{Filer, Outcome};
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_clinical::format::civil::{DAY_MS, date_from_days};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_synthetic::{Hospital, Showcase};

/// A series: of which of the patients worth opening, what, rows, columns, slices or frames, how many days ago, of what.
type Made = (usize, Kind, (u16, u16, u32), i64, &'static str);

/// Small enough to be made in seconds; of every kind one.
const SERIES: &[Made] = &[
    (0, Kind::Ct, (256, 256, 60), 0, "CT chest"),
    (0, Kind::Cr, (1_220, 1_000, 1), 0, "Chest PA"),
    (0, Kind::Cr, (1_220, 1_000, 1), 31, "Chest PA"),
    (1, Kind::Mr, (192, 192, 24), 1, "MR brain"),
    (1, Kind::MrSigned, (192, 192, 24), 1, "MR brain"),
    (2, Kind::UsColor, (240, 320, 30), 0, "Echocardiography"),
    (3, Kind::EnhancedCt, (256, 256, 40), 2, "CT abdomen"),
    (4, Kind::CrInverse, (1_220, 1_000, 1), 0, "Pelvis AP"),
    (4, Kind::Rgb, (480, 640, 1), 0, "Wound, photograph"),
    (5, Kind::UsCine, (240, 320, 30), 3, "US abdomen"),
    (5, Kind::Palette, (240, 320, 1), 3, "US abdomen, capture"),
];
/// Seeds apart from those of tests.
const SEED: u64 = 0x5649_5452;

/// Files them; those that are there stay. Gives how many there are.
pub(super) async fn images(
    ground: &Ground,
    hospital: Hospital,
    patients: u64,
    now_ms: i64,
) -> Result<u64, Fault> {
    let all = hospital.showcases();
    let inside: Vec<&Showcase> = all.iter().filter(|s| s.n.is_some_and(|n| n < patients)).collect();
    let permits = OfOperator(ground.operator.clone());
    let (mut count, mut studies) = (0, BTreeSet::new());
    for (seed, (who, kind, (rows, columns, frames), days, what)) in (SEED..).zip(SERIES) {
        let Some(patient) = inside.get(*who) else { continue };
        let mut phantom = Phantom::new(*kind, seed);
        (phantom.rows, phantom.columns, phantom.count) = (*rows, *columns, *frames);
        // One study for each patient and day and what.
        phantom.study =
            SEED + (*who as u64) * 1_000 + days.unsigned_abs() * 10 + u64::from(*kind == Kind::Cr);
        phantom.subject = subject(patient, now_ms - days * DAY_MS, what);
        for file in 0..phantom.files() {
            let filer = ground.images.clone();
            let made = phantom.clone();
            let received = tokio::task::spawn_blocking(move || write(&filer, &made, file)).await;
            let received = received
                .map_err(|e| Fault::failed(e.to_string()))?
                .map_err(|e| Fault::failed(format!("an image could not be written: {e}")))?;
            let outcome = ground.images.take(&permits, received, "synthetic", None).await?;
            if let Outcome::Quarantined(held) = &outcome {
                return Err(Fault::failed(format!(
                    "an image of the demonstration was refused: {}",
                    held.told()
                )));
            }
            studies.extend(outcome.study().map(str::to_owned));
            count += 1;
        }
    }
    ground.images.settle(&permits, &studies).await;
    Ok(count)
}

fn write(
    filer: &Arc<Filer>,
    phantom: &Phantom,
    file: u32,
) -> std::io::Result<crate::imaging::blobs::Received> {
    let mut bytes = Vec::new();
    phantom.write(file, &mut bytes)?;
    let mut incoming = filer.blobs().receive()?;
    incoming.write(&bytes)?;
    Incoming::finish(incoming)
}

fn subject(patient: &Showcase, at_ms: i64, what: &str) -> Subject {
    let (year, month, day) = date_from_days(at_ms.div_euclid(DAY_MS));
    let (given, family) = patient.name.rsplit_once(' ').unwrap_or(("", &patient.name));
    Subject {
        id: patient.mrn.clone(),
        name: format!("{family}^{}", given.replace(' ', "^")),
        study_date: format!("{year:04}{month:02}{day:02}"),
        study_time: "081400".to_owned(),
        study_description: Some(what.to_owned()),
        ..Subject::default()
    }
}
