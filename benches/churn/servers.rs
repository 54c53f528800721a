//! The servers of this crate that the random clients come to: of both transports, with and without captures, with and
//! without bounds, all with time limits.
//!
//! May touch: the public API. Invariant: whatever a peer does, a connection ends after [`LIFETIME`] at most.

use std::cell::Cell;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{
    self, BoundSocket, BufferOverflow, ConnectionOverflow, ListenOptions, Server, ServerOptions, Socket, Timeouts,
    abstract_name,
};

use crate::addresses::Address;
use crate::clients::Targets;

/// As long as a client may be busy with others on a slow machine, so that only who was forgotten is timed out.
const PATIENT: Duration = Duration::from_secs(10);

/// How long a server waits that lets nobody wait: long enough that hundreds wait at the same time.
const IMPATIENT: Duration = Duration::from_millis(300);

/// The longest that any connection may take.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// Places of the servers with bounds: fewer than come at the same time, so that they fill up.
const PLACES: usize = 2;

/// What a talker says to everybody: more than the kernel takes.
const TALK: usize = 1 << 20;

/// Every how many connections something is leaked where that is asked for.
const LEAK_EVERY: u64 = 16;

/// What is leaked on purpose, to show that it would be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leak {
    /// 256 bytes.
    Bytes,
    Descriptor,
    /// A socket that is never released.
    Slot,
}

/// All servers, listening.
pub struct Servers {
    servers: Vec<Server>,
    pub targets: Targets,
    /// Of the unix sockets.
    folder: PathBuf,
}

impl Servers {
    /// Listens everywhere. The loop has to be this thread's.
    pub fn listen(leak: Option<Leak>) -> Result<Servers, Error> {
        let folder = std::env::temp_dir().join(format!("halfclose-churn-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut servers = Servers { servers: Vec::new(), targets: Targets::default(), folder };
        let plain = ServerOptions::new().no_delay(true);
        let capturing = ServerOptions::new().allow_half_open(true).batch_writes(true);

        let echoes = [
            servers.tcp(net::create_server_with(plain.clone(), patient_echo))?,
            servers.unix(net::create_server_with(plain.clone(), patient_echo), "echo")?,
            servers.tcp(capturing_server(capturing.clone()))?,
            servers.nameless(capturing_server(capturing), "capturing")?,
        ];
        servers.targets.echoes = echoes.into();
        if let Some(leak) = leak {
            leak_in(servers.servers[0], leak);
        }

        let impatient = [
            servers.tcp(net::create_server_with(plain.clone(), impatient_echo))?,
            servers.unix(net::create_server_with(plain.clone(), impatient_echo), "impatient")?,
        ];
        servers.targets.impatient = impatient.into();

        let limits = Timeouts::new()
            .first_byte_timeout(IMPATIENT)
            .max_idle(2 * IMPATIENT)
            .half_closed_timeout(IMPATIENT)
            .write_stall_timeout(IMPATIENT)
            .max_lifetime(LIFETIME);
        let bounded = plain.max_buffered(256 * 1024, BufferOverflow::Reset).timeouts(limits).max_connections(PLACES);
        let pausing = bounded.clone().connection_overflow(ConnectionOverflow::Pause);
        let bounded = [
            servers.tcp(net::create_server_with(bounded, patient_echo))?,
            servers.tcp(net::create_server_with(pausing.clone(), patient_echo))?,
            servers.unix(net::create_server_with(pausing, patient_echo), "pausing")?,
        ];
        servers.targets.bounded = bounded.into();

        let talkers = [
            servers.tcp(net::create_server_with(ServerOptions::new().timeouts(limits), talk))?,
            servers.unix(net::create_server_with(ServerOptions::new().timeouts(limits), talk_by_corking), "talk")?,
        ];
        servers.targets.talkers = talkers.into();
        Ok(servers)
    }

    /// Connections that servers count as theirs.
    pub fn connections(&self) -> usize {
        self.servers.iter().map(|server| server.connections()).sum()
    }

    /// Listens no more. The slots stay with the loop.
    pub fn close(&self) {
        for server in &self.servers {
            server.close();
        }
        // Empty by now, and if not, of no use to anybody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn tcp(&mut self, server: Server) -> Result<Address, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = BoundSocket::new(address)?;
        // Bound, so it has an address.
        let address = bound.address()?.unwrap_or(address);
        server.listen(at(ListenOptions::new().handle(&bound)))?;
        self.servers.push(server);
        Ok(Address::Tcp(address))
    }

    fn unix(&mut self, server: Server, name: &str) -> Result<Address, Error> {
        let path = self.folder.join(name);
        self.at_path(server, &path)?;
        Ok(Address::Unix(path))
    }

    fn nameless(&mut self, server: Server, name: &str) -> Result<Address, Error> {
        let name = format!("halfclose-churn-{}-{name}", std::process::id());
        self.at_path(server, &abstract_name(&name))?;
        Ok(Address::Abstract(name))
    }

    fn at_path(&mut self, server: Server, path: &Path) -> Result<(), Error> {
        server.listen(at(ListenOptions::new().path(path)))?;
        self.servers.push(server);
        Ok(())
    }
}

/// With room in the backlog for several crowds.
fn at(options: ListenOptions) -> ListenOptions {
    options.backlog(4096)
}

/// Echoes with listeners that capture nothing.
fn patient_echo(socket: Socket) {
    echo(socket);
    socket.set_timeout(PATIENT);
}

fn impatient_echo(socket: Socket) {
    echo(socket);
    socket.set_timeout(IMPATIENT);
}

fn echo(socket: Socket) {
    socket.on_data(|socket, bytes| {
        if !socket.write(bytes) {
            socket.pause();
        }
    });
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.on_timeout(|socket| {
        socket.destroy();
    });
    socket.on_error(|_, _| {});
}

/// Echoes with listeners that capture, callbacks of writes, values of sockets and timers.
fn capturing_server(options: ServerOptions) -> Server {
    let written = Rc::new(Cell::new(0_usize));
    net::create_server_with(options, move |socket| {
        let counter = Rc::clone(&written);
        socket.set_data(vec![0_u8; 24]);
        socket.on_data(move |socket, bytes| {
            let (length, counter) = (bytes.len(), Rc::clone(&counter));
            let goes_on = socket.write_with(bytes, move |_, _| counter.set(counter.get() + length));
            if !goes_on {
                socket.pause();
            }
        });
        socket.once_data(move |first, _| {
            let _ = socket.with_data(|seen: &mut Vec<u8>| seen.push(1));
            first.set_no_delay(true);
        });
        socket.on_drain(move |_| {
            socket.resume();
        });
        socket.on_end(move |_| {
            socket.end();
        });
        let deadline = halfclose::set_timeout(LIFETIME, move || {
            socket.destroy();
        });
        socket.set_timeout_with(PATIENT, move |_| {
            let _ = socket.reset_and_destroy();
            socket.destroy();
        });
        socket.on_error(|_, _| {});
        socket.on_close(move |_, _| deadline.clear());
    })
}

/// Says much at once.
fn talk(socket: Socket) {
    socket.on_error(|_, _| {});
    socket.on_data(|_, _| {});
    socket.write(vec![b'x'; TALK]);
    socket.end();
}

/// Says it in pieces, which go out together.
fn talk_by_corking(socket: Socket) {
    socket.on_error(|_, _| {});
    socket.cork();
    for _ in 0..16 {
        socket.write(vec![b'x'; TALK / 16]);
    }
    socket.uncork();
    socket.on_drain(|socket| {
        socket.end();
    });
}

/// Leaks something now and then.
fn leak_in(server: Server, leak: Leak) {
    let seen = Cell::new(0_u64);
    server.on_connection(move |_, _| {
        seen.set(seen.get() + 1);
        if seen.get() % LEAK_EVERY > 0 {
            return;
        }
        match leak {
            Leak::Bytes => {
                // The compiler would leave out what nobody looks at.
                std::hint::black_box(Box::leak(Box::new([1_u8; 4096])));
            }
            Leak::Descriptor => std::mem::forget(File::open("/dev/null")),
            Leak::Slot => {
                Socket::new();
            }
        }
    });
}
