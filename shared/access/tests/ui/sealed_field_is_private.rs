//! The value's field cannot be reached.
use vitrine_access::Sealed;
fn read(s: Sealed<u32>) -> u32 {
    s.value
}
fn main() {}
