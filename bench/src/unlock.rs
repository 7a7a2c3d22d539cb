//! Fast user switch by badge and PIN, where the provider is the way in and does not answer: with the server, without it, and while
//! packets vanish (capabilities.md A2, E7: two seconds).

use crate::report::Report;
use crate::world::{SETUP, World, ms};
use anyhow::{Context as _, Result};
use std::time::Instant;
use vitrine_engine::Workstation;
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::{free_port, run_json, text};
use vitrine_tests::station::Person;

/// Two people take turns: the badge at the reader, the PIN, in; the other one's session ends by it.
fn switches(world: &World, station: &Workstation, people: &[(Person, String)], n: usize) -> Result<Vec<f64>> {
    let mut out = Vec::with_capacity(n);
    for (who, badge) in people.iter().cycle().take(n) {
        let from = Instant::now();
        let view = world.runtime.block_on(async {
            let picked = station.badge(badge).await?;
            station.sign_in_by_badge(&picked.token, &who.pin).await
        })?;
        out.push(ms(from));
        anyhow::ensure!(view.user == who.user, "somebody else is in");
        // What the server is asked behind it is not part of the switch, and must not pile up.
        world
            .runtime
            .block_on(station.settled(std::time::Duration::from_secs(20)));
    }
    Ok(out)
}

pub fn unlock(report: &mut Report, quick: bool) -> Result<()> {
    let n = if quick { 10 } else { 60 };
    // Nobody listens where the provider would be.
    let config = format!(
        "[oidc]\nissuer = \"http://127.0.0.1:{}\"\nclient_id = \"vitrine\"\nrequire = true\n",
        free_port()?
    );
    let mut world = World::with(160, None, &config)?;
    let proxy = world.runtime.block_on(Proxy::start(world.server.addr))?;
    let mut people = Vec::new();
    for (n, role) in ["nurse", "physician"].into_iter().enumerate() {
        let who = vitrine_tests::station::person(&world.seed, role, "ED")?;
        let badge = format!("04A1B2C3D4E5{n:02}");
        let args = [
            "user",
            "badge",
            "add",
            &who.user,
            "--data",
            &text(&world.server.data),
            "--json",
        ];
        run_json("vitrine-server", &args, Some(&format!("{badge}\n"))).context("a badge")?;
        people.push((who, badge));
    }
    let station = world.station("ed-07", &format!("https://{}", proxy.addr))?;
    let setup =
        format!("{SETUP}; two people in turn, each with their own key; the provider is the way in and down");
    // The first time with the server makes their keys.
    switches(&world, &station, &people, people.len())?;
    for (name, line, what) in [
        ("badge_pin_server", None, "server reachable"),
        (
            "badge_pin_blackhole",
            Some(Line::BlackHole),
            "packets to the server vanish",
        ),
        ("badge_pin_alone", Some(Line::Refused), "server killed"),
    ] {
        if let Some(line) = line {
            proxy.set(line);
        }
        if name == "badge_pin_alone" {
            world.server.kill();
        }
        let mut took = switches(&world, &station, &people, n)?;
        report.add_ms("unlock", name, &mut took, &format!("{setup}; {what}"));
    }
    Ok(())
}
