//! The few pages by which a person lets a program in: HTML made here, without a script, in no frame.
//!
//! Lives here: escaping, the frame of a page, its headers. Never here: what a page is about (`consent`).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#111;background:#fff}\
h1{font-size:1.4rem}label{display:block;margin:.6rem 0}input[type=text],input[type=password]{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}\
button{font:inherit;padding:.5rem 1.2rem;margin:1rem .6rem 0 0}.wrong{border-left:.3rem solid #b00020;padding-left:.6rem}\
dt{font-weight:600}dd{margin:0 0 .5rem 0}";

/// Text as HTML text or as the value of an attribute in double quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Where a form may lead besides this server: the address a program is called back at, without path and query.
fn origin(redirect: &str) -> String {
    match redirect.split_once("://") {
        Some((scheme, rest)) if scheme == "https" || scheme == "http" => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        _ => format!("{}:", redirect.split(':').next().unwrap_or_default()),
    }
}

/// A page. `body` is HTML; `back`: where its forms may lead.
pub fn page(status: StatusCode, title: &str, head: &str, body: &str, back: Option<&str>) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title>{head}<style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n",
        title = escaped(title),
    );
    let style = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let back = back.map(origin).unwrap_or_default();
    let csp = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self' {back}; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut out = (status, html).into_response();
    let headers = out.headers_mut();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        // With "no-referrer" a browser would not say where a form was sent from.
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(csp) = HeaderValue::from_str(&csp) {
        headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    }
    out
}

/// A page that only says why nothing goes on here.
pub fn refusal(status: StatusCode, text: &str) -> Response {
    let body = format!("<p class=\"wrong\">{}</p>", escaped(text));
    page(status, "This does not go on", "", &body, None)
}

/// Sends the browser on.
pub fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => {
            let mut out = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
            out.headers_mut()
                .insert("referrer-policy", HeaderValue::from_static("no-referrer"));
            out
        }
        Err(_) => refusal(
            StatusCode::BAD_REQUEST,
            "The address of the program cannot be used.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        assert_eq!(
            escaped("<script a=\"b\" c='d'>&\u{0}</script>"),
            "&lt;script a=&quot;b&quot; c=&#39;d&#39;&gt;&amp; &lt;/script&gt;"
        );
        let answer = page(
            StatusCode::OK,
            "<x>",
            "",
            "",
            Some("https://app.example:8443/back?a=b"),
        );
        let csp = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            csp.contains("form-action 'self' https://app.example:8443;"),
            "{csp}"
        );
        assert!(
            csp.contains("default-src 'none'")
                && csp.contains("frame-ancestors 'none'")
                && !csp.contains("unsafe")
        );
        for (redirect, want) in [
            ("com.example.app:/back", "com.example.app:"),
            ("http://127.0.0.1:5000/x", "http://127.0.0.1:5000"),
            ("https://a.example", "https://a.example"),
        ] {
            assert_eq!(origin(redirect), want);
        }
    }
}
