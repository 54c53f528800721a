//! System calls that fail, one at a time, by `strace --inject` (FM03, FM09, FM10, FM11, FM12, FM13): the same small
//! conversation in a process of its own, with the nth call of a kind failing.
//!
//! The calls of each thread are counted for themselves, and only that of the loop makes any of these. An injected call is not made at all, so what the kernel would have done in it does not happen: a connection that accept(2)
//! failed to take is there for the next one.
//!
//! May touch: child processes. Skipped, with a line, where there is no `strace` or no right to trace. Invariant: whatever is
//! injected, the child ends by itself, nothing panics, no descriptor is left, and each socket's close is its last event.

use std::time::{Duration, Instant};

use halfclose::EventLoop;
use halfclose::net::{Server, Socket};

use crate::children;
use crate::support::{self, Log, describe, watch_data_bytes, watch_data_length, watch_server, watch_socket};

/// More than all children of one test take on a machine that is busy.
const LONG: Duration = Duration::from_secs(120);

/// More turns than the conversation takes with all its attempts; a loop that does not rest makes thousands.
const FEW_TURNS: u64 = 60;

/// The length of each of the two writes of the answer: too long to be copied into one, so that they go out with one
/// sendmsg(2).
const HALF: usize = 5000;

/// What a child told.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// `new` of the loop failed.
    no_loop: Option<String>,
    /// Turns that failed; the next one goes on.
    turns: Vec<String>,
    server: Vec<String>,
    accepted: Vec<String>,
    client: Vec<String>,
}

impl Outcome {
    /// Whether the error `code` was told to anybody.
    fn tells(&self, code: &str) -> bool {
        self.no_loop
            .iter()
            .chain(&self.server)
            .chain(&self.accepted)
            .chain(&self.client)
            .any(|text| text.contains(code))
    }

    /// What holds whatever failed.
    #[track_caller]
    fn check(&self, injected: &str) {
        for (name, texts) in [("S", &self.accepted), ("C", &self.client)] {
            let errors = texts.iter().filter(|text| text.starts_with("error(")).count();
            let closes = texts.iter().filter(|text| text.starts_with("close(")).count();
            assert!(errors <= 1, "{injected}: {name} {texts:?}");
            assert_eq!(closes, usize::from(!texts.is_empty()), "{injected}: {name} {texts:?}");
            assert!(
                texts.last().is_none_or(|last| *last == format!("close({})", errors == 1)),
                "{injected}: {texts:?}"
            );
        }
    }
}

/// The conversation with an injection, or without one for an empty text.
#[track_caller]
fn converse(injected: &str) -> Outcome {
    let inject = format!("inject={injected}");
    let wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", &inject];
    let told = children::behind(if injected.is_empty() { &[] } else { &wrapper }, "injected::conversation");
    let texts = |name: &str| {
        let line = told.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.into_iter().flat_map(|line| line.split("; ")).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    };
    let outcome = Outcome {
        turns: texts("turn"),
        no_loop: told.iter().find_map(|line| line.strip_prefix("no loop: ")).map(str::to_owned),
        server: texts("srv"),
        accepted: texts("S"),
        client: texts("C"),
    };
    outcome.check(injected);
    outcome
}

fn can_inject() -> bool {
    children::can("strace", &["-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM", "true"])
}

/// Nothing is injected: what the others are compared with.
#[test]
fn the_conversation_without_a_fault() {
    let outcome = converse("");
    assert_eq!(outcome.no_loop, None);
    assert_eq!(outcome.server, ["listening", "connection", "close"]);
    assert_eq!(outcome.accepted, ["data(ping)", "end", "finish", "close(false)"]);
    let client = ["connectionAttempt", "connect", "ready", "data(10000)", "finish", "end", "close(false)"];
    assert_eq!(outcome.client, client);
}

/// FM03: a call that a signal interrupts is made again. (A connect is not; strace cannot interrupt one that goes on.)
#[test]
fn fm03_interrupted_calls_are_made_again() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        for call in ["accept4", "recvfrom", "sendto", "sendmsg", "?epoll_wait,?epoll_pwait"] {
            for which in ["1", "2", "1..3"] {
                let injected = format!("{call}:error=EINTR:when={which}");
                assert_eq!(converse(&injected), undisturbed, "{injected}");
            }
        }
    });
}

/// FM11: a wait that fails is an error of the turn, and of nobody else: the next turn makes it again.
#[test]
fn fm11_waits_that_fail() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        for which in ["1", "2", "3", "4"] {
            let injected = format!("?epoll_wait,?epoll_pwait:error=ENOMEM:when={which}");
            let mut outcome = converse(&injected);
            assert_eq!(std::mem::take(&mut outcome.turns), ["poll ENOMEM"], "{injected}");
            assert_eq!(outcome, undisturbed, "{injected}");
        }
    });
}

/// FM09: a connection that is lost before it is accepted costs nothing but itself, and is no event.
#[test]
fn fm09_a_connection_is_lost_before_it_is_accepted() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        for code in ["ECONNABORTED", "EPROTO", "ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT"] {
            let injected = format!("accept4:error={code}:when=1");
            assert_eq!(converse(&injected), undisturbed, "{injected}");
        }
    });
}

/// FM10, FM11: without memory or descriptors for the next connection, that is told once, and asked again after a rest.
#[test]
fn fm11_connections_cannot_be_accepted() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        for code in ["ENOBUFS", "ENOMEM", "EMFILE", "ENFILE", "EPERM"] {
            let injected = format!("accept4:error={code}:when=1..4");
            let mut outcome = converse(&injected);
            let told = outcome.server.iter().position(|text| *text == format!("accept_error(accept {code})"));
            assert_eq!(told, Some(1), "{injected}: {outcome:?}");
            outcome.server.remove(1);
            assert_eq!(outcome, undisturbed, "{injected}");
        }
    });
}

/// FM11: a write that the kernel has no buffers for is made again after a rest, as often as it takes; nothing is lost or sent
/// twice. One that fails for want of memory is an error.
#[test]
fn fm11_writes_without_memory() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        for call in ["sendto:error=ENOBUFS:when=1", "sendto:error=ENOBUFS:when=1..3", "sendmsg:error=ENOBUFS:when=1..2"]
        {
            assert_eq!(converse(call), undisturbed, "{call}");
        }
        let outcome = converse("sendto:error=ENOMEM:when=1");
        let client = ["connectionAttempt", "connect", "ready", "error(write ENOMEM)", "close(true)"];
        assert_eq!(outcome.client, client);
        let outcome = converse("sendmsg:error=ENOMEM:when=1");
        assert_eq!(outcome.accepted, ["data(ping)", "error(write ENOMEM)", "close(true)"]);
    });
}

/// FM11: a read that fails is an error of its socket, and of no other.
#[test]
fn fm11_reads_without_memory() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        for code in ["ENOMEM", "ENOBUFS"] {
            let outcome = converse(&format!("recvfrom:error={code}:when=1"));
            assert_eq!(outcome.accepted, [format!("error(read {code})"), "close(true)".into()]);
            // What it did not read makes its close a reset.
            assert_eq!(
                outcome.client,
                ["connectionAttempt", "connect", "ready", "error(read ECONNRESET)", "close(true)"]
            );
        }
    });
}

/// FM12: a descriptor that cannot be watched fails, whichever it is: the loop's own, the server, the client or the accepted
/// socket; the others are told by its close.
#[test]
fn fm12_descriptors_that_cannot_be_watched() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let undisturbed = converse("");
        let mut parties = std::collections::BTreeSet::new();
        for code in ["ENOSPC", "ENOMEM"] {
            for number in 1..=5 {
                let injected = format!("epoll_ctl:error={code}:when={number}");
                let outcome = converse(&injected);
                assert_eq!(outcome.tells(code), outcome != undisturbed, "{injected}: {outcome:?}");
                let tells = |texts: &[String]| texts.iter().any(|text| text.contains(code));
                parties.insert(match () {
                    () if outcome.no_loop.is_some() => "loop",
                    () if tells(&outcome.server) => "server",
                    () if tells(&outcome.accepted) => "accepted",
                    () if tells(&outcome.client) => "client",
                    () => "nobody",
                });
            }
        }
        assert_eq!(Vec::from_iter(parties), ["accepted", "client", "loop", "nobody", "server"]);
    });
}

/// FM13: a connect that the kernel rejects is one typed error and one close.
#[test]
fn fm13_connects_that_are_rejected() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let codes =
            ["ECONNREFUSED", "ETIMEDOUT", "EADDRNOTAVAIL", "EHOSTUNREACH", "ENETUNREACH", "EACCES", "EPERM", "ENOBUFS"];
        for code in codes {
            let mut outcome = converse(&format!("connect:error={code}:when=1"));
            if code == "ECONNREFUSED" {
                // Like one that comes over the network, and in libuv: it is an attempt that failed.
                assert_eq!(outcome.client.remove(1), "connectionAttemptFailed(ECONNREFUSED)");
            }
            assert_eq!(outcome.client, ["connectionAttempt", &format!("error(connect {code})"), "close(true)"]);
            assert_eq!(outcome.server, ["listening", "close"]);
            assert!(outcome.accepted.is_empty());
        }
    });
}

/// FM10, FM11: every other call that the conversation makes may fail for want of memory, the first time or the second: the
/// child checks that it ends, rests and leaves nothing behind. But for shutdown(2), which fails for want of a connection
/// only: a peer that is never told of our end waits for it.
#[test]
fn fm11_every_call_may_fail() {
    support::within(LONG, || {
        if !can_inject() {
            return;
        }
        let calls = [
            "epoll_create1",
            "eventfd2",
            "socket",
            "bind",
            "listen",
            "getsockname",
            "getpeername",
            "setsockopt",
            "getsockopt",
        ];
        let mut failed = 0;
        for call in calls {
            for which in ["1", "2", "1+"] {
                let outcome = converse(&format!("{call}:error=ENOMEM:when={which}"));
                failed += usize::from(outcome.tells("ENOMEM"));
            }
        }
        assert!(failed >= 8, "{failed} of them were told");
    });
}

/// A client says ping, is answered with two writes that go out together, and ends.
#[test]
#[ignore = "a system call of its fails: run by the tests above"]
fn conversation() {
    support::within(support::DEADLINE, || {
        let before = support::open_descriptors();
        let log = Log::new();
        let turns = match EventLoop::new() {
            Ok(event_loop) => play(event_loop, log),
            Err(error) => {
                children::tell(format!("no loop: {}", describe(&error)));
                0
            }
        };
        for name in ["srv", "S", "C"] {
            children::tell(format!("{name}: {}", log.texts_of(name).join("; ")));
        }
        assert!(turns < FEW_TURNS, "{turns} turns: {}", log.whole());
        assert_eq!(support::open_descriptors(), before, "nothing is left: {}", log.whole());
    });
}

fn play(mut event_loop: EventLoop, log: Log) -> u64 {
    let server = Server::new();
    watch_server(&log, "srv", server);
    server.on_accept_error(move |_, error| log.add("srv", format!("accept_error({})", describe(error))));
    server.on_connection(move |_, socket| {
        watch_socket(&log, "S", socket);
        watch_data_bytes(&log, "S", socket);
        let mut received = 0;
        socket.on_data(move |socket, bytes| {
            received += bytes.len();
            if received == 4 {
                socket.cork();
                socket.write(&[b'p'; HALF][..]);
                socket.write(&[b'q'; HALF][..]);
                socket.uncork();
            }
        });
    });
    server.once_listening(move |server| {
        // Without an address there is nobody to talk to.
        let Some(address) = server.address() else {
            server.close();
            return;
        };
        let client = Socket::new();
        watch_socket(&log, "C", client);
        watch_data_length(&log, "C", client);
        client.on_close(move |_, _| {
            server.close();
        });
        client.on_connect(|client| {
            client.write("ping");
        });
        let mut received = 0;
        client.on_data(move |client, bytes| {
            received += bytes.len();
            if received == 2 * HALF {
                client.end();
            }
        });
        client.connect(address).expect("no error yet");
    });
    let failed = server.listen(("127.0.0.1", 0)).is_err();
    assert!(!failed, "errors of listen are events");
    let (begin, mut turns) = (Instant::now(), 0);
    loop {
        match event_loop.turn(None) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => children::tell(format!("turn: {}", describe(&error))),
        }
        turns += 1;
        assert!(turns < FEW_TURNS, "it does not rest: {:?}, {}", begin.elapsed(), log.whole());
    }
    assert_eq!(event_loop.connections(), 0, "{}", log.whole());
    turns
}
