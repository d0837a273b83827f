//! A mount of the host that a group uses does not answer.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use burstlet_tests::crashing::wait_for;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::super::{agent_with, create_json, shell_group, with_container, with_spec};
use super::{assert_works, survivor};

/// A mount whose server never answers.
struct HungMount {
    at: PathBuf,
    server: Option<fs::File>,
}

impl HungMount {
    fn new(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let mut options = fs::OpenOptions::new();
        let server = options.read(true).write(true).open("/dev/fuse").unwrap();
        let fd = server.as_raw_fd();
        let options = format!("fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other");
        let (name, flags) = (Some("hung"), MsFlags::MS_NODEV | MsFlags::MS_NOSUID);
        mount(name, &at, Some("fuse"), flags, Some(options.as_str())).unwrap();
        Self {
            at,
            server: Some(server),
        }
    }

    /// The server dies: whoever waited for it is told.
    fn break_off(&mut self) {
        self.server = None;
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        self.break_off();
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_hung_mount_holds_up_nobody_but_its_group() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("hung");
    let agent = agent_with(&format!("[policy]\nhost_paths = [{path:?}]\n"));
    let survivor = survivor(&agent);
    let mut hung = HungMount::new(path.clone());
    let stuck = shell_group("stuck", "sleep 1000");
    let mounts = json!([{"name": "far", "mountPath": "/far"}]);
    let stuck = with_container(stuck, "volumeMounts", mounts);
    let volume = json!([{"name": "far", "hostPath": {"path": path}}]);
    create_json(&agent, &with_spec(stuck, "volumes", volume));
    for number in 0..4 {
        assert_works(&agent, &format!("welcome-{number}"));
    }
    let stuck = agent.group("stuck");
    assert_ne!(stuck["status"]["phase"], "Running", "{stuck:#}");
    survivor.check(&agent);
    hung.break_off();
    let client = agent.client();
    wait_for("it is removed", || {
        (client.once(&["rm", "-f", "stuck"], b"").code == Some(0)).then_some(())
    });
    drop(hung);
    survivor.check(&agent);
    survivor.check_log(&agent);
    agent.ok(&["rm", "-f", "survivor"]);
    agent.finish();
}
