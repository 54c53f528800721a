//! The examples' demonstrations, run as their users run them: exit code and output are checked, each with a deadline.
//!
//! May touch: child processes, loopback sockets of std and libc for signals, not the library. `cargo test` builds the
//! examples; `cargo test --test examples` alone does not, and needs `cargo build --examples` before it, or runs what
//! was built last. Invariant: no child outlives its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long an example may take. They take two seconds at most; this only has to be longer than the slowest machine's
/// bad moment.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn proxy_cuts_nothing() {
    let output = Example::start("proxy", &[]).succeed();
    assert_lines(&output, &["upstream: answers", "client: the answer has ended, 33554432 bytes", "nothing was cut"]);
}

#[test]
fn proxy_between_foreign_peers() {
    let upstream = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let target = upstream.local_addr().expect("an address").to_string();
    let mut proxy = Example::start("proxy", &["--port", "0", "--to", &target]);
    let mut client = proxy.connect();
    client.write_all(b"question").expect("the proxy listens");
    client.shutdown(Shutdown::Write).expect("still connected");

    let (mut far, _) = upstream.accept().expect("the proxy connects");
    far.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
    let mut question = String::new();
    far.read_to_string(&mut question).expect("passed on, and ended");
    far.write_all(b"late answer").expect("still open");
    drop(far);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("passed on, and ended");
    assert_eq!((question.as_str(), answer.as_str()), ("question", "late answer"));
}

#[test]
fn proxy_resets_when_nobody_answers() {
    // A port that was free a moment ago, and that nothing listens on.
    let target = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("an address").to_string();
    let mut proxy = Example::start("proxy", &["--port", "0", "--to", &target]);
    let mut client = proxy.connect();
    let error = client.read(&mut [0]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn chat_drops_the_sleeper() {
    let output = Example::start("chat", &[]).succeed();
    assert_lines(
        &output,
        &["bob hears: ann: hello bob, wherever you are", "bob hears: * cat is here", "bob hears: * cat is gone"],
    );
}

#[test]
fn chat_among_foreign_peers() {
    let mut room = Example::start("chat", &["--port", "0"]);
    let mut eve = BufReader::new(room.connect());
    let mut zoe = BufReader::new(room.connect());
    assert_eq!((line(&mut eve), line(&mut zoe)), ("your name?\n".into(), "your name?\n".into()));
    eve.get_mut().write_all(b"eve\r\n").expect("still connected");
    assert_eq!(line(&mut eve), "* you are in\n");
    // An empty name is asked for again.
    zoe.get_mut().write_all("\nzoë\nhi".as_bytes()).expect("still connected");
    assert_eq!((line(&mut zoe), line(&mut zoe)), ("your name?\n".into(), "* you are in\n".into()));
    assert_eq!(line(&mut eve), "* zoë is here\n");
    zoe.get_mut().write_all(b"\x1b there\n").expect("still connected");
    assert_eq!(line(&mut eve), "zoë: hi there\n");
    drop(zoe);
    assert_eq!(line(&mut eve), "* zoë is gone\n");

    eve.get_mut().write_all(&[b'x'; 5000]).expect("still connected");
    let mut rest = String::new();
    // It ends in good order, or with a reset if something of the line was still on its way.
    let _ = eve.read_to_string(&mut rest);
    assert!(rest.is_empty() || rest == "this line is too long\n", "{rest:?}");
}

#[test]
fn half_open_on_and_off() {
    let output = Example::start("half_open", &[]).succeed();
    let (without, with) = output.split_once("allow_half_open(true)").expect("two parts");
    for expected in [
        "server: data 'question', end, finish, close(false)\n",
        "client: connect, finish, end, close(false)\n",
        "server: (already closed, cannot answer)\n",
    ] {
        assert!(without.contains(expected), "{expected:?} is missing in {output}");
    }
    for expected in [
        "server: data 'question', end, (still writeOnly, answers), finish, close(false)\n",
        "client: connect, finish, data 'answer', end, close(false)\n",
    ] {
        assert!(with.contains(expected), "{expected:?} is missing in {output}");
    }
}

#[test]
fn idle_timeout_is_a_notification() {
    // So long that a machine with much else to do does not make silences of its own.
    let output = Example::start("idle_timeout", &["1500"]).succeed();
    let expected = [
        "server: 'still here'",
        "server: timeout, and the socket is still open",
        "server: 'back again'",
        "server: timeout again, destroyed",
        "server: close(false)",
    ];
    assert_lines(&output, &expected);
    assert_eq!(output.matches("timeout").count(), 2, "{output}");
}

#[test]
fn sigterm_drains() {
    for arguments in [&[][..], &["--self-test"]] {
        let output = Example::start("sigterm_drain", arguments).succeed();
        assert_lines(
            &output,
            &[
                "draining: no new connections, 2 to end",
                "polite: goodbye",
                "polite: close(false)",
                "latecomer: ECONNREFUSED",
                "draining: no more patience, 1 reset",
                "drained",
            ],
        );
    }
}

#[test]
fn a_second_signal_resets() {
    let mut service = Example::start("sigterm_drain", &["--port", "0"]);
    let mut client = service.connect();
    client.write_all(b"hello\n").expect("still connected");
    let mut echo = [0; 6];
    client.read_exact(&mut echo).expect("the echo");
    service.signal(libc::SIGINT);
    let mut goodbye = String::new();
    client.read_to_string(&mut goodbye).expect("an orderly end");
    assert_eq!(goodbye, "goodbye\n");
    // This side is not ended: without the second signal it would take the service's whole patience.
    let start = Instant::now();
    service.signal(libc::SIGTERM);
    let output = service.succeed();
    assert_lines(&output, &["draining: no new connections, 1 to end", "draining: another signal, 1 reset", "drained"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Two loops on one thread: what each sees comes in its order, and neither waits for the other.
#[test]
fn an_epoll_loop_around_the_loop() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let output = Example::start("embedded_epoll", &[]).succeed();
    let guest = ["guest: echo of 'one'", "guest: echo of 'two'", "guest: closed", "host: both are done"];
    assert_lines(&output, &guest);
    assert_lines(&output, &["host: 20.5 °C", "host: 20.7 °C", "host: 20.6 °C", "host: both are done"]);
}

#[test]
fn a_mio_loop_around_the_loop() {
    let output = Example::start("embedded_mio", &[]).succeed();
    let expected = ["host: ping 1", "host: ping 2", "guest: 3 lines", "client: 3 lines were counted"];
    assert_lines(&output, &expected);
    assert_lines(&output, &["host: nothing is left"]);
}

#[test]
fn frames_around_the_loop() {
    let output = Example::start("frame_loop", &[]).succeed();
    // Where a kick reaches the world depends on the machine; that the first comes after frame 15 does not.
    let expected = ["frame 10: the ball is at 10", "player: kicks after 15 frames", "player: kicks after 45 frames"];
    assert_lines(&output, &expected);
    assert!(output.contains("frame 50: the ball is at ") && output.ends_with("player: gone\n"), "{output}");
}

/// Every thread's loop accepts, and together they accept everybody.
#[test]
fn several_loops_share_a_port() {
    let output = Example::start("multi_core", &["--threads", "2"]).succeed();
    assert_lines(&output, &["together: 64 connections"]);
    let served: Vec<u32> = (0..2).map(|number| number_after(&output, &format!("loop {number}: "))).collect();
    assert_eq!(served.iter().sum::<u32>(), 64, "{output}");
    // One of 2^63 runs deals them all to the same.
    assert!(served.iter().all(|served| *served > 0), "{output}");
}

#[test]
fn several_loops_serve_foreign_peers() {
    let mut service = Example::start("multi_core", &["--port", "0", "--threads", "3"]);
    let mut clients: Vec<TcpStream> = (0..10).map(|_| service.connect()).collect();
    for client in &mut clients {
        client.write_all(b"hello").expect("still connected");
        let mut echo = [0; 5];
        client.read_exact(&mut echo).expect("the echo");
        assert_eq!(&echo, b"hello");
    }
}

/// One loop accepts, the others serve in turn.
#[test]
fn accepted_sockets_go_to_other_loops() {
    let output = Example::start("hand_over", &["--threads", "3"]).succeed();
    let answer = |client: usize| format!("client {client}: hello client {client}, this is worker {}", (client - 1) % 3);
    let expected: Vec<String> = (1..=6).map(answer).chain([String::from("worker 2: stopped")]).collect();
    assert_lines(&output, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn foreign_peers_are_handed_over() {
    let mut service = Example::start("hand_over", &["--port", "0", "--threads", "1"]);
    for _ in 0..3 {
        let mut client = service.connect();
        // In pieces, and with something behind the line.
        for piece in ["e", "ve", "\nnobody listens\n"] {
            client.write_all(piece.as_bytes()).expect("still connected");
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an orderly end");
        assert_eq!(answer, "hello eve, this is worker 0");
    }
    let mut endless = service.connect();
    endless.write_all(&[b'x'; 300]).expect("still connected");
    // It ends in good order, or with a reset if something was still on its way.
    assert!(endless.read(&mut [0]).map_or(true, |count| count == 0));
}

#[test]
fn usage_errors_are_2() {
    let cases: [(&str, &[&str], &str); 11] = [
        ("proxy", &["--port", "0"], "proxy: --to is missing"),
        ("proxy", &["--to", "here:1"], "proxy: --port is missing"),
        ("proxy", &["--port", "0", "--to", "here"], "proxy: --to: \"here\" is not HOST:PORT"),
        ("proxy", &["--port", "0", "--to", ":1"], "proxy: --to: \":1\" names no host"),
        ("chat", &["--port"], "chat: --port needs a value"),
        ("chat", &["--port", "65536"], "chat: --port: \"65536\" is not between 0 and 65535"),
        ("sigterm_drain", &["--port", "x"], "sigterm_drain: --port: \"x\" is not between 0 and 65535"),
        ("sigterm_drain", &["--self-test", "now"], "sigterm_drain: \"now\" is too much"),
        ("multi_core", &["--threads", "0"], "multi_core: --threads: \"0\" is not between 1 and 1024"),
        ("multi_core", &["--cores"], "multi_core: unknown argument \"--cores\""),
        ("hand_over", &["--port", "-1"], "hand_over: --port: \"-1\" is not between 0 and 65535"),
    ];
    for (name, arguments, message) in cases {
        let (status, output, complaint) = Example::start(name, arguments).finish();
        assert_eq!(status.code(), Some(2), "{name} {arguments:?}: {complaint}");
        assert_eq!(output, "", "{name} {arguments:?}");
        assert!(complaint.starts_with(&format!("{message}\nusage: {name} ")), "{complaint}");
    }
}

/// A running example. Killed when it is dropped before its end.
struct Example {
    name: &'static str,
    child: Child,
    output: Receiver<String>,
    complaint: Receiver<String>,
    port: Option<u16>,
}

impl Example {
    fn start(name: &'static str, arguments: &[&str]) -> Example {
        let mut command = Command::new(path_of(name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; cargo build --examples"));
        let output = lines_of(child.stdout.take().expect("piped"));
        let complaint = lines_of(child.stderr.take().expect("piped"));
        Example { name, child, output, complaint, port: None }
    }

    /// A connection to an example that announces where it listens.
    fn connect(&mut self) -> TcpStream {
        let port = *self.port.get_or_insert_with(|| {
            let announcement = self.output.recv_timeout(DEADLINE).expect("an announcement in time");
            let address = announcement.strip_prefix("listening on ").expect("the announcement").trim_end();
            address.parse::<SocketAddr>().expect("an address").port()
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
        stream
    }

    fn signal(&self, signal: libc::c_int) {
        let process = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: no memory is passed. The child was not waited for, so its id is not another process's.
        assert_eq!(unsafe { libc::kill(process, signal) }, 0, "kill");
    }

    /// Waits for the end, and returns what was printed from here on.
    fn succeed(self) -> String {
        let name = self.name;
        let (status, output, complaint) = self.finish();
        assert!(status.success(), "{name}: {status}\n{output}\n{complaint}");
        assert_eq!(complaint, "", "{name}\n{output}");
        output
    }

    fn finish(mut self) -> (ExitStatus, String, String) {
        let start = Instant::now();
        let (output, complaint) = (text_until(start, &self.output), text_until(start, &self.complaint));
        loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => return (status, output, complaint),
                None if start.elapsed() < DEADLINE => thread::yield_now(),
                None => panic!("{}: still running after {DEADLINE:?}\n{output}\n{complaint}", self.name),
            }
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Examples lie beside the folder of the test binaries.
fn path_of(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this binary");
    let profile = test.parent().and_then(Path::parent).expect("two folders above it");
    profile.join("examples").join(example)
}

/// A stream's lines, read by a thread of its own, so that whoever waits for them can give up.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if sender.send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}

/// The lines to the end of a stream, or up to the deadline.
fn text_until(start: Instant, lines: &Receiver<String>) -> String {
    let mut text = String::new();
    while let Ok(line) = lines.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
        text.push_str(&line);
    }
    text
}

fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line in time");
    line
}

/// The number behind the first occurrence of `text`.
fn number_after(output: &str, text: &str) -> u32 {
    let (_, rest) = output.split_once(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{output}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Every one of `expected` is the end of a line, in this order; other lines may lie between.
fn assert_lines(output: &str, expected: &[&str]) {
    let mut lines = output.lines();
    for &wanted in expected {
        assert!(lines.any(|line| line.ends_with(wanted)), "{wanted:?} is missing or out of order in\n{output}");
    }
}
