//! Builds what is measured as it is shipped, then hands over to the program that measures. The
//! measuring is a program of its own so that this one stays small: it has to speak the API.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tidy::cargo_metadata;

/// Packages whose programs are measured or measure, with the arguments that build them.
const PROGRAMS: &[&str] = &[
    "--release",
    "-pburstlet-agent",
    "-pburstlet-ctl",
    "-pburstlet-image",
    "-pburstlet-bench",
    "--bins",
];
/// What measures metering, which it is built with: nothing else is.
const METER: &[&str] = &[
    "--release",
    "-pburstlet-bench",
    "--no-default-features",
    "--features=meter",
    "--bin=burstlet-bench-meter",
];
/// The static ones: the launcher, and what runs in the containers.
const LAUNCHER: &[&str] = &[
    "-pburstlet-sandbox",
    "--features=launcher",
    "--bin=burstlet-launcher",
];
const PAYLOAD: &[&str] = &[
    "-pburstlet-bench",
    "--no-default-features",
    "--bin=burstlet-bench-payload",
];

/// Where the programs are.
struct Built {
    programs: PathBuf,
    /// The static ones.
    small: PathBuf,
}

impl Built {
    /// The program that measures, told where the others are.
    fn bench(&self, what: &str) -> Command {
        let mut bench = Command::new(self.programs.join("burstlet-bench"));
        bench.arg(what).arg("--programs").arg(&self.programs);
        bench
            .arg("--payload")
            .arg(self.small.join("burstlet-bench-payload"));
        bench
    }
}

/// Measures groups; `args` go to the program that does.
pub(crate) fn start(root: &Path, args: &[String]) -> Result<()> {
    let mut bench = programs(root)?.bench("start");
    bench.arg("--root").arg(root).args(args);
    measure(bench)
}

/// Measures what a group does to another; `args` go to the program that does.
pub(crate) fn neighbour(root: &Path, args: &[String]) -> Result<()> {
    let mut bench = programs(root)?.bench("neighbour");
    bench.args(args);
    measure(bench)
}

/// Measures a node. The cluster suite sets the stage: its own speed does not count.
pub(crate) fn kube(root: &Path, parts: &[String]) -> Result<()> {
    let built = programs(root)?;
    let mut suite = Command::new("cargo");
    suite
        .args(["test", "--quiet", "-pburstlet-tests"])
        .args(["--test=privileged_kube", "--", "--measure"])
        .args(parts)
        .env("BURSTLET_TEST_PROGRAMS", &built.programs)
        .current_dir(root);
    measure(suite)
}

/// Measures metering; `args` go to the program that does.
pub(crate) fn meter(root: &Path, args: &[String]) -> Result<()> {
    build(root, METER)?;
    let mut bench = Command::new(target(root)?.join("release/burstlet-bench-meter"));
    bench.args(args);
    measure(bench)
}

fn measure(mut command: Command) -> Result<()> {
    let status = command.status().context("run the benchmarks")?;
    ensure!(status.success(), "the benchmarks failed ({status})");
    Ok(())
}

/// Builds everything, and puts the launcher where the agent looks for it.
fn programs(root: &Path) -> Result<Built> {
    let musl = match std::env::consts::ARCH {
        "x86_64" => "x86_64-unknown-linux-musl",
        "aarch64" => "aarch64-unknown-linux-musl",
        other => bail!("no static target is known for {other}"),
    };
    build(root, PROGRAMS)?;
    for program in [LAUNCHER, PAYLOAD] {
        let how = ["--profile=launcher", "--target", musl];
        build(root, &[&how, program].concat())?;
    }
    let target = target(root)?;
    let built = Built {
        programs: target.join("release"),
        small: target.join(musl).join("launcher"),
    };
    let launcher = "burstlet-launcher";
    std::fs::copy(built.small.join(launcher), built.programs.join(launcher))
        .context("put the launcher beside the agent")?;
    Ok(built)
}

/// Where cargo puts what it builds.
fn target(root: &Path) -> Result<PathBuf> {
    let metadata = cargo_metadata(root)?;
    let target = metadata["target_directory"].as_str();
    Ok(PathBuf::from(
        target.context("cargo does not say where it builds")?,
    ))
}

fn build(root: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .arg("build")
        .args(args)
        .current_dir(root)
        .status()
        .context("run cargo build")?;
    ensure!(status.success(), "cargo build {} failed", args.join(" "));
    Ok(())
}
