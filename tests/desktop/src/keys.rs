//! Keys as WebDriver names them.

/// Control.
pub const CTRL: char = '\u{e009}';
/// Shift.
pub const SHIFT: char = '\u{e008}';
/// Enter.
pub const ENTER: char = '\u{e007}';
/// Escape.
pub const ESCAPE: char = '\u{e00c}';
/// Down.
pub const DOWN: char = '\u{e015}';
/// F1.
pub const F1: char = '\u{e031}';
/// F11.
pub const F11: char = '\u{e03b}';
/// F12.
pub const F12: char = '\u{e03c}';

/// A key with what is held.
#[derive(Debug, Clone)]
pub struct Press {
    /// Held down first, in this order.
    pub held: Vec<char>,
    /// Then pressed.
    pub key: char,
}

impl From<char> for Press {
    fn from(key: char) -> Self {
        Self {
            held: Vec::new(),
            key,
        }
    }
}

impl<const N: usize> From<([char; N], char)> for Press {
    fn from((held, key): ([char; N], char)) -> Self {
        Self {
            held: held.to_vec(),
            key,
        }
    }
}
