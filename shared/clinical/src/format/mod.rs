//! Formatters, once: the only place where a date, an age, a duration, a name, a dose or a measured value becomes words.
//!
//! Rules: NHS CUI (dates `dd-Mmm-yyyy`, 24 h, name `FAMILY, Given (Title)`, ages and durations), ISMP 2019 (no
//! trailing zero, a leading zero, `mcg` and `units` spelled). The zone is an argument, minutes east of UTC.
//! Months are English in every language; the units of ages and durations are those of the language that is spoken.
//! Never here: a clock, a locale, HTML.
//! Called by both ends when they build views.

use crate::chart::{HumanName, PartialDate};
use crate::{UtcMs, word};

pub mod civil;
mod value;
mod zone;

pub use value::{Dose, Measured, ResultFlag, group_thousands, same_unit};
pub use zone::{Repeated, date_time_in, partial_date_in, repeated, time_in};

pub(crate) use civil::parse_fhir;
use civil::{Civil, DAY_MS, Precision};

/// What a card keeps where the record has nothing: English, as all that is kept. Shown is [`not_recorded`].
pub const NOT_RECORDED: &str = "Not recorded";

/// What is shown where the record has nothing (CUI D+Tb-0011).
#[must_use]
pub fn not_recorded() -> &'static str {
    word!("Not recorded", "Nicht dokumentiert")
}

/// English month abbreviations, three letters, whatever the machine's language (CUI D+Ta-0010).
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn month_name(month: u32) -> &'static str {
    let index = usize::try_from(month).unwrap_or(0).saturating_sub(1);
    MONTHS.get(index).copied().unwrap_or("???")
}

fn civil_date(c: &Civil) -> String {
    format!("{:02}-{}-{:04}", c.day, month_name(c.month), c.year)
}

/// `21-Nov-2026`.
#[must_use]
pub fn date(at: UtcMs, offset_minutes: i32) -> String {
    civil_date(&Civil::at(at, offset_minutes))
}

/// `04:31`, 24 h.
#[must_use]
pub fn time(at: UtcMs, offset_minutes: i32) -> String {
    let c = Civil::at(at, offset_minutes);
    format!("{:02}:{:02}", c.hour, c.minute)
}

/// `21-Nov-2026 04:31`.
#[must_use]
pub fn date_time(at: UtcMs, offset_minutes: i32) -> String {
    format!("{} {}", date(at, offset_minutes), time(at, offset_minutes))
}

/// `21-Nov-2026 04:31:07`.
#[must_use]
pub fn date_time_seconds(at: UtcMs, offset_minutes: i32) -> String {
    let c = Civil::at(at, offset_minutes);
    format!("{} {:02}:{:02}:{:02}", civil_date(&c), c.hour, c.minute, c.second)
}

/// A date as partial as recorded: `2019`, `May-2019`, `03-May-2019`, `03-May-2019 14:05`. A time with a zone is moved
/// into the zone given; a date alone never moves. A text that is no FHIR date comes back as it is.
#[must_use]
pub fn partial_date(text: &str, offset_minutes: i32) -> String {
    let Some(d) = parse_fhir(text) else {
        return text.to_owned();
    };
    match d.precision {
        Precision::Year => format!("{:04}", d.civil.year),
        Precision::Month => format!("{}-{:04}", month_name(d.civil.month), d.civil.year),
        Precision::Day => civil_date(&d.civil),
        Precision::Time if d.offset_minutes.is_some() => date_time(UtcMs(d.earliest_ms()), offset_minutes),
        Precision::Time => {
            format!(
                "{} {:02}:{:02}",
                civil_date(&d.civil),
                d.civil.hour,
                d.civil.minute
            )
        }
    }
}

/// An age (NHS CUI units): `35min`, `14hr`, `3d`, `10w`, `8mo`, `4y 3mo`, `68y`; in German `35Min`, `14Std`, `3T`, `10Wo`, `8Mon`,
/// `4J 3Mon`, `68J`.
///
/// Under 2 hours in minutes and under 2 days in hours (only where the birth time is recorded), under 4 weeks in days,
/// under 3 months in weeks, under 2 years in months, under 18 years in years and months, then in years. A birth date
/// of a year or a month alone gives `~68y`, or nothing when that says too little. `None` when it lies in the future
/// or is not a date.
#[must_use]
pub fn age(birth: &PartialDate, at: UtcMs, offset_minutes: i32) -> Option<String> {
    let born = parse_fhir(birth.as_str())?;
    let now = Civil::at(at, offset_minutes);
    if born.precision == Precision::Time {
        let born_ms = born.earliest_ms()
            - i64::from(if born.offset_minutes.is_none() {
                offset_minutes
            } else {
                0
            }) * 60_000;
        let ms = at.0 - born_ms;
        if ms < 0 {
            return None;
        }
        if ms < 2 * 3_600_000 {
            return Some(format!("{}{}", ms / 60_000, minute_unit()));
        }
        if ms < 2 * DAY_MS {
            return Some(format!("{}{}", ms / 3_600_000, hour_unit()));
        }
        return whole_age(&Civil::at(UtcMs(born_ms), offset_minutes), &now);
    }
    match born.precision {
        Precision::Year => {
            let years = now.year - born.civil.year;
            (years >= 2).then(|| format!("~{years}{}", year_unit()))
        }
        Precision::Month => {
            let months =
                (now.year - born.civil.year) * 12 + i64::from(now.month) - i64::from(born.civil.month);
            match months {
                24.. => Some(format!("~{}{}", months / 12, year_unit())),
                1.. => Some(format!("~{months}{}", month_unit())),
                _ => None,
            }
        }
        _ => whole_age(&born.civil, &now),
    }
}

/// Whole years of age, at least and at most: they differ where the birth date is a year or a month alone. `None` when it
/// lies in the future or is not a date.
#[must_use]
pub fn years(birth: &PartialDate, at: UtcMs, offset_minutes: i32) -> Option<(i64, i64)> {
    let born = parse_fhir(birth.as_str())?;
    let now = Civil::at(at, offset_minutes);
    let (first, last) = match born.precision {
        Precision::Year => {
            let day = |month, day| Civil {
                month,
                day,
                ..born.civil
            };
            (day(1, 1), day(12, 31))
        }
        Precision::Month => {
            let day = |day| Civil { day, ..born.civil };
            (
                day(1),
                day(civil::days_in_month(born.civil.year, born.civil.month)),
            )
        }
        Precision::Time if born.offset_minutes.is_some() => {
            let civil = Civil::at(UtcMs(born.earliest_ms()), offset_minutes);
            (civil, civil)
        }
        Precision::Day | Precision::Time => (born.civil, born.civil),
    };
    let most = whole_months(&first, &now);
    (most >= 0).then(|| ((whole_months(&last, &now).max(0)) / 12, most / 12))
}

/// Age from whole calendar days.
fn whole_age(born: &Civil, now: &Civil) -> Option<String> {
    let days = civil::days_from_date(now.year, now.month, now.day)
        - civil::days_from_date(born.year, born.month, born.day);
    if days < 0 {
        return None;
    }
    let months = whole_months(born, now);
    let (years, year, month) = (months / 12, year_unit(), month_unit());
    Some(if days < 28 {
        format!("{days}{}", day_unit())
    } else if months < 3 {
        format!("{}{}", days / 7, word!("w", "Wo"))
    } else if months < 24 {
        format!("{months}{month}")
    } else if months < 18 * 12 {
        match months % 12 {
            0 => format!("{years}{year}"),
            rest => format!("{years}{year} {rest}{month}"),
        }
    } else {
        format!("{years}{year}")
    })
}

/// Whole months between two dates. Somebody born on the 31st (or 29 February) completes a month on the first day of
/// the next one where the month is shorter.
fn whole_months(born: &Civil, now: &Civil) -> i64 {
    let months = (now.year - born.year) * 12 + i64::from(now.month) - i64::from(born.month);
    if now.day < born.day { months - 1 } else { months }
}

/// `04-Feb-1958 (68y)`; `Not recorded` without a birth date.
#[must_use]
pub fn born(birth: Option<&PartialDate>, at: UtcMs, offset_minutes: i32) -> String {
    let Some(birth) = birth else {
        return not_recorded().to_owned();
    };
    let text = partial_date(birth.as_str(), offset_minutes);
    age(birth, at, offset_minutes).map_or_else(|| text.clone(), |a| format!("{text} ({a})"))
}

/// A duration in its two greatest units, no decimals (CUI D+Tb-0018): `2d 4hr`, `3hr 20min`, `12min`, `42s`.
/// Negative durations count as zero.
#[must_use]
pub fn duration(ms: i64) -> String {
    units(ms, "")
}

/// The same for the data-age vocabulary, with a space between number and unit: `12 min`, `2 d 4 hr`.
#[must_use]
pub fn data_age(ms: i64) -> String {
    units(ms, " ")
}

fn year_unit() -> &'static str {
    word!("y", "J")
}

fn month_unit() -> &'static str {
    word!("mo", "Mon")
}

fn day_unit() -> &'static str {
    word!("d", "T")
}

fn hour_unit() -> &'static str {
    word!("hr", "Std")
}

fn minute_unit() -> &'static str {
    word!("min", "Min")
}

fn units(ms: i64, gap: &str) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |a: i64, ua: &str, b: i64, ub: &str| {
        if b == 0 {
            format!("{a}{gap}{ua}")
        } else {
            format!("{a}{gap}{ua} {b}{gap}{ub}")
        }
    };
    if days > 0 {
        two(days, day_unit(), hours, hour_unit())
    } else if hours > 0 {
        two(hours, hour_unit(), minutes, minute_unit())
    } else if minutes > 0 {
        format!("{minutes}{gap}{}", minute_unit())
    } else {
        format!("{seconds}{gap}s")
    }
}

/// Length of stay: `0:42` hours and minutes under a day, then `2d 4hr`.
#[must_use]
pub fn stay(ms: i64) -> String {
    let minutes = ms.max(0) / 60_000;
    if minutes < 24 * 60 {
        format!("{}:{:02}", minutes / 60, minutes % 60)
    } else {
        duration(ms)
    }
}

/// `JONES, Mary Ann (Ms)` (CUI PAB-0049 to 0053); the text form of the name where there is no family name; `Not
/// recorded` when there is nothing. Upper case keeps letters such as `ß` readable by Unicode's rule (`SS`).
#[must_use]
pub fn name(family: Option<&str>, given: &[String], prefix: Option<&str>, text: Option<&str>) -> String {
    let clean = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
    let given = clean(&given.join(" "));
    let title = prefix
        .map(clean)
        .filter(|p| !p.is_empty())
        .map(|p| format!(" ({p})"))
        .unwrap_or_default();
    match family.map(clean).filter(|f| !f.is_empty()) {
        Some(family) if given.is_empty() => format!("{}{title}", family.to_uppercase()),
        Some(family) => format!("{}, {given}{title}", family.to_uppercase()),
        None => match text.map(clean).filter(|t| !t.is_empty()) {
            Some(text) => text,
            None if given.is_empty() => not_recorded().to_owned(),
            None => format!("{given}{title}"),
        },
    }
}

/// [`name`] of a FHIR name.
#[must_use]
pub fn human_name(n: &HumanName) -> String {
    name(
        n.family.as_deref(),
        &n.given,
        n.prefix.first().map(String::as_str),
        n.text.as_deref(),
    )
}

/// A person who is not the patient, in speaking order: the text form, else `Ms Mary Ann Jones`.
#[must_use]
pub fn spoken_name(n: &HumanName) -> Option<String> {
    if let Some(text) = n.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        return Some(text.to_owned());
    }
    let parts = n
        .prefix
        .iter()
        .chain(&n.given)
        .map(String::as_str)
        .chain(n.family.as_deref());
    let joined = parts.collect::<Vec<_>>().join(" ");
    let clean = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    (!clean.is_empty()).then_some(clean)
}

/// A record number grouped for reading: digits in groups of three or four, longer groups last (`943 476 5919`,
/// `1234 5678`); five digits or fewer and anything with other characters stay as they are.
#[must_use]
pub fn record_number(text: &str) -> String {
    let n = text.len();
    if n < 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return text.to_owned();
    }
    let groups = n.div_ceil(4);
    let (base, longer) = (n / groups, n % groups);
    let mut out = String::with_capacity(n + groups);
    let mut digits = text.chars();
    for group in 0..groups {
        if group > 0 {
            out.push(' ');
        }
        out.extend(digits.by_ref().take(base + usize::from(group >= groups - longer)));
    }
    out
}

/// `Female`, `Male`, `Other`, `Unknown`; `Not recorded` (CUI: in full, never a letter).
#[must_use]
pub fn gender(code: Option<&str>) -> String {
    match code {
        Some("female") => word!("Female", "Weiblich"),
        Some("male") => word!("Male", "Männlich"),
        Some("other") => word!("Other", "Divers"),
        Some("unknown") => word!("Unknown", "Unbekannt"),
        Some(other) if !other.trim().is_empty() => other,
        _ => not_recorded(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
