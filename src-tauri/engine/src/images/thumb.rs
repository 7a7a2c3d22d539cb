//! A small picture of a series for the strip: layer 0 of a frame in its middle, with its first window, as PNG.

use super::header::Beside;
use super::packs::LAYERS;
use super::{Shared, socket};
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vitrine_dicom::display::{Display, Voi};
use vitrine_pixels::pack::{self, Frame};
use vitrine_pixels::samples::{Function, Look, Palette, Rendered, Window, render};
use vitrine_pixels::{Colour, layers};
use vitrine_store_sqlcipher::workstation::OpenSeries;

/// Longest wait for the server.
const WAIT: Duration = Duration::from_secs(5);

/// A frame with what is here of its segments, by layer.
type Found = (Frame, BTreeMap<u8, Vec<u8>>);

/// The picture of a series that a list names; fetched when nothing of it is here. `None` when there is none or the list
/// is not known any more.
pub(crate) async fn thumbnail(station: Arc<Station>, token: String, series: String) -> Option<Vec<u8>> {
    let leave = {
        let core = station.imaging.shared.core();
        let listed = core.lists.get(&token)?;
        listed.leave.series(listed.studies.get(&series)?, &series)
    };
    let of = leave.clone();
    let here = tokio::task::spawn_blocking(move || stored(&of).and_then(|f| drawn(&f)));
    if let Some(png) = here.await.ok().flatten() {
        return Some(png);
    }
    let found = fetched(&station, &leave).await?;
    tokio::task::spawn_blocking(move || drawn(&found))
        .await
        .ok()
        .flatten()
}

fn drawn((frame, segments): &Found) -> Option<Vec<u8>> {
    let layers: Vec<u8> = (0..frame.segments.len())
        .map(|n| frame.coding.layer(&frame.shape, n))
        .collect();
    let mut prefix: Vec<&[u8]> = Vec::new();
    for (layer, s) in layers.iter().zip(&frame.segments) {
        match segments.get(layer) {
            // 128 pixels are enough; of indices into a palette a smaller image is none.
            Some(b)
                if pack::verify(b, s).is_ok()
                    && (prefix.is_empty() || *layer <= 1 || frame.colour == Colour::Palette) =>
            {
                prefix.push(b);
            }
            _ => break,
        }
    }
    if frame.colour == Colour::Palette && prefix.len() < frame.segments.len() {
        return None;
    }
    let decoded = layers::decode(frame.shape, frame.coding, &prefix).ok()?;
    picture(&rendered(&decoded, frame)?)
}

/// Opens the series at the server, which sends a first frame by itself, and closes it again.
async fn fetched(station: &Arc<Station>, leave: &OpenSeries) -> Option<Found> {
    let shared = &station.imaging.shared;
    let _turn = shared.thumbnails.acquire().await.ok()?;
    station.imaging.begin();
    let number = {
        let mut core = shared.core();
        station.session().as_ref()?.token.as_ref()?;
        let number = core.enter(leave, None, 64).ok()?;
        core.ask_open(number);
        number
    };
    socket::wake(station);
    let found = tokio::time::timeout(WAIT, first(shared, number))
        .await
        .ok()
        .flatten();
    shared.core().leave_view(number);
    found
}

async fn first(shared: &Arc<Shared>, number: u32) -> Option<Found> {
    loop {
        let mut changed = {
            let core = shared.core();
            let v = core.views.get(&number)?;
            let mut changed = v.changed.subscribe();
            changed.borrow_and_update();
            for slot in &v.numbered {
                let Some(p) = core.packs.get(*slot) else { continue };
                let here = p
                    .frames
                    .iter()
                    .position(|f| f.here() > 0)
                    .and_then(|n| u32::try_from(n).ok());
                if let Some(at) = here.map(|n| (*slot, n)) {
                    let frame = core.packs.frame(at)?;
                    let segments = core.packs.in_ram(at);
                    let segments = segments.into_iter().map(|(l, b)| (l, b.to_vec())).collect();
                    return Some((Frame::clone(&frame), segments));
                }
            }
            if v.refused.is_some() || core.line.down().is_some() {
                return None;
            }
            changed
        };
        changed.changed().await.ok()?;
    }
}

/// A frame in the middle of what is here, with its segments.
fn stored(leave: &OpenSeries) -> Option<Found> {
    let held = leave.held().ok().flatten()?;
    let all = held.packs.iter().enumerate().flat_map(|(n, p)| {
        let here = p.layers.iter().enumerate();
        here.filter(|(_, bits)| **bits & ((1 << LAYERS) - 1) != 0)
            .map(move |(f, _)| (n, f))
    });
    let all: Vec<(usize, usize)> = all.collect();
    let (n, f) = all.get(all.len() / 2).copied()?;
    let p = held.packs.get(n)?;
    let number = u32::try_from(f).ok()?;
    let (first, _, body) = p
        .pieces
        .iter()
        .find(|(first, frames, _)| (*first..first.saturating_add(*frames)).contains(&number))?;
    let index = usize::try_from(number - first).ok()?;
    let frame = pack::read_piece(body).ok()?.into_iter().nth(index)?;
    Some((frame, leave.segments(&p.hash, number).ok()?))
}

fn rendered(decoded: &layers::Decoded, frame: &Frame) -> Option<Rendered> {
    let beside = Beside::read(&frame.display, frame.number);
    let display: Display = serde_json::from_str(&beside.display).unwrap_or_default();
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
        // MONOCHROME1 is inverted by its colour.
        invert: false,
    };
    let palette = display.palette.as_ref().map(palette);
    if frame.colour == Colour::Palette && palette.is_none() {
        return None;
    }
    render(decoded, &frame.shape, frame.colour, &look, palette.as_ref()).ok()
}

fn palette(p: &vitrine_dicom::display::Palette) -> Palette {
    Palette {
        first: p.first,
        entries: p.rgb.as_chunks::<3>().0.to_vec(),
    }
}

fn picture(r: &Rendered) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, r.columns, r.rows);
    encoder.set_color(if r.samples == 1 {
        png::ColorType::Grayscale
    } else {
        png::ColorType::Rgb
    });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&r.bytes).ok()?;
    writer.finish().ok()?;
    Some(out)
}
