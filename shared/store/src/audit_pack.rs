//! How an audit row lies in a store: what its text says, without the text.
//!
//! Lives here: the bytes of a row and the way back to the exact text. Never here: the chain (its hashes are over the text,
//! `vitrine_access::chain`), the tables that numbers stand for (a backend's). Called by backends.
//!
//! Names that occur again and again are numbers: patients and resources those of the record, which keeps them for ever
//! (ADR 14), users, workstations, acts and rules those of a table of words. Whoever changes what a number stands for
//! changes the text of every row that has it, and the chain names the first. A row whose text does not come back byte for
//! byte is not packed: [`pack`] unpacks what it packed and compares.
//!
//! ```text
//! flags (2)  access id (16)  time - time in the access id  actor  device  act  rule  grant (16)  patient
//! patients  resources  total  digest  notes
//! ```
//! Numbers are LEB128 in their shortest form, those with a sign zigzag. What the flags say is absent takes no byte.
//! The layout never changes: rows of old must read as they did. Another one is another function beside this.

use crate::StoreError;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};

/// Gives the number of a name, where it has one. A number stands for its name for ever; none is 0 or above 2^60.
pub trait Numbers {
    /// Of a word; a new one may be given.
    ///
    /// # Errors
    /// When the backend fails.
    fn word(&mut self, text: &str) -> Result<Option<u64>, StoreError>;
    /// Of a patient of the record.
    ///
    /// # Errors
    /// When the backend fails.
    fn patient(&mut self, id: &PatientId) -> Result<Option<u64>, StoreError>;
    /// Of a resource of the record.
    ///
    /// # Errors
    /// When the backend fails.
    fn resource(&mut self, key: &ResourceKey) -> Result<Option<u64>, StoreError>;
}

/// The way back from numbers to names.
pub trait Names {
    /// The word of a number.
    ///
    /// # Errors
    /// When the backend fails.
    fn word(&mut self, number: u64) -> Result<Option<Arc<str>>, StoreError>;
    /// The patient of a number.
    ///
    /// # Errors
    /// When the backend fails.
    fn patient(&mut self, number: u64) -> Result<Option<PatientId>, StoreError>;
    /// The resource of a number.
    ///
    /// # Errors
    /// When the backend fails.
    fn resource(&mut self, number: u64) -> Result<Option<ResourceKey>, StoreError>;
}

/// What stands in a row by number where a store keeps no table of words. Append only: rows name them by their places.
const LISTED: &[&str] = &[
    "read-card",
    "read-chart",
    "read-resource",
    "search-patients",
    "view-board",
    "write-clinical",
    "break-glass",
    "sync-scope",
    "send-live",
    "run-drill",
    "import-data",
    "manage-users",
    "manage-devices",
    "read-audit",
    "review-break-glass",
    "operate-server",
    "hold-record",
    "request-destruction",
    "approve-destruction",
    "destroy-record",
    "sign-in",
    "sign-out",
    "identify",
    "enrol",
    "wiped",
    "alarm",
    "self-test",
    "end-drill",
    "receive-grant",
    "end-break-glass",
    "explain-break-glass",
    "claim-lane",
    "own-ward-patient",
    "own-ward-board",
    "own-ward-scope",
    "site-essentials",
    "own-ward-images",
    "clinician-searches",
    "clinician-breaks-glass",
    "break-glass-grant",
    "no-relationship",
    "reference-data",
    "other-ward-board",
    "role-has-no-such-act",
    "privacy-officer",
    "clinical-it",
    "operator",
    "client-scope",
    "Patient",
    "Encounter",
    "Observation",
    "Condition",
    "AllergyIntolerance",
    "MedicationRequest",
    "MedicationStatement",
    "MedicationAdministration",
    "Flag",
    "Consent",
    "Procedure",
    "DiagnosticReport",
    "DocumentReference",
    "ServiceRequest",
    "ImagingStudy",
    "Task",
    "Provenance",
    "Immunization",
    "Device",
    "DeviceUseStatement",
    "CarePlan",
    "Goal",
    "Specimen",
    "Location",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "RelatedPerson",
    "EmergencyCard",
    "use",
    "by",
    "query",
    "scope",
    "door",
    "change",
    "reason",
    "words",
    "asked",
    "form",
    "entry",
    "entries",
    "section",
    "list",
    "study",
    "series",
    "console",
    "operations",
    "show",
    "recorded",
    "emergency",
    "yes",
    "images",
];

/// No table of words, and no number of the record: the words of a list of ours, and every other name in the row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listed;

impl Numbers for Listed {
    fn word(&mut self, text: &str) -> Result<Option<u64>, StoreError> {
        static PLACES: LazyLock<HashMap<&str, u64>> =
            LazyLock::new(|| LISTED.iter().copied().zip(1..).collect());
        Ok(PLACES.get(text).copied())
    }
    fn patient(&mut self, _: &PatientId) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
    fn resource(&mut self, _: &ResourceKey) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

impl Names for Listed {
    fn word(&mut self, number: u64) -> Result<Option<Arc<str>>, StoreError> {
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        Ok(at.and_then(|n| LISTED.get(n)).map(|w| Arc::from(*w)))
    }
    fn patient(&mut self, _: u64) -> Result<Option<PatientId>, StoreError> {
        Ok(None)
    }
    fn resource(&mut self, _: u64) -> Result<Option<ResourceKey>, StoreError> {
        Ok(None)
    }
}

/// Longer words are no words: they lie in the row.
const WORD_MAX: usize = 64;
/// Notes whose values occur again and again.
const REPEATED: &[&str] = &[
    "act",
    "assurance",
    "by",
    "change",
    "door",
    "emergency",
    "form",
    "list",
    "live",
    "quarantine",
    "recorded",
    "scope",
    "section",
    "use",
    "ward",
    "what",
];

const DENY: u8 = 1 << 4;
const DEVICE: u8 = 1 << 5;
const GRANT: u8 = 1 << 6;
const PATIENT: u8 = 1 << 7;

const DIGEST: u8 = 1;
const TOTAL: u8 = 1 << 1;
const ONE_PATIENT: u8 = 1 << 2;
const NOTES: u8 = 1 << 3;
const SAME_DEVICE: u8 = 1 << 4;
const PATIENTS: u8 = 1 << 5;
const RESOURCES: u8 = 1 << 6;
/// The purpose is one of those a caller states, beyond the four of our own.
const STATED: u8 = 1 << 7;

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Appends a number, LEB128 in its shortest form.
pub fn put_number(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let byte = n.to_le_bytes()[0] & 0x7f;
        n >>= 7;
        if n == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Appends a number with a sign.
pub fn put_signed(out: &mut Vec<u8>, n: i64) {
    put_number(out, zigzag(n));
}

/// Reads what [`put_number`] and its like wrote. `None` at the end, and for what they do not write.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    /// So many bytes.
    pub fn bytes(&mut self, n: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }
    /// A number in its shortest form.
    pub fn number(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for turn in 0..10_u32 {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if turn == 9 && part > 1 {
                return None;
            }
            n |= part << (7 * turn);
            if byte & 0x80 == 0 {
                return (byte != 0 || turn == 0).then_some(n);
            }
        }
        None
    }
    /// A number with a sign.
    pub fn signed(&mut self) -> Option<i64> {
        self.number().map(unzigzag)
    }
    /// A count of things of at least one byte each.
    fn count(&mut self) -> Option<usize> {
        let n = usize::try_from(self.number()?).ok()?;
        (n <= self.0.len()).then_some(n)
    }
}

/// Milliseconds since 1970 in a UUID of version 7; of any other some number.
fn millis(id: AccessId) -> i64 {
    i64::try_from(id.0.as_u128() >> 80).unwrap_or(0)
}

fn uuid_of(text: &str) -> Option<uuid::Uuid> {
    let id = uuid::Uuid::try_parse(text).ok()?;
    let mut buffer = uuid::Uuid::encode_buffer();
    (id.hyphenated().encode_lower(&mut buffer) == text).then_some(id)
}

fn decimal(text: &str) -> Option<u64> {
    let plain = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() < 16 || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|p| Some(digit(p[0])? << 4 | digit(p[1])?)).collect()
}

/// What was given for numbers, so that packing can be undone without the backend.
struct Packer<'n> {
    out: Vec<u8>,
    numbers: &'n mut dyn Numbers,
    known: Known,
}

#[derive(Default)]
struct Known {
    words: HashMap<u64, Arc<str>>,
    patients: HashMap<u64, PatientId>,
    resources: HashMap<u64, ResourceKey>,
}

impl Names for Known {
    fn word(&mut self, number: u64) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.words.get(&number).cloned())
    }
    fn patient(&mut self, number: u64) -> Result<Option<PatientId>, StoreError> {
        Ok(self.patients.get(&number).cloned())
    }
    fn resource(&mut self, number: u64) -> Result<Option<ResourceKey>, StoreError> {
        Ok(self.resources.get(&number).cloned())
    }
}

const TOP: u64 = 1 << 60;

const fn usable(number: u64) -> bool {
    number >= 1 && number <= TOP
}

impl Packer<'_> {
    fn number(&mut self, n: u64) {
        put_number(&mut self.out, n);
    }

    /// A text, in the low two bits of its first number: 0 the text itself by its length, 1 a word, 2 a decimal number,
    /// 3 with 0 a UUID, with n the 2n digits of a hexadecimal number.
    fn text(&mut self, text: &str, word: bool) -> Result<(), StoreError> {
        if word
            && text.len() <= WORD_MAX
            && let Some(no) = self.numbers.word(text)?.filter(|n| usable(*n))
        {
            self.known.words.insert(no, Arc::from(text));
            self.number(no << 2 | 1);
        } else if let Some(n) = decimal(text) {
            self.number(n << 2 | 2);
        } else if let Some(id) = uuid_of(text) {
            self.number(3);
            self.out.extend_from_slice(id.as_bytes());
        } else if let Some(bytes) = hex(text) {
            self.number((bytes.len() as u64) << 2 | 3);
            self.out.extend_from_slice(&bytes);
        } else {
            self.number((text.len() as u64) << 2);
            self.out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    fn patient(&mut self, id: &PatientId) -> Result<(), StoreError> {
        if let Some(no) = self.numbers.patient(id)?.filter(|n| usable(*n)) {
            self.known.patients.insert(no, id.clone());
            self.number(no);
            return Ok(());
        }
        self.number(0);
        self.text(id.as_str(), false)
    }

    /// Each by how it differs from the one before, in the low two bits of its first number: 0 a resource of the record,
    /// 1 something of a patient that the row names and its type, 2 the same type, 3 type and id.
    fn resources(&mut self, said: &Disclosure) -> Result<(), StoreError> {
        let places: HashMap<&str, i64> = said.patients.iter().map(PatientId::as_str).zip(0..).collect();
        self.number(said.resources.len() as u64);
        let (mut rid, mut place, mut kind) = (0_i64, -1_i64, None);
        for d in &said.resources {
            let at = places.get(d.key.id.as_str());
            let number = match at {
                // Cards and what else is no resource of its own.
                Some(_) if d.key.kind.as_str() != "Patient" => None,
                _ => self.numbers.resource(&d.key)?.filter(|n| usable(*n)),
            };
            if let Some(no) = number {
                self.known.resources.insert(no, d.key.clone());
                let no = no.cast_signed();
                self.number(zigzag(no - rid) << 2);
                rid = no;
            } else if let Some(at) = at {
                let same = kind == Some(&d.key.kind);
                self.number(zigzag(at - place) << 2 | if same { 2 } else { 1 });
                if !same {
                    self.text(d.key.kind.as_str(), true)?;
                }
                place = *at;
                kind = Some(&d.key.kind);
            } else {
                self.number(3);
                self.text(d.key.kind.as_str(), true)?;
                self.text(d.key.id.as_str(), false)?;
            }
            self.number(d.version);
        }
        Ok(())
    }

    fn entry(&mut self, e: &AuditEntry) -> Result<(), StoreError> {
        let (actor, name) = match &e.actor {
            Actor::User(u) => (0, u.as_str()),
            Actor::Device(d) => (1, d.as_str()),
            Actor::Client(c) => (2, c.as_str()),
            Actor::Operator(o) => (3, o.as_str()),
        };
        let purpose = match e.purpose {
            Purpose::Treatment => 0,
            Purpose::BreakGlass => 1,
            Purpose::Operations => 2,
            Purpose::Compliance => 3,
            Purpose::Payment => 4,
            Purpose::HealthcareOperations => 5,
            Purpose::Research => 6,
            Purpose::PatientRequest => 7,
        };
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let said = &e.disclosure;
        let same_device = matches!((&e.actor, &e.device), (Actor::Device(a), Some(d)) if a == d);
        let one_patient = matches!((&e.patient, said.patients.as_slice()), (Some(p), [only]) if p == only);
        self.out.push(
            actor
                | (purpose & 3) << 2
                | flag(e.decision == Decision::Deny, DENY)
                | flag(e.device.is_some() && !same_device, DEVICE)
                | flag(e.grant.is_some(), GRANT)
                | flag(e.patient.is_some(), PATIENT),
        );
        self.out.push(
            flag(said.digest.is_some(), DIGEST)
                | flag(said.total != said.resources.len() as u64, TOTAL)
                | flag(one_patient, ONE_PATIENT)
                | flag(!e.notes.is_empty(), NOTES)
                | flag(purpose > 3, STATED)
                | flag(same_device, SAME_DEVICE)
                | flag(!said.patients.is_empty() && !one_patient, PATIENTS)
                | flag(!said.resources.is_empty(), RESOURCES),
        );
        self.out.extend_from_slice(e.access_id.0.as_bytes());
        put_signed(&mut self.out, e.at.0.wrapping_sub(millis(e.access_id)));
        self.text(name, true)?;
        if let Some(device) = e.device.as_ref().filter(|_| !same_device) {
            self.text(device.as_str(), true)?;
        }
        self.text(&e.action, true)?;
        self.text(&e.rule, true)?;
        if let Some(grant) = e.grant {
            self.out.extend_from_slice(grant.0.as_bytes());
        }
        if let Some(patient) = &e.patient {
            self.patient(patient)?;
        }
        if !said.patients.is_empty() && !one_patient {
            self.number(said.patients.len() as u64);
            for p in &said.patients {
                self.patient(p)?;
            }
        }
        if !said.resources.is_empty() {
            self.resources(said)?;
        }
        if said.total != said.resources.len() as u64 {
            self.number(said.total);
        }
        if let Some(digest) = &said.digest {
            self.text(digest, false)?;
        }
        if !e.notes.is_empty() {
            self.number(e.notes.len() as u64);
            for (key, value) in &e.notes {
                self.text(key, true)?;
                self.text(value, REPEATED.contains(&key.as_str()))?;
            }
        }
        Ok(())
    }
}

/// The bytes of a row. `None` for a text that would not come back byte for byte: it is to be kept as it is.
///
/// # Errors
/// When `numbers` fails.
pub fn pack(
    entry: &AuditEntry,
    text: &[u8],
    numbers: &mut dyn Numbers,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut packer = Packer {
        out: Vec::with_capacity(64),
        numbers,
        known: Known::default(),
    };
    packer.entry(entry)?;
    let Packer { out, mut known, .. } = packer;
    let back = unpack(&out, &mut known)?;
    Ok((back.as_deref() == Some(text)).then_some(out))
}

/// The text of a row. `None` when the bytes are none that [`pack`] writes, or name what is not there.
///
/// # Errors
/// When `names` fails.
pub fn unpack(bytes: &[u8], names: &mut dyn Names) -> Result<Option<Vec<u8>>, StoreError> {
    let entry = read(bytes, names)?;
    Ok(entry.and_then(|e| serde_json::to_vec(&e).ok()))
}

/// What a row says.
///
/// # Errors
/// When `names` fails.
pub fn read(bytes: &[u8], names: &mut dyn Names) -> Result<Option<AuditEntry>, StoreError> {
    let mut unpacker = Unpacker {
        r: Reader(bytes),
        names,
        failed: None,
    };
    let entry = unpacker.entry();
    match unpacker.failed {
        Some(e) => Err(e),
        None => Ok(entry.filter(|_| unpacker.r.0.is_empty())),
    }
}

struct Unpacker<'b, 'n> {
    r: Reader<'b>,
    names: &'n mut dyn Names,
    failed: Option<StoreError>,
}

impl Unpacker<'_, '_> {
    /// Remembers a failure of the backend: it is no damage of the row.
    fn asked<T>(&mut self, found: Result<Option<T>, StoreError>) -> Option<T> {
        found.unwrap_or_else(|e| {
            self.failed = Some(e);
            None
        })
    }

    fn text(&mut self) -> Option<String> {
        let head = self.r.number()?;
        let n = head >> 2;
        match head & 3 {
            0 => {
                let bytes = self.r.bytes(usize::try_from(n).ok()?)?;
                String::from_utf8(bytes.to_vec()).ok()
            }
            1 => {
                let word = self.names.word(n);
                self.asked(word).map(|w| w.to_string())
            }
            2 => Some(n.to_string()),
            _ if n == 0 => Some(self.id()?.to_string()),
            _ => {
                let bytes = self.r.bytes(usize::try_from(n).ok()?)?;
                let digit = |n: u8| char::from_digit(u32::from(n), 16);
                let digits = bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
                digits.collect()
            }
        }
    }

    fn id(&mut self) -> Option<uuid::Uuid> {
        uuid::Uuid::from_slice(self.r.bytes(16)?).ok()
    }

    fn patient(&mut self) -> Option<PatientId> {
        match self.r.number()? {
            0 => PatientId::new(self.text()?).ok(),
            no => {
                let found = self.names.patient(no);
                self.asked(found)
            }
        }
    }

    fn resources(&mut self, patients: &[PatientId]) -> Option<Vec<Disclosed>> {
        let count = self.r.count()?;
        let mut out: Vec<Disclosed> = Vec::with_capacity(count);
        let (mut rid, mut place, mut kind) = (0_i64, -1_i64, None);
        for _ in 0..count {
            let head = self.r.number()?;
            let step = unzigzag(head >> 2);
            let key = match head & 3 {
                0 => {
                    rid = rid.checked_add(step)?;
                    let found = self.names.resource(u64::try_from(rid).ok()?);
                    self.asked(found)?
                }
                3 => {
                    if head != 3 {
                        return None;
                    }
                    let (kind, id) = (self.text()?, self.text()?);
                    ResourceKey::new(&kind, &id).ok()?
                }
                how => {
                    place = place.checked_add(step)?;
                    if how == 1 {
                        kind = Some(self.text()?);
                    }
                    let of = patients.get(usize::try_from(place).ok()?)?;
                    ResourceKey::new(kind.as_deref()?, of.as_str()).ok()?
                }
            };
            let version = self.r.number()?;
            out.push(Disclosed { key, version });
        }
        Some(out)
    }

    fn entry(&mut self) -> Option<AuditEntry> {
        let (a, b) = (self.r.byte()?, self.r.byte()?);
        let has = |flags: u8, bit: u8| flags & bit != 0;
        if has(b, ONE_PATIENT) && !has(a, PATIENT) {
            return None;
        }
        let access_id = AccessId(self.id()?);
        let at = UtcMs(millis(access_id).wrapping_add(self.r.signed()?));
        let name = self.text()?;
        let actor = match a & 3 {
            0 => Actor::User(UserId::new(name).ok()?),
            1 => Actor::Device(DeviceId::new(name).ok()?),
            2 => Actor::Client(name),
            _ => Actor::Operator(name),
        };
        let purpose = match (has(b, STATED), a >> 2 & 3) {
            (false, 0) => Purpose::Treatment,
            (false, 1) => Purpose::BreakGlass,
            (false, 2) => Purpose::Operations,
            (false, _) => Purpose::Compliance,
            (true, 0) => Purpose::Payment,
            (true, 1) => Purpose::HealthcareOperations,
            (true, 2) => Purpose::Research,
            (true, _) => Purpose::PatientRequest,
        };
        let device = match (has(a, DEVICE), has(b, SAME_DEVICE), &actor) {
            (true, false, _) => Some(DeviceId::new(self.text()?).ok()?),
            (false, true, Actor::Device(d)) => Some(d.clone()),
            (false, false, _) => None,
            _ => return None,
        };
        let (action, rule) = (self.text()?, self.text()?);
        let grant = if has(a, GRANT) {
            Some(AccessId(self.id()?))
        } else {
            None
        };
        let patient = if has(a, PATIENT) {
            Some(self.patient()?)
        } else {
            None
        };
        let patients = match (has(b, ONE_PATIENT), has(b, PATIENTS)) {
            (true, true) => return None,
            (true, false) => patient.iter().cloned().collect(),
            (false, false) => Vec::new(),
            (false, true) => {
                let count = self.r.count()?;
                let mut out = Vec::with_capacity(count);
                for _ in 0..count {
                    out.push(self.patient()?);
                }
                out
            }
        };
        let resources = if has(b, RESOURCES) {
            self.resources(&patients)?
        } else {
            Vec::new()
        };
        let total = if has(b, TOTAL) {
            self.r.number()?
        } else {
            resources.len() as u64
        };
        let digest = if has(b, DIGEST) { Some(self.text()?) } else { None };
        let mut notes = BTreeMap::new();
        if has(b, NOTES) {
            for _ in 0..self.r.count()? {
                let (key, value) = (self.text()?, self.text()?);
                notes.insert(key, value);
            }
        }
        Some(AuditEntry {
            access_id,
            at,
            actor,
            device,
            action,
            purpose,
            decision: if has(a, DENY) {
                Decision::Deny
            } else {
                Decision::Permit
            },
            rule,
            grant,
            patient,
            disclosure: Disclosure {
                patients,
                resources,
                total,
                digest,
            },
            notes,
        })
    }
}
