//! A call site carries a role and cannot ask which it is.
use vitrine_access::policy::Role;
fn is_nurse(r: Role) -> bool {
    matches!(r, Role(vitrine_access::policy::Kind::Nurse))
}
fn main() {}
