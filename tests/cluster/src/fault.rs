//! The ways in which a primary goes.

use crate::cluster::Cluster;
use crate::layout::Node;
use crate::network::Network;
use crate::process::signal;
use anyhow::Result;
use serde::Serialize;

/// A fault of the whole machine: PostgreSQL, Patroni and the etcd member on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Every process ended by SIGKILL: power lost.
    Kill,
    /// Every process stopped by SIGSTOP: the machine hangs, its sockets stay open; later it goes on where it was.
    Stop,
    /// No packet in or out; the processes go on and do not know.
    Cut,
}

impl Fault {
    /// In the order in which a drill takes them.
    pub const ROTATION: [Self; 3] = [Self::Kill, Self::Stop, Self::Cut];

    /// What it does here, in words, for the report.
    #[must_use]
    pub fn words(self, network: &Network) -> &'static str {
        match (self, network) {
            (Self::Kill, _) => "SIGKILL to PostgreSQL, Patroni and etcd of the machine",
            (Self::Stop, _) => "SIGSTOP to PostgreSQL, Patroni and etcd of the machine",
            (Self::Cut, Network::Namespaces { .. }) => "the machine's port at the switch is taken down",
            (Self::Cut, Network::Loopback) => {
                "no namespaces here: SIGSTOP to Patroni and etcd alone; PostgreSQL goes on as a primary nobody renews"
            }
        }
    }

    /// Strikes.
    ///
    /// # Errors
    /// When the fault cannot be planted.
    pub fn strike(self, cluster: &Cluster, node: &Node) -> Result<()> {
        match self {
            Self::Kill => signal(&cluster.everything_of(node), "KILL"),
            Self::Stop => {
                // whatever was started between the look and the signal is caught by the second look
                signal(&cluster.everything_of(node), "STOP")?;
                signal(&cluster.everything_of(node), "STOP")
            }
            Self::Cut => {
                if !cluster.layout.network.port(node.number, false)? {
                    signal(&cluster.agents_of(node), "STOP")?;
                }
                Ok(())
            }
        }
    }

    /// Ends the fault: the machine is powered up, goes on, is plugged in again.
    ///
    /// # Errors
    /// When a program cannot be started.
    pub fn heal(self, cluster: &mut Cluster, node: &Node) -> Result<()> {
        match self {
            Self::Kill => cluster.start_node(node),
            Self::Stop => signal(&cluster.everything_of(node), "CONT"),
            Self::Cut => {
                if !cluster.layout.network.port(node.number, true)? {
                    signal(&cluster.agents_of(node), "CONT")?;
                }
                Ok(())
            }
        }
    }
}
