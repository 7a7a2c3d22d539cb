//! `failover`: the database cluster of `deploy/` loses its primary's machine, again and again, under write load.

use crate::report::Report;
use anyhow::{Context, Result};
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::drill;
use vitrine_cluster::fault::Fault;
use vitrine_cluster::ledger::Ledger;
use vitrine_cluster::network::{Network, Wanted};

/// Twenty faults in turn (one when quick): how long until writes resume, and what was lost.
pub fn failover(report: &mut Report, quick: bool) -> Result<()> {
    let times = if quick { 1 } else { 20 };
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (network, found) = runtime.block_on(async {
        let mut cluster = Cluster::up(dir.path(), Wanted::Auto).await?;
        let mut load = Ledger::new(&cluster.layout, 16)?;
        let found = drill(&mut cluster, &mut load, &Fault::ROTATION, times).await;
        let network = cluster.layout.network.clone();
        cluster.down(false)?;
        anyhow::Ok((network, found.context("the drill")?))
    })?;
    let joined = match network {
        Network::Namespaces { .. } => "a network namespace each",
        Network::Loopback => "all on loopback",
    };
    let setup = format!(
        "3 x PostgreSQL under Patroni, 3 x etcd, HAProxy, pgBackRest, {joined}; TLS; strict synchronous; 16 writers; \
         machine killed, hung, cut off in turn"
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
    Ok(())
}
