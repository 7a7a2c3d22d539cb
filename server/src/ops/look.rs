//! Looking into the audit log: `audit find`, `audit disclosures`, `audit anomalies`, and the rows as the console shows them.
//!
//! Lives here: what is asked in words, the row that says that somebody looked, rows as JSON and CSV. Never here: how rows
//! are found (the store), what is unusual ([`super::anomalies`]), whether chains are whole ([`super::audit`]).
//! Called by `cli::acts`, and by whoever mounts [`look`] for the console.

use super::anomalies::{self, Access, Person, Whose};
use super::forms::{Form, Known, atna, balp};
use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::error::{Exit, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use vitrine_access::action::ReadAudit;
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Permit, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UtcMs};
use vitrine_store::audit_find::{AuditFound, AuditQuery, FoundRow, MOST, actor_name};
use vitrine_store::{Store, StoreError};

/// So far back is looked when nothing else is said, in ms (7 days).
pub const WEEK_MS: i64 = 7 * DAY_MS;
const DAY_MS: i64 = 86_400_000;
/// Rows of an accounting that are given without a file.
const SHOWN: usize = 10_000;
/// People that are taken into the search index at once when no server runs, and twenty times as many audit rows.
const AT_ONCE: usize = 500;
/// Resources of a row that are named one by one in words.
const NAMED: usize = 5;

/// What is asked for. Times: a day (`2026-11-22`, its beginning in UTC) or an instant (`2026-11-22T14:00:00Z`).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    Find {
        patient: Option<String>,
        user: Option<String>,
        device: Option<String>,
        action: Option<String>,
        from: Option<String>,
        until: Option<String>,
        before: Option<String>,
        limit: usize,
        #[serde(default)]
        format: Form,
    },
    /// Accounting of disclosures of one patient (45 CFR 164.528).
    Disclosures {
        patient: String,
        from: String,
        until: String,
        out: Option<PathBuf>,
    },
    Anomalies {
        from: String,
        until: String,
    },
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for what cannot be asked.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    if !ground.served {
        caught_up(ground).await?;
    }
    let time = |name: &str, text: Option<&str>| text.map(|t| moment(name, t)).transpose();
    match asked {
        Asked::Find {
            patient,
            user,
            device,
            action,
            from,
            until,
            before,
            limit,
            format,
        } => {
            let device = device
                .map(|d| DeviceId::new(d.as_str()).map_err(|e| Fault::usage(format!("--device '{d}': {e}"))));
            let query = AuditQuery {
                patient: patient.map(|p| patient_id(&p)).transpose()?,
                user,
                device: device.transpose()?,
                action,
                from: time("--from", from.as_deref())?,
                until: time("--until", until.as_deref())?,
                before: before
                    .map(|b| {
                        b.parse()
                            .map_err(|e| Fault::usage(format!("--before '{b}': {e}")))
                    })
                    .transpose()?,
                limit,
            };
            if !(1..=MOST).contains(&limit) {
                return Err(Fault::usage(format!("--limit must lie between 1 and {MOST}")));
            }
            let permit = ground.permit::<ReadAudit>()?;
            if format != Form::Json {
                return Ok(given(Exit::Done, in_form(ground, permit, query, format).await?));
            }
            let mut json = look(&*ground.store, permit, query, clock::now()).await?;
            for row in json["rows"].as_array_mut().into_iter().flatten() {
                row["at"] = row["at_ms"].as_i64().map(|ms| clock::instant(UtcMs(ms))).into();
            }
            Ok(given(Exit::Done, json))
        }
        Asked::Disclosures {
            patient,
            from,
            until,
            out,
        } => {
            let span = (moment("--from", &from)?, moment("--until", &until)?);
            accounting(ground, patient_id(&patient)?, span, out.as_deref()).await
        }
        Asked::Anomalies { from, until } => {
            unusual(ground, moment("--from", &from)?, moment("--until", &until)?).await
        }
    }
}

/// Takes what an older program wrote into the index: a running server does it by itself.
async fn caught_up(ground: &Ground) -> Result<(), Fault> {
    let mut left = u64::MAX;
    loop {
        let now = ground.store.catch_up(AT_ONCE).await?;
        if now == 0 || now >= left {
            return Ok(());
        }
        left = now;
    }
}

fn patient_id(text: &str) -> Result<PatientId, Fault> {
    PatientId::new(text).map_err(|e| Fault::usage(format!("--patient '{text}': {e}")))
}

/// A day or an instant.
fn moment(name: &str, text: &str) -> Result<UtcMs, Fault> {
    let day = text.parse::<jiff::civil::Date>().ok();
    let at = match day.and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC).ok()) {
        Some(begin) if text.len() == 10 => Some(begin.timestamp()),
        _ => text.parse::<jiff::Timestamp>().ok(),
    };
    at.map(|t| UtcMs(t.as_millisecond())).ok_or_else(|| {
        Fault::usage(format!(
            "{name} '{text}' is no time: write a day like 2026-11-22 (its beginning, UTC) or an instant like 2026-11-22T14:00:00Z"
        ))
    })
}

/// The permit with what is asked for in its notes.
fn said(mut permit: Permit<ReadAudit>, what: &str, query: &AuditQuery) -> Permit<ReadAudit> {
    permit = permit.noted("use", what);
    let notes = [
        ("patient", query.patient.as_ref().map(ToString::to_string)),
        ("user", query.user.clone()),
        ("device", query.device.as_ref().map(ToString::to_string)),
        ("action", query.action.clone()),
        ("from", query.from.map(clock::instant)),
        ("until", query.until.map(clock::instant)),
        ("before", query.before.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in notes {
        if let Some(value) = value {
            permit = permit.noted(name, value);
        }
    }
    permit
}

/// Finds rows for somebody who may: writes down what is asked, then gives them as `ConsoleAudit`. Without `from` the last
/// seven days.
///
/// # Errors
/// As [`vitrine_store::AuditLog::find`] and `append`; then nothing may be shown.
pub async fn look(
    store: &dyn Store,
    permit: Permit<ReadAudit>,
    query: AuditQuery,
    now: UtcMs,
) -> Result<Value, StoreError> {
    let (found, query) = found(store, permit, query, now).await?;
    let from = query.from.unwrap_or(now);
    Ok(console(&found, &query, from, now, &names(store).await?))
}

/// The same as rows, with the question as it was understood.
///
/// # Errors
/// As [`look`].
pub async fn found(
    store: &dyn Store,
    permit: Permit<ReadAudit>,
    mut query: AuditQuery,
    now: UtcMs,
) -> Result<(AuditFound, AuditQuery), StoreError> {
    let from = query.from.unwrap_or(UtcMs(now.0.saturating_sub(WEEK_MS)));
    query.from = Some(from);
    query.checked_limit()?;
    let permit = said(permit, "find", &query);
    let about = Disclosure {
        patients: query.patient.iter().cloned().collect(),
        ..Disclosure::default()
    };
    store.append(permit.entry(about)).await?;
    let found = store.find(&permit, query.clone()).await?;
    Ok((found, query))
}

/// Rows in a form of others: `{"format","bundle","next"}` or `{"format","messages","next"}`.
async fn in_form(
    ground: &Ground,
    permit: Permit<ReadAudit>,
    query: AuditQuery,
    format: Form,
) -> Result<Value, Fault> {
    let permit = permit.noted("form", if format == Form::Balp { "balp" } else { "atna" });
    let known = Known::of(&*ground.store, &ground.node, &ground.public_url).await?;
    let (found, _) = found(&*ground.store, permit, query, clock::now()).await?;
    let next = found.next.as_ref().map(ToString::to_string);
    if format == Form::Atna {
        let messages: Vec<String> = found
            .rows
            .iter()
            .flat_map(|r| atna::messages(r, &known))
            .collect();
        return Ok(json!({"format": "atna", "messages": messages, "next": next}));
    }
    let entries: Vec<Value> = found
        .rows
        .iter()
        .flat_map(|r| balp::events(r, &known))
        .map(|event| json!({"resource": event}))
        .collect();
    let mut bundle = json!({"resourceType": "Bundle", "type": "collection"});
    bundle["timestamp"] = clock::instant(clock::now()).into();
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(json!({"format": "balp", "bundle": bundle, "next": next}))
}

/// Names of people by sign-in name.
async fn names(store: &dyn Store) -> Result<BTreeMap<String, String>, StoreError> {
    let accounts = store.accounts().await?;
    Ok(accounts
        .into_iter()
        .map(|a| (a.user.to_string(), a.display))
        .collect())
}

/// What was found as `ConsoleAudit`.
#[must_use]
pub fn console(
    found: &AuditFound,
    query: &AuditQuery,
    from: UtcMs,
    now: UtcMs,
    names: &BTreeMap<String, String>,
) -> Value {
    let until = query.until.unwrap_or(now);
    let rows: Vec<Value> = found.rows.iter().map(|r| row(r, names)).collect();
    json!({
        "now_ms": now.0, "from_ms": from.0, "until_ms": until.0, "rows": rows,
        "next": found.next.as_ref().map(ToString::to_string),
        "looked": format!("Rows of {} to {}, all chains", day(from), day(until)),
    })
}

fn day(at: UtcMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| "?".to_owned(),
        |t| {
            t.to_zoned(jiff::tz::TimeZone::UTC)
                .strftime("%d-%b-%Y")
                .to_string()
        },
    )
}

/// A row as `ConsoleAuditRow`.
#[must_use]
pub fn row(found: &FoundRow, names: &BTreeMap<String, String>) -> Value {
    let Some(e) = &found.entry else {
        return json!({
            "chain": found.chain, "seq": found.seq, "at_ms": found.at.0, "actor": "", "actor_name": null, "device": null,
            "action": "", "purpose": "", "permitted": false, "rule": "", "patient": null, "grant": null,
            "what": "this row cannot be read: check its chain", "notes": [],
        });
    };
    let notes: Vec<Value> = e
        .notes
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let only = (e.disclosure.patients.len() == 1)
        .then(|| e.disclosure.patients.first())
        .flatten();
    json!({
        "chain": found.chain, "seq": found.seq, "at_ms": e.at.0,
        "actor": actor_name(&e.actor), "actor_name": person(&e.actor, names), "device": e.device,
        "action": e.action, "purpose": purpose(e.purpose), "permitted": e.decision == Decision::Permit,
        "rule": e.rule, "patient": e.patient.as_ref().or(only), "grant": e.grant, "what": what(e), "notes": notes,
    })
}

fn person<'n>(actor: &Actor, names: &'n BTreeMap<String, String>) -> Option<&'n str> {
    match actor {
        Actor::User(u) => names.get(u.as_str()).map(String::as_str),
        _ => None,
    }
}

const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "treatment",
        Purpose::BreakGlass => "emergency treatment",
        Purpose::Operations => "running the system",
        Purpose::Compliance => "compliance",
        Purpose::Payment => "payment",
        Purpose::HealthcareOperations => "running the hospital",
        Purpose::Research => "research",
        Purpose::PatientRequest => "asked for by the patient",
    }
}

/// What was shown or written, in words.
fn what(e: &AuditEntry) -> String {
    let d = &e.disclosure;
    if e.decision == Decision::Deny {
        return "refused: nothing was shown".to_owned();
    }
    let mut parts: Vec<String> = d
        .resources
        .iter()
        .take(NAMED)
        .map(|r| format!("{} version {}", r.key, r.version))
        .collect();
    let total = usize::try_from(d.total)
        .unwrap_or(usize::MAX)
        .max(d.resources.len());
    if total > parts.len() {
        let more = total - parts.len();
        parts.push(if parts.is_empty() {
            format!("{more} items")
        } else {
            format!("{more} more")
        });
    }
    if d.patients.len() > 1 {
        parts.push(format!("of {} patients", d.patients.len()));
    }
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Every row that fits, newest first, one after the other, until `each` has enough.
async fn every(
    ground: &Ground,
    permit: &Permit<ReadAudit>,
    mut query: AuditQuery,
    mut each: impl FnMut(FoundRow) -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    query.limit = MOST;
    loop {
        let found = ground.store.find(permit, query.clone()).await?;
        for r in found.rows {
            if !each(r)? {
                return Ok(false);
            }
        }
        match found.next {
            Some(next) => query.before = Some(next),
            None => return Ok(true),
        }
    }
}

/// Columns of an accounting.
const COLUMNS: [&str; 13] = [
    "date",
    "who",
    "name",
    "kind",
    "device",
    "act",
    "what",
    "purpose",
    "emergency",
    "own_staff",
    "read_only",
    "chain",
    "seq",
];

/// One line of an accounting; `None` for a row that disclosed nothing of the patient.
fn line(found: &FoundRow, names: &BTreeMap<String, String>) -> Option<Value> {
    let Some(e) = &found.entry else {
        return Some(
            json!({"date": clock::instant(found.at), "what": "this row cannot be read: check its chain",
            "chain": found.chain, "seq": found.seq}),
        );
    };
    if e.decision == Decision::Deny {
        return None;
    }
    let kind = match e.actor {
        Actor::User(_) => "staff",
        Actor::Client(_) => "program",
        Actor::Operator(_) => "operator",
        Actor::Device(_) => "workstation",
    };
    let writes = ["write-clinical", "import-data", "destroy-record"].contains(&e.action.as_str());
    Some(json!({
        "date": clock::instant(e.at), "who": actor_name(&e.actor), "name": person(&e.actor, names), "kind": kind,
        "device": e.device, "act": e.action, "what": what(e), "purpose": purpose(e.purpose),
        "emergency": e.purpose == Purpose::BreakGlass,
        "own_staff": matches!(e.actor, Actor::User(_) | Actor::Operator(_)),
        "read_only": !writes, "chain": found.chain, "seq": found.seq,
    }))
}

/// A field of CSV (RFC 4180). What a spreadsheet would take for a formula is marked as text.
fn field(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

async fn accounting(
    ground: &Ground,
    patient: PatientId,
    (from, until): (UtcMs, UtcMs),
    out: Option<&Path>,
) -> Result<Given, Fault> {
    let query = AuditQuery {
        patient: Some(patient.clone()),
        from: Some(from),
        until: Some(until),
        limit: MOST,
        ..AuditQuery::default()
    };
    let permit = said(ground.permit::<ReadAudit>()?, "disclosures", &query);
    let about = Disclosure {
        patients: vec![patient.clone()],
        ..Disclosure::default()
    };
    ground.store.append(permit.entry(about)).await?;
    let names = names(&*ground.store).await?;
    let mut lines = Vec::new();
    let whole = every(ground, &permit, query, |r| {
        lines.extend(line(&r, &names));
        Ok(out.is_some() || lines.len() < SHOWN)
    })
    .await?;
    let head = json!({"patient": patient, "from": clock::instant(from), "until": clock::instant(until)});
    let Some(to) = out else {
        let mut json = head;
        json["disclosures"] = lines.into();
        json["more"] = (!whole).into();
        return Ok(given(Exit::Done, json));
    };
    let failed = |e: std::io::Error| Fault::io("writing", to, &e);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(to)
        .map_err(|e| Fault::io("--out: cannot make", to, &e))?;
    let mut file = std::io::BufWriter::new(file);
    let rows = lines.len();
    if to.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        write!(file, "{}\r\n", COLUMNS.join(",")).map_err(failed)?;
        for l in &lines {
            let fields: Vec<String> = COLUMNS.iter().map(|c| field(&l[*c])).collect();
            write!(file, "{}\r\n", fields.join(",")).map_err(failed)?;
        }
    } else {
        let mut json = head.clone();
        json["disclosures"] = lines.into();
        serde_json::to_writer(&mut file, &json).map_err(|e| failed(e.into()))?;
    }
    file.flush().map_err(failed)?;
    let mut json = head;
    json["rows"] = rows.into();
    json["file"] = to.display().to_string().into();
    Ok(given(Exit::Done, json))
}

/// Acts on one patient's record that a person does on purpose.
const OPENED: [&str; 5] = [
    "read-card",
    "read-chart",
    "read-resource",
    "write-clinical",
    "break-glass",
];

async fn unusual(ground: &Ground, from: UtcMs, until: UtcMs) -> Result<Given, Fault> {
    let limits = &ground.audit.anomalies;
    let permit = ground
        .permit::<ReadAudit>()?
        .noted("use", "anomalies")
        .noted("from", clock::instant(from))
        .noted("until", clock::instant(until));
    let since = UtcMs(from.0.saturating_sub(i64::from(limits.history_days) * DAY_MS));
    let mut seen: Vec<Access> = Vec::new();
    for action in OPENED {
        let query = AuditQuery {
            action: Some(action.to_owned()),
            from: Some(since),
            until: Some(until),
            ..AuditQuery::default()
        };
        let whole = every(ground, &permit, query, |r| {
            seen.extend(Access::of(&r));
            Ok(seen.len() < limits.most_rows)
        });
        if !whole.await? {
            return Err(Fault::usage(format!(
                "more than {} accesses lie between {} and {}: ask for a shorter time, or raise audit.anomalies.most_rows",
                limits.most_rows,
                clock::instant(since),
                clock::instant(until)
            )));
        }
    }
    seen.sort_by(|a, b| (a.at, &a.chain, a.seq).cmp(&(b.at, &b.chain, b.seq)));
    let accounts = ground.store.accounts().await?;
    let people: BTreeMap<String, Person> = accounts
        .iter()
        .map(|a| (a.user.to_string(), Person::named(&a.display)))
        .collect();
    let ids: BTreeSet<&str> = seen
        .iter()
        .filter(|a| a.at >= from)
        .flat_map(|a| a.patients.iter().map(String::as_str))
        .collect();
    let (mut patients, mut archived) = (BTreeMap::new(), 0_u64);
    for id in ids {
        let Ok(key) = ResourceKey::new("Patient", id) else {
            continue;
        };
        match ground.store.lookup(&key).await {
            Ok(Some((_, body))) => drop(patients.insert(id.to_owned(), Whose::of(&body))),
            Ok(None) => {}
            // What lies in the archive cannot be compared now; everything else of the accesses is looked at.
            Err(StoreError::Archived { .. }) => archived += 1,
            Err(e) => return Err(e.into()),
        }
    }
    let found = anomalies::find(&seen, from, &people, &patients, limits);
    let named: BTreeSet<PatientId> = found
        .iter()
        .flat_map(|f| &f.patients)
        .filter_map(|p| PatientId::new(p.as_str()).ok())
        .collect();
    let about = Disclosure {
        patients: named.into_iter().collect(),
        ..Disclosure::default()
    };
    ground.store.append(permit.entry(about)).await?;
    let looked_at = seen.iter().filter(|a| a.at >= from).count();
    Ok(given(
        Exit::Done,
        json!({"from": clock::instant(from), "until": clock::instant(until), "accesses": looked_at,
            "not_compared": archived,
            "rules": anomalies::RULES, "findings": found}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning() {
        assert_eq!(moment("--from", "2026-11-22").unwrap(), UtcMs(1_795_305_600_000));
        assert_eq!(
            moment("--from", "2026-11-22T01:00:00+01:00").unwrap(),
            UtcMs(1_795_305_600_000)
        );
        for wrong in ["22.11.2026", "2026-11-22T10", "2026-13-01", ""] {
            assert!(moment("--from", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_are_kept_apart_and_are_no_formulas() {
        let cases = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"\n", "\"say \"\"x\"\"\n\""),
            ("=1+1", "'=1+1"),
            ("@cmd,1", "\"'@cmd,1\""),
        ];
        for (text, want) in cases {
            assert_eq!(field(&text.into()), want);
        }
        assert_eq!(field(&Value::Null), "");
    }
}
