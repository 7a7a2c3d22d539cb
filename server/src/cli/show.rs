//! Words for people, made from the same JSON that programs get.

use super::acts::Act;
use crate::ops::archive::Asked;
use crate::ops::clients::Asked as Clients;
use crate::ops::emergency_accounts::Asked as Envelopes;
use crate::ops::images::Asked as Pictures;
use crate::ops::look::Asked as Looks;
use crate::ops::messages::Asked as Messages;
use crate::ops::reviews::Asked as Reviews;
use crate::ops::totp::Asked as Totps;
use serde_json::Value;
use std::fmt::Write as _;

/// Which words an act's outcome needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table of this member's rows.
    Table(&'static str, &'static [&'static str]),
    /// Every member on a line.
    Lines,
    /// Chains, the log over them, and what a witness says.
    Audit,
    /// A signed note and its code.
    Checkpoint,
    /// Counts of an import.
    Import,
    /// What became of images that were filed again.
    Refiled,
    /// A message beside what is made of it.
    Message,
    /// What became of messages that were decided again.
    Replayed,
    /// Holds and requests.
    Archive,
    /// What lies in which tier.
    Tiers,
    /// Recalls under way.
    Recalls,
    /// How the copies of images stand.
    Copies,
    /// A broken glass: the grant, what speaks for or against it, its history.
    Review,
    /// Rows of the audit log, and where to go on.
    Looked,
    /// What is unusual.
    Anomalies,
    /// A certificate alone, as it was signed; else every member on a line.
    Certificate,
}

/// The kind of an act.
#[must_use]
pub fn kind(act: &Act) -> Kind {
    match act {
        Act::UserList => Kind::Table(
            "users",
            &["user", "role", "wards", "disabled", "badges", "display"],
        ),
        Act::EmergencyAccount(Envelopes::Make { .. }) => Kind::Table("emergency_accounts", &["user", "code"]),
        Act::EmergencyAccount(Envelopes::List) => Kind::Table(
            "emergency_accounts",
            &[
                "user",
                "state",
                "opened",
                "declared",
                "workstations",
                "broken_glass",
            ],
        ),
        Act::Totp(Totps::List) => Kind::Table(
            "second_factors",
            &["user", "state", "made", "confirmed", "recovery_codes"],
        ),
        Act::Client(Clients::List) => Kind::Table("clients", &["client_id", "by", "keys", "scope"]),
        Act::DeviceList => Kind::Table("devices", &["id", "name", "ward", "site", "state", "last_seen"]),
        Act::Images(Pictures::List { .. }) => Kind::Table(
            "quarantined",
            &["id", "code", "repeats", "last", "location", "reason"],
        ),
        Act::Images(Pictures::Refile { .. } | Pictures::RefileAll { .. }) => Kind::Refiled,
        Act::Message(Messages::List { .. }) => Kind::Table(
            "messages",
            &[
                "id", "at", "feed", "kind", "control", "state", "code", "place", "reason",
            ],
        ),
        Act::Message(Messages::Counts { .. }) => Kind::Table(
            "days",
            &[
                "feed", "day", "kind", "messages", "applied", "known", "held", "dropped",
            ],
        ),
        Act::Message(Messages::Show { .. }) => Kind::Message,
        Act::Message(Messages::Replay { .. } | Messages::ReplayHeld { .. } | Messages::Fix { .. }) => {
            Kind::Replayed
        }
        Act::QuarantineList { .. } => Kind::Table("quarantined", &["id", "location", "expression", "reason"]),
        Act::AuditVerify { .. } => Kind::Audit,
        Act::AuditCheckpoint => Kind::Checkpoint,
        Act::Look(Looks::Find { .. }) => Kind::Looked,
        Act::Look(Looks::Disclosures { out: None, .. }) => Kind::Table(
            "disclosures",
            &[
                "date",
                "who",
                "kind",
                "act",
                "what",
                "purpose",
                "read_only",
                "chain",
                "seq",
            ],
        ),
        Act::Look(Looks::Anomalies { .. }) => Kind::Anomalies,
        Act::Import { .. } => Kind::Import,
        Act::Archive(Asked::List) => Kind::Archive,
        Act::Archive(Asked::Tiers) => Kind::Tiers,
        Act::Archive(Asked::Status { .. }) => Kind::Recalls,
        Act::Archive(Asked::Move { .. } | Asked::Recall { .. } | Asked::Progress { .. }) => Kind::Lines,
        Act::Archive(_) => Kind::Certificate,
        Act::Copies(crate::ops::copies::Asked::Copies) => Kind::Copies,
        Act::Review(Reviews::List { .. }) => Kind::Table(
            "reviews",
            &[
                "id",
                "user",
                "declared",
                "patient",
                "at",
                "reason",
                "state",
                "due",
                "overdue",
                "late",
                "level",
                "owes_words",
            ],
        ),
        Act::Review(Reviews::Show { .. }) => Kind::Review,
        _ => Kind::Lines,
    }
}

/// The words.
#[must_use]
pub fn words(kind: Kind, json: &Value) -> String {
    match kind {
        Kind::Table(member, columns) => table(json[member].as_array().map_or(&[], Vec::as_slice), columns),
        Kind::Audit => audit(json),
        Kind::Checkpoint => format!("{}\n{}\n", cell(&json["code"]), cell(&json["note"])),
        Kind::Import => import(json),
        Kind::Lines => lines(json),
        Kind::Refiled => refiled(json),
        Kind::Message => message(json),
        Kind::Replayed => replayed(json),
        Kind::Archive => archive(json),
        Kind::Tiers => tiers(json),
        Kind::Recalls => recalls(json),
        Kind::Copies => copies(json),
        Kind::Review => review(json),
        Kind::Looked => looked(json),
        Kind::Anomalies => anomalies(json),
        Kind::Certificate => json["certificate"]
            .as_str()
            .map_or_else(|| lines(json), str::to_owned),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(s) => s.clone(),
        Value::Array(a) => a.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn table(rows: &[Value], columns: &[&str]) -> String {
    let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|c| (*c).to_owned()).collect()];
    cells.extend(
        rows.iter()
            .map(|r| columns.iter().map(|c| cell(&r[*c])).collect()),
    );
    let width = |i: usize| {
        cells
            .iter()
            .filter_map(|r| r.get(i))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    cells.iter().fold(String::new(), |mut out, row| {
        for (c, w) in row.iter().zip(&widths) {
            let _ = write!(out, "{c:<w$}  ");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    })
}

fn lines(json: &Value) -> String {
    let Some(object) = json.as_object() else {
        return json.to_string();
    };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    object.iter().fold(String::new(), |mut out, (k, v)| {
        let _ = writeln!(out, "{k:<width$}  {}", cell(v));
        out
    })
}

fn audit(json: &Value) -> String {
    let chains = json["chains"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = table(chains, &["chain", "rows", "whole", "fault"]);
    for (member, name) in [
        ("tree", "the log"),
        ("witness", "the witness"),
        ("code", "the code"),
    ] {
        let of = &json[member];
        if of.is_null() {
            continue;
        }
        let said = match of["fault"].as_str() {
            Some(fault) => fault.to_owned(),
            None => format!("agrees, {} rows", cell(&of["size"])),
        };
        let _ = writeln!(out, "{name}: {said}");
        for (origin, size) in of["earlier"].as_object().into_iter().flatten() {
            let _ = writeln!(
                out,
                "  saw an earlier log too, {origin}: {} rows, as they are now",
                cell(size)
            );
        }
    }
    out
}

fn review(json: &Value) -> String {
    let mut grant = json.clone();
    let taken = |o: &mut Value, member: &str| {
        o.as_object_mut()
            .and_then(|o| o.remove(member))
            .unwrap_or_default()
    };
    let (history, evidence) = (taken(&mut grant, "history"), taken(&mut grant, "evidence"));
    let history = history.as_array().map_or(&[][..], Vec::as_slice);
    let mut out = lines(&grant);
    let _ = write!(out, "\n{}", lines(&evidence));
    if history.is_empty() {
        out.push_str("\nnothing was done about it yet\n");
    } else {
        let _ = write!(out, "\n{}", table(history, &["at", "by", "did", "level", "text"]));
    }
    out
}

fn looked(json: &Value) -> String {
    let next = json["next"].as_str();
    if json["bundle"].is_object() {
        return format!("{:#}\n", json["bundle"]);
    }
    if let Some(messages) = json["messages"].as_array() {
        let mut out: String = messages
            .iter()
            .filter_map(Value::as_str)
            .map(|m| format!("{m}\n"))
            .collect();
        if let Some(next) = next {
            let _ = writeln!(out, "there is more: --before {next}");
        }
        return out;
    }
    let rows = json["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = format!("{}\n", cell(&json["looked"]));
    if rows.is_empty() {
        out.push_str("no row says that\n");
        return out;
    }
    let columns = [
        "at",
        "actor",
        "action",
        "patient",
        "device",
        "purpose",
        "permitted",
        "rule",
        "what",
        "chain",
        "seq",
    ];
    out.push_str(&table(rows, &columns));
    if let Some(next) = next {
        let _ = writeln!(out, "there is more: --before {next}");
    }
    out
}

fn anomalies(json: &Value) -> String {
    let found = json["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = format!(
        "{} accesses looked at, {} findings; each is a reason to look, none is a proof\n",
        json["accesses"],
        found.len()
    );
    for f in found {
        let rows = f["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let place = rows
            .first()
            .map_or_else(String::new, |r| format!("{} {}", cell(&r["chain"]), r["seq"]));
        let _ = writeln!(
            out,
            "{}: {} ({} accesses, patients {}; first row: {place})",
            cell(&f["rule"]),
            cell(&f["text"]),
            f["count"],
            cell(&f["patients"])
        );
    }
    out
}

fn refiled(json: &Value) -> String {
    let rows = |member: &str| json[member].as_array().map_or(&[][..], Vec::as_slice);
    let (filed, stays) = (rows("filed"), rows("stays"));
    let mut out = format!("{} filed, {} stay in quarantine\n", filed.len(), stays.len());
    if !filed.is_empty() {
        out.push_str(&table(filed, &["id", "study", "sop"]));
    }
    if !stays.is_empty() {
        out.push_str(&table(stays, &["id", "code", "reason"]));
    }
    out
}

fn replayed(json: &Value) -> String {
    let rows = |member: &str| json[member].as_array().map_or(&[][..], Vec::as_slice);
    let (applied, stays) = (rows("applied"), rows("stays"));
    let mut out = format!("{} decided, {} stay held\n", applied.len(), stays.len());
    if !applied.is_empty() {
        out.push_str(&table(applied, &["id", "state", "wrote"]));
    }
    if !stays.is_empty() {
        out.push_str(&table(stays, &["id", "code", "place", "reason"]));
    }
    out
}

/// The message, then what is made of it, each resource under the place that it comes from.
fn message(json: &Value) -> String {
    let mut head = json.clone();
    if let Some(members) = head.as_object_mut() {
        members.remove("text");
        members.remove("understood");
        members.retain(|_, v| !v.is_null());
    }
    let mut out = lines(&head);
    out.push_str("\nas it came:\n");
    out.push_str(json["text"].as_str().unwrap_or("its bytes are no longer kept\n"));
    out.push_str("\nas it is understood now:\n");
    let understood = &json["understood"];
    let fault = &understood["fault"];
    if fault.is_object() {
        let word = |key: &str| fault[key].as_str().unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {}: {} ({})",
            fault["code"],
            word("words"),
            word("text"),
            word("place")
        );
    }
    for made in understood["resources"].as_array().into_iter().flatten() {
        let place = made["from"].as_str().unwrap_or_default();
        let _ = writeln!(out, "{place}: {:#}", made["resource"]);
    }
    for note in understood["not_understood"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "not understood: {}", note.as_str().unwrap_or_default());
    }
    out
}

fn archive(json: &Value) -> String {
    let rows = |member: &str| json[member].as_array().map_or(&[][..], Vec::as_slice);
    let part = |member: &str, none: &str, columns: &[&str]| match rows(member) {
        [] => format!("{none}\n"),
        some => table(some, columns),
    };
    let holds = part(
        "holds",
        "no record is under legal hold",
        &["patient", "since", "by", "reason"],
    );
    let requests = part(
        "requests",
        "no destruction was asked for",
        &["id", "patient", "state", "requested", "by", "approved", "reason"],
    );
    format!("{holds}{requests}")
}

fn tiers(json: &Value) -> String {
    let rows = json["tiers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = table(rows, &["tier", "records", "bodies", "bytes", "packs", "place"]);
    let n = |member: &str, of: &str| json[member][of].as_u64().unwrap_or(0);
    if n("due", "bodies") == 0 {
        out.push_str("nothing is due to move\n");
    } else {
        let _ = writeln!(
            out,
            "due to move: {} bodies of {} records",
            n("due", "bodies"),
            n("due", "records")
        );
    }
    if n("requested", "packs") == 0 {
        out.push_str("nothing is asked back from the archive\n");
    } else {
        let _ = writeln!(
            out,
            "asked back: {} packs, {} bytes",
            n("requested", "packs"),
            n("requested", "bytes")
        );
    }
    if json["rules"]["run"] == false {
        out.push_str("the rules do not run by themselves (archive.run)\n");
    }
    out
}

fn recalls(json: &Value) -> String {
    let rows = json["recalls"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = match rows {
        [] => "no recall is under way\n".to_owned(),
        some => table(some, &["patient", "pack", "bytes", "moved", "requested", "eta_s"]),
    };
    if let (false, Some(why)) = (rows.is_empty(), json["waits_for"].as_str()) {
        let _ = writeln!(out, "it waits: {why}");
    }
    let faults = json["faults"].as_array().map_or(&[][..], Vec::as_slice);
    let read = if json["read_whole"] == true {
        "was read whole"
    } else {
        "is there"
    };
    if faults.is_empty() {
        let _ = writeln!(out, "every pack {read}");
    }
    for f in faults {
        let _ = writeln!(out, "{}", cell(f));
    }
    out
}

fn copies(json: &Value) -> String {
    let rows = |member: &str| json[member].as_array().map_or(&[][..], Vec::as_slice);
    let columns = [
        "target", "verified", "pending", "missing", "damaged", "failed", "leaving", "away",
    ];
    let mut out = table(rows("targets"), &columns);
    for t in rows("targets") {
        if let Some(since) = t["away_since"].as_str() {
            let _ = writeln!(
                out,
                "{} does not answer since {since}: {}",
                cell(&t["target"]),
                cell(&t["why"])
            );
        }
        if t["configured"] == false {
            let _ = writeln!(out, "{} is not configured here", cell(&t["target"]));
        }
    }
    let n = |k: &str| json[k].as_u64().unwrap_or(0);
    if n("unlisted") > 0 {
        let _ = writeln!(out, "{} originals are not listed yet", n("unlisted"));
    }
    if n("lost") > 0 {
        let _ = writeln!(
            out,
            "{} originals are damaged or gone and no target has a verified copy",
            n("lost")
        );
    }
    match rows("faulty") {
        [] => out.push_str("everything else is in order\n"),
        some => out.push_str(&table(
            some,
            &["target", "state", "instance", "file", "tries", "why"],
        )),
    }
    out
}

fn import(json: &Value) -> String {
    let n = |k: &str| json[k].as_u64().unwrap_or(0);
    let mut out = format!(
        "{} items: {} accepted, {} there already, {} in quarantine, {} refused; {:.1} s\n",
        n("seen"),
        n("accepted"),
        n("duplicate"),
        n("quarantined"),
        n("refused"),
        json["seconds"].as_f64().unwrap_or(0.0)
    );
    for r in json["refusals"].as_array().map_or(&[][..], Vec::as_slice) {
        let _ = writeln!(
            out,
            "refused {}: {} {}",
            cell(&r["location"]),
            cell(&r["reason"]),
            cell(&r["expression"])
        );
    }
    if n("quarantined") > 0 {
        out.push_str("'vitrine-server quarantine list' names what is in quarantine and why\n");
    }
    out
}
