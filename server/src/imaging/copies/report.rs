//! How the copies stand, for commands and for Prometheus.
//!
//! Lives here: the numbers and the list of what is not in order. Never here: what is done about it.

use super::{Copier, SAID_AWAY};
use crate::clock;
use crate::ops::metrics::Gauge;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vitrine_clinical::PatientId;
use vitrine_store::StoreError;
use vitrine_store::copies::{CopyReport, CopyRow, CopyState, LOCAL};

/// The gauge of rows.
const COPIES: &str = "vitrine_image_copies";

/// What the command lists.
pub struct Listed {
    /// The object.
    pub json: Value,
    /// Everything is in order.
    pub whole: bool,
    /// Whose images are named in it.
    pub patients: BTreeSet<PatientId>,
}

fn line(row: &CopyRow) -> Value {
    json!({"file": row.file.to_string(), "target": row.target, "state": row.state.name(), "tries": row.tries,
        "why": row.why, "instance": row.of.as_ref().map(|o| &o.uid),
        "at": row.at.map(clock::instant)})
}

impl Copier {
    /// Places that are configured or have rows, the server's own folder first.
    fn named_places(&self, report: &CopyReport) -> Vec<String> {
        let mut out: Vec<String> = self.places().map(str::to_owned).collect();
        for c in &report.counts {
            if !out.contains(&c.target) {
                out.push(c.target.clone());
            }
        }
        out
    }

    /// How the copies stand, and at most `limit` of those that are not in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, limit: usize) -> Result<Listed, StoreError> {
        let report = self.count().await?;
        let faulty = self.store.copies_faulty(limit).await?;
        let places: Vec<Value> = self
            .named_places(&report)
            .iter()
            .map(|place| {
                let standing = self.standing(place);
                let configured = place == LOCAL || self.target(place).is_some();
                let mut out = json!({"target": place, "configured": configured,
                    "away_since": standing.since.map(clock::instant), "why": standing.why});
                if let Some(out) = out.as_object_mut() {
                    for state in CopyState::ALL {
                        out.insert(state.name().to_owned(), report.rows(place, state).into());
                    }
                }
                out
            })
            .collect();
        let patients = faulty.iter().filter_map(|r| Some(r.of.as_ref()?.patient.clone()));
        let lines: Vec<Value> = faulty.iter().map(line).collect();
        Ok(Listed {
            whole: faulty.is_empty() && report.lost == 0,
            patients: patients.collect(),
            json: json!({"targets": places, "lost": report.lost, "unlisted": report.unlisted, "faulty": lines}),
        })
    }

    /// Rows that are still to be read again since a moment, and those not in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn progress(&self, since: vitrine_clinical::UtcMs) -> Result<Value, StoreError> {
        let mut left = 0;
        for place in self.places() {
            if self.standing(place).tries < SAID_AWAY {
                left += self.store.copies_waiting(place, since).await?;
            }
        }
        let report = self.count().await?;
        let sum = |state| {
            let of = report.counts.iter().filter(|c| c.state == state);
            of.map(|c| c.rows).sum::<u64>()
        };
        let away: Vec<&str> = self
            .places()
            .filter(|p| self.standing(p).tries >= SAID_AWAY)
            .collect();
        let bad = [CopyState::Missing, CopyState::Damaged, CopyState::Failed].map(sum);
        Ok(
            json!({"left": left, "verified": sum(CopyState::Verified), "missing": bad[0], "damaged": bad[1],
            "failed": bad[2], "lost": report.lost, "away": away}),
        )
    }

    /// What Prometheus is told, as it was counted last.
    #[must_use]
    pub fn gauges(&self) -> Vec<Gauge> {
        #[allow(clippy::cast_precision_loss)]
        let n = |n: u64| n as f64;
        let mut out = Vec::new();
        let Some(report) = self.counted() else {
            return out;
        };
        for place in self.named_places(&report) {
            for state in CopyState::ALL {
                let label = format!("target=\"{place}\",state=\"{}\"", state.name());
                let help = "Originals of images at a place, by how they stand there";
                out.push((COPIES, help, label, n(report.rows(&place, state))));
            }
        }
        out.push((
            "vitrine_image_originals_lost",
            "Originals damaged or missing here of which no target has a verified copy",
            String::new(),
            n(report.lost),
        ));
        for target in self.places().filter(|p| *p != LOCAL) {
            out.push((
                "vitrine_image_target_away",
                "1 while a target of copies does not answer",
                format!("target=\"{target}\""),
                f64::from(u8::from(self.standing(target).tries >= SAID_AWAY)),
            ));
        }
        out
    }
}
