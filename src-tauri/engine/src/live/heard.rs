//! What came over the stream of live vital signs, and how old it at least is.
//!
//! Lives here: the newest of each signal, the server's clock as far as it can be known here. Never here: sockets (`socket`), words
//! (`view`). Pure: every time is an argument, in ms of this program's steady clock.
//!
//! A value carries the reading of the server's steady clock at which it was measured. How far that clock is by now lies between
//! two bounds. It has passed what a message said when that message was made; and when a question was answered with a reading, the
//! clock stood no further than that reading when the question was asked. The upper bound is what ages are counted by: a slow line
//! makes values older, never younger.

use std::collections::{BTreeMap, VecDeque};
use vitrine_wire::live::{LivePatient, LiveSignal, LiveTold, LiveTrends};

/// Bounds older than this are dropped: clocks drift against each other.
const BOUND_MS: i64 = 60_000;

/// One signal, and when it was measured by the clock here, ms; rather too early than too late.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) signal: LiveSignal,
    pub(super) at: i64,
}

/// The trends of a ward.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trends {
    /// End of the newest step by the clock here, ms.
    pub(super) at: i64,
    pub(super) step_ms: u64,
    pub(super) patients: Vec<LiveTrends>,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    line: Line,
    /// Of this connection.
    now: BTreeMap<String, Vec<LiveSignal>>,
    trends: Option<(u64, u64, Vec<LiveTrends>)>,
    /// Of connections before it.
    before: BTreeMap<String, Vec<Kept>>,
}

/// One connection's clock.
#[derive(Debug, Default)]
struct Line {
    /// Questions that were not answered: number, and when asked.
    asked: VecDeque<(u64, i64)>,
    /// The server's clock less the clock here, at most; and when that was found.
    most: VecDeque<(i64, i64)>,
    /// The same, at least: of the newest message.
    least: Option<i64>,
    /// The connection was begun then.
    began: i64,
}

fn ms(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Line {
    fn asks(&mut self, ask: u64, now: i64) {
        self.asked.push_back((ask, now));
        if self.asked.len() > 64 {
            self.asked.pop_front();
        }
    }

    fn heard(&mut self, at: u64, answers: Option<u64>, now: i64) {
        self.least = Some(ms(at).saturating_sub(now));
        let asked = match answers {
            Some(n) => {
                let asked = self.asked.iter().find(|(m, _)| *m == n).map(|(_, t)| *t);
                self.asked.retain(|(m, _)| *m > n);
                asked
            }
            // The first message was made after the connection was asked for.
            None if self.most.is_empty() => Some(self.began),
            None => None,
        };
        if let Some(asked) = asked {
            self.most.retain(|(_, t)| now.saturating_sub(*t) <= BOUND_MS);
            self.most.push_back((ms(at).saturating_sub(asked), now));
        }
    }

    /// The server's clock less the clock here; rather too high.
    fn offset(&self) -> Option<i64> {
        let most = self.most.iter().map(|(o, _)| *o).min()?;
        // The clock here stood still while the machine slept: what the server says since is nearer.
        Some(self.least.map_or(most, |least| most.max(least)))
    }
}

impl Heard {
    /// Another connection is being made: what came over the one before keeps its age.
    pub(super) fn begins(&mut self, now: i64) {
        self.ends();
        self.line = Line {
            began: now,
            ..Line::default()
        };
    }

    /// The connection ended.
    pub(super) fn ends(&mut self) {
        let offset = self.line.offset().unwrap_or(i64::MAX);
        for (patient, signals) in std::mem::take(&mut self.now) {
            let kept = signals.into_iter().map(|signal| kept(signal, offset));
            self.before.insert(patient, kept.collect());
        }
        self.trends = None;
        self.line = Line::default();
    }

    /// A question goes out.
    pub(super) fn asks(&mut self, ask: u64, now: i64) {
        self.line.asks(ask, now);
    }

    /// A message came. True when it has newer trends.
    pub(super) fn takes(&mut self, told: LiveTold, now: i64) -> bool {
        match told {
            LiveTold::Now {
                at,
                answers,
                patients,
            } => {
                self.line.heard(at, answers, now);
                for LivePatient { patient, signals } in patients {
                    self.before.remove(&patient);
                    if signals.is_empty() {
                        self.now.remove(&patient);
                    } else {
                        self.now.insert(patient, signals);
                    }
                }
                false
            }
            LiveTold::Trends {
                at,
                step_ms,
                patients,
            } => {
                self.trends = Some((at, step_ms, patients));
                true
            }
            LiveTold::Refused { .. } => false,
        }
    }

    /// The signals of a patient; `None` = nothing was ever heard.
    pub(super) fn of(&self, patient: &str) -> Option<Vec<Kept>> {
        if let Some(signals) = self.now.get(patient) {
            let offset = self.line.offset().unwrap_or(i64::MAX);
            return Some(signals.iter().map(|s| kept(s.clone(), offset)).collect());
        }
        self.before.get(patient).cloned()
    }

    /// Everybody of whom something was heard.
    pub(super) fn patients(&self) -> impl Iterator<Item = &str> {
        self.now.keys().chain(self.before.keys()).map(String::as_str)
    }

    pub(super) fn trends(&self) -> Option<Trends> {
        let (at, step_ms, patients) = self.trends.as_ref()?;
        Some(Trends {
            at: ms(*at).saturating_sub(self.line.offset()?),
            step_ms: *step_ms,
            patients: patients.clone(),
        })
    }
}

fn kept(signal: LiveSignal, offset: i64) -> Kept {
    Kept {
        at: ms(signal.at).saturating_sub(offset),
        signal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(value: &str, at: u64) -> LiveSignal {
        LiveSignal {
            signal: "hr".to_owned(),
            value: Some(value.to_owned()),
            unit: Some("/min".to_owned()),
            flag: None,
            absent: None,
            at,
            measured_ms: 0,
        }
    }
    fn now_of(at: u64, answers: Option<u64>, value: Option<(&str, u64)>) -> LiveTold {
        LiveTold::Now {
            at,
            answers,
            patients: value
                .into_iter()
                .map(|(v, t)| LivePatient {
                    patient: "p".to_owned(),
                    signals: vec![signal(v, t)],
                })
                .collect(),
        }
    }
    /// How old the value is at that time here.
    fn age(h: &Heard, now: i64) -> i64 {
        now - h.of("p").unwrap()[0].at
    }

    #[test]
    fn an_age_is_never_less_than_it_is() {
        // The server's clock is 1,000,000 ahead; the way takes 30 ms up and 470 down.
        let mut h = Heard::default();
        h.begins(100);
        h.takes(now_of(1_000_130, None, Some(("72", 1_000_000))), 600);
        // Measured at 0 by the clock here: 600 ms ago.
        assert!(age(&h, 600) >= 600, "{}", age(&h, 600));
        assert!(age(&h, 600) <= 1_100);
        h.asks(1, 700);
        h.takes(now_of(1_000_730, Some(1), None), 1_200);
        assert!((1_200..=1_700).contains(&age(&h, 1_200)), "{}", age(&h, 1_200));
    }

    #[test]
    fn a_line_that_got_slow_makes_values_old() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(1_000, None, Some(("72", 1_000))), 10);
        h.asks(1, 20);
        h.takes(now_of(1_025, Some(1), None), 30);
        // What is made now comes nine seconds late, and so does everything behind it.
        h.takes(now_of(2_000, None, Some(("73", 2_000))), 10_000);
        assert!(age(&h, 10_000) >= 8_990, "{}", age(&h, 10_000));
    }

    #[test]
    fn a_slow_answer_makes_nothing_younger_and_the_next_good_one_mends_it() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(6_000, None, Some(("72", 6_000))), 6_000);
        // Making the connection took six seconds: it may be that old.
        assert!((5_990..=6_010).contains(&age(&h, 6_000)));
        h.asks(1, 6_100);
        h.takes(now_of(6_110, Some(1), None), 6_120);
        assert!((120..=140).contains(&age(&h, 6_120)), "{}", age(&h, 6_120));
    }

    #[test]
    fn a_machine_that_slept_does_not_keep_values_young() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(1_000, None, Some(("72", 1_000))), 0);
        h.asks(1, 100);
        h.takes(now_of(1_100, Some(1), None), 100);
        // Ten seconds pass that the clock here does not count.
        h.takes(now_of(11_200, None, None), 200);
        assert!(age(&h, 200) >= 10_200, "{}", age(&h, 200));
    }

    #[test]
    fn an_answer_to_nothing_asked_says_nothing() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(5_000, None, Some(("72", 5_000))), 3_000);
        h.takes(now_of(5_100, Some(77), None), 3_100);
        assert!(age(&h, 3_100) >= 3_000);
    }

    #[test]
    fn what_a_connection_brought_keeps_its_age_when_it_ends_and_the_next_replaces_it() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(1_000, None, Some(("72", 1_000))), 0);
        h.ends();
        assert!((9_990..=10_010).contains(&age(&h, 10_000)));
        assert_eq!(h.trends(), None);
        // Another server, whose clock began anew.
        h.begins(20_000);
        h.takes(now_of(5, None, None), 20_001);
        assert!((20_000..=20_020).contains(&age(&h, 20_010)));
        h.takes(now_of(300, None, Some(("80", 290))), 20_300);
        assert_eq!(h.of("p").unwrap()[0].signal.value.as_deref(), Some("80"));
        assert!(age(&h, 20_300) <= 320);
        assert_eq!(h.patients().count(), 1);
    }

    #[test]
    fn who_left_is_gone() {
        let mut h = Heard::default();
        h.begins(0);
        h.takes(now_of(1_000, None, Some(("72", 1_000))), 0);
        let gone = LivePatient {
            patient: "p".to_owned(),
            signals: Vec::new(),
        };
        h.takes(
            LiveTold::Now {
                at: 1_100,
                answers: None,
                patients: vec![gone],
            },
            100,
        );
        assert_eq!(h.of("p"), None);
    }
}
