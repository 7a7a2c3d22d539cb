//! Keys: the device's secret, the keys of the databases, the slots of the users.
//!
//! ```text
//! Sealer ── DK (32 B) + device signing key           device.key          (TPM: sealer.tpm; file: sealer.key)
//!   DK ── device slot: wraps E-DEK, O-DEK            slots.json
//!   HKDF(E-DEK) ── I-DEK, of the images
//!   HKDF(Argon2id(secret, salt, 64 MiB, t=3) ‖ DK ‖ user ‖ ver) ── user slot: wraps that user's R-DEK
//! ```
//! A user's slot opens that user's own record cache alone: a colleague's secret never does.
//! Never here: a database, the network, a decision about who may do what.
//! Called by `profile` (open, enrol), `session` (user slots), `break_glass` (PIN verification).

mod choice;
mod device;
mod pin;
mod sealer;
mod slots;
mod tpm;
mod wrap;

pub use choice::{Chosen, ResealStep, SealerChoice, choose, reseal, sealer_of, tpm_here};
pub(crate) use choice::{settle, tpm_fault, why_not_tpm};
pub use device::{DeviceKey, DeviceSecret};
pub use pin::{PinError, hash_pin, verify_pin};
pub use sealer::{FileSealer, SealedBlob, Sealer, SealerKind, SealerProperties};
pub use slots::{DeviceDeks, SlotKind, Slots, UserSlot};
pub use tpm::{TPM_DEVICE, TpmFault, TpmSealer};
pub use wrap::{Dek, open_with, seal_with};
