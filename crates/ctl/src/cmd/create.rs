//! `create`: groups from files.

use anyhow::{Context, Result};
use burstlet_proto::v1::{CreateRequest, CreateResponse, Definition, Finding, definition};
use serde_json::Value;

use super::get;
use crate::client::Client;
use crate::error::Exit;
use crate::files::{Document, FileArgs};
use crate::human::clean;
use crate::output::{OutputArgs, print};

/// The flags of `create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Makes a repeat of the same command harmless: the groups are created once for one id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let mut groups = Vec::new();
    for (at, document) in args.files.read()?.into_iter().enumerate() {
        let id = args
            .request_id
            .as_ref()
            .map(|id| format!("{id}-{at}"))
            .unwrap_or_default();
        let created = create(client, &document, id).await?;
        print_findings(&document.place, &created.findings);
        let group = created.group.unwrap_or_default();
        if args.output.output.is_table() {
            let what = if created.already_existed {
                "is there already"
            } else {
                "created"
            };
            print(format!("{} {what}\n", super::shown_name(&group, client)))?;
        }
        groups.push(group);
    }
    if !args.output.output.is_table() {
        print(get::listing(&groups).render(args.output.output, |_| String::new())?)?;
    }
    Ok(Exit::SUCCESS)
}

/// What the server warned about, for people.
pub(crate) fn print_findings(place: &str, findings: &[Finding]) {
    for finding in findings {
        let place = if place.is_empty() {
            String::new()
        } else {
            format!("{place}: ")
        };
        eprintln!("burstctl: warning: {place}{}", finding_text(finding));
    }
}

/// One finding on one line, with its way out.
pub(crate) fn finding_text(finding: &Finding) -> String {
    let mut text = format!("{}: {}", clean(&finding.path), clean(&finding.message));
    if !finding.way_out.is_empty() {
        text.push_str("; ");
        text.push_str(&clean(&finding.way_out));
    }
    text
}

/// The definition for the server, in the user's namespace unless it names one.
pub(crate) fn definition(value: &Value, namespace: &str) -> Definition {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata
            .entry("namespace")
            .or_insert_with(|| namespace.into());
    }
    Definition {
        form: Some(definition::Form::Manifest(value.to_string())),
    }
}

async fn create(client: &Client, document: &Document, id: String) -> Result<CreateResponse> {
    let request = CreateRequest {
        definition: Some(definition(&document.value, client.namespace())),
        request_id: id,
    };
    let created: Result<_, tonic::Status> = client.groups().create(request).await;
    Ok(created
        .with_context(|| format!("create the group of {}", document.place))?
        .into_inner())
}
