//! Backups: any moment comes back exactly, also across a change of the primary; a repository that is not whole says so.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vitrine_cluster::cluster::Cluster;
use vitrine_cluster::drill::drill;
use vitrine_cluster::fault::Fault;
use vitrine_cluster::layout::random_hex;
use vitrine_cluster::ledger::Ledger;
use vitrine_cluster::load::Load;
use vitrine_cluster::network::Wanted;
use vitrine_cluster::process::output;

/// When each row was committed (microseconds), in the order of time.
fn commits(cluster: &Cluster, node: &str) -> Result<Vec<i64>> {
    let node = cluster.layout.node(node)?;
    let text = cluster.sql(
        node,
        "vitrine",
        "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM ledger ORDER BY 1",
    )?;
    text.lines()
        .map(|l| l.parse().with_context(|| format!("no commit time: {l}")))
        .collect()
}

/// How many rows, and one hash of them all.
const LEDGER: &str = "SELECT count(*), md5(string_agg(id || payload, ',' ORDER BY id)) FROM ledger";

/// A moment between two commits that are far enough apart to tell which came first.
fn moment(commits: &[i64], from: usize, to: usize) -> Result<i64> {
    let random = usize::from_str_radix(&random_hex(4)?, 16)?;
    let range = commits.get(from..to).context("range")?;
    for i in 0..range.len() {
        let at = (random + i) % range.len().max(1);
        if let Some([a, b]) = range.get(at..at + 2).and_then(|s| <[i64; 2]>::try_from(s).ok())
            && b - a > 4_000
        {
            return Ok(a + (b - a) / 2);
        }
    }
    anyhow::bail!("no two commits are 4 ms apart")
}

async fn a_moment_comes_back(cluster: &Cluster, moment_us: i64) -> Result<()> {
    let leader = cluster.leader().await?;
    let node = cluster.layout.node(&leader)?;
    let there = cluster.sql(
        node,
        "vitrine",
        &format!(
            "{LEDGER} WHERE pg_xact_commit_timestamp(xmin) <= to_timestamp({moment_us}::numeric / 1000000)"
        ),
    )?;
    let text = cluster.sql(
        node,
        "vitrine",
        &format!(
            "SELECT to_char(to_timestamp({}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || '.{:06}+00'",
            moment_us / 1_000_000,
            moment_us % 1_000_000
        ),
    )?;
    let restored = cluster.restore_at(text.trim()).await?;
    let back = restored.sql(cluster, "vitrine", LEDGER)?;
    println!(
        "{} restored in {:.1} s: {}",
        text.trim(),
        restored.seconds,
        back.trim()
    );
    restored.remove()?;
    ensure!(
        back == there,
        "{} gives {back}, but {there} was committed",
        text.trim()
    );
    Ok(())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for e in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = e.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut c = Command::new("cp");
    c.arg("-a").arg(from).arg(to);
    output(c).map(drop)
}

/// Does something to a file of the repository, and says whether the check saw it; the repository is whole again then.
async fn seen(cluster: &Cluster, what: &str, spoil: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<()> {
    let repository = cluster.layout.folder.join("repository");
    let kept = cluster.layout.folder.join("repository.kept");
    copy(&repository, &kept)?;
    let spoilt = spoil(&repository)?;
    let verdict = cluster.verify_backup().await;
    std::fs::remove_dir_all(&repository)?;
    std::fs::rename(&kept, &repository)?;
    let Err(words) = verdict else {
        anyhow::bail!(
            "{what}: the check of the backup says nothing ({})",
            spoilt.display()
        );
    };
    println!("{what}: {}", words.to_string().lines().last().unwrap_or_default());
    Ok(())
}

fn flip(file: &Path) -> Result<()> {
    let mut bytes = std::fs::read(file)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty file")? ^= 1;
    Ok(std::fs::write(file, bytes)?)
}

/// The whole segments in the archive, oldest first. One of a timeline that was left (`.partial`) is needed by nobody.
fn segments(repository: &Path) -> Result<Vec<PathBuf>> {
    let found: Vec<PathBuf> = files(&repository.join("archive"))
        .into_iter()
        .filter(|f| {
            let name = f.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".zst") && name.find('-') == Some(24)
        })
        .collect();
    ensure!(found.len() >= 3, "only {} segments are archived", found.len());
    Ok(found)
}

fn bundle(repository: &Path) -> Result<PathBuf> {
    files(&repository.join("backup"))
        .into_iter()
        .find(|f| f.to_string_lossy().contains("/bundle/"))
        .context("the backup has no file")
}

async fn story(cluster: &mut Cluster) -> Result<()> {
    let mut load = Ledger::new(&cluster.layout, 16)?;
    cluster.back_up("full").await?;
    // rows, a lost machine, rows
    let report = drill(cluster, &mut load, &[Fault::Kill], 1).await?;
    ensure!(report.acked_lost + report.acked_doubled == 0, "{report:?}");
    load.start().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.stop().await?;
    // several segments on the new timeline, so that one is missed from their middle
    for _ in 0..3 {
        cluster.archive_now().await?;
    }

    let commits = commits(cluster, &cluster.leader().await?)?;
    let silence = commits
        .windows(2)
        .enumerate()
        .max_by_key(|(_, w)| w[1] - w[0])
        .map(|(i, _)| i)
        .context("no commits")?;
    a_moment_comes_back(cluster, moment(&commits, 0, silence)?).await?;
    a_moment_comes_back(cluster, moment(&commits, silence + 1, commits.len())?).await?;

    let whole = cluster.verify_backup().await?;
    println!("whole: {}", whole.trim());
    seen(cluster, "a WAL segment with one bit changed", |r| {
        let f = segments(r)?.remove(1);
        flip(&f)?;
        Ok(f)
    })
    .await?;
    seen(cluster, "a WAL segment missing", |r| {
        let all = segments(r)?;
        let f = all.get(all.len() - 2).context("segments")?.clone();
        std::fs::remove_file(&f)?;
        Ok(f)
    })
    .await?;
    seen(cluster, "a WAL segment cut short", |r| {
        let f = segments(r)?.remove(1);
        std::fs::OpenOptions::new().write(true).open(&f)?.set_len(100)?;
        Ok(f)
    })
    .await?;
    seen(cluster, "a file of the backup with one bit changed", |r| {
        let f = bundle(r)?;
        flip(&f)?;
        Ok(f)
    })
    .await?;
    seen(cluster, "a file of the backup missing", |r| {
        let f = bundle(r)?;
        std::fs::remove_file(&f)?;
        Ok(f)
    })
    .await?;
    seen(cluster, "the list of backups unreadable", |r| {
        let f = r.join("backup/vitrine/backup.info");
        flip(&f)?;
        flip(&r.join("backup/vitrine/backup.info.copy"))?;
        Ok(f)
    })
    .await?;
    cluster.verify_backup().await.map(drop)?;
    // nothing in the repository can be read without its passphrase
    let plain: Vec<PathBuf> = files(&cluster.layout.folder.join("repository"))
        .into_iter()
        .filter(|f| std::fs::read(f).is_ok_and(|b| !b.starts_with(b"Salted__")))
        .collect();
    ensure!(plain.is_empty(), "not encrypted: {plain:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_moment_comes_back_and_a_spoilt_backup_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::up(dir.path(), Wanted::Auto).await.unwrap();
    let told = story(&mut cluster).await;
    cluster.down(false).unwrap();
    told.unwrap();
}
