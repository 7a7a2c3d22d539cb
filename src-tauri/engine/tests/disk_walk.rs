//! No path to data without a row: random walks over a disk that fills and empties. Whatever was shown has its row, in the chain or, in
//! an emergency alone, in the reserve; when there is room again all of them are in the chain.
//!
//! `VITRINE_WALKS` sets how many walks of [`STEPS`] steps are made (4).

mod support;

use std::path::{Path, PathBuf};
use support::small_disk::{self, fill};
use support::{Dice, block, give_records, open, outbox, people, pin, plant, with_pin};
use vitrine_engine::keys::SlotKind;
use vitrine_engine::{Beside, BreakGlass, EngineError, Identity, IdentityToken, Workstation};

const CHILD: &str = "VITRINE_TEST_WALK_CHILD";
const STEPS: u64 = 120;

/// What somebody saw: the act of its row, and whose data.
type Shown = (String, Option<String>);

/// The rows by which data were given, in their order.
fn given(bodies: &[String]) -> Vec<Shown> {
    const LOOKS: [&str; 5] = [
        "search-patients",
        "view-board",
        "read-chart",
        "read-card",
        "break-glass",
    ];
    let rows = bodies
        .iter()
        .map(|b| serde_json::from_str::<serde_json::Value>(b).unwrap());
    let looks = rows.filter(|r| r["decision"] == "permit" && LOOKS.iter().any(|l| r["action"] == *l));
    looks
        .map(|r| {
            let action = r["action"].as_str().unwrap().to_owned();
            (action, r["patient"].as_str().map(str::to_owned))
        })
        .collect()
}

/// Something shown that has no row of its own. A row of something that was not shown in the end is none too many.
fn unwritten(shown: &[Shown], rows: &[Shown]) -> Option<Shown> {
    let mut left = rows.to_vec();
    let missing = shown.iter().find(|s| match left.iter().position(|r| r == *s) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    });
    missing.cloned()
}

struct Walk {
    dice: Dice,
    ws: Option<Workstation>,
    token: Option<IdentityToken>,
    filler: Option<PathBuf>,
    shown: Vec<Shown>,
    /// On a full disk: emergencies that were given, and what was refused because its row could not be written.
    full: (usize, usize),
}

impl Walk {
    fn ws(&self) -> &Workstation {
        self.ws.as_ref().unwrap()
    }

    fn saw(&mut self, what: &[(&str, Option<&str>)]) {
        let what = what.iter().map(|(a, p)| ((*a).to_owned(), p.map(str::to_owned)));
        self.shown.extend(what);
    }

    /// An act of every day has its row in the chain before its answer; where that cannot be written there is no answer. (On a full disk
    /// SQLite may still write over what it has.)
    fn every_day<T>(&mut self, before: usize, answer: Result<T, EngineError>, saw: (&str, Option<&str>)) {
        match answer {
            Ok(_) => {
                self.saw(&[saw]);
                let rows = self.chain();
                assert_eq!(rows.len(), before + 1, "{saw:?}: at once, not later");
                let last = rows.last().map(|(a, p)| (a.as_str(), p.as_deref()));
                assert_eq!(last, Some(saw));
            }
            Err(e) => {
                let denied = matches!(
                    e,
                    EngineError::NotSignedIn
                        | EngineError::Denied { .. }
                        | EngineError::NotOnThisWorkstation { .. }
                );
                assert!(denied || self.filler.is_some(), "{saw:?}: {e:?}");
                self.full.1 += usize::from(matches!(e, EngineError::AuditFailed(_)));
            }
        }
    }

    fn chain(&self) -> Vec<Shown> {
        let rows = block(self.ws().audit_list(0, 100_000)).unwrap();
        given(&rows.into_iter().map(|r| r.body).collect::<Vec<_>>())
    }

    fn glass(&mut self, identity: Identity) {
        let patient = *self.dice.of(&["p1", "p2", "p3"]);
        let asked = BreakGlass {
            identity,
            ..with_pin("rao", pin("rao"), patient)
        };
        // A lock ends what was proven before it.
        let may_be_over = !matches!(asked.identity, Identity::UserSecret { .. });
        match block(self.ws().break_glass(asked)) {
            Ok(card) => {
                assert_eq!(card.banner.patient, patient);
                self.saw(&[("break-glass", Some(patient)), ("read-card", Some(patient))]);
                self.full.0 += usize::from(self.filler.is_some());
            }
            Err(EngineError::NotSignedIn | EngineError::PinNeeded) if may_be_over => {}
            Err(e) => panic!(
                "an emergency was refused, disk full: {}: {e:?}",
                self.filler.is_some()
            ),
        }
    }

    fn step(&mut self, dir: &Path, p: &support::Profiled) {
        match self.dice.roll(16) {
            0 if self.filler.is_none() => self.filler = Some(fill(dir)),
            0 | 1 => {
                if let Some(filler) = self.filler.take() {
                    std::fs::remove_file(filler).unwrap();
                }
            }
            2 | 3 => {
                let user = *self.dice.of(&["lee", "rao"]);
                let answer = block(self.ws().sign_in(user, pin(user)));
                assert!(answer.is_ok() || self.filler.is_some(), "{answer:?}");
            }
            4 => self.ws().lock(),
            5 | 6 => {
                let (before, answer) = (self.chain().len(), block(self.ws().search("li")));
                self.every_day(before, answer, ("search-patients", None));
            }
            7 => {
                let (before, answer) = (self.chain().len(), block(self.ws().board(Some("ED"))));
                self.every_day(before, answer, ("view-board", None));
            }
            8 | 9 => {
                let patient = *self.dice.of(&["p1", "p2"]);
                let (before, answer) = (self.chain().len(), block(self.ws().chart(patient)));
                self.every_day(before, answer, ("read-chart", Some(patient)));
            }
            10 => {
                let beside = Beside {
                    declared: Some("Jo Smith, agency".to_owned()),
                    badge: None,
                };
                self.token =
                    Some(block(self.ws().identify_with("emergency-001", "48219356", beside)).unwrap());
            }
            11 => {
                if let Some(token) = self.token.clone() {
                    match block(self.ws().emergency_search(&token, "li")) {
                        Ok(_) => {
                            self.saw(&[("search-patients", None)]);
                            self.full.0 += usize::from(self.filler.is_some());
                        }
                        Err(EngineError::NotSignedIn) => self.token = None,
                        Err(e) => panic!("{e:?}"),
                    }
                }
            }
            12 => {
                if let Some(token) = &self.token {
                    self.glass(Identity::Token(token.as_str().to_owned()));
                }
            }
            13 => self.glass(Identity::Session),
            14 => self.glass(with_pin("rao", pin("rao"), "p1").identity),
            _ => {
                // The program ends and begins anew, also on a full disk.
                self.ws = None;
                self.ws = Some(open(p));
                self.token = None;
            }
        }
        if self.token.is_some() && self.dice.roll(8) == 0 {
            self.token = None;
        }
    }
}

/// Not a test of its own: runs inside the small file system.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = PathBuf::from(dir);
    let walks = std::env::var("VITRINE_WALKS").map_or(4, |n| n.parse::<u64>().unwrap());
    let mut total = (0, 0, 0);
    for seed in 0..walks {
        let p = plant(&dir.join(format!("profile-{seed}")), &people());
        give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..2]);
        let mut walk = Walk {
            dice: Dice(seed),
            ws: Some(open(&p)),
            token: None,
            filler: None,
            shown: Vec::new(),
            full: (0, 0),
        };
        for _ in 0..STEPS {
            walk.step(&dir, &p);
        }
        let Walk {
            ws,
            filler,
            shown,
            full,
            ..
        } = walk;
        if let Some(filler) = filler {
            std::fs::remove_file(filler).unwrap();
        }
        drop(ws);
        // What lay in the reserve is in the chain.
        drop(open(&p));
        let kept = outbox(&p);
        let bodies: Vec<String> = kept
            .rows(0, 100_000)
            .unwrap()
            .rows
            .into_iter()
            .map(|r| r.body)
            .collect();
        let rows = given(&bodies);
        assert_eq!(unwritten(&shown, &rows), None, "walk {seed}");
        kept.verify(None).unwrap();
        // The comparison sees a row that is missing, whichever it is.
        for gone in 0..rows.len().min(40) {
            let mut fewer = rows.clone();
            fewer.remove(gone);
            if rows.len() == shown.len() {
                assert!(
                    unwritten(&shown, &fewer).is_some(),
                    "walk {seed}: row {gone} is not missed"
                );
            }
        }
        total = (total.0 + shown.len(), total.1 + full.0, total.2 + full.1);
        drop(kept);
        std::fs::remove_dir_all(&p.dir).unwrap();
    }
    assert!(
        total.0 > 20 && total.1 > 0 && total.2 > 0,
        "the walks saw too little: {total:?}"
    );
    println!(
        "walks {walks}: {} shown, each with its row; on a full disk {} in emergencies, {} refused",
        total.0, total.1, total.2
    );
    println!("WALKED");
}

#[test]
fn whatever_was_shown_has_its_row_also_on_a_full_disk() {
    small_disk::run(CHILD, "child", "WALKED");
}
