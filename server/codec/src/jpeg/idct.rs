//! The inverse DCT (T.81 §A.3.3) in whole numbers.
//!
//! Lives here: one block of coefficients to samples, exact but for rounding at the very end: intermediate values keep 26 bits
//! behind the point in 64, so that 8 and 12 bits alike come out as the real transform rounded. Called by [`super::dct`].

/// cos(kπ/16)/2 in 26 bits, k = 0 standing for 1/(2√2).
const C: [i64; 8] = [
    23_726_566, 32_909_693, 31_000_253, 27_899_491, 23_726_566, 18_641_844, 12_840_725, 6_546_145,
];
const POINT: u32 = 26;

/// One dimension: even and odd halves.
fn line(v: [i64; 8]) -> [i64; 8] {
    let [x0, x1, x2, x3, x4, x5, x6, x7] = v;
    let [c0, c1, c2, c3, _, c5, c6, c7] = C;
    let a = (x0 + x4) * c0;
    let b = (x0 - x4) * c0;
    let c = x2 * c2 + x6 * c6;
    let d = x2 * c6 - x6 * c2;
    let even = [a + c, b + d, b - d, a - c];
    let odd = [
        x1 * c1 + x3 * c3 + x5 * c5 + x7 * c7,
        x1 * c3 - x3 * c7 - x5 * c1 - x7 * c5,
        x1 * c5 - x3 * c1 + x5 * c7 + x7 * c3,
        x1 * c7 - x3 * c5 + x5 * c3 - x7 * c1,
    ];
    let [e0, e1, e2, e3] = even;
    let [o0, o1, o2, o3] = odd;
    [
        e0 + o0,
        e1 + o1,
        e2 + o2,
        e3 + o3,
        e3 - o3,
        e2 - o2,
        e1 - o1,
        e0 - o0,
    ]
}

/// Samples of a block, row by row, from its dequantized coefficients, row by row. `precision` bits, unsigned.
pub fn block(coefficients: &[i32; 64], precision: u32, out: &mut [u16; 64]) {
    let most = (1i64 << precision) - 1;
    let middle = 1i64 << (precision - 1);
    let mut rows = [[0i64; 8]; 8];
    for (row, from) in rows.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        let [first, rest @ ..] = from;
        if rest.iter().all(|c| *c == 0) {
            // A constant: c0 times the first, in 12 bits behind the point as below.
            *row = [(i64::from(*first) * 23_726_566 + (1 << 13)) >> 14; 8];
            continue;
        }
        *row = line(from.map(i64::from)).map(|v| (v + (1 << 13)) >> 14);
    }
    // 12 bits behind the point now; columns add 26 more.
    let shift = POINT + 12;
    // A value halfway goes up, and one that rounding has put just below halfway, too: flat areas are often there.
    let half = (1i64 << (shift - 1)) + (1 << (shift - 10));
    for x in 0..8 {
        let mut column = [0i64; 8];
        for (to, row) in column.iter_mut().zip(&rows) {
            *to = row.get(x).copied().unwrap_or_default();
        }
        let cells = out.iter_mut().skip(x).step_by(8);
        for (cell, v) in cells.zip(line(column)) {
            let v = ((v + half) >> shift) + middle;
            *cell = v.clamp(0, most) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_real_transform_rounded() {
        let mut seed = 1u64;
        let mut next = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as i32
        };
        let mut off = 0;
        for round in 0..300 {
            let mut c = [0i32; 64];
            for v in &mut c {
                if next() % 4 == 0 {
                    *v = next() % (1 << (round % 12 + 1)) - (1 << (round % 12));
                }
            }
            let mut out = [0u16; 64];
            block(&c, 12, &mut out);
            for y in 0..8 {
                for x in 0..8 {
                    let mut sum = 0f64;
                    for v in 0..8 {
                        for u in 0..8 {
                            let s = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
                            let cos = |p: usize, k: usize| {
                                ((2 * p + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos()
                            };
                            sum += s(u) * s(v) * f64::from(c[v * 8 + u]) * cos(x, u) * cos(y, v) / 4.0;
                        }
                    }
                    let real = (sum + 2048.0).clamp(0.0, 4095.0);
                    assert!((f64::from(out[y * 8 + x]) - real).abs() < 0.502);
                    off += i32::from((f64::from(out[y * 8 + x]) - real).abs() > 0.5);
                }
            }
        }
        assert!(off < 40, "{off} of 19200 rounded the other way");
    }
}
