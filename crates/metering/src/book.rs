//! Price books: what is charged for, how much, from when on.
//!
//! A book is read once, at the edge, and is valid from then on. It is never edited: a new price is
//! a new book with a later date. Its version is the SHA-256 of its canonical text, which says the
//! same as the text it was read from, in one spelling only, and can be read as a book again.

mod amounts;
mod canonical;
mod parse;
mod profile;
mod raw;
mod shelf;
mod sku;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod unit;

use std::fmt;

use burstlet_model::{ErrorKind, WallTime};
use sha2::{Digest, Sha256};

pub use amounts::{Amounts, Rounding, Size, Sizes, Step};
pub use profile::{BilledStates, Profile};
pub use shelf::{Shelf, ShelfError, Shelved};
pub(crate) use sku::select;
pub use sku::{Attribute, Attributes, Sku};
pub use unit::{Amount, Meter, SECOND_NS, Span, Unit};

use crate::money::{Decimal, MoneyError};
use crate::record::{BOOK_BYTES_MAX, BookText};

/// Prices of one book.
pub const SKUS_MAX: usize = 512;
/// Commitments, and machines to compare with, of one book.
pub const EXTRAS_MAX: usize = 64;

/// Why a text is not a price book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The text is too long.
    #[error("a price book has at most {BOOK_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// The text is not TOML, or has keys that a book has not.
    #[error("read the price book: {0}")]
    Syntax(String),
    /// A value is wrong.
    #[error("price book, {place}: {problem}")]
    Value {
        /// The key.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A number is wrong.
    #[error("price book, {place}")]
    Number {
        /// The key.
        place: String,
        /// What is wrong with it.
        source: MoneyError,
    },
}

impl BookError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// The SHA-256 of a book's canonical text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookVersion(pub [u8; 32]);

impl BookVersion {
    fn of(canonical: &str) -> Self {
        Self(Sha256::digest(canonical.as_bytes()).into())
    }
}

impl fmt::Display for BookVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BookVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Capacity that is paid for whether it is used or not, at a lower price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Its name.
    pub id: String,
    /// Whose use it covers, as an index into the book's prices.
    pub sku: usize,
    /// How much is committed to at all times, in the meter's smallest amounts.
    pub amount: u64,
    /// The price for one unit of the covered price.
    pub price: Decimal,
}

/// A whole machine that one could rent instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// What it costs, used or not.
    pub hourly_price: Decimal,
}

/// A price book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Of its canonical text; asked for with every charge, so it is worked out once.
    version: BookVersion,
    pub(crate) name: String,
    pub(crate) currency: String,
    pub(crate) effective_from: WallTime,
    pub(crate) profile: Profile,
    pub(crate) cpu: Step,
    pub(crate) memory: Step,
    pub(crate) sizes: Option<Sizes>,
    pub(crate) skus: Vec<Sku>,
    pub(crate) commitments: Vec<Commitment>,
    pub(crate) machines: Vec<Machine>,
}

impl Book {
    /// Reads a book.
    ///
    /// # Errors
    /// The text is not a book.
    pub fn parse(text: &str) -> Result<Self, BookError> {
        parse::book(text)
    }

    /// The book in its one spelling.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical::text(self)
    }

    /// What the book is known by.
    #[must_use]
    pub const fn version(&self) -> BookVersion {
        self.version
    }

    /// The book as the ledger keeps it.
    #[must_use]
    pub fn to_record(&self) -> BookText {
        BookText {
            name: self.name.clone(),
            version: self.version().0,
            effective: self.effective_from,
            text: self.canonical(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The currency, by its three letters.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// From when on it counts.
    #[must_use]
    pub const fn effective_from(&self) -> WallTime {
        self.effective_from
    }

    /// Which states are billed, and how.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The prices.
    #[must_use]
    pub fn skus(&self) -> &[Sku] {
        &self.skus
    }

    /// The commitments.
    #[must_use]
    pub fn commitments(&self) -> &[Commitment] {
        &self.commitments
    }

    /// The machines to compare with.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The amounts that are billed for what a group asked for: fitted into the book's sizes, then
    /// rounded to its steps. What fits no size is billed as it is.
    #[must_use]
    pub fn billed(&self, asked: Amounts) -> Amounts {
        let fitted = self
            .sizes
            .as_ref()
            .and_then(|sizes| sizes.fit(asked.cpu_milli, asked.memory));
        let (cpu_milli, memory) = fitted.unwrap_or((asked.cpu_milli, asked.memory));
        Amounts {
            cpu_milli: self.cpu.round(cpu_milli),
            memory: self.memory.round(memory),
            ..asked
        }
    }
}
