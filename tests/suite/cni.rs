//! The agent on a network that CNI plugins make (Debian's `containernetworking-plugins`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use burstlet_tests::{PATIENCE, Setup};
use serde_json::{Value, json};

use super::{agent_as, create_json, shell_group};

const PLUGINS: &str = "/usr/lib/cni";

/// A host's link; dropping it removes it.
struct Link(String);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).status();
    }
}

/// Writes a configuration list whose addresses are given out in `dir`.
fn write_list(dir: &Path, bridge: &str, subnet: &str) {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "suite",
        "plugins": [{
            "type": "bridge",
            "bridge": bridge,
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "dataDir": dir.join("ipam"),
                "ranges": [[{"subnet": subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    std::fs::write(dir.join("10-suite.conflist"), list.to_string()).unwrap();
}

/// The addresses that the plugin has given out.
fn given_out(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("ipam/suite")).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("10.")).collect()
}

fn fetch(ip: &str) -> String {
    let address = format!("{ip}:8080").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ip_of(group: &Value) -> String {
    group["status"]["podIP"].as_str().unwrap().to_owned()
}

#[test]
fn groups_are_on_the_plugins_network_over_a_crash() {
    let plugin = Path::new(PLUGINS).join("bridge");
    assert!(plugin.exists(), "containernetworking-plugins is needed");
    let dir = tempfile::tempdir().unwrap();
    let number = std::process::id() % 10_000;
    let bridge = format!("btcni{number}");
    let prefix = format!("10.{}.{}", 240 + number / 250 % 10, number % 250);
    write_list(dir.path(), &bridge, &format!("{prefix}.0/24"));
    let at = dir.path().display();
    let network = format!(
        "mode = \"cni\"\ncni_conf_dir = \"{at}\"\ncni_bin_dirs = [\"{PLUGINS}\"]\ncni_network = \"suite\"\n"
    );
    let mut agent = agent_as(Setup {
        network: &network,
        ..Setup::default()
    });
    // The plugin leaves its bridge, as plugins do.
    let link = Link(bridge);
    let serve = "mkdir -p /tmp/w; hostname >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";
    create_json(&agent, &shell_group("web", serve));
    let up = |group: &Value| group["status"]["ready"] == true;
    let ip = ip_of(&agent.wait_until("web", "ready", up));
    assert!(ip.starts_with(&prefix), "{ip}");
    assert_eq!(given_out(dir.path()), std::slice::from_ref(&ip));
    assert!(fetch(&ip).ends_with("web\n"));

    agent.crash();
    agent.launch();
    let adopted = agent.wait_until("web", "adopted", up);
    assert_eq!(ip_of(&adopted), ip);
    assert_eq!(
        super::state(&adopted)["restartCount"].as_u64().unwrap_or(0),
        0
    );
    assert!(fetch(&ip).ends_with("web\n"));
    create_json(&agent, &shell_group("other", "sleep 1000"));
    let other = ip_of(&agent.wait_until("other", "ready", up));
    assert_ne!(other, ip);
    let url = format!("http://{ip}:8080/");
    let fetched = agent.ok(&[
        "exec", "other", "--", "timeout", "5", "wget", "-q", "-O", "-", &url,
    ]);
    assert_eq!(fetched, "web\n");

    agent.ok(&["rm", "-f", "web"]);
    assert_eq!(given_out(dir.path()), [other]);
    agent.ok(&["rm", "-f", "other"]);
    assert!(given_out(dir.path()).is_empty());
    drop(link);
    agent.finish();
}
