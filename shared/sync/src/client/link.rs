//! The connection of the client: handshake, messages, ending and trying again.
//!
//! Never here: the rules of scopes. Called by [`super::Client::step`].

use super::api::{Alarm, CacheView, Effect};
use super::sub::{Phase, ScopeState, send};
use super::validate::{Violation, check, kind_of, scope_of};
use super::{Client, Link, Stage, Wire};
use crate::credit::CreditFlow;
use crate::outbox::Upload;
use crate::scope::Scope;
use std::collections::BTreeSet;
use vitrine_wire::ErrorCode;
use vitrine_wire::frame::{Assembler, FrameError, PROTOCOL};
use vitrine_wire::message::{
    Beat, ClientHello, Credit, DeviceAuth, Reject, ServerHello, ServerMessage, UserAuth, Welcome, WipeDone,
};

/// Longest wait a server may ask for, ms.
const OVERLOAD_MAX_MS: u64 = 300_000;

impl Client {
    pub(super) fn connected(&mut self, now: u64, out: &mut Vec<Effect>) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        let (credit, _) = CreditFlow::open(now);
        self.wire = Some(Wire {
            epoch: String::new(),
            hello_ms: 0,
            parts: Assembler::default(),
            credit,
            last_rx: now,
            last_ping: now,
            ping_n: 0,
            ping_out: None,
            last_beat: now,
            behind_ms: 0,
            last_progress: now,
            next_n: 0,
            before_grant: 0,
            ever: BTreeSet::new(),
            user: false,
            upload: None,
            wipe: None,
        });
        self.link = Link::Opened {
            deadline: now.saturating_add(self.cfg.timing.connect_ms),
            stage: Stage::Hello,
        };
        let hello = ClientHello {
            min: PROTOCOL,
            max: PROTOCOL,
            device: self.cfg.device.clone(),
            app: self.cfg.app.clone(),
        };
        send(out, self.conn, &hello.into());
    }

    pub(super) fn disconnected(&mut self, now: u64) {
        if let Link::Connecting { .. } | Link::Opened { .. } | Link::Up { .. } = self.link {
            let wait = self.backoff.next_ms(&mut self.jitter);
            self.ended(now, wait, false);
        } else {
            self.wire = None;
        }
    }

    /// Forgets the connection and waits.
    fn ended(&mut self, now: u64, wait_ms: u64, refused: bool) {
        self.wire = None;
        self.link = Link::Waiting {
            at: now.saturating_add(wait_ms),
            refused,
        };
        // What the server may still send on it is not heard.
        for s in self.scopes.values_mut() {
            s.cut();
        }
    }

    fn close(&self, code: u16, out: &mut Vec<Effect>) {
        out.push(Effect::Close {
            conn: self.conn,
            code,
        });
    }

    /// Closes a connection that is of no use and tries again after the backoff.
    pub(super) fn give_up(&mut self, now: u64, code: u16, out: &mut Vec<Effect>) {
        self.close(code, out);
        let wait = self.backoff.next_ms(&mut self.jitter);
        self.ended(now, wait, false);
        self.conn = self.conn.saturating_add(1);
    }

    fn refused(&mut self, now: u64, alarm: Alarm, out: &mut Vec<Effect>) {
        out.push(Effect::Alarm(alarm));
        self.close(1000, out);
        self.ended(now, self.cfg.timing.refused_ms, true);
        self.conn = self.conn.saturating_add(1);
    }

    pub(super) fn violated(&mut self, now: u64, v: Violation, out: &mut Vec<Effect>) {
        if let Violation::Frame(FrameError::Version(server)) = v {
            self.refused(now, Alarm::ProtocolMismatch { server }, out);
            return;
        }
        out.push(Effect::Alarm(Alarm::Violation(v)));
        self.give_up(now, 1002, out);
    }

    pub(super) fn received(
        &mut self,
        now: u64,
        bytes: &[u8],
        view: &dyn CacheView,
        out: &mut Vec<Effect>,
    ) -> Result<(), Violation> {
        let Some(w) = &mut self.wire else { return Ok(()) };
        let whole = w.parts.take(bytes)?;
        w.last_rx = now;
        let Some(frame) = whole else { return Ok(()) };
        let m = ServerMessage::read(&frame)?;
        check(&m)?;
        let mut grant = None;
        if let Some(w) = &mut self.wire {
            if !matches!(m, ServerMessage::Beat(_)) {
                w.last_progress = now;
            }
            if is_bulk(&m) {
                grant = w.credit.received(frame.body.len(), now);
            }
        }
        self.message(now, m, view, out)?;
        if let Some(bytes) = grant
            && self.wire.is_some()
        {
            send(out, self.conn, &Credit { bytes }.into());
        }
        Ok(())
    }

    fn message(
        &mut self,
        now: u64,
        m: ServerMessage,
        view: &dyn CacheView,
        out: &mut Vec<Effect>,
    ) -> Result<(), Violation> {
        match (&self.link, m) {
            (
                Link::Opened {
                    stage: Stage::Hello, ..
                },
                ServerMessage::ServerHello(m),
            ) => self.hello(now, m, out),
            (
                Link::Opened {
                    stage: Stage::Auth, ..
                },
                ServerMessage::Welcome(m),
            ) => self.welcome(now, m, view, out),
            (Link::Opened { .. } | Link::Up { .. }, ServerMessage::Overload(m)) => {
                let asked = u64::from(m.retry_after_ms).min(OVERLOAD_MAX_MS);
                let wait = asked.saturating_add(self.jitter.up_to(asked.min(30_000)));
                self.close(1000, out);
                self.ended(now, wait, false);
                self.conn = self.conn.saturating_add(1);
            }
            (Link::Opened { .. } | Link::Up { .. }, ServerMessage::Reject(m)) if m.scope.is_empty() => {
                self.rejected(now, &m, out);
            }
            (
                Link::Opened {
                    stage: Stage::Auth, ..
                }
                | Link::Up { .. },
                ServerMessage::Wipe(m),
            ) => {
                if let Some(w) = &mut self.wire {
                    w.wipe = Some(m.nonce.clone());
                }
                out.push(Effect::VerifyWipe {
                    nonce: m.nonce,
                    signature: m.signature,
                });
            }
            (Link::Up { .. }, m) => return self.up(now, m, view, out),
            (Link::Opened { stage, .. }, m) => {
                let before = if *stage == Stage::Hello {
                    "ServerHello"
                } else {
                    "Welcome"
                };
                return Err(Violation::OutOfTurn {
                    kind: kind_of(&m),
                    before,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn hello(&mut self, now: u64, m: ServerHello, out: &mut Vec<Effect>) {
        if m.protocol != PROTOCOL {
            self.refused(now, Alarm::ProtocolMismatch { server: m.protocol }, out);
            return;
        }
        if let Some(w) = &mut self.wire {
            w.epoch = m.epoch;
            w.hello_ms = m.server_time_ms;
        }
        if let Link::Opened { stage, .. } = &mut self.link {
            *stage = Stage::Signing;
        }
        out.push(Effect::ServerTime {
            server_time_ms: m.server_time_ms,
        });
        out.push(Effect::SignNonce { nonce: m.nonce });
    }

    pub(super) fn signed(&mut self, signature: String, report: String, out: &mut Vec<Effect>) {
        if let Link::Opened { stage, .. } = &mut self.link
            && *stage == Stage::Signing
        {
            *stage = Stage::Auth;
            send(out, self.conn, &DeviceAuth { signature, report }.into());
        }
    }

    fn welcome(&mut self, now: u64, m: Welcome, view: &dyn CacheView, out: &mut Vec<Effect>) {
        if m.training.is_some_and(|t| t != self.cfg.training) {
            self.refused(now, Alarm::TrainingMixed, out);
            return;
        }
        self.link = Link::Up { since: now };
        let Some(w) = &mut self.wire else { return };
        w.last_beat = now;
        let (credit, first) = CreditFlow::open(now);
        w.credit = credit;
        let epoch_changed = self.known_epoch.as_ref() != Some(&w.epoch);
        let (upload, acts) = Upload::begin(m.audit_seq, epoch_changed);
        w.upload = Some(upload);
        send(out, self.conn, &Credit { bytes: first }.into());
        self.place(m, view, out);
        self.outbox_acts(acts, out);
        if let Some(token) = self.token.clone() {
            send(out, self.conn, &UserAuth { token }.into());
        }
        for name in self.device_scopes.clone() {
            self.subscribe(now, view, out, &name);
        }
    }

    /// Takes over ward and scopes as the server says; scopes that are no longer the device's leave once the new ones
    /// are live.
    fn place(&mut self, m: Welcome, view: &dyn CacheView, out: &mut Vec<Effect>) {
        let mut scopes: Vec<Scope> = m.scopes.iter().filter_map(|s| Scope::parse(s)).collect();
        scopes.sort_by_key(Scope::rank);
        scopes.dedup();
        self.device_scopes = scopes.iter().map(Scope::to_string).collect();
        self.ward.clone_from(&m.ward);
        out.push(Effect::Placed {
            ward: m.ward,
            scopes: self.device_scopes.clone(),
        });
        if let (Some(text), Some(signature)) = (m.layouts, m.layouts_signature) {
            out.push(Effect::Layouts { text, signature });
        }
        if let Some(days) = m.offline_days {
            out.push(Effect::OfflineDays { days });
        }
        if let Some(ways) = m.ways {
            out.push(Effect::Ways { ways });
        }
        let kept = &self.device_scopes;
        self.scopes.retain(|name, s| s.patient || kept.contains(name));
        self.leaving = view
            .scopes()
            .into_iter()
            .filter(|s| !crate::scope::is_patient(s) && !self.device_scopes.contains(s))
            .collect();
        for name in &self.device_scopes {
            self.scopes
                .entry(name.clone())
                .or_insert_with(|| ScopeState::new(name.clone(), view));
        }
    }

    /// A message on an accepted connection.
    fn up(
        &mut self,
        now: u64,
        m: ServerMessage,
        view: &dyn CacheView,
        out: &mut Vec<Effect>,
    ) -> Result<(), Violation> {
        if let Some(scope) = scope_of(&m) {
            let name = scope.to_owned();
            if !self.wire.as_ref().is_some_and(|w| w.ever.contains(&name)) {
                return Err(Violation::ForeignScope(kind_of(&m)));
            }
            return self
                .with_scope(now, view, out, &name, |s, cx| on_scope(s, cx, m))
                .unwrap_or(Ok(()));
        }
        match m {
            ServerMessage::Beat(m) => self.beat(now, &m, out),
            ServerMessage::UserWelcome(m) => self.user_welcome(now, m.user, view, out),
            ServerMessage::GrantAck(m) if m.ended.is_some() => {
                out.extend(m.ended.map(|end| Effect::EndGrant { id: m.id, end }));
            }
            ServerMessage::GrantAck(m) => {
                self.with_upload(out, |u| u.grant_acked(m.id, m.rev));
                if let Some(w) = &mut self.wire {
                    w.before_grant = w.next_n;
                }
                self.ask_again(now, view, out, |p| matches!(p, Phase::Refused(ErrorCode::Denied)));
            }
            ServerMessage::EntryAck(m) => {
                let retry_at = now.saturating_add(self.cfg.timing.entry_retry_ms);
                self.with_upload(out, |u| u.entry_answered(m.id, m.outcome, retry_at));
            }
            ServerMessage::AuditAck(m) => {
                let acked = self
                    .wire
                    .as_mut()
                    .and_then(|w| w.upload.as_mut())
                    .map(|u| u.rows_acked(m.seq));
                match acked {
                    Some(Ok(acts)) => self.outbox_acts(acts, out),
                    Some(Err(_)) => {
                        return Err(Violation::Field {
                            kind: 79,
                            what: "it acknowledges rows that were not sent",
                        });
                    }
                    None => {}
                }
            }
            ServerMessage::Reject(m) if m.scope == "audit" => self.with_upload(out, Upload::rows_refused),
            ServerMessage::Reject(m) if m.scope == "user" => self.user_refused(m.code, out),
            m @ (ServerMessage::ServerHello(_) | ServerMessage::Welcome(_)) => {
                return Err(Violation::OutOfTurn {
                    kind: kind_of(&m),
                    before: "a new connection",
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn beat(&mut self, now: u64, m: &Beat, out: &mut Vec<Effect>) {
        let Some(w) = &mut self.wire else { return };
        w.last_beat = now;
        w.behind_ms = m.behind_ms;
        if let Some(ping) = &mut w.ping_out {
            if m.n >= ping.n {
                w.ping_out = None;
            } else if now.saturating_sub(ping.at) >= self.cfg.timing.ping_overtaken_ms {
                ping.overtaken = true;
            }
        }
        out.push(Effect::ServerTime {
            server_time_ms: m.server_time_ms,
        });
        let scopes: Vec<(String, u64)> = self
            .scopes
            .values_mut()
            .filter_map(|s| s.on_beat(m, now))
            .collect();
        if !scopes.is_empty() {
            let behind = i64::try_from(m.behind_ms).unwrap_or(i64::MAX);
            out.push(Effect::MarkAge {
                as_of_ms: m.server_time_ms.saturating_sub(behind),
                scopes,
            });
        }
    }

    fn user_welcome(&mut self, now: u64, user: String, view: &dyn CacheView, out: &mut Vec<Effect>) {
        let Some(w) = &mut self.wire else { return };
        if self.token.is_none() {
            return;
        }
        w.user = true;
        out.push(Effect::UserAccepted { user });
        self.ask_again(now, view, out, |p| matches!(p, Phase::Idle | Phase::Refused(_)));
    }

    /// Asks for the open patients whose phase is such: somebody signed in, or a grant arrived that may allow them.
    fn ask_again(
        &mut self,
        now: u64,
        view: &dyn CacheView,
        out: &mut Vec<Effect>,
        such: impl Fn(&Phase) -> bool,
    ) {
        let may_ask = self.is_up() && self.wire.as_ref().is_some_and(|w| w.user);
        let open: Vec<String> = self
            .scopes
            .values()
            .filter(|s| may_ask && s.patient && such(&s.phase))
            .map(|s| s.name.clone())
            .collect();
        for name in open {
            self.subscribe(now, view, out, &name);
        }
    }

    fn user_refused(&mut self, code: ErrorCode, out: &mut Vec<Effect>) {
        self.token = None;
        if let Some(w) = &mut self.wire {
            w.user = false;
        }
        self.scopes.retain(|_, s| !s.patient);
        out.push(Effect::UserRefused { code });
    }

    fn rejected(&mut self, now: u64, m: &Reject, out: &mut Vec<Effect>) {
        match m.code {
            ErrorCode::ProtocolMismatch => self.refused(now, Alarm::ProtocolMismatch { server: 0 }, out),
            ErrorCode::DeviceRevoked | ErrorCode::NotEnrolled | ErrorCode::Denied => {
                self.refused(now, Alarm::DeviceRefused(m.code), out);
            }
            _ => self.give_up(now, 1000, out),
        }
    }

    pub(super) fn wipe_verified(&mut self, now: u64, genuine: bool, out: &mut Vec<Effect>) {
        let Some(nonce) = self.wire.as_mut().and_then(|w| w.wipe.take()) else {
            return;
        };
        if genuine {
            self.link = Link::Wiping { nonce: nonce.clone() };
            out.push(Effect::Wipe { nonce });
        } else {
            self.refused(now, Alarm::ForgedWipe, out);
        }
    }

    pub(super) fn wiped(&mut self, signature: String, out: &mut Vec<Effect>) {
        let Link::Wiping { nonce } = &self.link else {
            return;
        };
        if self.wire.is_some() {
            send(
                out,
                self.conn,
                &WipeDone {
                    nonce: nonce.clone(),
                    signature,
                }
                .into(),
            );
            self.close(1000, out);
        }
        self.wire = None;
        self.scopes.clear();
        self.link = Link::Wiped;
    }
}

/// Bodies of these kinds count against the credit.
const fn is_bulk(m: &ServerMessage) -> bool {
    matches!(
        m,
        ServerMessage::SnapBegin(_)
            | ServerMessage::SnapChunk(_)
            | ServerMessage::SnapEnd(_)
            | ServerMessage::Refs(_)
            | ServerMessage::Items(_)
    )
}

fn on_scope(s: &mut ScopeState, cx: &mut super::sub::Ctx<'_>, m: ServerMessage) -> Result<(), Violation> {
    match m {
        ServerMessage::SnapBegin(m) => return s.on_begin(cx, m),
        ServerMessage::SnapChunk(m) => return s.on_chunk(cx, m),
        ServerMessage::SnapEnd(m) => return s.on_end(cx, &m),
        ServerMessage::Current(m) => return s.on_current(cx, &m),
        ServerMessage::Resumed(m) => return s.on_resumed(cx, &m),
        ServerMessage::Delta(m) => s.on_delta(cx, m),
        ServerMessage::PatientDelta(m) => s.on_patient_delta(cx, m),
        ServerMessage::DigestDiff(m) => s.on_diff(cx, m),
        ServerMessage::Refs(m) => s.on_refs(cx, m),
        ServerMessage::Items(m) => s.on_items(cx, m),
        ServerMessage::Dirty(m) => s.on_dirty(cx, m.n),
        ServerMessage::Reject(m) => s.on_reject(cx, &m),
        _ => {}
    }
    Ok(())
}
