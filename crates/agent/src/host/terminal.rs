//! The master side of a terminal, as a stream.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use burstlet_supervisor::stream::TerminalSize;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a terminal takes as the end of input at the beginning of a line; within one it only hands
/// over what there is, so that there the second ends the input.
const END_OF_INPUT: u8 = 4;

/// The master side. Clones are the same terminal.
#[derive(Clone, Debug)]
pub(super) struct Terminal {
    fd: Arc<AsyncFd<OwnedFd>>,
    /// Whether what this one has written ends within a line.
    within_line: bool,
}

impl Terminal {
    #[allow(
        deprecated,
        reason = "its successor is unsafe; an `OwnedFd` keeps its descriptor for as long as it lives"
    )]
    pub(super) fn new(master: OwnedFd) -> io::Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            fd: Arc::new(AsyncFd::new(master)?),
            within_line: false,
        })
    }

    pub(super) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(self.fd.get_ref(), size)?)
    }

    fn poll_write_bytes(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(cx))?;
            let written = guard.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), bytes)?));
            if let Ok(written) = written {
                return Poll::Ready(written);
            }
        }
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            let unfilled = into.initialize_unfilled();
            match guard.try_io(|fd| Ok(nix::unistd::read(fd.get_ref().as_fd(), unfilled)?)) {
                Ok(Ok(count)) => {
                    into.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // Every process that had the other side is gone: the end.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.poll_write_bytes(cx, bytes))?;
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            self.within_line = !matches!(last, b'\n' | b'\r');
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A terminal has one descriptor for both directions: its input ends by a character.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.within_line {
            ready!(self.poll_write_bytes(cx, &[END_OF_INPUT]))?;
            self.within_line = false;
        }
        self.poll_write_bytes(cx, &[END_OF_INPUT]).map_ok(drop)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What a program that reads to the end sees of what is typed.
    async fn read_by_a_program(typed: &str) -> String {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut terminal = Terminal::new(pair.master).unwrap();
        terminal.write_all(typed.as_bytes()).await.unwrap();
        terminal.shutdown().await.unwrap();
        let mut program = File::from(pair.slave);
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            program.read_to_string(&mut text).map(|_| text)
        });
        let patience = std::time::Duration::from_secs(30);
        tokio::time::timeout(patience, read)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    #[tokio::test]
    async fn the_end_of_input_ends_it_within_a_line_too() {
        for typed in ["", "a line\n", "a line\nand a half"] {
            assert_eq!(read_by_a_program(typed).await, typed);
        }
    }
}
