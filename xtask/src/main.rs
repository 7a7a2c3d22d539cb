//! `cargo xtask …`: the project's own commands. `cargo xtask help` lists them.
//!
//! Lives here: building, testing and checking the project, and installing what that needs. Never here: product code.

mod cluster;
mod demo;
mod packages;
mod programs;
mod python;
mod run;
mod test;
mod tidy;
mod ui;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = false
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build, start a server with the synthetic hospital, enrol this machine and open the app
    Demo {
        /// Run the acts under a virtual display, print the measured times as JSON and save screenshots
        #[arg(long)]
        headless: bool,
    },
    /// Every test, real components included
    Test {
        /// Only Rust tests whose name contains this
        filter: Option<String>,
        /// Leave out the tests of the screen (npm, browser, webview)
        #[arg(long)]
        no_ui: bool,
    },
    /// Format, lints, house rules, generated types, and all tests
    Ci {
        /// Leave the tests out (they were run before)
        #[arg(long)]
        no_test: bool,
    },
    /// Benchmarks with their budgets, as one JSON array
    Bench {
        /// Which benches; all when none is named
        names: Vec<String>,
        /// Each bench within 60 s
        #[arg(long)]
        quick: bool,
        /// Write the array to this file too
        #[arg(long)]
        json: Option<std::path::PathBuf>,
    },
    /// The database cluster of deploy/ on this machine: up, down, status, kill-primary, drill --times N
    #[command(disable_help_flag = true)]
    Cluster {
        /// `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Other people's DICOM tools and viewer (OHIF, fetched from npm) against the server
    Interop,
    /// The house rules: one-way doors, sources, ban lists
    Tidy,
    /// Generate the screen's types from `wire`
    GenTypes {
        /// Fail when the committed types differ, instead of writing them
        #[arg(long)]
        check: bool,
    },
    /// Render every screen × state × theme × size to target/screens/
    Screens {
        /// Which screens; all when none is named
        names: Vec<String>,
    },
    /// Build the signed-off packages (.deb, .rpm) of the app
    Dist,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Demo { headless } => demo::demo(headless),
        Command::Test { filter, no_ui } => test::test(filter.as_deref(), !no_ui),
        Command::Ci { no_test } => test::ci(!no_test),
        Command::Bench { names, quick, json } => test::bench(&names, quick, json.as_deref()),
        Command::Cluster { words } => cluster::cluster(&words),
        Command::Interop => test::interop(),
        Command::Tidy => tidy::tidy(),
        Command::GenTypes { check } => ui::gen_types(check),
        Command::Screens { names } => ui::screens(&names),
        Command::Dist => ui::dist(),
    }
}
