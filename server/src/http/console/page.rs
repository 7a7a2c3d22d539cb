//! The console's page: the files that the build put into the program (`build.rs`).
//!
//! Lives here: finding a file by its exact name, its type, how long it may be kept. Never here: anything of the hospital;
//! the page asks the API. Called by the router.

use super::super::refusal::Refused;
use super::No;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use vitrine_wire::ErrorCode;

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// What the page may do: its own scripts, styles, fonts and pictures from its own address, nothing inline, in no frame.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Whether this program was built with its console.
#[must_use]
pub fn built() -> bool {
    FILES.iter().any(|(name, _)| *name == "index.html")
}

/// `/console` is the page's folder.
pub async fn folder() -> Response {
    let to = HeaderValue::from_static("/console/");
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response()
}

/// The page.
pub async fn index() -> Response {
    given(FILES, "index.html")
}

/// One of its files.
pub async fn file(Path(name): Path<String>) -> Response {
    if name == "api" || name.starts_with("api/") {
        return No::new(StatusCode::NOT_FOUND, "not-found", "No such address here.").into_response();
    }
    given(FILES, &name)
}

fn given(files: &[(&str, &'static [u8])], name: &str) -> Response {
    if !files.iter().any(|(n, _)| *n == "index.html") {
        let text =
            "This server was built without its console: use a package, or build ui/dist-console first.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let Some((_, bytes)) = files.iter().find(|(n, _)| *n == name) else {
        let text = "No such address here.";
        return Refused::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text).into_response();
    };
    // A file of the build's own folder has the hash of its content in its name.
    let keep = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let headers = [(header::CONTENT_TYPE, kind(name)), (header::CACHE_CONTROL, keep)];
    (headers, *bytes).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &[(&str, &[u8])] = &[("assets/a-1f.js", b"1"), ("index.html", b"<!doctype html>")];

    fn asked(files: &[(&str, &'static [u8])], name: &str) -> (u16, String, String) {
        let answer = given(files, name);
        let of = |h| {
            answer
                .headers()
                .get(h)
                .map_or("", |v: &HeaderValue| v.to_str().unwrap())
                .to_owned()
        };
        (
            answer.status().as_u16(),
            of(header::CONTENT_TYPE),
            of(header::CACHE_CONTROL),
        )
    }

    #[test]
    fn files_have_their_type_and_what_is_hashed_is_kept() {
        let page = asked(SOME, "index.html");
        assert_eq!(page, (200, "text/html; charset=utf-8".into(), "no-store".into()));
        let script = asked(SOME, "assets/a-1f.js");
        assert_eq!(
            (script.0, script.1.as_str()),
            (200, "text/javascript; charset=utf-8")
        );
        assert!(script.2.ends_with("immutable"));
        for nothing in [
            "assets/../index.html",
            "../index.html",
            "assets",
            "",
            "INDEX.HTML",
        ] {
            assert_eq!(asked(SOME, nothing).0, 404, "{nothing}");
        }
        assert_eq!(asked(&[], "index.html").0, 503, "built without its console");
        assert!(!CSP.contains("unsafe"));
    }
}
