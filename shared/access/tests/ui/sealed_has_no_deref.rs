//! A sealed value cannot be read through.
use vitrine_access::Sealed;
fn read(s: Sealed<u32>) -> u32 {
    *s
}
fn main() {}
