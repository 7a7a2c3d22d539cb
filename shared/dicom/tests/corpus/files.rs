//! Finding the corpus and reading its catalogue.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A line of `catalogue.csv`, by the names of its columns.
pub type Line = BTreeMap<String, String>;

/// The folder of the DICOM corpus beside the repository; `None` (after saying so) where it is absent outside CI.
pub fn data() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data/dicom"))
        .find(|dir| dir.join("catalogue.csv").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data/dicom beside the repository");
    }
    found
}

/// A field may be quoted, and a quote in it doubled.
fn fields(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                out.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => out.last_mut().unwrap().push(c),
        }
    }
    out
}

/// The catalogue: what an independent reader (pydicom) saw in each file.
pub fn catalogue(data: &std::path::Path) -> Vec<Line> {
    let text = std::fs::read_to_string(data.join("catalogue.csv")).unwrap();
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap());
    let lines: Vec<Line> = lines
        .filter(|l| !l.is_empty())
        .map(|l| names.iter().cloned().zip(fields(l)).collect())
        .collect();
    assert!(lines.len() > 350, "{} lines", lines.len());
    lines
}
