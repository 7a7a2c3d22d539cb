//! The desktop shell: one window over the workstation engine.
//!
//! Lives here: the window and what it may not do, the commands (one file per act, each a thin call into the engine),
//! the image protocol, the events to the screen, paint marks, preferences. Never here: a word of the clinic, SQL, HTTP, a rule about data.
//! Called by `main.rs` alone.

pub mod arguments;
mod cards;
mod commands;
pub mod environment;
mod events;
mod marks;
mod preferences;
#[cfg(target_os = "linux")]
mod recover;
mod scheme;
mod shell;
mod standby;
mod window;

pub use arguments::{Arguments, Start};
use cards::{Cards, Told};
use shell::Shell;
use std::process::ExitCode;
use tauri::{Manager, RunEvent};
use tauri_plugin_autostart::ManagerExt;
use tracing_subscriber::EnvFilter;

/// Runs the window until the session of the operating system ends.
#[must_use]
pub fn run(mut arguments: Arguments) -> ExitCode {
    // The autostart entry names it, and begins elsewhere.
    arguments.profile = std::path::absolute(&arguments.profile).unwrap_or(arguments.profile);
    let filter = EnvFilter::try_from_env("VITRINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    vitrine_engine::language::speak(preferences::read(&arguments.profile).language);
    // The engine opens its databases on a thread of its own while the web view starts.
    let shell = Shell::open(arguments.profile.clone());
    let mut autostart = tauri_plugin_autostart::Builder::new().arg("--hidden");
    if let Some(profile) = arguments.profile.to_str() {
        autostart = autostart.args(["--profile", profile]);
    }
    let mut builder = tauri::Builder::default().plugin(autostart.build());
    if !cfg!(feature = "automation") && arguments.autostart.is_none() {
        // A second start shows the window of the first. Tests run several at once; the autostart entry is changed
        // beside a running window.
        builder = builder.plugin(tauri_plugin_single_instance::init(|app, _, _| window::show(app)));
    }
    let built = builder
        .manage(shell)
        .register_asynchronous_uri_scheme_protocol(scheme::SCHEME, scheme::handle)
        .invoke_handler(commands::handler())
        .setup(move |app| {
            if let Some(on) = arguments.autostart {
                set_autostart(app, on);
                return Ok(());
            }
            window::open(app, arguments.hidden)?;
            let handle = app.handle().clone();
            match Cards::start(move |told| heard(&handle, told)) {
                Ok(cards) => {
                    app.manage(cards);
                }
                Err(error) => eprintln!("vitrine: cards are not read: {error}"),
            }
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(error) => {
            eprintln!(
                "vitrine: the window cannot be opened: {error}. A display and WebKitGTK 4.1 are needed."
            );
            return ExitCode::from(1);
        }
    };
    app.run(|app, event| {
        match event {
            // Closing the last window keeps the workstation resident; only the operating system's session ends it.
            RunEvent::ExitRequested { api, code, .. }
                if code.is_none() && !app.webview_windows().is_empty() =>
            {
                api.prevent_exit();
            }
            RunEvent::Exit => {
                if let Some(cards) = app.try_state::<Cards>() {
                    cards.stop();
                }
                app.state::<Shell>().close();
            }
            _ => {}
        }
    });
    ExitCode::SUCCESS
}

/// What the card reader's thread tells, to the engine; before that is open nobody could be picked.
fn heard(app: &tauri::AppHandle, told: Told) {
    let Some(engine) = app.state::<Shell>().opened() else {
        return;
    };
    match told {
        Told::Reader(now) => engine.note_reader(now),
        Told::Card(uid) => engine.card(&uid),
    }
}

/// `--autostart on|off`: says what was done and ends.
fn set_autostart(app: &tauri::App, on: bool) {
    let autostart = app.autolaunch();
    let code = match if on {
        autostart.enable()
    } else {
        autostart.disable()
    } {
        Ok(()) => {
            println!(
                "Vitrine {} at sign-in to the operating system.",
                if on { "starts" } else { "no longer starts" }
            );
            0
        }
        Err(error) => {
            eprintln!("vitrine: autostart was not changed: {error}");
            1
        }
    };
    app.handle().exit(code);
}
