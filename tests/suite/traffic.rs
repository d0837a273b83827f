//! Bytes that a group is charged for are those that went over its link: counted by rules of the
//! test's own, which are no part of what the agent counts by.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use burstlet_tests::{Agent, PATIENCE, wait_for};
use serde_json::Value;

use super::ledger::settled;
use super::{agent, create};

/// What one answer of the group's server holds.
const ANSWER_BYTES: usize = 4 << 20;
const SERVER: &str = "mkdir /tmp/w; dd if=/dev/zero of=/tmp/w/big bs=1M count=4 2>/dev/null; \
                      exec httpd -f -p 8080 -h /tmp/w";
const PROBED: &str = "      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n  \
                      restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";
/// What a frame has beside what the rules see of it on its way in.
const ETHERNET_BYTES: u64 = 14;

/// Bytes in frames, by where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traffic {
    sent: u64,
    received: u64,
}

/// The host's end of the only link on the agent's bridge.
fn link(agent: &Agent) -> String {
    let ports = format!("/sys/class/net/{}/brif", agent.bridge());
    let ports = std::fs::read_dir(ports).unwrap();
    let names: Vec<_> = ports.map(|port| port.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].to_str().unwrap().to_owned()
}

/// What the kernel has counted on a link since it was made; the host receives what the group sends.
fn statistics(link: &str) -> Traffic {
    let read = |name: &str| {
        let path = format!("/sys/class/net/{link}/statistics/{name}");
        let text = std::fs::read_to_string(path).unwrap();
        text.trim().parse().unwrap()
    };
    Traffic {
        sent: read("rx_bytes"),
        received: read("tx_bytes"),
    }
}

fn nft(input: &str, args: &[&str]) -> String {
    let mut nft = Command::new("nft");
    let nft = nft.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = nft.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "nft {args:?}: {input}");
    String::from_utf8(output.stdout).unwrap()
}

/// Counters of the test's own on a link. They outlive it.
struct Witness {
    table: String,
    /// What had gone over the link before.
    before: Traffic,
}

impl Witness {
    /// Begins to count between two looks at the link that are the same.
    fn of(agent: &Agent, link: &str) -> Self {
        let table = format!("{}-witness", agent.bridge());
        let chain = |hook: &str, counter: &str| {
            format!(
                "chain {hook} {{ type filter hook {hook} device \"{link}\" priority 0; \
                 counter name {counter}; }}"
            )
        };
        let rules = format!(
            "table netdev {table} {{\ncounter sent {{ }}\ncounter received {{ }}\n{}\n{}\n}}",
            chain("ingress", "sent"),
            chain("egress", "received")
        );
        let mut witness = Self {
            table,
            before: statistics(link),
        };
        wait_for("nothing goes over the link", || {
            witness.before = statistics(link);
            nft(&rules, &["-f", "-"]);
            let is_quiet = statistics(link) == witness.before;
            if !is_quiet {
                witness.remove();
            }
            is_quiet
        });
        witness
    }

    fn remove(&self) {
        nft("", &["delete", "table", "netdev", &self.table]);
    }

    /// All that has gone over the link since it was made.
    fn counted(&self) -> Traffic {
        let listed = nft(
            "",
            &["-j", "list", "counters", "table", "netdev", &self.table],
        );
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let number = |name: &str, field: &str| {
            let mut found = listed["nftables"].as_array().unwrap().iter();
            let counter = found.find(|item| item["counter"]["name"] == name);
            counter.unwrap()["counter"][field].as_u64().unwrap()
        };
        // On its way in a frame has lost its head when the rules see it, on its way out it has it.
        let heads = number("sent", "packets") * ETHERNET_BYTES;
        Traffic {
            sent: self.before.sent + number("sent", "bytes") + heads,
            received: self.before.received + number("received", "bytes"),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let mut nft = Command::new("nft");
        // If it cannot be removed, the leak check has something to say.
        let _ = nft
            .args(["delete", "table", "netdev", &self.table])
            .status();
    }
}

/// A group that answers, and the counters on its link.
struct Shop {
    name: &'static str,
    uid: String,
    server: SocketAddr,
    witness: Witness,
}

impl Shop {
    fn open(agent: &Agent, name: &'static str) -> Self {
        create(agent, name, SERVER, PROBED);
        agent.ok(&["wait", name, "--for", "ready", "--timeout", "60s"]);
        let group = agent.group(name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ip = text(&group["status"]["podIP"]);
        Self {
            name,
            uid: text(&group["metadata"]["uid"]),
            server: format!("{ip}:8080").parse().unwrap(),
            witness: Witness::of(agent, &link(agent)),
        }
    }

    /// Fetches the file, until the server closes the connection.
    fn fetch(&self) {
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /big HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.len() > ANSWER_BYTES, "{} bytes", answer.len());
    }

    /// The group has ended; what had gone over the link before is known. Whatever else goes over it
    /// until it is gone may be charged or not.
    fn check_charged(self, agent: &Agent, at_least: Traffic) {
        let charged = charged(agent, &self.uid);
        let at_most = self.witness.counted();
        let (least, most) = (at_least, at_most);
        eprintln!(
            "{}: charged {charged:?} of {least:?} to {most:?}",
            self.name
        );
        assert!((least.sent..=most.sent).contains(&charged.sent));
        assert!((least.received..=most.received).contains(&charged.received));
        agent.ok(&["rm", self.name]);
    }
}

/// What the ledger has of a group that has ended.
fn charged(agent: &Agent, uid: &str) -> Traffic {
    let used = &settled(agent, uid)["used"];
    let number = |name: &str| used[name].as_str().unwrap().parse().unwrap();
    Traffic {
        sent: number("net_sent"),
        received: number("net_received"),
    }
}

#[test]
fn bytes_charged_are_those_that_went_over_the_link() {
    let mut agent = agent();
    let shop = Shop::open(&agent, "shop");
    shop.fetch();
    agent.crash();
    shop.fetch();
    shop.fetch();
    agent.launch();
    shop.fetch();
    let at_least = shop.witness.counted();
    assert!(at_least.sent > 4 * ANSWER_BYTES as u64, "{at_least:?}");
    agent.ok(&["stop", "shop"]);
    agent.wait_until("shop", "stopped", |g| g["status"]["phase"] == "Stopped");
    shop.check_charged(&agent, at_least);
    agent.finish();
}
