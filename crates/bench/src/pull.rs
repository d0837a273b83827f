//! Getting an image: from a registry on this machine to a tree that can be run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clock::Instant;
use crate::command::{Output, installed};
use crate::image::{self, Layer};
use crate::report::{Report, Table, median};
use crate::setting::Setting;

/// Where the registry listens while this runs.
pub(crate) const REGISTRY: &str = "127.0.0.1:15917";
/// Bytes of files in the image.
const IMAGE_BYTES: u64 = 150_000_000;
/// Its layers.
const LAYERS: usize = 8;
/// Files larger than this are left out, so that layers are even.
const FILE_BYTES_MAX: u64 = 8_000_000;
/// The host's files that fill the image.
const SOURCE: &str = "/usr";
/// Pulls of each; the median counts.
const ROUNDS: u32 = 7;

type Puller<'a> = (&'a str, Box<dyn Fn() -> Result<Duration> + 'a>);

/// Each pulls into an empty store, in turns.
pub(crate) fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    for program in ["docker-registry", "skopeo"] {
        if !installed(program) {
            report.note(&format!(
                "no pulls: {program} is not installed: `apt-get install {program}`"
            ));
            return Ok(());
        }
    }
    let registry = Registry::start(&setting.scratch.dir("registry")?)?;
    let measured = with_registry(setting, report);
    registry.end()?;
    measured
}

fn with_registry(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let (bytes, rounds) = if setting.quick {
        (IMAGE_BYTES / 10, 1)
    } else {
        (IMAGE_BYTES, ROUNDS)
    };
    let image = format!("{REGISTRY}/bench/files:1");
    push(setting, &image, bytes)?;
    let pullers = pullers(setting, &image);
    let mut took = vec![Vec::new(); pullers.len()];
    for round in 0..rounds as usize {
        for turn in 0..pullers.len() {
            let who = (turn + round) % pullers.len();
            let (label, pull) = &pullers[who];
            took[who].push(pull().with_context(|| format!("pull by {label}"))?);
        }
    }
    let title = format!(
        "Pull and unpack, {} MB in {LAYERS} layers",
        bytes / 1_000_000
    );
    let mut table = Table::new(&title, &["", "s", "MB/s unpacked", "× Burstlet"]);
    let ours = median(&took[0]).as_secs_f64();
    for ((label, _), took) in pullers.iter().zip(&took) {
        let seconds = median(took).as_secs_f64();
        let megabytes = Duration::from_micros(bytes).as_secs_f64();
        table.row(&[
            label,
            &format!("{seconds:.2}"),
            &format!("{:.0}", megabytes / seconds),
            &format!("{:.2}", seconds / ours),
        ]);
    }
    report.add(table);
    Ok(())
}

fn pullers<'a>(setting: &'a Setting<'_>, image: &'a str) -> Vec<Puller<'a>> {
    let ours = move || {
        let took = timed(|| setting.burstlet.pull(image))?;
        setting.burstlet.forget(image).map(|()| took)
    };
    let mut all: Vec<Puller<'a>> = vec![("Burstlet", Box::new(ours))];
    if let Some(podman) = setting.podman.first() {
        let theirs = move || {
            let took = timed(|| podman.pull(image))?;
            podman.forget(image).map(|()| took)
        };
        all.push(("podman pull", Box::new(theirs)));
    }
    if let Some(containerd) = &setting.containerd {
        let theirs = move || {
            let took = timed(|| containerd.pull(image))?;
            containerd.forget(image).map(|()| took)
        };
        all.push(("ctr image pull", Box::new(theirs)));
    }
    all
}

/// What was written by the one before is on disk first, so that nobody pays for others.
fn timed(pull: impl FnOnce() -> Result<()>) -> Result<Duration> {
    nix::unistd::sync();
    let asked = Instant::now();
    pull()?;
    Ok(Instant::now().since(asked))
}

/// Fills an image with files of the host, which compress as programs do.
fn push(setting: &Setting<'_>, image: &str, bytes: u64) -> Result<()> {
    let dir = setting.scratch.dir("files")?;
    let mut files = Vec::new();
    collect(Path::new(SOURCE), &mut files, bytes)?;
    let paths = files.into_iter();
    let relative = paths.map(|path| path.strip_prefix("/").map(Path::to_owned).unwrap_or(path));
    let mut layers: Vec<Layer> = (0..LAYERS)
        .map(|_| Layer {
            below: PathBuf::from("/"),
            paths: Vec::new(),
        })
        .collect();
    for (index, path) in relative.enumerate() {
        layers[index % LAYERS].paths.push(path);
    }
    let archive = image::archive(&dir, "files:1", &layers)?;
    let mut copy = Command::new("skopeo");
    copy.args(["copy", "--quiet", "--dest-tls-verify=false"]);
    copy.arg(format!("docker-archive:{}", archive.display()));
    Output::new(&dir).of(copy.arg(format!("docker://{image}")))?;
    std::fs::remove_dir_all(&dir).context("remove the archive")
}

/// Takes regular files in the order of their names, until there are enough.
fn collect(dir: &Path, files: &mut Vec<PathBuf>, bytes: u64) -> Result<u64> {
    let mut left = bytes;
    let entries = std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if left == 0 {
            break;
        }
        let kind = entry.file_type().context("look at a file")?;
        if kind.is_dir() {
            left = collect(&entry.path(), files, left)?;
        } else if kind.is_file() {
            let size = entry.metadata().context("look at a file")?.len();
            if size <= FILE_BYTES_MAX {
                left = left.saturating_sub(size);
                files.push(entry.path());
            }
        }
    }
    Ok(left)
}

/// Debian's registry, on a directory of our own.
struct Registry {
    child: Child,
}

impl Registry {
    fn start(dir: &Path) -> Result<Self> {
        let config = dir.join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: {REGISTRY}\n",
            dir.join("data").display()
        );
        std::fs::write(&config, text).context("write the registry's configuration")?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run docker-registry")?;
        let registry = Self { child };
        let patience = Duration::from_secs(10);
        let asked = Instant::now();
        while std::net::TcpStream::connect(REGISTRY).is_err() {
            ensure!(
                Instant::now().since(asked) < patience,
                "the registry does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    fn end(mut self) -> Result<()> {
        self.child.kill().context("end the registry")?;
        self.child.wait().context("wait for the registry").map(drop)
    }
}
