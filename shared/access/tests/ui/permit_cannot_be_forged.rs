//! A permit is made by the policy alone.
use vitrine_access::{Permit, action::ReadCard};
fn forge() -> Permit<ReadCard> {
    Permit { access_id: todo!() }
}
fn main() {}
