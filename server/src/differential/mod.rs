//! Two worlds that differ only in what somebody may not see: every answer to that person is the same, byte for byte.
//!
//! Each pair writes other rows into two servers that are otherwise the same: results, notes and problems of another ward's
//! patient (as many and whatever they are), the record of a patient labelled very restricted, and entries labelled so in a
//! record that is open otherwise (as many in both, because how many are withheld is told; type, content, dates and ids
//! differ). Then every question the FHIR and DICOMweb interfaces answer is asked of both (`questions`), and what a
//! workstation of the ward is sent (`feed`): its board, its essentials and the directory, as changes since the pair before
//! and as a whole, and what it hears of scopes that are not for it. What a request is named by is blanked: the access, the
//! time, and the place where a page or a feed goes on, which is a number of the store. The same is asked of both stores.
//!
//! `VITRINE_PAIRS` sets the number of pairs; `VITRINE_SEED` the seed.

mod feed;
mod purpose;
mod questions;
mod world;

use questions::{ask, questions};
use world::{Backend, Dice, World, forbidden, world, write};

/// Pairs of one run in memory when `VITRINE_PAIRS` says nothing.
const PAIRS: u64 = 40;
/// The same on disk, where each access is written down durably.
const PAIRS_ON_DISK: u64 = 6;
/// Pairs after which both servers begin anew.
const FRESH: u64 = 25;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("a number"))
}

/// Questions asked, and how many of them were answered with data.
#[derive(Default)]
struct Asked {
    all: u64,
    answered: u64,
    heard: u64,
}

impl Asked {
    /// Every question of a pair.
    async fn of(&mut self, a: &World, b: &World, pair: u64, keys: &[String], dice: &mut Dice) {
        for question in questions(keys, dice) {
            let mut question = question;
            // A record in pages is followed to its end.
            for _ in 0..60 {
                let (left, next) = ask(a, &question).await;
                let (right, other) = ask(b, &question).await;
                self.all += 1;
                self.answered += u64::from(left.starts_with("200"));
                assert_eq!(left, right, "pair {pair}: {question:?}");
                assert_eq!(next.is_some(), other.is_some());
                let (Some(next), Some(other)) = (next, other) else {
                    break;
                };
                // Each world goes on where it says itself; the tokens may differ.
                let (left, _) = ask(a, &(question.0, "GET", next.clone(), None)).await;
                let (right, _) = ask(b, &(question.0, "GET", other, None)).await;
                assert_eq!(left, right, "pair {pair}: {next}");
                question.2 = next;
            }
        }
    }
}

/// Asks two new worlds everything, pair after pair.
async fn stretch(backend: Backend, pairs: std::ops::Range<u64>, asked: &mut Asked) {
    let seed = setting("VITRINE_SEED", 1);
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let a = world(dirs[0].path(), backend).await;
    let b = world(dirs[1].path(), backend).await;
    for pair in pairs {
        let mut dice = Dice((seed << 32) ^ (pair + 1));
        let withheld = (dice.roll(3), dice.roll(8));
        let (one, two) = (
            forbidden(pair, 1, withheld, &mut dice),
            forbidden(pair, 2, withheld, &mut dice),
        );
        write(&a.app, &one.rows, one.images.clone()).await;
        write(&b.app, &two.rows, two.images.clone()).await;
        let keys: Vec<String> = one.keys.iter().chain(&two.keys).cloned().collect();
        asked.of(&a, &b, pair, &keys, &mut dice).await;
        let (left, right) = (feed::heard(&a).await, feed::heard(&b).await);
        asked.heard += left.len() as u64;
        feed::same(pair, &left, &right);
    }
}

fn run(backend: Backend, pairs: u64) {
    let mut asked = Asked::default();
    let mut begin = 0;
    while begin < pairs {
        // Each stretch on a runtime of its own: what its servers started ends with it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let end = pairs.min(begin + FRESH);
        runtime.block_on(stretch(backend, begin..end, &mut asked));
        begin = end;
    }
    println!(
        "{backend:?}: {pairs} pairs, {} questions, {} answered with data, {} messages of the feed",
        asked.all, asked.answered, asked.heard
    );
    assert!(
        asked.answered > pairs * 8 && asked.all > asked.answered && asked.heard > pairs * 20,
        "{} asked, {} answered, {} heard",
        asked.all,
        asked.answered,
        asked.heard
    );
}

#[test]
fn what_may_not_be_seen_changes_no_answer() {
    run(Backend::Memory, setting("VITRINE_PAIRS", PAIRS));
}

#[test]
fn what_may_not_be_seen_changes_no_answer_on_disk() {
    run(Backend::Sqlcipher, setting("VITRINE_PAIRS", PAIRS_ON_DISK));
}
