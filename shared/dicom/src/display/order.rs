//! The order in which a stack is scrolled, and what is missing in it.
//!
//! Lives here: by place where all frames of a group lie in one direction, else by number. A gap is said only where nothing
//! else explains it: distances that are regular but for it, and numbers that jump there too. Never here: a reordering by
//! what pixels look like. Called by the server's index of a series and by the workstation.

use super::measure::{is_orientation, normal, orientation, position};
use super::nothing;
use super::read::Look;
use dicom_dictionary_std::tags as t;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Millimetres under which two frames lie at the same place.
const SAME_MM: f64 = 0.01;
/// How far from the median a distance is still regular, in parts of it.
const REGULAR: f64 = 0.1;
/// How far from a whole number of slices a gap may be.
const WHOLE: f64 = 0.25;

/// What of a frame decides its place in the stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Millimetres, the first pixel's centre.
    pub position: Option<[f64; 3]>,
    /// Direction cosines of a row and a column.
    pub orientation: Option<[f64; 6]>,
    /// Instance number `(0020,0013)`.
    pub number: Option<i64>,
    /// In its file, from 1.
    pub frame: u32,
    /// Stack ID `(0020,9056)`.
    pub stack: Option<String>,
    /// Temporal position `(0020,9128)` or `(0020,0100)`.
    pub time: Option<i64>,
    /// Acquisition number `(0020,0012)`.
    pub acquisition: Option<i64>,
    /// Echo `(0018,0086)`.
    pub echo: Option<i64>,
}

/// By what a group is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By where the frames lie, along the normal of their planes.
    Place,
    /// By instance number and frame.
    Number,
}

/// Frames that are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The frame before it, by its index in what was given.
    pub after: usize,
    /// The frame behind it.
    pub before: usize,
    /// How many are missing.
    pub missing: u32,
}

/// Frames that are scrolled as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// By what it is in order.
    pub by: By,
    /// Indices in what was given.
    pub frames: Vec<usize>,
    /// The median distance from slice to slice in millimetres, of [`By::Place`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_mm: Option<f64>,
    /// What is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The distances or numbers are irregular, and why cannot be told: say "uneven spacing", and claim nothing.
    #[serde(default)]
    pub uneven: bool,
}

/// A series in the order of scrolling: group after group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// Mostly one.
    pub groups: Vec<Group>,
}

impl Ordered {
    /// Indices in what was given, each once.
    pub fn frames(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flat_map(|g| g.frames.iter().copied())
    }
    /// How many frames are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let gaps = self.groups.iter().flat_map(|g| &g.gaps);
        gaps.map(|g| u64::from(g.missing)).sum()
    }
}

/// What decides the place of frame `frame` (from 1) of a header in DICOM JSON.
#[must_use]
pub fn place(header: &Value, frame: u32) -> Place {
    let look = Look::new(header, frame, &nothing);
    let orientation = orientation(&look);
    let content = look.group(t::FRAME_CONTENT_SEQUENCE);
    let own_time = look
        .group(t::TEMPORAL_POSITION_SEQUENCE)
        .and_then(|s| s.whole(t::TEMPORAL_POSITION_INDEX));
    let echo = || look.root.values(t::ECHO_NUMBERS).len() == 1;
    Place {
        position: position(&look, orientation.as_ref()),
        orientation,
        number: look.root.whole(t::INSTANCE_NUMBER),
        frame,
        stack: content.and_then(|c| c.text(t::STACK_ID)).map(str::to_owned),
        time: content
            .and_then(|c| c.whole(t::TEMPORAL_POSITION_INDEX))
            .or(own_time)
            .or_else(|| look.root.whole(t::TEMPORAL_POSITION_IDENTIFIER)),
        acquisition: look.root.whole(t::ACQUISITION_NUMBER),
        echo: echo().then(|| look.root.whole(t::ECHO_NUMBERS)).flatten(),
    }
}

/// The order of a series' frames: by place if all share an orientation and no two a position. Else, in the groups of the
/// first of stack, time, acquisition and echo that makes them so; else, where each place is taken equally often, in as many
/// groups, by number; else by number in one group.
#[must_use]
pub fn order(frames: &[Place]) -> Ordered {
    let all: Vec<usize> = (0..frames.len()).collect();
    let groups = if frames.is_empty() {
        Vec::new()
    } else if let Some(group) = by_place(frames, &all) {
        vec![group]
    } else {
        split(frames, &all)
            .or_else(|| rounds(frames, &all))
            .unwrap_or_else(|| vec![by_number(frames, all)])
    };
    Ordered { groups }
}

/// A key that is there for every frame, and for not all the same.
type Key = Option<(i64, String)>;

fn split(frames: &[Place], all: &[usize]) -> Option<Vec<Group>> {
    let number = |n: Option<i64>| n.map(|n| (n, String::new()));
    let keys: [&dyn Fn(&Place) -> Key; 4] = [
        &|p| p.stack.clone().map(|s| (s.trim().parse().unwrap_or(0), s)),
        &|p| number(p.time),
        &|p| number(p.acquisition),
        &|p| number(p.echo),
    ];
    keys.iter().find_map(|key| {
        let mut groups: BTreeMap<(i64, String), Vec<usize>> = BTreeMap::new();
        for at in all {
            groups.entry(key(frames.get(*at)?)?).or_default().push(*at);
        }
        if groups.len() < 2 {
            return None;
        }
        groups.values().map(|own| by_place(frames, own)).collect()
    })
}

/// Each place is taken equally often: the first by number of each place are the first group, and so on.
fn rounds(frames: &[Place], all: &[usize]) -> Option<Vec<Group>> {
    let sorted = along(frames, all)?;
    let mut places: Vec<Vec<usize>> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for (distance, at) in sorted {
        match places.last_mut() {
            Some(place) if distance - last < SAME_MM => place.push(at),
            _ => places.push(vec![at]),
        }
        last = distance;
    }
    let often = places.first()?.len();
    if places.len() < 2 || often < 2 || places.iter().any(|p| p.len() != often) {
        return None;
    }
    for place in &mut places {
        place.sort_by_key(|at| turn(frames, *at));
    }
    (0..often)
        .map(|n| {
            let own: Option<Vec<usize>> = places.iter().map(|p| p.get(n).copied()).collect();
            by_place(frames, &own?)
        })
        .collect()
}

fn turn(frames: &[Place], at: usize) -> (bool, i64, u32) {
    let place = frames.get(at);
    let number = place.and_then(|p| p.number);
    // Those without a number come last.
    (
        number.is_none(),
        number.unwrap_or(0),
        place.map_or(0, |p| p.frame),
    )
}

/// Distances along the shared normal, sorted; `None` without a shared orientation or a position.
fn along(frames: &[Place], own: &[usize]) -> Option<Vec<(f64, usize)>> {
    let shared = frames.get(*own.first()?)?.orientation.filter(is_orientation)?;
    let [nx, ny, nz] = normal(&shared);
    let mut sorted = Vec::with_capacity(own.len());
    for at in own {
        let place = frames.get(*at)?;
        let ([x, y, z], orientation) = (place.position?, place.orientation?);
        // A part in a thousand is a twentieth of a degree.
        let turned = orientation.iter().zip(&shared).any(|(a, b)| (a - b).abs() > 1e-3);
        let distance = x * nx + y * ny + z * nz;
        if turned || !distance.is_finite() {
            return None;
        }
        sorted.push((distance, *at));
    }
    sorted.sort_by(|a, b| {
        a.0.total_cmp(&b.0)
            .then_with(|| turn(frames, a.1).cmp(&turn(frames, b.1)))
    });
    Some(sorted)
}

fn by_place(frames: &[Place], own: &[usize]) -> Option<Group> {
    let sorted = along(frames, own)?;
    let steps: Vec<f64> = sorted
        .iter()
        .zip(sorted.iter().skip(1))
        .map(|(a, b)| b.0 - a.0)
        .collect();
    if steps.iter().any(|s| *s < SAME_MM) {
        return None;
    }
    let order: Vec<usize> = sorted.into_iter().map(|(_, at)| at).collect();
    let mut ranked = steps.clone();
    ranked.sort_by(f64::total_cmp);
    let step_mm = ranked.get(ranked.len().saturating_sub(1) / 2).copied();
    let (gaps, uneven) = step_mm
        .filter(|_| steps.len() > 1)
        .map_or((Vec::new(), false), |median| {
            holes(frames, &order, &steps, median)
        });
    Some(Group {
        by: By::Place,
        frames: order,
        step_mm,
        gaps,
        uneven,
    })
}

/// Gaps between slices, or that their distances are irregular.
fn holes(frames: &[Place], order: &[usize], steps: &[f64], median: f64) -> (Vec<Gap>, bool) {
    let mut gaps = Vec::new();
    for ((after, before), step) in order.iter().zip(order.iter().skip(1)).zip(steps) {
        let times = step / median;
        if (times - 1.0).abs() <= REGULAR {
            continue;
        }
        let whole = times.round();
        let jump = jump(frames, *after, *before);
        // Two that follow each other by number have nothing between them, whatever the distance.
        if times < 1.5 || (times - whole).abs() > WHOLE || whole > 1e6 || jump == Some(1) {
            return (Vec::new(), true);
        }
        gaps.push(Gap {
            after: *after,
            before: *before,
            missing: whole as u32 - 1,
        });
    }
    // Where a third of the distances are gaps, the rule is not known.
    let uneven = gaps.len() * 3 > steps.len();
    if uneven {
        gaps.clear();
    }
    (gaps, uneven)
}

/// How far apart the numbers of two frames are; of one file, its frames.
fn jump(frames: &[Place], a: usize, b: usize) -> Option<u64> {
    let (a, b) = (frames.get(a)?, frames.get(b)?);
    let (x, y) = (a.number?, b.number?);
    Some(match x.abs_diff(y) {
        0 => u64::from(a.frame.abs_diff(b.frame)),
        n => n,
    })
}

fn by_number(frames: &[Place], mut own: Vec<usize>) -> Group {
    own.sort_by_key(|at| (turn(frames, *at), *at));
    let mut gaps = Vec::new();
    let mut irregular = false;
    let pairs = own.len().saturating_sub(1);
    for (after, before) in own.iter().zip(own.iter().skip(1)) {
        match jump(frames, *after, *before) {
            Some(1) => {}
            Some(n) if n > 1 && n < 1_000_000 => gaps.push(Gap {
                after: *after,
                before: *before,
                missing: (n - 1) as u32,
            }),
            // The same number twice, or none: what is between them cannot be told.
            _ => irregular = true,
        }
    }
    let uneven = irregular || gaps.len() * 3 > pairs;
    if uneven {
        gaps.clear();
    }
    Group {
        by: By::Number,
        frames: own,
        step_mm: None,
        gaps,
        uneven,
    }
}
