//! `wall`: the live vital signs of a ward.

use crate::acts::{DONE, signed_in, to_json};
use crate::args::Who;
use crate::print;
use std::path::Path;
use std::time::Duration;
use vitrine_engine::EngineError;
use vitrine_wire::ErrorCode;
use vitrine_wire::view::EngineEvent;
use vitrine_wire::wall_view::{MonitorState, WallLine, WallView};

/// Longest wait for the server and the first values.
const FIRST: Duration = Duration::from_secs(5);

/// Shows the wall once there is an answer; then, for so long, whenever it changes.
pub async fn wall(
    profile: &Path,
    ward: Option<&str>,
    seconds: u64,
    who: &Who,
    json: bool,
) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, false).await?;
    ws.settled(FIRST).await;
    let mut events = ws.events();
    let mut view = ws.wall_open(ward).await?;
    let answered = async {
        while view.line == WallLine::Connecting {
            next(&mut events).await;
            view = ws.wall().await?;
        }
        Ok::<(), EngineError>(())
    };
    if let Ok(failed) = tokio::time::timeout(FIRST, answered).await {
        failed?;
    }
    show(&view, json)?;
    // Without a time it is shown once, also where something has changed already.
    if seconds > 0 {
        let goes_on = async {
            loop {
                next(&mut events).await;
                view = ws.wall().await?;
                show(&view, json)?;
            }
        };
        if let Ok(failed) = tokio::time::timeout(Duration::from_secs(seconds), goes_on).await {
            return failed;
        }
    }
    ws.wall_close();
    if view.line == WallLine::Refused {
        return Err(EngineError::Refused {
            code: ErrorCode::Denied,
            text: view.line_text.unwrap_or_default(),
            retry_after_s: None,
        });
    }
    Ok(DONE)
}

/// Until something of the wall changes, and at least once a second: what stands still gets older.
async fn next(events: &mut tokio::sync::broadcast::Receiver<EngineEvent>) {
    let heard = async {
        while let Ok(event) = events.recv().await {
            if matches!(event, EngineEvent::Wall) {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), heard).await;
}

fn show(view: &WallView, json: bool) -> Result<(), EngineError> {
    if json {
        print::json(&to_json(view)?);
        return Ok(());
    }
    say!("{} — {} — {}", view.ward_name, view.summary_text, view.age.text);
    say!("Not an alarm: the monitors at the beds alarm. Values can be late or missing.");
    for text in [&view.line_text, &view.stranger_text].into_iter().flatten() {
        say!("! {text}");
    }
    for bed in &view.beds {
        let state = match bed.state {
            MonitorState::Live => "live",
            MonitorState::NotLive => "NOT LIVE",
            MonitorState::Never => "nothing heard of a monitor",
            MonitorState::Restricted => "not shown to you",
        };
        say!("{}  {}, {}  [{state}]", bed.bed, bed.name, bed.person_text);
        for s in &bed.signals {
            let value = s
                .value_text
                .as_deref()
                .or(s.absent_text.as_deref())
                .unwrap_or_default();
            let old = !s.spot && s.age_ms > view.stands_ms;
            let when = match (s.spot, old) {
                (true, _) => format!("at {}", s.at_text),
                (false, true) => format!("not live, at {}", s.at_text),
                (false, false) => String::new(),
            };
            let flag = s.flag_text.as_deref().unwrap_or_default();
            let parts = [s.label.as_str(), value, s.unit_text.as_str(), flag, when.as_str()];
            let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
            say!("    {}", parts.join(" "));
        }
    }
    Ok(())
}
