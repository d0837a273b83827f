//! The columns: those that FOCUS demands, those that apply, and our own. Every form of the export is
//! written from this one table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use burstlet_model::WallTime;
use jiff::Timestamp;

use super::row::{Invoice, Row};
use crate::money::Decimal;
use crate::sessions::Window;

/// A column of the export.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    pub(super) cell: Cell,
}

/// What a column's cells are, and how a row's is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    /// A text. An empty one says that there is none.
    Text(for<'a> fn(&'a Row, &'a Invoice) -> Cow<'a, str>),
    /// A number with 18 fraction digits at most.
    Number(fn(&Row) -> Decimal),
    /// The quantity times the price: 36 fraction digits at most.
    Cost,
    /// A whole second of UTC.
    Second(fn(&Row) -> WallTime),
    /// A nanosecond of UTC.
    Moment(fn(&Row) -> WallTime),
}

impl Column {
    const fn of(name: &'static str, cell: Cell) -> Self {
        Self { name, cell }
    }

    /// A row's cell as text.
    pub(super) fn text<'a>(&self, row: &'a Row, invoice: &'a Invoice) -> Cow<'a, str> {
        match self.cell {
            Cell::Text(read) => read(row, invoice),
            Cell::Number(read) => read(row).to_string().into(),
            Cell::Cost => row.quantity.product_text(row.sku.price).into(),
            Cell::Second(read) => {
                let whole = WallTime(read(row).unix_s().saturating_mul(1_000_000_000));
                moment(whole).to_string().into()
            }
            Cell::Moment(read) => moment(read(row)).to_string().into(),
        }
    }
}

const ACCOUNT: Cell = Cell::Text(|_, invoice| (&invoice.account).into());
const PROVIDER: Cell = Cell::Text(|_, invoice| (&invoice.provider).into());
const REGION: Cell = Cell::Text(|_, invoice| (&invoice.region).into());
const NAMESPACE: Cell = Cell::Text(|row, _| (&row.namespace).into());
const QUANTITY: Cell = Cell::Number(|row| row.quantity);
const UNIT: Cell = Cell::Text(|row, _| row.sku.unit.plural().into());
const PRICE: Cell = Cell::Number(|row| row.sku.price);

/// The columns, in their order.
pub const COLUMNS: [Column; 42] = [
    Column::of("BilledCost", Cell::Cost),
    Column::of("BillingAccountId", ACCOUNT),
    Column::of("BillingAccountName", ACCOUNT),
    Column::of(
        "BillingCurrency",
        Cell::Text(|row, _| (&row.currency).into()),
    ),
    Column::of("BillingPeriodEnd", Cell::Second(|row| month(row).to)),
    Column::of("BillingPeriodStart", Cell::Second(|row| month(row).from)),
    Column::of("ChargeCategory", Cell::Text(|_, _| "Usage".into())),
    Column::of("ChargeClass", Cell::Text(class)),
    Column::of("ChargeDescription", Cell::Text(description)),
    Column::of("ChargeFrequency", Cell::Text(|_, _| "Usage-Based".into())),
    Column::of("ChargePeriodEnd", Cell::Second(|row| row.hour.to)),
    Column::of("ChargePeriodStart", Cell::Second(|row| row.hour.from)),
    Column::of("ConsumedQuantity", QUANTITY),
    Column::of("ConsumedUnit", UNIT),
    Column::of("ContractedCost", Cell::Cost),
    Column::of("ContractedUnitPrice", PRICE),
    Column::of("EffectiveCost", Cell::Cost),
    Column::of("HostProviderName", PROVIDER),
    Column::of("InvoiceIssuerName", PROVIDER),
    Column::of("ListCost", Cell::Cost),
    Column::of("ListUnitPrice", PRICE),
    Column::of("PricingCategory", Cell::Text(category)),
    Column::of("PricingQuantity", QUANTITY),
    Column::of("PricingUnit", UNIT),
    Column::of("RegionId", REGION),
    Column::of("RegionName", REGION),
    Column::of(
        "ResourceId",
        Cell::Text(|row, _| row.key.session.uid.as_str().into()),
    ),
    Column::of("ResourceName", Cell::Text(|row, _| (&row.group).into())),
    Column::of("ResourceType", Cell::Text(|_, _| "Container Group".into())),
    Column::of("ServiceCategory", Cell::Text(|_, _| "Compute".into())),
    Column::of("ServiceName", Cell::Text(|_, _| "Burstlet".into())),
    Column::of("ServiceProviderName", PROVIDER),
    Column::of("SkuId", Cell::Text(|row, _| (&row.sku.id).into())),
    Column::of(
        "SkuMeter",
        Cell::Text(|row, _| row.sku.meter.as_str().into()),
    ),
    Column::of("SkuPriceId", Cell::Text(price_id)),
    Column::of("SubAccountId", NAMESPACE),
    Column::of("SubAccountName", NAMESPACE),
    Column::of("Tags", Cell::Text(|row, _| json(&row.tags).into())),
    Column::of(
        "x_BookVersion",
        Cell::Text(|row, _| row.key.book.to_string().into()),
    ),
    Column::of("x_RowId", Cell::Text(|row, _| row.id().into())),
    Column::of(
        "x_SessionId",
        Cell::Text(|row, _| row.key.session.to_string().into()),
    ),
    Column::of("x_SessionStart", Cell::Moment(|row| row.session_start)),
];

fn class<'a>(row: &'a Row, _: &'a Invoice) -> Cow<'a, str> {
    if row.is_correction { "Correction" } else { "" }.into()
}

fn category<'a>(row: &'a Row, _: &'a Invoice) -> Cow<'a, str> {
    if row.is_spot { "Dynamic" } else { "Standard" }.into()
}

fn description<'a>(row: &'a Row, _: &'a Invoice) -> Cow<'a, str> {
    let (sku, namespace, group) = (&row.sku.id, &row.namespace, &row.group);
    format!("{sku} of {namespace}/{group}").into()
}

fn price_id<'a>(row: &'a Row, _: &'a Invoice) -> Cow<'a, str> {
    format!("{}/{}", row.sku.id, row.key.book).into()
}

/// The month of UTC that a row is in.
fn month(row: &Row) -> Window {
    let at = row.hour.from;
    let month = crate::budget::Period::Month.at(at);
    month.unwrap_or(Window { from: at, to: at })
}

fn moment(at: WallTime) -> Timestamp {
    Timestamp::from_nanosecond(at.0.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A flat JSON object, its keys in order.
pub(crate) fn json(tags: &BTreeMap<String, String>) -> String {
    let mut out = String::from("{");
    for (index, (tag, value)) in tags.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(&mut out, tag);
        out.push(':');
        quote(&mut out, value);
    }
    out.push('}');
    out
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
