//! A node's pods as a watch sees them: created until `Running`, deleted until gone; one after the
//! other and many at once, and what the API server was asked meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Of, measured};
use crate::clock::Instant;
use crate::groups::PATIENCE;
use crate::latency::PAUSE;
use crate::report::{Report, Table, milliseconds, percentile};

/// A shell that has only just begun does not hear yet that it should end.
const SETTLE: Duration = Duration::from_millis(200);
/// Tells our pods from others.
pub(super) const LABEL: &str = "burstlet-bench";

/// What is created, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    /// How many pods come alone
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// How many pods come at once
    #[arg(long, default_value_t = 50)]
    burst: u32,
    /// How many such bursts
    #[arg(long, default_value_t = 5)]
    bursts: u32,
}

/// Measures, and prints tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.rounds > 0 && args.burst > 0 && args.bursts > 0,
        "--rounds, --burst and --bursts must be at least 1"
    );
    measured(&args.of.kubeconfig, async |client, report| {
        measure(args, client, report).await
    })
}

async fn measure(args: &Args, client: &Client, report: &mut Report) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut alone = Took::default();
    // The first fills caches and does not count.
    for round in 0..=args.rounds {
        let took = lives(args, &pods, &[format!("bench-{round}")]).await?;
        if round > 0 {
            alone.add(took);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut together = Took::default();
    let before = asked(client).await?;
    for burst in 0..args.bursts {
        let names: Vec<_> = (0..args.burst)
            .map(|index| format!("bench-{burst}-{index}"))
            .collect();
        together.add(lives(args, &pods, &names).await?);
    }
    let after = asked(client).await?;

    let columns = [
        "pods",
        "created → Running p50 ms",
        "p90 ms",
        "deleted → gone p50 ms",
        "p90 ms",
    ];
    let mut table = Table::new("Pods, as a watch sees them", &columns);
    alone.row(&mut table, "one");
    together.row(&mut table, &format!("{} at once", args.burst));
    report.add(table);
    let mut table = Table::new(
        "Writes to the API server per pod of a burst",
        &["what", "writes"],
    );
    for (index, (what, _)) in WRITES.iter().enumerate() {
        let per_pod = (after[index] - before[index]) / f64::from(args.burst * args.bursts);
        table.row(&[what, &format!("{per_pod:.2}")]);
    }
    report.add(table);
    Ok(())
}

/// Of each time, how long all pods took.
#[derive(Default)]
struct Took {
    running: Vec<Duration>,
    gone: Vec<Duration>,
}

impl Took {
    fn add(&mut self, (running, gone): (Duration, Duration)) {
        self.running.push(running);
        self.gone.push(gone);
    }

    fn row(&self, table: &mut Table, label: &str) {
        let ms =
            |took: &[Duration]| [50, 90].map(|percent| milliseconds(percentile(took, percent)));
        let ([p50, p90], [gone_p50, gone_p90]) = (ms(&self.running), ms(&self.gone));
        table.row(&[label, &p50, &p90, &gone_p50, &gone_p90]);
    }
}

/// Creates pods until all are seen to run, and deletes them until none is seen any more.
async fn lives(args: &Args, pods: &Api<Pod>, names: &[String]) -> Result<(Duration, Duration)> {
    let listed = pods.list(&Default::default()).await.context("list pods")?;
    let version = listed.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().labels(LABEL);
    let events = pods.watch(&params, &version).await.context("watch pods")?;
    let mut events = std::pin::pin!(events);

    let began = Instant::now();
    let create = names.iter().map(async |name| {
        let created = pods
            .create(&PostParams::default(), &pod(&args.of, name, &json!({}))?)
            .await;
        created
            .map(drop)
            .with_context(|| format!("create pod {name}"))
    });
    let running = seen(&mut events, names, |event| match event {
        WatchEvent::Modified(pod) => is_running(pod).then_some(pod),
        _ => None,
    });
    tokio::try_join!(try_join_all(create), running)?;
    let ran = Instant::now().since(began);
    tokio::time::sleep(SETTLE).await;

    let began = Instant::now();
    let delete = names.iter().map(async |name| {
        let deleted = pods.delete(name, &DeleteParams::default()).await;
        deleted
            .map(drop)
            .with_context(|| format!("delete pod {name}"))
    });
    let gone = seen(&mut events, names, |event| match event {
        WatchEvent::Deleted(pod) => Some(pod),
        _ => None,
    });
    tokio::try_join!(try_join_all(delete), gone)?;
    Ok((ran, Instant::now().since(began)))
}

/// Waits until there was such an event of each.
async fn seen(
    events: &mut (impl Stream<Item = kube::Result<WatchEvent<Pod>>> + Unpin),
    names: &[String],
    wanted: impl Fn(&WatchEvent<Pod>) -> Option<&Pod>,
) -> Result<()> {
    let mut missing: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    while !missing.is_empty() {
        let event = timeout(PATIENCE, events.next())
            .await
            .with_context(|| format!("{} of {} pods are late", missing.len(), names.len()))?
            .context("the watch ended")?
            .context("watch pods")?;
        if let Some(pod) = wanted(&event) {
            missing.remove(pod.metadata.name.as_deref().unwrap_or_default());
        }
    }
    Ok(())
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// A pod that ends as soon as it is asked to, of a container with these `resources`.
pub(super) fn pod(of: &Of, name: &str, resources: &Value) -> Result<Pod> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: "true"}},
        "spec": {
            "nodeName": of.node,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "main",
                "image": of.image,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
                "resources": resources,
            }],
        },
    });
    serde_json::from_value(pod).context("make a pod")
}

/// What is written for a pod, and the labels of the API server's count of it.
const WRITES: [(&str, [&str; 3]); 3] = [
    (
        "status of pods",
        [
            "resource=\"pods\"",
            "subresource=\"status\"",
            "verb=\"PATCH\"",
        ],
    ),
    (
        "events, new",
        ["resource=\"events\"", "subresource=\"\"", "verb=\"POST\""],
    ),
    (
        "events, counted on",
        ["resource=\"events\"", "subresource=\"\"", "verb=\"PATCH\""],
    ),
];

/// How often the API server has been asked for each.
pub(super) async fn asked(client: &Client) -> Result<[f64; WRITES.len()]> {
    let request = http::Request::get("/metrics").body(Vec::new());
    let request = request.context("make a request")?;
    let text = client.request_text(request).await;
    let text = text.context("read the API server's metrics")?;
    Ok(WRITES.map(|(_, labels)| {
        let counts = text.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && labels.iter().all(|label| line.contains(label))
        });
        let values = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    }))
}
