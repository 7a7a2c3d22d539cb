//! What was looked at with a broken glass: the audit rows that rest on it.
//!
//! Lives here: which rows those are, and their words. Never here: finding rows (`AuditLog::find`), the rest of a review
//! (`reviews`). Called by `reviews`.

use super::door::Reader;
use super::{Names, No};
use crate::app::App;
use vitrine_access::action::ReadAudit;
use vitrine_access::{AuditEntry, Decision, Disclosure, policy};
use vitrine_store::GrantRow;
use vitrine_store::audit_find::{AuditQuery, MOST};
use vitrine_wire::console::ConsoleSeen;

/// Rows of the person in that time that are looked at.
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
    let g = &row.grant;
    let mut query = AuditQuery {
        user: Some(g.user.as_str().to_owned()),
        from: Some(g.at.plus_ms(-MARGIN_MS)),
        until: Some(g.until.plus_ms(MARGIN_MS)),
        limit: MOST,
        ..AuditQuery::default()
    };
    let (mut out, mut looked) = (Seen::default(), 0);
    loop {
        let found = app.store.find(&permit, query.clone()).await?;
        looked += found.rows.len();
        let rests = |e: &&AuditEntry| e.grant == Some(g.id) && looks(&e.action);
        // A row that cannot be read may be one of them.
        out.more |= found.rows.iter().any(|r| r.entry.is_none());
        let entries = found.rows.iter().filter_map(|r| r.entry.as_ref());
        out.rows.extend(entries.filter(rests).map(shown));
        query.before = found.next;
        if query.before.is_none() {
            break;
        }
        if looked >= LOOKED {
            out.more = true;
            break;
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

/// The acts on a review rest on the grant too: they are its history, not what was looked at.
fn looks(action: &str) -> bool {
    ![
        "review-break-glass",
        "explain-break-glass",
        "end-break-glass",
        "operate-server",
    ]
    .contains(&action)
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
    use vitrine_access::{Actor, Disclosed, Kind};
    use vitrine_clinical::ResourceKey;

    #[test]
    fn what_was_shown_is_said_shortly() {
        let mut entry = sign_in_row(Actor::Client("c".into()), None, Kind::ReadChart, "r", true);
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
