//! Proves who somebody is without a session; answers with a token good for a few minutes.

use super::{Answer, Held};
use vitrine_engine::Beside;
use zeroize::Zeroizing;

#[tauri::command]
pub async fn emergency_identify(
    shell: Held<'_>,
    user: String,
    secret: Zeroizing<String>,
    badge: Option<String>,
    declared: Option<String>,
) -> Answer<String> {
    let token = shell
        .engine()
        .await?
        .identify_with(&user, &secret, Beside { badge, declared })
        .await
        .map_err(|e| e.view())?;
    Ok(token.as_str().to_owned())
}
