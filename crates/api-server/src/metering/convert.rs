//! The ledger's values as messages: every digit as text.

use burstlet_metering::book::{Book, Shelved, Sku, Unit};
use burstlet_metering::money::{Decimal, fixed};
use burstlet_metering::record::Histogram;
use burstlet_metering::usage::{Committed, SkuKey, SkuSum, Sums};
use burstlet_metering::{Hex, Meter};
use burstlet_model::WallTime;
use burstlet_proto::{Timestamp, v1};

pub(super) fn head(meter: &Meter) -> v1::LedgerHead {
    let ledger = meter.ledger();
    v1::LedgerHead {
        ledger: Hex(&ledger.ledger.0).to_string(),
        sequence: ledger.seq,
        head: Hex(&ledger.head).to_string(),
        epoch: ledger.epoch,
        complete_since: meter.since().map(timestamp),
    }
}

pub(super) fn row((keys, sums): (Vec<String>, Sums)) -> v1::UsageRow {
    let seconds = |ns: u128| fixed(ns, 9);
    let requested = &sums.requested;
    v1::UsageRow {
        keys,
        sessions: sums.sessions,
        billed_seconds: seconds(sums.time.total_ns().into()),
        pull_seconds: seconds(sums.time.pull_ns.into()),
        backoff_seconds: seconds(sums.time.backoff_ns.into()),
        unrated_seconds: seconds(sums.unrated_ns),
        cpu_requested_core_seconds: fixed(requested.cpu_milli_ns, 12),
        memory_requested_byte_seconds: seconds(requested.memory_byte_ns),
        ephemeral_storage_requested_byte_seconds: seconds(requested.ephemeral_byte_ns),
        volume_claimed_byte_seconds: seconds(requested.volume_byte_ns),
        device_requested_seconds: seconds(requested.gpu_ns),
        cpu_used_core_seconds: fixed(sums.cpu_used_us, 6),
        memory_used_byte_seconds: seconds(sums.memory_used_byte_ns),
        sent_bytes: sums.sent.to_string(),
        received_bytes: sums.received.to_string(),
        cost: sums.cost.to_string(),
        asked_seconds: seconds(sums.asked_ns),
        running_seconds: seconds(sums.running_ns),
        cpu_requested_milli: mean(requested.cpu_milli_ns, requested.ns),
        memory_requested_bytes: mean(requested.memory_byte_ns, requested.ns),
        cpu_milli: sampled(&sums.samples.cpu, 0),
        memory_bytes: sampled(&sums.samples.memory, sums.memory_peak),
        charges: sums.skus.into_iter().map(charge).collect(),
    }
}

/// What was set aside at once, rounded up.
fn mean(amount_ns: u128, ns: u128) -> u64 {
    let mean = amount_ns.div_ceil(ns.max(1));
    u64::try_from(mean).unwrap_or(u64::MAX)
}

/// What was used; the kernel may know of a peak between two samples.
fn sampled(histogram: &Histogram, known_peak: u64) -> Option<v1::SampledUse> {
    let at = |percent| histogram.percentile(percent);
    Some(v1::SampledUse {
        samples: histogram.total(),
        p50: at(50)?,
        p95: at(95)?,
        peak: at(100)?.max(known_peak),
    })
}

pub(super) fn charge(((book, version, sku), sum): (SkuKey, SkuSum)) -> v1::Charge {
    v1::Charge {
        sku,
        book,
        book_version: version.to_string(),
        unit: sum.unit.to_string(),
        price: sum.price.to_string(),
        quantity: quantity(sum.quantity, sum.unit),
        cost: sum.cost.to_string(),
    }
}

pub(super) fn commitment(sum: Committed) -> v1::CommitmentSum {
    v1::CommitmentSum {
        committed: quantity(sum.committed, sum.unit),
        covered: quantity(sum.covered, sum.unit),
        fee: sum.fee.to_string(),
        credit: sum.credit.to_string(),
        unit: sum.unit.to_string(),
        hours: sum.hours,
        name: sum.id,
        book: sum.book,
        sku: sum.sku,
    }
}

pub(super) fn quantity(grains: u128, unit: Unit) -> String {
    let units = Decimal::floor_ratio(grains, unit.grains());
    units.map_or_else(String::new, |units| units.to_string())
}

pub(super) fn book(shelved: &Shelved, in_force: bool) -> v1::PriceBook {
    let book: &Book = &shelved.book;
    v1::PriceBook {
        name: book.name().to_owned(),
        version: book.version().to_string(),
        currency: book.currency().to_owned(),
        profile: book.profile().name.clone(),
        effective_from: Some(timestamp(book.effective_from())),
        used_from: Some(timestamp(shelved.from)),
        in_force,
        prices: book.skus().iter().map(price).collect(),
        text: book.canonical(),
    }
}

fn price(sku: &Sku) -> v1::Price {
    let amount = sku.unit.amount.parts().into();
    let included = Decimal::floor_ratio(sku.included.into(), amount);
    let matching = sku.matching.iter();
    v1::Price {
        sku: sku.id.clone(),
        meter: sku.meter.as_str().to_owned(),
        unit: sku.unit.to_string(),
        price: sku.price.to_string(),
        included: included.map_or_else(String::new, |included| included.to_string()),
        r#match: matching
            .map(|(attribute, value)| (attribute.as_str().to_owned(), value.clone()))
            .collect(),
    }
}

pub(super) fn timestamp(at: WallTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_s(),
        nanos: i32::try_from(at.subsec_ns()).unwrap_or(0),
    }
}
