//! Two agents on one host, each with directories, cgroups, a bridge and a subnet of its own.

use serde_json::json;

use super::{IMAGE, agent, create_json, shell_group, with_container};
use burstlet_tests::{Agent, sample_image};

const SERVE: &str = "mkdir -p /tmp/w; hostname >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";

/// Runs a group `web` that serves, and gives its address.
fn serve(agent: &Agent) -> String {
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    let web = with_container(shell_group("web", SERVE), "readinessProbe", probe);
    create_json(agent, &web);
    agent.ok(&["wait", "web", "--for", "ready", "--timeout", "30s"]);
    agent.group("web")["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What another group of the agent gets from its group `web`, by its name.
fn fetch(agent: &Agent) -> String {
    let command = ["timeout", "5", "wget", "-q", "-O", "-", "http://web:8080/"];
    agent.ok(&[&["run", "--rm", IMAGE][..], &command].concat())
}

#[test]
fn neighbours_leave_each_other_alone() {
    let first = agent();
    let own = serve(&first);
    let mut second = first.beside();
    second.ok_with(&["import", "-"], &sample_image(IMAGE));
    assert_eq!(
        second.ok(&["get", "-o", "name"]),
        "",
        "it sees its own groups only"
    );
    let other = serve(&second);
    assert_ne!(own, other);
    assert_eq!(fetch(&second), "web\n");
    // An agent that starts looks for what others may have left.
    second.crash();
    second.launch();
    assert_eq!(fetch(&first), "web\n");
    assert_eq!(fetch(&second), "web\n");
    second.ok(&["rm", "-f", "web"]);
    second.finish();
    assert_eq!(fetch(&first), "web\n");
    first.ok(&["rm", "-f", "web"]);
    first.finish();
}
