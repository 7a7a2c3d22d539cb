//! What was looked at with a broken glass: the audit rows that rest on it.
//!
//! Lives here: finding them in the chains of the workstation and of the servers, and their words. Never here: the rest of a
//! review (`reviews`). Called by `reviews`.
//!
//! A chain is read by number; the clock of who writes it runs on with it, so the place where a grant begins is found by halving.

use super::door::Reader;
use super::{Names, No};
use crate::app::App;
use crate::clock;
use vitrine_access::action::ReadAudit;
use vitrine_access::{AuditEntry, Decision, Disclosure, Permit, policy};
use vitrine_store::{GrantRow, StoreError};
use vitrine_wire::console::ConsoleSeen;

/// Rows read at a time.
const STEP: usize = 1_000;
/// Rows of one chain that are looked at.
const LOOKED: usize = 20_000;
/// Rows shown.
const SHOWN: usize = 200;
/// Clocks of a workstation and a server may differ by so much, ms.
const MARGIN_MS: i64 = 3_600_000;

/// What was found.
#[derive(Default)]
pub(super) struct Seen {
    /// Oldest first.
    pub rows: Vec<ConsoleSeen>,
    /// There may be more.
    pub more: bool,
}

/// The rows that rest on a grant; none for whoever may not read the audit log. Reading them has its own row.
pub(super) async fn of(app: &App, reader: &Reader, row: &GrantRow, names: &Names) -> Result<Seen, No> {
    let request = app.request(&reader.at.caller, None, None).await?;
    let Ok(permit) = policy::decide::<ReadAudit>(request) else {
        return Ok(Seen::default());
    };
    let permit = permit
        .noted("door", "console")
        .noted("use", "review")
        .noted("broken-glass", row.grant.id.to_string());
    app.store.append(permit.entry(Disclosure::default())).await?;
    let mut out = Seen::default();
    for (chain, head) in app.store.heads().await? {
        let station = names.devices.keys().any(|d| d.as_str() == chain);
        if station && row.grant.device.as_ref().is_none_or(|d| d.as_str() != chain) {
            continue;
        }
        match in_chain(app, &permit, row, &chain, head.seq, &mut out).await {
            // A broken chain has its own alarm; a review is decided on what can be read.
            Err(StoreError::Chain(_)) => out.more = true,
            other => other?,
        }
    }
    out.rows.sort_by_key(|r| r.at_ms);
    if out.rows.len() > SHOWN {
        out.rows.truncate(SHOWN);
        out.more = true;
    }
    for r in &mut out.rows {
        let known = names
            .devices
            .iter()
            .find(|(id, _)| Some(id.as_str()) == r.device.as_deref());
        if let Some((_, name)) = known {
            r.device = Some(name.clone());
        }
    }
    Ok(out)
}

async fn in_chain(
    app: &App,
    permit: &Permit<ReadAudit>,
    row: &GrantRow,
    chain: &str,
    last: u64,
    out: &mut Seen,
) -> Result<(), StoreError> {
    let (from, until) = (
        row.grant.at.plus_ms(-MARGIN_MS),
        row.grant
            .until
            .plus_ms(MARGIN_MS)
            .min(clock::now().plus_ms(MARGIN_MS)),
    );
    let read = |body: &str| serde_json::from_str::<AuditEntry>(body).ok();
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = app.store.rows(permit, chain, middle, 1).await?;
        let at = found.first().and_then(|r| read(&r.row.body)).map(|e| e.at);
        if at.is_some_and(|at| at < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let (mut after, mut looked) = (low, 0);
    loop {
        let some = app.store.rows(permit, chain, after, STEP).await?;
        let Some(end) = some.last() else { return Ok(()) };
        after = end.row.seq;
        looked += some.len();
        let mut over = false;
        for entry in some.iter().filter_map(|r| read(&r.row.body)) {
            over = entry.at > until;
            if entry.grant == Some(row.grant.id) && looks(&entry.action) {
                out.rows.push(shown(&entry));
            }
        }
        if over {
            return Ok(());
        }
        if looked >= LOOKED {
            out.more = true;
            return Ok(());
        }
    }
}

/// The acts on a review rest on the grant too: they are its history, not what was looked at.
fn looks(action: &str) -> bool {
    !["review-break-glass", "explain-break-glass", "operate-server"].contains(&action)
}

fn shown(entry: &AuditEntry) -> ConsoleSeen {
    ConsoleSeen {
        at_ms: entry.at.0,
        action: entry.action.clone(),
        what: what(entry),
        device: entry.device.as_ref().map(|d| d.as_str().to_owned()),
    }
}

/// "EmergencyCard/p3 version 4", "212 resources: Observation/1 version 1, …", "nothing", "refused: no-relationship".
fn what(entry: &AuditEntry) -> String {
    const NAMED: usize = 3;
    if entry.decision == Decision::Deny {
        return format!("refused: {}", entry.rule);
    }
    let d = &entry.disclosure;
    let all = d.total.max(d.resources.len() as u64);
    let first: Vec<String> = d
        .resources
        .iter()
        .take(NAMED)
        .map(|r| format!("{} version {}", r.key, r.version))
        .collect();
    match all {
        0 => "nothing".to_owned(),
        n if n <= NAMED as u64 => first.join(", "),
        n => format!("{n} resources: {}, …", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth::sign_in_row;
    use vitrine_access::{Actor, Disclosed};
    use vitrine_clinical::ResourceKey;

    #[test]
    fn what_was_shown_is_said_shortly() {
        let mut entry = sign_in_row(Actor::Client("c".into()), None, "read-chart", "r", true);
        assert_eq!(what(&entry), "nothing");
        let key = ResourceKey::new("Observation", "1").unwrap();
        entry.disclosure.resources = vec![Disclosed { key, version: 2 }; 4];
        entry.disclosure.total = 131_000;
        let one = "Observation/1 version 2";
        assert_eq!(what(&entry), format!("131000 resources: {one}, {one}, {one}, …"));
        entry.disclosure.resources.truncate(1);
        entry.disclosure.total = 1;
        assert_eq!(what(&entry), one);
        entry.decision = Decision::Deny;
        assert_eq!(what(&entry), "refused: r");
    }
}
