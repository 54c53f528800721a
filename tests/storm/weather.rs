//! What goes wrong around the program: links, hosts that fall silent, and the faults of the simulated kernel, all by the
//! seed.
//!
//! May touch: the simulation's controls. Invariant: a third of all seeds have fair weather, where nothing may go wrong that
//! the program did not do itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use halfclose::simulation::{Call, Faults, Link, Simulation};

use crate::generator::Generator;

/// Where servers listen: this machine, and two that are somewhere else.
pub const HOSTS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
];

/// Where nobody listens, and nothing answers now and then.
pub const SILENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));

/// Those that fall silent.
const FAR: [IpAddr; 3] = [SILENT, HOSTS[1], HOSTS[2]];

/// What this machine is to them.
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A name with several addresses, of which the first one does not always answer, and one with none.
pub const NAMES: [&str; 3] = ["localhost", "many.example", "none.example"];

pub struct Weather {
    pub simulation: Simulation,
    /// Nothing goes wrong by itself.
    pub fair: bool,
    /// TCP connections may be cut by chance, for good, so that an end never learns of it.
    pub may_cut: bool,
    silences: Vec<Silence>,
}

/// A time in which nothing got to a host, or away from it.
struct Silence {
    host: IpAddr,
    /// Not over as long as there is none.
    until: Option<Duration>,
}

impl Weather {
    pub fn new(simulation: Simulation, generator: &mut Generator) -> Weather {
        simulation.set_name(NAMES[1], &[SILENT, HOSTS[1], HOSTS[0]]);
        let fair = generator.once_in(3);
        if generator.once_in(2) {
            simulation.set_link(
                HOSTS[0],
                HOSTS[0],
                Link { latency: Duration::ZERO, bandwidth: None, ..link(generator) },
            );
        }
        for host in &HOSTS[1..] {
            for (from, to) in [(OWN, *host), (*host, OWN)] {
                simulation.set_link(from, to, link(generator));
            }
        }
        let mut weather = Weather { simulation, fair, may_cut: false, silences: Vec::new() };
        if !fair {
            weather.worsen(generator);
        }
        weather
    }

    /// Sets the rates of faults: each kind is there in one seed of three, seldom or often.
    pub fn worsen(&mut self, generator: &mut Generator) {
        let mut rate = || if generator.once_in(3) { generator.pick(&[1_000, 20_000, 200_000]) } else { 0 };
        let faults = Faults {
            short_reads: rate(),
            short_writes: rate(),
            would_block: rate(),
            interrupted: rate(),
            spurious_events: rate(),
            duplicated_events: rate(),
            delayed_events: rate(),
            reordered_events: rate(),
            resets: rate() / 10,
            refused: rate(),
            delayed_connects: rate(),
            aborted: rate(),
            black_holed: rate() / 100,
            no_descriptors: rate(),
            no_memory: rate() / 10,
            // Not drawn: it would change what every seed does. `tests/simulation/faults.rs` has it.
            false_hang_ups: 0,
        };
        self.may_cut |= faults.black_holed > 0;
        self.simulation.set_faults(faults);
    }

    /// Something happens to the network, or to the next calls.
    pub fn change(&mut self, generator: &mut Generator) -> &'static str {
        if self.fair {
            return "nothing";
        }
        let number = generator.number();
        let host = FAR[(number / 4) as usize % FAR.len()];
        match number % 4 {
            0 => {
                self.simulation.black_hole(host);
                self.silences.push(Silence { host, until: None });
                "a host falls silent"
            }
            1 => {
                self.heal(host);
                "a host is back"
            }
            2 => {
                let call = generator.pick(&[
                    Call::Socket,
                    Call::Bind,
                    Call::Listen,
                    Call::Accept,
                    Call::Connect,
                    Call::Read,
                    Call::Write,
                    Call::Register,
                ]);
                let errno = match call {
                    Call::Socket | Call::Accept => generator.pick(&[libc::EMFILE, libc::ENFILE, libc::ENOBUFS]),
                    Call::Bind | Call::Listen => libc::EADDRINUSE,
                    Call::Connect => generator.pick(&[libc::ECONNREFUSED, libc::ENETUNREACH, libc::EADDRNOTAVAIL]),
                    Call::Read | Call::Write => {
                        generator.pick(&[libc::ECONNRESET, libc::ETIMEDOUT, libc::EHOSTUNREACH])
                    }
                    _ => libc::ENOMEM,
                };
                self.simulation.fail(call, &io::Error::from_raw_os_error(errno), 1 + generator.below(2));
                "a call will fail"
            }
            _ => {
                self.worsen(generator);
                "it gets worse"
            }
        }
    }

    fn heal(&mut self, host: IpAddr) {
        self.simulation.heal(host);
        let now = self.simulation.now();
        for silence in self.silences.iter_mut().filter(|silence| silence.host == host) {
            silence.until.get_or_insert(now);
        }
    }

    /// Whether what is on its way may be lost, or wait until it is sent again.
    pub fn may_lose(&self) -> bool {
        self.may_cut || !self.silences.is_empty()
    }

    /// Whether this host was silent since then: a reset that was lost on the way is not sent again.
    pub fn was_silent(&self, host: IpAddr, since: Duration) -> bool {
        self.silences.iter().any(|silence| silence.host == host && silence.until.is_none_or(|until| until >= since))
    }

    /// Fair from now on, with all hosts back.
    pub fn clear(&mut self) {
        self.simulation.set_faults(Faults::default());
        for host in FAR {
            self.heal(host);
        }
    }
}

/// Small buffers as well, so that small writes fill them.
fn link(generator: &mut Generator) -> Link {
    Link {
        latency: Duration::from_micros(generator.pick(&[0, 1, 500, 20_000])),
        bandwidth: generator.pick(&[None, None, Some(1_000_000), Some(100_000)]),
        receive_buffer: generator.pick(&[None, None, Some(300), Some(5_000)]),
        send_buffer: generator.pick(&[None, None, Some(300), Some(5_000)]),
    }
}
