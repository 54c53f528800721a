//! Peers that are no part of the library: blocking sockets of std, with threads of their own.
//!
//! May touch: std and socket2. Invariant: nothing waits without a deadline.

use std::any::Any;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::deadline::DEADLINE;
use super::pair::loopback;

/// How long a raw peer waits for bytes, for room or for a connection: shorter than [`DEADLINE`], so that the peer says
/// what it missed before the test is ended.
pub const PEER_DEADLINE: Duration = Duration::from_secs(10);

/// A listening socket of std, on an ephemeral port of 127.0.0.1.
pub struct RawListener {
    listener: TcpListener,
}

impl RawListener {
    pub fn bind() -> RawListener {
        let listener = TcpListener::bind(loopback(0)).expect("bind");
        // Linux honours the receive timeout in accept, too.
        socket2::SockRef::from(&listener).set_read_timeout(Some(PEER_DEADLINE)).expect("a receive timeout");
        RawListener { listener }
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket")
    }

    #[track_caller]
    pub fn accept(&self) -> RawPeer {
        RawPeer::new(self.listener.accept().expect("a connection in time").0)
    }
}

/// A blocking socket of std, whose calls fail after [`PEER_DEADLINE`].
pub struct RawPeer {
    stream: TcpStream,
}

impl RawPeer {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> RawPeer {
        RawPeer::new(TcpStream::connect_timeout(&address, PEER_DEADLINE).expect("a connection in time"))
    }

    fn new(stream: TcpStream) -> RawPeer {
        stream.set_read_timeout(Some(PEER_DEADLINE)).expect("a read timeout");
        stream.set_write_timeout(Some(PEER_DEADLINE)).expect("a write timeout");
        stream.set_nodelay(true).expect("no delay");
        RawPeer { stream }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a bound socket")
    }

    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("written in time");
    }

    /// Writes every byte with a system call of its own; the peer may still read several at once.
    #[track_caller]
    pub fn write_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.stream.write_all(std::slice::from_ref(byte)).expect("written in time");
        }
    }

    /// Exactly `length` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("bytes in time");
        bytes
    }

    /// Everything up to the peer's FIN; an error for a reset.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Waits until the peer's FIN or reset, and says how many bytes came before it.
    pub fn drain(&mut self) -> (u64, Option<io::ErrorKind>) {
        let mut length = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return (length, None),
                Ok(more) => length += more as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (length, Some(error.kind())),
            }
        }
    }

    /// Sends a FIN and goes on reading.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// Closes with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }

    /// Closes; the kernel sends a FIN, or a reset when there are unread bytes.
    pub fn close(self) {
        drop(self.stream);
    }
}

/// A raw peer's thread. Joined with a deadline, so that a peer that hangs fails its test instead of stopping it.
pub struct RawThread<T> {
    result: mpsc::Receiver<thread::Result<T>>,
}

/// Runs a raw peer's part on a thread of its own.
pub fn in_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> RawThread<T> {
    let (sender, result) = mpsc::channel();
    thread::spawn(move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        let _ = sender.send(outcome);
    });
    RawThread { result }
}

impl<T> RawThread<T> {
    #[track_caller]
    pub fn join(self) -> T {
        match self.result.recv_timeout(DEADLINE) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => panic!("the raw peer panicked: {}", panic_text(&*panic)),
            Err(_) => panic!("the raw peer did not finish within {DEADLINE:?}"),
        }
    }
}

/// The message of a panic that was caught.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a text".to_owned())
}

/// A port that refuses connections for as long as the socket is held: bound, but not listening. Nobody else gets it, because
/// the socket does not share its address.
pub fn refusing_port() -> (socket2::Socket, u16) {
    let holder = stream_socket();
    holder.bind(&loopback(0).into()).expect("bind");
    let port = holder.local_addr().expect("an address").as_socket().expect("an IP address").port();
    (holder, port)
}

/// A port for a client to connect from. It lies below the ports that kernels give out by themselves, so that nobody is
/// given it while the test binds it again and again.
pub fn local_port() -> (socket2::Socket, u16) {
    /// Below the ephemeral range of every system here, which begins at 32,768 or 49,152.
    const PORTS: std::ops::Range<u16> = 10_000..30_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    // Each process begins elsewhere: several may run at the same time.
    let begin = (std::process::id() % u32::from(width)) as u16;
    for _ in PORTS {
        let port = PORTS.start + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        let holder = stream_socket();
        if holder.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()).is_ok() {
            // Claimed alone, and from now on shared with those who share too: the sockets of the test. It is never given up in
            // between, or another process could claim it.
            holder.set_reuse_address(true).expect("SO_REUSEADDR");
            return (holder, port);
        }
    }
    panic!("no port between {} and {} is free", PORTS.start, PORTS.end);
}

fn stream_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket")
}
