//! DiagnosticReport and DocumentReference.

use super::datatype::{concept, concepts, date, first_date, text};
use super::reference::Reader;
use super::{NoteContent, html};
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Attachment, DiagnosticReport, DocumentReference};

/// Longest inline text taken into a view, in bytes of text; longer ones stay in the resource and are named as
/// attachments.
const MAX_TEXT: usize = 1024 * 1024;

fn attachment(node: &Json) -> Attachment {
    let content_type = text(node, "contentType");
    let plain = content_type
        .as_deref()
        .and_then(|t| t.split(';').next())
        .is_some_and(|t| t.trim().eq_ignore_ascii_case("text/plain"));
    let words = node
        .text("data")
        .filter(|_| plain)
        .and_then(base64_decoded)
        .map(decoded_text);
    Attachment {
        content_type,
        title: text(node, "title"),
        text: words.filter(|t| t.len() <= MAX_TEXT),
        url: text(node, "url"),
    }
}

/// UTF-8, else Latin-1 (what older systems send without saying so).
fn decoded_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => e.into_bytes().into_iter().map(char::from).collect(),
    }
}

/// Base64 (RFC 4648) with or without padding, white space between ignored; `None` for anything else.
fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padded) = (0u32, 0u32, false);
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padded = true;
                continue;
            }
            _ => return None,
        };
        if padded {
            return None;
        }
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

pub(super) fn report(root: &Json, reader: &mut Reader<'_>) -> DiagnosticReport {
    let effective = date(root, "effectiveDateTime").or_else(|| {
        root.get("effectivePeriod")
            .and_then(|p| first_date(p, &["start", "end"]))
    });
    DiagnosticReport {
        status: text(root, "status"),
        categories: concepts(root, "category"),
        code: concept(root, "code"),
        effective,
        issued: date(root, "issued"),
        performers: reader.all_named(root, "performer"),
        results: Reader::links(root, "result"),
        conclusion: text(root, "conclusion"),
        conclusion_codes: concepts(root, "conclusionCode"),
        attachments: root.items("presentedForm").iter().map(attachment).collect(),
        encounter: Reader::link(root, "encounter"),
    }
}

pub(super) fn document(root: &Json, reader: &mut Reader<'_>) -> DocumentReference {
    DocumentReference {
        status: text(root, "status"),
        doc_status: text(root, "docStatus"),
        kind: concept(root, "type"),
        categories: concepts(root, "category"),
        date: date(root, "date"),
        authors: reader.all_named(root, "author"),
        description: text(root, "description"),
        attachments: root
            .items("content")
            .iter()
            .filter_map(|c| c.get("attachment"))
            .map(attachment)
            .collect(),
        encounters: root
            .get("context")
            .map(|c| Reader::links(c, "encounter"))
            .unwrap_or_default(),
    }
}

/// See [`super::note`].
pub(super) fn note(kind: &str, root: &Json) -> NoteContent {
    let mut out = NoteContent {
        text: String::new(),
        whole: true,
    };
    let attachments: Vec<&Json> = match kind {
        "DocumentReference" => {
            let content = root.items("content").iter();
            content.filter_map(|c| c.get("attachment")).collect()
        }
        "DiagnosticReport" => root.items("presentedForm").iter().collect(),
        _ => return out,
    };
    let mut say = |text: &str| {
        out.text.push_str(text);
        out.text.push('\n');
    };
    for field in ["description", "conclusion"] {
        root.text(field).into_iter().for_each(&mut say);
    }
    for a in attachments {
        a.text("title").into_iter().for_each(&mut say);
        let media = a.text("contentType").unwrap_or_default();
        let media = media
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let data = a.text("data").and_then(base64_decoded).map(decoded_text);
        match (media.as_str(), data) {
            ("text/plain", Some(text)) => say(&text),
            ("text/html" | "application/xhtml+xml", Some(html)) => say(&html::words(&html)),
            _ => out.whole = false,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{base64_decoded, note};

    #[test]
    fn what_a_note_says() {
        let of = |kind: &str, json: &str| note(kind, &fhirkit::Json::parse(json).unwrap());
        // "Lungenödem" and "<p>Pneu<b>monie</b><br>li.</p><script>var x</script>&Ouml;dem &#252;ber" in base64.
        let document = r#"{"description":"Arztbrief","content":[
            {"attachment":{"contentType":"text/plain; charset=utf-8","data":"THVuZ2Vuw7ZkZW0=","title":"Visite"}},
            {"attachment":{"contentType":"text/html","data":"PHA+UG5ldTxiPm1vbmllPC9iPjxicj5saS48L3A+PHNjcmlwdD52YXIgeDwvc2NyaXB0PiZPdW1sO2RlbSAmIzI1MjtiZXI="}}]}"#;
        let said = of("DocumentReference", document);
        assert!(said.whole);
        for word in [
            "Arztbrief",
            "Visite",
            "Lungenödem",
            "Pneumonie",
            "li.",
            "Ödem",
            "über",
        ] {
            assert!(
                said.text.split_whitespace().any(|w| w == word),
                "{word}: {}",
                said.text
            );
        }
        assert!(!said.text.contains("var"), "{}", said.text);
        for other in [
            r#"{"content":[{"attachment":{"contentType":"application/pdf","data":"JVBERg=="}}]}"#,
            r#"{"content":[{"attachment":{"contentType":"text/plain","url":"Binary/1"}}]}"#,
            r#"{"content":[{"attachment":{"contentType":"text/plain","data":"%%"}}]}"#,
        ] {
            assert!(!of("DocumentReference", other).whole, "{other}");
        }
        let report = of("DiagnosticReport", r#"{"conclusion":"kein Infiltrat"}"#);
        assert_eq!((report.text.trim(), report.whole), ("kein Infiltrat", true));
    }

    #[test]
    fn base64_vectors_of_rfc_4648() {
        for (text, want) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9v YmFy\n", Some("foobar")),
            ("Zg", Some("f")),
            ("Z*", None),
            ("Zg==Zg", None),
        ] {
            assert_eq!(
                base64_decoded(text),
                want.map(|w| w.as_bytes().to_vec()),
                "{text}"
            );
        }
    }
}
