//! A receipt's fields are private.
use vitrine_access::Receipt;
fn forge() -> Receipt {
    Receipt { access_id: todo!(), seq: 1 }
}
fn main() {}
