//! Leave to decode an image for an answer: a burst of requests for pictures takes a bounded share of the machine.
//!
//! Lives here: [`Decodes`]. Never here: decoding. Called by `frames` and `rendered`, after the policy and the audit row,
//! just before pixels become memory. Frames given as they are stored or as HTJ2K decode nothing and take no leave.

use super::super::refusal::Refused;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that may wait for each that is worked on.
const WAITING: usize = 4;
/// So long at most: a client that shows pictures asks again sooner than its user gives up.
const PATIENCE: Duration = Duration::from_secs(2);
/// What `Retry-After` says, seconds.
const AGAIN: u32 = 2;

/// Places for decoding.
#[derive(Debug)]
pub struct Decodes {
    places: Semaphore,
    /// Places and those who wait for one.
    line: Semaphore,
    count: usize,
    patience: Duration,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub struct Place<'d> {
    _place: SemaphorePermit<'d>,
    _line: SemaphorePermit<'d>,
}

impl Decodes {
    /// So many at once; 0 = as many as there are processors.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let processors = || std::thread::available_parallelism().map_or(2, usize::from);
        let count = if places == 0 { processors() } else { places };
        Self {
            places: Semaphore::new(count),
            line: Semaphore::new(count * (1 + WAITING)),
            count,
            patience: PATIENCE,
        }
    }

    /// How many at once.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.count
    }

    /// How many may wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.count * WAITING
    }

    /// A place, when there is one in time.
    ///
    /// # Errors
    /// 503 with `Retry-After` when too many wait, or one has waited for too long.
    pub async fn place(&self) -> Result<Place<'_>, Refused> {
        let busy = || Refused::busy(AGAIN);
        let line = self.line.try_acquire().map_err(|_| busy())?;
        let place = tokio::time::timeout(self.patience, self.places.acquire()).await;
        match place {
            Ok(Ok(place)) => Ok(Place {
                _place: place,
                _line: line,
            }),
            _ => Err(busy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn so_many_work_so_many_wait_and_the_rest_is_told_at_once() {
        let decodes = Decodes {
            patience: Duration::from_millis(200),
            ..Decodes::new(2)
        };
        let (a, _b) = (decodes.place().await.unwrap(), decodes.place().await.unwrap());
        let mut waiting: Vec<_> = (0..decodes.waiting())
            .map(|_| Box::pin(decodes.place()))
            .collect();
        for w in &mut waiting {
            assert!(w.as_mut().now_or_never().is_none(), "it waits");
        }
        let refused = decodes.place().now_or_never().expect("at once").unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.refusal.retry_after_s, Some(AGAIN));
        drop(a);
        let first = waiting.remove(0);
        let place = first.await.unwrap();
        // Nobody gives anything back: whoever waits is told after a while, and the line is empty again.
        for w in waiting {
            assert!(w.await.is_err());
        }
        drop(place);
        assert!(decodes.place().await.is_ok());
    }
}
