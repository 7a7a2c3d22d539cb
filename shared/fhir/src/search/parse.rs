//! Reading a question.

use super::value::{Decimal, Prefix, Time};
use super::{
    Filter, Has, How, Include, ParamKind, Parameter, Search, SortBy, Summary, System, Total, Value, parameter,
};
use crate::issue::{Issue, IssueCode};

/// Parameters of one question.
const PARAMETERS: usize = 64;
/// Alternatives of one question, all parameters together.
const ALTERNATIVES: usize = 200;
/// Characters of one value.
const LONGEST: usize = 2000;
/// Includes of either way.
const INCLUDES: usize = 8;
/// Keys of an order.
const KEYS: usize = 4;

type Read<T> = Result<T, Issue>;

fn no<T>(code: IssueCode, text: impl Into<String>) -> Read<T> {
    Err(Issue::new(code, "", text))
}

impl Search {
    /// Reads the pairs of a query, decoded and in order. With `strict` a parameter that is not supported is an issue, else its name is
    /// kept in [`Search::ignored`]; a value that cannot be read is an issue either way.
    ///
    /// # Errors
    /// Every issue, each naming its parameter.
    pub fn parse(kind: &str, pairs: &[(String, String)], strict: bool) -> Result<Self, Vec<Issue>> {
        let mut search = Self::of(kind);
        let mut issues = Vec::new();
        if pairs.len() > PARAMETERS {
            issues.push(Issue::new(
                IssueCode::TooLong,
                "",
                format!("{} parameters: at most {PARAMETERS} are taken", pairs.len()),
            ));
            return Err(issues);
        }
        let mut alternatives = 0;
        for (name, value) in pairs {
            if value.chars().count() > LONGEST || name.chars().count() > LONGEST {
                issues.push(Issue::new(
                    IssueCode::TooLong,
                    "",
                    format!("a parameter of more than {LONGEST} characters"),
                ));
                continue;
            }
            alternatives += split(value, ',').len();
            match search.take(name, value) {
                Ok(true) => search.said.push((name.clone(), value.clone())),
                Ok(false) => {}
                Err(issue) if issue.code == IssueCode::NotSupported && !strict => {
                    search.ignored.push(name.clone());
                }
                Err(issue) => issues.push(issue),
            }
        }
        if alternatives > ALTERNATIVES + PARAMETERS {
            issues.push(Issue::new(
                IssueCode::TooLong,
                "",
                format!("more than {ALTERNATIVES} alternatives: ask for fewer at a time"),
            ));
        }
        if issues.is_empty() {
            Ok(search)
        } else {
            Err(issues)
        }
    }

    /// Takes one parameter; whether it belongs into the link of the answer.
    fn take(&mut self, name: &str, value: &str) -> Read<bool> {
        let (base, modifier) = name.split_once(':').unwrap_or((name, ""));
        match base {
            "_format" | "_pretty" => return Ok(false),
            "_page" => {
                self.page = Some(value.to_owned());
                return Ok(false);
            }
            "_has" => self.has.push(has(&self.kind, modifier, value)?),
            "_include" | "_revinclude" => {
                let iterate = match modifier {
                    "" => false,
                    "iterate" | "recurse" => true,
                    _ => {
                        return no(
                            IssueCode::NotSupported,
                            format!("{name}: :iterate is the only modifier of an include"),
                        );
                    }
                };
                let list = if base == "_include" {
                    &mut self.includes
                } else {
                    &mut self.revincludes
                };
                if list.len() >= INCLUDES {
                    return no(IssueCode::TooLong, format!("more than {INCLUDES} of {base}"));
                }
                list.push(include(base, value, iterate)?);
            }
            "_sort" | "_count" | "_total" | "_summary" | "_elements" if !modifier.is_empty() => {
                return no(IssueCode::NotSupported, format!("{base} has no modifiers"));
            }
            "_sort" => self.sort = order(&self.kind, value)?,
            "_count" => match value.parse() {
                Ok(n) => self.count = Some(n),
                Err(_) => return no(IssueCode::Value, "_count is a number"),
            },
            "_total" => match value {
                "none" => self.total = Total::None,
                "accurate" | "estimate" => self.total = Total::Accurate,
                _ => return no(IssueCode::Value, "_total is none, estimate or accurate"),
            },
            "_summary" => match value {
                "false" => self.summary = Summary::False,
                "text" => self.summary = Summary::Text,
                "data" => self.summary = Summary::Data,
                "count" => self.summary = Summary::Count,
                "true" => self.summary = Summary::True,
                _ => return no(IssueCode::Value, "_summary is true, false, text, data or count"),
            },
            "_elements" => {
                self.elements = value
                    .split(',')
                    .map(|e| e.trim().to_owned())
                    .filter(|e| !e.is_empty())
                    .collect();
            }
            _ => self.filters.push(filter(&self.kind, name, value)?),
        }
        Ok(true)
    }
}

/// Splits at a character that no backslash stands before; the escapes stay.
fn split(text: &str, at: char) -> Vec<String> {
    let (mut all, mut one, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == at && !escaped {
            all.push(std::mem::take(&mut one));
            continue;
        }
        escaped = c == '\\' && !escaped;
        one.push(c);
    }
    all.push(one);
    all
}

/// Undoes `\,` `\|` `\$` `\\`.
fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            other => out.push(other),
        }
    }
    out
}

fn unknown(kind: &str, name: &str) -> Issue {
    Issue::new(
        IssueCode::NotSupported,
        "",
        format!("{name} is no parameter of {kind} that is supported: GET /fhir/metadata lists them"),
    )
}

fn filter(kind: &str, name: &str, value: &str) -> Read<Filter> {
    let (before, chained) = match name.split_once('.') {
        Some((before, chained)) => (before, Some(chained)),
        None => (name, None),
    };
    let (base, modifier) = before.split_once(':').unwrap_or((before, ""));
    let parameter = parameter(kind, base).ok_or_else(|| unknown(kind, name))?;
    if let Some(chained) = chained {
        return chain(parameter, name, modifier, chained, value);
    }
    let how = how(parameter, modifier, value)?;
    let texts = split(value, ',');
    let values = match how {
        How::Missing(_) => vec![Value::None],
        _ => {
            let read = |text: &String| read_value(parameter, &how, modifier, text);
            texts.iter().map(read).collect::<Read<_>>()?
        }
    };
    Ok(Filter {
        parameter,
        how,
        values,
        texts: texts.iter().map(|t| unescaped(t)).collect(),
    })
}

fn chain(
    parameter: &'static Parameter,
    name: &str,
    modifier: &str,
    chained: &str,
    value: &str,
) -> Read<Filter> {
    if parameter.kind != ParamKind::Reference {
        return no(
            IssueCode::Value,
            format!(
                "{name}: {} is no reference, so nothing is chained to it",
                parameter.name
            ),
        );
    }
    let target = match (modifier, parameter.targets) {
        ("", [one]) => (*one).to_owned(),
        ("", _) => {
            return no(
                IssueCode::Value,
                format!(
                    "{name}: say which type is meant, {}:<type>.{chained}",
                    parameter.name
                ),
            );
        }
        (kind, targets) if targets.is_empty() || targets.contains(&kind) => kind.to_owned(),
        (kind, _) => {
            return no(
                IssueCode::Value,
                format!("{name}: {} never leads to {kind}", parameter.name),
            );
        }
    };
    if chained.contains('.') {
        return no(
            IssueCode::NotSupported,
            format!("{name}: chains of one step are supported, no longer ones"),
        );
    }
    let inner = filter(&target, chained, value)?;
    Ok(Filter {
        parameter,
        how: How::Chain(target, Box::new(inner)),
        values: Vec::new(),
        texts: Vec::new(),
    })
}

fn how(parameter: &Parameter, modifier: &str, value: &str) -> Read<How> {
    use ParamKind as K;
    Ok(match (modifier, parameter.kind) {
        ("", _) => How::Plain,
        ("missing", K::Composite) => {
            return no(
                IssueCode::NotSupported,
                format!("{}:missing is not supported for a composite", parameter.name),
            );
        }
        ("missing", _) => match value {
            "true" => How::Missing(true),
            "false" => How::Missing(false),
            _ => {
                return no(
                    IssueCode::Value,
                    format!("{}:missing is true or false", parameter.name),
                );
            }
        },
        ("exact", K::String) => How::Exact,
        ("contains", K::String) => How::Contains,
        ("not", K::Token) => How::Not,
        ("text", K::Token) => How::Text,
        ("of-type", K::Token) => How::OfType,
        ("identifier", K::Reference) => How::Identifier,
        ("below", K::Uri) => How::Below,
        ("above", K::Uri) => How::Above,
        (kind, K::Reference) if parameter.targets.is_empty() || parameter.targets.contains(&kind) => {
            if !crate::is_resource_type(kind) {
                return no(
                    IssueCode::NotSupported,
                    format!("{}:{kind} is no modifier that is supported", parameter.name),
                );
            }
            How::Plain
        }
        (other, _) => {
            return no(
                IssueCode::NotSupported,
                format!("{}:{other} is no modifier that is supported", parameter.name),
            );
        }
    })
}

fn read_value(parameter: &Parameter, how: &How, modifier: &str, text: &str) -> Read<Value> {
    let name = parameter.name;
    if text.is_empty() {
        return no(IssueCode::Value, format!("{name} is given without a value"));
    }
    match how {
        How::Text | How::Exact | How::Contains => return Ok(Value::Text(unescaped(text))),
        How::Identifier => return Ok(token(text)),
        How::OfType => {
            let parts: Vec<String> = split(text, '|').iter().map(|p| unescaped(p)).collect();
            return match <[String; 3]>::try_from(parts) {
                Ok([system, code, id]) => Ok(Value::OfType(system, code, id)),
                Err(_) => no(
                    IssueCode::Value,
                    format!("{name}:of-type is <system>|<code>|<value>"),
                ),
            };
        }
        _ => {}
    }
    if parameter.kind == ParamKind::Reference {
        return reference(name, modifier, &unescaped(text));
    }
    if parameter.kind == ParamKind::Composite {
        let parts = split(text, '$');
        if parts.len() != parameter.parts.len() {
            return no(
                IssueCode::Value,
                format!("{name} has {} parts with $ between them", parameter.parts.len()),
            );
        }
        let read = parts
            .iter()
            .zip(parameter.parts)
            .map(|(text, part)| simple(part.kind, name, text));
        return Ok(Value::Parts(read.collect::<Read<_>>()?));
    }
    simple(parameter.kind, name, text)
}

fn simple(kind: ParamKind, name: &str, text: &str) -> Read<Value> {
    let number = |text: &str| {
        Decimal::parse(text).ok_or_else(|| {
            Issue::new(
                IssueCode::Value,
                "",
                format!("{name}: not a number of at most 18 digits"),
            )
        })
    };
    Ok(match kind {
        ParamKind::Number => {
            let (prefix, rest) = Prefix::split(text);
            Value::Number(prefix, number(rest)?)
        }
        ParamKind::Date => {
            let (prefix, rest) = Prefix::split(text);
            // A plus in an address is a blank.
            let at = Time::parse(&rest.replace(' ', "+"));
            let wrong = || {
                Issue::new(
                    IssueCode::Value,
                    "",
                    format!("{name}: not a date, e.g. ge2026-03-01T10:00:00Z"),
                )
            };
            Value::Date(prefix, at.ok_or_else(wrong)?)
        }
        ParamKind::Quantity => {
            let parts: Vec<String> = split(text, '|').iter().map(|p| unescaped(p)).collect();
            let (value, system, code) = match parts.as_slice() {
                [value] => (value, System::Any, None),
                [value, system, code] => {
                    let system = if system.is_empty() {
                        System::Any
                    } else {
                        System::Is(system.clone())
                    };
                    (value, system, (!code.is_empty()).then(|| code.clone()))
                }
                _ => {
                    return no(
                        IssueCode::Value,
                        format!("{name} is <number>|<system>|<code>, or <number>||<code>"),
                    );
                }
            };
            let (prefix, rest) = Prefix::split(value);
            Value::Quantity(prefix, number(rest)?, system, code)
        }
        ParamKind::String => Value::Text(unescaped(text)),
        ParamKind::Uri => Value::Url(unescaped(text)),
        ParamKind::Token => token(text),
        ParamKind::Reference => reference(name, "", &unescaped(text))?,
        ParamKind::Composite => Value::None,
    })
}

fn token(text: &str) -> Value {
    let parts = split(text, '|');
    match parts.as_slice() {
        [system, code, rest @ ..] => {
            let code = std::iter::once(code)
                .chain(rest)
                .map(|p| unescaped(p))
                .collect::<Vec<_>>()
                .join("|");
            let system = if system.is_empty() {
                System::Absent
            } else {
                System::Is(unescaped(system))
            };
            Value::Token(system, (!code.is_empty()).then_some(code))
        }
        _ => Value::Token(System::Any, Some(unescaped(text))),
    }
}

/// `id`, `Type/id`, or an address. `modifier` names the type of a bare id.
fn reference(name: &str, modifier: &str, text: &str) -> Read<Value> {
    if text.contains(':') {
        return Ok(Value::Url(text.to_owned()));
    }
    let plain = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let (kind, id) = match plain.split_once('/') {
        None => ((!modifier.is_empty()).then_some(modifier), plain),
        Some((kind, id)) => (Some(kind), id),
    };
    let named = kind.unwrap_or("Patient");
    if vitrine_clinical::ResourceKey::new(named, id).is_err() || !crate::is_resource_type(named) {
        return no(
            IssueCode::Value,
            format!("{name}: not an id, nor <type>/<id>, nor an address"),
        );
    }
    Ok(Value::Reference(kind.map(str::to_owned), id.to_owned()))
}

fn order(kind: &str, value: &str) -> Read<Vec<SortBy>> {
    let keys: Vec<&str> = value.split(',').filter(|k| !k.is_empty()).collect();
    if keys.len() > KEYS {
        return no(IssueCode::TooLong, format!("_sort has at most {KEYS} keys"));
    }
    let by = |key: &&str| {
        let (name, descending) = match key.strip_prefix('-') {
            Some(name) => (name, true),
            None => (*key, false),
        };
        match parameter(kind, name) {
            Some(p) if p.kind != ParamKind::Composite => Ok(SortBy {
                parameter: p,
                descending,
            }),
            _ => no(
                IssueCode::NotSupported,
                format!("_sort={name}: {kind} is not sorted by that"),
            ),
        }
    };
    keys.iter().map(by).collect()
}

fn include(base: &str, value: &str, iterate: bool) -> Read<Include> {
    let parts: Vec<&str> = value.split(':').collect();
    let (source, name, target) = match parts.as_slice() {
        ["*"] if base == "_include" => ("*", "*", None),
        [source, name] => (*source, *name, None),
        [source, name, target] => (*source, *name, Some((*target).to_owned())),
        _ => {
            return no(
                IssueCode::Value,
                format!("{base} is <type>:<parameter>, or <type>:<parameter>:<type it leads to>"),
            );
        }
    };
    if source != "*" && super::parameters(source).is_empty() {
        return no(
            IssueCode::NotSupported,
            format!("{base}={value}: {source} is not searched"),
        );
    }
    let parameter = match name {
        "*" if base == "_include" => None,
        name => match parameter(source, name) {
            Some(p) if p.kind == ParamKind::Reference => Some(p),
            _ => {
                return no(
                    IssueCode::NotSupported,
                    format!("{base}={value}: {name} is no reference of {source} that is followed"),
                );
            }
        },
    };
    Ok(Include {
        source: source.to_owned(),
        parameter,
        target,
        iterate,
    })
}

/// Behind `_has:`: `<type>:<reference>:<parameter>[:<modifier>]`.
fn has(kind: &str, rest: &str, value: &str) -> Read<Has> {
    let mut parts = rest.splitn(3, ':');
    let (Some(who), Some(reference), Some(asked)) = (parts.next(), parts.next(), parts.next()) else {
        return no(
            IssueCode::Value,
            "_has is _has:<type>:<reference>:<parameter>=<value>",
        );
    };
    if asked.starts_with("_has") {
        return no(IssueCode::NotSupported, "_has of _has is not supported");
    }
    let by = match parameter(who, reference) {
        Some(p) if p.kind == ParamKind::Reference => p,
        _ => {
            return no(
                IssueCode::NotSupported,
                format!("_has: {reference} is no reference of {who} that is followed"),
            );
        }
    };
    if !by.targets.is_empty() && !by.targets.contains(&kind) {
        return no(
            IssueCode::Value,
            format!("_has: {reference} of {who} never leads to {kind}"),
        );
    }
    Ok(Has {
        kind: who.to_owned(),
        reference: by,
        filter: filter(who, asked, value)?,
    })
}
