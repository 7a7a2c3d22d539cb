//! The plan of a batch or transaction (hl7.org/fhir/R4/http.html#transaction): identities first, then references, then
//! the order delete, create, update, read.

use super::{Bundle, BundleType, Conditional, Entry, Method, NewId, Request, local_reference};
use crate::edit;
use crate::issue::{Issue, IssueCode};
use crate::validate::is_resource_type;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vitrine_clinical::{FhirId, ResourceKey};

/// The store's answers: for each question the ids that match.
pub type Answers = BTreeMap<Conditional, Vec<FhirId>>;

/// A problem with one entry; its expression names the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryIssue {
    /// Index of the entry.
    pub entry: usize,
    /// The problem.
    pub issue: Issue,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Delete the resource; nothing happens when it is not there, unless a version is named.
    Delete {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// A conditional delete that matched nothing.
    DeleteNothing,
    /// Store a new resource under the key.
    Create,
    /// A conditional create whose resource is already there under the key: answer 200, write nothing.
    Exists,
    /// Store under the key, as the next version or the first; only over this version where one is named.
    Update {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Change a part of the resource; `body` is the patch (Binary with JSON Patch, or Parameters).
    Patch {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Read or search; the URL as given.
    Read {
        /// Relative URL.
        url: String,
    },
    /// A batch entry that is refused; the other entries go on.
    Refuse(Issue),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The entry it comes from; answers go back in the order of entries.
    pub entry: usize,
    /// What to do.
    pub action: Action,
    /// To which resource, where that is one.
    pub key: Option<ResourceKey>,
    /// The resource to store: the entry's bytes with its id and its resolved references, all else untouched.
    pub body: Option<Vec<u8>>,
}

/// The steps in the order in which they must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Delete, then create, then update and patch, then read.
    pub steps: Vec<Step>,
}

/// The conditions a Bundle asks about, each once: conditional creates, updates, deletes and references. Entries whose
/// condition cannot be read are left to [`plan`], which refuses them by name.
#[must_use]
pub fn questions(bundle: &Bundle<'_>) -> BTreeSet<Conditional> {
    let mut out = BTreeSet::new();
    for entry in &bundle.entries {
        if let Some(request) = &entry.request {
            out.extend(condition(request, entry).and_then(Result::ok));
        }
        let references = entry
            .resource
            .filter(|_| entry.kind.as_deref() != Some("Bundle"))
            .map(edit::references)
            .and_then(Result::ok)
            .unwrap_or_default();
        let conditional = references.iter().filter(|r| is_conditional(r));
        out.extend(conditional.filter_map(|r| Conditional::parse(r).ok()));
    }
    out
}

fn is_conditional(reference: &str) -> bool {
    reference.contains('?') && !reference.starts_with("http://") && !reference.starts_with("https://")
}

/// The condition of a request, where it has one.
fn condition(request: &Request<'_>, entry: &Entry<'_>) -> Option<Result<Conditional, EntryIssue>> {
    let refused = |element: &str| {
        let (index, element) = (entry.index, element.to_owned());
        move |r: super::conditional::Refusal| EntryIssue::new(index, r.code, &element, r.text)
    };
    match request.method {
        Method::Post => {
            let query = request.if_none_exist.as_deref()?;
            let query = query.rsplit_once('?').map_or(query, |(_, q)| q);
            Some(Conditional::of(&request.url, query).map_err(refused("request.ifNoneExist")))
        }
        Method::Put | Method::Patch | Method::Delete if request.url.contains('?') => {
            let (path, _) = request.url.split_once('?')?;
            let by_id = path.contains('/');
            (!by_id).then(|| Conditional::parse(&request.url).map_err(refused("request.url")))
        }
        _ => None,
    }
}

/// What is known of an entry after the first pass.
struct Target {
    entry: usize,
    action: Action,
    key: Option<ResourceKey>,
    condition: Option<Conditional>,
}

/// Plans a Bundle. `answers` must hold an answer (maybe empty) to each of [`questions`]; `new_id` makes the ids of
/// created resources.
///
/// A transaction is planned whole or not at all. In a batch each entry stands for itself: a refused one becomes
/// [`Action::Refuse`], and references between entries are not resolved.
///
/// # Errors
/// All issues of a transaction, each naming its entry; for a Bundle that is neither, one issue.
pub fn plan(bundle: &Bundle<'_>, answers: &Answers, new_id: NewId<'_>) -> Result<Plan, Vec<EntryIssue>> {
    if !bundle.kind.is_request() {
        let issue = Issue::new(
            IssueCode::NotSupported,
            "Bundle.type",
            "only a batch or a transaction can be carried out",
        );
        return Err(vec![EntryIssue { entry: 0, issue }]);
    }
    let transaction = bundle.kind == BundleType::Transaction;
    let mut issues = Vec::new();
    let mut targets = Vec::new();
    for entry in &bundle.entries {
        match target(entry, answers, new_id) {
            Ok(t) => targets.push(t),
            Err(i) => issues.push(i),
        }
    }
    let mut names = HashMap::new();
    if transaction {
        overlaps(bundle, &targets, &mut issues);
        names = local_names(bundle, &targets);
    }
    let mut steps = Vec::new();
    for t in targets {
        let Some(entry) = bundle.entries.get(t.entry) else {
            continue;
        };
        match body(entry, &t, &names, answers, transaction) {
            Ok(body) => steps.push(Step {
                entry: t.entry,
                action: t.action,
                key: t.key,
                body,
            }),
            Err(mut found) => issues.append(&mut found),
        }
    }
    issues.sort_by_key(|i| i.entry);
    if transaction && !issues.is_empty() {
        return Err(issues);
    }
    let mut refused = BTreeSet::new();
    for i in issues {
        if refused.insert(i.entry) {
            steps.push(Step {
                entry: i.entry,
                action: Action::Refuse(i.issue),
                key: None,
                body: None,
            });
        }
    }
    steps.sort_by_key(|s| (rank(&s.action), s.entry));
    Ok(Plan { steps })
}

const fn rank(action: &Action) -> u8 {
    match action {
        Action::Delete { .. } | Action::DeleteNothing => 0,
        Action::Create | Action::Exists => 1,
        Action::Update { .. } | Action::Patch { .. } => 2,
        Action::Read { .. } => 3,
        Action::Refuse(_) => 4,
    }
}

fn target(entry: &Entry<'_>, answers: &Answers, new_id: NewId<'_>) -> Result<Target, EntryIssue> {
    let at = entry.index;
    let Some(request) = &entry.request else {
        return Err(EntryIssue::new(
            at,
            IssueCode::Required,
            "request",
            "a required element is missing",
        ));
    };
    let condition = condition(request, entry).transpose()?;
    let matches: &[FhirId] = condition
        .as_ref()
        .and_then(|c| answers.get(c))
        .map_or(&[], Vec::as_slice);
    if matches.len() > 1 {
        let text = "the condition matches more than one resource";
        return Err(EntryIssue::new(at, IssueCode::MultipleMatches, "request", text));
    }
    let matched = matches.first();
    let done = |action, key| {
        Ok(Target {
            entry: at,
            action,
            key,
            condition: condition.clone(),
        })
    };
    match request.method {
        Method::Get | Method::Head => done(
            Action::Read {
                url: request.url.to_string(),
            },
            None,
        ),
        Method::Post => {
            let kind = posted_type(entry, request)?;
            match matched {
                Some(id) => done(Action::Exists, Some(key(at, kind, id)?)),
                None => done(Action::Create, Some(key(at, kind, &new_id(entry))?)),
            }
        }
        Method::Delete => {
            let delete = Action::Delete {
                if_match: version(at, request)?,
            };
            match (&condition, matched) {
                (Some(c), Some(id)) => done(delete, Some(key(at, &c.kind, id)?)),
                (Some(_), None) => done(Action::DeleteNothing, None),
                (None, _) => done(delete, Some(url_key(at, &request.url)?)),
            }
        }
        Method::Put => {
            let key = put_key(entry, request, condition.as_ref(), matched, new_id)?;
            done(
                Action::Update {
                    if_match: version(at, request)?,
                },
                Some(key),
            )
        }
        Method::Patch => {
            let key = match (&condition, matched) {
                (Some(c), Some(id)) => key(at, &c.kind, id)?,
                (Some(_), None) => {
                    let text = "the condition matches nothing";
                    return Err(EntryIssue::new(at, IssueCode::NotFound, "request.url", text));
                }
                (None, _) => url_key(at, &request.url)?,
            };
            done(
                Action::Patch {
                    if_match: version(at, request)?,
                },
                Some(key),
            )
        }
    }
}

fn key(at: usize, kind: &str, id: &FhirId) -> Result<ResourceKey, EntryIssue> {
    ResourceKey::new(kind, id.as_str())
        .map_err(|_| EntryIssue::new(at, IssueCode::Value, "request.url", "not a resource type and id"))
}

/// The key of a URL `Type/id`; a query after it is ignored, a version part is not allowed.
fn url_key(at: usize, url: &str) -> Result<ResourceKey, EntryIssue> {
    let path = url.split_once('?').map_or(url, |(p, _)| p);
    let wrong = || {
        EntryIssue::new(
            at,
            IssueCode::Value,
            "request.url",
            "Type/id of a FHIR R4 resource was expected",
        )
    };
    let key = ResourceKey::parse(path).map_err(|_| wrong())?;
    if is_resource_type(key.kind.as_str()) {
        Ok(key)
    } else {
        Err(wrong())
    }
}

fn posted_type<'e>(entry: &'e Entry<'_>, request: &Request<'_>) -> Result<&'e str, EntryIssue> {
    let at = entry.index;
    let url = request.url.as_ref();
    if url.contains('$') || url.contains("_search") {
        let text = "operations and searches by POST are not supported inside a Bundle";
        return Err(EntryIssue::new(at, IssueCode::NotSupported, "request.url", text));
    }
    let kind = resource_kind(entry)?;
    if url != kind {
        let text = "a POST goes to the type of its resource, e.g. \"Patient\"";
        return Err(EntryIssue::new(at, IssueCode::Value, "request.url", text));
    }
    Ok(kind)
}

fn resource_kind<'e>(entry: &'e Entry<'_>) -> Result<&'e str, EntryIssue> {
    let at = entry.index;
    if entry.resource.is_none() {
        return Err(EntryIssue::new(
            at,
            IssueCode::Required,
            "resource",
            "a required element is missing",
        ));
    }
    match entry.kind.as_deref() {
        None => Err(EntryIssue::new(
            at,
            IssueCode::Required,
            "resource.resourceType",
            "a required element is missing",
        )),
        Some(kind) if is_resource_type(kind) => Ok(kind),
        Some(_) => {
            let text = "not a FHIR R4 (4.0.1) resource type";
            Err(EntryIssue::new(
                at,
                IssueCode::NotSupported,
                "resource.resourceType",
                text,
            ))
        }
    }
}

fn put_key(
    entry: &Entry<'_>,
    request: &Request<'_>,
    condition: Option<&Conditional>,
    matched: Option<&FhirId>,
    new_id: NewId<'_>,
) -> Result<ResourceKey, EntryIssue> {
    let at = entry.index;
    let kind = resource_kind(entry)?;
    let mismatch = || {
        let text = "the resource's type and id must be those of the URL it is put to";
        EntryIssue::new(at, IssueCode::Invalid, "resource.id", text)
    };
    let found = match condition {
        None => url_key(at, &request.url)?,
        Some(c) => {
            let given = entry.id.as_deref().and_then(|id| FhirId::new(id).ok());
            match (matched, given) {
                (Some(id), Some(given)) if *id != given => return Err(mismatch()),
                (Some(id), _) => key(at, &c.kind, id)?,
                (None, Some(given)) => key(at, &c.kind, &given)?,
                (None, None) => key(at, &c.kind, &new_id(entry))?,
            }
        }
    };
    let same_id = condition.is_some() || entry.id.as_deref() == Some(found.id.as_str());
    if kind == found.kind.as_str() && same_id {
        Ok(found)
    } else {
        Err(mismatch())
    }
}

/// The version of `ifMatch`: `W/"3"`.
fn version(at: usize, request: &Request<'_>) -> Result<Option<u64>, EntryIssue> {
    let Some(text) = request.if_match.as_deref() else {
        return Ok(None);
    };
    let inner = text.trim().trim_start_matches("W/").trim_matches('"');
    inner.parse().map(Some).map_err(|_| {
        let text = "our versions are whole numbers, e.g. W/\"3\"; this one cannot be current";
        EntryIssue::new(at, IssueCode::Conflict, "request.ifMatch", text)
    })
}

/// The same resource, or the same condition, in two writing entries of a transaction; the same full URL twice.
fn overlaps(bundle: &Bundle<'_>, targets: &[Target], issues: &mut Vec<EntryIssue>) {
    let mut keys = BTreeSet::new();
    let mut conditions = BTreeSet::new();
    for t in targets
        .iter()
        .filter(|t| !matches!(t.action, Action::Read { .. }))
    {
        let again = t.key.as_ref().is_some_and(|k| !keys.insert(k.clone()))
            || t.condition
                .as_ref()
                .is_some_and(|c| !conditions.insert(c.clone()));
        if again {
            let text = "another entry of this transaction already acts on the same resource";
            issues.push(EntryIssue::new(
                t.entry,
                IssueCode::Duplicate,
                "request.url",
                text,
            ));
        }
    }
    let mut urls = BTreeSet::new();
    for entry in &bundle.entries {
        if entry.full_url.as_deref().is_some_and(|u| !urls.insert(u)) {
            let text = "another entry of this Bundle has the same fullUrl";
            issues.push(EntryIssue::new(
                entry.index,
                IssueCode::Duplicate,
                "fullUrl",
                text,
            ));
        }
    }
}

/// What each name in the Bundle becomes.
fn local_names<'b>(bundle: &'b Bundle<'_>, targets: &[Target]) -> HashMap<&'b str, String> {
    let written = targets
        .iter()
        .filter(|t| matches!(t.action, Action::Create | Action::Exists | Action::Update { .. }));
    written
        .filter_map(|t| {
            let url = bundle.entries.get(t.entry)?.full_url.as_deref()?;
            Some((url, t.key.as_ref()?.to_string()))
        })
        .collect()
}

/// The bytes to store, with their id and references.
fn body(
    entry: &Entry<'_>,
    target: &Target,
    names: &HashMap<&str, String>,
    answers: &Answers,
    transaction: bool,
) -> Result<Option<Vec<u8>>, Vec<EntryIssue>> {
    let at = entry.index;
    let (Some(bytes), Some(key)) = (entry.resource, &target.key) else {
        return Ok(None);
    };
    match target.action {
        Action::Create | Action::Update { .. } => {}
        Action::Patch { .. } => return Ok(Some(bytes.to_vec())),
        _ => return Ok(None),
    }
    if entry.kind.as_deref() == Some("Bundle") {
        // A Bundle kept as a resource (a document, a message) is its own context: its references resolve within it.
        let broken = |e: crate::FhirError| {
            vec![EntryIssue {
                entry: at,
                issue: e.0,
            }]
        };
        return edit::with_id(bytes, &key.id).map(Some).map_err(broken);
    }
    let base = base_url(entry);
    let mut issues = Vec::new();
    let mut resolve = |reference: &str| match resolved(reference, base, names, answers, transaction) {
        Ok(new) => new,
        Err((code, text)) => {
            issues.push(EntryIssue::new(at, code, "resource", text));
            None
        }
    };
    let broken = |e: crate::FhirError| {
        let expression = format!("Bundle.entry[{at}].resource.{}", e.0.expression);
        vec![EntryIssue {
            entry: at,
            issue: Issue {
                expression: expression.trim_end_matches('.').to_owned(),
                ..e.0
            },
        }]
    };
    let rewritten = edit::rewrite_references(bytes, &mut resolve).map_err(broken)?;
    if !issues.is_empty() {
        return Err(issues);
    }
    if entry.id.as_deref() == Some(key.id.as_str()) {
        return Ok(Some(rewritten));
    }
    edit::with_id(&rewritten, &key.id).map(Some).map_err(broken)
}

/// The server base of a RESTful full URL: `http://host/fhir/` of `http://host/fhir/Patient/1`.
fn base_url<'e>(entry: &'e Entry<'_>) -> Option<&'e str> {
    let url = entry.full_url.as_deref()?;
    let tail = format!("{}/{}", entry.kind.as_deref()?, entry.id.as_deref()?);
    url.strip_suffix(tail.as_str())
        .filter(|base| base.starts_with("http"))
}

/// What a reference becomes: `Ok(None)` leaves it as it is.
fn resolved(
    reference: &str,
    base: Option<&str>,
    names: &HashMap<&str, String>,
    answers: &Answers,
    transaction: bool,
) -> Result<Option<String>, (IssueCode, &'static str)> {
    if let Some(new) = names.get(reference) {
        return Ok(Some(new.clone()));
    }
    if reference.starts_with("urn:uuid:") || reference.starts_with("urn:oid:") {
        let text = if transaction {
            "a reference by urn names no entry of this Bundle"
        } else {
            "a reference by urn has no meaning in a batch, whose entries stand for themselves"
        };
        return Err((IssueCode::NotFound, text));
    }
    if is_conditional(reference) {
        let asked = Conditional::parse(reference).map_err(|r| {
            (
                r.code,
                "a conditional reference must be Type?identifier=system|value",
            )
        })?;
        return match answers.get(&asked).map_or(&[][..], Vec::as_slice) {
            [id] => Ok(Some(format!("{}/{id}", asked.kind))),
            [] => Err((IssueCode::NotFound, "a conditional reference matches nothing")),
            _ => Err((
                IssueCode::MultipleMatches,
                "a conditional reference matches more than one resource",
            )),
        };
    }
    // A relative reference inside a resource with a RESTful full URL means that URL's server (R4, Bundle.entry.fullUrl).
    let absolute = base
        .filter(|_| local_reference(reference).is_some())
        .map(|b| format!("{b}{reference}"));
    Ok(absolute
        .and_then(|url| names.get(url.as_str()).cloned())
        .filter(|new| new != reference))
}
