//! What must not compile: see each file of `tests/ui`.

#[test]
fn unaudited_reads_do_not_compile() {
    let t = trybuild::TestCases::new();
    t.compile_fail("tests/ui/*.rs");
}
