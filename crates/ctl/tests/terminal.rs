//! `burstctl exec -it` on a terminal of the test's own: keys, size, and what is left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::{Duration, Instant};

use common::Bench;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A terminal with `burstctl` on it.
struct Terminal {
    keys: File,
    line: OwnedFd,
    child: Child,
    shown: std::sync::mpsc::Receiver<u8>,
    so_far: String,
}

impl Terminal {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let line = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 30,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();
        let end = || line.try_clone().unwrap();
        let mut command = bench.command(args).into_std();
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .process_group(0);
        let child = child.spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (send, shown) = std::sync::mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            let mut byte = [0];
            while screen.read_exact(&mut byte).is_ok() && send.send(byte[0]).is_ok() {}
        });
        Self {
            keys,
            line,
            child,
            shown,
            so_far: String::new(),
        }
    }

    /// Waits until the screen says this, after what it was seen to say before.
    fn expect(&mut self, text: &str) {
        self.so_far.clear();
        while !self.so_far.contains(text) {
            let byte = self.shown.recv_timeout(Duration::from_secs(20));
            let byte = byte.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.so_far));
            self.so_far.push(char::from(byte));
        }
    }

    fn type_keys(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// Keys come to the program one by one.
    fn is_raw(&self) -> bool {
        !tcgetattr(&self.line)
            .unwrap()
            .local_modes
            .contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(status.unwrap().success());
    }

    /// The exit code; the terminal must be as it was.
    fn end(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("burstctl does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(!self.is_raw(), "the terminal is left raw");
        status.code()
    }
}

fn session(bench: &Bench) -> Terminal {
    let mut terminal = Terminal::start(bench, &["exec", "-it", "web", "sh"]);
    // First a size that makes programs draw anew, then the true one.
    terminal.expect("size 101x31");
    terminal.expect("size 100x30");
    assert!(terminal.is_raw());
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_in_as_they_are() {
    let bench = Bench::new();
    let mut terminal = session(&bench);
    terminal.type_keys(b"\x03");
    terminal.expect("typed \\x03");
    terminal.type_keys(b"x");
    assert_eq!(terminal.end(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_detach_keys_leave_it() {
    let bench = Bench::new();
    let mut terminal = session(&bench);
    terminal.type_keys(b"\x10a");
    terminal.expect("typed \\x10a");
    terminal.type_keys(b"\x10\x11");
    assert_eq!(terminal.end(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_attaches_what_is_typed() {
    let bench = Bench::new();
    // What was said before is the keeper's to show: it holds it for whoever attaches.
    let mut terminal = Terminal::start(&bench, &["run", "-it", "--rm", "runs"]);
    // The terminal is raw when the container can be typed to.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !terminal.is_raw() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    terminal.type_keys(b"ls");
    let mut input = bench.agent.input.subscribe();
    input.wait_for(|(typed, _)| typed == b"ls").await.unwrap();
    terminal.type_keys(b"x");
    assert_eq!(terminal.end(), Some(3));
    assert_eq!(bench.agent.seen().deleted, [common::groups::UID]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_s_size_is_followed() {
    let bench = Bench::new();
    let mut terminal = session(&bench);
    let size = Winsize {
        ws_row: 50,
        ws_col: 132,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal.line, size).unwrap();
    // The test's terminal is nobody's controlling one, so the kernel tells nobody.
    terminal.signal("WINCH");
    terminal.expect("size 132x50");
    terminal.type_keys(b"x");
    assert_eq!(terminal.end(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_leaves_the_terminal_as_it_was() {
    let bench = Bench::new();
    let mut terminal = session(&bench);
    terminal.signal("TERM");
    terminal.expect("signal 15");
    terminal.signal("TERM");
    assert_eq!(terminal.end(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_leaves_the_terminal_as_it_was() {
    let bench = Bench::new();
    let terminal = session(&bench);
    bench.agent.stop();
    assert_eq!(terminal.end(), Some(125));
}
