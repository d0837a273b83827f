//! Starting one run of a container: everything on disk and in the cgroup hierarchy first, then the
//! keeper does the rest.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use burstlet_failpoint::{Point, reach};
use burstlet_image::remove_tree;
use burstlet_image::snapshot::{ContainerUser, IdBase, ImageTree, Snapshot, resolve_user};
use burstlet_image::store::Image;
use burstlet_model::spec::{ContainerSpec, TerminationMessagePolicy};
use burstlet_model::{Device, ErrorKind};
use burstlet_sandbox::client::ClientError;
use burstlet_sandbox::logs::CURRENT_FILE;
use burstlet_sandbox::plan::ContainerPlan;
use burstlet_sandbox::protocol::FailureClass;
use burstlet_supervisor::host::{GroupRef, HostError, StartContainer, Started};

use super::failure::{CREATE, fail, pass};
use super::group::{Group, RunState, Standing};
use super::host_path::Found;
use super::layout::Run;
use super::log_links::{LogLinks, Logged};
use super::plan::{self, Composed, Ingredients};
use super::run_file::{About, RunFile, Termination};
use super::sandbox::disk;
use super::{Parts, RealHost, devices, image_volumes, limits, storage};
use crate::device::Node;

/// How long what is left of the run before may take to go.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(10);
/// Runs whose logs are kept: this one, and the one before for `--previous`.
const LOGGED_RUNS: u32 = 2;
/// Kubernetes' word for a container that cannot be put together as it is asked for.
const CONFIG: &str = "CreateContainerConfigError";
/// The code of a run that did not come to be.
const CODE_NOT_STARTED: i32 = 128;

impl RealHost {
    pub(super) async fn run_container(
        &self,
        of: GroupRef<'_>,
        start: StartContainer<'_>,
    ) -> Result<Started, HostError> {
        let group = self.group(of.uid);
        let standing = group.standing_as(of.spec)?;
        let image = image_volumes::by_manifest(&self.images, start.image).ok_or_else(|| {
            let text = format!("image {} is not in the store any more", start.image);
            HostError::new(ErrorKind::NotFound, CREATE, text)
        })?;
        let Prepared {
            plan,
            stop_signal,
            held,
            nodes,
        } = self.prepare_run(&group, &standing, image, &start).await?;
        let user = plan::identity(&plan.spec.process().clone().unwrap_or_default());
        let attempt = start.attempt;
        pass(Point::RunBegun)?;
        // Noted before it runs: it may end before we hear that it began.
        group.note(start.container, RunState::Running { attempt });
        let begun = standing.keeper.run(plan).await;
        drop((held, nodes));
        reach(Point::RunDone);
        let started = begun.map_err(|error| {
            let code = CODE_NOT_STARTED;
            group.note(start.container, RunState::Ended { attempt, code });
            not_started(&error)
        })?;
        for warning in &started.warnings {
            tracing::warn!(group = %of.uid, container = %start.container, warning, "not given as asked");
        }
        Ok(Started {
            pid: u32::try_from(started.pid).unwrap_or_default(),
            created: started.created,
            started: started.started.unwrap_or(started.created),
            user,
            stop_signal: plan::signal(stop_signal),
        })
    }

    async fn prepare_run(
        &self,
        group: &Arc<Group>,
        standing: &Standing,
        image: Arc<Image>,
        start: &StartContainer<'_>,
    ) -> Result<Prepared, HostError> {
        let (group, standing) = (Arc::clone(group), standing.clone());
        let (container, attempt) = (start.container.clone(), start.attempt);
        let devices = start.devices.to_vec();
        self.blocking(move |parts| {
            let run = Run {
                container: &container,
                attempt,
            };
            Preparation {
                parts,
                group: &group,
                standing: &standing,
                image: &image,
                devices: &devices,
                run,
            }
            .prepare()
        })
        .await
    }
}

fn not_started(error: &ClientError) -> HostError {
    let reason = match error {
        ClientError::Refused(failure) => match failure.class {
            FailureClass::CommandNotFound | FailureClass::CommandNotExecutable => "StartError",
            // The container that it was to look into.
            FailureClass::NotFound => CONFIG,
            _ => CREATE,
        },
        _ => CREATE,
    };
    fail(error.kind(), reason, error)
}

/// What one run is prepared from.
struct Preparation<'a> {
    parts: &'a Parts,
    group: &'a Group,
    standing: &'a Standing,
    image: &'a Image,
    devices: &'a [Device],
    run: Run<'a>,
}

/// One run, ready to be started.
struct Prepared {
    plan: ContainerPlan,
    stop_signal: u8,
    held: Vec<Found>,
    nodes: Vec<Node>,
}

impl Preparation<'_> {
    /// Blocks.
    fn prepare(&self) -> Result<Prepared, HostError> {
        let spec = self.spec()?;
        let layers = self.image.layers.iter();
        let layers: Vec<PathBuf> = layers.map(|layer| layer.path.clone()).collect();
        let user = self.user(spec, &layers)?;
        self.clear_earlier_runs()?;
        reach(Point::RunCleared);
        pass(Point::RootBegun)?;
        let snapshot = self.snapshot(&layers)?;
        reach(Point::RootMade);
        pass(Point::RunCgroupBegun)?;
        let nodes = devices::lend(
            self.parts,
            (&self.group.uid, &self.standing.spec),
            self.devices,
        )?;
        let cgroup = self.cgroup(spec, &nodes)?;
        pass(Point::LogsBegun)?;
        self.make_log_dir()?;
        let ingredients = Ingredients {
            parts: self.parts,
            layout: &self.group.layout,
            standing: self.standing,
            spec,
            image: self.image,
            user,
            snapshot,
            cgroup,
            nodes: &nodes,
            run: self.run,
            uid: &self.group.uid,
        };
        let Composed {
            plan,
            stop_signal,
            held,
        } = plan::compose(&ingredients)?;
        self.write_down(&plan, stop_signal, termination(spec))?;
        Ok(Prepared {
            plan,
            stop_signal,
            held,
            nodes,
        })
    }

    /// What the agent must know of the run while it lasts.
    fn write_down(
        &self,
        plan: &ContainerPlan,
        stop_signal: u8,
        termination: Termination,
    ) -> Result<(), HostError> {
        let process = plan.spec.process().clone().unwrap_or_default();
        let about = About {
            attempt: self.run.attempt,
            stop_signal,
            termination,
        };
        let dir = self.group.layout.dir();
        let vault = self.parts.records.vault();
        RunFile::write(vault, (dir, self.run.container), &process, about)
            .map_err(|error| disk(dir, &error))
    }

    fn spec(&self) -> Result<&ContainerSpec, HostError> {
        let mut all = self.standing.spec.all_containers();
        let found = all.find(|(_, container)| container.name == *self.run.container);
        found.map(|(_, container)| container).ok_or_else(|| {
            let text = format!(
                "group {} has no container {}",
                self.group.uid, self.run.container
            );
            HostError::new(ErrorKind::NotFound, CREATE, text)
        })
    }

    /// Who the container runs as: the specification's ids over the image's.
    fn user(&self, spec: &ContainerSpec, layers: &[PathBuf]) -> Result<ContainerUser, HostError> {
        let security = &spec.security;
        let tree = ImageTree::open(layers).map_err(|error| fail(error.kind(), CONFIG, &error))?;
        let asked = match (security.run_as_user, security.run_as_group) {
            (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
            (Some(uid), None) => uid.to_string(),
            (None, _) => self.image.config.user.clone(),
        };
        let mut user =
            resolve_user(&asked, &tree).map_err(|error| fail(error.kind(), CONFIG, &error))?;
        if let Some(gid) = security.run_as_group {
            user.gid = gid;
        }
        if security.run_as_non_root && user.uid == 0 {
            let text = "container has runAsNonRoot and image will run as root: set runAsUser or give the image a USER";
            return Err(HostError::new(ErrorKind::FailedPrecondition, CONFIG, text));
        }
        Ok(user)
    }

    /// A root file system serves one run only, and so does a cgroup's count.
    fn clear_earlier_runs(&self) -> Result<(), HostError> {
        let layout = &self.group.layout;
        for earlier in storage::roots(layout, self.run.container) {
            remove_tree(&earlier).map_err(|error| fail(error.kind(), CREATE, &error))?;
        }
        let cgroup = self
            .parts
            .cgroups
            .container(&self.group.uid, self.run.container);
        if cgroup.exists() {
            let gone = cgroup
                .kill_all(LEFTOVER_PATIENCE)
                .and_then(|()| cgroup.remove(LEFTOVER_PATIENCE));
            gone.map_err(|error| fail(error.kind(), CREATE, &error))?;
        }
        if let Some(forgotten) = self.run.attempt.checked_sub(LOGGED_RUNS) {
            let run = Run {
                container: self.run.container,
                attempt: forgotten,
            };
            // Logs that stay cost disk, not correctness.
            let _ = remove_tree(&layout.logs(run));
            self.say_if_unnamed(run, |links| links.remove(self.logged(run)));
        }
        Ok(())
    }

    fn snapshot(&self, layers: &[PathBuf]) -> Result<Snapshot, HostError> {
        let base = IdBase::new(self.standing.id_base)
            .map_err(|error| fail(error.kind(), CREATE, &error))?;
        let dir = self.group.layout.rootfs(self.run);
        let made = self.parts.snapshotter.prepare(layers, &dir, base);
        made.map_err(|error| fail(error.kind(), CREATE, &error))
    }

    fn cgroup(
        &self,
        spec: &ContainerSpec,
        nodes: &[Node],
    ) -> Result<burstlet_cgroup::Cgroup, HostError> {
        let own = devices::numbers(nodes);
        let limits = limits::of_container(self.parts, &self.standing.spec, spec, own);
        let made =
            self.parts
                .cgroups
                .create_container(&self.group.uid, self.run.container, &limits);
        made.map_err(|error| fail(error.kind(), CREATE, &error))
    }

    fn make_log_dir(&self) -> Result<(), HostError> {
        let logs = self.group.layout.logs(self.run);
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&logs);
        made.map_err(|error| disk(&logs, &error))?;
        let file = logs.join(CURRENT_FILE);
        self.say_if_unnamed(self.run, |links| links.make(self.logged(self.run), &file));
        Ok(())
    }

    fn logged<'a>(&'a self, run: Run<'a>) -> Logged<'a> {
        Logged {
            group: &self.standing.spec.name,
            uid: &self.group.uid,
            run,
        }
    }

    /// Names for collectors are made where the operator wants them; no container waits for them.
    fn say_if_unnamed(&self, run: Run<'_>, change: impl FnOnce(LogLinks<'_>) -> io::Result<()>) {
        let Some(dir) = &self.parts.logs.link_dir.0 else {
            return;
        };
        if let Err(error) = change(LogLinks(dir)) {
            tracing::warn!(
                group = %self.group.uid,
                container = %run.container,
                attempt = run.attempt,
                dir = %dir.display(),
                %error,
                "a log cannot be named for collectors"
            );
        }
    }
}

const fn termination(spec: &ContainerSpec) -> Termination {
    match spec.termination_message_policy {
        TerminationMessagePolicy::File => Termination::File,
        TerminationMessagePolicy::FallbackToLogsOnError => Termination::FileOrLog,
    }
}
