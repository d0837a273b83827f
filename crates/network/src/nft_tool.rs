//! Running `nft`, for what is done seldom: loading and removing the whole ruleset.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::NetworkError;

/// How long `nft` may take for one transaction.
const NFT_TIMEOUT: Duration = Duration::from_secs(20);

/// How much of its complaint is kept.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// The program; Debian and Ubuntu keep it outside the PATH of services at times.
pub(crate) const PROGRAM: &str = "nft";

/// Runs `transaction` in the calling thread's network namespace; all of it is done, or nothing.
/// `loader` is told the number of the process that does it.
pub(crate) fn run(transaction: &str, loader: &AtomicU32) -> Result<(), NetworkError> {
    let cannot = |error: std::io::Error| failed(format!("{PROGRAM}: {error}"));
    let mut input = File::from(
        memfd_create("nft", MFdFlags::MFD_CLOEXEC).map_err(|error| cannot(error.into()))?,
    );
    input
        .write_all(transaction.as_bytes())
        .and_then(|()| input.rewind())
        .map_err(cannot)?;
    let mut child = Command::new(PROGRAM)
        .args(["-f", "-"])
        .env_clear()
        .env("PATH", crate::SYSTEM_PATH)
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    loader.store(child.id(), Ordering::Relaxed);
    let complaint = await_end(&mut child);
    let status = child.wait().map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    Err(failed(complaint.unwrap_or_else(|| {
        format!("no end after {} s", NFT_TIMEOUT.as_secs())
    })))
}

fn failed(problem: String) -> NetworkError {
    NetworkError::Nft { problem }
}

/// Reads standard error until the child closes it by ending; kills a child that does not.
fn await_end(child: &mut Child) -> Option<String> {
    let mut stderr = child.stderr.take()?;
    let deadline = Instant::now() + NFT_TIMEOUT;
    let mut complaint = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) => {
                // It may have ended just now; then there is nothing to kill.
                let _ = child.kill();
                return None;
            }
            Err(nix::Error::EINTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        match stderr.read(&mut chunk) {
            Ok(0) | Err(_) => return Some(String::from_utf8_lossy(&complaint).trim().to_owned()),
            Ok(read) => {
                let room = COMPLAINT_BYTES_MAX.saturating_sub(complaint.len() as u64) as usize;
                complaint.extend(chunk.iter().take(read.min(room)));
            }
        }
    }
}
