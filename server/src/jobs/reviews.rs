//! The clock of reviews: what nobody has decided 12, 20 and 24 hours after the event is escalated, once for each level, with
//! an audit row. Which of several servers does it is decided by the store's transaction. Started by `jobs`.

use crate::app::App;
use crate::cli::acts::{operator, operator_request};
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vitrine_access::action::OperateServer;
use vitrine_access::grant::{GrantId, REVIEW_DUE_MS};
use vitrine_access::review::LEVELS_MS;
use vitrine_access::{Disclosure, Permit, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store::reviews::ReviewOrder;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// Looked at in one turn.
const AT_ONCE: usize = 100;
/// Labels of the count of escalations.
const LEVELS: [&str; 3] = ["level=\"1\"", "level=\"2\"", "level=\"3\""];

/// Reviews that nobody has decided, as they were counted last.
#[derive(Debug, Default)]
pub struct Waiting {
    /// All of them.
    pub open: AtomicU64,
    /// Those of more than 12 hours ago, overdue ones among them.
    pub long: AtomicU64,
    /// Those of more than 24 hours ago.
    pub overdue: AtomicU64,
}

/// Starts it.
pub(super) fn start(app: &Arc<App>) {
    let app = app.clone();
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(EVERY);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = false;
        loop {
            turn.tick().await;
            match look(&app).await {
                Ok(()) => said = false,
                // Without a primary every turn fails: that is said once.
                Err(e) if !std::mem::replace(&mut said, true) => {
                    tracing::warn!(error = %e, "reviews of broken glass are not looked at");
                }
                Err(_) => {}
            }
        }
    });
}

/// One that cannot be looked at keeps nobody from the others; its error is given at the end.
async fn look(app: &App) -> Result<(), StoreError> {
    let mut failed = None;
    for id in app.store.reviews_due(clock::now(), AT_ONCE).await? {
        if let Err(e) = escalate(app, id).await {
            failed = Some(e);
        }
    }
    let ago = |ms: i64| UtcMs(clock::now().0.saturating_sub(ms));
    let (open, overdue) = app.store.reviews_waiting(ago(REVIEW_DUE_MS)).await?;
    // The first escalation is said once; that nobody has acted on it since is a state.
    let (_, long) = app.store.reviews_waiting(ago(LEVELS_MS[0])).await?;
    app.waiting.open.store(open, Ordering::Relaxed);
    app.waiting.long.store(long, Ordering::Relaxed);
    app.waiting.overdue.store(overdue, Ordering::Relaxed);
    failed.map_or(Ok(()), Err)
}

async fn escalate(app: &App, id: GrantId) -> Result<(), StoreError> {
    let permit: Permit<OperateServer> =
        policy::decide(operator_request(&operator())).map_err(|d| StoreError::Refused(d.text.to_owned()))?;
    let entry = permit.noted("use", "escalate").entry(Disclosure::default());
    let (row, receipt) = app.store.review(ReviewOrder::clock(entry, id)).await?;
    if receipt.is_some() {
        let level = row.review().level();
        let label = LEVELS.get(usize::from(level).saturating_sub(1)).unwrap_or(&"");
        app.metrics.count("vitrine_review_escalations_total", label, 1);
        app.owes_notice(id);
        tracing::warn!(%id, level, due = clock::instant(row.review_due), "nobody has reviewed a broken glass");
    }
    Ok(())
}
