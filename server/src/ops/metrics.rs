//! Counters and histograms in Prometheus text, without a library: some dozens of numbers, none of them about a patient.
//!
//! Lives here: [`Metrics`], the table of what is measured, the text. Never here: alert rules (they are in
//! `deploy/prometheus/alerts.yml`; a test compares the names), gauges that somebody else knows (they come in as
//! arguments). Called by whatever happens in the server, and by the metrics listener.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of every histogram, seconds: each threshold of an alert is one of them.
const BOUNDS_S: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0,
];

/// Name, `counter` or `histogram`, what it says, label sets that are there from the start.
type Family = (&'static str, &'static str, &'static str, &'static [&'static str]);

const NONE: &[&str] = &[""];
const LANES: &[&str] = &[
    "lane=\"emergency\"",
    "lane=\"clinical\"",
    "lane=\"write\"",
    "lane=\"bulk\"",
    "lane=\"sign-in\"",
    "lane=\"admin\"",
];
const SHEDS: &[&str] = &[
    "lane=\"bulk\"",
    "lane=\"clinical\"",
    "lane=\"write\"",
    "lane=\"sign-in\"",
    "lane=\"admin\"",
    "lane=\"snapshot\"",
    "lane=\"open-patient\"",
];

/// Everything that is counted or timed.
pub const FAMILIES: &[Family] = &[
    (
        "vitrine_http_answers_total",
        "counter",
        "HTTP answers by status class",
        &[
            "class=\"1xx\"",
            "class=\"2xx\"",
            "class=\"3xx\"",
            "class=\"4xx\"",
            "class=\"5xx\"",
        ],
    ),
    (
        "vitrine_http_seconds",
        "histogram",
        "From the head of a request to its answer",
        NONE,
    ),
    (
        "vitrine_lane_seconds",
        "histogram",
        "The same by lane, waiting included",
        LANES,
    ),
    (
        "vitrine_lane_wait_seconds",
        "histogram",
        "Waiting for a place of the lane",
        LANES,
    ),
    (
        "vitrine_shed_total",
        "counter",
        "Turned away, or held back (snapshot), because of load",
        SHEDS,
    ),
    (
        "vitrine_lane_claims_total",
        "counter",
        "Requests that claimed the emergency lane without being entitled",
        NONE,
    ),
    (
        "vitrine_logout_tokens_refused_total",
        "counter",
        "Logout tokens of the identity provider that were refused",
        NONE,
    ),
    (
        "vitrine_record_seconds",
        "histogram",
        "Opening a patient's whole record; one that does not come counts as slower than every bound",
        &["by=\"http\"", "by=\"sync\""],
    ),
    (
        "vitrine_emergency_seconds",
        "histogram",
        "Answers of the emergency lane; a failed one counts as slower than every bound",
        NONE,
    ),
    (
        "vitrine_image_seconds",
        "histogram",
        "From the request of an image to its last byte; counted by the imaging routes",
        &["stage=\"first\"", "stage=\"full\""],
    ),
    (
        "vitrine_image_bytes_total",
        "counter",
        "Bytes of segments sent to workstations",
        NONE,
    ),
    (
        "vitrine_image_frames_total",
        "counter",
        "Frames made ready to be streamed",
        NONE,
    ),
    (
        "vitrine_image_frames_failed_total",
        "counter",
        "Frames that could not be decoded",
        NONE,
    ),
    (
        "vitrine_image_packs_damaged_total",
        "counter",
        "Packs found damaged and made again",
        NONE,
    ),
    (
        "vitrine_dimse_refused_total",
        "counter",
        "Refused over DIMSE: associations beyond dimse.associations, questions of who may not ask",
        &["why=\"full\"", "why=\"query\""],
    ),
    (
        "vitrine_hl7_messages_total",
        "counter",
        "HL7 v2 messages by what became of them: applied, known (nothing new), held, again (sent before)",
        &[
            "state=\"applied\"",
            "state=\"known\"",
            "state=\"held\"",
            "state=\"again\"",
        ],
    ),
    (
        "vitrine_hl7_refused_total",
        "counter",
        "Refused over MLLP: unknown addresses, beyond mllp.connections, handshakes, too long, no block",
        &[
            "why=\"unknown\"",
            "why=\"full\"",
            "why=\"tls\"",
            "why=\"long\"",
            "why=\"block\"",
        ],
    ),
    (
        "vitrine_hl7_seconds",
        "histogram",
        "From the last byte of an HL7 v2 message to its answer; a failed one counts as slower than every bound",
        NONE,
    ),
    (
        "vitrine_image_copied_total",
        "counter",
        "Originals of images copied to a target and read back",
        NONE,
    ),
    (
        "vitrine_image_repairs_total",
        "counter",
        "Damaged or missing files of images mended from another copy",
        &["of=\"original\"", "of=\"copy\""],
    ),
    (
        "vitrine_image_let_go_total",
        "counter",
        "Originals of images that left this machine, because the targets have them",
        NONE,
    ),
    (
        "vitrine_image_recalls_total",
        "counter",
        "Originals of images brought back because somebody asked for them",
        NONE,
    ),
    (
        "vitrine_lab_seconds",
        "histogram",
        "Reading or taking a laboratory result; a failed one counts as slower than every bound",
        NONE,
    ),
    ("vitrine_query_seconds", "histogram", "One call of the store", &[]),
    (
        "vitrine_query_failures_total",
        "counter",
        "Calls of the store that failed or took too long",
        &[],
    ),
    (
        "vitrine_query_retries_total",
        "counter",
        "Reads that were tried again",
        NONE,
    ),
    (
        "vitrine_breaker_refusals_total",
        "counter",
        "Reads not tried because the breaker was open",
        &["of=\"store\""],
    ),
    (
        "vitrine_last_known_total",
        "counter",
        "Answers with the last known version, marked as old",
        NONE,
    ),
    (
        "vitrine_cache_hits_total",
        "counter",
        "Workstations that went on from what they hold",
        NONE,
    ),
    (
        "vitrine_cache_misses_total",
        "counter",
        "Workstations that had to fetch a scope anew",
        NONE,
    ),
    ("vitrine_audit_rows_total", "counter", "Audit rows written", NONE),
    (
        "vitrine_audit_failures_total",
        "counter",
        "Audit rows that could not be written: nothing was shown",
        NONE,
    ),
    (
        "vitrine_entries_total",
        "counter",
        "Entries of workstations that came into the record, or were refused",
        &["outcome=\"accepted\"", "outcome=\"rejected\""],
    ),
    (
        "vitrine_allergy_disputes_total",
        "counter",
        "Changes of allergies that met another record than their author had read: kept, and shown until a person decides",
        NONE,
    ),
    (
        "vitrine_live_values_total",
        "counter",
        "Values of bedside monitors by what became of them",
        &["outcome=\"new\"", "outcome=\"old\"", "outcome=\"refused\""],
    ),
    (
        "vitrine_denied_total",
        "counter",
        "Requests that policy denied",
        NONE,
    ),
    (
        "vitrine_sync_frames_total",
        "counter",
        "Frames sent to workstations",
        NONE,
    ),
    (
        "vitrine_review_escalations_total",
        "counter",
        "Broken glass that nobody reviewed in time: 12, 20 and 24 hours after the event",
        &["level=\"1\"", "level=\"2\"", "level=\"3\""],
    ),
    (
        "vitrine_notices_total",
        "counter",
        "Mails about broken glass",
        &["outcome=\"sent\"", "outcome=\"failed\""],
    ),
    (
        "vitrine_alarms_total",
        "counter",
        "Events that a person must look at",
        NONE,
    ),
];

/// A number somebody else knows: name, what it says, labels, value.
pub type Gauge = (&'static str, &'static str, String, f64);

#[derive(Debug, Default, Clone)]
struct Histogram {
    buckets: [u64; BOUNDS_S.len()],
    count: u64,
    sum_s: f64,
}

type Key = (&'static str, &'static str);

#[derive(Debug, Default)]
struct Kept {
    counters: BTreeMap<Key, u64>,
    histograms: BTreeMap<Key, Histogram>,
}

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    kept: Mutex<Kept>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut kept = Kept::default();
        for (name, kind, _, labels) in FAMILIES {
            for label in *labels {
                if *kind == "counter" {
                    kept.counters.insert((name, label), 0);
                } else {
                    kept.histograms.insert((name, label), Histogram::default());
                }
            }
        }
        Self {
            kept: Mutex::new(kept),
        }
    }
}

impl Metrics {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts up.
    pub fn count(&self, name: &'static str, labels: &'static str, n: u64) {
        *self.kept().counters.entry((name, labels)).or_default() += n;
    }

    /// Notes how long something took; `None` = it did not come at all, which is longer than every bound.
    pub fn took(&self, name: &'static str, labels: &'static str, took: Option<Duration>) {
        let mut kept = self.kept();
        let h = kept.histograms.entry((name, labels)).or_default();
        h.count += 1;
        if let Some(took) = took {
            let s = took.as_secs_f64();
            h.sum_s += s;
            if let Some(i) = BOUNDS_S.iter().position(|b| s <= *b) {
                h.buckets[i] += 1;
            }
        }
    }

    /// A request was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = FAMILIES[0].3[usize::from(status / 100).clamp(1, 5) - 1];
        self.count("vitrine_http_answers_total", class, 1);
        self.took("vitrine_http_seconds", "", Some(took));
    }
    /// Policy denied something.
    pub fn denied(&self) {
        self.count("vitrine_denied_total", "", 1);
    }
    /// Frames were sent to workstations.
    pub fn frames(&self, n: u64) {
        self.count("vitrine_sync_frames_total", "", n);
    }
    /// Something happened that a person must look at.
    pub fn alarm(&self) {
        self.count("vitrine_alarms_total", "", 1);
    }

    /// Prometheus text.
    #[must_use]
    pub fn text(&self, gauges: &[Gauge]) -> String {
        let (counters, histograms) = {
            let kept = self.kept();
            (kept.counters.clone(), kept.histograms.clone())
        };
        let mut out = String::new();
        for (name, kind, help, _) in FAMILIES {
            let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} {kind}");
            for ((_, labels), value) in counters.iter().filter(|((n, _), _)| n == name) {
                let _ = writeln!(out, "{name}{} {value}", braced(labels, ""));
            }
            for ((_, labels), h) in histograms.iter().filter(|((n, _), _)| n == name) {
                h.write(&mut out, name, labels);
            }
        }
        let mut said = "";
        for (name, help, labels, value) in gauges {
            if *name != said {
                let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} gauge");
                said = name;
            }
            let _ = writeln!(out, "{name}{} {value}", braced(labels, ""));
        }
        out
    }
}

impl Histogram {
    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut so_far = 0;
        for (bound, n) in BOUNDS_S.iter().zip(self.buckets) {
            so_far += n;
            let le = format!("le=\"{bound}\"");
            let _ = writeln!(out, "{name}_bucket{} {so_far}", braced(labels, &le));
        }
        let _ = writeln!(
            out,
            "{name}_bucket{} {}",
            braced(labels, "le=\"+Inf\""),
            self.count
        );
        let _ = writeln!(out, "{name}_sum{} {}", braced(labels, ""), self.sum_s);
        let _ = writeln!(out, "{name}_count{} {}", braced(labels, ""), self.count);
    }
}

/// Label sets in their braces, none without any.
fn braced(labels: &str, more: &str) -> String {
    match (labels, more) {
        ("", "") => String::new(),
        (one, "") | ("", one) => format!("{{{one}}}"),
        (one, other) => format!("{{{one},{other}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_slower_than_every_bound() {
        let m = Metrics::default();
        m.took(
            "vitrine_record_seconds",
            "by=\"http\"",
            Some(Duration::from_millis(700)),
        );
        m.took(
            "vitrine_record_seconds",
            "by=\"http\"",
            Some(Duration::from_secs(45)),
        );
        m.took("vitrine_record_seconds", "by=\"http\"", None);
        let text = m.text(&[("vitrine_users", "Users", String::new(), 3.0)]);
        for line in [
            "vitrine_record_seconds_bucket{by=\"http\",le=\"0.5\"} 0",
            "vitrine_record_seconds_bucket{by=\"http\",le=\"1\"} 1",
            "vitrine_record_seconds_bucket{by=\"http\",le=\"30\"} 1",
            "vitrine_record_seconds_bucket{by=\"http\",le=\"+Inf\"} 3",
            "vitrine_record_seconds_count{by=\"http\"} 3",
            "vitrine_image_seconds_count{stage=\"full\"} 0",
            "vitrine_users 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_metric_of_an_alert_rule_is_exported_under_that_name() {
        let rules = include_str!("../../../deploy/prometheus/alerts.yml");
        let text = Metrics::default().text(&[]);
        let gauges = concat!(
            include_str!("../http/health.rs"),
            include_str!("../imaging/copies/report.rs"),
            include_str!("repository/mod.rs")
        );
        let mut names: Vec<&str> = rules
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|w| w.starts_with("vitrine_"))
            .collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() >= 8, "{names:?}");
        for name in names {
            let base = name.trim_end_matches("_bucket");
            let there = text.contains(&format!("# TYPE {base} ")) || gauges.contains(&format!("\"{base}\""));
            assert!(there, "no metric is called {name}");
        }
    }
}
