use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ImageRef;
use futures_util::future::join_all;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::error::{Problem, RegistryError};
use super::health::Health;
use super::http::Clients;
use super::retry::Attempts;
use super::session::Session;
use super::settings::MirrorOrder;
use super::token_cache::Tokens;
use super::{RegistriesSettings, RegistryCredentials, RegistryHost};

/// A mirror that takes longer than this to be measured counts as down.
const MEASURE_DEADLINE: Duration = Duration::from_secs(2);
/// A host that takes longer than this to answer is not reached.
const REACH_DEADLINE: Duration = Duration::from_secs(4);

/// Speaks to registries. Cheap to clone; connections and what is known of hosts are shared.
#[derive(Clone)]
pub struct RegistryClient {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) settings: RegistriesSettings,
    pub(super) clients: Clients,
    pub(super) health: Health,
    pub(super) tokens: Tokens,
}

impl RegistryClient {
    /// Makes a client; reads the certificates that the settings name.
    ///
    /// # Errors
    /// A certificate file cannot be read.
    pub fn new(settings: RegistriesSettings) -> Result<Self, RegistryError> {
        let clients = Clients::new(&settings).map_err(|problem| RegistryError {
            action: "set up the client".to_owned(),
            host: "registries".to_owned(),
            problem,
        })?;
        let shared = Shared {
            settings,
            clients,
            health: Health::default(),
            tokens: Tokens::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether `registry`, or a mirror of it, answers.
    ///
    /// # Errors
    /// None of them does; why the registry itself does not.
    pub async fn reach(&self, registry: &RegistryHost) -> Result<(), RegistryError> {
        let own = self.shared.settings.registries.get(registry);
        for mirror in own.into_iter().flat_map(|own| &own.mirrors) {
            if self.ask_for_nothing(mirror).await.is_ok() {
                return Ok(());
            }
        }
        let answered = self.ask_for_nothing(registry).await;
        answered.map_err(|problem| RegistryError {
            action: "an answer".to_owned(),
            host: registry.to_string(),
            problem,
        })
    }

    async fn ask_for_nothing(&self, host: &RegistryHost) -> Result<(), Problem> {
        let nobody = Arc::new([]);
        let session = Session::new(self.shared.clone(), host.clone(), String::new(), nobody);
        session.reach(REACH_DEADLINE).await
    }

    /// The repository that `reference` names, as the bearer of `credentials` sees it.
    #[must_use]
    pub fn repository(
        &self,
        reference: &ImageRef,
        credentials: Vec<RegistryCredentials>,
    ) -> Repository {
        let registry = RegistryHost::of(reference);
        let own = self.shared.settings.registries.get(&registry);
        let credentials: Arc<[_]> = credentials.into();
        let session = |host: &RegistryHost| {
            let name = reference.repository().to_owned();
            Session::new(self.shared.clone(), host.clone(), name, credentials.clone())
        };
        Repository {
            mirrors: own
                .into_iter()
                .flat_map(|own| &own.mirrors)
                .map(session)
                .collect(),
            order: own.map(|own| own.mirror_order).unwrap_or_default(),
            origin: session(&registry),
            shared: self.shared.clone(),
            source: format!("{registry}/{}", reference.repository()),
        }
    }
}

/// One repository of one registry, and of the mirrors that serve it too. Lives for one pull; of what
/// it was told to be allowed only tokens outlive it, for who shows the same credentials.
pub struct Repository {
    shared: Arc<Shared>,
    mirrors: Vec<Session>,
    order: MirrorOrder,
    origin: Session,
    source: String,
}

/// One try at one host.
pub(super) struct Try<'a> {
    pub(super) session: &'a Session,
    pub(super) attempts: Attempts,
}

impl Repository {
    /// Whether credentials of the request were needed to see what was seen.
    #[must_use]
    pub fn used_request_credentials(&self) -> bool {
        self.sessions().any(Session::used_request_credentials)
    }

    /// Names what comes from here.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// An error of what the registry said as a whole.
    pub(super) fn at_origin(&self, action: &str, problem: Problem) -> RegistryError {
        failed(action, &self.origin, problem)
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.mirrors.iter().chain([&self.origin])
    }

    /// The hosts in the order in which to ask them: mirrors first, those that are down last of
    /// them, and the registry itself at the end.
    pub(super) async fn order(&self) -> Vec<Try<'_>> {
        let health = &self.shared.health;
        let mut mirrors: Vec<&Session> = self.mirrors.iter().collect();
        if self.order == MirrorOrder::Nearest {
            let unknown = mirrors.iter().filter(|mirror| {
                health.latency(mirror.host()).is_none() && !health.is_down(mirror.host())
            });
            join_all(unknown.map(|mirror| mirror.measure(MEASURE_DEADLINE))).await;
            mirrors.sort_by_key(|mirror| health.latency(mirror.host()).unwrap_or(Duration::MAX));
        }
        let (up, down): (Vec<_>, Vec<_>) = mirrors
            .into_iter()
            .partition(|mirror| !health.is_down(mirror.host()));
        // A mirror that is known to be down is not worth its deadline.
        for mirror in down {
            debug!(mirror = %mirror.host(), "leave out a mirror that is down");
        }
        let mirrors = up.into_iter().map(|session| Try {
            session,
            attempts: Attempts::few(),
        });
        let origin = Try {
            session: &self.origin,
            attempts: Attempts::default(),
        };
        mirrors.chain([origin]).collect()
    }

    /// Asks each host in turn until one has it, each as often as it deserves.
    pub(super) async fn ask_each<'a, T, F, Asked>(
        &'a self,
        action: &str,
        ask: F,
    ) -> Result<T, RegistryError>
    where
        F: Fn(&'a Session) -> Asked,
        Asked: Future<Output = Result<T, Problem>>,
    {
        let mut last = None;
        for Try {
            session,
            mut attempts,
        } in self.order().await
        {
            let problem = loop {
                let problem = match ask(session).await {
                    Ok(value) => return Ok(value),
                    Err(problem) => problem,
                };
                match delay_of(&problem, &mut attempts) {
                    Some(delay) => sleep(delay).await,
                    None => break problem,
                }
            };
            let error = failed(action, session, problem);
            if error.problem.is_ours() {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| failed(action, &self.origin, Problem::NotFound)))
    }
}

/// How long to wait before the same host is asked again; none if it is not worth it.
pub(super) fn delay_of(problem: &Problem, attempts: &mut Attempts) -> Option<Duration> {
    if !problem.is_passing() {
        return None;
    }
    let asked = match problem {
        Problem::RateLimited(delay) => *delay,
        _ => None,
    };
    attempts.next_delay(asked)
}

/// Notes that a host does not give what was asked for.
pub(super) fn failed(action: &str, session: &Session, problem: Problem) -> RegistryError {
    if problem.is_outage() {
        session.note_outage();
    }
    let host = session.host().to_string();
    warn!(host, action, %problem, "a registry does not give what was asked for");
    RegistryError {
        action: action.to_owned(),
        host,
        problem,
    }
}
