//! Peers that are no part of the library: std's unix sockets, one that passes descriptors, and Node in both directions.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use halfclose::net::{self, ServerOptions};

use crate::Directory;
use crate::support::{self, Log, NodeProgram, PEER_DEADLINE, callback, in_thread, watch_data_bytes, watch_socket};

/// A connection of std whose calls do not wait for ever.
fn with_deadline(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PEER_DEADLINE)).expect("a read timeout");
    stream.set_write_timeout(Some(PEER_DEADLINE)).expect("a write timeout");
    stream
}

/// An echo that half-closes after its peer did, and serves one connection.
fn echo_server(log: Log) -> net::Server {
    net::create_server_with(ServerOptions::new().allow_half_open(true), move |socket| {
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
    })
}

/// The lengths of all `data` entries together.
fn echoed(log: Log) -> usize {
    let texts = log.texts_of("S");
    texts.iter().filter_map(|text| text.strip_prefix("data(")?.strip_suffix(')')?.parse::<usize>().ok()).sum()
}

/// A megabyte to our echo and back, more than any buffer of a unix socket holds.
#[test]
fn a_std_client_is_echoed() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        echo_server(log).listen(&path).expect("listen");
        let peer = in_thread(move || {
            let mut stream = with_deadline(UnixStream::connect(path).expect("a connection"));
            let mut writing = stream.try_clone().expect("a clone");
            let writer = std::thread::spawn(move || {
                writing.write_all(&vec![b'x'; 1 << 20]).expect("room in time");
                writing.shutdown(Shutdown::Write).expect("a half-close");
            });
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("everything in time");
            writer.join().expect("it wrote");
            received.len()
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(peer.join(), 1 << 20);
        assert_eq!(echoed(log), 1 << 20);
        let events: Vec<String> = log.texts_of("S").into_iter().filter(|text| text != "drain").collect();
        assert_eq!(events[events.len() - 3..], ["end", "finish", "close(false)"]);
    });
}

/// A std server ends first; the automatic end of our client is its end.
#[test]
fn a_std_server_ends_first() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let listener = UnixListener::bind(&path).expect("bind");
        let client = net::connect(&path).expect("connect");
        watch_socket(&log, "C", client);
        watch_data_bytes(&log, "C", client);
        let peer = in_thread(move || {
            let mut stream = with_deadline(listener.accept().expect("a connection").0);
            stream.write_all(b"bye").expect("room");
            stream.shutdown(Shutdown::Write).expect("a half-close");
            let mut rest = String::new();
            stream.read_to_string(&mut rest).expect("the end in time");
            rest
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(peer.join(), "");
        log.assert_of("C", "connect, ready | data(bye) | ~ end | ~ finish |x close(false)");
    });
}

/// A read of a unix socket stops behind bytes that came with a descriptor, however much is there. Neither the bytes behind
/// it nor the end may wait for another event, and the descriptor is nobody's: it is closed by the kernel.
#[test]
#[cfg(target_os = "linux")]
fn bytes_behind_a_passed_descriptor_are_not_forgotten() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let passed = UnixStream::pair().expect("a pair");
        // Connected, filled and half-closed before the loop looks at it.
        let (ours, theirs) = passed;
        let mut stream = None;
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            watch_data_bytes(&log, "S", socket);
            socket.server().expect("the accepting server").close();
        });
        server.listen(&path).expect("listen");
        let client = stream.insert(with_deadline(UnixStream::connect(&path).expect("a connection")));
        for text in ["one ", "two ", "three"] {
            send_with_descriptor(client, text.as_bytes(), &theirs).expect("room");
        }
        drop(theirs);
        // The other direction stays open, so the end comes alone and without a hang-up.
        client.shutdown(Shutdown::Write).expect("a half-close");
        event_loop.run().expect("no unhandled error");
        assert!(log.of("S").starts_with("data(one two three)"), "{}", log.of("S"));
        assert!(log.of("S").ends_with("close(false)"), "{}", log.of("S"));
        let mut rest = [0; 1];
        ours.set_read_timeout(Some(PEER_DEADLINE)).expect("a read timeout");
        assert_eq!((&ours).read(&mut rest).expect("the kernel closed what was passed"), 0);
    });
}

/// The same while the peer stays silent afterwards: no end, and no other event, tells of what is left.
#[test]
#[cfg(target_os = "linux")]
fn bytes_behind_a_passed_descriptor_need_no_other_event() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let (_ours, theirs) = UnixStream::pair().expect("a pair");
        let server = net::create_server(move |socket| {
            let mut received = Vec::new();
            socket.on_data(move |socket, bytes| {
                received.extend_from_slice(bytes);
                if received == b"one two" {
                    log.add("S", "everything");
                    socket.destroy();
                }
            });
            socket.server().expect("the accepting server").close();
        });
        server.listen(&path).expect("listen");
        let client = UnixStream::connect(&path).expect("a connection");
        send_with_descriptor(&client, b"one ", &theirs).expect("room");
        send_with_descriptor(&client, b"two", &theirs).expect("room");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "everything");
    });
}

/// `sendmsg` with one descriptor beside the bytes.
#[cfg(target_os = "linux")]
fn send_with_descriptor(stream: &UnixStream, bytes: &[u8], passed: &UnixStream) -> io::Result<()> {
    let descriptor = passed.as_raw_fd();
    let length = u32::try_from(size_of_val(&descriptor)).expect("a small number");
    // SAFETY: plain arithmetic.
    let space = unsafe { libc::CMSG_SPACE(length) } as usize;
    // Words, for the alignment of the header.
    let mut control = vec![0_usize; space.div_ceil(size_of::<usize>())];
    let mut slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: numbers and pointers, for which zeros mean none.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = space as _;
    // SAFETY: the control buffer has room for one header and one descriptor, and all pointers live through the call.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(descriptor);
        libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// X4 with a Node client: a megabyte to our echo and back, and both ends.
#[test]
fn a_node_client_is_echoed() {
    let Some(binary) = support::node() else { return };
    let script = r#"
        const net = require('net'), sent = Buffer.alloc(1 << 20, 'halfclose');
        const seen = [], received = [];
        const socket = net.connect(process.argv[1], () => socket.end(sent));
        for (const name of ['connect', 'ready', 'end', 'finish', 'error'])
            socket.on(name, () => seen.push(name));
        socket.on('data', chunk => received.push(chunk));
        socket.on('close', hadError => {
            seen.push(`close(${hadError})`);
            console.log(seen.join(' ') + ' ' + Buffer.concat(received).equals(sent));
        });
    "#;
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let running = Rc::new(Cell::new(None));
        let started = running.clone();
        let goal = path.clone();
        let server = echo_server(log);
        server.once_listening(move |_| started.set(Some(NodeProgram::start(&binary, script, &[&goal]))));
        server.listen(&path).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            running.take().expect("the server listened").finish().trim(),
            "connect ready finish end close(false) true"
        );
        assert_eq!(echoed(log), 1 << 20);
    });
}

/// X2, X4 with a Node server: a megabyte there and back. Its file goes when it closes, and ours to see it is a path.
#[test]
fn a_node_server_echoes() {
    let Some(binary) = support::node() else { return };
    let script = r#"
        const net = require('net'), seen = [];
        const server = net.createServer({allowHalfOpen: true}, socket => {
            server.close();
            for (const name of ['end', 'finish', 'error']) socket.on(name, () => seen.push(name));
            socket.on('close', hadError => { seen.push(`close(${hadError})`); console.log(seen.join(' ')); });
            socket.pipe(socket);
        });
        server.listen(process.argv[1], () => console.log('listening'));
    "#;
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let mut node = NodeProgram::start(&binary, script, &[&path]);
        assert_eq!(node.line().trim(), "listening");
        let client = net::connect(&path).expect("connect");
        watch_socket(&log, "C", client);
        let received = Rc::new(Cell::new(0));
        let counted = received.clone();
        client.on_data(move |_, bytes| counted.set(counted.get() + bytes.len()));
        client.once_ready(move |client| {
            client.write_with(vec![b'x'; 1 << 20], callback(&log, "C", "written"));
            client.end_with(callback(&log, "C", "ended"));
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(received.get(), 1 << 20);
        assert_eq!(log.texts_of("C"), ["connect", "ready", "written", "ended", "finish", "end", "close(false)"]);
        assert_eq!(node.finish().trim(), "end finish close(false)");
        assert!(!path.exists());
    });
}

/// S20 across programs: a Node client finds an abstract name of ours by the same bytes.
#[test]
#[cfg(target_os = "linux")]
fn a_node_client_finds_an_abstract_name() {
    let Some(binary) = support::node() else { return };
    // An argument cannot hold a zero byte, so the script puts it in front.
    let script = r#"
        const socket = require('net').connect('\0' + process.argv[1]);
        socket.on('data', data => console.log(`${data}`));
        socket.on('error', error => console.log(error.message));
    "#;
    support::test(|event_loop| {
        // As long as a name may be, because Node up to version 20 fills shorter ones up with zero bytes, which count.
        let name = format!("{:-<107}", format!("halfclose-unix-{}-node", std::process::id()));
        let running = Rc::new(Cell::new(None));
        let started = running.clone();
        let argument = name.clone();
        let server = net::create_server(|socket| {
            socket.end_data("hello");
            socket.resume();
            socket.server().expect("the accepting server").close();
        });
        server.once_listening(move |_| started.set(Some(NodeProgram::start(&binary, script, &[&argument]))));
        server.listen(net::abstract_name(name)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(running.take().expect("the server listened").finish().trim(), "hello");
    });
}
