//! What goes wrong: by script, and by chance.
//!
//! May touch the kernel. Invariants: a fault is one that a real kernel, or a real network, can commit, so that a program
//! which does not survive it has a defect; readiness that a fault hides is announced again; all chance is the seed's.

use std::collections::{BTreeMap, VecDeque};

use super::kernel::{Answer, HUNG_UP, Kernel, MOST_EVENTS, READ_HUNG_UP, READABLE};
use super::network::{Destination, Happening, Segment};
use super::socket::{SocketId, State};
use crate::sys::poller::{Event, Readiness};
use crate::sys::stream::Transport;

/// A system call that can be made to fail, for [`Simulation::fail`](crate::simulation::Simulation::fail).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// A new socket (`socket`).
    Socket,
    /// Giving a socket its address (`bind`).
    Bind,
    /// Beginning to listen (`listen`).
    Listen,
    /// Taking a connection (`accept4`).
    Accept,
    /// Beginning to connect (`connect`).
    Connect,
    /// Reading (`recv`).
    Read,
    /// Writing (`send`, `sendmsg`).
    Write,
    /// Ending the own side (`shutdown`).
    Shutdown,
    /// Registering a descriptor with the selector (`epoll_ctl`).
    Register,
    /// Waiting for events (`epoll_wait`).
    Wait,
}

/// How often each fault happens by chance, in a million of its occasions, for
/// [`Simulation::set_faults`](crate::simulation::Simulation::set_faults). The default is none.
///
/// None of them is meant to happen always: rates above 500,000 count as that, so that a program makes progress.
///
/// ```
/// use halfclose::simulation::Faults;
///
/// // Every tenth read brings a part of what is there only.
/// let faults = Faults { short_reads: 100_000, ..Faults::default() };
/// assert_eq!(faults.resets, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Of reads: only a part is given out, in half of the cases one byte. The rest comes with an event of its own.
    pub short_reads: u32,
    /// Of writes: only a part is taken, in half of the cases one byte.
    pub short_writes: u32,
    /// Of reads, writes and accepts that could be served: `EAGAIN`, and an event later.
    pub would_block: u32,
    /// Of reads, writes, accepts and waits: `EINTR`.
    pub interrupted: u32,
    /// Of waits: an event that nothing led to.
    pub spurious_events: u32,
    /// Of waits with events: one comes twice.
    pub duplicated_events: u32,
    /// Of events: it comes up to 10 ms late, and with whatever followed it: bytes with the end, bytes with a reset.
    pub delayed_events: u32,
    /// Of events: it changes places with one before it.
    pub reordered_events: u32,
    /// Of reads and writes over TCP: the connection is reset, for both ends.
    pub resets: u32,
    /// Of connects: refused, although somebody listens.
    pub refused: u32,
    /// Of connects: the first segment is lost, and sent again a second later.
    pub delayed_connects: u32,
    /// Of connections: reset before they are accepted.
    pub aborted: u32,
    /// Of reads and writes over TCP: from now on nothing passes between the two ends. Whoever has sent something gets
    /// `ETIMEDOUT` after a quarter of an hour, whoever probes in its time, anybody else never.
    pub black_holed: u32,
    /// Of new and accepted sockets: `EMFILE` or `ENFILE`.
    pub no_descriptors: u32,
    /// Of all calls but `shutdown` and waits: `ENOMEM` or `ENOBUFS`.
    pub no_memory: u32,
    /// Of connects that succeed: the event that tells of it says hung up as well (`EPOLLHUP`, `EPOLLRDHUP`), which is not
    /// so. Reads, writes and `SO_ERROR` know nothing of it.
    pub false_hang_ups: u32,
}

/// How late a delayed event is at most: long enough that others come before it.
const LONGEST_DELAY: u64 = 10_000_000;

#[derive(Debug, Default)]
pub(super) struct Misfortune {
    pub(super) rates: Faults,
    /// Errors that the next calls give.
    script: BTreeMap<Call, VecDeque<i32>>,
    /// How many of the next connects that succeed are told of as hung up.
    pub(super) scripted_hang_ups: usize,
    /// The latest call was interrupted: the next one is not.
    was_interrupted: bool,
    pub(super) interruptions: u64,
    /// How many faults happened by chance.
    pub(super) count: u64,
}

impl Misfortune {
    pub(super) fn fail(&mut self, call: Call, errno: i32, times: usize) {
        self.script.entry(call).or_default().extend(std::iter::repeat_n(errno, times));
    }

    #[cfg(test)]
    pub(super) fn end_script(&mut self) {
        self.script.clear();
    }
}

impl Kernel {
    fn chance(&mut self, rate: u32) -> bool {
        let happens = self.random.happens(rate.min(500_000));
        self.faults.count += u64::from(happens);
        happens
    }

    /// A call begins: it may fail before it did anything.
    pub(super) fn enter(&mut self, call: Call) -> Answer<()> {
        if let Some(errno) = self.faults.script.get_mut(&call).and_then(VecDeque::pop_front) {
            return Err(errno);
        }
        let rates = self.faults.rates;
        let may_be_interrupted = match call {
            Call::Accept | Call::Read | Call::Write => true,
            Call::Socket | Call::Bind | Call::Listen | Call::Connect | Call::Shutdown | Call::Register | Call::Wait => {
                false
            }
        };
        if may_be_interrupted && !std::mem::take(&mut self.faults.was_interrupted) && self.chance(rates.interrupted) {
            self.faults.was_interrupted = true;
            self.faults.interruptions += 1;
            return Err(libc::EINTR);
        }
        if matches!(call, Call::Socket | Call::Accept) && self.chance(rates.no_descriptors) {
            return Err(if self.random.below(2) == 0 { libc::EMFILE } else { libc::ENFILE });
        }
        let needs_memory = !matches!(call, Call::Shutdown | Call::Wait);
        if needs_memory && self.chance(rates.no_memory) {
            return Err(if self.random.below(2) == 0 { libc::ENOMEM } else { libc::ENOBUFS });
        }
        Ok(())
    }

    /// A signal ends a wait.
    pub(super) fn interrupts_wait(&mut self) -> bool {
        let interrupted = self.chance(self.faults.rates.interrupted);
        self.faults.interruptions += u64::from(interrupted);
        interrupted
    }

    /// The call would block although it need not; that it need not is told again.
    pub(super) fn holds_back(&mut self, id: SocketId) -> bool {
        let holds_back = self.chance(self.faults.rates.would_block);
        if holds_back {
            self.wake_later(id);
        }
        holds_back
    }

    /// As if only a part had arrived yet: the rest makes an event of its own.
    pub(super) fn shorten_read(&mut self, id: SocketId, room: usize) -> usize {
        let there = self.sockets.get(&id).map_or(0, |socket| socket.input.bytes.len()).min(room);
        if there < 2 || !self.chance(self.faults.rates.short_reads) {
            return room;
        }
        self.wake_later(id);
        // One time in two a single byte.
        if self.random.below(2) == 0 { 1 } else { 1 + self.random.below(there as u64 - 1) as usize }
    }

    /// As if there had been room for a part only: more room makes an event.
    pub(super) fn shorten_write(&mut self, id: SocketId, length: usize) -> usize {
        if length < 2 || !self.chance(self.faults.rates.short_writes) {
            return length;
        }
        self.wake_later(id);
        if self.random.below(2) == 0 { 1 } else { 1 + self.random.below(length as u64 - 1) as usize }
    }

    fn wake_later(&mut self, id: SocketId) {
        let at = self.now + 1 + self.random.below(LONGEST_DELAY);
        self.network.note(at, Happening::Wake { socket: id });
    }

    pub(super) fn delays_event(&mut self, id: SocketId) -> bool {
        let delays = self.chance(self.faults.rates.delayed_events);
        if delays {
            self.wake_later(id);
        }
        delays
    }

    /// Events change places.
    pub(super) fn disturb_events(&mut self) {
        let count = self.ready_count() as u64;
        if count > 1 && self.chance(self.faults.rates.reordered_events) {
            let other = self.random.below(count - 1) as usize;
            self.swap_ready(count as usize - 1, other);
        }
    }

    /// Events come twice, and events come that nothing led to: only such as promise too much, never a connection that is
    /// none.
    pub(super) fn repeat_events(&mut self, events: &mut Vec<Event>) {
        let rates = self.faults.rates;
        if let Some(&event) = events.first() {
            if events.len() < MOST_EVENTS && self.chance(rates.duplicated_events) {
                events.push(event);
            }
        }
        if self.chance(rates.spurious_events) {
            let Some(id) = self.any_registered() else { return };
            let Some(socket) = self.sockets.get(&id) else { return };
            let established = !matches!(socket.state, State::SynSent | State::Closed);
            let token = socket.descriptor.and_then(|number| self.token_of(number));
            if let Some(token) = token.filter(|_| established && events.len() < MOST_EVENTS) {
                events.push(Event { token, readiness: Readiness::from_bits(READABLE) });
            }
        }
    }

    /// A middlebox, or an impatient peer, ends the connection: both ends are told.
    pub(super) fn resets_by_chance(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get(&id).filter(|socket| socket.transport == Transport::Tcp) else { return };
        let Some(peer) = socket.peer else { return };
        if self.chance(self.faults.rates.resets) {
            self.arrived_reset(id);
            self.arrived_reset(peer);
        } else if self.chance(self.faults.rates.black_holed) {
            for end in [id, peer] {
                if let Some(socket) = self.sockets.get_mut(&end) {
                    socket.cut_off = true;
                }
            }
            self.watch_keep_alive(id);
            self.watch_keep_alive(peer);
        }
    }

    pub(super) fn refuses(&mut self) -> bool {
        self.chance(self.faults.rates.refused)
    }

    pub(super) fn loses_connect(&mut self) -> bool {
        self.chance(self.faults.rates.delayed_connects)
    }

    /// A connect succeeded: it may be told of as hung up.
    pub(super) fn taint_connect(&mut self, id: SocketId) {
        let scripted = self.faults.scripted_hang_ups > 0;
        self.faults.scripted_hang_ups -= usize::from(scripted);
        if scripted || self.chance(self.faults.rates.false_hang_ups) {
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.falsely_hung_up = true;
            }
        }
    }

    /// What an event says that is not so, once. With a true `EPOLLRDHUP` there is always something to read.
    pub(super) fn false_mask(&mut self, number: i32) -> u8 {
        let Ok(socket) = self.socket_of_mut(number) else { return 0 };
        if std::mem::take(&mut socket.falsely_hung_up) { HUNG_UP | READ_HUNG_UP | READABLE } else { 0 }
    }

    /// The client gives up before it was accepted.
    pub(super) fn abort_before_accept(&mut self, id: SocketId) {
        if !self.chance(self.faults.rates.aborted) {
            return;
        }
        let peer = self.sockets.get(&id).and_then(|socket| socket.peer);
        self.arrived_reset(id);
        if let Some(peer) = peer {
            let path = self.sockets.get(&id).and_then(|socket| Some((socket.local?.ip(), socket.remote?.ip())));
            if let Some(path) = path {
                self.send_along(id, path, Destination::Socket(peer), 0, Segment::Reset);
            }
        }
    }
}
