//! The quarantine of images: what could not be filed, and what becomes of it.
//!
//! Lives here: keeping an object with its reason, once for the same bytes however often they are sent, filing it again
//! after the cause was mended, letting go of it. Never here: what fits where (`filing` and the store), who may act
//! (permits are given). Called by `filing` and `ops::images`.
//!
//! An item leaves the quarantine after what takes its place is durable: whoever is killed between the two finds it there
//! still, and filing it again finds it filed.

use super::blobs::{Blobs, Received};
use super::filing::{Filer, Judged, Outcome, Placing, Refused, Unread, backend, hex, read};
use crate::clock;
use crate::ingest::import::Permits;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_dicom::Instance;
use vitrine_store::held::{HeldChange, HeldItem};
use vitrine_store::imaging::Blob;
use vitrine_store::{QuarantineItem, StoreError};
use zeroize::Zeroizing;

/// What items of images claim to be.
const KIND: &str = "DICOM";
/// Items read at a time.
const PAGE: usize = 500;

/// The kinds of faults, as the protocols tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is no DICOM object that can be understood.
    NotUnderstood,
    /// Whose it is cannot be told, or contradicts the record.
    Identity,
    /// Its UIDs contradict what is there.
    Misfiled,
}

impl Fault {
    /// Its code in answers of STOW-RS and C-STORE: of "cannot understand" (PS3.4 table B.2-1).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::NotUnderstood => 0xC000,
            Self::Identity => 0xC001,
            Self::Misfiled => 0xC002,
        }
    }

    /// The fault of a code, in hexadecimal.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let code = u16::from_str_radix(code, 16).ok()?;
        let all = [Self::NotUnderstood, Self::Identity, Self::Misfiled];
        all.into_iter().find(|f| f.code() == code)
    }
}

/// What is kept of an object beside its reason: enough to find its file and open it, and to file it again.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    sha256: String,
    bytes: u64,
    key: String,
    /// What kind of fault it is; items of earlier versions do not say.
    #[serde(default)]
    fault: Option<Fault>,
    /// SOP Class and SOP Instance UID, where they could be read.
    #[serde(default)]
    object: Option<(String, String)>,
    /// The study that its sender named.
    #[serde(default)]
    study: Option<String>,
    /// How often the same bytes came again.
    #[serde(default)]
    repeats: u64,
    /// When they came last, ms since 1970.
    #[serde(default)]
    last: Option<i64>,
}

/// An object in quarantine.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its number.
    pub id: u64,
    /// When it first came.
    pub at: UtcMs,
    /// When the same bytes came last.
    pub last: UtcMs,
    /// How often the same bytes came again.
    pub repeats: u64,
    /// Where it came from.
    pub location: String,
    /// Why it is here.
    pub reason: String,
    /// What kind of fault that is.
    pub fault: Option<Fault>,
    /// SOP Class and SOP Instance UID, where they could be read.
    pub object: Option<(String, String)>,
    /// The study that its sender named.
    pub study: Option<String>,
    /// Its bytes.
    pub blob: Blob,
}

/// An object in quarantine, looked at.
pub struct Examined {
    /// The item.
    pub item: Item,
    /// Its header, where it can be read.
    pub instance: Option<Instance>,
    /// Whose it would be now, or why it would still not be filed.
    pub now: Result<PatientId, Refused>,
}

/// Where bytes lie that are not filed.
pub(super) enum Lying {
    /// In a file that goes unless it is kept.
    Incoming(Received),
    /// In their place.
    Kept(Blob),
}

/// Which bytes are in quarantine under which number, as far as this process has seen.
#[derive(Default)]
pub(super) struct Seen {
    up_to: u64,
    by: HashMap<[u8; 32], u64>,
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("an image in quarantine: {what}"))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, at) in out.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(out)
}

impl Kept {
    fn of(blob: &Blob) -> Self {
        Self {
            sha256: hex(&blob.sha256),
            bytes: blob.bytes,
            key: hex(&blob.key[..]),
            fault: None,
            object: None,
            study: None,
            repeats: 0,
            last: None,
        }
    }

    fn read(body: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(body).map_err(|_| damaged("what is kept of it cannot be read"))
    }

    fn blob(&self) -> Result<Blob, StoreError> {
        let bad = || damaged("its digest or its key cannot be read");
        Ok(Blob {
            sha256: unhex(&self.sha256).ok_or_else(bad)?,
            bytes: self.bytes,
            key: Zeroizing::new(unhex(&self.key).ok_or_else(bad)?),
        })
    }

    fn body(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn item(held: HeldItem) -> Result<Item, StoreError> {
    let kept = Kept::read(&held.body)?;
    Ok(Item {
        id: held.row.id,
        at: held.row.at,
        last: kept.last.map_or(held.row.at, UtcMs),
        repeats: kept.repeats,
        location: held.row.location,
        reason: held.row.reason,
        fault: kept.fault,
        blob: kept.blob()?,
        object: kept.object,
        study: kept.study,
    })
}

impl Filer {
    /// Keeps an object that cannot be filed. The same bytes are kept once: what is there is counted on, with the reason of
    /// today. Servers that share a store and are sent the same bytes in the same moment may keep them twice.
    pub(super) async fn hold(
        &self,
        permits: &dyn Permits,
        bytes: Lying,
        source: &str,
        study: Option<&str>,
        refused: Refused,
    ) -> Result<Outcome, StoreError> {
        let mut seen = self.seen.lock().await;
        self.look(&mut seen).await?;
        let blob = match &bytes {
            Lying::Incoming(received) => received.blob().clone(),
            Lying::Kept(blob) => blob.clone(),
        };
        let there = match seen.by.get(&blob.sha256) {
            Some(id) => self.store.held_item(*id).await?,
            None => None,
        };
        if let Some(there) = there.filter(|i| i.row.kind.as_deref() == Some(KIND)) {
            let before = Kept::read(&there.body)?;
            let (blobs, old) = (self.blobs.clone(), before.blob()?);
            let sound = tokio::task::spawn_blocking(move || blobs.read(&old).is_ok());
            let file = if sound.await.map_err(|_| StoreError::Closed)? {
                if let Lying::Kept(blob) = &bytes {
                    self.remove(blob).await;
                }
                before.blob()?
            } else {
                self.keep(bytes).await?
            };
            let now = Kept {
                fault: Some(refused.fault),
                object: refused.object.clone(),
                study: study.map(str::to_owned),
                repeats: before.repeats + 1,
                last: Some(clock::now().0),
                ..Kept::of(&file)
            };
            let change = HeldChange::Stays {
                reason: refused.reason.clone(),
                body: now.body(),
            };
            let permit = permits.permit().await?.noted("quarantine", "repeat");
            if self.store.change_held(&permit, there.row.id, change).await? {
                return Ok(Outcome::Quarantined(refused));
            }
            // It has just been worked off: the sender must send it again, and it is judged anew.
            return Err(StoreError::Backend {
                doing: "keeping an image in quarantine",
                cause: "it was being worked off".to_owned(),
            });
        }
        let blob = self.keep(bytes).await?;
        let kept = Kept {
            fault: Some(refused.fault),
            object: refused.object.clone(),
            study: study.map(str::to_owned),
            ..Kept::of(&blob)
        };
        let location = match &refused.object {
            Some((_, uid)) => format!("{source} {uid}"),
            None => source.to_owned(),
        };
        let item = QuarantineItem {
            location,
            kind: Some(KIND.to_owned()),
            reason: refused.reason.clone(),
            expression: None,
            body: kept.body(),
        };
        let permit = permits.permit().await?;
        self.store.quarantine(&permit, clock::now(), vec![item]).await?;
        Ok(Outcome::Quarantined(refused))
    }

    async fn keep(&self, bytes: Lying) -> Result<Blob, StoreError> {
        let received = match bytes {
            Lying::Kept(blob) => return Ok(blob),
            Lying::Incoming(received) => received,
        };
        let blobs = self.blobs.clone();
        let kept = tokio::task::spawn_blocking(move || received.keep(&blobs));
        let kept = kept.await.map_err(|_| StoreError::Closed)?;
        kept.map_err(|e| backend("keeping an image in quarantine", &e))
    }

    async fn remove(&self, blob: &Blob) {
        let (blobs, blob) = (self.blobs.clone(), blob.clone());
        // Without its row a file that stays is noise.
        let _ = tokio::task::spawn_blocking(move || blobs.remove(&blob)).await;
    }

    /// Learns of what has come into quarantine since the last look.
    async fn look(&self, seen: &mut Seen) -> Result<(), StoreError> {
        loop {
            let page = self.store.held(KIND, seen.up_to, PAGE).await?;
            seen.up_to = page.last;
            for held in page.items {
                if let Ok(item) = item(held) {
                    seen.by.insert(item.blob.sha256, item.id);
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Objects in quarantine, the oldest first; `after` a number. Gives where the next page goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn held(&self, after: u64) -> Result<(Vec<Item>, Option<u64>), StoreError> {
        let page = self.store.held(KIND, after, PAGE).await?;
        let read = |held| match item(held) {
            Ok(item) => Some(item),
            // One that cannot be read keeps nobody from the others.
            Err(e) => {
                tracing::error!(error = %e, "an item of the quarantine of images cannot be read");
                None
            }
        };
        let items = page.items.into_iter().filter_map(read).collect();
        Ok((items, page.more.then_some(page.last)))
    }

    /// Looks at an object in quarantine; `None` when there is none of this number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn examine(&self, id: u64) -> Result<Option<Examined>, StoreError> {
        let found = self.store.held_item(id).await?;
        let Some(held) = found.filter(|i| i.row.kind.as_deref() == Some(KIND)) else {
            return Ok(None);
        };
        let item = item(held)?;
        let (instance, now) = match self.read_held(&item.blob).await? {
            Ok(instance) => {
                let now = match self.judge(&instance, item.study.as_deref()).await? {
                    Judged::Whose(patient) => Ok(patient),
                    Judged::Refused(refused) => Err(refused),
                };
                (Some(instance), now)
            }
            Err(refused) => (None, Err(refused)),
        };
        Ok(Some(Examined { item, instance, now }))
    }

    async fn read_held(&self, blob: &Blob) -> Result<Result<Instance, Refused>, StoreError> {
        let place = self.reading.acquire().await.map_err(|_| StoreError::Closed)?;
        let (blobs, blob) = (self.blobs.clone(), blob.clone());
        let read = tokio::task::spawn_blocking(move || match blobs.read(&blob) {
            Ok(reading) => read(reading),
            Err(e) => Err(Unread::Io(e)),
        });
        let read = read.await.map_err(|_| StoreError::Closed)?;
        drop(place);
        match read {
            Ok(instance) => Ok(Ok(instance)),
            Err(Unread::Fault(reason)) => Ok(Err(Refused::not_understood(reason))),
            Err(Unread::Io(e)) if e.kind() == io::ErrorKind::NotFound => Err(damaged("its file is gone")),
            Err(Unread::Io(e)) => Err(backend("reading an image in quarantine", &e)),
        }
    }

    /// Files an object in quarantine as if it came anew: it leaves the quarantine when it is filed, or was there. `named`:
    /// the patient whose it is by somebody's decision; then neither what its header says of a person nor the study that its
    /// sender named is asked. `None` when there is none of this number.
    ///
    /// # Errors
    /// [`StoreError`]; it stays in quarantine then.
    pub async fn refile(
        &self,
        permits: &dyn Permits,
        id: u64,
        named: Option<&PatientId>,
    ) -> Result<Option<Outcome>, StoreError> {
        let Some(Examined { item, instance, now }) = self.examine(id).await? else {
            return Ok(None);
        };
        let (instance, patient) = match (instance, named, now) {
            (Some(instance), Some(named), _) => (instance, named.clone()),
            (Some(instance), None, Ok(patient)) => (instance, patient),
            (_, _, Err(refused)) => return self.still(permits, &item, refused).await.map(Some),
            (None, _, Ok(_)) => return Err(damaged("it cannot be read")),
        };
        let (blobs, blob) = (self.blobs.clone(), item.blob.clone());
        let received = tokio::task::spawn_blocking(move || copied(&blobs, &blob));
        let received = received.await.map_err(|_| StoreError::Closed)?;
        let received = received.map_err(|e| backend("reading an image in quarantine", &e))?;
        let placing = self.file(permits, received, &item.location, &instance, patient);
        let outcome = match placing.await? {
            Placing::Done(outcome) => outcome,
            Placing::Not(bytes, refused) => {
                if let Lying::Kept(copy) = &bytes {
                    self.remove(copy).await;
                }
                return self.still(permits, &item, refused).await.map(Some);
            }
        };
        // The item's own file goes: the index' one must be there.
        if !self.kept(instance.sop_uid.as_str()).await? {
            return Err(damaged("it is in the index, whose file of it is gone"));
        }
        let permit = permits.permit().await?;
        let permit = permit.noted("quarantine", format!("{id} leaves: it is filed"));
        if self.store.change_held(&permit, id, HeldChange::Leaves).await? {
            self.remove(&item.blob).await;
        }
        Ok(Some(outcome))
    }

    /// It cannot be filed yet: the item says why as of now.
    async fn still(
        &self,
        permits: &dyn Permits,
        item: &Item,
        refused: Refused,
    ) -> Result<Outcome, StoreError> {
        if item.reason != refused.reason || item.fault != Some(refused.fault) {
            let kept = Kept {
                fault: Some(refused.fault),
                object: refused.object.clone(),
                study: item.study.clone(),
                repeats: item.repeats,
                last: Some(item.last.0),
                ..Kept::of(&item.blob)
            };
            let change = HeldChange::Stays {
                reason: refused.reason.clone(),
                body: kept.body(),
            };
            let permit = permits.permit().await?;
            let permit = permit.noted(
                "quarantine",
                format!("{} stays: it still cannot be filed", item.id),
            );
            self.store.change_held(&permit, item.id, change).await?;
        }
        Ok(Outcome::Quarantined(refused))
    }

    /// Lets go of an object in quarantine: its row, and with it the key of its file, then the file. The permit's audit row,
    /// which says what it was, is all that stays. `false` when it is not there.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is gone then.
    pub async fn discard(&self, permits: &dyn Permits, item: &Item) -> Result<bool, StoreError> {
        let mut permit = permits
            .permit()
            .await?
            .noted("quarantine", format!("{} is discarded", item.id))
            .noted("sha256", hex(&item.blob.sha256))
            .noted("bytes", item.blob.bytes.to_string());
        if let Some((class, uid)) = &item.object {
            permit = permit
                .noted("sop-class", class.as_str())
                .noted("sop-instance", uid.as_str());
        }
        let gone = self
            .store
            .change_held(&permit, item.id, HeldChange::Leaves)
            .await?;
        if gone {
            self.remove(&item.blob).await;
        }
        Ok(gone)
    }
}

/// A copy of a kept object, under a key of its own.
fn copied(blobs: &Blobs, blob: &Blob) -> io::Result<Received> {
    let mut incoming = blobs.receive()?;
    io::copy(&mut blobs.read(blob)?, &mut incoming)?;
    let received = incoming.finish()?;
    if received.blob().sha256 != blob.sha256 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file of an image has another digest than it should have",
        ));
    }
    Ok(received)
}
