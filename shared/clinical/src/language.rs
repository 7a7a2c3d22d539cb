//! The language of what a workstation says: English, or German beside it, chosen once for a process.
//!
//! Lives here: which language is spoken, and the macros [`say!`](crate::say) and [`word!`](crate::word) that hold every
//! sentence in all languages at its place of use, so that a sentence without its other language does not compile
//! (ADR 31). Never here: dates, doses, values and units. They are written alike in every language, because a chart that
//! is read in two languages must not say `1.000` for two different numbers (screens.md A1, "ignore regional settings").
//! What is kept, sent, signed or audited is English, whatever is spoken.
//! Called by whatever makes a text for the screen or the paper of a workstation. The server never chooses: it says English.

use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a workstation can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Language {
    /// English, the default.
    #[default]
    #[serde(rename = "en")]
    English = 0,
    /// German.
    #[serde(rename = "de")]
    German = 1,
    /// English between `⟦` and `⟧`, for tests: what is without them is not translated. Never kept, never chosen.
    #[serde(skip)]
    Pseudo = 2,
}

impl Language {
    /// Every language that a workstation may be set to, in the order of a choice.
    pub const CHOICES: [Self; 2] = [Self::English, Self::German];

    /// Its tag (BCP 47): `en`, `de`; of the pseudo-locale `qps-ploc`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Pseudo => "qps-ploc",
        }
    }

    /// The language of a tag that a workstation may be set to; none for any other text.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::CHOICES.into_iter().find(|each| each.tag() == tag)
    }

    const fn of_number(number: u8) -> Self {
        match number {
            1 => Self::German,
            2 => Self::Pseudo,
            _ => Self::English,
        }
    }
}

static SPOKEN: AtomicU8 = AtomicU8::new(Language::English as u8);

thread_local! {
    static HERE: Cell<Option<Language>> = const { Cell::new(None) };
}

/// What this process says from now on, on every thread.
pub fn speak(language: Language) {
    SPOKEN.store(language as u8, Ordering::Relaxed);
}

/// What is spoken: what [`speaking`] asks for on this thread, else what the process was set to, else English.
#[must_use]
pub fn spoken() -> Language {
    HERE.get()
        .unwrap_or_else(|| Language::of_number(SPOKEN.load(Ordering::Relaxed)))
}

/// Runs `says` on this thread in another language, e.g. [`Language::English`] for what is kept or sent.
pub fn speaking<T>(language: Language, says: impl FnOnce() -> T) -> T {
    struct Before(Option<Language>);
    impl Drop for Before {
        fn drop(&mut self) {
            HERE.set(self.0);
        }
    }
    let _before = Before(HERE.replace(Some(language)));
    says()
}

/// A sentence in the spoken language: `say!("{n} of {total} read", "{n} von {total} gelesen")`.
///
/// Both texts are formats as of [`format!`]; what they name is taken from the scope, or given after them by name
/// (`say!("by {who}", "von {who}", who = user.name())`) and must then be used by both. Gives a [`String`].
#[macro_export]
macro_rules! say {
    ($en:literal, $de:literal $(, $name:ident = $value:expr)* $(,)?) => {
        match $crate::language::spoken() {
            $crate::language::Language::English => ::std::format!($en $(, $name = $value)*),
            $crate::language::Language::German => ::std::format!($de $(, $name = $value)*),
            $crate::language::Language::Pseudo => ::std::format!("⟦{}⟧", ::std::format!($en $(, $name = $value)*)),
        }
    };
}

/// A fixed text in the spoken language: `word!("Allergies", "Allergien")`. Gives a `&'static str`.
#[macro_export]
macro_rules! word {
    ($en:literal, $de:literal $(,)?) => {
        match $crate::language::spoken() {
            $crate::language::Language::English => $en,
            $crate::language::Language::German => $de,
            $crate::language::Language::Pseudo => ::std::concat!("⟦", $en, "⟧"),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_said_in_the_language_that_is_spoken() {
        let n = 3;
        let both = || {
            (
                word!("Ward", "Station"),
                say!("{n} of {all}", "{n} von {all}", all = 4),
            )
        };
        assert_eq!(both(), ("Ward", "3 of 4".to_owned()));
        assert_eq!(
            speaking(Language::German, both),
            ("Station", "3 von 4".to_owned())
        );
        assert_eq!(
            speaking(Language::Pseudo, both),
            ("⟦Ward⟧", "⟦3 of 4⟧".to_owned())
        );
        assert_eq!(both().0, "Ward", "only while it was asked for");
    }

    #[test]
    fn a_tag_names_a_language_that_may_be_chosen() {
        for language in Language::CHOICES {
            assert_eq!(Language::of_tag(language.tag()), Some(language));
        }
        for tag in ["", "fr", "EN", "qps-ploc"] {
            assert_eq!(Language::of_tag(tag), None, "{tag}");
        }
    }
}
