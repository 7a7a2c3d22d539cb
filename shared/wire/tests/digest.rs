//! The digest of a scope: equal exactly when the items are equal.

use proptest::prelude::*;
use std::collections::BTreeMap;
use vitrine_wire::digest::{ScopeDigest, body_hash, bucket_of};

type Items = BTreeMap<String, (u64, String)>;

fn items() -> impl Strategy<Value = Items> {
    prop::collection::btree_map("[a-z]{1,6}", (1_u64..9, "[a-c]{0,3}"), 0..40)
}

fn digest(items: &Items) -> ScopeDigest {
    let mut d = ScopeDigest::default();
    for (k, (v, b)) in items {
        d.add(k, *v, &body_hash(b.as_bytes()));
    }
    d
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_only_for_equal_items_and_the_buckets_name_the_difference(a in items(), b in items()) {
        let (da, db) = (digest(&a), digest(&b));
        prop_assert_eq!(da.hex() == db.hex(), a == b);
        let differing = da.differing(&db.buckets_hex());
        for key in a.keys().chain(b.keys()) {
            prop_assert!(a.get(key) == b.get(key) || differing.contains(&bucket_of(key)));
        }
    }

    #[test]
    fn changing_in_place_equals_building_anew(a in items(), b in items()) {
        let mut d = digest(&a);
        for (k, (v, body)) in &a {
            d.remove(k, *v, &body_hash(body.as_bytes()));
        }
        for (k, (v, body)) in b.iter().rev() {
            d.add(k, *v, &body_hash(body.as_bytes()));
        }
        prop_assert_eq!(&d, &digest(&b));
        prop_assert_eq!(ScopeDigest::from_bytes(&d.to_bytes()), Some(d));
    }
}

#[test]
fn white_space_around_a_body_is_not_part_of_it() {
    assert_eq!(body_hash(b" {\"a\": 1}\n"), body_hash(b"{\"a\": 1}"));
    assert_ne!(body_hash(b"{\"a\":1}"), body_hash(b"{\"a\": 1}"));
}

#[test]
fn malformed_buckets_differ_everywhere() {
    assert_eq!(ScopeDigest::default().differing(&[]).len(), 256);
    assert_eq!(ScopeDigest::from_bytes(&[0; 7]), None);
}
