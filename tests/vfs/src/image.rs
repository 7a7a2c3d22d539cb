//! A disk at rest: names and contents, and where in a log it comes from.
//!
//! Made by `replay` and by [`crate::Disk::image`]; mounted, changed or written out by tests.

use crate::disk::{Disk, VfsError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files a machine finds on its disk. Contents are shared, so a copy is cheap.
#[derive(Clone, Debug, Default)]
pub struct DiskImage {
    pub(crate) files: BTreeMap<Arc<str>, Arc<Vec<u8>>>,
    pub(crate) index: u64,
    pub(crate) cut: usize,
    pub(crate) marks: u64,
    pub(crate) last_mark: Option<u64>,
}

impl DiskImage {
    /// An image with these files and no history.
    pub fn of_files(files: impl IntoIterator<Item = (Arc<str>, Arc<Vec<u8>>)>) -> Self {
        Self {
            files: files.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The image's number within its run, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many events of the log had happened: the power went right after event `cut - 1`.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// How many marks were set before the cut.
    pub fn marks(&self) -> u64 {
        self.marks
    }

    /// The value of the last mark before the cut: what had been acknowledged.
    pub fn last_mark(&self) -> Option<u64> {
        self.last_mark
    }

    /// Names and contents, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(name, content)| (&**name, content.as_slice()))
    }

    /// One file's content.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|content| content.as_slice())
    }

    /// Puts a file in, or replaces it: to plant, truncate or damage one.
    pub fn set_file(&mut self, name: &str, content: Vec<u8>) {
        self.files.insert(name.into(), Arc::new(content));
    }

    /// Takes a file out; false if there was none.
    pub fn remove_file(&mut self, name: &str) -> bool {
        self.files.remove(name).is_some()
    }

    /// A disk in memory with these files, ready to be opened by its [`Disk::vfs_name`]. The image stays as it is.
    pub fn mount(&self) -> Result<Disk, VfsError> {
        Disk::with_image(self)
    }

    /// Writes the files into a real directory under the last part of their names (to look at a failure, or for code that
    /// insists on a file system). Returns the paths.
    pub fn write_to(&self, directory: &Path) -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::with_capacity(self.files.len());
        for (name, content) in &self.files {
            let path = directory.join(name.rsplit('/').next().unwrap_or(name));
            std::fs::write(&path, content.as_slice())?;
            paths.push(path);
        }
        Ok(paths)
    }
}
