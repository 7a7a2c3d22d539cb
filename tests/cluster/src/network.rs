//! How the three database machines are joined: each in a network namespace of its own behind a switch whose ports can be
//! taken down, or, without the right to make namespaces, all on loopback.

use crate::process::output;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::process::Command;

/// The network between the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// All on 127.0.0.1, told apart by ports.
    Loopback,
    /// A namespace a node: addresses 198.18.SUBNET.1 to .3 (a range set aside for tests of networks), reachable from
    /// this machine alone.
    Namespaces {
        /// The beginning of every name.
        tag: String,
        /// The third number of the addresses.
        subnet: u8,
    },
}

/// Which network is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// Namespaces where they can be made, else loopback.
    Auto,
    /// Namespaces, or an error.
    Namespaces,
    /// Loopback.
    Loopback,
}

fn ip(args: &[&str]) -> Result<String> {
    let mut c = Command::new("ip");
    c.args(args).env("PATH", crate::layout::search_path());
    output(c)
}

impl Network {
    /// Makes the network.
    ///
    /// # Errors
    /// When namespaces are wanted and cannot be made.
    pub fn make(wanted: Wanted) -> Result<Self> {
        if wanted == Wanted::Loopback {
            return Ok(Self::Loopback);
        }
        let random = crate::layout::random_hex(3)?;
        let tag = format!("vt{random}");
        let taken = ip(&["-4", "addr"]).unwrap_or_default();
        let start = u8::from_str_radix(random.get(..2).unwrap_or("1"), 16).unwrap_or(1);
        let subnet = (0..=u8::MAX)
            .map(|i| start.wrapping_add(i))
            .find(|n| !taken.contains(&format!("198.18.{n}.")))
            .unwrap_or(start);
        let network = Self::Namespaces { tag, subnet };
        match network.build() {
            Ok(()) => Ok(network),
            Err(e) => {
                network.remove();
                if wanted == Wanted::Namespaces {
                    bail!(
                        "network namespaces cannot be made here (root and CAP_NET_ADMIN are needed): {e:#}"
                    );
                }
                eprintln!("no network namespaces here, so all nodes are on loopback: {e:#}");
                Ok(Self::Loopback)
            }
        }
    }

    fn build(&self) -> Result<()> {
        let Self::Namespaces { tag, subnet } = self else {
            return Ok(());
        };
        let switch = format!("{tag}-switch");
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        for node in 1..=3_u8 {
            let (space, port) = (self.namespace(node).unwrap_or_default(), format!("port{node}"));
            ip(&["netns", "add", &space])?;
            ip(&[
                "link", "add", &port, "netns", &switch, "type", "veth", "peer", "name", "eth0", "netns",
                &space,
            ])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"])?;
            let address = format!("198.18.{subnet}.{node}/24");
            ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "link", "add", tag, "type", "veth", "peer", "name", "here", "netns", &switch,
        ])?;
        ip(&["-n", &switch, "link", "set", "here", "master", "bridge", "up"])?;
        ip(&["addr", "add", &format!("198.18.{subnet}.254/24"), "dev", tag])?;
        ip(&["link", "set", tag, "up"])?;
        Ok(())
    }

    /// The namespace of a node (1 to 3).
    #[must_use]
    pub fn namespace(&self, node: u8) -> Option<String> {
        match self {
            Self::Loopback => None,
            Self::Namespaces { tag, .. } => Some(format!("{tag}-db{node}")),
        }
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, node: u8) -> String {
        match self {
            Self::Loopback => "127.0.0.1".to_owned(),
            Self::Namespaces { subnet, .. } => format!("198.18.{subnet}.{node}"),
        }
    }

    /// What clients of PostgreSQL may come from.
    #[must_use]
    pub fn clients(&self) -> String {
        match self {
            Self::Loopback => "127.0.0.0/8".to_owned(),
            Self::Namespaces { subnet, .. } => format!("198.18.{subnet}.0/24"),
        }
    }

    /// Takes the switch's port of a node down or up. On loopback there is none: gives false.
    ///
    /// # Errors
    /// When the port is not there.
    pub fn port(&self, node: u8, up: bool) -> Result<bool> {
        let Self::Namespaces { tag, .. } = self else {
            return Ok(false);
        };
        let (switch, port) = (format!("{tag}-switch"), format!("port{node}"));
        ip(&[
            "-n",
            &switch,
            "link",
            "set",
            &port,
            if up { "up" } else { "down" },
        ])?;
        Ok(true)
    }

    /// Removes what was made. What is already gone is no fault.
    pub fn remove(&self) {
        let Self::Namespaces { tag, .. } = self else {
            return;
        };
        let _ = ip(&["link", "del", tag]);
        for space in [
            format!("{tag}-db1"),
            format!("{tag}-db2"),
            format!("{tag}-db3"),
            format!("{tag}-switch"),
        ] {
            let _ = ip(&["netns", "del", &space]);
        }
    }
}
