//! A second factor of one's own, enrolled at the console (ADR 50).
//!
//! Lives here: the two routes and their audit rows, the QR code. Never here: codes and secrets (`identity::second_factor`), taking
//! one away (a command: whoever holds the session must not be able to). Called by the router.

use super::door::Reader;
use super::session::{begun, row, set};
use super::{No, body};
use crate::app::App;
use crate::clock;
use crate::config::TotpUse;
use crate::http::auth::check_secret;
use crate::http::refusal::Refused;
use crate::identity::second_factor::{self, Passed};
use crate::identity::sessions;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use qrcode::{Color, EcLevel, QrCode};
use std::sync::Arc;
use vitrine_access::{Actor, AuditEntry, Kind};
use vitrine_wire::console::{ConsoleEnrol, ConsoleEnrolled, ConsoleEnrolment, ConsoleSecondStep};

/// Where wrong secrets are counted that were given here: not with those of the sign-in, so that an open page keeps its owner out
/// of nothing else.
const HERE: &str = "console-totp";

fn entry(reader: &Reader, rule: &str, change: &str, ok: bool) -> AuditEntry {
    let actor = Actor::User(reader.user().clone());
    let mut entry = row(actor, Kind::SecondFactor, rule, ok);
    entry.notes.insert("change".to_owned(), change.to_owned());
    entry
}

/// A wrong secret: counted, written down.
async fn wrong(app: &App, reader: &Reader, entry: AuditEntry, no: No) -> Result<No, No> {
    let wait = app.throttle.wrong(reader.user().as_str(), HERE, clock::now());
    app.store.append(entry).await?;
    Ok(wait.map_or(no, |s| Refused::throttled(s).into()))
}

fn may_try(app: &App, reader: &Reader) -> Result<(), No> {
    let wait = app.throttle.wait_s(reader.user().as_str(), HERE, clock::now());
    wait.map_or(Ok(()), |s| Err(Refused::throttled(s).into()))
}

/// Makes a secret, after the password once more; it counts when [`confirm`] was given a code of it.
///
/// # Errors
/// [`No`].
pub async fn enrol(
    State(app): State<Arc<App>>,
    reader: Reader,
    bytes: Bytes,
) -> Result<Json<ConsoleEnrolment>, No> {
    let asked: ConsoleEnrol = body(&bytes)?;
    if app.config.sessions.totp == TotpUse::Off {
        return Err(No::refused(
            "Second factors are not offered here (sessions.totp).",
        ));
    }
    may_try(&app, &reader)?;
    let account = &reader.at.account;
    if check_secret(&app, Some(account), &asked.secret, false)
        .await?
        .is_none()
    {
        let no = Refused::wrong_secret().into();
        let entry = entry(&reader, "wrong-secret", "begin", false);
        return Err(wrong(&app, &reader, entry, no).await?);
    }
    let entry = entry(&reader, "own-account", "begin", true);
    let begun = second_factor::begin(&*app.store, &app.keys, entry, reader.user()).await?;
    Ok(Json(ConsoleEnrolment {
        qr: rows(&begun.uri)?,
        uri: begun.uri.to_string(),
        key: begun.key.to_string(),
    }))
}

/// The first code: the second factor counts from now on. Sessions that rest on less end; this one goes on as another.
///
/// # Errors
/// [`No`].
pub async fn confirm(State(app): State<Arc<App>>, reader: Reader, bytes: Bytes) -> Result<Response, No> {
    let asked: ConsoleSecondStep = body(&bytes)?;
    may_try(&app, &reader)?;
    let user = reader.user();
    let done = entry(&reader, "own-account", "confirm", true);
    let confirmed = second_factor::confirm(&*app.store, &app.keys, done, user, &asked.code).await?;
    let Some(codes) = confirmed else {
        let text = "This is not the code of the new key: see that the clock of your device is right, then type the next one.";
        let no = No::new(StatusCode::CONFLICT, "refused", text);
        let entry = entry(&reader, "wrong-code", "confirm", false);
        return Err(wrong(&app, &reader, entry, no).await?);
    };
    app.throttle.right(user.as_str(), HERE);
    app.store.end_session(&reader.at.caller.session).await?;
    app.access_changed();
    let account = app.store.account(user).await?.ok_or_else(No::not_signed_in)?;
    let token = sessions::open_for_console(&app, &account, Passed::Code.label(), None).await?;
    let answer = ConsoleEnrolled {
        codes: codes.iter().map(|c| c.to_string()).collect(),
        session: begun(&app, &token).await?,
    };
    Ok(([(header::SET_COOKIE, set(&token, "")?)], Json(answer)).into_response())
}

/// The modules of the QR code of a text, row by row.
fn rows(text: &str) -> Result<Vec<String>, No> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| {
        let text = "The QR code cannot be made: ask clinical IT for 'vitrine-server totp enrol'.";
        No::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
    })?;
    let shown = |c: &Color| if *c == Color::Dark { '1' } else { '0' };
    let modules = code.to_colors();
    let rows = modules.chunks(code.width().max(1));
    Ok(rows.map(|r| r.iter().map(shown).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_square_and_has_its_three_corners() {
        let user = "n".repeat(64);
        let uri = crate::identity::totp::uri(&[0xa5; 20], &user);
        let rows = rows(&uri).unwrap();
        let size = rows.len();
        assert!((21..=77).contains(&size) && size % 4 == 1, "{size}");
        assert!(
            rows.iter()
                .all(|r| r.len() == size && r.bytes().all(|b| b == b'0' || b == b'1'))
        );
        let finder = [
            "1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111",
        ];
        for (y, want) in finder.iter().enumerate() {
            assert_eq!(&rows[y][..7], *want, "top left");
            assert_eq!(&rows[y][size - 7..], *want, "top right");
            assert_eq!(&rows[size - 7 + y][..7], *want, "bottom left");
        }
    }
}
