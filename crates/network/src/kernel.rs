//! The one thread that changes the host's network.
//!
//! Links and rules are changed under a lock that the whole kernel shares, so one thread loses
//! nothing, and its sockets need no sharing. It enters groups' network namespaces, which a thread
//! that runs anything else must never do.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use tokio::sync::{mpsc, oneshot};

use crate::NetworkError;
use crate::netlink::Netlink;

/// A handle to the thread; it ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct KernelThread {
    jobs: mpsc::Sender<Job>,
}

/// What the thread has at hand.
pub(crate) struct Kernel {
    pub(crate) route: Netlink,
    pub(crate) nft: Netlink,
    home: File,
    lost: bool,
}

type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// Requests that wait for the thread before callers wait for room.
const JOBS_WAITING_MAX: usize = 1024;

impl KernelThread {
    /// Starts the thread in the caller's network namespace.
    pub(crate) fn start() -> Result<Self, NetworkError> {
        let mut kernel = Kernel::open()?;
        let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS_WAITING_MAX);
        let serve = move || {
            while let Some(job) = waiting.blocking_recv() {
                job(&mut kernel);
                if kernel.lost {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(serve)
            .map_err(NetworkError::file("start thread", "network"))?;
        Ok(Self { jobs })
    }

    /// Runs `job` on the thread. If the caller goes away, the job is still done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Kernel) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, NetworkError> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |kernel| {
            // The caller may have gone; then nobody needs the result.
            let _ = done.send(job(kernel));
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| NetworkError::ThreadEnded)?;
        result.await.map_err(|_| NetworkError::ThreadEnded)?
    }
}

impl Kernel {
    fn open() -> Result<Self, NetworkError> {
        let socket = |family, what: &str| {
            Netlink::open(family).map_err(|source| NetworkError::Netlink {
                doing: format!("open a netlink socket for {what}"),
                source,
            })
        };
        let own = Path::new("/proc/thread-self/ns/net");
        Ok(Self {
            route: socket(libc::NETLINK_ROUTE, "links")?,
            nft: socket(libc::NETLINK_NETFILTER, "firewall rules")?,
            home: File::open(own).map_err(NetworkError::file("open", own))?,
            lost: false,
        })
    }

    /// Runs `work` inside `netns`. If the way back is barred, the thread ends: it must not go on
    /// in somebody else's namespace.
    pub(crate) fn inside<T>(
        &mut self,
        netns: BorrowedFd<'_>,
        of: &str,
        work: impl FnOnce() -> Result<T, NetworkError>,
    ) -> Result<T, NetworkError> {
        let failed = |error: nix::Error| NetworkError::Netns {
            of: of.to_owned(),
            source: io::Error::from(error),
        };
        setns(netns, CloneFlags::CLONE_NEWNET).map_err(failed)?;
        let result = work();
        if let Err(error) = setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET) {
            self.lost = true;
            return Err(failed(error));
        }
        result
    }
}
