//! Audit rows that were kept beside the server while no primary answered go to the database when one does.
//!
//! Lives here: waiting for a primary, handing the rows on. Never here: where they are kept (a store of its own,
//! `spool.db`) and how they are chained. The rows stay in the spool: it is a chain that ends where it ends.

use crate::cli::acts::{operator, operator_request};
use std::sync::{Arc, Weak};
use std::time::Duration;
use vitrine_access::{Permit, action::ReadAudit, policy};
use vitrine_store::{AuditLog as _, StoreError};
use vitrine_store_postgres::PostgresStore;
use vitrine_store_sqlcipher::SqlcipherStore;

/// Rows handed on at a time.
const STEP: usize = 500;
const AGAIN: Duration = Duration::from_secs(2);

/// Hands rows on whenever a primary answers, until the store is gone.
pub fn start(store: &Arc<PostgresStore>, spool: Arc<SqlcipherStore>) {
    let (mut primary, store) = (store.primary(), Arc::downgrade(store));
    tokio::spawn(async move {
        let mut after = 0;
        loop {
            let answers = *primary.borrow_and_update();
            if answers {
                match hand_on(&store, &spool, &mut after).await {
                    Ok(()) => {}
                    Err(StoreError::Closed) => return,
                    Err(e) => {
                        tracing::warn!(error = %e, "audit rows of the time without a primary wait");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                }
            }
            if primary.changed().await.is_err() {
                return;
            }
        }
    });
}

async fn hand_on(
    store: &Weak<PostgresStore>,
    spool: &SqlcipherStore,
    after: &mut u64,
) -> Result<(), StoreError> {
    let permit: Permit<ReadAudit> =
        policy::decide(operator_request(&operator())).map_err(|d| StoreError::Refused(d.text.to_owned()))?;
    loop {
        let rows = spool.rows(&permit, "server", *after, STEP).await?;
        let Some(last) = rows.last().map(|r| r.row.seq) else {
            return Ok(());
        };
        let store = store.upgrade().ok_or(StoreError::Closed)?;
        let new = store
            .take_spooled(rows.into_iter().map(|r| r.row).collect())
            .await?;
        if new > 0 {
            tracing::info!(
                rows = new,
                "audit rows of the time without a primary are in the database"
            );
        }
        *after = last;
    }
}
