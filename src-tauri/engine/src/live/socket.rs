//! The connection of the open wall: made anew, with patience, as long as the wall is open.
//!
//! Never here: what a message means for the screen (`view`), how old anything is (`heard`).

use super::{Open, mono};
use crate::drill;
use crate::link;
use crate::station::Station;
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use vitrine_clinical::{WardId, say};
use vitrine_wire::live::{ASK_MS, LiveAsk, LiveTold, PROTOCOL};
use vitrine_wire::view::EngineEvent;
use vitrine_wire::wall_view::WallLine;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// First and longest wait before another try.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// Longest message taken, bytes.
const LONGEST: usize = 4 << 20;
/// So many questions without an answer, and the connection is given up.
const UNANSWERED: u64 = 4;

/// Nobody asked the server who this is.
fn local() -> String {
    say!(
        "You were signed in by what is on this workstation: live values need the server. What is shown here is old.",
        "Sie wurden mit den Daten dieses Arbeitsplatzes angemeldet: Live-Werte brauchen den Server. Was hier steht, ist alt."
    )
}

fn cut_off() -> String {
    say!(
        "A downtime drill: this workstation is cut off on purpose, and nothing on this wall is live. Look at the monitors at the beds.",
        "Ausfallübung: dieser Arbeitsplatz ist absichtlich getrennt, nichts auf dieser Vitalwand ist live. Auf die Monitore an den Betten sehen."
    )
}

fn down() -> String {
    say!(
        "The server does not answer: nothing on this wall is live. Look at the monitors at the beds.",
        "Der Server antwortet nicht: nichts auf dieser Vitalwand ist live. Auf die Monitore an den Betten sehen."
    )
}

pub(super) async fn run(station: Weak<Station>, id: u64, ward: WardId, mut stopped: watch::Receiver<()>) {
    let mut wait = AGAIN.0;
    loop {
        let Some(held) = station.upgrade() else { return };
        let mut closing = held.closing.subscribe();
        let cut = held.drill.cuts();
        let tried = tokio::select! {
            t = connect(&held, id, &ward) => t,
            _ = stopped.changed() => return,
            _ = closing.wait_for(|c| *c) => return,
        };
        drop(held);
        let ended = match tried {
            Ok(socket) => {
                wait = AGAIN.0;
                tokio::select! {
                    ended = pump(&station, id, socket) => ended,
                    () = drill::cut_off(cut) => Some((WallLine::Down, cut_off())),
                    _ = stopped.changed() => return,
                    _ = closing.wait_for(|c| *c) => return,
                }
            }
            Err(text) => Some((WallLine::Down, text)),
        };
        let Some((line, text)) = ended else { return };
        let Some(held) = station.upgrade() else { return };
        let there = tell(&held, id, |o| {
            o.heard.ends();
            (o.line, o.line_text) = (line, Some(text));
        });
        drop(held);
        if !there || line == WallLine::Refused {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.changed() => return,
        }
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// Changes the open wall and says so; false when it is another one now, or none.
fn tell(station: &Station, id: u64, f: impl FnOnce(&mut Open)) -> bool {
    let there = station.live.with(id, f).is_some();
    if there {
        station.tell(EngineEvent::Wall);
    }
    there
}

async fn connect(station: &Arc<Station>, id: u64, ward: &WardId) -> Result<link::Socket, String> {
    let token = station.session().as_ref().and_then(|s| s.token.clone());
    let token = token.ok_or_else(local)?;
    let now = mono(station);
    station.live.with(id, |o| o.heard.begins(now));
    let path = format!("/ws/live?v={PROTOCOL}&ward={}", encoded(ward.as_str()));
    let dialled = tokio::time::timeout(CONNECT, link::dial(station, &path, Some(&token), LONGEST)).await;
    match dialled {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(e)) => {
            tracing::debug!(error = %e, "no connection for live vital signs");
            Err(if *station.drill.cuts().borrow() {
                cut_off()
            } else {
                down()
            })
        }
        Err(_) => Err(down()),
    }
}

/// As part of an address.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let one = |b: u8| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Until the connection ends: why. `None` when the wall is another one now.
async fn pump(station: &Weak<Station>, id: u64, mut socket: link::Socket) -> Option<(WallLine, String)> {
    let mut asks = tokio::time::interval(Duration::from_millis(ASK_MS));
    let (mut asked, mut answered) = (0_u64, 0_u64);
    let ends = || Some((WallLine::Down, down()));
    loop {
        tokio::select! {
            _ = asks.tick() => {
                if asked.saturating_sub(answered) >= UNANSWERED {
                    return ends();
                }
                asked += 1;
                let held = station.upgrade()?;
                let now = mono(&held);
                held.live.with(id, |o| o.heard.asks(asked, now))?;
                drop(held);
                let Ok(text) = serde_json::to_string(&LiveAsk { ask: asked }) else { return ends() };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return ends();
                }
            }
            message = socket.next() => {
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    _ => return ends(),
                };
                let told: LiveTold = match serde_json::from_str(text.as_str()) {
                    Ok(told) => told,
                    Err(e) => {
                        tracing::warn!(error = %e, "a message of live vital signs cannot be read");
                        return Some((WallLine::Down, say!(
                            "The server says what this program does not understand: nothing on this wall is live.",
                            "Der Server sagt etwas, das dieses Programm nicht versteht: nichts auf dieser Vitalwand ist live."
                        )));
                    }
                };
                match &told {
                    LiveTold::Refused { text, .. } => return Some((WallLine::Refused, text.clone())),
                    LiveTold::Now { answers: Some(n), .. } => answered = answered.max(*n),
                    _ => {}
                }
                let held = station.upgrade()?;
                let now = mono(&held);
                let trends = held.live.with(id, |o| {
                    (o.line, o.line_text) = (WallLine::Up, None);
                    o.heard.takes(told, now)
                })?;
                held.tell(if trends { EngineEvent::WallTrends } else { EngineEvent::Wall });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_ward_is_part_of_an_address() {
        assert_eq!(super::encoded("ICU-2.b"), "ICU-2.b");
        assert_eq!(super::encoded("A&E 1"), "A%26E%201");
    }
}
