//! A pod that runs is kept what it is: when it is changed, or something that it refers to is, its
//! group is given what follows from that; the tokens of its service account are renewed in time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use burstlet_manifest::Standard;
use burstlet_model::GroupUid;
use burstlet_supervisor::host::Host;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::hindrance::Hindrance;
use super::{Local, Retry, Worker};
use crate::fetch::{Asker, Tokens, fetch};
use crate::pod::ephemeral::{Asked, Withheld};
use crate::pod::needs::{Fetched, Needs, needs};
use crate::pod::renewed::renewed;
use crate::pod::resources::Pending;
use crate::pod::seen::Pod;
use crate::pod::{claims, inline, tokens, user_namespace};
use crate::watching::{Following, Versions, Watching};

/// Pods of an earlier agent are looked at anew within this time, not all at once.
const ADOPTED_WITHIN_MS: u64 = 30_000;
/// How often it is looked at what a pod refers to if that is too much to be watched.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// What a pod's group was made of, and when that is looked at again.
pub(super) struct Renewal {
    /// Told when something changes that the pod refers to.
    pub(super) wake: Arc<Notify>,
    tokens: Tokens,
    basis: Option<Basis>,
    due: Option<Instant>,
    /// How many changes of the pod the group follows.
    observed: Option<i64>,
    /// Why the pod does not have the resources that it asks for by now.
    pub(super) pending: Option<Pending>,
    /// The ephemeral containers that it asks for and does not have.
    pub(super) withheld: Withheld,
}

/// What the group was made of the last time.
struct Basis {
    mark: u64,
    following: Following,
}

/// A pod's manifest, and what it was made of.
pub(super) struct Rendered {
    pub(super) group: Value,
    /// They come once the group stands.
    ephemeral: Vec<Asked>,
    mark: u64,
    generation: Option<i64>,
    fetched: Versions,
    /// What the watches had told before it was fetched.
    known: Versions,
}

impl Renewal {
    /// Of a pod without a group.
    pub(super) fn new() -> Self {
        Self {
            wake: Arc::default(),
            tokens: Tokens::new(),
            basis: None,
            due: None,
            observed: None,
            pending: None,
            withheld: Withheld::new(),
        }
    }

    /// Of a pod whose group an earlier agent made: of what is not known.
    pub(super) fn adopted(uid: &GroupUid) -> Self {
        let mut hasher = DefaultHasher::new();
        uid.as_str().hash(&mut hasher);
        let within = Duration::from_millis(hasher.finish() % ADOPTED_WITHIN_MS);
        Self {
            due: Some(Instant::now() + within),
            ..Self::new()
        }
    }

    /// When it is to be looked at though nothing has changed.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is not known what the group was made of.
    pub(super) const fn is_unknown(&self) -> bool {
        self.basis.is_none() && self.due.is_some()
    }

    /// How many changes of the pod its group follows: all, but for those that it is about to.
    pub(super) fn observed(&self, pod: &Pod) -> Option<i64> {
        match &self.basis {
            Some(_) => self.observed.or(pod.generation),
            None if self.due.is_some() => {
                let told = pod.status()["observedGeneration"].as_i64();
                told.or(pod.generation)
            }
            None => pod.generation,
        }
    }

    /// Whether the pod may have the resources that it asks for when others have less.
    pub(super) fn is_deferred(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.for_good)
    }

    /// The pod's group is looked at now.
    pub(super) fn hasten(&mut self) {
        self.due = Some(Instant::now());
    }

    /// Whether the group may not be any more what the pod is.
    pub(super) fn is_stale(&self, pod: &Pod) -> bool {
        let differs = |basis: &Basis| basis.mark != pod.mark() || basis.following.differs();
        self.due.is_some_and(|at| at <= Instant::now()) || self.basis.as_ref().is_some_and(differs)
    }

    /// The group was made of this, but for what comes once it stands.
    pub(super) fn begin(&mut self, watching: &Watching, rendered: Rendered) {
        let more = !rendered.ephemeral.is_empty();
        self.keep(watching, rendered);
        self.hand_over();
        if more {
            self.hasten();
        }
    }

    /// The group has the tokens.
    fn hand_over(&mut self) {
        for issued in &mut self.tokens {
            issued.token = None;
        }
    }

    /// Takes those back that the group of a pod of this specification has.
    fn recall(&mut self, spec: &Map<String, Value>, group: &Value) {
        let mut had = tokens::had(spec, group);
        let handed_over = self.tokens.iter_mut().filter(|known| known.token.is_none());
        handed_over.for_each(|known| known.token = had.remove(&known.need));
    }

    /// The group is made of this from now on.
    fn keep(&mut self, watching: &Watching, rendered: Rendered) {
        let Rendered {
            mark,
            fetched,
            known,
            generation,
            ..
        } = rendered;
        self.observed = generation;
        let following = watching.follow(fetched, known, &self.wake);
        let look = (!following.complete).then(|| Instant::now() + LOOK_PERIOD);
        let tokens = self.tokens.iter().map(|issued| issued.used_until);
        self.due = tokens.chain(look).min();
        // What nobody follows any more is let go only now.
        self.basis = Some(Basis { mark, following });
    }

    /// Nothing is looked at any more.
    pub(super) fn rest(&mut self) {
        self.basis = None;
        self.due = None;
    }
}

impl<H: Host> Worker<H> {
    /// The pod as a group's manifest, with what it refers to as that is now; but for its claims, where
    /// a group that `stands` keeps what it has.
    pub(super) async fn render(
        &mut self,
        pod: &Pod,
        stands: Option<&Value>,
    ) -> Result<Rendered, Hindrance> {
        let spec = pod.spec();
        let mut needs = needs(&pod.name, &spec);
        if let Some(group) = stands {
            needs.claims.clear();
            self.renewal.recall(&spec, group);
        }
        let known = self.shared.watching.known(needs.objects(&pod.namespace));
        let mut fetched = self.fetch(pod, &needs).await?;
        fetched.volumes = match stands {
            Some(group) => claims::kept(group),
            None => claims::resolve(pod, &spec, &fetched).map_err(Hindrance::of_claim)?,
        };
        let links = spec.get("enableServiceLinks") != Some(&Value::Bool(false));
        let services = match pod.from_file {
            // It does not wait for an API server.
            true => Vec::new(),
            false => self.shared.services.variables(&pod.namespace, links).await,
        };
        let config = &self.shared.config;
        let mut group =
            inline::group(pod, &fetched, &services, &config.cluster).map_err(Hindrance::Missing)?;
        if let Some(spec) = group["spec"].as_object_mut() {
            let modes = config.policy.standards.of(&pod.namespace);
            let open = modes.enforce == Standard::Privileged;
            user_namespace::settle(spec, config.cluster.user_namespaces, open);
        }
        let with = (&fetched, &*services);
        Ok(Rendered {
            group,
            ephemeral: inline::ephemeral(pod, with, &config.cluster),
            mark: pod.mark(),
            generation: pod.generation,
            fetched: fetched.versions(needs.objects(&pod.namespace)),
            known,
        })
    }

    async fn fetch(&mut self, pod: &Pod, needs: &Needs) -> Result<Fetched, Hindrance> {
        let asker = Asker {
            client: &self.shared.client,
            node: &self.shared.config.node.name,
        };
        let _turn = self.shared.requests.acquire().await;
        let fetched = fetch(asker, pod, needs, &mut self.renewal.tokens).await;
        // Right after the binding the authorizer may not know of it yet: that passes.
        fetched.map_err(|error| Hindrance::later(format!("fetch what the pod refers to: {error}")))
    }

    /// Gives the group what follows from the pod as it is now. What it has stays until that is
    /// known.
    pub(super) async fn renew(&mut self, pod: &Pod) {
        match self.try_to_renew(pod).await {
            Ok(()) => self.retry = Retry::new(),
            Err(hindrance) => {
                self.tell_hindrance(pod, &hindrance);
                if !hindrance.is_final() {
                    self.renewal.hasten();
                    self.retry.failed();
                }
            }
        }
    }

    async fn try_to_renew(&mut self, pod: &Pod) -> Result<(), Hindrance> {
        let Local::Group { handle, .. } = &self.local else {
            return Ok(());
        };
        let handle = handle.clone();
        let source = Arc::clone(&handle.snapshot().definition.source);
        let old: Value = serde_json::from_str(&source)
            .map_err(|error| Hindrance::later(format!("read the group's manifest: {error}")))?;
        let mut rendered = self.render(pod, Some(&old)).await?;
        let mut group = renewed(&old, &rendered.group);
        self.add_ephemeral(pod, &mut group, &rendered.ephemeral);
        let asked = std::mem::take(&mut rendered.group);
        // Whatever comes of it: it is not tried again until something changes.
        self.renewal.keep(&self.shared.watching, rendered);
        self.give(pod, &handle, (&group, &asked)).await?;
        self.renewal.hand_over();
        Ok(())
    }
}
