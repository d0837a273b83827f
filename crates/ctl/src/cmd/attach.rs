//! `attach`: the streams of a running container.

use anyhow::{Context, Result};
use burstlet_proto::v1::{AttachStart, ContainerGroup};

use crate::client::Client;
use crate::error::Exit;
use crate::session::{self, DetachKeys, End, Options, terminal};

/// The flags of `attach`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group
    name: String,
    /// Which container, if there are several
    #[arg(short, long, default_value = "", hide_default_value = true)]
    container: String,
    /// Only watch: send neither input nor signals
    #[arg(long)]
    no_stdin: bool,
    /// Keys that leave it alone
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let group = client.get(&args.name).await?;
    let (stdin, tty) = streams(&group, &args.container);
    let tty = tty && terminal::is_terminal() && !args.no_stdin;
    let stdin = stdin && !args.no_stdin;
    let start = AttachStart {
        group: client.group(&args.name),
        container: args.container.clone(),
        stdin,
        size: terminal::size().filter(|_| tty).map(Into::into),
    };
    let detach_keys = args.detach_keys.clone();
    let options = Options {
        tty,
        stdin,
        output: true,
        signals: !args.no_stdin,
        detach_keys,
    };
    let end = session::attach(client, start, &options).await;
    Ok(
        match end.with_context(|| format!("attach to {}", args.name))? {
            End::Exited(code) => Exit::of_container(code),
            End::Detached => Exit::SUCCESS,
            End::Interrupted => Exit::INTERRUPTED,
        },
    )
}

/// Whether the container has a standard input and a terminal.
fn streams(group: &ContainerGroup, container: &str) -> (bool, bool) {
    let spec = group.spec.as_ref();
    let lasting = spec.map_or(&[][..], |spec| &spec.containers);
    let lasting = lasting.iter().map(|c| (&c.name, (c.stdin, c.tty)));
    let ephemeral = spec.map_or(&[][..], |spec| &spec.ephemeral_containers);
    let ephemeral = ephemeral.iter().map(|c| (&c.name, (c.stdin, c.tty)));
    let mut found = lasting
        .chain(ephemeral)
        .filter(|(name, _)| container.is_empty() || *name == container);
    found.next().map_or((false, false), |(_, streams)| streams)
}
