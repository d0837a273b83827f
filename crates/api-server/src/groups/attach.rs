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
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answers};

/// Joins the container of the first message; the rest is the session.
pub(crate) async fn attach<H: Host, M: Machine>(
    api: &Asked<H, M>,
    mut requests: Streaming<v1::AttachRequest>,
) -> Result<Answers<v1::AttachResponse>, Status> {
    let first = requests.message().await?.and_then(|first| first.request);
    let Some(Message::Start(start)) = first else {
        return Err(status::no_start());
    };
    let handle = resolve::group(api, start.group.as_ref())?;
    let request = AttachRequest {
        container: resolve::container(api, &handle.snapshot(), &start.container)?,
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

session::wire!(v1::AttachRequest, v1::AttachResponse, Message, Reply);
