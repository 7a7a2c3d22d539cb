//! What chains of a search lead to.
//!
//! A chain (`encounter.status`) looks at another resource than the one that is found. It is looked at only where the caller may search
//! that type of this record too, and sees its label; everything else is as if it were not there.

use super::FhirRefusal;
use super::walk::{Body, Leave};
use crate::app::App;
use crate::identity::sessions::Caller;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use vitrine_access::Action as _;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::policy;
use vitrine_clinical::ResourceKey;
use vitrine_fhir::parse;
use vitrine_store::{StoreError, labels};

/// What was looked up, and what is still wanted.
pub(super) struct Resolving<'a> {
    caller: &'a Caller,
    known: HashMap<ResourceKey, Option<Body>>,
    wanted: HashSet<ResourceKey>,
    may: HashMap<(String, bool), bool>,
}

impl<'a> Resolving<'a> {
    pub(super) fn new(caller: &'a Caller) -> Self {
        Self {
            caller,
            known: HashMap::new(),
            wanted: HashSet::new(),
            may: HashMap::new(),
        }
    }

    /// What is known by a key; what is not known yet is wanted.
    pub(super) fn resolve(&mut self, key: &ResourceKey) -> Option<Body> {
        if let Some(known) = self.known.get(key) {
            return known.clone();
        }
        self.wanted.insert(key.clone());
        None
    }

    /// Fetches what is wanted; whether there was anything.
    pub(super) async fn fetch(&mut self, app: &App, leave: &Leave) -> Result<bool, FhirRefusal> {
        let wanted = std::mem::take(&mut self.wanted);
        let any = !wanted.is_empty();
        for key in wanted {
            let body = self.looked_up(app, leave, &key).await?;
            self.known.insert(key, body);
        }
        Ok(any)
    }

    async fn looked_up(
        &mut self,
        app: &App,
        leave: &Leave,
        key: &ResourceKey,
    ) -> Result<Option<Body>, FhirRefusal> {
        let owner = match app.store.owner(key).await? {
            Some(owner) if owner.is_none() || owner.as_ref() == leave.patient() => owner,
            _ => return Ok(None),
        };
        let of = (key.kind.as_str().to_owned(), owner.is_some());
        let may = match self.may.get(&of) {
            Some(may) => *may,
            None => {
                let request = app
                    .request(self.caller, Some(key.kind.as_str()), owner.as_ref())
                    .await?;
                let name = if of.1 { ReadChart::NAME } else { ReadResource::NAME };
                let may = policy::verdict(name, &request).allow;
                self.may.insert(of, may);
                may
            }
        };
        if !may {
            return Ok(None);
        }
        let body = match app.store.lookup(key).await {
            Ok(found) => found.map(|(_, body)| body),
            // It lies in the archive: nothing is said of it.
            Err(StoreError::Archived { .. }) => None,
            Err(e) => return Err(e.into()),
        };
        let Some(body) = body.filter(|b| leave.sees(labels::of_resource(key.kind.as_str(), b))) else {
            return Ok(None);
        };
        let json = parse(&body).map_err(|e| StoreError::Damaged(format!("the body of {key}: {e}")))?;
        Ok(Some(Arc::new(json)))
    }
}
