//! Audit rows in few bytes: every text comes back, no byte can be changed unseen, and the layout is what it was.

use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::audit_pack::{Listed, Names, Numbers, Reader, pack, put_number, put_signed, read, unpack};

/// Numbers in the order in which names come.
#[derive(Default)]
struct Book {
    words: Vec<String>,
    patients: Vec<PatientId>,
    resources: Vec<ResourceKey>,
}

fn number<T: PartialEq + Clone>(list: &mut Vec<T>, what: &T) -> Option<u64> {
    let at = list.iter().position(|x| x == what).unwrap_or_else(|| {
        list.push(what.clone());
        list.len() - 1
    });
    Some(at as u64 + 1)
}

fn name<T: Clone>(list: &[T], number: u64) -> Option<T> {
    list.get(usize::try_from(number.checked_sub(1)?).ok()?).cloned()
}

impl Numbers for Book {
    fn word(&mut self, text: &str) -> Result<Option<u64>, StoreError> {
        Ok(number(&mut self.words, &text.to_owned()))
    }
    fn patient(&mut self, id: &PatientId) -> Result<Option<u64>, StoreError> {
        Ok(number(&mut self.patients, id))
    }
    fn resource(&mut self, key: &ResourceKey) -> Result<Option<u64>, StoreError> {
        Ok(number(&mut self.resources, key))
    }
}

impl Names for Book {
    fn word(&mut self, no: u64) -> Result<Option<Arc<str>>, StoreError> {
        Ok(name(&self.words, no).map(Arc::from))
    }
    fn patient(&mut self, no: u64) -> Result<Option<PatientId>, StoreError> {
        Ok(name(&self.patients, no))
    }
    fn resource(&mut self, no: u64) -> Result<Option<ResourceKey>, StoreError> {
        Ok(name(&self.resources, no))
    }
}

fn text_of(e: &AuditEntry) -> Vec<u8> {
    serde_json::to_vec(e).unwrap()
}

/// One row with everything a row can have.
fn full() -> AuditEntry {
    let patient = |n: u128| PatientId::new(Uuid::from_u128(n).to_string()).unwrap();
    let key = |k: &str, id: &str| ResourceKey::new(k, id).unwrap();
    AuditEntry {
        access_id: AccessId(Uuid::from_u128(
            (1_790_000_000_123 << 80) | (7 << 76) | (2 << 62) | 99,
        )),
        at: UtcMs(1_790_000_000_125),
        actor: Actor::User(UserId::new("mara.weiss").unwrap()),
        device: Some(DeviceId::new("icu-3").unwrap()),
        action: "read-chart".to_owned(),
        purpose: Purpose::BreakGlass,
        decision: Decision::Permit,
        rule: "broken-glass".to_owned(),
        grant: Some(AccessId(Uuid::from_u128(5))),
        patient: Some(patient(7)),
        disclosure: Disclosure {
            patients: vec![patient(7), PatientId::new("p.8").unwrap()],
            resources: [
                ("Observation", "0197e3a0-0000-7000-8000-000000000001", 1),
                ("Observation", "0197e3a0-0000-7000-8000-000000000002", 300),
                ("EmergencyCard", "p.8", 2),
            ]
            .map(|(k, id, version)| Disclosed {
                key: key(k, id),
                version,
            })
            .into(),
            total: 4,
            digest: Some("ab".repeat(32)),
        },
        notes: [
            ("query", "Mü?name=a b"),
            ("use", "list"),
            ("bytes", "1234"),
            ("empty", ""),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into(),
    }
}

#[test]
fn the_layout_is_what_it_was() {
    let (entry, mut book) = (full(), Book::default());
    let bytes = pack(&entry, &text_of(&entry), &mut book).unwrap().unwrap();
    let hex = bytes.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"));
    assert_eq!(
        hex,
        "e46b01a0c4506c7b700080000000000000630405090d11000000000000000000000000000000050102010203080108ac02111502048301abababababababababababababababababababababababababababababababab0419ca261d0021304dc3bc3f6e616d653d6120622529"
    );
    assert_eq!(read(&bytes, &mut book).unwrap().as_ref(), Some(&entry));
    // The same as a store without a table of words has it.
    let plain = pack(&entry, &text_of(&entry), &mut Listed).unwrap().unwrap();
    let hex = plain.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"));
    assert_eq!(
        hex,
        "e46b01a0c4506c7b7000800000000000006304286d6172612e7765697373146963752d33093062726f6b656e2d676c6173730000000000000000000000000000000500030000000000000000000000000000000702000300000000000000000000000000000007000c702e380303cd01030197e3a00000700080000000000000010103cd01030197e3a0000070008000000000000002ac0211b50202048301abababababababababababababababababababababababababababababababab04146279746573ca2614656d70747900c102304dc3bc3f6e616d653d612062b902ed02"
    );
    assert_eq!(unpack(&plain, &mut Listed).unwrap(), Some(text_of(&entry)));
    assert_eq!(
        unpack(&bytes, &mut Listed).unwrap(),
        None,
        "its names are not there"
    );
    for (no, word) in [(1, "read-card"), (32, "claim-lane"), (100, "images")] {
        assert_eq!(
            Names::word(&mut Listed, no).unwrap().as_deref(),
            Some(word),
            "rows name words by their places"
        );
        assert_eq!(Numbers::word(&mut Listed, word).unwrap(), Some(no));
    }
}

#[test]
fn a_text_that_would_not_come_back_is_not_packed() {
    let (entry, mut book) = (full(), Book::default());
    let text = String::from_utf8(text_of(&entry)).unwrap();
    for other in [
        text.replace("{\"access", "{ \"access"),
        text.replace("\"rule\"", "\"more\":1,\"rule\""),
        text.replace("\"Mü?", "\"M\\u00fc?"),
    ] {
        assert_ne!(other, text);
        let same: AuditEntry = serde_json::from_str(&other).unwrap();
        assert_eq!(pack(&same, other.as_bytes(), &mut book).unwrap(), None);
    }
}

#[test]
fn no_byte_can_be_changed_unseen() {
    let (entry, mut book) = (full(), Book::default());
    let text = text_of(&entry);
    let bytes = pack(&entry, &text, &mut book).unwrap().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let found = unpack(&changed, &mut book).unwrap();
            assert_ne!(found.as_ref(), Some(&text), "byte {at}, bit {bit}");
        }
        assert_eq!(unpack(&bytes[..at], &mut book).unwrap(), None, "cut at {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(unpack(&longer, &mut book).unwrap(), None);
}

#[test]
fn numbers_have_one_form() {
    for n in [0, 1, 127, 128, 16_383, 16_384, u64::MAX / 2, u64::MAX] {
        let mut out = Vec::new();
        put_number(&mut out, n);
        let mut r = Reader(&out);
        assert_eq!((r.number(), r.0.len()), (Some(n), 0));
    }
    for n in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        put_signed(&mut out, n);
        assert_eq!(Reader(&out).signed(), Some(n));
    }
    for wrong in [&[0x80, 0x00][..], &[0x80], &[0xff; 10], &[0xff; 11], &[]] {
        assert_eq!(Reader(wrong).number(), None, "{wrong:?}");
    }
}

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z-]{0,12}",
        "\\PC{0,80}",
        any::<u64>().prop_map(|n| n.to_string()),
        any::<u128>().prop_map(|n| Uuid::from_u128(n).to_string()),
        any::<u128>().prop_map(|n| Uuid::from_u128(n).to_string().to_uppercase()),
        "0[0-9]{0,4}",
        "[0-9a-f]{14,66}",
        "[0-9A-F]{16}",
    ]
}

fn some_id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9.-]{1,20}",
        any::<u128>().prop_map(|n| Uuid::from_u128(n).to_string()),
        "[0-9]{1,19}",
        "p[0-4]",
    ]
}

prop_compose! {
    fn some_entry()(
        ids in any::<(u128, i64, u128)>(), kind in 0_u8..4, name in some_id(), device in proptest::option::of(some_id()),
        same in any::<bool>(), texts in (some_text(), some_text()), purpose in 0_u8..8, deny in any::<bool>(),
        grant in any::<bool>(), patient in proptest::option::of(some_id()),
        patients in proptest::collection::vec(some_id(), 0..6),
        resources in proptest::collection::vec(("[A-Z][a-z]{2,8}", some_id(), any::<u64>(), 0_usize..9), 0..9),
        total in proptest::option::of(any::<u64>()), digest in proptest::option::of(some_text()),
        notes in proptest::collection::btree_map(prop_oneof![some_text(), Just("use".to_owned())], some_text(), 0..4),
    ) -> AuditEntry {
        let device = device.map(|d| DeviceId::new(d).unwrap());
        let actor = match kind {
            0 => Actor::User(UserId::new(name).unwrap()),
            1 => Actor::Device(device.clone().filter(|_| same).unwrap_or_else(|| DeviceId::new(name).unwrap())),
            2 => Actor::Client(texts.1.clone()),
            _ => Actor::Operator(texts.1.clone()),
        };
        let resources: Vec<Disclosed> = resources.into_iter().map(|(k, id, version, of)| {
            let id = patients.get(of).cloned().unwrap_or(id);
            Disclosed { key: ResourceKey::new(&k, &id).unwrap(), version }
        }).collect();
        AuditEntry {
            access_id: AccessId(Uuid::from_u128(ids.0)),
            at: UtcMs(ids.1),
            actor,
            device,
            action: texts.0,
            purpose: Purpose::ALL[usize::from(purpose)],
            decision: if deny { Decision::Deny } else { Decision::Permit },
            rule: texts.1,
            grant: grant.then_some(AccessId(Uuid::from_u128(ids.2))),
            patient: patient.map(|p| PatientId::new(p).unwrap()),
            disclosure: Disclosure {
                total: total.unwrap_or(resources.len() as u64),
                patients: patients.into_iter().map(|p| PatientId::new(p).unwrap()).collect(),
                resources,
                digest,
            },
            notes,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_row_comes_back(entry in some_entry()) {
        let text = text_of(&entry);
        let mut book = Book::default();
        let packed = pack(&entry, &text, &mut book).unwrap();
        let packed = packed.expect("everything that a row can say is packed");
        prop_assert_eq!(unpack(&packed, &mut book).unwrap(), Some(text.clone()));
        let plain = pack(&entry, &text, &mut Listed).unwrap().expect("packed");
        prop_assert_eq!(unpack(&plain, &mut Listed).unwrap(), Some(text));
    }

    #[test]
    fn any_bytes_are_read_without_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes, &mut Book::default()).unwrap();
    }
}
