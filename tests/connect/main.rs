//! The client's half of the semantics: forms of address (C1-C5), connecting while connected or connecting (C40), reconnects
//! in every place (C41-C43), addresses (C44) and states. The rule numbers are those of the behaviour reference.
//!
//! May touch: the public API and peers on std sockets. Invariant: every test compares whole event sequences, and learns
//! every port from the kernel.

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod reconnects;
mod states;

use halfclose::EventLoop;
use halfclose::net::{self, Server, Socket};

use support::port_of;

/// What a client sees of a connection that the server ends at once, from its `connect` on.
const ENDED_BY_THE_SERVER: &str = "connect, ready | ~ end | ~ finish |x close(false)";

/// Lets a server listen on 127.0.0.1, or on all addresses, and calls `body` in a callback of its own once it does.
fn with_server(event_loop: &mut EventLoop, server: Server, everywhere: bool, body: impl FnOnce(Server, u16) + 'static) {
    server.once_listening(move |server| {
        halfclose::set_immediate(move || body(server, port_of(server)));
    });
    let listening = if everywhere { server.listen(0) } else { server.listen(("127.0.0.1", 0)) };
    listening.expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
}

/// A server that ends every connection.
fn ending_server() -> Server {
    net::create_server(|socket| {
        socket.end();
    })
}

/// The state that programs ask for most, as Node prints it.
fn state(socket: Socket) -> String {
    let mut text = socket.ready_state().as_str().to_owned();
    for (holds, name) in [
        (socket.connecting(), "connecting"),
        (socket.pending(), "pending"),
        (socket.destroyed(), "destroyed"),
        (socket.closed(), "closed"),
    ] {
        if holds {
            text.push(' ');
            text.push_str(name);
        }
    }
    text
}
