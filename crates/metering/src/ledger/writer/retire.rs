//! Old segments go, and what they came to stays.
//!
//! ```text
//! a record with the hash ─► the file with that hash ─► segments go, oldest first
//! ```
//!
//! After a crash in between a record without its file means nothing, and segments that a file
//! stands for are not read, and go when the ledger is opened.

use super::{AppendError, Receipt, Storage, Writer};
use crate::carried::Carried;
use crate::ledger::segment::{Named, carried_name, carried_number};
use crate::record::{Entry, Fact};

impl<S: Storage> Writer<S> {
    /// Writes down what is carried on of segments, and lets these go.
    ///
    /// # Errors
    /// It is of another ledger or of segments that are written to; or the disk fails, and what did
    /// not go is tried again when the ledger is opened.
    pub fn retire(&mut self, carried: &Carried) -> Result<Receipt, AppendError> {
        if carried.ledger != self.ledger || carried.segment >= self.segment {
            let why = format!("segment {} is not over", carried.segment);
            return Err(AppendError::Retire(why));
        }
        let (bytes, carry) = carried.encode()?;
        let at = (self.options.clock)();
        let fact = Fact::Carried(carry);
        let written = self.commit(vec![vec![Entry { at, fact }]]).pop();
        let receipt = written.unwrap_or(Err(AppendError::Closed))?;
        let name = carried_name(carried.segment);
        self.storage
            .create(&name, &bytes, bytes.len() as u64)
            .map_err(|error| AppendError::Retire(format!("{name}: {error}")))?;
        self.clear(carried.segment)?;
        self.status.segments = u64::from(self.segment - carried.segment);
        Ok(receipt)
    }

    /// Lets go of everything that `carried-NUMBER` stands for.
    pub(super) fn clear(&mut self, number: u32) -> Result<(), AppendError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |error| AppendError::Retire(format!("{name}: {error}"))
        };
        let names = self.storage.list().map_err(failed("list the files"))?;
        for name in names {
            let is_segment = Named::parse(&name).is_some_and(|named| named.number <= number);
            let is_carried = carried_number(&name).is_some_and(|older| older < number);
            if is_segment || is_carried {
                let archive = self.options.archive;
                self.storage.retire(&name, archive).map_err(failed(&name))?;
            }
        }
        Ok(())
    }
}
