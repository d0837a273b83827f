//! A command in a container whose streams are ours to use, not the user's.

use anyhow::{Result, bail};
use burstlet_proto::v1::{CloseStdin, ExecRequest, ExecStart, exec_request, exec_response};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::human::clean;

/// What is kept of the command's complaints.
const COMPLAINT_BYTES_MAX: usize = 4096;

/// The two ends.
#[derive(Debug, Default)]
pub(crate) struct Piped {
    /// What the command reads; closed with the channel.
    pub(crate) stdin: Option<mpsc::Receiver<Vec<u8>>>,
    /// What the command writes. A receiver that has gone ends the command.
    pub(crate) stdout: Option<mpsc::Sender<Vec<u8>>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// What it wrote on standard error, cleaned.
    pub(crate) complaint: String,
}

/// Runs a command to its end.
pub(crate) async fn exec_piped(client: &Client, start: ExecStart, piped: Piped) -> Result<Ended> {
    use exec_request::Request;
    let start = ExecStart {
        stdin: piped.stdin.is_some(),
        ..start
    };
    let data = match piped.stdin {
        Some(pieces) => ReceiverStream::new(pieces)
            .map(Request::Stdin)
            .chain(stream::once(async { Request::CloseStdin(CloseStdin {}) }))
            .boxed(),
        None => stream::empty().boxed(),
    };
    // The request stays open: its end would be taken as ours.
    let requests = stream::once(async { Request::Start(start) }).chain(data);
    let requests = requests.chain(stream::pending());
    let requests = requests.map(|request| ExecRequest {
        request: Some(request),
    });
    let mut answers = client.groups().exec(requests).await?.into_inner();
    let mut complaint = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.response {
            Some(exec_response::Response::Stdout(bytes)) => {
                if let Some(stdout) = &piped.stdout
                    && stdout.send(bytes).await.is_err()
                {
                    // Who reads says itself what went wrong.
                    return Ok(Ended {
                        code: 0,
                        complaint: String::new(),
                    });
                }
            }
            Some(exec_response::Response::Stderr(bytes)) => {
                let room = COMPLAINT_BYTES_MAX - complaint.len();
                complaint.extend(bytes.iter().take(room));
            }
            Some(exec_response::Response::Exit(exit)) => {
                let complaint = clean(String::from_utf8_lossy(&complaint).trim());
                return Ok(Ended {
                    code: exit.code,
                    complaint,
                });
            }
            Some(exec_response::Response::Started(_)) | None => {}
        }
    }
    bail!("the agent ended the session without an exit code: is it being stopped?")
}
