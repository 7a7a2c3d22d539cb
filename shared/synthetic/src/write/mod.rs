//! From a story to FHIR resources; one file per part of the record.
//!
//! Nothing is decided here that a reader could call clinical: the story says what is true, these files spell it.
//! Called by `lib` and `heavy`.

use crate::calendar::DAY;
use crate::facility::{self, StaffRole};
use crate::fhir::{self, Bundle};
use crate::json::Json;
use crate::story::{Story, Taken};

mod allergies;
mod encounters;
mod findings;
mod labs;
mod medicines;
mod notes;
mod person;
mod problems;
mod vitals;

pub(crate) use labs::live_lab;

/// The whole record.
pub(crate) fn everything(story: &Story) -> String {
    let mut bundle = Bundle::new();
    person::patient(&mut bundle, story);
    person::related(&mut bundle, story);
    encounters::stay(&mut bundle, story);
    allergies::all(&mut bundle, story);
    problems::all(&mut bundle, story, |_| true);
    medicines::all(&mut bundle, story, |_| true);
    findings::essential(&mut bundle, story);
    findings::others(&mut bundle, story);
    vitals::series(&mut bundle, story);
    labs::series(&mut bundle, story);
    notes::all(&mut bundle, story);
    bundle.close()
}

/// What the emergency card is made of.
pub(crate) fn essentials(story: &Story) -> String {
    let mut bundle = Bundle::new();
    essentials_into(&mut bundle, story);
    bundle.close()
}

/// The same, into a bundle that goes on.
pub(crate) fn essentials_into(bundle: &mut Bundle, story: &Story) {
    person::patient(bundle, story);
    if story.in_house() {
        encounters::stay(bundle, story);
    }
    allergies::all(bundle, story);
    problems::all(bundle, story, |d| d.clinical == "active");
    let lately = story.newest() - 8 * DAY;
    medicines::all(bundle, story, |m| match m.taken {
        Taken::Active | Taken::OnHold | Taken::Stopped => true,
        Taken::Completed => m.stop.is_some_and(|stop| stop >= lately),
        Taken::Mistake => false,
    });
    findings::essential(bundle, story);
    if story.in_house() {
        vitals::newest(bundle, story);
    }
    labs::newest_key(bundle, story);
}

fn subject(w: &mut Json, story: &Story) {
    fhir::reference(w, "subject", "Patient", &story.id);
}

/// The reference to the running stay. Finished stays are left out, so that the essentials of somebody at home stand
/// without an Encounter.
fn encounter(w: &mut Json, story: &Story) {
    if story.in_house() {
        fhir::reference(w, "encounter", "Encounter", &story.sub("enc"));
    }
}

/// Ward whose staff looks after the patient, or did.
fn ward(story: &Story) -> &'static str {
    story.stay.as_ref().map_or(facility::ED.id, |s| s.ward.id)
}

/// Practitioner id and display of the nurse or physician who signs the `k`-th act.
fn signer(story: &Story, role: StaffRole, k: u64) -> (String, String) {
    facility::signer(ward(story), role, story.n.wrapping_add(k))
}
