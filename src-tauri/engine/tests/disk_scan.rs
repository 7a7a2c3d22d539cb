//! Nothing readable on the disk: every planted name, number, drug and secret is looked for in every byte of the
//! profile after a full run.

mod support;

use support::{block, give_records, open, people, pin, plant, with_pin};
use vitrine_engine::keys::SlotKind;

#[test]
fn no_planted_word_is_found_in_the_profile() {
    let dir = tempfile::tempdir().unwrap();
    let mut folk = people();
    folk.push(support::Planted::new(
        "p7",
        "Zxqvarnholt",
        "Ophelindra",
        "Q7731X990",
        "1931-05-06",
        Some("ED"),
    ));
    let p = plant(dir.path(), &folk);
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &folk);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.search("Zxqvarnholt")).unwrap();
    block(ws.board(None)).unwrap();
    block(ws.chart("p7")).unwrap();
    block(ws.save_session(pin("lee"))).unwrap();
    let asked = vitrine_engine::BreakGlass {
        words: Some("found in lift Kwyjbo".into()),
        ..with_pin("rao", pin("rao"), "p7")
    };
    block(ws.break_glass(asked)).unwrap();
    block(ws.selftest()).unwrap();
    let scan = || {
        let words = [
            "Zxqvarnholt",
            "zxqvarnholt",
            "Ophelindra",
            "Q7731X990",
            "1931-05-06",
            "penicillin",
            "warfarin",
            "Kwyjbo",
            pin("lee"),
            pin("rao"),
            "resourceType",
            "Dr LEE",
        ];
        let mut files = 0;
        for file in std::fs::read_dir(&p.dir).unwrap().flatten() {
            let bytes = std::fs::read(file.path()).unwrap();
            files += 1;
            for word in words {
                let hit = bytes.windows(word.len()).any(|w| w == word.as_bytes());
                assert!(!hit, "{word} is readable in {:?}", file.file_name());
                let utf16: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
                assert!(
                    !bytes.windows(utf16.len()).any(|w| w == utf16),
                    "{word} (UTF-16) in {:?}",
                    file.file_name()
                );
            }
        }
        files
    };
    assert!(scan() >= 10);
    ws.lock();
    drop(ws);
    scan();
    // The scan can find: a word that is there.
    let device = std::fs::read_to_string(p.dir.join("device.json")).unwrap();
    assert!(device.contains("ED-07"));
}
