//! The two pages a person sees: signing in, and what a program is to be granted.
//!
//! Lives here: their HTML. Everything that came from somewhere else goes through [`escaped`].

use super::authorize::{ANSWER, CODE, FIND, SIGN_IN};
use super::page::{escaped, page};
use super::request::{Asked, LAUNCH, LAUNCH_PATIENT};
use crate::app::App;
use crate::http::console::session::CODE_NEEDED;
use axum::http::StatusCode;
use axum::response::Response;
use std::fmt::Write as _;
use vitrine_clinical::PatientId;
use vitrine_clinical::card::Identity;
use vitrine_store::Account;

/// An address of these pages, with the request, for an attribute.
#[must_use]
pub fn escaped_href(path: &str, asked: &Asked) -> String {
    escaped(&format!("{path}?{}", asked.query))
}

/// How far choosing a patient has come.
#[derive(Default)]
pub struct Choice {
    /// The launch names the patient.
    pub given: Option<PatientId>,
    /// What was looked for.
    pub name: String,
    /// Who was found.
    pub found: Option<Vec<(String, Option<Identity>)>>,
    /// There are more.
    pub more: bool,
    /// Why it did not go on.
    pub wrong: Option<String>,
}

/// What the page that asks is made of.
pub struct Shown<'a> {
    /// The request.
    pub asked: &'a Asked,
    /// Who is to grant it.
    pub account: &'a Account,
    /// Their session's CSRF token.
    pub csrf: &'a str,
    /// The patient.
    pub choice: &'a Choice,
}

fn wrong(text: Option<&str>) -> String {
    text.map(|t| format!("<p class=\"wrong\" role=\"alert\">{}</p>", escaped(t)))
        .unwrap_or_default()
}

/// The page by which a person signs in.
#[must_use]
pub fn sign_in(app: &App, asked: &Asked, why: Option<&str>) -> Response {
    let provider = if app.oidc.is_some() {
        "<p>Who signs in by the hospital's provider does so at <a href=\"/console/\">the console</a>, then loads this page anew.</p>"
    } else {
        ""
    };
    let body = format!(
        "<p>The program <b>{}</b> asks to be let in. Sign in with your own name; the program does not see your password.</p>{}\
         <form method=\"post\" action=\"{}\"><label>Name <input type=\"text\" name=\"user\" autocomplete=\"username\" required autofocus></label>\
         <label>Password <input type=\"password\" name=\"secret\" autocomplete=\"current-password\" required></label>\
         <button>Sign in</button></form>{provider}",
        escaped(&asked.client.id),
        wrong(why),
        escaped_href(SIGN_IN, asked),
    );
    page(StatusCode::OK, "Sign in", "", &body, Some(&asked.redirect))
}

/// The page on which the code of a second factor is typed, on the way of [`sign_in`].
#[must_use]
pub fn code(asked: &Asked, why: Option<&str>) -> Response {
    let body = format!(
        "<p>The program <b>{}</b> asks to be let in. {CODE_NEEDED}</p>{}\
         <form method=\"post\" action=\"{}\"><label>Code <input type=\"text\" name=\"code\" autocomplete=\"one-time-code\" autocapitalize=\"characters\" spellcheck=\"false\" required autofocus></label>\
         <button>Sign in</button></form>",
        escaped(&asked.client.id),
        wrong(why),
        escaped_href(CODE, asked),
    );
    page(StatusCode::OK, "Sign in", "", &body, Some(&asked.redirect))
}

/// A scope in words.
fn words(scope: &str) -> String {
    let Some((context, rest)) = scope.split_once('/').filter(|_| scope != LAUNCH_PATIENT) else {
        return match scope {
            LAUNCH | LAUNCH_PATIENT => "know which patient this is about".to_owned(),
            other => other.to_owned(),
        };
    };
    let (kind, narrowed) = match rest.split_once('?') {
        Some((rest, _)) => (rest, true),
        None => (rest, false),
    };
    let what = match kind.split('.').next().unwrap_or_default() {
        "*" => "everything".to_owned(),
        kind => format!("every {kind}"),
    };
    let whose = if context == "patient" {
        "in the record of this one patient"
    } else {
        "that you may see yourself"
    };
    let label = if narrowed {
        ", what is confidential too"
    } else {
        ""
    };
    format!("read {what} {whose}{label}")
}

fn named(id: &str, identity: Option<&Identity>) -> String {
    let Some(i) = identity else {
        return id.to_owned();
    };
    let mut name = i.family.clone().unwrap_or_default();
    if !i.given.is_empty() {
        let _ = write!(name, ", {}", i.given.join(" "));
    }
    if name.is_empty() {
        name = i
            .name_text
            .clone()
            .unwrap_or_else(|| "no name recorded".to_owned());
    }
    let born = i.birth_date.as_deref().unwrap_or("birth date not recorded");
    let number = i.mrn.as_deref().unwrap_or("no number recorded");
    format!("{name} · {born} · {number}")
}

fn patient(s: &Shown<'_>) -> (String, String) {
    if let Some(given) = &s.choice.given {
        return (
            String::new(),
            format!(
                "<p>It is about the patient whom you have open (<b>{}</b>).</p>",
                escaped(given.as_str())
            ),
        );
    }
    let search = format!(
        "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"csrf\" value=\"{}\">\
         <label>Find the patient by name or number <input type=\"text\" name=\"name\" value=\"{}\" autocomplete=\"off\" required></label>\
         <button>Find</button></form>",
        escaped_href(FIND, s.asked),
        escaped(s.csrf),
        escaped(&s.choice.name),
    );
    let mut list = String::new();
    match &s.choice.found {
        None => {}
        Some(found) if found.is_empty() => list.push_str("<p>Nobody is found by that.</p>"),
        Some(found) => {
            for (id, identity) in found {
                let _ = write!(
                    list,
                    "<label><input type=\"radio\" name=\"patient\" value=\"{}\" required> {}</label>",
                    escaped(id),
                    escaped(&named(id, identity.as_ref())),
                );
            }
            if s.choice.more {
                list.push_str("<p>There are more: add a word of the name.</p>");
            }
        }
    }
    (search, list)
}

/// The page on which a person allows or refuses.
#[must_use]
pub fn ask(s: &Shown<'_>) -> Response {
    let mut scopes = String::new();
    for scope in &s.asked.scopes {
        let _ = write!(
            scopes,
            "<li>{} <code>{}</code></li>",
            escaped(&words(scope)),
            escaped(scope)
        );
    }
    let (search, list) = if s.asked.of_patient() {
        patient(s)
    } else {
        Default::default()
    };
    let host = s.asked.redirect.split(['?', '#']).next().unwrap_or_default();
    let body = format!(
        "<p>You are <b>{}</b>. The program <b>{}</b> asks to</p><ul>{scopes}</ul>\
         <p>It never sees more than you may see yourself, and writes nothing. You are sent on to <code>{}</code>.</p>{}{search}\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"csrf\" value=\"{}\">{list}\
         <button name=\"answer\" value=\"allow\">Allow</button><button name=\"answer\" value=\"refuse\" formnovalidate>Refuse</button></form>",
        escaped(&s.account.display),
        escaped(&s.asked.client.id),
        escaped(host),
        wrong(s.choice.wrong.as_deref()),
        escaped_href(ANSWER, s.asked),
        escaped(s.csrf),
    );
    page(
        StatusCode::OK,
        "Let a program in",
        "",
        &body,
        Some(&s.asked.redirect),
    )
}
