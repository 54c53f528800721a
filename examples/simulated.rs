//! A program on a simulated network: a client that asks every hour and connects again when it must, a network that fails
//! for two of them, and a whole day in a moment. With another seed other things go wrong, at other moments; with the same
//! seed the same.
//!
//! `cargo run --features simulation --example simulated -- 7` runs it with the seed 7. `ask` and `serve` are the program, as
//! it would run on a real network; only `main` knows that this one is not.
//!
//! It may touch the public API only.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Socket};
use halfclose::simulation::{Faults, Link};
use halfclose::{Error, EventLoop, set_timeout};

const SERVICE: &str = "198.51.100.7";
const PORT: u16 = 4000;
/// Where the story is told.
type Say = Rc<dyn Fn(&str)>;

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Error> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut event_loop = EventLoop::simulated(seed)?;
    let simulation = event_loop.simulation().expect("it is simulated");

    let service = IpAddr::from([198, 51, 100, 7]);
    let client = IpAddr::from([192, 0, 2, 1]);
    let far = Link { latency: Duration::from_millis(40), bandwidth: Some(1_000_000), ..Link::default() };
    simulation.set_link(client, service, far);
    simulation.set_link(service, client, far);
    simulation.set_faults(Faults { short_reads: 200_000, resets: 20_000, refused: 50_000, ..Faults::default() });

    let clock = simulation.clone();
    let say: Say = Rc::new(move |what: &str| {
        let seconds = clock.now().as_secs();
        println!("{:02}:{:02}:{:02} {what}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    });
    let outage = simulation.clone();
    simulation.post_at(5 * HOUR + HOUR / 2, move || outage.black_hole(service));
    let outage = simulation.clone();
    simulation.post_at(7 * HOUR + HOUR / 2, move || outage.heal(service));

    let server = serve()?;
    ask(24, 0, say);
    simulation.post_at(25 * HOUR, move || {
        server.close();
    });
    // A connection that fell silent may still wait for its idle timeout; the day is over all the same.
    simulation.post_at(26 * HOUR, halfclose::stop);
    event_loop.run()?;
    println!("{:?}", simulation.accounts());
    Ok(())
}

/// Answers each question, and closes what is silent for a minute.
fn serve() -> Result<net::Server, Error> {
    let server = net::create_server(|socket| {
        socket.set_timeout(Duration::from_secs(60));
        socket.on_timeout(|socket| {
            socket.destroy();
        });
        socket.on_data(|socket, bytes| {
            socket.write(bytes.to_ascii_uppercase());
        });
        socket.on_error(|_, _| {});
    });
    server.listen((SERVICE, PORT))
}

/// Asks once, and again in an hour; after a failure in ten minutes.
fn ask(times: u32, failures: u32, say: Say) {
    if times == 0 {
        return;
    }
    let client = match net::connect((SERVICE, PORT)) {
        Ok(client) => client,
        Err(error) => return say(&format!("cannot connect: {error}")),
    };
    client.set_timeout(Duration::from_secs(20));
    client.end_data("what is the time?\n");
    let told = say.clone();
    client.on_text(move |_, text| told(&format!("answered: {}", text.trim_end())));
    let told = say.clone();
    client.on_timeout(move |client| {
        told("no answer");
        give_up(client);
    });
    let told = say.clone();
    client.on_error(move |_, error| told(&format!("failed: {error}")));
    client.on_close(move |client, had_error| {
        let answered = !had_error && client.bytes_read() > 0;
        let (delay, times) = if answered { (HOUR, times - 1) } else { (HOUR / 6, times) };
        let failures = if answered { 0 } else { failures + 1 };
        if failures < 200 {
            let say = say.clone();
            set_timeout(delay, move || ask(times, failures, say.clone()));
        }
    });
}

fn give_up(client: Socket) {
    client.destroy();
}
