//! Canaries: words that occur nowhere else, planted through the real ways in, and the search for them in every byte of a disk or of a
//! process's memory.
//!
//! A canary is looked for as text (any case), as UTF-16 in both orders, as hex, percent-encoded, and inside Base64 at each of its
//! three alignments. What is read is read as bytes: no file is too odd, no part of it is skipped.

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Letters of a canary: 26^16 are enough to meet none by chance in a terabyte.
const LETTERS: usize = 16;
/// Bytes read at a time.
const CHUNK: usize = 8 << 20;
/// Longer than the longest form of a canary: what crosses two chunks is found too.
const OVERLAP: usize = 256;

/// `n` different canaries, of lower-case letters.
///
/// # Errors
/// Without random numbers.
pub fn draw(n: usize) -> Result<Vec<String>> {
    let mut all = BTreeSet::new();
    while all.len() < n {
        let bytes: [u8; LETTERS] = vitrine_engine::entropy::bytes()?;
        all.insert(bytes.iter().map(|b| char::from(b'a' + b % 26)).collect());
    }
    let mut drawn: Vec<String> = all.into_iter().collect();
    // Not in order: neighbours in the alphabet are no neighbours in the record.
    drawn.sort_by_key(|w| w.bytes().rev().collect::<Vec<u8>>());
    Ok(drawn)
}

/// A canary that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which.
    pub canary: String,
    /// As what: `utf-8`, `utf-16le`, `utf-16be`, `hex`, `percent`, `base64`, `name` (of a file), or what [`Finder::and`] was told.
    pub form: String,
    /// Where.
    pub file: PathBuf,
    /// At which byte.
    pub at: u64,
}

/// Finds canaries.
pub struct Finder {
    automaton: AhoCorasick,
    /// Canary and form of each pattern.
    patterns: Vec<(String, String)>,
}

/// What was found in how many bytes.
#[derive(Debug, Default)]
pub struct Found {
    /// Each canary in each form, at the first place of each file.
    pub hits: Vec<Hit>,
    /// Bytes looked at.
    pub bytes: u64,
    /// Files looked at.
    pub files: u64,
}

impl Found {
    /// The canaries that were found in any form.
    #[must_use]
    pub fn canaries(&self) -> BTreeSet<&str> {
        self.hits.iter().map(|h| h.canary.as_str()).collect()
    }

    /// How often each form was found, and an example of each, for a person who reads a failed test.
    #[must_use]
    pub fn told(&self) -> String {
        let mut forms: BTreeMap<(&str, String), (u32, &Hit)> = BTreeMap::new();
        for hit in &self.hits {
            let name = hit
                .file
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            forms.entry((&hit.form, name)).or_insert((0, hit)).0 += 1;
        }
        let lines = forms.iter().map(|((form, name), (n, hit))| {
            format!("{n} as {form} in {name}, first {} at {}", hit.canary, hit.at)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn forms(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("utf-8", word.as_bytes().to_vec()),
        (
            "utf-16le",
            word.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        (
            "utf-16be",
            word.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
    ];
    let title = word[..1].to_uppercase() + &word[1..];
    for cased in [word.to_owned(), word.to_uppercase(), title] {
        let hex: String = cased.bytes().map(|b| format!("{b:02x}")).collect();
        forms.push(("hex", hex.into_bytes()));
        let percent: String = cased.bytes().map(|b| format!("%{b:02x}")).collect();
        forms.push(("percent", percent.into_bytes()));
        for before in 0..3 {
            forms.push(("base64", base64_inside(cased.as_bytes(), before)));
        }
    }
    forms
}

/// The part of the Base64 of a longer text that follows from these bytes alone, when so many (mod 3) stand before them.
fn base64_inside(bytes: &[u8], before: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
    let bits = bytes.len() * 8;
    // The first letter that begins within these bytes.
    let first = (before * 8).next_multiple_of(6) - before * 8;
    (0..(bits - first) / 6)
        .map(|letter| {
            let value = (0..6).fold(0_u8, |v, n| v << 1 | bit(first + letter * 6 + n));
            ALPHABET[usize::from(value)]
        })
        .collect()
}

impl Finder {
    /// Of these canaries.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(canaries: &[String]) -> Result<Self> {
        let all = canaries.iter().flat_map(|c| {
            forms(c)
                .into_iter()
                .map(|(form, bytes)| (c.clone(), form.to_owned(), bytes))
        });
        Self::of(all.collect())
    }

    /// Of these canaries and of secrets as they are: name, form, bytes.
    ///
    /// # Errors
    /// When there are too many.
    pub fn and(canaries: &[String], secrets: Vec<(String, String, Vec<u8>)>) -> Result<Self> {
        let mut all: Vec<_> = canaries
            .iter()
            .flat_map(|c| {
                forms(c)
                    .into_iter()
                    .map(|(form, bytes)| (c.clone(), form.to_owned(), bytes))
            })
            .collect();
        all.extend(secrets);
        Self::of(all)
    }

    fn of(all: Vec<(String, String, Vec<u8>)>) -> Result<Self> {
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(all.iter().map(|(_, _, bytes)| bytes))
            .context("building the search")?;
        Ok(Self {
            automaton,
            patterns: all.into_iter().map(|(c, form, _)| (c, form)).collect(),
        })
    }

    /// Looks into bytes that begin at `at` of what `file` names; each canary in each form is told once for each `seen`.
    pub fn bytes(&self, bytes: &[u8], file: &Path, at: u64, seen: &mut BTreeSet<usize>, found: &mut Found) {
        for m in self.automaton.find_overlapping_iter(bytes) {
            let pattern = m.pattern().as_usize();
            if seen.insert(pattern) {
                let (canary, form) = &self.patterns[pattern];
                found.hits.push(Hit {
                    canary: canary.clone(),
                    form: form.clone(),
                    file: file.to_owned(),
                    at: at + m.start() as u64,
                });
            }
        }
    }

    /// Looks into a file to its last byte.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &Path, found: &mut Found) -> Result<()> {
        let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
        let nothing = vec![0; CHUNK + OVERLAP];
        let mut buffer = vec![0; CHUNK + OVERLAP];
        let (mut kept, mut begins) = (0, 0_u64);
        let mut seen = BTreeSet::new();
        loop {
            let got = read_full(&mut file, &mut buffer[kept..])?;
            found.bytes += got as u64;
            let part = &buffer[..kept + got];
            if *part != nothing[..part.len()] {
                self.bytes(part, path, begins, &mut seen, found);
            }
            if kept + got < buffer.len() {
                break;
            }
            begins += (buffer.len() - OVERLAP) as u64;
            buffer.copy_within(CHUNK.., 0);
            kept = OVERLAP;
        }
        found.files += 1;
        Ok(())
    }

    /// Looks into every file below a folder, and at every name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn below(&self, folder: &Path, found: &mut Found) -> Result<()> {
        let mut todo = vec![folder.to_owned()];
        while let Some(path) = todo.pop() {
            if path != folder
                && let Some(name) = path.file_name()
            {
                for m in self.automaton.find_overlapping_iter(name.as_encoded_bytes()) {
                    found.hits.push(Hit {
                        canary: self.patterns[m.pattern().as_usize()].0.clone(),
                        form: "name".to_owned(),
                        file: path.clone(),
                        at: 0,
                    });
                }
            }
            let meta = std::fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
            if meta.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    todo.push(entry?.path());
                }
            } else if meta.is_file() {
                self.file(&path, found)?;
            }
        }
        Ok(())
    }
}

fn read_full(file: &mut std::fs::File, buffer: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_canary_is_found_in_every_form_at_every_place() {
        let canaries = draw(50).unwrap();
        let finder = Finder::new(&canaries).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let word = &canaries[7];
        let title = word[..1].to_uppercase() + &word[1..];
        let mut wanted: Vec<(String, &str, Vec<u8>)> = Vec::new();
        for (cased, text) in [
            ("lower", word.clone()),
            ("upper", word.to_uppercase()),
            ("title", title),
        ] {
            let mut add = |form, bytes| wanted.push((format!("{form}-{cased}"), form, bytes));
            add("utf-8", text.clone().into_bytes());
            add(
                "utf-16le",
                text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            );
            add(
                "utf-16be",
                text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            );
            add(
                "hex",
                text.bytes()
                    .flat_map(|b| format!("{b:02X}").into_bytes())
                    .collect(),
            );
            add(
                "percent",
                text.bytes()
                    .flat_map(|b| format!("%{b:02X}").into_bytes())
                    .collect(),
            );
        }
        for before in 0..6 {
            for after in 0..3 {
                let text = format!("{}{word}{}", &"Na: 12"[..before], &"...."[..after]);
                let coded = base64::engine::general_purpose::STANDARD.encode(text);
                wanted.push((format!("base64-{before}-{after}"), "base64", coded.into_bytes()));
            }
        }
        // In the middle of a small file, and over the border of two chunks of a large one.
        for (name, form, bytes) in &wanted {
            for (place, before) in [("small", 100), ("border", CHUNK + OVERLAP - 20)] {
                let path = dir.path().join(format!("{place}-{name}"));
                let mut content = vec![7; before];
                content.extend_from_slice(bytes);
                content.extend_from_slice(&[9; 50]);
                std::fs::write(&path, content).unwrap();
                let mut found = Found::default();
                finder.file(&path, &mut found).unwrap();
                let forms: BTreeSet<&str> = found.hits.iter().map(|h| h.form.as_str()).collect();
                assert!(forms.contains(form), "{place} {name}: {:?}", found.hits);
                assert_eq!(found.canaries().into_iter().collect::<Vec<_>>(), [word.as_str()]);
                std::fs::remove_file(&path).unwrap();
            }
        }
        let mut near = word.clone();
        near.replace_range(3..4, "-");
        std::fs::write(dir.path().join("near"), near).unwrap();
        std::fs::write(dir.path().join(format!("of-{word}.dcm")), b"x").unwrap();
        let mut found = Found::default();
        finder.below(dir.path(), &mut found).unwrap();
        let hits: Vec<&str> = found.hits.iter().map(|h| h.form.as_str()).collect();
        assert_eq!((hits, found.files), (vec!["name"], 2));
    }
}
