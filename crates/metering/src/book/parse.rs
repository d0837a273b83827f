//! From text to a valid book.

use std::collections::BTreeMap;

use burstlet_model::WallTime;

use super::raw::{
    RawBook, RawCommitment, RawMachine, RawMemoryStep, RawProfile, RawSizes, RawStep,
};
use super::unit::{Amount, SECOND_NS};
use super::{
    BilledStates, Book, BookError, BookVersion, Commitment, EXTRAS_MAX, Machine, Profile, Rounding,
    SKUS_MAX, Size, Sizes, Sku, Step,
};
use crate::money::Decimal;
use crate::record::BOOK_BYTES_MAX;

mod skus;

/// Characters of a name.
const NAME_CHARACTERS_MAX: usize = 63;
/// The longest step, in the smallest amounts.
const STEP_PARTS_MAX: u64 = 1 << 40;
/// The longest minimum: a day.
const MINIMUM_SECONDS_MAX: u64 = 86_400;

pub(super) fn book(text: &str) -> Result<Book, BookError> {
    if text.len() > BOOK_BYTES_MAX {
        return Err(BookError::TooLong(text.len()));
    }
    let raw: RawBook =
        toml::from_str(text).map_err(|fault| BookError::Syntax(fault.to_string()))?;
    bounded("sku", raw.sku.len(), SKUS_MAX)?;
    bounded("commitment", raw.commitment.len(), EXTRAS_MAX)?;
    bounded("machine", raw.machine.len(), EXTRAS_MAX)?;
    let profile = profile(&raw.profile)?;
    let skus = skus::skus(&raw.sku)?;
    let mut book = Book {
        version: BookVersion::default(),
        name: name("name", &raw.name)?,
        currency: currency(&raw.currency)?,
        effective_from: instant("effective_from", &raw.effective_from)?,
        cpu: cpu_step(&raw.cpu, profile.stepped)?,
        memory: memory_step(&raw.memory, profile.stepped)?,
        sizes: raw.sizes.as_ref().map(sizes).transpose()?,
        commitments: commitments(&raw.commitment, &skus)?,
        machines: machines(&raw.machine)?,
        profile,
        skus,
    };
    let canonical = book.canonical();
    if canonical.len() > BOOK_BYTES_MAX {
        return Err(BookError::TooLong(canonical.len()));
    }
    book.version = BookVersion::of(&canonical);
    Ok(book)
}

/// A fault of one value.
fn wrong(place: impl Into<String>, problem: impl Into<String>) -> BookError {
    BookError::Value {
        place: place.into(),
        problem: problem.into(),
    }
}

fn bounded(place: &str, found: usize, most: usize) -> Result<(), BookError> {
    if found > most {
        return Err(wrong(place, format!("at most {most}, found {found}")));
    }
    Ok(())
}

fn name(place: &str, text: &str) -> Result<String, BookError> {
    let ordinary = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(ordinary);
    let problem =
        || format!("{text:?} is not a name: 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9, '-', '.', '_'");
    fits.then(|| text.to_owned())
        .ok_or_else(|| wrong(place, problem()))
}

fn currency(text: &str) -> Result<String, BookError> {
    let letters = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
    let problem = || format!("{text:?} is not a currency: three capital letters such as USD");
    letters
        .then(|| text.to_owned())
        .ok_or_else(|| wrong("currency", problem()))
}

fn instant(place: &str, text: &str) -> Result<WallTime, BookError> {
    let problem = |fault: String| wrong(place, format!("{text:?} is not a moment: {fault}"));
    let instant: jiff::Timestamp = text
        .parse()
        .map_err(|fault: jiff::Error| problem(fault.to_string()))?;
    let ns = i64::try_from(instant.as_nanosecond());
    ns.map(WallTime)
        .map_err(|_| problem("it is too far away".to_owned()))
}

fn decimal(place: &str, text: &str) -> Result<Decimal, BookError> {
    Decimal::parse(text).map_err(|source| BookError::Number {
        place: place.to_owned(),
        source,
    })
}

/// A decimal amount as a whole number of the smallest amounts.
fn parts(place: &str, text: &str, amount: Amount) -> Result<u64, BookError> {
    let parts = decimal(place, text)?.in_parts(amount.parts());
    let problem = || format!("{text} is not a whole number of 1/{}", amount.parts());
    parts.ok_or_else(|| wrong(place, problem()))
}

fn profile(raw: &RawProfile) -> Result<Profile, BookError> {
    let name = raw.name.as_deref().unwrap_or("exact");
    let known = || format!("{name:?} is none of {}", Profile::NAMES.join(", "));
    let mut profile = Profile::named(name).ok_or_else(|| wrong("profile.name", known()))?;
    if let Some(word) = &raw.states {
        profile.states = states("profile.states", word)?;
    }
    if let Some(quantum) = raw.quantum_ns {
        if !(1..=MINIMUM_SECONDS_MAX * SECOND_NS).contains(&quantum) {
            return Err(wrong("profile.quantum_ns", "must be 1 (exact) to a day"));
        }
        profile.quantum_ns = quantum;
    }
    if let Some(minimum) = raw.minimum_seconds {
        if minimum > MINIMUM_SECONDS_MAX {
            return Err(wrong("profile.minimum_seconds", "must be at most a day"));
        }
        profile.minimum_ns = minimum * SECOND_NS;
    }
    Ok(profile)
}

fn states(place: &str, word: &str) -> Result<BilledStates, BookError> {
    let problem = || format!("{word:?} is none of aci, fal, autopilot, running");
    BilledStates::parse(word).ok_or_else(|| wrong(place, problem()))
}

fn rounding(place: &str, word: Option<&str>) -> Result<Rounding, BookError> {
    match word {
        None | Some("ceil") => Ok(Rounding::Ceil),
        Some("floor") => Ok(Rounding::Floor),
        Some(word) => Err(wrong(place, format!("{word:?} is neither ceil nor floor"))),
    }
}

fn step(place: &str, every: u64, rounding: Rounding) -> Result<Step, BookError> {
    if !(1..=STEP_PARTS_MAX).contains(&every) {
        return Err(wrong(
            place,
            "a step is more than nothing, and not that much",
        ));
    }
    Ok(Step { every, rounding })
}

fn cpu_step(raw: &RawStep, stepped: bool) -> Result<Step, BookError> {
    let default = if stepped { "0.01" } else { "0.001" };
    let text = raw.step.as_deref().unwrap_or(default);
    let every = parts("cpu.step", text, Amount::Core)?;
    step(
        "cpu.step",
        every,
        rounding("cpu.rounding", raw.rounding.as_deref())?,
    )
}

fn memory_step(raw: &RawMemoryStep, stepped: bool) -> Result<Step, BookError> {
    let amount = memory_unit("memory.unit", raw.unit.as_deref().unwrap_or("GB"))?;
    let rounding = rounding("memory.rounding", raw.rounding.as_deref())?;
    let every = match (&raw.step, stepped) {
        (Some(text), _) => parts("memory.step", text, amount)?,
        (None, true) => 100_000_000,
        (None, false) => 1,
    };
    step("memory.step", every, rounding)
}

fn memory_unit(place: &str, word: &str) -> Result<Amount, BookError> {
    let unit = Amount::parse(word).filter(|unit| matches!(unit, Amount::Gb | Amount::Gib));
    unit.ok_or_else(|| wrong(place, format!("{word:?} is neither GB nor GiB")))
}

fn sizes(raw: &RawSizes) -> Result<Sizes, BookError> {
    let unit = memory_unit("sizes.unit", &raw.unit)?;
    bounded("sizes.size", raw.size.len(), EXTRAS_MAX)?;
    let overhead = raw.overhead_memory.as_deref().unwrap_or("0");
    let mut sizes = Vec::new();
    for (index, size) in raw.size.iter().enumerate() {
        let place = format!("sizes.size[{index}]");
        let memory = |text: &str| parts(&place, text, unit);
        let size = Size {
            cpu_milli: parts(&place, &size.cpu, Amount::Core)?,
            memory_min: memory(&size.memory_min)?,
            memory_max: memory(&size.memory_max)?,
            memory_step: memory(&size.memory_step)?,
        };
        if size.memory_min > size.memory_max || size.memory_step == 0 {
            return Err(wrong(place, "memory_min to memory_max in steps is nothing"));
        }
        sizes.push(size);
    }
    if !sizes.is_sorted_by(|a: &Size, b| a.cpu_milli < b.cpu_milli) {
        return Err(wrong("sizes.size", "sizes are ordered by cpu, each once"));
    }
    Ok(Sizes {
        overhead_memory: parts("sizes.overhead_memory", overhead, unit)?,
        sizes,
    })
}

fn commitments(raw: &[RawCommitment], skus: &[Sku]) -> Result<Vec<Commitment>, BookError> {
    let mut covered = BTreeMap::new();
    let mut commitments = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let place = format!("commitment[{index}]");
        let sku = skus.iter().position(|sku| sku.id == raw.sku);
        let sku = sku.ok_or_else(|| wrong(&place, format!("there is no sku {:?}", raw.sku)))?;
        if let Some(other) = covered.insert(sku, &raw.id) {
            return Err(wrong(
                place,
                format!("{other:?} covers {:?} already", raw.sku),
            ));
        }
        commitments.push(Commitment {
            id: name(&place, &raw.id)?,
            sku,
            amount: parts(&place, &raw.amount, skus[sku].unit.amount)?,
            price: decimal(&place, &raw.price)?,
        });
    }
    Ok(commitments)
}

fn machines(raw: &[RawMachine]) -> Result<Vec<Machine>, BookError> {
    let machine = |(index, raw): (usize, &RawMachine)| {
        let place = format!("machine[{index}]");
        Ok(Machine {
            name: name(&place, &raw.name)?,
            cpu_milli: parts(&place, &raw.cores, Amount::Core)?,
            memory: parts(&place, &raw.memory_gib, Amount::Gib)?,
            hourly_price: decimal(&place, &raw.hourly_price)?,
        })
    };
    raw.iter().enumerate().map(machine).collect()
}
