//! `failover`: the database cluster of `deploy/` loses its primary's machine, again and again, under the load of two
//! servers behind HAProxy, with a workstation looking on.

use crate::report::Report;
use anyhow::{Context, Result};
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::drill;
use vitrine_cluster::fault::Fault;
use vitrine_cluster::network::{Network, Wanted};
use vitrine_cluster::servers::Servers;

/// Twenty faults in turn (one when quick): how long until writes resume, and what was lost.
pub fn failover(report: &mut Report, quick: bool) -> Result<()> {
    let times = if quick { 1 } else { 20 };
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (network, found, strips) = runtime.block_on(async {
        let mut cluster = Cluster::up(dir.path(), Wanted::Auto).await?;
        let mut load = Servers::up(&mut cluster, &dir.path().join("servers"), 16).await?;
        let from = std::time::Instant::now();
        let found = drill(&mut cluster, &mut load, &Fault::ROTATION, times).await;
        let network = cluster.layout.network.clone();
        let strips = load.strips_since(from);
        drop(load);
        cluster.down(false)?;
        anyhow::Ok((network, found.context("the drill")?, strips))
    })?;
    let joined = match network {
        Network::Namespaces { .. } => "a network namespace each",
        Network::Loopback => "all on loopback",
    };
    let setup = format!(
        "3 x PostgreSQL under Patroni, 3 x etcd, HAProxy, pgBackRest, {joined}; TLS; strict synchronous; 2 servers \
         behind HAProxy with TLS, auth, audit and encryption; 16 writers, each PUT a commit; machine killed, hung, cut off in turn"
    );
    let mut add = |metric: &str, value: f64, unit: &str, n: usize| {
        report.add("failover", metric, value, unit, n, &setup);
    };
    add("resume_s_p50", found.resume_s_p50, "s", found.n);
    add("resume_s_p95", found.resume_s_p95, "s", found.n);
    add("resume_s_max", found.resume_s_max, "s", found.n);
    add("reads_silent_s_max", found.reads_silent_s_max, "s", found.n);
    let acked = usize::try_from(found.acked)?;
    add("acked_lost", found.acked_lost as f64, "writes", acked);
    add("acked_doubled", found.acked_doubled as f64, "writes", acked);
    add(
        "strips_per_fault",
        strips as f64 / found.n.max(1) as f64,
        "",
        found.n,
    );
    Ok(())
}
