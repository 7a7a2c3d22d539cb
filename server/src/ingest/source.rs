//! Files on their way in: found, unpacked, taken apart into units.
//!
//! Lives here: walking folders, gzip and zstd, NDJSON lines, telling what is not FHIR. Never here: checking resources.
//! Called by `import`.

use crate::error::Fault;
use bytes::Bytes;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest file after unpacking, in bytes.
const MOST: u64 = 1 << 30;
/// NDJSON lines are taken so many at a time.
pub const LINES: usize = 200;

/// One thing to take in.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Where it lies: the file's path as given, and the line.
    pub location: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// All files under the given paths, in a stable order.
///
/// # Errors
/// [`Fault`] for a path that is not there.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let mut out = Vec::new();
    for path in paths {
        walk(path, &mut out)?;
    }
    Ok(out)
}

fn walk(path: &Path, out: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let meta = std::fs::metadata(path).map_err(|e| {
        Fault::usage(format!(
            "{} cannot be read ({e}): name files or folders with FHIR JSON, HL7 v2 or DICOM",
            path.display()
        ))
    })?;
    if meta.is_file() {
        out.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|e| Fault::io("cannot list", path, &e))?;
    let mut inside: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    inside.sort();
    for p in inside {
        let hidden = p
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if !hidden {
            walk(&p, out)?;
        }
    }
    Ok(())
}

/// What is not FHIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Hl7v2,
    Dicom,
}

/// Whether a file holds HL7 v2, by its name or its beginning.
#[must_use]
pub fn is_hl7(path: &Path) -> bool {
    format(path) == Some(Format::Hl7v2)
}

/// Whether bytes that came under a name are HL7 v2.
#[must_use]
pub fn are_hl7(name: &str, bytes: &[u8]) -> bool {
    let begins = |with: &[u8]| bytes.starts_with(with);
    name.to_ascii_lowercase().ends_with(".hl7")
        || begins(b"MSH|")
        || begins(b"\x0bMSH|")
        || begins(b"FHS|")
        || begins(b"BHS|")
}

/// Whether a file is an image, by its name or its beginning.
#[must_use]
pub fn is_dicom(path: &Path) -> bool {
    format(path) == Some(Format::Dicom)
}

fn format(path: &Path) -> Option<Format> {
    let ext = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match ext.as_deref() {
        Some("hl7") => return Some(Format::Hl7v2),
        Some("dcm" | "dicom") => return Some(Format::Dicom),
        Some("json" | "ndjson" | "gz" | "zst") => return None,
        _ => {}
    }
    let mut head = [0; 132];
    let mut file = std::fs::File::open(path).ok()?;
    let n = file.read(&mut head).ok()?;
    match head.get(..n)? {
        h if h.get(128..132) == Some(b"DICM") => Some(Format::Dicom),
        h if are_hl7("", h) => Some(Format::Hl7v2),
        _ => None,
    }
}

/// Unpacks a file and hands its units on: one per JSON file, up to [`LINES`] lines at a time for NDJSON.
///
/// # Errors
/// What could not be unpacked; the units before it were handed on.
pub fn units(path: &Path, mut each: impl FnMut(Vec<Unit>)) -> Result<(), String> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    unpack(&name, file, &mut each)
}

/// The same for bytes that came over the network under a name.
///
/// # Errors
/// As [`units`].
pub fn units_of(name: &str, bytes: &[u8], mut each: impl FnMut(Vec<Unit>)) -> Result<(), String> {
    unpack(name, bytes, &mut each)
}

fn unpack(name: &str, raw: impl Read, each: &mut dyn FnMut(Vec<Unit>)) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let (inner, reader): (&str, Box<dyn Read + '_>) = if let Some(inner) = lower.strip_suffix(".gz") {
        (
            inner,
            Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(raw))),
        )
    } else if let Some(inner) = lower.strip_suffix(".zst") {
        (
            inner,
            Box::new(zstd::Decoder::new(raw).map_err(|e| format!("not zstd: {e}"))?),
        )
    } else {
        (lower.as_str(), Box::new(raw))
    };
    let mut reader = BufReader::new(reader.take(MOST + 1));
    if inner.ends_with(".ndjson") {
        return lines(name, &mut reader, each);
    }
    let mut all = Vec::new();
    reader
        .read_to_end(&mut all)
        .map_err(|e| format!("cannot be unpacked: {e}"))?;
    if all.len() as u64 > MOST {
        return Err("larger than 1 GiB after unpacking: split it".to_owned());
    }
    each(vec![Unit {
        location: name.to_owned(),
        bytes: without_mark(all),
    }]);
    Ok(())
}

/// Files written on Windows may begin with a byte order mark, which a reader may ignore (RFC 8259 §8.1).
fn without_mark(bytes: Vec<u8>) -> Bytes {
    let bytes = Bytes::from(bytes);
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.slice(3..)
    } else {
        bytes
    }
}

fn lines(name: &str, reader: &mut dyn BufRead, each: &mut dyn FnMut(Vec<Unit>)) -> Result<(), String> {
    let mut some = Vec::with_capacity(LINES);
    for number in 1_u64.. {
        let mut line = Vec::new();
        let n = reader
            .read_until(b'\n', &mut line)
            .map_err(|e| format!("line {number}: cannot be unpacked: {e}"))?;
        if n == 0 {
            break;
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            some.push(Unit {
                location: format!("{name}:{number}"),
                bytes: without_mark(line),
            });
        }
        if some.len() == LINES {
            each(std::mem::take(&mut some));
        }
    }
    if !some.is_empty() {
        each(some);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_files_and_packed_files_come_out_as_units() {
        let t = tempfile::tempdir().unwrap();
        let p = |n: &str| t.path().join(n);
        std::fs::write(p("a.json"), b"{}").unwrap();
        std::fs::write(p("b.ndjson"), b"{\"a\":1}\n\n{\"b\":2}\n").unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"{\"c\":3}\n").unwrap();
        std::fs::write(p("c.ndjson.gz"), gz.finish().unwrap()).unwrap();
        std::fs::write(p("d.json.zst"), zstd::encode_all(b"{}".as_slice(), 1).unwrap()).unwrap();
        std::fs::write(p(".hidden"), b"x").unwrap();
        let found = files(&[t.path().to_owned()]).unwrap();
        let mut got = Vec::new();
        for f in &found {
            units(f, |u| {
                got.extend(
                    u.into_iter()
                        .map(|u| (u.location.rsplit('/').next().unwrap().to_owned(), u.bytes.len())),
                )
            })
            .unwrap();
        }
        let want = [
            ("a.json", 2),
            ("b.ndjson:1", 8),
            ("b.ndjson:3", 8),
            ("c.ndjson.gz:1", 8),
            ("d.json.zst", 2),
        ];
        assert_eq!(got, want.map(|(n, l)| (n.to_owned(), l)));
        std::fs::write(p("e.gz"), b"not gzip").unwrap();
        assert!(units(&p("e.gz"), |_| {}).is_err());
    }

    #[test]
    fn messages_and_images_are_known_by_name_and_by_content() {
        let t = tempfile::tempdir().unwrap();
        for (name, bytes, hl7, image) in [
            ("a.hl7", &b"MSH|"[..], true, false),
            ("b", b"MSH|^~\\&|", true, false),
            ("e", b"\x0bMSH|^~\\&|", true, false),
            ("f", b"FHS|^~\\&|", true, false),
            ("c.dcm", b"x", false, true),
            ("d", &[&[0_u8; 128][..], b"DICM"].concat(), false, true),
            ("g.json", b"{}", false, false),
            ("h", b"{}", false, false),
        ] {
            let path = t.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let found = files(&[path]).unwrap();
            assert_eq!((is_hl7(&found[0]), is_dicom(&found[0])), (hl7, image), "{name}");
        }
        assert!(files(&[t.path().join("nowhere")]).is_err());
    }
}
