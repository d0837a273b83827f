//! Debian's Prometheus, scraping the admin port of an agent under test.
//!
//! What it has is read by `promtool` from its directory while it runs, so that nothing depends on a
//! port of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

/// How long a scrape and a look at it may take: both start programs on a machine that may be busy.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// A series by its labels as `promtool` writes them, with its samples: when, in milliseconds, and
/// how much.
pub type Series = BTreeMap<String, Vec<(i64, f64)>>;

/// How it scrapes.
#[derive(Clone, Copy, Debug)]
pub struct Scraping<'a> {
    /// Seconds between two scrapes.
    pub every_s: u32,
    /// More lines of the job, indented by four: `tls_config`, `authorization`.
    pub more: &'a str,
}

/// A Prometheus that runs.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    directory: PathBuf,
}

impl Prometheus {
    /// Starts one in a new directory.
    #[must_use]
    pub fn start(directory: &Path, scraping: Scraping<'_>) -> Self {
        fs::create_dir(directory).unwrap();
        let Scraping { every_s, more } = scraping;
        let config = format!(
            "global: {{scrape_interval: {every_s}s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: billing\n    \
             metrics_path: /metrics/billing\n    file_sd_configs: [{{files: [targets.json], refresh_interval: 1s}}]\n{more}"
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        fs::write(directory.join("targets.json"), "[]").unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = Command::new("prometheus")
            .current_dir(directory)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("prometheus is a package that hack/test installs");
        let directory = directory.to_owned();
        Self { child, directory }
    }

    /// Where the agent is from now on. It stays the same instance.
    pub fn scrape(&self, agent: SocketAddr) {
        let targets = json!([{"targets": [agent.to_string()], "labels": {"instance": "node"}}]);
        let new = self.directory.join("targets.new");
        fs::write(&new, targets.to_string()).unwrap();
        fs::rename(new, self.directory.join("targets.json")).unwrap();
    }

    /// Every sample of the series that a selector takes; nothing while there are none.
    #[must_use]
    pub fn samples(&self, selector: &str) -> Series {
        samples(&self.directory.join("data"), selector)
    }

    /// The latest sample of the only series that a selector takes.
    #[must_use]
    pub fn latest(&self, selector: &str) -> Option<f64> {
        let series = self.samples(selector);
        let latest = series.values().filter_map(|samples| samples.last());
        latest.max_by_key(|(at, _)| *at).map(|(_, value)| *value)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is scraped.
pub fn wait_for_scrape(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SCRAPE_PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it was never scraped: {what}");
        thread::sleep(LOOK_PERIOD);
    }
}

/// Every sample of the series that a selector takes, in a Prometheus' data; nothing while there are
/// none.
#[must_use]
pub fn samples(data: &Path, selector: &str) -> Series {
    let output = Command::new("promtool")
        .args(["tsdb", "dump", &format!("--match={selector}")])
        .arg(data)
        .output()
        .unwrap();
    let mut series = Series::new();
    // It is being written: what cannot be read now can be read soon.
    if !output.status.success() {
        return series;
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.rsplitn(3, ' ');
        let at = words.next().and_then(|word| word.parse().ok());
        let value = words.next().and_then(|word| word.parse::<f64>().ok());
        // That it was not there is no number.
        let value = value.filter(|value| !value.is_nan());
        if let (Some(at), Some(value), Some(labels)) = (at, value, words.next()) {
            series
                .entry(labels.to_owned())
                .or_default()
                .push((at, value));
        }
    }
    for samples in series.values_mut() {
        samples.sort_by_key(|(at, _)| *at);
    }
    series
}
