//! Images from the command line: the list of a patient, and a series fetched whole with its times.

use crate::print;
use serde_json::{Value, json};
use std::time::Duration;
use vitrine_engine::clock::Stopwatch;
use vitrine_engine::{EngineError, Pixels, Workstation};
use vitrine_wire::image_view::{ImagesView, OpenSeriesView};

/// How often what is here is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often progress is printed, looks.
const SAID: u32 = 100;

/// The list in words.
pub fn list(v: &ImagesView) {
    if v.studies.is_empty() {
        say!("{}", v.empty_text);
    }
    for s in &v.studies {
        say!(
            "{}  {}  [{}]  {}  {}",
            s.when_text,
            s.title,
            s.modalities.join(", "),
            s.report_text,
            s.uid
        );
        for e in &s.series {
            let notes = [&e.state_text, &e.held_text].into_iter().flatten();
            let notes: Vec<&str> = notes.map(String::as_str).collect();
            say!(
                "    {}  {}  {}  {}",
                e.title,
                e.size_text,
                e.uid,
                notes.join(", ")
            );
        }
    }
    say!("{}", v.age.text);
}

/// When what was reached, ms.
#[derive(Default)]
struct Times {
    opened: Option<f64>,
    preview: Option<f64>,
    exact: Option<f64>,
    all_previews: Option<f64>,
    all_exact: Option<f64>,
}

/// Fetches a series whole.
pub async fn pull(
    ws: &Workstation,
    patient: &str,
    series: &str,
    px: u32,
    limit: Duration,
    as_json: bool,
) -> Result<u8, EngineError> {
    let list = ws.images(patient).await?;
    let study = list
        .studies
        .iter()
        .find(|s| s.series.iter().any(|e| e.uid == series))
        .ok_or_else(|| {
            EngineError::Usage("this patient has no such series: see `vitrine-cli images PATIENT`".to_owned())
        })?;
    let (patient, study) = (list.patient.as_str(), study.uid.as_str());
    let since = Stopwatch::start();
    let mut times = Times::default();
    let mut view = ws.image_open(patient, study, series, px).await?;
    times.opened = Some(since.ms());
    first(ws, &view, &since, &mut times).await;
    let mut looks = 0_u32;
    let (held, bytes) = loop {
        let Some((held, bytes)) = ws.image_held(view.view) else {
            return Err(EngineError::NotSignedIn);
        };
        if held.grown {
            let old = view.view;
            view = ws.image_open(patient, study, series, px).await?;
            ws.image_close(old);
            continue;
        }
        let ms = since.ms();
        let done = held.frames.bytes().all(|b| matches!(b, b'5' | b'x'));
        if held.frames.bytes().all(|b| b != b'0') && !view.growing {
            times.all_previews = times.all_previews.or(Some(ms));
        }
        if done && !view.growing {
            times.all_exact = Some(ms);
            break (held, bytes);
        }
        if held.stopped_text.is_some() || since.ms() > limit.as_secs_f64() * 1_000.0 {
            break (held, bytes);
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(SAID) {
            eprintln!(
                "{} of {} frames, {bytes} bytes: {}",
                exact(&held.frames),
                held.frames.len(),
                held.text
            );
        }
        tokio::time::sleep(LOOK).await;
    };
    let (frames, all) = (held.frames.len(), exact(&held.frames));
    let whole = times.all_exact.is_some() && all == frames;
    let answer = json!({
        "study": study, "series": series, "frames": frames, "exact": all,
        "failed": held.frames.bytes().filter(|b| *b == b'x').count(),
        "bytes": bytes, "peak_rss_bytes": peak_rss(), "whole": whole, "stopped": held.stopped_text,
        "mismatch": view.mismatch_text, "gaps": view.gaps, "without": view.without,
        "ms": {
            "opened": number(times.opened), "first_preview": number(times.preview), "first_exact": number(times.exact),
            "all_64px": number(times.all_previews), "all_exact": number(times.all_exact),
        },
    });
    if as_json {
        print::json(&answer);
    } else {
        say!(
            "{all} of {frames} frames exact, {bytes} bytes. {}",
            held.stopped_text.unwrap_or_default()
        );
        say!("{}", answer["ms"]);
    }
    ws.image_close(view.view);
    Ok(u8::from(!whole))
}

/// The first frame, to the end.
async fn first(ws: &Workstation, view: &OpenSeriesView, since: &Stopwatch, times: &mut Times) {
    let mut above = None;
    while !view.frames.is_empty() {
        let Pixels::Ready(bytes) = ws.image_pixels(&view.token, 0, above).await else {
            return;
        };
        // Of the head, byte 15 is the layer and byte 16 says whether it is exact.
        let (layer, exact) = (bytes.get(15).copied(), bytes.get(16) == Some(&1));
        times.preview = times.preview.or(Some(since.ms()));
        if exact {
            times.exact = Some(since.ms());
            return;
        }
        above = layer;
    }
}

fn exact(marks: &str) -> usize {
    marks.bytes().filter(|b| *b == b'5').count()
}

fn number(ms: Option<f64>) -> Value {
    ms.map_or(Value::Null, |ms| json!((ms * 10.0).round() / 10.0))
}

/// The most memory this process had resident, where the system tells it.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    kib.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}
