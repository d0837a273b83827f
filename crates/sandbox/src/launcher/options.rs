//! The launcher's command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the launcher is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where sockets are: its own and the keepers'.
    pub run_dir: PathBuf,
    /// Where layers and groups are. Of the host's files, only these two directories can be seen by
    /// keepers.
    pub state_dir: PathBuf,
    /// Files to write `0` to, to be in a cgroup of its own: `tasks` files of version 1, or the
    /// `cgroup.procs` file of version 2.
    pub join: Vec<PathBuf>,
    /// Whether to stay the child of whoever started it.
    pub foreground: bool,
}

/// Why a command line is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No such option.
    #[error("unknown option {0:?}; there are --run-dir, --state-dir, --join and --foreground")]
    Unknown(OsString),
    /// An option without its value.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// An option that must be given, or a path that does not begin at the root.
    #[error("{0} must be given, as an absolute path")]
    NotAbsolute(&'static str),
}

impl Options {
    /// Reads a command line, the program's name left out.
    ///
    /// # Errors
    /// It has an unknown option, lacks a needed one, or a path in it is relative.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = |name| {
                arguments
                    .next()
                    .map(PathBuf::from)
                    .ok_or(UsageError::NoValue(name))
            };
            match argument.to_str() {
                Some("--run-dir") => options.run_dir = value("--run-dir")?,
                Some("--state-dir") => options.state_dir = value("--state-dir")?,
                Some("--join") => options.join.push(value("--join")?),
                Some("--foreground") => options.foreground = true,
                _ => return Err(UsageError::Unknown(argument)),
            }
        }
        for (name, path) in [
            ("--run-dir", &options.run_dir),
            ("--state-dir", &options.state_dir),
        ] {
            if !path.is_absolute() {
                return Err(UsageError::NotAbsolute(name));
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, UsageError> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn command_lines() {
        let options = parse("--run-dir /run/b --state-dir /var/b --join /a --join /b").unwrap();
        assert_eq!(options.run_dir, PathBuf::from("/run/b"));
        assert_eq!(options.join, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert!(!options.foreground);
        assert_eq!(
            parse("--run-dir /r"),
            Err(UsageError::NotAbsolute("--state-dir"))
        );
        assert_eq!(
            parse("--run-dir r --state-dir /s"),
            Err(UsageError::NotAbsolute("--run-dir"))
        );
        assert_eq!(parse("--run-dir"), Err(UsageError::NoValue("--run-dir")));
        assert_eq!(parse("-x"), Err(UsageError::Unknown("-x".into())));
    }
}
