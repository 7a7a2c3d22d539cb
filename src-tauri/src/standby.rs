//! Two pages of one window take turns, so that what was shown goes with the process that showed it (ADR 53).
//!
//! A script cannot overwrite what it has let go of, and the web view's library keeps copies of its own. So after a lock the process
//! of the page ends: another page, loaded before with the lock screen on it, lies behind the one that is seen, is put in front, and
//! only then the other's process is ended. At every moment a lock screen is there that takes keys.
//!
//! Lives here: which page is in front, and the exchange. Never here: when the screen is still (`ui/src/state/standby.ts` decides
//! it and asks; what a hand did since is looked at here). Linux alone: elsewhere no page is ever behind, and none is exchanged.

#[cfg(target_os = "linux")]
mod pages;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tauri::async_runtime::JoinHandle;
use tauri::ipc::Channel;
use tauri::{AppHandle, Manager, WebviewWindow};
use vitrine_engine::language::Language;

/// The two pages: the first is the window's own, the other's window is never seen. capabilities/main.json names them.
pub const LABELS: [&str; 2] = ["main", "standby"];
/// After so long without one, a key is on no way any more.
const ARRIVED: Duration = Duration::from_secs(2);
/// A page that has not come after so long is loaded anew.
const COMES: Duration = Duration::from_secs(20);

/// What lies behind the page that is seen.
enum Behind {
    /// Nothing, or a page whose process was ended.
    Nothing,
    /// A page that is on its way since then.
    Coming(Instant),
    /// The lock screen, painted, and how it is told that it is in front.
    Ready(Channel<bool>),
}

struct State {
    /// The place in [`LABELS`] of the page that is seen.
    front: usize,
    behind: Behind,
    /// When a key or button last went down in the window.
    pressed: Option<Instant>,
    /// What tells each page what happens.
    told: HashMap<String, JoinHandle<()>>,
}

/// A clock for durations alone.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// The pages, as every command finds them.
pub struct Standby(Mutex<State>);

impl Standby {
    /// One page, in front.
    pub fn new() -> Self {
        Self(Mutex::new(State {
            front: 0,
            behind: Behind::Nothing,
            pressed: None,
            told: HashMap::new(),
        }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the page of that label lies behind the one that is seen.
    pub fn is_behind(&self, label: &str) -> bool {
        self.with(|s| LABELS[s.front] != label)
    }

    /// What tells a page what happens ends where the page does, and where it asks anew.
    pub fn tells(&self, label: &str, task: JoinHandle<()>) {
        if let Some(before) = self.with(|s| s.told.insert(label.to_owned(), task)) {
            before.abort();
        }
    }

    /// Nothing is told to that page any more.
    #[cfg(target_os = "linux")]
    fn silence(&self, label: &str) {
        if let Some(task) = self.with(|s| s.told.remove(label)) {
            task.abort();
        }
    }

    /// The page behind is painted: it can be put in front. A page that is not behind, or not expected, is none.
    pub fn ready(&self, label: &str, front: Channel<bool>) -> bool {
        self.with(|s| {
            let expected = LABELS[1 - s.front] == label && matches!(s.behind, Behind::Coming(_));
            if expected {
                s.behind = Behind::Ready(front);
            }
            expected
        })
    }

    /// What lies behind was made for other preferences, or its process died.
    pub fn forget(&self) {
        self.with(|s| s.behind = Behind::Nothing);
    }

    /// A key or a button went down.
    #[cfg(target_os = "linux")]
    fn press(&self) {
        let at = now();
        self.with(|s| s.pressed = Some(at));
    }

    /// The label of the page to load behind; none where one is there, or was begun a moment ago.
    fn begin(&self) -> Option<&'static str> {
        let at = now();
        self.with(|s| {
            match s.behind {
                Behind::Ready(_) => return None,
                Behind::Coming(since) if since.elapsed() < COMES => return None,
                Behind::Coming(_) | Behind::Nothing => {}
            }
            s.behind = Behind::Coming(at);
            Some(LABELS[1 - s.front])
        })
    }

    /// Takes the page behind, which is in front from now on: `page_ms` is how long ago, by the page's clock, a key or a button last
    /// went down there. None where none is ready, or where one went down since that the page did not see yet.
    fn take(&self, label: &str, page_ms: f64) -> Option<Channel<bool>> {
        self.with(|s| {
            let seen = Duration::try_from_secs_f64(page_ms / 1_000.0).unwrap_or(ARRIVED);
            let on_the_way = s.pressed.is_some_and(|at| at.elapsed() < seen.min(ARRIVED));
            if LABELS[s.front] != label || on_the_way {
                return None;
            }
            match std::mem::replace(&mut s.behind, Behind::Nothing) {
                Behind::Ready(front) => {
                    s.front = 1 - s.front;
                    Some(front)
                }
                other => {
                    s.behind = other;
                    None
                }
            }
        })
    }
}

/// Begins to load a page behind the one that is seen, in the language that is spoken. Does nothing where one is there or on its way.
///
/// # Errors
/// When the web view cannot be made.
pub fn prepare(app: &AppHandle, standby: &Standby, language: Language, zoom: f64) -> tauri::Result<()> {
    // A driver holds on to the page it began with.
    if cfg!(feature = "automation") {
        return Ok(());
    }
    let Some(label) = standby.begin() else {
        return Ok(());
    };
    let seen = LABELS[usize::from(label == LABELS[0])];
    let loaded = load(app, seen, label, language, zoom);
    if loaded.is_err() {
        standby.forget();
    }
    loaded
}

#[cfg(target_os = "linux")]
fn load(app: &AppHandle, seen: &str, label: &str, language: Language, zoom: f64) -> tauri::Result<()> {
    let seen = app.get_webview_window(seen).ok_or(tauri::Error::WindowNotFound)?;
    let page = match app.get_webview_window(label) {
        Some(page) => {
            // Its process was ended after it was seen: the same page begins in a new one.
            let mut url = seen.url()?;
            url.set_query(Some(&format!("language={}", language.tag())));
            page.navigate(url)?;
            page
        }
        None => {
            let page = crate::window::page(app, label, language)
                .visible(false)
                .focused(false)
                .skip_taskbar(true)
                // A name of a context, not a place: this page's is ephemeral too, and the library registers the application's
                // addresses once for each name.
                .data_directory(app.path().app_local_data_dir()?.join(label))
                .build()?;
            pages::lay_behind(&page)?;
            crate::recover::watch(&page)?;
            page
        }
    };
    page.set_zoom(zoom)
}

#[cfg(not(target_os = "linux"))]
fn load(_: &AppHandle, _: &str, _: &str, _: Language, _: f64) -> tauri::Result<()> {
    Ok(())
}

/// Prepares the window for two pages, and begins to note when a key goes down.
///
/// # Errors
/// When the web view is gone.
#[cfg(target_os = "linux")]
pub fn hold(window: &WebviewWindow) -> tauri::Result<()> {
    pages::hold(window)
}

/// Puts the page behind in front and ends the process of the one that asks. False, and nothing changed, where none is ready or a key
/// is on its way to it.
///
/// # Errors
/// When the web view is gone.
pub async fn exchange(page: &WebviewWindow, page_ms: f64) -> tauri::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let (done, exchanged) = tokio::sync::oneshot::channel();
        let app = page.app_handle().clone();
        let label = page.label().to_owned();
        page.with_webview(move |view| {
            // Keys come to this very thread: none can come between the look and the exchange.
            let shell = app.state::<crate::shell::Shell>();
            let standby = &shell.standby;
            let other = pages::other(&view.inner());
            let taken = other.and_then(|other| Some((other, standby.take(&label, page_ms)?)));
            let exchanged = taken.is_some();
            if let Some((other, front)) = taken {
                pages::put_behind(&view.inner(), &other);
                standby.silence(&label);
                if let Err(error) = front.send(true) {
                    tracing::error!(%error, "the lock screen was not told that it is in front");
                }
            }
            let _ = done.send(exchanged);
        })?;
        Ok(exchanged.await.unwrap_or(false))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (page, page_ms);
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel<bool> {
        Channel::new(|_| Ok(()))
    }

    fn waiting() -> Standby {
        let standby = Standby::new();
        assert_eq!(standby.begin(), Some("standby"));
        assert_eq!(standby.begin(), None, "it is on its way");
        assert!(standby.ready("standby", channel()));
        standby
    }

    #[test]
    fn the_pages_take_turns() {
        let standby = Standby::new();
        assert!(!standby.is_behind("main") && standby.is_behind("standby"));
        assert!(standby.take("main", 10_000.0).is_none(), "none is ready");
        assert!(!standby.ready("standby", channel()), "nobody asked for it");
        let standby = waiting();
        assert!(standby.take("standby", 10_000.0).is_none(), "it is not in front");
        assert!(standby.take("main", 10_000.0).is_some());
        assert!(standby.is_behind("main") && !standby.is_behind("standby"));
        assert!(standby.take("standby", 10_000.0).is_none(), "none is ready again");
        assert_eq!(standby.begin(), Some("main"));
        assert!(!standby.ready("standby", channel()), "it is in front");
        assert!(standby.ready("main", channel()));
        standby.forget();
        assert!(standby.take("standby", 10_000.0).is_none(), "it was forgotten");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_key_that_the_page_has_not_seen_holds_it() {
        for (page_ms, taken) in [
            (150.0, false),
            (f64::INFINITY, false),
            (f64::NAN, false),
            (0.0, true),
        ] {
            let standby = waiting();
            standby.press();
            assert_eq!(standby.take("main", page_ms).is_some(), taken, "{page_ms}");
        }
        // The page saw the last one, and said so.
        let standby = waiting();
        standby.press();
        std::thread::sleep(Duration::from_millis(20));
        assert!(standby.take("main", 15.0).is_some());
    }
}
