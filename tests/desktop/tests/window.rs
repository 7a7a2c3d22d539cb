//! The window by itself: what it shows on a workstation that is not enrolled, and what it refuses.

use anyhow::Result;
use serde_json::Value;
use std::time::Duration;
use vitrine_desktop_tests::{CTRL, Desktop, F1, F12, SHIFT, automation_bin, shipped_bin};

async fn fresh() -> Result<(Desktop, tempfile::TempDir)> {
    let profile = tempfile::tempdir()?;
    let desktop = Desktop::start(&automation_bin(), profile.path(), &[]).await?;
    desktop.find("lock-screen").await?;
    Ok((desktop, profile))
}

#[tokio::test]
async fn opens_to_the_lock_screen_and_says_that_it_is_not_enrolled() -> Result<()> {
    let (desktop, _profile) = fresh().await?;
    let said = desktop.text("device-state").await?;
    assert!(said.contains("not enrolled"), "{said}");
    assert_eq!(
        desktop.attribute("lock-screen", "data-device").await?,
        "not-enrolled"
    );
    assert!(
        !desktop.has("sign-in").await && !desktop.has("emergency").await,
        "nothing can be opened here"
    );
    assert!(!desktop.text("status").await?.is_empty(), "the strip has words");
    assert_eq!(desktop.client.title().await?, "Vitrine");
    let mark = desktop.mark_after("first-screen", 0).await?;
    assert!(mark["at_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{mark}");
    if let Some(folder) = std::env::var_os("VITRINE_SCREENS") {
        desktop
            .picture(&std::path::Path::new(&folder).join("window-not-enrolled.png"))
            .await?;
    }
    desktop.stop().await;
    Ok(())
}

#[tokio::test]
async fn keys_reach_the_window_and_breaking_the_glass_is_not_offered_without_data() -> Result<()> {
    let (desktop, profile) = fresh().await?;
    desktop.press(F1).await?;
    assert!(desktop.text("help").await?.contains("Ctrl+F12"));
    desktop.press(F1).await?;
    desktop.gone("help").await?;
    desktop.press(([CTRL], F12)).await?;
    assert!(!desktop.has("break-glass").await);
    desktop.press(([CTRL, SHIFT], 'N')).await?;
    let theme = desktop
        .ask("setTimeout(() => done(document.documentElement.dataset.theme), 300)")
        .await?;
    assert_eq!(theme, "night");
    let kept: Value = serde_json::from_slice(&std::fs::read(profile.path().join("window.json"))?)?;
    assert_eq!(kept["night"], true, "{kept}");
    desktop.stop().await;
    Ok(())
}

#[tokio::test]
async fn nothing_remote_is_reached_and_nothing_else_opens() -> Result<()> {
    // A listener that would be reached, were anything let out.
    let outside = std::net::TcpListener::bind("127.0.0.1:0")?;
    outside.set_nonblocking(true)?;
    let port = outside.local_addr()?.port();
    let (desktop, _profile) = fresh().await?;
    let fetched = desktop
        .ask(&format!(
            "fetch('http://127.0.0.1:{port}/').then(() => done('reached'), () => done('refused'))"
        ))
        .await?;
    assert_eq!(fetched, "refused");
    let script = format!(
        "const tag = document.createElement('script'); tag.src = 'http://127.0.0.1:{port}/x.js';
         tag.onload = () => done('reached'); tag.onerror = () => done('refused'); document.head.append(tag);"
    );
    assert_eq!(desktop.ask(&script).await?, "refused");
    let inline = "window.ran = false; const tag = document.createElement('script'); tag.textContent = 'window.ran = true';
         document.head.append(tag); setTimeout(() => done(window.ran), 100);";
    assert_eq!(desktop.ask(inline).await?, false, "inline script ran");
    let evaluated = "try { done(String(new Function('return 1')())) } catch (e) { done('refused') }";
    assert_eq!(desktop.ask(evaluated).await?, "refused");
    let before = desktop.client.current_url().await?;
    let moved =
        format!("window.location.href = 'http://127.0.0.1:{port}/'; setTimeout(() => done(true), 500);");
    desktop.ask(&moved).await?;
    assert_eq!(desktop.client.current_url().await?, before);
    let opened = format!("done(window.open('http://127.0.0.1:{port}/') === null)");
    assert_eq!(desktop.ask(&opened).await?, true, "another window opened");
    assert_eq!(desktop.client.windows().await?.len(), 1);
    desktop.find("lock-screen").await?;
    assert!(
        outside.accept().is_err(),
        "something from the window reached the listener"
    );
    desktop.stop().await;
    Ok(())
}

/// Tauri's own commands are closed: the capability file names none.
#[tokio::test]
async fn the_frameworks_own_commands_are_closed() -> Result<()> {
    let (desktop, _profile) = fresh().await?;
    for command in [
        "plugin:window|close",
        "plugin:event|emit",
        "plugin:webview|internal_toggle_devtools",
        "plugin:autostart|enable",
    ] {
        let script = format!(
            "window.__TAURI_INTERNALS__.invoke('{command}', {{}}).then(() => done('done'), (e) => done(String(e)))"
        );
        let answer = desktop.ask(&script).await?;
        let said = answer.as_str().unwrap_or_default();
        assert!(
            said.contains("not allowed") || said.contains("not found"),
            "{command}: {said}"
        );
    }
    desktop.stop().await;
    Ok(())
}

/// Trap 10: any program of the same user could drive the window by an environment variable.
#[tokio::test]
async fn the_shipped_build_refuses_a_webdriver() -> Result<()> {
    let profile = tempfile::tempdir()?;
    let shipped = shipped_bin();
    let started = Desktop::start(&shipped, profile.path(), &[]);
    match tokio::time::timeout(Duration::from_secs(12), started).await {
        Err(_) | Ok(Err(_)) => Ok(()),
        Ok(Ok(desktop)) => {
            desktop.stop().await;
            anyhow::bail!("a WebDriver session opened on the build that ships")
        }
    }
}
