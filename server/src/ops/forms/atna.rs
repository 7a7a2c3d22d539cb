//! A row as an audit message of DICOM PS3.15 A.5 in a message of syslog (RFC 5424), as IHE ITI-20 sends it.
//!
//! Lives here: the XML, the head of syslog, dividing what is too long. Never here: which event an act is (`super`), the
//! connection (`ops::repository`). Called by both `ops::look` and `ops::repository`.

use super::{APPLICATION, Code, DESTINATION, Known, Node, Pattern, RECORD, REST, SOURCE, System, Told};
use super::{clean, outcome};
use std::fmt::Write as _;
use vitrine_access::tree::note::b64;
use vitrine_store::audit_find::FoundRow;

/// The longest message, bytes: what ITI TF-2 3.20.4.1.2 asks of every receiver.
pub const MESSAGE_MOST: usize = 32_768;
/// The root's tags and the declaration.
const ROOT: usize = 96;

/// Facility 10 (security), severity 5 (notice), as ITI-20 has it.
const PRI: u8 = 10 * 8 + 5;

/// The messages of a row, at least one; what it lists is divided among them when one would be too long.
#[must_use]
pub fn messages(row: &FoundRow, known: &Known) -> Vec<String> {
    let told = Told::of(row, known);
    let head = syslog_head(&told);
    let (mut before, mut first) = (String::new(), String::new());
    event(&mut before, &told);
    participants(&mut before, &told);
    source(&mut before, &told);
    about_row(&mut first, &told);
    let room = MESSAGE_MOST.saturating_sub(head.len() + before.len() + first.len() + ROOT);
    let mut parts = vec![String::new()];
    for object in objects(&told) {
        let long = parts
            .last()
            .is_some_and(|p| !p.is_empty() && p.len() + object.len() > room);
        if long {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(&object);
        }
    }
    parts
        .iter()
        .map(|part| {
            format!(
                "{head}\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>{before}{first}{part}</AuditMessage>"
            )
        })
        .collect()
}

/// `<85>1 TIME HOST APP PID MSGID - `; the host's name in the characters that RFC 5424 has.
fn syslog_head(told: &Told<'_>) -> String {
    let host: String = told
        .known
        .server
        .chars()
        .filter(char::is_ascii_graphic)
        .take(255)
        .collect();
    let host = if host.is_empty() { "-" } else { &host };
    format!(
        "<{PRI}>1 {} {host} vitrine-server {} IHE+RFC-3881 - ",
        crate::clock::instant(told.row.at),
        std::process::id()
    )
}

/// An attribute, with whatever XML and its reader would take for something else escaped; of long values the beginning.
fn attribute(out: &mut String, name: &str, value: &str) {
    const LONGEST: usize = 256;
    let _ = write!(out, " {name}=\"");
    for c in clean(value).unwrap_or_default().chars().take(LONGEST) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn coded(out: &mut String, element: &str, code: Code) {
    let _ = write!(out, "<{element}");
    attribute(out, "csd-code", code.1);
    attribute(out, "codeSystemName", code.0.name());
    attribute(out, "originalText", code.2);
    out.push_str("/>");
}

fn event(out: &mut String, told: &Told<'_>) {
    out.push_str("<EventIdentification");
    attribute(out, "EventActionCode", told.shape.action);
    attribute(out, "EventDateTime", &crate::clock::instant(told.row.at));
    attribute(
        out,
        "EventOutcomeIndicator",
        told.read.map_or("0", |(e, _)| outcome(e)),
    );
    out.push('>');
    // The record of a patient is an event of DICOM; that of anything else is a plain access.
    let of_nobody = told.shape.event == RECORD && told.patients().is_empty();
    coded(out, "EventID", if of_nobody { REST } else { told.shape.event });
    for kind in told.shape.types {
        coded(out, "EventTypeCode", *kind);
    }
    let act = told.read.map_or("unread-row", |(_, k)| k.name());
    let _ = write!(out, "<EventTypeCode");
    attribute(out, "csd-code", act);
    attribute(out, "codeSystemName", System::Act.name());
    attribute(out, "originalText", act);
    out.push_str("/></EventIdentification>");
}

fn node(out: &mut String, told: &Told<'_>, node: Node<'_>, role: Code, asks: bool) {
    out.push_str("<ActiveParticipant");
    let id = node.identifier(told.known).map_or("unknown", |(_, id)| id);
    attribute(out, "UserID", id);
    attribute(out, "UserName", node.name(told.known));
    attribute(out, "UserIsRequestor", if asks { "true" } else { "false" });
    if let Some((address, kind)) = node.address(told.known) {
        attribute(out, "NetworkAccessPointID", address);
        attribute(out, "NetworkAccessPointTypeCode", kind);
    }
    out.push('>');
    coded(out, "RoleIDCode", role);
    out.push_str("</ActiveParticipant>");
}

fn participants(out: &mut String, told: &Told<'_>) {
    let person = told.person();
    if let Some(super::Who {
        account, name, role, ..
    }) = person
    {
        out.push_str("<ActiveParticipant");
        attribute(out, "UserID", account);
        if let Some(name) = name {
            attribute(out, "UserName", name);
        }
        attribute(out, "UserIsRequestor", "true");
        out.push('>');
        if let Some((code, words)) = role {
            out.push_str("<RoleIDCode");
            attribute(out, "csd-code", code);
            attribute(out, "codeSystemName", "urn:vitrine:role");
            attribute(out, "originalText", words);
            out.push_str("/>");
        }
        out.push_str("</ActiveParticipant>");
    }
    let (client, server) = match told.shape.pattern {
        Pattern::Read | Pattern::Disclose => (DESTINATION, SOURCE),
        Pattern::Query | Pattern::Create | Pattern::Update => (SOURCE, DESTINATION),
        Pattern::Delete | Pattern::Plain => (APPLICATION, APPLICATION),
    };
    node(out, told, told.client(), client, person.is_none());
    if told.server() != told.client() {
        node(out, told, told.server(), server, false);
    }
}

fn source(out: &mut String, told: &Told<'_>) {
    out.push_str("<AuditSourceIdentification");
    attribute(out, "AuditEnterpriseSiteID", &told.known.server);
    attribute(out, "AuditSourceID", &told.row.chain);
    // PS3.15 A.5.1.2.1: 1 end-user interface, 4 application server.
    let kind = if told.at_device() { "1" } else { "4" };
    let _ = write!(
        out,
        "><AuditSourceTypeCode csd-code=\"{kind}\"/></AuditSourceIdentification>"
    );
}

/// An object: what kind of id, the id, a query in place of a name, type and role (PS3.15 A.5.1.2), details.
struct Object<'a> {
    id_type: Code,
    id: &'a str,
    query: Option<&'a str>,
    kind: &'static str,
    role: &'static str,
    details: &'a [(String, String)],
}

fn object(out: &mut String, o: &Object<'_>) {
    /// Bytes of details in one message.
    const DETAILS: usize = 8_192;
    /// Bytes of an element around a detail.
    const FRAME: usize = 48;
    out.push_str("<ParticipantObjectIdentification");
    attribute(out, "ParticipantObjectID", o.id);
    attribute(out, "ParticipantObjectTypeCode", o.kind);
    attribute(out, "ParticipantObjectTypeCodeRole", o.role);
    out.push('>');
    coded(out, "ParticipantObjectIDTypeCode", o.id_type);
    if let Some(query) = o.query {
        let _ = write!(
            out,
            "<ParticipantObjectQuery>{}</ParticipantObjectQuery>",
            b64(query.as_bytes())
        );
    } else {
        let name = clean(o.id).unwrap_or_default();
        let escaped = name
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = write!(out, "<ParticipantObjectName>{escaped}</ParticipantObjectName>");
    }
    let (mut room, mut cut) = (DETAILS, false);
    for (name, value) in o.details {
        let mut one = String::new();
        detail(&mut one, name, value);
        if one.len() > room {
            // Base64 has four bytes for three: what is left of the room, less the element around it.
            let fits = room.saturating_sub(FRAME + name.len() * 6) / 4 * 3;
            let end = (0..=fits.min(value.len()))
                .rev()
                .find(|n| value.is_char_boundary(*n));
            one.clear();
            detail(&mut one, name, &value[..end.unwrap_or(0)]);
            cut = true;
        }
        if one.len() <= room {
            room -= one.len();
            out.push_str(&one);
        }
    }
    if cut {
        detail(out, "shortened", "the audit row has more");
    }
    out.push_str("</ParticipantObjectIdentification>");
}

fn detail(out: &mut String, name: &str, value: &str) {
    out.push_str("<ParticipantObjectDetail");
    attribute(out, "type", name);
    let _ = write!(out, " value=\"{}\"/>", b64(value.as_bytes()));
}

fn about_row(out: &mut String, told: &Told<'_>) {
    let place = told.place();
    object(
        out,
        &Object {
            id_type: Code(System::Act, "audit-row", "chain and number of the audit row"),
            id: &place,
            query: None,
            kind: "2",
            role: "13",
            details: &told.further(),
        },
    );
}

/// Everything a row names, each as a whole element.
fn objects(told: &Told<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let mut put = |o: &Object<'_>| {
        let mut text = String::new();
        object(&mut text, o);
        out.push(text);
    };
    // RFC 3881 5.5.4: 2 is a patient's number, 12 a URI.
    let patient = Code(System::Rfc3881, "2", "Patient Number");
    let uri = Code(System::Rfc3881, "12", "URI");
    for p in told.patients() {
        put(&Object {
            id_type: patient,
            id: p.as_str(),
            query: None,
            kind: "1",
            role: "1",
            details: &[],
        });
    }
    if told.shape.pattern == Pattern::Query {
        let query = told.query();
        let cut: String = query.chars().take(1_024).collect();
        put(&Object {
            id_type: Code(System::Act, "query", "what was asked"),
            id: told.read.map_or("query", |(_, k)| k.name()),
            query: Some(&cut),
            kind: "2",
            role: "24",
            details: &[],
        });
    }
    for r in told.read.iter().flat_map(|(e, _)| &e.disclosure.resources) {
        let version = (r.version > 0).then(|| format!("/_history/{}", r.version));
        let id = format!("{}{}", r.key, version.unwrap_or_default());
        put(&Object {
            id_type: uri,
            id: &id,
            query: None,
            kind: "2",
            role: "4",
            details: &[],
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{known, row};
    use super::*;
    use vitrine_access::Disclosed;
    use vitrine_clinical::ResourceKey;

    #[test]
    fn no_message_is_too_long_and_nothing_that_a_row_lists_is_lost() {
        let mut long = row("read-chart");
        let entry = long.entry.as_mut().unwrap();
        entry.disclosure.resources = (1..=1_000)
            .map(|n| Disclosed {
                key: ResourceKey::new("Observation", &format!("{n}-{}", "o".repeat(58))).unwrap(),
                version: n,
            })
            .collect();
        for n in 0..40 {
            entry.notes.insert(format!("n{n}"), "\u{1F480}<&".repeat(500));
        }
        let mut known = known();
        known.server = "s".repeat(300);
        let all = messages(&long, &known);
        let longest = all.iter().map(String::len).max().unwrap();
        assert!(
            all.len() > 5 && longest <= MESSAGE_MOST,
            "{} of {longest}",
            all.len()
        );
        assert!(all.iter().all(|m| m.contains("\"shortened\"")));
        for n in 1..=1_000 {
            let has = format!("/_history/{n}\"");
            assert_eq!(all.iter().filter(|m| m.contains(&has)).count(), 1, "{n}");
        }
    }

    #[test]
    fn what_somebody_typed_stays_text() {
        let mut row = row("break-glass");
        row.chain = "a\"<b>&\u{1}\n".into();
        let all = messages(&row, &known());
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert!(
            one.contains("AuditSourceID=\"a&quot;&lt;b&gt;&amp;\u{FFFD}&#10;\""),
            "{one}"
        );
        assert!(one.starts_with("<85>1 2026-") && one.contains(" IHE+RFC-3881 - \u{FEFF}<?xml "));
    }
}
