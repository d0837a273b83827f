//! The environment of a container's first process.
//!
//! In rising precedence: a search path and what the runtime knows (host name, terminal), the
//! image's variables, the specification's. `$(NAME)` in a value stands for a variable of the
//! specification that comes earlier, never for one of the image, as in Kubernetes.

use std::net::IpAddr;

use burstlet_model::expand::expand;
use burstlet_model::spec::{EnvSource, EnvVar};

use crate::{BundleError, Inputs};

/// Where programs are looked for if the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a terminal is if nobody says.
pub(crate) const TERM: &str = "TERM=xterm";

/// Variables in order, each name once.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    all: Vec<(String, String)>,
    of_spec: Vec<(String, String)>,
}

impl Environment {
    /// The variables as a process is given them.
    pub(crate) fn entries(&self) -> Vec<String> {
        let entry = |(name, value): &(String, String)| format!("{name}={value}");
        self.all.iter().map(entry).collect()
    }

    /// The value that the specification gives a variable.
    pub(crate) fn of_spec(&self, name: &str) -> Option<&str> {
        find(&self.of_spec, name)
    }

    fn set(&mut self, name: &str, value: &str) {
        replace(&mut self.all, name, value);
    }
}

/// Puts the environment together.
pub(crate) fn environment(inputs: &Inputs<'_>) -> Result<Environment, BundleError> {
    let mut environment = Environment::default();
    environment.set("PATH", PATH);
    environment.set("HOSTNAME", &inputs.group.hostname);
    if inputs.container.tty {
        environment.set("TERM", TERM.trim_start_matches("TERM="));
    }
    for (name, value) in &inputs.image.env {
        environment.set(name, value);
    }
    for (index, variable) in inputs.container.env.iter().enumerate() {
        let path = || inputs.path(&format!("env[{index}]"));
        let value = value(inputs, variable, &environment, &path)?;
        replace(&mut environment.of_spec, &variable.name, &value);
        environment.set(&variable.name, &value);
    }
    // Without it the C library, or whoever starts the process, would look it up in the image.
    if find(&environment.all, "HOME").is_none_or(str::is_empty) {
        environment.set("HOME", inputs.user.home.as_deref().unwrap_or("/"));
    }
    let has_nul = |(name, value): &(String, String)| name.contains('\0') || value.contains('\0');
    if environment.all.iter().any(has_nul) {
        return Err(BundleError::Nul {
            path: inputs.path("env"),
        });
    }
    Ok(environment)
}

fn value(
    inputs: &Inputs<'_>,
    variable: &EnvVar,
    environment: &Environment,
    path: &dyn Fn() -> String,
) -> Result<String, BundleError> {
    let address = |address: Option<IpAddr>, fact| {
        let missing = || BundleError::NoFact { path: path(), fact };
        address.map(|ip| ip.to_string()).ok_or_else(missing)
    };
    Ok(match &variable.value {
        EnvSource::Literal(text) => expand(text, |name| environment.of_spec(name)).0,
        EnvSource::Secret(text) => text.expose().clone(),
        // A group in the host's network has the host's.
        EnvSource::GroupIp if inputs.group.network.host_network => {
            address(inputs.facts.host_ip, "address")?
        }
        EnvSource::GroupIp => address(inputs.facts.group_ip, "address")?,
        EnvSource::HostIp => address(inputs.facts.host_ip, "node address")?,
        EnvSource::NodeName => inputs.facts.node_name.clone(),
        EnvSource::GroupUid => inputs.facts.group_uid.to_string(),
    })
}

fn find<'v>(variables: &'v [(String, String)], name: &str) -> Option<&'v str> {
    let found = variables.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// Keeps a variable's place when its value is replaced.
fn replace(variables: &mut Vec<(String, String)>, name: &str, value: &str) {
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}
