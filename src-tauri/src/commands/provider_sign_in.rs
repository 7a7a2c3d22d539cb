//! Begins a session by the hospital's identity provider, in the system's browser; answers when the person came back from there.

use super::{Answer, Held};
use crate::window;
use tauri::AppHandle;
use vitrine_engine::Workstation;
use vitrine_wire::view::SessionView;
use zeroize::Zeroizing;

#[tauri::command]
pub async fn provider_sign_in(
    app: AppHandle,
    shell: Held<'_>,
    pin: Option<Zeroizing<String>>,
) -> Answer<SessionView> {
    let came = shell
        .engine()
        .await?
        .sign_in_by_provider(Workstation::open_browser, pin.as_ref().map(|p| p.as_str()))
        .await
        .map_err(|e| e.view());
    // The browser lies over it.
    window::show(&app);
    came
}
