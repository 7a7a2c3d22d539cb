//! Finding the corpora.

use std::path::{Path, PathBuf};

/// A file: its path below the data folder and its bytes.
pub struct Sample {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// The data folder beside the repository; `None` (after saying so) where it is absent outside CI.
pub fn data() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data"))
        .find(|dir| dir.join("MANIFEST.md").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data beside the repository");
    }
    found
}

/// All `.json` files below a folder of the corpora, sorted.
pub fn json_below(root: &Path, folder: &str) -> Vec<Sample> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "json") {
                found.push(path);
            }
        }
    }
    found.sort();
    let below = |p: &Path| p.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let samples: Vec<Sample> = found
        .iter()
        .map(|p| Sample {
            path: below(p),
            bytes: std::fs::read(p).unwrap(),
        })
        .collect();
    assert!(!samples.is_empty(), "{folder} holds no JSON");
    samples
}
