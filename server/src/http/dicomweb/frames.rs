//! Frames (PS3.18 §10.4.1.1.6): as they were stored, as lossless HTJ2K, or as plain values.
//!
//! Lives here: what a client accepts, one frame in that form, parts. Never here: decoding (packs hold
//! what was decoded and verified). A stored frame is cut out of the object, without reading the rest of it.

use super::super::bearer::Signed;
use super::super::refusal::Refused;
use super::multipart::{self, MediaType};
use super::ranged::ranged;
use super::{bad, not_found, permit, wado};
use crate::app::App;
use crate::identity::sessions::Caller;
use crate::imaging::packs::Pack;
use crate::imaging::study::{kept, number, text};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use vitrine_dicom::scan;
use vitrine_dicom::syntax::{self, Codec, EXPLICIT_LE};
use vitrine_pixels::Colour;
use vitrine_pixels::layers::{self, Coding};
use vitrine_pixels::pack::Frame;
use vitrine_store::imaging::InstanceRow;
use vitrine_wire::ErrorCode;

/// Bytes of frames after which an answer takes no further one.
const BYTES_MOST: usize = 128 << 20;
/// Frames of one answer.
const FRAMES_MOST: usize = 64;
/// HTJ2K lossless, and the same with its resolutions in order (PS3.5 §10.18).
const HTJ2K: [&str; 2] = ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"];

/// In which form a frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Stored,
    HtJ2k,
    Plain,
    /// Whatever it is: plain where the values are what metadata say, otherwise as stored.
    Any,
}

/// The media type of frames in a transfer syntax (PS3.18 table 8.7.3-2 and after).
fn media(syntax: &str) -> &'static str {
    match syntax::of(syntax).map(|s| s.codec) {
        Some(Codec::Jpeg | Codec::JpegLossless) => "image/jpeg",
        Some(Codec::JpegLs) => "image/jls",
        Some(Codec::Jpeg2000) => "image/jp2",
        Some(Codec::Jpeg2000Mc) => "image/jpx",
        Some(Codec::HtJ2k) => "image/jphc",
        Some(Codec::JpegXl) => "image/jxl",
        Some(Codec::Rle) => "image/dicom-rle",
        Some(Codec::Mpeg2) => "video/mpeg",
        Some(Codec::Mpeg4 | Codec::Hevc) => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// The form of the first thing accepted that can be given, and whether it comes in parts.
fn wanted(headers: &HeaderMap, stored: &str) -> Option<(Form, bool)> {
    multipart::accepted(headers).iter().find_map(|m| {
        let parts = m.name == "multipart/related";
        let kind = match m.name.as_str() {
            "multipart/related" => m.get("type").map_or("*/*".to_owned(), str::to_ascii_lowercase),
            name => name.to_owned(),
        };
        form(m, &kind, stored).map(|f| (f, parts || m.name == "*/*"))
    })
}

fn form(accept: &MediaType, kind: &str, stored: &str) -> Option<Form> {
    let syntax = accept.get("transfer-syntax");
    match (kind, syntax) {
        // What cornerstone and OHIF send: whatever there is, under the type of bytes.
        ("application/octet-stream" | "*/*" | "application/*", Some("*")) => Some(Form::Stored),
        ("*/*" | "multipart/*", None) => Some(Form::Any),
        ("application/octet-stream" | "application/*", None) => Some(Form::Plain),
        ("application/octet-stream", Some(EXPLICIT_LE)) => Some(Form::Plain),
        ("image/jphc", None | Some("*")) => Some(Form::HtJ2k),
        ("image/jphc", Some(s)) if HTJ2K.contains(&s) => Some(Form::HtJ2k),
        (kind, None | Some("*")) if kind == media(stored) => Some(Form::Stored),
        (_, Some(s)) if s == stored => Some(Form::Stored),
        _ => None,
    }
}

/// One frame, and what it is.
struct Given {
    bytes: Bytes,
    media: String,
    /// Names these bytes for ever.
    tag: [u8; 32],
}

/// What a request for pixels of an instance found.
pub(super) struct Found {
    pub row: InstanceRow,
    /// Its packs, in which its frames are looked for.
    pub packs: Vec<Arc<Pack>>,
    /// Why it has no pixels, or that it is still being made ready.
    pub without: Option<Refused>,
}

impl Found {
    /// A frame, counted from 1, and where it lies.
    pub fn frame(&self, number: u32) -> Option<(&Arc<Pack>, u32, &Frame)> {
        self.packs.iter().find_map(|pack| {
            let frames = &pack.index.frames;
            let at = frames
                .iter()
                .position(|f| f.number == number && f.sop == self.row.uid)?;
            Some((pack, u32::try_from(at).ok()?, frames.get(at)?))
        })
    }
}

/// Finds an instance, written down, and the packs of its series.
pub(super) async fn find(
    app: &Arc<App>,
    caller: &Caller,
    study: &str,
    series: &str,
    instance: &str,
) -> Result<Found, Refused> {
    let row = wado::one(app, caller, study, series, instance).await?;
    let (permit, _) = permit(app, caller, study).await?;
    let sealed = app.store.pixels(&permit, Some(study)).await?;
    let shown = app.open(&permit, sealed).await?;
    let shown = shown
        .into_iter()
        .find(|s| s.series == series)
        .ok_or_else(not_found)?;
    let (packs, again) = tokio::task::block_in_place(|| app.packs.of(app, series, &shown.packs))?;
    let why = shown
        .without
        .into_iter()
        .find(|(uid, _)| uid == instance)
        .map(|(_, why)| why);
    let without = match why {
        Some(why) => Some(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            ErrorCode::NotFound,
            format!("This object cannot be shown: {why}."),
        )),
        None if again || shown.preparing > 0 => Some(Refused::busy(2)),
        None => None,
    };
    Ok(Found { row, packs, without })
}

impl Found {
    /// The frame, or why there is none.
    pub fn need(&self, number: u32) -> Result<(&Arc<Pack>, u32, &Frame), Refused> {
        if let Some(found) = self.frame(number) {
            return Ok(found);
        }
        Err(match &self.without {
            Some(why) => why.clone(),
            None => not_found(),
        })
    }
}

/// Every segment of a frame up to a layer.
pub(super) fn segments(pack: &Pack, at: u32, frame: &Frame, layer: u8) -> Result<Vec<Vec<u8>>, Refused> {
    let most = match frame.coding {
        Coding::Zstd => 1,
        Coding::HtJ2k => frame.segments.len().min(usize::from(layer) + 1),
    };
    let read = |s: usize| pack.segment(at, u8::try_from(s).unwrap_or(u8::MAX));
    let all: Result<Vec<_>, _> = (0..most).map(read).collect();
    Ok(all?)
}

/// A frame decoded, checked against what was noted of its pixels.
fn decoded(pack: &Pack, at: u32, frame: &Frame) -> Result<Vec<u8>, Refused> {
    let segments = segments(pack, at, frame, u8::MAX)?;
    let segments: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
    let image = layers::decode(frame.shape, frame.coding, &segments).map_err(|_| damaged())?;
    if vitrine_pixels::digest(&image.plain) != frame.pixels {
        return Err(damaged());
    }
    Ok(image.plain)
}

fn damaged() -> Refused {
    std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "a pack does not give its pixels back",
    )
    .into()
}

/// Whether decoded samples mean something else than the header says. Plain values have no header of their own: whoever gets
/// them reads them by the metadata (PS3.5 §8.2: native pixel data are what the attributes say), and those are of the
/// compressed original. A colour JPEG is the case in practice: its header says `YBR_FULL_422`, decoded it is RGB. The
/// transforms of JPEG 2000 and JPEG XL are undone by decoding (PS3.5 §A.4.4), and nothing plain has their names.
fn contradicts(frame: &Frame, header: &Value) -> bool {
    let Some(said) = text(header, "00280004") else {
        return false;
    };
    let same: &[&str] = match frame.colour {
        Colour::Monochrome1 => &["MONOCHROME1"],
        Colour::Monochrome2 => &["MONOCHROME2"],
        Colour::Palette => &["PALETTE COLOR"],
        Colour::Rgb => &["RGB", "YBR_RCT", "YBR_ICT", "XYB"],
        Colour::YbrFull => &["YBR_FULL"],
    };
    !same.contains(&said)
}

/// Plain values as the header announces them: so many bits allocated, the highest where it says, plane after plane where it
/// says so.
fn allocated(plain: Vec<u8>, frame: &Frame, header: &Value) -> Vec<u8> {
    let wide = widened(plain, frame, header);
    let samples = usize::from(frame.shape.samples);
    let pixels = frame.shape.columns as usize * frame.shape.rows as usize;
    if samples < 2 || pixels == 0 || number(header, "00280006") != Some(1) {
        return wide;
    }
    let bytes = wide.len() / (pixels * samples);
    let mut out = Vec::with_capacity(wide.len());
    for sample in 0..samples {
        for pixel in wide.chunks_exact((bytes * samples).max(1)) {
            out.extend_from_slice(&pixel[sample * bytes..(sample + 1) * bytes]);
        }
    }
    out
}

fn widened(plain: Vec<u8>, frame: &Frame, header: &Value) -> Vec<u8> {
    let bits = frame.shape.bits;
    let has = if bits <= 8 {
        1
    } else if bits <= 16 {
        2
    } else {
        4
    };
    let said = number(header, "00280100").unwrap_or(0);
    if said == 1 {
        return plain
            .chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |b, (i, v)| b | (v & 1) << i))
            .collect();
    }
    let wide = usize::try_from(said / 8).unwrap_or(0).clamp(has, 8);
    let high = number(header, "00280102").unwrap_or(0);
    let shift = u32::try_from(high + 1 - i64::from(bits)).unwrap_or(0).min(63);
    if wide == has && shift == 0 {
        return plain;
    }
    let mut out = Vec::with_capacity(plain.len() / has * wide);
    for sample in plain.chunks_exact(has) {
        let negative = frame.shape.signed && sample.last().is_some_and(|b| b & 0x80 != 0);
        let mut whole = [if negative { 0xFF } else { 0 }; 8];
        whole[..has].copy_from_slice(sample);
        out.extend_from_slice(&(u64::from_le_bytes(whole) << shift).to_le_bytes()[..wide]);
    }
    out
}

/// The bytes of a frame in the object as it was stored.
fn stored(app: &App, row: &InstanceRow, number: u32) -> Result<Bytes, Refused> {
    let mut reading = app.images.blobs().read(&row.blob)?;
    let len = reading.len();
    let scanned = scan(&mut reading, len).map_err(|_| not_found())?;
    let at = scanned.frame(number - 1).map_err(|_| not_found())?;
    if at.len() > BYTES_MOST as u64 {
        return Err(bad(
            "this frame is too large to be given by itself: ask for the object",
        ));
    }
    let mut out = Vec::new();
    for range in &at.ranges {
        reading.seek(SeekFrom::Start(range.start))?;
        (&mut reading)
            .take(range.end - range.start)
            .read_to_end(&mut out)?;
    }
    Ok(Bytes::from(out))
}

fn other_colours(instead: &str) -> Refused {
    let text = format!(
        "Decoded, this frame has other samples than its Photometric Interpretation (0028,0004) says, and would be shown in \
         wrong colours: {instead}, or ask for …/rendered."
    );
    Refused::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadRequest, text)
}

fn give(
    app: &App,
    found: &Found,
    form: Form,
    number: u32,
    syntax: &str,
    header: &Value,
) -> Result<Given, Refused> {
    let (bytes, media) = match form {
        Form::Stored => {
            let bytes = stored(app, &found.row, number)?;
            (bytes, format!("{}; transfer-syntax={syntax}", media(syntax)))
        }
        Form::Plain | Form::Any => {
            let (pack, at, frame) = found.need(number)?;
            if contradicts(frame, header) {
                return Err(other_colours("accept it as stored (transfer-syntax=*)"));
            }
            let plain = allocated(decoded(pack, at, frame)?, frame, header);
            (
                Bytes::from(plain),
                format!("application/octet-stream; transfer-syntax={EXPLICIT_LE}"),
            )
        }
        Form::HtJ2k => {
            let (pack, at, frame) = found.need(number)?;
            if contradicts(frame, header) {
                return Err(other_colours("accept it as stored (transfer-syntax=*)"));
            }
            if frame.coding != Coding::HtJ2k {
                let text = "This frame is not kept as HTJ2K: accept application/octet-stream.";
                return Err(Refused::new(
                    StatusCode::NOT_ACCEPTABLE,
                    ErrorCode::BadRequest,
                    text,
                ));
            }
            let bytes = segments(pack, at, frame, u8::MAX)?.concat();
            (
                Bytes::from(bytes),
                format!("image/jphc; transfer-syntax={}", HTJ2K[1]),
            )
        }
    };
    let tag = Sha256::digest(&bytes).into();
    Ok(Given { bytes, media, tag })
}

/// `GET …/instances/{instance}/frames/{list}`: one or more frames, by number from 1, `1,2,3`.
///
/// # Errors
/// [`Refused`].
pub async fn frames(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance, list)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let list: Option<Vec<u32>> = list
        .split(',')
        .map(|n| n.trim().parse().ok().filter(|n| *n > 0))
        .collect();
    let list = list.ok_or_else(|| bad("frames are numbers from 1 on, with commas between them"))?;
    if list.len() > FRAMES_MOST {
        return Err(bad(format!("ask for at most {FRAMES_MOST} frames at once")));
    }
    let found = find(&app, &caller, &study, &series, &instance).await?;
    let mut kept = kept(&found.row.header);
    let mut syntax = kept
        .get("syntax")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let header = kept.remove("json").unwrap_or_default();
    let (mut form, parts) = wanted(&headers, &syntax).ok_or_else(|| {
        let text =
            "Frames are given as stored (transfer-syntax=*), as image/jphc or as application/octet-stream.";
        Refused::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadRequest, text)
    })?;
    let is_plain =
        syntax::of(&syntax).is_some_and(|s| s.codec == Codec::Plain && !s.big_endian && !s.deflated);
    if form == Form::Any {
        let odd = |n: &u32| found.frame(*n).is_some_and(|(_, _, f)| contradicts(f, &header));
        form = if list.iter().any(odd) {
            Form::Stored
        } else {
            Form::Plain
        };
    }
    if form == Form::Plain && is_plain && number(&header, "00280100") != Some(1) {
        // It is what was stored, byte for byte, in planes or not as its header says.
        form = Form::Stored;
        EXPLICIT_LE.clone_into(&mut syntax);
    }
    if !parts && list.len() != 1 {
        return Err(bad("several frames come as multipart/related"));
    }
    if form == Form::Stored {
        app.copies.home(std::slice::from_ref(&found.row)).await?;
    }
    // What is decoded is decoded by few at once.
    let _place = match form {
        Form::Plain | Form::Any => Some(app.decodes.place().await?),
        Form::Stored | Form::HtJ2k => None,
    };
    let mut given: Vec<Given> = Vec::with_capacity(list.len());
    for number in list {
        if given.iter().map(|g| g.bytes.len()).sum::<usize>() > BYTES_MOST {
            return Err(bad(
                "these frames are too much for one answer: ask for fewer at once",
            ));
        }
        let frame = tokio::task::block_in_place(|| give(&app, &found, form, number, &syntax, &header));
        given.push(frame.inspect_err(|refused| {
            if form == Form::Stored && refused.status == StatusCode::SERVICE_UNAVAILABLE {
                app.copies.suspect(&found.row.uid);
            }
        })?);
    }
    let mut tag = Sha256::new_with_prefix([u8::from(parts)]);
    for g in &given {
        tag.update(g.media.as_bytes());
        tag.update(g.tag);
    }
    let tag = crate::keys::hex(&tag.finalize());
    let (media, body) = match &given[..] {
        [one] if !parts => (one.media.clone(), one.bytes.clone()),
        all => {
            // From the content, so that a range of it is a range of the same bytes tomorrow.
            let boundary = format!("vitrine-{}", &tag[..32]);
            let mut body = BytesMut::new();
            for g in all {
                body.extend_from_slice(&multipart::before(&boundary, &g.media));
                body.extend_from_slice(&g.bytes);
                body.extend_from_slice(&multipart::after());
            }
            body.extend_from_slice(&multipart::end(&boundary));
            let kind = all
                .first()
                .map_or("", |g| g.media.split(';').next().unwrap_or_default());
            (
                format!("multipart/related; type=\"{kind}\"; boundary={boundary}"),
                body.freeze(),
            )
        }
    };
    Ok(ranged(&headers, &media, &tag, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;
    use vitrine_pixels::Shape;

    fn accept(text: &str) -> HeaderMap {
        let mut out = HeaderMap::new();
        if !text.is_empty() {
            out.insert(header::ACCEPT, text.parse().unwrap());
        }
        out
    }

    #[test]
    fn a_frame_is_given_in_the_form_that_is_accepted() {
        let jls = "1.2.840.10008.1.2.4.80";
        for (said, expected) in [
            ("", Some((Form::Any, true))),
            (
                "multipart/related; type=\"application/octet-stream\"",
                Some((Form::Plain, true)),
            ),
            (
                "multipart/related; type=application/octet-stream; transfer-syntax=*",
                Some((Form::Stored, true)),
            ),
            (
                "multipart/related; type=\"application/octet-stream\"; transfer-syntax=1.2.840.10008.1.2.1",
                Some((Form::Plain, true)),
            ),
            ("application/octet-stream", Some((Form::Plain, false))),
            ("image/jphc", Some((Form::HtJ2k, false))),
            (
                "multipart/related; type=\"image/jphc\"; transfer-syntax=1.2.840.10008.1.2.4.202",
                Some((Form::HtJ2k, true)),
            ),
            ("image/jls", Some((Form::Stored, false))),
            (
                "multipart/related; type=\"image/jpeg\", multipart/related; type=\"image/jls\"",
                Some((Form::Stored, true)),
            ),
            (
                "multipart/related; type=\"image/jls\"; transfer-syntax=1.2.840.10008.1.2.4.80",
                Some((Form::Stored, true)),
            ),
            ("multipart/related; type=\"image/jpeg\"", None),
            ("image/jphc; transfer-syntax=1.2.840.10008.1.2.4.203", None),
            ("text/html", None),
        ] {
            assert_eq!(wanted(&accept(said), jls), expected, "{said}");
        }
    }

    #[test]
    fn plain_values_are_as_wide_as_the_header_says() {
        let frame = |bits: u8, signed: bool| Frame {
            sop: "1.2".into(),
            number: 1,
            shape: Shape {
                columns: 2,
                rows: 1,
                samples: 1,
                bits,
                signed,
            },
            coding: Coding::Zstd,
            colour: Colour::Monochrome2,
            lossy: false,
            pixels: [0; 32],
            low: 0,
            high: 0,
            segments: Vec::new(),
            display: Vec::new(),
        };
        let header = |allocated: u16, high: u16| serde_json::json!({"00280100": {"Value": [allocated]}, "00280102": {"Value": [high]}});
        for (bits, signed, allocated_bits, high, plain, expected) in [
            (8, false, 8, 7, vec![1, 255], vec![1, 255]),
            (8, false, 16, 7, vec![1, 255], vec![1, 0, 255, 0]),
            (7, true, 16, 6, vec![1, 0xFF], vec![1, 0, 0xFF, 0xFF]),
            (12, false, 16, 11, vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
            (12, false, 16, 15, vec![1, 2, 3, 4], vec![0x10, 0x20, 0x30, 0x40]),
            (1, false, 1, 0, vec![1, 0, 1, 1, 0, 0, 0, 0, 1], vec![0b1101, 1]),
        ] {
            let out = allocated(plain, &frame(bits, signed), &header(allocated_bits, high));
            assert_eq!(out, expected, "{bits} of {allocated_bits}");
        }
    }
}
