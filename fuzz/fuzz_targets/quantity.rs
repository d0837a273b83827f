//! Quantities of Kubernetes: what is shown of one is the same again, a part never rounds to more than
//! the whole, and thousandths and units agree.
#![no_main]

use burstlet_metering::money::Decimal;
use burstlet_model::{Bytes, MilliCpu, Quantity};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let quantity = Quantity::parse(text);
    if let Ok(quantity) = &quantity {
        let (units, milli) = (quantity.ceil_units(), quantity.ceil_milli());
        assert_eq!(units, milli.div_ceil(1000));
        check_like_decimal(text, milli);
    }
    match (MilliCpu::parse(text), &quantity) {
        (Ok(cpu), Ok(quantity)) => {
            assert_eq!(u128::from(cpu.0), quantity.ceil_milli());
            assert_eq!(MilliCpu::parse(&cpu.to_string()), Ok(cpu));
        }
        (Err(_), _) => {}
        (Ok(_), Err(error)) => panic!("{text:?} is a cpu and no quantity: {error}"),
    }
    match (Bytes::parse(text), &quantity) {
        (Ok(bytes), Ok(quantity)) => {
            assert_eq!(u128::from(bytes.0), quantity.ceil_units());
            assert!(i64::try_from(bytes.0).is_ok());
            assert_eq!(Bytes::parse(&bytes.to_string()), Ok(bytes));
        }
        (Err(_), _) => {}
        (Ok(_), Err(error)) => panic!("{text:?} is bytes and no quantity: {error}"),
    }
});

/// A plain decimal number is the same amount for the reader of prices.
fn check_like_decimal(text: &str, milli: u128) {
    let Ok(decimal) = Decimal::parse(text) else {
        return;
    };
    let one = u128::try_from(Decimal::ONE.raw()).expect("one is positive");
    let raw = u128::try_from(decimal.raw()).expect("a quantity is not negative");
    // Rounding up to a billionth first changes nothing.
    assert_eq!(milli, raw.div_ceil(one / 1000), "{text:?}");
}
