//! What the engine tells without being asked, handed to the screen in batches, at most ten a second.

use std::time::Duration;
use tauri::ipc::Channel;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use vitrine_wire::image_view::HeldView;
use vitrine_wire::view::{EmergencyEndedView, EngineEvent};

/// Shortest time between two batches.
const PAUSE: Duration = Duration::from_millis(100);

/// Forwards until the screen or the engine is gone.
pub async fn forward(mut heard: Receiver<EngineEvent>, channel: Channel<Vec<EngineEvent>>) {
    loop {
        let first = match heard.recv().await {
            Ok(event) => event,
            // Too slow: nobody knows what was missed, so everything is read again.
            Err(RecvError::Lagged(_)) => EngineEvent::PatientsChanged(Vec::new()),
            Err(RecvError::Closed) => return,
        };
        let mut batch = vec![first];
        loop {
            match heard.try_recv() {
                Ok(event) => batch.push(event),
                Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => {
                    batch.push(EngineEvent::PatientsChanged(Vec::new()));
                }
                Err(_) => break,
            }
        }
        if channel.send(merge(batch)).is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One batch without repetitions: the last status and session, each patient, board and open series once, the end of a session first.
/// An empty list of patients means "any of them".
fn merge(events: Vec<EngineEvent>) -> Vec<EngineEvent> {
    let mut locked = false;
    let mut session = None;
    let mut status = None;
    let mut patients: Option<Vec<String>> = None;
    let mut any = false;
    let mut boards: Vec<String> = Vec::new();
    let mut images: Vec<HeldView> = Vec::new();
    let mut ended: Vec<EmergencyEndedView> = Vec::new();
    let (mut wall, mut trends) = (false, false);
    let (mut lock, mut card) = (false, None);
    for event in events {
        match event {
            // What was told of a session before its end is of nobody who is signed in.
            EngineEvent::Locked => {
                (locked, session) = (true, None);
                (wall, trends) = (false, false);
                images.clear();
            }
            EngineEvent::Images(held) => {
                images.retain(|h| h.view != held.view);
                images.push(held);
            }
            EngineEvent::EmergencyEnded(view) => ended.push(view),
            EngineEvent::LockChanged => lock = true,
            // The last card held to the reader is the one meant.
            held @ (EngineEvent::Badge(_) | EngineEvent::BadgeRefused(_)) => card = Some(held),
            EngineEvent::Wall => wall = true,
            EngineEvent::WallTrends => trends = true,
            EngineEvent::Session(view) => session = Some(view),
            EngineEvent::Status(view) => status = Some(view),
            EngineEvent::BoardChanged(ward) => {
                if !boards.contains(&ward) {
                    boards.push(ward);
                }
            }
            EngineEvent::PatientsChanged(changed) => {
                any |= changed.is_empty();
                let all = patients.get_or_insert_default();
                for patient in changed {
                    if !all.contains(&patient) {
                        all.push(patient);
                    }
                }
            }
        }
    }
    let mut batch = Vec::new();
    if locked {
        batch.push(EngineEvent::Locked);
    }
    batch.extend(ended.into_iter().map(EngineEvent::EmergencyEnded));
    batch.extend(session.map(EngineEvent::Session));
    batch.extend(status.map(EngineEvent::Status));
    batch.extend(patients.map(|all| EngineEvent::PatientsChanged(if any { Vec::new() } else { all })));
    batch.extend(boards.into_iter().map(EngineEvent::BoardChanged));
    batch.extend(images.into_iter().map(EngineEvent::Images));
    batch.extend(wall.then_some(EngineEvent::Wall));
    batch.extend(trends.then_some(EngineEvent::WallTrends));
    batch.extend(lock.then_some(EngineEvent::LockChanged));
    batch.extend(card);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_wire::layout::LayoutView;
    use vitrine_wire::view::SessionView;

    fn changed(ids: &[&str]) -> EngineEvent {
        EngineEvent::PatientsChanged(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn repetitions_are_merged_and_the_lock_comes_first() {
        let board = || EngineEvent::BoardChanged("icu".to_owned());
        let merged = merge(vec![
            changed(&["a"]),
            board(),
            changed(&["b", "a"]),
            board(),
            EngineEvent::Locked,
        ]);
        assert_eq!(merged, vec![EngineEvent::Locked, changed(&["a", "b"]), board()]);
    }

    #[test]
    fn what_was_missed_means_any_patient() {
        assert_eq!(
            merge(vec![changed(&["a"]), changed(&[]), changed(&["b"])]),
            vec![changed(&[])]
        );
    }

    #[test]
    fn what_was_told_of_a_session_ends_with_it() {
        let session = |user: &str| {
            EngineEvent::Session(SessionView {
                user: user.to_owned(),
                display: user.to_owned(),
                role: "Nurse".to_owned(),
                offline: false,
                layout: LayoutView::default(),
            })
        };
        assert_eq!(
            merge(vec![session("lee"), EngineEvent::Locked]),
            vec![EngineEvent::Locked]
        );
        assert_eq!(
            merge(vec![session("lee"), EngineEvent::Locked, session("rao")]),
            vec![EngineEvent::Locked, session("rao")]
        );
    }

    #[test]
    fn nothing_of_nothing() {
        assert_eq!(merge(Vec::new()), Vec::new());
    }
}
