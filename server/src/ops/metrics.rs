//! Counters in Prometheus text, without a library: a dozen numbers, none of them about a patient.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram, ms.
const BOUNDS_MS: [u64; 8] = [1, 5, 10, 50, 100, 250, 1000, 5000];

/// The counters.
#[derive(Debug, Default)]
pub struct Metrics {
    by_class: [AtomicU64; 6],
    buckets: [AtomicU64; 9],
    sum_us: AtomicU64,
    denied: AtomicU64,
    shed: AtomicU64,
    frames: AtomicU64,
    alarms: AtomicU64,
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        if let Some(c) = self.by_class.get(usize::from(status / 100).min(5)) {
            c.fetch_add(1, Relaxed);
        }
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let i = BOUNDS_MS.iter().position(|b| ms <= *b).unwrap_or(BOUNDS_MS.len());
        if let Some(b) = self.buckets.get(i) {
            b.fetch_add(1, Relaxed);
        }
        self.sum_us
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Relaxed);
    }
    /// Policy denied something.
    pub fn denied(&self) {
        self.denied.fetch_add(1, Relaxed);
    }
    /// A request was turned away because of load.
    pub fn shed(&self) {
        self.shed.fetch_add(1, Relaxed);
    }
    /// Frames were sent to workstations.
    pub fn frames(&self, n: u64) {
        self.frames.fetch_add(n, Relaxed);
    }
    /// Something happened that a person must look at.
    pub fn alarm(&self) {
        self.alarms.fetch_add(1, Relaxed);
    }

    /// Prometheus text.
    #[must_use]
    pub fn text(&self, clients: usize, feed_pos: u64) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# TYPE vitrine_http_answers_total counter");
        for (i, c) in self.by_class.iter().enumerate().skip(1) {
            let _ = writeln!(
                out,
                "vitrine_http_answers_total{{class=\"{i}xx\"}} {}",
                c.load(Relaxed)
            );
        }
        let _ = writeln!(out, "# TYPE vitrine_http_seconds histogram");
        let mut so_far = 0;
        for (bound, b) in BOUNDS_MS
            .iter()
            .map(|b| format!("{}", *b as f64 / 1000.0))
            .chain(["+Inf".to_owned()])
            .zip(&self.buckets)
        {
            so_far += b.load(Relaxed);
            let _ = writeln!(out, "vitrine_http_seconds_bucket{{le=\"{bound}\"}} {so_far}");
        }
        let _ = writeln!(
            out,
            "vitrine_http_seconds_sum {}",
            self.sum_us.load(Relaxed) as f64 / 1e6
        );
        let _ = writeln!(out, "vitrine_http_seconds_count {so_far}");
        for (name, kind, value) in [
            ("vitrine_denied_total", "counter", self.denied.load(Relaxed)),
            ("vitrine_shed_total", "counter", self.shed.load(Relaxed)),
            ("vitrine_sync_frames_total", "counter", self.frames.load(Relaxed)),
            ("vitrine_alarms_total", "counter", self.alarms.load(Relaxed)),
            ("vitrine_sync_clients", "gauge", clients as u64),
            ("vitrine_feed_position", "gauge", feed_pos),
        ] {
            let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
        }
        out
    }
}
