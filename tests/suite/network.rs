//! What groups reach, and who reaches them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use burstlet_tests::Agent;

use super::{IMAGE, agent, group};

fn serve(agent: &Agent, namespace: &str, name: &str, more: &str) -> String {
    let script =
        format!("mkdir -p /tmp/w; echo {name} >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w");
    let more = format!(
        "      readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}\n{more}  terminationGracePeriodSeconds: 0\n"
    );
    let text = group(name, &script, &more).replace(
        "metadata:\n",
        &format!("metadata:\n  namespace: {namespace}\n"),
    );
    agent.ok_with(&["create", "-f", "-"], text.as_bytes());
    agent.ok(&[
        "wait",
        "-n",
        namespace,
        name,
        "--for",
        "ready",
        "--timeout",
        "30s",
    ]);
    let shown: serde_json::Value =
        serde_json::from_str(&agent.ok(&["get", "-n", namespace, name, "-o", "json"])).unwrap();
    shown["status"]["podIP"].as_str().unwrap().to_owned()
}

fn fetch(agent: &Agent, namespace: &str, url: &str) -> Option<String> {
    let args = [
        "run", "--rm", "-n", namespace, IMAGE, "timeout", "2", "wget", "-q", "-O", "-", url,
    ];
    let outcome = agent.ctl(&args);
    assert!(
        matches!(outcome.code, Some(0 | 1 | 124 | 143)),
        "{url}: {outcome:?}\n{}",
        agent.log()
    );
    (outcome.code == Some(0)).then_some(outcome.stdout)
}

#[test]
fn namespaces_are_closed_to_each_other() {
    let agent = agent();
    let red = serve(&agent, "red", "web", "");
    let blue = serve(&agent, "blue", "web2", "");
    assert_eq!(
        fetch(&agent, "red", &format!("http://{red}:8080/")).as_deref(),
        Some("web\n")
    );
    assert_eq!(
        fetch(&agent, "red", "http://web:8080/").as_deref(),
        Some("web\n")
    );
    assert_eq!(fetch(&agent, "red", &format!("http://{blue}:8080/")), None);
    assert_eq!(fetch(&agent, "red", "http://web2:8080/"), None);
    agent.ok(&["rm", "-f", "-n", "red", "web"]);
    agent.ok(&["rm", "-f", "-n", "blue", "web2"]);
    agent.finish();
}

#[test]
fn a_published_port_leads_to_its_container() {
    let agent = agent();
    let port = 20_000 + std::process::id() % 20_000;
    let ports = format!("      ports: [{{containerPort: 8080, hostPort: {port}}}]\n");
    let ip = serve(&agent, "default", "shop", &ports);
    let gateway = format!("{}.1", ip.rsplit_once('.').unwrap().0);
    let address = format!("{gateway}:{port}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("shop\n"), "{answer}");
    let taken = group(
        "second",
        "true",
        &format!("      ports: [{{containerPort: 1, hostPort: {port}}}]\n"),
    );
    let outcome = agent.ctl_with(&["create", "-f", "-"], taken.as_bytes());
    if outcome.code == Some(0) {
        let waiting = agent.wait_until("second", "told of the conflict", |g| {
            g.to_string().contains(&port.to_string()) && g["status"]["phase"] != "Running"
        });
        assert_ne!(waiting["status"]["phase"], "Succeeded", "{waiting:#}");
    }
    agent.ok(&["rm", "-f", "shop"]);
    let _ = agent.ctl(&["rm", "-f", "second"]);
    agent.finish();
}

#[test]
fn the_hosts_own_ports_are_closed() {
    let agent = agent();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(4);
        while std::time::Instant::now() < end {
            if listener.accept().is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    });
    let script = format!(
        "gw=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); timeout 2 wget -q -O - http://$gw:{port}/; true"
    );
    agent.ok(&["run", "--rm", IMAGE, "sh", "-c", &script]);
    assert!(
        !answering.join().unwrap(),
        "a group reached a port of the host"
    );
    agent.finish();
}

/// The table of the agent's rules, as `nft` is told it.
fn table(agent: &Agent) -> String {
    let nft = |args: &[&str]| {
        let output = std::process::Command::new("nft")
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let ours = format!("\"{}\"", agent.bridge());
    let tables = nft(&["list", "tables", "inet"]);
    let mut named = tables
        .lines()
        .filter_map(|line| line.strip_prefix("table "));
    let is_ours = |table: &&str| {
        let (family, name) = table.split_once(' ').unwrap();
        nft(&["list", "table", family, name]).contains(&ours)
    };
    named.find(is_ours).expect("the agent's table").to_owned()
}

#[test]
fn meddling_with_the_network_is_undone_at_once() {
    let agent = agent();
    let red = serve(&agent, "red", "web", "");
    let table = table(&agent);
    let run = |command: &str| {
        let status = std::process::Command::new("sh")
            .args(["-c", command])
            .status();
        assert!(status.unwrap().success(), "{command}");
    };
    // The group's link goes, too: what looks after the rules looks after that.
    run(&format!(
        "link=$(ip -o link show master {} | cut -d: -f2 | cut -d@ -f1 | head -1) && \
         ip link delete $link && nft delete table {table}",
        agent.bridge()
    ));
    let begun = std::time::Instant::now();
    let restored = format!("nft list table {table} | grep -q {red}");
    while !std::process::Command::new("sh")
        .args(["-c", &restored])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
    {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", agent.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("the rules were back after {:?}", begun.elapsed());
    let url = format!("http://{red}:8080/");
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while fetch(&agent, "red", &url).is_none() {
        assert!(std::time::Instant::now() < deadline, "{}", agent.log());
    }
    assert_eq!(fetch(&agent, "blue", &url), None);
    agent.ok(&["rm", "-f", "-n", "red", "web"]);
    agent.finish();
}
