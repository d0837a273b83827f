//! The machine as the gRPC edge asks for it: its images, and what it is.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use burstlet_api_server::{Machine, Progress, PullImage};
use burstlet_image::import::Import;
use burstlet_image::store::{self, Image, ImportRequest, LayerStep, PrunePolicy, StoreError};
use burstlet_model::{ErrorKind, ImageRef, WallTime};
use burstlet_proto::Timestamp;
use burstlet_proto::v1;
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::config::Config;
use crate::doctor::{self, Finding, Verdict};
use crate::host::RealHost;
use crate::host::credentials;
use crate::host::failure::chain;
use crate::machine;

/// The largest archive that is taken.
const ARCHIVE_BYTES_MAX: u64 = 64 << 30;
const IMAGE_FAILED: &str = "ImageFailed";

/// The node as its clients see it.
pub(crate) struct Node {
    pub(crate) host: Arc<RealHost>,
    pub(crate) config: Arc<Config>,
    pub(crate) started: WallTime,
}

impl Machine for Node {
    async fn info(&self) -> v1::NodeInfo {
        let config = &self.config;
        let subnet = self.host.network.subnet();
        v1::NodeInfo {
            name: machine::host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            os_image: machine::os_image(),
            kernel: machine::kernel(),
            architecture: burstlet_image::Platform::host().architecture,
            cgroup_mode: if self.host.cgroups.hierarchy().is_v2() {
                "v2"
            } else {
                "v1"
            }
            .to_owned(),
            network_mode: config.network.mode.as_str().to_owned(),
            subnet: subnet.map(|subnet| subnet.to_string()).unwrap_or_default(),
            address: config.api_socket().display().to_string(),
            started_at: Some(timestamp(self.started)),
            now: Some(timestamp(machine::now().wall)),
            state_dir: config.state_dir.display().to_string(),
            run_dir: config.run_dir.display().to_string(),
        }
    }

    async fn doctor(&self) -> Vec<v1::HostFinding> {
        let config = Arc::clone(&self.config);
        let looked = tokio::task::spawn_blocking(move || doctor::look(&config)).await;
        let findings = looked.unwrap_or_default().into_iter();
        findings.map(host_finding).collect()
    }

    async fn pull(&self, request: PullImage, progress: Progress) -> Result<v1::Image, HostError> {
        let (tell, mut told) = watch::channel(store::PullProgress::default());
        let credentials = request.credential.as_ref().map(credentials).transpose()?;
        let wish = store::PullRequest {
            reference: request.image,
            policy: request.policy,
            credentials: credentials.into_iter().collect(),
            namespace: request.namespace,
            lease: None,
            progress: Some(tell),
            now: machine::now().wall,
        };
        let pull = self.host.images.pull(wish);
        let follow = async {
            while told.changed().await.is_ok() {
                progress.send_replace(progress_message(&told.borrow_and_update()));
            }
        };
        let (pulled, ()) = tokio::join!(pull, follow);
        let pulled = pulled.map_err(|error| refused(&error))?;
        Ok(self.message(&pulled.image))
    }

    async fn import(
        &self,
        name: Option<ImageRef>,
        archive: Reader,
    ) -> Result<Vec<v1::Image>, HostError> {
        let file = self.spool(archive).await?;
        let opened = tokio::task::spawn_blocking(move || Import::archive(file)).await;
        let opened = opened.map_err(|error| failed(ErrorKind::Internal, error.to_string()))?;
        let import = opened.map_err(|error| failed(error.kind(), chain(&error)))?;
        let request = ImportRequest {
            import,
            references: name.into_iter().collect(),
            progress: None,
            now: machine::now().wall,
        };
        let imported = self
            .host
            .images
            .import(request)
            .await
            .map_err(|error| refused(&error))?;
        Ok(imported
            .iter()
            .map(|imported| self.message(&imported.image))
            .collect())
    }

    async fn images(&self) -> Result<Vec<v1::Image>, HostError> {
        Ok(self
            .host
            .images
            .list()
            .iter()
            .map(|image| self.message(image))
            .collect())
    }

    async fn image(&self, name: &str) -> Result<v1::Image, HostError> {
        let image = self
            .host
            .images
            .get(name)
            .map_err(|error| refused(&error))?;
        Ok(self.message(&image))
    }

    async fn remove_image(&self, name: &str) -> Result<v1::RemoveImageResponse, HostError> {
        let removed = self
            .host
            .images
            .remove(name)
            .await
            .map_err(|error| refused(&error))?;
        Ok(v1::RemoveImageResponse {
            removed_names: removed.untagged.iter().map(ToString::to_string).collect(),
            removed_digests: removed.deleted.iter().map(ToString::to_string).collect(),
        })
    }

    async fn prune_images(&self, all: bool) -> Result<v1::PruneImagesResponse, HostError> {
        let unused_for = all.then_some(std::time::Duration::ZERO);
        let policy = PrunePolicy {
            unused_for,
            disk_bytes_max: None,
        };
        let pruned = self.host.images.prune(policy, machine::now().wall).await;
        let pruned = pruned.map_err(|error| refused(&error))?;
        Ok(v1::PruneImagesResponse {
            removed_digests: pruned.images.iter().map(ToString::to_string).collect(),
            freed_bytes: pruned.disk_bytes,
        })
    }
}

impl Node {
    /// An archive comes as a stream and is read at random: it is kept in a file without a name,
    /// which is gone when it is closed.
    async fn spool(&self, mut archive: Reader) -> Result<File, HostError> {
        let dir: PathBuf = self.config.state_dir.to_path_buf();
        let io = |error: std::io::Error| {
            failed(ErrorKind::Internal, format!("keep the archive: {error}"))
        };
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(dir)).await;
        let file = file
            .map_err(|error| failed(ErrorKind::Internal, error.to_string()))?
            .map_err(io)?;
        let mut file = tokio::fs::File::from_std(file);
        let copied = tokio::io::copy(&mut (&mut archive).take(ARCHIVE_BYTES_MAX + 1), &mut file)
            .await
            .map_err(io)?;
        if copied > ARCHIVE_BYTES_MAX {
            let text = format!("the archive is larger than {ARCHIVE_BYTES_MAX} bytes");
            return Err(failed(ErrorKind::ResourceExhausted, text));
        }
        file.flush().await.map_err(io)?;
        Ok(file.into_std().await)
    }

    fn message(&self, image: &Image) -> v1::Image {
        let config = &image.config;
        let layers = image.layers.iter().map(|layer| v1::ImageLayer {
            diff_id: layer.diff_id.to_string(),
            ..v1::ImageLayer::default()
        });
        v1::Image {
            names: image.references.keys().map(ToString::to_string).collect(),
            digest: image.manifest_digest.to_string(),
            platform: config.platform.to_string(),
            size_bytes: image.size_bytes,
            layers: layers.collect(),
            created_at: config.created.as_deref().and_then(created),
            pulled_at: Some(timestamp(image.pulled_at)),
            last_used_at: Some(timestamp(image.used_at)),
            in_use_by: self.host.images.users(&image.id),
            entrypoint: config.entrypoint.clone(),
            command: config.cmd.clone(),
            user: config.user.clone(),
            working_dir: config.working_dir.clone(),
            labels: config.labels.clone().into_iter().collect(),
            ..v1::Image::default()
        }
    }
}

fn host_finding(finding: Finding) -> v1::HostFinding {
    let good = finding.verdict == Verdict::Good;
    v1::HostFinding {
        what: finding.what,
        verdict: match finding.verdict {
            Verdict::Good => v1::host_finding::Verdict::Ok,
            Verdict::Lacking => v1::host_finding::Verdict::Lacking,
            Verdict::Bad => v1::host_finding::Verdict::Bad,
        }
        .into(),
        detail: finding.detail,
        advice: if good { String::new() } else { finding.advice },
    }
}

fn progress_message(progress: &store::PullProgress) -> v1::PullProgress {
    use v1::layer_progress::State;
    let layers = progress.layers.iter().map(|layer| v1::LayerProgress {
        digest: layer
            .blob
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        state: match layer.step {
            LayerStep::Waiting => State::Waiting,
            LayerStep::Receiving => State::Downloading,
            LayerStep::Unpacking => State::Unpacking,
            LayerStep::Done => State::Done,
            LayerStep::Present => State::Cached,
        }
        .into(),
        done_bytes: layer.received_bytes,
        total_bytes: layer.total_bytes,
    });
    v1::PullProgress {
        layers: layers.collect(),
    }
}

/// What the image says about its making, if that is a time.
fn created(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    })
}

fn timestamp(at: WallTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_s(),
        nanos: at.subsec_ns().cast_signed(),
    }
}

fn refused(error: &StoreError) -> HostError {
    failed(error.kind(), chain(error))
}

fn failed(kind: ErrorKind, message: String) -> HostError {
    HostError::new(kind, IMAGE_FAILED, message)
}
