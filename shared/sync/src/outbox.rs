//! What of the outbox goes up, and when it may be forgotten.
//!
//! Rules: grants before audit rows; rows in order, one message under way, at most [`ROWS_MAX`] rows or
//! [`BYTES_MAX`] bytes; the number of rows the server says it holds at Welcome decides where to go on, so rows the
//! server lost in a restore go up again; an acknowledgement of a row never sent is a breach of the protocol, because
//! believing it would delete rows that nobody else has; rows and grants are kept for seven days after they were
//! acknowledged. After a change of the server's epoch every grant still kept is offered again. What came after a grant (its
//! end, words) goes up with the grant itself, so that no order of arrival matters, and until the server says that it holds that
//! too; a server that knows nothing of it is offered it once on each connection. What people recorded goes
//! up in the order in which they did, one entry at a time; what the server cannot take just now keeps nothing else waiting,
//! and what it refuses for good is a matter for people. Entries are offered again as grants are: the server applies each once.
//! Lives here: these rules. Never here: the outbox database. Called by the client machine.

use crate::client::{Alarm, EntryDue, GrantDue, GrantsWanted};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use vitrine_wire::message::{AuditRow, AuditUp, ClientMessage, EntryOutcome, EntryUp, GrantUp};

/// Most rows in one message.
pub const ROWS_MAX: usize = 100;
/// Most bytes of row bodies in one message.
pub const BYTES_MAX: usize = 128 * 1024;

/// Most entries read at a time.
pub const ENTRIES_MAX: usize = 2_000;

/// Something the client machine has to do for the outbox.
#[derive(Debug, Clone)]
pub enum Act {
    /// Read rows after this number, with these grants.
    Read {
        /// Rows after this number.
        after: u64,
        /// Grants and entries to add.
        grants: GrantsWanted,
    },
    /// Send this.
    Send(ClientMessage),
    /// Rows up to this one are durable on the server.
    RowsAcked(u64),
    /// This grant is durable on the server, with what came after it up to that number.
    GrantAcked(String, u32),
    /// This entry is on its way.
    EntrySent(String),
    /// The server has answered this entry.
    EntryAnswered(String, EntryOutcome),
    /// All grants and entries were offered again to the new epoch.
    EpochDone,
    /// Something is wrong with the chain.
    Alarm(Alarm),
}

/// The server acknowledged something that was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckedUnsent;

/// The upload on one connection.
#[derive(Debug, Clone)]
pub struct Upload {
    acked: u64,
    sent: u64,
    head: u64,
    reading: bool,
    again: bool,
    welcomed: bool,
    rows_stopped: bool,
    rewinds: u8,
    all_grants: bool,
    /// The outbox was read once on this connection.
    offered: bool,
    /// Grants on their way, with how much of what came after them.
    grants_out: BTreeMap<String, u32>,
    /// Grants of which this server keeps nothing that came after them.
    not_after: BTreeSet<String>,
    entries: VecDeque<EntryDue>,
    entry_out: Option<EntryDue>,
    /// Since when it is known to be out.
    out_since: Option<u64>,
    /// Entries that the server could not take, and when they are offered again.
    later: BTreeMap<String, EntryDue>,
    retry_at: Option<u64>,
    /// The last read gave as many as it may: there may be more.
    more_entries: bool,
    /// The outbox could not be read.
    reread: bool,
}

impl Upload {
    /// Begins after Welcome: the server holds `audit_seq` rows; `epoch_changed` when its epoch is not the one whose
    /// grants were all offered.
    #[must_use]
    pub fn begin(audit_seq: u64, epoch_changed: bool) -> (Self, Vec<Act>) {
        let upload = Self {
            acked: audit_seq,
            sent: audit_seq,
            head: 0,
            reading: true,
            again: false,
            welcomed: false,
            rows_stopped: false,
            rewinds: 0,
            all_grants: epoch_changed,
            offered: false,
            grants_out: BTreeMap::new(),
            not_after: BTreeSet::new(),
            entries: VecDeque::new(),
            entry_out: None,
            out_since: None,
            reread: false,
            later: BTreeMap::new(),
            retry_at: None,
            more_entries: false,
        };
        let grants = if epoch_changed {
            GrantsWanted::All
        } else {
            GrantsWanted::Unacked
        };
        (
            upload,
            vec![Act::Read {
                after: audit_seq,
                grants,
            }],
        )
    }

    /// True while an answer from the server is due.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.sent > self.acked || !self.grants_out.is_empty() || self.entry_out.is_some()
    }

    /// When entries that the server could not take are offered again, in the caller's time.
    #[must_use]
    pub fn retry_at(&self) -> Option<u64> {
        self.retry_at
    }

    /// Offers them again when it is time. An entry that is not answered within `patience` counts as one the server could not take: it
    /// keeps nothing else waiting.
    pub fn retry(&mut self, now: u64, patience: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        match (&self.entry_out, self.out_since) {
            (None, _) => self.out_since = None,
            (Some(_), None) => self.out_since = Some(now),
            (Some(out), Some(since)) if now.saturating_sub(since) >= patience => {
                let id = out.id.clone();
                acts.extend(self.entry_answered(id, EntryOutcome::Later, now.saturating_add(patience)));
            }
            _ => {}
        }
        if self.retry_at.is_none_or(|at| at > now) {
            return acts;
        }
        self.retry_at = None;
        // From here and not from the outbox: one that is offered because the server may have lost it is not "due" there.
        self.entries.extend(std::mem::take(&mut self.later).into_values());
        self.next_entry(&mut acts);
        if std::mem::take(&mut self.reread) {
            acts.extend(self.read());
        }
        acts
    }

    /// The outbox could not be read: asked again at `retry_at`. Nothing counts as offered.
    pub fn unread(&mut self, retry_at: u64) -> Vec<Act> {
        self.reading = false;
        self.reread = true;
        self.retry_at = Some(self.retry_at.unwrap_or(retry_at).min(retry_at));
        Vec::new()
    }

    /// The outbox has something new.
    pub fn changed(&mut self) -> Vec<Act> {
        if self.reading || self.sent > self.acked {
            self.again = true;
            return Vec::new();
        }
        self.read()
    }

    fn read(&mut self) -> Vec<Act> {
        self.reading = true;
        self.again = false;
        vec![Act::Read {
            after: self.acked,
            // Until everything was read for the new epoch once.
            grants: if self.all_grants && !self.offered {
                GrantsWanted::All
            } else {
                GrantsWanted::Unacked
            },
        }]
    }

    /// What the outbox holds.
    pub fn has(
        &mut self,
        rows: Vec<AuditRow>,
        head: u64,
        oldest: u64,
        grants: Vec<GrantDue>,
        entries: Vec<EntryDue>,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        self.reading = false;
        self.offered = true;
        self.head = head;
        for g in grants {
            let more = self.grants_out.get(&g.id).is_none_or(|out| *out < g.rev());
            if more && !self.not_after.contains(&g.id) {
                self.grants_out.insert(g.id.clone(), g.rev());
                let (grant, after) = (g.json, g.after);
                acts.push(Act::Send(GrantUp { grant, after }.into()));
            }
        }
        self.first_look(oldest, &mut acts);
        if !self.rows_stopped {
            self.offer(rows, &mut acts);
        }
        self.more_entries = entries.len() >= ENTRIES_MAX;
        for e in entries {
            let under_way = self.entry_out.as_ref().is_some_and(|out| out.id == e.id);
            if !under_way && !self.later.contains_key(&e.id) && !self.entries.iter().any(|w| w.id == e.id) {
                self.entries.push_back(e);
            }
        }
        self.next_entry(&mut acts);
        self.epoch_done(&mut acts);
        if self.again && self.sent == self.acked {
            acts.extend(self.read());
        }
        acts
    }

    /// Compares the chain here with what the server said at Welcome, once.
    fn first_look(&mut self, oldest: u64, acts: &mut Vec<Act>) {
        if self.welcomed {
            return;
        }
        self.welcomed = true;
        if self.acked > self.head {
            self.rows_stopped = true;
            acts.push(Act::Alarm(Alarm::AuditFork {
                server: self.acked,
                here: self.head,
            }));
            return;
        }
        let first_missing = self.acked.saturating_add(1);
        if self.head > self.acked && oldest > first_missing {
            self.rows_stopped = true;
            acts.push(Act::Alarm(Alarm::AuditGap {
                first_missing,
                oldest,
            }));
            return;
        }
        if self.acked > 0 {
            acts.push(Act::RowsAcked(self.acked));
        }
    }

    fn offer(&mut self, rows: Vec<AuditRow>, acts: &mut Vec<Act>) {
        if self.sent > self.acked {
            return;
        }
        let mut expected = self.acked;
        let mut bytes = 0_usize;
        let mut batch = Vec::new();
        for row in rows {
            expected = expected.saturating_add(1);
            bytes = bytes.saturating_add(row.body.len());
            if batch.len() >= ROWS_MAX || (bytes > BYTES_MAX && !batch.is_empty()) {
                break;
            }
            if row.seq != expected {
                self.rows_stopped = true;
                acts.push(Act::Alarm(Alarm::AuditGap {
                    first_missing: expected,
                    oldest: row.seq,
                }));
                break;
            }
            batch.push(row);
        }
        if let Some(last) = batch.last() {
            self.sent = last.seq;
            acts.push(Act::Send(AuditUp { rows: batch }.into()));
        }
    }

    /// The server holds rows up to `seq`.
    ///
    /// # Errors
    /// [`AckedUnsent`] for a row that was not sent on this connection nor held at Welcome.
    pub fn rows_acked(&mut self, seq: u64) -> Result<Vec<Act>, AckedUnsent> {
        if seq > self.sent {
            return Err(AckedUnsent);
        }
        let mut acts = Vec::new();
        if seq > self.acked {
            acts.push(Act::RowsAcked(seq));
            self.rewinds = 0;
        } else if self.sent > self.acked {
            self.rewinds = self.rewinds.saturating_add(1);
            if self.rewinds > 3 {
                self.rows_stopped = true;
                acts.push(Act::Alarm(Alarm::AuditRefused));
            }
        }
        self.acked = seq;
        self.sent = seq;
        if !self.rows_stopped && !self.reading && (self.again || self.head > self.acked) {
            acts.extend(self.read());
        }
        Ok(acts)
    }

    /// The server refuses rows as contradicting what it holds.
    pub fn rows_refused(&mut self) -> Vec<Act> {
        self.rows_stopped = true;
        self.sent = self.acked;
        vec![Act::Alarm(Alarm::AuditRefused)]
    }

    /// The server holds this grant, with what came after it up to `rev`; `None`: it keeps nothing of that.
    pub fn grant_acked(&mut self, id: String, rev: Option<u32>) -> Vec<Act> {
        let Some(out) = self.grants_out.get(&id).copied() else {
            return Vec::new();
        };
        match rev {
            // More of it is under way: that is still to be answered.
            Some(rev) if rev < out => return vec![Act::GrantAcked(id, rev)],
            Some(_) => {}
            None if out > 0 => {
                self.not_after.insert(id.clone());
            }
            None => {}
        }
        self.grants_out.remove(&id);
        let mut acts = vec![Act::GrantAcked(id, rev.map_or(0, |_| out))];
        self.epoch_done(&mut acts);
        acts
    }

    fn epoch_done(&mut self, acts: &mut Vec<Act>) {
        let all = self.grants_out.is_empty() && self.entry_out.is_none() && self.later.is_empty();
        if self.all_grants && all && !self.reading {
            self.all_grants = false;
            acts.push(Act::EpochDone);
        }
    }

    fn next_entry(&mut self, acts: &mut Vec<Act>) {
        if self.entry_out.is_none()
            && let Some(e) = self.entries.pop_front()
        {
            let entry = e.json.clone();
            acts.push(Act::Send(EntryUp { entry }.into()));
            acts.push(Act::EntrySent(e.id.clone()));
            self.entry_out = Some(e);
            self.out_since = None;
        }
    }

    /// The server has answered an entry; what it could not take is offered again at `retry_at`.
    pub fn entry_answered(&mut self, id: String, outcome: EntryOutcome, retry_at: u64) -> Vec<Act> {
        match self.entry_out.take_if(|out| out.id == id) {
            Some(out) if outcome == EntryOutcome::Later => {
                self.later.insert(id.clone(), out);
                self.retry_at = Some(self.retry_at.unwrap_or(retry_at));
            }
            Some(_) => {}
            // An answer that came after all: it need not be offered again.
            None if outcome != EntryOutcome::Later && self.later.remove(&id).is_some() => {}
            None => return Vec::new(),
        }
        let mut acts = vec![Act::EntryAnswered(id, outcome)];
        self.next_entry(&mut acts);
        if self.entry_out.is_none() && std::mem::take(&mut self.more_entries) {
            acts.extend(self.changed());
        }
        self.epoch_done(&mut acts);
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_wire::message::GrantAfter;

    fn row(seq: u64) -> AuditRow {
        AuditRow {
            seq,
            prev: String::new(),
            hash: String::new(),
            body: "{}".into(),
        }
    }
    fn rows(from: u64, to: u64) -> Vec<AuditRow> {
        (from..=to).map(row).collect()
    }
    fn grant(id: &str) -> GrantDue {
        GrantDue {
            id: id.into(),
            json: serde_json::value::to_raw_value(id).unwrap(),
            after: None,
        }
    }
    fn ended(id: &str, rev: u32) -> GrantDue {
        let after = GrantAfter {
            rev,
            ended: None,
            words: None,
        };
        GrantDue {
            after: Some(after),
            ..grant(id)
        }
    }
    fn sent_grants(acts: &[Act]) -> Vec<u32> {
        acts.iter()
            .filter_map(|a| match a {
                Act::Send(ClientMessage::GrantUp(g)) => Some(g.after.as_ref().map_or(0, |a| a.rev)),
                _ => None,
            })
            .collect()
    }
    fn sent_rows(acts: &[Act]) -> Vec<u64> {
        acts.iter()
            .filter_map(|a| match a {
                Act::Send(ClientMessage::AuditUp(u)) => Some(u.rows.iter().map(|r| r.seq)),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn entries(ids: &[&str]) -> Vec<EntryDue> {
        let due = |id: &&str| EntryDue {
            id: (*id).into(),
            json: serde_json::value::to_raw_value(id).unwrap(),
        };
        ids.iter().map(due).collect()
    }
    fn sent_entries(acts: &[Act]) -> Vec<&str> {
        acts.iter()
            .filter_map(|a| match a {
                Act::EntrySent(id) => Some(id.as_str()),
                _ => None,
            })
            .collect()
    }
    fn accepted() -> EntryOutcome {
        EntryOutcome::Accepted { keys: vec![] }
    }

    #[test]
    fn entries_go_up_one_at_a_time_in_order_and_once() {
        let (mut up, _) = Upload::begin(0, false);
        let acts = up.has(rows(1, 2), 2, 1, vec![grant("g")], entries(&["a", "b", "c"]));
        assert!(matches!(acts.first(), Some(Act::Send(ClientMessage::GrantUp(_)))));
        assert_eq!(sent_entries(&acts), ["a"]);
        assert!(up.waits());
        up.rows_acked(2).unwrap();
        let again = up.has(vec![], 2, 1, vec![], entries(&["a", "b", "c", "d"]));
        assert_eq!(
            sent_entries(&again),
            Vec::<&str>::new(),
            "one under way, none twice"
        );
        assert!(
            up.entry_answered("b".into(), accepted(), 9).is_empty(),
            "not asked about"
        );
        for (done, next) in [("a", "b"), ("b", "c"), ("c", "d")] {
            let acts = up.entry_answered(done.into(), accepted(), 9);
            assert!(matches!(acts.first(), Some(Act::EntryAnswered(id, _)) if id == done));
            assert_eq!(sent_entries(&acts), [next]);
        }
        assert!(sent_entries(&up.entry_answered("d".into(), accepted(), 9)).is_empty());
    }

    #[test]
    fn what_the_server_cannot_take_now_keeps_nothing_waiting_and_comes_again() {
        let (mut up, _) = Upload::begin(0, true);
        up.has(vec![], 0, 0, vec![], entries(&["a", "b"]));
        assert_eq!(
            sent_entries(&up.entry_answered("a".into(), EntryOutcome::Later, 50)),
            ["b"]
        );
        let acts = up.entry_answered("b".into(), accepted(), 50);
        assert!(
            !acts.iter().any(|a| matches!(a, Act::EpochDone)),
            "one is still to be offered"
        );
        up.changed();
        assert!(
            sent_entries(&up.has(vec![], 0, 0, vec![], entries(&["a"]))).is_empty(),
            "not at once"
        );
        assert_eq!(up.retry_at(), Some(50));
        assert!(up.retry(49, 1_000).is_empty());
        assert_eq!(sent_entries(&up.retry(50, 1_000)), ["a"]);
        assert!(
            sent_entries(&up.has(vec![], 0, 0, vec![], entries(&["a"]))).is_empty(),
            "under way"
        );
        let acts = up.entry_answered("a".into(), EntryOutcome::Rejected { text: "no".into() }, 99);
        assert!(acts.iter().any(|a| matches!(a, Act::EpochDone)));
        assert_eq!(up.retry_at(), None);
    }

    #[test]
    fn what_cannot_be_read_counts_as_offered_to_nobody() {
        let (mut up, _) = Upload::begin(0, true);
        assert!(up.unread(30).is_empty());
        let all = |acts: &[Act]| {
            matches!(
                acts,
                [Act::Read {
                    grants: GrantsWanted::All,
                    ..
                }]
            )
        };
        assert!(up.retry(29, 1_000).is_empty());
        assert!(all(&up.retry(30, 1_000)), "all of it, not only what is due");
        let acts = up.has(vec![], 0, 0, vec![], entries(&["a"]));
        assert!(!acts.iter().any(|a| matches!(a, Act::EpochDone)));
        let acts = up.entry_answered("a".into(), accepted(), 99);
        assert!(acts.iter().any(|a| matches!(a, Act::EpochDone)));
    }

    #[test]
    fn an_entry_without_an_answer_keeps_nothing_waiting() {
        let (mut up, _) = Upload::begin(0, false);
        up.has(vec![], 0, 0, vec![], entries(&["a", "b"]));
        assert!(up.retry(10, 30).is_empty());
        assert!(up.retry(39, 30).is_empty());
        assert_eq!(sent_entries(&up.retry(40, 30)), ["b"]);
        up.entry_answered("b".into(), accepted(), 99);
        assert_eq!(sent_entries(&up.retry(70, 30)), ["a"], "it is offered again");
        // The answer to the first offer, and then that to the second.
        assert!(!up.entry_answered("a".into(), accepted(), 99).is_empty());
        assert!(up.entry_answered("a".into(), accepted(), 99).is_empty());
    }

    #[test]
    fn a_late_answer_counts_and_a_new_entry_has_its_whole_time() {
        let (mut up, _) = Upload::begin(0, false);
        up.has(vec![], 0, 0, vec![], entries(&["a", "b", "c"]));
        assert!(up.retry(0, 30).is_empty());
        assert_eq!(
            sent_entries(&up.entry_answered("a".into(), accepted(), 99)),
            ["b"]
        );
        assert!(up.retry(29, 30).is_empty(), "known to be out since now");
        assert!(up.retry(40, 30).is_empty());
        assert_eq!(sent_entries(&up.retry(59, 30)), ["c"]);
        let acts = up.entry_answered("b".into(), accepted(), 99);
        assert!(matches!(acts.first(), Some(Act::EntryAnswered(id, _)) if id == "b"));
        up.entry_answered("c".into(), accepted(), 99);
        assert!(
            sent_entries(&up.retry(200, 30)).is_empty(),
            "nothing is left to offer"
        );
    }

    #[test]
    fn goes_on_where_the_server_stands_and_in_order() {
        let (mut up, acts) = Upload::begin(40, false);
        assert!(matches!(
            acts.as_slice(),
            [Act::Read {
                after: 40,
                grants: GrantsWanted::Unacked
            }]
        ));
        let acts = up.has(rows(41, 300), 300, 1, vec![grant("g1")], vec![]);
        assert!(
            matches!(acts.first(), Some(Act::Send(ClientMessage::GrantUp(_)))),
            "grants go first"
        );
        assert_eq!(sent_rows(&acts), (41..=140).collect::<Vec<_>>());
        assert!(up.changed().is_empty(), "one message under way");
        let acts = up.rows_acked(140).unwrap();
        assert!(matches!(
            acts.as_slice(),
            [Act::RowsAcked(140), Act::Read { after: 140, .. }]
        ));
    }

    #[test]
    fn rows_the_server_lost_go_up_again() {
        let (mut up, _) = Upload::begin(10, true);
        let acts = up.has(rows(11, 20), 20, 5, vec![], vec![]);
        assert_eq!(sent_rows(&acts), (11..=20).collect::<Vec<_>>());
        assert!(
            acts.iter().any(|a| matches!(a, Act::EpochDone)),
            "no grant left to offer"
        );
    }

    #[test]
    fn a_server_that_knows_more_rows_raises_the_alarm_and_gets_nothing() {
        let (mut up, _) = Upload::begin(50, false);
        let acts = up.has(vec![], 30, 1, vec![], vec![]);
        assert!(matches!(
            acts.as_slice(),
            [Act::Alarm(Alarm::AuditFork { server: 50, here: 30 })]
        ));
        assert!(sent_rows(&up.has(rows(51, 52), 52, 1, vec![], vec![])).is_empty());
    }

    #[test]
    fn rows_deleted_here_but_lacking_there_raise_the_alarm() {
        let (mut up, _) = Upload::begin(3, true);
        let acts = up.has(rows(10, 12), 12, 10, vec![], vec![]);
        assert!(acts.iter().any(|a| matches!(
            a,
            Act::Alarm(Alarm::AuditGap {
                first_missing: 4,
                oldest: 10
            })
        )));
        assert!(sent_rows(&acts).is_empty());
    }

    #[test]
    fn an_acknowledgement_of_unsent_rows_is_a_breach() {
        let (mut up, _) = Upload::begin(0, false);
        up.has(rows(1, 5), 500, 1, vec![], vec![]);
        assert_eq!(up.rows_acked(6).err(), Some(AckedUnsent));
    }

    #[test]
    fn a_server_that_never_advances_is_given_up() {
        let (mut up, _) = Upload::begin(0, false);
        let mut alarmed = false;
        for _ in 0..10 {
            up.has(rows(1, 5), 5, 1, vec![], vec![]);
            alarmed |= up
                .rows_acked(0)
                .unwrap()
                .iter()
                .any(|a| matches!(a, Act::Alarm(Alarm::AuditRefused)));
        }
        assert!(alarmed);
    }

    #[test]
    fn after_an_epoch_change_the_epoch_is_known_once_every_grant_is_acknowledged() {
        let (mut up, acts) = Upload::begin(0, true);
        assert!(matches!(
            acts.as_slice(),
            [Act::Read {
                grants: GrantsWanted::All,
                ..
            }]
        ));
        up.has(vec![], 0, 0, vec![grant("a"), grant("b")], vec![]);
        assert!(
            !up.grant_acked("a".into(), Some(0))
                .iter()
                .any(|a| matches!(a, Act::EpochDone))
        );
        assert!(up.grant_acked("zzz".into(), Some(0)).is_empty());
        assert!(
            up.grant_acked("b".into(), Some(0))
                .iter()
                .any(|a| matches!(a, Act::EpochDone))
        );
    }

    #[test]
    fn what_came_after_a_grant_goes_up_until_the_server_says_that_it_holds_that_too() {
        let (mut up, _) = Upload::begin(0, false);
        assert_eq!(sent_grants(&up.has(vec![], 0, 0, vec![grant("g")], vec![])), [0]);
        let acts = up.has(vec![], 0, 0, vec![ended("g", 1)], vec![]);
        assert_eq!(
            sent_grants(&acts),
            [1],
            "also while the grant itself is under way"
        );
        assert!(sent_grants(&up.has(vec![], 0, 0, vec![ended("g", 1)], vec![])).is_empty());
        let acts = up.grant_acked("g".into(), Some(0));
        assert!(matches!(acts.as_slice(), [Act::GrantAcked(_, 0)]));
        assert!(up.waits(), "the end is not answered yet");
        let acts = up.grant_acked("g".into(), Some(1));
        assert!(matches!(acts.as_slice(), [Act::GrantAcked(_, 1)]));
        assert!(!up.waits());
        assert_eq!(
            sent_grants(&up.has(vec![], 0, 0, vec![ended("g", 2)], vec![])),
            [2]
        );
        let acts = up.grant_acked("g".into(), Some(9));
        assert!(
            matches!(acts.as_slice(), [Act::GrantAcked(_, 2)]),
            "never more than was sent"
        );
    }

    #[test]
    fn a_server_that_knows_no_ends_keeps_the_grant_and_is_not_asked_again_and_again() {
        let (mut up, _) = Upload::begin(0, true);
        assert_eq!(
            sent_grants(&up.has(vec![], 0, 0, vec![ended("g", 1)], vec![])),
            [1]
        );
        let acts = up.grant_acked("g".into(), None);
        assert!(matches!(acts.first(), Some(Act::GrantAcked(_, 0))));
        assert!(acts.iter().any(|a| matches!(a, Act::EpochDone)));
        assert!(sent_grants(&up.has(vec![], 0, 0, vec![ended("g", 1)], vec![])).is_empty());
        let (mut up, _) = Upload::begin(0, false);
        assert_eq!(
            sent_grants(&up.has(vec![], 0, 0, vec![ended("g", 1)], vec![])),
            [1],
            "the next connection may be to a newer one"
        );
    }
}
