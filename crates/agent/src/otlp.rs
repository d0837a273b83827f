//! What happens here, told to a collector by OTLP as well: the agent's log, its metrics, what of the
//! ledger are events, and who did what.
//!
//! | signal    | from                                       | if the collector is away                     |
//! |-----------|--------------------------------------------|----------------------------------------------|
//! | `logs`    | a queue that the log fills                 | what has no room is dropped, and counted     |
//! | `metrics` | the pages of the admin port, now and then  | a page is dropped after a few tries          |
//! | `events`  | the ledger, behind a cursor that is kept   | nothing is lost: it waits in the ledger      |
//! |           | what happens to groups, as it is seen      | the same as with the log                     |
//! | `audit`   | the audit trail, behind a place likewise   | it waits in the trail's files; what goes     |
//! |           |                                            | with the oldest of them is counted           |
//!
//! Nothing waits for the collector but the tasks that speak to it.

mod audit;
mod cursor;
mod events;
mod groups;
mod headers;
mod pages;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod sink;

use std::path::PathBuf;

use anyhow::Context;
use burstlet_access::Trail;
use burstlet_metering::ledger::Inspected;
use burstlet_metering::recent::Recent;
use burstlet_otlp::{
    Batch, Collector, Counts, Grpc, LogLayer, Queue, Sender, Signal, Source, Target, queue,
};
use burstlet_supervisor::Groups;
use burstlet_telemetry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::access;
use crate::config::{self, Config, OtlpSignal};
use crate::host::RealHost;
use crate::machine;
use crate::metering;
use crate::metrics::{Heard, Told};
use crate::reload::{Contents, Reloaded};
use audit::Audit;
use cursor::Cursor;
use events::Events;

/// The attribute by which collectors tell what they were told twice.
const UID: &str = "log.record.uid";

/// What is there before the agent is: the log's queue, and what counts.
#[derive(Default)]
pub(crate) struct Outlet {
    counts: Counts,
    logs: Option<Queue>,
}

/// The collector, as the configuration and its files have it.
pub(crate) struct Way {
    collector: Reloaded<Grpc>,
    given: config::Otlp,
    outlet: Outlet,
    /// The latest records of the ledger, if it is told of.
    recent: Option<Recent>,
}

/// What there is to tell of.
pub(crate) struct Subject<'a> {
    pub(crate) config: &'a Config,
    pub(crate) groups: &'a Groups<RealHost>,
    pub(crate) registry: &'a Registry,
    pub(crate) trail: &'a Trail,
}

/// What is told behind a place that is kept.
type Kept = (Option<Events<Current>>, Option<Audit<Current>>);

/// The collector of the moment: its headers may be renewed.
struct Current(watch::Receiver<Grpc>);

/// What the log is to be put into from its first line on, if anybody is told of it.
pub(crate) fn outlet(given: &config::Otlp) -> (Option<LogLayer>, Outlet) {
    let mut outlet = Outlet::default();
    if !given.tells(OtlpSignal::Logs) {
        return (None, outlet);
    }
    let (entrance, logs) = queue(Signal::Logs, outlet.counts.clone());
    outlet.logs = Some(logs);
    (Some(LogLayer::new(entrance, now_ns)), outlet)
}

/// Tells the collector, if there is one, until the shutdown.
///
/// # Errors
/// Two metrics have one name, or how far the collector has heard cannot be read. The agent ends.
pub(crate) async fn tell(
    way: Option<Way>,
    subject: Subject<'_>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    match way {
        Some(way) => {
            // It holds what all of its tasks do.
            let told = Box::pin(way.tell(subject, shutdown.clone())).await;
            told.inspect_err(|_| shutdown.cancel())
        }
        None => Ok(()),
    }
}

impl Way {
    /// The way to the collector, if there is one. Nothing is sent yet.
    ///
    /// # Errors
    /// The endpoint is none, or a file cannot be used.
    pub(crate) fn open(given: &config::Otlp, outlet: Outlet) -> anyhow::Result<Option<Self>> {
        if given.endpoint.is_empty() {
            return Ok(None);
        }
        let source = Source {
            service: "burstlet",
            version: env!("CARGO_PKG_VERSION"),
            instance: machine::host_name(),
        };
        let paths = given.ca_file.0.iter().chain(&given.headers_file.0);
        let paths: Vec<PathBuf> = paths.cloned().collect();
        let target = given.clone();
        let make = move |files: &Contents| Ok(Grpc::new(&self::target(&target, files)?, &source)?);
        let what = "the way to the collector ([otlp])";
        let collector = Reloaded::open(what, paths, make)?;
        Ok(Some(Self {
            collector,
            recent: given.tells(OtlpSignal::Events).then(Recent::default),
            given: given.clone(),
            outlet,
        }))
    }

    /// Where the ledger's records are to be put, if the collector is told of them.
    pub(crate) fn recent(&self) -> Option<Recent> {
        self.recent.clone()
    }

    async fn tell(self, subject: Subject<'_>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (events, audit) = self.resume(&subject)?;
        let to = |signal| self.sender(signal);
        let (to_logs, to_metrics, to_events) =
            (to(Signal::Logs), to(Signal::Metrics), to(Signal::Events));
        let logs = async {
            if let Some(queue) = self.outlet.logs {
                queue.follow(&to_logs).await;
            }
        };
        let metrics = async {
            if self.given.tells(OtlpSignal::Metrics) {
                pages::follow(&subject, &self.given, &to_metrics).await;
            }
        };
        let events = async {
            if let Some(events) = events {
                let ledger = subject.groups.host().metering.ledger_status();
                let happened = groups::follow(subject.groups, &self.outlet.counts, &to_events);
                tokio::join!(events.follow(ledger), happened);
            }
        };
        let audit = async {
            if let Some(audit) = audit {
                audit.follow(subject.trail.head()).await;
            }
        };
        let files = self.collector.follow(shutdown.clone());
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = async { tokio::join!(logs, metrics, events, audit, files) } => {}
        }
        Ok(())
    }

    /// What is told from where it was left off: the ledger and the audit trail, if they are.
    fn resume(&self, subject: &Subject<'_>) -> anyhow::Result<Kept> {
        let (ledger, trail) = (watch::Sender::new(0), watch::Sender::new(0));
        let heard = Heard {
            ledger: ledger.subscribe(),
            audit: trail.subscribe(),
        };
        let told = Told::new(self.outlet.counts.clone(), heard);
        told.register(subject.registry)
            .context("set up the metrics of [otlp]")?;
        let events = match &self.recent {
            Some(recent) => {
                let sender = self.sender(Signal::Events);
                Some(events(subject, recent.clone(), sender, ledger)?)
            }
            None => None,
        };
        let audit = match self.given.tells(OtlpSignal::Audit) {
            true => Some(audit(subject, self.sender(Signal::Audit), trail)?),
            false => None,
        };
        Ok((events, audit))
    }

    fn sender(&self, signal: Signal) -> Sender<Current> {
        let collector = Current(self.collector.value());
        Sender::new(collector, signal, self.outlet.counts.clone())
    }
}

impl Collector for Current {
    async fn take(&self, signal: Signal, batch: &Batch) -> Result<u64, Status> {
        let collector = self.0.borrow().clone();
        collector.take(signal, batch).await
    }
}

fn events(
    subject: &Subject<'_>,
    recent: Recent,
    sender: Sender<Current>,
    heard: watch::Sender<u64>,
) -> anyhow::Result<Events<Current>> {
    let state_dir = &subject.config.state_dir;
    let metering = &subject.groups.host().metering;
    let source = events::Source {
        meter: metering.meter().clone(),
        recent,
        files: Inspected::new(&state_dir.join(metering::DIRECTORY)),
    };
    let ledger = metering.meter().ledger().ledger;
    let cursor = Cursor::open(state_dir, ledger).context("read how far the collector has heard")?;
    Ok(Events::new(source, sender, cursor, heard))
}

fn audit(
    subject: &Subject<'_>,
    sender: Sender<Current>,
    heard: watch::Sender<u64>,
) -> anyhow::Result<Audit<Current>> {
    let trail = access::trail(subject.config);
    Audit::open((&subject.config.state_dir, trail), sender, heard)
}

/// Since 1970.
fn now_ns() -> u64 {
    u64::try_from(machine::now().wall.0).unwrap_or(0)
}

fn target(given: &config::Otlp, files: &Contents) -> anyhow::Result<Target> {
    let headers = match &given.headers_file.0 {
        Some(path) => {
            let text = String::from_utf8_lossy(files.of(path)).into_owned();
            headers::parse(&text).with_context(|| format!("read {}", path.display()))?
        }
        None => Vec::new(),
    };
    Ok(Target {
        endpoint: given.endpoint.clone(),
        ca: given.ca_file.0.as_ref().map(|path| files.of(path).to_vec()),
        headers,
    })
}
