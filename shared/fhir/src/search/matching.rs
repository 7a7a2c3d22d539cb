//! Whether a resource is an answer.

use super::shape::{codes, elements, local, reference, span, strings, times, unit, words_of_code};
use super::value::{Time, date, number};
use super::{
    Candidate, Filter, Has, How, Include, ParamKind, Part, Resolve, Search, System, Value, parameters,
};
use crate::json::Node as _;
use fhirkit::Json;
use vitrine_clinical::ResourceKey;
use vitrine_clinical::matching::fold;

impl Search {
    /// Whether a resource says what every filter asks. [`Search::has`] is not looked at: who refers to it is not in it.
    pub fn matches(&self, candidate: &Candidate<'_>, resolve: &mut Resolve<'_>) -> bool {
        let mut fits = true;
        // Every filter is asked, so that everything a chain needs is wanted at once.
        for filter in &self.filters {
            fits &= filter.fits(candidate, resolve);
        }
        fits
    }
}

impl Has {
    /// Whom a resource of [`Has::kind`] refers to, where it passes.
    pub fn referred(&self, candidate: &Candidate<'_>, resolve: &mut Resolve<'_>) -> Vec<ResourceKey> {
        if !self.filter.fits(candidate, resolve) {
            return Vec::new();
        }
        let paths = self.reference.paths.iter();
        let all = paths.flat_map(|p| elements(candidate.body, p));
        all.filter_map(|e| local(reference(e)?)).collect()
    }
}

impl Include {
    /// What it follows from a resource of this type.
    #[must_use]
    pub fn follow(&self, kind: &str, body: &Json) -> Vec<ResourceKey> {
        if self.source != "*" && self.source != kind {
            return Vec::new();
        }
        let every = parameters(kind).iter().filter(|p| p.kind == ParamKind::Reference);
        let followed: Vec<_> = match self.parameter {
            Some(one) => vec![one],
            None => every.collect(),
        };
        let mut keys: Vec<ResourceKey> = Vec::new();
        for parameter in followed {
            for e in parameter.paths.iter().flat_map(|p| elements(body, p)) {
                let Some(key) = reference(e).and_then(local) else {
                    continue;
                };
                let is = |k: &str| k == key.kind.as_str();
                let wanted = self.target.as_deref().is_none_or(is)
                    && (parameter.targets.is_empty() || parameter.targets.iter().any(|t| is(t)));
                if wanted && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }
}

impl Filter {
    pub(super) fn fits(&self, candidate: &Candidate<'_>, resolve: &mut Resolve<'_>) -> bool {
        match self.parameter.name {
            "_id" => return self.is_id(candidate.key.id.as_str()),
            "_lastUpdated" => return self.is_at(candidate.updated.0),
            _ => {}
        }
        let any = |value: &Value| match value {
            Value::Parts(values) => {
                let contexts = self
                    .parameter
                    .paths
                    .iter()
                    .flat_map(|p| elements(candidate.body, p));
                contexts
                    .into_iter()
                    .any(|c| all_parts(self.parameter.parts, values, c))
            }
            value => self
                .elements(candidate.body)
                .any(|(path, e)| self.says(value, path, e)),
        };
        match &self.how {
            How::Missing(missing) => self.elements(candidate.body).next().is_none() == *missing,
            How::Not => !self.values.iter().any(any),
            How::Chain(kind, inner) => self.leads_to(kind, inner, candidate.body, resolve),
            _ => self.values.iter().any(any),
        }
    }

    fn is_id(&self, id: &str) -> bool {
        let is = self
            .values
            .iter()
            .any(|v| matches!(v, Value::Token(_, Some(c)) if c == id));
        match self.how {
            How::Not => !is,
            How::Missing(missing) => !missing,
            _ => is,
        }
    }

    fn is_at(&self, ms: i64) -> bool {
        let at = Time {
            from: ms,
            until: ms.saturating_add(1),
        };
        match self.how {
            How::Missing(missing) => !missing,
            _ => self
                .values
                .iter()
                .any(|v| matches!(v, Value::Date(p, t) if date(*p, *t, at))),
        }
    }

    fn elements<'j>(&self, body: &'j Json) -> impl Iterator<Item = (&'static str, &'j Json)> {
        let parameter = self.parameter;
        let paths = parameter.paths.iter();
        paths
            .flat_map(move |path| elements(body, path).into_iter().map(move |e| (*path, e)))
            .filter(move |(_, e)| {
                // A reference to a type that the parameter does not mean is not there.
                let kind = || local(reference(e)?).map(|k| k.kind);
                parameter.targets.is_empty() || kind().is_none_or(|k| parameter.targets.contains(&k.as_str()))
            })
    }

    fn leads_to(&self, kind: &str, inner: &Filter, body: &Json, resolve: &mut Resolve<'_>) -> bool {
        let keys: Vec<ResourceKey> = self
            .elements(body)
            .filter_map(|(_, e)| local(reference(e)?))
            .filter(|k| k.kind.as_str() == kind)
            .collect();
        let mut fits = false;
        for key in keys {
            let Some(found) = resolve(&key) else { continue };
            let candidate = Candidate {
                key: &key,
                updated: vitrine_clinical::UtcMs(0),
                body: &found,
            };
            fits |= inner.fits(&candidate, resolve);
        }
        fits
    }

    fn says(&self, value: &Value, path: &str, e: &Json) -> bool {
        match (&self.how, value) {
            (How::Exact, Value::Text(asked)) => strings(e).contains(&asked.as_str()),
            (How::Contains, Value::Text(asked)) => {
                let asked = fold(asked);
                strings(e).iter().any(|s| fold(s).contains(&asked))
            }
            (How::Text, Value::Text(asked)) => {
                let asked = fold(asked);
                words_of_code(e).iter().any(|s| fold(s).starts_with(&asked))
            }
            (How::OfType, Value::OfType(system, code, id)) => {
                let of_type = e.get("type").map(codes).unwrap_or_default();
                e.text("value") == Some(id)
                    && of_type
                        .iter()
                        .any(|c| c.code == Some(code) && c.system.unwrap_or_default() == system)
            }
            (How::Identifier, token @ Value::Token(..)) => e
                .get("identifier")
                .is_some_and(|i| says(ParamKind::Token, token, i)),
            (How::Below, Value::Url(asked)) => e.as_str().is_some_and(|is| is.starts_with(asked.as_str())),
            (How::Above, Value::Url(asked)) => e.as_str().is_some_and(|is| asked.starts_with(is)),
            // That there is a date of death says that somebody died.
            (_, Value::Token(_, code)) if path == "deceasedDateTime" => code.as_deref() == Some("true"),
            (_, value) => says(self.parameter.kind, value, e),
        }
    }
}

fn all_parts(parts: &[Part], values: &[Value], context: &Json) -> bool {
    parts.iter().zip(values).all(|(part, value)| {
        let mut all = part.paths.iter().flat_map(|p| elements(context, p));
        all.any(|e| says(part.kind, value, e))
    })
}

fn says(kind: ParamKind, value: &Value, e: &Json) -> bool {
    match value {
        Value::Number(prefix, asked) => span(e).is_some_and(|is| number(*prefix, *asked, is)),
        Value::Date(prefix, asked) => times(e).into_iter().any(|is| date(*prefix, *asked, is)),
        Value::Quantity(prefix, asked, system, code) => {
            let (is_system, is_code, is_unit) = unit(e);
            let same_system = match system {
                System::Is(s) => is_system == Some(s),
                System::Any | System::Absent => true,
            };
            let same_code = code.as_deref().is_none_or(|c| {
                is_code == Some(c) || (!matches!(system, System::Is(_)) && is_unit == Some(c))
            });
            same_system && same_code && span(e).is_some_and(|is| number(*prefix, *asked, is))
        }
        Value::Text(asked) => {
            let asked = fold(asked);
            strings(e).iter().any(|s| fold(s).starts_with(&asked))
        }
        Value::Token(system, code) => codes(e).iter().any(|is| {
            let same_system = match system {
                System::Any => true,
                System::Absent => is.system.is_none(),
                System::Is(s) => is.system == Some(s) || is.is_primitive,
            };
            same_system && code.as_deref().is_none_or(|c| is.code == Some(c))
        }),
        Value::Reference(asked_kind, id) => reference(e).is_some_and(|text| {
            local(text).is_some_and(|key| {
                key.id.as_str() == id && asked_kind.as_deref().is_none_or(|k| k == key.kind.as_str())
            })
        }),
        Value::Url(asked) => {
            let is = if kind == ParamKind::Uri {
                e.as_str()
            } else {
                reference(e)
            };
            // A canonical is meant with every version, unless one is asked for.
            is.is_some_and(|is| is == asked || is.split_once('|').is_some_and(|(plain, _)| plain == asked))
        }
        Value::OfType(..) | Value::Parts(_) | Value::None => false,
    }
}
