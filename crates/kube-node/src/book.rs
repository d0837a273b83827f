//! The pods of this node: who is watched, and which worker is told.
//!
//! A worker is made for each uid that the API server names or a file has, and for each group that an
//! earlier agent made of a pod. What a list does not name any more is told to be forgotten, but for a
//! brake: a list that lacks most of what runs here is more likely an API server that was set back
//! than a wish, and is believed only if it stays so.

mod fixed;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::GroupUid;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Origin;
use futures_util::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use kube::api::ApiResource;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::directory::FromFiles;
use crate::mirrors::{self, Mirrored};
use crate::pod::seen::Pod;
use crate::run::Shared;
use crate::worker::{Said, Worker};
use fixed::Fixed;

/// As many may vanish from a list at once without a question.
const VANISH_FREELY_MAX: usize = 3;
/// How long a list must stay without them until the others are believed to be gone.
const BRAKE: Duration = Duration::from_secs(600);

/// Pods of a list that are read at once: as they come each takes 40 KiB, ten times of what is kept of it.
const PAGE: u32 = 50;

/// Where pods come from.
pub(crate) struct Sources {
    /// Ready when the API server's may be run here.
    pub(crate) joined: CancellationToken,
    /// Those of files, if there is a directory of them.
    pub(crate) files: Option<FromFiles>,
    /// The Node's uid.
    pub(crate) node_uid: watch::Receiver<String>,
}

/// Keeps the book until the shutdown; workers end with it.
pub(crate) async fn keep<H: Host>(shared: Arc<Shared<H>>, sources: Sources) {
    let Sources {
        joined,
        mut files,
        node_uid,
    } = sources;
    let mut changes = pin!(watched(&shared, joined).flatten_stream());
    let mut book = Book::new(Arc::clone(&shared));
    match files {
        Some(_) => book.keep_mirrors(node_uid),
        None => book.learn_files(&[]),
    }
    loop {
        let braked_until = book.braked_until();
        // Each arm is cancel-safe: a stream's next item, a set's next end, a time.
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            change = changes.next() => match change {
                Some(Ok(change)) => book.learn(change),
                Some(Err(error)) => tracing::warn!(%error, "the pods cannot be watched; trying again"),
                None => return,
            },
            Some(ended) = book.working.join_next() => {
                if let Ok(uid) = ended {
                    book.end(&uid);
                }
            }
            () = sleep_until(braked_until) => book.release(),
            pods = looked(&mut files) => book.learn_files(&pods),
        }
    }
}

/// The pods that are bound to the node, once it has joined.
async fn watched<H: Host>(
    shared: &Shared<H>,
    joined: CancellationToken,
) -> impl Stream<Item = watcher::Result<Event<DynamicObject>>> + use<H> {
    let resource = ApiResource::erase::<ApiPod>(&());
    let pods: Api<DynamicObject> = Api::all_with(shared.client.clone(), &resource);
    let bound_here = format!("spec.nodeName={}", shared.config.node.name);
    let config = watcher::Config::default().page_size(PAGE);
    let config = config.fields(&bound_here);
    joined.cancelled().await;
    watcher(pods, config).default_backoff()
}

/// The pods of files, when they are others. Cancel-safe.
async fn looked(files: &mut Option<FromFiles>) -> Arc<Vec<Arc<Pod>>> {
    if let Some(files) = files {
        while files.changed().await.is_ok() {
            if let Some(pods) = files.borrow_and_update().clone() {
                return pods;
            }
        }
    }
    std::future::pending().await
}

struct Book<H> {
    shared: Arc<Shared<H>>,
    workers: HashMap<GroupUid, watch::Sender<Said>>,
    working: JoinSet<GroupUid>,
    /// What the list that is being read has named.
    listed: HashSet<GroupUid>,
    /// What the last list lacked, not yet believed.
    braked: Option<(Instant, Vec<GroupUid>)>,
    fixed: Fixed,
    mirrored: watch::Sender<Mirrored>,
    /// Who keeps the mirrors; ends with the book.
    mirroring: JoinSet<()>,
}

impl<H: Host> Book<H> {
    fn new(shared: Arc<Shared<H>>) -> Self {
        let mut book = Self {
            workers: HashMap::new(),
            working: JoinSet::new(),
            listed: HashSet::new(),
            braked: None,
            fixed: Fixed::default(),
            mirrored: watch::Sender::default(),
            mirroring: JoinSet::new(),
            shared,
        };
        let all = book.shared.groups.list().groups;
        let of_pods = all
            .iter()
            .filter(|group| group.definition.origin == Origin::Kubernetes);
        for group in of_pods {
            book.tell(&group.uid, Said::Unheard);
        }
        book
    }

    fn keep_mirrors(&mut self, node_uid: watch::Receiver<String>) {
        let (shared, mirrored) = (Arc::clone(&self.shared), self.mirrored.subscribe());
        self.mirroring
            .spawn(mirrors::keep(shared, mirrored, node_uid));
    }

    fn learn(&mut self, change: Event<DynamicObject>) {
        match change {
            Event::Init => {
                self.listed.clear();
                self.fixed.begin_list();
            }
            Event::InitApply(object) => {
                if let Some(uid) = self.heard(object) {
                    self.listed.insert(uid);
                }
            }
            Event::InitDone => {
                self.compare();
                self.fixed.end_list();
                self.show_files();
            }
            Event::Apply(object) => drop(self.heard(object)),
            Event::Delete(object) => {
                if let Some(pod) = Pod::read(object) {
                    self.gone(pod);
                }
            }
        }
    }

    fn gone(&mut self, pod: Pod) {
        if pod.mirror {
            self.fixed.forget(&pod);
            self.show_files();
            return;
        }
        self.shared.pods.forget(&pod);
        let uid = pod.uid.clone();
        if self.workers.contains_key(&uid) {
            self.tell(&uid, Said::Gone(Some(Arc::new(pod))));
        }
    }

    /// The files are looked at: what they have is run, and what they have no more is not.
    fn learn_files(&mut self, pods: &[Arc<Pod>]) {
        self.fixed.learn(pods);
        let gone = self.workers.keys().filter(|uid| self.fixed.had(uid));
        let gone: Vec<GroupUid> = gone.cloned().collect();
        self.forget(&gone);
        self.show_files();
    }

    /// Tells the workers of files' pods, and who keeps the mirrors, what there is now.
    fn show_files(&mut self) {
        for pod in self.fixed.shown() {
            self.shared.pods.hear(&pod);
            let uid = pod.uid.clone();
            self.tell(&uid, Said::There(pod));
        }
        self.mirrored.send_replace(self.fixed.mirrored());
    }

    fn heard(&mut self, object: DynamicObject) -> Option<GroupUid> {
        let pod = Arc::new(Pod::read(object)?);
        if pod.mirror {
            self.fixed.hear(pod);
            self.show_files();
            return None;
        }
        let uid = pod.uid.clone();
        self.shared.pods.hear(&pod);
        self.tell(&uid, Said::There(pod));
        Some(uid)
    }

    /// A list is complete: what it lacks has gone while nobody watched.
    fn compare(&mut self) {
        let lacking = self
            .workers
            .keys()
            .filter(|uid| !self.listed.contains(*uid) && !self.fixed.has(uid));
        let lacking: Vec<GroupUid> = lacking.cloned().collect();
        self.braked = None;
        if is_suspicious(self.workers.len(), lacking.len()) {
            tracing::error!(
                known = self.workers.len(),
                lacking = lacking.len(),
                "the API server lacks most of the pods that run here: they are kept until it has \
                 lacked them for {} s",
                BRAKE.as_secs()
            );
            self.braked = Some((Instant::now() + BRAKE, lacking));
            return;
        }
        self.forget(&lacking);
    }

    fn forget(&mut self, uids: &[GroupUid]) {
        for uid in uids {
            let last = self.workers.get(uid).and_then(|said| said.borrow().pod());
            if let Some(last) = &last {
                self.shared.pods.forget(last);
            }
            self.tell(uid, Said::Gone(last));
        }
    }

    fn braked_until(&self) -> Instant {
        let far = Duration::from_secs(86_400);
        self.braked
            .as_ref()
            .map_or_else(|| Instant::now() + far, |(until, _)| *until)
    }

    /// They have stayed away; those that the watch has named since are listed.
    fn release(&mut self) {
        let Some((_, lacking)) = self.braked.take() else {
            return;
        };
        let still: Vec<GroupUid> = lacking
            .into_iter()
            .filter(|uid| !self.listed.contains(uid))
            .collect();
        self.forget(&still);
    }

    fn tell(&mut self, uid: &GroupUid, said: Said) {
        if matches!(said, Said::There(_)) {
            self.listed.insert(uid.clone());
        }
        if let Some(worker) = self.workers.get(uid) {
            worker.send_replace(said);
            return;
        }
        let (tell, hear) = watch::channel(said);
        self.workers.insert(uid.clone(), tell);
        let worker = Worker::new(Arc::clone(&self.shared), uid.clone(), hear);
        self.working.spawn(Box::new(worker).run());
    }

    fn end(&mut self, uid: &GroupUid) {
        self.listed.remove(uid);
        // A pod that is named again in the meantime gets a new worker.
        let said = self.workers.remove(uid).map(|said| said.borrow().clone());
        if let Some(said @ Said::There(_)) = said {
            self.tell(uid, said);
        }
    }
}

/// Whether a list that lacks so many of those known is not simply believed.
const fn is_suspicious(known: usize, lacking: usize) -> bool {
    lacking > VANISH_FREELY_MAX && lacking * 2 > known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_most_of_the_pods_is_suspicious() {
        for (known, lacking, suspicious) in [
            (3, 3, false),
            (4, 4, true),
            (100, 50, false),
            (100, 51, true),
            (0, 0, false),
        ] {
            assert_eq!(
                is_suspicious(known, lacking),
                suspicious,
                "{lacking} of {known}"
            );
        }
    }
}
