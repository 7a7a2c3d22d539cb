//! The studies of a patient: as the server tells them now, else as they were told last.

use super::report::{Reports, reports};
use super::{LISTS_MOST, Listed, socket, token, words};
use crate::EngineError;
use crate::cache;
use crate::error::store_words;
use crate::link;
use crate::outbox::refused;
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::Permit;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::decide;
use vitrine_clinical::{PatientId, UserId, say, word};
use vitrine_store_sqlcipher::workstation::{CachedList, Images, OpenPatient, SeriesHeld};
use vitrine_wire::image_view::{ImagesView, SeriesState, SeriesView, StudyView};
use vitrine_wire::images::{Ask, ListedSeries, ListedStudy};
use vitrine_wire::view::{DataAge, SectionAge};

/// Longest wait for the server, when a list is here, and when none is.
const WAIT: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(3));
/// A list told longer ago than this is old, ms.
const OLD_MS: i64 = 4 * 3_600_000;

/// Who may see the list of whom.
struct Asked {
    user: UserId,
    patient: PatientId,
    permit: Permit<ReadChart>,
    store: Images,
}

struct Allowed {
    patient: PatientId,
    leave: OpenPatient,
    cached: Option<CachedList>,
    reports: Reports,
}

fn asked(station: &Station, patient: &str) -> Result<Asked, EngineError> {
    let person = station.person()?;
    let patient = station.resolve(patient)?;
    let request = station.request_about(&person, &patient)?;
    let permit = decide::<ReadChart>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("section", "images");
    let store = station
        .imaging
        .shared
        .store()
        .ok_or(EngineError::Internal("reading stored images"))?;
    Ok(Asked {
        user: person.user,
        patient,
        permit,
        store,
    })
}

/// Writes the row that names what is going to be shown: the studies that the server told just now, else those of the list that is here,
/// and the reports beside them.
fn allow(station: &Station, before: &Asked, told: Option<&[ListedStudy]>) -> Result<Allowed, EngineError> {
    // The server was asked meanwhile, for up to seconds: what was allowed then may be over, and somebody else may be signed in, with
    // records of their own.
    let Asked {
        user,
        patient,
        permit,
        store,
    } = asked(station, before.patient.as_str())?;
    if user != before.user {
        return Err(EngineError::NotSignedIn);
    }
    let listed = store.listed(&permit)?;
    let found = reports(station, &permit);
    let mut disclosure = match told {
        Some(studies) => {
            let uids: Vec<&str> = studies.iter().map(|s| s.uid.as_str()).collect();
            Images::naming(&permit, &uids)
        }
        None => listed.disclosure().clone(),
    };
    if let Some(f) = &found {
        disclosure
            .resources
            .extend(f.disclosure().resources.iter().cloned());
        disclosure.total += f.disclosure().total;
    }
    let receipt = station
        .outbox
        .append(&[permit.entry(disclosure)], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    let wrong = |_| EngineError::Internal("opening with the receipt");
    let (leave, cached) = listed.open(&receipt).map_err(wrong)?;
    let reports = found.map(|f| f.open(&receipt)).transpose().map_err(wrong)?;
    station.command(link::Command::OutboxChanged);
    Ok(Allowed {
        patient,
        leave,
        cached,
        reports: Reports::new(reports.flatten()),
    })
}

/// The studies of a patient, newest first.
pub(crate) async fn list(station: Arc<Station>, patient: String) -> Result<ImagesView, EngineError> {
    const READING: EngineError = EngineError::Internal("reading stored images");
    let inside = Arc::clone(&station);
    let (asked, here) = tokio::task::spawn_blocking(move || {
        let asked = asked(&inside, &patient)?;
        let here = asked.store.has_list(&asked.permit)?;
        Ok::<_, EngineError>((asked, here))
    })
    .await
    .map_err(|_| READING)??;
    let told = ask(&station, &asked.patient, here).await;
    let inside = Arc::clone(&station);
    let (allowed, told, now) = tokio::task::spawn_blocking(move || {
        let now = inside.clock.now().0;
        let live = told.as_ref().and_then(|t| t.as_ref().ok());
        if let Some(studies) = live {
            keep(&asked, studies, now);
        }
        let allowed = allow(&inside, &asked, live.map(Vec::as_slice))?;
        Ok::<_, EngineError>((allowed, told, now))
    })
    .await
    .map_err(|_| READING)??;
    let (studies, as_of, live) = match told {
        Some(Ok(studies)) => (studies, now, true),
        other => {
            let kept = allowed
                .cached
                .as_ref()
                .and_then(|c| Some((serde_json::from_slice::<Vec<ListedStudy>>(&c.body).ok()?, c.as_of)));
            match (kept, other) {
                (Some((studies, as_of)), _) => (studies, as_of, false),
                (None, Some(Err((code, text)))) => {
                    return Err(EngineError::Refused {
                        code,
                        text,
                        retry_after_s: None,
                    });
                }
                (None, _) => return Err(station.not_here(word!("The list of images", "Liste der Bilder"))),
            }
        }
    };
    view(&station, allowed, &studies, as_of, live)
}

/// Keeps what the server told for when it does not answer.
fn keep(asked: &Asked, studies: &[ListedStudy], as_of: i64) {
    let uids: Vec<&str> = studies.iter().map(|s| s.uid.as_str()).collect();
    let kept =
        serde_json::to_vec(studies).map(|body| asked.store.put_list(&asked.patient, &body, &uids, as_of));
    if let Ok(Err(e)) = kept {
        tracing::warn!(error = %e, "the list of images could not be kept");
    }
}

/// Asks the server, for less long where a list is here; `None` when it does not answer.
async fn ask(station: &Arc<Station>, patient: &PatientId, here: bool) -> Option<super::ListTold> {
    let shared = &station.imaging.shared;
    let (tell, told) = tokio::sync::oneshot::channel();
    {
        let mut core = shared.core();
        station.session().as_ref()?.token.as_ref()?;
        let patient = patient.to_string();
        let waits = core.told.entry(patient.clone()).or_default();
        // Who gave up waits no more.
        waits.retain(|w| !w.is_closed());
        let first = waits.is_empty();
        waits.push(tell);
        if first {
            core.line.ask(Ask::List { patient });
        }
    }
    socket::wake(station);
    let wait = if here { WAIT.0 } else { WAIT.1 };
    tokio::time::timeout(wait, told).await.ok()?.ok()
}

fn view(
    station: &Arc<Station>,
    allowed: Allowed,
    studies: &[ListedStudy],
    as_of: i64,
    live: bool,
) -> Result<ImagesView, EngineError> {
    let word = token()?;
    let held: BTreeMap<(&str, &str), &SeriesHeld> = allowed
        .cached
        .iter()
        .flat_map(|c| &c.held)
        .map(|h| ((h.study.as_str(), h.series.as_str()), h))
        .collect();
    let mut of = BTreeMap::new();
    let shown = studies
        .iter()
        .map(|s| StudyView {
            uid: s.uid.clone(),
            when_text: words::when_text(s),
            at_ms: words::first(s, &station.clock).map(|at| at.0),
            at_year: words::year(s, &station.clock),
            title: words::study_title(s),
            modalities: words::modalities(s),
            accession: s.accession.clone(),
            report_text: allowed.reports.text(&s.uid, s.accession.as_deref()),
            series: s
                .series
                .iter()
                .map(|e| {
                    of.insert(e.uid.clone(), s.uid.clone());
                    series(
                        e,
                        held.get(&(s.uid.as_str(), e.uid.as_str())).copied(),
                        live,
                        &word,
                    )
                })
                .collect(),
        })
        .collect();
    let age = if live {
        DataAge::Live
    } else if station.clock.now().0.saturating_sub(as_of) > OLD_MS {
        DataAge::Old
    } else {
        DataAge::Offline
    };
    let view = ImagesView {
        patient: allowed.patient.to_string(),
        studies: shown,
        age: SectionAge {
            age,
            text: cache::words(age, Some(as_of), &station.clock),
            complete: true,
            as_of_ms: Some(as_of),
        },
        empty_text: words::empty_text(as_of, &station.clock),
    };
    let mut core = station.imaging.shared.core();
    if station.session().is_none() {
        return Err(EngineError::NotSignedIn);
    }
    let number = core.lists.values().map(|l| l.number).max().unwrap_or(0) + 1;
    while core.lists.len() >= LISTS_MOST {
        let oldest = core
            .lists
            .iter()
            .min_by_key(|(_, l)| l.number)
            .map(|(t, _)| t.clone());
        let Some(oldest) = oldest else { break };
        core.lists.remove(&oldest);
    }
    core.lists.insert(
        word,
        Listed {
            leave: allowed.leave,
            studies: of,
            number,
        },
    );
    Ok(view)
}

fn series(s: &ListedSeries, held: Option<&SeriesHeld>, live: bool, word: &str) -> SeriesView {
    let here = held.is_some_and(|h| h.previews + h.segments > 0);
    let indexed = held.is_some_and(|h| h.indexed > 0);
    let (state, state_text) = if !live && !indexed {
        let text = word!("not on this workstation", "nicht an diesem Arbeitsplatz");
        (SeriesState::NotOnThisWorkstation, Some(text.to_owned()))
    } else if s.ready > 0 || indexed {
        let text = (s.preparing > 0).then(|| {
            say!(
                "{n} more being prepared",
                "{n} weitere in Vorbereitung",
                n = s.preparing
            )
        });
        (SeriesState::Ready, text)
    } else if s.preparing > 0 {
        (
            SeriesState::Preparing,
            Some(say!(
                "being prepared by the server",
                "wird vom Server vorbereitet"
            )),
        )
    } else {
        (
            SeriesState::WithoutPixels,
            Some(say!("no pixels to show", "keine Bilddaten")),
        )
    };
    let held_text = held.filter(|_| here).map(|h| {
        // Frames of up to 64 pixels are whole with their layer 0.
        let whole = h.frames > 0 && h.previews == h.frames && (h.segments == 0 || h.segments >= h.frames * 3);
        let some = if h.segments > 0 {
            word!("partly here", "teilweise hier")
        } else {
            word!("previews here", "Vorschau hier")
        };
        if whole && h.segments > 0 {
            word!("whole here", "vollständig hier").to_owned()
        } else {
            some.to_owned()
        }
    });
    SeriesView {
        uid: s.uid.clone(),
        title: words::series_title(s),
        modality: s.modality.clone().unwrap_or_default(),
        body_part: s.body_part.clone(),
        size_text: words::size_text(s),
        state,
        state_text,
        held_text,
        thumbnail: (state == SeriesState::Ready && (here || live))
            .then(|| format!("/{word}/thumb/{}", s.uid)),
    }
}
