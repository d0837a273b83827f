//! Logs as text.

use burstlet_model::WallTime;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::backend::LogRecord;
use crate::refused::Refused;

/// A log's records as their text, each line after its time if `timestamps`, and no more than
/// `limit_bytes`. An error ends it: its head was sent long before.
pub(crate) fn text(
    records: mpsc::Receiver<Result<LogRecord, Refused>>,
    timestamps: bool,
    limit_bytes: Option<u64>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let lines = Lines {
        timestamps,
        left: limit_bytes,
        within_line: false,
    };
    let state = (ReceiverStream::new(records), lines);
    stream::unfold(state, |(mut records, mut lines)| async move {
        if lines.left == Some(0) {
            return None;
        }
        match records.next().await? {
            Ok(record) => Some((lines.show(record), (records, lines))),
            Err(refused) => {
                tracing::debug!(%refused, "a log ended before its end");
                None
            }
        }
    })
}

struct Lines {
    timestamps: bool,
    left: Option<u64>,
    /// The last record did not end its line.
    within_line: bool,
}

impl Lines {
    fn show(&mut self, record: LogRecord) -> Bytes {
        let begins_line = !self.within_line;
        self.within_line = !record.text.ends_with(b"\n");
        let mut shown = record.text;
        if self.timestamps && begins_line {
            let mut stamped = format!("{} ", timestamp(record.at)).into_bytes();
            stamped.append(&mut shown);
            shown = stamped;
        }
        if let Some(left) = &mut self.left {
            shown.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= shown.len() as u64;
        }
        shown.into()
    }
}

/// As RFC 3339 has it, in UTC and always with nine digits.
fn timestamp(at: WallTime) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default();
    format!("{time:.9}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    async fn check(timestamps: bool, limit_bytes: Option<u64>, expected: &str) {
        let (records, received) = mpsc::channel(8);
        for (at, text) in [(1, "one "), (2, "line\n"), (1_500_000_003, "two\n")] {
            let (at, text) = (WallTime(at), text.as_bytes().to_vec());
            records.send(Ok(LogRecord { at, text })).await.unwrap();
        }
        drop(records);
        let pieces: Vec<Bytes> = text(received, timestamps, limit_bytes).collect().await;
        assert_eq!(String::from_utf8(pieces.concat()).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_line_has_one_time_however_many_records_it_has() {
        check(false, None, "one line\ntwo\n").await;
        let stamped = "1970-01-01T00:00:00.000000001Z one line\n\
                       1970-01-01T00:00:01.500000003Z two\n";
        check(true, None, stamped).await;
    }

    #[tokio::test]
    async fn a_limit_cuts_where_it_falls() {
        check(false, Some(6), "one li").await;
        check(false, Some(4), "one ").await;
        check(true, Some(33), "1970-01-01T00:00:00.000000001Z on").await;
    }
}
