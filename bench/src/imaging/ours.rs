//! Ours: the server over TLS with sign-in, audit and encryption; the workstation as the window uses it.

use super::series::Series;
use crate::world::ms;
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vitrine_engine::{Pixels, Workstation};
use vitrine_wire::image_view::{OpenSeriesView, SeriesState};

/// Objects of one STOW request.
const STOWED: usize = 20;
/// Side of the viewport on the screen, pixels.
const PX: u32 = 512;
/// Layer of 128 px (see the head of the image protocol: 0 = 64 px … 3 = whole).
const RECOGNISABLE: u8 = 1;

/// Sends a series by STOW-RS, ms.
pub async fn stow(http: &reqwest::Client, url: &str, token: Option<&str>, s: &Series) -> Result<f64> {
    let mut took = 0.0;
    for some in s.files.chunks(STOWED) {
        let mut body = Vec::new();
        for f in some {
            body.extend_from_slice(b"--part\r\nContent-Type: application/dicom\r\n\r\n");
            body.extend_from_slice(&std::fs::read(f)?);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--part--\r\n");
        let from = Instant::now();
        let mut asked = http
            .post(url)
            .header(
                "content-type",
                "multipart/related; type=\"application/dicom\"; boundary=part",
            )
            .header("accept", "application/dicom+json")
            .body(body);
        if let Some(t) = token {
            asked = asked.bearer_auth(t);
        }
        let answer = asked.send().await?;
        let status = answer.status();
        let said = answer.bytes().await?;
        took += ms(from);
        ensure!(
            status == 200,
            "STOW: {status} {}",
            String::from_utf8_lossy(&said[..said.len().min(500)])
        );
    }
    Ok(took)
}

/// Sends a series by DCMTK's `storescu` on one association, ms.
pub fn storescu(s: &Series, title: &str, port: u16, more: &[&str]) -> Result<f64> {
    let from = Instant::now();
    let out = Command::new("storescu")
        .args(["-aec", title, "-aet", "STORESCU"])
        .args(more)
        .args(["127.0.0.1", &port.to_string(), "+sd"])
        .arg(s.folder()?)
        .stdin(Stdio::null())
        .output()
        .context("storescu (package dcmtk)")?;
    ensure!(
        out.status.success(),
        "storescu: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(ms(from))
}

/// Waits until every series can be opened.
pub async fn ready(w: &Workstation, patient: &str, all: &[&Series]) -> Result<()> {
    let from = Instant::now();
    loop {
        let list = w.images(patient).await?;
        let series: Vec<_> = list.studies.iter().flat_map(|s| &s.series).collect();
        let ready = all.iter().all(|s| {
            series
                .iter()
                .any(|e| e.uid == s.series() && e.state == SeriesState::Ready)
        });
        if ready {
            return Ok(());
        }
        ensure!(
            from.elapsed() < Duration::from_secs(900),
            "the images are not made ready: {:?}",
            series.iter().map(|e| &e.state_text).collect::<Vec<_>>()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A series that is here; ms since the click.
pub struct Whole {
    /// Every slice at 64 px.
    pub small: f64,
    /// Every byte.
    pub here: f64,
    /// Every slice decoded, and its SHA-256 found right.
    pub exact: f64,
    /// Compressed bytes.
    pub bytes: u64,
}

/// An open series.
pub struct Open<'a> {
    w: &'a Workstation,
    view: OpenSeriesView,
    from: Instant,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.w.image_close(self.view.view);
    }
}

impl<'a> Open<'a> {
    /// The click.
    pub async fn click(w: &'a Workstation, patient: &str, s: &Series) -> Result<Self> {
        let from = Instant::now();
        let view = w.image_open(patient, &s.study(), &s.series(), PX).await?;
        ensure!(
            !view.frames.is_empty(),
            "opened without a frame: {:?}",
            view.without
        );
        Ok(Self { w, view, from })
    }

    /// Frames known so far.
    pub fn frames(&self) -> u32 {
        u32::try_from(self.view.frames.len()).unwrap_or(u32::MAX)
    }

    /// Waits until the pixels of a frame are there, as the screen does: at 128 px or better, and exact. Ms since `from`.
    async fn pixels(&self, frame: u32, from: Instant) -> Result<(f64, f64)> {
        let (mut small, mut above) = (None, None);
        loop {
            match self.w.image_pixels(&self.view.token, frame, above).await {
                Pixels::Ready(bytes) => {
                    // Of the head, byte 15 is the layer and byte 16 says whether it is exact.
                    let (layer, exact) = (bytes.get(15).copied(), bytes.get(16) == Some(&1));
                    if exact || layer >= Some(RECOGNISABLE) {
                        small = small.or_else(|| Some(ms(from)));
                    }
                    if exact {
                        return Ok((small.unwrap_or(f64::NAN), ms(from)));
                    }
                    above = layer;
                }
                other => anyhow::bail!("frame {frame}: {other:?}"),
            }
        }
    }

    /// Click → first frame at 128 px or better, and exact, ms.
    pub async fn first(&self) -> Result<(f64, f64)> {
        self.pixels(0, self.from).await
    }

    /// A jump to another frame → at 128 px or better, and exact, ms.
    pub async fn jump(&self, frame: u32) -> Result<(f64, f64)> {
        let from = Instant::now();
        // As the screen does: it says where it looks, then asks for the pixels.
        self.w.image_center(self.view.view, frame, 0.0, PX)?;
        self.pixels(frame, from).await
    }

    /// Waits until all is here.
    pub async fn whole(&mut self, patient: &str, s: &Series, limit: Duration) -> Result<Whole> {
        let (mut small, mut here) = (None, None);
        loop {
            let (held, bytes) = self.w.image_held(self.view.view).context("the view ended")?;
            if held.grown {
                let old = self.view.view;
                self.view = self.w.image_open(patient, &s.study(), &s.series(), PX).await?;
                self.w.image_close(old);
                continue;
            }
            let marks = held.frames.as_bytes();
            ensure!(!marks.contains(&b'x'), "a frame failed: {}", held.text);
            ensure!(held.stopped_text.is_none(), "it stopped: {:?}", held.stopped_text);
            let complete = !self.view.growing && marks.len() == s.phantom.count as usize;
            if complete && marks.iter().all(|b| *b != b'0') {
                small = small.or_else(|| Some(ms(self.from)));
            }
            if complete && marks.iter().all(|b| matches!(b, b'4' | b'5')) {
                here = here.or_else(|| Some(ms(self.from)));
            }
            if complete && marks.iter().all(|b| *b == b'5') {
                let exact = ms(self.from);
                return Ok(Whole {
                    small: small.unwrap_or(exact),
                    here: here.unwrap_or(exact),
                    exact,
                    bytes,
                });
            }
            ensure!(self.from.elapsed() < limit, "not whole in time: {}", held.text);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// One frame of an instance of many through DICOMweb, ms.
pub async fn frame(http: &reqwest::Client, url: &str, token: &str, s: &Series, number: u32) -> Result<f64> {
    let path = format!(
        "{url}/dicomweb/studies/{}/series/{}/instances/{}/frames/{number}",
        s.study(),
        s.series(),
        s.phantom.sop_uid(0)
    );
    let from = Instant::now();
    let answer = http
        .get(&path)
        .bearer_auth(token)
        .header("accept", "multipart/related; type=\"application/octet-stream\"")
        .send()
        .await?;
    let status = answer.status();
    let bytes = answer.bytes().await?;
    let took = ms(from);
    ensure!(
        status == 200 && bytes.len() as u64 > s.phantom.frame_len(),
        "{path}: {status}, {} bytes",
        bytes.len()
    );
    Ok(took)
}
