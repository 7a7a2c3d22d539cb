//! Every mutation of a chain is found, and the first bad row is named.

use proptest::prelude::*;
use vitrine_access::chain::{ChainFault, Head, Row, Verifier};

fn chain(bodies: &[String]) -> (Vec<Row>, Head) {
    let mut head = Head::EMPTY;
    let rows = bodies
        .iter()
        .map(|body| {
            let next = head.after(body.as_bytes());
            let row = Row {
                seq: next.seq,
                prev: head.hash,
                hash: next.hash,
                body: body.clone(),
            };
            head = next;
            row
        })
        .collect();
    (rows, head)
}

fn verify(rows: &[Row], sealed: Option<Head>) -> Result<Head, ChainFault> {
    let mut v = Verifier::new(sealed);
    for r in rows {
        v.push(r)?;
    }
    v.finish()
}

#[test]
fn an_untouched_chain_verifies_and_an_empty_one_too() {
    let (rows, head) = chain(&["a".into(), "b".into()]);
    assert_eq!(verify(&rows, Some(head)), Ok(head));
    assert_eq!(verify(&[], None), Ok(Head::EMPTY));
}

/// What somebody with write access to the table could do at row `at`.
#[derive(Debug, Clone, Copy)]
enum Tamper {
    FlipBody,
    FlipHash,
    FlipPrev,
    Delete,
    SwapWithNext,
    Truncate,
    Duplicate,
    RewriteFromHere,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_mutation_is_found_at_its_first_bad_row(
        bodies in prop::collection::vec("[a-z]{1,12}", 2..40),
        pick in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        tamper in prop::sample::select(vec![
            Tamper::FlipBody, Tamper::FlipHash, Tamper::FlipPrev, Tamper::Delete, Tamper::SwapWithNext,
            Tamper::Truncate, Tamper::Duplicate, Tamper::RewriteFromHere,
        ]),
    ) {
        let (mut rows, head) = chain(&bodies);
        let at = pick.index(rows.len());
        let expected = at as u64 + 1;
        match tamper {
            Tamper::FlipBody => rows[at].body.push(char::from(b'a' + bit)),
            Tamper::FlipHash => rows[at].hash[3] ^= 1 << bit,
            Tamper::FlipPrev => rows[at].prev[3] ^= 1 << bit,
            Tamper::Delete => { rows.remove(at); }
            Tamper::SwapWithNext => {
                prop_assume!(at + 1 < rows.len());
                rows.swap(at, at + 1);
            }
            Tamper::Truncate => rows.truncate(at),
            Tamper::Duplicate => { let r = rows[at].clone(); rows.insert(at, r); }
            // the owner of the table recomputes every hash from the changed row on: only a head kept elsewhere tells
            Tamper::RewriteFromHere => {
                let changed: Vec<String> = bodies.iter().enumerate()
                    .map(|(i, b)| if i == at { format!("{b}x") } else { b.clone() }).collect();
                rows = chain(&changed).0;
            }
        }
        let fault = verify(&rows, Some(head)).expect_err("a mutated chain must not verify");
        let expected = match tamper {
            Tamper::Duplicate => expected + 1,
            Tamper::RewriteFromHere => rows.len() as u64,
            _ => expected,
        };
        prop_assert_eq!(fault.first_bad(), expected, "{:?} at {}: {}", tamper, at, fault);
    }
}
