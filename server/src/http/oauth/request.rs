//! An authorization request (RFC 6749 §4.1.1, RFC 7636, SMART App Launch 2.2): what a program asks a person for.
//!
//! Lives here: reading it, checking it, and where an error is told. Never here: pages (`consent`), tokens. The request goes
//! from page to page as it came, and is checked anew each time: nothing is kept of it.

use super::failed;
use super::page::{refusal, see_other};
use crate::app::App;
use crate::http::fhir::Query;
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::BTreeSet;
use vitrine_access::scopes;
use vitrine_store::ClientRow;
use vitrine_wire::http::form_encoded;

/// The parameters that count; whatever else comes with a request is passed over.
const NAMES: [&str; 9] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "aud",
    "code_challenge",
    "code_challenge_method",
    "launch",
];
/// The longest value, bytes.
const MOST: usize = 2048;
/// The scope that has a patient chosen.
pub const LAUNCH_PATIENT: &str = "launch/patient";
/// The scope of a program that was launched from within.
pub const LAUNCH: &str = "launch";

/// What a program asks for, checked.
pub struct Asked {
    /// Which program.
    pub client: ClientRow,
    /// Where the person is sent back to.
    pub redirect: String,
    /// Comes back with the code.
    pub state: String,
    /// PKCE, S256.
    pub challenge: String,
    /// What can be granted of what was asked for.
    pub scopes: Vec<String>,
    /// The launch context it was started with.
    pub launch: Option<String>,
    /// The same once more, as a query.
    pub query: String,
}

impl Asked {
    /// Whether the grant is about one patient.
    #[must_use]
    pub fn of_patient(&self) -> bool {
        let one = |s: &String| s == LAUNCH_PATIENT || s == LAUNCH || s.starts_with("patient/");
        self.scopes.iter().any(one)
    }

    /// Sends the person back with these.
    #[must_use]
    pub fn back(&self, with: &[(&str, &str)]) -> Response {
        back(&self.redirect, &self.state, with)
    }
}

fn back(redirect: &str, state: &str, with: &[(&str, &str)]) -> Response {
    let mut to = redirect.to_owned();
    to.push(if redirect.contains('?') { '&' } else { '?' });
    for (name, value) in with {
        to.push_str(&format!("{name}={}&", form_encoded(value)));
    }
    to.push_str(&format!("state={}", form_encoded(state)));
    see_other(&to)
}

/// Reads a request. Where it cannot be told whose it is, nobody is sent anywhere.
///
/// # Errors
/// The answer: a page, or the way back with an error of RFC 6749 §4.1.2.1.
#[expect(
    clippy::result_large_err,
    reason = "the error is the answer, made once for a request"
)]
pub async fn read(app: &App, query: &Query) -> Result<Asked, Response> {
    let stop = |text: &str| Err(refusal(StatusCode::BAD_REQUEST, text));
    let root = app.config.listen.public_url.trim_end_matches('/');
    if root.is_empty() {
        return stop("This server does not know its own address: clinical IT sets listen.public_url.");
    }
    let ours = |q: &&(String, String)| NAMES.contains(&q.0.as_str());
    let mut seen = BTreeSet::new();
    if !query
        .0
        .iter()
        .filter(ours)
        .all(|(n, v)| v.len() <= MOST && seen.insert(n.as_str()))
    {
        return stop(
            "The request of the program is not well formed: a parameter stands twice, or is too long.",
        );
    }
    let text = |name: &str| query.get(name).filter(|v| !v.is_empty());
    let id = text("client_id").filter(|id| id.len() <= 64);
    let client = match id {
        Some(id) => app.store.client(id).await.map_err(failed)?,
        None => None,
    };
    let Some(client) = client else {
        return stop("This program is not registered here.");
    };
    let redirect = text("redirect_uri").filter(|r| client.redirects.iter().any(|known| known == r));
    let Some(redirect) = redirect.map(str::to_owned) else {
        return stop("The program asks to be called back at an address that it is not registered with.");
    };
    let state = text("state").unwrap_or_default().to_owned();
    let error = |error: &str, text: &str| {
        let with = [("error", error), ("error_description", text)];
        Err(back(&redirect, &state, &with))
    };
    if state.is_empty() {
        return error("invalid_request", "state is required");
    }
    if text("response_type") != Some("code") {
        return error("unsupported_response_type", "response_type must be code");
    }
    if text("code_challenge_method") != Some("S256") {
        return error("invalid_request", "code_challenge_method must be S256");
    }
    let challenge = text("code_challenge").filter(|c| {
        c.len() == 43
            && c.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    let Some(challenge) = challenge.map(str::to_owned) else {
        return error("invalid_request", "code_challenge must be base64url of SHA-256");
    };
    let fhir = format!("{root}/fhir");
    if text("aud") != Some(&fhir) {
        return error("invalid_request", &format!("aud must be {fhir}"));
    }
    let scopes = grantable(text("scope").unwrap_or_default(), &client.scopes);
    if !scopes.iter().any(|s| s.contains('/') && s != LAUNCH_PATIENT) {
        return error("invalid_scope", "nothing of scope can be granted to this program");
    }
    let launch = text("launch").map(str::to_owned);
    if launch.is_some() != scopes.iter().any(|s| s == LAUNCH) {
        return error("invalid_scope", "launch and the scope launch belong together");
    }
    let pairs = NAMES
        .iter()
        .filter_map(|n| Some(format!("{n}={}", form_encoded(query.get(n)?))));
    let query = pairs.collect::<Vec<_>>().join("&");
    Ok(Asked {
        client,
        redirect,
        state,
        challenge,
        scopes,
        launch,
        query,
    })
}

/// What of `asked` the program may be granted: each once, in its order. What this server does not offer is left out, as the
/// answer then says.
fn grantable(asked: &str, registered: &[String]) -> Vec<String> {
    let may = |s: &str| match s {
        LAUNCH | LAUNCH_PATIENT => registered.iter().any(|r| r == s),
        s if s.starts_with("patient/") || s.starts_with("user/") => {
            registered.iter().any(|r| scopes::within(s, r))
        }
        _ => false,
    };
    let mut out: Vec<String> = Vec::new();
    for s in asked.split_whitespace().filter(|s| may(s)) {
        if !out.iter().any(|o| o == s) {
            out.push(s.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_that_is_not_registered_or_not_offered() {
        let registered: Vec<String> = ["patient/*.rs", "launch/patient", "user/Observation.rs"]
            .map(str::to_owned)
            .to_vec();
        for (asked, granted) in [
            ("launch/patient patient/*.rs", "launch/patient patient/*.rs"),
            (
                "patient/Observation.rs patient/Observation.rs",
                "patient/Observation.rs",
            ),
            ("patient/*.read", "patient/*.read"),
            ("patient/*.cruds", ""),
            ("patient/Observation.dus patient/Observation.sr", ""),
            ("user/*.rs", ""),
            ("user/Observation.r", "user/Observation.r"),
            ("system/*.rs", ""),
            ("openid fhirUser offline_access profile", ""),
            ("launch", ""),
            ("patient/*.rs?_security=V", ""),
            ("patient/Observation.rs?category=laboratory", ""),
            ("", ""),
        ] {
            assert_eq!(grantable(asked, &registered).join(" "), granted, "{asked}");
        }
    }
}
