//! A random walk through a real workstation at a real server, half of it with the server gone: what was shown equals the rows
//! of the workstation's chain that reach the server exactly. None is missing, none is too many, and ids and versions are
//! those that the server itself gives by its other interfaces.
//!
//! `VITRINE_ACCESSES`: how many rows (160 unless it says otherwise). `VITRINE_ACCESS_SEED`: where the dice begin.

#![allow(clippy::disallowed_methods)] // a test waits by the clock
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use vitrine_engine::{BreakGlass, EngineError, Identity, Options, Workstation};
use vitrine_tests::server::{Server, run_json, text};
use zeroize::Zeroizing;

#[path = "shown/truth.rs"]
mod truth;
use truth::Truth;

/// Rows of one round with the server, and as many without it.
const HALF: usize = 40;
const LIMIT: Duration = Duration::from_secs(120);

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % n as u64).unwrap_or(0)
    }
    fn of<'t, T>(&mut self, some: &'t [T]) -> &'t T {
        &some[self.roll(some.len())]
    }
}

type Shown = Vec<(String, u64)>;

/// What one row has to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    act: String,
    permit: bool,
    patient: Option<String>,
    /// Ids with versions, sorted.
    shown: Shown,
    /// What it was for, as the row notes it.
    notes: BTreeMap<&'static str, String>,
}

struct Walk {
    dir: tempfile::TempDir,
    truth: Truth,
    w: Option<Workstation>,
    /// Patients of the grants in force.
    broken: Vec<String>,
    dice: Dice,
    /// The rows due in the order of the acts; those of one act come in any order.
    due: Vec<Vec<Due>>,
    /// How often each act was done, with the server and without.
    done: BTreeMap<(&'static str, bool), u64>,
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("a number"))
}

fn sorted(mut shown: Shown) -> Shown {
    shown.sort();
    shown
}

impl Walk {
    fn new(seed: u64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let truth = Truth::new(dir.path(), &dir.path().join("ed-07"))?;
        Ok(Self {
            dir,
            truth,
            w: None,
            broken: Vec::new(),
            dice: Dice(seed),
            due: Vec::new(),
            done: BTreeMap::new(),
        })
    }

    fn w(&self) -> Result<Workstation> {
        self.w.clone().context("the workstation is closed")
    }

    fn due(&mut self, act: &str, permit: bool, patient: Option<&str>, shown: Shown) -> &mut Due {
        let due = Due {
            act: act.to_owned(),
            permit,
            patient: patient.map(str::to_owned),
            shown: sorted(shown),
            notes: BTreeMap::new(),
        };
        self.due.push(vec![due]);
        self.due.last_mut().and_then(|g| g.last_mut()).expect("the one")
    }

    fn card(&self, patient: &str) -> (String, u64) {
        (format!("EmergencyCard/{patient}"), self.truth.cards[patient])
    }

    /// One row for each of these cards, in one act after another.
    fn cards(&mut self, patients: impl Iterator<Item = String>, purpose: &str) {
        let of = |patient: String| Due {
            act: "read-card".to_owned(),
            permit: true,
            shown: vec![self.card(&patient)],
            patient: Some(patient),
            notes: BTreeMap::from([("use", purpose.to_owned())]),
        };
        let all: Vec<Due> = patients.map(of).collect();
        if !all.is_empty() {
            self.due.push(all);
        }
    }

    fn board(&mut self, patients: Vec<String>, list: Option<&str>) -> Result<()> {
        ensure!(!patients.is_empty(), "an empty board");
        let version = |p: &String| (format!("Patient/{p}"), self.truth.board[p]);
        let shown = patients.iter().map(version).collect();
        let due = self.due("view-board", true, None, shown);
        due.notes.extend(list.map(|l| ("list", l.to_owned())));
        Ok(())
    }

    /// A chart, and whether the record was in it.
    fn chart(&mut self, patient: &str) -> Result<bool> {
        let w = self.w()?;
        let opened = self.truth.rt.block_on(w.chart(patient));
        let allowed = self.truth.board.contains_key(patient) || self.broken.iter().any(|p| p == patient);
        let view = match opened {
            Err(EngineError::Denied { .. }) if !allowed => {
                self.due("read-chart", false, Some(patient), Vec::new());
                return Ok(false);
            }
            opened => opened?,
        };
        ensure!(allowed, "{patient} was opened");
        let mut shown = vec![self.card(patient)];
        let known = self.truth.records.get(patient);
        if view.resources > 0 {
            let record = known.and_then(|k| k.get(&view.resources));
            shown.extend(
                record
                    .with_context(|| format!("a record of {} resources", view.resources))?
                    .clone(),
            );
        }
        let newest = known.and_then(|k| k.keys().next_back()).copied();
        self.due("read-chart", true, Some(patient), shown);
        Ok(newest == Some(view.resources))
    }

    fn search(&mut self, emergency: bool) -> Result<()> {
        let w = self.w()?;
        let words = self.dice.of(&self.truth.words).clone();
        let view = self.truth.rt.block_on(async {
            if emergency {
                let token = w.identify(&self.truth.nurse.user, &self.truth.nurse.pin).await?;
                w.emergency_search(&token, &words).await
            } else {
                w.search(&words).await
            }
        })?;
        // Whoever is found is found with the card's version.
        let version = |p: &String| (format!("Patient/{p}"), self.truth.cards[p]);
        let shown = view.rows.iter().map(|r| version(&r.patient)).collect();
        let unasked = words.is_empty();
        ensure!(!unasked || view.rows.is_empty(), "nobody was looked for");
        if unasked {
            // Nothing is read without words, and no row says that something was.
            return Ok(());
        }
        let due = self.due("search-patients", true, None, shown);
        due.notes.insert("query", words);
        due.notes
            .extend(emergency.then(|| ("emergency", "yes".to_owned())));
        Ok(())
    }

    fn pictures(&mut self) -> Result<()> {
        let w = self.w()?;
        let patient = self.truth.pictured.clone();
        let reports = self.truth.records[&patient]
            .values()
            .next_back()
            .context("a record")?
            .iter();
        let reports =
            reports.filter(|(k, _)| k.starts_with("DiagnosticReport/") || k.starts_with("ImagingStudy/"));
        let list = self.truth.rt.block_on(w.images(&patient))?;
        let study = list.studies.first().context("a study")?;
        // Where the record is not here, the list says so of the reports, and shows none.
        let known = study.report_text != "report not known here";
        let mut shown: Shown = reports.filter(|_| known).cloned().collect();
        // A DICOM study has no versions.
        shown.extend(
            list.studies
                .iter()
                .map(|s| (format!("ImagingStudy/{}", s.uid), 0)),
        );
        let due = self.due("read-chart", true, Some(&patient), shown);
        due.notes.insert("section", "images".to_owned());
        let series = study.series.first().context("a series")?;
        // The small picture belongs to the list: it is shown by its leave, and has no row of its own.
        let path = series.thumbnail.as_deref().context("a small picture")?;
        let token = path.split('/').nth(1).context("its token")?;
        ensure!(
            self.truth
                .rt
                .block_on(w.image_thumbnail(token, &series.uid))
                .is_some(),
            "no small picture"
        );
        if self.dice.roll(2) == 0 {
            let view = self
                .truth
                .rt
                .block_on(w.image_open(&patient, &study.uid, &series.uid, 256))?;
            ensure!(!view.frames.is_empty(), "no frames");
            w.image_close(view.view);
            let shown = vec![self.card(&patient), (format!("ImagingStudy/{}", study.uid), 0)];
            let due = self.due("read-chart", true, Some(&patient), shown);
            due.notes.insert("study", study.uid.clone());
            due.notes.insert("series", series.uid.clone());
        }
        Ok(())
    }

    /// Whoever is there leaves: what was opened in an emergency ends with it.
    fn lock(&mut self) -> Result<()> {
        self.w()?.lock();
        let broken = std::mem::take(&mut self.broken);
        self.due("sign-out", true, None, Vec::new());
        let ends = broken.into_iter().map(|patient| Due {
            act: "end-break-glass".to_owned(),
            permit: true,
            patient: Some(patient),
            shown: Vec::new(),
            notes: BTreeMap::new(),
        });
        self.due.last_mut().context("the one")?.extend(ends);
        Ok(())
    }

    /// One act of somebody at the workstation.
    fn step(&mut self, online: bool) -> Result<()> {
        let w = self.w()?;
        w.active();
        let how = match self.dice.roll(16) {
            0..=4 => {
                let patient = self.dice.of(&self.truth.here).clone();
                self.chart(&patient)?;
                "chart"
            }
            5 => {
                let patient = self.dice.of(&self.truth.elsewhere).clone();
                self.chart(&patient)?;
                "chart of another ward"
            }
            6 | 7 => {
                self.search(false)?;
                "search"
            }
            8 => {
                self.search(true)?;
                "search in an emergency"
            }
            9 => {
                let view = self.truth.rt.block_on(w.board(None))?;
                self.board(view.rows.into_iter().map(|r| r.patient).collect(), None)?;
                "board"
            }
            10 => {
                let patient = self.dice.of(&self.truth.elsewhere).clone();
                let request = BreakGlass {
                    patient: patient.clone(),
                    reason: "life-threatening".to_owned(),
                    words: None,
                    identity: Identity::UserSecret {
                        user: self.truth.nurse.user.clone(),
                        secret: Zeroizing::new(self.truth.nurse.pin.clone()),
                        badge: None,
                    },
                };
                self.truth.rt.block_on(w.break_glass(request))?;
                let due = self.due("break-glass", true, Some(&patient), Vec::new());
                due.notes.insert("reason", "life-threatening".to_owned());
                let shown = vec![self.card(&patient)];
                self.due("read-card", true, Some(&patient), shown);
                self.broken.push(patient);
                "emergency card"
            }
            11 => {
                let board = self.truth.rt.block_on(w.board(None))?;
                let on: Vec<String> = board.rows.into_iter().map(|r| r.patient).collect();
                self.board(on.clone(), None)?;
                let packet = self.truth.rt.block_on(w.packet(None))?;
                ensure!(
                    packet.view.patients as usize == on.len() && packet.view.left_out == 0,
                    "a packet of all"
                );
                self.board(on.clone(), None)?;
                self.cards(on.into_iter(), "downtime-packet");
                "packet"
            }
            12 => {
                let view = self.truth.rt.block_on(w.results(None))?;
                let on: Vec<String> = self.truth.board.keys().cloned().collect();
                self.board(on, Some("critical-results"))?;
                let read: BTreeSet<String> = view
                    .waiting
                    .into_iter()
                    .chain(view.done)
                    .map(|c| c.patient)
                    .collect();
                self.cards(read.into_iter(), "critical-results");
                "critical results"
            }
            13 => {
                let view = self.truth.rt.block_on(w.wall_open(None))?;
                w.wall_close();
                let on = view.beds.into_iter().map(|b| b.patient).collect();
                self.board(on, Some("live-vital-signs"))?;
                "wall"
            }
            14 => {
                self.pictures()?;
                "images"
            }
            _ => {
                self.lock()?;
                self.truth
                    .rt
                    .block_on(w.sign_in(&self.truth.nurse.user, &self.truth.nurse.pin))?;
                self.due("sign-in", true, None, Vec::new());
                "session"
            }
        };
        *self.done.entry((how, online)).or_default() += 1;
        Ok(())
    }

    fn rows(&self) -> usize {
        self.due.iter().map(Vec::len).sum()
    }

    /// The workstation is opened, current, and somebody signs in.
    fn open(&mut self) -> Result<()> {
        let options = Options {
            runtime: Some(self.truth.rt.handle().clone()),
            ballast_bytes: 0,
            records_kept: 100,
            ..Options::default()
        };
        let w = Workstation::open(&self.dir.path().join("ed-07"), options)?;
        ensure!(self.truth.rt.block_on(w.wait_current(LIMIT))?, "not current");
        self.truth
            .rt
            .block_on(w.sign_in(&self.truth.nurse.user, &self.truth.nurse.password))?;
        self.due("sign-in", true, None, Vec::new());
        self.w = Some(w);
        // Until the record with images is here as it is now: its reports stand in the row of its list.
        let (from, patient) = (Instant::now(), self.truth.pictured.clone());
        while !self.chart(&patient)? {
            ensure!(from.elapsed() < LIMIT, "the record does not come");
            std::thread::sleep(Duration::from_millis(200));
        }
        // And the list of the images, so that it is here without the server.
        self.pictures()
    }

    /// Everything goes up; the chain as the server has it.
    fn uploaded(&mut self) -> Result<Vec<Value>> {
        self.lock()?;
        let w = self.w()?;
        let device = w.status_json()?["device"].as_str().map(str::to_owned);
        let device = device.context("the workstation's name")?;
        let head = self.truth.rt.block_on(w.audit_verify())?.seq;
        let (from, to) = (Instant::now(), self.dir.path().join("rows"));
        loop {
            w.ask_server_now();
            let args = [
                "audit",
                "export",
                "--data",
                &text(&self.truth.server.data),
                "--chain",
                &device,
                "--to",
                &text(&to),
                "--json",
            ];
            run_json("vitrine-server", &args, None)?;
            let lines = std::fs::read_to_string(&to)?;
            std::fs::remove_file(&to)?;
            let rows: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str::<Value>).collect();
            let rows: Vec<Value> = rows?.into_iter().map(|r| r["entry"].clone()).collect();
            if rows.len() as u64 >= head {
                ensure!(w.close(LIMIT), "it did not close");
                self.w = None;
                return Ok(rows);
            }
            ensure!(from.elapsed() < LIMIT, "{} of {head} rows came up", rows.len());
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// What a row says, as it is compared; of its notes those of these names.
fn said(row: &Value, notes: &BTreeSet<&'static str>) -> Result<Due> {
    let listed = row["disclosure"]["resources"]
        .as_array()
        .context("resources")?
        .iter();
    let listed = listed.map(|d| {
        let name = |n: &str| d["key"][n].as_str().context("a key");
        Ok((
            format!("{}/{}", name("kind")?, name("id")?),
            d["version"].as_u64().context("a version")?,
        ))
    });
    let shown: Result<Shown> = listed.collect();
    let shown = sorted(shown?);
    ensure!(row["disclosure"]["total"] == shown.len(), "{row}");
    let noted = |name: &&'static str| Some((*name, row["notes"][*name].as_str()?.to_owned()));
    Ok(Due {
        act: row["action"].as_str().context("an act")?.to_owned(),
        permit: row["decision"] == "permit",
        patient: row["patient"].as_str().map(str::to_owned),
        shown,
        notes: notes.iter().filter_map(noted).collect(),
    })
}

#[test]
fn what_a_workstation_showed_equals_its_rows_at_the_server() -> Result<()> {
    let seed = setting("VITRINE_ACCESS_SEED", 5) as u64;
    let most = setting("VITRINE_ACCESSES", 160);
    let mut walk = Walk::new(seed)?;
    let mut rows = Vec::new();
    while walk.rows() < most {
        for _ in 0..=walk.dice.roll(3) {
            walk.truth.write(&mut walk.dice)?;
        }
        walk.truth.learn()?;
        walk.open()?;
        let begun = walk.rows();
        while walk.rows() < begun + HALF {
            walk.step(true)?;
        }
        walk.truth.server.kill();
        while walk.rows() < begun + 2 * HALF {
            walk.step(false)?;
        }
        walk.truth.server = Server::start(&walk.truth.server.data.clone(), walk.truth.server.addr.port())?;
        rows = walk.uploaded()?;
    }
    // Images fetched ahead are the workstation's own accesses, whenever it gets to them.
    let (own, people): (Vec<Value>, Vec<Value>) =
        rows.into_iter().partition(|r| r["actor"]["Device"].is_string());
    for row in &own {
        ensure!(row["notes"]["section"] == "images fetched ahead", "{row}");
    }
    let mut at = people.iter();
    for (n, group) in walk.due.iter().enumerate() {
        let mut group = group.clone();
        let notes: BTreeSet<&'static str> = group.iter().flat_map(|d| d.notes.keys().copied()).collect();
        let mut came = Vec::new();
        for due in &group {
            let row = at
                .next()
                .with_context(|| format!("act {n} has no row: {due:?}"))?;
            ensure!(row["actor"]["User"] == walk.truth.nurse.user.as_str(), "{row}");
            came.push(said(row, &notes).with_context(|| format!("act {n}: {due:?}"))?);
        }
        group.sort();
        came.sort();
        assert_eq!(came, group, "act {n}");
    }
    if let Some(row) = at.next() {
        bail!("a row too many: {row}");
    }
    let ids: BTreeSet<&str> = people.iter().filter_map(|r| r["access_id"].as_str()).collect();
    assert_eq!(ids.len(), people.len(), "an access id comes twice");
    let verified = run_json(
        "vitrine-server",
        &[
            "audit",
            "verify",
            "--data",
            &text(&walk.truth.server.data),
            "--json",
        ],
        None,
    )?;
    assert_eq!(verified["whole"], true, "{verified}");
    let named: usize = walk.due.iter().flatten().map(|d| d.shown.len()).sum();
    println!(
        "{} rows of people, {} of the workstation, {named} ids with versions: {:?}",
        people.len(),
        own.len(),
        walk.done
    );
    if most >= 160 {
        let kinds: BTreeSet<&str> = walk.done.keys().map(|(how, _)| *how).collect();
        assert_eq!(kinds.len(), 11, "{:?}", walk.done);
    }
    Ok(())
}
