//! JPEG XL (ISO/IEC 18181), by `jxl-oxide`.
//!
//! Lives here: its size checked before its pixels are, its samples back to whole numbers. Never here: its colour
//! management: samples come as they were coded. Called by [`mod@crate::decode`], which catches its panics.

use crate::cells::Cells;
use crate::decode::{Stream, agree};
use crate::{Job, PLAIN_MOST, Refused};
use jxl_oxide::{AllocTracker, JxlImage, JxlThreadPool};

const CODEC: &str = "JPEG XL";

/// The samples of a frame.
pub fn decode(job: &Job) -> Result<Stream, Refused> {
    let fault = |e: Box<dyn std::error::Error + Send + Sync>| Refused::damaged(CODEC, e.to_string());
    let limit = usize::try_from(PLAIN_MOST).unwrap_or(usize::MAX);
    let image = JxlImage::builder()
        .pool(JxlThreadPool::none())
        .alloc_tracker(AllocTracker::with_limit(limit))
        .read(job.bytes.as_slice())
        .map_err(fault)?;
    agree("columns", job.columns, image.width())?;
    agree("rows", job.rows, image.height())?;
    let header = image.image_header();
    let depth = header.metadata.bit_depth;
    let precision = depth.bits_per_sample();
    if matches!(depth, jxl_oxide::image::BitDepth::FloatSample { .. }) || precision > 16 {
        return Err(Refused::NoDecoder(format!(
            "JPEG XL of floating point or {precision} bits"
        )));
    }
    let xyb = header.metadata.xyb_encoded;
    let lossy = xyb
        || image
            .frame_header(0)
            .is_none_or(|h| h.encoding == jxl_oxide::frame::Encoding::VarDct);
    if image.num_loaded_keyframes() != 1 {
        return Err(Refused::damaged(CODEC, "not one frame"));
    }
    let render = image.render_frame(0).map_err(fault)?;
    let mut stream = render.stream_no_alpha();
    agree("samples", job.samples.into(), stream.channels())?;
    let count = (stream.width() as usize)
        .saturating_mul(stream.height() as usize)
        .saturating_mul(stream.channels() as usize);
    let mut samples = vec![0f32; count];
    if stream.write_to_buffer(&mut samples) != count {
        return Err(Refused::damaged(CODEC, "it ends early"));
    }
    // Samples come as parts of the greatest.
    let most = ((1u32 << precision) - 1) as f32;
    let words = samples
        .into_iter()
        .map(|s| (s.clamp(0.0, 1.0) * most).round() as u16)
        .collect();
    Ok(Stream {
        cells: Cells::Words(words),
        precision,
        extends: false,
        lossy,
        colour: None,
    })
}
