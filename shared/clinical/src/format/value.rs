//! Doses and measured values are two types and cannot be mixed: a dose drops trailing zeros and has a leading zero
//! (ISMP), a measured value keeps the precision it was recorded with (CUI GTAB-054).

use crate::chart::{Decimal, Quantity};
use std::fmt;

/// An amount to give: `0.5 mg`, `1,000 units`. Never `1.0 mg`, never `.5 mg`, never `mg` for `µg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dose {
    digits: String,
    unit: Option<String>,
}

impl Dose {
    /// A dose from its decimal and unit as recorded.
    #[must_use]
    pub fn new(value: &Decimal, unit: Option<&str>) -> Self {
        Self {
            digits: plain(value.as_str()),
            unit: unit.map(spelled_unit).filter(|u| !u.is_empty()),
        }
    }

    /// A dose from a quantity; `None` without a value.
    #[must_use]
    pub fn of(quantity: &Quantity) -> Option<Self> {
        let mut dose = Self::new(quantity.value.as_ref()?, quantity.unit_text());
        if let Some(c) = &quantity.comparator {
            dose.digits.insert_str(0, c);
        }
        Some(dose)
    }
}

impl fmt::Display for Dose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "{} {unit}", self.digits),
            None => f.write_str(&self.digits),
        }
    }
}

/// A value that was measured: digits exactly as recorded, `72.50 kg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    digits: String,
    unit: Option<String>,
}

impl Measured {
    /// From the digits (or words) and unit as recorded.
    pub fn new(digits: impl Into<String>, unit: Option<&str>) -> Self {
        Self {
            digits: digits.into(),
            unit: unit.filter(|u| !u.is_empty()).map(str::to_owned),
        }
    }

    /// The digits alone.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The unit for reading; UCUM spellings that are not meant for people are written as people write them.
    #[must_use]
    pub fn unit(&self) -> Option<String> {
        self.unit.as_deref().map(readable_unit).filter(|u| !u.is_empty())
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit() {
            Some(unit) if unit == "%" => write!(f, "{}%", self.digits),
            Some(unit) => write!(f, "{} {unit}", self.digits),
            None => f.write_str(&self.digits),
        }
    }
}

/// Whether two units are one, however they are spelled (`/min` and `beats/minute`): they read alike. No unit is one of its own.
#[must_use]
pub fn same_unit(one: Option<&str>, other: Option<&str>) -> bool {
    one.map(readable_unit) == other.map(readable_unit)
}

/// UCUM units for people; anything unknown as it is.
fn readable_unit(unit: &str) -> String {
    match unit {
        "mm[Hg]" => "mmHg",
        "Cel" | "C" => "°C",
        "[degF]" | "F" => "°F",
        "/min" | "{beats}/min" | "{breaths}/min" | "beats/minute" | "breaths/minute" => "/min",
        "10*3/uL" => "×10³/uL",
        "10*9/L" => "×10⁹/L",
        "10*12/L" => "×10¹²/L",
        "10*6/uL" => "×10⁶/uL",
        "[pH]" | "pH" | "{INR}" | "{score}" | "1" => "",
        "[lb_av]" => "lb",
        "[in_i]" => "in",
        "[IU]/L" => "IU/L",
        "m[IU]/L" => "mIU/L",
        "mL/min/{1.73_m2}" => "mL/min/1.73 m²",
        "kg/m2" => "kg/m²",
        other => other,
    }
    .to_owned()
}

/// Dose units spelled as ISMP asks: `mcg` and not µg, `units` and not U or IU.
fn spelled_unit(unit: &str) -> String {
    match unit.trim() {
        "µg" | "μg" | "ug" => "mcg".to_owned(),
        "U" | "u" | "IU" | "iu" | "[iU]" | "[IU]" | "i.u." | "unit" | "Units" | "UNITS" => "units".to_owned(),
        "{tbl}" | "{tablet}" => "tablet".to_owned(),
        other => other.to_owned(),
    }
}

/// A decimal without exponent, without trailing zeros after the point, thousands grouped.
fn plain(text: &str) -> String {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |r| (true, r));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    if exponent.unsigned_abs() > 40 {
        return text.to_owned();
    }
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(0) + exponent;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(at) if at >= digits.len() => (format!("{digits:0<at$}"), String::new()),
        Ok(at) => {
            let (a, b) = digits.split_at_checked(at).unwrap_or((digits.as_str(), ""));
            (a.to_owned(), b.to_owned())
        }
        Err(_) => {
            let zeros = usize::try_from(point.unsigned_abs()).unwrap_or(0);
            (String::new(), format!("{}{digits}", "0".repeat(zeros)))
        }
    };
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative && (whole != "0" || !fraction.is_empty()) {
        "-"
    } else {
        ""
    };
    let whole = group_thousands(whole);
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// `12345` as `12,345` (CUI MEDi-044).
#[must_use]
pub fn group_thousands(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// What a result's interpretation says, for the flag and its shape (never colour alone).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultFlag {
    /// Critically low.
    CriticalLow,
    /// Low.
    Low,
    /// Nothing to point out, or nothing stated.
    None,
    /// Abnormal, neither high nor low.
    Abnormal,
    /// High.
    High,
    /// Critically high.
    CriticalHigh,
    /// Critically abnormal.
    CriticalAbnormal,
}

impl ResultFlag {
    /// Reads a v3 ObservationInterpretation code (`HH`, `HU`, `H`, `N`, `L`, `LU`, `LL`, `A`, `AA`, `POS`, …) or the
    /// HL7 v2 table 0078 spelling.
    #[must_use]
    pub fn of(interpretation: Option<&str>) -> Self {
        match interpretation.map(str::trim) {
            Some("HH" | "H>" | "HX" | ">") => Self::CriticalHigh,
            Some("H" | "HU") => Self::High,
            Some("LL" | "L<" | "LX" | "<") => Self::CriticalLow,
            Some("L" | "LU") => Self::Low,
            Some("AA") => Self::CriticalAbnormal,
            Some("A" | "POS" | "DET" | "R" | "WR" | "RR" | "E" | "IND") => Self::Abnormal,
            _ => Self::None,
        }
    }

    /// `HH`, `H`, `L`, `LL`, `A`, `AA` or nothing.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CriticalHigh => "HH",
            Self::High => "H",
            Self::None => "",
            Self::Abnormal => "A",
            Self::CriticalAbnormal => "AA",
            Self::Low => "L",
            Self::CriticalLow => "LL",
        }
    }

    /// `▲▲`, `▲`, `▼`, `▼▼`, `●`, `●●` or nothing.
    #[must_use]
    pub const fn shape(self) -> &'static str {
        match self {
            Self::CriticalHigh => "▲▲",
            Self::High => "▲",
            Self::None => "",
            Self::Abnormal => "●",
            Self::CriticalAbnormal => "●●",
            Self::Low => "▼",
            Self::CriticalLow => "▼▼",
        }
    }

    /// Whether somebody must act.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        matches!(
            self,
            Self::CriticalHigh | Self::CriticalLow | Self::CriticalAbnormal
        )
    }
}
