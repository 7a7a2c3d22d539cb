//! The images of the bench: phantoms of a patient of the synthetic hospital, as files.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};

/// A series on disk.
pub struct Series {
    /// What it is.
    pub phantom: Phantom,
    /// Its files, in their order.
    pub files: Vec<PathBuf>,
    /// Bytes of all.
    pub bytes: u64,
}

impl Series {
    /// Study Instance UID.
    pub fn study(&self) -> String {
        self.phantom.study_uid()
    }
    /// Series Instance UID.
    pub fn series(&self) -> String {
        self.phantom.series_uid()
    }
    /// Their folder.
    pub fn folder(&self) -> Result<&Path> {
        self.files.first().and_then(|f| f.parent()).context("a folder")
    }
}

/// The patient of the images: the first that is worth opening, and the name as DICOM writes it.
pub fn subject(seed: &Value) -> Result<(String, Subject)> {
    let p = seed["patients"].get(0).context("a patient")?;
    let field = |name: &str| p[name].as_str().with_context(|| name.to_owned());
    let name = field("name")?;
    let (given, family) = name.rsplit_once(' ').context("two names")?;
    let subject = Subject {
        id: field("mrn")?.to_owned(),
        name: format!("{family}^{}", given.replace(' ', "^")),
        study_date: "20261012".to_owned(),
        study_time: "081400".to_owned(),
        ..Subject::default()
    };
    Ok((field("id")?.to_owned(), subject))
}

/// Writes a series below `dir`.
pub fn write(dir: &Path, kind: Kind, seed: u64, study: u64, count: u32, subject: &Subject) -> Result<Series> {
    let mut phantom = Phantom::new(kind, seed);
    phantom.study = study;
    phantom.count = count;
    phantom.subject = subject.clone();
    let folder = dir.join(format!("series-{seed}"));
    std::fs::create_dir_all(&folder)?;
    let (mut files, mut bytes) = (Vec::new(), 0);
    for n in 0..phantom.files() {
        let path = folder.join(format!("{n:05}.dcm"));
        let mut to = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&path)?);
        phantom.write(n, &mut to)?;
        to.flush()?;
        bytes += to.get_ref().metadata()?.len();
        files.push(path);
    }
    Ok(Series {
        phantom,
        files,
        bytes,
    })
}
