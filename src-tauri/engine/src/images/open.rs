//! Opening a series, looking at another frame of it, closing it.
//!
//! The permit is the chart's, the audit row names study and series, and nothing is given before it is written.

use super::packs::{Packs, Stored};
use super::view::View;
use super::writer::Write;
use super::{Core, VIEWS_MOST, socket, token};
use crate::EngineError;
use crate::chart::blocks::number_label;
use crate::error::store_words;
use crate::link;
use crate::outbox::refused;
use crate::station::Station;
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::decide;
use vitrine_clinical::card::{EmergencyCard, Identity};
use vitrine_clinical::{format, say, word};
use vitrine_store_sqlcipher::workstation::OpenSeries;
use vitrine_wire::ErrorCode;
use vitrine_wire::image_view::OpenSeriesView;

/// Longest wait for the server.
const WAIT: Duration = Duration::from_secs(3);
/// Once the first piece of an index is here, so long for the rest: a short series is shown whole.
const REST: Duration = Duration::from_millis(25);

/// What the audit row allowed.
pub(super) struct Allowed {
    pub(super) leave: OpenSeries,
    identity: Option<Identity>,
    /// What else is kept of it, and its packs.
    held: Option<(Vec<u8>, Vec<Stored>)>,
}

/// A DICOM UID, as it may stand in an address.
pub(super) fn uid(text: &str) -> Result<&str, EngineError> {
    let ok = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if ok {
        Ok(text)
    } else {
        Err(EngineError::Usage(say!(
            "this is no DICOM UID: digits and points are expected",
            "das ist keine DICOM-UID: Ziffern und Punkte werden erwartet"
        )))
    }
}

fn allow(station: &Arc<Station>, patient: &str, study: &str, series: &str) -> Result<Allowed, EngineError> {
    let (study, series) = (uid(study)?, uid(series)?);
    let person = station.person()?;
    let patient = station.resolve(patient)?;
    let request = station.request_about(&person, &patient)?;
    let permit = decide::<ReadChart>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("study", study)
        .noted("series", series);
    let store = station
        .imaging
        .shared
        .store()
        .ok_or(EngineError::Internal("reading stored images"))?;
    let leave = store.series(&permit, study, series)?;
    let card = station.essentials.card(&permit);
    if let Err(e) = &card {
        station.damaged(e);
    }
    let mut disclosure = leave.disclosure().clone();
    if let Ok(c) = &card {
        disclosure
            .resources
            .extend(c.disclosure().resources.iter().cloned());
        disclosure.total += c.disclosure().total;
    }
    let receipt = station
        .outbox
        .append(&[permit.entry(disclosure)], None)
        .map_err(|e| EngineError::AuditFailed(store_words(&e)))?
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    let wrong = |_| EngineError::Internal("opening with the receipt");
    let leave = leave.open(&receipt).map_err(wrong)?;
    let card = card
        .ok()
        .map(|c| c.open(&receipt))
        .transpose()
        .map_err(wrong)?
        .flatten();
    station.command(link::Command::OutboxChanged);
    let identity = card
        .and_then(|c| serde_json::from_slice::<EmergencyCard>(&c.body).ok())
        .filter(|c| c.patient == patient)
        .and_then(|c| c.identity);
    let held = leave.held().unwrap_or_else(|e| {
        tracing::warn!(error = %e, "stored images cannot be read");
        None
    });
    let held = held.map(|h| (h.body, h.packs.into_iter().map(Stored::read).collect()));
    Ok(Allowed {
        leave,
        identity,
        held,
    })
}

/// "JONES, Mary, born 04-Feb-1958, MRN 4471 0932".
fn record_text(identity: Option<&Identity>) -> String {
    let Some(i) = identity else {
        return word!("name not here", "Name nicht hier").to_owned();
    };
    let parts = [
        Some(format::name(
            i.family.as_deref(),
            &i.given,
            None,
            i.name_text.as_deref(),
        )),
        i.birth_date
            .as_deref()
            .map(|d| say!("born {date}", "geb. {date}", date = format::partial_date(d, 0))),
        i.sex.as_deref().map(sex_text),
        i.mrn
            .as_deref()
            .map(|n| format!("{} {}", number_label(), format::record_number(n))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// As the record has it, beside the letter of the header.
fn sex_text(code: &str) -> String {
    match code {
        "female" => word!("female", "weiblich"),
        "male" => word!("male", "männlich"),
        "other" => word!("other", "divers"),
        "unknown" => word!("unknown", "Geschlecht unbekannt"),
        other => other,
    }
    .to_owned()
}

/// Opens a series of a patient. Answers at once from what is here; else when the server has sent the first piece of the
/// index.
pub(crate) async fn open(
    station: Arc<Station>,
    patient: String,
    study: String,
    series: String,
    px: u32,
) -> Result<OpenSeriesView, EngineError> {
    let inside = Arc::clone(&station);
    let allowed = tokio::task::spawn_blocking(move || allow(&inside, &patient, &study, &series))
        .await
        .map_err(|_| EngineError::Internal("reading stored images"))??;
    station.imaging.begin();
    let shared = Arc::clone(&station.imaging.shared);
    let (number, session) = {
        let mut core = shared.core();
        // A lock meanwhile ended what the permit was for.
        if station.session().is_none() {
            return Err(EngineError::NotSignedIn);
        }
        let number = core.enter(&allowed.leave, allowed.held.as_ref(), px)?;
        core.ask_open(number);
        Core::beat(&shared, &mut core);
        (number, core.session)
    };
    socket::wake(&station);
    shared.write(Write::Used {
        leave: allowed.leave.clone(),
    });
    let ready = wait(&station, number, session).await;
    let text = record_text(allowed.identity.as_ref());
    let mut core = shared.core();
    if core.session != session {
        return Err(EngineError::NotSignedIn);
    }
    match ready {
        Ok(()) => {
            let Core { views, packs, .. } = &mut *core;
            let Some(v) = views.get_mut(&number) else {
                return Err(EngineError::Internal("opening a series"));
            };
            let view = v.show(packs, allowed.identity.as_ref(), &text);
            v.change();
            // What is whole here and was never proven.
            let unproven: Vec<_> = v
                .frames
                .iter()
                .filter(|at| packs.one(**at).is_some_and(|o| o.mark() == '4'))
                .copied()
                .collect();
            for at in unproven {
                core.jobs.whole(at);
            }
            shared.work.notify_all();
            core.replan();
            core.pump(&shared);
            Ok(view)
        }
        Err(e) => {
            core.leave_view(number);
            Err(e)
        }
    }
}

/// Waits until there is something to show.
async fn wait(station: &Arc<Station>, number: u32, session: u64) -> Result<(), EngineError> {
    let shared = &station.imaging.shared;
    let limit = tokio::time::sleep(WAIT);
    tokio::pin!(limit);
    let mut rest = None;
    loop {
        let mut changed = {
            let core = shared.core();
            if core.session != session {
                return Err(EngineError::NotSignedIn);
            }
            let v = core.views.get(&number).ok_or(EngineError::NotSignedIn)?;
            let mut changed = v.changed.subscribe();
            changed.borrow_and_update();
            let (have, of) = v.indexed(&core.packs);
            if have > 0 && (have == of || !v.answered) || v.answered && of == 0 {
                return Ok(());
            }
            if have > 0 && rest.is_none() {
                rest = Some(tokio::time::Instant::now() + REST);
            }
            if let (Some(text), code) = (&v.refused, v.refused_code) {
                return Err(EngineError::Refused {
                    code: code.unwrap_or(ErrorCode::Overloaded),
                    text: text.clone(),
                    retry_after_s: None,
                });
            }
            if core.line.down().is_some() && have == 0 {
                return Err(station.not_here(word!("This series", "diese Serie")));
            }
            changed
        };
        let enough = async {
            match rest {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changed.changed() => {}
            () = enough => return Ok(()),
            () = &mut limit => {
                if shared.core().line.is_up() {
                    return Err(EngineError::Refused {
                        code: ErrorCode::Overloaded,
                        text: say!(
                            "The server did not send the images in time: try again.",
                            "Der Server hat die Bilder nicht rechtzeitig gesendet: erneut versuchen."
                        ),
                        retry_after_s: None,
                    });
                }
                return Err(station.not_here(word!("This series", "diese Serie")));
            }
        }
    }
}

impl Core {
    /// A new view with what is here of its series.
    pub(super) fn enter(
        &mut self,
        leave: &OpenSeries,
        held: Option<&(Vec<u8>, Vec<Stored>)>,
        px: u32,
    ) -> Result<u32, EngineError> {
        while self.views.len() >= VIEWS_MOST {
            let Some(first) = self.views.keys().next().copied() else {
                break;
            };
            self.leave_view(first);
        }
        self.last_view = self.last_view.wrapping_add(1).max(1);
        let number = self.last_view;
        let mut v = View::new(number, token()?, leave.clone(), px);
        if let Some((kept, stored)) = held {
            for p in stored {
                v.packs.extend(self.packs.take_held(leave, p));
            }
            if let Ok(kept) = serde_json::from_slice::<super::writer::Kept>(kept) {
                (v.without, v.preparing) = (kept.without, kept.preparing);
            }
        }
        join(&mut v, &mut self.packs, self.views.values());
        self.views.insert(number, v);
        Ok(number)
    }

    /// Ends a view.
    pub(super) fn leave_view(&mut self, number: u32) {
        if !self.views.contains_key(&number) {
            return;
        }
        // What was asked for it will not come: the server forgets it with the view.
        self.take_back();
        let Some(v) = self.views.remove(&number) else {
            return;
        };
        self.line.ask(vitrine_wire::images::Ask::Close { view: number });
        for slot in &v.packs {
            self.packs.leave(*slot);
        }
        let packs = &self.packs;
        self.jobs.leave(number, |at| packs.get(at.0).is_none());
        self.replan();
    }
}

/// Takes up packs of the same series that another view has from the server and the disk has not yet.
fn join<'a>(v: &mut View, packs: &mut Packs, others: impl Iterator<Item = &'a View>) {
    let mut others = others;
    let Some(other) = others.find(|o| o.leave.same(&v.leave) && o.answered) else {
        return;
    };
    for slot in &other.numbered {
        let known = packs.get(*slot);
        let Some((id, frames, bytes)) =
            known.map(|p| (p.id.clone(), u32::try_from(p.frames.len()).unwrap_or(0), p.bytes))
        else {
            continue;
        };
        if !v.packs.contains(slot) {
            v.packs.extend(packs.take(&v.leave, &id, frames, bytes));
        }
    }
    let (kept, gone): (Vec<_>, Vec<_>) = v.packs.iter().partition(|s| other.numbered.contains(s));
    v.packs = kept;
    for slot in gone {
        packs.leave(slot);
    }
    v.without.clone_from(&other.without);
    v.preparing = other.preparing;
}

/// The screen looks at another frame of a view.
pub(crate) fn center(
    station: &Station,
    view: u32,
    frame: u32,
    velocity: f32,
    px: u32,
) -> Result<(), EngineError> {
    // A cine that runs by itself keeps nobody signed in.
    if station.session().is_none() {
        return Err(EngineError::NotSignedIn);
    }
    let shared = &station.imaging.shared;
    let mut core = shared.core();
    core.centered(view, frame, velocity, px);
    core.pump(shared);
    drop(core);
    shared.work.notify_one();
    Ok(())
}

/// A view is no longer on the screen.
pub(crate) fn close(station: &Station, view: u32) {
    let shared = &station.imaging.shared;
    let mut core = shared.core();
    core.leave_view(view);
    core.pump(shared);
}

/// What is here of a view, and the bytes of it.
pub(crate) fn held(station: &Station, view: u32) -> Option<(vitrine_wire::image_view::HeldView, u64)> {
    let core = station.imaging.shared.core();
    let v = core.views.get(&view)?;
    let bytes = v
        .frames
        .iter()
        .filter_map(|at| core.packs.one(*at))
        .map(super::packs::One::bytes)
        .sum();
    Some((v.held(&core.packs, core.line.down()), bytes))
}
