//! Names in every character set of the corpus. The names are what pydicom 3.0.2 and the files' own notes say.

use crate::files::data;
use serde_json::Value;
use std::fs::File;
use vitrine_dicom::index::header_json;
use vitrine_dicom::{Instance, index, scan};

const NAMES: &[(&str, &str)] = &[
    ("chrArab", "قباني^لنزار"),
    ("chrFren", "Buc^Jérôme"),
    ("chrFrenMulti", "Buc^Jérôme"),
    ("chrGerm", "Äneas^Rüdiger"),
    ("chrGreek", "Διονυσιος"),
    ("chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("chrHbrw", "שרון^דבורה"),
    ("chrI2", "Hong^Gildong=洪^吉洞=홍^길동"),
    ("chrJapMulti", "やまだ^たろう"),
    ("chrJapMultiExplicitIR6", "やまだ^たろう"),
    ("chrKoreanMulti", "김희중"),
    ("chrRuss", "Люкceмбypг"),
    ("chrX1", "Wang^XiaoDong=王^小東"),
    ("chrX2", "Wang^XiaoDong=王^小东"),
];

fn header(name: &str) -> Option<(vitrine_dicom::Scan, Vec<u8>)> {
    let path = data()?.join(format!("pydicom/charset_files/{name}.dcm"));
    let mut file = File::open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    let found = scan(&mut file, len).unwrap();
    let header = found.read_header(&mut file).unwrap();
    Some((found, header))
}

fn groups(instance: &Instance) -> String {
    let name = instance.patient.name.clone().unwrap();
    [name.alphabetic, name.ideographic, name.phonetic]
        .join("=")
        .trim_end_matches('=')
        .to_owned()
}

#[test]
fn names_are_read_in_their_character_sets() {
    for (file, name) in NAMES {
        let Some((found, header)) = header(file) else {
            return;
        };
        let instance = index(&found, &header).unwrap();
        assert_eq!(groups(&instance), *name, "{file}");
        assert_eq!(instance.json["00080005"]["Value"][0], "ISO_IR 192", "{file}");
    }
}

/// An item may name another character set than the data set that it is in.
#[test]
fn items_have_their_own_character_set() {
    for file in ["chrSQEncoding", "chrSQEncoding1"] {
        let Some((found, header)) = header(file) else {
            return;
        };
        let (json, _) = header_json(&found, &header).unwrap();
        let item = &json["00321064"]["Value"][0];
        assert_eq!(
            item["00100010"]["Value"][0],
            serde_json::json!({"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}),
            "{file}"
        );
        assert_eq!(item.get("00080005"), None::<&Value>, "JSON is UTF-8 throughout");
    }
}
