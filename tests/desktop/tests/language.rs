//! The other language in the real window: chosen on the lock screen, spoken by screen and engine alike, kept for the next start.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::time::Duration;
use vitrine_desktop_tests::act::{break_the_glass, sign_in};
use vitrine_desktop_tests::{CTRL, Desktop, ESCAPE, automation_bin};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person, showcase};

/// Waits for the lock screen in a language: while the page is opened anew, nothing on it can be asked.
async fn lock_screen_in(desktop: &Desktop, language: &str) -> Result<()> {
    for _ in 0..100 {
        let spoken = desktop.ask("done(document.documentElement.lang)").await;
        if spoken.is_ok_and(|tag| tag == language) && desktop.has("sign-in").await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shown = desktop.text_of_page().await.unwrap_or_default();
    bail!("no lock screen in {language} after ten seconds: the window shows {shown}")
}

#[tokio::test(flavor = "multi_thread")]
async fn german_is_chosen_once_and_is_spoken_by_the_screen_and_the_engine() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    let mrn = showcase(&seed, "anaphyla")?["mrn"]
        .as_str()
        .context("mrn")?
        .to_owned();

    let desktop = Desktop::start(&automation_bin(), &station.profile, &[]).await?;
    lock_screen_in(&desktop, "en").await?;
    assert!(desktop.text("sign-in").await?.contains("Sign in"));
    desktop.click("language-de").await?;
    lock_screen_in(&desktop, "de").await?;
    assert!(desktop.text("sign-in").await?.contains("Anmelden"));
    assert_eq!(desktop.attribute("language-de", "aria-pressed").await?, "true");
    assert_eq!(
        desktop.client.title().await?,
        "TRAINING — Vitrine",
        "one title in every language"
    );

    // The card: words of the screen, and words of the engine.
    break_the_glass(&desktop, &nurse, &mrn).await?;
    let card = desktop.text("emergency-card").await?;
    for words in [
        "NOTFALLZUGRIFF ·",
        "BEKANNTE ALLERGIEN",
        "AKTUELLE MEDIKAMENTE",
        "Stand ",
        "Jedes Öffnen wird protokolliert",
    ] {
        ensure!(card.contains(words), "{words:?} is not on the card: {card}");
    }
    for words in ["BREAK-GLASS", "KNOWN ALLERGIES", "as of "] {
        ensure!(!card.contains(words), "{words:?} is on the card: {card}");
    }
    desktop.press(ESCAPE).await?;
    desktop.gone("emergency-card").await?;
    desktop.stop().await;

    // The next start is German from its first word on; a wrong secret is refused in German too.
    let kept: Value = serde_json::from_slice(&std::fs::read(station.profile.join("window.json"))?)?;
    assert_eq!(kept["language"], "de", "{kept}");
    let desktop = Desktop::start(&automation_bin(), &station.profile, &[]).await?;
    lock_screen_in(&desktop, "de").await?;
    sign_in(&desktop, &nurse).await?;
    desktop.press(([CTRL], 'b')).await?;
    desktop.text_with("board-summary", "Patienten").await?;
    desktop.press(([CTRL], 'l')).await?;
    // Who was here last comes once the engine has answered, and moves what stands below: a driver clicks sooner than a hand.
    desktop.text_with("lock-screen", &nurse.user).await?;
    desktop.click("language-en").await?;
    lock_screen_in(&desktop, "en").await?;
    assert!(desktop.text("sign-in").await?.contains("Sign in"));
    desktop.stop().await;
    Ok(())
}
