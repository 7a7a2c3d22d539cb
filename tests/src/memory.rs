//! The search for canaries in the memory of a running process, page by page as the kernel has it.
//!
//! Never here: what is a canary (`canary.rs`). Needs the right to read the process, as root has it.

use crate::canary::{Finder, Found};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Bytes of a page, and of what is read at once.
const PAGE: u64 = 4_096;
const PIECE: u64 = 1 << 20;
/// Longer than the longest form of a canary.
const OVERLAP: u64 = 256;

/// One mapping of a process.
struct Mapping {
    from: u64,
    to: u64,
    /// Shared with others: what is in it may never have been touched by this process.
    shared: bool,
    /// What the kernel calls it; `anon` where it has no name.
    name: String,
}

/// The mappings that can hold what a program was given: all that can be written, and shared memory.
fn mappings(pid: u32) -> Result<Vec<Mapping>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        let name = words.skip(3).collect::<Vec<_>>().join(" ");
        // A file that is only read is on the disk already.
        let only_read = !rights.contains('w') && name.starts_with('/') && !name.starts_with("/memfd:");
        if !rights.starts_with('r') || only_read || name.starts_with("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').context("a range")?;
        all.push(Mapping {
            from: u64::from_str_radix(from, 16)?,
            to: u64::from_str_radix(to, 16)?,
            shared: rights.contains('s'),
            name: if name.is_empty() { "anon".to_owned() } else { name },
        });
    }
    Ok(all)
}

/// Looks into all of a process's memory that is there or in swap. A hit's file is `process/mapping`, its place the address. What ends
/// or moves meanwhile is passed over.
///
/// # Errors
/// When the process is not there, or may not be read.
pub fn look(finder: &Finder, pid: u32, process: &str, found: &mut Found) -> Result<()> {
    let memory =
        File::open(format!("/proc/{pid}/mem")).with_context(|| format!("the memory of {process}"))?;
    let pages = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut buffer = vec![0; (PIECE + OVERLAP) as usize];
    let mut table = vec![0; (PIECE / PAGE * 8) as usize];
    for Mapping {
        from,
        to,
        shared,
        name,
    } in mappings(pid)?
    {
        let label = PathBuf::from(process).join(name.trim_start_matches('/').replace('/', "|"));
        let mut seen = BTreeSet::new();
        let mut at = from;
        while at < to {
            let size = PIECE.min(to - at);
            let entries = &mut table[..(size / PAGE * 8) as usize];
            let known = !shared && pages.read_exact_at(entries, at / PAGE * 8).is_ok();
            // Bit 63: in memory, 62: in swap; both in the last byte of eight. Only those are read: a page that is read comes to be there.
            let there = |page: usize| !known || entries[page * 8 + 7] & 0xc0 != 0;
            let pages_here = (size / PAGE) as usize;
            let mut page = 0;
            while page < pages_here {
                let first = page;
                while page < pages_here && there(page) {
                    page += 1;
                }
                if page == first {
                    page += 1;
                    continue;
                }
                let begins = at + first as u64 * PAGE;
                let ends = at + page as u64 * PAGE;
                let over = if page == pages_here {
                    OVERLAP.min(to - ends)
                } else {
                    0
                };
                let wanted = (ends - begins + over) as usize;
                if let Ok(got) = memory.read_at(&mut buffer[..wanted], begins) {
                    written(&buffer[..got], |from, part| {
                        finder.bytes(part, &label, begins + from as u64, &mut seen, found);
                    });
                    found.bytes += got as u64;
                }
            }
            at += size;
        }
    }
    found.files += 1;
    Ok(())
}

/// The runs of pages that are not all zero: most of what a program has reserved was never written.
fn written(bytes: &[u8], mut each: impl FnMut(usize, &[u8])) {
    let page = PAGE as usize;
    let nothing = [0; PAGE as usize];
    let mut begins = None;
    for (n, one) in bytes.chunks(page).enumerate() {
        let zero = *one == nothing[..one.len()];
        match (begins, zero) {
            (None, false) => begins = Some(n * page),
            (Some(from), true) => {
                each(from, &bytes[from..n * page]);
                begins = None;
            }
            _ => {}
        }
    }
    if let Some(from) = begins {
        each(from, &bytes[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::draw;
    use std::process::{Command, Stdio};

    #[test]
    fn what_another_process_was_given_is_found_and_nothing_else() {
        let canaries = draw(2).unwrap();
        let finder = Finder::new(&canaries).unwrap();
        let mut child = Command::new("cat")
            .env("GIVEN", &canaries[0])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut found = Found::default();
        let looked = look(&finder, child.id(), "cat", &mut found);
        child.kill().unwrap();
        child.wait().unwrap();
        looked.unwrap();
        assert!(
            found.canaries().into_iter().eq([canaries[0].as_str()]),
            "{}",
            found.told()
        );
        assert!(
            found.bytes > 0 && found.hits.iter().all(|h| h.file.starts_with("cat")),
            "{:?}",
            found.hits
        );
        assert!(look(&finder, child.id(), "cat", &mut found).is_err(), "it ended");
    }
}
