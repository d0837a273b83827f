//! `exec`: a command in a running container, with its exit code as ours.

use anyhow::{Context, Result};
use burstlet_proto::v1::ExecStart;

use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::session::{self, DetachKeys, End, Options, terminal};

/// The flags of `exec`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Give it our standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Which container, if there are several
    #[arg(short, long, default_value = "", hide_default_value = true)]
    container: String,
    /// Keys that leave it, which ends it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// The group
    name: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    if args.tty && !terminal::is_terminal() {
        let text = "--tty needs a terminal on standard input and output: leave it out";
        return Err(UsageError(text.to_owned()).into());
    }
    let start = ExecStart {
        group: client.group(&args.name),
        container: args.container.clone(),
        command: command(&args.command),
        tty: args.tty,
        stdin: args.interactive,
        size: terminal::size().filter(|_| args.tty).map(Into::into),
    };
    let options = Options {
        tty: args.tty,
        stdin: args.interactive,
        output: true,
        signals: true,
        detach_keys: args.detach_keys.clone(),
    };
    let end = session::exec(client, start, &options).await;
    Ok(
        match end.with_context(|| format!("run the command in {}", args.name))? {
            End::Exited(code) => Exit::of_container(code),
            End::Detached => Exit::SUCCESS,
            End::Interrupted => Exit::INTERRUPTED,
        },
    )
}

/// `--` between the name and the command, as kubectl wants it, is not a part of the command.
fn command(words: &[String]) -> Vec<String> {
    match words {
        [first, rest @ ..] if first == "--" && !rest.is_empty() => rest.to_vec(),
        words => words.to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn both_docker_s_and_kubectl_s_ways_of_writing_it() {
        let parse = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Exec(args) = cli.command else {
                unreachable!("{line}")
            };
            (
                args.name.clone(),
                args.interactive && args.tty,
                command(&args.command).join(" "),
            )
        };
        let expected = ("web".to_owned(), true, "sh -c x".to_owned());
        assert_eq!(parse("burstctl exec -it web sh -c x"), expected);
        assert_eq!(parse("burstctl exec -it web -- sh -c x"), expected);
        assert_eq!(parse("burstctl exec web ls -t").2, "ls -t");
    }
}
