//! What a scan has learnt (T.87 Annex A).
//!
//! Lives here: parameters, contexts, prediction and its error. Never here: bits, rows. Called by [`super::scan`].

use super::bits::Bits;
use super::fault;
use crate::Refused;

/// Parameters as a file may set them; 0 stands for the default.
#[derive(Default)]
pub struct Preset {
    pub most: i32,
    pub t1: i32,
    pub t2: i32,
    pub t3: i32,
    pub reset: i32,
}

#[derive(Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// The contexts of a scan and its parameters.
pub struct Model {
    most: i32,
    near: i32,
    range: i32,
    /// Bits of an error that is not coded by its length.
    whole: u32,
    limit: u32,
    t: [i32; 3],
    reset: i32,
    contexts: Vec<Context>,
    /// Those of a run's end, of which `b` counts the negative errors.
    ends: [Context; 2],
}

/// How long a run that is coded by one bit is, as a power of 2 (T.87 Table in §A.2.1).
pub const J: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

impl Model {
    pub fn new(preset: &Preset, precision: u32, near: i32) -> Result<Self, Refused> {
        let greatest = (1 << precision) - 1;
        let most = if preset.most == 0 { greatest } else { preset.most };
        let reset = if preset.reset == 0 { 64 } else { preset.reset };
        if most > greatest || near > (most / 2).min(255) || !(3..=most.max(255)).contains(&reset) || most < 1
        {
            return Err(fault("parameters that cannot be"));
        }
        let t = thresholds(most, near);
        let or = |set: i32, default: i32| if set == 0 { default } else { set };
        let t = [or(preset.t1, t[0]), or(preset.t2, t[1]), or(preset.t3, t[2])];
        if !(near < t[0] && t[0] <= t[1] && t[1] <= t[2] && t[2] <= most) {
            return Err(fault("thresholds that cannot be"));
        }
        let range = (most + 2 * near) / (2 * near + 1) + 1;
        let log = |v: i32| u32::BITS - (v - 1).cast_unsigned().leading_zeros();
        let (whole, bits) = (log(range), log(most + 1).max(2));
        let fresh = Context {
            a: ((range + 32) / 64).max(2),
            b: 0,
            c: 0,
            n: 1,
        };
        Ok(Self {
            most,
            near,
            range,
            whole,
            limit: 2 * (bits + bits.max(8)),
            t,
            reset,
            contexts: vec![fresh; 365],
            ends: [fresh; 2],
        })
    }

    /// The region of a gradient (T.87 §A.3.3).
    fn region(&self, d: i32) -> i32 {
        let [t1, t2, t3] = self.t;
        let size = d.abs();
        let region = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        if d < 0 { -region } else { region }
    }

    /// The context of the three gradients; 0 begins a run.
    pub fn context(&self, around: Around) -> i32 {
        let Around { a, b, c, d } = around;
        81 * self.region(d - b) + 9 * self.region(b - c) + self.region(c - a)
    }

    pub fn is_near(&self, a: i32, b: i32) -> bool {
        (a - b).abs() <= self.near
    }

    /// A sample outside a run (T.87 §A.4 to §A.6).
    pub fn regular(&mut self, bits: &mut Bits<'_>, around: Around, context: i32) -> Result<i32, Refused> {
        let Around { a, b, c, .. } = around;
        let sign = if context < 0 { -1 } else { 1 };
        let (near, reset) = (self.near, self.reset);
        let (whole, limit, most, range) = (self.whole, self.limit, self.most, self.range);
        let index = usize::try_from(context.abs()).unwrap_or(0);
        let q = self
            .contexts
            .get_mut(index)
            .ok_or_else(|| fault("a context that cannot be"))?;
        let median = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let predicted = (median + sign * q.c).clamp(0, most);
        let k = golomb_parameter(q.n, q.a)?;
        let coded = bits.golomb(k, limit, whole)?;
        if coded > 2 * range {
            return Err(fault("errors that cannot be"));
        }
        // Even codes stand for positive errors; at k = 0 the other way about where errors lean that way (§A.5.2).
        let mut error = (coded >> 1) ^ -(coded & 1);
        if near == 0 && k == 0 && 2 * q.b <= -q.n {
            error = -error - 1;
        }
        q.b = q.b.saturating_add(error * (2 * near + 1));
        q.a = q.a.saturating_add(error.abs());
        if q.n == reset {
            q.a >>= 1;
            q.b >>= 1;
            q.n >>= 1;
        }
        q.n += 1;
        if q.b <= -q.n {
            q.b = (q.b + q.n).max(1 - q.n);
            q.c = (q.c - 1).max(-128);
        } else if q.b > 0 {
            q.b = (q.b - q.n).min(0);
            q.c = (q.c + 1).min(127);
        }
        Ok(self.rebuild(predicted, sign * error))
    }

    /// The sample that ends a run (T.87 §A.7.2). `alike`: left and above are near each other.
    pub fn run_end(
        &mut self,
        bits: &mut Bits<'_>,
        a: i32,
        b: i32,
        alike: bool,
        run_index: usize,
    ) -> Result<i32, Refused> {
        let (whole, reset, range) = (self.whole, self.reset, self.range);
        let shorter = J.get(run_index).copied().unwrap_or_default() + 1;
        let limit = self.limit.saturating_sub(shorter);
        let kind = i32::from(alike);
        let [unlike, like] = &mut self.ends;
        let q = if alike { like } else { unlike };
        let k = golomb_parameter(q.n, if alike { q.a + (q.n >> 1) } else { q.a })?;
        let coded = bits.golomb(k, limit, whole)?;
        if coded > 2 * range {
            return Err(fault("errors that cannot be"));
        }
        let doubled = coded + kind;
        let odd = doubled & 1;
        let size = (doubled + odd) / 2;
        let leans = k != 0 || 2 * q.b >= q.n;
        let error = if leans == (odd == 1) { -size } else { size };
        if error < 0 {
            q.b += 1;
        }
        q.a = q.a.saturating_add((coded + 1 - kind) >> 1);
        if q.n == reset {
            q.a >>= 1;
            q.n >>= 1;
            q.b >>= 1;
        }
        q.n += 1;
        let (predicted, sign) = match (alike, a > b) {
            (true, _) => (a, 1),
            (false, true) => (b, -1),
            (false, false) => (b, 1),
        };
        Ok(self.rebuild(predicted, sign * error))
    }

    /// Prediction and error to a sample, modulo the range (T.87 §A.4.5).
    fn rebuild(&self, predicted: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut value = predicted + error * step;
        if value < -self.near {
            value += self.range * step;
        } else if value > self.most + self.near {
            value -= self.range * step;
        }
        value.clamp(0, self.most)
    }
}

/// The neighbours: left, above, above left, above right.
#[derive(Clone, Copy)]
pub struct Around {
    pub a: i32,
    pub b: i32,
    pub c: i32,
    pub d: i32,
}

fn golomb_parameter(n: i32, a: i32) -> Result<u32, Refused> {
    let mut k = 0;
    while (i64::from(n) << k) < i64::from(a) {
        k += 1;
    }
    if k > 16 {
        return Err(fault("errors that cannot be"));
    }
    Ok(k)
}

/// T.87 §C.2.4.1.1.
fn thresholds(most: i32, near: i32) -> [i32; 3] {
    let clamp = |v: i32, least: i32| if v > most || v < least { least } else { v };
    let (v1, v2, v3) = if most >= 128 {
        let factor = (most.min(4095) + 128) / 256;
        (
            factor + 2 + 3 * near,
            factor * 4 + 3 + 5 * near,
            factor * 17 + 4 + 7 * near,
        )
    } else {
        let factor = 256 / (most + 1);
        (
            (3 / factor + 3 * near).max(2),
            (7 / factor + 5 * near).max(3),
            (21 / factor + 7 * near).max(4),
        )
    };
    let t1 = clamp(v1, near + 1);
    let t2 = clamp(v2, t1);
    [t1, t2, clamp(v3, t2)]
}
