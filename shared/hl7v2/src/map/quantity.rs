//! Numbers with their units, and the limits of a reference range.

use super::Feed;
use crate::json::{Json, object, set, text};
use crate::message::Rep;
use crate::types;

/// The Unified Code for Units of Measure.
pub(super) const UCUM: &str = "http://unitsofmeasure.org";

/// Units that are UCUM as they are written, for senders that name no system. Letter case counts. Left out is what other people
/// write for something else (`m`, `C`, `a`, `B`).
const KNOWN: &[&str] = &[
    "%",
    "/min",
    "/uL",
    "/mL",
    "/L",
    "10*3/uL",
    "10*6/uL",
    "10*9/L",
    "10*12/L",
    "10*6/L",
    "10*3/mL",
    "g",
    "kg",
    "mg",
    "ug",
    "ng",
    "pg",
    "fL",
    "pL",
    "uL",
    "mL",
    "dL",
    "L",
    "cm",
    "mm",
    "m2",
    "kg/m2",
    "mm2",
    "cm2",
    "g/L",
    "g/dL",
    "mg/L",
    "mg/dL",
    "mg/mL",
    "ug/L",
    "ug/dL",
    "ug/mL",
    "ng/L",
    "ng/dL",
    "ng/mL",
    "pg/mL",
    "pg/dL",
    "mol/L",
    "mmol/L",
    "umol/L",
    "nmol/L",
    "pmol/L",
    "mmol/mol",
    "mmol/kg",
    "umol/g",
    "nmol/mL",
    "mg/g",
    "mg/mmol",
    "ug/g",
    "ng/g",
    "ug/mg",
    "mg/kg",
    "g/kg",
    "meq/L",
    "meq/mL",
    "ueq/L",
    "meq",
    "mosm/kg",
    "mosm/L",
    "mmol",
    "umol",
    "U/L",
    "kU/L",
    "mU/L",
    "U/mL",
    "mU/mL",
    "uU/mL",
    "U/g",
    "[IU]/L",
    "[IU]/mL",
    "m[IU]/L",
    "m[IU]/mL",
    "u[IU]/mL",
    "k[IU]/L",
    "k[IU]/mL",
    "ukat/L",
    "nkat/L",
    "kat/L",
    "mm[Hg]",
    "kPa",
    "hPa",
    "cm[H2O]",
    "Cel",
    "[degF]",
    "L/min",
    "mL/min",
    "mL/h",
    "L/h",
    "mL/min/{1.73_m2}",
    "mL/kg",
    "mL/kg/h",
    "mL/kg/min",
    "mg/h",
    "ug/h",
    "ug/min",
    "ug/kg/min",
    "mg/kg/h",
    "mg/min",
    "[IU]/h",
    "U/h",
    "g/(24.h)",
    "mg/(24.h)",
    "umol/(24.h)",
    "mmol/(24.h)",
    "g/d",
    "mg/d",
    "mmol/d",
    "mm/h",
    "s",
    "ms",
    "min",
    "h",
    "wk",
    "[pH]",
    "{INR}",
    "{ratio}",
    "{score}",
    "{beats}/min",
    "{breaths}/min",
    "[lb_av]",
    "[in_i]",
    "[oz_av]",
    "[drp]",
    "[IU]",
    "mV",
    "uV",
    "Hz",
    "mL/s",
    "dB",
    "W",
    "/[HPF]",
    "/[LPF]",
    "{copies}/mL",
    "[iU]/L",
    "[iU]/mL",
    "m[iU]/L",
];

/// Units of ISO/IEEE 11073-10101 (IHE PCD-01) by reference id, and by code where it has one here; their UCUM code.
const DEVICE: &[(&str, &str, &str)] = &[
    ("MDC_DIM_PERCENT", "262688", "%"),
    ("MDC_DIM_BEAT_PER_MIN", "264864", "/min"),
    ("MDC_DIM_RESP_PER_MIN", "264928", "/min"),
    ("MDC_DIM_MMHG", "266016", "mm[Hg]"),
    ("MDC_DIM_DEGC", "268192", "Cel"),
    ("MDC_DIM_X_L_PER_MIN", "", "L/min"),
    ("MDC_DIM_CM_H2O", "", "cm[H2O]"),
    ("MDC_DIM_KILO_PASCAL", "", "kPa"),
    ("MDC_DIM_KILO_G", "", "kg"),
];

/// A unit as a Quantity has it.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Unit {
    words: String,
    ucum: String,
}

impl Unit {
    /// CWE of a unit (OBX-6, RXE-5 …). A UCUM code only where the sender says that it is one, or where the text is one that
    /// nobody writes for anything else; else its words alone.
    pub(super) fn of(rep: &Rep<'_>, feed: &Feed<'_>) -> Self {
        if rep.is_empty() {
            return Self::default();
        }
        let said = [(1, 2, 3), (4, 5, 6)].map(|(c, w, s)| (rep.text(c), rep.text(w), rep.text(s)));
        let first = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
        for (code, words, system) in &said {
            let is_ucum = types::code_system(system, feed).as_deref() == Some(UCUM);
            if is_ucum && !code.is_empty() && !code.contains(char::is_whitespace) {
                return Self {
                    words: first(words, code),
                    ucum: code.clone(),
                };
            }
        }
        for (code, words, system) in &said {
            let device = DEVICE.iter().find(|(name, number, _)| {
                code == name || words == name || (!number.is_empty() && code == number && system == "MDC")
            });
            if let Some((_, _, ucum)) = device {
                return Self {
                    words: (*ucum).to_owned(),
                    ucum: (*ucum).to_owned(),
                };
            }
        }
        let [(code, words, system), (_, other, _)] = said;
        let named = !system.is_empty() && !matches!(system.as_str(), "L" | "ISO" | "ISO+" | "ANS+" | "ANSI+");
        let words = first(&first(&words, &code), &other);
        // The micro sign, as people write it, is UCUM's u.
        let spelled = if code.is_empty() { words.clone() } else { code }.replace(['\u{b5}', '\u{3bc}'], "u");
        let ucum = if !named && KNOWN.contains(&spelled.as_str()) {
            spelled
        } else {
            String::new()
        };
        Self { words, ucum }
    }

    /// A unit that is only words.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// A Quantity of a number that is read already.
    pub(super) fn quantity(&self, comparator: &str, value: Json) -> Json {
        let coded = !self.ucum.is_empty();
        object([
            ("value", Some(value)),
            ("comparator", text(comparator)),
            ("unit", text(self.words.clone())),
            ("system", coded.then(|| text(UCUM)).flatten()),
            ("code", text(self.ucum.clone())),
        ])
    }
}

/// A comparator of FHIR at the beginning of a text, and the rest.
pub(super) fn compared(text: &str) -> (&str, &str) {
    for sign in ["<=", ">=", "<", ">"] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (sign, rest);
        }
    }
    ("", text)
}

/// NM, with at most a comparator directly before its digits. None for anything else: `1,5`, `NEG`, `< 5`.
pub(super) fn number(sent: &str, unit: &Unit) -> Option<Json> {
    let (sign, rest) = compared(sent);
    if !sign.is_empty() && !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(unit.quantity(sign, types::decimal(rest)?))
}

/// OBX-7 (data type ST): its words, and its limits where they are plainly `a-b`, `<b`, `<=b`, `>a`, `>=a`.
pub(super) fn reference_range(sent: &str, unit: &Unit) -> Option<Json> {
    let words = sent.trim();
    if !words.chars().any(char::is_alphanumeric) {
        return None;
    }
    let bare = words
        .strip_prefix('[')
        .and_then(|w| w.strip_suffix(']'))
        .unwrap_or(words)
        .trim();
    let limit = |t: &str| types::decimal(t.trim()).map(|n| unit.quantity("", n));
    let (low, high) = match compared(bare) {
        ("", plain) => match span(plain) {
            Some((low, high)) => (limit(low), limit(high)),
            None => (None, None),
        },
        (sign, rest) if sign.starts_with('<') => (None, limit(rest)),
        (_, rest) => (limit(rest), None),
    };
    let mut out = object([]);
    for (key, value) in [("low", low), ("high", high), ("text", text(words))] {
        if let Some(value) = value {
            set(&mut out, key, value);
        }
    }
    Some(out)
}

/// The two numbers of `a-b`, the first not above the second. A sign may stand before each: `-2 - 3`.
fn span(text: &str) -> Option<(&str, &str)> {
    let from = text.char_indices().nth(1)?.0;
    let at = text.get(from..)?.find('-')? + from;
    let (low, rest) = text.split_at_checked(at)?;
    let (low, high) = (low.trim(), rest.strip_prefix('-')?.trim());
    types::decimal(low)?;
    types::decimal(high)?;
    let number = |t: &str| t.parse::<f64>().ok();
    (number(low)? <= number(high)?).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charset::Charset;
    use crate::message::Message;

    fn unit(field: &str) -> Unit {
        let text = format!("MSH|^~\\&|LAB|NORTH\rZZZ|{field}");
        let message = Message::read(text.as_bytes(), Charset::UTF_8).unwrap();
        Unit::of(
            &message.first("ZZZ").unwrap().rep(1),
            &Feed::new("lab", &|_, _, _, _, _| 0),
        )
    }

    #[test]
    fn units_are_ucum_only_where_they_are() {
        let cases = [
            ("mmol/L", "mmol/L", "mmol/L"),
            ("mmol/L^millimole per liter^UCUM", "millimole per liter", "mmol/L"),
            ("X^own^L^mg/dL^^UCUM", "mg/dL", "mg/dL"),
            ("µmol/L", "µmol/L", "umol/L"),
            ("MMOL/L", "MMOL/L", ""),
            ("mg/dl", "mg/dl", ""),
            ("beats/min^^ISO", "beats/min", ""),
            ("mg/dL^^LOCAL", "mg/dL", ""),
            ("bad code^words^UCUM", "words", ""),
            ("264864^MDC_DIM_BEAT_PER_MIN^MDC", "/min", "/min"),
            ("MDC_DIM_MMHG", "mm[Hg]", "mm[Hg]"),
            ("264864^^LOCAL", "264864", ""),
            ("43^mg/hr", "mg/hr", ""),
            ("m^Minutes", "Minutes", ""),
            ("C", "C", ""),
            ("\"\"", "", ""),
            ("", "", ""),
        ];
        for (sent, words, ucum) in cases {
            let got = unit(sent);
            assert_eq!((got.words.as_str(), got.ucum.as_str()), (words, ucum), "{sent}");
        }
    }

    #[test]
    fn numbers_are_read_or_not_at_all() {
        let of = |t: &str| {
            number(t, &Unit::default())
                .map(|j| j.to_compact())
                .unwrap_or_default()
        };
        let cases = [
            ("7.40", r#"{"value":7.40}"#),
            ("<0.01", r#"{"value":0.01,"comparator":"<"}"#),
            (">=5", r#"{"value":5,"comparator":">="}"#),
            ("< 5", ""),
            ("<-5", ""),
            ("<.5", ""),
            ("<<5", ""),
            ("<", ""),
            ("1,5", ""),
            ("NEG", ""),
            ("1e5", ""),
            ("~5", ""),
        ];
        for (sent, meant) in cases {
            assert_eq!(of(sent), meant, "{sent}");
        }
    }

    #[test]
    fn ranges_have_limits_where_they_are_plain() {
        let unit = unit("g/L");
        let of = |t: &str| {
            reference_range(t, &unit)
                .map(|j| {
                    j.to_compact().replace(
                        r#","unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L""#,
                        "",
                    )
                })
                .unwrap_or_default()
        };
        let cases = [
            (
                "3.5-5.1",
                r#"{"low":{"value":3.5},"high":{"value":5.1},"text":"3.5-5.1"}"#,
            ),
            (
                "[ 80 - 98 ]",
                r#"{"low":{"value":80},"high":{"value":98},"text":"[ 80 - 98 ]"}"#,
            ),
            (
                "-2 - 3",
                r#"{"low":{"value":-2},"high":{"value":3},"text":"-2 - 3"}"#,
            ),
            ("<0.1", r#"{"high":{"value":0.1},"text":"<0.1"}"#),
            (">=60", r#"{"low":{"value":60},"text":">=60"}"#),
            ("5-3", r#"{"text":"5-3"}"#),
            ("70_105", r#"{"text":"70_105"}"#),
            ("1:40-1:80", r#"{"text":"1:40-1:80"}"#),
            ("3,5-5,1", r#"{"text":"3,5-5,1"}"#),
            ("negative", r#"{"text":"negative"}"#),
            ("é-5", r#"{"text":"é-5"}"#),
            ("[ ]", ""),
            ("", ""),
        ];
        for (sent, meant) in cases {
            assert_eq!(of(sent), meant, "{sent}");
        }
    }
}
