//! The acts of a person at the window, for tests, the demo and the window's benchmarks.

use crate::Desktop;
use crate::keys::{CTRL, ENTER, ESCAPE, F12};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use vitrine_tests::station::Person;

/// Scans at most, and how long each is waited for.
const SCANS: usize = 20;
const ANSWERED: Duration = Duration::from_secs(4);

/// Signs in at the lock screen.
///
/// # Errors
/// When the search does not come.
pub async fn sign_in(desktop: &Desktop, who: &Person) -> Result<()> {
    desktop.fill("user", &who.user).await?;
    desktop.fill("secret", &who.pin).await?;
    desktop.press(ENTER).await?;
    desktop.find("search-screen").await?;
    Ok(())
}

/// Finds a patient by number with somebody signed in, and opens the chart.
///
/// # Errors
/// When the chart does not come.
pub async fn open_chart(desktop: &Desktop, mrn: &str) -> Result<()> {
    desktop.press(([CTRL], 'f')).await?;
    desktop.fill("query", mrn).await?;
    desktop.find("patient-row").await?;
    desktop.press(ENTER).await?;
    desktop.find("banner-name").await?;
    Ok(())
}

/// From the lock screen: the key, a digit, name and PIN, the number, Enter to pick, Enter to show. Ends with the card
/// on the screen.
///
/// # Errors
/// When the card does not come.
pub async fn break_the_glass(desktop: &Desktop, who: &Person, mrn: &str) -> Result<()> {
    desktop.press(([CTRL], F12)).await?;
    desktop.find("break-glass").await?;
    desktop.find("reason-1").await?;
    desktop.type_text("1").await?;
    desktop.type_text(&who.user).await?;
    desktop.fill("glass-secret", &who.pin).await?;
    desktop.press(ENTER).await?;
    desktop.find("identified").await?;
    desktop.find("glass-query").await?;
    desktop.type_text(mrn).await?;
    desktop.find("patient-row").await?;
    desktop.press(ENTER).await?;
    desktop.find("identity").await?;
    desktop.press(ENTER).await?;
    desktop.find("emergency-card").await?;
    Ok(())
}

/// Scans a code, as often as the driver is slower than any reader, until something comes to the screen that says these words.
/// `field`: what has the focus and what stands in it, put back after a scan that was too slow to be one.
///
/// # Errors
/// When something else comes of a code that was typed as fast as a reader does and reached the page so.
pub async fn scan(
    desktop: &Desktop,
    code: &str,
    (testid, words): (&str, &str),
    field: Option<(&str, &str)>,
) -> Result<()> {
    for _ in 0..SCANS {
        let as_a_reader = desktop.scan(code).await?;
        let from = Instant::now();
        while from.elapsed() < ANSWERED {
            if desktop.has(testid).await && desktop.text(testid).await?.contains(words) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A busy machine can hold up the page itself in the middle of a code: that is said, and the code is none.
        let noticed = desktop.has("scan-notice").await;
        let faltered = noticed && desktop.text("scan-notice").await?.contains("lost on its way");
        if as_a_reader && !faltered {
            let shown = desktop.text_of_page().await.unwrap_or_default();
            bail!("{code:?}: {testid} does not say '{words}'; the screen shows: {shown}");
        }
        if noticed {
            desktop.press(ESCAPE).await?;
            desktop.gone("scan-notice").await?;
        }
        if let Some((field, value)) = field {
            desktop.fill(field, value).await?;
        }
        // A reader is reached for no sooner.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    bail!("the driver never typed as fast as a reader does: is the machine too busy?")
}

/// One card: from the last key to the paint, and the engine's part of it.
#[derive(Debug, Clone, Copy)]
pub struct CardTime {
    /// Milliseconds from the last key to the painted card, by the web view's clock (two frames included).
    pub painted_ms: f64,
    /// Milliseconds in the engine: decision, audit rows on disk, reading, view.
    pub engine_ms: f64,
}

/// Breaks the glass `times` over from the lock screen of a resident workstation, closing the card after each.
///
/// # Errors
/// When a card does not come, or is not reported as painted.
pub async fn time_cards(desktop: &Desktop, who: &Person, mrn: &str, times: usize) -> Result<Vec<CardTime>> {
    desktop.mark_after("rehearsed", 0).await?;
    let before = desktop
        .marks()
        .await?
        .iter()
        .filter(|m| m["name"] == "emergency-card")
        .count();
    let mut painted = Vec::with_capacity(times);
    for n in 0..times {
        break_the_glass(desktop, who, mrn).await?;
        let mark = desktop.mark_after("emergency-card", before + n).await?;
        let engine = desktop.attribute("emergency-card", "data-engine-ms").await?;
        painted.push(CardTime {
            painted_ms: mark["since_key_ms"]
                .as_f64()
                .context("a card without the time of its key")?,
            engine_ms: engine.parse().context("the engine's time")?,
        });
        desktop.press(ESCAPE).await?;
        desktop.gone("emergency-card").await?;
        desktop.find("lock-screen").await?;
    }
    Ok(painted)
}
