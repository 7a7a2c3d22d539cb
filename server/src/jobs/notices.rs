//! Whoever has to hear of broken glass is told by mail: at once, and again at each level of escalation.
//!
//! Lives here: what waits to be told, when it is tried. Never here: what a mail says (`ops::notice`). Started by `jobs`.
//!
//! A mail is sent, then written down (`Did::Notified`, with its audit row): a server that dies between sends it again with
//! the same message id. Of several servers on one database the one that learned of it sends; the others after a minute.

use crate::app::App;
use crate::cli::acts::{operator, operator_request};
use crate::clock;
use crate::ops::notice::{About, Mailer, Unsent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use vitrine_access::action::OperateServer;
use vitrine_access::grant::GrantId;
use vitrine_access::{Disclosure, Permit, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{GrantRow, StoreError};

/// How often it looks at what other servers should have told.
const EVERY: Duration = Duration::from_secs(30);
/// Newest grants looked at so; all open ones at the start.
const AT_ONCE: usize = 500;
const AT_START: usize = 10_000;
/// So long another server has to tell what it learned of, ms.
const OTHERS_MS: i64 = 60_000;
/// Pause after a failure: the first, and the longest.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What waits to be told, with when this server learned of it.
#[derive(Debug, Default)]
pub struct Waiting {
    kept: Mutex<BTreeMap<GrantId, UtcMs>>,
    bell: Notify,
}

impl Waiting {
    /// This server learned of broken glass, or of its escalation.
    pub fn add(&self, id: GrantId) {
        self.add_of(id, clock::now());
    }

    /// The same, learned of at that moment.
    pub fn add_of(&self, id: GrantId, at: UtcMs) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(id).or_insert(at);
        drop(kept);
        self.bell.notify_one();
    }

    /// Nothing is to be told of it any more.
    pub fn done(&self, id: GrantId) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    fn all(&self) -> Vec<GrantId> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = kept.iter().map(|(id, at)| (*at, *id)).collect();
        all.sort();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// Seconds since the oldest was learned of; 0 when nothing waits.
    #[must_use]
    pub fn oldest_s(&self) -> f64 {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        #[allow(clippy::cast_precision_loss)]
        kept.values()
            .min()
            .map_or(0.0, |at| clock::now().since(*at).max(0) as f64 / 1000.0)
    }
}

/// Starts it, where somebody is to be told.
pub(super) fn start(app: &Arc<App>) {
    let Some(mailer) = app.mailer.clone() else { return };
    let app = app.clone();
    tokio::spawn(async move {
        let mut sweep = tokio::time::interval(EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut at_start, mut failed, mut pause, mut said) = (true, false, PAUSE, BTreeSet::new());
        loop {
            tokio::select! {
                () = app.notices.bell.notified() => {}
                () = tokio::time::sleep(pause), if failed => {}
                _ = sweep.tick() => match find(&app, at_start).await {
                    Ok(()) => at_start = false,
                    Err(e) => tracing::debug!(error = %e, "broken glass that nobody was told of is not looked for"),
                },
            }
            failed = false;
            for id in app.notices.all() {
                if let Err(e) = tell(&app, &mailer, id).await {
                    failed = true;
                    app.metrics
                        .count("vitrine_notices_total", "outcome=\"failed\"", 1);
                    // Said once for each; the metric says for how long.
                    if said.insert(id) {
                        tracing::warn!(%id, error = %e.why, "nobody could be told of broken glass by mail; it is tried again");
                    }
                    if e.away {
                        break;
                    }
                    continue;
                }
                said.remove(&id);
            }
            pause = if failed {
                (pause * 2).min(LONGEST_PAUSE)
            } else {
                PAUSE
            };
        }
    });
}

/// What nobody was told of, though it was learned of a while ago: by a server that is not here any more, or before this one
/// had a mail server.
async fn find(app: &App, at_start: bool) -> Result<(), StoreError> {
    let rows = if at_start {
        app.store.open_reviews(AT_START).await?
    } else {
        app.store.grants(AT_ONCE).await?
    };
    let now = clock::now();
    // What the embedded store holds nobody else tells.
    let alone = app.config.database.url.is_empty();
    let since = |row: &GrantRow| row.history.last().map_or(row.received, |e| e.at);
    for row in rows {
        if row.review().untold().is_some() && (alone || now.since(since(&row)) > OTHERS_MS) {
            app.notices.add(row.grant.id);
        }
    }
    Ok(())
}

/// Tells of one, and writes that down.
async fn tell(app: &App, mailer: &Mailer, id: GrantId) -> Result<(), Unsent> {
    let text = |e: StoreError| Unsent {
        why: e.to_string(),
        away: true,
    };
    let row = app.store.grant(id).await.map_err(text)?;
    let Some((row, level)) = row.and_then(|row| {
        let level = row.review().untold()?;
        Some((row, level))
    }) else {
        app.notices.done(id);
        return Ok(());
    };
    let account = app.store.account(&row.grant.user).await.map_err(text)?;
    let device = match &row.grant.device {
        Some(device) => app.store.device(device).await.map_err(text)?,
        None => None,
    };
    let ward = app
        .store
        .whereabouts(&row.grant.patient)
        .await
        .map_err(text)?
        .flatten();
    let to = app.config.notice.recipients(ward.as_ref());
    let about = About {
        row: &row,
        level,
        account: account.as_ref(),
        device: device.as_ref(),
        ward: ward.as_ref(),
    };
    let to = mailer.send(&about, &to).await?;
    app.metrics
        .count("vitrine_notices_total", "outcome=\"sent\"", to.len() as u64);
    let permit: Permit<OperateServer> = policy::decide(operator_request(&operator()))
        .map_err(|d| text(StoreError::Refused(d.text.to_owned())))?;
    let entry = permit.noted("use", "notify").entry(Disclosure::default());
    let to = to.into_iter().map(str::to_owned).collect();
    match app
        .store
        .review(ReviewOrder::notified(entry, id, level, to))
        .await
    {
        // Another server told it, or it was decided meanwhile.
        Ok(_) | Err(StoreError::Refused(_)) => {
            app.notices.done(id);
            Ok(())
        }
        Err(e) => Err(text(e)),
    }
}
