//! The prices of a book: own ones first, then those that are made from another by a factor.

use std::collections::BTreeMap;

use super::super::raw::RawSku;
use super::super::sku::Attribute;
use super::super::unit::{Meter, Unit};
use super::super::{BookError, Sku};
use super::{decimal, name, parts, states, wrong};

/// Characters of a value that a group's attribute is compared with.
const VALUE_CHARACTERS_MAX: usize = 128;

pub(super) fn skus(raw: &[RawSku]) -> Result<Vec<Sku>, BookError> {
    let mut own = BTreeMap::new();
    for (index, raw) in raw.iter().enumerate().filter(|(_, raw)| raw.base.is_none()) {
        own.insert(raw.id.as_str(), priced(&place(index), raw)?);
    }
    let mut skus: Vec<Sku> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let sku = match &raw.base {
            None => own.get(raw.id.as_str()).cloned(),
            Some(base) => Some(derived(&place(index), raw, own.get(base.as_str()))?),
        };
        let twice = || wrong(place(index), format!("{:?} is there twice", raw.id));
        let sku = sku.filter(|sku| skus.iter().all(|other| other.id != sku.id));
        skus.push(sku.ok_or_else(twice)?);
    }
    lines(&skus)?;
    Ok(skus)
}

fn place(index: usize) -> String {
    format!("sku[{index}]")
}

/// A price that stands for itself.
fn priced(place: &str, raw: &RawSku) -> Result<Sku, BookError> {
    let missing = |key: &str| wrong(place, format!("{key} is missing"));
    if raw.factor.is_some() {
        return Err(wrong(place, "factor needs a base"));
    }
    let meter = raw.meter.as_deref().ok_or_else(|| missing("meter"))?;
    let no_meter = || wrong(place, format!("there is no meter {meter:?}"));
    let meter = Meter::parse(meter).ok_or_else(no_meter)?;
    let unit = raw.unit.as_deref().ok_or_else(|| missing("unit"))?;
    let no_unit = || {
        wrong(
            place,
            format!("{} is not priced by {unit:?}", meter.as_str()),
        )
    };
    let unit = Unit::parse(unit, meter).ok_or_else(no_unit)?;
    let included = raw.included.as_deref().unwrap_or("0");
    let price = raw.price.as_deref().ok_or_else(|| missing("price"))?;
    Ok(Sku {
        id: name(place, &raw.id)?,
        meter,
        line: name(place, raw.line.as_deref().unwrap_or(meter.as_str()))?,
        unit,
        price: decimal(place, price)?,
        included: parts(place, included, unit.amount)?,
        states: raw
            .states
            .as_deref()
            .map(|word| states(place, word))
            .transpose()?,
        matching: conditions(place, &raw.matching)?,
    })
}

/// A price that is another one times a factor, for a narrower kind of group.
fn derived(place: &str, raw: &RawSku, base: Option<&Sku>) -> Result<Sku, BookError> {
    let base = base.ok_or_else(|| wrong(place, "base is no sku with a price of its own"))?;
    let given = [
        &raw.meter,
        &raw.line,
        &raw.unit,
        &raw.price,
        &raw.included,
        &raw.states,
    ];
    if given.iter().any(|key| key.is_some()) {
        return Err(wrong(
            place,
            "beside base only factor and match can be given",
        ));
    }
    let factor = raw.factor.as_deref();
    let factor = decimal(
        place,
        factor.ok_or_else(|| wrong(place, "factor is missing"))?,
    )?;
    let price = base
        .price
        .times(factor)
        .map_err(|source| BookError::Number {
            place: place.to_owned(),
            source,
        })?;
    let mut matching = base.matching.clone();
    matching.extend(conditions(place, &raw.matching)?);
    if matching.len() == base.matching.len() {
        return Err(wrong(place, "match must ask for more than its base does"));
    }
    Ok(Sku {
        id: name(place, &raw.id)?,
        price,
        matching,
        ..base.clone()
    })
}

fn conditions(
    place: &str,
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<Attribute, String>, BookError> {
    let condition = |(key, value): (&String, &String)| {
        let attribute = Attribute::parse(key);
        let attribute =
            attribute.ok_or_else(|| wrong(place, format!("a group has no attribute {key:?}")))?;
        let plain = value.len() <= VALUE_CHARACTERS_MAX
            && value
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
        let problem = || format!("{value:?} is not a value of {key}");
        plain
            .then(|| (attribute, value.clone()))
            .ok_or_else(|| wrong(place, problem()))
    };
    raw.iter().map(condition).collect()
}

/// Every group must have at most one best price on each line.
fn lines(skus: &[Sku]) -> Result<(), BookError> {
    for (index, sku) in skus.iter().enumerate() {
        for other in &skus[..index] {
            if sku.line == other.line && sku.meter != other.meter {
                let problem = format!("{:?} and {:?} count different things", other.id, sku.id);
                return Err(wrong(format!("line {}", sku.line), problem));
            }
            if sku.rivals(other) {
                let problem = format!(
                    "{:?} and {:?} fit some group equally well: let one ask for more, or give it a line of its own",
                    other.id, sku.id
                );
                return Err(wrong(format!("line {}", sku.line), problem));
            }
        }
    }
    Ok(())
}
