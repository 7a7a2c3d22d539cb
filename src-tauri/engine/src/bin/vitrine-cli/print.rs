//! Printing: one JSON object, or words for people.

use serde_json::{Value, json};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::{UtcMs, format};
use vitrine_engine::{EngineError, SelfTest};
use vitrine_wire::entry_view::EntryView;
use vitrine_wire::results_view::ChartCriticalView;
use vitrine_wire::scan_view::ScanView;
use vitrine_wire::series_view::MeasuredSeriesView;
use vitrine_wire::view::{
    AllergyStripState, AllergyStripView, BlockView, BlockViewState, BoardView, ChartView, EmergencyCardView,
    LineView, MeasuredView, MedicationView, PacketView, PatientRowView, SearchView, SectionAge,
};

/// One JSON object on stdout.
pub fn json(value: &Value) {
    say!("{value}");
}

/// An error: words on stderr, with `--json` also an object on stdout.
pub fn error(e: &EngineError, as_json: bool) {
    if as_json {
        let v = e.view();
        json(&json!({
            "error": {"code": v.code, "text": v.text, "retry_after_s": v.retry_after_s,
                      "break_glass_offered": v.break_glass_offered, "exit": e.exit_code()}
        }));
    } else {
        eprintln!("vitrine-cli: {e}");
    }
}

fn rows(rows: &[PatientRowView]) {
    for r in rows {
        let mut line = format!(
            "{}  {}  Born {}  {}  MRN {}  {}",
            r.patient, r.name, r.born_text, r.gender_text, r.number_text, r.place_text
        );
        for extra in [&r.reason_text, &r.stay_text, &r.match_text, &r.deceased_text]
            .into_iter()
            .flatten()
        {
            line.push_str(&format!("  {extra}"));
        }
        if !r.allergy_text.is_empty() {
            line.push_str(&format!("  {}", r.allergy_text));
        }
        for flag in &r.flags {
            line.push_str(&format!("  [{flag}]"));
        }
        if r.similar_name {
            line.push_str("  ▲ similar name");
        }
        if r.restricted {
            line.push_str("  Restricted — break-glass");
        }
        say!("{line}");
    }
}

/// A search in words.
pub fn search(v: &SearchView) {
    rows(&v.rows);
    say!("{}", v.summary_text);
}

/// What a code came to, in words.
pub fn scan(v: &ScanView) {
    rows(&v.rows);
    say!("{}", v.text);
}

/// A board in words.
pub fn board(v: &BoardView) {
    say!("{} — {} — {}", v.ward_name, v.summary_text, v.age.text);
    rows(&v.rows);
}

/// What became of a packet.
pub fn packet(v: &PacketView) {
    say!("{}", v.text);
    if let Some(warning) = &v.warning_text {
        say!("{warning}");
    }
}

fn block<T>(title: &str, b: &BlockView<T>, show: impl Fn(&T) -> String) {
    let as_of = b
        .as_of_text
        .as_deref()
        .map(|t| format!("  ({t})"))
        .unwrap_or_default();
    match b.state {
        BlockViewState::Recorded => {
            say!("{title}{as_of}");
            for item in &b.items {
                say!("  {}", show(item));
            }
        }
        BlockViewState::NotRecorded | BlockViewState::Unavailable => say!("{title}  {}", b.empty_text),
    }
}

fn medicine(m: &MedicationView) -> String {
    let mut parts = vec![m.name.clone()];
    parts.extend(m.dose.as_ref().map(|d| format!("DOSE {d}")));
    parts.extend(m.details.iter().cloned());
    parts.push(m.status_text.clone());
    parts.extend(m.start_text.clone());
    let mark = if m.high_risk_text.is_some() { "▲ " } else { "  " };
    format!("{mark}{}", parts.join(" — "))
}

fn line(l: &LineView) -> String {
    match &l.detail_text {
        Some(d) => format!("{} ({d})", l.text),
        None => l.text.clone(),
    }
}

fn measured(m: &MeasuredView) -> String {
    let parts = [m.label.as_str(), &m.value, &m.unit, &m.flag, &m.flag_shape];
    let mut text = parts
        .iter()
        .filter(|p| !p.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    if let Some(points) = m.points_text.as_ref().filter(|_| m.flag.is_empty()) {
        text.push_str(&format!(" {points}"));
    }
    for extra in [&m.range_text, &m.status_text].into_iter().flatten() {
        text.push_str(&format!(" ({extra})"));
    }
    text.push_str(&format!("  {}", m.at_text));
    for e in &m.earlier {
        let was = [e.value.as_str(), &e.unit, &e.flag]
            .iter()
            .filter(|p| !p.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        text.push_str(&format!("  [was {was}: {}, {}]", e.until_text, e.reason_text));
    }
    text
}

/// The newest value of a series.
fn newest(s: &MeasuredSeriesView) -> String {
    let Some(p) = s.points.first() else {
        return s.label.clone();
    };
    measured(&MeasuredView {
        label: s.label.clone(),
        value: p.value.clone(),
        unit: p.unit.clone(),
        flag: p.flag.clone(),
        flag_shape: p.flag_shape.clone(),
        points_text: p.points_text.clone(),
        points: p.points,
        range_text: p.range_text.clone(),
        at_text: p.at_text.clone(),
        status_text: p.status_text.clone(),
        earlier: p.earlier.clone(),
    })
}

fn allergies(a: &AllergyStripView) {
    let updated = a
        .updated_text
        .as_deref()
        .map(|t| format!("  ({t})"))
        .unwrap_or_default();
    say!("{}{updated}", a.label);
    for i in &a.items {
        let mark = if i.dangerous { "▲ " } else { "  " };
        let checked = if i.coded { "" } else { "  NOT CHECKED" };
        let sure = i
            .verification_text
            .as_deref()
            .map(|v| format!(" ({v})"))
            .unwrap_or_default();
        let unsent = i
            .unsent_text
            .as_deref()
            .map(|t| format!("  [{t}]"))
            .unwrap_or_default();
        let disputed = i
            .disputed_text
            .as_deref()
            .map(|t| format!("  [{t}]"))
            .unwrap_or_default();
        say!(
            "  {mark}{} — {}{sure}{checked}{disputed}{unsent}",
            i.agent,
            i.detail_text
        );
    }
    for d in &a.disputes {
        say!(
            "  {}: what two changes contradict each other in [{}]",
            d.agent,
            d.dispute
        );
        for (name, side) in [
            ("was", &d.base),
            ("record", &d.record),
            ("other change", &d.change),
        ] {
            let by = side
                .by_text
                .as_deref()
                .map(|t| format!(" — {t}"))
                .unwrap_or_default();
            let why = side
                .reason_text
                .as_deref()
                .map(|t| format!(" — {t}"))
                .unwrap_or_default();
            say!(
                "    {name}: {}, {}{by}{why}",
                side.standing_text,
                side.reaction_text
            );
        }
    }
    for r in &a.refuted {
        let more = [&r.why_text, &r.unsent_text].into_iter().flatten();
        let more: String = more.map(|t| format!("  [{t}]")).collect();
        say!("  refuted: {} — {}{more}", r.agent, r.by_text);
    }
    for n in a.negatives.iter().chain(&a.conflict_text) {
        say!("  {n}");
    }
}

fn entries(all: &[EntryView]) {
    for e in all {
        say!(
            "  {}: {} ({}) {}",
            e.title,
            e.lines.join("; "),
            e.at_text,
            e.state_text
        );
    }
}

fn critical(v: &ChartCriticalView) {
    for t in [&v.unread_text, &v.text, &v.elsewhere_text].into_iter().flatten() {
        say!("▲ {t}");
    }
    for each in &v.waiting {
        say!("  {}", measured(&each.measured));
    }
}

/// A chart in words.
pub fn chart(v: &ChartView) {
    if let Some(t) = &v.break_glass_text {
        say!("{t}");
    }
    let b = &v.banner;
    say!(
        "{}  Born {}  Gender {}  {} {}  {}",
        b.name,
        b.born_text,
        b.gender_text,
        b.number_label,
        b.number_text,
        b.place_text
    );
    for extra in [&b.deceased_text, &b.weight_text, &v.loading_text]
        .into_iter()
        .flatten()
    {
        say!("{extra}");
    }
    allergies(&v.allergies);
    critical(&v.critical);
    entries(&v.entries);
    say!(
        "Essentials {} · full record {} ({} resources)",
        v.essentials_age.text,
        v.record_age.text,
        v.resources
    );
    block("CURRENT MEDICINES", &v.medications, medicine);
    block("PROBLEMS", &v.conditions, line);
    block("CODE STATUS", &v.code_status, line);
    block("VITALS", &v.vitals, measured);
    block("LABS", &v.labs, newest);
    block("NOTES", &v.notes, |n| format!("{} — {}", n.title, n.detail_text));
    block("ENCOUNTERS", &v.encounters, line);
    block("PAST MEDICINES", &v.past_medications, medicine);
}

/// The emergency card in words.
pub fn card(v: &EmergencyCardView) {
    say!("{}   DATA {}", v.frame_text, v.age.text);
    let b = &v.banner;
    say!(
        "{}  Born {}  {}  {} {}  {}",
        b.name,
        b.born_text,
        b.gender_text,
        b.number_label,
        b.number_text,
        b.place_text
    );
    for extra in [&b.deceased_text, &b.weight_text].into_iter().flatten() {
        say!("{extra}");
    }
    allergies(&v.allergies);
    entries(&v.entries);
    block("ACTIVE MEDICINES", &v.medications, medicine);
    for m in &v.recently_stopped {
        say!("  recently stopped: {}", medicine(m));
    }
    block("CODE STATUS", &v.code_status, line);
    block("PROBLEMS", &v.conditions, line);
    block("DEVICES", &v.devices, line);
    block("VITALS", &v.vitals, measured);
    block("LABS", &v.labs, measured);
    block("BLOOD GROUP", &v.blood_group, line);
    block("ISOLATION", &v.isolation, line);
    block("FLAGS", &v.flags, line);
    block("CONTACTS", &v.contacts, line);
    say!("access {} · {:.1} ms", v.access_id, v.elapsed_ms);
}

/// The emergency card as interfaces.md fixes it.
pub fn card_json(
    v: &EmergencyCardView,
    card: Option<&EmergencyCard>,
    age: &SectionAge,
    now_ms: i64,
) -> Value {
    let unavailable = json!({"state": "unavailable", "items": []});
    let of = |name: &str| -> Value {
        let all = card.and_then(|c| serde_json::to_value(c).ok());
        all.and_then(|mut c| c.get_mut(name).map(Value::take))
            .unwrap_or_else(|| unavailable.clone())
    };
    let state = match v.allergies.state {
        AllergyStripState::Known => "known",
        AllergyStripState::NoneKnown => "none-known",
        AllergyStripState::NotRecorded => "not-recorded",
        AllergyStripState::Unavailable => "unavailable",
    };
    let mut allergies = of("allergies");
    if let Some(a) = allergies.as_object_mut() {
        a.insert("state".to_owned(), state.into());
        // What was recorded here and is not in the record yet: as on the screen.
        let unsent = v.allergies.items.iter().filter_map(|i| {
            let text = i.unsent_text.as_ref()?;
            Some(json!({
                "agent": i.agent, "coded": i.coded, "reactions": [i.detail_text], "dangerous": i.dangerous,
                "verification": i.verification_text, "unsent": true, "unsent_text": text,
            }))
        });
        if let Some(items) = a.entry("items").or_insert_with(|| json!([])).as_array_mut() {
            items.extend(unsent);
        }
    }
    let b = &v.banner;
    json!({
        "patient": {
            "id": b.patient, "name": b.name, "born": b.born_text, "gender": b.gender_text, "mrn": b.number_text,
            "place": b.place_text, "weight": b.weight_text, "deceased": b.deceased_text,
        },
        "allergies": allergies,
        "medications": of("medications"),
        "recently_stopped": of("recently_stopped"),
        "conditions": of("conditions"),
        "code_status": of("code_status"),
        "devices": of("devices"),
        "vitals": of("vitals"),
        "labs": of("labs"),
        "blood_group": of("blood_group"),
        "isolation": of("isolation"),
        "flags": of("flags"),
        "contacts": of("contacts"),
        "as_of": age.as_of_ms.map(|at| format::civil::instant_utc(UtcMs(at))),
        "as_of_ms": age.as_of_ms,
        "age_s": age.as_of_ms.map(|at| now_ms.saturating_sub(at).max(0) / 1_000),
        "age": age.age,
        "source": "cache",
        "access_id": v.access_id,
        "elapsed_ms": v.elapsed_ms,
        "frame": v.frame_text,
    })
}

/// A self-test in words.
pub fn selftest(t: &SelfTest) {
    for c in &t.checks {
        say!(
            "{}  {:<12} {:>8.1} ms  {}",
            if c.ok { "ok    " } else { "FAILED" },
            c.name,
            c.ms,
            c.text
        );
    }
    say!(
        "breaking the glass would take about {:.0} ms in the engine",
        t.emergency_ms
    );
}

/// The state in words.
pub fn status(v: &Value) {
    let text = |k: &str| v.get(k).and_then(Value::as_str).unwrap_or("—").to_owned();
    say!(
        "{} in {} at {}",
        text("workstation"),
        text("ward"),
        text("server")
    );
    say!("{}", text("sentence"));
    if let Some(said) = v.pointer("/reliance/sentence").and_then(Value::as_str) {
        say!("{said}");
    }
    say!("keys: {}", text("key_protection"));
    for (name, s) in v.get("scopes").and_then(Value::as_object).into_iter().flatten() {
        let n = |k: &str| s.get(k).map_or_else(String::new, ToString::to_string);
        say!(
            "  {name}: {} items, position {}, digest {}",
            n("items"),
            n("pos"),
            n("digest").trim_matches('"')
        );
    }
    if let Some(i) = v.get("images").filter(|i| i.is_object()) {
        let n = |k: &str| i.get(k).map_or_else(String::new, ToString::to_string);
        say!(
            "images: lists of {} patients, {} small pictures",
            n("patients"),
            n("previews")
        );
    }
    if let Some(o) = v.get("outbox") {
        say!(
            "outbox: {} rows and grants not yet at the server",
            o.get("total").unwrap_or(&Value::Null)
        );
    }
    for a in v.get("alarms").and_then(Value::as_array).into_iter().flatten() {
        say!("ALARM: {}", a.as_str().unwrap_or_default());
    }
}
