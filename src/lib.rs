//! Node's `net` for Rust: TCP and unix-socket servers and clients with Node's exact event semantics, on a
//! single-threaded reactor, with no async runtime.
//!
//! Whoever knows [Node's documentation](https://nodejs.org/api/net.html) knows this crate: the names are Node's in
//! snake_case, and so are the order of every event, half-close, the idle timeout as a notification, and backpressure with
//! `drain`. Underneath is a reactor written by hand over `mio`, made to be embedded where latency counts and to be read by
//! those who want to know how one is made. Each member's documentation names the member of Node that it mirrors, with a
//! link, and what it does otherwise; [`porting`] puts whole programs side by side.
//!
//! The echo server of every tutorial, in Node and here:
//!
//! ```js
//! const net = require('net');
//!
//! const server = net.createServer((socket) => {
//!   socket.on('data', (bytes) => socket.write(bytes));
//!   socket.on('error', (error) => console.error(error.message));
//! });
//! server.listen(8888, '127.0.0.1', () => console.log(server.address()));
//! ```
//!
//! ```no_run
//! use halfclose::{EventLoop, net};
//!
//! fn main() -> Result<(), halfclose::Error> {
//!     let mut event_loop = EventLoop::new()?;
//!
//!     let server = net::create_server(|socket| {
//!         socket.on_data(|socket, bytes| {
//!             socket.write(bytes);
//!         });
//!         socket.on_error(|_, error| eprintln!("{error}"));
//!     });
//!     server.listen_with(("127.0.0.1", 8888), |server| println!("{:?}", server.address()))?;
//!
//!     event_loop.run()
//! }
//! ```
//!
//! # How it is used
//!
//! - [`EventLoop`] owns everything and is its thread's current loop while it lives; [`EventLoop::run`] turns until
//!   nothing is left to wait for. Functions that make something need one and panic without.
//! - [`net::Socket`], [`net::Server`] and [`Timer`] are handles of eight bytes: copy them, compare them, move them into
//!   closures. There is nothing to clone and no cycle to break. Listeners get theirs as the first argument.
//! - What Node throws is an `Err` of the call; what Node emits is an event. Nothing is delivered within a call that asks
//!   for it.
//! - An `error` event that nobody listens for makes `run` return it, where Node would end the process.
//! - State of your own belongs into the closures, or into the socket: [`Socket::set_data`](net::Socket::set_data).
//! - Other threads hold a [`LoopHandle`] and post closures. Other descriptors are [watched](watch()), and another loop can
//!   [own the thread](EventLoop::has_pending).
//!
//! # Lifetimes
//!
//! | handle | lives until |
//! |---|---|
//! | an accepted or connected [`Socket`](net::Socket) | `close` was delivered and no `close` listener connected it again. [`retain`](net::Socket::retain) keeps the slot until [`release`](net::Socket::release) |
//! | [`Socket::new`](net::Socket::new), never connected | `destroy()` (it emits `close`), `release()`, or the end of the loop |
//! | [`Server`](net::Server) | [`release`](net::Server::release) or the end of the loop |
//! | a one-shot [`Timer`] | its callback returned without `refresh()` |
//! | an [`Immediate`] | it ran |
//! | a freed handle | for ever inert: `destroyed` and `closed` are true, counters 0, addresses `None`; `connect` and `listen` are an `Err`; a callback given to `write`, `end` or `close` is still called, in a tick, with Node's error. It never reaches a newcomer |
//!
//! # Architecture
//!
//! Four floors, imports only downwards; a test holds them (`tests/tidy.rs`).
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 4 | [`net`], [`timers`], `watches` | what users call. Thin: each method is one call into the loop |
//! | 3 | `event_loop` | owns the reactor, turns it, and is the only place that enters user code (`event_loop/emit.rs`) |
//! | 2 | `reactor` | servers, connections and timers as state machines: facts go in, decisions come out |
//! | 1 | `sys` | every system call, every `unsafe` (one file of `event_loop` has some too), every `cfg(target…)`, the clock |
//!
//! `error` and `addresses` lie below all of them: the vocabulary of failures, with Node's codes and messages, and addresses
//! as values, the block list among them.
//!
//! **A turn** has libuv's phases: pending results, poll, pending results again, immediates, closing, timers. Each phase
//! takes one callback after the other, and after each the tick queue is drained. It is written out in one function,
//! `EventLoop::work` (`event_loop/turn.rs`).
//!
//! **A byte's way in**: the poller says readable; when that event is taken, the connection is read into the loop's one
//! buffer, and the bytes are lent to the `data` listeners. Reading happens when the event is taken, never before, so that a
//! `destroy` or `pause` by an earlier listener is honoured. What is ready without a new event (a budget that was used up, a
//! `resume`) stands in the ready list and is served first.
//!
//! **The usual way** is short: input that goes straight to one listener, output that the kernel takes whole, a turn that has
//! nothing but such deliveries. `reactor/plain.rs` and `Inner::serve_plainly` are that way in one piece; `Connections`
//! remembers for whom it holds, and whatever is not usual goes the long way, through the state machines.
//!
//! **A byte's way out**: `write` goes straight to the kernel. Only what it refuses is queued, and goes on when the kernel
//! announces room; then comes `drain`.
//!
//! **Handle and token are two things.** A handle names a slot and a generation. A token names a descriptor, with a
//! generation of its own, because one socket may own several descriptors in its life.
//!
//! **A connection is a product**: readable side × writable side, plus the link (detached, connecting, open). Half-close is
//! that product.
//!
//! **What must follow user code lies on a stack of steps before that code runs.** A panic, an unhandled error or `stop()`
//! interrupts a turn anywhere; the next `run()` finds the steps, the ticks, the phase and its queues, and goes on.
//!
//! # The laws
//!
//! Each has tests (`tests/laws.rs`).
//!
//! 1. A command never delivers an event; it queues one. The exceptions are Node's: `pause`, `pipe` and `unpipe` emit the
//!    events of their names; `read` and `unshift` emit `data`; `connect` to a unix socket, or of a
//!    socket made of a [`BoundSocket`](net::BoundSocket), emits `connectionAttempt`, and so
//!    does a custom lookup that answers at once, with its `lookup` events; a reset that fails because a shutdown is under
//!    way emits `error`. A listener that is running is never entered again: such an emission reaches it right after it
//!    returned, with bytes of its own.
//! 2. User code is entered from one file, with nothing borrowed: listeners, callbacks, timers, watches, posts, the
//!    unhandled-error hook, and every drop of what users gave. What is to be dropped goes to the graves, which are emptied before each
//!    tick drain and when the loop is dropped.
//! 3. Slots live as the table above says. A descriptor is closed at Node's moment, its registration with it.
//! 4. Per connection, from one connect or accept to its close: `close` once, `error` at most once and before it; after
//!    `close` only callbacks that are owed. Bytes that a consumer was attached for arrive once, in order, before `end`.
//! 5. No loop over things that users can change remembers "next" across a callback.
//! 6. Every loop has a bound, written beside it. Exceptions: the tick queue, and the users' own recursion.
//! 7. All `unsafe`, `libc` and `cfg(target…)` live in `sys`, but for one file of `event_loop`, which calls listeners without captures
//!    by their code.
//! 8. A stale handle or token is inert everywhere. A panic in a listener leaves the loop usable: the rest of that emission
//!    is skipped, the listener stays registered (a `once` is consumed), the socket is consistent, nothing leaks.
//! 9. The clock is read after every wait, when a timer is armed, and when the timer phase begins; activity stamps use the
//!    turn's time.
//!
//! # Differences from Node
//!
//! The README lists them all. Those that programs meet first: lengths count bytes, also for text; `close` listeners are
//! always given a `bool`; `connect` on a connected socket is an `Err`; a slot is freed after `close`, so a socket that is
//! to connect again later needs [`retain`](net::Socket::retain); and a turn accepts 8 connections and reads 16 times per
//! socket where Node has 1 and 32 ([`EventLoopOptions`] gives Node's numbers).

#![warn(missing_docs, unreachable_pub)]

mod addresses;
mod error;
mod event_loop;
pub mod net;
pub mod porting;
mod reactor;
#[cfg(feature = "simulation")]
pub mod simulation;
mod sys;
pub mod timers;
mod watches;

pub use crate::error::Error;
pub use crate::event_loop::events::{ErrorSource, Unhandled};
pub use crate::event_loop::loop_handle::{KeepAlive, LoopHandle};
pub use crate::event_loop::panics::{PanicPolicy, PanicSource};
pub use crate::event_loop::position::position;
pub use crate::event_loop::stats::{AcceptErrors, Closes, Histogram, Stats, stats};
pub use crate::event_loop::{EventLoop, EventLoopOptions, Phase, Position, SlowCallback, stop};
pub use crate::timers::{
    Immediate, Timer, clear_immediate, clear_interval, clear_timeout, next_tick, set_immediate, set_interval,
    set_timeout,
};
pub use crate::watches::{Interest, Readiness, Watch, watch};
