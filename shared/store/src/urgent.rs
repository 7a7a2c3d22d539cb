//! The mark of an emergency on the work that is done for it.
//!
//! Lives here: [`urgent`] sets the mark, [`is_urgent`] asks for it. Never here: who is an emergency; the server decides
//! that from what it knows. A backend that keeps connections for emergencies takes one of them when the mark is set.
//! The mark belongs to the task: work handed to another task has to be marked there.
//!
//! A read for an emergency takes a tenth of a millisecond. Handing it to another thread can take thirty times as long on
//! a machine whose processors are all taken: what runs there keeps its slice. So threads that serve emergencies alone
//! may say that they read for themselves ([`read_here`]).

use std::cell::Cell;
use std::future::Future;

thread_local! {
    static READS: Cell<bool> = const { Cell::new(false) };
}

tokio::task_local! {
    static URGENT: ();
}

/// Runs `work` with the mark set.
pub async fn urgent<F: Future>(work: F) -> F::Output {
    URGENT.scope((), work).await
}

/// Whether the running work carries the mark.
#[must_use]
pub fn is_urgent() -> bool {
    URGENT.try_with(|()| ()).is_ok()
}

/// From now on a backend may do the urgent reads of the calling thread on that thread, while it waits: for threads that
/// serve nothing but emergencies.
pub fn read_here() {
    READS.set(true);
}

/// Whether an urgent read may be done on the calling thread.
#[must_use]
pub fn reads_here() -> bool {
    is_urgent() && READS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_urgent_work_is_done_on_the_spot() {
        urgent(async { assert!(!reads_here(), "nobody said so of this thread") }).await;
        read_here();
        assert!(!reads_here());
        urgent(async { assert!(reads_here()) }).await;
    }

    #[tokio::test]
    async fn the_mark_goes_with_the_work_and_no_further() {
        assert!(!is_urgent());
        urgent(async {
            assert!(is_urgent());
            tokio::task::yield_now().await;
            assert!(is_urgent(), "also after it was put aside");
            let beside = tokio::spawn(async { is_urgent() });
            assert!(!beside.await.unwrap(), "work beside it is not marked");
        })
        .await;
        assert!(!is_urgent());
    }
}
