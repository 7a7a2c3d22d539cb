//! The Merkle tree of RFC 6962 over the rows of all audit chains.
//!
//! Lives here: tree hash, frontier, inclusion and consistency proofs and their verification; below it the signed
//! checkpoint ([`note`]) and the log with what a witness saw of it ([`book`]). Never here: files, keys, a clock.
//! Called by the server's audit log and by tests.

pub mod book;
pub mod note;

pub use crate::chain::Hash;
use sha2::{Digest, Sha256};

/// The hash of a leaf: `SHA-256(0x00 ‖ input)`.
#[must_use]
pub fn leaf_hash(input: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0x00])
        .chain_update(input)
        .finalize()
        .into()
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let h = Sha256::new().chain_update([0x01]).chain_update(left);
    h.chain_update(right).finalize().into()
}

/// What a tree needs to grow: one hash for each complete subtree, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Appends a leaf in O(log n).
    pub fn push(&mut self, leaf: Hash) {
        let (mut hash, mut n) = (leaf, self.size);
        while n & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
            n >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }
    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// The tree's hash; that of no leaves is SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        peaks.next().map_or_else(
            || Sha256::digest([]).into(),
            |last| peaks.fold(*last, |right, left| node_hash(left, &right)),
        )
    }
}

/// The tree hash of these leaf hashes.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut f = Frontier::default();
    leaves.iter().for_each(|l| f.push(*l));
    f.root()
}

/// The largest power of two below `n`, for n > 1.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

/// The audit path of leaf `index`, from the leaf upwards; `None` when there is no such leaf.
#[must_use]
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    let (mut rest, mut at) = (leaves, index);
    if at >= rest.len() {
        return None;
    }
    let mut path = Vec::new();
    while rest.len() > 1 {
        let (left, right) = rest.split_at(split(rest.len()));
        if at < left.len() {
            path.push(root(right));
            rest = left;
        } else {
            path.push(root(left));
            at -= left.len();
            rest = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The proof that the tree of the first `old` leaves is the beginning of this one; `None` unless 0 < `old` ≤ all.
#[must_use]
pub fn consistency(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let (mut rest, mut m, mut whole) = (leaves, old, true);
    let mut path = Vec::new();
    while m < rest.len() {
        let (left, right) = rest.split_at(split(rest.len()));
        if m <= left.len() {
            path.push(root(right));
            rest = left;
        } else {
            path.push(root(left));
            m -= left.len();
            rest = right;
            whole = false;
        }
    }
    if !whole {
        path.push(root(rest));
    }
    path.reverse();
    Some(path)
}

/// Whether `path` leads from the leaf at `index` to the hash of a tree of `size` leaves.
#[must_use]
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut end, mut hash) = (index, size - 1, *leaf);
    for p in path {
        if end == 0 {
            return false;
        }
        if at & 1 == 1 || at == end {
            hash = node_hash(p, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                end >>= 1;
            }
        } else {
            hash = node_hash(&hash, p);
        }
        at >>= 1;
        end >>= 1;
    }
    end == 0 && hash == *root
}

/// Whether `path` shows that the tree `(old_size, old)` is the beginning of `(size, new)`.
#[must_use]
pub fn continues(old_size: u64, old: &Hash, size: u64, new: &Hash, path: &[Hash]) -> bool {
    if old_size == 0 || old_size > size {
        return false;
    }
    if old_size == size {
        return path.is_empty() && old == new;
    }
    let first = if old_size.is_power_of_two() {
        Some(old)
    } else {
        None
    };
    let mut rest = first.into_iter().chain(path);
    let Some(start) = rest.next() else {
        return false;
    };
    let (mut at, mut end) = (old_size - 1, size - 1);
    while at & 1 == 1 {
        at >>= 1;
        end >>= 1;
    }
    let (mut was, mut is) = (*start, *start);
    for p in rest {
        if end == 0 {
            return false;
        }
        if at & 1 == 1 || at == end {
            was = node_hash(p, &was);
            is = node_hash(p, &is);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                end >>= 1;
            }
        } else {
            is = node_hash(&is, p);
        }
        at >>= 1;
        end >>= 1;
    }
    end == 0 && was == *old && is == *new
}

/// A short code of a tree for paper: its size and the first 120 bits of its hash in Crockford's base 32.
#[must_use]
pub fn code(size: u64, root: &Hash) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut out = size.to_string();
    for (n, five) in root[..15].chunks(5).enumerate() {
        let bits = five.iter().fold(0_u64, |b, byte| (b << 8) | u64::from(*byte));
        for i in 0..8 {
            if (n * 8 + i) % 4 == 0 {
                out.push('-');
            }
            let letter = usize::try_from((bits >> (35 - 5 * i)) & 31).unwrap_or(0);
            out.push(char::from(LETTERS[letter]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }
    fn hash(text: &str) -> Hash {
        hex(text).try_into().unwrap()
    }
    /// The leaves and hashes of the reference tests of certificate-transparency (`merkle_tree_test`).
    fn reference() -> Vec<Hash> {
        [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .iter()
        .map(|l| leaf_hash(&hex(l)))
        .collect()
    }
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn hashes_are_those_of_the_reference_tests() {
        let leaves = reference();
        for (n, want) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves[..n]), hash(want), "{n} leaves");
        }
        let path = [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(inclusion(&leaves, 5).unwrap(), path.map(hash));
        let path = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(consistency(&leaves, 6).unwrap(), path.map(hash));
        let path = [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ];
        assert_eq!(consistency(&leaves[..5], 2).unwrap(), path.map(hash));
    }

    #[test]
    fn a_code_says_its_size_and_is_read_aloud_without_doubt() {
        let code = code(1234, &hash(ROOTS[8]));
        assert_eq!(code, "1234-BQ4X-MYD7-0SCT-KBAN-KJVG-3QPS");
        assert!(!code.contains(['I', 'L', 'O', 'U']));
    }

    proptest! {
        #[test]
        fn every_proof_holds_and_no_other_does(n in 1_usize..70, a in 0_usize..70, b in 1_usize..70, bit in 0_usize..256, at in 0_usize..8) {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let (i, m) = (a % n, 1 + b % n);
            let (all, old) = (root(&leaves), root(&leaves[..m]));
            let (size, index, m64) = (n as u64, i as u64, m as u64);
            let path = inclusion(&leaves, i).unwrap();
            prop_assert!(includes(&leaves[i], index, size, &path, &all));
            prop_assert!(!includes(&leaf_hash(b"other"), index, size, &path, &all));
            prop_assert!(!includes(&leaves[i], size, size, &path, &all));
            let proof = consistency(&leaves, m).unwrap();
            prop_assert!(continues(m64, &old, size, &all, &proof));
            prop_assert!(!continues(m64, &leaf_hash(b"other"), size, &all, &proof));
            let flip = |path: &[Hash]| {
                let mut p = path.to_vec();
                let n = p.len().max(1);
                if let Some(h) = p.get_mut(at % n) {
                    h[bit / 8] ^= 1 << (bit % 8);
                }
                p
            };
            if !path.is_empty() {
                prop_assert!(!includes(&leaves[i], index, size, &flip(&path), &all));
                prop_assert!(!includes(&leaves[i], index, size, &path[1..], &all));
            }
            if !proof.is_empty() {
                prop_assert!(!continues(m64, &old, size, &all, &flip(&proof)));
                prop_assert!(!continues(m64, &old, size, &all, &proof[1..]));
            }
            let longer: Vec<Hash> = path.iter().copied().chain([all]).collect();
            prop_assert!(!includes(&leaves[i], index, size, &longer, &all));
        }
    }
}
