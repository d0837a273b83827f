//! Logs, in batches: a log may have hundreds of megabytes a second.

use burstlet_proto::v1;
use burstlet_supervisor::host::{Host, HostError};
use burstlet_supervisor::stream::{LogRecord, LogRequest, LogStream};
use tokio::sync::mpsc;
use tonic::Status;

use super::resolve;
use crate::access::Asked;
use crate::machine::Machine;
use crate::streams::{self, Answer, Answers};
use crate::{convert, status};

/// Records of one answer.
const BATCH_RECORDS_MAX: usize = 512;
/// Bytes of text of one answer, beyond which the next begins.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A container's log.
pub(crate) async fn logs<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::LogsRequest,
) -> Result<Answers<v1::LogsResponse>, Status> {
    let handle = resolve::group(api, request.group.as_ref())?;
    let container = resolve::container(api, &handle.snapshot(), &request.container)?;
    let stream = match request.stream() {
        v1::LogStream::Unspecified => None,
        v1::LogStream::Stdout => Some(LogStream::Stdout),
        v1::LogStream::Stderr => Some(LogStream::Stderr),
    };
    let wanted = LogRequest {
        container,
        follow: request.follow,
        tail_lines: request.tail_lines,
        since: request.since.as_ref().map(convert::wall_time),
        until: request.until.as_ref().map(convert::wall_time),
        previous: request.previous,
        stream,
        limit_bytes: request.limit_bytes,
    };
    let permit = api.stream_permit()?;
    let records = api
        .groups()
        .logs(handle.uid(), wanted)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    let span = tracing::debug_span!("logs", group = %handle.name());
    Ok(streams::task(permit, span, |answers| {
        pump(records, answers)
    }))
}

async fn pump(
    mut records: mpsc::Receiver<Result<LogRecord, HostError>>,
    answers: Answer<v1::LogsResponse>,
) -> Result<(), Status> {
    let mut received = Vec::with_capacity(BATCH_RECORDS_MAX);
    while records.recv_many(&mut received, BATCH_RECORDS_MAX).await > 0 {
        let mut batch = Vec::with_capacity(received.len());
        let mut bytes = 0;
        for record in received.drain(..) {
            // What came before an error is sent before it.
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let _ = flush(&answers, &mut batch).await;
                    return Err(status::host(&error));
                }
            };
            bytes += record.text.len();
            batch.push(convert_record(record));
            if bytes >= BATCH_BYTES_MAX {
                bytes = 0;
                if flush(&answers, &mut batch).await.is_err() {
                    return Ok(());
                }
            }
        }
        if flush(&answers, &mut batch).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn flush(
    answers: &Answer<v1::LogsResponse>,
    batch: &mut Vec<v1::LogRecord>,
) -> Result<(), streams::Gone> {
    if batch.is_empty() {
        return Ok(());
    }
    let records = std::mem::take(batch);
    streams::send(answers, v1::LogsResponse { records }).await
}

fn convert_record(record: LogRecord) -> v1::LogRecord {
    let stream = match record.stream {
        LogStream::Stdout => v1::LogStream::Stdout,
        LogStream::Stderr => v1::LogStream::Stderr,
    };
    v1::LogRecord {
        at: Some(convert::timestamp(record.at)),
        stream: stream.into(),
        text: record.text,
    }
}
