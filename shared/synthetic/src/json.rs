//! JSON as text, written once, in order; and base64 for the text of notes.
//!
//! Numbers are written from digits, never through a float. Nothing here knows FHIR. Called by `fhir` and `write`.

/// A writer that keeps the commas right.
#[derive(Debug)]
pub(crate) struct Json {
    text: String,
    comma: bool,
}

impl Json {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            comma: false,
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn separate(&mut self) {
        if self.comma {
            self.text.push(',');
        }
    }

    fn name(&mut self, key: &str) {
        self.separate();
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    fn between(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.text.push(open);
        self.comma = false;
        fill(self);
        self.text.push(close);
        self.comma = true;
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        let mut rest = value;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, tail) = rest.split_at(at);
            self.text.push_str(plain);
            let mut chars = tail.chars();
            match chars.next() {
                Some('"') => self.text.push_str("\\\""),
                Some('\\') => self.text.push_str("\\\\"),
                Some('\n') => self.text.push_str("\\n"),
                Some('\t') => self.text.push_str("\\t"),
                Some('\r') => self.text.push_str("\\r"),
                Some(other) => self.text.push_str(&format!("\\u{:04x}", u32::from(other))),
                None => {}
            }
            rest = chars.as_str();
        }
        self.text.push_str(rest);
        self.text.push('"');
        self.comma = true;
    }

    /// The outermost object.
    pub(crate) fn root(&mut self, fill: impl FnOnce(&mut Self)) {
        self.between('{', '}', fill);
    }

    /// `"key":{…}`
    pub(crate) fn obj(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.name(key);
        self.between('{', '}', fill);
    }

    /// `"key":[…]`
    pub(crate) fn arr(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.name(key);
        self.between('[', ']', fill);
    }

    /// `"key":[{…}]`, the commonest shape of a repeating FHIR element.
    pub(crate) fn one(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.arr(key, |w| w.item(fill));
    }

    /// An object inside an array.
    pub(crate) fn item(&mut self, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.between('{', '}', fill);
    }

    /// A string inside an array.
    pub(crate) fn item_str(&mut self, value: &str) {
        self.separate();
        self.quoted(value);
    }

    /// `"key":"value"`, escaped; an empty value is left out, because FHIR has no empty strings.
    pub(crate) fn str(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.name(key);
            self.quoted(value);
        }
    }

    /// `"key":token` for a number or a boolean already in its JSON form.
    pub(crate) fn raw(&mut self, key: &str, token: &str) {
        self.name(key);
        self.text.push_str(token);
        self.comma = true;
    }
}

/// `units` × 10^-`places`, with exactly `places` decimals: (61, 1) is `6.1`.
pub(crate) fn decimal(units: i64, places: usize) -> String {
    let digits = format!("{:0width$}", units.unsigned_abs(), width = places + 1);
    let sign = if units < 0 { "-" } else { "" };
    if places == 0 {
        return format!("{sign}{digits}");
    }
    let (whole, part) = digits.split_at(digits.len() - places);
    format!("{sign}{whole}.{part}")
}

/// Base64 with padding (RFC 4648 §4), as FHIR's base64Binary wants it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (group >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            out.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_commas() {
        let mut w = Json::with_capacity(64);
        w.root(|w| {
            w.str("a", "q\"b\\n\nt\tz\u{1}é");
            w.str("left out", "");
            w.arr("l", |w| {
                w.item_str("x");
                w.item(|w| w.raw("n", "1.50"));
            });
            w.one("o", |_| {});
        });
        let text = w.into_text();
        assert_eq!(
            text,
            r#"{"a":"q\"b\\n\nt\tz\u0001é","l":["x",{"n":1.50}],"o":[{}]}"#
        );
        serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
    }

    #[test]
    fn decimals_and_base64() {
        assert_eq!(decimal(61, 1), "6.1");
        assert_eq!(decimal(5, 2), "0.05");
        assert_eq!(decimal(-5, 1), "-0.5");
        assert_eq!(decimal(40, 0), "40");
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
