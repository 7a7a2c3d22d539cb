//! Timing on this workstation's own data, for drills: how long the card and the search take here, now.

use serde_json::{Value, json};
use vitrine_engine::clock::Stopwatch;
use vitrine_engine::{BreakGlass, EngineError, Identity, Workstation};

fn percentile(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    // An index from a share of a length.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let i = ((last as f64) * p).round() as usize;
    sorted.get(i).copied().unwrap_or(0.0)
}

fn summary(mut ms: Vec<f64>) -> Value {
    ms.sort_by(f64::total_cmp);
    json!({"n": ms.len(), "p50": percentile(&ms, 0.5), "p99": percentile(&ms, 0.99), "max": ms.last()})
}

/// Measures.
pub async fn run(
    ws: &Workstation,
    user: &str,
    secret: &str,
    n: u32,
    queries: &[String],
) -> Result<Value, EngineError> {
    let token = ws.identify(user, secret).await?;
    let mut patients = Vec::new();
    let mut search = Vec::new();
    for i in 0..n.max(1) {
        let query = &queries[usize::try_from(i).unwrap_or(0) % queries.len()];
        let watch = Stopwatch::start();
        let found = ws.emergency_search(&token, query).await?;
        search.push(watch.ms());
        if patients.len() < 1_000 {
            patients.extend(found.rows.into_iter().map(|r| r.patient));
        }
    }
    if patients.is_empty() {
        return Err(EngineError::Usage(
            "nobody was found: give other words with --query".to_owned(),
        ));
    }
    let mut card = Vec::new();
    for i in 0..n {
        let patient = patients[usize::try_from(i).unwrap_or(0) % patients.len()].clone();
        let identity = Identity::Token(token.as_str().to_owned());
        let asked = BreakGlass {
            patient,
            reason: "1".to_owned(),
            words: None,
            identity,
        };
        let watch = Stopwatch::start();
        ws.break_glass(asked).await?;
        card.push(watch.ms());
    }
    let mut with_pin = Vec::new();
    for i in 0..n.min(50) {
        let patient = patients[usize::try_from(i).unwrap_or(0) % patients.len()].clone();
        let identity = Identity::UserSecret {
            user: user.to_owned(),
            secret: secret.to_owned().into(),
            badge: None,
        };
        let watch = Stopwatch::start();
        ws.break_glass(BreakGlass {
            patient,
            reason: "1".to_owned(),
            words: None,
            identity,
        })
        .await?;
        with_pin.push(watch.ms());
    }
    Ok(json!({
        "patients": ws.status().patients,
        "card_ms": summary(card), "card_with_pin_ms": summary(with_pin), "search_ms": summary(search),
    }))
}
