//! Other people's DICOM files, decoded, and compared with what other people's decoders make of them (`golden.tsv`, written
//! by `make.py`). The files lie beside the repository; in CI their absence is a failure.

mod mutations;

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use vitrine_codec::{Job, Plain, Refused, decode, job};
use vitrine_dicom::scan::{PixelData, scan};

fn data() -> Option<PathBuf> {
    let start = std::env::current_dir().unwrap();
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

fn files(data: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(data.join("catalogue.csv")).unwrap();
    let names = text.lines().skip(1).filter(|l| !l.is_empty());
    names.map(|l| l.split(',').next().unwrap().to_owned()).collect()
}

/// The job of each frame of a file, or why the file has none.
fn jobs(bytes: &[u8], most: u32) -> Result<Vec<Result<Job, Refused>>, String> {
    let scan = scan(&mut Cursor::new(bytes), bytes.len() as u64).map_err(|e| format!("scan: {e}"))?;
    if scan.pixel.is_none() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for n in 0..scan.frames().min(most) {
        let (frame, data) = match &scan.pixel {
            Some(PixelData::Deflated { offset, len, .. }) => {
                let mut all = Vec::new();
                // group 0002 begins with its length
                let meta = u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
                flate2::read::DeflateDecoder::new(&bytes[144 + meta..])
                    .read_to_end(&mut all)
                    .unwrap();
                assert_eq!(scan.frames(), 1);
                let from = *offset as usize;
                let frame = vitrine_dicom::scan::Frame {
                    ranges: Vec::new(),
                    first_bit: 0,
                };
                (frame, all[from..from + *len as usize].to_vec())
            }
            _ => {
                let frame = scan.frame(n).map_err(|e| format!("frame: {e}"))?;
                let ranges = frame.ranges.iter();
                let data = ranges.flat_map(|r| &bytes[r.start as usize..r.end as usize]);
                let data = data.copied().collect();
                (frame, data)
            }
        };
        out.push(job(&scan, &frame, data));
    }
    Ok(out)
}

fn first_job(bytes: &[u8]) -> Result<Option<Job>, String> {
    Ok(jobs(bytes, 1)?.into_iter().next().and_then(Result::ok))
}

/// For each transfer syntax: bytes of plain pixels, and the seconds that they took.
type Rates = BTreeMap<String, (u64, f64)>;

/// Every frame of a file, or why the file has none.
#[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn frames(bytes: &[u8], rates: &mut Rates) -> Result<Vec<Result<Plain, Refused>>, String> {
    let mut out = Vec::new();
    for job in jobs(bytes, u32::MAX)? {
        out.push(job.and_then(|job| {
            let began = std::time::Instant::now();
            let plain = decode(&job)?;
            let rate = rates.entry(job.syntax).or_default();
            rate.0 += plain.bytes.len() as u64;
            rate.1 += began.elapsed().as_secs_f64();
            Ok(plain)
        }));
    }
    Ok(out)
}

fn samples(plain: &Plain) -> Vec<i64> {
    let width = match plain.shape.bits {
        ..=8 => 1,
        9..=16 => 2,
        _ => 4,
    };
    let signed = plain.shape.signed;
    let one = |c: &[u8]| match (c, signed) {
        ([a], false) => i64::from(*a),
        ([a], true) => i64::from(a.cast_signed()),
        ([a, b], false) => u16::from_le_bytes([*a, *b]).into(),
        ([a, b], true) => i16::from_le_bytes([*a, *b]).into(),
        ([a, b, c, d], false) => u32::from_le_bytes([*a, *b, *c, *d]).into(),
        ([a, b, c, d], true) => i32::from_le_bytes([*a, *b, *c, *d]).into(),
        _ => unreachable!(),
    };
    plain.bytes.chunks_exact(width).map(one).collect()
}

fn compare(plain: &Plain, line: &[&str]) -> Result<(), String> {
    let shape = plain.shape;
    if line[0] == "sha" {
        let found = Sha256::digest(&plain.bytes)
            .iter()
            .fold(String::new(), |mut s, b| {
                write!(s, "{b:02x}").unwrap();
                s
            });
        return if found == line[1] {
            Ok(())
        } else {
            Err("other pixels".to_owned())
        };
    }
    let tolerance: i64 = line[1].parse().unwrap();
    let all = samples(plain);
    let (samples, columns, rows) = (
        shape.samples as usize,
        shape.columns as usize,
        shape.rows as usize,
    );
    let mut worst = 0;
    let mut probes = line[3].split(',').map(|v| v.parse::<i64>().unwrap());
    for i in 0..8 {
        for j in 0..8 {
            let at = (2 * i + 1) * rows / 16 * columns + (2 * j + 1) * columns / 16;
            for s in 0..samples {
                worst = worst.max((all[at * samples + s] - probes.next().unwrap()).abs());
            }
        }
    }
    let mut drift = 0.0f64;
    for (s, mean) in line[2].split(',').enumerate() {
        let sum: i64 = all.iter().skip(s).step_by(samples).sum();
        let own = sum as f64 / (columns * rows) as f64;
        drift = drift.max((own - mean.parse::<f64>().unwrap() / 100.0).abs());
    }
    if worst > tolerance || drift > 0.25 {
        return Err(format!("probes differ by {worst}, the mean by {drift:.2}"));
    }
    Ok(())
}

/// A file, then for each of its frames what the golden file says.
type Golden<'a> = BTreeMap<(&'a str, usize), Vec<&'a str>>;

#[test]
fn every_frame_is_what_other_decoders_make_of_it() {
    let Some(data) = data() else { return };
    let golden = include_str!("golden.tsv");
    let golden: Golden<'_> = golden
        .lines()
        .map(|l| {
            let mut fields = l.split('\t');
            let file = fields.next().unwrap();
            let n = fields.next().unwrap().parse().unwrap();
            ((file, n), fields.collect())
        })
        .collect();
    let (mut exact, mut near, mut alone) = (0, 0, Vec::new());
    let mut rates = Rates::new();
    let (mut faults, mut refused) = (Vec::new(), String::new());
    for file in files(&data) {
        let bytes = std::fs::read(data.join(&file)).unwrap();
        let frames = match frames(&bytes, &mut rates) {
            Ok(frames) => frames,
            Err(text) => {
                if golden.contains_key(&(file.as_str(), 1)) {
                    writeln!(refused, "{file}\tall\t{text}").unwrap();
                }
                continue;
            }
        };
        for (n, frame) in (1..).zip(&frames) {
            match (frame, golden.get(&(file.as_str(), n))) {
                (Err(e), _) => writeln!(refused, "{file}\t{n}\t{}: {e}", e.kind()).unwrap(),
                (Ok(_), None) if n <= 3 => alone.push(format!("{file} {n}")),
                (Ok(_), None) => {}
                (Ok(plain), Some(line)) => match compare(plain, line) {
                    Ok(()) if line[0] == "sha" => exact += 1,
                    Ok(()) => near += 1,
                    Err(e) => faults.push(format!("{file} {n}: {e} ({:?} {:?})", plain.shape, plain.colour)),
                },
            }
        }
    }
    eprintln!(
        "{exact} frames exact, {near} near, {} that no other decoder did",
        alone.len()
    );
    for (syntax, (bytes, seconds)) in &rates {
        eprintln!(
            "  {syntax}: {:.1} MB, {:.0} MB/s",
            *bytes as f64 / 1e6,
            *bytes as f64 / 1e6 / seconds
        );
    }
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    let all = format!(
        "{refused}{}",
        alone.iter().map(|a| format!("{a}\talone\n")).collect::<String>()
    );
    assert_eq!(
        all,
        include_str!("refused.tsv"),
        "what is refused has changed:\n{all}"
    );
    assert!(exact > 300 && near > 20);
}

#[test]
fn a_jpeg_may_lack_its_end_marker_but_no_code() {
    let Some(data) = data() else { return };
    for file in [
        "pydicom/test_files/SC_rgb_jpeg_dcmtk.dcm",
        "pydicom/test_files/SC_rgb_jpeg_gdcm.dcm",
    ] {
        let bytes = std::fs::read(data.join(file)).unwrap();
        let job = first_job(&bytes).unwrap().unwrap();
        let whole = decode(&job).unwrap();
        let end = job.bytes.windows(2).rposition(|w| w == [0xFF, 0xD9]).unwrap();
        let cut = |at: usize, padding: usize| Job {
            bytes: [&job.bytes[..at], &vec![0; padding]].concat(),
            ..job.clone()
        };
        assert_eq!(decode(&cut(end, 0)), Ok(whole.clone()));
        assert_eq!(decode(&cut(end, 1)), Ok(whole));
        for less in 2..40 {
            let answer = decode(&cut(end - less, 2));
            assert!(
                matches!(answer, Err(Refused::Damaged { .. })),
                "{file}: {less} bytes less"
            );
        }
    }
}
