//! `/auth/authorize`: a person lets a program in (SMART App Launch 2.2: standalone launch, EHR launch).
//!
//! Lives here: the routes: the door that a program sends the browser to, signing in, choosing a patient, the answer. Never
//! here: reading the request (`request`), HTML (`consent`), tokens (`token`).
//!
//! The console's cookie is `SameSite=Strict`: a browser that another site sends here does not bring it. So the door looks at
//! no cookie; its page goes on to the next by itself, and that one is asked from here.

use super::consent::{self, Choice, Shown};
use super::page::{page, refusal, see_other};
use super::request::{self, Asked};
use super::{failed, launch};
use crate::app::{App, NoAccess};
use crate::http::auth::sign_in_row;
use crate::http::console::No;
use crate::http::console::door::{cookie, csrf_of, fetched_here, is_own};
use crate::http::console::session::{After, by_code, by_password, proof_gone, set};
use crate::http::fhir::Query;
use crate::http::refusal::NOT_INCLUDED;
use crate::identity::apps::{self, AppGrant, Bound};
use crate::identity::secrets::same;
use crate::identity::sessions::{self, AtConsole};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::{Actor, Kind};
use vitrine_clinical::PatientId;
use vitrine_clinical::card::EmergencyCard;
use vitrine_store::{SearchBy, SearchQuery};

/// `/auth/authorize`.
pub const AUTHORIZE: &str = "/auth/authorize";
/// Where it goes on.
pub const ASK: &str = "/auth/authorize/ask";
/// Signing in.
pub const SIGN_IN: &str = "/auth/authorize/sign-in";
/// The code of a second factor, after the password.
pub const CODE: &str = "/auth/authorize/code";
/// Looking for a patient.
pub const FIND: &str = "/auth/authorize/find";
/// Allowing or refusing.
pub const ANSWER: &str = "/auth/authorize/answer";

/// Patients of a list.
const PATIENTS: usize = 20;
/// Most characters of a name that is looked for.
const NAME_MOST: usize = 100;

fn either(answer: Result<Response, Response>) -> Response {
    match answer {
        Ok(answer) | Err(answer) => answer,
    }
}

fn query(uri: &Uri) -> Query {
    Query::parse(uri.query().unwrap_or_default())
}

/// A program sends the browser here.
pub async fn begin(State(app): State<Arc<App>>, uri: Uri) -> Response {
    either(door(&app, &query(&uri)).await)
}

/// The same with the request in the body (`authorize-post`).
pub async fn begin_posted(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let text = std::str::from_utf8(&body).unwrap_or_default();
    either(door(&app, &Query::parse(text)).await)
}

async fn door(app: &App, query: &Query) -> Result<Response, Response> {
    let asked = request::read(app, query).await?;
    let on = consent::escaped_href(ASK, &asked);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={on}\">");
    let body = format!("<p><a href=\"{on}\">Go on</a></p>");
    Ok(page(
        StatusCode::OK,
        "A program asks to be let in",
        &head,
        &body,
        Some(&asked.redirect),
    ))
}

/// Who sits at the browser, by the console's cookie.
async fn at(app: &App, headers: &HeaderMap) -> Result<Option<(AtConsole, String)>, Response> {
    let Some(token) = cookie(headers) else {
        return Ok(None);
    };
    let at = sessions::at_console(app, &token).await.map_err(failed)?;
    Ok(at.map(|at| (at, csrf_of(&token))))
}

/// It was sent from another page than ours.
struct NotOurs;

impl From<NotOurs> for Response {
    fn from(_: NotOurs) -> Self {
        let text = "The request does not come from this server's own page.";
        refusal(StatusCode::FORBIDDEN, text)
    }
}

/// A form of one of these pages: it was sent from here.
fn own_form(headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Result<Query, NotOurs> {
    if fetched_here(headers).is_err() || !is_own(headers, uri) {
        return Err(NotOurs);
    }
    let form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !form {
        return Err(NotOurs);
    }
    let text = std::str::from_utf8(body).map_err(|_| NotOurs)?;
    Ok(Query::parse(text))
}

/// The same, of somebody who is signed in, with the session's CSRF token.
async fn own_form_of(
    app: &App,
    headers: &HeaderMap,
    uri: &Uri,
    body: &[u8],
) -> Result<(Query, AtConsole, String), Response> {
    let form = own_form(headers, uri, body)?;
    let Some((at, csrf)) = at(app, headers).await? else {
        return Err(refusal(
            StatusCode::UNAUTHORIZED,
            "You are not signed in any more: begin again in the program.",
        ));
    };
    let sent = form.get("csrf").unwrap_or_default();
    if !same(sent.as_bytes(), csrf.as_bytes()) {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "The form is not this session's: begin again in the program.",
        ));
    }
    Ok((form, at, csrf))
}

/// The page that asks: who is to sign in, then what is to be granted.
pub async fn ask(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    either(asking(&app, &uri, &headers).await)
}

async fn asking(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Response, Response> {
    if fetched_here(headers).is_err() {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "Another page asked for this: begin in the program.",
        ));
    }
    let asked = request::read(app, &query(uri)).await?;
    let Some((at, csrf)) = at(app, headers).await? else {
        return Ok(consent::sign_in(app, &asked, None));
    };
    consent_page(app, &asked, &at, &csrf, Choice::default()).await
}

async fn consent_page(
    app: &App,
    asked: &Asked,
    at: &AtConsole,
    csrf: &str,
    mut choice: Choice,
) -> Result<Response, Response> {
    if let Some(text) = &asked.launch {
        let Some(patient) = launch::patient_of(app, text, &at.account).await.map_err(failed)? else {
            let text = "launch is over, was used, or is not this person's";
            return Err(asked.back(&[("error", "invalid_request"), ("error_description", text)]));
        };
        choice.given = Some(patient);
    }
    Ok(consent::ask(&Shown {
        asked,
        account: &at.account,
        csrf,
        choice: &choice,
    }))
}

/// Signs a person in, in the console's manner.
pub async fn sign_in(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    either(signing_in(&app, &uri, &headers, &body).await)
}

async fn signing_in(app: &App, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let form = own_form(headers, uri, body)?;
    let asked = request::read(app, &query(uri)).await?;
    let text = |name: &str| form.get(name).unwrap_or_default();
    match by_password(app, headers, text("user"), text("secret")).await {
        Ok(After::In(token)) => go_on(&asked, &token).map_err(No::into_response),
        Ok(After::Code(cookie)) => {
            let mut next = consent::code(&asked, None);
            next.headers_mut().insert(header::SET_COOKIE, cookie);
            Ok(next)
        }
        Err(no) => {
            let words = no.text().to_owned();
            Ok(again(consent::sign_in(app, &asked, Some(&words)), &no))
        }
    }
}

/// To what is to be granted, with the session's cookie.
fn go_on(asked: &Asked, token: &str) -> Result<Response, No> {
    let mut on = see_other(&format!("{ASK}?{}", asked.query));
    let cookie = set(token, "")?;
    on.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(on)
}

fn again(mut page: Response, no: &No) -> Response {
    *page.status_mut() = no.status();
    page
}

/// Signs a person in by the code of their second factor, after their password.
pub async fn code(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    either(by_second_factor(&app, &uri, &headers, &body).await)
}

async fn by_second_factor(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Response> {
    let form = own_form(headers, uri, body)?;
    let asked = request::read(app, &query(uri)).await?;
    match by_code(app, headers, form.get("code").unwrap_or_default()).await {
        Ok(token) => {
            let mut on = go_on(&asked, &token).map_err(No::into_response)?;
            on.headers_mut().append(header::SET_COOKIE, proof_gone());
            Ok(on)
        }
        // The password is to be given again.
        Err(no) if no.is_not_signed_in() => {
            let words = no.text().to_owned();
            Ok(again(consent::sign_in(app, &asked, Some(&words)), &no))
        }
        Err(no) => Ok(again(consent::code(&asked, Some(no.text())), &no)),
    }
}

/// Looks for a patient by name.
pub async fn find(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    either(finding(&app, &uri, &headers, &body).await)
}

async fn finding(app: &App, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let (form, at, csrf) = own_form_of(app, headers, uri, body).await?;
    let asked = request::read(app, &query(uri)).await?;
    let name: String = form
        .get("name")
        .unwrap_or_default()
        .chars()
        .take(NAME_MOST)
        .collect();
    let mut choice = Choice {
        name: name.clone(),
        ..Choice::default()
    };
    if vitrine_store::search::terms(&name).is_empty() {
        choice.wrong = Some("Give at least one letter or digit of a name or number.".to_owned());
        return consent_page(app, &asked, &at, &csrf, choice).await;
    }
    let request = app
        .request(&at.caller, Some("Patient"), None)
        .await
        .map_err(failed)?;
    let permit = match app.decide::<SearchPatients>(request).await {
        Ok(permit) => permit
            .noted("query", name.as_str())
            .noted("by", "authorize")
            .noted("app", asked.client.id.as_str()),
        Err(NoAccess::Denied(d)) => {
            choice.wrong = Some(d.text.to_owned());
            return consent_page(app, &asked, &at, &csrf, choice).await;
        }
        Err(NoAccess::Store(e)) => return Err(failed(e)),
    };
    let search = SearchQuery {
        text: name,
        by: SearchBy::Words,
        limit: PATIENTS,
    };
    let sealed = app.store.search(&permit, &search).await.map_err(failed)?;
    let found = app.open(&permit, sealed).await.map_err(no_access)?;
    choice.more = found.more;
    choice.found = Some(
        found
            .hits
            .iter()
            .map(|hit| {
                let card: Option<EmergencyCard> = serde_json::from_slice(&hit.card).ok();
                (hit.patient.to_string(), card.and_then(|c| c.identity))
            })
            .collect(),
    );
    consent_page(app, &asked, &at, &csrf, choice).await
}

fn no_access(e: NoAccess) -> Response {
    crate::http::refusal::Refused::from(e).into_response()
}

/// The person allows or refuses.
pub async fn answer(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    either(answering(&app, &uri, &headers, &body).await)
}

async fn answering(app: &App, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let (form, at, csrf) = own_form_of(app, headers, uri, body).await?;
    let asked = request::read(app, &query(uri)).await?;
    let row = |rule: &str, ok: bool, patient: Option<&PatientId>| {
        let actor = Actor::User(at.account.user.clone());
        let mut row = sign_in_row(actor, None, Kind::AuthorizeApp, rule, ok);
        row.patient = patient.cloned();
        row.notes.insert("app".to_owned(), asked.client.id.clone());
        row.notes.insert("scopes".to_owned(), asked.scopes.join(" "));
        row
    };
    if form.get("answer") != Some("allow") {
        app.store
            .append(row("refused-by-person", false, None))
            .await
            .map_err(failed)?;
        let text = "the person did not allow it";
        return Ok(asked.back(&[("error", "access_denied"), ("error_description", text)]));
    }
    let wrong = |text: &str| Choice {
        wrong: Some(text.to_owned()),
        ..Choice::default()
    };
    let patient = match (&asked.launch, asked.of_patient()) {
        (Some(text), _) => match launch::take(app, text, &at.account).await.map_err(failed)? {
            Some(patient) => Some(patient),
            None => {
                let text = "launch is over, was used, or is not this person's";
                return Ok(asked.back(&[("error", "invalid_request"), ("error_description", text)]));
            }
        },
        (None, true) => match form.get("patient").and_then(|p| PatientId::new(p).ok()) {
            Some(patient) => Some(patient),
            None => return consent_page(app, &asked, &at, &csrf, wrong("Choose a patient first.")).await,
        },
        (None, false) => None,
    };
    if let Some(patient) = &patient {
        // Whom the person may not open they cannot hand on; broken glass is theirs alone.
        let mut request = app
            .request(&at.caller, Some("Patient"), Some(patient))
            .await
            .map_err(failed)?;
        request.grant = None;
        match app.decide::<ReadChart>(request).await {
            Ok(_) => {}
            Err(NoAccess::Denied(d)) => {
                // That a record of the own ward is confidential is not told (ADR 44).
                let words = if d.break_glass_offered {
                    NOT_INCLUDED
                } else {
                    d.text
                };
                return consent_page(app, &asked, &at, &csrf, wrong(words)).await;
            }
            Err(e) => return Err(no_access(e)),
        }
    }
    app.store
        .append(row("granted", true, patient.as_ref()))
        .await
        .map_err(failed)?;
    let grant = AppGrant {
        client: asked.client.id.clone(),
        patient,
        scopes: asked.scopes.clone(),
    };
    let bound = Bound {
        redirect: asked.redirect.clone(),
        challenge: asked.challenge.clone(),
    };
    let code = apps::code(app, &at.account, &grant, &bound, at.provider.clone());
    let code = code.await.map_err(failed)?;
    Ok(asked.back(&[("code", &code)]))
}
