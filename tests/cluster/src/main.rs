//! `cargo xtask cluster`: the database cluster of `deploy/` on this machine.
#![allow(clippy::disallowed_methods, reason = "a harness reads the clock")]

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::{LIMIT, drill};
use vitrine_cluster::fault::Fault;
use vitrine_cluster::ledger::Ledger;
use vitrine_cluster::load::Load;
use vitrine_cluster::network::Wanted;
use vitrine_cluster::servers::Servers;

/// The database cluster of deploy/ on this machine: PostgreSQL under Patroni three times, etcd three times, HAProxy.
#[derive(Parser)]
#[command(name = "cargo xtask cluster", bin_name = "cargo xtask cluster")]
struct Cli {
    /// Where its state is kept; `cluster` in cargo's target folder when left out
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start it and wait until it is whole
    Up {
        /// How the nodes are joined
        #[arg(long, value_enum, default_value_t = Wanted::Auto)]
        network: Wanted,
    },
    /// End it and remove its data
    Down {
        /// Shut PostgreSQL down in order and keep data and logs
        #[arg(long)]
        keep: bool,
    },
    /// Who is the primary, who follows, how far behind
    Status,
    /// End the primary's machine by SIGKILL, wait for the next primary, start the machine again
    KillPrimary,
    /// Under write load, fault after fault on the primary's machine: how long until writes resume, what was lost
    Drill {
        /// How many faults
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        times: u16,
        /// Only these faults; kill, stop and cut in turn when none is named
        #[arg(long, value_enum)]
        fault: Vec<Fault>,
        /// How the nodes are joined
        #[arg(long, value_enum, default_value_t = Wanted::Auto)]
        network: Wanted,
        /// Concurrent writers
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=128))]
        writers: i32,
        /// Write through two vitrine-server nodes behind HAProxy, as workstations do, and not to PostgreSQL itself
        #[arg(long)]
        servers: bool,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command(cli))
}

async fn status(cluster: &Cluster) -> Result<serde_json::Value> {
    let l = &cluster.layout;
    Ok(json!({
        "members": cluster.members(None).await?,
        "write_port": l.write,
        "read_port": l.read,
        "front_port": l.front,
        "server_ports": l.servers,
        "metrics_port": l.metrics,
        "folder": l.folder,
        "network": l.network,
        "ca": l.ca(),
        "database_url": format!(
            "postgres://vitrine:{}@127.0.0.1:{}/vitrine?sslmode=require", l.secrets.application, l.write
        ),
    }))
}

fn show(json: bool, value: &serde_json::Value) -> Result<()> {
    if json {
        println!("{value}");
    } else {
        println!("{}", serde_json::to_string_pretty(value)?);
    }
    Ok(())
}

async fn command(cli: Cli) -> Result<()> {
    let dir = cli
        .dir
        .or_else(|| std::env::var_os("VITRINE_CLUSTER_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("target/cluster"));
    match cli.command {
        Command::Up { network } => {
            let cluster = Cluster::up(&dir, network).await?;
            show(cli.json, &status(&cluster).await?)
        }
        Command::Down { keep } => Cluster::open(&dir)?.down(keep),
        Command::Status => show(cli.json, &status(&Cluster::open(&dir)?).await?),
        Command::KillPrimary => {
            let mut cluster = Cluster::open(&dir)?;
            let old = cluster.leader().await?;
            let node = cluster.layout.node(&old)?.clone();
            let from = std::time::Instant::now();
            Fault::Kill.strike(&cluster, &node)?;
            let new = loop {
                if let Ok(name) = cluster.leader_but(Some(&old)).await {
                    break name;
                }
                anyhow::ensure!(
                    from.elapsed() < LIMIT * 2,
                    "no new primary within {} s",
                    (LIMIT * 2).as_secs()
                );
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            };
            let primary_s = from.elapsed().as_secs_f64();
            Fault::Kill.heal(&mut cluster, &node)?;
            cluster.wait_whole(LIMIT * 4).await?;
            let whole_s = from.elapsed().as_secs_f64();
            show(
                cli.json,
                &json!({"killed": old, "primary": new, "new_primary_s": primary_s, "whole_s": whole_s}),
            )
        }
        Command::Drill {
            times,
            fault,
            network,
            writers,
            servers,
        } => {
            let mut cluster = Cluster::up(&dir, network).await?;
            let folder = tempfile::tempdir()?;
            let mut load: Box<dyn Load> = if servers {
                Box::new(Servers::up(&mut cluster, folder.path(), writers).await?)
            } else {
                Box::new(Ledger::new(&cluster.layout, writers)?)
            };
            let faults = if fault.is_empty() {
                Fault::ROTATION.to_vec()
            } else {
                fault
            };
            let report = drill(&mut cluster, &mut *load, &faults, times.into()).await;
            // after a failure the logs are what one wants to see
            let keep = report.is_err();
            cluster.down(keep)?;
            let report = report?;
            show(cli.json, &serde_json::to_value(&report)?)?;
            anyhow::ensure!(
                report.acked_lost + report.acked_doubled + report.altered + report.foreign == 0,
                "{} acknowledged writes lost, {} doubled, {} altered, {} foreign",
                report.acked_lost,
                report.acked_doubled,
                report.altered,
                report.foreign
            );
            anyhow::ensure!(
                report.resume_s_max <= LIMIT.as_secs_f64(),
                "writes took {:.1} s to resume; the limit is {} s",
                report.resume_s_max,
                LIMIT.as_secs()
            );
            Ok(())
        }
    }
}
