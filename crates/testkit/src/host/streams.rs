//! Streams of containers that do not exist.
//!
//! `exec` knows three programs: `cat` copies its input until that closes, `exit N` ends with code
//! N, and anything else prints its command line and ends well.

use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::{
    AttachRequest, ExecRequest, ExecSession, LogRecord, LogRequest, PortStream, Reader,
    SessionExit, Writer,
};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// Bytes under way in one direction.
const PIPE_BYTES: usize = 64 * 1024;
/// Records under way.
const LOG_RECORDS: usize = 16;

pub(super) fn logs(
    records: Vec<LogRecord>,
    request: &LogRequest,
) -> mpsc::Receiver<Result<LogRecord, HostError>> {
    let (sender, receiver) = mpsc::channel(LOG_RECORDS);
    let wanted = |record: &LogRecord| {
        request.stream.is_none_or(|stream| stream == record.stream)
            && request.since.is_none_or(|since| record.at >= since)
            && request.until.is_none_or(|until| record.at < until)
    };
    let wanted: Vec<_> = records.into_iter().filter(wanted).collect();
    let tail = request
        .tail_lines
        .and_then(|lines| usize::try_from(lines).ok());
    let skip = tail.map_or(0, |lines| wanted.len().saturating_sub(lines));
    let follow = request.follow;
    tokio::spawn(async move {
        for record in wanted.into_iter().skip(skip) {
            if sender.send(Ok(record)).await.is_err() {
                return;
            }
        }
        if follow {
            sender.closed().await;
        }
    });
    receiver
}

pub(super) fn exec(request: ExecRequest) -> ExecSession {
    let (stdin, input) = duplex(PIPE_BYTES);
    let (output, stdout) = duplex(PIPE_BYTES);
    let (exited, exit) = oneshot::channel();
    let (control, controlled) = mpsc::channel(4);
    tokio::spawn(async move {
        // Held, so that a client can send controls as long as the program runs.
        let _controlled = controlled;
        let code = run(&request.command, input, output).await;
        let _ = exited.send(Ok(SessionExit { code }));
    });
    ExecSession {
        stdin: request.stdin.then(|| Box::new(stdin) as Writer),
        stdout: Some(Box::new(stdout) as Reader),
        stderr: request
            .tty
            .is_none()
            .then(|| Box::new(tokio::io::empty()) as Reader),
        control,
        exit,
    }
}

/// Joins a container that copies its input.
pub(super) fn attach(request: AttachRequest) -> ExecSession {
    exec(ExecRequest {
        container: request.container,
        command: vec!["cat".to_owned()],
        tty: request.size,
        stdin: request.stdin,
    })
}

/// A port that copies what it receives.
pub(super) async fn dial() -> std::io::Result<PortStream> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    tokio::spawn(async move {
        let (mut from, mut to) = server.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    Ok(client)
}

async fn run(command: &[String], mut input: DuplexStream, mut output: DuplexStream) -> i32 {
    match command {
        [program] if program == "cat" => {
            let _ = tokio::io::copy(&mut input, &mut output).await;
            0
        }
        [program, code] if program == "exit" => code.parse().unwrap_or(1),
        words => {
            let _ = output
                .write_all(format!("{}\n", words.join(" ")).as_bytes())
                .await;
            0
        }
    }
}
