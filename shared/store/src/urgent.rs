//! The mark of an emergency on the work that is done for it.
//!
//! Lives here: [`urgent`] sets the mark, [`is_urgent`] asks for it. Never here: who is an emergency; the server decides
//! that from what it knows. A backend that keeps connections for emergencies takes one of them when the mark is set.
//! The mark belongs to the task: work handed to another task has to be marked there.

use std::future::Future;

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

#[cfg(test)]
mod tests {
    use super::*;

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
