//! What stands beside a frame in a pack: all that a workstation is told of it from its header.

use super::{Display, Place, Who, display_with, place, who};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a frame is shown, where it lies in its stack, whose it says it is. As JSON it is the `display` of a frame in a pack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// How it is shown.
    pub display: Display,
    /// Where it lies.
    pub place: Place,
    /// Whose it says it is.
    pub who: Who,
}

/// What stands beside frame `frame` (from 1) of a header in DICOM JSON; `bulk` as in [`display_with`].
#[must_use]
pub fn beside(header: &Value, frame: u32, bulk: &dyn Fn(&str) -> Option<Vec<u8>>) -> Beside {
    Beside {
        display: display_with(header, frame, bulk),
        place: place(header, frame),
        who: who(header),
    }
}
