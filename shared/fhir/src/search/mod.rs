//! Searches of FHIR R4 (hl7.org/fhir/R4/search.html): what a question says, and whether a resource is an answer to it.
//!
//! Lives here: the table of parameters ([`parameters`]), reading a question ([`Search::parse`]), comparing one resource with it
//! ([`Search::matches`]), the order, what is included, what a subset leaves. Never here: a store, HTTP, who may search. Called by the
//! server's searches.
//!
//! Nothing is left out silently: what is not supported is an issue that names the parameter, unless the caller asked for leniency; then
//! its name is in [`Search::ignored`]. Units are not converted: a quantity is compared within its own unit.

mod lastn;
mod matching;
mod parse;
mod shape;
mod sort;
mod subset;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use lastn::{Last, LastN, Observed};
pub use sort::{SortBy, SortKey};
pub use subset::subset;
pub use summary::summary_elements;
pub use table::{GENERAL, ParamKind, Parameter, Part, parameter, parameters};
pub use value::{Decimal, Prefix};

use fhirkit::Json;
use std::sync::Arc;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The type searched.
    pub kind: String,
    /// What a resource has to say, every one of them.
    pub filters: Vec<Filter>,
    /// Who has to refer to it.
    pub has: Vec<Has>,
    /// The order; empty = the store's.
    pub sort: Vec<SortBy>,
    /// `_count`; 0 asks for the number alone.
    pub count: Option<usize>,
    /// `_include`.
    pub includes: Vec<Include>,
    /// `_revinclude`.
    pub revincludes: Vec<Include>,
    /// `_total`.
    pub total: Total,
    /// `_summary`.
    pub summary: Summary,
    /// `_elements`.
    pub elements: Vec<String>,
    /// `_page`: the server's own word for where a page begins.
    pub page: Option<String>,
    /// Names of parameters that were left out, where the caller asked for leniency.
    pub ignored: Vec<String>,
    said: Vec<(String, String)>,
}

/// `_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// Where it is known without counting.
    #[default]
    None,
    /// Counted.
    Accurate,
}

/// `_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// Everything.
    #[default]
    False,
    /// What R4 marks as the summary of its type.
    True,
    /// id, meta, text and what every resource of its type has to say.
    Text,
    /// All but text.
    Data,
    /// The number alone.
    Count,
}

/// What a resource has to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The parameter.
    pub parameter: &'static Parameter,
    how: How,
    /// Alternatives.
    values: Vec<Value>,
    /// The same as they were written, without escapes.
    texts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum How {
    Plain,
    Not,
    Exact,
    Contains,
    Text,
    OfType,
    Identifier,
    Below,
    Above,
    Missing(bool),
    /// What is referred to is of this type and passes this.
    Chain(String, Box<Filter>),
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(Prefix, Decimal),
    Date(Prefix, value::Time),
    Quantity(Prefix, Decimal, System, Option<String>),
    Text(String),
    Token(System, Option<String>),
    /// `type system|type code|value`.
    OfType(String, String, String),
    Reference(Option<String>, String),
    Url(String),
    Parts(Vec<Value>),
    /// `:missing` and chains have none.
    None,
}

#[derive(Debug, Clone, PartialEq)]
enum System {
    Any,
    /// `|code`: without a system.
    Absent,
    Is(String),
}

/// `_has:Observation:encounter:code=…`: a resource of `kind` refers to it by `reference` and passes the filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Has {
    /// Who refers.
    pub kind: String,
    /// By which parameter.
    pub reference: &'static Parameter,
    filter: Filter,
}

/// `_include`, `_revinclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The type whose references are followed; `*` = any.
    pub source: String,
    /// The parameter; `None` = every reference.
    pub parameter: Option<&'static Parameter>,
    /// The type that they lead to.
    pub target: Option<String>,
    /// Followed again from what is included.
    pub iterate: bool,
}

/// A resource that may be an answer.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which.
    pub key: &'a ResourceKey,
    /// When its version was made: what `_lastUpdated` means.
    pub updated: UtcMs,
    /// The resource.
    pub body: &'a Json,
}

/// Gives what a chain leads to; `None` where it is not there, or not for who asks.
pub type Resolve<'a> = dyn FnMut(&ResourceKey) -> Option<Arc<Json>> + 'a;

impl Search {
    /// The patients whose records are meant by `patient=` and `subject=`: all that are named by every such parameter. `None` where there is
    /// none.
    #[must_use]
    pub fn patients(&self) -> Option<Vec<PatientId>> {
        let mut named: Option<Vec<PatientId>> = None;
        for filter in self
            .filters
            .iter()
            .filter(|f| f.is_of_patient() && f.how == How::Plain)
        {
            let mut these = Vec::new();
            for value in &filter.values {
                if let Value::Reference(kind, id) = value
                    && kind.as_deref().is_none_or(|k| k == "Patient")
                {
                    these.extend(PatientId::new(id.as_str()).ok());
                }
            }
            named = Some(match named {
                None => these,
                Some(before) => before.into_iter().filter(|p| these.contains(p)).collect(),
            });
        }
        named
    }

    /// A search of the patients that a chain means: `patient.identifier=…`, `subject:Patient.name=…`. `None` where there is none.
    #[must_use]
    pub fn patient_chain(&self) -> Option<Self> {
        let chains = self.filters.iter().filter(|f| f.is_of_patient());
        let filters: Vec<Filter> = chains
            .filter_map(|f| match &f.how {
                How::Chain(kind, inner) if kind == "Patient" => Some((**inner).clone()),
                _ => None,
            })
            .collect();
        (!filters.is_empty()).then(|| Self {
            filters,
            ..Self::of("Patient")
        })
    }

    /// The ids of `_id`.
    #[must_use]
    pub fn ids(&self) -> Option<Vec<&str>> {
        let filter = self
            .filters
            .iter()
            .find(|f| f.parameter.name == "_id" && f.how == How::Plain)?;
        let id = |v| match v {
            &Value::Token(_, Some(ref id)) => Some(id.as_str()),
            _ => None,
        };
        Some(filter.values.iter().filter_map(id).collect())
    }

    /// Whether everything that matches is to be counted.
    #[must_use]
    pub fn wants_total(&self) -> bool {
        self.total == Total::Accurate || self.counts_only()
    }

    /// Whether the number alone is asked for.
    #[must_use]
    pub fn counts_only(&self) -> bool {
        self.summary == Summary::Count || self.count == Some(0)
    }

    /// Whether resources are asked for as they are.
    #[must_use]
    pub const fn wants_whole(&self) -> bool {
        matches!(self.summary, Summary::False | Summary::Count) && self.elements.is_empty()
    }

    /// What was understood, as it was said; without `_format`, `_pretty` and `_page`.
    #[must_use]
    pub fn said(&self) -> &[(String, String)] {
        &self.said
    }

    /// Everything of a type.
    fn of(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            filters: Vec::new(),
            has: Vec::new(),
            sort: Vec::new(),
            count: None,
            includes: Vec::new(),
            revincludes: Vec::new(),
            total: Total::None,
            summary: Summary::False,
            elements: Vec::new(),
            page: None,
            ignored: Vec::new(),
            said: Vec::new(),
        }
    }
}

impl Filter {
    /// What an index of words may be asked for, an alternative each: of a string its text, of a token its code, of a date without a prefix
    /// the date. Whoever passes the filter has one of these words; `None` where that cannot be said (modifiers but `:exact`, prefixes).
    #[must_use]
    pub fn words(&self) -> Option<Vec<&str>> {
        if !matches!(self.how, How::Plain | How::Exact) {
            return None;
        }
        self.values
            .iter()
            .zip(&self.texts)
            .map(|(value, text)| match value {
                Value::Text(text) => Some(text.as_str()),
                Value::Token(_, Some(code)) => Some(code.as_str()),
                Value::Date(Prefix::Eq, _) => Some(text.strip_prefix("eq").unwrap_or(text)),
                _ => None,
            })
            .collect()
    }

    fn is_of_patient(&self) -> bool {
        let p = self.parameter;
        p.kind == ParamKind::Reference && ["patient", "subject", "beneficiary"].contains(&p.name)
    }
}

impl Parameter {
    /// Where it looks, as a person reads it.
    #[must_use]
    pub fn doc(&self) -> String {
        match self.kind {
            ParamKind::Composite => "code and value of the same element, with $ between them".to_owned(),
            _ => self.paths.join(", "),
        }
    }
}
