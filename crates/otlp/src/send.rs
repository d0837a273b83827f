//! How something gets to the collector: tried again after a pause that grows, so often or until it is
//! there.
//!
//! | the collector says                           | what follows                                    |
//! |----------------------------------------------|-------------------------------------------------|
//! | it has it, or all but what it does not want  | done; what it did not want counts as dropped    |
//! | nothing, or that it cannot now               | again, with more patience each time             |
//! | that it never will                           | dropped; what must arrive waits for an operator |

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use tonic::{Code, Status};

use crate::counts::{Counts, Signal};
use crate::record::Record;

/// Records of one batch.
pub const BATCH_RECORDS_MAX: usize = 512;
/// The pause before the second try; doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is sent at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Lines of the log, or events.
    Records(Vec<LogRecord>),
    /// Metrics of one moment.
    Metrics(Vec<Metric>),
}

/// How long it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So often; then it is dropped.
    Tries(u32),
    /// Until the collector has it.
    Endless,
}

/// Somebody who takes what he is told.
pub trait Collector: Send + Sync {
    /// Takes a batch, and says how much of it he did not want.
    ///
    /// # Errors
    /// He has nothing of it, or nobody knows.
    fn take(
        &self,
        signal: Signal,
        batch: &Batch,
    ) -> impl Future<Output = Result<u64, Status>> + Send;
}

/// Sends batches of one signal.
#[derive(Debug)]
pub struct Sender<C> {
    collector: C,
    signal: Signal,
    counts: Counts,
    /// The last try failed, and somebody was told.
    is_failing: AtomicBool,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Done { unwanted: u64 },
    Again { pause: Duration },
    Drop,
}

impl Batch {
    /// Of records.
    #[must_use]
    pub fn of(records: Vec<Record>) -> Self {
        Self::Records(records.into_iter().map(Record::into_proto).collect())
    }

    /// How many things it counts as.
    fn len(&self) -> u64 {
        match self {
            Self::Records(records) => records.len() as u64,
            Self::Metrics(_) => 1,
        }
    }
}

impl<C: Collector> Sender<C> {
    /// Sends to this collector.
    pub const fn new(collector: C, signal: Signal, counts: Counts) -> Self {
        Self {
            collector,
            signal,
            counts,
            is_failing: AtomicBool::new(false),
        }
    }

    /// Sends a batch; whether the collector has it. May be dropped at any point: then nobody knows.
    pub async fn send(&self, batch: &Batch, patience: Patience) -> bool {
        let mut tried = 0;
        loop {
            let answer = self.collector.take(self.signal, batch).await;
            tried += 1;
            self.tell(&answer);
            match next(&answer, tried, patience) {
                Next::Done { unwanted } => {
                    let unwanted = unwanted.min(batch.len());
                    self.counts.add_sent(self.signal, batch.len() - unwanted);
                    self.counts.add_dropped(self.signal, unwanted);
                    return true;
                }
                Next::Again { pause } => tokio::time::sleep(pause).await,
                Next::Drop => {
                    self.counts.add_dropped(self.signal, batch.len());
                    return false;
                }
            }
        }
    }

    /// Counts records that nobody will send any more.
    pub fn forgo(&self, records: u64) {
        self.counts.add_dropped(self.signal, records);
    }

    /// A person hears of the first failure, and that it is over; not of each.
    fn tell(&self, answer: &Result<u64, Status>) {
        let signal = self.signal.as_str();
        match answer {
            Ok(unwanted) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(signal, "the collector answers again");
                }
                if *unwanted > 0 {
                    tracing::warn!(
                        signal,
                        unwanted,
                        "the collector does not want all it is told"
                    );
                }
            }
            Err(status) => {
                self.counts.add_failure(self.signal);
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    let error = status as &dyn std::error::Error;
                    tracing::warn!(signal, error, "the collector does not take what it is told");
                }
            }
        }
    }
}

fn next(answer: &Result<u64, Status>, tried: u32, patience: Patience) -> Next {
    let status = match answer {
        Ok(unwanted) => {
            return Next::Done {
                unwanted: *unwanted,
            };
        }
        Err(status) => status,
    };
    let may_change = may_change(status.code());
    match patience {
        Patience::Tries(tries) if tried >= tries || !may_change => Next::Drop,
        _ => Next::Again {
            pause: match may_change {
                true => pause(tried),
                false => PAUSE_MAX,
            },
        },
    }
}

/// Whether the same may be taken later, as the protocol has it. Somebody else's answer counts as
/// none.
const fn may_change(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
            | Code::Unknown
    )
}

/// The pause after so many tries.
fn pause(tried: u32) -> Duration {
    let doubled = 2u32.saturating_pow(tried.saturating_sub(1));
    PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    /// Answers as it was told, then takes everything.
    #[derive(Debug, Default)]
    struct Scripted(Mutex<VecDeque<Result<u64, Code>>>);

    impl Collector for Scripted {
        async fn take(&self, _: Signal, _: &Batch) -> Result<u64, Status> {
            let answer = self.0.lock().unwrap().pop_front().unwrap_or(Ok(0));
            answer.map_err(|code| Status::new(code, "as the test wants it"))
        }
    }

    fn three() -> Batch {
        Batch::Records(vec![LogRecord::default(); 3])
    }

    /// What came of a batch of three: whether it is there, in how many seconds, and the counts.
    async fn sent(answers: &[Result<u64, Code>], patience: Patience) -> (bool, u64, [u64; 3]) {
        let counts = Counts::default();
        let collector = Scripted(Mutex::new(answers.iter().copied().collect()));
        let sender = Sender::new(collector, Signal::Events, counts.clone());
        let begun = Instant::now();
        let is_there = sender.send(&three(), patience).await;
        let signal = Signal::Events;
        let counted = [
            counts.sent(signal),
            counts.dropped(signal),
            counts.failures(signal),
        ];
        (is_there, begun.elapsed().as_secs(), counted)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_tried_again_so_often() {
        let (down, never) = (Err(Code::Unavailable), Err(Code::Unauthenticated));
        let tries = Patience::Tries(3);
        assert_eq!(sent(&[], tries).await, (true, 0, [3, 0, 0]));
        assert_eq!(sent(&[Ok(1)], tries).await, (true, 0, [2, 1, 0]));
        assert_eq!(sent(&[Ok(99)], tries).await, (true, 0, [0, 3, 0]));
        assert_eq!(sent(&[down; 2], tries).await, (true, 1 + 2, [3, 0, 2]));
        assert_eq!(sent(&[down; 3], tries).await, (false, 1 + 2, [0, 3, 3]));
        assert_eq!(sent(&[never], tries).await, (false, 0, [0, 3, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_arrive_is_tried_until_it_has() {
        let down = [Err(Code::Unavailable); 7];
        let seconds = 1 + 2 + 4 + 8 + 16 + 30 + 30;
        let endless = Patience::Endless;
        assert_eq!(sent(&down, endless).await, (true, seconds, [3, 0, 7]));
        let never = [Err(Code::Unauthenticated); 2];
        assert_eq!(sent(&never, endless).await, (true, 60, [3, 0, 2]));
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses = [1, 2, 3, 5, 6, u32::MAX].map(|tried| pause(tried).as_secs());
        assert_eq!(pauses, [1, 2, 4, 16, 30, 30]);
    }
}
