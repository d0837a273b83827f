//! Names for the containers' logs where collectors such as Fluent Bit and Vector look for them, laid
//! out as a kubelet does. The logs have the form that they read already, so a link is all it takes:
//! nothing is written twice, and logs are rotated as they were.
//!
//! ```text
//! DIR/pods/NAMESPACE_NAME_UID/CONTAINER/N.log        ► the file of run N that is being written
//! DIR/containers/NAME_NAMESPACE_CONTAINER-ID.log     ► the link above; ID has 64 hexadecimal digits
//! ```
//!
//! Whose a link is can be read off its name, so that removing a group's takes no record. What is no
//! link is never touched.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use burstlet_model::{GroupName, GroupUid};
use ring::digest::{SHA256, digest};

use super::layout::Run;

const PODS: &str = "pods";
const CONTAINERS: &str = "containers";
const SUFFIX: &str = ".log";

/// Where the links are.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLinks<'a>(pub(super) &'a Path);

/// A run whose log has names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logged<'a> {
    pub(super) group: &'a GroupName,
    pub(super) uid: &'a GroupUid,
    pub(super) run: Run<'a>,
}

/// The same as text, as it is read off a link's path.
struct Named<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    container: &'a str,
    attempt: &'a str,
}

impl LogLinks<'_> {
    /// Names the log that is written to `file`. Names that are there already are made anew. Blocks.
    pub(super) fn make(self, of: Logged<'_>, file: &Path) -> io::Result<()> {
        let attempt = of.run.attempt.to_string();
        let named = Named::of(of, &attempt);
        let pod = self.pod_link(&named);
        let container = self.container_link(&named);
        for dir in [pod.parent(), container.parent()].into_iter().flatten() {
            DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        }
        link(file, &pod)?;
        link(&pod, &container)
    }

    /// Removes the names of a run whose log is gone. Blocks.
    pub(super) fn remove(self, of: Logged<'_>) -> io::Result<()> {
        let attempt = of.run.attempt.to_string();
        self.unlink(&Named::of(of, &attempt))
    }

    /// Removes every name of a group's logs. Blocks.
    pub(super) fn remove_group(self, uid: &GroupUid) -> io::Result<()> {
        let ending = format!("_{uid}");
        for pod in entries(&self.0.join(PODS))? {
            let of = pod.strip_suffix(&ending);
            if let Some((namespace, name)) = of.and_then(|of| of.split_once('_')) {
                self.remove_pod(namespace, name, uid.as_str())?;
            }
        }
        Ok(())
    }

    fn remove_pod(self, namespace: &str, name: &str, uid: &str) -> io::Result<()> {
        let dir = self.pod_dir(namespace, name, uid);
        for container in entries(&dir)? {
            for file in entries(&dir.join(&container))? {
                if let Some(attempt) = file.strip_suffix(SUFFIX) {
                    self.unlink(&Named {
                        namespace,
                        name,
                        uid,
                        container: &container,
                        attempt,
                    })?;
                }
            }
            remove_if_empty(&dir.join(&container))?;
        }
        remove_if_empty(&dir)
    }

    /// The outer link first: it is found by the inner one.
    fn unlink(self, named: &Named<'_>) -> io::Result<()> {
        remove_link(&self.container_link(named))?;
        remove_link(&self.pod_link(named))
    }

    fn pod_dir(self, namespace: &str, name: &str, uid: &str) -> PathBuf {
        self.0.join(PODS).join(format!("{namespace}_{name}_{uid}"))
    }

    fn pod_link(self, named: &Named<'_>) -> PathBuf {
        let dir = self.pod_dir(named.namespace, named.name, named.uid);
        dir.join(named.container)
            .join(format!("{}{SUFFIX}", named.attempt))
    }

    fn container_link(self, named: &Named<'_>) -> PathBuf {
        let Named {
            namespace,
            name,
            container,
            ..
        } = named;
        let id = named.id();
        let file = format!("{name}_{namespace}_{container}-{id}{SUFFIX}");
        self.0.join(CONTAINERS).join(file)
    }
}

impl<'a> Named<'a> {
    fn of(of: Logged<'a>, attempt: &'a str) -> Self {
        Self {
            namespace: of.group.namespace.as_str(),
            name: of.group.name.as_str(),
            uid: of.uid.as_str(),
            container: of.run.container.as_str(),
            attempt,
        }
    }

    /// Collectors know a run by so many digits; they follow from what tells it from all others.
    fn id(&self) -> String {
        let text = format!("{}/{}/{}", self.uid, self.container, self.attempt);
        let hash = digest(&SHA256, text.as_bytes());
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

/// The names in a directory; none if it is not there. Ours are all UTF-8.
fn entries(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if is_other(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

fn is_other(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn link(target: &Path, at: &Path) -> io::Result<()> {
    remove_link(at)?;
    symlink(target, at)
}

fn remove_link(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if is_other(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A directory in which somebody else has something stays.
fn remove_if_empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if is_other(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            Ok(())
        }
        removed => removed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::{ContainerName, Name, Namespace};

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        group: GroupName,
        uid: GroupUid,
        container: ContainerName,
    }

    impl Place {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                group: GroupName {
                    namespace: Namespace::new("team-a").unwrap(),
                    name: Name::new("web.1").unwrap(),
                },
                uid: GroupUid::new("0a-1").unwrap(),
                container: ContainerName::new("main").unwrap(),
            }
        }

        fn links(&self) -> LogLinks<'_> {
            LogLinks(self.dir.path())
        }

        fn run(&self, attempt: u32) -> Logged<'_> {
            Logged {
                group: &self.group,
                uid: &self.uid,
                run: Run {
                    container: &self.container,
                    attempt,
                },
            }
        }

        /// A log as it is kept, of a run whose number it says.
        fn log(&self, attempt: u32) -> PathBuf {
            let path = self.dir.path().join(format!("kept.{attempt}"));
            fs::write(&path, attempt.to_string()).unwrap();
            path
        }

        fn names(&self, dir: &str) -> Vec<String> {
            let mut names = entries(&self.dir.path().join(dir)).unwrap();
            names.sort();
            names
        }
    }

    #[test]
    fn logs_are_found_by_the_names_that_a_kubelet_gives() {
        let place = Place::new();
        for attempt in [0, 1, 0] {
            let log = place.log(attempt);
            place.links().make(place.run(attempt), &log).unwrap();
        }
        let of_pod = place.names("pods/team-a_web.1_0a-1/main");
        assert_eq!(of_pod, ["0.log", "1.log"]);
        let containers = place.names("containers");
        let mut read = Vec::new();
        for name in &containers {
            let id = name.strip_prefix("web.1_team-a_main-").unwrap();
            let id = id.strip_suffix(".log").unwrap();
            assert_eq!(id.len(), 64);
            assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
            let log = place.dir.path().join("containers").join(name);
            read.push(fs::read_to_string(log).unwrap());
        }
        read.sort();
        assert_eq!(read, ["0", "1"]);
    }

    #[test]
    fn names_go_with_what_they_name_and_others_stay() {
        let place = Place::new();
        let other = Place {
            uid: GroupUid::new("1").unwrap(),
            ..Place::new()
        };
        let theirs = Logged {
            uid: &other.uid,
            ..place.run(0)
        };
        for attempt in 0..3 {
            let log = place.log(attempt);
            place.links().make(place.run(attempt), &log).unwrap();
        }
        place.links().make(theirs, &place.log(9)).unwrap();
        place.links().remove(place.run(0)).unwrap();
        place.links().remove(place.run(0)).unwrap();
        assert_eq!(place.names("containers").len(), 3);
        assert_eq!(
            place.names("pods/team-a_web.1_0a-1/main"),
            ["1.log", "2.log"]
        );

        // Its uid is the end of the other's.
        place.links().remove_group(&other.uid).unwrap();
        assert_eq!(place.names("pods"), ["team-a_web.1_0a-1"]);
        let foreign = "pods/team-a_web.1_0a-1/main/1.log.gz";
        fs::write(place.dir.path().join(foreign), "").unwrap();
        place.links().remove_group(&place.uid).unwrap();
        assert_eq!(place.names("pods/team-a_web.1_0a-1/main"), ["1.log.gz"]);
        fs::remove_file(place.dir.path().join(foreign)).unwrap();
        place.links().remove_group(&place.uid).unwrap();
        assert_eq!(place.names("pods"), [""; 0]);
        assert_eq!(place.names("containers"), [""; 0]);
        assert!(place.dir.path().join("kept.1").exists());
    }

    #[test]
    fn what_is_no_link_is_left_alone() {
        let place = Place::new();
        let log = place.log(0);
        place.links().make(place.run(0), &log).unwrap();
        let pod = place.dir.path().join("pods/team-a_web.1_0a-1/main/0.log");
        fs::remove_file(&pod).unwrap();
        fs::write(&pod, "somebody's").unwrap();
        let error = place.links().make(place.run(0), &log).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        place.links().remove_group(&place.uid).unwrap();
        assert_eq!(fs::read_to_string(pod).unwrap(), "somebody's");
    }
}
