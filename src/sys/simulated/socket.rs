//! What a simulated kernel knows of one socket.
//!
//! May touch `libc` for error numbers. Invariant: a socket is changed by the calls (`tcp`, `unix`) and by what arrives
//! (`segments`) only.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::network::{Destination, Segment};
use crate::sys::stream::{Family, Transport};

/// Every socket has a number of its own, for ever.
pub(super) type SocketId = u64;

/// The states of RFC 9293, section 3.3.2. `TIME-WAIT` is none of them: for the program such a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    CloseWait,
    FinWait1,
    FinWait2,
    Closing,
    LastAck,
}

/// How the bytes that wait in one direction are limited, unless the link says otherwise: Linux begins with 128 KiB for
/// input (`tcp_rmem`), and on loopback, whose segments are large, with this much for output (`SO_SNDBUF` of a connection).
pub(super) const RECEIVE_BUFFER: usize = 128 * 1024;
pub(super) const SEND_BUFFER: usize = 2_626_560;

/// The default of Linux for unix sockets (`net.core.wmem_default`).
pub(super) const UNIX_BUFFER: usize = 212_992;

#[derive(Debug)]
pub(super) struct Socket {
    /// Its descriptor; none while it waits to be accepted, and after the close.
    pub(super) descriptor: Option<i32>,
    pub(super) transport: Transport,
    pub(super) family: Family,
    pub(super) state: State,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) peer: Option<SocketId>,
    /// `SO_ERROR`.
    pub(super) error: Option<i32>,
    pub(super) receive_shut: bool,
    pub(super) send_shut: bool,
    /// The end of the peer has come (`SOCK_DONE`): a read behind it is the end and never an error.
    pub(super) ended: bool,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) options: Options,
    pub(super) listener: Option<Listener>,
    /// The listening socket that it waits at.
    pub(super) parent: Option<SocketId>,
    /// A connect has begun, and nobody asked again how it went (`SS_CONNECTING`).
    pub(super) connecting: bool,
    /// The end of the peer was not acknowledged yet.
    pub(super) owes_acknowledgement: bool,
    /// What came for a connection that cannot be put into the accept queue yet.
    pub(super) early: Vec<Segment>,
    /// What it sent and nobody received, and when it is sent again.
    pub(super) lost: VecDeque<(Destination, u64, Segment)>,
    /// What a peer that is gone by now sent it, and nobody received.
    pub(super) owed: Vec<(u64, Segment)>,
    /// How many segments it sent, and which is the next that it may take: what comes behind a gap waits.
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) behind_a_gap: BTreeMap<u64, (SocketId, Segment)>,
    pub(super) retransmission: Option<Retransmission>,
    /// When anything last came in.
    pub(super) heard_at: u64,
    /// Its machine forgot it: whatever comes is answered with a reset.
    pub(super) forgotten: bool,
    /// Nothing gets to it or away from it any more.
    pub(super) cut_off: bool,
    /// Its next event says that it was hung up, which it was not.
    pub(super) falsely_hung_up: bool,
    /// How long its connections may be silent before they may be accepted.
    pub(super) deferring: Option<Duration>,
    /// It waits for its first bytes before it may be accepted.
    pub(super) deferred: bool,
    /// The name of a unix socket.
    pub(super) name: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Input {
    pub(super) bytes: VecDeque<u8>,
    pub(super) capacity: usize,
    /// Read, and not yet told to the sender as room.
    pub(super) unreported: usize,
    /// How long each write was that a unix socket received and has not given out whole.
    pub(super) pieces: VecDeque<usize>,
}

#[derive(Debug)]
pub(super) struct Output {
    /// Taken, and not sent yet.
    pub(super) bytes: VecDeque<u8>,
    /// Sent, and not acknowledged yet.
    pub(super) in_flight: usize,
    /// How much the receiver has room for.
    pub(super) window: usize,
    pub(super) capacity: usize,
    /// A write found no room (`SOCK_NOSPACE`): room is to be announced.
    pub(super) wanted: bool,
    /// The end follows the last byte.
    pub(super) ending: bool,
    pub(super) end_sent: bool,
}

impl Output {
    pub(super) fn used(&self) -> usize {
        self.bytes.len() + self.in_flight
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.used())
    }

    /// As `sk_stream_is_writeable`: at least half as much room as is used.
    pub(super) fn is_writable(&self) -> bool {
        self.room() >= self.used() / 2 && self.room() > 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) reuse_port: bool,
    pub(super) ipv6_only: bool,
    pub(super) no_delay: bool,
    pub(super) keep_alive: Option<KeepAlive>,
    /// Instead of a number of attempts (`TCP_USER_TIMEOUT`).
    pub(super) user_timeout: Option<Duration>,
    pub(super) reset_on_close: bool,
    pub(super) type_of_service: u8,
}

/// When a silent peer is probed. The defaults are Linux's (tcp(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeepAlive {
    pub(super) delay: Duration,
    pub(super) interval: Duration,
    pub(super) count: u32,
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive { delay: Duration::from_secs(7200), interval: Duration::from_secs(75), count: 9 }
    }
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) backlog: usize,
    pub(super) queue: VecDeque<SocketId>,
    /// How long it waits for the first bytes before it tells of a connection.
    pub(super) deferring: Option<Duration>,
}

impl Listener {
    /// As `sk_acceptq_is_full`: one more than the backlog fits.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

/// A timer of a connection whose segments get no answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retransmission {
    pub(super) attempts: u32,
    /// When the first one began to wait.
    pub(super) since: u64,
    /// Which event of the queue is this one's.
    pub(super) serial: u64,
}

impl Socket {
    pub(super) fn new(transport: Transport, family: Family) -> Socket {
        let (receive, send) = match transport {
            Transport::Tcp => (RECEIVE_BUFFER, SEND_BUFFER),
            Transport::Unix => (UNIX_BUFFER, UNIX_BUFFER),
        };
        Socket {
            descriptor: None,
            transport,
            family,
            state: State::Closed,
            local: None,
            remote: None,
            peer: None,
            error: None,
            receive_shut: false,
            send_shut: false,
            ended: false,
            input: Input { bytes: VecDeque::new(), capacity: receive, unreported: 0, pieces: VecDeque::new() },
            output: Output {
                bytes: VecDeque::new(),
                in_flight: 0,
                window: 0,
                capacity: send,
                wanted: false,
                ending: false,
                end_sent: false,
            },
            options: Options::default(),
            listener: None,
            parent: None,
            connecting: false,
            owes_acknowledgement: false,
            early: Vec::new(),
            lost: VecDeque::new(),
            owed: Vec::new(),
            sent: 0,
            received: 0,
            behind_a_gap: BTreeMap::new(),
            retransmission: None,
            heard_at: 0,
            forgotten: false,
            cut_off: false,
            falsely_hung_up: false,
            deferring: None,
            deferred: false,
            name: None,
        }
    }

    /// Nobody holds it: it only finishes what was begun.
    pub(super) fn is_orphan(&self) -> bool {
        self.descriptor.is_none() && self.parent.is_none()
    }

    /// Whether it expects to be answered.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        match self.state {
            State::SynSent | State::SynReceived => true,
            State::FinWait1 | State::Closing | State::LastAck => self.output.end_sent || self.output.in_flight > 0,
            State::Established | State::CloseWait => self.output.in_flight > 0,
            State::Closed | State::Listen | State::FinWait2 => false,
        }
    }

    /// Whether it waits for anything that may have to be sent again: an answer, or room (the zero-window probe).
    pub(super) fn waits_for_peer(&self) -> bool {
        let wants_room = self.output.window == 0 && !self.output.bytes.is_empty() && self.state != State::Closed;
        self.awaits_acknowledgement() || wants_room
    }

    /// `sock_error`: the error is told once.
    pub(super) fn error_or(&mut self, otherwise: i32) -> i32 {
        self.error.take().unwrap_or(otherwise)
    }
}
