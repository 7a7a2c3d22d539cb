//! What both forms have in common, on rows made up here.

use super::*;
use vitrine_access::{AccessId, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, ResourceKey, UserId, UtcMs};

pub(crate) fn known() -> Known {
    Known {
        server: "hospital".to_owned(),
        address: String::new(),
        people: BTreeMap::from([("ann".to_owned(), ("Ann Weber".to_owned(), "nurse", "Nurse"))]),
        devices: BTreeMap::from([("ed-01".to_owned(), "ED bay 1".to_owned())]),
    }
}

/// A row of this act: Ann at a workstation, about one patient, two things shown.
pub(crate) fn row(action: &str) -> FoundRow {
    let resource = |kind: &str, version| Disclosed {
        key: ResourceKey::new(kind, "p1").unwrap(),
        version,
    };
    let entry = AuditEntry {
        access_id: AccessId(uuid::Uuid::from_u128(7)),
        at: UtcMs(1_795_000_000_000),
        actor: Actor::User(UserId::new("ann").unwrap()),
        device: Some(DeviceId::new("ed-01").unwrap()),
        action: action.to_owned(),
        purpose: Purpose::Treatment,
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: Some(PatientId::new("p1").unwrap()),
        disclosure: Disclosure {
            patients: vec![PatientId::new("p1").unwrap()],
            resources: vec![resource("Patient", 3), resource("EmergencyCard", 9)],
            total: 2,
            digest: None,
        },
        notes: BTreeMap::new(),
    };
    FoundRow {
        chain: "server".to_owned(),
        seq: 17,
        at: entry.at,
        entry: Some(entry),
    }
}

#[test]
fn what_an_act_does_decides_its_form() {
    let of = |action: &str, notes: &[(&str, &str)]| {
        let mut entry = row(action).entry.unwrap();
        entry.notes = notes
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        shape(Kind::parse(action).unwrap(), &entry).pattern
    };
    assert_eq!(of("read-card", &[]), Pattern::Read);
    assert_eq!(of("read-card", &[("use", "downtime-packet")]), Pattern::Disclose);
    assert_eq!(of("read-chart", &[("by", "studies")]), Pattern::Query);
    assert_eq!(of("manage-users", &[("use", "list")]), Pattern::Query);
    assert_eq!(of("manage-users", &[("change", "put")]), Pattern::Plain);
    assert_eq!(of("write-clinical", &[]), Pattern::Update, "one of two is new");
}

#[test]
fn a_row_that_is_not_understood_says_so_and_nothing_else() {
    let mut strange = row("of-a-later-program");
    let mut unread = row("read-card");
    unread.entry = None;
    strange.entry.as_mut().unwrap().actor = Actor::Client("secret".into());
    for (row, why) in [(strange, "does not know its act"), (unread, "cannot be read")] {
        let told = serde_json::to_string(&balp::events(&row, &known())).unwrap();
        assert!(told.contains("unread-row") && told.contains(why), "{told}");
        assert!(!told.contains("secret") && !told.contains("Patient/p1"), "{told}");
        let message = atna::messages(&row, &known()).remove(0);
        assert!(
            message.contains("unread-row") && !message.contains("\"p1\""),
            "{message}"
        );
    }
}

#[test]
fn a_row_about_several_patients_is_several_events_and_lists_everything_once() {
    let mut several = row("search-patients");
    let entry = several.entry.as_mut().unwrap();
    entry.patient = None;
    entry.disclosure.patients.push(PatientId::new("p2").unwrap());
    entry.disclosure.resources.push(Disclosed {
        key: ResourceKey::new("Observation", "o1").unwrap(),
        version: 1,
    });
    let all = balp::events(&several, &known());
    assert_eq!(all.len(), 2);
    for (n, event) in all.iter().enumerate() {
        let id = event["id"].as_str().unwrap();
        assert_eq!(balp::place(id), Some(("server".to_owned(), 17, n)));
    }
    let counted = |what: &str| all.iter().filter(|e| e.to_string().contains(what)).count();
    assert_eq!(counted("Observation/o1/_history/1"), 1);
    assert_eq!(counted("Patient/p1/_history/3"), 1);
    assert_eq!(counted("PatientQuery"), 2);
}
