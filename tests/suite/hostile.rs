//! Hostile containers: a program inside a group tries what containers have escaped by, and is
//! judged by what it sees. `docs/security.md` has the table of attack classes and what stands
//! against each.

mod doors;
mod neighbours;
mod races;
mod survey;
mod table;

use std::time::{Duration, Instant};

use burstlet_testkit::image::{Entry, ImageBuilder, Packing};
use burstlet_tests::{Agent, PATIENCE, Setup, program};
use serde_json::{Value, json};

use super::{create_json, shell_group, with_container, with_spec};

const HOSTILE_IMAGE: &str = "localhost/hostile:1";

/// Busybox with the program that tries.
fn hostile_image() -> Vec<u8> {
    let tries = std::fs::read(program("burstlet-incontainer")).unwrap();
    let layer = vec![Entry::file("incontainer", tries).mode(0o755)];
    let builder = ImageBuilder::busybox().unwrap().layer(layer);
    let image = builder.packing(Packing::None).build().unwrap();
    image.docker_archive(HOSTILE_IMAGE).unwrap()
}

/// An agent that has the image.
pub(super) fn agent_with(policy: &str) -> Agent {
    let agent = Agent::start_as(Setup {
        more: policy,
        ..Setup::default()
    });
    agent.ok_with(&["import", "-"], &hostile_image());
    agent
}

/// A group of the hostile image that runs `script`.
pub(super) fn hostile_group(name: &str, script: &str) -> Value {
    with_container(shell_group(name, script), "image", json!(HOSTILE_IMAGE))
}

/// Waits until a group has said something, and gives all that it has said.
pub(super) fn wait_for_log(agent: &Agent, name: &str, words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = agent.ctl(&["logs", name]);
        if outcome.code == Some(0) && outcome.stdout.contains(words) {
            return outcome.stdout;
        }
        assert!(
            Instant::now() < deadline,
            "{words:?} never came: {outcome:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a group to its end and gives what it printed.
fn output(agent: &Agent, group: Value) -> String {
    let group = with_spec(group, "restartPolicy", json!("Never"));
    create_json(agent, &group);
    let name = group["metadata"]["name"].as_str().unwrap();
    agent.ok(&["wait", name, "--timeout", "30s"]);
    let text = agent.ok(&["logs", name]);
    agent.ok(&["rm", name]);
    text
}
