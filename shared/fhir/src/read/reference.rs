//! References to names.

use super::datatype::{concept, text};
use crate::bundle::local_reference;
use crate::compartment::parse;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Ref, preferred_name};
use vitrine_clinical::format::spoken_name;

/// How many references may be followed one from another (role → person → …).
const MAX_HOPS: usize = 4;

/// A resource found behind a reference: inside the one being read, or fetched.
pub(super) enum Found<'r> {
    Inside(&'r Json),
    Fetched(Box<Json>),
}

impl Found<'_> {
    pub(super) fn json(&self) -> &Json {
        match self {
            Self::Inside(j) => j,
            Self::Fetched(j) => j,
        }
    }
}

/// The resource being read and the door to others.
pub(super) struct Reader<'r> {
    root: &'r Json,
    resolve: &'r mut dyn FnMut(&str) -> Option<Vec<u8>>,
    deps: Vec<String>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(root: &'r Json, resolve: &'r mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Self {
        Self {
            root,
            resolve,
            deps: Vec::new(),
        }
    }

    pub(super) fn into_deps(self) -> Vec<String> {
        self.deps
    }

    /// The resource behind a reference text: contained, or asked for.
    pub(super) fn find(&mut self, reference: &str) -> Option<Found<'r>> {
        if let Some(id) = reference.strip_prefix('#') {
            let root: &'r Json = self.root;
            return root
                .items("contained")
                .iter()
                .find(|c| c.text("id") == Some(id))
                .map(Found::Inside);
        }
        let key = local_reference(reference)?.to_string();
        let bytes = (self.resolve)(&key);
        if !self.deps.contains(&key) {
            self.deps.push(key);
        }
        Some(Found::Fetched(Box::new(parse(&bytes?).ok()?)))
    }

    /// A reference with its name: its own words where it has some, else those of the resource.
    pub(super) fn named(&mut self, node: &Json) -> Option<Ref> {
        let reference = text(node, "reference");
        let mut display = text(node, "display");
        if display.is_none() {
            display = reference.as_deref().and_then(|r| self.name_behind(r, MAX_HOPS));
        }
        let identifier = || node.get("identifier").and_then(|i| text(i, "value"));
        let display = display.or_else(|| reference.is_none().then(identifier).flatten());
        let found = Ref { reference, display };
        (!found.is_empty()).then_some(found)
    }

    /// [`Self::named`] of a member.
    pub(super) fn named_at(&mut self, node: &Json, key: &str) -> Option<Ref> {
        node.get(key).and_then(|n| self.named(n))
    }

    /// [`Self::named`] of every item of an array.
    pub(super) fn all_named(&mut self, node: &Json, key: &str) -> Vec<Ref> {
        node.items(key).iter().filter_map(|n| self.named(n)).collect()
    }

    /// References without asking for names: where the target is only a link.
    pub(super) fn links(node: &Json, key: &str) -> Vec<Ref> {
        node.items(key).iter().filter_map(Self::link_of).collect()
    }

    /// One reference without asking for its name.
    pub(super) fn link(node: &Json, key: &str) -> Option<Ref> {
        node.get(key).and_then(Self::link_of)
    }

    fn link_of(node: &Json) -> Option<Ref> {
        let found = Ref {
            reference: text(node, "reference"),
            display: text(node, "display"),
        };
        (!found.is_empty()).then_some(found)
    }

    fn name_behind(&mut self, reference: &str, hops: usize) -> Option<String> {
        let hops = hops.checked_sub(1)?;
        let found = self.find(reference)?;
        let node = found.json();
        match node.text("resourceType")? {
            "Practitioner" | "Patient" | "RelatedPerson" => person_name(node),
            "PractitionerRole" => self.role_name(node, hops),
            "Organization" | "Location" | "HealthcareService" | "CareTeam" => text(node, "name"),
            "Device" => device_name(node),
            "Medication" | "Condition" | "Procedure" | "Substance" => {
                concept(node, "code").and_then(|c| c.display().map(str::to_owned))
            }
            _ => None,
        }
    }

    fn role_name(&mut self, role: &Json, hops: usize) -> Option<String> {
        let who = |r: &mut Self, key: &str| {
            let node = role.get(key)?;
            text(node, "display").or_else(|| {
                let reference = text(node, "reference")?;
                r.name_behind(&reference, hops)
            })
        };
        who(self, "practitioner").or_else(|| who(self, "organization"))
    }
}

/// The name of a person's resource in speaking order.
fn person_name(node: &Json) -> Option<String> {
    let names: Vec<_> = node.items("name").iter().map(super::person::human_name).collect();
    preferred_name(&names).and_then(spoken_name)
}

/// What to call a device: the name given to it, else its kind, else its model.
pub(super) fn device_name(node: &Json) -> Option<String> {
    let given = node.items("deviceName").iter().find_map(|n| text(n, "name"));
    let kind = || concept(node, "type").and_then(|c| c.display().map(str::to_owned));
    given.or_else(kind).or_else(|| text(node, "modelNumber"))
}
