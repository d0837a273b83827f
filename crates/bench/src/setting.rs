//! Everything that takes part, ready to be measured.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::burstlet::Burstlet;
use crate::command::installed;
use crate::engine::{Engine, IMAGE, Starter};
use crate::floor::Floor;
use crate::image::{self, Layer};
use crate::peers::{Containerd, Network, Oci, Podman};
use crate::scratch::Scratch;
use crate::start::Args;

/// The filter that all use who let us choose.
const SECCOMP_PROFILE: &str = "runtime-config/seccomp/default.json";

/// Who takes part.
pub(crate) struct Setting<'a> {
    pub(crate) floor: Floor<'a>,
    pub(crate) burstlet: Burstlet<'a>,
    pub(crate) runtimes: Vec<Oci<'a>>,
    pub(crate) podman: Vec<Podman<'a>>,
    pub(crate) containerd: Option<Containerd<'a>>,
    /// Peers that are not here.
    pub(crate) absent: Vec<String>,
    pub(crate) scratch: &'a Scratch,
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
}

impl<'a> Setting<'a> {
    /// Makes the image and starts whoever is installed.
    pub(crate) fn prepare(args: &Args, scratch: &'a Scratch, runtime: &'a Runtime) -> Result<Self> {
        let rootfs = scratch.dir("rootfs")?;
        std::fs::copy(&args.payload, rootfs.join("payload")).context("copy the payload")?;
        let layer = Layer {
            below: rootfs,
            paths: vec![PathBuf::from("payload")],
        };
        let archive = image::archive(&scratch.dir("image")?, IMAGE, &[layer])?;
        let profile = std::fs::read(args.root.join(SECCOMP_PROFILE)).context("read the filter")?;
        let profile: Value = serde_json::from_slice(&profile).context("parse the filter")?;

        let mut setting = Self {
            floor: Floor {
                payload: args.payload.clone(),
                scratch,
            },
            burstlet: Burstlet::start(&args.programs, scratch, runtime)?,
            runtimes: Vec::new(),
            podman: Vec::new(),
            containerd: None,
            absent: Vec::new(),
            scratch,
            rounds: args.rounds,
            quick: args.quick,
        };
        setting.burstlet.import(&archive)?;
        for program in ["crun", "runc"] {
            if setting.has(program) {
                let oci = Oci::new(program, &args.payload, &profile, scratch)?;
                setting.runtimes.push(oci);
            }
        }
        if setting.has("podman") {
            let bridged = Podman::new(Network::Bridge, scratch);
            bridged.prepare(&archive).context("prepare podman")?;
            setting.podman = vec![bridged, Podman::new(Network::None, scratch)];
        }
        if setting.has("containerd") {
            let containerd = Containerd::start(scratch)?;
            containerd.prepare(&archive).context("prepare containerd")?;
            setting.containerd = Some(containerd);
        }
        Ok(setting)
    }

    fn has(&mut self, program: &str) -> bool {
        let has = installed(program);
        if !has {
            let note = format!("{program} is not installed: `apt-get install {program}`");
            self.absent.push(note);
        }
        has
    }

    /// Everyone, the floor first and Burstlet second.
    pub(crate) fn starters(&self) -> Vec<&dyn Starter> {
        let mut all: Vec<&dyn Starter> = vec![&self.floor];
        all.extend(
            self.engines()
                .into_iter()
                .map(|engine| engine as &dyn Starter),
        );
        all
    }

    /// Everyone but the floor, Burstlet first.
    pub(crate) fn engines(&self) -> Vec<&dyn Engine> {
        let mut all: Vec<&dyn Engine> = vec![&self.burstlet];
        all.extend(self.runtimes.iter().map(|runtime| runtime as &dyn Engine));
        all.extend(self.podman.iter().map(|podman| podman as &dyn Engine));
        all.extend(self.containerd.iter().map(|ctr| ctr as &dyn Engine));
        all
    }

    /// Ends whoever was started, and tells the first that did not go well.
    pub(crate) fn end(self) -> Result<()> {
        let mut ends = vec![self.burstlet.end()];
        ends.extend(self.podman.first().map(Podman::end));
        ends.extend(self.containerd.map(Containerd::end));
        ends.into_iter().collect()
    }
}
