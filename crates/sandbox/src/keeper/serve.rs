//! The keeper's loop: what wakes it, and who takes it from there.

use std::io;

use burstlet_model::BootTime;
use nix::sys::epoll::EpollFlags;

use super::control::Control;
use super::passed::Passed;
use super::reactor::Token;
use super::state::Keeper;
use crate::protocol::{Event, decode_call};
use crate::sys::clock;
use crate::sys::passing::Packet;

impl Keeper {
    /// Serves until the group has ended. Gives the exit code.
    pub(super) fn serve(mut self) -> i32 {
        loop {
            match self.turn() {
                Ok(false) => {}
                Ok(true) => return 0,
                Err(error) => {
                    // Containers die with their keeper; better than to be left without one.
                    eprintln!("keep group {}: wait for events: {error}", self.plan.uid);
                    return 1;
                }
            }
        }
    }

    /// One turn of the loop. Gives whether the group has ended.
    fn turn(&mut self) -> io::Result<bool> {
        let now = clock::now().boot;
        let timeout = self.next_deadline().map(|deadline| deadline.since(now));
        for (key, events) in self.reactor.wait(timeout)? {
            if let Some(token) = self.reactor.token(key) {
                self.on_event(token, events);
            }
        }
        let now = clock::now().boot;
        if self.listener.is_due(now) {
            self.on_connection();
        }
        self.give_up_dials(now);
        self.give_up_launches(now);
        self.give_up_ends(now);
        Ok(self.shutdown_complete(now))
    }

    fn next_deadline(&self) -> Option<BootTime> {
        let containers = self.containers.values().flat_map(|container| {
            container
                .drain_deadline
                .into_iter()
                .chain(container.linger_deadline)
        });
        containers
            .chain(self.launches.values().filter_map(|launch| launch.deadline))
            .chain(self.dials.values().map(|dial| dial.deadline))
            .chain(self.listener.again())
            .chain(self.shutdown.as_ref().map(|shutdown| shutdown.deadline))
            .min()
    }

    fn on_event(&mut self, token: Token, events: EpollFlags) {
        match token {
            Token::Signals => self.on_children(),
            Token::Listener => self.on_connection(),
            Token::Control => self.on_control(events),
            Token::Launch(serial) => self.on_launch(serial),
            Token::Output(serial, index) => self.on_output(serial, index),
            Token::Dial(serial) => self.on_dial(serial),
            Token::Input(serial) => self.on_streams(serial, |streams, reactor| {
                streams.on_input(reactor, events);
                Vec::new()
            }),
            Token::Source(serial) => self.on_streams(serial, |streams, reactor| {
                streams.on_source(reactor);
                Vec::new()
            }),
            Token::Sink(serial, number) => self.on_streams(serial, |streams, reactor| {
                streams.on_sink(reactor, number, events)
            }),
        }
    }

    /// Lets a container's streams do something, and tells which attachments ended by it.
    pub(super) fn on_streams(
        &mut self,
        serial: u32,
        act: impl FnOnce(
            &mut super::stdio::Streams,
            &mut super::reactor::Reactor,
        ) -> Vec<super::stdio::Detached>,
    ) {
        let found = self
            .containers
            .values_mut()
            .find(|container| container.serial == serial);
        let Some(container) = found else { return };
        for (attachment, end) in act(&mut container.streams, &mut self.reactor) {
            self.tell(&Event::Detached { attachment, end });
        }
    }

    fn on_connection(&mut self) {
        loop {
            match self.listener.next(clock::now().boot) {
                Ok(Some(connection)) => {
                    self.drop_control();
                    self.control = Control::new(&mut self.reactor, connection).ok();
                }
                Ok(None) => return,
                Err(error) => {
                    eprintln!("keep group {}: take a connection: {error}", self.plan.uid);
                    return;
                }
            }
        }
    }

    fn on_control(&mut self, events: EpollFlags) {
        let Some(control) = &mut self.control else {
            return;
        };
        if events.contains(EpollFlags::EPOLLOUT) && control.flush(&self.reactor).is_err() {
            return self.drop_control();
        }
        if !events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        match control.receive() {
            Ok(Some(packet)) => self.on_packet(packet),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => self.drop_control(),
        }
    }

    fn on_packet(&mut self, packet: Packet) {
        let Ok(call) = decode_call(&packet.bytes) else {
            return self.drop_control();
        };
        let passed = Passed::new(packet.fds);
        let (id, outcome) = match call {
            Ok(call) => (call.id, self.handle(call.id, call.request, passed)),
            Err(answer) => (
                answer.id,
                answer.result.map(|reply| Some((reply, Vec::new()))),
            ),
        };
        match outcome {
            Ok(Some(reply)) => self.answer(id, Ok(reply)),
            Ok(None) => {}
            Err(failure) => self.answer(id, Err(failure)),
        }
    }
}
