//! `top`: what groups use now, the largest first.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::StatsRequest;
use clap::ValueEnum;

use super::stats::{interval, readings};
use crate::client::Client;
use crate::error::Exit;
use crate::output::print;
use crate::usage::{self, Line};

/// Between the two readings that a rate needs.
const INTERVAL: Duration = Duration::from_millis(500);

/// The flags of `top`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only this group, container by container
    name: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Sort::Cpu)]
    sort: Sort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest use of CPU
    Cpu,
    /// The largest use of memory
    Memory,
    /// By the alphabet
    Name,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let request = StatsRequest {
        namespace: namespace.to_owned(),
        label_selector: String::new(),
        group: args.name.as_deref().and_then(|name| client.group(name)),
        interval: Some(interval(INTERVAL)),
    };
    let mut readings = readings(client, request).await?;
    let mut next = async || {
        readings
            .message()
            .await
            .context("read the use of resources")
    };
    let (Some(first), Some(second)) = (next().await?, next().await?) else {
        return Ok(Exit::SUCCESS);
    };
    let by_container = args.name.is_some();
    let mut lines = usage::lines(Some(&first), &second, by_container);
    sort(&mut lines, args.sort);
    print(usage::table(&lines, by_container))?;
    Ok(Exit::SUCCESS)
}

fn sort(lines: &mut [Line], by: Sort) {
    lines.sort_by(|a, b| match by {
        Sort::Cpu => Reverse(a.cpu_milli).cmp(&Reverse(b.cpu_milli)),
        Sort::Memory => Reverse(a.memory_bytes).cmp(&Reverse(b.memory_bytes)),
        Sort::Name => (&a.group, &a.container).cmp(&(&b.group, &b.container)),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_comes_first() {
        let line = |group: &str, cpu_milli, memory_bytes| Line {
            group: group.to_owned(),
            container: String::new(),
            cpu_milli: Some(cpu_milli),
            memory_bytes,
            pids: 1,
            network: None,
            io: None,
        };
        let order = |by| {
            let mut lines = [line("b", 1, 30), line("c", 3, 20), line("a", 2, 10)];
            sort(&mut lines, by);
            lines.map(|line| line.group).concat()
        };
        assert_eq!(
            [Sort::Cpu, Sort::Memory, Sort::Name].map(order),
            ["cab", "bca", "abc"]
        );
    }
}
