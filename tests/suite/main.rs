//! The privileged suite. Each module is one part of what users are promised.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod containers;
mod contents;
mod crash;
mod isolation;
mod life;
mod network;
mod probes;
mod streams;
mod terminal;
mod verbs;
mod volumes;

use burstlet_tests::{Agent, sample_image};

/// The image that every test runs: busybox.
const IMAGE: &str = "localhost/sample:1";

/// An agent that has the image.
fn agent() -> Agent {
    agent_with("")
}

/// An agent with more configuration that has the image.
fn agent_with(more: &str) -> Agent {
    let agent = Agent::start_with(more);
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

/// The state of a group's first main container.
fn state(group: &serde_json::Value) -> &serde_json::Value {
    &group["status"]["containerStatuses"][0]
}
