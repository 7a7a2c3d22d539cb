//! Which medicines are dangerous in an emergency.
//!
//! Our own table of generic names and well-known brands, by the classes of the ISMP List of High-Alert Medications in
//! Acute Care Settings (2024): class level, facts only. A name is matched as a whole word of the recorded medicine or
//! of an ingredient, so "apomorphine" is no morphine. Every route counts: a topical form is shown with its class too,
//! because leaving one out is worse. Lidocaine is left out, as most of it is local.

use super::HighRisk;

const TABLE: &[(HighRisk, &[&str])] = &[
    (
        HighRisk::Anticoagulant,
        &[
            "warfarin", "acenocoumarol", "phenprocoumon", "phenindione", "fluindione", "heparin", "enoxaparin",
            "dalteparin", "tinzaparin", "nadroparin", "bemiparin", "certoparin", "fondaparinux", "danaparoid",
            "apixaban", "rivaroxaban", "edoxaban", "betrixaban", "dabigatran", "argatroban", "bivalirudin",
            "desirudin", "alteplase", "tenecteplase", "reteplase", "streptokinase", "urokinase", "coumadin",
            "marevan", "jantoven", "eliquis", "xarelto", "pradaxa", "savaysa", "lixiana", "clexane", "lovenox",
            "fragmin", "innohep", "arixtra",
        ],
    ),
    (
        HighRisk::Insulin,
        &[
            "insulin", "insulins", "novorapid", "novolog", "novomix", "humalog", "humulin", "novolin", "lantus",
            "levemir", "tresiba", "toujeo", "apidra", "actrapid", "insulatard", "protaphane", "ryzodeg", "fiasp",
            "lyumjev", "basaglar", "semglee", "admelog", "abasaglar", "insuman",
        ],
    ),
    (
        HighRisk::Opioid,
        &[
            "morphine", "diamorphine", "heroin", "oxycodone", "hydrocodone", "hydromorphone", "oxymorphone",
            "fentanyl", "remifentanil", "sufentanil", "alfentanil", "methadone", "levomethadone", "buprenorphine",
            "codeine", "dihydrocodeine", "tramadol", "tapentadol", "pethidine", "meperidine", "levorphanol",
            "nalbuphine", "butorphanol", "pentazocine", "meptazinol", "dextropropoxyphene", "propoxyphene",
            "papaveretum", "opium", "piritramide", "tilidine", "oxycontin", "oxynorm", "endone", "percocet",
            "vicodin", "norco", "dilaudid", "duragesic", "targin", "targinact", "suboxone", "subutex", "palexia",
            "ultram", "zapain",
        ],
    ),
    (
        HighRisk::Antiarrhythmic,
        &[
            "amiodarone", "dronedarone", "flecainide", "propafenone", "sotalol", "dofetilide", "ibutilide",
            "vernakalant", "disopyramide", "quinidine", "procainamide", "mexiletine", "ajmaline", "adenosine",
            "digoxin", "digitoxin", "metildigoxin", "lanoxin", "cordarone", "pacerone", "multaq", "tambocor",
            "rythmol", "betapace", "sotacor", "tikosyn",
        ],
    ),
    (
        HighRisk::Immunosuppressant,
        &[
            "methotrexate", "azathioprine", "mercaptopurine", "tioguanine", "thioguanine", "mycophenolate",
            "mycophenolic", "ciclosporin", "cyclosporin", "cyclosporine", "tacrolimus", "sirolimus", "everolimus",
            "leflunomide", "teriflunomide", "cyclophosphamide", "ifosfamide", "chlorambucil", "melphalan",
            "bendamustine", "busulfan", "hydroxyurea", "hydroxycarbamide", "capecitabine", "fluorouracil",
            "cytarabine", "gemcitabine", "azacitidine", "decitabine", "fludarabine", "cladribine", "doxorubicin",
            "daunorubicin", "epirubicin", "idarubicin", "mitoxantrone", "bleomycin", "mitomycin", "dactinomycin",
            "vincristine", "vinblastine", "vinorelbine", "etoposide", "paclitaxel", "docetaxel", "cabazitaxel",
            "cisplatin", "carboplatin", "oxaliplatin", "irinotecan", "topotecan", "temozolomide", "dacarbazine",
            "procarbazine", "lomustine", "carmustine", "thalidomide", "lenalidomide", "pomalidomide", "imatinib",
            "ibrutinib", "venetoclax", "bortezomib", "tofacitinib", "baricitinib", "upadacitinib", "ruxolitinib",
            "adalimumab", "etanercept", "infliximab", "golimumab", "certolizumab", "rituximab", "tocilizumab",
            "sarilumab", "ustekinumab", "secukinumab", "ixekizumab", "natalizumab", "ocrelizumab", "alemtuzumab",
            "basiliximab", "belatacept", "abatacept", "anakinra", "fingolimod", "humira", "enbrel", "remicade",
            "imuran", "cellcept", "myfortic", "prograf", "advagraf", "neoral", "sandimmun", "rapamune",
        ],
    ),
];

/// The class of a medicine by its words; the first in order of danger when it holds several.
pub(crate) fn class_of(words: &str) -> Option<HighRisk> {
    let lower = words.to_lowercase();
    let tokens: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).collect();
    TABLE.iter().find(|(_, names)| tokens.iter().any(|t| names.contains(t))).map(|(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_only() {
        for (name, want) in [
            ("Warfarin Sodium 5 MG Oral Tablet", Some(HighRisk::Anticoagulant)),
            ("1 ML Enoxaparin sodium 150 MG/ML Prefilled Syringe", Some(HighRisk::Anticoagulant)),
            ("Insulin (Humulin N)", Some(HighRisk::Insulin)),
            ("insulin-glargine", Some(HighRisk::Insulin)),
            ("Acetaminophen 325 MG / oxyCODONE Hydrochloride 5 MG", Some(HighRisk::Opioid)),
            ("Apomorphine", None),
            ("Naloxone", None),
            ("Digoxin 62.5 mcg", Some(HighRisk::Antiarrhythmic)),
            ("Quinine sulfate", None),
            ("Methotrexate 2.5 MG", Some(HighRisk::Immunosuppressant)),
            ("Heparinoid cream", None),
            ("Amoxicillin", None),
        ] {
            assert_eq!(class_of(name), want, "{name}");
        }
    }

    #[test]
    fn the_table_is_lower_case_and_without_repeats() {
        let mut seen = std::collections::BTreeSet::new();
        for name in TABLE.iter().flat_map(|(_, names)| names.iter()) {
            assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{name}");
            assert!(seen.insert(name), "{name} twice");
        }
    }
}
