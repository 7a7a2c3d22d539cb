//! The pixels of phantoms.
//!
//! Lives here: ellipses and noise, in numbers that are the same on every machine (no sine, no fused operations). Never
//! here: headers. Called by [`super`].

use super::{Kind, Phantom, mix};

/// An ellipse in fractions of the frame, and the value in it.
struct Ellipse {
    x: f64,
    y: f64,
    rx: f64,
    ry: f64,
    value: i32,
}

const fn ellipse(x: f64, y: f64, rx: f64, ry: f64, value: i32) -> Ellipse {
    Ellipse { x, y, rx, ry, value }
}

/// A generator of noise, one for each row.
struct Noise(u64);

impl Noise {
    fn step(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
    /// Like a Gaussian: the sum of four uniform numbers, with this standard deviation (times 65536/37837).
    fn around_zero(&mut self, scale: i64) -> i32 {
        let n = self.step();
        let sum = (n & 0xFFFF) + (n >> 16 & 0xFFFF) + (n >> 32 & 0xFFFF) + (n >> 48);
        // At most 131070 × the scale, divided by 65536.
        let noise = (i64::try_from(sum).unwrap_or(0) - 131_070) * scale / 65_536;
        i32::try_from(noise).unwrap_or(0)
    }
}

/// The scale for a standard deviation.
const fn sigma(of: i64) -> i64 {
    of * 65_536 / 37_837
}

/// How far through the series: 0 to 1; and a hump that is 0 at both ends and 1 in the middle.
fn along(phantom: &Phantom, slice: u32) -> (f64, f64) {
    let last = phantom.count.saturating_sub(1).max(1);
    let t = f64::from(slice.min(last)) / f64::from(last);
    (t, 4.0 * t * (1.0 - t))
}

/// A trunk in Hounsfield units.
fn trunk(t: f64, hump: f64) -> Vec<Ellipse> {
    let lung = 0.02 + 0.13 * hump;
    vec![
        ellipse(0.5, 0.52, 0.42, 0.30 + 0.03 * hump, -100),
        ellipse(0.5, 0.52, 0.39, 0.27 + 0.03 * hump, 45),
        ellipse(0.5 - 0.19, 0.48, lung, lung * 1.3, -850),
        ellipse(0.5 + 0.19, 0.48, lung, lung * 1.3, -850),
        ellipse(0.56, 0.45, 0.05 + 0.06 * hump, 0.06 + 0.05 * hump, 55),
        ellipse(0.33, 0.50, 0.11 * t, 0.13 * t, 62),
        ellipse(0.5, 0.70, 0.055, 0.045, 420),
        ellipse(0.5, 0.695, 0.020, 0.016, 30),
        ellipse(0.455, 0.62, 0.018, 0.018, 180),
        ellipse(0.5 - 0.33, 0.52, 0.012, 0.030, 600),
        ellipse(0.5 + 0.33, 0.52, 0.012, 0.030, 600),
        // The table.
        ellipse(0.5, 0.93, 0.40, 0.012, -300),
    ]
}

/// A head, in arbitrary units.
fn head(t: f64, hump: f64) -> Vec<Ellipse> {
    let size = 0.15 + 0.25 * hump;
    vec![
        ellipse(0.5, 0.5, size, size * 1.2, 900),
        ellipse(0.5, 0.5, size * 0.93, size * 1.13, 120),
        ellipse(0.5, 0.5, size * 0.88, size * 1.07, 620),
        ellipse(0.5, 0.5, size * 0.70, size * 0.86, 760),
        ellipse(0.5 - 0.05, 0.46, 0.025 + 0.02 * t, 0.08 * hump, 240),
        ellipse(0.5 + 0.05, 0.46, 0.025 + 0.02 * t, 0.08 * hump, 240),
    ]
}

/// A chest from the front, in 14 bits.
const CHEST: &[Ellipse] = &[
    ellipse(0.5, 0.60, 0.46, 0.62, 9_500),
    ellipse(0.30, 0.46, 0.15, 0.33, 4_300),
    ellipse(0.70, 0.46, 0.15, 0.33, 4_100),
    ellipse(0.5, 0.50, 0.055, 0.50, 11_800),
    ellipse(0.57, 0.62, 0.14, 0.16, 10_600),
    ellipse(0.28, 0.16, 0.20, 0.018, 9_900),
    ellipse(0.72, 0.16, 0.20, 0.018, 9_900),
    ellipse(0.5, 0.10, 0.016, 0.16, 6_200),
    ellipse(0.33, 0.88, 0.22, 0.14, 11_200),
    ellipse(0.64, 0.35, 0.012, 0.010, 7_900),
];

/// A heart that beats once in 30 frames, in 8 bits.
fn chambers(slice: u32) -> Vec<Ellipse> {
    let beat = f64::from(slice % 30) / 30.0;
    let open = 4.0 * beat * (1.0 - beat);
    vec![
        ellipse(0.5, 0.62, 0.30, 0.40, 90),
        ellipse(0.44, 0.55, 0.07 + 0.04 * open, 0.14 + 0.04 * open, 14),
        ellipse(0.60, 0.55, 0.05 + 0.03 * open, 0.11 + 0.03 * open, 16),
        ellipse(0.45, 0.80, 0.09 - 0.03 * open, 0.07 - 0.02 * open, 12),
        ellipse(0.52, 0.70, 0.012, 0.05, 210),
    ]
}

/// Fills a row with the ellipses that it crosses, later ones over earlier ones.
fn fill(line: &mut [i32], y: f64, background: i32, ellipses: &[Ellipse]) {
    line.fill(background);
    let width = line.len() as f64;
    for e in ellipses {
        let dy = (y - e.y) / e.ry;
        let left = 1.0 - dy * dy;
        if e.ry <= 0.0 || left <= 0.0 {
            continue;
        }
        let half = e.rx * left.sqrt();
        // Both within the row; a negative number becomes 0.
        let from = ((e.x - half) * width) as usize;
        let to = (((e.x + half) * width) as usize).min(line.len());
        if let Some(part) = line.get_mut(from..to) {
            part.fill(e.value);
        }
    }
}

/// The pixels of a frame, little endian.
pub fn frame(phantom: &Phantom, slice: u32) -> Vec<u8> {
    let (t, hump) = along(phantom, slice);
    let ellipses = match phantom.kind {
        Kind::Ct | Kind::CtSigned | Kind::EnhancedCt => trunk(t, hump),
        Kind::Mr | Kind::MrSigned => head(t, hump),
        Kind::UsCine | Kind::UsColor => chambers(slice),
        Kind::Cr | Kind::CrInverse | Kind::Rgb | Kind::Palette => Vec::new(),
    };
    let ellipses = if ellipses.is_empty() { CHEST } else { &ellipses };
    let len = usize::try_from(phantom.frame_len()).unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    let mut line = vec![0i32; usize::from(phantom.columns)];
    for row in 0..phantom.rows {
        let y = (f64::from(row) + 0.5) / f64::from(phantom.rows);
        let mut noise = Noise(mix(phantom.seed ^ mix(u64::from(slice) << 20 | u64::from(row))));
        let background = match phantom.kind {
            Kind::Ct | Kind::CtSigned | Kind::EnhancedCt => -1000,
            Kind::Cr | Kind::CrInverse | Kind::Rgb | Kind::Palette => 900,
            Kind::Mr | Kind::MrSigned => 12,
            Kind::UsCine | Kind::UsColor => 0,
        };
        fill(&mut line, y, background, ellipses);
        match phantom.kind {
            Kind::Ct | Kind::EnhancedCt => words(&line, &mut out, |v| {
                (v + 1024 + noise.around_zero(sigma(18))).clamp(0, 4095)
            }),
            Kind::CtSigned => words(&line, &mut out, |v| {
                (v + noise.around_zero(sigma(18))).clamp(-1024, 3071)
            }),
            Kind::Cr => words(&line, &mut out, |v| {
                (v + noise.around_zero(sigma(90))).clamp(0, 16_383)
            }),
            Kind::CrInverse => words(&line, &mut out, |v| {
                16_383 - (v + noise.around_zero(sigma(90))).clamp(0, 16_383)
            }),
            Kind::Mr => words(&line, &mut out, |v| {
                (v + noise.around_zero(sigma(14))).clamp(0, 4095)
            }),
            Kind::MrSigned => words(&line, &mut out, |v| {
                (v - 200 + noise.around_zero(sigma(14))).clamp(-4096, 4095)
            }),
            Kind::UsCine | Kind::UsColor => {
                let columns = f64::from(phantom.columns);
                for (x, v) in line.iter().enumerate() {
                    // The sector: as wide as it is deep.
                    let off = (x as f64 / columns - 0.5).abs();
                    let speckle = (noise.step() & 0x7F) as i32;
                    let value = if off < y * 0.55 {
                        *v * (speckle + 64) / 128 + speckle / 16
                    } else {
                        0
                    };
                    if phantom.kind == Kind::UsCine {
                        out.push(byte(value));
                        continue;
                    }
                    // What is dark in the sector flows, to the probe in one half of the beat and away in the other.
                    let flow = byte(160 + speckle / 2);
                    let is_flow = off < y * 0.55 && (1..20).contains(v);
                    out.extend_from_slice(&match (is_flow, slice % 30 < 15) {
                        (true, true) => [flow, 24, 24],
                        (true, false) => [24, 24, flow],
                        (false, _) => [byte(value); 3],
                    });
                }
            }
            Kind::Rgb => {
                for (x, v) in line.iter().enumerate() {
                    let grey = byte((v + noise.around_zero(sigma(200))) / 64);
                    // A coloured bar on the left, as captures have it.
                    let is_bar = x * 16 < line.len();
                    let part = byte((y * 255.0) as i32);
                    out.extend_from_slice(&if is_bar {
                        [part, 255 - part, 128]
                    } else {
                        [grey; 3]
                    });
                }
            }
            Kind::Palette => out.extend(
                line.iter()
                    .map(|v| byte((v + noise.around_zero(sigma(200))) / 64)),
            ),
        }
    }
    out
}

fn byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

fn words(line: &[i32], out: &mut Vec<u8>, mut value: impl FnMut(i32) -> i32) {
    // Every value is within sixteen bits, signed or not: the lower half is the number.
    out.extend(line.iter().flat_map(|v| (value(*v) as u16).to_le_bytes()));
}
