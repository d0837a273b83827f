//! A container's streams: what it writes goes to the log and to whoever is attached, what the
//! attached client sends goes in.
//!
//! The keeper never waits for anybody here. A client that reads too slowly is cut off and told so,
//! since the container must not stand still for it; the log is written before anything else is
//! read. A container that does not read its input is not sent more than one buffer of it.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::unistd;

use super::journal::Journal;
use super::reactor::{Key, Reactor, Token};
use crate::logs::Stream;
use crate::plan::Stdin;
use crate::protocol::AttachmentEnd;
use crate::sys::clock;
use crate::sys::passing::set_nonblocking;

/// How much is read at once where little comes.
const READ_BYTES: usize = 4 * 1024;
/// How much is read at once where much comes; given back when it ebbs.
const BURST_BYTES: usize = 256 * 1024;
/// How often one source is read before the others have their turn.
const READS_PER_TURN_MAX: usize = 16;
/// How much an attached client may be behind.
const BEHIND_BYTES_MAX: usize = 1024 * 1024;
/// How much input waits for a container.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// How much of a terminal's output is held for the first client.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// The most clients attached to one container.
pub(super) const ATTACHMENTS_MAX: usize = 32;

/// The streams of one start of a container.
pub(super) struct Streams {
    serial: u32,
    outputs: Vec<Output>,
    input: Option<Input>,
    source: Option<Source>,
    sinks: Vec<Sink>,
    next_sink: u32,
    journal: Option<Journal>,
    /// What a terminal has shown before anybody looked: the log has whole lines only, and a prompt
    /// is none.
    held: Option<Vec<u8>>,
    finished: bool,
}

struct Output {
    stream: Stream,
    fd: OwnedFd,
    key: Key,
}

struct Input {
    fd: OwnedFd,
    key: Key,
    waiting: Vec<u8>,
    /// Whether it is closed when the client's input has ended.
    once: bool,
    ended: bool,
}

struct Source {
    fd: OwnedFd,
    key: Key,
}

struct Sink {
    number: u32,
    attachment: u32,
    stream: Stream,
    fd: OwnedFd,
    key: Key,
    behind: Vec<u8>,
}

/// An attachment's descriptors.
pub(super) struct Attachment {
    /// Its number.
    pub(super) number: u32,
    /// Read and given to the container.
    pub(super) stdin: Option<OwnedFd>,
    /// Gets the output.
    pub(super) stdout: Option<OwnedFd>,
    /// Gets the errors.
    pub(super) stderr: Option<OwnedFd>,
}

/// An attachment that this side has ended.
pub(super) type Detached = (u32, AttachmentEnd);

impl Streams {
    /// Streams of the container with this number in the reactor.
    pub(super) fn new(serial: u32, journal: Option<Journal>) -> Self {
        Self {
            serial,
            outputs: Vec::new(),
            input: None,
            source: None,
            sinks: Vec::new(),
            next_sink: 0,
            journal,
            held: None,
            finished: false,
        }
    }

    /// Holds the latest output until a client attaches.
    pub(super) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Begins to read what the container writes.
    pub(super) fn add_output(
        &mut self,
        reactor: &mut Reactor,
        stream: Stream,
        fd: OwnedFd,
    ) -> io::Result<()> {
        set_nonblocking(&fd)?;
        let index = u8::try_from(self.outputs.len()).map_err(io::Error::other)?;
        let key = reactor.add(&fd, Token::Output(self.serial, index), EpollFlags::EPOLLIN)?;
        self.outputs.push(Output { stream, fd, key });
        Ok(())
    }

    /// Keeps the container's input, to be fed by whoever attaches.
    pub(super) fn set_input(
        &mut self,
        reactor: &mut Reactor,
        fd: OwnedFd,
        mode: Stdin,
    ) -> io::Result<()> {
        set_nonblocking(&fd)?;
        let key = reactor.add(&fd, Token::Input(self.serial), EpollFlags::empty())?;
        let once = mode == Stdin::Once;
        self.input = Some(Input {
            fd,
            key,
            waiting: Vec::new(),
            once,
            ended: false,
        });
        Ok(())
    }

    /// The terminal's master, if the container has one.
    pub(super) fn terminal(&self) -> Option<&OwnedFd> {
        self.outputs.first().map(|output| &output.fd)
    }

    /// Whether nothing more can come from the container.
    pub(super) fn drained(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Attaches a client.
    pub(super) fn attach(
        &mut self,
        reactor: &mut Reactor,
        attachment: Attachment,
    ) -> io::Result<()> {
        if let Some(fd) = attachment.stdin {
            set_nonblocking(&fd)?;
            self.end_source(reactor, false);
            let key = reactor.add(&fd, Token::Source(self.serial), EpollFlags::EPOLLIN)?;
            self.source = Some(Source { fd, key });
        }
        let outputs = [
            (Stream::Stdout, attachment.stdout),
            (Stream::Stderr, attachment.stderr),
        ];
        for (stream, fd) in outputs {
            let Some(fd) = fd else { continue };
            set_nonblocking(&fd)?;
            let number = self.next_sink;
            self.next_sink += 1;
            let key = reactor.add(&fd, Token::Sink(self.serial, number), EpollFlags::empty())?;
            let attachment = attachment.number;
            let sink = Sink {
                number,
                attachment,
                stream,
                fd,
                key,
                behind: self.held.take().unwrap_or_default(),
            };
            sink.rearm(reactor);
            self.sinks.push(sink);
        }
        Ok(())
    }

    /// How many sinks there are.
    pub(super) fn attached(&self) -> usize {
        self.sinks.len()
    }

    /// Reads what one output has, writes the log and passes it on. Gives the attachments that
    /// could not keep up.
    pub(super) fn on_output(&mut self, reactor: &mut Reactor, stream_index: u8) -> Vec<Detached> {
        let token = Token::Output(self.serial, stream_index);
        let Some(index) = self
            .outputs
            .iter()
            .position(|o| reactor.token(o.key) == Some(token))
        else {
            return Vec::new();
        };
        let mut gone = Vec::new();
        let mut small = [0_u8; READ_BYTES];
        let mut burst = Vec::new();
        for _ in 0..READS_PER_TURN_MAX {
            let Some(output) = self.outputs.get(index) else {
                break;
            };
            let buffer = if burst.is_empty() {
                &mut small[..]
            } else {
                &mut burst[..]
            };
            let len = match unistd::read(&output.fd, buffer) {
                Ok(0) => 0,
                Ok(len) => len,
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                // A terminal ends so when nobody has it open any more.
                Err(_) => 0,
            };
            if len == 0 {
                self.end_output(reactor, index);
                break;
            }
            let stream = output.stream;
            let bytes = buffer.get(..len).unwrap_or_default();
            if let Some(journal) = &mut self.journal {
                journal.push(stream, bytes, clock::wall_now());
            }
            if let Some(held) = &mut self.held {
                held.extend_from_slice(bytes);
                held.drain(..held.len().saturating_sub(HELD_BYTES_MAX));
            }
            gone.extend(pass_on(&mut self.sinks, reactor, stream, bytes));
            if len == READ_BYTES && burst.is_empty() {
                burst = vec![0; BURST_BYTES];
            }
        }
        if let Some(journal) = self.journal.as_mut().filter(|_| !burst.is_empty()) {
            journal.rest();
        }
        gone
    }

    fn end_output(&mut self, reactor: &mut Reactor, index: usize) {
        let output = self.outputs.remove(index);
        reactor.remove(&output.fd, output.key);
    }

    /// An attached client can be given more, or has gone.
    pub(super) fn on_sink(
        &mut self,
        reactor: &mut Reactor,
        number: u32,
        events: EpollFlags,
    ) -> Vec<Detached> {
        let Some(index) = self.sinks.iter().position(|sink| sink.number == number) else {
            return Vec::new();
        };
        let Some(sink) = self.sinks.get_mut(index) else {
            return Vec::new();
        };
        let closed = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        let given = !closed && sink.flush().is_ok();
        if given && !(self.finished && sink.behind.is_empty()) {
            sink.rearm(reactor);
            return Vec::new();
        }
        let sink = self.sinks.remove(index);
        reactor.remove(&sink.fd, sink.key);
        let end = if given {
            AttachmentEnd::Finished
        } else {
            AttachmentEnd::Closed
        };
        vec![(sink.attachment, end)]
    }

    /// The attached client sends input, or has ended it.
    pub(super) fn on_source(&mut self, reactor: &mut Reactor) {
        let (Some(source), Some(input)) = (&self.source, &mut self.input) else {
            return self.end_source(reactor, false);
        };
        let mut buffer = [0_u8; READ_BYTES];
        match unistd::read(&source.fd, &mut buffer) {
            Ok(0) => self.end_source(reactor, true),
            Ok(len) => {
                input
                    .waiting
                    .extend_from_slice(buffer.get(..len).unwrap_or_default());
                self.feed(reactor);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.end_source(reactor, true),
        }
    }

    /// The container can be given more input, or has closed it.
    pub(super) fn on_input(&mut self, reactor: &mut Reactor, events: EpollFlags) {
        if events.contains(EpollFlags::EPOLLERR) {
            self.end_input(reactor);
        } else {
            self.feed(reactor);
        }
    }

    fn feed(&mut self, reactor: &mut Reactor) {
        let Some(input) = &mut self.input else { return };
        match write_some(&input.fd, &mut input.waiting) {
            Ok(()) if input.waiting.is_empty() && input.ended => return self.end_input(reactor),
            Ok(()) => {}
            Err(_) => return self.end_input(reactor),
        }
        let more = if input.waiting.is_empty() {
            EpollFlags::empty()
        } else {
            EpollFlags::EPOLLOUT
        };
        reactor.change(&input.fd, input.key, more);
        if let Some(source) = &self.source {
            let full = input.waiting.len() >= INPUT_BYTES_MAX;
            let interest = if full {
                EpollFlags::empty()
            } else {
                EpollFlags::EPOLLIN
            };
            reactor.change(&source.fd, source.key, interest);
        }
    }

    /// Ends the client's input; at `eof` the container's too, if the client had the only one.
    fn end_source(&mut self, reactor: &mut Reactor, eof: bool) {
        if let Some(source) = self.source.take() {
            reactor.remove(&source.fd, source.key);
        }
        let Some(input) = self.input.as_mut().filter(|input| eof && input.once) else {
            return;
        };
        input.ended = true;
        self.feed(reactor);
    }

    fn end_input(&mut self, reactor: &mut Reactor) {
        if let Some(input) = self.input.take() {
            reactor.remove(&input.fd, input.key);
        }
        self.end_source(reactor, false);
    }

    /// The container has ended: the log is completed, and attached clients that have all of the
    /// output are let go. The others stay until they have it, or are cut off.
    pub(super) fn finish(&mut self, reactor: &mut Reactor) -> Vec<Detached> {
        while !self.outputs.is_empty() {
            self.end_output(reactor, 0);
        }
        self.end_input(reactor);
        if let Some(mut journal) = self.journal.take() {
            journal.finish(clock::wall_now());
        }
        self.finished = true;
        self.let_go(reactor, AttachmentEnd::Finished, |sink| {
            sink.flush().is_err() || sink.behind.is_empty()
        })
    }

    /// Lets all attached clients go that are still there.
    pub(super) fn cut_off(&mut self, reactor: &mut Reactor) -> Vec<Detached> {
        self.let_go(reactor, AttachmentEnd::TooSlow, |_| true)
    }

    fn let_go(
        &mut self,
        reactor: &mut Reactor,
        end: AttachmentEnd,
        mut which: impl FnMut(&mut Sink) -> bool,
    ) -> Vec<Detached> {
        let mut gone = Vec::new();
        self.sinks.retain_mut(|sink| {
            let leaves = which(sink);
            if leaves {
                reactor.remove(&sink.fd, sink.key);
                gone.push((sink.attachment, end));
            }
            !leaves
        });
        gone
    }
}

/// Gives `bytes` to all sinks of a stream.
fn pass_on(
    sinks: &mut Vec<Sink>,
    reactor: &mut Reactor,
    stream: Stream,
    bytes: &[u8],
) -> Vec<Detached> {
    let mut gone = Vec::new();
    sinks.retain_mut(|sink| {
        if sink.stream != stream {
            return true;
        }
        sink.behind.extend_from_slice(bytes);
        let end = match sink.flush() {
            Err(_) => AttachmentEnd::Closed,
            Ok(()) if sink.behind.len() > BEHIND_BYTES_MAX => AttachmentEnd::TooSlow,
            Ok(()) => {
                sink.rearm(reactor);
                return true;
            }
        };
        reactor.remove(&sink.fd, sink.key);
        gone.push((sink.attachment, end));
        false
    });
    gone
}

impl Sink {
    fn flush(&mut self) -> nix::Result<()> {
        write_some(&self.fd, &mut self.behind)
    }

    fn rearm(&self, reactor: &Reactor) {
        let interest = if self.behind.is_empty() {
            EpollFlags::empty()
        } else {
            EpollFlags::EPOLLOUT
        };
        reactor.change(&self.fd, self.key, interest);
    }
}

/// Writes as much as is taken without waiting, and keeps the rest.
fn write_some(fd: &OwnedFd, waiting: &mut Vec<u8>) -> nix::Result<()> {
    let mut done = 0;
    let result = loop {
        let rest = waiting.get(done..).unwrap_or_default();
        if rest.is_empty() {
            break Ok(());
        }
        match unistd::write(fd, rest) {
            Ok(len) => done += len,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => break Ok(()),
            Err(errno) => break Err(errno),
        }
    };
    waiting.drain(..done);
    if waiting.is_empty() {
        waiting.shrink_to(READ_BYTES);
    }
    result
}
