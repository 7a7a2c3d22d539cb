//! Proves who somebody is without a session; answers with a token good for a few minutes.

use super::{Answer, Held};
use zeroize::Zeroizing;

#[tauri::command]
pub async fn emergency_identify(
    shell: Held<'_>,
    user: String,
    secret: Zeroizing<String>,
    badge: Option<String>,
) -> Answer<String> {
    let token = shell
        .engine()
        .await?
        .identify_with(&user, &secret, badge.as_deref())
        .await
        .map_err(|e| e.view())?;
    Ok(token.as_str().to_owned())
}
