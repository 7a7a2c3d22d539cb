//! Whether an object that comes again is the one that is there.

use super::blobs::Reading;
use std::io::{Error, Read as _, Result, Seek as _, SeekFrom};

/// Whether two files hold the same data set, byte for byte, in the same transfer syntax.
pub(super) fn same_data_set(a: &mut Reading, b: &mut Reading) -> Result<bool> {
    let (of_a, of_b) = (a.len(), b.len());
    let scanned = |r: &mut Reading, len| vitrine_dicom::scan(r, len).map_err(Error::other);
    let (first, second) = (scanned(a, of_a)?, scanned(b, of_b)?);
    let plain = first.inflated.is_none() && second.inflated.is_none();
    let starts = (first.header.start, second.header.start);
    let left = of_a.checked_sub(starts.0);
    if !plain
        || first.transfer_syntax() != second.transfer_syntax()
        || left.is_none()
        || left != of_b.checked_sub(starts.1)
    {
        return Ok(false);
    }
    a.seek(SeekFrom::Start(starts.0))?;
    b.seek(SeekFrom::Start(starts.1))?;
    let mut left = usize::try_from(left.unwrap_or(0)).map_err(Error::other)?;
    let (mut one, mut other) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    while left > 0 {
        let n = left.min(one.len());
        let (one, other) = (&mut one[..n], &mut other[..n]);
        a.read_exact(one)?;
        b.read_exact(other)?;
        if one != other {
            return Ok(false);
        }
        left -= n;
    }
    Ok(true)
}
