//! Monitors that do not exist, for training and demonstrations: `serve --synthetic-monitors`.
//!
//! Lives here: what they say. In a folder of the synthetic hospital alone; the command refuses any other. Deterministic by patient
//! and second, without randomness. Some of what goes wrong at a bedside happens too: a sensor that falls off, a monitor that stops.

use crate::app::App;
use crate::clock;
use std::sync::Arc;
use std::time::Duration;
use vitrine_clinical::monitor::{Reading, SIGNALS, signal};
use vitrine_clinical::{PatientId, UtcMs, WardId};

/// Where every patient has a monitor.
const WARDS: [&str; 2] = ["ICU", "ED"];
/// Patients looked for at most.
const PATIENTS: u64 = 5_000;
/// Who lies where is looked up again after so many seconds.
const AGAIN: u32 = 30;
/// A patient without a number ends the search after so many.
const MISSING: u32 = 50;

/// Begins to speak for them.
pub fn start(app: &Arc<App>) {
    let app = app.clone();
    tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut beds = Vec::new();
        for n in 0_u32.. {
            second.tick().await;
            if *app.draining.borrow() {
                return;
            }
            if n.is_multiple_of(AGAIN) {
                beds = patients(&app).await;
            }
            let now = clock::now();
            for (i, patient, ward) in &beds {
                let readings = say(*i, ward.as_str() == "ICU", now);
                if !readings.is_empty() {
                    let _ = app.live.take(patient, ward, &readings);
                }
            }
        }
    });
}

async fn patients(app: &App) -> Vec<(u64, PatientId, WardId)> {
    let mut found = Vec::new();
    let mut missing = 0;
    for n in 0..PATIENTS {
        let Ok(patient) = PatientId::new(vitrine_synthetic::patient_id(n)) else {
            continue;
        };
        match app.store.whereabouts(&patient).await {
            Ok(Some(Some(ward))) if WARDS.contains(&ward.as_str()) => found.push((n, patient, ward)),
            Ok(Some(_)) => missing = 0,
            Ok(None) => missing += 1,
            Err(_) => break,
        }
        if missing > MISSING {
            break;
        }
    }
    found
}

/// A slow wave of whole numbers: from -by to by in so many seconds.
fn wave(at_s: i64, period: i64, by: i64) -> i64 {
    let half = (period / 2).max(1);
    let phase = at_s.rem_euclid(half * 2);
    let up = if phase < half { phase } else { half * 2 - phase };
    up * 2 * by / half - by
}

/// What the monitor of patient `n` says in this second; nothing while it is silent.
fn say(n: u64, intensive: bool, now: UtcMs) -> Vec<Reading> {
    let s = now.0.div_euclid(1_000);
    let own = i64::try_from(n.wrapping_mul(2_654_435_761) % 1_000).unwrap_or(0);
    // One monitor in eight stops for half a minute now and then.
    if n % 8 == 3 && (s + own).rem_euclid(240) < 30 {
        return Vec::new();
    }
    let off = n % 8 == 6 && (s + own).rem_euclid(180) < 20;
    let pulse = 58 + own % 45 + wave(s + own, 90, 4) + wave(s, 7, 1);
    let saturation = (97 - own % 6 + wave(s + own, 50, 1)).min(100);
    let breaths = 12 + own % 10 + wave(s + own, 40, 2);
    let systolic = 104 + own % 38 + wave(s + own, 120, 6) + wave(s, 5, 2);
    let diastolic = systolic * 6 / 10 + own % 5;
    let mean = (systolic + 2 * diastolic) / 3;
    let mut out = Vec::new();
    let mut add = |id: &str, value: Option<String>, number: Option<i64>, at_ms: i64| {
        let Some((place, known)) = signal(id) else { return };
        let absent = value.is_none().then(|| "sensor off".to_owned());
        #[expect(clippy::cast_precision_loss, reason = "numbers of a bedside")]
        let number = number.map(|n| n as f64);
        out.push(Reading {
            signal: place,
            value,
            unit: Some(known.unit.to_owned()),
            flag: None,
            absent,
            at_ms,
            number,
        });
    };
    add("hr", Some(pulse.to_string()), Some(pulse), now.0);
    let saturation = (!off).then_some(saturation);
    add("spo2", saturation.map(|v| v.to_string()), saturation, now.0);
    if intensive {
        let text = format!("{systolic}/{diastolic} ({mean})");
        add("art", Some(text), Some(mean), now.0);
    } else {
        // By cuff, every five minutes.
        let at = (s - (s + own).rem_euclid(300)) * 1_000;
        add("cuff", Some(format!("{systolic}/{diastolic}")), None, at);
    }
    add("rr", Some(breaths.to_string()), Some(breaths), now.0);
    let tenths = 364 + own % 17;
    let at = (s - s.rem_euclid(600)) * 1_000;
    add("temp", Some(format!("{}.{}", tenths / 10, tenths % 10)), None, at);
    debug_assert!(out.iter().all(|r| r.signal < SIGNALS.len()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_say_what_a_bedside_may_say() {
        let (mut silent, mut off) = (0, 0);
        for n in 0..64 {
            for s in 0..300 {
                let now = UtcMs(1_795_856_400_000 + s * 1_000);
                let said = say(n, n % 2 == 0, now);
                silent += usize::from(said.is_empty());
                for r in &said {
                    off += usize::from(r.value.is_none());
                    let known = &SIGNALS[r.signal];
                    assert!(known.spot || r.at_ms == now.0, "{}", known.id);
                    if let Some(v) = r.number.filter(|_| !known.spot) {
                        let (low, high) = known.scale;
                        assert!(
                            (f64::from(low)..=f64::from(high)).contains(&v),
                            "{} {v}",
                            known.id
                        );
                    }
                }
            }
        }
        assert!(silent > 0 && off > 0);
        assert_eq!(say(5, true, UtcMs(0)), say(5, true, UtcMs(0)));
    }
}
