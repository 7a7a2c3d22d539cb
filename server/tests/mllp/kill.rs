//! SIGKILL between receiving and answering: the sender sends again, and there is one result.

use super::harness::*;
use super::line::{Ward, admit, result};

/// Kills; `VITRINE_KILLS` sets another number.
const KILLS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_answer_it_is_sent_again_and_is_there_once() {
    let kills = std::env::var("VITRINE_KILLS")
        .ok()
        .and_then(|k| k.parse::<u64>().ok())
        .map_or(KILLS, |k| k / 20);
    let mut w = Ward::start("").await;
    assert_eq!(
        w.line()
            .await
            .send(&admit("K", "70020", "Lower", "ED"))
            .await
            .code,
        "AA"
    );
    let text = |n: u64| {
        result(
            &format!("K{n}"),
            "70020",
            "F",
            &format!("{n}.0"),
            "20260301100000",
        )
        .replace("F70020", &format!("F{n}"))
    };
    let (mut next, mut answered) = (0_u64, Vec::new());
    let begun = std::time::Instant::now();
    assert_eq!(w.line().await.send(&text(next)).await.code, "AA");
    // What one answer takes on this machine, with a connection: the moments of the kills are parts and multiples of it.
    let one = begun.elapsed();
    answered.push(next);
    next += 1;
    for kill in 0..kills {
        let mut line = w.line().await;
        let sending = tokio::spawn(async move {
            let mut done = Vec::new();
            for n in next.. {
                match line.try_send(&text(n)).await {
                    Some(answer) => {
                        assert_eq!(answer.code, "AA", "{answer:?}");
                        done.push(n);
                    }
                    None => break,
                }
            }
            done
        });
        // A moment that differs from kill to kill, some of them within the first message.
        tokio::time::sleep(one * (10 + (kill * 37) % 260) as u32 / 50).await;
        w.server.kill();
        let done = sending.await.unwrap();
        next = done.last().map_or(next, |n| n + 1);
        answered.extend(done);
        w = w.again(super::line::LAB).await;
    }
    // The one that had no answer is sent again.
    assert_eq!(w.line().await.send(&text(next)).await.code, "AA");
    answered.push(next);
    assert!(
        answered.len() as u64 > kills / 2,
        "{} in {kills} kills",
        answered.len()
    );
    let id = w.patient("70020").await["id"].as_str().unwrap().to_owned();
    let mut values: Vec<u64> = w
        .everything(&id)
        .await
        .iter()
        .filter(|r| r["resourceType"] == "Observation")
        .map(|r| r["valueQuantity"]["value"].as_f64().unwrap() as u64)
        .collect();
    values.sort_unstable();
    assert_eq!(values, answered, "each that was answered is there, once");
    // Nothing waits to be settled, and the audit log is whole.
    assert!(w.messages(&["--state", "received"]).is_empty());
    let data = w.data();
    let (exit, json) = run_json(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(exit, 0, "{json}");
}
