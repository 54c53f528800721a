//! `ping_pongs`: one connection, one small message back and forth, beside a peer in the same run.
//!
//! ```sh
//! cargo bench --bench ping_pongs
//! ```
//!
//! The peer is the least that an echo can be: a blocking thread of std. Both servers are alive all the time; short slices
//! alternate between them, in an order that changes every round, so that a drift of the machine hits both. What is
//! printed is the ratio of each round (ours to the peer's), its median and its spread, and the same for an A/A pair: two
//! servers of the same kind. A difference smaller than the A/A spread means nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use halfclose::{EventLoop, net};

/// A small request: what fits one segment with room to spare.
const MESSAGE: [u8; 64] = [b'x'; 64];

/// Long enough for some thousand round trips, short enough that the machine is the same machine at both ends of it.
const SLICE: Duration = Duration::from_millis(50);

/// Enough for a median that single bad slices cannot move; with three servers it makes about five seconds.
const ROUNDS: usize = 31;

fn main() {
    let mut servers = [Peer::connect(halfclose_server()), Peer::connect(std_server()), Peer::connect(std_server())];
    for server in &mut servers {
        server.slice();
    }
    let mut ours = Vec::with_capacity(ROUNDS);
    let mut same = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let mut costs = [0.0; 3];
        for step in 0..3 {
            let index = (round + step) % 3;
            costs[index] = servers[index].slice();
        }
        ours.push(costs[0] / costs[1]);
        same.push(costs[2] / costs[1]);
    }
    println!("ping_pongs: 1 connection, {} bytes, {ROUNDS} rounds of {SLICE:?} a server", MESSAGE.len());
    report("halfclose / blocking std thread", &mut ours);
    report("A/A: std thread / std thread", &mut same);
}

/// A connection to one of the servers.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("an option of TCP");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout that is not zero");
        Peer { stream }
    }

    /// Plays for one slice; seconds per round trip.
    fn slice(&mut self) -> f64 {
        let start = Instant::now();
        let mut count = 0_u32;
        let mut answer = [0; MESSAGE.len()];
        while start.elapsed() < SLICE {
            self.stream.write_all(&MESSAGE).expect("the server reads");
            self.stream.read_exact(&mut answer).expect("the server answers");
            count += 1;
        }
        start.elapsed().as_secs_f64() / f64::from(count)
    }
}

fn report(name: &str, ratios: &mut [f64]) {
    ratios.sort_by(f64::total_cmp);
    let quantile = |part: usize| ratios[(ratios.len() - 1) * part / 4];
    println!(
        "{name:<34} median {:.3}, quartiles {:.3} to {:.3}, all {:.3} to {:.3}",
        quantile(2),
        quantile(1),
        quantile(3),
        quantile(0),
        quantile(4)
    );
}

/// The echo of this crate, on a loop of its own thread.
fn halfclose_server() -> SocketAddr {
    let (address, bound) = mpsc::channel();
    thread::spawn(move || {
        let mut event_loop = EventLoop::new().expect("descriptors for one loop");
        let options = net::ServerOptions::new().no_delay(true);
        let server = net::create_server_with(options, |socket| {
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
            socket.on_error(|_, _| {});
        });
        server.on_listening(move |server| {
            address.send(server.address().expect("it listens")).expect("somebody waits");
        });
        server.listen(("127.0.0.1", 0)).expect("a new server");
        event_loop.run().expect("every error has a listener");
    });
    bound.recv_timeout(Duration::from_secs(5)).expect("the server listens")
}

/// The echo of a blocking thread.
fn std_server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("one client comes");
        stream.set_nodelay(true).expect("an option of TCP");
        let mut buffer = [0; 65_536];
        // Until the client goes, with the process.
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    address
}
