//! Many groups: one after another beside many that run, and several at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burstlet_proto::v1::wait_request::Condition;
use tokio::task::JoinSet;

use crate::clock::Instant;
use crate::engine::Starter;
use crate::groups::Groups;
use crate::latency::PAUSE;
use crate::report::{Report, Table, median, milliseconds};
use crate::setting::Setting;

/// Groups that run beside those that are started.
const CROWD: u32 = 200;
/// Groups on their way at once.
const IN_FLIGHT: u32 = 4;
/// Groups of one burst.
const BURST: u32 = 400;
/// Bursts; the median counts.
const BURSTS: u32 = 5;

/// Starts with nobody else running, then with many.
pub(crate) fn crowd(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let crowd = if setting.quick { CROWD / 20 } else { CROWD };
    let alone = starts(setting, "alone")?;
    let groups = setting.burstlet.groups();
    let runtime = setting.burstlet.runtime();
    runtime.block_on(spread(crowd, |index| {
        let mut groups = groups.clone();
        async move {
            let name = format!("crowd-{index}");
            groups.create(&name, &["sleep"]).await?;
            groups.wait(&name, Condition::Running).await.map(drop)
        }
    }))?;
    let among = starts(setting, "among")?;
    runtime.block_on(spread(crowd, |index| {
        let mut groups = groups.clone();
        async move { groups.remove(&format!("crowd-{index}")).await }
    }))?;
    let title = format!("Start with {crowd} groups running");
    let mut table = Table::new(&title, &["none running ms", "with them ms", "ratio"]);
    let ratio = among.as_secs_f64() / alone.as_secs_f64();
    table.row(&[
        &milliseconds(alone),
        &milliseconds(among),
        &format!("{ratio:.2}"),
    ]);
    report.add(table);
    Ok(())
}

/// Groups started, ended and deleted, several at once.
pub(crate) fn burst(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let (count, bursts) = if setting.quick {
        (BURST / 10, 1)
    } else {
        (BURST, BURSTS)
    };
    let mut took = Vec::new();
    for burst in 0..bursts {
        let groups = setting.burstlet.groups();
        let asked = Instant::now();
        let all = spread(count, |index| {
            whole_life(groups.clone(), format!("burst-{burst}-{index}"))
        });
        setting.burstlet.runtime().block_on(all)?;
        took.push(Instant::now().since(asked));
    }
    let rate = f64::from(count) / median(&took).as_secs_f64();
    let title = format!("Groups started, ended and deleted, {IN_FLIGHT} in flight");
    let mut table = Table::new(&title, &["groups", "groups per second"]);
    table.row(&[&count.to_string(), &format!("{rate:.0}")]);
    report.add(table);
    Ok(())
}

async fn whole_life(mut groups: Groups, name: String) -> Result<()> {
    groups.create(&name, &["stamp"]).await?;
    let ended = groups.wait(&name, Condition::Finished).await?;
    let phase = ended.status.unwrap_or_default().phase;
    ensure!(phase == "Succeeded", "group {name} is {phase}");
    groups.remove(&name).await
}

fn starts(setting: &Setting<'_>, name: &str) -> Result<Duration> {
    let mut took = Vec::new();
    for round in 0..setting.rounds {
        took.push(setting.burstlet.start(&format!("{name}-{round}"))?);
        std::thread::sleep(PAUSE);
    }
    Ok(median(&took))
}

/// Runs `one` so many times, several at once.
async fn spread<F>(count: u32, one: impl Fn(u32) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for index in 0..count {
        if running.len() >= IN_FLIGHT as usize
            && let Some(ended) = running.join_next().await
        {
            ended.context("run a group")??;
        }
        running.spawn(one(index));
    }
    while let Some(ended) = running.join_next().await {
        ended.context("run a group")??;
    }
    Ok(())
}
