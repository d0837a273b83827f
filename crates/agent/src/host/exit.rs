//! How a run ended, in the status's words: with its reason and what it left to say.

use std::path::Path;

use burstlet_cgroup::FinalUsage;
use burstlet_model::ContainerName;
use burstlet_model::status::ExitStatus;
use burstlet_sandbox::logs::{LogQuery, LogReader, Progress, Record};
use burstlet_sandbox::plan::LAST_WORDS;
use burstlet_sandbox::protocol::Exit;

use super::layout::{Layout, Run};
use super::run_file::{RunFile, Termination};

/// Of the log that stands in for a container's last words.
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: u64 = 80;
const SIGKILL: i32 = 9;

/// The end of a run with its reason and last words. Blocks.
pub(super) fn explain(
    layout: &Layout,
    container: &ContainerName,
    attempt: u32,
    exit: &Exit,
) -> ExitStatus {
    let run = Run { container, attempt };
    let mut message = last_words(exit);
    let of_log = RunFile::read(layout.dir(), container)
        .is_ok_and(|file| file.termination == Termination::FileOrLog && file.attempt == attempt);
    if message.is_empty() && of_log && exit.code != Some(0) {
        message = log_tail(&layout.logs(run));
    }
    plain(exit, message)
}

/// The same without a look at the disk.
pub(super) fn plain(exit: &Exit, message: String) -> ExitStatus {
    let code = exit
        .code
        .unwrap_or_else(|| 128 + exit.signal.unwrap_or(SIGKILL));
    let contents = exit
        .finals
        .iter()
        .filter_map(|f| Some((f.key.as_str(), f.content.as_deref()?)));
    let oom = FinalUsage::parse(contents)
        .oom_kills
        .is_some_and(|kills| kills > 0);
    let reason = match code {
        0 => "Completed",
        _ if oom => "OOMKilled",
        _ => "Error",
    };
    ExitStatus {
        code,
        signal: exit.signal.and_then(|signal| u8::try_from(signal).ok()),
        reason: reason.to_owned(),
        message,
        started_at: Some(exit.started),
        finished_at: exit.finished,
    }
}

/// What the container left in its file for last words; the keeper has bounded it.
fn last_words(exit: &Exit) -> String {
    let words = exit.finals.iter().find(|value| value.key == LAST_WORDS);
    words
        .and_then(|value| value.content.clone())
        .unwrap_or_default()
}

/// The end of what a run logged. A piece at a time, and no more kept than is shown.
fn log_tail(dir: &Path) -> String {
    let query = LogQuery {
        tail_lines: Some(LOG_LINES_MAX),
        ..LogQuery::default()
    };
    let mut tail = Vec::new();
    if let Ok(mut reader) = LogReader::open(dir, query) {
        let mut keep = |record: Record<'_>| {
            tail.extend_from_slice(record.text);
            tail.drain(..tail.len().saturating_sub(LOG_BYTES_MAX));
        };
        while let Ok(Progress::More) = reader.read(&mut keep) {}
    }
    String::from_utf8_lossy(&tail).into_owned()
}

#[cfg(test)]
mod tests {
    use burstlet_model::Stamp;
    use burstlet_sandbox::protocol::FinalValue;

    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>, oom_kills: u64) -> Exit {
        let content = Some(format!(
            "oom_kill_disable 0\nunder_oom 0\noom_kill {oom_kills}\n"
        ));
        let finals = vec![FinalValue {
            key: "memory.oom_control".to_owned(),
            content,
        }];
        Exit {
            code,
            signal,
            started: Stamp::default(),
            finished: Stamp::default(),
            finals,
        }
    }

    #[test]
    fn reasons() {
        for (exit, code, reason) in [
            (exit(Some(0), None, 0), 0, "Completed"),
            (exit(Some(3), None, 0), 3, "Error"),
            (exit(None, Some(9), 0), 137, "Error"),
            (exit(None, Some(9), 1), 137, "OOMKilled"),
            (exit(Some(1), None, 2), 1, "OOMKilled"),
            (exit(Some(0), None, 2), 0, "Completed"),
        ] {
            let status = plain(&exit, String::new());
            assert_eq!((status.code, status.reason.as_str()), (code, reason));
        }
    }

    #[test]
    fn last_words_come_with_the_end() {
        let mut exit = exit(Some(1), None, 0);
        assert_eq!(last_words(&exit), "");
        exit.finals.push(FinalValue {
            key: LAST_WORDS.to_owned(),
            content: Some("no such table".to_owned()),
        });
        assert_eq!(last_words(&exit), "no such table");
    }
}
