//! Luma and chromas to red, green, blue (JFIF 1.02; ITU-T T.871), and chromas to each pixel.
//!
//! Lives here: arithmetic on samples of any precision. Never here: whether it is to be done. Called by [`super`] and
//! [`super::dct`].

/// Pixels of three samples, in their place.
pub fn to_rgb(cells: &mut [u16], precision: u32) {
    let most = (1i32 << precision) - 1;
    let middle = 1i32 << (precision - 1);
    for [a, b, c] in cells.as_chunks_mut::<3>().0 {
        let y = i32::from(*a) << 16;
        let cb = i32::from(*b) - middle;
        let cr = i32::from(*c) - middle;
        // 1.402, 0.344136, 0.714136, 1.772 in 16 bits behind the point
        let round = |v: i32| ((v + (1 << 15)) >> 16).clamp(0, most) as u16;
        *a = round(y + 91_881 * cr);
        *b = round(y - 22_554 * cb - 46_802 * cr);
        *c = round(y + 116_130 * cb);
    }
}

/// A row of twice as many samples, each three parts the nearer and one the farther.
pub fn double(row: &[u16], out: &mut Vec<u16>) {
    let get = |i: usize| row.get(i).copied().map(u32::from);
    for i in 0..row.len() {
        let here = get(i).unwrap_or_default();
        let before = i.checked_sub(1).and_then(get).unwrap_or(here);
        let after = get(i + 1).unwrap_or(here);
        out.push(((3 * here + before + 1) >> 2) as u16);
        out.push(((3 * here + after + 2) >> 2) as u16);
    }
}

/// The same from a row that is already four times too large (three of the nearer, one of the farther row).
pub fn double_sums(row: &[u32], out: &mut Vec<u16>) {
    for i in 0..row.len() {
        let here = row.get(i).copied().unwrap_or_default();
        let before = i.checked_sub(1).and_then(|b| row.get(b)).copied().unwrap_or(here);
        let after = row.get(i + 1).copied().unwrap_or(here);
        out.push(((3 * here + before + 8) >> 4) as u16);
        out.push(((3 * here + after + 7) >> 4) as u16);
    }
}
