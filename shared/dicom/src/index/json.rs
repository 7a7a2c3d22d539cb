//! The header in the DICOM JSON model (PS3.18 Annex F), ready for the metadata of WADO-RS.
//!
//! Lives here: the model, written by us: the serialiser of `dicom-json` puts all three groups of a name into one, writes
//! no BulkDataURI, and makes every map of the whole workspace keep its order (a feature of `serde_json`). Values of more
//! than a kilobyte that are bytes are left out and listed ([`Bulk`]). Group lengths are left out (§F.2.2), and the
//! character set is always UTF-8, because JSON is. Never here: URLs: a BulkDataURI is relative. Called by
//! [`super::index`].

use super::codes;
use super::source::VALUE_MOST;
use super::tree::{Tree, bytes, is_text, person_name};
use base64::Engine as _;
use dicom_core::header::{HasLength as _, Header as _};
use dicom_core::{Tag, VR};
use dicom_object::mem::InMemElement;
use serde_json::{Map, Number, Value, json};

/// Bytes of binary that still stand in the JSON.
const INLINE_MOST: usize = 1 << 10;

/// A value that the JSON only points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// Its path, which is also its BulkDataURI behind `bulkdata/`: tags in hexadecimal and numbers of items from 0, with
    /// slashes between.
    pub path: String,
    /// Its value representation.
    pub vr: VR,
    /// Bytes of it.
    pub len: u64,
}

/// The model, and what was left out of it.
pub fn model(top: &Tree<'_>) -> (Value, Vec<Bulk>) {
    let mut bulk = Vec::new();
    let mut model = data_set(top, "", &mut bulk);
    if let Some(map) = model.as_object_mut()
        && map.contains_key("00080005")
    {
        map.insert(
            "00080005".to_owned(),
            json!({"vr": "CS", "Value": ["ISO_IR 192"]}),
        );
    }
    (model, bulk)
}

fn hex(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

/// Reads what [`hex`] wrote.
pub fn tag(text: &str) -> Option<Tag> {
    let part = |range| u16::from_str_radix(text.get(range)?, 16).ok();
    let tag = Tag(part(0..4)?, part(4..8)?);
    (text.len() == 8).then_some(tag)
}

fn data_set(tree: &Tree<'_>, path: &str, bulk: &mut Vec<Bulk>) -> Value {
    let mut map = Map::new();
    for element in tree.object.iter() {
        let tag = element.tag();
        // A group length; and in an item a character set of its own, which is UTF-8 by now.
        if tag.1 == 0 || (tag == Tag(8, 5) && !path.is_empty()) {
            continue;
        }
        map.insert(hex(tag), attribute(tree, element, path, bulk));
    }
    Value::Object(map)
}

fn attribute(tree: &Tree<'_>, element: &InMemElement, path: &str, bulk: &mut Vec<Bulk>) -> Value {
    let (tag, vr) = (element.tag(), element.vr());
    let path = format!("{path}{}", hex(tag));
    let mut own = Map::new();
    own.insert("vr".to_owned(), vr.to_string().into());
    if let Some(items) = element.items() {
        let items: Vec<Value> = items
            .iter()
            .enumerate()
            .map(|(n, i)| data_set(&Tree::within(i, &tree.charsets), &format!("{path}/{n}/"), bulk))
            .collect();
        if !items.is_empty() {
            own.insert("Value".to_owned(), items.into());
        }
        return Value::Object(own);
    }
    let raw = bytes(element);
    let is_binary = matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN);
    let left_out = match raw {
        None => true,
        Some(b) if b.len() >= VALUE_MOST => true,
        Some(b) => is_binary && b.len() > INLINE_MOST,
    };
    if left_out {
        let kept = raw.map_or(0, |b| b.len() as u64);
        own.insert("BulkDataURI".to_owned(), format!("bulkdata/{path}").into());
        bulk.push(Bulk {
            path,
            vr,
            len: element.length().get().map_or(kept, u64::from),
        });
        return Value::Object(own);
    }
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        return Value::Object(own);
    }
    if is_binary {
        let text = base64::engine::general_purpose::STANDARD.encode(raw);
        own.insert("InlineBinary".to_owned(), text.into());
        return Value::Object(own);
    }
    let values: Vec<Value> = if is_text(vr) {
        let texts = tree.charsets.values(raw, vr);
        texts.iter().map(|t| of_text(t, vr)).collect()
    } else {
        of_numbers(raw, vr)
    };
    if values.iter().any(|v| !v.is_null()) {
        own.insert("Value".to_owned(), values.into());
    }
    Value::Object(own)
}

fn of_text(text: &str, vr: VR) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let number = match vr {
        VR::IS => codes::integer(text).map(Number::from),
        VR::DS => match codes::decimal(text) {
            // 1 and not 1.0, as it was written.
            Some(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(Number::from(n as i64)),
            Some(n) => Number::from_f64(n),
            None => None,
        },
        VR::PN => return of_name(text),
        _ => None,
    };
    number.map_or_else(|| text.into(), Value::Number)
}

fn of_name(text: &str) -> Value {
    let name = person_name(text);
    let groups = [
        ("Alphabetic", name.alphabetic),
        ("Ideographic", name.ideographic),
        ("Phonetic", name.phonetic),
    ];
    let map: Map<String, Value> = groups
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(group, text)| (group.to_owned(), text.into()))
        .collect();
    if map.is_empty() {
        Value::Null
    } else {
        Value::Object(map)
    }
}

/// Numbers beyond what a double holds exactly are text (PS3.18 §F.2.3).
fn of_whole(n: i128) -> Value {
    match i64::try_from(n) {
        Ok(n) if n.unsigned_abs() <= 1 << 53 => n.into(),
        _ => n.to_string().into(),
    }
}

fn of_float(n: f64) -> Value {
    match Number::from_f64(n) {
        Some(n) => Value::Number(n),
        None if n.is_nan() => "NaN".into(),
        None if n > 0.0 => "inf".into(),
        None => "-inf".into(),
    }
}

fn of_numbers(raw: &[u8], vr: VR) -> Vec<Value> {
    fn each<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> Value) -> Vec<Value> {
        raw.as_chunks::<N>().0.iter().map(|b| value(*b)).collect()
    }
    match vr {
        VR::US => each(raw, |b| u16::from_le_bytes(b).into()),
        VR::SS => each(raw, |b| i16::from_le_bytes(b).into()),
        VR::UL => each(raw, |b| u32::from_le_bytes(b).into()),
        VR::SL => each(raw, |b| i32::from_le_bytes(b).into()),
        VR::UV => each(raw, |b| of_whole(u64::from_le_bytes(b).into())),
        VR::SV => each(raw, |b| of_whole(i64::from_le_bytes(b).into())),
        VR::FD => each(raw, |b| of_float(f64::from_le_bytes(b))),
        // The shortest decimal that is this float: 0.1 and not 0.10000000149.
        VR::FL => each(raw, |b| {
            let n = f32::from_le_bytes(b);
            of_float(n.to_string().parse().unwrap_or_else(|_| n.into()))
        }),
        VR::AT => each(raw, |[a, b, c, d]: [u8; 4]| {
            hex(Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))).into()
        }),
        _ => Vec::new(),
    }
}
