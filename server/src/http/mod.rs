//! HTTPS: one table of routes, and the limits around them.
//!
//! Lives here: [`ROUTES`] (the router, the CapabilityStatement and the authorisation tests are all made from it), the
//! layers. Never here: what a route does (one file each). Called by `cli::serve`.

pub mod auth;
pub mod bearer;
mod beat;
pub mod break_glass;
pub mod console;
pub mod dicomweb;
pub mod emergency;
pub mod enrol;
pub mod fhir;
pub mod health;
pub mod import;
pub mod lane;
pub mod oauth;
pub mod oidc;
pub mod refusal;
pub mod seat;
pub mod tls;

use crate::app::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post, put};
use std::sync::Arc;
use std::time::Duration;
use vitrine_wire::ErrorCode;

/// Who may come through a route before the policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Anybody: nothing of a patient, nothing of the staff.
    Public,
    /// Whoever proves a secret in the request itself.
    Secret,
    /// A bearer token; the policy decides.
    Bearer,
    /// An enrolled workstation, proven on the connection.
    Device,
    /// Somebody signed in at the console, with the checks of [`console::door`]; the policy decides.
    Console,
}

/// One route.
pub struct Route {
    /// Method.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Who may come through.
    pub door: Door,
    /// FHIR interaction or operation code, for the CapabilityStatement.
    pub interaction: Option<&'static str>,
    /// Largest body in bytes; `None` = the configured FHIR limit.
    body: Option<usize>,
    mount: fn() -> MethodRouter<Arc<App>>,
}

/// Every route of the HTTPS listener.
pub const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/healthz",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(health::live),
    },
    Route {
        method: "GET",
        path: "/readyz",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(health::ready),
    },
    Route {
        method: "GET",
        path: "/fhir/metadata",
        door: Door::Public,
        interaction: Some("capabilities"),
        body: Some(0),
        mount: || get(fhir::metadata::capabilities),
    },
    Route {
        method: "POST",
        path: "/fhir",
        door: Door::Bearer,
        interaction: Some("transaction,batch"),
        body: None,
        mount: || post(fhir::bundle::submit),
    },
    Route {
        method: "POST",
        path: "/fhir/",
        door: Door::Bearer,
        interaction: None,
        body: None,
        mount: || post(fhir::bundle::submit),
    },
    Route {
        method: "POST",
        path: "/fhir/{kind}",
        door: Door::Bearer,
        interaction: Some("create"),
        body: None,
        mount: || post(fhir::write::create),
    },
    Route {
        method: "GET",
        path: "/fhir/{kind}",
        door: Door::Bearer,
        interaction: Some("search-type"),
        body: Some(0),
        mount: || get(fhir::search::search),
    },
    Route {
        method: "POST",
        path: "/fhir/{kind}/_search",
        door: Door::Bearer,
        interaction: None,
        body: Some(8192),
        mount: || post(fhir::search::posted),
    },
    Route {
        method: "GET",
        path: "/fhir/{kind}/{id}",
        door: Door::Bearer,
        interaction: Some("read"),
        body: Some(0),
        mount: || get(fhir::read::read),
    },
    Route {
        method: "PUT",
        path: "/fhir/{kind}/{id}",
        door: Door::Bearer,
        interaction: Some("update"),
        body: None,
        mount: || put(fhir::write::update),
    },
    Route {
        method: "GET",
        path: "/fhir/{kind}/{id}/_history/{vid}",
        door: Door::Bearer,
        interaction: Some("vread"),
        body: Some(0),
        mount: || get(fhir::read::vread),
    },
    Route {
        method: "GET",
        path: "/fhir/{kind}/{id}/$everything",
        door: Door::Bearer,
        interaction: Some("$everything"),
        body: Some(0),
        mount: || get(fhir::everything::everything),
    },
    Route {
        method: "POST",
        path: oauth::TOKEN,
        door: Door::Secret,
        interaction: None,
        body: Some(32768),
        mount: || post(oauth::token::token),
    },
    Route {
        method: "POST",
        path: oauth::discovery::INTROSPECT,
        door: Door::Secret,
        interaction: None,
        body: Some(32768),
        mount: || post(oauth::introspect::introspect),
    },
    Route {
        method: "POST",
        path: oauth::discovery::REVOKE,
        door: Door::Secret,
        interaction: None,
        body: Some(32768),
        mount: || post(oauth::revoke::revoke),
    },
    Route {
        method: "GET",
        path: oauth::authorize::AUTHORIZE,
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(oauth::authorize::begin),
    },
    Route {
        method: "POST",
        path: oauth::authorize::AUTHORIZE,
        door: Door::Public,
        interaction: None,
        body: Some(32768),
        mount: || post(oauth::authorize::begin_posted),
    },
    Route {
        method: "GET",
        path: oauth::authorize::ASK,
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(oauth::authorize::ask),
    },
    Route {
        method: "POST",
        path: oauth::authorize::SIGN_IN,
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(oauth::authorize::sign_in),
    },
    Route {
        method: "POST",
        path: oauth::authorize::CODE,
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(oauth::authorize::code),
    },
    Route {
        method: "POST",
        path: oauth::authorize::FIND,
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(oauth::authorize::find),
    },
    Route {
        method: "POST",
        path: oauth::authorize::ANSWER,
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(oauth::authorize::answer),
    },
    Route {
        method: "POST",
        path: oauth::launch::LAUNCH,
        door: Door::Bearer,
        interaction: None,
        body: Some(8192),
        mount: || post(oauth::launch::launch),
    },
    Route {
        method: "GET",
        path: "/.well-known/smart-configuration",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(oauth::discovery::configuration),
    },
    Route {
        method: "GET",
        path: "/fhir/.well-known/smart-configuration",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(oauth::discovery::configuration),
    },
    Route {
        method: "POST",
        path: "/auth/login",
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(auth::login),
    },
    Route {
        method: "POST",
        path: "/auth/way",
        door: Door::Secret,
        interaction: None,
        body: Some(2048),
        mount: || post(auth::way),
    },
    Route {
        method: "POST",
        path: "/auth/logout",
        door: Door::Bearer,
        interaction: None,
        body: Some(8192),
        mount: || post(auth::logout),
    },
    Route {
        method: "GET",
        path: "/auth/oidc",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(oidc::offer),
    },
    Route {
        method: "POST",
        path: "/auth/oidc",
        door: Door::Secret,
        interaction: None,
        body: Some(16384),
        mount: || post(oidc::sign_in),
    },
    Route {
        method: "POST",
        path: "/auth/oidc/backchannel-logout",
        door: Door::Secret,
        interaction: None,
        body: Some(32768),
        mount: || post(oidc::logged_out),
    },
    Route {
        method: "POST",
        path: "/auth/break-glass",
        door: Door::Bearer,
        interaction: None,
        body: Some(8192),
        mount: || post(break_glass::break_glass),
    },
    Route {
        method: "GET",
        path: "/emergency/{patient}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(emergency::card),
    },
    Route {
        method: "POST",
        path: "/enrol/hello",
        door: Door::Public,
        interaction: None,
        body: Some(8192),
        mount: || post(enrol::hello),
    },
    Route {
        method: "POST",
        path: "/enrol",
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(enrol::enrol),
    },
    Route {
        method: "POST",
        path: "/import",
        door: Door::Bearer,
        interaction: None,
        body: None,
        mount: || post(import::import),
    },
    Route {
        method: "POST",
        path: "/dicomweb/studies",
        door: Door::Bearer,
        interaction: None,
        body: None,
        mount: || post(dicomweb::stow::store),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::qido::studies),
    },
    Route {
        method: "POST",
        path: "/dicomweb/studies/{study}",
        door: Door::Bearer,
        interaction: None,
        body: None,
        mount: || post(dicomweb::stow::store_in),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::study),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/metadata",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::study_metadata),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::qido::series),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/instances",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::qido::instances_of_study),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::series),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/metadata",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::series_metadata),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::qido::instances),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::instance),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::wado::instance_metadata),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{*path}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::bulkdata::bulkdata),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/thumbnail",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::study_thumbnail),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/thumbnail",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::series_thumbnail),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::frames::frames),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::instance),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::instance_thumbnail),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::frame),
    },
    Route {
        method: "GET",
        path: "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(dicomweb::rendered::frame_thumbnail),
    },
    Route {
        method: "GET",
        path: "/ws/sync",
        door: Door::Device,
        interaction: None,
        body: Some(0),
        mount: || get(crate::ws::upgrade),
    },
    Route {
        method: "GET",
        path: "/ws/images",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(crate::ws::images::upgrade),
    },
    Route {
        method: "POST",
        path: "/live/vitals",
        door: Door::Bearer,
        interaction: None,
        body: Some(1024 * 1024),
        mount: || post(crate::live::take::vitals),
    },
    Route {
        method: "GET",
        path: "/ws/live",
        door: Door::Bearer,
        interaction: None,
        body: Some(0),
        mount: || get(crate::ws::live::upgrade),
    },
    Route {
        method: "GET",
        path: vitrine_wire::images::AHEAD,
        door: Door::Device,
        interaction: None,
        body: Some(0),
        mount: || get(crate::ws::ahead::upgrade),
    },
    Route {
        method: "GET",
        path: "/console",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(console::page::folder),
    },
    Route {
        method: "GET",
        path: "/console/",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(console::page::index),
    },
    Route {
        method: "GET",
        path: "/console/{*file}",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(console::page::file),
    },
    Route {
        method: "GET",
        path: "/console/api/ways",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(console::oidc::ways),
    },
    Route {
        method: "GET",
        path: "/console/api/oidc/start",
        door: Door::Public,
        interaction: None,
        body: Some(0),
        mount: || get(console::oidc::start),
    },
    Route {
        method: "GET",
        path: "/console/oidc/callback",
        door: Door::Secret,
        interaction: None,
        body: Some(0),
        mount: || get(console::oidc::back),
    },
    Route {
        method: "POST",
        path: "/console/api/sign-in",
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(console::session::sign_in),
    },
    Route {
        method: "POST",
        path: "/console/api/sign-in/code",
        door: Door::Secret,
        interaction: None,
        body: Some(8192),
        mount: || post(console::session::code),
    },
    Route {
        method: "POST",
        path: "/console/api/totp",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::totp::enrol),
    },
    Route {
        method: "POST",
        path: "/console/api/totp/confirm",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::totp::confirm),
    },
    Route {
        method: "POST",
        path: "/console/api/sign-out",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::session::sign_out),
    },
    Route {
        method: "GET",
        path: "/console/api/session",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::session::session),
    },
    Route {
        method: "GET",
        path: "/console/api/reviews",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::reviews::list),
    },
    Route {
        method: "GET",
        path: "/console/api/reviews/{id}",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::reviews::show),
    },
    Route {
        method: "POST",
        path: "/console/api/reviews/{id}",
        door: Door::Console,
        interaction: None,
        body: Some(16384),
        mount: || post(console::reviews::decide),
    },
    Route {
        method: "GET",
        path: "/console/api/review-stats",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::reviews::stats),
    },
    Route {
        method: "GET",
        path: "/console/api/audit",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::audit::list),
    },
    Route {
        method: "GET",
        path: "/console/api/chains",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::chains::list),
    },
    Route {
        method: "POST",
        path: "/console/api/chains",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::chains::check),
    },
    Route {
        method: "GET",
        path: "/console/api/devices",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::devices::list),
    },
    Route {
        method: "POST",
        path: "/console/api/devices/{id}/revoke",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::devices::revoke),
    },
    Route {
        method: "GET",
        path: "/console/api/people",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::people::list),
    },
    Route {
        method: "GET",
        path: "/console/api/policy",
        door: Door::Console,
        interaction: None,
        body: Some(0),
        mount: || get(console::policy::table),
    },
    Route {
        method: "POST",
        path: "/console/api/policy/why",
        door: Door::Console,
        interaction: None,
        body: Some(8192),
        mount: || post(console::policy::why),
    },
];

/// The router, made from [`ROUTES`].
pub fn router(app: Arc<App>) -> Router {
    let largest = app.config.limits.body_mib * 1024 * 1024;
    let mut router = Router::new();
    for route in ROUTES {
        let limit = route.body.unwrap_or(largest);
        let mut mount = (route.mount)();
        if route.door == Door::Console {
            mount = mount.route_layer(middleware::from_fn_with_state(
                app.clone(),
                console::door::through,
            ));
        }
        router = router.route(route.path, mount.layer(DefaultBodyLimit::max(limit.max(1))));
    }
    let seconds = Duration::from_secs(app.config.limits.request_seconds);
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .layer(tower_http::timeout::RequestBodyTimeoutLayer::new(
            Duration::from_secs(30),
        ))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            in_time(seconds, request, next)
        }))
        .with_state(app)
}

/// A request may take so long until its answer begins. Storing images is bounded by the silence of who sends them instead:
/// a study of gigabytes takes minutes.
async fn in_time(longest: Duration, request: Request, next: Next) -> Response {
    if request.method() == axum::http::Method::POST && request.uri().path().starts_with("/dicomweb/") {
        return next.run(request).await;
    }
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Every request: its lane, the headers that every answer has, counting.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_fhir = path.starts_with("/fhir");
    let console = Some(&path).filter(|p| console::is_here(p)).cloned();
    let version = request.version();
    let id = request.headers().get(&X_REQUEST_ID).cloned();
    let began = crate::clock::steady();
    let mut answer = lane::through(&app, request, next).await;
    app.metrics.answered(answer.status().as_u16(), began.elapsed());
    beat::hold(&path, answer.status(), began).await;
    if is_fhir && answer.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_fhir_json(&answer) {
        answer = refusal::FhirRefusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            vitrine_fhir::IssueCode::TooLong,
            "",
            format!(
                "the body is larger than the {} MiB this server takes: split it",
                app.config.limits.body_mib
            ),
        )
        .into_response();
    }
    let mut kept = None;
    if let Some(path) = console {
        answer = console::dressed(&path, answer);
        kept = answer.headers_mut().remove(header::CACHE_CONTROL);
    }
    let headers = answer.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, kept.unwrap_or(no_store));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(id) = id.filter(|id| id.len() <= 64) {
        headers.insert(X_REQUEST_ID, id);
    }
    if app.store.mode() == vitrine_store::StoreMode::ReadOnly {
        headers.insert(X_VITRINE_MODE, HeaderValue::from_static("read-only"));
    }
    // A server that drains sends its clients to another one with the answer; HTTP/2 has no such header (`tls` ends it).
    if version < axum::http::Version::HTTP_2 && *app.draining.borrow() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Says that there is no primary just now: what is read may be a moment old, and writes wait.
const X_VITRINE_MODE: HeaderName = HeaderName::from_static("x-vitrine-mode");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn is_fhir_json(answer: &Response) -> bool {
    answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/fhir+json"))
}

async fn no_route(request: Request) -> Response {
    if request.uri().path().starts_with("/fhir") {
        return refusal::FhirRefusal::new(
            StatusCode::NOT_FOUND,
            vitrine_fhir::IssueCode::NotSupported,
            "",
            "no such interaction here: GET /fhir/metadata lists what there is",
        )
        .into_response();
    }
    refusal::Refused::new(
        StatusCode::NOT_FOUND,
        ErrorCode::NotFound,
        "No such address here.",
    )
    .into_response()
}

async fn no_method(request: Request) -> Response {
    if request.uri().path().starts_with("/fhir") {
        return refusal::FhirRefusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            vitrine_fhir::IssueCode::NotSupported,
            "",
            "this interaction is not supported: GET /fhir/metadata lists what is",
        )
        .into_response();
    }
    refusal::Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::BadRequest,
        "This method is not supported here.",
    )
    .into_response()
}
