//! `vitrine-codec`: decodes frames between two pipes, in a process that has given up everything else first.

use std::io;
use std::process::ExitCode;
use vitrine_codec::{Limits, confine, serve};

fn main() -> ExitCode {
    if let Err(e) = confine(&Limits::default()) {
        eprintln!("vitrine-codec: {e}: nothing is decoded without it");
        return ExitCode::from(2);
    }
    match serve(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vitrine-codec: {e}");
            ExitCode::from(1)
        }
    }
}
