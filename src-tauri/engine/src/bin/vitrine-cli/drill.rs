//! `drill`: a downtime drill of this workstation.

use crate::acts::{DONE, SOME_REFUSED, signed_in, to_json};
use crate::args::Who;
use crate::print;
use std::path::Path;
use std::time::Duration;
use vitrine_engine::EngineError;

/// Longest wait until everything is here.
const CURRENT: Duration = Duration::from_secs(60);

/// Begins one, waits until it has ended, and prints what it found.
pub async fn drill(profile: &Path, minutes: u32, who: &Who, json: bool) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, true).await?;
    ws.wait_current(CURRENT).await?;
    ws.start_drill(Duration::from_secs(u64::from(minutes) * 60))
        .await?;
    if let Some(text) = ws.sync_view().drill.running_text
        && !json
    {
        say!("{text}");
    }
    let over = async {
        while ws.sync_view().drill.running_text.is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = over => {}
        _ = tokio::signal::ctrl_c() => ws.end_drill().await?,
    }
    let found = ws.sync_view().drill.last;
    let found = found.ok_or(EngineError::Internal("reading what the drill found"))?;
    // Its rows are to reach the server before this program ends; they wait here otherwise.
    ws.wait_current(Duration::from_secs(10)).await?;
    if json {
        print::json(&to_json(&found)?);
    } else {
        for part in &found.parts {
            say!(
                "{}  {}: {}",
                if part.ok { "ok" } else { "!!" },
                part.name,
                part.text
            );
        }
    }
    Ok(if found.ok { DONE } else { SOME_REFUSED })
}
