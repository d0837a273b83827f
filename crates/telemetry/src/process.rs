//! Numbers about this process from `/proc/self`, under the names every Prometheus client uses.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// The unit of times in `/proc/self/stat`; it is part of the kernel's interface to user space.
const USER_HZ: f64 = 100.0;

/// Reads the files when it is scraped.
#[derive(Debug)]
pub(crate) struct ProcessCollector {
    cpu_seconds: Counter,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    threads: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    start_time: Gauge,
}

/// What the files say.
#[derive(Debug, PartialEq, Default)]
struct Sample {
    cpu_seconds: Option<f64>,
    start_since_boot_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    threads: Option<f64>,
    max_fds: Option<f64>,
}

impl ProcessCollector {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name, help| Gauge::new(name, help);
        Ok(Self {
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "CPU time used in user and system mode, in seconds.",
            )?,
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory.")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Virtual memory.")?,
            threads: gauge("process_threads", "Threads.")?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            max_fds: gauge("process_max_fds", "Limit of open file descriptors.")?,
            start_time: gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since the epoch.",
            )?,
        })
    }

    fn metrics(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu_seconds,
            &self.resident_bytes,
            &self.virtual_bytes,
            &self.threads,
            &self.open_fds,
            &self.max_fds,
            &self.start_time,
        ]
    }

    fn update(&self) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let sample = parse(
            &read("self/stat"),
            &read("self/status"),
            &read("self/limits"),
        );
        if let Some(seconds) = sample.cpu_seconds {
            self.cpu_seconds
                .inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        let start_time = sample
            .start_since_boot_seconds
            .zip(boot_time(&read("stat")))
            .map(|(since_boot, boot)| since_boot + boot);
        let open_fds = fs::read_dir("/proc/self/fd")
            .map(|fds| fds.count() as f64)
            .ok();
        for (gauge, value) in [
            (&self.resident_bytes, sample.resident_bytes),
            (&self.virtual_bytes, sample.virtual_bytes),
            (&self.threads, sample.threads),
            (&self.max_fds, sample.max_fds),
            (&self.open_fds, open_fds),
            (&self.start_time, start_time),
        ] {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update();
        self.metrics()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

/// Reads the three files of a process; what one does not say stays open.
fn parse(stat: &str, status: &str, limits: &str) -> Sample {
    // The program's name in parentheses may hold anything, also spaces and parentheses.
    let stat: Vec<&str> = match stat.rsplit_once(')') {
        Some((_, rest)) => rest.split_whitespace().collect(),
        None => Vec::new(),
    };
    // proc(5) numbers from 1 and the two fields up to the name are gone.
    let ticks = |field: usize| {
        stat.get(field - 3)?
            .parse::<f64>()
            .ok()
            .map(|t| t / USER_HZ)
    };
    let status = |key: &str| -> Option<f64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Sample {
        cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
        start_since_boot_seconds: ticks(22),
        resident_bytes: status("VmRSS").map(|kib| kib * 1024.0),
        virtual_bytes: status("VmSize").map(|kib| kib * 1024.0),
        threads: status("Threads"),
        max_fds: limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|line| line.split_whitespace().next()?.parse().ok()),
    }
}

/// When the machine started, in seconds since the epoch.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_by_name_and_number() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 \
                    250 50 0 0 20 0 4 0 9000 1000 10 18446744073709551615";
        let status = "Name:\tx\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 4096                 files\n";
        let sample = Sample {
            cpu_seconds: Some(3.0),
            start_since_boot_seconds: Some(90.0),
            resident_bytes: Some(1_048_576.0),
            virtual_bytes: Some(2_097_152.0),
            threads: Some(4.0),
            max_fds: Some(1024.0),
        };
        assert_eq!(parse(stat, status, limits), sample);
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1700000000\n"),
            Some(1_700_000_000.0)
        );
    }

    #[test]
    fn nothing_is_made_up() {
        assert_eq!(parse("", "", ""), Sample::default());
        assert_eq!(
            parse("1 (x) S", "VmRSS:\n", "Max open files unlimited"),
            Sample::default()
        );
    }

    #[test]
    fn this_process_has_numbers() {
        let collector = ProcessCollector::new().unwrap();
        let families = collector.collect();
        assert_eq!(families.len(), 7);
        for gauge in [
            &collector.resident_bytes,
            &collector.open_fds,
            &collector.start_time,
        ] {
            assert!(gauge.get() > 0.0);
        }
    }
}
