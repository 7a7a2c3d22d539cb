//! A JSON scanner that remembers where things are: the top-level members, every `reference` text, how deep it goes and
//! which keys come twice. It copies nothing it does not need and decodes no number.
//! Called by `validate` (syntax, depth, duplicates) and `edit` (spans).

use crate::issue::{FhirError, IssueCode, clean_key};
use std::borrow::Cow;
use std::ops::Range;

/// Most codings of one CodeableConcept: every one is looked at by every search and every list of codes.
pub(crate) const MAX_CODINGS: usize = 1_000;

/// A member of the outermost object.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The value's bytes.
    pub value: Range<usize>,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    /// Members of the outermost object in order.
    pub members: Vec<Member<'a>>,
    /// Where the outermost object begins (its `{`).
    pub open: usize,
    /// Texts of `reference` members at any depth: the span with its quotes.
    pub references: Vec<Range<usize>>,
    /// Paths of keys that come more than once in their object.
    pub duplicates: Vec<String>,
    /// The first CodeableConcept with more than [`MAX_CODINGS`] codings: their path.
    pub crowded: Option<String>,
}

impl Scan<'_> {
    /// The span of a top-level member's value.
    pub fn member(&self, key: &str) -> Option<Range<usize>> {
        self.members
            .iter()
            .find(|m| m.key == key)
            .map(|m| m.value.clone())
    }
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    path: Vec<Step<'a>>,
    found: Scan<'a>,
}

/// Whether brackets nest deeper than that, whatever is between them; for what is not scanned as a resource is.
#[must_use]
pub fn nests_deeper(bytes: &[u8], most: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Scans a document whose outermost value is an object.
pub(crate) fn scan(bytes: &[u8], max_depth: usize) -> Result<Scan<'_>, FhirError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(FhirError::new(
            IssueCode::Structure,
            "",
            "a byte order mark is not allowed before JSON (RFC 8259)",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        FhirError::new(
            IssueCode::Structure,
            "",
            format!("not UTF-8 at byte {}", e.valid_up_to()),
        )
    })?;
    let found = Scan {
        members: Vec::new(),
        open: 0,
        references: Vec::new(),
        duplicates: Vec::new(),
        crowded: None,
    };
    let mut s = Scanner {
        text,
        bytes,
        at: 0,
        max_depth,
        path: Vec::new(),
        found,
    };
    s.space();
    s.found.open = s.at;
    if s.peek() != Some(b'{') {
        return Err(s.error("a JSON object was expected"));
    }
    s.value(0)?;
    s.space();
    if s.at < bytes.len() {
        return Err(s.error("nothing may follow the JSON value"));
    }
    Ok(s.found)
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn error(&self, what: &str) -> FhirError {
        FhirError::new(
            IssueCode::Structure,
            self.path(),
            format!("{what} (at byte {})", self.at),
        )
    }

    /// The path so far, from the resource's own type where it has been read already.
    fn path(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Key(k) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(clean_key(k));
                }
                Step::Index(i) => out.push_str(&format!("[{i}]")),
            }
        }
        out
    }

    fn value(&mut self, depth: usize) -> Result<(), FhirError> {
        if depth > self.max_depth {
            return Err(FhirError::new(
                IssueCode::TooMany,
                self.path(),
                format!("nested deeper than the {} levels we take", self.max_depth),
            ));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(_) => Err(self.error("a JSON value was expected")),
            None => Err(self.error("the JSON ends too early")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), FhirError> {
        let hit = self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word));
        if !hit {
            return Err(self.error("a JSON value was expected"));
        }
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), FhirError> {
        self.at += 1;
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        let mut keys: Vec<Cow<'a, str>> = Vec::new();
        let mut index = std::collections::HashSet::new();
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in quotes was expected"));
            }
            let key = self.string()?;
            self.space();
            if !self.eat(b':') {
                return Err(self.error("a colon was expected after the key"));
            }
            self.space();
            self.path.push(Step::Key(key.clone()));
            // A short object is searched, a long one hashed: input built to be slow stays linear.
            let seen = if keys.len() < 32 {
                keys.contains(&key)
            } else {
                index.contains(&key) || keys.contains(&key)
            };
            if seen {
                let path = self.path();
                self.found.duplicates.push(path);
            } else if keys.len() < 32 {
                keys.push(key.clone());
            } else {
                index.insert(key.clone());
            }
            let start = self.at;
            if key == "reference" && self.peek() == Some(b'"') {
                self.string()?;
                self.found.references.push(start..self.at);
            } else {
                self.value(depth + 1)?;
            }
            if depth == 0 {
                self.found.members.push(Member {
                    key,
                    value: start..self.at,
                });
            }
            self.path.pop();
            self.space();
            if self.eat(b',') {
                continue;
            }
            return if self.eat(b'}') {
                Ok(())
            } else {
                Err(self.error("a comma or } was expected"))
            };
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), FhirError> {
        self.at += 1;
        self.space();
        if self.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.space();
            if index == MAX_CODINGS && self.found.crowded.is_none() && self.is_coding() {
                self.found.crowded = Some(self.path());
            }
            self.path.push(Step::Index(index));
            self.value(depth + 1)?;
            self.path.pop();
            self.space();
            if !self.eat(b',') {
                break;
            }
        }
        if self.eat(b']') {
            Ok(())
        } else {
            Err(self.error("a comma or ] was expected"))
        }
    }

    fn is_coding(&self) -> bool {
        matches!(self.path.last(), Some(Step::Key(key)) if key == "coding")
    }

    fn number(&mut self) -> Result<(), FhirError> {
        self.eat(b'-');
        let whole = self.digits();
        let start = self.at - whole;
        if whole == 0 || (whole > 1 && self.bytes.get(start) == Some(&b'0')) {
            return Err(self.error("not a JSON number"));
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.error("digits were expected after the decimal point"));
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return Err(self.error("digits were expected in the exponent"));
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    /// Passes a string; gives its text, borrowed unless it holds an escape.
    fn string(&mut self) -> Result<Cow<'a, str>, FhirError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..0x20) => return Err(self.error("a control character in a text must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.error("a text without its closing quote")),
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(raw));
        }
        let quoted = self.text.get(start - 1..self.at).unwrap_or_default();
        let text: String =
            serde_json::from_str(quoted).map_err(|_| self.error("an escape in a text is not valid"))?;
        Ok(Cow::Owned(text))
    }
}
