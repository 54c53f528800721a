//! A small reactor in one file that makes the choices of this crate, each of which can be turned to its other side alone:
//! what `prices` measures.
//!
//! May touch: epoll, mio's wait, sockets. Invariants: which choice is turned is known when this is compiled, once for
//! each, so no variant pays for asking; everything but the turned choice is the same source. Bytes are echoed in order
//! whichever choice is turned.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use super::{SHARED_BUFFER, announce};
use crate::sockets::{self, Listener, check};

/// The switches by their names on the command line. What each does is said where [`is`] asks for it.
pub const DEFAULT: u8 = 0;
const LEVEL: u8 = 1;
const SECOND_READ: u8 = 2;
const REGISTER_TWICE: u8 = 3;
const OWN_BUFFER: u8 = 4;
const ARM_FIRST: u8 = 5;
const EAGER_TIMEOUTS: u8 = 6;
const OWNED_LISTENERS: u8 = 7;
const ACCEPT_ONE: u8 = 8;
const FAT_EVENT: u8 = 9;
const CLOCK_TWICE: u8 = 10;
const MIO_WAIT: u8 = 11;

/// What the listening socket is registered with; connections have their number.
const LISTENER: u64 = u64::MAX;

/// The events that one wait fetches, as the floor has it.
const EVENTS: usize = 1024;

/// The connections that are accepted before other sockets have their turn.
const BATCH: usize = 8;

/// How long a connection may be silent, in nanoseconds: a minute, as everywhere in this program.
const IDLE: u64 = 60_000_000_000;

/// Room for connections at the start, so that what grows with each is what each one needs.
const ROOM: usize = 4096;

const READ: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
const WRITE: u32 = libc::EPOLLOUT as u32;
const EDGE: u32 = libc::EPOLLET as u32;

/// What the kernel queues to send on a narrow connection: as little as it can be told (socket(7), SO_SNDBUF).
const NARROW: libc::c_int = 4096;

/// Is the echo server with one choice turned, until the process is killed. After a switch may stand `:narrow`, for
/// connections on which 16 KiB do not go out at once.
pub fn serve(mode: &str) -> Result<(), String> {
    let (switch, narrow) = match mode.strip_suffix(":narrow") {
        Some(switch) => (switch, true),
        None => (mode, false),
    };
    let run = match switch {
        "default" => run::<DEFAULT>,
        "level" => run::<LEVEL>,
        "second_read" => run::<SECOND_READ>,
        "register_twice" => run::<REGISTER_TWICE>,
        "own_buffer" => run::<OWN_BUFFER>,
        "arm_first" => run::<ARM_FIRST>,
        "eager_timeouts" => run::<EAGER_TIMEOUTS>,
        "owned_listeners" => run::<OWNED_LISTENERS>,
        "accept_one" => run::<ACCEPT_ONE>,
        "fat_event" => run::<FAT_EVENT>,
        "clock_twice" => run::<CLOCK_TWICE>,
        "mio_wait" => run::<MIO_WAIT>,
        _ => return Err(format!("{switch}: no such switch")),
    };
    run(narrow).map_err(|error| error.to_string())
}

/// What is called for a connection: plain functions, in a table that connections share.
struct Listeners<const TURNED: u8> {
    data: fn(&mut Core<TURNED>, usize, &[u8]),
    end: fn(&mut Core<TURNED>, usize),
}

type OnData<const TURNED: u8> = Box<dyn FnMut(&mut Core<TURNED>, usize, &[u8])>;
type OnEnd<const TURNED: u8> = Box<dyn FnMut(&mut Core<TURNED>, usize)>;

/// The other side of [`OWNED_LISTENERS`]: closures, in a table of each connection. They are taken out while they run,
/// because they may change the table.
struct OwnedListeners<const TURNED: u8> {
    data: Option<OnData<TURNED>>,
    end: Option<OnEnd<TURNED>>,
}

struct Connection<const TURNED: u8> {
    socket: OwnedFd,
    /// When something last happened: what a lazy timeout looks at when it is over, and nobody before.
    active: u64,
    /// What an eager timeout is armed for.
    deadline: u64,
    listeners: usize,
    unsent: Vec<u8>,
    owned: Option<Rc<RefCell<OwnedListeners<TURNED>>>>,
    buffer: Option<Box<[u8]>>,
}

/// What the core says is next: two registers.
#[derive(Copy, Clone)]
enum Answer {
    Data(usize),
    Nothing,
    Over,
}

/// The same as an event that carries what a listener might ask for: it is returned through memory and has a destructor.
enum Event {
    Data(Details),
    Nothing,
    Over(Details, Option<io::Error>),
}

#[expect(dead_code, reason = "this echo asks for the length only; what it costs to carry the rest is measured")]
struct Details {
    length: usize,
    number: usize,
    descriptor: i32,
    listeners: usize,
    active: u64,
    deadline: u64,
    unsent: usize,
    time: u64,
}

struct Core<const TURNED: u8> {
    poll: mio::Poll,
    /// What a connection is registered for at first, and while bytes wait to be sent. Kept here so that what uses them is the
    /// same code whatever is turned.
    at_first: u32,
    while_unsent: u32,
    connections: Vec<Option<Connection<TURNED>>>,
    free: Vec<usize>,
    tables: Vec<Listeners<TURNED>>,
    /// Deadlines with the numbers of their connections.
    timeouts: BTreeSet<(u64, usize)>,
    /// The first of them.
    next_deadline: u64,
    /// Read once in every turn.
    now: u64,
}

const fn is(turned: u8, switch: u8) -> bool {
    turned == switch
}

/// What a connection is registered for at first. Level-triggered, a socket that can be written would be reported for ever,
/// so there only one direction is possible at a time.
const fn at_first(turned: u8) -> u32 {
    match turned {
        LEVEL => READ,
        REGISTER_TWICE | ARM_FIRST => READ | EDGE,
        _ => READ | WRITE | EDGE,
    }
}

/// What it is registered for while bytes wait to be sent.
const fn while_unsent(turned: u8) -> u32 {
    if is(turned, LEVEL) { WRITE } else { READ | WRITE | EDGE }
}

fn run<const TURNED: u8>(narrow: bool) -> io::Result<()> {
    let (listener, address) = Listener::bind(None)?;
    if narrow {
        // Accepted sockets inherit it.
        sockets::set_option(listener.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, NARROW);
    }
    let mut core = Core::<TURNED> {
        poll: mio::Poll::new()?,
        at_first: at_first(TURNED),
        while_unsent: while_unsent(TURNED),
        connections: Vec::with_capacity(ROOM),
        free: Vec::new(),
        tables: vec![Listeners { data: Core::write, end: Core::close }],
        timeouts: BTreeSet::new(),
        next_deadline: u64::MAX,
        now: monotonic(),
    };
    core.control(libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN as u32, LISTENER)?;
    let mut found: Vec<libc::epoll_event> = Vec::with_capacity(EVENTS);
    let mut events_of_mio = mio::Events::with_capacity(EVENTS);
    let mut buffer = vec![0; SHARED_BUFFER].into_boxed_slice();
    announce(&address)?;
    loop {
        if is(TURNED, MIO_WAIT) {
            core.wait_by_mio(&mut events_of_mio, &mut found)?;
        } else {
            core.wait(&mut found);
        }
        core.now = monotonic();
        for event in &found {
            let (number, flags) = (event.u64, event.events);
            if number == LISTENER {
                core.accept(&listener)?;
            } else {
                core.ready(number as usize, flags, &mut buffer);
            }
        }
        if is(TURNED, CLOCK_TWICE) {
            core.now = monotonic();
        }
        if core.now >= core.next_deadline {
            core.expire();
        }
    }
}

impl<const TURNED: u8> Core<TURNED> {
    /// One `epoll_wait`, until something is ready or the first timeout is over. An interruption brings nothing.
    #[inline]
    fn wait(&self, found: &mut Vec<libc::epoll_event>) {
        let wait = self.milliseconds();
        found.clear();
        // SAFETY: there is room for as many events as said, and the kernel says how many of them it has written.
        unsafe {
            let count = libc::epoll_wait(self.poll.as_raw_fd(), found.as_mut_ptr(), EVENTS as i32, wait);
            found.set_len(usize::try_from(count).unwrap_or(0));
        }
    }

    /// The same by mio, whose events are copied, because they cannot be kept while listeners change the poll.
    #[inline]
    fn wait_by_mio(&mut self, events: &mut mio::Events, found: &mut Vec<libc::epoll_event>) -> io::Result<()> {
        let wait = self.milliseconds();
        let wait = u64::try_from(wait).ok().map(std::time::Duration::from_millis);
        found.clear();
        match self.poll.poll(events, wait) {
            Ok(()) => {}
            // The process was stopped and continued (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        found.extend(events.iter().map(|event| {
            let mut flags = 0;
            flags |= if event.is_readable() { libc::EPOLLIN } else { 0 };
            flags |= if event.is_writable() { libc::EPOLLOUT } else { 0 };
            flags |= if event.is_read_closed() { libc::EPOLLRDHUP } else { 0 };
            flags |= if event.is_error() { libc::EPOLLERR } else { 0 };
            libc::epoll_event { events: flags as u32, u64: event.token().0 as u64 }
        }));
        Ok(())
    }

    /// How long to wait: rounded up, and for ever without a timeout.
    #[inline]
    fn milliseconds(&self) -> i32 {
        match self.next_deadline {
            u64::MAX => -1,
            deadline => deadline.saturating_sub(self.now).div_ceil(1_000_000).min(i32::MAX as u64) as i32,
        }
    }

    /// Everything that an event brings for a connection. Not inlined, nor is what is rare: so a choice that is turned
    /// elsewhere leaves the compiled code of the rest as it is.
    #[inline(never)]
    fn ready(&mut self, number: usize, flags: u32, buffer: &mut Box<[u8]>) {
        let Some(connection) = self.connections[number].as_ref() else { return };
        let hung_up = flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0;
        let mut readable = flags & libc::EPOLLIN as u32 != 0 || hung_up;
        if !connection.unsent.is_empty() {
            if flags & WRITE == 0 && !hung_up || !self.flush(number) {
                return;
            }
            readable = true;
        }
        while readable {
            let answer = if is(TURNED, FAT_EVENT) { self.fat(number, buffer) } else { self.read(number, buffer) };
            match answer {
                Answer::Data(length) => {
                    self.emit_data(number, length, buffer);
                    let blocked = self.connections[number].as_ref().is_none_or(|one| !one.unsent.is_empty());
                    let all_is_read = length < SHARED_BUFFER && !hung_up && !is(TURNED, SECOND_READ);
                    readable = !blocked && !all_is_read;
                }
                Answer::Nothing => return,
                Answer::Over => return self.emit_end(number),
            }
        }
    }

    /// What [`FAT_EVENT`] turns: the event is taken apart here, and dropped.
    #[inline]
    fn fat(&mut self, number: usize, buffer: &mut [u8]) -> Answer {
        match self.read_to_event(number, buffer) {
            Event::Data(details) => {
                // A listener could ask for any of them.
                std::hint::black_box(&details);
                Answer::Data(details.length)
            }
            Event::Nothing => Answer::Nothing,
            Event::Over(details, error) => {
                std::hint::black_box((&details, &error));
                Answer::Over
            }
        }
    }

    /// One `recv`. Not inlined, so that nothing but what is returned differs from [`Core::read_to_event`].
    #[inline(never)]
    fn read(&mut self, number: usize, buffer: &mut [u8]) -> Answer {
        let now = self.now;
        let Some(connection) = self.connections[number].as_mut() else { return Answer::Nothing };
        match connection.receive(buffer, now) {
            Ok(0) => Answer::Over,
            Ok(length) => Answer::Data(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Answer::Nothing,
            Err(_) => Answer::Over,
        }
    }

    #[inline(never)]
    fn read_to_event(&mut self, number: usize, buffer: &mut [u8]) -> Event {
        let now = self.now;
        let Some(connection) = self.connections[number].as_mut() else { return Event::Nothing };
        match connection.receive(buffer, now) {
            Ok(0) => Event::Over(connection.details(number, 0, now), None),
            Ok(length) => Event::Data(connection.details(number, length, now)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Event::Nothing,
            Err(error) => Event::Over(connection.details(number, 0, now), Some(error)),
        }
    }

    #[inline]
    fn emit_data(&mut self, number: usize, length: usize, buffer: &mut Box<[u8]>) {
        let now = self.now;
        let Some(connection) = self.connections[number].as_mut() else { return };
        if is(TURNED, EAGER_TIMEOUTS) {
            self.timeouts.remove(&(connection.deadline, number));
            connection.deadline = now + IDLE;
            self.timeouts.insert((connection.deadline, number));
            self.next_deadline = self.timeouts.first().map_or(u64::MAX, |first| first.0);
        }
        if is(TURNED, OWN_BUFFER) {
            let Some(own) = connection.buffer.take() else { return };
            (self.tables[connection.listeners].data)(self, number, &own[..length]);
            if let Some(connection) = self.connections[number].as_mut() {
                connection.buffer = Some(own);
            }
        } else if let Some(owned) = connection.owned.clone() {
            let data = owned.borrow_mut().data.take();
            if let Some(mut data) = data {
                data(self, number, &buffer[..length]);
                owned.borrow_mut().data = Some(data);
            }
        } else {
            (self.tables[connection.listeners].data)(self, number, &buffer[..length]);
        }
    }

    #[inline(never)]
    fn emit_end(&mut self, number: usize) {
        let Some(connection) = self.connections[number].as_ref() else { return };
        match connection.owned.clone() {
            None => (self.tables[connection.listeners].end)(self, number),
            Some(owned) => {
                let end = owned.borrow_mut().end.take();
                if let Some(mut end) = end {
                    end(self, number);
                }
            }
        }
    }

    /// Sends, and keeps what the kernel does not take. What failed shows itself in an event.
    #[inline]
    fn write(&mut self, number: usize, bytes: &[u8]) {
        let Some(connection) = self.connections[number].as_mut() else { return };
        let mut sent = 0;
        if connection.unsent.is_empty() && !is(TURNED, ARM_FIRST) {
            sent = sockets::send(connection.socket.as_raw_fd(), bytes, 0).unwrap_or(0);
        }
        if sent < bytes.len() {
            self.keep(number, &bytes[sent..]);
        }
    }

    /// Keeps bytes until writing is possible.
    #[inline(never)]
    fn keep(&mut self, number: usize, bytes: &[u8]) {
        let Some(connection) = self.connections[number].as_mut() else { return };
        let first = connection.unsent.is_empty();
        connection.unsent.extend_from_slice(bytes);
        let descriptor = connection.socket.as_raw_fd();
        if first && self.at_first != self.while_unsent {
            // It is open and registered.
            let _ = self.control(libc::EPOLL_CTL_MOD, descriptor, self.while_unsent, number as u64);
        }
    }

    /// Sends what waits, and says whether to read on. What came meanwhile had its edge already; where the registration is
    /// changed, it is reported once more.
    #[inline(never)]
    fn flush(&mut self, number: usize) -> bool {
        let now = self.now;
        let Some(connection) = self.connections[number].as_mut() else { return false };
        let descriptor = connection.socket.as_raw_fd();
        match sockets::send(descriptor, &connection.unsent, 0) {
            Ok(sent) => drop(connection.unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => {
                self.emit_end(number);
                return false;
            }
        }
        connection.active = now;
        let all = connection.unsent.is_empty();
        if all && self.at_first != self.while_unsent {
            let _ = self.control(libc::EPOLL_CTL_MOD, descriptor, self.at_first, number as u64);
        }
        all && self.at_first == self.while_unsent
    }

    #[inline(never)]
    fn accept(&mut self, listener: &Listener) -> io::Result<()> {
        let batch = if is(TURNED, ACCEPT_ONE) { 1 } else { BATCH };
        for _ in 0..batch {
            match sockets::accept(listener.as_raw_fd()) {
                Ok(socket) => self.insert(socket)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It was reset while it waited; the others are there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn insert(&mut self, socket: OwnedFd) -> io::Result<()> {
        sockets::set_no_delay(socket.as_raw_fd());
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), self.at_first, number as u64)?;
        let deadline = self.now + IDLE;
        self.timeouts.insert((deadline, number));
        self.next_deadline = self.next_deadline.min(deadline);
        let owned = is(TURNED, OWNED_LISTENERS).then(|| {
            // They capture something, as closures do: otherwise they could be plain functions.
            Rc::new(RefCell::new(OwnedListeners::<TURNED> {
                data: Some(Box::new(move |core, _, bytes| core.write(number, bytes))),
                end: Some(Box::new(move |core, _| core.close(number))),
            }))
        });
        let buffer = is(TURNED, OWN_BUFFER).then(|| vec![0; SHARED_BUFFER].into_boxed_slice());
        let unsent = Vec::new();
        let active = self.now;
        self.connections[number] = Some(Connection { socket, active, deadline, listeners: 0, unsent, owned, buffer });
        Ok(())
    }

    fn close(&mut self, number: usize) {
        let Some(connection) = self.connections[number].take() else { return };
        self.timeouts.remove(&(connection.deadline, number));
        self.next_deadline = self.timeouts.first().map_or(u64::MAX, |first| first.0);
        self.free.push(number);
    }

    /// Ends connections that were silent; lazy timeouts of those that were not are armed for the rest of their time.
    #[cold]
    fn expire(&mut self) {
        while let Some(&(deadline, number)) = self.timeouts.first().filter(|first| first.0 <= self.now) {
            let Some(connection) = self.connections[number].as_mut() else { return };
            if !is(TURNED, EAGER_TIMEOUTS) && connection.active + IDLE > self.now {
                connection.deadline = connection.active + IDLE;
                self.timeouts.remove(&(deadline, number));
                self.timeouts.insert((connection.deadline, number));
            } else {
                self.close(number);
            }
        }
        self.next_deadline = self.timeouts.first().map_or(u64::MAX, |first| first.0);
    }

    fn control(&self, operation: i32, descriptor: i32, flags: u32, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: flags, u64: number };
        // SAFETY: the event outlives the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.poll.as_raw_fd(), operation, descriptor, &raw mut event) }).map(drop)
    }
}

impl<const TURNED: u8> Connection<TURNED> {
    /// One `recv` into the shared buffer or the own one, with the stamp that a lazy timeout needs.
    #[inline(always)]
    fn receive(&mut self, shared: &mut [u8], now: u64) -> io::Result<usize> {
        if !is(TURNED, EAGER_TIMEOUTS) {
            self.active = now;
        }
        let buffer = if is(TURNED, OWN_BUFFER) { self.buffer.as_deref_mut().unwrap_or(shared) } else { shared };
        sockets::receive(self.socket.as_raw_fd(), buffer, 0)
    }

    fn details(&self, number: usize, length: usize, time: u64) -> Details {
        Details {
            length,
            number,
            descriptor: self.socket.as_raw_fd(),
            listeners: self.listeners,
            active: self.active,
            deadline: self.deadline,
            unsent: self.unsent.len(),
            time,
        }
    }
}

/// Nanoseconds of the monotonic clock.
#[inline]
fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
