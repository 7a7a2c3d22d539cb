//! Rendered images and thumbnails (PS3.18 §10.4.1.1.3 to .5): JPEG or PNG for whoever has no viewer.
//!
//! Lives here: the query, the size, the encoding. Never here: windows and palettes as such (`vitrine_pixels::samples`).
//! Not for diagnosis: smaller than the image, in eight bits, and JPEG loses.

use super::super::bearer::Signed;
use super::super::refusal::Refused;
use super::frames::{self, Found, find};
use super::ranged::ranged;
use super::{bad, multipart, not_found, study as one_study};
use crate::app::App;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageEncoder as _, RgbImage};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use vitrine_dicom::display::{Beside, Display, Voi};
use vitrine_pixels::Colour;
use vitrine_pixels::layers;
use vitrine_pixels::pack::Frame;
use vitrine_pixels::samples::{Function, Look, Palette, Window, render};
use vitrine_wire::ErrorCode;

/// Longest side of a thumbnail, pixels.
const THUMBNAIL: u32 = 128;
/// Longest side asked for.
const SIDE_MOST: u32 = 16_384;
/// Of a JPEG when none is asked for.
const QUALITY: u8 = 90;

/// What may be asked (PS3.18 §8.3.5).
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    window: Option<String>,
    viewport: Option<String>,
    quality: Option<u8>,
}

/// JPEG, or PNG where that is accepted first.
fn png(headers: &HeaderMap) -> Result<bool, Refused> {
    let first = multipart::accepted(headers)
        .into_iter()
        .find_map(|m| match m.name.as_str() {
            "image/png" => Some(true),
            "image/jpeg" | "image/*" | "*/*" => Some(false),
            _ => None,
        });
    first.ok_or_else(|| {
        let text = "Rendered images are image/jpeg or image/png.";
        Refused::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadRequest, text)
    })
}

fn function(name: &str) -> Option<Function> {
    match name {
        "linear" => Some(Function::Linear),
        "linear-exact" => Some(Function::LinearExact),
        "sigmoid" => Some(Function::Sigmoid),
        _ => None,
    }
}

/// `window=center,width,function`
fn window(text: &str) -> Result<Window, Refused> {
    let parts: Vec<&str> = text.split(',').collect();
    let read = || {
        let (center, width) = (parts.first()?.parse().ok()?, parts.get(1)?.parse().ok()?);
        let function = parts.get(2).map_or(Some(Function::Linear), |f| function(f))?;
        let sound = f64::is_finite(center) && f64::is_finite(width) && width > 0.0 && parts.len() <= 3;
        sound.then_some(Window {
            center,
            width,
            function,
        })
    };
    read().ok_or_else(|| bad("window is center,width and linear, linear-exact or sigmoid"))
}

/// `viewport=width,height`: the picture is no larger.
fn viewport(text: &str) -> Result<(u32, u32), Refused> {
    let side = |t: &str| {
        t.trim()
            .parse::<u32>()
            .ok()
            .filter(|n| (1..=SIDE_MOST).contains(n))
    };
    let read = text.split_once(',').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    read.ok_or_else(|| bad(format!("viewport is width,height, 1 to {SIDE_MOST}")))
}

/// How a frame is shown by itself: by its header.
fn look(display: &Display) -> (Look, Option<Palette>) {
    let function = match display.voi {
        Voi::Linear => Function::Linear,
        Voi::LinearExact => Function::LinearExact,
        Voi::Sigmoid => Function::Sigmoid,
    };
    let look = Look {
        rescale: display
            .rescale
            .as_ref()
            .map_or((1.0, 0.0), |r| (r.slope, r.intercept)),
        window: display.windows.first().map(|w| Window {
            center: w.center,
            width: w.width,
            function,
        }),
        // MONOCHROME1 is inverted by its colour; what is left is a Presentation LUT Shape that says so of another.
        invert: display.inverse && display.photometric.as_deref() != Some("MONOCHROME1"),
    };
    let palette = display.palette.as_ref().map(|p| Palette {
        first: p.first,
        entries: p.rgb.as_chunks::<3>().0.to_vec(),
    });
    (look, palette)
}

/// A picture of a frame, no larger than a size, `(width, height)`.
fn picture(
    found: &Found,
    number: u32,
    size: Option<(u32, u32)>,
    wanted: Option<Window>,
) -> Result<DynamicImage, Refused> {
    let (pack, at, frame) = found.need(number)?;
    let beside: Beside = serde_json::from_slice(&frame.display).unwrap_or_default();
    let (mut look, palette) = look(&beside.display);
    if wanted.is_some() {
        look.window = wanted;
    }
    let segments = frames::segments(pack, at, frame, layer(frame, size))?;
    let segments: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
    let image = layers::decode(frame.shape, frame.coding, &segments).map_err(|_| not_found())?;
    let drawn =
        render(&image, &frame.shape, frame.colour, &look, palette.as_ref()).map_err(|_| not_found())?;
    let (w, h) = (drawn.columns, drawn.rows);
    let drawn = if drawn.samples == 1 {
        GrayImage::from_raw(w, h, drawn.bytes).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(w, h, drawn.bytes).map(DynamicImage::ImageRgb8)
    };
    let drawn = drawn.ok_or_else(not_found)?;
    Ok(match size {
        Some((w, h)) if drawn.width() > w || drawn.height() > h => drawn.resize(w, h, FilterType::Triangle),
        _ => drawn,
    })
}

/// The least layer that is no smaller than a size. Numbers of a palette have no smaller image.
fn layer(frame: &Frame, size: Option<(u32, u32)>) -> u8 {
    let (Some((w, h)), false) = (size, frame.colour == Colour::Palette) else {
        return u8::MAX;
    };
    let longest = frame.shape.longest();
    let side = |most: u32| {
        (0..32)
            .map(|s| longest.div_ceil(1 << s))
            .find(|side| *side <= most)
    };
    let enough = |layer: &u8| side(64 << layer).is_some_and(|side| side >= w.max(h).min(longest));
    (0..3).find(enough).unwrap_or(u8::MAX)
}

fn answer(headers: &HeaderMap, picture: &DynamicImage, quality: u8) -> Result<Response, Refused> {
    let png = png(headers)?;
    let mut out = Vec::new();
    let (bytes, w, h, colour) = (
        picture.as_bytes(),
        picture.width(),
        picture.height(),
        picture.color().into(),
    );
    let written = if png {
        PngEncoder::new(&mut out).write_image(bytes, w, h, colour)
    } else {
        JpegEncoder::new_with_quality(&mut out, quality).write_image(bytes, w, h, colour)
    };
    written.map_err(std::io::Error::other)?;
    let tag = crate::keys::hex(&Sha256::digest(&out));
    let media = if png { "image/png" } else { "image/jpeg" };
    Ok(ranged(headers, media, &tag, Bytes::from(out)))
}

type OfInstance = (String, String, String);

async fn of_frame(
    app: &Arc<App>,
    caller: &crate::identity::sessions::Caller,
    (study, series, instance): OfInstance,
    number: &str,
    asked: &Asked,
    headers: &HeaderMap,
    thumbnail: bool,
) -> Result<Response, Refused> {
    png(headers)?;
    let number = number.parse().ok().filter(|n| *n > 0);
    let number = number.ok_or_else(|| bad("a frame is a number from 1 on"))?;
    let wanted = asked.window.as_deref().map(window).transpose()?;
    let size = asked.viewport.as_deref().map(viewport).transpose()?;
    let size = size.or(thumbnail.then_some((THUMBNAIL, THUMBNAIL)));
    let quality = asked.quality.unwrap_or(QUALITY);
    if !(1..=100).contains(&quality) {
        return Err(bad("quality is a number from 1 to 100"));
    }
    let found = find(app, caller, &study, &series, &instance).await?;
    let _place = app.decodes.place().await?;
    tokio::task::block_in_place(|| {
        let picture = picture(&found, number, size, wanted)?;
        answer(headers, &picture, quality)
    })
}

/// `GET …/instances/{instance}/rendered`: the first frame.
///
/// # Errors
/// [`Refused`].
pub async fn instance(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(of): Path<OfInstance>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    of_frame(&app, &caller, of, "1", &asked, &headers, false).await
}

/// `GET …/instances/{instance}/frames/{frame}/rendered`
///
/// # Errors
/// [`Refused`].
pub async fn frame(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance, number)): Path<(String, String, String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    of_frame(
        &app,
        &caller,
        (study, series, instance),
        &number,
        &asked,
        &headers,
        false,
    )
    .await
}

/// `GET …/instances/{instance}/thumbnail`
///
/// # Errors
/// [`Refused`].
pub async fn instance_thumbnail(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(of): Path<OfInstance>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    of_frame(&app, &caller, of, "1", &asked, &headers, true).await
}

/// `GET …/instances/{instance}/frames/{frame}/thumbnail`
///
/// # Errors
/// [`Refused`].
pub async fn frame_thumbnail(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance, number)): Path<(String, String, String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    of_frame(
        &app,
        &caller,
        (study, series, instance),
        &number,
        &asked,
        &headers,
        true,
    )
    .await
}

/// The instance in the middle of a series that can be shown.
async fn middle(
    app: &App,
    caller: &crate::identity::sessions::Caller,
    study: &str,
    series: Option<&str>,
) -> Result<(OfInstance, u32), Refused> {
    one_study(app, caller, study).await?;
    let (permit, _) = super::permit(app, caller, study).await?;
    let sealed = app.store.pixels(&permit, Some(study)).await?;
    let shown = app.open(&permit, sealed).await?;
    let mut preparing = false;
    for s in shown.iter().filter(|s| series.is_none_or(|x| x == s.series)) {
        preparing |= s.preparing > 0;
        if let Some(pack) = s.packs.get(s.packs.len() / 2) {
            let pack = tokio::task::block_in_place(|| app.packs.open(app.images.blobs(), &pack.blob))?;
            if let Some(f) = pack.index.frames.get(pack.index.frames.len() / 2) {
                return Ok(((study.to_owned(), s.series.clone(), f.sop.clone()), f.number));
            }
        }
    }
    Err(if preparing { Refused::busy(2) } else { not_found() })
}

/// `GET …/studies/{study}/thumbnail`: of its first series that can be shown.
///
/// # Errors
/// [`Refused`].
pub async fn study_thumbnail(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (of, number) = middle(&app, &caller, &study, None).await?;
    of_frame(&app, &caller, of, &number.to_string(), &asked, &headers, true).await
}

/// `GET …/series/{series}/thumbnail`: of its middle.
///
/// # Errors
/// [`Refused`].
pub async fn series_thumbnail(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (of, number) = middle(&app, &caller, &study, Some(&series)).await?;
    of_frame(&app, &caller, of, &number.to_string(), &asked, &headers, true).await
}
