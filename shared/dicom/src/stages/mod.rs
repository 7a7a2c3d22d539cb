//! The priority table of the image stream: which piece of which frame is sent next.
//!
//! Lives here: the order in which the layers of a study reach a workstation ([`Stage`]), for several viewports at once, and
//! how many bytes may be on their way ([`Credit`]). A pure plan: it is told what is there, what is looked at and what is
//! had, and names one segment after the other, each once. Nothing is queued: the next one is found in bitmaps from where
//! each viewport looks now, so that scrolling costs nothing however long the series is.
//! Never here: bytes, sockets, a clock, who may see what. Called by the server's image stream for what to send and by the
//! workstation for what to decode.

mod bits;
mod credit;

pub use credit::Credit;

use bits::Bits;

/// Layers of a frame: the longest side is at most 64, 128, 256 pixels, or what it is.
pub const LAYERS: u8 = 4;
/// Neighbours of the visible frame that are wanted in full, to either side.
pub const NEIGHBOURS: u32 = 2;
/// Against the direction of scrolling, a frame counts as so many times farther away.
pub const BEHIND: u64 = 3;

/// What is sent when: one stage is over in all viewports before the next begins in any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The visible frame, layer after layer, up to what the viewport can show.
    Visible,
    /// The rest of the visible frame, after which it is exact.
    Exact,
    /// [`NEIGHBOURS`] to either side in full, the nearer first, of two the one ahead.
    Neighbours,
    /// Layer 0 of all frames, outward from the visible one: the series can be scrolled.
    Scrollable,
    /// Layer 1 of all, outward.
    Sharper,
    /// The rest of all, outward, ahead before behind ([`BEHIND`]), frame after frame.
    Full,
    /// Layer 0 of the other series of the study.
    OtherSeries,
    /// Layer 0 of earlier studies.
    Priors,
}

impl Stage {
    /// In the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Visible,
        Self::Exact,
        Self::Neighbours,
        Self::Scrollable,
        Self::Sharper,
        Self::Full,
        Self::OtherSeries,
        Self::Priors,
    ];
}

/// Whether a series belongs to the study that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To it.
    Current,
    /// To an earlier one.
    Prior,
}

/// A series of the plan, as [`Plan::add`] counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series(pub u32);

/// What is known of a frame beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of each layer's segment. 0: there is none, because the layer before it is already all.
    pub lengths: [u32; LAYERS as usize],
    /// Bit n: layer n is there already.
    pub have: u8,
}

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Next {
    /// Of which series.
    pub series: Series,
    /// Which frame, from 0 in the order of scrolling.
    pub frame: u32,
    /// Which layer.
    pub layer: u8,
    /// Its bytes.
    pub len: u32,
    /// Why now.
    pub stage: Stage,
}

struct Stack {
    role: Role,
    lengths: Vec<[u32; LAYERS as usize]>,
    /// Of each layer the frames that are still to be sent.
    missing: [Bits; LAYERS as usize],
}

impl Stack {
    fn is_missing(&self, layer: u8, frame: u32) -> bool {
        self.layer(layer).is_some_and(|b| b.has(frame))
    }
    fn layer(&self, layer: u8) -> Option<&Bits> {
        self.missing.get(usize::from(layer))
    }
    fn first_missing(&self, frame: u32, from: u8, to: u8) -> Option<(u32, u8)> {
        let layer = (from..=to).find(|l| self.is_missing(*l, frame))?;
        Some((frame, layer))
    }
    /// The nearest to the centre, of two the one ahead.
    fn nearest(&self, layer: u8, view: &View) -> Option<(u32, u8)> {
        let bits = self.layer(layer)?;
        let frame = view.nearer(bits.at_or_after(view.center), bits.at_or_before(view.center), 1)?;
        Some((frame, layer))
    }
}

struct View {
    id: u32,
    series: Series,
    center: u32,
    /// Whether frames are scrolled downward.
    down: bool,
    /// Whether they are scrolled at all.
    moving: bool,
    need: u8,
}

impl View {
    /// Of the next frame at or above the centre and the next at or below it, the nearer; what lies behind counts as so
    /// many times farther away.
    fn nearer(&self, above: Option<u32>, below: Option<u32>, behind: u64) -> Option<u32> {
        let (Some(a), Some(b)) = (above, below) else {
            return above.or(below);
        };
        let mut up = u64::from(a.abs_diff(self.center));
        let mut down = u64::from(b.abs_diff(self.center));
        if self.down {
            up *= behind;
        } else {
            down *= behind;
        }
        let is_up = if self.down { up < down } else { up <= down };
        Some(if is_up { a } else { b })
    }
}

/// The highest layer that a viewport of so many pixels on its longer side can show: the first that is not smaller.
#[must_use]
pub fn need(viewport_px: u32) -> u8 {
    match viewport_px {
        0..=64 => 0,
        65..=128 => 1,
        129..=256 => 2,
        _ => 3,
    }
}

/// The plan of one workstation's stream.
#[derive(Default)]
pub struct Plan {
    stacks: Vec<Stack>,
    views: Vec<View>,
    /// The viewport that is worked in.
    active: Option<u32>,
    /// The viewport that moved last: it goes first until somebody was served.
    moved: Option<u32>,
    /// Who was served last, and at which stage.
    served: Option<(Stage, u32)>,
    emergency: bool,
    /// Bytes still to be sent.
    left: u64,
}

impl Plan {
    /// Nothing to send.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series, its frames in the order of scrolling. Nothing of it is sent before it is opened, but for the two last
    /// stages.
    pub fn add(&mut self, role: Role, frames: &[Frame]) -> Series {
        let mut stack = Stack {
            role,
            lengths: frames.iter().map(|f| f.lengths).collect(),
            missing: std::array::from_fn(|_| Bits::new(frames.len())),
        };
        for (layer, bits) in stack.missing.iter_mut().enumerate() {
            for (n, frame) in (0u32..).zip(frames) {
                let len = frame.lengths.get(layer).copied().unwrap_or(0);
                if len > 0 && frame.have >> layer & 1 == 0 {
                    bits.set(n);
                    self.left += u64::from(len);
                }
            }
        }
        let series = Series(u32::try_from(self.stacks.len()).unwrap_or(u32::MAX));
        self.stacks.push(stack);
        series
    }

    /// Shows a series in a viewport, a new one or one that showed another. It becomes the active one.
    /// `viewport_px` is the longer side of what it shows a frame in, in device pixels.
    pub fn open(&mut self, viewport: u32, series: Series, visible: u32, viewport_px: u32) {
        let view = View {
            id: viewport,
            series,
            center: visible,
            down: false,
            moving: false,
            need: need(viewport_px),
        };
        match self.views.iter_mut().find(|v| v.id == viewport) {
            Some(old) => *old = view,
            None => self.views.push(view),
        }
        self.active = Some(viewport);
        self.goes_first(viewport);
    }

    /// A viewport shows another frame, scrolled at `velocity` frames a second (negative: towards the first). Its frame is
    /// the next to be sent. At 0 the direction stays as it was, but nothing counts as behind.
    pub fn center(&mut self, viewport: u32, frame: u32, velocity: f32) {
        let Some(view) = self.views.iter_mut().find(|v| v.id == viewport) else {
            return;
        };
        view.center = frame;
        view.moving = velocity != 0.0 && velocity.is_finite();
        if view.moving {
            view.down = velocity < 0.0;
        }
        self.goes_first(viewport);
    }

    /// A viewport changed its size.
    pub fn resize(&mut self, viewport: u32, viewport_px: u32) {
        if let Some(view) = self.views.iter_mut().find(|v| v.id == viewport) {
            view.need = need(viewport_px);
        }
    }

    /// The viewport that is worked in: first in each round.
    pub fn activate(&mut self, viewport: u32) {
        self.active = Some(viewport);
        self.served = None;
    }

    /// A viewport is gone. Its series is sent no further, but for the two last stages.
    pub fn close(&mut self, viewport: u32) {
        self.views.retain(|v| v.id != viewport);
        self.served = None;
    }

    /// While set, only what is looked at is sent ([`Stage::Visible`]): an emergency elsewhere has the line.
    pub fn emergency(&mut self, on: bool) {
        self.emergency = on;
    }

    /// The layer came by another way, or is not wanted any more: it is not sent.
    pub fn skip(&mut self, series: Series, frame: u32, layer: u8) {
        let len = self.len(series, frame, layer);
        let bits = self.bits(series, layer);
        if bits.is_some_and(|b| b.clear(frame)) {
            self.left = self.left.saturating_sub(u64::from(len));
        }
    }

    /// The layer was named, and did not arrive: it is named again.
    pub fn put_back(&mut self, series: Series, frame: u32, layer: u8) {
        let len = self.len(series, frame, layer);
        let bits = self.bits(series, layer);
        if len > 0 && bits.is_some_and(|b| b.set(frame)) {
            self.left += u64::from(len);
        }
    }

    /// Bytes still missing, of all layers of all series.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// What to send now; it is taken as sent. `None`: nothing that is wanted is missing.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Next> {
        let stages: &[Stage] = if self.emergency {
            &[Stage::Visible]
        } else {
            &Stage::ALL
        };
        let (stage, (series, frame, layer)) =
            stages.iter().find_map(|stage| Some((*stage, self.at(*stage)?)))?;
        let len = self.len(series, frame, layer);
        self.skip(series, frame, layer);
        Some(Next {
            series,
            frame,
            layer,
            len,
            stage,
        })
    }

    fn goes_first(&mut self, viewport: u32) {
        self.moved = Some(viewport);
        self.served = None;
    }

    fn bits(&mut self, series: Series, layer: u8) -> Option<&mut Bits> {
        self.stacks
            .get_mut(series.0 as usize)?
            .missing
            .get_mut(usize::from(layer))
    }

    fn len(&self, series: Series, frame: u32, layer: u8) -> u32 {
        let stack = self.stacks.get(series.0 as usize);
        let lengths = stack.and_then(|s| s.lengths.get(frame as usize));
        lengths
            .and_then(|l| l.get(usize::from(layer)))
            .copied()
            .unwrap_or(0)
    }

    /// The next of a stage, and whose turn it was.
    fn at(&mut self, stage: Stage) -> Option<(Series, u32, u8)> {
        let of_role = match stage {
            Stage::OtherSeries => Some(Role::Current),
            Stage::Priors => Some(Role::Prior),
            _ => None,
        };
        if let Some(role) = of_role {
            return self.unopened(role);
        }
        let count = self.views.len();
        let place = |id: Option<u32>| id.and_then(|id| self.views.iter().position(|v| v.id == id));
        let start = match self.served {
            Some((last, viewport)) if last == stage => place(Some(viewport)).map_or(0, |n| n + 1),
            _ => place(self.moved).or_else(|| place(self.active)).unwrap_or(0),
        };
        let turns = self.views.iter().cycle().skip(start).take(count);
        let (viewport, found) = turns
            .filter_map(|v| {
                let (frame, layer) = self.wanted(v, stage)?;
                Some((v.id, (v.series, frame, layer)))
            })
            .next()?;
        self.served = Some((stage, viewport));
        self.moved = None;
        Some(found)
    }

    /// The next of a stage in a viewport.
    fn wanted(&self, view: &View, stage: Stage) -> Option<(u32, u8)> {
        let stack = self.stacks.get(view.series.0 as usize)?;
        let last = LAYERS - 1;
        match stage {
            Stage::Visible => stack.first_missing(view.center, 0, view.need),
            Stage::Exact => stack.first_missing(view.center, 0, last),
            Stage::Neighbours => (1..=NEIGHBOURS).find_map(|far| {
                let (above, below) = (view.center.checked_add(far), view.center.checked_sub(far));
                let both = if view.down { [below, above] } else { [above, below] };
                both.into_iter()
                    .flatten()
                    .find_map(|frame| stack.first_missing(frame, 0, last))
            }),
            Stage::Scrollable => stack.nearest(0, view),
            Stage::Sharper => stack.nearest(1, view),
            Stage::Full => {
                let [_, _, third, fourth] = &stack.missing;
                let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
                let above = least(third.at_or_after(view.center), fourth.at_or_after(view.center));
                let below = third
                    .at_or_before(view.center)
                    .max(fourth.at_or_before(view.center));
                let behind = if view.moving { BEHIND } else { 1 };
                stack.first_missing(view.nearer(above, below, behind)?, 2, last)
            }
            Stage::OtherSeries | Stage::Priors => None,
        }
    }

    /// Layer 0 of the series that no viewport shows, in the order they were added, from their first frame.
    fn unopened(&self, role: Role) -> Option<(Series, u32, u8)> {
        (0u32..).zip(&self.stacks).find_map(|(n, stack)| {
            let series = Series(n);
            let is_shown = self.views.iter().any(|v| v.series == series);
            let frame = stack
                .layer(0)?
                .at_or_after(0)
                .filter(|_| stack.role == role && !is_shown)?;
            Some((series, frame, 0))
        })
    }
}
