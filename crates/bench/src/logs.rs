//! How fast a container can write lines that are kept.

use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::LogStream;
use burstlet_proto::v1::wait_request::Condition;

use crate::report::{Report, Table, median};
use crate::setting::Setting;

/// Bytes of one line.
const LINE_BYTES: u64 = 128;
/// Lines of one measurement: 512 MB.
const LINES: u64 = 4_000_000;
/// Measurements of each; the median counts.
const ROUNDS: u32 = 5;

/// Burstlet's keeper beside podman's conmon, in turns.
pub(crate) fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let (lines, rounds) = if setting.quick {
        (LINES / 40, 1)
    } else {
        (LINES, ROUNDS)
    };
    let (mut ours, mut podmans) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let name = format!("log-{round}");
        ours.push(burstlet(setting, &name, lines)?);
        if let Some(podman) = setting.podman.last() {
            podmans.push(podman.log(&name, lines)?);
        }
    }
    let title = "Log of one container, 128-byte lines";
    let mut table = Table::new(title, &["", "MB/s"]);
    let rate = |took: &[Duration]| {
        let megabytes = Duration::from_micros(lines * LINE_BYTES).as_secs_f64();
        format!("{:.0}", megabytes / median(took).as_secs_f64())
    };
    table.row(&["Burstlet", &rate(&ours)]);
    if !podmans.is_empty() {
        table.row(&["podman (conmon, k8s-file)", &rate(&podmans)]);
    }
    report.add(table);
    Ok(())
}

fn burstlet(setting: &Setting<'_>, name: &str, lines: u64) -> Result<Duration> {
    let mut groups = setting.burstlet.groups();
    let line = setting.burstlet.runtime().block_on(async {
        groups.create(name, &["lines", &lines.to_string()]).await?;
        groups.wait(name, Condition::Finished).await?;
        let line = groups.last_line(name, LogStream::Stderr).await?;
        groups.remove(name).await?;
        anyhow::Ok(line)
    })?;
    let ns = line.trim().parse().context("read the payload's time")?;
    Ok(Duration::from_nanos(ns))
}
