//! The act, through the real window: a chart online, then the server gone, the session ended, and the emergency card of
//! a patient to whom nobody here has a relationship.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vitrine_desktop_tests::act::{break_the_glass, open_chart, scan, sign_in, time_cards};
use vitrine_desktop_tests::{CTRL, Desktop, ENTER, ESCAPE, F11, F12, SHIFT, automation_bin};
use vitrine_tests::lab::Lab;
use vitrine_tests::monitor::Gateway;
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person, showcase};

/// A hand that typed reaches for the reader no sooner.
const REACHED: Duration = Duration::from_millis(400);

/// One window at a time: two of them draw on the same processors, and each then waits for the other's frames.
static WINDOW: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Hospital {
    _dir: tempfile::TempDir,
    server: Server,
    seed: Value,
    station: Station,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

async fn hospital() -> Result<Hospital> {
    let alone = WINDOW.lock().await;
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    Ok(Hospital {
        _alone: alone,
        _dir: dir,
        server,
        seed,
        station,
    })
}

fn field<'a>(of: &'a Value, name: &str) -> Result<&'a str> {
    of[name].as_str().with_context(|| format!("no {name} in {of}"))
}

async fn picture(desktop: &Desktop, name: &str) -> Result<()> {
    match std::env::var_os("VITRINE_SCREENS") {
        Some(folder) => {
            desktop
                .picture(&Path::new(&folder).join(format!("{name}.png")))
                .await
        }
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_online_and_the_emergency_card_without_the_server() -> Result<()> {
    let mut h = hospital().await?;
    let doctor = person(&h.seed, "physician", "ED")?;
    let patient = showcase(&h.seed, "anaphyla")?;
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;

    // Online: sign in, find, open.
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    sign_in(&desktop, &doctor).await?;
    picture(&desktop, "window-search").await?;
    desktop.type_text(field(&patient, "mrn")?).await?;
    desktop.find("patient-row").await?;
    desktop.press(ENTER).await?;
    let banner = desktop.text("banner-name").await?;
    let family = field(&patient, "name")?
        .split(' ')
        .next_back()
        .unwrap_or_default()
        .to_uppercase();
    assert!(banner.contains(&family), "{banner} is not {family}");
    assert_eq!(desktop.attribute("allergies", "data-state").await?, "known");
    assert!(
        desktop
            .text("allergies")
            .await?
            .to_lowercase()
            .contains("penicillin")
    );
    assert!(desktop.text("medicines").await?.contains("warfarin"));
    desktop.text_with("labs", "HH").await?;
    assert_eq!(
        desktop.client.title().await?,
        "TRAINING — Vitrine",
        "no patient in the task switcher"
    );
    picture(&desktop, "window-chart").await?;
    desktop.press(([CTRL], 'b')).await?;
    desktop.find("board-summary").await?;
    picture(&desktop, "window-board").await?;

    // The server dies; the screen says so; the session ends.
    h.server.kill();
    desktop.text_with("status", "OFFLINE").await?;
    desktop.press(([CTRL], 'l')).await?;
    desktop.find("lock-screen").await?;
    assert!(
        !desktop.text_of_page().await?.contains(&family),
        "something of the patient stayed"
    );
    picture(&desktop, "window-lock-offline").await?;

    // Nobody is signed in, the patient is of another ward.
    let stranger = h.seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ICU")
        .cloned()
        .context("ICU")?;
    break_the_glass(&desktop, &doctor, field(&stranger, "mrn")?).await?;
    let card = desktop.text("emergency-card").await?;
    let family = field(&stranger, "name")?
        .split(' ')
        .next_back()
        .unwrap_or_default()
        .to_uppercase();
    assert!(card.contains(&family), "{card}");
    assert!(desktop.text("frame-text").await?.contains("BREAK-GLASS"));
    assert!(desktop.text("card-age").await?.contains("as of"), "{card}");
    assert_ne!(
        desktop.attribute("allergies", "data-state").await?,
        "",
        "one of the states"
    );
    picture(&desktop, "window-card").await?;
    desktop.mark_after("emergency-card", 0).await?;

    // On disk before the paint: kill the window without warning, the row is there.
    let access = desktop.attribute("emergency-card", "data-access").await?;
    drop(desktop);
    let rows = h.station.cli(&["audit", "list"], None)?.to_string();
    assert!(rows.contains(&access), "the row of the access is not on disk");
    Ok(())
}

/// A patient's band opens the chart from any screen and lands in no field; somebody else's over a form says so; a lost sign, a
/// medicine and the lock open nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_scanned_band_opens_the_chart_and_no_other() -> Result<()> {
    let h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let patient = showcase(&h.seed, "anaphyla")?;
    let other = showcase(&h.seed, "marlow, joan")?;
    let (band, theirs) = (field(&patient, "gsrn")?, field(&other, "gsrn")?);
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    // Nobody is signed in: keys are keys.
    desktop.scan(&format!("]d28018{band}")).await?;
    assert!(!desktop.has("scan-notice").await && !desktop.has("banner-name").await);
    sign_in(&desktop, &nurse).await?;

    let own = format!("]d28018{band}");
    let opened = ("banner-name", "VORANDALE");
    scan(
        &desktop,
        &format!("{own}\u{1d}801907"),
        opened,
        Some(("query", "")),
    )
    .await?;
    assert_eq!(desktop.attribute("allergies", "data-state").await?, "known");
    let mark = desktop.mark_after("scanned", 0).await?;
    assert!(mark["since_key_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{mark}");
    let typed = |field: &str| format!("done(document.querySelector('[data-testid={field}]').value)");
    desktop.press(([CTRL], 'f')).await?;
    assert_eq!(
        desktop.ask(&typed("query")).await?,
        "",
        "nothing of it landed in the field"
    );

    // In the field with the focus, people's typing is whole.
    let mrn = field(&patient, "mrn")?;
    desktop.type_text(mrn).await?;
    desktop.find("patient-row").await?;
    assert_eq!(desktop.ask(&typed("query")).await?.as_str(), Some(mrn));
    // A medicine; a band of which a digit was lost.
    for (code, said) in [
        ("]d20109521234543213".to_owned(), "medicine"),
        (format!("]d28018{}", band.replacen('1', "", 1)), "not whole"),
    ] {
        tokio::time::sleep(REACHED).await;
        scan(&desktop, &code, ("scan-notice", said), Some(("query", mrn))).await?;
        desktop.press(ESCAPE).await?;
        desktop.gone("scan-notice").await?;
    }
    assert_eq!(
        desktop.ask(&typed("query")).await?.as_str(),
        Some(mrn),
        "nor there"
    );

    // Over a form the band is compared, and nothing changes.
    scan(&desktop, &own, opened, Some(("query", mrn))).await?;
    desktop.press(([CTRL, SHIFT], 'v')).await?;
    desktop.fill("value-pulse", "88").await?;
    tokio::time::sleep(REACHED).await;
    let pulse = Some(("value-pulse", "88"));
    let other_said = ("scan-notice", "NOT THE SAME PATIENT");
    scan(&desktop, &format!("]d28018{theirs}"), other_said, pulse).await?;
    desktop.text_with("scan-band", "MARLOW").await?;
    picture(&desktop, "window-scan-other").await?;
    desktop.press(ESCAPE).await?;
    desktop.gone("scan-notice").await?;
    scan(&desktop, &own, ("scan-notice", "The same patient"), pulse).await?;
    desktop.press(ENTER).await?;
    desktop.gone("scan-notice").await?;
    desktop.find("entry-dialog").await?;
    assert_eq!(desktop.ask(&typed("value-pulse")).await?, "88");
    desktop.press(ESCAPE).await?;
    desktop.click("discard").await?;
    desktop.gone("entry-dialog").await?;

    // Keys that were held act in their order: the digit moves the focus, the PIN goes where it moved to.
    desktop.press(([CTRL], 'f')).await?;
    desktop.press(ESCAPE).await?;
    desktop.press(([CTRL], F12)).await?;
    desktop.find("reason-1").await?;
    desktop.type_text(&format!("1{}", nurse.pin)).await?;
    let typed = desktop
        .ask("setTimeout(() => done(document.querySelector('[data-testid=glass-secret]').value), 300)")
        .await?;
    assert_eq!(typed.as_str(), Some(nurse.pin.as_str()));
    // Identified, the band names the patient.
    desktop.press(ENTER).await?;
    desktop.find("identified").await?;
    scan(
        &desktop,
        &own,
        ("identity", "VORANDALE"),
        Some(("glass-query", "")),
    )
    .await?;
    desktop.press(ENTER).await?;
    desktop.find("emergency-card").await?;

    // Each look has its row.
    let rows = h.station.cli(&["audit", "list"], None)?.to_string();
    assert!(rows.contains(band) && rows.contains(theirs), "{rows}");
    desktop.stop().await;
    Ok(())
}

/// Vital signs and an allergy are recorded in the window while the server is away, signed in two steps, and are in the record once it is
/// back: by the keyboard alone.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_by_keys_offline_and_in_the_record_afterwards() -> Result<()> {
    let mut h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let patient = showcase(&h.seed, "anaphyla")?;
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    sign_in(&desktop, &nurse).await?;
    open_chart(&desktop, field(&patient, "mrn")?).await?;
    h.server.kill();
    desktop.text_with("status", "OFFLINE").await?;

    desktop.press(([CTRL, SHIFT], 'v')).await?;
    desktop.find("entry-dialog").await?;
    desktop.fill("value-pulse", "1888").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.text_with("fault", "10 to 300").await?;
    desktop.fill("value-pulse", "88").await?;
    desktop.fill("value-saturation", "97").await?;
    picture(&desktop, "window-entry").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.find("entry-preview").await?;
    let name = desktop.text("banner-name").await?;
    assert!(
        desktop.text("entry-sign").await?.contains(name.trim()),
        "who it is stands on the button"
    );
    assert!(
        h.station.cli(&["status"], None)?["entries"]["queued"] == 0,
        "read is not signed"
    );
    // A press right after the preview has come signs nothing: it was meant for the form.
    tokio::time::sleep(Duration::from_millis(700)).await;
    picture(&desktop, "window-entry-preview").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.gone("entry-dialog").await?;
    desktop.text_with("recorded", "NOT SENT").await?;

    desktop.press(([CTRL, SHIFT], 'a')).await?;
    desktop.fill("agent", "Suxamethonium").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.find("entry-preview").await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.gone("entry-dialog").await?;
    desktop.text_with("allergies", "Suxamethonium").await?;
    desktop.text_with("strip-unsent", "2").await?;
    picture(&desktop, "window-entries-unsent").await?;

    h.server.restart()?;
    desktop.text_with("status", "LIVE").await?;
    desktop.gone("strip-unsent").await?;
    desktop.gone("recorded").await?;
    let strip = desktop.text("allergies").await?;
    assert_eq!(strip.matches("Suxamethonium").count(), 1, "{strip}");
    assert!(!strip.contains("NOT SENT"), "{strip}");
    picture(&desktop, "window-entries-accepted").await?;
    Ok(())
}

/// A critical result reaches the locked screen, is taken up by the keyboard alone while the server is away, with what was read back to
/// the laboratory, and everybody knows once the server is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_critical_result_is_taken_up_by_keys_offline() -> Result<()> {
    let mut h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let patient = showcase(&h.seed, "anaphyla")?;
    let id = field(&patient, "id")?.to_owned();
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    let lab = Lab::connect(&h.server, id).await?;
    lab.sends(&h.server, "6.10", "HH", "final").await?;
    desktop.text_with("strip-critical", "not acknowledged").await?;
    picture(&desktop, "window-critical-locked").await?;
    sign_in(&desktop, &nurse).await?;
    open_chart(&desktop, field(&patient, "mrn")?).await?;
    let name = desktop.text("banner-name").await?;
    h.server.kill();
    desktop.text_with("status", "OFFLINE").await?;

    // From the chart to that patient's row, from there to the form.
    desktop.press(([CTRL], F11)).await?;
    desktop.find("critical").await?;
    let row = desktop
        .ask("done(document.activeElement.textContent)")
        .await?
        .to_string();
    assert!(row.contains("6.10") && row.contains(name.trim()), "{row}");
    picture(&desktop, "window-results").await?;
    desktop.press(([CTRL], F11)).await?;
    desktop.find("entry-dialog").await?;
    desktop.text_with("subject", name.trim()).await?;
    desktop.press('1').await?;
    desktop.fill("words", "calcium given").await?;
    desktop.fill("read-back", "1.6").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.text_with("fault", "another value").await?;
    desktop.fill("read-back", "potassium 6.1").await?;
    picture(&desktop, "window-results-form").await?;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.find("entry-preview").await?;
    assert!(
        desktop.text("entry-sign").await?.contains(name.trim()),
        "who it is stands on the button"
    );
    tokio::time::sleep(Duration::from_millis(700)).await;
    desktop.press(([CTRL], ENTER)).await?;
    desktop.gone("entry-dialog").await?;
    desktop.text_with("recorded", "NOT SENT").await?;
    picture(&desktop, "window-results-queued").await?;

    h.server.restart()?;
    desktop.text_with("status", "LIVE").await?;
    desktop
        .text_with("results-screen", "Seen, acting: calcium given")
        .await?;
    desktop.gone("recorded").await?;
    picture(&desktop, "window-results-done").await?;
    desktop.stop().await;
    Ok(())
}

/// The wall of live vital signs in the real window: live, then grey within five seconds, by an unplugged monitor and by a dead
/// server; and everywhere the word that this is training.
#[tokio::test(flavor = "multi_thread")]
async fn the_wall_is_live_and_what_stands_still_is_grey() -> Result<()> {
    let mut h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    desktop.text_with("training", "TRAINING").await?;
    picture(&desktop, "window-training-lock").await?;
    sign_in(&desktop, &nurse).await?;
    desktop.press(([CTRL], 'b')).await?;
    desktop.find("board-screen").await?;
    desktop.press('v').await?;
    desktop.find("wall-screen").await?;
    desktop.text_with("wall-claim", "Not an alarm").await?;

    let gateway = Arc::new(Gateway::connect(&h.server).await?);
    let on = Arc::new(AtomicBool::new(true));
    let (plugged, sender) = (on.clone(), gateway.clone());
    tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        for k in 0.. {
            second.tick().await;
            for n in 0..24 {
                if n > 0 || plugged.load(Ordering::SeqCst) {
                    let patient = vitrine_synthetic::patient_id(n);
                    let pulse = 60 + u32::try_from(n).unwrap_or(0) * 3 + k % 4;
                    let _ = sender.says(&patient, pulse, Some(97)).await;
                }
            }
        }
    });
    let first = vitrine_synthetic::patient_id(0);
    let state = format!(
        "done(document.querySelector('[data-testid=wall-bed][data-patient=\"{first}\"]')?.dataset.state ?? '')"
    );
    let is = async |want: &str, within: Duration| -> Result<()> {
        let seen = async {
            while desktop.ask(&state).await? != want {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        let seen = tokio::time::timeout(within, seen).await;
        seen.with_context(|| format!("not {want} within {within:?}"))?
    };
    let (soon, grey) = (Duration::from_secs(20), Duration::from_secs(6));
    is("live", soon).await?;
    picture(&desktop, "window-wall").await?;
    on.store(false, Ordering::SeqCst);
    is("not-live", grey).await?;
    picture(&desktop, "window-wall-unplugged").await?;
    on.store(true, Ordering::SeqCst);
    is("live", soon).await?;
    h.server.kill();
    is("not-live", grey).await?;
    picture(&desktop, "window-wall-dead").await?;
    assert_eq!(desktop.client.title().await?, "TRAINING — Vitrine");
    desktop.stop().await;
    Ok(())
}

/// Card after card through the real window, as a nurse opens them.
#[tokio::test(flavor = "multi_thread")]
async fn card_after_card_is_painted() -> Result<()> {
    let mut h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let patient = showcase(&h.seed, "anaphyla")?;
    h.server.kill();
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    let mut times = time_cards(&desktop, &nurse, field(&patient, "mrn")?, 10).await?;
    println!("{times:?}");
    // How long a window takes is a figure of `cargo xtask bench`, on the release build and a quiet machine; here only a
    // card that waits for something would be seen.
    times.sort_by(|a, b| a.painted_ms.total_cmp(&b.painted_ms));
    let median = times.get(times.len() / 2).context("no card")?;
    assert!(times.iter().all(|t| t.engine_ms < 1_000.0), "{times:?}");
    assert!(median.painted_ms < 1_000.0, "the median card took {median:?}");
    desktop.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_opens_nothing_and_escape_leaves_nothing() -> Result<()> {
    let h = hospital().await?;
    let nurse = person(&h.seed, "nurse", "ED")?;
    let desktop = Desktop::start(&automation_bin(), &h.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.fill("user", &nurse.user).await?;
    desktop.fill("secret", "000001").await?;
    desktop.press(ENTER).await?;
    desktop.find("sign-in-error").await?;
    assert!(!desktop.has("search-screen").await);

    desktop.press(([CTRL], F12)).await?;
    desktop.find("reason-1").await?;
    desktop.type_text("2").await?;
    desktop.type_text(&nurse.user).await?;
    desktop.fill("glass-secret", "000002").await?;
    desktop.press(ENTER).await?;
    desktop.find("glass-error").await?;
    assert!(!desktop.has("glass-query").await, "no search before identity");
    desktop.press(ESCAPE).await?;
    desktop.gone("break-glass").await?;
    let kept = desktop
        .ask("done([...document.querySelectorAll('input')].map((i) => i.value).join(''))")
        .await?;
    assert!(!kept.as_str().unwrap_or_default().contains("00000"), "{kept}");
    desktop.stop().await;
    Ok(())
}
