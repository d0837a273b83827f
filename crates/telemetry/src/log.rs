//! Where the log goes: one line for each event on standard error, as text or JSON.
//!
//! What reaches the log may come from an image, a container or a client. Control characters are
//! escaped, so that no such text forges a line or moves the reader's cursor; colours are used on a
//! terminal only.

mod escape;

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FmtSpan, Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, filter};

pub use tracing_subscriber::Layer;

/// Where the log goes as well; what the filter leaves out does not get there.
pub type More = Box<dyn Layer<Registry> + Send + Sync>;

/// How the log looks and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for programs.
    pub format: LogFormat,
    /// Directives as `info,burstlet_network=debug`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object for each line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogError::Format(text.to_owned())),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Neither `text` nor `json`.
    #[error("log format {0:?} is neither \"text\" nor \"json\"")]
    Format(String),
    /// A directive cannot be read.
    #[error("read log filter {filter:?}")]
    Filter {
        /// What was given.
        filter: String,
        /// Which part is wrong.
        source: filter::ParseError,
    },
    /// The process logs already.
    #[error("the process has a logger already")]
    AlreadySet,
}

/// Sends the process's log to standard error from now on, and to `more`.
pub fn init(config: &LogConfig, more: Option<More>) -> Result<(), LogError> {
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = subscriber(config, io::stderr, ansi, more)?;
    tracing::dispatcher::set_global_default(subscriber.into()).map_err(|_| LogError::AlreadySet)
}

/// Says whether a filter can be read, for a check of the configuration before anything is touched.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(filter).map_err(|source| LogError::Filter {
        filter: filter.to_owned(),
        source,
    })
}

fn subscriber<W>(
    config: &LogConfig,
    writer: W,
    ansi: bool,
    more: Option<More>,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filtered = tracing_subscriber::registry()
        .with(more)
        .with(parse_filter(&config.filter)?);
    let lines = fmt::layer()
        .with_span_events(FmtSpan::NONE)
        .with_writer(writer);
    Ok(match config.format {
        LogFormat::Json => Box::new(filtered.with(lines.json().flatten_event(true))),
        LogFormat::Text => {
            let fields = debug_fn(|writer: &mut Writer<'_>, field, value| {
                escape::write_field(writer, field.name(), value)
            })
            .delimited(" ");
            Box::new(filtered.with(lines.with_ansi(ansi).fmt_fields(fields)))
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
