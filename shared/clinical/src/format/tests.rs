use super::*;
use crate::chart::Decimal;
use proptest::prelude::*;

fn ms(text: &str) -> UtcMs {
    UtcMs(civil::parse_fhir_ms(text).unwrap())
}
fn dose(value: &str, unit: &str) -> String {
    Dose::new(&Decimal::new(value).unwrap(), Some(unit)).to_string()
}

#[test]
fn dates_and_times() {
    let at = ms("2026-11-21T04:31:07Z");
    assert_eq!(date(at, 0), "21-Nov-2026");
    assert_eq!(date_time(at, 0), "21-Nov-2026 04:31");
    assert_eq!(date_time_seconds(at, 0), "21-Nov-2026 04:31:07");
    assert_eq!(date_time(at, -300), "20-Nov-2026 23:31");
    assert_eq!(date_time(at, 570), "21-Nov-2026 14:01");
}

#[test]
fn partial_dates_show_what_is_recorded() {
    assert_eq!(partial_date("2019", 600), "2019");
    assert_eq!(partial_date("2019-05", 600), "May-2019");
    assert_eq!(partial_date("2019-05-03", -600), "03-May-2019");
    assert_eq!(partial_date("2019-05-03T23:30:00Z", 60), "04-May-2019 00:30");
    assert_eq!(partial_date("before the war", 0), "before the war");
}

#[test]
fn ages() {
    let at = ms("2026-11-21T12:00:00Z");
    let age = |b: &str| age(&PartialDate::new(b), at, 0);
    for (born, want) in [
        ("1958-02-04", "68y"),
        ("1958-11-21", "68y"),
        ("1958-11-22", "67y"),
        ("2008-11-21", "18y"),
        ("2008-11-22", "17y 11mo"),
        ("2022-08-21", "4y 3mo"),
        ("2024-11-21", "2y"),
        ("2024-11-22", "23mo"),
        ("2026-03-20", "8mo"),
        ("2026-09-10", "10w"),
        ("2026-11-18", "3d"),
        ("2026-11-21", "0d"),
        ("2026-11-21T11:25:00Z", "35min"),
        ("2026-11-20T22:00:00Z", "14hr"),
        ("1958", "~68y"),
        ("2026-03", "~8mo"),
    ] {
        assert_eq!(age(born).as_deref(), Some(want), "{born}");
    }
    assert_eq!(age("2026-11-22"), None, "not yet born");
    assert_eq!(age("2026"), None, "says too little");
    assert_eq!(age("unknown"), None);
    assert_eq!(
        born(Some(&PartialDate::new("1958-02-04")), at, 0),
        "04-Feb-1958 (68y)"
    );
    assert_eq!(born(None, at, 0), "Not recorded");
}

#[test]
fn durations() {
    let (min, hr, day) = (60_000, 3_600_000, DAY_MS);
    assert_eq!(duration(2 * day + 4 * hr + 59 * min), "2d 4hr");
    assert_eq!(duration(2 * day), "2d");
    assert_eq!(duration(3 * hr + 20 * min), "3hr 20min");
    assert_eq!(duration(12 * min), "12min");
    assert_eq!(duration(42_999), "42s");
    assert_eq!(duration(-5), "0s");
    assert_eq!(data_age(12 * min), "12 min");
    assert_eq!(stay(42 * min), "0:42");
    assert_eq!(stay(23 * hr + 59 * min), "23:59");
    assert_eq!(stay(2 * day + 4 * hr), "2d 4hr");
}

#[test]
fn in_german_the_units_of_time_are_german_and_months_are_not() {
    use crate::language::{Language, speaking};
    let at = ms("2026-05-21T12:00:00Z");
    let (min, hr, day) = (60_000, 3_600_000, DAY_MS);
    speaking(Language::German, || {
        for (born, want) in [
            ("1958-02-04", "68J"),
            ("2022-02-21", "4J 3Mon"),
            ("2026-03-10", "10Wo"),
            ("2026-05-18", "3T"),
            ("2026-05-20T22:00:00Z", "14Std"),
            ("1958", "~68J"),
        ] {
            assert_eq!(age(&PartialDate::new(born), at, 0).as_deref(), Some(want));
        }
        assert_eq!(
            born(Some(&PartialDate::new("1958-05-04")), at, 0),
            "04-May-1958 (68J)"
        );
        assert_eq!(data_age(2 * day + 4 * hr), "2 T 4 Std");
        assert_eq!(duration(3 * hr + 20 * min), "3Std 20Min");
        assert_eq!(gender(None), "Nicht dokumentiert");
    });
}

#[test]
fn names() {
    let given = ["Mary".to_owned(), "Ann".to_owned()];
    assert_eq!(
        name(Some("Jones"), &given, Some("Ms"), None),
        "JONES, Mary Ann (Ms)"
    );
    assert_eq!(name(Some("de la Cruz"), &[], None, None), "DE LA CRUZ");
    assert_eq!(name(None, &given, None, Some("Sister Mary")), "Sister Mary");
    assert_eq!(name(None, &[], None, None), "Not recorded");
}

#[test]
fn record_numbers() {
    for (text, want) in [
        ("9434765919", "943 476 5919"),
        ("12345678", "1234 5678"),
        ("1234567", "123 4567"),
        ("123456", "123 456"),
        ("12345", "12345"),
        ("MRN-00123456", "MRN-00123456"),
        ("123456789012", "1234 5678 9012"),
    ] {
        assert_eq!(record_number(text), want);
    }
}

#[test]
fn doses_never_end_in_a_zero_and_always_lead_with_one() {
    for (value, unit, want) in [
        ("5.0", "mg", "5 mg"),
        ("0.50", "mg", "0.5 mg"),
        ("1000", "U", "1,000 units"),
        ("12500.00", "[IU]", "12,500 units"),
        ("50", "ug", "50 mcg"),
        ("1e-3", "mg", "0.001 mg"),
        ("2.5E3", "mg", "2,500 mg"),
        ("-0.0", "mg", "0 mg"),
        ("100", "mg", "100 mg"),
    ] {
        assert_eq!(dose(value, unit), want);
    }
}

#[test]
fn measured_values_keep_their_precision() {
    assert_eq!(Measured::new("72.50", Some("kg")).to_string(), "72.50 kg");
    assert_eq!(Measured::new("97", Some("%")).to_string(), "97%");
    assert_eq!(Measured::new("7.40", Some("[pH]")).to_string(), "7.40");
    assert_eq!(Measured::new("38.0", Some("Cel")).to_string(), "38.0 °C");
}

#[test]
fn flags_have_shapes() {
    for (code, text, shape) in [
        ("HH", "HH", "▲▲"),
        ("H", "H", "▲"),
        ("L", "L", "▼"),
        ("LL", "LL", "▼▼"),
        ("A", "A", "●"),
        ("N", "", ""),
    ] {
        let flag = ResultFlag::of(Some(code));
        assert_eq!((flag.text(), flag.shape()), (text, shape));
    }
}

proptest! {
    #[test]
    fn a_dose_reads_back_to_the_same_value(n in 0u64..10_000_000_000, places in 0usize..9, zeros in 0usize..4) {
        let digits = format!("{n:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let fraction = format!("{fraction}{}", "0".repeat(zeros));
        let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        let value = Decimal::new(text.clone()).unwrap();
        let shown = Dose::new(&value, None).to_string();
        prop_assert!(!shown.starts_with('.') && !shown.ends_with('.'));
        prop_assert!(!(shown.contains('.') && shown.ends_with('0')), "trailing zero in {}", shown);
        let back = Decimal::new(shown.replace(',', "")).unwrap();
        prop_assert_eq!(back.value_cmp(&value), std::cmp::Ordering::Equal);
    }

    #[test]
    fn grouping_loses_no_digit(text in "[0-9]{1,20}") {
        let shown = record_number(&text);
        prop_assert_eq!(shown.replace(' ', ""), text);
    }

    #[test]
    fn ages_never_grow_younger(birth in -25_000i64..20_000, a in 0i64..20_000, b in 0i64..20_000) {
        let (y, m, d) = civil::date_from_days(birth);
        let born = PartialDate::new(format!("{y:04}-{m:02}-{d:02}"));
        let months = |days: i64| {
            let c = Civil::at(UtcMs((birth + days) * DAY_MS), 0);
            whole_months(&civil::parse_fhir(born.as_str()).unwrap().civil, &c)
        };
        prop_assert!(age(&born, UtcMs((birth + a) * DAY_MS), 0).is_some());
        prop_assert!(months(a.min(b)) <= months(a.max(b)));
    }

    #[test]
    fn decimals_compare_like_integers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
        let d = |n: i64| Decimal::new(format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000)).unwrap();
        prop_assert_eq!(d(a).value_cmp(&d(b)), a.cmp(&b));
    }
}
