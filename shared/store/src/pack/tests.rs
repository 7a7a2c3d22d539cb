use super::*;
use std::time::Duration;

struct Place(PathBuf);
impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn packs(name: &str) -> (Place, Packs) {
    let root = std::env::temp_dir().join(format!("vitrine-pack-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    let folders = PackFolders {
        warm: root.join("warm"),
        archive: Some(root.join("archive")),
    };
    (Place(root), Packs::new(folders, &Zeroizing::new([7; 32])))
}

fn entries() -> Vec<PackEntry> {
    [0_usize, 1, 200, 70_000]
        .iter()
        .enumerate()
        .map(|(n, size)| PackEntry {
            resource: n as i64 + 5,
            version: n as u64 + 1,
            body: (0..*size).map(|i| b'a' + (i % 11) as u8).collect(),
        })
        .collect()
}

const ID: Uuid = Uuid::from_u128(0x77);

#[test]
fn what_goes_in_comes_out_and_says_nothing() {
    let (_place, packs) = packs("out");
    let written = packs.write(ID, &entries()).unwrap();
    for (r, entry) in written.refs.iter().zip(entries()) {
        assert_eq!(PackRef::read(&r.bytes()), Some(*r));
        assert_eq!(packs.read(*r).unwrap(), entry.body);
    }
    let file = std::fs::read(packs.warm_file(ID)).unwrap();
    assert_eq!(file.len() as u64, written.bytes);
    assert!(!file.windows(8).any(|w| w == b"abcdefgh"));
    assert!(
        matches!(packs.write(ID, &entries()), Err(StoreError::Refused(_))),
        "an id is used once"
    );
    let other = Packs::new(packs.folders().clone(), &Zeroizing::new([8; 32]));
    assert!(
        matches!(other.read(written.refs[2]), Err(StoreError::Damaged(_))),
        "another store's key"
    );
}

#[test]
fn every_flipped_or_cut_byte_is_an_error_and_never_another_body() {
    let (_place, packs) = packs("flip");
    let small: Vec<PackEntry> = entries().into_iter().take(3).collect();
    let written = packs.write(ID, &small).unwrap();
    let path = packs.warm_file(ID);
    let whole = std::fs::read(&path).unwrap();
    for n in 0..whole.len() {
        let mut other = whole.clone();
        other[n] ^= 1;
        std::fs::write(&path, &other).unwrap();
        for (r, entry) in written.refs.iter().zip(&small) {
            match packs.read(*r) {
                Ok(body) => assert_eq!(body, entry.body, "byte {n}"),
                Err(e) => assert!(matches!(e, StoreError::Damaged(_)), "byte {n}: {e}"),
            }
        }
        assert!(packs.verify(ID, &written.sha256).is_err(), "byte {n}");
    }
    for n in 0..whole.len() {
        std::fs::write(&path, &whole[..n]).unwrap();
        assert!(packs.read(written.refs[2]).is_err(), "cut at {n}");
    }
    std::fs::remove_file(&path).unwrap();
    match packs.read(written.refs[0]) {
        Err(StoreError::PackMissing(named)) => assert_eq!(named, path.display().to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reference_opens_its_own_entry_alone() {
    let (_place, packs) = packs("own");
    let written = packs.write(ID, &entries()).unwrap();
    let mut r = written.refs[1];
    r.entry = 2;
    assert!(matches!(packs.read(r), Err(StoreError::Damaged(_))));
    r.entry = 99;
    assert!(matches!(packs.read(r), Err(StoreError::Damaged(_))));
    assert_eq!(PackRef::read(&[1; 35]), None);
}

#[test]
fn away_and_back_and_nothing_is_dropped_before_its_copy_is_proven() {
    let (_place, packs) = packs("away");
    let written = packs.write(ID, &entries()).unwrap();
    assert!(matches!(
        packs.copy_away(ID, &[0; 32]),
        Err(StoreError::Damaged(_))
    ));
    assert!(!packs.archive_file(ID).unwrap().exists());
    packs.copy_away(ID, &written.sha256).unwrap();
    packs.copy_away(ID, &written.sha256).unwrap();
    packs.drop_warm(ID).unwrap();
    match packs.read(written.refs[3]) {
        Err(StoreError::Archived { pack, bytes }) => assert_eq!((pack, bytes), (ID, written.bytes)),
        other => panic!("{other:?}"),
    }
    let told = std::cell::Cell::new(0);
    packs
        .fetch(ID, &written.sha256, &|n| told.set(told.get() + n))
        .unwrap();
    assert_eq!(told.get(), written.bytes);
    assert_eq!(packs.read(written.refs[3]).unwrap(), entries()[3].body);
    packs.drop_warm(ID).unwrap();
    let far = packs.archive_file(ID).unwrap();
    let mut bytes = std::fs::read(&far).unwrap();
    bytes[60] ^= 4;
    std::fs::write(&far, bytes).unwrap();
    assert!(matches!(
        packs.fetch(ID, &written.sha256, &|_| ()),
        Err(StoreError::Damaged(_))
    ));
    assert!(!packs.is_warm(ID), "a damaged copy is not taken");
}

#[test]
fn orphans_and_halves_are_tidied_and_nothing_else() {
    let (_place, packs) = packs("tidy");
    let kept = Uuid::from_u128(1);
    packs.write(kept, &entries()).unwrap();
    packs.write(ID, &entries()).unwrap();
    packs.committed(kept);
    let rows = [PackRow {
        id: kept,
        patient: vitrine_clinical::PatientId::new("p1").unwrap(),
        tier: Tier::Warm,
        bodies: 4,
        bytes: 1,
        sha256: [0; 32],
        newest: vitrine_clinical::UtcMs(0),
        made: vitrine_clinical::UtcMs(0),
        moved: vitrine_clinical::UtcMs(0),
        requested: None,
        recalled: None,
    }];
    assert_eq!(
        packs.tidy(&[], Duration::from_secs(3600)).unwrap(),
        0,
        "they are young"
    );
    assert_eq!(
        packs.tidy(&rows, Duration::ZERO).unwrap(),
        0,
        "its row is about to be committed"
    );
    packs.committed(ID);
    let warm = &packs.folders().warm;
    std::fs::write(
        warm.join(format!("{}.00aa.new", Uuid::from_u128(3).simple())),
        b"half",
    )
    .unwrap();
    std::fs::write(warm.join("README"), b"somebody's").unwrap();
    assert_eq!(packs.tidy(&rows, Duration::ZERO).unwrap(), 2);
    assert!(packs.is_warm(kept) && !packs.is_warm(ID) && warm.join("README").exists());
}
