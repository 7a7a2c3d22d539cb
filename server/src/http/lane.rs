//! The way of a request through its lane.
//!
//! Lives here: finding the lane, waiting for its place, running the rest there, saying which lane it was. Never here:
//! the rule (`lanes::ask`), the places (`lanes`). Called by the router's layer around every route.
//!
//! A request that may be an emergency is found out before it waits anywhere: from sessions seen lately and grants in
//! memory, or with one bounded look-up. It then runs on threads kept for it, marked urgent, so that the store reads for
//! it on reserved connections. Everything else runs on the lanes' own threads.

use super::bearer;
use super::refusal::{FhirRefusal, Refused};
use super::seat::Seat;
use crate::app::App;
use crate::clock;
use crate::identity::sessions::{self, Caller, token_hash};
use crate::lanes::ask::Ask;
use crate::lanes::claims::Claimant;
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class, EmergencyPlace, Shed};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::Actor;
use vitrine_access::policy::Subject;
use vitrine_store::urgent;
use vitrine_wire::ErrorCode;

/// Says in answers which lane it was. In requests it is a claim that counts for nothing.
pub const X_VITRINE_LANE: HeaderName = HeaderName::from_static("x-vitrine-lane");

/// Bodies up to this size are received before the request takes a place.
const SMALL: u64 = 1024 * 1024;
/// They may take so long.
const RECEIVE: Duration = Duration::from_secs(20);

/// What is known before anything waits.
struct Placed<'a> {
    class: Class,
    place: Option<EmergencyPlace<'a>>,
    caller: Option<Caller>,
}

/// Takes a request through its lane.
pub async fn through(app: &Arc<App>, request: Request, next: Next) -> Response {
    let began = clock::steady();
    let ask = Ask::of(request.method().as_str(), request.uri().path());
    let session = bearer::token(request.headers())
        .filter(|t| !t.is_empty() && t.len() <= 256)
        .map(token_hash);
    let placed = place(app, &ask, session).await;
    let class = placed.class;
    let claims = request
        .headers()
        .get(&X_VITRINE_LANE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"emergency"));
    if claims && class != Class::Emergency {
        claimed(app, session, placed.caller.as_ref(), &ask).await;
    }
    if class != Class::Control
        && let Some(seat) = request.extensions().get::<Arc<Seat>>()
    {
        seat.carries(class == Class::Emergency);
    }
    let fhir = request.uri().path().starts_with("/fhir");
    let mut answer = match class {
        Class::Control => next.run(request).await,
        Class::Emergency => {
            let done = app.lanes.first.run(urgent(next.run(request))).await;
            drop(placed.place);
            done.unwrap_or_else(|_| undone())
        }
        _ => others(app, &ask, class, session.is_some(), request, next).await,
    };
    let took = began.elapsed();
    if class != Class::Control {
        app.metrics
            .took("vitrine_lane_seconds", class.label(), Some(took));
    }
    timed(app, &ask, class, answer.status(), took, fhir);
    answer
        .headers_mut()
        .insert(X_VITRINE_LANE, HeaderValue::from_static(class.name()));
    answer
}

/// The thresholds people set are about these.
fn timed(app: &App, ask: &Ask, class: Class, status: StatusCode, took: Duration, fhir: bool) {
    let came = (!status.is_server_error()).then_some(took);
    if matches!(ask, Ask::Chart(_)) {
        app.metrics.took("vitrine_record_seconds", "by=\"http\"", came);
    }
    if class == Class::Emergency {
        app.metrics.took("vitrine_emergency_seconds", "", came);
    }
    let lab = |key: &vitrine_clinical::ResourceKey| {
        ["Observation", "DiagnosticReport"].contains(&key.kind.as_str())
    };
    if fhir && matches!(ask, Ask::Resource(key) if lab(key)) {
        app.metrics.took("vitrine_lab_seconds", "", came);
    }
}

/// The lane of a request, by what the server knows.
async fn place<'a>(app: &'a App, ask: &Ask, session: Option<[u8; 32]>) -> Placed<'a> {
    let plain = |caller: Option<Caller>| Placed {
        class: ask.class(caller.as_ref()),
        place: None,
        caller,
    };
    let Some(session) = session else {
        return plain(None);
    };
    let mut caller = app.known.get(&session, clock::now());
    if caller.is_none() && ask.may_be_emergency() {
        // The first request of this session since the server started: find out who it is, a few at a time.
        if let Some(_turn) = app.lanes.look_up() {
            caller = sessions::caller_of(app, session, false).await.ok().flatten();
        }
    }
    let Some(known) = caller.as_ref().filter(|c| c.user().is_some()) else {
        return plain(caller);
    };
    let grants = known
        .user()
        .is_some_and(|u| app.has_grant(u, known.device.as_ref(), clock::now()));
    let by_place = ask.emergency_by_place(known, &app.lanes.critical).is_some();
    if !(by_place || grants && ask.may_be_emergency()) {
        return plain(caller);
    }
    let acts = matches!(ask, Ask::BreakGlass);
    let Some(place) = app.lanes.emergency(session, acts).await else {
        return plain(caller);
    };
    if by_place || granted(app, ask, known).await {
        return Placed {
            class: Class::Emergency,
            place: Some(place),
            caller,
        };
    }
    plain(caller)
}

/// Whether a grant in force covers the patient the request is about.
async fn granted(app: &App, ask: &Ask, caller: &Caller) -> bool {
    let patient = match (ask.patient(), ask) {
        (Some(patient), _) => Some(patient),
        (None, Ask::Resource(key)) => urgent(app.store.owner(key)).await.ok().flatten().flatten(),
        _ => None,
    };
    match (caller.user(), patient) {
        (Some(user), Some(patient)) => app
            .grant_for(user, caller.device.as_ref(), &patient, clock::now())
            .is_some(),
        _ => false,
    }
}

/// Every lane but the emergency's and control.
async fn others(
    app: &Arc<App>,
    ask: &Ask,
    class: Class,
    has_token: bool,
    request: Request,
    next: Next,
) -> Response {
    let fhir = request.uri().path().starts_with("/fhir");
    let open_patient = matches!(ask, Ask::Chart(_)) && app.lanes.pressure.level() >= Level::OpenPatient;
    if open_patient {
        app.metrics
            .count("vitrine_shed_total", "lane=\"open-patient\"", 1);
        return busy(fhir, lanes::shed(2, 5));
    }
    let request = match received(
        request,
        has_token || class == Class::SignIn || class == Class::Admin,
    )
    .await
    {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let waits = clock::steady();
    let place = match app.lanes.place(class).await {
        Ok(place) => place,
        Err(shed) => {
            app.metrics.count("vitrine_shed_total", class.label(), 1);
            return busy(fhir, shed);
        }
    };
    app.metrics
        .took("vitrine_lane_wait_seconds", class.label(), Some(waits.elapsed()));
    let done = app.lanes.workers.run(async move {
        let answer = next.run(request).await;
        drop(place);
        answer
    });
    done.await.unwrap_or_else(|_| undone())
}

fn undone() -> Response {
    tracing::error!("a request was not finished");
    let text = "The server failed while it worked on this.";
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, text).into_response()
}

/// A small body is received before the request takes a place, so that slow senders hold none.
async fn received(request: Request, wanted: bool) -> Result<Request, Response> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if !wanted || length.is_none_or(|n| n == 0 || n > SMALL) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = tokio::time::timeout(RECEIVE, axum::body::to_bytes(body, usize::MAX)).await;
    match bytes {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        _ => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::BadRequest,
            "The body did not arrive.",
        )
        .into_response()),
    }
}

fn busy(fhir: bool, shed: Shed) -> Response {
    if fhir {
        FhirRefusal::busy(shed.retry_after_s).into_response()
    } else {
        Refused::busy(shed.retry_after_s).into_response()
    }
}

/// The claim is written down before the request goes on; a flood of them in few rows.
async fn claimed(app: &Arc<App>, session: Option<[u8; 32]>, caller: Option<&Caller>, ask: &Ask) {
    app.metrics.count("vitrine_lane_claims_total", "", 1);
    let mut caller = caller.cloned();
    if let (Some(session), None) = (session, &caller)
        && let Some(_turn) = app.lanes.look_up()
    {
        caller = sessions::caller_of(app, session, false).await.ok().flatten();
    }
    let (key, who) = match caller {
        Some(c) => {
            let actor = match &c.subject {
                Subject::User { user, .. } | Subject::App { user, .. } => Actor::User(user.clone()),
                Subject::Client { id, .. } => Actor::Client(id.clone()),
                _ => Actor::Client("unknown".to_owned()),
            };
            (
                c.session,
                Claimant {
                    actor,
                    device: c.device,
                },
            )
        }
        None => (
            [0; 32],
            Claimant {
                actor: Actor::Client("unknown".to_owned()),
                device: None,
            },
        ),
    };
    if app.lanes.claims.note(key, &who, clock::now().0) {
        lanes::write_claim(app, who, route(ask), 1).await;
    }
}

/// The kind of route, for the audit row: no id, no path as sent.
const fn route(ask: &Ask) -> &'static str {
    match ask {
        Ask::Control => "control",
        Ask::BreakGlass => "break-glass",
        Ask::Card(_) => "card",
        Ask::Chart(_) => "chart",
        Ask::Resource(_) => "resource",
        Ask::Search => "search",
        Ask::Images => "images",
        Ask::Live => "live",
        Ask::Bundle => "bundle",
        Ask::Import => "import",
        Ask::SignIn => "sign-in",
        Ask::Admin => "administration",
        Ask::Write => "write",
        Ask::Other => "other",
    }
}
