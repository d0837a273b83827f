//! The flags of `run`.

use std::path::PathBuf;

use clap::ValueEnum;

/// The flags of `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Remove the group when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    /// Say what it cost when it has ended, to scripts too
    #[arg(long)]
    pub(crate) cost: bool,
    /// Give it a standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Print its name and leave it alone
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keys that leave it alone while it is attached
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub(crate) detach_keys: crate::session::DetachKeys,
    /// The group's name; made from the image's by default
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Lead a port of the host to the container: `[IP:]HOST:CONTAINER[/udp]`
    #[arg(short, long, value_name = "PORTS")]
    pub(crate) publish: Vec<String>,
    /// Set a variable: NAME=VALUE, or NAME to take it from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Set the variables that a file lists
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Mount a path of the host (`/HOST:/PATH[:ro]`), or an empty volume (/PATH)
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,
    /// Mount an empty volume in memory: /PATH[:size=64m]
    #[arg(long, value_name = "PATH")]
    pub(crate) tmpfs: Vec<String>,
    /// The most CPU it may use, in cores
    #[arg(long, value_name = "CORES")]
    pub(crate) cpus: Option<String>,
    /// The most memory it may use: 64m, 1g, 512Mi
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// The most processes and threads it may have
    #[arg(long, value_name = "NUMBER")]
    pub(crate) pids_limit: Option<u32>,
    /// Give it devices that the operator lends by number, of an extended resource: example.com/gpu=2
    #[arg(long, value_name = "RESOURCE[=NUMBER]")]
    pub(crate) device: Vec<String>,
    /// The user to run as: `UID[:GID]`
    #[arg(short, long, value_name = "UID[:GID]")]
    pub(crate) user: Option<String>,
    /// The directory to start in
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// Replace the image's entrypoint
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Make the root file system read-only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Take capabilities away (ALL for all)
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub(crate) cap_drop: Vec<String>,
    /// Give capabilities
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub(crate) cap_add: Vec<String>,
    /// Give it all rights; needs the operator's leave
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Set a kernel parameter of the group
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,
    /// Mark the group with a label
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Mark the group with an annotation
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Mark what the group costs with a tag
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<String>,
    /// When to run it again after it ended
    #[arg(long, value_enum, default_value_t)]
    pub(crate) restart: Restart,
    /// When to pull the image
    #[arg(long, value_enum, default_value_t)]
    pub(crate) pull: Pull,
    /// Who reaches it: groups of its namespace, all groups, or as part of the host
    #[arg(long, value_enum)]
    pub(crate) network: Option<Network>,
    /// The host name inside
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// Add a line to /etc/hosts: NAME:IP
    #[arg(long, value_name = "NAME:IP")]
    pub(crate) add_host: Vec<String>,
    /// Ask this name server first
    #[arg(long, value_name = "IP")]
    pub(crate) dns: Vec<String>,
    /// Seconds between the stop signal and SIGKILL
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_timeout: Option<u32>,
    /// Larger starts first when the machine is full
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Cheaper, and ended when a group on demand would have to wait for its room
    #[arg(long)]
    pub(crate) spot: bool,
    /// The image to run
    pub(crate) image: String,
    /// Replaces the image's command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// When to run it again after it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Restart {
    /// Never
    #[default]
    No,
    /// When it failed
    OnFailure,
    /// Always
    #[value(alias = "unless-stopped")]
    Always,
}

/// When to pull the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// When a newer one is there
    Always,
    /// When it is not there
    #[default]
    Missing,
    /// Never
    Never,
}

/// Who reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// Groups of its namespace
    #[value(name = "namespace", alias = "ns")]
    Namespace,
    /// All groups
    Open,
    /// It is part of the host's network; needs the operator's leave
    Host,
}
