//! Clients of this crate that connect out, in the loop of the servers: so that their slots come and go as well.
//!
//! May touch: the public API. Invariant: [`ABREAST`] of them at most have a socket at any time, and each gives up after
//! [`GIVES_UP`].

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, LookupAddress, Socket};
use halfclose::set_immediate;

use crate::addresses::Address;
use crate::random::Random;

/// How many there are at the same time: more than one server holds.
const ABREAST: usize = 16;

/// How long one waits for an answer that does not come.
const GIVES_UP: Duration = Duration::from_millis(200);

/// What a caller does, and how many of a hundred.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends, reads the answer, ends.
    Talk,
    EndAtOnce,
    Destroy,
    Reset,
    /// Is destroyed before it is connected.
    DestroyConnecting,
    /// Where nobody listens.
    Refused,
    /// A name with two addresses, of which the first refuses.
    SecondAddress,
}

const MANNERS: [(usize, Manner); 7] = [
    (40, Manner::Talk),
    (15, Manner::EndAtOnce),
    (10, Manner::Destroy),
    (10, Manner::Reset),
    (5, Manner::DestroyConnecting),
    (10, Manner::Refused),
    (10, Manner::SecondAddress),
];

/// Those who connect out.
pub struct Callers {
    servers: Vec<Address>,
    /// How many connections are yet to be tried in this round.
    left: Cell<u64>,
    busy: Cell<usize>,
    random: RefCell<Random>,
}

impl Callers {
    pub fn new(servers: Vec<Address>, seed: u64) -> Rc<Callers> {
        Rc::new(Callers { servers, left: Cell::new(0), busy: Cell::new(0), random: Random::spread(seed).into() })
    }

    /// Begins a round of so many attempts to connect.
    pub fn play(self: &Rc<Callers>, attempts: u64) {
        self.left.set(attempts);
        while self.busy.get() < ABREAST && self.take() {
            self.busy.set(self.busy.get() + 1);
            self.call(self.new_socket());
        }
    }

    pub fn done(&self) -> bool {
        self.left.get() == 0 && self.busy.get() == 0
    }

    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn new_socket(self: &Rc<Callers>) -> Socket {
        let socket = Socket::new();
        let callers = Rc::clone(self);
        socket.on_connect(act);
        socket.on_data(|socket, _| {
            socket.end();
        });
        socket.on_timeout(|socket| {
            socket.destroy();
        });
        socket.on_error(|_, _| {});
        socket.on_close(move |socket, _| callers.closed(socket));
        socket
    }

    /// The next one: the same socket again, a new one at once, or a new one later in the turn.
    fn closed(self: &Rc<Callers>, socket: Socket) {
        if !self.take() {
            self.busy.set(self.busy.get() - 1);
            return;
        }
        let way = self.random.borrow_mut().below(3);
        match way {
            0 => self.call(socket),
            1 => self.call(self.new_socket()),
            _ => {
                let callers = Rc::clone(self);
                set_immediate(move || callers.call(callers.new_socket()));
            }
        }
    }

    fn call(&self, socket: Socket) {
        let (manner, options) = {
            let mut random = self.random.borrow_mut();
            let manner = random.weighted(&MANNERS);
            (manner, options(manner, random.among(&self.servers)))
        };
        socket.set_data(manner);
        socket.connect(options).expect("addresses and options that are valid");
        socket.set_timeout(GIVES_UP);
        if matches!(manner, Manner::DestroyConnecting) {
            socket.destroy();
        }
    }
}

fn options(manner: Manner, server: &Address) -> ConnectOptions {
    let options = ConnectOptions::new();
    let address = match (server, manner) {
        (Address::Tcp(address), _) => *address,
        (_, Manner::Refused) => return options.path(net::abstract_name("halfclose-churn-nobody")),
        _ => return options.path(server.path().unwrap_or_default()),
    };
    match manner {
        Manner::Refused => SocketAddr::from((NOBODY, address.port())).into(),
        Manner::SecondAddress => {
            let addresses = [NOBODY.into(), address.ip()].map(|address: IpAddr| LookupAddress::from(address));
            options.host("churn.example").port(address.port()).lookup(move |_, callback| callback.resolve(addresses))
        }
        Manner::Talk | Manner::EndAtOnce | Manner::Destroy | Manner::Reset | Manner::DestroyConnecting => {
            address.into()
        }
    }
}

/// The whole of 127.0.0.0/8 is this machine; nobody listens at this address of it.
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// What it does when it is connected.
fn act(socket: Socket) {
    let manner = socket.with_data(|manner: &mut Manner| *manner).unwrap_or(Manner::Destroy);
    match manner {
        Manner::Talk | Manner::SecondAddress => {
            socket.write("is anybody there?");
        }
        Manner::EndAtOnce => {
            socket.end_data("good-bye");
        }
        Manner::Reset => {
            // A unix socket knows no reset.
            let _ = socket.reset_and_destroy();
            socket.destroy();
        }
        // Somebody listens after all.
        Manner::Destroy | Manner::DestroyConnecting | Manner::Refused => {
            socket.destroy();
        }
    }
}
