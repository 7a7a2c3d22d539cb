//! The card reader (PC/SC): a card that is held to it gives its UID, and the engine finds whose badge it is.
//!
//! Lives here: one thread that waits for readers and cards, through the system's card service. Never here: whom a card picks, a PIN,
//! anything on the card but its UID. Without the service, or without a reader, the thread looks again every few seconds and
//! everything else goes on; the lock screen says how it stands. Called by `lib.rs`.

use pcsc::{Context, Disposition, Error, PNP_NOTIFICATION, Protocols, ReaderState, Scope, ShareMode, State};
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vitrine_engine::Reader;

/// Longest wait for something to happen before the thread looks whether it is to end.
const TURN: Duration = Duration::from_millis(500);
/// So long after the service was missing it is looked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// Gives the card's UID (PC/SC part 3, 3.2.2.1.3).
const GET_UID: [u8; 5] = [0xFF, 0xCA, 0x00, 0x00, 0x00];
/// The card did as it was told (ISO/IEC 7816-4).
const DONE: [u8; 2] = [0x90, 0x00];

/// What the thread tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// How it stands with the reader; told in every turn.
    Reader(Reader),
    /// A card was held to it: its UID; empty for a card that gives none.
    Card(Vec<u8>),
}

/// Waits for cards until `stop`, and tells what comes. Blocks: it has a thread of its own.
pub fn watch(stop: &AtomicBool, mut tell: impl FnMut(Told)) {
    while !stop.load(Ordering::Relaxed) {
        match Context::establish(Scope::User) {
            Ok(context) => {
                let ended = serve(&context, stop, &mut tell);
                if let Err(e) = ended {
                    tracing::debug!(error = %e, "the card service is gone");
                }
            }
            Err(e) => tracing::debug!(error = %e, "the card service does not run"),
        }
        tell(Told::Reader(Reader::NoService));
        let mut left = AGAIN;
        while !left.is_zero() && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TURN);
            left = left.saturating_sub(TURN);
        }
    }
}

/// Until the service is gone, or it is to end.
fn serve(context: &Context, stop: &AtomicBool, tell: &mut impl FnMut(Told)) -> Result<(), Error> {
    let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    while !stop.load(Ordering::Relaxed) {
        let there = context.list_readers_owned()?;
        let gone = State::UNKNOWN | State::IGNORE;
        states.retain(|s| {
            s.name() == PNP_NOTIFICATION()
                || (!s.event_state().intersects(gone) && there.iter().any(|name| name.as_c_str() == s.name()))
        });
        for name in &there {
            if !states.iter().any(|s| s.name() == name.as_c_str()) {
                states.push(ReaderState::new(name.clone(), State::UNAWARE));
            }
        }
        let first = there.first().map(|name| name.to_string_lossy().into_owned());
        tell(Told::Reader(first.map_or(Reader::None, Reader::Ready)));
        for s in &mut states {
            s.sync_current_state();
        }
        match context.get_status_change(TURN, &mut states) {
            Ok(()) => {}
            Err(Error::Timeout) => continue,
            Err(e) => return Err(e),
        }
        for s in states.iter().filter(|s| s.name() != PNP_NOTIFICATION()) {
            let came = s.event_state().contains(State::CHANGED | State::PRESENT)
                && !s.current_state().contains(State::PRESENT)
                && !s.event_state().contains(State::MUTE);
            if came {
                // A card that was taken away at once is no fault, and picks nobody.
                match uid(context, s.name()) {
                    Ok(uid) => tell(Told::Card(uid)),
                    Err(e) => tracing::debug!(error = %e, "a card could not be read"),
                }
            }
        }
    }
    Ok(())
}

fn uid(context: &Context, reader: &CStr) -> Result<Vec<u8>, Error> {
    let card = context.connect(reader, ShareMode::Shared, Protocols::ANY)?;
    let mut room = [0; 64];
    let answer = card.transmit(&GET_UID, &mut room)?;
    let uid = answer.strip_suffix(&DONE).unwrap_or_default().to_vec();
    if let Err((_, e)) = card.disconnect(Disposition::LeaveCard) {
        tracing::debug!(error = %e, "a card was not let go of");
    }
    Ok(uid)
}

/// The thread; it ends with [`Cards::stop`].
pub struct Cards(Arc<AtomicBool>);

impl Cards {
    /// Begins to wait for cards.
    ///
    /// # Errors
    /// Of the system, when there can be no thread.
    pub fn start(tell: impl FnMut(Told) + Send + 'static) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        std::thread::Builder::new()
            .name("cards".to_owned())
            .spawn(move || watch(&seen, tell))?;
        Ok(Self(stop))
    }

    /// It ends within half a second; nothing waits for it.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
