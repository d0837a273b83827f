//! The privileged suite. Each module is one part of what users are promised.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod adoption;
mod api;
mod authority;
mod billing;
mod budgets;
mod builds;
mod cni;
mod collectors;
mod commands;
mod configuration;
mod containers;
mod contents;
mod cores;
mod counters;
mod crash;
mod devices;
mod doors;
mod failpoints;
mod health;
mod hostile;
mod isolation;
mod kills;
mod ledger;
mod levels;
mod life;
mod metering;
mod metrics;
mod neighbours;
mod network;
mod otlp;
mod probes;
mod processors;
mod prometheus;
mod queue;
mod registry;
mod security;
mod shown;
mod spot;
mod stepped;
mod streams;
mod terminal;
mod traffic;
mod trouble;
mod verbs;
mod versions;
mod volumes;
mod witness;

use burstlet_tests::{Agent, Setup, sample_image};
use serde_json::{Value, json};

/// The image that every test runs: busybox.
const IMAGE: &str = "localhost/sample:1";

/// How much of something a test does: all of it in `hack/soak`, less in `hack/test`.
fn full_or(full: u32, short: u32) -> u32 {
    match std::env::var_os("BURSTLET_TEST_FULL") {
        Some(_) => full,
        None => short,
    }
}

/// An agent that has the image.
fn agent() -> Agent {
    agent_with("")
}

/// An agent with more configuration that has the image.
fn agent_with(more: &str) -> Agent {
    agent_as(Setup {
        more,
        ..Setup::default()
    })
}

/// An agent that is started so and has the image.
fn agent_as(setup: Setup<'_>) -> Agent {
    let agent = Agent::start_as(setup);
    agent.ok_with(&["import", "-"], &sample_image(IMAGE));
    agent
}

/// A group file with one container that runs `script`, and more lines of the group's `spec`.
fn group(name: &str, script: &str, more: &str) -> String {
    format!(
        "apiVersion: burstlet.dev/v1\nkind: ContainerGroup\nmetadata:\n  name: {name}\nspec:\n  \
         containers:\n    - name: main\n      image: {IMAGE}\n      imagePullPolicy: Never\n      \
         command: [sh, -c, {script:?}]\n{more}"
    )
}

/// Creates a group from [`group`].
fn create(agent: &Agent, name: &str, script: &str, more: &str) {
    agent.ok_with(&["create", "-f", "-"], group(name, script, more).as_bytes());
}

/// A group of one container that runs `script` and ends at once when it is told to, as JSON to be
/// changed by field.
fn shell_group(name: &str, script: &str) -> Value {
    let main = json!({
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
    });
    json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [main]},
    })
}

/// Changes the first main container of a group's JSON.
fn with_container(mut group: Value, field: &str, value: Value) -> Value {
    group["spec"]["containers"][0][field] = value;
    group
}

/// Changes a group's JSON.
fn with_spec(mut group: Value, field: &str, value: Value) -> Value {
    group["spec"][field] = value;
    group
}

/// Creates a group from its JSON.
fn create_json(agent: &Agent, group: &Value) {
    agent.ok_with(&["create", "-f", "-"], group.to_string().as_bytes());
}

/// The state of a group's first main container.
fn state(group: &Value) -> &Value {
    &group["status"]["containerStatuses"][0]
}
