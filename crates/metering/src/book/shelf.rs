//! All books, in the order in which they came into force.

use std::sync::Arc;

use burstlet_model::{ErrorKind, WallTime};

use super::Book;

/// Why books do not make a shelf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// Two different books have the same date.
    #[error("the price books {0} and {1} have the same date")]
    SameMoment(String, String),
    /// Money of two currencies cannot be summed.
    #[error("the price book {book} is in {found}, and those before it in {expected}")]
    Currency {
        /// The book.
        book: String,
        /// Its currency.
        found: String,
        /// The others'.
        expected: String,
    },
}

impl ShelfError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A book with the moment from which on it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// The book's date, or later.
    pub from: WallTime,
    /// The book.
    pub book: Arc<Book>,
}

/// The books that prices are looked up in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    books: Vec<Shelved>,
}

impl Shelf {
    /// Puts books in order, each used from its date on. The same book twice is one book.
    ///
    /// # Errors
    /// Two books have the same date, or different currencies.
    pub fn new(books: impl IntoIterator<Item = Book>) -> Result<Self, ShelfError> {
        let mut books = books.into_iter();
        books.try_fold(Self::default(), |shelf, book| {
            shelf.with(book, WallTime(i64::MIN))
        })
    }

    /// A shelf with one book that was always in force.
    #[must_use]
    pub fn always(book: impl Into<Arc<Book>>) -> Self {
        let shelved = Shelved {
            from: WallTime(i64::MIN),
            book: book.into(),
        };
        Self {
            books: vec![shelved],
        }
    }

    /// The shelf with one more book, which is not used before a moment even if its date is earlier.
    /// A book that is there already stays as it is.
    ///
    /// # Errors
    /// It has the date of another book, or another currency.
    pub fn with(&self, book: Book, not_before: WallTime) -> Result<Self, ShelfError> {
        if self.books.iter().any(|known| *known.book == book) {
            return Ok(self.clone());
        }
        for known in &self.books {
            fits(&known.book, &book)?;
        }
        let mut books = self.books.clone();
        books.push(Shelved {
            from: book.effective_from.max(not_before),
            book: Arc::new(book),
        });
        // Of two that came too late for their dates the one with the later date is in force.
        books.sort_by_key(|shelved| (shelved.from, shelved.book.effective_from));
        Ok(Self { books })
    }

    /// The books, the earliest first.
    #[must_use]
    pub fn books(&self) -> &[Shelved] {
        &self.books
    }

    /// The currency of all of them; nothing without a book.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.books.first().map(|shelved| shelved.book.currency())
    }

    /// The book in force at a moment; nothing before the first.
    #[must_use]
    pub fn at(&self, moment: WallTime) -> Option<&Arc<Book>> {
        self.at_begin(moment, false)
    }

    /// The book by which a group is charged that begins at a moment. Where one `has_book` come into
    /// force, an earlier moment than that is one of a clock that was set back.
    #[must_use]
    pub fn at_begin(&self, moment: WallTime, has_book: bool) -> Option<&Arc<Book>> {
        let index = self.in_force(moment, has_book)?;
        self.books.get(index).map(|shelved| &shelved.book)
    }

    /// The index of the book in force at a label. Where one is known to be, a label before the first
    /// is that of a clock that was set back, and the first is in force.
    pub(crate) fn in_force(&self, label: WallTime, has_book: bool) -> Option<usize> {
        let first = (has_book && !self.books.is_empty()).then_some(0);
        self.after(label).checked_sub(1).or(first)
    }

    /// The index of the first book that is not in force yet.
    pub(crate) fn after(&self, moment: WallTime) -> usize {
        self.books.partition_point(|shelved| shelved.from <= moment)
    }
}

fn fits(before: &Book, book: &Book) -> Result<(), ShelfError> {
    if before.effective_from == book.effective_from {
        let names = (before.name.clone(), book.name.clone());
        return Err(ShelfError::SameMoment(names.0, names.1));
    }
    if before.currency != book.currency {
        return Err(ShelfError::Currency {
            book: book.name.clone(),
            found: book.currency.clone(),
            expected: before.currency.clone(),
        });
    }
    Ok(())
}
