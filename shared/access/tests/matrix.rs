//! The policy as a table: a change of policy is a visible change of `tests/policy_matrix.golden` at the root.

use vitrine_access::{action, matrix, policy};
use vitrine_clinical::label::{Confidentiality, Label};

const GOLDEN: &str = include_str!("../../../tests/policy_matrix.golden");
const SENSITIVITY: &str = include_str!("../../../tests/sensitivity_matrix.golden");

#[test]
fn the_policy_is_the_golden_matrix() {
    let now = matrix::render(policy::verdict).expect("fixed ids are well formed");
    if std::env::var_os("VITRINE_BLESS").is_some() {
        std::fs::write("../../tests/policy_matrix.golden", &now).expect("write");
        return;
    }
    let difference = matrix::first_difference(&now, GOLDEN);
    assert_eq!(
        difference, None,
        "VITRINE_BLESS=1 rewrites tests/policy_matrix.golden"
    );
}

#[test]
fn who_sees_a_label_for_which_purpose_is_the_golden_matrix() {
    let (now, cells) = matrix::render_sensitivity(policy::verdict).expect("fixed ids are well formed");
    assert!(cells > 15_000, "{cells}");
    if std::env::var_os("VITRINE_BLESS").is_some() {
        std::fs::write("../../tests/sensitivity_matrix.golden", &now).expect("write");
        return;
    }
    let difference = matrix::first_difference(&now, SENSITIVITY);
    assert_eq!(
        difference, None,
        "VITRINE_BLESS=1 rewrites tests/sensitivity_matrix.golden"
    );
}

#[test]
fn a_permit_lets_see_what_the_policy_would_have_allowed_to_ask_for() {
    let mut permits = 0;
    let (_, cells) = matrix::render_sensitivity(|act, asked: &policy::Request| {
        let decided = match act {
            "read-card" => policy::decide::<action::ReadCard>(asked.clone()).map(|p| seen(&p)),
            "read-chart" => policy::decide::<action::ReadChart>(asked.clone()).map(|p| seen(&p)),
            "read-resource" => policy::decide::<action::ReadResource>(asked.clone()).map(|p| seen(&p)),
            _ => return policy::verdict(act, asked),
        };
        if let Ok((seen, helps)) = decided {
            permits += 1;
            for (level, seen) in Confidentiality::ALL.into_iter().zip(seen) {
                let mut about = asked.clone();
                let p = about.patient.as_mut().expect("a patient");
                p.label = p.label.and(Label::of(level));
                let v = policy::verdict(act, &about);
                assert_eq!(seen, v.allow, "{act} {asked:?} {level:?}");
                assert!(helps || seen || !v.break_glass_offered, "{act} {asked:?}");
            }
        }
        policy::verdict(act, asked)
    })
    .expect("fixed ids are well formed");
    assert!(permits > 500 && permits < cells, "{permits} of {cells}");
}

fn seen<A: vitrine_access::Action>(permit: &vitrine_access::Permit<A>) -> ([bool; 3], bool) {
    let seen = Confidentiality::ALL.map(|level| permit.sees(Label::of(level)));
    (seen, permit.breaking_helps())
}

#[test]
fn an_emergency_sees_everything_and_no_purpose_widens_anything() {
    // A broken glass reads whatever the label, for who says nothing of a purpose and for who says what it is.
    for line in SENSITIVITY.lines().filter(|l| l.contains("glass broken")) {
        let clinician = ["nurse", "physician", "charge-nurse"]
            .iter()
            .any(|r| line.starts_with(&format!("{r} |")));
        let reads = ["| read-card |", "| read-chart |", "| read-resource |"]
            .iter()
            .any(|a| line.contains(a));
        if clinician && reads {
            assert!(
                line.contains("unstated TREAT BTG: ALLOW") || line.contains("BTG: ALLOW, break-glass-grant"),
                "{line}"
            );
        }
    }
    let _ = matrix::render_sensitivity(|act, asked: &policy::Request| {
        let stated = policy::verdict(act, asked);
        let plain = policy::verdict(
            act,
            &policy::Request {
                purpose: None,
                ..asked.clone()
            },
        );
        assert!(plain.allow || !stated.allow, "{act} {asked:?}");
        stated
    });
}

#[test]
fn a_line_that_differs_is_named() {
    assert_eq!(matrix::first_difference("a\nb\n", "a\nb\n"), None);
    let said = matrix::first_difference("a\nc\n", "a\nb\n").expect("they differ");
    assert_eq!(said, "line 2 is\n  c\nand not\n  b");
    let said = matrix::first_difference("a\n", "a\nb\n").expect("one is shorter");
    assert!(said.starts_with("line 2 is\n  (no such line)"), "{said}");
    assert!(matrix::first_difference("a\nb\n", "a\n").is_some());
}

#[test]
fn nobody_outside_the_clinic_reads_a_chart() {
    // A workstation holds the small pictures of its ward as it holds its cards; what it may have of them is cut at the server.
    let ahead = "(workstation) | read-chart | images of a patient of its ward | ALLOW | own-ward-images";
    assert_eq!(GOLDEN.lines().filter(|l| *l == ahead).count(), 1);
    for line in GOLDEN.lines().filter(|l| l.contains("| ALLOW |") && *l != ahead) {
        let reads = line.contains("| read-card |") || line.contains("| read-chart |");
        let outside = [
            "privacy-officer",
            "clinical-it",
            "integrator",
            "(workstation)",
            "(operator)",
        ];
        assert!(!(reads && outside.iter().any(|r| line.starts_with(r))), "{line}");
    }
}

#[test]
fn a_program_may_no_more_than_the_person_who_signed_in_through_it() {
    let (mut allowed, mut narrower) = (0, 0);
    for (scope, own) in [
        ("user/*.rs", None),
        ("user/*.rs?_security=V", None),
        ("patient/*.rs", Some("p1")),
        ("patient/*.rs", Some("p9")),
        ("patient/*.rs", None),
        ("patient/Observation.rs", Some("p1")),
        ("user/*.cruds", None),
        ("user/*.dus", None),
    ] {
        let mut check = |act: &str, asked: &policy::Request| {
            let theirs = policy::verdict(act, asked);
            let policy::Subject::User { user, role, wards } = asked.subject.clone() else {
                return theirs;
            };
            let mut through = asked.clone();
            through.kind = Some("Observation".to_owned());
            through.subject = policy::Subject::App {
                id: "growth".to_owned(),
                user,
                role,
                wards,
                scopes: vec![scope.to_owned()],
                patient: own.map(|p| vitrine_clinical::PatientId::new(p).expect("an id")),
            };
            let v = policy::verdict(act, &through);
            assert!(!v.break_glass_offered && !v.by_grant, "{scope} {act}");
            if v.allow {
                let mut plain = asked.clone();
                plain.grant = None;
                assert!(policy::verdict(act, &plain).allow, "{scope} {act} {asked:?}");
                let reads = ["read-card", "read-chart", "read-resource", "search-patients"];
                assert!(reads.contains(&act), "{scope} {act}");
                let same = asked.patient.as_ref().map(|p| p.patient.as_str()) == own;
                assert!(
                    scope.starts_with("user/") || same || act == "search-patients",
                    "{scope} {act}"
                );
                assert_ne!(scope, "user/*.dus");
                allowed += 1;
            } else if theirs.allow {
                narrower += 1;
            }
            theirs
        };
        matrix::render(&mut check).expect("fixed ids are well formed");
        matrix::render_sensitivity(&mut check).expect("fixed ids are well formed");
    }
    assert!(allowed > 500 && narrower > allowed, "{allowed} {narrower}");
}
