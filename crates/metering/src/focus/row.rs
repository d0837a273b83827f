//! One row: a charge for an hour of a session at one price.

use std::collections::BTreeMap;

use burstlet_model::WallTime;

use crate::book::{Book, BookVersion, Sku};
use crate::money::Decimal;
use crate::record::{Scheduling, SessionId};
use crate::sessions::{Session, Window};

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
    pub(super) is_correction: bool,
    pub(super) sku: Sku,
    pub(super) currency: String,
    pub(super) namespace: String,
    pub(super) group: String,
    pub(super) is_spot: bool,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) session_start: WallTime,
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
    pub(super) fn id(&self) -> String {
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
}
