//! Exec: a command in a running container.

use burstlet_access::argv_sha256;
use burstlet_proto::v1;
use burstlet_proto::v1::exec_request::Request as Message;
use burstlet_proto::v1::exec_response::Response as Reply;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::stream::{ExecRequest, SessionControl};
use futures_util::StreamExt;
use tonic::{Status, Streaming};

use super::resolve;
use super::session::{self, Input, Output};
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answers};

/// The size of a terminal whose client does not tell its own.
const TERMINAL_DEFAULT: v1::TerminalSize = v1::TerminalSize {
    columns: 80,
    rows: 24,
};
/// Bytes of a command and its arguments.
const COMMAND_BYTES_MAX: usize = 512 << 10;

/// Runs the command of the first message; the rest is its session.
pub(crate) async fn exec<H: Host, M: Machine>(
    api: &Asked<H, M>,
    mut requests: Streaming<v1::ExecRequest>,
) -> Result<Answers<v1::ExecResponse>, Status> {
    let first = requests.message().await?.and_then(|first| first.request);
    let Some(Message::Start(start)) = first else {
        return Err(status::no_start());
    };
    let handle = resolve::group(api, start.group.as_ref())?;
    let request = ExecRequest {
        container: resolve::container(api, &handle.snapshot(), &start.container)?,
        command: command(start.command)?,
        tty: start
            .tty
            .then(|| session::terminal_size(start.size.as_ref().unwrap_or(&TERMINAL_DEFAULT))),
        stdin: start.stdin,
    };
    api.caller()
        .note(|about| about.argv_sha256 = Some(argv_sha256(&request.command)));
    let permit = api.stream_permit()?;
    let span = tracing::info_span!("exec", group = %handle.name(), container = %request.container);
    let live = api
        .groups()
        .exec(handle.uid(), request)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    let input = requests.filter_map(async |message| input(message).transpose());
    Ok(streams::task(permit, span, |answers| {
        session::run(live, input, answers, output)
    }))
}

fn command(command: Vec<String>) -> Result<Vec<String>, Status> {
    let bytes: usize = command.iter().map(String::len).sum();
    if command.first().is_none_or(String::is_empty) {
        return Err(status::invalid("command", "a program is needed"));
    }
    if bytes > COMMAND_BYTES_MAX || command.iter().any(|word| word.contains('\0')) {
        let message = format!("at most {COMMAND_BYTES_MAX} bytes without zero bytes are taken");
        return Err(status::invalid("command", message));
    }
    Ok(command)
}

session::wire!(v1::ExecRequest, v1::ExecResponse, Message, Reply);
