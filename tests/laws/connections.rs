//! Law 4: per connection one `close`, at most one `error` and that before it, nothing after `close` but owed callbacks;
//! bytes arrive once, in order, before `end`. Held by witnesses, over conversations that random numbers write.
//!
//! May touch: the public API. Invariant: a seed gives the same script every time; a failure names its seed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, ServerOptions, Socket};
use halfclose::{EventLoop, set_immediate};

use crate::support::{Log, RawListener, RawPeer, in_thread, port_of};
use crate::witness::Witness;
use crate::{Interruptions, after_turns, law, run_to_the_end};

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Below `limit`.
    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.throw() % limit).expect("a small number")
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Of every order of magnitude, zero included.
    fn length(&mut self) -> usize {
        match self.below(5) {
            0 => self.below(3),
            1 => self.below(100),
            2 => self.below(70_000),
            3 => 65_535 + self.below(3),
            _ => self.below(400_000),
        }
    }

    /// Bytes that are all their own, so that a mixed up order shows.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.throw().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// One end of a conversation that writes its chunks in bursts, and ends.
#[derive(Clone)]
struct Talker {
    socket: Socket,
    witness: Witness,
    dice: Rc<RefCell<Dice>>,
    chunks: Rc<RefCell<VecDeque<Vec<u8>>>>,
    /// Waits for `drain` when it is told to, or writes on.
    is_polite: bool,
}

impl Talker {
    fn new(name: &str, socket: Socket, mut dice: Dice, chunks: &[Vec<u8>]) -> Talker {
        let witness = Witness::of(name, socket);
        let is_polite = dice.one_in(2);
        let chunks = Rc::new(RefCell::new(chunks.iter().cloned().collect()));
        let talker = Talker { socket, witness, dice: Rc::new(RefCell::new(dice)), chunks, is_polite };
        // A consumer from the start: what the law promises is for bytes that somebody consumes.
        talker.witness.clone().with_data(socket);
        let own = talker.clone();
        socket.on_data(move |_, _| own.pause_perhaps());
        let own = talker.clone();
        socket.on_drain(move |_| own.talk());
        talker
    }

    /// Stops the flow for some turns, also from within the very `data` that it stops.
    fn pause_perhaps(&self) {
        let mut dice = self.dice.borrow_mut();
        if !dice.one_in(4) {
            return;
        }
        let (socket, turns) = (self.socket, dice.below(4));
        socket.pause();
        let turns = u32::try_from(turns).expect("a small number");
        after_turns(turns, move || {
            socket.resume();
        });
    }

    /// Writes some chunks, then goes on at `drain` or a turn later.
    fn talk(&self) {
        loop {
            if self.socket.writable_ended() || self.socket.destroyed() {
                return;
            }
            let Some(chunk) = self.chunks.borrow_mut().pop_front() else {
                self.end();
                return;
            };
            let written = if self.dice.borrow_mut().one_in(2) {
                self.socket.write(&chunk)
            } else {
                self.socket.write_with(chunk, self.witness.callback("write callback"))
            };
            if !written && self.is_polite && !self.socket.connecting() {
                return;
            }
            if self.dice.borrow_mut().one_in(3) {
                let own = self.clone();
                return after_turns(1, move || own.talk());
            }
        }
    }

    fn end(&self) {
        if self.dice.borrow_mut().one_in(2) {
            self.socket.end();
        } else {
            self.socket.end_with(self.witness.callback("end callback"));
        }
    }
}

/// What was sent from each end, and the two witnesses.
struct Conversation {
    sent: [Vec<u8>; 2],
    witnesses: [Witness; 2],
}

/// Plays the conversation of `seed`. `interfere` is given both sockets once both are there.
fn converse(
    event_loop: &mut EventLoop,
    seed: u64,
    interfere: impl FnOnce([Socket; 2], &mut Dice) + 'static,
) -> Conversation {
    let mut dice = Dice(seed);
    let mut script = || {
        let count = dice.below(12);
        (0..count).map(|_| dice.length()).collect::<Vec<_>>()
    };
    let (lengths, other_lengths) = (script(), script());
    let mut write = |lengths: Vec<usize>| lengths.into_iter().map(|length| dice.bytes(length)).collect::<Vec<_>>();
    let (client_chunks, server_chunks) = (write(lengths), write(other_lengths));
    let sent = [client_chunks.concat(), server_chunks.concat()];

    let server_options = ServerOptions::new().allow_half_open(true).pause_on_connect(dice.one_in(4));
    let paused = dice.clone().one_in(4);
    let mark = 1 + dice.below(100_000);
    let client_options = ConnectOptions::new().allow_half_open(true).high_water_mark(mark);
    let (client_dice, accepted_dice, mut interference) = (Dice(dice.throw()), Dice(dice.throw()), Dice(dice.throw()));
    let client_witness = Rc::new(RefCell::new(None));
    let accepted_witness = Rc::new(RefCell::new(None));
    let (client_place, accepted_place) = (client_witness.clone(), accepted_witness.clone());
    let client_socket = Rc::new(Cell::new(None));
    let client_of = client_socket.clone();
    let mut interfere = Some(interfere);
    let mut talker = Some((accepted_dice, server_chunks));
    let server = net::create_server_with(server_options, move |accepted| {
        accepted.server().expect("the accepting server").close();
        let (dice, chunks) = talker.take().expect("one connection");
        let talker = Talker::new("the accepted socket", accepted, dice, &chunks);
        *accepted_place.borrow_mut() = Some(talker.witness.clone());
        after_turns(2, move || {
            accepted.resume();
        });
        talker.talk();
        let both = [client_of.get().expect("it connected"), accepted];
        interfere.take().expect("one connection")(both, &mut interference);
    });
    server.once_listening(move |server| {
        let client = net::connect(client_options.host("127.0.0.1").port(port_of(server))).expect("connect");
        client_socket.set(Some(client));
        let talker = Talker::new("the client", client, client_dice, &client_chunks);
        *client_place.borrow_mut() = Some(talker.witness.clone());
        if paused {
            client.pause();
            client.once_ready(|client| {
                after_turns(3, move || {
                    client.resume();
                });
            });
        }
        talker.talk();
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    assert_eq!(run_to_the_end(event_loop), Interruptions::default(), "seed {seed}");
    server.release();
    let witnesses = [client_witness, accepted_witness].map(|place| place.take().expect("both ends were there"));
    Conversation { sent, witnesses }
}

/// Law 4: everything arrives once, in order, before `end`, whatever the sizes, the pauses and the marks.
#[test]
fn law_4_bytes_arrive_once_and_in_order() {
    law(|event_loop| {
        for seed in 0..60 {
            let Conversation { sent: [from_client, from_server], witnesses: [client, accepted] } =
                converse(event_loop, seed, |_, _| ());
            client.assert_over(&seed);
            accepted.assert_over(&seed);
            assert_eq!((client.errors(), accepted.errors()), (0, 0), "seed {seed}");
            assert!(accepted.received() == from_client, "seed {seed}: from the client");
            assert!(client.received() == from_server, "seed {seed}: from the server");
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "seed {seed}");
        }
    });
}

/// Law 4: when one end is destroyed, reset or failed in the middle, both close once, what arrived is the beginning of what
/// was sent, and every callback is called.
#[test]
fn law_4_an_interrupted_connection_is_over_once() {
    law(|event_loop| {
        for seed in 1_000..1_100 {
            let conversation = converse(event_loop, seed, |both, dice| {
                let (victim, way) = (both[dice.below(2)], dice.below(6));
                let turns = u32::try_from(dice.below(6)).expect("a small number");
                after_turns(turns, move || {
                    match way {
                        0 => victim.destroy(),
                        1 => victim.destroy_with("interrupted"),
                        2 => victim.reset_and_destroy().expect("a TCP socket"),
                        3 => victim.destroy_soon(),
                        4 => victim.end().destroy(),
                        _ => victim.destroy().destroy_with("too late"),
                    };
                    // What is left of the other end.
                    after_turns(20, move || both.into_iter().for_each(|socket| _ = socket.destroy()));
                });
            });
            let [client, accepted] = conversation.witnesses;
            client.assert_over(&seed);
            accepted.assert_over(&seed);
            let [from_client, from_server] = conversation.sent;
            assert!(from_client.starts_with(&accepted.received()), "seed {seed}: from the client");
            assert!(from_server.starts_with(&client.received()), "seed {seed}: from the server");
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "seed {seed}");
        }
    });
}

/// Law 4 with a peer that is no part of the library, and writes with sizes of its own.
#[test]
fn law_4_bytes_of_a_foreign_peer_arrive_once_and_in_order() {
    law(|event_loop| {
        for seed in 0..10 {
            let listener = RawListener::bind();
            let address = listener.address();
            let peer = in_thread(move || {
                let (mut peer, mut dice, mut sent) = (listener.accept(), Dice(seed), Vec::new());
                for _ in 0..30 {
                    let length = dice.length();
                    let bytes = dice.bytes(length);
                    peer.write(&bytes);
                    sent.extend_from_slice(&bytes);
                }
                peer.half_close();
                let answer = peer.read_to_end().expect("no reset");
                (sent, answer)
            });
            let client = net::connect(address).expect("connect");
            let talker = Talker::new("the client", client, Dice(!seed), &[Dice(seed + 77).bytes(300_000)]);
            client.once_ready({
                let talker = talker.clone();
                move |_| talker.talk()
            });
            assert_eq!(run_to_the_end(event_loop), Interruptions::default(), "seed {seed}");
            let (sent, answer) = peer.join();
            assert!(talker.witness.received() == sent, "seed {seed}");
            assert!(answer == Dice(seed + 77).bytes(300_000), "seed {seed}: the answer");
            talker.witness.assert_over(&seed);
        }
    });
}

/// Law 4: after `close` come the callbacks that the connection owes, and nothing else; here two writes, one of them in the
/// middle, and an end.
#[test]
fn law_4_owed_callbacks_come_and_nothing_else() {
    law(|event_loop| {
        let log = Log::new();
        // A peer that reads nothing.
        let peer = RawListener::bind();
        let client = net::connect(peer.address()).expect("connect");
        let told = move |name: &'static str| {
            move |_: Socket, result: Result<(), &halfclose::Error>| {
                log.add("C", crate::support::outcome(name, result));
            }
        };
        client.on_ready(move |client| {
            client.on_data(move |_, _| log.add_data("C"));
            client.write_with(vec![1; 20_000_000], told("first"));
            client.write_with("more", told("second"));
            client.end_with(told("end"));
            after_turns(2, move || {
                client.destroy();
                client.write_with("too late", told("late"));
            });
        });
        for listen in [Socket::on_end, Socket::on_finish, Socket::on_drain] {
            listen(client, Box::new(move |_| log.add("C", "an event")) as Box<dyn FnMut(Socket)>);
        }
        client.on_error(move |_, error| log.add("C", error));
        client.on_close(move |client, had_error| {
            log.add("C", format!("close({had_error})"));
            client.end_with(told("end in close"));
            client.destroy_with("ignored");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "late(ERR_STREAM_WRITE_AFTER_END) |x first(write ECANCELED), second(write ECANCELED), end(write ECANCELED) \
             |x close(false) ~ end in close(ERR_STREAM_DESTROYED)",
        );
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 4 at its edge: chunks that were buffered one by one flow in one go, and Node does not stop that flow when a listener
/// destroys the socket in the middle of it. They still come once, in order and before `close`; what the kernel holds does
/// not come.
#[test]
fn law_4_a_flow_that_has_begun_is_finished() {
    law(|event_loop| {
        let (log, raw) = (Log::new(), RawListener::bind());
        let client = net::connect(raw.address()).expect("connect");
        client.on_data(move |client, bytes| {
            log.add("C", String::from_utf8_lossy(bytes));
            if bytes == b"1" {
                client.destroy();
            }
        });
        client.on_end(|_| unreachable!("destroyed"));
        client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        fn write_one_by_one(mut peer: RawPeer, client: Socket, mut left: VecDeque<&'static str>) {
            let before = client.readable_length();
            let Some(bytes) = left.pop_front() else {
                client.resume();
                // Unread when the socket is destroyed in the next tick.
                return peer.write(b"4");
            };
            peer.write(bytes.as_bytes());
            wait_until(move || client.readable_length() > before, move || write_one_by_one(peer, client, left));
        }
        client.on_ready(move |client| {
            client.pause();
            write_one_by_one(raw.accept(), client, VecDeque::from(["1", "2", "3"]));
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "1, 2, 3 |x close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Calls `then` in a callback of its own once `condition` holds.
fn wait_until(condition: impl Fn() -> bool + 'static, then: impl FnOnce() + 'static) {
    set_immediate(move || if condition() { then() } else { wait_until(condition, then) });
}

/// Law 4: of two failures only the first is an `error`.
#[test]
fn law_4_the_first_error_is_the_only_one() {
    law(|event_loop| {
        let log = Log::new();
        let (peer, socket) = (RawListener::bind(), Socket::new());
        socket.on_error(move |socket, error| {
            log.add("C", format!("error({error})"));
            socket.destroy_with("third");
            socket.write("a failing write");
        });
        socket.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        socket.on_ready(|socket| {
            socket.end();
            socket.write("after end: the first error");
            socket.destroy_with("second");
        });
        socket.connect(peer.address()).expect("connect");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "error(write after end) |x close(true)");
    });
}
