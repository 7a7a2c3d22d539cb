//! Views of patients: rows of lists, the emergency card, the chart.
//!
//! Lives here: choosing what is shown and the words around it. Never here: deriving clinical facts or formatting a
//! value (that is `clinical`), reading the stores (the facade hands the data in).
//! Called by the facade and `break_glass`.

pub(crate) mod blocks;
pub(crate) mod card_view;
mod codes;
pub(crate) mod news2;
pub(crate) mod record;
pub(crate) mod rows;
mod series;
#[cfg(test)]
mod spoken;
pub(crate) mod when;
