//! The peer: Debian's Orthanc with its DICOMweb plugin, as it is installed, without TLS, sign-in, audit or encryption,
//! asked as a web viewer asks: list of series, metadata, frames on six connections.

use super::series::Series;
use crate::world::ms;
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vitrine_tests::server::{free_port, text};

/// Requests at once, as browsers do it.
const AT_ONCE: usize = 6;
const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
/// Frames as bytes in the file's own syntax.
const AS_STORED: &str = "multipart/related; type=\"image/x-jls\"; transfer-syntax=1.2.840.10008.1.2.4.80";
const PLAIN: &str = "multipart/related; type=\"application/octet-stream\"";

/// A running Orthanc; ended when dropped.
pub struct Orthanc {
    child: Child,
    /// Its DICOM port.
    pub dicom: u16,
    url: String,
    http: reqwest::Client,
    accept: &'static str,
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Orthanc {
    /// Starts one below `dir`; `jpeg_ls` = it keeps what comes in as JPEG-LS lossless.
    pub async fn start(dir: &Path, jpeg_ls: bool) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (http_port, dicom) = (free_port()?, free_port()?);
        let mut config = json!({
            "Name": "peer", "StorageDirectory": dir.join("storage"), "IndexDirectory": dir.join("index"),
            "HttpPort": http_port, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false, "Plugins": [PLUGIN], "DicomWeb": {"Enable": true}
        });
        if jpeg_ls {
            config["IngestTranscoding"] = json!("1.2.840.10008.1.2.4.80");
        }
        let file = dir.join("orthanc.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let log = std::fs::File::create(dir.join("orthanc.log"))?;
        let child = Command::new("/usr/sbin/Orthanc")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("Orthanc (packages orthanc, orthanc-dicomweb)")?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(300))
            .build()?;
        let this = Self {
            child,
            dicom,
            url: format!("http://127.0.0.1:{http_port}"),
            http,
            accept: if jpeg_ls { AS_STORED } else { PLAIN },
        };
        let from = Instant::now();
        while this
            .get("/dicom-web/studies", "application/dicom+json")
            .await
            .is_err()
        {
            ensure!(
                from.elapsed() < Duration::from_secs(30),
                "Orthanc did not come up: {}",
                text(&dir.join("orthanc.log"))
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(this)
    }

    async fn get(&self, path: &str, accept: &str) -> Result<Vec<u8>> {
        let asked = || {
            self.http
                .get(format!("{}{path}", self.url))
                .header("accept", accept)
                .send()
        };
        // It closes connections that rest; who meets one asks again, as browsers do.
        let answer = match asked().await {
            Err(e) if e.is_request() => asked().await?,
            answer => answer?,
        };
        let status = answer.status();
        let bytes = answer.bytes().await?;
        ensure!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
        );
        Ok(bytes.to_vec())
    }

    /// What a viewer reads before the first image: the list of series, and the series' metadata. Gives the paths of its
    /// instances, in the order of their numbers.
    async fn opened(&self, s: &Series) -> Result<Vec<String>> {
        let study = format!("/dicom-web/studies/{}", s.study());
        self.get(&format!("{study}/series"), "application/dicom+json")
            .await?;
        let series = format!("{study}/series/{}", s.series());
        let bytes = self
            .get(&format!("{series}/metadata"), "application/dicom+json")
            .await?;
        let list: Vec<Value> = serde_json::from_slice(&bytes)?;
        ensure!(
            list.len() == s.files.len(),
            "{} of {} instances",
            list.len(),
            s.files.len()
        );
        let mut placed = list
            .iter()
            .map(|i| {
                let number = i["00200013"]["Value"][0].as_i64().unwrap_or(0);
                let uid = i["00080018"]["Value"][0].as_str().context("a SOP Instance UID")?;
                Ok((number, format!("{series}/instances/{uid}")))
            })
            .collect::<Result<Vec<_>>>()?;
        placed.sort();
        Ok(placed.into_iter().map(|(_, path)| path).collect())
    }

    /// Click → first picture that can be recognised (rendered at 128 px), ms; and → first frame whole, ms.
    pub async fn first(&self, s: &Series) -> Result<(f64, f64)> {
        let from = Instant::now();
        let paths = self.opened(s).await?;
        let middle = &paths[paths.len() / 2];
        self.get(&format!("{middle}/rendered?viewport=128,128"), "image/jpeg")
            .await?;
        let small = ms(from);
        let from = Instant::now();
        let paths = self.opened(s).await?;
        let middle = &paths[paths.len() / 2];
        self.get(&format!("{middle}/frames/1"), self.accept).await?;
        let whole = ms(from);
        Ok((small.min(whole), whole))
    }

    async fn all(&self, s: &Series, what: &str, accept: &str) -> Result<(f64, u64)> {
        let from = Instant::now();
        let paths = self.opened(s).await?;
        let bytes = futures_util::stream::iter(&paths)
            .map(|p| async move {
                Ok::<_, anyhow::Error>(self.get(&format!("{p}/{what}"), accept).await?.len() as u64)
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |sum, n| async move { Ok(sum + n) })
            .await?;
        Ok((ms(from), bytes))
    }

    /// Click → every slice at 64 px, ms.
    pub async fn small(&self, s: &Series) -> Result<f64> {
        Ok(self.all(s, "rendered?viewport=64,64", "image/jpeg").await?.0)
    }

    /// Click → every frame whole, ms, and the bytes of them.
    pub async fn whole(&self, s: &Series) -> Result<(f64, u64)> {
        self.all(s, "frames/1", self.accept).await
    }

    /// One frame of an instance of many, ms.
    pub async fn frame(&self, s: &Series, number: u32) -> Result<f64> {
        let path = format!(
            "/dicom-web/studies/{}/series/{}/instances/{}/frames/{number}",
            s.study(),
            s.series(),
            s.phantom.sop_uid(0)
        );
        let from = Instant::now();
        let bytes = self.get(&path, PLAIN).await?;
        let took = ms(from);
        ensure!(
            bytes.len() as u64 > s.phantom.frame_len(),
            "a frame of {} bytes",
            bytes.len()
        );
        Ok(took)
    }

    /// STOW-RS.
    pub async fn stow(&self, s: &Series) -> Result<f64> {
        super::ours::stow(&self.http, &format!("{}/dicom-web/studies", self.url), None, s).await
    }
}
