//! `usage`: what groups had and used, and what it cost.

use anyhow::Result;
use burstlet_proto::v1::{UsageResponse, UsageRow};

use crate::billing::{Format, OutputArgs, Scope, csv, giga, rounded};
use crate::client::Client;
use crate::error::Exit;
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `usage`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let answer = args.scope.ask(client).await?;
    print(render(&answer, &args.scope.by(), args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

fn render(answer: &UsageResponse, by: &[String], format: Format) -> Result<String> {
    match format {
        Format::Json => json_text(answer),
        Format::Csv => Ok(csv(&exact(answer, by))),
        Format::Table => Ok(table(answer, by)),
    }
}

fn table(answer: &UsageResponse, by: &[String]) -> String {
    let headings = [
        "SESSIONS",
        "BILLED",
        "CORE-SECONDS",
        "USED",
        "GB-SECONDS",
        "USED",
        "COST",
    ];
    let mut heading: Vec<String> = by.iter().map(|word| word.to_uppercase()).collect();
    heading.extend(headings.map(str::to_owned));
    let mut table = Table::of(heading);
    let line = |keys: Vec<String>, row: &UsageRow| {
        let (cpu, memory) = (
            &row.cpu_requested_core_seconds,
            &row.memory_requested_byte_seconds,
        );
        let cells = [
            row.sessions.to_string(),
            rounded(&row.billed_seconds, 3) + "s",
            rounded(cpu, 3),
            share(&row.cpu_used_core_seconds, cpu),
            rounded(&giga(memory), 3),
            share(&row.memory_used_byte_seconds, memory),
            format!("{} {}", rounded(&row.cost, 6), answer.currency),
        ];
        keys.into_iter().chain(cells).collect::<Vec<_>>()
    };
    for row in &answer.rows {
        table.row(line(row.keys.clone(), row));
    }
    if let (Some(total), true) = (&answer.total, answer.rows.len() > 1) {
        let mut keys = vec![String::new(); by.len()];
        if let Some(first) = keys.first_mut() {
            "total".clone_into(first);
        }
        table.row(line(keys, total));
    }
    table.render("")
}

/// How much of what was set aside was used.
fn share(used: &str, requested: &str) -> String {
    match (used.parse::<f64>(), requested.parse::<f64>()) {
        (Ok(used), Ok(requested)) if requested > 0.0 => {
            format!("{:.0}%", 100.0 * used / requested)
        }
        _ => String::new(),
    }
}

fn exact(answer: &UsageResponse, by: &[String]) -> Vec<Vec<String>> {
    let headings = [
        "sessions",
        "billed_seconds",
        "pull_seconds",
        "backoff_seconds",
        "unrated_seconds",
        "cpu_requested_core_seconds",
        "cpu_used_core_seconds",
        "memory_requested_byte_seconds",
        "memory_used_byte_seconds",
        "sent_bytes",
        "received_bytes",
        "cost",
        "currency",
    ];
    let heading = by.iter().cloned().chain(headings.map(str::to_owned));
    let mut rows = vec![heading.collect()];
    for row in &answer.rows {
        let cells = [
            row.sessions.to_string(),
            row.billed_seconds.clone(),
            row.pull_seconds.clone(),
            row.backoff_seconds.clone(),
            row.unrated_seconds.clone(),
            row.cpu_requested_core_seconds.clone(),
            row.cpu_used_core_seconds.clone(),
            row.memory_requested_byte_seconds.clone(),
            row.memory_used_byte_seconds.clone(),
            row.sent_bytes.clone(),
            row.received_bytes.clone(),
            row.cost.clone(),
            answer.currency.clone(),
        ];
        rows.push(row.keys.iter().cloned().chain(cells).collect());
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::usage;

    #[test]
    fn people_get_a_table_and_spreadsheets_every_digit() {
        let by = ["namespace".to_owned()];
        let show = |format| render(&usage(), &by, format).unwrap();
        insta::assert_snapshot!("usage", show(Format::Table));
        insta::assert_snapshot!("usage_csv", show(Format::Csv).replace("\r\n", "\n"));
        insta::assert_snapshot!("usage_json", show(Format::Json));
    }
}
