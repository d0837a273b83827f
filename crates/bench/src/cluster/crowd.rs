//! A node that more pods are bound to than it has room for: those that fit run, and the others wait and
//! say so. What that costs the agent and the API server, and what it costs when nothing happens.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::sleep;

use super::pods::{LABEL, asked, pod};
use super::{Of, measured};
use crate::clock::Instant;
use crate::idle::field;
use crate::report::{Report, Table};

/// Pods that are created at once.
const AT_ONCE: usize = 32;
/// How long all of them may take to be told of, and to be gone.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often it is looked.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// How long the node is looked at while nothing happens.
const REST: Duration = Duration::from_secs(30);
/// The condition of a pod that waits for room.
const QUEUED: &str = "burstlet.dev/Queued";

/// What is created.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    /// The agent's process
    #[arg(long)]
    agent: u32,
    /// How many pods are bound to the node
    #[arg(long, default_value_t = 5000)]
    pods: u32,
    /// What each asks for; the machine should have room for a few of them
    #[arg(long, default_value = "512Mi")]
    memory: String,
}

/// What the agent has taken so far.
struct Taken {
    at: Instant,
    cpu: Duration,
    statuses: f64,
}

/// Measures, and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.pods > 0, "--pods must be at least 1");
    measured(&args.of.kubeconfig, async |client, report| {
        measure(args, client, report).await
    })
}

async fn measure(args: &Args, client: &Client, report: &mut Report) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let columns = [
        "",
        "s",
        "agent's CPU s",
        "status writes per pod",
        "resident MiB",
    ];
    let title = format!("{} pods bound to the node", args.pods);
    let mut table = Table::new(&title, &columns);
    let before = Taken::so_far(args, client).await?;
    create(args, &pods).await?;
    let running = until_told(args, &pods).await?;
    let told = Taken::so_far(args, client).await?;
    let label = format!("all told: {running} run, {} wait", args.pods - running);
    row(&mut table, args, &label, (&before, &told))?;
    sleep(REST).await;
    let rested = Taken::so_far(args, client).await?;
    row(&mut table, args, "nothing happens", (&told, &rested))?;
    delete(&pods).await?;
    let gone = Taken::so_far(args, client).await?;
    row(&mut table, args, "all deleted until gone", (&rested, &gone))?;
    report.add(table);
    let peak = field(&format!("/proc/{}/status", args.agent), "VmHWM:")? >> 10;
    report.note(&format!("The agent's memory was {peak} MiB at most."));
    Ok(())
}

fn row(table: &mut Table, args: &Args, label: &str, (from, to): (&Taken, &Taken)) -> Result<()> {
    let resident = field(&format!("/proc/{}/status", args.agent), "VmRSS:")? >> 10;
    let writes = (to.statuses - from.statuses) / f64::from(args.pods);
    let seconds = |duration: Duration| format!("{:.2}", duration.as_secs_f64());
    table.row(&[
        label,
        &seconds(to.at.since(from.at)),
        &seconds(to.cpu.saturating_sub(from.cpu)),
        &format!("{writes:.2}"),
        &resident.to_string(),
    ]);
    Ok(())
}

impl Taken {
    async fn so_far(args: &Args, client: &Client) -> Result<Self> {
        let [statuses, ..] = asked(client).await?;
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(args.agent)?,
            statuses,
        })
    }
}

/// The time that a process has run for, in its own code and the kernel's.
fn cpu(pid: u32) -> Result<Duration> {
    let mut ns: u64 = 0;
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).context("list its threads")?;
    for task in tasks {
        let path = task.context("list its threads")?.path().join("schedstat");
        // A thread may have ended since; the agent's that work do not.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let own: Option<u64> = text.split_whitespace().next().and_then(|n| n.parse().ok());
        ns += own.unwrap_or(0);
    }
    ensure!(ns > 0, "process {pid} says nothing of its time");
    Ok(Duration::from_nanos(ns))
}

async fn create(args: &Args, pods: &Api<Pod>) -> Result<()> {
    let created = stream::iter(0..args.pods).map(async |index| {
        let resources = json!({"requests": {"memory": args.memory}});
        let pod = pod(&args.of, &format!("bench-crowd-{index}"), &resources)?;
        let created = pods.create(&PostParams::default(), &pod).await;
        created.map(drop).context("create a pod")
    });
    created.buffer_unordered(AT_ONCE).try_collect().await
}

/// Waits until each pod runs or says that it waits; how many run.
async fn until_told(args: &Args, pods: &Api<Pod>) -> Result<u32> {
    let began = Instant::now();
    loop {
        let listed = pods.list(&ListParams::default().labels(LABEL)).await;
        let (mut running, mut waiting) = (0, 0);
        for pod in listed.context("list pods")? {
            let status = pod.status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            running += u32::from(status.phase.as_deref() == Some("Running"));
            waiting += u32::from(conditions.any(|c| c.type_ == QUEUED && c.status == "True"));
        }
        if running + waiting >= args.pods {
            return Ok(running);
        }
        let late = Instant::now().since(began) > PATIENCE;
        ensure!(!late, "{running} run and {waiting} wait, of {}", args.pods);
        sleep(LOOK_PERIOD).await;
    }
}

/// Deletes all, and waits until none is left.
async fn delete(pods: &Api<Pod>) -> Result<()> {
    let ours = ListParams::default().labels(LABEL);
    let deleted = pods
        .delete_collection(&DeleteParams::default(), &ours)
        .await;
    deleted.context("delete the pods")?;
    let began = Instant::now();
    loop {
        let listed = pods.list(&ours).await.context("list pods")?;
        if listed.items.is_empty() {
            return Ok(());
        }
        let left = listed.items.len();
        let late = Instant::now().since(began) > PATIENCE;
        ensure!(!late, "{left} pods are left");
        sleep(LOOK_PERIOD).await;
    }
}
