//! An image store that remembers what it was given.

use std::pin::Pin;

use burstlet_proto::v1 as api;
use burstlet_proto::v1::images_server::Images;
use burstlet_proto::v1::{import_images_request, layer_progress, pull_image_response};
use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use super::agent::Agent;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Images for Agent {
    type PullStream = Pin<Box<dyn Stream<Item = Result<api::PullImageResponse, Status>> + Send>>;

    async fn pull(&self, request: Request<api::PullImageRequest>) -> Answer<Self::PullStream> {
        let request = request.into_inner();
        if request.image == "secret" && request.credential.is_none_or(|c| c.password != "open") {
            return Err(Status::unauthenticated("registry localhost: sign in first"));
        }
        let layer = |state: layer_progress::State, done_bytes| {
            let layer = api::LayerProgress {
                digest: "sha256:00".to_owned(),
                state: state.into(),
                done_bytes,
                total_bytes: 10,
            };
            let progress = api::PullProgress {
                layers: vec![layer],
            };
            pull_image_response::Progress::Layers(progress)
        };
        let steps = [
            layer(layer_progress::State::Downloading, 4),
            layer(layer_progress::State::Done, 10),
            pull_image_response::Progress::Image(image(&request.image)),
        ];
        let steps = steps.map(|step| {
            Ok(api::PullImageResponse {
                progress: Some(step),
            })
        });
        Ok(Response::new(stream::iter(steps).boxed()))
    }

    async fn import(
        &self,
        request: Request<Streaming<api::ImportImagesRequest>>,
    ) -> Answer<api::ImportImagesResponse> {
        let mut requests = request.into_inner();
        let (mut name, mut archive) = (String::new(), Vec::new());
        while let Some(request) = requests.message().await? {
            match request.request {
                Some(import_images_request::Request::Start(start)) => name = start.name,
                Some(import_images_request::Request::Data(data)) => archive.extend(data),
                None => {}
            }
        }
        self.seen().imported = archive;
        Ok(Response::new(api::ImportImagesResponse {
            images: vec![image(&name)],
        }))
    }

    async fn list(&self, _: Request<api::ListImagesRequest>) -> Answer<api::ListImagesResponse> {
        Ok(Response::new(api::ListImagesResponse {
            images: vec![image("a"), image("b")],
        }))
    }

    async fn get(&self, _: Request<api::GetImageRequest>) -> Answer<api::Image> {
        Ok(Response::new(image("a")))
    }

    /// Refuses what is in use.
    async fn remove(
        &self,
        request: Request<api::RemoveImageRequest>,
    ) -> Answer<api::RemoveImageResponse> {
        match request.into_inner().image.as_str() {
            "used" => Err(Status::failed_precondition("used is in use by 1 group")),
            name => Ok(Response::new(api::RemoveImageResponse {
                removed_names: vec![name.to_owned()],
                removed_digests: vec![],
            })),
        }
    }

    async fn prune(&self, _: Request<api::PruneImagesRequest>) -> Answer<api::PruneImagesResponse> {
        let removed_digests = vec!["sha256:00".to_owned()];
        Ok(Response::new(api::PruneImagesResponse {
            removed_digests,
            freed_bytes: 2048,
        }))
    }
}

fn image(name: &str) -> api::Image {
    api::Image {
        names: vec![name.to_owned()],
        digest: "sha256:00".to_owned(),
        ..Default::default()
    }
}
