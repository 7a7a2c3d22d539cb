//! Workstations of the harness: a profile folder, enrolled by a real one-time code, driven by the real `vitrine-cli`.

use crate::server::{Server, run, run_json, text};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A workstation.
pub struct Station {
    /// Its profile folder.
    pub profile: PathBuf,
}

/// Somebody on the staff of the synthetic hospital.
#[derive(Debug, Clone)]
pub struct Person {
    /// Sign-in name.
    pub user: String,
    /// Password.
    pub password: String,
    /// PIN.
    pub pin: String,
}

/// The first person with that role and ward in the JSON of `vitrine-server demo`.
///
/// # Errors
/// When there is none.
pub fn person(seed: &Value, role: &str, ward: &str) -> Result<Person> {
    let p = seed["staff"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|s| s["role"] == role && s["ward"] == ward)
        .with_context(|| format!("no {role} of {ward} on the staff"))?;
    let field = |name: &str| {
        p[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| name.to_owned())
    };
    Ok(Person {
        user: field("user")?,
        password: field("password")?,
        pin: field("pin")?,
    })
}

/// A patient worth opening, by a word of what it shows and the ward.
///
/// # Errors
/// When there is none.
pub fn showcase(seed: &Value, word: &str) -> Result<Value> {
    seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| {
            p["shows"]
                .as_str()
                .is_some_and(|s| s.to_lowercase().contains(word))
        })
        .cloned()
        .with_context(|| format!("no patient shows '{word}': {}", seed["patients"]))
}

impl Station {
    /// Enrols a workstation of `ward` that holds the essentials of the whole site, at `url` (the server's own, or a
    /// proxy's in front of it).
    ///
    /// # Errors
    /// When the code or the enrolment is refused.
    pub fn enrol(server: &Server, url: &str, profile: &Path, ward: &str) -> Result<Self> {
        let code = run_json(
            "vitrine-server",
            &[
                "enrol",
                "--data",
                &text(&server.data),
                "--ward",
                ward,
                "--site",
                "--json",
            ],
            None,
        )?;
        let code = code["code"].as_str().context("code")?.to_owned();
        let station = Self {
            profile: profile.to_path_buf(),
        };
        // Whatever machine the tests run on, they put nothing into its TPM.
        let file = ["--sealer", "file"];
        station.cli(
            &[&["enrol", "--server", url, "--code", &code], &file[..]].concat(),
            None,
        )?;
        Ok(station)
    }

    /// Runs `vitrine-cli --json` with this profile and reads what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn cli(&self, args: &[&str], stdin: Option<&str>) -> Result<Value> {
        let profile = text(&self.profile);
        let mut all = vec!["--profile", profile.as_str(), "--json"];
        all.extend(args);
        run_json("vitrine-cli", &all, stdin)
    }

    /// Runs an act for somebody by name and PIN, for this act alone.
    ///
    /// # Errors
    /// When it fails.
    pub fn by(&self, who: &Person, act: &[&str]) -> Result<Value> {
        self.signed(who, &who.pin, act)
    }

    /// The board for somebody who signs in here with the password while the server is there: known here from now on, also without it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn first_board(&self, who: &Person) -> Result<Value> {
        self.signed(who, &who.password, &["board"])
    }

    fn signed(&self, who: &Person, secret: &str, act: &[&str]) -> Result<Value> {
        let mut all = act.to_vec();
        all.extend(["--user", &who.user, "--secret-stdin"]);
        self.cli(&all, Some(&format!("{secret}\n")))
    }

    /// The same, for a command that is meant to fail: its exit code and what it said.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn refused(&self, args: &[&str], stdin: Option<&str>) -> Result<(i32, String)> {
        let profile = text(&self.profile);
        let mut all = vec!["--profile", profile.as_str(), "--json"];
        all.extend(args);
        let out = run("vitrine-cli", &all, stdin)?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        ensure!(
            !out.status.success(),
            "{} was not refused: {said}",
            args.join(" ")
        );
        Ok((out.status.code().unwrap_or(-1), said))
    }

    /// Synchronises until current.
    ///
    /// # Errors
    /// When it does not become current.
    pub fn sync(&self) -> Result<Value> {
        self.cli(&["sync", "--until-current"], None)
    }

    /// Breaks the glass.
    ///
    /// # Errors
    /// When it is refused.
    pub fn emergency(&self, patient: &str, who: &Person) -> Result<Value> {
        self.cli(
            &[
                "emergency",
                patient,
                "--reason",
                "life-threatening",
                "--user",
                &who.user,
                "--secret-stdin",
            ],
            Some(&format!("{}\n", who.pin)),
        )
    }
}
