//! The workstation's window: reads the command line, takes dangerous environment away, starts.

// Without this a console window opens beside the application on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use mimalloc::MiMalloc;
use std::process::ExitCode;
use vitrine_app::Start;
use zeroizing_alloc::ZeroAlloc;

/// Parsing and storing records is half allocation: this one takes a third less time for it than the system's. What is freed is
/// overwritten: after the lock nothing of what was on the screen is left in memory that nobody owns (ADR 41).
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    vitrine_engine::memory::undumped();
    // First of all, before any library of the web view is asked anything.
    if let Err(error) = vitrine_app::environment::cleared() {
        eprintln!("vitrine: cannot start again without the debugging variables: {error}");
        return ExitCode::from(1);
    }
    match vitrine_app::arguments::parse(std::env::args_os().skip(1)) {
        Ok(Start::Say(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Start::Window(arguments)) => vitrine_app::run(arguments),
        Err(message) => {
            eprintln!("vitrine: {message}\n\n{}", vitrine_app::arguments::USAGE);
            ExitCode::from(2)
        }
    }
}
