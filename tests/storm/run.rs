//! One run: a loop, a random program on it, and the checks of every turn and of the end.
//!
//! May touch: the public API. Invariant: a run ends, by the bounds on its turns, and leaves nothing behind.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::Socket;
use halfclose::{EventLoop, Unhandled};

use crate::commands;
use crate::content::Content;
use crate::generator::Origin;
use crate::heap;
use crate::model::{TURN, canonical, handle_is_gone};
use crate::servers;
use crate::storm::{Planned, Shared, Storm};
use crate::witness;

/// A storm has calmed down long before; one that has not goes round in circles.
const MOST_TURNS: usize = 100_000;

/// Turns without an event, a byte or a moment of time: the loop is busy with nothing. Faults may cost some.
const MOST_IDLE_TURNS: usize = 2_000;

/// What a simulated wait costs, and a little more: time that passes by turning alone is none.
const WAIT: Duration = Duration::from_micros(3);

/// What a seed showed: nothing, or the law that does not hold, and the way there.
pub struct Failure {
    pub violation: String,
    pub trace: Vec<String>,
}

/// Runs one seed, or what a fuzzer says.
pub fn run(origin: Origin<'_>, content: &'static Content, traced: bool) -> Result<(), Failure> {
    let before = heap::held();
    let result = catch_unwind(AssertUnwindSafe(|| on_a_loop(origin, content, traced)));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure { violation: format!("a panic: {}", text.unwrap_or_default()), trace: Vec::new() })
    });
    let left = heap::held() - before;
    match result {
        Ok(()) if left != 0 && !traced => {
            Err(Failure { violation: format!("{left} bytes are left on the heap"), trace: Vec::new() })
        }
        result => result,
    }
}

fn on_a_loop(origin: Origin<'_>, content: &'static Content, traced: bool) -> Result<(), Failure> {
    let mut event_loop = EventLoop::simulated(origin.seed()).expect("a loop");
    let simulation = event_loop.simulation().expect("it is simulated");
    let descriptors = simulation.accounts().open_descriptors;
    let storm = Storm::new(origin, content, simulation, traced);
    storm.descriptors.set(descriptors);
    let shared = storm.clone();
    event_loop.on_unhandled_error(move |source, error| {
        witness::unhandled(&shared, source, error);
        if shared.once_in(4) {
            shared.interrupted.set(true);
            shared.returns.set(true);
            Unhandled::Return
        } else {
            Unhandled::Continue
        }
    });
    let outcome = catch_unwind(AssertUnwindSafe(|| program(&storm, &mut event_loop)));
    storm.over.set(true);
    storm.silent.set(None);
    drop(event_loop);
    storm.controllers.borrow_mut().clear();
    if outcome.is_ok() {
        let holders = Rc::strong_count(&storm);
        storm.require(holders == 1, || format!("{} closures outlive the loop (law 2)", holders - 1));
    }
    let violation = storm.take_violation();
    let trace = storm.take_trace();
    if let Some(violation) = violation {
        return Err(Failure { violation, trace });
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(panic) if trace.is_empty() => resume_unwind(panic),
        Err(_) => Err(Failure { violation: "a panic".into(), trace }),
    }
}

fn program(storm: &Shared, event_loop: &mut EventLoop) {
    servers::open(storm);
    if storm.once_in(2) {
        servers::open(storm);
    }
    for _ in 0..1 + storm.below(4) {
        servers::connect_somewhere(storm, None);
    }
    let abrupt = storm.once_in(10);
    // Much of the program is already there when the loop begins.
    outside(storm);
    let mut watch = Watch::default();
    for _ in 0..MOST_TURNS {
        if storm.is_violated() {
            return;
        }
        let alive = turn(storm, event_loop);
        watch.progressed(storm);
        if storm.budget.get() == 0 || !alive && storm.once_in(3) {
            break;
        }
        if !alive || storm.once_in(8) {
            storm.budget.set(storm.budget.get().saturating_sub(1));
            outside(storm);
        }
    }
    if abrupt {
        // The loop is dropped with everything open.
        return;
    }
    end(storm, event_loop);
}

/// Commands from outside of the loop, and what the network does.
fn outside(storm: &Shared) {
    if storm.once_in(4) {
        let change = storm.weather.borrow_mut().change(&mut storm.generator.borrow_mut());
        storm.trace(|| format!("weather: {change}"));
    }
    let result = catch_unwind(AssertUnwindSafe(|| commands::react(storm, None)));
    if let Err(panic) = result {
        if !panic.is::<Planned>() {
            resume_unwind(panic);
        }
    }
}

/// One turn, which may be cut short by a panic, an error or a stop, and the checks after it.
fn turn(storm: &Shared, event_loop: &mut EventLoop) -> bool {
    let limit = Duration::from_micros(storm.pick(&[0, 2_000, 2_000, 100_000, 10_000_000]));
    let limit = if storm.calm.get() { None } else { Some(limit) };
    let result = catch_unwind(AssertUnwindSafe(|| event_loop.turn(limit)));
    storm.silent.set(None);
    let mut cut = storm.interrupted.replace(false);
    let alive = match result {
        Ok(Ok(alive)) => alive,
        Ok(Err(error)) if error.code() == Some("ERR_SIMULATION_STUCK") => {
            storm.stuck.set(true);
            false
        }
        Ok(Err(error)) => {
            // With a panic in the same callback it comes with the next turn.
            storm.require(storm.returns.replace(false), || format!("turn: {error}"));
            cut = true;
            true
        }
        Err(panic) if panic.is::<Planned>() => true,
        Err(panic) => resume_unwind(panic),
    };
    check(storm, cut);
    alive
}

/// The laws that hold between turns.
fn check(storm: &Shared, cut: bool) {
    let mut model = storm.model.borrow_mut();
    for index in 0..model.sockets.len() {
        let settled = model.settle(index);
        storm.check(settled);
        if cut {
            model.sockets[index].piped_elsewhere = true;
        } else {
            let forgotten = model.forget_piped(index);
            storm.check(forgotten);
        }
        model.sockets[index].reading = false;
        if !cut {
            model.sockets[index].resumed = false;
            model.sockets[index].resumes = false;
        }
    }
    for index in 0..model.sockets.len() {
        let socket = &model.sockets[index];
        let connection = &model.connections[socket.current];
        let handle = socket.handle;
        let (gone, freed) = (handle_is_gone(handle), model.is_freed(index));
        storm.require(freed || !gone, || format!("socket {index} was freed too early (law 3)"));
        storm.require(cut || gone || !freed, || format!("socket {index} is over, and not freed (law 3)"));
        if gone || handle.destroyed() {
            continue;
        }
        storm.require(!connection.without_peer || handle.peer_addr().is_none(), || {
            format!("socket {index} was told that it is connected before it was")
        });
        let (read, ahead) = (handle.bytes_read() as usize, handle.readable_length());
        if !cut && !connection.gap && connection.connected {
            let taken = connection.position + ahead / socket.unit;
            storm.require(read == taken, || {
                format!("socket {index} read {read} bytes; {} were delivered, {ahead} wait", connection.position)
            });
        }
        if let Some(pair) = connection.pair {
            let written = model.connections[pair].written.len();
            storm.require(read <= written, || format!("socket {index} read {read} bytes, {written} were written"));
        }
        let (written, queued) = (connection.written.len(), handle.writable_length());
        let healthy = connection.connected && !handle.writable_ended() && handle.errored().is_none();
        storm.require(cut || !healthy || !connection.drain_owed || queued > 0, || {
            format!("socket {index} owes a drain, and nothing is queued (F7)")
        });
        storm.require(queued <= written, || format!("socket {index} queues {queued} bytes of {written}"));
    }
    let now = storm.now();
    for index in 0..model.sockets.len() {
        let peer_may_end = model.peer_may_end(model.sockets[index].current);
        let idle = model.sockets[index].check_idle(now, peer_may_end);
        storm.require(cut || idle.is_ok(), || format!("socket {index}: {}", idle.unwrap_err()));
    }
    for index in 0..model.connections.len() {
        if model.is_stalled(index, now) && !cut && !storm.weather.borrow().may_lose() {
            let in_flight = storm.weather.borrow().simulation.accounts().bytes_in_flight;
            let connection = &model.connections[index];
            storm.require(in_flight > 0, || {
                format!(
                    "socket {} reads, and does not get what the other end of connection {index} wrote: {:?}",
                    connection.socket, connection.flow
                )
            });
        }
    }
    for (index, timer) in storm.times.borrow().iter().enumerate() {
        let waits = !timer.cleared && (timer.repeats || timer.fired == 0);
        storm.require(cut || !waits || now <= timer.armed + timer.delay + TURN, || {
            format!("timer {index} is late: {:?} after {:?}", now - timer.armed, timer.delay)
        });
    }
    for index in 0..model.servers.len() {
        let server = model.servers[index].handle;
        let (live, known) = (server.connections(), model.connections_of(index));
        storm.require(model.servers[index].released || live == known, || {
            format!("server {index} counts {live} connections, there are {known}")
        });
    }
}

/// No turn without progress: an event, a byte, or time.
#[derive(Default)]
struct Watch {
    last: (u64, u64, Duration),
    idle: usize,
}

impl Watch {
    fn progressed(&mut self, storm: &Storm) {
        let bytes = {
            let model = storm.model.borrow();
            let handles = model.sockets.iter().map(|socket| socket.handle);
            handles.map(|handle| handle.bytes_read() + handle.writable_length() as u64).sum()
        };
        let (calls, now) = (storm.calls.get(), storm.now());
        let stands = now <= self.last.2 + WAIT;
        self.idle = if stands && (calls, bytes) == (self.last.0, self.last.1) { self.idle + 1 } else { 0 };
        self.last = (calls, bytes, now);
        storm.require(self.idle < MOST_IDLE_TURNS, || format!("{} turns without progress", self.idle));
    }
}

/// The calm after the storm: everything is ended and consumed, and must come to its end by itself.
fn end(storm: &Shared, event_loop: &mut EventLoop) {
    storm.calm.set(true);
    storm.trace(|| "calm".into());
    storm.weather.borrow_mut().clear();
    for timer in storm.times.borrow_mut().iter_mut().filter(|timer| timer.repeats) {
        timer.handle.clear();
        timer.cleared = true;
    }
    for timer in storm.times.borrow().iter() {
        timer.handle.ref_();
    }
    for immediate in storm.immediates.borrow().iter() {
        immediate.handle.ref_();
    }
    let (servers, sockets) = {
        let model = storm.model.borrow();
        (model.servers.len(), model.sockets.len())
    };
    for server in 0..servers {
        servers::close(storm, server, true);
    }
    for socket in 0..sockets {
        commands::wind_down(storm, socket);
    }
    if !run_out(storm, event_loop) {
        return;
    }
    let mut hang = false;
    for index in 0..sockets_of(storm) {
        let socket = storm.handle(index);
        let excused = !handle_is_gone(socket) && may_hang(storm, index);
        hang |= excused;
        storm.require(excused || handle_is_gone(socket), || {
            format!(
                "socket {index} does not come to its end: flowing {:?}, paused {}, ahead {}, queued {}, ended {}, {}{}",
                socket.readable_flowing(),
                socket.is_paused(),
                socket.readable_length(),
                socket.writable_length(),
                socket.readable_ended(),
                socket.ready_state().as_str(),
                if storm.stuck.get() { ", stuck" } else { "" }
            )
        });
        release_for_good(storm, socket);
    }
    storm.require(hang || !storm.stuck.get(), || "nothing is open, and the loop waits".into());
    storm.stuck.set(false);
    if !run_out(storm, event_loop) {
        return;
    }
    storm.require(!storm.stuck.get(), || "everything was destroyed, and the loop waits".into());
    last_checks(storm, event_loop);
}

fn sockets_of(storm: &Shared) -> usize {
    storm.model.borrow().sockets.len()
}

/// Whether this socket may wait for ever for an end that has gone: its connection was cut for good, or the other end went
/// while the host was silent, and nobody sends a reset twice. Where both ends are there, they come to their end.
fn may_hang(storm: &Shared, index: usize) -> bool {
    let mut model = storm.model.borrow_mut();
    let current = model.sockets[index].current;
    model.match_addresses(current);
    let (connection, handle) = (&model.connections[current], model.sockets[index].handle);
    if connection.unix {
        return false;
    }
    let weather = storm.weather.borrow();
    let addresses = [handle.address(), handle.peer_addr()];
    let silent = |address: &SocketAddr| weather.was_silent(canonical(*address).ip(), connection.began);
    let alone = connection.pair.is_none_or(|pair| model.connections[pair].closed);
    weather.may_cut || alone && addresses.iter().flatten().any(silent)
}

fn release_for_good(storm: &Shared, socket: Socket) {
    storm.silently("destroy", || socket.destroy());
    storm.silently("release", || socket.release());
}

/// Turns until nothing is left to wait for. False when a law was broken on the way.
fn run_out(storm: &Shared, event_loop: &mut EventLoop) -> bool {
    let mut watch = Watch::default();
    for _ in 0..MOST_TURNS {
        let alive = turn(storm, event_loop);
        watch.progressed(storm);
        if storm.is_violated() {
            return false;
        }
        if !alive {
            return true;
        }
    }
    storm.violated("the storm does not end".into());
    false
}

/// What must be so when everything is over.
fn last_checks(storm: &Shared, event_loop: &mut EventLoop) {
    for server in storm.model.borrow().servers.iter() {
        server.handle.release();
    }
    for timer in storm.times.borrow().iter() {
        timer.handle.clear();
    }
    for (index, timer) in storm.times.borrow().iter().enumerate() {
        storm.require(timer.cleared || timer.repeats || timer.fired == 1 || !storm.calm.get(), || {
            format!("timer {index} never came")
        });
    }
    for (index, immediate) in storm.immediates.borrow().iter().enumerate() {
        storm.require(immediate.cleared || immediate.ran, || format!("immediate {index} never ran"));
    }
    let model = storm.model.borrow();
    for (index, owed) in model.callbacks.iter().enumerate() {
        storm.require(owed.calls == 1, || {
            format!("callback {index} ({} of {:?}) was called {} times", owed.what, owed.connection, owed.calls)
        });
    }
    for (index, connection) in model.connections.iter().enumerate() {
        if !connection.closed && connection.attempted {
            storm.violated(format!("connection {index} of socket {} was never closed", connection.socket));
        }
        storm.require(!connection.connected || connection.ready, || format!("connection {index} is not ready (L39)"));
    }
    let left = (event_loop.connections(), event_loop.servers(), event_loop.timers());
    storm.require(left == (0, 0, 0), || format!("sockets, servers and timers are left: {left:?}"));
    let open = storm.weather.borrow().simulation.accounts().open_descriptors;
    let before = storm.descriptors.get();
    storm.require(open == before, || format!("{open} descriptors are open, {before} were at the start"));
    // The hook has one, and we have one.
    let holders = Rc::strong_count(storm);
    storm.require(holders == 2, || format!("{} closures outlive what they were given to", holders - 2));
}

/// What a storm throws on purpose says nothing on the terminal.
pub fn silence_planned_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<Planned>() {
            others(panic);
        }
    }));
}
