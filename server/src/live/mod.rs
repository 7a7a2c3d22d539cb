//! Live vital signs: what the monitors of the wards say now.
//!
//! Lives here: [`Room`], which holds the newest of each signal of each patient and its last quarter of an hour. Never here: taking
//! messages in (`take`), sending to workstations (`ws::live`), anything durable: the record gets its vital signs as Observations
//! (`POST /fhir`), and what is here is gone with the process.
//!
//! All ages are of the steady clock. The monitor's own time can only make a value older: one that was measured before it came
//! counts from when it was measured, and one from the future is refused before it comes here. A value of the same or an older
//! time than the one held renews nothing, so that a gateway that repeats itself, or empties a buffer, leaves nothing standing as
//! live.

pub mod synthetic;
pub mod take;

use crate::clock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use vitrine_clinical::monitor::{AHEAD_MS, Reading, SIGNALS};
use vitrine_clinical::{PatientId, WardId};
use vitrine_wire::live::{LivePatient, LiveSignal, LiveTrend, LiveTrends, TREND_STEP_MS, TREND_STEPS};

/// A monitor of which nothing came for so long is forgotten.
const FORGET: u64 = 12 * 3_600_000;
/// That a patient left a ward is told for so long.
const GONE: u64 = 60_000;
/// Patients with a monitor, over all wards.
const PATIENTS_MOST: usize = 5_000;
/// What is to be forgotten is looked for this often.
const TIDY: u64 = 60_000;

/// What the monitors say now.
pub struct Room {
    began: Instant,
    wards: Mutex<Wards>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Wards {
    seq: u64,
    tidied: u64,
    wards: BTreeMap<WardId, Ward>,
    at: BTreeMap<PatientId, WardId>,
}

#[derive(Default)]
struct Ward {
    monitors: BTreeMap<PatientId, Monitor>,
    /// Who left, at which change and when.
    gone: BTreeMap<PatientId, (u64, u64)>,
}

struct Monitor {
    seq: u64,
    came: u64,
    signals: Vec<Option<LiveSignal>>,
    trends: Vec<Option<Trend>>,
}

struct Trend {
    unit: String,
    /// Number of the newest step since the room began.
    newest: u64,
    /// The newest last.
    steps: Vec<Option<(f64, f64)>>,
}

/// Counts the walls that are open.
#[derive(Debug, Default)]
pub struct Walls(AtomicUsize);

/// One open wall, until it is dropped.
#[derive(Debug)]
pub struct Wall<'a>(&'a Walls);

impl Walls {
    /// Another one.
    pub fn enter(&self) -> Wall<'_> {
        self.0.fetch_add(1, Relaxed);
        Wall(self)
    }
    /// How many.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for Wall<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// What became of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// They are the newest of their signals.
    pub new: u64,
    /// Not newer than what is held.
    pub old: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            began: clock::steady(),
            wards: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Trend {
    fn note(&mut self, step: u64, unit: &str, number: f64) {
        if self.unit != unit {
            unit.clone_into(&mut self.unit);
            self.steps.clear();
            self.newest = step;
        }
        let behind = step.saturating_sub(self.newest);
        for _ in 0..behind.min(TREND_STEPS as u64) {
            self.steps.push(None);
        }
        self.newest = self.newest.max(step);
        if self.steps.is_empty() {
            self.steps.push(None);
        }
        // A value measured before the newest step belongs to its own.
        let back = usize::try_from(self.newest - step).unwrap_or(usize::MAX);
        let at = self.steps.len().checked_sub(back.saturating_add(1));
        if let Some(slot) = at.and_then(|i| self.steps.get_mut(i)) {
            *slot = Some(slot.map_or((number, number), |(l, h)| (l.min(number), h.max(number))));
        }
        let over = self.steps.len().saturating_sub(TREND_STEPS);
        self.steps.drain(..over);
    }

    /// Its steps up to the last full one before `now`, the oldest first, all there are room for.
    fn until(&self, now: u64) -> Vec<Option<(f64, f64)>> {
        let from = now.saturating_sub(TREND_STEPS as u64);
        (from..now)
            .map(|step| {
                let back = usize::try_from(self.newest.checked_sub(step)?).ok()?;
                let at = self.steps.len().checked_sub(back.checked_add(1)?)?;
                self.steps.get(at).copied().flatten()
            })
            .collect()
    }
}

impl Room {
    fn wards(&self) -> MutexGuard<'_, Wards> {
        self.wards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ms of the steady clock since the room began.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells when anything changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Patients with a monitor that is known.
    #[must_use]
    pub fn monitors(&self) -> usize {
        self.wards().at.len()
    }

    /// Takes what one monitor said at once. `None` = there is no room for another patient.
    pub fn take(&self, patient: &PatientId, ward: &WardId, readings: &[Reading]) -> Option<Taken> {
        self.take_at(patient, ward, readings, self.now(), clock::now().0)
    }

    fn take_at(
        &self,
        patient: &PatientId,
        ward: &WardId,
        readings: &[Reading],
        now: u64,
        wall_ms: i64,
    ) -> Option<Taken> {
        let mut wards = self.wards();
        wards.tidy(now);
        let before = wards.seq;
        wards.moves(patient, ward, now);
        if wards.at.len() >= PATIENTS_MOST && !wards.at.contains_key(patient) {
            return None;
        }
        let seq = wards.seq + 1;
        let held = wards.wards.entry(ward.clone()).or_default();
        held.gone.remove(patient);
        let monitor = held.monitors.entry(patient.clone()).or_insert_with(|| Monitor {
            seq,
            came: now,
            signals: SIGNALS.iter().map(|_| None).collect(),
            trends: SIGNALS.iter().map(|_| None).collect(),
        });
        let mut taken = Taken::default();
        for reading in readings {
            if monitor.take(reading, now, wall_ms) {
                taken.new += 1;
            } else {
                taken.old += 1;
            }
        }
        if taken.new > 0 {
            (monitor.seq, monitor.came) = (seq, now);
            wards.seq = seq;
        }
        wards.at.insert(patient.clone(), ward.clone());
        let changed = wards.seq;
        drop(wards);
        if changed != before {
            self.changed.send_replace(changed);
        }
        Some(taken)
    }

    /// What changed in a ward after a change, and the newest change. From 0 it is everything.
    #[must_use]
    pub fn since(&self, ward: &WardId, seen: u64) -> (Vec<LivePatient>, u64) {
        let wards = self.wards();
        let Some(held) = wards.wards.get(ward) else {
            return (Vec::new(), wards.seq);
        };
        let here = held.monitors.iter().filter(|(_, m)| m.seq > seen);
        let mut patients: Vec<LivePatient> = here
            .map(|(p, m)| LivePatient {
                patient: p.to_string(),
                signals: m.signals.iter().flatten().cloned().collect(),
            })
            .collect();
        if seen > 0 {
            let gone = held.gone.iter().filter(|(_, (seq, _))| *seq > seen);
            patients.extend(gone.map(|(p, _)| LivePatient {
                patient: p.to_string(),
                signals: Vec::new(),
            }));
        }
        (patients, wards.seq)
    }

    /// The trends of a ward up to the last full step, and the end of that step.
    #[must_use]
    pub fn trends(&self, ward: &WardId) -> (u64, Vec<LiveTrends>) {
        let step = self.step();
        let wards = self.wards();
        let monitors = wards.wards.get(ward).map(|w| &w.monitors);
        let of = |m: &Monitor| {
            let each = SIGNALS.iter().zip(&m.trends);
            let trends = each.filter_map(|(s, t)| {
                let t = t.as_ref()?;
                let steps = t.until(step);
                steps.iter().any(Option::is_some).then(|| LiveTrend {
                    signal: s.id.to_owned(),
                    unit: t.unit.clone(),
                    steps,
                })
            });
            trends.collect::<Vec<_>>()
        };
        let all = monitors.into_iter().flatten().map(|(p, m)| LiveTrends {
            patient: p.to_string(),
            trends: of(m),
        });
        let all = all.filter(|t| !t.trends.is_empty()).collect();
        (step * TREND_STEP_MS, all)
    }

    /// Number of the step that runs.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.now() / TREND_STEP_MS
    }

    /// Until the next step of the trends is full.
    #[must_use]
    pub fn until_step(&self) -> Duration {
        Duration::from_millis(TREND_STEP_MS - self.now() % TREND_STEP_MS + 1)
    }
}

impl Wards {
    /// The patient is in that ward now; the ward it was in is told.
    fn moves(&mut self, patient: &PatientId, ward: &WardId, now: u64) {
        let Some(before) = self.at.get(patient).filter(|w| *w != ward).cloned() else {
            return;
        };
        self.seq += 1;
        let seq = self.seq;
        let Some(held) = self.wards.get_mut(&before) else {
            return;
        };
        held.gone.insert(patient.clone(), (seq, now));
        if let Some(monitor) = held.monitors.remove(patient) {
            let new = self.wards.entry(ward.clone()).or_default();
            new.monitors.insert(patient.clone(), Monitor { seq, ..monitor });
        }
        self.at.insert(patient.clone(), ward.clone());
    }

    fn tidy(&mut self, now: u64) {
        if now.saturating_sub(self.tidied) < TIDY {
            return;
        }
        self.tidied = now;
        let old = |m: &Monitor| now.saturating_sub(m.came) > FORGET;
        for ward in self.wards.values_mut() {
            if ward.monitors.values().any(old) {
                ward.monitors.retain(|_, m| !old(m));
            }
            ward.gone.retain(|_, (_, at)| now.saturating_sub(*at) < GONE);
        }
        if self.wards.values().map(|w| w.monitors.len()).sum::<usize>() < self.at.len() {
            let wards = &self.wards;
            self.at
                .retain(|p, w| wards.get(w).is_some_and(|w| w.monitors.contains_key(p)));
        }
    }
}

impl Monitor {
    /// True when it is the newest of its signal.
    fn take(&mut self, reading: &Reading, now: u64, wall_ms: i64) -> bool {
        let (Some(slot), Some(signal)) = (self.signals.get_mut(reading.signal), SIGNALS.get(reading.signal))
        else {
            return false;
        };
        if let Some(held) = slot {
            // A held time of the future shows that the clocks were set back since: it is no measure any more.
            let set_back = held.measured_ms > wall_ms.saturating_add(AHEAD_MS);
            if reading.at_ms <= held.measured_ms && !set_back {
                return false;
            }
        }
        let before = u64::try_from(wall_ms.saturating_sub(reading.at_ms)).unwrap_or(0);
        let at = now.saturating_sub(before);
        // Older than the room: its age must not shrink to that of the room.
        if before > now && !signal.spot {
            return false;
        }
        if let (Some(number), Some(trend)) = (reading.number, self.trends.get_mut(reading.signal)) {
            let step = at / TREND_STEP_MS;
            let unit = reading.unit.as_deref().unwrap_or_default();
            trend
                .get_or_insert_with(|| Trend {
                    unit: unit.to_owned(),
                    newest: step,
                    steps: Vec::new(),
                })
                .note(step, unit, number);
        }
        *slot = Some(LiveSignal {
            signal: signal.id.to_owned(),
            value: reading.value.clone(),
            unit: reading.unit.clone(),
            flag: reading.flag.map(str::to_owned),
            absent: reading.absent.clone(),
            at,
            measured_ms: reading.at_ms,
        });
        true
    }
}

#[cfg(test)]
mod tests;
