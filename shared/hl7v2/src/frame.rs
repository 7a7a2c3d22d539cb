//! The blocks of MLLP (HL7 Transport Specification: MLLP, Release 1): `<0x0B> message <0x1C><0x0D>`.
//!
//! Bytes in, messages out; nothing here waits. Tolerated, because senders do it: white space between blocks, a block whose end
//! lacks the carriage return when the next one begins. Not tolerated: a block above the limit, text outside of blocks.

use memchr::memchr;

/// Start of a block.
pub const START: u8 = 0x0B;
/// End of a block, followed by [`RETURN`].
pub const END: u8 = 0x1C;
/// Carriage return.
pub const RETURN: u8 = 0x0D;

/// What is at fault in a stream of blocks. The connection is no longer to be trusted afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// A block is longer than is taken.
    #[error("a message of more than {0} bytes")]
    TooLong(usize),
    /// Something stands where a block has to begin with 0x0B.
    #[error("bytes outside of a block: a message begins with 0x0B")]
    Outside,
    /// A block begins before the one before it has ended.
    #[error("a block begins with 0x0B before the one before it has ended with 0x1C 0x0D")]
    Unended,
}

/// Takes bytes as they arrive and gives whole messages.
#[derive(Debug)]
pub struct Frames {
    held: Vec<u8>,
    looked: usize,
    most: usize,
}

impl Frames {
    /// For messages of at most so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            held: Vec::new(),
            looked: 0,
            most,
        }
    }

    /// Bytes that arrived.
    pub fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.held.iter().any(|b| !b.is_ascii_whitespace() || *b == START)
    }

    /// The next whole message; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`FrameFault`].
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, FrameFault> {
        let blank = self
            .held
            .iter()
            .take_while(|b| b.is_ascii_whitespace() && **b != START)
            .count();
        if blank > 0 && self.looked == 0 {
            self.held.drain(..blank);
        }
        match self.held.first() {
            None => return Ok(None),
            Some(&START) => {}
            Some(_) => return Err(FrameFault::Outside),
        }
        let mut from = self.looked.max(1);
        while let Some(end) = self
            .held
            .get(from..)
            .and_then(|rest| memchr(END, rest))
            .map(|n| from + n)
        {
            match self.held.get(end + 1) {
                Some(&RETURN) => return self.cut(end, end + 2),
                // The sender forgot the carriage return; the next block shows it.
                Some(&START) => return self.cut(end, end + 1),
                Some(_) => from = end + 1,
                None => {
                    self.looked = end;
                    return self.within(end);
                }
            }
        }
        self.looked = self.held.len();
        self.within(self.held.len())
    }

    fn within(&self, length: usize) -> Result<Option<Vec<u8>>, FrameFault> {
        if length > self.most {
            return Err(FrameFault::TooLong(self.most));
        }
        Ok(None)
    }

    fn cut(&mut self, end: usize, after: usize) -> Result<Option<Vec<u8>>, FrameFault> {
        self.looked = 0;
        let message: Vec<u8> = self.held.get(1..end).unwrap_or_default().to_vec();
        self.held.drain(..after.min(self.held.len()));
        if message.len() > self.most {
            return Err(FrameFault::TooLong(self.most));
        }
        if memchr(START, &message).is_some() {
            return Err(FrameFault::Unended);
        }
        Ok(Some(message))
    }
}

/// A message in its block.
#[must_use]
pub fn block(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 3);
    out.push(START);
    out.extend_from_slice(message);
    out.extend_from_slice(&[END, RETURN]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<FrameFault>) {
        let mut frames = Frames::new(64);
        let mut out = Vec::new();
        for part in bytes.chunks(step.max(1)) {
            frames.take(part);
            loop {
                match frames.message() {
                    Ok(Some(m)) => out.push(m),
                    Ok(None) => break,
                    Err(e) => return (out, Some(e)),
                }
            }
        }
        (out, None)
    }

    #[test]
    fn blocks_come_out_whole_however_they_arrive() {
        type Case = (&'static [u8], &'static [&'static [u8]], Option<FrameFault>);
        let cases: &[Case] = &[
            (b"\x0bMSH|a\r\x1c\r", &[b"MSH|a\r"], None),
            (b"\x0ba\x1c\r\x0bb\x1c\r", &[b"a", b"b"], None),
            (b"\r\n\x0ba\x1c\r\n\x0bb\x1c\r\n", &[b"a", b"b"], None),
            (b"\x0ba\x1c\x0bb\x1c\r", &[b"a", b"b"], None),
            (b"\x0ba\x1cb\x1c\r", &[b"a\x1cb"], None),
            (b"\x0b\x1c\r", &[b""], None),
            (b"\x0bnever ended", &[], None),
            (b"MSH|no block", &[], Some(FrameFault::Outside)),
            (b"\x0ba\x1c\rMSH", &[b"a"], Some(FrameFault::Outside)),
            (b"\x0ba\x0bb\x1c\r", &[], Some(FrameFault::Unended)),
            (&[START; 80], &[], Some(FrameFault::TooLong(64))),
        ];
        for (bytes, messages, fault) in cases {
            for step in 1..=bytes.len() {
                let (got, failed) = all(bytes, step);
                assert_eq!(got, messages.to_vec(), "{bytes:?} by {step}");
                assert_eq!(failed, *fault, "{bytes:?} by {step}");
            }
        }
    }

    #[test]
    fn a_message_in_its_block_is_read_back() {
        let mut frames = Frames::new(16);
        frames.take(&block(b"MSH|"));
        assert_eq!(frames.message(), Ok(Some(b"MSH|".to_vec())));
        assert!(!frames.is_within());
    }
}
