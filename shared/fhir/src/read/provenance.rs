//! Provenance.

use super::datatype::{concepts, date};
use super::observation::observation;
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Observation, Provenance};

pub(super) fn provenance(root: &Json, reader: &mut Reader<'_>) -> Provenance {
    Provenance {
        targets: Reader::links(root, "target"),
        recorded: date(root, "recorded"),
        reasons: concepts(root, "reason"),
        before: before(root, reader).map(Box::new),
    }
}

/// The Observation in the resource itself that an entity of the role `revision` points to.
fn before(root: &Json, reader: &mut Reader<'_>) -> Option<Observation> {
    let revision = root
        .items("entity")
        .iter()
        .find(|e| e.text("role") == Some("revision"))?;
    let inside = revision.at(&["what"])?.text("reference")?.strip_prefix('#')?;
    let was = root
        .items("contained")
        .iter()
        .find(|c| c.text("id") == Some(inside))?;
    (was.text("resourceType") == Some("Observation")).then(|| observation(was, reader))
}
