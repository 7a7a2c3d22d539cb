//! What the driver read, turned into frames.
//!
//! Never here: reading. Called by [`super::Session::step`].

use super::{AuditVerdict, Effect, Event, Now, PageRead, RowsRead, Session, Snapshot, SubStage, encode};
use crate::fanout::{BulkFrame, Item, raw, weight_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_wire::ErrorCode;
use vitrine_wire::digest::ScopeDigest;
use vitrine_wire::frame::{CHUNK, Lane};
use vitrine_wire::message::{
    AuditAck, Change, Current, DigestDiff, Items, Ref, Refs, Reject, Resumed, ServerMessage, SnapBegin,
    SnapEnd,
};

/// References in one message.
const REFS_MAX: usize = 2_000;
/// With more references than this to compare, a snapshot is cheaper.
const REFS_ALL_MAX: usize = 100_000;

impl Session {
    pub(super) fn answer(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        self.reads = self.reads.saturating_sub(1);
        match event {
            Event::Decided { scope, n, verdict } => self.decided(&scope, n, verdict, out),
            Event::Rows { scope, n, rows } => self.rows(now, &scope, n, rows),
            Event::Page { scope, n, page } => self.page(&scope, n, page, out),
            Event::DigestRead {
                scope,
                n,
                pos,
                rev,
                digest,
            } => self.digest_read(scope, n, (pos, rev), &digest, out),
            Event::RefsRead {
                scope,
                n,
                pos,
                buckets,
                refs,
            } => self.refs_read(&scope, n, pos, &buckets, refs, out),
            Event::ItemsRead {
                scope,
                n,
                pos,
                keys,
                items,
            } => self.items_read(&scope, n, pos, keys, items, out),
            Event::ReadFailed { scope, n } if self.find(&scope, n).is_some() => {
                self.withdraw(&scope, ErrorCode::Overloaded, out);
            }
            _ => {}
        }
    }

    fn decided(&mut self, scope: &str, n: u64, verdict: Result<(), ErrorCode>, out: &mut Vec<Effect>) {
        let Some(sub) = self.find(scope, n) else { return };
        let SubStage::Deciding(wanted) = &mut sub.stage else {
            return;
        };
        let wanted = std::mem::take(&mut **wanted);
        if let Err(code) = verdict {
            return self.withdraw(scope, code, out);
        }
        out.push(Effect::Listen {
            scope: scope.to_owned(),
        });
        if let Some(pos) = wanted.have {
            sub.stage = SubStage::CatchingUp { told: false };
            sub.sent = pos;
            sub.more = true;
        } else {
            sub.stage = SubStage::Snapshot(Box::new(Snapshot::begin(wanted.resume)));
        }
    }

    fn rows(&mut self, now: Now, scope: &str, n: u64, rows: RowsRead) {
        let Some(sub) = self.find(scope, n) else { return };
        let SubStage::CatchingUp { told } = &mut sub.stage else {
            return;
        };
        let RowsRead::Rows {
            frames,
            pos,
            rev,
            more,
        } = rows
        else {
            sub.stage = SubStage::Snapshot(Box::new(Snapshot::begin(None)));
            return;
        };
        let first = !std::mem::replace(told, true);
        let had = sub.sent;
        sub.sent = sub.sent.max(pos);
        let (name, patient, hub, at) = (Arc::clone(&sub.scope), sub.patient, sub.hub, sub.sent);
        sub.more = more || hub > at;
        let live = !sub.more;
        let lane = if patient { Lane::Patient } else { Lane::Essentials };
        let resumed = Resumed {
            scope: scope.to_owned(),
            pos: had,
            n,
        };
        if first && let Some(bytes) = encode(&resumed.into()) {
            self.lanes.mark(&name, lane, bytes, now.ms);
        }
        for frame in frames {
            let dropped = self.lanes.delta(&frame, now.ms);
            if !dropped.is_empty() {
                self.overflowed(&dropped);
                return;
            }
        }
        if live && let Some(sub) = self.find(scope, n) {
            sub.stage = SubStage::Live;
            let current = Current {
                scope: scope.to_owned(),
                pos: at,
                rev,
                n,
            };
            if let Some(bytes) = encode(&current.into()) {
                self.lanes.mark(&name, lane, bytes, now.ms);
            }
        }
    }

    fn page(&mut self, scope: &str, n: u64, page: PageRead, out: &mut Vec<Effect>) {
        let epoch = self.epoch.as_ref().to_owned();
        let Some(sub) = self.find(scope, n) else { return };
        let name = Arc::clone(&sub.scope);
        let SubStage::Snapshot(snap) = &mut sub.stage else {
            return;
        };
        snap.reading = false;
        let mut say: Vec<ServerMessage> = Vec::new();
        let pos = match (snap.begun, snap.resume.take()) {
            (Some(pos), _) => pos,
            // The changes since the interrupted one began are gone: from the beginning.
            (None, Some(at)) if at < page.oldest || at > page.pos => {
                snap.after = None;
                return;
            }
            (None, resume) => {
                let pos = resume.unwrap_or(page.pos);
                snap.begun = Some(pos);
                say.push(
                    SnapBegin {
                        scope: scope.to_owned(),
                        epoch: epoch.clone(),
                        pos,
                        rev: page.rev,
                        total: page.total,
                        resumed: resume.is_some(),
                        n,
                    }
                    .into(),
                );
                pos
            }
        };
        let last = page.next_after.is_none();
        snap.after = page.next_after;
        if last {
            sub.stage = SubStage::Ended;
        }
        for m in say {
            self.bulk(&name, &m, out);
        }
        if !self.lanes.bulk(&name, page.frame) {
            return self.close(1013, "bulk lane full", out);
        }
        if last {
            self.bulk(
                &name,
                &SnapEnd {
                    scope: scope.to_owned(),
                    epoch,
                    pos,
                    n,
                }
                .into(),
                out,
            );
        }
    }

    fn bulk(&mut self, scope: &Arc<str>, m: &ServerMessage, out: &mut Vec<Effect>) {
        let queued = BulkFrame::new(m).is_ok_and(|f| self.lanes.bulk(scope, Arc::new(f)));
        if !queued {
            self.close(1013, "bulk lane full", out);
        }
    }

    fn digest_read(
        &mut self,
        scope: String,
        n: u64,
        (pos, rev): (u64, u64),
        digest: &ScopeDigest,
        out: &mut Vec<Effect>,
    ) {
        let Some(theirs) = self.find(&scope, n).and_then(|s| s.digest.take()) else {
            return;
        };
        let buckets = if *theirs == *digest.hex() {
            Vec::new()
        } else {
            digest.buckets_hex()
        };
        self.say(
            DigestDiff {
                scope,
                pos,
                rev,
                buckets,
            },
            out,
        );
    }

    fn refs_read(
        &mut self,
        scope: &str,
        n: u64,
        pos: u64,
        buckets: &[u8],
        refs: Vec<Ref>,
        out: &mut Vec<Effect>,
    ) {
        let Some(name) = self.find(scope, n).map(|s| Arc::clone(&s.scope)) else {
            return;
        };
        if refs.len() > REFS_ALL_MAX {
            self.distrusted.push(Arc::clone(&name));
            self.overflowed(&[name]);
            return;
        }
        let mut refs = refs.into_iter().peekable();
        loop {
            let part: Vec<Ref> = refs.by_ref().take(REFS_MAX).collect();
            let more = refs.peek().is_some();
            let m = Refs {
                scope: scope.to_owned(),
                pos,
                buckets: buckets.to_vec(),
                refs: part,
                more,
            };
            self.bulk(&name, &m.into(), out);
            if !more {
                return;
            }
        }
    }

    fn items_read(
        &mut self,
        scope: &str,
        n: u64,
        pos: u64,
        keys: Vec<String>,
        items: Vec<Item>,
        out: &mut Vec<Effect>,
    ) {
        let Some(name) = self.find(scope, n).map(|s| Arc::clone(&s.scope)) else {
            return;
        };
        let mut items: BTreeMap<String, Item> = items.into_iter().map(|i| (i.key.clone(), i)).collect();
        let mut part = Vec::new();
        let mut size = 0_usize;
        for key in keys {
            let change = match items.remove(&key) {
                Some(item) => match raw(scope, &item) {
                    Ok(body) => Change {
                        key,
                        prev: 0,
                        ver: item.ver,
                        version: item.version,
                        body: Some(body),
                    },
                    Err(_) => return self.withdraw(scope, ErrorCode::Damaged, out),
                },
                None => Change {
                    key,
                    prev: 0,
                    ver: 0,
                    version: None,
                    body: None,
                },
            };
            size = size.saturating_add(weight_of(&change));
            part.push(change);
            if size >= CHUNK {
                size = 0;
                let items = std::mem::take(&mut part);
                self.bulk(
                    &name,
                    &Items {
                        scope: scope.to_owned(),
                        pos,
                        items,
                    }
                    .into(),
                    out,
                );
            }
        }
        if !part.is_empty() {
            self.bulk(
                &name,
                &Items {
                    scope: scope.to_owned(),
                    pos,
                    items: part,
                }
                .into(),
                out,
            );
        }
    }

    pub(super) fn audit_stored(&mut self, verdict: AuditVerdict, out: &mut Vec<Effect>) {
        match verdict {
            AuditVerdict::Held(seq) => self.say(AuditAck { seq }, out),
            AuditVerdict::Fork => {
                let text =
                    "audit rows contradict those held: the device was cloned or rolled back".to_owned();
                self.say(
                    Reject {
                        scope: "audit".to_owned(),
                        n: 0,
                        code: ErrorCode::Conflict,
                        text,
                    },
                    out,
                );
            }
            AuditVerdict::Failed => self.close(1013, "audit rows could not be stored", out),
        }
    }
}

impl Snapshot {
    fn begin(resume: Option<(u64, String)>) -> Self {
        let (resume, after) = resume.unzip();
        Self {
            begun: None,
            resume,
            after,
            reading: false,
        }
    }
}
