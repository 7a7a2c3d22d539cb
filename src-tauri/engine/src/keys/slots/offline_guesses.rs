//! All 1,000,000 PINs of six digits, tried against a stolen slot without the device's secret, on the code that opens slots.
//!
//! A try at the real cost (64 MiB, three passes) takes tens of milliseconds, so that all of them take half a day: they are tried at the
//! least cost Argon2 has, and a sample at the real one. The cost is no part of what keeps them out: Argon2's output is one of
//! the two inputs of HKDF, and the other, DK, is 32 random bytes. `VITRINE_PINS=1000000` tries all of them (a minute and more on two
//! cores); without it those around the right one are tried.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// All of them.
const PINS: u32 = 1_000_000;
const PIN: &str = "482915";

/// The PINs that are tried.
fn tried() -> std::ops::Range<u32> {
    let asked = std::env::var("VITRINE_PINS").ok().and_then(|n| n.parse().ok());
    let n = asked.unwrap_or(60_000).min(PINS);
    let first = 450_000_u32.min(PINS - n);
    first..first + n
}

/// A slot of this cost, its DK, and the key it wraps.
fn stolen(dir: &Path, cost: (u32, u32)) -> (Slots, UserSlot, Dek, Dek) {
    let dk = Dek::random().unwrap();
    let (mut slots, _) = Slots::create(&dir.join("slots.json"), "dev1", &dk).unwrap();
    slots.cost = cost;
    let (dek, slot, _) = slots.enrol_user("lee", SlotKind::Pin, PIN, &dk, None).unwrap();
    (slots, slot, dk, dek)
}

fn opened(slots: &Slots, slot: &UserSlot, pin: &str, dk: &Dek) -> bool {
    slots.unlock(slot, pin, dk).unwrap().is_some()
}

/// How many of these PINs open the slot with this DK.
fn open_it(pins: std::ops::Range<u32>, slots: &Slots, slot: &UserSlot, dk: &Dek) -> u32 {
    let wanted = pins.end - pins.start;
    let (found, tried) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|threads| {
        for half in 0..2 {
            let (found, tried, pins) = (&found, &tried, pins.clone());
            threads.spawn(move || {
                for n in pins.skip(half).step_by(2) {
                    found.fetch_add(
                        u32::from(opened(slots, slot, &format!("{n:06}"), dk)),
                        Ordering::Relaxed,
                    );
                    tried.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(tried.into_inner(), wanted);
    found.into_inner()
}

#[test]
fn pins_without_the_devices_secret_open_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (slots, slot, dk, dek) = stolen(dir.path(), (8, 1));
    let stranger = Dek::random().unwrap();
    assert_eq!(open_it(tried(), &slots, &slot, &stranger), 0);
    // The search can find: with the device's secret one of them opens it, and it is the right one.
    assert_eq!(open_it(470_000..490_000, &slots, &slot, &dk), 1);
    let found = slots.unlock(&slot, PIN, &dk).unwrap().unwrap();
    assert_eq!(found.bytes(), dek.bytes());
}

#[test]
fn the_right_pin_with_a_device_secret_that_is_one_bit_off_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (slots, slot, dk, _) = stolen(dir.path(), (8, 1));
    for bit in 0..256 {
        let mut near = *dk.bytes();
        near[bit / 8] ^= 1 << (bit % 8);
        let near = Dek::from_bytes(&near).unwrap();
        assert!(!opened(&slots, &slot, PIN, &near), "bit {bit}");
    }
    assert!(!opened(&slots, &slot, PIN, &Dek::from_bytes(&[0; 32]).unwrap()));
}

#[test]
fn at_the_real_cost_neither() {
    let dir = tempfile::tempdir().unwrap();
    let (slots, slot, dk, _) = stolen(dir.path(), (SLOT_MEMORY_KIB, SLOT_PASSES));
    let stranger = Dek::random().unwrap();
    let near = ["482914", "482916", "519284", "000000", "999999", "123456"];
    let spread = (0..16).map(|n| format!("{:06}", n * 62_501 + 17));
    let guesses: Vec<String> = near.iter().map(|p| (*p).to_owned()).chain(spread).collect();
    assert!(guesses.len() >= 16);
    for pin in &guesses {
        assert!(!opened(&slots, &slot, pin, &stranger), "{pin}");
    }
    assert!(!opened(&slots, &slot, PIN, &stranger), "the right PIN");
    assert!(opened(&slots, &slot, PIN, &dk), "both");
    // A slot of another cost is another key.
    let mut cheap = slots;
    cheap.cost = (8, 1);
    assert!(!opened(&cheap, &slot, PIN, &dk));
}
