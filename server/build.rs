//! Puts the built files of the web console (`ui/dist-console`) into the program. Where they were not built, the program says
//! so instead of showing a page; the build goes on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../ui/dist-console");
    // Cargo takes a watched folder that is not there for one that changed, and would build the server anew each time.
    let _ = std::fs::create_dir_all(&dist);
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    walk(&dist, &mut files);
    files.sort();
    let mut out =
        String::from("/// The files of the console: path, bytes.\npub static FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.strip_prefix(&dist).unwrap_or(&file);
        let name = name.to_string_lossy().replace('\\', "/");
        let from = file.canonicalize().unwrap_or(file);
        let _ = writeln!(
            out,
            "    ({name:?}, include_bytes!({:?})),",
            from.to_string_lossy()
        );
    }
    out.push_str("];\n");
    let to = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("console_files.rs");
    if let Err(e) = std::fs::write(&to, out) {
        println!("cargo::error={}: {e}", to.display());
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}
