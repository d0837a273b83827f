//! The verbs of `Images`.

use std::io;

use burstlet_model::spec::{PullPolicy, RegistryCredential};
use burstlet_model::{ImageRef, Namespace, Secret};
use burstlet_proto::v1;
use burstlet_proto::v1::import_images_request::Request as Message;
use burstlet_proto::v1::pull_image_response::Progress as Reply;
use burstlet_supervisor::host::Host;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio_util::io::StreamReader;
use tonic::{Status, Streaming};

use crate::access::Asked;
use crate::machine::{Machine, PullImage};
use crate::status;
use crate::streams::{self, Answer, Answers};

/// Pulls an image, telling how far it is.
pub(crate) fn pull<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::PullImageRequest,
) -> Result<Answers<v1::PullImageResponse>, Status> {
    let request = pull_request(api, request)?;
    api.caller()
        .note(|about| about.image = Some(request.image.to_string()));
    api.pulls(&request.namespace, 1)?;
    let permit = api.stream_permit()?;
    let span = tracing::info_span!("pull", image = %request.image);
    let api = api.clone();
    Ok(streams::task(permit, span, |answers| async move {
        let name = request.image.to_string();
        let (progress, followed) = watch::channel(v1::PullProgress::default());
        let pull = api.machine().pull(request, progress);
        let image = tokio::select! {
            image = pull => image.map_err(|error| status::image(&error, &name))?,
            never = follow(followed, &answers) => match never {},
        };
        let image = match api.tenant() {
            None => image,
            Some(_) => for_tenant(image, name),
        };
        let last = v1::PullImageResponse {
            progress: Some(Reply::Image(image)),
        };
        // If the client has gone there is nobody to tell.
        let _ = streams::send(&answers, last).await;
        Ok(())
    }))
}

/// Tells the latest progress whenever the client takes it.
async fn follow(
    mut progress: watch::Receiver<v1::PullProgress>,
    answers: &Answer<v1::PullImageResponse>,
) -> std::convert::Infallible {
    while progress.changed().await.is_ok() {
        let layers = progress.borrow_and_update().clone();
        let answer = v1::PullImageResponse {
            progress: Some(Reply::Layers(layers)),
        };
        if streams::send(answers, answer).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// An image without what others call it and do with it.
fn for_tenant(image: v1::Image, name: String) -> v1::Image {
    v1::Image {
        names: vec![name],
        pulled_at: None,
        last_used_at: None,
        in_use_by: 0,
        ..image
    }
}

fn pull_request<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::PullImageRequest,
) -> Result<PullImage, Status> {
    let image = image_ref("image", &request.image)?;
    let policy = match request.pull_policy.as_str() {
        "" | "Always" => PullPolicy::Always,
        "IfNotPresent" => PullPolicy::IfNotPresent,
        "Never" => PullPolicy::Never,
        _ => {
            let message = "it is none of Always, IfNotPresent, Never";
            return Err(status::invalid("pull_policy", message));
        }
    };
    let namespace = match api.within(&request.namespace)? {
        Some(namespace) => namespace,
        None => Namespace::new(api.home())
            .map_err(|error| status::invalid("namespace", error.to_string()))?,
    };
    let credential = request.credential.map(|credential| RegistryCredential {
        registry: image.registry().to_owned(),
        username: credential.username,
        password: Secret::new(credential.password),
    });
    Ok(PullImage {
        image,
        policy,
        credential,
        namespace,
    })
}

/// Takes the images of an archive that the client streams.
pub(crate) async fn import<H: Host, M: Machine>(
    api: &Asked<H, M>,
    mut requests: Streaming<v1::ImportImagesRequest>,
) -> Result<v1::ImportImagesResponse, Status> {
    let first = requests.message().await?.and_then(|first| first.request);
    let Some(Message::Start(start)) = first else {
        return Err(status::no_start());
    };
    let name = match start.name.as_str() {
        "" => None,
        name => Some(image_ref("name", name)?),
    };
    api.caller()
        .note(|about| about.image = name.as_ref().map(ToString::to_string));
    let _permit = api.stream_permit()?;
    let bytes = requests.map(|message| match message {
        Ok(v1::ImportImagesRequest {
            request: Some(Message::Data(bytes)),
        }) => Ok(io::Cursor::new(bytes)),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a piece of the archive",
        )),
        Err(status) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, status)),
    });
    let images = api
        .machine()
        .import(name, Box::new(StreamReader::new(bytes)))
        .await
        .map_err(|error| status::host(&error))?;
    Ok(v1::ImportImagesResponse { images })
}

/// Every image, in the order of names.
pub(crate) async fn list<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::ListImagesRequest,
) -> Result<v1::ListImagesResponse, Status> {
    let mut images = api
        .machine()
        .images()
        .await
        .map_err(|error| status::host(&error))?;
    let wanted = &request.name_contains;
    images.retain(|image| wanted.is_empty() || image.names.iter().any(|n| n.contains(wanted)));
    images.sort_by(|a, b| (&a.names, &a.digest).cmp(&(&b.names, &b.digest)));
    Ok(v1::ListImagesResponse { images })
}

/// One image.
pub(crate) async fn get<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::GetImageRequest,
) -> Result<v1::Image, Status> {
    let name = named(&request.image)?;
    let image = api.machine().image(name).await;
    image.map_err(|error| status::image(&error, name))
}

/// Removes a name.
pub(crate) async fn remove<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::RemoveImageRequest,
) -> Result<v1::RemoveImageResponse, Status> {
    let name = named(&request.image)?;
    api.caller()
        .note(|about| about.image = Some(name.to_owned()));
    let removed = api.machine().remove_image(name).await;
    removed.map_err(|error| status::image(&error, name))
}

/// Removes what nothing needs.
pub(crate) async fn prune<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::PruneImagesRequest,
) -> Result<v1::PruneImagesResponse, Status> {
    let pruned = api.machine().prune_images(request.all).await;
    pruned.map_err(|error| status::host(&error))
}

fn named(name: &str) -> Result<&str, Status> {
    match name {
        "" => Err(status::invalid("image", "a name or digest is needed")),
        name => Ok(name),
    }
}

fn image_ref(field: &str, text: &str) -> Result<ImageRef, Status> {
    text.parse()
        .map_err(|error: burstlet_model::ImageRefError| status::invalid(field, error.to_string()))
}
