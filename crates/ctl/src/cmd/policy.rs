//! `policy`: what the rules of today come to for what is there.

use anyhow::{Context, Result};
use burstlet_proto::v1::{GroupRef, PolicyReportEntry, PolicyReportRequest};
use serde_json::to_value;

use crate::client::Client;
use crate::error::Exit;
use crate::output::{Listing, OutputArgs, print};
use crate::table::Table;

/// The verbs of `policy`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Show which groups and pods would not be accepted by the configuration of today, and why
    Report(Args),
}

/// The flags of `policy report`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Groups of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(command: &Command, client: &Client) -> Result<Exit> {
    let Command::Report(args) = command;
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let entries = entries(client, namespace).await?;
    let format = args.output.output;
    if entries.is_empty() && format.is_table() {
        eprintln!("all that is there would be accepted today");
        return Ok(Exit::SUCCESS);
    }
    print(listing(&entries).render(format, |is_wide| table(&entries, is_wide))?)?;
    Ok(Exit::SUCCESS)
}

async fn entries(client: &Client, namespace: &str) -> Result<Vec<PolicyReportEntry>> {
    let mut request = PolicyReportRequest {
        namespace: namespace.to_owned(),
        ..PolicyReportRequest::default()
    };
    let mut entries = Vec::new();
    loop {
        let page = client.groups().policy_report(request.clone()).await;
        let page = page.context("ask for the policy report")?.into_inner();
        entries.extend(page.groups);
        if page.next_page_token.is_empty() {
            return Ok(entries);
        }
        request.page_token = page.next_page_token;
    }
}

const fn listing(entries: &[PolicyReportEntry]) -> Listing<'_, PolicyReportEntry> {
    Listing {
        kind: "PolicyReport",
        items: entries,
        document: |entry| to_value(entry).context("write an entry as JSON"),
        name: |entry| {
            let GroupRef {
                namespace, name, ..
            } = group(entry);
            format!("{namespace}/{name}")
        },
    }
}

/// A line for each thing that is wrong; the way out only for wide windows.
fn table(entries: &[PolicyReportEntry], is_wide: bool) -> String {
    let mut table = Table::new([
        "NAMESPACE",
        "NAME",
        "ORIGIN",
        "PHASE",
        "CONTROL",
        "PATH",
        "MESSAGE",
        "WAY OUT",
    ]);
    for entry in entries {
        let group = group(entry);
        for finding in &entry.findings {
            // What no control is about is told by the rule that it breaks.
            let control = match finding.control.as_str() {
                "" => &finding.rule,
                _ => &finding.control,
            };
            table.row([
                group.namespace.clone(),
                group.name.clone(),
                entry.origin.clone(),
                entry.phase.clone(),
                control.clone(),
                finding.path.clone(),
                finding.message.clone(),
                finding.way_out.clone(),
            ]);
        }
    }
    match is_wide {
        true => table.render(""),
        false => table.without(&["PHASE", "WAY OUT"]).render(""),
    }
}

fn group(entry: &PolicyReportEntry) -> GroupRef {
    entry.group.clone().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_proto::v1::Finding;

    use super::*;
    use crate::output::Format;

    fn report() -> [PolicyReportEntry; 2] {
        let group = |name: &str| GroupRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
        };
        let finding = |path: &str, rule: &str, control: &str| Finding {
            path: path.to_owned(),
            level: "Refused".to_owned(),
            rule: rule.to_owned(),
            message: "it is not allowed".to_owned(),
            way_out: "ask the operator".to_owned(),
            control: control.to_owned(),
        };
        [
            PolicyReportEntry {
                group: Some(group("agent")),
                origin: "kubernetes".to_owned(),
                phase: "Running".to_owned(),
                findings: vec![
                    finding("spec.hostNetwork", "NotAllowed", "hostNamespaces"),
                    finding(
                        "spec.containers[0].ports[0].hostPort",
                        "PodSecurity",
                        "hostPorts",
                    ),
                ],
            },
            PolicyReportEntry {
                group: Some(group("web")),
                origin: "direct".to_owned(),
                phase: "Queued".to_owned(),
                findings: vec![finding("metadata.tags.owner", "Required", "")],
            },
        ]
    }

    #[test]
    fn people_see_what_is_wrong_line_by_line() {
        let report = report();
        let tables = [false, true].map(|is_wide| table(&report, is_wide));
        insta::assert_snapshot!("policy_report", tables.join("\n"));
    }

    #[test]
    fn programs_see_all_of_it() {
        let report = report();
        let text = listing(&report).render(Format::Json, |_| String::new());
        insta::assert_snapshot!("policy_report_json", text.unwrap());
        let names = listing(&report).render(Format::Name, |_| String::new());
        assert_eq!(names.unwrap(), "shop/agent\nshop/web\n");
    }
}
