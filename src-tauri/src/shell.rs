//! What the commands share: the engine, opened on a thread while the window starts, and the paint marks.

use crate::marks::Marks;
use crate::standby::Standby;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use vitrine_engine::{Options, Workstation, say};
use vitrine_wire::ErrorCode;
use vitrine_wire::view::ErrorView;

/// Longest wait for background work at the end.
const CLOSING: Duration = Duration::from_secs(3);

type Opened = Result<Workstation, ErrorView>;

/// The state that Tauri hands to every command.
pub struct Shell {
    profile: PathBuf,
    opened: watch::Sender<Option<Opened>>,
    /// When things were painted.
    pub marks: Marks,
    /// The page that is seen, and the one behind it.
    pub standby: Standby,
}

impl Shell {
    /// Begins to open the workstation of a profile and returns at once.
    pub fn open(profile: PathBuf) -> Self {
        let opened = watch::channel(None).0;
        let shell = Self {
            profile,
            opened,
            marks: Marks::new(),
            standby: Standby::new(),
        };
        shell.begin();
        shell
    }

    fn begin(&self) {
        let (folder, tell) = (self.profile.clone(), self.opened.clone());
        tauri::async_runtime::spawn_blocking(move || {
            // The runtime is Tauri's: a thread of it has none of its own to be found.
            let runtime = Some(tauri::async_runtime::handle().inner().clone());
            let opened = Workstation::open(
                &folder,
                Options {
                    runtime,
                    ..Options::default()
                },
            )
            .map_err(|error| error.view());
            tell.send_replace(Some(opened));
        });
    }

    /// Opens it anew: an unusable workstation may have been enrolled meanwhile.
    ///
    /// # Errors
    /// As [`Self::engine`].
    pub async fn reopen(&self) -> Opened {
        self.opened.send_replace(None);
        self.begin();
        self.engine().await
    }

    /// Closes the engine, if it is open, before the process ends.
    pub fn close(&self) {
        if let Some(Ok(engine)) = self.opened.borrow().clone()
            && !engine.close(CLOSING)
        {
            eprintln!("vitrine: background work did not end within {CLOSING:?}");
        }
    }

    /// The engine, where it is open already.
    pub fn opened(&self) -> Option<Workstation> {
        self.opened.borrow().clone()?.ok()
    }

    /// Folder of the profile.
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// The engine, once it is open.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub async fn engine(&self) -> Opened {
        let mut opened = self.opened.subscribe();
        match opened.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err(never_opened())),
            Err(_) => Err(never_opened()),
        }
    }
}

/// Runs work that reads files or databases on a thread for it.
///
/// # Errors
/// When that thread died.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ErrorView> {
    tauri::async_runtime::spawn_blocking(work)
        .await
        .map_err(|_| never_opened())
}

fn never_opened() -> ErrorView {
    ErrorView {
        code: ErrorCode::Internal,
        text: say!(
            "The stored data of this workstation could not be opened: close the program, start it again, and tell IT if it happens again.",
            "Die gespeicherten Daten dieses Arbeitsplatzes konnten nicht geöffnet werden: das Programm schließen, neu starten und, wenn es wieder geschieht, die Klinik-IT benachrichtigen."
        ),
        retry_after_s: None,
        break_glass_offered: false,
    }
}
