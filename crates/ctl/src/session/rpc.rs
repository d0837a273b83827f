//! Exec and Attach as sessions: the two calls have messages of the same shape.

use anyhow::Result;
use burstlet_proto::v1::{
    AttachRequest, AttachResponse, AttachStart, CloseStdin, ExecRequest, ExecResponse, ExecStart,
    TerminalSize, attach_request, attach_response, exec_request, exec_response,
};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::terminal::WindowSize;
use super::{End, INPUTS_MAX, Input, Options, Output, drive};
use crate::client::Client;

/// Runs a command and stays with it.
pub(crate) async fn exec(client: &Client, start: ExecStart, options: &Options) -> Result<End> {
    let (inputs, receive) = mpsc::channel(INPUTS_MAX);
    let first = ExecRequest {
        request: Some(exec_request::Request::Start(start)),
    };
    let rest = ReceiverStream::new(receive).map(exec_input);
    let requests = stream::once(async { first }).chain(rest);
    let responses = client.groups().exec(requests).await?.into_inner();
    drive(
        options,
        inputs,
        responses.map(|message| message.and_then(exec_output)),
    )
    .await
}

/// Joins a container and stays with it.
pub(crate) async fn attach(client: &Client, start: AttachStart, options: &Options) -> Result<End> {
    let (inputs, receive) = mpsc::channel(INPUTS_MAX);
    let first = AttachRequest {
        request: Some(attach_request::Request::Start(start)),
    };
    let rest = ReceiverStream::new(receive).map(attach_input);
    let requests = stream::once(async { first }).chain(rest);
    let responses = client.groups().attach(requests).await?.into_inner();
    drive(
        options,
        inputs,
        responses.map(|message| message.and_then(attach_output)),
    )
    .await
}

impl From<WindowSize> for TerminalSize {
    fn from(size: WindowSize) -> Self {
        Self {
            columns: size.columns,
            rows: size.rows,
        }
    }
}

fn exec_input(input: Input) -> ExecRequest {
    use exec_request::Request;
    let request = match input {
        Input::Stdin(bytes) => Request::Stdin(bytes),
        Input::CloseStdin => Request::CloseStdin(CloseStdin {}),
        Input::Resize(size) => Request::Resize(size.into()),
        Input::Signal(number) => Request::Signal(number),
    };
    ExecRequest {
        request: Some(request),
    }
}

fn attach_input(input: Input) -> AttachRequest {
    use attach_request::Request;
    let request = match input {
        Input::Stdin(bytes) => Request::Stdin(bytes),
        Input::CloseStdin => Request::CloseStdin(CloseStdin {}),
        Input::Resize(size) => Request::Resize(size.into()),
        Input::Signal(number) => Request::Signal(number),
    };
    AttachRequest {
        request: Some(request),
    }
}

fn exec_output(message: ExecResponse) -> Result<Output, Status> {
    use exec_response::Response;
    match message.response {
        Some(Response::Started(_)) => Ok(Output::Started),
        Some(Response::Stdout(bytes)) => Ok(Output::Stdout(bytes)),
        Some(Response::Stderr(bytes)) => Ok(Output::Stderr(bytes)),
        Some(Response::Exit(exit)) => Ok(Output::Exit(exit.code)),
        None => Err(unknown()),
    }
}

fn attach_output(message: AttachResponse) -> Result<Output, Status> {
    use attach_response::Response;
    match message.response {
        Some(Response::Started(_)) => Ok(Output::Started),
        Some(Response::Stdout(bytes)) => Ok(Output::Stdout(bytes)),
        Some(Response::Stderr(bytes)) => Ok(Output::Stderr(bytes)),
        Some(Response::Exit(exit)) => Ok(Output::Exit(exit.code)),
        None => Err(unknown()),
    }
}

fn unknown() -> Status {
    Status::internal("the agent sent a message that this burstctl does not know")
}
