//! A target of copies: a folder or a bucket, and what is asked of it.
//!
//! Lives here: opening one, its mark, streaming a file there and back. Never here: which file, when, what it means.
//! Called by `local` and `remote`. What goes there is the encrypted file as it lies in the server's own folder, under the
//! same name: whoever keeps it learns the digests of objects and their lengths, nothing else.

use super::Pace;
use crate::config::{CopyTarget, Place};
use crate::data_dir::{DataDir, read_private};
use crate::error::Fault as Unusable;
use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutPayload, RetryConfig,
};
use sha2::{Digest as _, Sha256};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vitrine_store::copies::{CopyFile, Sum};

/// Bytes of a part: what is in memory of a file. S3 takes none below 5 MiB but the last.
const PART: usize = 8 << 20;
/// Parts of a file at most (S3: 10,000).
const PARTS: u64 = 9_000;
/// A target from which nothing is heard for so long is away.
const SILENT: Duration = Duration::from_secs(60);
/// A network that gives no connection for so long gives none.
const CONNECT: Duration = Duration::from_secs(10);
/// The object by which a target is known again.
const MARK: &str = "vitrine-copies";

/// A target did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The file is not there.
    NotThere,
    /// It refused, or does not answer; in words.
    Away(String),
    /// The file that was to go there is not what it should be, or cannot be read; in words.
    Source(String),
}

impl Fault {
    /// In words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::NotThere => "it is not there",
            Self::Away(why) | Self::Source(why) => why,
        }
    }
}

fn fault(e: Error) -> Fault {
    match e {
        Error::NotFound { .. } => Fault::NotThere,
        other => {
            let mut text = other.to_string();
            // One line, and no more than a row should hold.
            text.retain(|c| !c.is_control());
            let most = text.char_indices().nth(300).map_or(text.len(), |(at, _)| at);
            text.truncate(most);
            Fault::Away(text)
        }
    }
}

fn source(e: &std::io::Error) -> Fault {
    Fault::Source(format!("the file to be copied cannot be read: {e}"))
}

async fn within<T>(asked: impl Future<Output = object_store::Result<T>>) -> Result<T, Fault> {
    match tokio::time::timeout(SILENT, asked).await {
        Ok(answer) => answer.map_err(fault),
        Err(_) => Err(Fault::Away(format!(
            "it did not answer for {} s",
            SILENT.as_secs()
        ))),
    }
}

/// A target.
#[derive(Debug)]
pub struct Target {
    /// What everybody calls it.
    pub name: String,
    store: Arc<dyn ObjectStore>,
    /// Before the name of every object.
    prefix: Name,
    /// Where it must be a folder before anything is written: an unmounted one is not.
    folder: Option<PathBuf>,
}

/// The access key and the secret key of a file of two lines.
fn credentials(path: &Path) -> Result<(String, String), Unusable> {
    let bytes = zeroize::Zeroizing::new(read_private(path)?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(id), Some(secret), None) => Ok((id.to_owned(), secret.to_owned())),
        _ => Err(Unusable::usage(format!(
            "{}: write the access key on the first line and the secret key on the second, nothing else",
            path.display()
        ))),
    }
}

fn bucket(config: &CopyTarget, dir: &DataDir, bucket: &str) -> Result<Arc<dyn ObjectStore>, Unusable> {
    // reqwest takes whichever cryptography the process says.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (id, secret) = credentials(&dir.root().join(&config.credentials))?;
    // The whole of a large object takes as long as it takes; silence is what `within` looks for.
    let mut client = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT)
        .with_allow_http(config.is_plain());
    if !config.ca.is_empty() {
        let path = dir.root().join(&config.ca);
        let pem = std::fs::read(&path).map_err(|e| Unusable::io("cannot read", &path, &e))?;
        let all = Certificate::from_pem_bundle(&pem)
            .map_err(|e| Unusable::usage(format!("{}: no certificates in PEM: {e}", path.display())))?;
        client = all.into_iter().fold(
            client.with_no_system_certificates(true),
            ClientOptions::with_root_certificate,
        );
    }
    let region = match config.region.as_str() {
        "" => "us-east-1",
        region => region,
    };
    // Waiting is the job's: here only what a moment mends is tried again.
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 2,
        retry_timeout: Duration::from_secs(20),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_access_key_id(id)
        .with_secret_access_key(secret)
        .with_client_options(client)
        .with_retry(retry);
    if !config.endpoint.is_empty() {
        builder = builder
            .with_endpoint(config.endpoint.trim_end_matches('/'))
            .with_allow_http(config.is_plain());
    }
    let made = builder.build();
    let made =
        made.map_err(|e| Unusable::usage(format!("images.copies: the target {:?}: {e}", config.name)))?;
    Ok(Arc::new(made))
}

impl Target {
    /// A target of the configuration; nothing is asked of it yet. `originals`: the server's own folder.
    ///
    /// # Errors
    /// [`Unusable`] naming what to fix.
    pub fn open(config: &CopyTarget, dir: &DataDir, originals: &Path) -> Result<Self, Unusable> {
        let wrong =
            |why: String| Unusable::usage(format!("images.copies: the target {:?} {why}", config.name));
        let name = config.name.clone();
        match config.place().map_err(wrong)? {
            Place::Folder(folder) => {
                if folder.starts_with(originals) || originals.starts_with(&folder) {
                    return Err(wrong(format!(
                        "lies with the originals ({}): choose a folder on another disk",
                        originals.display()
                    )));
                }
                let prefix = Name::from_absolute_path(&folder).map_err(|e| wrong(e.to_string()))?;
                let store = LocalFileSystem::new()
                    .with_fsync(true)
                    .with_automatic_cleanup(false);
                Ok(Self {
                    name,
                    store: Arc::new(store),
                    prefix,
                    folder: Some(folder),
                })
            }
            Place::Bucket { bucket: of, prefix } => Ok(Self {
                name,
                store: bucket(config, dir, &of)?,
                prefix: Name::parse(prefix).map_err(|e| wrong(e.to_string()))?,
                folder: None,
            }),
        }
    }

    fn at(&self, file: &CopyFile) -> Name {
        let name = file.to_string();
        let folders = [name[..2].to_owned(), name[2..4].to_owned()];
        let mut at = self.prefix.clone();
        for part in folders.into_iter().chain([name]) {
            at = at.join(part.as_str());
        }
        at
    }

    /// The mark that lies there.
    ///
    /// # Errors
    /// [`Fault::NotThere`] for a target that has none yet.
    pub async fn mark(&self) -> Result<String, Fault> {
        if let Some(folder) = self.folder.clone() {
            // A mount whose server is gone answers never.
            let looked = tokio::task::spawn_blocking(move || folder.is_dir().then_some(()).ok_or(folder));
            let looked = tokio::time::timeout(SILENT, looked).await;
            let silent = |_| Fault::Away(format!("its folder does not answer for {} s", SILENT.as_secs()));
            let there = looked.map_err(silent)?.map_err(|e| Fault::Away(e.to_string()))?;
            there.map_err(|folder| {
                Fault::Away(format!("{} is no folder: is it mounted?", folder.display()))
            })?;
        }
        let got = within(self.store.get(&self.prefix.clone().join(MARK))).await?;
        let bytes = within(got.bytes()).await?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        let fits = text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit());
        fits.then_some(text)
            .ok_or_else(|| Fault::Away(format!("its object {MARK} is not what a server wrote")))
    }

    /// Puts a mark there.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn put_mark(&self, mark: &str) -> Result<(), Fault> {
        let payload = PutPayload::from(format!("{mark}\n").into_bytes());
        within(self.store.put(&self.prefix.clone().join(MARK), payload))
            .await
            .map(|_| ())
    }

    /// Length of the file there; `None` when it is not there.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub async fn len(&self, file: &CopyFile) -> Result<Option<u64>, Fault> {
        match within(self.store.head(&self.at(file))).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Fault::NotThere) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads a file of `most` bytes at most through; each piece goes to `to`.
    async fn read(
        &self,
        file: &CopyFile,
        pace: Option<&Pace>,
        most: u64,
        mut to: Option<&mut File>,
    ) -> Result<Sum, Fault> {
        let mut pieces = within(self.store.get(&self.at(file))).await?.into_stream();
        let (mut sha256, mut bytes) = (Sha256::new(), 0);
        loop {
            let next = tokio::time::timeout(SILENT, pieces.next()).await;
            let silent = |_| Fault::Away(format!("nothing came for {} s", SILENT.as_secs()));
            let Some(piece) = next.map_err(silent)? else {
                break;
            };
            let piece: Bytes = piece.map_err(fault)?;
            sha256.update(&piece);
            bytes += piece.len() as u64;
            if bytes > most {
                return Err(Fault::Source(format!("more than {most} bytes came back")));
            }
            if let Some(to) = to.as_deref_mut() {
                to.write_all(&piece)
                    .await
                    .map_err(|e| Fault::Source(format!("what came back could not be written here: {e}")))?;
            }
            if let Some(pace) = pace {
                pace.took(piece.len()).await;
            }
        }
        Ok(Sum {
            bytes,
            sha256: sha256.finalize().into(),
        })
    }

    /// Reads a file back.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn sum(&self, file: &CopyFile, pace: Option<&Pace>) -> Result<Sum, Fault> {
        self.read(file, pace, u64::MAX, None).await
    }

    /// Fetches a file of `most` bytes at most into one of this machine: it is on disk when this returns.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Source`] when it cannot be written here.
    pub async fn fetch(&self, file: &CopyFile, to: &Path, most: u64) -> Result<Sum, Fault> {
        let here =
            |e: std::io::Error| Fault::Source(format!("what came back could not be written here: {e}"));
        let mut into = File::create_new(to).await.map_err(here)?;
        let sum = self.read(file, None, most, Some(&mut into)).await?;
        into.flush().await.map_err(here)?;
        into.sync_data().await.map_err(here)?;
        Ok(sum)
    }

    /// Sends a file of this machine there. It appears there only when all of it was what it should be.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Source`] when the file here is not what it should be.
    pub async fn put(&self, file: &CopyFile, from: &Path, must: Sum) -> Result<(), Fault> {
        self.send(file, from, must).await?;
        self.tidy(file).await;
        Ok(())
    }

    /// Removes what a server that was killed left of a file in a folder: `NAME#1` and so on, beside its place.
    async fn tidy(&self, file: &CopyFile) {
        let Some(folder) = &self.folder else { return };
        let name = file.to_string();
        let begun = format!("{name}#");
        let Ok(mut beside) = tokio::fs::read_dir(folder.join(&name[..2]).join(&name[2..4])).await else {
            return;
        };
        while let Ok(Some(entry)) = beside.next_entry().await {
            let is = entry.file_name().to_str().is_some_and(|n| n.starts_with(&begun));
            if is && let Err(e) = tokio::fs::remove_file(entry.path()).await {
                tracing::debug!(error = %e, "half a copy stays beside its place");
            }
        }
    }

    async fn send(&self, file: &CopyFile, from: &Path, must: Sum) -> Result<(), Fault> {
        let mut from = File::open(from).await.map_err(|e| source(&e))?;
        let part = usize::try_from(must.bytes.div_ceil(PARTS)).map_or(PART, |p| p.max(PART));
        let mut sha256 = Sha256::new();
        let differs = || Fault::Source("the file to be copied is damaged".to_owned());
        let first = read_part(&mut from, part, &mut sha256).await?;
        if must.bytes <= part as u64 {
            let whole = first.len() as u64 == must.bytes
                && <[u8; 32]>::from(sha256.finalize()) == must.sha256
                && from.read(&mut [0]).await.map_err(|e| source(&e))? == 0;
            if !whole {
                return Err(differs());
            }
            return within(self.store.put(&self.at(file), PutPayload::from(first)))
                .await
                .map(|_| ());
        }
        let mut upload = within(self.store.put_multipart(&self.at(file))).await?;
        let sent = parts(&mut *upload, &mut from, first, part, sha256).await;
        let whole = match sent {
            Ok(sum) if sum == must => within(upload.complete()).await.map(|_| ()),
            Ok(_) => Err(differs()),
            Err(e) => Err(e),
        };
        if whole.is_err() {
            // What cannot be taken back now the service clears away by its own rules.
            let _ = within(upload.abort()).await;
        }
        whole
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub async fn remove(&self, file: &CopyFile) -> Result<(), Fault> {
        match within(self.store.delete(&self.at(file))).await {
            Ok(()) | Err(Fault::NotThere) => {
                self.tidy(file).await;
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

async fn read_part(from: &mut File, part: usize, sha256: &mut Sha256) -> Result<Bytes, Fault> {
    let mut out = Vec::with_capacity(part);
    let most = part as u64;
    from.take(most)
        .read_to_end(&mut out)
        .await
        .map_err(|e| source(&e))?;
    sha256.update(&out);
    Ok(Bytes::from(out))
}

async fn parts(
    upload: &mut dyn MultipartUpload,
    from: &mut File,
    first: Bytes,
    part: usize,
    mut sha256: Sha256,
) -> Result<Sum, Fault> {
    let (mut now, mut bytes) = (first, 0);
    while !now.is_empty() {
        bytes += now.len() as u64;
        within(upload.put_part(PutPayload::from(now))).await?;
        now = read_part(from, part, &mut sha256).await?;
    }
    Ok(Sum {
        bytes,
        sha256: sha256.finalize().into(),
    })
}
