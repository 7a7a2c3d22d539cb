//! An act that is not in the list is no act.
struct Peek;
impl vitrine_access::Action for Peek {
    const KIND: vitrine_access::Kind = vitrine_access::Kind::ReadCard;
    const NAME: &'static str = "peek";
    const OF_PATIENT: bool = false;
}
fn main() {}
