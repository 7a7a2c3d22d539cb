//! The server's driver in the simulation: sockets with a bandwidth, reads with a delay, the hub.

use super::hospital::WARDS;
use super::world::{Do, World, mille};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_sync::fanout;
use vitrine_sync::server::{self as s, AuditVerdict, DeviceVerdict, PageRead, RowsRead};
use vitrine_wire::message::{AuditRow, EntryOutcome};

impl World {
    pub(super) fn feed_server(&mut self, id: u64, event: s::Event) {
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

    pub(super) fn wants_send(&mut self, id: u64) {
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
    pub(super) fn send(&mut self, id: u64) {
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

    pub(super) fn answer(&mut self, id: u64, e: s::Event) {
        let wait = self.rng.up_to(20);
        self.later(wait, Do::Answer(id, e));
    }

    pub(super) fn serve(&mut self, id: u64, e: s::Effect) {
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
                        training: false,
                        layouts: std::sync::Arc::default(),
                        offline_days: 14,
                        ways: vitrine_wire::message::WaysIn::default(),
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
            s::Effect::StoreGrant { grant, after } => {
                let gid: String = serde_json::from_str(grant.get()).unwrap();
                self.hospital.grants.insert(gid.clone(), grant.get().into());
                let rev = after.map_or(0, |a| a.rev);
                self.answer(id, s::Event::GrantStored { id: gid, rev });
            }
            s::Effect::StoreEntry { entry } => {
                let eid: String = serde_json::from_str(entry.get()).unwrap();
                let outcome = if !self.quiet && self.rng.up_to(8) == 0 {
                    EntryOutcome::Later
                } else {
                    if !self.hospital.entries.contains(&eid) {
                        self.hospital.entries.push(eid.clone());
                    }
                    EntryOutcome::Accepted { keys: Vec::new() }
                };
                self.answer(id, s::Event::EntryStored { id: eid, outcome });
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

    pub(super) fn store_audit(&mut self, device: &str, rows: Vec<AuditRow>) -> AuditVerdict {
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

    pub(super) fn read_since(&mut self, scope: &str, pos: u64) -> RowsRead {
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

    pub(super) fn read_page(&mut self, scope: &str, after: Option<&str>) -> PageRead {
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
                version: None,
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

    pub(super) fn hub(&mut self) {
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
}
