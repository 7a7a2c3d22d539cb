//! A sealed value cannot be copied before it is opened.
use vitrine_access::Sealed;
fn copy(s: &Sealed<u32>) -> Sealed<u32> {
    Sealed::clone(s)
}
fn main() {}
