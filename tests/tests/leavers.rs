//! Somebody leaves, or gets new secrets: at the server, and this workstation hears of it or does not.
//!
//! Time is the machine's own, moved by `faketime` for single runs of the real program.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use vitrine_engine::keys::{DeviceKey, FileSealer, Slots};
use vitrine_engine::profile::Profile;
use vitrine_tests::bin;
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Person, Station, person};

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    station: Station,
    nurse: Person,
    doctor: Person,
    patient: String,
}

/// A workstation of the ED at which a nurse and a physician have keys.
fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let (nurse, doctor) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    let mut patient = String::new();
    for who in [&nurse, &doctor] {
        // With each secret once while the server is there: a key for the password, a key for the PIN.
        patient = station.first_board(who)?["rows"][0]["patient"]
            .as_str()
            .context("a patient of the ED")?
            .to_owned();
        station.by(who, &["chart", &patient, "--wait", "20"])?;
    }
    station.sync()?;
    Ok(World {
        _dir: dir,
        server,
        station,
        nurse,
        doctor,
        patient,
    })
}

/// One run of `vitrine-cli` with the machine's clock moved: exit code and what it said.
fn at(station: &Station, shift: &str, args: &[&str], secret: &str) -> Result<(i32, String)> {
    let mut child = Command::new("faketime")
        .args(["--exclude-monotonic", "-f", shift])
        .arg(bin("vitrine-cli"))
        .args(["--profile", &text(&station.profile), "--json"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("faketime: `cargo xtask test` installs it")?;
    writeln!(child.stdin.take().context("stdin")?, "{secret}")?;
    let out = child.wait_with_output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok((out.status.code().unwrap_or(-1), said))
}

fn board_at(station: &Station, shift: &str, who: &Person, secret: &str) -> Result<(i32, String)> {
    at(
        station,
        shift,
        &["board", "--user", &who.user, "--secret-stdin"],
        secret,
    )
}

fn emergency_at(w: &World, shift: &str, who: &Person, secret: &str) -> Result<(i32, String)> {
    let words = [
        "emergency",
        &w.patient,
        "--reason",
        "life-threatening",
        "--user",
        &who.user,
        "--secret-stdin",
    ];
    at(&w.station, shift, &words, secret)
}

fn disable(server: &Server, user: &str) -> Result<Value> {
    let words = ["user", "disable", user, "--data", &text(&server.data), "--json"];
    run_json("vitrine-server", &words, None)
}

/// `vitrine-server user …`, with lines for stdin.
fn user(server: &Server, words: &[&str], stdin: Option<&str>) -> Result<Value> {
    let data = text(&server.data);
    run_json(
        "vitrine-server",
        &[&["user"], words, &["--data", &data, "--json"]].concat(),
        stdin,
    )
}

fn field(value: &Value, name: &str) -> Result<String> {
    let field = value[name]
        .as_str()
        .with_context(|| format!("{name} in {value}"))?;
    Ok(field.to_owned())
}

fn slots_of(station: &Station, user: &str) -> Result<Vec<String>> {
    let profile = Profile::at(&station.profile)?;
    let device = DeviceKey::open(&profile.device_key(), &FileSealer::new(profile.dir()))?;
    let id = profile.read_device()?.context("device.json")?.device;
    let (slots, _) = Slots::open(&profile.slots(), &id, device.dk())?;
    Ok(slots.of(user).map(|s| s.records.clone()).collect())
}

#[test]
fn whoever_is_disabled_is_out_once_the_workstation_hears_of_it_and_their_keys_are_gone() -> Result<()> {
    let mut w = world()?;
    let files = slots_of(&w.station, &w.nurse.user)?;
    ensure!(!files.is_empty(), "the nurse has keys here");
    ensure!(w.station.profile.join(&files[0]).exists());
    disable(&w.server, &w.nurse.user)?;
    w.station.sync()?;
    ensure!(
        slots_of(&w.station, &w.nurse.user)?.is_empty(),
        "the keys are still here"
    );
    for file in &files {
        ensure!(!w.station.profile.join(file).exists(), "{file} is still here");
    }
    // With the server and without it; with each secret; in an emergency neither.
    for _ in 0..2 {
        for secret in [&w.nurse.pin, &w.nurse.password] {
            let (code, said) = board_at(&w.station, "+0", &w.nurse, secret)?;
            ensure!(code == 6 && said.contains("disabled"), "{code}: {said}");
        }
        let (code, said) = emergency_at(&w, "+0", &w.nurse, &w.nurse.pin)?;
        ensure!(code == 6 && said.contains("disabled"), "{code}: {said}");
        w.station.by(&w.doctor, &["board"])?;
        w.server.kill();
    }
    Ok(())
}

#[test]
fn a_workstation_that_hears_nothing_lets_nobody_in_past_the_horizon_and_no_clock_prolongs_it() -> Result<()> {
    let mut w = world()?;
    disable(&w.server, &w.nurse.user)?;
    w.server.kill();
    // It cannot know: this is what the horizon bounds.
    let (code, said) = board_at(&w.station, "+13d", &w.nurse, &w.nurse.pin)?;
    ensure!(code == 0, "{code}: {said}");
    let status = at(&w.station, "+12d", &["status"], "")?.1;
    let alarms = serde_json::from_str::<Value>(&status)?["alarms"].clone();
    ensure!(
        alarms.to_string().contains("signing in here works for"),
        "the end is said before: {alarms}"
    );
    for who in [&w.nurse, &w.doctor] {
        for secret in [&who.pin, &who.password] {
            let (code, said) = board_at(&w.station, "+15d", who, secret)?;
            ensure!(
                code == 6 && said.contains("no contact with the server for 14 days"),
                "{code}: {said}"
            );
        }
    }
    // Emergency access stays open, by whatever clock.
    for shift in ["+15d", "+0", "-30d"] {
        let (code, said) = emergency_at(&w, shift, &w.doctor, &w.doctor.pin)?;
        ensure!(code == 0, "{shift}: {code}: {said}");
    }
    // Set back: time that was reached is not given back, over as many starts as one likes.
    for shift in ["+0", "-1d", "-30d", "+1d"] {
        for who in [&w.nurse, &w.doctor] {
            let (code, said) = board_at(&w.station, shift, who, &who.pin)?;
            ensure!(code == 6 && said.contains("14 days"), "{shift}: {code}: {said}");
        }
    }
    // The server is back: it says who works here.
    w.server.restart()?;
    w.station.sync()?;
    w.station.by(&w.doctor, &["board"])?;
    w.server.kill();
    w.station.by(&w.doctor, &["chart", &w.patient])?;
    let (code, said) = board_at(&w.station, "+0", &w.nurse, &w.nurse.pin)?;
    ensure!(code == 6 && said.contains("disabled"), "{code}: {said}");
    Ok(())
}

#[test]
fn the_servers_own_horizon_is_taken_when_it_is_heard() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    std::fs::write(
        w.server.data.join("vitrine.toml"),
        "[sessions]\noffline_days = 2\n",
    )?;
    let (code, said) = board_at(&w.station, "+3d", &w.doctor, &w.doctor.pin)?;
    ensure!(code == 0, "not heard yet: {code}: {said}");
    w.server.restart()?;
    w.station.sync()?;
    w.server.kill();
    let (code, said) = board_at(&w.station, "+1d", &w.doctor, &w.doctor.pin)?;
    ensure!(code == 0, "{code}: {said}");
    let (code, said) = board_at(&w.station, "+3d", &w.doctor, &w.doctor.pin)?;
    ensure!(code == 6 && said.contains("for 2 days"), "{code}: {said}");
    Ok(())
}

#[test]
fn waits_after_wrong_pins_hold_over_restarts_and_a_clock_set_back_and_end() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    // Each try is a program of its own.
    for n in 0..5 {
        let (code, said) = board_at(&w.station, "+0", &w.doctor, &format!("90817{n}"))?;
        ensure!(code == 6 && said.contains("wrong"), "{code}: {said}");
    }
    for shift in ["+0", "-2d", "-2d"] {
        let (code, said) = board_at(&w.station, shift, &w.doctor, &w.doctor.pin)?;
        ensure!(
            code == 6 && said.contains("Too many wrong tries"),
            "{shift}: {code}: {said}"
        );
        let (code, said) = emergency_at(&w, shift, &w.doctor, &w.doctor.pin)?;
        ensure!(code == 0, "{shift}: emergency access waits: {code}: {said}");
        let (code, said) = board_at(&w.station, shift, &w.nurse, &w.nurse.pin)?;
        ensure!(code == 0, "{shift}: somebody else waits: {code}: {said}");
    }
    // With the clock two days back it ends after half a minute by that clock, not after two days.
    std::thread::sleep(std::time::Duration::from_secs(31));
    let (code, said) = board_at(&w.station, "-2d", &w.doctor, &w.doctor.pin)?;
    ensure!(code == 0, "the right PIN after the wait: {code}: {said}");
    Ok(())
}

#[test]
fn what_a_password_opened_goes_once_it_is_another_one_and_what_the_pin_opened_stays() -> Result<()> {
    let mut w = world()?;
    let before = slots_of(&w.station, &w.nurse.user)?;
    let others = slots_of(&w.station, &w.doctor.user)?;
    ensure!(before.len() == 2, "a key for each secret: {before:?}");
    let new = user(&w.server, &["secret", &w.nurse.user, "--only", "password"], None)?;
    ensure!(
        new["changed"] == serde_json::json!(["password"]) && new["pin"].is_null(),
        "{new}"
    );
    let new = field(&new, "password")?;
    w.station.sync()?;
    let left = slots_of(&w.station, &w.nurse.user)?;
    ensure!(
        left.len() == 1 && before.contains(&left[0]),
        "{before:?} {left:?}"
    );
    for file in before.iter().filter(|f| !left.contains(f)) {
        ensure!(!w.station.profile.join(file).exists(), "{file} is still here");
    }
    ensure!(slots_of(&w.station, &w.doctor.user)? == others, "nobody else's");
    // The old one opens nothing, with the server and without it; the PIN opens what it did.
    for _ in 0..2 {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, &w.nurse.password)?;
        ensure!(code == 6 && said.contains("wrong"), "{code}: {said}");
        w.station.by(&w.nurse, &["chart", &w.patient])?;
        w.server.kill();
    }
    let (code, said) = board_at(&w.station, "+0", &w.nurse, &new)?;
    ensure!(code == 6, "it was never here: {code}: {said}");
    // With the server once, then without it.
    w.server.restart()?;
    w.station.sync()?;
    for _ in 0..2 {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, &new)?;
        ensure!(code == 0, "{code}: {said}");
        w.server.kill();
    }
    Ok(())
}

#[test]
fn a_pin_that_was_changed_opens_nothing_not_even_in_an_emergency() -> Result<()> {
    let mut w = world()?;
    let before = slots_of(&w.station, &w.nurse.user)?;
    let chosen = "802461";
    let words = ["secret", &w.nurse.user, "--only", "pin", "--secret-stdin"];
    let said = user(&w.server, &words, Some(&format!("{chosen}\n")))?;
    ensure!(said["pin"].is_null(), "what was given is not printed: {said}");
    w.station.sync()?;
    let left = slots_of(&w.station, &w.nurse.user)?;
    ensure!(
        left.len() == 1 && before.contains(&left[0]),
        "{before:?} {left:?}"
    );
    for _ in 0..2 {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, &w.nurse.pin)?;
        ensure!(code == 6 && said.contains("wrong"), "{code}: {said}");
        let (code, said) = emergency_at(&w, "+0", &w.nurse, &w.nurse.pin)?;
        ensure!(code == 6, "{code}: {said}");
        let (code, said) = emergency_at(&w, "+0", &w.nurse, chosen)?;
        ensure!(code == 0, "{code}: {said}");
        let (code, said) = board_at(&w.station, "+0", &w.nurse, chosen)?;
        ensure!(code == 0, "{code}: {said}");
        w.server.kill();
    }
    Ok(())
}

#[test]
fn whoever_comes_back_gets_new_secrets_and_the_old_ones_open_nothing() -> Result<()> {
    let w = world()?;
    let name = w.nurse.user.as_str();
    let refused = |words: &[&str], stdin: Option<&str>, why: &str| -> Result<()> {
        let Err(error) = user(&w.server, words, stdin) else {
            anyhow::bail!("{words:?} was not refused");
        };
        ensure!(format!("{error:#}").contains(why), "{words:?}: {error:#}");
        Ok(())
    };
    refused(&["enable", name], None, "is not disabled")?;
    disable(&w.server, name)?;
    w.station.sync()?;
    refused(
        &["secret", name],
        None,
        "is disabled: 'vitrine-server user enable",
    )?;
    refused(&["secret", "nobody-here"], None, "there is no user")?;
    refused(
        &["enable", name, "--secret-stdin"],
        Some("a password of words\n"),
        "gets new secrets",
    )?;
    refused(
        &["enable", name, "--secret-stdin"],
        Some("a password of words\n123456\n"),
        "a row or a run",
    )?;
    let new = user(&w.server, &["enable", name], None)?;
    let (password, pin) = (field(&new, "password")?, field(&new, "pin")?);
    w.station.sync()?;
    for old in [&w.nurse.password, &w.nurse.pin] {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, old)?;
        ensure!(code == 6 && said.contains("wrong"), "{code}: {said}");
    }
    for secret in [&password, &pin] {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, secret)?;
        ensure!(code == 0, "{code}: {said}");
    }
    // What was done stands in the audit, and no secret does.
    let found = run_json(
        "vitrine-server",
        &[
            "audit",
            "find",
            "--action",
            "manage-users",
            "--data",
            &text(&w.server.data),
            "--json",
        ],
        None,
    )?
    .to_string();
    ensure!(
        found.contains("enable") && !found.contains(&password) && !found.contains(&pin),
        "{found}"
    );
    Ok(())
}

#[test]
fn whoever_knows_the_password_gives_themselves_a_pin_and_a_password() -> Result<()> {
    let mut w = world()?;
    let change = |which: &str, now: &str, new: &str| {
        let lines = format!("{now}\n{new}");
        at(
            &w.station,
            "+0",
            &["change-secret", which, "--user", &w.nurse.user],
            &lines,
        )
    };
    let before = slots_of(&w.station, &w.nurse.user)?;
    let password = "another one of words";
    for (which, now, new, why) in [
        ("pin", w.nurse.password.as_str(), "123456", "a row or a run"),
        ("pin", &w.nurse.password, "4711", "6 to 12 digits"),
        ("pin", &w.nurse.pin, "802461", "wrong"),
        ("password", &w.nurse.password, "short", "at least 12"),
        (
            "password",
            &w.nurse.password,
            &w.nurse.password,
            "the password you have",
        ),
    ] {
        let (code, said) = change(which, now, new)?;
        ensure!(code != 0 && said.contains(why), "{which} {new}: {code}: {said}");
    }
    ensure!(
        slots_of(&w.station, &w.nurse.user)? == before,
        "nothing was changed"
    );
    for (which, now, new) in [
        ("pin", w.nurse.password.as_str(), "802461"),
        ("password", &w.nurse.password, password),
    ] {
        let (code, said) = change(which, now, new)?;
        ensure!(code == 0, "{which}: {code}: {said}");
    }
    w.station.sync()?;
    ensure!(
        !slots_of(&w.station, &w.nurse.user)?
            .iter()
            .any(|s| before.contains(s)),
        "what the old ones opened is still here"
    );
    for old in [&w.nurse.password, &w.nurse.pin] {
        let (code, said) = board_at(&w.station, "+0", &w.nurse, old)?;
        ensure!(code == 6 && said.contains("wrong"), "{code}: {said}");
    }
    for _ in 0..2 {
        for new in [password, "802461"] {
            let (code, said) = board_at(&w.station, "+0", &w.nurse, new)?;
            ensure!(code == 0, "{code}: {said}");
        }
        w.server.kill();
    }
    // Without the server nothing is changed, and it is said why.
    let (code, said) = at(
        &w.station,
        "+0",
        &["change-secret", "pin", "--user", &w.nurse.user],
        &format!("{password}\n914275"),
    )?;
    ensure!(
        code != 0 && said.contains("at the server alone"),
        "{code}: {said}"
    );
    w.server.restart()?;
    let found = run_json(
        "vitrine-server",
        &[
            "audit",
            "find",
            "--action",
            "change-secret",
            "--data",
            &text(&w.server.data),
            "--json",
        ],
        None,
    )?;
    let rows = found["rows"].as_array().context("rows")?;
    let own = rows
        .iter()
        .filter(|r| r.to_string().contains("own-secret"))
        .count();
    let wrong = rows
        .iter()
        .filter(|r| r.to_string().contains("wrong-secret"))
        .count();
    ensure!(
        own == 2 && !found.to_string().contains("802461"),
        "{own} {wrong}: {found}"
    );
    Ok(())
}
