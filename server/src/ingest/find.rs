//! C-FIND of the Study Root model (PS3.4 annex C): which studies, series and instances there are, for programs that speak
//! no HTTP.
//!
//! Lives here: reading the identifier, matching what the index has, the data sets of the answer. Never here: associations
//! (`dimse`), searching studies (`http::dicomweb::qido`, by the same rules and with the same audit rows). Called by `dimse`.
//!
//! A key that the index does not have is matched by everything, and the answer says so (status FF01, PS3.4 §C.4.1.1.4). There
//! is no C-MOVE and no C-GET: Retrieve AE Title stays empty, Retrieve URL (0008,1190) is given to who asks for it.

use crate::app::App;
use crate::clock;
use crate::http::dicomweb::names::wild;
use crate::http::dicomweb::{self, qido, shown};
use crate::http::fhir::Query;
use crate::http::refusal::Refused;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::io::Cursor;
use std::sync::Arc;
use vitrine_access::policy::Subject;
use vitrine_dicom::scan::Coding;
use vitrine_dicom::write::{self, DataSet};
use vitrine_dicom::{Tag, VR, index, scan, syntax};

/// Study Root Query/Retrieve Information Model - FIND.
pub(super) const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";
/// Bytes of an identifier at most: some dozens of short keys.
pub(super) const IDENTIFIER_MOST: usize = 64 << 10;

/// Status (0000,0900), PS3.4 table C.4-1 and PS3.7 annex C.
pub(super) const PENDING: u16 = 0xFF00;
pub(super) const PENDING_WIDER: u16 = 0xFF01;
pub(super) const NOT_AUTHORIZED: u16 = 0x0124;
const TOO_MUCH: u16 = 0xA700;
const NOT_A_QUERY: u16 = 0xA900;
const CANNOT: u16 = 0xC000;

/// Matches of an answer at most.
const MOST: usize = 1_000;
/// Study Instance UIDs of one query.
const UIDS_MOST: usize = 100;

/// Keys by which the search of studies matches.
const SEARCHED: [&str; 6] = [
    "00100020", "00100010", "0020000D", "00080050", "00080020", "00080061",
];
/// What is no key: character set, level, time zone, retrieve AE title.
const NO_KEY: [&str; 4] = ["00080005", "00080052", "00080201", "00080054"];

/// Why there is no answer: the status, and why.
type Failed = (u16, String);

/// What was found.
pub(super) struct Found {
    /// The data set of each match, in the coding of the question.
    pub matches: Vec<Vec<u8>>,
    /// A key was not matched.
    pub wider: bool,
    /// There are more than an answer holds.
    pub more: bool,
}

/// Reads an identifier: the keys in the DICOM JSON model. It goes through the scan that every file goes through.
fn read(identifier: &[u8], syntax: &str) -> Result<Map<String, Value>, Failed> {
    let bad = |why: &str| (NOT_A_QUERY, why.to_owned());
    let mut file = Vec::new();
    write::meta(&mut file, syntax, STUDY_ROOT, "2.25.1", None).map_err(|_| bad("no identifier"))?;
    file.extend_from_slice(identifier);
    let length = file.len() as u64;
    let mut source = Cursor::new(file);
    let scanned = scan(&mut source, length).map_err(|e| (NOT_A_QUERY, e.to_string()))?;
    let header = scanned
        .read_header(&mut source)
        .map_err(|_| bad("the identifier cannot be read"))?;
    match index::header_json(&scanned, &header) {
        Ok((Value::Object(keys), _)) => Ok(keys),
        _ => Err(bad("the identifier cannot be read")),
    }
}

/// The values of a key as text.
fn values(element: &Value) -> Vec<String> {
    let of = |v: &Value| match v {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        Value::Object(groups) => ["Alphabetic", "Ideographic", "Phonetic"]
            .map(|g| groups.get(g).and_then(Value::as_str).unwrap_or_default())
            .join("=")
            .trim_end_matches('=')
            .to_owned(),
        _ => String::new(),
    };
    let all = element.get("Value").and_then(Value::as_array);
    all.into_iter().flatten().map(of).collect()
}

/// A time as six digits, what is missing filled with a digit.
fn filled(text: &str, fill: char) -> String {
    let mut out: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    while out.len() < 6 {
        out.push(fill);
    }
    out
}

/// Whether a value is what a key asks for: a list of UIDs, a range of days or times, wildcards, or the value itself
/// (PS3.4 §C.2.2.2).
fn fits(vr: &str, asked: &[String], has: &[String]) -> bool {
    let one = |asked: &String| {
        let asked = asked.trim();
        has.iter().any(|v| {
            let v = v.trim();
            match (vr, asked.split_once('-')) {
                ("DA" | "TM", Some((from, to))) => {
                    let of = |t: &str, fill| if vr == "TM" { filled(t, fill) } else { t.to_owned() };
                    (from.is_empty() || of(v, '0') >= of(from, '0'))
                        && (to.is_empty() || of(v, '0') <= of(to, '9'))
                }
                ("UI" | "DA" | "TM" | "IS" | "DS" | "US" | "UL", _) => asked == v,
                ("PN", _) => wild(&asked.to_lowercase(), &v.to_lowercase()),
                _ => wild(asked, v),
            }
        })
    };
    asked.iter().any(one)
}

/// Level and keys of a question.
struct Asked {
    keys: Map<String, Value>,
}

impl Asked {
    fn of(&self, tag: &str) -> Vec<String> {
        let all = self.keys.get(tag).map(values).unwrap_or_default();
        all.into_iter().filter(|v| !v.trim().is_empty()).collect()
    }

    /// The one UID of a key that a level needs.
    fn one(&self, tag: &str, name: &str) -> Result<String, Failed> {
        match &self.of(tag)[..] {
            [one] => Ok(one.trim().to_owned()),
            _ => Err((NOT_A_QUERY, format!("this level needs one {name}"))),
        }
    }

    /// The question as a search of studies, but for its UIDs.
    fn search(&self) -> Result<Query, Failed> {
        let mut pairs = vec![("limit".to_owned(), MOST.to_string())];
        for tag in SEARCHED.into_iter().filter(|t| *t != "0020000D") {
            match &self.of(tag)[..] {
                [] => {}
                [one] => pairs.push((tag.to_owned(), one.trim().to_owned())),
                _ => return Err((NOT_A_QUERY, format!("{tag}: a list of values is not supported"))),
            }
        }
        Ok(Query(pairs))
    }

    /// Whether what was found has what the other keys ask for; notes keys that it cannot be asked.
    fn fits(&self, level: &str, found: &Map<String, Value>, done: &[&str], wider: &mut bool) -> bool {
        self.keys.iter().all(|(tag, element)| {
            let asked = self.of(tag);
            if asked.is_empty() || NO_KEY.contains(&tag.as_str()) || done.contains(&tag.as_str()) {
                return true;
            }
            let vr = element.get("vr").and_then(Value::as_str).unwrap_or_default();
            match found.get(tag) {
                Some(has) if vr != "SQ" => fits(vr, &asked, &values(has)),
                _ if dicomweb::is_indexed(level, tag) => false,
                _ => {
                    *wider = true;
                    true
                }
            }
        })
    }

    /// The data set of a match: what was asked for, empty where there is nothing.
    fn answer(&self, level: &str, found: &Map<String, Value>, coding: Coding) -> std::io::Result<Vec<u8>> {
        let mut out = DataSet::new();
        for (tag, element) in &self.keys {
            let Some(at) = tag_of(tag) else { continue };
            let vr = element.get("vr").and_then(Value::as_str).unwrap_or("UN");
            let Ok(vr) = vr.parse::<VR>() else { continue };
            if vr == VR::SQ {
                out.items(at, Vec::new());
                continue;
            }
            let texts = found.get(tag).map(values).unwrap_or_default();
            match vr {
                VR::US => {
                    let numbers: Vec<u16> = texts.iter().filter_map(|t| t.parse().ok()).collect();
                    out.us(at, &numbers);
                }
                VR::UL => {
                    let numbers: Vec<u32> = texts.iter().filter_map(|t| t.parse().ok()).collect();
                    out.ul(at, &numbers);
                }
                VR::UN | VR::OB | VR::OW | VR::OF | VR::OD | VR::FD | VR::FL | VR::SS | VR::SL | VR::AT => {
                    out.bytes(at, vr, Vec::new());
                }
                _ => {
                    out.text(at, vr, &texts.join("\\"));
                }
            }
        }
        out.text(Tag(8, 5), VR::CS, "ISO_IR 192");
        out.text(Tag(8, 0x52), VR::CS, level);
        if self.keys.contains_key("00080054") {
            out.text(Tag(8, 0x54), VR::AE, "");
        }
        out.encode(coding)
    }
}

fn tag_of(text: &str) -> Option<Tag> {
    let part = |range| u16::from_str_radix(text.get(range)?, 16).ok();
    Some(Tag(part(0..4)?, part(4..8)?))
}

fn failed(refused: &Refused) -> Failed {
    let status = match refused.status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => NOT_AUTHORIZED,
        StatusCode::BAD_REQUEST => NOT_A_QUERY,
        StatusCode::SERVICE_UNAVAILABLE => TOO_MUCH,
        _ => CANNOT,
    };
    (status, refused.refusal.text.clone())
}

/// Whoever calls itself so, as a program.
fn caller(title: &str) -> Caller {
    Caller {
        subject: Subject::Client {
            id: format!("AE {title}"),
            scopes: vec!["system/*.rs".to_owned()],
        },
        device: None,
        ward: None,
        session: [0; 32],
        until: clock::now(),
        purpose: None,
    }
}

/// What there is of a study, a series, an instance: the deeper one goes before.
fn joined(outer: &Map<String, Value>, inner: Value) -> Map<String, Value> {
    let mut out = outer.clone();
    if let Value::Object(inner) = inner {
        out.extend(inner);
    }
    out
}

/// Answers a question of a peer.
///
/// # Errors
/// Status and reason.
pub(super) async fn find(
    app: &Arc<App>,
    title: &str,
    identifier: &[u8],
    syntax: &str,
) -> Result<Found, Failed> {
    let coding = match syntax::of(syntax) {
        Some(s) if s.codec == syntax::Codec::Plain && !s.deflated => Coding {
            explicit: s.explicit,
            big_endian: s.big_endian,
        },
        _ => return Err((CANNOT, "ask in a transfer syntax without compression".to_owned())),
    };
    let asked = Asked {
        keys: read(identifier, syntax)?,
    };
    let level = asked.of("00080052").into_iter().next().unwrap_or_default();
    let (caller, base) = (caller(title), dicomweb::public_base(app));
    let mut found = Found {
        matches: Vec::new(),
        wider: false,
        more: false,
    };
    let mut all: Vec<Map<String, Value>> = Vec::new();
    match level.trim() {
        "STUDY" => {
            let search = asked.search()?;
            let uids = asked.of("0020000D");
            if uids.len() > UIDS_MOST {
                return Err((NOT_A_QUERY, format!("more than {UIDS_MOST} Study Instance UIDs")));
            }
            let with = |uid: &String| {
                let mut of_it = search.clone();
                of_it.0.push(("0020000D".to_owned(), uid.trim().to_owned()));
                of_it
            };
            let searches = if uids.is_empty() {
                vec![search.clone()]
            } else {
                uids.iter().map(with).collect()
            };
            for search in searches {
                let hits = qido::search(app, &caller, &search)
                    .await
                    .map_err(|r| failed(&r))?;
                found.more |= hits.more;
                let shown = hits.studies.iter().map(|s| shown::study(s, &base));
                all.extend(shown.map(|s| joined(&Map::new(), s)));
            }
        }
        "SERIES" | "IMAGE" => {
            let study = asked.one("0020000D", "Study Instance UID")?;
            let row = dicomweb::study(app, &caller, &study).await;
            let row = match row {
                // Nothing is of this UID: no match, and no error.
                Err(r) if r.status == StatusCode::NOT_FOUND => return Ok(found),
                row => row.map_err(|r| failed(&r))?,
            };
            let outer = joined(&Map::new(), shown::study(&row, &base));
            let one = (level.trim() == "IMAGE")
                .then(|| asked.one("0020000E", "Series Instance UID"))
                .transpose()?;
            for series in row
                .series
                .iter()
                .filter(|s| one.as_ref().is_none_or(|u| *u == s.uid))
            {
                let inner = joined(&outer, shown::series(&row, series, &base));
                if one.is_none() {
                    all.push(inner);
                    continue;
                }
                let instances = qido::some_instances(app, &caller, &row.uid, &series.uid, MOST + 1).await;
                let instances = instances.map_err(|r| failed(&r))?;
                // What is beyond was not looked at.
                found.more |= instances.len() > MOST;
                for i in instances {
                    all.push(joined(&inner, shown::instance(&row, &i, &base)));
                }
            }
        }
        _ => {
            let why = "Query/Retrieve Level is STUDY, SERIES or IMAGE";
            return Err((NOT_A_QUERY, why.to_owned()));
        }
    }
    let done: &[&str] = if level.trim() == "STUDY" { &SEARCHED } else { &[] };
    for one in all {
        if !asked.fits(level.trim(), &one, done, &mut found.wider) {
            continue;
        }
        if found.matches.len() == MOST {
            found.more = true;
            break;
        }
        let answer = asked.answer(level.trim(), &one, coding);
        found.matches.push(answer.map_err(|e| (CANNOT, e.to_string()))?);
    }
    Ok(found)
}

/// What ends an answer.
pub(super) fn end(found: &Found) -> (u16, &'static str) {
    if found.more {
        (TOO_MUCH, "there are more matches: ask more exactly")
    } else {
        (0, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn keys_match_by_what_they_are() {
        for (vr, asked, has, expected) in [
            ("UI", &["1.2", "1.3"][..], &["1.3"][..], true),
            ("UI", &["1.2"], &["1.20"], false),
            ("DA", &["20260101-20261231"], &["20260131"], true),
            ("DA", &["-20260101"], &["20260131"], false),
            ("DA", &["20260131"], &["20260131"], true),
            ("TM", &["1015-1016"], &["101530.5"], true),
            ("TM", &["1016-"], &["101530"], false),
            ("LO", &["CT *"], &["CT Thorax"], true),
            ("LO", &["ct *"], &["CT Thorax"], false),
            ("PN", &["mey*"], &["MEYER^ZOE"], true),
            ("IS", &["2"], &["2"], true),
            ("IS", &["2"], &["12"], false),
            ("CS", &["C?"], &["CT"], true),
            ("CS", &["CT"], &[], false),
        ] {
            assert_eq!(
                fits(vr, &texts(asked), &texts(has)),
                expected,
                "{vr} {asked:?} {has:?}"
            );
        }
    }

    #[test]
    fn an_identifier_is_read_or_refused_and_answered_in_its_coding() {
        let mut keys = DataSet::new();
        keys.text(Tag(8, 0x52), VR::CS, "STUDY")
            .text(Tag(0x10, 0x10), VR::PN, "Mey*")
            .text(Tag(0x20, 0xD), VR::UI, "");
        for (uid, coding) in [
            ("1.2.840.10008.1.2", Coding::IMPLICIT_LE),
            ("1.2.840.10008.1.2.1", Coding::EXPLICIT_LE),
        ] {
            let bytes = keys.encode(coding).unwrap();
            let asked = Asked {
                keys: read(&bytes, uid).unwrap(),
            };
            assert_eq!(asked.of("00100010"), ["Mey*"]);
            assert!(asked.of("0020000D").is_empty(), "a key to be answered");
            let found = serde_json::json!({"0020000D": {"vr": "UI", "Value": ["1.2.3"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Meyer^Zo\u{eb}"}]}});
            let answer = asked.answer("STUDY", found.as_object().unwrap(), coding).unwrap();
            let again = read(&answer, uid).unwrap();
            assert_eq!(values(&again["0020000D"]), ["1.2.3"]);
            assert_eq!(values(&again["00100010"]), ["Meyer^Zo\u{eb}"]);
            for n in 1..bytes.len() {
                // Cut anywhere it is an error or a shorter set, never a panic.
                let _ = read(&bytes[..n], uid);
            }
        }
        assert!(read(&[0xFF; 64], "1.2.840.10008.1.2").is_err());
    }
}
