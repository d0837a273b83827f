//! `doctor`: what of the node works, what does not, and what to do.

use anyhow::{Context, Result};
use burstlet_proto::v1::host_finding::Verdict;
use burstlet_proto::v1::{DoctorRequest, HostFinding};
use clap::ValueEnum;
use serde_json::json;

use crate::client::Client;
use crate::error::Exit;
use crate::human::clean;
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `doctor`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Asks the agent. Where there is none yet, run `burstlet doctor` on the machine."
)]
pub(crate) struct Args {
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// JSON
    Json,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let answer = client.node().doctor(DoctorRequest {}).await;
    let answer = answer.context("ask for the node's state")?.into_inner();
    print(match args.output {
        Format::Table => text(&answer.findings),
        Format::Json => json_text(&json!({"findings": answer.findings}))?,
    })?;
    let bad = |finding: &HostFinding| finding.verdict() == Verdict::Bad;
    Ok(match answer.findings.iter().any(bad) {
        true => Exit::FAILURE,
        false => Exit::SUCCESS,
    })
}

/// A table, and below it what to do.
fn text(findings: &[HostFinding]) -> String {
    let mut table = Table::new(["CHECK", "STATE", "FOUND"]);
    let mut advice = String::new();
    for finding in findings {
        table.row([
            finding.what.clone(),
            word(finding.verdict()).to_owned(),
            finding.detail.clone(),
        ]);
        if !finding.advice.is_empty() {
            let (what, to_do) = (clean(&finding.what), clean(&finding.advice));
            advice.push_str(&format!("{what}: {to_do}\n"));
        }
    }
    let table = table.render("");
    match advice.is_empty() {
        true => table,
        false => format!("{table}\nWhat to do:\n{advice}"),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unspecified => "unknown",
        Verdict::Ok => "ok",
        Verdict::Lacking => "lacking",
        Verdict::Bad => "BAD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_to_do() {
        let finding = |what: &str, verdict: Verdict, detail: &str, advice: &str| HostFinding {
            what: what.into(),
            verdict: verdict.into(),
            detail: detail.into(),
            advice: advice.into(),
        };
        let findings = [
            finding("kernel", Verdict::Ok, "6.12.0", ""),
            finding("cgroups", Verdict::Bad, "none", "mount them"),
            finding("open files", Verdict::Lacking, "1024", "raise the limit"),
        ];
        insta::assert_snapshot!("doctor", text(&findings));
    }
}
