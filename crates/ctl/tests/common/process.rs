//! Exec of commands of this machine, so that `tar` and shells are real.

use std::process::Stdio;

use burstlet_proto::v1::exec_request::Request;
use burstlet_proto::v1::exec_response::Response;
use burstlet_proto::v1::{ExecExit, ExecRequest, ExecResponse, ExecStart, ExecStarted};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

type Sender = mpsc::Sender<Result<ExecResponse, Status>>;

/// Runs the command of the first request.
pub(crate) async fn exec(
    mut requests: Streaming<ExecRequest>,
) -> Result<impl Stream<Item = Result<ExecResponse, Status>>, Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.request);
    let Some(Request::Start(start)) = first else {
        return Err(Status::aborted("no start"));
    };
    if start.group.as_ref().is_none_or(|group| group.name != "web") {
        return Err(Status::not_found("no such group"));
    }
    let (send, receive) = mpsc::channel(4);
    if start.tty {
        tokio::spawn(echo(requests, send));
    } else {
        let child = spawn(&start)?;
        tokio::spawn(carry(requests, child, send));
    }
    Ok(ReceiverStream::new(receive))
}

fn spawn(start: &ExecStart) -> Result<Child, Status> {
    let (program, args) = start.command.split_first().unwrap();
    let mut command = Command::new(program);
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.stdin(if start.stdin {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.spawn().map_err(|fault| {
        let mut details = ErrorDetails::new();
        let reason = match fault.kind() {
            std::io::ErrorKind::NotFound => "CommandNotFound",
            _ => "CommandNotExecutable",
        };
        details.set_error_info(reason, "burstlet.dev", std::collections::HashMap::new());
        let text = format!("exec {program}: {fault}");
        Status::with_error_details(Code::FailedPrecondition, text, details)
    })
}

/// Plays a program on a terminal: says what is typed and what size it has; `x` ends it with 3.
async fn echo(mut requests: Streaming<ExecRequest>, send: Sender) {
    tell(&send, Response::Started(ExecStarted {})).await;
    while let Ok(Some(request)) = requests.message().await {
        match request.request {
            Some(Request::Stdin(bytes)) if bytes.contains(&b'x') => {
                return tell(&send, Response::Exit(ExecExit { code: 3 })).await;
            }
            Some(Request::Stdin(bytes)) => {
                let text = format!("typed {}\n", bytes.escape_ascii());
                tell(&send, Response::Stdout(text.into_bytes())).await;
            }
            Some(Request::Resize(size)) => {
                let text = format!("size {}x{}\n", size.columns, size.rows);
                tell(&send, Response::Stdout(text.into_bytes())).await;
            }
            Some(Request::Signal(number)) => {
                let text = format!("signal {number}\n");
                tell(&send, Response::Stdout(text.into_bytes())).await;
            }
            _ => {}
        }
    }
}

async fn carry(requests: Streaming<ExecRequest>, mut child: Child, send: Sender) {
    tell(&send, Response::Started(ExecStarted {})).await;
    let pid = child.id().unwrap();
    let input = tokio::spawn(feed(requests, child.stdin.take(), pid));
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    tokio::join!(
        pump(stdout, &send, Response::Stdout),
        pump(stderr, &send, Response::Stderr)
    );
    let status = child.wait().await.unwrap();
    input.abort();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let code = status.code().or(signal.map(|signal| 128 + signal)).unwrap();
    tell(&send, Response::Exit(ExecExit { code })).await;
}

async fn feed(mut requests: Streaming<ExecRequest>, mut stdin: Option<ChildStdin>, pid: u32) {
    while let Ok(Some(request)) = requests.message().await {
        match request.request {
            Some(Request::Stdin(bytes)) => {
                if let Some(stdin) = &mut stdin {
                    let _ = stdin.write_all(&bytes).await;
                }
            }
            Some(Request::CloseStdin(_)) => stdin = None,
            Some(Request::Signal(number)) => {
                let pid = pid.to_string();
                let args = ["-s", &number.to_string(), &pid];
                Command::new("kill").args(args).status().await.unwrap();
            }
            _ => {}
        }
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, to: &Sender, wrap: fn(Vec<u8>) -> Response) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tell(to, wrap(buffer[..length].to_vec())).await;
    }
}

async fn tell(to: &Sender, response: Response) {
    let _ = to
        .send(Ok(ExecResponse {
            response: Some(response),
        }))
        .await;
}
