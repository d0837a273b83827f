//! What a collector is told by OTLP over gRPC, and how it gets there.
//!
//! ```text
//! the log ──► queue (bounded; full: dropped, counted) ────┐
//! pages of metrics ──► families ──────────────────────────┼─► deliver ──► collector
//! events, the audit trail ──► batches of who keeps them ──┘   (tries, pauses)
//! ```
//!
//! Nothing that is told of waits for the collector: whoever logs puts a record in a queue or drops it.
//! What must not be lost is kept by its owner until [`Sender::send`] says that the collector has it.
//!
//! This crate refuses to know what the records, metrics and events are about.

mod counts;
mod layer;
mod page;
mod queue;
mod record;
mod send;
mod target;

pub use counts::{Counts, Signal};
pub use layer::LogLayer;
pub use page::{PageError, Times, batches, families};
pub use queue::{Entrance, QUEUE_RECORDS_MAX, Queue, queue};
pub use record::{Record, Severity, Value};
pub use send::{BATCH_RECORDS_MAX, Batch, Collector, Patience, Sender};
pub use target::{Grpc, Source, Target, TargetError};
