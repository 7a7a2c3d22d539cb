//! The turn of a condition: one at a time over all servers of a database, and given back whatever becomes of who waits for it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::node;
use vitrine_store::ChartStore as _;
use vitrine_testpg::TestPg;

#[tokio::test(flavor = "multi_thread")]
async fn one_has_the_turn_and_who_gives_up_waiting_leaves_no_lock() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let (one, two) = (node(&url, "one").await, node(&url, "two").await);
    let soon = Duration::from_millis(300);
    let held = one.turn().await.expect("a turn");
    for _ in 0..3 {
        let waits = tokio::time::timeout(soon, two.turn()).await;
        assert!(waits.is_err(), "two have the turn");
    }
    drop(held);
    // What those who gave up had asked for is given back behind them.
    let long = Duration::from_secs(10);
    for store in [&two, &one, &two, &one] {
        let turn = tokio::time::timeout(long, store.turn()).await;
        drop(turn.expect("the turn is lost").expect("a turn"));
    }
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { two.clone() };
            let inside = inside.clone();
            tokio::spawn(async move {
                let turn = store.turn().await.expect("a turn");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                tokio::time::sleep(Duration::from_millis(2)).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(turn);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("one after the other");
    }
}
