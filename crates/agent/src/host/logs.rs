//! Reading containers' logs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burstlet_model::{ErrorKind, GroupUid};
use burstlet_sandbox::logs::{LogQuery, LogReader, LogStream, OwnedRecord, Stream};
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::{self, LogRecord, LogRequest};
use tokio::sync::{mpsc, watch};

use super::RealHost;
use super::failure::{aborted, fail};
use super::group::{Group, RunState};

/// Records read ahead of a client; one that is slow holds the reading back.
const RECORDS_MAX: usize = 256;
const LOGS_FAILED: &str = "LogsFailed";

type Records = mpsc::Receiver<Result<LogRecord, HostError>>;

impl RealHost {
    pub(super) async fn read_logs(
        &self,
        uid: &GroupUid,
        request: LogRequest,
    ) -> Result<Records, HostError> {
        let group = self.group(uid);
        let follow = request.follow && !request.previous;
        let query = LogQuery {
            follow,
            tail_lines: request.tail_lines,
            since: request.since,
            until: request.until,
            stream: request.stream.map(|stream| match stream {
                stream::LogStream::Stdout => Stream::Stdout,
                stream::LogStream::Stderr => Stream::Stderr,
            }),
            limit_bytes: request.limit_bytes,
        };
        let of = Arc::clone(&group);
        let wanted = request.clone();
        let open = move || open(&of, &wanted, query);
        let opened = tokio::task::spawn_blocking(open)
            .await
            .map_err(|error| aborted(&error))?;
        let (dir, attempt, reader) = opened?;
        let running = running(&group, &request, attempt);
        let (sender, receiver) = mpsc::channel(RECORDS_MAX);
        tokio::spawn(async move { pump(LogStream::new(&dir, reader, running), sender).await });
        Ok(receiver)
    }
}

/// Opens the log of the wanted run. Blocks.
fn open(
    group: &Group,
    request: &LogRequest,
    query: LogQuery,
) -> Result<(PathBuf, u32, LogReader), HostError> {
    let container = &request.container;
    let all = group.layout.logs_all(container);
    let latest = attempts(&all).max();
    let wanted = if request.previous {
        latest.and_then(|n| n.checked_sub(1))
    } else {
        latest
    };
    let attempt = wanted.ok_or_else(|| {
        let what = if request.previous {
            "has not run before"
        } else {
            "has not started yet"
        };
        HostError::new(
            ErrorKind::FailedPrecondition,
            LOGS_FAILED,
            format!("container {container} {what}"),
        )
    })?;
    let dir = all.join(attempt.to_string());
    let reader =
        LogReader::open(&dir, query).map_err(|error| fail(error.kind(), LOGS_FAILED, &error))?;
    Ok((dir, attempt, reader))
}

fn attempts(dir: &Path) -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether the run is still writing, now and from now on.
fn running(group: &Group, request: &LogRequest, attempt: u32) -> watch::Receiver<bool> {
    let watch = group.watch(&request.container);
    let writes = move |run: &RunState| run.is_running() && run.attempt() == attempt;
    let Some(mut watch) = watch.filter(|watch| writes(&watch.borrow())) else {
        return watch::channel(false).1;
    };
    let (tell, running) = watch::channel(true);
    tokio::spawn(async move {
        // Either the run has ended or the group is gone, or nobody reads any more.
        tokio::select! {
            _ = watch.wait_for(|run| !writes(run)) => tell.send_replace(false),
            () = tell.closed() => false,
        }
    });
    running
}

async fn pump(mut log: LogStream, sender: mpsc::Sender<Result<LogRecord, HostError>>) {
    loop {
        let batch = tokio::select! {
            batch = log.next() => batch,
            () = sender.closed() => return,
        };
        match batch {
            Ok(Some(records)) => {
                for record in records {
                    if sender.send(Ok(convert(record))).await.is_err() {
                        return;
                    }
                }
            }
            Ok(None) => return,
            Err(error) => {
                let _ = sender
                    .send(Err(fail(error.kind(), LOGS_FAILED, &error)))
                    .await;
                return;
            }
        }
    }
}

fn convert(record: OwnedRecord) -> LogRecord {
    let stream = match record.stream {
        Stream::Stdout => stream::LogStream::Stdout,
        Stream::Stderr => stream::LogStream::Stderr,
    };
    LogRecord {
        at: record.at,
        stream,
        text: record.text,
    }
}
