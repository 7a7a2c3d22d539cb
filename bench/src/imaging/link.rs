//! A network of its own for the bench: loopback with Ethernet's packets, and a rate.

use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};

/// A rate the loopback is held to.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// In the names of metrics.
    pub name: &'static str,
    /// Bits a second.
    pub bits: u64,
    /// Bytes that may go at once: what the kernel's timer needs at that rate.
    burst: &'static str,
}

/// A ward's socket, and a wired office.
pub const LINKS: [Link; 2] = [
    Link {
        name: "1g",
        bits: 1_000_000_000,
        burst: "512kb",
    },
    Link {
        name: "100m",
        bits: 100_000_000,
        burst: "64kb",
    },
];

impl Link {
    /// Milliseconds these bytes need at least.
    pub fn ms(self, bytes: u64) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let bits = (bytes * 8) as f64;
        #[allow(clippy::cast_precision_loss)]
        let rate = self.bits as f64;
        bits / rate * 1000.0
    }
}

/// This program again, in a network namespace that ends with it. Without root it becomes root of a user namespace.
pub fn apart(words: &[&str]) -> Result<Vec<u8>> {
    let mut c = Command::new("unshare");
    c.arg("--net");
    if !rustix::process::geteuid().is_root() {
        c.arg("--map-root-user");
    }
    c.arg(std::env::current_exe()?).args(words);
    let out = c
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("unshare (package util-linux)")?;
    ensure!(
        out.status.success(),
        "the bench in its own network: {}",
        out.status
    );
    Ok(out.stdout)
}

fn run(program: &str, words: &str) -> Result<()> {
    let out = Command::new(program)
        .args(words.split(' '))
        .output()
        .with_context(|| format!("{program} (package iproute2)"))?;
    ensure!(
        out.status.success(),
        "{program} {words}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// Brings the loopback up; packets as large as Ethernet's.
pub fn up() -> Result<()> {
    run("ip", "link set lo mtu 1500 up")
}

/// Holds it to a rate.
pub fn shape(link: Link) -> Result<()> {
    let rate = link.bits;
    run(
        "tc",
        &format!(
            "qdisc replace dev lo root tbf rate {rate}bit burst {} latency 50ms",
            link.burst
        ),
    )
}

/// As fast as it can again.
pub fn free() -> Result<()> {
    run("tc", "qdisc del dev lo root")
}
