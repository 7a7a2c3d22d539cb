//! The cluster loses its primary's machine five times, in three ways, under write load.

use std::time::Duration;
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::{LIMIT, drill};
use vitrine_cluster::fault::Fault;
use vitrine_cluster::ledger::Ledger;
use vitrine_cluster::network::Wanted;

#[tokio::test(flavor = "multi_thread")]
async fn five_primaries_lost_and_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::up(dir.path(), Wanted::Auto).await.unwrap();
    let mut load = Ledger::new(&cluster.layout, 16).unwrap();
    let report = drill(&mut cluster, &mut load, &Fault::ROTATION, 5).await;
    cluster.down(false).unwrap();
    let report = report.unwrap();
    println!("{}", serde_json::to_string(&report).unwrap());
    assert_eq!(report.n, 5);
    assert!(report.acked > 1_000, "the load wrote next to nothing: {report:?}");
    assert_eq!(report.acked_lost, 0, "{report:?}");
    assert_eq!(report.acked_doubled, 0, "{report:?}");
    assert_eq!(report.altered + report.foreign, 0, "{report:?}");
    let limit = LIMIT.as_secs_f64();
    assert!(report.resume_s_max <= limit, "{report:?}");
    // reads that may be old go on meanwhile, through the standbys
    let reads = Duration::from_secs_f64(report.reads_silent_s_max);
    assert!(reads <= Duration::from_secs(10), "{report:?}");
}
