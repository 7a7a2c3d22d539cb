//! The workstation's driver in the simulation: effects carried out in order, failing stores, kills in between; and
//! what must hold at every single effect.

use super::workstation::client;
use super::world::{Control, Do, Link, World, mille};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_sync::client::CacheView;
use vitrine_sync::client::{self as c, Effect, EntryDue, Event, GrantDue, GrantsWanted};
use vitrine_sync::lanes::Limits;
use vitrine_sync::server::Session;
use vitrine_wire::frame::Frame;
use vitrine_wire::message::{Change, DigestDiff, EntryOutcome, ServerMessage};
use vitrine_wire::view::DataAge;

impl World {
    pub(super) fn deliver_to(&mut self, n: usize, conn: u64, mut bytes: Bytes) {
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
    pub(super) fn blindfold(&self, n: usize, frame: &Frame) -> Bytes {
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

    pub(super) fn feed_client(&mut self, n: usize, event: Event) {
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

    pub(super) fn kill(&mut self, n: usize) {
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

    pub(super) fn reply(&mut self, n: usize, e: Event) {
        let (wait, generation) = (self.rng.up_to(5), self.generations[n]);
        self.later(wait, Do::FromDriver(n, generation, e));
    }

    pub(super) fn carry_out(&mut self, n: usize, e: Effect, failed: &mut Vec<String>) {
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
                        after: None,
                    })
                    .collect();
                let entries = o
                    .entries
                    .iter()
                    .filter(|(_, accepted)| grants == GrantsWanted::All || !accepted)
                    .map(|(id, _)| EntryDue {
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
                    entries,
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
            Effect::MarkGrantAcked { id, rev: _ } => {
                self.stations[n].outbox.grants.insert(id, true);
            }
            Effect::EndGrant { id, .. } => panic!("nobody took {id} back"),
            Effect::NoteEntrySent { id } => {
                let known = |e: &(String, bool)| e.0 == id;
                assert!(
                    self.stations[n].outbox.entries.iter().any(known),
                    "{id} sent, never recorded"
                );
            }
            Effect::MarkEntry { id, outcome } => {
                let restored = self.hospital.epoch > 1;
                if matches!(outcome, EntryOutcome::Accepted { .. }) {
                    assert!(
                        self.hospital.entries.contains(&id) || restored,
                        "{id} accepted and not in the record"
                    );
                    for e in &mut self.stations[n].outbox.entries {
                        e.1 |= e.0 == id;
                    }
                }
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

    pub(super) fn store(&mut self, n: usize, e: Effect) {
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
    pub(super) fn check_apply(&self, n: usize, scope: &str, changes: &[Change], rev: u64) {
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
    pub(super) fn check_complete(&mut self, n: usize, scope: &str, pos: u64) {
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

    pub(super) fn connect(&mut self, n: usize, conn: u64) {
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
        let tight = Limits {
            shared: 1,
            keys: 8,
            ..Limits::default()
        };
        let limits = if slow && self.rng.up_to(1) == 0 {
            tight
        } else {
            Limits::default()
        };
        let link = Link {
            client: n,
            conn,
            session: Session::new(now, epoch, nonce, pos).with_limits(limits),
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
