//! `vitrine-bench`: measures the release build, with TLS, sign-in, audit and encryption switched on, and holds it to
//! `budgets.toml`. Run by `cargo xtask bench`.
//!
//! Every bench starts the real server as a process of its own and real workstations on temporary folders. Times are
//! wall-clock on loopback; both ends share the machine.
#![allow(clippy::disallowed_methods)] // a bench reads the clock

mod backup;
mod big_chart;
mod crowd;
mod emergency;
mod failover;
mod fanout;
mod fhir;
mod hl7;
mod imaging;
mod import;
mod lanes;
mod leaks;
mod looks;
mod million;
mod packet;
mod report;
mod scan;
mod screens;
mod soak;
mod stores;
mod unlock;
mod wall;
mod window;
mod world;

use anyhow::{Result, bail};
use clap::Parser;
use report::Report;

/// As in the programs that ship.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of Vitrine.
#[derive(Parser)]
struct Args {
    /// Which benches; all when none is named.
    names: Vec<String>,
    /// Each bench within 60 s.
    #[arg(long)]
    quick: bool,
    /// Write the array to this file too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

type Bench = fn(&mut Report, bool) -> Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("emergency", emergency::emergency),
    ("unlock", unlock::unlock),
    ("search", emergency::search),
    ("audit", emergency::audit),
    ("hl7", hl7::hl7),
    ("fhir", fhir::fhir),
    ("looks", looks::looks),
    ("leaks", leaks::leaks),
    ("million", million::million),
    ("chart", big_chart::chart),
    ("import", import::import),
    ("backup", backup::backup),
    ("fanout", fanout::fanout),
    ("crowd", crowd::crowd),
    ("storm", crowd::storm),
    ("store", stores::store),
    ("people", stores::people),
    ("lanes", lanes::lanes),
    ("window", window::window),
    ("imaging", imaging::imaging),
    ("wall", wall::wall),
    ("scan", scan::scan),
    ("packet", packet::packet),
    ("screens", screens::screens),
    ("soak", soak::soak),
    ("failover", failover::failover),
];

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(lanes::LOAD) {
        return lanes::load();
    }
    if std::env::args().nth(1).as_deref() == Some(imaging::INSIDE) {
        return imaging::inside();
    }
    let args = Args::parse();
    if let Some(unknown) = args.names.iter().find(|n| !BENCHES.iter().any(|(b, _)| b == n)) {
        let known: Vec<&str> = BENCHES.iter().map(|(b, _)| *b).collect();
        eprintln!("there is no bench '{unknown}': choose from {}", known.join(", "));
        std::process::exit(2);
    }
    let mut report = Report::new()?;
    for (name, bench) in BENCHES {
        if args.names.is_empty() || args.names.iter().any(|n| n == name) {
            bench(&mut report, args.quick)?;
        }
    }
    let json = serde_json::to_string_pretty(&report.rows)?;
    println!("{json}");
    if let Some(file) = &args.json {
        std::fs::write(file, &json)?;
    }
    let missed: Vec<String> = report
        .missed()
        .iter()
        .map(|r| format!("{}.{}", r.bench, r.metric))
        .collect();
    if !missed.is_empty() {
        bail!("outside their budgets: {}", missed.join(", "));
    }
    Ok(())
}
