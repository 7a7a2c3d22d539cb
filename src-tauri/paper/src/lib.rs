//! Pages for a printer: the downtime packet of a ward as a PDF.
//!
//! Lives here: setting text, filling pages, what stands on each. Never here: whose data may be printed, clocks, files, printers:
//! everything comes as ready words (`vitrine_wire::view`). Called by the workstation engine.
//!
//! Every page names its patient, says how old its data are and which page of how many it is, and what becomes of it after the
//! downtime (screens.md S29). It is made for paper: black on white, nothing is told by a colour.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod flow;
mod packet;
mod setter;

pub use packet::{LeftOut, Packet, Sheet};
use vitrine_wire::{say, word};

/// A page that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The program's own fonts cannot be read.
    #[error("{}", no_fonts())]
    Fonts,
    /// The file could not be written together.
    #[error("{}", not_written(.0))]
    Pdf(String),
}

fn no_fonts() -> &'static str {
    word!(
        "the fonts for printing cannot be read",
        "die Schriften für den Druck sind nicht lesbar"
    )
}

fn not_written(why: &str) -> String {
    say!(
        "the pages cannot be written as PDF: {why}",
        "die Seiten lassen sich nicht als PDF schreiben: {why}"
    )
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Printed {
    /// The file.
    pub pdf: Vec<u8>,
    /// How many pages it has.
    pub pages: usize,
    /// Characters for which this machine has no font; each is printed as a box.
    pub without_font: usize,
}
