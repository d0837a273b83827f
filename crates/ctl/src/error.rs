//! Failures in words that say what to do, and the codes to exit with.

use std::error::Error;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::client::ConnectError;
use crate::human::clean;

/// A code to exit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// All went well.
    pub(crate) const SUCCESS: Self = Self(0);
    /// Something failed.
    pub(crate) const FAILURE: Self = Self(1);
    /// The arguments make no sense.
    pub(crate) const USAGE: Self = Self(64);
    /// `run` and `exec`: the fault is not the container's.
    pub(crate) const OWN_FAILURE: Self = Self(125);
    /// `run` and `exec`: the command is there but cannot be run.
    pub(crate) const CANNOT_INVOKE: Self = Self(126);
    /// `run` and `exec`: the command is not there.
    pub(crate) const NOT_FOUND: Self = Self(127);
    /// The user ended it with Ctrl-C.
    pub(crate) const INTERRUPTED: Self = Self(130);
    /// Who read our output has gone, as a shell shows death by SIGPIPE.
    pub(crate) const BROKEN_PIPE: Self = Self(141);

    /// What a container's code becomes; the kernel keeps eight bits.
    pub(crate) fn of_container(code: i32) -> Self {
        Self(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Arguments that parse but make no sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A failure that has been shown already, or that has a code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ExitError {
    /// What to say; may be empty.
    pub(crate) text: String,
    /// What to exit with.
    pub(crate) exit: Exit,
}

/// Says what went wrong on standard error and gives the code to exit with.
pub(crate) fn report(fault: &anyhow::Error, own_failure: Exit) -> ExitCode {
    let exit = exit_of(fault, own_failure);
    let text = render(fault);
    if exit != Exit::BROKEN_PIPE && !text.is_empty() {
        eprint!("burstctl: {text}");
    }
    exit.into()
}

/// The code to exit with.
pub(crate) fn exit_of(fault: &anyhow::Error, own_failure: Exit) -> Exit {
    let is_broken_pipe = |fault: &(dyn Error + 'static)| {
        fault
            .downcast_ref::<io::Error>()
            .is_some_and(|f| f.kind() == ErrorKind::BrokenPipe)
    };
    if let Some(fault) = fault.downcast_ref::<ExitError>() {
        fault.exit
    } else if fault.is::<UsageError>() && own_failure == Exit::FAILURE {
        Exit::USAGE
    } else if let Some(status) = fault.downcast_ref::<Status>() {
        exit_of_status(status, own_failure)
    } else if fault.chain().any(is_broken_pipe) && !fault.chain().any(|f| f.is::<ConnectError>()) {
        Exit::BROKEN_PIPE
    } else {
        own_failure
    }
}

/// The message, with what to do about it, ending in a newline.
pub(crate) fn render(fault: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut outer = Vec::new();
    for cause in fault.chain() {
        if let Some(status) = cause.downcast_ref::<Status>() {
            outer.push(render_status(status));
            break;
        }
        outer.push(clean(&cause.to_string()));
        if let Some(fault) = cause.downcast_ref::<ConnectError>() {
            outer.push(clean(&innermost(fault)));
            outer.push(format!("\n{}", fault.advice()));
            break;
        }
    }
    outer.retain(|part| !part.is_empty());
    for (at, part) in outer.iter().enumerate() {
        let joint = if at == 0 || part.starts_with('\n') {
            ""
        } else {
            ": "
        };
        // A string takes whatever is written to it.
        let _ = write!(text, "{joint}{part}");
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn innermost(fault: &dyn Error) -> String {
    let mut innermost = fault;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn exit_of_status(status: &Status, own_failure: Exit) -> Exit {
    if own_failure != Exit::OWN_FAILURE {
        return own_failure;
    }
    match status
        .get_details_error_info()
        .map(|info| info.reason)
        .as_deref()
    {
        Some("CommandNotFound") => Exit::NOT_FOUND,
        Some("CommandNotExecutable") => Exit::CANNOT_INVOKE,
        _ => own_failure,
    }
}

/// The answer of the server: its message, each offending field on a line, and a way out. What its
/// message says of the first field is not said again.
fn render_status(status: &Status) -> String {
    let mut text = clean(status.message());
    if text.is_empty() {
        text = status.code().description().to_owned();
    }
    let request = status.get_details_bad_request();
    let violations = request.map(|request| request.field_violations);
    let fields: Vec<String> = violations
        .into_iter()
        .flatten()
        .map(|field| format!("{}: {}", clean(&field.field), clean(&field.description)))
        .collect();
    let told = fields.first().and_then(|first| text.strip_suffix(first));
    let told = told.map(|before| before.trim_end_matches(": ").to_owned());
    match (told, &fields[..]) {
        (Some(_), [_]) => {}
        (told, fields) => {
            text = told.unwrap_or(text);
            for field in fields {
                // A string takes whatever is written to it.
                let _ = write!(text, "\n  {field}");
            }
        }
    }
    match advice(status.code()) {
        Some(advice) => format!("{text}\n  {advice}"),
        None => text,
    }
}

fn advice(code: Code) -> Option<&'static str> {
    match code {
        Code::Unimplemented => {
            Some("The agent is older than this burstctl: compare `burstctl info` and `--version`.")
        }
        Code::Unauthenticated => Some("Give a client certificate or a token that the agent knows."),
        Code::Internal => Some("This is a defect of Burstlet; the agent's log says more."),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
