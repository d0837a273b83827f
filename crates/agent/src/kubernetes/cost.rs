//! What the node says of what its pods cost.

use burstlet_kube_node::{Cost, Costs};
use burstlet_metering::money::Money;
use burstlet_metering::{GroupCost, Meter};

use crate::machine;

/// Digits of what is only roughly right: the cost of a pod that has run for a while is then seldom
/// another.
const ROUGH_DIGITS: usize = 2;
/// Digits behind the point at most; there is no coin so small.
const DIGITS: usize = 6;

/// What pods cost; nothing without a price book.
pub(super) fn costs(meter: &Meter) -> Option<Costs> {
    let meter = meter.clone();
    let has_prices = meter.shelf().currency().is_some();
    has_prices.then(|| {
        // One that cannot be rated has no cost; the page of bills says why.
        Costs::new(move |uid| shown(&meter.cost(uid, machine::now()).ok()??))
    })
}

/// Nothing of what has never cost anything.
fn shown(of: &GroupCost) -> Option<Cost> {
    let running = &of.running;
    if running.billed_ns == 0 && running.hourly == Money::ZERO {
        return None;
    }
    let with_currency = |amount: String| format!("{amount} {}", of.currency);
    Some(Cost {
        rough: with_currency(running.cost.rough(ROUGH_DIGITS, DIGITS)),
        sum: with_currency(running.cost.shown(DIGITS)),
        hourly: with_currency(running.hourly.shown(DIGITS)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_metering::money::Decimal;
    use burstlet_metering::rating::Running;

    use super::*;

    fn money(text: &str) -> Money {
        Money::from_decimal(Decimal::parse(text).unwrap())
    }

    #[test]
    fn what_has_cost_something_is_shown() {
        let of = |cost: &str, billed_ns, hourly: &str| {
            let running = Running {
                cost: money(cost),
                billed_ns,
                hourly: money(hourly),
            };
            let currency = "EUR".to_owned();
            shown(&GroupCost { running, currency })
        };
        assert_eq!(of("0", 0, "0"), None);
        let expected = |rough: &str, sum: &str, hourly: &str| {
            Some(Cost {
                rough: format!("{rough} EUR"),
                sum: format!("{sum} EUR"),
                hourly: format!("{hourly} EUR"),
            })
        };
        let begins = of("0", 0, "0.0250281511168");
        assert_eq!(begins, expected("0", "0", "0.025028"));
        let ended = of("0.0123456789", 1, "0");
        assert_eq!(ended, expected("0.012", "0.012346", "0"));
    }
}
