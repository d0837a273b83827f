//! One row, and how it is written.

use std::collections::BTreeMap;
use std::fmt::Write;

use burstlet_model::WallTime;
use jiff::Timestamp;

use crate::book::{Book, BookVersion, Sku};
use crate::money::Decimal;
use crate::record::{Scheduling, SessionId};
use crate::sessions::{Session, Window};

/// The columns: those that FOCUS demands, those that apply, and our own.
pub const COLUMNS: [&str; 42] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_BookVersion",
    "x_RowId",
    "x_SessionId",
    "x_SessionStart",
];

/// Who bills whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The account that is billed.
    pub account: String,
    /// Who runs the machine and bills for it.
    pub provider: String,
    /// Where the machine is.
    pub region: String,
}

/// What a row is about, beside its hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    /// The session.
    pub(super) session: SessionId,
    /// The price.
    pub(super) sku: String,
    /// The price's book.
    pub(super) book: BookVersion,
}

/// A charge for an hour of a session at one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub(super) hour: Window,
    pub(super) key: RowKey,
    pub(super) quantity: Decimal,
    is_correction: bool,
    sku: Sku,
    currency: String,
    namespace: String,
    group: String,
    is_spot: bool,
    tags: BTreeMap<String, String>,
    session_start: WallTime,
}

impl Row {
    pub(super) fn new(
        session: &Session,
        book: &Book,
        sku: usize,
        hour: Window,
        quantity: Decimal,
    ) -> Self {
        let opened = session.opened();
        let sku = book.skus()[sku].clone();
        Self {
            hour,
            key: RowKey {
                session: session.id().clone(),
                sku: sku.id.clone(),
                book: book.version(),
            },
            quantity,
            is_correction: false,
            sku,
            currency: book.currency().to_owned(),
            namespace: opened.group.namespace.to_string(),
            group: opened.group.name.to_string(),
            is_spot: opened.scheduling == Scheduling::Spot,
            tags: opened.tags.clone(),
            session_start: session.opened_at().stamp.wall,
        }
    }

    /// In the unit of the price.
    #[must_use]
    pub const fn quantity(&self) -> Decimal {
        self.quantity
    }

    /// For one unit.
    #[must_use]
    pub const fn price(&self) -> Decimal {
        self.sku.price
    }

    pub(super) fn as_correction(&self) -> Self {
        Self {
            is_correction: true,
            ..self.clone()
        }
    }

    pub(super) fn taken_back(&self) -> Self {
        Self {
            quantity: Decimal::ZERO.minus(self.quantity),
            ..self.as_correction()
        }
    }

    /// Known by what it is about: the same row has the same id in every export.
    fn id(&self) -> String {
        let (key, hour) = (&self.key, self.hour.from.unix_s());
        let kind = match (self.is_correction, self.quantity < Decimal::ZERO) {
            (false, _) => "usage",
            (true, false) => "correction",
            (true, true) => "reversal",
        };
        let RowKey { session, sku, book } = key;
        let book: String = book.to_string().chars().take(8).collect();
        format!("{session}/{hour}/{sku}/{book}/{kind}")
    }

    fn cells(&self, invoice: &Invoice) -> [String; 42] {
        let cost = self.quantity.product_text(self.sku.price);
        let (price, quantity) = (self.sku.price.to_string(), self.quantity.to_string());
        let unit = self.sku.unit.plural();
        let month = month_of(self.hour.from);
        let meter = self.sku.meter.as_str().to_owned();
        let plain = str::to_owned;
        [
            cost.clone(),
            invoice.account.clone(),
            invoice.account.clone(),
            self.currency.clone(),
            second(month.to),
            second(month.from),
            plain("Usage"),
            plain(if self.is_correction { "Correction" } else { "" }),
            format!("{} of {}/{}", self.sku.id, self.namespace, self.group),
            plain("Usage-Based"),
            second(self.hour.to),
            second(self.hour.from),
            quantity.clone(),
            unit.clone(),
            cost.clone(),
            price.clone(),
            cost.clone(),
            invoice.provider.clone(),
            invoice.provider.clone(),
            cost,
            price,
            plain(if self.is_spot { "Dynamic" } else { "Standard" }),
            quantity,
            unit,
            invoice.region.clone(),
            invoice.region.clone(),
            self.key.session.uid.to_string(),
            self.group.clone(),
            plain("Container Group"),
            plain("Compute"),
            plain("Burstlet"),
            invoice.provider.clone(),
            self.sku.id.clone(),
            meter,
            format!("{}/{}", self.sku.id, self.key.book),
            self.namespace.clone(),
            self.namespace.clone(),
            json(&self.tags),
            self.key.book.to_string(),
            self.id(),
            self.key.session.to_string(),
            moment(self.session_start).to_string(),
        ]
    }
}

/// The rows with their columns' names, as RFC 4180 has it.
#[must_use]
pub fn csv(rows: &[Row], invoice: &Invoice) -> String {
    let mut out = String::new();
    line(&mut out, &COLUMNS);
    for row in rows {
        line(&mut out, &row.cells(invoice));
    }
    out
}

fn line(out: &mut String, cells: &[impl AsRef<str>]) {
    for (index, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
        if index > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}

fn moment(at: WallTime) -> Timestamp {
    Timestamp::from_nanosecond(at.0.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whole seconds, in UTC.
fn second(at: WallTime) -> String {
    moment(WallTime(at.unix_s().saturating_mul(1_000_000_000))).to_string()
}

/// The month of UTC that a moment is in.
fn month_of(at: WallTime) -> Window {
    crate::budget::Period::Month
        .at(at)
        .unwrap_or(Window { from: at, to: at })
}

/// A flat JSON object, its keys in order.
fn json(tags: &BTreeMap<String, String>) -> String {
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
