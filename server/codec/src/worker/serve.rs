//! The loop in the process. Lives here: a frame in, a coded frame out, until there are no more. Called by the worker's
//! program, after [`crate::confine`].

use super::message::{self, Answer, Head};
use crate::{Job, Plain, Refused, decode};
use std::io::{self, Read, Write};
use vitrine_pixels::{Colour, layers};

/// Decodes and codes frames until the input ends. Each coded frame has been decoded again and found equal.
///
/// Panics that were caught say where they happened on stderr, and nothing else: their text may hold what was decoded.
///
/// # Errors
/// A broken pipe or a message that is none: the process has nothing more to do.
pub fn serve(input: impl Read, output: impl Write) -> io::Result<()> {
    serve_with(input, output, decode)
}

/// As [`serve`], with another decoder: for tests of what a bad one does.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(
    mut input: impl Read,
    mut output: impl Write,
    decode: impl Fn(&Job) -> Result<Plain, Refused>,
) -> io::Result<()> {
    std::panic::set_hook(Box::new(|info| {
        let _ = match info.location() {
            Some(at) => writeln!(io::stderr(), "panic at {}:{}", at.file(), at.line()),
            None => writeln!(io::stderr(), "panic"),
        };
    }));
    while let Some((head, bytes)) = message::read::<Job>(&mut input)? {
        let job = Job { bytes, ..head };
        let coded = decode(&job).and_then(|plain| {
            drop(job);
            let encode = match plain.colour {
                Colour::Palette => layers::encode_palette,
                _ => layers::encode,
            };
            let coded =
                encode(plain.shape, &plain.bytes).map_err(|e| Refused::Fault(format!("the pack: {e}")))?;
            Ok((coded, plain.colour, plain.lossy))
        });
        match coded {
            Ok((coded, colour, lossy)) => {
                let head = Answer::Done(Head::new(&coded, colour, lossy));
                message::write(&mut output, &head, coded.segments.iter().map(Vec::as_slice))?;
            }
            Err(refused) => message::write(&mut output, &Answer::Refused(refused), std::iter::empty())?,
        }
    }
    Ok(())
}
