//! A host of these scenarios' own, and another machine beside it: network namespaces, so that nothing of
//! what kube-proxy does is on this machine, and nothing is left when the thread ends.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::surroundings::ip;

/// The host's address.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The other machine's.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);

/// The other machine; it goes when this is dropped.
pub(super) struct World {
    other: OwnedFd,
}

impl World {
    /// Makes the calling thread's network the host's. What it starts is there, too.
    pub(super) fn enter() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let other = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())
        });
        let world = Self {
            other: other.join().unwrap(),
        };
        let theirs = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            world.other.as_raw_fd()
        );
        command("link set lo up");
        command(&format!(
            "link add up0 type veth peer name up1 netns {theirs}"
        ));
        command(&format!("address add {HOST}/24 dev up0"));
        command("link set up0 up");
        // A Service is led to a pod on its way, so there must be one.
        command(&format!("route add default via {OUTSIDE}"));
        world.outside(|| {
            command("link set lo up");
            command(&format!("address add {OUTSIDE}/24 dev up1"));
            command("link set up1 up");
        });
        world
    }

    /// Does something on the other machine.
    pub(super) fn outside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(self.other.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }
}

fn command(words: &str) {
    ip(&words.split(' ').collect::<Vec<_>>());
}
