//! The reversible 5/3 wavelet and colour transform, backwards (ITU-T T.800 Annexes F and G). Flat rows of `i32`, nothing
//! allocated but a row. Called by the decoder of [`super`] alone.

/// A plane of samples or coefficients, row by row.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub width: usize,
    pub data: Vec<i32>,
}

impl Plane {
    /// A plane of zeros.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            data: vec![0; width * height],
        }
    }

    fn row(&self, y: usize) -> &[i32] {
        self.data.get(y * self.width..(y + 1) * self.width).unwrap_or(&[])
    }
}

/// One level: the image of twice the size from its low band and HL, LH, HH (T.800 F.3.2; the image begins at 0, 0).
pub(super) fn synthesis(width: usize, height: usize, ll: &Plane, high: &[Plane; 3]) -> Plane {
    let [hl, lh, hh] = high;
    let mut out = Plane::new(width, height);
    let mut even = vec![0i32; width.div_ceil(2)];
    for y in (0..height).step_by(2) {
        let (done, rest) = out.data.split_at_mut(y * width);
        let (low, rest) = rest.split_at_mut(width);
        horizontal(ll.row(y / 2), hl.row(y / 2), &mut even, low);
        let below = rest.get_mut(..width);
        let has_below = below.is_some();
        if let Some(below) = below {
            horizontal(lh.row(y / 2), hh.row(y / 2), &mut even, below);
        }
        let below: &[i32] = if has_below {
            rest.get(..width).unwrap_or(&[])
        } else {
            &[]
        };
        // the odd row above is still its band's until the even rows on both its sides are done
        let above_at = done.len().saturating_sub(width);
        let (further, above) = done.split_at_mut(above_at);
        match (above.is_empty(), has_below) {
            (true, false) => {}
            (true, true) => lift_even(low, below, below),
            (false, true) => lift_even(low, above, below),
            (false, false) => lift_even(low, above, above),
        }
        if !above.is_empty() {
            let before = further.len().saturating_sub(width);
            lift_odd(above, further.get(before..).unwrap_or(&[]), low);
        }
    }
    if height.is_multiple_of(2) && height > 0 {
        // the last odd row has an even row on one side only, and takes it twice
        let (rest, last) = out.data.split_at_mut((height - 1) * width);
        let low = rest.get((height - 2) * width..).unwrap_or(&[]);
        lift_odd(last, low, low);
    }
    out
}

fn lift_even(row: &mut [i32], a: &[i32], b: &[i32]) {
    for ((v, a), b) in row.iter_mut().zip(a).zip(b) {
        *v = v.wrapping_sub(a.wrapping_add(*b).wrapping_add(2) >> 2);
    }
}

fn lift_odd(row: &mut [i32], a: &[i32], b: &[i32]) {
    for ((v, a), b) in row.iter_mut().zip(a).zip(b) {
        *v = v.wrapping_add(a.wrapping_add(*b) >> 1);
    }
}

/// A row from its low and high half; `even` is room for its even samples.
fn horizontal(low: &[i32], high: &[i32], even: &mut [i32], out: &mut [i32]) {
    let (Some(first), Some(last)) = (high.first(), high.last()) else {
        out.copy_from_slice(low);
        return;
    };
    let lift = |l: &i32, a: &i32, b: &i32| l.wrapping_sub(a.wrapping_add(*b).wrapping_add(2) >> 2);
    let inner = high.windows(2);
    if let (Some(e), Some(l)) = (even.first_mut(), low.first()) {
        *e = lift(l, first, first);
    }
    for ((e, l), h) in even.iter_mut().skip(1).zip(low.iter().skip(1)).zip(inner) {
        if let [a, b] = h {
            *e = lift(l, a, b);
        }
    }
    if low.len() > high.len()
        && let (Some(e), Some(l)) = (even.last_mut(), low.last())
    {
        *e = lift(l, last, last);
    }
    let (pairs, odd) = out.as_chunks_mut::<2>();
    let next = even.iter().skip(1).chain(even.last());
    for (((pair, e), n), h) in pairs.iter_mut().zip(even.iter()).zip(next).zip(high) {
        *pair = [*e, h.wrapping_add(e.wrapping_add(*n) >> 1)];
    }
    if let (Some(o), Some(e)) = (odd.first_mut(), even.last()) {
        *o = *e;
    }
}

/// The reversible colour transform of one pixel (T.800 G.2.1).
pub(super) fn transform(r: i32, g: i32, b: i32) -> [i32; 3] {
    [(r + 2 * g + b) >> 2, b - g, r - g]
}

/// Undoes the reversible colour transform on a row of three planes (T.800 G.2.2).
pub(super) fn untransform(y: &mut [i32], cb: &mut [i32], cr: &mut [i32]) {
    for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
        let green = y.wrapping_sub(cb.wrapping_add(*cr) >> 2);
        (*y, *cb, *cr) = (cr.wrapping_add(green), green, cb.wrapping_add(green));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forward wavelet of T.800 F.4.8.1 on one line, by its formulas.
    fn forward(x: &[i32]) -> (Vec<i32>, Vec<i32>) {
        let n = x.len() as i32;
        if n == 1 {
            return (x.to_vec(), Vec::new());
        }
        let mirror = |i: i32| {
            let i = i.abs();
            (if i >= n { 2 * (n - 1) - i } else { i }) as usize
        };
        let high: Vec<i32> = (0..n / 2)
            .map(|k| x[2 * k as usize + 1] - ((x[2 * k as usize] + x[mirror(2 * k + 2)]) >> 1))
            .collect();
        let m = high.len();
        let low = (0..(n as usize).div_ceil(2))
            .map(|k| {
                let before = high[k.saturating_sub(1)];
                let behind = high[k.min(m - 1)];
                x[2 * k] + ((before + behind + 2) >> 2)
            })
            .collect();
        (low, high)
    }

    fn columns(rows: &[Vec<i32>]) -> (Vec<Vec<i32>>, Vec<Vec<i32>>) {
        let width = rows[0].len();
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for x in 0..width {
            let line: Vec<i32> = rows.iter().map(|r| r[x]).collect();
            let (l, h) = forward(&line);
            low.push(l);
            high.push(h);
        }
        (low, high)
    }

    fn plane(rows: usize, width: usize, at: impl Fn(usize, usize) -> i32) -> Plane {
        let data = (0..rows)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| at(x, y));
        Plane {
            width,
            data: data.collect(),
        }
    }

    #[test]
    fn what_goes_through_the_wavelet_comes_back() {
        for width in 1..10usize {
            for height in 1..10usize {
                let rows: Vec<Vec<i32>> = (0..height)
                    .map(|y| {
                        (0..width)
                            .map(|x| ((x * 7919 + y * 104_729) % 4001) as i32 - 2000)
                            .collect()
                    })
                    .collect();
                // columns first, then rows (T.800 F.4.2)
                let (low, high) = columns(&rows);
                let split = |half: &[Vec<i32>]| {
                    let n = half[0].len();
                    let lines: Vec<(Vec<i32>, Vec<i32>)> = (0..n)
                        .map(|y| forward(&half.iter().map(|c| c[y]).collect::<Vec<_>>()))
                        .collect();
                    let a = plane(n, width.div_ceil(2), |x, y| lines[y].0[x]);
                    let b = plane(n, width / 2, |x, y| lines[y].1[x]);
                    (a, b)
                };
                let (ll, hl) = split(&low);
                let (lh, hh) = split(&high);
                let out = synthesis(width, height, &ll, &[hl, lh, hh]);
                assert_eq!(out.data, rows.concat(), "{width} x {height}");
            }
        }
    }
}
