//! Backups of the running cluster: made, checked, restored to a moment beside it.

use crate::cluster::Cluster;
use crate::layout::Node;
use crate::process::{Process, output, signal, start, wait_gone};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A PostgreSQL that was restored to a moment, and takes part in nothing. Ended when dropped.
pub struct Restored {
    process: Process,
    folder: PathBuf,
    node: Node,
    /// From the call until it answered, seconds.
    pub seconds: f64,
}

impl Cluster {
    /// Makes a backup of a kind (`full`, `diff`, `incr`) and reads the repository through, as the nightly job does.
    ///
    /// # Errors
    /// When one of them fails: with its words.
    pub async fn back_up(&self, kind: &str) -> Result<String> {
        let node = self.layout.node(&self.leader().await?)?;
        let mut c = self
            .layout
            .command(Some(node), node.folder.join("conf/pgbackrest/backup.sh"));
        c.arg(kind);
        output(c)
    }

    /// Reads the repository through.
    ///
    /// # Errors
    /// When a file is missing or is not what was written: with which.
    pub async fn verify_backup(&self) -> Result<String> {
        let node = self.layout.node(&self.leader().await?)?;
        output(
            self.layout
                .command(Some(node), node.folder.join("conf/pgbackrest/verify.py")),
        )
    }

    /// Ends the current WAL segment and waits until it is in the repository.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn archive_now(&self) -> Result<()> {
        let node = self.layout.node(&self.leader().await?)?;
        self.pgbackrest(node, &["check"]).map(drop)
    }

    /// Runs SQL as the superuser over a node's socket; rows are lines, fields are parted by `|`.
    ///
    /// # Errors
    /// When it fails.
    pub fn sql(&self, node: &Node, database: &str, sql: &str) -> Result<String> {
        self.psql(node, &node.folder.join("run"), node.pg, database, sql)
    }

    fn psql(
        &self,
        node: &Node,
        sockets: &std::path::Path,
        port: u16,
        database: &str,
        sql: &str,
    ) -> Result<String> {
        let mut c = self.layout.command(Some(node), self.layout.pg_bin.join("psql"));
        c.args([
            "--no-psqlrc",
            "-v",
            "ON_ERROR_STOP=1",
            "-Atq",
            "-U",
            "postgres",
            "-h",
        ])
        .arg(sockets)
        .args(["-p", &port.to_string(), "-d", database, "-c", sql]);
        output(c)
    }

    /// Restores the state of `moment` (as PostgreSQL writes a time) into a folder of its own.
    ///
    /// # Errors
    /// When the repository does not hold it.
    pub async fn restore_at(&self, moment: &str) -> Result<Restored> {
        let begun = Instant::now();
        let node = self.layout.node(&self.leader().await?)?.clone();
        let folder = self.layout.folder.join("restore");
        let data = folder.join("data");
        let mut c = self.layout.command(None, "mkdir");
        c.arg("-m").arg("700").arg(&data);
        output(c)?;
        let pg1 = format!("--pg1-path={}", data.display());
        self.pgbackrest(
            &node,
            &[
                &pg1,
                "--type=time",
                &format!("--target={moment}"),
                "--target-action=promote",
                // or the restored one would write into the repository it came from
                "--archive-mode=off",
                "restore",
            ],
        )?;
        let mut c = self
            .layout
            .command(Some(&node), self.layout.pg_bin.join("postgres"));
        c.arg("-D").arg(&data).args([
            "-c",
            "listen_addresses=",
            "-c",
            "ssl=off",
            "-c",
            "synchronous_standby_names=",
            "-c",
            &format!("unix_socket_directories={}", folder.display()),
        ]);
        let process = start("restored postgres", c, &self.layout.folder.join("restore.log"))?;
        let mut restored = Restored {
            process,
            folder,
            node,
            seconds: 0.0,
        };
        let until = Instant::now() + Duration::from_secs(120);
        while restored
            .sql(self, "postgres", "SELECT pg_is_in_recovery()")
            .map_or(true, |a| a.trim() != "f")
        {
            if !restored.process.alive() || Instant::now() > until {
                let log = std::fs::read_to_string(self.layout.folder.join("restore.log")).unwrap_or_default();
                bail!("the restored PostgreSQL does not come up: {log}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        restored.seconds = begun.elapsed().as_secs_f64();
        Ok(restored)
    }
}

impl Restored {
    /// Runs SQL in it.
    ///
    /// # Errors
    /// When it fails.
    pub fn sql(&self, cluster: &Cluster, database: &str, sql: &str) -> Result<String> {
        cluster.psql(&self.node, &self.folder, self.node.pg, database, sql)
    }

    /// Ends and removes it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn remove(self) -> Result<()> {
        let tree = self.process.tree();
        signal(&tree, "KILL")?;
        let left = wait_gone(&tree, Duration::from_secs(10));
        ensure!(left.is_empty(), "these did not end: {left:?}");
        let data = self.folder.join("data");
        std::fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = signal(&self.process.tree(), "KILL");
    }
}
