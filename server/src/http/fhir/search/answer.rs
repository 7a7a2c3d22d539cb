//! The answer of a search: a Bundle of type searchset.
//!
//! Lives here: entries, links, what is told beside them. Never here: reading (`walk`). Called by [`super::searched`].

use super::super::everything::{escaped, withheld};
use super::super::read::shown;
use super::super::{away, seen, told};
use super::walk::Walked;
use super::{FhirRefusal, Page};
use crate::app::App;
use crate::clock;
use serde_json::{Value, json};
use vitrine_access::Permit;
use vitrine_access::action::ReadChart;
use vitrine_clinical::ResourceKey;
use vitrine_fhir::search::Search;
use vitrine_fhir::{IssueCode, search};
use vitrine_store::{ArchivedResource, StoreError, StoredResource};

/// A resource as it goes out.
pub(super) struct Shown {
    key: ResourceKey,
    body: Vec<u8>,
}

/// What is answered.
pub(super) struct Answer {
    matches: Vec<Shown>,
    included: Vec<Shown>,
    told: Vec<Value>,
    /// What was found as it is stored.
    found: Vec<StoredResource>,
    /// The same of patients, whose entries are made already.
    patients: Vec<StoredResource>,
    archived: Vec<(usize, ArchivedResource)>,
    total: Option<u64>,
    next: Option<String>,
}

impl Answer {
    /// Of what a walk found.
    pub(super) fn of(search: &Search, page: &Page, walked: Walked) -> Self {
        let mut answer = Self {
            matches: Vec::new(),
            included: Vec::new(),
            told: Vec::new(),
            found: walked.hits,
            patients: Vec::new(),
            archived: walked.archived,
            total: walked.total,
            next: walked.next.filter(|_| page.limit > 0).map(|t| t.to_string()),
        };
        if !search.ignored.is_empty() {
            answer.tell(
                IssueCode::NotSupported,
                &format!(
                    "not supported, and left out as you asked: {}",
                    search.ignored.join(", ")
                ),
            );
        }
        if walked.withdrawn > 0 {
            let (s, are) = if walked.withdrawn == 1 {
                ("", "is")
            } else {
                ("s", "are")
            };
            answer.tell(
                IssueCode::Processing,
                &format!(
                    "{} observation{s} entered in error {are} left out: ask with status=entered-in-error",
                    walked.withdrawn
                ),
            );
        }
        answer
    }

    /// Of patients: their entries as they go out, and of those whose records were read these, for what is included beside them.
    pub(super) fn of_patients(
        matches: Vec<(ResourceKey, Vec<u8>)>,
        patients: Vec<StoredResource>,
        total: u64,
        next: Option<String>,
    ) -> Self {
        Self {
            matches: matches
                .into_iter()
                .map(|(key, body)| Shown { key, body })
                .collect(),
            included: Vec::new(),
            told: Vec::new(),
            found: Vec::new(),
            patients,
            archived: Vec::new(),
            total: Some(total),
            next,
        }
    }

    /// What was found as it is stored, for what is included beside it.
    pub(super) fn stored(&self) -> Vec<StoredResource> {
        self.found.iter().chain(&self.patients).cloned().collect()
    }

    /// Says something beside the entries.
    pub(super) fn tell(&mut self, code: IssueCode, text: &str) {
        self.told.push(told(code.as_str(), text));
    }

    /// Says what of a record is withheld, and what of it could not be looked at because it lies in the archive. `of` is its place among
    /// those searched.
    pub(super) async fn tell_of_record(
        &mut self,
        app: &App,
        of: usize,
        permit: &Permit<ReadChart>,
    ) -> Result<(), FhirRefusal> {
        let left_out = seen::left_out(app, permit).await?;
        if left_out > 0 {
            self.told.push(withheld(left_out, permit.breaking_helps()));
        }
        let own = self.archived.iter().filter(|(n, _)| *n == of);
        let archived: Vec<ArchivedResource> = own.map(|(_, a)| a.clone()).collect();
        if !archived.is_empty() {
            self.told
                .push(away::entry(&archived, &away::asked_back(app, permit).await?));
            // Whether they match is not known: neither is how many do.
            self.total = None;
        }
        Ok(())
    }

    /// Adds what is included beside what was found.
    pub(super) fn include(&mut self, found: &StoredResource) -> Result<(), FhirRefusal> {
        self.included.push(Shown {
            key: found.key.clone(),
            body: shown(found)?,
        });
        Ok(())
    }

    /// The Bundle.
    pub(super) fn bundle(mut self, search: &Search, page: &Page) -> Result<Vec<u8>, FhirRefusal> {
        for found in &self.found {
            let body = shown(found)?;
            self.matches.push(Shown {
                key: found.key.clone(),
                body: subset(search, body)?,
            });
        }
        let said = search.said();
        let link = |token: Option<&str>| {
            let pairs = said.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            let query: Vec<String> = pairs
                .chain(token.map(|t| ("_page", t)))
                .map(|(k, v)| format!("{}={}", escaped(k), escaped(v)))
                .collect();
            let mark = if query.is_empty() { "" } else { "?" };
            let operation = if page.last.is_some() { "/$lastn" } else { "" };
            format!(
                "{}/{}{operation}{mark}{}",
                page.base,
                search.kind,
                query.join("&")
            )
        };
        let mut links = vec![json!({"relation": "self", "url": link(search.page.as_deref())})];
        links.extend(
            self.next
                .as_deref()
                .map(|t| json!({"relation": "next", "url": link(Some(t))})),
        );
        let mut out = format!(
            "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"timestamp\":\"{}\"",
            clock::instant(clock::now())
        )
        .into_bytes();
        if let Some(total) = self.total {
            out.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        out.extend_from_slice(format!(",\"link\":{}", Value::from(links)).as_bytes());
        let told = self.told.iter().map(|t| t.to_string().into_bytes());
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for (list, mode) in [(&self.matches, "match"), (&self.included, "include")] {
            for one in list {
                let url = json!(format!("{}/{}", page.base, one.key));
                let mut entry = format!("{{\"fullUrl\":{url},\"resource\":").into_bytes();
                entry.extend_from_slice(&one.body);
                entry.extend_from_slice(format!(",\"search\":{{\"mode\":\"{mode}\"}}}}").as_bytes());
                entries.push(entry);
            }
        }
        entries.extend(told);
        if !entries.is_empty() {
            out.extend_from_slice(b",\"entry\":[");
            out.extend_from_slice(&entries.join(&b","[..]));
            out.push(b']');
        }
        out.push(b'}');
        Ok(out)
    }
}

/// What `_summary` and `_elements` leave of a body; the body itself where they ask for all of it.
///
/// # Errors
/// [`FhirRefusal`] for a body that cannot be read.
pub(super) fn subset(search: &Search, body: Vec<u8>) -> Result<Vec<u8>, FhirRefusal> {
    if search.wants_whole() {
        return Ok(body);
    }
    let json = vitrine_fhir::parse(&body).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let part = search::subset(search, &search.kind, &json);
    Ok(part.map_or(body, |part| part.to_compact().into_bytes()))
}
