//! Debian's Prometheus beside a running agent: what it has is the ledger's, however often the agent
//! ends and however short a group is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use burstlet_tests::prometheus::{Prometheus, Scraping, Series, samples, wait_for_scrape};
use burstlet_tests::{Agent, Setup, repository, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::ledger::ledger_of;
use super::{agent_as, create, full_or};

const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";
const RUN: &str =
    "{__name__=\"burstlet_billed_group_seconds_total\",namespace=\"default\",state_class=\"run\"}";
/// Every series that a bill is read off.
const TOTALS: &str = "{__name__=~\"burstlet_.*_total\",namespace!=\"\",uid=\"\"}";

fn book() -> String {
    let book = repository().join("runtime-config/books/example.toml");
    format!(
        "[billing]\nprice_books = [{:?}]\n",
        book.canonicalize().unwrap()
    )
}

fn waits_for_end(agent: &Agent, name: &str) {
    agent.wait_until(name, "ended", |g| g["status"]["phase"] == "Succeeded");
}

/// A number of the ledger's bill for the namespace, as whoever shares no code with us has it.
fn billed(bill: &Value, what: &str, key: &str) -> f64 {
    let text = bill["bill"]["default"][what][key].as_str();
    text.unwrap_or("0").parse().unwrap()
}

/// The same number as a float reads it, give or take the last bit.
fn same(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected.abs() * f64::EPSILON
}

fn check_never_falls(series: &Series) {
    assert!(!series.is_empty());
    for (labels, samples) in series {
        for pair in samples.windows(2) {
            assert!(pair[0].1 <= pair[1].1, "{labels} fell: {pair:?}");
        }
    }
}

/// A certificate for the admin port and a token, and how Prometheus uses them.
struct Door {
    certificate: PathBuf,
    key: PathBuf,
    token: PathBuf,
    _directory: tempfile::TempDir,
}

impl Door {
    fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let door = Self {
            certificate: place("certificate"),
            key: place("key"),
            token: place("token"),
            _directory: directory,
        };
        let pair = rcgen::generate_simple_self_signed(["node".to_owned()]).unwrap();
        fs::write(&door.certificate, pair.cert.pem()).unwrap();
        fs::write(&door.key, pair.signing_key.serialize_pem()).unwrap();
        fs::write(&door.token, "a-token-of-this-test\n").unwrap();
        door
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("BURSTLET_ADMIN_CERT_FILE", text(&self.certificate)),
            ("BURSTLET_ADMIN_KEY_FILE", text(&self.key)),
            ("BURSTLET_ADMIN_TOKEN_FILE", text(&self.token)),
        ]
    }

    fn scraping(&self) -> String {
        format!(
            "    scheme: https\n    tls_config: {{ca_file: {:?}, server_name: node}}\n    \
             authorization: {{credentials_file: {:?}}}\n",
            self.certificate, self.token
        )
    }
}

/// The agent ends in order and is killed, in turn, while groups begin and end. Prometheus comes in
/// by TLS with a token. No total ever falls, all of them are the ledger's to the last bit, and every
/// head that was scraped is one that the ledger passed through.
#[test]
fn totals_never_fall_over_restarts_and_are_the_ledger_s() {
    let door = Door::make();
    let environment = door.environment();
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let mut agent = agent_as(Setup {
        more: &book(),
        environment: &environment,
        ..Setup::default()
    });
    let more = door.scraping();
    let scraping = Scraping {
        every_s: 1,
        more: &more,
    };
    let prometheus = Prometheus::start(&agent.scratch().join("prometheus"), scraping);
    let restarts = full_or(100, 6);
    for restart in 0..restarts {
        prometheus.scrape(agent.admin_address());
        let epoch = f64::from(restart + 1);
        wait_for_scrape("this epoch of the ledger", || {
            prometheus.latest("{__name__=\"burstlet_ledger_epoch\"}") == Some(epoch)
        });
        create(&agent, &format!("g{restart}"), "sleep 0.3", NEVER);
        match restart % 2 {
            0 => agent.crash(),
            _ => drop(agent.stop()),
        }
        agent.launch();
    }
    prometheus.scrape(agent.admin_address());
    for restart in 0..restarts {
        waits_for_end(&agent, &format!("g{restart}"));
    }
    let bill = ledger_of(&agent, &[]);
    let run = billed(&bill, "seconds", "run");
    assert!(run >= 0.3 * f64::from(restarts), "{bill:#}");
    wait_for_scrape("the last end", || {
        prometheus
            .latest(RUN)
            .is_some_and(|seconds| same(seconds, run))
    });
    for sku in ["cpu", "memory"] {
        let selector =
            format!("{{__name__=\"burstlet_cost_total\",namespace=\"default\",sku=\"{sku}\"}}");
        let shown = prometheus.latest(&selector).unwrap_or(0.0);
        assert!(
            same(shown, billed(&bill, "cost", sku)),
            "{sku}: {shown} {bill:#}"
        );
    }
    check_never_falls(&prometheus.samples(TOTALS));
    let heads = witnessed(&prometheus);
    assert!(heads.len() >= restarts as usize, "{heads:?}");
    let seen: Vec<&str> = heads.iter().flat_map(|head| ["--seen", head]).collect();
    ledger_of(&agent, &seen);
    drop(prometheus);
    agent.finish();
}

/// The heads that Prometheus has of the ledger: record and 52 bits of the hash.
fn witnessed(prometheus: &Prometheus) -> Vec<String> {
    let only = |name: &str| {
        let series = prometheus.samples(&format!("{{__name__=\"{name}\"}}"));
        series.into_values().next().unwrap_or_default()
    };
    let (sequences, hashes) = (
        only("burstlet_ledger_sequence"),
        only("burstlet_ledger_head_hash52"),
    );
    let pairs = sequences.iter().filter_map(|(at, sequence)| {
        let (_, hash) = hashes.iter().find(|(also_at, _)| also_at == at)?;
        Some(format!("{sequence}:{hash}"))
    });
    let mut heads: Vec<String> = pairs.collect();
    heads.dedup();
    heads
}

/// Groups much shorter than the time between two scrapes are in the totals with all that they are
/// billed for.
#[test]
fn groups_between_two_scrapes_are_all_in_the_totals() {
    let agent = agent_as(Setup {
        more: &book(),
        ..Setup::default()
    });
    let scraping = Scraping {
        every_s: 10,
        more: "",
    };
    let prometheus = Prometheus::start(&agent.scratch().join("prometheus"), scraping);
    prometheus.scrape(agent.admin_address());
    wait_for_scrape("anything", || {
        prometheus
            .latest("{__name__=\"burstlet_ledger_epoch\"}")
            .is_some()
    });
    let groups = full_or(200, 24);
    let nap = |number: u32| Duration::from_millis(u64::from(20 + number * 379 % 880));
    for number in 0..groups {
        let script = format!("sleep {}", nap(number).as_secs_f64());
        create(&agent, &format!("g{number}"), &script, NEVER);
    }
    for number in 0..groups {
        waits_for_end(&agent, &format!("g{number}"));
    }
    let bill = ledger_of(&agent, &[]);
    let run = billed(&bill, "seconds", "run");
    let slept: f64 = (0..groups).map(|number| nap(number).as_secs_f64()).sum();
    assert!(run >= slept, "{run} s are billed, {slept} s were slept");
    wait_for_scrape("the last end", || {
        prometheus
            .latest(RUN)
            .is_some_and(|seconds| same(seconds, run))
    });
    let opened = "{__name__=\"burstlet_sessions_opened_total\",namespace=\"default\"}";
    assert_eq!(prometheus.latest(opened), Some(f64::from(groups)));
    check_never_falls(&prometheus.samples(TOTALS));
    drop(prometheus);
    agent.finish();
}

/// The script while it runs. It takes its Prometheus with it when it goes.
struct Observing(Child);

impl Observing {
    fn ask_to_end(&self) {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        // It may have ended by itself, which the test has noticed.
        let _ = kill(pid, Signal::SIGTERM);
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.ask_to_end();
            let _ = self.0.wait();
        }
    }
}

/// The script that a person starts: both jobs come in, and it goes when it is told to.
#[test]
fn observe_watches_a_running_agent() {
    let agent = agent_as(Setup::default());
    let data = agent.scratch().join("observed");
    let mut script = Command::new(repository().join("hack/observe"));
    script.args(["--agent", &agent.admin_address().to_string()]);
    script
        .args(["--listen", "127.0.0.1:0", "--every", "1", "--data"])
        .arg(&data);
    let log = fs::File::create(agent.scratch().join("observe.log")).unwrap();
    script.stdout(log.try_clone().unwrap()).stderr(log);
    let mut observing = Observing(script.spawn().unwrap());
    for (job, name) in [
        ("burstlet", "burstlet_queue_length"),
        ("burstlet-billing", "burstlet_ledger_sequence"),
    ] {
        let selector = format!("{{__name__=\"{name}\",job=\"{job}\"}}");
        wait_for_scrape("both jobs", || !samples(&data, &selector).is_empty());
    }
    observing.ask_to_end();
    wait_for("the script ends", || {
        observing.0.try_wait().unwrap().is_some()
    });
    let said = fs::read_to_string(agent.scratch().join("observe.log")).unwrap();
    assert!(said.contains("/alerts"), "{said}");
    agent.finish();
}
