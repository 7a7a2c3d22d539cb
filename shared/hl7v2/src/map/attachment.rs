//! Content that comes with a message (ED) or is pointed to (RP), and text as content, as FHIR Attachments.

use crate::fault::{Code, Fault};
use crate::json::{Json, object, text};
use crate::message::{Rep, Seg};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};

/// Bytes of content at most: as base64 they leave 64 KiB of a resource (`vitrine_fhir::MAX_RESOURCE_BYTES`, 16 MiB) for the rest.
const MOST: usize = (16 * 1024 * 1024 - 64 * 1024) / 4 * 3;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// ED in a field of OBX: base64 is checked, hexadecimal and plain text become base64. None where it holds no data.
///
/// # Errors
/// [`Fault`]: content that is not what ED.4 says, or that is too large. A report that cannot be read is not left out silently,
/// and must not replace one that can.
pub(super) fn of_ed(obx: &Seg<'_>, field: usize, rep: &Rep<'_>) -> Result<Option<Json>, Fault> {
    let data = rep.component_whole(5);
    if data.is_empty() {
        return Ok(None);
    }
    let fault = |code, what: &str| {
        let mut place = obx.place_of(field);
        place.rep = 1;
        place.comp = if code == Code::TableValue { 4 } else { 5 };
        Fault::at(code, place, what)
    };
    let bytes = match rep.text(4).to_ascii_uppercase().as_str() {
        "BASE64" => {
            let bare: String = data.chars().filter(|c| !c.is_whitespace()).collect();
            LENIENT.decode(bare).map_err(|_| {
                fault(
                    Code::DataType,
                    "the content is not the base64 that it is said to be",
                )
            })?
        }
        "HEX" => hex(&data).ok_or_else(|| {
            fault(
                Code::DataType,
                "the content is not the hexadecimal that it is said to be",
            )
        })?,
        "A" | "" => data.into_bytes(),
        _ => {
            return Err(fault(
                Code::TableValue,
                "the encoding of the content is none of A, Hex, Base64",
            ));
        }
    };
    if bytes.len() > MOST {
        return Err(fault(Code::DataType, "the content is larger than 11 MiB"));
    }
    Ok(Some(object([
        (
            "contentType",
            content_type(&rep.text(2), &rep.text(3)).and_then(text),
        ),
        ("data", text(general_purpose::STANDARD.encode(&bytes))),
        ("size", Some(Json::Number(bytes.len().to_string()))),
    ])))
}

/// RP: where the content is. None where that is no address.
pub(super) fn of_rp(rep: &Rep<'_>) -> Option<Json> {
    let at = rep.component_whole(1);
    if at.is_empty() || at.contains(char::is_whitespace) {
        return None;
    }
    Some(object([
        (
            "contentType",
            content_type(&rep.text(3), &rep.text(4)).and_then(text),
        ),
        ("url", text(at)),
    ]))
}

/// Text as content.
///
/// # Errors
/// [`Fault`]: it is too large.
pub(super) fn of_text(obx: &Seg<'_>, words: &str) -> Result<Json, Fault> {
    if words.len() > MOST {
        return Err(Fault::at(
            Code::DataType,
            obx.place_of(5),
            "the text is larger than 11 MiB",
        ));
    }
    Ok(object([
        ("contentType", text("text/plain; charset=utf-8")),
        ("data", text(general_purpose::STANDARD.encode(words))),
    ]))
}

/// Tables 0191 and 0291 as a MIME type; none where they do not name one.
fn content_type(kind: &str, sub: &str) -> Option<String> {
    let kind = match kind.to_ascii_lowercase().as_str() {
        "im" | "image" => "image",
        "ap" | "application" => "application",
        "au" | "audio" => "audio",
        "tx" | "text" | "ft" => "text",
        "video" => "video",
        _ => return None,
    };
    let sub = sub.to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    (!sub.is_empty() && sub.bytes().all(fits)).then(|| format!("{kind}/{sub}"))
}

fn hex(data: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = data.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let one = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charset::Charset;
    use crate::message::Message;

    fn read(field: &str) -> Result<String, String> {
        let text = format!("MSH|^~\\&|LAB|NORTH\rOBX|1|ED|1^x||{field}");
        let message = Message::read(text.as_bytes(), Charset::UTF_8).unwrap();
        let obx = message.first("OBX").unwrap();
        of_ed(&obx, 5, &obx.rep(5))
            .map(|j| j.map(|j| j.to_compact()).unwrap_or_default())
            .map_err(|f| f.to_string())
    }

    #[test]
    fn content_is_what_it_is_said_to_be_or_refused() {
        let cases = [
            (
                "^TEXT^html^Base64^PGI+",
                r#"{"contentType":"text/html","data":"PGI+","size":3}"#,
            ),
            (
                "^TEXT^html^Base64^PG\\.br\\I+",
                r#"{"contentType":"text/html","data":"PGI+","size":3}"#,
            ),
            (
                "^application^pdf^base64^PGI",
                r#"{"contentType":"application/pdf","data":"PGI=","size":2}"#,
            ),
            (
                "^IM^JPEG^Hex^FFd8",
                r#"{"contentType":"image/jpeg","data":"/9g=","size":2}"#,
            ),
            (
                "^TEXT^plain^A^a \\T\\ b",
                r#"{"contentType":"text/plain","data":"YSAmIGI=","size":5}"#,
            ),
            ("^NS^x y^Base64^PGI+", r#"{"data":"PGI+","size":3}"#),
            ("^IM^JPEG^Base64^", ""),
        ];
        for (sent, meant) in cases {
            assert_eq!(read(sent).unwrap(), meant, "{sent}");
        }
        let refused = [
            ("^IM^JPEG^Base64^PG!", "102 (OBX^1^5^1^5)"),
            ("^IM^JPEG^Hex^F", "102 (OBX^1^5^1^5)"),
            ("^IM^JPEG^Hex^+1é", "102 (OBX^1^5^1^5)"),
            ("^IM^JPEG^ZIP^AAAA", "103 (OBX^1^5^1^4)"),
        ];
        for (sent, why) in refused {
            let got = read(sent).unwrap_err();
            assert!(got.starts_with(why), "{sent}: {got}");
        }
    }

    #[test]
    fn content_has_a_limit() {
        let text = "a".repeat(MOST + 1);
        assert!(
            read(&format!("^TEXT^plain^A^{text}"))
                .unwrap_err()
                .contains("11 MiB")
        );
        let message = Message::read(b"MSH|^~\\&|A|B\rOBX|1", Charset::UTF_8).unwrap();
        let obx = message.first("OBX").unwrap();
        assert!(of_text(&obx, &text).is_err() && of_text(&obx, "ab").is_ok());
    }
}
