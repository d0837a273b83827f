//! `run`: one container of an image, in a group of its own, with the flags that users of docker
//! and podman know.

mod args;
mod foreground;
mod manifest;
mod values;

use anyhow::{Context, Result};
use burstlet_proto::v1::{CreateRequest, Definition, definition};

pub(crate) use args::Args;

use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::output::print;
use crate::{cmd::create, session::terminal};

/// What the container is called within its group.
const CONTAINER: &str = "main";

/// Creates the group, and stays with it unless `--detach` says otherwise.
pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    if args.tty && !args.detach && !terminal::is_terminal() {
        let text = "--tty needs a terminal on standard input and output: leave it out";
        return Err(UsageError(text.to_owned()).into());
    }
    let manifest = manifest::manifest(args, client.namespace(), &|name| std::env::var(name).ok())?;
    let request = CreateRequest {
        definition: Some(Definition {
            form: Some(definition::Form::Manifest(manifest.to_string())),
        }),
        request_id: String::new(),
    };
    let created = client
        .groups()
        .create(request)
        .await
        .context("create the group")?
        .into_inner();
    create::print_findings("", &created.findings);
    let group = created.group.unwrap_or_default();
    if args.detach {
        print(super::shown_name(&group, client) + "\n")?;
        return Ok(Exit::SUCCESS);
    }
    foreground::run(args, client, &group).await
}
