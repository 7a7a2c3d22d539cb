//! What commands ask about the copies of images.
//!
//! Lives here: the acts and their objects. Never here: copying (`imaging::copies`). Called by `cli::acts`.

use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::error::{Exit, Fault};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vitrine_access::{Disclosure, action};
use vitrine_clinical::UtcMs;

/// Originals named at most that are not in order.
const NAMED: usize = 1_000;

/// An act.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// How the copies stand.
    Copies,
    /// Read everything again, now.
    Scrub,
    /// How far that is.
    Progress {
        /// When it was begun, ms.
        since_ms: i64,
    },
}

/// Carries it out.
///
/// # Errors
/// [`Fault`].
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::Copies => {
            let listed = ground.copies.list(NAMED).await?;
            if !listed.patients.is_empty() {
                ground.shown("images-copies", listed.patients).await?;
            }
            let exit = if listed.whole { Exit::Done } else { Exit::Some };
            Ok(given(exit, listed.json))
        }
        Asked::Scrub => {
            let permit = ground
                .permit::<action::OperateServer>()?
                .noted("use", "scrub-images");
            ground.store.append(permit.entry(Disclosure::default())).await?;
            let since = clock::now();
            let rows = ground.copies.scrub_now(since).await?;
            if !ground.served {
                ground.copies.work_off().await?;
            }
            let json = json!({"since_ms": since.0, "rows": rows, "served": ground.served});
            Ok(given(Exit::Done, json))
        }
        Asked::Progress { since_ms } => {
            let json = ground.copies.progress(UtcMs(since_ms)).await?;
            Ok(given(Exit::Done, json))
        }
    }
}
