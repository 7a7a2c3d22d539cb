//! The one window: what it shows and what it may not do.
//!
//! Its title never changes while it is open, and says no more than whether the patients are synthetic, so that the task switcher shows no patient (screens.md S18). Nothing remote is loaded,
//! no other window opens, nothing is downloaded, and the web view keeps nothing on disk.

use crate::preferences;
use crate::shell::Shell;
use tauri::webview::{DownloadEvent, NewWindowResponse};
use tauri::window::Color;
use tauri::{App, AppHandle, Manager, Url, WebviewUrl, WebviewWindowBuilder, WindowEvent, Wry};
use vitrine_engine::language::Language;
use vitrine_engine::profile::Profile;

/// The window that is seen.
const LABEL: &str = crate::standby::LABELS[0];
/// All that any list of windows shows.
const TITLE: &str = "Vitrine";

/// The same where the patients are synthetic; in every language, as the screen sets it too (ui/src/state/windowTitle.ts).
const TRAINING: &str = "TRAINING — Vitrine";

/// The title of the window of a workstation.
const fn title(training: bool) -> &'static str {
    if training { TRAINING } else { TITLE }
}

/// Opens it, out of sight when `hidden`.
///
/// # Errors
/// When the web view cannot be made.
pub fn open(app: &App, hidden: bool) -> tauri::Result<()> {
    let shell = app.state::<Shell>();
    let kept = preferences::read(shell.profile());
    let device = Profile::at(shell.profile()).and_then(|p| p.read_device());
    let training = device.ok().flatten().is_some_and(|d| d.demo);
    let ground = if kept.night {
        Color(0x0e, 0x14, 0x18, 0xff)
    } else {
        Color(0xf1, 0xf4, 0xf7, 0xff)
    };
    let window = page(app, LABEL, kept.language)
        .title(title(training))
        .inner_size(1280.0, 800.0)
        .min_inner_size(1024.0, 700.0)
        .visible(!hidden)
        .background_color(ground)
        .build()?;
    window.set_zoom(kept.zoom())?;
    #[cfg(target_os = "linux")]
    {
        crate::standby::hold(&window)?;
        crate::recover::watch(&window)?;
    }
    let resident = window.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            // Closing is walking away: lock, stay resident.
            api.prevent_close();
            let _ = resident.hide();
            let app = resident.app_handle().clone();
            tauri::async_runtime::spawn(async move {
                if let Ok(engine) = app.state::<Shell>().engine().await {
                    engine.lock();
                }
            });
        }
    });
    Ok(())
}

/// A page and what it may not do.
pub fn page<'a, M: Manager<Wry>>(
    app: &'a M,
    label: &str,
    language: Language,
) -> WebviewWindowBuilder<'a, Wry, M> {
    // The screen reads its language from its own address, before its first text (ui/src/i18n/language.ts).
    let address = format!("index.html?language={}", language.tag());
    WebviewWindowBuilder::new(app, label, WebviewUrl::App(address.into()))
        // Automation and an ephemeral context exclude each other in the web view's library.
        .incognito(!cfg!(feature = "automation"))
        .devtools(false)
        .zoom_hotkeys_enabled(false)
        .general_autofill_enabled(false)
        .disable_drag_drop_handler()
        .on_navigation(may_be_shown)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_download(|_, event| !matches!(event, DownloadEvent::Requested { .. }))
}

/// Brings the window to the front.
pub fn show(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(LABEL) {
        let _ = window.show();
        let _ = window.unminimize();
        let _ = window.set_focus();
    }
}

/// Only the application's own pages: `tauri://localhost`, on Windows `http://tauri.localhost`, and Vite's server in a
/// build that does not embed the pages.
fn may_be_shown(url: &Url) -> bool {
    let own = match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        "http" | "https" => cfg!(windows) && url.host_str() == Some("tauri.localhost"),
        _ => false,
    };
    own || (tauri::is_dev()
        && url.scheme() == "http"
        && url.host_str() == Some("127.0.0.1")
        && url.port() == Some(5173))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_shown() {
        let shown = |text: &str| may_be_shown(&text.parse().expect("an address"));
        assert!(shown("tauri://localhost/index.html"));
        assert!(shown("tauri://localhost/index.html?language=de"));
        for other in [
            "https://example.org/",
            "http://127.0.0.1:8443/",
            "file:///etc/passwd",
            "data:text/html,hello",
            "about:blank",
            "tauri://elsewhere/",
            "javascript:void(0)",
            "blob:tauri://localhost/x",
        ] {
            assert!(!shown(other), "{other}");
        }
    }
}
