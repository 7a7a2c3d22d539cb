//! An act that is not in the list is no act.
struct Peek;
impl vitrine_access::Action for Peek {
    const NAME: &'static str = "peek";
    const OF_PATIENT: bool = false;
}
fn main() {}
