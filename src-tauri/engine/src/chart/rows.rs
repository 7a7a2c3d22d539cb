//! Rows of lists: a patient found by a search, a patient on a board.

use super::blocks::no_known_allergies;
use super::news2;
use crate::clock::Clock;
use vitrine_clinical::card::{AllergyState, Identity, Place, shown};
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::{PatientId, format, say, word};
use vitrine_wire::http::BoardItem;
use vitrine_wire::view::PatientRowView;

/// "JONES, Mary (Ms)".
pub(crate) fn name_text(identity: Option<&Identity>) -> String {
    match identity {
        Some(i) => format::name(
            i.family.as_deref(),
            &i.given,
            i.prefix.as_deref(),
            i.name_text.as_deref(),
        ),
        None => word!("Name not recorded", "Name nicht dokumentiert").to_owned(),
    }
}

/// "04-Feb-1958 (68y)".
pub(crate) fn born_text(identity: Option<&Identity>, clock: &Clock) -> String {
    let now = clock.now();
    let birth = identity
        .and_then(|i| i.birth_date.as_deref())
        .map(PartialDate::new);
    format::born(birth.as_ref(), now, clock.zone_minutes(now))
}

/// "68y"; `None` when no birth date says it.
pub(crate) fn age_text(identity: Option<&Identity>, clock: &Clock) -> Option<String> {
    let now = clock.now();
    let birth = PartialDate::new(identity?.birth_date.as_deref()?);
    format::age(&birth, now, clock.zone_minutes(now))
}

/// The number, grouped.
pub(crate) fn number_text(identity: Option<&Identity>) -> String {
    identity
        .and_then(|i| i.mrn.as_deref())
        .map_or_else(|| format::not_recorded().to_owned(), format::record_number)
}

/// "Died 03-Mar-2026".
pub(crate) fn deceased_text(identity: Option<&Identity>, clock: &Clock) -> Option<String> {
    let deceased = identity?.deceased.as_deref()?;
    Some(match deceased {
        "yes" => say!(
            "Died (date not recorded)",
            "Verstorben (Datum nicht dokumentiert)"
        ),
        date => say!(
            "Died {at}",
            "Verstorben {at}",
            at = format::partial_date_in(date, &|at| clock.zone_minutes(at))
        ),
    })
}

/// "ICU bed 4"; "No current encounter on record".
pub(crate) fn place_text(place: Option<&Place>) -> String {
    let Some(p) = place else {
        return say!(
            "No current encounter on record",
            "Kein aktueller Aufenthalt dokumentiert"
        );
    };
    let ward = p
        .ward_name
        .clone()
        .or_else(|| p.ward.as_ref().map(ToString::to_string));
    match (ward, &p.bed) {
        (Some(w), Some(b)) => format!("{w} · {b}"),
        (Some(w), None) => w,
        (None, Some(b)) => b.clone(),
        (None, None) => say!("Place not recorded", "Ort nicht dokumentiert"),
    }
}

fn row(
    patient: &PatientId,
    identity: Option<&Identity>,
    place: Option<&Place>,
    clock: &Clock,
) -> PatientRowView {
    let since = place.and_then(|p| p.since);
    PatientRowView {
        patient: patient.to_string(),
        name: name_text(identity),
        born_text: born_text(identity, clock),
        gender_text: format::gender(identity.and_then(|i| i.sex.as_deref())),
        number_text: number_text(identity),
        place_text: place_text(place),
        bed: place.and_then(|p| p.bed.clone()).unwrap_or_default(),
        reason_text: None,
        stay_text: since.map(|s| format::stay(clock.now().since(s).max(0))),
        news2: None,
        acuity: place.and_then(|p| p.acuity.clone()),
        match_text: None,
        similar_name: false,
        allergy_text: String::new(),
        flags: Vec::new(),
        critical_text: None,
        restricted: false,
        deceased_text: deceased_text(identity, clock),
    }
}

/// What a list reads of a card: who and where, no clinical word.
#[derive(serde::Deserialize)]
pub(crate) struct ListCard {
    pub(crate) patient: PatientId,
    pub(crate) identity: Option<Identity>,
    pub(crate) place: Option<Place>,
}

/// A row of a search: who and where, nothing clinical.
pub(crate) fn found_row(card: &ListCard, clock: &Clock) -> PatientRowView {
    row(&card.patient, card.identity.as_ref(), card.place.as_ref(), clock)
}

/// What a board says of somebody with an allergy. The screen knows it by this word: `shared/PatientTable.svelte`.
pub(crate) fn allergy() -> &'static str {
    word!("ALLERGY", "ALLERGIE")
}

/// What it says where that cannot be read.
pub(crate) fn unread() -> &'static str {
    word!("UNAVAILABLE", "NICHT VERFÜGBAR")
}

/// A row of a board.
pub(crate) fn board_row(patient: &PatientId, item: &BoardItem, clock: &Clock) -> PatientRowView {
    let mut r = row(patient, item.identity.as_ref(), Some(&item.place), clock);
    r.reason_text = item.place.reason.clone();
    r.allergy_text = match item.allergies {
        AllergyState::Known => allergy(),
        AllergyState::NoneKnown => no_known_allergies(),
        AllergyState::NotRecorded => word!("NOT RECORDED", "NICHT DOKUMENTIERT"),
        AllergyState::Unavailable => unread(),
    }
    .to_owned();
    r.news2 = item
        .news2
        .as_ref()
        .map(|kept| news2::of_board(kept, item.identity.as_ref(), clock));
    let lines = item.flags.iter().chain(&item.code_status);
    r.flags = lines.map(|text| shown::line(text).into_owned()).collect();
    r
}

/// The key by which names are compared: folded family name and first letter of the given name.
pub(crate) fn name_key(identity: Option<&Identity>) -> Option<(String, Option<char>)> {
    let i = identity?;
    let family = crate::cache::folded(i.family.as_deref().or(i.name_text.as_deref())?);
    let given = i
        .given
        .first()
        .map(|g| crate::cache::folded(g))
        .and_then(|g| g.chars().next());
    (!family.is_empty()).then_some((family, given))
}

/// Marks rows whose names are the same or nearly so: the same initial, and family names that differ by at most one
/// letter (screens.md S24).
pub(crate) fn mark_similar(rows: &mut [PatientRowView], keys: &[Option<(String, Option<char>)>]) {
    for i in 0..keys.len() {
        for j in 0..i {
            let (Some(a), Some(b)) = (&keys[i], &keys[j]) else {
                continue;
            };
            if a.1 == b.1 && near(&a.0, &b.0) {
                rows[i].similar_name = true;
                rows[j].similar_name = true;
            }
        }
    }
}

/// At most one letter changed, added or left out; names under four letters must be equal.
fn near(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    if short.len() < 4 || long.len() - short.len() > 1 {
        return false;
    }
    let front = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let tail = short[front..]
        .iter()
        .rev()
        .zip(long[front..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    front + tail + 1 >= long.len()
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn similar_names() {
        for (a, b, similar) in [
            ("smith", "smyth", true),
            ("smith", "smiths", true),
            ("smith", "smith", true),
            ("jones", "johns", false),
            ("li", "lee", false),
            ("li", "li", true),
            ("okafor", "okaford", true),
            ("brown", "braun", false),
        ] {
            assert_eq!(near(a, b), similar, "{a} {b}");
            assert_eq!(near(b, a), similar, "{b} {a}");
        }
    }
}
