//! Every trace of the agent, removed from the host.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use burstlet_model::{ContainerName, GroupUid};
use burstlet_sandbox::client::Launcher;
use burstlet_supervisor::host::Host;

use crate::config::Config;
use crate::host::RealHost;
use crate::records::Records;
use crate::run;

/// How long the launcher may take to end by itself, and what is left in a cgroup to end when it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends every group and removes what the agent made. The agent itself must have ended.
///
/// # Errors
/// The agent runs, or something cannot be removed; what could be is gone then.
pub(crate) async fn uninstall(config: Config, sure: bool) -> anyhow::Result<()> {
    if !config.state_dir.exists() && !config.run_dir.exists() {
        println!(
            "nothing of Burstlet is in {} or {}",
            config.state_dir.display(),
            config.run_dir.display()
        );
        return Ok(());
    }
    if !sure && !confirmed(&config)? {
        bail!("nothing was removed");
    }
    let lock = run::lock(&config)?;
    let config = Arc::new(config);
    let records = Records::open_closed(&config.state_dir)?;
    let host = run::host(&config, records, None)
        .await
        .context("look for what the agent has made")?;
    let mut problems = end_groups(&host).await;
    end_launcher(&host.launcher).await;
    if let Some(network) = host.network.get()
        && let Err(error) = network.clone().teardown().await
    {
        problems.push(format!("the network: {error}"));
    }
    if let Err(error) = remove_cgroups(&host) {
        problems.push(format!("cgroups: {error:#}"));
    }
    if !problems.is_empty() {
        bail!("some things could not be removed: {}", problems.join("; "));
    }
    drop(host);
    for dir in [&*config.run_dir, &*config.state_dir] {
        remove(dir)?;
    }
    drop(lock);
    println!("removed every trace of Burstlet");
    Ok(())
}

fn confirmed(config: &Config) -> anyhow::Result<bool> {
    print!(
        "This ends every group and removes {} with all images, volumes, logs and the ledger. Go on? [y/N] ",
        config.state_dir.display()
    );
    std::io::stdout().flush().context("ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks the launcher to end. One that cannot answer, for want of descriptors or because somebody has
/// stopped it, is killed with its cgroup.
async fn end_launcher(launcher: &Launcher) {
    let told = match tokio::time::timeout(PATIENCE, launcher.quit()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(
        error = told,
        "the launcher did not end by itself; killing it"
    );
}

/// Ends every group that has a record, a keeper or a cgroup.
async fn end_groups(host: &RealHost) -> Vec<String> {
    let mut problems = Vec::new();
    let mut all: Vec<GroupUid> = host.records.uids();
    all.extend(host.launcher.groups().unwrap_or_default());
    all.extend(host.cgroups.list().unwrap_or_default());
    all.sort();
    all.dedup();
    for uid in all {
        if let Err(error) = host.remove(&uid).await {
            problems.push(format!("group {uid}: {error}"));
        }
    }
    problems
}

fn remove_cgroups(host: &RealHost) -> anyhow::Result<()> {
    let launcher = host.cgroups.daemon(&ContainerName::new("launcher")?)?;
    launcher.kill_all(PATIENCE)?;
    launcher.remove(PATIENCE)?;
    host.cgroups.remove_root(PATIENCE)?;
    Ok(())
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    burstlet_image::remove_tree(dir).with_context(|| format!("remove {}", dir.display()))
}
