//! `export`: a group as a file to create it from.

use anyhow::{Context, Result};
use burstlet_proto::v1::ExportRequest;
use clap::ValueEnum;
use serde_json::Value;

use crate::client::Client;
use crate::error::Exit;
use crate::human::clean;
use crate::output::{json_text, print, yaml_text};

/// The flags of `export`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group
    name: String,
    /// As what
    #[arg(long = "as", value_enum, default_value_t = As::Group)]
    form: As,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    /// A ContainerGroup
    Group,
    /// A Kubernetes Pod
    Pod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    use burstlet_proto::v1::export_request::Format as Wanted;
    let format = match args.form {
        As::Group => Wanted::Group,
        As::Pod => Wanted::Pod,
    };
    let request = ExportRequest {
        group: client.group(&args.name),
        format: format.into(),
    };
    let answer = client.groups().export(request).await;
    let answer = answer
        .with_context(|| format!("export {}", args.name))?
        .into_inner();
    for note in &answer.notes {
        eprintln!("burstctl: note: {}", clean(note));
    }
    let manifest: Value = serde_json::from_str(&answer.manifest).context("read the answer")?;
    print(match args.output {
        Format::Yaml => yaml_text(&manifest)?,
        Format::Json => json_text(&manifest)?,
    })?;
    Ok(Exit::SUCCESS)
}
