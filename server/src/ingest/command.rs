//! The command sets of DIMSE (PS3.7 §6.3 and annex E).
//!
//! Lives here: reading a command, writing the response to it. Never here: associations, what a command does. Called by
//! `dimse`.

/// Command Field (0000,0100), PS3.7 annex E.
pub(super) const C_STORE: u16 = 0x0001;
pub(super) const C_FIND: u16 = 0x0020;
pub(super) const C_ECHO: u16 = 0x0030;
pub(super) const C_CANCEL: u16 = 0x0FFF;
pub(super) const RESPONSE: u16 = 0x8000;
/// Command Data Set Type (0000,0800): there is none, or one.
pub(super) const NO_DATA: u16 = 0x0101;
pub(super) const DATA: u16 = 0x0001;

/// A command set (PS3.7 §6.3), as far as it is needed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub class: String,
    pub field: u16,
    pub message: u16,
    pub has_data: bool,
    pub instance: String,
}

impl Command {
    /// Reads a command set, which is always Implicit VR Little Endian.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut out = Self::default();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at_checked(8)?;
            let [g0, g1, e0, e1, l0, l1, l2, l3] = *<&[u8; 8]>::try_from(head).ok()?;
            let (group, element) = (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
            let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            bytes = rest;
            if group != 0 {
                return None;
            }
            let number = || Some(u16::from_le_bytes(value.try_into().ok()?));
            let uid = || {
                let text = std::str::from_utf8(value).ok()?;
                Some(text.trim_end_matches(['\0', ' ']).to_owned())
            };
            match element {
                0x0002 => out.class = uid()?,
                0x0100 => out.field = number()?,
                0x0110 => out.message = number()?,
                0x0800 => out.has_data = number()? != NO_DATA,
                0x1000 => out.instance = uid()?,
                _ => {}
            }
        }
        (out.field != 0).then_some(out)
    }

    /// The response to it: its status, an Error Comment, whether a data set follows.
    pub fn answer(&self, status: u16, comment: &str, data: u16) -> Vec<u8> {
        let mut body = Vec::new();
        let mut element = |tag: u16, value: &[u8], pad: u8| {
            let padded = value.len() + value.len() % 2;
            body.extend_from_slice(&[0, 0]);
            body.extend_from_slice(&tag.to_le_bytes());
            body.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
            body.extend_from_slice(value);
            if padded > value.len() {
                body.push(pad);
            }
        };
        element(0x0002, self.class.as_bytes(), 0);
        element(0x0100, &(self.field | RESPONSE).to_le_bytes(), 0);
        element(0x0120, &self.message.to_le_bytes(), 0);
        element(0x0800, &data.to_le_bytes(), 0);
        element(0x0900, &status.to_le_bytes(), 0);
        if !comment.is_empty() {
            // Error Comment, LO.
            let comment: String = comment.chars().filter(char::is_ascii).take(64).collect();
            element(0x0902, comment.as_bytes(), b' ');
        }
        if !self.instance.is_empty() {
            element(0x1000, self.instance.as_bytes(), 0);
        }
        let mut out = vec![0, 0, 0, 0, 4, 0, 0, 0];
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_answered() {
        let asked = Command {
            class: "1.2.840.10008.5.1.4.1.1.2".into(),
            field: C_STORE,
            message: 7,
            has_data: false,
            instance: "1.2.3".into(),
        };
        let answer = asked.answer(0xC001, "whose it is cannot be told", NO_DATA);
        let read = Command::read(&answer).unwrap();
        assert_eq!(
            (read.field, read.instance.as_str()),
            (C_STORE | RESPONSE, "1.2.3")
        );
        assert_eq!(
            usize::try_from(u32::from_le_bytes(answer[8..12].try_into().unwrap())).unwrap(),
            answer.len() - 12
        );
        assert!(answer.len().is_multiple_of(2));
        for n in 0..answer.len() {
            // Cut anywhere it is an error or a shorter set, never a panic.
            let _ = Command::read(&answer[..n]);
        }
        assert_eq!(Command::read(&[0xFF; 64]), None);
    }
}
