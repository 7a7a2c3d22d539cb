//! The plan of the image stream against a model that sorts everything anew each time.

use proptest::prelude::*;
use std::collections::BTreeSet;
use vitrine_dicom::stages::{Frame, Next, Plan, Role, Series, Stage, need};

const BOTH: [Role; 2] = [Role::Current, Role::Prior];

/// What somebody does to a plan.
#[derive(Debug, Clone)]
enum Act {
    Next(u8),
    Open(u32, u32, u32, u32),
    Center(u32, u32, i8),
    Activate(u32),
    Close(u32),
    Skip(u32, u32, u8),
    PutBack,
    Emergency(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1u8..30).prop_map(Act::Next),
        2 => (0u32..3, 0u32..4, 0u32..40, 1u32..600).prop_map(|(v, s, f, px)| Act::Open(v, s, f, px)),
        4 => (0u32..3, 0u32..40, -2i8..3).prop_map(|(v, f, m)| Act::Center(v, f, m)),
        1 => (0u32..3).prop_map(Act::Activate),
        1 => (0u32..3).prop_map(Act::Close),
        1 => (0u32..4, 0u32..40, 0u8..4).prop_map(|(s, f, l)| Act::Skip(s, f, l)),
        1 => Just(Act::PutBack),
        1 => any::<bool>().prop_map(Act::Emergency),
    ]
}

#[derive(Clone)]
struct View {
    id: u32,
    series: u32,
    center: i64,
    down: bool,
    moving: bool,
    need: u8,
}

/// The table, as it is read: every missing piece has a rank in every viewport.
#[derive(Default)]
struct Model {
    roles: Vec<Role>,
    missing: BTreeSet<(u32, u32, u8)>,
    views: Vec<View>,
    lead: Option<u32>,
    active: Option<u32>,
    last: Option<(Stage, u32)>,
    emergency: bool,
}

impl Model {
    /// The rank of a piece within a stage of a viewport; lower goes first.
    fn rank(
        &self,
        v: &View,
        stage: Stage,
        (series, frame, layer): (u32, u32, u8),
    ) -> Option<(i64, i64, i64, u8)> {
        if series != v.series {
            return None;
        }
        let far = i64::from(frame) - v.center;
        let ahead = if v.down { far <= 0 } else { far >= 0 };
        let plain = (far.abs(), i64::from(!ahead), 0, layer);
        let weight = if v.moving && !ahead { 3 } else { 1 };
        match stage {
            Stage::Visible => (far == 0 && layer <= v.need).then_some(plain),
            Stage::Exact => (far == 0).then_some(plain),
            Stage::Neighbours => (far.abs() <= 2).then_some(plain),
            Stage::Scrollable => (layer == 0).then_some(plain),
            Stage::Sharper => (layer == 1).then_some(plain),
            Stage::Full => (layer >= 2).then_some((far.abs() * weight, i64::from(!ahead), 0, layer)),
            Stage::OtherSeries | Stage::Priors => None,
        }
    }

    fn next(&mut self) -> Option<(Stage, (u32, u32, u8))> {
        for stage in Stage::ALL {
            if self.emergency && stage != Stage::Visible {
                break;
            }
            if stage >= Stage::OtherSeries {
                let role = if stage == Stage::Priors {
                    Role::Prior
                } else {
                    Role::Current
                };
                let unopened =
                    |s: u32| self.roles[s as usize] == role && self.views.iter().all(|v| v.series != s);
                let found = self
                    .missing
                    .iter()
                    .find(|(s, _, l)| *l == 0 && unopened(*s))
                    .copied();
                if let Some(found) = found {
                    self.missing.remove(&found);
                    return Some((stage, found));
                }
                continue;
            }
            let at = |id: Option<u32>| id.and_then(|id| self.views.iter().position(|v| v.id == id));
            let start = match self.last {
                Some((s, v)) if s == stage => at(Some(v)).map_or(0, |n| n + 1),
                _ => at(self.lead).or(at(self.active)).unwrap_or(0),
            };
            for turn in 0..self.views.len() {
                let view = self.views[(start + turn) % self.views.len()].clone();
                let ranked = self
                    .missing
                    .iter()
                    .filter_map(|m| Some((self.rank(&view, stage, *m)?, *m)));
                if let Some((_, found)) = ranked.min() {
                    self.missing.remove(&found);
                    self.last = Some((stage, view.id));
                    self.lead = None;
                    return Some((stage, found));
                }
            }
        }
        None
    }
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        prop::array::uniform4(prop_oneof![1 => Just(0u32), 9 => 1u32..9000]),
        prop_oneof![3 => Just(0u8), 1 => 0u8..16],
    );
    prop::collection::vec(frame.prop_map(|(lengths, have)| Frame { lengths, have }), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_the_table(
        series in prop::collection::vec((0usize..2, frames()), 1..4),
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let (mut plan, mut model) = (Plan::new(), Model::default());
        let mut all = BTreeSet::new();
        for (n, (role, frames)) in series.iter().enumerate() {
            let added = plan.add(BOTH[*role], frames);
            prop_assert_eq!(added, Series(n as u32));
            model.roles.push(BOTH[*role]);
            for (f, frame) in frames.iter().enumerate() {
                for layer in 0..4u8 {
                    if frame.lengths[usize::from(layer)] > 0 && frame.have >> layer & 1 == 0 {
                        all.insert((n as u32, f as u32, layer));
                    }
                }
            }
        }
        model.missing = all.clone();
        let mut sent: BTreeSet<(u32, u32, u8)> = BTreeSet::new();
        let exists = |s: u32| (s as usize) < series.len();
        for act in acts.into_iter().chain([Act::Emergency(false), Act::Next(255)]) {
            match act {
                Act::Next(times) => for _ in 0..times {
                    let (ours, theirs) = (plan.next(), model.next());
                    prop_assert_eq!(ours.map(|n| (n.stage, (n.series.0, n.frame, n.layer))), theirs);
                    let Some(Next { series: s, frame, layer, len, .. }) = ours else { break };
                    prop_assert_eq!(len, series[s.0 as usize].1[frame as usize].lengths[usize::from(layer)]);
                    let piece = (s.0, frame, layer);
                    prop_assert!(all.contains(&piece), "had already: {:?}", piece);
                    prop_assert!(sent.insert(piece), "twice: {:?}", piece);
                },
                Act::Open(v, s, f, px) => {
                    plan.open(v, Series(s), f, px);
                    let view = View { id: v, series: s, center: f.into(), down: false, moving: false, need: need(px) };
                    match model.views.iter_mut().find(|o| o.id == v) {
                        Some(old) => *old = view,
                        None => model.views.push(view),
                    }
                    (model.active, model.lead, model.last) = (Some(v), Some(v), None);
                }
                Act::Center(v, f, m) => {
                    plan.center(v, f, m.into());
                    if let Some(view) = model.views.iter_mut().find(|o| o.id == v) {
                        (view.center, view.moving) = (f.into(), m != 0);
                        if m != 0 {
                            view.down = m < 0;
                        }
                        (model.lead, model.last) = (Some(v), None);
                    }
                }
                Act::Activate(v) => {
                    plan.activate(v);
                    (model.active, model.last) = (Some(v), None);
                }
                Act::Close(v) => {
                    plan.close(v);
                    model.views.retain(|o| o.id != v);
                    model.last = None;
                }
                Act::Skip(s, f, l) => {
                    plan.skip(Series(s), f, l);
                    model.missing.remove(&(s, f, l));
                }
                Act::PutBack => if let Some((s, f, l)) = sent.pop_last() {
                    plan.put_back(Series(s), f, l);
                    model.missing.insert((s, f, l));
                },
                Act::Emergency(on) => {
                    plan.emergency(on);
                    model.emergency = on;
                }
            }
            let left: u64 = model.missing.iter().filter(|m| exists(m.0))
                .map(|(s, f, l)| u64::from(series[*s as usize].1[*f as usize].lengths[usize::from(*l)])).sum();
            prop_assert_eq!(plan.left(), left);
        }
    }

    /// Wherever the stream is, a frame that is scrolled to is the very next.
    #[test]
    fn scrolled_to_is_next(count in 1u32..200, before in 0usize..500, to in 0u32..200) {
        let to = to % count;
        let mut plan = Plan::new();
        let series = plan.add(Role::Current, &slices(count));
        let other = plan.add(Role::Current, &slices(count));
        plan.open(1, other, 0, 900);
        plan.open(2, series, count / 2, 900);
        let mut sent = BTreeSet::new();
        for _ in 0..before {
            sent.extend(plan.next().map(|n| (n.series, n.frame, n.layer)));
        }
        plan.center(2, to, 40.0);
        let next = plan.next();
        match (0..4u8).find(|l| !sent.contains(&(series, to, *l))) {
            Some(layer) => {
                let next = next.unwrap();
                prop_assert_eq!((next.series, next.frame, next.layer), (series, to, layer));
            }
            None => prop_assert!(next.is_none_or(|n| n.series == other || n.frame != to)),
        }
    }
}

fn slices(count: u32) -> Vec<Frame> {
    let frame = Frame {
        lengths: [4_300, 10_000, 30_000, 90_000],
        have: 0,
    };
    vec![frame; count as usize]
}

fn run(plan: &mut Plan, most: usize) -> Vec<Next> {
    std::iter::from_fn(|| plan.next()).take(most).collect()
}

#[test]
fn a_series_arrives_in_the_order_of_the_table() {
    let mut plan = Plan::new();
    let prior = plan.add(Role::Prior, &slices(2));
    let series = plan.add(Role::Current, &slices(9));
    let other = plan.add(Role::Current, &slices(2));
    plan.open(0, series, 4, 200);
    let all = run(&mut plan, usize::MAX);
    let text: Vec<String> = all
        .iter()
        .map(|n| format!("{:?} {}.{}.{}", n.stage, n.series.0, n.frame, n.layer))
        .collect();
    assert_eq!(text[..3], ["Visible 1.4.0", "Visible 1.4.1", "Visible 1.4.2"]);
    assert_eq!(
        text[3..6],
        ["Exact 1.4.3", "Neighbours 1.5.0", "Neighbours 1.5.1"]
    );
    assert_eq!(text[8], "Neighbours 1.3.0");
    assert_eq!(text[20..22], ["Scrollable 1.7.0", "Scrollable 1.1.0"]);
    assert_eq!(text[24..26], ["Sharper 1.7.1", "Sharper 1.1.1"]);
    assert_eq!(text[28..31], ["Full 1.7.2", "Full 1.7.3", "Full 1.1.2"]);
    assert_eq!(
        text[36..],
        [
            "OtherSeries 2.0.0",
            "OtherSeries 2.1.0",
            "Priors 0.0.0",
            "Priors 0.1.0"
        ]
    );
    // What is opened goes on, without what came before.
    plan.open(0, other, 0, 64);
    assert_eq!(run(&mut plan, 100).len(), 6);
    plan.open(1, prior, 0, 64);
    assert_eq!(run(&mut plan, 100).len(), 6);
    assert!(plan.left() == 0);
}

#[test]
fn viewports_take_turns_and_an_emergency_stops_the_rest() {
    let mut plan = Plan::new();
    let (a, b) = (
        plan.add(Role::Current, &slices(9)),
        plan.add(Role::Current, &slices(9)),
    );
    plan.open(7, a, 0, 900);
    plan.open(8, b, 0, 900);
    plan.emergency(true);
    let first: Vec<_> = run(&mut plan, 100).iter().map(|n| (n.series, n.layer)).collect();
    assert_eq!(
        first,
        [(b, 0), (a, 0), (b, 1), (a, 1), (b, 2), (a, 2), (b, 3), (a, 3)]
    );
    plan.emergency(false);
    plan.activate(7);
    let then: Vec<_> = run(&mut plan, 4).iter().map(|n| n.series).collect();
    assert_eq!(then, [a, b, a, b]);
    plan.close(7);
    assert!(run(&mut plan, 20).iter().all(|n| n.series == b));
}

#[test]
fn scrolling_down_biases_what_is_fetched() {
    let mut plan = Plan::new();
    let series = plan.add(Role::Current, &slices(100));
    plan.open(0, series, 50, 900);
    plan.center(0, 50, -30.0);
    let full: Vec<u32> = run(&mut plan, usize::MAX)
        .iter()
        .filter(|n| n.stage == Stage::Full && n.layer == 3)
        .map(|n| n.frame)
        .collect();
    assert_eq!(full[..9], [47, 46, 45, 44, 43, 42, 41, 53, 40]);
}

/// 4,000 frames in two viewports: run with `--release -- --ignored --nocapture` to see what it takes.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn pace() {
    use std::time::{Duration, Instant};
    let mut plan = Plan::new();
    let (a, b) = (
        plan.add(Role::Current, &slices(4_000)),
        plan.add(Role::Current, &slices(4_000)),
    );
    let start = Instant::now();
    plan.open(0, a, 2_000, 900);
    plan.open(1, b, 2_000, 900);
    let mut worst = Duration::ZERO;
    let mut centers = Duration::ZERO;
    let mut count = 0u32;
    while plan.left() > 0 {
        let one = Instant::now();
        plan.next();
        worst = worst.max(one.elapsed());
        count += 1;
        if count.is_multiple_of(10) {
            let one = Instant::now();
            plan.center(count / 10 % 2, count * 7 % 4_000, 30.0);
            centers += one.elapsed();
        }
    }
    let all = start.elapsed();
    println!(
        "{count} segments in {all:?}: {:?} each, the slowest {worst:?}; {} centers: {:?} each",
        all / count,
        count / 10,
        centers / (count / 10)
    );
}
