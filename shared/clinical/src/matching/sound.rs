//! Folding of text and how a name sounds, the same wherever names are searched for or compared.

use rphonetic::{Cologne, DoubleMetaphone, Encoder as _};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Lower case, without diacritics; letters that do not decompose get their usual spelling.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'þ' => out.push_str("th"),
            'ı' => out.push('i'),
            // lower-casing 'İ' leaves a combining dot behind
            c if is_combining_mark(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Letters of a Double Metaphone code: enough to tell `christopherson` from `christoph`.
const CODE: usize = 8;
/// Digits of a Cologne code below which it says too little: `li`, `lea` and `ulla` would all be one name.
const COLOGNE: usize = 3;

/// The Double Metaphone codes of a folded word (Philips 2000): primary, and the alternate where it is another. None for
/// a word with anything but a to z in it, or one for which there is no code (`h`).
pub(super) fn metaphones(word: &str) -> Vec<String> {
    let mut out = Vec::new();
    if word.bytes().all(|b| b.is_ascii_lowercase()) {
        let said = DoubleMetaphone::new(Some(CODE)).double_metaphone(word);
        out.extend(
            [said.primary(), said.alternate()]
                .into_iter()
                .filter(|c| !c.is_empty()),
        );
        out.dedup();
    }
    out
}

/// How a folded name word sounds: its codes, each with the family it is of. Two words sound alike when they share one.
///
/// `dm:` Double Metaphone (Philips 2000), primary and alternate, made for names of many languages; `k:` Kölner
/// Phonetik (Postel 1969) where it has three digits or more, for what the first misses in German names
/// (`Schulze`/`Schultze`, `Xaver`/`Ksaver`). Both know the letters a to z: a word with anything else in it (`李`), or one
/// for which there is no code (`h`), is `w:` and itself, and sounds like its equal alone.
#[must_use]
pub fn sounds(word: &str) -> Vec<String> {
    let mut out: Vec<String> = metaphones(word).iter().map(|c| format!("dm:{c}")).collect();
    if word.bytes().all(|b| b.is_ascii_lowercase()) {
        let cologne = Cologne.encode(word);
        if cologne.len() >= COLOGNE {
            out.push(format!("k:{cologne}"));
        }
    }
    if out.is_empty() && !word.is_empty() {
        out.push(format!("w:{word}"));
    }
    out
}
