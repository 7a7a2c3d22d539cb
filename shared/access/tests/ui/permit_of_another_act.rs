//! A permit for a search does not open a card.
use vitrine_access::{Permit, action::{ReadCard, SearchPatients}};
fn read(_: &Permit<ReadCard>) {}
fn wrong(p: &Permit<SearchPatients>) {
    read(p);
}
fn main() {}
