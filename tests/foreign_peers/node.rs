//! Real Node as the peer, in both directions, where there is one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::LoopHandle;
use halfclose::net::{self, Chunk, ConnectOptions, Encoding, ServerOptions, Socket};

use crate::pattern;
use crate::support::{self, Log, NodeProgram, callback, port_of, watch_data_bytes, watch_socket};

/// Stops a loop that outlives its peer by far: Node takes a moment to start, and more on a busy machine.
fn stop_after(handle: LoopHandle, limit: Duration) -> std::sync::mpsc::Sender<()> {
    let (done, finished) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if finished.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            handle.stop();
        }
    });
    done
}

/// X1, X4, L10 with a Node client: a megabyte to our echo and back, and both ends.
#[test]
fn a_node_client_is_echoed() {
    let Some(binary) = support::node() else { return };
    let script = r#"
        const net = require('net'), sent = Buffer.alloc(1 << 20, 'halfclose');
        const seen = [], received = [];
        const socket = net.connect({port: +process.argv[1], host: '127.0.0.1'}, () => socket.end(sent));
        for (const name of ['connect', 'ready', 'end', 'finish', 'error'])
            socket.on(name, () => seen.push(name));
        socket.on('data', chunk => received.push(chunk));
        socket.on('close', hadError => {
            seen.push(`close(${hadError})`);
            console.log(seen.join(' ') + ' ' + Buffer.concat(received).equals(sent));
        });
    "#;
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server_with(ServerOptions::new().allow_half_open(true), move |socket| {
            watch_socket(&log, "S", socket);
            socket.on_data(move |socket, bytes| {
                log.add_data_length("S", bytes.len());
                if !socket.write(bytes) {
                    socket.pause();
                }
            });
            socket.on_drain(|socket| {
                socket.resume();
            });
            socket.on_end(|socket| {
                socket.end();
            });
            socket.server().expect("the accepting server").close();
        });
        let running = Rc::new(Cell::new(None));
        let started = running.clone();
        server.once_listening(move |server| {
            started.set(Some(NodeProgram::start(&binary, script, &[port_of(server).to_string()])));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let _deadline = stop_after(event_loop.handle(), support::PEER_DEADLINE);
        event_loop.run().expect("no unhandled error");
        let output = running.take().expect("the server listened").finish();
        assert_eq!(output.trim(), "connect ready finish end close(false) true");
        let events: Vec<String> = log.texts_of("S").into_iter().filter(|text| text != "drain").collect();
        let total: usize =
            events.iter().filter_map(|text| text.strip_prefix("data(")?.strip_suffix(')')?.parse::<usize>().ok()).sum();
        assert_eq!(total, 1 << 20);
        assert_eq!(events[events.len() - 3..], ["end", "finish", "close(false)"]);
    });
}

/// X13 with a Node client: its reset is our error.
#[test]
fn a_node_client_resets() {
    let Some(binary) = support::node() else { return };
    let script = r#"
        const net = require('net');
        const socket = net.connect({port: +process.argv[1], host: '127.0.0.1'});
        socket.on('data', data => { console.log(`${data}`); socket.resetAndDestroy(); });
        socket.on('close', hadError => console.log(`close(${hadError})`));
    "#;
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            socket.write("hello client");
            socket.server().expect("the accepting server").close();
        });
        let running = Rc::new(Cell::new(None));
        let started = running.clone();
        server.once_listening(move |server| {
            started.set(Some(NodeProgram::start(&binary, script, &[port_of(server).to_string()])));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let _deadline = stop_after(event_loop.handle(), support::PEER_DEADLINE);
        event_loop.run().expect("no unhandled error");
        let output = running.take().expect("the server listened").finish();
        assert_eq!(output, "hello client\nclose(false)\n");
        log.assert_of("S", "error(read ECONNRESET) |x close(true)");
    });
}

/// A Node server that prints its port, serves one connection with `body`, and prints what it saw.
fn node_server(binary: &std::path::Path, body: &str) -> (NodeProgram, u16) {
    let script = format!(
        r#"
        const net = require('net'), seen = [];
        const server = net.createServer({{allowHalfOpen: true}}, socket => {{
            server.close();
            for (const name of ['end', 'finish']) socket.on(name, () => seen.push(name));
            socket.on('error', error => seen.push(error.message));
            socket.on('close', hadError => {{ seen.push(`close(${{hadError}})`); console.log(seen.join(' ')); }});
            {body}
        }});
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
        "#
    );
    let mut node = NodeProgram::start(binary, &script, &[""; 0]);
    let line = node.line();
    (node, line.trim().parse().expect("a port"))
}

/// X2, X4 with a Node server: a megabyte there and back, and both ends.
#[test]
fn a_node_server_echoes() {
    let Some(binary) = support::node() else { return };
    let (node, port) = node_server(&binary, "socket.pipe(socket);");
    support::test(|event_loop| {
        let log = Log::new();
        let sent = pattern(1 << 20);
        let expected = sent.clone();
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        watch_socket(&log, "C", client);
        let mut received = Vec::new();
        client.on_data(move |_, bytes| {
            received.extend_from_slice(bytes);
            if received.len() == expected.len() {
                assert!(received == expected);
                log.add("C", "everything");
            }
        });
        client.once_ready(move |client| {
            client.write_with(sent, callback(&log, "C", "written"));
            client.end_with(callback(&log, "C", "ended"));
        });
        event_loop.run().expect("no unhandled error");
        // Whether the last echoed byte or our own end comes first is up to the two processes.
        let mut events = log.texts_of("C");
        assert_eq!(events[..3], ["connectionAttempt", "connect", "ready"]);
        assert_eq!(events[events.len() - 2..], ["end", "close(false)"]);
        let mut between = events.split_off(3);
        between.truncate(between.len() - 2);
        assert_eq!(
            between.iter().filter(|text| *text != "everything").cloned().collect::<Vec<_>>(),
            ["written", "ended", "finish"]
        );
        assert!(between.contains(&"everything".to_owned()));
        assert_eq!(node.finish().trim(), "end finish close(false)");
    });
}

/// X13 with a Node server: our reset is its error.
#[test]
fn a_node_server_sees_our_reset() {
    let Some(binary) = support::node() else { return };
    let (node, port) = node_server(&binary, "socket.resume(); socket.write('hello');");
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        watch_socket(&log, "C", client);
        client.on_data(move |client, bytes| {
            log.add_data_bytes("C", bytes);
            client.reset_and_destroy().expect("a TCP socket");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | data(hello) |x close(false)");
        assert_eq!(node.finish().trim(), "read ECONNRESET close(true)");
    });
}

/// X18, X5 with a Node server: it ends first, and we answer afterwards.
#[test]
fn a_node_server_ends_first() {
    let Some(binary) = support::node() else { return };
    let (node, port) = node_server(&binary, "socket.end('question'); socket.on('data', data => seen.push(`${data}`));");
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("127.0.0.1").port(port).allow_half_open(true);
        let client = net::connect(options).expect("connect");
        watch_socket(&log, "C", client);
        watch_data_bytes(&log, "C", client);
        client.on_end(move |client| {
            halfclose::set_immediate(move || {
                client.end_data("answer");
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | data(question) | ~ end | ~ finish |x close(false)");
        assert_eq!(node.finish().trim(), "finish answer end close(false)");
    });
}

/// Text in all encodings: each is sent beside its UTF-8, from which Node makes the bytes itself.
#[test]
fn node_encodes_the_same() {
    const ROUNDS: u32 = 4_000;
    let Some(binary) = support::node() else { return };
    let body = r#"
        const chunks = [];
        socket.on('data', chunk => chunks.push(chunk));
        socket.on('end', () => {
            const all = Buffer.concat(chunks);
            let at = 0, cases = 0, different = 0;
            const field = () => {
                const start = at + 4;
                at = start + all.readUInt32LE(at);
                return all.subarray(start, at);
            };
            while (at < all.length) {
                const encoding = field().toString(), text = field().toString(), bytes = field();
                cases++;
                if (bytes.equals(Buffer.from(text, encoding))) continue;
                if (different++ < 5) seen.push(`${encoding} ${JSON.stringify(text)} ${bytes.toString('hex')}`);
            }
            seen.push(`${cases} cases, ${different} different`);
            socket.end();
        });
    "#;
    let (node, port) = node_server(&binary, body);
    let mut sent = 0;
    support::test(|event_loop| {
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        client.resume();
        client.cork();
        let measure = Socket::new().cork();
        let mut random = Random(0x9e37_79b9);
        for _ in 0..ROUNDS {
            let text = random.text();
            for name in ["utf8", "utf16le", "latin1", "ascii", "hex", "base64", "base64url"] {
                // Without the feature `encodings` some are not there.
                let Some(encoding) = Encoding::from_name(name) else { continue };
                send_field(client, measure, name.into());
                send_field(client, measure, text.as_str().into());
                send_field(client, measure, Chunk::encoded(&text, encoding));
                sent += 1;
            }
        }
        measure.destroy();
        client.end();
        event_loop.run().expect("no unhandled error");
    });
    assert!(sent >= 4 * ROUNDS);
    assert_eq!(node.finish().trim(), format!("end {sent} cases, 0 different finish close(false)"));
}

/// A chunk, and before it the number of its bytes, which a corked socket tells.
fn send_field(client: Socket, measure: Socket, chunk: Chunk<'_>) {
    let before = measure.writable_length();
    measure.write(chunk.clone());
    let length = u32::try_from(measure.writable_length() - before).expect("a short text");
    client.write(length.to_le_bytes().to_vec());
    client.write(chunk);
}

/// Xorshift.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }

    /// Digits of hex and base64, with more or less else between them.
    fn text(&mut self) -> String {
        let digits: Vec<char> = "0123456789abcdefABCDEF+/-_QRz".chars().collect();
        let others: Vec<char> = "gx= \n*\0\u{7f}\u{80}é\u{ff}\u{141}\u{13d}€\u{feff}😀\u{10331}".chars().collect();
        let rarity = 1 << self.below(7);
        let from = |random: &mut Random, of: &[char]| of[random.below(of.len())];
        (0..self.below(100))
            .map(|_| if self.below(rarity) == 0 { from(self, &others) } else { from(self, &digits) })
            .collect()
    }
}
