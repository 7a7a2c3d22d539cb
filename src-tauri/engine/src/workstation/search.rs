//! Finding patients: the words of a query, the permit, the rows in the order they are shown.
//!
//! Never here: how words are folded and ranked (`cache`), SQL.
//! Called by the acts, with a session and for an emergency without one.

use super::chart::may_open;
use crate::EngineError;
use crate::cache::{self, query::Query};
use crate::chart::blocks::number_label;
use crate::chart::rows;
use crate::link;
use crate::outbox::{disclose, disclose_emergency, refused};
use crate::session::Person;
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::Permit;
use vitrine_access::action::SearchPatients;
use vitrine_access::policy::decide;
use vitrine_clinical::{say, word};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{FindTerm, Found, FoundRow};
use vitrine_wire::view::{DataAge, PatientRowView, SearchView};

/// Most rows of a search.
pub const SEARCH_ROWS: usize = 50;

pub(super) fn search(
    station: &Arc<Station>,
    person: &Person,
    text: &str,
    emergency: bool,
) -> Result<SearchView, EngineError> {
    let now = station.clock.now();
    let year = vitrine_clinical::format::civil::Civil::at(now, station.clock.zone_minutes(now)).year;
    let query = Query::read(text, u32::try_from(year).unwrap_or(2026));
    let noted: String = text.chars().take(200).collect();
    let found = look(station, person, ("query", &noted), "", &query.groups, emergency)?;
    Ok(found_view(station, person, text, &query, found))
}

/// Whoever the words find, under a permit that is noted with what was asked for. Without words nobody.
pub(super) fn look(
    station: &Arc<Station>,
    person: &Person,
    (what, noted): (&'static str, &str),
    number: &str,
    groups: &[Vec<FindTerm>],
    emergency: bool,
) -> Result<Found, EngineError> {
    if !station
        .essentials
        .scopes()?
        .iter()
        .any(|s| s.complete && s.name.starts_with("ess:"))
    {
        return Err(station.not_here(word!("The patient list", "Patientenliste")));
    }
    let request = station.request(person.subject(), None, None, None)?;
    let permit = decide::<SearchPatients>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted(what, noted.to_owned());
    let permit = if number.is_empty() {
        permit
    } else {
        permit.noted("query", number.to_owned())
    };
    let permit = if emergency {
        permit.noted("emergency", "yes")
    } else {
        permit
    };
    if groups.is_empty() {
        return Ok(Found {
            rows: Vec::new(),
            more: false,
            of: station.essentials.patients()?,
            damaged: false,
        });
    }
    let read = |p: &Permit<SearchPatients>| station.essentials.search(p, groups, SEARCH_ROWS, emergency);
    let found = if emergency {
        let (found, kept) = disclose_emergency(&station.outbox, &station.ballast, &permit, read)?;
        station.kept(kept);
        found
    } else {
        disclose(&station.outbox, &permit, read)?
    };
    if found.damaged {
        station.damaged(&StoreError::Damaged("essentials.db".to_owned()));
    }
    station.command(link::Command::OutboxChanged);
    Ok(found)
}

/// Somebody found, as a row of a list; `None` where the card cannot be read.
pub(super) fn row(
    station: &Station,
    person: &Person,
    found: &FoundRow,
) -> Option<(rows::ListCard, PatientRowView)> {
    let card = serde_json::from_slice::<rows::ListCard>(&found.body).ok()?;
    let mut view = rows::found_row(&card, &station.clock);
    let ward = card.place.as_ref().and_then(|p| p.ward.clone());
    view.restricted = !may_open(station, person, &card.patient, ward);
    Some((card, view))
}

/// Said where nobody was found and the server might know more.
pub(super) fn not_asked(station: &Station) -> &'static str {
    let age = station.fresh.feed(station.stored_as_of(), &station.clock).0;
    match age {
        DataAge::Live => "",
        _ => word!("; the server was not asked", "; der Server wurde nicht gefragt"),
    }
}

/// What somebody was found by.
pub(super) fn band() -> &'static str {
    word!("band", "Armband")
}

fn found_view(station: &Station, person: &Person, text: &str, query: &Query, found: Found) -> SearchView {
    let mut ranked = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        let Some((card, mut view)) = self::row(station, person, row) else {
            continue;
        };
        let family = card
            .identity
            .as_ref()
            .and_then(|i| i.family.as_deref())
            .map(cache::folded)
            .unwrap_or_default();
        let bed = card.place.as_ref().and_then(|p| p.bed.as_deref());
        let (why, rank) = query.rank(&cache::found_terms(card.identity.as_ref(), bed), &family);
        view.match_text = Some(
            match why {
                cache::query::Matched::Name => word!("name", "Name"),
                cache::query::Matched::Number => number_label(),
                cache::query::Matched::Band => band(),
                cache::query::Matched::Bed => word!("bed", "Bett"),
                cache::query::Matched::Born => word!("born", "Geburtsdatum"),
            }
            .to_owned(),
        );
        ranked.push((
            rank,
            view.name.clone(),
            rows::name_key(card.identity.as_ref()),
            view,
        ));
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let keys: Vec<_> = ranked.iter().map(|r| r.2.clone()).collect();
    let mut views: Vec<_> = ranked.into_iter().map(|r| r.3).collect();
    rows::mark_similar(&mut views, &keys);
    let of = vitrine_clinical::format::group_thousands(&found.of.to_string());
    let server = not_asked(station);
    let mut summary_text = match (views.len(), found.more) {
        (0, _) if query.is_empty() => say!(
            "Type a name, an MRN, a birth date or a bed.",
            "Name, Patientennummer, Geburtsdatum oder Bett eingeben."
        ),
        (0, _) => say!(
            "No match in {of} patients on this workstation{server}.",
            "Kein Treffer unter {of} Patienten an diesem Arbeitsplatz{server}."
        ),
        (n, true) => say!(
            "More than {n} of {of} patients on this workstation match: type more.",
            "Mehr als {n} von {of} Patienten an diesem Arbeitsplatz passen: mehr eingeben."
        ),
        (n, false) => say!(
            "{n} of {of} patients on this workstation.",
            "{n} von {of} Patienten an diesem Arbeitsplatz."
        ),
    };
    if found.damaged {
        summary_text.push_str(word!(
            " Some patients could not be read: this list is not complete.",
            " Einige Patienten sind nicht lesbar: Diese Liste ist nicht vollständig."
        ));
    }
    SearchView {
        query: text.to_owned(),
        rows: views,
        summary_text,
        more: found.more,
    }
}
