//! Tells pods' workers that a ConfigMap or a Secret has changed. A node may watch such an object only
//! by its name, and only while a pod here refers to it: each has a watch of its own, of its metadata,
//! which all pods that refer to it share.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::pod::needs::{Kind, Object};

/// Objects that are watched at once, a connection each. Who refers to more looks by the clock.
const WATCHED_MAX: usize = 500;

/// How long a new watch waits before it begins: a pod that refers to the object is being started, and
/// its start comes first. What changes meanwhile is seen all the same: the watch begins with a list.
const REST: Duration = Duration::from_secs(1);

/// The versions of objects, by what they were when somebody looked; empty for one that is not there.
pub(crate) type Versions = BTreeMap<Object, String>;

/// Watches objects as long as somebody follows them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watching {
    client: Client,
    watched: Arc<Mutex<Watched>>,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct Watched {
    objects: HashMap<Object, Entry>,
    next_follower: u64,
}

struct Entry {
    /// Empty if there is no such object; `None` until that is known.
    version: Option<String>,
    followers: HashMap<u64, Arc<Notify>>,
    /// Ends the watch with the entry.
    _ends: DropGuard,
}

/// A follower's place; what nobody follows any more is not watched any more.
pub(crate) struct Following {
    watched: Arc<Mutex<Watched>>,
    follower: u64,
    objects: Box<[Followed]>,
    /// Whether all that was asked for is watched.
    pub(crate) complete: bool,
}

/// An object that a pod was made with.
struct Followed {
    object: Object,
    /// As it was fetched.
    fetched: String,
    /// What its watch had told before that, if that is another: a watch may be behind, and that is no
    /// news.
    known: Option<String>,
}

impl Watching {
    pub(crate) fn new(client: Client, shutdown: CancellationToken) -> Self {
        Self {
            client,
            watched: Arc::default(),
            shutdown,
        }
    }

    /// Wakes `wake` whenever one of the objects changes that were `fetched`, before which the watches had
    /// told what was `known`. Must be called within a tokio runtime.
    pub(crate) fn follow(
        &self,
        fetched: Versions,
        mut known: Versions,
        wake: &Arc<Notify>,
    ) -> Following {
        let mut watched = lock(&self.watched);
        watched.next_follower += 1;
        let follower = watched.next_follower;
        let (mut objects, mut complete) = (Vec::with_capacity(fetched.len()), true);
        for (object, fetched) in fetched {
            if !watched.objects.contains_key(&object) {
                if watched.objects.len() >= WATCHED_MAX {
                    complete = false;
                    continue;
                }
                watched.objects.insert(object.clone(), self.watch(&object));
            }
            if let Some(entry) = watched.objects.get_mut(&object) {
                entry.followers.insert(follower, Arc::clone(wake));
                let known = known.remove(&object).filter(|known| *known != fetched);
                objects.push(Followed {
                    object,
                    fetched,
                    known,
                });
            }
        }
        Following {
            watched: Arc::clone(&self.watched),
            follower,
            objects: objects.into(),
            complete,
        }
    }

    /// What is known of `objects` by now: of those that somebody follows.
    pub(crate) fn known(&self, objects: impl Iterator<Item = Object>) -> Versions {
        let watched = lock(&self.watched);
        let known = |object: Object| {
            let version = watched.objects.get(&object)?.version.clone()?;
            Some((object, version))
        };
        objects.filter_map(known).collect()
    }

    fn watch(&self, object: &Object) -> Entry {
        let ends = self.shutdown.child_token();
        let (watching, object) = (self.clone(), object.clone());
        let ended = ends.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = watching.look(&object) => {}
            }
        });
        Entry {
            version: None,
            followers: HashMap::new(),
            _ends: ends.drop_guard(),
        }
    }

    async fn look(&self, object: &Object) {
        sleep(REST).await;
        match object.kind {
            Kind::ConfigMap => self.look_at::<ConfigMap>(object).await,
            Kind::Secret => self.look_at::<Secret>(object).await,
        }
    }

    async fn look_at<K>(&self, object: &Object)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + Send + Sync + 'static,
    {
        let client = self.client.clone();
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(client, &object.namespace);
        let by_name = Config::default().fields(&format!("metadata.name={}", object.name));
        let mut changes = pin!(watcher(api, by_name).default_backoff());
        let version = |found: PartialObjectMeta<K>| found.metadata.resource_version;
        let mut listed = String::new();
        while let Some(change) = changes.next().await {
            match change {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(found)) => listed = version(found).unwrap_or_default(),
                Ok(Event::InitDone) => self.saw(object, std::mem::take(&mut listed)),
                Ok(Event::Apply(found)) => self.saw(object, version(found).unwrap_or_default()),
                Ok(Event::Delete(_)) => self.saw(object, String::new()),
                Err(error) => {
                    tracing::debug!(%error, ?object, "it cannot be watched; trying again");
                }
            }
        }
    }

    fn saw(&self, object: &Object, version: String) {
        let mut watched = lock(&self.watched);
        let Some(entry) = watched.objects.get_mut(object) else {
            return;
        };
        if entry.version.as_ref() != Some(&version) {
            entry.version = Some(version);
            entry.followers.values().for_each(|wake| wake.notify_one());
        }
    }
}

impl Following {
    /// Whether something is not any more what it was when it was fetched.
    pub(crate) fn differs(&self) -> bool {
        let watched = lock(&self.watched);
        self.objects.iter().any(|followed| {
            let entry = watched.objects.get(&followed.object);
            let now = entry.and_then(|entry| entry.version.as_ref());
            now.is_some_and(|now| *now != followed.fetched && Some(now) != followed.known.as_ref())
        })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        for Followed { object, .. } in &self.objects {
            let Some(entry) = watched.objects.get_mut(object) else {
                continue;
            };
            entry.followers.remove(&self.follower);
            if entry.followers.is_empty() {
                watched.objects.remove(object);
            }
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        Object {
            kind: Kind::ConfigMap,
            namespace: "shop".to_owned(),
            name: "settings".to_owned(),
        }
    }

    /// Somebody who follows an object that he fetched as `two`, while its watch says `version`.
    fn following(version: Option<&str>, known: Option<&str>) -> Following {
        let entry = Entry {
            version: version.map(str::to_owned),
            followers: HashMap::from([(1, Arc::default())]),
            _ends: CancellationToken::new().drop_guard(),
        };
        let watched = Watched {
            objects: HashMap::from([(object(), entry)]),
            next_follower: 1,
        };
        let followed = Followed {
            object: object(),
            fetched: "two".to_owned(),
            known: known.map(str::to_owned),
        };
        Following {
            watched: Arc::new(Mutex::new(watched)),
            follower: 1,
            objects: [followed].into(),
            complete: true,
        }
    }

    #[test]
    fn only_what_was_neither_fetched_nor_known_is_news() {
        for (version, known, differs) in [
            (None, None, false),
            (Some("two"), None, false),
            (Some("one"), Some("one"), false),
            (Some("one"), None, true),
            (Some("three"), Some("one"), true),
            (Some(""), Some("one"), true),
        ] {
            let found = following(version, known).differs();
            assert_eq!(found, differs, "{version:?} {known:?}");
        }
    }

    #[test]
    fn what_nobody_follows_is_not_watched() {
        let following = following(Some("two"), None);
        let watched = Arc::clone(&following.watched);
        drop(following);
        assert!(lock(&watched).objects.is_empty());
    }
}
