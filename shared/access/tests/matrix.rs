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
    for (i, (is, was)) in now.lines().zip(GOLDEN.lines()).enumerate() {
        assert_eq!(
            is,
            was,
            "line {} of tests/policy_matrix.golden (VITRINE_BLESS=1 rewrites it)",
            i + 1
        );
    }
    assert_eq!(
        now.lines().count(),
        GOLDEN.lines().count(),
        "the matrix has another number of lines"
    );
}

#[test]
fn nobody_outside_the_clinic_reads_a_chart() {
    for line in GOLDEN.lines().filter(|l| l.contains("| ALLOW |")) {
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
