//! Every file of a workstation, copied to another machine: without the device's secret nothing opens, everything says why, and no file
//! is touched.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::{block, give_records, open, options, people, pin, plant};
use vitrine_engine::keys::{Dek, DeviceKey, FileSealer, Sealer, SlotKind, Slots};
use vitrine_engine::profile::Profile;
use vitrine_engine::{EngineError, Workstation, cache};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::Key;
use vitrine_store_sqlcipher::workstation::{Essentials, Images, Outbox, Records};
use vitrine_wire::view::DeviceState;

/// What the other machine's own files are called: it may write those.
const OWN: [&str; 1] = ["sealer.key"];

/// A workstation that was used: two people with records, an emergency, images' database, audit rows.
fn used(dir: &Path) -> support::Profiled {
    let p = plant(dir, &people());
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..2]);
    give_records(&p, "rao", "correct horse", SlotKind::Password, &people()[..1]);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.chart("p1")).unwrap();
    block(ws.break_glass(support::with_pin("rao", pin("rao"), "p2"))).unwrap();
    ws.lock();
    assert!(ws.close(std::time::Duration::from_secs(10)));
    p
}

fn copy(from: &Path, to: &Path, without: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        let name = file.file_name();
        if file.path().is_file() && !without.iter().any(|w| *w == name) {
            std::fs::copy(file.path(), to.join(name)).unwrap();
        }
    }
}

/// Every file with its bytes, but the other machine's own.
fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|f| f.path().is_file());
    files
        .map(|f| {
            let name = f.file_name().to_string_lossy().into_owned();
            let bytes = std::fs::read(f.path()).unwrap();
            (name, bytes)
        })
        .filter(|(name, _)| !OWN.contains(&name.as_str()) && name != "link.lock")
        .collect()
}

/// A sealer of another machine, in its folder.
fn another_machine(dir: &Path) -> FileSealer {
    let sealer = FileSealer::new(dir);
    sealer.seal("its own", b"secret").unwrap();
    sealer
}

fn key(dek: &Dek) -> Key {
    Key::new((*dek.bytes()).into())
}

#[test]
fn without_the_devices_secret_nothing_opens_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let p = used(&dir.path().join("here"));
    for sealed_by_another in [false, true] {
        let there = dir.path().join(format!("there-{sealed_by_another}"));
        copy(&p.dir, &there, &OWN);
        if sealed_by_another {
            another_machine(&there);
        }
        let before = bytes_of(&there);
        assert!(before.len() >= 8, "{:?}", before.keys());

        let ws = Workstation::open(&there, options()).unwrap();
        let view = ws.lock_view();
        assert_eq!(view.device_state, DeviceState::KeysMissing);
        assert!(view.recent_users.is_empty(), "not even who works there");
        assert!(matches!(ws.usable(), Err(EngineError::KeysMissing(_))));
        for (user, secret) in [("lee", pin("lee")), ("rao", "correct horse")] {
            let e = block(ws.sign_in(user, secret)).unwrap_err();
            assert!(matches!(e, EngineError::KeysMissing(_)), "{e:?}");
        }
        let e = block(ws.break_glass(support::with_pin("rao", pin("rao"), "p2"))).unwrap_err();
        assert!(matches!(e, EngineError::KeysMissing(_)), "{e:?}");
        drop(ws);
        assert_eq!(bytes_of(&there), before, "files were touched");
    }
}

#[test]
fn each_file_and_each_slot_refuses_the_keys_of_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let p = used(&dir.path().join("here"));
    let there = dir.path().join("there");
    copy(&p.dir, &there, &OWN);
    let before = bytes_of(&there);

    // A device of one's own, with its own slots; what was stolen lies beside it.
    let own = dir.path().join("own");
    let profile = Profile::at(&own).unwrap();
    let stranger = DeviceKey::create(&profile.device_key(), &another_machine(&own)).unwrap();
    assert!(matches!(
        DeviceKey::open(&there.join("device.key"), &FileSealer::new(&own)),
        Err(EngineError::KeysMissing(_))
    ));
    assert!(matches!(
        Slots::open(&there.join("slots.json"), &p.device, stranger.dk()),
        Err(EngineError::KeysMissing(_))
    ));
    let (_, deks) = Slots::create(&profile.slots(), &p.device, stranger.dk()).unwrap();

    let wrong = |e: Option<StoreError>, file: &str| {
        assert!(matches!(e, Some(StoreError::WrongKey(_))), "{file}: {e:?}");
    };
    let at = |name: &str| there.join(name);
    for dek in [&deks.essentials, &deks.outbox, &deks.images] {
        let opened = Essentials::open(&at("essentials.db"), &key(dek), cache::open_fold);
        wrong(opened.err(), "essentials.db");
        wrong(Outbox::open(&at("outbox.db"), &key(dek)).err(), "outbox.db");
        let opened = Images::open(&at("images.db"), &at("images"), &key(dek));
        wrong(opened.err(), "images.db");
    }
    let records = before
        .keys()
        .filter(|f| f.starts_with("records-") && f.ends_with(".db"));
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), 2);
    for file in records {
        let opened = Records::open(&at(file), &key(&deks.essentials), cache::open_fold);
        wrong(opened.err(), file);
    }

    // The users' slots put into a file of one's own, which opens: they do not, nor do they say whose they are.
    let stolen: serde_json::Value = serde_json::from_slice(&before["slots.json"]).unwrap();
    let mut grafted: serde_json::Value =
        serde_json::from_slice(&std::fs::read(profile.slots()).unwrap()).unwrap();
    grafted["people"] = stolen["people"].clone();
    std::fs::write(profile.slots(), serde_json::to_vec(&grafted).unwrap()).unwrap();
    assert!(matches!(
        Slots::open(&profile.slots(), &p.device, stranger.dk()),
        Err(EngineError::KeysMissing(_))
    ));
    // Had they been read: with the right secrets they do not open either. With the device's own secret they do.
    let (real, slots, _) = support::keys(&p);
    for (user, secret) in [("lee", pin("lee")), ("rao", "correct horse")] {
        let slot = slots.of(user).next().unwrap().clone();
        assert!(
            slots.unlock(&slot, secret, stranger.dk()).unwrap().is_none(),
            "{user}"
        );
        assert!(
            slots.unlock(&slot, secret, real.dk()).unwrap().is_some(),
            "{user}"
        );
    }
    assert_eq!(bytes_of(&there), before, "files were touched");
}

/// What the file sealer cannot do, and says of itself: its key lies beside what it seals, so a copy of all files is the workstation.
/// The essentials open there; a record still needs its person's secret.
#[test]
fn the_file_sealer_goes_with_a_copy_of_everything_and_is_labelled_weak() {
    let dir = tempfile::tempdir().unwrap();
    let p = used(&dir.path().join("here"));
    let there = dir.path().join("there");
    copy(&p.dir, &there, &[]);
    let ws = Workstation::open(&there, options()).unwrap();
    ws.usable().unwrap();
    assert_eq!(ws.key_protection(), Some("file (weak)"));
    assert!(!FileSealer::new(&there).properties().hardware_bound);
    let copied = support::Profiled {
        dir: there,
        device: p.device.clone(),
    };
    let (device, slots, _) = support::keys(&copied);
    for slot in ["lee", "rao"].map(|user| slots.of(user).next().unwrap().clone()) {
        assert!(slots.unlock(&slot, "000000", device.dk()).unwrap().is_none());
    }
}
