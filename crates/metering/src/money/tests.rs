use proptest::prelude::*;

use super::*;

const CORE_HOUR: u128 = 1000 * 1_000_000_000 * 3600;
const GIB_HOUR: u128 = (1 << 30) * 1_000_000_000 * 3600;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

#[test]
fn decimals_are_read_and_shown() {
    for (text, shown) in [
        ("0", "0"),
        ("0.0405", "0.0405"),
        ("00.50", "0.5"),
        ("12", "12"),
        ("0.000000000000000001", "0.000000000000000001"),
    ] {
        assert_eq!(decimal(text).to_string(), shown);
    }
    let long = "9".repeat(30);
    let fine = format!("0.{}", "1".repeat(19));
    for bad in [
        "", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", "0x1", "１", " 1", &long, &fine,
    ] {
        assert!(Decimal::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_price_is_cut_by_a_factor_exactly_or_not_at_all() {
    let price = decimal("0.00001125");
    assert_eq!(price.times(decimal("0.3")).unwrap(), decimal("0.000003375"));
    let fine = decimal("0.000000000000000001");
    assert_eq!(
        fine.times(decimal("0.3")),
        Err(MoneyError::TooFine(fine, decimal("0.3")))
    );
}

#[test]
fn periodic_costs_lose_nothing() {
    let third = Money::charge(1000 * 1_000_000_000, decimal("0.00445"), CORE_HOUR).unwrap();
    let hour: Money = std::iter::repeat_n(third, 3600).sum();
    assert_eq!(hour.to_string(), "0.00445");
    let binary = Money::charge(1, decimal("1"), GIB_HOUR).unwrap();
    assert_ne!(binary, Money::ZERO);
    assert_eq!(binary.to_string(), "0");
}

#[test]
fn a_rough_amount_has_the_digits_that_count() {
    for (amount, shown) in [
        ("0", "0"),
        ("0.0123456", "0.012"),
        ("0.00000123", "0.000001"),
        ("0.00000023", "0"),
        ("0.0996", "0.1"),
        ("1.2345", "1.2"),
        ("9.96", "10"),
        ("12.5678", "13"),
        ("1234.5678", "1235"),
    ] {
        assert_eq!(Money::from_decimal(decimal(amount)).rough(2, 6), shown);
    }
    let less = Money::ZERO - Money::from_decimal(decimal("0.0123456"));
    assert_eq!(less.rough(2, 6), "-0.012");
}

#[test]
fn showing_rounds_half_to_even() {
    for (amount, digits, shown) in [
        ("0.125", 2, "0.12"),
        ("0.135", 2, "0.14"),
        ("0.1250001", 2, "0.13"),
        ("1.5", 0, "2"),
        ("2.5", 0, "2"),
        ("3", 2, "3.00"),
        ("0.5", 4, "0.5000"),
    ] {
        assert_eq!(
            Money::from_decimal(decimal(amount)).rounded(digits),
            shown,
            "{amount}"
        );
    }
    let refund = Money::ZERO - Money::from_decimal(decimal("0.05"));
    assert_eq!(refund.to_string(), "-0.05");
    assert_eq!(refund.rounded(1), "0.0");
}

#[test]
fn odd_divisors_and_what_does_not_fit_are_told() {
    assert_eq!(
        Money::charge(1, decimal("1"), 7),
        Err(MoneyError::OddDivisor(7))
    );
    assert_eq!(
        Money::charge(1, decimal("1"), 0),
        Err(MoneyError::OddDivisor(0))
    );
    let most = Money::charge(u128::MAX, Decimal(i128::MAX), 1);
    assert!(matches!(most, Err(MoneyError::TooLarge(_))));
}

#[test]
fn ratios_and_parts() {
    let (day, hour) = (
        Money::from_decimal(decimal("2.4")),
        Money::from_decimal(decimal("0.3")),
    );
    assert_eq!(day.ratio(hour), Some(decimal("8")));
    assert_eq!(day.ratio(Money::ZERO), None);
    assert_eq!(decimal("0.25").in_parts(1000), Some(250));
    assert_eq!(decimal("0.0001").in_parts(1000), None);
    assert_eq!(
        Decimal::floor_ratio(1, 3),
        Some(decimal("0.333333333333333333"))
    );
    assert_eq!(Decimal::floor_ratio(1, 0), None);
}

#[test]
fn products_are_shown_to_the_last_digit() {
    let (a, b) = (decimal("0.000000000000000003"), decimal("0.5"));
    assert_eq!(a.product_text(b), "0.0000000000000000015");
    assert_eq!(decimal("2").product_text(decimal("3")), "6");
}

proptest! {
    #[test]
    fn decimals_round_trip(raw in 0..i128::MAX) {
        let number = Decimal(raw);
        prop_assert_eq!(Decimal::parse(&number.to_string()), Ok(number));
    }

    /// However a quantity is cut, its pieces cost what the whole costs.
    #[test]
    fn charges_add_up(parts in prop::collection::vec(0..1_u128 << 80, 1..20), raw in 0..1_i128 << 64) {
        let price = Decimal(raw);
        let whole = Money::charge(parts.iter().sum(), price, GIB_HOUR).unwrap();
        let pieces: Money = parts.iter().map(|part| Money::charge(*part, price, GIB_HOUR).unwrap()).sum();
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.eE]{0,60}") {
        let _ = Decimal::parse(&text);
    }
}
