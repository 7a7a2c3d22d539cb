//! What this workstation has to tell the server, and what it has written down.
//!
//! Lives here: the walk from permit to opened data ([`disclose`]), the reserve for a full disk, the signed head of
//! the audit chain, the alarms. Never here: SQL, the network.
//! Called by every act of the facade; `link` reads and acknowledges.

mod alarms;
mod head;
mod reserve;

pub use alarms::{Alarm, Alarms};
pub(crate) use head::not_ours;
pub use head::{read_head, write_head};
pub use reserve::Ballast;

use crate::EngineError;
use crate::error::store_words;
use vitrine_access::policy::Denied;
use vitrine_access::{Action, Permit, Sealed};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{Kept, Outbox};

/// Reads, writes the audit row, and only then opens: the one way by which data leave the stores outside an emergency.
///
/// # Errors
/// The read's error; [`EngineError::AuditFailed`] when the row is not durable: nothing is shown then.
pub fn disclose<A: Action, T>(
    outbox: &Outbox,
    permit: &Permit<A>,
    read: impl FnOnce(&Permit<A>) -> Result<Sealed<T>, StoreError>,
) -> Result<T, EngineError> {
    let sealed = read(permit)?;
    let entry = permit.entry(sealed.disclosure().clone());
    let receipts = outbox
        .append(&[entry], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?;
    let receipt = receipts
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    sealed
        .open(&receipt)
        .map_err(|_| EngineError::Internal("opening with the receipt"))
}

/// The same for an emergency: the row goes to the reserve, or to memory, when the chain cannot be written.
///
/// # Errors
/// The read's error.
pub fn disclose_emergency<A: Action, T>(
    outbox: &Outbox,
    reserve: &Ballast,
    permit: &Permit<A>,
    read: impl FnOnce(&Permit<A>) -> Result<Sealed<T>, StoreError>,
) -> Result<(T, Kept), EngineError> {
    let sealed = read(permit)?;
    let entry = permit.entry(sealed.disclosure().clone());
    let written = outbox.append_emergency(&entry, None, reserve)?;
    let value = sealed
        .open(&written.receipt)
        .map_err(|_| EngineError::Internal("opening with the receipt"))?;
    Ok((value, written.kept))
}

/// Writes the row of a refusal and gives the error for the person. A refusal stands even when its row cannot be
/// written.
pub fn refused(outbox: &Outbox, denied: &Denied) -> EngineError {
    if let Err(e) = outbox.append(&[denied.entry()], None) {
        tracing::error!(error = %e, "the audit row of a refusal could not be written");
    }
    EngineError::Denied {
        text: denied.text.to_owned(),
        rule: denied.rule,
        break_glass_offered: denied.break_glass_offered,
    }
}
