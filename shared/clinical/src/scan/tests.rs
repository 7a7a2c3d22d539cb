use super::*;
use std::collections::HashSet;

fn gsrn(reference: u64) -> String {
    let digits = format!("9521234{reference:010}");
    let check = check_digit(&digits).unwrap();
    format!("{digits}{check}")
}

#[test]
fn codes_are_what_they_are() {
    let band = gsrn(77);
    let patient = |band: Option<&str>| {
        Ok(Scanned::Patient {
            gsrn: gsrn(77),
            band: band.map(str::to_owned),
        })
    };
    for (text, is) in [
        (format!("]d28018{band}"), patient(None)),
        (format!("]D28018{band}"), patient(None)),
        (format!("]C18018{band}\u{1d}801912"), patient(Some("12"))),
        (format!("]Q3801912\u{1d}8018{band}"), patient(Some("12"))),
        (format!("]d2\u{1d}8018{band}\u{1d}"), patient(None)),
        (format!("]d28018{band}801912"), patient(Some("12"))),
        (format!("8018{band}\r\n"), patient(None)),
        (format!("]d28018{band}\u{1d}8018{band}"), patient(None)),
        (
            format!("]d28018{band}\u{1d}8018{}", gsrn(78)),
            Err(Unread::TwoPatients),
        ),
        (
            format!("]d28018{band}8018{}", gsrn(78)),
            Err(Unread::Length {
                ai: "8018",
                wanted: (18, 18),
                got: 40,
            }),
        ),
        (format!("]d28018{band}\u{1d}0109521234543213"), Err(Unread::Mixed)),
        (
            format!("8018{}", &band[..17]),
            Err(Unread::Length {
                ai: "8018",
                wanted: (18, 18),
                got: 17,
            }),
        ),
        (format!("8018{}0", &band[..17]), Err(Unread::CheckDigit("8018"))),
        (
            format!("8018{}x{}", &band[..5], &band[6..]),
            Err(Unread::NoDigits("8018")),
        ),
        ("]d20109521234543213".to_owned(), Ok(Scanned::Article)),
        ("]d2010952123454321317271231".to_owned(), Ok(Scanned::Article)),
        (
            "]d2010952123454321317271231100ABC1\u{1d}21XY".to_owned(),
            Ok(Scanned::Article),
        ),
        ("]E09521234543213".to_owned(), Ok(Scanned::Article)),
        (
            format!("]d28017{band}"),
            Ok(Scanned::Staff {
                gsrn: band.to_owned(),
            }),
        ),
        ("]d24149521234543213".to_owned(), Ok(Scanned::Place)),
        ("]d210LOT7".to_owned(), Ok(Scanned::Other)),
        (
            "]d2777712".to_owned(),
            Err(Unread::UnknownPart("7777".to_owned())),
        ),
        (
            "]C0MRN-00123".to_owned(),
            Ok(Scanned::Plain("MRN-00123".to_owned())),
        ),
        (
            "]C080181234".to_owned(),
            Ok(Scanned::Plain("80181234".to_owned())),
        ),
        (" MRN00123 ".to_owned(), Ok(Scanned::Plain("MRN00123".to_owned()))),
        ("12".to_owned(), Err(Unread::Short)),
        (String::new(), Err(Unread::Short)),
        ("]d2".to_owned(), Err(Unread::Short)),
        ("x".repeat(257), Err(Unread::Long)),
        ("_à&_çé".replace('_', "-"), Err(Unread::Layout)),
        ("MRN\u{7}123".to_owned(), Err(Unread::Character)),
        ("Ñandú 12".to_owned(), Err(Unread::Character)),
    ] {
        assert_eq!(read(&text), is, "{text:?}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let all = [
        Unread::Short,
        Unread::Long,
        Unread::Character,
        Unread::Layout,
        Unread::UnknownPart("77".to_owned()),
        Unread::Length {
            ai: "8018",
            wanted: (18, 18),
            got: 3,
        },
        Unread::Length {
            ai: "10",
            wanted: (1, 20),
            got: 30,
        },
        Unread::NoDigits("8018"),
        Unread::CheckDigit("8018"),
        Unread::TwoPatients,
        Unread::Mixed,
    ];
    for unread in all {
        let text = unread.text();
        assert!(
            text.contains("can again") || text.contains("Scan ") || text.contains("Find the patient"),
            "{text}"
        );
        assert!(!text.contains("  "), "{text}");
    }
}

/// The examples of the check digit are the standard's own (GS1 General Specifications 7.9.1).
#[test]
fn check_digits_are_those_of_the_standard() {
    for whole in ["6291041500213", "376104250021234569", "00012345600012"] {
        assert!(check_digit_holds(whole), "{whole}");
        let (digits, last) = whole.split_at(whole.len() - 1);
        assert_eq!(check_digit(digits), last.chars().next());
    }
    assert!(!check_digit_holds("376104250021234560"));
    assert!(!check_digit_holds(""));
    assert!(!check_digit_holds("12a"));
}

#[test]
fn a_twin_is_what_the_check_digit_does_not_notice() {
    let all = twins("952123400000050164");
    assert!(
        all.iter()
            .all(|t| check_digit_holds(t) == check_digit_holds("952123400000050164"))
    );
    assert!(all.contains(&"952123400000500164".to_owned()));
    // Every other exchange of neighbours is noticed.
    for reference in 0..500 {
        let band = gsrn(reference * 7_919);
        let digits: Vec<u8> = band.bytes().collect();
        for at in 1..digits.len() {
            let mut other = digits.clone();
            other.swap(at - 1, at);
            let other = String::from_utf8(other).unwrap();
            let unnoticed = other != band && check_digit_holds(&other);
            assert_eq!(unnoticed, twins(&band).contains(&other), "{band} {at}");
        }
    }
}

#[test]
fn only_one_checked_number_opens() {
    for (exact, twins, checked, is) in [
        (0, 0, true, Sure::Nobody),
        (0, 1, true, Sure::Nobody),
        (1, 0, true, Sure::Open),
        (1, 1, true, Sure::Ask(Why::Twin)),
        (1, 0, false, Sure::Ask(Why::Unchecked)),
        (2, 0, true, Sure::Ask(Why::Several)),
        (2, 0, false, Sure::Ask(Why::Several)),
    ] {
        assert_eq!(sure(exact, twins, checked), is);
    }
}

/// xorshift64*: the same numbers every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wrong {
    Nothing,
    CutBegin,
    CutEnd,
    Lost,
    Doubled,
    Changed,
    Neighbours,
    TwoInOne,
    TwoSeparated,
    Article,
    ArticleToo,
    Staff,
    CapsLock,
    Layout,
    RecordNumber,
    Noise,
}

const WRONG: [Wrong; 16] = [
    Wrong::Nothing,
    Wrong::CutBegin,
    Wrong::CutEnd,
    Wrong::Lost,
    Wrong::Doubled,
    Wrong::Changed,
    Wrong::Neighbours,
    Wrong::TwoInOne,
    Wrong::TwoSeparated,
    Wrong::Article,
    Wrong::ArticleToo,
    Wrong::Staff,
    Wrong::CapsLock,
    Wrong::Layout,
    Wrong::RecordNumber,
    Wrong::Noise,
];

fn band_of(dice: &mut Dice, gsrn: &str) -> String {
    let prefix = ["]d2", "]C1", "]Q3", ""][dice.below(4)];
    let which = dice.below(1_000_000);
    match dice.below(4) {
        0 => format!("{prefix}8018{gsrn}"),
        1 => format!("{prefix}8018{gsrn}\u{1d}8019{which}"),
        2 => format!("{prefix}8019{which}\u{1d}8018{gsrn}"),
        _ => format!("{prefix}8018{gsrn}8019{which}"),
    }
}

fn spoilt(dice: &mut Dice, wrong: Wrong, one: &str, other: &str) -> String {
    let band = band_of(dice, one);
    let mut signs: Vec<char> = band.chars().collect();
    match wrong {
        Wrong::Nothing => band,
        Wrong::CutBegin => band[1 + dice.below(band.len() - 1)..].to_owned(),
        Wrong::CutEnd => band[..1 + dice.below(band.len() - 1)].to_owned(),
        Wrong::Lost => {
            for _ in 0..=dice.below(3) {
                signs.remove(dice.below(signs.len()));
            }
            signs.into_iter().collect()
        }
        Wrong::Doubled => {
            let at = dice.below(signs.len());
            signs.insert(at, signs[at]);
            signs.into_iter().collect()
        }
        Wrong::Changed => {
            let at = dice.below(signs.len());
            signs[at] = char::from(b'0' + dice.below(10) as u8);
            signs.into_iter().collect()
        }
        Wrong::Neighbours => {
            let at = 1 + dice.below(signs.len() - 1);
            signs.swap(at - 1, at);
            signs.into_iter().collect()
        }
        Wrong::TwoInOne => format!("{band}{}", band_of(dice, other)),
        Wrong::TwoSeparated => format!("{band}\u{1d}{}", band_of(dice, other).trim_start_matches("]d2")),
        Wrong::Article => "]d20109521234543213172712311077\u{1d}21900".to_owned(),
        Wrong::ArticleToo => format!("{band}\u{1d}0109521234543213"),
        Wrong::Staff => band.replace(&format!("8018{one}"), &format!("8017{one}")),
        Wrong::CapsLock => band
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect(),
        Wrong::Layout => {
            let keys: Vec<char> = "à&é\"'(-è_ç".chars().collect();
            one.bytes().map(|b| keys[usize::from(b - b'0')]).collect()
        }
        Wrong::RecordNumber => format!("{}", 100_000 + dice.below(900_000)),
        Wrong::Noise => (0..4 + dice.below(60))
            .map(|_| char::from(32 + dice.below(95) as u8))
            .collect(),
    }
}

/// I-17: a million scans of a hospital that numbers its patients one after the other, half of them on this workstation. A chart
/// that opens is the chart of whoever wears the band. One slip is beyond any reader of digits: two neighbours that differ by
/// five, changed about, where the number so made is a patient's here and the true one is nobody's here.
#[test]
fn of_a_million_scans_none_opens_somebody_else() {
    const PATIENTS: u64 = 20_000;
    let all: Vec<String> = (0..PATIENTS).map(gsrn).collect();
    let here: HashSet<&str> = all
        .iter()
        .step_by(2)
        .map(String::as_str)
        .chain(all[..5_000].iter().map(String::as_str))
        .collect();
    let mut dice = Dice(0x5eed_0018);
    let (mut opened, mut asked, mut beyond) = (0_u32, 0_u32, 0_u32);
    for n in 0..1_000_000 {
        let wrong = WRONG[n % WRONG.len()];
        let one = &all[dice.below(all.len())];
        let other = &all[dice.below(all.len())];
        let text = spoilt(&mut dice, wrong, one, other);
        let scanned = read(&text);
        if let Ok(Scanned::Patient { gsrn, .. }) = &scanned {
            let exact = usize::from(here.contains(gsrn.as_str()));
            let near = twins(gsrn).iter().filter(|t| here.contains(t.as_str())).count();
            match sure(exact, near, true) {
                Sure::Open if gsrn == one => opened += 1,
                Sure::Open
                    if wrong == Wrong::Neighbours
                        && !here.contains(one.as_str())
                        && twins(gsrn).contains(one) =>
                {
                    beyond += 1
                }
                Sure::Open => panic!("{wrong:?}: {text:?} opens {gsrn}, the band is {one}'s"),
                Sure::Ask(_) => asked += 1,
                Sure::Nobody => {}
            }
        }
        match wrong {
            Wrong::Nothing | Wrong::CapsLock => assert!(
                matches!(&scanned, Ok(Scanned::Patient { gsrn, .. }) if gsrn == one),
                "{text:?} {scanned:?}"
            ),
            Wrong::Article | Wrong::ArticleToo | Wrong::Staff | Wrong::Layout | Wrong::TwoInOne => assert!(
                !matches!(&scanned, Ok(Scanned::Patient { .. })) || one == other,
                "{wrong:?} {text:?} {scanned:?}"
            ),
            _ => {}
        }
    }
    assert!(opened > 50_000 && asked > 500, "{opened} opened, {asked} asked");
    // Of 62,500 with neighbours changed about.
    assert!(beyond < 250, "{beyond}");
}
