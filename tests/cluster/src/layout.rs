//! What runs where: folders, addresses, ports, secrets; and the files of `deploy/` filled in with them.

use crate::network::Network;
use crate::process::{Process, output};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the cluster, of its stanza, of its scope.
pub const NAME: &str = "vitrine";

/// One database machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// 1 to 3.
    pub number: u8,
    /// `db1` to `db3`.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Port of PostgreSQL.
    pub pg: u16,
    /// Port of Patroni's REST interface.
    pub rest: u16,
    /// Port of etcd for clients.
    pub etcd: u16,
    /// Port of etcd for its peers.
    pub peer: u16,
    /// Its files.
    pub folder: PathBuf,
}

/// The passwords of this cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Of the role `vitrine`.
    pub application: String,
    superuser: String,
    replication: String,
    rewind: String,
    rest: String,
    backup: String,
}

/// The whole of it; written to `state.json` in the folder that the commands were given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Layout {
    /// Where data, logs and configuration lie.
    pub folder: PathBuf,
    /// The user that the programs run as, when this one is root (PostgreSQL refuses root).
    pub run_as: Option<String>,
    /// How the nodes are joined.
    pub network: Network,
    /// The database machines.
    pub nodes: Vec<Node>,
    /// Port of HAProxy that leads to the primary.
    pub write: u16,
    /// Port of HAProxy that leads to standbys.
    pub read: u16,
    /// Port of HAProxy that leads to the two server nodes.
    pub front: u16,
    /// Ports that are kept for the two server nodes.
    pub servers: [u16; 2],
    /// Port of HAProxy's figures.
    pub metrics: u16,
    /// Passwords.
    pub secrets: Secrets,
    /// PostgreSQL's programs.
    pub pg_bin: PathBuf,
    /// What runs.
    pub processes: Vec<Process>,
}

/// Random bytes as text.
///
/// # Errors
/// When the system gives none.
pub fn random_hex(bytes: usize) -> Result<String> {
    use ring::rand::SecureRandom;
    let mut b = vec![0_u8; bytes];
    ring::rand::SystemRandom::new()
        .fill(&mut b)
        .map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(b.iter().fold(String::new(), |mut s, x| {
        let _ = write!(s, "{x:02x}");
        s
    }))
}

/// Ports that are free now, outside of those the system gives to outgoing connections.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let random = u16::from_str_radix(&random_hex(2)?, 16)?;
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for i in 0..10_000_u16 {
        let port = 20_000 + (random.wrapping_add(i) % 10_000);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push(listener);
            ports.push(port);
            if ports.len() == count {
                return Ok(ports);
            }
        }
    }
    bail!("no {count} free ports between 20000 and 29999 on 127.0.0.1")
}

fn pg_bin() -> Result<PathBuf> {
    let root = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<u32> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // 15 is what Debian 12 has and what the product is tested with; then the newest
    versions.sort_by_key(|v| (*v == 15, *v));
    versions
        .into_iter()
        .rev()
        .map(|v| root.join(v.to_string()).join("bin"))
        .find(|p| p.join("postgres").is_file())
        .context("PostgreSQL is not installed: no program under /usr/lib/postgresql (Debian package postgresql-15)")
}

/// Where programs are looked for: some of the system's own are not on everybody's path.
#[must_use]
pub fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// The project's `deploy/`.
fn deploy() -> Result<PathBuf> {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let found = Path::new(&here)
        .ancestors()
        .map(|p| p.join("deploy"))
        .find(|p| p.join("values.env").is_file());
    found.with_context(|| format!("no deploy/values.env above {here}"))
}

impl Layout {
    /// Chooses addresses, ports and secrets, and writes every file the programs need.
    ///
    /// # Errors
    /// When the folder cannot be used or a file of `deploy/` cannot be filled in.
    pub fn make(folder: &Path, network: Network) -> Result<Self> {
        let run_as = is_root().then(|| "postgres".to_owned());
        let p = free_ports(18)?;
        let apart = matches!(network, Network::Namespaces { .. });
        let nodes = (1..=3_u8)
            .map(|n| {
                let at = usize::from(n - 1) * 4;
                let port = |i: usize, fixed: u16| {
                    if apart {
                        fixed
                    } else {
                        p.get(at + i).copied().unwrap_or(fixed)
                    }
                };
                Node {
                    number: n,
                    name: format!("db{n}"),
                    address: network.address(n),
                    pg: port(0, 5432),
                    rest: port(1, 8008),
                    etcd: port(2, 2379),
                    peer: port(3, 2380),
                    folder: folder.join(format!("db{n}")),
                }
            })
            .collect();
        let layout = Self {
            folder: folder.to_path_buf(),
            run_as,
            network,
            nodes,
            write: p[12],
            read: p[13],
            front: p[14],
            metrics: p[15],
            servers: [p[16], p[17]],
            secrets: Secrets {
                application: random_hex(24)?,
                superuser: random_hex(24)?,
                replication: random_hex(24)?,
                rewind: random_hex(24)?,
                rest: random_hex(24)?,
                backup: random_hex(24)?,
            },
            pg_bin: pg_bin()?,
            processes: Vec::new(),
        };
        layout.write_files()?;
        Ok(layout)
    }

    fn write_files(&self) -> Result<()> {
        let deploy = deploy()?;
        let sockets = self.folder.join("db1/run/.s.PGSQL.65535");
        ensure!(
            sockets.as_os_str().len() < 104,
            "the folder {} is too deep: a socket's path may have 107 characters; choose a shorter one with --dir",
            self.folder.display()
        );
        for sub in ["repository", "restore"] {
            std::fs::create_dir_all(self.folder.join(sub))?;
        }
        let template = std::fs::read_to_string(deploy.join("values.env"))?;
        for node in &self.nodes {
            for sub in ["data", "run", "etcd", "tls", "pgbackrest"] {
                std::fs::create_dir_all(node.folder.join(sub))?;
            }
            std::fs::set_permissions(
                node.folder.join("data"),
                std::os::unix::fs::PermissionsExt::from_mode(0o700),
            )?;
            let ca = self.folder.join("ca");
            let mut c = Command::new("sh");
            c.arg(deploy.join("certs.sh")).arg(&ca).args([
                &node.name,
                &node.address,
                "localhost",
                "127.0.0.1",
            ]);
            output(c).context("making certificates (the program openssl is needed)")?;
            for file in ["ca.crt", "node.crt", "node.key"] {
                std::fs::copy(ca.join(&node.name).join(file), node.folder.join("tls").join(file))?;
            }
            let values = node.folder.join("values.env");
            std::fs::write(&values, fill(&template, &self.values(node))?)?;
            let mut c = Command::new("sh");
            c.arg(deploy.join("render.sh"))
                .arg(&values)
                .arg(node.number.to_string())
                .arg(node.folder.join("conf"));
            output(c)?;
        }
        if let Some(user) = &self.run_as {
            let mut c = Command::new("chown");
            c.args(["-R", &format!("{user}:")]).arg(&self.folder);
            output(c).with_context(|| format!("giving the files to the user {user}"))?;
        }
        Ok(())
    }

    /// What stands in `values.env` on a machine; each name must be one of `deploy/values.env`.
    fn values(&self, node: &Node) -> BTreeMap<String, String> {
        let path = |p: &str| node.folder.join(p).to_string_lossy().into_owned();
        let whole = |p: &str| self.folder.join(p).to_string_lossy().into_owned();
        let here = "127.0.0.1".to_owned();
        let user = self.run_as.clone().unwrap_or_else(|| {
            let mut c = Command::new("id");
            c.arg("-un");
            output(c).map_or_else(|_| "postgres".to_owned(), |s| s.trim().to_owned())
        });
        let s = &self.secrets;
        let mut v: BTreeMap<String, String> = [
            ("DATABASE_LISTEN", here.clone()),
            ("WRITE_PORT", self.write.to_string()),
            ("READ_PORT", self.read.to_string()),
            ("FRONT_LISTEN", here.clone()),
            ("FRONT_PORT", self.front.to_string()),
            ("SERVER1_ADDRESS", here.clone()),
            ("SERVER1_PORT", self.servers[0].to_string()),
            ("SERVER2_ADDRESS", here.clone()),
            ("SERVER2_PORT", self.servers[1].to_string()),
            ("BALANCER_CONNECTIONS", "400".to_owned()),
            ("BALANCER_METRICS_LISTEN", here),
            ("BALANCER_METRICS_PORT", self.metrics.to_string()),
            ("SUPERUSER_PASSWORD", s.superuser.clone()),
            ("REPLICATION_PASSWORD", s.replication.clone()),
            ("REWIND_PASSWORD", s.rewind.clone()),
            ("APPLICATION_PASSWORD", s.application.clone()),
            ("REST_PASSWORD", s.rest.clone()),
            ("BACKUP_PASSPHRASE", s.backup.clone()),
            ("SYSTEM_USER", user),
            ("CLIENT_NETWORK", self.network.clients()),
            ("TLS_FOLDER", path("tls")),
            ("SERVER_CA", path("tls/ca.crt")),
            ("PATRONI_FOLDER", path("conf/patroni")),
            ("PG_BIN", self.pg_bin.to_string_lossy().into_owned()),
            ("PG_DATA", path("data")),
            ("PG_SOCKETS", path("run")),
            ("ETCD_DATA", path("etcd")),
            ("HAPROXY_SOCKET", whole("haproxy.sock")),
            ("BACKUP_REPOSITORY", whole("repository")),
            ("BACKUP_CONFIG", path("conf/pgbackrest/pgbackrest.conf")),
            ("BACKUP_LOCKS", path("pgbackrest/lock")),
            ("BACKUP_LOGS", path("pgbackrest")),
            ("BACKUP_SPOOL", path("pgbackrest")),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        for n in &self.nodes {
            let number = n.number;
            v.insert(format!("NODE{number}_NAME"), n.name.clone());
            v.insert(format!("NODE{number}_ADDRESS"), n.address.clone());
            v.insert(format!("NODE{number}_PG_PORT"), n.pg.to_string());
            v.insert(format!("NODE{number}_REST_PORT"), n.rest.to_string());
            v.insert(format!("NODE{number}_ETCD_PORT"), n.etcd.to_string());
            v.insert(format!("NODE{number}_PEER_PORT"), n.peer.to_string());
        }
        v
    }

    /// A command as the programs' user, in a node's namespace.
    #[must_use]
    pub fn command(&self, node: Option<&Node>, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(space) = node.and_then(|n| self.network.namespace(n.number)) {
            words.extend(["ip", "netns", "exec"].map(Into::into));
            words.push(space.into());
        }
        if let Some(user) = &self.run_as {
            words.push("setpriv".into());
            words.extend(
                [
                    format!("--reuid={user}"),
                    format!("--regid={user}"),
                    "--init-groups".to_owned(),
                ]
                .map(Into::into),
            );
        }
        words.push(program.as_ref().into());
        let mut words = words.into_iter();
        let mut c = Command::new(words.next().unwrap_or_default());
        c.args(words)
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", search_path());
        c
    }

    /// A node by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes
            .iter()
            .find(|n| n.name == name)
            .with_context(|| format!("no node is called {name}"))
    }

    /// The authority that the nodes' certificates come from.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca/ca.crt")
    }
}

/// `deploy/values.env` with other values. A name it does not have is an error, so that the two cannot drift apart.
fn fill(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut left = values.clone();
    let mut text = String::new();
    for line in template.lines() {
        let name = line.split('=').next().unwrap_or_default();
        match left.remove(name) {
            Some(value) => writeln!(text, "{name}={value}")?,
            None => writeln!(text, "{line}")?,
        }
    }
    ensure!(
        left.is_empty(),
        "deploy/values.env does not have: {}",
        left.into_keys().collect::<Vec<_>>().join(", ")
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(values: &str) -> (std::process::Output, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("values.env");
        std::fs::write(&file, values).unwrap();
        let out = Command::new("sh")
            .arg(deploy().unwrap().join("render.sh"))
            .arg(&file)
            .arg("1")
            .arg(dir.path().join("out"))
            .output()
            .unwrap();
        (out, dir)
    }

    #[test]
    fn a_forgotten_value_is_named_and_nothing_is_written() {
        let template = std::fs::read_to_string(deploy().unwrap().join("values.env")).unwrap();
        let (out, dir) = render(&template);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2));
        assert!(words.contains("NODE1_ADDRESS still says CHANGE_ME"), "{words}");
        assert!(!dir.path().join("out").exists());

        let gone = template
            .replace("CHANGE_ME", "x")
            .replace("WRITE_PORT=5000\n", "");
        let (out, dir) = render(&gone);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2));
        assert!(words.contains("@WRITE_PORT@"), "{words}");
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn a_value_with_signs_of_sed_stays_as_it_is() {
        let template = std::fs::read_to_string(deploy().unwrap().join("values.env")).unwrap();
        let all = template
            .replace("BACKUP_PASSPHRASE=CHANGE_ME", r"BACKUP_PASSPHRASE=a|b&c\d/e=f")
            .replace("CHANGE_ME", "192.0.2.1");
        let (out, dir) = render(&all);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let conf = std::fs::read_to_string(dir.path().join("out/pgbackrest/pgbackrest.conf")).unwrap();
        assert!(conf.contains("repo1-cipher-pass=a|b&c\\d/e=f\n"), "{conf}");
    }

    #[test]
    fn a_value_that_deploy_does_not_know_is_an_error() {
        let values = BTreeMap::from([("NO_SUCH_NAME".to_owned(), "1".to_owned())]);
        let said = fill("A=1\n", &values).unwrap_err().to_string();
        assert!(said.contains("NO_SUCH_NAME"), "{said}");
    }
}
