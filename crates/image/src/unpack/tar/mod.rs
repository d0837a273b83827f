//! The one tar reader, for layers and for image archives alike. It is stricter than any other: where
//! readers are known to differ (a size in two places, a name in two places, headers that apply to
//! something else, no end marker) the archive is refused rather than understood.
//!
//! The field layout comes from the `tar` crate; which fields count, and when, is decided here.

mod header;
mod pax;
mod reader;
mod sparse;

pub(crate) use reader::{Entry, EntryKind, Reader, Timestamp};
