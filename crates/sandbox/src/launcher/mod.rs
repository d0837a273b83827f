//! The launcher: one small process per node, that does nothing but fork keepers.
//!
//! ```text
//! start ─► executes itself from a sealed copy ─► enters its cgroup ─► locks the run directory
//!       ─► listens ─► moves into a mount namespace of its own ─► detaches ─► serves
//! ```
//!
//! It is single-threaded, has an empty environment and holds no secret, for all of its memory is
//! in every keeper. Whoever started it knows that it listens when the command has ended: errors up
//! to there are its output and exit code, later ones go to `launcher.log` in the run directory.
//! Its end changes nothing for the groups; a new one is started when the next group is created.

mod detach;
mod options;
mod root;
mod serve;

use std::fmt;
use std::io;
use std::process::ExitCode;

pub use options::{Options, UsageError};

/// Exit code for bad usage.
const EXIT_USAGE: u8 = 64;
/// Exit code for a failure to start.
const EXIT_FAILURE: u8 = 1;

/// Why the launcher could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A step failed.
    #[error("{step}")]
    Step {
        /// What was being done.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Another launcher serves this run directory.
    #[error("another launcher serves {0}")]
    Running(String),
}

/// Names the step that failed.
fn step<E: Into<io::Error>>(step: impl fmt::Display) -> impl FnOnce(E) -> StartError {
    move |source| StartError::Step {
        step: step.to_string(),
        source: source.into(),
    }
}

/// Runs the launcher with these arguments, the program's name left out.
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let options = match Options::parse(arguments.iter().cloned()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("burstlet-launcher: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let started = detach::become_sealed_copy(&arguments).and_then(|()| start(&options));
    match started {
        Ok(code) => code,
        // Whoever lost the race to start it has what it wanted.
        Err(StartError::Running(_)) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            eprintln!("burstlet-launcher: {error}: {}", source.unwrap_or_default());
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn start(options: &Options) -> Result<ExitCode, StartError> {
    detach::shed_inheritance()?;
    detach::enter_cgroup(&options.join)?;
    let sockets = detach::claim(options)?;
    root::enter(options)?;
    if !options.foreground && detach::into_background(options)? == detach::Side::Starter {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(serve::serve(sockets, options))
}
