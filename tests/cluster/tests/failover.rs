//! The cluster loses its primary's machine five times, in three ways, under the load of two servers behind HAProxy, with
//! a workstation looking on; then one of the servers is taken out.
#![allow(clippy::disallowed_methods, reason = "a harness reads the clock")]

use std::time::{Duration, Instant};
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::{LIMIT, drill};
use vitrine_cluster::fault::Fault;
use vitrine_cluster::load::Load as _;
use vitrine_cluster::network::Wanted;
use vitrine_cluster::servers::Servers;
use vitrine_engine::{BreakGlass, Identity};

#[tokio::test(flavor = "multi_thread")]
async fn five_primaries_lost_and_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::up(dir.path(), Wanted::Auto).await.unwrap();
    let ended = all(&mut cluster, dir.path()).await;
    cluster.down(false).unwrap();
    ended.unwrap();
}

async fn all(cluster: &mut Cluster, dir: &std::path::Path) -> anyhow::Result<()> {
    let mut load = Servers::up(cluster, &dir.join("servers"), 16).await?;
    for (n, fault) in Fault::ROTATION.iter().cycle().take(5).enumerate() {
        let from = Instant::now();
        let (workstation, nurse) = (load.workstation.clone(), load.nurse.clone());
        // Again and again while the primary is gone: breaking the glass does not notice.
        let glass = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let asked = BreakGlass {
                    patient: "p000002".to_owned(),
                    reason: "life-threatening".to_owned(),
                    words: None,
                    identity: Identity::UserSecret {
                        user: nurse.user.clone(),
                        secret: nurse.pin.clone().into(),
                        badge: None,
                    },
                };
                let begun = Instant::now();
                workstation.break_glass(asked).await?;
                slowest = slowest.max(begun.elapsed());
            }
            Ok::<_, vitrine_engine::EngineError>(slowest)
        });
        let report = drill(cluster, &mut load, &[*fault], 1).await?;
        println!("{}", serde_json::to_string(&report)?);
        let slowest = glass.await??;
        anyhow::ensure!(report.acked > 100, "the load wrote next to nothing: {report:?}");
        anyhow::ensure!(report.acked_lost + report.acked_doubled == 0, "{report:?}");
        anyhow::ensure!(report.altered + report.foreign == 0, "{report:?}");
        anyhow::ensure!(report.resume_s_max <= LIMIT.as_secs_f64(), "{report:?}");
        // Reads go on from a replica while there is no primary.
        anyhow::ensure!(report.reads_silent_s_max <= 10.0, "{report:?}");
        anyhow::ensure!(
            slowest < Duration::from_secs(1),
            "breaking the glass took {slowest:?}"
        );
        // At most one strip: the feed is live, is not for a while, and is again.
        anyhow::ensure!(
            load.strips_since(from) <= 1,
            "drill {n}: the workstation went through {:?}",
            load.states_since(from)
        );
    }
    one_server_leaves(&mut load).await
}

/// A server is taken out under load: no request fails, and its sockets are handed over within ten seconds.
async fn one_server_leaves(load: &mut Servers) -> anyhow::Result<()> {
    load.start().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = load.pulse().failures();
    let said = load.drain_second()?;
    println!("{said}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let failed = load.pulse().failures() - before;
    load.undo_drain()?;
    load.stop().await?;
    anyhow::ensure!(failed == 0, "{failed} requests failed while a server left");
    anyhow::ensure!(said["drained"] == true, "{said}");
    anyhow::ensure!(said["seconds"].as_f64().is_some_and(|s| s <= 10.0), "{said}");
    let verdict = load.verify().await?;
    anyhow::ensure!(verdict.clean(), "{verdict:?}");
    Ok(())
}
