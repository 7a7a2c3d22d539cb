//! Looks for planted words in everything a run has left on disk.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A planted word found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which word.
    pub word: String,
    /// In which file.
    pub file: PathBuf,
    /// At which byte.
    pub at: usize,
}

/// Reads every file below `folders` as raw bytes and looks for the words as UTF-8, as UTF-16LE, and reversed case.
/// Gives the hits and how many bytes were read.
///
/// # Errors
/// When a file cannot be read.
pub fn scan(folders: &[&Path], words: &[&str]) -> Result<(Vec<Hit>, u64)> {
    let patterns: Vec<(&str, Vec<u8>)> = words
        .iter()
        .flat_map(|w| {
            let utf16 = w.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [
                (*w, w.as_bytes().to_vec()),
                (*w, w.to_uppercase().into_bytes()),
                (*w, utf16),
            ]
        })
        .collect();
    let mut hits = Vec::new();
    let mut bytes = 0;
    let mut todo: Vec<PathBuf> = folders.iter().map(|p| p.to_path_buf()).collect();
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
        if meta.is_dir() {
            for e in std::fs::read_dir(&path)? {
                todo.push(e?.path());
            }
        } else if meta.is_file() {
            let content = std::fs::read(&path)?;
            bytes += content.len() as u64;
            for (word, pattern) in &patterns {
                if let Some(at) = find(&content, pattern) {
                    hits.push(Hit {
                        word: (*word).to_owned(),
                        file: path.clone(),
                        at,
                    });
                }
            }
        }
    }
    Ok((hits, bytes))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(i) = haystack.get(from..)?.iter().position(|b| *b == first) {
        let at = from + i;
        if haystack.get(at..at + needle.len()) == Some(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_word_is_found_in_every_spelling() {
        let dir = tempfile::tempdir().expect("dir");
        for (name, bytes) in [
            ("a", b"..Zanzibar..".to_vec()),
            ("b", b"..ZANZIBAR..".to_vec()),
            (
                "c",
                "Zanzibar".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            ),
        ] {
            std::fs::write(dir.path().join(name), bytes).expect("write");
        }
        std::fs::write(dir.path().join("clean"), b"Zanziba r").expect("write");
        let (hits, _) = scan(&[dir.path()], &["Zanzibar"]).expect("scan");
        assert_eq!(hits.len(), 3, "{hits:?}");
    }
}
