//! What was read, sealed with what it discloses: the same in every backend, so that audit rows say the same.
//!
//! Lives here: reading a permit and the names that come with a question, sealing each kind of answer. Never here: the
//! reading itself. Called by every backend.

use crate::disclosure::Collect;
use crate::kinds::KindPage;
use crate::labels;
use crate::notes::NoteHits;
use crate::scope::{ChartToken, Scope};
use crate::{
    HistoryPage, Page, PatientHit, Precondition, ScopeItem, ScopePage, SearchHits, StoreError, StoredCard,
    StoredResource,
};
use vitrine_access::action::{
    ReadCard, ReadChart, ReadResource, ReviewBreakGlass, SearchPatients, SyncScope,
};
use vitrine_access::{Action, Permit, Sealed};
use vitrine_clinical::label::Confidentiality;
use vitrine_clinical::{PatientId, ResourceKey};

fn refused(e: impl std::fmt::Display) -> StoreError {
    StoreError::Refused(e.to_string())
}

/// The patient a permit is for.
///
/// # Errors
/// [`StoreError::Refused`] when it names none.
pub fn patient_of<A: Action>(permit: &Permit<A>) -> Result<PatientId, StoreError> {
    permit
        .patient()
        .cloned()
        .ok_or_else(|| refused("the permit names no patient"))
}

/// Where a page of a chart goes on.
///
/// # Errors
/// [`StoreError::Refused`] for a token that is not ours.
pub fn chart_token(page: &Page) -> Result<Option<ChartToken>, StoreError> {
    let parse = |text: &String| ChartToken::parse(text).ok_or_else(|| refused("this page token is not ours"));
    page.after.as_ref().map(parse).transpose()
}

/// The scope a question names, which must be one and, for a patient's, the permit's.
///
/// # Errors
/// [`StoreError::Refused`], [`StoreError::WrongPatient`].
pub fn scope_of(name: &str, permit: Option<&Permit<SyncScope>>) -> Result<Scope, StoreError> {
    let scope = Scope::parse(name).ok_or_else(|| refused(format_args!("'{name}' is no scope")))?;
    match (&scope, permit.and_then(Permit::patient)) {
        (Scope::Patient(p), Some(q)) if p != q => Err(StoreError::WrongPatient(scope.to_string())),
        _ => Ok(scope),
    }
}

/// The key under which an audit row names what is no FHIR resource: `EmergencyCard/<patient>`.
fn virtual_key(kind: &str, patient: &PatientId) -> Result<ResourceKey, StoreError> {
    ResourceKey::new(kind, patient.as_str()).map_err(refused)
}

/// Seals a resource.
///
/// # Errors
/// [`StoreError::Withheld`] for one that the permit does not let see.
pub fn resource(
    permit: &Permit<ReadResource>,
    found: Option<StoredResource>,
) -> Result<Sealed<Option<StoredResource>>, StoreError> {
    if found.as_ref().is_some_and(|r| !permit.sees(labels::of(r))) {
        return Err(StoreError::Withheld(Box::new(permit.withheld())));
    }
    let mut said = Collect::default();
    if let Some(r) = &found {
        r.patient.iter().for_each(|p| said.patient(p));
        said.resource(&r.key, r.version);
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// Seals a page of the chart of the permit's patient: what the permit does not let see is taken out and counted.
pub fn chart(permit: &Permit<ReadChart>, mut found: HistoryPage) -> Sealed<HistoryPage> {
    if permit.clearance() < Confidentiality::VeryRestricted {
        let all = found.resources.len();
        found.resources.retain(|r| permit.sees(labels::of(r)));
        found.withheld = (all - found.resources.len()) as u64;
    }
    let mut said = Collect::default();
    permit.patient().into_iter().for_each(|p| said.patient(p));
    for r in &found.resources {
        said.resource(&r.key, r.version);
    }
    Sealed::seal(permit, found, said.finish())
}

/// Seals a stretch of the resources of one type: what the permit does not let see is taken out.
pub fn kind<A: Action>(permit: &Permit<A>, mut found: KindPage) -> Sealed<KindPage> {
    found.resources.retain(|(_, r)| permit.sees(labels::of(r)));
    let mut said = Collect::default();
    permit.patient().into_iter().for_each(|p| said.patient(p));
    for (_, r) in &found.resources {
        said.resource(&r.key, r.version);
    }
    Sealed::seal(permit, found, said.finish())
}

/// Seals what a search of notes found: those shown are disclosed.
pub fn notes(permit: &Permit<ReadChart>, found: NoteHits) -> Sealed<NoteHits> {
    let mut said = Collect::default();
    permit.patient().into_iter().for_each(|p| said.patient(p));
    for r in &found.resources {
        said.resource(&r.key, r.version);
    }
    Sealed::seal(permit, found, said.finish())
}

/// Seals a card as the permit lets see it.
///
/// # Errors
/// [`StoreError::Refused`] for a patient id that is no FHIR id.
pub fn card(
    permit: &Permit<ReadCard>,
    found: Option<StoredCard>,
) -> Result<Sealed<Option<StoredCard>>, StoreError> {
    let seen = |c: StoredCard| {
        let body = labels::card(c.body, permit.clearance())?;
        Ok::<_, StoreError>(StoredCard { body, ..c })
    };
    let found = found.map(seen).transpose()?;
    let mut said = Collect::default();
    if let Some(c) = &found {
        said.patient(&c.patient);
        said.resource(&virtual_key("EmergencyCard", &c.patient)?, c.version);
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// Seals what a search found.
///
/// # Errors
/// As [`card`].
pub fn hits(permit: &Permit<SearchPatients>, found: SearchHits) -> Result<Sealed<SearchHits>, StoreError> {
    let mut said = Collect::default();
    for hit in &found.hits {
        said.patient(&hit.patient);
        said.resource(&virtual_key("Patient", &hit.patient)?, hit.version);
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// Seals patients that were asked for by their ids, as a search shows them.
///
/// # Errors
/// As [`card`].
pub fn identities(
    permit: &Permit<SearchPatients>,
    found: Vec<StoredCard>,
) -> Result<Sealed<SearchHits>, StoreError> {
    let of = found.len() as u64;
    let hit = |c: StoredCard| PatientHit {
        patient: c.patient,
        version: c.version,
        card: c.body,
    };
    let hits = found.into_iter().map(hit).collect();
    self::hits(
        permit,
        SearchHits {
            hits,
            more: false,
            of,
        },
    )
}

/// Seals whose glass was broken: `patient` is of the grant, where there is one.
///
/// # Errors
/// As [`card`].
pub fn reviewed(
    permit: &Permit<ReviewBreakGlass>,
    patient: Option<&PatientId>,
    found: Option<StoredCard>,
) -> Result<Sealed<Option<PatientHit>>, StoreError> {
    let mut said = Collect::default();
    patient.into_iter().for_each(|p| said.patient(p));
    if let Some(c) = &found {
        said.resource(&virtual_key("Patient", &c.patient)?, c.version);
    }
    let hit = found.map(|c| PatientHit {
        patient: c.patient,
        version: c.version,
        card: c.body,
    });
    Ok(Sealed::seal(permit, hit, said.finish()))
}

/// Seals a page of a scope.
///
/// # Errors
/// As [`card`], for the key of an item.
pub fn page(
    permit: &Permit<SyncScope>,
    scope: &Scope,
    found: ScopePage,
) -> Result<Sealed<ScopePage>, StoreError> {
    let mut said = Collect::default();
    for item in &found.items {
        disclose(&mut said, scope, item)?;
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

fn disclose(said: &mut Collect, scope: &Scope, item: &ScopeItem) -> Result<(), StoreError> {
    let name = match scope {
        Scope::Site | Scope::Ess(_) => "EmergencyCard",
        Scope::Board(_) => "BoardRow",
        Scope::Patient(p) => {
            said.patient(p);
            said.resource(&ResourceKey::parse(&item.key).map_err(refused)?, item.ver);
            return Ok(());
        }
        Scope::Dir => {
            said.other(&item.key, item.ver);
            return Ok(());
        }
    };
    let patient = PatientId::new(item.key.as_str()).map_err(refused)?;
    said.patient(&patient);
    said.resource(&virtual_key(name, &patient)?, item.ver);
    Ok(())
}

impl Precondition {
    /// Whether it holds for a resource that is at this version (`None` = not there, or deleted).
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`].
    pub fn holds(self, key: &ResourceKey, found: Option<u64>) -> Result<(), StoreError> {
        let (holds, expected) = match self {
            Self::Any => (true, None),
            Self::Absent => (found.is_none(), None),
            Self::Version(v) => (found == Some(v), Some(v)),
        };
        if holds {
            Ok(())
        } else {
            Err(StoreError::VersionConflict {
                key: key.clone(),
                expected,
                found,
            })
        }
    }
}
