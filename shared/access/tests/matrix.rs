//! The policy as a table: a change of policy is a visible change of `tests/policy_matrix.golden` at the root.

use vitrine_access::{matrix, policy};

const GOLDEN: &str = include_str!("../../../tests/policy_matrix.golden");

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
