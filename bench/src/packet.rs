//! The downtime packet of a ward, made without the server.

use crate::report::Report;
use crate::world::{SETUP, World, ms};
use anyhow::{Result, ensure};
use std::time::Instant;

/// Patients of the packet at least, as its budget says.
const SHEETS: usize = 40;

pub fn packet(report: &mut Report, quick: bool) -> Result<()> {
    let mut world = World::new(500, None)?;
    let _entered = world.runtime.enter();
    world.admit(SHEETS / 2)?;
    let (station, _) = world.signed_in()?;
    world.server.kill();
    let board = world.runtime.block_on(station.board(None))?;
    let sheets = board.rows.len();
    ensure!(sheets >= SHEETS, "{sheets} patients in the ward");
    let (mut made, mut bytes) = (Vec::new(), 0);
    for _ in 0..if quick { 2 } else { 20 } {
        let from = Instant::now();
        let packet = world.runtime.block_on(station.packet(None))?;
        made.push(ms(from) / 1_000.0);
        bytes = packet.pdf.len();
        station.active();
    }
    made.sort_by(f64::total_cmp);
    let setup = format!(
        "{SETUP}; server killed, {sheets} patients of the ward, {} of them with a whole record, {bytes} bytes of PDF",
        sheets - SHEETS / 2
    );
    for (name, q) in [("made_s_p50", 0.5), ("made_s_p95", 0.95), ("made_s_max", 1.0)] {
        report.add(
            "packet",
            name,
            crate::report::quantile(&made, q),
            "s",
            made.len(),
            &setup,
        );
    }
    Ok(())
}
