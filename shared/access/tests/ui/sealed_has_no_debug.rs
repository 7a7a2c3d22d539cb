//! A sealed value cannot be printed.
use vitrine_access::Sealed;
fn look(s: Sealed<u32>) {
    println!("{s:?}");
}
fn main() {}
