//! Signing in by the hospital's identity provider: the half that runs at the workstation (RFC 8252).
//!
//! Lives here: state, nonce and PKCE verifier, the one listener on the loopback address, what the browser is shown, what
//! becomes of the server's word. Never here: tokens (the server proves them), opening a browser (whoever calls does that).
//! Called by the facade. Without the server nobody signs in this way: the PIN and the own key stay as they are.

use super::Person;
use super::own_keys::{Heard, dir_user, make_slot};
use super::rows::{self, How, Proved};
use super::sign_in::{LetIn, begin, count_try, right, wrong};
use crate::link;
use crate::station::Station;
use crate::{EngineError, entropy};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use vitrine_access::ways::{Because, Way};
use vitrine_clinical::{UserId, say};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::OidcOffer;
use vitrine_wire::view::SessionView;
use zeroize::Zeroizing;

/// The person has so long at the provider.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// A request of the browser takes at most so long.
const REQUEST: Duration = Duration::from_secs(5);
/// The longest request read, bytes.
const REQUEST_MOST: usize = 16 * 1024;
/// Requests that are not the answer, before nobody listens any more.
const OTHERS_MOST: u32 = 50;
/// Where the browser comes back.
const BACK: &str = "/callback";

/// A sign-in that was begun.
struct Begun {
    state: String,
    nonce: String,
    verifier: Zeroizing<String>,
}

impl Begun {
    fn new() -> Result<Self, EngineError> {
        let secret = || entropy::bytes::<32>().map(|b| URL_SAFE_NO_PAD.encode(b));
        Ok(Self {
            state: secret()?,
            nonce: secret()?,
            verifier: Zeroizing::new(secret()?),
        })
    }

    fn address(&self, offer: &OidcOffer, redirect_uri: &str) -> Result<String, EngineError> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        offer
            .address(redirect_uri, &self.state, &self.nonce, &challenge)
            .ok_or_else(|| {
                EngineError::Protocol(say!(
                    "the identity provider's address is none that a browser may be sent to",
                    "die Adresse des Identitätsanbieters ist keine, zu der ein Browser geschickt werden darf"
                ))
            })
    }
}

/// What came back by the browser.
#[derive(Debug, PartialEq, Eq)]
enum Back {
    Code(String),
    /// The provider says no: its error code.
    No(String),
    /// Not the answer to this sign-in.
    Other,
}

/// Signs a person in by the provider: `show` is given the address for the browser, once. With `pin`, the PIN of the staff
/// list, the person's own key is opened or made here, as after a sign-in by PIN; without it this session keeps no records of
/// its own on this workstation.
pub(crate) async fn sign_in_by_provider(
    station: &Arc<Station>,
    show: impl FnOnce(&str) -> Result<(), EngineError> + Send,
    pin: Option<Zeroizing<String>>,
) -> Result<SessionView, EngineError> {
    // One at a time: whoever began before is not who sits here now.
    station.browsing.send_modify(|n| *n += 1);
    let mut other = station.browsing.subscribe();
    let offer = anew(link::provider(station).await?);
    let begun = Begun::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(EngineError::io("listening for the browser"))?;
    let port = listener
        .local_addr()
        .map_err(EngineError::io("listening for the browser"))?
        .port();
    let redirect_uri = format!("http://127.0.0.1:{port}{BACK}");
    show(&begun.address(&offer, &redirect_uri)?)?;
    let back = async {
        tokio::select! {
            code = answered(&listener, port, &begun.state) => code,
            _ = other.changed() => Err(no(say!(
                "The sign-in in the browser was ended here.",
                "Die Anmeldung im Browser wurde hier beendet."
            ))),
        }
    };
    let code = tokio::time::timeout(PATIENCE, back).await.map_err(|_| {
        no(say!(
            "Nobody came back from the identity provider within five minutes: begin again.",
            "Innerhalb von fünf Minuten kam niemand vom Identitätsanbieter zurück: neu beginnen."
        ))
    })??;
    drop(listener);
    let given = link::Redeemed {
        code: &code,
        verifier: &begun.verifier,
        redirect_uri: &redirect_uri,
        nonce: &begun.nonce,
    };
    let answer = link::login_by_provider(station, given).await?;
    if other.has_changed().unwrap_or(true) {
        return Err(no(say!(
            "Somebody else has signed in here meanwhile.",
            "Inzwischen hat sich hier jemand anderes angemeldet."
        )));
    }
    let user = UserId::new(answer.user.as_str()).map_err(|e| EngineError::Protocol(e.to_string()))?;
    let login = answer.login;
    let person = Person::new(user.as_str(), &login.display, &login.role, &login.wards)?;
    let records = match pin {
        Some(pin) => own_key(station, &user, pin).await?,
        None => None,
    };
    let how = How {
        way: Way::Provider,
        because: Because::Provider,
        badge: None,
    };
    rows::signed_in(station, &user, Proved::Provider, &how)?;
    Ok(begin(station, person, records, LetIn::Server(&login)))
}

/// A workstation is shared: whoever sat here before may still be signed in at the provider, whatever the server asks for. So the
/// provider is always asked for a new sign-in.
fn anew(mut offer: OidcOffer) -> OidcOffer {
    offer.max_age_s.get_or_insert(0);
    offer
}

/// The person's own key, by the PIN of the staff list; tries are counted as at any sign-in.
async fn own_key(
    station: &Arc<Station>,
    user: &UserId,
    pin: Zeroizing<String>,
) -> Result<Option<Arc<vitrine_store_sqlcipher::workstation::Records>>, EngineError> {
    let counted = count_try(station, user.as_str())?;
    let made = {
        let (station, user) = (Arc::clone(station), user.clone());
        tokio::task::spawn_blocking(move || {
            let heard = Heard::of(dir_user(&station, user.as_str())?.as_ref(), &pin);
            if !heard.pin {
                return Ok(None);
            }
            make_slot(&station, user.as_str(), &pin, &heard).map(Some)
        })
        .await
        .map_err(|_| EngineError::Internal("making the user's key"))??
    };
    match made {
        Some(records) => {
            right(station, user.as_str());
            Ok(records)
        }
        None => Err(wrong(station, user, counted)),
    }
}

fn no(text: String) -> EngineError {
    EngineError::Refused {
        code: ErrorCode::Denied,
        text,
        retry_after_s: None,
    }
}

/// Waits for the browser to come back with this state; everything else is answered and waited past.
async fn answered(listener: &TcpListener, port: u16, state: &str) -> Result<String, EngineError> {
    for _ in 0..OTHERS_MOST {
        let (mut socket, _) = listener
            .accept()
            .await
            .map_err(EngineError::io("listening for the browser"))?;
        let back = tokio::time::timeout(REQUEST, heard(&mut socket, port, state)).await;
        let back = back.ok().flatten().unwrap_or(Back::Other);
        let (status, text) = match &back {
            Back::Code(_) => (
                "200 OK",
                say!(
                    "You can close this page and go back to Vitrine.",
                    "Sie können diese Seite schließen und zu Vitrine zurückkehren."
                ),
            ),
            Back::No(_) => (
                "200 OK",
                say!(
                    "The identity provider did not sign you in. Go back to Vitrine.",
                    "Der Identitätsanbieter hat Sie nicht angemeldet. Kehren Sie zu Vitrine zurück."
                ),
            ),
            Back::Other => (
                "400 Bad Request",
                say!(
                    "This is not the sign-in that Vitrine waits for.",
                    "Das ist nicht die Anmeldung, auf die Vitrine wartet."
                ),
            ),
        };
        let _ = tokio::time::timeout(REQUEST, say_to(&mut socket, status, &text)).await;
        match back {
            Back::Code(code) => return Ok(code),
            Back::No(error) => {
                return Err(no(say!(
                    "The identity provider did not sign you in ({error}).",
                    "Der Identitätsanbieter hat Sie nicht angemeldet ({error})."
                )));
            }
            Back::Other => {}
        }
    }
    Err(no(say!(
        "Something else on this machine keeps answering in the browser's place: begin again.",
        "Etwas anderes auf diesem Rechner antwortet anstelle des Browsers: neu beginnen."
    )))
}

/// Reads the head of one request.
async fn heard(socket: &mut TcpStream, port: u16, state: &str) -> Option<Back> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = socket.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(piece.get(..n)?);
        if head.len() > REQUEST_MOST {
            return None;
        }
    }
    Some(understood(std::str::from_utf8(&head).ok()?, port, state))
}

/// What a request says. A page of another site that reaches this port by a name of its own is no answer, and neither is one
/// without exactly this state and one code.
fn understood(head: &str, port: u16, state: &str) -> Back {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) =
        (words.next(), words.next(), words.next())
    else {
        return Back::Other;
    };
    let hosts: Vec<&str> = lines
        .filter_map(|l| l.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    if hosts != [format!("127.0.0.1:{port}")] {
        return Back::Other;
    }
    let Some((BACK, query)) = target.split_once('?') else {
        return Back::Other;
    };
    let one = |name: &str| {
        let mut all = query
            .split('&')
            .filter_map(|p| p.split_once('='))
            .filter(|(n, _)| *n == name);
        match (all.next(), all.next()) {
            (Some((_, value)), None) => decoded(value),
            _ => None,
        }
    };
    let right = one("state").is_some_and(|s| {
        // Both are hashed, so that the time it takes says nothing of the state.
        Sha256::digest(s.as_bytes()) == Sha256::digest(state.as_bytes())
    });
    match (right, one("code"), one("error")) {
        (true, Some(code), None) if !code.is_empty() => Back::Code(code),
        (true, None, Some(error)) => {
            let plain = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
            Back::No(plain.take(64).collect())
        }
        _ => Back::Other,
    }
}

/// A value of a query; `None` for what is no text.
fn decoded(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

async fn say_to(socket: &mut TcpStream, status: &str, text: &str) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

/// Opens the system's browser at an address that [`OidcOffer::address`] made.
///
/// # Errors
/// [`EngineError::Io`] when there is none.
pub(crate) fn open_browser(address: &str) -> Result<(), EngineError> {
    let (program, args): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    std::process::Command::new(program)
        .args(args)
        .arg(address)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map(drop)
        .map_err(EngineError::io("opening the browser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, host: &str) -> Back {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        understood(&head, 4000, "st-1")
    }

    #[test]
    fn only_the_answer_to_this_sign_in_is_heard() {
        let here = "127.0.0.1:4000";
        assert_eq!(
            asked("/callback?code=a%2Fb+c&state=st-1&iss=x", here),
            Back::Code("a/b c".to_owned())
        );
        assert_eq!(
            asked("/callback?error=access_denied&state=st-1", here),
            Back::No("access_denied".to_owned())
        );
        for (target, host) in [
            ("/callback?code=a&state=st-2", here),
            ("/callback?code=a", here),
            ("/callback?code=a&state=", here),
            ("/callback?code=a&state=st-1&state=st-1", here),
            ("/callback?code=a&state=st-1&code=b", here),
            ("/callback?code=&state=st-1", here),
            ("/callback?code=a&error=b&state=st-1", here),
            ("/callback?state=st-1", here),
            ("/callback?code=a&state=ST-1", here),
            ("/callback?code=a&state=%zz", here),
            ("/other?code=a&state=st-1", here),
            ("/callback", here),
            ("/", here),
            ("/favicon.ico", here),
            ("/callback?code=a&state=st-1", "localhost:4000"),
            ("/callback?code=a&state=st-1", "127.0.0.1:4001"),
            ("/callback?code=a&state=st-1", "evil.example"),
            ("http://evil.example/callback?code=a&state=st-1", here),
        ] {
            assert_eq!(asked(target, host), Back::Other, "{target} {host}");
        }
        for head in [
            "POST /callback?code=a&state=st-1 HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?code=a&state=st-1 HTTP/1.1\r\n\r\n",
            "GET /callback?code=a&state=st-1\r\nHost: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?code=a&state=st-1 HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nHost: evil.example\r\n\r\n",
        ] {
            assert_eq!(understood(head, 4000, "st-1"), Back::Other, "{head}");
        }
    }

    #[tokio::test]
    async fn a_forged_answer_is_waited_past() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ask = async |target: &str| {
            let mut s = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let head = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            s.write_all(head.as_bytes()).await.unwrap();
            let mut out = String::new();
            s.read_to_string(&mut out).await.unwrap();
            out
        };
        let waits = tokio::spawn(async move { answered(&listener, port, "right").await });
        let forged = ask("/callback?code=stolen&state=wrong").await;
        assert!(forged.starts_with("HTTP/1.1 400 "), "{forged}");
        assert!(!waits.is_finished());
        let right = ask("/callback?code=mine&state=right").await;
        assert!(
            right.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain"),
            "{right}"
        );
        assert_eq!(waits.await.unwrap().unwrap(), "mine");
        assert!(
            TcpStream::connect(("127.0.0.1", port)).await.is_err(),
            "nobody listens any more"
        );
    }

    #[test]
    fn an_address_that_no_browser_may_open_is_refused() {
        let begun = Begun::new().unwrap();
        let mut offer = OidcOffer {
            authorization_endpoint: "https://idp.example/auth".to_owned(),
            client_id: "vitrine".to_owned(),
            scope: "openid".to_owned(),
            acr_values: "mfa".to_owned(),
            max_age_s: Some(300),
        };
        let address = begun.address(&offer, "http://127.0.0.1:1/callback").unwrap();
        for part in [
            "https://idp.example/auth?response_type=code&client_id=vitrine",
            "&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback",
            "&code_challenge_method=S256",
            "&acr_values=mfa&max_age=300&prompt=login",
        ] {
            assert!(address.contains(part), "{address}");
        }
        assert!(!address.contains(begun.verifier.as_str()));
        // Where the server takes an older sign-in, a workstation asks for a new one all the same.
        offer.max_age_s = None;
        offer = anew(offer);
        let address = begun.address(&offer, "http://127.0.0.1:1/callback").unwrap();
        assert!(address.contains("&max_age=0&prompt=login"), "{address}");
        for bad in [
            "file:///etc/passwd",
            "http://idp.example/auth",
            "javascript:alert(1)",
            "https://idp.example/a b",
            "https://idp.example/\"&calc",
            "https://idp.example/#x",
            "--version",
        ] {
            offer.authorization_endpoint = bad.to_owned();
            assert!(
                begun.address(&offer, "http://127.0.0.1:1/callback").is_err(),
                "{bad}"
            );
        }
    }
}
