//! The one spelling of a book.
//!
//! It is TOML that [`super::Book::parse`] reads to the same book: every key in one order, every
//! default spelled out, decimals without needless zeros, memory in GB, prices that are another's
//! multiple worked out. Names and values hold no character that a TOML string would escape.

use std::fmt::Write;

use super::unit::{Amount, SECOND_NS};
use super::{Book, Rounding, Sizes, Sku, Step};
use crate::money::Decimal;

pub(super) fn text(book: &Book) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_book(&mut out, book);
    out
}

fn write_book(out: &mut String, book: &Book) -> std::fmt::Result {
    writeln!(out, "name = \"{}\"", book.name)?;
    writeln!(out, "currency = \"{}\"", book.currency)?;
    let from = jiff::Timestamp::from_nanosecond(book.effective_from.0.into());
    let from = from.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    writeln!(out, "effective_from = \"{from}\"")?;
    let profile = &book.profile;
    writeln!(out, "\n[profile]\nname = \"{}\"", profile.name)?;
    writeln!(out, "states = \"{}\"", profile.states.as_str())?;
    writeln!(out, "quantum_ns = {}", profile.quantum_ns)?;
    writeln!(out, "minimum_seconds = {}", profile.minimum_ns / SECOND_NS)?;
    writeln!(out, "\n[cpu]")?;
    write_step(out, book.cpu, Amount::Core)?;
    writeln!(out, "\n[memory]\nunit = \"GB\"")?;
    write_step(out, book.memory, Amount::Gb)?;
    if let Some(sizes) = &book.sizes {
        write_sizes(out, sizes)?;
    }
    book.skus.iter().try_for_each(|sku| write_sku(out, sku))?;
    for commitment in &book.commitments {
        let sku = &book.skus[commitment.sku];
        writeln!(out, "\n[[commitment]]\nid = \"{}\"", commitment.id)?;
        writeln!(out, "sku = \"{}\"", sku.id)?;
        writeln!(
            out,
            "amount = \"{}\"",
            amount(commitment.amount, sku.unit.amount)
        )?;
        writeln!(out, "price = \"{}\"", commitment.price)?;
    }
    for machine in &book.machines {
        writeln!(out, "\n[[machine]]\nname = \"{}\"", machine.name)?;
        writeln!(
            out,
            "cores = \"{}\"",
            amount(machine.cpu_milli, Amount::Core)
        )?;
        writeln!(
            out,
            "memory_gib = \"{}\"",
            amount(machine.memory, Amount::Gib)
        )?;
        writeln!(out, "hourly_price = \"{}\"", machine.hourly_price)?;
    }
    Ok(())
}

fn write_step(out: &mut String, step: Step, unit: Amount) -> std::fmt::Result {
    let rounding = match step.rounding {
        Rounding::Ceil => "ceil",
        Rounding::Floor => "floor",
    };
    writeln!(out, "step = \"{}\"", amount(step.every, unit))?;
    writeln!(out, "rounding = \"{rounding}\"")
}

fn write_sizes(out: &mut String, sizes: &Sizes) -> std::fmt::Result {
    let gb = |bytes| amount(bytes, Amount::Gb);
    writeln!(out, "\n[sizes]\nunit = \"GB\"")?;
    writeln!(out, "overhead_memory = \"{}\"", gb(sizes.overhead_memory))?;
    for size in &sizes.sizes {
        writeln!(out, "\n[[sizes.size]]")?;
        writeln!(out, "cpu = \"{}\"", amount(size.cpu_milli, Amount::Core))?;
        writeln!(out, "memory_min = \"{}\"", gb(size.memory_min))?;
        writeln!(out, "memory_max = \"{}\"", gb(size.memory_max))?;
        writeln!(out, "memory_step = \"{}\"", gb(size.memory_step))?;
    }
    Ok(())
}

fn write_sku(out: &mut String, sku: &Sku) -> std::fmt::Result {
    writeln!(out, "\n[[sku]]\nid = \"{}\"", sku.id)?;
    writeln!(out, "meter = \"{}\"", sku.meter.as_str())?;
    writeln!(out, "line = \"{}\"", sku.line)?;
    writeln!(out, "unit = \"{}\"", sku.unit)?;
    writeln!(out, "price = \"{}\"", sku.price)?;
    writeln!(
        out,
        "included = \"{}\"",
        amount(sku.included, sku.unit.amount)
    )?;
    if let Some(states) = sku.states {
        writeln!(out, "states = \"{}\"", states.as_str())?;
    }
    let mut conditions = sku.matching.iter().peekable();
    write!(out, "match = {{")?;
    while let Some((attribute, value)) = conditions.next() {
        let comma = if conditions.peek().is_some() { "," } else { "" };
        write!(out, " {} = \"{value}\"{comma}", attribute.as_str())?;
    }
    writeln!(out, " }}")
}

/// The smallest amounts as a decimal of the unit, which had such a decimal when it was read: a unit
/// is a power of ten, or the amount was a decimal with 18 digits times a power of two.
fn amount(parts: u64, unit: Amount) -> Decimal {
    let ratio = Decimal::floor_ratio(parts.into(), unit.parts().into());
    ratio.unwrap_or(Decimal::ZERO)
}
