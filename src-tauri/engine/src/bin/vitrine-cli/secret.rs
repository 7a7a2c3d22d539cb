//! Reading a PIN or password: from stdin when told so, else from the terminal without showing it. Never from an
//! argument or the environment, where others could read it.

use crate::args::Secret;
use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};
use vitrine_engine::EngineError;
use zeroize::Zeroizing;

/// Longest secret, bytes.
const LONGEST: usize = 1_024;

/// Reads the secret of `user`.
pub fn read(how: &Secret, user: &str) -> Result<Zeroizing<String>, EngineError> {
    let stdin = std::io::stdin();
    if how.secret_stdin {
        return line();
    }
    if !stdin.is_terminal() {
        return Err(EngineError::Usage(
            "no secret: give --secret-stdin and the secret on stdin, or run this at a terminal".to_owned(),
        ));
    }
    eprint!("PIN or password of {user}: ");
    let _ = std::io::stderr().flush();
    let hidden = echo(false);
    let secret = line();
    if hidden {
        echo(true);
        eprintln!();
    }
    secret
}

/// The number of a badge: the first line of stdin, as a reader types it.
pub fn badge() -> Result<Zeroizing<String>, EngineError> {
    line()
}

/// The password as it is now, and what is to be instead of it or of the PIN: two lines of stdin.
pub fn now_and_new() -> Result<(Zeroizing<String>, Zeroizing<String>), EngineError> {
    Ok((line()?, line()?))
}

fn line() -> Result<Zeroizing<String>, EngineError> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .read_line(&mut text)
        .map_err(EngineError::io("reading the secret"))?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    if text.is_empty() || text.len() > LONGEST {
        return Err(EngineError::Usage(
            "the secret is empty or too long: give it on the first line of stdin".to_owned(),
        ));
    }
    Ok(text)
}

/// Turns the terminal's echo on or off; true when that worked.
fn echo(on: bool) -> bool {
    let arg = if on { "echo" } else { "-echo" };
    Command::new("stty")
        .arg(arg)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
