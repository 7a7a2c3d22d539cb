//! `slots.json`: the wrapped data keys. Holds nothing that opens without DK, not even who works here, and a user's key not without the
//! secret.

use super::wrap::{Dek, open_with, seal_with};
use crate::{EngineError, entropy};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use vitrine_clinical::say;
use zeroize::Zeroizing;

/// What secret a slot was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// The PIN of the staff list.
    Pin,
    /// Anything else the server took.
    Password,
}

/// The keys that need no user: the device opens them by itself.
#[derive(Debug, Clone)]
pub struct DeviceDeks {
    /// Key of `essentials.db`.
    pub essentials: Dek,
    /// Key of `outbox.db`.
    pub outbox: Dek,
    /// Key of `images.db`, derived from that of the essentials: a profile made before there were images has it too, and
    /// it goes with it.
    pub images: Dek,
}

impl DeviceDeks {
    fn new(essentials: Dek, outbox: Dek) -> Result<Self, EngineError> {
        Ok(Self {
            images: hkdf(&[essentials.bytes()], b"vitrine-images", "images.db")?,
            essentials,
            outbox,
        })
    }
}

/// One user's slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSlot {
    /// Sign-in name.
    pub user: String,
    /// What secret it was made with.
    pub kind: SlotKind,
    /// Grows when the slot is made anew; part of the key's derivation.
    pub version: u32,
    salt: String,
    wrapped: String,
    /// File name of the records this key opens.
    pub records: String,
    /// What the staff list said of the secret when this was made, so that a slot of a secret that was changed since is known as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlotFile {
    version: u32,
    essentials: String,
    outbox: String,
    /// The users' slots: in the clear in files of version 1, else only in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<UserSlot>,
    /// The same, sealed with DK: who works here is nobody's business who has the disk alone.
    #[serde(default)]
    people: String,
}

/// The slots of a profile.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    device: String,
    file: SlotFile,
    /// Seals the list of users.
    people: Dek,
    /// Argon2id of the users' slots: memory in KiB, passes. Always the two constants below, but where the tests try every PIN.
    cost: (u32, u32),
}

const FILE_VERSION: u32 = 2;
/// Version in what the wraps of the device's keys are bound to.
const DEVICE_SLOT: u32 = 1;
/// Argon2id of a sign-in slot: 64 MiB, t=3 (security.md §1).
const SLOT_MEMORY_KIB: u32 = 64 * 1024;
const SLOT_PASSES: u32 = 3;

fn dk_kek(dk: &Dek, info: &str) -> Result<Dek, EngineError> {
    hkdf(&[dk.bytes()], b"vitrine-device-slot", info)
}

/// HKDF-SHA256 of the parts of a secret, one after another, for what `info` names.
pub(super) fn hkdf(secret: &[&[u8]], salt: &[u8], info: &str) -> Result<Dek, EngineError> {
    struct Len;
    impl ring::hkdf::KeyType for Len {
        fn len(&self) -> usize {
            32
        }
    }
    let mut input = Zeroizing::new(Vec::with_capacity(96));
    for part in secret {
        input.extend_from_slice(part);
    }
    let prk = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, salt).extract(&input);
    let mut out = Zeroizing::new([0; 32]);
    prk.expand(&[info.as_bytes()], Len)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .map_err(|_| EngineError::Internal("deriving a key"))?;
    Dek::from_bytes(out.as_slice()).ok_or(EngineError::Internal("deriving a key"))
}

impl Slots {
    /// Makes the device slot with new keys and writes the file.
    ///
    /// # Errors
    /// [`EngineError::Io`] of the file.
    pub fn create(path: &Path, device: &str, dk: &Dek) -> Result<(Self, DeviceDeks), EngineError> {
        let deks = DeviceDeks::new(Dek::random()?, Dek::random()?)?;
        let mut slots = Self {
            path: path.to_owned(),
            device: device.to_owned(),
            file: SlotFile {
                version: FILE_VERSION,
                ..SlotFile::default()
            },
            people: dk_kek(dk, "people")?,
            cost: (SLOT_MEMORY_KIB, SLOT_PASSES),
        };
        slots.file.essentials = slots.wrap_device(dk, "essentials", &deks.essentials)?;
        slots.file.outbox = slots.wrap_device(dk, "outbox", &deks.outbox)?;
        slots.write()?;
        Ok((slots, deks))
    }

    /// Opens the file and the device slot.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] when it is missing, damaged, of a newer program, or not of this device.
    pub fn open(path: &Path, device: &str, dk: &Dek) -> Result<(Self, DeviceDeks), EngineError> {
        let people = dk_kek(dk, "people")?;
        let slots = Self {
            path: path.to_owned(),
            device: device.to_owned(),
            file: read(path, device, &people)?,
            people,
            cost: (SLOT_MEMORY_KIB, SLOT_PASSES),
        };
        let deks = DeviceDeks::new(
            slots.unwrap_device(dk, "essentials", &slots.file.essentials)?,
            slots.unwrap_device(dk, "outbox", &slots.file.outbox)?,
        )?;
        // A file of before: the names in it are sealed from now on. On a full disk at the next change.
        if slots.file.version < FILE_VERSION
            && let Err(e) = slots.write()
        {
            tracing::warn!(error = %e, "slots.json could not be written in its new form");
        }
        Ok((slots, deks))
    }

    /// Reads the users' slots again: another process of this profile may have changed them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn refresh(&mut self) -> Result<(), EngineError> {
        self.file = read(&self.path, &self.device, &self.people)?;
        Ok(())
    }

    fn aad(&self, db: &str, slot: &str, version: u32) -> Vec<u8> {
        format!("vitrine\n{}\n{db}\n{slot}\n{version}", self.device).into_bytes()
    }

    fn wrap_device(&self, dk: &Dek, db: &str, dek: &Dek) -> Result<String, EngineError> {
        let sealed = seal_with(
            &dk_kek(dk, db)?,
            &self.aad(db, "device", DEVICE_SLOT),
            dek.bytes(),
        )?;
        Ok(entropy::hex(&sealed))
    }

    fn unwrap_device(&self, dk: &Dek, db: &str, wrapped: &str) -> Result<Dek, EngineError> {
        let kek = dk_kek(dk, db)?;
        entropy::unhex(wrapped)
            .and_then(|w| open_with(&kek, &self.aad(db, "device", DEVICE_SLOT), &w))
            .and_then(|k| Dek::from_bytes(&k))
            .ok_or_else(|| {
                EngineError::KeysMissing(say!(
                    "the key of {db}.db does not open on this device: enrol it again",
                    "der Schlüssel von {db}.db lässt sich auf diesem Gerät nicht öffnen: neu registrieren"
                ))
            })
    }

    /// The slots of a user.
    pub fn of(&self, user: &str) -> impl Iterator<Item = &UserSlot> {
        self.file.users.iter().filter(move |s| s.user == user)
    }

    /// Names of users with a slot, the latest made last.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.file.users.iter().map(|s| s.user.as_str())
    }

    /// Opens a slot; `None` when the secret is wrong. Takes about 0.3 s by design.
    ///
    /// # Errors
    /// [`EngineError::Internal`] when derivation fails.
    pub fn unlock(&self, slot: &UserSlot, secret: &str, dk: &Dek) -> Result<Option<Dek>, EngineError> {
        let Some(salt) = entropy::unhex(&slot.salt) else {
            return Ok(None);
        };
        let kek = user_kek(self.cost, secret, &salt, dk, (&slot.user, slot.version))?;
        Ok(entropy::unhex(&slot.wrapped)
            .and_then(|w| open_with(&kek, &self.aad("records", &slot.user, slot.version), &w))
            .and_then(|k| Dek::from_bytes(&k)))
    }

    /// Makes a user's slot of this kind anew, with a new key and so a new record cache. Returns the key, the new
    /// slot and the name of a record file that no slot opens any more.
    ///
    /// # Errors
    /// [`EngineError::Io`] of the file.
    pub fn enrol_user(
        &mut self,
        user: &str,
        kind: SlotKind,
        secret: &str,
        dk: &Dek,
        mark: Option<String>,
    ) -> Result<(Dek, UserSlot, Option<String>), EngineError> {
        let old = self
            .file
            .users
            .iter()
            .find(|s| s.user == user && s.kind == kind)
            .cloned();
        let version = old.as_ref().map_or(1, |s| s.version.saturating_add(1));
        let salt = entropy::bytes::<16>()?;
        let dek = Dek::random()?;
        let kek = user_kek(self.cost, secret, &salt, dk, (user, version))?;
        let wrapped = seal_with(&kek, &self.aad("records", user, version), dek.bytes())?;
        let slot = UserSlot {
            user: user.to_owned(),
            kind,
            version,
            salt: entropy::hex(&salt),
            wrapped: entropy::hex(&wrapped),
            records: format!("records-{}.db", entropy::hex(&entropy::bytes::<8>()?)),
            mark,
        };
        self.file.users.retain(|s| !(s.user == user && s.kind == kind));
        self.file.users.push(slot.clone());
        self.write()?;
        Ok((dek, slot, old.map(|s| s.records)))
    }

    /// Keeps up with what the staff list says of a user's secrets: a slot of a secret that was changed since is removed, one that
    /// was made before the list said anything takes the mark. Returns the record files that no key opens any more; and, where the file
    /// could not be written, why: what it holds from before comes back when it is read again, and goes again.
    pub fn keep_up(
        &mut self,
        user: &str,
        mark: impl Fn(SlotKind) -> Option<String>,
    ) -> (Vec<String>, Result<(), EngineError>) {
        let (mut gone, mut changed) = (Vec::new(), false);
        self.file.users.retain_mut(|slot| {
            let Some(now) = (slot.user == user).then(|| mark(slot.kind)).flatten() else {
                return true;
            };
            match &slot.mark {
                Some(then) if *then == now => true,
                Some(_) => {
                    gone.push(slot.records.clone());
                    false
                }
                None => {
                    slot.mark = Some(now);
                    changed = true;
                    true
                }
            }
        });
        let written = if changed || !gone.is_empty() {
            self.write()
        } else {
            Ok(())
        };
        (gone, written)
    }

    /// Removes a user's slots; returns the record files that no key opens any more.
    ///
    /// # Errors
    /// [`EngineError::Io`] of the file.
    pub fn remove(&mut self, user: &str) -> Result<Vec<String>, EngineError> {
        let gone = self.of(user).map(|s| s.records.clone()).collect::<Vec<_>>();
        if !gone.is_empty() {
            self.file.users.retain(|s| s.user != user);
            self.write()?;
        }
        Ok(gone)
    }

    fn write(&self) -> Result<(), EngineError> {
        let fault = |_| EngineError::Internal("writing slots.json");
        let users = serde_json::to_vec(&self.file.users).map_err(fault)?;
        let sealed = seal_with(&self.people, &people_aad(&self.device), &users)?;
        let file = SlotFile {
            version: FILE_VERSION,
            essentials: self.file.essentials.clone(),
            outbox: self.file.outbox.clone(),
            users: Vec::new(),
            people: entropy::hex(&sealed),
        };
        let json = serde_json::to_vec_pretty(&file).map_err(fault)?;
        crate::profile::write_private(&self.path, &json)
    }
}

fn people_aad(device: &str) -> Vec<u8> {
    format!("vitrine\n{device}\npeople").into_bytes()
}

fn read(path: &Path, device: &str, people: &Dek) -> Result<SlotFile, EngineError> {
    let bytes = std::fs::read(path).map_err(|e| {
        EngineError::KeysMissing(say!(
            "slots.json: {e}: enrol this workstation again",
            "slots.json: {e}: diesen Arbeitsplatz neu registrieren"
        ))
    })?;
    let mut file: SlotFile = serde_json::from_slice(&bytes).map_err(|_| {
        EngineError::KeysMissing(say!(
            "slots.json is damaged: enrol this workstation again",
            "slots.json ist beschädigt: diesen Arbeitsplatz neu registrieren"
        ))
    })?;
    if file.version > FILE_VERSION {
        return Err(EngineError::Unsafe(say!(
            "slots.json has version {found}, this program knows up to {FILE_VERSION}: install the newer program",
            "slots.json hat die Version {found}, dieses Programm kennt bis {FILE_VERSION}: das neuere Programm installieren",
            found = file.version
        )));
    }
    if file.version > 1 {
        let users = entropy::unhex(&file.people).and_then(|p| open_with(people, &people_aad(device), &p));
        let users = users.and_then(|json| serde_json::from_slice(&json).ok());
        file.users = users.ok_or_else(|| {
            EngineError::KeysMissing(say!(
                "the list of users in slots.json does not open on this device: enrol it again",
                "die Liste der Benutzer in slots.json lässt sich auf diesem Gerät nicht öffnen: neu registrieren"
            ))
        })?;
    }
    Ok(file)
}

fn user_kek(
    (memory_kib, passes): (u32, u32),
    secret: &str,
    salt: &[u8],
    dk: &Dek,
    (user, version): (&str, u32),
) -> Result<Dek, EngineError> {
    let params = Params::new(memory_kib, passes, 1, Some(32))
        .map_err(|_| EngineError::Internal("deriving a user's key"))?;
    let mut stretched = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.as_bytes(), salt, stretched.as_mut_slice())
        .map_err(|_| EngineError::Internal("deriving a user's key"))?;
    hkdf(
        &[stretched.as_slice(), dk.bytes()],
        b"vitrine-user-slot",
        &format!("{user}\n{version}"),
    )
}

#[cfg(test)]
mod offline_guesses;

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> (tempfile::TempDir, Slots, DeviceDeks, Dek) {
        let dir = tempfile::tempdir().unwrap();
        let dk = Dek::random().unwrap();
        let (s, d) = Slots::create(&dir.path().join("slots.json"), "dev1", &dk).unwrap();
        (dir, s, d, dk)
    }

    #[test]
    fn the_device_slot_opens_with_dk_on_its_device_alone() {
        let (dir, _, deks, dk) = slots();
        let path = dir.path().join("slots.json");
        let (_, again) = Slots::open(&path, "dev1", &dk).unwrap();
        assert_eq!(again.essentials.bytes(), deks.essentials.bytes());
        assert_ne!(again.essentials.bytes(), again.outbox.bytes());
        assert_eq!(again.images.bytes(), deks.images.bytes());
        assert_ne!(again.images.bytes(), again.essentials.bytes());
        assert!(matches!(
            Slots::open(&path, "dev2", &dk),
            Err(EngineError::KeysMissing(_))
        ));
        assert!(matches!(
            Slots::open(&path, "dev1", &Dek::random().unwrap()),
            Err(EngineError::KeysMissing(_))
        ));
        let swapped = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"essentials\"", "\"x\"")
            .replace("\"outbox\"", "\"essentials\"")
            .replace("\"x\"", "\"outbox\"");
        std::fs::write(&path, swapped).unwrap();
        assert!(
            Slots::open(&path, "dev1", &dk).is_err(),
            "a wrap opens for its own database alone"
        );
    }

    #[test]
    fn a_file_of_version_1_opens_and_its_names_are_sealed() {
        let (dir, mut s, deks, dk) = slots();
        let (dek, slot, _) = s.enrol_user("lee", SlotKind::Pin, "482915", &dk, None).unwrap();
        let path = dir.path().join("slots.json");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("lee"));
        let old = serde_json::json!({"version": 1, "essentials": s.file.essentials, "outbox": s.file.outbox, "users": [slot]});
        std::fs::write(&path, old.to_string()).unwrap();
        for _ in 0..2 {
            let (again, found) = Slots::open(&path, "dev1", &dk).unwrap();
            assert_eq!(found.essentials.bytes(), deks.essentials.bytes());
            let slot = again.of("lee").next().unwrap();
            let key = again.unlock(slot, "482915", &dk).unwrap().unwrap();
            assert_eq!(key.bytes(), dek.bytes());
            assert!(!std::fs::read_to_string(&path).unwrap().contains("lee"));
        }
        // A list of another device is none of this one's.
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (_other, o, _, _) = slots();
        o.write().unwrap();
        let theirs: serde_json::Value = serde_json::from_slice(&std::fs::read(&o.path).unwrap()).unwrap();
        json["people"] = theirs["people"].clone();
        std::fs::write(&path, json.to_string()).unwrap();
        assert!(matches!(
            Slots::open(&path, "dev1", &dk),
            Err(EngineError::KeysMissing(_))
        ));
    }

    #[test]
    fn a_user_slot_needs_the_secret_and_dk() {
        let (dir, mut s, _, dk) = slots();
        let (dek, slot, old) = s.enrol_user("lee", SlotKind::Pin, "482915", &dk, None).unwrap();
        assert!(old.is_none());
        assert_eq!(
            s.unlock(&slot, "482915", &dk).unwrap().unwrap().bytes(),
            dek.bytes()
        );
        assert!(s.unlock(&slot, "482916", &dk).unwrap().is_none());
        assert!(
            s.unlock(&slot, "482915", &Dek::random().unwrap())
                .unwrap()
                .is_none(),
            "a copy of the file elsewhere"
        );

        let (dek2, slot2, old) = s.enrol_user("lee", SlotKind::Pin, "111222", &dk, None).unwrap();
        assert_eq!(old.as_deref(), Some(slot.records.as_str()));
        assert_ne!(dek.bytes(), dek2.bytes());
        assert!(s.unlock(&slot2, "482915", &dk).unwrap().is_none());
        assert_eq!(s.of("lee").count(), 1);

        s.enrol_user("rao", SlotKind::Password, "long words", &dk, None)
            .unwrap();
        let (again, _) = Slots::open(&dir.path().join("slots.json"), "dev1", &dk).unwrap();
        assert_eq!(again.users().collect::<Vec<_>>(), ["lee", "rao"]);
        assert_eq!(s.remove("lee").unwrap(), [slot2.records]);
        assert_eq!(s.of("lee").count(), 0);
    }

    #[test]
    fn a_slot_of_a_secret_that_was_changed_is_removed_and_one_without_a_mark_takes_it() {
        let (dir, mut s, _, dk) = slots();
        let mark = |pin: &'static str, password: &'static str| {
            move |kind| {
                let of = match kind {
                    SlotKind::Pin => pin,
                    SlotKind::Password => password,
                };
                (!of.is_empty()).then(|| of.to_owned())
            }
        };
        let (_, pin, _) = s
            .enrol_user("lee", SlotKind::Pin, "482915", &dk, Some("n1".to_owned()))
            .unwrap();
        let (_, password, _) = s
            .enrol_user("lee", SlotKind::Password, "long words", &dk, None)
            .unwrap();
        s.enrol_user("rao", SlotKind::Pin, "739128", &dk, Some("n1".to_owned()))
            .unwrap();
        let keep_up = |s: &mut Slots, pin, password| {
            let (gone, written) = s.keep_up("lee", mark(pin, password));
            written.unwrap();
            gone
        };
        assert_eq!(keep_up(&mut s, "n1", ""), [""; 0], "an older server");
        assert_eq!(keep_up(&mut s, "n1", "p1"), [""; 0], "taken");
        assert_eq!(keep_up(&mut s, "n1", "p1"), [""; 0], "the same");
        let (mut s, _) = Slots::open(&dir.path().join("slots.json"), "dev1", &dk).unwrap();
        assert_eq!(keep_up(&mut s, "n1", "p2"), [password.records]);
        // Where the file cannot be written it opens nothing all the same, and its records go.
        let path = std::mem::replace(&mut s.path, dir.path().join("no folder/slots.json"));
        let (gone, written) = s.keep_up("lee", mark("n2", "p2"));
        assert_eq!((&gone, s.of("lee").count()), (&vec![pin.records.clone()], 0));
        assert!(written.is_err());
        s.path = path;
        s.refresh().unwrap();
        assert_eq!(keep_up(&mut s, "n2", "p2"), [pin.records]);
        let (s, _) = Slots::open(&dir.path().join("slots.json"), "dev1", &dk).unwrap();
        assert_eq!((s.of("lee").count(), s.of("rao").count()), (0, 1));
    }
}
