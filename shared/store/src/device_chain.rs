//! Whether a row that a device uploads continues the chain the server holds. Called by every backend.

use crate::StoreError;
use vitrine_access::chain::{ChainFault, Head, Row};

/// Checks one row. `head`: the device's last row held; `known`: the row held under the same number. `true` = it is
/// new and continues the chain, `false` = it is held already.
///
/// # Errors
/// [`StoreError::Chain`] for a row whose hash is not its own, [`StoreError::AuditGap`], [`StoreError::AuditFork`].
pub fn check(head: Head, known: Option<&Row>, row: &Row) -> Result<bool, StoreError> {
    if let Some(known) = known {
        return if known == row {
            Ok(false)
        } else {
            Err(StoreError::AuditFork { seq: row.seq })
        };
    }
    let expected = head.seq + 1;
    if row.seq != expected {
        return Err(StoreError::AuditGap {
            expected,
            got: row.seq,
        });
    }
    if row.prev != head.hash {
        // The device built on another row than the one it once uploaded (or, for its first row, on any at all).
        return Err(StoreError::AuditFork { seq: head.seq.max(1) });
    }
    if head.after(row.body.as_bytes()).hash != row.hash {
        return Err(ChainFault::Content { seq: row.seq }.into());
    }
    Ok(true)
}
