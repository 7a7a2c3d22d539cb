//! Images by hand: the quarantine worked off, series looked at again.
//!
//! Lives here: what a command asks for, the checks before it, what it says. Never here: filing and the quarantine itself
//! (`imaging`). Called by `cli::acts`.

use super::archive::worded;
use crate::cli::acts::{Given, Ground, OfOperator, given};
use crate::clock;
use crate::error::{Exit, Fault};
use crate::imaging::filing::{Fault as NotFiled, Outcome};
use crate::imaging::held::{Examined, Item};
use crate::ingest::permits::Noted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::OperateServer;
use vitrine_clinical::PatientId;
use vitrine_dicom::class;
use vitrine_store::StoreError;

/// Series looked up at a time.
const PAGE: usize = 500;

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    List {
        limit: usize,
    },
    Show {
        id: u64,
    },
    Refile {
        ids: Vec<u64>,
        /// Whose they are by decision, and why.
        named: Option<Named>,
    },
    RefileAll {
        code: String,
    },
    Discard {
        id: u64,
        reason: String,
    },
    /// `None` = every series.
    LookAgain {
        study: Option<String>,
    },
}

/// A patient named for an object whose header does not say so.
#[derive(Clone, Serialize, Deserialize)]
pub struct Named {
    /// The patient's id, or an identifier that only this patient has.
    pub patient: String,
    /// Why.
    pub reason: String,
}

/// Permits for whoever runs commands on this machine, with the act in the audit row.
fn noted(ground: &Ground, act: &str) -> Noted {
    let operator = Arc::new(OfOperator(ground.operator.clone()));
    Noted::new(operator, vec![("act", act.to_owned())])
}

/// Carries it out.
///
/// # Errors
/// [`Fault`].
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::List { limit } => list(ground, limit).await,
        Asked::Show { id } => show(ground, id).await,
        Asked::Refile { ids, named } => refile(ground, ids, named).await,
        Asked::RefileAll { code } => refile_all(ground, &code).await,
        Asked::Discard { id, reason } => discard(ground, id, reason).await,
        Asked::LookAgain { study } => look_again(ground, study).await,
    }
}

fn code(fault: Option<NotFiled>) -> Option<String> {
    fault.map(|f| format!("{:04X}", f.code()))
}

fn listed(item: &Item) -> Value {
    json!({"id": item.id, "at": clock::instant(item.at), "last": clock::instant(item.last),
        "repeats": item.repeats, "code": code(item.fault), "reason": item.reason,
        "location": item.location, "bytes": item.blob.bytes,
        "sop": item.object.as_ref().map(|(_, uid)| uid)})
}

/// Every item, the oldest first.
async fn all(ground: &Ground) -> Result<Vec<Item>, Fault> {
    let (mut out, mut after) = (Vec::new(), 0);
    loop {
        let (items, next) = ground.images.held(after).await?;
        out.extend(items);
        match next {
            Some(next) => after = next,
            None => return Ok(out),
        }
    }
}

async fn list(ground: &Ground, limit: usize) -> Result<Given, Fault> {
    let all = all(ground).await?;
    let newest: Vec<Value> = all.iter().rev().take(limit).map(listed).collect();
    let json = json!({"quarantined": newest, "of": all.len()});
    Ok(given(Exit::Done, json))
}

fn unknown(id: u64) -> Fault {
    Fault::usage(format!(
        "there is no image {id} in quarantine: 'vitrine-server images quarantine list' shows all"
    ))
}

async fn show(ground: &Ground, id: u64) -> Result<Given, Fault> {
    let found = ground.images.examine(id).await?;
    let Examined { item, instance, now } = found.ok_or_else(|| unknown(id))?;
    // The header names somebody: that is written down before it is shown.
    let disclosure = Disclosure {
        patients: now.iter().cloned().collect(),
        ..Disclosure::default()
    };
    let permit = ground
        .permit::<OperateServer>()?
        .noted("use", "images-quarantine-show")
        .noted("item", id.to_string());
    ground.store.append(permit.entry(disclosure)).await?;
    let mut out = listed(&item);
    let mut put = |key: &str, value: Value| {
        if let Some(o) = out.as_object_mut() {
            o.insert(key.to_owned(), value);
        }
    };
    put("sha256", json!(crate::keys::hex(&item.blob.sha256)));
    put("sent_to_study", json!(item.study));
    if let Some(i) = &instance {
        let of = i.sop_class.as_ref().map(ToString::to_string);
        let kind = of.as_deref().and_then(class::name);
        put("kind", json!(kind.map(str::to_owned).or(of)));
        put("study", json!(i.study_uid.as_str()));
        put("series", json!(i.series_uid.as_str()));
        put("sop", json!(i.sop_uid.as_str()));
        put("study_date", json!(i.study_date));
        put("accession", json!(i.accession));
        put("modality", json!(i.modality));
        put("description", json!(i.study_description));
        put("header_patient_id", json!(i.patient.id));
        put("header_issuer", json!(i.patient.issuer));
        put(
            "header_name",
            json!(i.patient.name.as_ref().map(|n| &n.alphabetic)),
        );
        put("header_birth_date", json!(i.patient.birth_date));
        put("header_sex", json!(i.patient.sex));
    }
    match &now {
        Ok(patient) => put("now", json!(format!("would be filed under patient {patient}"))),
        Err(refused) => put(
            "now",
            json!(format!("{:04X}: {}", refused.fault.code(), refused.reason)),
        ),
    }
    Ok(given(Exit::Done, out))
}

/// The one patient of the record who has this id or this identifier.
async fn patient(ground: &Ground, text: &str) -> Result<PatientId, Fault> {
    let mut found = BTreeSet::new();
    if let Ok(id) = PatientId::new(text)
        && ground.store.whereabouts(&id).await?.is_some()
    {
        found.insert(id);
    }
    for key in ground.store.by_identifier("Patient", None, text).await? {
        found.extend(PatientId::new(key.id.as_str()).ok());
    }
    match (found.pop_first(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Fault::usage(format!(
            "--patient: no patient of the record has the id or identifier {text}"
        ))),
        (Some(_), false) => Err(Fault::usage(format!(
            "--patient: several patients of the record have {text}: give the id"
        ))),
    }
}

/// What became of each, as it is told.
#[derive(Default)]
struct Told {
    filed: Vec<Value>,
    stays: Vec<Value>,
    studies: BTreeSet<String>,
}

impl Told {
    async fn one(
        &mut self,
        ground: &Ground,
        permits: &Noted,
        id: u64,
        named: Option<&PatientId>,
    ) -> Result<(), Fault> {
        match ground.images.refile(permits, id, named).await {
            Ok(Some(outcome)) => match outcome {
                Outcome::Filed(ref n) | Outcome::Duplicate(ref n) => {
                    let there = matches!(outcome, Outcome::Duplicate(_));
                    self.studies.insert(n.study.clone());
                    self.filed
                        .push(json!({"id": id, "study": n.study, "sop": n.uid, "was_there": there}));
                }
                Outcome::Quarantined(refused) => self.stays.push(json!({
                    "id": id, "code": code(Some(refused.fault)), "reason": refused.reason})),
            },
            // Somebody else has just worked it off.
            Ok(None) => {}
            Err(e @ StoreError::Damaged(_)) => {
                self.stays
                    .push(json!({"id": id, "code": null, "reason": e.to_string()}));
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    async fn settled(self, ground: &Ground, permits: &Noted) -> Given {
        ground.images.settle(permits, &self.studies).await;
        let exit = if self.stays.is_empty() {
            Exit::Done
        } else {
            Exit::Some
        };
        given(exit, json!({"filed": self.filed, "stays": self.stays}))
    }
}

async fn refile(ground: &Ground, ids: Vec<u64>, named: Option<Named>) -> Result<Given, Fault> {
    let mut permits = noted(ground, "images-quarantine-refile");
    let mut whose = None;
    if let Some(Named { patient: of, reason }) = named {
        let of = patient(ground, &of).await?;
        permits = permits
            .noted("patient-by-decision", of.as_str())
            .noted("reason", worded(reason)?);
        whose = Some(of);
    }
    // A wrong number is said before anything is done.
    for id in &ids {
        if ground.images.examine(*id).await?.is_none() {
            return Err(unknown(*id));
        }
    }
    let mut told = Told::default();
    for id in ids {
        told.one(ground, &permits, id, whose.as_ref()).await?;
    }
    Ok(told.settled(ground, &permits).await)
}

async fn refile_all(ground: &Ground, code: &str) -> Result<Given, Fault> {
    let fault = NotFiled::of(code).ok_or_else(|| {
        Fault::usage(format!(
            "--all-of {code}: C000 is what is not understood, C001 whose cannot be told, C002 what contradicts what is there"
        ))
    })?;
    let permits = noted(ground, "images-quarantine-refile");
    let mut told = Told::default();
    for item in all(ground).await?.into_iter().filter(|i| i.fault == Some(fault)) {
        told.one(ground, &permits, item.id, None).await?;
    }
    Ok(told.settled(ground, &permits).await)
}

/// Whether an object may be of a record under legal hold: by the patients who have an id of its header, and by its study.
async fn may_be_held(ground: &Ground, found: Option<&Examined>) -> Result<bool, Fault> {
    let holds = ground.store.archived().await?.holds;
    if holds.is_empty() {
        return Ok(false);
    }
    // Whose it is cannot be told: it may be anybody's.
    let Some(i) = found.and_then(|f| f.instance.as_ref()) else {
        return Ok(true);
    };
    let mut whose = BTreeSet::new();
    whose.extend(ground.store.study_owner(i.study_uid.as_str()).await?);
    let others = i.patient.other_ids.iter().map(|(id, _)| id);
    for id in i.patient.id.iter().chain(others) {
        for key in ground.store.by_identifier("Patient", None, id.trim()).await? {
            whose.extend(PatientId::new(key.id.as_str()).ok());
        }
    }
    Ok(holds.iter().any(|h| whose.contains(&h.patient)))
}

async fn discard(ground: &Ground, id: u64, reason: String) -> Result<Given, Fault> {
    let reason = worded(reason)?;
    let held = || {
        Fault::unsafe_to(
            "this image may be of a record under legal hold: nothing was removed ('vitrine-server archive list' shows holds)",
        )
    };
    let found = match ground.images.examine(id).await {
        // Without its file there is nothing to look at, and nothing to keep.
        Err(StoreError::Damaged(_)) => {
            if may_be_held(ground, None).await? {
                return Err(held());
            }
            let items = all(ground).await?;
            let item = items
                .into_iter()
                .find(|i| i.id == id)
                .ok_or_else(|| unknown(id))?;
            return discarded(ground, &item, reason).await;
        }
        found => found?.ok_or_else(|| unknown(id))?,
    };
    if may_be_held(ground, Some(&found)).await? {
        return Err(held());
    }
    discarded(ground, &found.item, reason).await
}

async fn discarded(ground: &Ground, item: &Item, reason: String) -> Result<Given, Fault> {
    let permits = noted(ground, "images-quarantine-discard").noted("reason", reason.as_str());
    if !ground.images.discard(&permits, item).await? {
        return Err(unknown(item.id));
    }
    let json = json!({"id": item.id, "discarded": true, "sha256": crate::keys::hex(&item.blob.sha256),
        "bytes": item.blob.bytes, "reason": reason});
    Ok(given(Exit::Done, json))
}

async fn look_again(ground: &Ground, study: Option<String>) -> Result<Given, Fault> {
    let permit = ground
        .permit::<OperateServer>()?
        .noted("use", "images-look-again")
        .noted("study", study.as_deref().unwrap_or("all"));
    let (mut series, mut packs) = (0_u64, 0_u64);
    if let Some(uid) = study {
        let found = ground.store.study(&uid).await?;
        let found = found.ok_or_else(|| Fault::usage(format!("--study: there is no study {uid}")))?;
        ground.store.append(permit.entry(Disclosure::default())).await?;
        for s in found.series {
            packs += forgotten(ground, &s.uid).await?;
            series += 1;
        }
    } else {
        ground.store.append(permit.entry(Disclosure::default())).await?;
        let mut after = 0;
        loop {
            let page = ground.store.all_series(after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (_, uid) in &page {
                packs += forgotten(ground, uid).await?;
                series += 1;
            }
        }
    }
    ground.images.tell();
    let json = json!({"series": series, "packs_removed": packs, "served": ground.served});
    Ok(given(Exit::Done, json))
}

/// Forgets what was made of a series; how many packs that were.
async fn forgotten(ground: &Ground, series: &str) -> Result<u64, Fault> {
    let gone = ground.store.look_again(series).await?;
    let count = gone.len() as u64;
    let blobs = ground.images.blobs().clone();
    let removed = tokio::task::spawn_blocking(move || gone.iter().for_each(|b| blobs.remove(b)));
    removed
        .await
        .map_err(|e| Fault::failed(format!("removing packs of images: {e}")))?;
    Ok(count)
}
