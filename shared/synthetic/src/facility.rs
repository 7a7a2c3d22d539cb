//! The building and the people who work in it: wards, beds, staff, and the foundation bundle that states them.
//!
//! Staff names are invented; the secrets are for a data folder marked as demonstration and nothing else. Called by
//! `lib` (foundation, staff, wards) and by `story` (who lies where).

use crate::Hospital;
use crate::fhir::{self, Bundle, LOCAL, RXNORM};
use crate::formulary::FORMULARY;
use crate::rng::Rng;
use serde::Serialize;

pub(crate) const ORGANIZATION: &str = "org-hospital";
const SITE: &str = "SITE";

/// A ward as it is built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WardPlan {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) beds: usize,
    /// Beds nobody lies in.
    pub(crate) empty: &'static [usize],
    /// Patients in it.
    pub(crate) patients: u64,
}

/// Emergency department.
pub(crate) static ED: WardPlan = WardPlan {
    id: "ED",
    name: "Emergency Department",
    beds: 28,
    empty: &[6, 13, 20, 26],
    patients: 24,
};
/// Intensive care; bed 10 (index 9) is kept for the patient with the long record.
pub(crate) static ICU: WardPlan = WardPlan {
    id: "ICU",
    name: "Intensive Care Unit",
    beds: 18,
    empty: &[HEAVY_BED, 15],
    patients: 16,
};
/// A general ward.
pub(crate) static WARD_A: WardPlan = WardPlan {
    id: "WARD-A",
    name: "Ward A, General Medicine and Surgery",
    beds: 24,
    empty: &[4, 11, 17, 22],
    patients: 20,
};

/// Index of the ICU bed of the patient with the long record.
pub(crate) const HEAVY_BED: usize = 9;

pub(crate) static WARDS: [&WardPlan; 3] = [&ED, &ICU, &WARD_A];

/// Patients in a bed now.
pub(crate) fn in_house() -> u64 {
    WARDS.iter().map(|w| w.patients).sum()
}

/// Ward and bed index of patient `n`, for those in a bed now.
pub(crate) fn bed_of(n: u64) -> Option<(&'static WardPlan, usize)> {
    let mut left = n;
    for ward in WARDS {
        if left < ward.patients {
            return (0..ward.beds)
                .filter(|b| !ward.empty.contains(b))
                .nth(left as usize)
                .map(|bed| (ward, bed));
        }
        left -= ward.patients;
    }
    None
}

/// FHIR id of a bed's Location.
pub(crate) fn bed_id(ward: &WardPlan, bed: usize) -> String {
    if ward.id == "ED" && bed < 4 {
        return format!("ED-R{}", bed + 1);
    }
    format!("{}-{:02}", ward.id, bed + 1)
}

/// What the door says.
pub(crate) fn bed_name(ward: &WardPlan, bed: usize) -> String {
    match ward.id {
        "ED" if bed < 4 => format!("R{}", bed + 1),
        "ED" => format!("ED {}", bed + 1),
        "ICU" => format!("ICU {}", bed + 1),
        _ => format!("A{}", bed + 1),
    }
}

/// What somebody does in the hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaffRole {
    /// Bedside nurse.
    Nurse,
    /// Physician.
    Physician,
    /// Nurse in charge of a ward.
    ChargeNurse,
    /// Reviews who looked at what.
    PrivacyOfficer,
    /// Looks after workstations.
    ClinicalIt,
    /// Connects other systems.
    Integrator,
}

impl StaffRole {
    /// The role's name as the command line takes it, e.g. `charge-nurse`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nurse => "nurse",
            Self::Physician => "physician",
            Self::ChargeNurse => "charge-nurse",
            Self::PrivacyOfficer => "privacy-officer",
            Self::ClinicalIt => "clinical-it",
            Self::Integrator => "integrator",
        }
    }
}

impl std::fmt::Display for StaffRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who works here, with the secrets of the demonstration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Staff {
    /// Sign-in name, lower case ASCII.
    pub user: String,
    /// Name with title, e.g. `RN Imani Vossberg`.
    pub display: String,
    /// Role.
    pub role: StaffRole,
    /// Ward id; `None` for those who work for the whole site.
    pub ward: Option<String>,
    /// FHIR id of their Practitioner resource.
    pub practitioner: String,
    /// Password of the demonstration: three words and a number.
    pub password: String,
    /// PIN of the demonstration: six digits, no row or run of digits.
    pub pin: String,
}

/// A ward and its beds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ward {
    /// FHIR id of its Location, e.g. `ED`.
    pub id: String,
    /// Name.
    pub name: String,
    /// Its beds, the empty ones included.
    pub beds: Vec<Bed>,
}

/// A bed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bed {
    /// FHIR id of its Location, e.g. `ED-R1`.
    pub id: String,
    /// Name on the door, e.g. `R1`.
    pub name: String,
}

use StaffRole::{ChargeNurse, ClinicalIt, Integrator, Nurse, Physician, PrivacyOfficer};

/// Given name, family name, sign-in name, role, ward.
type Person = (&'static str, &'static str, &'static str, StaffRole, &'static str);

const PEOPLE: &[Person] = &[
    ("Imani", "Vossberg", "vossberg", Nurse, "ED"),
    ("Teo", "Daloford", "daloford", Nurse, "ED"),
    ("Sunniva", "Okelwala", "okelwala", Nurse, "ED"),
    ("Ruben", "Castelano", "castelano", Physician, "ED"),
    ("Mei", "Lindoku", "lindoku", Physician, "ED"),
    ("Harriet", "Ostrava-Quill", "ostrava", ChargeNurse, "ED"),
    ("Bashir", "Yarelson", "yarelson", Nurse, "ICU"),
    ("Odile", "Fontamura", "fontamura", Nurse, "ICU"),
    ("Jun", "Esketham", "esketham", Nurse, "ICU"),
    ("Priyanka", "Melobrand", "melobrand", Physician, "ICU"),
    ("Anders", "Tovikar", "tovikar", Physician, "ICU"),
    ("Grace", "N'Dorova", "ndorova", ChargeNurse, "ICU"),
    ("Luís", "Brevandez", "brevandez", Nurse, "WARD-A"),
    ("Kirra", "Hollowene", "hollowene", Nurse, "WARD-A"),
    ("Zainab", "Sulinoglu", "sulinoglu", Nurse, "WARD-A"),
    ("Petra", "Gariquist", "gariquist", Physician, "WARD-A"),
    ("Samuel", "Wenabara", "wenabara", Physician, "WARD-A"),
    ("Noriko", "Ashidale", "ashidale", ChargeNurse, "WARD-A"),
    ("Estelle", "Pellmorrow", "pellmorrow", PrivacyOfficer, ""),
    ("Kwabena", "Istaford", "istaford", ClinicalIt, ""),
    ("Rosa", "Nevarian", "nevarian", Integrator, ""),
];

const WORDS: &[&str] = &[
    "amber", "anchor", "apple", "basil", "beacon", "birch", "bramble", "candle", "canyon", "cedar", "clover",
    "cobalt", "copper", "coral", "cotton", "desert", "ember", "falcon", "fennel", "garden", "ginger",
    "harbor", "hazel", "island", "ivory", "jasper", "juniper", "kettle", "lantern", "lemon", "linen",
    "maple", "marble", "meadow", "mellow", "mosaic", "nectar", "nutmeg", "ocean", "olive", "orchid", "otter",
    "pebble", "pepper", "pillow", "planet", "prairie", "quartz", "raven", "ribbon", "river", "rocket",
    "saddle", "saffron", "salmon", "silver", "spruce", "summit", "tango", "timber", "tulip", "velvet",
    "violet", "walnut", "willow", "winter", "yellow", "zephyr",
];

/// FHIR id of the Practitioner with that sign-in name.
fn practitioner_id(user: &str) -> String {
    format!("prac-{user}")
}

/// Practitioner id and display of the `k`-th member of a ward with a role; the physician or nurse who signs.
pub(crate) fn signer(ward: &str, role: StaffRole, k: u64) -> (String, String) {
    let fits = |p: &&Person| p.3 == role && p.4 == ward;
    let count = PEOPLE.iter().filter(fits).count().max(1);
    let person = PEOPLE.iter().filter(fits).nth((k % count as u64) as usize);
    person.map_or_else(Default::default, |p| (practitioner_id(p.2), display(p)))
}

fn display(person: &Person) -> String {
    let title = match person.3 {
        Nurse | ChargeNurse => "RN ",
        Physician => "Dr ",
        PrivacyOfficer | ClinicalIt | Integrator => "",
    };
    format!("{title}{} {}", person.0, person.1)
}

/// Six digits without a repeated pair, a run (`123`) or a date-like beginning.
fn pin(rng: &mut Rng) -> String {
    let mut digits: Vec<u64> = Vec::with_capacity(6);
    while digits.len() < 6 {
        let next = rng.below(10);
        let neighbour = digits.last().copied();
        if neighbour.is_some_and(|last| last.abs_diff(next) <= 1) || (digits.is_empty() && next < 3) {
            continue;
        }
        digits.push(next);
    }
    digits.iter().map(u64::to_string).collect()
}

pub(crate) fn staff(hospital: Hospital) -> Vec<Staff> {
    PEOPLE
        .iter()
        .zip(0..)
        .map(|(person, k)| {
            let mut rng = Rng::stream(hospital.seed, k, 9_001);
            // Three thirds of the list: three different words.
            let mut third =
                |k: usize| rng.word(WORDS.chunks(WORDS.len().div_ceil(3)).nth(k).unwrap_or(WORDS));
            let (a, b, c) = (third(1), third(0), third(2));
            Staff {
                user: person.2.to_owned(),
                display: display(person),
                role: person.3,
                ward: Some(person.4.to_owned()).filter(|w| !w.is_empty()),
                practitioner: practitioner_id(person.2),
                password: format!("{a}-{b}-{c}-{}", rng.between(12, 98)),
                pin: pin(&mut rng),
            }
        })
        .collect()
}

pub(crate) fn wards() -> Vec<Ward> {
    WARDS
        .iter()
        .map(|ward| Ward {
            id: ward.id.to_owned(),
            name: ward.name.to_owned(),
            beds: (0..ward.beds)
                .map(|b| Bed {
                    id: bed_id(ward, b),
                    name: bed_name(ward, b),
                })
                .collect(),
        })
        .collect()
}

/// Organization, Locations, Practitioners with their roles, Medications.
pub(crate) fn foundation() -> String {
    let mut bundle = Bundle::new();
    bundle.put("Organization", ORGANIZATION, |w| {
        w.raw("active", "true");
        fhir::hl7s(w, "type", "organization-type", "prov", "Healthcare Provider");
        w.str("name", "Vitrine Synthetic Hospital (all patients are invented)");
    });
    location(
        &mut bundle,
        SITE,
        "Synthetic Hospital, main building",
        ("si", "Site"),
        None,
        "",
    );
    for ward in WARDS {
        location(&mut bundle, ward.id, ward.name, ("wa", "Ward"), Some(SITE), "");
        for bed in 0..ward.beds {
            let spare = ward.empty.contains(&bed) && !(ward.id == "ICU" && bed == HEAVY_BED);
            let state = if !spare {
                ""
            } else if bed % 2 == 0 {
                "U"
            } else {
                "K"
            };
            location(
                &mut bundle,
                &bed_id(ward, bed),
                &bed_name(ward, bed),
                ("bd", "Bed"),
                Some(ward.id),
                state,
            );
        }
    }
    for person in PEOPLE {
        practitioner(&mut bundle, person);
    }
    for drug in FORMULARY.iter().filter(|d| d.stocked) {
        bundle.put("Medication", &drug.medication_id(), |w| {
            fhir::concept(w, "code", RXNORM, drug.rxcui, "", drug.name);
            w.str("status", "active");
        });
    }
    bundle.close()
}

fn location(
    bundle: &mut Bundle,
    id: &str,
    name: &str,
    kind: (&str, &str),
    part_of: Option<&str>,
    state: &str,
) {
    bundle.put("Location", id, |w| {
        w.str("status", "active");
        match state {
            "U" => fhir::bare_coding(
                w,
                "operationalStatus",
                &format!("{}v2-0116", fhir::HL7),
                "U",
                "Unoccupied",
            ),
            "K" => fhir::bare_coding(
                w,
                "operationalStatus",
                &format!("{}v2-0116", fhir::HL7),
                "K",
                "Contaminated",
            ),
            _ => {}
        }
        w.str("name", name);
        w.str("mode", "instance");
        fhir::concept(
            w,
            "physicalType",
            &format!("{}location-physical-type", fhir::HL7),
            kind.0,
            kind.1,
            "",
        );
        fhir::reference(w, "managingOrganization", "Organization", ORGANIZATION);
        if let Some(parent) = part_of {
            fhir::reference(w, "partOf", "Location", parent);
        }
    });
}

fn practitioner(bundle: &mut Bundle, person: &Person) {
    let id = practitioner_id(person.2);
    bundle.put("Practitioner", &id, |w| {
        w.one("identifier", |w| {
            w.str("system", &format!("{LOCAL}sid/staff"));
            w.str("value", person.2);
        });
        w.raw("active", "true");
        w.one("name", |w| {
            w.str("text", &display(person));
            w.str("family", person.1);
            w.arr("given", |w| w.item_str(person.0));
        });
    });
    bundle.put("PractitionerRole", &format!("role-{}", person.2), |w| {
        w.raw("active", "true");
        fhir::reference(w, "practitioner", "Practitioner", &id);
        fhir::reference(w, "organization", "Organization", ORGANIZATION);
        let (code, shown) = match person.3 {
            Physician => ("doctor", "Doctor"),
            Nurse | ChargeNurse => ("nurse", "Nurse"),
            PrivacyOfficer | ClinicalIt | Integrator => ("ict", "ICT professional"),
        };
        fhir::concepts(
            w,
            "code",
            &format!("{}practitioner-role", fhir::HL7),
            code,
            shown,
            person.3.as_str(),
        );
        if !person.4.is_empty() {
            w.arr("location", |w| {
                w.item(|w| w.str("reference", &format!("Location/{}", person.4)))
            });
        }
    });
}
