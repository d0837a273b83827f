//! `logs`: what a container wrote, each of its streams to ours.

use std::io::{self, Write};

use anyhow::{Context, Result};
use burstlet_proto::v1::{LogRecord, LogStream, LogsRequest};
use clap::ValueEnum;

use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::human;

/// The flags of `logs`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group
    name: String,
    /// Which container, if there are several
    #[arg(short, long, default_value = "", hide_default_value = true)]
    container: String,
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// Only from this time on: 10m (ago), or a time of RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The run before the current one
    #[arg(short, long)]
    previous: bool,
    /// Only one of the streams
    #[arg(long, value_enum)]
    stream: Option<Stream>,
    /// At most this many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stream {
    Stdout,
    Stderr,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// As they were written.
    Plain,
    /// After the time at which they were.
    WithTime,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let request = request(args, client)?;
    let lines = match args.timestamps {
        true => Lines::WithTime,
        false => Lines::Plain,
    };
    show(client, request, lines)
        .await
        .with_context(|| format!("read the logs of {}", args.name))?;
    Ok(Exit::SUCCESS)
}

/// Shows a log to its end.
pub(crate) async fn show(client: &Client, request: LogsRequest, lines: Lines) -> Result<()> {
    let mut answers = client.groups().logs(request).await?.into_inner();
    let mut printer = Printer::new(lines);
    while let Some(answer) = answers.message().await? {
        for record in &answer.records {
            printer.push(record);
        }
        printer.flush()?;
    }
    Ok(())
}

fn request(args: &Args, client: &Client) -> Result<LogsRequest> {
    let now = human::now();
    let moment = |flag: &str, text: &Option<String>| {
        let parsed = text
            .as_ref()
            .map(|text| human::parse_moment(text, &now))
            .transpose();
        parsed.map_err(|fault| UsageError(format!("{flag}: {fault}")))
    };
    let stream = match args.stream {
        None => LogStream::Unspecified,
        Some(Stream::Stdout) => LogStream::Stdout,
        Some(Stream::Stderr) => LogStream::Stderr,
    };
    Ok(LogsRequest {
        group: client.group(&args.name),
        container: args.container.clone(),
        follow: args.follow,
        tail_lines: args.tail,
        since: moment("--since", &args.since)?,
        until: moment("--until", &args.until)?,
        previous: args.previous,
        stream: stream.into(),
        limit_bytes: args.limit_bytes,
    })
}

/// Collects records for one write to each stream.
#[derive(Debug)]
struct Printer {
    lines: Lines,
    stdout: Pending,
    stderr: Pending,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    is_within_line: bool,
}

impl Printer {
    fn new(lines: Lines) -> Self {
        Self {
            lines,
            stdout: Pending::default(),
            stderr: Pending::default(),
        }
    }

    fn push(&mut self, record: &LogRecord) {
        let text = &record.text;
        if text.is_empty() {
            return;
        }
        let pending = match record.stream() {
            LogStream::Stderr => &mut self.stderr,
            LogStream::Stdout | LogStream::Unspecified => &mut self.stdout,
        };
        if self.lines == Lines::WithTime && !pending.is_within_line {
            let at = record.at.as_ref().map(human::moment).unwrap_or_default();
            pending.bytes.extend_from_slice(at.as_bytes());
            pending.bytes.push(b' ');
        }
        pending.bytes.extend_from_slice(text);
        pending.is_within_line = !text.ends_with(b"\n");
    }

    fn flush(&mut self) -> Result<()> {
        write(&mut io::stdout().lock(), &mut self.stdout.bytes)?;
        write(&mut io::stderr().lock(), &mut self.stderr.bytes)
    }
}

fn write(to: &mut impl Write, bytes: &mut Vec<u8>) -> Result<()> {
    if !bytes.is_empty() {
        to.write_all(bytes)
            .and_then(|()| to.flush())
            .context("write the log")?;
        bytes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pbjson_types::Timestamp;

    use super::*;

    fn printed(lines: Lines, records: &[(LogStream, &str)]) -> (String, String) {
        let mut printer = Printer::new(lines);
        for (seconds, (stream, text)) in (0..).zip(records) {
            printer.push(&LogRecord {
                at: Some(Timestamp { seconds, nanos: 0 }),
                stream: (*stream).into(),
                text: text.as_bytes().to_vec(),
            });
        }
        let text = |pending: &Pending| String::from_utf8_lossy(&pending.bytes).into_owned();
        (text(&printer.stdout), text(&printer.stderr))
    }

    #[test]
    fn each_stream_goes_to_its_own() {
        let records = [
            (LogStream::Stdout, "a\n"),
            (LogStream::Stderr, "b\n"),
            (LogStream::Stdout, "c"),
        ];
        let (out, err) = printed(Lines::Plain, &records);
        assert_eq!((out.as_str(), err.as_str()), ("a\nc", "b\n"));
    }

    #[test]
    fn times_begin_lines_and_not_parts_of_them() {
        let records = [
            (LogStream::Stdout, "one "),
            (LogStream::Stdout, "line\n"),
            (LogStream::Stdout, "2\n"),
        ];
        let (out, ..) = printed(Lines::WithTime, &records);
        let expected = "1970-01-01T00:00:00.000Z one line\n1970-01-01T00:00:02.000Z 2\n";
        assert_eq!(out, expected);
    }
}
