//! The words of an HTML text: tags, scripts and comments left out, characters by name or number put in.
//!
//! Never here: showing HTML. What is not understood is kept as it stands, so that no word is lost.

/// Tags that stand within a word: what is on either side of them belongs together.
const WITHIN: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "font", "i", "mark", "s", "small", "span",
    "strong", "sub", "sup", "u", "wbr",
];
/// Elements whose content is no text.
const SILENT: &[&str] = &["script", "style"];
/// Characters by name: markup, and what the languages of Europe's hospitals write.
const NAMED: &[(&str, &str)] = &[
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("auml", "ä"),
    ("ouml", "ö"),
    ("uuml", "ü"),
    ("Auml", "Ä"),
    ("Ouml", "Ö"),
    ("Uuml", "Ü"),
    ("szlig", "ß"),
    ("agrave", "à"),
    ("aacute", "á"),
    ("acirc", "â"),
    ("aring", "å"),
    ("Aring", "Å"),
    ("aelig", "æ"),
    ("ccedil", "ç"),
    ("egrave", "è"),
    ("eacute", "é"),
    ("Eacute", "É"),
    ("ecirc", "ê"),
    ("euml", "ë"),
    ("iacute", "í"),
    ("icirc", "î"),
    ("iuml", "ï"),
    ("ntilde", "ñ"),
    ("oacute", "ó"),
    ("ocirc", "ô"),
    ("otilde", "õ"),
    ("oslash", "ø"),
    ("Oslash", "Ø"),
    ("uacute", "ú"),
    ("ugrave", "ù"),
    ("ucirc", "û"),
    ("shy", ""),
];

/// The text of an HTML document or piece.
pub(super) fn words(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = if from.starts_with('<') {
            tag(from, &mut out)
        } else {
            character(from, &mut out)
        };
    }
    out.push_str(rest);
    out
}

/// Skips a tag, a comment or a silent element; gives what follows.
fn tag<'h>(from: &'h str, out: &mut String) -> &'h str {
    let inner = from.get(1..).unwrap_or_default();
    if let Some(comment) = inner.strip_prefix("!--") {
        return comment.split_once("-->").map_or("", |(_, after)| after);
    }
    let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?');
    let closed = inner.split_once('>').filter(|_| inner.starts_with(begins));
    let Some((said, after)) = closed else {
        // "< 5 mmol": no tag.
        out.push(' ');
        return inner;
    };
    let name: String = said
        .trim_start_matches('/')
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    if !WITHIN.contains(&name.as_str()) {
        out.push(' ');
    }
    if SILENT.contains(&name.as_str()) && !said.starts_with('/') && !said.ends_with('/') {
        let end = format!("</{name}");
        let lower = after.to_ascii_lowercase();
        return lower.find(&end).and_then(|at| after.get(at..)).unwrap_or("");
    }
    after
}

/// One character by name or number; gives what follows.
fn character<'h>(from: &'h str, out: &mut String) -> &'h str {
    let inner = from.get(1..).unwrap_or_default();
    if let Some((name, after)) = inner.split_once(';')
        && name.len() <= 8
    {
        let number = name
            .strip_prefix('#')
            .and_then(|n| match n.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => n.parse().ok(),
            });
        if let Some(c) = number.and_then(char::from_u32) {
            out.push(c);
            return after;
        }
        if let Some((_, text)) = NAMED.iter().find(|(n, _)| *n == name) {
            out.push_str(text);
            return after;
        }
    }
    out.push('&');
    inner
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_come_out_whole_and_markup_does_not() {
        for (html, want) in [
            ("<p>Ende.</p><p>Anfang</p>", "Ende. Anfang"),
            ("Pneu<b>mo</b>nie", "Pneumonie"),
            ("Kalium &lt; 3,5 und < 4 &amp; mehr", "Kalium < 3,5 und 4 & mehr"),
            ("<style>p{color:red}</style>rot<!-- nicht > dies -->es", "rotes"),
            ("M&uuml;ller &#x4e; &unknown; &", "Müller N &unknown; &"),
            ("<td>a</td><TD CLASS='x'>b</TD>", "a b"),
            ("offen <b", "offen b"),
            ("<script>x", ""),
        ] {
            let said: Vec<String> = words(html).split_whitespace().map(str::to_owned).collect();
            assert_eq!(said.join(" "), want, "{html}");
        }
    }
}
