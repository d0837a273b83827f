//! Exec and Attach as sessions: the two calls have messages of the same shape and of two types.

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

macro_rules! session {
    (
        $(#[$doc:meta])*
        fn $call:ident($Start:ty);
        $Request:ident($request:ident) -> $Response:ident($response:ident)
    ) => {
        $(#[$doc])*
        pub(crate) async fn $call(client: &Client, start: $Start, options: &Options) -> Result<End> {
            use $request::Request as Asked;
            use $response::Response as Said;
            let ask = |asked| $Request {
                request: Some(asked),
            };
            let (inputs, receive) = mpsc::channel(INPUTS_MAX);
            let rest = ReceiverStream::new(receive).map(move |input| {
                ask(match input {
                    Input::Stdin(bytes) => Asked::Stdin(bytes),
                    Input::CloseStdin => Asked::CloseStdin(CloseStdin {}),
                    Input::Resize(size) => Asked::Resize(size.into()),
                    Input::Signal(number) => Asked::Signal(number),
                })
            });
            let requests = stream::once(async move { ask(Asked::Start(start)) }).chain(rest);
            let responses = client.groups().$call(requests).await?.into_inner();
            let outputs = responses.map(|message: Result<$Response, Status>| {
                match message?.response {
                    Some(Said::Started(_)) => Ok(Output::Started),
                    Some(Said::Stdout(bytes)) => Ok(Output::Stdout(bytes)),
                    Some(Said::Stderr(bytes)) => Ok(Output::Stderr(bytes)),
                    Some(Said::Exit(exit)) => Ok(Output::Exit(exit.code)),
                    None => Err(unknown()),
                }
            });
            drive(options, inputs, outputs).await
        }
    };
}

session! {
    /// Runs a command and stays with it.
    fn exec(ExecStart);
    ExecRequest(exec_request) -> ExecResponse(exec_response)
}

session! {
    /// Joins a container and stays with it.
    fn attach(AttachStart);
    AttachRequest(attach_request) -> AttachResponse(attach_response)
}

impl From<WindowSize> for TerminalSize {
    fn from(size: WindowSize) -> Self {
        Self {
            columns: size.columns,
            rows: size.rows,
        }
    }
}

fn unknown() -> Status {
    Status::internal("the agent sent a message that this burstctl does not know")
}
