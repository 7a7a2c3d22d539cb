//! Gives the person who is signed in a new password or PIN.

use super::{Answer, Held};
use serde::Deserialize;
use vitrine_engine::NewSecret;
use zeroize::Zeroizing;

/// Which of them.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    Password,
    Pin,
}

#[tauri::command]
pub async fn change_secret(
    shell: Held<'_>,
    now: Zeroizing<String>,
    which: Which,
    fresh: Zeroizing<String>,
) -> Answer<()> {
    let new = match which {
        Which::Password => NewSecret::Password(fresh),
        Which::Pin => NewSecret::Pin(fresh),
    };
    let engine = shell.engine().await?;
    engine.change_secret(&now, new).await.map_err(|e| e.view())
}
