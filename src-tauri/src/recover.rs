//! A web view whose process died comes back at the lock screen (faults F-32).
//!
//! What was on the screen is gone with that process, so the session ends with it: nobody finds an open chart where nobody is.
//! Drafts are kept by the engine, in this process. Only WebKitGTK tells of it in a way that is seen here.

use crate::shell::Shell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tauri::{AppHandle, Manager, WebviewWindow};
use webkit2gtk::{WebProcessTerminationReason, WebViewExt};

/// So many within [`CALM`] of each other, and the next start waits.
const AT_ONCE: u32 = 5;
/// After so long without another one, they are counted anew.
const CALM: Duration = Duration::from_secs(30);
/// How long it waits then: a page that fails at every start must not keep the machine busy.
const PAUSE: Duration = Duration::from_secs(2);

/// Begins to watch.
///
/// # Errors
/// When the web view is gone.
pub fn watch(window: &WebviewWindow) -> tauri::Result<()> {
    let (app, label) = (window.app_handle().clone(), window.label().to_owned());
    let many = std::sync::Arc::new(AtomicU32::new(0));
    window.with_webview(move |view| {
        view.inner().connect_web_process_terminated(move |_, why| {
            let shell = app.state::<Shell>();
            if why == WebProcessTerminationReason::TerminatedByApi {
                // It was exchanged for the other page (standby.rs).
                return;
            }
            if shell.standby.is_behind(&label) {
                tracing::warn!(?why, "the process of the page behind ended: it is made anew");
                shell.standby.forget();
                return;
            }
            let before = many.fetch_add(1, Ordering::Relaxed);
            tracing::error!(?why, "the web view's process ended: locked, and started again");
            if let Some(engine) = shell.opened() {
                engine.lock();
            }
            let (app, label, many) = (app.clone(), label.clone(), many.clone());
            tauri::async_runtime::spawn(async move {
                if before >= AT_ONCE {
                    tokio::time::sleep(PAUSE).await;
                }
                again(&app, &label);
                tokio::time::sleep(CALM).await;
                many.fetch_sub(1, Ordering::Relaxed);
            });
        });
    })
}

fn again(app: &AppHandle, label: &str) {
    let loaded = app.get_webview_window(label).map(|window| window.reload());
    if !matches!(loaded, Some(Ok(()))) {
        tracing::error!("the web view cannot be started again: {loaded:?}");
    }
}
