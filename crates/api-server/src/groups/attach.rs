//! Attach: the standard streams of a running container.

use burstlet_proto::v1;
use burstlet_proto::v1::attach_request::Request as Message;
use burstlet_proto::v1::attach_response::Response as Reply;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::stream::{AttachRequest, SessionControl};
use futures_util::StreamExt;
use tonic::{Status, Streaming};

use super::resolve;
use super::session::{self, Input, Output};
use crate::api::Api;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answers};

/// Joins the container of the first message; the rest is the session.
pub(crate) async fn attach<H: Host, M: Machine>(
    api: &Api<H, M>,
    mut requests: Streaming<v1::AttachRequest>,
) -> Result<Answers<v1::AttachResponse>, Status> {
    let first = requests.message().await?.and_then(|first| first.request);
    let Some(Message::Start(start)) = first else {
        return Err(status::no_start());
    };
    let handle = resolve::group(api.groups(), start.group.as_ref())?;
    let request = AttachRequest {
        container: resolve::container(&handle.snapshot(), &start.container)?,
        stdin: start.stdin,
        size: start.size.as_ref().map(session::terminal_size),
    };
    let permit = api.stream_permit()?;
    let span =
        tracing::info_span!("attach", group = %handle.name(), container = %request.container);
    let live = api
        .groups()
        .attach(handle.uid(), request)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    let input = requests.filter_map(async |message| input(message).transpose());
    Ok(streams::task(permit, span, |answers| {
        session::run(live, input, answers, output)
    }))
}

fn input(message: Result<v1::AttachRequest, Status>) -> Result<Option<Input>, Status> {
    Ok(match message?.request {
        None => None,
        Some(Message::Start(_)) => return Err(status::invalid("start", "the session has begun")),
        Some(Message::Stdin(bytes)) => Some(Input::Stdin(bytes)),
        Some(Message::CloseStdin(_)) => Some(Input::CloseStdin),
        Some(Message::Resize(size)) => {
            let size = session::terminal_size(&size);
            Some(Input::Control(SessionControl::Resize(size)))
        }
        Some(Message::Signal(number)) => {
            let signal = session::signal(number)?;
            Some(Input::Control(SessionControl::Signal(signal)))
        }
    })
}

fn output(output: Output) -> v1::AttachResponse {
    let reply = match output {
        Output::Started => Reply::Started(v1::ExecStarted {}),
        Output::Stdout(bytes) => Reply::Stdout(bytes),
        Output::Stderr(bytes) => Reply::Stderr(bytes),
        Output::Exit(exit) => Reply::Exit(v1::ExecExit { code: exit.code }),
    };
    v1::AttachResponse {
        response: Some(reply),
    }
}
