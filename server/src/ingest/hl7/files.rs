//! Files of HL7 v2: one message, many, or a batch (HL7 v2.5.1 §2.10.3: FHS, BHS, BTS, FTS).
//!
//! Lives here: taking a file apart. Never here: what becomes of a message. Called by `import`.

use memchr::memmem;

/// The messages of a file: each begins where a line begins with `MSH`. Lines of a batch's header and trailer, blocks of MLLP and
/// empty lines around them are not theirs. What stands before the first message and is none of these is a message of its own, which
/// will be held.
#[must_use]
pub fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut starts: Vec<usize> = memmem::find_iter(bytes, b"MSH")
        .filter(|at| {
            let before = at.checked_sub(1).and_then(|n| bytes.get(n));
            let separator = bytes.get(at + 3).is_some_and(|b| b.is_ascii_punctuation());
            let begins = before.is_none_or(|b| matches!(b, b'\r' | b'\n' | 0x0B | 0x1C))
                || bytes.get(..*at) == Some(b"\xef\xbb\xbf");
            separator && begins
        })
        .collect();
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(from, to)| own_lines(bytes.get(*from..to)?))
        .collect()
}

/// Without the lines of a batch, blocks and empty lines; `None` where nothing is left.
fn own_lines(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for line in bytes.split(|b| *b == b'\r' || *b == b'\n') {
        let first = line.iter().position(|b| !matches!(b, 0x0B | 0x1C | b' ' | b'\t'));
        let last = line
            .iter()
            .rposition(|b| !matches!(b, 0x0B | 0x1C | b' ' | b'\t'));
        let (Some(first), Some(last)) = (first, last) else {
            continue;
        };
        let line = line.get(first..=last).unwrap_or_default();
        let batch = [b"FHS", b"BHS", b"BTS", b"FTS"]
            .iter()
            .any(|name| line.starts_with(*name) && line.get(3).is_some_and(|b| b.is_ascii_punctuation()));
        if batch || line == b"\xef\xbb\xbf" {
            continue;
        }
        out.extend_from_slice(line);
        out.push(b'\r');
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_file_is_found() {
        let one = |bytes: &[u8]| -> Vec<String> {
            messages(bytes)
                .into_iter()
                .map(|m| String::from_utf8(m).unwrap())
                .collect()
        };
        let two = ["MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\r"];
        assert_eq!(one(b"MSH|^~\\&|A\rPID|1\r\rMSH|^~\\&|B"), two);
        assert_eq!(one(b"MSH|^~\\&|A\nPID|1\n\n\nMSH|^~\\&|B\n"), two);
        assert_eq!(one(b"\x0bMSH|^~\\&|A\rPID|1\r\x1c\r\x0bMSH|^~\\&|B\r\x1c\r"), two);
        assert_eq!(
            one(b"FHS|^~\\&|\rBHS|^~\\&|\rMSH|^~\\&|A\rPID|1\rMSH|^~\\&|B\rBTS|2\rFTS|1\r"),
            two
        );
        assert_eq!(one(b"\xef\xbb\xbfMSH|^~\\&|B\r\n"), ["MSH|^~\\&|B\r"]);
        assert_eq!(
            one(b"PID|1|MSH|x\rMSH|^~\\&|B"),
            ["PID|1|MSH|x\r", "MSH|^~\\&|B\r"]
        );
        assert!(one(b"\r\n \r\n").is_empty());
    }
}
