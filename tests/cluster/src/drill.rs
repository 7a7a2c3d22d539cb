//! The drill: under load, a fault on the primary's machine; how long until writes resume; what was lost; rejoin; again.

use crate::check::Verdict;
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::load::{Load, longest_silence};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};

/// One fault and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Once {
    /// What was done.
    pub fault: Fault,
    /// To whom.
    pub node: String,
    /// Who took over.
    pub successor: String,
    /// From the fault to the end of the longest silence in acknowledged writes, seconds.
    pub resume_s: f64,
    /// The length of that silence, seconds.
    pub silent_s: f64,
    /// The longest silence of reads on the standbys' port in the same time, seconds.
    pub reads_silent_s: f64,
    /// From the end of the fault until the old primary is a standby again and the cluster whole, seconds.
    pub rejoin_s: f64,
}

/// The whole drill.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The load's name.
    pub load: String,
    /// Faults carried out.
    pub n: usize,
    /// Half of them resumed within this.
    pub resume_s_p50: f64,
    /// 95 of 100 resumed within this.
    pub resume_s_p95: f64,
    /// The worst.
    pub resume_s_max: f64,
    /// The worst silence of reads on the standbys' port.
    pub reads_silent_s_max: f64,
    /// Writes acknowledged in all.
    pub acked: u64,
    /// Of these, missing.
    pub acked_lost: u64,
    /// Rows or effects that are there twice.
    pub acked_doubled: u64,
    /// Rows with another content.
    pub altered: u64,
    /// Rows that nobody wrote.
    pub foreign: u64,
    /// Attempts that failed and were made again.
    pub attempts_failed: u64,
    /// What each kind of fault was here.
    pub faults: Vec<String>,
    /// One by one.
    pub drills: Vec<Once>,
}

/// Writes must be acknowledged again within this, or the drill has failed.
pub const LIMIT: Duration = Duration::from_secs(30);
const REJOIN: Duration = Duration::from_secs(120);
/// The load runs so long before a fault and after its end.
const STEADY: Duration = Duration::from_secs(2);

/// The value below which `share` of the sorted values lie (nearest rank).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.max(1) - 1)
        .or(sorted.last())
        .copied()
        .unwrap_or(f64::NAN)
}

/// Carries out `times` faults, one after another, in the order of `faults`.
///
/// # Errors
/// When the load does not run, when writes have not resumed within 60 s, when the cluster does not become whole again.
pub async fn drill(
    cluster: &mut Cluster,
    load: &mut dyn Load,
    faults: &[Fault],
    times: usize,
) -> Result<Report> {
    ensure!(!faults.is_empty() && times > 0, "no fault to carry out");
    cluster.wait_whole(REJOIN).await?;
    load.prepare().await?;
    let mut drills: Vec<Once> = Vec::new();
    let mut verdict = Verdict::default();
    for (i, fault) in faults.iter().cycle().take(times).enumerate() {
        // not always at the same moment of Patroni's loop, which takes 5 s
        let moment = Duration::from_millis((i as u64 * 1_900) % 5_000);
        let one = once(cluster, load, *fault, moment)
            .await
            .with_context(|| format!("drill {} of {times}, {fault:?}", i + 1))?;
        verdict = load.verify().await?;
        eprintln!(
            "drill {} of {times}: {fault:?} on {}, writes resumed after {:.1} s on {}, rejoined after {:.1} s, \
             {} acknowledged, {} lost, {} doubled",
            i + 1,
            one.node,
            one.resume_s,
            one.successor,
            one.rejoin_s,
            verdict.acked,
            verdict.lost,
            verdict.doubled
        );
        drills.push(one);
    }
    let mut times_s: Vec<f64> = drills.iter().map(|d| d.resume_s).collect();
    times_s.sort_by(f64::total_cmp);
    Ok(Report {
        load: load.name().to_owned(),
        n: drills.len(),
        resume_s_p50: quantile(&times_s, 0.5),
        resume_s_p95: quantile(&times_s, 0.95),
        resume_s_max: quantile(&times_s, 1.0),
        reads_silent_s_max: drills.iter().map(|d| d.reads_silent_s).fold(0.0, f64::max),
        acked: verdict.acked,
        acked_lost: verdict.lost,
        acked_doubled: verdict.doubled,
        altered: verdict.altered,
        foreign: verdict.foreign,
        attempts_failed: load.pulse().failures(),
        faults: faults
            .iter()
            .map(|f| f.words(&cluster.layout.network).to_owned())
            .collect(),
        drills,
    })
}

async fn once(cluster: &mut Cluster, load: &mut dyn Load, fault: Fault, moment: Duration) -> Result<Once> {
    let started = Instant::now();
    load.start().await?;
    tokio::time::sleep(STEADY + moment).await;
    ensure!(
        !load.pulse().writes_since(started).is_empty(),
        "no write was acknowledged before the fault"
    );
    let name = cluster.leader().await?;
    let node = cluster.layout.node(&name)?.clone();
    let struck = Instant::now();
    fault.strike(cluster, &node)?;
    let successor = match resumed(cluster, load, &name, struck).await {
        Ok(s) => s,
        Err(e) => {
            // a stopped machine is not left behind
            fault.heal(cluster, &node)?;
            return Err(e);
        }
    };
    tokio::time::sleep(STEADY).await;
    let until = Instant::now();
    let writes = longest_silence(struck, &load.pulse().writes_since(struck), until);
    let reads = longest_silence(struck, &load.pulse().reads_since(struck), until);
    let healed = Instant::now();
    fault.heal(cluster, &node)?;
    // a machine that was cut off or stood still believes for a moment that it is the primary: the load goes on through it
    tokio::time::sleep(STEADY).await;
    cluster.wait_whole(REJOIN).await?;
    let rejoined = healed.elapsed();
    load.stop().await?;
    Ok(Once {
        fault,
        node: name,
        successor,
        resume_s: writes.1.as_secs_f64(),
        silent_s: (writes.1 - writes.0).as_secs_f64(),
        reads_silent_s: (reads.1 - reads.0).as_secs_f64(),
        rejoin_s: rejoined.as_secs_f64(),
    })
}

/// Waits until another node is the primary and the load is acknowledged there; gives its name.
async fn resumed(cluster: &Cluster, load: &mut dyn Load, old: &str, struck: Instant) -> Result<String> {
    let limit = LIMIT * 2;
    let mut successor: Option<(String, Instant)> = None;
    while struck.elapsed() < limit {
        match &successor {
            None => {
                if let Ok(name) = cluster.leader_but(Some(old)).await {
                    successor = Some((name, Instant::now()));
                }
            }
            Some((name, since)) => {
                if load.pulse().writes_since(*since).len() >= 32 {
                    return Ok(name.clone());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!(
        "writes have not resumed {} s after the fault; the new primary: {}; members: {}",
        limit.as_secs(),
        successor.map_or_else(|| "none".to_owned(), |(n, _)| n),
        serde_json::to_string(&cluster.members(Some(old)).await.unwrap_or_default())?
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let v: Vec<f64> = (1..=20).map(f64::from).collect();
        assert!((quantile(&v, 0.5) - 10.0).abs() < f64::EPSILON);
        assert!((quantile(&v, 0.95) - 19.0).abs() < f64::EPSILON);
        assert!((quantile(&v, 1.0) - 20.0).abs() < f64::EPSILON);
        assert!((quantile(&v[..1], 0.95) - 1.0).abs() < f64::EPSILON);
    }
}
