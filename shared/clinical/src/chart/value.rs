//! The data types the views are made of: exact decimals, partial dates, concepts, quantities, references.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A FHIR `decimal`, exactly as written: `72.50` stays `72.50`. It never passes through a float.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

/// Why a text is not a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a decimal is digits with at most one point and an optional exponent, at most 64 characters, e.g. -0.50"
)]
pub struct DecimalError;

impl Decimal {
    /// Reads a decimal (FHIR R4 datatype `decimal`: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`).
    ///
    /// # Errors
    /// [`DecimalError`] when the text is not one.
    pub fn new(text: impl Into<String>) -> Result<Self, DecimalError> {
        let text = text.into();
        let ok = text.len() <= 64 && split(&text).is_some();
        if ok { Ok(Self(text)) } else { Err(DecimalError) }
    }

    /// The digits as recorded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares by value, exactly: `1.50` equals `1.5`, `9` is less than `10`.
    #[must_use]
    pub fn value_cmp(&self, other: &Self) -> Ordering {
        let (Some(a), Some(b)) = (split(&self.0), split(&other.0)) else {
            return Ordering::Equal;
        };
        match (a.sign(), b.sign()) {
            (x, y) if x != y => x.cmp(&y),
            (-1, _) => magnitude_cmp(&b, &a),
            _ => magnitude_cmp(&a, &b),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for Decimal {
    type Error = DecimalError;
    fn try_from(text: String) -> Result<Self, DecimalError> {
        Self::new(text)
    }
}
impl From<Decimal> for String {
    fn from(d: Decimal) -> Self {
        d.0
    }
}

/// The parts of a decimal.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl Parts<'_> {
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes())
    }
    fn is_zero(&self) -> bool {
        self.digits().all(|b| b == b'0')
    }
    fn sign(&self) -> i8 {
        if self.is_zero() {
            0
        } else if self.negative {
            -1
        } else {
            1
        }
    }
    /// Power of ten of the first non-zero digit.
    fn magnitude(&self) -> i64 {
        let zeros = self.digits().take_while(|b| *b == b'0').count();
        let whole = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        whole
            .saturating_add(self.exponent)
            .saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX))
    }
}

fn split(text: &str) -> Option<Parts<'_>> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |r| (true, r));
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((m, e)) => {
            let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
            if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (m, e.strip_prefix('+').unwrap_or(e).parse().ok()?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(both) => both,
        None => (mantissa, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let leading = whole.len() > 1 && whole.starts_with('0');
    (!whole.is_empty() && !leading && digits(whole) && digits(fraction)).then_some(Parts {
        negative,
        whole,
        fraction,
        exponent,
    })
}

fn magnitude_cmp(a: &Parts<'_>, b: &Parts<'_>) -> Ordering {
    if a.is_zero() || b.is_zero() {
        return a.sign().abs().cmp(&b.sign().abs());
    }
    let by_size = a.magnitude().cmp(&b.magnitude());
    if by_size != Ordering::Equal {
        return by_size;
    }
    let mut x = a.digits().skip_while(|d| *d == b'0');
    let mut y = b.digits().skip_while(|d| *d == b'0');
    loop {
        match (x.next(), y.next()) {
            (None, None) => return Ordering::Equal,
            (p, q) => match p.unwrap_or(b'0').cmp(&q.unwrap_or(b'0')) {
                Ordering::Equal => {}
                other => return other,
            },
        }
    }
}

/// A date as partial as the record has it: `2019`, `2019-05`, `2019-05-03` or with time and zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartialDate(pub String);

impl PartialDate {
    /// Wraps the text as recorded; `order_ms` is `None` when it is not a FHIR date.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as recorded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The earliest instant it may mean, ms since 1970 UTC; a date without zone is taken as UTC. For ordering only,
    /// never for showing.
    #[must_use]
    pub fn order_ms(&self) -> Option<i64> {
        crate::format::civil::parse_fhir_ms(&self.0)
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FHIR `Coding`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Coding {
    /// Code system URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Words of the code system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Chosen by the person who recorded it.
    #[serde(skip_serializing_if = "is_false")]
    pub user_selected: bool,
}

impl Coding {
    /// Whether it is `code` of `system`.
    #[must_use]
    pub fn is(&self, system: &str, code: &str) -> bool {
        self.system.as_deref() == Some(system) && self.code.as_deref() == Some(code)
    }
}

/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// SNOMED CT.
pub const SNOMED: &str = "http://snomed.info/sct";
/// FHIR data-absent-reason.
pub const DATA_ABSENT_REASON: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
/// HL7 v3 NullFlavor.
pub const NULL_FLAVOR: &str = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor";

/// FHIR `CodeableConcept`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Concept {
    /// Codes that mean the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codings: Vec<Coding>,
    /// The words the recorder used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Code of a data-absent-reason extension, where the element carries one instead of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

impl Concept {
    /// A concept of words only.
    pub fn of_text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::default()
        }
    }

    /// A concept of one code.
    pub fn of_code(system: &str, code: &str, display: &str) -> Self {
        Self {
            codings: vec![Coding {
                system: Some(system.to_owned()),
                code: Some(code.to_owned()),
                display: Some(display.to_owned()),
                user_selected: false,
            }],
            ..Self::default()
        }
    }

    /// The words to show: the recorder's text, else the words of the code they chose, else the first code's words,
    /// else the first bare code. Never shortened. `None` when nothing says what it is.
    #[must_use]
    pub fn display(&self) -> Option<&str> {
        let text = self.text.as_deref().filter(|t| !t.trim().is_empty());
        let real = || self.codings.iter().filter(|c| !is_null_coding(c));
        let words = |c: &&Coding| c.display.as_deref().is_some_and(|d| !d.trim().is_empty());
        text.or_else(|| {
            real()
                .filter(|c| c.user_selected)
                .find(words)
                .and_then(|c| c.display.as_deref())
        })
        .or_else(|| real().find(words).and_then(|c| c.display.as_deref()))
        .or_else(|| real().find_map(|c| c.code.as_deref()))
    }

    /// Whether it carries a code that says something (null flavours and data-absent reasons do not).
    #[must_use]
    pub fn is_coded(&self) -> bool {
        self.codings
            .iter()
            .any(|c| c.code.is_some() && !is_null_coding(c))
    }

    /// Whether one of its codings is `code` of `system`.
    #[must_use]
    pub fn has(&self, system: &str, code: &str) -> bool {
        self.codings.iter().any(|c| c.is(system, code))
    }

    /// Its first code of `system`.
    #[must_use]
    pub fn code_of(&self, system: &str) -> Option<&str> {
        self.codings
            .iter()
            .find(|c| c.system.as_deref() == Some(system))
            .and_then(|c| c.code.as_deref())
    }

    /// True when the record says only that it does not know: a data-absent reason, a v3 null flavour, or the bare
    /// word "unknown" in place of a name.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        if self.is_coded() {
            return self.codings.iter().filter(|c| !is_null_coding(c)).all(|c| {
                c.system.as_deref() != Some(SNOMED)
                    && c.display.is_none()
                    && c.code.as_deref().is_some_and(means_unknown)
                    && self.text.as_deref().is_none_or(means_unknown)
            });
        }
        match self.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            Some(text) => means_unknown(text),
            None => true,
        }
    }

    /// True when the element stands without a value on purpose: a data-absent-reason extension, or a coding that says
    /// only why there is no code. Something is there; its name is not.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.display().is_none() && (self.absent.is_some() || self.codings.iter().any(is_null_coding))
    }

    /// True when the record has the name and withholds it (data-absent-reason `masked`, null flavour `MSK`).
    #[must_use]
    pub fn is_masked(&self) -> bool {
        let masked = |code: Option<&str>| matches!(code, Some("masked" | "MSK"));
        masked(self.absent.as_deref())
            || self
                .codings
                .iter()
                .any(|c| is_null_coding(c) && masked(c.code.as_deref()))
    }

    /// Every word in it, lower case, for the word rules of the card.
    #[must_use]
    pub fn words(&self) -> String {
        let displays = self
            .codings
            .iter()
            .filter(|c| !is_null_coding(c))
            .filter_map(|c| c.display.as_deref());
        let all: Vec<&str> = self.text.as_deref().into_iter().chain(displays).collect();
        all.join(" | ").to_lowercase()
    }
}

/// A coding that says that there is no code.
fn is_null_coding(c: &Coding) -> bool {
    let system = c.system.as_deref().unwrap_or_default();
    system == DATA_ABSENT_REASON
        || system == NULL_FLAVOR
        || system == "http://hl7.org/fhir/v3/NullFlavor"
        || system == "urn:oid:2.16.840.1.113883.5.1008"
        || system == "http://hl7.org/fhir/data-absent-reason"
}

/// Words that name nothing.
fn means_unknown(text: &str) -> bool {
    matches!(
        text.trim().trim_end_matches('.').to_lowercase().as_str(),
        "unknown"
            | "unk"
            | "not known"
            | "not recorded"
            | "unknown allergies"
            | "unknown allergy"
            | "allergies unknown"
            | "allergy status unknown"
            | "not asked"
            | "asked but unknown"
            | "asked-unknown"
            | "no information"
            | "?"
            | "-"
    )
}

/// FHIR `Quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantity {
    /// Digits as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// `<`, `<=`, `>=`, `>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparator: Option<String>,
    /// Unit words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// System of `code`, UCUM as a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Coded unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Quantity {
    /// Digits with comparator, e.g. `<0.30`; `None` without a value.
    #[must_use]
    pub fn digits(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        Some(format!(
            "{}{value}",
            self.comparator.as_deref().unwrap_or_default()
        ))
    }

    /// The unit as recorded: words, else the code.
    #[must_use]
    pub fn unit_text(&self) -> Option<&str> {
        self.unit
            .as_deref()
            .or(self.code.as_deref())
            .filter(|u| !u.is_empty())
    }
}

/// A reference to another resource, its name already resolved where it could be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Ref {
    /// `Type/id`, `#contained`, `urn:uuid:…` or a URL, as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The name to show: the reference's own words, else the name of the resource behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

impl Ref {
    /// A reference by text.
    pub fn to(reference: impl Into<String>) -> Self {
        Self {
            reference: Some(reference.into()),
            display: None,
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reference.is_none() && self.display.is_none()
    }
}

/// A stretch of time, open where a side is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Period {
    /// Begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PartialDate>,
    /// End.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<PartialDate>,
}

pub(crate) const fn is_false(b: &bool) -> bool {
    !*b
}
