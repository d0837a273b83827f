//! The directory whose files are pods. It is looked at by the clock: an editor writes in many ways, and
//! a file system tells of few.
//!
//! What cannot be read costs nobody a pod: a file that became no pod keeps the one that it was, and a
//! directory that is not there keeps all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::pod::of_file;
use crate::pod::seen::Pod;

/// How often the directory is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Files that are read; those after them by name are not.
const FILES_MAX: usize = 100;
/// The most bytes of one: what an API server takes of a pod.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The pods of a directory's files; `None` until it has been looked at.
pub(crate) type FromFiles = watch::Receiver<Option<Arc<Vec<Arc<Pod>>>>>;

/// Files by their paths, with what is in them or why that is not known.
type Texts = BTreeMap<PathBuf, Result<String, String>>;

/// What was made of the files so far.
#[derive(Default)]
struct Made {
    texts: Texts,
    pods: BTreeMap<PathBuf, Arc<Pod>>,
    complaints: BTreeMap<PathBuf, String>,
}

/// Looks at the directory until the shutdown.
pub(crate) fn watch(directory: PathBuf, node: &str, shutdown: CancellationToken) -> FromFiles {
    let (tell, pods) = watch::channel(None);
    let node = node.to_owned();
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = look_again(directory, node, tell) => {}
        }
    });
    pods
}

async fn look_again(
    directory: PathBuf,
    node: String,
    tell: watch::Sender<Option<Arc<Vec<Arc<Pod>>>>>,
) {
    let mut made = Made::default();
    let mut unread = String::new();
    loop {
        let looked = directory.clone();
        let texts = tokio::task::spawn_blocking(move || texts(&looked)).await;
        let texts = texts.unwrap_or_else(|error| Err(io::Error::other(error)));
        match texts {
            Ok(texts) if made.texts != texts || tell.borrow().is_none() => {
                unread.clear();
                made.learn(texts, &node);
                tell.send_replace(Some(Arc::new(made.distinct())));
            }
            Ok(_) => unread.clear(),
            Err(error) if unread != error.to_string() => {
                unread = error.to_string();
                let directory = directory.display();
                tracing::warn!(%error, %directory, "the directory of pods cannot be read");
            }
            Err(_) => {}
        }
        sleep(LOOK_PERIOD).await;
    }
}

impl Made {
    /// Takes in the files as they are now, and complains of what is no pod, once.
    fn learn(&mut self, texts: Texts, node: &str) {
        self.pods.retain(|path, _| texts.contains_key(path));
        self.complaints.retain(|path, _| texts.contains_key(path));
        for (path, text) in &texts {
            if self.texts.get(path) == Some(text) {
                continue;
            }
            let read = text
                .clone()
                .and_then(|text| of_file::read(&text, node).map_err(|problem| problem.to_string()));
            match read {
                Ok(pod) => {
                    self.complaints.remove(path);
                    self.pods.insert(path.clone(), Arc::new(pod));
                }
                Err(problem) => {
                    let stays = self.pods.contains_key(path);
                    let path = path.clone();
                    tracing::warn!(file = %path.display(), problem, stays, "a file is no pod");
                    self.complaints.insert(path, problem);
                }
            }
        }
        self.texts = texts;
    }

    /// The pods, one of each name: the first by the files' names.
    fn distinct(&self) -> Vec<Arc<Pod>> {
        let mut by_name: BTreeMap<(&str, &str), &Path> = BTreeMap::new();
        let mut pods = Vec::new();
        for (path, pod) in &self.pods {
            let name = (pod.namespace.as_str(), pod.name.as_str());
            match by_name.get(&name) {
                None => {
                    by_name.insert(name, path);
                    pods.push(Arc::clone(pod));
                }
                Some(first) => tracing::warn!(
                    file = %path.display(),
                    first = %first.display(),
                    "a file has a pod of the name that another file's has"
                ),
            }
        }
        pods
    }
}

/// The files of a directory but for hidden ones, which editors make. Blocks.
fn texts(directory: &Path) -> io::Result<Texts> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && fs::metadata(entry.path()).is_ok_and(|file| file.is_file()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    if let Some(more) = paths.get(FILES_MAX..).filter(|more| !more.is_empty()) {
        tracing::debug!(files = more.len(), "more files than are read");
        paths.truncate(FILES_MAX);
    }
    let read = paths.into_iter().map(|path| {
        let text = text(&path).map_err(|error| error.to_string());
        (path, text)
    });
    Ok(read.collect())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    match u64::try_from(read) {
        Ok(bytes) if bytes <= FILE_BYTES_MAX => Ok(text),
        _ => Err(io::Error::other(format!(
            "it has more than {FILE_BYTES_MAX} bytes"
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn file(name: &str, image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
             spec: {{containers: [{{name: main, image: {image}}}]}}\n"
        )
    }

    /// The pods of the directory, as names and images.
    fn seen(made: &mut Made, directory: &Path) -> Vec<(String, String)> {
        made.learn(texts(directory).unwrap(), "n");
        let pods = made.distinct();
        let shown = pods.iter().map(|pod| {
            let image = pod.spec()["containers"][0]["image"]
                .as_str()
                .unwrap()
                .to_owned();
            (pod.name.clone(), image)
        });
        shown.collect()
    }

    fn pair(name: &str, image: &str) -> (String, String) {
        (name.to_owned(), image.to_owned())
    }

    #[test]
    fn a_file_that_became_no_pod_keeps_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut made = Made::default();
        let path = dir.path().join("web.yaml");
        fs::write(&path, file("web", "one")).unwrap();
        assert_eq!(seen(&mut made, dir.path()), [pair("web-n", "one")]);
        fs::write(&path, "half of").unwrap();
        assert_eq!(seen(&mut made, dir.path()), [pair("web-n", "one")]);
        assert_eq!(made.complaints.len(), 1);
        fs::write(&path, file("web", "two")).unwrap();
        assert_eq!(seen(&mut made, dir.path()), [pair("web-n", "two")]);
        assert!(made.complaints.is_empty());
        fs::remove_file(&path).unwrap();
        assert_eq!(seen(&mut made, dir.path()), []);
        assert!(texts(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn of_two_pods_of_one_name_the_first_is_run() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.yaml"), file("web", "two")).unwrap();
        fs::write(dir.path().join("a.json"), file("web", "one")).unwrap();
        fs::write(dir.path().join(".c.yaml.swp"), file("other", "x")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let pods = seen(&mut Made::default(), dir.path());
        assert_eq!(pods, [pair("web-n", "one")]);
    }

    #[test]
    fn a_file_that_is_too_large_is_no_pod() {
        let dir = tempfile::tempdir().unwrap();
        let large = " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        fs::write(dir.path().join("a"), large).unwrap();
        let mut made = Made::default();
        assert_eq!(seen(&mut made, dir.path()), []);
        assert_eq!(made.complaints.len(), 1);
    }
}
