//! The simulated world: one server, several workstations, a network that delays, cuts, half-opens and brings late
//! frames of old connections, and faults inside both ends. Everything follows from the seed.

use super::hospital::{Hospital, WARDS};
use super::workstation::{Cache, Outbox, Workstation, client};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use vitrine_sync::backoff::Jitter;
use vitrine_sync::client::CacheView;
use vitrine_sync::client::Event;
use vitrine_sync::server::{self as s, Now, Session};
use vitrine_wire::view::DataAge;

/// What is switched off to see that the simulation can fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    /// Deltas reach the client with `prev` changed to fit whatever it holds.
    pub blind_to_gaps: bool,
    /// Every digest is answered as equal.
    pub blind_to_digests: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Per mille of live frames lost between hub and session.
    pub lose: u64,
    /// Per mille of store effects that fail.
    pub store: u64,
    /// Per mille of changes without a feed row.
    pub forget: u64,
    pub network: bool,
    pub kills: bool,
    pub restores: bool,
}

pub(super) enum Do {
    Wake(usize, u64),
    ToClient(usize, u64, Bytes),
    EndClient(usize, u64),
    FromDriver(usize, u64, Event),
    ToServer(u64, Bytes),
    Answer(u64, s::Event),
    EndServer(u64),
    Send(u64),
    ServerTick(u64),
    Hub,
    Change,
    Fault,
    Act,
}

pub(super) struct Link {
    pub(super) client: usize,
    pub(super) conn: u64,
    pub(super) session: Session,
    pub(super) listens: Vec<String>,
    pub(super) up_at: u64,
    pub(super) down_at: u64,
    pub(super) latency: u64,
    pub(super) jitter: u64,
    pub(super) bytes_per_ms: u64,
    pub(super) up_dead: bool,
    pub(super) down_dead: bool,
    pub(super) sending: bool,
    pub(super) tick_at: u64,
}

pub struct World {
    pub rng: Jitter,
    pub now: u64,
    pub hospital: Hospital,
    pub stations: Vec<Workstation>,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) next_link: u64,
    pub(super) queue: BinaryHeap<Reverse<(u64, u64)>>,
    pub(super) doing: BTreeMap<u64, Do>,
    pub(super) seq: u64,
    pub(super) hub_pos: u64,
    pub(super) hub_due: bool,
    pub(super) faults: Faults,
    pub(super) control: Control,
    pub(super) quiet: bool,
    pub(super) backup: Option<Hospital>,
    pub(super) generations: Vec<u64>,
    pub stats: Stats,
    /// Print what the workstations do (a single seed was asked for).
    pub trace: bool,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Stats {
    pub frames: u64,
    pub lost: u64,
    pub cuts: u64,
    pub half_open: u64,
    pub kills: u64,
    pub restores: u64,
    pub snapshots: u64,
    pub resumed: u64,
    pub repairs: u64,
    pub dirty: u64,
    pub store_failures: u64,
    pub connections: u64,
}

impl Stats {
    pub fn add(&mut self, o: &Self) {
        self.frames += o.frames;
        self.lost += o.lost;
        self.cuts += o.cuts;
        self.half_open += o.half_open;
        self.kills += o.kills;
        self.restores += o.restores;
        self.snapshots += o.snapshots;
        self.resumed += o.resumed;
        self.repairs += o.repairs;
        self.dirty += o.dirty;
        self.store_failures += o.store_failures;
        self.connections += o.connections;
    }
}

/// Chance in a thousand.
pub(super) fn mille(rng: &mut Jitter, n: u64) -> bool {
    rng.up_to(999) < n
}

impl World {
    pub fn new(seed: u64, control: Control) -> Self {
        let mut rng = Jitter::new(seed);
        let faults = Faults {
            lose: if rng.up_to(3) == 0 { 0 } else { 10 },
            store: [0, 0, 5][usize::try_from(rng.up_to(2)).unwrap()],
            forget: [0, 0, 10][usize::try_from(rng.up_to(2)).unwrap()],
            network: rng.up_to(4) > 0,
            kills: rng.up_to(2) > 0,
            restores: rng.up_to(3) == 0,
        };
        let patients = 3 + usize::try_from(rng.up_to(6)).unwrap();
        let mut hospital = Hospital::new(&mut rng, patients);
        hospital.forget = faults.forget;
        let mut w = Self {
            now: 1_000,
            hub_pos: hospital.pos,
            hospital,
            stations: Vec::new(),
            links: BTreeMap::new(),
            next_link: 0,
            queue: BinaryHeap::new(),
            doing: BTreeMap::new(),
            seq: 0,
            hub_due: false,
            faults,
            control,
            quiet: false,
            backup: None,
            generations: vec![0; 3],
            stats: Stats::default(),
            trace: false,
            rng,
        };
        for n in 0..2 + usize::try_from(w.rng.up_to(1)).unwrap() {
            let (name, seed) = (format!("ws{n}"), w.rng.next_u64());
            let (cache, outbox) = (Cache::default(), Outbox::default());
            w.stations.push(Workstation {
                client: client(&name, seed, &cache, &outbox),
                name,
                ward: n % 2,
                cache,
                outbox,
                open: Vec::new(),
                signed_in: false,
                current: Vec::new(),
                placed: Vec::new(),
                conn: 0,
                timer: 0,
            });
            let at = w.rng.up_to(500);
            w.later(at, Do::FromDriver(n, 0, Event::WantConnect));
        }
        w.later(50, Do::Change);
        w.later(80, Do::Act);
        w.later(700, Do::Fault);
        w
    }

    pub(super) fn later(&mut self, ms: u64, what: Do) {
        self.seq += 1;
        self.queue.push(Reverse((self.now + ms, self.seq)));
        self.doing.insert(self.seq, what);
    }

    pub(super) fn clock(&self) -> Now {
        Now {
            ms: self.now,
            wall_ms: 1_700_000_000_000 + i64::try_from(self.now).unwrap(),
        }
    }

    /// Runs with faults and changes for a while, then quietly until everything must be equal.
    pub fn run(&mut self) {
        let busy = 15_000 + self.rng.up_to(25_000);
        self.until(self.now + busy);
        self.quiet = true;
        self.faults = Faults {
            lose: 0,
            store: 0,
            forget: 0,
            network: false,
            kills: false,
            restores: false,
        };
        self.hospital.forget = 0;
        for l in self.links.values_mut() {
            (l.bytes_per_ms, l.latency) = (1_000, 5);
        }
        for n in 0..self.stations.len() {
            self.feed_client(n, Event::OutboxChanged);
        }
        self.until(self.now + 60_000);
    }

    pub(super) fn until(&mut self, end: u64) {
        while let Some(Reverse((at, seq))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(what) = self.doing.remove(&seq) {
                self.act(what);
            }
        }
        self.now = end;
    }

    pub(super) fn act(&mut self, what: Do) {
        match what {
            Do::Wake(n, timer) if self.stations[n].timer == timer => self.feed_client(n, Event::Tick),
            Do::Wake(..) => {}
            Do::ToClient(n, conn, bytes) => self.deliver_to(n, conn, bytes),
            Do::EndClient(n, conn) => self.feed_client(n, Event::Disconnected { conn }),
            Do::FromDriver(n, generation, e) => {
                // Answers of a driver that was killed meanwhile are void.
                if generation == self.generations[n] {
                    self.feed_client(n, e);
                }
            }
            Do::ToServer(id, bytes) => self.feed_server(id, s::Event::Received(bytes)),
            Do::Answer(id, e) => self.feed_server(id, e),
            Do::EndServer(id) => {
                self.links.remove(&id);
            }
            Do::Send(id) => self.send(id),
            Do::ServerTick(id) => {
                if self.links.get(&id).is_some_and(|l| l.tick_at <= self.now) {
                    self.feed_server(id, s::Event::Tick);
                }
            }
            Do::Hub => self.hub(),
            Do::Change => self.change(),
            Do::Fault => self.fault(),
            Do::Act => self.someone_acts(),
        }
    }

    /// Everything that must hold once it is quiet; the differences found.
    pub fn differences(&self) -> Vec<String> {
        let mut out = Vec::new();
        for st in &self.stations {
            let ward = WARDS[st.ward];
            let mut scopes = vec!["dir".to_owned(), format!("board:{ward}"), format!("ess:{ward}")];
            if st.name == "ws0" {
                scopes.push("ess:site".into());
            }
            if st.signed_in {
                scopes.extend(st.open.iter().map(|p| format!("pat:{p}")));
            }
            if !st.client.is_current() {
                out.push(format!("{} is not current", st.name));
            }
            for scope in scopes {
                if st.cache.digest(&scope).hex() != self.hospital.digest(&scope).hex() {
                    out.push(format!("{} {scope}: differs", st.name));
                }
                let live = st
                    .client
                    .status(&scope)
                    .is_some_and(|s| s.age == DataAge::Live && s.complete);
                if !live {
                    out.push(format!(
                        "{} {scope}: not live: {:?}",
                        st.name,
                        st.client.status(&scope)
                    ));
                }
                if scope.starts_with("pat:")
                    && st.cache.held(&scope).map(|h| h.rev) != Some(self.hospital.rev(&scope))
                {
                    out.push(format!("{} {scope}: revision differs", st.name));
                }
            }
            let held = self.hospital.audit.get(&st.name).cloned().unwrap_or_default();
            if held != st.outbox.rows {
                out.push(format!(
                    "{}: {} of {} audit rows",
                    st.name,
                    held.len(),
                    st.outbox.rows.len()
                ));
            }
            if st.outbox.acked != st.outbox.rows.len() as u64 {
                out.push(format!("{}: rows not acknowledged", st.name));
            }
            for (id, accepted) in &st.outbox.entries {
                if !self.hospital.entries.contains(id) || !accepted {
                    out.push(format!("{}: entry {id} not in the record", st.name));
                }
            }
            for (id, acked) in &st.outbox.grants {
                if !self.hospital.grants.contains_key(id) || !acked {
                    out.push(format!("{}: grant {id} not on the server", st.name));
                }
            }
        }
        out
    }
}
