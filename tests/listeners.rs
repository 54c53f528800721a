//! Listeners with and without captures, in every order and under every change, beside sockets that began alike: what one
//! socket does to its listeners is nothing to the others, who may share what is kept of them (rule M1).
//!
//! May touch: the public API. Invariant: the model is a list of registrations; what an emission calls, and what is still
//! alive of the captures, is what the model says.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{ListenerId, Socket, SocketEvent};

use support::Random;

thread_local! {
    /// What listeners call out: also those that capture nothing.
    static CALLED: RefCell<Vec<(Socket, u32)>> = const { RefCell::new(Vec::new()) };
}

fn call_out(socket: Socket, tag: u32) {
    CALLED.with_borrow_mut(|called| called.push((socket, tag)));
}

/// `pause` is emitted within the call, and `resume()` makes it possible again.
fn emit_pause(socket: Socket) -> Vec<(Socket, u32)> {
    socket.resume();
    socket.pause();
    CALLED.take()
}

/// With a loop that does not run: what is removed is dropped within the call.
fn in_a_loop(test: impl FnOnce()) {
    support::within(Duration::from_secs(60), || {
        let _event_loop = EventLoop::new().expect("a loop");
        test();
    });
}

/// A registration as the model knows it.
struct Entry {
    id: ListenerId,
    event: SocketEvent,
    once: bool,
    tag: u32,
    captures: bool,
}

/// The kinds of listeners: of each the closure is of a type of its own.
const KINDS: u32 = 6;

/// Adds a listener of this kind. It calls out `tag`, or the kind where it captures nothing.
fn add(socket: Socket, kind: u32, tag: u32, witness: &Rc<()>) -> Entry {
    let witness = witness.clone();
    let entry = |id, event, once, tag, captures| Entry { id, event, once, tag, captures };
    match kind {
        0 => entry(socket.on_pause(|socket| call_out(socket, 0)), SocketEvent::Pause, false, 0, false),
        1 => {
            let id = socket.on_pause(move |socket| {
                let _ = &witness;
                call_out(socket, tag);
            });
            entry(id, SocketEvent::Pause, false, tag, true)
        }
        2 => {
            // Another type, and larger.
            let more = [tag; 9];
            let id = socket.on_pause(move |socket| {
                let _ = &witness;
                call_out(socket, more[8]);
            });
            entry(id, SocketEvent::Pause, false, tag, true)
        }
        3 => {
            let id = socket.once_pause(move |socket| {
                let _ = &witness;
                call_out(socket, tag);
            });
            entry(id, SocketEvent::Pause, true, tag, true)
        }
        4 => {
            let id = socket.on_end(move |_| {
                let _ = &witness;
                unreachable!("there is no end");
            });
            entry(id, SocketEvent::End, false, tag, true)
        }
        _ => {
            let id = socket.on_timeout(move |_| {
                let _ = &witness;
                unreachable!("there is no timeout");
            });
            entry(id, SocketEvent::Timeout, false, tag, true)
        }
    }
}

/// Four sockets that begin with the same additions, then go different ways.
fn play(seed: u64) {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let event_loop = EventLoop::new().expect("a loop");
    let witness = Rc::new(());
    let sockets: Vec<Socket> = (0..4).map(|_| Socket::new()).collect();
    let mut models: Vec<Vec<Entry>> = (0..4).map(|_| Vec::new()).collect();
    let mut tag = 100;
    let mut next_tag = || {
        tag += 1;
        tag
    };
    for _ in 0..random.below(6) {
        let kind = random.below(KINDS as usize) as u32;
        for (socket, model) in sockets.iter().zip(&mut models) {
            model.push(add(*socket, kind, next_tag(), &witness));
        }
    }
    for step in 0..60 {
        let index = random.below(4);
        let (socket, model) = (sockets[index], &mut models[index]);
        let chosen = random.below(model.len().max(1));
        match random.below(10) {
            0..=3 => model.push(add(socket, random.below(KINDS as usize) as u32, next_tag(), &witness)),
            4 if !model.is_empty() => {
                let entry = model.remove(chosen);
                assert!(socket.off(entry.id));
                assert!(!socket.off(entry.id) && !sockets[(index + 1) % 4].off(entry.id));
            }
            5 if !model.is_empty() => {
                let entry = model.remove(chosen);
                assert!(socket.prepend(entry.id));
                model.insert(0, entry);
            }
            6 if step % 7 == 0 => {
                socket.remove_all_listeners(Some(SocketEvent::Pause));
                model.retain(|entry| entry.event != SocketEvent::Pause);
            }
            _ => {
                let expected = model.iter().filter(|entry| entry.event == SocketEvent::Pause);
                let expected: Vec<_> = expected.map(|entry| (socket, entry.tag)).collect();
                assert_eq!(emit_pause(socket), expected, "seed {seed}, step {step}");
                model.retain(|entry| !(entry.once && entry.event == SocketEvent::Pause));
            }
        }
        let count = model.iter().filter(|entry| entry.event == SocketEvent::Pause).count();
        assert_eq!(socket.listener_count(SocketEvent::Pause), count, "seed {seed}, step {step}");
        let alive = models.iter().flatten().filter(|entry| entry.captures).count();
        assert_eq!(Rc::strong_count(&witness) - 1, alive, "seed {seed}, step {step}: captures that are alive");
    }
    drop(event_loop);
    assert_eq!(Rc::strong_count(&witness), 1, "seed {seed}: what is left after the loop");
}

/// The order of calls, and that captures live exactly as long as their registration.
#[test]
fn listeners_do_as_the_model_says() {
    support::within(Duration::from_secs(60), || {
        for seed in 1..=400 {
            play(seed);
        }
    });
}

/// Sockets with closures of the same types, each with captures of its own.
#[test]
fn sockets_that_listen_alike_keep_their_own_captures() {
    in_a_loop(|| {
        let listen = |tag: u32| {
            let socket = Socket::new();
            let mut calls = 0;
            socket.on_pause(move |socket| {
                calls += 1;
                call_out(socket, tag + calls);
            });
            socket
        };
        let [one, two] = [listen(10), listen(20)];
        assert_eq!(emit_pause(one), [(one, 11)]);
        assert_eq!(emit_pause(two), [(two, 21)]);
        assert_eq!(emit_pause(two), [(two, 22)]);
        assert_eq!(emit_pause(one), [(one, 12)]);
    });
}

/// Rule M1: an emission calls those who listened when it began, whatever they do to the listeners. A closure that is
/// removed while it runs lives until it returns.
#[test]
fn m1_a_listener_that_changes_the_listeners() {
    in_a_loop(|| {
        let witness = Rc::new(());
        let bystander = Socket::new();
        let socket = Socket::new();
        let own: Rc<Cell<Option<ListenerId>>> = Rc::default();
        for listening in [bystander, socket] {
            let (within, witness) = (own.clone(), witness.clone());
            let id = listening.on_pause(move |running| {
                call_out(running, 1);
                if running == socket {
                    assert!(running.off(within.take().expect("it runs once")));
                    assert_eq!(Rc::strong_count(&witness), 3, "removed, and still running");
                    running.on_pause(|socket| call_out(socket, 3));
                }
            });
            listening.on_pause(|socket| call_out(socket, 2));
            // That of `socket` is the last.
            own.set(Some(id));
        }
        assert_eq!(emit_pause(socket), [(socket, 1), (socket, 2)]);
        assert_eq!(Rc::strong_count(&witness), 2, "dropped after its run");
        assert_eq!(emit_pause(socket), [(socket, 2), (socket, 3)]);
        assert_eq!(emit_pause(bystander), [(bystander, 1), (bystander, 2)]);
    });
}

/// A panic in a shared kind of closure: it stays registered, may run again, and nobody else's is touched (law 8).
#[test]
fn a_panic_leaves_the_closure_usable() {
    in_a_loop(|| {
        let listen = |panics: bool| {
            let socket = Socket::new();
            let panics = Rc::new(Cell::new(panics));
            socket.on_pause(move |socket| {
                if panics.take() {
                    panic!("as it should");
                }
                call_out(socket, 7);
            });
            socket
        };
        let [calm, panicking] = [listen(false), listen(true)];
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| emit_pause(panicking)));
        assert!(result.is_err());
        assert_eq!(emit_pause(panicking), [(panicking, 7)]);
        assert_eq!(emit_pause(calm), [(calm, 7)]);
    });
}
