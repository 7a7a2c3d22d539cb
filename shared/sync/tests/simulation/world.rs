//! The simulated world: one server, several workstations, a network that delays, cuts, half-opens and brings late
//! frames of old connections, and faults inside both ends. Everything follows from the seed.

use super::hospital::{Hospital, WARDS};
use super::workstation::{Cache, Outbox, Workstation, client};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use vitrine_sync::backoff::Jitter;
use vitrine_sync::client::{self as c, CacheView, Effect, Event, GrantDue, GrantsWanted};
use vitrine_sync::fanout;
use vitrine_sync::server::{self as s, AuditVerdict, DeviceVerdict, Now, PageRead, RowsRead, Session};
use vitrine_wire::frame::Frame;
use vitrine_wire::message::{AuditRow, Change, DigestDiff, ServerMessage};
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

enum Do {
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

struct Link {
    client: usize,
    conn: u64,
    session: Session,
    listens: Vec<String>,
    up_at: u64,
    down_at: u64,
    latency: u64,
    jitter: u64,
    bytes_per_ms: u64,
    up_dead: bool,
    down_dead: bool,
    sending: bool,
    tick_at: u64,
}

pub struct World {
    pub rng: Jitter,
    pub now: u64,
    pub hospital: Hospital,
    pub stations: Vec<Workstation>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    doing: BTreeMap<u64, Do>,
    seq: u64,
    hub_pos: u64,
    hub_due: bool,
    faults: Faults,
    control: Control,
    quiet: bool,
    backup: Option<Hospital>,
    generations: Vec<u64>,
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
fn mille(rng: &mut Jitter, n: u64) -> bool {
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

    fn later(&mut self, ms: u64, what: Do) {
        self.seq += 1;
        self.queue.push(Reverse((self.now + ms, self.seq)));
        self.doing.insert(self.seq, what);
    }

    fn clock(&self) -> Now {
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
        self.until(self.now + 75_000);
    }

    fn until(&mut self, end: u64) {
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

    fn act(&mut self, what: Do) {
        match what {
            Do::Wake(n, timer) if self.stations[n].timer == timer => self.feed_client(n, Event::Tick),
            Do::Wake(..) => {}
            Do::ToClient(n, conn, bytes) => self.to_client(n, conn, bytes),
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

    // ---- the server's driver ----

    fn feed_server(&mut self, id: u64, event: s::Event) {
        let now = self.clock();
        let Some(l) = self.links.get_mut(&id) else { return };
        let effects = l.session.step(now, event);
        for e in effects {
            self.serve(id, e);
        }
        self.wants_send(id);
        if let Some(l) = self.links.get_mut(&id) {
            let at = l.session.wake_at();
            if at != l.tick_at && at != u64::MAX {
                l.tick_at = at;
                let wait = at.saturating_sub(self.now);
                self.later(wait, Do::ServerTick(id));
            }
        }
    }

    fn wants_send(&mut self, id: u64) {
        if let Some(l) = self.links.get_mut(&id)
            && !l.sending
            && l.session.wants_send()
        {
            l.sending = true;
            let wait = l.down_at.saturating_sub(self.now);
            self.later(wait, Do::Send(id));
        }
    }

    /// Sends one message: the link is then busy for as long as its bandwidth needs.
    fn send(&mut self, id: u64) {
        let now = self.clock();
        let Some(l) = self.links.get_mut(&id) else { return };
        l.sending = false;
        let Some(bytes) = l.session.poll_send(now) else {
            return self.feed_server(id, s::Event::CanSend);
        };
        let took = bytes.len() as u64 / l.bytes_per_ms;
        l.down_at = self.now + took;
        let (n, conn, dead) = (l.client, l.conn, l.down_dead);
        let (latency, jitter) = (l.latency, l.jitter);
        // In order within a connection, whatever the jitter.
        let arrive = (self.now + took + latency + self.rng.up_to(jitter)).max(self.links[&id].down_at);
        if let Some(l) = self.links.get_mut(&id) {
            let arrive = arrive.max(l.up_at);
            l.up_at = arrive;
            if !dead {
                let wait = arrive - self.now;
                self.later(wait, Do::ToClient(n, conn, bytes));
            }
        }
        self.feed_server(id, s::Event::CanSend);
    }

    fn answer(&mut self, id: u64, e: s::Event) {
        let wait = self.rng.up_to(20);
        self.later(wait, Do::Answer(id, e));
    }

    fn serve(&mut self, id: u64, e: s::Effect) {
        let h = &self.hospital;
        match e {
            s::Effect::VerifyDevice {
                device, signature, ..
            } => {
                let n: usize = device.trim_start_matches("ws").parse().unwrap();
                let ward = WARDS[self.stations[n].ward];
                let mut scopes = vec!["dir".into(), format!("board:{ward}"), format!("ess:{ward}")];
                if n == 0 {
                    scopes.push("ess:site".into());
                }
                assert_eq!(signature, "5167");
                let audit_seq = h.audit.get(&device).map_or(0, |a| a.len() as u64);
                self.answer(
                    id,
                    s::Event::Device(DeviceVerdict::Active {
                        ward: ward.into(),
                        scopes,
                        audit_seq,
                    }),
                );
            }
            s::Effect::CheckUser { n, token } => {
                self.answer(
                    id,
                    s::Event::User {
                        n,
                        verdict: Ok(token),
                    },
                );
            }
            s::Effect::Decide { scope, n, user } => {
                assert_eq!(user.is_some(), scope.starts_with("pat:"));
                self.answer(
                    id,
                    s::Event::Decided {
                        scope,
                        n,
                        verdict: Ok(()),
                    },
                );
            }
            s::Effect::Listen { scope } => {
                let l = self.links.get_mut(&id).unwrap();
                if !l.listens.contains(&scope) {
                    l.listens.push(scope);
                }
            }
            s::Effect::Unlisten { scope } => {
                if let Some(l) = self.links.get_mut(&id) {
                    l.listens.retain(|s| *s != scope);
                }
            }
            s::Effect::ReadSince { scope, n, pos } => {
                let rows = self.read_since(&scope, pos);
                self.answer(id, s::Event::Rows { scope, n, rows });
            }
            s::Effect::ReadPage { scope, n, after } => {
                let page = self.read_page(&scope, after.as_deref());
                self.answer(id, s::Event::Page { scope, n, page });
            }
            s::Effect::ReadDigest { scope, n } => {
                let (pos, rev, digest) = (h.pos, h.rev(&scope), Arc::new(h.digest(&scope)));
                self.answer(
                    id,
                    s::Event::DigestRead {
                        scope,
                        n,
                        pos,
                        rev,
                        digest,
                    },
                );
            }
            s::Effect::ReadRefs { scope, n, buckets } => {
                let (pos, refs) = (h.pos, h.refs(&scope, &buckets));
                self.answer(
                    id,
                    s::Event::RefsRead {
                        scope,
                        n,
                        pos,
                        buckets,
                        refs,
                    },
                );
            }
            s::Effect::ReadItems { scope, n, keys } => {
                self.stats.repairs += 1;
                let (pos, items) = (h.pos, h.items(&scope, &keys));
                self.answer(
                    id,
                    s::Event::ItemsRead {
                        scope,
                        n,
                        pos,
                        keys,
                        items,
                    },
                );
            }
            s::Effect::StoreGrant { grant } => {
                let gid: String = serde_json::from_str(grant.get()).unwrap();
                self.hospital.grants.insert(gid.clone(), grant.get().into());
                self.answer(id, s::Event::GrantStored { id: gid });
            }
            s::Effect::StoreAudit { rows } => {
                let device = self.stations[self.links[&id].client].name.clone();
                let verdict = self.store_audit(&device, rows);
                self.answer(id, s::Event::AuditStored(verdict));
            }
            s::Effect::Close { .. } => {
                if let Some(l) = self.links.remove(&id) {
                    let (n, conn) = (l.client, l.conn);
                    self.later(10, Do::EndClient(n, conn));
                }
            }
            s::Effect::WipeDone { .. } => panic!("nobody was ordered to wipe"),
        }
    }

    fn store_audit(&mut self, device: &str, rows: Vec<AuditRow>) -> AuditVerdict {
        let held = self.hospital.audit.entry(device.to_owned()).or_default();
        for r in rows {
            let len = held.len() as u64;
            if r.seq == len + 1 {
                held.push(r);
            } else if r.seq > len {
                return AuditVerdict::Held(len);
            } else if held[usize::try_from(r.seq).unwrap() - 1].body != r.body {
                return AuditVerdict::Fork;
            }
        }
        AuditVerdict::Held(held.len() as u64)
    }

    fn read_since(&mut self, scope: &str, pos: u64) -> RowsRead {
        let h = &self.hospital;
        if pos < h.oldest || pos > h.pos {
            return RowsRead::Unusable;
        }
        let (rows, reached, more) = h.rows_since(pos, Some(scope), 5);
        let rev = if more { 0 } else { h.rev(scope) };
        let mut frames = Vec::new();
        for rows in fanout::by_scope(rows) {
            frames.extend(fanout::build(&rows, &h.items_of(&rows)).unwrap());
        }
        RowsRead::Rows {
            frames,
            pos: reached,
            rev,
            more,
        }
    }

    fn read_page(&mut self, scope: &str, after: Option<&str>) -> PageRead {
        let h = &self.hospital;
        let empty = BTreeMap::new();
        let all = h.scopes.get(scope).unwrap_or(&empty);
        let page: Vec<fanout::Item> = all
            .iter()
            .filter(|(k, _)| after.is_none_or(|a| k.as_str() > a))
            .take(2)
            .map(|(k, (ver, body))| fanout::Item {
                key: k.clone(),
                ver: *ver,
                body: body.clone(),
            })
            .collect();
        let last = page.last().map(|i| i.key.clone());
        let next_after = last.filter(|l| all.keys().next_back().is_some_and(|end| end > l));
        PageRead {
            frame: fanout::chunk(scope, &page, next_after.as_deref()).unwrap(),
            next_after,
            pos: h.pos,
            rev: h.rev(scope),
            total: all.len() as u64,
            oldest: h.oldest,
        }
    }

    fn hub(&mut self) {
        self.hub_due = false;
        let now = self.clock();
        let (rows, reached, _) = self.hospital.rows_since(self.hub_pos, None, usize::MAX - 1);
        self.hub_pos = reached;
        let mut frames = Vec::new();
        for rows in fanout::by_scope(rows) {
            frames.extend(fanout::build(&rows, &self.hospital.items_of(&rows)).unwrap());
        }
        let ids: Vec<u64> = self.links.keys().copied().collect();
        for id in ids {
            let l = self.links.get_mut(&id).unwrap();
            for f in &frames {
                if l.listens.iter().any(|s| **s == *f.scope) {
                    if mille(&mut self.rng, self.faults.lose) {
                        self.stats.lost += 1;
                    } else {
                        l.session.deliver(now, f);
                    }
                }
            }
            l.session.fed(reached, 0);
            self.wants_send(id);
        }
    }

    // ---- the workstation's driver ----

    fn to_client(&mut self, n: usize, conn: u64, mut bytes: Bytes) {
        self.stats.frames += 1;
        if self.trace
            && let Ok(m) = Frame::decode(&bytes).map(|f| ServerMessage::read(&f))
        {
            println!(
                "{:>7} ws{n} <- {conn} {}",
                self.now,
                format!("{m:?}").chars().take(240).collect::<String>()
            );
        }
        if let Ok(frame) = Frame::decode(&bytes) {
            match frame.kind {
                68 => {
                    self.stats.snapshots += 1;
                    if frame.body.windows(14).any(|w| w == b"\"resumed\":true") {
                        self.stats.resumed += 1;
                    }
                }
                73 => {
                    if let Ok(ServerMessage::Current(m)) = ServerMessage::read(&frame)
                        && conn == self.stations[n].conn
                    {
                        self.stations[n].current.push(m.scope);
                    }
                }
                81 => self.stats.dirty += 1,
                71 | 72 | 75 if self.control != Control::default() => bytes = self.blindfold(n, &frame),
                _ => {}
            }
        }
        self.feed_client(n, Event::Received { conn, bytes });
    }

    /// The control runs: what the client would need to notice divergence is taken from the message.
    fn blindfold(&self, n: usize, frame: &Frame) -> Bytes {
        let mut m = ServerMessage::read(frame).unwrap();
        let cache = &self.stations[n].cache;
        match &mut m {
            ServerMessage::Delta(d) if self.control.blind_to_gaps => {
                for c in &mut d.changes {
                    let local = cache.version(&d.scope, &c.key).unwrap_or(0);
                    if local < c.ver {
                        c.prev = local;
                    }
                }
            }
            ServerMessage::PatientDelta(d) if self.control.blind_to_gaps => {
                let local = cache.held(&d.scope).map_or(0, |h| h.rev);
                if local < d.rev {
                    d.rev_prev = local;
                }
            }
            ServerMessage::DigestDiff(d) if self.control.blind_to_digests => {
                *d = DigestDiff {
                    scope: d.scope.clone(),
                    pos: d.pos,
                    rev: 0,
                    buckets: Vec::new(),
                };
            }
            _ => {}
        }
        m.frame().unwrap().encode().unwrap()
    }

    fn feed_client(&mut self, n: usize, event: Event) {
        let st = &mut self.stations[n];
        let effects = st.client.step(self.now, event, &st.cache);
        let count = effects.len() as u64;
        let kill_at = (self.faults.kills && mille(&mut self.rng, 1)).then(|| self.rng.up_to(count));
        let mut failed: Vec<String> = Vec::new();
        for (i, e) in effects.into_iter().enumerate() {
            if kill_at == Some(i as u64) {
                return self.kill(n);
            }
            self.carry_out(n, e, &mut failed);
        }
        for scope in failed {
            self.stats.store_failures += 1;
            self.feed_client(n, Event::StoreFailed { scope });
        }
        let st = &mut self.stations[n];
        if let Some(at) = st.client.wake_at().filter(|at| *at != u64::MAX) {
            st.timer += 1;
            let timer = st.timer;
            let wait = at.saturating_sub(self.now);
            self.later(wait, Do::Wake(n, timer));
        }
    }

    fn kill(&mut self, n: usize) {
        self.stats.kills += 1;
        self.generations[n] += 1;
        let seed = self.rng.next_u64();
        let st = &mut self.stations[n];
        st.client = client(&st.name, seed, &st.cache, &st.outbox);
        st.timer += 1;
        (st.signed_in, st.conn) = (false, 0);
        st.open.clear();
        let gone: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, l)| l.client == n)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            // Frames under way to the old process die with it.
            self.links.get_mut(&id).unwrap().conn = u64::MAX;
            self.later(30, Do::EndServer(id));
        }
        // Their numbers begin anew: what is on the wire for the old process never reaches the new one.
        let dead: Vec<u64> = self
            .doing
            .iter()
            .filter(|(_, d)| matches!(d, Do::ToClient(c, ..) | Do::EndClient(c, _) | Do::FromDriver(c, ..) if *c == n))
            .map(|(k, _)| *k)
            .collect();
        dead.iter().for_each(|k| {
            self.doing.remove(k);
        });
        let (at, generation) = (100 + self.rng.up_to(2_000), self.generations[n]);
        self.later(at, Do::FromDriver(n, generation, Event::WantConnect));
    }

    fn reply(&mut self, n: usize, e: Event) {
        let (wait, generation) = (self.rng.up_to(5), self.generations[n]);
        self.later(wait, Do::FromDriver(n, generation, e));
    }

    fn carry_out(&mut self, n: usize, e: Effect, failed: &mut Vec<String>) {
        if self.trace {
            let text = format!("{e:?}");
            if !text.starts_with("Send") && !text.starts_with("ServerTime") {
                println!(
                    "{:>7} ws{n} {}",
                    self.now,
                    text.chars().take(240).collect::<String>()
                );
            }
        }
        if let Some(scope) = store_scope(&e) {
            if failed.contains(scope) {
                return;
            }
            if mille(&mut self.rng, self.faults.store) {
                failed.push(scope.clone());
                return;
            }
        }
        match e {
            Effect::Connect { conn, .. } => self.connect(n, conn),
            Effect::Close { conn, .. } => {
                let ids: Vec<u64> = self
                    .links
                    .iter()
                    .filter(|(_, l)| l.client == n && l.conn == conn)
                    .map(|(i, _)| *i)
                    .collect();
                let late = self.rng.up_to(50);
                for id in ids {
                    self.later(late, Do::EndServer(id));
                }
                self.later(5, Do::EndClient(n, conn));
            }
            Effect::Send { conn, bytes } => {
                let found = self
                    .links
                    .iter()
                    .find(|(_, l)| l.client == n && l.conn == conn)
                    .map(|(i, _)| *i);
                if let Some(id) = found {
                    let l = &self.links[&id];
                    if !l.up_dead {
                        let wait = l.latency;
                        self.later(wait, Do::ToServer(id, bytes));
                    }
                }
            }
            Effect::SignNonce { nonce } => {
                assert!(!nonce.is_empty());
                self.reply(
                    n,
                    Event::Signed {
                        signature: "5167".into(),
                        report: "{}".into(),
                    },
                );
            }
            Effect::ReadOutbox {
                after,
                max_rows,
                grants,
                ..
            } => {
                let o = &self.stations[n].outbox;
                let rows = o
                    .rows
                    .iter()
                    .filter(|r| r.seq > after)
                    .take(max_rows)
                    .cloned()
                    .collect();
                let due = o
                    .grants
                    .iter()
                    .filter(|(_, acked)| match grants {
                        GrantsWanted::None => false,
                        GrantsWanted::Unacked => !**acked,
                        GrantsWanted::All => true,
                    })
                    .map(|(id, _)| GrantDue {
                        id: id.clone(),
                        json: serde_json::value::to_raw_value(id).unwrap(),
                    })
                    .collect();
                let head = o.rows.len() as u64;
                let e = Event::OutboxHas {
                    rows,
                    head,
                    oldest: u64::from(head > 0),
                    grants: due,
                };
                self.reply(n, e);
            }
            Effect::MarkRowsAcked { up_to } => {
                let held = self
                    .hospital
                    .audit
                    .get(&self.stations[n].name)
                    .map_or(0, |a| a.len() as u64);
                let restored = self.hospital.epoch > 1;
                assert!(
                    up_to <= held || restored,
                    "row {up_to} acknowledged, the server holds {held}"
                );
                self.stations[n].outbox.acked = up_to;
            }
            Effect::MarkGrantAcked { id } => {
                self.stations[n].outbox.grants.insert(id, true);
            }
            Effect::Placed { scopes, .. } => self.stations[n].placed = scopes,
            Effect::NoteEpoch { epoch } => self.stations[n].outbox.epoch = Some(epoch),
            Effect::Alarm(a) => panic!("alarm in a world without enemies: {a:?}"),
            Effect::Status { scope, status } => {
                let st = &self.stations[n];
                if status.age == DataAge::Live {
                    assert!(
                        st.current.contains(&scope),
                        "{scope} shown live before it was current"
                    );
                    assert!(status.complete && status.loading.is_none());
                }
            }
            Effect::VerifyWipe { .. } | Effect::Wipe { .. } => panic!("nobody ordered a wipe"),
            store => self.store(n, store),
        }
    }

    fn store(&mut self, n: usize, e: Effect) {
        match e {
            Effect::ApplyDelta {
                scope,
                changes,
                pos,
                rev,
            } => {
                if self.control == Control::default() {
                    self.check_apply(n, &scope, &changes, rev);
                }
                self.stations[n].cache.apply(&scope, &changes, pos, rev);
                self.check_complete(n, &scope, pos);
            }
            Effect::BeginSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => {
                self.stations[n].cache.begin(&scope, epoch, pos, rev);
            }
            Effect::StageChunk { scope, items } => self.stations[n].cache.stage(&scope, &items),
            Effect::CommitSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => {
                self.stations[n].cache.commit(&scope, epoch, pos, rev);
            }
            Effect::DropScope { scope } => {
                let st = &mut self.stations[n];
                assert!(!st.placed.contains(&scope), "dropped {scope}, which it may hold");
                st.cache.scopes.remove(&scope);
                st.cache.staged.remove(&scope);
            }
            Effect::MarkAge { as_of_ms, scopes } => {
                let lazy = self.rng.up_to(1) == 0;
                for (scope, pos) in scopes {
                    self.check_complete(n, &scope, pos);
                    if !lazy {
                        self.stations[n].cache.age(&scope, pos, as_of_ms);
                    }
                }
            }
            _ => {}
        }
    }

    /// No version is skipped: an item's delta continues what is held, a patient's revision grows without a hole.
    fn check_apply(&self, n: usize, scope: &str, changes: &[Change], rev: u64) {
        let cache = &self.stations[n].cache;
        let held = cache.held(scope).expect("held");
        if held.epoch != self.hospital.epoch_name() {
            return;
        }
        if !scope.starts_with("pat:") {
            for c in changes.iter().filter(|c| c.prev > 0) {
                assert_eq!(
                    cache.version(scope, &c.key),
                    Some(c.prev),
                    "{scope} {} skips",
                    c.key
                );
            }
            return;
        }
        assert!(
            rev >= held.rev,
            "{scope}: revision went back from {} to {rev}",
            held.rev
        );
        for row in self
            .hospital
            .feed
            .iter()
            .filter(|r| r.scope == scope && r.ver > held.rev && r.ver <= rev)
        {
            let told = changes.iter().any(|c| c.key == row.key && c.ver >= row.ver);
            let newer = cache.version(scope, &row.key).is_some_and(|v| v >= row.ver);
            let gone = cache.version(scope, &row.key).is_none()
                && self
                    .hospital
                    .feed
                    .iter()
                    .any(|r| r.scope == scope && r.key == row.key && r.tomb && r.ver >= row.ver);
            assert!(
                told || newer || gone,
                "{scope} {}: revision {} skipped",
                row.key,
                row.ver
            );
        }
    }

    /// A position says that everything up to it is held (where nothing was lost on purpose).
    fn check_complete(&mut self, n: usize, scope: &str, pos: u64) {
        let honest = self.faults.lose == 0 && self.faults.forget == 0 && !self.quiet;
        if !honest || self.control != Control::default() || self.rng.up_to(7) != 0 {
            return;
        }
        let cache = &self.stations[n].cache;
        if cache
            .held(scope)
            .is_none_or(|h| h.epoch != self.hospital.epoch_name())
        {
            return;
        }
        let mut newest: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for r in self
            .hospital
            .feed
            .iter()
            .filter(|r| r.scope == scope && r.pos <= pos)
        {
            newest.insert(&r.key, (r.ver, r.tomb));
        }
        for (key, (ver, tomb)) in newest {
            let local = cache.version(scope, key);
            let gone_later = || {
                self.hospital
                    .feed
                    .iter()
                    .any(|r| r.scope == scope && r.key == key && r.tomb && r.pos > pos)
            };
            let fits = local.is_some_and(|v| v >= ver && (!tomb || v > ver))
                || (local.is_none() && (tomb || gone_later()));
            assert!(
                fits,
                "{scope} {key}: said complete up to {pos}, where it is {ver} (gone: {tomb}); held {local:?}"
            );
        }
    }

    fn connect(&mut self, n: usize, conn: u64) {
        self.stats.connections += 1;
        if self.faults.network && self.rng.up_to(9) == 0 {
            let wait = self.rng.up_to(2_000);
            return self.later(wait, Do::EndClient(n, conn));
        }
        self.next_link += 1;
        let id = self.next_link;
        let now = self.clock();
        let nonce = format!("{:032x}", self.rng.next_u64());
        let epoch: Arc<str> = self.hospital.epoch_name().into();
        let slow = self.faults.network && self.rng.up_to(5) == 0;
        let pos = self.hospital.pos;
        let link = Link {
            client: n,
            conn,
            session: Session::new(now, epoch, nonce, pos),
            listens: Vec::new(),
            up_at: 0,
            down_at: 0,
            latency: 1 + self.rng.up_to(if self.quiet { 10 } else { 150 }),
            jitter: self.rng.up_to(30),
            bytes_per_ms: if slow { 1 } else { 1_000 },
            up_dead: false,
            down_dead: false,
            sending: false,
            tick_at: 0,
        };
        let tick = link.session.wake_at().saturating_sub(self.now);
        self.links.insert(id, link);
        self.later(tick, Do::ServerTick(id));
        let st = &mut self.stations[n];
        st.conn = conn;
        st.current.clear();
        self.feed_client(n, Event::Connected { conn });
    }

    // ---- what happens to them ----

    fn change(&mut self) {
        if self.quiet {
            return;
        }
        for _ in 0..1 + self.rng.up_to(3) {
            self.hospital.change(&mut self.rng);
        }
        if !self.hub_due {
            self.hub_due = true;
            let lag = self.rng.up_to(60);
            self.later(lag, Do::Hub);
        }
        let wait = self.rng.up_to(900);
        self.later(wait, Do::Change);
    }

    fn fault(&mut self) {
        if self.quiet {
            return;
        }
        let wait = self.rng.up_to(4_000);
        self.later(wait, Do::Fault);
        match self.rng.up_to(9) {
            0..=2 if self.faults.network => {
                if let Some(id) = self.some_link() {
                    self.cut(id);
                }
            }
            3 | 4 if self.faults.network => self.half_open(),
            5 => self.hospital.prune(&mut self.rng),
            6 if self.faults.restores => self.backup_or_restore(),
            7 => {
                // The workstation is carried to another ward.
                let n = self.someone();
                self.stations[n].ward = usize::try_from(self.rng.up_to(1)).unwrap();
                let ids: Vec<u64> = self
                    .links
                    .iter()
                    .filter(|(_, l)| l.client == n)
                    .map(|(id, _)| *id)
                    .collect();
                ids.into_iter().for_each(|id| self.cut(id));
            }
            _ => {}
        }
    }

    fn someone(&mut self) -> usize {
        usize::try_from(self.rng.up_to(self.stations.len() as u64 - 1)).unwrap()
    }

    fn some_link(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.links.keys().copied().collect();
        let last = (ids.len() as u64).checked_sub(1)?;
        Some(ids[usize::try_from(self.rng.up_to(last)).unwrap()])
    }

    /// The connection breaks: both ends learn of it, at different times; what was under way may still arrive late.
    fn cut(&mut self, id: u64) {
        self.stats.cuts += 1;
        let l = self.links.get_mut(&id).unwrap();
        (l.up_dead, l.down_dead) = (true, true);
        let (n, conn) = (l.client, l.conn);
        let (a, b) = (self.rng.up_to(300), self.rng.up_to(3_000));
        self.later(a, Do::EndClient(n, conn));
        self.later(b, Do::EndServer(id));
    }

    /// One or both directions fall silent and nobody is told.
    fn half_open(&mut self) {
        let Some(id) = self.some_link() else { return };
        self.stats.half_open += 1;
        let which = self.rng.up_to(2);
        let l = self.links.get_mut(&id).unwrap();
        l.up_dead |= which != 1;
        l.down_dead |= which != 0;
    }

    fn backup_or_restore(&mut self) {
        if self.backup.is_none() {
            self.backup = Some(self.hospital.clone());
            return;
        }
        self.stats.restores += 1;
        let backup = self.backup.take().unwrap();
        self.hospital.restore(backup);
        self.hub_pos = self.hospital.pos;
        for (_, l) in std::mem::take(&mut self.links) {
            let wait = self.rng.up_to(20);
            self.later(wait, Do::EndClient(l.client, l.conn));
        }
    }

    /// People sign in and out, open and close charts, break the glass.
    fn someone_acts(&mut self) {
        if self.quiet {
            return;
        }
        let wait = self.rng.up_to(1_500);
        self.later(wait, Do::Act);
        let n = self.someone();
        let patient = format!("p{}", self.rng.up_to(self.hospital.patients.len() as u64 - 1));
        match self.rng.up_to(7) {
            0 => {
                if std::mem::replace(&mut self.stations[n].signed_in, true) {
                    self.stations[n].open.clear();
                }
                self.feed_client(
                    n,
                    Event::SignedIn {
                        token: format!("t{}", self.now),
                    },
                );
            }
            1 if self.rng.up_to(2) == 0 => {
                self.stations[n].signed_in = false;
                self.stations[n].open.clear();
                self.feed_client(n, Event::SignedOut);
            }
            2 | 3 => {
                self.stations[n].open.push(patient.clone());
                self.feed_client(n, Event::OpenPatient { patient });
            }
            4 => {
                self.stations[n].open.retain(|p| *p != patient);
                self.feed_client(n, Event::ClosePatient { patient });
            }
            _ => {
                let o = &mut self.stations[n].outbox;
                let seq = o.rows.len() as u64 + 1;
                let body = format!("row {seq} of {n}");
                o.rows.push(AuditRow {
                    seq,
                    prev: String::new(),
                    hash: String::new(),
                    body,
                });
                if self.rng.up_to(4) == 0 {
                    let id = format!("g{n}-{seq}");
                    self.stations[n].outbox.grants.insert(id, false);
                }
                self.feed_client(n, Event::OutboxChanged);
            }
        }
    }

    // ---- the end ----

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
            for (id, acked) in &st.outbox.grants {
                if !self.hospital.grants.contains_key(id) || !acked {
                    out.push(format!("{}: grant {id} not on the server", st.name));
                }
            }
        }
        out
    }
}

/// The scope of a store effect.
fn store_scope(e: &Effect) -> Option<&String> {
    match e {
        c::Effect::ApplyDelta { scope, .. }
        | c::Effect::BeginSnapshot { scope, .. }
        | c::Effect::StageChunk { scope, .. }
        | c::Effect::CommitSnapshot { scope, .. } => Some(scope),
        _ => None,
    }
}
