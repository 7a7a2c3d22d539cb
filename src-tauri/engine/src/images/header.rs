//! What the server puts beside a frame, and whose images they say they are.
//!
//! Lives here: [`Beside`], the comparison of the header's person with the record's. Never here: pixels, words of the list.
//! Called by `view` and `open`.
//!
//! Beside each frame stands JSON: `vitrine_dicom::display::Beside`, or the bare `Display`; then the place is taken from it
//! and nobody is named.

use serde::Deserialize;
use serde_json::value::RawValue;
use vitrine_clinical::card::Identity;
use vitrine_clinical::{say, word};
use vitrine_dicom::display::{Lossy, Place, Who};

/// What stands beside a frame.
#[derive(Default)]
pub(super) struct Beside {
    /// JSON of `Display`, to be handed on.
    pub(super) display: String,
    pub(super) place: Place,
    pub(super) who: Option<Who>,
    pub(super) lossy: Option<Lossy>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    display: &'a RawValue,
    #[serde(default)]
    place: Option<Place>,
    #[serde(default)]
    who: Option<Who>,
}

/// The part of `Display` that is read here.
#[derive(Deserialize, Default)]
struct Read {
    #[serde(default)]
    position: Option<[f64; 3]>,
    #[serde(default)]
    orientation: Option<[f64; 6]>,
    #[serde(default)]
    number: Option<i64>,
    #[serde(default)]
    lossy: Option<Lossy>,
}

impl Beside {
    /// Reads it; what cannot be read is as if nothing were there. `number` is the frame's in its instance.
    pub(super) fn read(json: &[u8], number: u32) -> Self {
        let envelope = serde_json::from_slice::<Envelope<'_>>(json).ok();
        let (display, place, who) = match envelope {
            Some(e) => (e.display.get().to_owned(), e.place, e.who),
            None => match std::str::from_utf8(json) {
                Ok(text) if serde_json::from_str::<Read>(text).is_ok() => (text.to_owned(), None, None),
                _ => ("{}".to_owned(), None, None),
            },
        };
        let read: Read = serde_json::from_str(&display).unwrap_or_default();
        let place = place.unwrap_or(Place {
            position: read.position,
            orientation: read.orientation,
            number: read.number,
            frame: number,
            ..Place::default()
        });
        Self {
            display,
            place,
            who,
            lossy: read.lossy,
        }
    }
}

/// Millimetres of a position along the normal of its plane.
pub(super) fn along(place: &Place) -> Option<f64> {
    let [px, py, pz] = place.position?;
    let [a, b, c, d, e, f] = place.orientation?;
    let mm = (b * f - c * e) * px + (c * d - a * f) * py + (a * e - b * d) * pz;
    mm.is_finite().then_some(mm)
}

/// The parts of a name, folded.
fn parts(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '^' | ',' | '=' | '-' | '\'' | '.'))
        .map(crate::cache::folded)
        .filter(|p| !p.is_empty())
        .collect()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn number(text: &str) -> String {
    let all: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect();
    all.trim_start_matches('0').to_owned()
}

/// "DOE, JANE, born 1970-01-01, F, MRN 4711".
pub(super) fn header_text(who: Option<&Who>) -> String {
    let nobody = || word!("The images name nobody.", "Die Bilder nennen niemanden.").to_owned();
    let Some(w) = who else {
        return nobody();
    };
    let born = w
        .birth_date
        .as_deref()
        .map(|d| match (d.get(..4), d.get(4..6), d.get(6..8)) {
            (Some(y), Some(m), Some(d)) => {
                say!(
                    "born {date}",
                    "geb. {date}",
                    date = vitrine_clinical::format::partial_date(&format!("{y}-{m}-{d}"), 0)
                )
            }
            _ => say!("born {d}", "geb. {d}"),
        });
    let all = [
        w.name.clone(),
        born,
        w.sex.clone(),
        w.id.as_ref().map(|id| say!("ID {id}", "ID {id}")),
    ];
    let text = all.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if text.is_empty() { nobody() } else { text }
}

/// Whether all parts of ours are among theirs, or together are what some of theirs, one behind the other, are together:
/// "O'Brien" is "OBRIEN", and "Li" is not in "Lindqvist".
fn named(ours: &[String], theirs: &[String]) -> bool {
    let whole = ours.concat();
    let together = |from: usize| {
        let mut text = String::new();
        theirs.iter().skip(from).any(|t| {
            text.push_str(t);
            text == whole
        })
    };
    ours.iter().all(|o| theirs.contains(o)) || (0..theirs.len()).any(together)
}

/// What contradicts the record, of what both name. A part of a name that one of them lacks is no contradiction, nor is
/// another number where name and birth date are the same: it may be another hospital's.
pub(super) fn contradictions(who: &Who, record: &Identity) -> Vec<&'static str> {
    let mut all = Vec::new();
    let mut same = 0;
    if let Some(theirs) = who.name.as_deref().map(parts).filter(|p| !p.is_empty()) {
        let family = parts(record.family.as_deref().unwrap_or_default());
        let given: Vec<String> = record.given.iter().flat_map(|g| parts(g)).collect();
        let other_family = !family.is_empty() && !named(&family, &theirs);
        let first = |o: &String| {
            // "J" stands for "Jane".
            let letter = |t: &String| t.chars().count() == 1 || o.chars().count() == 1;
            theirs
                .iter()
                .any(|t| letter(t) && t.chars().next() == o.chars().next())
        };
        let given_fits = given.iter().any(|g| theirs.contains(g) || first(g)) || named(&given, &theirs);
        let other_given = !given.is_empty() && theirs.len() > family.len() && !given_fits;
        if other_family || other_given {
            all.push(word!("name", "Name"));
        } else if !family.is_empty() {
            same += 1;
        }
    }
    if let (Some(theirs), Some(ours)) = (who.birth_date.as_deref(), record.birth_date.as_deref()) {
        let (theirs, ours) = (digits(theirs), digits(ours));
        let n = theirs.len().min(ours.len()).min(8);
        if n >= 4 && theirs.get(..n) != ours.get(..n) {
            all.push(word!("birth date", "Geburtsdatum"));
        } else if n == 8 {
            same += 1;
        }
    }
    let letter = |t: Option<&str>| {
        t.and_then(|t| t.trim().chars().next())
            .map(|c| c.to_ascii_uppercase())
    };
    if let (Some(a @ ('M' | 'F')), Some(b @ ('M' | 'F'))) =
        (letter(who.sex.as_deref()), letter(record.sex.as_deref()))
        && a != b
    {
        all.push(word!("sex", "Geschlecht"));
    }
    let theirs = who.id.as_deref().map(number).filter(|n| !n.is_empty());
    let ours = record.mrn.as_deref().map(number).filter(|n| !n.is_empty());
    if let (Some(theirs), Some(ours)) = (theirs, ours)
        && theirs != ours
        && same < 2
    {
        all.push(word!("number", "Nummer"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str, born: &str, sex: &str, id: &str) -> Who {
        let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        Who {
            name: some(name),
            id: some(id),
            issuer: None,
            birth_date: some(born),
            sex: some(sex),
        }
    }

    #[test]
    fn whose_images_they_are() {
        let record = Identity {
            family: Some("O'Brien".into()),
            given: vec!["Nóra".into(), "Maeve".into()],
            birth_date: Some("2001-07-30".into()),
            sex: Some("female".into()),
            mrn: Some("0077".into()),
            gsrns: vec![],
            prefix: None,
            name_text: None,
            deceased: None,
            active: true,
        };
        for (header, wrong) in [
            (who("OBRIEN, NORA", "20010730", "F", "77"), vec![]),
            (who("O'BRIEN^NORA^M", "20010730", "F", "77"), vec![]),
            (who("O BRIEN, N", "20010730", "", "X-9"), vec![]),
            (who("", "", "", ""), vec![]),
            (who("O'Brien", "", "O", "77"), vec![]),
            (who("SMITH, NORA", "20010730", "F", "77"), vec!["name"]),
            (who("O'BRIENNE, NORA", "20010730", "F", "77"), vec!["name"]),
            (who("O'BRIEN, SEAN", "20010730", "M", "77"), vec!["name", "sex"]),
            (who("O'BRIEN, NORA", "20010731", "F", "77"), vec!["birth date"]),
            (who("O'BRIEN, NORA", "", "F", "78"), vec!["number"]),
            (who("", "", "", "78"), vec!["number"]),
        ] {
            assert_eq!(
                contradictions(&header, &record),
                wrong,
                "{}",
                header_text(Some(&header))
            );
        }
    }

    #[test]
    fn what_stands_beside_a_frame() {
        let b = Beside::read(br#"{"display":{"inverse":true,"number":7},"who":{"name":"DOE, JANE"},"place":{"frame":3,"number":8,"position":null,"orientation":null,"stack":null,"time":null,"acquisition":null,"echo":null}}"#, 1);
        assert_eq!(
            (b.display.as_str(), b.place.number),
            (r#"{"inverse":true,"number":7}"#, Some(8))
        );
        assert_eq!(b.who.unwrap().name.as_deref(), Some("DOE, JANE"));
        let b = Beside::read(br#"{"inverse":false,"number":7}"#, 2);
        assert_eq!((b.place.number, b.place.frame), (Some(7), 2));
        assert_eq!(Beside::read(b"\xff", 1).display, "{}");
    }
}
