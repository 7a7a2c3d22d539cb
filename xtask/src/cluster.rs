//! `cargo xtask cluster …`: the database cluster of `deploy/` on this machine, for drills.

use crate::packages;
use crate::run::{FEATURES, cargo, root, run, target_dir};
use anyhow::Result;

/// Builds the program of the cluster and hands the words over to it.
pub fn cluster(words: &[String]) -> Result<()> {
    packages::ensure_cluster()?;
    // the one feature set, or half of the tree is compiled again
    let mut c = cargo(&[
        "build",
        "--workspace",
        "--features",
        FEATURES,
        "--bin",
        "vitrine-cluster",
    ]);
    if words.iter().any(|w| w == "--servers") {
        c.args(["--bin", "vitrine-server", "--bin", "vitrine-cli"]);
    }
    // standard output may be the JSON of a command
    c.stdout(std::io::stderr());
    run(c)?;
    let bin = target_dir().join("debug");
    let program = bin.join(format!("vitrine-cluster{}", std::env::consts::EXE_SUFFIX));
    let mut c = std::process::Command::new(program);
    c.args(words)
        .env("VITRINE_CLUSTER_DIR", target_dir().join("cluster"))
        .env("VITRINE_BIN_DIR", &bin)
        .env("CARGO_MANIFEST_DIR", root().join("xtask"));
    run(c)
}
