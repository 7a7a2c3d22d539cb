//! One row per metric, and the budgets they are held to.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One measured metric, as `cargo xtask bench` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Bench, e.g. `emergency`.
    pub bench: String,
    /// Metric with its unit last, e.g. `card_warm_ms_p99`.
    pub metric: String,
    /// Value.
    pub value: f64,
    /// Unit.
    pub unit: String,
    /// Samples.
    pub n: usize,
    /// Limit from `budgets.toml`, where it has one.
    pub budget: Option<f64>,
    /// What was measured on what, with everything that is switched on.
    pub setup: String,
}

/// Collects rows.
pub struct Report {
    budgets: BTreeMap<String, BTreeMap<String, f64>>,
    /// The rows so far.
    pub rows: Vec<Row>,
}

impl Report {
    /// Reads the budgets.
    ///
    /// # Errors
    /// When `budgets.toml` is not as its head says.
    pub fn new() -> Result<Self> {
        let budgets = toml::from_str(include_str!("../budgets.toml")).context("bench/budgets.toml")?;
        Ok(Self {
            budgets,
            rows: Vec::new(),
        })
    }

    /// Adds one value.
    pub fn add(&mut self, bench: &str, metric: &str, value: f64, unit: &str, n: usize, setup: &str) {
        let budget = self.budgets.get(bench).and_then(|b| b.get(metric)).copied();
        eprintln!(
            "{bench:>10}  {metric:<32} {value:>12.3} {unit:<6} n={n}{}",
            verdict(metric, value, budget)
        );
        self.rows.push(Row {
            bench: bench.to_owned(),
            metric: metric.to_owned(),
            value: (value * 1000.0).round() / 1000.0,
            unit: unit.to_owned(),
            n,
            budget,
            setup: setup.to_owned(),
        });
    }

    /// Adds the distribution of samples in ms: `<stem>_ms_p50`, `_p95`, `_p99`, `_max`.
    pub fn add_ms(&mut self, bench: &str, stem: &str, samples: &mut [f64], setup: &str) {
        samples.sort_by(f64::total_cmp);
        for (name, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
            self.add(
                bench,
                &format!("{stem}_ms_{name}"),
                quantile(samples, q),
                "ms",
                samples.len(),
                setup,
            );
        }
    }

    /// The metrics that miss their budget.
    #[must_use]
    pub fn missed(&self) -> Vec<&Row> {
        self.rows
            .iter()
            .filter(|r| misses(&r.metric, r.value, r.budget))
            .collect()
    }
}

fn misses(metric: &str, value: f64, budget: Option<f64>) -> bool {
    budget.is_some_and(|b| {
        if metric.ends_with("_per_s") {
            value < b
        } else {
            value > b
        }
    })
}

fn verdict(metric: &str, value: f64, budget: Option<f64>) -> String {
    match budget {
        None => String::new(),
        Some(b) if misses(metric, value, budget) => format!("  MISSES {b}"),
        Some(b) => format!("  within {b}"),
    }
}

/// The nearest-rank quantile of sorted samples; NaN when there are none.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let rank = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let s: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&s, 0.5), 50.0);
        assert_eq!(quantile(&s, 0.99), 99.0);
        assert_eq!(quantile(&s, 1.0), 100.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_rate_misses_below_and_a_time_above() {
        assert!(misses("x_per_s", 4.0, Some(5.0)) && !misses("x_per_s", 6.0, Some(5.0)));
        assert!(misses("x_ms_p99", 6.0, Some(5.0)) && !misses("x_ms_p99", 4.0, Some(5.0)));
    }
}
