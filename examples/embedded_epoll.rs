//! The loop as a guest in a program that has an epoll loop of its own.
//!
//! ```sh
//! cargo run --example embedded_epoll
//! ```
//!
//! The program waits in one place only, its own `epoll_wait`: for a line of sensors that a thread of its own feeds, and for
//! the event loop's descriptor. When that is readable, when a timer is due, or when the loop says that something is
//! pending, it turns the loop once, without waiting. The loop serves an echo server and a client, which uses a timer. It
//! ends by itself, when the sensors are silent and the loop has nothing left to do.
//!
//! epoll is Linux's; `embedded_mio` does the same on every system.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    let result = host::run();
    #[cfg(not(target_os = "linux"))]
    let result: Result<(), std::io::Error> = Err(std::io::Error::other("there is no epoll on this system"));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded_epoll: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod host {
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use halfclose::{Error, EventLoop, net, set_timeout};

    /// What the program's own descriptors are known by.
    const SENSORS: u64 = 0;
    const EVENT_LOOP: u64 = 1;

    pub(super) fn run() -> Result<(), Box<dyn std::error::Error>> {
        let mut event_loop = EventLoop::new()?;
        converse()?;
        let mut sensors = start_sensors()?;
        let epoll = Epoll::new()?;
        epoll.add(sensors.as_fd(), SENSORS)?;
        epoll.add(event_loop.as_fd(), EVENT_LOOP)?;

        let (mut sensing, mut alive) = (true, true);
        while sensing || alive {
            // Asked before every wait, because every turn changes the answers.
            let wait = if event_loop.has_pending() {
                Some(Duration::ZERO)
            } else {
                event_loop.next_deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
            };
            let ready = epoll.wait(wait)?;
            if ready == Some(SENSORS) {
                sensing = read_sensors(&mut sensors)?;
            }
            // Whatever ended the wait: a turn with nothing to do costs one system call.
            alive = event_loop.turn(Some(Duration::ZERO))?;
        }
        println!("host: both are done");
        Ok(())
    }

    /// The guest: an echo server, and a client that says something twice.
    fn converse() -> Result<(), Error> {
        let server = net::create_server(|socket| {
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
        });
        server.on_listening(|server| {
            let Some(Ok(client)) = server.address().map(net::connect) else { return };
            client.write("one");
            client.once_data(move |_, bytes| {
                println!("guest: echo of '{}'", String::from_utf8_lossy(bytes));
                set_timeout(Duration::from_millis(50), move || {
                    client.end_data("two");
                });
                client.on_data(|_, bytes| println!("guest: echo of '{}'", String::from_utf8_lossy(bytes)));
            });
            client.on_close(move |_, _| {
                println!("guest: closed");
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0))?;
        Ok(())
    }

    /// Three measurements from another thread, then the end.
    fn start_sensors() -> io::Result<UnixStream> {
        let (near, mut far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        thread::spawn(move || {
            for celsius in ["20.5\n", "20.7\n", "20.6\n"] {
                // In one piece, which a socket between threads passes on as such. It only fails when the program is over.
                let _ = far.write_all(celsius.as_bytes());
                thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(near)
    }

    /// False at the end.
    fn read_sensors(sensors: &mut UnixStream) -> io::Result<bool> {
        let mut buffer = [0; 64];
        match sensors.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                String::from_utf8_lossy(&buffer[..count]).lines().for_each(|line| println!("host: {line} °C"));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// epoll(7), level-triggered, one event at a time.
    struct Epoll(OwnedFd);

    impl Epoll {
        fn new() -> io::Result<Epoll> {
            // SAFETY: no memory is passed.
            let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            // SAFETY: it was opened just now, and belongs to nobody else.
            Ok(Epoll(unsafe { OwnedFd::from_raw_fd(descriptor) }))
        }

        fn add(&self, descriptor: BorrowedFd<'_>, token: u64) -> io::Result<()> {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
            // SAFETY: `event` is valid for the length of the call.
            check(unsafe {
                libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor.as_raw_fd(), &mut event)
            })?;
            Ok(())
        }

        /// The token of one descriptor that is ready, if any is within `limit`.
        fn wait(&self, limit: Option<Duration>) -> io::Result<Option<u64>> {
            // Rounded up: before the deadline nothing is due.
            let round_up = |limit: Duration| limit.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX);
            let milliseconds = limit.map_or(-1, round_up);
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: there is room for one event, for the length of the call.
            let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &mut event, 1, milliseconds) };
            match check(count) {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some(event.u64)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                Err(error) => Err(error),
            }
        }
    }

    fn check(result: libc::c_int) -> io::Result<libc::c_int> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }
}
