//! From a patient's kept facts to card, board row and ward, on a group's state.

use crate::group::Group;
use crate::sql::Fault;
use crate::state::{BoardRow, CardRow, FeedOut, Pat};
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_clinical::PatientId;
use vitrine_store::{FactRow, Projection, StoreError, batch};

fn feed(scope: i64, pid: i64, prev: u64, ver: u64, tomb: bool) -> FeedOut {
    FeedOut {
        scope,
        of: pid,
        prev: crate::sql::int(prev),
        ver: crate::sql::int(ver),
        tomb,
    }
}

impl Group<'_> {
    /// Derives what follows from a patient's facts and keeps what changed. `index`: the operation that made it
    /// necessary.
    pub(crate) async fn project(&mut self, id: &PatientId, at: i64, index: usize) -> Result<(), Fault> {
        self.load_projections(std::slice::from_ref(id)).await?;
        let Some(live) = self.state.patients.get(id).map(|p| p.live > 0) else {
            return Ok(());
        };
        let made = if live {
            let facts = self.kept_facts(id).await?;
            let made = self.projector.project(id, &facts);
            Some(made.map_err(|e| StoreError::unprojectable_card(id, index, e))?)
        } else {
            None
        };
        let mut wanted = BTreeSet::new();
        for w in made.iter().flat_map(|m| m.ward.iter().chain(&m.also_wards)) {
            wanted.insert(self.ward_no(w).await?);
        }
        let ward = match made.as_ref().and_then(|m| m.ward.as_ref()) {
            Some(w) => Some(self.ward_no(w).await?),
            None => None,
        };
        let Some(p) = self.state.pat(id) else {
            return Ok(());
        };
        let mut rows = Vec::new();
        let mut cards = 0;
        members(p, &wanted, ward, made.as_ref(), at, &mut rows, &mut cards);
        board(p, ward, made.as_ref().and_then(|m| m.board.as_deref()), &mut rows);
        self.state.feed.extend(rows);
        if cards != 0 {
            self.state.count("cards".to_owned(), cards);
        }
        Ok(())
    }

    /// The newest facts of each slot, as many as the newest of the slot says.
    async fn kept_facts(&mut self, id: &PatientId) -> Result<Vec<FactRow>, Fault> {
        let short: Vec<String> = self
            .state
            .patients
            .get(id)
            .iter()
            .flat_map(|p| &p.slots)
            .filter(|(_, slot)| {
                let Some(horizon) = slot.horizon else { return false };
                let keep = slot.facts.first_key_value().map_or(1, |(_, f)| f.keep);
                (slot.facts.range(..=horizon).count() as i64) < keep
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in short {
            self.fill_slot(id, &name).await?;
        }
        let mut out = Vec::new();
        for slot in self.state.patients.get(id).iter().flat_map(|p| p.slots.values()) {
            let keep = slot.facts.first_key_value().map_or(0, |(_, f)| f.keep);
            let keep = usize::try_from(keep).unwrap_or(0);
            out.extend(slot.facts.values().take(keep).map(|f| FactRow {
                key: f.key.clone(),
                version: f.version,
                body: f.body.to_vec(),
            }));
        }
        Ok(out)
    }
}

/// Card and essentials. The order makes the feed right: out of old wards with the old version, then the card, then
/// into new wards.
fn members(
    p: &mut Pat,
    wanted: &BTreeSet<i64>,
    ward: Option<i64>,
    made: Option<&Projection>,
    at: i64,
    rows: &mut Vec<FeedOut>,
    cards: &mut i64,
) {
    let pid = p.pid;
    let gone: Vec<(i64, u64)> = p
        .members
        .iter()
        .filter(|(w, _)| !wanted.contains(w))
        .map(|(w, v)| (*w, *v))
        .collect();
    for (w, ver) in gone {
        p.members.remove(&w);
        rows.push(feed(10 + 2 * w, pid, ver, ver + 1, true));
    }
    let before = p.card.as_ref().map(|c| (c.ver, c.live));
    card(p, ward, made, at);
    let Some(card) = &p.card else { return };
    let (ver, live) = (card.ver, card.live);
    if before.map(|b| b.0) != Some(ver) {
        let prev = before.filter(|b| b.1).map_or(0, |b| b.0);
        *cards += i64::from(live) - i64::from(before.is_some_and(|b| b.1));
        rows.push(feed(2, pid, prev, ver, !live));
        for (w, told) in &mut p.members {
            rows.push(feed(10 + 2 * w, pid, prev, ver, false));
            *told = ver;
        }
    }
    for w in wanted {
        if p.members.insert(*w, ver).is_none() {
            rows.push(feed(10 + 2 * w, pid, 0, ver, false));
        }
    }
}

fn card(p: &mut Pat, ward: Option<i64>, made: Option<&Projection>, at: i64) {
    let Some(made) = made else {
        if let Some(c) = p.card.as_mut().filter(|c| c.live) {
            c.ver += 1;
            c.live = false;
            c.updated = at;
            c.ward = None;
            c.hash = None;
            c.body = Some(None);
            c.written = true;
        }
        return;
    };
    let hash = batch::body_hash(&made.card);
    match &mut p.card {
        Some(c) if c.live && c.hash == Some(hash) => {
            if c.ward != ward {
                c.ward = ward;
                c.written = true;
            }
        }
        slot => {
            let (ver, new) = slot.as_ref().map_or((0, true), |c| (c.ver, c.new));
            *slot = Some(CardRow {
                ver: ver + 1,
                live: true,
                updated: at,
                ward,
                hash: Some(hash),
                body: Some(Some(Arc::from(&made.card[..]))),
                new,
                written: true,
            });
        }
    }
}

fn board(p: &mut Pat, ward: Option<i64>, body: Option<&[u8]>, rows: &mut Vec<FeedOut>) {
    let (ward, body) = match (ward, body) {
        (Some(w), Some(b)) => (Some(w), Some(b)),
        _ => (None, None),
    };
    let hash = body.map(batch::body_hash);
    let (was, ver) = match &p.board {
        None if ward.is_none() => return,
        None => (None, 0),
        Some(b) if b.ward == ward && (ward.is_none() || b.hash == hash) => return,
        Some(b) => (b.ward, b.ver),
    };
    if let Some(was) = was.filter(|_| was != ward) {
        rows.push(feed(11 + 2 * was, p.pid, ver, ver + 1, true));
    }
    if let Some(w) = ward {
        let prev = if was == ward { ver } else { 0 };
        rows.push(feed(11 + 2 * w, p.pid, prev, ver + 1, false));
    }
    p.board = Some(BoardRow {
        ward,
        ver: ver + 1,
        hash,
        body: Some(body.map(Arc::from)),
        written: true,
    });
}
