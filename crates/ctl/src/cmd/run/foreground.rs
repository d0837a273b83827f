//! Staying with a group that `run` made, until its container ends.
//!
//! ```text
//!   create ──► wait for the start ──► show output ──► exit as it did ──► remove (--rm)
//!                     │ cannot start        │ second Ctrl-C, detach keys
//!                     ▼                     ▼
//!                 125, 126, 127         leave it alone
//! ```
//!
//! Output comes from the log, which has it from the first byte, whoever came when. Only a terminal
//! must come over Attach, since nothing else carries half a line; what it showed before anybody was
//! attached is held for the first who comes.

mod follow;
mod interrupt;
mod seen;

use std::io::{self, IsTerminal};

use anyhow::Result;
use burstlet_proto::v1::wait_request::Condition;
use burstlet_proto::v1::{
    AttachStart, ContainerGroup, DeleteRequest, GroupCost, GroupRef, LogsRequest, WaitRequest,
    WatchRequest,
};
use tonic::Code;

use super::CONTAINER;
use super::args::Args;
use crate::billing::{money, rounded};
use crate::client::Client;
use crate::cmd::{logs, shown_name};
use crate::error::{Exit, ExitError};
use crate::session::{self, DetachKeys, End, Options, Signals, terminal};
use follow::Follower;
use interrupt::Interrupt;
use seen::{Seen, seen};

/// The longest wait for a group to come to rest after its container has ended, in seconds.
const REST_WAIT_S: i64 = 10;

/// How our part ended.
enum Left {
    Ended(Exit),
    Broken(String, Exit),
    Detached,
    Interrupted,
}

/// Stays until the end.
pub(super) async fn run(args: &Args, client: &Client, group: &ContainerGroup) -> Result<Exit> {
    let uid = group
        .metadata
        .as_ref()
        .map(|m| m.uid.clone())
        .unwrap_or_default();
    let stay = Stay {
        args,
        client,
        group: GroupRef {
            uid,
            ..GroupRef::default()
        },
    };
    let name = shown_name(group, client);
    let left = stay.until_left().await;
    if matches!(left, Ok(Left::Ended(_))) && (args.cost || io::stderr().is_terminal()) {
        stay.tell_cost(&name).await;
    }
    let ended = !matches!(left, Ok(Left::Detached | Left::Interrupted) | Err(_));
    // A group that never started is of no use to anyone, as with docker.
    if ended && (args.rm || matches!(left, Ok(Left::Broken(..)))) {
        stay.remove().await?;
    }
    match left? {
        Left::Ended(exit) => Ok(exit),
        Left::Broken(text, exit) => Err(ExitError { text, exit }.into()),
        Left::Detached => Ok(Exit::SUCCESS),
        Left::Interrupted => {
            eprintln!("burstctl: {name} goes on; `burstctl rm -f {name}` ends it");
            Ok(Exit::INTERRUPTED)
        }
    }
}

struct Stay<'a> {
    args: &'a Args,
    client: &'a Client,
    group: GroupRef,
}

impl Stay<'_> {
    async fn until_left(&self) -> Result<Left> {
        let watch = WatchRequest {
            group: Some(self.group.clone()),
            ..WatchRequest::default()
        };
        let mut follower = Follower::start(self.client, watch).await?;
        if self.args.tty {
            self.on_terminal(&mut follower).await
        } else {
            self.plain(&mut follower).await
        }
    }

    /// Output from the log, input by Attach if it is wanted.
    async fn plain(&self, follower: &mut Follower) -> Result<Left> {
        let signals = Signals::catch()?;
        let stdin = self.feed_stdin(follower.clone());
        // All of these are dropped together: none outlives the wait for the container's end.
        let interrupt = tokio::select! {
            left = self.show_logs(follower) => return left,
            interrupt = self.interrupt(signals) => interrupt,
            () = stdin => Interrupt::Again,
        };
        match interrupt {
            Interrupt::Again => Ok(Left::Interrupted),
            Interrupt::NothingRuns(number) => self.stop(number, follower).await,
        }
    }

    /// Shows the log of each run, and says how the last one ended.
    async fn show_logs(&self, follower: &mut Follower) -> Result<Left> {
        let mut shown = None;
        loop {
            let next = |group: &ContainerGroup| match seen(group, CONTAINER) {
                Seen::Running { run } if shown == Some(run) => None,
                Seen::Waiting(notice) => {
                    tell(&notice);
                    None
                }
                other => Some(other),
            };
            match follower.until(next).await? {
                Seen::Broken { message, exit } => return Ok(Left::Broken(message, exit)),
                Seen::Ended { run, exit } if shown == Some(run) => return Ok(Left::Ended(exit)),
                Seen::Running { run } | Seen::Ended { run, .. } => {
                    self.show_log().await?;
                    shown = Some(run);
                }
                Seen::Waiting(_) => {}
            }
        }
    }

    /// The log of the current run from its first byte to its end.
    async fn show_log(&self) -> Result<()> {
        logs::show(self.client, self.logs(), logs::Lines::Plain).await
    }

    fn logs(&self) -> LogsRequest {
        LogsRequest {
            group: Some(self.group.clone()),
            container: CONTAINER.to_owned(),
            follow: true,
            ..LogsRequest::default()
        }
    }

    /// Never completes: the container's end is what counts.
    async fn feed_stdin(&self, mut follower: Follower) {
        if self.args.interactive && follower.until(started).await.is_ok() {
            let options = Options {
                tty: false,
                stdin: true,
                output: false,
                signals: false,
                detach_keys: self.keys(),
            };
            // If it ended before we came, nobody wants the input.
            let _ = session::attach(self.client, self.attach(true), &options).await;
        }
        std::future::pending::<()>().await;
    }

    async fn on_terminal(&self, follower: &mut Follower) -> Result<Left> {
        let mut signals = Signals::catch()?;
        let start = tokio::select! {
            start = follower.until(started_or_broken) => start?,
            number = signals.next() => return self.stop(number, follower).await,
        };
        if let Seen::Broken { message, exit } = start {
            return Ok(Left::Broken(message, exit));
        }
        let options = Options {
            tty: true,
            stdin: self.args.interactive,
            output: true,
            signals: true,
            detach_keys: self.keys(),
        };
        match session::attach(self.client, self.attach(options.stdin), &options).await {
            Ok(End::Exited(code)) => Ok(Left::Ended(Exit::of_container(code))),
            Ok(End::Detached) => Ok(Left::Detached),
            Ok(End::Interrupted) => Ok(Left::Interrupted),
            Err(fault) if is_over(&fault) => {
                self.show_log().await?;
                follower.until(ended).await
            }
            Err(fault) => Err(fault),
        }
    }

    fn keys(&self) -> DetachKeys {
        self.args.detach_keys.clone()
    }

    fn attach(&self, stdin: bool) -> AttachStart {
        AttachStart {
            group: Some(self.group.clone()),
            container: CONTAINER.to_owned(),
            stdin,
            size: terminal::size().filter(|_| self.args.tty).map(Into::into),
        }
    }

    /// Says what it came to, once that is known to the last nanosecond. Not to know it fails nothing.
    async fn tell_cost(&self, name: &str) {
        let request = WaitRequest {
            group: Some(self.group.clone()),
            condition: Condition::Finished.into(),
            timeout: Some(pbjson_types::Duration {
                seconds: REST_WAIT_S,
                nanos: 0,
            }),
        };
        let rested = self.client.groups().wait(request).await;
        let status = rested.ok().and_then(|group| group.into_inner().status);
        if let Some(cost) = status.and_then(|status| status.cost) {
            eprintln!("{}", cost_line(name, &cost));
        }
    }

    async fn remove(&self) -> Result<()> {
        let request = DeleteRequest {
            group: Some(self.group.clone()),
            grace_period_seconds: None,
        };
        match self.client.groups().delete(request).await {
            Err(status) if status.code() != Code::NotFound => Err(status.into()),
            _ => Ok(()),
        }
    }
}

fn cost_line(name: &str, cost: &GroupCost) -> String {
    let spent = money(&cost.cost, &cost.currency);
    let seconds = rounded(&cost.billed_seconds, 3);
    format!("burstctl: {name} cost {spent} for {seconds}s")
}

/// Tells why it does not run yet, to people only.
fn tell(notice: &str) {
    if !notice.is_empty() && io::stderr().is_terminal() {
        eprintln!("burstctl: {notice}");
    }
}

fn started(group: &ContainerGroup) -> Option<()> {
    matches!(seen(group, CONTAINER), Seen::Running { .. }).then_some(())
}

fn started_or_broken(group: &ContainerGroup) -> Option<Seen> {
    match seen(group, CONTAINER) {
        Seen::Waiting(notice) => {
            tell(&notice);
            None
        }
        other => Some(other),
    }
}

fn ended(group: &ContainerGroup) -> Option<Left> {
    match seen(group, CONTAINER) {
        Seen::Ended { exit, .. } => Some(Left::Ended(exit)),
        Seen::Broken { message, exit } => Some(Left::Broken(message, exit)),
        Seen::Waiting(_) | Seen::Running { .. } => None,
    }
}

/// Whether the container ended before we could attach.
fn is_over(fault: &anyhow::Error) -> bool {
    fault
        .downcast_ref::<tonic::Status>()
        .is_some_and(|status| status.code() == Code::FailedPrecondition)
}
