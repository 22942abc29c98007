//! What amounts are as text, and that arithmetic never wraps.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn reads(text: &str, want: Result<u64, NotMoney>) {
    assert_eq!(text.parse::<Pico>().map(Pico::pico), want, "{text:?}");
}

#[test]
fn amounts_are_read_exactly() {
    for (text, pico) in [
        ("0", 0),
        ("25", 25_000_000_000_000),
        ("$25", 25_000_000_000_000),
        ("0.25", 250_000_000_000),
        ("$0.1", 100_000_000_000),
        ("0.000000000001", 1),
        ("0.0000000000010000", 1),
        ("007.50", 7_500_000_000_000),
        ("18446744.073709551615", u64::MAX),
    ] {
        reads(text, Ok(pico));
    }
}

#[test]
fn what_is_no_amount_is_told_apart() {
    use NotMoney::{Form, Negative, TooFine, TooLarge};
    for (text, why) in [
        ("", Form),
        ("$", Form),
        (".5", Form),
        ("5.", Form),
        ("1.2.3", Form),
        ("1,000", Form),
        ("1_000", Form),
        ("1e3", Form),
        (" 1", Form),
        ("+1", Form),
        ("$$1", Form),
        ("1$", Form),
        ("٣", Form),
        ("nan", Form),
        ("-1", Negative),
        ("-0.5", Negative),
        ("$-1", Negative),
        ("0.0000000000001", TooFine),
        ("18446744.073709551616", TooLarge),
        ("18446745", TooLarge),
        ("99999999999999999999999", TooLarge),
    ] {
        reads(text, Err(why));
    }
}

#[test]
fn amounts_are_shown_in_micro_dollars_rounded_half_up_and_exactly() {
    for (pico, rounded, exact) in [
        (0, "0.000000", "0.00"),
        (1, "0.000000", "0.000000000001"),
        (499_999, "0.000000", "0.000000499999"),
        (500_000, "0.000001", "0.0000005"),
        (1_500_000, "0.000002", "0.0000015"),
        (12_345_678_900, "0.012346", "0.0123456789"),
        (999_999_500_000, "1.000000", "0.9999995"),
        (25_000_000_000_000, "25.000000", "25.00"),
        (u64::MAX, "18446744.073710", "18446744.073709551615"),
    ] {
        let amount = Pico::new(pico);
        assert_eq!(amount.to_string(), rounded, "{pico}");
        assert_eq!(amount.exact().to_string(), exact, "{pico}");
    }
}

#[test]
fn a_share_is_rounded_half_up() {
    for (name, amount, part, whole, want) in [
        ("eleven tenths", 125_000, 11, 10, 137_500),
        ("exactly half", 1, 1, 2, 1),
        ("below half", 1, 1, 3, 0),
        ("above half", 2, 1, 3, 1),
        ("half of an odd whole does not exist", 4, 1, 9, 0),
        ("of nothing", 7, 1, 0, 0),
        ("too much", u64::MAX, 2, 1, u64::MAX),
        ("all of the most", u64::MAX, u64::MAX, u64::MAX, u64::MAX),
    ] {
        assert_eq!(Pico::new(amount).share(part, whole), Pico::new(want), "{name}");
    }
}

#[test]
fn sums_stop_at_the_largest_amount() {
    assert_eq!([Pico::MAX, Pico::new(1)].into_iter().sum::<Pico>(), Pico::MAX);
    assert_eq!([Pico::new(2), Pico::new(3)].into_iter().sum::<Pico>(), Pico::new(5));
    assert_eq!(Pico::MAX.checked_add(Pico::new(1)), None);
    assert_eq!(Pico::ZERO.checked_sub(Pico::new(1)), None);
    assert_eq!(Pico::ZERO.saturating_sub(Pico::new(1)), Pico::ZERO);
    assert_eq!(Pico::DOLLAR.checked_mul(18_446_745), None);
    assert_eq!(Pico::DOLLAR.saturating_mul(18_446_745), Pico::MAX);
}

proptest! {
    #[test]
    fn the_exact_text_is_read_back(pico: u64) {
        let amount = Pico::new(pico);
        prop_assert_eq!(amount.exact().to_string().parse::<Pico>(), Ok(amount));
        prop_assert_eq!(format!("${}", amount.exact()).parse::<Pico>(), Ok(amount));
    }

    #[test]
    fn rounding_moves_by_half_a_micro_dollar_at_most(pico: u64) {
        let off = u128::from(Pico::new(pico).micro()) * 1_000_000;
        prop_assert!(off.abs_diff(u128::from(pico)) <= 500_000);
    }

    #[test]
    fn arithmetic_is_that_of_wider_integers(a: u64, b: u64) {
        let (x, y, wide) = (Pico::new(a), Pico::new(b), |n: u128| u64::try_from(n).ok().map(Pico::new));
        prop_assert_eq!(x.checked_add(y), wide(u128::from(a) + u128::from(b)));
        prop_assert_eq!(x.checked_mul(b), wide(u128::from(a) * u128::from(b)));
        prop_assert_eq!(x.saturating_add(y), x.checked_add(y).unwrap_or(Pico::MAX));
        prop_assert_eq!(x.saturating_mul(b), x.checked_mul(b).unwrap_or(Pico::MAX));
        prop_assert_eq!(x.checked_sub(y), a.checked_sub(b).map(Pico::new));
        prop_assert_eq!(x.saturating_sub(y), x.checked_sub(y).unwrap_or(Pico::ZERO));
    }
}
