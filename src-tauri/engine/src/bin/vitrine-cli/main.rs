//! `vitrine-cli`: the workstation without a window.
//!
//! Lives here: arguments, exit codes, printing. Never here: an act; those are the engine's.
//!
//! A session: `login` keeps one for fifteen minutes, sealed with the device's key (`session.bin`); any act may instead
//! be given `--user` and a secret for itself alone. Exit codes: 0 done, 1 refused or failed, 2 usage or configuration,
//! 3 refused for safety, 4 not on this workstation, 5 denied, 6 locked or revoked.

/// Prints a line; false when nobody reads any more, which is no reason to fail.
macro_rules! heard {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($words)*).is_ok()
    }};
}

/// Prints a line, whether or not anybody reads it.
macro_rules! say {
    ($($words:tt)*) => {{
        let _ = heard!($($words)*);
    }};
}

mod acts;
mod args;
mod bench;
mod drill;
mod entries;
mod images;
mod print;
mod secret;
mod wall;

use args::Cli;
use clap::Parser;
use mimalloc::MiMalloc;
use std::process::ExitCode;
use std::time::Duration;
use vitrine_engine::EngineError;
use zeroizing_alloc::ZeroAlloc;

/// Parsing and storing records is half allocation: this one takes a third less time for it than the system's. What is freed is
/// overwritten: after the lock nothing of what was on the screen is left in memory that nobody owns (ADR 41).
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

/// Longest wait for background work to close its databases.
const CLOSING: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    vitrine_engine::memory::undumped();
    let json = std::env::args_os().any(|a| a == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() => {
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => return usage(&e, json),
    };
    vitrine_engine::language::speak(cli.language);
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("VITRINE_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(acts::run(cli));
            // Wait for the threads that have a database open: the process's exit would free SQLCipher beneath them.
            let _ = runtime.block_on(async { tokio::time::timeout(CLOSING, acts::ended()).await });
            runtime.shutdown_timeout(CLOSING);
            done
        }
        Err(cause) => Err(EngineError::Io {
            doing: "starting",
            cause,
        }),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            print::error(&e, json);
            ExitCode::from(e.exit_code())
        }
    }
}

fn usage(e: &clap::Error, json: bool) -> ExitCode {
    let text = e.render().to_string();
    let first = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let advice =
        "run `vitrine-cli --help` to see the acts, `vitrine-cli ACT --help` for the arguments of one";
    print::error(&EngineError::Usage(format!("{first} — {advice}")), json);
    if !json {
        eprintln!("\n{text}");
    }
    ExitCode::from(2)
}
