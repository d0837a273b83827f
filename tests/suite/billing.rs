//! What groups cost: on the command line, to Prometheus, in exports, over restarts of the agent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use burstlet_tests::{Agent, repository};
use serde_json::Value;

use super::{agent_with, group};

const RESOURCES: &str =
    "      resources:\n        requests: {cpu: 500m, memory: 256M}\n  restartPolicy: Never\n";

fn billing_agent() -> Agent {
    let book = repository().join("runtime-config/books/example.toml");
    let book = book.canonicalize().unwrap();
    agent_with(&format!(
        "[billing]\nprice_books = [{book:?}]\ntag_labels = [\"team\"]\n"
    ))
}

/// Runs a group to its end.
fn run(agent: &Agent, name: &str, script: &str) {
    agent.ok_with(
        &["create", "-f", "-"],
        group(name, script, RESOURCES).as_bytes(),
    );
    agent.wait_until(name, "ended", |g| g["status"]["phase"] == "Succeeded");
}

/// The page that Prometheus gets. The port is in the log.
fn scrape(agent: &Agent, accept: &str) -> String {
    let log = agent.log();
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("serving the admin port"));
    let (_, port) = line.unwrap().split_once("127.0.0.1:").unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let request = format!(
        "GET /metrics/billing HTTP/1.1\r\nhost: agent\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

fn sample(page: &str, series: &str) -> String {
    let line = page.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("{series} is not in\n{page}"));
    line.rsplit_once(' ').unwrap().1.to_owned()
}

/// What of a bill does not change when a group has ended: what it used is read a little later.
fn settled(used: &Value) -> [Value; 2] {
    ["cost", "billedSeconds"].map(|field| used["total"][field].clone())
}

fn usage(agent: &Agent) -> Value {
    serde_json::from_str(&agent.ok(&["usage", "-A", "-o", "json"])).unwrap()
}

#[test]
fn a_group_costs_the_same_wherever_one_looks() {
    let mut agent = billing_agent();
    run(&agent, "job", "sleep 1");
    let used = usage(&agent);
    let total = &used["total"];
    let billed = total["billedSeconds"].as_str().unwrap();
    let seconds: f64 = billed.parse().unwrap();
    assert!((1.0..30.0).contains(&seconds), "{used:#}");
    let status = agent.group("job")["status"]["cost"].clone();
    assert_eq!(status["cost"], total["cost"]);
    assert_eq!(status["billedSeconds"], total["billedSeconds"]);
    assert_eq!(status["hourlyCost"], "0", "it has ended");
    let page = scrape(&agent, "text/plain");
    let run = "burstlet_billed_group_seconds_total{namespace=\"default\",state_class=\"run\"}";
    let pull = "burstlet_billed_group_seconds_total{namespace=\"default\",state_class=\"pull\"}";
    let shown: f64 = [run, pull]
        .map(|series| sample(&page, series).parse::<f64>().unwrap())
        .iter()
        .sum();
    assert!(
        (shown - seconds).abs() < 1e-6,
        "{shown} shown, {seconds} billed"
    );
    for charge in used["rows"][0]["charges"].as_array().unwrap() {
        let sku = charge["sku"].as_str().unwrap();
        let series =
            format!("burstlet_cost_total{{namespace=\"default\",sku=\"{sku}\",currency=\"USD\"}}");
        assert_eq!(sample(&page, &series), charge["cost"].as_str().unwrap());
    }
    let csv = agent.ok(&["bill", "-A", "-o", "csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let focus = agent.ok(&["bill", "--focus"]);
    assert!(
        focus.starts_with("BilledCost,") && focus.contains("Core-Seconds"),
        "{focus}"
    );
    let parquet = agent.ctl_command(&["bill", "--focus=parquet"]);
    let parquet = { parquet }.output().unwrap().stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    agent.crash();
    agent.launch();
    assert_eq!(
        settled(&usage(&agent)),
        settled(&used),
        "the bill changed with the agent"
    );
    let anew = scrape(&agent, "text/plain");
    assert_eq!(sample(&anew, run), sample(&page, run));
    agent.ok(&["rm", "job"]);
    assert_eq!(
        settled(&usage(&agent)),
        settled(&used),
        "the bill went with the group"
    );
    agent.finish();
}

#[test]
fn a_group_says_what_it_costs_while_it_runs_and_when_it_has_ended() {
    let agent = billing_agent();
    let more = format!("{RESOURCES}  terminationGracePeriodSeconds: 0\n");
    let server = group("web", "while :; do sleep 1; done", &more);
    agent.ok_with(&["create", "-f", "-"], server.as_bytes());
    let running = agent.wait_until("web", "costly", |group| {
        let cost = group["status"]["cost"]["cost"].as_str();
        group["status"]["phase"] == "Running" && cost.is_some_and(|cost| cost != "0")
    });
    // Half a core and 256 MB, by the book.
    assert_eq!(running["status"]["cost"]["hourlyCost"], "0.0213890976");
    let described = agent.ok(&["describe", "web"]);
    assert!(
        described.contains("so far, 0.021389 an hour"),
        "{described}"
    );
    let wide = agent.ok(&["ps", "-o", "wide"]);
    assert!(wide.contains("0.021389 USD"), "{wide}");
    agent.ok(&["rm", "-f", "web"]);
    let run = ["run", "--rm", "--cost", "--cpus", "1", super::IMAGE, "true"];
    let ran = agent.ctl(&run);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), ""), "{ran:?}");
    let line = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        line.starts_with("burstctl: ") && line.contains(" USD for "),
        "{ran:?}"
    );
    let quiet = agent.ctl(&["run", "--rm", super::IMAGE, "true"]);
    assert_eq!((quiet.code, &*quiet.stderr), (Some(0), ""), "{quiet:?}");
    agent.finish();
}

#[test]
fn prometheus_own_checker_likes_a_live_page() {
    let agent = billing_agent();
    run(&agent, "job", "true");
    let page = scrape(&agent, "text/plain");
    let mut promtool = Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut checking = promtool.spawn().unwrap();
    checking
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let checked = checking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
    let open = scrape(&agent, "application/openmetrics-text; version=1.0.0");
    assert!(open.ends_with("# EOF\n"), "{open}");
    agent.ok(&["rm", "job"]);
    agent.finish();
}

#[test]
fn prices_are_told_before_anything_runs() {
    let agent = billing_agent();
    let prices = agent.ok(&["prices"]);
    assert!(
        prices.starts_with("example-2026-01 in USD by the profile exact"),
        "{prices}"
    );
    let file = group("job", "true", RESOURCES);
    let args = ["quote", "-f", "-", "--for", "1h", "--compare"];
    let quoted = agent.ok_with(&args, file.as_bytes());
    assert!(
        quoted.starts_with("-: 0.021389 USD for 3600.000s"),
        "{quoted}"
    );
    assert!(
        quoted.contains("cheaper than machine-2-8 however long it runs"),
        "{quoted}"
    );
    assert_eq!(agent.ok(&["get", "-o", "name"]), "", "a quote made a group");
    agent.finish();
}

#[test]
fn a_price_book_that_was_edited_is_refused() {
    let mut agent = billing_agent();
    let shipped = repository().join("runtime-config/books/example.toml");
    let edited = agent.scratch().join("edited.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    std::fs::write(&edited, text.replace("0.00001125", "0.00002")).unwrap();
    agent.stop();
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let line = config
        .lines()
        .find(|line| line.starts_with("price_books"))
        .unwrap();
    let new = format!("price_books = [{edited:?}]");
    std::fs::write(agent.config(), config.replace(line, &new)).unwrap();
    let output = burstlet_tests::command("burstlet")
        .arg("--config")
        .arg(agent.config())
        .output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && told.contains("have the same date"),
        "{told}"
    );
    std::fs::write(agent.config(), config).unwrap();
    agent.launch();
    agent.finish();
}
