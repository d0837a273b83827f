//! `capabilities`: the matrix of fields, as the agent itself has it.

use anyhow::{Context, Result};
use burstlet_proto::v1::{CapabilitiesRequest, CapabilitiesResponse};

use crate::client::Client;
use crate::error::Exit;
use crate::human::clean;
use crate::output::{Format, OutputArgs, json_text, print, yaml_text};
use crate::table::Table;

/// The flags of `capabilities`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only fields whose path contains this
    #[arg(default_value = "", hide_default_value = true)]
    path: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let answer = client.node().capabilities(CapabilitiesRequest {}).await;
    let mut answer = answer
        .context("ask for the node's capabilities")?
        .into_inner();
    answer
        .fields
        .retain(|field| field.path.contains(&args.path));
    print(render(&answer, args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

fn render(answer: &CapabilitiesResponse, format: Format) -> Result<String> {
    match format {
        Format::Json => json_text(answer),
        Format::Yaml => yaml_text(answer),
        Format::Name => Ok(answer
            .fields
            .iter()
            .map(|field| format!("{}\n", clean(&field.path)))
            .collect()),
        Format::Table | Format::Wide => {
            let mut table = Table::new(["FIELD", "SUPPORT", "NOTE"]);
            for field in &answer.fields {
                table.row([
                    field.path.clone(),
                    field.support.clone(),
                    field.note.clone(),
                ]);
            }
            let policy = answer
                .policy
                .iter()
                .map(|rule| format!("- {}\n", clean(rule)));
            let policy: String = policy.collect();
            Ok(match policy.is_empty() {
                true => table.render(""),
                false => format!("{}\nThe operator's policy:\n{policy}", table.render("")),
            })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_proto::v1::FieldSupport;

    use super::*;

    #[test]
    fn people_get_a_table() {
        let field = |path: &str, support: &str, note: &str| FieldSupport {
            path: path.to_owned(),
            support: support.to_owned(),
            note: note.to_owned(),
        };
        let answer = CapabilitiesResponse {
            fields: vec![
                field("spec.containers[].image", "Done", ""),
                field("spec.hostNetwork", "Policy", "host_network"),
            ],
            policy: vec!["Privileged containers are refused.".to_owned()],
        };
        insta::assert_snapshot!(render(&answer, Format::Table).unwrap());
    }
}
