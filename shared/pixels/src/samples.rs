//! Samples made visible: rescale, window, palette and inversion to 8 bits, for images that the server renders and for a
//! screen without a shader (PS3.3 C.7.6.3, C.11.1, C.11.2). Never here: an encoder of JPEG or PNG, a reader of DICOM headers.
//! Called by the server (`/rendered`, thumbnails) and the workstation engine.

use crate::layers::Decoded;
use crate::{Colour, Shape, ShapeError};

/// VOI LUT Function (PS3.3 C.11.2.1.2 and C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Function {
    /// LINEAR, the default.
    #[default]
    Linear,
    /// LINEAR_EXACT.
    LinearExact,
    /// SIGMOID.
    Sigmoid,
}

/// A window over rescaled values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Window Center.
    pub center: f64,
    /// Window Width; less than 1 (LINEAR) or not above 0 counts as the least that the function allows.
    pub width: f64,
    /// VOI LUT Function.
    pub function: Function,
}

impl Window {
    /// Brightness of a rescaled value, from 0 (black) to 1.
    pub fn apply(&self, x: f64) -> f64 {
        let least = if self.function == Function::Linear {
            1.0
        } else {
            f64::MIN_POSITIVE
        };
        let (c, w) = (self.center, self.width.max(least));
        let y = match self.function {
            Function::Linear => {
                let (c, w) = (c - 0.5, w - 1.0);
                if x <= c - w / 2.0 {
                    0.0
                } else if x > c + w / 2.0 {
                    1.0
                } else {
                    (x - c) / w + 0.5
                }
            }
            Function::LinearExact => (x - c) / w + 0.5,
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - c) / w).exp()),
        };
        // a value that is no number is shown black
        if y.is_nan() { 0.0 } else { y.clamp(0.0, 1.0) }
    }
}

/// How monochrome samples become brightness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Rescale Slope and Intercept; (1, 0) for none.
    pub rescale: (f64, f64),
    /// The window; without one the image's own least and greatest value are black and white.
    pub window: Option<Window>,
    /// Whether to invert, on top of what MONOCHROME1 asks for.
    pub invert: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            rescale: (1.0, 0.0),
            window: None,
            invert: false,
        }
    }
}

/// Palette colour tables (PS3.3 C.7.9), entries already reduced to 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    /// The sample that the first entry is for; samples before it take the first entry, samples behind the last the last.
    pub first: i32,
    /// Red, green and blue of each entry.
    pub entries: Vec<[u8; 3]>,
}

/// Pixels of 8 bits for an encoder or a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Columns.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// 1 (grey) or 3 (red, green, blue side by side).
    pub samples: u8,
    /// The bytes, rows top to bottom.
    pub bytes: Vec<u8>,
}

/// Why an image cannot be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The image does not have the shape given with it.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The colour has another number of samples than the shape.
    #[error("colour and samples do not go together")]
    Colour,
    /// A palette image without tables.
    #[error("no palette")]
    Palette,
}

/// Renders a decoded image, full or smaller, of a frame of this shape.
///
/// Monochrome and palette images pass through `look` or `palette`; colour ones are reduced to their top 8 bits, YBR_FULL
/// converted (PS3.3 C.7.6.3.1.2); `look.invert` counts for all, windows for monochrome only.
///
/// # Errors
/// [`RenderError`].
pub fn render(
    image: &Decoded,
    shape: &Shape,
    colour: Colour,
    look: &Look,
    palette: Option<&Palette>,
) -> Result<Rendered, RenderError> {
    let shape = Shape {
        columns: image.columns,
        rows: image.rows,
        ..*shape
    };
    shape.check_len(&image.plain)?;
    if colour.samples() != shape.samples {
        return Err(RenderError::Colour);
    }
    let mut bytes = match colour {
        Colour::Monochrome1 | Colour::Monochrome2 => grey(&shape, &image.plain, look),
        Colour::Palette => {
            let palette = palette
                .filter(|p| !p.entries.is_empty())
                .ok_or(RenderError::Palette)?;
            let mut out = Vec::with_capacity(image.plain.len() * 3);
            each(&shape, &image.plain, |v| {
                let at = usize::try_from(v - i64::from(palette.first)).unwrap_or(0);
                let entry = palette.entries.get(at).or(palette.entries.last());
                out.extend_from_slice(entry.unwrap_or(&[0; 3]));
            });
            out
        }
        Colour::Rgb | Colour::YbrFull => {
            let (low, _) = shape.bounds();
            let down = u32::from(shape.bits.saturating_sub(8));
            let top = (1i64 << shape.bits.min(8)) - 1;
            let mut out = Vec::with_capacity(image.plain.len());
            each(&shape, &image.plain, |v| {
                out.push((((v - low) >> down) * 255 / top) as u8)
            });
            if colour == Colour::YbrFull {
                out.as_chunks_mut::<3>().0.iter_mut().for_each(|p| *p = rgb(*p));
            }
            out
        }
    };
    if look.invert != (colour == Colour::Monochrome1) {
        bytes.iter_mut().for_each(|b| *b = 255 - *b);
    }
    Ok(Rendered {
        columns: image.columns,
        rows: image.rows,
        samples: if matches!(colour, Colour::Monochrome1 | Colour::Monochrome2) {
            1
        } else {
            3
        },
        bytes,
    })
}

/// Red, green, blue of a full-range Y, Cb, Cr.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    // `as` saturates at 0 and 255
    [
        (y + 1.402 * cr).round() as u8,
        (y - 0.344_136 * cb - 0.714_136 * cr).round() as u8,
        (y + 1.772 * cb).round() as u8,
    ]
}

/// Calls `to` with every sample of checked plain bytes.
fn each(shape: &Shape, plain: &[u8], mut to: impl FnMut(i64)) {
    match (shape.width(), shape.signed) {
        (1, false) => plain.iter().for_each(|v| to(i64::from(*v))),
        (1, true) => plain.iter().for_each(|v| to(i64::from(v.cast_signed()))),
        (2, false) => two(plain).for_each(|v| to(i64::from(u16::from_le_bytes(*v)))),
        (2, true) => two(plain).for_each(|v| to(i64::from(i16::from_le_bytes(*v)))),
        (_, false) => four(plain).for_each(|v| to(i64::from(u32::from_le_bytes(*v)))),
        (_, true) => four(plain).for_each(|v| to(i64::from(i32::from_le_bytes(*v)))),
    }
}

fn two(plain: &[u8]) -> impl Iterator<Item = &[u8; 2]> {
    plain.as_chunks::<2>().0.iter()
}

fn four(plain: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    plain.as_chunks::<4>().0.iter()
}

/// Brightness of monochrome samples before any inversion.
fn grey(shape: &Shape, plain: &[u8], look: &Look) -> Vec<u8> {
    let (slope, intercept) = look.rescale;
    let window = look.window.unwrap_or_else(|| {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        each(shape, plain, |v| (low, high) = (low.min(v), high.max(v)));
        let (a, b) = (low as f64 * slope + intercept, high as f64 * slope + intercept);
        Window {
            center: f64::midpoint(a, b),
            width: (a - b).abs().max(1.0),
            function: Function::LinearExact,
        }
    });
    let shade = |v: i64| (window.apply(v as f64 * slope + intercept) * 255.0).round() as u8;
    let mut out = Vec::with_capacity(plain.len() / shape.width());
    if shape.bits <= 16 {
        // one table entry for every value that the stored bits can hold
        let (low, high) = shape.bounds();
        let table: Vec<u8> = (low..=high).map(shade).collect();
        let find = |v: i64| usize::try_from(v - low).ok().and_then(|i| table.get(i)).copied();
        each(shape, plain, |v| out.push(find(v).unwrap_or(0)));
    } else {
        each(shape, plain, |v| out.push(shade(v)));
    }
    out
}
