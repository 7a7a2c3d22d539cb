//! Words about images: titles, sizes, what is here.
//!
//! Never here: state. Called by `images`.

use crate::chart::when;
use crate::clock::Clock;
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_pixels::Colour;
use vitrine_wire::images::{ListedSeries, ListedStudy};

fn images(n: u64) -> String {
    if n == 1 {
        say!("1 image", "1 Bild")
    } else {
        say!("{n} images", "{n} Bilder")
    }
}

/// "2 · CT · Chest 1.0 mm".
pub(super) fn series_title(s: &ListedSeries) -> String {
    let parts = [
        s.number.map(|n| n.to_string()),
        s.modality.clone(),
        s.description.clone().or_else(|| s.body_part.clone()),
    ];
    let text = parts
        .into_iter()
        .flatten()
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    if text.is_empty() {
        word!("Series without a description", "Serie ohne Beschreibung").to_owned()
    } else {
        text
    }
}

/// "141 images", "1 image, 60 frames".
pub(super) fn size_text(s: &ListedSeries) -> String {
    let images = images(u64::from(s.instances));
    match s.frames {
        n if n <= s.ready || s.preparing > 0 => images,
        1 => say!("{images}, 1 frame", "{images}, 1 Einzelbild"),
        n => say!("{images}, {n} frames", "{images}, {n} Einzelbilder"),
    }
}

/// Its date as FHIR writes it, and its time as hours and minutes; `None` where the header has no date that can be read.
fn dated(s: &ListedStudy) -> Option<(String, Option<String>)> {
    let day = s.day.filter(|d| (10_000_101..=99_991_231).contains(d))?;
    let iso = format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100);
    let hm = s.time.as_deref().and_then(|t| {
        let (h, m) = (t.get(..2)?, t.get(2..4)?);
        let ok = h.parse::<u8>().is_ok_and(|h| h < 24) && m.parse::<u8>().is_ok_and(|m| m < 60);
        ok.then(|| format!("{h}:{m}"))
    });
    Some((iso, hm))
}

/// "12-Oct-2026 08:14", "12-Oct-2026", "date unknown".
pub(super) fn when_text(s: &ListedStudy) -> String {
    let Some((iso, hm)) = dated(s) else {
        return word!("date unknown", "Datum unbekannt").to_owned();
    };
    let date = format::partial_date(&iso, 0);
    match hm {
        Some(hm) => format!("{date} {hm}"),
        None => date,
    }
}

/// The first instant that its date and time may mean. The header has no zone: they are of the local clock.
pub(super) fn first(s: &ListedStudy, clock: &Clock) -> Option<UtcMs> {
    let (iso, hm) = dated(s)?;
    let text = hm.map_or_else(|| iso.clone(), |hm| format!("{iso}T{hm}"));
    when::first(&PartialDate::new(text), clock)
}

/// The year of its date.
pub(super) fn year(s: &ListedStudy, clock: &Clock) -> Option<i32> {
    first(s, clock).map(|at| when::year(at, clock))
}

/// Modalities of a study, each once, in order.
pub(super) fn modalities(s: &ListedStudy) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for m in s.series.iter().filter_map(|e| e.modality.clone()) {
        if !all.contains(&m) {
            all.push(m);
        }
    }
    all
}

/// "CT chest".
pub(super) fn study_title(s: &ListedStudy) -> String {
    if let Some(d) = s.description.as_deref().filter(|d| !d.trim().is_empty()) {
        return d.trim().to_owned();
    }
    let part = s.series.iter().find_map(|e| e.body_part.clone());
    let text = [modalities(s).join(", "), part.unwrap_or_default().to_lowercase()].join(" ");
    match text.trim() {
        "" => say!("Study without a description", "Untersuchung ohne Beschreibung"),
        text => text.to_owned(),
    }
}

/// As the viewer names colours.
pub(super) const fn colour(c: Colour) -> &'static str {
    match c {
        Colour::Monochrome1 => "monochrome1",
        Colour::Monochrome2 => "monochrome2",
        Colour::Palette => "palette",
        Colour::Rgb => "rgb",
        Colour::YbrFull => "ybr-full",
    }
}

/// "12 of 80 · −123.5 mm".
pub(super) fn place_text(n: usize, of: usize, mm: Option<f64>) -> String {
    match mm {
        Some(mm) => {
            let sign = if mm < -0.05 { "−" } else { "" };
            say!(
                "{n} of {of} · {sign}{mm:.1} mm",
                "{n} von {of} · {sign}{mm:.1} mm",
                mm = mm.abs()
            )
        }
        None => say!("{n} of {of}", "{n} von {of}"),
    }
}

/// "lossy 1:12".
pub(super) fn lossy_text(ratios: &[f64]) -> String {
    match ratios.first().filter(|r| r.is_finite() && **r > 0.0) {
        Some(r) if *r >= 10.0 => say!("lossy 1:{r:.0}", "verlustbehaftet 1:{r:.0}"),
        Some(r) => say!("lossy 1:{r:.1}", "verlustbehaftet 1:{r:.1}"),
        None => say!("lossy", "verlustbehaftet"),
    }
}

/// "3 images missing between 12 and 13".
pub(super) fn gap_text(missing: u32, after: usize, before: usize) -> String {
    let images = images(u64::from(missing));
    // In German the verb is of one or of several.
    if missing == 1 {
        say!(
            "{images} missing between {after} and {before}",
            "{images} fehlt zwischen {after} und {before}"
        )
    } else {
        say!(
            "{images} missing between {after} and {before}",
            "{images} fehlen zwischen {after} und {before}"
        )
    }
}

/// Why an image is not shown, as the server says it, in English; what is not known here stays so.
pub(super) fn without_text(why: &str) -> String {
    if let Some(what) = why.strip_prefix("no pixels: ") {
        let what = match what {
            "an object of another kind" => {
                word!("an object of another kind", "ein Objekt anderer Art")
            }
            of_dicom => of_dicom,
        };
        return say!("no pixels: {what}", "keine Bilddaten: {what}");
    }
    match why {
        "the file of this image is damaged or gone: tell IT" => word!(
            "the file of this image is damaged or gone: tell IT",
            "die Datei dieses Bildes ist beschädigt oder fehlt: die Klinik-IT informieren"
        ),
        "it could not be decoded: download the original" => word!(
            "it could not be decoded: download the original",
            "nicht dekodierbar: das Original herunterladen"
        ),
        "decoding it took too long: download the original" => word!(
            "decoding it took too long: download the original",
            "das Dekodieren dauerte zu lange: das Original herunterladen"
        ),
        "a frame too large to be shown: download the original" => word!(
            "a frame too large to be shown: download the original",
            "ein Einzelbild ist zu groß für die Anzeige: das Original herunterladen"
        ),
        other => other,
    }
    .to_owned()
}

/// "No images in this record as of 12-Oct-2026 08:14."
pub(super) fn empty_text(as_of: i64, clock: &Clock) -> String {
    let at = vitrine_clinical::UtcMs(as_of);
    say!(
        "No images in this record as of {at}.",
        "Keine Bilder in dieser Akte, Stand {at}.",
        at = format::date_time_in(at, &|at| clock.zone_minutes(at))
    )
}

/// "preview 1:8 → exact 37 %", of the frame marks.
pub(super) fn held_text(marks: &str, scale: Option<u32>) -> String {
    let of = marks.len().max(1);
    let exact = marks.bytes().filter(|b| *b == b'5').count();
    let whole = marks.bytes().filter(|b| matches!(b, b'4' | b'5')).count();
    if exact == marks.len() && !marks.is_empty() {
        return word!("exact", "exakt").to_owned();
    }
    let shown = if whole > exact {
        word!("whole", "vollständig")
    } else {
        word!("exact", "exakt")
    };
    let percent = whole.max(exact) * 100 / of;
    match scale {
        Some(s) if s > 1 => say!(
            "preview 1:{s} → {shown} {percent} %",
            "Vorschau 1:{s} → {shown} {percent} %"
        ),
        _ => format!("{shown} {percent} %"),
    }
}

/// "OFFLINE — 12 of 80 exact on this workstation".
pub(super) fn stopped_text(why: &str, marks: &str) -> String {
    let whole = marks.bytes().filter(|b| matches!(b, b'4' | b'5')).count();
    say!(
        "{why} — {whole} of {of} whole on this workstation",
        "{why} — {whole} von {of} vollständig an diesem Arbeitsplatz",
        of = marks.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::format::civil::parse_fhir_ms;

    #[test]
    fn words_of_studies_and_series() {
        let series = |json: &str| serde_json::from_str::<ListedSeries>(json).unwrap();
        let s = series(
            r#"{"uid":"1","number":2,"modality":"CT","description":"Chest 1.0 mm","instances":141,"ready":141,"preparing":0,"frames":141}"#,
        );
        assert_eq!(
            (series_title(&s).as_str(), size_text(&s).as_str()),
            ("2 · CT · Chest 1.0 mm", "141 images")
        );
        let s = series(r#"{"uid":"1","instances":1,"ready":1,"preparing":0,"frames":60}"#);
        assert_eq!(size_text(&s), "1 image, 60 frames");
        let study = |json: &str| serde_json::from_str::<ListedStudy>(json).unwrap();
        let s = study(
            r#"{"uid":"1","day":20261012,"time":"081422.5","series":[{"uid":"1","modality":"CT","body_part":"CHEST","instances":1,"ready":1,"preparing":0,"frames":1}]}"#,
        );
        assert_eq!(
            (when_text(&s).as_str(), study_title(&s).as_str()),
            ("12-Oct-2026 08:14", "CT chest")
        );
        let clock = Clock::new();
        let minutes = |at: UtcMs| (at.0 + i64::from(clock.zone_minutes(at)) * 60_000) / 60_000;
        let at = first(&s, &clock).map(minutes);
        assert_eq!(at, parse_fhir_ms("2026-10-12T08:14:00Z").map(|ms| ms / 60_000));
        assert_eq!(year(&s, &clock), Some(2026));
        let undated = ListedStudy { day: None, ..s };
        assert_eq!((first(&undated, &clock), year(&undated, &clock)), (None, None));
        let s = study(r#"{"uid":"1","time":"99","series":[]}"#);
        assert_eq!(
            (when_text(&s).as_str(), study_title(&s).as_str()),
            ("date unknown", "Study without a description")
        );
    }

    #[test]
    fn words_of_what_is_here() {
        assert_eq!(held_text("5555", None), "exact");
        assert_eq!(held_text("5110", Some(8)), "preview 1:8 → exact 25 %");
        assert_eq!(held_text("4110", None), "whole 25 %");
        assert_eq!(place_text(12, 80, Some(-123.46)), "12 of 80 · −123.5 mm");
        assert_eq!(lossy_text(&[12.2]), "lossy 1:12");
        assert_eq!(gap_text(1, 3, 4), "1 image missing between 3 and 4");
    }

    #[test]
    fn in_german_one_image_is_one() {
        use vitrine_clinical::language::{Language, speaking};
        speaking(Language::German, || {
            assert_eq!(gap_text(1, 3, 4), "1 Bild fehlt zwischen 3 und 4");
            assert_eq!(gap_text(2, 3, 4), "2 Bilder fehlen zwischen 3 und 4");
            assert_eq!(held_text("5110", Some(8)), "Vorschau 1:8 → exakt 25 %");
            assert_eq!(
                without_text("no pixels: an object of another kind"),
                "keine Bilddaten: ein Objekt anderer Art"
            );
            assert_eq!(
                without_text("what a newer server says"),
                "what a newer server says"
            );
        });
        for why in [
            "no pixels: an object of another kind",
            "it could not be decoded: download the original",
        ] {
            assert_eq!(without_text(why), why);
        }
    }
}
