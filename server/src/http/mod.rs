//! HTTPS: the router, made from one table of routes, and the limits around them.
//!
//! Lives here: the layers, and what every answer has. Never here: which routes there are ([`routes`]), what a route does (one file each).
//! Called by `cli::serve`.

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
mod own_secret;
pub mod refusal;
mod routes;
pub mod seat;
pub mod tls;

pub use routes::{Door, ROUTES, Route};

use crate::app::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;
use vitrine_wire::ErrorCode;

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
        let told = middleware::map_response(move |mut answer: Response| async move {
            answer.extensions_mut().insert(Limit(limit));
            answer
        });
        let mount = mount.layer(DefaultBodyLimit::max(limit.max(1))).layer(told);
        router = router.route(route.path, mount);
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
    let is_fhir = request.uri().path().starts_with("/fhir");
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) if is_fhir => in_fhir(StatusCode::SERVICE_UNAVAILABLE.into_response()),
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
    let mut answer = if head_of(&request) > HEAD_MOST {
        large_head(is_fhir)
    } else if is_fhir && is_encoded(&request) {
        encoded()
    } else {
        lane::through(&app, request, next).await
    };
    app.metrics.answered(answer.status().as_u16(), began.elapsed());
    beat::hold(&path, answer.status(), began).await;
    if is_fhir && answer.status().as_u16() >= 400 && !is_fhir_json(&answer) {
        answer = in_fhir(answer);
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

/// Most bytes of a body at the address that answered.
#[derive(Clone, Copy)]
struct Limit(usize);

/// Most bytes of address and headers together. The listener's own bound is that of a buffer, which may hold more.
const HEAD_MOST: usize = 64 * 1024;

fn head_of(request: &Request) -> usize {
    let address = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    let headers = request.headers().iter();
    address + headers.map(|(n, v)| n.as_str().len() + v.len()).sum::<usize>()
}

fn large_head(is_fhir: bool) -> Response {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let text = format!("address and headers are larger than the {HEAD_MOST} bytes that are taken");
    if is_fhir {
        refusal::FhirRefusal::new(status, vitrine_fhir::IssueCode::TooLong, "http", text).into_response()
    } else {
        refusal::Refused::new(status, ErrorCode::BadRequest, text).into_response()
    }
}

/// Whether a body is packed: what it unpacks to is bounded by nothing that was sent, so it is not taken.
fn is_encoded(request: &Request) -> bool {
    let mut all = request.headers().get_all(header::CONTENT_ENCODING).iter();
    all.any(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn encoded() -> Response {
    refusal::FhirRefusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        vitrine_fhir::IssueCode::NotSupported,
        "http.Content-Encoding",
        "a packed body is not taken: send it as it is, without Content-Encoding",
    )
    .into_response()
}

/// What was refused under `/fhir` before a route of FHIR's had it (a body too large, an address or a form that is no UTF-8, a body
/// that did not arrive, a request that took too long), said as FHIR says it.
fn in_fhir(answer: Response) -> Response {
    use vitrine_fhir::IssueCode;
    let limit = answer.extensions().get::<Limit>().copied();
    let status = answer.status();
    let (code, text) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => (IssueCode::TooLong, too_large(limit)),
        StatusCode::BAD_REQUEST => (
            IssueCode::Structure,
            "the request cannot be read: its address and a form must be UTF-8, and its body must arrive whole"
                .to_owned(),
        ),
        StatusCode::REQUEST_TIMEOUT => (IssueCode::Transient, "the body did not arrive".to_owned()),
        StatusCode::SERVICE_UNAVAILABLE => (
            IssueCode::Transient,
            "this took longer than a request may take: ask for less at a time, or try again".to_owned(),
        ),
        other => (
            if other.is_server_error() {
                IssueCode::Exception
            } else {
                IssueCode::Processing
            },
            other.canonical_reason().unwrap_or("refused").to_owned(),
        ),
    };
    let mut out = refusal::FhirRefusal::new(status, code, "", text).into_response();
    for name in [lane::X_VITRINE_LANE, header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = answer.headers().get(&name) {
            out.headers_mut().insert(name, value.clone());
        }
    }
    out
}

fn too_large(limit: Option<Limit>) -> String {
    const MIB: usize = 1024 * 1024;
    let Some(Limit(limit)) = limit else {
        return "the body is larger than is taken here: split it".to_owned();
    };
    let most = if limit >= MIB && limit.is_multiple_of(MIB) {
        format!("{} MiB", limit / MIB)
    } else {
        format!("{limit} bytes")
    };
    format!("the body is larger than the {most} that are taken here: split it")
}

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
