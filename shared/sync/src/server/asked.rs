//! What an accepted client asks for, checked and turned into reads and stores.
//!
//! Never here: the answers. Called by [`super::Session::step`].

use super::{Effect, Now, READS_MAX, SCOPES_MAX, Session, Stage, Sub, SubStage, Wanted};
use crate::outbox::ROWS_MAX;
use crate::scope::Scope;
use std::sync::Arc;
use vitrine_wire::message::{ClientMessage, Digest, NeedItems, NeedRefs, Sub as SubMessage};

/// Most credit a client may have given, bytes.
const CREDIT_CAP: i64 = 16 * 1024 * 1024;
/// Longest grant, and longest words added to one, bytes.
const GRANT_MAX: usize = 16 * 1024;
/// Longest entry, bytes.
const ENTRY_MAX: usize = 128 * 1024;
/// Most keys in one request.
const KEYS_MAX: usize = 1_000;
/// Longest text of a key, token or signature.
const TEXT_MAX: usize = 512;

impl Session {
    pub(super) fn asked(&mut self, now: Now, m: ClientMessage, out: &mut Vec<Effect>) {
        if self.reads >= READS_MAX && !matches!(m, ClientMessage::Ping(_) | ClientMessage::Unsub(_)) {
            self.close(1013, "too many requests under way", out);
            return;
        }
        match m {
            ClientMessage::Ping(m) => self.beat(now, m.n, out),
            ClientMessage::Credit(m) => self.lanes.add_credit(m.bytes, CREDIT_CAP),
            ClientMessage::Sub(m) => self.subscribe(m, out),
            ClientMessage::Unsub(m) => {
                if let Some(i) = self.subs.iter().position(|s| *s.scope == *m.scope) {
                    self.subs.swap_remove(i);
                    self.lanes.purge(&m.scope);
                    out.push(Effect::Unlisten { scope: m.scope });
                }
            }
            ClientMessage::UserAuth(m) => {
                self.user_n = self.user_n.saturating_add(1);
                self.drop_patients(out);
                if m.token.len() > TEXT_MAX {
                    self.close(1002, "token too long", out);
                } else if !m.token.is_empty() {
                    out.push(Effect::CheckUser {
                        n: self.user_n,
                        token: m.token,
                    });
                }
            }
            ClientMessage::Digest(m) => self.digest(m, out),
            ClientMessage::NeedRefs(m) => self.need_refs(m, out),
            ClientMessage::NeedItems(m) => self.need_items(m, out),
            ClientMessage::GrantUp(m) => {
                let words = m.after.as_ref().and_then(|a| a.words.as_ref());
                let by = m.after.as_ref().and_then(|a| a.ended.as_ref());
                let large = m.grant.get().len() > GRANT_MAX
                    || words.is_some_and(|w| w.text.len() > GRANT_MAX)
                    || by.is_some_and(|e| e.by.len() > TEXT_MAX);
                if large {
                    self.close(1002, "grant too large", out);
                } else {
                    out.push(Effect::StoreGrant {
                        grant: m.grant,
                        after: m.after,
                    });
                }
            }
            ClientMessage::EntryUp(m) => {
                if m.entry.get().len() > ENTRY_MAX {
                    self.close(1002, "entry too large", out);
                } else {
                    out.push(Effect::StoreEntry { entry: m.entry });
                }
            }
            ClientMessage::AuditUp(m) => {
                let follow = m
                    .rows
                    .windows(2)
                    .all(|w| matches!(w, [a, b] if a.seq.checked_add(1) == Some(b.seq)));
                if m.rows.is_empty() || m.rows.len() > ROWS_MAX || !follow {
                    self.close(1002, "malformed audit rows", out);
                } else {
                    out.push(Effect::StoreAudit { rows: m.rows });
                }
            }
            ClientMessage::ClientHello(_) | ClientMessage::DeviceAuth(_) | ClientMessage::WipeDone(_) => {
                self.close(1002, "message out of turn", out);
            }
        }
    }

    fn subscribe(&mut self, m: SubMessage, out: &mut Vec<Effect>) {
        let Some(scope) = Scope::parse(&m.scope) else {
            return self.close(1002, "malformed scope", out);
        };
        let old = self.subs.iter().position(|s| *s.scope == *m.scope);
        if let Some(i) = old {
            self.subs.swap_remove(i);
            self.lanes.purge(&m.scope);
        } else if self.subs.len() >= SCOPES_MAX {
            return self.close(1002, "too many scopes", out);
        }
        if let Err(code) = self.may_have(&scope, &m.scope) {
            if old.is_some() {
                out.push(Effect::Unlisten {
                    scope: m.scope.clone(),
                });
            }
            return self.refuse(&m.scope, m.n, code, out);
        }
        let distrusted = self.distrusted.iter().position(|s| **s == *m.scope);
        if let Some(i) = distrusted {
            self.distrusted.swap_remove(i);
        }
        let trusted = distrusted.is_none();
        let have = m
            .have
            .filter(|h| trusted && *h.epoch == *self.epoch)
            .map(|h| h.pos);
        let resume = m
            .resume
            .filter(|r| {
                trusted && *r.epoch == *self.epoch && !r.after.is_empty() && r.after.len() <= TEXT_MAX
            })
            .map(|r| (r.pos, r.after));
        self.reads = self.reads.saturating_add(1);
        out.push(Effect::Decide {
            scope: m.scope.clone(),
            n: m.n,
            user: if scope.is_patient() {
                self.user.as_ref().map(|u| u.as_ref().to_owned())
            } else {
                None
            },
        });
        self.subs.push(Sub {
            scope: Arc::from(m.scope),
            rank: scope.rank(),
            patient: scope.is_patient(),
            n: m.n,
            stage: SubStage::Deciding(Box::new(Wanted { have, resume })),
            sent: 0,
            hub: 0,
            more: false,
            digest: None,
        });
    }

    /// The live subscription of a scope: requests about another were overtaken by events and need no answer.
    fn live(&mut self, scope: &str) -> Option<&mut Sub> {
        self.subs
            .iter_mut()
            .find(|s| &*s.scope == scope && matches!(s.stage, SubStage::Live))
    }

    fn digest(&mut self, m: Digest, out: &mut Vec<Effect>) {
        if m.digest.len() != 64 {
            return self.close(1002, "malformed digest", out);
        }
        if let Some(sub) = self.live(&m.scope) {
            sub.digest = Some(m.digest.into());
            let n = sub.n;
            self.reads = self.reads.saturating_add(1);
            out.push(Effect::ReadDigest { scope: m.scope, n });
        }
    }

    fn need_refs(&mut self, m: NeedRefs, out: &mut Vec<Effect>) {
        if m.buckets.is_empty() || m.buckets.len() > 256 {
            return self.close(1002, "malformed buckets", out);
        }
        if let Some(sub) = self.live(&m.scope) {
            let n = sub.n;
            self.reads = self.reads.saturating_add(1);
            out.push(Effect::ReadRefs {
                scope: m.scope,
                n,
                buckets: m.buckets,
            });
        }
    }

    fn need_items(&mut self, m: NeedItems, out: &mut Vec<Effect>) {
        if m.keys.is_empty()
            || m.keys.len() > KEYS_MAX
            || m.keys.iter().any(|k| k.is_empty() || k.len() > TEXT_MAX)
        {
            return self.close(1002, "malformed keys", out);
        }
        debug_assert!(self.stage == Stage::Ready);
        if let Some(sub) = self.live(&m.scope) {
            let n = sub.n;
            self.reads = self.reads.saturating_add(1);
            out.push(Effect::ReadItems {
                scope: m.scope,
                n,
                keys: m.keys,
            });
        }
    }
}
