//! The click on a series in the real window, at a ward's 100 Mbit/s.

use super::link::{self, LINKS};
use super::series::Series;
use super::{Bench, SETUP};
use crate::report::Report;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use vitrine_desktop_tests::act::{open_chart, sign_in};
use vitrine_desktop_tests::{CTRL, Desktop, ESCAPE, automation_bin};

/// Time for what was opened before to come whole.
const REST: Duration = Duration::from_millis(1_200);
/// The longest that anything kept the screen's thread, since the question before.
const LONGEST: &str = "const t = window.longest ?? 0; window.longest = 0; done(t)";
/// WebKit has no `longtask`: a timer that comes late tells the same.
const WATCH: &str = "window.longest = 0; let before = performance.now(); setInterval(() => { const now = performance.now(); \
                     window.longest = Math.max(window.longest, now - before - 4); before = now; }, 4); done(0)";

/// Each series is clicked once, in a workstation that has none of them.
pub fn clicks(report: &mut Report, bench: &Bench, series: &[Series]) -> Result<()> {
    let mrn = series.first().context("series")?.phantom.subject.id.clone();
    drop(bench.fresh()?);
    let profile = bench.profile();
    link::shape(LINKS[1])?;
    let (mut preview, mut exact, mut longest) = (Vec::new(), Vec::new(), Vec::new());
    bench.world.runtime.block_on(async {
        let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
        sign_in(&desktop, &bench.nurse).await?;
        open_chart(&desktop, &mrn).await?;
        desktop.press(([CTRL], '8')).await?;
        desktop.find("study").await?;
        desktop.ask(WATCH).await?;
        for (i, s) in series.iter().enumerate() {
            if i > 0 {
                // Back from the viewer to the studies.
                desktop.press(ESCAPE).await?;
                desktop.find("study").await?;
            }
            tokio::time::sleep(REST).await;
            desktop.ask(LONGEST).await?;
            let click = format!(
                "const all = [...document.querySelectorAll('[data-testid=\"series\"]')]; const one = all.find((e) => \
                 e.dataset.uid === '{}'); one?.scrollIntoView(); one?.click(); done(one !== undefined)",
                s.series()
            );
            ensure!(desktop.ask(&click).await? == true, "series {i} is not on the screen");
            for (name, list) in [("image-preview", &mut preview), ("image-exact", &mut exact)] {
                let mark = desktop.mark_after(name, i).await?;
                list.push(mark["since_key_ms"].as_f64().context("since_key_ms")?);
            }
            longest.push(desktop.ask(LONGEST).await?.as_f64().context("a time")?);
        }
        desktop.stop().await;
        Ok::<_, anyhow::Error>(())
    })?;
    link::free()?;
    let setup = format!(
        "{SETUP}; the window under Xvfb, software rendering, 100 Mbit/s, MR series that are not here"
    );
    report.add_ms("imaging", "window_click_first", &mut preview, &setup);
    report.add_ms("imaging", "window_click_exact", &mut exact, &setup);
    report.add_ms(
        "imaging",
        "window_thread_held",
        &mut longest,
        &format!("{setup}; the longest wait of a timer of 4 ms around each click"),
    );
    Ok(())
}
