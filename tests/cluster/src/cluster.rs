//! The cluster as processes: up, down, who is what.

use crate::layout::{Layout, NAME, Node, random_hex};
use crate::network::{Network, Wanted};
use crate::process::{Process, output, signal, start, wait_gone};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A running cluster.
pub struct Cluster {
    /// What runs where.
    pub layout: Layout,
    /// Where its state is written.
    dir: PathBuf,
    rest: reqwest::Client,
}

/// One member as Patroni sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// `leader`, `sync_standby`, `replica`.
    pub role: String,
    /// `running`, `streaming`, `stopped`, …
    pub state: String,
    /// Its timeline.
    pub timeline: Option<u64>,
    /// Bytes behind the leader; a word when unknown.
    pub lag: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

/// One PostgreSQL as its own Patroni sees it.
#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    replication: Vec<Replication>,
}

#[derive(Deserialize)]
struct Replication {
    state: String,
}

/// Every folder above must let others through, or the programs' user cannot reach its files.
fn reachable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors().skip(1).all(|p| {
        p.as_os_str().is_empty() || std::fs::metadata(p).map_or(true, |m| m.permissions().mode() & 0o001 != 0)
    })
}

impl Cluster {
    /// Makes a new cluster with its state in `dir`, and waits until it is whole: a primary, a synchronous standby, a
    /// standby, and the backup's stanza.
    ///
    /// # Errors
    /// When one is there already, when a program is missing or does not come up. What was started is ended again.
    pub async fn up(dir: &Path, wanted: Wanted) -> Result<Self> {
        let dir = std::path::absolute(dir)?;
        ensure!(
            !dir.join("state.json").exists(),
            "there is a cluster in {} already: `cluster status` shows it, `cluster down` ends it",
            dir.display()
        );
        for program in ["etcd", "patroni", "haproxy", "pgbackrest", "openssl"] {
            let there =
                std::env::split_paths(&crate::layout::search_path()).any(|d| d.join(program).is_file());
            ensure!(
                there,
                "the program {program} is not installed; `cargo xtask cluster up` installs it"
            );
        }
        std::fs::create_dir_all(&dir)?;
        // a folder of its own each time: what an earlier one has left is never mistaken for this one's
        let folder = if reachable(&dir.join("run")) {
            dir.join(format!("run-{}", random_hex(2)?))
        } else {
            // the user that runs PostgreSQL may not enter a folder of root's
            std::env::temp_dir().join(format!("vitrine-cluster-{}", random_hex(4)?))
        };
        std::fs::create_dir_all(&folder)?;
        let network = Network::make(wanted)?;
        let made = Layout::make(&folder, network.clone());
        let layout = match made {
            Ok(l) => l,
            Err(e) => {
                network.remove();
                let _ = std::fs::remove_dir_all(&folder);
                return Err(e);
            }
        };
        let mut cluster = Self::of(dir, layout)?;
        cluster.save()?;
        match cluster.start_all().await {
            Ok(()) => Ok(cluster),
            Err(e) => {
                let words = cluster.last_words();
                cluster.down(false)?;
                Err(e.context(words))
            }
        }
    }

    async fn start_all(&mut self) -> Result<()> {
        for node in self.layout.nodes.clone() {
            self.start_node(&node)?;
        }
        let conf = self.layout.nodes[0].folder.join("conf/haproxy/haproxy.cfg");
        let mut c = self.layout.command(None, "haproxy");
        c.args(["-db", "-f"]).arg(conf);
        self.run("haproxy", c, &self.layout.folder.join("haproxy.log"))?;
        self.wait_whole(Duration::from_secs(120)).await?;
        let leader = self.leader().await?;
        let node = self.layout.node(&leader)?.clone();
        self.pgbackrest(&node, &["stanza-create"])?;
        Ok(())
    }

    /// Lets HAProxy's front know the servers' own authority, and starts it anew with that.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn put_front(&mut self, ca: &Path) -> Result<()> {
        let node = self.layout.nodes[0].clone();
        let known = self.layout.folder.join("servers-ca.pem");
        std::fs::copy(ca, &known)?;
        std::fs::set_permissions(&known, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let conf = node.folder.join("conf/haproxy/haproxy.cfg");
        let text = std::fs::read_to_string(&conf)?;
        let (before, front) = text
            .split_once("listen front")
            .context("haproxy.cfg has no front")?;
        let own = format!("ca-file {}", node.folder.join("tls/ca.crt").display());
        ensure!(
            front.contains(&own),
            "the front of haproxy.cfg checks with another authority"
        );
        let front = front.replace(&own, &format!("ca-file {}", known.display()));
        std::fs::write(&conf, format!("{before}listen front{front}"))?;
        let old: Vec<Process> = self
            .process("haproxy")
            .into_iter()
            .flat_map(Process::tree)
            .collect();
        signal(&old, "KILL")?;
        let left = wait_gone(&old, Duration::from_secs(5));
        ensure!(left.is_empty(), "these did not end: {left:?}");
        let mut c = self.layout.command(None, "haproxy");
        c.args(["-db", "-f"]).arg(conf);
        let log = self.layout.folder.join("haproxy.log");
        self.run("haproxy", c, &log)?;
        // Both servers have to be found ready, and the primary again.
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.layout.front)).is_err() {
            ensure!(Instant::now() < until, "HAProxy's front does not open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    /// The cluster whose state is in `dir`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir)?;
        let file = dir.join("state.json");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("no cluster in {}: `cluster up` makes one", dir.display()))?;
        let layout =
            serde_json::from_str(&text).with_context(|| format!("{} cannot be read", file.display()))?;
        Self::of(dir, layout)
    }

    fn of(dir: PathBuf, layout: Layout) -> Result<Self> {
        let rest = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::pg::tls(&layout)?)
            .timeout(Duration::from_secs(2))
            .build()?;
        Ok(Self { layout, dir, rest })
    }

    fn save(&self) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = self.dir.join("state.json");
        let part = self.dir.join("state.json.part");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        serde_json::to_writer_pretty(options.open(&part)?, &self.layout)?;
        std::fs::rename(&part, &file).with_context(|| format!("writing {}", file.display()))
    }

    fn run(&mut self, what: &str, command: std::process::Command, log: &Path) -> Result<()> {
        let process = start(what, command, log)?;
        self.layout.processes.retain(|p| p.what != what);
        self.layout.processes.push(process);
        self.save()
    }

    /// Starts etcd and Patroni of a node.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_node(&mut self, node: &Node) -> Result<()> {
        let mut c = self.layout.command(Some(node), "etcd");
        c.arg("--config-file").arg(node.folder.join("conf/etcd/etcd.yml"));
        self.run(&format!("etcd {}", node.name), c, &node.folder.join("etcd.log"))?;
        let mut c = self.layout.command(Some(node), "patroni");
        c.arg(node.folder.join("conf/patroni/config.yml"));
        self.run(
            &format!("patroni {}", node.name),
            c,
            &node.folder.join("patroni.log"),
        )
    }

    fn process(&self, what: &str) -> Option<&Process> {
        self.layout.processes.iter().find(|p| p.what == what)
    }

    /// Patroni and etcd of a node, without PostgreSQL.
    #[must_use]
    pub fn agents_of(&self, node: &Node) -> Vec<Process> {
        ["etcd", "patroni"]
            .iter()
            .filter_map(|p| self.process(&format!("{p} {}", node.name)))
            .filter(|p| p.alive())
            .cloned()
            .collect()
    }

    /// The first process of a node's PostgreSQL, which outlives Patroni.
    fn postmaster(node: &Node) -> Option<Process> {
        let data = node.folder.join("data");
        let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid: u32 = text.lines().next()?.trim().parse().ok()?;
        // the number may have gone to another since: a postmaster stands in its data folder
        let stands = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (stands == data).then(|| Process::of(&format!("postgres {}", node.name), pid))?
    }

    /// Every process of a node.
    #[must_use]
    pub fn everything_of(&self, node: &Node) -> Vec<Process> {
        let mut all: Vec<Process> = self.agents_of(node).iter().flat_map(Process::tree).collect();
        for p in Self::postmaster(node).iter().flat_map(Process::tree) {
            if !all.contains(&p) {
                all.push(p);
            }
        }
        all
    }

    /// Who is what, as the first node says it that answers. `but` is not asked.
    ///
    /// # Errors
    /// When none answers.
    pub async fn members(&self, but: Option<&str>) -> Result<Vec<Member>> {
        for node in self.layout.nodes.iter().filter(|n| Some(n.name.as_str()) != but) {
            if let Ok(m) = self.ask::<Members>(node, "cluster").await {
                return Ok(m.members);
            }
        }
        bail!("no node's Patroni answers")
    }

    /// The primary's name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn leader(&self) -> Result<String> {
        self.leader_but(None).await
    }

    /// The primary's name, as another node than `but` says it, and not `but` itself.
    ///
    /// # Errors
    /// When there is none.
    pub async fn leader_but(&self, but: Option<&str>) -> Result<String> {
        self.members(but)
            .await?
            .into_iter()
            .find(|m| m.role == "leader" && m.state == "running" && Some(m.name.as_str()) != but)
            .map(|m| m.name)
            .context("there is no primary")
    }

    /// Waits for a primary, a synchronous standby and a standby, all on one timeline and close behind. All three must say
    /// so, and twice: one that was cut off reads for a moment what its own etcd member last knew.
    ///
    /// # Errors
    /// When it takes longer: with the last state seen.
    pub async fn wait_whole(&self, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let mut seen = String::new();
        let mut times = 0;
        while Instant::now() < until {
            match self.whole().await {
                Ok(()) => {
                    times += 1;
                    if times == 2 {
                        return Ok(());
                    }
                }
                Err(e) => {
                    times = 0;
                    seen = format!("{e:#}");
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("the cluster is not whole after {} s: {seen}", within.as_secs())
    }

    async fn whole(&self) -> Result<()> {
        let mut leaders = Vec::new();
        for node in &self.layout.nodes {
            let members: Members = self.ask(node, "cluster").await?;
            let members = members.members;
            ensure!(
                whole(&members),
                "{} sees {}",
                node.name,
                serde_json::to_string(&members)?
            );
            leaders.extend(members.into_iter().filter(|m| m.role == "leader").map(|m| m.name));
        }
        leaders.dedup();
        ensure!(
            leaders.len() == 1,
            "the nodes see different primaries: {leaders:?}"
        );
        let leader = self.layout.node(leaders.first().map_or("", String::as_str))?;
        // what PostgreSQL itself says
        let primary: Instance = self.ask(leader, "patroni").await?;
        let streaming = primary
            .replication
            .iter()
            .filter(|r| r.state == "streaming")
            .count();
        ensure!(streaming == 2, "{streaming} standbys stream from {}", leader.name);
        Ok(())
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, node: &Node, path: &str) -> Result<T> {
        let url = format!("https://{}:{}/{path}", node.address, node.rest);
        let text = self
            .rest
            .get(&url)
            .send()
            .await
            .with_context(|| format!("{} does not answer", node.name))?
            .text()
            .await?;
        serde_json::from_str(&text).with_context(|| format!("{} answers {text}", node.name))
    }

    /// Runs pgBackRest on a node.
    ///
    /// # Errors
    /// When it fails: with its words.
    pub fn pgbackrest(&self, node: &Node, arguments: &[&str]) -> Result<String> {
        let mut c = self.layout.command(Some(node), "pgbackrest");
        c.arg(format!(
            "--config={}",
            node.folder.join("conf/pgbackrest/pgbackrest.conf").display()
        ));
        c.arg(format!("--stanza={NAME}")).args(arguments);
        output(c)
    }

    /// The ends of the logs, for an error's message.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for node in &self.layout.nodes {
            for log in ["etcd.log", "patroni.log"] {
                let text = std::fs::read_to_string(node.folder.join(log)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(4).collect();
                for line in lines.iter().rev() {
                    words.push_str(&format!("{} {log}: {line}\n", node.name));
                }
            }
        }
        words
    }

    /// Ends everything that was started, and removes the folder unless it is to be kept.
    ///
    /// # Errors
    /// When a process does not end or a file cannot be removed.
    pub fn down(self, keep: bool) -> Result<()> {
        let all = |of: &Self| -> Vec<Process> {
            let mut all: Vec<Process> = of.layout.nodes.iter().flat_map(|n| of.everything_of(n)).collect();
            all.extend(of.process("haproxy").into_iter().flat_map(Process::tree));
            all
        };
        let running = all(&self);
        signal(&running, "CONT")?;
        let patronis: Vec<Process> = running
            .iter()
            .filter(|p| p.what.starts_with("patroni") && !p.what.contains("child"))
            .cloned()
            .collect();
        if keep {
            // who wants to look at the data wants it shut down in order
            signal(&patronis, "TERM")?;
            let _ = wait_gone(&patronis, Duration::from_secs(20));
        }
        for _ in 0..5 {
            let left = all(&self);
            if left.is_empty() {
                break;
            }
            signal(&left, "KILL")?;
            let _ = wait_gone(&left, Duration::from_secs(5));
        }
        let left = all(&self);
        ensure!(left.is_empty(), "these did not end: {left:?}");
        self.layout.network.remove();
        if keep {
            eprintln!("data and logs stay in {}", self.layout.folder.display());
        } else {
            std::fs::remove_dir_all(&self.layout.folder)
                .with_context(|| format!("removing {}", self.layout.folder.display()))?;
        }
        std::fs::remove_file(self.dir.join("state.json"))?;
        Ok(())
    }
}

/// A primary, a synchronous standby, a standby; one timeline; less than a megabyte behind.
fn whole(members: &[Member]) -> bool {
    let count = |role: &str| members.iter().filter(|m| m.role == role).count();
    let timeline = members.iter().find(|m| m.role == "leader").map(|m| m.timeline);
    count("leader") == 1
        && count("sync_standby") == 1
        && count("replica") == 1
        && members.iter().all(|m| {
            matches!(m.state.as_str(), "running" | "streaming")
                && Some(m.timeline) == timeline
                && (m.role == "leader"
                    || m.lag
                        .as_ref()
                        .and_then(serde_json::Value::as_u64)
                        .is_some_and(|l| l < 1_000_000))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: &str, timeline: u64, lag: u64) -> Member {
        Member {
            name: role.to_owned(),
            role: role.to_owned(),
            state: "running".to_owned(),
            timeline: Some(timeline),
            lag: Some(lag.into()),
        }
    }

    #[test]
    fn whole_means_three_on_one_timeline() {
        let mut m = vec![
            member("leader", 2, 0),
            member("sync_standby", 2, 0),
            member("replica", 2, 10),
        ];
        assert!(whole(&m));
        m[2].timeline = Some(1);
        assert!(!whole(&m), "a standby that still follows the old primary");
        m[2] = member("replica", 2, 5_000_000);
        assert!(!whole(&m), "far behind");
        m[2] = member("sync_standby", 2, 0);
        m.pop();
        assert!(!whole(&m), "two of three");
    }
}
