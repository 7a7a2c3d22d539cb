//! No way to a TPM on this system: every act says so.

use super::fault::TpmFault;
use zeroize::Zeroizing;

pub(super) const LEN: usize = 32;

pub(super) struct Object {
    pub(super) public: Vec<u8>,
    pub(super) private: Vec<u8>,
}

/// There is none.
pub(super) enum Chip {}

impl Chip {
    pub(super) fn at(_at: &str) -> Result<Self, TpmFault> {
        Err(TpmFault::Unsupported)
    }
    pub(super) fn owner(&self) -> &[u8] {
        match *self {}
    }
    pub(super) fn machine(&mut self) -> Option<Vec<u8>> {
        match *self {}
    }
    pub(super) fn begin(&mut self) -> Result<(), TpmFault> {
        match *self {}
    }
    pub(super) fn keep(&mut self, _secret: &[u8; LEN], _auth: &[u8; LEN]) -> Result<u32, TpmFault> {
        match *self {}
    }
    pub(super) fn recall(&mut self, _index: u32, _auth: &[u8; LEN]) -> Result<Zeroizing<Vec<u8>>, TpmFault> {
        match *self {}
    }
    pub(super) fn forget(&mut self, _index: u32) -> Result<(), TpmFault> {
        match *self {}
    }
    pub(super) fn seal(&mut self, _secret: &[u8; LEN], _auth: &[u8]) -> Result<Object, TpmFault> {
        match *self {}
    }
    pub(super) fn unseal(&mut self, _object: &Object, _auth: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmFault> {
        match *self {}
    }
}
