//! A receipt opens its own access and no other.

use vitrine_access::{AccessId, Disclosure, Receipt, Sealed, action::ReadCard, policy};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, UserId, UtcMs, WardId};

fn permit(n: u128) -> vitrine_access::Permit<ReadCard> {
    let ward = WardId::new("ED").expect("id");
    policy::decide(policy::Request {
        access_id: AccessId(uuid::Uuid::from_u128(n)),
        at: UtcMs(1),
        subject: policy::Subject::User {
            user: UserId::new("a").expect("id"),
            role: "nurse".parse().expect("role"),
            wards: vec![ward.clone()],
        },
        device: None,
        patient: Some(policy::PatientFacts {
            patient: PatientId::new("p1").expect("id"),
            ward: Some(ward),
            label: Label::NONE,
        }),
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    })
    .expect("own ward")
}

#[test]
fn another_access_receipt_does_not_open() {
    let (a, b) = (permit(1), permit(2));
    let of_b = Receipt::of_committed_row(b.access_id(), 1);
    assert!(Sealed::seal(&a, 7, Disclosure::default()).open(&of_b).is_err());
    let of_a = Receipt::of_committed_row(a.access_id(), 2);
    assert_eq!(
        Sealed::seal(&a, 7, Disclosure::default())
            .map(|v| v + 1)
            .open(&of_a),
        Ok(8)
    );
}
