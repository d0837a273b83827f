//! The keeper of one group: a single-threaded process, forked from the launcher.
//!
//! It holds the group's namespaces, makes its containers, owns their streams, reaps them and keeps
//! the record of their ends. It decides nothing: what to run and when is the agent's business, and
//! the agent may come and go.
//!
//! ```text
//!              Run                  verified              go, execve
//! (no start) ─────► Creating ─────────────► Created ─────────────────► Running
//!                      │ failed: answered,     │ killed                    │ first process reaped
//!                      ▼ and forgotten         └───────────┐               ▼
//!                   (no start)                             └──────────► Ending
//!                                                                          │ output drained, or
//!                                                                          │ waited long enough;
//!                                      told ◄── record on disk ── Exited ◄─┘
//! ```
//!
//! Every wait is in the reactor: a container that is being made, a client that does not read, a
//! process that does not die never hold up another container.
//!
//! * [`boot`] sets the process up; [`serve`] is the loop and the requests.
//! * [`create`] makes a container, [`exec`] a process in one; [`launch`] follows a starting
//!   process; [`finish`] is what that process does last.
//! * [`direct`] and [`starter`] are the children that make a container, ourselves or with
//!   libcontainer; [`join`] is the one that enters one.
//! * [`end`] follows an ending container.

mod answers;
mod boot;
mod bundle;
mod capabilities;
mod cgroups;
mod control;
mod create;
mod dial;
mod direct;
mod end;
mod exec;
mod expect;
mod finish;
mod first;
mod join;
mod journal;
mod kill;
mod launch;
mod memory;
mod namespaces;
mod passed;
mod reactor;
mod serve;
mod stage;
mod starter;
mod state;
mod stdio;

pub(crate) use boot::{Seed, run};

/// The keeper's own small file system, in its own mount namespace.
pub(crate) const STAGE: &str = "/stage";

/// The first line of a text, for answers that must stay one line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
