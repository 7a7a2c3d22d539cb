//! The image protocol, `img://localhost/…`: bytes to the viewer without JSON.
//!
//! ```text
//! /<token>/<frame>?above=<layer>   pixels better than the layer shown (-1 = none), as soon as they are here
//! /<token>/thumb/<series uid>      a small picture of a series, PNG
//! ```
//! A token is given by `image_open` or `images` to somebody signed in and dies with the session. Answers are kept by
//! nobody and may be read by the application's own pages alone. Never here: what pixels mean. Called by the web view.

use crate::shell::Shell;
use tauri::http::{Request, Response, StatusCode, header};
use tauri::{Manager, UriSchemeContext, UriSchemeResponder, Wry};
use vitrine_engine::Pixels;

/// Its name.
pub const SCHEME: &str = "img";
/// What the page may read of an answer comes from here.
const OWN: &[&str] = &["tauri://localhost", "http://tauri.localhost"];
/// The page of a build without embedded pages.
const VITE: &str = "http://127.0.0.1:5173";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Frame {
        token: String,
        frame: u32,
        above: Option<u8>,
    },
    Thumbnail {
        token: String,
        series: String,
    },
}

fn read(path: &str, query: Option<&str>) -> Option<Asked> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let token = parts
        .next()
        .filter(|t| t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let (token, second, third) = (token.to_owned(), parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    match (second, third) {
        ("thumb", Some(series)) => {
            let ok = !series.is_empty()
                && series.len() <= 64
                && series.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            ok.then(|| Asked::Thumbnail {
                token,
                series: series.to_owned(),
            })
        }
        (frame, None) => {
            let above = query.and_then(|q| q.split('&').find_map(|p| p.strip_prefix("above=")));
            let above = match above {
                None | Some("-1") => None,
                Some(layer) => Some(layer.parse().ok()?),
            };
            Some(Asked::Frame {
                token,
                frame: frame.parse().ok()?,
                above,
            })
        }
        _ => None,
    }
}

/// Who asks, if it is one of our pages.
fn own(request: &Request<Vec<u8>>) -> Option<&'static str> {
    let origin = request.headers().get(header::ORIGIN)?.to_str().ok()?;
    let dev = tauri::is_dev().then_some(VITE);
    OWN.iter().copied().chain(dev).find(|o| *o == origin)
}

fn answer(origin: Option<&str>, status: StatusCode, kind: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut built = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Some(origin) = origin {
        built = built.header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    built.body(body).unwrap_or_default()
}

const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers a request of the web view.
pub fn handle(context: UriSchemeContext<'_, Wry>, request: Request<Vec<u8>>, responder: UriSchemeResponder) {
    let app = context.app_handle().clone();
    let origin = own(&request);
    let asked = read(request.uri().path(), request.uri().query());
    tauri::async_runtime::spawn(async move {
        let (status, kind, body) = given(&app, asked).await;
        responder.respond(answer(origin, status, kind, body));
    });
}

async fn given(app: &tauri::AppHandle, asked: Option<Asked>) -> (StatusCode, &'static str, Vec<u8>) {
    let gone = (StatusCode::GONE, TEXT, Vec::new());
    let Some(asked) = asked else {
        return (StatusCode::NOT_FOUND, TEXT, Vec::new());
    };
    let Ok(engine) = app.state::<Shell>().engine().await else {
        return gone;
    };
    match asked {
        Asked::Frame { token, frame, above } => match engine.image_pixels(&token, frame, above).await {
            Pixels::Ready(bytes) => (StatusCode::OK, BYTES, bytes),
            Pixels::Nothing => (StatusCode::NO_CONTENT, BYTES, Vec::new()),
            Pixels::Ended => gone,
            Pixels::Undecodable(text) => (StatusCode::UNPROCESSABLE_ENTITY, TEXT, text.into_bytes()),
        },
        Asked::Thumbnail { token, series } => match engine.image_thumbnail(&token, &series).await {
            Some(png) => (StatusCode::OK, "image/png", png),
            None => (StatusCode::NOT_FOUND, TEXT, Vec::new()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_what_is_meant_is_read() {
        let frame = |frame, above| Asked::Frame {
            token: TOKEN.to_owned(),
            frame,
            above,
        };
        for (path, query, asked) in [
            (format!("/{TOKEN}/7"), None, Some(frame(7, None))),
            (format!("/{TOKEN}/7"), Some("above=-1"), Some(frame(7, None))),
            (
                format!("/{TOKEN}/7"),
                Some("x=1&above=2"),
                Some(frame(7, Some(2))),
            ),
            (
                format!("/{TOKEN}/thumb/1.2.3"),
                None,
                Some(Asked::Thumbnail {
                    token: TOKEN.to_owned(),
                    series: "1.2.3".to_owned(),
                }),
            ),
            (format!("/{TOKEN}/7"), Some("above=x"), None),
            (format!("/{TOKEN}/-1"), None, None),
            (format!("/{TOKEN}/7/8"), None, None),
            (format!("/{TOKEN}/thumb/../x"), None, None),
            (format!("/{TOKEN}/thumb/1.2/3"), None, None),
            (format!("/{TOKEN}"), None, None),
            ("/short/7".to_owned(), None, None),
            ("//7".to_owned(), None, None),
            (String::new(), None, None),
        ] {
            assert_eq!(read(&path, query), asked, "{path} {query:?}");
        }
    }

    #[test]
    fn only_our_own_pages_may_read_an_answer() {
        let from = |origin: &str| {
            own(&Request::builder()
                .header("Origin", origin)
                .body(Vec::new())
                .unwrap())
        };
        assert_eq!(from("tauri://localhost"), Some("tauri://localhost"));
        assert_eq!(from("http://tauri.localhost"), Some("http://tauri.localhost"));
        for other in ["https://example.org", "null", "tauri://localhost.example", ""] {
            assert_eq!(from(other), None, "{other}");
        }
        let a = answer(None, StatusCode::OK, BYTES, vec![1]);
        assert!(a.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
        assert_eq!(a.headers()[header::CACHE_CONTROL], "no-store");
    }
}
